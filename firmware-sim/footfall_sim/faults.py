"""What goes wrong with sensors: noise on the line, silence, a stuck optic, a reboot, a pulled plug.

`Wire` spoils bytes, `Ailment` is a trouble that lasts, `Schedule` lets troubles come by chance. All of it is drawn from
seeded dice, so that a run that showed a mistake can be had again.
"""

import math
import random
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """The troubles that happen to the device itself."""

    REBOOT = "reboot"
    SILENCE = "silence"
    STUCK = "stuck"
    UNPLUG = "unplug"


class StuckMode(StrEnum):
    """How a stuck optic shows."""

    NOTHING = "nothing"
    """It sees nobody."""
    REPEAT = "repeat"
    """It sees nobody, and counts somebody who is not there once a second."""


class Wire:
    """A pair of copper wires beside a tram line; bytes go in, other bytes may come out.

    `noise_per_s`: random bytes that appear per second. `flip`, `loss`: probability for each byte that one of its bits
    is turned, or that it is lost.
    """

    def __init__(self, dice: random.Random, *, noise_per_s: float = 0.0, flip: float = 0.0, loss: float = 0.0) -> None:
        self._dice = dice
        self.noise_per_s = noise_per_s
        self.flip = flip
        self.loss = loss

    def pass_on(self, data: bytes, elapsed_s: float) -> bytes:
        """What arrives of `data`, which took `elapsed_s` seconds."""
        if not (self.noise_per_s or self.flip or self.loss):
            return data
        dice = self._dice
        out = bytearray()
        for byte in data:
            if dice.random() >= self.loss:
                out.append(byte ^ (1 << dice.randrange(8)) if dice.random() < self.flip else byte)
        for _ in range(self._noise(elapsed_s)):
            out.insert(dice.randint(0, len(out)), dice.randrange(256))
        return bytes(out)

    def _noise(self, elapsed_s: float) -> int:
        """A Poisson number, by counting exponential gaps."""
        count, left = 0, elapsed_s
        while self.noise_per_s and (left := left - self._dice.expovariate(self.noise_per_s)) > 0:
            count += 1
        return count


@dataclass(slots=True)
class Ailment:
    """A trouble that lasts until a moment on the monotonic clock, or until it is cleared."""

    until: float = -math.inf

    def start(self, now: float, seconds: float | None) -> None:
        """From now on, for `seconds` or until cleared."""
        self.until = math.inf if seconds is None else now + seconds

    def clear(self) -> None:
        """It is over."""
        self.until = -math.inf

    def on(self, now: float) -> bool:
        """Whether it lasts."""
        return now < self.until


class Schedule:
    """Troubles that come by chance: each kind so many times an hour, independently."""

    def __init__(self, dice: random.Random, per_h: dict[Fault, float], now: float) -> None:
        self._dice = dice
        self._per_h = {fault: rate for fault, rate in per_h.items() if rate > 0}
        self._next = {fault: now + self._gap_s(fault) for fault in self._per_h}

    def _gap_s(self, fault: Fault) -> float:
        return self._dice.expovariate(self._per_h[fault]) * 3600

    def due(self, now: float) -> list[Fault]:
        """The troubles whose time has come."""
        come = [fault for fault, at in self._next.items() if at <= now]
        for fault in come:
            self._next[fault] = now + self._gap_s(fault)
        return come
