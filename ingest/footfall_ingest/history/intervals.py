"""Readings into intervals: what one sensor counted when, and whatever does not fit together named by its line.

What is refused is what could be counted wrongly: two values for one time, intervals that overlap, a sum beside its
parts. Rows may come in any order and from any file: the result depends on what they say alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from footfall_contract.words import MAX_SPAN_S, Direction, PassageClass
from footfall_ingest.history.findings import Findings, Kind, number_of
from footfall_ingest.history.labels import Clock
from footfall_ingest.history.reading import FAULTY, MISSING, Readings, parts_of
from footfall_ingest.judge import MAX_PASSAGES_PER_S, utc_text

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Cell = tuple[Direction, PassageClass]

SHORTEST_S: Final = 60
_HOUR_S: Final = 3600
_MONTH_END_GAP_S: Final = 12 * _HOUR_S
"""A month ends too early if nothing was measured for at least this long before its end…"""
_MONTH_END_FROM: Final = timedelta(days=7)
"""…and something was in its last days; else it is a hole like others."""
_MONTH_DAYS: Final = 20
"""…and the month was counted on so many days; else it is a count of single days."""
_EXPECTED: Final = 50.0
"""So many passages are usual in a stretch of zeros that is worth a word: by chance it does not happen."""
_ENOUGH_DAYS: Final = 14
"""Fewer days say nothing about what is usual at an hour of the day."""


_UNREAD: Final = (Kind.ROW, Kind.TIME, Kind.PLACE)
"""Faults of rows of which it cannot be told whose interval they belong to."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What one sensor counted from `start` to `end` (UTC seconds), and in how many seconds of it it measured.

    `counts` has an entry for each direction and class that the file names, 0 included; none means that nothing is
    known. `line` is where the file says so, 0 for a hole between its rows; `file` is which one, if there are several.
    """

    start: int
    end: int
    observed_s: int
    counts: Mapping[Cell, int]
    line: int
    file: str = ""

    @property
    def length_s(self) -> int:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Hole:
    """A time between measured intervals of which nothing is known; UTC seconds."""

    start: int
    end: int

    @property
    def length_s(self) -> int:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Intervals:
    """The intervals of one place with a value, in order and without overlap; and those that are left out."""

    start: Int64s
    end: Int64s
    observed: Int64s
    total: Int64s
    _first: Int64s
    """Where the cells of each interval begin; one more than there are intervals."""
    _cell: Int64s
    _count: Int64s
    _file: Int64s
    _line: Int64s
    files: Sequence[str]
    unmeasured: int
    """Intervals that the file calls not measured."""
    faulty: int
    """Intervals that have a fault, and are left out if that is asked for."""

    def __len__(self) -> int:
        return len(self.start)

    def only(self, kept: Flags) -> "Intervals":
        """Those that are flagged."""
        at = np.flatnonzero(kept)
        sizes = np.diff(self._first)
        cells = np.repeat(kept, sizes)
        return Intervals(
            self.start[at], self.end[at], self.observed[at], self.total[at],
            np.concatenate([[0], np.cumsum(sizes[at])]), self._cell[cells], self._count[cells], self._file[at],
            self._line[at], self.files, 0, 0,
        )  # fmt: skip

    def where(self, at: int) -> tuple[str, int]:
        """File and line of an interval."""
        return self.files[int(self._file[at])], int(self._line[at])

    def items(self, low: int = 0, high: int | None = None) -> Iterator[Interval]:
        """The intervals from the one at `low` to the one before `high`."""
        high = len(self) if high is None else high
        first = self._first[low : high + 1].tolist()
        cells = [parts_of(cell) for cell in self._cell[first[0] : first[-1]].tolist()]
        count = self._count[first[0] : first[-1]].tolist()
        columns = (self.start, self.end, self.observed, self._line, self._file)
        rows = zip(*(column[low:high].tolist() for column in columns), strict=True)
        for at, (start, end, observed, line, file) in enumerate(rows):
            mine = slice(first[at] - first[0], first[at + 1] - first[0])
            counts = dict(zip(cells[mine], count[mine], strict=True))
            yield Interval(start, end, observed, counts, line, self.files[file])

    @property
    def measured_s(self) -> int:
        """Seconds that were measured."""
        return int(self.observed.sum())

    def holes(self) -> list[Hole]:
        """The times between two intervals, largest first."""
        gaps = np.flatnonzero(self.start[1:] > self.end[:-1])
        found = [Hole(int(self.end[at]), int(self.start[at + 1])) for at in gaps]
        return sorted(found, key=lambda hole: (-hole.length_s, hole.start))


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which times can be imported, in UTC seconds: nothing begins before `oldest` or ends after `now`."""

    oldest: int
    now: int


