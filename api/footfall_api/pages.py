"""The page that people look at: ``/`` in German, ``/en/`` in English, and the files it is made of.

It is written on the server first, so that it works without JavaScript; the scripts then follow the live stream. It
asks no other host for anything, and a Content-Security-Policy makes browsers hold it to that. The one exception is
the origin of map tiles, if the operator configured some.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import psycopg
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRouter
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from footfall_api.messages import Catalogue, catalogue
from footfall_api.page_view import (
    COMPLETE,
    DIRECTION_KEYS,
    HISTORIC_AFTER,
    ON_THEIR_WAY_S,
    RECENT_MINUTES,
    SILENT_AFTER_S,
    SPARK_HALF,
    PageView,
    page_view,
    ring_radius,
)
from footfall_api.settings import ApiSettings
from footfall_contract.report import SlotReport, encode_cbor, encode_json

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
LIVE = "/api/v1/live"
_PATHS = {"de": "/", "en": "/en/"}
_A_YEAR = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add the pages and their files to `app`, which has `state.settings` and `state.feed`."""
    settings: ApiSettings = app.state.settings
    app.state.pages = Pages(settings, static_version())
    app.include_router(router)
    app.mount(f"/static/{app.state.pages.version}", _Files(directory=STATIC), name="static")
    if not (STATIC / "vendor" / "chart.js").exists():
        log.warning("third-party files of the page are missing, charts stay tables; run tools/web_assets.py")


def static_version() -> str:
    """A short hash of the page's files. It is part of their addresses, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(STATIC)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class _Files(StaticFiles):
    """Static files that never change under their address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in {200, 206, 304}:
            response.headers["Cache-Control"] = _A_YEAR
        return response


@dataclass(frozen=True, slots=True)
class Tiles:
    """A configured map background; `host` is named on the page, `origin` is allowed in the policy."""

    url: str
    attribution: str
    host: str
    origin: str


class Pages:
    """Everything about the pages that does not change from one request to the next."""

    def __init__(self, settings: ApiSettings, version: str) -> None:
        self.settings = settings
        self.version = version
        self.tiles = _tiles(settings)
        self.headers = security_headers(self.tiles)
        self._templates = Environment(
            loader=PackageLoader("footfall_api"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["ring_radius"] = ring_radius

    def render(self, template: str, language: str, base: str, **values: Any) -> str:
        """The HTML of `template`; `base` is the path under which the application is mounted."""
        return self._templates.get_template(template).render(
            t=catalogue(language),
            language=language,
            base=base,
            static=f"{base}/static/{self.version}",
            city=self.settings.city,
            public=self.settings.public,
            attribution=self.settings.attribution,
            tiles=self.tiles,
            **values,
        )


def _tiles(settings: ApiSettings) -> Tiles | None:
    url = settings.map.tiles_url
    if not url:
        return None
    parts = urlsplit(url)
    return Tiles(url, settings.map.tiles_attribution, parts.netloc, f"{parts.scheme}://{parts.netloc}")


def security_headers(tiles: Tiles | None) -> dict[str, str]:
    """What every page is sent with. Nothing inline, nothing from elsewhere but tiles, no cookies, no framing."""
    beyond = f" {tiles.origin}" if tiles else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        # The map library draws its buttons from data: addresses in its style sheet.
        "img-src": f"'self' data:{beyond}" if tiles else "'self'",
        "connect-src": f"'self'{beyond}",
        "worker-src": "'self'" if tiles else "'none'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        # Tile servers want to know who asks; they get the origin, never the chosen station.
        "Referrer-Policy": "strict-origin" if tiles else "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }


@router.get("/")
async def german(request: Request, station: str | None = None) -> Response:
    """The page in German; `station` is the one whose chart is shown."""
    return await _page(request, "de", station)


@router.get("/en/")
async def english(request: Request, station: str | None = None) -> Response:
    """The page in English."""
    return await _page(request, "en", station)


@router.get("/en")
async def english_without_slash(request: Request) -> Response:
    """Where people who leave out the slash are sent."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(_base(request) + "/en/" + query, status_code=308)


def _base(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


async def _page(request: Request, language: str, wanted: str | None) -> Response:
    pages: Pages = request.app.state.pages
    t, base = catalogue(language), _base(request)
    try:
        board = await request.app.state.feed.current()
    except (psycopg.Error, OSError) as error:
        log.warning("page without numbers: %s", error)
        links = _language_links(base, None)
        html = pages.render("trouble.html", language, base, links=links)
        return HTMLResponse(html, status_code=503, headers=pages.headers | {"Retry-After": "30"})
    view = page_view(board, t, wanted)
    chosen = view.chosen.id if view and wanted == view.chosen.id else None
    links = _language_links(base, chosen)
    if view is None:
        return HTMLResponse(pages.render("empty.html", language, base, links=links), headers=pages.headers)
    html = pages.render(
        "page.html",
        language,
        base,
        links=links,
        view=view,
        here=base + _PATHS[language],
        report=example_report(view.chosen.id),
        boot=boot(view, t, base, pages),
        spark_half=SPARK_HALF,
    )
    return HTMLResponse(html, headers=pages.headers)


def _language_links(base: str, station: str | None) -> dict[str, str]:
    query = "?" + urlencode({"station": station}) if station else ""
    return {language: base + path + query for language, path in _PATHS.items()}


@dataclass(frozen=True, slots=True)
class ExampleReport:
    """A report as the edge writes it: the JSON form in lines that fit a phone, and the bytes of its binary form."""

    text: str
    size: int


def example_report(station: str) -> ExampleReport:
    """A report made by the contract itself, so that what the page promises is what is sent."""
    report = SlotReport(
        sensor=f"{station}-1",
        stream=UUID("7f0c2a58-3f6e-4f0b-9f43-0d6c1f8a5e21"),
        seq=4711,
        start=1_764_000_000,
        slot=10,
        slots=6,
        observed=(10, 10, 10, 10, 10, 10),
        index=(0, 0, 3),
        direction=(0, 1, 0),
        class_=(0, 0, 0),
        count=(2, 1, 5),
    )
    fields: Mapping[str, Any] = json.loads(encode_json(report))
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items())
    return ExampleReport("{\n" + lines + "\n}", len(encode_cbor(report)))


def boot(view: PageView, t: Catalogue, base: str, pages: Pages) -> str:
    """What the scripts need to know, as JSON for a data block of the page."""
    static = f"{base}/static/{pages.version}"
    content: dict[str, Any] = {
        "language": t.language,
        "locale": str(t.locale).replace("_", "-"),
        "words": t.for_browser(),
        "live": base + LIVE,
        "station": view.chosen.id,
        "zones": {station.id: station.zone for station in view.stations},
        "directions": DIRECTION_KEYS,
        "rules": {
            "silentAfterS": SILENT_AFTER_S,
            "onTheirWayS": ON_THEIR_WAY_S,
            "complete": COMPLETE,
            "recentMinutes": RECENT_MINUTES,
            "historicAfterS": HISTORIC_AFTER.total_seconds(),
            "sparkHalf": SPARK_HALF,
        },
        "chart": f"{static}/vendor/chart.js",
        "tiles": None,
    }
    if pages.tiles is not None:
        content["tiles"] = {
            "url": pages.tiles.url,
            "library": f"{static}/vendor/maplibre/maplibre-gl.mjs",
            "style": f"{static}/vendor/maplibre/maplibre-gl.css",
            "places": [
                [[spot.id, spot.longitude, spot.latitude, spot.line] for spot in panel.spots] for panel in view.panels
            ],
        }
    # A closing tag inside a text would end the data block.
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
