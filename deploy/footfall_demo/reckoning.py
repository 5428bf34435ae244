"""Hold what the simulator says happened against what is stored: per station and direction, over the folder's life."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from rich.table import Table

from footfall_contract.words import Direction
from footfall_demo.city import COUNTERS
from footfall_sim.truth import read_truth


@dataclass(frozen=True, slots=True)
class Account:
    """One direction of one counter since live counting began.

    `simulated` are the passages the counter could report; `never_reported` further ones that were lost in it, because
    its power failed before it had written them down. Nobody can store those.
    """

    sensor: str
    direction: Direction
    simulated: int
    stored: int
    never_reported: int
    shown: bool = False
    """By a radar, which shows people as well as it can: what it is wrong by is its error, and no loss."""

    @property
    def difference(self) -> int:
        """What is stored too much; negative: what is missing."""
        return self.stored - self.simulated


_STORED = """
    SELECT id, direction, sum(count)::bigint FROM (
        SELECT sensor, direction, count FROM count_minute WHERE minute >= minute_of(%(since)s)
        UNION ALL
        SELECT sensor, direction, count FROM count_span WHERE starts >= %(since)s
    ) AS counted JOIN sensor ON key = counted.sensor
    WHERE id = ANY(%(sensors)s) GROUP BY id, direction
"""


def reckon(connection: psycopg.Connection, simulator: Path, live_since: int) -> list[Account]:
    """The accounts of all counters. `simulator` is the simulator's folder, `live_since` is in UTC seconds."""
    since = datetime.fromtimestamp(live_since, UTC)
    sensors = [counter.sensor for counter in COUNTERS]
    with connection.transaction():
        rows = connection.execute(_STORED, {"since": since, "sensors": sensors}).fetchall()
    stored = {(sensor, direction): count for sensor, direction, count in rows}
    accounts = []
    for counter in COUNTERS:
        sensor = counter.sensor
        truth = read_truth(simulator / f"{sensor}.truth.jsonl").since(since)
        reported, lost = truth.reported, truth.never_reported
        found = {direction for of, direction in stored if of == sensor}
        accounts += [
            Account(
                sensor,
                Direction(direction),
                reported.get(direction, 0),
                stored.get((sensor, direction), 0),
                lost.get(direction, 0),
                shown=counter.shows,
            )
            for direction in sorted({Direction.IN, Direction.OUT, *reported, *lost, *found})
        ]
    return accounts


@dataclass(frozen=True)
class Names:
    """What people call a counter's station and its two directions."""

    station: str
    directions: tuple[str, str]


def names_of(connection: psycopg.Connection) -> dict[str, Names]:
    """Names by sensor, as they are now."""
    with connection.transaction():
        rows = connection.execute(
            """
            SELECT DISTINCT ON (sensor.id) sensor.id, station.name, in_label, out_label
            FROM installation JOIN sensor ON sensor.key = installation.sensor
            JOIN station ON station.id = installation.station
            LEFT JOIN direction_label AS label ON label.station = station.id AND label.valid_from <= now()
            ORDER BY sensor.id, installation.valid_from DESC, label.valid_from DESC
            """
        ).fetchall()
    return {sensor: Names(name, (in_label or "", out_label or "")) for sensor, name, in_label, out_label in rows}


def as_tables(accounts: Sequence[Account], names: dict[str, Names]) -> list[Table]:
    """The accounts for people, those of counters and those of radars, with a line for the sum under each."""
    counted = [account for account in accounts if not account.shown]
    shown = [account for account in accounts if account.shown]
    tables = [_counted(counted, names)] if counted else []
    return [*tables, _shown(shown, names)] if shown else tables


def _counted(accounts: Sequence[Account], names: dict[str, Names]) -> Table:
    losses = any(account.never_reported for account in accounts)
    table = Table(title="Counted by the sensor, since live counting began", show_footer=True)
    sums = [sum(getattr(account, column) for account in accounts) for column in _COLUMNS]
    table.add_column("station", footer="all")
    table.add_column("direction")
    for title, total in zip(_TITLES, sums, strict=True):
        if title != _TITLES[-1] or losses:
            table.add_column(title, footer=str(total), justify="right")
    for account in accounts:
        values = [str(getattr(account, column)) for column in _COLUMNS]
        table.add_row(*_place(account, names), *(values if losses else values[:-1]))
    return table


def _shown(accounts: Sequence[Account], names: dict[str, Names]) -> Table:
    table = Table(title="Seen by a radar, counted by the box", show_footer=True)
    simulated, stored = sum(one.simulated for one in accounts), sum(one.stored for one in accounts)
    table.add_column("station", footer="all")
    table.add_column("direction")
    table.add_column("simulated", footer=str(simulated), justify="right")
    table.add_column("counted", footer=str(stored), justify="right")
    table.add_column("error", footer=_error(stored, simulated), justify="right")
    for account in accounts:
        values = str(account.simulated), str(account.stored), _error(account.stored, account.simulated)
        table.add_row(*_place(account, names), *values)
    return table


def _place(account: Account, names: dict[str, Names]) -> tuple[str, str]:
    name = names.get(account.sensor, Names(account.sensor, ("", "")))
    label = name.directions[account.direction] if account.direction < Direction.UNDIRECTED else ""
    return name.station, f"{account.direction.name.lower()}{f' ({label})' if label else ''}"


def _error(counted: int, true: int) -> str:
    return f"{100 * (counted - true) / true:+.1f} %" if true else "–"


_COLUMNS = ("simulated", "stored", "difference", "never_reported")
_TITLES = ("simulated", "stored", "difference", "lost in counter")
