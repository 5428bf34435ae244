"""The public topics of MQTT: what is retained there is what the API says, whatever happens to broker and database."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker

from footfall_api import cli
from footfall_api.database import new_pool
from footfall_api.public_mqtt import QOS, changes, read_messages, status_topic, topic_of
from footfall_api.publication import rules_of_doors
from footfall_api.settings import ApiSettings
from footfall_contract import __version__
from footfall_contract.words import ID_PATTERN
from footfall_demo.broker import Broker, find_mosquitto
from footfall_role.settings import SettingsError
from footfall_testing.city import NOW, Api, City
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "api" / "footfall_api" / "schema"


def validator(name: str) -> Draft7Validator:
    """The schema that is shipped."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=FormatChecker())


INTERVAL = validator("public-interval")


def messages(database: str, now: datetime = NOW, **sections: Any) -> tuple[dict[str, dict[str, Any]], float]:
    """What is to be retained at a time, by the topic after the prefix, and when to look again."""
    settings = ApiSettings.model_validate({"database": {"dsn": database}, **sections})

    async def read() -> tuple[dict[str, bytes], float]:
        async with new_pool(settings.database) as pool:
            return await read_messages(pool, settings, rules_of_doors(settings), now)

    found, wait_s = asyncio.run(read())
    written = {topic.removeprefix("footfall/public/v1/"): json.loads(payload) for topic, payload in found.items()}
    for message in written.values():
        assert [error.message for error in INTERVAL.iter_errors(message)] == []
    return written, wait_s


@pytest.fixture
def town(city: City) -> City:
    """Three stations: one that counted all the time, one that fell silent, one that tells no directions apart."""
    city.minutes(city.counter("markt"), NOW - timedelta(hours=2), 120, {0: 1, 1: 2})
    city.minutes(city.counter("saal"), NOW - timedelta(hours=2), 30, {0: 4})
    city.minutes(city.counter("kirche", directions=(2,)), NOW - timedelta(hours=2), 120, {2: 3})
    return city


def test_messages_are_what_the_api_says(town: City, database: str, public_api: Api) -> None:
    """The last interval that is over: numbers by direction, and all that stands beside a number in the API."""
    found, _ = messages(database, NOW + timedelta(seconds=90))
    public_api.now = NOW + timedelta(seconds=90)

    assert [*found] == ["kirche/15min", "markt/15min", "saal/15min"]
    for message in found.values():
        asked = {"from_": message["start"], "to": message["end"], "resolution": "15min"}
        (value,) = public_api.counts(message["station"], **asked)
        split = public_api.counts(message["station"], **asked, split="direction")
        assert {name: message[name] for name in ("start", "end", "count", "coverage", "state", "reason", "final")} == {
            name: value[name] for name in ("start", "end", "count", "coverage", "state", "reason", "final")
        }
        by_direction = {part["direction"]: part["count"] for part in split}
        for word in ("in", "out", "undirected"):
            assert message[word] == by_direction.get(word)
    assert found["markt/15min"] == {
        "station": "markt", "name": "Markt", "start": "2026-06-10T13:45:00+02:00", "end": "2026-06-10T14:00:00+02:00",
        "unit": "passages", "in": 15, "out": 30, "undirected": None, "count": 45, "coverage": 1.0, "state": "measured",
        "reason": None, "final": True, "licence": "Datenlizenz Deutschland – Zero – Version 2.0", "attribution": "Jena",
    }  # fmt: skip
    assert (found["saal/15min"]["count"], found["saal/15min"]["reason"]) == (None, "not_reported")


def test_an_interval_waits_for_its_reports(town: City, database: str) -> None:
    """One that is whole is there at its end; another has 90 seconds, and the one before stays until then."""
    found, wait_s = messages(database, NOW + timedelta(seconds=10))
    assert (found["markt/15min"]["end"], found["saal/15min"]["end"]) == (
        "2026-06-10T14:00:00+02:00", "2026-06-10T13:45:00+02:00"
    )  # fmt: skip
    assert wait_s == 60
    assert messages(database, NOW + timedelta(seconds=80))[1] == 10
    late, wait_s = messages(database, NOW + timedelta(seconds=90))
    assert late["saal/15min"]["end"] == "2026-06-10T14:00:00+02:00"
    assert wait_s == 60
    assert messages(database, NOW + timedelta(seconds=870.5))[1] == 29.5


