"""People walking through the scene in front of one sensor, as tracks on the ground, with the true crossings of a line.

The ground frame is the sensor's: metres, origin on the ground under the sensor, x to the right and y straight ahead as
the sensor sees it. A counting line is a directed segment; direction 0 (`in`) crosses it from left to right as seen
looking from its first to its second point. So along the default line, which runs straight ahead, `in` is towards +x.

A walker's path is a formula in the line's own coordinates (how far across the line, how far along it), made so that the
crossings are known exactly and not found by sampling: whoever crosses, crosses at one known moment and place, and never
turns round elsewhere. `walkers_of` makes walkers of a stream of true passages, a few seconds ahead of them; `Scene`
makes finite and endless scenes of its own. Everything is drawn from seeds, and time is given, in seconds.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

IN, OUT = 0, 1
"""The directions; and in this order the signs of a walk across the line are +1 and -1."""

CYCLIST = 2
LOOKAHEAD_S = 10.0
"""A walker is there at most so long before crossing. So the passages of that time must be known in advance."""

SLOW_LIMIT = 0.08  # how much the pace of a steady walker strays, as a part of it
BOW_LIMIT_DEG = 3.0  # how far a slightly curved path strays from its direction
_COMPANION_S = 0.8  # who crosses the same way so soon after another walks with him
_APART_M = 0.6  # people beside each other
_NEAR_S = 1.5  # who crosses within this time of another must not do so at the same place

# Body height (m) and walking speed (m/s) of the classes pedestrian, child, cyclist, wheelchair, pram; about normal.
_BODIES = ((1.55, 1.95), (1.00, 1.45), (1.65, 1.90), (1.25, 1.40), (1.55, 1.90))
_PACES = ((1.35, 0.22), (1.15, 0.22), (3.2, 0.5), (1.0, 0.12), (1.15, 0.15))
_PACE_LIMITS = ((0.7, 2.0), (0.7, 1.8), (2.0, 4.5), (0.7, 1.4), (0.7, 1.6))


@dataclass(frozen=True, slots=True)
class Line:
    """A counting line on the ground, from (x1, y1) to (x2, y2), metres."""

    x1: float = 0.0
    y1: float = 0.0
    x2: float = 0.0
    y2: float = 6.0

    def __post_init__(self) -> None:
        if not self.length_m > 0:
            raise ValueError(f"a counting line has two different points, not twice ({self.x1}, {self.y1})")

    @property
    def length_m(self) -> float:
        """Its length."""
        return math.hypot(self.x2 - self.x1, self.y2 - self.y1)

    def along(self) -> tuple[float, float]:
        """The unit vector from the first point to the second."""
        return (self.x2 - self.x1) / self.length_m, (self.y2 - self.y1) / self.length_m

    def coordinates(self, x: float, y: float) -> tuple[float, float]:
        """How far (m) a place is across the line, positive on its right side, and along it, from its first point."""
        ux, uy = self.along()
        dx, dy = x - self.x1, y - self.y1
        return dx * uy - dy * ux, dx * ux + dy * uy


@dataclass(frozen=True, slots=True)
class Crossing:
    """A true crossing of the line: seconds on the scene's clock, direction, class."""

    at_s: float
    direction: int
    class_: int = 0


class Path(Protocol):
    """Where somebody is at `s` seconds from the middle of the walk, in the line's coordinates."""

    def at(self, s: float) -> tuple[float, float, float, float]:
        """Across and along (m), and the velocities across and along (m/s)."""


@dataclass(frozen=True, slots=True)
class Passing:
    """Walks on, slightly curved and not quite steadily, through the place (`across_m`, `along_m`) at 0 s.

    `sign` +1 walks to the line's right side, -1 to its left, at `angle` (radians) to the line's normal.
    """

    sign: int
    along_m: float
    speed: float
    angle: float = 0.0
    across_m: float = 0.0
    unsteady: float = 0.0
    """Part of the speed by which it swings, below 1: so nobody walks back."""
    swing: float = 1.0
    """Radians per second of that swing."""
    phase: float = 0.0
    bow_m: float = 0.0
    bow: float = 0.0
    """Half the depth of the curves, and their radians per metre: their product is the greatest slope."""

    def at(self, s: float) -> tuple[float, float, float, float]:
        """See Path."""
        turn = self.swing * s + self.phase
        way = self.speed * (s + self.unsteady * (math.sin(turn) - math.sin(self.phase)) / self.swing)
        pace = self.speed * (1 + self.unsteady * math.cos(turn))
        aside = self.bow_m * (1 - math.cos(self.bow * way))
        slope = self.bow_m * self.bow * math.sin(self.bow * way)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return (
            self.across_m + self.sign * (way * cos - aside * sin),
            self.along_m + way * sin + aside * cos,
            self.sign * pace * (cos - slope * sin),
            pace * (sin + slope * cos),
        )


