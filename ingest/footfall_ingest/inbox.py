"""What was received and is not yet written: a bounded buffer between the network thread and the writer.

The writer takes a batch when the first message in it has waited long enough, when the batch is full, or when the broker
will send no more before it gets acknowledgements: brokers limit the messages under way, and waiting for the timer with
such a window in hand would cost most of the throughput. That a window is full cannot be asked; it shows in that enough
messages came for one and then, for a moment, none.

When more waits than fits into a batch, the nodes take turns: who sends a few messages is in the next batch, whoever
else floods. When the buffer itself is full the broker has to wait, and with it everybody, behind whatever one node may
have sent. So of a node that has more than its share waiting by then the latest are *let go*: acknowledged to the broker
and not written. An honest node loses nothing by it: no commit notice covers them, so it sends them again.

What a node says of itself and its sensors (its will, too, which the broker says for it) is not sent again. So the
latest of each such topic comes first, with up to half of the node's share.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_QUEUE_BYTES = 64 * 1024 * 1024

LEAST: Final = 1024
"""Messages of a node of which none is let go: as many as a box with 16 sensors can have under way."""
LEAST_BYTES: Final = 8 * 1024 * 1024

_MOMENT_S = 0.005
"""So long nothing came: the broker waits for us. On one machine it sends the next message within a millisecond."""

_STOP_S = 0.2
"""How often a writer with nothing to do looks whether it shall stop."""

_MOST_NODES: Final = 10_000
"""Nodes that are remembered; beyond that a share is the least there is anyway."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One MQTT message, and what is needed to acknowledge it."""

    topic: str
    payload: bytes
    mid: int
    """Message id; 0 if the sender wants no acknowledgement."""
    connection: int
    """Which connection brought it: message ids mean nothing on another."""
    retained: bool
    """The broker had kept it: it may be old."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is complete; `footfall_ingest.settings.FlushSettings` explains each."""

    interval_s: float = 0.25
    max_reports: int = 4000
    queue: int = 20_000
    window: int = 20


