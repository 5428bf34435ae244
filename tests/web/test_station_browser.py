"""The station page in a real browser, on a phone and on a desktop, with a real API and a real database behind it.

Every test ends with the same demands (see `browse`): no request to another host, nothing on the console, no script
error, no cookie.
"""

import csv
import re
import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from playwright.sync_api import Page, expect

from footfall_testing.databases import Pool
from footfall_testing.station_history import write_spans
from footfall_testing.waiting import wait_until
from footfall_testing.web_city import JENA, MINUTE_S, City, feature, this_minute
from footfall_testing.windows import SIZES, Browse, needs_chromium, violations

BERLIN = ZoneInfo("Europe/Berlin")
REMARK = "Gerüst am Rathaus, der Durchgang ist gesperrt"

pytestmark = [*needs_chromium, pytest.mark.xdist_group("browser-2")]


@pytest.fixture(scope="module")
def city(plain_pool: Pool) -> Iterator[City]:
    """The six stations of Jena and one with long names; the Markt has a past.

    A year by the hour (2025, a tenth of it missing), the last five weeks, a remark, and the last hour by the minute.
    """
    today = datetime.now(BERLIN).date()
    with plain_pool.database() as dsn, TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True) as folder:
        city = City(dsn, Path(folder), settings={"public": {"local": True}})
        long = ("Ri. " + "x" * 40, "Donaudampfschifffahrtsgesellschaftsstraße")
        city.add_stations(
            [*JENA, feature("lang", "Donaudampfschifffahrtsgesellschaftsstraße", 50.93, 11.6, labels=long)]
        )
        year = datetime.combine(date(2025, 1, 1), time(), BERLIN).astimezone(UTC)
        recent = datetime.combine(today - timedelta(days=36), time(), BERLIN).astimezone(UTC)
        until = datetime.fromtimestamp(this_minute(), UTC).replace(minute=0) - timedelta(hours=2)
        hours = [year + timedelta(hours=index) for index in range(8760)]
        hours += [recent + timedelta(hours=index) for index in range(int((until - recent).total_seconds() // 3600))]
        write_spans(dsn, "markt-1", hours, lambda at: None if at.year == 2025 and at.day % 10 == 0 else busy(at))
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO remark (station, starts, ends, kind, text) VALUES ('markt', %s, %s, 'works', %s)",
                [datetime(2025, 3, 10, tzinfo=BERLIN), datetime(2025, 3, 14, tzinfo=BERLIN), REMARK],
            )
        city.start()
        yield city
        city.stop()


def busy(at: datetime) -> dict[int, int]:
    """Passages in an hour: more at noon, more on Saturdays, one third of them out."""
    local = at.astimezone(BERLIN)
    base = max(0, 12 - abs(local.hour - 13)) * (20 if local.weekday() == 5 else 10)
    return {0: 2 * base, 1: base}


def drawn(page: Page, name: str = "course-plot") -> None:
    """Wait until a chart is drawn."""
    expect(page.locator(f'[data-plot="{name}"][data-drawn]')).to_be_visible()


def live(page: Page) -> None:
    """Wait until the page has its first board from the live stream and has drawn the last hour."""
    expect(page.locator("#light[data-state=on]")).to_be_visible()
    drawn(page, "minutes-plot")


MARCH = "/station/markt?from=2025-03-01&to=2025-03-31"


def test_filters_change_the_chart_and_the_address(city: City, browse: Browse) -> None:
    """Without a reload; back and forward, a reload and the other language keep what is shown."""
    page = browse(city, MARCH, size="phone")
    drawn(page)
    page.evaluate("window.same = true")
    summary = page.locator("#course-plot-summary")
    expect(summary).to_contain_text("Stärkster Tag")

    page.get_by_label("Ein Wert je").select_option("1w")
    expect(summary).to_contain_text("Stärkste Woche ab")
    expect(page).to_have_url(city.url + MARCH + "&resolution=1w&direction=split&form=bars")
    page.get_by_label("Diagramm", exact=True).select_option("lines")
    expect(page).to_have_url(city.url + MARCH + "&resolution=1w&direction=split&form=lines")
    drawn(page)
    page.get_by_label("Richtungen", exact=True).focus()
    page.get_by_label("Richtungen", exact=True).select_option("sum")
    expect(page.locator("#course .plot-key").first).to_have_text("zusammen")
    expect(page.get_by_label("Richtungen", exact=True)).to_be_focused()

    page.go_back()
    expect(page.get_by_label("Richtungen", exact=True)).to_have_value("split")
    page.go_back()
    expect(page.get_by_label("Diagramm", exact=True)).to_have_value("bars")
    page.go_forward()
    expect(page.get_by_label("Diagramm", exact=True)).to_have_value("lines")
    assert page.evaluate("window.same")
    page.reload()
    expect(page.get_by_label("Diagramm", exact=True)).to_have_value("lines")
    page.get_by_role("link", name="English").click()
    expect(page.locator("#course-plot-summary")).to_contain_text("1 Mar 2025 to 31 Mar 2025: at least")
    expect(page.get_by_label("Chart", exact=True)).to_have_value("lines")


def test_a_phone_names_the_days_of_a_week(city: City, browse: Browse) -> None:
    """Words below the axis that do not fit beside each other are shorter, and not fewer than help."""
    page = browse(city, "/station/markt?from=2025-03-03&to=2025-03-09", size="phone")
    drawn(page)
    days = [text for text in page.locator('[data-plot="course-plot"] svg text').all_text_contents() if "März" in text]

    assert len(days) >= 3, days


def test_quick_periods_and_pages_change_the_address(city: City, browse: Browse) -> None:
    """Links do what forms do; the fields follow; another station keeps the period."""
    page = browse(city, MARCH + "&resolution=1h")
    drawn(page)
    page.locator("#table summary").click()
    page.get_by_role("link", name="spätere Zeilen").click()
    expect(page.locator(".pager p")).to_have_text("Zeilen 201 bis 400 von 743")
    expect(page.locator("#table tbody tr").first).to_be_visible()
    # Which day that is was said when the page was made, and not when the link is followed.
    link = page.get_by_role("link", name="gestern")
    (yesterday,) = parse_qs(urlsplit(link.get_attribute("href") or "").query)["from"]
    assert date.fromisoformat(yesterday) < datetime.now(BERLIN).date()
    link.click()
    expect(page.get_by_label("Von", exact=True)).to_have_value(yesterday)
    expect(page.get_by_role("link", name="gestern")).to_have_attribute("aria-current", "true")

    page.get_by_label("Andere Zählstelle zeigen").select_option("kirchplatz")
    expect(page.locator("h1")).to_have_text("Kirchplatz")
    assert page.url == f"{city.url}/station/kirchplatz?from={yesterday}&to={yesterday}"


def test_a_typed_date_counts_when_it_is_left(city: City, browse: Browse) -> None:
    """With the keyboard alone; half a date changes nothing."""
    page = browse(city, "/en" + MARCH)
    drawn(page)
    page.get_by_label("up to and including").focus()
    page.keyboard.type("03152025")
    expect(page).to_have_url(city.url + "/en" + MARCH)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#course-plot-summary")).to_contain_text("1 Mar 2025 to 15 Mar 2025")
    page.locator("#table summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#table tbody tr")).to_have_count(15)


def test_what_is_saved_is_what_is_shown(city: City, browse: Browse, tmp_path: Path) -> None:
    """An SVG with title, source, licence and remarks as text, a PNG of it in twice the size, light in the dark too.

    A CSV has the sum that is shown, and after a change without a reload that of what is shown then.
    """
    page = browse(city, MARCH, size="phone", color_scheme="dark")
    drawn(page)
    saved = {}
    for name in ("svg", "png"):
        with page.expect_download() as download:
            page.locator(f'#course-plot [data-picture="{name}"]').click()
        saved[name] = tmp_path / name
        download.value.save_as(saved[name])
        assert download.value.suggested_filename == f"footfall_markt_2025-03-01_2025-03-31_1d.{name}"

    picture = ET.parse(saved["svg"]).getroot()
    said = " ".join("".join(element.itertext()) for element in picture.iter("{http://www.w3.org/2000/svg}text"))
    assert "Markt: Passagen je Tag, 01.03.2025 bis 31.03.2025" in said
    assert "Quelle: Jena. Lizenz: Datenlizenz Deutschland – Zero – Version 2.0." in said
    assert "Passagen, nicht Personen" in said
    assert f"1 Bauarbeiten, 10.03.2025 bis 13.03.2025: {REMARK}" in said
    for text in ("Richtung Rathaus", "Richtung Kirche", "nur zum Teil gemessen"):
        assert text in said
    assert picture.find("{http://www.w3.org/2000/svg}rect").get("fill") == "#fff"  # type: ignore[union-attr]
    content = saved["png"].read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (2000, 2 * int(picture.get("height", "0")))

    page.get_by_label("Ein Wert je").select_option("1h")
    expect(page.locator("#course-plot-summary")).to_contain_text("Stärkste Stunde")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    rows = list(csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines()))
    total = sum(int(row["count"]) for row in rows if row["count"])

    assert len(rows) == 2 * 743
    expect(page.locator("#course-plot-summary")).to_contain_text(f"{total:,}".replace(",", ".") + " Passagen")


