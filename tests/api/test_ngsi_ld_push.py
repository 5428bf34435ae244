"""Pushing to a context broker, a real one on the other side of a real connection: nothing left out, whatever fails."""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from footfall_api import cli
from footfall_api.intervals import Resolution
from footfall_api.ngsi_ld import push
from footfall_api.ngsi_ld.broker import HttpBroker, RefusedError, UnreachableError
from footfall_api.ngsi_ld.entity import about
from footfall_api.ngsi_ld.progress import Progress
from footfall_api.publication import rules_of_doors
from footfall_api.settings import ApiSettings
from footfall_testing.city import NOW, Api, City
from footfall_testing.context_broker import ContextBroker, Fault
from footfall_testing.waiting import wait_until

NOW_S = int(NOW.timestamp())
MARKT, SAAL = (f"urn:ngsi-ld:CrowdFlowObserved:jena:{name}:15min" for name in ("markt", "saal"))
SECRET = "a-token-for-the-broker"


@pytest.fixture
def other() -> Iterator[ContextBroker]:
    """The other side."""
    with ContextBroker() as found:
        yield found


@pytest.fixture
def town(city: City) -> City:
    """Two stations that counted for three hours up to now, one of them with a gap."""
    markt, saal = city.counter("markt"), city.counter("saal")
    city.minutes(markt, NOW - timedelta(hours=3), 180, {0: 1, 1: 2})
    city.minutes(saal, NOW - timedelta(hours=3), 60, {0: 4})
    city.minutes(saal, NOW - timedelta(hours=1), 60, {0: 5})
    return city


class Pushing:
    """A push in this process at a time of its own; each `Pushing` is what a process is after a start."""

    def __init__(self, database: str, other: ContextBroker, state: Path, **options: Any) -> None:
        publication = options.pop("publication", {})
        local = options.pop("local", False)
        self.settings = ApiSettings.model_validate(
            {
                "database": {"dsn": database},
                "http": {"public_url": "https://z.example"},
                "publication": publication,
                "public": {"local": local},
            }
        )
        self.runner = asyncio.Runner()
        rules = rules_of_doors(self.settings)
        words = {
            "resolutions": rules.standard[:1],
            "from_s": None,
            "batch": 100,
            "corrections_s": 14 * 86_400,
        } | options
        job = push.Job(about=about(self.settings, "https://z.example"), **words)
        progress = Progress(state, {"url": other.url})
        source = push.Source(self.settings, rules, self.runner)
        self.pusher = push.Pusher(HttpBroker(other.url, {}), progress, source, job)

    def round(self, now_s: int = NOW_S) -> dict[str, str]:
        return dict(self.pusher.round(now_s, corrections=True))

    def __enter__(self) -> "Pushing":  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.close()


def counts(other: ContextBroker, name: str) -> list[int | None]:
    """The numbers of an entity in the order in which they came."""
    return [e.get("peopleCount", {}).get("value") for _, e in other.history if e["id"] == name]


def from_api(api: Api, station: str, **params: Any) -> list[dict[str, Any]]:
    """The API's values by the quarter of an hour for the three hours up to now, sensors' own silence included."""
    begin = (NOW - timedelta(hours=3)).isoformat()
    return api.counts(station, from_=begin, to=NOW.isoformat(), resolution="15min", **params)


def test_it_begins_with_the_last_interval(town: City, other: ContextBroker, database: str, tmp_path: Path) -> None:
    """Of each station, and then goes on with what ends."""
    with Pushing(database, other, tmp_path / "s") as pushing:
        assert pushing.round() == {}
        assert pushing.round(NOW_S + 899) == {}
        assert pushing.round(NOW_S + 900) == {}
        town.minutes(1, NOW, 15, {0: 7})
        assert pushing.round(NOW_S + 900) == {}

    assert counts(other, MARKT) == [45, 105]
    assert counts(other, SAAL) == [75]
    assert len(other.requests) == 2
    assert [entity["@context"][0] for entity in other.entities.values()] == [
        "https://z.example/api/v1/ngsi-ld/context.jsonld"
    ] * 2


