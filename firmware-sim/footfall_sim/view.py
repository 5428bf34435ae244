"""What a sensor of limited eyes sees of the people in front of it, and what a tracker inside it makes of that.

`Eyes` are its weaknesses: range, field of view, a most of targets, noise, people hidden behind others, ghosts, lost
frames. Without arguments they are perfect. `View` looks with such eyes; `Slots` and `Tracker` are the two ways in which
sensors name what they see: the HLK-LD2450 has three slots that mean nothing, TI's tracker gives numbers that it uses
again. Positions are metres on the ground in the sensor's frame; every die is seeded, and each weakness has its own, so
that one of them can be switched off without changing another.
"""

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from footfall_sim.scene import Walker

_GHOST_RATE_S = 4.0  # a jumping ghost jumps so many times a second
_AREA_M = 8.0  # where ghosts of eyes without a limit are


@dataclass(frozen=True, slots=True)
class Eyes:
    """The weaknesses of a sensor's eyes. The defaults are none."""

    range_m: float = math.inf
    half_angle_deg: float = 180.0
    """Half of the field of view, to either side of the boresight."""
    most: int = 1_000
    """Most targets at a time; the nearest are seen."""
    noise_m: float = 0.0
    """Standard deviation of each coordinate."""
    noise_limit_m: float = 0.10
    """No coordinate is further from the truth, whatever the deviation."""
    noise_memory_s: float = 0.0
    """How long an error lasts (its correlation time); 0: each frame's is its own."""
    body_m: float = 0.0
    """Width of a body, behind which others are hidden; 0: nobody is."""
    ghosts_per_min: float = 0.0
    """False targets that appear per minute."""
    ghost_s: tuple[float, float] = (0.2, 3.0)
    """How long they last."""
    ghost_jump_m: float = 0.8
    """How far a jumping ghost jumps; every other one sits still."""
    drop: float = 0.0
    """Probability for a frame that it does not leave the sensor."""

    def __post_init__(self) -> None:
        if not (self.range_m > 0 and 0 < self.half_angle_deg <= 180 and self.most >= 0):
            raise ValueError("eyes have a range above 0 m, a half angle up to 180 degrees, and at least 0 targets")
        if not (self.noise_m >= 0 and self.noise_limit_m >= 0 and self.noise_memory_s >= 0 and self.body_m >= 0):
            raise ValueError("noise and the width of a body are not negative")
        if not (self.ghosts_per_min >= 0 and 0 < self.ghost_s[0] <= self.ghost_s[1] and 0 <= self.drop <= 1):
            raise ValueError("ghosts come not less than 0 times a minute and last; frames are lost with a probability")


LD2450 = Eyes(range_m=6, half_angle_deg=60, most=3, noise_m=0.04, body_m=0.45, drop=0.01)
"""HLK-LD2450: 6 m, 60 degrees to either side, three targets (vendor's protocol document V1.03)."""
IWR6843 = Eyes(
    range_m=10, half_angle_deg=60, most=20, noise_m=0.04, noise_memory_s=0.3, body_m=0.45, ghosts_per_min=0, drop=0.01
)
"""TI IWR6843 with 3D people tracking: its range and number of tracks are settings of its chirp configuration."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Somebody, or something, as it is seen in one frame. `number` is the walker's, or negative for a ghost.

    The sensor does not know the number; it is there to keep apart who is who.
    """

    number: int
    x: float
    y: float
    vx: float
    vy: float
    height_m: float

    @property
    def ghost(self) -> bool:
        """Whether there is nobody."""
        return self.number < 0


@dataclass(slots=True)
class _Ghost:
    number: int
    x: float
    y: float
    until: float
    jumps: bool


