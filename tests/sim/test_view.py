"""The limits of a sensor's eyes: each of them holds, can be switched off, and is the same again for its seed."""

import itertools
import math
import statistics
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_sim.scene import Line, Scene, Walker
from footfall_sim.view import IWR6843, LD2450, Eyes, Sight, Slots, Tracker, Tracking, View

FRAME_S = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """A path that leads nowhere."""

    def at(self, s: float) -> tuple[float, float, float, float]:
        return 0.0, 0.0, 0.0, 0.0


def somebody(number: int, x: float, y: float) -> Walker:
    """Stands at a place of the ground for ever."""
    return Walker(number, Standing(), Line(x, y, x, y + 1), 0.0, -math.inf, math.inf, 1.7)


def numbers(seen: list[Sight]) -> list[int]:
    return [sight.number for sight in seen]


PEOPLE = st.lists(st.tuples(st.floats(-12, 12), st.floats(-3, 12)), max_size=12).map(
    lambda places: [somebody(number + 1, x, y) for number, (x, y) in enumerate(places)]
)


@given(people=PEOPLE)
def test_perfect_eyes_see_everybody_where_they_are(people: list[Walker]) -> None:
    """Without a weakness all are seen, exactly, nearest first, frame after frame."""
    view = View(Eyes(), 1)
    for t in (0.0, 0.1, 5.0):
        seen = view.look(t, people)

        assert sorted(numbers(seen)) == [one.number for one in people]
        assert all((sight.x, sight.y) == people[sight.number - 1].at(t)[:2] for sight in seen)
        assert [math.hypot(one.x, one.y) for one in seen] == sorted(math.hypot(one.x, one.y) for one in seen)
        assert not view.dropped()


@given(people=PEOPLE, eyes=st.sampled_from((LD2450, IWR6843)), seed=st.integers(0, 99))
def test_no_limit_is_ever_passed(people: list[Walker], eyes: Eyes, seed: int) -> None:
    """Never more targets than the sensor has, nobody beyond its range or beside its field, no error above 10 cm."""
    view = View(replace(eyes, ghosts_per_min=60.0), seed)
    for frame in range(20):
        seen = view.look(frame * 0.09, people)

        assert len(seen) <= eyes.most
        for sight in seen:
            if sight.ghost:
                x, y = sight.x, sight.y
            else:
                x, y = people[sight.number - 1].at(0)[:2]
                assert abs(sight.x - x) <= 0.1 + 1e-9
                assert abs(sight.y - y) <= 0.1 + 1e-9
            assert math.hypot(x, y) <= eyes.range_m
            assert abs(math.degrees(math.atan2(x, y))) <= eyes.half_angle_deg + 1e-9


def test_the_two_sensors_have_the_limits_of_their_documents() -> None:
    """LD2450: 6 m, 60 degrees, three targets; IWR6843: 10 m, 60 degrees, twenty tracks."""
    assert (LD2450.range_m, LD2450.half_angle_deg, LD2450.most) == (6, 60, 3)
    assert (IWR6843.range_m, IWR6843.half_angle_deg, IWR6843.most) == (10, 60, 20)


def test_range_field_and_number_limit_what_is_seen() -> None:
    """Just within and just beyond each of them; of too many the nearest are seen."""
    people = [
        somebody(1, 0, 5.9),
        somebody(2, 0, 6.1),
        somebody(3, 2.9 * math.sin(math.radians(59)), 2.9 * math.cos(math.radians(59))),
        somebody(4, 3 * math.sin(math.radians(-61)), 3 * math.cos(math.radians(61))),
        somebody(5, 0, -1),
    ]

    assert numbers(View(Eyes(range_m=6), 1).look(0, people)) == [5, 3, 4, 1]
    assert numbers(View(Eyes(half_angle_deg=60), 1).look(0, people)) == [3, 1, 2]
    assert numbers(View(Eyes(most=2), 1).look(0, people)) == [5, 3]
    assert numbers(View(Eyes(most=0), 1).look(0, people)) == []


def test_who_stands_right_behind_another_is_hidden() -> None:
    """By half a body's width to either side of the line of sight; not beside it, not from the other direction."""
    near, body = somebody(1, 0, 2), Eyes(body_m=0.45)

    assert numbers(View(body, 1).look(0, [near, somebody(2, 0.2, 4)])) == [1]
    assert numbers(View(body, 1).look(0, [near, somebody(2, -0.2, 4)])) == [1]
    assert numbers(View(body, 1).look(0, [near, somebody(2, 0.6, 4)])) == [1, 2]
    assert numbers(View(body, 1).look(0, [near, somebody(2, 0, -4)])) == [1, 2]
    assert numbers(View(body, 1).look(0, [somebody(2, 0, 1), near])) == [2]
    assert numbers(View(Eyes(), 1).look(0, [near, somebody(2, 0.0, 4)])) == [1, 2]


