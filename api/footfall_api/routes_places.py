"""The endpoints for where is counted, and for what people know about it: stations, areas, remarks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import Response

from footfall_api import caching
from footfall_api.areas import Area, read_areas
from footfall_api.asked import read_places, remark_json
from footfall_api.database import snapshot
from footfall_api.describe import (
    REMARKS_RESPONSES,
    AreaCollection,
    AreaFeature,
    GeoJson,
    StationCollection,
    StationFeature,
    problems_of,
)
from footfall_api.problems import no_area, no_station
from footfall_api.question import Format, QuestionError, TableFormat, parse_names, parse_timezone
from footfall_api.remarks import FOREVER_S, read_remarks
from footfall_api.routes import MEDIA_TYPES, AreaNames, StationId, StationNames, Zone
from footfall_api.settings import ApiSettings
from footfall_api.stations import Station, read_stations
from footfall_api.times import EARLIEST, TimeRefusedError, parse_time
from footfall_api.writing import CSV_STYLES, CsvStyle, csv_cell

_KEPT_S: Final = 60
"""How long a client need not ask for stations and areas again."""

REMARK_FIELDS: Final = ("id", "station", "sensor", "area", "stations", "from", "to", "kind", "text", "excludes")
"""The fields of a remark, and its columns in CSV, in this order for ever."""

_FORMULA: Final = ("=", "+", "-", "@", "\t")
"""What Excel takes for the beginning of a formula."""


router = APIRouter()


@router.get(
    "/api/v1/stations",
    summary="All stations",
    tags=["stations"],
    response_class=GeoJson,
    response_model=StationCollection,
    responses=problems_of(422, 503),
)
async def stations(request: Request) -> Response:
    """A GeoJSON FeatureCollection: where the stations are, what their directions mean, which sensors they have."""
    async with snapshot(request.app.state.pool) as connection:
        found = await read_stations(connection)
        areas = await read_areas(connection, shapes=False)
    content = stations_content(found, areas, request.app.state.settings)
    return caching.small_json(request, content, GeoJson.media_type, _KEPT_S)


@router.get(
    "/api/v1/stations/{station}",
    summary="One station",
    tags=["stations"],
    response_class=GeoJson,
    response_model=StationFeature,
    responses=problems_of(404, 422, 503),
)
async def station(request: Request, station: StationId) -> Response:
    """A GeoJSON Feature."""
    async with snapshot(request.app.state.pool) as connection:
        known = {found.id: found for found in await read_stations(connection)}
        if station not in known:
            raise no_station(station, known)
        areas = await read_areas(connection, shapes=False)
    content = {**known[station].as_feature(_areas_of(station, areas)), **_terms(request)}
    return caching.small_json(request, content, GeoJson.media_type, _KEPT_S)


@router.get(
    "/api/v1/areas",
    summary="All areas",
    tags=["areas"],
    response_class=GeoJson,
    response_model=AreaCollection,
    responses=problems_of(422, 503),
)
async def areas(request: Request) -> Response:
    """A GeoJSON FeatureCollection: the areas of the city, and which stations lie in each."""
    async with snapshot(request.app.state.pool) as connection:
        found = await read_areas(connection)
    content = areas_content(found, request.app.state.settings)
    return caching.small_json(request, content, GeoJson.media_type, _KEPT_S)


@router.get(
    "/api/v1/areas/{area}",
    summary="One area",
    tags=["areas"],
    response_class=GeoJson,
    response_model=AreaFeature,
    responses=problems_of(404, 422, 503),
)
async def area(
    request: Request, area: Annotated[str, Path(description="id of the area", min_length=1, examples=["zentrum"])]
) -> Response:
    """A GeoJSON Feature."""
    async with snapshot(request.app.state.pool) as connection:
        known = {found.id: found for found in await read_areas(connection)}
    if area not in known:
        raise no_area(area, known)
    return caching.small_json(request, {**known[area].as_feature(), **_terms(request)}, GeoJson.media_type, _KEPT_S)


@router.get(
    "/api/v1/remarks",
    summary="What people know about the time",
    tags=["remarks"],
    response_class=Response,
    responses=REMARKS_RESPONSES,
)
async def remarks(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    station: StationNames = None,
    area: AreaNames = None,
    from_: Annotated[
        str | SkipJsonSchema[None],
        Query(alias="from", description="begin, as for counts. Default: since ever", examples=["2026-03-01"]),
    ] = None,
    to: Annotated[
        str | SkipJsonSchema[None],
        Query(description="end, as for counts. Default: without end", examples=["2026-04-01"]),
    ] = None,
    tz: Zone = None,
    format: Annotated[  # noqa: A002  # the parameter's public name
        TableFormat, Query(description="csv-de is for German Excel")
    ] = TableFormat.JSON,
) -> Response:
    """Works, events, faults and notes at these stations and in these areas in this time.

    Whoever names neither gets all of them. Time that a remark `excludes` is missing from the counts.
    """
    async with snapshot(request.app.state.pool) as connection:
        places = await read_places(connection, parse_names(station), parse_names(area))
        zone = parse_timezone(tz, [found.zone for found in places.concerned])
        from_s, to_s = _time("from", from_, zone), _time("to", to, zone)
        begin_s, end_s = int(EARLIEST.timestamp()) if from_s is None else from_s, FOREVER_S if to_s is None else to_s
        if end_s <= begin_s:
            raise QuestionError("from" if to is None else "to", f"to ({to}) is not after from ({from_})")
        found = await read_remarks(connection, places.concerned, places.all_areas, begin_s, end_s)

    def written(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, zone).isoformat()

    rows = [remark_json(remark, written) for remark in found]
    media_type = MEDIA_TYPES[Format(format)]
    if format is TableFormat.JSON:
        return caching.small_json(request, {"timezone": zone.key, **_terms(request), "remarks": rows}, media_type, 0)
    text = remarks_csv(rows, CSV_STYLES[Format(format)], guards=format is TableFormat.CSV_DE)
    return caching.small(request, text.encode(), media_type, 0)


def stations_content(stations: Sequence[Station], areas: Sequence[Area], settings: ApiSettings) -> dict[str, Any]:
    """Stations as a GeoJSON FeatureCollection, with licence and attribution."""
    features = [station.as_feature(_areas_of(station.id, areas)) for station in stations]
    return {"type": "FeatureCollection", "features": features, **_terms_of(settings)}


def areas_content(areas: Sequence[Area], settings: ApiSettings) -> dict[str, Any]:
    """Areas as a GeoJSON FeatureCollection, with licence and attribution."""
    return {"type": "FeatureCollection", "features": [area.as_feature() for area in areas], **_terms_of(settings)}


def remarks_csv(rows: Sequence[Mapping[str, Any]], style: CsvStyle, *, guards: bool) -> str:
    """Remarks as lines; it `guards` texts that Excel would take for formulas by an apostrophe."""

    def cell(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
        return csv_cell(f"'{text}" if guards and text.startswith(_FORMULA) else text, style.delimiter)

    lines = [REMARK_FIELDS, *([cell(row[name]) for name in REMARK_FIELDS] for row in rows)]
    return style.begin + "".join(style.delimiter.join(line) + style.line_end for line in lines)


def _time(parameter: str, text: str | None, zone: ZoneInfo) -> int | None:
    try:
        return None if text is None else int(parse_time(text, zone).timestamp())
    except TimeRefusedError as error:
        raise QuestionError(parameter, str(error)) from error


def _areas_of(station: str, areas: Sequence[Area]) -> list[str]:
    return [area.id for area in areas if station in area.stations]


def _terms(request: Request) -> dict[str, Any]:
    return _terms_of(request.app.state.settings)


def _terms_of(settings: ApiSettings) -> dict[str, Any]:
    return {"licence": settings.public.licence, "attribution": settings.attribution}
