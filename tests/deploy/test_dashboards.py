"""The dashboards are whole, and what the one with the counts shows is what the API says."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.city import NOW, Api, City

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
NAMES = ("counts", "operation")
BEGIN = datetime(2026, 6, 9, 22, tzinfo=UTC)
"""Midnight in Jena; the city's clock stands 14 hours later."""


def dashboard(name: str) -> dict[str, Any]:
    """One of the two."""
    found: dict[str, Any] = json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text("utf-8"))
    return found


def questions() -> Iterator[tuple[str, str]]:
    """Title and SQL of each panel with counts, and of the choice of stations."""
    found = dashboard("counts")
    yield from ((panel["title"], panel["targets"][0]["rawSql"]) for panel in found["panels"])
    yield from ((variable["label"], variable["query"]) for variable in found["templating"]["list"])


def sql(title: str, stations: Sequence[str], begin: datetime = BEGIN, end: datetime = NOW) -> str:
    """A panel's question as Grafana puts it: its macros and the variable are replaced by quoted text."""
    text = dict(questions())[title]
    for macro, moment in (("$__timeFrom()", begin), ("$__timeTo()", end)):
        text = text.replace(macro, f"'{moment:%Y-%m-%dT%H:%M:%SZ}'")
    text = text.replace("$station", ",".join(f"'{station}'" for station in stations))
    assert "$" not in text
    # The city's clock stands still; nothing in the questions is stamped.
    return text.replace("now()", f"'{NOW:%Y-%m-%dT%H:%M:%SZ}'::timestamptz")


@pytest.fixture
def city(database: str) -> Iterator[City]:
    """An empty city."""
    found = City(database)
    yield found
    found.connection.close()


@pytest.fixture
def api(database: str) -> Iterator[Api]:
    """The API on it, without limits."""
    settings = ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(local=True))
    with Api(settings) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_dashboards_are_whole(name: str) -> None:
    """A name that stays; panels that do not overlap, each with a title and a word on it; sources that there are."""
    found = dashboard(name)
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "footfall.yml").read_text("utf-8"))
    known = {(source["type"], source["uid"]) for source in sources["datasources"]}

    assert found["uid"] == f"footfall-{name}"
    ids = [panel["id"] for panel in found["panels"]]
    assert sorted(set(ids)) == sorted(ids)
    cells: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert (panel["datasource"]["type"], panel["datasource"]["uid"]) in known
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        taken = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells, panel["title"]
        cells |= taken
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_way_to_the_dashboards_is_the_documents() -> None:
    """Where docs/alerts.md copies them to is where Grafana looks."""
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "footfall.yml").read_text("utf-8"))
    (path,) = [each["options"]["path"] for each in provider["providers"]]

    assert f"deploy/grafana/dashboards/*.json {path}/" in (GRAFANA.parents[1] / "docs" / "alerts.md").read_text("utf-8")


def hourly(database: str, stations: Sequence[str]) -> dict[tuple[str, datetime], tuple[int | None, float]]:
    """By station and hour, what the panels show: passages, and how much was measured."""
    with psycopg.connect(database) as connection:
        passages = connection.execute(sql("Passagen je Stunde", stations)).fetchall()
        measured = connection.execute(sql("Messabdeckung je Stunde", stations)).fetchall()
    coverage = {(station, start): float(share) for start, station, share in measured}
    assert len(coverage) == len(passages)
    return {
        (station, start): (None if count is None else int(count), coverage[station, start])
        for start, station, count in passages
    }


def from_api(api: Api, station: str) -> dict[tuple[str, datetime], tuple[int | None, float]]:
    """The same from the API."""
    values = api.counts(station, from_=BEGIN.isoformat(), to=NOW.isoformat(), resolution="1h")
    return {
        (station, datetime.fromisoformat(value["start"]).astimezone(UTC)): (value["count"], value["coverage"])
        for value in values
        if value["reason"] != "not_installed"
    }


