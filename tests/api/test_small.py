"""Small counts of classes: what is withheld, and that it does not follow from what is given beside it."""

from hypothesis import given
from hypothesis import strategies as st

from footfall_api.small import suppressed

BELOW = 5
CELLS = st.integers(1, 5).flatmap(
    lambda classes: st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=classes, max_size=classes)
)


def _one(cells: list[list[int]]) -> tuple[set[int], set[int]]:
    """The classes withheld as a whole and by direction, in one interval."""
    found = suppressed([[[count] for count in directions] for directions in cells], 1, BELOW)
    return {n for n, i in enumerate(found.whole) if i}, {n for n, i in enumerate(found.by_direction) if i}


def test_a_small_class_takes_the_next_smallest_with_it() -> None:
    """The total is given: from it and all but one class the one would follow."""
    assert _one([[20, 20], [1, 1], [3, 6]]) == ({1, 2}, {1, 2})


def test_a_small_direction_takes_its_class_with_it_but_not_the_sum_of_both() -> None:
    """Seven children are given; that two of them went out would follow from the five that came in."""
    assert _one([[20, 20], [5, 2], [9, 9]]) == (set(), {1, 2})


def test_nobody_is_no_small_count() -> None:
    """0 means that nobody came, and is given."""
    assert _one([[20, 20], [0, 0], [9, 9]]) == (set(), set())


def test_beside_zeros_alone_a_zero_is_withheld() -> None:
    """One passage at night, all other classes 0: else it would be known who that was."""
    assert _one([[0, 0], [1, 0], [0, 0]]) == ({0, 1}, {0, 1})


@given(CELLS)
def test_no_small_count_is_given_or_follows(cells: list[list[int]]) -> None:
    """Neither a class nor one of its directions; and never is just one of several classes withheld."""
    whole, by_direction = _one(cells)
    for n, directions in enumerate(cells):
        if n not in whole:
            assert not 0 < sum(directions) < BELOW
        if n not in by_direction:
            assert not any(0 < count < BELOW for count in directions)
    assert whole <= by_direction
    if len(cells) > 1:
        assert len(whole) != 1
        assert len(by_direction) != 1


@given(CELLS, CELLS)
def test_intervals_are_judged_one_by_one(first: list[list[int]], second: list[list[int]]) -> None:
    """What happened in another interval changes nothing."""
    size = min(len(first), len(second))
    cells = [[[a, b] for a, b in zip(x, y, strict=True)] for x, y in zip(first[:size], second[:size], strict=True)]
    found = suppressed(cells, 2, BELOW)
    for i, one in enumerate((first[:size], second[:size])):
        whole, by_direction = _one(one)
        assert {n for n, hidden in enumerate(found.whole) if i in hidden} == whole
        assert {n for n, hidden in enumerate(found.by_direction) if i in hidden} == by_direction
