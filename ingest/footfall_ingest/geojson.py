"""Read GeoJSON that people write by hand: every fault is found, with its place and what would be right.

What a file of stations and a file of areas have in common.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from footfall_contract import ContractError, check_id

Position = tuple[float, float]
"""Longitude and latitude in degrees, WGS 84."""

_METRES_PER_DEGREE = 111_195  # of latitude, on the mean sphere


class FaultsError(Exception):
    """A file cannot be used. `faults` has one sentence for each thing that is wrong."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def load(path: Path, refuse: type[FaultsError]) -> object:
    """The JSON document in the file `path`.

    Raises:
        FaultsError: of the kind `refuse`: no such file, or not JSON.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_no_doubles, parse_constant=_no_constants)
    except OSError as error:
        raise refuse([f"{path}: cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:
        raise refuse([f"{path}: not JSON: {error}"]) from error


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {max(names, key=names.count)!r} stands twice in one object")
    return members


def _no_constants(name: str) -> object:
    raise ValueError(f"{name} is not a number in JSON")


@dataclass
class Faults:
    """Collects faults; `place` is put before each."""

    place: str = ""
    found: list[str] = field(default_factory=list)

    def at(self, where: str, sentence: str) -> None:
        """Note a fault: where, and what is wrong there and would be right."""
        self.found.append(": ".join(part for part in (self.place, where, sentence) if part))

    def inside(self, place: str) -> "Faults":
        """The same collection, at another place."""
        return Faults(place, self.found)


def features_of(document: object, what: str, faults: Faults) -> list[object]:
    """The features of a FeatureCollection of `what`; empty if it is none."""
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        faults.at("", f'not {what}: the file must be a GeoJSON object with "type": "FeatureCollection"')
        return []
    # "name" and "bbox" are what common programs add when they save a file.
    only(document, ("type", "features", "name", "bbox"), "", faults)
    found = document.get("features")
    if not isinstance(found, list):
        faults.at("features", "must be an array of features")
        return []
    return found


def only(found: Mapping[str, object], known: tuple[str, ...], where: str, faults: Faults) -> None:
    """Find every member that is not one of those `known`."""
    for key in found:
        if key not in known:
            faults.at(f"{where}.{key}" if where else key, f"unknown; known are {', '.join(known)}")


def id_of(value: object, where: str, faults: Faults) -> str | None:
    """The id that `value` is; None, and a fault, if it is none."""
    try:
        return check_id(where, value)
    except ContractError as error:
        faults.at(where, f"{error.got} is no id; right is {error.expected}")
        return None


def text_of(value: object, where: str, faults: Faults) -> str:
    """The text that `value` is, without blanks around it; empty, and a fault, if it is none."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value.strip()
    faults.at(where, "must be a text of printable characters")
    return ""


def position_of(value: object, where: str, faults: Faults) -> Position | None:
    """The position that `value` is; None, and a fault, if it is none on Earth."""
    if not (isinstance(value, list) and len(value) == 2 and all(_is_number(part) for part in value)):
        faults.at(where, f"{value!r} is no position; right is [longitude, latitude] in degrees")
        return None
    longitude, latitude = float(value[0]), float(value[1])
    if abs(longitude) > 180 or abs(latitude) > 90:
        swapped = " (swapped? longitude comes first)" if abs(longitude) <= 90 and abs(latitude) <= 180 else ""
        faults.at(where, f"{value} is out of range: longitude -180 to 180, latitude -90 to 90{swapped}")
        return None
    return longitude, latitude


def _is_number(value: object) -> bool:
    # No larger than any angle: a whole number in JSON may be too large to be a float at all.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1_000_000


def distance_m(a: Position, b: Position) -> float:
    """Metres between two positions that are near each other."""
    east = (b[0] - a[0]) * math.cos(math.radians((a[1] + b[1]) / 2))
    return math.hypot(east, b[1] - a[1]) * _METRES_PER_DEGREE
