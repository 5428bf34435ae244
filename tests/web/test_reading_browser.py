"""The pages to be read in a real browser: nobody is kept out, nothing scrolls sideways, and no script is needed."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from playwright.sync_api import expect

from footfall_api.messages import LANGUAGES
from footfall_api.pages.frame import Pages
from footfall_ingest import areas
from footfall_testing.databases import Pool
from footfall_testing.web_city import JENA, City, feature
from footfall_testing.windows import SIZES, Browse, needs_chromium, violations, wider_than_the_screen

ROOT = Path(__file__).resolve().parents[2]
FAULT = "?station=holzmarkt&from=2026-03-02&to=2026-03-01"
VIEWS = [("data", ""), ("data", FAULT), ("api", ""), ("about", ""), ("easy", ""), ("accessibility", "")]

pytestmark = [*needs_chromium, pytest.mark.xdist_group("browser-2")]


@pytest.fixture(scope="module")
def town(plain_pool: Pool) -> Iterator[City]:
    """Two stations of Jena, one with a very long name that never had a sensor, and areas."""
    with (
        plain_pool.database() as dsn,
        TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True) as folder,
    ):
        city = City(dsn, Path(folder))
        bare = feature("bruecke", "Camsdorferbrückenkopfuferpromenade, Ecke Saalestraße", 50.9312, 11.587)
        bare["properties"] |= {"sensors": [], "line": None}
        city.add_stations([*JENA[:2], bare])
        with psycopg.connect(dsn) as connection:
            areas.apply(connection, ROOT / "deploy" / "jena" / "areas.geojson")
        city.start()
        yield city
        city.stop()


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_keeps_anybody_out(town: City, browse: Browse, language: str) -> None:
    """No violation on any page, with everything opened, with a fault in the form; nothing scrolls sideways.

    German on a phone and dark on a desktop, English the other way round: what a language changes is the text.
    """
    first, second = ("phone", "desktop") if language == LANGUAGES[0] else ("desktop", "phone")
    page = browse(town, Pages.path("about", language), size=first)
    for key, query in VIEWS:
        page.set_viewport_size(SIZES[first])
        page.emulate_media(color_scheme="light")
        page.goto(town.url + Pages.path(key, language) + query)
        page.evaluate("document.querySelectorAll('details').forEach((part, n) => { part.open = n < 3; })")

        assert violations(page) == [], (key, query)
        assert wider_than_the_screen(page) == "", (key, query)
        page.set_viewport_size(SIZES[second])
        page.emulate_media(color_scheme="dark")
        assert violations(page, ("color-contrast", "scrollable-region-focusable")) == [], (key, query)
        assert wider_than_the_screen(page) == "", (key, query)


def test_the_form_is_used_with_the_keyboard_alone(town: City, browse: Browse) -> None:
    """Choosing another format and pressing the button changes address and URL; the way back brings the old ones."""
    window = browse(town, Pages.path("data", "de"), size="phone")
    before = window.locator("#built code").inner_text()
    window.locator("#build-format").focus()
    window.keyboard.press("End")
    window.keyboard.press("Tab")
    for _ in range(10):
        if window.evaluate("document.activeElement.tagName") == "BUTTON":
            break
        window.keyboard.press("Tab")
    window.keyboard.press("Enter")
    expect(window).to_have_url(re.compile("format=geojson"))
    address = window.locator("#built code").inner_text()

    assert parse_qs(urlsplit(address).query)["format"] == ["geojson"]
    assert httpx.get(address, timeout=30).json()["type"] == "FeatureCollection"
    window.go_back()
    expect(window.locator("#built code")).to_have_text(before)


def test_copying_says_that_it_was_done(browse: Browse, town: City) -> None:
    """The button copies the very text and says so where screen readers hear it; it is reached by the keyboard."""
    page = browse(town, Pages.path("data", "en"), permissions=["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="Copy: Python", exact=True)
    button.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("[data-recipe=python]").inner_text()


def test_everything_is_there_without_scripts(browse: Browse, town: City) -> None:
    """The form works, downloads are there, and there is no button that would do nothing."""
    page = browse(town, Pages.path("data", "de"), size="phone", java_script_enabled=False)
    page.locator("#build-resolution").select_option("1d")
    page.get_by_role("button", name="Adresse anzeigen").click()

    expect(page.locator("#built code")).to_contain_text("resolution=1d")
    assert page.locator(".copy").count() == 0
    with page.expect_download() as download:
        page.locator("#downloads .periods a").first.click()
    assert download.value.suggested_filename.endswith(".csv")
    page.goto(town.url + Pages.path("api", "de") + "#schema-Value")
    expect(page.locator("#schema-Value")).to_be_visible()
