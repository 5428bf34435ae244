"""One simulated sensor on a real pseudo-terminal beside a serial port, moved on by a clock that is not the wall's."""

import time
from pathlib import Path
from typing import Any, Self

import serial

from footfall_sim.line import SHOWN_MAX
from footfall_sim.sensor import Clock, SimulatedSensor
from footfall_sim.settings import SimSettings
from footfall_sim.truth import Truth, read_truth
from footfall_testing.waiting import wait_until


class Bench:
    """A sensor with people by order only, or with at least so many per minute. `turn` lets time pass."""

    def __init__(self, folder: Path, *, at_least_per_min: float = 0, **sensor: Any) -> None:
        self.settings = SimSettings.from_options(
            {
                "state_dir": folder,
                "pedestrians": at_least_per_min > 0,
                "at_least_per_min": at_least_per_min,
                "sensor": [{"id": "a", **sensor}],
            }
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.now = time.monotonic()
        self.sensor = SimulatedSensor(self.settings.sensor[0], self.settings, Clock(self.now, time.time(), 1.0))
        self.port = serial.Serial(str(self.sensor.link), timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def turn(self, seconds: float = 0.1) -> None:
        """Let so much time pass, and the sensor do what is due. What it said has arrived then.

        The kernel takes real time to pass it on; to the sensor bytes that have not arrived look as if they were read.
        """
        self.now += seconds
        self.sensor.step(self.now)
        wait_until(self._settled, what="the kernel to pass the bytes on", every=0.001)

    def _settled(self) -> bool:
        line = self.sensor.line
        return line.fd is None or line._waiting() == min(line._expected, SHOWN_MAX)

    def ask(self, request: bytes, length: int) -> bytes:
        """Send a request and read so many bytes of the answer."""
        self.port.write(request)
        wait_until(self.heard, what="the request to arrive")
        self.turn()
        answer: bytes = self.port.read(length)
        self.turn()
        return answer

    def heard(self) -> bool:
        """The device looks at its line without time passing, until there is something for it to do."""
        self.sensor.step(self.now)
        return self.sensor.device.due() < float("inf")

    def line(self) -> bytes:
        """The line the device says next, read when its time has come."""
        self.turn(max(0.0, self.sensor.device.due() - self.now))
        self.turn(0.05)
        said: bytes = self.port.readline()
        self.turn(0.05)
        return said

    def cross(self, *directions: int) -> None:
        """People cross the line."""
        for direction in directions:
            self.sensor.cross(direction, 0, 1, self.now)

    @property
    def truth(self) -> Truth:
        """What the log of the truth says."""
        return read_truth(self.settings.truth_of(self.settings.sensor[0]))

    def lose_power(self) -> None:
        """As SIGKILL: nothing is saved, nothing is said; the descriptors are closed, as the kernel would."""
        self.port.close()
        self.sensor.line.unplug()
        self.sensor.truth.close()

    def end(self) -> None:
        """Switch off in good order; a second time does nothing."""
        if self.port.is_open:
            self.port.close()
            self.sensor.close()
