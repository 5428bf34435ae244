"""How the installation is doing, as its own tables say: nodes, sensors, coverage, quarantine, the database.

Facts only; what is wrong about them, and what to do, is said by who shows them. One look at the database in a snapshot,
and of each list at most `MOST` rows: who has more sensors than that is told so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from footfall_api.areas import read_areas
from footfall_api.database import Connection
from footfall_api.ranges import seconds_by_interval
from footfall_api.remarks import read_exclusions
from footfall_api.stations import PART, Installation, Station, read_stations
from footfall_api.tally import Hidden, Leg, tally

MOST: Final = 1000
"""Rows of a list."""

EXAMPLES: Final = 20
"""Quarantined messages that are described one by one: the newest."""

RECENT_S: Final = 7 * 86_400
"""A sensor that is installed nowhere is named if it was heard of within this time."""

REFUSED_DAYS: Final = 7
"""For so many UTC days, today included, it is told what was refused of a node."""

ON_THEIR_WAY_S: Final = 120
"""Coverage is told up to here before now: what was measured later may still be on its way."""

_DAY_S: Final = 86_400

_OPEN: Final = "FROM quarantine WHERE closed_at IS NULL"


async def read_operations(connection: Connection, now: datetime) -> dict[str, Any]:
    """The answer of ``/api/v1/operations``, in the connection's snapshot."""
    now_s = int(now.timestamp())
    stations = await read_stations(connection)
    places = _places(stations, now_s)
    coverage = await _coverage(connection, stations, now_s)
    nodes = await _rows(connection, _NODES, {"most": MOST + 1})
    sensors = await _rows(
        connection, _SENSORS, {"now": now, "recent_s": RECENT_S, "installed": sorted(places), "most": MOST + 1}
    )
    return {
        "at": _utc(now_s),
        "complete": max(len(nodes), len(sensors)) <= MOST,
        "nodes": [_node(row) for row in nodes[:MOST]],
        "sensors": [_sensor(row, places, coverage) for row in sensors[:MOST]],
        "stations": [_station(station, now_s, coverage) for station in stations],
        "quarantine": await _quarantine(connection),
        "refused": [
            {"node": node or None, "budget": what, "messages": messages, "last": _utc(last_s)}
            for node, what, messages, last_s in await _rows(connection, _REFUSED, {"now": now, "most": MOST})
        ],
        "database": await _database(connection, now),
    }


async def _rows(connection: Connection, statement: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement, asked)).fetchall()


def _utc(instant_s: float | None) -> str | None:
    return None if instant_s is None else datetime.fromtimestamp(int(instant_s), UTC).isoformat()


def _second(name: str) -> str:
    return f"extract(epoch FROM {name})::bigint"


# -- nodes and sensors ------------------------------------------------------------------------------------------------

_NODES: Final = f"""
SELECT node, state, version, {_second("since")}, {_second("seen")} FROM node_state ORDER BY node LIMIT %(most)s
"""  # noqa: S608  # constants

_SENSORS: Final = f"""
WITH owner AS (
    SELECT DISTINCT ON (sensor) sensor, node FROM sensor_node WHERE valid_from <= %(now)s
    ORDER BY sensor, valid_from DESC
), known AS (
    SELECT s.id, s.key, owner.node FROM sensor s LEFT JOIN owner ON owner.sensor = s.key
    UNION ALL
    SELECT DISTINCT sensor, NULL::int, NULL FROM sensor_state
    WHERE NOT EXISTS (SELECT FROM sensor s WHERE s.id = sensor_state.sensor)
), health AS (  -- what its own node says; of one that is nobody's, who said something last
    SELECT DISTINCT ON (known.id) known.id, told.node, told.payload, told.seen
    FROM known JOIN sensor_state told ON told.sensor = known.id AND told.node = coalesce(known.node, told.node)
    ORDER BY known.id, told.seen DESC
), heard AS (  -- no sign of life: imports, and what a node sends whose sensor it never was
    SELECT sensor, max(touched) AS touched FROM stream
    WHERE node IS NOT NULL AND (
        node IN (SELECT had.node FROM sensor_node had WHERE had.sensor = stream.sensor)
        OR NOT EXISTS (SELECT FROM sensor_node had WHERE had.sensor = stream.sensor)
    )
    GROUP BY sensor
)
SELECT known.id, coalesce(known.node, health.node), health.payload, {_second("health.seen")},
       {_second("heard.touched")}, measured.until_s
FROM known LEFT JOIN health ON health.id = known.id LEFT JOIN heard ON heard.sensor = known.key
LEFT JOIN LATERAL (
    SELECT c.minute * 60::bigint + c.observed_s AS until_s FROM coverage_minute c
    WHERE c.sensor = known.key AND c.observed_s > 0
      AND c.minute >= minute_of(%(now)s - interval '31 days') AND c.minute <= minute_of(%(now)s + interval '1 day')
    ORDER BY c.minute DESC LIMIT 1
) measured ON true
WHERE known.id = ANY(%(installed)s::text[])
   OR greatest(health.seen, heard.touched) > %(now)s - make_interval(secs => %(recent_s)s)
ORDER BY known.id LIMIT %(most)s
"""  # noqa: S608  # constants