def test_a_year_by_the_hour_is_drawn_on_a_canvas(city: City, browse: Browse) -> None:
    """8760 hours in two directions are drawn at once, as bars and as lines, and measure how long it took."""
    year = "/station/markt?from=2025-01-01&to=2025-12-31&resolution=1h&form="
    page = browse(city, year + "bars")
    for form in ("bars", "lines"):
        if form not in page.url:
            page.goto(city.url + year + form)
        drawn(page)

        expect(page.locator('[data-plot="course-plot"][data-drawn=canvas] canvas')).to_be_visible()
        took = page.evaluate("performance.getEntriesByName('plot:course-plot')[0].duration")
        assert took > 0
        print(f"a year by the hour as {form}: {took:.0f} ms")
        expect(page.locator("#table tbody tr")).to_have_count(200)


def test_numbers_move_when_rows_are_committed(city: City, browse: Browse) -> None:
    """A committed report changes sentence, chart and table of the last hour without a reload, and silently.

    No live region tells a screen reader of it.
    """
    page = browse(city, "/station/holzmarkt", size="phone")
    live(page)
    page.evaluate(
        """() => { window.said = []; for (const place of document.querySelectorAll('[role=status], [aria-live]'))
            new MutationObserver(() => said.push(place.id)).observe(place, { childList: true, subtree: true,
                characterData: true }); }"""
    )
    text = page.locator("#minutes-plot-summary")
    before = text.text_content()
    city.count("holzmarkt", this_minute(), {0: 1200, 1: 34}, observed_s=0)

    expect(text).not_to_have_text(before or "")
    expect(text).to_contain_text("Passagen (1.2")
    page.locator("#minutes summary").click()
    expect(page.locator("#minutes-body")).to_contain_text("1.2")
    again = text.text_content()
    city.count("holzmarkt", this_minute(), {0: 1}, observed_s=0)
    expect(text).not_to_have_text(again or "")
    assert page.evaluate("window.said") == []


