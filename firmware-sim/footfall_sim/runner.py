"""Many simulated sensors in one process and one thread: wait for what comes first, then let it happen.

At the end (SIGINT, SIGTERM or the command ``stop``) nobody walks any more, every device closes its open interval, and
the host gets some time to acknowledge what waits, or to read it. What it does not acknowledge stays in the memories and
is sent after the next start, under a new boot number; what a device without a memory was not asked for is lost.
"""

import fcntl
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from footfall_role.logs import facts
from footfall_sim.control import CommandOrder, Control, FaultOrder, Order, OrderError
from footfall_sim.faults import Fault, StuckMode
from footfall_sim.sensor import Clock, SimulatedSensor
from footfall_sim.settings import SimSettings

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 0.25
"""A signal does not end the wait, so it is never long."""


class FolderInUseError(RuntimeError):
    """Another simulator works with the same state folder."""


@dataclass(frozen=True, slots=True)
class Held:
    """The sensors whose hosts have not taken everything at the end: what is `kept` in a memory, what is `lost`."""

    kept: list[str]
    lost: list[str]


class Runner:
    """All sensors of a run. Use it as a context: it ends with memories saved and links removed."""

    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self._asked_to_stop = False
        self._watched: dict[int, SimulatedSensor | socket.socket] = {}
        self._open = ExitStack()
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            opened.callback(os.close, _lock(settings.state_dir))
            self._selector = opened.enter_context(selectors.DefaultSelector())
            clock = Clock.now(settings.speed)
            self.sensors: list[SimulatedSensor] = []
            for one in settings.sensor:
                sensor = SimulatedSensor(one, settings, clock)
                opened.callback(sensor.close)
                self.sensors.append(sensor)
            self._control = Control(settings.control_path, self._obey)
            opened.callback(self._control.close)
            self._open = opened.pop_all()
        self._due = dict.fromkeys(self.sensors, clock.start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, asked_to_stop: Callable[[], bool]) -> Held:
        """Let the city live until `asked_to_stop` or the command ``stop``, then let it end in good order.

        Returns the ids of sensors that still hold what no host has taken.
        """
        for sensor in self.sensors:
            log.info(
                "sensor is there",
                extra=facts(sensor=sensor.id, protocol=sensor.protocol, link=sensor.link, boot=sensor.device.boot),
            )
        while not (asked_to_stop() or self._asked_to_stop):
            self._turn()
        return self._drain()

    def _drain(self) -> Held:
        now = time.monotonic()
        for sensor in self.sensors:
            sensor.shut_down(now)
        deadline = now + self._settings.drain_s
        while any(sensor.waiting for sensor in self.sensors) and time.monotonic() < deadline:
            self._turn()
        held = [sensor for sensor in self.sensors if sensor.waiting]
        return Held(
            [sensor.id for sensor in held if not sensor.device.forgetful],
            [sensor.id for sensor in held if sensor.device.forgetful],
        )

    def _turn(self) -> None:
        """Sleep until something is due or comes in, and deal with it."""
        self._watch()
        pause = min(self._due.values()) - time.monotonic()
        ready = self._selector.select(min(max(pause, 0.0), LONGEST_SLEEP_S))
        called = [key.data for key, _ in ready]
        for caller in called:
            if isinstance(caller, socket.socket):
                self._control.serve(caller)
        now = time.monotonic()
        for sensor in self.sensors:
            if sensor in called or self._due[sensor] <= now:
                sensor.step(now)
                self._due[sensor] = sensor.due(now)

    def _watch(self) -> None:
        """Keep the selector at what is open now: lines come and go with their plugs, callers as they like."""
        wanted: dict[int, SimulatedSensor | socket.socket] = {each.fileno(): each for each in self._control.sockets()}
        wanted |= {sensor.line.fd: sensor for sensor in self.sensors if sensor.line.fd is not None}
        if wanted == self._watched:
            return
        for fd in self._watched:
            self._selector.unregister(fd)
        for fd, owner in wanted.items():
            self._selector.register(fd, selectors.EVENT_READ, owner)
        self._watched = wanted

    # Orders from outside.

    def _obey(self, order: Order) -> dict[str, Any]:
        now = time.monotonic()
        sensors = self._meant(order)
        if isinstance(order, FaultOrder):
            seeing = [sensor.id for sensor in sensors if sensor.device.foresight_s]
            if order.fault == "stuck" and order.mode == "repeat" and seeing:
                raise OrderError(f"{seeing[0]} is a radar, which cannot count: it is stuck in mode nothing only")
            log.info("fault by order", extra=facts(fault=order.fault, sensors=",".join(one.id for one in sensors)))
            for sensor in sensors:
                _inflict(order, sensor, now)
        else:
            self._command(order, sensors, now)
        for sensor in sensors:
            sensor.step(now)
            self._due[sensor] = sensor.due(now)
        return {"sensors": [sensor.status(now) for sensor in sensors]}

    def _meant(self, order: Order) -> list[SimulatedSensor]:
        if order.sensor is None:
            return self.sensors
        meant = [sensor for sensor in self.sensors if sensor.id == order.sensor]
        if not meant:
            known = ", ".join(sensor.id for sensor in self.sensors)
            raise OrderError(f"no sensor {order.sensor!r} here; there are {known}")
        return meant

    def _command(self, order: CommandOrder, sensors: list[SimulatedSensor], now: float) -> None:
        match order.command:
            case "stop_pedestrians":
                for sensor in sensors:
                    sensor.stop_walking(now)
            case "start_pedestrians":
                for sensor in sensors:
                    sensor.start_walking(now)
            case "passage":
                for sensor in sensors:
                    if order.direction not in sensor.device.directions:
                        raise OrderError(
                            f"{sensor.id} speaks {sensor.protocol}, which knows the directions in (0) and out (1) only"
                        )
                for sensor in sensors:
                    sensor.cross(order.direction, order.class_, order.count, now)
            case "stop":
                self._asked_to_stop = True
            case "status":
                pass  # every answer carries it


def _inflict(order: FaultOrder, sensor: SimulatedSensor, now: float) -> None:
    match order.fault:
        case "clear":
            sensor.heal(now)
        case "replug":
            sensor.unplugged.clear()
        case "pause":
            sensor.pause_line(order.seconds or 0.0)
        case "noise":
            sensor.spoil(noise_per_s=order.value)
        case "flip":
            sensor.spoil(flip=order.value)
        case "loss":
            sensor.spoil(loss=order.value)
        case _:
            sensor.suffer(Fault(order.fault), now, order.seconds, StuckMode(order.mode))


def _lock(folder: Path) -> int:
    """Hold the state folder for this process; the kernel lets go of it however the process ends."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise FolderInUseError(f"another simulator works in {folder}; give this one a state_dir of its own") from None
    return fd
