"""The whole edge with a sensor that keeps nothing: whatever the box's own troubles are, what it showed is counted."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from edge.ingest_model import Ingest
from edge.radar import Radar
from edge.test_agent import value
from footfall_demo.broker import Broker
from footfall_edge import sheet, tracker
from footfall_edge.clock import Clock
from footfall_edge.outbox import Outbox
from footfall_edge.settings import EdgeSettings
from footfall_testing.waiting import wait_until

Configure = Callable[..., EdgeSettings]
RunEdge = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Radar, edge and test share one process: where that stands still for a second nobody is to be lost by it."""
    monkeypatch.setattr(tracker, "MOST_GAP_S", 3.0)


def radar_settings(configure: Configure, broker: Broker, link: Path, unique: str) -> EdgeSettings:
    """A node with one radar."""
    return configure(broker, sensor=[{"id": unique, "driver": "ld2450", "port": str(link), "silent_s": 5}])


def heard(ingest: Ingest) -> bool:
    """Whether the edge reads the radar: who passed before that would be gone."""
    return any(health.state == "ok" for health in ingest.healths)


def everybody_stored(radar: Radar, ingest: Ingest) -> None:
    """Wait until ingest has all who passed, and check that it has nobody more."""
    wait_until(lambda: not radar.busy, what="the people to be gone")
    stored(radar, ingest)


def stored(radar: Radar, ingest: Ingest) -> None:
    """The same for people who are gone: to see that they are, somebody has to read the line."""
    wait_until(lambda: ingest.passages() >= radar.passed, timeout=60, what=f"{radar.passed} to be stored")
    assert ingest.passages() == radar.passed
    assert ingest.changed == []


