"""The walking people: what they are said to do is what they do, found by following their steps and nothing else."""

import itertools
import math
import statistics
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_sim.pedestrians import Pedestrians, Place, Stream
from footfall_sim.scene import (
    LOOKAHEAD_S,
    Approaching,
    Crossing,
    Line,
    Manners,
    PassagesInOrder,
    Presence,
    Scene,
    Strays,
    Walker,
    walkers_of,
)

STEP_S = 0.02
SEEDS = st.integers(0, 10_000)
LINES = st.builds(
    lambda x, y, angle, length: Line(x, y, x + length * math.cos(angle), y + length * math.sin(angle)),
    st.floats(-5, 5),
    st.floats(0, 8),
    st.floats(0, math.tau),
    st.floats(2, 10),
)


def side_of(line: Line, x: float, y: float) -> float:
    """Which side of the line a point is on: positive on the right, by the cross product; no code of the simulator's."""
    return (line.x2 - line.x1) * (line.y1 - y) + (x - line.x1) * (line.y2 - line.y1)


def part_of(line: Line, x: float, y: float) -> float:
    """Where along the line a point is: 0 at its first point, 1 at its second."""
    dx, dy = line.x2 - line.x1, line.y2 - line.y1
    return ((x - line.x1) * dx + (y - line.y1) * dy) / (dx * dx + dy * dy)


def sampled_crossings(walker: Walker, line: Line) -> list[tuple[float, int]]:
    """(moment, direction) of each change of side within the line's extent, by looking every STEP_S."""
    count = round((walker.leaves_s - walker.enters_s) / STEP_S)
    times = [walker.enters_s + number * STEP_S for number in range(count + 1)]
    places = [(t, *walker.at(t)[:2]) for t in times]
    found = []
    for (before, x0, y0), (_, x1, y1) in itertools.pairwise(places):
        old, new = side_of(line, x0, y0), side_of(line, x1, y1)
        if (old < 0) != (new < 0) and 0 <= part_of(line, x1, y1) <= 1:
            found.append((before + STEP_S * old / (old - new), int(old > new)))
    return found


def everybody(scene: Scene) -> list[Walker]:
    return scene.walkers().until(scene.seconds)


def pairs(crossings: list[Crossing]) -> list[tuple[float, int]]:
    return [(crossing.at_s, crossing.direction) for crossing in crossings]


@settings(max_examples=25)
@given(seed=SEEDS, line=LINES)
def test_the_truth_of_the_easy_scene_is_what_the_steps_show(seed: int, line: Line) -> None:
    """Moments and directions of all crossings are the changes of side, with every kind of walker, on any line."""
    scene = Scene.easy(seed, line, per_direction=6, turning=4, twice=2, beside=4)
    sampled = [crossing for walker in everybody(scene) for crossing in sampled_crossings(walker, line)]
    truth = pairs(scene.crossings())

    assert Counter(direction for _, direction in truth) == {0: 6, 1: 6}
    assert [direction for _, direction in sorted(sampled)] == [direction for _, direction in truth]
    assert [t for t, _ in sorted(sampled)] == pytest.approx([t for t, _ in truth], abs=STEP_S / 2)


@settings(max_examples=15)
@given(seed=SEEDS, per_min=st.floats(5, 150), line=LINES)
def test_the_truth_of_a_crowd_is_what_the_steps_show(seed: int, per_min: float, line: Line) -> None:
    """The same for people who come together and meet, with many who turn, pass beside or cross twice."""
    strays = Strays(turning=0.3, beside=0.3, twice=0.3)
    scene = Scene.crowd(seed, per_min, line, seconds=60, strays=strays)
    sampled = [
        crossing for walker in scene.walkers().until(60 + LOOKAHEAD_S) for crossing in sampled_crossings(walker, line)
    ]
    truth = pairs(scene.crossings())
    seen = sorted(crossing for crossing in sampled if crossing[0] <= 60)

    for way in (0, 1):  # of two who meet on the line the steps do not show who was first
        moments = [t for t, direction in truth if direction == way]
        assert [t for t, direction in seen if direction == way] == pytest.approx(moments, abs=STEP_S / 2)