class Inbox:
    """Messages in the order of their arrival. One thread puts, one takes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._deliveries: deque[Delivery] = deque()
        self._bytes = 0
        self._nodes: set[str] = set()
        """Those whose messages were here when there were too many."""
        self._surplus: list[Delivery] = []
        self._nudged = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._deliveries)

    def has_room(self) -> bool:
        """Whether another message should be received; if not, it has to wait at the broker."""
        return len(self._deliveries) < self._limits.queue and self._bytes < MAX_QUEUE_BYTES

    def put(self, delivery: Delivery) -> None:
        """Add a message. Never waits; ask `has_room` before receiving it."""
        with self._changed:
            self._deliveries.append(delivery)
            self._bytes += len(delivery.payload)
            # The writer sleeps until it has something, then until a batch is full; to wake it for each message in
            # between would cost more than the message.
            if len(self._deliveries) in {1, self._limits.max_reports} or self._bytes >= MAX_BATCH_BYTES:
                self._changed.notify()

    def nudge(self) -> None:
        """Let the writer look up, though there may be no message."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def batch(self, stop: threading.Event, on_wait: Callable[[], object] = lambda: None) -> list[Delivery]:
        """Wait until a batch is complete and take it; it is empty after a nudge or when `stop` is set.

        `on_wait` is called a few times in a second while there is nothing.
        """
        with self._changed:
            while not (self._deliveries or self._nudged or stop.is_set()):
                self._changed.wait(_STOP_S)
                on_wait()
            self._wait_for_more(stop)
            self._nudged = False
            if not self.has_room():
                self._let_go()
            return self._take()

    def surplus(self) -> list[Delivery]:
        """What was let go since this was last asked: to be acknowledged, and not to be written."""
        with self._changed:
            surplus, self._surplus = self._surplus, []
            return surplus

    def _wait_for_more(self, stop: threading.Event) -> None:
        deadline = time.monotonic() + self._limits.interval_s
        before = -1
        while self._deliveries and not self._is_full() and not stop.is_set():
            quiet = len(self._deliveries) == before and before >= self._limits.window
            left = deadline - time.monotonic()
            if quiet or left <= 0:
                break
            before = len(self._deliveries)
            self._changed.wait(min(_MOMENT_S, left))

    def _is_full(self) -> bool:
        return len(self._deliveries) >= self._limits.max_reports or self._bytes >= MAX_BATCH_BYTES

    def _take(self) -> list[Delivery]:
        if len(self._deliveries) <= self._limits.max_reports and self._bytes <= MAX_BATCH_BYTES:
            taken = list(self._deliveries)
            self._deliveries.clear()
        else:
            taken = self._in_turns()
        self._bytes -= sum(len(delivery.payload) for delivery in taken)
        return taken

    def _in_turns(self) -> list[Delivery]:
        """A batch for which the nodes took turns, in the order of arrival."""
        waiting = list(self._deliveries)
        turns: list[tuple[int, int]] = []
        taken_of: Counter[str] = Counter()
        for place, delivery in enumerate(waiting):
            node = _node(delivery)
            turns.append((taken_of[node], place))
            taken_of[node] += 1
        self._remember(taken_of)
        chosen: set[int] = set()
        size = 0
        for _, place in sorted(turns):
            if len(chosen) >= self._limits.max_reports or size >= MAX_BATCH_BYTES:
                break
            chosen.add(place)
            size += len(waiting[place].payload)
        self._deliveries = deque(delivery for place, delivery in enumerate(waiting) if place not in chosen)
        return [delivery for place, delivery in enumerate(waiting) if place in chosen]

    def _let_go(self) -> None:
        """Let go what a node has beyond its share, the latest first."""
        waiting = [(_node(delivery), delivery) for delivery in self._deliveries]
        self._remember(Counter(node for node, _ in waiting))
        if len(self._nodes) == 1:
            return  # nobody else waits for it
        most = max(LEAST, _share(self._limits.queue, len(self._nodes)))
        most_bytes = max(LEAST_BYTES, _share(MAX_QUEUE_BYTES, len(self._nodes)))
        number: Counter[str] = Counter()
        size: Counter[str] = Counter()
        stays = self._latest_states(waiting, most // 2, most_bytes // 2)
        for place in stays:
            node, delivery = waiting[place]
            number[node] += 1
            size[node] += len(delivery.payload)
        self._deliveries.clear()
        for place, (node, delivery) in enumerate(waiting):
            length = len(delivery.payload)
            if place in stays:
                self._deliveries.append(delivery)
            elif number[node] and (number[node] >= most or size[node] + length > most_bytes):
                self._surplus.append(delivery)
                self._bytes -= length
            else:
                self._deliveries.append(delivery)
                number[node] += 1
                size[node] += length

    @staticmethod
    def _latest_states(waiting: Sequence[tuple[str, Delivery]], most: int, most_bytes: int) -> set[int]:
        """The places of the latest message of each topic that is none of counts, so many of each node at most."""
        number: Counter[str] = Counter()
        size: Counter[str] = Counter()
        seen: set[str] = set()
        stays: set[int] = set()
        for place in range(len(waiting) - 1, -1, -1):
            node, delivery = waiting[place]
            length = len(delivery.payload)
            if delivery.topic.endswith("/counts") or delivery.topic in seen:
                continue
            if number[node] < most and size[node] + length <= most_bytes:
                seen.add(delivery.topic)
                stays.add(place)
                number[node] += 1
                size[node] += length
        return stays

    def _remember(self, nodes: Counter[str]) -> None:
        if len(self._nodes) < _MOST_NODES:
            self._nodes.update(nodes)


def _share(room: int, nodes: int) -> int:
    """What each of several nodes may have of `room`: all of them together may fill it, all but one of them not.

    So where all have as much to send nobody is above it; and however many flood, who does not finds room.
    """
    return room * (2 * nodes - 1) // (2 * nodes * (nodes - 1))


def _node(delivery: Delivery) -> str:
    """The node of a message's topic, whatever the topic is."""
    levels = delivery.topic.split("/", 3)
    return levels[2] if len(levels) > 2 else ""  # footfall/v1/NODE/…
