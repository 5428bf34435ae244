"""Summaries over the wire, from a real database: JSON, CSV, bad parameters, areas, remarks, and the document."""

import csv
import io
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator

from footfall_api.question import TableFormat
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_api.summary import asked, describe, methods
from footfall_api.summary.series import Skip
from footfall_api.summary.writing import BEFORE_AFTER_HEADER, COMPARE_HEADER, PROFILE_HEADER, TOTALS_HEADER
from footfall_testing.city import NOW, Api, City

pytestmark = pytest.mark.xdist_group("town")  # they share a year of counts

DOCUMENT = (Path(__file__).parents[2] / "docs" / "summaries.md").read_text("utf-8")
BERLIN = ZoneInfo("Europe/Berlin")
SINCE = datetime(2025, 3, 31, tzinfo=BERLIN)
"""A Monday. `NOW` is Wednesday, 10 June 2026, 14:00 in Jena."""


def hours(city: City, sensor: int, start: datetime, end: datetime, *, factor: int = 1) -> None:
    """Every hour wholly measured, as a sensor reports it that sends hours.

    Inwards pass `factor` times the hour of the local clock, outwards twice as many.
    """
    every = "generate_series(%s::timestamptz, %s::timestamptz - interval '1 hour', interval '1 hour') AS hour"
    length = "hour + interval '1 hour'"
    ends = [start.astimezone(UTC), end.astimezone(UTC)]
    city.connection.execute(f"INSERT INTO coverage_span SELECT %s, hour, {length}, 3600 FROM {every}", [sensor, *ends])
    city.connection.execute(
        f"INSERT INTO count_span SELECT %s, hour, {length}, direction, 0, "
        f"%s * (direction + 1) * extract(hour FROM hour AT TIME ZONE 'Europe/Berlin')::int "
        f"FROM {every}, unnest(ARRAY[0, 1]) AS direction "
        "WHERE extract(hour FROM hour AT TIME ZONE 'Europe/Berlin') > 0",
        [sensor, factor, *ends],
    )


def area(city: City, name: str, *stations: str) -> None:
    """An area with these stations in it."""
    shape = '{"type": "Polygon", "coordinates": [[[11, 50], [12, 50], [12, 51], [11, 50]]]}'
    city.connection.execute("INSERT INTO area VALUES (%s, %s, 'Quartier', %s)", [name, name.title(), shape])
    for station in stations:
        city.connection.execute("INSERT INTO station_area VALUES (%s, %s)", [station, name])


def exclude(city: City, station: str, start: datetime, end: datetime) -> None:
    """A scaffold before the sensor."""
    city.connection.execute(
        "INSERT INTO remark (station, starts, ends, kind, text, excludes) VALUES (%s, %s, %s, 'works', 'Gerüst', true)",
        [station, start, end],
    )


@pytest.fixture(scope="module")
def dsn(postgres_server: Any, postgres_template: str) -> Iterator[str]:
    """One database for all of these tests: they only read, or put back what they change."""
    name = f"footfall_{secrets.token_hex(6)}"
    yield postgres_server.create(name, postgres_template)
    postgres_server.drop(name)


@pytest.fixture(scope="module")
def town(dsn: str) -> Iterator[City]:
    """The Markt counts since April 2025, the Kirche since 1 May 2026; both are in the area zentrum.

    On 1 and 2 June 2026 there was a scaffold at the Markt; since 8 June both have not reported. In the area feld there
    is no station.
    """
    city = City(dsn)
    hours(city, city.counter("markt"), SINCE, datetime(2026, 6, 8, tzinfo=BERLIN))
    city.station("kirche")
    kirche = city.sensor("kirche-1")
    city.install(kirche, "kirche", datetime(2026, 5, 1, tzinfo=BERLIN))
    hours(city, kirche, datetime(2026, 5, 1, tzinfo=BERLIN), datetime(2026, 6, 8, tzinfo=BERLIN), factor=10)
    city.counter("london", timezone="Europe/London")
    area(city, "zentrum", "kirche", "markt")
    area(city, "europa", "markt", "london")
    area(city, "feld")
    exclude(city, "markt", datetime(2026, 6, 1, tzinfo=BERLIN), datetime(2026, 6, 3, tzinfo=BERLIN))
    yield city
    city.connection.close()


