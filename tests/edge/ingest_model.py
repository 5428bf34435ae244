"""Ingest as an edge sees it: takes reports over a real broker, remembers which, and says so in commit notices."""

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID, uuid4

from footfall_contract import topics
from footfall_contract.notice import CommitNotice, StreamState, encode_notice
from footfall_contract.report import SlotReport, decode
from footfall_contract.state import NodeStatus, SensorHealth, decode_health, decode_status
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings


class Address(Protocol):
    """Where a broker is."""

    host: str
    port: int


class Ingest:
    """Connects when entered. What it stores survives `leave` and `arrive`, as a database would."""

    def __init__(self, broker: Address, node: str) -> None:
        self._broker = broker
        self._node = node
        self._lock = threading.Lock()
        self._client: Any = None
        self.epoch: UUID = uuid4()
        self.stored: dict[tuple[str, UUID, int], SlotReport] = {}
        self.duplicates = 0
        self.received = 0
        self.changed: list[tuple[str, UUID, int]] = []
        """Reports that came again with other content. There must never be one."""
        self.storing = True
        """False: what arrives is lost, as with a broker or an ingest that dies."""
        self.telling = True
        """False: commit notices are lost."""
        self.statuses: list[NodeStatus] = []
        self.healths: list[SensorHealth] = []

    def __enter__(self) -> Self:
        self.arrive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def arrive(self) -> None:
        """Connect, subscribe, and say what is stored, as ingest does at its start."""
        subscribed = threading.Event()
        client = new_client(MqttSettings(host=self._broker.host, port=self._broker.port), f"ingest-{uuid4().hex[:8]}")
        client.reconnect_delay_set(1, 1)
        wanted = [topics.counts(self._node, "x"), topics.health(self._node, "x"), topics.status(self._node)]
        filters = [(topic.replace("/x/", "/+/"), 1) for topic in wanted]
        client.on_connect = lambda c, *_: c.subscribe(filters)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _c, _u, message: self._receive(message.topic, bytes(message.payload))
        client.connect(self._broker.host, self._broker.port)
        client.loop_start()
        self._client = client
        assert subscribed.wait(20), "the broker does not let ingest subscribe"
        self.tell()

    def leave(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            hang_up(client)

    def _receive(self, topic: str, payload: bytes) -> None:
        kind = topics.parse(topic).kind
        if kind is topics.Kind.COMMITTED or topics.parse(topic).node != self._node:
            return  # amqtt greets each client with everybody's retained messages
        with self._lock:
            if kind is topics.Kind.STATUS:
                self.statuses.append(decode_status(payload))
            elif kind is topics.Kind.HEALTH:
                self.healths.append(decode_health(payload))
            elif self.storing:
                self._store(decode(payload))
        if kind is topics.Kind.COUNTS:
            self.received += 1
            self.tell()

    def _store(self, report: SlotReport) -> None:
        identity = (report.sensor, report.stream, report.seq)
        before = self.stored.get(identity)
        if before is None:
            # A new dictionary each time: tests go through it in their own thread.
            self.stored = {**self.stored, identity: report}
        else:
            self.duplicates += 1
            if before != report:
                self.changed.append(identity)

    def tell(self) -> None:
        """Publish a notice on everything stored."""
        client = self._client  # `leave` takes it away, in another thread
        if not self.telling or client is None:
            return
        client.publish(topics.committed(self._node), encode_notice(self.notice()), qos=1, retain=True)

    def notice(self) -> CommitNotice:
        """What is stored."""
        with self._lock:
            streams: dict[tuple[str, UUID], set[int]] = {}
            for sensor, stream, seq in self.stored:
                streams.setdefault((sensor, stream), set()).add(seq)
            sensors: dict[str, tuple[StreamState, ...]] = {}
            for (sensor, stream), seqs in streams.items():
                sensors[sensor] = (*sensors.get(sensor, ()), _state(stream, seqs))
            return CommitNotice(self.epoch, sensors)

    def restore(self, keep: Callable[[SlotReport], bool]) -> int:
        """The database is restored from a backup that has only some reports; returns how many are gone."""
        with self._lock:
            kept = {identity: report for identity, report in self.stored.items() if keep(report)}
            gone = len(self.stored) - len(kept)
            self.stored = kept
            self.epoch = uuid4()
        self.tell()
        return gone

    def passages(self) -> Counter[tuple[int, int]]:
        """Passages stored, by direction and class."""
        found: Counter[tuple[int, int]] = Counter()
        with self._lock:
            for report in self.stored.values():
                for direction, class_, count in zip(report.direction, report.class_, report.count, strict=True):
                    found[direction, class_] += count
        return found

    def observed(self) -> dict[int, int]:
        """Measured seconds stored, by start of the slot or span."""
        found: Counter[int] = Counter()
        with self._lock:
            for report in self.stored.values():
                for n, seconds in enumerate(report.observed):
                    found[report.start + n * report.slot] += seconds
        return dict(found)


def _state(stream: UUID, seqs: set[int]) -> StreamState:
    below = next(n for n in range(len(seqs) + 1) if n not in seqs)
    ranges: list[tuple[int, int]] = []
    for seq in sorted(seq for seq in seqs if seq > below):
        if ranges and ranges[-1][1] == seq:
            ranges[-1] = (ranges[-1][0], seq + 1)
        else:
            ranges.append((seq, seq + 1))
    return StreamState(stream, below, tuple(ranges[:64]))
