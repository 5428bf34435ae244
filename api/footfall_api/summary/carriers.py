"""Which stations carried a sum, and when: those of an area may come and go, and its sum with them."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from footfall_api.counts import Member
from footfall_api.stations import Installation

_SINCE_EVER: Final = -(2**62)
_FOR_EVER: Final = 2**62


@dataclass(frozen=True, slots=True)
class Carried:
    """A stretch of time (UTC unix seconds, the end not part of it) in which a station had a sensor."""

    station: str
    from_s: int
    to_s: int


def stretches(installations: Sequence[Installation]) -> list[tuple[int, int]]:
    """The times in which at least one of the installations was there, joined where they touch, in order."""
    found: list[tuple[int, int]] = []
    for start_s, end_s in sorted(installation.overlap(_SINCE_EVER, _FOR_EVER) for installation in installations):
        if start_s >= end_s:
            continue
        if found and start_s <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end_s)
        else:
            found.append((start_s, end_s))
    return found


def carried(members: Iterable[Member], from_s: int, to_s: int) -> list[Carried]:
    """When each station had a sensor within [from_s, to_s), by station and time."""
    return [
        Carried(station, max(start_s, from_s), min(end_s, to_s))
        for station, found in sorted(_by_station(members).items())
        for start_s, end_s in found
        if start_s < to_s and end_s > from_s
    ]


@dataclass(frozen=True, slots=True)
class Carriers:
    """Which stations had a sensor at each moment."""

    changes_s: Sequence[int]
    """When that changed, in order (UTC unix seconds)."""
    stations: Sequence[frozenset[str]]
    """The stations before the first change and after each."""

    def during(self, start_s: int, end_s: int) -> frozenset[str] | None:
        """The stations that had a sensor throughout [start_s, end_s); None if that changed in between."""
        n = bisect_right(self.changes_s, start_s)
        return None if n < len(self.changes_s) and self.changes_s[n] < end_s else self.stations[n]


def carriers_of(members: Iterable[Member]) -> Carriers:
    """Which stations had one of these sensors at each moment."""
    known = _by_station(members)
    changes_s = sorted({edge for found in known.values() for stretch in found for edge in stretch})
    after = [
        frozenset(station for station, found in known.items() if any(start <= change < end for start, end in found))
        for change in changes_s
    ]
    return Carriers(changes_s, [frozenset(), *after])


def _by_station(members: Iterable[Member]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[Installation]] = {}
    for member in members:
        found.setdefault(member.station, []).append(member.installation)
    return {station: stretches(installations) for station, installations in found.items()}
