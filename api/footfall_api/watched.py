"""How the installation is doing, for Prometheus: what ``/api/v1/operations`` says, as metrics.

All of it is the operator's, and none of it public: names and versions of boxes tell who would break in where to begin,
and the coverage of a station that is held back is held back too. So it is not on the API's own ``/metrics``, whatever a
proxy in front lets through, but only on the port of ``[metrics]``, which listens on the loopback unless told otherwise.

The database is asked when somebody asks for the metrics, at most every `READ_EVERY_S` seconds, by one question at a
time, over a connection of its own: requests neither wait for it nor it for them. While the database is away the metrics
stay what they last were, so that an alert on a box does not come to an end because its database went too;
``footfall_state_read_failed`` says so, and ``footfall_state_read_timestamp_seconds`` of when they are.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from footfall_api.database import Connection, own_snapshot
from footfall_api.operations import MOST, read_operations
from footfall_api.settings import DatabaseSettings

log = logging.getLogger(__name__)

READ_EVERY_S: Final = 20.0
"""The database is asked no more often than this, whether it answered the last time or not."""

ANSWER_WITHIN_S: Final = 6.0
"""An answer that takes longer is given up: Prometheus waits for ten seconds."""

SENSOR_STATES: Final = ("ok", "silent", "fault")

_OF_SENSOR: Final = ("sensor", "station", "node")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the database said. Times are UTC unix seconds."""

    at_s: float
    operations: Mapping[str, Any]
    """The answer of ``/api/v1/operations``."""
    last_words: Mapping[str, int]
    """By node, when anything of it arrived last: its status, a sensor's health, a report."""
    last_passages: Mapping[str, int]
    """By sensor, the end of the newest minute or span in which somebody passed, within the last 31 days."""
    quarantine: Sequence[tuple[Any, ...]]
    """Reason, node (empty: unknown) and number of the messages that are open."""
    connections: int
    """Connections of clients that the database server has."""
    connections_limit: int
    """How many it lets in."""


def registry_of(settings: DatabaseSettings, clock: Callable[[], datetime]) -> CollectorRegistry:
    """The metrics of the installation behind this database; `clock` says what time it is (aware)."""
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: asyncio.run(_read(settings, clock())), clock))
    return registry


class StateCollector(Collector):
    """Asks `read` when it is asked, and keeps the answer for a while. May be used from several threads."""

    def __init__(
        self,
        read: Callable[[], Reading],
        clock: Callable[[], datetime],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._asked_s = float("-inf")
        self._kept: Reading | None = None
        self._trouble = ""

    def collect(self) -> Iterable[Metric]:
        """What is known, and whether it is fresh."""
        with self._lock:
            if self._monotonic_s() - self._asked_s >= READ_EVERY_S:
                self._ask()
                self._asked_s = self._monotonic_s()
            kept, failed = self._kept, bool(self._trouble)
        yield GaugeMetricFamily(
            "footfall_state_read_failed",
            "1 while the database does not say how the installation is doing: what is told of it is old, or missing.",
            value=failed,
        )
        if kept is not None:
            yield from families(kept, self._clock())

    def _ask(self) -> None:
        before = self._trouble
        try:
            self._kept, self._trouble = self._read(), ""
        except (psycopg.Error, OSError) as error:  # OSError: a timeout is one
            self._trouble = str(error).strip() or type(error).__name__
            if self._trouble != before:
                log.warning("the state of the installation could not be read: %s", self._trouble)
        except Exception:  # the other metrics must not go missing for whatever this is
            self._trouble = "a fault of ours"
            log.exception("the state of the installation could not be read")


async def _read(settings: DatabaseSettings, now: datetime) -> Reading:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S), own_snapshot(settings) as connection:
            return await read_state(connection, now)
    except TimeoutError as error:
        raise TimeoutError(f"the database did not answer within {ANSWER_WITHIN_S:g} s") from error


# -- from the database -------------------------------------------------------------------------------------------------

_LAST_WORDS: Final = """
SELECT node, extract(epoch FROM max(seen))::bigint FROM (
    SELECT node, seen FROM node_state
    UNION ALL SELECT node, seen FROM sensor_state
    UNION ALL SELECT node, max(touched) FROM stream WHERE node IS NOT NULL GROUP BY node
) AS word GROUP BY node ORDER BY node LIMIT %(most)s
"""

