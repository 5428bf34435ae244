"""The statements of one flush: what it reads under lock, what it adds. No rule is decided here.

Sensors are locked first, in the order of their keys, so that two writers never wait for each other in a circle; all
that a sensor's row guards (its streams, minutes, spans, claims) is read and written only after that.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from footfall_contract import __version__
from footfall_contract.notice import MAX_RANGES, CommitNotice, StreamState
from footfall_ingest.aggregate import Deltas, MinuteCoverage, MinuteDeltas
from footfall_ingest.judge import Claim
from footfall_ingest.pgarray import int2s, int4s, int8s, timestamps, uuids
from footfall_ingest.pgcopy import copy_in
from footfall_ingest.streams import Received

Connection = psycopg.Connection[Any]
Int64s = npt.NDArray[np.int64]

StreamKey = tuple[int, UUID]
"""Key of the sensor, and the stream."""

SpanRow = tuple[int, int, int, int]
"""Code of a sensor, start and end in UTC unix seconds, measured seconds."""

MAX_SPAN = "interval '31 days'"

MINUTE_S = 60
HOUR_S = 3600

_APART = 60
"""Minutes that are not asked for between two that are, from which on they are looked for one by one."""

_MANY = 2000
"""Minutes of sensors in one batch from which on it pays to ask which are new, and to COPY those."""


@dataclass(frozen=True, slots=True)
class Sensors:
    """The locked sensors of a batch, by their code in it."""

    keys: Int64s
    """-1 for one that was not to be locked."""
    directions: Int64s


def unknown_sensors(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of `ids` that are no sensor's yet."""
    known = connection.execute("SELECT id FROM sensor WHERE id = ANY(%s)", [list(ids)]).fetchall()
    return set(ids) - {row[0] for row in known}


def make_sensors(connection: Connection, made: Mapping[str, str | None]) -> None:
    """Create sensors, each with the node that named it first (None: no node did). No sensor may be locked yet."""
    # Sorted, and before any lock is held: whoever creates the same ones at the same time waits, but not for us.
    ids = sorted(made)
    connection.execute(
        "INSERT INTO sensor (id, made_by) SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT (id) DO NOTHING",
        [ids, [made[sensor] for sensor in ids]],
    )


def lock_known_sensors(connection: Connection, ids: Sequence[str], *, but: Collection[str] = ()) -> Sensors:
    """Lock the sensors `ids`, which are distinct, until the end of the transaction; those in `but` are left alone.

    Raises:
        psycopg.errors.SerializationFailure: one is there no longer; another try may create it.
    """
    rows = connection.execute(
        "SELECT id, key, directions FROM sensor WHERE id = ANY(%s) ORDER BY key FOR NO KEY UPDATE",
        [[sensor for sensor in ids if sensor not in but] if but else list(ids)],
    )
    found = {sensor: (key, directions) for sensor, key, directions in rows} | dict.fromkeys(but, (-1, 0))
    if gone := [sensor for sensor in ids if sensor not in found]:
        raise psycopg.errors.SerializationFailure(f"sensor {gone[0]} was forgotten at this moment")
    columns = np.array([found[sensor] for sensor in ids], np.int64).reshape(-1, 2)
    return Sensors(columns[:, 0], columns[:, 1])


def lock_sensors(connection: Connection, ids: Sequence[str]) -> Sensors:
    """Lock the sensors `ids`, which are distinct, until the end of the transaction; create those that are not there."""
    if unknown := unknown_sensors(connection, ids):
        make_sensors(connection, dict.fromkeys(unknown))
    return lock_known_sensors(connection, ids)


def received(connection: Connection, streams: Sequence[StreamKey]) -> Received:
    """What was received of `streams`; codes are positions in it."""
    query = """
        SELECT wanted.code, lower(part), upper(part)
        FROM unnest(%b, %b) WITH ORDINALITY AS wanted (sensor, stream, code)
        JOIN stream USING (sensor, stream), unnest(stream.received) AS part
    """
    keys = np.array([key for key, _ in streams], np.int64)
    rows = connection.execute(query, [int4s(keys), uuids(stream for _, stream in streams)])
    return Received.of((code - 1, low, high) for code, low, high in rows)


