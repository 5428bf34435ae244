"""Today beside what is usual, in numbers, words and a small picture, before any script runs.

Only rules of showing are here; what is usual the API says (``usual_4_weeks`` of its comparison). ``static/js/usual.js``
follows the same rules for every new board, and a test holds the two to the same result.

Rules: a number is set beside what is usual only if both are of the same time. Today up to now is, if nothing of it is
missing; the running hour's usual goes in by the share of it that has passed. If something is missing, only the hours
that were measured from end to end are set beside what is usual in those. A change in per cent is told only where at
least `LEAST` passages are usual: of fewer, one more or less is half the world.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from footfall_api.board import Reading
from footfall_api.messages import Catalogue
from footfall_api.pages.today import Day, Hour

LEAST: Final = 10
"""Passages that must be usual for a change in per cent to be told."""

HOUR_WIDTH: Final = 10
"""How wide an hour is in the picture of the day, in its own units."""
HEIGHT: Final = 56
"""How high the fullest hour is drawn."""
LEAST_SCALE: Final = 4
"""A picture's full height stands for no fewer passages than this."""
_LABELLED: Final = 6
"""Every so many hours the picture names the time."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A number and what is usual in the same time. `hours`: so many whole hours; None: all of today up to now.

    `usual` None: too few like days. `count` None: there is nothing that may be compared.
    """

    count: int | None
    usual: float | None
    hours: int | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """The day in little: SVG path data, in units of which an hour is `HOUR_WIDTH` wide, 0 is the top.

    `running`: where the running hour's bar stands, its count and what is drawn of it; `scale`: units for each passage.
    `labels`: x and text of the times below. `text`: the picture in words.
    """

    width: int
    bars: str
    partial: str
    gaps: str
    usual: str
    running: int | None
    running_height: float
    scale: float
    labels: tuple[tuple[int, str], ...]
    text: str


def so_far(day: Day, today: Reading, *, is_whole: bool, at: datetime) -> Beside:
    """Today up to `at` beside what is usual; `is_whole`: nothing of it is missing."""
    over = [hour for hour in day.hours if hour.end <= at]
    running = next((hour for hour in day.hours if hour.start <= at < hour.end), None)
    usual = _sum_usual([*((hour, 1.0) for hour in over), *([(running, _share(running, at))] if running else [])])
    if today.count is None or (is_whole and usual is not None):
        return Beside(today.count, usual)
    both = [(hour.count, hour.usual) for hour in over if hour.is_measured and hour.usual is not None]
    if not both:
        return Beside(None, usual)
    return Beside(sum(count or 0 for count, _ in both), sum(mean or 0 for _, mean in both), len(both))


def lately(day: Day, count: int | None, *, is_whole: bool, at: datetime) -> Beside:
    """The last 60 minutes beside what is usual in the parts of the two hours that they lie in."""
    for index, hour in enumerate(day.hours):
        if hour.start <= at < hour.end:
            before = day.hours[index - 1].usual if index else day.before
            if hour.usual is None or before is None:
                return Beside(None, None)
            share = _share(hour, at)
            return Beside(count if is_whole else None, hour.usual * share + before * (1 - share))
    return Beside(None, None)


def _share(hour: Hour, at: datetime) -> float:
    return (at - hour.start) / (hour.end - hour.start)


def _sum_usual(parts: Iterable[tuple[Hour, float]]) -> float | None:
    total = 0.0
    for hour, share in parts:
        if hour.usual is None:
            return None
        total += hour.usual * share
    return total


def half_up(value: float) -> int:
    """Rounded as people and scripts round: a half goes up."""
    return math.floor(value + 0.5)


def change(beside: Beside, t: Catalogue) -> str:
    """`` (+12 %)``, or nothing where a change would say nothing."""
    if beside.count is None or beside.usual is None or beside.usual < LEAST:
        return ""
    percent = half_up((beside.count / beside.usual - 1) * 100)
    return f" ({t.change(1 + percent / 100)})"


def so_far_text(beside: Beside | None, t: Catalogue) -> str:
    """Today beside what is usual, in a few words; empty if nobody knows what is usual."""
    if beside is None:
        return ""
    if beside.usual is None:
        return t("usual.few")
    usual = t.number(half_up(beside.usual))
    if beside.hours is None:
        return t("usual.so_far", usual=usual, change=change(beside, t))
    return t("usual.hours", beside.hours, passages=t.number(beside.count or 0), usual=usual, change=change(beside, t))


def lately_text(beside: Beside | None, t: Catalogue) -> str:
    """The last hour beside what is usual; empty if that is not known."""
    if beside is None or beside.usual is None:
        return ""
    return t("usual.now", usual=t.number(half_up(beside.usual)), change=change(beside, t))


def added(parts: Sequence[tuple[Beside | None, int | None]]) -> tuple[Beside | None, int]:
    """All stations together beside what is usual, and how many of them go in: those that were measured up to now.

    `parts`: of each station what it is beside what is usual, and its total today.
    """
    whole = [
        beside
        for beside, _ in parts
        if beside is not None and beside.hours is None and beside.count is not None and beside.usual is not None
    ]
    if whole:
        return Beside(sum(b.count or 0 for b in whole), sum(b.usual or 0 for b in whole)), len(whole)
    return (None if all(beside is None for beside, _ in parts) else Beside(None, None)), 0


def running_count(minutes: Sequence[Reading], hour: Hour) -> int | None:
    """What was counted of the running hour, by its minutes; None if none was measured."""
    counts = [minute.count for minute in minutes if minute.start >= hour.start and minute.count is not None]
    return sum(counts) if counts else None


