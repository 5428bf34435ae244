"""The latest that each node says of itself and of its sensors, kept for the API to show."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from footfall_contract import ContractError, decode_health, decode_status
from footfall_contract.topics import Kind, Topic
from footfall_ingest import store
from footfall_ingest.judge import Reason
from footfall_ingest.store import Quarantined


@dataclass(frozen=True, slots=True)
class StateMessage:
    """One status or health payload; `retained` if the broker had kept it, so that it may be old."""

    topic: Topic
    payload: bytes
    retained: bool


_NODE = """
    INSERT INTO node_state (node, state, version, since, seen)
    VALUES (%(node)s, %(state)s, %(version)s, %(since)s, %(now)s)
    ON CONFLICT (node) DO UPDATE SET (state, version, since, seen)
        = (excluded.state, excluded.version, excluded.since, excluded.seen)
    WHERE NOT %(retained)s OR (node_state.state, node_state.version, node_state.since)
        <> (excluded.state, excluded.version, excluded.since)
"""
_SENSOR = """
    INSERT INTO sensor_state (node, sensor, payload, seen) VALUES (%(node)s, %(sensor)s, %(payload)s, %(now)s)
    ON CONFLICT (node, sensor) DO UPDATE SET (payload, seen) = (excluded.payload, excluded.seen)
    WHERE NOT %(retained)s OR sensor_state.payload <> excluded.payload
"""


def write_states(
    connection: psycopg.Connection[Any], messages: Sequence[StateMessage], *, now: datetime
) -> list[Quarantined]:
    """Keep the latest of `messages`, which are in the order of their arrival, in one transaction, and commit it.

    A retained message that says what is known already is no news: it does not count as seen now. What cannot be read is
    put into quarantine and returned.
    """
    latest: dict[Topic, tuple[str, dict[str, object]]] = {}
    unusable = []
    for message in messages:
        try:
            latest[message.topic] = _values(message)
        except ContractError as error:
            topic = message.topic
            unusable.append(
                Quarantined(
                    Reason.UNREADABLE,
                    str(error),
                    topic.node,
                    (topic.sensor, None, None),
                    message.payload,
                    kind=topic.kind,
                    topic_sensor=topic.sensor,
                )
            )
    with connection.transaction():
        # In the order of the topics, so that two writers never wait for each other in a circle.
        for _, (statement, values) in sorted(latest.items(), key=lambda item: (item[0].node, item[0].sensor or "")):
            connection.execute(statement, {**values, "now": now})
        store.quarantine(connection, unusable, now)
        store.tell_readers(connection)
    return unusable


def _values(message: StateMessage) -> tuple[str, dict[str, object]]:
    topic = message.topic
    values: dict[str, object] = {"node": topic.node, "sensor": topic.sensor, "retained": message.retained}
    if topic.kind is Kind.STATUS:
        status = decode_status(message.payload)
        since = datetime.fromtimestamp(status.since, UTC)
        return _NODE, {**values, "state": status.state, "version": status.version, "since": since}
    health = decode_health(message.payload)
    if health.sensor != topic.sensor:
        raise ContractError("sensor", f"{topic.sensor}, as in the topic", health.sensor)
    return _SENSOR, {**values, "payload": json.dumps(json.loads(message.payload))}
