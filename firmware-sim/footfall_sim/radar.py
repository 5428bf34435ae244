"""A radar that sends: people walk, its eyes see some of them, bytes come out. No clock and no line: time is given.

walkers ──Presence──▶ people ──View──▶ sights ──Slots, Tracker──▶ slots, tracks ──encoder──▶ frames

`Radar` is the sensor in front of any scene. `RadarDevice` is a sensor at a place where the people of a stream of
passages walk: it takes the passages some seconds in advance, lets each person come, and tells each crossing at the
moment when it happens, so that the log of the truth can be written.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from footfall_sim import ld2450, ti_people
from footfall_sim.scene import LOOKAHEAD_S, Approaching, Crossing, Line, Manners, PassageSource, Presence
from footfall_sim.view import IWR6843, LD2450, Eyes, Sight, Slots, Tracker, Tracking, View

LD2450_NAME, TI_PEOPLE_NAME = "ld2450", "ti-people"
MAKES = (LD2450_NAME, TI_PEOPLE_NAME)
"""The sensors there are."""

_ABREAST, _BEHIND_S = 3, 1.0  # how those walk who are sent together

RESTART_S = 1.0
"""How long a sensor is silent after its power failed."""
LEAD_S = 6.0
"""Somebody who is sent to the line by order gets there after so many seconds."""


@dataclass(frozen=True, slots=True)
class Mounting:
    """How a sensor hangs: metres above the ground, degrees by which it looks downwards.

    An HLK-LD2450 is mounted level. The default height is that of the middle of a body, where distances are those on
    the ground.
    """

    height_m: float = ld2450.BODY_CENTRE_M
    tilt_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.height_m <= 20 and -90 <= self.tilt_deg <= 90):
            raise ValueError(
                f"a sensor hangs 0 to 20 m high and looks -90 to 90 degrees down, not {self.height_m} m and "
                f"{self.tilt_deg} degrees"
            )


@dataclass(frozen=True, slots=True)
class Weaknesses:
    """What is bad about a sensor. None stands for what its make is known for."""

    eyes: Eyes | None = None
    shuffle: float = 0.05
    """HLK-LD2450: probability for a frame that its targets change their slots."""
    tracking: Tracking = field(default_factory=Tracking)
    """TI: how its tracker follows people."""


class _Make(Protocol):
    """What is peculiar to a make."""

    targets: int
    """Targets in the last frame."""

    def frame(self, seen: list[Sight], elapsed: float) -> bytes:
        """The next frame."""

    def gap_s(self) -> float:
        """Seconds until the frame after it."""

    def restart(self) -> None:
        """The power failed."""


class Radar:
    """A sensor in front of a scene. Every `now` is in seconds on one clock, the scene's, and never goes back."""

    def __init__(
        self,
        make: str,
        presence: Presence,
        mounting: Mounting | None = None,
        *,
        seed: int | str = 1,
        weaknesses: Weaknesses | None = None,
        profile: ti_people.Profile | None = None,
        start_s: float = 0.0,
    ) -> None:
        weaknesses, mounting = weaknesses or Weaknesses(), mounting or Mounting()
        dice = random.Random(f"{seed} sensor")  # noqa: S311  # reproducible on purpose
        self._make: _Make
        if make == LD2450_NAME:
            if mounting.tilt_deg:
                raise ValueError(f"an HLK-LD2450 is mounted level, not tilted by {mounting.tilt_deg} degrees")
            eyes = weaknesses.eyes or LD2450
            if eyes.most > ld2450.SLOTS:
                raise ValueError(f"an HLK-LD2450 has {ld2450.SLOTS} targets at most, not {eyes.most}")
            self._make = _Ld2450(mounting, Slots(ld2450.SLOTS, seed, shuffle=weaknesses.shuffle), dice)
        elif make == TI_PEOPLE_NAME:
            eyes = weaknesses.eyes or IWR6843
            self._make = _TiPeople(mounting, weaknesses.tracking, profile or ti_people.Profile(), seed, dice)
        else:
            raise ValueError(f"there is no sensor {make!r}; there are {', '.join(MAKES)}")
        self.view = View(eyes, seed)
        self.frames = 0
        """Frames sent."""
        self.targets = 0
        """Targets in them."""
        self.restarts = 0
        self._presence = presence
        self._next_s = start_s
        self._last_s = start_s
        self._crossed: list[Crossing] = []

    def due(self, now: float) -> float:
        """When the next frame is due; `now`, if it should have been sent already."""
        return max(self._next_s, now)

    def advance(self, now: float) -> bytes:
        """The bytes of all frames that are due by `now`."""
        sent = []
        while self._next_s <= now:
            at = self._next_s
            seen = self.view.look(at, self._presence.at(at))
            frame = self._make.frame(seen, at - self._last_s)
            self._last_s = at
            self._next_s = at + self._make.gap_s()
            if not self.view.dropped():
                self.frames += 1
                self.targets += self._make.targets
                sent.append(frame)
        self._presence.at(max(now, self._last_s))
        self._crossed += self._presence.crossed()
        return b"".join(sent)

    def crossed(self) -> list[Crossing]:
        """The true crossings up to the last `advance`, in order, each of them once; whether it saw them or not."""
        crossed, self._crossed = self._crossed, []
        return crossed

    def restart(self, now: float) -> None:
        """The power fails at `now` and comes back; it sends again RESTART_S later, and knows nobody any more."""
        self._make.restart()
        self.restarts += 1
        self._next_s = now + RESTART_S


