"""The page in a real browser, on a phone and on a desktop, with a real API and a real database behind it.

Every test ends with the same demands (see `browse`): no request to another host, nothing on the console, no script
error, no cookie.
"""

import json
import re
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Page, expect

from footfall_demo.ports import free_port
from footfall_ingest import remarks
from footfall_testing.waiting import wait_until
from footfall_testing.web_city import (
    JENA,
    MINUTE_S,
    City,
    CityMaker,
    at_noon,
    feature,
    midnight,
    noon_zone,
    this_minute,
)
from footfall_testing.windows import SIZES, Browse, needs_chromium, violations, wider_than_the_screen

DAY_S = 24 * 3600
STREETS = {
    "Johannisstraße": [[11.58378, 50.92968], [11.58532, 50.92928], [11.58692, 50.92890]],
    "Fürstengraben": [[11.58352, 50.92996], [11.58580, 50.93024], [11.58860, 50.93062]],
    "Leutragraben": [[11.58378, 50.92968], [11.58388, 50.92846], [11.58520, 50.92690]],
    "Löbderstraße": [[11.58752, 50.92806], [11.58654, 50.92754], [11.58588, 50.92708]],
}

pytestmark = [*needs_chromium, pytest.mark.xdist_group("browser-2")]


def streets_file(folder: Path) -> Path:
    """Some streets around the stations of Jena."""
    features = [
        {"type": "Feature", "properties": {"name": name}, "geometry": {"type": "LineString", "coordinates": line}}
        for name, line in STREETS.items()
    ]
    path = folder / "streets.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


