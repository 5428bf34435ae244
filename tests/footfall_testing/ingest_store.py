"""Reports made by hand, and the whole store as plain values, for the tests of ingest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import psycopg

from footfall_contract import SlotReport, encode_cbor
from footfall_ingest.backup_truth import Month
from footfall_ingest.flush import Message
from footfall_ingest.invariants import WRONG_HOURS

NOON = 1_772_366_400
"""2026-03-01T12:00:00Z in UTC unix seconds."""

NAMESPACE = UUID("5d0f7a36-9d0c-4b7c-8a0b-6f6d3f5a1c01")


def stream_of(name: str) -> UUID:
    """A stream id that is the same in every run."""
    return uuid5(NAMESPACE, name)


Cell = tuple[int, int, int, int]
"""Slot, direction, class, count."""


def report(
    sensor: str = "markt-1",
    seq: int = 0,
    *,
    stream: str = "first",
    start: int = NOON,
    slot: int = 10,
    observed: Sequence[int] | None = None,
    cells: Sequence[Cell] = ((0, 0, 0, 1),),
) -> SlotReport:
    """A report; one passage in one fully measured slot unless told otherwise."""
    observed = (slot,) if observed is None else tuple(observed)
    index, direction, class_, count = (tuple(column) for column in zip(*cells, strict=True)) if cells else ((),) * 4
    return SlotReport(
        sensor=sensor,
        stream=stream_of(stream),
        seq=seq,
        start=start,
        slot=slot,
        slots=len(observed),
        observed=observed,
        index=index,
        direction=direction,
        class_=class_,
        count=count,
    )


def message(found: SlotReport, node: str | None = "jena-sued", *, sensor: str | None = None) -> Message:
    """The message that brings a report: on its own sensor's topic, or on that of `sensor`; node None: imported."""
    return Message(node, sensor or (found.sensor if node else None), encode_cbor(found))


@dataclass(frozen=True)
class Store:
    """What is in the tables, without keys and times of writing."""

    counts: Mapping[tuple[str, int, int, int], int] = field(default_factory=dict)
    """Passages by sensor, minute, direction and class."""
    coverage: Mapping[tuple[str, int], int] = field(default_factory=dict)
    spans: Mapping[tuple[str, int, int, int, int], int] = field(default_factory=dict)
    """Passages by sensor, start, end, direction and class."""
    span_coverage: Mapping[tuple[str, int, int], int] = field(default_factory=dict)
    received: Mapping[tuple[str, UUID], str] = field(default_factory=dict)
    nodes: Mapping[tuple[str, UUID], str | None] = field(default_factory=dict)
    claims: frozenset[tuple[str, str]] = frozenset()
    directions: Mapping[str, int] = field(default_factory=dict)
    quarantine: Mapping[tuple[str | None, str | None, bytes], tuple[Any, ...]] = field(default_factory=dict)
    """Reason, detail, stream, number and times by node, sensor and payload."""


_TABLES = {
    "counts": ("count_minute", "sensor.id, minute * 60::bigint, direction, class", "count"),
    "coverage": ("coverage_minute", "sensor.id, minute * 60::bigint", "observed_s"),
    "spans": (
        "count_span",
        "sensor.id, extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint, direction, class",
        "count",
    ),
    "span_coverage": (
        "coverage_span",
        "sensor.id, extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint",
        "observed_s",
    ),
    "received": ("stream", "sensor.id, stream", "received::text"),
    "nodes": ("stream", "sensor.id, stream", "node"),
}


def stored(connection: psycopg.Connection[Any]) -> Store:
    """The whole store."""
    found: dict[str, Any] = {}
    for name, (table, key, value) in _TABLES.items():
        rows = connection.execute(f"SELECT {key}, {value} FROM {table} JOIN sensor ON sensor.key = {table}.sensor")  # type: ignore[arg-type]
        found[name] = {tuple(row[:-1]): row[-1] for row in rows}
    claims = connection.execute("SELECT id, node FROM sensor_node JOIN sensor ON key = sensor").fetchall()
    sensors = connection.execute("SELECT id, directions FROM sensor").fetchall()
    kept = connection.execute("SELECT node, sensor, payload, reason, detail, stream, seq, times FROM quarantine")
    return Store(
        **found,
        claims=frozenset(claims),
        directions=dict(sensors),
        quarantine={(row[0], row[1], bytes(row[2])): row[3:] for row in kept},
    )


_WRONG = f"""
    SELECT sensor.id, hour::text, direction, class, minutes, minutes_s, hours, hours_s
    FROM ({WRONG_HOURS}) AS wrong JOIN sensor ON key = wrong.sensor
"""


def wrong_hours(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Sums by the hour that are not those of their minutes although the hour is not dirty, where minutes are kept.

    Sensor, hour, direction and class (-1: the seconds), what the minutes say, what the hour says.
    """
    always = Month(datetime(1970, 1, 1, tzinfo=UTC), datetime(5999, 1, 1, tzinfo=UTC))
    return connection.execute(_WRONG, always.bounds).fetchall()
