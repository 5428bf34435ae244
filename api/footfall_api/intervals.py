"""Cut time into the intervals of a resolution, as the clock on the wall of a zone shows them.

An edge is an instant at which the local clock shows a whole step: a full quarter of an hour, local midnight, Monday's
midnight, the first of a month. So a day in March has 23 hours and one in October 25, a zone with an offset of 45
minutes has its hours where its clocks have them, and where clocks change by a part of the step (half an hour on Lord
Howe Island) the change itself is an edge: the interval before or after it is shorter than the others, never longer.

Pure functions: no clock, no database. Instants are whole UTC unix seconds.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

_DAY_S: Final = 86_400


class Resolution(StrEnum):
    """The lengths of interval that can be asked for, finest first."""

    MINUTE = "1min"
    FIVE_MINUTES = "5min"
    QUARTER_HOUR = "15min"
    HALF_HOUR = "30min"
    HOUR = "1h"
    DAY = "1d"
    WEEK = "1w"
    MONTH = "1mo"
    YEAR = "1y"

    @property
    def longest_s(self) -> int:
        """Seconds that no interval of this resolution exceeds."""
        return _STEPS_S.get(self) or _LONGEST_DAYS[self] * _DAY_S + 3 * 3600

    @property
    def coarser(self) -> tuple["Resolution", ...]:
        """The resolutions after this one, finest first."""
        words = tuple(Resolution)
        return words[words.index(self) + 1 :]


_STEPS_S: Final = {
    Resolution.MINUTE: 60,
    Resolution.FIVE_MINUTES: 300,
    Resolution.QUARTER_HOUR: 900,
    Resolution.HALF_HOUR: 1800,
    Resolution.HOUR: 3600,
}
"""Resolutions below a day, which are counted on the local clock."""

_LONGEST_DAYS: Final = {Resolution.DAY: 1, Resolution.WEEK: 7, Resolution.MONTH: 31, Resolution.YEAR: 366}


def calendar_edges(resolution: Resolution, from_s: int, to_s: int, zone: ZoneInfo) -> list[int]:
    """The edges of all intervals that overlap [from_s, to_s): two at least, strictly rising.

    The first is at or before `from_s`, the last at or after `to_s`: a time inside an interval asks for all of it.

    Raises:
        ValueError: `to_s` is not after `from_s`.
    """
    if to_s <= from_s:
        raise ValueError(f"an interval from {from_s} to {to_s} is empty")
    edges = []
    for edge in edges_from(resolution, from_s, zone):
        edges.append(edge)
        if edge >= to_s:
            break
    return edges


def edges_from(resolution: Resolution, from_s: int, zone: ZoneInfo) -> Iterator[int]:
    """The start of the interval that contains `from_s`, and every edge after it, without end."""
    edges = (
        _clock_edges(_STEPS_S[resolution], from_s, zone)
        if resolution in _STEPS_S
        else _date_edges(resolution, from_s, zone)
    )
    start = next(edges)
    for edge in edges:
        if edge > from_s:
            yield from (start, edge)
            break
        start = edge
    yield from edges


def interval_of(resolution: Resolution, instant_s: int, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of the interval that contains an instant."""
    edges = edges_from(resolution, instant_s, zone)
    return next(edges), next(edges)


