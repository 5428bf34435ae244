"""When space is short: what goes, in which order, how far, and that no count is lost or doubled by it."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from edge import killed_room
from edge.conftest import SmallDisk
from footfall_contract.notice import CommitNotice, StreamState
from footfall_contract.report import SlotReport, decode
from footfall_edge import holding, mending
from footfall_edge import outbox as outbox_module
from footfall_edge.clock import Moment
from footfall_edge.coarsen import MINUTE_S, QUARTER_HOUR_S, STEPS_S
from footfall_edge.outbox import Entry, Outbox, OutboxError, reserve_of, surviving
from footfall_edge.room import AGAIN_AFTER_S, LOOK_EVERY_S, Limits, Room, Space
from footfall_edge.schema import unguarded
from footfall_edge.slots import Piece
from footfall_ingest.ledger import Ledger
from footfall_testing.processes import with_tests

NOON = 1_764_072_000
DAY = 86400
SENSOR = "markt-1"
EPOCH = UUID(int=100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an outbox may be made."""
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    """A new outbox."""
    with Outbox.open(path) as opened:
        yield opened


def book(outbox: Outbox, *pieces: Piece, sensor: str = SENSOR) -> None:
    """Book `pieces` of one sensor."""
    outbox.book([Entry(sensor, pieces, None)])


def slot(number: int, count: int = 1, measured_ms: int = 10_000) -> Piece:
    """The 10 s slot `number` after noon with passages inwards."""
    return Piece(NOON + 10 * number, 10, measured_ms, ((0, 0, count),) if count else ())


def number(outbox: Outbox, *, until: int = NOON + 365 * DAY, most: int = 100_000) -> list[SlotReport]:
    """Give everything that is closed its number; the reports as ingest would read them."""
    reports = outbox.number(SENSOR, uuid4(), closed_until=until, every_s=10, most=most, now_s=NOON)
    return [decode(report.payload) for report in reports]


def coarsen(outbox: Outbox, step_s: int, *, until: int = NOON + 365 * DAY, waiting: bool = True) -> int:
    """Make all coarser that may be; how many slots that were."""
    return sum(outbox.coarsen(step_s, lambda _: until, waiting=waiting))


def lengths(outbox: Outbox) -> Counter[int]:
    """How many slots of which length wait."""
    return Counter(dict(outbox._database.execute("SELECT length, count(*) FROM slot WHERE waiting GROUP BY length")))


def observed(reports: list[SlotReport]) -> dict[tuple[int, int], int]:
    """Claimed seconds by start and length of the slot."""
    found: Counter[tuple[int, int]] = Counter()
    for report in reports:
        found.update({(report.start + report.slot * n, report.slot): s for n, s in enumerate(report.observed)})
    return dict(found)


def commit(outbox: Outbox) -> None:
    """Ingest has stored every report."""
    streams = outbox._database.execute("SELECT stream, next_seq FROM stream").fetchall()
    states = tuple(StreamState(UUID(stream), following) for stream, following in streams)
    outbox.settle(CommitNotice(EPOCH, {SENSOR: states}), NOON)


class Housekeeper:
    """A room with a clock of its own that stands at the end of what may be made coarser."""

    def __init__(self, outbox: Outbox, path: Path, max_bytes: int) -> None:
        self.room = Room(outbox, path, max_bytes)
        self._monotonic_s = 0.0

    def work(self, until: int | None) -> None:
        """Make room until there is no more to do."""
        self._monotonic_s += AGAIN_AFTER_S
        for _ in range(10_000):
            now = Moment(None if until is None else until * 1000, self._monotonic_s)
            with surviving("making room"):
                self.room.make(lambda _: until, now)
                if self.room._coarsening is None:
                    return
                continue
            self._monotonic_s += LOOK_EVERY_S
        raise AssertionError("making room has no end")


def value(name: str, **labels: str) -> float:
    """What a metric of the edges in this process stands at."""
    return REGISTRY.get_sample_value(f"footfall_edge_{name}", labels) or 0


# Coarser slots in the outbox.


