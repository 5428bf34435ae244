"""Targets become tracks: with the sensor's own numbers, or by what fits best."""

import itertools
import math
import random

import pytest

from footfall_edge.geometry import Target
from footfall_edge.tracking import GATE_M, MOST_MISSES, Track, associate, follow


def seen(tracks: tuple[Track, ...]) -> dict[int, tuple[float, float]]:
    """Where the tracks that were seen in the latest frame are."""
    return {track.id: (round(track.x, 2), round(track.y, 2)) for track in tracks if track.seen}


def test_a_target_near_where_a_track_was_expected_is_that_track() -> None:
    """Its age grows; the place in the frame plays no part."""
    tracks, free = associate((), [Target(0, 1), Target(2, 1)], 0)
    tracks, free = associate(tracks, [Target(2.1, 1), Target(0.1, 1)], free)

    assert seen(tracks) == {0: (0.1, 1), 1: (2.1, 1)}
    assert [track.age for track in tracks] == [2, 2]
    assert free == 2


def test_two_who_meet_keep_their_ways() -> None:
    """They walk towards each other and past: what each was about to do tells them apart."""
    tracks, free = (), 0
    for step in range(30):
        x = -1.55 + 0.1 * step
        targets = [Target(x, 2.0), Target(-x, 2.05)]
        tracks, free = associate(tracks, targets if step % 2 else targets[::-1], free)

    assert free == 2
    assert {track.id: (track.x > 0, track.y) for track in tracks} == {1: (True, 2.0), 0: (False, 2.05)}


def test_the_best_for_all_is_better_than_the_best_for_one() -> None:
    """The nearest pair first would leave the other target without a track it belongs to."""
    tracks = (Track(0, 0.0, 0), Track(1, 0.5, 0))
    tracks, _ = associate(tracks, [Target(0.4, 0), Target(0.9, 0)], 2)

    assert seen(tracks) == {0: (0.4, 0), 1: (0.9, 0)}


def test_whoever_is_too_far_away_is_somebody_else() -> None:
    """Nobody jumps a metre between two frames."""
    tracks, free = associate((), [Target(0, 1)], 0)
    tracks, free = associate(tracks, [Target(1.0, 1)], free)

    assert free == 2
    assert seen(tracks) == {1: (1.0, 1)}


def test_a_track_survives_some_frames_unseen_and_then_is_gone() -> None:
    """It goes on in the mind as it went; after too many frames it is given up."""
    tracks, free = associate((), [Target(0, 1)], 0)
    tracks, free = associate(tracks, [Target(0.1, 1)], free)
    for _ in range(4):
        tracks, free = associate(tracks, [], free)
    tracks, free = associate(tracks, [Target(0.6, 1)], free)

    assert seen(tracks) == {0: (0.6, 1)}

    for _ in range(MOST_MISSES + 1):
        tracks, free = associate(tracks, [], free)

    assert tracks == ()


def test_the_sensors_own_numbers_are_believed() -> None:
    """Also when two of its tracks are close; a number that is used again far away is somebody new."""
    tracks, free = follow((), [Target(0, 1, 7), Target(0.1, 1, 8)], 0)
    tracks, free = follow(tracks, [Target(0.1, 1, 7), Target(0.0, 1, 8)], free)

    assert seen(tracks) == {0: (0.1, 1), 1: (0.0, 1)}

    tracks, free = follow(tracks, [Target(4, 1, 7)], free)

    assert sorted((track.id, track.number, track.age, track.misses) for track in tracks) == [
        (0, None, 2, 1),
        (1, 8, 2, 1),
        (2, 7, 1, 0),
    ]


def test_somebody_whom_the_sensor_lost_and_found_under_another_number_is_the_same() -> None:
    """They walked behind somebody and come out where their way led; a number elsewhere is somebody new."""
    tracks, free = follow((), [Target(0.0, 1, 7)], 0)
    for step in range(1, 6):
        tracks, free = follow(tracks, [Target(0.1 * step, 1, 7)], free)
    for _ in range(6):
        tracks, free = follow(tracks, [], free)
    tracks, free = follow(tracks, [Target(1.3, 1.1, 9), Target(-2.0, 1.0, 10)], free)

    assert {track.number: track.id for track in tracks} == {9: 0, 10: 1}
    assert [track.age for track in tracks if track.number == 9] == [6]


def test_the_same_number_twice_in_a_frame_is_one_track() -> None:
    """A frame that was spoilt does not make two of one."""
    assert seen(follow((), [Target(0, 1, 7), Target(3, 1, 7)], 0)[0]) == {0: (0, 1)}


def test_a_crowd_does_not_take_for_ever() -> None:
    """Every target gets a track, whatever the frames are like."""
    dice = random.Random(3)
    tracks, free = (), 0
    for _ in range(200):
        targets = [Target(dice.uniform(-1, 1), dice.uniform(0, 2)) for _ in range(dice.randrange(6))]
        tracks, free = associate(tracks, targets, free)

        assert sorted((t.x, t.y) for t in tracks if t.seen) == sorted((t.x, t.y) for t in targets)


def test_a_crowd_that_gets_new_numbers_is_shared_out_at_once() -> None:
    """Where twenty come out from behind seven who were lost there are more ways than can ever be tried out."""
    dice = random.Random(1)

    def somewhere(first: int, number: int) -> list[Target]:
        return [Target(dice.uniform(0, 1), dice.uniform(0, 1), first + n) for n in range(number)]

    tracks, free = follow((), somewhere(0, 7), 0)
    tracks, free = follow(tracks, somewhere(100, 20), free)

    assert {track.number for track in tracks} == set(range(100, 120))
    assert {track.id for track in tracks} == set(range(20))  # each of the seven was found again
    assert free == 20


def test_no_other_way_to_share_tracks_out_is_better() -> None:
    """Compared with every way there is, in a crowd so close that many want the same track."""
    dice = random.Random(2)
    for _ in range(300):
        before = [Target(dice.uniform(0, 1.2), dice.uniform(0, 1.2)) for _ in range(dice.randrange(1, 5))]
        targets = [Target(dice.uniform(0, 1.2), dice.uniform(0, 1.2)) for _ in range(dice.randrange(1, 5))]
        tracks, free = associate((), before, 0)

        after, _ = associate(tracks, targets, free)

        at = {(track.x, track.y): track.id for track in after if track.seen}
        found = tuple(at[target.x, target.y] for target in targets)
        # A track of its own costs as much as the gate is wide.
        assert loss(before, targets, found) == pytest.approx(
            min(
                loss(before, targets, way)
                for way in itertools.product(range(-1, len(before)), repeat=len(targets))
                if len({one for one in way if one >= 0}) == sum(one >= 0 for one in way)
            )
        )


def loss(before: list[Target], targets: list[Target], way: tuple[int, ...]) -> float:
    """Squared metres that it costs to give each target the place of `before` that `way` says; others have none."""
    total = 0.0
    for target, number in zip(targets, way, strict=True):
        if 0 <= number < len(before):
            distance = math.dist((before[number].x, before[number].y), (target.x, target.y))
            total += distance**2 if distance <= GATE_M else math.inf
        else:
            total += GATE_M**2
    return total
