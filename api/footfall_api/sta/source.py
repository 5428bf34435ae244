"""Where the entities of SensorThings come from: the stations, and the tally that every other answer is made of.

So the numbers, their states and the rules of publication are those of the API, for there is no second copy of them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from footfall_api.answers import Answer
from footfall_api.areas import read_areas
from footfall_api.counts import columns_of, group_answers, groups_of, tally_groups
from footfall_api.database import Connection, Pool, snapshot
from footfall_api.messages import catalogue
from footfall_api.publication import Publication
from footfall_api.publication_words import sentences
from footfall_api.question import Dimension
from footfall_api.ranges import FAR_S
from footfall_api.remarks import FOREVER_S, exclusions_of, read_remarks
from footfall_api.shared import Shared
from footfall_api.sta.edges import Calendar
from footfall_api.sta.model import Entity, Names, Stream, direction_sets, entities_of, stream_id
from footfall_api.stations import Station, read_stations
from footfall_api.tally import Hidden

KEPT_S: Final = 5
"""How long the stations, and up to when they counted, are believed before they are read again."""

PIECE: Final = 5000
"""Intervals that are tallied at a time."""

Slice = tuple[Stream, int, int]
"""The Observations of a Datastream at the positions [first, last)."""

Counted = tuple[Sequence[int], Sequence[Answer]]
"""Of some consecutive positions the counts, and what is said of each."""


@dataclass(frozen=True, slots=True)
class Tallied:
    """What a station has at some consecutive positions: counts by direction, and what is said of each."""

    counts: Mapping[str, Sequence[int]]
    answers: Sequence[Answer]


Kept = dict[tuple[int, int, int, int], Tallied]
"""By what edges, the number of the station, and the positions [first, last)."""


@dataclass(frozen=True, slots=True)
class City:
    """All entities but the Observations, as they are at a moment."""

    entities: Mapping[str, Mapping[int, Entity]]
    streams: Mapping[int, Stream]
    by_station: Mapping[int, Sequence[Stream]]
    """By the number of the station."""
    hidden: Hidden
    known_s: int
    """Up to when counts are public (UTC unix seconds)."""


class Source:
    """Reads the city, and the Observations that somebody wants to see."""

    def __init__(
        self,
        pool: Pool,
        rules: Publication,
        clock: Callable[[], datetime],
        names: Callable[[Sequence[str]], Names],
    ) -> None:
        """`names` makes what stands in the entities beside the stations from the rules in sentences."""
        self._pool = pool
        self._rules = rules
        self._clock = clock
        self._names = names
        self._calendar = Calendar()
        self._city: City | None = None
        self._read_s = -FAR_S
        self._reading = Shared()

    async def city(self) -> City:
        """The city, at most a few seconds old."""
        async with self._reading.held():
            now_s = int(self._clock().timestamp())
            if self._city is None or not 0 <= now_s - self._read_s < KEPT_S:
                async with snapshot(self._pool, for_all=True) as connection:
                    self._city = await self._read(connection, now_s)
                self._read_s = now_s
            return self._city

    async def _read(self, connection: Connection, now_s: int) -> City:
        stations = await read_stations(connection)
        areas = await read_areas(connection, shapes=False)
        remarks = await read_remarks(connection, stations, areas, 0, FOREVER_S)
        begins = await _begins(connection)
        known_s = self._rules.known_s(now_s)
        streams = [stream for station in stations for stream in self._streams(station, begins, known_s)]
        by_station: dict[int, list[Stream]] = {station.number: [] for station in stations}
        for stream in streams:
            by_station[stream.station.number].append(stream)
        said = sentences(self._rules, catalogue("de"), {station.id: station.name for station in stations})
        inside = {s.id: [area.id for area in areas if s.id in area.stations] for s in stations}
        return City(
            entities_of(stations, inside, streams, self._names(said)),
            {stream.id: stream for stream in streams},
            by_station,
            self._rules.hidden(stations, exclusions_of(remarks, stations), now_s),
            known_s,
        )

    def _streams(self, station: Station, begins: Mapping[str, int], known_s: int) -> list[Stream]:
        zone_begin_s = min(begins.values(), default=known_s)
        begin_s = begins.get(station.id)
        ends = [FAR_S if i.to_s is None else i.to_s for i in station.parts()]
        found = []
        for resolution in self._rules.standard:
            edges = self._calendar.edges(resolution, station.zone, min(zone_begin_s, known_s), known_s)
            first = last = 0
            if begin_s is not None:
                # After its last sensor was taken down a station counts nothing, and that is no gap.
                end_s = min(max(ends, default=begin_s), known_s)
                first, last = edges.of(begin_s), edges.ended(known_s)
                if end_s < known_s:
                    last = min(last, edges.of(max(end_s - 1, begin_s)) + 1)
            found += [
                Stream(stream_id(station, resolution, direction), station, direction, edges, first, max(first, last))
                for direction in direction_sets(station)
            ]
        return found

    async def load(self, city: City, slices: Iterable[Slice], kept: Kept) -> dict[tuple[int, int, int], Counted]:
        """The counts at some positions, by the ids of the Datastreams and the positions asked for.

        Stations of one time are tallied together, and the directions of a station at once; what is `kept` from before
        is not tallied again, and what is tallied is kept.
        """
        slices = list(slices)
        pieces: dict[tuple[int, int, int], dict[int, Stream]] = {}
        for stream, first, last in slices:
            for piece in _pieces(first, last):
                if (id(stream.edges), stream.station.number, *piece) not in kept:
                    pieces.setdefault((id(stream.edges), *piece), {})[stream.station.number] = stream
        for (_, first, last), streams in pieces.items():
            kept.update(await self._tally(city, list(streams.values()), first, last))
        found: dict[tuple[int, int, int], Counted] = {}
        for stream, first, last in slices:
            parts = [kept[id(stream.edges), stream.station.number, *piece] for piece in _pieces(first, last)]
            counts = [count for part in parts for count in part.counts[stream.direction]]
            found[stream.id, first, last] = (counts, [answer for part in parts for answer in part.answers])
        return found

    async def _tally(self, city: City, streams: Sequence[Stream], first: int, last: int) -> Kept:
        """What the stations of some Datastreams of one resolution and zone have at the positions [first, last)."""
        edges = streams[0].edges
        edges_s = list(edges.edges_s[first : last + 1])
        groups = groups_of([stream.station for stream in streams], frozenset(), together=False)
        async with snapshot(self._pool) as connection:
            tallies = await tally_groups(connection, groups, edges_s, city.hidden)

        def told() -> Kept:
            return {
                (id(edges), stream.station.number, first, last): Tallied(
                    {
                        column.direction: column.counts
                        for split in (frozenset[Dimension](), frozenset({Dimension.DIRECTION}))
                        for column in columns_of(group, 0, tally, len(edges_s) - 1, split=split)
                    },
                    group_answers(tally, edges_s, edges.resolution, edges.zone, city.known_s),
                )
                for stream, group, tally in zip(streams, groups, tallies, strict=True)
            }

        return await asyncio.to_thread(told)


def _pieces(first: int, last: int) -> list[tuple[int, int]]:
    """The positions in pieces of at most `PIECE`."""
    return [(begin, min(begin + PIECE, last)) for begin in range(first, last, PIECE)]


_BEGINS: Final = """
SELECT i.station, min(least(
    (SELECT extract(epoch FROM h.bucket)::bigint FROM coverage_hour h
     -- Where there are minutes, they say it to the minute, summed up or not.
     WHERE h.sensor = i.sensor AND h.bucket > i.valid_from - interval '1 hour' AND h.bucket < i.valid_to
       AND h.bucket < (SELECT minutes_from FROM store)
     ORDER BY h.bucket LIMIT 1),
    (SELECT m.minute * 60::bigint FROM coverage_minute m
     WHERE m.sensor = i.sensor AND m.minute >= minute_of(i.valid_from) AND m.minute < minute_of(i.valid_to)
     ORDER BY m.minute LIMIT 1),
    (SELECT extract(epoch FROM s.starts)::bigint FROM coverage_span s
     WHERE s.sensor = i.sensor AND s.starts >= i.valid_from AND s.ends <= i.valid_to
     ORDER BY s.starts LIMIT 1)
))
FROM (
    SELECT station, sensor, valid_from, coalesce(valid_to, 'infinity') AS valid_to FROM installation WHERE role = 'part'
) i
GROUP BY i.station
"""
"""When the parts of each station first reported, in UTC unix seconds; null: never."""


async def _begins(connection: Connection) -> dict[str, int]:
    rows = await (await connection.execute(_BEGINS)).fetchall()
    return {station: begin_s for station, begin_s in rows if begin_s is not None}
