"""A past from a file goes into a real database once, whole or not at all."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from footfall_contract.report import SlotReport, encode_cbor
from footfall_demo.city import known_stations, read_stations
from footfall_demo.history_csv import Bounds, History, read_history
from footfall_demo.history_import import CancelledError, ConflictError, Imported, import_history
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.stations import apply_stations

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = "52.5,13.4,Europe/Berlin"
HEADER = "station,interval_start,interval_end,direction,count,coverage,state,latitude,longitude,timezone"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """A connection to a database with the stations of Jena, as the demo has it."""
    with psycopg.connect(database, autocommit=True) as connection:
        apply_stations(connection, read_stations())
        yield connection


def hour(number: int, count: str, *, station: str = "nord", direction: str = "", rest: str = ",") -> str:
    """A row about one hour of the first of May, in UTC."""
    place = PLACE if station != "markt" else ",,"
    begin = f"2024-05-{1 + number // 24:02}T{number % 24:02}:00:00Z"
    end = f"2024-05-{1 + (number + 1) // 24:02}T{(number + 1) % 24:02}:00:00Z"
    return f"{station},{begin},{end},{direction},{count},{rest},{place}"


def past(tmp_path: Path, *rows: str) -> History:
    """The history in a file with these rows."""
    path = tmp_path / f"{uuid4()}.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    bounds = Bounds(oldest=0, now=int(NOW.timestamp()), live_since=None)
    return read_history(path, known_stations(read_stations()), bounds)


def content(connection: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    """All counts that are stored, and everything that was refused."""
    queries = {
        "count_span": "SELECT id, starts, ends, direction, class, count FROM count_span",
        "coverage_span": "SELECT id, starts, ends, observed_s FROM coverage_span",
        "count_minute": "SELECT id, minute_start(minute), direction, class, count FROM count_minute",
        "coverage_minute": "SELECT id, minute_start(minute), observed_s FROM coverage_minute",
    }
    found = {
        name: connection.execute(f"{query} JOIN sensor ON key = {name}.sensor ORDER BY 1, 2, 3").fetchall()
        for name, query in queries.items()
    }
    found["station"] = connection.execute(
        "SELECT station, valid_from, valid_to, role FROM installation ORDER BY station, valid_from"
    ).fetchall()
    found["quarantine"] = connection.execute("SELECT reason, detail FROM quarantine").fetchall()
    return found


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    """A time in May 2024."""
    return datetime(2024, 5, day, hour, minute, tzinfo=UTC)


def test_what_a_file_says_is_stored(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Counts, seconds and gaps are stored as the file says, and a new station stands there for just that time."""
    rows = [
        hour(9, "5", direction="in", rest="0.5,partial"),
        hour(9, "3", direction="out", rest="0.5,partial"),
        hour(11, "0"),
        hour(12, "", rest="0,missing"),
        hour(13, "70", rest="0,recovered"),
    ]

    assert import_history(connection, past(tmp_path, *rows)) == Imported(written=5, known=0)
    found = content(connection)
    assert found["count_span"] == [
        ("nord-1", utc(1, 9), utc(1, 10), 0, 255, 5),
        ("nord-1", utc(1, 9), utc(1, 10), 1, 255, 3),
        ("nord-1", utc(1, 13), utc(1, 14), 2, 255, 70),
    ]
    assert found["coverage_span"] == [
        ("nord-1", utc(1, 9), utc(1, 10), 1800),
        ("nord-1", utc(1, 10), utc(1, 11), 0),  # the hole: nothing is known, and that is said
        ("nord-1", utc(1, 11), utc(1, 12), 3600),
        ("nord-1", utc(1, 12), utc(1, 13), 0),
        ("nord-1", utc(1, 13), utc(1, 14), 0),
    ]
    assert [row for row in found["station"] if row[0] == "nord"] == [("nord", utc(1, 9), utc(1, 14), "part")]
    assert found["count_minute"] == found["coverage_minute"] == found["quarantine"] == []
    received = connection.execute("SELECT received FROM stream").fetchall()
    assert [len(ranges) for (ranges,) in received] == [1]


