"""The outbox: what was counted and is not known to be stored yet.

One SQLite file, one process at a time; every change is on disk before anyone is told of it.

What waits goes through three states, and a kill between any two of them loses nothing and doubles nothing:

- **unnumbered**: a slot with its counts, together with how far its device is booked. More may still be added to it.
- **numbered**: a report with stream, number and payload. Its bytes never change any more, however often they are
  sent. This step is taken just before the report is first handed to the publisher.
- **committed**: a notice of ingest covers it. It is kept for some days, for a database that is restored from a backup.

A slot's row outlives its report for two days, as the record of how many of its seconds have been reported: no two
reports together claim more than a slot has. By it no slot is stamped twice either: what is counted while a clock that
was set back repeats itself becomes a span (`Outbox.book`).

The tables are in `schema`. `mending` replaces a damaged file, `holding` sets apart what a copy of the file may report
too; both are done when the file is opened.
"""

import fcntl
import heapq
import json
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeVar
from uuid import UUID

from footfall_contract.errors import ContractError
from footfall_contract.notice import CommitNotice, StreamState
from footfall_contract.report import encode_cbor
from footfall_contract.words import MAX_SPAN_S, SLOT_LENGTHS_S
from footfall_edge import holding, mending, metrics
from footfall_edge.coarsen import Booked, Merge, coarser, merges
from footfall_edge.counts import Cursor, Passages
from footfall_edge.pages import is_log
from footfall_edge.schema import add_functions, report_crc, upgrade
from footfall_edge.slots import (
    MAX_PACKED_SLOTS,
    Piece,
    Stamped,
    Waiting,
    closed,
    fresh_ms,
    is_slot,
    observed_seconds,
    pack,
    report_of,
    run_end,
    span_over,
)
from footfall_role.logs import facts

log = logging.getLogger(__name__)

T = TypeVar("T")

SLOT_KEPT_S: Final = 2 * 86400
"""Seconds for which the row of a reported slot is kept."""
FORGOTTEN_AT_ONCE: Final = 5_000
"""Reports or slots that are forgotten in one transaction when their time has come."""

_LOOK_S: Final = 3600
"""Seconds of stamped slots that are looked at in one go."""

# What one transaction writes has to find room on a disk that is nearly full. With these that is up to 140 kB, and where
# reports of an hour each are numbered 220 kB: less than the smallest reserve.
COARSENED_AT_ONCE: Final = 150
"""Slots that are made coarser in one transaction."""
STORED_AT_ONCE: Final = 20
"""Stored reports that are marked or forgotten in one transaction when space is short."""
NUMBERED_AT_ONCE: Final = 4
"""Reports that get their number in one transaction."""

NEARLY_FULL: Final = 2**20
"""Bytes free on a disk below which SQLite may lack room for the small files that it needs to open a database."""


class OutboxError(Exception):
    """The outbox cannot be used; the message says why and what would help."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one step of a sensor's session adds: slots with their counts, and how far the device is booked with them."""

    sensor: str
    pieces: tuple[Piece, ...]
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class Report:
    """A numbered report."""

    id: int
    """Grows with each report of this outbox: the order in which they are sent."""
    sensor: str
    stream: str
    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """What a commit notice changed."""

    committed: frozenset[int]
    """Ids of the reports that are now known to be stored."""
    reopened: int
    """Reports that were, and after a restore are not: they are to be sent again."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What lies in the outbox."""

    waiting_slots: Mapping[str, int]
    """Per sensor, slots and spans that are not known to be stored, numbered or not."""
    unnumbered: int
    """Slots and spans."""
    numbered: int
    """Reports that no notice covers."""
    committed: int
    """Reports."""
    oldest_s: int | None
    """UTC unix seconds: the oldest unnumbered slot, or when the oldest numbered report got its number; None if none."""
    bytes_used: int
    """Of the file; space freed for reuse is not counted."""
    set_aside: int = 0
    """Reports whose bytes changed on the disk, and which no notice covers. They are not sent."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Per sensor, slots and spans that wait for a person's decision; in none of the numbers above."""


