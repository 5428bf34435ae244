"""Read an areas file: GeoJSON in, `Area` out, or a list of everything that is wrong with it and where.

A fault names the feature, the property and what would be right, and all faults are reported at once. Polygons are
checked with GEOS: an edge that crosses another one makes it a matter of taste what lies inside.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footfall_ingest.geojson import (
    Faults,
    FaultsError,
    Position,
    features_of,
    id_of,
    load,
    only,
    position_of,
    text_of,
)

NEAR_DEGREES = 5
"""Areas of a city are nearer than this to its stations, by longitude and latitude."""

Geometry = dict[str, Any]
"""GeoJSON: a Polygon or a MultiPolygon."""

_SHAPES = {"Polygon": "an array of rings", "MultiPolygon": "an array of polygons, which are arrays of rings"}

_IN_WORDS = {
    "Self-intersection": "its edges cross or lie on each other",
    "Ring Self-intersection": "a ring touches itself; draw what it encloses there as a part or a hole of its own",
    "Hole lies outside shell": "a hole lies outside of what it is a hole in",
    "Holes are nested": "a hole lies in another hole",
    "Nested shells": "a part lies inside another one",
    "Interior is disconnected": "a hole cuts it in two; draw two parts",
    "Duplicate Rings": "the same ring stands twice",
    "Too few points in geometry component": "a ring has fewer than three different positions",
}
"""What GEOS finds, as whoever drew the area would say it. It puts the place behind, in brackets."""


@dataclass(frozen=True)
class Area:
    """A named area that stations lie in. `kind` is the city's word for what it is; `geometry` is GeoJSON."""

    id: str
    name: str
    kind: str
    geometry: Geometry


class AreasError(FaultsError):
    """The areas cannot be used. `faults` has one sentence for each thing that is wrong."""


def read(path: Path, near: Sequence[Position] = ()) -> tuple[Area, ...]:
    """The areas in the GeoJSON file `path`, in the order of the file; `near` as for `parse`.

    Raises:
        AreasError: no such file, not JSON, or not areas; with every fault that was found.
    """
    return parse(load(path, AreasError), near)


def parse(document: object, near: Sequence[Position] = ()) -> tuple[Area, ...]:
    """The areas in a decoded GeoJSON FeatureCollection.

    `near` is where stations are: an area that would lie there if longitude and latitude changed places is a fault.

    Raises:
        AreasError: with every fault that was found.
    """
    faults = Faults()
    found = features_of(document, "areas", faults)
    areas = [area for n, feature in enumerate(found) if (area := _feature(n, feature, near, faults))]
    named = [feature.get("id") for feature in found if isinstance(feature, dict)]
    for twice in sorted({name for name in named if isinstance(name, str) and named.count(name) > 1}):
        faults.inside(f"area {twice}").at("id", "stands twice in the file; each area once")
    if faults.found:
        raise AreasError(faults.found)
    return tuple(areas)


def _feature(number: int, feature: object, near: Sequence[Position], faults: Faults) -> Area | None:
    faults = faults.inside(f"features[{number}]")
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        faults.at("", 'must be an object with "type": "Feature"')
        return None
    identity = id_of(feature.get("id"), "id", faults)
    if identity:
        faults = faults.inside(f"area {identity}")
    only(feature, ("type", "id", "geometry", "properties", "bbox"), "", faults)
    geometry = _geometry(feature.get("geometry"), near, faults)
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        faults.at("properties", "must be an object with name and kind")
        return None
    only(properties, ("name", "kind"), "properties", faults)
    name = text_of(properties.get("name"), "properties.name", faults)
    kind = text_of(properties.get("kind"), "properties.kind (such as Quartier, Sozialraum, Ortsteil)", faults)
    return Area(identity, name, kind, geometry) if identity and name and kind and geometry else None


def _geometry(value: object, near: Sequence[Position], faults: Faults) -> Geometry | None:
    if not isinstance(value, dict) or value.get("type") not in _SHAPES:
        faults.at("geometry", 'must be {"type": "Polygon" or "MultiPolygon", "coordinates": […]}')
        return None
    only(value, ("type", "coordinates", "bbox"), "geometry", faults)
    where, before = "geometry.coordinates", len(faults.found)
    coordinates = value.get("coordinates")
    if value["type"] == "Polygon":
        found: object = _rings(coordinates, where, faults)
    else:
        found = [_rings(part, f"{where}[{n}]", faults) for n, part in enumerate(_array(coordinates))]
        if not found:
            faults.at(where, f"must be {_SHAPES['MultiPolygon']}, one at least")
    if len(faults.found) > before:
        return None
    geometry = {"type": value["type"], "coordinates": found}
    _check_shape(geometry, near, faults)
    return geometry if len(faults.found) == before else None


def _array(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _rings(value: object, where: str, faults: Faults) -> list[list[Position]]:
    if not _array(value):
        faults.at(where, "must be an array of rings: what encloses it, then its holes")
    return [_ring(ring, f"{where}[{n}]", faults) for n, ring in enumerate(_array(value))]


def _ring(value: object, where: str, faults: Faults) -> list[Position]:
    positions = [position_of(part, f"{where}[{n}]", faults) for n, part in enumerate(_array(value))]
    if len(positions) < 4:
        faults.at(where, "must be an array of four positions or more, the last of which is the first again")
    elif None not in positions and positions[0] != positions[-1]:
        faults.at(where, f"is not closed: it begins at {_array(value)[0]} and ends at {_array(value)[-1]}")
    return [position for position in positions if position is not None]


def _check_shape(geometry: Geometry, near: Sequence[Position], faults: Faults) -> None:
    import shapely  # noqa: PLC0415  # loads GEOS, which the process that receives counts never needs
    from shapely.geometry import shape  # noqa: PLC0415

    found = shape(geometry)
    west, south, east, north = found.bounds
    if near and not _touches(near, west, south, east, north) and _touches(near, south, west, north, east):
        faults.at("geometry.coordinates", f"{[west, south]} looks swapped: longitude comes first, then latitude")
        return
    reason = shapely.is_valid_reason(found)
    if reason != "Valid Geometry":
        faults.at("geometry.coordinates", _in_words(reason))


def _touches(near: Sequence[Position], west: float, south: float, east: float, north: float) -> bool:
    """Whether one of the positions is near the box."""
    d = NEAR_DEGREES
    return any(west - d <= lon <= east + d and south - d <= lat <= north + d for lon, lat in near)


def _in_words(reason: str) -> str:
    """What GEOS says, such as ``Self-intersection[11.5 50.9]``, as a sentence with the place in our order."""
    what, place = re.fullmatch(r"([^[]*)(?:\[(.*)\])?", reason.strip()).groups()  # type: ignore[union-attr]
    words = _IN_WORDS.get(what, what.lower())
    return f"{words}, at [{', '.join(place.split())}]" if place else words