@pytest.fixture
def api(dsn: str) -> Iterator[Api]:
    """The API as anybody sees it."""
    public = PublicSettings(operator_token="the-operators-own-token")
    with Api(ApiSettings(database=DatabaseSettings(dsn=dsn), public=public)) as found:
        yield found


def ask(api: Api, path: str, **parameters: Any) -> dict[str, Any]:
    """The JSON of an answer."""
    response = api.get(f"/api/v1/{path}", **parameters)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def value(answer: dict[str, Any], **wanted: str) -> dict[str, Any]:
    """The one value with these fields."""
    (found,) = (v for v in answer["values"] if all(v[name] == word for name, word in wanted.items()))
    return dict(found)


def test_the_typical_week_of_a_station(town: City, api: Api) -> None:
    """By default of the last 52 whole weeks; what was excluded is not in it, and the remark says why."""
    answer = ask(api, "stations/markt/profile", split="direction")

    assert {name: answer[name] for name in ("station", "area", "from", "to", "resolution", "timezone", "unit")} == {
        "station": "markt", "area": None, "from": "2025-06-09T00:00:00+02:00", "to": "2026-06-08T00:00:00+02:00",
        "resolution": "1h", "timezone": "Europe/Berlin", "unit": "passages",
    }  # fmt: skip
    assert (answer["licence"], answer["attribution"]) == ("Datenlizenz Deutschland – Zero – Version 2.0", "Jena")
    assert answer["method"].startswith("Median and quartiles of the passages")
    assert {"date": "2025-09-20", "name": "World Children's Day"} in answer["holidays"]["days"]
    assert answer["holidays"]["calendar"] == "DE-TH"
    assert len(answer["values"]) == 2 * 8 * 24
    assert value(answer, weekday="tuesday", time="17:00", direction="out") == {
        "weekday": "tuesday", "time": "17:00", "direction": "out", "class": "all", "sensor": "all",
        "median": 34.0, "lower_quartile": 34.0, "upper_quartile": 34.0, "values": 51, "enough": True,
        "skipped": {"missing": 1},
    }  # fmt: skip
    assert answer["left_out"] == [{"sensor": "all", "why": "missing", "reason": "excluded", "intervals": 48}]
    assert [(r["text"], r["excludes"], r["stations"]) for r in answer["remarks"]] == [("Gerüst", True, ["markt"])]
    assert value(answer, weekday="holiday", time="12:00", direction="in")["values"] == 12


def test_the_doubled_hour_and_the_one_left_out(town: City, api: Api) -> None:
    """From the database as by the rule: Sundays at two have one value less for March and one more for October."""
    march = ask(api, "stations/markt/profile", from_="2026-03-09", to="2026-04-03")
    october = ask(api, "stations/markt/profile", from_="2025-10-13", to="2025-11-03")

    assert value(march, weekday="sunday", time="02:00")["values"] == 2
    assert value(march, weekday="sunday", time="03:00")["values"] == 3
    assert value(october, weekday="sunday", time="02:00")["values"] == 4
    assert value(october, weekday="sunday", time="02:00")["median"] == 6.0
    assert value(october, weekday="sunday", time="03:00")["values"] == 3


@pytest.mark.parametrize(("resolution", "cells"), [("15min", 96), ("30min", 48), ("1d", 1)])
def test_weeks_are_made_of_what_was_asked_for(town: City, api: Api, resolution: str, cells: int) -> None:
    """Hours that were reported as one are in no quarter of an hour: the cell says so instead of dividing them."""
    answer = ask(api, "stations/markt/profile", from_="2026-05-04", to="2026-06-01", resolution=resolution)

    assert len(answer["values"]) == 8 * cells
    first = answer["values"][0]
    if resolution == "1d":
        assert first["time"] is None
        assert value(answer, weekday="wednesday")["median"] == 3.0 * sum(range(24))
    else:
        assert (first["time"], first["median"], first["skipped"]) == ("00:00", None, {"coarse": 3})


