"""Every kind of sensor of the simulation, each on a pseudo-terminal of its own and moved on by a thread of its own."""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from footfall_sim.faults import Fault
from footfall_sim.sensor import Clock, SimulatedSensor
from footfall_sim.settings import SimSettings

FAST = 15.0
"""So many times as fast a radar lives, for its people need ten seconds to come and cross. No frame tells the time."""
LONGEST_STEP_S = 0.02
"""A thread that had to wait does not let a fast radar make up for it."""
UNREAD = 1000
PATIENCE_S = 2.0
"""So long a fast radar waits for a host that has so many bytes still to read. The real one is never that fast."""
APART_S = 3.0
"""Seconds between two people in front of a radar, by its own clock: one at a time."""
GAP_S = 3.0
"""Longest gap between two readings, seconds, that the edge is told to take for measured time. Devices, edge and test
share one process: where that stands still for a second or two no gap is to come of it."""
TOTALS_DRIVER = {"most_gap_s": GAP_S}
SHARP = {"noise_m": 0, "drop": 0, "ghosts_per_h": 0}


@dataclass(frozen=True)
class Kind:
    """A kind of sensor, and how both sides are set up for it."""

    device: Mapping[str, Any]
    """Its table for the simulator."""
    driver: Mapping[str, Any]
    """Its table for the edge."""
    keeps: Literal["intervals", "totals", "nothing"]
    """What the device still knows of the time in which nobody listened: each interval, the sum, nothing."""
    pace: float = 1.0
    """How much faster than the world it lives."""


def modbus(**device: Any) -> Kind:
    """A counter in registers, which begin at 0 when it is switched on."""
    driver = {"slave": 1, "in": {"register": 0, "width_bits": 32}, "out": {"register": 2, "width_bits": 32}}
    if "uptime_address" in device:
        driver["uptime"] = {"register": device["uptime_address"]}
    fast = {"poll_s": 0.2, "answer_s": 0.9, "baud": 19_200}
    return Kind(
        {"protocol": "modbus", "modbus": {"memory": "ram"} | device},
        {"driver": "modbus"} | driver | fast | TOTALS_DRIVER,
        "totals",
    )


def line_json(*, increments: bool = False, checksum: bool = False, uptime: bool = True) -> Kind:
    """A micro-controller that prints five lines a second."""
    lines = {"increments": increments, "checksum": checksum, "uptime": uptime, "every_s": 0.2}
    counts = "increments" if increments else "totals"
    return Kind(
        {"protocol": "line-json", "line_json": lines},
        {"driver": "line-json", "counts": counts, "checksum": "xor" if checksum else "none"} | TOTALS_DRIVER,
        "nothing" if increments else "totals",
    )


KINDS: Mapping[str, Kind] = {
    "reference": Kind({"interval_s": 1}, {"driver": "reference"}, "intervals"),
    "modbus": modbus(uptime_address=4),
    "totals": line_json(),
    "increments": line_json(increments=True, checksum=True),
    "ld2450": Kind({"protocol": "ld2450", "weaknesses": SHARP}, {"driver": "ld2450"}, "nothing", pace=FAST),
    "ti-people": Kind(
        {"protocol": "ti-people", "weaknesses": SHARP, "mounting": {"height_m": 3, "tilt_deg": 15}},
        {"driver": "ti-people", "mounting": {"height_m": 3, "tilt_deg": 15}},
        "nothing",
        pace=FAST,
    ),
}
"""One of each driver; of line-json one of each way to count."""
OTHERS: Mapping[str, Kind] = {
    "modbus-without-uptime": modbus(),
    "totals-without-uptime": line_json(uptime=False),
    "totals-with-checksum": line_json(checksum=True),
    "increments-without-checksum": line_json(increments=True),
}
"""The same drivers for devices that say less, or more."""


class Simulated:
    """A sensor of the simulation. Use it as a context; everything on it may be called from the test."""

    def __init__(self, name: str, kind: Kind, folder: Path) -> None:
        settings = SimSettings.from_options(
            {"state_dir": folder, "pedestrians": False, "sensor": [{"id": name, **kind.device}]}
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self.passed: Counter[int] = Counter()
        """Everybody who was told to pass, by direction."""
        self._looked_at = self._read_at = self._now = self._free_at = time.monotonic()
        self._sensor = SimulatedSensor(settings.sensor[0], settings, Clock(self._now, time.time(), 1.0))
        self.link = self._sensor.link
        self._coming: deque[int] = deque()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sensor.close()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            with self._lock:
                self._step()

    def _step(self) -> None:
        looked_at, self._looked_at = self._looked_at, time.monotonic()
        if self.kind.pace == 1:
            self._now = self._looked_at
        elif not self._held_up():
            self._now += self.kind.pace * min(self._looked_at - looked_at, LONGEST_STEP_S)
        while self._coming and self._free_at <= self._now:
            self._sensor.cross(self._coming.popleft(), 0, 1, self._now)
            self._free_at = self._now + (APART_S if self._sensor.device.foresight_s else 0.0)
        self._sensor.step(self._now)

    def _held_up(self) -> bool:
        """Whether somebody reads, and is behind: what a pseudo-terminal has no room for would be lost."""
        line = self._sensor.line
        if line.fd is None or line._waiting() < UNREAD:
            self._read_at = self._looked_at
        return self._read_at < self._looked_at < self._read_at + PATIENCE_S

    def passes(self, into: int = 0, out: int = 0) -> None:
        """People cross the line as soon as they can; those who go in come first."""
        with self._lock:
            self._coming += [0] * into + [1] * out
            self.passed += Counter({0: into, 1: out})
            self._step()

    def cut(self) -> None:
        """The device says at once, or closes the interval of, what it has counted."""
        with self._lock:
            self._sensor.device.flush(self._now)
            self._step()

    @property
    def coming(self) -> int:
        """Who has not crossed the line yet."""
        with self._lock:
            return len(self._coming) + self._sensor.waiting - self._sensor.device.waiting

    @property
    def waiting(self) -> int:
        """Who has not passed yet, and who is in nothing that the host has taken."""
        with self._lock:
            return len(self._coming) + self._sensor.waiting

    @property
    def totals(self) -> int:
        """How many the device has in its totals."""
        with self._lock:
            return sum(self._sensor.device.totals.values())

    def unplug(self) -> str:
        """The cable is drawn; the device name the line had."""
        with self._lock:
            name = self._sensor.line.device
            self._sensor.suffer(Fault.UNPLUG, self._now, None)
            return name

    def plug(self) -> str:
        """The cable is put back; the device name the line has now."""
        with self._lock:
            self._sensor.heal(self._now)
            return self._sensor.line.device

    def reboot(self) -> None:
        """The power fails and comes back."""
        with self._lock:
            self._sensor.suffer(Fault.REBOOT, self._now, None)

    def lose(self, share: float) -> None:
        """This share of the bytes does not arrive from now on, in either direction."""
        with self._lock:
            self._sensor.spoil(loss=share)
