"""Who may report the counters: the demo's own boxes, or, without them, whoever comes."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from footfall_contract import topics
from footfall_contract.report import SlotReport, encode_json
from footfall_contract.words import Direction, PassageClass
from footfall_demo.city import Box

_MINUTE_S = 60


def claim_sensors(connection: psycopg.Connection, boxes: Sequence[Box], now: int) -> None:
    """See to it that from now on (UTC seconds) each box's counters are its own, whoever reported them before.

    A counter that nobody has reported yet is left to the first one who does, which will be its box.
    """
    since = datetime.fromtimestamp(now // _MINUTE_S * _MINUTE_S, UTC)
    for box in boxes:
        connection.execute(
            """
            INSERT INTO sensor_node (sensor, node, valid_from)
            SELECT key, %(node)s, %(since)s FROM sensor
            WHERE id = ANY(%(sensors)s) AND %(node)s <> (
                SELECT node FROM sensor_node AS claim WHERE claim.sensor = key ORDER BY valid_from DESC LIMIT 1
            )
            ON CONFLICT (sensor, valid_from) DO UPDATE SET node = excluded.node
            """,
            {"node": box.node, "since": since, "sensors": [counter.sensor for counter in box.counters]},
        )


def free_sensors(connection: psycopg.Connection, boxes: Sequence[Box]) -> None:
    """Forget that the boxes own their counters, so that the first node that reports one may have it."""
    connection.execute("DELETE FROM sensor_node WHERE node = ANY(%s)", [[box.node for box in boxes]])


def example_report(host: str, port: int, now: int) -> str:
    """A command that reports three passages at Markt for the minute before `now` (UTC seconds); good once."""
    sensor = "markt-1"
    report = SlotReport(
        sensor=sensor,
        stream=uuid4(),
        seq=0,
        start=now // _MINUTE_S * _MINUTE_S - _MINUTE_S,
        slot=_MINUTE_S,
        slots=1,
        observed=(_MINUTE_S,),
        index=(0,),
        direction=(Direction.IN,),
        class_=(PassageClass.PEDESTRIAN,),
        count=(3,),
    )
    topic = topics.counts("my-box", sensor)
    words = ["mosquitto_pub", "-h", host, "-p", str(port), "-q", "1", "-t", topic, "-m", encode_json(report).decode()]
    return shlex.join(words)