def minutes_of_api(city: City, station: str, now_s: int) -> dict[str, list[int | None]]:
    """What the API says of the last hour by the minute: start in UTC → [in, out]."""
    answer = httpx.get(
        f"{city.url}/api/v1/stations/{station}/counts",
        params={
            "from": datetime.fromtimestamp(now_s - 59 * MINUTE_S, UTC).isoformat(),
            "to": datetime.fromtimestamp(now_s + MINUTE_S, UTC).isoformat(),
            "resolution": "1min",
            "split": "direction",
        },
        timeout=20,
    )
    found: dict[str, dict[str, int | None]] = {}
    for value in answer.raise_for_status().json()["values"]:
        found.setdefault(utc(value["start"]), {})[value["direction"]] = value["count"]
    return {start: [counts["in"], counts["out"]] for start, counts in found.items()}


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
    const heights = (name) => [...document.querySelectorAll('[data-plot=minutes-plot] svg path')]
        .filter((path) => [path.getAttribute('fill'), path.getAttribute('stroke')].some((colour) =>
            colour && colour !== 'none' && plain(colour) === plain(style.getPropertyValue(name).trim())))
        .map((path) => path.getBBox()).sort((a, b) => a.x - b.x).map((box) => box.height);
    return { in: heights('--in'), out: heights('--out') };
}"""


def test_chart_and_table_of_the_last_hour_agree_with_the_api(city: City, browse: Browse) -> None:
    """Minute by minute the table has the API's numbers, a gap is a dash, and the bars are as high as the numbers."""
    now_s = this_minute()
    for first, end in ((59, 29), (19, 0)):
        counts = [{0: (ago * 7) % 13, 1: (ago * 5) % 11} for ago in range(first, end, -1)]
        city.count_each("loebderstrasse", now_s - first * MINUTE_S, counts)
    page = browse(city, "/station/loebderstrasse")
    live(page)

    def agreed() -> list[list[str]] | None:
        table = page.evaluate(TABLE)
        newest = utc(table[0][0])
        known = minutes_of_api(city, "loebderstrasse", this_minute())
        wanted = [["–" if count is None else str(count) for count in known.get(utc(line[0]), [])] for line in table]
        return table if newest in known and [line[1:3] for line in table] == wanted else None

    table = wait_until(agreed, timeout=60, what="a table that agrees with the API", every=0.3)
    assert len(table) == 60
    # Ten minutes are missing on purpose; more if minutes began while the browser was opened.
    assert 10 <= sum(line[1] == "–" for line in table[1:]) < 40

    for column, key in ((1, "in"), (2, "out")):
        counts = [0 if line[column] == "–" else int(line[column]) for line in reversed(table)]
        heights = [height for height in page.evaluate(BARS)[key] if height > 0.5]
        wanted = [count for count in counts if count]
        unit = max(heights) / max(wanted)
        assert [round(height / unit, 1) for height in heights] == pytest.approx(wanted, abs=0.2)


