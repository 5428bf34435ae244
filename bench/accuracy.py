"""How exactly each driver counts, against the truth of simulated scenes: one person at a time, and crowds.

The simulated sensor has its kind's weaknesses (range, field of view, most targets, people who hide behind one another,
ghosts, lost frames); its bytes go through framer and session as on the box. Two errors are told. The signed one is what
a year's sum would be wrong by; the absolute one is the mean error of a five-minute interval and direction, in per cent
of the mean count of one, in which too many here and too few there do not make up for one another.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bench.result import Curve, Result
from bench.scenes import DRIVERS, SLOT_S, driver, noisy, play, sensor, truth_by_slot
from footfall_sim.scene import Scene
from footfall_sim.view import Eyes

Key = TypeVar("Key", bound=Hashable)

TITLE = "counted against the true crossings of simulated scenes"

INTERVAL_SLOTS = 300 // SLOT_S
"""Slots in an interval for the absolute error: five minutes."""
GHOSTS_PER_MIN = 1.0
USUAL_PER_MIN = 20
PER_MIN = (2, 5, 10, USUAL_PER_MIN, 40, 80)
"""People who cross a line of 6 m in a minute, both ways together."""


@dataclass(frozen=True)
class Size:
    """How long."""

    each_way: int = 200
    """Crossings in each direction of the easy scene, for each seed."""
    seconds: int = 1200
    """Of each crowd, for each seed."""
    seeds: int = 3


TINY = Size(each_way=4, seconds=60, seeds=1)


def run(size: Size) -> Result:
    """The easy scene, which must be exact, and crowds of growing density."""
    result = Result("accuracy", TITLE, vars(size))
    for name in DRIVERS:
        wrong = sum(_easy(name, seed, size.each_way) for seed in range(1, size.seeds + 1))
        result.at_most(f"{name}: passages wrong in the easy scene, {size.seeds} seeds", wrong, 0, unit="passages")
    for name in DRIVERS:
        rows = [_crowd(name, per_min, size) for per_min in PER_MIN]
        for per_min, _, _, signed, _ in rows:
            if per_min == USUAL_PER_MIN:
                result.figure(f"{name}: error with {per_min} persons a minute", "%", signed)
        columns = ["persons/min", "crossed", "counted", "error %", "absolute %"]
        result.curves.append(Curve(f"{name}: crowds", columns, rows))
    result.notes.append(
        f"Easy: one person at a time, 0.6 to 2 m/s, {size.each_way} each way and 20 who turn back on the line; "
        "positions up to 10 cm wrong, 1 % of frames lost."
    )
    result.notes.append(
        "Crowds: persons alone, in couples and threes, both ways over a line of 6 m; 3 % turn back, 3 % pass beside "
        f"the line; {GHOSTS_PER_MIN:g} ghost a minute and 1 % of frames lost for radars, which hang as high as a body."
    )
    return result


def _easy(name: str, seed: int, each_way: int) -> int:
    scene = Scene.easy(seed, per_direction=each_way)
    outcome = play(sensor(name, scene, seed=seed, weaknesses=noisy), driver(name), scene.seconds)
    return _apart(Counter(crossing.direction for crossing in scene.crossings()), outcome.passages)


def _crowd(name: str, per_min: int, size: Size) -> Sequence[float]:
    true: Counter[tuple[int, int, int]] = Counter()
    counted: Counter[tuple[int, int, int]] = Counter()
    for seed in range(1, size.seeds + 1):
        scene = Scene.crowd(seed, per_min, seconds=size.seconds)
        outcome = play(sensor(name, scene, seed=seed, weaknesses=_haunted), driver(name), scene.seconds)
        for slots, into in ((truth_by_slot(scene), true), (outcome.by_slot, counted)):
            for (slot, direction), number in slots.items():
                into[seed, slot // INTERVAL_SLOTS, direction] += number
    crossed, found = true.total(), counted.total()
    if not crossed:
        return per_min, 0, found, 0, 0
    return per_min, crossed, found, 100 * (found - crossed) / crossed, 100 * _apart(true, counted) / crossed


def _haunted(eyes: Eyes) -> Eyes:
    return replace(eyes, ghosts_per_min=GHOSTS_PER_MIN)


def _apart(true: Counter[Key], counted: Counter[Key]) -> int:
    return sum(abs(true[key] - counted[key]) for key in true.keys() | counted.keys())
