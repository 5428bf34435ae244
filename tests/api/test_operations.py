"""What the operator is told: by whom it may be asked, and that it is what nodes, reports and quarantine really said."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.boxes import Boxes
from footfall_testing.city import Api, City

TOKEN = "the-operators-own-token"
PATH = "/api/v1/operations"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def basic(name: str, password: str) -> dict[str, str]:
    """The header that a browser sends."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def own(database: str) -> Iterator[Api]:
    """The API with an operator's token, at the real time: the database notes that of arrivals."""
    settings = ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(operator_token=TOKEN))
    with Api(settings) as api:
        api.now = datetime.now(UTC)
        yield api


@pytest.fixture
def boxes(database: str) -> Boxes:
    """Boxes that report into the same database."""
    return Boxes(database)


def told(api: Api) -> dict[str, Any]:
    """What the operator is told; it fits its description."""
    response = api.get(PATH, headers=BEARER)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    document = api.get("/openapi.json").json()
    schema = {"$ref": "#/components/schemas/Operations", "components": document["components"]}
    assert [error.message for error in Draft202012Validator(schema).iter_errors(found)] == []
    return found


def by(rows: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """Rows by their id."""
    return {row[name]: row for row in rows}


@pytest.mark.parametrize(
    "headers", [BEARER, basic("", TOKEN), basic("it@stadt", TOKEN)], ids=["bearer", "basic", "name"]
)
def test_the_operator_is_told(own: Api, headers: dict[str, str]) -> None:
    """The token opens it as a bearer's and as the password of any name; nobody keeps the answer."""
    response = own.get(PATH, headers=headers)

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "kind", "challenge"),
    [
        ({}, "operator-only", "Basic"),
        ({"Authorization": "Digest abc"}, "operator-only", "Basic"),
        ({"Authorization": "Bearer wrong"}, "wrong-token", "Bearer"),
        ({"Authorization": "Bearer"}, "wrong-token", "Bearer"),
        (basic("name", "wrong"), "wrong-token", "Basic"),
        (basic(TOKEN, ""), "wrong-token", "Basic"),
        ({"Authorization": f"Basic {TOKEN}"}, "wrong-token", "Basic"),
        ({"Authorization": "Basic w6Q6/w=="}, "wrong-token", "Basic"),
    ],
)
def test_nobody_else_is(own: Api, headers: dict[str, str], kind: str, challenge: str) -> None:
    """Without the token there is nothing but 401, which says how it is sent and makes a browser ask for it."""
    response = own.get(PATH, headers=headers)

    assert (response.status_code, response.json()["type"]) == (401, f"urn:footfall:problem:{kind}")
    assert response.headers["WWW-Authenticate"].startswith(challenge)
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("headers", [{}, BEARER, basic("", ""), {"Authorization": "Bearer "}])
def test_without_a_configured_token_nothing_opens_it(api: Api, headers: dict[str, str]) -> None:
    """Not even `local`: 403 and the name of the setting, and no browser asks for what does not exist."""
    response = api.get(PATH, headers=headers)

    assert (response.status_code, response.json()["type"]) == (403, "urn:footfall:problem:no-operator-token")
    assert "operator_token" in response.json()["detail"]
    assert "WWW-Authenticate" not in response.headers


def test_a_browsers_password_changes_nothing_elsewhere(city: City, own: Api) -> None:
    """A browser that knows the token sends it with every request: public answers stay the public's."""
    city.counter("markt")
    asked = {"from_": "2026-03-01", "to": "2026-03-02", "resolution": "1min"}

    assert own.get("/api/v1/stations/markt/counts", headers=basic("", TOKEN), **asked).status_code == 403
    assert own.get("/api/v1/stations", headers=basic("", "wrong")).status_code == 200


def test_an_empty_database(own: Api) -> None:
    """Nothing, and the size of the database."""
    found = told(own)

    assert (found["nodes"], found["sensors"], found["stations"], found["quarantine"]["open"]) == ([], [], [], 0)
    assert found["complete"]
    assert found["database"]["bytes"] > 1_000_000


