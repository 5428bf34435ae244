"""The board in words: what the page shows of each station, in one language, before any script runs.

Only rules of showing are here; what was measured comes from the board. The scripts in ``static/js`` follow the same
rules for every new board, and a test holds the two to the same result.

Rules: a sum over minutes of which some were not measured is a lower bound and is shown with ≥. A station whose newest
measurement is older than `SILENT_AFTER_S` is silent, however much it counted before. Seconds that are missing because
reports are still on their way (`ON_THEIR_WAY_S`) make nothing incomplete.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from footfall_api.board import Board, Reading, StationBoard
from footfall_api.messages import Catalogue
from footfall_api.pages.measured import COMPLETE, remark_word
from footfall_api.pages.place_map import TOTAL_CHARS, Format, Panel, Spot, panels
from footfall_api.pages.places import direction_label
from footfall_api.pages.today import Day, Remark, Today
from footfall_api.pages.usual_view import (
    Beside,
    Course,
    HourRow,
    added,
    course,
    hour_rows,
    lately,
    lately_text,
    so_far,
    so_far_text,
)
from footfall_api.streets import Street

SILENT_AFTER_S = 150
"""Reports come every few seconds, at most a minute's worth at a time; two missed minutes are silence."""
ON_THEIR_WAY_S = 30
"""Time between a passage and its row; not counted as a gap."""
RECENT_MINUTES = 5
HISTORIC_AFTER = timedelta(days=7)
"""After this a station's silence is told as its last day instead of a clock time."""

Status = Literal["measured", "quiet", "partial", "silent", "last_day", "never"]

LIVE_STATUSES: frozenset[Status] = frozenset({"measured", "quiet", "partial", "silent"})
"""Stations that belong to the present; the others come after them."""

SPARK_HALF = 15
"""Half the height of the small course of an hour; each minute is two units wide."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A count as shown. `text` is a dash if nothing was measured; `at_least`: parts of the time were not measured."""

    text: str
    at_least: bool = False
    measured: bool = True


@dataclass(frozen=True, slots=True)
class DirectionView:
    """One direction of a station today. `heading`: degrees clockwise from north in which it crosses the line."""

    key: str
    label: str
    heading: float
    count: Figure


@dataclass(frozen=True, slots=True)
class Spark:
    """The last hour in little, as SVG path data: one upright stroke for each minute."""

    up: str
    down: str
    gaps: str


@dataclass(frozen=True, slots=True)
class StationView:
    """Everything the page says of one station."""

    id: str
    name: str
    timezone: str
    zone: str
    status: Status
    status_text: str
    today: Figure
    directions: tuple[DirectionView, ...]
    five: Figure
    five_count: int | None
    sixty: Figure
    sixty_count: int | None
    spark: Spark
    mark: str
    today_count: int | None = None
    beside: Beside | None = None
    so_far: str = ""
    lately: str = ""
    course: Course | None = None


@dataclass(frozen=True, slots=True)
class TotalView:
    """All stations together. `places`: how many of them the total is of, in words."""

    today: Figure
    sixty: Figure
    places: str
    so_far: str


@dataclass(frozen=True, slots=True)
class RemarkView:
    """A remark of today: its kind and when it holds in words, and its stations by id and name."""

    kind: str
    kind_text: str
    text: str
    when: str
    stations: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PageView:
    """The whole page: `at` in the zone of the first station.

    `hours`: the table of the day, a column for each of `hour_stations`; `is_usual_known`: of every station that counts
    at present, what is usual could be had.
    """

    at: str
    summary: str
    stations: tuple[StationView, ...]
    total: TotalView
    remarks: tuple[RemarkView, ...]
    panels: tuple[Panel, ...]
    zones: str
    hour_stations: tuple[StationView, ...]
    hours: tuple[HourRow, ...]
    is_usual_known: bool

    @property
    def by_id(self) -> Mapping[str, StationView]:
        """The stations by their id."""
        return {station.id: station for station in self.stations}


def page_view(
    board: Board, t: Catalogue, today: Today | None = None, streets: tuple[Street, ...] = ()
) -> PageView | None:
    """The page of `board`, with what is known of today beside it. None: there is no station."""
    if not board.stations:
        return None
    known = today or Today({}, ())
    views = tuple(
        sorted(
            (station_view(station, board.at, t, known.days.get(station.id)) for station in board.stations),
            key=lambda view: (view.status not in LIVE_STATUSES, view.name.casefold()),
        )
    )
    first = next(station for station in board.stations if station.id == views[0].id)
    spots = tuple(Spot(s.id, s.name, s.longitude, s.latitude, s.line) for s in board.stations)
    places = panels(spots, max(TOTAL_CHARS, *(len(view.today.text) for view in views)), streets)
    present = tuple(view for view in views if view.status in LIVE_STATUSES)
    with_hours = tuple(view for view in present if view.id in known.days)
    return PageView(
        at=t("live.as_of", time=t.clock(_local(board.at, first), seconds=True), zone=views[0].zone),
        summary=summary(views, t),
        stations=views,
        total=total_view(views, t),
        remarks=tuple(remark_view(remark, board, t) for remark in known.remarks),
        panels=_live_first(places, views),
        zones=", ".join(dict.fromkeys(f"{view.timezone} ({view.zone})" for view in views)),
        hour_stations=with_hours,
        hours=hour_rows([known.days[view.id] for view in with_hours], board.at, t),
        is_usual_known=all(view.beside is not None for view in present),
    )


