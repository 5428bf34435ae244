"""A damaged outbox: noticed when it is opened, put aside, and replaced by one with everything in it that is sound.

`trouble` looks for damage: SQLite's own check of the structure, and the checksum of each row (see `schema`), which
SQLite does not have. `mend` reads the file page by page without SQLite (`pages`). A page that was torn or overwritten
costs what lay on it and nothing else, whatever it was: the rows on every other page are found without the pages that
lead to them, and known by their checksums for what they are.

A page on which anything is wrong may be half of today and half of an older day. So a row on it is not believed merely
because its checksum is right: it may have been right once. Reports are: their bytes never change, and the database
takes a number once. Counts are where the sum of their slot says that they are all there. Nothing else is.

What is damaged is renamed, never changed and never deleted. The new file is built beside it and put in its place when
it is complete and on the disk; a power cut at any moment leaves either the one or the other, and the next start goes
on from there.
"""

import json
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from footfall_contract.errors import ContractError
from footfall_contract.report import decode
from footfall_edge import holding
from footfall_edge.pages import Pages, is_log, rows_of
from footfall_edge.schema import (
    SCHEMA_VERSION,
    TABLES,
    Value,
    add_functions,
    guard,
    report_crc,
    unguarded,
    upgrade,
    version_of,
)
from footfall_role.logs import facts

log = logging.getLogger(__name__)

KEPT: Final = 20
"""Mendings that an outbox remembers."""
MANY_DAMAGED: Final = 3
"""More damaged files than this beside an outbox: the operator is told to look at the disk."""
_SAID: Final = 50
"""Findings of one kind that are said one by one; the rest is a number."""
_PARTS: Final = ("", "-wal", "-shm")
"""What an outbox file consists of. The main file comes last when it is put in place, first when it is taken away."""

_IO_DAMAGE: Final = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


class ForeignFileError(Exception):
    """The file is none of ours; the message says how one can tell."""


class MendingError(Exception):
    """A damaged outbox could not be replaced. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a mending found."""

    file: str
    """Name of the damaged file, beside the outbox."""
    found: Sequence[str]
    """What was wrong with it."""
    carried: Mapping[str, int]
    """Table → rows that are in the new outbox."""
    missing: Sequence[str]
    """What is certainly not, one sentence each. The time concerned will show as not measured."""
    doubted: Mapping[str, int] = field(default_factory=dict)
    """Table → rows that lay on a damaged page and may have been out of date, so they were left."""
    held: int = 0
    """Slots on hold, because what became of them is not in the file any more."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with an outbox file."""

    found: Sequence[str]
    """What was found; never empty."""
    lost_log: bool = False
    """Whether its latest changes are gone as a whole, so that nobody knows which slots have been numbered since."""


def trouble(path: Path, *, used: bool, killed: bool) -> Trouble | None:
    """What is wrong with the outbox at `path`; None if nothing is, or if there is none yet. Changes nothing.

    `used`: somebody has worked with it; an empty file that nobody has is one that could not be made. `killed`: whoever
    had it last did not close it. Then it has a write-ahead log.

    Raises:
        ForeignFileError: it is another program's database, or one of a newer version of this program.
        sqlite3.Error: it cannot be read, for a reason that is no damage.
    """
    wal = path.with_name(path.name + "-wal")
    if not path.exists():
        return Trouble(["the file is gone and its -wal is there"]) if is_log(wal) else None
    if not path.stat().st_size:
        return Trouble(["the file is empty"]) if used or is_log(wal) else None
    if killed and not is_log(wal):
        return Trouble(["its -wal, with the latest changes, is gone or cannot be read"], lost_log=True)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as file:
            found = _examine(file)
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        found = [str(error)]
    return Trouble(found) if found else None


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code in _IO_DAMAGE)


def _examine(database: sqlite3.Connection) -> list[str]:
    add_functions(database)
    version = version_of(database)
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if version > SCHEMA_VERSION:
        raise ForeignFileError(f"has version {version}, this footfall-edge knows version {SCHEMA_VERSION}")
    if version <= 0:
        if tables:
            raise ForeignFileError(f"is a database of another program: it has the table {min(tables)}")
        return []
    # The quick check leaves out only the comparison of each index with its table. What an index could hide here, the
    # checksums of the rows show.
    found = [str(row[0]) for row in database.execute(f"PRAGMA quick_check({_SAID})") if row[0] != "ok"]
    if found or version < SCHEMA_VERSION:
        return found
    lacking = TABLES.keys() - tables
    if lacking:
        return [f"the table {name} is gone" for name in sorted(lacking)]
    return [f"{rows} rows of {name} do not fit their checksum" for name, rows in unguarded(database).items()]


