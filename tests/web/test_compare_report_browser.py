"""Comparison and report in a real browser: the form and the address, keyboard, no scripts, paper."""

import csv
import functools
import io
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import httpx
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from footfall_testing import city as rows
from footfall_testing.databases import Pool
from footfall_testing.day_counts import count_days, midnight
from footfall_testing.web_city import JENA, City
from footfall_testing.windows import SIZES, Browse, needs_chromium, violations, wider_than_the_screen

FIRST = date(2025, 3, 3)
PLACES = "/vergleich?station=markt&station=kirchplatz&from=2025-03-03&to=2025-03-30"
CHANGE = "/vergleich?way=change&at=markt&before=2025-04-07&after=2025-04-09&weeks=4"
REPORT = "/bericht?period=2025-03"

pytestmark = [*needs_chromium, pytest.mark.xdist_group("browser-2")]


@pytest.fixture(scope="module")
def town(plain_pool: Pool) -> Iterator[City]:
    """The six of Jena in spring 2025: two counted by the day, one of them with a gap, an area, a remark."""
    with plain_pool.database() as dsn, TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True) as folder:
        city = City(dsn, Path(folder))
        city.add_stations(JENA)
        inside = rows.City(dsn)
        keys = dict(inside.connection.execute("SELECT id, key FROM sensor").fetchall())
        for station, before, after in (("markt", 1000, 1500), ("kirchplatz", 500, 500)):
            gone = (date(2025, 3, 12), date(2025, 3, 13)) if station == "kirchplatz" else ()
            count_days(inside, keys[f"{station}-1"], FIRST, 35, before, without=gone)
            count_days(inside, keys[f"{station}-1"], FIRST + timedelta(days=35), 35, after)
        inside.connection.execute("UPDATE sensor SET directions = 3")
        inside.area("mitte", "markt", "kirchplatz")
        inside.remark(midnight(date(2025, 4, 7)), midnight(date(2025, 4, 9)), "Neue Bank", station="markt")
        inside.connection.close()
        city.start()
        yield city
        city.stop()


@pytest.fixture
def look(browse: Browse, town: City) -> Browse:
    """Opens pages of the town: `look(path, size="phone", **context)`."""
    return functools.partial(browse, town)


def drawn(page: Page) -> None:
    """Wait for the chart."""
    expect(page.locator(".plot-box svg, .plot-box canvas").first).to_be_visible()


def test_the_form_changes_address_and_numbers_and_back_leads_back(look: Browse) -> None:
    """Another place, another way, and the back button; fields of the other way stay out of the address."""
    page = look(PLACES, size="phone")
    drawn(page)
    expect(page.locator(".finding")).to_contain_text("Markt: im Mittel 2.000 Passagen je Tag")
    page.get_by_label("Kirchplatz").uncheck()
    page.get_by_label("Mitte").check()
    page.get_by_role("button", name="Vergleichen").click()
    expect(page.locator(".finding")).to_contain_text("Mitte: im Mittel 3.000 Passagen je Tag")
    assert parse_qs(urlsplit(page.url).query)["area"] == ["mitte"]

    page.get_by_label("Ein Ort vorher und nachher").check()
    page.locator("#at").select_option("markt")
    page.locator("#before").fill("2025-04-07")
    page.locator("#weeks").fill("4")
    page.get_by_role("button", name="Vergleichen").click()
    expect(page.locator(".finding")).to_contain_text(
        "Markt: +50\xa0% je Woche im Mittel, von 14.000 auf 21.000 Passagen"
    )
    assert set(parse_qs(urlsplit(page.url).query)) == {"way", "at", "before", "weeks"}

    page.go_back()
    page.go_back()
    expect(page.locator(".finding")).to_contain_text("am zweitstärksten Ort: Kirchplatz")
    expect(page.get_by_label("Kirchplatz")).to_be_checked()
    expect(page.get_by_label("Kirchplatz")).to_be_enabled()


def test_a_remarks_time_is_one_click_away(look: Browse) -> None:
    """The link takes its days as the time between before and after."""
    page = look("/vergleich?way=change&at=markt&weeks=4")
    page.get_by_role("link", name="diese Zeit übernehmen: Neue Bank").click()
    expect(page.locator(".finding")).to_contain_text("Markt: +50\xa0%")
    expect(page.locator("#before")).to_have_value("2025-04-07")
    expect(page.locator("#after")).to_have_value("2025-04-09")
    drawn(page)


def test_keys_alone_are_enough(look: Browse) -> None:
    """From the way to the place to the button, with a visible focus all along."""
    page = look("/en/compare?way=places")
    page.locator("#way-places").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#way-change")).to_be_focused()
    expect(page.locator("#at")).to_be_visible()
    expect(page.locator("#from")).to_be_hidden()
    page.keyboard.press("Tab")
    expect(page.locator("#at")).to_be_focused()
    page.keyboard.type("Mar")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.locator("#before").fill("2025-04-07")
    page.locator("#weeks").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".finding")).to_contain_text("Markt:")
    assert "way=change" in page.url


