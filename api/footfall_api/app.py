"""Put the API together: settings in, one application out.

What others build on: `app.state.settings` (`ApiSettings`) and `app.state.feed` (`BoardFeed`; ``await feed.current()``
is the `Board`). The pages come from `footfall_api.pages.install(app)`, which adds their routes to the application.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import footfall_contract
from footfall_api import (
    live,
    pages,
    probes,
    problems,
    routes,
    routes_catalogue,
    routes_files,
    routes_operations,
    routes_places,
    routes_privacy,
    routes_sta,
    routes_summary,
)
from footfall_api.caching import HEAD_KEY
from footfall_api.clients import Clients, Seats
from footfall_api.database import conninfo, new_pool, pool_figures, rights_beyond_reading, snapshot
from footfall_api.describe import complete
from footfall_api.feed import BoardFeed
from footfall_api.gate import Gate
from footfall_api.ngsi_ld import routes as ngsi_ld
from footfall_api.proxies import BehindProxies
from footfall_api.publication import publication_of, rules_of_doors, unknown_stations
from footfall_api.question import Format, nearest
from footfall_api.secured import SecureAnswers
from footfall_api.settings import ApiSettings
from footfall_api.shared import Shared
from footfall_api.stations import read_stations
from footfall_api.telemetry import MeasureRequests, Telemetry

log = logging.getLogger(__name__)

_ASK_AGAIN_S: Final = 5
"""How long to wait for the database before the names in the publication rules are looked up again."""

_WITH_DATA: Final = ("/api/", routes_files.PREFIX)
"""Where the addresses of data begin."""

_NOT_SHARED: Final = frozenset({"/metrics", "/api/v1/operations"})
"""What a site whose page is open on the operator's machine could otherwise read there."""

_FROM_ELSEWHERE: Final = ("Cache-Control", "If-Modified-Since", "If-None-Match", "If-Range", "Last-Event-ID", "Range")
"""Headers that scripts of other sites may send, besides those that they always may: all that reading needs.

No token: a page in the operator's browser could send wrong ones until the right one is not listened to any more.
"""

_CLOSE_WITHIN_S: Final = 1
"""How long connections that are in use may take to come back when the API stops."""


def utc_now() -> datetime:
    """The clock of the API."""
    return datetime.now(UTC)


