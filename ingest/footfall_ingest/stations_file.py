"""Read a stations file: GeoJSON in, `Station` out, or a list of everything that is wrong with it and where.

A fault names the feature, the property and what would be right, and all faults are reported at once: the file is
written by hand. A date stands for local midnight at the station, a time without offset is local too. Times are kept in
UTC and are whole minutes, because minutes are what counts are kept by.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from footfall_ingest.geojson import (
    Faults,
    FaultsError,
    Position,
    distance_m,
    features_of,
    id_of,
    load,
    only,
    position_of,
    text_of,
)
from footfall_ingest.moments import local_utc

DEFAULT_TIMEZONE = "Europe/Berlin"
ROLES = ("part", "reference")
MAX_LINE_M = 500
"""Longest counting line, and farthest distance of its ends from the station's position, in metres."""

MAX_ABOUT = 200
"""Characters in which a sensor's type, its mounting and its field of view are each said."""


@dataclass(frozen=True, order=True)
class DirectionLabel:
    """What "in" and "out" mean at a station from `valid_from` (UTC) on, until the next label."""

    valid_from: datetime
    in_label: str
    out_label: str


@dataclass(frozen=True)
class Installation:
    """A sensor at a station in [`valid_from`, `valid_to`), UTC; `valid_to` None: until further notice."""

    sensor: str
    valid_from: datetime
    valid_to: datetime | None
    role: str
    type: str | None = None
    """What kind of sensor it is, for people; None: nobody said. The two below likewise."""
    mounting: str | None = None
    """Where and how it hangs."""
    field_of_view: str | None = None
    """Which part of the place it sees."""

    @property
    def place_in_time(self) -> tuple[str, datetime]:
        """What it is sorted by: the sensor, then the beginning."""
        return self.sensor, self.valid_from

    def overlaps(self, other: "Installation") -> bool:
        """Whether both claim the same sensor at the same time."""
        return (
            self.sensor == other.sensor
            and (self.valid_to is None or other.valid_from < self.valid_to)
            and (other.valid_to is None or self.valid_from < other.valid_to)
        )

    def __str__(self) -> str:
        end = f"to {self.valid_to.isoformat()}" if self.valid_to else "on"
        return f"from {self.valid_from.isoformat()} {end}"


@dataclass(frozen=True)
class Station:
    """A place with a counting line. Labels are sorted by time, installations by sensor and time."""

    id: str
    name: str
    timezone: str
    position: Position
    line: tuple[Position, Position] | None
    directions: tuple[DirectionLabel, ...]
    sensors: tuple[Installation, ...]


class StationsError(FaultsError):
    """The stations cannot be used. `faults` has one sentence for each thing that is wrong."""


def read(path: Path) -> tuple[Station, ...]:
    """The stations in the GeoJSON file `path`, in the order of the file.

    Raises:
        StationsError: no such file, not JSON, or not stations; with every fault that was found.
    """
    return parse(load(path, StationsError))


def parse(document: object) -> tuple[Station, ...]:
    """The stations in a decoded GeoJSON FeatureCollection.

    Raises:
        StationsError: with every fault that was found.
    """
    faults = Faults()
    stations = _collection(document, faults)
    _check_together(stations, faults)
    if faults.found:
        raise StationsError(faults.found)
    return tuple(stations)


def _collection(document: object, faults: Faults) -> list[Station]:
    found = features_of(document, "stations", faults)
    return [station for n, feature in enumerate(found) if (station := _feature(n, feature, faults))]


def _feature(number: int, feature: object, faults: Faults) -> Station | None:
    faults = faults.inside(f"features[{number}]")
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        faults.at("", 'must be an object with "type": "Feature"')
        return None
    identity = id_of(feature.get("id"), "id", faults)
    if identity:
        faults = faults.inside(f"station {identity}")
    only(feature, ("type", "id", "geometry", "properties", "bbox"), "", faults)
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        faults.at("properties", "must be an object")
        return None
    only(properties, ("name", "timezone", "line", "directions", "sensors"), "properties", faults)
    zone = _timezone(properties.get("timezone", DEFAULT_TIMEZONE), faults)
    name = text_of(properties.get("name"), "properties.name", faults)
    position = _point(feature.get("geometry"), zone, faults)
    line = _line(properties.get("line"), position, faults)
    directions = _directions(properties.get("directions", []), zone, faults)
    sensors = _sensors(properties.get("sensors", []), zone, faults)
    if not (identity and name and zone and position):
        return None
    return Station(identity, name, zone.key, position, line, directions, sensors)


def _timezone(value: object, faults: Faults) -> ZoneInfo | None:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.at("properties.timezone", f"{value!r} is no time zone; right is a name like {DEFAULT_TIMEZONE}")
        return None


def _point(geometry: object, zone: ZoneInfo | None, faults: Faults) -> Position | None:
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        faults.at("geometry", 'must be {"type": "Point", "coordinates": [longitude, latitude]}')
        return None
    only(geometry, ("type", "coordinates", "bbox"), "geometry", faults)
    position = position_of(geometry.get("coordinates"), "geometry.coordinates", faults)
    if position and zone and _looks_swapped(position, zone):
        faults.at(
            "geometry.coordinates",
            f"{list(position)} looks swapped for {zone.key}: longitude comes first, then latitude",
        )
        return None
    return position


