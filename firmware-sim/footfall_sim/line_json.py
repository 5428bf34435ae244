"""A micro-controller that prints what it counted, one JSON object per line, and listens to nobody.

``{"in":12,"out":7,"uptime_s":3600}`` and a newline (LF), in ASCII: running totals since power-on, modulo 2**32 as in an
``unsigned long``, or, if it is built that way, the passages since the line before. With a check sum the line goes on
after the object with ``*`` and two upper-case hexadecimal digits: the exclusive or of all bytes before the asterisk, as
in the sentences of NMEA 0183 (which leave out the leading ``$``, of which there is none here).
"""

import json
import math
from dataclasses import dataclass
from functools import reduce
from operator import xor

from footfall_sim.memory import Store
from footfall_sim.tally import IN, OUT, TallyDesign, TallyDevice

WRAP = 1 << 32
"""Totals and uptime are 32-bit numbers."""


@dataclass(frozen=True, slots=True)
class LineJsonDesign:
    """What the sketch prints, and when. `every_s` None: not by the clock."""

    increments: bool = False
    every_s: float | None = 1.0
    at_passage: bool = False
    uptime: bool = True
    checksum: bool = False


def line_of(values: dict[str, int], *, checksum: bool) -> bytes:
    """A line as it is printed."""
    text = json.dumps(values, separators=(",", ":")).encode("ascii")
    return text + (b"*%02X\n" % reduce(xor, text) if checksum else b"\n")


class LineJsonCounter(TallyDevice):
    """One counter from power-on to power-off; making it is its boot.

    Raises UnusableMemoryError if the store's image is damaged or belongs to another device.
    """

    def __init__(
        self, store: Store, now: float, design: LineJsonDesign, tally: TallyDesign, drift_ppm: float = 0
    ) -> None:
        self._design = design
        super().__init__(store, tally)
        self._booted_at = now
        self._pace = 1 + drift_ppm / 1e6
        self._beats = 0
        # The totals at each passage that gets a line of its own.
        self._pending: list[tuple[int, int]] = []
        self._last = self._tally.sums

    def passage(self, direction: int, class_: int, at: float) -> None:  # noqa: ARG002  # it sees no classes
        """Somebody crossed the line."""
        if self._tally.passage(direction) and self._design.at_passage:
            self._pending.append(self._tally.sums)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes came from the host; it does not listen."""

    def tick(self, now: float) -> bytes:
        """The lines that are due."""
        self._tally.settle()
        sums, self._pending = self._pending, []
        if now >= self._beat_at():
            every_s = self._design.every_s
            assert every_s is not None
            # One line is enough for all beats that nobody looked at.
            self._beats = max(self._beats + 1, int((now - self._booted_at) * self._pace / every_s))
            if sums[-1:] != [self._tally.sums]:
                sums.append(self._tally.sums)
        return b"".join(self._line(each, now) for each in sums)

    def _beat_at(self) -> float:
        """When the next line is due by the clock."""
        if self._design.every_s is None:
            return math.inf
        return self._booted_at + (self._beats + 1) * self._design.every_s / self._pace

    def due(self) -> float:
        """When the next line is due."""
        return -math.inf if self._pending else self._beat_at()

    def flush(self, now: float) -> None:  # noqa: ARG002  # the line is printed by the next tick
        """Print a line at once."""
        self._pending.append(self._tally.sums)

    def shutdown(self, now: float) -> None:
        """Print a last line with something new in it at once, and go on printing."""
        self.flush(now)
        self._tally.stop()

    def _line(self, sums: tuple[int, int], now: float) -> bytes:
        into, out = sums
        if self._design.increments:
            into, out = into - self._last[IN], out - self._last[OUT]
        self._last = sums
        values = {"in": into % WRAP, "out": out % WRAP}
        if self._design.uptime:
            values["uptime_s"] = int((now - self._booted_at) * self._pace) % WRAP
        self._tally.say(IN)
        self._tally.say(OUT)
        return line_of(values, checksum=self._design.checksum)