@dataclass(frozen=True, slots=True)
class Turning:
    """Comes, turns and goes back; at 0 s it is `depth_m` beyond the line, or before it if that is negative.

    `sign` +1 comes from the line's left side, -1 from its right. `soft_s` is how long the turn takes, `linger_s` how
    long it stands there, `drift` the speed along the line.
    """

    sign: int
    along_m: float
    speed: float
    depth_m: float
    soft_s: float = 0.4
    linger_s: float = 0.0
    drift: float = 0.0

    def at(self, s: float) -> tuple[float, float, float, float]:
        """See Path."""
        away = max(0.0, abs(s) - self.linger_s / 2)
        bend = math.hypot(away, self.soft_s)
        return (
            self.sign * (self.depth_m - self.speed * (bend - self.soft_s)),
            self.along_m + self.drift * s,
            -self.sign * self.speed * math.copysign(away / bend, s),
            self.drift,
        )

    def seconds_to(self, back_m: float) -> float:
        """Seconds from the middle of the walk to the place `back_m` metres before the farthest one."""
        return math.sqrt((back_m / self.speed + self.soft_s) ** 2 - self.soft_s**2) + self.linger_s / 2


@dataclass(frozen=True, slots=True)
class Walker:
    """Somebody who is in the scene from `enters_s` to `leaves_s`; `middle_s` is the path's zero."""

    number: int
    path: Path
    line: Line
    middle_s: float
    enters_s: float
    leaves_s: float
    height_m: float
    class_: int = 0
    crossings: tuple[Crossing, ...] = ()

    def at(self, t: float) -> tuple[float, float, float, float]:
        """Position (m) and velocity (m/s) on the ground: x, y, vx, vy."""
        across, along, v_across, v_along = self.path.at(t - self.middle_s)
        line = self.line
        ux, uy = line.along()
        return (
            line.x1 + across * uy + along * ux,
            line.y1 - across * ux + along * uy,
            v_across * uy + v_along * ux,
            -v_across * ux + v_along * uy,
        )


@dataclass(frozen=True, slots=True)
class Manners:
    """How people walk in a scene."""

    speeds: tuple[float, float] = (0.6, 2.0)
    """Slowest and fastest, m/s. Cyclists of a stream of passages are faster."""
    within_deg: float = 30.0
    """Greatest angle between a walk and the line's normal."""
    reach_m: float = 3.0
    """How far before the line people appear, and how far behind it they leave."""
    stretch: tuple[float, float] = (0.25, 0.75)
    """The part of the line in which people cross it."""
    short_m: tuple[float, float] = (0.02, 0.15)
    """How far before the line those stop who turn back on it."""
    beyond_m: tuple[float, float] = (0.7, 1.2)
    """How far beyond the line those turn who cross it again."""

    def __post_init__(self) -> None:
        if not 0 < self.speeds[0] * (1 + SLOW_LIMIT) < self.speeds[1] * (1 - SLOW_LIMIT):
            raise ValueError(f"speeds in m/s are a range above 0 that leaves room to be unsteady, not {self.speeds}")
        if not 0 <= self.within_deg <= 60:
            raise ValueError(f"people walk within 0 to 60 degrees of the line's normal, not {self.within_deg}")
        if not 0 <= self.stretch[0] <= self.stretch[1] <= 1:
            raise ValueError(f"the stretch is a part of the line from 0 to 1, e.g. (0.25, 0.75), not {self.stretch}")
        if not (self.reach_m > self.beyond_m[1] and 0 < self.beyond_m[0] <= self.beyond_m[1]):
            raise ValueError("those who turn beyond the line do so between it and the end of the scene")
        if not 0 <= self.short_m[0] <= self.short_m[1] < self.reach_m:
            raise ValueError("those who turn back do so between the end of the scene and the line")