class RadarDevice(Radar):
    """A sensor at a place where the people of a stream of passages walk; the first cross LOOKAHEAD_S after `start_s`.

    The sensor lives on a monotonic clock, in seconds; the passages on the people's, which may go faster (`people_s` and
    `moment` translate, as those of `footfall_sim.sensor.Clock` do). However fast the people's day goes, they walk at
    their usual speeds.
    """

    def __init__(
        self,
        make: str,
        passages: PassageSource,
        line: Line | None = None,
        mounting: Mounting | None = None,
        *,
        seed: int | str = 1,
        weaknesses: Weaknesses | None = None,
        people_s: Callable[[float], float] = float,
        moment: Callable[[float], float] = float,
        start_s: float = 0.0,
        manners: Manners | None = None,
        profile: ti_people.Profile | None = None,
    ) -> None:
        self._source = _OnOwnClock(passages, people_s, moment)
        self._source.take(start_s + LOOKAHEAD_S)  # nobody is half way across the line when the sensor starts
        self._approaching = Approaching(self._source, line or Line(), seed, manners=manners)
        super().__init__(
            make,
            Presence(self._approaching),
            mounting,
            seed=seed,
            weaknesses=weaknesses,
            profile=profile,
            start_s=start_s,
        )

    @property
    def walking(self) -> bool:
        """Whether people come."""
        return self._source.open

    def send(self, direction: int, class_: int, count: int, now: float) -> None:
        """Let somebody come by order, who crosses the line LEAD_S from now."""
        for number in range(count):
            self._approaching.send(now + LEAD_S + number // _ABREAST * _BEHIND_S, direction, class_)

    def stop_walking(self) -> None:
        """Let nobody come any more; those who are here walk on."""
        self._source.open = False
        self._approaching.forget()

    def start_walking(self, now: float) -> None:
        """Let people come again; those of the meantime stayed at home."""
        if not self._source.open:
            self._source.take(now + LOOKAHEAD_S)
            self._source.open = True

    @property
    def idle(self) -> bool:
        """Whether nobody is here or on the way."""
        return not (self._presence.kept or self._approaching.kept)

    @property
    def kept(self) -> int:
        """How many people and crossings are remembered."""
        return self._presence.kept + self._approaching.kept


class _OnOwnClock:
    """A stream of passages whose times are translated; while it is not open nobody comes."""

    def __init__(
        self, passages: PassageSource, people_s: Callable[[float], float], moment: Callable[[float], float]
    ) -> None:
        self._passages = passages
        self._people_s = people_s
        self._moment = moment
        self.open = True

    def take(self, until_s: float) -> list[tuple[float, int, int]]:
        """See PassageSource."""
        taken = self._passages.take(self._people_s(until_s))
        return [(self._moment(at), direction, class_) for at, direction, class_ in taken] if self.open else []


class _Ld2450:
    def __init__(self, mounting: Mounting, slots: Slots, dice: random.Random) -> None:
        self._mounting = mounting
        self._slots = slots
        self._dice = dice
        self.targets = 0

    def frame(self, seen: list[Sight], elapsed: float) -> bytes:  # noqa: ARG002  # a make is asked alike
        self.targets = len(seen)
        height = self._mounting.height_m
        return ld2450.encode([ld2450.target(sight, height) if sight else None for sight in self._slots.put(seen)])

    def gap_s(self) -> float:
        return ld2450.PERIOD_S * self._dice.uniform(0.95, 1.05)

    def restart(self) -> None:
        """It has no memory."""


class _TiPeople:
    def __init__(
        self,
        mounting: Mounting,
        tracking: Tracking,
        profile: ti_people.Profile,
        seed: int | str,
        dice: random.Random,
    ) -> None:
        self._tilt = ti_people.Tilt(mounting.height_m, mounting.tilt_deg)
        self._tracking = tracking
        self._profile = profile
        self._seed = seed
        self._dice = dice
        self._number = 0
        self._before: list[int] = []
        self._tracker = Tracker(tracking, seed)
        self.targets = 0

    def frame(self, seen: list[Sight], elapsed: float) -> bytes:
        tracks = self._tracker.step(seen, elapsed)
        points = ti_people.cloud(tracks, self._tilt, self._dice)
        self._number += 1
        self.targets = len(tracks)
        targets = [ti_people.target(track, self._tilt) for track in tracks]
        frame = ti_people.encode(self._number, points, targets, self._before, self._profile)
        self._before = [point.tid for point in points]
        return frame

    def gap_s(self) -> float:
        return ti_people.PERIOD_S

    def restart(self) -> None:
        self._number = 0
        self._before = []
        self._tracker = Tracker(self._tracking, f"{self._seed} {self._dice.random()}")
