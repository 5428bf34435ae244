"""What all pages share: their addresses, languages and headers, the templates, and what is said when there is nothing.

A `Page` is a key, a pattern and a function. The key names the page everywhere: its address and its place in the
navigation (``path.{key}`` and ``nav.{key}`` in the catalogues), its template, style sheet and script. The function gets
a `Here`, which knows the request, the language and the ways to the other pages, and gives a response.
"""

import gzip
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from anyio import to_thread
from fastapi import Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from footfall_api.messages import LANGUAGES, Catalogue, catalogue
from footfall_api.pages.inner import RefusedError, ask
from footfall_api.publication import Publication
from footfall_api.settings import ApiSettings
from footfall_api.streets import read_streets

log = logging.getLogger(__name__)

STATIC: Final = Path(__file__).parents[1] / "static"
_A_YEAR: Final = "public, max-age=31536000, immutable"
_PACKED: Final = (".css", ".js", ".mjs", ".svg", ".txt")
"""Names of files that are smaller when they are packed."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page in all languages."""

    key: str
    """Its name in the catalogues (``path.{key}``, ``nav.{key}``)."""
    answer: Callable[["Here"], Awaitable[Response]]
    """Answers a request. `RefusedError`, psycopg.Error and OSError that it raises are told in the page's own dress."""
    more: tuple[str, ...] = ()
    """What may follow its address, as route patterns: ``/{station}``."""
    browser: tuple[str, ...] = ()
    """Families of sentences (first parts of their keys) that its scripts say, too."""
    in_nav: bool = True
    """Whether the navigation at the top leads to it; the foot of the page leads to the others."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """A configured map background; `host` is named on the page, `origins` are allowed in the policy.

    `url` is that of raster tiles, or if `is_style` of a style that says itself where everything is.
    """

    url: str
    attribution: str
    host: str
    origins: tuple[str, ...]
    is_style: bool = False


class Pages:
    """Everything about the pages that does not change from one request to the next."""

    def __init__(self, settings: ApiSettings, version: str, pages: Sequence[Page]) -> None:
        self.settings = settings
        self.version = version
        self.scripts = scripts_folder()
        self.pages = {page.key: page for page in pages}
        self.tiles = _tiles(settings)
        self.headers = security_headers(self.tiles)
        self.streets = read_streets(Path(settings.map.streets)) if settings.map.streets else ()
        self.templates = Environment(
            loader=PackageLoader("footfall_api"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @staticmethod
    def path(key: str, language: str) -> str:
        """The address of a page, without the path under which the application is mounted."""
        root = "/" if language == LANGUAGES[0] else f"/{language}/"
        return root + catalogue(language)(f"path.{key}")

    def routes(self, page: Page, language: str) -> list[str]:
        """The patterns of all addresses of a page."""
        path = self.path(page.key, language)
        return [path, *(path.rstrip("/") + more for more in page.more)]


def static_version() -> str:
    """A short hash of the pages' files. It is part of their addresses, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(STATIC)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Files(StaticFiles):
    """Static files that never change under their address. Text is packed once, as tight as it gets.

    They are small, so whoever asks for a part of one gets all of it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as if no part had been asked for."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, to be kept for a year; text is packed for those who can unpack it."""
        response = await super().get_response(path, scope)
        del response.headers["Accept-Ranges"]
        if response.status_code in {200, 304}:
            response.headers["Cache-Control"] = _A_YEAR
            if path.endswith(_PACKED):
                response.headers.add_vary_header("Accept-Encoding")
                if isinstance(response, FileResponse):
                    return await _packed_if_wanted(response, Headers(scope=scope))
        return response


async def _packed_if_wanted(response: FileResponse, asked: Headers) -> Response:
    """The same file packed, unless the browser cannot unpack it.

    The packed file is another representation of the same thing, with an ETag of its own.
    """
    plain_tag = response.headers["ETag"]
    if "gzip" not in asked.get("Accept-Encoding", ""):
        return response
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    headers |= {"etag": plain_tag.rstrip('"') + '-gzip"', "content-encoding": "gzip"}
    if headers["etag"] in [tag.strip().removeprefix("W/") for tag in asked.get("If-None-Match", "").split(",")]:
        return NotModifiedResponse(Headers(headers))
    return Response(await to_thread.run_sync(_packed, str(response.path), plain_tag), headers=headers)


