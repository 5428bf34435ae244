"""A radar on a pseudo-terminal: frames of an HLK-LD2450, thirty a second, and people who pass when they are told to."""

import threading
import time
from collections import Counter as Tally
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.test_ld2450 import EMPTY, encoded
from footfall_sim.line import PtyLine

FRAME_S = 1 / 30


class Radar:
    """It keeps nothing: what it says while nobody listens is gone. Use it as a context."""

    def __init__(self, link: Path) -> None:
        self._line = PtyLine(link, baud=256_000)
        self._frames: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="radar", daemon=True)
        self.passed: Tally[tuple[int, int]] = Tally()
        """Everybody who passed in front of it, by direction and class."""

    def __enter__(self) -> Self:
        self._line.plug(time.monotonic())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._line.unplug()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(0.005):
            with self._lock:
                now = time.monotonic()
                while due <= now:
                    self._line.send(self._frames.popleft() if self._frames else EMPTY)
                    due += FRAME_S
                self._line.pump(now)

    def passes(self, number: int = 1, direction: int = 0) -> None:
        """People pass one after the other, each within a second."""
        for _ in range(number):
            way = [-1.5 + 0.125 * step for step in range(25)]
            with self._lock:
                self._frames += [encoded([(x, 2.0)]) for x in (way if direction == 0 else way[::-1])]
                self._frames += [EMPTY] * 10
                self.passed[direction, 0] += 1

    @property
    def busy(self) -> bool:
        """Whether somebody is still on the way, or in frames that nobody has read yet."""
        with self._lock:
            return bool(self._frames) or not self._line.read()

    def unplug(self) -> str:
        """Draw the cable; the name the port had."""
        with self._lock:
            name = self._line.device
            self._line.unplug()
            return name

    def plug(self) -> str:
        """Put it back; the name the port has now."""
        with self._lock:
            self._line.plug(time.monotonic())
            return self._line.device