class _Choreographer:
    """Draws single walkers."""

    def __init__(self, line: Line, manners: Manners, dice: random.Random) -> None:
        self._line = line
        self._manners = manners
        self._dice = dice
        self._number = 0

    def pace(self) -> float:
        """A speed from the manners, m/s, that stays within them also unsteadily."""
        slowest, fastest = self._manners.speeds
        return self._dice.uniform(slowest / (1 - SLOW_LIMIT), fastest / (1 + SLOW_LIMIT) / 1.002)

    def pace_of(self, class_: int) -> float:
        """A speed that suits the class, within the manners (but for cyclists)."""
        (mean, sd), (low, high) = _PACES[class_], _PACE_LIMITS[class_]
        if class_ != CYCLIST:
            slowest, fastest = self._manners.speeds
            slowest, fastest = slowest / (1 - SLOW_LIMIT), fastest / (1 + SLOW_LIMIT) / 1.002
            low, high = (min(max(limit, slowest), fastest) for limit in (low, high))
        return min(max(self._dice.gauss(mean, sd), low), high)

    def angle(self) -> float:
        """An angle to the normal, radians, that leaves room for a curve."""
        widest = max(0.0, self._manners.within_deg - BOW_LIMIT_DEG)
        return math.radians(self._dice.uniform(-widest, widest))

    def place(self) -> float:
        """Where along the line somebody crosses it, metres."""
        return self._line.length_m * self._dice.uniform(*self._manners.stretch)

    def crosses(
        self,
        at_s: float,
        direction: int,
        class_: int = 0,
        *,
        speed: float | None = None,
        angle: float | None = None,
        place: float | None = None,
    ) -> Walker:
        """Crosses the line at the moment `at_s`; what is not given is drawn."""
        path = self._passing(
            1 if direction == IN else -1,
            self.place() if place is None else place,
            self.pace() if speed is None else speed,
            self.angle() if angle is None else angle,
        )
        half = self._manners.reach_m / math.cos(path.angle) / path.speed
        return self._walker(path, at_s, half, class_, (Crossing(at_s, direction, class_),))

    def turns_back(self, at_s: float, direction: int) -> Walker:
        """Comes as if to cross in `direction`, gets to the line at `at_s` and no further, and goes back."""
        dice = self._dice
        path = self._turning(direction, -dice.uniform(*self._manners.short_m), linger_s=dice.choice((0.0, 0.5, 2.0)))
        return self._walker(path, at_s, path.seconds_to(self._manners.reach_m + path.depth_m))

    def crosses_twice(self, at_s: float, direction: int) -> Walker:
        """Crosses in `direction`, turns at `at_s` beyond the line, and crosses it again the other way."""
        path = self._turning(direction, self._dice.uniform(*self._manners.beyond_m), linger_s=0.0)
        off = path.seconds_to(path.depth_m)
        crossings = (Crossing(at_s - off, direction), Crossing(at_s + off, 1 - direction))
        return self._walker(path, at_s, path.seconds_to(self._manners.reach_m + path.depth_m), crossings=crossings)

    def passes_beside(self, at_s: float) -> Walker:
        """Does not cross: walks along the line beside it, or over the line's prolongation."""
        dice, length = self._dice, self._line.length_m
        sign = dice.choice((1, -1))
        if dice.random() < 0.5:
            beside = dice.choice((1, -1)) * dice.uniform(0.8, self._manners.reach_m)
            path = self._passing(sign, length / 2, self.pace(), sign * math.pi / 2, across=beside)
            return self._walker(path, at_s, (length / 2 + 1) / path.speed)
        place = dice.choice((-dice.uniform(0.6, 1.5), length + dice.uniform(0.6, 1.5)))
        path = self._passing(sign, place, self.pace(), self.angle())
        return self._walker(path, at_s, self._manners.reach_m / path.speed)

    def _passing(self, sign: int, place: float, speed: float, angle: float, across: float = 0.0) -> Passing:
        dice = self._dice
        bow = dice.uniform(0.4, 1.2)
        slope = math.tan(math.radians(min(BOW_LIMIT_DEG, self._manners.within_deg))) * dice.uniform(-1, 1)
        return Passing(
            sign=sign,
            along_m=place,
            speed=speed,
            angle=angle,
            across_m=across,
            unsteady=dice.uniform(0, SLOW_LIMIT),
            swing=dice.uniform(0.8, 3.0),
            phase=dice.uniform(0, math.tau),
            bow_m=slope / bow,
            bow=bow,
        )

    def _turning(self, direction: int, depth: float, *, linger_s: float) -> Turning:
        dice = self._dice
        return Turning(
            sign=1 if direction == IN else -1,
            along_m=self.place(),
            speed=self.pace(),
            depth_m=depth,
            soft_s=dice.uniform(0.2, 0.6),
            linger_s=linger_s,
            drift=dice.uniform(-0.1, 0.1),
        )

    def _walker(
        self,
        path: Path,
        at_s: float,
        half_s: float,
        class_: int = 0,
        crossings: tuple[Crossing, ...] = (),
    ) -> Walker:
        self._number += 1
        height = self._dice.uniform(*_BODIES[class_])
        enters = at_s - half_s
        if crossings:
            enters = max(enters, crossings[0].at_s - LOOKAHEAD_S)
        return Walker(self._number, path, self._line, at_s, enters, at_s + half_s, height, class_, crossings)