def total_view(views: Sequence[StationView], t: Catalogue) -> TotalView:
    """All stations together; at least so many, if one that belongs to the present was not measured all the time."""
    present = [view for view in views if view.status in LIVE_STATUSES]
    measured = [view.today_count for view in views if view.today_count is not None]
    lacks = any(view.today.at_least or not view.today.measured for view in present)
    sixty = [view.sixty_count for view in views if view.sixty_count is not None]
    sixty_lacks = any(view.sixty.at_least or not view.sixty.measured for view in present)
    beside, stations = added([(view.beside, view.today_count) for view in views])
    if beside is None or beside.count is None or stations == len(measured):
        told = so_far_text(beside, t)
    else:
        told = t("usual.some", stations, passages=t.number(beside.count), beside=so_far_text(beside, t))
    return TotalView(
        today=_figure(sum(measured) if measured else None, t, at_least=lacks),
        sixty=_figure(sum(sixty) if sixty else None, t, at_least=sixty_lacks),
        places=t("usual.places", len(measured), all=t.number(len(views))),
        so_far=told,
    )


def remark_view(remark: Remark, board: Board, t: Catalogue) -> RemarkView:
    """A remark of today as the page tells it."""
    names = {station.id: station.name for station in board.stations}
    # Its times carry the offset of their own day, which need not be that of today.
    zones = {station.id: ZoneInfo(station.timezone) for station in board.stations}
    zone = next((zones[name] for name in remark.stations if name in zones), remark.start.tzinfo)
    today = board.at.astimezone(zone).date()
    ends = None if remark.end is None else remark.end - timedelta(seconds=1)
    if ends is None:
        when = t("remark.open")
    elif ends.date() > today:
        when = t("remark.until", date=t.date(ends))
    else:
        end = t.clock(ends + timedelta(seconds=1))
        until = "24:00" if end == "00:00" else end
        begin = t.clock(remark.start) if remark.start.date() == today else "00:00"
        when = t("remark.today", start=begin, end=until)
    excluded = f"; {t('remark.excluded')}" if remark.excludes else ""
    return RemarkView(
        kind=remark.kind,
        kind_text=remark_word(remark.kind, t),
        text=remark.text,
        when=when + excluded,
        stations=tuple((name, names[name]) for name in remark.stations if name in names),
    )


def _live_first(places: Sequence[Panel], views: Sequence[StationView]) -> tuple[Panel, ...]:
    """Places in the order of how many of their stations belong to the present."""
    live = {view.id for view in views if view.status in LIVE_STATUSES}
    return tuple(sorted(places, key=lambda panel: -sum(spot.id in live for spot in panel.spots)))


def _local(moment: datetime, station: StationBoard) -> datetime:
    return moment.astimezone(ZoneInfo(station.timezone))


def station_view(station: StationBoard, at: datetime, t: Catalogue, day: Day | None = None) -> StationView:
    """What the page says of `station` as it was `at`; `day`: what is known of its hours and of what is usual."""
    five, sixty = station.minutes[-RECENT_MINUTES:], station.minutes
    five_count, sixty_count = _sum(five), _sum(sixty)
    status = status_of(station, at)
    local = _local(at, station)
    lacks = _missing_s(station.today, at) > ON_THEIR_WAY_S
    today = _figure(station.today.count, t, at_least=lacks)
    beside = beside_sixty = None
    if day is not None and day.is_compared:
        beside = so_far(day, station.today, is_whole=not lacks, at=at)
        beside_sixty = lately(day, sixty_count, is_whole=not _has_gap(sixty, at), at=at)
    return StationView(
        id=station.id,
        name=station.name,
        timezone=station.timezone,
        zone=t.zone(local),
        status=status,
        status_text=_status_text(status, station, at, t),
        today=today,
        directions=tuple(_direction_view(station, key, t, at_least=lacks) for key in station.directions),
        five=_figure(five_count, t, at_least=_has_gap(five, at)),
        five_count=five_count,
        sixty=_figure(sixty_count, t, at_least=_has_gap(sixty, at)),
        sixty_count=sixty_count,
        spark=spark(station.minutes),
        today_count=station.today.count,
        beside=beside,
        so_far=so_far_text(beside, t),
        lately=lately_text(beside_sixty, t),
        course=None if day is None else course(day, station.minutes, at, t),
        mark=t("live.mark", name=station.name, today=today.text, five=_figure(five_count, t).text),
    )