def test_what_is_sent_is_what_the_api_says(
    town: City, other: ContextBroker, database: str, tmp_path: Path, public_api: Api
) -> None:
    """All intervals from a time on, in order, each with the API's number and state; sums agree; gaps have no number."""
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600) as pushing:
        pushing.round()

    for name, station in ((MARKT, "markt"), (SAAL, "saal")):
        values = from_api(public_api, station)
        assert counts(other, name) == [value["count"] for value in values]
        assert [e["state"]["value"] for _, e in other.history if e["id"] == name] == [v["state"] for v in values]
        starts = [datetime.fromisoformat(value["start"]).astimezone(UTC) for value in values]
        assert [seen[:20] for seen in other.seen(name)] == [f"{start:%Y-%m-%dT%H:%M:%SZ}" for start in starts]
    assert None in counts(other, SAAL)


def test_no_old_number_stays_under_a_new_time(town: City, other: ContextBroker, database: str, tmp_path: Path) -> None:
    """A broker that updates keeps what is not sent: so an entity that lost its number is replaced."""
    with Pushing(database, other, tmp_path / "s") as pushing:
        pushing.round(NOW_S - 2 * 3600)
        assert other.entities[SAAL]["peopleCount"]["value"] == 60
        other.entities[SAAL]["owner"] = {"type": "Property", "value": "of somebody else"}
        pushing.round(NOW_S - 2 * 3600 + 900 + 90)

    held = other.entities[SAAL]
    assert held["dateObserved"]["value"] == "2026-06-10T10:00:00Z/2026-06-10T10:15:00Z"
    assert (held["state"]["value"], held["stateReason"]["value"]) == ("missing", "not_reported")
    assert not [name for name in held if name.startswith("peopleCount")]


def test_what_others_added_stays(town: City, other: ContextBroker, database: str, tmp_path: Path) -> None:
    """As long as nothing has to go; a reason goes when there is none any more."""
    with Pushing(database, other, tmp_path / "s") as pushing:
        pushing.round(NOW_S - 3600 + 90)
        other.entities[MARKT]["owner"] = {"type": "Property", "value": "of somebody else"}
        assert other.entities[SAAL]["stateReason"]["value"] == "not_reported"
        pushing.round(NOW_S)

    assert other.entities[MARKT]["owner"]["value"] == "of somebody else"
    assert "stateReason" not in other.entities[SAAL]
    assert [update for update, _, _ in other.requests[:2]] == [False, False]
    assert any(update for update, _, _ in other.requests)


def test_a_batch_has_each_entity_once(town: City, other: ContextBroker, database: str, tmp_path: Path) -> None:
    """And no more than it may: the second interval of a station goes after the first was taken."""
    town.counter("dritte")
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600, batch=2) as pushing:
        pushing.round()

    for _, _, entities in other.requests:
        names = [entity["id"] for entity in entities]
        assert len(names) == len(set(names)) <= 2
    assert all(other.seen(name) == sorted(other.seen(name)) for name in other.entities)
    assert len(other.entities) == 3


def test_an_interval_waits_for_its_reports(town: City, other: ContextBroker, database: str, tmp_path: Path) -> None:
    """Until it is whole, or for 90 seconds; then as it is."""
    with Pushing(database, other, tmp_path / "s") as pushing:
        pushing.round()
        town.minutes(1, NOW, 14, {0: 1})
        pushing.round(NOW_S + 900)
        assert counts(other, MARKT) == [45]
        pushing.round(NOW_S + 990)

    assert counts(other, MARKT) == [45, 14]
    assert other.entities[MARKT]["state"]["value"] == "partial"


