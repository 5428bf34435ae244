"""SensorThings over HTTP: a walk over what OGC 18-088 demands of a service that is read."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicationSettings
from footfall_api.sta import engine
from footfall_api.sta.http import CONFORMANCE
from footfall_api.sta.language import ENTITY_SETS, NAVIGATIONS, PROPERTIES
from footfall_testing.city import NOW, Api, City
from footfall_testing.sta import BEGIN, ask, everything, get, ids, populate

ROOT = "http://footfall.test/sta/v1.1"


@pytest.fixture
def sta(city: City, public_api: Api) -> Api:
    """The API as anybody sees it, on a city with something to see."""
    populate(city)
    return public_api


def stream(api: Api, station: str, resolution: str, direction: str = "all") -> dict[str, Any]:
    """A Datastream."""
    asked = f"properties/station eq '{station}' and properties/resolution eq '{resolution}'"
    (found,) = ask(api, "/Datastreams", filter=f"{asked} and properties/direction eq '{direction}'")["value"]
    return dict(found)


# -- the service root and the sets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/"])
def test_the_root_lists_every_set_with_its_address(sta: Api, path: str) -> None:
    """With a slash and without; clients read the version from the conformance."""
    body = ask(sta, path)
    assert body["value"] == [{"name": name, "url": f"{ROOT}/{name}"} for name in ENTITY_SETS]
    assert body["serverSettings"]["conformance"] == list(CONFORMANCE)
    assert "http://www.opengis.net/spec/iot_sensing/1.1/req/datamodel" in CONFORMANCE


def test_addresses_are_those_under_which_the_world_reaches_the_api(city: City, database: str) -> None:
    """Also behind a proxy that the API knows nothing of."""
    populate(city)
    settings = ApiSettings.model_validate(
        {"database": {"dsn": database}, "http": {"public_url": "https://zaehlung.example/"}}
    )
    with Api(settings) as api:
        assert ask(api, "")["value"][0]["url"] == "https://zaehlung.example/sta/v1.1/Things"
        assert ask(api, "/Things", top=1)["@iot.nextLink"].startswith("https://zaehlung.example/sta/v1.1/Things?")


@pytest.mark.parametrize("entity_set", ENTITY_SETS)
def test_every_set_has_an_entity_with_all_it_must_have(sta: Api, entity_set: str) -> None:
    """Id, address, a link for each navigation and the mandatory properties; nothing but a result is null."""
    optional = {"properties", "resultQuality", "validTime"}
    first = ask(sta, f"/{entity_set}")["value"][0]
    assert isinstance(first["@iot.id"], int)
    assert first["@iot.selfLink"] == f"{ROOT}/{entity_set}({first['@iot.id']})"
    for navigation in NAVIGATIONS[entity_set]:
        assert first[f"{navigation}@iot.navigationLink"] == f"{first['@iot.selfLink']}/{navigation}"
    assert set(PROPERTIES[entity_set]) - optional <= first.keys()
    assert {name for name, value in first.items() if value is None} <= {"result"}
    assert ask(sta, f"/{entity_set}({first['@iot.id']})") == first


@pytest.mark.parametrize("entity_set", ENTITY_SETS)
def test_every_navigation_leads_there_and_back(sta: Api, entity_set: str) -> None:
    """By its link, by expand, by $ref and by filter the same entities are found."""
    for entity in ask(sta, f"/{entity_set}", top=3)["value"]:
        own = f"/{entity_set}({entity['@iot.id']})"
        for navigation, target in NAVIGATIONS[entity_set].items():
            by_link = ask(sta, f"{own}/{navigation}")
            expanded = ask(sta, own, expand=navigation)[navigation]
            if navigation in ENTITY_SETS:
                assert expanded == by_link["value"]
                refs = ask(sta, f"{own}/{navigation}/$ref")["value"]
                assert refs == [{"@iot.selfLink": f"{ROOT}/{target}({n})"} for n in ids(by_link["value"])]
                count = get(sta, f"{own}/{navigation}/$count").text
                assert int(count) == ask(sta, f"{own}/{navigation}", count="true", top=0)["@iot.count"]
                for one in by_link["value"][:2]:
                    assert ask(sta, f"{own}/{navigation}({one['@iot.id']})") == one
            else:
                assert expanded == by_link
                assert ask(sta, f"{own}/{navigation}/$ref") == {"@iot.selfLink": by_link["@iot.selfLink"]}
                found = everything(sta, f"/{entity_set}", filter=f"{navigation}/id eq {by_link['@iot.id']}", top=1000)
                assert entity["@iot.id"] in ids(found)


@pytest.mark.parametrize("entity_set", ENTITY_SETS)
def test_every_property_has_an_address(sta: Api, entity_set: str) -> None:
    """By itself as JSON, with $value as it is; what is not there is no content."""
    entity = ask(sta, f"/{entity_set}")["value"][0]
    for name in PROPERTIES[entity_set]:
        path = f"/{entity_set}({entity['@iot.id']})/{name}"
        if entity.get(name) is None:
            assert get(sta, path).status_code == 204
            continue
        assert ask(sta, path) == {name: entity[name]}
        value = get(sta, f"{path}/$value")
        assert value.text == entity[name] if isinstance(entity[name], str) else value.json() == entity[name]


def test_paths_lead_into_json_and_on(sta: Api) -> None:
    """Into properties and GeoJSON, and over four navigations."""
    assert ask(sta, "/Things(1)/properties/assetID") == {"assetID": "markt"}
    assert get(sta, "/Locations(1)/location/coordinates/1/$value").json() == 50.92818
    assert ask(sta, "/Things(1)/Datastreams(16)/Thing/Locations(1)/Things(1)")["name"] == "Markt"
    observation = ask(sta, "/Observations", top=1)["value"][0]["@iot.id"]
    assert get(sta, f"/Observations({observation})/Datastream/Thing/name/$value").text == "Markt"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Things(99)", 404),
        ("/Things(99999999999999999999999)", 404),
        ("/Things(-1)", 404),
        ("/Observations(0)", 404),
        ("/Observations(1)", 404),
        ("/Observations(9223372036854775807)", 404),
        ("/Things(1)/Datastreams(32)", 404),
        ("/Thingy", 404),
        ("/Things('1')", 404),
        ("/Things(1)/nam", 404),
        ("/Things?$filter=nam eq 'x'", 400),
        ("/Things?$filter=name eq", 400),
        ("/Things?$top=-1", 400),
        ("/Things?$orderby=nope", 400),
        ("/Things?$expand=Nope", 400),
        ("/Things?$select=nope", 400),
        ("/Things?$nope=1", 400),
        ("/Observations?$filter=phenomenonTime gt 2026-06-01T00:00:00", 400),
        ("/Things?$filter=%zz", 400),
        ("/Things?$filter=%ff", 400),
    ],
)
def test_what_is_not_there_or_cannot_be_read_is_a_problem_that_says_so(sta: Api, path: str, status: int) -> None:
    """In the one shape of all errors; with what would be right where that can be known."""
    response = sta.request("GET", "/sta/v1.1" + path.replace(" ", "%20"))
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["detail"]


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_nothing_can_be_written(sta: Api, method: str) -> None:
    """It is read only."""
    assert sta.request(method, "/sta/v1.1/Things").status_code == 405


# -- what the entities say ---------------------------------------------------------------------------------------------


def test_a_station_has_four_datastreams_for_each_direction_set(sta: Api) -> None:
    """In Hamburg's naming; the sum alone has the bare layer name, so that scripts find one for each station."""
    bare = ask(sta, "/Datastreams", filter="properties/layerName eq 'Anzahl_Fussgaenger_Zaehlstelle_15-Min'")["value"]
    assert [one["properties"]["station"] for one in bare] == ["markt", "kirche", "hafen", "nie"]
    mine = ask(sta, "/Things(1)/Datastreams")["value"]
    assert [(one["properties"]["resolution"], one["properties"]["direction"]) for one in mine] == [
        (resolution, direction) for resolution in ("15min", "1h", "1d", "1w") for direction in ("all", "in", "out")
    ]
    for one in mine:
        assert one["observationType"].endswith("OM_CountObservation")
        assert one["unitOfMeasurement"]["name"] == "Anzahl"
        assert one["observedArea"]["type"] == "Point"
        assert one["properties"]["resultNature"] == "processed"
    undirected = ask(sta, "/Things(3)/Datastreams")["value"]
    assert [one["properties"]["direction"] for one in undirected] == ["all"] * 4