def unknown_streams(connection: Connection, streams: Sequence[StreamKey]) -> list[int]:
    """Which of `streams`, by their position, there are not."""
    if not streams:
        return []
    query = """
        SELECT code - 1 FROM unnest(%b, %b) WITH ORDINALITY AS wanted (sensor, stream, code)
        WHERE NOT EXISTS (SELECT FROM stream WHERE (stream.sensor, stream.stream) = (wanted.sensor, wanted.stream))
    """
    keys = np.array([key for key, _ in streams], np.int64)
    return [code for (code,) in connection.execute(query, [int4s(keys), uuids(stream for _, stream in streams)])]


def claims(connection: Connection, sensors: Sensors) -> dict[int, list[Claim]]:
    """Who may report each sensor, by code, ascending by time."""
    query = """
        SELECT wanted.code, extract(epoch FROM valid_from)::float8, node
        FROM unnest(%b) WITH ORDINALITY AS wanted (sensor, code) JOIN sensor_node USING (sensor)
        ORDER BY valid_from
    """
    found = defaultdict(list)
    for code, since, node in connection.execute(query, [int4s(sensors.keys)]):
        found[code - 1].append(Claim(since, node))
    return found


def claim(connection: Connection, first: Mapping[int, str], sensors: Sensors) -> None:
    """Write down who reported a sensor first, by code."""
    if first:
        connection.cursor().executemany(
            "INSERT INTO sensor_node (sensor, node) VALUES (%s, %s)",
            [(int(sensors.keys[code]), node) for code, node in first.items()],
        )


def measured(connection: Connection, coverage: MinuteCoverage, sensors: Sensors) -> Int64s:
    """The measured seconds that are stored for each sensor and minute of `coverage`; -1 where nothing is stored."""
    # Sensor by sensor, whatever the planner believes: the newest minutes lie beyond its statistics, so it expects none,
    # and would compare each of them with each that is wanted. The bounds are said once more as plain values: without
    # them TimescaleDB would look at all chunks there are.
    query = """
        SELECT string_agg(int4send(code::int), ''), string_agg(int4send(minute), ''),
            string_agg(int2send(observed_s), '')
        FROM unnest(%b, %b, %b) WITH ORDINALITY AS run (sensor, low, high, code), LATERAL (
            SELECT minute, observed_s FROM coverage_minute
            WHERE sensor = run.sensor AND minute BETWEEN run.low AND run.high AND minute BETWEEN %s AND %s OFFSET 0
        ) AS stored
    """
    seconds = np.full(len(coverage.sensor), -1, np.int64)
    if not len(seconds):
        return seconds
    minute = coverage.minute // MINUTE_S
    begins = np.concatenate(([True], (np.diff(coverage.sensor) != 0) | (np.diff(minute) > _APART)))
    first = np.flatnonzero(begins)
    low, high = minute[first], minute[np.concatenate((first[1:], [len(minute)])) - 1]
    runs = [int4s(sensors.keys[coverage.sensor[first]]), int4s(low), int4s(high)]
    rows = connection.execute(query, [*runs, int(low.min()), int(high.max())], binary=True).fetchall()
    if rows[0][0] is None:
        return seconds
    code, at, observed_s = (
        np.frombuffer(packed, kind).astype(np.int64)
        for packed, kind in zip(rows[0], (">i4", ">i4", ">i2"), strict=True)
    )
    stored = (code << 32) + at
    order = np.argsort(stored)
    wanted = (np.cumsum(begins) << 32) + minute
    place = np.minimum(np.searchsorted(stored, wanted, sorter=order), len(order) - 1)
    found = order[place]
    return np.where(stored[found] == wanted, observed_s[found], seconds)


