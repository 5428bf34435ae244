"""The station page as it is sent: a real API on a real database, asked over HTTP, without a browser."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest

from footfall_testing.databases import Pool
from footfall_testing.station_history import write_spans
from footfall_testing.web_city import City, feature, this_minute

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.xdist_group("pages")  # they share a city with ten years behind it


def local_day(day: date) -> datetime:
    """The local midnight with which a day begins."""
    return datetime.combine(day, time(), BERLIN).astimezone(UTC)


@pytest.fixture(scope="module")
def city(plain_pool: Pool) -> Iterator[City]:
    """Stations with odd ids and odd pasts. Public rules hold: no token, nothing finer than is public.

    ``0``: ten years by the day. ``station``: a year by the hour with 30 % gaps, both days of clock changes among it.
    ``a--b``: one day. ``zz``: no sensor.
    """
    features = [
        feature("0", "Zehn Jahre", 50.92818, 11.58782, labels=("Richtung <Rathaus>", "Richtung Kirche")),
        feature("station", "Ein Jahr", 50.9282, 11.588, labels=("Richtung Markt", "Richtung Tor")),
        feature("a--b", "Ein Tag", 50.9283, 11.589),
        feature("zz", "Ohne Sensor", 50.9284, 11.59),
    ]
    features[0]["properties"]["sensors"][0]["from"] = "2010-01-01"
    features[-1]["properties"]["sensors"] = []
    with plain_pool.database() as dsn, TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True) as folder:
        city = City(dsn, Path(folder), settings={"public": {}})
        city.add_stations(features)
        today = datetime.now(BERLIN).date()
        # By the local day: where clocks change a span would not lie inside its day, so those days stay gaps.
        days = [local_day(today - timedelta(days=ago)) for ago in range(3650, 0, -1)]
        whole = [day for day in days if (day + timedelta(days=1)).astimezone(BERLIN).hour == 0]
        write_spans(dsn, "0-1", whole, lambda _: {0: 100, 1: 50}, length_s=86_400)
        hours = [local_day(date(2025, 1, 1)) + HOUR * index for index in range(8760)]
        write_spans(dsn, "station-1", hours, lambda hour: None if hour.day % 10 < 3 else {0: hour.hour, 1: 1})
        city.count("a--b", this_minute() - 20 * 60, {0: 5, 1: 2}, minutes=20)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO remark (station, starts, ends, kind, text) VALUES "
                "('station', '2025-03-29T00:00+01:00', '2025-03-31T00:00+02:00', 'works', 'Gerüst <b>am</b> Tor')"
            )
        city.start()
        yield city
        city.stop()


def get(city: City, path: str, status: int = 200) -> str:
    """A page as text."""
    answer = httpx.get(city.url + path, timeout=60)
    assert answer.status_code == status, answer.text[:500]
    return answer.text


def plot(html: str, name: str = "course-plot") -> dict[str, Any]:
    """The data of a chart of the page."""
    found = re.search(rf'data-plot="{name}"></div>\s*<script[^>]*>(.*?)</script>', html, re.DOTALL)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def summary(html: str, name: str = "course-plot") -> str:
    """The sentence of a chart."""
    found = re.search(rf'id="{name}-summary">(.*?)</p>', html, re.DOTALL)
    assert found is not None
    return unescape(found[1])


def links(html: str) -> dict[str, str]:
    """Addresses of the downloads by their names."""
    return {name: unescape(address) for address, name in re.findall(r'<a href="([^"]+)" download>([^<]+)<', html)}


def sums(values: list[int | None]) -> int:
    """The sum of what was measured."""
    return sum(value for value in values if value is not None)


def test_an_empty_database_says_what_to_do(empty_city: City) -> None:
    """Whatever station is named, there is none yet."""
    for path in ("/station", "/en/station", "/station/markt"):
        assert "footfall-ingest stations apply" in get(empty_city, path)


def test_without_a_station_the_busiest_is_shown(city: City) -> None:
    """The rest of the address is kept; a station chosen in the form becomes part of the path."""
    first = httpx.get(f"{city.url}/station?from=2025-03-01", timeout=60)
    assert (first.status_code, first.headers["location"]) == (302, "/station/a--b?from=2025-03-01")

    chosen = httpx.get(f"{city.url}/en/station?station=0&form=lines", timeout=60)
    assert chosen.headers["location"] == "/en/station/0?form=lines"


@pytest.mark.parametrize("name", ["nope", "%3Cscript%3E", "A--B", "0%00", "station%20", "Zählstelle"])
def test_an_unknown_station_is_answered_with_those_there_are(city: City, name: str) -> None:
    """404, the name as text, and a link to each station."""
    html = get(city, f"/station/{name}", 404)

    assert "<script>" not in html.lower().partition("<main")[2]
    assert [station for station in ("0", "station", "a--b", "zz") if f'href="/station/{station}"' not in html] == []


def test_a_station_without_a_sensor_says_so(city: City) -> None:
    """No number, no error: why there is none, in chart, calendar and facts."""
    html = get(city, "/station/zz")

    assert "Hier ist noch kein Sensor eingebaut" in html
    assert "kein Sensor eingebaut" in summary(html)
    assert "In dieser Zeit war hier kein Sensor eingebaut." in html
    assert "Für eine typische Woche ist noch nicht genug gemessen" in html


def test_one_day_of_data_is_enough(city: City) -> None:
    """A station that began today has its numbers, and says what it cannot say yet."""
    html = get(city, "/station/a--b")

    assert "mindestens 140 Passagen (100 Richtung 1; 40 Richtung 2)" in summary(html)
    assert "Für eine typische Woche ist noch nicht genug gemessen" in html
    assert "lässt sich mit den letzten vier Wochen vergleichen" in summary(html, "usual-plot")
    assert "Wohin die Richtungen führen, ist nicht eingetragen" in html


def test_a_year_with_gaps_shows_them(city: City) -> None:
    """8760 hours are in the chart, a third of them as gaps; the sum is a lower bound and that of the download."""
    html = get(city, "/station/station?from=2025-01-01&to=2025-12-31&resolution=1h")
    chart = plot(html)
    table = httpx.get(city.url + links(html)["CSV"], timeout=60).text
    rows = list(csv.DictReader(table.splitlines()))

    assert len(chart["x"]) == 8760
    assert sums(chart["series"][0]["values"]) + sums(chart["series"][1]["values"]) == sum(
        int(row["count"]) for row in rows if row["count"]
    )
    missing = sum(value is None for value in chart["series"][0]["values"])
    assert missing == sum(to - begin for begin, to in chart["gaps"])
    assert 0.25 < missing / 8760 < 0.35
    assert summary(html).startswith("01.01.2025 bis 31.12.2025: mindestens ")
    assert html.count('<time datetime="2025-01') <= 201  # a page of the table, not all of it


def test_downloads_are_exactly_what_is_shown(city: City) -> None:
    """Same station, period, steps and directions in every format; Excel's has the remarks in a column."""
    html = get(city, "/station/station?from=2025-03-28&to=2025-03-31&direction=sum&resolution=1d")
    chart, found = plot(html), links(html)

    told = httpx.get(city.url + found["JSON"], timeout=60).json()
    assert [value["start"] for value in told["values"]] == chart["x"]
    assert [value["count"] for value in told["values"]] == chart["series"][0]["values"]
    assert {value["direction"] for value in told["values"]} == {"all"}
    excel = httpx.get(city.url + found["CSV für Excel"], timeout=60).content.decode("utf-8-sig")
    assert "Gerüst <b>am</b> Tor" in excel
    assert httpx.get(city.url + found["Parquet"], timeout=60).content[:4] == b"PAR1"


