"""An edge box for the tests of ingest: a real outbox, a counter that sees one passage a slot, and a way to MQTT."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import uuid4

import psycopg

from footfall_contract import CommitNotice, NodeStatus, decode_notice, encode_status, topics
from footfall_demo.broker import Broker
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.slots import Piece
from footfall_edge.window import WINDOW
from footfall_ingest.flush import Message, write_batch
from footfall_testing.ingest_store import NOON
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until

NOW = datetime.fromtimestamp(NOON + 7 * 86_400, UTC)

Exchange = Callable[[Sequence[tuple[str, bytes]]], Iterable[CommitNotice]]
"""Sends (topic, payload) and returns the notices that came since."""


class Box:
    """A context with an open outbox of the sensor ``{node}-1``, or another one."""

    def __init__(self, folder: Path, node: str, sensor: str = "", first_slot: int = 0) -> None:
        self.node = node
        self.sensor = sensor or f"{node}-1"
        self.counted = 0
        self._first_slot = first_slot
        self._outbox = Outbox.open(folder / f"{node}.sqlite")
        self._stream = uuid4()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._outbox.close()

    def restart(self) -> None:
        """A new process of the edge: a new stream."""
        self._stream = uuid4()

    def count(self, slots: int = 1) -> None:
        """One passage in each of the next slots, each slot a report of its own."""
        for _ in range(slots):
            start = NOON + 10 * (self._first_slot + self.counted)
            self._outbox.book([Entry(self.sensor, (Piece(start, 10, 10_000, ((0, 0, 1),)),), None)])
            self._outbox.number(self.sensor, self._stream, closed_until=start + 10, every_s=10, most=1, now_s=start)
            self.counted += 1

    def step(self, exchange: Exchange) -> None:
        """Send what no notice covers, as far as the window goes, and believe what comes."""
        waiting = self._outbox.uncommitted(self.sensor, WINDOW)
        sent = [(topics.counts(self.node, self.sensor), report.payload) for report in waiting]
        for notice in exchange(sent):
            self.believe(notice)

    def believe(self, notice: CommitNotice) -> int:
        """Settle a notice; how many reports it opened again."""
        return self._outbox.settle(notice, NOON).reopened

    @property
    def waiting(self) -> int:
        """Reports that no notice covers."""
        return self._outbox.tally().numbered

    def deliver(self, exchange: Exchange) -> None:
        """Step until everything is covered."""

        def done() -> bool:
            self.step(exchange)
            return self.waiting == 0

        wait_until(done, timeout=60, what=f"everything of {self.node} to be committed", every=0.05)


class Line:
    """A context with a box's connection to a broker; to call it is to exchange. Says that the box is online."""

    def __init__(self, broker: Broker, box: Box) -> None:
        self._box = box
        self._client = TestClient(broker, f"{box.node}-edge", [topics.committed(box.node)])
        self._read = 0

    def __enter__(self) -> Self:
        self._client.__enter__()
        online = encode_status(NodeStatus("online", "0.1.0", NOON))
        self._client.publish([(topics.status(self._box.node), online)], retain=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.__exit__()

    def __call__(self, sent: Sequence[tuple[str, bytes]]) -> list[CommitNotice]:
        """Publish, and return the notices that were heard since the last time."""
        self._client.publish(sent)
        payloads = self._client.history[self._read :]
        self._read += len(payloads)
        return [decode_notice(payload) for _, payload in payloads if payload]


def straight_into(connection: psycopg.Connection, box: Box) -> Exchange:
    """An exchange without a broker: each step is a batch."""

    def exchange(sent: Sequence[tuple[str, bytes]]) -> list[CommitNotice]:
        batch = [Message(box.node, box.sensor, payload) for _, payload in sent]
        return list(write_batch(connection, batch, now=NOW).notices.values()) if batch else []

    return exchange