_LAST_PASSAGES: Final = """
SELECT sensor.id, extract(epoch FROM greatest(minute_start(passed.minute + 1), spanned.ends))::bigint
FROM sensor
LEFT JOIN LATERAL (
    SELECT c.minute FROM count_minute c WHERE c.sensor = sensor.key
      AND c.minute >= minute_of(%(now)s - interval '31 days') AND c.minute <= minute_of(%(now)s + interval '1 day')
    ORDER BY c.minute DESC LIMIT 1
) passed ON true
LEFT JOIN LATERAL (
    SELECT max(c.ends) AS ends FROM count_span c
    WHERE c.sensor = sensor.key AND c.starts >= %(now)s - interval '31 days'
) spanned ON true
WHERE sensor.id = ANY(%(sensors)s::text[]) AND (passed.minute IS NOT NULL OR spanned.ends IS NOT NULL)
"""

_QUARANTINE: Final = """
SELECT reason, coalesce(node, ''), count(*) FROM quarantine WHERE closed_at IS NULL
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(most)s
"""

_CONNECTIONS: Final = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
"""


async def read_state(connection: Connection, now: datetime) -> Reading:
    """How the installation is doing at `now` (aware), in the connection's snapshot."""
    operations = await read_operations(connection, now)

    async def rows(statement: str, **asked: Any) -> list[tuple[Any, ...]]:
        return await (await connection.execute(statement, asked)).fetchall()

    sensors = [sensor["sensor"] for sensor in operations["sensors"]]
    may_see = operations["quarantine"] is not None
    ((connections, limit),) = await rows(_CONNECTIONS)
    return Reading(
        at_s=now.timestamp(),
        operations=operations,
        last_words=dict(await rows(_LAST_WORDS, most=MOST)),
        last_passages=dict(await rows(_LAST_PASSAGES, now=now, sensors=sensors)),
        quarantine=await rows(_QUARANTINE, most=MOST) if may_see else [],
        connections=connections,
        connections_limit=limit,
    )


# -- to Prometheus -----------------------------------------------------------------------------------------------------


def families(reading: Reading, now: datetime) -> Iterator[Metric]:
    """The metrics that say what was read; what is not known has no sample. `now` is aware."""
    said = reading.operations
    yield _one("footfall_state_read_timestamp_seconds", "When the database last said how all is doing.", reading.at_s)
    yield _one(
        "footfall_state_complete", f"0: there are more than {MOST} nodes or sensors, and not all are told.",
        said["complete"],
    )  # fmt: skip
    yield from _nodes(reading)
    yield from _sensors(reading)
    yield from _stations(said["stations"], now)
    quarantine = GaugeMetricFamily(
        "footfall_quarantine_open_messages",
        "Messages that could not be used and wait for a person, by why and from which node.",
        labels=["reason", "node"],
    )
    for reason, node, number in reading.quarantine:
        quarantine.add_metric([reason, node], number)
    yield quarantine
    yield from _database(reading)


def _nodes(reading: Reading) -> Iterator[Metric]:
    said = reading.operations
    nodes = said["nodes"]
    yield _each(
        "footfall_node_online", "1: it said so; 0: it has left, or the broker lost it.", ["node"],
        (([node["node"]], node["state"] == "online") for node in nodes),
    )  # fmt: skip
    yield _each(
        "footfall_node_info", "The version of the program on it; always 1.", ["node", "version"],
        (([node["node"], node["version"]], 1) for node in nodes),
    )  # fmt: skip
    yield _each(
        "footfall_node_last_word_timestamp_seconds", "When anything of the node arrived last.", ["node"],
        (([node], at_s) for node, at_s in reading.last_words.items()),
    )  # fmt: skip
    hanging: dict[str, int] = {node["node"]: 0 for node in nodes}
    trusted: dict[str, bool] = {}
    for sensor in said["sensors"]:
        node, health = sensor["node"], sensor["health"]
        if node is None:
            continue
        hanging[node] = hanging.get(node, 0) + (sensor["station"] is not None)
        if health is not None:
            trusted[node] = trusted.get(node, True) and health["since"] is not None
    yield _each(
        "footfall_node_sensors", "Its sensors that hang at a station now; 0: it is not in use.", ["node"],
        (([node], number) for node, number in hanging.items()),
    )  # fmt: skip
    yield _each(
        "footfall_node_clock_trusted", "0: when it last spoke of its sensors it did not know the time.", ["node"],
        (([node], is_trusted) for node, is_trusted in trusted.items()),
    )  # fmt: skip


