"""One station: what it counted in a period of one's choice, what is usual there, how well it was measured, and now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.responses import RedirectResponse, Response

from footfall_api.board import Board, StationBoard
from footfall_api.pages.frame import Here, Page
from footfall_api.pages.inner import RefusedError
from footfall_api.pages.last_hour import last_hour
from footfall_api.pages.now_view import heading
from footfall_api.pages.station_calendar import CalendarView, calendar_days, calendar_view
from footfall_api.pages.station_choice import (
    DIRECTIONS,
    FORMS,
    RESOLUTIONS,
    Choice,
    Trouble,
    instead,
    moments,
    quick_periods,
    read_choice,
    suitable,
)
from footfall_api.pages.station_sketch import SIZE, Sketch, sketch
from footfall_api.pages.station_view import (
    StationFacts,
    course_view,
    label,
    remark_views,
    station_facts,
    trouble_text,
    usual_view,
    week_view,
)

LIVE: Final = "/api/v1/live"
Feature: TypeAlias = Mapping[str, Any]
"""A station of the API, as GeoJSON."""
COMPASS: Final = ("n", "ne", "e", "se", "s", "sw", "w", "nw")
PARTS: Final = ("choose-station", "choice", "course", "usual", "calendar", "remarks")
"""Parts of the page that depend on what is chosen; the script replaces them without loading the page anew."""


async def answer(here: Here) -> Response:
    """The page of a station; without one in the address the way to one of them."""
    features = (await here.ask("stations"))["features"]
    if not features:
        return here.page_of("empty.html")
    board: Board = await here.request.app.state.feed.current()
    in_path = here.request.path_params.get("station")
    wanted = here.query("station") or in_path or busiest(board) or str(features[0]["id"])
    feature = next((one for one in features if one["id"] == wanted), None)
    if feature is None:
        names = [(str(one["id"]), str(one["properties"]["name"])) for one in features]
        return here.page_of("station/unknown.html", status=404, wanted=wanted[:64], stations=names)
    if wanted != in_path:
        # Other people's words: not passed as names of arguments, of which some might be those of `url` itself.
        kept = urlencode([word for word in here.request.query_params.multi_items() if word[0] != "station" and word[1]])
        address = here.url("station", wanted) + (f"?{kept}" if kept else "")
        return RedirectResponse(address, 302, headers={"Cache-Control": "no-store"})
    return await _page(here, feature, features, board)


PAGE: Final = Page("station", answer, more=("/{station}",), browser=("minutes", "state"))


def busiest(board: Board) -> str | None:
    """The station with the most passages in the last hour, else today; None if none has counted today."""
    counts = [
        (sum(minute.count or 0 for minute in station.minutes), station.today.count or 0, station.id)
        for station in board.stations
        if station.today.count is not None
    ]
    return max(counts)[2] if counts else None


@dataclass(frozen=True, slots=True)
class Download:
    """What is shown, as a file."""

    key: str
    address: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What the API said of the chosen period; `trouble` if it said nothing."""

    answer: Mapping[str, Any] | None
    query: Mapping[str, object]
    trouble: Trouble | None = None


