"""The endpoints for stations and their counts. What they answer is a promise: see docs/api.md."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from footfall_api import caching, writing
from footfall_api.access import is_unlimited
from footfall_api.answers import SETTLED_AFTER_S
from footfall_api.counts import Block, blocks
from footfall_api.database import snapshot
from footfall_api.describe import COUNTS_RESPONSES, StationCollection, StationFeature, problems_of
from footfall_api.intervals import Resolution
from footfall_api.problems import no_station
from footfall_api.question import (
    PAGE_INTERVALS,
    Dimension,
    Format,
    Question,
    check_fineness,
    parse_after,
    parse_range,
    parse_split,
    parse_timezone,
)
from footfall_api.settings import ApiSettings
from footfall_api.stations import Station, read_stations

GEOJSON: Final = "application/geo+json"

_STATIONS_KEPT_S: Final = 60
"""How long a client need not ask for the stations again."""

_MEDIA_TYPES: Final = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.CSV_DE: "text/csv; charset=utf-8; header=present",
}

StationId = Annotated[str, Path(description="id of the station", examples=["markt"])]

router = APIRouter()


@router.get(
    "/api/v1/stations",
    summary="All stations",
    tags=["stations"],
    response_model=StationCollection,
    responses=problems_of(503),
)
async def stations(request: Request) -> Response:
    """A GeoJSON FeatureCollection: where the stations are, what their directions mean, which sensors they have."""
    async with snapshot(request.app.state.pool) as connection:
        found = await read_stations(connection)
    content = {
        "type": "FeatureCollection",
        "features": [station.as_feature() for station in found],
        **_terms(request),
    }
    return caching.small_json(request, content, GEOJSON, _STATIONS_KEPT_S)


@router.get(
    "/api/v1/stations/{station}",
    summary="One station",
    tags=["stations"],
    response_model=StationFeature,
    responses=problems_of(404, 422, 503),
)
async def station(request: Request, station: StationId) -> Response:
    """A GeoJSON Feature."""
    found = await _station(request, station)
    return caching.small_json(request, {**found.as_feature(), **_terms(request)}, GEOJSON, _STATIONS_KEPT_S)


@router.get(
    "/api/v1/stations/{station}/counts",
    summary="What a station counted",
    tags=["counts"],
    response_class=Response,
    responses=COUNTS_RESPONSES,
)
async def counts(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    station: StationId,
    from_: Annotated[
        str | None,
        Query(
            alias="from",
            description="begin: a date or a time, local to the answer's zone unless it has an offset; a time inside an "
            "interval asks for all of it. Default: the local midnight before the end",
            examples=["2026-03-28", "2026-03-28T12:00", "2026-03-28T12:00:00+01:00"],
        ),
    ] = None,
    to: Annotated[
        str | None, Query(description="end, not itself part of it. Default: now", examples=["2026-03-30"])
    ] = None,
    resolution: Annotated[Resolution, Query(description="length of the intervals")] = Resolution.HOUR,
    split: Annotated[
        list[str] | None,
        Query(
            description="what to tell apart: direction, class, sensor, joined by commas; the rest is added up",
            examples=["direction", "direction,class"],
        ),
    ] = None,
    tz: Annotated[
        str | None,
        Query(description="time zone of the answer. Default: the station's", examples=["Europe/Berlin", "UTC"]),
    ] = None,
    format: Annotated[  # noqa: A002  # the parameter's public name
        Format | None, Query(description="csv-de is for German Excel. Default: json, or what the Accept header prefers")
    ] = None,
    after: Annotated[str | None, Query(description="set by the link in `next`", include_in_schema=False)] = None,
) -> Response:
    """Each interval with its count, how well it was measured, and if not, why not: a gap is a value with null.

    Counts are passages, not persons. Without the operator's token 1min and 5min reach back 24 hours.
    """
    now: datetime = request.app.state.clock()
    place = await _station(request, station)
    zone = parse_timezone(tz, place.zone)
    from_s, to_s = parse_range(from_, to, resolution, zone, now)
    question = Question(
        place.id,
        from_s,
        to_s,
        resolution,
        parse_split(split or ()),
        zone,
        format or _preferred(request),
        parse_after(after, from_s, to_s, resolution, zone),
    )
    if not is_unlimited(request):
        check_fineness(question, now)
    return await _answer(request, place, question, int(now.timestamp()))


async def _answer(request: Request, station: Station, question: Question, now_s: int) -> Response:
    is_json = question.format is Format.JSON
    limit = PAGE_INTERVALS if is_json else 10**9
    async with snapshot(request.app.state.pool) as connection:
        version = await caching.data_version(connection, station)
    etag = caching.tag(question, station, version, _terms(request), _moment_that_matters(question, now_s))
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache" if "Authorization" in request.headers else "public, no-cache",
        "Vary": "Accept, Authorization",
    }
    if caching.not_modified(request, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if caching.is_head(request):
        return Response(headers=headers, media_type=_MEDIA_TYPES[question.format])
    found = blocks(request.app.state.pool, station, question, now_s, limit)
    first = await anext(found)  # so that a failure of the database becomes a problem, not half an answer
    if is_json:
        link = _next_link(request, question, limit)
        if link:
            headers["Link"] = f'<{link}>; rel="next"'
        pieces = _json(request, question, first, found, link)
    else:
        headers["Content-Disposition"] = f'attachment; filename="{writing.file_name(question)}"'
        pieces = _csv(question, first, found)
    return StreamingResponse(pieces, headers=headers, media_type=_MEDIA_TYPES[question.format])


async def _json(
    request: Request, question: Question, first: Block, rest: AsyncGenerator[Block, None], link: str | None
) -> AsyncIterator[str]:
    settings: ApiSettings = request.app.state.settings
    before = writing.json_begin(question, settings.public.licence, settings.attribution)
    async for block in _joined(first, rest):
        for piece in writing.json_pieces(block, question):
            yield before + piece
            before = ","
    yield writing.json_end(link)


async def _csv(question: Question, first: Block, rest: AsyncGenerator[Block, None]) -> AsyncIterator[str]:
    style = writing.CSV_STYLES[question.format]
    before = writing.csv_header(style)
    async for block in _joined(first, rest):
        for piece in writing.csv_pieces(block, question, style):
            yield before + piece
            before = ""


async def _joined(first: Block, rest: AsyncGenerator[Block, None]) -> AsyncIterator[Block]:
    async with aclosing(rest):
        yield first
        async for block in rest:
            yield block


def _moment_that_matters(question: Question, now_s: int) -> int:
    """What of the time of asking has a bearing on the answer: open intervals change by the second."""
    if question.to_s > now_s:
        return now_s
    return now_s // 60 if question.to_s + SETTLED_AFTER_S > now_s else 0


def _next_link(request: Request, question: Question, limit: int) -> str | None:
    page = next(question.pieces(limit))
    if page[-1] >= question.to_s:
        return None

    def moment(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, question.zone).isoformat()

    parameters = {
        "from": moment(question.from_s),
        "to": moment(question.to_s),
        "resolution": question.resolution,
        "tz": question.zone.key,
        "format": question.format,
        "after": moment(page[-1]),
    }
    if question.split:
        parameters["split"] = ",".join(dimension for dimension in Dimension if dimension in question.split)
    settings: ApiSettings = request.app.state.settings
    base = settings.http.public_url or str(request.base_url).rstrip("/")
    return f"{base}{request.url.path}?{urlencode(parameters)}"


def _preferred(request: Request) -> Format:
    """The format for a client that names none: CSV only for one that asks for it and for nothing wider."""
    accepted = request.headers.get("Accept", "")
    wants_json = any(word in accepted for word in ("application/json", "*/*", "application/*"))
    return Format.CSV if "text/csv" in accepted and not wants_json else Format.JSON


def _terms(request: Request) -> dict[str, Any]:
    settings: ApiSettings = request.app.state.settings
    return {"licence": settings.public.licence, "attribution": settings.attribution}


async def _station(request: Request, name: str) -> Station:
    if "\0" in name:  # which PostgreSQL does not take as text
        raise no_station(name)
    async with snapshot(request.app.state.pool) as connection:
        found = await read_stations(connection, name)
    if not found:
        raise no_station(name)
    return found[0]
