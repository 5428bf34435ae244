"""The outbox: what is in it stays, whatever ends the process, and is told apart by its three states."""

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import killed_outbox
from footfall_contract.notice import CommitNotice, StreamState
from footfall_contract.report import SlotReport, decode
from footfall_edge.counts import Cursor
from footfall_edge.outbox import SLOT_KEPT_S, Entry, Outbox, OutboxError, surviving
from footfall_edge.slots import Piece

NOON = 1_764_072_000
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


def book(outbox: Outbox, *pieces: Piece, cursor: Cursor | None = None, sensor: str = SENSOR) -> None:
    """Book `pieces` of one sensor."""
    outbox.book([Entry(sensor, pieces, cursor)])


def slot(number: int, count: int = 1, measured_ms: int = 10_000) -> Piece:
    """The 10 s slot `number` after noon with passages inwards."""
    return Piece(NOON + 10 * number, 10, measured_ms, ((0, 0, count),) if count else ())


def number(outbox: Outbox, stream: UUID, *, until: int = NOON + 86400 * 365, most: int = 64) -> list[SlotReport]:
    """Number everything that is closed; the reports as ingest would read them."""
    reports = outbox.number(SENSOR, stream, closed_until=until, every_s=10, most=most, now_s=NOON)
    return [decode(report.payload) for report in reports]


def notice(stream: UUID, below: int, *above: tuple[int, int], epoch: UUID = EPOCH) -> CommitNotice:
    """A notice on one stream of one sensor."""
    return CommitNotice(epoch, {SENSOR: (StreamState(stream, below, above),)})


def waiting(outbox: Outbox) -> list[int]:
    """The numbers of reports that are not known to be stored, oldest first."""
    return [report.seq for report in outbox.uncommitted(SENSOR, 10_000)]


def test_counts_and_cursor_survive_together(path: Path) -> None:
    """What was booked is there after the file is opened again, and so is how far the device was booked."""
    cursor = Cursor(7, 3, 41, NOON * 1000, {(0, 0): 2**32 - 1, (1, 255): 4})
    with Outbox.open(path) as outbox:
        book(outbox, slot(0, 3), cursor=cursor)

    with Outbox.open(path) as outbox:
        assert outbox.cursors(SENSOR) == [cursor]
        assert outbox.cursors("other-1") == []
        assert number(outbox, uuid4())[0].count == (3,)


def test_a_booking_is_all_or_nothing(outbox: Outbox) -> None:
    """When one entry of a batch cannot be stored, none is: no count without its cursor, no cursor without its count."""
    bad = Entry(SENSOR, (slot(1),), Cursor(7, 1, 2**70, 0, {}))

    with pytest.raises(OverflowError):
        outbox.book([Entry(SENSOR, (slot(0),), Cursor(7, 1, 1, 0, {})), bad])

    assert outbox.cursors(SENSOR) == []
    assert number(outbox, uuid4()) == []


def test_unnumbered_slots_merge(outbox: Outbox) -> None:
    """Two fragments of a slot, before and after a reboot, become one report of the whole slot."""
    book(outbox, slot(0, 2, measured_ms=4_300))
    book(outbox, slot(0, 3, measured_ms=5_700))

    (report,) = number(outbox, uuid4())

    assert (report.observed, report.count) == ((10,), (5,))


def test_what_comes_after_the_report_goes_into_another(outbox: Outbox) -> None:
    """A fragment after its slot was reported is reported too; together they claim no more seconds than the slot has."""
    stream = uuid4()
    book(outbox, slot(0, 2, measured_ms=4_300))
    (first,) = number(outbox, stream)
    book(outbox, slot(0, 3, measured_ms=6_600))
    (second,) = number(outbox, stream)

    assert (first.seq, first.observed, first.count) == (0, (4,), (2,))
    assert (second.seq, second.start, second.observed, second.count) == (1, NOON, (6,), (3,))