def test_what_is_held_back_has_no_number(town: City, database: str) -> None:
    """And what is delayed is of then; it is looked at again when more is public."""
    publication = {
        "held_back": [{"stations": ["markt"], "reason": "geprüft"}], "delay_minutes": 30, "delay_reason": "So ist es.",
    }  # fmt: skip
    found, _ = messages(database, NOW + timedelta(minutes=14, seconds=55), publication=publication)

    assert found["kirche/15min"]["end"] == "2026-06-10T13:30:00+02:00"
    assert (found["kirche/15min"]["count"], found["kirche/15min"]["undirected"]) == (45, 45)
    markt = found["markt/15min"]
    assert (markt["state"], markt["reason"], markt["count"], markt["coverage"]) == ("missing", "withheld", None, None)
    assert messages(database, NOW + timedelta(minutes=14, seconds=55), publication=publication)[1] == 5
    lifted, _ = messages(database, NOW, publication=publication, public={"local": True})
    assert lifted["markt/15min"]["count"] == 45


def test_the_finest_public_interval_names_the_topic(town: City, database: str) -> None:
    """Hours where nothing finer is public."""
    found, _ = messages(database, publication={"finest": "1h", "recent": "1h"})

    assert found["markt/1h"]["count"] == 180
    assert {topic.partition("/")[2] for topic in found} == {"1h"}


PAYLOADS = st.dictionaries(st.sampled_from(["p/a/15min", "p/b/15min", "p/c/1h"]), st.sampled_from([b"1", b"2", b"3"]))


@hypothesis.given(PAYLOADS, PAYLOADS)
def test_what_is_sent_makes_the_broker_hold_what_is_wanted(wanted: dict[str, bytes], held: dict[str, bytes]) -> None:
    """An empty message removes, any other replaces; and nothing is sent that the broker has."""
    sent = changes(wanted, held)

    assert {topic: payload for topic, payload in {**held, **sent}.items() if payload} == wanted
    assert [topic for topic, payload in sent.items() if held.get(topic) == payload] == []
    assert changes(wanted, wanted) == {}


