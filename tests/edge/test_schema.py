"""The outbox file of an older version becomes one of today's, in its place, all or nothing."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from footfall_contract.notice import CommitNotice, StreamState
from footfall_contract.report import decode, encode_cbor
from footfall_edge import outbox as outbox_module
from footfall_edge import schema
from footfall_edge.counts import Cursor
from footfall_edge.outbox import Outbox, OutboxError
from footfall_edge.overview import overview
from footfall_edge.slots import Waiting, report_of

NOON = 1_764_072_000
STREAM = UUID(int=7)

VERSION_1 = """
CREATE TABLE about (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT) STRICT;
INSERT INTO about VALUES (1, NULL);

-- How far each device is booked. totals: JSON [[direction, class, total], ...]
CREATE TABLE cursor (
    sensor TEXT NOT NULL, device INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    end_ms INTEGER NOT NULL, totals TEXT NOT NULL,
    PRIMARY KEY (sensor, device)
) STRICT, WITHOUT ROWID;

-- Slots and spans. measured_ms: all that was ever booked; reported_s: what numbered reports claimed of it.
CREATE TABLE slot (
    sensor TEXT NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    measured_ms INTEGER NOT NULL, reported_s INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL,
    PRIMARY KEY (sensor, length, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX slot_waiting ON slot (sensor, length, start) WHERE waiting = 1;

-- Counts that no report carries yet.
CREATE TABLE slot_cell (
    sensor TEXT NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    direction INTEGER NOT NULL, class INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (sensor, length, start, direction, class)
) STRICT, WITHOUT ROWID;

CREATE TABLE stream (stream TEXT PRIMARY KEY, sensor TEXT NOT NULL, next_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sensor TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    slots INTEGER NOT NULL, payload BLOB NOT NULL, numbered_s INTEGER NOT NULL, committed_s INTEGER,
    UNIQUE (stream, seq)
) STRICT;
CREATE INDEX report_waiting ON report (sensor, id) WHERE committed_s IS NULL;
CREATE INDEX report_committed ON report (committed_s, id) WHERE committed_s IS NOT NULL;
"""
"""The tables as the first release made them, word for word."""


def payload(seq: int) -> bytes:
    """The bytes of report `seq`."""
    return encode_cbor(report_of("markt-1", STREAM, seq, [Waiting(NOON + 60 * seq, 10, 10, ((0, 0, seq + 1),))]))


def old_file(path: Path) -> Path:
    """An outbox of version 1 with something in every table."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(f"BEGIN IMMEDIATE; {VERSION_1} PRAGMA user_version = 1; COMMIT;")
        database.execute("UPDATE about SET epoch = ?", (str(UUID(int=100)),))
        database.execute(
            "INSERT INTO cursor VALUES ('markt-1', 7, 3, 41, ?, '[[0, 0, 12], [1, 2, 5]]')", (NOON * 1000,)
        )
        for sensor, start, reported_s, waiting in [("markt-1", 600, 0, 1), ("markt-1", 0, 10, 0), ("dom-1", 0, 4, 1)]:
            database.execute(
                "INSERT INTO slot VALUES (?, ?, 10, 9990, ?, ?)", (sensor, NOON + start, reported_s, waiting)
            )
        for direction in (0, 1):
            database.execute("INSERT INTO slot_cell VALUES ('markt-1', ?, 10, ?, 0, 3)", (NOON + 600, direction))
        database.execute("INSERT INTO stream VALUES (?, 'markt-1', 5)", (str(STREAM),))
        for seq in range(2, 5):
            database.execute(
                "INSERT INTO report (id, sensor, stream, seq, slots, payload, numbered_s, committed_s)"
                " VALUES (?, 'markt-1', ?, ?, 1, ?, ?, ?)",
                (seq + 10, str(STREAM), seq, payload(seq), NOON, NOON if seq == 2 else None),
            )
        database.execute("UPDATE sqlite_sequence SET seq = 77")
    return path


def check(outbox: Outbox) -> None:
    """Everything of the old file is in the new one."""
    assert outbox.cursors("markt-1") == [Cursor(7, 3, 41, NOON * 1000, {(0, 0): 12, (1, 2): 5})]
    assert [(report.id, report.seq, report.payload) for report in outbox.uncommitted("markt-1", 9)] == [
        (13, 3, payload(3)),
        (14, 4, payload(4)),
    ]
    tally = outbox.tally()
    assert (tally.unnumbered, tally.numbered, tally.committed, tally.set_aside) == (2, 2, 1, 0)
    assert schema.unguarded(outbox._database) == {}
    sums = outbox._database.execute("SELECT passages FROM slot ORDER BY passages").fetchall()
    assert sums == [(0,), (0,), (6,)]


def test_an_old_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """Everything in it is there afterwards, has checksums, and is worked on; numbers go on where they were."""
    path = old_file(tmp_path / "outbox.sqlite")

    with Outbox.open(path) as outbox:
        check(outbox)
        outbox.settle(CommitNotice(UUID(int=100), {"markt-1": (StreamState(STREAM, 4),)}), NOON)
        reports = [
            report
            for sensor, stream in (("dom-1", uuid4()), ("markt-1", STREAM))
            for report in outbox.number(sensor, stream, closed_until=2**33, every_s=10, most=9, now_s=NOON)
        ]
        assert schema.version_of(outbox._database) == schema.SCHEMA_VERSION
    found = [(decode(report.payload).observed, decode(report.payload).count, report.seq) for report in reports]
    assert found == [((6,), (), 0), ((10,), (3, 3), 5)]
    assert [report.id for report in reports] == [78, 79]


def test_an_old_and_a_new_file_have_the_same_tables(tmp_path: Path) -> None:
    """Whichever way a file came to today's version."""

    def tables(path: Path) -> list[tuple[str, str, str]]:
        with Outbox.open(path) as outbox:
            return outbox._database.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()

    assert tables(old_file(tmp_path / "old.sqlite")) == tables(tmp_path / "new.sqlite")


def killed_at(path: Path, number: int) -> int:
    """Open the outbox in a process that is killed with SIGKILL at its statement `number`; its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [number]

    def trace(_: str) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def add_functions(database: sqlite3.Connection) -> None:
        schema.add_functions(database)
        database.set_trace_callback(trace)

    outbox_module.add_functions = add_functions
    outbox = Outbox.open(path)
    assert outbox  # not closed: the process just ends
    os._exit(0)


@pytest.mark.timeout(400)
def test_a_kill_at_any_statement_of_the_migration_leaves_a_usable_file(tmp_path: Path) -> None:
    """Killed with SIGKILL before each statement in turn: the next start has everything."""
    run = status = -1
    while status:
        run += 2 if run < 0 else 1
        path = old_file(tmp_path / f"{run}.sqlite")
        status = killed_at(path, run)
        assert status in (0, -signal.SIGKILL)
        with Outbox.open(path) as outbox:
            check(outbox)
    assert run > 30
    assert not list(tmp_path.glob("*damaged*"))


def test_no_room_for_the_migration_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what is needed; the file stays as it was, and is brought up to date when there is room."""
    path = old_file(tmp_path / "outbox.sqlite")

    def no_room(database: sqlite3.Connection) -> None:
        schema.add_functions(database)
        database.execute("PRAGMA max_page_count = 1")  # no more than there is

    with monkeypatch.context() as patch:
        patch.setattr(outbox_module, "add_functions", no_room)
        with pytest.raises(OutboxError, match=r"cannot be brought to the version .* full; it is as it was"):
            Outbox.open(path)
    assert overview(path, 8).version == 1
    with Outbox.open(path) as outbox:
        check(outbox)


def test_a_later_version_is_refused_even_if_it_is_damaged(tmp_path: Path) -> None:
    """It is not ours to mend."""
    path = tmp_path / "outbox.sqlite"
    Outbox.open(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 3")
    data = bytearray(path.read_bytes())
    data[-4096:] = b"\xff" * 4096
    path.write_bytes(data)

    with pytest.raises(OutboxError, match="has version 3, this footfall-edge knows version 2"):
        Outbox.open(path)
    assert path.read_bytes() == data


def test_a_damaged_old_file_gives_what_can_be_read(tmp_path: Path) -> None:
    """It has no checksums yet: reports that say who they are, and what SQLite still reads from both ends."""
    path = old_file(tmp_path / "outbox.sqlite")
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'cursor'").fetchone()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(data)

    with Outbox.open(path) as outbox:
        assert outbox.cursors("markt-1") == []
        assert [report.payload for report in outbox.uncommitted("markt-1", 9)] == [payload(3), payload(4)]
        assert outbox.tally().unnumbered == 2
    assert "rows of the table cursor: the file had no checksums yet" in str(overview(path, 8).mending)


def test_a_report_whose_bytes_changed_is_never_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is set aside and said; the others go on. A notice that covers it says that nothing of it is missing."""
    path = old_file(tmp_path / "outbox.sqlite")
    with Outbox.open(path) as outbox:
        other = payload(3)[:-1] + bytes([payload(3)[-1] ^ 1])
        outbox._database.execute("UPDATE report SET payload = ? WHERE seq = 3", (other,))

        assert [report.seq for report in outbox.uncommitted("markt-1", 1)] == [4]
        assert outbox.report(13) is None
        (record,) = [record for record in caplog.records if "is set aside and not sent" in record.message]
        assert str(STREAM) in str(record.__dict__)
        assert outbox.tally().set_aside == 1
        assert overview(path, 8).sensors["markt-1"].set_aside == 1
        outbox.settle(CommitNotice(UUID(int=100), {"markt-1": (StreamState(STREAM, 3, ((4, 5),)),)}), NOON)
        assert (outbox.tally().set_aside, outbox.tally().numbered) == (1, 0)
        outbox.settle(CommitNotice(UUID(int=100), {"markt-1": (StreamState(STREAM, 5),)}), NOON)
        assert outbox.tally().set_aside == 0


def test_looking_changes_nothing(tmp_path: Path) -> None:
    """An old file stays of its version, byte for byte."""
    path = old_file(tmp_path / "outbox.sqlite")
    before = path.read_bytes()

    found = overview(path, 512)

    assert (found.version, found.mending, found.holds) == (1, None, [])
    assert (found.sensors["markt-1"].unnumbered, found.sensors["markt-1"].numbered) == (1, 2)
    assert path.read_bytes() == before
