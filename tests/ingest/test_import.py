"""An import writes once, whole or not at all, whatever the order, however often, and however it was cut short."""

import csv
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_contract.report import SlotReport, encode_cbor
from footfall_ingest.__main__ import main
from footfall_ingest.commands import Connection, RefusedError
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.history import importing, mapping
from footfall_ingest.history.findings import Kind
from footfall_ingest.history.importing import Report, Wanted
from footfall_ingest.judge import Rules
from footfall_ingest.stations import apply_stations
from footfall_testing.history import NOW, STATIONS, stored
from footfall_testing.waiting import wait_until

TABLE = """
title = "sensor, start, end, in, out"
[time]
columns = ["start"]
end_columns = ["end"]
[place]
column = "sensor"
others = "id"
[[value]]
column = "in"
direction = "in"
[[value]]
column = "out"
direction = "out"
"""
HEADER = ("sensor", "start", "end", "in", "out")
START = datetime(2023, 3, 25, 22, tzinfo=UTC)

Row = tuple[str, str, str, str, str]


@pytest.fixture(scope="module")
def shared(postgres_server: Any, postgres_template: str) -> Iterator[Connection]:
    """A connection to one database with two stations for all tests that take back what they did."""
    name = "footfall_import"
    with psycopg.connect(postgres_server.create(name, postgres_template), autocommit=True) as connection:
        apply_stations(connection, STATIONS)
        yield connection
    postgres_server.drop(name)


@pytest.fixture
def connection(shared: Connection) -> Iterator[Connection]:
    """The shared connection; what the test does is taken back."""
    with shared.transaction(force_rollback=True):
        yield shared


def row(minute: int, length: int, count: int | str = 1, *, sensor: str = "bridge") -> Row:
    """A row about `length` minutes from a minute after `START` on; out is one more than in."""
    begin, end = START + timedelta(minutes=minute), START + timedelta(minutes=minute + length)
    other = "" if count == "" else str(int(count) + 1)
    return sensor, begin.isoformat(), end.isoformat(), str(count), other


def table(folder: Path, rows: Sequence[Row]) -> Path:
    """A file of these rows."""
    path = folder / f"{uuid4()}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def mapped(folder: Path) -> mapping.Mapping:
    """The mapping of such files."""
    path = folder / "table.toml"
    path.write_text(TABLE)
    return mapping.load(str(path))[1]


def imported(connection: Connection, folder: Path, *files: Sequence[Row], **options: Any) -> Report:
    """The report of importing files of these rows."""
    wanted = Wanted([table(folder, rows) for rows in files], "table", mapped(folder), **options)
    return importing.run(connection, wanted, Rules(), now=NOW)


def counts(report: Report) -> tuple[int, int, int]:
    """New, known and conflicting intervals."""
    said = report.as_json()
    return said["new"], said["known"], said["conflicting"]


# -- once, whatever the order -----------------------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Intervals of two sensors, of several lengths, with holes of up to two years and some that were not measured."""
    rows = []
    for sensor in ("bridge", "tower"):
        minute = draw(st.integers(0, 100))
        lengths = st.sampled_from([1, 1, 15, 60, 7, 1500])
        holes = st.sampled_from([0, 0, 0, 1, 3, 45, 1_100_000])
        for length, hole in draw(st.lists(st.tuples(lengths, holes), max_size=12)):
            rows.append(row(minute, length, draw(st.sampled_from(["", 0, 1, 30])), sensor=sensor))
            minute = min(minute + length + hole, 1_400_000)
            if minute == 1_400_000:
                break
    return rows