def test_late_reports_correct_what_was_sent(
    town: City, other: ContextBroker, database: str, tmp_path: Path, public_api: Api
) -> None:
    """The intervals that changed, in order, and the newest after them; once, also after a restart."""
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600) as pushing:
        pushing.round()
        many = len(other.history)
        town.minutes(2, NOW - timedelta(hours=2), 45, {0: 9})
        pushing.round()
        late = [(e["dateObservedTo"]["value"]["@value"][11:16], e["peopleCount"]["value"])
                for _, e in other.history[many:]]  # fmt: skip
    with Pushing(database, other, tmp_path / "s") as pushing:
        pushing.round(NOW_S + 1)

    assert late == [("10:15", 135), ("10:30", 135), ("10:45", 135), ("12:00", 75)]
    assert len(other.history) == many + 4
    last = {e["dateObserved"]["value"]: e.get("peopleCount", {}).get("value")
            for _, e in other.history if e["id"] == SAAL}  # fmt: skip
    assert [*last.values()] == [value["count"] for value in from_api(public_api, "saal")]


def test_corrections_can_be_left_out(town: City, other: ContextBroker, database: str, tmp_path: Path) -> None:
    """For a broker that keeps no past."""
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600, corrections_s=0) as pushing:
        pushing.round()
        many = len(other.history)
        town.minutes(2, NOW - timedelta(hours=2), 45, {0: 9})
        pushing.round()

    assert len(other.history) == many


def test_a_process_that_died_after_a_correction_shows_the_newest_again(
    town: City, other: ContextBroker, database: str, tmp_path: Path
) -> None:
    """The broker has the older interval; the next process puts that right."""
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600) as pushing:
        pushing.round()
        town.minutes(2, NOW - timedelta(hours=2), 15, {0: 9})
        other.faults = [Fault(applies=True)]
        with pytest.raises(UnreachableError):
            pushing.round()
    assert other.entities[SAAL]["dateObservedTo"]["value"]["@value"] == "2026-06-10T10:15:00Z"

    with Pushing(database, other, tmp_path / "s") as pushing:
        pushing.pusher.round(NOW_S + 1, corrections=False)

    assert other.entities[SAAL]["dateObservedTo"]["value"]["@value"] == "2026-06-10T12:00:00Z"


@pytest.mark.parametrize("resolution", ["1h", "1d"])
def test_longer_intervals_have_entities_of_their_own(
    town: City, other: ContextBroker, database: str, tmp_path: Path, resolution: str
) -> None:
    """By the station's clocks; beside the quarters."""
    job = {"resolutions": (Resolution.QUARTER_HOUR, Resolution(resolution)), "from_s": NOW_S - 2 * 86_400}
    with Pushing(database, other, tmp_path / "s", **job) as pushing:
        pushing.round()

    seen = other.seen(MARKT.replace("15min", resolution))
    assert len(seen) == {"1h": 48, "1d": 2}[resolution]
    assert seen[-1] == {
        "1h": "2026-06-10T11:00:00Z/2026-06-10T12:00:00Z", "1d": "2026-06-08T22:00:00Z/2026-06-09T22:00:00Z"
    }[resolution]  # fmt: skip
    assert len(other.seen(MARKT)) == 192


def test_what_is_not_public_has_no_number_or_is_not_sent_yet(
    town: City, other: ContextBroker, database: str, tmp_path: Path
) -> None:
    """Held back: a state and a reason. Delayed: later. `local` lifts both."""
    rules = {
        "held_back": [{"stations": ["saal"], "reason": "geprüft"}], "delay_minutes": 60, "delay_reason": "So ist es.",
    }  # fmt: skip
    with Pushing(database, other, tmp_path / "s", publication=rules) as pushing:
        pushing.round()
    assert other.entities[MARKT]["dateObservedTo"]["value"]["@value"] == "2026-06-10T11:00:00Z"
    assert other.entities[SAAL]["stateReason"]["value"] == "withheld"
    assert not {"peopleCount", "peopleCountTowards", "peopleCountAway"} & other.entities[SAAL].keys()

    with Pushing(database, other, tmp_path / "t", publication=rules, local=True) as pushing:
        pushing.round()
    assert other.entities[SAAL]["peopleCount"]["value"] == 75


