"""What the API has to answer, worked out again from the raw reports in plain Python: slow, but short.

No numpy, no SQL, no tables by the hour, nothing of `footfall_api`. Who doubts an answer can read here what it should
be, and the tests hold the API against it over histories that nobody thought of.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from footfall_contract import SlotReport

RESOLUTIONS = ("1min", "5min", "15min", "30min", "1h", "1d", "1w", "1mo", "1y")
_STEP_S = {"1min": 60, "5min": 300, "15min": 900, "30min": 1800, "1h": 3600}
_MARGIN_S = {"1d": 3, "1w": 9, "1mo": 33, "1y": 368}
HOUR_S = 3600
DAY_S = 86_400

Cell = tuple[int, int]
"""Direction and class."""

Range = tuple[int, int]
"""Half-open, in UTC unix seconds."""


@dataclass(frozen=True)
class Stay:
    """A sensor at a station in [since, until), UTC unix seconds; `until` None: until further notice."""

    sensor: str
    station: str
    since: int
    until: int | None
    role: str

    def overlap(self, start: int, end: int) -> tuple[int, int]:
        """The part of [start, end) in which it hangs there."""
        return max(start, self.since), end if self.until is None else min(end, self.until)


@dataclass(frozen=True)
class Value:
    """What is to be answered about [start, end) and a group of sensors. `counts` None: no number may be given."""

    start: int
    end: int
    counts: Counter[Cell] | None = None
    coverage: float | None = None
    state: str = "missing"
    reason: str | None = None
    final: bool = False
    carried: tuple[str, ...] = ()
    """The stations that have numbers in it."""


@dataclass(frozen=True)
class Asked:
    """Who is asked about, how finely, in which zone, and when; and which time of which sensor is not to be believed."""

    stays: Sequence[Stay]
    resolution: str
    zone: ZoneInfo
    now: int
    excluded: Mapping[tuple[str, str], Sequence[Range]] = field(default_factory=dict)
    """By station and sensor."""


class Facts:
    """What the reports say of each sensor: by minute, and of spans. A report that came twice is one.

    Of the minutes before `minutes_from` (a full UTC hour, unix seconds) only the sums by the hour were kept.
    """

    def __init__(self, reports: Iterable[SlotReport], minutes_from: int = 0) -> None:
        self.minutes: dict[str, dict[int, int]] = defaultdict(dict)
        """Measured seconds by minute; a minute that is not there was not reported."""
        self.counts: dict[str, dict[int, Counter[Cell]]] = defaultdict(lambda: defaultdict(Counter))
        self.spans: dict[str, dict[tuple[int, int], tuple[int, Counter[Cell]]]] = defaultdict(dict)
        """Measured seconds and counts by start and end."""
        self.cells: dict[str, set[Cell]] = defaultdict(set)
        """What each sensor ever counted."""
        for report in {(report.sensor, report.stream, report.seq): report for report in reports}.values():
            cells = list(zip(report.index, report.direction, report.class_, report.count, strict=True))
            self.cells[report.sensor] |= {(direction, class_) for _, direction, class_, _ in cells}
            if report.slot > 60 or 60 % report.slot or report.start % report.slot:
                span = report.start, report.start + report.slot
                observed, counts = self.spans[report.sensor].get(span, (0, Counter()))
                for _, direction, class_, count in cells:
                    counts[direction, class_] += count
                self.spans[report.sensor][span] = observed + report.observed[0], counts
                continue
            for index, seconds in enumerate(report.observed):
                minute = (report.start + index * report.slot) // 60 * 60
                of_sensor = self.minutes[report.sensor]
                of_sensor[minute] = of_sensor.get(minute, 0) + seconds
            for index, direction, class_, count in cells:
                minute = (report.start + index * report.slot) // 60 * 60
                self.counts[report.sensor][minute][direction, class_] += count
        self.hours: dict[str, dict[int, tuple[int, int, Counter[Cell]]]] = defaultdict(dict)
        """Measured and reported seconds and counts of hours of which only the sums were kept, by their beginning."""
        for sensor, minutes in self.minutes.items():
            for minute in [minute for minute in minutes if minute < minutes_from]:
                hour = minute // HOUR_S * HOUR_S
                observed, reported, counts = self.hours[sensor].get(hour, (0, 0, Counter()))
                counts.update(self.counts[sensor].pop(minute, {}))
                self.hours[sensor][hour] = observed + minutes.pop(minute), reported + 60, counts


@cache
def edges(resolution: str, start: int, end: int, zone: ZoneInfo) -> tuple[int, ...]:
    """The edges of all intervals that overlap [start, end): instants at which the local clock shows a whole step.

    Where clocks change by a part of the step the change is an edge too.
    """
    step = _STEP_S.get(resolution)
    look = 900 if step is None else 60
    margin = 2 * 3600 if step else _MARGIN_S[resolution] * DAY_S
    found = []
    for instant in range((start - margin) // look * look, end + margin + look, look):
        local = datetime.fromtimestamp(instant, zone)
        if step is None:
            whole = (local.hour, local.minute) == (0, 0) and {
                "1d": True,
                "1w": local.weekday() == 0,
                "1mo": local.day == 1,
                "1y": (local.month, local.day) == (1, 1),
            }[resolution]
        else:
            jump = _offset(instant, zone) - _offset(instant - 60, zone)
            whole = (local.hour * 3600 + local.minute * 60) % step == 0 or jump % step != 0
        if whole:
            found.append(instant)
    first = max(edge for edge in found if edge <= start)
    last = min(edge for edge in found if edge >= end)
    return tuple(edge for edge in found if first <= edge <= last)


def _offset(instant: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


@dataclass
class _Seen:
    """What there is of some sensors in an interval, times in seconds."""

    expected: int = 0
    observed: int = 0
    reported: int = 0
    recovered: int = 0
    excluded: int = 0
    counts: Counter[Cell] = field(default_factory=Counter)
    cutting: list[Range] = field(default_factory=list)
    """Spans with a number that the interval does not contain: it cannot have it."""
    undivided: bool = False
    """There is the sum of an hour in the middle of which the sensor came or went: it can have no part of it."""
    carried: set[str] = field(default_factory=set)


def value(facts: Facts, question: Asked, start: int, end: int) -> Value:
    """What there is to say about the interval [start, end)."""
    now = question.now
    if start >= now:
        return Value(start, end, reason="future")
    seen = _Seen()
    for stay in question.stays:
        _look(facts, stay, question, (start, end), seen)
    expected, observed = seen.expected, min(seen.observed, seen.expected)
    final = end + 14 * DAY_S <= now or (end <= now and observed >= expected)
    if not expected:
        return Value(start, end, reason="not_installed", final=final)
    state, reason = _state(seen, observed, question, start, min(end, now))
    return Value(
        start,
        end,
        counts=None if state in {"missing", "coarse"} else seen.counts,
        coverage=observed * 10_000 // expected / 10_000,
        state=state,
        reason=reason,
        final=final,
        carried=tuple(sorted(seen.carried)),
    )


def _look(facts: Facts, stay: Stay, question: Asked, interval: Range, seen: _Seen) -> None:
    """Add what a sensor has in the part of an interval in which it hangs at its station, without what is excluded."""
    begin, end = stay.overlap(*interval)
    if begin >= end:
        return
    excluded = question.excluded.get((stay.station, stay.sensor), ())
    hidden = list(excluded)
    found = [
        *_minutes(facts, stay, interval, excluded, seen),
        *_hours(facts, stay, interval, excluded, seen, hidden),
        *_spans(facts, stay, interval, excluded, seen, hidden),
    ]
    until_now = begin, max(begin, min(end, question.now))
    seen.expected += until_now[1] - until_now[0]
    seen.excluded += _length(hidden, until_now)
    for seconds, counts in found:
        seen.observed += seconds
        seen.counts.update(counts)
        if seconds or counts:
            seen.carried.add(stay.station)


Found = Iterator[tuple[int, Counter[Cell]]]
"""Measured seconds and counts that are to be added up. What else there is to know of the time is put into `seen`, and
into `hidden` what has no number because a part of it is excluded."""


def _minutes(facts: Facts, stay: Stay, interval: Range, excluded: Sequence[Range], seen: _Seen) -> Found:
    begin, end = stay.overlap(*interval)
    for minute, seconds in facts.minutes[stay.sensor].items():
        if begin <= minute < end and not _meet((minute, minute + 60), excluded):
            seen.reported += 60
            yield seconds, facts.counts[stay.sensor].get(minute, Counter())


def _hours(  # noqa: PLR0917
    facts: Facts, stay: Stay, interval: Range, excluded: Sequence[Range], seen: _Seen, hidden: list[Range]
) -> Found:
    """Hours whose minutes were removed; those that the interval or something else cuts are like spans."""
    begin, end = stay.overlap(*interval)
    for start, (seconds, reported, counts) in facts.hours[stay.sensor].items():
        hour, part = (start, start + HOUR_S), (max(start, begin), min(start + HOUR_S, end))
        if part[0] >= part[1] or _length(excluded, part) == part[1] - part[0]:
            continue
        if part == hour and not _meet(hour, excluded):
            seen.reported += reported
            yield seconds, counts
        elif not seconds and not counts:  # silent all the time: so was each part of it
            seen.reported += part[1] - part[0]
        elif _meet(hour, excluded):
            hidden.append(hour)
        elif hour == stay.overlap(*hour):
            seen.cutting.append(hour)
        else:
            seen.undivided = True


def _spans(  # noqa: PLR0917
    facts: Facts, stay: Stay, interval: Range, excluded: Sequence[Range], seen: _Seen, hidden: list[Range]
) -> Found:
    for span, (seconds, counts) in facts.spans[stay.sensor].items():
        if span != stay.overlap(*span):
            continue  # in part it was counted elsewhere
        has_number = bool(seconds or counts)
        if _meet(span, excluded):
            if has_number:  # nobody can say how much of it is to be believed
                hidden.append(span)
        elif interval[0] <= span[0] and span[1] <= interval[1]:
            seen.reported += span[1] - span[0]
            if counts and not seconds:
                seen.recovered += span[1] - span[0]
            yield seconds, counts
        elif has_number and _meet(span, [stay.overlap(*interval)]):
            seen.cutting.append(span)


def _state(seen: _Seen, observed: int, question: Asked, start: int, until_now: int) -> tuple[str, str | None]:
    """The state, and the reason why time is missing or the resolution that has the number."""
    lost = {
        "excluded": seen.excluded,
        "silent": seen.reported - observed,
        "not_reported": seen.expected - seen.reported - seen.excluded,
    }
    if not observed:
        if seen.counts:
            return "recovered", None
        if seen.cutting or seen.undivided:
            return "coarse", finest(question.resolution, seen.cutting, question.zone) if seen.cutting else "1h"
        if seen.excluded * 2 >= seen.expected:
            return "missing", "excluded"
        return "missing", "silent" if seen.reported else "not_reported"
    if observed * 100 >= seen.expected * 98:
        return "measured", None if _always(question.stays, start, until_now) else "not_installed"
    if seen.recovered and (observed + seen.recovered) * 100 >= seen.expected * 98:
        return "recovered", None
    return "partial", max(lost, key=lambda reason: lost[reason])


def _meet(one: Range, others: Iterable[Range]) -> bool:
    return any(one[0] < end and start < one[1] for start, end in others)


def _length(ranges: Iterable[Range], within: Range) -> int:
    """The seconds of `within` that lie in some of the ranges."""
    total, place = 0, within[0]
    for start, end in sorted(ranges):
        begin, until = max(start, place), min(end, within[1])
        if begin < until:
            total += until - begin
            place = until
    return total


def _always(stays: Sequence[Stay], start: int, end: int) -> bool:
    """Whether at each moment of [start, end) one of the sensors hung there at least."""
    moments = [start, *(stay.until for stay in stays if stay.until is not None and start <= stay.until < end)]
    return all(
        any(stay.since <= moment and (stay.until is None or moment < stay.until) for stay in stays)
        for moment in moments
    )


def finest(resolution: str, spans: Iterable[tuple[int, int]], zone: ZoneInfo) -> str | None:
    """The finest resolution after this one of which some interval holds each span whole; None: there is none."""
    for coarser in RESOLUTIONS[RESOLUTIONS.index(resolution) + 1 :]:
        if all(len(edges(coarser, start, end, zone)) == 2 for start, end in spans):
            return coarser
    return None