def test_a_week_beside_what_is_usual(town: City, api: Api) -> None:
    """By the day: the scaffold's days are not compared, the others are as usual."""
    answer = ask(api, "stations/markt/compare", from_="2026-06-01", to="2026-06-08", resolution="1d")

    day = 3 * sum(range(24))
    assert len(answer["values"]) == 7
    monday, thursday = answer["values"][0], answer["values"][3]
    assert (monday["count"], monday["state"], monday["reason"], monday["compared"]) == (
        None, "missing", "excluded", False,
    )  # fmt: skip
    assert monday["usual_4_weeks"] == {
        "mean": float(day), "difference": None, "ratio": None, "days": 3, "enough": True, "skipped": {"holiday": 1},
    }  # fmt: skip
    assert (thursday["count"], thursday["compared"]) == (day, True)
    assert thursday["usual_4_weeks"] == {
        "mean": float(day), "difference": 0.0, "ratio": 1.0, "days": 3, "enough": True, "skipped": {"holiday": 1},
    }  # fmt: skip
    assert thursday["last_year"] == {
        "date": "2025-06-05", "count": float(day), "difference": 0.0, "ratio": 1.0, "skipped": {},
    }  # fmt: skip
    assert answer["summary"] == [
        {
            "direction": "all", "class": "all", "sensor": "all", "intervals": 7,
            **{
                name: {"intervals": 5, "count": 5 * day, "other": 5.0 * day, "difference": 0.0, "ratio": 1.0}
                for name in ("usual_4_weeks", "usual_52_weeks", "last_year")
            },
        }
    ]  # fmt: skip


def test_today_beside_what_is_usual(town: City, api: Api) -> None:
    """By default today by the hour, as far as it goes."""
    answer = ask(api, "stations/kirche/compare")

    assert (answer["from"], answer["resolution"]) == ("2026-06-10T00:00:00+02:00", "1h")
    assert [v["start"][11:13] for v in answer["values"]] == [f"{hour:02}" for hour in range(14)]
    assert answer["values"][3]["usual_4_weeks"]["mean"] == 90.0
    assert answer["values"][3]["usual_52_weeks"]["skipped"] == {"missing": 47}
    assert answer["values"][3]["last_year"]["count"] is None


def test_totals_say_what_was_measured(town: City, api: Api) -> None:
    """By the month of this year; June has the scaffold, a gap since Monday, and days that have not come."""
    answer = ask(api, "stations/markt/totals")

    assert [v["start"][:10] for v in answer["values"]] == [f"2026-{month:02}-01" for month in range(1, 7)]
    march, june = answer["values"][2], answer["values"][5]
    hour_sum = 3 * sum(range(24))
    assert (march["count"], march["coverage"], march["state"], march["final"]) == (
        31 * hour_sum - 6,
        1.0,
        "measured",
        True,
    )
    assert (march["gaps"], march["gap_hours"], march["measured_days"], march["skipped_days"]) == (0, 0, 31, {})
    assert march["quietest_day"] == {"date": "2026-03-29", "count": hour_sum - 6}
    assert march["best_day"] == {"date": "2026-03-01", "count": hour_sum}
    assert march["peak_hour"] == {
        "start": "2026-03-01T23:00:00+01:00", "end": "2026-03-02T00:00:00+01:00", "count": 69,
    }  # fmt: skip
    assert march["mean_day"]["sunday"] == {"mean": hour_sum - 1.2, "days": 5, "enough": True, "skipped": {}}
    assert (june["count"], june["state"], june["final"]) == (5 * hour_sum, "partial", False)
    assert june["coverage"] == pytest.approx(5 * 24 / (9 * 24 + 14), abs=1e-4)
    assert (june["gaps"], june["gap_hours"]) == (2, 48 + 48 + 14)
    assert (june["measured_days"], june["skipped_days"]) == (5, {"missing": 4, "open": 21})
    assert june["mean_day"]["friday"] == {"mean": None, "days": 1, "enough": False, "skipped": {"open": 3}}