@settings(max_examples=25)
@given(rows=tables(), parts=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_the_order_and_the_number_of_files_and_of_imports_do_not_matter(
    shared: Connection, tmp_path_factory: pytest.TempPathFactory, rows: list[Row], parts: int, seed: int
) -> None:
    """A table, shuffled, split over files that are imported one by one, twice, gives what it gives in one piece."""
    folder = tmp_path_factory.mktemp("table")
    with shared.transaction(force_rollback=True):
        imported(shared, folder, rows)
        expected = stored(shared)
    shuffler = random.Random(seed)
    shuffled = shuffler.sample(rows, len(rows))
    files = [shuffled[part::parts] for part in range(parts)]
    twice = files + files
    shuffler.shuffle(twice)

    with shared.transaction(force_rollback=True):
        reports = [imported(shared, folder, file) for file in twice]
        found = stored(shared)
    measured = sum(1 for item in rows if item[3])
    assert found == expected
    assert len(found) == measured
    assert sum(report.as_json()["new"] for report in reports) == measured
    assert sum(report.as_json()["known"] for report in reports) == measured


def test_what_one_file_left_out_another_one_brings(connection: Connection, tmp_path: Path) -> None:
    """A hole of one file is no statement about its time: another file may fill it, before and afterwards."""
    first, second = [row(0, 60), row(240, 60)], [row(minute, 60) for minute in (60, 120, 180)]

    assert counts(imported(connection, tmp_path, first)) == (2, 0, 0)
    assert counts(imported(connection, tmp_path, second)) == (3, 0, 0)
    assert counts(imported(connection, tmp_path, first, second)) == (0, 5, 0)
    assert len(stored(connection)) == 5


def test_a_thousand_holes_are_taken(connection: Connection, tmp_path: Path) -> None:
    """A sensor that is off every other minute for days is imported, though a stream may be in 64 pieces only."""
    rows = [row(minute, 1) for minute in range(0, 1000, 2)]

    assert counts(imported(connection, tmp_path, rows)) == (500, 0, 0)
    assert len(stored(connection)) == 500
    assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)


def test_minutes_are_minutes_and_anything_longer_is_a_span(connection: Connection, tmp_path: Path) -> None:
    """Whole minutes go where live minutes are; a quarter hour is never spread over minutes."""
    imported(connection, tmp_path, [row(0, 1, 4), row(1, 15, 0)])

    assert connection.execute("SELECT direction, count FROM count_minute ORDER BY 1").fetchall() == [(0, 4), (1, 5)]
    assert connection.execute("SELECT direction, count FROM count_span").fetchall() == [(1, 1)]
    assert connection.execute("SELECT observed_s FROM coverage_span").fetchall() == [(900,)]
    assert connection.execute("SELECT DISTINCT node FROM stream").fetchall() == [(None,)]


# -- what contradicts what is stored ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (
            row(60, 60, 9),
            "9 in/unknown + 10 out/unknown in 3600 s measured in the file, 1 in/unknown + 2 out/unknown in",
        ),
        (row(60, 30, 1), "stored is another part of this time, 2023-03-25T23:00:00Z to 2023-03-26T00:00:00Z"),
        (row(30, 1500, 1), "stored is another part of this time, 2023-03-25T23:00:00Z to 2023-03-26T00:00:00Z"),
    ],
    ids=["another-value", "a-part", "more"],
)
def test_another_value_for_a_stored_time_is_reported_and_nothing_is_written(
    connection: Connection, tmp_path: Path, changed: Row, complaint: str
) -> None:
    """A conflict is told with its line, the file's value and the stored one; nothing of the file is written."""
    imported(connection, tmp_path, [row(60, 60)])
    before = stored(connection)

    report = imported(connection, tmp_path, [row(60, 60, sensor="tower"), changed], skip_faulty=True)

    assert report.outcome == "refused"
    assert counts(report) == (1, 0, 1)
    assert stored(connection) == before
    [said] = [line for line in report.lines() if line.startswith("conflict")]
    assert "csv line 3: bridge" in said
    assert complaint in said
    [conflict] = report.as_json()["conflicts"]
    assert (conflict["line"], conflict["sensor"]) == (3, "bridge")
    assert report.lines()[-1] == "nothing was imported: the files contradict what is stored"


def test_a_box_that_counted_itself_is_not_counted_a_second_time(connection: Connection, tmp_path: Path) -> None:
    """Minutes that a box reported conflict with a file about the same hour; where it was silent a file may fill in."""
    start = int(START.timestamp())
    minutes = SlotReport("bridge", uuid4(), 0, start, 60, 2, (60, 0), (0,), (0,), (0,), (7,))
    write_batch(connection, [Message("box", "bridge", encode_cbor(minutes))], now=NOW)

    assert counts(imported(connection, tmp_path, [row(0, 60)])) == (0, 0, 1)
    assert counts(imported(connection, tmp_path, [row(1, 1)])) == (1, 0, 0)
    assert counts(imported(connection, tmp_path, [row(1, 1)])) == (0, 1, 0)
    assert [line.split(", ")[1] for line in stored(connection)] == ["60 s: 0/0=7", "60 s: 0/255=1 1/255=2"]


