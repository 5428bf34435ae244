"""The page in a real browser, on a phone and on a desktop, with a real API and a real database behind it.

Every test ends with the same demands (see `browse`): no request to another host, nothing on the console, no script
error, no cookie.
"""

import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from footfall_testing.waiting import wait_until
from footfall_testing.web_city import JENA, MINUTE_S, City, CityMaker, feature, this_minute

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
SIZES = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1280, "height": 900}}
WAIT_MS = 20_000
DAY_S = 24 * 3600

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed: the page is not looked at in a browser"),
]
both_sizes = pytest.mark.parametrize("size", SIZES)
Browse = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for this module; its event loop must be gone before other modules run."""
    arguments = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
    ]  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Browse]:
    """Opens pages: `browse(city, "/", size="phone", allow=[...], **context)`; at the end nothing odd has happened.

    `allow`: origins beside the city's own that the page may ask; `expected`: what the console may say; `script`: runs
    before the page's own.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(
        city: City,
        path: str = "/",
        *,
        size: str = "desktop",
        allow: tuple[str, ...] = (),
        expected: str = "no such message",
        script: str = "",
        **options: Any,
    ) -> Page:
        context = chromium.new_context(viewport=SIZES[size], **options)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        if script:
            page.add_init_script(script)

        def look(address: str) -> None:
            parts = urlsplit(address)
            if parts.scheme != "blob" and f"{parts.scheme}://{parts.netloc}" not in (city.url, *allow):
                faults.append(f"asked another host: {address}")

        page.on("request", lambda request: look(request.url))
        page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
        page.on(
            "console",
            lambda message: (
                faults.append(f"console {message.type}: {message.text}")
                if message.type in {"error", "warning"}
                and expected not in message.text
                and "GL Driver Message" not in message.text  # this machine's graphics, not the page
                else None
            ),
        )
        page.goto(city.url + path)
        return page

    yield open_page
    for context in contexts:
        assert context.cookies() == []
        context.close()
    assert faults == []