def test_totals_of_the_whole_time(town: City, api: Api) -> None:
    """One value, whose ends are days."""
    answer = ask(api, "stations/kirche/totals", from_="2026-04-30T12:00", to="2026-05-03", resolution="all")

    (total,) = answer["values"]
    assert (total["start"], total["end"]) == ("2026-04-30T00:00:00+02:00", "2026-05-03T00:00:00+02:00")
    assert total["count"] == 2 * 30 * sum(range(24))
    assert (total["coverage"], total["reason"]) == (1.0, "not_installed")
    assert (total["gaps"], total["not_installed_hours"], total["skipped_days"]) == (0, 24, {"missing": 1})
    assert answer["carried_by"] == [
        {"station": "kirche", "from": "2026-05-01T00:00:00+02:00", "to": "2026-05-03T00:00:00+02:00"}
    ]


def test_a_station_before_and_after_a_change(town: City, api: Api) -> None:
    """Four weeks on each side, weekday by weekday; the scaffold and what is to come are left out and said."""
    answer = ask(api, "stations/markt/before-after", before="2026-04-20", after="2026-05-18", weeks="4")

    day = 3 * sum(range(24))
    assert answer["before"] == {"from": "2026-03-23T00:00:00+01:00", "to": "2026-04-20T00:00:00+02:00"}
    assert answer["after"] == {"from": "2026-05-18T00:00:00+02:00", "to": "2026-06-15T00:00:00+02:00"}
    assert len(answer["values"]) == 8
    assert value(answer, weekday="thursday") == {
        "weekday": "thursday", "time": None, "direction": "all", "class": "all", "sensor": "all",
        "before": {"mean": float(day), "days": 4, "enough": True, "skipped": {}},
        "after": {"mean": float(day), "days": 3, "enough": True, "skipped": {"open": 1}},
        "difference": 0.0, "ratio": 1.0,
    }  # fmt: skip
    assert value(answer, weekday="monday")["after"] == {
        "mean": None, "days": 1, "enough": False, "skipped": {"missing": 2},
    }  # fmt: skip
    assert answer["weeks"] == [
        {
            "direction": "all", "class": "all", "sensor": "all",
            "before": None, "after": None, "difference": None, "ratio": None,
        }
    ]  # fmt: skip


def test_an_area_before_and_after_a_station_came_to_it(town: City, api: Api) -> None:
    """What a station more has counted is no change of the area."""
    answer = ask(api, "areas/zentrum/before-after", before="2026-05-01", weeks="4", resolution="1h")

    assert len(answer["values"]) == 8 * 24
    assert value(answer, weekday="sunday", time="12:00") == {
        "weekday": "sunday", "time": "12:00", "direction": "all", "class": "all", "sensor": "all",
        "before": {"mean": None, "days": 0, "enough": False, "skipped": {"other_stations": 4}},
        "after": {"mean": 33.0 * 12, "days": 4, "enough": True, "skipped": {}},
        "difference": None, "ratio": None,
    }  # fmt: skip


def test_areas_are_summed_up(town: City, api: Api) -> None:
    """Both stations since May; days of fewer stations are not compared, and who carried the sum is said."""
    week = {"from_": "2026-05-25", "to": "2026-06-01"}
    profile = ask(api, "areas/zentrum/profile", **week)
    compare = ask(api, "areas/zentrum/compare", **week, resolution="1d")
    totals = ask(api, "areas/zentrum/totals", **week, resolution="1w")

    assert (profile["station"], profile["area"]) == (None, "zentrum")
    assert [found["station"] for found in profile["carried_by"]] == ["kirche", "markt"]
    assert value(profile, weekday="sunday", time="10:00")["values"] == 1
    sunday = compare["values"][6]
    assert sunday["usual_4_weeks"]["days"] == 4
    assert sunday["usual_52_weeks"]["skipped"] == {"other_stations": 48}
    assert sunday["last_year"] == {
        "date": "2025-06-01", "count": None, "difference": None, "ratio": None, "skipped": {"other_stations": 1},
    }  # fmt: skip
    assert totals["values"][0]["count"] == 7 * 33 * sum(range(24))


