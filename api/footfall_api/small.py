"""Which small counts are withheld where classes are told apart.

"One wheelchair at 03:15" may be somebody's neighbour. So a city may choose a number below which no count of a class is
given, except 0. What is withheld must not follow from what is given beside it, in the same interval:

- A class of which one direction is small has all its directions withheld, or the small one were their difference from
  the class as a whole.
- If just one class of an interval is withheld, so is the one with the next smallest count, or the first were the
  difference between the total, which is always given, and the other classes.

The same count is withheld whether the question tells directions apart or not. Longer intervals are judged by
themselves: from an hour and three of its quarters the fourth may still follow, which docs/api.md says.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suppressed:
    """By class the intervals that are withheld: of its sum over the directions, and of each of its directions."""

    whole: list[frozenset[int]]
    by_direction: list[frozenset[int]]


def suppressed(cells: Sequence[Sequence[Sequence[int]]], size: int, below: int) -> Suppressed:
    """What is withheld of the counts ``cells[class][direction][interval]`` in `size` intervals."""
    whole: list[set[int]] = [set() for _ in cells]
    parts: list[set[int]] = [set() for _ in cells]
    for i in range(size):
        by_class = [[counts[i] for counts in directions] for directions in cells]
        sums = [sum(counts) for counts in by_class]
        small = {n for n, total in enumerate(sums) if 0 < total < below}
        split = small | {n for n, counts in enumerate(by_class) if any(0 < count < below for count in counts)}
        for hidden, among in ((small, whole), (split, parts)):
            for n in _with_another(hidden, sums):
                among[n].add(i)
    # A class that is withheld as a whole is withheld by direction, too.
    return Suppressed([*map(frozenset, whole)], [frozenset(w | p) for w, p in zip(whole, parts, strict=True)])


def _with_another(hidden: set[int], sums: Sequence[int]) -> set[int]:
    """The hidden classes, and where that is one alone another: the smallest, one of which nobody came at last."""
    others = [n for n in range(len(sums)) if n not in hidden]
    if len(hidden) != 1 or not others:
        return hidden
    return hidden | {min(others, key=lambda n: (not sums[n], sums[n], n))}