def test_one_entity_that_is_refused_holds_up_no_other(
    town: City, other: ContextBroker, database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the broker's words, nothing of it is passed over, and it goes on when the broker takes it."""
    other.refuses = {SAAL: "no such attribute"}
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600) as pushing:
        assert pushing.round() == {SAAL: "Bad: no such attribute"}
        assert len(other.seen(MARKT)) == 12
        assert other.seen(SAAL) == []
        tried = sum(entity["id"] == SAAL for _, _, entities in other.requests for entity in entities)
        assert tried == 1
        other.refuses = {}
        assert pushing.round() == {}

    assert len(other.seen(SAAL)) == 12
    assert other.seen(SAAL) == sorted(other.seen(SAAL))
    assert "the broker refused an entity" in caplog.text


@pytest.mark.parametrize(
    "fault",
    [
        Fault(),
        Fault(applies=True),
        Fault(in_the_middle=True, applies=True),
        Fault(503, {"Retry-After": "1"}),
        Fault(429),
    ],
    ids=["cut", "cut-after-taking", "cut-in-the-middle", "503", "429"],
)
@pytest.mark.parametrize("number", [0, 3, 11])
def test_after_a_fault_it_goes_on_where_it_was(  # noqa: PLR0917  # as many as the thing has parts
    town: City, other: ContextBroker, database: str, tmp_path: Path, fault: Fault, number: int
) -> None:
    """Whichever batch it hits: all is there, in order; what was taken before is not sent again."""
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600) as pushing:
        after = [0]

        def arm(count: int) -> None:
            if count == number:
                other.faults = [fault]
                after[0] = len(other.requests)

        other.before_answer = arm
        if number == 0:
            other.faults = [fault]
        with pytest.raises(UnreachableError):
            pushing.round()
        other.before_answer = lambda _: None
        pushing.round()

    for name in (MARKT, SAAL):
        seen = other.seen(name)
        assert list(dict.fromkeys(seen)) == sorted(set(seen))
        assert len(set(seen)) == 12
        assert len(seen) <= 13


def test_what_is_refused_as_a_whole_does_not_lose_its_place(
    town: City, other: ContextBroker, database: str, tmp_path: Path
) -> None:
    """The token has run out, say: the words are the broker's, and all comes when it is right again."""
    other.faults = [Fault(401, body=b'{"title": "token expired"}')]
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600) as pushing:
        with pytest.raises(RefusedError, match="401: token expired"):
            pushing.round()
        pushing.round()

    assert len(other.seen(MARKT)) == 12


def test_more_than_one_piece_is_read(
    town: City, other: ContextBroker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces meet without a gap and without a double, also when a station is behind another."""
    monkeypatch.setattr(push, "PIECE_INTERVALS", 5)
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3600) as pushing:
        pushing.round(NOW_S)
    town.counter("dritte")
    dritte = MARKT.replace("markt", "dritte")
    with Pushing(database, other, tmp_path / "s", from_s=NOW_S - 3 * 3600) as pushing:
        pushing.round(NOW_S + 7200 + 90)

    assert len(other.seen(MARKT)) == len(set(other.seen(MARKT))) == 12
    assert len(other.seen(dritte)) == len(set(other.seen(dritte))) == 20


# The program itself.


def command(config: Path, other: ContextBroker, state: Path, *words: str) -> list[str]:
    return [
        sys.executable, "-m", "footfall_api", "--config", str(config),
        "push", "ngsi-ld", "--url", other.url, "--state", str(state), *words,
    ]  # fmt: skip


@pytest.fixture
def config(database: str, tmp_path: Path) -> Path:
    """An api.toml for the city's database."""
    path = tmp_path / "api.toml"
    path.write_text(f'[http]\npublic_url = "https://z.example"\n[database]\ndsn = "{database}"\n')
    return path


def quarter() -> datetime:
    """The beginning of the running quarter of an hour."""
    now = datetime.now(UTC)
    return now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)


def clean() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}


