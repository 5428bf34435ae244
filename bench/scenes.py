"""People before simulated sensors, counted by the drivers: bytes, framer and session as on the box, in virtual time.

A scene has true crossings. `play` lets a simulated sensor show them, hands its bytes to a driver's framer and session
with moments of a virtual clock, and says what was booked. So hours pass in seconds, and accuracy is a figure.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from footfall_edge.clock import Moment
from footfall_edge.drivers import Driver, Session, Step
from footfall_edge.ld2450 import Ld2450
from footfall_edge.line_json import LineJson
from footfall_edge.modbus import ModbusCounter as ModbusDriver
from footfall_edge.reference import ReferenceCounter
from footfall_edge.ti_people import TiPeople
from footfall_sim.device import Device, ReferenceDevice
from footfall_sim.firmware import Design
from footfall_sim.line_json import LineJsonCounter, LineJsonDesign
from footfall_sim.memory import RamStore
from footfall_sim.modbus import ModbusCounter, ModbusDesign
from footfall_sim.radar import Radar, Weaknesses
from footfall_sim.scene import Crossing, Scene
from footfall_sim.tally import TallyDesign
from footfall_sim.view import IWR6843, LD2450, Eyes

START_MS: Final = 1_764_000_000_000
"""UTC unix milliseconds at which scenes begin: a whole minute."""
STEP_S: Final = 0.05
SLOT_S: Final = 10
AFTER_S: Final = 30.0
"""Seconds for which is listened after a scene's end."""
DRIVERS: Final = ("reference", "modbus", "line-json", "ld2450", "ti-people")


class Source(Protocol):
    """A simulated sensor in front of a scene."""

    def advance(self, now_s: float, from_host: bytes) -> bytes:
        """What it says up to `now_s`, seconds since the scene's beginning."""


@dataclass
class Outcome:
    """What a driver made of a scene."""

    passages: Counter[int] = field(default_factory=Counter)
    """By direction."""
    by_slot: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By (number of the slot since the beginning, direction)."""
    measured_ms: int = 0
    unplaced: int = 0
    """Passages of which only a longer stretch of time is known."""
    frames: int = 0
    bad_frames: int = 0
    skipped_bytes: int = 0


class _Shows:
    def __init__(self, radar: Radar) -> None:
        self._radar = radar

    def advance(self, now_s: float, from_host: bytes) -> bytes:  # noqa: ARG002  # a radar listens to nobody
        return self._radar.advance(now_s)


class _Counts:
    """A device that counts whoever crosses."""

    def __init__(self, device: Device, crossings: Sequence[Crossing]) -> None:
        self._device = device
        self._rest = iter(crossings)
        self._next = next(self._rest, None)

    def advance(self, now_s: float, from_host: bytes) -> bytes:
        while self._next is not None and self._next.at_s <= now_s:
            self._device.passage(self._next.direction, self._next.class_, self._next.at_s)
            self._next = next(self._rest, None)
        self._device.feed(from_host, now_s)
        said = self._device.tick(now_s)
        self._device.delivered(arrived=True)
        self._device.take_closed()
        return said


def sensor(name: str, scene: Scene, *, seed: int, weaknesses: Callable[[Eyes], Eyes] = lambda eyes: eyes) -> Source:
    """A sensor that the driver `name` reads, in front of `scene`."""
    match name:
        case "ld2450":
            return _Shows(Radar(name, scene.presence(), seed=seed, weaknesses=Weaknesses(weaknesses(LD2450))))
        case "ti-people":
            return _Shows(Radar(name, scene.presence(), seed=seed, weaknesses=Weaknesses(weaknesses(IWR6843))))
        case "modbus":
            return _Counts(ModbusCounter(RamStore(), 0.0, ModbusDesign(), TallyDesign(1)), scene.crossings())
        case "line-json":
            return _Counts(LineJsonCounter(RamStore(), 0.0, LineJsonDesign(), TallyDesign(1)), scene.crossings())
        case "reference":
            return _Counts(ReferenceDevice(RamStore(), 0.0, Design(device=1)), scene.crossings())
    raise ValueError(f"no sensor {name!r}; there are {', '.join(DRIVERS)}")


def driver(name: str) -> Driver:
    """The driver `name`, set up for the sensor of that name."""
    match name:
        case "ld2450":
            return Ld2450()
        case "ti-people":
            return TiPeople()
        case "modbus":
            registers = {way: {"register": at, "width_bits": 32} for way, at in (("in", 0), ("out", 2))}
            return ModbusDriver.model_validate({"slave": 1, **registers})
        case "line-json":
            return LineJson()
        case "reference":
            return ReferenceCounter()
    raise ValueError(f"no driver {name!r}; there are {', '.join(DRIVERS)}")


def play(
    source: Source, make: Driver, seconds: float, *, disturb: Callable[[bytes], bytes] = lambda data: data
) -> Outcome:
    """What `make` counts of `source` in `seconds`; `disturb` is what the wire does to its bytes."""
    outcome = Outcome()
    framer, session = make.framer(), make.session([], slot_s=SLOT_S)
    said = b""

    def after(step: Step[Session]) -> Session:
        nonlocal said
        said += step.reply + step.acknowledge
        for count in step.booking.counts if step.booking else ():
            outcome.measured_ms += count.measured_ms
            slot, whole = divmod(count.start_ms - START_MS, SLOT_S * 1000)
            within = whole + count.end_ms - count.start_ms <= SLOT_S * 1000 + 100
            for direction, _, number in count.passages:
                outcome.passages[direction] += number
                if within:
                    outcome.by_slot[slot, direction] += number
                else:
                    outcome.unplaced += number
        return step.session

    for now_s in _moments(seconds + AFTER_S):
        moment = Moment(START_MS + round(now_s * 1000), now_s)
        if not now_s:
            session = after(session.opened(moment))
        host, said = said, b""
        for frame in framer.feed(disturb(source.advance(now_s, host))):
            session = after(session.heard(frame, moment))
        session = after(session.tick(moment))
    after(session.closed(moment))
    outcome.frames, outcome.bad_frames = framer.counts.frames, framer.counts.bad_frames
    outcome.skipped_bytes = framer.counts.skipped_bytes
    return outcome


def truth(scene: Scene) -> Counter[int]:
    """True crossings by direction."""
    return Counter(crossing.direction for crossing in scene.crossings())


def truth_by_slot(scene: Scene) -> Counter[tuple[int, int]]:
    """True crossings by (number of the slot, direction)."""
    return Counter((int(crossing.at_s // SLOT_S), crossing.direction) for crossing in scene.crossings())


def noisy(eyes: Eyes) -> Eyes:
    """Eyes whose every position is up to 10 cm wrong, and that lose a frame in a hundred."""
    return replace(eyes, noise_m=0.1, noise_limit_m=0.1, drop=0.01)


def _moments(seconds: float) -> Iterator[float]:
    for number in range(int(seconds / STEP_S) + 1):
        yield number * STEP_S