def test_what_nodes_say_of_themselves_and_their_sensors(own: Api, city: City, boxes: Boxes) -> None:
    """Status, health with all counters, the last report, and how much of the last day and week was measured."""
    city.counter("markt")
    now = own.now.replace(second=0, microsecond=0)
    boxes.status("nord", since=now - timedelta(days=3))
    boxes.status("sued", "offline", since=now - timedelta(days=9), at=now - timedelta(hours=2))
    boxes.health("nord", "markt-1", detail="firmware 7", waiting_slots=4)
    boxes.report("nord", "markt-1", now - timedelta(hours=12), 12 * 60)
    found = told(own)

    nodes = by(found["nodes"], "node")
    assert nodes["nord"]["state"] == "online"
    assert datetime.fromisoformat(nodes["nord"]["started"]) == now - timedelta(days=3)
    assert nodes["sued"]["state"] == "offline"
    assert datetime.fromisoformat(nodes["sued"]["seen"]) == now - timedelta(hours=2)
    (sensor,) = found["sensors"]
    assert (sensor["sensor"], sensor["node"], sensor["station"], sensor["role"]) == ("markt-1", "nord", "markt", "part")
    health = sensor["health"]
    assert (health["state"], health["frames"], health["bad_frames"]) == ("ok", 8640, 2)
    assert (health["skipped_bytes"], health["restarts"]) == (31, 0)
    assert (health["waiting_slots"], health["detail"]) == (4, "firmware 7")
    assert datetime.fromisoformat(sensor["measured_until"]) == now
    assert abs(datetime.fromisoformat(sensor["last_report"]) - own.now) < timedelta(minutes=5)
    (station,) = found["stations"]
    assert station["sensors"] == ["markt-1"]
    for row in (sensor, station):
        # Two minutes are still on their way, one may just be running.
        assert row["coverage_24h"] == pytest.approx(0.5, abs=0.003)
        assert row["coverage_7d"] == pytest.approx(0.5 / 7, abs=0.0005)


def test_coverage_is_that_of_the_counts(own: Api, city: City) -> None:
    """Parts are weighed by their time at the station, a reference is not part of it, excluded time is not measured."""
    key = city.counter("markt")
    second, reference = city.sensor("markt-2"), city.sensor("markt-r")
    end = own.now.replace(second=0, microsecond=0) - timedelta(minutes=2)
    city.install(second, "markt", end - timedelta(hours=12))
    city.install(reference, "markt", role="reference")
    for sensor in (key, second):
        city.minutes(sensor, end - timedelta(hours=24), 24 * 60)
    city.exclude(end - timedelta(hours=6), end, sensor=key)
    found = told(own)
    sensors = by(found["sensors"], "sensor")

    assert sensors["markt-1"]["coverage_24h"] == 0.75
    assert sensors["markt-2"]["coverage_24h"] == 1.0
    assert sensors["markt-r"]["coverage_24h"] == 0.0
    assert found["stations"][0]["coverage_24h"] == pytest.approx(30 / 36, abs=1e-4)


def test_which_sensors_are_named(own: Api, city: City, boxes: Boxes) -> None:
    """Those that hang somewhere, and of the others those that were heard of lately; a station may have none."""
    city.receive(city.counter("markt"))  # imported: nobody's report
    city.station("leer")
    old = city.sensor("ausgebaut-1")
    city.install(old, "leer", LONG_AGO, LONG_AGO + timedelta(days=9))
    boxes.report("nord", "fremd-1", own.now - timedelta(minutes=2))
    boxes.health("nord", "stumm-1", "silent", last_frame=None)
    boxes.health("nord", "vorbei-1", at=own.now - timedelta(days=8))
    found = told(own)

    sensors = by(found["sensors"], "sensor")
    assert sorted(sensors) == ["fremd-1", "markt-1", "stumm-1"]
    assert (sensors["fremd-1"]["station"], sensors["fremd-1"]["health"]) == (None, None)
    assert sensors["markt-1"]["last_report"] is None
    assert sensors["stumm-1"]["health"]["last_frame"] is None
    assert by(found["stations"], "station")["leer"] == {
        "station": "leer", "name": "Leer", "timezone": "Europe/Berlin", "sensors": [],
        "coverage_24h": None, "coverage_7d": None,
    }  # fmt: skip


def test_the_health_is_that_of_the_node_the_sensor_belongs_to(own: Api, boxes: Boxes) -> None:
    """A second box that also speaks of the sensor, and later, does not take its place."""
    boxes.report("nord", "markt-1", own.now - timedelta(minutes=2))
    boxes.health("nord", "markt-1", "ok")
    boxes.health("sued", "markt-1", "fault")

    (sensor,) = told(own)["sensors"]
    assert (sensor["node"], sensor["health"]["state"]) == ("nord", "ok")


def test_no_other_box_makes_a_sensor_look_alive(own: Api, boxes: Boxes, database: str) -> None:
    """What one says, and sends, in the name of another's sensor is neither its health nor its last report.

    Of a sensor that is nobody's whoever speaks is heard; so is a box that had it before.
    """
    boxes.report("nord", "markt-1", own.now - timedelta(days=2))
    boxes.report("alt", "holz-1", datetime(1970, 1, 2, tzinfo=UTC))
    boxes.report("nord", "gasse-1", own.now - timedelta(days=2))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE stream SET touched = now() - interval '2 days' WHERE node = 'nord'")
        connection.execute("INSERT INTO sensor_node SELECT key, 'neu', now() FROM sensor WHERE id = 'gasse-1'")
    assert boxes.report("sued", "markt-1", own.now - timedelta(minutes=9)).quarantined == {"wrong-node": 1}
    boxes.health("sued", "markt-1", "ok")
    found = by(told(own)["sensors"], "sensor")

    for sensor in ("markt-1", "gasse-1"):
        assert own.now - datetime.fromisoformat(found[sensor]["last_report"]) > timedelta(days=1)
    assert (found["markt-1"]["node"], found["markt-1"]["health"]) == ("nord", None)
    assert own.now - datetime.fromisoformat(found["holz-1"]["last_report"]) < timedelta(minutes=5)


