"""Windows of a real browser for the pages' tests, and what holds at the end of each: nothing odd has happened."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from bench.browser import chromium, find_chromium
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import Error as BrowserError

from footfall_testing.web_city import City

ROOT: Final = Path(__file__).resolve().parents[2]
AXE: Final = ROOT / "node_modules/axe-core/axe.min.js"
SIZES: Final = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1280, "height": 900}}
WAIT_MS: Final = 30_000
"""How long anything is waited for that comes by itself; a machine may do other things, too."""

needs_chromium: Final = [
    pytest.mark.browser,
    pytest.mark.skipif(not find_chromium(), reason="Chromium is not installed: no page is looked at in a browser"),
]
both_sizes: Final = pytest.mark.parametrize("size", SIZES)

Browse = Callable[..., Page]
"""`browse(city, "/", size="phone", allow=(…), expected="…", script="…", **context)`: a page in a window of its own."""


class Chromium:
    """The browser of a worker: started when a test first wants it, and kept until it is closed.

    While it is there an event loop runs in this thread, and no other can: it is closed before a test that does without.
    """

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._browser: Browser | None = None

    def browser(self) -> Browser:
        """The browser; a new one if it broke down."""
        if self._browser is None or not self._browser.is_connected():
            self.close()
            self._browser = self._opened.enter_context(chromium())
            expect.set_options(timeout=WAIT_MS)
        return self._browser

    def close(self) -> None:
        """End it, and with it its event loop."""
        self._browser = None
        self._opened.close()


class Windows:
    """The windows of one test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._faults: list[str] = []

    def browse(
        self,
        city: City,
        path: str = "/",
        *,
        size: str = "desktop",
        allow: tuple[str, ...] = (),
        expected: tuple[str, ...] = (),
        script: str = "",
        clock: bool = False,
        **options: Any,
    ) -> Page:
        """The page at `path` in a window of its own.

        `allow`: origins beside the city's own that the page may ask; `expected`: what the console may say; `script`:
        runs before the page's own; `clock`: the page's time is what the test makes it; `options`: of the context.
        """
        context = self._browser.new_context(**{"viewport": SIZES[size]} | options)
        context.set_default_timeout(WAIT_MS)
        self._contexts.append(context)
        page = context.new_page()
        self.watch(page, (city.url, *allow), expected)
        if script:
            page.add_init_script(script)
        if clock:
            page.clock.install()
        page.goto(city.url + path)
        return page

    def watch(self, page: Page, origins: tuple[str, ...], expected: tuple[str, ...] = ()) -> None:
        """Note everything odd that a window does: it asks another host, says something on the console."""

        def look(address: str) -> None:
            parts = urlsplit(address)
            if parts.scheme not in {"blob", "data"} and f"{parts.scheme}://{parts.netloc}" not in origins:
                self._faults.append(f"asked another host: {address}")

        def hear(kind: str, text: str) -> None:
            # What the driver of this machine's graphics says is not the page's doing.
            if kind in {"error", "warning"} and not any(part in text for part in (*expected, "GL Driver Message")):
                self._faults.append(f"console {kind}: {text}")

        page.on("request", lambda request: look(request.url))
        page.on("pageerror", lambda error: self._faults.append(f"script error: {error}"))
        page.on("console", lambda message: hear(message.type, message.text))

    def end(self) -> None:
        """Close them; nothing odd has happened in any."""
        cookies = [cookie for context in self._contexts for cookie in context.cookies()]
        for context in self._contexts:
            context.close()
        assert cookies == []
        assert self._faults == []


def violations(page: Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA and good practice, one line each; by `rules` only if there are."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run tools/web_assets.py")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        """(runOnly) => axe.run(document, { runOnly, resultTypes: ['violations'] })
            .then(({ violations }) => violations)""",
        list(rules) or ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    )
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


def wider_than_the_screen(page: Page) -> str:
    """What scrolls sideways, in words; nothing if nothing does. Charts take a new width when they get round to it."""
    with suppress(BrowserError):
        page.wait_for_function("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    shown, wide = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    return f"{wide} px wide on a screen of {shown} px" if wide > shown else ""