def test_the_default_line_is_crossed_inwards_towards_the_right() -> None:
    """Along the boresight, direction 0 walks to +x and direction 1 to -x."""
    for walker in everybody(Scene.easy(3, per_direction=5, turning=0)):
        (crossing,) = walker.crossings
        vx = walker.at(crossing.at_s)[2]

        assert (vx > 0) == (crossing.direction == 0)
        assert walker.at(crossing.at_s)[0] == pytest.approx(0, abs=1e-9)


def test_the_easy_scene_is_the_one_that_is_asked_for() -> None:
    """200 each way and 20 who turn back, shuffled; alone, 3 s apart; 0.6 to 2.0 m/s; within 30 degrees."""
    line = Line()
    walkers = everybody(Scene.easy(1))
    kinds = [tuple(crossing.direction for crossing in walker.crossings) for walker in walkers]
    speeds, angles = [], []
    for walker in walkers:
        if walker.crossings:
            for number in range(round((walker.leaves_s - walker.enters_s) / 0.05)):
                _, _, vx, vy = walker.at(walker.enters_s + 0.05 * number)
                speeds.append(math.hypot(vx, vy))
                angles.append(math.degrees(math.atan2(vy, abs(vx))))

    assert Counter(kinds) == {(0,): 200, (1,): 200, (): 20}
    assert 30 < sum(a != b for a, b in itertools.pairwise(kinds)) < 400
    assert all(b.enters_s - a.leaves_s >= 3 for a, b in itertools.pairwise(walkers))
    assert 0.6 <= min(speeds) < 0.75
    assert 1.8 < max(speeds) <= 2.0
    assert -30 <= min(angles) < -25
    assert 25 < max(angles) <= 30
    assert line.length_m == 6


def test_who_turns_back_comes_up_to_the_line_and_not_beyond() -> None:
    """They get within 15 cm of the line, on the side they come from, and leave on that side again."""
    line = Line()
    walkers = [walker for walker in everybody(Scene.easy(2, per_direction=0, turning=20)) if not walker.crossings]
    for walker in walkers:
        steps = round((walker.leaves_s - walker.enters_s) / STEP_S)
        sides = [walker.at(walker.enters_s + STEP_S * number)[0] for number in range(steps + 1)]

        assert len({side < 0 for side in sides}) == 1
        assert min(map(abs, sides)) <= 0.16
        assert abs(sides[0]) > 2.9
        assert abs(sides[-1]) > 2.8
    assert len(walkers) == 20
    assert {walker.at(walker.enters_s)[0] < 0 for walker in walkers} == {True, False}
    assert line.coordinates(1, 2) == (1, 2)


def test_without_being_alone_people_meet_but_cross_apart() -> None:
    """With `alone` false the moments at the line are 3 s apart, and several people are there at a time."""
    scene = Scene.easy(5, per_direction=40, turning=0, alone=False)
    moments = [t for t, _ in pairs(scene.crossings())]
    presence = scene.presence()

    assert len(moments) == 80
    assert min(b - a for a, b in itertools.pairwise(moments)) >= 3
    assert max(len(presence.at(t / 10)) for t in range(round(scene.seconds * 10))) > 1


def test_a_scene_is_the_same_again_for_its_seed() -> None:
    """A scene can be played twice; another seed is another scene."""
    easy, again = Scene.easy(4, per_direction=5), Scene.easy(4, per_direction=5)
    crowd = Scene.crowd(4, 40, seconds=120)

    assert everybody(easy) == everybody(easy) == everybody(again)
    assert everybody(crowd) == everybody(crowd) == everybody(Scene.crowd(4, 40, seconds=120))
    assert everybody(easy) != everybody(Scene.easy(5, per_direction=5))
    assert everybody(crowd) != everybody(Scene.crowd(5, 40, seconds=120))


def test_a_crowd_is_as_dense_as_asked() -> None:
    """Crossings per minute within four standard deviations of a process of groups, both ways about alike."""
    scene = Scene.crowd(1, 60, seconds=1820, strays=Strays())
    crossings = scene.crossings()
    mean = (0.6 + 0.3 * 2 + 0.1 * 3) / 1
    squares = (0.6 + 0.3 * 4 + 0.1 * 9) / 1

    assert abs(len(crossings) - 1800) < 4 * math.sqrt(1800 * squares / mean)
    assert 0.4 < statistics.mean(crossing.direction for crossing in crossings) < 0.6
    assert crossings[0].at_s >= LOOKAHEAD_S
    assert crossings[-1].at_s <= 1820 - LOOKAHEAD_S + 0.3


