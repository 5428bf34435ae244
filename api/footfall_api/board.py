"""The board: what every station counted today and in the last hour; what the page and the live stream show.

A board is worked out for all stations together, at most once a second, however many people look at it. It uses the same
steps as any question (`counts`): what the page shows now, the API says later for the same time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from footfall_api.counts import Group, columns_of, group_answers, groups_of, tally_groups
from footfall_api.database import Connection
from footfall_api.intervals import Resolution, interval_of
from footfall_api.question import Dimension
from footfall_api.stations import Station, read_stations
from footfall_api.tally import LegTally

MINUTES: Final = 60
"""Minutes on the board, the one that is running among them."""

_PAST_FOR_S: Final = 15
"""How long what is older than an hour is believed before it is looked up again."""

_BY_DIRECTION: Final = frozenset({Dimension.DIRECTION})


@dataclass(frozen=True, slots=True)
class Reading:
    """What a station counted in one interval; times are aware, in the station's zone.

    `counts` has a key (``in``, ``out``, ``undirected``) for each direction of the station; None: not measured, 0:
    measured, and nobody came. `count` is their sum. `coverage`, `state`, `reason`, `final`: as in every answer of the
    API.
    """

    start: datetime
    end: datetime
    counts: Mapping[str, int | None]
    count: int | None
    coverage: float | None
    state: str
    reason: str | None
    final: bool

    def as_json(self) -> dict[str, Any]:
        """The reading by itself."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "counts": dict(self.counts),
            "count": self.count,
            "coverage": self.coverage,
            "state": self.state,
            "reason": self.reason,
            "final": self.final,
        }