def test_server_and_scripts_say_the_same(city: City, browse: Browse) -> None:
    """What the script writes of the last hour is what the server writes of it, to the letter, gaps and all."""
    now_s = this_minute()
    city.count("wagnergasse", now_s - 50 * MINUTE_S, {0: 4, 1: 1}, minutes=20)
    city.count("wagnergasse", now_s - 30 * MINUTE_S, {0: 1}, minutes=20, observed_s=30)
    scripted = browse(city, "/station/wagnergasse")
    plain = browse(city, "/station/wagnergasse", java_script_enabled=False)
    live(scripted)
    page_says = ["#minutes-plot-summary", "#minutes-body"]

    def texts(page: Page) -> list[str]:
        return ["".join((page.locator(where).text_content() or "").split()) for where in page_says]

    def same() -> bool:
        plain.reload()
        return texts(plain) == texts(scripted)

    wait_until(same, timeout=60, what="the same words from server and script", every=0.2)
    assert "zu50%gemessen" in texts(plain)[1]


def test_a_lost_connection_is_said_and_comes_back(city: City, browse: Browse) -> None:
    """When the server goes away the page says so once and keeps its numbers; when it is back it follows again."""
    page = browse(city, "/station/kirchplatz", expected=("Failed to load resource",))
    live(page)
    city.stop()
    expect(page.locator("#connection")).to_contain_text("Verbindung unterbrochen")
    expect(page.locator("#light")).to_have_attribute("data-state", "lost")

    city.start()
    expect(page.locator("#connection")).to_contain_text("Wieder verbunden", timeout=60_000)
    city.count("kirchplatz", this_minute(), {0: 5000}, observed_s=0)
    # A test before may have counted a few in the same minute.
    expect(page.locator("#minutes-plot-summary")).to_contain_text(re.compile(r"\b5\.0\d\d\b"))


def test_without_scripts_everything_can_be_read(city: City, browse: Browse) -> None:
    """With JavaScript off: the form works, every table opens, downloads are there, and how to get new numbers."""
    page = browse(city, MARCH, java_script_enabled=False, size="phone")

    page.get_by_label("Ein Wert je").select_option("1w")
    page.get_by_role("button", name="Anzeigen").nth(1).click()
    assert "resolution=1w" in page.url
    expect(page.locator("#course-plot-summary")).to_contain_text("Stärkste Woche ab")
    page.locator("#table summary").click()
    expect(page.locator("#table tbody tr")).to_have_count(6)
    expect(page.get_by_role("link", name="Parquet")).to_be_visible()
    expect(page.locator("[data-picture]")).to_have_count(0)
    expect(page.locator("noscript p")).to_contain_text("Ohne JavaScript bleiben die Zahlen stehen")
    page.get_by_label("Andere Zählstelle zeigen").select_option("lang")
    page.get_by_role("button", name="Anzeigen").first.click()
    expect(page.locator("h1")).to_contain_text("Donaudampf")
    assert "resolution=1w" in page.url


