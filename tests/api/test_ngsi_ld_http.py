"""``/api/v1/ngsi-ld``: the same numbers as the API's, of intervals that are over and public."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st

from footfall_api.ngsi_ld import routes
from footfall_api.settings import ApiSettings
from footfall_testing.city import NOW, Api, City

HELD_BACK = {"stations": ["saal"], "reason": "Der Sensor wird geprüft."}


@pytest.fixture
def town(city: City) -> City:
    """Stations with every kind of interval in the last hours."""
    markt, saal, kirche = (
        city.counter("markt"), city.counter("saal"), city.counter("kirche", directions=(0, 1, 2)),
    )  # fmt: skip
    city.station("leer")
    city.labels("markt", NOW - timedelta(days=900), "Richtung Rathaus", "Richtung Kirche")
    city.minutes(markt, NOW - timedelta(hours=6), 200, {0: 3, 1: 2})
    city.minutes(markt, NOW - timedelta(hours=2), 120, {0: 1, 1: 2})
    city.minutes(saal, NOW - timedelta(hours=6), 360, {0: 5})
    city.minutes(kirche, NOW - timedelta(hours=5), 170, {2: 1}, observed_s=40)
    city.span(markt, NOW - timedelta(hours=5, minutes=40), NOW - timedelta(hours=4), {0: 10})
    city.exclude(NOW - timedelta(hours=5), NOW - timedelta(hours=4, minutes=30), station="kirche")
    return city


@pytest.fixture
def held_back(database: str, town: City) -> Iterator[Api]:
    """The API as anybody sees it; the counts of one station are held back, and all are an hour late."""
    with Api(
        ApiSettings.model_validate(
            {
                "database": {"dsn": database},
                "publication": {"held_back": [HELD_BACK], "delay_minutes": 60, "delay_reason": "So ist es."},
                "public": {"operator_token": "the-operators-own-token"},
            }
        )
    ) as found:
        yield found


def entities(api: Api, **params: Any) -> list[dict[str, Any]]:
    """All entities in short, page by page."""
    found: list[dict[str, Any]] = []
    address, asked = "/api/v1/ngsi-ld", {"options": "keyValues", **params}
    while True:
        response = api.get(address, **asked)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "application/ld+json"
        found += response.json()
        following = response.links.get("next")
        if following is None:
            return found
        parts = urlsplit(following["url"])
        address, asked = f"{parts.path}?{parts.query}", {}


def test_each_station_has_its_last_interval(town: City, api: Api) -> None:
    """Without a time: one entity each with the id that stays, in the order of the stations, with numbers if any."""
    found = api.get("/api/v1/ngsi-ld").json()

    assert [one["id"].rpartition("CrowdFlowObserved:")[2] for one in found] == [
        "jena:kirche:15min", "jena:leer:15min", "jena:markt:15min", "jena:saal:15min"
    ]  # fmt: skip
    kirche, leer, markt, _ = found
    assert markt["dateObserved"]["value"] == "2026-06-10T11:45:00Z/2026-06-10T12:00:00Z"
    assert (markt["peopleCount"]["value"], markt["peopleCountTowards"]["value"]) == (45, 15)
    assert markt["towardsLabel"]["value"] == "Richtung Rathaus"
    assert ("peopleCount" in kirche, kirche["stateReason"]["value"]) == (False, "not_reported")
    assert ("peopleCount" in leer, leer["stateReason"]["value"]) == (False, "not_installed")
    assert markt["@context"][0] == "http://footfall.test/api/v1/ngsi-ld/context.jsonld"
    assert markt["@context"][-1].startswith("https://uri.etsi.org/ngsi-ld/")


def test_the_context_is_served(api: Api) -> None:
    """The terms that an entity names are where it says, as JSON-LD."""
    response = api.get("/api/v1/ngsi-ld/context.jsonld")

    assert response.headers["Content-Type"] == "application/ld+json"
    assert response.json()["@context"]["stateReason"] == "urn:footfall:ngsi-ld:stateReason"


@pytest.mark.parametrize("resolution", ["15min", "1h", "1d", "1w"])
def test_the_sums_are_those_of_the_csv(town: City, api: Api, resolution: str) -> None:
    """Interval by interval: the same number, state, reason and coverage; a gap in both or in neither."""
    asked: dict[str, Any] = {"station": "markt,kirche,saal", "from_": "2026-06-01", "to": "2026-06-11"}
    asked["resolution"] = resolution
    rows = csv.DictReader(io.StringIO(api.get("/api/v1/counts", **asked, format="csv", tz="Europe/Berlin").text))
    over = [row for row in rows if row["reason"] != "future" and row["interval_end"] <= "2026-06-10T14:00:00+02:00"]
    found = entities(api, **asked)

    assert len(found) == len(over) > 0
    assert len({one["id"] for one in found}) == len(found)
    for one, row in zip(found, over, strict=True):
        assert str(one.get("peopleCount", "")) == row["count"]
        assert (one["state"], one.get("stateReason", "")) == (row["state"], row["reason"])
        assert str(one.get("coverage", "")) == row["coverage"]
    assert sum(one.get("peopleCount", 0) for one in found) == sum(int(row["count"] or 0) for row in over)


def test_directions_are_towards_and_away(town: City, api: Api) -> None:
    """By direction as well: in is towards, out is away, and what is undirected is in the sum only."""
    asked: dict[str, Any] = {"station": "markt,kirche", "from_": "2026-06-10", "resolution": "15min"}
    counted: dict[str, int] = {}
    for row in csv.DictReader(io.StringIO(api.get("/api/v1/counts", **asked, split="direction", format="csv").text)):
        counted[row["direction"]] = counted.get(row["direction"], 0) + int(row["count"] or 0)
    found = entities(api, **asked)

    assert sum(one.get("peopleCountTowards", 0) for one in found) == counted["in"] > 0
    assert sum(one.get("peopleCountAway", 0) for one in found) == counted["out"] > 0
    assert sum(one.get("peopleCount", 0) for one in found) == sum(counted.values())
    assert counted["undirected"] > 0


@hypothesis.given(size=st.integers(1, 60))
@hypothesis.settings(max_examples=8, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_pages_leave_nothing_out(town: City, api: Api, size: int) -> None:
    """However small the pages are, together they have each interval of each station once and in order."""
    asked: dict[str, Any] = {"station": "markt,saal", "from_": "2026-06-10T08:00", "to": "2026-06-10T18:00"}
    whole = entities(api, **asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "PAGE_ENTITIES", size)
        pages = entities(api, **asked)

    assert pages == whole
    assert [one["dateObservedFrom"] for one in whole] == sorted(one["dateObservedFrom"] for one in whole)
    assert len(whole) == 2 * 6 * 4


def test_time_that_is_not_over_has_no_entity(town: City, api: Api) -> None:
    """Neither the running interval nor what is to come; a time that is all ahead has none at all."""
    api.now = NOW + timedelta(minutes=7)
    assert entities(api, station="markt", from_="2026-06-10T13:30")[-1]["dateObservedTo"] == "2026-06-10T12:00:00Z"
    assert entities(api, station="markt", from_="2026-06-10T14:05", to="2026-06-10T20:00") == []
    assert entities(api, station="markt", from_="2026-06-11", to="2026-06-12") == []


def test_what_is_held_back_has_no_number(held_back: Api) -> None:
    """Neither for the operator: what is counted there is withheld, and what is delayed comes later."""
    for token in ({}, {"Authorization": "Bearer the-operators-own-token"}):
        found = held_back.get("/api/v1/ngsi-ld", headers=token, options="keyValues").json()
        markt, saal = (next(one for one in found if one["name"] == name) for name in ("Markt", "Saal"))
        assert markt["dateObservedTo"] == "2026-06-10T11:00:00Z"
        assert "peopleCount" in markt
        assert (saal["state"], saal["stateReason"]) == ("missing", "withheld")
        assert not {"peopleCount", "peopleCountTowards", "peopleCountAway", "coverage"} & saal.keys()


def test_finer_than_what_is_public_is_not_there(database: str, town: City) -> None:
    """Where hours are the finest, they are what is given, and quarters are refused with what there is."""
    publication = {"finest": "1h", "recent": "1h"}
    with Api(ApiSettings.model_validate({"database": {"dsn": database}, "publication": publication})) as api:
        default = api.get("/api/v1/ngsi-ld", options="keyValues").json()
        refused = api.get("/api/v1/ngsi-ld", resolution="15min")

    assert {one["id"].rpartition(":")[2] for one in default} == {"1h"}
    assert (refused.status_code, refused.json()["parameter"]) == (403, "resolution")
    assert "there are 1h, 1d, 1w" in refused.json()["detail"]


def test_stations_of_several_zones(town: City, api: Api) -> None:
    """Each has its last interval by its own clocks; over a time only those of one zone can be asked about."""
    town.minutes(town.counter("durbar", timezone="Asia/Kathmandu"), NOW - timedelta(hours=3), 180, {0: 1})
    found = entities(api, resolution="1h")

    ends = {one["name"]: one["dateObservedTo"] for one in found}
    assert [*ends] == ["Durbar", "Kirche", "Leer", "Markt", "Saal"]
    assert (ends["Durbar"], ends["Markt"]) == ("2026-06-10T11:15:00Z", "2026-06-10T12:00:00Z")
    refused = api.get("/api/v1/ngsi-ld", from_="2026-06-10")
    assert (refused.status_code, refused.json()["parameter"]) == (422, "station")
    assert len(entities(api, station="durbar", from_="2026-06-10", resolution="1h")) > 0


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"station": "mark"}, "station"),
        ({"resolution": "1min"}, "resolution"),
        ({"options": "concise"}, "options"),
        ({"from_": "gestern"}, "from"),
        ({"from_": "2026-06-10", "to": "2026-06-09"}, "to"),
        ({"after": "2026-06-10T12:00:00Z"}, "after"),
        ({"from_": "2026-06-10", "after": "2026-06-10T12:07:00Z"}, "after"),
        ({"area": "zentrum"}, "area"),
    ],
)
def test_what_cannot_be_used_is_refused(town: City, api: Api, params: dict[str, Any], parameter: str) -> None:
    """With the parameter's name."""
    response = api.get("/api/v1/ngsi-ld", **params)

    assert (response.status_code, response.json()["parameter"]) == (422, parameter)


def test_an_answer_that_is_known_is_not_sent_again(town: City, api: Api) -> None:
    """Its tag stays as long as nothing has changed, and changes with a late report."""
    tag = api.get("/api/v1/ngsi-ld").headers["ETag"]
    same = api.get("/api/v1/ngsi-ld", headers={"If-None-Match": tag})
    town.minutes(3, NOW - timedelta(minutes=10), 10, {2: 4})
    other = api.get("/api/v1/ngsi-ld", headers={"If-None-Match": tag})

    assert (same.status_code, other.status_code) == (304, 200)
    head = api.request("HEAD", "/api/v1/ngsi-ld")
    assert (head.status_code, head.text) == (200, "")
