"""What holds for all pages, whichever there are: each registered page in each language, in a real browser.

The pages come from `footfall_api.pages.PAGES`; a new page is looked at from the day on which it is registered. What a
page needs beyond its address is in the small tables below.
"""

import functools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psycopg
import pytest
from bench.browser import FOR_OPERATORS, View, views
from playwright.sync_api import Page, expect

from footfall_api.messages import LANGUAGES
from footfall_api.pages import PAGES
from footfall_api.pages.frame import Pages
from footfall_ingest import remarks
from footfall_testing.databases import Pool
from footfall_testing.waiting import wait_until
from footfall_testing.web_city import JENA, City, this_minute
from footfall_testing.windows import SIZES, Browse, needs_chromium, violations, wider_than_the_screen

TOKEN = "a-token-of-the-operator-0123456789"
DAYS = 3

NO_NAVIGATION = frozenset({"kiosk"})
"""Pages that fill the screen of a showroom: no way leads out of them."""
NOT_FOUND = "unknown"
"""The page that stands at every address that is none."""

VIEWS = views("markt")
BY_NAME = {f"{view.key}-{view.language}": view for view in VIEWS}

BY_LOOK = ("color-contrast", "scrollable-region-focusable")
"""Rules of axe-core whose findings are those of colours and sizes; the others look at what is in the page."""

pytestmark = [*needs_chromium, pytest.mark.xdist_group("browser-1")]
every_view = pytest.mark.parametrize("view", [pytest.param(view, id=name) for name, view in BY_NAME.items()])


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
        # No page waits for long for the hours of today; here all of a page is looked at.
        wait_until(lambda: 'id="hours"' in httpx.get(city.url, timeout=60).text, timeout=60, what="the hours of today")
        yield city
        city.stop()


@pytest.fixture(scope="module")
def sent(town: City) -> Callable[[View], httpx.Response]:
    """The page of a view as it is sent, without a browser; each is asked for once."""

    @functools.cache
    def ask(view: View) -> httpx.Response:
        auth = ("betrieb", TOKEN) if view.key in FOR_OPERATORS else None
        return httpx.get(town.url + view.path, timeout=60, auth=auth, headers={"Accept": "text/html"})

    return ask


@pytest.fixture
def open_view(browse: Browse, town: City) -> Browse:
    """Opens a view: `open_view(view, "phone", **context)`; who may see it is signed in."""

    def open_(view: View, size: str, **options: Any) -> Page:
        if view.key in FOR_OPERATORS:
            options["http_credentials"] = {"username": "betrieb", "password": TOKEN, "send": "always"}
        # The browser itself says on the console that a page was not found.
        expected = ("status of 404",) if view.key == NOT_FOUND else ()
        page = browse(town, view.path, size=size, expected=expected, **options)
        status = page.evaluate("performance.getEntriesByType('navigation')[0].responseStatus")
        assert status == (404 if view.key == NOT_FOUND else 200)
        if options.get("java_script_enabled", True):
            settle(page)
        return page

    return open_


def settle(page: Page) -> None:
    """Wait until the scripts have done what they do at first: charts are drawn, the live stream is there."""
    page.wait_for_function(
        """() => [...document.querySelectorAll('.plot-box')]
            .every((box) => box.dataset.drawn || box.classList.contains('is-failed'))"""
    )
    if page.locator("#light").count() and page.evaluate("document.documentElement.classList.contains('scripted')"):
        expect(page.locator("#light[data-state=on]")).to_be_attached()


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


def walk(page: Page) -> list[str]:
    """What is wrong with the way that Tab takes through the page, in words."""
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
    way = [] if visited == expected else [f"Tab goes {visited} instead of {expected}"]
    return way + [f"does not show that it has the focus: {html}" for html, shown in seen.items() if not shown]