@pytest.mark.timeout(300)
def test_killed_between_batches_it_ends_with_everything(
    city: City, other: ContextBroker, config: Path, tmp_path: Path, public_api: Api
) -> None:
    """By kill -9, after the broker took a batch or before: each interval came in the end, in order, with its number."""
    begin = quarter() - timedelta(hours=10)
    for n, name in enumerate(("markt", "saal")):
        city.minutes(city.counter(name), begin, 600, {0: n + 1})
    running: list[subprocess.Popen[bytes]] = []
    kills = {2: True, 3: True, 7: False, 12: True, 20: False, 33: True}  # by the number of a batch: whether it is taken
    killed: list[int] = []

    def kill(number: int) -> None:
        if number in kills:
            killed.append(number)
            running[-1].kill()
        if not kills.get(number + 1, True):
            other.faults = [Fault()]

    other.before_answer = kill
    for _ in range(len(kills) + 1):
        words = command(config, other, tmp_path / "state.json", "--once", "--from", begin.isoformat())
        running.append(subprocess.Popen(words, env=clean(), stderr=subprocess.DEVNULL))
        running[-1].wait(60)
    assert killed == [*kills]
    assert [process.returncode for process in running] == [-signal.SIGKILL] * len(kills) + [0]

    public_api.now = datetime.now(UTC)
    for name, station in ((MARKT, "markt"), (SAAL, "saal")):
        end = begin + timedelta(hours=10)
        values = public_api.counts(station, from_=begin.isoformat(), to=end.isoformat(), resolution="15min")
        seen = other.seen(name)
        first = list(dict.fromkeys(seen))
        assert first == sorted(first)
        last = {e["dateObserved"]["value"]: e.get("peopleCount", {}).get("value")
                for _, e in other.history if e["id"] == name}  # fmt: skip
        # Another interval may have ended meanwhile.
        assert [*last.values()][: len(values)] == [value["count"] for value in values]
        assert other.entities[name]["dateObserved"]["value"] == first[-1]
        assert len(seen) <= len(first) + len(kills)


