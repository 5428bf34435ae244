"""Put the areas of a file into the database: idempotent, all or nothing, with a report of what changed.

For each area in the file the file is the truth. An area that the file does not name is left as it is and named in the
report. Which stations lie in them is worked out from where they are.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from footfall_ingest.areas_file import Area, read
from footfall_ingest.commands import Connection, connected
from footfall_ingest.membership import place_stations
from footfall_ingest.settings import IngestSettings


@dataclass(frozen=True)
class Report:
    """What `apply_areas` did, by area id. `changed` names what differs, `absent` who is in the database alone."""

    created: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]
    unchanged: tuple[str, ...]
    absent: tuple[str, ...]
    stations: Mapping[str, tuple[str, ...]]
    """The stations that lie in each area, of those that are in the database alone too."""

    def lines(self) -> list[str]:
        """One sentence an area, for people, then who lies where."""
        return [
            *(f"created    {area}" for area in self.created),
            *(f"changed    {area}: {', '.join(what)}" for area, what in self.changed.items()),
            *(f"unchanged  {area}" for area in self.unchanged),
            *(f"left       {area}: in the database, not in the file" for area in self.absent),
            *(f"stations   {area}: {', '.join(names) or 'none'}" for area, names in self.stations.items()),
        ]


def apply(connection: psycopg.Connection, path: Path) -> Report:
    """Make the database's areas those of the GeoJSON file `path`, in one transaction; commits.

    Raises:
        AreasError: the file is not usable; nothing was changed.
    """
    where = connection.execute("SELECT longitude, latitude FROM station").fetchall()
    return apply_areas(connection, read(path, where))


def apply_areas(connection: psycopg.Connection, wanted: Sequence[Area]) -> Report:
    """`apply` for areas that were read already; commits."""
    with connection.transaction():
        # The same lock as for stations: who lies where depends on both.
        connection.execute("LOCK TABLE station IN SHARE ROW EXCLUSIVE MODE")
        known = stored(connection)
        different = [area for area in wanted if known.get(area.id) != area]
        connection.cursor().executemany(
            """
            INSERT INTO area (id, name, kind, geometry) VALUES (%s, %s, %s, %s)
            ON CONFLICT (id) DO UPDATE SET (name, kind, geometry) = (excluded.name, excluded.kind, excluded.geometry)
            """,
            [(area.id, area.name, area.kind, json.dumps(area.geometry)) for area in different],
        )
        inside = place_stations(connection)
    return Report(
        created=tuple(area.id for area in different if area.id not in known),
        changed={area.id: _differences(known[area.id], area) for area in different if area.id in known},
        unchanged=tuple(area.id for area in wanted if known.get(area.id) == area),
        absent=tuple(sorted(known.keys() - {area.id for area in wanted})),
        stations=inside,
    )


def stored(connection: psycopg.Connection) -> dict[str, Area]:
    """The areas in the database, by id, in the form the file has them."""
    rows = connection.execute("SELECT id, name, kind, geometry FROM area").fetchall()
    return {
        name: Area(name, title, kind, {**geometry, "coordinates": _positions(geometry["coordinates"])})
        for name, title, kind, geometry in rows
    }


def _positions(coordinates: list[Any]) -> Any:
    """JSON's coordinates with each position as a pair, as it is in an `Area`."""
    if coordinates and not isinstance(coordinates[0], list):
        return tuple(coordinates)
    return [_positions(part) for part in coordinates]


def _differences(before: Area, after: Area) -> tuple[str, ...]:
    return tuple(name for name in ("name", "kind", "geometry") if getattr(before, name) != getattr(after, name))


def _apply(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    sys.stdout.writelines(f"{line}\n" for line in apply(connection, options.file).lines())


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``areas apply`` to the parser's `commands`; it sets `run`."""
    help_text = "make the areas in the database those of a GeoJSON file, and find the stations that lie in them"
    verbs = commands.add_parser("areas", help=help_text).add_subparsers(metavar="apply", required=True)
    applying = verbs.add_parser("apply", parents=[config], help=help_text, description=help_text)
    applying.add_argument("file", type=Path, help="GeoJSON FeatureCollection of polygons with name and kind")
    applying.set_defaults(run=connected(_apply))
