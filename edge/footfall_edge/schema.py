"""The tables of the outbox file, how an older file becomes a newer one, and the checksums its rows carry.

Every row has a checksum of its own in the column `guard`. SQLite computes it when the row is written, with a function
of this program, so no statement that writes a row needs to know of it. It covers the name of the table too: a row is
known for what it is wherever in a damaged file it is found (`mending`). A report has another one, `crc`, over its
identity and its payload. That one is written once, when the report gets its number, and never computed anew.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

Value = int | str | bytes | float | None
"""What SQLite keeps in a column."""


def guard(table: str, *values: Value) -> int:
    """The checksum of a row."""
    return zlib.crc32(repr((table, *values)).encode("utf-8", "surrogateescape"))


def report_crc(sensor: str, stream: str, seq: int, payload: bytes) -> int:
    """The checksum of a report: CRC-32 over its identity and its payload."""
    return zlib.crc32(payload, zlib.crc32(f"{sensor}\n{stream}\n{seq}\n".encode("utf-8", "surrogateescape")))


@dataclass(frozen=True, slots=True)
class Table:
    """A table as its rows lie in the file."""

    columns: tuple[str, ...]
    """What the guard covers, in the order in which it is stored: the primary key comes first."""
    after: tuple[str, ...] = ()
    """Columns stored after the guard, which it does not cover."""
    has_rowid: bool = False
    """Whether its first column is SQLite's own row number."""


_SLOT: Final = ("sensor", "length", "start")

TABLES: Final[Mapping[str, Table]] = {
    "about": Table(("id", "epoch", "machine", "opened"), has_rowid=True),
    "cursor": Table(("sensor", "device", "boot", "seq", "end_ms", "totals")),
    "slot": Table((*_SLOT, "measured_ms", "reported_s", "waiting", "passages", "cells")),
    "slot_cell": Table((*_SLOT, "direction", "class", "count")),
    "stream": Table(("stream", "sensor", "next_seq", "ended", "committed")),
    "report": Table(
        ("id", "sensor", "stream", "seq", "slots", "numbered_s", "committed_s", "crc"), ("payload",), has_rowid=True
    ),
    "set_aside": Table(("id", "sensor", "stream", "seq", "slots", "numbered_s"), ("payload",), has_rowid=True),
    "hold": Table(("id", "held_s", "why", "discarded_s"), has_rowid=True),
    "held_slot": Table(("hold", *_SLOT, "measured_ms", "observed_s")),
    "held_cell": Table(("hold", *_SLOT, "direction", "class", "count")),
    "mending": Table(("id", "at_s", "file", "summary"), has_rowid=True),
}
"""Every table of today's schema."""

_FIRST: Final = """
CREATE TABLE about (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT) STRICT;
INSERT INTO about VALUES (1, NULL);

CREATE TABLE cursor (
    sensor TEXT NOT NULL, device INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    end_ms INTEGER NOT NULL, totals TEXT NOT NULL,
    PRIMARY KEY (sensor, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE slot (
    sensor TEXT NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    measured_ms INTEGER NOT NULL, reported_s INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL,
    PRIMARY KEY (sensor, length, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX slot_waiting ON slot (sensor, length, start) WHERE waiting = 1;

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

_SECOND: Final = """
DROP INDEX slot_waiting;
DROP INDEX report_waiting;
DROP INDEX report_committed;
ALTER TABLE about RENAME TO old_about;
ALTER TABLE cursor RENAME TO old_cursor;
ALTER TABLE slot RENAME TO old_slot;
ALTER TABLE slot_cell RENAME TO old_slot_cell;
ALTER TABLE stream RENAME TO old_stream;
ALTER TABLE report RENAME TO old_report;

-- machine: fingerprint of the computer the file belongs to. opened: how often it was.
CREATE TABLE about (
    id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT, machine TEXT, opened INTEGER NOT NULL DEFAULT 0,
    guard INTEGER NOT NULL GENERATED ALWAYS AS (footfall_guard('about', id, epoch, machine, opened)) STORED
) STRICT;
INSERT INTO about (id, epoch) SELECT id, epoch FROM old_about;
DROP TABLE old_about;