_COUNTERS: Final = ("frames", "bad_frames", "skipped_bytes", "restarts", "waiting_slots")


def _places(stations: Sequence[Station], now_s: int) -> dict[str, tuple[str, Installation]]:
    """Where each sensor hangs now, by its id."""
    return {
        found.sensor: (station.id, found)
        for station in stations
        for found in station.installations
        if _is_there(found, now_s)
    }


def _is_there(installation: Installation, now_s: int) -> bool:
    begin, end = installation.overlap(now_s, now_s + 1)
    return begin < end


def _node(row: tuple[Any, ...]) -> dict[str, Any]:
    node, state, version, since_s, seen_s = row
    return {"node": node, "state": state, "version": version, "started": _utc(since_s), "seen": _utc(seen_s)}


def _sensor(
    row: tuple[Any, ...], places: Mapping[str, tuple[str, Installation]], coverage: "_Coverage"
) -> dict[str, Any]:
    sensor, node, payload, seen_s, touched_s, measured_s = row
    station, installation = places.get(sensor, (None, None))
    day, week = (None, None) if station is None else coverage.of_sensor(station, sensor)
    return {
        "sensor": sensor,
        "node": node,
        "station": station,
        "role": None if installation is None else installation.role,
        "health": _health(payload, seen_s),
        "last_report": _utc(touched_s),
        "measured_until": _utc(measured_s),
        "coverage_24h": day,
        "coverage_7d": week,
    }


def _health(payload: Mapping[str, Any] | None, seen_s: int | None) -> dict[str, Any] | None:
    if not payload:
        return None
    return {
        "state": payload["state"],
        # 0 while the node's clock is not trusted.
        "since": _utc(payload["since"] or None),
        "seen": _utc(seen_s),
        "last_frame": _utc(payload["last_frame"] or None),
        **{name: payload[name] for name in _COUNTERS},
        "detail": payload["detail"],
    }


def _station(station: Station, now_s: int, coverage: "_Coverage") -> dict[str, Any]:
    day, week = coverage.of_station(station.id)
    return {
        "station": station.id,
        "name": station.name,
        "timezone": station.zone.key,
        "sensors": [found.sensor for found in station.installations if _is_there(found, now_s)],
        "coverage_24h": day,
        "coverage_7d": week,
    }


# -- coverage ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Coverage:
    """Measured and expected seconds of the last day and of the last seven, by station and by sensor at a station."""

    _seconds: dict[tuple[str, str | None], list[int]] = field(default_factory=dict)

    def add(self, station: str, installation: Installation, observed_s: Sequence[int], there_s: Sequence[int]) -> None:
        """Add what one sensor measured, of the time it hung there: in the six days before the last, and in the last."""
        for key in [(station, installation.sensor), *([(station, None)] if installation.role == PART else [])]:
            sums = self._seconds.setdefault(key, [0] * 4)
            for i in (0, 1):
                sums[i] += min(observed_s[i], there_s[i])
                sums[2 + i] += there_s[i]

    def of_station(self, station: str) -> tuple[float | None, float | None]:
        """Of the last day, and of the last seven, over all its parts; None where nothing hung there."""
        return self._of((station, None))

    def of_sensor(self, station: str, sensor: str) -> tuple[float | None, float | None]:
        """The same of one sensor."""
        return self._of((station, sensor))

    def _of(self, key: tuple[str, str | None]) -> tuple[float | None, float | None]:
        before_s, day_s, there_before_s, there_day_s = self._seconds.get(key, [0] * 4)
        return _share(day_s, there_day_s), _share(before_s + day_s, there_before_s + there_day_s)