class Walkers(Protocol):
    """A source of walkers as time goes on."""

    def until(self, t: float) -> list[Walker]:
        """Those who enter until `t` and were not given yet, in the order in which they enter."""


class Presence:
    """Who is in the scene, and which crossings happened, as time goes on. Keeps nobody who has left."""

    def __init__(self, walkers: Walkers) -> None:
        self._walkers = walkers
        self._present: list[Walker] = []
        self._to_come: list[tuple[float, int, int, Crossing]] = []
        self._now = -math.inf

    def at(self, t: float) -> list[Walker]:
        """The people present at `t`, which is never earlier than at the last call."""
        if t < self._now:
            raise ValueError(f"the scene is at {self._now} s already, and time does not go back to {t} s")
        self._now = t
        for walker in self._walkers.until(t):
            self._present.append(walker)
            for turn, crossing in enumerate(walker.crossings):
                heapq.heappush(self._to_come, (crossing.at_s, walker.number, turn, crossing))
        self._present = [walker for walker in self._present if walker.leaves_s > t]
        return self._present

    def crossed(self) -> list[Crossing]:
        """The true crossings up to the last `at`, in order, each of them once."""
        happened = []
        while self._to_come and self._to_come[0][0] <= self._now:
            happened.append(heapq.heappop(self._to_come)[-1])
        return happened

    @property
    def kept(self) -> int:
        """How many people and crossings are remembered."""
        return len(self._present) + len(self._to_come)


class PassageSource(Protocol):
    """A stream of true passages, as `footfall_sim.pedestrians.Stream` is one."""

    def take(self, until_s: float) -> list[tuple[float, int, int]]:
        """The passages before `until_s` that were not taken yet, in order: (seconds, direction, class)."""


class PassagesInOrder:
    """A stream of the passages of an iterable that is in the order of time."""

    def __init__(self, passages: Iterable[tuple[float, int, int]]) -> None:
        self._rest = iter(passages)
        self._next = next(self._rest, None)

    def take(self, until_s: float) -> list[tuple[float, int, int]]:
        """See PassageSource."""
        taken = []
        while self._next is not None and self._next[0] < until_s:
            taken.append(self._next)
            self._next = next(self._rest, None)
        return taken


@dataclass(frozen=True, slots=True)
class Strays:
    """How many people come beside those of the passages, as a part of their number."""

    turning: float = 0.0
    beside: float = 0.0
    twice: float = 0.0


