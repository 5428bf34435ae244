"""The operator's page: who is let in, what it says of a real installation, and that it renews itself in a browser."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Page, Route, expect

from footfall_ingest.rollup import roll_up
from footfall_testing.boxes import Boxes
from footfall_testing.databases import Pool
from footfall_testing.web_city import JENA, City, feature
from footfall_testing.windows import SIZES, Browse, needs_chromium, violations, wider_than_the_screen

TOKEN = "the-operators-own-token"
LET_IN = ("whoever", TOKEN)
PUBLIC = {"local": True, "operator_token": TOKEN}
BOXES = {
    "jena-nord": ("johannisstrasse-1", "wagnergasse-1", "kirchplatz-1"),
    "jena-sued": ("markt-1", "holzmarkt-1", "loebderstrasse-1"),
}

pytestmark = pytest.mark.xdist_group("browser-2")  # they share two cities, and some need a browser


def start(opened: ExitStack, pool: Pool, features: list[dict[str, Any]]) -> City:
    """A city whose operator has a token."""
    folder = opened.enter_context(TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True))
    settings = {"public": PUBLIC, "limits": {"attempts": 1000}}  # the tests of a city try wrong ones together
    city = City(opened.enter_context(pool.database()), Path(folder), settings=settings)  # type: ignore[arg-type]
    opened.callback(city.stop)
    city.add_stations(features)
    city.start()
    return city


def well(city: City) -> Boxes:
    """Two boxes with three sensors each that have reported for a day and more."""
    boxes, now = Boxes(city.dsn), datetime.now(UTC)
    begin = now.replace(second=0, microsecond=0) - timedelta(minutes=1445)
    for node, sensors in BOXES.items():
        boxes.status(node, since=now - timedelta(days=3))
        for sensor in sensors:
            boxes.health(node, sensor, detail="firmware 1.4")
            assert boxes.report(node, sensor, begin, 1445).stored == 1
    with psycopg.connect(city.dsn, autocommit=True) as connection:
        roll_up(connection, now + timedelta(days=1), limit=10**6)
    return boxes


@pytest.fixture(scope="module")
def good(plain_pool: Pool) -> Iterator[City]:
    """Six sensors on two nodes, and nothing wrong."""
    with ExitStack() as opened:
        city = start(opened, plain_pool, JENA)
        well(city)
        yield city


@pytest.fixture(scope="module")
def bad(plain_pool: Pool) -> Iterator[City]:
    """The same, with everything wrong that can be wrong with it."""
    empty = feature("saaltor", "Saaltor", 50.92, 11.58)
    empty["properties"]["sensors"] = []
    new = feature("neutor", "Neutor", 50.921, 11.581)
    with ExitStack() as opened:
        city = start(opened, plain_pool, [*JENA, empty, new])
        boxes, now = well(city), datetime.now(UTC)
        now_s = int(now.timestamp())
        boxes.status("jena-nord", "offline", since=now - timedelta(days=3), at=now - timedelta(hours=3, seconds=30))
        boxes.health("jena-sued", "markt-1", "silent", since=now_s - 4000, waiting_slots=312)
        boxes.health("jena-sued", "holzmarkt-1", "fault", since=now_s - 720, detail="could not open the <port>")
        boxes.health("jena-sued", "loebderstrasse-1", bad_frames=900)
        boxes.report("jena-sued", "loebderstrasse-1", now + timedelta(days=1))
        boxes.report("fremd", "loebderstrasse-1", now - timedelta(minutes=5))
        boxes.report("jena-sued", "fremd-1", now - timedelta(minutes=5))
        boxes.raw("jena-sued", "markt-1", b"<script>this is no report</script>")
        yield city


def get(city: City, path: str = "/betrieb", auth: tuple[str, str] | None = LET_IN, **headers: str) -> httpx.Response:
    """The page; as the operator unless told otherwise."""
    return httpx.get(city.url + path, auth=auth, headers=headers, timeout=20)


def text(page: str) -> str:
    """What the page says, without its elements."""
    body = re.sub(r"<script.*?</script>", "", page.partition("<body>")[2], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


# -- who is let in ----------------------------------------------------------------------------------------------------


def test_without_the_token_the_page_says_what_would_open_it(good: City) -> None:
    """401, and the browser asks; nothing of the installation is on it, though `local` lifts the public's limits."""
    page = get(good, auth=None)

    assert page.status_code == 401
    assert page.headers["WWW-Authenticate"] == 'Basic realm="footfall", charset="UTF-8"'
    assert page.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "Nur für den Betrieb" in page.text
    assert "operator_token" in page.text
    assert "jena-nord" not in page.text