def course(day: Day, minutes: Sequence[Reading], at: datetime, t: Catalogue) -> Course:
    """The day as a picture: bars for what was counted, marks for what is usual, bands for what was not measured."""
    running = next((index for index, hour in enumerate(day.hours) if hour.start <= at < hour.end), None)
    live = None if running is None else running_count(minutes, day.hours[running])
    over = [hour for hour in day.hours if hour.end <= at]
    peak = max([LEAST_SCALE, live or 0, *(hour.count or 0 for hour in over), *(hour.usual or 0 for hour in day.hours)])
    scale = HEIGHT / peak
    drawn: dict[str, list[str]] = {"bars": [], "partial": [], "gaps": [], "usual": []}
    for index, hour in enumerate(day.hours):
        x = index * HOUR_WIDTH
        if hour.usual is not None:
            drawn["usual"].append(f"M{x} {HEIGHT - hour.usual * scale:.1f}h{HOUR_WIDTH}")
        if hour.end > at:
            continue
        if hour.count is None:
            drawn["gaps"].append(f"M{x} 0h{HOUR_WIDTH}v{HEIGHT}h-{HOUR_WIDTH}z")
        elif hour.count:
            kind = "partial" if hour.state == "partial" else "bars"
            drawn[kind].append(f"M{x + 1} {HEIGHT}v-{hour.count * scale:.1f}h{HOUR_WIDTH - 2}V{HEIGHT}z")
    return Course(
        width=len(day.hours) * HOUR_WIDTH,
        **{name: "".join(paths) for name, paths in drawn.items()},
        running=running,
        running_height=round((live or 0) * scale, 1),
        scale=round(scale, 6),
        labels=_labels(day.hours, t),
        text=course_text(day.hours, at, t),
    )


def _labels(hours: Sequence[Hour], t: Catalogue) -> tuple[tuple[int, str], ...]:
    """0, 6, 12, 18 and 24 o'clock, where they stand on a day of 23, 24 or 25 hours."""
    found = []
    for index, hour in enumerate(hours):
        if hour.start.hour % _LABELLED == 0 and (index == 0 or hours[index - 1].start.hour != hour.start.hour):
            found.append((index * HOUR_WIDTH, t.clock(hour.start)[:2].lstrip("0") or "0"))
    return (*found, (len(hours) * HOUR_WIDTH, "24"))


def course_text(hours: Sequence[Hour], at: datetime, t: Catalogue) -> str:
    """The day in a sentence or two: the fullest hour beside what is usual in it, and what was not measured."""
    over = [hour for hour in hours if hour.end <= at]
    if not over:
        return t("usual.begun")
    told = []
    peak = max(over, key=lambda hour: hour.count or 0)
    if all(hour.count is None for hour in over):
        return t("usual.unmeasured")
    if peak.count:
        usual = "" if peak.usual is None else f" ({t('usual.now', usual=t.number(half_up(peak.usual)), change='')})"
        told.append(
            t("usual.peak", start=t.clock(peak.start), end=_end(peak, t), passages=t.number(peak.count), usual=usual)
        )
    else:
        told.append(t("usual.nobody"))
    for key, stretches in (
        ("usual.gap", _stretches(hour for hour in over if hour.count is None)),
        ("usual.part", _stretches(hour for hour in over if hour.count is not None and hour.state == "partial")),
    ):
        if stretches:
            spans = ", ".join(f"{t.clock(first.start)}\N{EN DASH}{_end(last, t)}" for first, last in stretches)
            told.append(t(key, spans=spans))
    return " ".join(told)


def _end(hour: Hour, t: Catalogue) -> str:
    """The end of an hour of today; the day's own end is 24:00."""
    return "24:00" if hour.end.date() != hour.start.date() else t.clock(hour.end)


def _stretches(hours: Iterable[Hour]) -> list[tuple[Hour, Hour]]:
    """Hours in a row as the first and the last of each stretch."""
    found: list[tuple[Hour, Hour]] = []
    for hour in hours:
        if found and hour.start - found[-1][1].end == timedelta(0):
            found[-1] = found[-1][0], hour
        else:
            found.append((hour, hour))
    return found


@dataclass(frozen=True, slots=True)
class HourRow:
    """One hour in the table of the day: for each station what was counted, and what is usual, as text."""

    time: str
    cells: tuple[tuple[str, str], ...]


def hour_rows(days: Sequence[Day], at: datetime, t: Catalogue) -> tuple[HourRow, ...]:
    """The hours of the stations by their local clock, those to come with what is usual only."""
    rows: dict[tuple[str, int], dict[int, Hour]] = {}
    for number, day in enumerate(days):
        seen: dict[str, int] = {}
        for hour in day.hours:
            clock = t.clock(hour.start)
            seen[clock] = seen.get(clock, 0) + 1
            rows.setdefault((clock, seen[clock]), {})[number] = hour
    return tuple(
        HourRow(clock, tuple(_cell(hours.get(number), at, t) for number in range(len(days))))
        for (clock, _), hours in sorted(rows.items())
    )


def _cell(hour: Hour | None, at: datetime, t: Catalogue) -> tuple[str, str]:
    dash = t("live.dash")
    if hour is None:
        return "", ""
    usual = dash if hour.usual is None else t.number(half_up(hour.usual))
    if hour.end > at:
        return (t("usual.runs") if hour.start <= at else ""), usual
    if hour.count is None:
        return dash, usual
    return ("≥ " if hour.state == "partial" else "") + t.number(hour.count), usual
