"""The pages to be read over HTTP: they agree with the API and the contract, and everything on them leads somewhere."""

import copy
import csv
import html
import io
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from footfall_api import messages
from footfall_api.answers import Reason, State
from footfall_api.counts import CLASS_WORDS
from footfall_api.messages import LANGUAGES, catalogue
from footfall_api.pages import PAGES
from footfall_api.pages.about_view import stations_view
from footfall_api.pages.accessibility import ASSESSED
from footfall_api.pages.frame import Pages
from footfall_api.pages.line import length_m, turn_of
from footfall_contract.report import REPORT_FIELDS, decode
from footfall_ingest import areas
from footfall_testing.databases import Pool
from footfall_testing.web_city import JENA, City, CityMaker, feature, this_minute

ROOT = Path(__file__).resolve().parents[2]
READING = ("data", "api", "about", "easy", "accessibility")
ADDRESSES = [Pages.path(key, language) for key in READING for language in LANGUAGES]
WITHOUT_NAVIGATION = frozenset({"kiosk"})
FOR_OPERATORS = frozenset({"operations"})
TOKEN_WANTED = frozenset({"/api/v1/operations", *(Pages.path("operations", language) for language in LANGUAGES)})

pytestmark = pytest.mark.xdist_group("pages")  # they share cities


@pytest.fixture(scope="module")
def town(plain_pool: Pool) -> Iterator[City]:
    """Stations of Jena, one that never had a sensor, and areas; an hour counted at the first."""
    with ExitStack() as opened:
        folder = opened.enter_context(TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True))
        city = City(opened.enter_context(plain_pool.database()), Path(folder))
        bare = feature("planetarium", "Planetarium", 50.9312, 11.587)
        bare["properties"] |= {"sensors": [], "line": None}
        told = copy.deepcopy(JENA[1])
        told["properties"]["sensors"][0] |= {
            "type": "Radar, 60 GHz",
            "mounting": "Laterne",
            "field_of_view": "8 m breit",
        }
        city.add_stations([JENA[0], told, bare])
        with psycopg.connect(city.dsn) as connection:
            areas.apply(connection, ROOT / "deploy" / "jena" / "areas.geojson")
        city.count("holzmarkt", this_minute() - 3600, {0: 3, 1: 2}, minutes=60)
        city.settings = {"public": {"local": False}}  # type: ignore[dict-item]  # a boolean of TOML
        city.start()
        opened.callback(city.stop)
        yield city


def get(city: City, path: str) -> str:
    """The page, as a browser would ask for it."""
    answer = httpx.get(city.url + path, timeout=30, follow_redirects=True)
    assert answer.status_code == 200, (path, answer.text[:500])
    return answer.text


def listed(page: str, family: str) -> list[str]:
    """The words that a list of meanings explains."""
    (part,) = re.findall(rf'data-words="{family}">(.*?)</dl>', page, re.DOTALL)
    return re.findall(r"<dt><code>(\w+)</code>", part)


def recipe(page: str, key: str) -> str:
    """A piece of program as the page shows it."""
    (text,) = re.findall(rf'data-recipe="{key}">(.*?)</code>', page, re.DOTALL)
    return html.unescape(text)


def test_everything_on_the_pages_leads_somewhere(town: City) -> None:
    """Each link that stays on this server answers, and each place of a page that is linked to is there."""
    pages = {path: get(town, path) for path in ADDRESSES}
    links = {
        (html.unescape(target) if not target.startswith("#") else path + target)
        for path, page in pages.items()
        for target in re.findall(r'href="([/#][^"]*)"', page)
    }
    assert len(links) > 150
    for link in sorted(links):
        path, _, anchor = link.partition("#")
        if anchor:
            page = pages.get(path) or get(town, path)
            assert f'id="{anchor}"' in page, link
        elif path != "/api/v1/live":
            answer = httpx.head(town.url + path, timeout=30, follow_redirects=True)
            assert answer.status_code == (403 if path in TOKEN_WANTED else 200), link


def test_pages_lead_to_each_other(town: City) -> None:
    """From every page with a navigation all others can be reached in two steps, in its own language."""
    for language in LANGUAGES:
        wanted = {Pages.path(page.key, language) for page in PAGES}
        for page in PAGES:
            if page.key in WITHOUT_NAVIGATION | FOR_OPERATORS:
                continue
            text = get(town, Pages.path(page.key, language))
            reached = {urlsplit(html.unescape(link)).path for link in re.findall(r'href="(/[^"#]*)', text)}
            assert wanted - reached == set(), page.key


