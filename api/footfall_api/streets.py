"""Names of streets for the drawn map: a GeoJSON file that the settings name, checked when they are read.

The file is a FeatureCollection of lines: geometry ``LineString`` or ``MultiLineString`` in longitude and latitude (WGS
84), and a property ``name``; other properties are of no account, so that what a map service exports can be taken as it
is. Lines of the same name are one street.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

Line: TypeAlias = tuple[tuple[float, float], ...]
_FAULTS_TOLD: Final = 10


@dataclass(frozen=True, slots=True)
class Street:
    """A street: its name and its lines, in degrees."""

    name: str
    lines: tuple[Line, ...]


class StreetsError(ValueError):
    """A file that cannot be used; one sentence for each fault."""


def read_streets(path: Path) -> tuple[Street, ...]:
    """The streets in a file, in its order.

    Raises:
        StreetsError: it cannot be read, or is not as it must be.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StreetsError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StreetsError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
        raise StreetsError(f"{path} must be a GeoJSON FeatureCollection of lines")
    features = content.get("features")
    if not isinstance(features, list):
        raise StreetsError(f"{path}: 'features' must be a list")
    faults: list[str] = []
    found: dict[str, list[Line]] = {}
    for number, feature in enumerate(features, 1):
        try:
            name, lines = _street(feature)
        except StreetsError as error:
            faults.append(f"feature {number}: {error}")
        else:
            found.setdefault(name, []).extend(lines)
    if faults:
        raise StreetsError(f"{path}: " + "; ".join(faults[:_FAULTS_TOLD]))
    return tuple(Street(name, tuple(lines)) for name, lines in found.items())


def _street(feature: Any) -> tuple[str, list[Line]]:
    geometry = feature.get("geometry") if isinstance(feature, Mapping) else None
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str) or not name.strip():
        raise StreetsError("the property 'name' is missing")
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if not isinstance(geometry, Mapping) or kind not in {"LineString", "MultiLineString"}:
        raise StreetsError(f"'{name}' must be a LineString or MultiLineString, not {kind}")
    coordinates = geometry.get("coordinates")
    lines = [coordinates] if kind == "LineString" else coordinates
    if not isinstance(lines, list):
        raise StreetsError(f"'{name}' has no coordinates")
    return name.strip(), [_line(name, line) for line in lines]


def _line(name: str, points: Any) -> Line:
    if not isinstance(points, Sequence) or isinstance(points, str) or len(points) < 2:
        raise StreetsError(f"'{name}' must have at least two points in each line")
    return tuple(_point(name, point) for point in points)


def _point(name: str, point: Any) -> tuple[float, float]:
    match point:
        case [(int() | float()) as longitude, (int() | float()) as latitude, *_]:
            if -180 <= longitude <= 180 and -90 <= latitude <= 90:
                return float(longitude), float(latitude)
    raise StreetsError(f"'{name}' has a point that is no longitude and latitude: {str(point)[:60]}")
