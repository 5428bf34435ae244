"""Chromium, and the pages as people see them: on a phone and on a desktop, in each language."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from footfall_api.messages import LANGUAGES
from footfall_api.pages import PAGES
from footfall_api.pages.frame import Pages

NO_CHROMIUM: Final = (
    "Chromium is not installed; on Debian: apt install chromium, elsewhere Chromium or Google Chrome on the PATH"
)

SIZES: Final = {"phone": (360, 740), "desktop": (1280, 900)}
"""Width and height of the window in CSS pixels."""

ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
)  # fmt: skip

FOR_OPERATORS: Final = frozenset({"operations"})
"""Pages that ask for the operator's token."""


def find_chromium() -> str | None:
    """The program, if there is one on the PATH."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextlib.contextmanager
def chromium(program: str | None = None) -> Iterator[Browser]:
    """A browser; `program` is the one that is on the PATH if none is named."""
    with sync_playwright() as playwright:
        browser = launched(playwright, program or find_chromium() or "")
        try:
            yield browser
        finally:
            browser.close()


def launched(playwright: Playwright, program: str) -> Browser:
    """The browser, started."""
    return playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))


@dataclass(frozen=True)
class View:
    """A page in one language: `path` is its address without the host."""

    key: str
    language: str
    path: str


def views(place: str, /, *, languages: Sequence[str] = LANGUAGES, **queries: str) -> list[View]:
    """Every page in each language; one about a station is shown with `place`. `queries` are by page."""
    found = []
    for page in PAGES:
        for language in languages:
            path = Pages.path(page.key, language)
            if any("{station}" in more for more in page.more):
                path = f"{path.rstrip('/')}/{place}"
            query = queries.get(page.key)
            found.append(View(page.key, language, path + (f"?{query}" if query else "")))
    return found


def opened(browser: Browser, view: View, token: str, size: str, **options: Any) -> BrowserContext:
    """A window of its own for a view; who may see it is signed in."""
    width, height = SIZES[size]
    if view.key in FOR_OPERATORS:
        options["http_credentials"] = {"username": "betrieb", "password": token, "send": "always"}
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(30_000)
    return context