def day_start(day: date, zone: ZoneInfo) -> int:
    """The first instant of a local date: midnight, or where clocks skip midnight the moment at which they do."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    skipped_to = int(midnight.astimezone(UTC).timestamp())
    if datetime.fromtimestamp(skipped_to, zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return skipped_to
    # Midnight lies in a gap. `fold=1` reads it by the clock after the change, which is an instant before the change.
    change = _offset_change(int(midnight.replace(fold=1).timestamp()) - 1, skipped_to, zone)
    return skipped_to if change is None else change


def local_date(instant_s: int, zone: ZoneInfo) -> date:
    """The date that a calendar in the zone shows at an instant."""
    return datetime.fromtimestamp(instant_s, zone).date()


def local_texts(instants_s: Sequence[int], zone: ZoneInfo) -> list[str]:
    """What a clock in the zone shows at ascending instants, with its offset, as in ``2026-03-29T03:00:00+02:00``.

    The same as asking `datetime` for each, and several times as fast: dates and offsets are worked out once a day.
    """
    texts = []
    until_s, ahead_s, day = min(instants_s, default=0), 0, None
    date_text, clock = "", list[str]()
    for instant_s in instants_s:
        if instant_s >= until_s:
            until_s = (instant_s // _DAY_S + 1) * _DAY_S
            until_s = _offset_change(instant_s, until_s, zone) or until_s
            offset = datetime.fromtimestamp(instant_s, zone).isoformat()[19:]
            if not clock or not clock[0].endswith(offset):
                ahead_s, clock = _offset(instant_s, zone), [f"{minute}:00{offset}" for minute in _CLOCK]
        local_day, second = divmod(instant_s + ahead_s, _DAY_S)
        if local_day != day:
            day, date_text = local_day, date.fromordinal(_EPOCH_DAY + local_day).isoformat() + "T"
        if second % 60:
            texts.append(datetime.fromtimestamp(instant_s, zone).isoformat())
        else:
            texts.append(date_text + clock[second // 60])
    return texts


_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_CLOCK: Final = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(24 * 60)]


def _clock_edges(step_s: int, from_s: int, zone: ZoneInfo) -> Iterator[int]:
    """Edges on the local clock, one at or before `from_s` among the first two."""
    # Should clocks have changed since this, the change follows as an edge.
    edge = from_s - (from_s + _offset(from_s, zone)) % step_s
    while True:
        yield edge
        change = _offset_change(edge, edge + _DAY_S, zone)
        if change is not None and (_offset(change, zone) - _offset(change - 1, zone)) % step_s:
            yield from range(_clock_ceil(step_s, edge + 1, zone), change, step_s)
            edge = change
        else:
            # A change by whole steps does not disturb the grid: its instants stay multiples of the step.
            day = range(_clock_ceil(step_s, edge + 1, zone), edge + _DAY_S + 1, step_s)
            yield from day[:-1]
            edge = day[-1]


def _clock_ceil(step_s: int, instant_s: int, zone: ZoneInfo) -> int:
    """The first whole step at or after an instant, by the offset before it."""
    return instant_s + -(instant_s + _offset(instant_s - 1, zone)) % step_s


def _date_edges(resolution: Resolution, from_s: int, zone: ZoneInfo) -> Iterator[int]:
    """Starts of local days, weeks, months or years, from one at or before `from_s`."""
    # One day back: where clocks go back over midnight, the date of an instant is not that of the interval it is in.
    day = _FIRST_DAY[resolution](local_date(from_s, zone) - timedelta(days=1))
    last = None
    while True:
        edge = day_start(day, zone)
        if edge != last:  # the same for a date that a zone left out, as Samoa did when it crossed the date line
            yield edge
        last = edge
        day = _FIRST_DAY[resolution](day + timedelta(days=_LONGEST_DAYS[resolution]))


def _the_day_itself(day: date) -> date:
    return day


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _first_of_year(day: date) -> date:
    return day.replace(month=1, day=1)


_FIRST_DAY: Final[dict[Resolution, Callable[[date], date]]] = {
    Resolution.DAY: _the_day_itself,
    Resolution.WEEK: _monday,
    Resolution.MONTH: _first_of_month,
    Resolution.YEAR: _first_of_year,
}
"""The first day of the interval that a date is in. From there the longest length leads into the next interval."""


def _offset(instant_s: int, zone: ZoneInfo) -> int:
    """Seconds by which the local clock is ahead of UTC."""
    offset = datetime.fromtimestamp(instant_s, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _offset_change(after_s: int, until_s: int, zone: ZoneInfo) -> int | None:
    """The first instant in (after_s, until_s] with another offset than `after_s`; None if both ends have the same.

    The stretch is a day at most: no zone changes its offset twice in a day.
    """
    before = _offset(after_s, zone)
    if _offset(until_s, zone) == before:
        return None
    low, high = after_s, until_s
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high