def live(page: Page) -> None:
    """Wait until the page has its first board from the live stream and has drawn the chart."""
    expect(page.locator("#light[data-state=on]")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#plot svg")).to_be_visible(timeout=WAIT_MS)


def row(page: Page, station: str) -> Any:
    """The station's row in the table."""
    return page.locator(f'.board tr[data-station="{station}"]')


def figure(page: Page, station: str, name: str) -> Any:
    """A number of the station's row."""
    return row(page, station).locator(f'[data-figure="{name}"]')


def usual_hour(city: City, station: str = "markt") -> int:
    """An hour with 3 in and 2 out each minute, up to the running minute, whose beginning is returned."""
    now_s = this_minute()
    city.count(station, now_s - 60 * MINUTE_S, {0: 3, 1: 2}, minutes=60)
    return now_s


def quiet_day(city: City, station: str) -> None:
    """A day and a bit up to and with the running minute in which nobody came."""
    city.count(station, this_minute() - 1500 * MINUTE_S, {}, minutes=1501)


@both_sizes
def test_numbers_move_when_rows_are_committed(city: City, browse: Browse, size: str) -> None:
    """A committed report changes total, directions, map, sentence and table without a reload."""
    page = browse(city, "/?station=markt", size=size)
    live(page)
    expect(figure(page, "markt", "today")).to_have_text("–nicht gemessen")

    city.count("markt", this_minute(), {0: 1200, 1: 34}, observed_s=10)
    expect(figure(page, "markt", "in")).to_have_text("1.200", timeout=WAIT_MS)
    expect(figure(page, "markt", "out")).to_have_text("34")
    expect(figure(page, "markt", "today")).to_contain_text("1.234")
    expect(figure(page, "markt", "five")).to_have_text("≥ 1.234")
    expect(page.locator('.mark[data-station="markt"] [data-total]:visible')).to_have_text("1.234")
    expect(page.locator("#summary")).to_contain_text("1.234 Passagen")
    expect(page.locator("#chart-text")).to_contain_text("1.234 Passagen (1.200 Richtung Rathaus; 34 Richtung Kirche)")

    city.count("markt", this_minute(), {0: 1}, observed_s=10)
    expect(figure(page, "markt", "in")).to_have_text("1.201", timeout=WAIT_MS)


def minutes_of_api(city: City, station: str, now_s: int) -> dict[str, list[int | None]]:
    """What the API says of the last hour by the minute: start in UTC → [in, out]."""
    answer = httpx.get(
        f"{city.url}/api/v1/stations/{station}/counts",
        params={
            "from": iso(now_s - 59 * MINUTE_S),
            "to": iso(now_s + MINUTE_S),
            "resolution": "1min",
            "split": "direction",
        },
        timeout=20,
    )
    found: dict[str, dict[str, int | None]] = {}
    for value in answer.raise_for_status().json()["values"]:
        found.setdefault(utc(value["start"]), {})[value["direction"]] = value["count"]
    return {start: [counts["in"], counts["out"]] for start, counts in found.items()}


def iso(second: int) -> str:
    """UTC unix seconds as the API takes them."""
    return datetime.fromtimestamp(second, UTC).isoformat()


def utc(moment: str) -> str:
    """A moment with any offset, in UTC to the minute."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


TABLE = """() => [...document.querySelectorAll('#minutes-body tr')].map((row) => [
    row.querySelector('time').dateTime, ...[...row.cells].slice(1).map((cell) => cell.textContent.trim())])"""

# Heights of the bars of each direction from left to right, as drawn. Bars are told by their colour.
BARS = """() => {
    const style = getComputedStyle(document.documentElement);
    const canvas = document.createElement('canvas').getContext('2d');
    const plain = (colour) => { canvas.fillStyle = colour; return canvas.fillStyle; };
    const heights = (name) => [...document.querySelectorAll('#plot svg path')]
        .filter((path) => [path.getAttribute('fill'), path.getAttribute('stroke')].some((colour) =>
            colour && colour !== 'none' && plain(colour) === plain(style.getPropertyValue(name).trim())))
        .map((path) => path.getBBox()).sort((a, b) => a.x - b.x).map((box) => box.height);
    return { in: heights('--in'), out: heights('--out') };
}"""


@both_sizes
def test_chart_and_table_agree_with_the_api(city: City, browse: Browse, size: str) -> None:
    """Minute by minute the table has the API's numbers, a gap is a dash, and the bars are as high as the numbers."""
    now_s = this_minute()
    for ago in range(59, 0, -1):
        if not 20 <= ago < 30:
            city.count("markt", now_s - ago * MINUTE_S, {0: (ago * 7) % 13, 1: (ago * 5) % 11})
    page = browse(city, "/?station=markt", size=size)
    live(page)

    def agreed() -> list[list[str]] | None:
        table = page.evaluate(TABLE)
        newest = utc(table[0][0])
        known = minutes_of_api(city, "markt", this_minute())
        wanted = [["–" if count is None else str(count) for count in known.get(utc(line[0]), [])] for line in table]
        return table if newest in known and [line[1:3] for line in table] == wanted else None

    table = wait_until(agreed, what="a table that agrees with the API", every=0.3)
    assert len(table) == 60
    # Ten minutes are missing on purpose; one or two more if minutes began while the browser was opened.
    assert 10 <= sum(line[1] == "–" for line in table[1:]) <= 12

    for column, key in ((1, "in"), (2, "out")):
        counts = [0 if line[column] == "–" else int(line[column]) for line in reversed(table)]
        heights = page.evaluate(BARS)[key]
        drawn = [height for height in heights if height > 0.5]
        wanted = [count for count in counts if count]
        unit = max(drawn) / max(wanted)
        assert [round(height / unit, 1) for height in drawn] == pytest.approx(wanted, abs=0.15)


def test_server_and_scripts_say_the_same(city: City, browse: Browse) -> None:
    """What the scripts write of a board is what the server writes of it, to the letter, gaps and silence too."""
    now_s = usual_hour(city, "markt")
    quiet_day(city, "holzmarkt")
    city.count("kirchplatz", now_s - 50 * MINUTE_S, {0: 4}, minutes=20)
    city.count("loebderstrasse", now_s - 60 * MINUTE_S, {0: 4, 1: 1}, minutes=30)
    city.count("loebderstrasse", now_s - 30 * MINUTE_S, {0: 1}, minutes=30, observed_s=30)
    noon_s = now_s - now_s % DAY_S + DAY_S // 2
    city.count("wagnergasse", noon_s - 30 * DAY_S, {0: 1234}, minutes=60)
    scripted = browse(city, "/?station=loebderstrasse")
    plain = browse(city, "/?station=loebderstrasse", java_script_enabled=False)
    live(scripted)

    def texts(page: Page) -> list[str]:
        found = ["#summary", "#chart-text", "#chart-keys", "#minutes", ".board tbody", ".map-drawing.is-wide"]
        marks = page.locator(".map-drawing.is-wide .mark").evaluate_all("all => all.map((a) => a.ariaLabel)")
        classes = page.locator(".board tbody tr").evaluate_all("all => all.map((row) => row.className)")
        # Scripts do not repeat the template's line breaks between cells.
        written = ["".join((page.locator(where).text_content() or "").split()) for where in found]
        return [*written, *marks, *classes]

    def same() -> bool:
        plain.reload()
        return texts(plain) == texts(scripted)

    wait_until(same, timeout=30, what="the same words from server and scripts", every=0.2)
    said = texts(plain)[4]
    assert "seit60Minutenkamniemandvorbei" in said
    assert "keineDatenseit" in said
    assert "74.040Passagen" in said
    assert "≥" in said


def test_silence_and_quiet_look_different(city: City, browse: Browse) -> None:
    """A quiet sensor shows 0 and a filled dot, a silent one a dash and a hollow dot; both say what they are."""
    now_s = this_minute()
    quiet_day(city, "holzmarkt")
    city.count("kirchplatz", now_s - 90 * MINUTE_S, {0: 4}, minutes=10)
    page = browse(city)
    live(page)

    expect(figure(page, "holzmarkt", "sixty")).to_have_text("0")
    expect(figure(page, "kirchplatz", "sixty")).to_have_text("–nicht gemessen")
    expect(row(page, "holzmarkt")).to_have_class("is-quiet")
    expect(row(page, "kirchplatz")).to_have_class("is-silent")
    expect(row(page, "kirchplatz").locator("[data-status]")).to_contain_text("keine Daten seit")
    fills = [
        page.locator(f'.is-wide .mark[data-station="{station}"] .dot').evaluate("dot => getComputedStyle(dot).fill")
        for station in ("holzmarkt", "kirchplatz")
    ]
    assert fills[0] != fills[1]


def test_without_scripts_the_page_has_the_numbers(city: City, browse: Browse) -> None:
    """With JavaScript off: current numbers, the table, a way to choose a station, and a word on how to get new ones."""
    usual_hour(city, "markt")
    page = browse(city, "/", java_script_enabled=False, size="phone")

    expect(figure(page, "markt", "sixty")).to_contain_text("29")
    expect(page.locator("noscript p")).to_contain_text("Ohne JavaScript bleiben die Zahlen stehen")
    page.get_by_label("Zählstelle", exact=True).select_option("kirchplatz")
    page.get_by_role("button", name="Anzeigen").click()
    assert "station=kirchplatz" in page.url
    page.locator("#minutes summary").click()
    expect(page.locator("#minutes-caption")).to_contain_text("Kirchplatz")
    expect(page.locator("#minutes-body tr")).to_have_count(60)


def test_the_address_keeps_the_station(city: City, browse: Browse) -> None:
    """Choosing in list, table or map changes chart and address; back, reload and the other language keep the choice."""
    usual_hour(city, "markt")
    page = browse(city)
    live(page)
    page.get_by_label("Zählstelle", exact=True).select_option("kirchplatz")
    expect(page.locator("#minutes-caption")).to_contain_text("Kirchplatz")
    assert page.url.endswith("/?station=kirchplatz")
    expect(page.get_by_role("link", name="English")).to_have_attribute("href", f"{city.url}/en/?station=kirchplatz")
    row(page, "wagnergasse").locator("a").click()
    expect(page.locator("#chart-keys")).to_contain_text("Richtung Quergasse")
    page.locator('.is-wide .mark[data-station="markt"]').click()
    expect(page.locator("#station")).to_have_value("markt")
    expect(page.locator('.is-wide .mark[aria-current="true"]')).to_have_attribute("data-station", "markt")

    page.go_back()
    expect(page.locator("#station")).to_have_value("wagnergasse")
    page.reload()
    expect(page.locator("#station")).to_have_value("wagnergasse")
    live(page)
    page.get_by_role("link", name="English").click()
    assert page.url.endswith("/en/?station=wagnergasse")
    live(page)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#station")).to_have_value("wagnergasse")
    page.locator("#minutes summary").click()
    expect(page.locator("#minutes-caption")).to_contain_text("Wagnergasse: passages per minute")


def test_a_lost_connection_is_said_and_comes_back(city: City, browse: Browse) -> None:
    """When the server goes away the page says so once and keeps its numbers; when it is back it follows again."""
    usual_hour(city, "markt")
    page = browse(city, "/?station=markt", expected="Failed to load resource")
    live(page)
    shown = figure(page, "markt", "in").text_content()

    city.stop()
    expect(page.locator("#connection")).to_contain_text("Verbindung unterbrochen", timeout=WAIT_MS)
    expect(page.locator("#light")).to_have_attribute("data-state", "lost")
    expect(figure(page, "markt", "in")).to_have_text(shown or "")

    city.start()
    expect(page.locator("#connection")).to_contain_text("Wieder verbunden", timeout=60_000)
    city.count("markt", this_minute(), {0: 5000}, observed_s=0)
    expect(figure(page, "markt", "in")).to_contain_text("5.", timeout=WAIT_MS)


def test_nothing_scrolls_sideways(make_city: CityMaker, browse: Browse) -> None:
    """From 320 pixels on (a desktop at 400 %) no part of the page is wider than the screen, long names included."""
    city = make_city(
        [
            feature("a", "Donaudampfschifffahrtsgesellschaftsstraße", 50.928, 11.588, labels=("Ri. " + "x" * 40, "y")),
            feature("b", "188 Quay Street Lower Albert (EW)", 50.9285, 11.589),
        ]
    )
    city.count("a", this_minute() - 100 * MINUTE_S, {0: 1234, 1: 4321}, minutes=99)
    page = browse(city, "/?station=a")
    live(page)
    page.locator("#minutes summary").click()

    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function("document.querySelector('#plot svg').clientWidth <= innerWidth")
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
        assert page.evaluate(TOO_WIDE, width) == [], width


TOO_WIDE = """width => [...document.querySelectorAll('main *, header *')].filter((element) =>
    element.getBoundingClientRect().right > width + 1 && !element.closest('.heard, .minutes-scroll, pre, svg')
    && getComputedStyle(element).position !== 'absolute').map((element) => element.outerHTML.slice(0, 120))"""


@both_sizes
def test_labels_on_the_map_do_not_overlap(make_city: CityMaker, browse: Browse, size: str) -> None:
    """As the browser really draws them, with its letters: no two labels touch, none leaves the map."""
    places = [
        (-36.84306, 174.76573, "188 Quay Street Lower Albert (EW)"),
        (-36.843015, 174.766494, "107 Quay Street"),
        (-36.84465, 174.769645, "Te Ara Tahuhu Walkway"),
        (-36.844912, 174.768065, "Commerce Street West"),
    ]
    auckland = [
        feature(f"akl-{i}", name, lat, lon, timezone="Pacific/Auckland") for i, (lat, lon, name) in enumerate(places)
    ]
    city = make_city([*JENA, *auckland])
    for station in ("markt", "holzmarkt", "loebderstrasse", "kirchplatz"):
        city.count(station, this_minute() - 20 * MINUTE_S, {0: 4444}, minutes=20)
    page = browse(city, size=size)
    live(page)

    expect(page.locator(".map")).to_have_count(2)
    assert "Pacific/Auckland" in (page.locator("#stations-hint").text_content() or "")
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('.map')].map((map) => {
            const ground = map.querySelector('.map-ground').getBoundingClientRect();
            const groups = [...map.querySelectorAll('.label')].filter((label) => label.checkVisibility());
            const edges = ({left, right, top, bottom}) => ({left, right, top, bottom});
            return { ground: edges(ground), labels: groups.map((label) =>
                [...label.querySelectorAll('text')].map((text) => edges(text.getBoundingClientRect()))) };
        })"""
    )
    assert sum(len(place["labels"]) for place in boxes) == 10
    for place in boxes:
        for index, label in enumerate(place["labels"]):
            for text in label:
                assert place["ground"]["left"] <= text["left"]
                assert text["right"] <= place["ground"]["right"]
                others = [other for more in place["labels"][index + 1 :] for other in more]
                assert not any(overlap(text, other) for other in others)


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether two rectangles on the screen share more than their line spacing."""
    return (
        one["left"] < other["right"] - 1
        and other["left"] < one["right"] - 1
        and one["top"] < other["bottom"] - 3
        and other["top"] < one["bottom"] - 3
    )


