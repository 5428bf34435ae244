"""A past that went in comes out of the API: real counts of a real city, and the API's own answers."""

import asyncio
import csv
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from footfall_api.app import create_app
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_demo.city import COUNTERS, known_stations, read_stations
from footfall_demo.history_csv import Bounds, read_history
from footfall_demo.history_import import import_history
from footfall_demo.history_simulated import simulate_history
from footfall_ingest.migrate import migrate
from footfall_ingest.stations import apply_stations

SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "auckland"
AUCKLAND = ZoneInfo("Pacific/Auckland")
HOUR = timedelta(hours=1)
PLACES = {
    "45 Queen Street": "45-queen-street",
    "210 Queen Street": "210-queen-street",
    "150 K Road": "150-k-road",
    "107 Quay Street": "107-quay-street",
    "205 Queen Street": "205-queen-street",
    "Te Ara Tahuhu Walkway": "te-ara-tahuhu-walkway",
}
"""The names in the sample, and the ids that are made of them."""


class Client:
    """Asks the API, in this process, one question after the other."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def get(self, path: str, **params: str) -> httpx.Response:
        """The answer, which must be a good one."""
        return self._runner.run(self._client.get(path, params=params)).raise_for_status()


@contextmanager
def api(dsn: str, now: datetime) -> Iterator[Client]:
    """The API on the database `dsn`, at the time `now`."""
    database = DatabaseSettings(dsn=SecretStr(dsn), pool_size=2)
    app = create_app(ApiSettings(database=database, public=PublicSettings(local=True)), clock=lambda: now)
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", timeout=60)
        try:
            yield Client(runner, client)
        finally:
            runner.run(client.aclose())
            runner.run(lifespan.__aexit__(None, None, None))


def bounds(now: datetime) -> Bounds:
    """An import at `now`."""
    return Bounds(oldest=0, now=int(now.timestamp()), live_since=None)


# -- Auckland ---------------------------------------------------------------------------------------------------------


def auckland_hour(day: date, label: str, repeated: bool) -> datetime | None:
    """The beginning (UTC) of the hour that a row of the sample means; None if the clocks were put forward over it.

    A row's day begins at 6:00, so the hours from 0:00 on are those of the next date (the crowd of New Year's Eve stands
    at 0:00 of 31 December). Where a label comes twice in a day, the second one belongs to the next day. The hour that
    comes twice in autumn is there once and taken for the earlier one.
    """
    hour = int(label.split(":", maxsplit=1)[0])
    if hour < 6 or repeated:
        day += timedelta(days=1)
    local = datetime(day.year, day.month, day.day, hour, tzinfo=AUCKLAND)
    instant = local.astimezone(UTC)
    return instant if instant.astimezone(AUCKLAND).hour == hour else None


def auckland_counts() -> dict[str, dict[datetime, int | None]]:
    """What the sample says, by place and beginning of the hour; None: an empty field."""
    found: dict[str, dict[datetime, int | None]] = {name: {} for name in PLACES}
    for path in sorted(SAMPLE.glob("auckland_ped_hourly_*.csv")):
        seen: set[tuple[str, str]] = set()
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = (row["date"], row["hour"])
                start = auckland_hour(date.fromisoformat(row["date"]), row["hour"], key in seen)
                seen.add(key)
                for name in PLACES if start else ():
                    assert start is not None
                    assert start not in found[name]
                    found[name][start] = int(row[name]) if row[name] else None
    return found


def as_csv(path: Path, counts: dict[str, dict[datetime, int | None]]) -> Path:
    """The counts in the form that `--history-from` takes, the rows shuffled."""
    with (SAMPLE / "locations.csv").open(newline="", encoding="utf-8") as file:
        positions = {row["Address"]: (row["Latitude"], row["Longitude"]) for row in csv.DictReader(file)}
    rows = [
        (
            name,
            start.astimezone(AUCKLAND).isoformat(),
            (start + HOUR).astimezone(AUCKLAND).isoformat(),
            "",
            "" if count is None else count,
            *positions[name],
            "Pacific/Auckland",
        )
        for name, hours in counts.items()
        for start, count in hours.items()
    ]
    random.Random(1).shuffle(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("station", "interval_start", "interval_end", "direction", "count", "latitude", "longitude", "timezone")
        )
        writer.writerows(rows)
    return path


@pytest.mark.full
@pytest.mark.skipif(not SAMPLE.exists(), reason=f"no sample of real counts in {SAMPLE}")
def test_auckland_comes_out_as_it_went_in(database: str, tmp_path: Path) -> None:
    """Two years of real hourly counts of six places: every hour comes out with its count, every gap as a gap."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    counts = auckland_counts()
    history = read_history(as_csv(tmp_path / "auckland.csv", counts), known_stations(read_stations()), bounds(now))
    with psycopg.connect(database, autocommit=True) as connection:
        import_history(connection, history)

    begin, end = datetime(2023, 1, 1, 6, tzinfo=AUCKLAND), datetime(2025, 1, 1, 6, tzinfo=AUCKLAND)
    hours = int((end - begin) / HOUR)
    assert hours == 731 * 24
    with api(database, now) as client:
        listed = {station["id"]: station for station in client.get("/api/v1/stations").json()["features"]}
        assert {name: listed[id_]["properties"]["name"] for name, id_ in PLACES.items()} == {n: n for n in PLACES}
        for name, station in PLACES.items():
            answer = client.get(
                f"/api/v1/stations/{station}/counts",
                **{"from": "2023-01-01T06:00", "to": "2025-01-01T06:00", "resolution": "1h", "format": "csv"},
            )
            rows = list(csv.DictReader(io.StringIO(answer.text)))
            starts = [datetime.fromisoformat(row["interval_start"]) for row in rows]
            assert starts == [begin.astimezone(UTC) + n * HOUR for n in range(hours)]
            found = {
                start: (int(row["count"]) if row["count"] else None) for start, row in zip(starts, rows, strict=True)
            }
            # An hour that the sample leaves out is a gap like one that it leaves empty.
            assert found == {start: counts[name].get(start) for start in starts}
            assert {row["state"] for row in rows if row["count"]} == {"measured"}
            assert {(row["state"], row["reason"]) for row in rows if not row["count"]} == {("missing", "silent")}
        longest_gap = [
            row for row in rows_of(client, "150-k-road", "2023-10-26T12:00", "2023-11-01T06:00") if row["count"]
        ]
        assert longest_gap == []