def test_aligned_minutes_are_minutes(connection: psycopg.Connection, tmp_path: Path) -> None:
    """An interval of one whole minute is stored as a minute, as live counts are; any other one as a span."""
    rows = [
        f"nord,2024-05-01T09:00:00Z,2024-05-01T09:01:00Z,in,4,0.5,partial,{PLACE}",
        f"nord,2024-05-01T09:01:00Z,2024-05-01T09:03:00Z,in,6,,,{PLACE}",
        f"nord,2024-05-01T09:03:30Z,2024-05-01T09:04:30Z,in,7,,,{PLACE}",
    ]
    import_history(connection, past(tmp_path, *rows))

    found = content(connection)
    assert found["count_minute"] == [("nord-1", utc(1, 9), 0, 255, 4)]
    assert found["coverage_minute"] == [("nord-1", utc(1, 9), 30)]
    assert [row[-1] for row in found["count_span"]] == [6, 7]
    assert [row for row in found["station"] if row[0] == "nord"] == [("nord", utc(1, 9), utc(1, 9, 5), "part")]


def test_a_second_time_is_a_duplicate(connection: psycopg.Connection, tmp_path: Path) -> None:
    """The same file again, in another order, changes nothing and says that all was there."""
    rows = [hour(n, str(n)) for n in (1, 2, 5, 6)]
    assert import_history(connection, past(tmp_path, *rows)) == Imported(written=6, known=0)
    before = content(connection)

    assert import_history(connection, past(tmp_path, *reversed(rows))) == Imported(written=0, known=6)
    assert content(connection) == before


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (hour(2, "9"), "line 3: .*9 undirected/unknown in 3600 s measured in the file, 2 undirected/unknown in 3600 s"),
        (hour(2, "2", rest="0.5,"), "line 3: .*in 1800 s measured in the file.* in 3600 s measured stored"),
        (hour(2, "2", direction="in"), "line 3: .*2 in/unknown .*2 undirected/unknown"),
        (hour(2, ""), "line 3: .*not measured in the file"),
        (hour(3, "7"), "line 3: .*7 undirected/unknown in 3600 s measured in the file, not measured stored"),
        (
            f"nord,2024-05-01T02:00:00Z,2024-05-01T02:30:00Z,,1,,,{PLACE}",
            "line 3: .*stored is another part of this time",
        ),
        (
            f"nord,2024-05-01T02:00:00Z,2024-05-02T00:00:00Z,,1,,,{PLACE}",
            "line 3: .*stored is another part of this time",
        ),
    ],
    ids=["count", "coverage", "direction", "gap", "hole", "a-part-of-it", "more-than-it"],
)
def test_another_value_for_the_same_time_is_a_conflict(
    connection: psycopg.Connection, tmp_path: Path, row: str, complaint: str
) -> None:
    """Whatever differs from what is stored is reported with its line, and nothing of the file is taken over."""
    import_history(connection, past(tmp_path, *(hour(n, str(n)) for n in (1, 2, 4))))
    before = content(connection)

    with pytest.raises(ConflictError, match=complaint):
        import_history(connection, past(tmp_path, hour(0, "1"), row))
    assert content(connection) == before


