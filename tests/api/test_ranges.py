"""Stretches of time: what they have in common and what they lack, held against the seconds themselves."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from footfall_api.ranges import Range, common, intervals_of, merged, seconds_by_interval, without

bounds = st.integers(-20, 60)
loose = st.lists(st.tuples(bounds, bounds), max_size=6)
lists = loose.map(merged)


def seconds(ranges: list[Range]) -> set[int]:
    """Each second of some ranges."""
    return {second for start, end in ranges for second in range(start, end)}


def is_in_order(ranges: list[Range]) -> bool:
    """Whether no range is empty, overlaps or touches another, or comes too late."""
    moments = [moment for range_ in ranges for moment in range_]
    return moments == sorted(set(moments))


@given(loose)
def test_merging_keeps_all_time_and_orders_it(ranges: list[Range]) -> None:
    """Whatever order, overlap or emptiness the ranges have."""
    found = merged(ranges)

    assert seconds(found) == seconds(ranges)
    assert is_in_order(found)


@given(lists, lists)
def test_what_two_have_in_common_and_what_one_has_alone(one: list[Range], other: list[Range]) -> None:
    """They are the intersection and the difference, and again in order."""
    both, alone = common(one, other), without(one, other)

    assert seconds(both) == seconds(one) & seconds(other)
    assert seconds(alone) == seconds(one) - seconds(other)
    assert is_in_order(alone)


@given(lists, st.lists(bounds, min_size=2, max_size=8, unique=True).map(sorted))
def test_seconds_are_told_apart_by_interval(ranges: list[Range], edges: list[int]) -> None:
    """Each interval has its seconds of the ranges, and a range names the intervals it touches."""
    inside = [range(start, end) for start, end in pairwise(edges)]

    assert seconds_by_interval(ranges, edges) == [len(seconds(ranges).intersection(each)) for each in inside]
    for range_ in ranges:
        touched = [i for i, each in enumerate(inside) if seconds([range_]).intersection(each)]
        assert list(intervals_of(range_, edges)) == touched
