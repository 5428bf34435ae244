"""The page in a real browser, on a phone and on a desktop, with a real API and a real database behind it.

Every test ends with the same demands (see `browse`): no request to another host, nothing on the console, no script
error, no cookie.
"""

import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from footfall_ingest import remarks
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
    """Wait until the page has its first board from the live stream."""
    expect(page.locator("#light[data-state=on]")).to_be_visible(timeout=WAIT_MS)


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


def past_weeks(city: City, station: str, counts: dict[int, int]) -> None:
    """The same in each minute of the like days of the three weeks before, from the hour before their midnight on."""
    midnight = datetime.now(ZoneInfo("Europe/Berlin")).replace(hour=0, minute=0, second=0, microsecond=0)
    for weeks in (1, 2, 3):
        start_s = int((midnight - timedelta(weeks=weeks)).timestamp())
        city.count(station, start_s - 60 * MINUTE_S, counts, minutes=25 * 60)


def remark(city: City, station: str, kind: str, text: str) -> None:
    """A remark on all of today and on until further notice."""
    with psycopg.connect(city.dsn, autocommit=True) as connection:
        remarks.add(
            connection,
            remarks.Place("station", station),
            starts=datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1),
            ends=None,
            kind=kind,
            text=text,
            excludes=False,
        )


def known(city: City) -> None:
    """Wait until the server has worked out what is usual: no page waits for it longer than it must."""

    def told() -> bool:
        text = httpx.get(city.url, timeout=20).text
        return "Zum Tagesverlauf: Jeder Balken" in text and "course-markt" in text

    wait_until(told, timeout=60, what="what is usual", every=0.3)


def quiet_day(city: City, station: str) -> None:
    """A day and a bit up to and with the running minute in which nobody came."""
    city.count(station, this_minute() - 1500 * MINUTE_S, {}, minutes=1501)


@both_sizes
def test_numbers_move_when_rows_are_committed(city: City, browse: Browse, size: str) -> None:
    """A committed report changes totals, directions, map, sentence and the hour's bar without a reload."""
    known(city)
    page = browse(city, size=size)
    live(page)
    expect(figure(page, "markt", "today")).to_have_text("–nicht gemessen")

    city.count("markt", this_minute(), {0: 1200, 1: 34}, observed_s=10)
    expect(figure(page, "markt", "in")).to_have_text("1.200", timeout=WAIT_MS)
    expect(figure(page, "markt", "out")).to_have_text("34")
    expect(figure(page, "markt", "today")).to_contain_text("1.234")
    expect(figure(page, "markt", "five")).to_have_text("≥ 1.234")
    expect(page.locator('.mark[data-station="markt"] [data-total]:visible')).to_have_text("1.234")
    expect(page.locator("#summary")).to_contain_text("1.234 Passagen")
    expect(page.locator('[data-figure="total-today"]')).to_contain_text("1.234")
    expect(page.locator("#places")).to_contain_text("Gemessen an 1 von 6 Zählstellen")
    expect(row(page, "markt").locator(".course-running")).to_have_attribute("height", re.compile(r"^(?!0(\.0)?$)"))

    city.count("markt", this_minute(), {0: 1}, observed_s=10)
    expect(figure(page, "markt", "in")).to_have_text("1.201", timeout=WAIT_MS)


def test_server_and_scripts_say_the_same(city: City, browse: Browse) -> None:
    """What the scripts write of a board is what the server writes of it, to the letter, gaps and silence too."""
    now_s = usual_hour(city, "markt")
    for station in ("holzmarkt", "loebderstrasse", "markt"):
        past_weeks(city, station, {0: 3})
    quiet_day(city, "holzmarkt")
    city.count("kirchplatz", now_s - 50 * MINUTE_S, {0: 4}, minutes=20)
    city.count("loebderstrasse", now_s - 60 * MINUTE_S, {0: 4, 1: 1}, minutes=30)
    city.count("loebderstrasse", now_s - 30 * MINUTE_S, {0: 1}, minutes=30, observed_s=30)
    noon_s = now_s - now_s % DAY_S + DAY_S // 2
    city.count("wagnergasse", noon_s - 30 * DAY_S, {0: 1234}, minutes=60)
    known(city)
    scripted = browse(city)
    plain = browse(city, java_script_enabled=False)
    live(scripted)

    def texts(page: Page) -> list[str]:
        found = ["#summary", "#sums", "#places", "#remarks", ".board tbody", ".map-drawing.is-wide"]
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
    assert "üblichbisjetzt" in said
    assert "nochzuwenigevergleichbareTage" in said


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


