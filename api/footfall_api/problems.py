"""Errors as the API says them: RFC 9457 problem details, one shape for every endpoint and every cause.

``type`` names the kind of problem and never changes; ``title`` and ``detail`` are for people; ``instance`` is the
address that was asked; ``parameter`` is there where one parameter is at fault.
"""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, get_args, get_origin
from urllib.parse import quote

import psycopg
from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from footfall_api.question import QuestionError, TooFineError, nearest
from footfall_role.logs import facts

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

_SHOWN: Final = 300
"""Characters of the address that the log shows."""

_LONGEST_INSTANCE: Final = 2000
"""Characters of the address that are said back: whoever sent a longer one knows it."""

_RETRY_AFTER: Final = {"Retry-After": "5"}


class Problem(Exception):  # noqa: N818  # RFC 9457's word for it
    """Something the client is to be told instead of an answer."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str | None = None,
        title: str | None = None,
        parameter: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = f"urn:footfall:problem:{kind}" if kind else "about:blank"
        self.title = title or status.phrase
        self.parameter = parameter
        self.headers = dict(headers or {})

    def response(self, scope: Scope) -> Response:
        """The answer to the request of `scope`."""
        body: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
            "instance": _asked(scope),
        }
        if self.parameter is not None:
            body["parameter"] = self.parameter
        headers = {"Cache-Control": "no-store", **self.headers}
        content = json.dumps(body, ensure_ascii=False).encode()
        return Response(content, int(self.status), headers=headers, media_type=MEDIA_TYPE)


def _asked(scope: Scope) -> str:
    """The address as it was asked for, still percent-encoded: an address with any other character would be none."""
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path)[:_LONGEST_INSTANCE].decode("ascii", "replace")


def bad_parameter(parameter: str, detail: str) -> Problem:
    """A parameter that cannot be used; `detail` says what would be right."""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        detail,
        kind="invalid-parameter",
        title="A parameter cannot be used",
        parameter=parameter,
    )


def too_fine(error: TooFineError) -> Problem:
    """More detail than the public may see."""
    return Problem(
        HTTPStatus.FORBIDDEN,
        str(error),
        kind="too-fine",
        title="Finer than what is public",
        parameter=error.parameter,
    )


def no_station(station: str, known: Collection[str] = ()) -> Problem:
    """There is no station of that name; of the `known` ones those most like it are named."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        f"there is no station '{station}'{nearest(station, known)}; /api/v1/stations lists those there are",
        kind="no-such-station",
        title="No such station",
    )


def no_area(area: str, known: Collection[str] = ()) -> Problem:
    """There is no area of that name; of the `known` ones those most like it are named."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        f"there is no area '{area}'{nearest(area, known)}; /api/v1/areas lists those there are",
        kind="no-such-area",
        title="No such area",
    )


def check_parameters(request: Request) -> None:
    """Refuse parameters that an endpoint does not have, and one given twice where one is taken.

    To pass over `resolutoin=1d` would answer another question than the one that was asked.

    Raises:
        Problem: it names the parameter, and the one that may have been meant.
    """
    fields = {field.alias: field.field_info for field in _query_fields(request.scope["route"].dependant)}
    for name in request.query_params:
        if name not in fields:
            there_are = ", ".join(sorted(known for known, info in fields.items() if info.include_in_schema))
            raise bad_parameter(
                name,
                f"there is no parameter '{name}' here{nearest(name, fields)}; "
                + (f"there are {there_are}" if there_are else "there is none at all"),
            )
        if len(request.query_params.getlist(name)) > 1 and not _takes_many(fields[name].annotation):
            raise bad_parameter(name, f"{name} is given more than once; give it once")


def _query_fields(dependant: Dependant) -> Iterator[Any]:
    """The query parameters of an endpoint, also of what it depends on."""
    yield from dependant.query_params
    for inner in dependant.dependencies:
        yield from _query_fields(inner)


def _takes_many(annotation: Any) -> bool:
    return any(get_origin(part) is list for part in (annotation, *get_args(annotation)))


def database_problem(error: Exception) -> Problem:
    """What a failure of the database means to the client. The cause is in the log, not in the answer."""
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        detail = "the database has not been set up for this version yet (footfall-ingest migrate)"
    elif isinstance(error, psycopg.errors.QueryCanceled):
        detail = "the database took too long; ask for less time or a coarser resolution"
    elif isinstance(error, PoolTimeout | psycopg.OperationalError):
        detail = "the database cannot be reached at the moment"
    else:
        return internal_problem()
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        detail,
        kind="database-unavailable",
        title="The counts cannot be read at the moment",
        headers=_RETRY_AFTER,
    )


def internal_problem() -> Problem:
    """A fault of ours."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "something went wrong on our side; it has been written to the log",
        kind="internal",
    )


def install(app: FastAPI) -> None:
    """Give every error of the application the one shape."""

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response(request.scope)

    async def question(request: Request, error: Exception) -> Response:
        assert isinstance(error, QuestionError)
        found = too_fine(error) if isinstance(error, TooFineError) else bad_parameter(error.parameter, str(error))
        return found.response(request.scope)

    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _from_validation(error.errors()).response(request.scope)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _from_http(error, request.scope).response(request.scope)

    async def database(request: Request, error: Exception) -> Response:
        log.error("a question failed on the database: %s", error, exc_info=not isinstance(error, PoolTimeout))
        return database_problem(error).response(request.scope)

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(QuestionError, question)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(psycopg.Error, database)  # PoolTimeout is one


def _from_validation(faults: Sequence[Mapping[str, Any]]) -> Problem:
    fault = faults[0]
    name = str(fault["loc"][1])  # after where it stands; what follows leads into the value
    given = fault.get("input")
    detail = f"{name}: {fault['msg']}" + (f"; it is {given!r}" if isinstance(given, str) else "")
    return bad_parameter(name, detail)


def _from_http(error: HTTPException, scope: Scope) -> Problem:
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {scope['path']}; /openapi.json describes what there is",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{scope['method']} is not offered here: the API is only read",
    }
    own = error.detail if error.detail != status.phrase else None
    return Problem(status, own or details.get(status, status.description or status.phrase), headers=error.headers)


class CatchEverything:
    """Turn what nobody caught into a problem, inside of CORS and compression, and write it to the log.

    When the answer has begun there is nothing left to say: the connection is cut, so that the client sees that the
    answer is not whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if begun:
                raise
            log.exception("a request failed", extra=facts(method=scope["method"], path=_asked(scope)[:_SHOWN]))
            await internal_problem().response(scope)(scope, receive, send)
