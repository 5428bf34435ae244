"""What was received and is not yet written: a bounded buffer between the network thread and the writer.

The writer takes a batch when the first message in it has waited long enough, when the batch is full, or when the broker
will send no more before it gets acknowledgements: brokers limit the messages under way, and waiting for the timer with
such a window in hand would cost most of the throughput. That a window is full cannot be asked; it shows in that enough
messages came for one and then, for a moment, none.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_QUEUE_BYTES = 64 * 1024 * 1024

_MOMENT_S = 0.005
"""So long nothing came: the broker waits for us. On one machine it sends the next message within a millisecond."""

_STOP_S = 0.2
"""How often a writer with nothing to do looks whether it shall stop."""


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
            return self._take()

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
        taken: list[Delivery] = []
        size = 0
        while self._deliveries and len(taken) < self._limits.max_reports and size < MAX_BATCH_BYTES:
            taken.append(self._deliveries.popleft())
            size += len(taken[-1].payload)
        self._bytes -= size
        return taken