def test_remarks_are_on_the_page_and_in_the_chart(city: City) -> None:
    """As text, with their dates; their words never become markup."""
    html = get(city, "/station/station?from=2025-03-28&to=2025-04-02&resolution=1d")

    assert "Bauarbeiten</strong>, 29.03.2025 bis 30.03.2025: Gerüst &lt;b&gt;am&lt;/b&gt; Tor" in html
    assert plot(html)["remarks"][0]["text"] == "Bauarbeiten, 29.03.2025 bis 30.03.2025: Gerüst <b>am</b> Tor"
    assert (plot(html)["remarks"][0]["from"], plot(html)["remarks"][0]["to"]) == (1, 3)


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25)])
def test_days_of_clock_changes_have_their_hours(city: City, day: str, hours: int) -> None:
    """23 in March, 25 in October; the doubled hour is there twice and told apart by its zone."""
    html = get(city, f"/station/station?from={day}&to={day}&resolution=1h")

    assert len(plot(html)["x"]) == hours
    if hours == 25:
        assert "02:00–03:00 MESZ" in html
        assert "02:00–03:00 MEZ" in html
    else:
        assert "02:00–03:00" not in html


def text_of(html: str) -> str:
    """The words of a page, without tags and spaces that only lay it out."""
    body = re.sub(r"(?s)<script.*?</script>|<[^>]+>", " ", html.partition("<main")[2])
    return " ".join(unescape(body).split())