def test_it_is_off_until_it_is_switched_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody publishes by accident; how to do it on purpose is said."""
    (tmp_path / "api.toml").write_text("")

    assert cli.run(["--config", str(tmp_path / "api.toml"), "publish-mqtt"]) == 78
    assert "set enabled = true in [publish_mqtt]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "prefix", ["", "/a", "a/", "a//b", "a/+/b", "#", "a b", "$SYS/x", "footfall/v1", "footfall/v1/x"]
)
def test_a_prefix_that_is_no_topic_is_refused(tmp_path: Path, prefix: str) -> None:
    """Nor one where the nodes speak."""
    (tmp_path / "api.toml").write_text(f'[publish_mqtt]\nprefix = "{prefix}"\n')

    with pytest.raises(SettingsError, match=r"publish_mqtt.prefix: must"):
        ApiSettings.load(tmp_path / "api.toml")


# The program itself, with a real broker.


def quarter() -> datetime:
    """The beginning of the running quarter of an hour."""
    now = datetime.now(UTC)
    return now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)


class Publishing:
    """``footfall-api publish-mqtt`` as a process."""

    def __init__(self, database: str, broker: Broker, prefix: str, folder: Path, more: str = "") -> None:
        self.config = folder / f"{secrets.token_hex(4)}.toml"
        self.config.write_text(
            f'[database]\ndsn = "{database}"\n[publish_mqtt]\nenabled = true\nprefix = "{prefix}"\n'
            f'host = "{broker.host}"\nport = {broker.port}\nkeepalive_s = 5\n{more}'
        )
        self.log = self.config.with_suffix(".log")

    def __enter__(self) -> "Publishing":  # noqa: PYI034
        words = [sys.executable, "-m", "footfall_api", "--config", str(self.config), "publish-mqtt"]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(words, env=clean, stderr=file)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                assert self.process.wait(20) == 0
            finally:
                self.process.kill()
                self.process.wait()
        assert "Traceback" not in self.log.read_text()


@pytest.fixture
def prefix(unique: str) -> str:
    """Topics that no other test has."""
    return f"footfall/{unique}"


@pytest.fixture
def own_broker(open_folder: Path) -> Iterator[Broker]:
    """A mosquitto that the test may end, and that forgets everything then."""
    if not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    with Broker(open_folder / f"mosquitto-{secrets.token_hex(4)}", kind="mosquitto") as broker:
        yield broker


@pytest.fixture
def running_town(city: City) -> City:
    """Two stations that have counted up to the running quarter of an hour."""
    for n, name in enumerate(("markt", "saal")):
        city.minutes(city.counter(name), quarter() - timedelta(hours=1), 75, {0: n + 1, 1: 1})
    return city


def retained(broker: Broker, prefix: str) -> dict[str, dict[str, Any]]:
    """What somebody who subscribes now gets at once, by the topic after the prefix."""
    with TestClient(broker, f"reader-{secrets.token_hex(4)}", [f"{prefix}/#"]) as client:
        # The broker sends what it retains before anything that is published after the subscription.
        marker = f"{prefix}-marker/{secrets.token_hex(4)}"
        client._client.subscribe(marker, 1)
        client.publish([(marker, b"{}")])
        client.wait_for(marker)
        return {
            topic.removeprefix(f"{prefix}/"): json.loads(payload)
            for topic, payload in client.heard.items()
            if topic.startswith(f"{prefix}/") and payload  # an empty one: it was just removed
        }


def stations_of(broker: Broker, prefix: str) -> dict[str, dict[str, Any]]:
    return {topic: message for topic, message in retained(broker, prefix).items() if topic != "status"}


def test_the_last_interval_is_retained(  # noqa: PLR0917  # as many as the thing has parts
    running_town: City, database: str, mosquitto: Broker, prefix: str, tmp_path: Path, public_api: Api
) -> None:
    """Whoever subscribes has it at once, with the API's numbers; the status says that somebody publishes."""
    with Publishing(database, mosquitto, prefix, tmp_path):
        wait_until(lambda: len(retained(mosquitto, prefix)) == 3, what="messages", timeout=40)
        found = retained(mosquitto, prefix)

    public_api.now = datetime.now(UTC)
    assert found["status"]["state"] == "online"
    for station in ("markt", "saal"):
        message = found[f"{station}/15min"]
        assert [error.message for error in INTERVAL.iter_errors(message)] == []
        asked = {"from_": message["start"], "to": message["end"], "resolution": "15min"}
        (value,) = public_api.counts(station, **asked)
        assert (message["count"], message["state"], message["final"]) == (value["count"], value["state"], True)
        assert message["in"] + message["out"] == message["count"] > 0
        assert datetime.now(UTC) - datetime.fromisoformat(message["end"]) < timedelta(minutes=17)


def test_late_reports_are_published_with_their_commit(
    running_town: City, database: str, mosquitto: Broker, prefix: str, tmp_path: Path
) -> None:
    """While the interval is the last: the same one again, with its new number."""
    with (
        TestClient(mosquitto, f"{prefix[9:]}-reader", [f"{prefix}/+/+"]) as client,
        Publishing(database, mosquitto, prefix, tmp_path),
    ):
        first = json.loads(client.wait_for(f"{prefix}/markt/15min"))
        client.wait_for(f"{prefix}/saal/15min")
        running_town.connection.execute("UPDATE count_minute SET count = count + 5 WHERE sensor = 1 AND direction = 0")
        running_town.receive(1)
        wait_until(lambda: json.loads(client.heard[f"{prefix}/markt/15min"]) != first, what="the correction")
        second = json.loads(client.heard[f"{prefix}/markt/15min"])

    assert second["count"] == first["count"] + 15 * 5 or second["start"] != first["start"]
    assert second["in"] - first["in"] == 75 or second["start"] != first["start"]
    changed = [json.loads(payload) for topic, payload in client.history if topic == f"{prefix}/saal/15min"]
    assert len({json.dumps(message) for message in changed}) == len(changed), "nothing is published twice"


