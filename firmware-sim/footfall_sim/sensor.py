"""One simulated counter: people, truth, firmware, wire and line, joined and moved on together.

people ──passages──▶ log of the truth ──▶ firmware ──frames──▶ wire (faults) ──▶ pseudo-terminal ──▶ host
                                             ◀──────────acks───────────────────────
"""

import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from footfall_sim.faults import Ailment, Fault, Schedule, StuckMode, Wire
from footfall_sim.firmware import Design, Firmware
from footfall_sim.line import PtyLine
from footfall_sim.memory import FileStore, UnusableMemoryError
from footfall_sim.pedestrians import Pedestrians, Place, Stream
from footfall_sim.settings import SensorSettings, SimSettings
from footfall_sim.truth import TruthLog

LOOK_S = 0.5
"""A sensor without anything to do is looked after twice a second: chance, stale bytes, the end of an ailment."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The simulation's two clocks at its start: monotonic seconds and UTC seconds; and how fast the people's day goes.

    The devices live in real time. The people's time starts with it and passes `speed` times as fast.
    """

    start: float
    start_utc: float
    speed: float

    @classmethod
    def now(cls, speed: float) -> "Clock":
        """Start now."""
        return cls(time.monotonic(), time.time(), speed)

    def people_s(self, now: float) -> float:
        """The people's time, UTC seconds, at a monotonic moment."""
        return self.start_utc + (now - self.start) * self.speed

    def moment(self, people_s: float) -> float:
        """The inverse of `people_s`."""
        return self.start + (people_s - self.start_utc) / self.speed