@pytest.mark.parametrize(
    ("path", "told"),
    [
        # Of its only day half an hour is known; the others tell what came last, or that nothing ever did.
        (
            "/",
            [
                "Ein Tag",
                "≥ 140",
                "zuletzt gemessen am 30.12.2025",
                "noch nie gemessen",
                "Gemessen an 1 von 4 Zählstellen",
            ],
        ),
        ("/en/", ["last measured on 30 Dec 2025", "never measured", "Measured at 1 of 4 stations"]),
        ("/kiosk", ["≥ 140", "noch nie gemessen"]),
        # March has gaps at one, a whole month at the other but for the day of the clock change, and two with nothing.
        (
            "/bericht?period=2025-03",
            ["Ein Jahr mit ≥ 6.324", "2 Zählstellen haben gemessen", "67 % 238 Stunden", "kein Sensor"],
        ),
        ("/bericht?period=2025", ["Zehn Jahre", "Ohne Sensor: In diesem Zeitraum war kein Sensor eingebaut."]),
        (
            "/vergleich?way=places&station=0&station=station&station=a--b&station=zz&from=2025-03-01&to=2025-03-31",
            [
                "Ein Jahr: im Mittel 300 Passagen",
                "Verglichen: 18 von 31 Tagen",
                "Ohne Sensor nimmt am Vergleich nicht teil: 31 Tage ohne Sensor",
            ],
        ),
        ("/messung", ["Zehn Jahre", "Hier war noch nie ein Sensor eingebaut."]),
    ],
)
def test_every_page_bears_each_past(city: City, path: str, told: list[str]) -> None:
    """Ten years, a year with 30 % gaps, one day, no sensor, all in one city: each is told as what it is."""
    text = text_of(get(city, path))

    assert [words for words in told if words not in text] == [], text[:4000]


def test_where_nothing_was_ever_measured_no_sensor_is_said_to_count(city: City) -> None:
    """The lead counts the places at which somebody was ever counted."""
    assert "An 3 Stellen zählen Sensoren" in get(city, "/")


def test_ten_years_are_shown_by_the_month(city: City) -> None:
    """Without being asked, and without reading minutes: some 120 values with their sum."""
    today = datetime.now(BERLIN).date()
    first = today - timedelta(days=3640)
    html = get(city, f"/station/0?from={first}&to={today}")
    chart = plot(html)

    assert chart["resolution"] == "1mo"
    assert 119 <= len(chart["x"]) <= 121
    assert sums(chart["series"][0]["values"]) > 300_000
    assert "Wochen und Monate werden ganz gezeigt" in html or first.day == 1


@pytest.mark.parametrize(
    ("query", "told", "right"),
    [
        ("from=2025-01-01&to=2025-12-31&resolution=15min", "höchstens 9.000", "resolution=1h"),
        (
            "from=2025-01-01&to=2025-01-02&resolution=5min",
            "für diesen Zeitraum nicht öffentlich",
            "resolution=15min",
        ),
        ("from=gestern", "„gestern“ ist kein Datum", None),
        ("from=2025-02-01&to=2025-01-01", "Der letzte Tag liegt vor dem ersten", None),
        ("resolution=%3Cb%3E", "„&lt;b&gt;“ gibt es hier nicht", None),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(city: City, query: str, told: str, right: str | None) -> None:
    """With status 422 beside the form, with links to what would be right; the rest of the page is there."""
    html = get(city, f"/station/station?{query}", 422)

    assert told in html
    assert right is None or right in html.partition('class="troubles"')[2].partition("</div>")[0]
    assert 'id="week-heading"' in html
    assert 'data-plot="course-plot"' not in html


def test_pages_of_the_table_are_links(city: City) -> None:
    """Without scripts every row can be reached; the state of the page is in the address."""
    html = get(city, "/station/station?from=2025-01-01&to=2025-01-31&resolution=1h&form=lines&page=2")

    assert "Zeilen 201 bis 400 von 744" in html
    assert "form=lines&amp;page=3#table" in html
    assert plot(html)["kind"] == "lines"


def test_the_other_language_shows_the_same(city: City) -> None:
    """English numbers and sentences of the same view."""
    path = "station/station?from=2025-01-01&to=2025-01-31&resolution=1d&direction=sum"
    german, english = get(city, f"/{path}"), get(city, f"/en/{path}")

    assert plot(german)["series"][0]["values"] == plot(english)["series"][0]["values"]
    assert summary(english).startswith("1 Jan 2025 to 31 Jan 2025: at least ")
    assert f'href="/{path}"' in unescape(english)
