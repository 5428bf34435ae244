"""The API in this process, with a clock of its own, and a city to put into its database."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
from fastapi import FastAPI

from footfall_api.app import create_app
from footfall_api.settings import ApiSettings, LimitsSettings
from footfall_api.telemetry import Telemetry
from footfall_ingest.rollup import roll_up
from footfall_testing.waiting import wait_until

T = TypeVar("T")

NOW = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)
"""Two in the afternoon in Jena, on a Wednesday."""


class City:
    """Rows as the aggregator writes them, with plain SQL; all times are aware."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)

    def station(self, name: str, *, timezone: str = "Europe/Berlin", title: str | None = None) -> None:
        """A station in the middle of Jena, without labels or sensors."""
        self.connection.execute(
            "INSERT INTO station (id, name, timezone, longitude, latitude, line) "
            "VALUES (%s, %s, %s, 11.58782, 50.92818, '[[11.5877, 50.9282], [11.5879, 50.9282]]')",
            [name, title or name.capitalize(), timezone],
        )

    def labels(self, station: str, since: datetime, in_label: str, out_label: str) -> None:
        """What the directions of a station mean from a moment on."""
        self.connection.execute(
            "INSERT INTO direction_label VALUES (%s, %s, %s, %s)", [station, since, in_label, out_label]
        )

    def sensor(self, name: str, directions: tuple[int, ...] = (0, 1)) -> int:
        """A sensor that has counted in these directions before; its key."""
        row = self.connection.execute(
            "INSERT INTO sensor (id, directions) VALUES (%s, %s) RETURNING key", [name, sum(1 << d for d in directions)]
        ).fetchone()
        assert row is not None
        return int(row[0])

    def install(
        self,
        sensor: int,
        station: str,
        since: datetime = datetime(2020, 1, 1, tzinfo=UTC),
        until: datetime | None = None,
        role: str = "part",
    ) -> None:
        """Hang a sensor up at a station."""
        self.connection.execute(
            "INSERT INTO installation VALUES (%s, %s, %s, %s, %s)", [sensor, station, since, until, role]
        )

    def counter(self, station: str, *, timezone: str = "Europe/Berlin", directions: tuple[int, ...] = (0, 1)) -> int:
        """A station with one sensor, ``<station>-1``, since 2020; the sensor's key."""
        self.station(station, timezone=timezone)
        key = self.sensor(f"{station}-1", directions)
        self.install(key, station)
        return key

    def minutes(
        self,
        sensor: int,
        start: datetime,
        minutes: int = 1,
        counts: Mapping[int, int] | None = None,
        *,
        observed_s: int = 60,
        class_: int = 0,
    ) -> None:
        """`minutes` consecutive minutes, each with `counts` by direction."""
        start = start.astimezone(UTC)  # adding to a local time would follow the clock over its changes
        end = start + timedelta(minutes=minutes - 1)
        every = "generate_series(minute_of(%s), minute_of(%s)) AS minute"
        self.connection.execute(
            f"INSERT INTO coverage_minute SELECT %s, minute, %s FROM {every} ON CONFLICT DO NOTHING",
            [sensor, observed_s, start, end],
        )
        for direction, count in (counts or {}).items():
            self.connection.execute(
                f"INSERT INTO count_minute SELECT %s, minute, %s, %s, %s FROM {every}",
                [sensor, direction, class_, count, start, end],
            )
        self.connection.execute(
            f"INSERT INTO dirty_hour SELECT DISTINCT %s::int, minute_start(minute / 60 * 60) FROM {every} "
            "ON CONFLICT DO NOTHING",
            [sensor, start, end],
        )

    def sum_up(self) -> None:
        """Sum up the hours that are dirty, as the job in the ingest process does once they are over."""
        roll_up(self.connection, datetime(2100, 1, 1, tzinfo=UTC), limit=10**6)

    def remove_minutes(self, before: datetime) -> None:
        """Remove the minutes before a whole UTC hour, as retention does once they are summed up."""
        self.sum_up()
        with self.connection.transaction():
            for table in ("count_minute", "coverage_minute"):
                self.connection.execute(f"DELETE FROM {table} WHERE minute < minute_of(%s)", [before])
            self.connection.execute("UPDATE store SET minutes_from = %s", [before])

    def span(
        self,
        sensor: int,
        start: datetime,
        end: datetime,
        counts: Mapping[int, int] | None = None,
        *,
        observed_s: int = 0,
        class_: int = 0,
    ) -> None:
        """A count over a longer or unaligned time."""
        self.connection.execute("INSERT INTO coverage_span VALUES (%s, %s, %s, %s)", [sensor, start, end, observed_s])
        for direction, count in (counts or {}).items():
            self.connection.execute(
                "INSERT INTO count_span VALUES (%s, %s, %s, %s, %s, %s)", [sensor, start, end, direction, class_, count]
            )

    def exclude(
        self, start: datetime, end: datetime | None = None, *, station: str | None = None, sensor: int | None = None
    ) -> None:
        """A remark that excludes a time at a station or of a sensor."""
        self.connection.execute(
            "INSERT INTO remark (station, sensor, starts, ends, kind, text, excludes) "
            "VALUES (%s, %s, %s, %s, 'works', 'Behind a scaffold.', true)",
            [station, sensor, start, end],
        )

    def receive(self, sensor: int, *, seq: int = 0) -> None:
        """Note that a report was received, in a stream of its own, and tell whoever listens."""
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO stream (sensor, stream, received) VALUES (%s, %s, int8multirange(int8range(%s, %s)))",
                [sensor, uuid4(), seq, seq + 1],
            )
            self.connection.execute("NOTIFY footfall_commit")

    def area(self, name: str, *stations: str, kind: str = "Quartier") -> None:
        """An area with these stations in it."""
        shape = '{"type": "Polygon", "coordinates": [[[11.5, 50.9], [11.6, 50.9], [11.6, 51.0], [11.5, 50.9]]]}'
        self.connection.execute("INSERT INTO area VALUES (%s, %s, %s, %s)", [name, name.capitalize(), kind, shape])
        for station in stations:
            self.connection.execute("INSERT INTO station_area VALUES (%s, %s)", [station, name])

    def remark(
        self,
        since: datetime,
        until: datetime | None,
        text: str,
        *,
        station: str | None = None,
        sensor: int | None = None,
        area: str | None = None,
        kind: str = "works",
        excludes: bool = False,
    ) -> int:
        """A remark on one of the three; its number."""
        row = self.connection.execute(
            "INSERT INTO remark (station, sensor, area, starts, ends, kind, text, excludes) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [station, sensor, area, since, until, kind, text, excludes],
        ).fetchone()
        assert row is not None
        return int(row[0])