async def _page(
    here: Here, feature: Mapping[str, Any], features: Sequence[Mapping[str, Any]], board: Board
) -> Response:
    t = here.t
    now: datetime = here.request.app.state.clock()
    zone = ZoneInfo(feature["properties"]["timezone"])
    today = now.astimezone(zone).date()
    choice = read_choice(here.request.query_params, today)
    path = f"stations/{feature['id']}"
    monday = today - timedelta(days=today.weekday())
    days = calendar_days(choice.first, choice.last)
    calendar_to = moments(replace(choice, first=days[0]), now, zone)
    counts, profile, compared, hours, areas = await asyncio.gather(
        _counts(here, path, choice, now, zone),
        here.ask(f"{path}/profile", lang=here.language),
        here.ask(
            f"{path}/compare",
            from_=monday.isoformat(),
            to=(monday + timedelta(days=7)).isoformat(),
            resolution=choice.week_by,
            lang=here.language,
        ),
        here.ask(f"{path}/counts", from_=calendar_to.from_, to=calendar_to.to, resolution="1h"),
        _area_names(here, feature),
    )
    station = station_facts(feature, areas, now, t)
    source = t("station.source", attribution=here.settings.attribution, licence=here.settings.public.licence)
    troubles = (*choice.troubles, *([counts.trouble] if counts.trouble else []))
    course = course_view(counts.answer, choice, station, t, source, now=now) if counts.answer else None
    on_board = next((one for one in board.stations if one.id == station.id), None)
    hour = last_hour(on_board, board.at, t, source) if on_board and station.sensors else None
    return here.page_of(
        "station.html",
        status=422 if troubles else 200,
        station=station,
        stations=[(str(one["id"]), str(one["properties"]["name"])) for one in features],
        choice=choice,
        troubles={trouble.field: (trouble, trouble_text(trouble, t)) for trouble in troubles},
        quick=quick_periods(today),
        today=today,
        resolutions=tuple(RESOLUTIONS),
        suited=suitable(choice.days),
        directions=DIRECTIONS,
        forms=FORMS,
        course=course,
        remarks=remark_views(hours["remarks"], zone, t) if course is None else course.remarks,
        downloads=_downloads(here, path, counts.query) if course else (),
        hour=hour,
        week=week_view(profile, station, t, source),
        usual=usual_view(compared, choice, station, t, source),
        calendar=_calendar(hours, choice, zone, here, now),
        lines=_lines(on_board, station, here),
        sketch_size=SIZE,
        boot=here.boot(
            live=f"{here.base}{LIVE}?station={station.id}",
            station=station.id,
            zone=t.zone(now.astimezone(zone)),
            parts=PARTS,
        ),
    )


async def _counts(here: Here, path: str, choice: Choice, now: datetime, zone: ZoneInfo) -> Counts:
    """The chosen period; what the API refuses is told beside the field."""
    if choice.troubles:
        return Counts(None, {})
    asked = moments(choice, now, zone)
    query: dict[str, object] = {
        "from_": asked.from_,
        "to": asked.to,
        "resolution": choice.resolution,
        "split": "direction" if choice.directions == "split" else None,
    }
    try:
        return Counts(await here.ask(f"{path}/counts", **query), query)
    except RefusedError as refused:
        if refused.status == 403:
            finest_s = here.rules.finest.longest_s
            right = tuple(name for name in instead(choice.days) if RESOLUTIONS[name] >= finest_s)
            return Counts(None, query, Trouble("station.trouble.too_fine", "resolution", {}, right))
        if refused.status >= 500:
            raise
        detail = refused.detail or refused.title
        return Counts(None, query, Trouble("station.trouble.refused", "refused", {"detail": detail}))


async def _area_names(here: Here, feature: Feature) -> dict[str, str]:
    if not feature["properties"]["areas"]:
        return {}
    return {str(area["id"]): str(area["properties"]["name"]) for area in (await here.ask("areas"))["features"]}


def _downloads(here: Here, path: str, query: Mapping[str, object]) -> tuple[Download, ...]:
    """The very answer that the page shows, in each format."""
    address = f"{path}/counts"
    return (
        Download("station.downloads.csv", here.data_url(address, **query, format="csv")),
        Download("station.downloads.excel", here.data_url(address, **query, format="csv-de", remarks="column")),
        Download("station.downloads.parquet", here.data_url(address, **query, format="parquet")),
        Download("station.downloads.json", here.data_url(address, **query)),
    )


def _calendar(
    hours: Mapping[str, Any], choice: Choice, zone: ZoneInfo, here: Here, now: datetime
) -> CalendarView | None:
    first, _ = calendar_days(choice.first, choice.last)
    return calendar_view(hours, zone, first != choice.first, here.t, now)


@dataclass(frozen=True, slots=True)
class Lines:
    """What the directions mean. `arrows`: of each its direction, letter, label, and where it goes."""

    sketch: Sketch | None
    arrows: tuple[tuple[str, str, str, str], ...]
    text: str


def _lines(station: StationBoard | None, facts: StationFacts, here: Here) -> Lines:
    drawn = sketch(station) if station else None
    if station is None or drawn is None:
        return Lines(None, (), here.t("station.lines.none"))
    arrows = tuple(
        (arrow.key, arrow.letter, label(arrow.key, facts.labels, here.t), compass(heading(station, arrow.key), here))
        for arrow in drawn.arrows
    )
    return Lines(drawn, arrows, here.t("station.lines.text", metres=here.t.number(drawn.metres)))


def compass(degrees: float, here: Here) -> str:
    """Where an arrow of so many degrees clockwise from north goes, in words."""
    return here.t(f"station.compass.{COMPASS[round(degrees / 45) % 8]}")