@both_sizes
def test_the_keyboard_reaches_everything(city: City, browse: Browse, size: str) -> None:
    """Tab visits every link and control in the order of the page, each shows that it has the focus; Enter works."""
    usual_hour(city, "markt")
    page = browse(city, "/?station=markt", size=size)
    live(page)
    reachable = page.evaluate(
        """() => [...document.querySelectorAll('a[href], select, summary, button, [tabindex="0"]')]
            .filter((element) => element.checkVisibility({ visibilityProperty: true })
                && (element.tagName === 'SUMMARY' || !element.closest('details:not([open])')))
            .map((element, index) => { element.dataset.stop = index; return index; })"""
    )
    visited: list[int] = []
    for _ in reachable:
        page.keyboard.press("Tab")
        stop, shown = page.evaluate(
            """() => { const at = document.activeElement; const style = getComputedStyle(at);
                const plate = at.querySelector('.label-ground');
                const shown = style.outlineStyle !== 'none' || (plate && getComputedStyle(plate).stroke !== 'none');
                return [Number(at.dataset.stop), shown]; }"""
        )
        assert shown, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        visited.append(stop)

    assert visited == reachable
    page.locator('.mark[data-station="kirchplatz"]:visible').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#station")).to_have_value("kirchplatz")
    page.locator("#minutes summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#minutes-body tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".minutes-scroll")).to_be_focused()


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA, one line each."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run tools/web_assets.py")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        """() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })
            .then(({ violations }) => violations)"""
    )
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