def test_the_observations_of_a_datastream_are_its_intervals_without_a_gap(sta: Api) -> None:
    """From the first that was measured to the last that has ended; a gap is one without a result that says why."""
    for resolution, seconds in (("15min", 900), ("1h", 3600), ("1d", 86_400), ("1w", 604_800)):
        one = stream(sta, "markt", resolution)
        observations = everything(sta, f"/Datastreams({one['@iot.id']})/Observations")
        times = [observation["phenomenonTime"].split("/") for observation in observations]
        assert all(end == begin for (_, end), (begin, _) in pairwise(times))
        first, last = (datetime.fromisoformat(text) for text in (times[0][0], times[-1][1]))
        assert first <= BEGIN < first + timedelta(seconds=seconds)
        assert last <= NOW < last + timedelta(seconds=seconds)
        assert one["phenomenonTime"] == f"{times[0][0]}/{times[-1][1]}"
        for observation in observations:
            assert observation["resultTime"] == observation["phenomenonTime"].split("/")[1]
    gaps = [one for one in everything(sta, "/Datastreams(16)/Observations") if one["result"] is None]
    assert {one["parameters"]["reason"] for one in gaps} == {"not_reported", "excluded"}
    assert all(one["parameters"]["state"] == "missing" for one in gaps)


def test_days_and_weeks_begin_at_local_midnight_and_on_monday(sta: Api) -> None:
    """In the station's own zone."""
    jena = ask(sta, f"/Datastreams({stream(sta, 'markt', '1w')['@iot.id']})/Observations")["value"]
    assert [one["phenomenonTime"] for one in jena] == ["2026-05-31T22:00:00Z/2026-06-07T22:00:00Z"]
    lisbon = ask(sta, f"/Datastreams({stream(sta, 'hafen', '1d')['@iot.id']})/Observations", top=1)["value"]
    assert lisbon[0]["phenomenonTime"] == "2026-06-01T23:00:00Z/2026-06-02T23:00:00Z"


