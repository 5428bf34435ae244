"""The coverage calendar of the station page: for each day and hour whether it was measured, and if not, why not.

One row for a day, one cell for each hour that the local clock shows. The hour that October has twice is as good as the
worse of both; the one that March leaves out does not exist, which is no gap.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from footfall_api.messages import Catalogue
from footfall_api.pages.station_view import Interval, intervals_of, period_text

MOST_DAYS: Final = 35
HOURS: Final = 24
STATES: Final = (
    "measured",
    "partial",
    "coarse",
    "missing",
    "excluded",
    "withheld",
    "not_installed",
    "skipped",
    "future",
)
"""From best to worst as far as one can be better than another; the two last are no gaps."""
CELL: Final = 10
"""Width and height of a cell in the drawing."""


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A row: the day, its cells as path data by state, and the row in words."""

    day: str
    iso: str
    paths: tuple[tuple[str, str], ...]
    text: str
    measured: str


@dataclass(frozen=True, slots=True)
class CalendarView:
    """The calendar; `legend` are the states that occur, in a fixed order."""

    days: tuple[CalendarDay, ...]
    summary: str
    caption: str
    legend: tuple[tuple[str, str, str], ...]
    cut: str | None
    """Said if the chosen period is longer than the calendar."""


def calendar_days(first: date, last: date) -> tuple[date, date]:
    """The days of a period that the calendar shows: its last five weeks."""
    return max(first, last - timedelta(days=MOST_DAYS - 1)), last


def state_of(interval: Interval) -> str:
    """The state of a cell."""
    if interval.state == "missing":
        return interval.reason if interval.reason in {"excluded", "withheld", "not_installed", "future"} else "missing"
    if interval.state in {"coarse", "recovered"}:
        return "coarse"
    return interval.state if interval.state in {"measured", "partial"} else "partial"


def grid(intervals: Sequence[Interval]) -> dict[date, list[str]]:
    """The states of each day's 24 hours; hours that the answer does not have are ``skipped`` or still to come."""
    days: dict[date, list[str | None]] = {}
    for interval in intervals:
        cells = days.setdefault(interval.start.date(), [None] * HOURS)
        hour, state = interval.start.hour, state_of(interval)
        before = cells[hour]
        cells[hour] = state if before is None or STATES.index(state) > STATES.index(before) else before
    newest = intervals[-1].start if intervals else None
    return {day: [_filled(cell, day, hour, newest) for hour, cell in enumerate(cells)] for day, cells in days.items()}


def _filled(cell: str | None, day: date, hour: int, newest: datetime | None) -> str:
    if cell is not None:
        return cell
    to_come = newest is not None and (day, hour) > (newest.date(), newest.hour)
    return "future" if to_come else "skipped"


def shape(state: str, hour: int) -> str:
    """A cell as path data. States differ in form and not only in colour."""
    x, size = CELL * hour + 1, CELL - 2
    full = f"M{x} 1h{size}v{size}h-{size}z"
    return {
        "measured": full,
        "partial": f"M{x} {1 + size // 2}h{size}v{size // 2}h-{size}z{full}",
        "coarse": f"M{x} 2h{size}v2h-{size}zM{x} 6h{size}v2h-{size}z",
        "missing": full,
        "excluded": f"{full}M{x} {1 + size}l{size}-{size}",
        "withheld": f"{full}M{x} 1l{size} {size}",
        "not_installed": f"M{x + size // 2 - 1} {CELL // 2 - 1}h2v2h-2z",
    }.get(state, "")


def calendar_view(
    answer: Mapping[str, Any], zone: ZoneInfo, cut: bool, t: Catalogue, now: datetime | None = None
) -> CalendarView | None:
    """The calendar of an answer by the hour; None if it has no hours. An hour that runs `now` lacks nothing yet."""
    intervals = intervals_of(answer, zone, now)
    if not intervals:
        return None
    days = grid(intervals)
    shown = {cell for cells in days.values() for cell in cells}
    period = period_text(min(days), max(days), t)
    return CalendarView(
        days=tuple(_day(day, cells, t) for day, cells in days.items()),
        summary=_summary(grid([interval for interval in intervals if not interval.running]), t),
        caption=t("station.calendar.caption", period=period),
        legend=tuple((state, shape(state, 0), _name(state, t)) for state in STATES[:-2] if state in shown),
        cut=t("station.calendar.cut", period=period) if cut else None,
    )


def _name(state: str, t: Catalogue) -> str:
    return t(f"station.calendar.{state}")


def _day(day: date, cells: Sequence[str], t: Catalogue) -> CalendarDay:
    paths: dict[str, str] = {}
    counts: dict[str, int] = {}
    for hour, cell in enumerate(cells):
        counts[cell] = counts.get(cell, 0) + 1
        drawn = shape(cell, hour)
        if drawn:
            paths[cell] = paths.get(cell, "") + drawn
    told = [
        t("station.calendar.hours", counts[state], state=_name(state, t)) for state in STATES[:-2] if counts.get(state)
    ]
    return CalendarDay(
        day=t.day(day),
        iso=day.isoformat(),
        paths=tuple(paths.items()),
        text=", ".join(told),
        measured=t.number(counts.get("measured", 0)),
    )


def _summary(days: Mapping[date, Sequence[str]], t: Catalogue) -> str:
    sums = Counter(cell for cells in days.values() for cell in cells)
    known = sum(count for state, count in sums.items() if state not in {"skipped", "future"})
    measured = sums["measured"]
    expected = known - sums["not_installed"]
    if not expected:
        return t("station.calendar.never")
    told = t("station.calendar.summary", measured=t.number(measured), hours=t.number(expected))
    gaps = [
        day
        for day, cells in days.items()
        if any(cell in {"missing", "partial", "excluded", "withheld"} for cell in cells)
    ]
    if not gaps:
        return told
    worst = max(gaps, key=lambda day: sum(cell in {"missing", "excluded", "withheld", "partial"} for cell in days[day]))
    return f"{told} {t('station.calendar.gaps', len(gaps), day=t.day(worst))}"