def _looks_swapped(position: Position, zone: ZoneInfo) -> bool:
    """Whether the latitude would suit the zone as longitude and the longitude does not."""
    # Clocks follow the sun, 15° an hour; no zone's people live 30° away from where its winter time belongs.
    midnights = [datetime(2024, month, 1, tzinfo=zone).timestamp() for month in (1, 7)]
    local = [datetime(2024, month, 1, tzinfo=UTC).timestamp() for month in (1, 7)]
    meridian = min(b - a for a, b in zip(midnights, local, strict=True)) / 3600 * 15
    longitude, latitude = position
    return abs(longitude - meridian) > 30 and abs(latitude - meridian) <= 30


def _line(value: object, position: Position | None, faults: Faults) -> tuple[Position, Position] | None:
    where = "properties.line"
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 2):
        faults.at(where, "must be two positions [[longitude, latitude], [longitude, latitude]]")
        return None
    first, second = (position_of(part, f"{where}[{n}]", faults) for n, part in enumerate(value))
    if first is None or second is None:
        return None
    if first == second:
        faults.at(where, "its two points are the same; a line needs two")
        return None
    ends = ((first, second), (position, first), (position, second))
    for a, b in ends:
        if a and distance_m(a, b) > MAX_LINE_M:
            faults.at(where, f"{list(a)} and {list(b)} are more than {MAX_LINE_M} m apart; it belongs at the station")
            return None
    return first, second


def _directions(value: object, zone: ZoneInfo | None, faults: Faults) -> tuple[DirectionLabel, ...]:
    labels = []
    for n, entry in _objects(value, "properties.directions", ("from", "in", "out"), faults):
        where = f"properties.directions[{n}]"
        start = _moment(entry.get("from"), f"{where}.from", zone, faults)
        inward = text_of(entry.get("in"), f"{where}.in", faults)
        outward = text_of(entry.get("out"), f"{where}.out", faults)
        if inward and inward == outward:
            faults.at(where, f"in and out are both {inward!r}; they must tell the directions apart")
        if start and inward and outward:
            labels.append(DirectionLabel(start, inward, outward))
    labels.sort()
    for earlier, later in pairwise(labels):
        if earlier.valid_from == later.valid_from:
            faults.at("properties.directions", f"two entries from {later.valid_from.isoformat()}; one must begin later")
    return tuple(labels)


def _sensors(value: object, zone: ZoneInfo | None, faults: Faults) -> tuple[Installation, ...]:
    installations = []
    known = ("id", "from", "to", "role", "type", "mounting", "field_of_view")
    for n, entry in _objects(value, "properties.sensors", known, faults):
        where = f"properties.sensors[{n}]"
        sensor = id_of(entry.get("id"), f"{where}.id", faults)
        start = _moment(entry.get("from"), f"{where}.from", zone, faults)
        open_end = entry.get("to") is None
        end = None if open_end else _moment(entry["to"], f"{where}.to", zone, faults)
        role = entry.get("role", "part")
        kind, mounting, view = (_about(entry.get(name), f"{where}.{name}", faults) for name in known[4:])
        if role not in ROLES:
            faults.at(f"{where}.role", f"{role!r} is no role; right is {' or '.join(ROLES)}")
        if start and end and start >= end:
            faults.at(f"{where}.to", f"{entry['to']!r} is not after from {entry['from']!r}")
        elif sensor and start and (open_end or end) and role in ROLES:
            installations.append(Installation(sensor, start, end, str(role), kind, mounting, view))
    installations.sort(key=lambda installation: installation.place_in_time)
    return tuple(installations)


def _about(value: object, where: str, faults: Faults) -> str | None:
    """Words about a sensor; None if nobody said any."""
    if value is None:
        return None
    text = text_of(value, where, faults)
    if len(text) > MAX_ABOUT:
        faults.at(where, f"has {len(text)} characters; {MAX_ABOUT} are the most")
        return None
    return text or None


def _objects(value: object, where: str, known: tuple[str, ...], faults: Faults) -> list[tuple[int, dict[str, object]]]:
    if not isinstance(value, list):
        faults.at(where, f"must be an array of objects with {', '.join(known)}")
        return []
    entries = []
    for n, entry in enumerate(value):
        if isinstance(entry, dict):
            only(entry, known, f"{where}[{n}]", faults)
            entries.append((n, entry))
        else:
            faults.at(f"{where}[{n}]", f"must be an object with {', '.join(known)}")
    return entries


def _moment(value: object, where: str, zone: ZoneInfo | None, faults: Faults) -> datetime | None:
    if zone is None:
        return None  # which moment a local time is cannot be said; the zone is reported already
    try:
        moment = local_utc(str(value), zone)
    except (ValueError, OverflowError) as error:
        faults.at(where, f"{error}; right is a date (local midnight) or a time like 2026-03-01T09:30")
        return None
    if moment.second or moment.microsecond:
        faults.at(where, f"{value!r} is not a whole minute")
        return None
    return moment


def _check_together(stations: list[Station], faults: Faults) -> None:
    seen: set[str] = set()
    for station in stations:
        if station.id in seen:
            faults.inside(f"station {station.id}").at("id", "stands twice in the file; each station once")
        seen.add(station.id)
    placed = [(installation, station.id) for station in stations for installation in station.sensors]
    placed.sort(key=lambda pair: pair[0].place_in_time)
    open_until: dict[str, tuple[Installation, str]] = {}
    for installation, station_id in placed:
        before = open_until.get(installation.sensor)
        if before and before[0].overlaps(installation):
            faults.inside(f"station {station_id}").at(
                f"properties.sensors {installation.sensor}",
                f"{installation} overlaps its installation at station {before[1]} ({before[0]}); "
                "a sensor is in one place at a time",
            )
        if before is None or before[0].valid_to is not None:
            open_until[installation.sensor] = (installation, station_id)
