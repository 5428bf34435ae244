"""Time functions so that a noisy machine disturbs as little as it can, and print what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One line of a table: `amount` things in `seconds`."""

    name: str
    amount: float
    seconds: float

    @property
    def rate(self) -> float:
        """Things a second."""
        return self.amount / self.seconds


def best_of(work: Callable[[], object], rounds: int = 7) -> float:
    """Seconds of the fastest of `rounds` calls: what the machine can do when nobody disturbs it."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def show(title: str, unit: str, results: list[Result]) -> None:
    """A table of rates; the first line is ours, the others say how many times as fast ours is."""
    print(f"\n{title}")
    ours = results[0]
    for result in results:
        ratio = "" if result is ours else f"   footfall is {ours.rate / result.rate:.2f} × this"
        print(f"  {result.name:<44} {result.rate / 1e6:10.3f} million {unit}/s{ratio}")