class View:
    """Looks with given eyes, frame after frame."""

    def __init__(self, eyes: Eyes, seed: int | str) -> None:
        self.eyes = eyes
        self.blind = False
        """While it is true nobody is seen, as with a covered sensor."""
        self._noise, self._ghost, self._drop = (
            random.Random(f"{seed} {purpose}")  # noqa: S311  # reproducible on purpose
            for purpose in ("noise", "ghosts", "drop")
        )
        self._errors: dict[int, tuple[float, float]] = {}
        self._ghosts: list[_Ghost] = []
        self._ghost_number = 0
        self._last: float | None = None
        self._next_ghost = math.inf

    def dropped(self) -> bool:
        """Whether this frame is one of those that get lost in the sensor. Ask once per frame."""
        return self.eyes.drop > 0 and self._drop.random() < self.eyes.drop

    def look(self, t: float, people: Sequence[Walker]) -> list[Sight]:
        """What is seen at `t`, nearest first; `t` grows from call to call."""
        elapsed = 0.0 if self._last is None else t - self._last
        ghosts = self._haunt(t, elapsed)
        self._last = t
        if self.blind:
            return []
        seen = self._visible(t, people)
        if self.eyes.noise_m:
            seen = self._with_errors(seen, elapsed)
        seen = sorted(seen + ghosts, key=lambda sight: math.hypot(sight.x, sight.y))
        return seen[: self.eyes.most]

    def within(self, x: float, y: float) -> bool:
        """Whether a place is within range and field of view."""
        if math.hypot(x, y) > self.eyes.range_m:
            return False
        return abs(math.degrees(math.atan2(x, y))) <= self.eyes.half_angle_deg

    def _visible(self, t: float, people: Sequence[Walker]) -> list[Sight]:
        there = [Sight(walker.number, *walker.at(t), walker.height_m) for walker in people]
        return [
            sight
            for sight in there
            if self.within(sight.x, sight.y)
            and not (self.eyes.body_m and any(_hides(other, sight, self.eyes.body_m) for other in there))
        ]

    def _with_errors(self, seen: list[Sight], elapsed: float) -> list[Sight]:
        eyes, dice = self.eyes, self._noise
        keep = math.exp(-elapsed / eyes.noise_memory_s) if eyes.noise_memory_s else 0.0
        fresh = math.sqrt(1 - keep * keep) * eyes.noise_m
        errors = {}
        noisy = []
        for sight in seen:
            old = self._errors.get(sight.number)
            dx, dy = (
                min(
                    max(
                        dice.gauss(0, eyes.noise_m) if old is None else keep * old[axis] + dice.gauss(0, fresh),
                        -eyes.noise_limit_m,
                    ),
                    eyes.noise_limit_m,
                )
                for axis in (0, 1)
            )
            errors[sight.number] = (dx, dy)
            noisy.append(Sight(sight.number, sight.x + dx, sight.y + dy, sight.vx, sight.vy, sight.height_m))
        self._errors = errors
        return noisy

    def _haunt(self, t: float, elapsed: float) -> list[Sight]:
        """The ghosts of this moment."""
        eyes, dice = self.eyes, self._ghost
        if not eyes.ghosts_per_min:
            return []
        if self._last is None:
            self._next_ghost = t + dice.expovariate(eyes.ghosts_per_min / 60)
        while self._next_ghost <= t:
            self._appear(self._next_ghost)
            self._next_ghost += dice.expovariate(eyes.ghosts_per_min / 60)
        self._ghosts = [ghost for ghost in self._ghosts if ghost.until > t]
        for ghost in self._ghosts:
            if ghost.jumps and dice.random() < _GHOST_RATE_S * elapsed:
                x, y = (place + dice.uniform(-eyes.ghost_jump_m, eyes.ghost_jump_m) for place in (ghost.x, ghost.y))
                if self.within(x, y):
                    ghost.x, ghost.y = x, y
        return [Sight(ghost.number, ghost.x, ghost.y, 0.0, 0.0, 1.0) for ghost in self._ghosts]

    def _appear(self, at: float) -> None:
        dice, eyes = self._ghost, self.eyes
        reach, widest = min(eyes.range_m, _AREA_M), math.radians(eyes.half_angle_deg)
        distance, angle = reach * math.sqrt(dice.uniform(0.01, 1)), dice.uniform(-widest, widest)
        self._ghost_number -= 1
        self._ghosts.append(
            _Ghost(
                self._ghost_number,
                distance * math.sin(angle),
                distance * math.cos(angle),
                at + dice.uniform(*eyes.ghost_s),
                jumps=dice.random() < 0.5,
            )
        )


def _hides(near: Sight, far: Sight, body_m: float) -> bool:
    """Whether `near` stands in the line of sight to `far`."""
    distance = math.hypot(far.x, far.y)
    if near is far or not distance or math.hypot(near.x, near.y) >= distance:
        return False
    towards = (near.x * far.x + near.y * far.y) / distance
    aside = abs(near.x * far.y - near.y * far.x) / distance
    return towards > 0 and aside < body_m / 2


