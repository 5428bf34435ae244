"""Faults of devices, edges, messages and ingest, alone and in random sequence: stored is exactly what was reported."""

from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from footfall_testing.clockwork import Chain, Death, passages
from footfall_testing.ingest_store import NOON


def test_a_reboot_loses_the_open_interval_and_nothing_else(chain: Chain) -> None:
    """What the device had counted since its last cut is gone and is said to be: that time is not measured."""
    box = chain.box()
    chain.run(60)
    box.device.passes(3)
    chain.run(10)
    box.device.passes(2, direction=1)
    chain.run(2)
    box.device.reboot()
    chain.run(120)

    found = chain.settle()
    assert box.device.lost == {("markt-1", 1, 0): 2}
    assert passages(found) == {("markt-1", 0, 0): 3}
    seconds = found.coverage["markt-1", NOON + 60] + sum(
        n for (_, start, _), n in found.span_coverage.items() if NOON + 60 <= start < NOON + 120
    )
    assert 55 <= seconds <= 59


def test_an_edge_that_is_away_for_longer_than_the_ring_gives_a_sum(chain: Chain) -> None:
    """What fell out of the ring is a span over the time without an edge, with nothing measured."""
    box = chain.box(ring=6)
    chain.run(60)
    box.kill()
    for _ in range(20):
        box.device.passes(2, direction=1)
        chain.run(10)
    box.start()

    found = chain.settle()
    (unmeasured,) = {key[:3] for key in found.spans if found.span_coverage[key[:3]] == 0}
    assert NOON + 40 <= unmeasured[1] < unmeasured[2] <= NOON + 260 - 50
    assert sum(found.spans.values()) == pytest.approx(2 * (20 - 6), abs=4)


@pytest.mark.parametrize("death", ["heard", "booked", "sent"])
def test_two_restarts_of_the_edge_within_one_slot(chain: Chain, death: Death) -> None:
    """Wherever in its turn the edge dies, twice in ten seconds: each passage is stored once, each second too."""
    box = chain.box(interval_s=1)
    chain.run(62)
    for _ in range(2):
        box.device.passes(1)
        chain.run(2)
        box.dies = death
        chain.run(1)
        box.start()
    chain.run(60)

    found = chain.settle()
    assert passages(found) == {("markt-1", 0, 0): 2}
    assert found.coverage["markt-1", NOON + 60] == 60


def test_messages_that_are_lost_doubled_late_and_out_of_order(chain: Chain) -> None:
    """Of ten reports some never arrive, some twice, one after two days; notices likewise. The books are right."""
    box = chain.box()
    chain.courier.reports.fates.extend([(), (0, 7), (40,), (), (2 * 86400.0,), (90, 0), (0,), ()])
    chain.courier.notices.fates.extend([(), (100,), (0, 50), (), (200,)])
    for n in range(30):
        box.device.passes(1 + n % 3, direction=n % 2, class_=n % 2 * 2)
        chain.run(10)

    chain.settle()


class AnyFaults(RuleBasedStateMachine):
    """Two sensors on one box, and everything that may happen to them."""

    dsn: str
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.undo = self.connection.transaction(force_rollback=True)
        self.undo.__enter__()
        self.chain = Chain(self.connection, self.folder)
        self.chain.ingest.every_s = 10
        for old in self.folder.glob("outbox-0*"):
            old.unlink()
        self.box = self.chain.box(sensors=("markt-1", "markt-2"), ring=20)

    @initialize(seconds=st.integers(12, 25))
    def first_contact(self, seconds: int) -> None:
        """What a device counted before the edge knew it is not the edge's to know."""
        self.chain.run(seconds)

    @rule(
        seconds=st.sampled_from([1, 9, 30, 100, 400]),
        number=st.integers(0, 9),
        which=st.integers(0, 1),
        direction=st.integers(0, 2),
        class_=st.sampled_from([0, 2, 255]),
    )
    def time_passes(self, seconds: int, number: int, which: int, direction: int, class_: int) -> None:
        if number:
            self.box.devices[which].passes(number, direction, class_)
        self.chain.run(seconds, step_s=1 if seconds < 30 else 5)

    @rule(which=st.integers(0, 1))
    def device_reboots(self, which: int) -> None:
        self.box.devices[which].reboot()

    @rule(which=st.integers(0, 1), plugged=st.booleans())
    def cable(self, which: int, plugged: bool) -> None:
        (self.box.plug if plugged else self.box.unplug)(self.box.devices[which].sensor)

    @rule(which=st.integers(0, 1), missing=st.lists(st.integers(-1, 400), min_size=1, max_size=4))
    def bytes_are_lost(self, which: int, missing: list[int]) -> None:
        self.box.lines[self.box.devices[which].sensor].missing.extend(missing)

    @precondition(lambda self: self.box.alive)
    @rule(death=st.sampled_from(["heard", "booked", "sent"]))
    def edge_is_killed(self, death: Death) -> None:
        self.box.dies = death
        self.chain.run(1)

    @precondition(lambda self: not self.box.alive)
    @rule()
    def edge_starts(self) -> None:
        self.box.start()

    @rule(fates=st.lists(st.sampled_from([(), (0.0,), (0.0, 15.0), (60.0,), (1000.0,), (90.0, 30.0)]), max_size=8))
    def reports_suffer(self, fates: list[tuple[float, ...]]) -> None:
        self.chain.courier.reports.fates.extend(fates)

    @rule(fates=st.lists(st.sampled_from([(), (0.0,), (0.0, 15.0), (60.0,), (1000.0,)]), max_size=8))
    def notices_suffer(self, fates: list[tuple[float, ...]]) -> None:
        self.chain.courier.notices.fates.extend(fates)

    # More than ten minutes ahead ingest sets reports aside, which is another test's matter.
    @rule(offset_s=st.sampled_from([0, 0, -2, -3, -61, -300, -3600, 2, 30, 300]))
    def clock_is_set(self, offset_s: int) -> None:
        self.box.offset_s = offset_s

    @rule(synchronised=st.booleans())
    def kernel_says(self, synchronised: bool) -> None:
        self.box.synchronised = synchronised

    @rule(fault=st.sampled_from(["rolled back", "died after commit"]))
    def ingest_fails(self, fault: str) -> None:
        self.chain.ingest.fault = fault  # type: ignore[assignment]

    @rule(away=st.booleans())
    def ingest_is_away(self, away: bool) -> None:
        self.chain.ingest.away = away

    def teardown(self) -> None:
        try:
            self.box.synchronised = True
            self.chain.settle(step_s=10)
        finally:
            self.chain.close()
            self.undo.__exit__(None, None, None)
            self.connection.close()


def run_machine(dsn: str, folder: Path, examples: int, steps: int) -> None:
    """Run it on one database, which is empty again after each example."""
    machine = type("AnyFaultsHere", (AnyFaults,), {"dsn": dsn, "folder": folder})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.timeout(600)
def test_any_sequence_of_faults(database: str, tmp_path: Path) -> None:
    """Whatever happens in whatever order: once everything runs again, stored is what was reported, exactly."""
    run_machine(database, tmp_path, examples=12, steps=30)


@pytest.mark.full
@pytest.mark.timeout(3000)
def test_many_sequences_of_faults(database: str, tmp_path: Path) -> None:
    """The same with many and longer sequences."""
    run_machine(database, tmp_path, examples=150, steps=60)
