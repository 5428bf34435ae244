"""One simulated counter: people, truth, device, wire and line, joined and moved on together.

people ──passages──▶ log of the truth ──▶ device ──frames──▶ wire (faults) ──▶ pseudo-terminal ──▶ host
                                             ◀────acks, requests────────────────
"""

import heapq
import itertools
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from footfall_sim.device import Device
from footfall_sim.devices import DELIMITERS, power_on
from footfall_sim.faults import Ailment, Fault, Schedule, StuckMode, Wire
from footfall_sim.line import PtyLine
from footfall_sim.memory import FileStore, UnusableMemoryError
from footfall_sim.pedestrians import Pedestrians, Place, Stream
from footfall_sim.settings import SensorProtocol, SensorSettings, SimSettings
from footfall_sim.truth import TruthLog

LOOK_S = 0.5
"""A sensor without anything to do is looked after twice a second: chance, stale bytes, the end of an ailment."""
ABREAST, BEHIND_S = 3, 1.0
"""People who are ordered at once cross so many abreast, and the next ones so many seconds later."""
READ_S = 0.05
"""How soon to look again whether the host has read what was sent."""


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


class _Crossing(NamedTuple):
    """Somebody who crosses the line at a monotonic moment, or a phantom that a stuck counter imagines."""

    at: float
    direction: int
    class_: int
    phantom: bool = False