def test_coarser_slots_report_the_same(outbox: Outbox) -> None:
    """Half an hour, of which the first minutes are reported: minutes, then quarter hours, claim what was left."""
    book(outbox, *(slot(n, n % 3, measured_ms=1000 * (n % 11)) for n in range(180)))
    before = number(outbox, until=NOON + 330, most=1)

    assert coarsen(outbox, MINUTE_S) == 180 - 30
    assert lengths(outbox) == {60: 25}
    coarsen(outbox, QUARTER_HOUR_S)
    after = number(outbox)

    assert [(report.start, report.slot, report.slots) for report in after] == [(NOON, 900, 1), (NOON + 900, 900, 1)]
    assert sum(report.total for report in before + after) == sum(n % 3 for n in range(180))
    assert sum(sum(report.observed) for report in before + after) == sum(n % 11 for n in range(180))


def test_the_oldest_slots_leave_first_however_coarse(outbox: Outbox) -> None:
    """Quarter hours are older than minutes, and these than slots; slots of one length go together as ever."""
    book(outbox, *(slot(n) for n in range(360)), Piece(NOON + 1803, 100, 0, ((0, 0, 1),)))
    coarsen(outbox, MINUTE_S, until=NOON + 2700)
    coarsen(outbox, QUARTER_HOUR_S, until=NOON + 1800)

    reports = number(outbox)
    assert [(report.start - NOON, report.slot, report.slots) for report in reports] == [
        (0, 900, 1),
        (900, 900, 1),
        (1800, 60, 15),
        (1803, 100, 1),
        (2700, 10, 90),
    ]


def test_what_may_grow_and_what_is_a_span_stays(outbox: Outbox) -> None:
    """Slots of a minute that is not over keep their time, and so does a recovered sum."""
    recovered = Piece(NOON + 3, 60, 0, ((0, 0, 7),))
    book(outbox, *(slot(n) for n in range(9)), recovered)

    assert coarsen(outbox, MINUTE_S, until=NOON + 89) == 6

    assert lengths(outbox) == {10: 3, 60: 2}
    assert (NOON + 3, 60) in observed(number(outbox))


def test_a_late_piece_finds_the_coarser_slot(outbox: Outbox) -> None:
    """Its passages are counted, and with what was reported of the minute no second is claimed twice.

    What the minute has no room for repeats time: it becomes a span with nothing measured.
    """
    book(outbox, *(slot(n) for n in range(5)))
    early = number(outbox, until=NOON + 20)
    coarsen(outbox, MINUTE_S)
    book(outbox, slot(5, 4, measured_ms=6_000))
    rest = number(outbox)
    book(outbox, slot(0, 2, measured_ms=4_000))
    late = number(outbox)
    book(outbox, slot(1, 3))
    later = number(outbox)

    assert observed(early) == {(NOON, 10): 10, (NOON + 10, 10): 10}
    assert observed(rest) == {(NOON, 60): 36}
    assert observed(late) == {(NOON, 60): 4}
    assert observed(later) == {(NOON + 10, 50): 0}
    assert [report.total for report in rest + late + later] == [3 + 4, 2, 3]


def test_records_become_coarser_and_still_hold_the_seconds(outbox: Outbox) -> None:
    """What was reported in full leaves one record for a quarter hour; a late piece claims nothing more."""
    book(outbox, *(slot(n) for n in range(180)))
    number(outbox)

    assert coarsen(outbox, MINUTE_S, waiting=False) == 180
    assert coarsen(outbox, QUARTER_HOUR_S, waiting=False) == 30
    book(outbox, slot(100, 5))

    assert outbox._database.execute("SELECT count(*) FROM slot WHERE waiting = 0").fetchone() == (2,)
    assert [(report.start, report.observed, report.total) for report in number(outbox)] == [(NOON + 1000, (0,), 5)]


def test_a_ring_that_comes_after_silence_keeps_its_slots(outbox: Outbox) -> None:
    """Silent slots that became a quarter hour stand in nobody's way: what the device kept has its own time."""
    outbox.note_silence([(SENSOR, NOON + 10 * n, 10) for n in range(90)])
    coarsen(outbox, MINUTE_S)
    coarsen(outbox, QUARTER_HOUR_S)
    silent = number(outbox)
    book(outbox, slot(3, 2), slot(4, 1))

    assert observed(silent) == {(NOON, 900): 0}
    assert observed(number(outbox)) == {(NOON + 30, 10): 10, (NOON + 40, 10): 10}


def test_silence_is_not_noted_beside_a_coarser_slot(outbox: Outbox) -> None:
    """Something is known of such a slot."""
    book(outbox, *(slot(n) for n in range(6)))
    coarsen(outbox, MINUTE_S)

    assert outbox.note_silence([(SENSOR, NOON, 10), (SENSOR, NOON + 60, 10)]) == {SENSOR: 1}