def test_an_area_with_no_station_has_no_values(town: City, api: Api) -> None:
    """Its gaps are values all the same."""
    for summary in ("profile", "compare", "totals"):
        answer = ask(api, f"areas/feld/{summary}", from_="2026-05-01", to="2026-05-08", resolution="1d")

        assert answer["carried_by"] == []
        assert answer["values"]
        assert {v.get("count", v.get("median")) for v in answer["values"]} == {None}


@pytest.mark.parametrize(
    ("summary", "header"),
    [
        ("profile", PROFILE_HEADER),
        ("compare", COMPARE_HEADER),
        ("before-after", BEFORE_AFTER_HEADER),
        ("totals", TOTALS_HEADER),
    ],
)
def test_csv_says_the_same_as_json(town: City, api: Api, summary: str, header: tuple[str, ...]) -> None:
    """Row for row; what is nested has columns of its own, and what was skipped is told in one."""
    path, asked = f"/api/v1/stations/markt/{summary}", {"from_": "2026-05-18", "to": "2026-06-08", "split": "direction"}
    if summary == "before-after":
        asked = {"before": "2026-05-18", "weeks": "3", "split": "direction"}

    answer = api.get(path, **asked).json()
    response = api.get(path, **asked, format="csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))

    def flat(found: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for name, item in found.items():
            if name.startswith("skipped"):
                yield prefix + name, " ".join(f"{word}={count}" for word, count in item.items())
            elif isinstance(item, dict):
                yield from flat(item, f"{prefix}{name}_")
            else:
                yield prefix + name, "" if item is None else str(item).lower() if isinstance(item, bool) else str(item)

    def expected(found: dict[str, Any]) -> dict[str, str]:
        prefix = {"compare": "interval_", "totals": "period_"}.get(summary, "")
        ends = {"start": f"{prefix}start", "end": f"{prefix}end"}
        return {"station": "markt", "area": "", **{ends.get(name, name): text for name, text in flat(found)}}

    assert tuple(rows[0]) == header
    assert rows == [expected(found) for found in answer["values"]]
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert f'filename="footfall_markt_{summary}_' in response.headers["Content-Disposition"]
    assert "_by-direction_2026-0" in response.headers["Content-Disposition"]


def test_german_excel_and_german_words(town: City, api: Api) -> None:
    """A mark, semicolons, decimal commas; the sentence and the holidays in German."""
    response = api.get("/api/v1/areas/zentrum/totals", from_="2026-05-01", to="2026-06-01", format="csv-de")
    answer = ask(api, "areas/zentrum/totals", from_="2026-05-01", to="2026-06-01", lang="de")

    lines = response.content.split(b"\r\n")
    assert lines[0].startswith(b"\xef\xbb\xbfstation;area;period_start;")
    assert lines[1].startswith(b";zentrum;2026-05-01T00:00:00+02:00;2026-06-01T00:00:00+02:00;all;all;all;")
    assert b";1,0;measured;" in lines[1]
    assert response.headers["Content-Disposition"].endswith('_2026-05-01_2026-05-31.excel-de.csv"')
    assert answer["method"].startswith("Summe der gemessenen Durchgänge")
    assert [found["name"] for found in answer["holidays"]["days"]] == [
        "Erster Mai", "Christi Himmelfahrt", "Pfingstmontag",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "parameter", "message"),
    [
        ("profile?resolution=1min", "resolution", "1min"),
        ("profile?resolution=1w", "resolution", "1w"),
        ("profile?from=gestern", "from", "'gestern' is not a time"),
        ("profile?from=2026-06-10", "from", "no day since then is over yet"),
        ("profile?from=2026-06-01&to=2026-05-01", "to", "is not after from"),
        ("profile?to=2031-01-01", "to", "more than a year ahead"),
        ("profile?resolution=15min&from=2010-01-01", "resolution", "100,000 intervals of 15min"),
        ("profile?split=age", "split", "'age' is nothing to split by"),
        ("profile?tz=Berlin", "tz", "'Berlin' is not a time zone"),
        ("profile?format=xlsx", "format", "xlsx"),
        ("profile?lang=fr", "lang", "fr"),
        ("compare?resolution=15min", "resolution", "15min"),
        ("compare?from=2020-01-01", "resolution", "9,000 intervals of 1h"),
        ("compare?from=2026-03-29T02:30", "from", "does not exist"),
        ("before-after", "before", "Field required"),
        ("before-after?before=2026-13-01", "before", "is not a time that a calendar or clock shows"),
        ("before-after?before=2026-05-01&after=2026-04-01", "after", "is earlier than before"),
        ("before-after?before=2026-05-01&after=2026-06-10", "after", "2026-06-10 is not over yet"),
        ("before-after?before=2026-06-10", "before", "2026-06-10 is not over yet"),
        ("before-after?before=2026-05-01&weeks=0", "weeks", "greater than or equal to 1"),
        ("totals?resolution=1h", "resolution", "1h"),
        ("totals?from=2001-01-01", "resolution", "100,000 intervals"),
    ],
)
def test_what_cannot_be_answered_names_the_parameter(
    town: City, api: Api, path: str, parameter: str, message: str
) -> None:
    """With 422, and a sentence that says what would be right."""
    response = api.get(f"/api/v1/stations/markt/{path}")

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["parameter"] == parameter
    assert message in response.json()["detail"]


def test_what_is_not_there_is_said(town: City, api: Api) -> None:
    """Stations and areas, and a token that is not the operator's."""
    for summary in ("profile", "compare", "totals"):
        assert api.get(f"/api/v1/stations/nirgends/{summary}").json()["type"].endswith(":no-such-station")
        assert api.get(f"/api/v1/areas/nirgends/{summary}").json()["type"].endswith(":no-such-area")
        assert api.get(f"/api/v1/areas/%00/{summary}").status_code == 404
        wrong = api.get(f"/api/v1/stations/markt/{summary}", headers={"Authorization": "Bearer wrong-wrong-wrong"})
        assert wrong.status_code == 401


def test_stations_in_several_zones_need_one_named(town: City, api: Api) -> None:
    """A weekday and an hour are those of one clock."""
    refused = api.get("/api/v1/areas/europa/profile")
    answered = ask(api, "areas/europa/profile", tz="UTC")

    assert (refused.status_code, refused.json()["parameter"]) == (422, "tz")
    assert "Europe/Berlin, Europe/London" in refused.json()["detail"]
    assert answered["timezone"] == "UTC"


def test_an_answer_has_a_tag_that_changes_with_its_numbers(town: City, api: Api) -> None:
    """Not with the time alone, and at once when something changes that is in it."""
    path, asked = "/api/v1/stations/markt/profile", {"from_": "2026-03-02", "to": "2026-03-30"}
    tag = api.get(path, **asked).headers["ETag"]
    api.now += timedelta(days=3)

    again = api.get(path, headers={"If-None-Match": tag}, **asked)
    exclude(town, "markt", datetime(2026, 3, 3, tzinfo=BERLIN), datetime(2026, 3, 4, tzinfo=BERLIN))
    changed = api.get(path, headers={"If-None-Match": tag}, **asked)
    town.connection.execute("DELETE FROM remark WHERE starts < '2026-04-01'")
    back = api.get(path, headers={"If-None-Match": tag}, **asked)

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Cache-Control"] == "public, no-cache"
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert back.status_code == 304


def test_csv_for_those_who_accept_nothing_wider(town: City, api: Api) -> None:
    """As the counts."""
    path = "/api/v1/stations/markt/totals"

    assert api.get(path, headers={"Accept": "text/csv"}).headers["Content-Type"].startswith("text/csv")
    assert api.get(path, headers={"Accept": "text/csv, */*"}).headers["Content-Type"] == "application/json"


def test_head_answers_with_the_headers_alone(town: City, api: Api) -> None:
    """As everywhere."""
    response = api.request("HEAD", "/api/v1/stations/markt/totals")

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["ETag"]


def test_holidays_can_be_left_to_their_weekdays(town: City, dsn: str) -> None:
    """With no calendar in the settings."""
    settings = ApiSettings(database=DatabaseSettings(dsn=dsn))
    with Api(settings.model_copy(update={"city": settings.city.model_copy(update={"holidays": ""})})) as api:
        answer = ask(api, "stations/markt/profile")

    assert answer["holidays"] == {"calendar": None, "days": []}
    assert value(answer, weekday="holiday", time="12:00")["values"] == 0
    assert value(answer, weekday="thursday", time="12:00")["values"] == 52


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("stations/markt/profile?split=direction,class,sensor", "Profile"),
        ("areas/zentrum/profile?resolution=1d", "Profile"),
        ("stations/markt/compare?from=2026-05-25", "Comparison"),
        ("areas/zentrum/compare?resolution=1d&from=2026-01-01", "Comparison"),
        ("stations/markt/before-after?before=2026-05-01", "BeforeAfter"),
        ("areas/zentrum/before-after?before=2026-05-01&resolution=1h&split=direction", "BeforeAfter"),
        ("stations/markt/totals?split=sensor", "Totals"),
        ("areas/feld/totals?resolution=all", "Totals"),
    ],
)
def test_answers_fit_their_models(town: City, api: Api, path: str, schema: str) -> None:
    """What is written is what the OpenAPI document says."""
    document = api.get("/openapi.json").json()
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": document["components"]})

    assert [error.message for error in validator.iter_errors(api.get(f"/api/v1/{path}").json())] == []


