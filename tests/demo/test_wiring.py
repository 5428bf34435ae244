"""The pieces that join the processes: settings files, the owners of the counters, the comparison with the truth."""

import json
import os
import shlex
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from footfall_api.settings import ApiSettings
from footfall_contract import topics
from footfall_contract.report import SlotReport, decode, encode_cbor
from footfall_contract.words import Direction
from footfall_demo.city import BOXES, COUNTERS, known_stations, read_stations
from footfall_demo.configs import Wiring
from footfall_demo.history_simulated import simulate_history
from footfall_demo.nodes import claim_sensors, example_report, free_sensors
from footfall_demo.past import PastWriter
from footfall_demo.reckoning import Account, as_tables, names_of, reckon
from footfall_demo.refusals import FailedError
from footfall_demo.terminal import Step, Terminal
from footfall_edge.settings import EdgeSettings
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.settings import IngestSettings
from footfall_ingest.stations import apply_stations
from footfall_sim.settings import SimSettings
from footfall_sim.truth import TruthLog

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
TOKEN = "a-token-of-the-operator"
LIVE_SINCE = int(datetime(2026, 3, 1, 11, 0, tzinfo=UTC).timestamp())


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """A connection to a database with the stations of Jena."""
    with psycopg.connect(database, autocommit=True) as connection:
        apply_stations(connection, read_stations())
        yield connection


def report(node: str | None, sensor: str, start: datetime, counts: dict[Direction, int], slot: int = 60) -> Message:
    """A report of one minute, or of a longer time."""
    begin = int(start.timestamp())
    cells = tuple(counts.items())
    one = SlotReport(
        sensor,
        uuid4(),
        0,
        begin,
        slot,
        1,
        (slot,),
        (0,) * len(cells),
        tuple(counts),
        (0,) * len(cells),
        tuple(counts.values()),
    )
    return Message(node, sensor if node else None, encode_cbor(one))


