"""Put the stations of a file into the database: idempotent, all or nothing, with a report of what changed.

For each station in the file the file is the truth: its labels and installations replace what was stored. A station that
the file does not name is left as it is and named in the report. Counts are never touched. In which areas stations lie
is worked out anew.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import psycopg

from footfall_ingest.membership import place_stations
from footfall_ingest.stations_file import DirectionLabel, Installation, Station, StationsError, read

__all__ = ["Report", "StationsError", "apply", "apply_stations", "stored"]


@dataclass(frozen=True)
class Report:
    """What `apply` did, by station id. `changed` names what differs, `absent` who is in the database alone."""

    created: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]
    unchanged: tuple[str, ...]
    absent: tuple[str, ...]

    def lines(self) -> list[str]:
        """One sentence a station, for people."""
        return [
            *(f"created    {station}" for station in self.created),
            *(f"changed    {station}: {', '.join(what)}" for station, what in self.changed.items()),
            *(f"unchanged  {station}" for station in self.unchanged),
            *(f"left       {station}: in the database, not in the file" for station in self.absent),
        ]


def apply(dsn: str, path: Path) -> Report:
    """Make the database's stations those of the GeoJSON file `path`, in one transaction.

    Raises:
        StationsError: the file is not usable, in itself or together with what is stored; nothing was changed.
        psycopg.Error: the database failed; nothing was changed.
    """
    wanted = read(path)
    with psycopg.connect(dsn) as connection:
        return apply_stations(connection, wanted)


def apply_stations(connection: psycopg.Connection, wanted: Sequence[Station]) -> Report:
    """`apply` for stations that were read already, on an open connection; commits."""
    with connection.transaction():
        # One at a time; readers are not kept waiting.
        connection.execute("LOCK TABLE station IN SHARE ROW EXCLUSIVE MODE")
        known = stored(connection)
        names = {station.id for station in wanted}
        _check_against(wanted, (station for station in known.values() if station.id not in names))
        different = [station for station in wanted if known.get(station.id) != station]
        _write(connection, different)
        place_stations(connection)
    return Report(
        created=tuple(station.id for station in different if station.id not in known),
        changed={station.id: _differences(known[station.id], station) for station in different if station.id in known},
        unchanged=tuple(station.id for station in wanted if known.get(station.id) == station),
        absent=tuple(sorted(known.keys() - names)),
    )


def stored(connection: psycopg.Connection) -> dict[str, Station]:
    """The stations in the database, by id, in the form the file has them."""
    labels: dict[str, list[DirectionLabel]] = defaultdict(list)
    query = "SELECT station, valid_from, in_label, out_label FROM direction_label"
    for station, start, *texts in connection.execute(query):
        labels[station].append(DirectionLabel(start.astimezone(UTC), *texts))
    sensors: dict[str, list[Installation]] = defaultdict(list)
    query = """
        SELECT station, id, valid_from, valid_to, role, type, mounting, field_of_view
        FROM installation JOIN sensor ON key = sensor
    """
    for station, sensor, start, end, *words in connection.execute(query):
        sensors[station].append(Installation(sensor, start.astimezone(UTC), end and end.astimezone(UTC), *words))
    rows = connection.execute("SELECT id, name, timezone, longitude, latitude, line FROM station").fetchall()
    return {
        station: Station(
            station,
            name,
            zone,
            (longitude, latitude),
            line and (tuple(line[0]), tuple(line[1])),
            tuple(sorted(labels[station])),
            tuple(sorted(sensors[station], key=lambda installation: installation.place_in_time)),
        )
        for station, name, zone, longitude, latitude, line in rows
    }


def _check_against(wanted: Sequence[Station], others: Iterable[Station]) -> None:
    elsewhere: dict[str, list[tuple[Installation, str]]] = defaultdict(list)
    for other in others:
        for installation in other.sensors:
            elsewhere[installation.sensor].append((installation, other.id))
    faults = [
        f"station {station.id}: properties.sensors {mine.sensor}: {mine} overlaps its installation at station {place} "
        f"({theirs}), which is in the database and not in this file; end that one first"
        for station in wanted
        for mine in station.sensors
        for theirs, place in elsewhere[mine.sensor]
        if mine.overlaps(theirs)
    ]
    if faults:
        raise StationsError(faults)


def _differences(before: Station, after: Station) -> tuple[str, ...]:
    names = ("name", "timezone", "position", "line", "directions", "sensors")
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def _write(connection: psycopg.Connection, stations: Sequence[Station]) -> None:
    cursor = connection.cursor()
    ids = [station.id for station in stations]
    # All old installations go before a new one comes: a sensor may move from one of these stations to another.
    cursor.execute("DELETE FROM installation WHERE station = ANY(%s)", [ids])
    cursor.execute("DELETE FROM direction_label WHERE station = ANY(%s)", [ids])
    cursor.executemany(
        """
        INSERT INTO station (id, name, timezone, longitude, latitude, line) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE SET (name, timezone, longitude, latitude, line)
            = (excluded.name, excluded.timezone, excluded.longitude, excluded.latitude, excluded.line)
        """,
        [(s.id, s.name, s.timezone, *s.position, s.line and json.dumps(s.line)) for s in stations],
    )
    cursor.executemany(
        "INSERT INTO direction_label (station, valid_from, in_label, out_label) VALUES (%s, %s, %s, %s)",
        [(s.id, label.valid_from, label.in_label, label.out_label) for s in stations for label in s.directions],
    )
    # In the order of their ids, as everyone who adds sensors does, so that nobody waits in a circle.
    sensors = sorted({installation.sensor for s in stations for installation in s.sensors})
    query = "INSERT INTO sensor (id) VALUES (%s) ON CONFLICT (id) DO NOTHING"
    cursor.executemany(query, [(sensor,) for sensor in sensors])
    cursor.executemany(
        """
        INSERT INTO installation (sensor, station, valid_from, valid_to, role, type, mounting, field_of_view)
        SELECT key, %s, %s, %s, %s, %s, %s, %s FROM sensor WHERE id = %s
        """,
        [
            (s.id, i.valid_from, i.valid_to, i.role, i.type, i.mounting, i.field_of_view, i.sensor)
            for s in stations
            for i in s.sensors
        ],
    )
