"""What never was a sensor is taken out again; what was one is not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from footfall_ingest.__main__ import main
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.forget import forget, forget_strange, made_by, strange
from footfall_ingest.history import mapping, writing
from footfall_ingest.quarantine import Selection, selected
from footfall_ingest.rollup import roll_up
from footfall_ingest.store import lock_known_sensors
from footfall_testing.ingest_store import NOON, message, report, stored, stream_of

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 86_400, UTC)


@pytest.fixture
def connection(any_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a database on which the commands work too, on plain PostgreSQL and on TimescaleDB."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", any_database)
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


def everything_of(connection: Connection, key: int) -> dict[str, int]:
    """Rows that name a sensor, by table."""
    query = """
        SELECT relname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
          AND attname = 'sensor' AND atttypid = 'int4'::regtype
    """
    tables = [table for (table,) in connection.execute(query)]
    assert len(tables) >= 9
    counts = {t: connection.execute(f"SELECT count(*) FROM {t} WHERE sensor = %s", [key]).fetchall() for t in tables}  # type: ignore[arg-type]
    return {table: number for table, ((number,),) in counts.items() if number}


def key_of(connection: Connection, sensor: str) -> int:
    """The key of a sensor."""
    found: int = connection.execute("SELECT key FROM sensor WHERE id = %s", [sensor]).fetchall()[0][0]
    return found


@pytest.fixture
def made_up(connection: Connection) -> int:
    """A sensor that never was, of the node `bad`, with something in every table; beside it an honest one."""
    write_batch(
        connection,
        [message(report("made-up-1", n, start=NOON + 60 * n, slot=60, cells=[(0, 0, 0, 7)]), "bad") for n in range(90)]
        + [
            message(report("made-up-1", 90, start=NOON - 900, slot=301, observed=[5]), "bad"),
            message(report("made-up-1", 91, start=NOON + 10 * 86_400), "bad"),
            message(report("markt-1"), "good"),
        ],
        now=NOW,
    )
    connection.execute("INSERT INTO sensor_state VALUES ('bad', 'made-up-1', '{}', now())")
    roll_up(connection, NOW)
    write_batch(connection, [message(report("made-up-1", 92, start=NOON - 60), "bad")], now=NOW)
    return key_of(connection, "made-up-1")


def test_nothing_stays_of_a_sensor_that_never_was(
    connection: Connection, made_up: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said first, done with --yes: no row in any table names it, and the honest one's are as they were.

    What it has in quarantine stays, and holds no number any more.
    """
    before = stored(connection)
    assert len(everything_of(connection, made_up)) >= 8

    said = main(["sensor", "forget", "made-up-1"]), capsys.readouterr().out
    unchanged = stored(connection)
    done = main(["sensor", "forget", "made-up-1", "--yes"]), capsys.readouterr().out

    assert said[0] == done[0] == 0
    assert said[1].splitlines()[0] == "sensor made-up-1, named by node bad: 632 passages in 92 minutes and spans"
    assert "nothing was changed" in said[1]
    assert unchanged == before
    assert done[1].splitlines()[-1] == "forgotten: 1 sensors, 0 numbers of others' sensors"
    assert everything_of(connection, made_up) == {}
    assert connection.execute("SELECT id FROM sensor").fetchall() == [("markt-1",)]
    assert connection.execute("SELECT count(*) FROM sensor_state").fetchall() == [(0,)]
    after = stored(connection)
    assert after.counts == {key: value for key, value in before.counts.items() if key[0] == "markt-1"}
    assert connection.execute("SELECT holds_number, closed_at FROM quarantine").fetchall() == [(False, None)]


def test_many_are_forgotten_whatever_becomes_of_chunks(connection: Connection) -> None:
    """Also where the rows of each lie months apart and the hypertables' chunks change meanwhile: no plan is kept."""
    for n in range(12):
        start = NOON - n * 40 * 86_400
        write_batch(connection, [message(report(f"m-{n}", start=start, slot=60), "bad")], now=NOW)
        if n >= 6:
            for sensor in (f"m-{n}", f"m-{n - 6}"):
                forget(connection, sensor)

    query = "SELECT statement FROM pg_prepared_statements WHERE statement ~ '^DELETE FROM (count|coverage|dirty)'"
    prepared = connection.execute(query, prepare=False)
    assert prepared.fetchall() == []
    assert connection.execute("SELECT id FROM sensor").fetchall() == []


