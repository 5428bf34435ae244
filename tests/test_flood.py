"""A flood: more than can be stored just now. Queues stay bounded, memory flat, and nothing is dropped."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_testing.flood import Flood, passages
from footfall_testing.ingest_process import command, settings_for
from footfall_testing.processes import with_tests
from footfall_testing.waiting import wait_until

QUEUE = 2000
"""Messages that ingest may hold in memory here."""
READ_AT_ONCE = 200
"""So many more it may have by then: what comes in with one read of the connection is taken whole."""
MAX_GROWTH = 48 * 1024 * 1024
"""Bytes by which a process may grow after it has warmed up; a leak of 100 bytes a report would be 60 MB in all."""


@contextmanager
def ingest_process(folder: Path, broker: Broker, dsn: str, client_id: str) -> Iterator[tuple[psutil.Process, str]]:
    """The real program with a small queue; yields it and the address of its metrics."""
    port = free_port()
    settings = settings_for(broker, dsn, client_id)
    words, environment = command(settings, folder)
    environment |= {
        "FOOTFALL_FLUSH__QUEUE": str(QUEUE),
        "FOOTFALL_FLUSH__INTERVAL_S": "0.25",
        "FOOTFALL_FLUSH__WINDOW": "20",
        "FOOTFALL_METRICS__PORT": str(port),
        "FOOTFALL_RULES__NODE_SENSORS": "500",
    }
    program = subprocess.Popen(words, env=environment)
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        wait_until(lambda: metrics(url).get("footfall_ingest_broker_connected") == 1, timeout=60, what="ingest")
        yield psutil.Process(program.pid), url
    finally:
        program.terminate()
        program.wait(30)


def metrics(url: str) -> dict[str, float]:
    """Every metric without labels; nothing while the process does not answer."""
    try:
        text = httpx.get(url, timeout=10).text
    except httpx.TransportError:
        return {}
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }


@contextmanager
def watched(process: psutil.Process, url: str) -> Iterator[list[tuple[float, int]]]:
    """What was seen of a process while the block ran, ten times a second: messages in its queue, bytes of memory."""
    seen: list[tuple[float, int]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.1):
            seen.append((metrics(url).get("footfall_ingest_queue_messages", 0), process.memory_full_info().uss))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(30)


@contextmanager
def database_held_up(dsn: str) -> Iterator[None]:
    """For the length of the block nobody can write: another session has a lock on what every batch needs."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE stream IN ACCESS EXCLUSIVE MODE")
        yield


def stored(dsn: str) -> tuple[int, int, int]:
    """Passages in and out, and reports received."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        counts = dict(connection.execute("SELECT direction, sum(count)::int FROM count_minute GROUP BY 1").fetchall())
        row = connection.execute(
            "SELECT coalesce(sum(upper(part) - lower(part)), 0)::int FROM stream, unnest(received) AS part"
        ).fetchone()
        assert row is not None
        return counts.get(0, 0), counts.get(1, 0), row[0]


def expected(sensors: int, reports: int) -> tuple[int, int, int]:
    """What must be stored of a flood, once."""
    sums = [sum(passages(seq)[direction] for seq in range(reports)) for direction in (0, 1)]
    return sensors * sums[0], sensors * sums[1], sensors * reports


@pytest.mark.timeout(400)
def test_a_flood_meets_back_pressure_and_loses_nothing(
    mosquitto: Broker, database: str, unique: str, tmp_path: Path
) -> None:
    """More reports than can be stored, and a database that stands still for a while: every one is stored once.

    Ingest holds at most its queue and what it read in one go, each sensor has at most its window under way: what is not
    stored waits where it is safe, in the outboxes.
    """
    sensors, reports = 60, 300
    with (
        ingest_process(tmp_path, mosquitto, database, unique) as (process, url),
        watched(process, url) as seen,
        ExitStack() as standstill,
        Flood(mosquitto.host, mosquitto.port, unique, sensors, reports) as flood,
    ):
        standstill.enter_context(database_held_up(database))
        # Everything the windows allow has been sent, and ingest has taken what it may.
        wait_until(lambda: len(seen) > 3 and seen[-1][0] == seen[-3][0] > QUEUE / 2, timeout=60, what="a full queue")
        standing = flood.stored
        standstill.close()
        assert flood.wait(180), f"{flood.stored} of {flood.total} stored"

    assert standing < flood.total
    assert flood.under_way <= 64
    assert max(queue for queue, _ in seen) <= QUEUE + READ_AT_ONCE
    assert stored(database) == expected(sensors, reports)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_minute_of_ten_times_the_load_of_a_large_city(
    mosquitto: Broker, database: str, unique: str, tmp_path: Path
) -> None:
    """600 000 reports as fast as they are taken, as 10 000 sensors would send them in ten minutes: all stored, once.

    The memory of ingest, once warm, stays where it is.
    """
    sensors, reports = 500, 600
    words = [sys.executable, "-m", "footfall_testing.flood", mosquitto.host, str(mosquitto.port)]
    nodes = [f"{unique}-a", f"{unique}-b"]
    with ingest_process(tmp_path, mosquitto, database, unique) as (process, url), watched(process, url) as seen:
        senders = [subprocess.Popen([*words, node, str(sensors), str(reports)], env=with_tests()) for node in nodes]
        assert [sender.wait(1700) for sender in senders] == [0, 0]

    total = len(nodes) * sensors
    assert stored(database) == expected(total, reports)
    quarter = len(seen) // 4
    memory = [size for _, size in seen]
    assert max(memory[-quarter:]) - max(memory[quarter : 2 * quarter]) < MAX_GROWTH
    assert max(queue for queue, _ in seen) <= QUEUE + READ_AT_ONCE