def _direction_view(station: StationBoard, key: str, t: Catalogue, *, at_least: bool) -> DirectionView:
    count = _figure(station.today.counts.get(key), t, at_least=at_least)
    return DirectionView(key, direction_label(key, station.labels, t), heading(station, key), count)


def _figure(count: int | None, t: Catalogue, *, at_least: bool = False) -> Figure:
    if count is None:
        return Figure(t("live.dash"), measured=False)
    return Figure(t.number(count), at_least=at_least)


def _sum(readings: Sequence[Reading]) -> int | None:
    """Passages in the minutes that were measured; None if none was."""
    counts = [reading.count for reading in readings if reading.count is not None]
    return sum(counts) if counts else None


def _missing_s(reading: Reading, at: datetime) -> float:
    """Seconds of `reading` up to `at` that were not measured; 0 where the API calls it complete."""
    if reading.coverage is not None and reading.coverage >= COMPLETE:
        return 0
    passed = (min(at, reading.end) - reading.start).total_seconds()
    return max(0.0, passed) * (1 - (reading.coverage or 0))


def _has_gap(readings: Sequence[Reading], at: datetime) -> bool:
    """Whether minutes that ended long enough ago for all their reports to be here were not wholly measured."""
    ripe = at - timedelta(seconds=ON_THEIR_WAY_S)
    return any(reading.end <= ripe and reading.state != "measured" for reading in readings)


def status_of(station: StationBoard, at: datetime) -> Status:
    """How the station is doing `at`: the newest measurement decides, then today's gaps, then whether anybody came."""
    if station.updated is None:
        return "never"
    silence = at - station.updated
    if silence > HISTORIC_AFTER and station.last_day is not None:
        return "last_day"
    if silence.total_seconds() > SILENT_AFTER_S:
        return "silent"
    if _missing_s(station.today, at) > ON_THEIR_WAY_S:
        return "partial"
    return "measured" if _sum(station.minutes) else "quiet"


def _status_text(status: Status, station: StationBoard, at: datetime, t: Catalogue) -> str:
    if station.updated is None:
        return t("status.never")
    updated = _local(station.updated, station)
    time = t.clock(updated)
    if status == "last_day" and station.last_day is not None:
        day = station.last_day
        # A day that was measured to its end ended at 24:00, not on the next one.
        until = time if updated < day.end else "24:00"
        return t("status.last_day", date=t.date(day.start), time=until, count=_figure(day.count, t).text)
    if status == "silent" and updated.date() == _local(at, station).date():
        return t("status.silent", time=time)
    if status == "silent":
        return t("status.silent_day", date=t.date(updated), time=time)
    if status == "partial":
        return t("status.partial", time=time, coverage=t.percent(station.today.coverage or 0))
    return t("status.quiet" if status == "quiet" else "status.measured", time=time)


def heading(station: StationBoard, direction: str) -> float:
    """Degrees clockwise from north in which `direction` crosses the counting line; without a line: to the right, left.

    ``in`` goes from left to right as seen from the line's first to its second point: a quarter turn clockwise of it.
    """
    along = 0.0
    if station.line is not None:
        (lon1, lat1), (lon2, lat2) = station.line
        along = math.degrees(math.atan2((lon2 - lon1) * math.cos(math.radians(station.latitude)), lat2 - lat1))
    return round((along + (270 if direction == "out" else 90)) % 360, 1)


def spark(minutes: Sequence[Reading]) -> Spark:
    """The course of an hour: first direction up, second down, minutes that were not measured as gaps."""
    peak = max((count for reading in minutes for count in reading.counts.values() if count), default=0)
    scale = SPARK_HALF / max(peak, 4)
    strokes: dict[str, list[str]] = {"up": [], "down": [], "gaps": []}
    for index, reading in enumerate(minutes):
        x = 2 * index + 1
        if reading.count is None:
            strokes["gaps"].append(f"M{x} {SPARK_HALF + 5}V{SPARK_HALF - 3}")
            continue
        for key, count in reading.counts.items():
            sign = 1 if key == "out" else -1
            if count:
                y = SPARK_HALF + 1 + sign * round(count * scale, 1)
                strokes["down" if sign > 0 else "up"].append(f"M{x} {SPARK_HALF + 1}V{y:g}")
    return Spark(*("".join(strokes[name]) for name in ("up", "down", "gaps")))


def ring_radius(count: int | None, form: Format) -> float:
    """Radius of the ring around a station's dot; the area between them is proportional to `count` in five minutes."""
    return round(min(math.sqrt(form.dot**2 + form.ring**2 * (count or 0) / 100), form.ring_max), 1)


def summary(views: Sequence[StationView], t: Catalogue) -> str:
    """The map in a sentence: how much is going on, and where most."""
    measured = [(view.five_count, view.name) for view in views if view.five_count is not None]
    if not measured:
        return t("live.none")
    total = sum(count for count, _ in measured)
    if not total:
        return t("live.quiet")
    top_count, top = max(measured, key=lambda pair: pair[0])
    return t("live.summary", total, top=top, top_count=t.number(top_count))
