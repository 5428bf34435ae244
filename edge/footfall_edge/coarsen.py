"""Slots that wait → coarser ones, for when space is short. Pure: what the outbox has in, what it is to have out.

Slots become whole minutes of UTC, and minutes quarter hours. A minute still is a slot; a quarter hour leaves as a span
report. What was counted, per direction and class, and the measured seconds that no report has claimed are the same
sum before and after; only the time in which they lie is told less finely.

A coarser slot takes the place of everything the outbox knew of its time, also of the slots that were reported already.
So it knows how many of its seconds are spoken for, and whatever comes late, no reports together ever claim more seconds
than there are.

Spans of any other length or place, such as sums recovered after an outage, keep the time that they have.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from footfall_edge.counts import Passages
from footfall_edge.slots import is_slot, observed_seconds

MINUTE_S: Final = 60
QUARTER_HOUR_S: Final = 900
STEPS_S: Final = (MINUTE_S, QUARTER_HOUR_S)
"""Lengths of coarser slots in seconds; each is a multiple of the ones before and of every slot."""


@dataclass(frozen=True, slots=True)
class Booked:
    """All that the outbox has of one slot or span."""

    start: int
    """UTC unix seconds."""
    length: int
    """Seconds."""
    measured_ms: int
    """Milliseconds in which the device is known to have counted, reported or not."""
    reported_s: int
    """Seconds that reports have claimed of it."""
    waiting: bool
    """Whether it has something to report; else it is the record of what was reported."""
    passages: Passages
    """Those that no report carries yet."""

    @property
    def measured_s(self) -> int:
        """Whole seconds that reports may claim of it in all."""
        return observed_seconds(self.measured_ms, self.length)

    @property
    def observed_s(self) -> int:
        """Of these, the seconds that no report has claimed yet."""
        return max(0, self.measured_s - self.reported_s)


@dataclass(frozen=True, slots=True)
class Merge:
    """One coarser slot, and what it takes the place of."""

    into: Booked
    gone: tuple[Booked, ...]


def merges(booked: Iterable[Booked], step_s: int, closed_until: int, *, waiting: bool) -> list[Merge]:
    """Which of `booked`, all of one sensor, become which steps of `step_s` seconds, ascending by time.

    A step must be over at `closed_until` (UTC unix seconds): nothing is merged that may still grow. With `waiting`
    those steps are taken in which something waits, else those that are records alone. Where there is nothing to merge
    there is no merge, so that doing it again changes nothing.
    """

    def step_of(slot: Booked) -> int:
        return slot.start // step_s * step_s

    mergeable = [slot for slot in booked if _fits(slot, step_s) and step_of(slot) + step_s <= closed_until]
    groups = [tuple(group) for _, group in groupby(sorted(mergeable, key=_place), key=step_of)]
    return [
        Merge(_merged(step_of(group[0]), step_s, group), group)
        for group in groups
        if len(group) > 1 and any(slot.waiting for slot in group) == waiting
    ]


def coarser(start: int, length: int) -> list[tuple[int, int]]:
    """Start and length of the coarser slots in which the slot [start, start + length) lies; none for a span."""
    if not is_slot(start, length):
        return []
    return [(start // step_s * step_s, step_s) for step_s in STEPS_S if length < step_s]


def _fits(slot: Booked, step_s: int) -> bool:
    """Whether `slot` is a finer slot, or the step itself from an earlier time."""
    if slot.length == step_s:
        return slot.start % step_s == 0
    return slot.length < step_s and is_slot(slot.start, slot.length)


def _place(slot: Booked) -> tuple[int, int]:
    return slot.start, slot.length


def _merged(start: int, step_s: int, group: Sequence[Booked]) -> Booked:
    passages: Counter[tuple[int, int]] = Counter()
    for slot in group:
        for direction, class_, number in slot.passages:
            passages[direction, class_] += number
    return Booked(
        start=start,
        length=step_s,
        # Whole seconds of each: what no report may claim of a slot, none may claim of the step.
        measured_ms=1000 * sum(slot.measured_s for slot in group),
        reported_s=sum(slot.reported_s for slot in group),
        waiting=any(slot.waiting for slot in group),
        passages=tuple((*cell, number) for cell, number in sorted(passages.items())),
    )