def test_a_station_that_was_taken_down_has_no_observations_after_it(sta: Api) -> None:
    """There is nothing to measure and nothing missing."""
    (last,) = ask(
        sta, f"/Datastreams({stream(sta, 'kirche', '15min')['@iot.id']})/Observations",
        orderby="phenomenonTime desc", top=1,
    )["value"]  # fmt: skip
    assert last["phenomenonTime"] == "2026-06-05T06:00:00Z/2026-06-05T06:15:00Z"


def test_a_station_that_never_counted_is_there_without_observations(sta: Api) -> None:
    """Nor with a time in which it did."""
    one = stream(sta, "nie", "15min")
    assert "phenomenonTime" not in one
    assert ask(sta, f"/Datastreams({one['@iot.id']})/Observations", count="true") == {"@iot.count": 0, "value": []}


def test_ids_stay_when_time_passes_and_older_counts_come(city: City, sta: Api) -> None:
    """They say which interval of which Datastream it is, so links that were kept lead to the same."""
    before = {one["phenomenonTime"]: one["@iot.id"] for one in everything(sta, "/Datastreams(16)/Observations")}
    key = city.connection.execute("SELECT key FROM sensor WHERE id = 'markt-1'").fetchone()
    assert key is not None
    city.minutes(key[0], BEGIN - timedelta(days=3), 60, {0: 1})
    city.station("aaa")
    sta.now += timedelta(hours=5)
    after = {one["phenomenonTime"]: one["@iot.id"] for one in everything(sta, "/Datastreams(16)/Observations")}
    assert before.items() < after.items()
    assert len(after) == len(before) + 3 * 96 + 5 * 4


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2025-10-26", 100)])
def test_the_days_on_which_clocks_change_have_23_and_25_hours(
    city: City, public_api: Api, day: str, quarters: int
) -> None:
    """And one Observation, as any day."""
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    city.minutes(city.counter("markt"), midnight - timedelta(hours=5), 60 * 48, {0: 1})
    asked = (
        f"phenomenonTime ge {midnight.isoformat()} and phenomenonTime lt {(midnight + timedelta(days=1)).isoformat()}"
    )
    fine = stream(public_api, "markt", "15min")["@iot.id"]
    assert ask(public_api, f"/Datastreams({fine})/Observations", filter=asked, count="true")["@iot.count"] == quarters
    day_id = stream(public_api, "markt", "1d")["@iot.id"]
    (one,) = ask(public_api, f"/Datastreams({day_id})/Observations", filter=asked)["value"]
    assert one["result"] == quarters * 15