def test_a_conflict_at_one_station_keeps_all_out(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Of a file with two stations nothing is taken over if one of them contradicts what is stored."""
    import_history(connection, past(tmp_path, hour(1, "1", station="sued")))
    before = content(connection)

    with pytest.raises(ConflictError) as caught:
        import_history(connection, past(tmp_path, hour(1, "5", station="nord"), hour(1, "2", station="sued")))
    assert len(caught.value.conflicts) == 1
    assert content(connection) == before


def test_a_longer_file_adds_what_is_new(connection: psycopg.Connection, tmp_path: Path) -> None:
    """A file that says more about the same station adds that, and the station stands there for the whole time."""
    import_history(connection, past(tmp_path, *(hour(n, str(n)) for n in (5, 6))))

    longer = past(tmp_path, *(hour(n, str(n)) for n in (3, 5, 6, 8)))
    assert import_history(connection, longer) == Imported(written=4, known=2)
    found = content(connection)
    assert [(row[1].hour, row[-1]) for row in found["count_span"]] == [(3, 3), (5, 5), (6, 6), (8, 8)]
    assert [row for row in found["station"] if row[0] == "nord"] == [("nord", utc(1, 3), utc(1, 9), "part")]


def test_a_hole_is_left_where_another_file_knew_more(connection: psycopg.Connection, tmp_path: Path) -> None:
    """What one file left out and another one brought stays, when the first one comes again."""
    first = past(tmp_path, hour(1, "1"), hour(5, "5"))
    halves = [
        f"nord,2024-05-01T02:00:00Z,2024-05-01T02:30:00Z,,1,,,{PLACE}",
        f"nord,2024-05-01T02:30:00Z,2024-05-01T03:00:00Z,,1,,,{PLACE}",
    ]
    import_history(connection, past(tmp_path, *halves, hour(3, "3")))

    import_history(connection, first)
    assert import_history(connection, first) == Imported(written=0, known=5)
    found = content(connection)
    assert [(row[1].hour, row[-1]) for row in found["count_span"]] == [(1, 1), (2, 1), (2, 1), (3, 3), (5, 5)]
    assert [row[1].hour for row in found["coverage_span"]] == [1, 2, 2, 3, 4, 5]


def test_a_known_station_s_own_sensor_is_used(connection: psycopg.Connection, tmp_path: Path) -> None:
    """The past of a station of the stations file is that of the sensor that stands there; nothing is installed anew."""
    before = content(connection)["station"]
    import_history(connection, past(tmp_path, hour(1, "8", station="markt")))

    found = content(connection)
    assert found["station"] == before
    assert [row[0] for row in found["count_span"]] == ["markt-1"]
    assert connection.execute("SELECT count(*) FROM sensor_node").fetchone() == (0,)


def test_time_that_was_counted_otherwise_is_a_conflict(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Minutes that a sensor itself reported are not counted a second time by a file about the same hour."""
    minute = SlotReport("markt-1", uuid4(), 0, int(utc(1, 9, 30).timestamp()), 60, 1, (60,), (0,), (0,), (0,), (1,))
    write_batch(connection, [Message("box", "markt-1", encode_cbor(minute))], now=NOW)
    before = content(connection)

    with pytest.raises(ConflictError, match=r"line 2: .*2024-05-01T09:30:00Z to 2024-05-01T09:31:00Z"):
        import_history(connection, past(tmp_path, hour(9, "60", station="markt")))
    assert content(connection) == before


def test_many_conflicts_are_counted(connection: psycopg.Connection, tmp_path: Path) -> None:
    """Of a hundred conflicts the first ones are shown and the others counted."""
    import_history(connection, past(tmp_path, *(hour(n, "1") for n in range(100))))

    with pytest.raises(ConflictError) as caught:
        import_history(connection, past(tmp_path, *(hour(n, "2") for n in range(100))))
    assert len(caught.value.conflicts) == 100
    assert str(caught.value).endswith("… and 80 more")


def test_stopping_leaves_nothing_half_done(connection: psycopg.Connection, tmp_path: Path) -> None:
    """When somebody asks to stop in the middle, nothing of the file is there; the next time all of it."""
    rows = [hour(n, "1") for n in range(10)]
    before = content(connection)
    with pytest.raises(CancelledError):
        import_history(connection, past(tmp_path, *rows), cancelled=lambda: True)
    assert content(connection) == before

    assert import_history(connection, past(tmp_path, *rows)).written == 10