def finish(path: Path) -> None:
    """Put a new outbox that is complete in the place of the damaged one at `path`, if a mending was cut short there."""
    mended = _beside(path, "mended")
    if not mended.exists():
        return
    with closing(sqlite3.connect(f"{mended.absolute().as_uri()}?mode=ro", uri=True)) as database:
        (name,) = database.execute("SELECT file FROM mending ORDER BY id DESC LIMIT 1").fetchone()
    # Its -wal first of all: it must never be taken for one of the new file.
    for part in ("-wal", "-shm", ""):
        here = path.with_name(path.name + part)
        if here.exists():
            there = path.with_name(name + part)
            here.rename(there if not there.exists() else _free_name(path, datetime.now(UTC), part))
    _sync_folder(path)
    mended.rename(path)
    _sync_folder(path)


def mend(path: Path, trouble: Trouble, *, ours: bool, now: datetime) -> Summary:
    """Replace the damaged outbox at `path` and say what became of it.

    `ours`: this program has worked with the file before; else it must have something of an outbox in it.

    Raises:
        ForeignFileError: there is nothing of an outbox in it.
        MendingError: the new outbox could not be written.
    """
    part = _beside(path, "mending")
    name = _free_name(path, now).name
    try:
        part.unlink(missing_ok=True)
        summary = _build(path, part, name, trouble, now_s=int(now.timestamp()))
        if not ours and not any(summary.carried.values()):
            part.unlink()
            raise ForeignFileError(f"is no outbox: {trouble.found[0]}, and there is nothing of an outbox in it")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(_beside(path, "mended"))
        _sync_folder(path)
        finish(path)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise MendingError(
            f"is damaged ({trouble.found[0]}) and cannot be mended: {error}. Nothing of it was changed; "
            "a mended outbox needs as much free space beside it as the file itself"
        ) from error
    return summary


def say(path: Path, summary: Summary) -> None:
    """Tell the log what a mending found."""
    for finding in summary.found[:_SAID]:
        log.error("the outbox was damaged", extra=facts(outbox=path, finding=finding))
    for missing in summary.missing:
        log.error("missing in the mended outbox", extra=facts(outbox=path, missing=missing))
    log.warning(
        "the outbox was mended: what is missing will show as not measured",
        extra=facts(
            outbox=path,
            kept_as=summary.file,
            missing=len(summary.missing),
            held=summary.held,
            **{f"carried_{table}": rows for table, rows in summary.carried.items() if rows},
        ),
    )
    several = damaged_files(path)
    if len(several) >= MANY_DAMAGED:
        log.error(
            "this outbox has been damaged several times: exchange the disk or card, and see to the power supply",
            extra=facts(outbox=path, damaged_files=len(several), first=several[0], last=several[-1]),
        )