@lru_cache(maxsize=256)
def _packed(path: str, tag: str) -> bytes:  # noqa: ARG001  # with another ETag it is another file
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)


def scripts_folder(static: Path = STATIC) -> str:
    """Where browsers get the pages' scripts: each in one file with all that it imports, or the modules as they are.

    ``tools/web_assets.py`` makes the one file. Where it has not done so, or a script has changed since, the modules
    themselves are right and slower.
    """
    try:
        sums = [line.split() for line in (static / "bundle/SHA256SUMS").read_text(encoding="ascii").splitlines()]
        fresh = all(hashlib.sha256((static / "js" / name).read_bytes()).hexdigest() == sum_ for sum_, name in sums)
    except OSError:
        fresh = False
    return "bundle" if fresh else "js"


def _tiles(settings: ApiSettings) -> Tiles | None:
    chosen = settings.map
    url = chosen.style_url or chosen.tiles_url
    if not url:
        return None
    parts = urlsplit(url)
    origins = dict.fromkeys((f"{parts.scheme}://{parts.netloc}", *(chosen.style_origins if chosen.style_url else ())))
    return Tiles(
        url,
        chosen.style_attribution if chosen.style_url else chosen.tiles_attribution,
        ", ".join(urlsplit(origin).netloc for origin in origins),
        tuple(origins),
        is_style=bool(chosen.style_url),
    )


def security_headers(tiles: Tiles | None) -> dict[str, str]:
    """What every page is sent with. Nothing inline, nothing from elsewhere but tiles, no cookies, no framing."""
    beyond = "".join(f" {origin}" for origin in tiles.origins) if tiles else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        # The map library draws its buttons from data: addresses in its style sheet. A chart that is saved as a picture
        # is drawn from a blob: of the page's own making.
        "img-src": f"'self' data: blob:{beyond}" if tiles else "'self' blob:",
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
        # A window that a page opens, or is opened from, has no hold on it.
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


def base_of(request: Request) -> str:
    """The path under which the application is mounted; without a slash at its end."""
    return str(request.scope.get("root_path", "")).rstrip("/")


