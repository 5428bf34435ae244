"""``/api/v1/ngsi-ld``: counts as NGSI-LD entities, for whoever fetches them. What it answers is a promise: docs/api.md.

Without a time each station has its entity as a broker would hold it now, of the last interval that is over. With
``from`` or ``to`` each interval is an entity with an id of its own; see `entity` for why. Intervals that are not over
have no entity yet.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import JSONResponse, Response

from footfall_api import caching
from footfall_api.asked import Places, read_places
from footfall_api.database import Connection, snapshot
from footfall_api.describe import NGSI_LD_CONTEXT_RESPONSES, NGSI_LD_RESPONSES
from footfall_api.intervals import Resolution
from footfall_api.ngsi_ld.entity import CONTEXT, CORE_CONTEXT, Entity, about, entity, key_values
from footfall_api.publication import Publication, rules_of_doors
from footfall_api.published import (
    Published,
    by_zone,
    check_standard,
    last_ended,
    read_published,
)
from footfall_api.question import (
    Question,
    QuestionError,
    check_size,
    parse_after,
    parse_names,
    parse_range,
    parse_timezone,
)
from footfall_api.routes import After, StationNames
from footfall_api.settings import ApiSettings
from footfall_api.writing import to_json

MEDIA_TYPE: Final = "application/ld+json"

PAGE_ENTITIES: Final = 1000
"""Entities on one page, and at least one interval of each station."""

_CONTEXT_KEPT_S: Final = 86_400


class StandardResolution(StrEnum):
    """The intervals that there are entities of."""

    QUARTER_HOUR = Resolution.QUARTER_HOUR
    HOUR = Resolution.HOUR
    DAY = Resolution.DAY
    WEEK = Resolution.WEEK


class Representation(StrEnum):
    """How an entity is written."""

    NORMALIZED = "normalized"
    KEY_VALUES = "keyValues"


class LinkedData(JSONResponse):
    """JSON-LD goes by its own type, in the document too."""

    media_type: str = MEDIA_TYPE


router = APIRouter()


@router.get(
    "/api/v1/ngsi-ld",
    summary="Counts as NGSI-LD entities",
    tags=["counts"],
    response_class=LinkedData,
    responses=NGSI_LD_RESPONSES,
)
async def ngsi_ld(  # noqa: PLR0917  # FastAPI passes them by name
    request: Request,
    station: StationNames = None,
    from_: Annotated[
        str | SkipJsonSchema[None],
        Query(
            alias="from",
            description="begin, as for counts. Without `from` and `to`: the last interval that is over",
            examples=["2026-06-09"],
        ),
    ] = None,
    to: Annotated[
        str | SkipJsonSchema[None],
        Query(description="end, as for counts. Default: now", examples=["2026-06-10"]),
    ] = None,
    resolution: Annotated[
        StandardResolution | SkipJsonSchema[None],
        Query(description="length of the intervals, as far as they are public. Default: 15min, or the finest that is"),
    ] = None,
    options: Annotated[
        Representation, Query(description="keyValues: each attribute is its value")
    ] = Representation.NORMALIZED,
    after: After = None,
) -> Response:
    """Entities of the type `CrowdFlowObserved` of the Smart Data Models; terms of ours say how well it was measured.

    Passages, not persons. Where there is no number, `peopleCount` is left out, and `state` and `stateReason` say why.
    The next page is in the header `Link`. What is public is here for everybody; the operator's token lifts nothing.
    """
    settings: ApiSettings = request.app.state.settings
    now: datetime = request.app.state.clock()
    rules = rules_of_doors(settings)
    length = rules.standard[0] if resolution is None else Resolution(resolution)
    check_standard(rules, length)
    base = settings.http.public_url or str(request.base_url).rstrip("/")
    each = from_ is not None or to is not None
    question = next_page = None
    async with snapshot(request.app.state.pool) as connection:
        places = await read_places(connection, parse_names(station), ())
        if each:
            question = _question(places, from_, to, resolution=length, after=after, now=now)
            found, next_page = await _page(connection, places, question, rules, int(now.timestamp()))
        elif after is None:
            found = await _newest(connection, places, length, rules, int(now.timestamp()))
        else:
            raise QuestionError("after", "it is a page of an answer with from or to; follow the link as it is")
    around = about(settings, base)
    context = (*around.context, CORE_CONTEXT)
    entities: list[Entity] = [entity(one, around, each=each) | {"@context": context} for one in found]
    if options is Representation.KEY_VALUES:
        entities = [key_values(one) for one in entities]
    response = caching.small(request, to_json(entities).encode(), MEDIA_TYPE, 0)
    if question is not None and next_page is not None:
        response.headers["Link"] = f'<{base}{request.url.path}?{_next(request, question, next_page)}>; rel="next"'
    return response


def _question(
    places: Places, from_: str | None, to: str | None, *, resolution: Resolution, after: str | None, now: datetime
) -> Question:
    zone = _one_zone(places)
    from_s, to_s = parse_range(from_, to, resolution, zone, now)
    names = tuple(station.id for station in places.stations)
    after_s = parse_after(after, from_s, to_s, resolution, zone)
    question = Question(names, from_s, to_s, resolution, frozenset(), zone, after_s=after_s)
    check_size(question)
    return question


def _one_zone(places: Places) -> ZoneInfo:
    try:
        return parse_timezone(None, [station.zone for station in places.stations])
    except QuestionError as error:
        raise QuestionError(
            "station", "the stations are in several time zones, so their intervals differ; name stations of one of them"
        ) from error


async def _newest(
    connection: Connection, places: Places, resolution: Resolution, rules: Publication, now_s: int
) -> list[Published]:
    """Of each station the last interval that is over."""
    found = []
    for zone, group in by_zone(places):
        edges_s = last_ended(rules, resolution, zone, now_s)
        found += await read_published(connection, group, resolution, edges_s, rules, now_s)
    order = {station.id: number for number, station in enumerate(places.stations)}
    return sorted(found, key=lambda one: order[one.station.id])


async def _page(
    connection: Connection, places: Places, question: Question, rules: Publication, now_s: int
) -> tuple[list[Published], int | None]:
    """The entities of one page, and where the next one begins, if there is one (UTC unix seconds)."""
    ended_s = last_ended(rules, question.resolution, question.zone, now_s)[1]
    edges_s: Sequence[int] = next(question.pieces(max(1, PAGE_ENTITIES // max(1, question.series))))
    over = [edge for edge in edges_s if edge <= ended_s]
    more = len(over) == len(edges_s) and over[-1] < min(question.to_s, ended_s)
    return (
        await read_published(connection, places, question.resolution, over, rules, now_s),
        over[-1] if more else None,
    )


def _next(request: Request, question: Question, after_s: int) -> str:
    """The parameters of the next page: those given, and the time as it was understood."""

    def written(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, question.zone).isoformat()

    parameters = {
        "from": written(question.from_s),
        "to": written(question.to_s),
        "resolution": question.resolution,
        "after": written(after_s),
    }
    parameters |= {name: request.query_params[name] for name in ("options",) if name in request.query_params}
    if names := parse_names(request.query_params.getlist("station")):
        parameters["station"] = ",".join(names)
    return urlencode(parameters)


@router.get(
    "/api/v1/ngsi-ld/context.jsonld",
    summary="Our own terms in the entities",
    tags=["counts"],
    response_class=LinkedData,
    responses=NGSI_LD_CONTEXT_RESPONSES,
)
async def ngsi_ld_context(request: Request) -> Response:
    """A JSON-LD context with the terms that the Smart Data Models do not have."""
    return caching.small_json(request, {"@context": dict(CONTEXT)}, MEDIA_TYPE, _CONTEXT_KEPT_S)