def test_every_settings_file_is_one_for_its_process(tmp_path: Path) -> None:
    """Each process accepts the file written for it, the parts fit together, and only their owner may read them."""
    folder = tmp_path / 'folder with "quotes" and ä'
    folder.mkdir()
    metrics = {"ingest": 9101, "jena-nord": 9102, "jena-sued": 9103}
    owner, writer, reader = (f"postgresql://{name}:p@127.0.0.1:5/x" for name in ("owner", "writer", "reader"))
    wiring = Wiring(folder, owner, writer, reader, "127.0.0.1", 1884, "127.0.0.1", 8001, 7, "made up", TOKEN, metrics)
    wiring.write()
    wiring.write()

    ingest = IngestSettings.load(wiring.config("ingest"))
    api = ApiSettings.load(wiring.config("api"))
    sim = SimSettings.load(wiring.config("sim"))
    edges = [EdgeSettings.load(wiring.config(box.node)) for box in BOXES]
    assert [ingest.database.dsn, api.database.dsn.get_secret_value()] == [writer, reader]
    assert {ingest.mqtt.port, *(edge.mqtt.port for edge in edges)} == {1884}
    assert api.public.local
    assert api.public.operator_token.get_secret_value() == TOKEN
    assert (sim.seed, len(sim.sensor), sim.at_least_per_min > 0) == (7, 6, True)
    lines = {sensor.id: str(sim.link_of(sensor)) for sensor in sim.sensor}
    assert {sensor.id: sensor.port for edge in edges for sensor in edge.sensor} == lines
    spoken = {sensor.id: sensor.protocol.value for sensor in sim.sensor}
    assert {sensor.id: sensor.driver for edge in edges for sensor in edge.sensor} == spoken
    assert {edge.clock for edge in edges} == {"system"}
    assert len({edge.outbox.path for edge in edges}) == 2
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.toml" for name in ("ingest", "api", "sim", "jena-nord", "jena-sued")
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(("host", "says_so"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_demo_that_is_shown_to_a_network_says_that_it_means_it(tmp_path: Path, host: str, says_so: bool) -> None:
    """The API would not start otherwise: its rules of publication are lifted. On this machine nothing need be said."""
    metrics = {"ingest": 9101, "jena-nord": 9102, "jena-sued": 9103}
    dsn = "postgresql://owner@127.0.0.1:5/x"
    Wiring(tmp_path, dsn, dsn, dsn, "127.0.0.1", 1884, host, 8001, 7, "made up", TOKEN, metrics).write()

    api = ApiSettings.load(tmp_path / "api.toml")

    assert api.unsafe is says_so
    assert bool(api.unsafe_things()) is says_so


def test_a_sensor_of_another_kind_comes_without_the_memory_of_the_old_one(tmp_path: Path) -> None:
    """A folder from when all sensors were of one kind goes on: the old memories are put away, the others stay."""
    dsn = "postgresql://owner:p@127.0.0.1:5/x"
    metrics = {"ingest": 9101, "jena-nord": 9102, "jena-sued": 9103}
    wiring = Wiring(tmp_path, dsn, dsn, dsn, "127.0.0.1", 1884, "127.0.0.1", 8001, 7, "made up", TOKEN, metrics)
    wiring.config("sim").write_text(
        "".join(f'[[sensor]]\nid = "{counter.sensor}"\n' for counter in COUNTERS if counter.sensor != "kirchplatz-1")
    )
    wiring.simulator.mkdir()
    for counter in COUNTERS:
        (wiring.simulator / f"{counter.sensor}.memory").write_text("old")
    wiring.write()
    wiring.write()

    left = {path.name for path in wiring.simulator.iterdir()}
    assert {"markt-1.memory", "holzmarkt-1.reference", "kirchplatz-1.unknown"} <= left
    assert len(left) == len(COUNTERS)


def test_the_counters_stand_at_the_stations() -> None:
    """Each station of the file has the one counter that is simulated for it."""
    sensors = [sensor for station in known_stations(read_stations()).values() for sensor in station.sensors]

    assert sorted(sensors) == sorted(counter.sensor for counter in COUNTERS)
    assert len(sensors) == 6


# -- whose the counters are -------------------------------------------------------------------------------------------


def refused(connection: psycopg.Connection, node: str, minute: int) -> bool:
    """Whether a report of `node` for markt-1 about a minute of the hour is refused."""
    start = datetime(2026, 3, 1, 12, minute, tzinfo=UTC)
    outcome = write_batch(connection, [report(node, "markt-1", start, {Direction.IN: 1})], now=start)
    assert outcome.stored + sum(outcome.quarantined.values()) == 1
    return bool(outcome.quarantined)


def test_with_sensors_the_boxes_own_their_counters(connection: psycopg.Connection) -> None:
    """Whoever reported a counter before: from the minute of the start on it is the demo's box that does."""
    assert not refused(connection, "somebody", 0)
    for _ in range(2):  # a second start changes nothing
        claim_sensors(connection, BOXES, int(datetime(2026, 3, 1, 12, 5, 59, tzinfo=UTC).timestamp()))

    assert not refused(connection, "somebody", 4)
    assert refused(connection, "somebody", 6)
    assert not refused(connection, "jena-sued", 5)
    assert connection.execute("SELECT count(*) FROM sensor_node").fetchone() == (2,)


def test_without_sensors_any_node_may_report(connection: psycopg.Connection) -> None:
    """What the boxes owned is free for the first node that reports it."""
    assert not refused(connection, "jena-sued", 0)
    assert refused(connection, "somebody", 1)
    free_sensors(connection, BOXES)

    assert not refused(connection, "somebody", 2)


def test_the_example_is_a_report(connection: psycopg.Connection) -> None:
    """The command that is shown has a topic and a payload that are stored as they are, once."""
    words = shlex.split(example_report("127.0.0.1", 1884, int(NOW.timestamp())))
    options = dict(zip(words[1::2], words[2::2], strict=True))
    topic = topics.parse(options["-t"])
    payload = options["-m"].encode()

    assert words[0] == "mosquitto_pub"
    assert (options["-h"], options["-p"], options["-q"]) == ("127.0.0.1", "1884", "1")
    assert decode(payload).end == int(NOW.timestamp()) // 60 * 60
    message = Message(topic.node, topic.sensor, payload)
    assert write_batch(connection, [message], now=NOW).stored == 1
    assert write_batch(connection, [message], now=NOW).duplicate == 1


# -- the comparison ---------------------------------------------------------------------------------------------------


def test_the_comparison_finds_what_is_missing_and_what_is_too_much(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Per direction: what the counters saw since live counting began against minutes and spans; history is left out."""
    log = TruthLog(tmp_path / "markt-1.truth.jsonl")
    log.boot(1, 1, {}, LIVE_SINCE)
    log.passages([(LIVE_SINCE + n, 0, 0) for n in range(5)] + [(LIVE_SINCE + 9, 1, 2)])
    log.close()
    at = datetime.fromtimestamp(LIVE_SINCE, UTC)
    before = datetime.fromtimestamp(LIVE_SINCE - 60, UTC)
    write_batch(
        connection,
        [
            report(None, "markt-1", before, {Direction.IN: 100}),
            report("jena-sued", "markt-1", at, {Direction.IN: 3}),
            report(
                "jena-sued",
                "markt-1",
                datetime.fromtimestamp(LIVE_SINCE + 61, UTC),
                {Direction.IN: 1, Direction.OUT: 2},
                61,
            ),
        ],
        now=NOW,
    )
    accounts = reckon(connection, tmp_path, LIVE_SINCE)

    assert [account for account in accounts if account.sensor == "markt-1"] == [
        Account("markt-1", Direction.IN, simulated=5, stored=4, never_reported=0),
        Account("markt-1", Direction.OUT, simulated=1, stored=2, never_reported=0),
    ]
    assert [account.difference for account in accounts if account.difference] == [-1, 1]
    assert len(accounts) == 12


def test_what_a_counter_lost_itself_is_told_apart(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Passages that were in a counter's open interval when its power failed are no difference, and are shown."""
    log = TruthLog(tmp_path / "markt-1.truth.jsonl")
    log.boot(1, 1, {}, LIVE_SINCE)
    log.passages([(LIVE_SINCE + n, 0, 0) for n in range(3)])
    log.boot(1, 2, {(0, 0): 0}, LIVE_SINCE + 10)
    log.close()
    accounts = reckon(connection, tmp_path, LIVE_SINCE)

    assert sum(account.difference for account in accounts) == 0
    assert sum(account.never_reported for account in accounts) == 3
    shown = tabulated(*as_tables(accounts, names_of(connection)))
    assert "lost in counter" in shown
    assert "Richtung Rathaus" in shown


def test_what_a_radar_is_wrong_by_is_its_error(connection: psycopg.Connection, tmp_path: Path) -> None:
    """A table of its own says it in per cent; in the one of what was counted it is no difference."""
    log = TruthLog(tmp_path / "kirchplatz-1.truth.jsonl")
    log.passages([(LIVE_SINCE + n, 0, 0) for n in range(8)])
    log.close()
    at = datetime.fromtimestamp(LIVE_SINCE, UTC)
    write_batch(connection, [report("jena-nord", "kirchplatz-1", at, {Direction.IN: 7})], now=NOW)
    accounts = reckon(connection, tmp_path, LIVE_SINCE)
    counted, seen = as_tables(accounts, names_of(connection))

    assert {account.sensor for account in accounts if account.shown} == {"kirchplatz-1", "loebderstrasse-1"}
    assert "-12.5 %" in tabulated(seen)
    assert "│ Kirchplatz" not in tabulated(counted)


def tabulated(*tables: object) -> str:
    """Tables as text."""
    import io

    out = io.StringIO()
    for table in tables:
        Terminal(out).show(table)  # type: ignore[arg-type]
    return out.getvalue()


# -- the past in the background ---------------------------------------------------------------------------------------


class Troubled:
    """A past whose writing fails in a given way."""

    title = "Simulating the past"

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)

    def write(self, _connection: psycopg.Connection, _step: Step, _cancelled: object) -> str:
        """Fail, or at last say that all is well."""
        if self.troubles:
            raise self.troubles.pop(0)
        return "The past is there."


def test_the_past_survives_a_restart_of_the_database(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """When the database goes away meanwhile, writing goes on as soon as it is back."""
    source = Troubled(psycopg.OperationalError("the connection is lost"))
    writer = PastWriter(database, source, Terminal())
    writer.start()
    writer._thread.join(20)

    assert writer.done
    assert not writer.failed
    assert capsys.readouterr().out == "The past is there.\n"


def test_a_past_that_fails_says_why(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal is a sentence, and the demo's exit status will show it."""
    writer = PastWriter(database, Troubled(FailedError("Reports were put into quarantine.")), Terminal())
    writer.start()
    writer._thread.join(20)

    assert writer.failed
    assert capsys.readouterr().out == "Reports were put into quarantine.\n"


def test_a_past_for_time_that_is_taken_is_refused(connection: psycopg.Connection) -> None:
    """Simulated days do not count minutes twice that somebody else has reported."""
    taken = datetime.fromtimestamp(LIVE_SINCE - 3600, UTC)
    write_batch(connection, [report("somebody", "markt-1", taken, {Direction.IN: 1})], now=NOW)
    [counter] = [counter for counter in COUNTERS if counter.sensor == "markt-1"]

    with pytest.raises(FailedError, match="second-writer: 1"):
        simulate_history(connection, {"markt-1": counter.people(1)}, seed=1, live_since=LIVE_SINCE, days=1)


def test_json_is_toml_for_what_paths_can_be(tmp_path: Path) -> None:
    """A folder's name may have what JSON and TOML write alike: quotes, backslashes, tabs, any letter."""
    import tomllib

    for name in ('a"b', "a\\b", "a\tb", "äöü€😀", "\x01"):
        assert tomllib.loads(f"path = {json.dumps(os.fspath(tmp_path / name), ensure_ascii=False)}")["path"].endswith(
            name
        )
