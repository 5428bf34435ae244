"""What holds for all pages, whichever there are: each registered page in each language, in a real browser.

The pages come from `footfall_api.pages.PAGES`; a new page is looked at from the day on which it is registered. What a
page needs beyond its address is in the small tables below.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from bench.browser import FOR_OPERATORS, SIZES, View, find_chromium, launched, opened, views
from playwright.sync_api import Browser, Page, expect, sync_playwright

from footfall_api.messages import LANGUAGES
from footfall_api.pages import PAGES
from footfall_api.pages.frame import Pages
from footfall_ingest import remarks
from footfall_testing.databases import Pool
from footfall_testing.web_city import JENA, City, this_minute

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHROMIUM = find_chromium() or ""
TOKEN = "a-token-of-the-operator-0123456789"
DAYS = 3
WAIT_MS = 20_000

NO_NAVIGATION = frozenset({"kiosk"})
"""Pages that fill the screen of a showroom: no way leads out of them."""
NOT_FOUND = "unknown"
"""The page that stands at every address that is none."""

VIEWS = views("markt")
BY_NAME = {f"{view.key}-{view.language}": view for view in VIEWS}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed: the pages are not looked at in a browser"),
]
every_view = pytest.mark.parametrize("view", [pytest.param(view, id=name) for name, view in BY_NAME.items()])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for this module; its event loop must be gone before other modules run."""
    with sync_playwright() as playwright:
        browser = launched(playwright, CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def town(plain_pool: Pool) -> Iterator[City]:
    """Six stations with three days behind them, with a gap in each, half a day in one, and with a remark."""
    public: dict[str, Any] = {"local": True, "operator_token": TOKEN}
    with plain_pool.database() as dsn, TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True) as folder:
        city = City(dsn, Path(folder), settings={"public": public})
        city.add_stations(JENA)
        now_s = this_minute()
        for number, feature in enumerate(JENA):
            for back in range(2 * DAYS, 0, -1):
                if back > 1 or feature["id"] != "wagnergasse":
                    minutes = 600 if back == 3 else 720
                    city.count(feature["id"], now_s - back * 12 * 3600, {0: number, 1: 2 * number}, minutes=minutes)
            city.count(feature["id"], now_s, {0: number}, observed_s=10)
        with psycopg.connect(dsn, autocommit=True) as connection:
            yesterday = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
            place, ends = remarks.Place("station", "markt"), yesterday + timedelta(hours=6)
            remarks.add(
                connection,
                place,
                starts=yesterday,
                ends=ends,
                kind="works",
                text="Pflaster wird erneuert",
                excludes=False,
            )
        city.start()
        yield city
        city.stop()


class Watch:
    """Everything odd that a window does: it asks another host, says something on the console, sets a cookie."""

    def __init__(self, page: Page, origin: str, expected: str = "no such message") -> None:
        self.page = page
        self.faults: list[str] = []

        def look(address: str) -> None:
            parts = urlsplit(address)
            if parts.scheme not in {"blob", "data"} and f"{parts.scheme}://{parts.netloc}" != origin:
                self.faults.append(f"asked another host: {address}")

        def hear(kind: str, text: str) -> None:
            if expected not in text and "GL Driver Message" not in text:  # this machine's graphics, not the page
                self.faults.append(f"console {kind}: {text}")

        page.on("request", lambda request: look(request.url))
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("console", lambda message: hear(message.type, message.text))

    def end(self) -> None:
        """Nothing odd has happened."""
        assert self.page.context.cookies() == []
        assert self.faults == []


@pytest.fixture
def open_view(chromium: Browser, town: City) -> Iterator[Any]:
    """Opens a view: `open_view(view, "phone", **context)`; at the end nothing odd has happened."""
    watches: list[Watch] = []

    def open_(view: View, size: str, **options: Any) -> Page:
        context = opened(chromium, view, TOKEN, size, **options)
        page = context.new_page()
        # The browser itself says on the console that a page was not found.
        watches.append(Watch(page, town.url, "status of 404" if view.key == NOT_FOUND else "no such message"))
        response = page.goto(town.url + view.path)
        assert response is not None
        assert response.status == (404 if view.key == NOT_FOUND else 200), response.text()[:2000]
        settle(page)
        return page

    yield open_
    for watch in watches:
        watch.end()
        watch.page.context.close()


