"""What the commands that send and write tell Prometheus."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from footfall_api import cli
from footfall_api.intervals import Resolution
from footfall_api.ngsi_ld import push
from footfall_api.ngsi_ld.broker import HttpBroker
from footfall_api.ngsi_ld.entity import about
from footfall_api.ngsi_ld.progress import Progress
from footfall_api.publication import rules_of_doors
from footfall_api.sending import textfile
from footfall_api.settings import ApiSettings
from footfall_role.stop import StopSignal
from footfall_testing.city import City
from footfall_testing.context_broker import ContextBroker, Fault
from footfall_testing.watched import Samples, samples_of

LAST = "footfall_dump_last_success_timestamp_seconds"
SUCCESS = "footfall_dump_last_run_success"


def said(path: Path) -> dict[str, float]:
    """What stands in the file, by name."""
    return {name: found[0][1] for name, found in samples_of(path.read_text("utf-8")).items()}


def test_a_run_leaves_when_it_was_and_how_it_went(tmp_path: Path) -> None:
    """One that fails keeps the time of the last success, and what it raised goes on."""
    path = tmp_path / "footfall.prom"
    before = datetime.now(UTC).timestamp()
    with textfile(path):
        pass
    good = said(path)
    with pytest.raises(ZeroDivisionError), textfile(path):
        raise ZeroDivisionError
    bad = said(path)

    assert before <= good["footfall_dump_last_run_timestamp_seconds"] <= good[LAST] <= datetime.now(UTC).timestamp()
    assert (good[SUCCESS], bad[SUCCESS]) == (1, 0)
    assert bad[LAST] == good[LAST]
    assert bad["footfall_dump_last_run_timestamp_seconds"] >= good["footfall_dump_last_run_timestamp_seconds"]


@pytest.mark.parametrize("content", ["", "nothing of ours\n", "footfall_dump_last_success_timestamp_seconds soon\n"])
def test_what_stands_there_and_is_not_ours_is_no_success(tmp_path: Path, content: str) -> None:
    """It is overwritten."""
    path = tmp_path / "footfall.prom"
    path.write_text(content)
    with pytest.raises(ZeroDivisionError), textfile(path):
        raise ZeroDivisionError

    assert said(path)[LAST] == 0


def test_without_a_file_nothing_is_written() -> None:
    """Nor is anything asked for."""
    with textfile(None):
        pass


def test_a_file_that_nobody_would_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a port that is none."""
    for words, why in (
        (["dump", str(tmp_path), "--textfile", "dump.txt"], "does not end in .prom"),
        (["publish-mqtt", "--metrics-port", "0"], "no number from 1 to 65535"),
        (["publish-mqtt", "--metrics-port", "high"], "no number from 1 to 65535"),
    ):
        with pytest.raises(SystemExit) as left:
            cli.run(words)
        assert left.value.code == 2
        assert why in capsys.readouterr().err


def test_a_dump_that_fails_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The database is not there."""
    config, path = tmp_path / "api.toml", tmp_path / "footfall.prom"
    config.write_text('[database]\ndsn = "postgresql://127.0.0.1:1/nirgends"\n')

    assert cli.run(["--config", str(config), "dump", str(tmp_path / "files"), "--textfile", str(path)]) == 1
    assert said(path)[SUCCESS] == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture
def other() -> Iterator[ContextBroker]:
    """The other side of a push."""
    with ContextBroker() as found:
        yield found


def test_rounds_are_told_by_how_they_ended(city: City, other: ContextBroker, database: str, tmp_path: Path) -> None:
    """Done, unreachable, refused, the database away; and entities by whether they were taken."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for station in ("markt", "saal"):
        city.minutes(city.counter(station), now - timedelta(hours=2), 120, {0: 1})
    settings = ApiSettings.model_validate({"database": {"dsn": database}, "http": {"public_url": "https://z.example"}})
    rules = rules_of_doors(settings)
    job = push.Job((Resolution.QUARTER_HOUR,), about(settings, "https://z.example"), None, 100, 0)
    markt = "urn:ngsi-ld:CrowdFlowObserved:jena:markt:15min"
    with asyncio.Runner() as loop, StopSignal() as stop:
        source = push.Source(settings, rules, loop)
        pusher = push.Pusher(HttpBroker(other.url, {}), Progress(tmp_path / "s", {"url": other.url}), source, job)

        def once() -> Samples:
            push.push(pusher, stop, every_s=1, once=True)
            return samples_of(generate_latest(pusher.metrics.registry).decode())

        def rounds(found: Samples) -> dict[str, float]:
            return {names["outcome"]: value for names, value in found["footfall_push_rounds_total"]}

        other.faults = [Fault(503), Fault(400)]
        assert rounds(once()) == {"done": 0, "unreachable": 1, "refused": 0, "database": 0}
        found = once()
        assert rounds(found) == {"done": 0, "unreachable": 1, "refused": 1, "database": 0}
        assert found["footfall_push_last_success_timestamp_seconds"] == [({}, 0)]
        other.refuses = {markt: "no"}
        found = once()
        assert rounds(found)["done"] == 1
        assert {n["outcome"]: v for n, v in found["footfall_push_entities_total"]} == {"sent": 1, "refused": 1}
        assert found["footfall_push_last_success_timestamp_seconds"][0][1] >= now.timestamp()
        city.connection.execute("ALTER TABLE station RENAME TO gone")
        try:
            assert rounds(once())["database"] == 1
        finally:
            city.connection.execute("ALTER TABLE gone RENAME TO station")