# -- options -----------------------------------------------------------------------------------------------------------


def test_next_links_lead_through_everything_and_keep_what_the_client_wrote(sta: Api) -> None:
    """$top only if it was sent, always a literal $skip; nothing twice, nothing left out."""
    whole = everything(sta, "/Observations", top=1000)
    total = ask(sta, "/Observations", top=0, count="true")
    assert total == {"@iot.count": len(whole), "value": []}
    assert len(set(ids(whole))) == len(whole)
    body = ask(sta, "/Observations", filter="result ge 0")
    assert body["@iot.nextLink"].endswith("/Observations?$filter=result%20ge%200&$skip=100")
    body = ask(sta, "/Observations", top=7, skip=3)
    assert body["@iot.nextLink"].endswith("?$top=7&$skip=10")
    assert ids(body["value"]) == ids(whole)[3:10]
    assert "@iot.nextLink" not in ask(sta, "/Things", top=4)


def test_expands_nest_and_have_options_and_merge(sta: Api) -> None:
    """In parentheses, as a path, and one navigation named twice."""
    (body,) = ask(
        sta, "/Things", filter="name eq 'Markt'", select="name",
        expand="Datastreams($filter=properties/direction eq 'in';$select=name;$top=1;$count=true;"
        "$expand=Observations($orderby=phenomenonTime DESC;$top=2;$select=result)),Locations($select=name)",
    )["value"]  # fmt: skip
    (one,) = body["Datastreams"]
    assert set(body) == {"name", "Datastreams", "Datastreams@iot.count", "Datastreams@iot.nextLink", "Locations"}
    assert body["Datastreams@iot.count"] == 4
    assert one["Observations"] == [{"result": 35}, {"result": 105}]
    assert one["Observations@iot.nextLink"].startswith(f"{ROOT}/Datastreams(17)/Observations?")
    following = sta.request("GET", one["Observations@iot.nextLink"].removeprefix("http://footfall.test")).json()
    assert len(following["value"]) == 2
    deep = ask(sta, "/Observations", top=1, expand="Datastream/Thing/Locations,Datastream/Sensor")["value"][0]
    assert deep["Datastream"]["Thing"]["Locations"][0]["name"] == "Markt"
    assert deep["Datastream"]["Sensor"]["name"] == "Zählsensorik Markt"


def test_the_latest_value_of_every_station_in_one_question(sta: Api) -> None:
    """What a map asks."""
    streams = ask(
        sta, "/Datastreams",
        filter="properties/layerName eq 'Anzahl_Fussgaenger_Zaehlstelle_1-Stunde'",
        expand="Observations($top=1;$orderby=phenomenonTime desc)",
    )["value"]  # fmt: skip
    found = {one["properties"]["station"]: one["Observations"] for one in streams}
    assert found["markt"][0]["phenomenonTime"] == "2026-06-10T11:00:00Z/2026-06-10T12:00:00Z"
    assert found["markt"][0]["result"] == 7 * 40
    assert found["nie"] == []


def test_a_data_array_has_the_same_values(sta: Api) -> None:
    """By Datastream, in columns."""
    asked = {"filter": "Datastream/properties/station eq 'kirche' and result gt 70", "top": 50}
    rows = ask(sta, "/Observations", **asked)["value"]
    (group,) = ask(sta, "/Observations", **asked, resultFormat="dataArray")["value"][:1]
    assert group["components"] == ["id", "phenomenonTime", "resultTime", "result", "parameters"]
    first = dict(zip(group["components"], group["dataArray"][0], strict=True))
    assert first["id"] == rows[0]["@iot.id"]
    assert first["result"] == rows[0]["result"]
    assert group["dataArray@iot.count"] == len(group["dataArray"])


