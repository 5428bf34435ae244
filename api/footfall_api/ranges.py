"""Stretches of time as lists of half-open ranges: what two have in common, or one without the other.

A list is in order, and its ranges are not empty and neither overlap nor touch. Bounds are whole UTC unix seconds.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import sub
from typing import Final

Range = tuple[int, int]

FAR_S: Final = 10**12
"""No time that anybody asks about is as far from the epoch as this, before or after."""


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The time of ranges that may be in any order, overlap, or be empty."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def common(one: Sequence[Range], other: Sequence[Range]) -> list[Range]:
    """The time that is in both."""
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        start, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if start < end:
            found.append((start, end))
        if one[i][1] <= other[j][1]:
            i += 1
        else:
            j += 1
    return found


def without(one: Sequence[Range], other: Sequence[Range]) -> list[Range]:
    """The time of `one` that is not in `other`."""
    if not other:
        return list(one)
    bounds = [-FAR_S, *(bound for range_ in other for bound in range_), FAR_S]
    return common(one, list(zip(bounds[::2], bounds[1::2], strict=True)))


def seconds_by_interval(ranges: Sequence[Range], edges_s: Sequence[int]) -> list[int]:
    """How many seconds of the ranges lie between each two neighbouring edges."""
    found = [0] * (len(edges_s) - 1)
    for start, end in common(ranges, [(edges_s[0], edges_s[-1])]):
        first, last = bisect_right(edges_s, start) - 1, bisect_right(edges_s, end - 1) - 1
        if first == last:
            found[first] += end - start
            continue
        found[first] += edges_s[first + 1] - start
        found[first + 1 : last] = map(sub, edges_s[first + 2 : last + 1], edges_s[first + 1 : last])
        found[last] += end - edges_s[last]
    return found


def intervals_of(range_: Range, edges_s: Sequence[int]) -> range:
    """The numbers of the intervals between the edges that a range touches."""
    start, end = max(range_[0], edges_s[0]), min(range_[1], edges_s[-1])
    if start >= end:
        return range(0)
    return range(bisect_right(edges_s, start) - 1, bisect_right(edges_s, end - 1))
