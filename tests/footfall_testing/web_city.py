"""A city for the page's tests: a real database, a real API process, reports through the real aggregator."""

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import psycopg

from footfall_contract.report import SlotReport, encode_json
from footfall_demo.ports import free_port
from footfall_ingest import stations
from footfall_ingest.flush import Message, write_batch
from footfall_testing.waiting import wait_until

MINUTE_S = 60


def feature(
    station: str,
    name: str,
    latitude: float,
    longitude: float,
    *,
    labels: tuple[str, str] | None = None,
    timezone: str = "Europe/Berlin",
) -> dict[str, Any]:
    """A station of the stations file, with a line of about 14 m across a street to the north-east."""
    return {
        "type": "Feature",
        "id": station,
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
        "properties": {
            "name": name,
            "timezone": timezone,
            "line": [[longitude - 0.0001, latitude], [longitude + 0.0001, latitude]],
            "directions": [{"from": "2020-01-01", "in": labels[0], "out": labels[1]}] if labels else [],
            "sensors": [{"id": f"{station}-1", "from": "2020-01-01", "role": "part"}],
        },
    }


JENA = [
    feature("holzmarkt", "Holzmarkt", 50.92704, 11.58587, labels=("Richtung Bahnhof", "Richtung Markt")),
    feature("johannisstrasse", "Johannisstraße", 50.92928, 11.58532, labels=("Richtung Markt", "Richtung Tor")),
    feature("kirchplatz", "Kirchplatz", 50.92905, 11.58794, labels=("Richtung Markt", "Richtung Saale")),
    feature("loebderstrasse", "Löbderstraße", 50.92754, 11.58654, labels=("Richtung Markt", "Richtung Holzmarkt")),
    feature("markt", "Markt", 50.92818, 11.58782, labels=("Richtung Rathaus", "Richtung Kirche")),
    feature("wagnergasse", "Wagnergasse", 50.93019, 11.58144, labels=("Richtung Tor", "Richtung Quergasse")),
]


def noon_zone(now: datetime | None = None) -> str:
    """A zone in which it is past twelve now, and every day has 24 hours: what runs there is at no border of a day.

    Three to five hours ahead of UTC Jena's latitude would do for a longitude: its stations would be refused as swapped.
    """
    ahead = 12 - (now or datetime.now(UTC)).hour
    return f"Etc/GMT{-(6 if 3 <= ahead <= 5 else ahead):+d}"


def at_noon(features: list[dict[str, Any]], zone: str | None = None) -> list[dict[str, Any]]:
    """The same stations where it is noon now, or in that zone."""
    zone = zone or noon_zone()
    return [{**found, "properties": {**found["properties"], "timezone": zone}} for found in features]


def midnight(zone: str) -> datetime:
    """When today began in that zone."""
    return datetime.now(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)


# A process that has read all the program's modules and only forks: an API of its own for each test in no time.
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["footfall_api.cli", "footfall_api.app"])


def serve(config: str, log: str) -> None:
    """Be ``footfall-api --config FILE``, with everything it says in the file `log`."""
    with open(log, "ab") as file:  # noqa: PTH123  # a path as text crosses the process border
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from footfall_api.cli import run

    raise SystemExit(run(["--config", config]))


@dataclass
class City:
    """A running API on a database of its own. `url` has no slash at its end."""

    dsn: str
    folder: Path
    url: str = ""
    port: int = 0
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    _process: BaseProcess | None = None
    _streams: dict[str, UUID] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start the API and wait until it answers. A second start takes the same port."""
        self.port = self.port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = self.folder / "api.toml"
        tables = {
            "http": {"port": self.port},
            "database": {"dsn": self.dsn},
            "public": {"local": True},
        } | self.settings
        config.write_text("\n".join(_toml(name, table) for name, table in tables.items()), encoding="utf-8")
        self._process = WARM.Process(target=serve, args=(str(config), str(self.folder / "api.log")), daemon=True)
        self._process.start()
        wait_until(self._answers, timeout=60, what=f"an answer from the API; see {self.folder / 'api.log'}", every=0.1)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.is_alive(), (self.folder / "api.log").read_text()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._process is not None

    def stop(self) -> None:
        """Stop the API, as an administrator would."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.join(20)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._process = None

    def add_stations(self, features: list[dict[str, Any]]) -> None:
        """Put stations into the database, from a file, as an administrator would."""
        file = self.folder / "stations.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
        stations.apply(self.dsn, file)

    def count(
        self,
        station: str,
        minute_s: int,
        counts: dict[int, int],
        *,
        observed_s: int = MINUTE_S,
        minutes: int = 1,
    ) -> None:
        """Commit `counts` (by direction) in each of `minutes` minutes from `minute_s` (UTC unix seconds) on."""
        self.count_each(station, minute_s, [counts] * minutes, observed_s=observed_s)

    def count_each(
        self, station: str, minute_s: int, counts: Sequence[dict[int, int]], *, observed_s: int = MINUTE_S
    ) -> None:
        """Commit for one minute after another, from `minute_s` on, what was counted in it by direction."""
        sensor = f"{station}-1"
        stream = self._streams.setdefault(sensor, uuid4())
        number = self._numbers[sensor] = self._numbers.get(sensor, -1) + 1
        cells = [
            (index, direction, count)
            for index, minute in enumerate(counts)
            for direction, count in minute.items()
            if count
        ]
        report = SlotReport(
            sensor=sensor,
            stream=stream,
            seq=number,
            start=minute_s,
            slot=MINUTE_S,
            slots=len(counts),
            observed=(observed_s,) * len(counts),
            index=tuple(index for index, _, _ in cells),
            direction=tuple(direction for _, direction, _ in cells),
            class_=(0,) * len(cells),
            count=tuple(count for _, _, count in cells),
        )
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            outcome = write_batch(connection, [Message(None, None, encode_json(report))], now=datetime.now(UTC))
        assert outcome.stored == 1, outcome

    def board(self) -> dict[str, Any]:
        """The board that the live stream begins with."""
        with httpx.stream("GET", f"{self.url}/api/v1/live", timeout=20) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    found: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    return found
        raise AssertionError("the live stream ended without a board")


def _toml(name: str, table: dict[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""])


def this_minute() -> int:
    """When the running minute began, UTC unix seconds."""
    now_s = int(datetime.now(UTC).timestamp())
    return now_s - now_s % MINUTE_S


CityMaker = Callable[..., City]
"""`make_city(stations, map={...})`: a running city; the six stations of Jena if none are named, settings by table."""