@pytest.mark.parametrize("auth", [("whoever", "wrong"), (TOKEN, ""), ("", "")])
def test_a_wrong_password_is_said_to_be_wrong(good: City, auth: tuple[str, str]) -> None:
    """401 again, in both languages, and nothing else."""
    german, english = get(good, auth=auth), get(good, "/en/operations", auth=auth)

    assert (german.status_code, english.status_code) == (401, 401)
    assert "Das Kennwort stimmt nicht" in german.text
    assert "The password is wrong" in english.text
    assert "jena-nord" not in german.text + english.text


def test_the_token_lets_in_also_as_a_bearers(good: City) -> None:
    """As for the API; a wrong one does not."""
    assert "jena-nord" in get(good, auth=None, Authorization=f"Bearer {TOKEN}").text
    assert get(good, auth=None, Authorization="Bearer wrong").status_code == 401


def test_without_a_configured_token_the_page_names_the_setting(empty_city: City) -> None:
    """403 for everybody: nobody is asked for a password that does not exist."""
    for auth in (None, LET_IN, ("", "")):
        page = get(empty_city, auth=auth)

        assert page.status_code == 403
        assert "WWW-Authenticate" not in page.headers
        assert "operator_token = " in page.text
    assert "switched off" in get(empty_city, "/en/operations").text


# -- what it says -----------------------------------------------------------------------------------------------------


def test_all_is_well(good: City) -> None:
    """One sentence, in both languages; nobody keeps the page; every table has what was reported."""
    page = get(good)
    said = text(page.text)

    assert page.headers["Cache-Control"] == "no-store"
    assert "Alles in Ordnung: 6 Sensoren an 2 Knoten berichten" in said
    assert "All is well: 6 sensors on 2 nodes report" in text(get(good, "/en/operations").text)
    assert 'class="trouble ' not in page.text
    for word in ("markt-1 Markt an jena-sued", "8.640", "firmware 1.4", "1.2.3", "Die Quarantäne ist leer", "MB"):
        assert word in said, word
    assert said.count("100 %") == 12, "24 hours of six sensors and six stations"


def test_an_empty_database_says_what_comes_first(plain_pool: Pool) -> None:
    """The command that enters stations, and no trouble."""
    with ExitStack() as opened:
        page = get(start(opened, plain_pool, []))

        assert page.status_code == 200
        assert "Noch nichts eingerichtet" in page.text
        assert "footfall-ingest stations apply stations.geojson" in page.text


def test_everything_that_is_wrong_is_named_with_what_to_do(bad: City) -> None:
    """Each kind as the aggregator really leaves it, worst first, with its command."""
    page = get(bad).text
    keys = re.findall(r'data-key="([^"]+)"', page)
    said = text(page)

    assert keys == [
        "offline jena-nord", "fault holzmarkt-1", "silent markt-1",
        "backlog jena-sued", "never", "clock jena-sued", "no-sensor", "unknown", "quarantine",
        "bad-frames loebderstrasse-1",
    ]  # fmt: skip
    assert "10 Dinge brauchen Aufmerksamkeit" in said
    assert "Dort angeschlossen: johannisstrasse-1, kirchplatz-1, wagnergasse-1" in said
    assert "(vor 3 Stunden)" in said
    assert re.search(r"\(vor 1[2-9] Minuten\)", said)
    assert "could not open the &lt;port&gt;" in said
    assert "neutor-1" in said
    assert "An einer Zählstelle ist kein Sensor eingebaut: Saaltor." in said
    assert "footfall-ingest quarantine list --node jena-sued" in said
    assert "1 × unreadable" in said
    assert "is in the future; the node&#39;s clock is wrong" in said
    assert "this is no report" not in page
    assert "10 things need attention" in text(get(bad, "/en/operations").text)