@pytest.mark.parametrize(
    "view",
    [
        *(pytest.param(view, id=name) for name, view in BY_NAME.items()),
        pytest.param(View(NOT_FOUND, "de", "/nirgends"), id="unknown-de"),
        pytest.param(View(NOT_FOUND, "en", "/en/nowhere"), id="unknown-en"),
    ],
)
def test_a_page_keeps_nobody_out(open_view: Browse, view: View) -> None:
    """Keyboard, axe-core, width: on a phone and on a desktop, light and dark, nobody is kept out.

    Tab reaches every link and control in the order of the page, and each shows that it has the focus. axe-core has no
    complaint. Nothing scrolls sideways. The first language begins light on a phone and is dark on a desktop, the others
    the other way round: what a language changes is the text, what a size changes the layout, and what a colour scheme
    changes only colours.
    """
    first, second = ("phone", "desktop") if view.language == LANGUAGES[0] else ("desktop", "phone")
    page = open_view(view, first, color_scheme="light")
    found = [f"{first}: {line}" for line in walk(page)]
    found += [f"{first}, light: {line}" for line in violations(page)]
    found += [f"{first}: {wide}"] if (wide := wider_than_the_screen(page)) else []
    page.set_viewport_size(SIZES[second])
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("width => document.documentElement.clientWidth <= width", arg=SIZES[second]["width"])
    settle(page)
    found += [f"{second}, dark: {line}" for line in violations(page, BY_LOOK)]
    found += [f"{second}: {wide}"] if (wide := wider_than_the_screen(page)) else []

    assert page.evaluate("document.documentElement.lang") == view.language
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert found == []


@every_view
def test_without_scripts_a_page_says_the_same(open_view: Browse, view: View) -> None:
    """With JavaScript off the page has its heading and its content, every form can be sent, and ways lead on.

    The language switch leads to the very same view, and the navigation marks the current page and no other.
    """
    page = open_view(view, "phone", java_script_enabled=False)

    expect(page.locator("h1")).to_be_visible()
    assert len(page.locator("main").inner_text()) > 100
    forms = page.locator("form")
    for number in range(forms.count()):
        button = forms.nth(number).locator("button:not([type=button]), input[type=submit]")
        assert button.first.is_visible(), forms.nth(number).inner_html()[:500]
    if view.key in NO_NAVIGATION:
        return
    for language in LANGUAGES:
        link = page.locator(f'nav.languages a[hreflang="{language}"]')
        assert link.get_attribute("href") == BY_NAME[f"{view.key}-{language}"].path
        assert (link.get_attribute("aria-current") == "true") == (language == view.language)
    targets = "all => all.map((link) => link.getAttribute('href'))"
    ways = page.locator("nav.pages a, nav.more-pages a").evaluate_all(targets)
    current = page.locator('nav.pages a[aria-current="page"], nav.more-pages a[aria-current="page"]')
    assert current.evaluate_all(targets) == [Pages.path(view.key, view.language)]
    assert {Pages.path(other.key, view.language) for other in PAGES} <= set(ways)


@every_view
def test_a_page_is_sent_with_a_strict_policy_and_keeps_to_it(
    sent: Callable[[View], httpx.Response], view: View
) -> None:
    """Nothing inline, nothing from elsewhere, no cookie; the policy would not allow it either."""
    page = sent(view)
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


def test_no_two_pages_have_the_same_title(sent: Callable[[View], httpx.Response]) -> None:
    """In a row of tabs and among bookmarks each page is told from the others, also from the one that is not there."""
    titles: dict[str, str] = {}
    for view in [*VIEWS, View(NOT_FOUND, "de", "/nirgends"), View(NOT_FOUND, "en", "/en/nowhere")]:
        (title,) = re.findall(r"<title>\s*(.*?)\s*</title>", sent(view).text, re.DOTALL)
        assert title
        assert title not in titles, f"{view} has the title of {titles[title]}"
        titles[title] = f"{view.key}-{view.language}"
