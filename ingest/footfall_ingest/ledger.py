"""The measured seconds of a sensor, and whether a report would claim some of them twice.

Two devices that count for one sensor, a box that was cloned, a clock that is wrong: each shows in that more seconds
were measured than there are. So the rule is: there must be a way to lay all measured seconds out in time with none of
them twice, where the seconds of a slot lie in its minute and those of a span anywhere in the span. For a minute alone
this says that its seconds are at most 60.

Two reports that claim the same seconds are not both wrong, the later one is: the order of arrival matters. But only for
the few sensors whose seconds do not add up, or that have spans at all; those are gone through report by report. For all
others the sums of the batch show that no order could make a difference.

A sum that was found afterwards claims no seconds, so nothing of this holds it back. Where it is said of a slot its
passages are held against what the minute has already: through no line more than `MAX_PASSAGES_PER_S` pass, however many
reports say so.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from footfall_contract.batch import ReportBatch
from footfall_contract.words import MAX_SPAN_S
from footfall_ingest.judge import MAX_PASSAGES_PER_S, Finding, Reason, utc_text

Int64s = npt.NDArray[np.int64]

MINUTE_S = 60

MAX_OVERLAPPING = 64
"""Measured spans that may overlap; no device sends any."""

MAX_REACH_S: Final = 2 * MAX_SPAN_S
"""From the beginning of the first to the end of the last of spans that overlap: what has to be read to check one."""

MAX_A_MINUTE: Final = MAX_PASSAGES_PER_S * MINUTE_S

Span = tuple[int, int, int]
"""Start and end in UTC unix seconds, measured seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Seconds of minutes, added up from the first on."""

    minute: Int64s
    """Ascending."""
    sums: Int64s
    """Of the minutes before each place; one longer."""

    @classmethod
    def of(cls, minutes: Mapping[int, int]) -> Self:
        minute = np.fromiter(minutes, np.int64, len(minutes))
        seconds = np.fromiter(minutes.values(), np.int64, len(minutes))
        order = np.argsort(minute)
        return cls(minute[order], np.concatenate(([0], np.cumsum(seconds[order]))))

    def __len__(self) -> int:
        return len(self.minute)

    def before(self, moments: Int64s) -> Int64s:
        """Seconds of the minutes that begin before each of `moments`."""
        return self.sums[np.searchsorted(self.minute, moments)]

    def plus(self, other: Self) -> Self:
        """Both together. A minute may stand there several times."""
        minute = np.concatenate([self.minute, other.minute])
        seconds = np.concatenate([np.diff(self.sums), np.diff(other.sums)])
        order = np.argsort(minute, kind="stable")
        return type(self)(minute[order], np.concatenate(([0], np.cumsum(seconds[order]))))


@dataclass
class Ledger:
    """What is measured of one sensor: seconds by minute (UTC unix seconds of its beginning) and by span."""

    minutes: dict[int, int] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    """Ascending; only those with measured seconds."""
    passages: dict[int, int] = field(default_factory=dict)
    """Passages of those minutes, in all directions and classes, of which some were found afterwards."""

    def __post_init__(self) -> None:
        self.spans.sort()
        self._longest = max((end - start for start, end, _ in self.spans), default=0)
        # The minutes as they were at the first check of a span, and what came since, added up in ever larger parts, of
        # which there are few: adding up all of it for each report would take longer than everything else.
        self._parts: list[_Sums] = []
        self._since: dict[int, int] = {}

    def book_minutes(self, observed: Mapping[int, int]) -> str:
        """Add measured seconds to minutes. If they do not fit, nothing is added and the sentence says why."""
        for minute, seconds in observed.items():
            if self.minutes.get(minute, 0) + seconds > MINUTE_S:
                return f"{self.minutes[minute] + seconds} s would be measured in the minute {utc_text(minute)}"
        self._add(observed, 1)
        refusal = self._check([(minute, minute + MINUTE_S) for minute in sorted(observed)])
        if refusal:
            self._add(observed, -1)
        return refusal

    def book_span(self, span: Span) -> str:
        """Add the measured seconds of a span. If they do not fit, nothing is added and the sentence says why."""
        insort(self.spans, span)
        longest, self._longest = self._longest, max(self._longest, span[1] - span[0])
        refusal = self._check([span[:2]])
        if refusal:
            self.spans.remove(span)
            self._longest = longest
        return refusal

    def too_many(self, passages: Mapping[int, int], recovered: Collection[int]) -> str:
        """Whether `passages` by minute are too many in one of the `recovered` minutes; the sentence says so."""
        for minute in recovered:
            total = self.passages.get(minute, 0) + passages[minute]
            if total > MAX_A_MINUTE:
                return (
                    f"{total} passages in the minute {utc_text(minute)}, with those that are stored, are more than "
                    f"{MAX_PASSAGES_PER_S} a second"
                )
        return ""

    def count(self, passages: Mapping[int, int]) -> None:
        """Add passages to those minutes that are looked at for them."""
        for minute in self.passages.keys() & passages.keys():
            self.passages[minute] += passages[minute]

    def _add(self, observed: Mapping[int, int], sign: int) -> None:
        for minute, seconds in observed.items():
            self.minutes[minute] = self.minutes.get(minute, 0) + sign * seconds
            self._since[minute] = self._since.get(minute, 0) + sign * seconds

    def _check(self, changed: Sequence[tuple[int, int]]) -> str:
        """Look at everything that depends on the changed times, ascending; the sentence says what does not add up."""
        if not (self.spans and changed):
            return ""
        ends = [end for _, end in changed]
        checked: set[Span] = set()
        for span in self._overlapping(changed[0][0], ends[-1]):
            first = bisect_right(ends, span[0])  # of the changed times that end after the span's beginning
            if span not in checked and first < len(changed) and changed[first][0] < span[1]:
                group = self._group(span)
                checked.update(group)
                if refusal := self._check_group(group):
                    return refusal
        return ""

    def _overlapping(self, start: int, end: int) -> list[Span]:
        """The spans that have a second in common with [start, end)."""
        # A span that begins up to the longest span's length earlier may still reach in.
        from_ = bisect_left(self.spans, (start - self._longest,))
        to = bisect_left(self.spans, (end,))
        return [span for span in self.spans[from_:to] if span[1] > start]

    def _group(self, span: Span) -> list[Span]:
        """The spans that hang together with `span`, itself included: by common seconds, or by a minute of slots.

        Spans that follow one another in the middle of a minute have nothing to do with each other, unless slots were
        measured in it: those seconds may lie in either.
        """
        start, end = span[:2]
        while True:
            low, high = _whole_minutes(start, end)
            group = self._overlapping(
                low if self.minutes.get(low) else start, high if self.minutes.get(high - MINUTE_S) else end
            )
            hull = min(start, group[0][0]), max(end, *(member[1] for member in group))
            if hull == (start, end) or len(group) > MAX_OVERLAPPING:
                return group
            start, end = hull

    def _check_group(self, group: Sequence[Span]) -> str:
        """Hold the seconds that must lie in a stretch of time against its length, for each that could be overfull.

        That is enough (Hall's theorem): if they fit into every such stretch, they can be laid out. A stretch that
        begins or ends elsewhere than at a span, or at the minute that it cuts, is no tighter than one that does.
        """
        begin, over, seconds = np.array(group, np.int64).T
        if len(group) > MAX_OVERLAPPING:
            return f"{len(group)} measured spans overlap at {utc_text(int(begin[0]))}"
        if over.max() - begin[0] > MAX_REACH_S:
            days = MAX_REACH_S // 86_400
            return f"measured spans that overlap reach further than {days} days from {utc_text(int(begin[0]))}"
        starts = np.unique(np.concatenate([begin, begin // MINUTE_S * MINUTE_S]))
        ends = np.unique(np.concatenate([over, -(-over // MINUTE_S) * MINUTE_S]))
        # Of spans and minutes alike those that begin at or after the one and end at or before the other.
        spans = np.where(begin >= starts[:, None], seconds, 0).astype(float) @ (over[:, None] <= ends).astype(float)
        minutes = self._before(ends - MINUTE_S + 1) - self._before(starts)[:, None]
        claimed = spans.astype(np.int64) + np.maximum(minutes, 0)
        length = ends - starts[:, None]
        for at, to in np.argwhere(claimed > np.maximum(length, 0))[:1].tolist():
            where = utc_text(int(starts[at]))
            return f"{claimed[at, to]} s would be measured in the {length[at, to]} s from {where}"
        return ""

    def _before(self, moments: Int64s) -> Int64s:
        """Measured seconds of all minutes that begin before each of `moments`."""
        if not self._parts:
            self._parts, self._since = [_Sums.of(self.minutes)], {}
        if self._since:
            self._parts.append(_Sums.of(self._since))
            self._since = {}
            while len(self._parts) > 1 and len(self._parts[-2]) <= 2 * len(self._parts[-1]):
                self._parts.append(self._parts.pop().plus(self._parts.pop()))
        found = np.zeros(len(moments), np.int64)
        for part in self._parts:
            found += part.before(moments)
        return found


def _whole_minutes(start: int, end: int) -> tuple[int, int]:
    """The minutes that [start, end) touches, as a time."""
    return start // MINUTE_S * MINUTE_S, -(-end // MINUTE_S) * MINUTE_S


def misfits(batch: ReportBatch, rows: Int64s, ledgers: Mapping[int, Ledger]) -> list[Finding]:
    """Reports among `rows`, ascending, that would claim seconds twice, or find more passages than can have passed.

    Only sensors that have a ledger (by code) are looked at; what fits is booked in it.
    """
    mine = rows[np.isin(batch.sensor[rows], list(ledgers))]
    bounds = np.searchsorted(batch.observed_report, np.stack([mine, mine + 1]))
    findings = []
    for row, low, high in zip(mine.tolist(), *bounds.tolist(), strict=True):
        ledger = ledgers[int(batch.sensor[row])]
        start, slot = int(batch.start[row]), int(batch.slot[row])
        observed = batch.observed[low:high]
        refusal = too_many = ""
        if not batch.is_span[row]:
            passages, recovered = _passages(batch, row, observed) if ledger.passages else ({}, set())
            too_many = ledger.too_many(passages, recovered)
            refusal = too_many or ledger.book_minutes(_by_minute(start, slot, observed))
            if not refusal:
                ledger.count(passages)
        elif observed[0]:
            refusal = ledger.book_span((start, start + slot, int(observed[0])))
        if refusal:
            findings.append(Finding(row, Reason.IMPOSSIBLE if too_many else Reason.SECOND_WRITER, refusal))
    return findings


def recovered_minutes(batch: ReportBatch, rows: Int64s) -> list[tuple[int, int]]:
    """Sensor's code and minute (UTC unix seconds) of passages in slots of `rows` in which nothing was measured."""
    if not len(batch.cell_report):
        return []
    first = np.cumsum(batch.slots) - batch.slots  # where each report's slots begin among all
    cells = np.flatnonzero(batch.observed[first[batch.cell_report] + batch.cell_index] == 0)
    if not len(cells):
        return []
    report = batch.cell_report[cells]
    second = batch.start[report] + batch.cell_index[cells] * batch.slot[report]
    wanted = ~batch.is_span[report] & np.isin(report, rows)
    found = np.stack([batch.sensor[report], second // MINUTE_S * MINUTE_S], axis=1)[wanted]
    return [(code, minute) for code, minute in np.unique(found, axis=0).tolist()]


def _by_minute(start: int, slot: int, observed: Int64s) -> dict[int, int]:
    """Measured seconds by minute; minutes without any are left out."""
    first = start // MINUTE_S
    minute = (start + np.arange(len(observed)) * slot) // MINUTE_S - first
    seconds = np.bincount(minute, weights=observed)
    return {(first + at) * MINUTE_S: int(seconds[at]) for at in np.flatnonzero(seconds).tolist()}


def _passages(batch: ReportBatch, row: int, observed: Int64s) -> tuple[dict[int, int], set[int]]:
    """A report's passages by minute, and the minutes in which some of them were found afterwards."""
    cells = slice(*np.searchsorted(batch.cell_report, (row, row + 1)))
    index = batch.cell_index[cells]
    minute = (batch.start[row] + index * batch.slot[row]) // MINUTE_S * MINUTE_S
    minutes, place = np.unique(minute, return_inverse=True)
    sums = np.bincount(place, weights=batch.cell_count[cells], minlength=len(minutes))
    found = minute[observed[index] == 0]
    return dict(zip(minutes.tolist(), sums.astype(np.int64).tolist(), strict=True)), set(found.tolist())