def test_the_oldest_of_all_sensors_go_first(outbox: Outbox) -> None:
    """Rounds go on in time over all sensors, each a transaction of bounded size."""
    for sensor in ("a-1", "b-1"):
        book(outbox, *(slot(n) for n in range(2000)), sensor=sensor)
    rounds = outbox.coarsen(MINUTE_S, lambda _: NOON + DAY, waiting=True)

    at_once = outbox_module.COARSENED_AT_ONCE
    assert [next(rounds) for _ in range(4)] == [at_once] * 4
    minutes = outbox._database.execute("SELECT sensor, count(*) FROM slot WHERE length = 60 GROUP BY sensor").fetchall()
    assert minutes == [("a-1", at_once // 3), ("b-1", at_once // 3)]


def test_held_slots_go_back_into_the_coarser_slot_that_took_their_place(outbox: Outbox) -> None:
    """Adopted, they claim the seconds that they had, no more and no less, however coarse the records became since.

    noon                     + 1 min                  + 2 min
    |  3 slots reported      |  6 slots on hold       |
    |  3 slots on hold       |                        |
    """
    book(outbox, *(slot(n) for n in range(12)))
    early = number(outbox, until=NOON + 30)
    hold(outbox)
    for step_s in STEPS_S:
        coarsen(outbox, step_s, waiting=False)
    book(outbox, slot(4, 2), slot(20, 3, measured_ms=9_000))
    late = number(outbox)
    assert fits(outbox)

    assert outbox.adopt().slots == 9
    coarsen(outbox, QUARTER_HOUR_S)
    assert fits(outbox)
    adopted = number(outbox)
    book(outbox, slot(0, 1))

    assert observed(early) == {(NOON + 10 * n, 10): 10 for n in range(3)}
    assert observed(late) == {(NOON, 900): 19}
    assert (observed(adopted), sum(report.total for report in adopted)) == ({(NOON, 900): 90}, 9)
    assert sum(report.total for report in early + late) == 3 + 5


def test_a_held_coarser_slot_is_adopted_beside_finer_ones_of_its_time(outbox: Outbox) -> None:
    """It was held first, and its record is gone; finer slots of the same time were held later.

    Of a time whose record is gone it is known that it was stamped: what came for it later claims nothing.
    """
    book(outbox, *(slot(n) for n in range(5)))
    coarsen(outbox, MINUTE_S)
    hold(outbox)
    outbox.prune(NOON + 10 * DAY, keep_committed_days=14, max_bytes=10**9)
    book(outbox, slot(0, 2, measured_ms=0), slot(5), slot(6))
    hold(outbox)
    outbox.prune(NOON + 10 * DAY, keep_committed_days=14, max_bytes=10**9)

    outbox.adopt()

    reports = number(outbox)
    assert observed(reports) == {(NOON, 60): 50, (NOON + 49, 11): 0, (NOON + 60, 10): 10}
    assert sum(report.total for report in reports) == 5 + 2 + 1 + 1


def test_beside_a_coarser_slot_whose_seconds_are_lost_nothing_is_claimed(outbox: Outbox) -> None:
    """So a mended outbox may have one: all of it counts as claimed, and a late piece adds its passages only."""
    outbox._database.execute(
        "INSERT INTO slot (sensor, length, start, measured_ms, reported_s, waiting) VALUES (?, 900, ?, 0, 900, 1)",
        (SENSOR, NOON),
    )
    book(outbox, slot(3, 2))

    (report,) = number(outbox)
    assert (report.start, report.slot, report.observed, report.total) == (NOON, 900, (0,), 2)


places = st.sampled_from([84, 87, 90])
"""Slots in the last minute of a quarter hour and the first of the next: few, so that they are met again and again."""

moves = st.lists(
    st.one_of(
        st.tuples(
            st.just("book"), places, st.sampled_from([3, 6]), st.sampled_from([0, 3_700, 10_000]), st.integers(0, 4)
        ),
        st.tuples(st.just("silent"), places),
        st.tuples(st.just("recover"), st.integers(0, 1), st.integers(1, 9)),
        st.tuples(st.just("number"), st.just(200), st.integers(1, 3)),
        st.tuples(st.just("coarsen"), st.sampled_from(STEPS_S), st.sampled_from([30, 90, 96, 200]), st.booleans()),
        st.tuples(st.just("hold")),
        st.tuples(st.just("adopt")),
    ),
    min_size=3,
    max_size=40,
)


def play(outbox: Outbox, moves: list[tuple[int | str, ...]]) -> tuple[list[SlotReport], int]:
    """Do `moves`, report what is left, and return all reports and how many passages were booked."""
    reports: list[SlotReport] = []
    passed = 0
    for move in moves:
        match move:
            case ("book", int(at), int(slots), int(measured_ms), int(count)):
                book(outbox, *(slot(at + n, count, measured_ms) for n in range(slots)))
                passed += count * slots
            case ("silent", int(at)):
                outbox.note_silence([(SENSOR, NOON + 10 * at, 10)])
            case ("recover", int(at), int(count)):
                book(outbox, Piece(NOON + 900 * at, 900, 0, ((0, 0, count),)))
                passed += count
            case ("number", int(at), int(most)):
                reports += number(outbox, until=NOON + 10 * at, most=most)
            case ("coarsen", int(step_s), int(at), bool(waiting)):
                coarsen(outbox, step_s, until=NOON + 10 * at, waiting=waiting)
            case ("hold",):
                hold(outbox)
            case ("adopt",):
                outbox.adopt()
            case _:
                raise AssertionError(move)
        assert fits(outbox)
    outbox.adopt()
    return reports + number(outbox), passed


def hold(outbox: Outbox) -> None:
    """What is unnumbered is put on hold."""
    with outbox._transaction():
        holding.hold(outbox._database, "a test", NOON)


def fits(outbox: Outbox) -> bool:
    """Whether each row fits its checksum, and what a slot says of its cells is so."""
    sums = outbox._database.execute(
        "SELECT passages, cells, coalesce(sum(count), 0), coalesce(sum(cell.guard), 0)"
        " FROM slot LEFT JOIN slot_cell AS cell USING (sensor, length, start) GROUP BY sensor, length, start"
    ).fetchall()
    alone = outbox._database.execute(
        "SELECT 1 FROM slot_cell WHERE (sensor, length, start) NOT IN (SELECT sensor, length, start FROM slot)"
    ).fetchall()
    return unguarded(outbox._database) == {} and alone == [] and all(row[:2] == row[2:] for row in sums)


@settings(max_examples=100)
@given(moves)
def test_whatever_comes_when_all_is_counted_once_and_ingest_takes_it(moves: list[tuple[int | str, ...]]) -> None:
    """However bookings, reports, coarsening and holding alternate: each passage leaves once, no second twice."""
    outbox = Outbox(sqlite3.connect(":memory:", isolation_level=None), None)
    outbox_module._prepare(outbox._database, Path(":memory:"))
    reports, passed = play(outbox, moves)
    outbox.close()

    ledger = Ledger()
    for report in reports:
        if report.is_span:
            assert not report.observed[0] or not ledger.book_span((report.start, report.end, report.observed[0]))
        else:
            by_minute: Counter[int] = Counter()
            for start, seconds in ((start, s) for (start, _), s in observed([report]).items()):
                by_minute[start // 60 * 60] += seconds
            assert ledger.book_minutes(by_minute) == ""
    assert sum(report.total for report in reports) == passed


@pytest.mark.timeout(400)
def test_a_kill_while_slots_become_coarser_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed with SIGKILL at each SQL statement in turn: the sums in the outbox and its reports are the same."""
    done = subprocess.run(
        [sys.executable, killed_room.__file__, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        env=with_tests(),
    )
    runs = int(done.stdout)
    assert runs > 80

    booked = killed_room.booked()
    left = booked[killed_room.REPORTED :]
    coarse: Counter[int] = Counter()
    for run in range(1, runs + 1):
        with Outbox.open(tmp_path / f"{run}.sqlite") as outbox:
            late = outbox._database.execute("SELECT count(*) FROM slot_cell WHERE class = 255").fetchone()[0]
            coarse.update(lengths(outbox).keys())
            reports = number(outbox)

        passages = sum(count for piece in left for _, _, count in piece.passages)
        assert sum(report.total for report in reports) == passages + late, f"killed at statement {run}"
        # The late piece is for a slot that was measured in part: what of it may be claimed, its quarter hour knows.
        seconds = sum(piece.measured_ms // 1000 for piece in left) + 10 * late
        assert sum(observed(reports).values()) == seconds, f"killed at statement {run}"
    assert coarse.keys() == {10, 60, 900}


# When, in which order, and how far.


def test_space_is_short_in_three_ways() -> None:
    """The file is over its budget; the disk is nearly full and the file too; something could not be written."""
    limits = Limits(8_000_000)
    enough = Space(used=8_000_000, free=0, disk_free=10**9, disk_size=10**10)

    assert limits.missing(enough, full=False) <= 0
    assert limits.missing(Space(8_000_001, 0, 10**9, 10**10), full=False) == 1
    assert limits.missing(Space(5_000_000, 400_000, 500_000, 10**10), full=False) == 100_000
    assert limits.missing(Space(5_000_000, 500_000, 500_000, 10**10), full=False) <= 0
    assert limits.missing(Space(5_000_000, 300_000, 10**9, 10**10), full=True) == 700_000
    assert limits.missing(Space(100_000, 0, 200_000, 1_000_000), full=False) < 0, "a small disk is not a full one"


def test_what_goes_goes_in_its_order_and_no_further(outbox: Outbox, path: Path) -> None:
    """Stored reports, then records, then minutes, then quarter hours; each only as far as the budget asks for it.

    noon                      day 1                       day 2
    |  reported, stored       |  waits                    |
    """
    book(outbox, *(slot(n) for n in range(8640)))
    for _ in range(24):
        number(outbox, most=1)
    commit(outbox)
    book(outbox, *(slot(8640 + n) for n in range(8640)))
    until = NOON + 2 * DAY

    def after(share: float) -> tuple[int, bool, dict[int, int]]:
        Housekeeper(outbox, path, int(outbox.bytes_used() * share)).work(until)
        fine = outbox._database.execute("SELECT count(*) FROM slot WHERE waiting = 0 AND length = 10").fetchone()[0]
        return outbox.tally().committed, fine == 8640, dict(lengths(outbox))

    assert after(1) == (24, True, {10: 8640})
    committed, records_fine, waiting = after(0.99)
    assert (0 < committed < 24 or committed == 0, records_fine, waiting) == (True, True, {10: 8640})
    assert after(0.85) == (0, False, {10: 8640})
    assert outbox._database.execute("SELECT max(start) FROM slot WHERE waiting = 0 AND length = 10").fetchone()[0], (
        "the newest records are still as fine as they were"
    )
    _, _, waiting = after(0.6)
    assert waiting.keys() == {10, 60}
    (newest_minute,) = outbox._database.execute(
        "SELECT max(start) FROM slot WHERE waiting = 1 AND length = 60"
    ).fetchone()
    (oldest_slot,) = outbox._database.execute(
        "SELECT min(start) FROM slot WHERE waiting = 1 AND length = 10"
    ).fetchone()
    assert newest_minute < oldest_slot
    _, _, waiting = after(0.2)
    assert waiting.keys() == {60, 900}
    assert sum(report.total for report in number(outbox)) == 8640


def test_days_without_a_broker_stay_within_the_budget(
    outbox: Outbox, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A backlog of six days in 400 kB: no passage and no second is lost, and the newest time is told most finely."""
    budget = 400_000
    keeper = Housekeeper(outbox, path, budget)
    before = value("coarsened_slots_total", step="minutes"), value("coarsened_slots_total", step="quarter hours")
    outbox._database.execute("PRAGMA synchronous = OFF")
    most = passed = 0
    with caplog.at_level(logging.WARNING):
        for hour in range(6 * 24):
            pieces = [slot(360 * hour + n, (n * 7 + hour) % 4) for n in range(360)]
            book(outbox, *pieces)
            passed += sum(count for piece in pieces for _, _, count in piece.passages)
            keeper.work(NOON + 3600 * (hour + 1))
            most = max(most, outbox.bytes_used())

    assert most <= budget
    assert path.stat().st_size <= budget + 100_000, "an hour is booked at once here, before there is room for it"
    assert path.with_name(path.name + "-wal").stat().st_size <= 400_000
    assert value("coarsened_slots_total", step="minutes") - before[0] > 40_000
    assert value("coarsened_slots_total", step="quarter hours") - before[1] > 1_000
    assert value("outbox_over_budget") == 0
    assert {record.message for record in caplog.records} == {"space was short: slots became coarser"}
    ends = outbox._database.execute("SELECT length, max(start) FROM slot GROUP BY length ORDER BY length").fetchall()
    assert [length for length, _ in ends] in ([10, 60, 900], [60, 900])
    assert sorted(ends, key=lambda end: end[1], reverse=True) == ends
    reports = number(outbox)
    assert sum(report.total for report in reports) == passed
    assert sum(observed(reports).values()) == 6 * DAY


def test_when_nothing_more_may_go_that_is_said_and_all_is_kept(
    outbox: Outbox, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Numbered reports do not change and do not go; the gauge says that space is short, until it is not."""
    book(outbox, *(slot(2 * n) for n in range(2000)))
    number(outbox)
    keeper = Housekeeper(outbox, path, 100_000)
    before = outbox.uncommitted(SENSOR, 10_000)

    with caplog.at_level(logging.WARNING):
        keeper.work(NOON + DAY)
        keeper.work(NOON + DAY)

    assert [record.message for record in caplog.records if "nothing more may go" in record.message] == [
        "space is short and nothing more may go; nothing is dropped, but the disk needs room"
    ]
    assert value("outbox_over_budget") == 1
    assert outbox.uncommitted(SENSOR, 10_000) == before
    commit(outbox)
    keeper.work(NOON + DAY)
    assert value("outbox_over_budget") == 0


def test_without_the_time_only_stored_reports_go(outbox: Outbox, path: Path) -> None:
    """While the clock is not trusted nobody knows which slots are over."""
    book(outbox, *(slot(n) for n in range(3000)))
    number(outbox, most=1)
    commit(outbox)

    Housekeeper(outbox, path, 1000).work(None)

    assert outbox.tally().committed == 0
    assert lengths(outbox) == {10: 3000 - 360}


def test_making_room_leaves_the_loop_its_turn(outbox: Outbox, path: Path) -> None:
    """One call does a bounded part of a long work, and the next one goes on with it; without need it does nothing."""
    book(outbox, *(slot(n) for n in range(5 * 8640)))
    room = Room(outbox, path, 100_000)
    until = NOON + 5 * DAY
    room.make(lambda _: until, Moment(until * 1000, 0.0))
    first = lengths(outbox)[60]
    room.make(lambda _: until, Moment(until * 1000, 0.1))

    assert 0 < first < lengths(outbox)[60] < 5 * 1440
    relaxed = Room(outbox, path, 10**9)
    relaxed.make(lambda _: until, Moment(until * 1000, 0.0))
    relaxed.make(lambda _: until, Moment(until * 1000, LOOK_EVERY_S))
    assert lengths(outbox)[10] > 0


# The reserve, and full disks.


def test_a_reserve_is_made_given_up_and_made_again(
    outbox: Outbox, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It really takes up its room. When something cannot be written it goes; once all that can be done is, it is back.

    That it goes and comes is said once, however often it happens.
    """
    keeper = Housekeeper(outbox, path, 4_000_000)
    reserve = reserve_of(path)
    assert reserve.stat().st_blocks * 512 >= reserve.stat().st_size == 1_000_000
    assert value("outbox_reserve_bytes") == 1_000_000

    pages = outbox._database.execute("PRAGMA page_count").fetchone()[0]
    outbox._database.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            book(outbox, *(slot(n) for n in range(8640)))
        keeper.work(NOON)

    assert [record.message for record in caplog.records].count(
        "the disk is full: the reserve is given up to make room"
    ) == 1
    assert reserve.stat().st_size == 1_000_000
    assert value("outbox_reserve_bytes") == 1_000_000


def test_without_room_for_a_reserve_there_is_none_and_all_works(
    outbox: Outbox, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder stands where the reserve should be: that is said once, and the edge goes on."""
    reserve_of(path).mkdir()
    reserve_of(path).joinpath("something").touch()

    keeper = Housekeeper(outbox, path, 4_000_000)
    keeper.work(NOON)
    book(outbox, slot(0))

    assert [record.message for record in caplog.records] == ["no reserve for a full disk"]
    assert value("outbox_reserve_bytes") == 0


def fill(folder: Path) -> Path:
    """Somebody else takes up all the room of a disk."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 1024)
    return filler


def no_room_at_all(folder: Path) -> bool:
    disk = os.statvfs(folder)
    return disk.f_bavail == 0


def test_a_backlog_fills_the_disk_and_everything_arrives(small_disk: SmallDisk) -> None:
    """On a really full disk bookings fail as a whole; with room made or given they go on, and each passage is there.

    First nothing may become coarser (the time is not known). What was kept for making room is still there afterwards.
    """
    path = small_disk(1536) / "outbox.sqlite"
    with Outbox.open(path) as outbox:
        keeper = Housekeeper(outbox, path, 2 * 10**6)
        booked = 0

        def book_until_it_fails(most: int) -> bool:
            nonlocal booked
            for _ in range(most):
                with surviving("booking"):
                    book(outbox, *(slot(60 * booked + n) for n in range(60)))
                    booked += 1
                    continue
                return True
            return False

        for _ in range(20):
            assert book_until_it_fails(10_000)
            keeper.work(None)
            assert reserve_of(path).stat().st_size >= 200_000
            assert value("outbox_over_budget") == 1

        full_at = booked
        assert book_until_it_fails(1)
        keeper.work(NOON + 600 * booked)
        assert not book_until_it_fails(20)
        assert booked == full_at + 20

        small_disk(16 * 1024)
        keeper.work(NOON + 600 * booked)
        assert reserve_of(path).stat().st_size == 500_000
        reports = number(outbox)
    assert sum(report.total for report in reports) == 60 * booked
    assert sum(observed(reports).values()) == 600 * booked


def left_by(path: Path, *, reserve: bool, ended: str, last: str = "pass") -> None:
    """A process books 2000 slots and numbers three hours of them, of which two are stored; then does `last`."""
    program = (
        "import os, signal, sys; from pathlib import Path; from edge.test_room import *\n"
        "path = Path(sys.argv[1]); outbox = Outbox.open(path)\n"
        "room = Room(outbox, path, 1_000_000)\n"
        "if sys.argv[2] == 'False': reserve_of(path).unlink()\n"
        "for n in range(0, 2000, 50): book(outbox, *(slot(n + k) for k in range(50)))\n"
        "number(outbox, most=2); commit(outbox); number(outbox, most=1)\n"
        f"{last}\n"
        "if sys.argv[3] == 'killed': os.kill(os.getpid(), signal.SIGKILL)\n"
        "outbox.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(reserve), ended], check=ended == "closed", env=with_tests()
    )
    assert done.returncode == (0 if ended == "closed" else -signal.SIGKILL)


def damaged(path: Path) -> list[str]:
    """What was taken for damaged or put on hold."""
    with Outbox.look(path) as outbox:
        return mending.damaged_files(path) + list(outbox.tally().held)


@pytest.mark.parametrize("ended", ["closed", "killed"])
@pytest.mark.parametrize("reserve", [True, False])
def test_an_edge_starts_on_a_full_disk(small_disk: SmallDisk, ended: str, reserve: bool) -> None:
    """With a reserve it can settle and make room at once; without one it can at least read what is to be sent.

    When there is room again all goes on, also in a next process, and nothing is taken for damaged.
    """
    path = small_disk(1024) / "outbox.sqlite"
    left_by(path, reserve=reserve, ended=ended)
    assert reserve_of(path).exists() == reserve
    filler = fill(path.parent)
    assert no_room_at_all(path.parent)

    with Outbox.open(path) as outbox:
        assert len(outbox.uncommitted(SENSOR, 10)) == 1
        keeper = Housekeeper(outbox, path, 1_000_000)
        if reserve:
            Outbox.look(path).close()  # the reserve's room was enough to open it as always
            commit(outbox)
            assert outbox.uncommitted(SENSOR, 10) == []
            Housekeeper(outbox, path, 100_000).work(NOON + DAY)
            book(outbox, *(slot(2000 + n) for n in range(60)))
            reports = number(outbox)
    if not reserve:
        with Outbox.open(path) as outbox:
            keeper = Housekeeper(outbox, path, 1_000_000)
            filler.unlink()
            keeper.work(NOON + DAY)
            commit(outbox)
            book(outbox, *(slot(2000 + n) for n in range(60)))
            reports = number(outbox)
    assert sum(report.total for report in reports) == 2060 - 3 * 360
    filler.unlink(missing_ok=True)
    assert damaged(path) == []
    with Outbox.open(path) as outbox:
        assert len(outbox.uncommitted(SENSOR, 100)) == len(reports)
    assert damaged(path) == []


@pytest.mark.parametrize("last", ["outbox.shorten_journal()", "number(outbox, until=0)"])
def test_a_kill_when_the_journal_was_emptied_is_no_lost_journal(path: Path, last: str) -> None:
    """Nothing was in it, so nothing is on hold, also where an empty transaction followed."""
    left_by(path, reserve=True, ended="killed", last=f"outbox.shorten_journal(); {last}")
    assert path.with_name(path.name + "-wal").stat().st_size == 0

    with Outbox.open(path) as outbox:
        assert len(outbox.uncommitted(SENSOR, 10)) == 1
    assert damaged(path) == []


def test_a_journal_that_is_lost_after_it_was_emptied_is_missed(path: Path) -> None:
    """The next thing that is written is in the journal again, and without it nobody knows what was sent."""
    left_by(path, reserve=True, ended="killed", last="outbox.shorten_journal(); book(outbox, slot(1999))")
    path.with_name(path.name + "-wal").unlink()

    Outbox.open(path).close()
    assert damaged(path) != []


@pytest.mark.parametrize("ended", ["closed", "killed"])
def test_a_start_that_fails_for_want_of_room_leaves_no_doubt(small_disk: SmallDisk, ended: str) -> None:
    """It came from another computer and could not be put on hold: refused, and the next start finds all as it was."""
    path = small_disk(1024) / "outbox.sqlite"
    with Outbox.open(path, machine="first"):
        pass
    left_by(path, reserve=False, ended=ended)
    filler = fill(path.parent)
    with pytest.raises(OutboxError, match="full"):
        Outbox.open(path, machine="second")
    filler.unlink()

    with Outbox.open(path, machine="first") as outbox:
        assert outbox.tally().unnumbered == 2000 - 3 * 360
    assert damaged(path) == []


def test_a_start_that_fails_after_the_journal_was_brought_in_leaves_no_doubt(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed edge, then one that cannot bring the file to its version: the journal is gone, and nothing with it."""
    left_by(path, reserve=True, ended="killed")

    def no_room(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(outbox_module, "upgrade", no_room)
        with pytest.raises(OutboxError, match="cannot be brought to the version"):
            Outbox.open(path)
    assert not path.with_name(path.name + "-wal").exists()

    with Outbox.open(path) as outbox:
        assert len(outbox.uncommitted(SENSOR, 10)) == 1
    assert damaged(path) == []


def test_a_window_full_of_packed_reports_is_settled_on_a_full_disk(small_disk: SmallDisk) -> None:
    """That needs more room than is kept, so it is done in parts, at the cost of the reserve."""
    path = small_disk(6144) / "outbox.sqlite"
    with Outbox.open(path) as outbox:
        room = Room(outbox, path, 1_000_000)
        for hour in range(64):
            book(outbox, *(Piece(NOON + 3600 * hour + 10 * n, 10, 10_000, ((0, 0, 1), (1, 0, 2))) for n in range(360)))
        assert len(number(outbox, most=64)) == 64
        assert outbox.shorten_journal()
        fill(path.parent)

        commit(outbox)

        assert outbox.tally().committed == 64
        assert not reserve_of(path).exists()
        room.make(lambda _: None, Moment(None, 0.0))
        assert outbox.tally().numbered == 0


def test_a_long_backlog_leaves_on_a_full_disk(small_disk: SmallDisk) -> None:
    """A window full of packed reports needs more room than is kept: they are numbered and settled in parts."""
    path = small_disk(4096) / "outbox.sqlite"
    with Outbox.open(path) as outbox:
        keeper = Housekeeper(outbox, path, 1_000_000)
        for hour in range(56):
            book(outbox, *(Piece(NOON + 3600 * hour + 10 * n, 10, 10_000, ((0, 0, 1), (1, 0, 2))) for n in range(360)))
        fill(path.parent)
        passages = sent = 0
        for _ in range(4):
            with surviving("sending"):
                number(outbox, most=64)
            waiting = outbox.uncommitted(SENSOR, 64)
            passages += sum(decode(report.payload).total for report in waiting)
            sent += len(waiting)
            with surviving("settling"):
                commit(outbox)
            assert outbox.uncommitted(SENSOR, 64) == []
            if not outbox.sensors():
                break
            keeper.work(None)
    assert (passages, sent) == (56 * 360 * 3, 56)


def test_a_new_outbox_on_a_full_disk_is_refused_with_a_sentence(small_disk: SmallDisk) -> None:
    """Where there is no outbox yet and no room for one, the edge says so. With room it makes one, nothing mended."""
    folder = small_disk(256)
    filler = fill(folder)

    with pytest.raises(OutboxError, match=r"outbox\.sqlite cannot be used: (database or disk is full|disk I/O error)"):
        Outbox.open(folder / "outbox.sqlite")
    filler.unlink()
    Outbox.open(folder / "outbox.sqlite").close()
    assert damaged(folder / "outbox.sqlite") == []