def test_the_document_has_all_addresses(api: Api) -> None:
    """Each with its model, its parameters in words, and errors of the one shape."""
    document = api.get("/openapi.json").json()
    models = {"profile": "Profile", "compare": "Comparison", "before-after": "BeforeAfter", "totals": "Totals"}

    for place in ("stations/{station}", "areas/{area}"):
        for summary, model in models.items():
            operation = document["paths"][f"/api/v1/{place}/{summary}"]["get"]
            content = operation["responses"]["200"]["content"]
            assert content["application/json"]["schema"] == {"$ref": f"#/components/schemas/{model}"}
            assert "text/csv" in content
            assert {p["name"] for p in operation["parameters"]} == {
                place.split("{")[1][:-1], "resolution", "split", "tz", "lang", "format",
                *(("before", "after", "weeks") if summary == "before-after" else ("from", "to")),
            }  # fmt: skip
            assert all(p["description"] for p in operation["parameters"])
            assert set(operation["responses"]) == {"200", "304", "401", "404", "422", "429", "503"}


def test_now_is_a_moment_of_the_minute(town: City, api: Api) -> None:
    """Answers about a running day do not change by the second."""
    api.now = NOW + timedelta(seconds=1)
    first = api.get("/api/v1/stations/markt/totals").headers["ETag"]
    api.now = NOW + timedelta(seconds=59)

    assert api.get("/api/v1/stations/markt/totals").headers["ETag"] == first


def test_the_commands_in_the_document_run(town: City, api: Api) -> None:
    """docs/summaries.md: each address that it asks is answered."""
    addresses = re.findall(r"curl 'http://127.0.0.1:8000([^']+)'", DOCUMENT)

    assert len(addresses) == 4
    for address in addresses:
        assert api.get(address).status_code == 200, address


def test_every_word_is_explained() -> None:
    """What can stand in a summary is in its document, or is a word of the counts."""
    fields = {
        name
        for model in (describe.Profile, describe.Comparison, describe.BeforeAfter, describe.TotalValue)
        for name, field in model.model_fields.items()
        if field.alias is None
    }
    words = {*Skip, *asked.ProfileResolution, *asked.TotalsResolution, *TableFormat, *methods.Language, *fields}
    counts = {"start", "end", "direction", "sensor", "least_values", "least_days", "before", "after"}

    assert sorted(word for word in words - counts if f"`{word}`" not in DOCUMENT) == []
