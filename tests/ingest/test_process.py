"""The whole process between a real broker and a real database: what happens to a count when something breaks."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from footfall_contract import (
    NodeStatus,
    SensorHealth,
    SlotReport,
    decode_notice,
    encode_cbor,
    encode_health,
    encode_status,
    topics,
)
from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest.flush import write_batch
from footfall_ingest.migrate import MigrationError
from footfall_testing.ingest_process import command, ingest, settings_for, start_killed_at
from footfall_testing.ingest_store import NOON, Store, message, report, stored
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until


def reports(sensor: str, number: int, first: int = 0) -> list[SlotReport]:
    """Reports of one passage each, ten seconds after another."""
    return [report(sensor, seq=seq, start=NOON + 10 * seq) for seq in range(first, first + number)]


def on_topics(node: str, found: Iterable[SlotReport]) -> list[tuple[str, bytes]]:
    """Reports as (topic, payload)."""
    return [(topics.counts(node, one.sensor), encode_cbor(one)) for one in found]


def store_of(dsn: str) -> Store:
    """What is stored now."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return stored(connection)


def total(dsn: str) -> int:
    """Passages stored."""
    return sum(store_of(dsn).counts.values())


def next_of(notice: bytes, sensor: str) -> int:
    """The number that a node is asked for next, of its only stream."""
    (state,) = decode_notice(notice).sensors[sensor]
    return state.next


def waits_for_subscription(client: TestClient, unique: str) -> Callable[[], bool]:
    """True once the process hears us: its notice for a probe has come."""

    def heard() -> bool:
        client.publish([(topics.counts(f"{unique}-probe", "x"), b"is anyone there?")])
        return topics.committed(f"{unique}-probe") in client.heard

    return heard


def test_reports_are_stored_and_their_node_is_told(broker: Broker, database: str, unique: str) -> None:
    """Each report is counted once, the notice says up to which number, and it stays for those who come later."""
    sensor = f"{unique}-1"
    with (
        ingest(settings_for(broker, database, unique)),
        TestClient(broker, f"{unique}-node", [topics.committed(unique), f"footfall/v1/{unique}-probe/#"]) as node,
    ):
        wait_until(waits_for_subscription(node, unique), what="the subscription")
        node.publish(on_topics(unique, [*reports(sensor, 50), *reports(sensor, 50)]))
        wait_until(lambda: next_of(node.wait_for(topics.committed(unique)), sensor) == 50, what="the notice")
        wait_until(lambda: total(database) == 50, what="50 passages")
        with TestClient(broker, f"{unique}-late", [topics.committed(unique)]) as late:
            assert next_of(late.wait_for(topics.committed(unique)), sensor) == 50

    assert total(database) == 50


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker on which what is retained is this test's."""
    with Broker(tmp_path / "broker", kind="mosquitto") as broker:
        yield broker


def test_states_are_kept_and_the_unreadable_shown(own_broker: Broker, database: str, unique: str) -> None:
    """The latest status and health are in their tables; what is no state, and what is on no topic, is in quarantine."""
    health = SensorHealth(f"{unique}-1", "ok", NOON, 7, 0, 0, 1, 0, NOON + 5, "fine")
    with ingest(settings_for(own_broker, database, unique)), TestClient(own_broker, f"{unique}-node") as node:
        node.publish(
            [
                (topics.health(unique, f"{unique}-1"), b""),  # deletes what the broker has kept, and says nothing
                (topics.status(unique), encode_status(NodeStatus("offline", "0.1.0", NOON))),
                (topics.status(unique), encode_status(NodeStatus("online", "0.1.0", NOON + 9))),
                (topics.health(unique, f"{unique}-1"), encode_health(health)),
                (topics.health(unique, f"{unique}-2"), encode_health(health)),
                (topics.status(f"{unique}-2"), b"hello"),
            ],
            retain=True,
        )
        with psycopg.connect(database, autocommit=True) as connection:
            read = lambda query: connection.execute(query).fetchall()  # noqa: E731
            wait_until(lambda: len(read("SELECT FROM quarantine")) == 2, what="quarantine")
            states = read("SELECT node, state, version, extract(epoch FROM since)::int FROM node_state")
            healths = read("SELECT node, sensor, payload FROM sensor_state")
            kept = read("SELECT reason, node, sensor FROM quarantine ORDER BY node, sensor")
            seen = read("SELECT seen FROM node_state")

    # A process that starts again is told what the broker had kept. That is no news.
    with ingest(settings_for(own_broker, database, f"{unique}-b")), psycopg.connect(database, autocommit=True) as again:
        wait_until(lambda: again.execute("SELECT sum(times) FROM quarantine").fetchone() == (4,), what="the kept ones")
        assert again.execute("SELECT seen FROM node_state").fetchall() == seen

    assert states == [(unique, "online", "0.1.0", NOON + 9)]
    assert [(node_, sensor, payload["detail"]) for node_, sensor, payload in healths] == [
        (unique, f"{unique}-1", "fine")
    ]
    assert kept == [("unreadable", unique, f"{unique}-2"), ("unreadable", f"{unique}-2", None)]