def test_what_was_refused_of_a_node(own: Api, city: City) -> None:
    """By node and budget, over seven days; what is longer ago, and what was merely used, is not told."""
    city.connection.execute(
        """
        INSERT INTO node_day (node, day, what, used, refused, refused_last)
        SELECT node, (now() AT TIME ZONE 'UTC')::date - ago, what, 5, refused, now() - ago * interval '1 day'
        FROM (VALUES ('bad', 0, 'streams', 3), ('bad', 6, 'streams', 4), ('bad', 7, 'streams', 8),
            ('', 1, 'quarantine', 2), ('good', 0, 'rows', 0)) AS told (node, ago, what, refused)
        """
    )
    found = told(own)["refused"]

    assert [(row["node"], row["budget"], row["messages"]) for row in found] == [
        (None, "quarantine", 2),
        ("bad", "streams", 7),
    ]
    assert own.now - datetime.fromisoformat(found[1]["last"]) < timedelta(minutes=5)


def test_a_node_whose_clock_is_not_set_says_no_times(own: Api, boxes: Boxes) -> None:
    """0 stands for not known and is no day in 1970."""
    boxes.health("nord", "markt-1", since=0, last_frame=None)

    (sensor,) = told(own)["sensors"]
    assert sensor["health"]["since"] is None


def test_what_lies_in_quarantine(own: Api, boxes: Boxes, database: str) -> None:
    """How much for which reason, the newest one by one, and whose clock may be wrong; what was closed is not there."""
    now = own.now
    assert boxes.report("nord", "markt-1", now - timedelta(minutes=9)).stored == 1
    assert boxes.report("sued", "markt-1", now - timedelta(minutes=8)).quarantined == {"wrong-node": 1}
    assert boxes.report("nord", "markt-1", now + timedelta(days=1)).quarantined == {"impossible": 1}
    assert boxes.report("alt", "holz-1", datetime(1970, 1, 2, tzinfo=UTC)).quarantined == {"too-old": 1}
    for _ in range(2):
        boxes.raw("nord", "markt-1", b"this is no report")
    boxes.raw("nord", "markt-1", b"nor is this")
    found = told(own)["quarantine"]

    assert found["open"] == 5
    reasons = {row["reason"]: (row["messages"], row["times"]) for row in found["reasons"]}
    assert reasons == {"unreadable": (2, 3), "wrong-node": (1, 1), "impossible": (1, 1), "too-old": (1, 1)}
    assert {row["node"]: row["messages"] for row in found["wrong_clocks"]} == {"nord": 1, "alt": 1}
    assert found["newest"][0]["reason"] == "unreadable"
    assert {"wrong-node", "too-old"} <= {row["reason"] for row in found["newest"]}
    assert "no report" not in str(found), "what was sent is nobody's answer"

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE quarantine SET closed_at = now()")
    assert told(own)["quarantine"] == {"open": 0, "reasons": [], "wrong_clocks": [], "newest": []}


def test_hours_that_are_not_summed_up(own: Api, city: City) -> None:
    """Those that ended more than an hour ago are counted, with the oldest; the running one is nobody's fault."""
    key = city.counter("markt")
    hour = own.now.replace(minute=0, second=0, microsecond=0)
    city.minutes(key, hour - timedelta(hours=5), 60)
    city.minutes(key, hour, 1)
    found = told(own)["database"]

    assert found["hours_to_sum_up"] == 1
    assert datetime.fromisoformat(found["oldest_hour_to_sum_up"]) == hour - timedelta(hours=5)


def test_lists_have_an_end(own: Api, city: City) -> None:
    """More nodes and sensors than anybody reads are cut, and the answer says so; of messages the newest are shown."""
    city.connection.execute(
        "INSERT INTO node_state SELECT 'node-' || n, 'online', '1', now(), now() FROM generate_series(1, 1001) n"
    )
    city.connection.execute(
        "INSERT INTO quarantine (reason, detail, payload, content, first_seen, last_seen) "
        "SELECT 'unreadable', '…', int4send(n), sha256(int4send(n)), now(), now() FROM generate_series(1, 50) n"
    )
    found = told(own)

    assert not found["complete"]
    assert len(found["nodes"]) == 1000
    assert found["quarantine"]["open"] == 50
    assert len(found["quarantine"]["newest"]) == 20