def test_a_lost_connection_is_said_and_comes_back(city: City, browse: Browse) -> None:
    """When the server goes away the page says so once and keeps its numbers; when it is back it follows again."""
    usual_hour(city, "markt")
    page = browse(city, expected="Failed to load resource")
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
    wait_until(lambda: 'id="hours"' in httpx.get(city.url, timeout=20).text, timeout=60, what="the hours of today")
    page = browse(city)
    live(page)
    page.locator("#hours summary").click()

    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
        assert page.evaluate(TOO_WIDE, width) == [], width


TOO_WIDE = """width => [...document.querySelectorAll('main *, header *')].filter((element) =>
    element.getBoundingClientRect().right > width + 1 && !element.closest('.heard, .hours-scroll, pre, svg')
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
    known(city)
    page = browse(city, size=size)
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
    page.locator("#hours summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#hours tbody tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".hours-scroll")).to_be_focused()
    to_a_station(page)
    page.locator('.mark[data-station="kirchplatz"]:visible').focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{city.url}/station/kirchplatz")


def to_a_station(page: Page) -> None:
    """Where marks and rows lead is another page's business: here it is enough that they lead there."""
    page.route("**/station/*", lambda route: route.fulfill(body="<!DOCTYPE html><title>a station</title>"))


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
    past_weeks(city, "markt", {0: 3})
    past_weeks(city, "loebderstrasse", {0: 3})
    remark(city, "markt", "works", "Gerüst am Rathaus")
    known(city)
    page = browse(city, size=size, color_scheme=scheme)
    live(page)
    page.locator("#hours summary").click()

    assert violations(page) == []


def test_pages_without_numbers_keep_nobody_out_either(make_city: CityMaker, browse: Browse) -> None:
    """The page of an empty database passes the same check."""
    page = browse(make_city([]))

    assert violations(page) == []


def test_announcements_are_rare(city: City, browse: Browse) -> None:
    """Numbers move silently for screen readers: no live region changes while counts come in."""
    page = browse(city)
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
        """() => [...document.querySelectorAll('main *')].filter((element) => {
            const style = getComputedStyle(element);
            return style.transitionDuration.split(', ').some((time) => time !== '0s') || style.animationName !== 'none';
        }).map((element) => element.className)"""
    )
    assert moving == []


