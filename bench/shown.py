"""A city to look at: the stations and areas of Jena with a past and a few remarks, and the real API in front of it."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench import history, hours, servers
from bench.servers import Server
from footfall_demo.city import COUNTERS, read_areas, read_stations
from footfall_demo.history_simulated import simulate_history
from footfall_demo.terminal import Step
from footfall_ingest import areas, remarks
from footfall_ingest.stations import apply_stations

STATION = "markt"
"""The station that is looked at closely."""

DAY_S = 86_400
PART_DAYS = 28

REMARKS = (
    ("station", "markt", "works", 40, 12, "Pflasterarbeiten, Durchgang auf einer Seite"),
    ("area", "innenstadt", "event", 16, 3, "Töpfermarkt"),
    ("station", "holzmarkt", "note", 9, 1, "Haltestelle verlegt"),
)
"""What was noted: about what, which one, kind, how many days ago it began, how many days it took, text."""


@dataclass(frozen=True)
class Shown:
    """The running city: its address without a slash at its end, and the token of whoever runs it."""

    url: str
    token: str


@contextlib.contextmanager
def simulated(server: Server, folder: Path, days: int, step: Step = lambda _done, _total: None) -> Iterator[Shown]:
    """With so many days behind it as the demo simulates them: people of all kinds, outages too. Ends now."""
    with server.fresh() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            _prepare(connection)
            people = {counter.sensor: counter.people(1) for counter in COUNTERS}
            simulate_history(connection, people, seed=1, live_since=_this_minute(), days=days, step=step)
            hours.roll_up(connection, fast=False)
            connection.execute("VACUUM ANALYZE")
        with _served(folder, dsn) as shown:
            yield shown


@contextlib.contextmanager
def loaded(server: Server, folder: Path, days: int) -> Iterator[Shown]:
    """With so many days behind it as `history` makes them, which is faster. Ends with the last full hour."""
    with server.fresh() as dsn:
        end = _this_minute() // 3600 * 3600
        with psycopg.connect(dsn, autocommit=True) as connection:
            _prepare(connection)
            keys = [key for (key,) in connection.execute("UPDATE sensor SET directions = 3 RETURNING key").fetchall()]
            for low, high in history.spans(end - days * DAY_S, end, PART_DAYS):
                history.load(connection, keys, low, high)
            hours.roll_up(connection, fast=True)
            connection.execute("VACUUM ANALYZE")
        with _served(folder, dsn) as shown:
            yield shown


def _prepare(connection: psycopg.Connection[Any]) -> None:
    """Stations, areas and remarks."""
    apply_stations(connection, read_stations())
    areas.apply_areas(connection, read_areas())
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for about, which, kind, ago, took, text in REMARKS:
        starts = midnight - timedelta(days=ago)
        place, ends = remarks.Place(about, which), starts + timedelta(days=took)
        remarks.add(connection, place, starts=starts, ends=ends, kind=kind, text=text, excludes=False)


@contextlib.contextmanager
def _served(folder: Path, dsn: str) -> Iterator[Shown]:
    token = secrets.token_hex(16)
    environment = {"FOOTFALL_PUBLIC__OPERATOR_TOKEN": token, "FOOTFALL_CITY__NAME": "Jena"}
    with servers.api(folder / "shown", dsn, environment) as (port, _):
        yield Shown(f"http://127.0.0.1:{port}", token)


def _this_minute() -> int:
    now_s = int(datetime.now(UTC).timestamp())
    return now_s - now_s % 60