def test_it_goes_on_until_it_is_asked_to_stop(city: City, other: ContextBroker, config: Path, tmp_path: Path) -> None:
    """While nobody is there it tries again, and when the broker is back all comes; SIGTERM ends it well."""
    begin = quarter() - timedelta(hours=2)
    key = city.counter("markt")
    city.minutes(key, begin, 120, {0: 1})
    other.stop()
    log = tmp_path / "log"
    words = command(config, other, tmp_path / "state.json", "--every", "1", "--from", begin.isoformat(),
                    "--header", f"X-Key: {SECRET}-2")  # fmt: skip
    with log.open("wb") as file:
        process = subprocess.Popen(words, env=clean() | {push.TOKEN_VARIABLE: SECRET}, stderr=file)
        try:
            wait_until(lambda: log.read_text().count("cannot be reached") >= 2, what="two tries")
            other.start()
            wait_until(lambda: len(set(other.seen(MARKT))) >= 8, timeout=60, what="the intervals")
            other.stop()
            other.start()
            other.faults = [Fault(500)]
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0
        finally:
            process.kill()
            process.wait()

    (_, headers, _) = other.requests[0]
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["x-key"] == f"{SECRET}-2"
    text = log.read_text()
    assert "Connection refused" in text
    assert SECRET not in text
    assert SECRET not in (tmp_path / "state.json").read_text()
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--url", "broker.example"], "is no address that begins with http"),
        (["--url", "https://u:geheim@broker.example"], f"set {push.TOKEN_VARIABLE} or --header"),
        (["--header", "geheim"], "a header is written 'Name: value'"),
        (["--header", "X-Key: geheim\r\nX: y"], "printable ASCII"),
        (["--every", "0"], "is no number from 1 to 86400"),
        (["--batch", "1001"], "is no whole number from 1 to 1000"),
        (["--from", "2026-06-10"], "is no time with an offset"),
        (["--resolution", "1min"], "invalid choice"),
        (["--corrections", "400"], "is no whole number from 0 to 336"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Before anything is connected, without what is secret."""
    with pytest.raises(SystemExit) as left:
        cli.run(["push", "ngsi-ld", "--url", "http://b.example", "--state", str(tmp_path / "s"), *words])

    said = capsys.readouterr().err
    assert left.value.code == 2
    assert message in said
    assert "geheim" not in said


def test_settings_that_do_not_allow_it_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No address under which the broker could read our terms; an interval that is not public."""
    config = tmp_path / "api.toml"
    words = ["--config", str(config), "push", "ngsi-ld", "--url", "http://b.example", "--state", str(tmp_path / "s")]
    config.write_text("")
    assert cli.run(words) == 78
    assert "set public_url in [http], or say with --context" in capsys.readouterr().err

    config.write_text('[http]\npublic_url = "https://z.example"\n[publication]\nfinest = "1h"\nrecent = "1h"\n')
    assert cli.run([*words, "--resolution", "15min"]) == 78
    assert "there are 1h, 1d, 1w" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_state_of_another_push_is_refused(city: City, other: ContextBroker, config: Path, tmp_path: Path) -> None:
    """One file for each broker and tenant; a folder that is not there is named."""
    begin = quarter() - timedelta(minutes=15)
    city.minutes(city.counter("markt"), begin, 15, {0: 1})
    state = tmp_path / "state.json"

    def once(*words: str, path: Path = state) -> subprocess.CompletedProcess[str]:
        asked = command(config, other, path, "--once", "--from", begin.isoformat(), *words)
        return subprocess.run(asked, env=clean(), capture_output=True, text=True, timeout=60, check=False)

    assert once().returncode == 0
    many = len(other.history)
    refused = once("--tenant", "jena")
    nowhere = once(path=tmp_path / "nirgends" / "state.json")

    assert (refused.returncode, nowhere.returncode) == (1, 1)
    assert f"{state}: is of another push" in refused.stderr
    assert "nirgends" in nowhere.stderr
    assert "Traceback" not in refused.stderr + nowhere.stderr
    assert json.loads(state.read_text())["target"]["tenant"] == ""
    assert len(other.history) == many > 0


def test_once_says_by_its_status_whether_all_was_taken(
    city: City, other: ContextBroker, config: Path, tmp_path: Path
) -> None:
    """For cron: 0 if so, 1 if the broker was not there or refused something."""
    begin = quarter() - timedelta(minutes=15)
    city.minutes(city.counter("markt"), begin, 15, {0: 1})

    def once() -> int:
        words = command(config, other, tmp_path / "state.json", "--once", "--from", begin.isoformat())
        return subprocess.run(words, env=clean(), capture_output=True, timeout=60, check=False).returncode

    other.refuses = {MARKT: "no"}
    assert once() == 1
    other.refuses = {}
    other.faults = [Fault(503)]
    assert once() == 1
    assert once() == 0
    assert len(other.seen(MARKT)) == len(set(other.seen(MARKT))) > 0


def test_a_token_goes_into_the_header_that_is_named() -> None:
    """As a bearer's in Authorization, alone in any other."""

    def options(*words: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        push.add_parser(parser.add_subparsers(), argparse.ArgumentParser(add_help=False))
        return parser.parse_args(["push", "ngsi-ld", "--url", "http://b.example", "--state", "s", *words])

    assert push.headers_of(options(), "t")[0] == {"Authorization": "Bearer t"}
    assert push.headers_of(options("--token-header", "X-Auth-Token"), "t")[0] == {"X-Auth-Token": "t"}
    headers, secrets = push.headers_of(options("--header", "A: b:c", "--tenant", "jena"), "")
    assert headers == {"A": "b:c", "NGSILD-Tenant": "jena"}
    assert "b:c" in secrets


def test_waits_grow_and_end() -> None:
    """Longer and longer up to five minutes; as long as a broker asks for; after refusals no sooner than usual."""
    waits = [push._wait_s(UnreachableError("x"), n, 60) for n in (1, 2, 3, 9, 10_000)]

    assert [wait for wait in waits if wait > 300 * 1.2] == []
    assert waits[0] < 1.3 < waits[2] < 5
    assert waits[3] > 200
    assert push._wait_s(UnreachableError("x", 42.0), 9, 60) == 42
    assert push._wait_s(RefusedError("x"), 1, 60) == 60