def test_a_sensor_that_is_named_again_begins_anew(connection: Connection, made_up: int) -> None:
    """Who still sends makes it again, and nothing of before is in the way: the same report counts, once."""
    forget(connection, "made-up-1")

    outcome = write_batch(
        connection, [message(report("made-up-1", 3, start=NOON + 180, slot=60), "other")] * 2, now=NOW
    )

    assert (outcome.stored, outcome.duplicate) == (1, 1)
    assert key_of(connection, "made-up-1") != made_up
    assert ("made-up-1", "other") in stored(connection).claims


SHARED = "INSERT INTO sensor_node SELECT key, 'good', '2026-03-01 13:00Z' FROM sensor"
IMPORTED = """
    INSERT INTO stream (sensor, stream, received) SELECT key, '6f3c5e0a-7c1e-4b0a-9d55-3f1d2c4b5a60', '{}' FROM sensor
"""
INSTALLED = """
    INSERT INTO station (id, name, timezone, longitude, latitude) VALUES ('markt', 'Markt', 'UTC', 11, 50);
    INSERT INTO installation SELECT key, 'markt', '2020-01-01', '2021-01-01', 'part' FROM sensor;
"""


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("INSERT INTO remark (sensor, starts, kind, text) SELECT key, '2026-03-01', 'note', 'x' FROM sensor", "remark"),
        (INSTALLED, "it hangs or hung at station markt"),
        (SHARED, "several nodes had it: bad, good"),
        (IMPORTED, "it has imported history"),
    ],
    ids=["remark", "station", "node", "import"],
)
def test_what_was_a_sensor_is_not_forgotten(
    connection: Connection, statement: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that a station had, a remark is about, or something else counts under, stays; it says what to do instead."""
    write_batch(connection, [message(report(), "bad")], now=NOW)
    connection.execute(statement)  # type: ignore[arg-type]
    before = stored(connection)

    status = main(["sensor", "forget", "markt-1", "--yes"])

    assert status == 1
    error = capsys.readouterr().err
    assert why in error
    assert "footfall-ingest remark add --sensor markt-1" in error
    assert "--exclude" in error
    assert stored(connection) == before
    assert made_by(connection, "bad") == []


def test_what_is_not_there_and_what_was_not_said(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that no sensor has is refused before anything is done; so is a command that names nothing, or both."""
    write_batch(connection, [message(report("made-up-1"), "bad")], now=NOW)

    assert main(["sensor", "forget", "made-up-1", "made-up-2", "--yes"]) == 1
    assert "there is no sensor made-up-2" in capsys.readouterr().err
    assert main(["sensor", "forget", "--yes"]) == main(["sensor", "forget", "made-up-1", "--node", "bad"]) == 1
    assert main(["sensor", "forget", "--node", "good"]) == 0
    assert "there is nothing to forget of node good" in capsys.readouterr().out
    assert set(stored(connection).directions) == {"made-up-1"}


def test_what_others_have_is_not_the_nodes_alone(connection: Connection) -> None:
    """A name that it was the first to say stays once another node, or an import, counts under it."""
    for n in range(4):
        write_batch(connection, [message(report(f"s-{n}"), "bad")], now=NOW)
    connection.execute("INSERT INTO sensor_node SELECT key, 'good', '2026-03-01 13:00Z' FROM sensor WHERE id = 's-1'")
    write_batch(connection, [message(report("s-2", stream="file", start=NOON - 60), None)], now=NOW)
    write_batch(connection, [message(report("s-3", stream="x", start=NOON + 60), "third")], now=NOW)

    assert made_by(connection, "bad") == ["s-0", "s-3"]


def test_numbers_of_others_sensors_are_let_go(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """A node that marked the numbers of an import as received kept it from being stored; afterwards it is stored.

    The numbers of a box that really had the sensor once stay marked: what it sent is in the store.
    """
    history = report(start=NOON - 7200, slot=3600, seq=writing.number(NOON - 7200, 3600), stream="file")
    other = report(start=NOON - 14_400, slot=3600, seq=writing.number(NOON - 14_400, 3600), stream="file")
    write_batch(connection, [message(report()), message(other, None)], now=NOW)
    poison = report(stream="file", seq=history.seq, start=NOON + 60)
    fresh = report(stream="more", seq=5, start=NOON + 60)
    write_batch(connection, [message(poison, "bad"), message(fresh, "bad"), message(report("x-1"), "bad")], now=NOW)
    assert write_batch(connection, [message(history, None)], now=NOW).duplicate == 1
    assert strange(connection, "bad") == {"markt-1": 2}
    assert strange(connection, "jena-sued") == {}

    assert main(["sensor", "forget", "--node", "bad", "--yes"]) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[1] == "sensor markt-1, which never was bad's: 2 numbers of reports that lie in quarantine"
    assert said[-1] == "forgotten: 1 sensors, 2 numbers of others' sensors"
    assert write_batch(connection, [message(history, None)], now=NOW).stored == 1
    received = stored(connection).received
    assert set(received) == {("markt-1", stream_of("first")), ("markt-1", stream_of("file"))}
    assert strange(connection, "bad") == {}
    assert write_batch(connection, [message(other, None)], now=NOW).duplicate == 1


def test_what_a_node_says_of_sensors_of_others_goes(connection: Connection) -> None:
    """Its healths of its own sensors stay; those of others' and of nobody's, which may be any names, do not."""
    write_batch(connection, [message(report("a-1"), "good"), message(report("b-1"), "bad")], now=NOW)
    for sensor in ("a-1", "b-1", "c-1"):
        connection.execute("INSERT INTO sensor_state VALUES ('bad', %s, '{}', now())", [sensor])

    forget_strange(connection, "bad")

    found = connection.execute("SELECT sensor FROM sensor_state ORDER BY 1").fetchall()
    assert found == [("b-1",)]


def test_an_import_says_that_its_numbers_were_taken(
    connection: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not pass over in silence what it would take for received, though nothing of it is stored."""
    table, words = tmp_path / "hours.csv", tmp_path / "mine.toml"
    table.write_text("from,to,n\n2026-02-01T10:00:00Z,2026-02-01T11:00:00Z,5\n")
    words.write_text(
        'title = "mine"\n[time]\ncolumns = ["from"]\nend_columns = ["to"]\nformat = "iso"\n'
        '[place]\nby = "sensor"\nid = "markt-1"\n[[value]]\ncolumn = "n"\n'
    )
    name, _ = mapping.load(str(words))
    number = writing.number(NOON, 3600) - 28 * 24 - 2
    stream = writing.past_stream("markt-1", f"{name}/3600/{number // writing.CHAPTER}")
    poison = replace(report(seq=number, start=NOON + 60), stream=stream)
    write_batch(connection, [message(report())], now=NOW)
    write_batch(connection, [message(poison, "bad")], now=NOW)
    command = ["import", str(table), "--mapping", str(words)]

    status = main(command)

    said = capsys.readouterr().err
    assert status == 1
    assert "1 interval of sensor markt-1 would be taken for received already" in said
    assert "their numbers were used by node bad. `footfall-ingest sensor forget --node bad`" in said
    assert main(["sensor", "forget", "--node", "bad", "--yes"]) == 0
    assert main(command) == 0
    assert sum(stored(connection).spans.values()) == 5


def test_who_waits_for_a_sensor_that_is_forgotten_tries_again(connection: Connection, made_up: int) -> None:
    """A batch that found the sensor and waits for its lock fails in a way that another try overcomes."""
    forget(connection, "made-up-1")

    with pytest.raises(psycopg.errors.SerializationFailure, match="made-up-1 was forgotten"):
        lock_known_sensors(connection, ["markt-1", "made-up-1"])
    assert made_up


def test_a_whole_node_is_closed_in_quarantine(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """`close` takes the filters of `list`; without any, and without ids, it does nothing."""
    write_batch(connection, [Message(node, "x", b"%d" % n) for n in range(3) for node in ("bad", "good")], now=NOW)

    assert main(["quarantine", "close", "--why", "x"]) == 1
    assert "say which" in capsys.readouterr().err
    assert main(["quarantine", "close", "--node", "bad", "--why", "stolen", "--by", "me"]) == 0

    assert capsys.readouterr().out == "closed 3\n"
    assert len(list(selected(connection, Selection()))) == 3
    rows = connection.execute("SELECT DISTINCT node, closed_why, closed_by FROM quarantine WHERE closed_at IS NOT NULL")
    assert rows.fetchall() == [("bad", "stolen", "me")]
