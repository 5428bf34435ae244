"""A place before and after something was changed there: the mean of each kind of day, on both sides.

Weekdays are compared with the same weekday, public holidays with public holidays; by the hour at the same time on the
local clock. So neither side has more weekends or holidays than the other, however many days of each went in. What
differs all the same, such as the season, is not taken out.

A class that occurred on one side only is on both: where the other side was measured it has 0.

The sum of an area is taken only from times in which it was carried by the same stations as the first time after.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.counts import word_order
from footfall_api.summary.days import Calendar, DayKind
from footfall_api.summary.series import Series, Skip, Skipped, clocks, local_times, tallied

LEAST_DAYS: Final = 3
"""A mean of fewer days is not given."""


@dataclass(frozen=True, slots=True)
class Side:
    """The mean of one kind of day on one side."""

    mean: float | None
    """None if fewer than `LEAST_DAYS` values went in."""
    days: int
    skipped: Skipped


@dataclass(frozen=True, slots=True)
class Both:
    """One kind of day, at one time of the local clock (empty for whole days)."""

    kind: DayKind
    clock: str
    before: Side
    after: Side


@dataclass(frozen=True, slots=True)
class Change:
    """One direction, class and sensor on both sides."""

    series: Series
    values: Sequence[Both]
    """Day after day from Monday on, the holidays last."""

    @property
    def weeks(self) -> tuple[float, float] | None:
        """A mean week without holidays before and after; None unless each part of it is known on both sides."""
        pairs = [(v.before.mean, v.after.mean) for v in self.values if v.kind is not DayKind.HOLIDAY]
        known = [(before, after) for before, after in pairs if before is not None and after is not None]
        if len(known) < len(pairs):
            return None
        return sum(before for before, _ in known), sum(after for _, after in known)


def before_after(
    before: Sequence[Series],
    after: Sequence[Series],
    step_s: int,
    *,
    zone: ZoneInfo,
    calendar: Calendar,
    now_s: int,
) -> list[Change]:
    """Each series before and after; the intervals are `step_s` long but for changes of the clocks.

    `before` and `after` have the same sensors and directions, each with at least one class.
    """
    found = []
    for old, new in _pairs(before, after):
        carried = next((new.carried[i] for i in range(len(new.answers)) if new.why_not(i, now_s) is None), None)
        sides = [_side(one, step_s, carried, zone=zone, calendar=calendar, now_s=now_s) for one in (old, new)]
        places = [(kind, clock) for kind in DayKind for clock in clocks(step_s)]
        found.append(Change(new, [Both(*place, sides[0][place], sides[1][place]) for place in places]))
    return found


def _pairs(before: Sequence[Series], after: Sequence[Series]) -> Iterator[tuple[Series, Series]]:
    """Each series of either side with its like on the other; classes in the order of their numbers."""
    sides = [{(one.sensor, one.direction, one.class_): one for one in side} for side in (before, after)]
    places = list(dict.fromkeys((sensor, direction) for side in sides for sensor, direction, _ in side))
    keys = sorted({*sides[0], *sides[1]}, key=lambda key: (places.index(key[:2]), word_order(key[2])))
    for key in keys:
        old, new = (side[key] if key in side else _nobody(side, key) for side in sides)
        yield old, new


def _nobody(side: Mapping[tuple[str, str, str], Series], key: tuple[str, str, str]) -> Series:
    """A class that did not occur: nobody of it passed in all the time in which the others were counted."""
    other = next(one for place, one in side.items() if place[:2] == key[:2])
    return replace(other, class_=key[2], counts=[None if count is None else 0 for count in other.counts])


def _side(
    series: Series, step_s: int, carried: frozenset[str] | None, *, zone: ZoneInfo, calendar: Calendar, now_s: int
) -> dict[tuple[DayKind, str], Side]:
    whys: dict[tuple[DayKind, str], list[str | None]] = {
        (kind, clock): [] for kind in DayKind for clock in clocks(step_s)
    }
    counts: dict[tuple[DayKind, str], list[int]] = {place: [] for place in whys}
    for i, local in enumerate(local_times(series.edges_s, zone, step_s)):
        place = calendar.kind(local.day), local.clock
        why = series.why_not(i, now_s) or (Skip.SHORT if local.short else None)
        if why is None and series.carried[i] != carried:
            why = Skip.OTHER_STATIONS
        whys[place].append(why)
        if why is None and (count := series.counts[i]) is not None:
            counts[place].append(count)
    return {
        place: Side(fmean(found) if len(found) >= LEAST_DAYS else None, len(found), tallied(whys[place]))
        for place, found in counts.items()
    }
