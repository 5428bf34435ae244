"""A reference counter on a pseudo-terminal: the simulator's firmware and line, moved on by a thread of its own."""

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from footfall_sim.firmware import Design, Firmware
from footfall_sim.line import PtyLine
from footfall_sim.memory import RamStore


class Counter:
    """A device with intervals of a second. Use it as a context; everything on it may be called from the test."""

    def __init__(
        self, link: Path, *, ring: int = 8640, disturb: Callable[[bytes, float], bytes] = lambda data, _: data
    ) -> None:
        self._design = Design(device=7, interval_ms=1000, ring=ring)
        self._store = RamStore()
        self._firmware = Firmware(self._store, time.monotonic() * 1000, self._design)
        self._line = PtyLine(link, baud=115_200, disturb=disturb)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counter", daemon=True)
        self.passed: Tally[tuple[int, int]] = Tally()
        """Everything that ever passed, by direction and class."""
        self.dumb = False
        """The line is there, and nothing comes."""

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
        while not self._stop.wait(0.005):
            with self._lock:
                now = time.monotonic()
                self._firmware.feed(self._line.receive(), now * 1000)
                said = self._firmware.tick(now * 1000)
                if not self.dumb:
                    self._line.send(said)
                self._line.pump(now)

    def passes(self, number: int = 1, direction: int = 0, class_: int = 0) -> None:
        """People cross the line now."""
        with self._lock:
            for _ in range(number):
                self._firmware.passage(direction, class_, time.monotonic() * 1000)
            self.passed[direction, class_] += number

    def cut(self) -> None:
        """The open interval is closed, so that a power failure would lose nothing."""
        with self._lock:
            self._firmware.flush(time.monotonic() * 1000)

    def reboot(self) -> None:
        """The power fails and comes back; the open interval is cut before, so that the totals are known."""
        with self._lock:
            self._firmware.flush(time.monotonic() * 1000)
            self._firmware.tick(time.monotonic() * 1000)
            self._line.discard()
            self._firmware = Firmware(self._store, time.monotonic() * 1000, self._design)

    def unplug(self) -> str:
        """The cable is drawn; returns the device name the line had."""
        with self._lock:
            name = self._line.device
            self._line.unplug()
            return name

    def plug(self) -> str:
        """The cable is put back: the same link, another device name, which is returned."""
        with self._lock:
            self._line.plug(time.monotonic())
            return self._line.device

    @property
    def ahead_s(self) -> float:
        """By how much the device's clock, which the edge has set, is ahead of that of the computer."""
        with self._lock:
            now = time.monotonic() * 1000
            told = self._firmware._utc_minus_uptime
            assert told is not None
            return (self._firmware._uptime(now) + told) / 1000 - time.time()

    @property
    def waiting(self) -> int:
        """Intervals that nobody has acknowledged."""
        with self._lock:
            return self._firmware.waiting
