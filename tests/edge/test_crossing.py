"""Crossings of a line: back and forth counts, standing on it does not, past its ends does not."""

import itertools
import math
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_contract.words import Direction
from footfall_edge.crossing import Crossing, Lines
from footfall_edge.geometry import CountingLine, Target
from footfall_edge.tracking import Track, follow

LINE = CountingLine(first=(0, 0), last=(0, 4))
"""Straight ahead: towards +x is in."""
IN, OUT = Direction.IN, Direction.OUT


def walked(points: Iterable[tuple[float, float]], *lines: CountingLine) -> list[Crossing]:
    """The crossings of one person who was seen at `points`."""
    state, tracks, found, free = Lines(lines or (LINE,)), tuple[Track, ...](), list[Crossing](), 0
    for x, y in points:
        tracks, free = follow(tracks, [Target(x, y, 1)], free)
        state, crossings = state.after(tracks)
        found += crossings
    return found


def way(*corners: tuple[float, float], step: float = 0.1) -> list[tuple[float, float]]:
    """Points every `step` metres along straight lines between corners."""
    points = [corners[0]]
    for (x1, y1), (x2, y2) in itertools.pairwise(corners):
        steps = max(1, round(math.dist((x1, y1), (x2, y2)) / step))
        points += [(x1 + (x2 - x1) * i / steps, y1 + (y2 - y1) * i / steps) for i in range(1, steps + 1)]
    return points


def test_from_left_to_right_is_in() -> None:
    """As seen from the line's first point to its last; the other way is out. It says where."""
    (one,) = walked(way((-1, 2), (1, 2)))
    (other,) = walked(way((1, 3), (-1, 3)))

    assert (one.direction, one.line, round(one.x, 3), round(one.y, 3)) == (IN, 0, 0, 2)
    assert (other.direction, round(other.y, 3)) == (OUT, 3)


@pytest.mark.parametrize("angle", [0, 37, 90, 180, 245, 301])
def test_a_line_may_lie_in_any_way(angle: float) -> None:
    """Left and right are those of the line, not those of the page."""
    turn = math.radians(angle)

    def turned(x: float, y: float) -> tuple[float, float]:
        return x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)

    line = CountingLine(first=turned(0, 0), last=turned(0, 4))
    points = [turned(*point) for point in way((-1, 2), (1, 2), (-1, 2.5))]

    assert [one.direction for one in walked(points, line)] == [IN, OUT]


def test_every_crossing_counts() -> None:
    """Whoever goes back and comes again has passed three times."""
    assert [one.direction for one in walked(way((-1, 2), (1, 2), (-1, 2), (1, 2)))] == [IN, OUT, IN]


def test_standing_on_the_line_counts_nobody() -> None:
    """However often somebody sways over it."""
    swaying = [(0.2 * math.sin(i), 2.0) for i in range(500)]

    assert walked([*way((-1, 2), (0, 2)), *swaying, *way((0, 2), (-1, 2))]) == []
    assert [one.direction for one in walked([*way((-1, 2), (0, 2)), *swaying, *way((0, 2), (1, 2))])] == [IN]


def test_turning_back_on_the_line_counts_nobody() -> None:
    """Coming as far as the line is no crossing."""
    assert walked(way((-1, 2), (0.1, 2), (-1, 2))) == []


def test_past_the_ends_counts_nobody() -> None:
    """What matters is where the line was crossed, not where the track was clearly on a side."""
    assert walked(way((-1, 4.5), (1, 4.5))) == []
    assert walked(way((-1, -0.5), (1, -0.5))) == []
    # Through the line at 3.8 m, but at 4.6 m when it is clearly beyond.
    assert len(walked(way((-0.5, 1.8), (0.5, 5.8)))) == 1
    # Past its end at 4.4 m, and back to 3 m behind it.
    assert walked(way((-1, 4.4), (0.1, 4.4), (0.3, 3.0), (1, 3.0))) == []


def test_a_track_must_be_old_enough() -> None:
    """Noise that jumps over the line within its first frames is nobody; a real one is counted as soon as it is old."""
    jump = [(-0.5, 2.0), (0.5, 2.0)]

    assert walked(jump) == []
    assert [one.direction for one in walked([*jump, *way((0.5, 2), (1.5, 2))])] == [IN]


def test_a_track_that_ends_on_the_line_did_not_cross_it() -> None:
    """Nor did one that begins there: where it came from is not known."""
    assert walked(way((-1, 2), (0.2, 2))) == []
    assert walked(way((0.1, 2), (-1, 2))) == []
    assert walked(way((-0.2, 2), (1, 2))) == []


def test_a_number_that_is_used_again_is_somebody_else() -> None:
    """One person leaves on the left, another with the same number appears on the right: nobody crossed."""
    state, found, free = Lines((LINE,)), list[Crossing](), 0
    tracks: tuple[Track, ...] = ()
    for x in [-1.4, -1.3, -1.2, -1.1, -1.0, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9]:
        tracks, free = follow(tracks, [Target(x, 2, 7)], free)
        state, crossings = state.after(tracks)
        found += crossings

    assert found == []


def test_several_lines_count_each_for_itself() -> None:
    """Each crossing says which line it was."""
    other = CountingLine(first=(1, 0), last=(1, 4))

    assert [(one.line, one.direction) for one in walked(way((-1, 2), (2, 2)), LINE, other)] == [(0, IN), (1, IN)]


def test_a_frame_without_the_track_changes_nothing() -> None:
    """A track that is not seen for a while has not moved; over the line it is counted when it is seen again."""
    state, found, free = Lines((LINE,)), list[Crossing](), 0
    tracks: tuple[Track, ...] = ()
    for number, (x, y) in enumerate(way((-1, 2), (1, 2))):
        tracks, free = follow(tracks, [] if number in (9, 10, 11) else [Target(x, y, 1)], free)
        state, crossings = state.after(tracks)
        found += crossings

    assert [one.direction for one in found] == [IN]


@given(st.integers(0, 2**32), st.floats(0.6, 2.0), st.booleans())
def test_noise_of_ten_centimetres_changes_no_count(seed: int, speed: float, back: bool) -> None:
    """Somebody who walks through the line is counted once, at any speed of walking, with 11 frames a second."""
    dice = random.Random(seed)
    corners = [(-1.5, 2.0), (1.5, 2.0)]
    points = way(*(corners[::-1] if back else corners), step=speed / 11)
    noisy = [(x + dice.uniform(-0.1, 0.1), y + dice.uniform(-0.1, 0.1)) for x, y in points]

    assert [one.direction for one in walked(noisy)] == [OUT if back else IN]