def rows_of(client: Client, station: str, begin: str, end: str, resolution: str = "1h") -> list[dict[str, str]]:
    """The rows of a station's CSV answer, split by direction."""
    answer = client.get(
        f"/api/v1/stations/{station}/counts",
        **{"from": begin, "to": end, "resolution": resolution, "split": "direction", "format": "csv"},
    )
    return list(csv.DictReader(io.StringIO(answer.text)))


# -- the API's own answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", ["1min", "15min", "1h", "1d"])
def test_the_api_s_own_answer_is_taken(database: str, blank_database: str, tmp_path: Path, resolution: str) -> None:
    """What the API answers about one system is taken over by another one, which then gives the same answer."""
    live_since = datetime(2026, 3, 30, 22, 0, tzinfo=UTC)  # the day before has 23 hours
    now = live_since + timedelta(hours=2)
    begin, end = "2026-03-29", "2026-03-31"
    with psycopg.connect(database, autocommit=True) as connection:
        apply_stations(connection, read_stations())
        people = {counter.sensor: counter.people(1) for counter in COUNTERS if counter.sensor == "markt-1"}
        simulate_history(connection, people, seed=1, live_since=int(live_since.timestamp()), days=2)
        connection.execute(
            "DELETE FROM coverage_minute "
            "WHERE minute >= minute_of('2026-03-30 08:30Z') AND minute < minute_of('2026-03-30 10:10Z')"
        )
        connection.execute(
            "DELETE FROM count_minute "
            "WHERE minute >= minute_of('2026-03-30 08:30Z') AND minute < minute_of('2026-03-30 10:10Z')"
        )
    with api(database, now) as client:
        answer = client.get(
            "/api/v1/stations/markt/counts",
            **{"from": begin, "to": end, "resolution": resolution, "split": "direction", "format": "csv"},
        )
        expected = rows_of(client, "markt", begin, end, resolution)
    (tmp_path / "past.csv").write_text(answer.text, "utf-8")
    migrate(blank_database)
    with psycopg.connect(blank_database, autocommit=True) as connection:
        apply_stations(connection, read_stations())
        import_history(connection, read_history(tmp_path / "past.csv", known_stations(read_stations()), bounds(now)))
    with api(blank_database, now) as client:
        found = rows_of(client, "markt", begin, end, resolution)

    # A gap in which nothing was reported is now one that is known: the file says that nothing was measured.
    for row in expected:
        row["reason"] = row["reason"].replace("not_reported", "silent")
    assert found == expected
    assert len({row["state"] for row in found}) > 1