def _sensors(reading: Reading) -> Iterator[Metric]:
    sensors = [
        (sensor, [sensor["sensor"], sensor["station"] or "", sensor["node"] or ""])
        for sensor in reading.operations["sensors"]
    ]
    healths = [(sensor["health"], names) for sensor, names in sensors if sensor["health"] is not None]
    yield _each(
        "footfall_sensor_state", "1 for the state in which its node says that it is.", [*_OF_SENSOR, "state"],
        (([*names, state], health["state"] == state) for health, names in healths for state in SENSOR_STATES),
    )  # fmt: skip
    yield _each(
        "footfall_sensor_state_since_timestamp_seconds", "When that state began.", _OF_SENSOR,
        ((names, _s(health["since"])) for health, names in healths),
    )  # fmt: skip
    yield _each(
        "footfall_sensor_waiting_slots", "Slots in its node's outbox that are not known to be stored.", _OF_SENSOR,
        ((names, health["waiting_slots"]) for health, names in healths),
    )  # fmt: skip
    yield _each(
        "footfall_sensor_last_report_timestamp_seconds", "When a report of it arrived last.", _OF_SENSOR,
        ((names, _s(sensor["last_report"])) for sensor, names in sensors),
    )  # fmt: skip
    yield _each(
        "footfall_sensor_measured_until_timestamp_seconds", "The end of what it measured last.", _OF_SENSOR,
        ((names, _s(sensor["measured_until"])) for sensor, names in sensors),
    )  # fmt: skip
    yield _each(
        "footfall_sensor_last_passage_timestamp_seconds", "The end of the last minute in which it counted somebody.",
        _OF_SENSOR, ((names, reading.last_passages.get(sensor["sensor"])) for sensor, names in sensors),
    )  # fmt: skip


def _stations(stations: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[Metric]:
    yield _each(
        "footfall_station_coverage_ratio", "Measured ÷ expected time of its parts in the last 24 hours.", ["station"],
        (([station["station"]], station["coverage_24h"]) for station in stations),
    )  # fmt: skip
    yield _each(
        "footfall_station_local_hour", "The hour of its day, 0 to 23: what is quiet at night is no alarm.", ["station"],
        (([station["station"]], now.astimezone(ZoneInfo(station["timezone"])).hour) for station in stations),
    )  # fmt: skip


def _database(reading: Reading) -> Iterator[Metric]:
    database = reading.operations["database"]
    measured = [_s(sensor["measured_until"]) for sensor in reading.operations["sensors"]]
    yield _one(
        "footfall_newest_minute_timestamp_seconds", "The end of the newest measured time that is stored.",
        max((at_s for at_s in measured if at_s is not None), default=None),
    )  # fmt: skip
    yield _one("footfall_database_bytes", "The size of the whole database.", database["bytes"])
    yield _one(
        "footfall_hourly_sums_waiting", "Hours of sensors, over for an hour at least, that are not summed up.",
        database["hours_to_sum_up"],
    )  # fmt: skip
    yield _one(
        "footfall_hourly_sums_oldest_timestamp_seconds", "The oldest of them.", _s(database["oldest_hour_to_sum_up"])
    )
    yield _one(
        "footfall_database_server_connections", "Connections that the database server has, whoever made them.",
        reading.connections,
    )  # fmt: skip
    yield _one(
        "footfall_database_server_connections_limit", "How many connections it lets in.", reading.connections_limit
    )


def _one(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return _each(name, text, [], [([], value)])


def _each(
    name: str, text: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float | None]]
) -> GaugeMetricFamily:
    """A metric with a sample for each value that is known."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for names, value in samples:
        if value is not None:
            family.add_metric(names, float(value))
    return family


def _s(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()