def test_a_silent_slot_is_reported_once_and_counts_may_follow(outbox: Outbox) -> None:
    """Silence is reported only where nothing is known; counts that come later go into an additional report."""
    stream = uuid4()
    book(outbox, slot(1))

    noted = outbox.note_silence([(SENSOR, NOON, 10), (SENSOR, NOON + 10, 10), (SENSOR, NOON + 20, 10)])
    (first,) = number(outbox, stream)
    again = outbox.note_silence([(SENSOR, NOON, 10), (SENSOR, NOON + 10, 10)])
    book(outbox, slot(0, 4))
    (late,) = number(outbox, stream)

    assert noted == {SENSOR: 2}
    assert first.observed == (0, 10, 0)
    assert again == {SENSOR: 0}
    assert (late.start, late.observed, late.count) == (NOON, (10,), (4,))


def test_only_closed_slots_are_numbered(outbox: Outbox) -> None:
    """The slot under way stays mergeable."""
    book(outbox, slot(0), slot(1), slot(2))

    assert number(outbox, uuid4(), until=NOON + 29)[0].slots == 2


def test_a_backlog_is_packed(outbox: Outbox) -> None:
    """A day of waiting slots leaves in 24 reports; spans leave alone, as soon as they are the oldest that is left."""
    stream = uuid4()
    book(outbox, *(slot(n, n % 3) for n in range(8640)), Piece(NOON + 3, 4000, 0, ((0, 0, 9),)))

    reports = number(outbox, stream)

    assert [report.slots for report in reports] == [360] * 4 + [1] + [360] * 20
    assert sum(report.total for report in reports) == 8640 + 9
    assert [report.seq for report in reports] == list(range(25))
    assert number(outbox, stream) == []


def test_numbering_stops_at_the_room_there_is(outbox: Outbox) -> None:
    """Only as many reports get a number as may be sent; the rest stays unnumbered, and mergeable."""
    stream = uuid4()
    book(outbox, *(slot(2 * n) for n in range(10)))

    assert [report.start for report in number(outbox, stream, most=3)] == [NOON, NOON + 20, NOON + 40]
    book(outbox, slot(6, 5, measured_ms=0))
    assert number(outbox, stream, most=1)[0].count == (6,)
    assert number(outbox, stream, most=0) == []


def test_a_numbered_report_never_changes(path: Path) -> None:
    """Its bytes are the same after more was counted for its slot, and after the process was exchanged."""
    stream = uuid4()
    with Outbox.open(path) as outbox:
        book(outbox, slot(0, 2))
        number(outbox, stream)
        before = outbox.uncommitted(SENSOR, 10)
        book(outbox, slot(0, 7))

    with Outbox.open(path) as outbox:
        assert outbox.uncommitted(SENSOR, 10) == before
        assert outbox.report(before[0].id) == before[0]
        assert outbox.report(9999) is None


def test_a_stream_is_numbered_without_gaps(outbox: Outbox) -> None:
    """0, 1, 2, … also after all its reports were committed and forgotten."""
    stream = uuid4()
    book(outbox, slot(0))
    number(outbox, stream)
    outbox.settle(notice(stream, 1), NOON)
    outbox.prune(NOON + 100 * 86400, keep_committed_days=14, max_bytes=10**9)
    book(outbox, slot(1))

    assert [report.seq for report in number(outbox, stream)] == [1]


def test_a_notice_commits_what_it_covers(outbox: Outbox) -> None:
    """Everything below `next` and in the ranges above it, of that stream and sensor alone."""
    stream, other = uuid4(), uuid4()
    book(outbox, *(slot(2 * n) for n in range(8)))
    number(outbox, stream)
    book(outbox, slot(50))
    number(outbox, other)

    settled = outbox.settle(notice(stream, 2, (4, 6)), NOON)

    assert len(settled.committed) == 4
    assert waiting(outbox) == [2, 3, 6, 7, 0]


def test_within_an_epoch_the_highest_next_is_believed(outbox: Outbox) -> None:
    """An older notice that arrives late takes nothing back."""
    stream = uuid4()
    book(outbox, *(slot(2 * n) for n in range(4)))
    number(outbox, stream)

    outbox.settle(notice(stream, 3), NOON)
    settled = outbox.settle(notice(stream, 1), NOON)

    assert (settled.committed, settled.reopened) == (frozenset(), 0)
    assert waiting(outbox) == [3]