class Approaching:
    """Walkers who cross the line exactly when the passages of a stream say, and strays. Endless if the stream is.

    Who crosses the same way within a moment of another walks beside him; nobody crosses where somebody else just does.
    """

    def __init__(
        self,
        passages: PassageSource,
        line: Line,
        seed: int | str,
        *,
        manners: Manners | None = None,
        strays: Strays | None = None,
    ) -> None:
        self._passages = passages
        self._line = line
        self._manners = manners or Manners()
        self._dice = random.Random(f"{seed} walkers")  # noqa: S311  # reproducible on purpose
        self._draw = _Choreographer(line, self._manners, self._dice)
        self._strays = strays or Strays()
        self._recent: deque[tuple[Walker, Passing]] = deque(maxlen=8)
        self._to_enter: list[tuple[float, int, Walker]] = []

    def until(self, t: float) -> list[Walker]:
        """See Walkers."""
        for at_s, direction, class_ in self._passages.take(t + LOOKAHEAD_S):
            self.send(at_s, direction, class_)
            self._stray(at_s)
        entered = []
        while self._to_enter and self._to_enter[0][0] <= t:
            entered.append(heapq.heappop(self._to_enter)[-1])
        return entered

    def send(self, at_s: float, direction: int, class_: int) -> None:
        """Let somebody cross at `at_s`, beside those of the stream."""
        if class_ >= len(_PACES):
            raise ValueError(f"people are of the classes 0 to {len(_PACES) - 1}, not {class_}")
        companion = next(
            (
                (walker, path)
                for walker, path in reversed(self._recent)
                if abs(walker.middle_s - at_s) <= _COMPANION_S
                and walker.crossings[0].direction == direction
                and (walker.class_ == CYCLIST) == (class_ == CYCLIST)
            ),
            None,
        )
        pace, angle = self._draw.pace_of(class_), self._draw.angle()
        if companion is not None:
            pace, angle = companion[1].speed, companion[1].angle
        place = self._free_place(at_s, None if companion is None else companion[1].along_m)
        walker = self._draw.crosses(at_s, direction, class_, speed=pace, angle=angle, place=place)
        assert isinstance(walker.path, Passing)
        self._recent.append((walker, walker.path))
        self._enter(walker)

    def forget(self) -> None:
        """Let nobody come who has not entered yet."""
        self._to_enter.clear()

    @property
    def kept(self) -> int:
        """How many walkers wait to enter."""
        return len(self._to_enter)

    def _enter(self, walker: Walker) -> None:
        heapq.heappush(self._to_enter, (walker.enters_s, walker.number, walker))

    def _free_place(self, at_s: float, beside: float | None) -> float:
        """A place along the line where nobody else crosses at about the same time, as far as there is one."""
        low, high = (self._line.length_m * part for part in self._manners.stretch)
        taken = [path.along_m for walker, path in self._recent if abs(walker.middle_s - at_s) < _NEAR_S]
        drawn = [self._dice.uniform(low, high) for _ in range(6)]
        if beside is not None:
            off = self._dice.uniform(_APART_M, _APART_M + 0.3)
            drawn = [place for place in (beside + off, beside - off) if low <= place <= high] + drawn

        def room(place: float) -> float:
            return min((abs(place - other) for other in taken), default=math.inf)

        return next((place for place in drawn if room(place) >= _APART_M), max(drawn, key=room))

    def _stray(self, at_s: float) -> None:
        dice, draw, strays = self._dice, self._draw, self._strays
        if not (strays.turning or strays.beside or strays.twice):
            return
        kinds: tuple[tuple[float, Callable[[float], Walker]], ...] = (
            (strays.turning, lambda at: draw.turns_back(at, dice.choice((IN, OUT)))),
            (strays.beside, draw.passes_beside),
            (strays.twice, lambda at: draw.crosses_twice(at, dice.choice((IN, OUT)))),
        )
        for share, kind in kinds:
            if dice.random() < share:
                self._enter(kind(at_s + dice.uniform(2, 6)))


def walkers_of(passages: PassageSource, line: Line, seed: int | str, *, manners: Manners | None = None) -> Approaching:
    """Walkers who cross `line` exactly at the moments and in the directions of a stream of passages.

    Ask it with `until(now)`. It takes the passages LOOKAHEAD_S in advance, remembers the walkers of that time only,
    and is a source for `Presence`.
    """
    return Approaching(passages, line, seed, manners=manners)


