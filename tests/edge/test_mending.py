"""A damaged outbox: what is sound is carried over, what is not is said, and nothing is counted twice for it."""

import logging
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from footfall_contract.notice import CommitNotice, StreamState
from footfall_contract.report import decode
from footfall_edge import mending, schema
from footfall_edge.coarsen import MINUTE_S, QUARTER_HOUR_S
from footfall_edge.counts import Cursor
from footfall_edge.mending import Summary, mendings
from footfall_edge.outbox import Entry, Outbox, OutboxError
from footfall_edge.pages import PAGE_SIZE, Pages, rows_of
from footfall_edge.slots import Piece, observed_seconds

pytestmark = pytest.mark.xdist_group("mending")  # they share outboxes that take long to fill

NOON = 1_764_072_000
EPOCH = UUID(int=100)
SENSORS = [f"sensor-{n}" for n in range(4)]
NOW = datetime(2025, 11, 26, tzinfo=UTC)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that can also write the tables of an outbox."""
    database = sqlite3.connect(path, isolation_level=None)
    schema.add_functions(database)
    return database


def keyed(database: sqlite3.Connection, table: str, key: str, columns: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of a table by `key`."""
    width = len(key.split(","))
    rows = database.execute(f"SELECT {key}, {columns} FROM {table}").fetchall()
    return {row[:width]: row[width:] for row in rows}


