"""What the operator's port tells Prometheus of the installation: what the database says, and little trouble for it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from prometheus_client import generate_latest
from psycopg.conninfo import make_conninfo

from footfall_api import watched
from footfall_api.cli import registries_of
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_api.watched import READ_EVERY_S, Reading, StateCollector, registry_of
from footfall_demo.ports import free_port
from footfall_testing.boxes import Boxes
from footfall_testing.city import Api, City
from footfall_testing.waiting import wait_until
from footfall_testing.watched import Samples, samples_of

TOKEN = "the-operators-own-token"


@pytest.fixture
def own(database: str) -> Iterator[Api]:
    """The API at the real time, with one station held back; the database notes the time of arrivals."""
    settings = ApiSettings.model_validate(
        {
            "database": DatabaseSettings(dsn=database),
            "public": PublicSettings(operator_token=TOKEN),
            "publication": {"held_back": [{"stations": ["saal"], "reason": "Wird geprüft."}]},
        }
    )
    with Api(settings) as api:
        api.now = datetime.now(UTC)
        yield api


@pytest.fixture
def boxes(database: str) -> Boxes:
    """Boxes that report into the same database."""
    return Boxes(database)


def told(api: Api) -> Samples:
    """What the operator's port says."""
    pages = [generate_latest(registry).decode() for registry in registries_of(api.app)]
    return samples_of("".join(pages))


def one(samples: Samples, name: str, **labels: str) -> float | None:
    """The one sample with these labels; None: there is none."""
    found = [value for names, value in samples[name] if labels.items() <= names.items()]
    assert len(found) <= 1
    return found[0] if found else None