@contextmanager
def surviving(what: str, otherwise: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Go on after `what` could not be written: the disk is full, or slow, or gone for the moment.

    Nothing of it was stored, so nothing of it was told to anyone, and whoever said it will say it again; `otherwise` is
    for what nobody will say again.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        otherwise()
        metrics.OUTBOX_ERRORS.inc()
        log.error("the outbox cannot be written", extra=facts(during=what, reason=error))  # noqa: TRY400  # no traceback


class Outbox:
    """An open outbox. Not for several threads: the agent's one loop owns it."""

    def __init__(self, database: sqlite3.Connection, lock: "_Lock | None") -> None:
        self._database = database
        self._lock = lock
        self._streams: set[UUID] = set()
        self.full = False
        """Something could not be written because there was no room. Whoever makes room sets it back."""
        self.last_resort: Callable[[], None] = lambda: None
        """Gives up what is kept for a full disk. For what in turn makes room."""

    @classmethod
    def open(cls, path: Path, *, machine: str | None = None) -> Self:
        """Open the outbox at `path`, making it if there is none; this process alone may have it until `close`.

        A damaged one is mended (see `mending`). `machine` is the fingerprint of this computer: in a file that came from
        another one, what has no number yet is put on hold (see `holding`). None: nobody knows, nothing is compared.

        On a full disk it opens too: at the cost of the reserve beside it (see `reserve_of`), or, where there is none,
        unchecked and in such a way that nobody can look at it.

        Raises:
            OutboxError: another process has it, the folder is missing or may not be written, or the file is no outbox.
        """
        with ExitStack() as undo:
            lock = undo.enter_context(closing(_Lock.take(path)))
            try:
                _mend(path, lock)
                # The -wal is known to be sound. From here on to the next commit SQLite may remove it.
                lock.say(_NO_LOG if path.exists() and path.stat().st_size else _MAKING)
                outbox = cls(_opened(path), lock)
                undo.callback(outbox.close)
                outbox._begin(path, machine)
            except (sqlite3.Error, OSError) as error:
                raise OutboxError(f"the outbox {path} cannot be used: {error}") from error
            undo.pop_all()
        return outbox

    @classmethod
    def look(cls, path: Path) -> Self:
        """Open the outbox at `path` to look only, also while an edge works with it.

        Raises:
            OutboxError: there is none.
        """
        if not path.exists():
            raise OutboxError(f"there is no outbox at {path} yet; the edge makes it when it first runs")
        try:
            database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            add_functions(database)
            database.execute("SELECT epoch FROM about")
        except sqlite3.Error as error:
            raise OutboxError(f"the outbox {path} cannot be read: {error}") from error
        return cls(database, None)

    def close(self) -> None:
        """Let go of the file and the lock."""
        if self._lock is not None:
            # On the disk before SQLite removes the -wal: without one, after a kill, the file is taken for damaged.
            self._lock.say(_CLOSED)
        self._database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, path: Path, machine: str | None) -> None:
        """Take note that the file is in use, and where."""
        (before,) = self._database.execute("SELECT machine FROM about").fetchone()
        copied = machine is not None and before is not None and before != machine
        try:
            _making_do(path, "write to the outbox", lambda: self._take_over(path, machine, copied=copied))
        except sqlite3.OperationalError as error:
            if copied or not _wants_room(error, path):
                raise
            # A full disk is no reason not to start: what waits can be sent, and that makes room.
            log.error("the outbox cannot be written", extra=facts(during="opening it", reason=error))  # noqa: TRY400
        held = holding.held(self._database)
        if held:
            log.warning(
                "slots are on hold and not sent: decide with footfall-edge outbox adopt, or discard-held",
                extra=facts(outbox=path, slots=sum(held.values()), why="; ".join(holding.reasons(self._database))),
            )

    def _take_over(self, path: Path, machine: str | None, *, copied: bool) -> None:
        with self._transaction():
            # Written each time, so that there is a -wal for as long as the file is open.
            self._database.execute("UPDATE about SET opened = opened + 1, machine = coalesce(?, machine)", (machine,))
            moved = holding.hold(self._database, _COPIED, int(datetime.now(UTC).timestamp())) if copied else None
        if moved is not None:
            log.warning(
                "this outbox was brought here from another computer: what had no number yet is put on hold",
                extra=facts(outbox=path, slots=moved.slots, passages=moved.passages),
            )

    # Unnumbered: what the devices said.

    def cursors(self, sensor: str) -> list[Cursor]:
        """How far each device that was ever on the line of `sensor` is booked."""
        rows = self._database.execute(
            "SELECT device, boot, seq, end_ms, totals FROM cursor WHERE sensor = ? ORDER BY device", (sensor,)
        )
        return [Cursor(device, boot, seq, end_ms, _totals(totals)) for device, boot, seq, end_ms, totals in rows]

    def book(self, entries: Iterable[Entry]) -> None:
        """Store counts and cursors, all or nothing. When this returns they are on disk, and the devices may forget.

        A second count for a slot adds to it, whether or not the slot was reported before, as long as the slot has time
        left. What has none repeats time, by a clock that was set back: it goes into a span with nothing measured.
        """
        repeated: Counter[str] = Counter()
        with self._transaction():
            for entry in entries:
                for piece in entry.pieces:
                    once = self._once(entry.sensor, piece)
                    if once is not None:
                        self._add(entry.sensor, once)
                        if (once.start, once.length) != (piece.start, piece.length):
                            repeated[entry.sensor] += sum(number for _, _, number in piece.passages)
                if entry.cursor is not None:
                    self._advance(entry.sensor, entry.cursor)
        for sensor, passages in repeated.items():
            metrics.REPEATED_PASSAGES.labels(sensor).inc(passages)

    def note_silence(self, silent: Iterable[tuple[str, int, int]]) -> Mapping[str, int]:
        """Let slots (sensor, start, length) be reported as not observed, unless something is known of them.

        Returns for how many of each sensor's slots that is so.
        """
        noted: Counter[str] = Counter()
        with self._transaction():
            for slot in silent:
                if self._coarsened(*slot):
                    continue
                noted[slot[0]] += self._database.execute(
                    "INSERT OR IGNORE INTO slot (sensor, start, length, measured_ms, waiting) VALUES (?, ?, ?, 0, 1)",
                    slot,
                ).rowcount
        return noted

    def _once(self, sensor: str, piece: Piece) -> Piece | None:
        """`piece` with what it measures for the first time; or as a part of the span over the time that is repeated.

        None if it repeats time and counted nobody.
        """
        if not piece.measured_ms:
            return piece
        (forgotten,) = self._database.execute(
            "SELECT coalesce(max(start), 0) FROM slot WHERE sensor = ? AND length = 0", (sensor,)
        ).fetchone()
        if piece.end > forgotten:
            fresh = fresh_ms(piece, self._overlapping(sensor, piece.start, piece.end))
            if fresh is not None:
                return replace(piece, measured_ms=fresh)
        if not piece.passages:
            return None
        start, length = self._repetition(sensor, piece) or self._begin_repetition(sensor, piece, forgotten)
        return Piece(start, length, 0, piece.passages)

    def _repetition(self, sensor: str, piece: Piece) -> tuple[int, int] | None:
        """Start and length of an unnumbered span around `piece` with nothing measured, if there is one."""
        # Slots, of which many may wait, are as long as the piece or a minute: the index leads past them.
        for low, high in ((piece.length, 60), (max(piece.length, 60), MAX_SPAN_S + 1)):
            rows = self._database.execute(
                "SELECT start, length FROM slot WHERE sensor = ? AND waiting = 1 AND length > ? AND length < ?"
                " AND start <= ? AND start + length >= ? AND measured_ms = 0 ORDER BY length, start",
                (sensor, low, high, piece.start, piece.end),
            )
            for start, length in rows:
                if not is_slot(start, length):
                    return start, length
        return None

    def _begin_repetition(self, sensor: str, piece: Piece, forgotten: int) -> tuple[int, int]:
        """Start and length of the span over the stamped time from `piece` on."""
        until = max(piece.end, forgotten)
        while until < piece.start + MAX_SPAN_S:
            end = run_end(until, self._stamped(sensor, until, until + _LOOK_S))
            if end == until:
                break
            until = end
        span = span_over(piece.start, min(until, piece.start + MAX_SPAN_S))
        log.warning(
            "the clock shows a time again: what is counted meanwhile becomes a span",
            extra=facts(sensor=sensor, start=span[0], seconds=span[1]),
        )
        return span

    def _overlapping(self, sensor: str, start: int, end: int) -> list[Stamped]:
        """All that is stamped within [start, end), and what overlaps with that, and so on, up to some hours around."""
        low, high = start, end
        while True:
            found = self._stamped(sensor, low, high)
            hull = min([low, *(row.start for row in found)]), max([high, *(row.end for row in found)])
            if hull == (low, high) or high - low > end - start + 2 * _LOOK_S:
                return found
            low, high = hull

    def _stamped(self, sensor: str, start: int, end: int) -> list[Stamped]:
        """The slots and spans with measured time that overlap with [start, end), UTC unix seconds."""
        # Length by length, of which there are few, so that the primary key leads to the rows.
        rows = self._database.execute(
            "WITH RECURSIVE kinds (length) AS ("
            " SELECT min(length) FROM slot WHERE sensor = :sensor AND length > 0"
            " UNION ALL"
            " SELECT (SELECT min(length) FROM slot WHERE sensor = :sensor AND length > kinds.length)"
            " FROM kinds WHERE kinds.length IS NOT NULL)"
            " SELECT slot.start, slot.length, slot.measured_ms FROM kinds JOIN slot"
            " ON slot.sensor = :sensor AND slot.length = kinds.length"
            " AND slot.start > :start - kinds.length AND slot.start < :end"
            " WHERE slot.measured_ms > 0",
            {"sensor": sensor, "start": start, "end": end},
        )
        return [Stamped(*row) for row in rows]

    def _add(self, sensor: str, piece: Piece) -> None:
        start, length = self._in_its_place(sensor, piece.start, piece.length)
        self._database.execute(
            "INSERT INTO slot (sensor, start, length, measured_ms, waiting) VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT DO UPDATE SET measured_ms = measured_ms + excluded.measured_ms, waiting = 1",
            (sensor, start, length, piece.measured_ms),
        )
        self._database.executemany(
            "INSERT INTO slot_cell (sensor, start, length, direction, class, count) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            [(sensor, start, length, *cell) for cell in piece.passages],
        )

    def _advance(self, sensor: str, cursor: Cursor) -> None:
        totals = None
        if cursor.totals is not None:
            totals = [[direction, class_, total] for (direction, class_), total in cursor.totals.items()]
        self._database.execute(
            "INSERT OR REPLACE INTO cursor (sensor, device, boot, seq, end_ms, totals) VALUES (?, ?, ?, ?, ?, ?)",
            (sensor, cursor.device, cursor.boot, cursor.seq, cursor.end_ms, json.dumps(totals)),
        )

    # Numbered: reports whose bytes are final.

    def number(
        self, sensor: str, stream: UUID, *, closed_until: int, every_s: int, most: int, now_s: int
    ) -> list[Report]:
        """Put closed slots into up to `most` reports of `stream` and fix their bytes; oldest slots first.

        `closed_until` and `now_s` are UTC unix seconds. When this returns the numbers are on disk: the reports may be
        sent. If it fails some may have got theirs all the same: `uncommitted` has them.
        """
        reports: list[Report] = []
        while len(reports) < most:
            at_once = min(NUMBERED_AT_ONCE, most - len(reports))
            numbering = partial(
                self._number, sensor, stream, closed_until=closed_until, every_s=every_s, most=at_once, now_s=now_s
            )
            try:
                some = numbering()
            except sqlite3.OperationalError:
                if not self.full:
                    raise
                # What is sent will be stored, and may go then: on a full disk this is a way out.
                self.last_resort()
                some = numbering()
            reports += some
            if len(some) < at_once:
                break
        return reports

    def _number(
        self, sensor: str, stream: UUID, *, closed_until: int, every_s: int, most: int, now_s: int
    ) -> list[Report]:
        with self._transaction():
            waiting = self._waiting(sensor, closed_until, limit=most * MAX_PACKED_SLOTS)
            ready = [slot for slot in waiting if closed(slot, closed_until, every_s)]
            if not ready:
                return []
            seq = self._next_seq(sensor, stream)
            reports = [
                self._freeze(sensor, stream, seq + number, run, now_s)
                for number, run in enumerate(islice(pack(ready), most))
            ]
            self._database.execute("UPDATE stream SET next_seq = ? WHERE stream = ?", (seq + len(reports), str(stream)))
        return reports

    def uncommitted(self, sensor: str, limit: int) -> list[Report]:
        """The oldest numbered reports that no notice covers. Those whose bytes changed on the disk are set aside."""
        return self._read(f"{_REPORT} WHERE sensor = ? AND committed_s IS NULL ORDER BY id LIMIT ?", sensor, limit)

    def report(self, report_id: int) -> Report | None:
        """One report, if it is still to be sent and its bytes are what they were."""
        found = self._read(f"{_REPORT} WHERE id = ? AND committed_s IS NULL", report_id)
        return found[0] if found else None

    def _read(self, query: str, *values: str | int) -> list[Report]:
        """The reports that `query` finds, none of them with other bytes than it was numbered with."""
        while True:
            rows = self._database.execute(query, values).fetchall()
            wrong = [row for row in rows if report_crc(*row[1:5]) != row[5]]
            if not wrong:
                return [Report(*row[:5]) for row in rows]
            self._set_aside([row[0] for row in wrong])
            for _, sensor, stream, seq, *_ in wrong:
                metrics.DAMAGED_REPORTS.labels(sensor).inc()
                log.error(
                    "the bytes of a report changed on the disk: it is set aside and not sent",
                    extra=facts(sensor=sensor, stream=stream, seq=seq),
                )

    def _set_aside(self, ids: Iterable[int]) -> None:
        with self._transaction():
            for report_id in ids:
                self._database.execute(
                    "INSERT OR REPLACE INTO set_aside (id, sensor, stream, seq, slots, numbered_s, payload)"
                    " SELECT id, sensor, stream, seq, slots, numbered_s, payload FROM report WHERE id = ?",
                    (report_id,),
                )
                self._database.execute("DELETE FROM report WHERE id = ?", (report_id,))

    def _waiting(self, sensor: str, before: int, limit: int) -> list[Waiting]:
        """What waits and began before, length by length; first the length that has the oldest: the coarser is older."""
        found: list[Waiting] = []
        for length in self._lengths_waiting(sensor):
            if len(found) == limit:
                break
            rows = self._database.execute(
                "SELECT start, length, measured_ms, reported_s, direction, class, count FROM ("
                " SELECT * FROM slot WHERE sensor = ? AND length = ? AND waiting = 1 AND start < ?"
                " ORDER BY start LIMIT ?)"
                " LEFT JOIN slot_cell USING (sensor, length, start) ORDER BY start, direction, class",
                (sensor, length, before, limit - len(found)),
            )
            found += [_slot(list(group)) for _, group in groupby(rows, key=itemgetter(0))]
        return found

    def _lengths_waiting(self, sensor: str) -> list[int]:
        """Every length of which something waits, found without going through it all."""
        rows = self._database.execute(
            "WITH RECURSIVE kind (length) AS ("
            " SELECT min(length) FROM slot WHERE sensor = ?1 AND waiting = 1 UNION ALL"
            " SELECT (SELECT min(length) FROM slot WHERE sensor = ?1 AND waiting = 1 AND length > kind.length)"
            " FROM kind WHERE length IS NOT NULL)"
            " SELECT length FROM kind WHERE length IS NOT NULL"
            " ORDER BY (SELECT min(start) FROM slot WHERE sensor = ?1 AND waiting = 1 AND length = kind.length)",
            (sensor,),
        )
        return [length for (length,) in rows]

    def _next_seq(self, sensor: str, stream: UUID) -> int:
        self._streams.add(stream)
        self._database.execute(
            "INSERT OR IGNORE INTO stream (stream, sensor, next_seq) VALUES (?, ?, 0)", (str(stream), sensor)
        )
        seq, ended = self._database.execute(
            "SELECT next_seq, ended FROM stream WHERE stream = ?", (str(stream),)
        ).fetchone()
        if ended:
            raise OutboxError(f"stream {stream} of {sensor} was ended: which of its numbers were given is not certain")
        return int(seq)

    def _freeze(self, sensor: str, stream: UUID, seq: int, run: Sequence[Waiting], now_s: int) -> Report:
        run, payload = _fitting(sensor, stream, seq, run)
        keys = [(sensor, slot.length, slot.start) for slot in run]
        self._database.executemany(
            "UPDATE slot SET waiting = 0, reported_s = reported_s + ? WHERE sensor = ? AND length = ? AND start = ?",
            [(slot.observed, *key) for slot, key in zip(run, keys, strict=True)],
        )
        self._database.executemany("DELETE FROM slot_cell WHERE sensor = ? AND length = ? AND start = ?", keys)
        report_id = self._database.execute(
            "INSERT INTO report (sensor, stream, seq, slots, payload, numbered_s, crc) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (sensor, str(stream), seq, len(run), payload, now_s, report_crc(sensor, str(stream), seq, payload)),
        ).lastrowid
        return Report(report_id or 0, sensor, str(stream), seq, payload)

    # Committed: what ingest says.

    def settle(self, notice: CommitNotice, now_s: int | None) -> Settled:
        """Believe a commit notice.

        Within an epoch a report that was committed stays so, whatever a later notice says: notices may overtake one
        another, and the highest counts. In a new epoch only the notice counts: what it does not cover is to be sent
        again. `now_s` (UTC unix seconds) dates the commits; None while the clock is not trusted.
        """
        try:
            with self._transaction():
                return self._believe(notice, now_s, nullcontext)
        except sqlite3.OperationalError:
            if not self.full:
                raise
        # What is stored may go: on a full disk this is the way out, in steps for which there is room.
        self.last_resort()
        return self._believe(notice, now_s, self._transaction)

    def _believe(
        self, notice: CommitNotice, now_s: int | None, step: Callable[[], AbstractContextManager[None]]
    ) -> Settled:
        with step():
            reopened = self._begin_epoch(notice)
        committed: list[int] = []
        for sensor, streams in notice.sensors.items():
            for state in streams:
                with step():
                    self._note_state(sensor, state)
                for first, end in ((0, state.next), *state.above):
                    while True:
                        with step():
                            some = self._commit(sensor, state.stream, first, end, now_s)
                        committed += some
                        if len(some) < STORED_AT_ONCE:
                            break
        return Settled(frozenset(committed), reopened)

    def _begin_epoch(self, notice: CommitNotice) -> int:
        """If `notice` is of a new epoch, forget what was said before; returns how many reports are to be sent again."""
        (epoch,) = self._database.execute("SELECT epoch FROM about").fetchone()
        if epoch == str(notice.epoch):
            return 0
        self._database.execute("UPDATE about SET epoch = ?", (str(notice.epoch),))
        self._database.execute("UPDATE stream SET committed = '[0, []]' WHERE committed <> '[0, []]'")
        return self._reopen(notice)

    def _note_state(self, sensor: str, state: StreamState) -> None:
        stream = str(state.stream)
        self._database.execute(
            "UPDATE stream SET committed = ?1"
            " WHERE stream = ?2 AND sensor = ?3 AND committed <> ?1 AND json_extract(committed, '$[0]') <= ?4",
            (json.dumps([state.next, state.above]), stream, sensor, state.next),
        )
        for first, end in ((0, state.next), *state.above):
            # Stored before the disk changed it: nothing of it is missing.
            self._database.execute(
                "DELETE FROM set_aside WHERE stream = ? AND sensor = ? AND seq >= ? AND seq < ?",
                (stream, sensor, first, end),
            )

    def _commit(self, sensor: str, stream: UUID, first: int, end: int, now_s: int | None) -> list[int]:
        """Take some reports from number `first` to before `end` for stored; returns their ids."""
        rows = self._database.execute(
            "UPDATE report SET committed_s = coalesce(?, numbered_s) WHERE id IN ("
            " SELECT id FROM report WHERE stream = ? AND sensor = ? AND seq >= ? AND seq < ? AND committed_s IS NULL"
            " LIMIT ?) RETURNING id, seq",
            (now_s, str(stream), sensor, first, end, STORED_AT_ONCE),
        ).fetchall()
        for _, seq in rows:
            log.debug("stored, says ingest", extra=facts(sensor=sensor, stream=stream, seq=seq))
        return [report_id for report_id, _ in rows]

    def _reopen(self, notice: CommitNotice) -> int:
        """Un-commit what `notice` does not cover."""
        states = {(sensor, str(state.stream)): state for sensor, streams in notice.sensors.items() for state in streams}
        rows = self._database.execute(
            "SELECT id, sensor, stream, seq FROM report WHERE committed_s IS NOT NULL"
        ).fetchall()
        missing = [
            (report_id,)
            for report_id, sensor, stream, seq in rows
            if (state := states.get((sensor, stream))) is None or not state.covers(seq)
        ]
        self._database.executemany("UPDATE report SET committed_s = NULL WHERE id = ?", missing)
        return len(missing)

    # Housekeeping.

    def prune(self, now_s: int, *, keep_committed_days: int, max_bytes: int) -> int:
        """All of `pruning` at once; returns how many reports were forgotten."""
        return sum(self.pruning(now_s, keep_committed_days=keep_committed_days, max_bytes=max_bytes))

    def pruning(self, now_s: int, *, keep_committed_days: int, max_bytes: int) -> Iterator[int]:
        """Forget committed reports that are old, or, when the file has outgrown `max_bytes`, the oldest of them.

        What is not committed is never dropped. `now_s` in UTC unix seconds. Each step is a transaction of bounded size
        and yields how many reports it forgot: after days without a network a box has millions of slots to forget, and
        its sensors are not to wait for that.
        """
        while forgotten := self._forget_reports(now_s - keep_committed_days * 86400):
            yield forgotten
        for sensor in self._sensors_with_slots():
            while self._forget_slots(sensor, now_s - SLOT_KEPT_S) == FORGOTTEN_AT_ONCE:
                yield 0
            yield 0
        self._forget_streams(now_s)
        yield 0
        while self.bytes_used() > max_bytes and (forgotten := self.forget_committed()):
            yield forgotten

    def _forget_reports(self, before_s: int) -> int:
        with self._transaction():
            return self._database.execute(
                "DELETE FROM report WHERE id IN (SELECT id FROM report WHERE committed_s < ? LIMIT ?)",
                (before_s, FORGOTTEN_AT_ONCE),
            ).rowcount

    def _sensors_with_slots(self) -> list[str]:
        """Found one by one in the key: to go through all slots takes a second for every ten million."""
        rows = self._database.execute(
            "WITH RECURSIVE found (sensor) AS (SELECT min(sensor) FROM slot UNION ALL"
            " SELECT (SELECT min(sensor) FROM slot WHERE sensor > found.sensor) FROM found WHERE sensor IS NOT NULL)"
            " SELECT sensor FROM found WHERE sensor IS NOT NULL"
        )
        return [sensor for (sensor,) in rows]

    def _forget_slots(self, sensor: str, before_s: int) -> int:
        """Forget reported slots that ended before, and remember how far: a clock may be set back to there.

        Returns how many were forgotten, `FORGOTTEN_AT_ONCE` at most.
        """
        with self._transaction():
            rows = self._database.execute(
                "DELETE FROM slot WHERE sensor = ?1 AND (length, start) IN ("
                " SELECT length, start FROM slot"
                " WHERE sensor = ?1 AND waiting = 0 AND length > 0 AND start + length < ?2 LIMIT ?3"
                ") RETURNING start + length, measured_ms",
                (sensor, before_s, FORGOTTEN_AT_ONCE),
            ).fetchall()
            end = max((end for end, measured_ms in rows if measured_ms), default=None)
            if end is not None:
                self._database.execute(
                    "INSERT OR IGNORE INTO slot (sensor, start, length, measured_ms, waiting) VALUES (?, ?, 0, 0, 0)",
                    (sensor, end),
                )
                self._database.execute(
                    "DELETE FROM slot WHERE sensor = ?1 AND length = 0"
                    " AND start < (SELECT max(start) FROM slot WHERE sensor = ?1 AND length = 0)",
                    (sensor,),
                )
        return len(rows)

    def _forget_streams(self, now_s: int) -> None:
        with self._transaction():
            # A stream in use keeps its next number even when none of its reports is left: a number is never given
            # twice.
            used = [str(stream) for stream in self._streams]
            self._database.execute(
                "DELETE FROM stream WHERE stream NOT IN (SELECT stream FROM report UNION SELECT stream FROM set_aside)"
                " AND stream NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(used),),
            )
            holding.forget(self._database, now_s)

    def bytes_used(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (self._pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * size

    def bytes_free(self) -> int:
        """Bytes of the file that hold nothing: it can be written into them without growing."""
        return self._pragma("freelist_count") * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    # Room, when space is short. What decides is in `footfall_edge.room`.

    def write_sparingly(self, journal_bytes: int) -> None:
        """Keep SQLite's journal (the WAL) at about `journal_bytes`, whatever is in one transaction apart."""
        self._database.execute(f"PRAGMA wal_autocheckpoint = {max(1, journal_bytes // self._pragma('page_size'))}")

    def shorten_journal(self) -> bool:
        """Bring what is in the journal into the file and cut it to nothing; False if somebody is looking just now."""
        if self._lock is not None:
            self._lock.say(_NO_LOG)
        busy, *_ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def forget_committed(self, most: int = STORED_AT_ONCE) -> int:
        """Forget up to `most` committed reports before their time, the oldest first; returns how many."""
        with self._transaction():
            return self._database.execute(
                "DELETE FROM report WHERE id IN"
                " (SELECT id FROM report WHERE committed_s IS NOT NULL ORDER BY committed_s, id LIMIT ?)",
                (most,),
            ).rowcount

    def coarsen(
        self, step_s: int, closed_until: Callable[[str], int | None], *, waiting: bool, since: int = 0
    ) -> Iterator[int]:
        """Merge slots from `since` (UTC unix seconds) on into steps of `step_s` seconds, the oldest first.

        With `waiting` those steps in which something waits, else the records of what was reported. What is not over at
        the time that `closed_until` gives for its sensor stays as it is. Each round is a transaction of bounded size
        and yields how many slots it put into coarser ones; the caller stops when that is enough.
        """
        ahead: list[tuple[int, int, str]] = []

        def look_on(sensor: str, since: int) -> None:
            found = self._finer(sensor, step_s, since, waiting=waiting)
            if found is not None:
                heapq.heappush(ahead, (*found, sensor))

        for sensor in self._with_slots():
            look_on(sensor, since)
        while ahead:
            start, length, sensor = heapq.heappop(ahead)
            start = start // step_s * step_s
            end = start + max(1, COARSENED_AT_ONCE * length // step_s) * step_s
            end = min(end, (closed_until(sensor) or 0) // step_s * step_s)
            if end > start:
                yield self._coarsen(sensor, step_s, start, end, waiting=waiting)
                look_on(sensor, end)

    def _with_slots(self) -> list[str]:
        """Every sensor that has a slot, found without going through all slots."""
        sensors: list[str] = []
        query = "SELECT min(sensor) FROM slot WHERE sensor > ?"
        while (found := self._database.execute(query, (sensors[-1] if sensors else "",)).fetchone()[0]) is not None:
            sensors.append(found)
        return sensors

    def _finer(self, sensor: str, step_s: int, since: int, *, waiting: bool) -> tuple[int, int] | None:
        """Start and length of the oldest slot from `since` on that is finer than `step_s`."""
        # Written out, because SQLite takes the index of what waits only for a condition it can read.
        which = "waiting = 1" if waiting else "waiting = 0"
        query = f"SELECT min(start) FROM slot WHERE sensor = ? AND length = ? AND start >= ? AND {which}"  # noqa: S608  # our own words
        found = [
            (start, length)
            for length in SLOT_LENGTHS_S
            if length < step_s
            for (start,) in self._database.execute(query, (sensor, length, since))
            if start is not None
        ]
        return min(found, default=None)

    def _coarsen(self, sensor: str, step_s: int, start: int, end: int, *, waiting: bool) -> int:
        with self._transaction():
            found = merges(self._booked(sensor, step_s, start, end), step_s, end, waiting=waiting)
            for merge in found:
                self._merge(sensor, merge)
        return sum(slot.length < step_s for merge in found for slot in merge.gone)

    def _booked(self, sensor: str, step_s: int, start: int, end: int) -> list[Booked]:
        """What is known from `start` to `end`, no coarser than `step_s`."""
        rows = self._database.execute(
            "SELECT start, length, measured_ms, reported_s, waiting, direction, class, count"
            " FROM (SELECT * FROM slot WHERE sensor = ? AND length IN (SELECT value FROM json_each(?))"
            " AND start >= ? AND start < ?)"
            " LEFT JOIN slot_cell USING (sensor, length, start) ORDER BY length, start, direction, class",
            (sensor, json.dumps([*(length for length in SLOT_LENGTHS_S if length < step_s), step_s]), start, end),
        ).fetchall()
        return [
            Booked(start, length, measured_ms, reported_s, bool(waiting), _passages(row[5:] for row in group))
            for (start, length, measured_ms, reported_s, waiting), group in groupby(rows, itemgetter(0, 1, 2, 3, 4))
        ]

    def _merge(self, sensor: str, merge: Merge) -> None:
        keys = [(sensor, slot.length, slot.start) for slot in merge.gone]
        # The slots first: then nobody adds up what is left of their cells.
        for table in ("slot", "slot_cell"):
            self._database.executemany(
                f"DELETE FROM {table} WHERE sensor = ? AND length = ? AND start = ?",  # noqa: S608  # a name from here
                keys,
            )
        into = merge.into
        self._database.execute(
            "INSERT INTO slot (sensor, start, length, measured_ms, reported_s, waiting) VALUES (?, ?, ?, ?, ?, ?)",
            (sensor, into.start, into.length, into.measured_ms, into.reported_s, int(into.waiting)),
        )
        self._database.executemany(
            "INSERT INTO slot_cell (sensor, start, length, direction, class, count) VALUES (?, ?, ?, ?, ?, ?)",
            [(sensor, into.start, into.length, *cell) for cell in into.passages],
        )

    def _in_its_place(self, sensor: str, start: int, length: int) -> tuple[int, int]:
        """Start and length of the slot that has the seconds of this one: itself, or the one that it became a part of.

        A coarser slot knows which of its seconds are claimed. Where it has none, measured or claimed, a slot of its own
        is the finer answer. So is it beside a recovered sum that happens to have the shape of a quarter hour.
        """
        place = self._coarsened(sensor, start, length, "AND (measured_ms > 0 OR reported_s > 0)")
        return (start, length) if place is None else place

    def _coarsened(self, sensor: str, start: int, length: int, which: str = "") -> tuple[int, int] | None:
        """Start and length of the coarser slot that has taken the place of this one."""
        query = f"SELECT 1 FROM slot WHERE sensor = ? AND start = ? AND length = ? {which}"  # noqa: S608  # our own words
        for place in coarser(start, length):
            if self._database.execute(query, (sensor, *place)).fetchone():
                return place
        return None

    def sensors(self) -> set[str]:
        """Every sensor that has something in the outbox which is not committed, configured today or not."""
        rows = self._database.execute(
            "SELECT DISTINCT sensor FROM slot WHERE waiting = 1"
            " UNION SELECT DISTINCT sensor FROM report WHERE committed_s IS NULL"
        )
        return {sensor for (sensor,) in rows}

    def tally(self) -> Tally:
        """What lies in the outbox, and since when."""
        slots = self._database.execute(
            "SELECT sensor, count(*), min(start) FROM slot WHERE waiting = 1 GROUP BY sensor"
        ).fetchall()
        reports = self._database.execute(
            "SELECT sensor, sum(slots), min(numbered_s), count(*) FROM report WHERE committed_s IS NULL GROUP BY sensor"
        ).fetchall()
        (committed,) = self._database.execute("SELECT count(*) FROM report WHERE committed_s IS NOT NULL").fetchone()
        (set_aside,) = self._database.execute("SELECT count(*) FROM set_aside").fetchone()
        waiting: Counter[str] = Counter()
        for sensor, number, *_ in (*slots, *reports):
            waiting[sensor] += number
        return Tally(
            waiting_slots=waiting,
            unnumbered=sum(row[1] for row in slots),
            numbered=sum(row[3] for row in reports),
            committed=committed,
            oldest_s=min((row[2] for row in (*slots, *reports)), default=None),
            bytes_used=self.bytes_used(),
            set_aside=set_aside,
            held=holding.held(self._database),
        )

    # Slots on hold: what a person decided.

    def adopt(self) -> holding.Moved:
        """Count what is on hold: nobody else will report it."""
        with self._transaction():
            return holding.adopt(self._database, self._in_its_place)

    def discard_held(self, now_s: int) -> holding.Moved:
        """Count nothing of what is on hold: somebody else has reported it. `now_s` in UTC unix seconds."""
        with self._transaction():
            return holding.discard(self._database, now_s)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException as error:
            self.full = self.full or _is_full(error)
            # A full disk may have ended the transaction already.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        if self._lock is not None:
            self._lock.say_at_work()


_REPORT: Final = "SELECT id, sensor, stream, seq, payload, crc FROM report"
_COPIED: Final = "the outbox was brought here from another computer, which may have sent these slots itself"


# What the lock file says: how the outbox is left if the process ends just now.
_CLOSED: Final = "closed"
"""All is in the file."""
_AT_WORK: Final = "{pid}"
"""The latest is in the -wal."""
_NO_LOG: Final = "{pid} (may have no -wal)"
"""It has just been opened, or the -wal was emptied, and nothing was written since."""
_MAKING: Final = ""
"""The file is being made: nothing was in it yet."""
_LOCK_LENGTH: Final = 40
"""Bytes of the lock file, blanks included."""


class _Lock:
    """The lock file beside an outbox. The kernel lets go of it when the process ends, however it ends."""

    def __init__(self, file: IO[bytes], wal: Path) -> None:
        self._file = file
        self._wal = wal
        self._said = ""
        self.before = self._read()
        """What it said when it was taken."""

    @classmethod
    def take(cls, path: Path) -> Self:
        """Hold the lock of the outbox at `path`.

        Raises:
            OutboxError: somebody else has it, or it cannot be made.
        """
        if path.is_dir():
            raise OutboxError(f"the outbox {path} cannot be used: it is a folder; [outbox] path has to name a file")
        place = path.with_name(path.name + ".lock")
        try:
            file = os.fdopen(os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b", buffering=0)
        except OSError as error:
            raise OutboxError(f"the outbox {path} cannot be used: {place}: {error.strerror}") from error
        lock = cls(file, path.with_name(path.name + "-wal"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise OutboxError(
                f"the outbox {path} is in use by another footfall-edge (process {lock.before or 'unknown'}); "
                "stop that one first, or give this one another [outbox] path"
            ) from error
        return lock

    def _read(self) -> str:
        return os.pread(self._file.fileno(), 100, 0).decode("ascii", "replace").strip()

    def say(self, text: str) -> None:
        """Have it say `text`, also after a power cut. It is written over what is there: that needs no room."""
        self._said = text
        with suppress(OSError):
            os.pwrite(self._file.fileno(), text.format(pid=os.getpid()).ljust(_LOCK_LENGTH).encode("ascii"), 0)
            os.fsync(self._file.fileno())

    def say_at_work(self) -> None:
        """After something was written: have it say that there is a -wal, if it does not and there is."""
        if self._said != _AT_WORK and is_log(self._wal):
            self.say(_AT_WORK)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


def _mend(path: Path, lock: _Lock) -> None:
    """Replace the file at `path` if it is damaged."""
    try:
        mending.finish(path)
        trouble = _trouble(path, lock.before)
        if trouble is not None:
            mending.say(path, mending.mend(path, trouble, ours=bool(lock.before), now=datetime.now(UTC)))
            metrics.MENDINGS.inc()
    except mending.ForeignFileError as error:
        raise OutboxError(f"the outbox {path} {error}") from error
    except mending.MendingError as error:
        raise OutboxError(f"the outbox {path} {error}") from error


def _trouble(path: Path, before: str) -> mending.Trouble | None:
    """What is wrong with the file at `path`; on a disk too full even for looking, nothing as far as is known."""

    def look() -> mending.Trouble | None:
        return mending.trouble(path, used=bool(before), killed=before.isdigit())

    try:
        return _making_do(path, "check the outbox", look)
    except sqlite3.OperationalError as error:
        if not _wants_room(error, path):
            raise
        log.warning("the outbox is not checked: there is no room for it", extra=facts(path=path, reason=error))
        return None


def reserve_of(path: Path) -> Path:
    """The file beside the outbox at `path` that takes up room, to be given up when there is no other."""
    return path.with_name(path.name + ".reserve")


def _making_do(path: Path, what: str, attempt: Callable[[], T]) -> T:
    """Make `attempt`, and where there is no room for it a second one, at the cost of the reserve."""
    try:
        return attempt()
    except sqlite3.OperationalError as error:
        reserve = reserve_of(path)
        if not _wants_room(error, path) or not reserve.is_file():
            raise
    log.warning("there is no room: the reserve is given up", extra=facts(path=path, to=what))
    reserve.unlink()
    return attempt()


def _opened(path: Path) -> sqlite3.Connection:
    """The database at `path`, ready to work with, also on a full disk."""
    try:
        return _making_do(path, "open the outbox", lambda: _connected(path))
    except sqlite3.OperationalError as error:
        if not _wants_room(error, path):
            raise
    # A lock on the whole file saves the 32 KiB that SQLite shares with others who read it.
    return _connected(path, "locking_mode = EXCLUSIVE")


def _connected(path: Path, *pragmas: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in pragmas:
            database.execute(f"PRAGMA {pragma}").fetchall()
        _prepare(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _is_full(error: BaseException) -> bool:
    """Whether SQLite says that there is no room."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL


def _wants_room(error: sqlite3.OperationalError, path: Path) -> bool:
    """Whether an outbox that is there cannot be opened because the files that SQLite needs beside it have no room."""
    if not path.exists():
        return False
    disk = os.statvfs(path.absolute().parent)
    # With a missing or unreadable file, a folder, or a broken disk SQLite says the same as with a full one.
    nearly_full = disk.f_bavail * disk.f_frsize < NEARLY_FULL
    return _is_full(error) or (
        nearly_full and error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
    )


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    # FULL: a commit is on the disk before it returns. In WAL mode that is one fsync. secure_delete: what was removed is
    # overwritten, so that a damaged file shows nothing that was there before.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000", "secure_delete = ON"):
        database.execute(f"PRAGMA {pragma}")
    add_functions(database)
    try:
        upgrade(database)
    except sqlite3.Error as error:
        raise OutboxError(
            f"the outbox {path} cannot be brought to the version of this footfall-edge: {error}; "
            "it is as it was. It needs as much free space beside it as the file itself"
        ) from error


def _totals(text: str) -> dict[tuple[int, int], int] | None:
    totals = json.loads(text)
    return None if totals is None else {(direction, class_): total for direction, class_, total in totals}


def _passages(cells: Iterable[tuple[int | None, int | None, int | None]]) -> Passages:
    """The passages of a slot from its cells; one without any has a single one of nothing."""
    return tuple(
        (direction, class_, count)
        for direction, class_, count in cells
        if direction is not None and class_ is not None and count is not None
    )


def _slot(rows: Sequence[tuple[int, int, int, int, int | None, int | None, int | None]]) -> Waiting:
    """A slot from its rows, one for each of its cells or a single one without."""
    start, length, measured_ms, reported_s, *_ = rows[0]
    passages = _passages(row[4:] for row in rows)
    # Never more than the slot has, also when a fragment comes after its slot was reported.
    return Waiting(start, length, max(0, observed_seconds(measured_ms, length) - reported_s), passages)


def _fitting(sensor: str, stream: UUID, seq: int, run: Sequence[Waiting]) -> tuple[Sequence[Waiting], bytes]:
    """As much of `run` as one report can carry, and its payload."""
    try:
        return run, encode_cbor(report_of(sensor, stream, seq, run))
    except ContractError as error:
        if error.field != "payload" or len(run) == 1:
            raise
        return _fitting(sensor, stream, seq, run[: len(run) // 2])