def test_a_long_list_of_sensors(plain_pool: Pool) -> None:
    """Two hundred sensors that never reported are one thing to do, and two hundred lines."""
    stations = [feature(f"platz-{n}", f"Platz {n}", 50.9 + n / 10_000, 11.5) for n in range(200)]
    with ExitStack() as opened:
        page = get(start(opened, plain_pool, stations)).text

    assert "1 Sache braucht Aufmerksamkeit" in page
    assert "200 eingetragene Sensoren haben noch nie etwas gemeldet" in page
    assert page.count('<tr><th scope="row">platz-') == 200


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture
def look(browse: Browse) -> Browse:
    """Opens the page as the operator, with a clock that a test sets: `look(city, size=…, **context)`."""

    def open_page(city: City, path: str = "/betrieb", **options: Any) -> Page:
        # What the browser itself says of a request that was cut on purpose, and of the page that is switched off.
        options = {
            "http_credentials": {"username": "it", "password": TOKEN},
            "expected": ("ERR_FAILED", "403 (Forbidden)"),
        } | options
        return browse(city, path, clock=True, **options)

    return open_page


class TestInABrowser:
    """With its scripts, or without them."""

    pytestmark = needs_chromium

    def test_nothing_keeps_anybody_out(self, bad: City, look: Any) -> None:
        """axe-core has no complaint, on a phone and on a dark desktop; only tables scroll sideways, by themselves."""
        page = look(bad, size="phone")
        expect(page.locator(".trouble").first).to_be_visible()
        assert violations(page) == []
        assert wider_than_the_screen(page) == ""
        page.set_viewport_size(SIZES["desktop"])
        page.emulate_media(color_scheme="dark")
        assert violations(page, ("color-contrast", "scrollable-region-focusable")) == []
        assert wider_than_the_screen(page) == ""

    def test_the_locked_page_keeps_nobody_out_either(self, empty_city: City, look: Any) -> None:
        """Nor does the one that names the setting."""
        page = look(empty_city, size="phone")

        assert violations(page) == []

    def test_it_renews_itself(self, good: City, look: Any) -> None:
        """What changed is shown and said, focus and scrolling stay; what only grew older is not said."""
        boxes = Boxes(good.dsn)
        page = look(good, size="phone")
        expect(page.locator("#verdict")).to_have_text("Alles in Ordnung: 6 Sensoren an 2 Knoten berichten")
        page.locator("#sensors").focus()
        page.evaluate("document.getElementById('sensors').scrollLeft = 150")
        page.evaluate("document.getElementById('operations').dataset.old = 'yes'")
        page.clock.run_for(31_000)
        expect(page.locator("#operations[data-old]")).to_have_count(0)
        expect(page.locator("#said")).to_be_empty()

        try:
            boxes.health("jena-sued", "markt-1", "fault", detail="unplugged")
            page.clock.run_for(31_000)
            expect(page.locator("#verdict")).to_have_text("1 Sache braucht Aufmerksamkeit")
            expect(page.locator("#said")).to_contain_text("1 Sache braucht Aufmerksamkeit.")
            expect(page.locator("#said")).to_contain_text("Sensor markt-1 (Markt) ist gestört")
            assert page.evaluate("document.activeElement.id") == "sensors"
            assert page.evaluate("document.getElementById('sensors').scrollLeft") == 150
        finally:
            boxes.health("jena-sued", "markt-1", detail="firmware 1.4")
        page.clock.run_for(31_000)
        expect(page.locator("#said")).to_have_text("Alles in Ordnung: 6 Sensoren an 2 Knoten berichten.")

    def test_a_server_that_is_away_is_said_once_and_when_it_is_back(self, good: City, look: Any) -> None:
        """What is shown stays, with its time."""
        page = look(good)

        def away(route: Route) -> None:
            route.abort()

        page.route("**/betrieb", away)
        page.clock.run_for(31_000)
        expect(page.locator("#connection")).to_contain_text("Keine Verbindung zum Server. Die Angaben sind von")
        expect(page.locator("#verdict")).to_be_visible()
        page.unroute("**/betrieb", away)
        page.clock.run_for(31_000)
        expect(page.locator("#connection")).to_have_text("Wieder verbunden.")

    def test_it_works_without_scripts(self, good: City, look: Any) -> None:
        """Everything is there, and a link reloads it."""
        page = look(good, java_script_enabled=False)
        expect(page.locator("#verdict")).to_contain_text("Alles in Ordnung")
        expect(page.locator("noscript p")).to_contain_text("Ohne JavaScript bleibt der Stand stehen.")
        page.locator("#reload").click()
        expect(page.locator("#sensors tbody th")).to_have_count(6)