def test_errors_have_their_size_and_last_as_long_as_they_should() -> None:
    """About the deviation asked for, without a bias; neighbouring frames alike only if errors last."""
    one = [somebody(1, 0, 3)]
    for memory, correlation in ((0.0, 0.0), (0.3, math.exp(-0.1 / 0.3))):
        view = View(Eyes(noise_m=0.04, noise_memory_s=memory), 1)
        errors = [view.look(frame / 10, one)[0].x for frame in range(4000)]

        assert statistics.mean(errors) == pytest.approx(0, abs=0.01)
        assert statistics.stdev(errors) == pytest.approx(0.04, rel=0.1)
        assert statistics.correlation(errors[1:], errors[:-1]) == pytest.approx(correlation, abs=0.06)


def test_ghosts_come_as_often_as_asked_and_do_not_stay() -> None:
    """12 a minute for 50 minutes: 600 up to four deviations; each lasts 0.2 to 3 s; some sit still, some jump."""
    view = View(Eyes(ghosts_per_min=12), 1)
    frames: Counter[int] = Counter()
    places: dict[int, set[tuple[float, float]]] = {}
    for frame in range(30_000):
        for sight in view.look(frame / 10, []):
            assert sight.ghost
            frames[sight.number] += 1
            places.setdefault(sight.number, set()).add((sight.x, sight.y))

    assert abs(len(frames) - 600) < 4 * math.sqrt(600)
    assert max(frames.values()) <= 31
    jumping = [number for number, seen in places.items() if len(seen) > 1]
    assert 0.25 < len(jumping) / len(places) < 0.6


def test_frames_are_dropped_as_often_as_asked() -> None:
    """One in a hundred, within four deviations."""
    view = View(Eyes(drop=0.01), 1)

    assert abs(sum(view.dropped() for _ in range(20_000)) - 200) < 4 * math.sqrt(198)


def test_a_covered_sensor_sees_nobody() -> None:
    """While it is blind; afterwards as before."""
    view = View(Eyes(), 1)
    view.blind = True

    assert view.look(0, [somebody(1, 0, 2)]) == []
    view.blind = False
    assert numbers(view.look(1, [somebody(1, 0, 2)])) == [1]


def test_the_same_seed_sees_the_same_and_weaknesses_do_not_mix() -> None:
    """A view can be had again; ghosts switched off leave the errors of the others as they were."""
    eyes, people = replace(LD2450, ghosts_per_min=30.0, most=100), [somebody(1, 0, 3), somebody(2, 1, 2)]

    def seen(eyes: Eyes, seed: int) -> list[list[Sight]]:
        view = View(eyes, seed)
        return [view.look(frame / 10, people) for frame in range(200)]

    real = [[sight for sight in frame if not sight.ghost] for frame in seen(eyes, 1)]
    assert seen(eyes, 1) == seen(eyes, 1)
    assert seen(eyes, 1) != seen(eyes, 2)
    assert seen(eyes, 1) != real
    assert real == seen(replace(eyes, ghosts_per_min=0.0), 1)


@pytest.mark.parametrize(
    "wrong",
    [{"range_m": 0}, {"half_angle_deg": 181}, {"most": -1}, {"noise_m": -1}, {"drop": 1.1}, {"ghost_s": (2, 1)}],
)
def test_eyes_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    """Each weakness has its limits."""
    with pytest.raises(ValueError, match=r"eyes|noise|ghosts"):
        Eyes(**wrong)  # type: ignore[arg-type]


SEEN = st.lists(st.lists(st.integers(1, 6), max_size=3, unique=True), max_size=40)


@given(frames=SEEN, seed=st.integers(0, 99), shuffle=st.floats(0, 1))
def test_every_sight_has_one_slot(frames: list[list[int]], seed: int, shuffle: float) -> None:
    """Whoever comes and goes: the slots hold those of the frame, each once, and as many empty ones as are left."""
    slots = Slots(3, seed, shuffle=shuffle)
    for frame in frames:
        put = slots.put([Sight(number, 0, number, 0, 0, 1.7) for number in frame])

        assert len(put) == 3
        assert Counter(None if sight is None else sight.number for sight in put) == Counter(
            [*frame, *[None] * (3 - len(frame))]
        )


def test_a_slot_is_kept_for_a_while_but_is_nobodys_name() -> None:
    """Mostly a target stays where it was; with the default it moves every now and then, without shuffling never."""
    two = [Sight(1, 0, 1, 0, 0, 1.7), Sight(2, 0, 2, 0, 0, 1.7)]

    def moves(shuffle: float) -> int:
        slots = Slots(3, 1, shuffle=shuffle)
        return sum(a != b for a, b in itertools.pairwise(slots.put(two) for _ in range(1000)))

    assert moves(0.0) == 0
    assert 20 < moves(0.05) < 80