@dataclass(frozen=True, slots=True)
class Here:
    """A request for a page: who asks, in which language, and the ways to the other pages."""

    request: Request
    page: Page
    language: str
    pages: Pages
    t: Catalogue = field(init=False)
    base: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "t", catalogue(self.language))
        object.__setattr__(self, "base", base_of(self.request))

    @property
    def static(self) -> str:
        """The address under which the pages' files are; without a slash at its end."""
        return f"{self.base}/static/{self.pages.version}"

    @property
    def settings(self) -> ApiSettings:
        """The settings of the API."""
        return self.pages.settings

    @property
    def rules(self) -> Publication:
        """The rules of publication that hold for the public."""
        rules: Publication = self.request.app.state.shown
        return rules

    def query(self, name: str) -> str | None:
        """The last value of a parameter; None if it is absent or empty."""
        return self.request.query_params.get(name) or None

    def queries(self, name: str) -> list[str]:
        """All values of a parameter that may be given several times, without the empty ones."""
        return [value for value in self.request.query_params.getlist(name) if value]

    def url(self, key: str, *more: str, language: str | None = None, **query: object) -> str:
        """The address of a page in this language, or in another one; `query` without what is None or empty.

        `more` follows the page's address, such as the id of a station. A list in `query` is given several times.
        """
        path = "/".join([self.pages.path(key, language or self.language), *(quote(part, safe="") for part in more)])
        words = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "", [], ())}
        return self.base + path.replace("//", "/") + (f"?{urlencode(words, doseq=True)}" if words else "")

    def data_url(self, path: str, **query: object) -> str:
        """The address of an answer of the API: ``data_url("stations/markt/counts", from_="2026-03-01")``."""
        words = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "", [], ())}
        return f"{self.base}/api/v1/{path}" + (f"?{urlencode(words, doseq=True)}" if words else "")

    def languages(self) -> list[tuple[str, str, str]]:
        """Code, own name and address of this very view in each language; of an unknown page, of the first one."""
        known = self.page.key in self.pages.pages
        key = self.page.key if known else next(iter(self.pages.pages))
        query = self.request.url.query if known else ""
        more = [str(value) for value in self.request.path_params.values()] if known else []
        tail = f"?{query}" if query else ""
        return [
            (code, catalogue(code)("language.own"), self.url(key, *more, language=code) + tail) for code in LANGUAGES
        ]

    def script(self, name: str) -> str:
        """The address of a script: ``here.script("now")``."""
        return f"{self.static}/{self.pages.scripts}/{name}.js"

    async def ask(self, path: str, **query: object) -> Any:
        """The JSON that the API answers to this very visitor: ``await here.ask("stations/markt/counts", to="…")``.

        Raises:
            RefusedError: the API refuses the question.
        """
        words = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "", [], ())}
        return await ask(self.request, f"/api/v1/{path}", urlencode(words, doseq=True))

    def boot(self, **content: Any) -> str:
        """What the scripts of this page need to know, as JSON for a data block: language, sentences, and `content`."""
        told = {
            "language": self.language,
            "locale": str(self.t.locale).replace("_", "-"),
            "words": self.t.for_browser(self.page.browser),
            "static": self.static,
            "base": self.base,
            **content,
        }
        # A closing tag inside a text would end the data block.
        return json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")

    def page_of(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """The page as `template` writes it, with the headers that all pages have."""
        html = self.pages.templates.get_template(template).render(
            here=self,
            t=self.t,
            language=self.language,
            base=self.base,
            static=self.static,
            city=self.settings.city,
            public=self.settings.public,
            attribution=self.settings.attribution,
            tiles=self.pages.tiles,
            url=self.url,
            data_url=self.data_url,
            **values,
        )
        return HTMLResponse(html, status_code=status, headers={**self.pages.headers, **(headers or {})})


def serve(page: Page, language: str) -> Callable[[Request], Awaitable[Response]]:
    """The function behind a page's address: its answer, or in the page's own dress why there is none."""
    return partial(_serve, page, language)


async def _serve(page: Page, language: str, request: Request) -> Response:
    here = Here(request, page, language, request.app.state.pages)
    try:
        return await page.answer(here)
    except RefusedError as refused:
        if refused.status < 500:
            return here.page_of("refused.html", status=refused.status, refused=refused)
        log.warning("page without numbers: %s", refused)
    except (psycopg.Error, OSError) as error:
        log.warning("page without numbers: %s", error)
    except Exception:
        log.exception("a page failed: %s", request.url.path)
        return _trouble(here, "fault", 500)
    return _trouble(here, "database", 503, {"Retry-After": "30"})


def _trouble(here: Here, kind: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Why there is no page, for people."""
    words = {part: here.t(f"trouble.{kind}.{part}") for part in ("title", "heading", "text")}
    return here.page_of("trouble.html", status=status, headers=headers, words=words)


async def _unknown(here: Here) -> Response:
    return here.page_of("unknown.html", status=404)


UNKNOWN: Final = Page("unknown", _unknown, in_nav=False)
"""What stands at every address that is none."""


async def unknown(request: Request) -> Response | None:
    """What a browser is told of an address that is none, in the language of its path.

    None: it was no browser, or was to be data or a file, of which nobody looks at a page.
    """
    pages: Pages = request.app.state.pages
    path = request.scope["path"].removeprefix(base_of(request))
    if path.startswith(("/api/", "/static/")) or "text/html" not in request.headers.get("Accept", ""):
        return None
    first = path.removeprefix("/").split("/")[0]
    language = first if first in LANGUAGES[1:] else LANGUAGES[0]
    return await UNKNOWN.answer(Here(request, UNKNOWN, language, pages))