def settle(page: Page) -> None:
    """Wait until the scripts have done what they do at first: charts are drawn, the live stream is there."""
    page.wait_for_function(
        """() => [...document.querySelectorAll('.plot-box')]
            .every((box) => box.dataset.drawn || box.classList.contains('is-failed'))"""
    )
    if page.locator("#light").count() and page.evaluate("document.documentElement.classList.contains('scripted')"):
        expect(page.locator("#light[data-state=on]")).to_be_attached(timeout=WAIT_MS)


def ask(town: City, view: View, **headers: str) -> httpx.Response:
    """The page without a browser."""
    auth = ("betrieb", TOKEN) if view.key in FOR_OPERATORS else None
    return httpx.get(town.url + view.path, timeout=30, auth=auth, headers={"Accept": "text/html", **headers})


def violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA, one line each; of all rules, or of those named."""
    options = {"runOnly": rules or ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = page.evaluate("(options) => axe.run(document, options).then(({ violations }) => violations)", options)
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize(
    "view",
    [
        *(pytest.param(view, id=name) for name, view in BY_NAME.items()),
        pytest.param(View(NOT_FOUND, "de", "/nirgends"), id="unknown-de"),
        pytest.param(View(NOT_FOUND, "en", "/en/nowhere"), id="unknown-en"),
    ],
)
def test_a_page_keeps_nobody_out(open_view: Any, view: View) -> None:
    """On a phone and on a desktop, light and dark: axe-core has no complaint, and nothing scrolls sideways."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run tools/web_assets.py")
    page = open_view(view, "phone", color_scheme="light")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("width => document.documentElement.clientWidth <= width", arg=width)
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{size}: {wide} px wide"] if wide > width else []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            settle(page)
            # All that a colour scheme changes is colours.
            rules = None if scheme == "light" else ["color-contrast"]
            found += [f"{size}, {scheme}: {line}" for line in violations(page, rules)]

    assert page.evaluate("document.documentElement.lang") == view.language
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert found == []


# What Tab is expected to reach, in this order: of radio buttons with one name only the chosen one, or the first.
STOPS = """() => {
    const first = (radio) => {
        const group = [...document.getElementsByName(radio.name)].filter((other) => other.form === radio.form);
        return (group.find((other) => other.checked) ?? group[0]) === radio;
    };
    return [...document.querySelectorAll(
            'a[href], input:not([type=hidden]), select, textarea, summary, button, [tabindex="0"]')]
        .filter((at) => at.checkVisibility({ visibilityProperty: true }) && !at.matches(':disabled')
            && (at.tagName === 'SUMMARY' || !at.closest('details:not([open])'))
            && (at.type !== 'radio' || first(at)))
        .map((at, index) => { at.dataset.stop = index; return index; });
}"""

# The number of the element that has the focus, and whether it looks different: an outline, a shadow or a frame, on
# itself, on something in it, or on its label.
FOCUS = """() => {
    const at = document.activeElement;
    const marked = (one) => {
        const style = getComputedStyle(one);
        return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none'
            || (one.classList.contains('label-ground') && style.stroke !== 'none');
    };
    const seen = [at, ...at.querySelectorAll('*'), ...(at.labels ?? [])].some(marked);
    const stop = at.dataset.stop === undefined ? null : Number(at.dataset.stop);
    return { body: at === document.body, stop, seen, html: at.outerHTML.slice(0, 200) };
}"""


@every_view
def test_the_keyboard_reaches_everything(open_view: Any, view: View) -> None:
    """Tab reaches every link and control in the order of the page, and each shows that it has the focus.

    German on a phone, the other languages on a desktop: what a language changes is the text.
    """
    page = open_view(view, "phone" if view.language == LANGUAGES[0] else "desktop")
    expected = page.evaluate(STOPS)
    visited: list[int] = []
    seen: dict[str, bool] = {}
    for _ in range(4 * len(expected) + 10):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["body"] or (len(visited) > 1 and focus["stop"] == visited[0]):
            break
        # A field for a date has several stops in it, the last of which, a button, the browser marks by itself. A region
        # that scrolls is one as well, without a tabindex.
        if focus["stop"] is not None and focus["stop"] not in visited[-1:]:
            visited.append(focus["stop"])
        seen[focus["html"]] = seen.get(focus["html"], False) or focus["seen"]

    assert visited == expected
    assert [html for html, shown in seen.items() if not shown] == []


