"""Remarks: what people know about a time at a station, a sensor or an area, and which time they say not to believe.

What excluded time means for an answer is decided elsewhere; here it is said for which sensor it is which. A remark that
was withdrawn is never read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from footfall_api.areas import Area
from footfall_api.database import Connection
from footfall_api.stations import Installation, Station
from footfall_api.times import LATEST

FOREVER_S: Final = int(LATEST.timestamp())
"""Where the time excluded by a remark without end ends (UTC unix seconds): nothing can be asked about after it."""

REACH_S: Final = 31 * 86_400
"""No span is longer: excluded time farther away than this from what is asked about has nothing to say there."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on [from_s, to_s) (UTC unix seconds, whole minutes; to_s None: until further notice).

    Exactly one of `station`, `sensor` and `area` says what it is about.
    """

    id: int
    station: str | None
    sensor: str | None
    area: str | None
    from_s: int
    to_s: int | None
    kind: str
    """``works``, ``event``, ``fault`` or ``note``."""
    text: str
    excludes: bool
    stations: tuple[str, ...]
    """Of the stations asked about those that it concerns, sorted."""

    def concerns(self, installation: Installation) -> bool:
        """Whether it is about a sensor of one of its `stations`: about all of them, unless it is about one sensor."""
        return self.sensor in (None, installation.sensor)


_REMARKS: Final = """
SELECT r.id, r.station, s.id, r.area, extract(epoch FROM r.starts)::bigint, extract(epoch FROM r.ends)::bigint,
       r.kind, r.text, r.excludes
FROM remark r LEFT JOIN sensor s ON s.key = r.sensor
WHERE r.withdrawn IS NULL AND r.starts < to_timestamp(%(to)s) AND (r.ends IS NULL OR r.ends > to_timestamp(%(from)s))
  AND (r.station = ANY(%(stations)s) OR r.sensor = ANY(%(sensors)s) OR r.area = ANY(%(areas)s))
ORDER BY r.starts, r.id
"""


async def read_remarks(
    connection: Connection, stations: Sequence[Station], areas: Sequence[Area], from_s: int, to_s: int
) -> list[Remark]:
    """The remarks on some time of [from_s, to_s) at these stations, by their beginning.

    Those on the stations, on their sensors if they were installed there in that very time, and on those of `areas` that
    the stations lie in; pass all areas there are.
    """
    names = {station.id for station in stations}
    inside = {area.id: tuple(sorted(names.intersection(area.stations))) for area in areas}
    asked = {
        "from": from_s,
        "to": to_s,
        "stations": list(names),
        "sensors": [i.sensor_key for station in stations for i in station.installations],
        "areas": [area for area, found in inside.items() if found],
    }
    found = []
    rows = await (await connection.execute(_REMARKS, asked)).fetchall()
    for id_, station, sensor, area, starts_s, ends_s, kind, text, excludes in rows:
        concerned: tuple[str, ...]
        if station is not None:
            concerned = (station,)
        elif area is not None:
            concerned = inside[area]
        else:
            begin_s, end_s = max(starts_s, from_s), to_s if ends_s is None else min(ends_s, to_s)
            concerned = _where(sensor, stations, begin_s, end_s)
        if concerned:
            found.append(Remark(id_, station, sensor, area, starts_s, ends_s, kind, text, excludes, concerned))
    return found


def _where(sensor: str, stations: Sequence[Station], from_s: int, to_s: int) -> tuple[str, ...]:
    """The stations at which a sensor was installed in some of [from_s, to_s)."""
    return tuple(
        sorted(
            station.id
            for station in stations
            if any(i.sensor == sensor and _is_time(i.overlap(from_s, to_s)) for i in station.installations)
        )
    )


def _is_time(stretch: tuple[int, int]) -> bool:
    return stretch[0] < stretch[1]


async def read_exclusions(
    connection: Connection, stations: Sequence[Station], areas: Sequence[Area], from_s: int, to_s: int
) -> Mapping[tuple[str, int], Sequence[tuple[int, int]]]:
    """The time at these stations that is not to be believed and matters for [from_s, to_s); `areas` are all there are.

    Also the time around it: a span of which a part is excluded has no number to be believed anywhere, so an interval
    that the rest of it lies in must know.
    """
    return exclusions_of(await read_remarks(connection, stations, areas, from_s - REACH_S, to_s + REACH_S), stations)


def exclusions_of(
    remarks: Sequence[Remark], stations: Sequence[Station]
) -> Mapping[tuple[str, int], Sequence[tuple[int, int]]]:
    """The time not to be believed, by station id and sensor key; who has none is not in it.

    Half-open stretches in UTC unix seconds, whole minutes, merged where they touch or overlap, ascending, each cut to
    the installation. What is excluded until further notice ends at the installation's end, else at `FOREVER_S`.
    """
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for remark in remarks:
        if not remark.excludes:
            continue
        end_s = FOREVER_S if remark.to_s is None else remark.to_s
        for station in stations:
            if station.id not in remark.stations:
                continue
            for installation in station.installations:
                stretch = installation.overlap(remark.from_s, end_s)
                if remark.concerns(installation) and _is_time(stretch):
                    found.setdefault((station.id, installation.sensor_key), []).append(stretch)
    return {key: _merged(stretches) for key, stretches in found.items()}


def _merged(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin_s, end_s in sorted(stretches):
        if merged and begin_s <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end_s)
        else:
            merged.append((begin_s, end_s))
    return merged