def assemble(name: str, readings: Readings, files: Sequence[str], bounds: Bounds, findings: Findings) -> Intervals:
    """The intervals that the readings of the place `name` make."""
    return _Assembly(name, readings, files, bounds, findings).intervals()


class _Assembly:
    def __init__(self, name: str, readings: Readings, files: Sequence[str], bounds: Bounds, findings: Findings) -> None:
        self._name, self._files, self._bounds, self._findings = name, files, bounds, findings
        self._unread = any(item.kind in _UNREAD for item in findings.faults)
        columns = [
            np.array(column, np.int64)
            for column in (
                readings.start, readings.end, readings.cell, readings.count,
                readings.observed, readings.file, readings.line,
            )
        ]  # fmt: skip
        start, end, cell, _, _, file, line = columns
        order = np.lexsort((line, file, cell & 0xFFFF, end, start))
        self._start, self._end, self._cell, self._count, self._observed, self._file, self._line = (
            column[order] for column in columns
        )

    def intervals(self) -> Intervals:
        """All that can be believed, in order."""
        self._merge_repeated()
        begins = np.ones(len(self._start), np.bool_)
        begins[1:] = (self._start[1:] != self._start[:-1]) | (self._end[1:] != self._end[:-1])
        first = np.flatnonzero(begins)
        bounds = np.append(first, len(self._start))
        if not len(first):
            none = np.zeros(0, np.int64)
            return Intervals(none, none, none, none, np.zeros(1, np.int64), none, none, none, none, self._files, 0, 0)
        lowest = np.minimum.reduceat(self._count, first)
        highest = np.maximum.reduceat(self._count, first)
        total = np.add.reduceat(np.maximum(self._count, 0), first)
        start, end = self._start[first], self._end[first]
        missing = highest == MISSING
        faulty = lowest == FAULTY
        faulty |= self._disagreeing(first, lowest, highest)
        faulty |= self._impossible(first, total, missing)
        faulty |= self._overlapping(first, missing)
        kept = ~(missing | faulty)
        cells = np.repeat(kept, np.diff(bounds))
        sizes = np.diff(bounds)[kept]
        return Intervals(
            start[kept], end[kept], self._observed[first][kept], total[kept], np.concatenate([[0], np.cumsum(sizes)]),
            self._cell[cells] & 0xFFFF, self._count[cells], self._file[first][kept], self._line[first][kept],
            self._files, int(np.count_nonzero(missing & ~faulty)), int(np.count_nonzero(faulty)),
        )  # fmt: skip

    # -- what is said more than once ----------------------------------------------------------------------------------

    def _merge_repeated(self) -> None:
        same = np.zeros(len(self._start), np.bool_)
        same[1:] = (
            (self._start[1:] == self._start[:-1])
            & (self._end[1:] == self._end[:-1])
            & ((self._cell[1:] & 0xFFFF) == (self._cell[:-1] & 0xFFFF))
        )
        if not same.any():
            return
        repeated: list[int] = []
        for at in np.flatnonzero(same & ~np.append(same[1:], False)).tolist():  # the last row of each group
            low = at
            while same[low]:
                low -= 1
            repeated += self._merge(range(low, at + 1))
        kept = ~same
        if repeated:
            first = self._where(repeated[0])
            rows = len({self._where(at) for at in repeated})
            text = f"rows that say again what another one says: {rows}, this one and so on; used once"
            self._findings.note(Kind.REPEATED, self._said(text), *first)
        for name in ("_start", "_end", "_cell", "_count", "_observed", "_file", "_line"):
            setattr(self, name, getattr(self, name)[kept])

    def _merge(self, group: range) -> list[int]:
        """Put what one group of rows says into its first row; returns the rows that only repeat another one."""
        values = [at for at in group if self._count[at] >= 0]
        first = group[0]
        if any(self._count[at] == FAULTY for at in group):
            self._count[first] = FAULTY
            return []
        if not values:
            return []
        said = {(int(self._count[at]), int(self._observed[at]), int(self._cell[at])) for at in values}
        if len(said) > 1:
            one, other = values[0], next(at for at in values if self._value(at) != self._value(values[0]))
            file, line = self._where(one)
            text = (
                f"{self._value(other)}, but line {line}{f' of {file}' if file != self._where(other)[0] else ''} says "
                f"{self._value(one)} for the same time ({self._shown(other)}); only one of them can be true"
            )
            self._findings.fault(Kind.CONTRADICTION, self._said(text), *self._where(other))
            self._count[first] = FAULTY
            return []
        for column in (self._count, self._observed, self._cell, self._file, self._line):
            column[first] = column[values[0]]
        return values[1:]

    def _value(self, at: int) -> str:
        direction, class_ = parts_of(int(self._cell[at]))
        whole = "all" if self._cell[at] >> 16 else f"{direction.name.lower()}/{class_.name.lower()}"
        return f"{self._count[at]} {whole} in {self._observed[at]} s measured"

    # -- what does not fit together -----------------------------------------------------------------------------------

    def _disagreeing(self, first: Int64s, lowest: Int64s, highest: Int64s) -> Flags:
        wholes = self._cell >> 16
        mixed = np.minimum.reduceat(wholes, first) != np.maximum.reduceat(wholes, first)
        partly = (lowest == MISSING) & (highest >= 0)
        observed = (np.minimum.reduceat(self._observed, first) != np.maximum.reduceat(self._observed, first)) & ~partly
        for at in np.flatnonzero(mixed & (lowest != FAULTY)).tolist():
            text = "the sum of all directions or classes beside single ones, for the same interval"
            self._fault(Kind.PARTS, first[at], f"{text}: passages would be counted twice")
        for at in np.flatnonzero(partly & (lowest != FAULTY)).tolist():
            text = "a count for one direction or class and none for another, though the same sensor measured both"
            self._fault(Kind.PARTS, first[at], text)
        for at in np.flatnonzero(observed & (lowest >= 0)).tolist():
            self._fault(Kind.PARTS, first[at], "the directions or classes of one interval differ in what was measured")
        faulty: Flags = mixed | partly | observed | self._fewer(first, highest)
        return faulty

    def _fewer(self, first: Int64s, highest: Int64s) -> Flags:
        """The intervals that lack what an unreadable row may have said; if every row was read only a note on them."""
        sizes = np.diff(np.append(first, len(self._cell)))
        # A total without directions is whole, though it is one number and others are two.
        directed = np.minimum.reduceat(self._cell & 0xFFFF, first) >> 8 < Direction.UNDIRECTED
        most = np.where(directed, sizes[directed].max(initial=0), sizes[~directed].max(initial=0))
        fewer: Flags = (sizes < most) & (highest >= 0)
        at = np.flatnonzero(fewer)
        if not len(at):
            return fewer
        text = f"{number_of(len(at), 'interval')} with fewer directions or classes than others"
        where = self._where(int(first[at[0]]))
        if self._unread:
            text += ", and there are rows that could not be read: what is missing may stand there"
            self._findings.fault(Kind.PARTS, self._said(text), *where)
            return fewer
        self._findings.note(Kind.PARTS, self._said(f"{text}: those count as nobody"), *where)
        return np.zeros(len(first), np.bool_)

    def _impossible(self, first: Int64s, total: Int64s, missing: Flags) -> Flags:
        start, end = self._start[first], self._end[first]
        length = end - start
        measured = ~missing
        wrong = np.zeros(len(first), np.bool_)
        for kind, flags, text in (
            (Kind.LENGTH, (length < SHORTEST_S) | (length > MAX_SPAN_S), "an interval has from one minute to 31 days"),
            (Kind.TOO_OLD, start < self._bounds.oldest, f"nothing begins before {utc_text(self._bounds.oldest)}"),
            (Kind.FUTURE, end > self._bounds.now, "this time has not passed yet"),
            (
                Kind.TOO_MANY,
                total > MAX_PASSAGES_PER_S * length,
                f"more than {MAX_PASSAGES_PER_S} a second pass nowhere",
            ),
        ):
            found = flags & measured
            for at in np.flatnonzero(found & ~wrong).tolist():
                detail = f"{total[at]} in {length[at]} s" if kind is Kind.TOO_MANY else self._shown(int(first[at]))
                self._fault(kind, first[at], f"{detail}: {text}")
            wrong |= found
        return wrong

    def _overlapping(self, first: Int64s, missing: Flags) -> Flags:
        at = np.flatnonzero(~missing)
        start, end = self._start[first[at]], self._end[first[at]]
        if not len(at):
            return np.zeros(len(first), np.bool_)
        latest = np.maximum.accumulate(end)
        inside = np.zeros(len(at), np.bool_)
        inside[1:] = start[1:] < latest[:-1]
        wrong = np.zeros(len(first), np.bool_)
        for place in np.flatnonzero(inside).tolist():
            other = int(np.flatnonzero(end[:place] > start[place])[-1])
            wrong[at[place]] = True
            wrong[at[:place][end[:place] > start[place]]] = True
            file, line = self._where(int(first[at[other]]))
            text = f"{self._shown(int(first[at[place]]))} overlaps {self._shown(int(first[at[other]]))} in line {line}"
            self._fault(Kind.OVERLAP, first[at[place]], f"{text} of {file}: passages would be counted twice")
        return wrong

    # -- words --------------------------------------------------------------------------------------------------------

    def _where(self, at: int) -> tuple[str, int]:
        return self._files[int(self._file[at])], int(self._line[at])

    def _shown(self, at: int) -> str:
        return f"{utc_text(int(self._start[at]))} to {utc_text(int(self._end[at]))}"

    def _said(self, text: str) -> str:
        return f"{self._name}: {text}" if self._name else text

    def _fault(self, kind: Kind, at: np.int64, text: str) -> None:
        self._findings.fault(kind, self._said(text), *self._where(int(at)))