def test_those_who_come_together_walk_side_by_side() -> None:
    """Members of a group have one speed and one direction, and keep at least half a metre apart where there is room."""
    scene = Scene.crowd(2, 10, seconds=600, groups=(0.0, 1.0), strays=Strays())
    couples = [
        (a, b)
        for a, b in itertools.pairwise(sorted(everybody(scene), key=lambda walker: walker.middle_s))
        if b.middle_s - a.middle_s < 0.3 and a.crossings[0].direction == b.crossings[0].direction
    ]
    gaps = [math.dist(a.at(a.middle_s)[:2], b.at(a.middle_s)[:2]) for a, b in couples]

    assert len(couples) > 30
    assert all(abs(math.hypot(*a.at(a.middle_s)[2:]) - math.hypot(*b.at(b.middle_s)[2:])) < 0.4 for a, b in couples)
    assert min(gaps) > 0.5


PASSAGES = st.lists(st.tuples(st.floats(0, 120), st.sampled_from((0, 1)), st.integers(0, 4)), max_size=40).map(sorted)


@settings(max_examples=50)
@given(passages=PASSAGES, seed=SEEDS, line=LINES, steps=st.integers(1, 400))
def test_walkers_of_passages_cross_when_the_passages_say(
    passages: list[tuple[float, int, int]], seed: int, line: Line, steps: int
) -> None:
    """Whatever comes, each passage is one walker who crosses at that moment that way, whenever one looks."""
    presence = Presence(walkers_of(PassagesInOrder(passages), line, seed))
    met: dict[int, Walker] = {}
    crossed: list[Crossing] = []
    for number in range(steps + 1):
        now = -20 + 160 * number / steps
        met |= {walker.number: walker for walker in presence.at(now)}
        fresh = presence.crossed()
        crossed += fresh
        assert all(crossing.at_s <= now for crossing in fresh)

    assert Counter((one.at_s, one.direction, one.class_) for one in crossed) == Counter(passages)
    assert [one.at_s for one in crossed] == sorted(at_s for at_s, _, _ in passages)
    for walker in met.values():
        (truth,) = walker.crossings
        (found,) = sampled_crossings(walker, line)
        assert found == (pytest.approx(truth.at_s, abs=STEP_S / 2), truth.direction)
        assert 0.5 < truth.at_s - walker.enters_s <= LOOKAHEAD_S
    if steps >= 400:
        assert len(met) == len(passages)


def test_a_stream_of_a_street_is_walked_with_bounded_memory() -> None:
    """The people of a simulated street, for a busy hour: all cross, and only those of the moment are kept."""
    start = datetime(2024, 6, 1, 10, tzinfo=UTC).timestamp()
    people = Pedestrians(Place("a", 40_000), seed=1, zone=ZoneInfo("Europe/Berlin"))
    walkers = walkers_of(Stream(people, start), Line(), 1)
    presence = Presence(walkers)
    most, crossed = 0, []
    for tenth in range(36_000):
        presence.at(start + tenth / 10)
        crossed += presence.crossed()
        most = max(most, walkers.kept + presence.kept)
    expected = Stream(people, start).take(start + 3599.9)

    assert [(one.at_s, one.direction, one.class_) for one in crossed] == expected
    assert len(expected) > 1000
    assert most < 200


def test_a_walker_is_met_as_soon_as_he_enters() -> None:
    """The stream is read far enough ahead: nobody appears later than he should, also those who walk very slowly."""
    slow = Manners(speeds=(0.15, 0.25))
    for manners in (Manners(), slow):
        passages = PassagesInOrder((20.0 + 2 * number, number % 2, 0) for number in range(50))
        presence = Presence(walkers_of(passages, Line(), 1, manners=manners))
        met: dict[int, float] = {}
        for step in range(600):
            for walker in presence.at(step / 4):
                met.setdefault(walker.number, step / 4 - walker.enters_s)
                assert walker.crossings[0].at_s - walker.enters_s <= LOOKAHEAD_S

        assert len(met) == 50
        assert all(0 <= late <= 0.25 for late in met.values())


