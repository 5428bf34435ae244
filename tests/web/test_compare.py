"""The comparison page: which days go in, what is said of the others, and what its address may ask."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from html import unescape
from typing import Any

import pytest

from footfall_api.messages import catalogue
from footfall_api.pages.compare_view import (
    About,
    Asked,
    Place,
    asked,
    default_period,
    fitting_step,
    places_view,
)
from footfall_api.pages.measured import left_out, why_not
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.city import NOW, Api, City
from footfall_testing.day_counts import count_days, midnight

T = catalogue("de")
TODAY = date(2026, 6, 10)
MARKT, GASSE = Place("markt", "Markt", "Europe/Berlin"), Place("gasse", "Gasse", "Europe/Berlin")
MITTE = Place("mitte", "Mitte", "Europe/Berlin", area=True, stations=("markt", "gasse"))
PLACES = (GASSE, MARKT, MITTE)
ABOUT = About("Quelle", "Europe/Berlin", {place.key: place.name for place in PLACES}, NOW)


def form(**words: str | list[str]) -> Asked:
    """The form of an address, in German, on `TODAY`."""
    return asked({k: v if isinstance(v, list) else [v] for k, v in words.items()}, PLACES, TODAY, T)


def value(place: Place, day: int, count: int | None, state: str = "measured", **more: Any) -> dict[str, Any]:
    """A day of May as the API gives it."""
    return {
        "station": "all" if place.area else place.id,
        "area": place.id if place.area else None,
        "start": midnight(date(2026, 5, day)).isoformat(),
        "end": midnight(date(2026, 5, day + 1)).isoformat(),
        "count": count,
        "coverage": 1.0 if state == "measured" else 0.5,
        "state": state,
        "reason": None,
        "carried_by": ["gasse", "markt"] if place.area else None,
        **more,
    }


def view(wanted: Asked, *values: dict[str, Any]) -> Any:
    """The comparison of days of May."""
    answer = {"values": list(values), "remarks": []}
    return places_view(wanted, answer, answer, T, ABOUT)


MAY = {"from": "2026-05-04", "to": "2026-05-06", "by": "1d"}


def test_only_days_measured_everywhere_are_compared() -> None:
    """A day that one place lacks is left out at all of them, and the page says where and why."""
    found = view(
        form(station=["markt", "gasse"], **MAY),
        *(value(MARKT, day, 200) for day in (4, 5, 6)),
        value(GASSE, 4, 100),
        value(GASSE, 5, None, "missing", reason="silent"),
        value(GASSE, 6, 40, "partial", reason="silent"),
    )

    assert [(row.name, row.compared, row.mean, row.ratio) for row in found.rows] == [
        ("Markt", "200", "200", "100"),
        ("Gasse", "100", "100", "50"),
    ]
    assert "100\xa0% mehr als am zweitstärksten Ort: Gasse mit 100" in found.finding
    assert found.scope.startswith("Verglichen: 1 von 3 Tagen")
    assert found.left_out == ("Gasse: ein Tag mit schweigendem Sensor, ein Tag nur zum Teil gemessen.",)
    assert [row.all for row in found.rows] == ["600", "≥ 140"]


def test_a_place_without_any_day_takes_no_part() -> None:
    """It does not take all days from the comparison of the others, and is said."""
    found = view(
        form(station=["markt", "gasse"], **MAY),
        *(value(MARKT, day, 200) for day in (4, 5, 6)),
        *(value(GASSE, day, None, "missing", reason="not_installed", coverage=None) for day in (4, 5, 6)),
    )

    assert [(row.name, row.mean) for row in found.rows] == [("Markt", "200"), ("Gasse", "–")]
    assert found.left_out == ("Gasse nimmt am Vergleich nicht teil: 3 Tage ohne Sensor.",)


def test_an_area_is_compared_by_days_that_the_same_stations_carried() -> None:
    """A day on which a station was missing is no day of the same area."""
    found = view(
        form(station="markt", area="mitte", **MAY),
        *(value(MARKT, day, 200) for day in (4, 5, 6)),
        *(value(MITTE, day, 300) for day in (4, 5)),
        value(MITTE, 6, 200, carried_by=["markt"]),
    )

    assert [(row.name, row.compared) for row in found.rows] == [("Mitte", "600"), ("Markt", "400")]
    assert found.left_out == ("Mitte: ein Tag mit anderen Zählstellen im Gebiet.",)
    assert any("Summe von 2 Zählstellen (Gasse, Markt)" in note for note in found.notes)
    assert any("Markt liegt in Mitte" in note for note in found.notes)


def test_an_index_is_of_the_places_own_mean() -> None:
    """100 is the mean of the days compared; what was measured in part has no index, nor has a gap."""
    found = view(
        form(station=["markt", "gasse"], show="index", **MAY),
        *(value(MARKT, day, count) for day, count in ((4, 300), (5, 100), (6, 50))),
        value(GASSE, 4, 30),
        value(GASSE, 5, 10),
        value(GASSE, 6, 4, "partial", reason="silent"),
    )
    by_name = {series.name: list(series.values) for series in found.plot.series}

    assert by_name == {"Markt": [150, 50, 25], "Gasse": [150, 50, None]}
    assert [row.counts for row in found.table] == [("150", "150"), ("50", "50"), ("–", "25")]


def test_a_gap_is_no_zero() -> None:
    """The chart gets null, the table a dash with its reason; a measured 0 stays 0."""
    found = view(form(station="markt", **MAY), value(MARKT, 4, 0), value(MARKT, 5, None, "missing", reason="silent"))

    assert list(found.plot.series[0].values) == [0, None]
    assert list(found.plot.gaps) == [(1, 2)]
    assert [(row.counts, row.note) for row in found.table] == [
        (("0",), ""),
        (("–",), "Markt: nicht gemessen: Sensor schweigt"),
    ]


def test_a_day_that_is_not_over_is_said_to_run() -> None:
    """Its number goes on growing, in the table and in the chart."""
    found = view(form(station="markt", **MAY), value(MARKT, 4, 5), value(MARKT, 5, 2, end="2026-06-11T00:00:00+02:00"))

    assert [row.note for row in found.table] == ["", "Markt: läuft noch"]
    assert list(found.plot.partial) == [1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"state": "partial"}, "partial"),
        ({"state": "missing", "reason": "excluded"}, "excluded"),
        ({"reason": "not_installed"}, "incomplete"),
        ({"end": "2026-06-11T00:00:00+02:00"}, "open"),
    ],
)
def test_a_day_goes_in_by_the_rule_of_the_summaries(change: dict[str, Any], why: str | None) -> None:
    """It is over, it was measured, and a sensor was there from its beginning to its end."""
    assert why_not(value(MARKT, 4, 5) | change, NOW) == why


def test_what_was_left_out_is_said_in_words() -> None:
    """The most frequent reason first; a reason that is not known yet is another reason."""
    assert left_out(T, {"silent": 1, "partial": 3, "suspect": 2}) == (
        "3 Tage nur zum Teil gemessen, 2 Tage aus anderem Grund, ein Tag mit schweigendem Sensor"
    )


def test_without_an_address_the_last_four_whole_weeks_are_meant() -> None:
    """Monday to Sunday, all stations, by the day."""
    found = form()

    assert default_period(TODAY) == (date(2026, 5, 11), date(2026, 6, 7)) == (found.first, found.last)
    assert (found.places, found.by, found.way, found.faults) == ((GASSE, MARKT), "1d", "places", {})


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"from": "morgen"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"from": "2026-05-02", "to": "2026-05-01"}, "to"),
        ({"from": "2026-07-02", "to": "2026-08-01"}, "from"),
        ({"from": "2002-07-02", "to": "2026-05-01"}, "from"),
        ({"station": "<script>"}, "station"),
        ({"by": "5min"}, "by"),
        ({"way": "change", "at": "nope"}, "at"),
        ({"way": "change", "before": "2026-13-01"}, "before"),
        ({"way": "change", "before": "2026-05-02", "after": "2026-05-01"}, "after"),
        ({"way": "change", "before": "2026-06-10"}, "before"),
        ({"way": "change", "before": "2026-05-02", "weeks": "many"}, "weeks"),
        ({"way": "change", "before": "2026-05-02", "weeks": "99"}, "weeks"),
    ],
)
def test_a_bad_value_is_told_at_its_field(words: dict[str, str], fault: str) -> None:
    """One sentence where the value stands, and defaults for the rest."""
    found = form(**words)

    assert list(found.faults) == [fault]
    assert found.first <= found.last <= TODAY


def test_a_long_period_is_shown_coarser() -> None:
    """So many intervals that nobody could read them give way to the next coarser resolution."""
    assert fitting_step("1h", date(2026, 5, 1), date(2026, 5, 7)) == "1h"
    assert fitting_step("1h", date(2025, 6, 1), date(2026, 5, 31)) == "1d"
    assert fitting_step("1d", date(2017, 6, 1), date(2026, 5, 31)) == "1w"


# Over HTTP, with the API behind it


@pytest.fixture
def town(database: str) -> Iterator[City]:
    """Markt and Gasse by the day for two months, in an area; Markt had works and more passages afterwards."""
    city = City(database)
    for name, before, after in (("markt", 100, 150), ("gasse", 50, 50)):
        sensor = city.counter(name)
        count_days(city, sensor, date(2026, 3, 2), 35, before)
        count_days(city, sensor, date(2026, 4, 6), 63, after)
    city.area("mitte", "markt", "gasse")
    city.remark(midnight(date(2026, 4, 6)), midnight(date(2026, 4, 8)), "Neue <b>Bank</b>", station="markt")
    city.remark(datetime(2026, 6, 1, tzinfo=UTC), None, "Gerüst", station="markt")
    yield city
    city.connection.close()


@pytest.fixture
def api(database: str) -> Iterator[Api]:
    """The API and its pages on that town."""
    settings = ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(local=True))
    with Api(settings) as found:
        yield found


def page(api: Api, path: str, **words: Any) -> str:
    """A page that is answered, as text."""
    response = api.get(path, **words)
    assert response.status_code == 200, response.text[:500]
    return unescape(response.text)


def test_before_and_after_is_the_apis(town: City, api: Api) -> None:
    """The change in a mean week, the remark's time to take over, the method quoted, the warning and its two links."""
    question = {"before": "2026-04-06", "after": "2026-04-08", "weeks": 4}
    answer = api.get("/api/v1/stations/markt/before-after", **question, lang="de").json()
    text = page(api, "/vergleich", way="change", at="markt", **question)

    assert answer["weeks"][0]["ratio"] == 1.5
    assert "Markt: +50\xa0% je Woche im Mittel, von 1.400 auf 2.100 Passagen." in text
    assert answer["method"] in text
    assert "Was das nicht sagt:" in text
    assert "before=2025-04-07&after=2025-04-09" in text
    assert "at=gasse&before=2026-04-06" in text
    assert "way=change&at=markt&before=2026-04-06&after=2026-04-08&weeks=4" in text
    assert "dauert noch" in text


