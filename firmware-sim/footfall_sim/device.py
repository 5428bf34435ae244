"""What every simulated device can be asked, whatever it says on its line, and the reference counter as one of them.

A device is a state machine without any I/O. Making the object is its boot, a reboot is a new object on the same store.
All moments are seconds on one monotonic clock.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from footfall_sim.firmware import DIRECTIONS, Design, Firmware
from footfall_sim.memory import Store
from footfall_sim.truth import Closed


class Device(Protocol):
    """One device from power-on to power-off."""

    @property
    def directions(self) -> tuple[int, ...]:
        """The directions it can tell apart: 0 in, 1 out, 2 undirected."""

    @property
    def foresight_s(self) -> float:
        """How long before it happens it must know of a passage: a radar shows people who walk up to the line."""

    @property
    def acknowledged(self) -> bool:
        """Whether the host answers for what it took. If not, `delivered` says what became of the bytes."""

    @property
    def forgetful(self) -> bool:
        """Whether what waits is gone with the power."""

    @property
    def device(self) -> int:
        """The device's number."""

    @property
    def boot(self) -> int:
        """The number of this boot."""

    @property
    def waiting(self) -> int:
        """What the host has not taken yet; 0: everything that was counted is with it."""

    @property
    def totals(self) -> Mapping[tuple[int, int], int]:
        """Passages by (direction, class) that are in the device's memory, over all its boots."""

    @property
    def bad_frames(self) -> int:
        """Frames from the host that could not be read."""

    def passage(self, direction: int, class_: int, at: float) -> None:
        """Somebody crosses the line `at` that moment, now or by the foresight. After `shutdown` nobody is counted."""

    def feed(self, data: bytes, now: float) -> None:
        """Bytes came from the host."""

    def tick(self, now: float) -> bytes:
        """Let the time pass; the bytes to send now. Call it after `feed`, and when `due` has come."""

    def due(self) -> float:
        """The next moment at which `tick` has something to do."""

    def delivered(self, *, arrived: bool) -> None:
        """The host has read all that was sent so far; or not, and it never will."""

    def take_closed(self) -> Sequence[Closed]:
        """What was settled since the last call: passages that are reported, or that never will be."""

    def flush(self, now: float) -> None:
        """Report what was counted so far as soon as possible."""

    def shutdown(self, now: float) -> None:
        """Power is going down in good order: report the last passages and count no more; go on talking."""

    def save(self) -> None:
        """Write the memory."""

    def surroundings(self, *, lens_suspected: bool, temperature: int, supply_mv: int) -> None:
        """What the device's own sensors feel: the lens, tenths of a degree Celsius, millivolts."""


class ReferenceDevice:
    """The reference counter; its firmware's clock is in milliseconds."""

    directions = DIRECTIONS
    foresight_s = 0.0
    acknowledged = True
    forgetful = False

    def __init__(self, store: Store, now: float, design: Design) -> None:
        self._firmware = Firmware(store, now * 1000, design)

    @property
    def device(self) -> int:
        """The device's number."""
        return self._firmware.device

    @property
    def boot(self) -> int:
        """The number of this boot."""
        return self._firmware.boot

    @property
    def waiting(self) -> int:
        """Closed intervals that nobody has acknowledged."""
        return self._firmware.waiting

    @property
    def totals(self) -> Mapping[tuple[int, int], int]:
        """Running totals over all closed intervals, modulo 2**32."""
        return self._firmware.totals

    @property
    def bad_frames(self) -> int:
        """Frames from the host that could not be read."""
        return self._firmware.bad_frames

    def passage(self, direction: int, class_: int, at: float) -> None:
        """Somebody crossed the line."""
        self._firmware.passage(direction, class_, at * 1000)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes came from the host."""
        self._firmware.feed(data, now * 1000)

    def tick(self, now: float) -> bytes:
        """Let the time pass; the bytes to send now."""
        return self._firmware.tick(now * 1000)

    def due(self) -> float:
        """The next moment at which `tick` has something to do."""
        return self._firmware.due_ms() / 1000

    def delivered(self, *, arrived: bool) -> None:
        """Of no interest: the host acknowledges, and what it does not is sent again."""

    def take_closed(self) -> Sequence[Closed]:
        """The intervals closed since the last call."""
        return self._firmware.take_closed()

    def flush(self, now: float) -> None:
        """Close the open interval now."""
        self._firmware.flush(now * 1000)

    def shutdown(self, now: float) -> None:
        """Close the open interval as the last one and count no more."""
        self._firmware.shutdown(now * 1000)

    def save(self) -> None:
        """Write the memory."""
        self._firmware.save()

    def surroundings(self, *, lens_suspected: bool, temperature: int, supply_mv: int) -> None:
        """What HEALTH tells."""
        self._firmware.lens_suspected = lens_suspected
        self._firmware.temperature, self._firmware.supply_mv = temperature, supply_mv