class SimulatedSensor:
    """A sensor of the simulation. Every `now` is on `time.monotonic`, in seconds."""

    def __init__(self, settings: SensorSettings, common: SimSettings, clock: Clock) -> None:
        self.id = settings.id
        self._clock = clock
        self._settings = settings
        self._faults = settings.fault or common.fault
        self._seed = common.seed
        self._zone = ZoneInfo(common.zone)
        place = Place(settings.id, settings.daily_mean, settings.kind, settings.in_share)
        people = Pedestrians(
            place,
            seed=common.seed,
            zone=self._zone,
            floor_per_s=common.at_least_per_min / 60 / clock.speed,
            holidays=common.holidays,
        )
        dice = random.Random(f"{common.seed} {settings.id}")  # noqa: S311  # reproducible on purpose
        self._schedule = Schedule(dice, self._faults.per_h(), clock.start)
        self._wire, self._wire_back = Wire(dice), Wire(dice)
        self._listened_at = clock.start
        self._spoil()
        self.silence = Ailment()
        self.stuck = Ailment()
        self.unplugged = Ailment()
        self._phantom_at = math.inf
        self._coming: list[_Crossing] = []
        # Whether bytes are on the line that the host may not have read, and what harm was done to others before them.
        self._speaking = False
        self._harmed = (0, 0, 0)
        self._store = FileStore(common.memory_of(settings))
        self.line = PtyLine(
            common.link_of(settings),
            baud=settings.line_baud,
            disturb=self._wire.pass_on,
            delimiter=DELIMITERS[settings.protocol],
        )
        # The memory is read before the log is touched: a memory that cannot be used leaves everything as it was.
        self.device = self._power_on(clock.start)
        self._stream = Stream(people, clock.people_s(clock.start + self.device.foresight_s))
        # Where counting begins with the first total that a host sees, nobody passes before it has seen one.
        waits = common.wait_for_host and self.device.boot == 1 and not self.device.acknowledged
        self._unheard = waits
        self.walking = common.pedestrians and not waits
        self._to_walk = common.pedestrians
        self.truth = TruthLog(common.truth_of(settings))
        self._log_boot(clock.start)
        self.line.plug(clock.start)

    @property
    def link(self) -> Path:
        """The stable path of the line."""
        return self.line.link

    @property
    def protocol(self) -> SensorProtocol:
        """What it speaks."""
        return self._settings.protocol

    @property
    def waiting(self) -> int:
        """What the host has not taken yet, people who are about to cross the line included."""
        return self.device.waiting + len(self._coming)

    # The loop.

    def step(self, now: float) -> None:
        """Let everything happen that should have happened by `now`."""
        self._listen(now)
        self._ail(now)
        self._walk(now)
        received = self._wire_back.pass_on(self.line.receive(), now - self._listened_at)
        self._listened_at = now
        self.device.feed(received, now)
        self._work(now)
        self.line.pump(now)

    def due(self, now: float) -> float:
        """When `step` has something to do again, bytes from the host apart."""
        dues = [now + LOOK_S, self.device.due(), self.line.due(now), self._phantom_at]
        if self.walking:
            dues.append(self._clock.moment(self._stream.next_s()) - self.device.foresight_s + 0.001)
        if self._coming:
            dues.append(self._coming[0].at)
        if self._speaking:
            dues.append(now + READ_S)
        return min(dues)

    def _work(self, now: float) -> None:
        """Let the device act; note what it settled once that is in its memory."""
        sentence = self.device.tick(now)
        if self.silence.on(now) or self.line.fd is None:
            if sentence:
                self.device.delivered(arrived=False)
        elif sentence:
            if not self._speaking:
                self._harmed = self._harm()
            self.line.send(sentence)
            self._speaking = not self.device.acknowledged
        self._note(now)

    def _listen(self, now: float) -> None:
        """Tell a device whose host does not acknowledge what became of its bytes."""
        if not self._speaking:
            return
        gone = self.line.read()
        failed = self.line.fd is None or self._harm() != self._harmed
        if failed or gone:
            self._speaking = False
            self.device.delivered(arrived=not failed)
            self._note(now)
            if self._unheard and not failed:
                self._unheard = False
                if self._to_walk:
                    self.start_walking(now)

    def _harm(self) -> tuple[int, int, int]:
        """What has been done to bytes on the line so far: run over, spoiled, thrown away by the host."""
        self.line.look()
        return self.line.overrun_bytes, self.line.spoiled_parts, self.line.flushes

    def _note(self, now: float) -> None:
        settled = self.device.take_closed()
        if settled:
            self.truth.closed(settled, self._utc(now))

    def _walk(self, now: float) -> None:
        ahead = now + self.device.foresight_s
        passages = self._stream.take(self._clock.people_s(ahead)) if self.walking else []
        self._see([(self._clock.moment(people_s), d, c) for people_s, d, c in passages], now)

    def _see(self, passages: list[tuple[float, int, int]], now: float) -> None:
        """Passages at monotonic moments, which may be to come: each is lived through at its moment."""
        # What rounding puts a nanosecond into the future has happened for a device without foresight.
        latest = math.inf if self.device.foresight_s else now
        for at, direction, class_ in passages:
            heapq.heappush(self._coming, _Crossing(min(at, latest), direction, class_))
            if self.device.foresight_s:
                self.device.passage(direction, class_, at)
        while self._phantom_at <= now:
            heapq.heappush(self._coming, _Crossing(self._phantom_at, 0, 0, phantom=True))
            self._phantom_at += 1.0
        self._live(now)

    def _live(self, now: float) -> None:
        """Let happen what is due: first into the log of the truth, then before the eyes of a device without foresight.

        A radar sees the people by itself, or does not: `surroundings` tells it that it is blind.
        """
        stuck = self.stuck.on(now)
        happened = []
        while self._coming and self._coming[0].at <= now:
            happened.append(heapq.heappop(self._coming))
        for phantom, group in itertools.groupby(happened, key=lambda crossing: crossing.phantom):
            remark = "phantom" if phantom else "missed" if stuck else ""
            crossings = list(group)
            # The difference of the clocks is taken afresh: the computer's clock may have been set since the start.
            self.truth.passages([(self._utc(at), d, c) for at, d, c, _ in crossings], remark=remark)
            if remark != "missed" and not self.device.foresight_s:
                for at, direction, class_, _ in crossings:
                    self.device.passage(direction, class_, at)

    def _ail(self, now: float) -> None:
        for fault in self._schedule.due(now):
            self.suffer(fault, now, self._faults.seconds(fault))
        if self.line.fd is None and not self.unplugged.on(now):
            self.line.plug(now)
        if not self.stuck.on(now):
            self._phantom_at = math.inf
        temperature, supply_mv = _weather(self._utc(now))
        self.device.surroundings(lens_suspected=self.stuck.on(now), temperature=temperature, supply_mv=supply_mv)

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
        """Let somebody cross the line now, by order; a device that sees people come needs to see them come first."""
        self._walk(now)
        ahead = self.device.foresight_s
        # Where people are seen to walk they come a few at a time.
        moments = [now + ahead + (number // ABREAST * BEHIND_S if ahead else 0.0) for number in range(count)]
        self._see([(at, direction, class_) for at in moments], now)

    def stop_walking(self, now: float) -> None:
        """Let nobody come any more, and report those who came at once as a short last interval."""
        self._walk(now)
        self.walking = self._to_walk = False
        self.device.flush(now)
        self._work(now)

    def start_walking(self, now: float) -> None:
        """Let people come again; those of the meantime stayed at home."""
        if not self.walking:
            self._stream.take(self._clock.people_s(now + self.device.foresight_s))
            self.walking = True

    def shut_down(self, now: float) -> None:
        """Stop counting in good order; what waits can still be acknowledged."""
        self._walk(now)
        self.walking = False
        self._phantom_at = math.inf
        self._coming.clear()
        self.device.shutdown(now)
        self._work(now)

    def close(self) -> None:
        """Switch off: save the memory, leave the line."""
        self.device.save()
        if self.device.forgetful:
            self.truth.off(self.device.device, self._utc(time.monotonic()))
        self.truth.close()
        self.line.unplug()

    def status(self, now: float) -> dict[str, object]:
        """How it is, for people and tests."""
        totals: dict[str, int] = {}
        for (direction, _), total in self.device.totals.items():
            totals[str(direction)] = totals.get(str(direction), 0) + total
        ailments = {"silence": self.silence, "stuck": self.stuck, "unplug": self.unplugged}
        return {
            "sensor": self.id,
            "protocol": self.protocol.value,
            "link": str(self.link),
            "port": self.line.device,
            "device": self.device.device,
            "boot": self.device.boot,
            "waiting": self.waiting,
            "closed_totals": dict(sorted(totals.items())),
            "walking": self.walking,
            "faults": [name for name, ailment in ailments.items() if ailment.on(now)],
            "overrun_bytes": self.line.overrun_bytes,
            "bad_frames": self.device.bad_frames,
        }

    def _spoil(self) -> None:
        self.spoil(noise_per_s=self._faults.noise_per_s, flip=self._faults.flip, loss=self._faults.loss)

    def _reboot(self, now: float) -> None:
        """The power fails and comes back: whatever is not in the memory is gone."""
        self._listen(now)
        cut_short = self.line.discard()
        if self._speaking:
            self._speaking = False
            # What has left the device whole is still there for the host to read.
            self.device.delivered(arrived=not cut_short)
            self._note(now)
        self.device = self._power_on(now, self.device)
        self._log_boot(now)

    def _power_on(self, now: float, before: Device | None = None) -> Device:
        try:
            return power_on(self._settings, self._store, now, seed=self._seed, before=before)
        except UnusableMemoryError as error:
            raise UnusableMemoryError(f"{self._store.path}: {error}") from error

    def _log_boot(self, now: float) -> None:
        self.truth.boot(self.device.device, self.device.boot, self.device.totals, self._utc(now))


def _weather(utc_s: float) -> tuple[int, int]:
    """Temperature in tenths of a degree and supply in millivolts: warm in July and in the afternoon."""
    year, day = utc_s / 31_556_952, utc_s / 86_400
    warmth = 100 - 90 * math.cos(2 * math.pi * (year - 0.05)) - 40 * math.cos(2 * math.pi * (day - 0.1))
    return round(warmth), 5000 + round(20 * math.sin(2 * math.pi * day * 24))
