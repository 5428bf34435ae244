"""Reports stored a second, against a subscriber that does nothing with them, on the same broker.

The broker is given all reports first, for a session that is away; then the consumer comes and takes them. So what is
measured is the consumer alone, not how fast somebody publishes. Database and broker share the machine's cores with it.
"""

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from bench.decoding import usual_reports
from bench.timing import Result, show
from footfall_contract import topics
from footfall_demo.broker import Broker, find_mosquitto
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest import process
from footfall_ingest.migrate import migrate
from footfall_ingest.settings import DatabaseSettings, IngestMqttSettings, IngestSettings
from footfall_role.mqtt import new_client
from footfall_role.settings import MqttSettings

REPORTS = 20_000
SENSORS = 60
NODE = "bench"
ROUNDS = 3


def main() -> None:
    """Twenty thousand reports of one slot from sixty sensors, QoS 1, three rounds each; the best is shown."""
    if not find_mosquitto():
        print("\nIngest: skipped, mosquitto is not installed")
        return
    payloads = usual_reports(REPORTS, SENSORS)
    reports = [(topics.counts(NODE, f"sensor-{place % SENSORS}"), payload) for place, payload in enumerate(payloads)]
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        bare, stored = [], []
        with EmbeddedPostgres(folder / "database") as postgres:
            for round_ in range(ROUNDS):
                database = f"bench_{round_}"
                postgres.create_database(database)
                migrate(postgres.dsn(database))
                with queued(folder / f"bare-{round_}", reports, "bare") as broker:
                    bare.append(take_and_do_nothing(broker))
                with queued(folder / f"ingest-{round_}", reports, "footfall-ingest") as broker:
                    stored.append(store(broker, postgres.dsn(database)))
    show(
        f"Ingest: {REPORTS} reports of {len(payloads[0])} bytes, mosquitto, PostgreSQL with fsync, best of {ROUNDS}",
        "reports",
        [
            Result("footfall-ingest: committed, then acknowledged", REPORTS, min(stored)),
            Result("limit: paho-mqtt subscriber that does nothing", REPORTS, min(bare)),
        ],
    )


@contextlib.contextmanager
def queued(folder: Path, reports: Sequence[tuple[str, bytes]], session: str) -> Iterator[Broker]:
    """A broker that holds `reports` for the persistent session of client `session`."""
    with Broker(folder, kind="mosquitto") as broker:
        settings = MqttSettings(port=broker.port)
        away = new_client(settings, session, clean_session=False)
        subscribed = threading.Event()
        away.on_connect = lambda client, *_: client.subscribe([(topics.ALL_COUNTS, 1)])
        away.on_subscribe = lambda *_: subscribed.set()
        away.connect(broker.host, broker.port)
        away.loop_start()
        assert subscribed.wait(10)
        away.disconnect()
        away.loop_stop()
        publish(settings, reports)
        yield broker


def publish(settings: MqttSettings, reports: Sequence[tuple[str, bytes]]) -> None:
    """Publish all of `reports` and wait until the broker has them."""
    speaker = new_client(settings, "speaker")
    speaker.max_inflight_messages_set(1000)
    speaker.max_queued_messages_set(0)
    speaker.connect(settings.host, settings.port)
    speaker.loop_start()
    for info in [speaker.publish(topic, payload, qos=1) for topic, payload in reports]:
        info.wait_for_publish(60)
    speaker.disconnect()
    speaker.loop_stop()


def take_and_do_nothing(broker: Broker) -> float:
    """Seconds in which a bare subscriber receives and acknowledges every report."""
    taken, done = 0, threading.Event()

    def on_message(*_: object) -> None:
        nonlocal taken
        taken += 1
        if taken == REPORTS:
            done.set()

    client = new_client(MqttSettings(port=broker.port), "bare", clean_session=False)
    client.on_message = on_message
    begin = time.perf_counter()
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert done.wait(120), f"{taken} of {REPORTS}"
    seconds = time.perf_counter() - begin
    client.disconnect()
    client.loop_stop()
    return seconds


def store(broker: Broker, dsn: str) -> float:
    """Seconds from the start of ingest's loop until every report is committed."""
    settings = IngestSettings(mqtt=IngestMqttSettings(port=broker.port), database=DatabaseSettings(dsn=dsn))
    stop = threading.Event()
    worker = threading.Thread(target=process.run, args=(settings, stop))
    with psycopg.connect(dsn, autocommit=True) as connection:
        begin = time.perf_counter()
        worker.start()
        while received(connection) < REPORTS:
            assert time.perf_counter() - begin < 120, f"{received(connection)} of {REPORTS}"
            time.sleep(0.01)
        seconds = time.perf_counter() - begin
    stop.set()
    worker.join()
    return seconds


def received(connection: psycopg.Connection) -> int:
    """How many reports are marked received."""
    row = connection.execute(
        "SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM stream, unnest(received) AS part"
    ).fetchone()
    return int(row[0]) if row else 0
