"""The latest that each node says of itself and of its sensors, kept for the API to show.

A node may speak of its own sensors, and of as many others as it may bring into the store; it has the room in quarantine
that it has for reports (`footfall_ingest.budgets`).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from footfall_contract import ContractError, decode_health, decode_status
from footfall_contract.topics import Kind, Topic
from footfall_ingest import budgets, store
from footfall_ingest.budgets import What
from footfall_ingest.flush import DEFAULT_RULES
from footfall_ingest.judge import Reason, Rules
from footfall_ingest.store import Quarantined


@dataclass(frozen=True, slots=True)
class StateMessage:
    """One status or health payload; `retained` if the broker had kept it, so that it may be old."""

    topic: Topic
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class StatesOutcome:
    """What became of states, once they are committed."""

    unusable: Sequence[Quarantined] = ()
    """Messages that went to quarantine."""
    refused: Mapping[tuple[str, What], int] = field(default_factory=dict)
    """Messages beyond the budgets, by node and budget: neither stored nor kept."""


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
    connection: psycopg.Connection[Any],
    messages: Sequence[StateMessage],
    *,
    now: datetime,
    rules: Rules = DEFAULT_RULES,
) -> StatesOutcome:
    """Keep the latest of `messages`, which are in the order of their arrival, in one transaction, and commit it.

    A retained message that says what is known already is no news: it does not count as seen now. What cannot be read is
    put into quarantine and returned.
    """
    latest: dict[Topic, tuple[str, dict[str, object]]] = {}
    speaks: dict[int, Topic] = {}
    unusable: dict[int, Quarantined] = {}
    for place, message in enumerate(messages):
        topic = message.topic
        try:
            latest[topic] = _values(message)
            speaks[place] = topic
        except ContractError as error:
            unusable[place] = Quarantined(
                Reason.UNREADABLE,
                str(error),
                topic.node,
                (topic.sensor, None, None),
                message.payload,
                kind=topic.kind,
                topic_sensor=topic.sensor,
            )
    with connection.transaction():
        over = _beyond(connection, speaks, rules)
        left_out = {speaks[place] for place in over}
        # In the order of the topics, so that two writers never wait for each other in a circle.
        for topic, (statement, values) in sorted(latest.items(), key=lambda item: (item[0].node, item[0].sensor or "")):
            if topic not in left_out:
                connection.execute(statement, {**values, "now": now})
        full = budgets.refused_quarantine(connection, unusable, rules)
        kept = [message for place, message in unusable.items() if place not in full]
        store.quarantine(connection, kept, now)
        refused = budgets.amounts(over | full, [message.topic.node for message in messages])
        budgets.note(connection, Counter(), refused, now)
        store.tell_readers(connection)
    return StatesOutcome(kept, refused)


def _beyond(connection: psycopg.Connection[Any], speaks: Mapping[int, Topic], rules: Rules) -> dict[int, What]:
    """Which messages, by their place, speak of more sensors than their node may."""
    known = budgets.sensors_told(connection, {topic.node for topic in speaks.values() if topic.sensor})
    new = [
        (place, f"{topic.node}/{topic.sensor}", topic.node)
        for place, topic in speaks.items()
        if topic.sensor and (topic.node, topic.sensor) not in known
    ]
    return budgets.makers(new, Counter(node for (node, _), counts in known.items() if counts), rules)[1]


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