def measured_within(
    connection: Connection, windows: Iterable[tuple[int, int, int]], sensors: Sensors
) -> tuple[Int64s, Int64s, Int64s]:
    """The stored minutes with measured seconds in `windows` of (sensor's code, start, end), which do not overlap.

    Three columns: sensor's code, UTC unix seconds of the minute's beginning, measured seconds.
    """
    query = """
        SELECT string_agg(int4send(code), ''), string_agg(int4send(minute), ''), string_agg(int2send(observed_s), '')
        FROM unnest(%b, %b, %b, %b) AS wanted (code, sensor, low, high), LATERAL (
            SELECT minute, observed_s FROM coverage_minute
            WHERE sensor = wanted.sensor AND minute >= low AND minute < high AND observed_s > 0
              AND minute >= %s AND minute < %s OFFSET 0
        ) AS stored
    """
    code, low, high = np.array(list(windows), np.int64).reshape(-1, 3).T
    if not len(code):
        return code, low, high
    low, high = -(-low // MINUTE_S), -(-high // MINUTE_S)  # a minute is in a window if it begins there
    bounds = [int(low.min()), int(high.max())]
    parameters = [int4s(code), int4s(sensors.keys[code]), int4s(low), int4s(high), *bounds]
    ((code_, minute, observed_s),) = connection.execute(query, parameters, binary=True).fetchall()
    found, minute, seconds = (
        np.frombuffer(packed or b"", kind).astype(np.int64)
        for packed, kind in ((code_, ">i4"), (minute, ">i4"), (observed_s, ">i2"))
    )
    return found, minute * MINUTE_S, seconds


def passages(connection: Connection, minutes: Sequence[tuple[int, int]], sensors: Sensors) -> list[int]:
    """The stored passages, in all directions and classes, of each of `minutes`: sensor's code, UTC unix seconds."""
    query = """
        SELECT coalesce(stored.count, 0)
        FROM unnest(%b, %b) WITH ORDINALITY AS wanted (sensor, minute, place), LATERAL (
            SELECT sum(count)::bigint AS count FROM count_minute
            WHERE sensor = wanted.sensor AND minute = wanted.minute AND minute BETWEEN %s AND %s
        ) AS stored
        ORDER BY place
    """
    code, second = np.array(minutes, np.int64).reshape(-1, 2).T
    if not len(code):
        return []
    minute = second // MINUTE_S
    parameters = [int4s(sensors.keys[code]), int4s(minute), int(minute.min()), int(minute.max())]
    return [count for (count,) in connection.execute(query, parameters)]


def measured_spans(connection: Connection, windows: Sequence[tuple[int, int, int]], sensors: Sensors) -> set[SpanRow]:
    """The stored spans with measured seconds that overlap `windows` of (sensor's code, start, end)."""
    query = f"""
        SELECT wanted.code, extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint, observed_s
        FROM unnest(%b, %b, %b, %b) AS wanted (code, sensor, low, high), LATERAL (
            SELECT starts, ends, observed_s FROM coverage_span
            WHERE sensor = wanted.sensor AND starts < high AND starts >= low - {MAX_SPAN} AND ends > low
              AND observed_s > 0 OFFSET 0
        ) AS stored
    """  # noqa: S608  # a constant of this module
    code, low, high = np.array(windows, np.int64).reshape(-1, 3).T
    parameters = [int4s(code), int4s(sensors.keys[code]), timestamps(low), timestamps(high)]
    return set(connection.execute(query, parameters))


def add(connection: Connection, deltas: Deltas, sensors: Sensors, stored: Int64s | None = None) -> None:
    """Add the sums of a batch, and note that the hours they are in are to be summed up again.

    `stored` is what `measured` says of the batch's coverage, if that was asked while the sensors were locked. A minute
    that is said to be silent and is known already is left as it is: to be told so without end shall cost nothing.
    """
    spans, span_coverage = deltas.spans, deltas.span_coverage
    minutes, coverage = deltas.minutes, deltas.coverage
    silent = coverage.observed_s == 0
    if stored is None and (len(silent) >= _MANY or silent.any()):
        stored = measured(connection, coverage, sensors)
    if stored is not None and silent.any():
        says = ~silent | (stored < 0)
        coverage = MinuteCoverage(coverage.sensor[says], coverage.minute[says], coverage.observed_s[says])
        stored = stored[says]
    _make_dirty(connection, minutes, coverage, sensors)
    if stored is not None and len(coverage.sensor) >= _MANY:
        minutes, coverage = _bring_new(connection, minutes, coverage, sensors, stored < 0)
    if len(minutes.sensor):
        connection.execute(
            """
            INSERT INTO count_minute (sensor, minute, direction, class, count)
            SELECT * FROM unnest(%b, %b, %b, %b, %b)
            ON CONFLICT (sensor, minute, direction, class)
            DO UPDATE SET count = count_minute.count + excluded.count
            """,
            [
                int4s(sensors.keys[minutes.sensor]),
                int4s(minutes.minute // MINUTE_S),
                int2s(minutes.direction),
                int2s(minutes.class_),
                int4s(minutes.count),
            ],
        )
    if len(coverage.sensor):
        connection.execute(
            """
            INSERT INTO coverage_minute (sensor, minute, observed_s)
            SELECT * FROM unnest(%b, %b, %b)
            ON CONFLICT (sensor, minute)
            DO UPDATE SET observed_s = coverage_minute.observed_s + excluded.observed_s
            """,
            [int4s(sensors.keys[coverage.sensor]), int4s(coverage.minute // MINUTE_S), int2s(coverage.observed_s)],
        )
    if len(spans.sensor):
        connection.execute(
            """
            INSERT INTO count_span (sensor, starts, ends, direction, class, count)
            SELECT * FROM unnest(%b, %b, %b, %b, %b, %b)
            ON CONFLICT (sensor, starts, ends, direction, class)
            DO UPDATE SET count = count_span.count + excluded.count
            """,
            [
                int4s(sensors.keys[spans.sensor]),
                timestamps(spans.start),
                timestamps(spans.end),
                int2s(spans.direction),
                int2s(spans.class_),
                int8s(spans.count),
            ],
        )
    if len(span_coverage.sensor):
        connection.execute(
            """
            INSERT INTO coverage_span (sensor, starts, ends, observed_s)
            SELECT * FROM unnest(%b, %b, %b, %b)
            ON CONFLICT (sensor, starts, ends)
            DO UPDATE SET observed_s = coverage_span.observed_s + excluded.observed_s, changed = now()
            """,
            [
                int4s(sensors.keys[span_coverage.sensor]),
                timestamps(span_coverage.start),
                timestamps(span_coverage.end),
                int4s(span_coverage.observed_s),
            ],
        )
    _note_directions(connection, deltas, sensors)


def _bring_new(
    connection: Connection,
    minutes: MinuteDeltas,
    coverage: MinuteCoverage,
    sensors: Sensors,
    new: npt.NDArray[np.bool_],
) -> tuple[MinuteDeltas, MinuteCoverage]:
    """Bring in by COPY the minutes of which nothing is stored (those of coverage are `new`), and return the others.

    A minute with counts has coverage, so where there is none there is nothing; nobody else can change that while the
    sensors are locked.
    """
    first = min(coverage.minute.min(), minutes.minute.min(initial=coverage.minute.min()))
    length = max(coverage.minute.max(), minutes.minute.max(initial=0)) - first + 1
    keys = coverage.sensor * length + (coverage.minute - first)
    new_counts = np.isin(minutes.sensor * length + (minutes.minute - first), keys[new])
    try:
        with connection.transaction():
            copy_in(
                connection,
                "count_minute",
                [
                    ("sensor", ">i4", sensors.keys[minutes.sensor[new_counts]]),
                    ("minute", ">i4", minutes.minute[new_counts] // MINUTE_S),
                    ("direction", ">i2", minutes.direction[new_counts]),
                    ("class", ">i2", minutes.class_[new_counts]),
                    ("count", ">i4", minutes.count[new_counts]),
                ],
            )
            copy_in(
                connection,
                "coverage_minute",
                [
                    ("sensor", ">i4", sensors.keys[coverage.sensor[new]]),
                    ("minute", ">i4", coverage.minute[new] // MINUTE_S),
                    ("observed_s", ">i2", coverage.observed_s[new]),
                ],
            )
    except psycopg.errors.UniqueViolation:  # counts without coverage: a person's hand
        return minutes, coverage
    return (
        MinuteDeltas(
            minutes.sensor[~new_counts],
            minutes.minute[~new_counts],
            minutes.direction[~new_counts],
            minutes.class_[~new_counts],
            minutes.count[~new_counts],
        ),
        MinuteCoverage(coverage.sensor[~new], coverage.minute[~new], coverage.observed_s[~new]),
    )


def _make_dirty(connection: Connection, minutes: MinuteDeltas, coverage: MinuteCoverage, sensors: Sensors) -> None:
    sensor = np.concatenate([coverage.sensor, minutes.sensor])
    if not len(sensor):
        return
    hour = np.concatenate([coverage.minute, minutes.minute]) // HOUR_S
    first = int(hour.min())
    hours = int(hour.max()) - first + 1
    places = np.unique(sensor * hours + (hour - first))
    sensor, hour = places // hours, places % hours + first
    connection.execute(
        "INSERT INTO dirty_hour (sensor, hour) SELECT * FROM unnest(%b, %b) ON CONFLICT DO NOTHING",
        [int4s(sensors.keys[sensor]), timestamps(hour * HOUR_S)],
    )


def _note_directions(connection: Connection, deltas: Deltas, sensors: Sensors) -> None:
    directions = sensors.directions.copy()
    for counts in (deltas.minutes, deltas.spans):
        np.bitwise_or.at(directions, counts.sensor, 1 << counts.direction)
    changed = np.flatnonzero(directions != sensors.directions)
    if len(changed):
        connection.execute(
            "UPDATE sensor SET directions = new.directions FROM unnest(%b, %b) AS new (key, directions) "
            "WHERE sensor.key = new.key",
            [int4s(sensors.keys[changed]), int2s(directions[changed])],
        )


def mark(connection: Connection, streams: Sequence[StreamKey], nodes: Sequence[str | None], fresh: Received) -> None:
    """Widen what was received of `streams` by `fresh`, whose codes are positions in it.

    Every stream gets a row, also one of which nothing is fresh. A new one is noted as its node's in `nodes`.
    """
    query = """
        INSERT INTO stream (sensor, stream, node, received)
        SELECT sensor, stream, node, coalesce(range_agg(int8range(low, high)) FILTER (WHERE low IS NOT NULL), '{}')
        FROM unnest(%b, %b, %s::text[]) WITH ORDINALITY AS touched (sensor, stream, node, code)
        LEFT JOIN unnest(%b, %b, %b) AS fresh (code, low, high) USING (code)
        GROUP BY sensor, stream, node
        ON CONFLICT (sensor, stream)
        DO UPDATE SET received = stream.received + excluded.received, touched = now()
    """
    keys = np.array([key for key, _ in streams], np.int64)
    connection.execute(
        query,
        [
            int4s(keys),
            uuids(stream for _, stream in streams),
            list(nodes),
            int8s(fresh.stream + 1),
            int8s(fresh.low),
            int8s(fresh.high),
        ],
    )


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One message for the quarantine. What could not be read of it is None."""

    reason: str
    detail: str
    node: str | None
    identity: tuple[str | None, UUID | None, int | None]
    """Sensor, stream and number."""
    payload: bytes
    kind: str = "counts"
    """What the topic promised: `counts`, `health` or `status`."""
    topic_sensor: str | None = None
    topic_fault: str | None = None
    holds_number: bool = False
    """The number was marked received because of this message, so that nothing else is counted under it."""
    repeated: bool = False
    """The number had been received before: the node sent again what it did not know to be here."""

    @property
    def imported(self) -> bool:
        """It came from no node at all."""
        return self.node is None and self.topic_fault is None

    @property
    def content(self) -> bytes:
        """SHA-256 of the payload."""
        return sha256(self.payload).digest()


def quarantine(connection: Connection, messages: Iterable[Quarantined], now: datetime) -> None:
    """Keep `messages`. One that was kept before is counted, and shown again if its row was closed.

    But not if it was merely repeated: that is no news, and changes neither what is known of it nor what was decided.
    """
    rows = [
        {
            "reason": m.reason,
            "detail": m.detail,
            "node": m.node,
            **dict(zip(("sensor", "stream", "seq"), m.identity, strict=True)),
            "payload": m.payload,
            "content": m.content,
            "seen": now + timedelta(microseconds=at),  # so that the order of arrival can be told
            "kind": m.kind,
            "topic_sensor": m.topic_sensor,
            "topic_fault": m.topic_fault,
            "holds_number": m.holds_number,
            "program": __version__,
            "repeated": m.repeated,
        }
        for at, m in enumerate(messages)
    ]
    # All who write several rows do so in this order, so that two writers never wait for each other in a circle.
    rows.sort(key=lambda row: (row["content"], row["node"] or "", row["sensor"] or ""))
    connection.cursor().executemany(
        """
        INSERT INTO quarantine AS kept (reason, detail, node, sensor, stream, seq, payload, content,
            first_seen, last_seen, kind, topic_sensor, topic_fault, holds_number, program)
        VALUES (%(reason)s, %(detail)s, %(node)s, %(sensor)s, %(stream)s, %(seq)s, %(payload)b, %(content)b,
            %(seen)s, %(seen)s, %(kind)s, %(topic_sensor)s, %(topic_fault)s, %(holds_number)s, %(program)s)
        ON CONFLICT (content, node, sensor) DO UPDATE SET
            last_seen = excluded.last_seen, times = kept.times + 1,
            holds_number = kept.holds_number OR excluded.holds_number,
            (reason, detail, program, closed_at, closed_how, closed_why, closed_by) = (
                SELECT kept.reason, kept.detail, kept.program,
                    kept.closed_at, kept.closed_how, kept.closed_why, kept.closed_by WHERE %(repeated)s
                UNION ALL
                SELECT excluded.reason, excluded.detail, excluded.program, NULL, NULL, NULL, NULL WHERE NOT %(repeated)s
            )
        """,
        rows,
    )


@dataclass(frozen=True, slots=True)
class ReadNotices:
    """What notices are made of, as it was read."""

    epoch: UUID
    nodes: Sequence[str]
    rows: Sequence[tuple[str, str, UUID, list[list[int]]]]
    """Node, sensor, stream, and what was received of it."""


def notices(connection: Connection, nodes: Iterable[str]) -> dict[str, CommitNotice]:
    """What each of `nodes` is to be told: the newest stream of each of its sensors."""
    return told(read_notices(connection, nodes))


def read_notices(
    connection: Connection, nodes: Iterable[str], touched: Iterable[tuple[str, StreamKey]] = ()
) -> ReadNotices:
    """What each of `nodes` is to be told: the newest stream of each of its sensors, and the `touched` ones."""
    query = """
        WITH wanted AS (
            SELECT node, sensor, stream FROM unnest(%s::text[], %b, %b) AS touched (node, sensor, stream)
            UNION
            SELECT asked.node, mine.sensor, newest.stream
            FROM unnest(%s::text[]) AS asked (node)
            JOIN (SELECT DISTINCT node, sensor FROM sensor_node) AS mine USING (node),
            LATERAL (
                SELECT stream FROM stream
                WHERE stream.node = mine.node AND stream.sensor = mine.sensor ORDER BY created DESC LIMIT 1
            ) AS newest
        )
        SELECT wanted.node, sensor.id, stream.stream,
            ARRAY(SELECT ARRAY[lower(part), upper(part)] FROM unnest(received) AS part)
        FROM wanted JOIN stream USING (sensor, stream) JOIN sensor ON sensor.key = stream.sensor
    """
    pairs = list(touched)
    asked = list(nodes)
    parameters = [
        [node for node, _ in pairs],
        int4s(np.array([key for _, (key, _) in pairs], np.int64)),
        uuids(stream for _, (_, stream) in pairs),
        asked,
    ]
    rows = connection.execute(query, parameters).fetchall()
    epoch = connection.execute("SELECT epoch FROM store").fetchone()
    assert epoch is not None, "the first migration puts the one row there"
    return ReadNotices(epoch[0], asked, rows)


def told(read: ReadNotices) -> dict[str, CommitNotice]:
    """The notices, by node."""
    found: dict[str, dict[str, list[StreamState]]] = {node: defaultdict(list) for node in read.nodes}
    for node, sensor, stream, ranges in read.rows:
        found[node][sensor].append(_state(stream, ranges))
    return {
        node: CommitNotice(read.epoch, {sensor: tuple(states) for sensor, states in sensors.items()})
        for node, sensors in found.items()
    }


def _state(stream: UUID, ranges: list[list[int]]) -> StreamState:
    """What is told of a stream: should it be in more pieces than a notice may name, the first.

    What it is not told of a node sends again, and then it is a duplicate.
    """
    begun = bool(ranges) and ranges[0][0] == 0
    next_ = ranges[0][1] if begun else 0
    return StreamState(stream, next_, tuple((low, high) for low, high in ranges[begun:][:MAX_RANGES]))


def nodes(connection: Connection) -> list[str]:
    """Every node that ever reported something, had a sensor, or said that it is there."""
    query = """
        SELECT node FROM stream WHERE node IS NOT NULL
        UNION SELECT node FROM sensor_node UNION SELECT node FROM node_state ORDER BY 1
    """
    return [row[0] for row in connection.execute(query)]


def tell_readers(connection: Connection) -> None:
    """Wake who waits for news; they hear it when the transaction commits."""
    connection.execute("NOTIFY footfall_commit")
