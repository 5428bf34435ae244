"""Remarks: noted, ended and withdrawn by commands, never deleted, in the time that the place's own clocks show."""

import json
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from footfall_ingest import areas, stations
from footfall_ingest.__main__ import main
from footfall_ingest.areas_file import parse as parse_areas
from footfall_ingest.flush import write_batch
from footfall_ingest.stations_file import parse as parse_stations
from footfall_testing.ingest_store import NOON, message, report

Connection = psycopg.Connection[Any]
Said = pytest.CaptureFixture[str]

NOW = datetime.fromtimestamp(NOON + 86_400, UTC)

BERLIN, PORTO = [11.58, 50.93], [-8.62, 41.15]


def station(name: str, position: Sequence[float], zone: str, *sensors: tuple[str, str, str | None]) -> dict[str, Any]:
    """A feature; sensors with their beginning and end."""
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "Point", "coordinates": list(position)},
        "properties": {
            "name": name,
            "timezone": zone,
            "sensors": [{"id": sensor, "from": since, "to": until} for sensor, since, until in sensors],
        },
    }


def around(name: str, *positions: Sequence[float]) -> dict[str, Any]:
    """An area of a small triangle about each position."""
    corners = [[(x - 0.1, y - 0.1), (x + 0.1, y - 0.1), (x, y + 0.1), (x - 0.1, y - 0.1)] for x, y in positions]
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "MultiPolygon", "coordinates": [[list(map(list, ring))] for ring in corners]},
        "properties": {"name": name, "kind": "Quartier"},
    }


@pytest.fixture(scope="module")
def town(postgres_server: Any, postgres_template: str) -> Iterator[str]:
    """Two cities with clocks an hour apart; the sensor m-2 hung in one until March and hangs in the other since."""
    name = f"footfall_{secrets.token_hex(6)}"
    dsn = postgres_server.create(name, postgres_template)
    cities = [
        station(
            "markt", BERLIN, "Europe/Berlin", ("m-1", "2020-01-01", None), ("m-2", "2020-01-01", "2026-03-01T12:30")
        ),
        station("ribeira", PORTO, "Europe/Lisbon", ("m-2", "2026-03-01T11:30", None)),
    ]
    with psycopg.connect(dsn, autocommit=True) as connection:
        stations.apply_stations(connection, parse_stations({"type": "FeatureCollection", "features": cities}))
        shapes = [around("mitte", BERLIN), around("everywhere", BERLIN, PORTO), around("nowhere", [0.0, 0.0])]
        areas.apply_areas(connection, parse_areas({"type": "FeatureCollection", "features": shapes}))
        connection.execute("INSERT INTO sensor (id) VALUES ('stored-1')")
    yield dsn
    postgres_server.drop(name)


@pytest.fixture
def connection(town: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to the town, on which the commands work too, without remarks and counts."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", town)
    with psycopg.connect(town, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE remark, count_minute, coverage_minute, count_hour, coverage_hour, dirty_hour, count_span, "
            "coverage_span, stream, sensor_node RESTART IDENTITY"
        )
        connection.execute("UPDATE store SET minutes_from = '-infinity'")
        yield connection


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    """What is in the table: the place, beginning and end in UTC, and whether it was withdrawn."""
    query = """
        SELECT remark.id, coalesce(station, sensor.id, area), to_char(starts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
               to_char(ends AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), excludes, withdrawn_why
        FROM remark LEFT JOIN sensor ON key = sensor ORDER BY remark.id
    """
    return connection.execute(query).fetchall()


def add(*words: str, kind: str = "works", text: str = "Gerüst am Rathaus") -> int:
    """The status of ``remark add``."""
    return status_of("remark", "add", "--kind", kind, "--text", text, *words)


def status_of(*words: str) -> int:
    """The status with which a command leaves."""
    try:
        return main(words)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else -1


