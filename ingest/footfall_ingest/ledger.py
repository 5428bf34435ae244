"""The measured seconds of a sensor, and whether a report would claim some of them twice.

Two devices that count for one sensor, a box that was cloned, a clock that is wrong: each shows in that more seconds
were measured than there are. So the rule is: there must be a way to lay all measured seconds out in time with none of
them twice, where the seconds of a slot lie in its minute and those of a span anywhere in the span. For a minute alone
this says that its seconds are at most 60.

Two reports that claim the same seconds are not both wrong, the later one is: the order of arrival matters. But only for
the few sensors whose seconds do not add up, or that have spans at all; those are gone through report by report. For all
others the sums of the batch show that no order could make a difference.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from footfall_contract.batch import ReportBatch
from footfall_ingest.judge import Finding, Reason, utc_text

Int64s = npt.NDArray[np.int64]

MINUTE_S = 60

MAX_OVERLAPPING = 64
"""Measured spans that may overlap; no device sends any."""

Span = tuple[int, int, int]
"""Start and end in UTC unix seconds, measured seconds."""


@dataclass
class Ledger:
    """What is measured of one sensor: seconds by minute (UTC unix seconds of its beginning) and by span."""

    minutes: dict[int, int] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    """Ascending; only those with measured seconds."""

    def __post_init__(self) -> None:
        self.spans.sort()
        self._longest = max((end - start for start, end, _ in self.spans), default=0)

    def book_minutes(self, observed: Mapping[int, int]) -> str:
        """Add measured seconds to minutes. If they do not fit, nothing is added and the sentence says why."""
        for minute, seconds in observed.items():
            if self.minutes.get(minute, 0) + seconds > MINUTE_S:
                return f"{self.minutes[minute] + seconds} s would be measured in the minute {utc_text(minute)}"
        for minute, seconds in observed.items():
            self.minutes[minute] = self.minutes.get(minute, 0) + seconds
        refusal = self._check((minute, minute + MINUTE_S) for minute in observed)
        if refusal:
            for minute, seconds in observed.items():
                self.minutes[minute] -= seconds
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

    def _check(self, changed: Iterable[tuple[int, int]]) -> str:
        """Look at everything that depends on the changed times; the sentence says what does not add up, if anything."""
        if not self.spans:
            return ""
        checked: set[Span] = set()
        for start, end in changed:
            for span in self._overlapping(start, end):
                if span not in checked:
                    group = self._group(span)
                    checked.update(group)
                    if refusal := self._check_group(group):
                        return refusal
        return ""

    def _overlapping(self, start: int, end: int) -> list[Span]:
        """The spans that have a minute in common with [start, end)."""
        start, end = _whole_minutes(start, end)
        # A span that begins up to the longest span's length earlier may still reach in.
        from_ = bisect_left(self.spans, (start - self._longest - MINUTE_S,))
        to = bisect_left(self.spans, (end,))
        return [span for span in self.spans[from_:to] if _whole_minutes(*span[:2])[1] > start]

    def _group(self, span: Span) -> list[Span]:
        """The spans that hang together with `span` by common minutes, itself included."""
        start, end = span[:2]
        while True:
            group = self._overlapping(start, end)
            hull = min(start, group[0][0]), max(end, *(member[1] for member in group))
            if hull == (start, end):
                return group
            start, end = hull

    def _check_group(self, group: Sequence[Span]) -> str:
        """Hold the seconds that must lie in a stretch of time against its length, for each that could be overfull.

        That is enough (Hall's theorem): if they fit into every such stretch, they can be laid out. A stretch that
        begins or ends elsewhere than at a span, or at the minute that it cuts, is no tighter than one that does.
        """
        if len(group) > MAX_OVERLAPPING:
            return f"{len(group)} measured spans overlap at {utc_text(group[0][0])}"
        hull = _whole_minutes(group[0][0], max(end for _, end, _ in group))
        minutes = [(m, s) for m in range(*hull, MINUTE_S) if (s := self.minutes.get(m, 0))]
        items = [*group, *((m, m + MINUTE_S, s) for m, s in minutes)]
        starts = {edge for start, end, _ in group for edge in (start, _whole_minutes(start, end)[0])}
        ends = {edge for start, end, _ in group for edge in (end, _whole_minutes(start, end)[1])}
        for start in sorted(starts):
            inside = sorted((item[1], item[2]) for item in items if item[0] >= start)
            seconds, at = 0, 0
            for end in sorted(ends):
                while at < len(inside) and inside[at][0] <= end:
                    seconds += inside[at][1]
                    at += 1
                if seconds > max(0, end - start):
                    return f"{seconds} s would be measured in the {end - start} s from {utc_text(start)}"
        return ""


def _whole_minutes(start: int, end: int) -> tuple[int, int]:
    """The minutes that [start, end) touches, as a time."""
    return start // MINUTE_S * MINUTE_S, -(-end // MINUTE_S) * MINUTE_S


def second_writers(batch: ReportBatch, rows: Int64s, ledgers: Mapping[int, Ledger]) -> list[Finding]:
    """Reports among `rows`, ascending, that would claim seconds twice.

    Only sensors that have a ledger (by code) are looked at; what fits is booked in it.
    """
    mine = rows[np.isin(batch.sensor[rows], list(ledgers))]
    bounds = np.searchsorted(batch.observed_report, np.stack([mine, mine + 1]))
    findings = []
    for row, low, high in zip(mine.tolist(), *bounds.tolist(), strict=True):
        ledger = ledgers[int(batch.sensor[row])]
        start, slot = int(batch.start[row]), int(batch.slot[row])
        observed = batch.observed[low:high]
        if not batch.is_span[row]:
            refusal = ledger.book_minutes(_by_minute(start, slot, observed))
        elif observed[0]:
            refusal = ledger.book_span((start, start + slot, int(observed[0])))
        else:
            refusal = ""  # a recovered sum claims no seconds
        if refusal:
            findings.append(Finding(row, Reason.SECOND_WRITER, refusal))
    return findings


def _by_minute(start: int, slot: int, observed: Int64s) -> dict[int, int]:
    """Measured seconds by minute; minutes without any are left out."""
    first = start // MINUTE_S
    minute = (start + np.arange(len(observed)) * slot) // MINUTE_S - first
    seconds = np.bincount(minute, weights=observed)
    return {(first + at) * MINUTE_S: int(seconds[at]) for at in np.flatnonzero(seconds).tolist()}