def test_paper_gets_everything_but_controls(city: City, browse: Browse) -> None:
    """In print there are numbers, map and the day, dark on white, and no controls that paper cannot use."""
    usual_hour(city, "markt")
    known(city)
    page = browse(city, color_scheme="dark")
    live(page)
    page.emulate_media(media="print", color_scheme="dark")

    expect(page.locator("#hours summary")).to_be_hidden()
    expect(page.locator(".languages")).to_be_hidden()
    expect(row(page, "markt")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize(
    ("size", "path", "words"),
    [
        ("phone", "/", (r"bis jetzt üblich [\d.]+ \(\+[\d.]+\xa0%\)", "noch zu wenige vergleichbare Tage")),
        ("desktop", "/en/", (r"usual by now [\d,]+ \(\+[\d,]+%\)", "too few comparable days")),
    ],
)
def test_today_is_set_beside_what_is_usual(
    city: City, browse: Browse, size: str, path: str, words: tuple[str, str]
) -> None:
    """In words, as a picture and as a table, and it moves with the stream; too few like days are said."""
    told, few = words
    past_weeks(city, "markt", {0: 1})
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    passed = now.hour * 60 + now.minute + 1
    city.count("markt", this_minute() - (passed - 1) * MINUTE_S, {0: 3}, minutes=passed)
    known(city)
    page = browse(city, path, size=size)
    live(page)

    beside = row(page, "markt").locator('[data-usual="today"]')
    expect(beside).to_have_text(re.compile(told))
    expect(page.locator('[data-usual="total"]')).to_have_text(re.compile(told))
    expect(row(page, "kirchplatz").locator('[data-usual="today"]')).to_contain_text(few)
    expect(row(page, "markt").locator(".course svg")).to_be_visible()
    assert row(page, "markt").locator(".course-usual").get_attribute("d").count("M") == 24
    page.locator("#hours summary").click()
    expect(page.locator("#hours tbody tr")).to_have_count(24)
    expect(page.locator("#hours tbody tr").last.locator("td.is-usual")).to_have_text("60")

    before = beside.text_content() or ""
    city.count("markt", this_minute(), {0: 4000}, observed_s=0)
    expect(beside).not_to_have_text(before, timeout=WAIT_MS)


def test_gaps_of_today_are_compared_hour_by_hour(city: City, browse: Browse) -> None:
    """Where some of today is missing, the picture has a gap, and only what was measured is set beside what is usual."""
    city.count("markt", this_minute() - 40 * MINUTE_S, {0: 2}, minutes=10)
    past_weeks(city, "markt", {0: 1})
    known(city)
    page = browse(city)
    live(page)

    expect(figure(page, "markt", "today")).to_have_text("≥ 20")
    expect(row(page, "markt").locator('[data-usual="today"]')).not_to_contain_text("%")
    expect(row(page, "markt")).to_have_class("is-silent")


def test_todays_remarks_are_told_and_kept_up_to_date(city: City, browse: Browse) -> None:
    """A remark is on the page with its station; one that comes later appears with the next hour, without a reload."""
    remark(city, "markt", "works", "Gerüst am Rathaus")
    usual_hour(city, "markt")
    known(city)
    page = browse(city)
    page.clock.install()
    page.reload()
    live(page)
    expect(page.locator("#remarks")).to_contain_text("Bauarbeiten Gerüst am Rathaus Markt · bis auf Weiteres")
    assert page.locator("#remarks a").get_attribute("href") == "/station/markt"

    remark(city, "kirchplatz", "event", "Weihnachtsmarkt")
    page.locator("#hours summary").click()

    def told() -> bool:
        page.clock.fast_forward("01:02:00")
        return "Weihnachtsmarkt" in (page.locator("#remarks").text_content() or "")

    wait_until(told, timeout=90, what="the new remark", every=1)
    expect(page.locator("#hours")).to_have_attribute("open", "")


def test_a_day_without_remarks_has_no_banner(city: City, browse: Browse) -> None:
    """There is no empty box where nothing is to be noted."""
    page = browse(city)

    expect(page.locator("#remarks")).to_be_hidden()


STREETS = {
    "Johannisstraße": [[11.58378, 50.92968], [11.58532, 50.92928], [11.58692, 50.92890]],
    "Fürstengraben": [[11.58352, 50.92996], [11.58580, 50.93024], [11.58860, 50.93062]],
    "Leutragraben": [[11.58378, 50.92968], [11.58388, 50.92846], [11.58520, 50.92690]],
    "Löbderstraße": [[11.58752, 50.92806], [11.58654, 50.92754], [11.58588, 50.92708]],
}


def streets_file(folder: Path) -> Path:
    """Some streets around the stations of Jena."""
    features = [
        {"type": "Feature", "properties": {"name": name}, "geometry": {"type": "LineString", "coordinates": line}}
        for name, line in STREETS.items()
    ]
    path = folder / "streets.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


@both_sizes
def test_streets_have_names_that_cover_no_label(
    make_city: CityMaker, browse: Browse, tmp_path: Path, size: str
) -> None:
    """Configured streets are drawn with their names along them, none of which touches a station's label."""
    city = make_city(map={"streets": str(streets_file(tmp_path))})
    page = browse(city, size=size)
    live(page)
    names = page.locator(".streets text:visible")

    assert "Fürstengraben" in names.all_text_contents()
    assert set(names.all_text_contents()) <= set(STREETS)
    boxes = page.evaluate(
        """() => ['.streets text', '.label text'].map((which) => [...document.querySelectorAll(which)]
            .filter((text) => text.checkVisibility()).map((text) => {
                const { left, right, top, bottom } = text.getBoundingClientRect();
                return { left, right, top, bottom, name: text.textContent }; }))"""
    )
    turned = {"Leutragraben"}  # the box around letters that run downhill is larger than they are
    for street in boxes[0]:
        if street["name"] not in turned:
            assert not any(overlap(street, label) for label in boxes[1]), street["name"]


def test_the_first_page_is_light(city: City, browse: Browse) -> None:
    """All that the page transfers is less than 150 KB, and no library is among it."""
    usual_hour(city, "markt")
    page = browse(city)
    live(page)
    files = page.evaluate(
        """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
            .map(({ name, transferSize }) => [name, transferSize])"""
    )

    assert sum(size for _, size in files) < 150_000
    assert not any("/vendor/" in name for name, _ in files)


KIOSK_SIZES = {"lying": (1920, 1080), "standing": (1080, 1920)}


@pytest.mark.parametrize("screen", KIOSK_SIZES)
def test_the_kiosk_fills_the_screen_and_is_read_from_afar(city: City, browse: Browse, screen: str) -> None:
    """Nothing scrolls, nothing is cut off, letters are large, there is no navigation, and numbers move."""
    usual_hour(city, "markt")
    past_weeks(city, "markt", {0: 3})
    known(city)
    width, height = KIOSK_SIZES[screen]
    page = browse(city, "/kiosk")
    page.set_viewport_size({"width": width, "height": height})
    live(page)

    expect(page.locator(".tile")).to_have_count(6)
    expect(page.locator("nav, .top, .foot")).to_have_count(0)
    expect(page.locator(".kiosk-total")).to_contain_text("Passagen heute, nicht Personen")
    measured = page.evaluate(
        """() => ({ scroll: [document.documentElement.scrollWidth, document.documentElement.scrollHeight],
            cut: [...document.querySelectorAll('.tile p, .tile h2, .kiosk-total p')].filter((text) => {
                const [inner, outer] = [text, text.parentElement].map((box) => box.getBoundingClientRect());
                return inner.bottom > outer.bottom + 1 || text.scrollWidth > text.clientWidth + 1; })
                .map((text) => text.outerHTML),
            sizes: Object.fromEntries(['.kiosk-big', '.tile-today .figure', '.tile-beside', '.tile h2'].map((which) =>
                [which, parseFloat(getComputedStyle(document.querySelector(which)).fontSize)])) })"""
    )
    assert measured["scroll"] == [width, height]
    assert measured["cut"] == []
    assert measured["sizes"][".kiosk-big"] > 180
    assert measured["sizes"][".tile-today .figure"] > 70
    assert min(measured["sizes"].values()) > 24

    city.count("markt", this_minute(), {0: 5000}, observed_s=0)
    tile = page.locator('.tile[data-station="markt"]')
    expect(tile.locator('[data-figure="today"]')).to_contain_text("5.", timeout=WAIT_MS)
    expect(page.locator('[data-figure="total-today"]')).to_contain_text("5.")
    expect(page.locator('.tile[data-station="kirchplatz"]')).to_contain_text("noch nie gemessen")


def test_a_lost_kiosk_says_how_old_it_is(city: City, browse: Browse) -> None:
    """When the server goes away the kiosk keeps its numbers, says from when they are, and comes back by itself."""
    usual_hour(city, "markt")
    page = browse(city, "/kiosk?stations=markt", expected="ERR_CONNECTION_REFUSED")
    live(page)
    shown = page.locator('[data-figure="today"]').text_content()

    city.stop()
    expect(page.locator("#connection")).to_contain_text("Verbindung unterbrochen: Zahlen von", timeout=WAIT_MS)
    expect(page.locator("#light")).to_have_attribute("data-state", "lost")
    expect(page.locator('[data-figure="today"]')).to_have_text(shown or "")

    city.start()
    expect(page.locator("#connection")).to_be_empty(timeout=60_000)
    expect(page.locator("#light")).to_have_attribute("data-state", "on")


def test_a_kiosk_without_a_stream_looks_for_itself(city: City, browse: Browse) -> None:
    """Where no stream arrives the view is loaded anew every minute; without scripts the browser does it."""
    page = browse(city, "/kiosk", script="delete window.EventSource")
    page.clock.install()
    page.reload()
    city.count("markt", this_minute(), {0: 700}, observed_s=10)

    def shown() -> bool:
        page.clock.fast_forward(30_000)
        return page.locator('.tile[data-station="markt"] [data-figure="today"]').inner_text() == "700"

    wait_until(shown, timeout=60, what="the new number", every=0.5)
    plain = browse(city, "/en/kiosk", java_script_enabled=False)
    assert plain.locator('meta[http-equiv="refresh"]').get_attribute("content") == "60"
    expect(plain.locator(".tile")).to_have_count(6)


@pytest.mark.parametrize(("path", "scheme"), [("/kiosk", "light"), ("/en/kiosk", "dark")])
def test_the_kiosk_keeps_nobody_out(city: City, browse: Browse, path: str, scheme: str) -> None:
    """axe-core has no complaint, on a phone too, where nothing scrolls sideways; silent sensors are told in words."""
    now_s = usual_hour(city, "markt")
    quiet_day(city, "holzmarkt")
    city.count("kirchplatz", now_s - 50 * MINUTE_S, {0: 4}, minutes=20)
    remark(city, "markt", "event", "Wochenmarkt")
    page = browse(city, path, size="phone", color_scheme=scheme)
    live(page)

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.locator('.tile[data-station="kirchplatz"] [data-status]')).to_be_visible()
    expect(page.locator('.tile[data-station="holzmarkt"] [data-status]')).to_be_visible()
    expect(page.locator('.tile[data-station="markt"] [data-status]')).to_be_hidden()
    expect(page.locator(".kiosk-remarks")).to_contain_text("Wochenmarkt")
    assert violations(page) == []