def test_before_and_after_of_an_area_names_its_stations(town: City, api: Api) -> None:
    """In English too."""
    text = page(api, "/en/compare", way="change", at="area:mitte", before="2026-04-06", weeks=4)

    assert "Mitte: +33% per average week" in text
    assert "the sum of 2 stations (Gasse, Markt)" in text


def test_without_a_day_there_is_the_way_to_one(town: City, api: Api) -> None:
    """The form and the remarks, no numbers, no downloads."""
    text = page(api, "/vergleich", way="change", at="markt")

    assert "Welcher Tag?" in text
    assert "before=2026-04-06&after=2026-04-08&weeks=8" in text
    assert "before-after" not in text


def test_too_few_days_give_no_number(town: City, api: Api) -> None:
    """Two weeks have two Mondays each: no mean, no change, and the page says so."""
    text = page(api, "/vergleich", way="change", at="markt", before="2026-04-06", weeks=2)

    assert "davor oder danach wurde kein Wochentag oft genug gemessen" in text


def test_places_beside_each_other_are_the_apis(town: City, api: Api) -> None:
    """Sums and downloads are of the very question that the page shows; the first day of summer time has 23 hours."""
    words = {"station": ["markt", "gasse"], "area": "mitte", "from": "2026-03-23", "to": "2026-04-05"}
    text = page(api, "/vergleich", **words)

    assert (
        "Mitte: im Mittel 300 Passagen je Tag. Das sind 50\xa0% mehr als am zweitstärksten Ort: Markt mit 200." in text
    )
    assert "Verglichen: 14 von 14 Tagen" in text
    download = "/api/v1/counts?station=gasse&station=markt&area=mitte&from=2026-03-23&to=2026-04-06&resolution=1d"
    assert f'href="{download}&format=csv"' in text
    lines = api.get(f"{download}&format=csv").text.splitlines()
    assert len(lines) == 1 + 14 * 3