def test_nothing_inline_and_nothing_from_elsewhere(town: City) -> None:
    """The pages keep to the policy: no inline style, script or handler, no file of another host."""
    for path in ADDRESSES:
        page = get(town, path)
        assert not re.search(r"<[^>]*\s(style|on[a-z]+)=", page), path
        assert not re.search(r"<script(?![^>]*(\ssrc=|application/json))", page), path
        assert "<style" not in page
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', page), path


def test_fields_on_the_page_are_those_of_real_answers(town: City) -> None:
    """The table of fields has the fields of JSON and the columns of CSV, in their order, and no other."""
    page = get(town, Pages.path("data", "de"))
    (table,) = re.findall(r'data-words="field">(.*?)</table>', page, re.DOTALL)
    rows = [re.findall(r"<code>(\w+)</code>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)[1:]]
    answer = httpx.get(f"{town.url}/api/v1/counts", params={"area": "innenstadt"}, timeout=30).json()
    sheet = httpx.get(
        f"{town.url}/api/v1/counts", params={"area": "innenstadt", "format": "csv", "remarks": "column"}, timeout=30
    )

    assert [row[0] for row in rows[:-1]] == list(answer["values"][0])
    assert [row[-1] for row in rows] == next(csv.reader(io.StringIO(sheet.text)))
    assert set(listed(page, "around")) == set(answer) - {"values"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_answers_is_explained(town: City, language: str) -> None:
    """States, reasons, directions and classes on the page are those of the code."""
    page = get(town, Pages.path("data", language))

    assert listed(page, "state") == list(State)
    assert listed(page, "reason") == list(Reason)
    assert listed(page, "direction") == ["in", "out", "undirected", "all"]
    assert listed(page, "class") == [*CLASS_WORDS.values(), "all"]


def test_examples_run_against_this_city(town: City, tmp_path: Path) -> None:
    """What is there to be copied works as it is: curl saves the file, Python reads it and adds up the same passages."""
    begin = datetime.now(UTC).date() - timedelta(days=2)
    path = f"{Pages.path('data', 'de')}?station=holzmarkt&resolution=1d&split=direction&format=csv"
    page = get(town, path + f"&from={begin}")
    address = recipe(page, "excel").replace("format=csv-de", "format=json").replace("&remarks=column", "")
    values = httpx.get(address, timeout=30).json()["values"]
    passages = sum(value["count"] or 0 for value in values)

    assert passages == 300
    if shutil.which("curl"):
        command = recipe(page, "curl").replace("curl ", "curl --fail --silent --show-error ", 1)
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, timeout=60)
        (file,) = tmp_path.iterdir()
        assert file.name.startswith("footfall_holzmarkt_1d_")
        assert len(file.read_text("utf-8").splitlines()) == len(values) + 1
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", recipe(page, "python")],
        check=True, capture_output=True, text=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    measured = sum(value["count"] is not None for value in values)
    assert done.stdout.strip() == f"{measured} von {len(values)} Werten gemessen, Passagen: {passages}"
    assert 0 < measured < len(values)
    table = httpx.get(recipe(page, "excel"), timeout=30).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table), delimiter=";"))
    assert sum(int(row["count"] or 0) for row in rows) == passages
    assert "remarks" in rows[0]


@pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed: its example is not run")
def test_the_pandas_example_runs(town: City) -> None:
    """Times become times of the station's zone, gaps stay gaps, and the sum is the API's."""
    program = recipe(get(town, f"{Pages.path('data', 'de')}?station=holzmarkt&split=direction"), "pandas")
    done = subprocess.run(
        [sys.executable, "-c", program + "\nprint(counts.dtypes)"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "Europe/Berlin" in done.stdout
    assert "Int64" in done.stdout


def test_the_form_shows_an_address_that_answers(town: City) -> None:
    """What was chosen stays chosen, and the address shown and the one to follow are the same and answer."""
    query = "?station=holzmarkt&station=johannisstrasse&from=2026-03-01&to=2026-03-03&resolution=1d&format=geojson"
    for language in LANGUAGES:
        page = get(town, Pages.path("data", language) + query)
        (shown,) = re.findall(r'<code data-copy="[^"]*">(http[^<]*)</code>', page)
        (followed,) = re.findall(r'<a class="button" href="(/api/[^"]*)"', page)

        assert html.unescape(shown) == town.url + html.unescape(followed)
        assert len(httpx.get(html.unescape(shown), timeout=30).json()["features"]) == 4
        for name in ("holzmarkt", "johannisstrasse"):
            assert re.search(rf'value="{name}" checked', page)
        assert not re.search(r'value="planetarium" checked', page)
        assert '<option value="geojson" selected>' in page
        assert 'value="2026-03-01"' in page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("station=mrakt", 'name="station"'),
        ("station=holzmarkt&from=2026-03-02&to=2026-03-01", 'id="build-to"'),
        ("station=holzmarkt&from=2026-03-02&resolution=1min", 'id="build-resolution"'),
        ("station=holzmarkt&format=xlsx", 'id="build-format"'),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(town: City, query: str, field: str) -> None:
    """Once, in the field's group and named by it for screen readers; there is no address, and examples still work."""
    page = get(town, f"{Pages.path('data', 'de')}?{query}")
    (place,) = re.findall(
        r'(?:<fieldset|<div class="field">)(?:(?!</fieldset>|</div>\s*</div>).)*?id="fault"', page, re.DOTALL
    )

    assert page.count('id="fault"') == 1
    assert field in place.rpartition('<div class="field">')[2] or field in place
    assert 'aria-describedby="fault"' in page or ' fault"' in page
    assert "http" not in re.findall(r'<div class="built".*?</div>', page, re.DOTALL)[0]
    assert recipe(page, "python").count("/api/v1/stations/holzmarkt/counts") == 1


def test_markup_in_the_address_is_text(town: City) -> None:
    """A query with a script in it runs nothing."""
    page = get(town, f"{Pages.path('data', 'de')}?station=<script>alert(1)</script>&from=%22><b>")

    assert "<script>alert" not in page
    assert '"><b>' not in page


def test_the_report_shown_is_one_of_the_contract(town: City) -> None:
    """It decodes, and every field of the contract is explained under it, and no other."""
    for language in LANGUAGES:
        page = get(town, Pages.path("about", language))
        (text,) = re.findall(r'<pre class="report"[^>]*><code>(.*?)</code>', page, re.DOTALL)
        (fields,) = re.findall(r'<dl class="fields">(.*?)</dl>', page, re.DOTALL)

        assert decode(html.unescape(text).encode()).sensor == "holzmarkt-1"
        explained = [name for names in re.findall(r"<dt>([^<]*)</dt>", fields) for name in names.split(", ")]
        assert sorted(explained) == sorted(REPORT_FIELDS)


def test_each_sensor_is_shown_with_its_task_and_time(town: City) -> None:
    """As the API tells; a station that never had a sensor says so."""
    page = get(town, Pages.path("about", "de"))

    for station in httpx.get(f"{town.url}/api/v1/stations", timeout=30).json()["features"]:
        (part,) = re.findall(rf'id="station-{station["id"]}".*?</article>', page, re.DOTALL)
        for sensor in station["properties"]["sensors"]:
            assert f"<code>{sensor['id']}</code>" in part
            assert "01.01.2020" in part
            assert "seit 01.01.2020" in part
            for name in ("type", "mounting", "field_of_view"):
                assert (sensor[name] or "sind nicht eingetragen") in part
        for labels in station["properties"]["directions"]:
            assert labels["in"] in part
        if station["id"] == "planetarium":
            assert "noch nie ein Sensor eingebaut" in part
            assert "place-line" not in part


def test_a_counting_line_is_turned_and_measured_as_it_lies() -> None:
    """A line to the east is not turned, one to the south by a quarter; lengths are metres on the ground."""
    assert turn_of([[11.0, 50.9], [11.1, 50.9]]) == 0
    assert turn_of([[11.0, 50.9], [11.0, 50.8]]) == 90
    assert length_m([[11.0, 50.9], [11.0, 50.9001]]) == 11
    assert length_m([[11.58772, 50.92818], [11.58792, 50.92818]]) == 14


def test_directions_cross_the_line_from_its_left_to_its_right() -> None:
    """Along a line to the east `in` goes south; sensors that came and went have both dates, others since ever."""
    station = feature("markt", "Markt", 50.9, 11.0, labels=("Richtung Süden", "Richtung Norden"))
    station["properties"]["sensors"] = [
        {"id": "markt-1", "from": None, "to": "2026-03-01T08:00:00+01:00", "role": "reference", "type": "Radar, 60 GHz"}
    ]
    (view,) = stations_view([station], catalogue("de"))

    assert view.heading("in") == 180
    assert view.heading("out") == 0
    assert view.sensors[0].since == "Beginn"
    assert view.sensors[0].until == "01.03.2026"
    assert "Vergleich" in view.sensors[0].role
    assert view.sensors[0].about == (("Art", "Radar, 60 GHz"),)


def test_the_documentation_has_every_address_of_the_document(town: City) -> None:
    """Each with an anchor, English marked as such, and a link to the document itself."""
    document = json.loads(get(town, "/openapi.json"))
    page = get(town, Pages.path("api", "de"))

    for path, item in document["paths"].items():
        assert f'id="{item["get"]["operationId"]}"' in page
        assert path in page.replace("\u200b", "")
    assert 'href="/openapi.json"' in page
    assert '<h4 id="station_counts-heading" lang="en">' in page


def test_settings_reach_the_pages(make_city: CityMaker) -> None:
    """Who is responsible, whom to write to, who settles disputes and what a check found are the city's to say."""
    city = make_city(
        JENA[:1],
        city={
            "name": "Gera", "contact": "https://gera.example/amt", "feedback": "zaehlung@gera.example",
            "office": "Stadt Gera, Amt für Verkehr", "imprint": "https://gera.example/impressum",
            "privacy": "datenschutz@gera.example", "arbitration": "Schlichtungsstelle Gera",
            "accuracy": "Am 3. Mai 412 von Hand, 405 vom Sensor.",
        },
        public={"licence": "CC0", "licence_url": "https://cc.example/zero", "attribution": "Stadt Gera"},
    )  # fmt: skip
    city.stop()
    city.settings["http"] = {"port": city.port, "public_url": "https://zaehlung.gera.example"}  # type: ignore[dict-item]
    city.start()
    about, data = get(city, Pages.path("about", "de")), get(city, Pages.path("data", "de"))
    easy, access = get(city, Pages.path("easy", "de")), get(city, Pages.path("accessibility", "de"))

    assert "Stadt Gera, Amt für Verkehr" in about
    assert "Am 3. Mai 412 von Hand, 405 vom Sensor." in about
    assert "keine Prüfung gegen das Zählen von Hand" not in about
    for address in ("https://gera.example/amt", "https://gera.example/impressum", "mailto:datenschutz@gera.example"):
        assert f'<a href="{address}">' in about
    assert "Schlichtungsstelle Gera" in access
    assert "zaehlung.gera.example" in access
    assert "noch nicht angegeben" not in access
    for page in (about, easy, access):
        assert '<a href="mailto:zaehlung@gera.example">' in page
    assert "von Gera" in easy
    assert "https://zaehlung.gera.example/api/v1/stations/holzmarkt/counts" in data
    assert "Quelle: Stadt Gera. Lizenz: CC0." in data
    assert '<a rel="license" href="https://cc.example/zero">CC0</a>' in data


def test_an_empty_city_says_what_is_missing(empty_city: City) -> None:
    """Without stations and without addresses in the settings each page is there and says what is not."""
    expected = {
        "data": ["Noch ist keine Zählstelle eingetragen"],
        "api": ["Noch kein Beispiel"],
        "about": ["Noch ist keine Zählstelle eingetragen", "keine Prüfung gegen das Zählen", "Eine Adresse für Fragen"],
        "easy": ["Leider steht hier noch keine Adresse."],
        "accessibility": ["noch keine Adresse angegeben", "hat die zuständige Stelle noch nicht angegeben"],
    }  # fmt: skip
    for key, sentences in expected.items():
        page = get(empty_city, Pages.path(key, "de"))
        for sentence in sentences:
            assert sentence in page, key
        get(empty_city, Pages.path(key, "en"))


def test_the_assessment_is_not_older_than_the_release() -> None:
    """Whoever publishes a version assesses its pages anew: the statement names the day."""
    text = (ROOT / "publiccode.yml").read_text("utf-8")
    (released,) = re.findall(r'^releaseDate: "([\d-]+)"', text, re.MULTILINE)

    assert date.fromisoformat(released) <= ASSESSED


def test_easy_language_keeps_its_rules() -> None:
    """Short sentences, one a line, no subjunctive and no "man", long words parted by a middle dot as everywhere."""
    entries: dict[str, str] = tomllib.loads((Path(messages.__file__).parent / "de" / "easy.toml").read_text("utf-8"))[
        "easy"
    ]
    lines = [
        line for name, text in entries.items() if not name.endswith("drawing") for line in text.strip().splitlines()
    ]

    for line in filter(None, lines):
        words = re.findall(r"[\w·]+", line.replace("{city}", "Jena"))
        assert len(words) <= 9, line
        assert not {"man", "wird", "werden", "würde", "könnte", "wurde", "des"} & {word.lower() for word in words}, line
        assert all(len(part) <= 15 for word in words for part in word.split("·")), line
        assert not re.search(r"\b(Innenstadt|Zählstelle|Prüfgruppe|Passwort|Rathaus)\b", line), line