TIMES = {
    "station": ("--station markt", "2026-07-01T10:00", "2026-07-01 08:00"),
    "station-abroad": ("--station ribeira", "2026-07-01T10:00", "2026-07-01 09:00"),
    "date": ("--station markt", "2026-07-01", "2026-06-30 22:00"),
    "offset": ("--station markt", "2026-07-01T10:00Z", "2026-07-01 10:00"),
    "october-twice": ("--station markt", "2026-10-25T02:30", "2026-10-25 00:30"),
    "october-offset": ("--station markt", "2026-10-25T02:30+01:00", "2026-10-25 01:30"),
    "sensor-before": ("--sensor m-2", "2026-02-01T12:00", "2026-02-01 11:00"),
    "sensor-after": ("--sensor m-2", "2026-03-02T12:00", "2026-03-02 12:00"),
    "sensor-then": ("--sensor m-2", "2026-03-01T11:30Z", "2026-03-01 11:30"),
    "sensor-early": ("--sensor m-2", "2019-07-01T10:00", "2019-07-01 08:00"),
    "sensor-in-store": ("--sensor stored-1", "2026-07-01T10:00", "2026-07-01 08:00"),
    "area": ("--area mitte", "2026-07-01T10:00", "2026-07-01 08:00"),
    "area-empty": ("--area nowhere", "2026-07-01T10:00", "2026-07-01 08:00"),
    "area-offset": ("--area everywhere", "2026-07-01T10:00+02:00", "2026-07-01 08:00"),
}


@pytest.mark.parametrize(("place", "text", "utc"), TIMES.values(), ids=TIMES)
def test_a_time_is_that_of_the_places_clocks(connection: Connection, place: str, text: str, utc: str) -> None:
    """Of the station, for a sensor where it hangs then, for an area of its stations; an offset decides."""
    assert add(*place.split(), "--from", text) == 0

    assert [row[1:] for row in stored(connection)] == [(place.split()[1], utc, None, False, None)]


def test_now_is_this_minute(connection: Connection) -> None:
    """A remark of now begins with the minute that runs."""
    before = datetime.now(UTC).replace(second=0, microsecond=0)
    assert add("--station", "markt", "--from", "now") == 0

    (row,) = connection.execute("SELECT starts FROM remark").fetchall()
    assert before <= row[0] <= datetime.now(UTC)