def test_by_the_hour_a_day_of_25_hours_has_25_rows(town: City, api: Api) -> None:
    """October's hour that comes twice is two rows."""
    api.now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    text = page(api, "/vergleich", station="markt", by="1h", **{"from": "2026-10-25", "to": "2026-10-25"})

    assert text.count('<th scope="row"><time') == 25
    assert "An den gewählten Orten wurde in diesem Zeitraum kein ganzer Tag gemessen" in text


def test_a_remark_is_text_and_not_markup(town: City, api: Api) -> None:
    """Also in the data block of the chart."""
    text = api.get("/vergleich", station="markt", **{"from": "2026-04-01", "to": "2026-04-30"}).text

    assert "<b>Bank" not in text
    assert "Neue &lt;b&gt;Bank" in text


def test_a_bad_address_is_a_page(town: City, api: Api) -> None:
    """422, the fault beside its field, and no traceback."""
    response = api.get("/vergleich", station="nope", weeks="0", at="area:zzz", **{"from": "x"})

    assert response.status_code == 422
    assert "Den Ort „nope“ gibt es hier nicht" in response.text
    assert 'aria-describedby="fault-from"' in response.text


def test_an_empty_city_says_what_to_do(database: str, api: Api) -> None:
    """Without a station there is nothing to compare, and the page says how to enter one."""
    assert "footfall-ingest stations apply" in page(api, "/vergleich")


def test_one_station_with_one_day(database: str, api: Api) -> None:
    """It is shown, and a second place is asked for."""
    city = City(database)
    count_days(city, city.counter("markt"), date(2026, 6, 1), 1, 7)
    text = page(api, "/vergleich", by="1d", **{"from": "2026-06-01", "to": "2026-06-01"})
    city.connection.close()

    assert "Markt: im Mittel 14 Passagen je Tag." in text
    assert "Wählen Sie zum Vergleichen einen zweiten Ort" in text


def test_an_area_without_stations_is_not_offered(database: str, api: Api) -> None:
    """It has nothing to compare."""
    city = City(database)
    city.counter("markt")
    city.area("hohlweg")
    city.connection.close()

    assert "Hohlweg" not in page(api, "/vergleich")
