"""The pages to be read in a real browser: nobody is kept out, nothing scrolls sideways, and no script is needed."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from footfall_api.messages import LANGUAGES
from footfall_api.pages.frame import Pages
from footfall_ingest import areas
from footfall_testing.databases import Pool
from footfall_testing.web_city import JENA, City, feature

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
SIZES = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1280, "height": 900}}
WAIT_MS = 20_000
FAULT = "?station=holzmarkt&from=2026-03-02&to=2026-03-01"
VIEWS = [("data", ""), ("data", FAULT), ("api", ""), ("about", ""), ("easy", ""), ("accessibility", "")]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed: the pages are not looked at in a browser"),
]
both_sizes = pytest.mark.parametrize("size", SIZES)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for this module; its event loop must be gone before other modules run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


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


@pytest.fixture
def window(chromium: Browser, town: City, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window of the size and colours that the test names; at the end nothing odd was said or asked."""
    given = getattr(request.node, "callspec", None)
    named = given.params if given else {}
    context = chromium.new_context(
        viewport=SIZES[named.get("size", "desktop")], color_scheme=named.get("scheme", "light")
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type in {"error", "warning"} else None)
    page.on(
        "request",
        lambda asked: faults.append(asked.url) if not asked.url.startswith(("data:", town.url + "/")) else None,
    )
    yield page
    assert context.cookies() == []
    context.close()
    assert faults == []


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA and good practice."""
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
def test_nothing_keeps_anybody_out(town: City, window: Page, size: str, scheme: str) -> None:
    """No violation on any page, with everything opened, with a fault in the form; nothing scrolls sideways."""
    language = LANGUAGES[(size == "phone") != (scheme == "dark")]
    for key, query in VIEWS:
        window.goto(town.url + Pages.path(key, language) + query)
        window.evaluate("document.querySelectorAll('details').forEach((part, n) => { part.open = n < 3; })")

        assert violations(window) == [], (key, query)
        assert window.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"], (key, query)


@both_sizes
def test_the_form_is_used_with_the_keyboard_alone(town: City, window: Page, size: str) -> None:
    """Choosing another format and pressing the button changes address and URL; the way back brings the old ones."""
    window.goto(town.url + Pages.path("data", "de"))
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


def test_copying_says_that_it_was_done(chromium: Browser, town: City) -> None:
    """The button copies the very text and says so where screen readers hear it; it is reached by the keyboard."""
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(town.url.replace("127.0.0.1", "localhost") + Pages.path("data", "en"))
    button = page.get_by_role("button", name="Copy: Python", exact=True)
    button.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("[data-recipe=python]").inner_text()
    context.close()


def test_everything_is_there_without_scripts(chromium: Browser, town: City) -> None:
    """The form works, downloads are there, and there is no button that would do nothing."""
    context = chromium.new_context(java_script_enabled=False, viewport=SIZES["phone"])
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(town.url + Pages.path("data", "de"))
    page.locator("#build-resolution").select_option("1d")
    page.get_by_role("button", name="Adresse anzeigen").click()

    expect(page.locator("#built code")).to_contain_text("resolution=1d")
    assert page.locator(".copy").count() == 0
    with page.expect_download() as download:
        page.locator("#downloads .periods a").first.click()
    assert download.value.suggested_filename.endswith(".csv")
    page.goto(town.url + Pages.path("api", "de") + "#schema-Value")
    expect(page.locator("#schema-Value")).to_be_visible()
    context.close()