@pytest.mark.parametrize(
    ("filter_", "names"),
    [
        ("st_within(Locations/location, geography'POLYGON((11.5 50.9,11.7 50.9,11.7 51,11.5 51,11.5 50.9))')", 4),
        ("st_within(Locations/location, geography'POLYGON((0 0,1 0,1 1,0 1,0 0))')", 0),
        ("geo.distance(Locations/location, geography'POINT(11.58782 50.92818)') lt 0.001", 4),
        ("geo.intersects(Locations/location, geography'POINT(11.58782 50.92818)')", 4),
        ("st_intersects(Locations/location, geography'LINESTRING(11 50, 12 50)')", 0),
        ("Locations/location/type eq 'Point'", 4),
        ("Datastreams/properties/direction eq 'in'", 3),
        ("substringof('ark', name) or name eq 'Hafen'", 2),
        ("startswith(tolower(name),'k') and not (name eq 'Markt')", 1),
        ("properties/areas/0 eq 'zentrum'", 2),
        ("id in (1, 3)", 2),
        ("@iot.id gt 2", 2),
        ("Datastreams/Observations/result gt 400", 3),
        ("Datastreams/ObservedProperty/name eq 'Anzahl Fußgänger'", 4),
    ],
)
def test_filters_on_things(sta: Api, filter_: str, names: int) -> None:
    """Geography, JSON, navigations, text."""
    assert ask(sta, "/Things", filter=filter_, count="true", top=0)["@iot.count"] == names


def test_times_of_intervals_are_those_of_other_servers(sta: Api) -> None:
    """Ge and lt together have exactly the intervals inside; with now() and a duration the last day's."""
    one = "/Datastreams(16)/Observations"
    inside = ask(sta, one, filter="phenomenonTime ge 2026-06-02T08:00:00Z and phenomenonTime lt 2026-06-02T09:00:00Z")
    assert [o["phenomenonTime"][11:16] for o in inside["value"]] == ["08:00", "08:15", "08:30", "08:45"]
    later = ask(sta, one, filter="phenomenonTime gt 2026-06-02T08:00:00Z", top=1)["value"][0]
    assert later["phenomenonTime"].startswith("2026-06-02T08:15:00Z")
    recent = ask(sta, one, filter="phenomenonTime gt now() sub duration'PT1H'", count="true")
    assert recent["@iot.count"] == 3
    during = ask(sta, one, filter="during(phenomenonTime, 2026-06-02T08:00:00Z/2026-06-02T09:00:00Z)", count="true")
    assert during["@iot.count"] == 4


@pytest.mark.parametrize("space", ["%20", "+"])
def test_spaces_and_offsets_arrive_however_they_are_sent(sta: Api, space: str) -> None:
    """A plus between words is a space, and where an offset begins a space is a plus."""
    query = "$filter=phenomenonTime ge 2026-06-02T10:00:00+02:00 and phenomenonTime lt 2026-06-02T11:00:00+02:00"
    path = f"/sta/v1.1/Datastreams(16)/Observations?{query}".replace(" ", space)
    assert len(sta.request("GET", path).json()["value"]) == 4