class SimulatedSensor:
    """A sensor of the simulation. Every `now` is on `time.monotonic`, in seconds."""

    def __init__(self, settings: SensorSettings, common: SimSettings, clock: Clock) -> None:
        self.id = settings.id
        self.walking = common.pedestrians
        self._clock = clock
        self._settings = settings
        self._faults = settings.fault or common.fault
        self._zone = ZoneInfo(common.zone)
        place = Place(settings.id, settings.daily_mean, settings.kind, settings.in_share)
        people = Pedestrians(
            place,
            seed=common.seed,
            zone=self._zone,
            floor_per_s=common.at_least_per_min / 60 / clock.speed,
            holidays=common.holidays,
        )
        self._stream = Stream(people, clock.people_s(clock.start))
        dice = random.Random(f"{common.seed} {settings.id}")  # noqa: S311  # reproducible on purpose
        self._schedule = Schedule(dice, self._faults.per_h(), clock.start)
        self._wire, self._wire_back = Wire(dice), Wire(dice)
        self._listened_at = clock.start
        self._spoil()
        self.silence = Ailment()
        self.stuck = Ailment()
        self.unplugged = Ailment()
        self._phantom_at = math.inf
        self._design = Design(
            device=settings.device,
            interval_ms=settings.interval_s * 1000,
            ring=settings.ring,
            drift_ppm=settings.drift_ppm,
            baud=settings.baud,
        )
        self._store = FileStore(common.memory_of(settings))
        self.line = PtyLine(common.link_of(settings), baud=settings.baud, disturb=self._wire.pass_on)
        # The memory is read before the log is touched: a memory that cannot be used leaves everything as it was.
        self.firmware = self._power_on(clock.start)
        self.truth = TruthLog(common.truth_of(settings))
        self._log_boot(clock.start)
        self.line.plug(clock.start)

    @property
    def link(self) -> Path:
        """The stable path of the line."""
        return self.line.link

    # The loop.

    def step(self, now: float) -> None:
        """Let everything happen that should have happened by `now`."""
        self._ail(now)
        self._walk(now)
        received = self._wire_back.pass_on(self.line.receive(), now - self._listened_at)
        self._listened_at = now
        self.firmware.feed(received, now * 1000)
        self._work(now)
        self.line.pump(now)

    def due(self, now: float) -> float:
        """When `step` has something to do again, bytes from the host apart."""
        dues = [now + LOOK_S, self.firmware.due_ms() / 1000, self.line.due(now), self._phantom_at]
        if self.walking:
            dues.append(self._clock.moment(self._stream.next_s()) + 0.001)
        return min(dues)

    def _work(self, now: float) -> None:
        """Let the firmware act; note what it closed once that is in its memory."""
        sentence = self.firmware.tick(now * 1000)
        if not self.silence.on(now):
            self.line.send(sentence)
        closed = self.firmware.take_closed()
        if closed:
            self.truth.closed(closed, self._utc(now))

    def _walk(self, now: float) -> None:
        passages = self._stream.take(self._clock.people_s(now)) if self.walking else []
        self._see([(self._clock.moment(people_s), d, c) for people_s, d, c in passages], now)

    def _see(self, passages: list[tuple[float, int, int]], now: float) -> None:
        """Passages at monotonic moments: first into the log of the truth, then before the device's eyes."""
        stuck = self.stuck.on(now)
        # The difference of the clocks is taken afresh: the computer's clock may have been set since the start.
        self.truth.passages([(self._utc(at), d, c) for at, d, c in passages], remark="missed" if stuck else "")
        if stuck:
            self._imagine(now)
            return
        for at, direction, class_ in passages:
            self.firmware.passage(direction, class_, at * 1000)

    def _imagine(self, now: float) -> None:
        while self._phantom_at <= now:
            self.truth.passages([(self._utc(self._phantom_at), 0, 0)], remark="phantom")
            self.firmware.passage(0, 0, self._phantom_at * 1000)
            self._phantom_at += 1.0

    def _ail(self, now: float) -> None:
        for fault in self._schedule.due(now):
            self.suffer(fault, now, self._faults.seconds(fault))
        if self.line.fd is None and not self.unplugged.on(now):
            self.line.plug(now)
        if not self.stuck.on(now):
            self._phantom_at = math.inf
        self.firmware.lens_suspected = self.stuck.on(now)
        self.firmware.temperature, self.firmware.supply_mv = _weather(self._utc(now))

    @staticmethod
    def _utc(moment: float) -> float:
        """UTC seconds of a monotonic moment, by the computer's clock as it is now."""
        return time.time() - (time.monotonic() - moment)

    # What is done to it from outside.

    def suffer(self, fault: Fault, now: float, seconds: float | None, mode: StuckMode = StuckMode.NOTHING) -> None:
        """Let a trouble begin, for `seconds` or (None) until it is cleared."""
        self.truth.remark(self._utc(now), fault=fault.value, seconds=seconds)
        match fault:
            case Fault.REBOOT:
                self._reboot(now)
            case Fault.SILENCE:
                self.silence.start(now, seconds)
            case Fault.STUCK:
                self.stuck.start(now, seconds)
                self._phantom_at = now + 1 if mode is StuckMode.REPEAT else math.inf
            case Fault.UNPLUG:
                self.unplugged.start(now, seconds)
                self.line.unplug()

    def spoil(self, *, noise_per_s: float | None = None, flip: float | None = None, loss: float | None = None) -> None:
        """Set how much the line spoils, in either direction; None leaves it as it is."""
        for wire in (self._wire, self._wire_back):
            wire.noise_per_s = wire.noise_per_s if noise_per_s is None else noise_per_s
            wire.flip = wire.flip if flip is None else flip
            wire.loss = wire.loss if loss is None else loss

    def pause_line(self, seconds: float) -> None:
        """Let the next frame stop in its middle for `seconds`, as behind an adapter that does something else."""
        self.line.pause(seconds)

    def heal(self, now: float) -> None:
        """End every trouble that lasts, and make the wire clean."""
        for ailment in (self.silence, self.stuck, self.unplugged):
            ailment.clear()
        self.spoil(noise_per_s=0, flip=0, loss=0)
        self.line.go_on()
        self.line.plug(now)

    def cross(self, direction: int, class_: int, count: int, now: float) -> None:
        """Let somebody cross the line now, by order."""
        self._walk(now)
        self._see([(now, direction, class_)] * count, now)

    def stop_walking(self, now: float) -> None:
        """Let nobody come any more, and report those who came at once as a short last interval."""
        self._walk(now)
        self.walking = False
        self.firmware.flush(now * 1000)
        self._work(now)

    def start_walking(self, now: float) -> None:
        """Let people come again; those of the meantime stayed at home."""
        if not self.walking:
            self._stream.take(self._clock.people_s(now))
            self.walking = True

    def shut_down(self, now: float) -> None:
        """Stop counting in good order; what waits can still be acknowledged."""
        self._walk(now)
        self.walking = False
        self.firmware.shutdown(now * 1000)
        self._work(now)

    def close(self) -> None:
        """Switch off: save the memory, leave the line."""
        self.firmware.save()
        self.truth.close()
        self.line.unplug()

    def status(self, now: float) -> dict[str, object]:
        """How it is, for people and tests."""
        totals: dict[str, int] = {}
        for (direction, _), total in self.firmware.totals.items():
            totals[str(direction)] = totals.get(str(direction), 0) + total
        ailments = {"silence": self.silence, "stuck": self.stuck, "unplug": self.unplugged}
        return {
            "sensor": self.id,
            "link": str(self.link),
            "port": self.line.device,
            "device": self.firmware.device,
            "boot": self.firmware.boot,
            "waiting": self.firmware.waiting,
            "closed_totals": dict(sorted(totals.items())),
            "walking": self.walking,
            "faults": [name for name, ailment in ailments.items() if ailment.on(now)],
            "overrun_bytes": self.line.overrun_bytes,
            "bad_frames": self.firmware.bad_frames,
        }

    def _spoil(self) -> None:
        self.spoil(noise_per_s=self._faults.noise_per_s, flip=self._faults.flip, loss=self._faults.loss)

    def _reboot(self, now: float) -> None:
        """The power fails and comes back: whatever is not in the memory is gone."""
        self.line.discard()
        self.firmware = self._power_on(now)
        self._log_boot(now)

    def _power_on(self, now: float) -> Firmware:
        try:
            return Firmware(self._store, now * 1000, self._design)
        except UnusableMemoryError as error:
            raise UnusableMemoryError(f"{self._store.path}: {error}") from error

    def _log_boot(self, now: float) -> None:
        self.truth.boot(self.firmware.device, self.firmware.boot, self.firmware.totals, self._utc(now))


def _weather(utc_s: float) -> tuple[int, int]:
    """Temperature in tenths of a degree and supply in millivolts: warm in July and in the afternoon."""
    year, day = utc_s / 31_556_952, utc_s / 86_400
    warmth = 100 - 90 * math.cos(2 * math.pi * (year - 0.05)) - 40 * math.cos(2 * math.pi * (day - 0.1))
    return round(warmth), 5000 + round(20 * math.sin(2 * math.pi * day * 24))
