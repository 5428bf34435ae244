"""When which fault strikes what: drawn from a seed, and from nothing else."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from footfall_soak.faults import Away, Fault, Strike
from footfall_soak.layout import Layout

PER_S: Final = 0.4
"""Faults per second: 120 in five minutes."""
REST_S: Final = 1.0
"""Between two faults that take hold of the same thing."""
_TRIES: Final = 300
_PLANS: Final = 50


class ScheduleError(ValueError):
    """There is no room for so many faults in so short a time."""


def plan(
    seed: int,
    duration_s: float,
    layout: Layout,
    faults: Sequence[Fault],
    *,
    each: int = 2,
    total: int | None = None,
    haste: float = 1.0,
) -> tuple[Strike, ...]:
    """The faults of a run by time: each kind at least `each` times, `total` (or 0.4 a second) in all.

    Every fault ends by `duration_s`; those that hold the same thing leave a second between them. `haste` times as long
    as usual is each of them. The same arguments give the same plan.

    Raises:
        ScheduleError: they do not fit.
    """
    number = max(each * len(faults), round(duration_s * PER_S) if total is None else total) if faults else 0
    for attempt in range(_PLANS):
        dice = random.Random(f"{seed} {attempt}")
        chosen = list(faults) * each
        chosen += dice.choices(faults, k=number - len(chosen)) if faults else []
        strikes = _place(_Frame(dice, duration_s, layout, haste), chosen, each * len(faults))
        if strikes is not None:
            return tuple(sorted(strikes, key=lambda strike: (strike.at_s, strike.fault, strike.target)))
    raise ScheduleError(f"{number} faults do not fit into {duration_s:g} s; give more time")


def held_s(fault: Fault, layout: Layout, target: str, length_s: float) -> float:
    """How long a fault holds what it takes, as planned."""
    return length_s + (layout.longest_small_ring_s(target) if isinstance(fault, Away) else 0)


Held = dict[str, list[tuple[float, float]]]
"""When what is held."""


@dataclass(frozen=True)
class _Frame:
    """What every fault of a plan has to fit into."""

    dice: random.Random
    duration_s: float
    layout: Layout
    haste: float


def _place(frame: _Frame, chosen: Sequence[Fault], needed: int) -> list[Strike] | None:
    """Room for each of `chosen`, the long ones first; None if one of them finds none.

    Beyond the `needed` first a kind that finds no room is exchanged for another.
    """
    held: Held = {}
    strikes: list[Strike] = []
    for fault in [*sorted(chosen[:needed], key=_size, reverse=True), *chosen[needed:]]:
        kinds = [fault] if len(strikes) < needed else [fault, *frame.dice.sample(list(chosen), min(20, len(chosen)))]
        strike = next((found for kind in kinds if (found := _room(frame, kind, held))), None)
        if strike is None:
            return None
        strikes.append(strike)
    return strikes


def _size(fault: Fault) -> float:
    return fault.length_s[1]


def _room(frame: _Frame, fault: Fault, held: Held) -> Strike | None:
    dice, duration_s, layout = frame.dice, frame.duration_s, frame.layout
    for _ in range(_TRIES):
        target = dice.choice(list(fault.targets(layout)))
        length_s = frame.haste * dice.uniform(*fault.length_s)
        lasts_s = held_s(fault, layout, target, length_s)
        if lasts_s > duration_s:
            continue
        begin = dice.uniform(0, duration_s - lasts_s)
        takes = fault.takes(layout, target)
        if _free(takes, begin - REST_S, begin + lasts_s + REST_S, held):
            for name in takes:
                held.setdefault(name, []).append((begin, begin + lasts_s))
            return Strike(begin, fault.name, target, length_s, dice.randrange(1 << 32))
    return None


def _free(names: Collection[str], begin: float, end: float, held: Held) -> bool:
    return not any(begin < till and since < end for name in names for since, till in held.get(name, ()))
