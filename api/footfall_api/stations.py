"""Stations: where they are, what their directions mean, which sensors were installed there from when to when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from footfall_api.database import Connection
from footfall_contract.words import Direction

DIRECTION_WORDS: Final[dict[int, str]] = {Direction.IN: "in", Direction.OUT: "out", Direction.UNDIRECTED: "undirected"}
"""The directions as the API writes them."""

PART: Final = "part"
"""The role of sensors whose counts are added up; those of a `reference` never are."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One sensor at the station, in [from_s, to_s) (UTC unix seconds; None: since ever, until further notice)."""

    sensor_key: int
    sensor: str
    role: str
    directions: tuple[int, ...]
    """The directions the sensor ever counted; empty if it has not counted yet."""
    from_s: int | None
    to_s: int | None
    type: str | None = None
    """What kind of sensor it is, for people; None: nobody said. The two below likewise."""
    mounting: str | None = None
    """Where and how it hangs."""
    field_of_view: str | None = None
    """Which part of the place it sees."""

    def overlap(self, start_s: int, end_s: int) -> tuple[int, int]:
        """The part of [start_s, end_s) in which the sensor was installed; empty if the end is not after the start."""
        begin = start_s if self.from_s is None else max(start_s, self.from_s)
        return begin, end_s if self.to_s is None else min(end_s, self.to_s)


@dataclass(frozen=True, slots=True)
class Labels:
    """What `in` and `out` mean in words, from `from_s` on (UTC unix seconds; None: since ever)."""

    from_s: int | None
    words: dict[str, str]


@dataclass(frozen=True, slots=True)
class Station:
    """A place with a counting line."""

    id: str
    name: str
    zone: ZoneInfo
    longitude: float
    latitude: float
    line: tuple[tuple[float, float], tuple[float, float]] | None
    labels: tuple[Labels, ...]
    installations: tuple[Installation, ...]
    number: int = 0
    """The station where ids are integers; it never changes."""

    def labels_at(self, instant_s: int) -> dict[str, str]:
        """The labels of the directions that are valid at an instant; empty before the first."""
        valid = [labels for labels in self.labels if labels.from_s is None or labels.from_s <= instant_s]
        return dict(valid[-1].words) if valid else {}

    def parts(self) -> list[Installation]:
        """The installations whose counts are the station's."""
        return [installation for installation in self.installations if installation.role == PART]

    def as_feature(self, areas: Sequence[str] = ()) -> dict[str, Any]:
        """The station as a GeoJSON Feature, with the ids of the areas it lies in; times in its own zone."""
        return {
            "type": "Feature",
            "id": self.id,
            "geometry": {"type": "Point", "coordinates": [self.longitude, self.latitude]},
            "properties": {
                "name": self.name,
                "timezone": self.zone.key,
                "line": self.line,
                "directions": [{"from": self._time(labels.from_s), **labels.words} for labels in self.labels],
                "sensors": [
                    {
                        "id": i.sensor,
                        "from": self._time(i.from_s),
                        "to": self._time(i.to_s),
                        "role": i.role,
                        "type": i.type,
                        "mounting": i.mounting,
                        "field_of_view": i.field_of_view,
                    }
                    for i in self.installations
                ],
                "areas": list(areas),
            },
        }

    def _time(self, instant_s: int | None) -> str | None:
        return None if instant_s is None else datetime.fromtimestamp(instant_s, self.zone).isoformat()


def directions_of(installations: Sequence[Installation]) -> tuple[int, ...]:
    """The directions that the sensors of some installations count.

    Who ever counted one of in and out tells both apart: where nobody has gone out yet, out is 0 and not unknown. In and
    out also where nothing was counted at all; undirected where it was.
    """
    found = {direction for installation in installations for direction in installation.directions}
    both = {Direction.IN, Direction.OUT}
    return tuple(sorted(found | both if found & both or not found else found))


_STATIONS: Final = """
SELECT id, name, timezone, longitude, latitude, line, number FROM station
WHERE %(id)s::text IS NULL OR id = %(id)s ORDER BY id
"""

_LABELS: Final = """
SELECT station, CASE WHEN isfinite(valid_from) THEN extract(epoch FROM valid_from)::bigint END, in_label, out_label
FROM direction_label WHERE %(id)s::text IS NULL OR station = %(id)s ORDER BY station, valid_from
"""

_INSTALLATIONS: Final = """
SELECT i.station, i.sensor, s.id, i.role, s.directions,
       CASE WHEN isfinite(i.valid_from) THEN extract(epoch FROM i.valid_from)::bigint END,
       CASE WHEN isfinite(i.valid_to) THEN extract(epoch FROM i.valid_to)::bigint END,
       i.type, i.mounting, i.field_of_view
FROM installation i JOIN sensor s ON s.key = i.sensor
WHERE %(id)s::text IS NULL OR i.station = %(id)s ORDER BY i.station, s.id, i.valid_from
"""


async def read_stations(connection: Connection, station: str | None = None) -> list[Station]:
    """All stations by id, or the one named (an empty list if there is none of that name)."""
    which = {"id": station}
    labels: dict[str, list[Labels]] = {}
    for name, from_s, *words in await (await connection.execute(_LABELS, which)).fetchall():
        given = {word: label for word, label in zip(("in", "out"), words, strict=True) if label}
        labels.setdefault(name, []).append(Labels(from_s, given))
    installations: dict[str, list[Installation]] = {}
    for name, key, sensor, role, bits, from_s, to_s, *words in await (
        await connection.execute(_INSTALLATIONS, which)
    ).fetchall():
        installations.setdefault(name, []).append(
            Installation(key, sensor, role, _directions(bits), from_s, to_s, *words)
        )
    return [
        Station(
            name,
            title,
            ZoneInfo(zone),
            longitude,
            latitude,
            _line(line),
            tuple(labels.get(name, ())),
            tuple(installations.get(name, ())),
            number,
        )
        for name, title, zone, longitude, latitude, line, number in await (
            await connection.execute(_STATIONS, which)
        ).fetchall()
    ]


def _directions(bits: int) -> tuple[int, ...]:
    return tuple(direction for direction in DIRECTION_WORDS if bits & 1 << direction)


def _line(points: list[list[float]] | None) -> tuple[tuple[float, float], tuple[float, float]] | None:
    if points is None:
        return None
    (x1, y1), (x2, y2) = points
    return (x1, y1), (x2, y2)