def test_nobody_crosses_where_another_just_does() -> None:
    """Of people who cross within a second of each other few do so within 60 cm, although most could."""
    scene = Scene.crowd(3, 60, seconds=600, groups=(1.0,), strays=Strays())
    walkers = sorted(everybody(scene), key=lambda walker: walker.middle_s)
    gaps = [
        math.dist(a.at(a.middle_s)[:2], b.at(b.middle_s)[:2])
        for a, b in itertools.pairwise(walkers)
        if b.middle_s - a.middle_s < 1
    ]

    assert len(gaps) > 200
    assert sum(gap < 0.6 for gap in gaps) < 0.1 * len(gaps)


def test_classes_walk_and_are_tall_as_they_are() -> None:
    """A cyclist is faster than anybody else, a child and a wheelchair lower than a pedestrian."""
    passages = [(10.0 + 3 * number, number % 2, number % 5) for number in range(500)]
    walkers = walkers_of(PassagesInOrder(passages), Line(), 1).until(math.inf)
    speed = {
        class_: statistics.mean(math.hypot(*one.at(one.middle_s)[2:]) for one in walkers if one.class_ == class_)
        for class_ in range(5)
    }
    height = {class_: statistics.mean(one.height_m for one in walkers if one.class_ == class_) for class_ in range(5)}

    assert len(walkers) == 500
    assert max(speed[0], speed[1], speed[3], speed[4]) < 1.6 < speed[2] - 0.9
    assert speed[0] > 1.2
    assert max(height[1], height[3]) < 1.4 < height[0] - 0.3 < 1.5


def test_nobody_comes_who_is_forgotten_and_others_can_be_sent() -> None:
    """`forget` lets those stay away who have not entered; `send` lets one more cross at a moment."""
    walkers = Approaching(PassagesInOrder([(5.0, 0, 0), (40.0, 1, 0)]), Line(), 1)
    presence = Presence(walkers)
    presence.at(4.0)
    walkers.forget()
    walkers.send(12.0, 1, 3)
    presence.at(30.0)

    assert [(one.at_s, one.direction, one.class_) for one in presence.crossed()] == [(5.0, 0, 0), (12.0, 1, 3)]
    with pytest.raises(ValueError, match="classes 0 to 4, not 255"):
        walkers.send(50.0, 0, 255)


def test_time_does_not_go_back() -> None:
    """A presence that is asked for an earlier moment refuses; it has forgotten."""
    presence = Scene.easy(1, per_direction=1).presence()
    presence.at(5.0)

    with pytest.raises(ValueError, match="time does not go back"):
        presence.at(4.0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Line(1, 1, 1, 1), "two different points"),
        (lambda: Manners(speeds=(0.0, 2.0)), "speeds"),
        (lambda: Manners(speeds=(1.0, 1.0)), "speeds"),
        (lambda: Manners(within_deg=80), "degrees"),
        (lambda: Manners(stretch=(0.7, 0.2)), "stretch"),
        (lambda: Manners(reach_m=1.0), "between it and the end"),
        (lambda: Manners(short_m=(0.5, 0.1)), "turn back"),
        (lambda: Scene.easy(1, per_direction=3, twice=4), "4 of 3"),
        (lambda: Scene.crowd(1, 0), "per minute"),
        (lambda: Scene.crowd(1, 10).crossings(), "endless"),
    ],
)
def test_scenes_that_cannot_be_are_refused(wrong: object, sentence: str) -> None:
    """A line without a length, impossible manners and the like get a sentence."""
    with pytest.raises(ValueError, match=sentence):
        wrong()  # type: ignore[operator]


def test_manners_are_kept() -> None:
    """Other speeds, angles and places are obeyed as well as the usual ones."""
    manners = replace(Manners(), speeds=(1.0, 1.3), within_deg=10, stretch=(0.5, 0.5), reach_m=2.0)
    for walker in everybody(Scene.easy(1, per_direction=20, turning=0, manners=manners)):
        _, y, vx, vy = walker.at(walker.middle_s)

        assert 1.0 <= math.hypot(vx, vy) <= 1.3
        assert abs(math.degrees(math.atan2(vy, abs(vx)))) <= 10
        assert y == pytest.approx(3.0)
        assert abs(walker.at(walker.enters_s)[0]) < 2.2
