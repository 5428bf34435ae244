"""What was seen on a line and is not booked yet: measured time and passages, on the monotonic clock.

A device that shows passages as they happen stamps nothing. So its time is this box's: `Sheet.measured` notes the time
in which it is known to have worked, `Sheet.saw` a passage in it, and `Sheet.cut` makes counts of them, one for each
slot, as soon as a slot is over or a passage has waited for a second. While the clock is not to be trusted all of it
waits, and is placed in time when it is. Pure.

What waits then is only in memory. So that it survives the end of the process, its sum goes into the outbox as
`Sheet.unplaced`, and comes back with the next start as `Sheet.carry`: a span up to the first moment that is known.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Passages

BOOK_S: Final = 1.0
"""A passage is booked after this time at the latest: what a power failure takes is not more."""
MOST_HELD: Final = 20_000
"""Single passages held while the clock is not trusted. The older half of more becomes one span."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Passages noticed at one moment."""

    at_s: float
    """Monotonic seconds."""
    direction: int
    class_: int
    number: int


@dataclass(frozen=True, slots=True)
class Sum:
    """Passages of which only a stretch of time is known."""

    since_s: float | None
    """Monotonic seconds; None: since the booked time ended, in an earlier run of this process perhaps."""
    until_s: float | None
    """Monotonic seconds; None: until the clock was trusted."""
    measured_ms: int
    passages: Passages


@dataclass(frozen=True, slots=True)
class Sheet:
    """Immutable; each method returns the next one."""

    runs: tuple[tuple[float, float], ...] = ()
    """Measured time in order, as (since, until) in monotonic seconds."""
    seen: tuple[Seen, ...] = ()
    sums: tuple[Sum, ...] = ()
    booked_ms: int = 0
    """UTC unix milliseconds up to which something has been booked; 0 if nothing ever was."""

    def measured(self, since_s: float, until_s: float) -> Self:
        """The device worked from `since_s` to `until_s`, monotonic seconds; after what was noted before."""
        if until_s <= since_s:
            return self
        if self.runs and self.runs[-1][1] >= since_s:
            return replace(self, runs=(*self.runs[:-1], (self.runs[-1][0], until_s)))
        return replace(self, runs=(*self.runs, (since_s, until_s)))

    def saw(self, at_s: float, passages: Iterable[tuple[int, int, int]]) -> Self:
        """(direction, class, number) were noticed at `at_s`, monotonic seconds, the end of measured time."""
        new = tuple(Seen(at_s, *passage) for passage in passages if passage[2] > 0)
        return replace(self, seen=(*self.seen, *new)) if new else self

    def recovered(self, since_s: float | None, until_s: float, passages: Passages, *, measured: bool = False) -> Self:
        """`passages` happened some time between `since_s` and `until_s`: a span.

        `since_s` None: since the booked time ended. `measured`: the device is known to have counted in all that time.
        """
        happened = tuple(passage for passage in passages if passage[2] > 0)
        if not happened and not measured:
            return self
        measured_ms = round((until_s - since_s) * 1000) if measured and since_s is not None else 0
        return replace(self, sums=(*self.sums, Sum(since_s, until_s, measured_ms, happened)))

    def carry(self, passages: Passages) -> Self:
        """`passages` were counted by an earlier run, which never learnt the time."""
        happened = tuple(passage for passage in passages if passage[2] > 0)
        return replace(self, sums=(*self.sums, Sum(None, None, 0, happened))) if happened else self

    @property
    def unplaced(self) -> dict[tuple[int, int], int]:
        """All passages that wait, by (direction, class)."""
        total: Counter[tuple[int, int]] = Counter()
        for one in self.seen:
            total[one.direction, one.class_] += one.number
        for waiting in self.sums:
            for direction, class_, number in waiting.passages:
                total[direction, class_] += number
        return dict(total)

    def cut(self, now: Moment, slot_s: int, *, all_of_it: bool = False) -> tuple[Self, tuple[Count, ...]]:
        """What is to be booked at `now`, and the sheet without it. Nothing before the clock is trusted.

        `all_of_it`: also what could wait.
        """
        if now.utc_ms is None:
            return self._within_limits(), ()
        if not (all_of_it or self._due(now, slot_s)):
            return self, ()
        counts = [*self._of_sums(now), *self._of_runs(now, slot_s)]
        booked_ms = max([self.booked_ms, *(count.end_ms for count in counts)])
        return replace(self, runs=(), seen=(), sums=(), booked_ms=booked_ms), tuple(counts)

    def _due(self, now: Moment, slot_s: int) -> bool:
        if self.sums or (self.seen and now.monotonic_s - self.seen[0].at_s >= BOOK_S):
            return True
        begun = self.runs[0][0] if self.runs else self.seen[0].at_s if self.seen else now.monotonic_s
        return _utc(begun, now) // (slot_s * 1000) < _utc(now.monotonic_s, now) // (slot_s * 1000)

    def _of_sums(self, now: Moment) -> Iterable[Count]:
        for waiting in self.sums:
            until = _utc(now.monotonic_s if waiting.until_s is None else waiting.until_s, now)
            since = self.booked_ms if waiting.since_s is None else _utc(waiting.since_s, now)
            yield Count(min(since, until - 1000), until, waiting.measured_ms, waiting.passages)

    def _of_runs(self, now: Moment, slot_s: int) -> Iterable[Count]:
        left = deque(self.seen)
        for since_s, until_s in self.runs:
            yield from _unmeasured(left, since_s, now)
            since, until = _utc(since_s, now), _utc(until_s, now)
            while since < until:
                end = min(until, (since // (slot_s * 1000) + 1) * slot_s * 1000)
                # A passage is noticed at the end of the time that was looked at: one at a slot's very end is in it.
                here = []
                while left and left[0].at_s <= until_s and (end == until or _utc(left[0].at_s, now) <= end):
                    here.append(left.popleft())
                yield Count(since, end, end - since, _summed(here))
                since = end
        yield from _unmeasured(left, math.inf, now)

    def _within_limits(self) -> Self:
        if len(self.seen) <= MOST_HELD:
            return self
        old, young = self.seen[: MOST_HELD // 2], self.seen[MOST_HELD // 2 :]
        until_s = old[-1].at_s
        measured_s = sum(min(until, until_s) - since for since, until in self.runs if since < until_s)
        first_s = min([old[0].at_s, *(since for since, _ in self.runs)])
        return replace(
            self,
            runs=tuple((max(since, until_s), until) for since, until in self.runs if until > until_s),
            seen=young,
            sums=(*self.sums, Sum(first_s, until_s, round(measured_s * 1000), _summed(old))),
        )


def _unmeasured(left: deque[Seen], until_s: float, now: Moment) -> Iterable[Count]:
    """Those that came in time of which nothing is known, up to `until_s`: each a span of the second before it."""
    while left and left[0].at_s <= until_s:
        one = left.popleft()
        at = _utc(one.at_s, now)
        yield Count(at - 1000, at, 0, _summed([one]))


def _utc(monotonic_s: float, now: Moment) -> int:
    """UTC unix milliseconds of a monotonic moment; `now` is trusted."""
    found = now.utc_ms_of(monotonic_s)
    assert found is not None
    return found


def _summed(seen: Iterable[Seen]) -> Passages:
    total: Counter[tuple[int, int]] = Counter()
    for one in seen:
        total[one.direction, one.class_] += one.number
    return tuple((direction, class_, number) for (direction, class_), number in sorted(total.items()))