@pytest.mark.parametrize("path", [PLACES, CHANGE, REPORT + "&station=kirchplatz"], ids=["places", "change", "report"])
def test_nothing_keeps_anybody_out(look: Browse, path: str) -> None:
    """axe-core has no complaint, everything open, and nothing scrolls sideways, on a phone and on a dark desktop."""
    page = look(path, size="phone")
    if path != REPORT + "&station=kirchplatz":
        drawn(page)
    for summary in page.locator("details > summary").all():
        summary.click()
    assert violations(page) == []
    assert wider_than_the_screen(page) == ""
    page.set_viewport_size(SIZES["desktop"])
    page.emulate_media(color_scheme="dark")
    assert violations(page, ("color-contrast", "scrollable-region-focusable")) == []
    assert wider_than_the_screen(page) == ""


@pytest.mark.parametrize("language", ["de", "en"])
def test_without_scripts_all_numbers_are_there(look: Browse, language: str) -> None:
    """Form, finding, tables and the report's drawings do without."""
    prefix = "/en/compare" if language == "en" else "/vergleich"
    page = look(CHANGE.replace("/vergleich", prefix), java_script_enabled=False)
    expect(page.locator(".numbers tfoot")).to_contain_text("21.000" if language == "de" else "21,000")
    page.locator("#way-places").check()
    page.locator("form.ask button").click()
    expect(page.locator(".numbers tbody tr").first).to_be_visible()
    page.goto(page.url.split(prefix)[0] + ("/en/report" if language == "en" else "/bericht") + "?period=2025-03")
    expect(page.locator("#markt .bars-whole").first).to_be_visible()
    expect(page.locator("#print")).to_be_hidden()


def test_downloads_are_what_is_shown(look: Browse, town: City) -> None:
    """Every number of the table is in the CSV, every gap is empty there; Excel's file is the same."""
    page = look(PLACES)
    table = page.locator("#places tbody tr").evaluate_all(
        """rows => rows.map((row) => [
            row.querySelector('time').dateTime, ...[...row.cells].slice(1, 3).map((cell) => cell.textContent)])"""
    )
    address = str(page.get_by_role("link", name="CSV", exact=True).get_attribute("href"))
    counted: dict[str, dict[str, str]] = {}
    for line in csv.DictReader(io.StringIO(httpx.get(town.url + address, timeout=20).text)):
        counted.setdefault(line["interval_start"], {})[line["station"]] = line["count"]

    assert len(table) == 28
    assert {
        start: {"kirchplatz": first.replace(".", "").strip("–"), "markt": second.replace(".", "")}
        for start, first, second in table
    } == counted
    excel = str(page.get_by_role("link", name="CSV für Excel").get_attribute("href"))
    assert len(httpx.get(town.url + excel, timeout=20).text.splitlines()) == 1 + 2 * 28
    parquet = str(page.get_by_role("link", name="Parquet").get_attribute("href"))
    content = httpx.get(town.url + parquet, timeout=20).content
    assert pq.read_table(io.BytesIO(content)).num_rows == 2 * 28


def test_the_report_has_a_page_for_each_station(look: Browse) -> None:
    """On paper: the first page and one for each, without the form and the navigation."""
    page = look(REPORT)
    printed = page.pdf(prefer_css_page_size=True)
    page.emulate_media(media="print")

    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1 + len(JENA)
    expect(page.locator(".report-form")).to_be_hidden()
    expect(page.locator("nav.pages")).to_be_hidden()
    expect(page.locator("#markt .bars.is-wide")).to_be_visible()


def test_the_report_follows_its_form(look: Browse) -> None:
    """A quarter of one station, in the address; the print button opens the browser's own window."""
    page = look(REPORT, size="phone")
    page.evaluate("window.print = () => { document.title = 'printing'; }")
    page.get_by_role("button", name="Drucken").click()
    expect(page).to_have_title("printing")
    page.goto(page.url.split("?")[0] + "?period=2025-Q1&station=markt")
    expect(page.locator("h1")).to_have_text("Bericht 1. Quartal 2025")
    expect(page.locator(".is-station")).to_have_count(1)
    page.get_by_label("Kirchplatz").check()
    page.get_by_role("button", name="Bericht anzeigen").click()
    expect(page.locator(".is-station")).to_have_count(2)
    assert parse_qs(urlsplit(page.url).query) == {"period": ["2025-Q1"], "station": ["kirchplatz", "markt"]}
    page.go_back()
    expect(page.locator(".is-station")).to_have_count(1)