@dataclass
class Content:
    """What lies in an outbox that nobody uses any more, read by SQLite."""

    slots: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    cells: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    cursors: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    reports: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    streams: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    others: dict[str, dict[tuple[Any, ...], tuple[Any, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> "Content":
        with closing(connect(path)) as database:
            # A report whose bytes are not what they were is never sent: it is as good as lost.
            database.execute("DELETE FROM report WHERE crc <> footfall_crc(sensor, stream, seq, payload)")
            return cls(
                slots=keyed(database, "slot", "sensor, length, start", "measured_ms, reported_s, waiting"),
                cells=keyed(database, "slot_cell", "sensor, length, start, direction, class", "count"),
                cursors=keyed(database, "cursor", "sensor, device", "boot, seq, end_ms, totals"),
                reports=keyed(database, "report", "stream, seq", "id, sensor, slots, numbered_s, committed_s, payload"),
                streams=keyed(database, "stream", "stream", "sensor, next_seq, ended"),
                others={
                    "held_slot": keyed(database, "held_slot", "hold, sensor, length, start", "measured_ms, observed_s"),
                    "held_cell": keyed(database, "held_cell", "hold, sensor, length, start, direction, class", "count"),
                    "set_aside": keyed(database, "set_aside", "stream, seq", "payload"),
                },
            )

    def claim(self, key: tuple[Any, ...]) -> int:
        """Seconds that the next report of a slot would claim."""
        measured_ms, reported_s, waiting = self.slots.get(key, (0, 0, 0))
        return max(0, observed_seconds(measured_ms, key[1]) - reported_s) if waiting else 0

    @property
    def rows(self) -> int:
        tables = [self.slots, self.cells, self.cursors, self.reports, self.streams, *self.others.values()]
        return sum(map(len, tables))


def fill(outbox: Outbox, round_: int) -> None:
    """Let an outbox have much of everything."""
    start = NOON + 100_000 * round_
    for index, sensor in enumerate(SENSORS):
        pieces = [Piece(start + 10 * n, 10, 10_000, ((0, 0, n % 7 + 1), (1, 2, 1))) for n in range(0, 160, 2)]
        spans = [Piece(start + 50_000 + n, 4000 + n, 0, ((0, 0, 40 + n),)) for n in range(6)]
        row = [Piece(start + 20_000 + 10 * n, 10, 9_980, ((0, 0, n + 1), (1, 255, 2), (1, 0, 4))) for n in range(340)]
        outbox.book([Entry(sensor, tuple(pieces + spans), None)])
        stream = UUID(int=1000 * round_ + index + 1)
        outbox.number(sensor, stream, closed_until=2**33, every_s=10, most=500, now_s=start)
        outbox.book([Entry(sensor, tuple(row), None)])
        outbox.number(sensor, stream, closed_until=2**33, every_s=10, most=500, now_s=start)
        outbox.settle(CommitNotice(EPOCH, {sensor: (StreamState(stream, 30, ((40, 45),)),)}), start)
        waiting = [Piece(start + 30_000 + 10 * n, 10, 10_000, ((0, 0, n % 5),) if n % 5 else ()) for n in range(120)]
        outbox.book([Entry(sensor, tuple(waiting), None)])
        for device in range(40):
            cursor = Cursor(40 * round_ + device, 3, 70 + device, start * 1000, {(0, 0): device, (1, 0): 2**32 - 1})
            outbox.book([Entry(sensor, (), cursor)])
    for n in range(20):
        outbox.book([Entry(SENSORS[0], (Piece(start - 500 * n - 7, 3, 3_000, ((0, 0, 1),)),), None)])
        stream = UUID(int=10**6 + 1000 * round_ + n)
        outbox.number(SENSORS[0], stream, closed_until=start - 1000, every_s=10, most=9, now_s=start)


def grow(path: Path) -> Path:
    """A large outbox at `path`, and beside it the same file as it was a while before."""
    with Outbox.open(path, machine="another") as outbox:
        fill(outbox, 0)
    with Outbox.open(path, machine="this") as outbox:
        fill(outbox, 1)
        for (report_id,) in outbox._database.execute("SELECT max(id) FROM report GROUP BY stream LIMIT 5").fetchall():
            outbox._set_aside([report_id])
    earlier = path.with_name("earlier.sqlite")
    shutil.copy(path, earlier)
    with Outbox.open(path, machine="this") as outbox:
        fill(outbox, 2)
        for sensor in SENSORS:
            stream = UUID(int=2 * 10**6 + SENSORS.index(sensor))  # the file is to be the same each time
            outbox.number(sensor, stream, closed_until=NOON + 130_900, every_s=10, most=500, now_s=NOON + 300_000)
            later = [Piece(NOON + 130_000 + 10 * n, 10, 500, ((0, 1, 3),)) for n in range(30)]
            outbox.book([Entry(sensor, tuple(later), None)])
            for device in range(0, 120, 3):
                outbox.book([Entry(sensor, (), Cursor(device, 3, 500, NOON * 1000, {(0, 0): 9999}))])
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound outbox with much in every table; not to be changed."""
    return grow(tmp_path_factory.mktemp("large") / "outbox.sqlite")


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after its slots became coarser, in part; beside it the file as it was long before."""
    path = grow(tmp_path_factory.mktemp("coarse") / "outbox.sqlite")
    with Outbox.open(path, machine="this") as outbox:
        for step_s, until in ((MINUTE_S, NOON + 230_900), (QUARTER_HOUR_S, NOON + 130_900)):
            for waiting in (False, True):
                list(outbox.coarsen(step_s, lambda _, until=until: until, waiting=waiting))  # type: ignore[misc]
        waiting_now = outbox._database.execute("SELECT DISTINCT length FROM slot WHERE waiting AND length < 1000")
        assert {length for (length,) in waiting_now} >= {10, MINUTE_S, QUARTER_HOUR_S}
    return path


@pytest.fixture(scope="module")
def whole(large: Path) -> Content:
    """What is in it."""
    return Content.of(large)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an outbox may be made."""
    return tmp_path / "outbox.sqlite"


def last_mending(path: Path) -> Summary | None:
    """What the outbox remembers of its last mending."""
    with closing(connect(path)) as database:
        past = mendings(database)
    return past[0][1] if past else None


def lost_on(large: Path, number: int) -> set[tuple[Any, ...]]:
    """The rows of the sound file that need its page `number`, by their first values."""
    with Pages(large) as pages:
        found = rows_of(pages, number)
        return set() if found is None else {row[:5] for row in found.rows}


def check(before: Content, after: Content, summary: Summary | None, on_page: set[tuple[Any, ...]]) -> None:
    """`after` claims nothing that is not so, and lacks of `before` only what lay on one page, `on_page`."""
    # Reports: the same bytes or none, never committed if it was not.
    for identity, (*_, committed_s, payload) in after.reports.items():
        assert payload == before.reports[identity][-1]
        assert committed_s in (None, before.reports[identity][-2])
    lost = set(before.reports.keys() - after.reports.keys())
    on_leaf = {row[2:4] for row in on_page if len(row) > 3}
    # A report is also lost by a page on which the rest of its bytes lay; that page has nothing else.
    assert lost <= on_leaf or (len(lost) == 1 and not on_page)

    # Counts: none that was not there, and none of a slot whose number would be too high.
    for key, count in after.cells.items():
        assert before.cells.get(key) == count
    for key in after.slots:
        assert after.claim(key) <= before.claim(key)
    keys = {row[:3] for row in on_page}
    assert {key for key in before.cells.keys() - after.cells.keys() if key[:3] not in keys} == set()
    assert {key for key in before.slots if before.claim(key) > after.claim(key) and key not in keys} == set()

    for key, (boot, seq, end_ms, totals) in after.cursors.items():
        assert (boot, seq) <= before.cursors[key][:2]
        assert totals == "null" or (boot, seq, end_ms, totals) == before.cursors[key]
    assert before.cursors.keys() - after.cursors.keys() <= {row[:2] for row in on_page}
    for table, rows in after.others.items():
        for key, values in rows.items():
            assert table == "set_aside" or before.others[table][key] == values

    # Numbers: no stream goes on.
    for (stream,), (_, next_seq, ended) in after.streams.items():
        assert ended or summary is None
        given = [seq for name, seq in before.reports if name == stream if (name, seq) in after.reports]
        assert next_seq > max(given, default=-1)
    assert {stream for stream, _ in after.reports} <= {stream for (stream,) in after.streams}

    if summary is not None:
        check_missing(before, after, lost, summary)


def check_missing(before: Content, after: Content, lost: set[tuple[Any, ...]], summary: Summary) -> None:
    """What the summary says is missing is, and what is missing it says."""
    said = set()
    for sentence in summary.missing:
        found = re.fullmatch(r"\S+: reports? (\d+)(?: to (\d+))? of stream (\S+)", sentence)
        if found:
            first, last, stream = int(found[1]), int(found[2] or found[1]), found[3]
            said |= {(stream, seq) for seq in range(first, last + 1)}
    assert said <= lost | (before.others["set_aside"].keys() - after.others["set_aside"].keys())
    changed = [re.fullmatch(r"\S+: report (\d+) of (\S+): its bytes changed .*", line) for line in summary.missing]
    said |= {(line[2], int(line[1])) for line in changed if line}
    unknown = {sentence.split("stream ")[1].split(";")[0] for sentence in summary.missing if "how far" in sentence}
    uncommitted = {identity for identity in lost if before.reports[identity][-2] is None}
    assert {
        identity for identity in uncommitted - said if identity[0] not in unknown and (identity[0],) in after.streams
    } == set()
    assert summary.carried["report"] == len(after.reports)
    assert summary.carried["slot"] == len(after.slots)


def tear(path: Path, large: Path, number: int, how: str, rng: random.Random) -> bytes:
    """Put a copy of `large` with half of page `number` overwritten at `path`; returns what is there then."""
    data = bytearray(large.read_bytes())
    half = PAGE_SIZE // 2
    at = (number - 1) * PAGE_SIZE + rng.choice([0, half])
    if how == "zeros":
        data[at : at + half] = bytes(half)
    elif how == "random":
        data[at : at + half] = rng.randbytes(half)
    else:
        earlier = large.with_name("earlier.sqlite").read_bytes()
        data[at : at + half] = earlier[at : at + half].ljust(half, b"\0")
    path.write_bytes(data)
    return bytes(data)


def try_page(folder: Path, large: Path, whole: Content, number: int, how: str) -> bool:
    """Damage one page, open, check; whether the damage was noticed."""
    folder.mkdir()
    path = folder / "outbox.sqlite"
    rng = random.Random(f"{number} {how}")
    torn = tear(path, large, number, how, rng)
    path.with_name("outbox.sqlite.lock").write_text("closed")
    on_page = lost_on(large, number) | lost_on(path, number)

    Outbox.open(path, machine="this").close()

    summary = last_mending(path)
    after = Content.of(path)
    kept = mending.damaged_files(path)
    if kept:
        assert summary is not None
        assert summary.file == kept[0]
        assert path.with_name(kept[0]).read_bytes() == torn, "the damaged file is kept as it was"
    check(whole, after, summary if kept else None, on_page)
    assert whole.rows - after.rows <= len(on_page) + 1
    shutil.rmtree(folder)
    return bool(kept)


WAYS = ("zeros", "random", "old")


@pytest.mark.parametrize("how", WAYS)
def test_a_torn_page_costs_what_lay_on_it(tmp_path: Path, large: Path, whole: Content, how: str) -> None:
    """Half of a page is zeros, noise, or what was there before: the rest is carried over, and nothing else is claimed.

    A seeded sample of the pages; the first, and some from every part of the file, are always among them.
    """
    pages = large.stat().st_size // PAGE_SIZE
    sample = {1, 2, *random.Random(how).sample(range(3, pages + 1), 8)}

    noticed = [try_page(tmp_path / str(number), large, whole, number, how) for number in sorted(sample)]

    assert pages > 150
    assert sum(noticed) > (0 if how == "old" else 7)


@pytest.mark.parametrize("how", WAYS)
def test_a_torn_page_of_a_coarser_outbox_costs_what_lay_on_it(tmp_path: Path, coarse: Path, how: str) -> None:
    """The coarser slots that are left have their counts and claims; none of what they were made of comes back."""
    pages = coarse.stat().st_size // PAGE_SIZE
    whole = Content.of(coarse)
    sample = {1, 2, *random.Random(how).sample(range(3, pages + 1), 8)}

    noticed = [try_page(tmp_path / str(number), coarse, whole, number, how) for number in sorted(sample)]

    assert sum(noticed) > (0 if how == "old" else 4), "the rest of the pages are free"


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", WAYS)
def test_any_torn_page_costs_what_lay_on_it(tmp_path: Path, large: Path, whole: Content, how: str) -> None:
    """The same for every page of the file."""
    pages = large.stat().st_size // PAGE_SIZE
    for number in range(1, pages + 1):
        try_page(tmp_path / str(number), large, whole, number, how)


def damaged_copy(large: Path, path: Path, data: bytes) -> None:
    """`data` at `path`, as a file that an edge has closed."""
    path.write_bytes(data)
    path.with_name(path.name + ".lock").write_text("closed")


def test_a_file_cut_short_anywhere_keeps_what_is_left(tmp_path: Path, large: Path, whole: Content) -> None:
    """Cut after any number of pages: what lay before the cut is carried over, and never less than nothing happens."""
    data = large.read_bytes()
    pages = len(data) // PAGE_SIZE
    carried = []
    for kept in (0, 1, 2, 3, *random.Random(4).sample(range(4, pages - 1), 8), pages - 1):
        path = tmp_path / f"{kept}.sqlite"
        damaged_copy(large, path, data[: kept * PAGE_SIZE])
        Outbox.open(path, machine="this").close()
        after = Content.of(path)
        assert last_mending(path) is not None
        for identity, (*_, payload) in after.reports.items():
            assert payload == whole.reports[identity][-1]
        for key, count in after.cells.items():
            assert whole.cells[key] == count
        for key in after.slots:
            assert after.claim(key) <= whole.claim(key)
        carried.append((kept, after.rows))

    assert [rows for _, rows in sorted(carried)] == sorted(rows for _, rows in carried)
    assert carried[0] == (0, 0)
    assert max(carried)[1] > whole.rows - 200


def test_garbage_in_the_header_costs_nothing(path: Path, large: Path, whole: Content) -> None:
    """The first page only leads to the others: without it every row is found."""
    data = bytearray(large.read_bytes())
    data[:PAGE_SIZE] = random.Random(1).randbytes(PAGE_SIZE)
    damaged_copy(large, path, data)

    Outbox.open(path, machine="this").close()
    after = Content.of(path)

    assert after.cells == whole.cells
    assert after.cursors == whole.cursors
    assert after.reports == whole.reports
    assert after.slots == whole.slots
    assert after.others == whole.others
    summary = last_mending(path)
    assert summary is not None
    assert "not a database" in summary.found[0]
    assert [line for line in summary.missing if "bytes changed" not in line] == []


def test_a_changed_number_is_noticed(path: Path, large: Path, whole: Content) -> None:
    """One bit of a count turns over on the disk: SQLite sees nothing wrong, the row's checksum does."""
    data = bytearray(large.read_bytes())
    with Pages(large) as pages:
        for number in range(2, pages.count + 1):
            found = rows_of(pages, number)
            cell = [row for row in found.rows if len(row) == 7 and row[3:6] == (0, 0, 4)] if found else []
            if cell:
                break
        else:
            pytest.fail("no such row")
    checksum = int(str(cell[0][6]))
    # The count is the byte before the checksum, which takes four bytes, or six if it is too large for a signed four.
    record = bytes([4]) + checksum.to_bytes(4 if checksum < 2**31 else 6, "big")
    place = data.index(record, (number - 1) * PAGE_SIZE, number * PAGE_SIZE)
    data[place] ^= 1
    damaged_copy(large, path, data)
    with closing(connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    Outbox.open(path, machine="this").close()
    after = Content.of(path)

    summary = last_mending(path)
    assert summary is not None
    assert summary.found == ["1 rows of slot_cell do not fit their checksum"]
    assert cell[0][:5] not in after.cells
    assert after.cells.items() <= whole.cells.items()
    assert any(sentence.startswith(f"{cell[0][0]}: 4 passages of the 10 s from") for sentence in summary.missing)


def cut_off(path: Path) -> None:
    """An edge works with the outbox at `path` and is killed."""
    program = (
        "import os, signal, sys; from pathlib import Path; from uuid import uuid4\n"
        "from footfall_edge.outbox import Outbox, Entry; from footfall_edge.slots import Piece\n"
        f"NOON = {NOON}\n"
        "outbox = Outbox.open(Path(sys.argv[1]), machine='this')\n"
        "outbox.book([Entry('markt-1', (Piece(NOON, 10, 10_000, ((0, 0, 2),)),), None)])\n"
        "outbox._database.execute('PRAGMA wal_checkpoint')\n"
        "outbox.number('markt-1', uuid4(), closed_until=2**33, every_s=10, most=9, now_s=NOON)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9


def test_a_killed_edge_leaves_no_damage(path: Path) -> None:
    """Its -wal is there: nothing is mended, nothing held."""
    cut_off(path)

    with Outbox.open(path, machine="this") as outbox:
        assert (outbox.tally().numbered, outbox.tally().held) == (1, {})
    assert last_mending(path) is None


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_lost_log_holds_what_may_have_been_sent(path: Path, how: str) -> None:
    """Without its -wal the file is what it was some time ago: its slots may have been numbered and sent since."""
    cut_off(path)
    log_file = path.with_name("outbox.sqlite-wal")
    if how == "removed":
        log_file.unlink()
        path.with_name("outbox.sqlite-shm").unlink()
    else:
        log_file.write_bytes(b"")

    with Outbox.open(path, machine="this") as outbox:
        tally = outbox.tally()
        assert outbox.number("markt-1", uuid4(), closed_until=2**33, every_s=10, most=9, now_s=NOON) == []
    assert (tally.unnumbered, tally.numbered, tally.held) == (0, 0, {"markt-1": 1})
    summary = last_mending(path)
    assert summary is not None
    assert "its -wal, with the latest changes, is gone" in summary.found[0]
    assert summary.held == 1


def test_a_torn_file_is_read_with_its_log(path: Path) -> None:
    """What was in the -wal alone when the main file was torn is carried over as well; both are kept."""
    cut_off(path)
    logged = path.with_name("outbox.sqlite-wal").read_bytes()
    path.write_bytes(b"")

    with Outbox.open(path, machine="this") as outbox:
        (report,) = outbox.uncommitted("markt-1", 9)
    assert decode(report.payload).count == (2,)
    (kept,) = mending.damaged_files(path)
    assert path.with_name(kept + "-wal").read_bytes() == logged


def test_the_log_tells_what_was_found(path: Path, large: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line for each finding, one for each thing that is missing, and a last one with the numbers."""
    tear(path, large, 1, "random", random.Random(3))
    path.with_name("outbox.sqlite.lock").write_text("closed")
    with caplog.at_level(logging.INFO), Outbox.open(path, machine="this"):
        pass

    said = [record.message for record in caplog.records]
    assert said.count("the outbox was damaged") >= 1
    assert "the outbox was mended: what is missing will show as not measured" in said
    assert "this outbox has been damaged several times" not in " ".join(said)


def test_every_damaged_file_is_kept_under_a_name_of_its_own(
    path: Path, large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also in the same second. Three of them are a reason to look at the disk."""
    for number in range(3):
        tear(path, large, 2 + number, "zeros", random.Random(0))
        path.with_name("outbox.sqlite.lock").write_text("closed")
        Outbox.open(path, machine="this").close()

    kept = mending.damaged_files(path)
    assert len(kept) == 3
    assert all(re.fullmatch(r"outbox\.sqlite\.damaged-\d{8}T\d{6}Z(-\d)?", name) for name in kept)
    assert len({path.with_name(name).read_bytes() for name in kept}) == 3
    assert "damaged several times" in caplog.text


def test_a_mended_outbox_goes_on(path: Path, large: Path) -> None:
    """It books, numbers and sends; a stream of before is not continued, whatever its counter says."""
    tear(path, large, 30, "zeros", random.Random(0))
    path.with_name("outbox.sqlite.lock").write_text("closed")
    with Outbox.open(path, machine="this") as outbox:
        old = UUID(int=2001)
        outbox.book([Entry("new-1", (Piece(NOON, 10, 10_000, ((0, 0, 2),)),), None)])
        with pytest.raises(OutboxError, match="was ended"):
            outbox.number("new-1", old, closed_until=2**33, every_s=10, most=9, now_s=NOON)
        assert len(outbox.number("new-1", uuid4(), closed_until=2**33, every_s=10, most=9, now_s=NOON)) == 1
        outbox.prune(NOON, keep_committed_days=14, max_bytes=10**9)


class Cut(BaseException):
    """The power fails."""


def test_a_power_cut_while_mending_is_made_good(tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut before each step that changes a file name: the next start finishes or repeats, and all is there once."""
    torn = tear(tmp_path / "torn", large, 1, "zeros", random.Random(1))
    expected = None
    for step in range(12):
        folder = tmp_path / str(step)
        folder.mkdir()
        path = folder / "outbox.sqlite"
        damaged_copy(large, path, torn)
        path.with_name("outbox.sqlite-wal").write_bytes(b"a log of which nothing can be read")
        left = [step]

        def dies(*_: object, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        with monkeypatch.context() as patch:
            renames, syncs = Path.rename, mending._sync_folder
            patch.setattr(Path, "rename", lambda a, b, d=dies, r=renames: _or_cut(d, r, a, b))
            patch.setattr(mending, "_sync_folder", lambda a, d=dies, s=syncs: _or_cut(d, s, a))
            with suppress(Cut):
                Outbox.open(path, machine="this").close()
        Outbox.open(path, machine="this").close()

        found = Content.of(path)
        expected = expected or found
        assert found == expected, step
        (kept,) = mending.damaged_files(path)
        assert path.with_name(kept).read_bytes() == torn
        assert path.with_name(kept + "-wal").read_bytes().startswith(b"a log")
        assert {file.name for file in folder.iterdir() if not file.name.endswith("-shm")} == {
            "outbox.sqlite",
            "outbox.sqlite.lock",
            kept,
            kept + "-wal",
        }
        if left[0] >= 0:
            break
    assert step >= 5
    assert expected.rows > 1000


def _or_cut(dies: Any, do: Any, *arguments: Any) -> Any:
    if dies():
        raise Cut
    return do(*arguments)


def test_no_room_to_mend_is_said_and_destroys_nothing(path: Path, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new outbox does not fit: a sentence says what is needed, the damaged file stays where and as it was."""
    torn = tear(path, large, 2, "zeros", random.Random(0))
    path.with_name("outbox.sqlite.lock").write_text("closed")
    with monkeypatch.context() as patch:
        patch.setattr(mending, "upgrade", lambda database: (schema.upgrade(database), fill_up(database)))
        with pytest.raises(
            OutboxError, match=r"cannot be mended: database or disk is full\. Nothing of it was changed"
        ):
            Outbox.open(path, machine="this")

    assert path.read_bytes() == torn
    assert {file.name for file in path.parent.iterdir() if not file.name.endswith("-shm")} <= {
        "outbox.sqlite",
        "outbox.sqlite.lock",
        "outbox.sqlite-wal",
    }
    Outbox.open(path, machine="this").close()
    assert last_mending(path) is not None


def fill_up(database: sqlite3.Connection) -> None:
    """Let a database grow no more."""
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0] + 20}")


def test_a_place_that_is_no_outbox_is_left_alone(tmp_path: Path) -> None:
    """A folder, another program's file or database: a sentence, and nothing is renamed or written."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "noise").write_bytes(random.Random(2).randbytes(30_000))
    with closing(sqlite3.connect(tmp_path / "theirs")) as database:
        database.execute("CREATE TABLE invoice (id)")
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}

    with pytest.raises(OutboxError, match="it is a folder"):
        Outbox.open(tmp_path / "folder")
    with pytest.raises(OutboxError, match="a database of another program: it has the table invoice"):
        Outbox.open(tmp_path / "theirs")
    for _ in range(2):
        with pytest.raises(OutboxError, match="is no outbox: file is not a database"):
            Outbox.open(tmp_path / "noise")
    assert {file: file.read_bytes() for file in before} == before
    assert mending.damaged_files(tmp_path / "noise") == []


def test_a_file_that_may_not_be_written_is_named(open_folder: Path) -> None:
    """Read-only for this account: a sentence, and no mending."""
    folder = open_folder / uuid4().hex
    folder.mkdir()
    path = folder / "outbox.sqlite"
    Outbox.open(path).close()
    path.chmod(0o444)
    folder.chmod(0o777)
    (folder / "outbox.sqlite.lock").chmod(0o666)
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            Outbox.open(path)
        except OutboxError as error:
            os.write(send, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(send)
    with os.fdopen(receive) as said:
        assert "cannot be used: attempt to write a readonly database" in said.read()
    assert mending.damaged_files(path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_outbox_on_a_full_disk_can_be_opened(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As long as SQLite can read it: what waits can be sent then. That nothing can be written is said."""
    path = small_disk / "outbox.sqlite"
    with Outbox.open(path, machine="this") as outbox:
        outbox.book([Entry("markt-1", (Piece(NOON, 10, 10_000, ((0, 0, 2),)),), None)])
        outbox.number("markt-1", UUID(int=1), closed_until=2**33, every_s=10, most=9, now_s=NOON)
    opened = 0
    for left in range(0, 64 * 1024, 4096):
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, max(0, filler.stat().st_size - left))
        with suppress(OutboxError), Outbox.open(path, machine="this") as outbox:
            opened += "cannot be written" in caplog.text
            assert len(outbox.uncommitted("markt-1", 9)) == 1
        filler.unlink()
        caplog.clear()

    assert opened
    with Outbox.open(path, machine="this") as outbox:
        assert outbox.tally().numbered == 1
    assert mending.damaged_files(path) == []