@dataclass(frozen=True, slots=True)
class StationBoard:
    """One station on the board.

    `labels` says in words what the directions mean now (``{"in": "Richtung Markt", ...}``; a direction without a label
    is absent). `today`: since local midnight, until the next. `minutes`: 60, oldest first, the last one is still
    running. `updated`: when something was measured last, to the minute or better; None: never. `last_day`: if nothing
    was measured today, the last local day on which something was.
    """

    id: str
    name: str
    timezone: str
    longitude: float
    latitude: float
    line: tuple[tuple[float, float], tuple[float, float]] | None
    labels: Mapping[str, str]
    directions: tuple[str, ...]
    today: Reading
    minutes: tuple[Reading, ...]
    updated: datetime | None
    last_day: Reading | None

    def as_json(self) -> dict[str, Any]:
        """The station as it is on the live stream; the minutes in columns, because they are many."""
        return {
            "id": self.id,
            "name": self.name,
            "timezone": self.timezone,
            "longitude": self.longitude,
            "latitude": self.latitude,
            "line": self.line,
            "labels": dict(self.labels),
            "directions": list(self.directions),
            "updated": None if self.updated is None else self.updated.isoformat(),
            "today": self.today.as_json(),
            "minutes": {
                "start": self.minutes[0].start.isoformat(),
                "step_s": 60,
                "counts": {word: [minute.counts[word] for minute in self.minutes] for word in self.directions},
                "count": [minute.count for minute in self.minutes],
                "coverage": [minute.coverage for minute in self.minutes],
                "state": [minute.state for minute in self.minutes],
                "reason": [minute.reason for minute in self.minutes],
                "final": [minute.final for minute in self.minutes],
            },
            "last_day": None if self.last_day is None else self.last_day.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Board:
    """All stations, by id, as they were `at` (aware, UTC)."""

    at: datetime
    stations: tuple[StationBoard, ...]

    def as_json(self) -> dict[str, Any]:
        """The ``board`` event of the live stream: ``{"at", "unit", "stations": [...]}``."""
        return board_json(self.at, self.stations)


def board_json(at: datetime, stations: Sequence[StationBoard]) -> dict[str, Any]:
    """Some stations of a board; the form of the ``board`` and the ``change`` event alike."""
    return {"at": at.isoformat(), "unit": "passages", "stations": [station.as_json() for station in stations]}


@dataclass(frozen=True, slots=True)
class _Past:
    """What is known of a station that has not counted lately, and until when that is believed (UTC unix seconds)."""

    measured_s: int | None
    last_day: Reading | None
    until_s: int


class BoardReader:
    """Reads boards. It remembers for a while when silent stations were last heard of, which is slow to find out."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}

    async def read(self, connection: Connection, now: datetime) -> Board:
        """The board at `now`. The connection should be in one snapshot."""
        now_s = int(now.timestamp())
        stations = await read_stations(connection)
        edges_s = _minute_edges(now_s)
        tallies = await tally_groups(connection, [_parts(station) for station in stations], edges_s)
        today = await _todays(connection, stations, now_s)
        boards = []
        for station, found in zip(stations, tallies, strict=True):
            minutes = readings(station, found, edges_s, Resolution.MINUTE, now_s)
            past = await self._find_past(
                connection, station, _last_measured_s(found, edges_s), today[station.id], now_s
            )
            boards.append(_station_board(station, today[station.id], minutes, past, now_s))
        return Board(datetime.fromtimestamp(now_s, UTC), tuple(boards))

    async def _find_past(
        self, connection: Connection, station: Station, measured_s: int | None, today: Reading, now_s: int
    ) -> _Past:
        """When the station measured last; with the day of it, if that is not today."""
        if measured_s is not None and today.count is not None:
            return _Past(measured_s, None, now_s)
        known = self._past.get(station.id)
        if known is None or now_s >= known.until_s or measured_s is not None:
            measured_s = measured_s or await _ever_measured_s(connection, station)
            last_day = None
            if today.count is None and measured_s is not None:
                last_day = await _reading_of_day(connection, station, measured_s - 1, now_s)
            known = self._past[station.id] = _Past(measured_s, last_day, now_s + _PAST_FOR_S)
        return known


def readings(
    station: Station, tallies: Sequence[LegTally], edges_s: Sequence[int], resolution: Resolution, now_s: int
) -> tuple[Reading, ...]:
    """What a station's parts have between the edges, by direction."""
    answers = group_answers(tallies, edges_s, resolution, station.zone, now_s)
    columns = columns_of(_parts(station), 0, tallies, len(edges_s) - 1, split=_BY_DIRECTION)
    return tuple(
        Reading(
            datetime.fromtimestamp(start_s, station.zone),
            datetime.fromtimestamp(end_s, station.zone),
            {column.direction: None if answer.count is None else column.counts[i] for column in columns},
            answer.count,
            answer.coverage,
            answer.state,
            answer.reason,
            answer.final,
        )
        for i, ((start_s, end_s), answer) in enumerate(zip(pairwise(edges_s), answers, strict=True))
    )


def _minute_edges(now_s: int) -> list[int]:
    running_s = now_s - now_s % 60
    return list(range(running_s - 60 * (MINUTES - 1), running_s + 61, 60))


def _parts(station: Station) -> Group:
    (group,) = groups_of(station, frozenset())
    return group


async def _todays(connection: Connection, stations: Sequence[Station], now_s: int) -> dict[str, Reading]:
    """Today's reading by station: one round of statements for each time zone, because it is another day in each."""
    found: dict[str, Reading] = {}
    for zone in {station.zone for station in stations}:
        there = [station for station in stations if station.zone == zone]
        edges_s = interval_of(Resolution.DAY, now_s, zone)
        for station, tallies in zip(
            there, await tally_groups(connection, [_parts(s) for s in there], edges_s), strict=True
        ):
            (found[station.id],) = readings(station, tallies, edges_s, Resolution.DAY, now_s)
    return found


async def _reading_of_day(connection: Connection, station: Station, instant_s: int, now_s: int) -> Reading:
    """The reading of the local day that an instant is in."""
    edges_s = interval_of(Resolution.DAY, instant_s, station.zone)
    (tallies,) = await tally_groups(connection, [_parts(station)], edges_s)
    (reading,) = readings(station, tallies, edges_s, Resolution.DAY, now_s)
    return reading


def _last_measured_s(tallies: Sequence[LegTally], edges_s: Sequence[int]) -> int | None:
    """When something was measured last between the edges, as far as its minute's measured seconds tell."""
    return max(
        (
            edges_s[i] + min(observed_s, 60)
            for found in tallies
            for i, observed_s in enumerate(found.observed_s)
            if observed_s
        ),
        default=None,
    )


_EVER_MEASURED: Final = """
SELECT max(greatest(
    (SELECT extract(epoch FROM c.bucket)::bigint + c.observed_s FROM coverage_minute c
     WHERE c.sensor = leg.sensor AND c.observed_s > 0 AND c.bucket >= leg.installed AND c.bucket < leg.removed
     ORDER BY c.bucket DESC LIMIT 1),
    (SELECT extract(epoch FROM s.ends)::bigint FROM coverage_span s
     WHERE s.sensor = leg.sensor AND s.starts >= leg.installed AND s.ends <= leg.removed AND (
         s.observed_s > 0
         OR EXISTS (SELECT FROM count_span c WHERE (c.sensor, c.starts, c.ends) = (s.sensor, s.starts, s.ends)))
     ORDER BY s.starts DESC LIMIT 1)
))
FROM (
    SELECT sensor, valid_from AS installed, coalesce(valid_to, 'infinity') AS removed FROM installation
    WHERE station = %s AND role = 'part'
) leg
"""


async def _ever_measured_s(connection: Connection, station: Station) -> int | None:
    """When the station's parts measured last, in UTC unix seconds; None: never."""
    row = await (await connection.execute(_EVER_MEASURED, [station.id])).fetchone()
    return None if row is None else row[0]


def _station_board(
    station: Station, today: Reading, minutes: tuple[Reading, ...], past: _Past, now_s: int
) -> StationBoard:
    updated_s = None if past.measured_s is None else min(past.measured_s, now_s)
    return StationBoard(
        station.id,
        station.name,
        station.zone.key,
        station.longitude,
        station.latitude,
        station.line,
        station.labels_at(now_s),
        tuple(today.counts),
        today,
        minutes,
        None if updated_s is None else datetime.fromtimestamp(updated_s, station.zone),
        past.last_day,
    )
