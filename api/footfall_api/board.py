"""The board: what every station counted today and in the last hour; what the page and the live stream show.

A board is worked out for all stations together, at most once a second, however many people look at it. It uses the same
steps as any question (`counts`): what the page shows now, the API says later for the same time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from footfall_api.answers import Reason, State
from footfall_api.areas import read_areas
from footfall_api.counts import Group, columns_of, group_answers, groups_of, tally_groups
from footfall_api.database import Connection
from footfall_api.intervals import Resolution, interval_of
from footfall_api.publication import LIFTED, Publication
from footfall_api.question import Dimension
from footfall_api.ranges import FAR_S
from footfall_api.remarks import FOREVER_S, exclusions_of, read_remarks
from footfall_api.stations import Station, read_stations
from footfall_api.tally import NOTHING_EXCLUDED, Exclusions, Hidden, LegTally

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
    running. `updated`: when something was measured last, to the minute or better (to the hour where minutes were
    removed); None: never. `last_day`: if nothing was measured today, the last local day on which something was. What a
    remark excludes is not measured.
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

    def __init__(self, rules: Publication = LIFTED) -> None:
        self._rules = rules
        self._past: dict[str, _Past] = {}

    async def read(self, connection: Connection, now: datetime) -> Board:
        """The board at `now`, or as much earlier as the rules have it. The connection should be in one snapshot."""
        stations = await read_stations(connection)
        exclusions = await _exclusions(connection, stations)
        hidden = self._rules.hidden(stations, exclusions, int(now.timestamp()))
        now_s = self._rules.known_s(int(now.timestamp()))
        edges_s = _minute_edges(now_s)
        tallies = await tally_groups(connection, [_parts(station) for station in stations], edges_s, hidden)
        today = await _todays(connection, stations, hidden, now_s)
        boards = []
        for station, found in zip(stations, tallies, strict=True):
            minutes = readings(station, found, edges_s, Resolution.MINUTE, now_s)
            if not self._rules.has_minutes:
                minutes = tuple(map(_withheld, minutes))
            measured_s = _last_measured_s(found, edges_s)
            past = await self._find_past(connection, station, hidden, measured_s, today[station.id], now_s=now_s)
            boards.append(_station_board(station, today[station.id], minutes, past, now_s))
        return Board(datetime.fromtimestamp(now_s, UTC), tuple(boards))

    async def _find_past(
        self,
        connection: Connection,
        station: Station,
        hidden: Hidden,
        measured_s: int | None,
        today: Reading,
        *,
        now_s: int,
    ) -> _Past:
        """When the station measured last; with the day of it, if that is not today."""
        if measured_s is not None and today.count is not None:
            return _Past(measured_s, None, now_s)
        known = self._past.get(station.id)
        if known is None or now_s >= known.until_s or measured_s is not None:
            measured_s = measured_s or await _ever_measured_s(connection, station, hidden)
            last_day = None
            if today.count is None and measured_s is not None:
                last_day = await _reading_of_day(connection, station, hidden, measured_s - 1, now_s)
            known = self._past[station.id] = _Past(measured_s, last_day, now_s + _PAST_FOR_S)
        return known


def readings(
    station: Station, tallies: Sequence[LegTally], edges_s: Sequence[int], resolution: Resolution, now_s: int
) -> tuple[Reading, ...]:
    """What a station's parts have between the edges, by direction."""
    answers = group_answers(tallies, edges_s, resolution, station.zone, now_s)
    size = len(edges_s) - 1
    columns = columns_of(_parts(station), 0, tallies, size, split=_BY_DIRECTION)
    (total,) = columns_of(_parts(station), 0, tallies, size, split=frozenset())
    return tuple(
        Reading(
            datetime.fromtimestamp(start_s, station.zone),
            datetime.fromtimestamp(end_s, station.zone),
            {column.direction: column.counts[i] if answer.counted else None for column in columns},
            total.counts[i] if answer.counted else None,
            answer.coverage,
            answer.state,
            answer.reason,
            answer.final,
        )
        for i, ((start_s, end_s), answer) in enumerate(zip(pairwise(edges_s), answers, strict=True))
    )