def test_nothing_scrolls_sideways(city: City, browse: Browse) -> None:
    """From 320 pixels on (a desktop at 400 %) no part of the page is wider than the screen, long names included."""
    page = browse(city, "/station/lang")
    live(page)
    for summary in page.locator("summary").all():
        summary.click()
    for width in (320, 360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        expect(page.locator("#minutes-plot svg").first).to_be_visible()
        # Charts take their new width when they get round to it.
        wait_until(lambda width=width: page.evaluate(TOO_WIDE, width) == [], timeout=60, what=f"a page {width} px wide")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


TOO_WIDE = """width => [...document.querySelectorAll('main *, header *')].filter((element) =>
    element.getBoundingClientRect().right > width + 1
    && !element.closest('.heard, .minutes-scroll, pre, svg, .plot-ground, .plot-paper')
    && getComputedStyle(element).position !== 'absolute').map((element) => element.outerHTML.slice(0, 120))"""


def test_nothing_keeps_anybody_out(city: City, browse: Browse) -> None:
    """axe-core has no complaint: with charts and open tables, light on a phone and dark on a desktop.

    Nor has it one about what a wrong address says.
    """
    page = browse(city, MARCH, size="phone")
    live(page)
    drawn(page)
    for summary in page.locator("summary").all():
        summary.click()
    assert violations(page) == []
    page.set_viewport_size(SIZES["desktop"])
    page.emulate_media(color_scheme="dark")
    drawn(page)
    assert violations(page, ("color-contrast", "scrollable-region-focusable")) == []

    page = browse(city, "/en/station/markt?from=x&form=pie", size="phone", expected=("422",))
    assert violations(page) == []
    page = browse(city, "/station/nope", color_scheme="dark", expected=("404",))
    assert violations(page) == []


def test_a_missing_chart_library_leaves_the_tables(city: City, browse: Browse) -> None:
    """If the library does not arrive the page says so, opens the tables, and goes on."""
    page = browse(city, "/station/kirchplatz", expected=("no chart",))
    page.route(
        "**/vendor/chart.js",
        lambda route: route.fulfill(status=200, body="throw new Error('no chart');", content_type="text/javascript"),
    )
    page.reload()

    expect(page.locator("#course .plot-note")).to_contain_text("Das Diagramm ließ sich nicht laden")
    expect(page.locator("#table tbody tr").first).to_be_visible()
    before = page.locator("#minutes-plot-summary").text_content()
    city.count("kirchplatz", this_minute(), {0: 7}, observed_s=0)
    expect(page.locator("#minutes-plot-summary")).not_to_have_text(before or "")


def test_a_pointer_is_told_what_it_is_over_and_the_week_has_a_form_of_its_own(city: City, browse: Browse) -> None:
    """The interval, both numbers, and the remark on it.

    The form of this week changes that chart and the address, and keeps the period.
    """
    page = browse(city, MARCH)
    drawn(page)
    box = page.locator('[data-plot="course-plot"]')
    box.scroll_into_view_if_needed()
    frame = box.bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + frame["width"] * (11.5 / 31) + 40, frame["y"] + frame["height"] / 2)

    expect(page.locator(".plot-tip")).to_contain_text("März 2025")
    expect(page.locator(".plot-tip")).to_contain_text("Richtung Rathaus")
    expect(page.locator(".plot-tip")).to_contain_text(REMARK)

    drawn(page, "usual-plot")
    page.get_by_label("Vergleichen").select_option("1h")
    expect(page.locator("#usual-plot-summary")).to_contain_text("Stunde")
    expect(page).to_have_url(city.url + MARCH.replace("?", "?week=1h&"))
    expect(page.locator("#week-plot-summary")).to_contain_text("am Samstag")