@dataclass
class Town:
    """Jena at noon, with streets, a past, a remark, and each station in another state.

    Today the Markt has 3 in and 2 out each minute since midnight, and usually 1 in. The Holzmarkt is quiet, the
    Kirchplatz silent for half an hour, the Löbderstraße measures half of each minute, the Wagnergasse has one hour of a
    month ago, the Johannisstraße nothing at all.
    """

    city: City
    until_s: int
    """Up to when it has counted."""

    @classmethod
    def built(cls, make_city: CityMaker, folder: Path) -> "Town":
        """A town that has counted up to the running minute."""
        zone = noon_zone()  # once: while the city is made, the hour may change
        city = make_city(at_noon(JENA, zone), map={"streets": str(streets_file(folder))})
        began, now_s = midnight(zone), this_minute()
        for weeks in (1, 2, 3):
            start_s = int((began - timedelta(weeks=weeks)).timestamp()) - 60 * MINUTE_S
            for station in ("markt", "holzmarkt", "kirchplatz", "loebderstrasse"):
                city.count(station, start_s, {0: 1}, minutes=25 * 60)
        start_s = int(began.timestamp())
        city.count("markt", start_s, {0: 3, 1: 2}, minutes=(now_s - start_s) // MINUTE_S)
        city.count("holzmarkt", now_s - 1500 * MINUTE_S, {}, minutes=1500)
        city.count("kirchplatz", now_s - 50 * MINUTE_S, {0: 4}, minutes=20)
        city.count("loebderstrasse", now_s - 60 * MINUTE_S, {0: 4, 1: 1}, minutes=60, observed_s=30)
        city.count("wagnergasse", start_s - 30 * DAY_S + DAY_S // 2, {0: 1234}, minutes=60)
        remark(city, "markt", "works", "Gerüst am Rathaus")
        return cls(city, now_s)

    def go_on(self) -> City:
        """Count what was to be counted since; whatever a test left switched off is switched on."""
        if not self.city.is_running:
            self.city.start()
        now_s = this_minute()
        if minutes := (now_s - self.until_s) // MINUTE_S:
            self.city.count("markt", self.until_s, {0: 3, 1: 2}, minutes=minutes)
            self.city.count("holzmarkt", self.until_s, {}, minutes=minutes)
            self.city.count("loebderstrasse", self.until_s, {0: 4, 1: 1}, minutes=minutes, observed_s=30)
        self.until_s = now_s
        known(self.city)
        return self.city


@pytest.fixture(scope="module")
def built(make_shared_city: CityMaker, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The town for all tests that look at numbers, or add some."""
    return Town.built(make_shared_city, tmp_path_factory.mktemp("streets"))


@pytest.fixture
def town(built: Town) -> City:
    """The town as of this minute."""
    return built.go_on()


def live(page: Page) -> None:
    """Wait until the page has its first board from the live stream."""
    expect(page.locator("#light[data-state=on]")).to_be_visible()


def row(page: Page, station: str) -> Any:
    """The station's row in the table."""
    return page.locator(f'.board tr[data-station="{station}"]')


def figure(page: Page, station: str, name: str) -> Any:
    """A number of the station's row."""
    return row(page, station).locator(f'[data-figure="{name}"]')


def told(page: Page, station: str) -> Any:
    """What is said of today beside what is usual, in the station's row."""
    return row(page, station).locator('[data-usual="today"]')


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


def test_numbers_move_when_rows_are_committed(make_city: CityMaker, browse: Browse) -> None:
    """A committed report changes totals, directions, map, sentence and the hour's bar without a reload, silently.

    No live region tells a screen reader of it. A day without remarks has no empty box for them. In the end every
    station of the stream is on the page with its total.
    """
    city = make_city(at_noon(JENA))
    known(city)
    pages = [browse(city, size=size) for size in SIZES]
    for page in pages:
        live(page)
        expect(figure(page, "markt", "today")).to_have_text("–nicht gemessen")
        expect(page.locator("#remarks")).to_be_hidden()
        page.evaluate(LISTEN)

    city.count("markt", this_minute(), {0: 1200, 1: 34}, observed_s=10)
    for page in pages:
        expect(figure(page, "markt", "in")).to_have_text("≥ 1.200")
        expect(figure(page, "markt", "out")).to_have_text("≥ 34")
        expect(figure(page, "markt", "today")).to_contain_text("1.234")
        expect(figure(page, "markt", "five")).to_have_text("≥ 1.234")
        expect(page.locator('.mark[data-station="markt"] [data-total]:visible')).to_have_text("1.234")
        expect(page.locator("#summary")).to_contain_text("1.234 Passagen")
        expect(page.locator('[data-figure="total-today"]')).to_contain_text("1.234")
        expect(page.locator("#places")).to_contain_text("Gemessen an 1 von 6 Zählstellen")
        expect(row(page, "markt").locator(".course-running")).to_have_attribute("height", re.compile(r"^(?!0(\.0)?$)"))

    city.count("markt", this_minute(), {0: 1}, observed_s=10)
    for page in pages:
        expect(figure(page, "markt", "in")).to_have_text("≥ 1.201")
        assert page.evaluate("window.said") == []
    totals = {station["id"]: station["today"]["count"] for station in city.board()["stations"]}
    shown = pages[0].locator(".board tbody tr").evaluate_all("all => all.map((row) => row.dataset.station)")
    assert sorted(shown) == sorted(totals)
    for station, count in totals.items():
        expect(figure(pages[0], station, "today")).to_contain_text("–" if count is None else "1.235")


LISTEN = """() => { window.said = []; for (const place of document.querySelectorAll('[role=status], [aria-live]'))
    new MutationObserver(() => said.push(place.id)).observe(place,
        { childList: true, subtree: true, characterData: true }); }"""


def test_server_and_scripts_say_the_same(town: City, browse: Browse) -> None:
    """What the scripts write of a board is what the server writes of it, to the letter, gaps and silence too."""
    scripted = browse(town)
    plain = browse(town, java_script_enabled=False)
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

    wait_until(same, timeout=60, what="the same words from server and scripts", every=0.2)
    said = texts(plain)[4]
    assert "seit60Minutenkamniemandvorbei" in said
    assert "keineDatenseit" in said
    assert "PassagenandiesemTag:74.040" in said
    assert "≥" in said
    assert "bisjetztüblich" in said
    assert "nochzuwenigevergleichbareTage" in said


def test_states_are_told_apart_on_screen_and_on_paper(town: City, browse: Browse) -> None:
    """A quiet sensor shows 0 and a filled dot, a silent one a dash and a hollow dot; both say what they are.

    Where some of today is missing nothing of it is set beside what is usual. Nothing moves for those who do not want
    it. Paper gets everything but controls, dark on white.
    """
    page = browse(town, reduced_motion="reduce", color_scheme="dark")
    live(page)

    expect(figure(page, "holzmarkt", "sixty")).to_have_text("0")
    expect(figure(page, "wagnergasse", "sixty")).to_have_text("–nicht gemessen")
    expect(row(page, "holzmarkt")).to_have_class("is-quiet")
    expect(row(page, "kirchplatz")).to_have_class("is-silent")
    expect(row(page, "kirchplatz").locator("[data-status]")).to_contain_text("keine Daten seit")
    expect(figure(page, "kirchplatz", "today")).to_have_text("≥ 80")
    expect(told(page, "kirchplatz")).not_to_contain_text("%")
    fills = [
        page.locator(f'.is-wide .mark[data-station="{station}"] .dot').evaluate("dot => getComputedStyle(dot).fill")
        for station in ("holzmarkt", "kirchplatz")
    ]
    assert fills[0] != fills[1]
    moving = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter((element) => {
            const style = getComputedStyle(element);
            return style.transitionDuration.split(', ').some((time) => time !== '0s') || style.animationName !== 'none';
        }).map((element) => element.className)"""
    )
    assert moving == []

    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("#hours summary")).to_be_hidden()
    expect(page.locator(".languages")).to_be_hidden()
    expect(row(page, "markt")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_lost_connection_is_said_and_comes_back(town: City, browse: Browse) -> None:
    """When the server goes away page and kiosk say so once, and from when their numbers are; they follow again."""
    gone = ("Failed to load resource", "ERR_CONNECTION_REFUSED")
    page, kiosk = browse(town, expected=gone), browse(town, "/kiosk?stations=wagnergasse", expected=gone)
    live(page)
    live(kiosk)
    shown = figure(page, "kirchplatz", "in").text_content(), kiosk.locator('[data-figure="today"]').text_content()

    town.stop()
    expect(page.locator("#connection")).to_contain_text("Verbindung unterbrochen")
    expect(kiosk.locator("#connection")).to_contain_text("Verbindung unterbrochen: Zahlen von")
    for window in (page, kiosk):
        expect(window.locator("#light")).to_have_attribute("data-state", "lost")
    expect(figure(page, "kirchplatz", "in")).to_have_text(shown[0] or "")
    expect(kiosk.locator('[data-figure="today"]')).to_have_text(shown[1] or "")

    town.start()
    expect(page.locator("#connection")).to_contain_text("Wieder verbunden", timeout=60_000)
    expect(kiosk.locator("#connection")).to_be_empty(timeout=60_000)
    expect(kiosk.locator("#light")).to_have_attribute("data-state", "on")
    before = figure(page, "markt", "in").text_content()
    town.count("markt", this_minute(), {0: 10}, observed_s=0)
    expect(figure(page, "markt", "in")).not_to_have_text(before or "")


def test_long_names_and_far_places_fit(make_city: CityMaker, browse: Browse) -> None:
    """As the browser really draws it, with its letters: no two labels of a map touch, and none leaves it.

    From 320 pixels on (a desktop at 400 %) no part of the page is wider than the screen.
    """
    places = [
        (-36.84306, 174.76573, "188 Quay Street Lower Albert (EW)"),
        (-36.843015, 174.766494, "107 Quay Street"),
        (-36.84465, 174.769645, "Te Ara Tahuhu Walkway"),
        (-36.844912, 174.768065, "Donaudampfschifffahrtsgesellschaftsstraße"),
    ]
    auckland = [
        feature(f"akl-{i}", name, lat, lon, timezone="Pacific/Auckland", labels=("Ri. " + "x" * 40, "y"))
        for i, (lat, lon, name) in enumerate(places)
    ]
    city = make_city([*JENA, *auckland])
    for station in ("markt", "holzmarkt", "loebderstrasse", "kirchplatz", "akl-3"):
        city.count(station, this_minute() - 20 * MINUTE_S, {0: 4444, 1: 1234}, minutes=20)
    wait_until(lambda: 'id="hours"' in httpx.get(city.url, timeout=20).text, timeout=60, what="the hours of today")
    page = browse(city)
    live(page)
    page.locator("#hours summary").click()

    expect(page.locator(".map")).to_have_count(2)
    assert "Pacific/Auckland" in (page.locator("#stations-hint").text_content() or "")
    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
        assert page.evaluate(TOO_WIDE, width) == [], width
        if width in {size["width"] for size in SIZES.values()}:
            labels_keep_apart(page)


TOO_WIDE = """width => [...document.querySelectorAll('main *, header *')].filter((element) =>
    element.getBoundingClientRect().right > width + 1 && !element.closest('.heard, .hours-scroll, pre, svg')
    && getComputedStyle(element).position !== 'absolute').map((element) => element.outerHTML.slice(0, 120))"""


def labels_keep_apart(page: Page) -> None:
    """No label of a map leaves it or touches another."""
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('.map')].map((map) => {
            const ground = map.querySelector('.map-ground').getBoundingClientRect();
            const groups = [...map.querySelectorAll('.label')].filter((label) => label.checkVisibility());
            const edges = ({left, right, top, bottom}) => ({left, right, top, bottom});
            return { ground: edges(ground), labels: groups.map((label) =>
                [...label.querySelectorAll('text')].map((text) => edges(text.getBoundingClientRect()))) };
        })"""
    )
    # A name for which there is no room is told below the map.
    told_below = " ".join(note for note in page.locator(".map-note").all_inner_texts() if note)
    labelled = sum(len(place["labels"]) for place in boxes)
    assert labelled == 10 or (labelled == 9 and "Donaudampfschifffahrtsgesellschaftsstraße" in told_below)
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


def test_the_keyboard_opens_the_hours_and_a_station(town: City, browse: Browse) -> None:
    """Enter opens the table of hours, whose part that scrolls has the next focus; on a mark it leads to its station."""
    page = browse(town, size="phone")
    live(page)
    page.locator("#hours summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#hours tbody tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".hours-scroll")).to_be_focused()
    to_a_station(page)
    page.locator('.mark[data-station="kirchplatz"]:visible').focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{town.url}/station/kirchplatz")


def to_a_station(page: Page) -> None:
    """Where marks and rows lead is another page's business: here it is enough that they lead there."""
    page.route("**/station/*", lambda route: route.fulfill(body="<!DOCTYPE html><title>a station</title>"))


def test_nothing_keeps_anybody_out(town: City, browse: Browse) -> None:
    """axe-core has no complaint with a silent, a partial and a quiet station and the hours open.

    On a desktop and in the dark colours and room are others, and all else is the same.
    """
    page = browse(town, size="phone")
    live(page)
    page.locator("#hours summary").click()
    assert violations(page) == []

    page.set_viewport_size(SIZES["desktop"])
    page.emulate_media(color_scheme="dark")
    assert violations(page, ("color-contrast", "scrollable-region-focusable")) == []


def test_pages_without_numbers_keep_nobody_out_either(empty_city: City, browse: Browse) -> None:
    """The page of an empty database passes the same check."""
    page = browse(empty_city)

    assert violations(page) == []


@pytest.mark.parametrize(
    ("size", "path", "words"),
    [
        ("phone", "/", (r"bis jetzt üblich [\d.]+ \(\+[\d.]+\xa0%\)", "noch zu wenige vergleichbare Tage")),
        ("desktop", "/en/", (r"usual by now [\d,]+ \(\+[\d,]+%\)", "too few comparable days")),
    ],
)
def test_today_is_set_beside_what_is_usual(
    town: City, browse: Browse, size: str, path: str, words: tuple[str, str]
) -> None:
    """In words, as a picture and as a table, and it moves with the stream; too few comparable days are said."""
    beside, few = words
    page = browse(town, path, size=size)
    live(page)

    expect(told(page, "markt")).to_have_text(re.compile(beside))
    expect(page.locator('[data-usual="total"]')).to_have_text(re.compile(beside))
    expect(told(page, "johannisstrasse")).to_contain_text(few)
    expect(row(page, "markt").locator(".course svg")).to_be_visible()
    assert row(page, "markt").locator(".course-usual").get_attribute("d").count("M") == 24
    page.locator("#hours summary").click()
    expect(page.locator("#hours tbody tr")).to_have_count(24)
    expect(page.locator("#hours tbody tr").last.locator("td.is-usual").first).to_have_text("60")

    before = told(page, "markt").text_content() or ""
    town.count("markt", this_minute(), {0: 400}, observed_s=0)
    expect(told(page, "markt")).not_to_have_text(before)


def test_todays_remarks_are_told_and_kept_up_to_date(town: City, browse: Browse) -> None:
    """A remark is on the page with its station; one that comes later appears with the next hour, without a reload."""
    page = browse(town, expected=("Failed to load resource", "ERR_CONNECTION_REFUSED"), clock=True)
    live(page)
    expect(page.locator("#remarks")).to_contain_text("Bauarbeiten Gerüst am Rathaus Markt · bis auf Weiteres")
    assert page.locator("#remarks a").first.get_attribute("href") == "/station/markt"

    remark(town, "kirchplatz", "event", "Weihnachtsmarkt")
    page.locator("#hours summary").click()
    # A server just started has kept no answer of the minute before.
    town.stop()
    town.start()
    known(town)

    def is_told() -> bool:
        page.clock.fast_forward("01:02:00")
        return "Weihnachtsmarkt" in (page.locator("#remarks").text_content() or "")

    wait_until(is_told, timeout=90, what="the new remark", every=1)
    expect(page.locator("#hours")).to_have_attribute("open", "")


def test_streets_have_names_that_cover_no_label(town: City, browse: Browse) -> None:
    """Configured streets are drawn with their names along them, none of which touches a station's label."""
    page = browse(town)
    live(page)
    for size in SIZES.values():
        page.set_viewport_size(size)
        streets_keep_apart(page)


def streets_keep_apart(page: Page) -> None:
    """No name of a street touches the label of a station."""
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


def a_hundred_thousand(town: City) -> None:
    """So many passages and more on one market, in minutes that hold as many again: more than 6000 are not believed."""
    now_s = this_minute()  # once: where a minute begins meanwhile one would get twice as many
    for ago in range(5, 48):
        town.count("markt", now_s - ago * MINUTE_S, {0: 2500}, observed_s=0)


KIOSK_SIZES = ((1920, 1080), (1080, 1920))
"""A screen that lies, and one that stands."""


def test_the_kiosk_fills_the_screen_and_is_read_from_afar(town: City, browse: Browse) -> None:
    """Nothing scrolls, nothing is cut off, letters are large, there is no navigation, and numbers move.

    There is room for a hundred thousand passages.
    """
    a_hundred_thousand(town)
    page = browse(town, "/kiosk")
    live(page)
    expect(page.locator(".tile")).to_have_count(6)
    expect(page.locator("nav, .top, .foot")).to_have_count(0)
    expect(page.locator(".kiosk-total")).to_contain_text("Passagen heute, nicht Personen")
    expect(page.locator('[data-figure="total-today"]')).to_have_text(re.compile(r"≥ \d\d\d\.\d\d\d"))
    for width, height in KIOSK_SIZES:
        page.set_viewport_size({"width": width, "height": height})
        measured = page.evaluate(MEASURED)
        assert measured["scroll"] == [width, height]
        assert measured["cut"] == []
        assert measured["sizes"][".kiosk-big"] > 180
        assert measured["sizes"][".tile-today .figure"] > 70
        assert min(measured["sizes"].values()) > 24

    today = page.locator('.tile[data-station="markt"] [data-figure="today"]')
    total = page.locator('[data-figure="total-today"]')
    before = today.inner_text(), total.inner_text()
    town.count("markt", this_minute(), {0: 500}, observed_s=0)
    expect(today).not_to_have_text(before[0])
    expect(total).not_to_have_text(before[1])
    expect(page.locator('.tile[data-station="johannisstrasse"]')).to_contain_text("noch nie gemessen")


MEASURED = """() => ({
    scroll: [document.documentElement.scrollWidth, document.documentElement.scrollHeight],
    cut: [...document.querySelectorAll('.tile p, .tile h2, .kiosk-total p')].filter((text) => {
        const [inner, outer] = [text, text.parentElement].map((box) => box.getBoundingClientRect());
        return inner.bottom > outer.bottom + 1 || text.scrollWidth > text.clientWidth + 1; })
        .map((text) => text.outerHTML),
    sizes: Object.fromEntries(['.kiosk-big', '.tile-today .figure', '.tile-beside', '.tile h2'].map((which) =>
        [which, parseFloat(getComputedStyle(document.querySelector(which)).fontSize)])) })"""


def test_a_kiosk_without_a_stream_looks_for_itself(town: City, browse: Browse) -> None:
    """Where no stream arrives the view is loaded anew every minute."""
    page = browse(town, "/kiosk", script="delete window.EventSource", clock=True)
    today = page.locator('.tile[data-station="markt"] [data-figure="today"]')
    before = today.inner_text()
    town.count("markt", this_minute(), {0: 700}, observed_s=0)

    def shown() -> bool:
        page.clock.fast_forward(30_000)
        return today.inner_text() != before

    wait_until(shown, timeout=60, what="the new number", every=0.5)


def test_the_kiosk_keeps_nobody_out(town: City, browse: Browse) -> None:
    """On a phone nothing scrolls sideways, however many passed; silent sensors are told in words."""
    a_hundred_thousand(town)
    page = browse(town, "/kiosk", size="phone")
    live(page)

    expect(page.locator('[data-figure="total-today"]')).to_have_text(re.compile(r"≥ \d\d\d\.\d\d\d"))
    assert wider_than_the_screen(page) == ""
    expect(page.locator('.tile[data-station="kirchplatz"] [data-status]')).to_be_visible()
    expect(page.locator('.tile[data-station="holzmarkt"] [data-status]')).to_be_visible()
    expect(page.locator('.tile[data-station="markt"] [data-status]')).to_be_hidden()
    expect(page.locator(".kiosk-remarks")).to_contain_text("Gerüst am Rathaus")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, ("color-contrast",)) == []


class Tiles:
    """A tile server on a port of its own, which notes who asked."""

    def __init__(self) -> None:
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


@pytest.fixture(scope="module")
def tiles() -> Iterator[Tiles]:
    """A tile server."""
    server = Tiles()
    yield server
    server.close()


@pytest.fixture(scope="module")
def tiled(make_shared_city: CityMaker, tiles: Tiles) -> City:
    """Jena on a background of tiles."""
    background = {"tiles_url": tiles.origin + "/{z}/{x}/{y}.png", "tiles_attribution": "© Kachelwerk <b>"}
    return make_shared_city(at_noon(JENA), map=background)


def test_configured_tiles_are_shown_with_the_same_marks(tiled: City, browse: Browse, tiles: Tiles) -> None:
    """With tiles the map has a background, names its makers, asks no third host, and its marks work the same."""
    before = len(tiles.asked)
    page = browse(tiled, size="phone", allow=(tiles.origin,))
    live(page)
    if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
        pytest.skip("this Chromium has no WebGL")

    expect(page.locator(".map-ground.has-tiles canvas")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("© Kachelwerk <b>")).to_be_visible()
    expect(page.locator(".tile-mark")).to_have_count(6)
    total = page.locator('.tile-mark[data-station="markt"] [data-total]')
    expect(total).to_be_visible()
    tiled.count("markt", this_minute(), {0: 5000}, observed_s=0)
    expect(total).to_contain_text("5.")
    assert {referer for _, referer in tiles.asked[before:]} <= {tiled.url + "/", ""}
    for size in SIZES.values():
        page.set_viewport_size(size)
        expect(total).to_be_visible()
        assert wider_than_the_screen(page) == ""
        assert violations(page) == []
    to_a_station(page)
    page.locator('.tile-mark[data-station="kirchplatz"]').focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{tiled.url}/station/kirchplatz")


def test_a_configured_style_is_shown_with_the_same_marks(make_city: CityMaker, browse: Browse, tiles: Tiles) -> None:
    """A style of the operator's is the background, its makers are named, and stations stand on it."""
    city = make_city(at_noon(JENA), map={"style_url": f"{tiles.origin}/style.json", "style_attribution": "© Stilwerk"})
    page = browse(city, allow=(tiles.origin,))
    live(page)
    if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl2'))"):
        pytest.skip("this Chromium has no WebGL")

    expect(page.locator(".map-ground.has-tiles canvas")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("© Stilwerk")).to_be_visible()
    expect(page.locator(".tile-mark")).to_have_count(6)
    assert any(path.endswith("style.json") for path, _ in tiles.asked)
    assert any(path.endswith(".png") for path, _ in tiles.asked)


def test_without_webgl_the_drawing_stays(tiled: City, browse: Browse, tiles: Tiles) -> None:
    """Where the map library cannot draw, the map is the drawing, and the background's makers are not named."""
    before = len(tiles.asked)
    page = browse(tiled, allow=(tiles.origin,), script="HTMLCanvasElement.prototype.getContext = () => null")
    live(page)
    page.wait_for_function("() => !document.querySelector('.tiles') && document.querySelector('link[href*=maplibre]')")

    expect(page.locator(".map-drawing.is-wide")).to_be_visible()
    expect(page.get_by_text("© Kachelwerk")).to_be_hidden()
    assert len(tiles.asked) == before


def test_a_tile_server_that_is_away_leaves_the_drawing(make_city: CityMaker, browse: Browse) -> None:
    """A background that does not arrive takes nothing away."""
    origin = f"http://127.0.0.1:{free_port()}"
    city = make_city(at_noon(JENA), map={"tiles_url": origin + "/{z}/{x}/{y}.png", "tiles_attribution": "© Kachelwerk"})
    page = browse(city, allow=(origin,), expected=("Failed to load resource",))
    live(page)

    expect(page.locator(".map-drawing.is-wide")).to_be_visible()
    expect(page.locator(".has-tiles")).to_have_count(0)