# -- what is odd about a whole place ----------------------------------------------------------------------------------


def note_holes(names: Mapping[str, Intervals], zone: str, findings: Findings) -> None:
    """A note for each hole, the largest first, over all places."""
    holes = [(hole, name) for name, intervals in names.items() for hole in intervals.holes()]
    for hole, name in sorted(holes, key=lambda item: (-item[0].length_s, item[0].start, item[1])):
        times = f"from {_local(hole.start, zone)} to {_local(hole.end, zone)}"
        findings.note(Kind.HOLE, f"{name}: nothing measured for {hours(hole.length_s)}, {times}")


def note_month_ends(name: str, intervals: Intervals, zone: str, now: int, findings: Findings) -> None:
    """A note for each month whose last day, or most of it, is not there although the days before it are."""
    if not len(intervals):
        return
    clock = Clock(zone)
    day = clock.local(int(intervals.start[0])).date().replace(day=1)
    while (after := clock.midnight(following := _next_month(day))) <= now:
        begin = clock.midnight(day)
        at = int(np.searchsorted(intervals.end, after, "right")) - 1
        last = int(intervals.end[at]) if at >= 0 else 0
        covered = at + 1 < len(intervals) and int(intervals.start[at + 1]) < after
        gap = after - last
        mine = intervals.start[(intervals.start >= begin) & (intervals.start < after)]
        days = len(np.unique((mine - begin) // 86_400))
        if _MONTH_END_GAP_S <= gap <= _MONTH_END_FROM.total_seconds() and not covered and days >= _MONTH_DAYS:
            text = f"{name}: {day:%Y-%m} ends too early, at {_local(last, zone)}: {hours(gap)} of it are not there"
            findings.note(Kind.MONTH_END, text)
        if at + 1 >= len(intervals):
            return
        day = following


def note_zeros(name: str, intervals: Intervals, zone: str, findings: Findings) -> None:
    """A note for each stretch of zeros where many usually pass: a sensor that was off and said 0, not nothing."""
    length = intervals.end - intervals.start
    if not len(intervals) or int(length.max()) > 2 * _HOUR_S:
        return
    offset = _offsets(intervals.start, zone)
    hour = (intervals.start + offset) // _HOUR_S % 24
    usual = np.zeros(len(intervals))
    for of_day in np.unique(hour).tolist():
        mine = hour == of_day
        if len(np.unique((intervals.start[mine] + offset[mine]) // 86_400)) >= _ENOUGH_DAYS:
            usual[mine] = np.median(intervals.total[mine] / length[mine]) * length[mine]
    zero = intervals.total == 0
    begins = np.flatnonzero(zero & ~np.concatenate([[False], zero[:-1]]))
    ends = np.flatnonzero(zero & ~np.concatenate([zero[1:], [False]])) + 1
    found = [
        (low, high, float(usual[low:high].sum())) for low, high in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    stretches = [(low, high, expected) for low, high, expected in found if expected >= _EXPECTED]
    if not stretches:
        return
    low, high, expected = max(stretches, key=lambda stretch: stretch[2])
    start, end = int(intervals.start[low]), int(intervals.end[high - 1])
    times = f"{len(stretches)} times" if len(stretches) > 1 else "once"
    findings.note(
        Kind.ZEROS,
        f"{name}: {times} a stretch of zeros where many pass at other times, as from {_local(start, zone)} to "
        f"{_local(end, zone)} (usual: {expected:.0f}): was it switched off? It is taken as measured; a remark can "
        "exclude such times",
        *intervals.where(low),
    )


def hours(seconds: int) -> str:
    """A length for people."""
    if seconds < _HOUR_S:
        return f"{seconds // 60} min"
    return f"{seconds / _HOUR_S:.4g} h" if seconds < 1000 * _HOUR_S else f"{seconds // _HOUR_S} h"


def _local(instant: int, zone: str) -> str:
    return datetime.fromtimestamp(instant, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z")


def _next_month(day: date) -> date:
    return (day + timedelta(days=31)).replace(day=1)


def _offsets(starts: Int64s, zone: str) -> Int64s:
    """Seconds to add to UTC for local time; looked up once for each quarter of an hour, in which it cannot change."""
    hour, where = np.unique(starts // 900, return_inverse=True)
    info = ZoneInfo(zone)
    offsets = [datetime.fromtimestamp(int(value) * 900, UTC).astimezone(info).utcoffset() for value in hour]
    return np.array([int(offset.total_seconds()) if offset else 0 for offset in offsets], np.int64)[where]
