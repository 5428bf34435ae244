"""The pages that people look at: German at ``/``, every other language at ``/{code}/``, and the files they are made of.

They are written on the server, so that they work without JavaScript as far as tables and forms go; small scripts add
charts and follow the live stream. They are the API's first client: what a page shows it asks the API for
(`footfall_api.pages.inner`), so that page, download and API cannot differ. They ask no other host for anything, and a
Content-Security-Policy makes browsers hold them to that. The one exception is the origin of map tiles, if the operator
configured some.

A page is a module with a `Page` (`footfall_api.pages.frame`), a template, a file in each language's folder of
`footfall_api.messages`, and where it needs them a style sheet and a script named as it is.
"""

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from footfall_api.messages import LANGUAGES
from footfall_api.pages import about, accessibility, api, compare, data, easy, kiosk, now, operations, report, station
from footfall_api.pages.frame import STATIC, Files, Page, Pages, base_of, serve, static_version, unknown
from footfall_api.pages.kept import Kept
from footfall_api.settings import ApiSettings

log = logging.getLogger(__name__)

PAGES: tuple[Page, ...] = (
    now.PAGE,
    station.PAGE,
    compare.PAGE,
    report.PAGE,
    data.PAGE,
    api.PAGE,
    about.PAGE,
    easy.PAGE,
    accessibility.PAGE,
    operations.PAGE,
    kiosk.PAGE,
)
"""All pages, in the order of the navigation."""

ROBOTS = "User-agent: *\nDisallow: /api/\n"
"""Pages may be found; downloads of every day and station are not what a search engine is to fetch."""


def install(app: FastAPI) -> None:
    """Add the pages and their files to `app`, which has `state.settings`, `state.clock` and `state.feed`."""
    settings: ApiSettings = app.state.settings
    app.state.kept = Kept(app.state.clock)
    pages = app.state.pages = Pages(settings, static_version(), PAGES)
    router = APIRouter(include_in_schema=False)
    for page in PAGES:
        for language in LANGUAGES:
            for path in pages.routes(page, language):
                router.add_api_route(path, serve(page, language), response_model=None)
    for language in LANGUAGES[1:]:
        router.add_api_route(f"/{language}", _with_slash, response_model=None)
    router.add_api_route("/robots.txt", _robots, response_model=None)
    app.include_router(router)
    app.add_exception_handler(404, _page_or(app.exception_handlers[HTTPException]))
    app.mount(f"/static/{pages.version}", Files(directory=STATIC), name="static")
    if not (STATIC / "vendor" / "chart.js").exists():
        log.warning("third-party files of the page are missing, charts stay tables; run tools/web_assets.py")


async def _with_slash(request: Request) -> Response:
    """Where people who leave out the slash are sent."""
    query = f"?{request.url.query}" if request.url.query else ""
    language = request.url.path.rstrip("/").rpartition("/")[2]
    return RedirectResponse(f"{base_of(request)}/{language}/{query}", status_code=308)


async def _robots() -> Response:
    """What search engines may fetch."""
    return PlainTextResponse(ROBOTS)


def _page_or(problem: Callable[[Request, Any], Any]) -> Callable[[Request, Exception], Any]:
    """Answers for addresses that are none: a page for people, the `problem` for programs."""

    async def answer(request: Request, error: Exception) -> Response:
        response: Response = await unknown(request) or await problem(request, error)
        return response

    return answer