def s(moment: str | None) -> float | None:
    """Unix seconds of a moment."""
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def test_it_is_what_the_operations_say(own: Api, city: City, boxes: Boxes) -> None:
    """Every number that both have is the same in both."""
    city.counter("markt")
    city.counter("saal")
    now = own.now.replace(second=0, microsecond=0)
    boxes.status("nord", since=now - timedelta(days=3))
    boxes.status("sued", "offline", at=now - timedelta(hours=2))
    boxes.health("nord", "markt-1", "silent", waiting_slots=4)
    boxes.health("sued", "saal-1", at=now - timedelta(hours=3))
    boxes.report("nord", "markt-1", now - timedelta(hours=12), 12 * 60)
    boxes.report("sued", "saal-1", now - timedelta(hours=30), 60)
    boxes.raw("nord", "markt-1", b"hello")
    boxes.report("nord", "markt-1", now + timedelta(days=1))
    said = own.get("/api/v1/operations", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    found = told(own)

    for node in said["nodes"]:
        assert one(found, "footfall_node_online", node=node["node"]) == (node["state"] == "online")
        assert one(found, "footfall_node_info", node=node["node"], version=node["version"]) == 1
        assert one(found, "footfall_node_sensors", node=node["node"]) == 1
    for sensor in said["sensors"]:
        names = {"sensor": sensor["sensor"], "station": sensor["station"], "node": sensor["node"]}
        for state in ("ok", "silent", "fault"):
            expected = sensor["health"]["state"] == state
            assert one(found, "footfall_sensor_state", state=state, **names) == expected
        for name, value in (
            ("state_since_timestamp_seconds", s(sensor["health"]["since"])),
            ("waiting_slots", sensor["health"]["waiting_slots"]),
            ("last_report_timestamp_seconds", s(sensor["last_report"])),
            ("measured_until_timestamp_seconds", s(sensor["measured_until"])),
        ):
            assert one(found, f"footfall_sensor_{name}", **names) == value
    for station in said["stations"]:
        assert one(found, "footfall_station_coverage_ratio", station=station["station"]) == station["coverage_24h"]
    assert sum(value for _, value in found["footfall_quarantine_open_messages"]) == said["quarantine"]["open"] == 2
    assert one(found, "footfall_quarantine_open_messages", node="nord", reason="unreadable") == 1
    assert one(found, "footfall_quarantine_open_messages", node="nord", reason="impossible") == 1
    assert one(found, "footfall_newest_minute_timestamp_seconds") == now.timestamp()
    assert one(found, "footfall_hourly_sums_waiting") == said["database"]["hours_to_sum_up"] > 0
    oldest = s(said["database"]["oldest_hour_to_sum_up"])
    assert one(found, "footfall_hourly_sums_oldest_timestamp_seconds") == oldest
    assert one(found, "footfall_state_read_failed") == 0
    assert one(found, "footfall_state_complete") == 1
    connections = one(found, "footfall_database_server_connections")
    assert connections is not None
    assert 1 <= connections < (one(found, "footfall_database_server_connections_limit") or 0)


def test_coverage_is_that_of_the_counts(own: Api, city: City) -> None:
    """Of the 24 hours up to two minutes ago, also where a sensor came later."""
    now = own.now.replace(second=0, microsecond=0)
    city.minutes(city.counter("markt"), now - timedelta(hours=30), 24 * 60, {0: 1})
    city.station("neu")
    new = city.sensor("neu-1")
    city.install(new, "neu", now - timedelta(hours=4))
    city.minutes(new, now - timedelta(hours=4), 120)
    settings = own.app.state.settings.model_copy(update={"public": PublicSettings(local=True)})
    end = own.now - timedelta(minutes=2)
    end = end.replace(second=0, microsecond=0)

    with Api(settings) as everybody:
        everybody.now = own.now
        for station in ("markt", "neu"):
            values = everybody.counts(
                station, from_=(end - timedelta(days=1)).isoformat(), to=end.isoformat(), resolution="1min"
            )
            shares = [value["coverage"] for value in values if value["coverage"] is not None]
            expected = sum(shares) / len(shares)
            assert one(told(own), "footfall_station_coverage_ratio", station=station) == pytest.approx(
                expected, abs=1e-4
            )


def test_when_somebody_last_passed(own: Api, city: City) -> None:
    """By minutes and by spans; who never counted anybody says nothing."""
    now = own.now.replace(second=0, microsecond=0)
    by_minute, by_span, never = city.counter("minute"), city.counter("span"), city.counter("never")
    city.minutes(by_minute, now - timedelta(hours=5), 10, {0: 1})
    city.minutes(by_minute, now - timedelta(hours=4), 200)
    city.span(by_span, now - timedelta(hours=3), now - timedelta(hours=2), {1: 4})
    city.minutes(never, now - timedelta(hours=1), 50)
    found = told(own)

    name = "footfall_sensor_last_passage_timestamp_seconds"
    assert one(found, name, sensor="minute-1") == (now - timedelta(hours=5) + timedelta(minutes=10)).timestamp()
    assert one(found, name, sensor="span-1") == (now - timedelta(hours=2)).timestamp()
    assert one(found, name, sensor="never-1") is None


def test_a_nodes_last_word_is_whatever_came_last(own: Api, city: City, boxes: Boxes) -> None:
    """Its status, a sensor's health, or a report."""
    city.counter("markt")
    now = datetime.now(UTC).replace(microsecond=0)
    name = "footfall_node_last_word_timestamp_seconds"
    boxes.status("nord", at=now - timedelta(hours=5))
    assert one(told(own), name, node="nord") == (now - timedelta(hours=5)).timestamp()
    boxes.health("nord", "markt-1", at=now - timedelta(hours=4))
    assert one(told(own), name, node="nord") == (now - timedelta(hours=4)).timestamp()
    boxes.report("nord", "markt-1", now - timedelta(hours=3))
    assert (one(told(own), name, node="nord") or 0) >= now.timestamp() - 60


def test_a_node_without_the_time_is_told(own: Api, city: City, boxes: Boxes) -> None:
    """It cannot say since when a sensor is as it is; and one with nothing installed is not in use."""
    city.counter("markt")
    boxes.status("nord")
    boxes.health("nord", "markt-1", since=0)
    boxes.status("lager")
    boxes.health("lager", "ersatz-1")
    found = told(own)

    assert one(found, "footfall_node_clock_trusted", node="nord") == 0
    assert one(found, "footfall_node_clock_trusted", node="lager") == 1
    assert one(found, "footfall_node_sensors", node="lager") == 0
    assert one(found, "footfall_sensor_state", sensor="ersatz-1", station="", state="ok") == 1


def test_the_hour_is_the_stations_own(own: Api, city: City) -> None:
    """And of now, however old what was read is."""
    city.station("jena")
    city.station("tokio", timezone="Asia/Tokyo")
    own.now = datetime(2026, 7, 1, 20, 30, tzinfo=UTC)
    registry = registry_of(own.app.state.settings.database, lambda: own.now)

    def hours() -> list[float | None]:
        said = samples_of(generate_latest(registry).decode())
        return [one(said, "footfall_station_local_hour", station=name) for name in ("jena", "tokio")]

    assert hours() == [22, 5]
    own.now += timedelta(hours=2)
    assert hours() == [0, 7]


def test_nothing_of_it_is_on_the_port_for_everybody(own: Api, city: City, boxes: Boxes) -> None:
    """No box, no sensor, no station, no version; and so nothing of a station that is held back."""
    city.counter("saal")
    boxes.status("nord")
    boxes.report("nord", "saal-1", own.now - timedelta(hours=12), 60)
    public = own.figures()

    assert one(told(own), "footfall_station_coverage_ratio", station="saal") is not None
    for word in ("saal", "nord", "1.2.3", "footfall_node", "footfall_sensor", "footfall_station", "footfall_state"):
        assert word not in public


def test_a_reader_of_footfall_api_may_ask(city: City, boxes: Boxes, database: str) -> None:
    """The account of the API has no more rights than its role."""
    city.counter("markt")
    boxes.status("nord")
    boxes.raw("nord", "markt-1", b"hello")
    dsn = make_conninfo(database, options="-c role=footfall_api")
    found = samples_of(generate_latest(registry_of(DatabaseSettings(dsn=dsn), lambda: datetime.now(UTC))).decode())

    assert one(found, "footfall_state_read_failed") == 0
    assert one(found, "footfall_quarantine_open_messages", node="nord") == 1


# -- how the database is asked -----------------------------------------------------------------------------------------


class Source:
    """Stands for the database: counts how often it is asked, and fails when it is told to."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.asked = 0
        self.fault: Exception | None = None
        self.now_s = 1000.0
        self.gate = threading.Event()
        self.gate.set()

    def read(self) -> Reading:
        self.asked += 1
        assert self.gate.wait(20)
        if self.fault is not None:
            raise self.fault
        return self.reading

    def collector(self) -> StateCollector:
        return StateCollector(self.read, lambda: datetime.now(UTC), lambda: self.now_s)


def says(collector: StateCollector) -> Samples:
    """What a collector says."""
    return {family.name: [(sample.labels, sample.value) for sample in family.samples] for family in collector.collect()}


@pytest.fixture
def source(database: str) -> Source:
    """With what an empty database says."""
    reading = asyncio.run(watched._read(DatabaseSettings(dsn=database), datetime.now(UTC)))
    return Source(reading)


def test_the_database_is_asked_now_and_then(source: Source) -> None:
    """However often Prometheus asks."""
    collector = source.collector()
    for step_s, asked in ((0, 1), (1, 1), (READ_EVERY_S - 2, 1), (1, 2), (5, 2), (READ_EVERY_S, 3)):
        source.now_s += step_s
        says(collector)
        assert source.asked == asked


def test_one_question_at_a_time(source: Source) -> None:
    """Whoever asks meanwhile waits for the same answer."""
    collector = source.collector()
    source.gate.clear()
    answers: list[Samples] = []
    threads = [threading.Thread(target=lambda: answers.append(says(collector))) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: source.asked, what="the first question")
    source.gate.set()
    for thread in threads:
        thread.join(20)

    assert source.asked == 1
    assert [one(answer, "footfall_state_read_failed") for answer in answers] == [0] * 4


def test_while_the_database_is_away_the_last_stays(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """And it is said that it is old; the log says why, once. When it is back all is fresh."""
    collector = source.collector()
    fresh = says(collector)
    source.fault = psycopg.OperationalError("no route to host")
    for _ in range(3):
        source.now_s += READ_EVERY_S
        stale = says(collector)

    assert one(stale, "footfall_state_read_failed") == 1
    assert stale["footfall_state_read_timestamp_seconds"] == fresh["footfall_state_read_timestamp_seconds"]
    assert stale["footfall_database_bytes"] == fresh["footfall_database_bytes"]
    assert caplog.text.count("no route to host") == 1
    source.fault = None
    assert one(says(collector), "footfall_state_read_failed") == 1, "not asked again yet"
    source.now_s += READ_EVERY_S
    assert one(says(collector), "footfall_state_read_failed") == 0


def test_a_fault_of_ours_takes_no_other_metric_with_it(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it is."""
    collector = source.collector()
    source.fault = KeyError("state")

    assert says(collector) == {"footfall_state_read_failed": [({}, 1)]}
    assert "KeyError" in caplog.text


def test_a_database_that_was_never_there(caplog: pytest.LogCaptureFixture) -> None:
    """The port answers with all that needs no database."""
    settings = ApiSettings(database=DatabaseSettings(dsn=f"postgresql://127.0.0.1:{free_port()}/nirgends"))
    with Api(settings) as api:
        found = told(api)

    assert one(found, "footfall_state_read_failed") == 1
    assert "footfall_live_clients" in found
    assert "footfall_node_online" not in found
    assert "the state of the installation could not be read" in caplog.text


def test_a_database_that_does_not_answer_is_given_up(
    city: City, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody holds a table; Prometheus gets its page all the same."""
    monkeypatch.setattr(watched, "ANSWER_WITHIN_S", 0.5)
    registry = registry_of(DatabaseSettings(dsn=database), lambda: datetime.now(UTC))
    with psycopg.connect(database) as holding:
        holding.execute("LOCK TABLE node_state IN ACCESS EXCLUSIVE MODE")
        found: Any = samples_of(generate_latest(registry).decode())

    assert one(found, "footfall_state_read_failed") == 1
    assert "did not answer within 0.5 s" in caplog.text
    assert json.dumps(city.connection.execute("SELECT count(*) FROM node_state").fetchone()) == "[0]"