def _share(part_s: int, whole_s: int) -> float | None:
    """Cut to four digits, as in the counts."""
    return part_s * 10_000 // whole_s / 10_000 if whole_s else None


async def _coverage(connection: Connection, stations: Sequence[Station], now_s: int) -> _Coverage:
    """Measured as in the counts: what a remark excludes is not."""
    end_s = (now_s - ON_THEIR_WAY_S) // 60 * 60
    edges_s = [end_s - 7 * _DAY_S, end_s - _DAY_S, end_s]
    exclusions = await read_exclusions(
        connection, stations, await read_areas(connection, shapes=False), edges_s[0], edges_s[-1]
    )
    there = [
        (station.id, installation, leg)
        for station in stations
        for installation in station.installations
        if (
            leg := Leg.of(
                station.id,
                installation,
                edges_s[0],
                edges_s[-1],
                Hidden(exclusions),
            )
        )
    ]
    found = _Coverage()
    tallies = await tally(connection, [leg for _, _, leg in there], edges_s)
    for (station_id, installation, leg), tallied in zip(there, tallies, strict=True):
        found.add(station_id, installation, tallied.observed_s, seconds_by_interval([leg.window], edges_s))
    return found


# -- quarantine and database ------------------------------------------------------------------------------------------

_MAY_READ: Final = "SELECT has_column_privilege('quarantine', 'detail', 'SELECT')"

_REASONS: Final = f"""
SELECT reason, count(*), sum(times)::bigint, {_second("max(last_seen)")} {_OPEN}
GROUP BY reason ORDER BY 2 DESC, reason
"""

_WRONG_CLOCKS: Final = f"""
SELECT node, count(*), {_second("max(last_seen)")} {_OPEN}
  AND node IS NOT NULL AND (reason = 'too-old' OR reason = 'impossible' AND detail LIKE '%% is in the future;%%')
GROUP BY node ORDER BY node LIMIT %(most)s
"""

_NEWEST: Final = f"""
SELECT id, reason, kind, node, coalesce(sensor, topic_sensor), detail,
       {_second("first_seen")}, {_second("last_seen")}, times
{_OPEN} ORDER BY last_seen DESC, id DESC LIMIT %(examples)s
"""


async def _quarantine(connection: Connection) -> dict[str, Any] | None:
    """What waits in quarantine; None: this account may not see that, because `migrate` has not granted it yet."""
    if await _rows(connection, _MAY_READ, {}) == [(False,)]:
        return None
    reasons = await _rows(connection, _REASONS, {})
    clocks = await _rows(connection, _WRONG_CLOCKS, {"most": MOST})
    newest = await _rows(connection, _NEWEST, {"examples": EXAMPLES})
    return {
        "open": sum(count for _, count, _, _ in reasons),
        "reasons": [
            {"reason": reason, "messages": count, "times": times, "last_seen": _utc(last_s)}
            for reason, count, times, last_s in reasons
        ],
        "wrong_clocks": [
            {"node": node, "messages": count, "last_seen": _utc(last_s)} for node, count, last_s in clocks
        ],
        "newest": [
            {
                "id": id_,
                "reason": reason,
                "kind": kind,
                "node": node,
                "sensor": sensor,
                "detail": detail,
                "first_seen": _utc(first_s),
                "last_seen": _utc(last_s),
                "times": times,
            }
            for id_, reason, kind, node, sensor, detail, first_s, last_s, times in newest
        ],
    }


_REFUSED: Final = f"""
SELECT node, what, sum(refused)::bigint, {_second("max(refused_last)")} FROM node_day
WHERE refused > 0 AND day > (%(now)s AT TIME ZONE 'UTC')::date - {REFUSED_DAYS}
GROUP BY node, what ORDER BY node, what LIMIT %(most)s
"""  # noqa: S608  # constants

_DATABASE: Final = f"""
SELECT pg_database_size(current_database()), count(*), {_second("min(hour)")}
FROM dirty_hour WHERE hour < %(now)s - interval '2 hours'
"""  # noqa: S608  # constants


async def _database(connection: Connection, now: datetime) -> dict[str, Any]:
    ((size, hours, oldest_s),) = await _rows(connection, _DATABASE, {"now": now})
    return {"bytes": size, "hours_to_sum_up": hours, "oldest_hour_to_sum_up": _utc(oldest_s)}
