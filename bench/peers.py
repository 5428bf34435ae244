"""The subscribers that ingest is held against, as a program of its own: ``python -m bench.peers KIND PORT REPORTS …``.

It writes ``subscribed`` into the file that is named once it is subscribed, and ``done`` when it has dealt with so many
reports.
"""

import sys
import threading
from pathlib import Path
from typing import Any

import cbor2
import psycopg

from footfall_contract import topics
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings

TABLE = """
    CREATE TABLE one_by_one (
        sensor text NOT NULL, starts timestamptz NOT NULL, going_in integer NOT NULL, going_out integer NOT NULL,
        PRIMARY KEY (sensor, starts)
    )
"""


def main(kind: str, port: str, reports: str, said: str, dsn: str = "") -> None:
    """Subscribe as ``bare``, which does nothing, or as ``loop``, which inserts and commits each report by itself.

    Both are what paho's documentation shows: its network thread, its acknowledgements, QoS 1.
    """
    wanted, taken, done = int(reports), 0, threading.Event()
    connection = psycopg.connect(dsn, autocommit=True) if kind == "loop" else None

    def on_message(_client: Any, _userdata: Any, message: Any) -> None:
        nonlocal taken
        if connection is not None:
            insert(connection, message.payload)
        taken += 1
        if taken == wanted:
            done.set()

    def on_subscribe(*_: Any) -> None:
        Path(said).write_text("subscribed")

    client = new_client(MqttSettings(port=int(port)), kind, clean_session=False)
    client.on_message = on_message
    client.on_connect = lambda client, *_: client.subscribe([(topics.ALL_COUNTS, 1)])
    client.on_subscribe = on_subscribe
    client.connect("127.0.0.1", int(port))
    client.loop_start()
    done.wait()
    Path(said).write_text("done")
    hang_up(client)


def insert(connection: psycopg.Connection[Any], payload: bytes) -> None:
    """One row and one commit for a report; a report that comes again changes nothing."""
    report = cbor2.loads(payload)
    by_direction = [0, 0]
    for direction, count in zip(_numbers(report["direction"]), _numbers(report["count"]), strict=True):
        by_direction[direction] += count
    connection.execute(
        "INSERT INTO one_by_one VALUES (%s, to_timestamp(%s), %s, %s) ON CONFLICT DO NOTHING",
        [report["sensor"], report["start"], *by_direction],
    )


def _numbers(column: Any) -> Any:
    """A column is a list, or the bytes of a typed array; of those that occur here all have one byte a number."""
    return column.value if isinstance(column, cbor2.CBORTag) else column


if __name__ == "__main__":
    main(*sys.argv[1:])
