"""The bar charts that the server draws: where bars stand, what a gap is, how the axis is divided."""

import pytest

from footfall_api.pages.drawing import bars, nice_ticks


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (10, [0, 5, 10]),
        (4813, [0, 2000, 4000, 6000]),
        (400, [0, 100, 200, 300, 400]),
    ],
)
def test_an_axis_has_round_numbers(most: int, ticks: list[int]) -> None:
    """Steps are 1, 2 or 5 times a power of ten, and the last is not below the highest bar."""
    assert nice_ticks(most) == ticks


def test_bars_are_as_high_as_their_numbers() -> None:
    """Heights are in proportion; 0 is a bar of no height, None is no bar at all."""
    drawn = bars([10, 20, 0, None], labels=[(0, "1.")], unit="Passagen", number=str, gaps=[(3, 4)])

    assert [round(box.height / drawn.whole[0].height, 1) for box in drawn.whole] == [1, 2, 0]
    assert all(round(box.y + box.height, 1) == drawn.base for box in drawn.whole)
    assert drawn.whole[1].y == pytest.approx(drawn.rows[-1].at, abs=0.1)


def test_a_gap_is_a_band_from_top_to_bottom() -> None:
    """What was not measured is as wide as its days and as high as the chart, beside the bars and not one of them."""
    drawn = bars([5, None, None, 5], labels=[], unit="Passagen", number=str, gaps=[(1, 3)])
    (gap,) = drawn.gaps

    assert gap.width == pytest.approx((drawn.right - drawn.left) / 2, abs=0.2)
    assert gap.height == pytest.approx(drawn.base - drawn.top)
    assert len(drawn.whole) == 2


def test_a_bar_measured_in_part_is_told_apart() -> None:
    """It is drawn as another kind of bar."""
    drawn = bars([5, 4], labels=[], unit="Passagen", number=str, partial=[1])

    assert (len(drawn.whole), len(drawn.partial)) == (1, 1)


def test_remarks_are_numbered_above_the_bars() -> None:
    """Each has a bracket over its days, in order, and the bars make room for it."""
    plain = bars([5, 5, 5, 5], labels=[], unit="Passagen", number=str)
    drawn = bars([5, 5, 5, 5], labels=[], unit="Passagen", number=str, remarks=[(0, 2), (3, 4)])

    assert [one.number for one in drawn.brackets] == [1, 2]
    assert drawn.brackets[0].width == pytest.approx(2 * drawn.brackets[1].width, abs=0.2)
    assert drawn.top > plain.top


def test_nothing_at_all_can_be_drawn() -> None:
    """A period without a day has an axis and no bars."""
    assert bars([], labels=[], unit="Passagen", number=str).whole == ()