@every_view
def test_without_scripts_a_page_says_the_same(open_view: Any, view: View) -> None:
    """With JavaScript off the page has its heading and its content, and every form can be sent."""
    page = open_view(view, "phone", java_script_enabled=False)

    expect(page.locator("h1")).to_be_visible()
    assert len(page.locator("main").inner_text()) > 100
    forms = page.locator("form")
    for number in range(forms.count()):
        button = forms.nth(number).locator("button:not([type=button]), input[type=submit]")
        assert button.first.is_visible(), forms.nth(number).inner_html()[:500]


@every_view
def test_a_page_is_sent_with_a_strict_policy_and_keeps_to_it(town: City, view: View) -> None:
    """Nothing inline, nothing from elsewhere, no cookie; the policy would not allow it either."""
    page = ask(town, view)
    policy = page.headers["Content-Security-Policy"]
    # What stands in a data block or between tags is text and not an attribute.
    tags = re.findall(r"<[a-zA-Z][^<>]*>", re.sub(r"(?s)(<script[^>]*>).*?</script>", r"\1", page.text))

    assert page.status_code == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "Set-Cookie" not in page.headers
    assert [tag for tag in tags if re.search(r"\s(style|on[a-z]+)\s*=", re.sub(r'"[^"]*"', '""', tag))] == []
    assert [tag for tag in tags if re.match(r"<(style|iframe|object|embed|base)\b", tag)] == []
    scripts = [tag for tag in tags if tag.startswith("<script")]
    assert [tag for tag in scripts if ' src="/static/' not in tag and 'type="application/json"' not in tag] == []
    loaded = re.findall(
        r'<(?:script|img|source)\b[^>]*\ssrc="([^"]*)"|<link rel="(?!alternate)[^>]*href="([^"]*)"', page.text
    )
    assert loaded
    assert [address for pair in loaded for address in pair if address and not address.startswith("/static/")] == []


@every_view
def test_a_page_leads_to_itself_in_each_language_and_marks_where_one_is(
    town: City, chromium: Browser, view: View
) -> None:
    """The language switch leads to the very same view, and the navigation marks the current page and no other."""
    if view.key in NO_NAVIGATION:
        pytest.skip("this page fills a screen in a showroom and has no navigation")
    context = opened(chromium, view, TOKEN, "desktop", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{town.url}{view.path}")
    for language in LANGUAGES:
        link = page.locator(f'nav.languages a[hreflang="{language}"]')
        assert link.get_attribute("href") == BY_NAME[f"{view.key}-{language}"].path
        assert (link.get_attribute("aria-current") == "true") == (language == view.language)
    links = page.locator("nav.pages a, nav.more-pages a")
    current = page.locator('nav.pages a[aria-current="page"], nav.more-pages a[aria-current="page"]')
    own = Pages.path(view.key, view.language)
    assert [current.nth(number).get_attribute("href") for number in range(current.count())] == [own]
    ways = {links.nth(number).get_attribute("href") for number in range(links.count())}
    assert {Pages.path(other.key, view.language) for other in PAGES} <= ways
    context.close()


def test_no_two_pages_have_the_same_title(town: City) -> None:
    """In a row of tabs and among bookmarks each page is told from the others, also from the one that is not there."""
    titles: dict[str, str] = {}
    for view in [*VIEWS, View(NOT_FOUND, "de", "/nirgends"), View(NOT_FOUND, "en", "/en/nowhere")]:
        (title,) = re.findall(r"<title>\s*(.*?)\s*</title>", ask(town, view).text, re.DOTALL)
        assert title
        assert title not in titles, f"{view} has the title of {titles[title]}"
        titles[title] = f"{view.key}-{view.language}"
