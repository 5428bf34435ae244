"""Take times so that what disturbs the machine disturbs everybody: the contestants take turns, the median counts."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Times = Mapping[str, list[float]]
"""Seconds of each round by contestant; the same place in two lists is the same round."""


def interleaved(contestants: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """Call each contestant once to warm up, then all of them in turn, `rounds` times."""
    for work in contestants.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            seconds[name].append(timed(work))
    return seconds


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def rates(amount: float, seconds: Sequence[float]) -> list[float]:
    """Things a second of each round."""
    return [amount / one for one in seconds]


def times_as_fast(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """How many times as fast as `theirs` we were, by round; both are seconds for the same work."""
    return [their / our for our, their in zip(ours, theirs, strict=True)]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; of two neighbours the higher one, nothing is interpolated."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True)
class Spread:
    """What several rounds came to."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float] | float) -> "Spread":
        """Of the values of the rounds, or of one that was measured once."""
        values = [values] if isinstance(values, int | float) else values
        return cls(median(values), min(values), max(values), len(values))
