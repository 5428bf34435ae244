"""SensorThings over HTTP: paths and options in, JSON or a problem out."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote

from fastapi import Request
from starlette.responses import Response

from footfall_api import caching
from footfall_api.problems import Problem
from footfall_api.publication import Publication
from footfall_api.settings import ApiSettings
from footfall_api.sta.engine import (
    Found,
    NotFoundError,
    Page,
    Session,
    TooMuchError,
    collection,
    data_array,
    follow,
    to_json,
    written,
)
from footfall_api.sta.language import (
    ENTITY_SETS,
    LanguageError,
    Query,
    ResourcePath,
    parse_path,
    parse_query,
    split_query,
)
from footfall_api.sta.model import Names
from footfall_api.sta.source import Source
from footfall_api.sta.values import descend

ROOT: Final = "/sta/v1.1"

MEDIA_TYPE: Final = "application/json"

_SPEC: Final = "http://www.opengis.net/spec/iot_sensing/1.1/req"
CONFORMANCE: Final = (
    f"{_SPEC}/datamodel",
    *(
        f"{_SPEC}/datamodel/{name}"
        for name in (
            "thing", "location", "historical-location", "datastream", "sensor", "observed-property", "observation",
            "feature-of-interest", "entity-control-information",
        )
    ),
    f"{_SPEC}/resource-path/resource-path-to-entities",
    *(
        f"{_SPEC}/request-data/{name}"
        for name in (
            "order", "expand", "select", "status-codes", "query-status-codes", "orderby", "top", "skip", "count",
            "filter", "built-in-filter-operations", "built-in-query-functions", "pagination",
        )
    ),
    f"{_SPEC}/data-array/data-array",
)  # fmt: skip
"""The requirement classes of OGC 18-088 for reading, all of which are met."""


def source_of(state: Any) -> Source:
    """The one source of an application, from its `state`."""
    if state.sta is None:
        state.sta = _source(state)
    found: Source = state.sta
    return found


def _source(state: Any) -> Source:
    settings: ApiSettings = state.settings
    rules: Publication = state.shown

    def names(published: Sequence[str]) -> Names:
        base = settings.http.public_url or f"http://{settings.http.host}:{settings.http.port}"
        return Names(
            settings.city.name, f"{base}/messung", settings.public.licence_url, settings.attribution, tuple(published)
        )

    return Source(state.pool, rules, state.clock, names)


async def respond(request: Request, path: str) -> Response:
    """What a path below the service root names, as the options want it.

    Raises:
        Problem: it cannot be read, is too much, or is not there.
    """
    try:
        # As it was sent: what is percent-encoded is no separator.
        raw = request.scope.get("raw_path", b"").decode("ascii", "replace").partition("?")[0]
        resource = parse_path(unquote(raw.partition(ROOT)[2].strip("/"), errors="strict") if raw else path)
        entity_set = resource.segments[-1].entity_set if resource.segments else None
        query = parse_query(split_query(request.scope["query_string"].decode("ascii", "replace")), entity_set)
        return await _answer(request, resource, query)
    except UnicodeDecodeError as error:
        raise _bad("the path is not UTF-8; encode it as UTF-8 first") from error
    except LanguageError as error:
        if error.option == "path":
            raise Problem(HTTPStatus.NOT_FOUND, str(error), kind="no-such-entity", title="No such entity") from error
        raise _bad(str(error)) from error
    except TooMuchError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, str(error), kind="too-much", title="More than can be answered at once"
        ) from error
    except NotFoundError as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error), kind="no-such-entity", title="No such entity") from error


def _bad(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail, kind="invalid-query", title="The question cannot be read")


async def _answer(request: Request, resource: ResourcePath, query: Query) -> Response:
    root = _root(request)
    if not resource.segments:
        return _json(request, _service(root))
    source = source_of(request.app.state)
    session = Session(source, await source.city(), root, request.app.state.clock())
    found = await follow(session, resource)
    if found.many is not None:
        return await _of_set(request, session, resource, found, query)
    assert found.entity is not None
    if resource.inside:
        value = descend(found.entity.properties.get(str(resource.inside[0])), resource.inside[1:])
        if str(resource.inside[0]) in {"id", "@iot.id"}:
            value = found.entity.id
        return _of_value(request, resource, to_json(value))
    if resource.suffix == "$ref":
        return _json(request, {"@iot.selfLink": f"{root}/{found.entity.set}({found.entity.id})"})
    (body,) = await written(session, [found.entity], query)
    return _json(request, body)


async def _of_set(request: Request, session: Session, resource: ResourcePath, found: Found, query: Query) -> Response:
    assert found.many is not None
    if resource.suffix == "$count":
        counted = await session.page(
            found.many, found.entity, found.navigation, Query(filter=query.filter, top=0, count=True)
        )
        return Response(str(counted.total), media_type="text/plain", headers=_HEADERS)

    def address(skip: int) -> str:
        # The options as the client wrote them, because some compare them as text; only the place is another.
        kept = [
            (name, value)
            for name, value in split_query(request.scope["query_string"].decode("ascii"))
            if name.lower() not in {"$skip", "skip"}
        ]
        options = "&".join(f"{name}={quote(value, safe=_SAFE)}" for name, value in [*kept, ("$skip", str(skip))])
        way = quote(unquote(request.url.path.partition(ROOT)[2]), safe="/()$'@.")
        return f"{session.root}{way}?{options}"

    if query.result_format is not None and found.many == "Observations":
        page = await session.page(found.many, found.entity, found.navigation, query)
        body = _page_of(page, address, data_array(page.entities, session.root, query))
    elif resource.suffix == "$ref":
        page = await session.page(found.many, found.entity, found.navigation, query)
        links = [{"@iot.selfLink": f"{session.root}/{one.set}({one.id})"} for one in page.entities]
        body = _page_of(page, address, links)
    else:
        body = await collection(session, found, query, address)
    return _json(request, body)


_SAFE: Final = "/$,;()'@.:="


def _page_of(page: Page, address: Any, values: list[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {} if page.total is None else {"@iot.count": page.total}
    if page.next is not None:
        body["@iot.nextLink"] = address(page.next)
    return {**body, "value": values}


def _of_value(request: Request, resource: ResourcePath, value: Any) -> Response:
    if value is None:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=_HEADERS)
    if resource.suffix == "$value":
        is_text = isinstance(value, str)
        text = value if is_text else json.dumps(value, ensure_ascii=False)
        return Response(text, media_type="text/plain" if is_text else MEDIA_TYPE, headers=_HEADERS)
    return _json(request, {str(resource.inside[-1]): value})


def _root(request: Request) -> str:
    settings: ApiSettings = request.app.state.settings
    return (settings.http.public_url or str(request.base_url).rstrip("/")) + ROOT


def _service(root: str) -> dict[str, Any]:
    return {
        "value": [{"name": name, "url": f"{root}/{name}"} for name in ENTITY_SETS],
        "serverSettings": {"conformance": list(CONFORMANCE)},
    }


_HEADERS: Final = {"Cache-Control": "public, no-cache"}


def _json(request: Request, body: Any) -> Response:
    return caching.small_json(request, body, MEDIA_TYPE, 0)