def test_minutes_that_retention_removed_are_not_added_again(connection: Connection, tmp_path: Path) -> None:
    """Where only the hour's sum is left, what came from this mapping is known, and anything else is refused."""
    rows = [row(minute, 1, 5) for minute in range(20)]
    imported(connection, tmp_path, rows)
    connection.execute(
        "INSERT INTO coverage_hour (sensor, bucket, observed_s, reported_s) SELECT key, %s, 1200, 1200 FROM sensor "
        "WHERE id = 'bridge'",
        [START],
    )
    connection.execute("UPDATE store SET minutes_from = %s", [START + timedelta(days=1)])
    connection.execute("DELETE FROM count_minute")
    connection.execute("DELETE FROM coverage_minute")

    assert counts(imported(connection, tmp_path, rows)) == (0, 20, 0)
    assert counts(imported(connection, tmp_path, [row(25, 1)])) == (0, 0, 1)
    assert counts(imported(connection, tmp_path, [row(90, 1)])) == (1, 0, 0)
    assert len(stored(connection)) == 1


# -- where it was -----------------------------------------------------------------------------------------------------


def test_an_unknown_sensor_waits_for_a_station(connection: Connection, tmp_path: Path) -> None:
    """What a sensor without a station counted is stored, and the report says that it waits."""
    report = imported(connection, tmp_path, [row(0, 60)])

    assert [(part.sensor, part.station, part.known_sensor) for part in report.parts] == [("bridge", None, False)]
    assert any("it waits for a station" in line for line in report.lines())
    assert len(stored(connection)) == 1


def test_a_station_that_is_asked_for_is_its_sensor_of_that_time(connection: Connection, tmp_path: Path) -> None:
    """--station counts for the sensor installed there at the time; before, a fault says what to do."""
    report = imported(connection, tmp_path, [row(0, 60)], station="markt")
    early = imported(connection, tmp_path, [row(-60 * 24 * 365 * 4, 60)], station="markt")

    assert [(part.station, part.sensor) for part in report.parts] == [("markt", "markt-1")]
    [fault] = early.findings.faults
    assert fault.kind is Kind.NOT_INSTALLED
    assert '"from": "2019-03-26T22:00:00Z"' in fault.text
    assert "footfall-ingest stations apply" in fault.text
    assert early.outcome == "refused"
    with pytest.raises(RefusedError, match=r"there is no station nowhere .*stations apply"):
        imported(connection, tmp_path, [row(0, 60)], station="nowhere")
    with pytest.raises(RefusedError, match="the files have 2 places"):
        imported(connection, tmp_path, [row(0, 60), row(0, 60, sensor="tower")], station="markt")


def test_a_sensor_that_is_asked_for_gets_all(connection: Connection, tmp_path: Path) -> None:
    """--sensor counts for that sensor, whatever the file calls the place."""
    imported(connection, tmp_path, [row(0, 60)], sensor="holzmarkt-2")

    assert [line.split()[0] for line in stored(connection)] == ["holzmarkt-2"]


def test_two_places_that_are_one_sensor_may_not_overlap(connection: Connection, tmp_path: Path) -> None:
    """Two names of a file for one sensor add up in time, and at the same time are a contradiction."""
    found = mapped(tmp_path)
    place = found.place.model_copy(update={"ids": {"east": "bridge", "west": "bridge"}})
    both = found.model_copy(update={"place": place})

    def run(*rows: Row) -> Report:
        return importing.run(connection, Wanted([table(tmp_path, rows)], "table", both), Rules(), now=NOW)

    assert counts(run(row(0, 60, sensor="east"), row(60, 60, sensor="west"))) == (2, 0, 0)
    assert [item.kind for item in run(row(120, 60, 1, sensor="east"), row(150, 60, sensor="west")).findings.faults] == [
        Kind.OVERLAP
    ]


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in [name for name in os.environ if name.startswith("FOOTFALL_")]:
        monkeypatch.delenv(name)


def command(folder: Path, dsn: str, *words: object) -> list[str]:
    """The words of an import by the mapping of these tests."""
    config = folder / "ingest.toml"
    config.write_text(f'[database]\ndsn = "{dsn}"\n')
    mapped(folder)
    return ["import", "--config", str(config), "--mapping", str(folder / "table.toml"), *map(str, words)]