@pytest.mark.usefixtures("patient")
def test_who_passes_is_counted_in_the_second_of_the_passage(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """Each second is measured whole; the passage is in one of those in which somebody walked."""
    settings = radar_settings(configure, mosquitto, link, unique)
    with Radar(link) as radar, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        wait_until(lambda: list(ingest.observed().values()).count(1) >= 2, what="measured seconds")
        before = time.time()
        radar.passes(2)
        radar.passes(1, direction=1)
        everybody_stored(radar, ingest)

        when = [
            report.start + index * report.slot
            for report in ingest.stored.values()
            for index, count in zip(report.index, report.count, strict=True)
            if count
        ]
        assert all(before - 1 <= start <= time.time() for start in when)
        assert all(report.slot == 1 for report in ingest.stored.values())
        assert set(ingest.observed().values()) <= {0, 1}


@pytest.mark.usefixtures("patient")
def test_a_radar_that_is_pulled_and_put_back_goes_on(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """The link leads to another device then. The time between is not measured, and nobody is made up."""
    settings = radar_settings(configure, mosquitto, link, unique)
    with Radar(link) as radar, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        wait_until(lambda: heard(ingest), what="the radar to be heard")
        radar.passes(1)
        everybody_stored(radar, ingest)

        old = radar.unplug()
        began = int(time.time()) + 1
        wait_until(lambda: any(health.state == "fault" for health in ingest.healths), what="the fault to be told")
        wait_until(lambda: 0 in [ingest.observed().get(began + n) for n in range(2)], what="a second not measured")
        new = radar.plug()
        wait_until(lambda: ingest.healths[-1].state == "ok", what="the radar to be well again")
        radar.passes(2, direction=1)

        assert old != new
        everybody_stored(radar, ingest)


@pytest.mark.usefixtures("patient")
def test_what_a_radar_shows_while_the_outbox_cannot_be_written_is_kept(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """Nobody will say it again. It waits in memory, in its slots, and is there once when the file can be written."""
    settings = radar_settings(configure, mosquitto, link, unique)
    with Radar(link) as radar, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        wait_until(lambda: heard(ingest), what="the radar to be heard")
        radar.passes(1)
        everybody_stored(radar, ingest)
        blocker = sqlite3.connect(settings.outbox.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        began = int(time.time()) + 1
        errors = value("outbox_errors_total")
        try:
            radar.passes(3)
            wait_until(lambda: not radar.busy, what="the people to be gone")
            wait_until(lambda: value("outbox_errors_total") >= errors + 2, timeout=30, what="bookings to fail")
        finally:
            blocker.execute("ROLLBACK")
            blocker.close()
        seconds = range(began, int(time.time()))

        everybody_stored(radar, ingest)
        wait_until(lambda: all(ingest.observed().get(second) == 1 for second in seconds), what="each second measured")
        radar.passes(1, direction=1)
        everybody_stored(radar, ingest)
        assert all(report.slot == 1 for report in ingest.stored.values()), "and no span of it"


@pytest.mark.usefixtures("patient")
def test_what_was_seen_last_is_booked_before_the_end(  # noqa: PLR0917
    mosquitto: Broker,
    configure: Configure,
    run_edge: RunEdge,
    link: Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slots of a minute, and nothing is booked before: a stop in mid-slot loses neither passage nor seconds."""
    monkeypatch.setattr(sheet, "BOOK_S", 60.0)
    settings = configure(
        mosquitto,
        sensor=[{"id": unique, "driver": "ld2450", "port": str(link)}],
        report={"slot_s": 60, "every_s": 60},
        stop_wait_s=20,
    )
    with Radar(link) as radar, Ingest(mosquitto, unique) as ingest:
        with run_edge(settings):
            wait_until(lambda: heard(ingest), what="the radar to be heard")
            radar.passes(2)  # two seconds: where a minute ends meanwhile one of its sides has a whole one
            wait_until(lambda: not radar.busy, what="the people to be gone")
        stored(radar, ingest)
        assert sum(ingest.observed().values()) >= 1


@pytest.mark.usefixtures("patient")
def test_who_passes_before_the_clock_is_known_is_placed_afterwards(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """Each passage gets into its second, for the monotonic clock has held it."""
    synchronised = False
    settings = radar_settings(configure, mosquitto, link, unique)
    with (
        Radar(link) as radar,
        Ingest(mosquitto, unique) as ingest,
        run_edge(settings, Clock(lambda: synchronised)),
    ):
        wait_until(lambda: any("clock" in health.detail for health in ingest.healths), what="the reason to be told")
        wait_until(lambda: heard(ingest), what="the radar to be heard")
        radar.passes(2)
        wait_until(lambda: not radar.busy, what="the people to be gone")
        assert ingest.stored == {}

        synchronised = True
        everybody_stored(radar, ingest)
        assert all(report.slot == 1 for report in ingest.stored.values() if report.count)


@pytest.mark.usefixtures("patient")
def test_who_passed_in_a_run_that_never_knew_the_time_is_a_span_of_the_next(  # noqa: PLR0917
    mosquitto: Broker,
    configure: Configure,
    run_edge: RunEdge,
    link: Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sum went into the outbox; the next start that learns the time reports it, with nothing measured."""
    monkeypatch.setattr(tracker, "SAVE_S", 1.0)
    settings = radar_settings(configure, mosquitto, link, unique)
    with Radar(link) as radar, Ingest(mosquitto, unique) as ingest:
        with run_edge(settings, Clock(lambda: False)):
            wait_until(lambda: any("clock" in health.detail for health in ingest.healths), what="the reason to be told")
            wait_until(lambda: heard(ingest), what="the radar to be heard")
            radar.passes(2)
            wait_until(lambda: not radar.busy, what="the people to be gone")

            def saved() -> bool:
                with Outbox.look(settings.outbox.path) as outbox:
                    return [dict(c.totals or {}) for c in outbox.cursors(unique)] == [{(0, 0): 2}]

            wait_until(saved, timeout=30, what="the sum to be in the outbox")
        with run_edge(settings):
            everybody_stored(radar, ingest)
            (span,) = (report for report in ingest.stored.values() if report.count)
            assert (span.slots, span.observed) == (1, (0,))