class Tiles:
    """A tile server on a port of its own, which notes who asked."""

    def __init__(self) -> None:
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        asked: list[tuple[str, str]] = []
        style: dict[str, Any] = {
            "version": 8,
            "sources": {"streets": {"type": "raster", "tiles": [], "tileSize": 256}},
            "layers": [{"id": "streets", "type": "raster", "source": "streets"}],
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                asked.append((self.path, self.headers.get("Referer", "")))
                is_style = self.path.endswith("style.json")
                self.send_response(200)
                self.send_header("Content-Type", "application/json" if is_style else "image/png")
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()
                self.wfile.write(json.dumps(style).encode() if is_style else PIXEL)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        style["sources"]["streets"]["tiles"] = [f"{self.origin}/{{z}}/{{x}}/{{y}}.png"]
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
    page = browse(city, size=size, allow=(tiles.origin,))
    live(page)
    if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
        pytest.skip("this Chromium has no WebGL")

    expect(page.locator(".map-ground.has-tiles canvas")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("© Kachelwerk <b>")).to_be_visible()
    expect(page.locator(".tile-mark")).to_have_count(6)
    expect(page.locator('.tile-mark[data-station="markt"] [data-total]')).to_be_visible()
    city.count("markt", this_minute(), {0: 5000}, observed_s=0)
    expect(page.locator('.tile-mark[data-station="markt"] [data-total]')).to_contain_text("5.", timeout=WAIT_MS)
    assert {referer for _, referer in tiles.asked} <= {city.url + "/", ""}
    assert violations(page) == []
    to_a_station(page)
    page.locator('.tile-mark[data-station="kirchplatz"]').focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{city.url}/station/kirchplatz")


def test_a_configured_style_is_shown_with_the_same_marks(make_city: CityMaker, browse: Browse, tiles: Tiles) -> None:
    """A style of the operator's is the background, its makers are named, and stations stand on it."""
    city = make_city(map={"style_url": f"{tiles.origin}/style.json", "style_attribution": "© Stilwerk"})
    usual_hour(city, "markt")
    page = browse(city, allow=(tiles.origin,))
    live(page)
    if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
        pytest.skip("this Chromium has no WebGL")

    expect(page.locator(".map-ground.has-tiles canvas")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("© Stilwerk")).to_be_visible()
    expect(page.locator(".tile-mark")).to_have_count(6)
    assert any(path.endswith("style.json") for path, _ in tiles.asked)
    assert any(path.endswith(".png") for path, _ in tiles.asked)


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