class Slots:
    """A few slots for targets. Somebody stays in a slot for a while, but no slot is anybody's name."""

    def __init__(self, count: int, seed: int | str, *, shuffle: float = 0.05) -> None:
        """`shuffle`: probability for a frame that everybody moves to another slot by chance."""
        self._dice = random.Random(f"{seed} slots")  # noqa: S311  # reproducible on purpose
        self._shuffle = shuffle
        self._slots: list[int | None] = [None] * count

    def put(self, seen: Sequence[Sight]) -> list[Sight | None]:
        """The sights of a frame by slot. There are not more of them than slots."""
        by_number = {sight.number: sight for sight in seen}
        self._slots = [number if number in by_number else None for number in self._slots]
        for number in by_number:
            if number not in self._slots:
                self._slots[self._slots.index(None)] = number
        if self._dice.random() < self._shuffle:
            self._dice.shuffle(self._slots)
        return [None if number is None else by_number[number] for number in self._slots]


@dataclass(frozen=True, slots=True)
class Tracking:
    """How a tracker inside a sensor follows people."""

    allocate: int = 4
    """Frames somebody must be seen one after the other before there is a track."""
    hold: int = 15
    """Frames a track goes on straight ahead while its person is hidden; then it ends."""
    losses_per_min: float = 0.0
    """How often per minute a track is lost for no reason; the person then gets another one."""
    ids: int = 30
    """How many numbers there are; one that is free is used again after all the others. At most 250."""
    most: int = 20
    """Most tracks at a time."""

    def __post_init__(self) -> None:
        if not 1 <= self.most <= self.ids <= 250:
            raise ValueError(f"{self.most} tracks need as many numbers, of which there are up to 250, not {self.ids}")
        if not (self.allocate >= 1 and self.hold >= 0 and self.losses_per_min >= 0):
            raise ValueError("a track is allocated after at least 1 frame, held and lost not less than 0 times")


@dataclass(slots=True)
class Track:
    """Somebody with a number, metres and seconds on the ground."""

    tid: int
    number: int
    x: float
    y: float
    vx: float
    vy: float
    height_m: float
    ax: float = 0.0
    ay: float = 0.0
    missed: int = 0
    """Frames since the person was last seen."""


class Tracker:
    """Gives numbers to what is seen."""

    def __init__(self, tracking: Tracking, seed: int | str) -> None:
        self._tracking = tracking
        self._dice = random.Random(f"{seed} tracker")  # noqa: S311  # reproducible on purpose
        self._free = deque(range(tracking.ids))
        self._seen_for: dict[int, int] = {}
        self._tracks: dict[int, Track] = {}

    def step(self, seen: Sequence[Sight], elapsed: float) -> list[Track]:
        """The tracks after one more frame, `elapsed` seconds after the last, by their numbers."""
        by_number = {sight.number: sight for sight in seen}
        for number, track in list(self._tracks.items()):
            sight = by_number.get(number)
            if sight is None:
                self._go_on(track, elapsed)
            else:
                _update(track, sight, elapsed)
            lost = self._dice.random() < self._tracking.losses_per_min / 60 * elapsed
            if lost or track.missed > self._tracking.hold:
                self._free.append(self._tracks.pop(number).tid)
                by_number.pop(number, None)
        self._seen_for = {
            number: self._seen_for.get(number, 0) + 1 for number in by_number if number not in self._tracks
        }
        for number, frames in list(self._seen_for.items()):
            if frames >= self._tracking.allocate and len(self._tracks) < self._tracking.most:
                one = by_number[number]
                tid = self._free.popleft()
                self._tracks[number] = Track(tid, number, one.x, one.y, one.vx, one.vy, one.height_m)
                del self._seen_for[number]
        return sorted(self._tracks.values(), key=lambda track: track.tid)

    @staticmethod
    def _go_on(track: Track, elapsed: float) -> None:
        track.x += track.vx * elapsed
        track.y += track.vy * elapsed
        track.ax = track.ay = 0.0
        track.missed += 1


def _update(track: Track, sight: Sight, elapsed: float) -> None:
    if elapsed > 0:
        track.ax, track.ay = (sight.vx - track.vx) / elapsed, (sight.vy - track.vy) / elapsed
    track.x, track.y, track.vx, track.vy = sight.x, sight.y, sight.vx, sight.vy
    track.height_m = sight.height_m
    track.missed = 0