def test_after_a_restore_only_the_notice_counts(outbox: Outbox) -> None:
    """In a new epoch what the notice does not cover waits again: later numbers, streams it does not know, all of it."""
    old, new = uuid4(), uuid4()
    book(outbox, slot(0))
    number(outbox, old)
    book(outbox, *(slot(2 * n) for n in range(1, 6)))
    number(outbox, new)
    outbox.settle(notice(old, 1), NOON)
    outbox.settle(notice(new, 5), NOON)
    assert waiting(outbox) == []

    settled = outbox.settle(notice(new, 2, (3, 4), epoch=UUID(int=101)), NOON)

    assert settled.reopened == 3
    assert waiting(outbox) == [0, 2, 4]
    assert outbox.settle(notice(new, 2, epoch=UUID(int=101)), NOON).reopened == 0


def test_committed_reports_are_kept_and_then_forgotten(outbox: Outbox) -> None:
    """Committed reports go after 14 days; what is not committed never goes."""
    stream = uuid4()
    book(outbox, slot(0), slot(2))
    number(outbox, stream)
    outbox.settle(notice(stream, 1), NOON)
    day = 86400

    assert outbox.prune(NOON + 14 * day, keep_committed_days=14, max_bytes=10**9) == 0
    assert outbox.prune(NOON + 14 * day + 1, keep_committed_days=14, max_bytes=10**9) == 1
    assert outbox.prune(NOON + 9999 * day, keep_committed_days=14, max_bytes=0) == 0
    assert waiting(outbox) == [1]