-- How far each device is booked. totals: JSON [[direction, class, total], ...]; null where they are not to be trusted.
CREATE TABLE cursor (
    sensor TEXT NOT NULL, device INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    end_ms INTEGER NOT NULL, totals TEXT NOT NULL,
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('cursor', sensor, device, boot, seq, end_ms, totals)) STORED,
    PRIMARY KEY (sensor, device)
) STRICT, WITHOUT ROWID;
INSERT INTO cursor SELECT * FROM old_cursor;
DROP TABLE old_cursor;

-- Slots and spans. measured_ms: all that was ever booked; reported_s: what numbered reports claimed of it; passages,
-- cells: sums of the counts and of the checksums of its cells, by which a mended outbox knows whether it has them all.
-- A row of length 0 marks how far the stamped slots of a sensor are forgotten.
CREATE TABLE slot (
    sensor TEXT NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    measured_ms INTEGER NOT NULL, reported_s INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL,
    passages INTEGER NOT NULL DEFAULT 0, cells INTEGER NOT NULL DEFAULT 0,
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('slot', sensor, length, start, measured_ms, reported_s, waiting, passages, cells)) STORED,
    PRIMARY KEY (sensor, length, start)
) STRICT, WITHOUT ROWID;
INSERT INTO slot SELECT *, 0, 0 FROM old_slot;
DROP TABLE old_slot;
CREATE INDEX slot_waiting ON slot (sensor, length, start) WHERE waiting = 1;

-- Counts that no report carries yet.
CREATE TABLE slot_cell (
    sensor TEXT NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    direction INTEGER NOT NULL, class INTEGER NOT NULL, count INTEGER NOT NULL,
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('slot_cell', sensor, length, start, direction, class, count)) STORED,
    PRIMARY KEY (sensor, length, start, direction, class)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER slot_cell_added AFTER INSERT ON slot_cell BEGIN
    UPDATE slot SET passages = passages + NEW.count, cells = cells + NEW.guard
    WHERE sensor = NEW.sensor AND length = NEW.length AND start = NEW.start;
END;
CREATE TRIGGER slot_cell_changed AFTER UPDATE OF count ON slot_cell BEGIN
    UPDATE slot SET passages = passages + NEW.count - OLD.count, cells = cells + NEW.guard - OLD.guard
    WHERE sensor = NEW.sensor AND length = NEW.length AND start = NEW.start;
END;
CREATE TRIGGER slot_cell_removed AFTER DELETE ON slot_cell BEGIN
    UPDATE slot SET passages = passages - OLD.count, cells = cells - OLD.guard
    WHERE sensor = OLD.sensor AND length = OLD.length AND start = OLD.start;
END;
INSERT INTO slot_cell SELECT * FROM old_slot_cell;
DROP TABLE old_slot_cell;

-- ended: no number of it is given any more. committed: JSON [next, [[first, end], ...]], the last notice on it.
CREATE TABLE stream (
    stream TEXT PRIMARY KEY, sensor TEXT NOT NULL, next_seq INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0, committed TEXT NOT NULL DEFAULT '[0, []]',
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('stream', stream, sensor, next_seq, ended, committed)) STORED
) STRICT, WITHOUT ROWID;
INSERT INTO stream (stream, sensor, next_seq, committed)
    SELECT stream, sensor, next_seq, '[' || coalesce((
        SELECT min(seq) FROM old_report AS first WHERE first.stream = old_stream.stream AND committed_s IS NULL
    ), next_seq) || ', []]' FROM old_stream;
DROP TABLE old_stream;

-- crc: over identity and payload, as they were when the report got its number.
CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sensor TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    slots INTEGER NOT NULL, numbered_s INTEGER NOT NULL, committed_s INTEGER, crc INTEGER NOT NULL,
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('report', id, sensor, stream, seq, slots, numbered_s, committed_s, crc)) STORED,
    payload BLOB NOT NULL,
    UNIQUE (stream, seq)
) STRICT;
INSERT INTO report (id, sensor, stream, seq, slots, numbered_s, committed_s, crc, payload)
    SELECT id, sensor, stream, seq, slots, numbered_s, committed_s, footfall_crc(sensor, stream, seq, payload), payload
    FROM old_report ORDER BY id;
