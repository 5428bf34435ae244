"""A counting line on the ground: how long it is, and where it leads."""

import math
from collections.abc import Sequence


def east_north_m(line: Sequence[Sequence[float]]) -> tuple[float, float]:
    """From the first to the second point, metres to the east and to the north."""
    (lon1, lat1), (lon2, lat2) = line
    metres = math.pi / 180 * 6_371_000
    return (lon2 - lon1) * math.cos(math.radians((lat1 + lat2) / 2)) * metres, (lat2 - lat1) * metres


def length_m(line: Sequence[Sequence[float]]) -> int:
    """The length of a counting line in whole metres, one at least."""
    return max(1, round(math.hypot(*east_north_m(line))))


def turn_of(line: Sequence[Sequence[float]]) -> float:
    """Degrees clockwise from east in which a line leads from its first to its second point."""
    east, north = east_north_m(line)
    return round(math.degrees(math.atan2(-north, east)) % 360, 1)