def test_a_count_on_a_topic_that_is_none_is_kept(own_broker: Broker, database: str, unique: str) -> None:
    """A node whose name is not one is not lost sight of, and does not stop the others."""
    with ingest(settings_for(own_broker, database, unique)), TestClient(own_broker, f"{unique}-node") as node:
        good = on_topics(unique, reports(f"{unique}-1", 1))
        node.publish([(f"footfall/v1/{unique.upper()}/{unique}-1/counts", good[0][1]), *good], retain=True)
        wait_until(lambda: total(database) == 1 and store_of(database).quarantine, what="both")

    ((reason, detail, *_),) = store_of(database).quarantine.values()
    assert reason == "unreadable"
    assert detail.startswith("node: got ")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_around_the_commit_loses_and_doubles_nothing(
    broker: Broker, database: str, unique: str, tmp_path: Path, moment: str
) -> None:
    """In the end each passage is counted once.

    The process dies just before, or just after, its first commit; no acknowledgement has gone out. Another one takes
    over. The node sends again what it saw no notice for, as nodes do.
    """
    sensor = f"{unique}-1"
    settings = settings_for(broker, database, unique)
    sent = reports(sensor, 40)
    with TestClient(broker, f"{unique}-node", [topics.committed(unique)]) as node:
        doomed = start_killed_at(moment, settings, tmp_path)

        def dead() -> bool:
            node.publish(on_topics(unique, sent))
            return doomed.poll() is not None

        wait_until(dead, what="the death of the process", every=0.2)
        assert doomed.returncode == 9
        assert total(database) == (0 if moment == "before" else len(store_of(database).counts) and total(database))
        assert topics.committed(unique) not in node.heard
        before = total(database)

        with ingest(settings):

            def settled() -> bool:
                if (
                    topics.committed(unique) in node.heard
                    and next_of(node.heard[topics.committed(unique)], sensor) == 40
                ):
                    return True
                node.publish(on_topics(unique, sent))
                return False

            wait_until(settled, timeout=60, what="the notice for everything", every=0.2)

    assert (before > 0) == (moment == "after")
    assert total(database) == 40
    assert store_of(database).quarantine == {}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_broker_sends_again_what_a_killed_process_had_not_acknowledged(
    mosquitto: Broker, database: str, unique: str, tmp_path: Path, moment: str
) -> None:
    """Without any help of the node: mosquitto keeps the messages for the session, and all are counted once."""
    settings = settings_for(mosquitto, database, unique)
    with TestClient(mosquitto, f"{unique}-node", [f"footfall/v1/{unique}-probe/#"]) as node:
        with ingest(settings):
            wait_until(waits_for_subscription(node, unique), what="the session")
        node.publish(on_topics(unique, reports(f"{unique}-1", 40)))
        doomed = start_killed_at(moment, settings, tmp_path)
        assert doomed.wait(30) == 9
        with ingest(settings):
            wait_until(lambda: total(database) == 40, what="40 passages")

    assert set(store_of(database).received.values()) >= {"{[0,40)}"}


def test_a_database_that_goes_away_is_waited_for(mosquitto: Broker, database: str, unique: str) -> None:
    """While it refuses connections nothing is acknowledged and nothing lost; when it is back all is stored."""
    name = database.rsplit("/", 1)[1]
    maintenance = database.rsplit("/", 1)[0] + "/postgres"
    sensor = f"{unique}-1"
    with (
        ingest(settings_for(mosquitto, database, unique)) as thread,
        TestClient(mosquitto, f"{unique}-node", [f"footfall/v1/{unique}-probe/#"]) as node,
        psycopg.connect(maintenance, autocommit=True) as server,
    ):
        wait_until(waits_for_subscription(node, unique), what="the subscription")
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        node.publish(on_topics(unique, reports(sensor, 30)))
        with pytest.raises(psycopg.OperationalError):
            total(database)
        assert thread.is_alive()
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        wait_until(lambda: total(database) == 30, what="30 passages")


def test_a_stop_is_heard_while_the_database_is_away(mosquitto: Broker, unique: str) -> None:
    """Nobody has to wait for a database that does not come."""
    with ingest(settings_for(mosquitto, "postgresql://nobody@127.0.0.1:1/nothing", unique)) as thread:
        assert thread.is_alive()

    assert not thread.is_alive()


def test_a_broker_that_lost_everything_is_told_everything(database: str, unique: str, tmp_path: Path) -> None:
    """After a crash of the broker every known node's notice is published anew."""
    broker = Broker(tmp_path, kind="mosquitto").start()
    with psycopg.connect(database) as connection:
        write_batch(connection, [message(one, unique) for one in reports(f"{unique}-1", 3)], now=_now())
    try:
        with ingest(settings_for(broker, database, unique)):
            for _ in range(2):
                with TestClient(broker, f"{unique}-node", [topics.committed(unique)]) as node:
                    assert next_of(node.wait_for(topics.committed(unique)), f"{unique}-1") == 3
                broker.kill()
                broker.start()
    finally:
        broker.stop()


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