def damaged_files(path: Path) -> list[str]:
    """The names of the damaged files that were put aside, the oldest first."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(file.name for file in found if not file.name.endswith(("-wal", "-shm")))


def mendings(database: sqlite3.Connection) -> list[tuple[int, Summary]]:
    """What an outbox remembers of its mendings, the newest first: UTC unix seconds, and what was found."""
    rows = database.execute("SELECT at_s, summary FROM mending ORDER BY id DESC").fetchall()
    return [(at_s, Summary(**json.loads(summary))) for at_s, summary in rows]


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")


def _free_name(path: Path, now: datetime, part: str = "") -> Path:
    """A name for a damaged file that nothing has."""
    stem = f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        if not any(path.with_name(name + suffix).exists() for suffix in _PARTS):
            return path.with_name(name + part)
        number += 1


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# Building the new one.

_STAGES: Final = """
CREATE TABLE found_slot (
    sensor, length, start, measured_ms, reported_s, waiting, passages, cells, PRIMARY KEY (sensor, length, start)
) WITHOUT ROWID;
CREATE TABLE found_cell (
    sensor, length, start, direction, class, count, guard, whole,
    PRIMARY KEY (sensor, length, start, direction, class, whole)
) WITHOUT ROWID;
"""


def _build(path: Path, part: Path, name: str, trouble: Trouble, *, now_s: int) -> Summary:
    with closing(sqlite3.connect(part, isolation_level=None)) as database:
        # Nothing here needs to survive a power cut before the file is complete: then it is built anew.
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "secure_delete = ON"):
            database.execute(f"PRAGMA {pragma}")
        add_functions(database)
        upgrade(database)
        database.execute("BEGIN")
        for statement in _STAGES.split(";"):
            database.execute(statement)
        builder = _Builder(database, now_s)
        with Pages(path) as pages:
            if _is_old(pages):
                builder.take_old(path)
            else:
                builder.take_pages(pages)
        builder.complete()
        why = f"the latest changes of {name} are lost: these slots may have been sent already"
        held = holding.hold(database, why, now_s).slots if trouble.lost_log else 0
        carried = {
            table: int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  # our own names
            for table in TABLES
            if table not in ("about", "mending", "hold")
        }
        doubted = {table: rows for table, rows in sorted(builder.doubted.items()) if rows}
        summary = Summary(name, trouble.found[:_SAID], carried, builder.missing, doubted, held)
        database.execute(
            "INSERT INTO mending (at_s, file, summary) VALUES (?, ?, ?)", (now_s, name, json.dumps(asdict(summary)))
        )
        database.execute("DELETE FROM mending WHERE id <= (SELECT max(id) FROM mending) - ?", (KEPT,))
        database.execute("DROP TABLE found_slot")
        database.execute("DROP TABLE found_cell")
        database.execute("COMMIT")
    return summary


def _is_old(pages: Pages) -> bool:
    """Whether the file says that it is of the version before rows had checksums."""
    head = pages.page(1)
    return head.startswith(b"SQLite format 3\0") and head[60:64] == (1).to_bytes(4, "big")


class _Builder:
    """Fills a new outbox with what is found in an old one."""

    def __init__(self, database: sqlite3.Connection, now_s: int) -> None:
        self._database = database
        self._now_s = now_s
        self.missing: list[str] = []
        self.doubted: Counter[str] = Counter()
        self._known_streams: set[str] = set()

    def take_pages(self, pages: Pages) -> None:
        """Everything on every page of the file."""
        for number in range(1, pages.count + 1):
            found = rows_of(pages, number)
            if found is None:
                continue
            known = [(row, table) for row in found.rows if (table := _table_of(row)) is not None]
            # One row that does not fit, and the page is not what was written.
            whole = found.whole and len(known) == len(found.rows)
            for row, table in known:
                self._take(table, row, whole=whole)

    def _take(self, table: str, row: tuple[Value, ...], *, whole: bool) -> None:
        match table:
            case "report":
                self._take_report(row, whole=whole)
            case "slot":
                self._take_slot(row, whole=whole)
            case "slot_cell":
                self._take_cell(row, whole=whole)
            case "cursor":
                self._take_cursor(row, whole=whole)
            case "stream":
                self._take_stream(row, whole=whole)
            case "old report" if whole:
                self._take_old_report(row)
            case "about":
                # What is out of date here is put right by the next notice, and by the next start.
                self._insert("about", row)
            case _ if whole:
                self._insert(table, row)
            case _:
                self.doubted[table] += 1

    def _insert(self, table: str, row: tuple[Value, ...]) -> None:
        covered = len(TABLES[table].columns)
        fields = (*TABLES[table].columns, *TABLES[table].after)
        values = (*row[:covered], *row[covered + 1 :])
        self._database.execute(
            f"INSERT OR REPLACE INTO {table} ({', '.join(fields)}) VALUES ({', '.join('?' * len(fields))})",  # noqa: S608  # our own names
            values,
        )

    def _take_report(self, row: tuple[Any, ...], *, whole: bool) -> None:
        number, sensor, stream, seq, slots, numbered_s, committed_s, crc, _, payload = row
        if report_crc(sensor, stream, seq, payload) == crc:
            self._database.execute(
                "INSERT INTO report (id, sensor, stream, seq, slots, numbered_s, committed_s, crc, payload)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET committed_s = excluded.committed_s"
                " WHERE ?",
                # Sent once more if it is not sure to be stored: the database takes a number once.
                (number, sensor, stream, seq, slots, numbered_s, committed_s if whole else None, crc, payload, whole),
            )
        elif committed_s is None or not whole:
            self._set_aside(number, sensor, stream, seq, slots, numbered_s, payload)

    def _set_aside(self, *values: Value) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO set_aside (id, sensor, stream, seq, slots, numbered_s, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    def _take_slot(self, row: tuple[Value, ...], *, whole: bool) -> None:
        if not whole:
            self.doubted["slot"] += 1
            return
        self._database.execute(
            "INSERT INTO found_slot VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " measured_ms = excluded.measured_ms, reported_s = excluded.reported_s, waiting = excluded.waiting,"
            " passages = excluded.passages, cells = excluded.cells"
            " WHERE (excluded.reported_s, excluded.measured_ms) > (reported_s, measured_ms)",
            row[:8],
        )

    def _take_cell(self, row: tuple[Value, ...], *, whole: bool) -> None:
        self._database.execute("INSERT OR IGNORE INTO found_cell VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row[:7], whole))

    def _take_cursor(self, row: tuple[Value, ...], *, whole: bool) -> None:
        sensor, device, boot, seq, end_ms, totals, _ = row
        self._database.execute(
            "INSERT INTO cursor (sensor, device, boot, seq, end_ms, totals) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET"
            " boot = excluded.boot, seq = excluded.seq, end_ms = excluded.end_ms, totals = excluded.totals"
            " WHERE (excluded.boot, excluded.seq) > (boot, seq)",
            (sensor, device, boot, seq, end_ms, totals if whole else "null"),
        )

    def _take_stream(self, row: tuple[Value, ...], *, whole: bool) -> None:
        stream, sensor, next_seq, _, committed, _ = row
        if whole:
            self._known_streams.add(str(stream))
        self._database.execute(
            "INSERT INTO stream (stream, sensor, next_seq, ended, committed) VALUES (?, ?, ?, 1, ?)"
            " ON CONFLICT DO UPDATE SET next_seq = excluded.next_seq, committed = excluded.committed"
            " WHERE excluded.next_seq > next_seq",
            (stream, sensor, next_seq, committed),
        )

    def take_old(self, path: Path) -> None:
        """What SQLite still reads of a file without checksums, from both ends of each table to the damage."""
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as old:
            for table, columns, key in _OLD:
                for order in ("", " DESC"):
                    keys = ", ".join(name + order for name in key.split(", "))
                    try:
                        for row in old.execute(f"SELECT {columns} FROM {table} ORDER BY {keys}"):  # noqa: S608  # our own names
                            self._take_old_row(table, row)
                        break
                    except (sqlite3.DatabaseError, UnicodeDecodeError):
                        if not order:
                            self.missing.append(f"rows of the table {table}: the file had no checksums yet")

    def _take_old_row(self, table: str, row: tuple[Any, ...]) -> None:
        match table:
            case "about":
                self._database.execute("UPDATE about SET epoch = ?", row)
            case "cursor":
                self._take_cursor((*row, 0), whole=True)
            case "slot":
                self._database.execute("INSERT OR IGNORE INTO found_slot VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)", row)
            case "slot_cell":
                self._take_cell((*row, 0), whole=True)
            case "stream":
                self._take_stream((*row, 1, "[0, []]", 0), whole=False)
            case _:
                self._take_old_report(row)

    def _take_old_report(self, row: tuple[Any, ...]) -> None:
        number, sensor, stream, seq, slots, payload, numbered_s, committed_s = row
        if _says(payload, sensor, stream, seq):
            crc = report_crc(sensor, stream, seq, payload)
            self._take_report(
                (number, sensor, stream, seq, slots, numbered_s, committed_s, crc, 0, payload), whole=True
            )
        else:
            self._set_aside(number, sensor, stream, seq, slots, numbered_s, payload)

    def complete(self) -> None:
        """Join slots with their counts, and find out what is missing."""
        self._join()
        self._database.execute("DELETE FROM set_aside WHERE (stream, seq) IN (SELECT stream, seq FROM report)")
        self._database.execute(
            "INSERT INTO hold (id, held_s, why) SELECT DISTINCT hold, ?, 'why these slots were held is lost'"
            " FROM held_slot WHERE hold NOT IN (SELECT id FROM hold)",
            (self._now_s,),
        )
        self._end_streams()
        self._find_holes()
        aside = self._database.execute("SELECT sensor, stream, seq FROM set_aside ORDER BY id").fetchall()
        self._note(
            f"{sensor}: report {seq} of {stream}: its bytes changed on the disk" for sensor, stream, seq in aside
        )

    def _join(self) -> None:
        database = self._database
        database.execute(
            "CREATE TEMP TABLE joined AS"
            " SELECT slot.*, found.sure, found.sure_cells, found.all_cells FROM found_slot AS slot LEFT JOIN ("
            "  SELECT sensor, length, start, sum(sure) AS sure, sum(sure_guard) AS sure_cells, sum(guard) AS all_cells"
            "  FROM (SELECT sensor, length, start, direction, class,"
            "   coalesce(max(count) FILTER (WHERE whole), 0) AS sure,"
            "   coalesce(max(guard) FILTER (WHERE whole), 0) AS sure_guard,"
            # Of a cell that is there twice, the one on the page that is whole.
            "   coalesce(max(guard) FILTER (WHERE whole), max(guard)) AS guard"
            "   FROM found_cell GROUP BY sensor, length, start, direction, class"
            "  ) GROUP BY sensor, length, start"
            " ) AS found USING (sensor, length, start)"
        )
        database.execute("CREATE UNIQUE INDEX temp.joined_key ON joined (sensor, length, start)")
        # complete: 2 with every cell that was found, 1 with those that are sure, 0 not; -1 if more is there than was.
        database.execute("ALTER TABLE joined ADD COLUMN complete")
        database.execute(
            "UPDATE joined SET complete = CASE"
            " WHEN cells IS NULL OR cells = coalesce(all_cells, 0) THEN 2"
            " WHEN cells = coalesce(sure_cells, 0) THEN 1"
            " WHEN waiting AND coalesce(sure, 0) < passages THEN 0 ELSE -1 END"
        )
        database.execute(
            "INSERT INTO slot (sensor, length, start, measured_ms, reported_s, waiting)"
            " SELECT sensor, length, start, measured_ms, CASE WHEN complete > 0 THEN reported_s ELSE length END,"
            " waiting FROM joined"
        )
        # Counts whose slot is lost: they wait with a slot that claims no second, now or later.
        database.execute(
            "INSERT OR IGNORE INTO slot (sensor, length, start, measured_ms, reported_s, waiting)"
            " SELECT DISTINCT sensor, length, start, 0, length, 1 FROM found_cell WHERE whole AND NOT EXISTS"
            " (SELECT * FROM found_slot AS s WHERE s.sensor = found_cell.sensor AND s.length = found_cell.length"
            "  AND s.start = found_cell.start)"
        )
        (remade,) = database.execute("SELECT changes()").fetchone()
        database.execute(
            "INSERT OR IGNORE INTO slot_cell (sensor, length, start, direction, class, count)"
            " SELECT sensor, length, start, direction, class, count FROM found_cell"
            " LEFT JOIN joined USING (sensor, length, start)"
            " WHERE CASE WHEN whole THEN complete IS NULL OR complete >= 0 ELSE complete = 2 END"
            " ORDER BY whole DESC"
        )
        (left,) = database.execute(
            "SELECT count(*) FROM found_cell WHERE NOT EXISTS (SELECT * FROM slot_cell AS c WHERE"
            " c.sensor = found_cell.sensor AND c.length = found_cell.length AND c.start = found_cell.start"
            " AND c.direction = found_cell.direction AND c.class = found_cell.class)"
        ).fetchone()
        self.doubted["slot_cell"] += left
        if remade:
            self.missing.append(f"slots whose counts are there and whose measured seconds are lost: {remade}")
        short = database.execute(
            "SELECT sensor, start, length, passages - coalesce(sure, 0) FROM joined WHERE complete = 0"
            " ORDER BY sensor, start"
        ).fetchall()
        self._note(
            f"{sensor}: {passages} passages of the {length} s from {_time(start)} on"
            for sensor, start, length, passages in short
        )
        database.execute("DROP TABLE joined")

    def _end_streams(self) -> None:
        """No stream goes on, and each counter is above every number that was seen."""
        lost = self._database.execute(
            "SELECT sensor, stream, max(seq) FROM (SELECT sensor, stream, seq FROM report"
            " UNION ALL SELECT sensor, stream, seq FROM set_aside)"
            " WHERE stream NOT IN (SELECT value FROM json_each(?)) GROUP BY stream ORDER BY sensor, stream",
            (json.dumps(sorted(self._known_streams)),),
        ).fetchall()
        self._note(
            f"{sensor}: how far stream {stream} goes; the last report that is there is number {seq}"
            for sensor, stream, seq in lost
        )
        self._database.execute(
            "INSERT INTO stream (stream, sensor, next_seq, ended)"
            " SELECT stream, min(sensor), max(seq) + 1, 1 FROM (SELECT sensor, stream, seq FROM report"
            " UNION ALL SELECT sensor, stream, seq FROM set_aside) WHERE true GROUP BY stream"
            " ON CONFLICT DO UPDATE SET next_seq = max(next_seq, excluded.next_seq)"
        )

    def _find_holes(self) -> None:
        """Numbers that were given and not known to be stored, and whose report is not there."""
        for stream, sensor, next_seq, committed in self._database.execute(
            "SELECT stream, sensor, next_seq, committed FROM stream"
            " WHERE stream IN (SELECT value FROM json_each(?)) ORDER BY sensor, stream",
            (json.dumps(sorted(self._known_streams)),),
        ).fetchall():
            below, above = json.loads(committed)
            here = [
                seq
                for (seq,) in self._database.execute(
                    "SELECT seq FROM report WHERE stream = ? AND seq >= ? UNION"
                    " SELECT seq FROM set_aside WHERE stream = ? AND seq >= ?",
                    (stream, below, stream, below),
                )
            ]
            stored = [(first, end) for first, end in above]
            holes = _gaps(below, next_seq, [*stored, *((seq, seq + 1) for seq in here)])
            self._note(
                f"{sensor}: reports {first} to {end - 1} of stream {stream}"
                if end - first > 1
                else f"{sensor}: report {first} of stream {stream}"
                for first, end in holes
            )

    def _note(self, sentences: Iterable[str]) -> None:
        listed = list(sentences)
        self.missing += listed[:_SAID]
        if len(listed) > _SAID:
            self.missing.append(f"… and {len(listed) - _SAID} more of this kind")


def _gaps(start: int, end: int, taken: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of [start, end) that none of `taken` covers."""
    at = start
    for first, after in sorted(taken):
        if first > at:
            yield at, min(first, end)
        at = max(at, after)
        if at >= end:
            return
    if at < end:
        yield at, end