def sight(number: int, x: float = 0.0) -> Sight:
    return Sight(number, x, 3.0, 1.0, 0.5, 1.7)


def test_a_track_needs_frames_lasts_through_gaps_and_ends() -> None:
    """Allocated with the third frame, going straight on for two frames without its person, gone with the third."""
    tracker = Tracker(Tracking(allocate=3, hold=2), 1)
    lengths = [len(tracker.step([sight(1)], FRAME_S)) for _ in range(3)]
    (first,) = tracker.step([], FRAME_S)
    held = (first.missed, first.x, first.y)
    (second,) = tracker.step([], FRAME_S)

    assert lengths == [0, 0, 1]
    assert held == (1, pytest.approx(0.05), pytest.approx(3.025))
    assert (second.missed, second.x) == (2, pytest.approx(0.1))
    assert tracker.step([], FRAME_S) == []
    assert tracker.step([sight(1)], FRAME_S) == []


def test_a_person_who_comes_back_in_time_keeps_the_number() -> None:
    """A gap shorter than `hold` does not change the track; the frames to allocate must be without a gap."""
    tracker = Tracker(Tracking(allocate=2, hold=5), 1)
    tracker.step([sight(1)], FRAME_S)
    tracker.step([], FRAME_S)
    assert tracker.step([sight(1)], FRAME_S) == []
    ((before),) = tracker.step([sight(1)], FRAME_S)
    tid = before.tid
    for _ in range(5):
        tracker.step([], FRAME_S)
    (after,) = tracker.step([sight(1, 0.3)], FRAME_S)

    assert (after.tid, after.missed, after.x) == (tid, 0, 0.3)


def test_numbers_are_used_again_after_all_the_others() -> None:
    """With five numbers, people one after the other get 0, 1, 2, 3, 4, 0, 1, ..."""
    tracker = Tracker(Tracking(allocate=1, hold=0, ids=5, most=2), 1)
    tids = []
    for number in range(1, 13):
        tids += [track.tid for track in tracker.step([sight(number)], FRAME_S)]
        tracker.step([], FRAME_S)

    assert tids == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


@given(frames=st.lists(st.sets(st.integers(1, 12)), max_size=80), losses=st.floats(0, 600), seed=st.integers(0, 99))
def test_two_people_never_have_one_number(frames: list[set[int]], losses: float, seed: int) -> None:
    """At any time: numbers 0 to 7, each once, at most five tracks, sorted; whoever is lost, comes and goes."""
    tracker = Tracker(Tracking(allocate=2, hold=3, losses_per_min=losses, ids=8, most=5), seed)
    for frame in frames:
        tracks = tracker.step([sight(number) for number in sorted(frame)], FRAME_S)
        tids = [track.tid for track in tracks]

        assert len(tids) <= 5
        assert tids == sorted(set(tids))
        assert set(tids) <= set(range(8))
        assert len({track.number for track in tracks}) == len(tracks)


def test_a_lost_track_comes_back_with_another_number() -> None:
    """Ten losses a minute over half an hour, about as often; without losses one number for ever."""

    def numbers_of(losses: float) -> list[int]:
        tracker = Tracker(Tracking(losses_per_min=losses, ids=250), 1)
        found = [tid for _ in range(36_000) for tid in (track.tid for track in tracker.step([sight(1)], FRAME_S))]
        return [tid for tid, _ in itertools.groupby(found)]

    assert numbers_of(0.0) == [0]
    assert 200 < len(numbers_of(10.0)) < 380
    assert numbers_of(10.0)[:3] == [0, 1, 2]


def test_acceleration_is_the_change_of_velocity() -> None:
    """From 1.0 to 1.2 m/s within 50 ms are 4 m/s²."""
    tracker = Tracker(Tracking(allocate=1), 1)
    tracker.step([sight(1)], FRAME_S)
    (track,) = tracker.step([replace(sight(1), vx=1.2)], FRAME_S)

    assert (track.ax, track.ay) == (pytest.approx(4.0), pytest.approx(0.0))


def test_trackers_that_cannot_be_are_refused() -> None:
    """More tracks than numbers, more numbers than there are, or a track before a frame."""
    for wrong in ({"ids": 10, "most": 11}, {"ids": 251}, {"allocate": 0}, {"hold": -1}):
        with pytest.raises(ValueError, match="track"):
            Tracking(**wrong)


def test_couples_are_often_hidden_at_a_line_straight_ahead() -> None:
    """On a line along the boresight two people side by side stand behind each other when they cross."""
    scene = Scene.crowd(1, 30, seconds=300, groups=(0.0, 1.0))
    presence, eyes = scene.presence(), View(Eyes(body_m=0.45), 1)
    hidden = 0
    for frame in range(3000):
        people = presence.at(frame / 10)
        hidden += len(people) - len(eyes.look(frame / 10, people))

    assert hidden > 300