@pytest.mark.timeout(240)
def test_a_broker_may_wait_longer_than_its_patience(mosquitto: Broker, database: str, unique: str) -> None:
    """While a batch takes longer than the keep-alive time, with the inbox full, signs of life still go out.

    So the broker does not drop the connection, and nothing has to be sent again.
    """
    let_go = threading.Event()
    seen: list[int] = []

    def slow(connection: Any, messages: Any, **options: Any) -> Any:
        seen.append(len(messages))
        let_go.wait(120)
        return write_batch(connection, messages, **options)

    limits = {"max_reports": 5, "queue": 5}
    # A broker waits half as long again as it was told: what is left must be longer than this machine is ever busy.
    settings = settings_for(mosquitto, database, unique, flush=limits, mqtt={"keepalive_s": 20})
    with ingest(settings, write=slow), TestClient(mosquitto, f"{unique}-node") as node:
        wait_until(lambda: _probe(node, unique) or seen, what="the subscription", every=0.1)
        node.publish(on_topics(unique, reports(f"{unique}-1", 50)))
        patience = time.monotonic() + 1.5 * settings.mqtt.keepalive_s + 2
        wait_until(lambda: time.monotonic() > patience, timeout=90, what="the broker's patience to be over")
        let_go.set()
        wait_until(lambda: total(database) == 50, what="50 passages")
        log = mosquitto.log.read_text()

    assert max(seen) <= 5
    assert f"Client {unique} has exceeded timeout" not in log


def _probe(node: TestClient, unique: str) -> None:
    node.publish([(topics.counts(f"{unique}-probe", "x"), b"is anyone there?")])


def test_a_schema_that_is_not_ours_ends_the_process(mosquitto: Broker, blank_database: str, unique: str) -> None:
    """It says what to run; it does not retry for ever."""
    with pytest.raises(MigrationError, match="no schema yet"), ingest(settings_for(mosquitto, blank_database, unique)):
        pass


def test_prometheus_is_told(mosquitto: Broker, database: str, unique: str) -> None:
    """What was stored, came twice and was refused, how long it took, how long ago: with names and units."""
    port = free_port()
    settings = settings_for(mosquitto, database, unique, metrics={"port": port})
    with (
        ingest(settings),
        TestClient(mosquitto, f"{unique}-node", [topics.committed(unique), f"footfall/v1/{unique}-probe/#"]) as node,
    ):
        wait_until(waits_for_subscription(node, unique), what="the subscription")
        node.publish(on_topics(unique, [*reports(f"{unique}-1", 3), *reports(f"{unique}-1", 1)]))
        wait_until(lambda: next_of(node.wait_for(topics.committed(unique)), f"{unique}-1") == 3, what="the notice")

        def values() -> dict[str, float]:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("footfall_ingest_")]
            return {name: float(value) for name, value in lines}

        wait_until(lambda: values()["footfall_ingest_reports_duplicate_total"] == 1, what="the duplicate")
        wait_until(lambda: values()["footfall_ingest_lag_seconds"] > 0, what="what is said last of a batch")
        found = values()

    assert found["footfall_ingest_reports_stored_total"] == 3
    assert found['footfall_ingest_messages_quarantined_total{reason="unreadable"}'] >= 1
    assert found["footfall_ingest_rows_written_total"] >= 2
    assert found["footfall_ingest_flush_seconds_count"] >= 2
    assert found["footfall_ingest_broker_connected"] == 1
    assert found["footfall_ingest_queue_messages"] == 0
    assert found["footfall_ingest_database_errors_total"] == 0
    assert time.time() - found["footfall_ingest_last_commit_timestamp_seconds"] < 120
    assert found["footfall_ingest_lag_seconds"] > 0


def test_the_program_stops_when_it_is_asked_to(mosquitto: Broker, database: str, unique: str, tmp_path: Path) -> None:
    """SIGTERM ends the real program with status 0, after what it had at hand is stored."""
    words, environment = command(settings_for(mosquitto, database, unique), tmp_path)
    program = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    with TestClient(mosquitto, f"{unique}-node", [f"footfall/v1/{unique}-probe/#"]) as node:
        wait_until(waits_for_subscription(node, unique), what="the subscription")
        node.publish(on_topics(unique, reports(f"{unique}-1", 5)))
        wait_until(lambda: total(database) == 5, what="5 passages")
    program.send_signal(signal.SIGTERM)
    _, errors = program.communicate(timeout=30)

    assert program.returncode == 0
    assert "Traceback" not in errors
    assert "quarantined: payload" in errors