REFUSED = {
    "station": ("--station marktt --from now", "there is no station marktt; nearest are markt, ribeira"),
    "sensor": ("--sensor m1 --from now", "there is no sensor m1; nearest are m-1, m-2, stored-1"),
    "area": ("--area mite --from now", "there is no area mite; nearest are mitte, "),
    "id": ("--station Märkt --from now", "'Märkt' is no id"),
    "none": ("--from now", "one of the arguments --station --sensor --area is required"),
    "two": ("--station markt --area mitte --from now", "not allowed with"),
    "seconds": ("--station markt --from 2026-03-01T10:00:30", "--from: '2026-03-01T10:00:30' is not a whole minute"),
    "march": ("--station markt --from 2026-03-29T02:30", "--from: '2026-03-29T02:30' does not exist"),
    "march-sensor": ("--sensor m-1 --from 2026-03-29T02:30", "--from: '2026-03-29T02:30' does not exist"),
    "no-time": ("--station markt --from gestern", "--from: 'gestern' is no date or time; right is a date"),
    "year": ("--station markt --from 2206-01-01", "'2206-01-01' is not between the years 2000 and 2099"),
    "order": ("--station markt --from 2026-03-02 --to 2026-03-01", "--to is after --from"),
    "empty-time": ("--station markt --from 2026-03-01 --to 2026-03-01", "--to is after --from"),
    "zones": (
        "--area everywhere --from 2026-03-01",
        "could be 2026-02-28T23:00Z or 2026-03-01T00:00Z: area everywhere",
    ),
    "moved": (
        "--sensor m-2 --from 2026-03-01T12:00",
        "could be 2026-03-01T11:00Z or 2026-03-01T12:00Z: sensor m-2 has",
    ),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_noted_is_refused_in_a_sentence(
    connection: Connection, capsys: Said, words: str, said: str
) -> None:
    """With status 1 or 2, and nothing is stored."""
    assert add(*words.split()) in {1, 2}

    assert said in capsys.readouterr().err
    assert stored(connection) == []


@pytest.mark.parametrize("text", ["", "  ", "one\ntwo"])
def test_a_remark_says_something_in_one_line(connection: Connection, capsys: Said, text: str) -> None:
    """What is published beside the counts has to be readable there."""
    assert add("--station", "markt", "--from", "now", text=text) == 1

    assert "--text must be a text of printable characters in one line" in capsys.readouterr().err
    assert stored(connection) == []


def test_the_same_remark_is_noted_once(connection: Connection, capsys: Said) -> None:
    """Whoever repeats a command is told; a remark that differs, or follows a withdrawn one, is another."""
    words = ["--station", "markt", "--from", "2026-03-01"]
    assert add(*words) == 0

    assert add(*words) == 1
    assert "remark 1 says exactly this already" in capsys.readouterr().err
    assert add(*words, "--exclude") == 0
    assert status_of("remark", "withdraw", "1", "--why", "wrong") == 0
    assert add(*words) == 0
    assert len(stored(connection)) == 3


def test_excluding_says_what_is_left_out(connection: Connection, capsys: Said) -> None:
    """Each sensor from when to when, cut to where it hangs, with the passages that this hides; they stay stored.

    11:00     11:30       12:00 UTC          13:00
    m-1 at markt ─────────────────────────────────▶   5 at 11:59, 1 + 2 at 12:00, 7 from 12:30 to 13:30;
                                                      100 until 11:10 and 200 from 13:00 on
    m-2 markt │ ribeira ──────────────────────────▶   4 at 11:20, 3 at 12:00
              [ excluded at the station markt ]
    """
    found = [
        report("m-1", 0, start=NOON - 60, slot=60, observed=[60, 60], cells=[(0, 0, 0, 5), (1, 0, 0, 1), (1, 1, 0, 2)]),
        report("m-1", 1, start=NOON + 1800, slot=3600, observed=[3600], cells=[(0, 0, 0, 7)]),
        report("m-1", 2, start=NOON - 6600, slot=3600, observed=[0], cells=[(0, 0, 0, 100)]),
        report("m-1", 3, start=NOON + 3600, slot=3600, observed=[0], cells=[(0, 0, 0, 200)]),
        report("m-2", 0, start=NOON - 2400, slot=60, observed=[60], cells=[(0, 0, 0, 4)]),
        report("m-2", 1, start=NOON, slot=60, observed=[60], cells=[(0, 0, 0, 3)]),
    ]
    write_batch(connection, [message(one) for one in found], now=NOW)
    words = ["--from", "2026-03-01T12:10+01:00", "--to", "2026-03-01T14:00+01:00", "--exclude"]
    assert add("--station", "markt", *words) == 0

    left_out = "left out of answers: sensor"
    assert capsys.readouterr().out.splitlines() == [
        "remark 1: works at station markt from 2026-03-01T12:10+01:00 to 2026-03-01T14:00+01:00: Gerüst am Rathaus",
        f"{left_out} m-1 at station markt from 2026-03-01T12:10+01:00 to 2026-03-01T14:00+01:00: 15 stored passages",
        f"{left_out} m-2 at station markt from 2026-03-01T12:10+01:00 to 2026-03-01T12:30+01:00: 4 stored passages",
        "hidden in all: 19 stored passages; they stay stored",
    ]
    assert add("--sensor", "m-2", *words) == 0
    assert [line.rsplit(": ", 1)[1] for line in capsys.readouterr().out.splitlines()[1:3]] == [
        "4 stored passages",
        "3 stored passages",
    ]
    assert add("--area", "everywhere", *words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "hidden in all: 22 stored passages; they stay stored"
    assert add("--station", "ribeira", "--from", "2020-01-01", "--to", "2020-01-02", "--exclude") == 0
    assert "no sensor is installed there in that time" in capsys.readouterr().out
    assert add("--station", "markt", "--from", "2026-03-01T13:00", "--exclude") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].endswith("from 2026-03-01T13:00+01:00 to further notice: 210 stored passages")
    assert connection.execute("SELECT sum(count) FROM count_minute").fetchone() == (15,)


def test_passages_of_minutes_that_were_removed_are_counted_by_the_hour(connection: Connection, capsys: Said) -> None:
    """Hours whose minutes retention removed hide what they hold, with what came late; later ones are not added twice.

    11:00           12:00           13:00   (UTC)
    │ hour: 40      │ hour: 50      │
      late minute: 2   minutes: 50 in all
                    └ minutes are kept from here
    """
    keys = dict(connection.execute("SELECT id, key FROM sensor").fetchall())
    key, noon = keys["m-1"], datetime.fromtimestamp(NOON, UTC)
    connection.execute("UPDATE store SET minutes_from = %s", [noon])
    for bucket, count in [(NOON - 3600, 40), (NOON, 50)]:
        at = datetime.fromtimestamp(bucket, UTC)
        connection.execute("INSERT INTO count_hour VALUES (%s, %s, 0, 0, %s)", [key, at, count])
    for second, count in [(NOON - 60, 2), (NOON, 20), (NOON + 600, 30)]:
        connection.execute("INSERT INTO count_minute VALUES (%s, %s, 0, 0, %s)", [key, second // 60, count])

    assert add("--sensor", "m-1", "--from", "2026-03-01T11:00Z", "--to", "2026-03-01T13:00Z", "--exclude") == 0

    assert capsys.readouterr().out.splitlines()[-1].startswith("hidden in all: 92 stored passages")


def test_a_remark_ends_or_is_shortened_and_never_made_longer(connection: Connection, capsys: Said) -> None:
    """By the place's clocks; ending at or before the beginning, and after the end, is refused with what to do."""
    assert add("--station", "markt", "--from", "2026-03-01", "--exclude") == 0
    capsys.readouterr()

    assert status_of("remark", "end", "1", "--at", "2026-03-05T18:00") == 0
    assert "answers have the counts from 2026-03-05T18:00+01:00 on again" in capsys.readouterr().out
    assert status_of("remark", "end", "1", "--at", "2026-03-04") == 0
    assert "from 2026-03-04T00:00+01:00 to 2026-03-05T18:00+01:00 again" in capsys.readouterr().out

    assert stored(connection) == [(1, "markt", "2026-02-28 23:00", "2026-03-03 23:00", True, None)]
    for at, said in [
        ("2026-03-01", "if it was a mistake: footfall-ingest remark withdraw 1 --why"),
        ("2026-03-04", "has its end at 2026-03-03T23:00:00+00:00 already, which can only be put earlier"),
        ("2026-03-05", "add another one"),
    ]:
        assert status_of("remark", "end", "1", "--at", at) == 1
        assert said in capsys.readouterr().err
    assert status_of("remark", "end", "7", "--at", "now") == 1
    assert "there is no remark 7" in capsys.readouterr().err
    assert stored(connection) == [(1, "markt", "2026-02-28 23:00", "2026-03-03 23:00", True, None)]


def test_ending_notes_when_it_was_changed(connection: Connection) -> None:
    """Who answered with the remark before can tell that it differs now; so with withdrawing."""
    query = "SELECT changed > created FROM remark ORDER BY id"
    for _ in range(2):
        assert add("--station", "markt", "--from", "2026-03-01", text=f"number {_}") == 0
    assert connection.execute(query).fetchall() == [(False,), (False,)]

    assert status_of("remark", "end", "1", "--at", "2026-03-05") == 0
    assert connection.execute(query).fetchall() == [(True,), (False,)]
    assert status_of("remark", "withdraw", "2", "--why", "wrong street") == 0
    assert connection.execute(query).fetchall() == [(True,), (True,)]


def test_a_mistake_is_withdrawn_and_kept(connection: Connection, capsys: Said) -> None:
    """With the reason; it is no longer ended or withdrawn again, and only `--all` lists it."""
    assert add("--station", "markt", "--from", "2026-03-01", "--exclude") == 0
    assert status_of("remark", "withdraw", "1", "--why", " ") == 1
    capsys.readouterr()

    assert status_of("remark", "withdraw", "1", "--why", "it was the Holzmarkt") == 0

    assert "answers have the counts of that time again" in capsys.readouterr().out
    assert stored(connection)[0][-1] == "it was the Holzmarkt"
    for words in (["withdraw", "1", "--why", "again"], ["end", "1", "--at", "now"]):
        assert status_of("remark", *words) == 1
        assert "it was the Holzmarkt" in capsys.readouterr().err
    assert status_of("remark", "list") == 0
    assert capsys.readouterr().out == "no remarks; --all shows those of any time\n"
    assert status_of("remark", "list", "--all") == 0
    assert "Gerüst am Rathaus (withdrawn: it was the Holzmarkt)" in capsys.readouterr().out


def listed(capsys: Said, *words: str) -> list[str]:
    """The texts of the remarks that `list` shows, as JSON."""
    capsys.readouterr()
    assert status_of("remark", "list", "--json", *words) == 0
    return [remark["text"] for remark in json.loads(capsys.readouterr().out)["remarks"]]


def test_the_list_shows_what_holds_now_or_then(connection: Connection, capsys: Said) -> None:
    """Open now; with times what overlaps them, by the place's clocks if one is named; `--all` everything, by time."""
    assert add("--station", "markt", "--from", "2026-01-10", "--to", "2026-01-20", text="over") == 0
    assert add("--sensor", "m-1", "--from", "2026-01-15", text="open") == 0
    assert add("--area", "mitte", "--from", "2099-01-01", text="to come") == 0
    assert add("--station", "markt", "--from", "2026-01-12", text="mistaken") == 0
    assert status_of("remark", "withdraw", "4", "--why", "wrong") == 0

    assert listed(capsys) == ["open"]
    assert listed(capsys, "--all") == ["over", "mistaken", "open", "to come"]
    assert listed(capsys, "--from", "2026-01-19", "--to", "2026-02-01") == ["over", "open"]
    assert listed(capsys, "--from", "2026-01-20") == ["open", "to come"]
    assert listed(capsys, "--to", "2026-01-15") == ["over"]
    assert listed(capsys, "--station", "markt", "--all") == ["over", "mistaken"]
    assert listed(capsys, "--area", "mitte", "--all") == ["to come"]
    assert listed(capsys, "--sensor", "m-1") == ["open"]
    assert listed(capsys, "--from", "2026-01-12", "--to", "2026-01-13", "--all") == ["over", "mistaken"]
    assert status_of("remark", "list", "--from", "2026-01-12", "--to", "2026-01-12") == 1
    assert status_of("remark", "list", "--area", "mitt") == 1
    assert "nearest are mitte" in capsys.readouterr().err


def test_the_list_is_for_people_and_for_programs(connection: Connection, capsys: Said) -> None:
    """A table, or JSON with every member; times as the place's clocks show them, with the offset."""
    assert add("--station", "ribeira", "--from", "2026-07-01T10:00", "--exclude") == 0
    capsys.readouterr()

    assert status_of("remark", "list", "--all") == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["id", "about", "from", "to", "kind", "counts", "text"]
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == [
        "1", "station ribeira", "2026-07-01T10:00+01:00", "further notice", "works", "excluded", "Gerüst am Rathaus",
    ]  # fmt: skip

    assert status_of("remark", "list", "--all", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["remarks"]
    assert datetime.fromisoformat(found.pop("created")).tzinfo is not None
    assert found == {
        "id": 1,
        "station": "ribeira",
        "from": "2026-07-01T10:00+01:00",
        "to": None,
        "kind": "works",
        "text": "Gerüst am Rathaus",
        "excludes": True,
        "withdrawn": None,
        "withdrawn_why": None,
    }