def _withheld(reading: Reading) -> Reading:
    """The same where it is not public."""
    if reading.count is None:
        return reading
    nothing = dict.fromkeys(reading.counts)
    return Reading(reading.start, reading.end, nothing, None, None, State.MISSING, Reason.WITHHELD, final=False)


def _minute_edges(now_s: int) -> list[int]:
    running_s = now_s - now_s % 60
    return list(range(running_s - 60 * (MINUTES - 1), running_s + 61, 60))


def _parts(station: Station) -> Group:
    (group,) = groups_of([station], frozenset(), together=False)
    return group


async def _exclusions(connection: Connection, stations: Sequence[Station]) -> Exclusions:
    """All time at the stations that is not to be believed, of whenever."""
    cursor = await connection.execute("SELECT EXISTS (SELECT FROM remark WHERE excludes)")
    if await cursor.fetchone() == (False,):  # spares looking up the areas
        return NOTHING_EXCLUDED
    remarks = await read_remarks(connection, stations, await read_areas(connection), 0, FOREVER_S)
    return exclusions_of(remarks, stations)


async def _todays(
    connection: Connection, stations: Sequence[Station], hidden: Hidden, now_s: int
) -> dict[str, Reading]:
    """Today's reading by station: one round of statements for each time zone, because it is another day in each."""
    found: dict[str, Reading] = {}
    for zone in {station.zone for station in stations}:
        there = [station for station in stations if station.zone == zone]
        edges_s = interval_of(Resolution.DAY, now_s, zone)
        for station, tallies in zip(
            there, await tally_groups(connection, [_parts(s) for s in there], edges_s, hidden), strict=True
        ):
            (found[station.id],) = readings(station, tallies, edges_s, Resolution.DAY, now_s)
    return found


async def _reading_of_day(
    connection: Connection, station: Station, hidden: Hidden, instant_s: int, now_s: int
) -> Reading:
    """The reading of the local day that an instant is in."""
    edges_s = interval_of(Resolution.DAY, instant_s, station.zone)
    (tallies,) = await tally_groups(connection, [_parts(station)], edges_s, hidden)
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
    (SELECT c.minute * 60::bigint + c.observed_s FROM coverage_minute c
     WHERE c.sensor = believed.sensor AND c.observed_s > 0
       AND c.minute >= minute_of(believed.begins) AND c.minute < minute_of(believed.ends)
     ORDER BY c.minute DESC LIMIT 1),
    -- Where the minutes were removed.
    (SELECT extract(epoch FROM c.bucket)::bigint + 3600 FROM coverage_hour c
     WHERE c.sensor = believed.sensor AND c.observed_s > 0
       AND c.bucket >= believed.begins AND c.bucket <= believed.ends - interval '1 hour'
       AND c.bucket < (SELECT minutes_from FROM store)
     ORDER BY c.bucket DESC LIMIT 1),
    (SELECT extract(epoch FROM s.ends)::bigint FROM coverage_span s
     WHERE s.sensor = believed.sensor AND s.starts >= believed.begins AND s.ends <= believed.ends AND (
         s.observed_s > 0
         OR EXISTS (SELECT FROM count_span c WHERE (c.sensor, c.starts, c.ends) = (s.sensor, s.starts, s.ends)))
     ORDER BY s.starts DESC LIMIT 1)
))
FROM (
    SELECT sensor, coalesce(to_timestamp(begins_s), '-infinity') AS begins,
           coalesce(to_timestamp(ends_s), 'infinity') AS ends
    FROM unnest(%(sensors)s::int[], %(begins)s::bigint[], %(ends)s::bigint[]) AS given (sensor, begins_s, ends_s)
) believed
"""


async def _ever_measured_s(connection: Connection, station: Station, hidden: Hidden) -> int | None:
    """When the station's parts measured last what is to be believed, in UTC unix seconds; None: never."""
    believed = [
        (leg.sensor_key, begin, end)
        for member in _parts(station).members
        if (leg := member.leg(-FAR_S, FAR_S, hidden)) is not None
        for begin, end in leg.believed()
    ]
    asked = {
        "sensors": [sensor for sensor, _, _ in believed],
        "begins": [None if begin == -FAR_S else begin for _, begin, _ in believed],
        "ends": [None if end == FAR_S else end for _, _, end in believed],
    }
    row = await (await connection.execute(_EVER_MEASURED, asked)).fetchone()
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
