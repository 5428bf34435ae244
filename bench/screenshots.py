"""``make screenshots``: pictures of every page, phone and desktop, in each language, light, and dark in one of them.

They show a real city: PostgreSQL, two months as the demo simulates them, a few remarks, the real API; with ``--url`` an
installation that runs already. The pages are those that are registered, so a new page needs nothing here.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser
from playwright.sync_api import Error as BrowserError

from bench import servers, shown
from bench.browser import NO_CHROMIUM, SIZES, View, chromium, find_chromium, opened, views
from bench.servers import ROOT
from bench.shown import STATION, Shown
from footfall_api.messages import LANGUAGES
from footfall_api.pages import PAGES

DAYS = 60
SETTLED_MS = 3000
"""So long a page may go on loading before its picture is taken as it is: a live stream never ends."""

# A browser leaves out what is far below the window until it comes near; a picture of all of it wants it now.
ALL_OF_IT = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('* { content-visibility: visible !important; }');
    document.adoptedStyleSheets.push(sheet);
}"""


class Failed(Exception):  # noqa: N818  # what happened, not a kind of error
    """There are no pictures; the message says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Take the pictures; 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="make screenshots", description="Take pictures of every page.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist/screenshots", help="default: %(default)s")
    parser.add_argument("--page", action="append", default=[], metavar="KEY", help="only this page; may be repeated")
    parser.add_argument("--days", type=int, default=DAYS, help="how many days the city has behind it (%(default)s)")
    parser.add_argument("--url", help="take pictures of a running installation instead")
    parser.add_argument("--token", default="", help="its operator's token")
    options = parser.parse_args(argv)
    try:
        shots = [*_shots(_wanted(options.page))]
        with _city(options) as city, chromium() as browser:
            _say(f"taking {len(shots)} pictures of {city.url}")
            faults = [fault for shot in shots if (fault := _take(browser, city, shot, options.folder))]
    except Failed as failed:
        _say(str(failed))
        return 1
    for fault in faults:
        _say(fault)
    _say(f"they are in {options.folder}")
    return 1 if faults else 0


def _wanted(keys: Sequence[str]) -> list[View]:
    """The views to take, if they can be taken."""
    if find_chromium() is None:
        raise Failed(NO_CHROMIUM)
    known = {page.key for page in PAGES}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise Failed(f"there is no page {unknown[0]!r}; there are: {', '.join(sorted(known))}")
    return [view for view in views(STATION) if not keys or view.key in keys]


@dataclass(frozen=True)
class Shot:
    """A picture to take; `scheme` is light or dark."""

    view: View
    size: str
    scheme: str

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.view.key}-{self.view.language}-{self.size}-{self.scheme}.png"


def _shots(wanted: Sequence[View]) -> Iterator[Shot]:
    """Light in each language, dark in the first."""
    for view, size, scheme in product(wanted, SIZES, ("light", "dark")):
        if scheme == "light" or view.language == LANGUAGES[0]:
            yield Shot(view, size, scheme)


@contextlib.contextmanager
def _city(options: argparse.Namespace) -> Iterator[Shown]:
    if options.url:
        yield Shown(options.url.rstrip("/"), options.token)
        return
    with servers.workplace() as folder, servers.plain(folder) as server:
        _say(f"making a city with {options.days} days behind it")
        with shown.simulated(server, folder, options.days, _progress) as city:
            yield city


def _take(browser: Browser, city: Shown, shot: Shot, folder: Path) -> str | None:
    """Write one picture; returns what was wrong, if something was."""
    view = shot.view
    context = opened(browser, view, city.token, shot.size, color_scheme=shot.scheme, locale=view.language)
    try:
        page = context.new_page()
        response = page.goto(city.url + view.path)
        with contextlib.suppress(BrowserError):
            page.wait_for_load_state("networkidle", timeout=SETTLED_MS)
        page.evaluate(ALL_OF_IT)
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / shot.name, full_page=True)
    except BrowserError as error:
        return f"{shot.name}: {error.message.splitlines()[0]}"
    finally:
        context.close()
    _say(f"  {shot.name}")
    status = response.status if response else 0
    return None if status == 200 else f"{shot.name}: {view.path} answered with status {status}"


def _progress(done: float, total: float) -> None:
    sys.stderr.write(f"\r  {done:.0f} of {total:.0f} days simulated" + ("\n" if done == total else ""))
    sys.stderr.flush()


def _say(sentence: str) -> None:
    sys.stderr.write(f"screenshots: {sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
