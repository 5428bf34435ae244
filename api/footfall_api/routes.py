"""The endpoints for counts. What they answer is a promise: see docs/api.md. Where they count is in `routes_places`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import Response, StreamingResponse

from footfall_api import accept, caching, writing
from footfall_api.access import rules_for
from footfall_api.asked import Places, Plan, plan, read_place, read_places, remark_json
from footfall_api.counts import Block, blocks, tally_whole
from footfall_api.database import Connection, snapshot
from footfall_api.describe import COUNTS_RESPONSES, problems_of
from footfall_api.intervals import Resolution
from footfall_api.problems import no_station
from footfall_api.question import (
    PAGE_INTERVALS,
    Dimension,
    Format,
    Question,
    RemarksIn,
    check_size,
    parse_after,
    parse_names,
    parse_range,
    parse_split,
    parse_timezone,
)
from footfall_api.settings import ApiSettings
from footfall_api.stations import read_stations
from footfall_api.writing import Sheet, Writer

MEDIA_TYPES: Final = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.CSV_DE: "text/csv; charset=utf-8; header=present",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.GEOJSON: "application/geo+json",
}

_ACCEPTED: Final = (Format.JSON, Format.CSV, Format.GEOJSON, Format.PARQUET)
"""What the Accept header chooses from; of several it wants as much the first."""

_LINK_NAMES: Final = 50
"""Stations and areas that a link in a header names. With more the link leads to all."""

StationId = Annotated[str, Path(description="id of the station", min_length=1, examples=["markt"])]
StationNames = Annotated[
    list[str] | SkipJsonSchema[None],
    Query(
        description="ids of stations, joined by commas or given several times; each is a series of its own. "
        "Default: all stations, or none beside areas",
        examples=["markt"],
    ),
]
AreaNames = Annotated[
    list[str] | SkipJsonSchema[None],
    Query(description="ids of areas, joined by commas or given several times; each is the sum over its stations"),
]
From = Annotated[
    str | SkipJsonSchema[None],
    Query(
        alias="from",
        description="begin: a date or a time, local to the answer's zone unless it has an offset; a time inside an "
        "interval asks for all of it. Default: the local midnight before the end",
        examples=["2026-03-28", "2026-03-28T12:00", "2026-03-28T12:00:00+01:00"],
    ),
]
To = Annotated[
    str | SkipJsonSchema[None], Query(description="end, not itself part of it. Default: now", examples=["2026-03-30"])
]
Length = Annotated[Resolution, Query(description="length of the intervals")]
Split = Annotated[
    list[str] | SkipJsonSchema[None],
    Query(
        description="what to tell apart: direction, class, sensor, joined by commas; the rest is added up",
        examples=["direction", "direction,class"],
    ),
]
Zone = Annotated[
    str | SkipJsonSchema[None],
    Query(
        description="time zone of the answer. Default: the stations', if they share one",
        examples=["Europe/Berlin", "UTC"],
    ),
]
As = Annotated[
    Format | SkipJsonSchema[None],
    Query(description="csv-de is for German Excel. Default: json, or what the Accept header prefers"),
]
Remarks = Annotated[
    RemarksIn,
    Query(description="of CSV: `column` adds a last column with the remarks on each interval; a header links to them"),
]
After = Annotated[str | None, Query(description="set by the link in `next`", include_in_schema=False)]

router = APIRouter()


@router.get(
    "/api/v1/stations/{station}/counts",
    summary="What a station counted",
    tags=["counts"],
    response_class=Response,
    responses={**COUNTS_RESPONSES, **problems_of(404)},
)
async def station_counts(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    station: StationId,
    from_: From = None,
    to: To = None,
    resolution: Length = Resolution.HOUR,
    split: Split = None,
    tz: Zone = None,
    format: As = None,  # noqa: A002  # the parameter's public name
    remarks: Remarks = RemarksIn.LINK,
    after: After = None,
) -> Response:
    """Each interval with its count, how well it was measured, and if not, why not: a gap is a value with null.

    Counts are passages, not persons. Without the operator's token the rules of publication hold: unless
    the city has chosen otherwise, 1min and 5min reach back 24 hours.
    """
    asked = _Asked(from_, to, resolution, split, tz, format or preferred(request, _ACCEPTED), remarks, after)

    async def place(connection: Connection) -> Places:
        found = await read_place(connection, station)
        if found is None:
            raise no_station(station, [known.id for known in await read_stations(connection)])
        return found

    return await _answer(request, asked, place)


@router.get(
    "/api/v1/counts",
    summary="What several stations and areas counted",
    tags=["counts"],
    response_class=Response,
    responses=COUNTS_RESPONSES,
)
async def counts(  # noqa: PLR0917
    request: Request,
    station: StationNames = None,
    area: AreaNames = None,
    from_: From = None,
    to: To = None,
    resolution: Length = Resolution.HOUR,
    split: Split = None,
    tz: Zone = None,
    format: As = None,  # noqa: A002
    remarks: Remarks = RemarksIn.LINK,
    after: After = None,
) -> Response:
    """The same for any number of stations, each by itself, and of areas, each the sum over its stations.

    Where areas are asked for, values say which `area` they are of and by which stations they were `carried_by`.
    """
    asked = _Asked(from_, to, resolution, split, tz, format or preferred(request, _ACCEPTED), remarks, after)
    stations, areas = parse_names(station), parse_names(area)

    async def places(connection: Connection) -> Places:
        return await read_places(connection, stations, areas, shapes=asked.format is Format.GEOJSON)

    return await _answer(request, asked, places)


class _Asked(NamedTuple):
    """The parameters as they were given."""

    from_: str | None
    to: str | None
    resolution: Resolution
    split: list[str] | None
    tz: str | None
    format: Format
    remarks: RemarksIn
    after: str | None

    def question(self, places: Places, now: datetime) -> Question:
        """What they mean for these places.

        Raises:
            QuestionError: one of them cannot be used, or they are too much together.
        """
        zone = parse_timezone(self.tz, [station.zone for station in places.concerned])
        from_s, to_s = parse_range(self.from_, self.to, self.resolution, zone, now)
        found = Question(
            tuple(station.id for station in places.stations),
            from_s,
            to_s,
            self.resolution,
            parse_split(self.split or ()),
            zone,
            self.format,
            parse_after(self.after, from_s, to_s, self.resolution, zone),
            tuple(area.id for area in places.areas),
            self.remarks,
        )
        check_size(found)
        return found


async def _answer(request: Request, asked: _Asked, places: Callable[[Connection], Awaitable[Places]]) -> Response:
    now: datetime = request.app.state.clock()
    now_s = int(now.timestamp())
    rules = rules_for(request)
    async with snapshot(request.app.state.pool) as connection:
        found = await places(connection)
        question = asked.question(found, now)
        rules.check(question, {station.zone for station in found.concerned}, now)
        planned = await plan(connection, question, found, rules, now_s)
        settings: ApiSettings = request.app.state.settings
        terms = (settings.public.licence, settings.attribution, rules)
        known_s = rules.known_s(now_s)
        limit = _page(question) if question.format is Format.JSON else 10**9
        tallied = await tally_whole(connection, planned.groups, question, limit, planned.hidden)
        version = await caching.version_of(connection, planned, tallied, terms, known_s)
    headers = {
        **version.headers(),
        "Cache-Control": "private, no-cache" if "Authorization" in request.headers else "public, no-cache",
        "Vary": "Accept, Authorization",
    }
    if caching.not_modified(request, version.etag, version.modified):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    sheet = _sheet(request, planned, is_whole=tallied is not None)
    headers["Link"] = _links(request, planned, sheet)
    if question.format is not Format.JSON:
        headers["Content-Disposition"] = f'attachment; filename="{writing.file_name(question)}"'
    media_type = MEDIA_TYPES[question.format]
    if caching.is_head(request):
        return Response(headers=headers, media_type=media_type)
    pool = request.app.state.pool
    counted = blocks(pool, planned.groups, question, known_s, limit, hidden=planned.hidden, tallied=tallied)
    first = await anext(counted)  # so that a failure of the database becomes a problem, not half an answer
    return StreamingResponse(_pieces(_writer(sheet), first, counted), headers=headers, media_type=media_type)


def _page(question: Question) -> int:
    """How many intervals, each with all series, are on one page of JSON."""
    return max(1, PAGE_INTERVALS // max(1, question.series))


def _sheet(request: Request, planned: Plan, *, is_whole: bool) -> Sheet:
    settings: ApiSettings = request.app.state.settings
    zone = planned.question.zone

    def written(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, zone).isoformat()

    return Sheet(
        planned.question,
        planned.series,
        settings.public.licence,
        settings.attribution,
        [remark_json(remark, written) for remark in planned.remarks],
        None if is_whole or planned.question.format is not Format.JSON else _next_link(request, planned),
    )


def _writer(sheet: Sheet) -> Writer:
    match sheet.question.format:
        case Format.JSON:
            return writing.JsonWriter(sheet)
        case Format.GEOJSON:
            return writing.GeoJsonWriter(sheet)
        case Format.PARQUET:
            from footfall_api.parquet import ParquetWriter  # noqa: PLC0415  # see there

            return ParquetWriter(sheet)
        case Format.CSV | Format.CSV_DE:
            return writing.CsvWriter(sheet)


async def _pieces(writer: Writer, first: Block, rest: AsyncGenerator[Block, None]) -> AsyncIterator[str | bytes]:
    """The answer in pieces, written beside the loop that serves everybody."""
    async with aclosing(rest):
        for piece in await asyncio.to_thread(writer.block, first):
            yield piece
        async for block in rest:
            for piece in await asyncio.to_thread(writer.block, block):
                yield piece
    end = await asyncio.to_thread(writer.end)
    if end:
        yield end


def _links(request: Request, planned: Plan, sheet: Sheet) -> str:
    """The remarks on the time of the answer, and its next page."""
    question, places = planned.question, planned.places
    about = {
        "from": _moment(question, question.from_s),
        "to": _moment(question, question.to_s),
        "tz": question.zone.key,
    }
    if places.named is not None and question.series <= _LINK_NAMES:
        about |= _names(question.stations, question.areas)
    links = [f'<{_base(request)}/api/v1/remarks?{urlencode(about)}>; rel="describedby"']
    if sheet.next:
        links.append(f'<{sheet.next}>; rel="next"')
    return ", ".join(links)


def _next_link(request: Request, planned: Plan) -> str | None:
    """The address of the next page, with all that was not asked for by name as it was understood."""
    question = planned.question
    page = next(question.pieces(_page(question)))
    if page[-1] >= question.to_s:
        return None
    parameters = {
        "from": _moment(question, question.from_s),
        "to": _moment(question, question.to_s),
        "resolution": question.resolution,
        "tz": question.zone.key,
        "format": question.format,
        "after": _moment(question, page[-1]),
    }
    if question.split:
        parameters["split"] = ",".join(dimension for dimension in Dimension if dimension in question.split)
    if planned.places.named is not None and "station" not in request.path_params:
        parameters |= _names(question.stations, question.areas)
    return f"{_base(request)}{request.url.path}?{urlencode(parameters)}"


def _names(stations: Sequence[str], areas: Sequence[str]) -> dict[str, str]:
    return {name: ",".join(ids) for name, ids in (("station", stations), ("area", areas)) if ids}


def _moment(question: Question, instant_s: int) -> str:
    return datetime.fromtimestamp(instant_s, question.zone).isoformat()


def _base(request: Request) -> str:
    settings: ApiSettings = request.app.state.settings
    return settings.http.public_url or str(request.base_url).rstrip("/")


def preferred(request: Request, among: Sequence[Format]) -> Format:
    """The format for a client that names none: of `among` what it likes best; the first where it is all the same."""
    return accept.preferred(request, among, MEDIA_TYPES)