@both_sizes
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(city: City, browse: Browse, size: str, scheme: str) -> None:
    """axe-core has no complaint by WCAG 2.1 AA, light and dark, with a silent, a partial and a quiet station."""
    now_s = usual_hour(city, "markt")
    quiet_day(city, "holzmarkt")
    city.count("kirchplatz", now_s - 50 * MINUTE_S, {0: 4}, minutes=20)
    city.count("loebderstrasse", now_s - 60 * MINUTE_S, {0: 4, 1: 1}, minutes=60, observed_s=30)
    page = browse(city, "/?station=kirchplatz", size=size, color_scheme=scheme)
    live(page)
    page.locator("#minutes summary").click()

    assert violations(page) == []


def test_pages_without_numbers_keep_nobody_out_either(make_city: CityMaker, browse: Browse) -> None:
    """The page of an empty database passes the same check."""
    page = browse(make_city([]))

    assert violations(page) == []


def test_a_missing_chart_library_leaves_the_table(city: City, browse: Browse) -> None:
    """If the library does not arrive the page says so, opens the table, and goes on."""
    page = browse(city, "/?station=markt", expected="no chart")
    page.route("**/vendor/chart.js", lambda route: route.fulfill(status=200, body="throw new Error('no chart');",
                                                                 content_type="text/javascript"))  # fmt: skip
    page.reload()

    expect(page.get_by_text("Das Diagramm ließ sich nicht laden")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#minutes-body tr").first).to_be_visible()
    city.count("markt", this_minute(), {0: 7}, observed_s=10)
    expect(page.locator("#minutes-body")).to_contain_text("7", timeout=WAIT_MS)


def test_announcements_are_rare(city: City, browse: Browse) -> None:
    """Numbers move silently for screen readers: no live region changes while counts come in."""
    page = browse(city, "/?station=markt")
    live(page)
    page.evaluate(
        """() => { window.said = []; for (const place of document.querySelectorAll('[role=status], [aria-live]'))
            new MutationObserver(() => said.push(place.id)).observe(place, { childList: true, subtree: true,
                characterData: true }); }"""
    )
    city.count("markt", this_minute(), {0: 9}, observed_s=10)
    expect(figure(page, "markt", "in")).to_have_text("9", timeout=WAIT_MS)

    assert page.evaluate("window.said") == []


def test_motion_stops_for_those_who_do_not_want_it(city: City, browse: Browse) -> None:
    """With reduced motion nothing on the page has a transition or an animation."""
    page = browse(city, reduced_motion="reduce")
    live(page)

    moving = page.evaluate(
        """() => [...document.querySelectorAll('main *:not(#plot *)')].filter((element) => {
            const style = getComputedStyle(element);
            return style.transitionDuration.split(', ').some((time) => time !== '0s') || style.animationName !== 'none';
        }).map((element) => element.className)"""
    )
    assert moving == []


def test_paper_gets_everything_but_controls(city: City, browse: Browse) -> None:
    """In print there are numbers, map and chart, dark on white, and no controls that paper cannot use."""
    usual_hour(city, "markt")
    page = browse(city, "/?station=markt", color_scheme="dark")
    live(page)
    page.emulate_media(media="print", color_scheme="dark")

    expect(page.locator("#station")).to_be_hidden()
    expect(page.locator(".languages")).to_be_hidden()
    expect(row(page, "markt")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


class Tiles:
    """A tile server on a port of its own, which notes who asked."""

    def __init__(self) -> None:
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        asked: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                asked.append((self.path, self.headers.get("Referer", "")))
                self.send_response(200)
                self.send_header("Content-Type", "image/png")
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()
                self.wfile.write(PIXEL)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


# A picture of one grey dot, in PNG; browsers stretch it to a tile.
PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0]))
    + _chunk(b"IDAT", zlib.compress(bytes([0, 200, 210, 205])))
    + _chunk(b"IEND", b"")
)