def fill(city: City) -> list[str]:
    """A station each for what can happen to an hour; their names."""
    whole = city.counter("whole")
    city.minutes(whole, BEGIN, 600, {0: 1, 1: 2})
    gap = city.counter("gap")
    city.minutes(gap, BEGIN, 90, {0: 3})
    city.minutes(gap, BEGIN + timedelta(hours=5), 120, {0: 1}, observed_s=30)
    nobody = city.counter("nobody")
    city.minutes(nobody, BEGIN, 240)
    two = city.counter("two")
    city.minutes(two, BEGIN, 300, {0: 1})
    second = city.sensor("two-2")
    city.install(second, "two", BEGIN + timedelta(hours=2, minutes=20), BEGIN + timedelta(hours=4))
    city.minutes(second, BEGIN + timedelta(hours=1), 240, {1: 5})
    reference = city.sensor("two-3")
    city.install(reference, "two", role="reference")
    city.minutes(reference, BEGIN, 300, {0: 100})
    works = city.counter("works")
    city.minutes(works, BEGIN, 420, {0: 1, 1: 1})
    city.exclude(BEGIN + timedelta(hours=2, minutes=15), BEGIN + timedelta(hours=4), station="works")
    city.area("zone", "works")
    city.remark(BEGIN + timedelta(hours=5, minutes=30), None, "Closed.", area="zone", excludes=True)
    city.connection.execute("UPDATE remark SET withdrawn = now(), withdrawn_why = 'mistaken' WHERE area = 'zone'")
    city.remark(BEGIN + timedelta(hours=6), BEGIN + timedelta(hours=6, minutes=10), "Off.", sensor=works, excludes=True)
    spans = city.counter("spans")
    city.span(spans, BEGIN, BEGIN + timedelta(minutes=20), {0: 7}, observed_s=1200)
    city.span(spans, BEGIN + timedelta(minutes=20), BEGIN + timedelta(hours=1), {0: 2}, observed_s=2400)
    city.span(spans, BEGIN + timedelta(hours=2, minutes=30), BEGIN + timedelta(hours=4), {1: 30}, observed_s=5400)
    city.span(spans, BEGIN + timedelta(hours=6), BEGIN + timedelta(hours=7), {0: 11})
    return ["whole", "gap", "nobody", "two", "works", "spans"]


@pytest.mark.parametrize("summed_up", [False, True], ids=["from minutes", "from hours"])
def test_hours_are_what_the_api_says(city: City, api: Api, database: str, *, summed_up: bool) -> None:
    """Gaps, silence, moved sensors, excluded and withdrawn, spans, references, before and after they are summed up."""
    stations = fill(city)
    if summed_up:
        city.sum_up()
    shown = hourly(database, stations)

    expected = {key: said for station in stations for key, said in from_api(api, station).items()}
    assert shown.keys() == expected.keys()
    assert {key: count for key, (count, _) in shown.items()} == {key: count for key, (count, _) in expected.items()}
    for key, (_, share) in shown.items():
        assert share == pytest.approx(expected[key][1], abs=1e-4), key
    assert len([count for count, _ in shown.values() if count is None]) > 10
    assert len([count for count, _ in shown.values() if count == 0]) >= 4


def test_sums_are_those_of_the_hours(city: City, database: str) -> None:
    """By station, with how much was measured and how many hours are missing."""
    stations = fill(city)
    hours = hourly(database, stations)
    with psycopg.connect(database) as connection:
        rows = connection.execute(sql("Summen des Zeitraums", stations)).fetchall()

    assert [row[0] for row in rows] == sorted(stations)
    for station, passages, measured, without in rows:
        mine = [said for (name, _), said in hours.items() if name == station]
        assert passages == sum(count for count, _ in mine if count is not None)
        assert without == sum(count is None for count, _ in mine)
        assert 0 < measured <= 1


def test_only_what_is_chosen_is_shown(city: City, database: str) -> None:
    """And the choice has all stations, by their names."""
    fill(city)
    with psycopg.connect(database) as connection:
        choice = connection.execute(sql("Zählstelle", [])).fetchall()

    assert {station for station, _ in hourly(database, ["whole", "gap"])} == {"whole", "gap"}
    assert sorted(choice) == [
        (name.capitalize(), name) for name in sorted({"whole", "gap", "nobody", "two", "works", "spans"})
    ]


def test_the_account_that_only_reads_may_ask_it(city: City, database: str) -> None:
    """As a member of `footfall_api`, which is what the account of Grafana is."""
    stations = fill(city)
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE footfall_api")
        for title, _ in questions():
            assert connection.execute(sql(title, stations)).fetchall()


def test_every_question_is_bounded_by_the_time_that_is_shown() -> None:
    """None reads all there is."""
    for title, text in questions():
        if "WITH" in text:
            assert re.search(r"\$__timeFrom\(\)", text), title
            assert re.search(r"\$__timeTo\(\)", text), title