def test_what_is_gone_is_removed(
    running_town: City, database: str, mosquitto: Broker, prefix: str, tmp_path: Path
) -> None:
    """A station that goes; and at the start what an earlier process left of others. What is not ours stays."""
    left = [(f"{prefix}/gone/15min", b'{"old": 1}'), (f"{prefix}/markt/1h", b'{"old": 1}')]
    foreign = [(f"{prefix}/markt/15min/x", b'{"foreign": 1}'), (f"{prefix}x/gone/15min", b'{"foreign": 1}')]
    with TestClient(mosquitto, f"{prefix[9:]}-writer") as client:
        client.publish([*left, *foreign], retain=True)
        with Publishing(database, mosquitto, prefix, tmp_path):
            wait_until(
                lambda: {*stations_of(mosquitto, prefix)} == {"markt/15min", "saal/15min", "markt/15min/x"},
                what="only what there is", timeout=40,
            )  # fmt: skip
            running_town.connection.execute("DELETE FROM installation WHERE station = 'saal'")
            running_town.connection.execute("DELETE FROM station WHERE id = 'saal'")
            running_town.connection.execute("NOTIFY footfall_commit")
            wait_until(
                lambda: {*stations_of(mosquitto, prefix)} == {"markt/15min", "markt/15min/x"}, what="one station less"
            )
        assert stations_of(mosquitto, f"{prefix}x") == {"gone/15min": {"foreign": 1}}
        client.publish([(topic, b"") for topic, _ in (*left, *foreign)], retain=True)


def test_a_broker_that_forgot_everything_gets_it_again(
    running_town: City, database: str, own_broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """It was killed and comes back empty; also if it was not there at the start."""
    own_broker.command()
    own_broker.kill()
    with Publishing(database, own_broker, prefix, tmp_path) as publishing:
        wait_until(lambda: "no connection to the broker" in publishing.log.read_text(), what="a try", timeout=40)
        for _ in range(2):
            own_broker.start()
            wait_until(
                lambda: {*retained(own_broker, prefix)} == {"markt/15min", "saal/15min", "status"},
                what="everything again", timeout=60,
            )  # fmt: skip
            own_broker.kill()
        own_broker.start()
        wait_until(lambda: len(retained(own_broker, prefix)) == 3, what="everything once more", timeout=60)


def test_a_database_that_broke_the_connections_is_asked_again(
    running_town: City, database: str, mosquitto: Broker, prefix: str, tmp_path: Path
) -> None:
    """Both for the counts and for hearing of commits."""
    topic = f"{prefix}/markt/15min"
    with (
        TestClient(mosquitto, f"{prefix[9:]}-reader", [f"{prefix}/+/+"]) as client,
        Publishing(database, mosquitto, prefix, tmp_path),
    ):
        first = json.loads(client.wait_for(topic))
        running_town.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'footfall-api' AND datname = current_database()"
        )
        running_town.connection.execute("UPDATE count_minute SET count = count + 5 WHERE sensor = 1 AND direction = 0")

        def corrected() -> bool:
            running_town.receive(1)
            return bool(json.loads(client.heard[topic])["in"] != first["in"])

        wait_until(corrected, what="the correction", timeout=40, every=0.5)