class _Listed:
    """Walkers of a finite scene."""

    def __init__(self, walkers: Iterable[Walker]) -> None:
        self._rest = deque(walkers)

    def until(self, t: float) -> list[Walker]:
        """See Walkers."""
        entered = []
        while self._rest and self._rest[0].enters_s <= t:
            entered.append(self._rest.popleft())
        return entered


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene that can be played any number of times, always the same. `seconds` is its length, perhaps infinite."""

    line: Line
    seconds: float
    _begin: Callable[[], Walkers]

    def walkers(self) -> Walkers:
        """Its people from the beginning."""
        return self._begin()

    def presence(self) -> Presence:
        """Its people from the beginning, by time."""
        return Presence(self._begin())

    def crossings(self) -> list[Crossing]:
        """Every true crossing of a finite scene, in order."""
        if not math.isfinite(self.seconds):
            raise ValueError("an endless scene has no list of crossings; ask a presence for those that happened")
        presence = self.presence()
        presence.at(self.seconds)
        return presence.crossed()

    @classmethod
    def easy(
        cls,
        seed: int,
        line: Line | None = None,
        *,
        per_direction: int = 200,
        turning: int = 20,
        twice: int = 0,
        beside: int = 0,
        gap_s: float = 3.0,
        alone: bool = True,
        manners: Manners | None = None,
    ) -> "Scene":
        """One person at a time: what every counter should count exactly.

        `per_direction` crossings in each direction, of which `twice` are by people who come back at once; `turning`
        people who turn back on the line; `beside` who pass beside it. The next one enters at least `gap_s` after the
        last one left; with `alone` false only the moments at the line are so far apart, and people meet.
        """
        if not 0 <= twice <= per_direction:
            raise ValueError(f"{twice} of {per_direction} crossings per direction cannot be by those who come back")
        line, manners = line or Line(), manners or Manners()
        dice = random.Random(f"{seed} easy")  # noqa: S311  # reproducible on purpose
        draw = _Choreographer(line, manners, dice)
        plain = per_direction - twice
        parts: list[Callable[[], Walker]] = [
            *[lambda: draw.crosses(0.0, IN)] * plain,
            *[lambda: draw.crosses(0.0, OUT)] * plain,
            *(lambda way=number % 2: draw.turns_back(0.0, way) for number in range(turning)),
            *(lambda way=number % 2: draw.crosses_twice(0.0, way) for number in range(twice)),
            *[lambda: draw.passes_beside(0.0)] * beside,
        ]
        dice.shuffle(parts)
        walkers = sorted(_one_after_the_other(parts, dice, gap_s, alone=alone), key=lambda walker: walker.enters_s)
        end = max((walker.leaves_s for walker in walkers), default=0.0) + 1.0
        return cls(line, end, lambda: _Listed(walkers))

    @classmethod
    def crowd(
        cls,
        seed: int,
        per_min: float,
        line: Line | None = None,
        *,
        seconds: float = math.inf,
        in_share: float = 0.5,
        groups: tuple[float, ...] = (0.6, 0.3, 0.1),
        strays: Strays | None = None,
        manners: Manners | None = None,
    ) -> "Scene":
        """People as they come: `per_min` of them cross per minute, in both directions, alone and in groups.

        Groups of 1, 2, ... come at random moments with the shares of `groups`, side by side. In a finite scene all
        crossings of the passers-by lie at least LOOKAHEAD_S within its beginning and its end, so that everybody is
        seen come and go.
        """
        if not per_min > 0:
            raise ValueError(f"a crowd has more than 0 persons per minute, not {per_min}")
        line = line or Line()
        strays = strays or Strays(turning=0.03, beside=0.03, twice=0.01)

        def begin() -> Walkers:
            arrivals = PassagesInOrder(_arrivals(seed, per_min, seconds - LOOKAHEAD_S, in_share, groups))
            return Approaching(arrivals, line, seed, manners=manners, strays=strays)

        return cls(line, seconds, begin)


def _one_after_the_other(
    parts: Iterable[Callable[[], Walker]], dice: random.Random, gap_s: float, *, alone: bool
) -> Iterator[Walker]:
    """Shift walkers, who are all drawn at the moment 0, so that they come one after the other."""
    free_from = 0.0
    for part in parts:
        walker = part()
        begins, ends = (walker.enters_s, walker.leaves_s) if alone else _at_the_line(walker)
        shift = free_from + gap_s + dice.expovariate(1.0) - begins
        free_from = ends + shift
        yield Walker(
            walker.number,
            walker.path,
            walker.line,
            walker.middle_s + shift,
            walker.enters_s + shift,
            walker.leaves_s + shift,
            walker.height_m,
            walker.class_,
            tuple(Crossing(one.at_s + shift, one.direction, one.class_) for one in walker.crossings),
        )


def _at_the_line(walker: Walker) -> tuple[float, float]:
    moments = [crossing.at_s for crossing in walker.crossings] or [walker.middle_s]
    return moments[0], moments[-1]


def _arrivals(
    seed: int, per_min: float, until_s: float, in_share: float, groups: tuple[float, ...]
) -> Iterator[tuple[float, int, int]]:
    """Passages of groups that come at random; members of a group cross within a moment, in the order of time."""
    dice = random.Random(f"{seed} arrivals")  # noqa: S311  # reproducible on purpose
    sizes = range(1, len(groups) + 1)
    mean = sum(size * share for size, share in zip(sizes, groups, strict=True)) / sum(groups)
    waiting: list[tuple[float, int, int]] = []
    at = LOOKAHEAD_S
    while True:
        at += dice.expovariate(per_min / 60 / mean)
        while waiting and waiting[0][0] < min(at, until_s):
            yield heapq.heappop(waiting)
        if at >= until_s:
            return
        way = IN if dice.random() < in_share else OUT
        for _ in range(dice.choices(sizes, groups)[0]):
            heapq.heappush(waiting, (at + dice.uniform(0, 0.3), way, 0))