def test_the_command_says_writes_and_reports(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run says what would happen and writes nothing; the import does just that; the report is a document."""
    path, packed, report = table(tmp_path, [row(0, 60, 4), row(60, 60, "")]), tmp_path / "x.csv.gz", tmp_path / "r.json"
    packed.write_bytes(gzip.compress(table(tmp_path, [row(120, 60, 6)]).read_bytes()))
    words = command(tmp_path, database, path, packed, "--report", report)

    dry = main([*words, "--dry-run"])
    said = capsys.readouterr().out.splitlines()
    would = json.loads(report.read_text())
    with psycopg.connect(database) as connection:
        assert stored(connection) == []
    status = main(words)
    done = capsys.readouterr().out.splitlines()
    did = json.loads(report.read_text())
    with psycopg.connect(database) as connection:
        assert len(stored(connection)) == 2

    assert (dry, status) == (0, 0)
    assert (said[-1], done[-1]) == ("would be imported", "imported")
    assert said[:-1] == done[:-1]
    assert {**would, "dry_run": False, "outcome": "imported"} == did
    assert {key: did[key] for key in ("rows", "new", "known", "conflicting", "unmeasured", "total")} == {
        "rows": 3, "new": 2, "known": 0, "conflicting": 0, "unmeasured": 1, "total": 22,
    }  # fmt: skip
    [sensor] = did["sensors"]
    assert sensor["first"] == "2023-03-25T22:00:00Z"
    assert sensor["coverage"] == 0.6667
    assert sensor["holes"] == [{"from": "2023-03-25T23:00:00Z", "to": "2023-03-26T00:00:00Z", "s": 3600}]


def test_a_file_with_a_fault_is_refused_and_can_be_taken_without_it(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One wrong row refuses the file, exit status 1; --skip-faulty leaves it out and lists it."""
    path = table(tmp_path, [row(0, 60), ("bridge", "yesterday", "today", "1", "2")])
    words = command(tmp_path, database, path)

    assert main(words) == 1
    refused = capsys.readouterr().out
    assert main([*words, "--skip-faulty"]) == 0
    taken = capsys.readouterr().out

    assert f"fault  time: {path} line 3: 'yesterday' is no time" in refused
    assert f"fault  time: {path} line 3: 'yesterday' is no time" in taken
    assert "nothing was imported: 1 fault; with --skip-faulty" in refused
    assert "imported; 1 fault left out, as not measured" in taken
    with psycopg.connect(database) as connection:
        assert len(stored(connection)) == 1


def test_a_killed_import_is_simply_run_again(database: str, tmp_path: Path) -> None:
    """A kill -9 while it writes leaves some sensors whole; the next run adds what is missing, once."""
    names = ["bridge", "tower", "wall"]
    path = table(tmp_path, [row(minute, 1, sensor=name) for name in names for minute in range(50)])
    words = [sys.executable, "-m", "footfall_ingest", *command(tmp_path, database, path)]
    with psycopg.connect(database, autocommit=True) as watching, psycopg.connect(database) as blocking:
        watching.execute("INSERT INTO sensor (id) VALUES ('wall')")
        blocking.execute("SELECT FROM sensor WHERE id = 'wall' FOR UPDATE")
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: len(stored(watching)) == 100, what="two of three sensors", timeout=60)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        blocking.rollback()
        assert len(stored(watching)) == 100

        again = subprocess.run(words, capture_output=True, text=True, check=True)

        assert "150 intervals: 50 new, 100 known, 0 conflicting" in again.stdout
        assert len(stored(watching)) == 150
        assert {line.split(": ")[1] for line in stored(watching)} == {"0/255=1 1/255=2"}
        assert watching.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)


def test_mappings_are_listed_and_shown(blank_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--list names each ready mapping with its title, --show prints one; neither asks the database."""
    config = command(tmp_path, blank_database)[:3]
    assert main([*config, "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert main([*config, "--mapping", "hystreet", "--show"]) == 0
    shown = capsys.readouterr().out

    assert [line.split()[0] for line in listed] == mapping.names()
    assert 'prefix = "hystreet-"' in shown


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--mapping", "hystret", "x.csv"], "there is no mapping hystret: .*; do you mean hystreet?"),
        (["x.csv"], "--mapping is missing: one of auckland, "),
        (["--mapping", "hystreet"], "no file is named"),
        (["--mapping", "none.toml", "x.csv"], "none.toml: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    """A sentence on standard error and exit status 1."""
    config = command(tmp_path, database)[:3]

    assert main([*config, *words]) == 1
    assert re.search(complaint, capsys.readouterr().err)
