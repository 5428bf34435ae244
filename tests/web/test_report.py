"""The report: its periods, what it says of each station, and when it says that there is no comparison."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest

from footfall_api.messages import catalogue
from footfall_api.pages.report_view import default_period, offered, period_of
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.city import Api, City
from footfall_testing.day_counts import count_days, midnight

T = catalogue("de")
TODAY = date(2026, 6, 10)


@pytest.mark.parametrize(
    ("text", "first", "end", "name"),
    [
        ("2026-05", date(2026, 5, 1), date(2026, 6, 1), "Mai 2026"),
        ("2025-12", date(2025, 12, 1), date(2026, 1, 1), "Dezember 2025"),
        ("2026-Q4", date(2026, 10, 1), date(2027, 1, 1), "4. Quartal 2026"),
        ("2024", date(2024, 1, 1), date(2025, 1, 1), "2024"),
    ],
)
def test_periods_are_months_quarters_and_years(text: str, first: date, end: date, name: str) -> None:
    """They begin with a month and have its length; the address is what it was."""
    found = period_of(text)

    assert found is not None
    assert (found.first, found.end, found.name(T), found.key) == (first, end, name, text)


@pytest.mark.parametrize("text", ["", "2026-13", "2026-Q5", "1999", "2026-5", "2026-05-01", "gestern", "٢٠٢٦"])
def test_other_periods_are_none(text: str) -> None:
    """Neither days nor months that do not exist, nor years in which nobody counted."""
    assert period_of(text) is None


def test_the_last_whole_month_is_meant_if_nobody_says() -> None:
    """Also in January."""
    assert default_period(TODAY).key == "2026-05"
    assert default_period(date(2026, 1, 31)).key == "2025-12"


def test_periods_to_choose_from_are_the_newest() -> None:
    """The first of each kind is the one that runs."""
    found = offered(TODAY)

    assert [found[length][0].key for length in ("month", "quarter", "year")] == ["2026-06", "2026-Q2", "2026"]
    assert [period.key for period in found["quarter"][:3]] == ["2026-Q2", "2026-Q1", "2025-Q4"]
    assert all(period_of(period.key) == period for periods in found.values() for period in periods)


@pytest.fixture
def town(database: str) -> Iterator[City]:
    """A city of which the tests say what is in it."""
    city = City(database)
    yield city
    city.connection.close()


@pytest.fixture
def api(database: str) -> Iterator[Api]:
    """The API and its pages; it is the tenth of June 2026."""
    settings = ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(local=True))
    with Api(settings) as found:
        yield found


def page(api: Api, path: str = "/bericht", **words: Any) -> str:
    """A page that is answered, as text."""
    response = api.get(path, **words)
    assert response.status_code == 200, response.text[:500]
    return unescape(response.text)


def test_a_month_beside_that_of_the_year_before(town: City, api: Api) -> None:
    """Totals, directions with their labels, change of like days, best day and gaps are those of the API."""
    markt = town.counter("markt")
    town.labels("markt", midnight(date(2020, 1, 1)), "Richtung Rathaus", "Richtung Kirche")
    count_days(town, markt, date(2025, 4, 20), 50, 100)
    count_days(town, markt, date(2026, 5, 1), 31, 150, without=(date(2026, 5, 7), date(2026, 5, 8)))
    town.remark(midnight(date(2026, 5, 7)), midnight(date(2026, 5, 9)), "Strom fehlt", station="markt", kind="fault")
    total = api.get("/api/v1/stations/markt/totals", from_="2026-05-01", to="2026-06-01", resolution="all").json()[
        "values"
    ][0]
    text = page(api)

    assert total["count"] == 29 * 300
    assert "Markt: ≥ 8.700 Passagen. Im Mittel 300 je Tag. Gegenüber dem Vorjahr +50\xa0%." in text
    assert re.search(r"Richtung Rathaus.{0,60}≥ 4.350", text, re.DOTALL), "a direction has the gaps of the whole"
    assert "an 27 von 31 Tagen verglichen" in text  # without the gap, and days beside which there was a holiday
    assert f"Eine Lücke: {total['gap_hours']} Stunden." in text
    assert "2 Tage ohne Meldung" in text
    assert text.count('class="bars-gap"') == 2  # one band in each drawing
    assert text.count('class="bars-whole"') == 2 * 29
    assert "07.05.2026 bis 08.05.2026, Markt: Strom fehlt" in text
    assert "Passagen, nicht Personen" in text
    assert "Datenlizenz Deutschland" in text


def test_a_change_stands_only_on_enough_days(town: City, api: Api) -> None:
    """Measured on a third of the days in the year before: no number, and the sentence why."""
    markt = town.counter("markt")
    count_days(town, markt, date(2025, 5, 2), 12, 100)
    count_days(town, markt, date(2026, 5, 1), 31, 150)
    text = page(api)

    assert "Gegenüber dem Vorjahr +" not in text
    assert "kein Vergleich: Nur 11 von 31 Tagen wurden in beiden Jahren ganz gemessen" in text


def test_without_a_year_before_there_is_no_change(town: City, api: Api) -> None:
    """The page says that nothing was measured then, or that nothing was measured now."""
    count_days(town, town.counter("markt"), date(2026, 5, 1), 31, 150)
    count_days(town, town.counter("gasse"), date(2025, 5, 1), 31, 150)
    text = page(api)

    assert "Im Vorjahr wurde kein vergleichbarer Tag ganz gemessen" in text
    assert "Gasse: In diesem Zeitraum wurde nichts gemessen." in text
    assert "kein Vergleich: In diesem Zeitraum wurde kein Tag ganz gemessen" in text


def test_a_station_without_a_sensor_has_its_page(town: City, api: Api) -> None:
    """It says that there was none, in both languages, and draws nothing."""
    town.station("neu")

    assert "Neu: In diesem Zeitraum war kein Sensor eingebaut." in page(api)
    assert "Neu: no sensor was installed in this period." in page(api, "/en/report")
    assert '<svg class="bars' not in page(api)


@pytest.mark.parametrize(("period", "hours"), [("2026-03", 743), ("2025-10", 745)])
def test_months_in_which_clocks_change_are_whole(town: City, api: Api, period: str, hours: int) -> None:
    """A month with a day of 23 or 25 hours is measured wholly, has no gap, and all of its days are drawn."""
    count_days(town, town.counter("markt"), date.fromisoformat(f"{period}-01"), 31, 10)
    town.counter("gasse")
    text = page(api, period=period)

    assert "Markt: 620 Passagen. Im Mittel 20 je Tag." in text
    assert "Keine. Die ganze Zeit wurde gemessen." in text
    assert f"Eine Lücke: {hours} Stunden." not in text  # of nothing there is no page of numbers
    assert f"{hours} Stunden" in text
    assert text.count('class="bars-whole"') == 2 * 31


def test_a_year_with_gaps_in_a_third_of_its_days(town: City, api: Api) -> None:
    """Sums are lower bounds, means are of the measured days, and each gap is drawn."""
    gone = tuple(date(2025, 1, 1) + timedelta(days=n) for n in range(365) if n % 10 < 3)
    count_days(town, town.counter("markt"), date(2025, 1, 1), 365, 10, without=gone)
    text = page(api, period="2025")

    assert f"Markt: ≥ {T.number((365 - len(gone)) * 20)} Passagen. Im Mittel 20 je Tag." in text
    assert f"{len(gone)} Tage ohne Meldung" in text
    assert text.count('class="bars-gap"') == 2 * 37
    assert "70\xa0%" in text or "69\xa0%" in text


def test_one_day_of_data(town: City, api: Api) -> None:
    """It is the best and the quietest, no mean of a weekday is made of it, and nothing is compared."""
    count_days(town, town.counter("markt"), date(2026, 5, 12), 1, 5)
    text = page(api)

    assert text.count("Di., 12.05.2026: 10") >= 2
    assert "nur ein Tag" in text
    assert "Gegenüber dem Vorjahr +" not in text


def test_a_running_month_ends_today(town: City, api: Api) -> None:
    """Days to come are neither drawn nor gaps, and the page says until when the numbers reach."""
    count_days(town, town.counter("markt"), date(2026, 6, 1), 9, 5)
    text = page(api, period="2026-06")

    assert "Dieser Zeitraum läuft noch. Die Zahlen reichen bis 10.06.2026, 14:00 Uhr (MESZ)." in text
    assert text.count('class="bars-whole"') == 2 * 9
    assert text.count('class="bars-gap"') == 2  # today, of which nothing is there yet


def test_a_day_that_runs_is_none_of_the_whole_days(town: City, api: Api) -> None:
    """Today is drawn as measured in part, and said to run."""
    markt = town.counter("markt")
    count_days(town, markt, date(2026, 6, 1), 9, 5)
    town.minutes(markt, midnight(TODAY), 14 * 60, {0: 1})
    text = page(api, period="2026-06")

    assert text.count('class="bars-whole"') == 2 * 9
    assert text.count('class="bars-partial"') == 2
    assert "läuft noch</td>" in text


def test_chosen_stations_only(town: City, api: Api) -> None:
    """A page for each that is chosen, and a link for the others' absence: their boxes are empty."""
    for name in ("gasse", "markt", "tor"):
        town.counter(name)
    text = page(api, station=["gasse", "tor"], period="2026-05")

    assert text.count('class="sheet is-station"') == 2
    assert 'value="markt">' in text
    assert 'value="tor" checked>' in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"period": "gestern"}, "Diesen Zeitraum gibt es nicht"),
        ({"period": "2030"}, "hat noch nicht begonnen"),
        ({"station": "<b>"}, "Die Zählstelle „&lt;b&gt;“ gibt es hier nicht"),
    ],
)
def test_a_bad_address_is_told_beside_its_field(town: City, api: Api, words: dict[str, str], said: str) -> None:
    """422, and the report of the last whole month of all stations."""
    town.counter("markt")
    response = api.get("/bericht", **words)

    assert response.status_code == 422
    assert said in response.text
    assert "Bericht Mai 2026" in response.text


def test_an_empty_city_says_what_to_do(town: City, api: Api) -> None:
    """Without a station there is no report."""
    assert "footfall-ingest stations apply" in page(api)