def create_app(settings: ApiSettings, *, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The application; the database is first asked when it starts to serve.

    `clock` says what time it is (aware, UTC); tests have their own.
    """
    telemetry = Telemetry()
    app = FastAPI(
        title=f"Footfall {settings.city.name}",
        version=footfall_contract.__version__,
        summary="How many people pass through the city, where, when, and how well it was measured.",
        description=_DESCRIPTION,
        license_info={"name": settings.public.licence, "url": settings.public.licence_url},
        openapi_tags=_TAGS,
        servers=[{"url": settings.http.public_url}] if settings.http.public_url else None,
        docs_url=None,  # the bundled pages would load scripts from another host
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call the functions
    )
    app.state.settings = settings
    app.state.clock = clock
    app.state.telemetry = telemetry
    app.state.tokens = settings.public.tokens
    app.state.clients = Clients(settings.limits, settings.at_once)
    app.state.seats = Seats(settings.limits.live_per_client, settings.limits.live)
    app.state.pool = new_pool(settings.database)
    app.state.beside = Shared()
    app.state.rules = publication_of(settings.publication)
    # What is for everybody to watch: the token lifts nothing here, `local` does.
    shown = app.state.shown = rules_of_doors(settings)
    app.state.files = routes_files.PublishedFiles(Path(settings.files.folder) if settings.files.folder else None, shown)
    app.state.feed = BoardFeed(app.state.pool, conninfo(settings.database), clock, telemetry, shown)
    telemetry.watch_pool(lambda: pool_figures(app.state.pool))

    app.state.sta = None  # made when SensorThings is first asked

    problems.install(app)
    for module in (
        routes_places,
        routes,
        routes_summary,
        live,
        ngsi_ld,
        routes_privacy,
        routes_operations,
        routes_catalogue,
    ):
        app.include_router(module.router, dependencies=[Depends(problems.check_parameters)])
    app.include_router(routes_sta.router)
    app.include_router(probes.router)
    app.include_router(routes_files.router)
    pages.install(app)
    _describe(app)

    # From the inside out: each wraps all before it.
    app.add_middleware(problems.CatchEverything)
    app.add_middleware(NameLicence, url=settings.public.licence_url)
    packed = (routes.MEDIA_TYPES[Format.PARQUET],)  # as tight as it gets
    app.add_middleware(
        PackAnswers,
        minimum_size=1000,
        compresslevel=5,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, *packed),
    )
    app.add_middleware(Gate, settings=settings, tokens=app.state.tokens, clients=app.state.clients, telemetry=telemetry)
    app.add_middleware(
        ShareAnswers,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD"],
        allow_headers=_FROM_ELSEWHERE,
        expose_headers=[
            "ETag", "Last-Modified", "Link", "Content-Disposition", "Content-Range", "Accept-Ranges", "Retry-After",
        ],
    )  # fmt: skip
    app.add_middleware(AnswerHead)
    policy = app.state.pages.headers["Content-Security-Policy"]
    app.add_middleware(SecureAnswers, public_url=settings.http.public_url, static_policy=policy)
    app.add_middleware(MeasureRequests, telemetry=telemetry)
    app.add_middleware(BehindProxies, trusted=settings.http.proxies)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """From the first request to the last: the pool is open and the feed listens."""
    await app.state.pool.open(wait=False)
    tasks = [
        asyncio.create_task(app.state.feed.run(), name="feed"),
        asyncio.create_task(_look_around(app), name="look whether all is as it should be"),
    ]
    try:
        yield
    finally:
        app.state.feed.close()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await app.state.pool.close(timeout=_CLOSE_WITHIN_S)


async def _look_around(app: FastAPI) -> None:
    """Say aloud what an administrator should know, once the database can be asked.

    A name in the publication rules that is no station's is a slip that publishes what was to be held back. An account
    that may write turns any fault of ours into a loss of counts.
    """
    while True:
        try:
            async with snapshot(app.state.pool) as connection:
                known = [station.id for station in await read_stations(connection)]
                rights = await rights_beyond_reading(connection)
        except (psycopg.Error, OSError):
            await asyncio.sleep(_ASK_AGAIN_S)
            continue
        for name in unknown_stations(app.state.rules, known):
            log.error("held_back in [publication] names '%s', which is no station%s", name, nearest(name, known))
        if rights:
            log.warning(
                "the API's account in the database %s; let it be a member of footfall_api and of nothing else "
                "(docs/store.md)",
                ", ".join(rights),
            )
        return


class AnswerHead:
    """Answer HEAD wherever GET is answered: the same headers, no body. `caching.is_head` spares the work for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass HEAD on as GET and drop the body."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def dropping(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        # The scope itself stays one object: what is noted in it, such as the route, is seen outside.
        scope["method"] = "GET"
        scope[HEAD_KEY] = True
        try:
            await self._app(scope, receive, dropping)
        finally:
            scope["method"] = "HEAD"


class ShareAnswers(CORSMiddleware):
    """Let the pages of any site read what is public; how the machine is doing is not for the pages of others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        is_shared = scope["type"] != "http" or scope["path"] not in _NOT_SHARED
        await (super().__call__ if is_shared else self.app)(scope, receive, send)


class PackAnswers(GZipMiddleware):
    """Compress answers, files excepted: their tags and their parts are those of the bytes as they lie in the folder."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, packing what comes back."""
        is_file = scope["type"] == "http" and scope["path"].startswith(routes_files.PREFIX)
        await (self.app if is_file else super().__call__)(scope, receive, send)


class NameLicence:
    """Name the licence in the header of every answer with data, whatever its format."""

    def __init__(self, app: ASGIApp, url: str) -> None:
        self._app = app
        self._header = (b"link", f'<{url}>; rel="license"'.encode()) if url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the header to its answer."""
        header = self._header
        if header is None or scope["type"] != "http" or not scope["path"].startswith(_WITH_DATA):
            await self._app(scope, receive, send)
            return

        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                message["headers"] = [*message["headers"], header]
            await send(message)

        await self._app(scope, receive, naming)


def _describe(app: FastAPI) -> None:
    """Complete the OpenAPI document: every error has the one shape, and what is streamed is described as well."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(generate(), {routes_privacy.PrivacyNotice.__name__: routes_privacy.EXAMPLE})
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to change the document


_DESCRIPTION: Final = """
Counts are **passages, not persons**: somebody who crosses a counting line twice is counted twice. Nobody is recognised.

0 means that the time was measured and nobody came; null means that it was not measured. A gap is a value, never an
absence. All times are ISO 8601 with an offset; intervals include their start and exclude their end. No key is needed.
"""

_TAGS: Final = [
    {"name": "stations", "description": "Where is counted, and what the directions mean."},
    {"name": "areas", "description": "Parts of the city, and the stations that lie in them."},
    {"name": "remarks", "description": "What people know about a time at a place."},
    {"name": "counts", "description": "What was counted, and how well."},
    {"name": "summaries", "description": "The typical week, what is usual, totals: what went in, and what did not."},
    {"name": "live", "description": "What is being counted now."},
    {"name": "privacy", "description": "What is sensed, sent, kept and published, for who wants to know."},
    {"name": "operation", "description": "For machines that watch over this one."},
]
