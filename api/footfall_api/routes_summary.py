"""The endpoints for summaries. What they answer is a promise: see docs/summaries.md."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from footfall_api import caching
from footfall_api.access import rules_for
from footfall_api.areas import read_areas
from footfall_api.asked import remark_json
from footfall_api.counts import Member, blocks, groups_of
from footfall_api.database import snapshot
from footfall_api.intervals import Resolution, local_date
from footfall_api.problems import no_area, no_station
from footfall_api.question import Dimension, Format, Question, TableFormat, parse_split, parse_timezone
from footfall_api.remarks import Remark, read_exclusions, read_remarks
from footfall_api.routes import MEDIA_TYPES, Split, StationId, Zone, preferred
from footfall_api.settings import ApiSettings
from footfall_api.stations import Station, read_stations
from footfall_api.summary import asked, describe, methods, writing
from footfall_api.summary.asked import (
    CompareResolution,
    Period,
    ProfileResolution,
    TotalsResolution,
)
from footfall_api.summary.before_after import before_after
from footfall_api.summary.carriers import carried
from footfall_api.summary.compare import LEAST_DAYS, compare
from footfall_api.summary.days import Calendar, holidays_between
from footfall_api.summary.methods import Language
from footfall_api.summary.profile import LEAST_VALUES, typical_weeks
from footfall_api.summary.series import Series, series_of
from footfall_api.summary.totals import totals
from footfall_api.writing import CSV_STYLES

_NO_LIMIT: Final = 10**9
"""The questions have been checked before."""

AreaId = Annotated[str, Path(description="id of the area, whose stations are added up", examples=["zentrum"])]
From = Annotated[
    str | None,
    Query(
        alias="from",
        description="begin: a date or a time, local to the answer's zone unless it has an offset. Default: profile: 52 "
        "weeks before the end; compare: the local midnight before the end; totals: the first of January before the end",
        examples=["2026-03-02", "2026-03-02T00:00:00+01:00"],
    ),
]
To = Annotated[
    str | None,
    Query(
        description="end, not itself part of it. Default: profile: the end of the last whole week, or with `from` of "
        "the last whole day; compare and totals: now",
        examples=["2026-03-30"],
    ),
]
Lang = Annotated[Language, Query(description="language of `method` and of the names of holidays")]
FormatOf = Annotated[
    TableFormat | None,
    Query(description="csv-de is for German Excel. Default: json, or what the Accept header prefers"),
]
ProfileBy = Annotated[ProfileResolution, Query(description="what the week is made of; 1d: whole days")]
CompareBy = Annotated[CompareResolution, Query(description="what is compared")]
BeforeDay = Annotated[
    str, Query(description="the time before ends with the day before this date", examples=["2026-03-02"])
]
AfterDay = Annotated[
    str | None,
    Query(description="the time after begins with this date. Default: that of `before`", examples=["2026-04-13"]),
]
Weeks = Annotated[int, Query(ge=1, le=asked.MAX_WEEKS, description="length of each time, in weeks", examples=[12])]
TotalsBy = Annotated[TotalsResolution, Query(description="length of the periods; all: the whole time asked for")]

_PROFILE: Final[dict[str, Any]] = {
    "tags": ["summaries"],
    "response_class": Response,
    "responses": describe.responses(describe.Profile, "the typical week; with too few values a cell has none"),
}
_COMPARE: Final[dict[str, Any]] = {
    "tags": ["summaries"],
    "response_class": Response,
    "responses": describe.responses(describe.Comparison, "the counts beside what is usual"),
}
_BEFORE_AFTER: Final[dict[str, Any]] = {
    "tags": ["summaries"],
    "response_class": Response,
    "responses": describe.responses(describe.BeforeAfter, "the means on both sides"),
}
_TOTALS: Final[dict[str, Any]] = {
    "tags": ["summaries"],
    "response_class": Response,
    "responses": describe.responses(describe.Totals, "the totals; gaps are counted, never filled"),
}

router = APIRouter()


@dataclass(frozen=True, slots=True)
class _Named:
    """What is summarised as it was named: a station, or an area whose stations are added up."""

    station: str | None = None
    area: str | None = None


@dataclass(frozen=True, slots=True)
class _Manner:
    """How every summary may be asked for, as it came."""

    split: list[str] | None
    tz: str | None
    lang: Language
    format: TableFormat | None


@dataclass(frozen=True, slots=True)
class _Time:
    """The time that is summarised, as it came."""

    from_: str | None
    to: str | None


@dataclass(frozen=True, slots=True)
class _Change:
    """The days around a change, as they came, and the weeks on either side."""

    before: str
    after: str | None
    weeks: int


def _station_named(station: StationId) -> _Named:
    return _Named(station=station)


def _area_named(area: AreaId) -> _Named:
    return _Named(area=area)


def _manner_of(
    split: Split = None,
    tz: Zone = None,
    lang: Lang = Language.ENGLISH,
    format: FormatOf = None,  # noqa: A002  # the parameter's public name
) -> _Manner:
    return _Manner(split, tz, lang, format)


def _time_of(from_: From = None, to: To = None) -> _Time:
    return _Time(from_, to)


def _change_of(before: BeforeDay, after: AfterDay = None, weeks: Weeks = 8) -> _Change:
    return _Change(before, after, weeks)


AtStation = Annotated[_Named, Depends(_station_named)]
InArea = Annotated[_Named, Depends(_area_named)]
InManner = Annotated[_Manner, Depends(_manner_of)]
InTime = Annotated[_Time, Depends(_time_of)]
OfChange = Annotated[_Change, Depends(_change_of)]


@router.get("/api/v1/stations/{station}/profile", summary="The typical week of a station", **_PROFILE)
async def station_profile(
    request: Request,
    named: AtStation,
    manner: InManner,
    time: InTime,
    resolution: ProfileBy = ProfileResolution.HOUR,
) -> Response:
    """Median and quartiles by weekday and hour, public holidays apart; each cell says how many hours went in or not.

    Only hours that were wholly measured go in. Counts are passages, not persons.
    """
    return await _profile(request, named, manner, time, resolution)


@router.get("/api/v1/areas/{area}/profile", summary="The typical week of an area", **_PROFILE)
async def area_profile(
    request: Request,
    named: InArea,
    manner: InManner,
    time: InTime,
    resolution: ProfileBy = ProfileResolution.HOUR,
) -> Response:
    """As of a station, for the sum of the stations in the area; `carried_by` says which had a sensor when."""
    return await _profile(request, named, manner, time, resolution)


@router.get("/api/v1/stations/{station}/compare", summary="A station's counts beside what is usual", **_COMPARE)
async def station_compare(
    request: Request,
    named: AtStation,
    manner: InManner,
    time: InTime,
    resolution: CompareBy = CompareResolution.HOUR,
) -> Response:
    """Each interval beside the mean of like days of the 4 and 52 weeks before, and the like day of the year before.

    Like days are the same weekday, and public holidays only public holidays. Only wholly measured times are compared.
    """
    return await _compare(request, named, manner, time, resolution)


@router.get("/api/v1/areas/{area}/compare", summary="An area's counts beside what is usual", **_COMPARE)
async def area_compare(
    request: Request,
    named: InArea,
    manner: InManner,
    time: InTime,
    resolution: CompareBy = CompareResolution.HOUR,
) -> Response:
    """As of a station, for the sum of the stations in the area; compared only with sums of the same stations."""
    return await _compare(request, named, manner, time, resolution)


@router.get("/api/v1/stations/{station}/before-after", summary="A station before and after a change", **_BEFORE_AFTER)
async def station_before_after(
    request: Request,
    named: AtStation,
    manner: InManner,
    change: OfChange,
    resolution: CompareBy = CompareResolution.DAY,
) -> Response:
    """The mean of each weekday in the weeks before one day and from another on, public holidays apart.

    Only wholly measured times go in. The season, and what else differs between the two times, is not taken out.
    """
    return await _before_after(request, named, manner, change, resolution)


@router.get("/api/v1/areas/{area}/before-after", summary="An area before and after a change", **_BEFORE_AFTER)
async def area_before_after(
    request: Request,
    named: InArea,
    manner: InManner,
    change: OfChange,
    resolution: CompareBy = CompareResolution.DAY,
) -> Response:
    """As of a station, for the sum of the stations in the area; only times that the same stations carried go in."""
    return await _before_after(request, named, manner, change, resolution)


@router.get("/api/v1/stations/{station}/totals", summary="A station's totals by period", **_TOTALS)
async def station_totals(
    request: Request,
    named: AtStation,
    manner: InManner,
    time: InTime,
    resolution: TotalsBy = TotalsResolution.MONTH,
) -> Response:
    """Sum, measured share, gaps, best and quietest day, peak hour, and the mean day of each weekday.

    A sum is what was measured: nothing is filled in for gaps.
    """
    return await _totals(request, named, manner, time, resolution)


@router.get("/api/v1/areas/{area}/totals", summary="An area's totals by period", **_TOTALS)
async def area_totals(
    request: Request,
    named: InArea,
    manner: InManner,
    time: InTime,
    resolution: TotalsBy = TotalsResolution.MONTH,
) -> Response:
    """As of a station, for the sum of the stations in the area; `carried_by` says which had a sensor when."""
    return await _totals(request, named, manner, time, resolution)


@dataclass(frozen=True, slots=True)
class _Place:
    """What is summarised: one station, or the sum of an area's."""

    station: str | None
    area: str | None
    stations: tuple[Station, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read for a summary: for each question its series, and the remarks on their time."""

    series: Sequence[list[Series]]
    remarks: Sequence[Remark]


@dataclass(frozen=True, slots=True)
class _Summary:
    """A summary ready to be written: JSON's fields of its own, and the rows with CSV's header."""

    extra: Mapping[str, Any]
    header: Sequence[str]
    rows: Sequence[writing.Row]


@dataclass(frozen=True, slots=True)
class _Whole(Question):
    """A question for one interval: all of the time."""

    def pieces(self, intervals: int, first: int | None = None) -> Iterator[list[int]]:
        """Both ends, as one piece however few intervals are wanted."""
        del intervals, first
        yield [self.from_s, self.to_s]


async def _profile(
    request: Request, named: _Named, manner: _Manner, time: _Time, resolution: ProfileResolution
) -> Response:
    place = await _place(request, named)
    now, calendar = _now(request), _calendar(request)
    question = _question(place, Resolution(resolution), manner)
    period = asked.profile_period(time.from_, time.to, resolution, question.zone, now)
    read = await _read(request, place, [_over(question, period)], period)

    def summary() -> _Summary:
        (series,) = read.series
        now_s = int(now.timestamp())
        weeks = typical_weeks(series, question.resolution.longest_s, zone=question.zone, calendar=calendar, now_s=now_s)
        return _Summary(
            {"least_values": LEAST_VALUES, "left_out": writing.left_out(series, now_s)},
            writing.PROFILE_HEADER,
            list(writing.profile_rows(weeks)),
        )

    return await _answer(
        request,
        _Shown("profile", place, question, period, period, resolution, methods.PROFILE),
        manner,
        read,
        summary,
    )


async def _compare(
    request: Request, named: _Named, manner: _Manner, time: _Time, resolution: CompareResolution
) -> Response:
    place = await _place(request, named)
    now, calendar = _now(request), _calendar(request)
    question = _question(place, Resolution(resolution), manner)
    period = asked.compare_period(time.from_, time.to, resolution, question.zone, now)
    whole = asked.compare_read(period, question.zone)
    read = await _read(request, place, [_over(question, whole)], whole)

    def summary() -> _Summary:
        (series,) = read.series
        step_s = question.resolution.longest_s
        found = compare(
            series, period.from_s, step_s, zone=question.zone, calendar=calendar, now_s=int(now.timestamp())
        )
        return _Summary(
            {"least_days": LEAST_DAYS, "summary": writing.compare_sums(found)},
            writing.COMPARE_HEADER,
            list(writing.compare_rows(found, question.zone)),
        )

    return await _answer(
        request,
        _Shown("compare", place, question, period, whole, resolution, methods.COMPARE),
        manner,
        read,
        summary,
    )


async def _before_after(
    request: Request, named: _Named, manner: _Manner, change: _Change, resolution: CompareResolution
) -> Response:
    place = await _place(request, named)
    now, calendar = _now(request), _calendar(request)
    question = _question(place, Resolution(resolution), manner)
    old, new = asked.sides(change.before, change.after, change.weeks, question.zone, now)
    period = Period(old.from_s, new.to_s)
    read = await _read(request, place, [_over(question, old), _over(question, new)], period)

    def summary() -> _Summary:
        before, after = read.series
        found = before_after(
            before,
            after,
            question.resolution.longest_s,
            zone=question.zone,
            calendar=calendar,
            now_s=int(now.timestamp()),
        )
        times = {
            side: {
                "from": writing.moment(time.from_s, question.zone),
                "to": writing.moment(time.to_s, question.zone),
            }
            for side, time in (("before", old), ("after", new))
        }
        return _Summary(
            {"least_days": LEAST_DAYS, **times, "weeks": writing.before_after_weeks(found)},
            writing.BEFORE_AFTER_HEADER,
            list(writing.before_after_rows(found)),
        )

    shown = _Shown("before-after", place, question, period, period, resolution, methods.BEFORE_AFTER)
    return await _answer(request, shown, manner, read, summary)


async def _totals(
    request: Request, named: _Named, manner: _Manner, time: _Time, resolution: TotalsResolution
) -> Response:
    place = await _place(request, named)
    now, calendar = _now(request), _calendar(request)
    is_whole = resolution is TotalsResolution.ALL
    question = _question(place, Resolution.YEAR if is_whole else Resolution(resolution), manner)
    period = asked.totals_period(time.from_, time.to, resolution, question.zone, now)
    of_period = _over(question, period)
    questions = [
        _Whole(*(getattr(of_period, field.name) for field in fields(Question))) if is_whole else of_period,
        _over(question, period, Resolution.DAY),
        _over(question, period, Resolution.HOUR),
    ]
    read = await _read(request, place, questions, period)

    def summary() -> _Summary:
        found = totals(*read.series, zone=question.zone, calendar=calendar, now_s=int(now.timestamp()))
        return _Summary(
            {"least_days": LEAST_DAYS}, writing.TOTALS_HEADER, list(writing.totals_rows(found, question.zone))
        )

    shown = _Shown("totals", place, question, period, period, resolution, methods.TOTALS)
    return await _answer(request, shown, manner, read, summary)


def _question(place: _Place, resolution: Resolution, manner: _Manner) -> Question:
    """The question without its time, which depends on the zone."""
    zone = parse_timezone(manner.tz, [station.zone for station in place.stations])
    return Question((), 0, 0, resolution, parse_split(manner.split or ()), zone)


def _over(question: Question, period: Period, resolution: Resolution | None = None) -> Question:
    return replace(question, from_s=period.from_s, to_s=period.to_s, resolution=resolution or question.resolution)


async def _read(request: Request, place: _Place, questions: Sequence[Question], period: Period) -> _Read:
    """What the place counted, without what is excluded, and the remarks on the time."""
    pool, stations, rules = request.app.state.pool, place.stations, rules_for(request)
    now = _now(request)
    for question in questions:
        rules.check(question, {station.zone for station in stations}, now)
    now_s = int(now.timestamp())
    async with snapshot(pool) as connection:
        areas = await read_areas(connection, shapes=False)
        remarks = await read_remarks(connection, stations, areas, period.from_s, period.to_s)
        exclusions = await read_exclusions(connection, stations, areas, period.from_s, period.to_s)
    groups = groups_of(stations, questions[0].split, together=place.area is not None)
    hidden, known_s = rules.hidden(stations, exclusions, now_s), rules.known_s(now_s)
    found: list[list[Series]] = []
    for question in questions:
        parts = [part async for part in blocks(pool, groups, question, known_s, _NO_LIMIT, hidden=hidden)]
        found.append(await asyncio.to_thread(series_of, parts, groups))
    return _Read(found, remarks)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the head of a summary says of it."""

    name: str
    place: _Place
    question: Question
    period: Period
    read: Period
    resolution: str
    method: Mapping[Language, str]


async def _answer(
    request: Request, shown: _Shown, manner: _Manner, read: _Read, summary: Callable[[], _Summary]
) -> Response:
    """The answer, with a tag made from its content: it changes when a number does, and never else."""
    format_ = manner.format or TableFormat(preferred(request, (Format.JSON, Format.CSV)))

    def body() -> bytes:
        found = summary()
        if format_ is TableFormat.JSON:
            content = {**_head(request, shown, manner.lang, read), **found.extra, "values": found.rows}
            return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        style = CSV_STYLES[Format(format_)]
        return writing.csv_text(found.header, found.rows, shown.place.station, shown.place.area, style).encode()

    written = await asyncio.to_thread(body)
    etag = caching.tag(written)
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache" if "Authorization" in request.headers else "public, no-cache",
        "Vary": "Accept, Authorization",
    }
    if caching.not_modified(request, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if format_ is not TableFormat.JSON:
        headers["Content-Disposition"] = f'attachment; filename="{_file_name(shown, format_)}"'
    return Response(written, headers=headers, media_type=MEDIA_TYPES[Format(format_)])


def _head(request: Request, shown: _Shown, language: Language, read: _Read) -> dict[str, Any]:
    settings: ApiSettings = request.app.state.settings
    place, calendar, zone, time = shown.place, _calendar(request), shown.question.zone, shown.read
    first, end = local_date(time.from_s, zone), local_date(time.to_s - 1, zone) + timedelta(days=1)
    members = [Member(station.id, found) for station in place.stations for found in station.parts()]
    return {
        "station": place.station,
        "area": place.area,
        "from": writing.moment(shown.period.from_s, zone),
        "to": writing.moment(shown.period.to_s, zone),
        "resolution": shown.resolution,
        "timezone": zone.key,
        "unit": "passages",
        "method": shown.method[language],
        "licence": settings.public.licence,
        "attribution": settings.attribution,
        "holidays": {
            "calendar": calendar.code or None,
            "days": [
                {"date": found.day.isoformat(), "name": found.name}
                for found in holidays_between(calendar, first, end, language)
            ],
        },
        "carried_by": [
            {
                "station": found.station,
                "from": writing.moment(found.from_s, zone),
                "to": writing.moment(found.to_s, zone),
            }
            for found in carried(members, time.from_s, time.to_s)
        ],
        "remarks": [remark_json(remark, lambda second: writing.moment(second, zone)) for remark in read.remarks],
    }


def _file_name(shown: _Shown, format_: TableFormat) -> str:
    days = [
        local_date(instant_s, shown.question.zone).isoformat()
        for instant_s in (shown.period.from_s, shown.period.to_s - 1)
    ]
    split = shown.question.split
    by = "_by-" + "-".join(d for d in Dimension if d in split) if split else ""
    suffix = ".excel-de.csv" if format_ is TableFormat.CSV_DE else ".csv"
    name = f"{shown.place.station or shown.place.area}_{shown.name}_{shown.resolution}"
    return f"footfall_{name}{by}_{days[0]}_{days[1]}{suffix}"


def _now(request: Request) -> datetime:
    """The minute it is: answers change by the minute, and a tag made from them no oftener."""
    now: datetime = request.app.state.clock()
    return now.replace(second=0, microsecond=0)


def _calendar(request: Request) -> Calendar:
    settings: ApiSettings = request.app.state.settings
    return Calendar(settings.city.holidays)


async def _place(request: Request, named: _Named) -> _Place:
    """The station or area of that name.

    Raises:
        Problem: there is none, or a token was sent that is not the operator's.
    """
    rules_for(request)  # a wrong token is refused first
    async with snapshot(request.app.state.pool) as connection:
        stations = {station.id: station for station in await read_stations(connection)}
        areas = {area.id: area for area in await read_areas(connection, shapes=False)}
    if named.station is not None:
        if named.station not in stations:
            raise no_station(named.station, stations)
        return _Place(named.station, None, (stations[named.station],))
    assert named.area is not None
    if named.area not in areas:
        raise no_area(named.area, areas)
    return _Place(None, named.area, tuple(stations[name] for name in areas[named.area].stations))