DELETE FROM sqlite_sequence WHERE name = 'report';
INSERT INTO sqlite_sequence SELECT 'report', seq FROM sqlite_sequence WHERE name = 'old_report';
DROP TABLE old_report;
CREATE INDEX report_waiting ON report (sensor, id) WHERE committed_s IS NULL;
CREATE INDEX report_committed ON report (committed_s, id) WHERE committed_s IS NOT NULL;

-- Numbered reports whose bytes changed on the disk. They are never sent.
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    slots INTEGER NOT NULL, numbered_s INTEGER NOT NULL,
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('set_aside', id, sensor, stream, seq, slots, numbered_s)) STORED,
    payload BLOB NOT NULL
) STRICT;

-- Slots that somebody else may have reported: not numbered until a person decides. why: for that person.
CREATE TABLE hold (
    id INTEGER PRIMARY KEY AUTOINCREMENT, held_s INTEGER NOT NULL, why TEXT NOT NULL, discarded_s INTEGER,
    guard INTEGER NOT NULL GENERATED ALWAYS AS (footfall_guard('hold', id, held_s, why, discarded_s)) STORED
) STRICT;
CREATE TABLE held_slot (
    hold INTEGER NOT NULL, sensor TEXT NOT NULL, length INTEGER NOT NULL, start INTEGER NOT NULL,
    measured_ms INTEGER NOT NULL, observed_s INTEGER NOT NULL,
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('held_slot', hold, sensor, length, start, measured_ms, observed_s)) STORED,
    PRIMARY KEY (hold, sensor, length, start)
) STRICT, WITHOUT ROWID;
CREATE TABLE held_cell (
    hold INTEGER NOT NULL, sensor TEXT NOT NULL, length INTEGER NOT NULL, start INTEGER NOT NULL,
    direction INTEGER NOT NULL, class INTEGER NOT NULL, count INTEGER NOT NULL,
    guard INTEGER NOT NULL GENERATED ALWAYS AS
        (footfall_guard('held_cell', hold, sensor, length, start, direction, class, count)) STORED,
    PRIMARY KEY (hold, sensor, length, start, direction, class)
) STRICT, WITHOUT ROWID;

-- What was found when a damaged outbox was replaced by this one. summary: JSON, see `mending.Summary`.
CREATE TABLE mending (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_s INTEGER NOT NULL, file TEXT NOT NULL, summary TEXT NOT NULL,
    guard INTEGER NOT NULL GENERATED ALWAYS AS (footfall_guard('mending', id, at_s, file, summary)) STORED
) STRICT;
"""

STEPS: Final = (_FIRST, _SECOND)
"""Each makes a file of the version of its place (0: an empty one) into one of the next. A step never changes."""

SCHEMA_VERSION: Final = len(STEPS)


def add_functions(database: sqlite3.Connection) -> None:
    """Give `database` the functions that the tables are made with."""
    database.create_function("footfall_guard", -1, guard, deterministic=True)
    database.create_function("footfall_crc", 4, report_crc, deterministic=True)


def version_of(database: sqlite3.Connection) -> int:
    """The version of an outbox file; 0 if there is nothing in it."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def upgrade(database: sqlite3.Connection) -> None:
    """Bring an older or an empty file to today's version, in one transaction: all or nothing."""
    version = version_of(database)
    if version >= SCHEMA_VERSION:
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[version:]:
            for statement in _statements(step):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def unguarded(database: sqlite3.Connection) -> dict[str, int]:
    """How many rows of each table do not fit their checksum; tables where all do are left out."""
    found = {}
    for name, table in TABLES.items():
        columns = ", ".join(table.columns)
        (wrong,) = database.execute(
            f"SELECT count(*) FROM {name} WHERE guard IS NOT footfall_guard('{name}', {columns})"  # noqa: S608  # our names
        ).fetchone()
        if wrong:
            found[name] = int(wrong)
    return found


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
