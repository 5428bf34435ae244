"""An edge whose disk somebody else fills up: it goes on, and nothing that passed meanwhile is lost or counted twice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from edge.conftest import Configure, RunEdge, SmallDisk
from edge.counter import Counter
from edge.ingest_model import Ingest
from footfall_demo.broker import Broker
from footfall_edge.outbox import Entry, Outbox, reserve_of
from footfall_edge.slots import Piece
from footfall_testing.waiting import wait_until


@dataclass
class Nowhere:
    """Where no broker is."""

    host: str = "127.0.0.1"
    port: int = 1


@pytest.fixture
def counter(link: Path) -> Iterator[Counter]:
    """The sensor."""
    with Counter(link) as counter:
        yield counter


def errors() -> float:
    """How often an outbox of this process could not be written."""
    return REGISTRY.get_sample_value("footfall_edge_outbox_errors_total") or 0


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Somebody else takes up all the room of a disk, to the last byte, for the length of a with block."""
    filler = folder / "filler"

    def full() -> bool:
        # An edge at work may give up its reserve meanwhile.
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 512)
        return os.statvfs(folder).f_bavail == 0

    wait_until(full, what="the disk to be full")
    yield
    filler.unlink()


def test_an_edge_keeps_to_its_budget(tmp_path: Path, configure: Configure, run_edge: RunEdge, unique: str) -> None:
    """A backlog that is larger than the budget becomes coarser while the edge runs; its sum stays the same."""
    path = tmp_path / "outbox.sqlite"
    since = 1_764_072_000
    with Outbox.open(path) as outbox:
        outbox.book(
            [Entry(unique, tuple(Piece(since + 10 * n, 10, 10_000, ((0, 0, 3),)) for n in range(16_000)), None)]
        )
        assert outbox.bytes_used() > 1_500_000

    with run_edge(configure(Nowhere(), outbox={"path": path, "max_mb": 1}, stop_wait_s=0)):
        wait_until(lambda: used(path) <= 1_000_000, timeout=60, what="the outbox to keep to its budget")

    with Outbox.open(path) as outbox:
        found = outbox._database.execute("SELECT sum(count), min(length), max(length) FROM slot_cell").fetchone()
    assert found == (48_000, 10, 60)


def used(path: Path) -> int:
    """Bytes of an outbox that hold something."""
    with Outbox.look(path) as outbox:
        return outbox.bytes_used()


def test_a_full_disk_loses_no_passage(
    small_disk: SmallDisk, mosquitto: Broker, configure: Configure, run_edge: RunEdge, counter: Counter
) -> None:
    """Without a broker and without room the device keeps what it counts; with both everything is stored once.

    The edge is exchanged while the disk is full: it starts, and takes what the device kept with the room it had kept.
    """
    folder = small_disk(1024)
    path = folder / "outbox.sqlite"
    settings = configure(Nowhere(), outbox={"path": path, "max_mb": 1}, stop_wait_s=0)
    with Ingest(mosquitto, settings.node) as ingest:
        with run_edge(settings):
            counter.passes(3)
            wait_until(reserve_of(path).exists, what="the reserve")
            wait_until(lambda: counter.waiting == 0, what="the first counts to be booked")
            with filled(folder):
                before = errors()
                counter.passes(5)
                wait_until(lambda: errors() > before, timeout=60, what="a booking that fails")
                counter.passes(7, direction=1)
                wait_until(lambda: counter.waiting > 3, timeout=60, what="the device to keep what it counts")
            wait_until(lambda: counter.waiting <= 1, timeout=60, what="the device to be acknowledged")
            wait_until(reserve_of(path).exists, what="the reserve to be back")
        assert reserve_of(path).exists()
        with filled(folder), run_edge(settings):
            counter.passes(11)
            wait_until(lambda: counter.waiting <= 1, timeout=60, what="the device to be acknowledged")
        with run_edge(configure(mosquitto, outbox={"path": path, "max_mb": 1})):
            counter.cut()
            wait_until(lambda: ingest.passages() >= counter.passed, timeout=60, what="everything to be stored")

        assert ingest.passages() == counter.passed
        assert ingest.changed == []
        assert all(seconds <= 1 for seconds in ingest.observed().values())