def test_nothing_held_back_is_published_with_a_number(
    running_town: City, database: str, mosquitto: Broker, prefix: str, tmp_path: Path
) -> None:
    """Not even for a moment; and what was retained of it from before is replaced."""
    topic = f"{prefix}/markt/15min"
    more = '[[publication.held_back]]\nstations = ["markt"]\nreason = "geprüft"\n'
    with TestClient(mosquitto, f"{prefix[9:]}-writer") as writer:
        writer.publish([(topic, b'{"count": 99}')], retain=True)
    with (
        Publishing(database, mosquitto, prefix, tmp_path, more),
        TestClient(mosquitto, f"{prefix[9:]}-reader", [f"{prefix}/#"]) as client,
    ):
        client.wait_for(f"{prefix}/saal/15min")
        wait_until(lambda: json.loads(client.heard[topic]).get("reason") == "withheld", what="the replacement")
        running_town.receive(1)

    said = [json.loads(payload) for heard, payload in client.history if heard == topic]
    assert said[-1]["count"] is None
    assert [message for message in said if message.get("count") not in (None, 99)] == []
    assert json.loads(client.heard[f"{prefix}/saal/15min"])["count"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_status_says_when_nobody_publishes(  # noqa: PLR0917  # as many as the thing has parts
    running_town: City, database: str, mosquitto: Broker, prefix: str, tmp_path: Path, number: signal.Signals
) -> None:  # fmt: skip
    """Said by the process, or by the broker if it died; what is retained stays."""
    with Publishing(database, mosquitto, prefix, tmp_path) as publishing:
        wait_until(lambda: len(retained(mosquitto, prefix)) == 3, what="messages", timeout=40)
        publishing.process.send_signal(number)
        status = publishing.process.wait(20)

    assert status == (-number if number is signal.SIGKILL else 0)
    wait_until(lambda: retained(mosquitto, prefix)["status"]["state"] == "offline", what="offline")
    found = retained(mosquitto, prefix)
    assert [error.message for error in validator("public-status").iter_errors(found["status"])] == []
    assert len(found) == 3


# The description for machines.


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The AsyncAPI document."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "asyncapi-public.yaml").read_text("utf-8"))
    return found


def test_the_document_says_what_the_code_does(document: dict[str, Any]) -> None:
    """Topics, quality of service, version, and the schemas that are shipped."""
    default = ApiSettings().publish_mqtt.prefix
    interval, status = document["channels"]["interval"], document["channels"]["status"]

    assert document["asyncapi"].startswith("3.")
    assert document["info"]["version"] == __version__
    assert interval["address"] == topic_of(default, "{station}", "{resolution}")
    assert status["address"] == status_topic(default)
    assert ID_PATTERN in interval["parameters"]["station"]["description"]
    for operation in document["operations"].values():
        assert operation["action"] == "receive"
        assert operation["bindings"]["mqtt"]["qos"] == QOS
    for name, message in document["components"]["messages"].items():
        file = ROOT / "docs" / message["payload"]["schema"]["$ref"]
        assert file.resolve() == (SCHEMAS / f"public-{name}.json").resolve()
        for example in message["examples"]:
            assert [error.message for error in validator(f"public-{name}").iter_errors(example["payload"])] == []


def test_the_topics_are_those_of_the_finest_that_can_be_public(document: dict[str, Any]) -> None:
    """Whatever the city chooses as the finest."""
    lengths = {
        rules_of_doors(ApiSettings.model_validate({"publication": {"finest": finest, "recent": "1min"}})).standard[0]
        for finest in ("1min", "5min", "15min", "30min", "1h")
    }

    assert lengths == set(document["channels"]["interval"]["parameters"]["resolution"]["enum"])


def test_the_schema_refuses_what_is_never_sent() -> None:
    """A number without having been measured, none although it was, another unit, a count below 0."""
    example = json.loads((SCHEMAS / "public-interval.json").read_text("utf-8"))["examples"][0]
    wrong: list[dict[str, Any]] = [
        {"state": "missing"}, {"count": None}, {"unit": "persons"}, {"in": -1}, {"count": 2.5}, {"coverage": 1.1},
        {"station": "Markt 1"}, {"final": None}, {"state": "guessed"},
    ]  # fmt: skip

    assert list(INTERVAL.iter_errors(example)) == []
    for change in wrong:
        assert list(INTERVAL.iter_errors(example | change)), change
    assert list(INTERVAL.iter_errors({name: value for name, value in example.items() if name != "licence"}))