@pytest.fixture
def bounded(sta: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The same with bounds that are soon reached: 1000 Observations to read, 26 entities to write."""
    roomy = engine.Session

    def narrow(*args: Any, **words: Any) -> engine.Session:
        return replace(roomy(*args, **words), left_to_read=1000, left_to_write=26)

    monkeypatch.setattr("footfall_api.sta.http.Session", narrow)
    return sta


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/Observations", {"orderby": "result desc"}),
        ("/Observations", {"filter": "result gt 100000"}),
        ("/Observations", {"filter": "result ge 0", "count": "true"}),
        ("/Things", {"filter": "Datastreams/Observations/result gt 5"}),
        ("/Datastreams", {"expand": "Observations($filter=result gt 5;$count=true)"}),
    ],
)
def test_what_would_read_too_much_is_refused_with_what_to_ask(bounded: Api, path: str, asked: dict[str, str]) -> None:
    """Sorted by what has to be read, judged by what has to be read, or asked of other entities."""
    refused = get(bounded, path, **asked)
    assert refused.status_code == 400
    assert refused.json()["type"] == "urn:footfall:problem:too-much"
    assert "Observations" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("path", "filter_"),
    [
        ("/Things", "/".join(["Datastreams/ObservedProperty"] * 12) + "/Datastreams/id eq 1"),
        ("/Observations", "Datastream/Observations/result gt 5"),
        ("/Observations", "Datastream/Thing/Datastreams/Observations/result gt 5 and result gt 1"),
    ],
)
def test_paths_in_circles_are_bounded(sta: Api, path: str, filter_: str) -> None:
    """Each round multiplies what a path leads to, and takes time and memory for it."""
    refused = get(sta, path, filter=filter_)
    assert refused.status_code == 400
    assert "navigations to many" in refused.json()["detail"]


def test_what_is_arithmetic_reads_no_more_than_its_page(bounded: Api) -> None:
    """First page, last page, count, and a place in the middle, in either order."""
    for asked in ({}, {"skip": 3000}, {"orderby": "phenomenonTime desc"}, {"orderby": "id desc", "skip": 2500}):
        body = ask(bounded, "/Observations", top=20, count="true", **asked)
        assert len(body["value"]) == 20
        assert body["@iot.count"] > 3500


def test_an_answer_that_would_be_too_long_is_cut_and_goes_on(sta: Api, bounded: Api) -> None:
    """Whoever follows the links gets everything, those inside too."""
    first = ask(bounded, "/Things", expand="Datastreams($select=name)", select="name")
    assert 0 < len(first["value"]) < 4
    found = {}
    for thing in everything(bounded, "/Things", expand="Datastreams($select=name)", select="name"):
        streams = thing["Datastreams"]
        link = thing.get("Datastreams@iot.nextLink")
        while link:
            body = bounded.request("GET", link.removeprefix("http://footfall.test")).json()
            streams += body["value"]
            link = body.get("@iot.nextLink")
        found[thing["name"]] = len(streams)
    assert found == {"Markt": 12, "Kirche": 12, "Hafen": 4, "Nie": 12}


# -- publication -------------------------------------------------------------------------------------------------------


def test_what_is_not_public_is_not_here(city: City, database: str) -> None:
    """Whatever token is sent: this door is the public's."""
    populate(city)
    rules = {
        "finest": "1h",
        "delay_minutes": 120,
        "delay_reason": "Wir prüfen erst.",
        "held_back": [{"stations": ["kirche"], "reason": "Der Sensor wird geprüft."}],
    }
    settings = ApiSettings(
        database=DatabaseSettings(dsn=database), publication=PublicationSettings.model_validate(rules)
    )
    with Api(settings) as api:
        assert {one["properties"]["resolution"] for one in everything(api, "/Datastreams")} == {"1h", "1d", "1w"}
        hours = everything(api, f"/Datastreams({stream(api, 'kirche', '1h')['@iot.id']})/Observations")
        assert {(one["result"], one["parameters"]["reason"]) for one in hours} == {(None, "withheld")}
        markt = stream(api, "markt", "1h")
        assert markt["phenomenonTime"].endswith("/2026-06-10T10:00:00Z")
        assert any("Der Sensor wird geprüft." in said for said in markt["properties"]["published"])


# -- what clients send -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "number"),
    [
        # QGIS: how many, which geometries, what is in the window
        ("/Locations?$top=0&$count=true", 0),
        ("/Locations?$top=0&$count=true&$filter=location/type eq 'Point' or location/geometry/type eq 'Point'", 0),
        (("/Locations?$top=200&$count=false&$filter=(location/type eq 'Point' or location/geometry/type eq 'Point')"
         " and (geo.intersects(location, geography'Polygon ((11 50, 12 50, 12 51, 11 51, 11 50))'))"), 4),
        ("/Things?$top=200&$count=false&$expand=Locations($orderby=id desc;$top=3)", 4),
        ("/Datastreams?$top=200&$expand=Observations($orderby=phenomenonTime desc;$top=1)", 40),
        # Masterportal
        (("/Things?$filter=Datastreams/properties/layerName eq 'Anzahl_Fussgaenger_Zaehlstelle_1-Stunde'"
         "&$expand=Locations,Datastreams($filter=properties/layerName eq 'Anzahl_Fussgaenger_Zaehlstelle_1-Stunde';"
         "$expand=Observations($top=1;$orderby=phenomenonTime desc))"), 4),
        (("/Things?$expand=Locations,Datastreams/Observations($top=1;$orderby=phenomenonTime DESC),"
         "Datastreams($select=name)"), 4),
    ],
)  # fmt: skip
def test_what_known_clients_send_is_answered(sta: Api, path: str, number: int) -> None:
    """As QGIS and the Masterportal write it."""
    response = sta.request("GET", "/sta/v1.1" + path.replace(" ", "%20"))
    assert response.status_code == 200, response.text
    assert len(response.json()["value"]) == number