def _table_of(row: tuple[Value, ...]) -> str | None:
    """The table whose row this is, by its checksum; a report also by the one over its bytes."""
    for name, table in TABLES.items():
        covered = len(table.columns)
        if len(row) == covered + 1 + len(table.after) and row[covered] == guard(name, *row[:covered]):
            return name
    match row:
        case (int(), str(sensor), str(stream), int(seq), int(), int(), _, int(crc), int(), bytes(payload)):
            return "report" if report_crc(sensor, stream, seq, payload) == crc else None
        case (int(), str(sensor), str(stream), int(seq), int(), bytes(payload), int(), int() | None):
            return "old report" if _says(payload, sensor, stream, seq) else None
    return None


def _time(start: int) -> str:
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S} UTC"


_OLD: Final = (
    ("about", "epoch", "id"),
    ("cursor", "sensor, device, boot, seq, end_ms, totals", "sensor, device"),
    ("slot", "sensor, length, start, measured_ms, reported_s, waiting", "sensor, length, start"),
    ("slot_cell", "sensor, length, start, direction, class, count", "sensor, length, start, direction, class"),
    ("stream", "stream, sensor, next_seq", "stream"),
    ("report", "id, sensor, stream, seq, slots, payload, numbered_s, committed_s", "id"),
)
"""The tables of version 1: name, columns as they are taken here, primary key."""


def _says(payload: Any, sensor: str, stream: str, seq: int) -> bool:
    """Whether a report without a checksum is at least the one that its row says it is."""
    try:
        report = decode(payload)
    except (ContractError, TypeError):
        return False
    return (report.sensor, str(report.stream), report.seq) == (sensor, stream, seq)