class Api:
    """The API without a network: requests go straight into the application, whose clock stands at `now`.

    Tests may ask as often as they like where the settings say nothing of limits.
    """

    def __init__(self, settings: ApiSettings) -> None:
        if "limits" not in settings.model_fields_set:
            settings = settings.model_copy(update={"limits": LimitsSettings(requests=0, work_s=0)})
        self.now = NOW
        self.app: FastAPI = create_app(settings, clock=lambda: self.now)
        # By the name that it has, for others it does not answer.
        self._base = f"http://{urlsplit(settings.http.public_url).hostname or 'footfall.test'}"
        self._runner = asyncio.Runner()

    @property
    def telemetry(self) -> Telemetry:
        """The application's metrics."""
        found: Telemetry = self.app.state.telemetry
        return found

    def __enter__(self) -> Self:
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def run(self, coroutine: Any) -> Any:
        """The result of a coroutine, in the application's loop."""
        return self._runner.run(coroutine)

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, **params: Any) -> httpx.Response:
        """The answer to GET; a parameter's trailing underscore is dropped, because ``from`` is a word of Python's."""
        return self.request("GET", path, headers=headers, params={k.rstrip("_"): v for k, v in params.items()})

    def request(self, method: str, path: str, *, client: str = "127.0.0.1", **words: Any) -> httpx.Response:
        """The answer to any request of the address `client`, by the name ``footfall.test`` unless `Host` is given."""
        found: httpx.Response = self.run(self.asking(method, path, client=client, **words))
        return found

    async def asking(self, method: str, path: str, *, client: str = "127.0.0.1", **words: Any) -> httpx.Response:
        """The same, to be run in the application's loop."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(client, 50000))
        async with httpx.AsyncClient(transport=transport, base_url=self._base) as asking:
            words["params"] = words.get("params") or None
            return await asking.request(method, path, **words)

    def figures(self) -> str:
        """What ``/metrics`` tells this machine itself."""
        told = self.get("/metrics", headers={"Host": "127.0.0.1"})
        assert told.status_code == 200, told.text
        return told.text

    def until(self, condition: Callable[[], T], *, timeout: float = 20, what: str = "") -> T:
        """Let the application run until `condition` returns something true; `timeout` in seconds."""

        def look() -> T:
            self.run(asyncio.sleep(0.02))
            return condition()

        return wait_until(look, timeout=timeout, what=what, every=0)

    def counts(self, station: str, **params: Any) -> list[dict[str, Any]]:
        """The values of one page of counts."""
        response = self.get(f"/api/v1/stations/{station}/counts", **params)
        assert response.status_code == 200, response.text
        values: list[dict[str, Any]] = response.json()["values"]
        return values