@pytest.fixture
def tiles() -> Iterator[Tiles]:
    """A tile server."""
    server = Tiles()
    yield server
    server.close()


@both_sizes
def test_configured_tiles_are_shown_with_the_same_marks(
    make_city: CityMaker, browse: Browse, tiles: Tiles, size: str
) -> None:
    """With tiles the map has a background, names its makers, asks no third host, and its marks work the same."""
    city = make_city(map={"tiles_url": tiles.origin + "/{z}/{x}/{y}.png", "tiles_attribution": "© Kachelwerk <b>"})
    usual_hour(city, "markt")
    page = browse(city, "/?station=markt", size=size, allow=(tiles.origin,))
    live(page)
    if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
        pytest.skip("this Chromium has no WebGL")

    expect(page.locator(".map-ground.has-tiles canvas")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("© Kachelwerk <b>")).to_be_visible()
    expect(page.locator(".tile-mark")).to_have_count(6)
    expect(page.locator('.tile-mark[data-station="markt"] [data-total]')).to_be_visible()
    city.count("markt", this_minute(), {0: 5000}, observed_s=0)
    expect(page.locator('.tile-mark[data-station="markt"] [data-total]')).to_contain_text("5.", timeout=WAIT_MS)
    page.locator('.tile-mark[data-station="kirchplatz"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#station")).to_have_value("kirchplatz")
    assert {referer for _, referer in tiles.asked} <= {city.url + "/", ""}
    assert violations(page) == []


def test_without_webgl_the_drawing_stays(make_city: CityMaker, browse: Browse, tiles: Tiles) -> None:
    """Where the map library cannot draw, the map is the drawing, and the background's makers are not named."""
    city = make_city(map={"tiles_url": tiles.origin + "/{z}/{x}/{y}.png", "tiles_attribution": "© Kachelwerk"})
    page = browse(city, allow=(tiles.origin,), script="HTMLCanvasElement.prototype.getContext = () => null")
    live(page)
    page.wait_for_function("() => !document.querySelector('.tiles') && document.querySelector('link[href*=maplibre]')")

    expect(page.locator(".map-drawing.is-wide")).to_be_visible()
    expect(page.get_by_text("© Kachelwerk")).to_be_hidden()
    assert tiles.asked == []


def test_a_tile_server_that_is_away_leaves_the_drawing(make_city: CityMaker, browse: Browse, tiles: Tiles) -> None:
    """A background that does not arrive takes nothing away."""
    origin = tiles.origin
    tiles.close()
    tiles.close = lambda: None  # type: ignore[method-assign]
    city = make_city(map={"tiles_url": origin + "/{z}/{x}/{y}.png", "tiles_attribution": "© Kachelwerk"})
    page = browse(city, allow=(origin,), expected="Failed to load resource")
    live(page)

    expect(page.locator(".map-drawing.is-wide")).to_be_visible()
    expect(page.locator(".has-tiles")).to_have_count(0)


def test_the_board_on_the_page_is_the_board_of_the_stream(city: City, browse: Browse) -> None:
    """Every station of the stream is on the page with its total."""
    for index, station in enumerate(("markt", "holzmarkt", "wagnergasse")):
        city.count(station, this_minute() - 600, {0: 100 + index})
    page = browse(city)
    live(page)
    board = json.loads(json.dumps(city.board()))

    assert {station["id"] for station in board["stations"]} == set(
        page.locator(".board tbody tr").evaluate_all("all => all.map((row) => row.dataset.station)")
    )
    for station in board["stations"]:
        count = station["today"]["count"]
        expect(figure(page, station["id"], "in")).to_contain_text("–" if count is None else str(count))
