"""Reports stored a second, against a subscriber that does nothing with them, on the same broker.

Every contestant is a process that subscribes and is then stopped (SIGSTOP); the broker is given all reports, and the
process goes on. So what is measured is the consumer alone, not how fast somebody publishes. Database and broker share
the machine's cores with it.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from bench import machine, peers, servers
from bench.decoding import usual_reports
from bench.measure import rates
from bench.result import Result
from footfall_contract import topics
from footfall_contract.batch import decode_batch
from footfall_demo.broker import Broker, find_mosquitto
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings

TITLE = "MQTT to committed rows, deduplicated, acknowledged after the commit, notices on"

SENSORS = 60
NODE = "bench"
LOOK_S = 0.005
PATIENCE_S = 300
NO_MOSQUITTO = "mosquitto is not installed"


@dataclass(frozen=True)
class Size:
    """How many reports each contestant gets in each round."""

    reports: int = 40_000
    loop_reports: int = 8_000
    """For the loop, which takes long for each."""
    rounds: int = 5


TINY = Size(reports=600, loop_reports=200, rounds=1)

Reports = Sequence[tuple[str, bytes]]


def run(size: Size) -> Result:
    """Reports of one slot from sixty sensors, QoS 1; the contestants take turns, each with a fresh database."""
    result = Result("ingest", TITLE, vars(size))
    if not find_mosquitto():
        result.skipped = NO_MOSQUITTO
        return result
    payloads = usual_reports(size.reports, SENSORS)
    passages = int(decode_batch(payloads).cell_count.sum())
    reports = [(topics.counts(NODE, f"sensor-{place % SENSORS}"), payload) for place, payload in enumerate(payloads)]
    seconds: dict[str, list[float]] = {"bare": [], "ours": [], "loop": []}
    with servers.workplace() as folder, servers.plain(folder) as server:
        result.servers = {"database": machine.database(server.maintenance), "broker": machine.mosquitto()}
        for round_ in range(size.rounds):
            place = folder / str(round_)
            seconds["bare"].append(peer("bare", place / "bare", reports))
            with server.fresh() as dsn:
                seconds["ours"].append(store(place / "ours", dsn, reports, passages))
            with server.fresh() as dsn:
                with psycopg.connect(dsn, autocommit=True) as connection:
                    connection.execute(peers.TABLE)
                seconds["loop"].append(peer("loop", place / "loop", reports[: size.loop_reports], dsn))
    ours, bare = (rates(size.reports, seconds[name]) for name in ("ours", "bare"))
    loop = rates(min(size.loop_reports, size.reports), seconds["loop"])
    result.figure(
        f"footfall-ingest, {len(payloads[0])} bytes a report: committed, then acknowledged", "reports/s", ours
    )
    result.figure("limit: paho-mqtt subscriber that does nothing", "reports/s", bare)
    result.figure("loop: one INSERT and one commit a message", "reports/s", loop)
    result.at_least("against the subscriber that does nothing", _ratios(ours, bare), 0.85, aim=1)
    result.at_least("against one INSERT a message", _ratios(ours, loop), 5)
    return result


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def peer(kind: str, folder: Path, reports: Reports, dsn: str = "") -> float:
    """Seconds in which the peer of this kind (see `bench.peers`) deals with every report."""
    folder.mkdir(parents=True)
    said, log = folder / "said", folder / "log"
    with Broker(folder, kind="mosquitto") as broker:
        words = ["bench.peers", kind, str(broker.port), str(len(reports)), str(said), *([dsn] if dsn else [])]
        with servers.program(words, log) as process:
            servers.wait_for(said.exists, log)
            with held([process], broker, reports):
                begin = time.perf_counter()
            wait(begin, lambda: said.read_text() == "done", log)
            return time.perf_counter() - begin


def store(folder: Path, dsn: str, reports: Reports, passages: int) -> float:
    """Seconds until ingest has committed every report; then what is stored must be what was sent."""
    with (
        Broker(folder, kind="mosquitto") as broker,
        servers.ingest(folder, dsn, broker.port) as processes,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        with held(processes, broker, reports):
            begin = time.perf_counter()
        wait(begin, lambda: received(connection) >= len(reports), folder / "ingest.log")
        seconds = time.perf_counter() - begin
        row = connection.execute("SELECT sum(count) FROM count_minute").fetchone()
        assert row == (passages,), f"{row} stored, {passages} sent"
        return seconds


@contextlib.contextmanager
def held(processes: Sequence[psutil.Process], broker: Broker, reports: Reports) -> Iterator[None]:
    """Stop `processes`, publish, and enter the context; they go on when it is left."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        publish(MqttSettings(port=broker.port), reports)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def wait(begin: float, condition: Callable[[], bool], log: Path) -> None:
    """Wait until `condition` is true, looking often."""
    while not condition():
        assert time.perf_counter() - begin < PATIENCE_S, log.read_text(errors="replace")[-2000:]
        time.sleep(LOOK_S)


def publish(settings: MqttSettings, reports: Reports) -> None:
    """Publish all of `reports` and wait until the broker has them."""
    speaker = new_client(settings, "speaker")
    speaker.max_inflight_messages_set(1000)
    speaker.max_queued_messages_set(0)
    speaker.connect(settings.host, settings.port)
    speaker.loop_start()
    for info in [speaker.publish(topic, payload, qos=1) for topic, payload in reports]:
        info.wait_for_publish(60)
    hang_up(speaker)


def received(connection: psycopg.Connection) -> int:
    """How many reports are marked received."""
    row = connection.execute(
        "SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM stream, unnest(received) AS part"
    ).fetchone()
    return int(row[0]) if row else 0