def test_when_space_is_short_committed_reports_go_first(outbox: Outbox) -> None:
    """Above the limit the oldest committed reports go before their time, and only they; freed space counts as free."""
    stream = uuid4()
    for hour in range(3):
        book(outbox, *(slot(hour * 1000 + 2 * n) for n in range(300)))
        number(outbox, stream, most=300)
    outbox.settle(notice(stream, 800), NOON)
    full = outbox.bytes_used()

    forgotten = outbox.prune(NOON, keep_committed_days=14, max_bytes=full * 3 // 4)

    assert 0 < forgotten < 800
    assert outbox.bytes_used() <= full * 3 // 4
    assert len(waiting(outbox)) == 100
    assert outbox.tally().committed == 800 - forgotten


def test_forgetting_much_takes_many_short_steps(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """After days without a network there is much to forget: no step does more than its share, and in the end all is."""
    monkeypatch.setattr("footfall_edge.outbox.FORGOTTEN_AT_ONCE", 100)
    stream = uuid4()
    book(outbox, *(slot(2 * n) for n in range(350)))
    number(outbox, stream, most=350)
    outbox.settle(notice(stream, 350), NOON)
    left = []
    for _ in outbox.pruning(NOON + 30 * 86400, keep_committed_days=14, max_bytes=10**9):
        (slots,) = outbox._database.execute("SELECT count(*) FROM slot WHERE length > 0").fetchone()
        left.append((outbox.tally().committed, slots))

    steps = [(a - c, b - d) for (a, b), (c, d) in pairwise([(350, 350), *left])]
    assert all(reports <= 100 and slots <= 100 for reports, slots in steps)
    assert left[-1] == (0, 0)


def test_the_record_of_a_slot_outlives_its_report_by_two_days(outbox: Outbox) -> None:
    """Until then a late fragment claims only the seconds that are left.

    After that it is only known that the slot was stamped: what comes for it is a span with nothing measured.
    """
    stream = uuid4()
    claimed = []
    for age, fragment_ms in ((SLOT_KEPT_S, 8_000), (SLOT_KEPT_S + 1, 2_000)):
        book(outbox, slot(0, measured_ms=fragment_ms))
        claimed += number(outbox, stream)
        outbox.prune(NOON + 10 + age, keep_committed_days=14, max_bytes=10**9)
    book(outbox, slot(0, measured_ms=8_000))
    claimed += number(outbox, stream)

    assert [(report.slot, report.observed, report.total) for report in claimed] == [
        (10, (8,), 1),
        (10, (2,), 1),
        (11, (0,), 1),
    ]
    book(outbox, slot(1))
    assert number(outbox, stream)[0].observed == (10,), "after the last forgotten slot all is as ever"


def test_a_time_that_is_repeated_becomes_one_span(outbox: Outbox) -> None:
    """Ten slots are stamped, and the clock shows eight of them again: one report, when that time is over."""
    stream = uuid4()
    book(outbox, *(slot(n) for n in range(10)))
    number(outbox, stream)

    for n in range(2, 10):
        book(outbox, slot(n, 2))
        assert number(outbox, stream, until=NOON + 10 * n + 7) == []
    (report,) = number(outbox, stream, until=NOON + 100)
    book(outbox, slot(10))

    assert (report.start, report.end, report.observed, report.count) == (NOON + 20, NOON + 100, (0,), (16,))
    assert number(outbox, stream)[0].start == NOON + 100


def test_a_repetition_of_which_nobody_passed_says_nothing(outbox: Outbox) -> None:
    """An empty interval in repeated time has nothing to report."""
    book(outbox, slot(0))
    number(outbox, uuid4())
    book(outbox, slot(0, 0))

    assert number(outbox, uuid4()) == []


def test_a_repetition_within_a_coarser_row(outbox: Outbox) -> None:
    """A minute that is measured in full has no room for one of its slots, whatever the rows are called."""
    book(outbox, Piece(NOON, 60, 60_000, ((0, 0, 9),)), Piece(NOON + 60, 900, 900_000, ((0, 0, 9),)))
    number(outbox, uuid4())
    book(outbox, slot(3), slot(7))

    (report,) = number(outbox, uuid4())
    assert (report.start, report.end, report.observed, report.total) == (NOON + 30, NOON + 960, (0,), 2)


def test_slots_of_the_future_do_not_hold_up_the_present(outbox: Outbox) -> None:
    """However many slots a wrong clock has stamped far ahead, those that are over are numbered."""
    book(outbox, *(slot(100_000 + n) for n in range(2 * 360)), slot(0), Piece(NOON - 7, 900, 0, ((0, 0, 1),)))

    reports = number(outbox, uuid4(), until=NOON + 1000, most=2)

    assert [report.start for report in reports] == [NOON - 7, NOON]


def test_only_one_process_has_an_outbox(path: Path, outbox: Outbox) -> None:
    """A second one hears a sentence that names the process and what to do; it is free again after the close."""
    with pytest.raises(OutboxError, match=rf"in use by another footfall-edge \(process {os.getpid()}\); stop that one"):
        Outbox.open(path)
    outbox.close()

    Outbox.open(path).close()


def test_a_lock_of_a_killed_process_does_not_hold(path: Path) -> None:
    """The kernel lets go of the lock with the process: after kill -9 the outbox opens."""
    program = (
        "import os, signal, sys; from pathlib import Path; from footfall_edge.outbox import Outbox\n"
        "outbox = Outbox.open(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)

    assert killed.returncode == -9
    Outbox.open(path).close()


def test_it_can_be_looked_at_while_an_edge_works(path: Path, outbox: Outbox) -> None:
    """Looking takes no lock, sees what is committed to disk, and can write nothing."""
    stream = uuid4()
    book(outbox, slot(0), slot(1), slot(5))
    number(outbox, stream, until=NOON + 20)

    with Outbox.look(path) as look:
        tally = look.tally()
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            book(look, slot(9))

    assert tally.waiting_slots == {SENSOR: 3}
    assert (tally.unnumbered, tally.numbered, tally.committed, tally.oldest_s) == (1, 1, 0, NOON)
    assert outbox.sensors() == {SENSOR}


def test_places_where_no_outbox_can_be_are_named(tmp_path: Path) -> None:
    """No folder, no outbox, another program's file, a later version: a sentence each."""
    (tmp_path / "text").write_text("no database, and longer than a page header " * 20)
    later = tmp_path / "later"
    with sqlite3.connect(later) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()

    with pytest.raises(OutboxError, match="No such file or directory"):
        Outbox.open(tmp_path / "none" / "outbox")
    with pytest.raises(OutboxError, match="not a database"):
        Outbox.open(tmp_path / "text")
    with pytest.raises(OutboxError, match="version 9, this footfall-edge knows version 2"):
        Outbox.open(later)
    with pytest.raises(OutboxError, match="no outbox at"):
        Outbox.look(tmp_path / "nothing")


def test_a_full_disk_stops_nothing_and_loses_nothing(outbox: Outbox) -> None:
    """When the file cannot grow the booking fails as a whole, is survived, and works again when there is room."""
    pages = outbox._database.execute("PRAGMA page_count").fetchone()[0]
    outbox._database.execute(f"PRAGMA max_page_count = {pages}")
    day = [slot(n) for n in range(8640)]
    after = []

    with surviving("booking"):
        book(outbox, *day)
        after.append("told the device")

    assert after == []
    assert number(outbox, uuid4()) == []
    outbox._database.execute("PRAGMA max_page_count = 1000000")
    book(outbox, *day)
    assert sum(report.total for report in number(outbox, uuid4())) == 8640


def test_every_change_is_on_disk_before_it_is_told(outbox: Outbox) -> None:
    """The file is in WAL mode and every commit waits for the disk (synchronous = FULL, which SQLite calls 2)."""
    assert outbox._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert outbox._database.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.timeout(400)
def test_a_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed with SIGKILL at each SQL statement in turn, what is left is always a whole number of bookings.

    The device then says the rest again. Every report keeps its number, and no number is given twice.
    """
    done = subprocess.run(
        [sys.executable, killed_outbox.__file__, str(tmp_path)], check=True, capture_output=True, text=True, timeout=300
    )
    runs = int(done.stdout)
    assert runs > 30

    for run in range(1, runs + 1):
        with Outbox.open(tmp_path / f"{run}.sqlite") as outbox:
            (booked,) = [cursor.seq for cursor in outbox.cursors(SENSOR)] or [0]
            outbox.book([killed_outbox.entry(n) for n in range(booked + 1, 4)])
            number(outbox, uuid4())
            rows = outbox._database.execute("SELECT stream, seq, payload FROM report ORDER BY id").fetchall()
            pruned = outbox._database.execute("SELECT sum(next_seq) FROM stream").fetchone()[0] - len(rows)

        reports = [decode(payload) for _, _, payload in rows]
        assert [(str(report.stream), report.seq) for report in reports] == [row[:2] for row in rows]
        assert len({row[:2] for row in rows}) == len(rows)
        assert not pruned or run > runs - 20, "only the last step forgets reports"
        if not pruned:
            passages = Counter()  # type: ignore[var-annotated]
            observed = Counter()  # type: ignore[var-annotated]
            for report in reports:
                observed.update({report.start + 10 * n: s for n, s in enumerate(report.observed)})
                for index, direction, count in zip(report.index, report.direction, report.count, strict=True):
                    passages[report.start + 10 * index, direction] += count
            expected = {(NOON + 10 * n, 0): 2 for n in (1, 2, 3)} | {(NOON + 10 * n, 1): 1 for n in (0, 1, 2)}
            assert passages == expected, f"killed at statement {run}"
            assert +observed == {NOON: 1, NOON + 10: 10, NOON + 20: 10, NOON + 30: 9}, f"killed at statement {run}"


fragments = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 12_000), st.integers(0, 5), st.booleans()), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(fragments)
def test_counts_add_up_and_seconds_stay_within_the_slot(moves: list[tuple[int, int, int, bool]]) -> None:
    """However fragments and reports alternate: all counts are reported once, and no slot claims more than its 10 s.

    What comes for a slot that has no time left is in spans with nothing measured.
    """
    database = sqlite3.connect(":memory:", isolation_level=None)
    outbox = Outbox(database, None)
    from footfall_edge.outbox import _prepare

    _prepare(database, Path(":memory:"))
    stream = uuid4()
    reports: list[SlotReport] = []
    for at, measured_ms, count, report_now in moves:
        book(outbox, slot(at, count, measured_ms))
        if report_now:
            reports += number(outbox, stream)
    reports += number(outbox, stream)
    outbox.close()

    observed: Counter[int] = Counter()
    for report in reports:
        if report.is_span:
            assert report.observed == (0,)
        else:
            observed.update({report.start + 10 * n: seconds for n, seconds in enumerate(report.observed)})
    measured: Counter[int] = Counter()
    for at, measured_ms, _, _ in moves:
        start = NOON + 10 * at
        if measured[start] + measured_ms <= 11_000:
            measured[start] += measured_ms
    assert sum(report.total for report in reports) == sum(count for _, _, count, _ in moves)
    assert {start: observed[start] for start in measured} == {
        start: min((ms + 50) // 1000, 10) for start, ms in measured.items()
    }
