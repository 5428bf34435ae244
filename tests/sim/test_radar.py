"""A radar as a whole: its bytes, read by the documents alone, tell of the people who were there."""

import itertools
import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from footfall_sim.radar import LEAD_S, MAKES, RESTART_S, Mounting, Radar, RadarDevice, Weaknesses
from footfall_sim.scene import LOOKAHEAD_S, Line, Manners, PassagesInOrder, Scene
from footfall_sim.ti_people import PROFILES
from footfall_sim.view import IWR6843, LD2450, Eyes, Tracking

PERFECT = Weaknesses(Eyes(most=3), shuffle=0.0, tracking=Tracking(allocate=1, hold=0))


def ld2450_frames(data: bytes) -> Iterator[list[tuple[float, float]]]:
    """The targets (m) of each frame of a clean recording."""
    assert len(data) % 30 == 0
    for at in range(0, len(data), 30):
        frame = data[at : at + 30]
        assert (frame[:4], frame[28:]) == (b"\xaa\xff\x03\x00", b"\x55\xcc")
        words = [struct.unpack_from("<2H", frame, 4 + 8 * slot) for slot in range(3) if any(frame[4 + 8 * slot :][:8])]
        yield [
            tuple(((word & 0x7FFF) if word & 0x8000 else -word) / 1000 for word in pair)  # type: ignore[misc]
            for pair in words
        ]


def ti_frames(data: bytes) -> Iterator[tuple[int, dict[int, tuple[float, float, float]]]]:
    """Frame number and the targets' positions by number, of each frame of a clean recording (40-byte headers)."""
    begin = 0
    while begin < len(data):
        assert data[begin : begin + 8] == bytes.fromhex("0201040306050807")
        _, length, _, number, _, _, blocks, _ = struct.unpack_from("<8I", data, begin + 8)
        at, targets = begin + 40, {}
        for _ in range(blocks):
            kind, size = struct.unpack_from("<2I", data, at)
            if kind == 1010:
                for start in range(at + 8, at + 8 + size, 112):
                    tid, *position = struct.unpack_from("<I3f", data, start)
                    targets[tid] = tuple(position)
            at += 8 + size
        yield number, targets  # type: ignore[misc]
        begin += length


def count(places: list[float | None], hysteresis: float = 0.25) -> dict[int, int]:
    """Passages of one person at a time, by the side (m) on which he is seen; None: nobody is seen."""
    found, side, unseen = {0: 0, 1: 0}, 0, 0
    for x in places:
        unseen = unseen + 1 if x is None else 0
        if unseen > 8:
            side = 0
        if x is not None and abs(x) > hysteresis:
            new = 1 if x > 0 else -1
            if side and new != side:
                found[0 if new > 0 else 1] += 1
            side = new
    return found


def played(make: str, scene: Scene, mounting: Mounting | None = None, **how: object) -> tuple[bytes, Radar]:
    radar = Radar(make, scene.presence(), mounting, **how)  # type: ignore[arg-type]
    return radar.advance(scene.seconds), radar


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("per_direction", [10, pytest.param(200, marks=pytest.mark.full)])
def test_what_the_sensors_send_of_the_easy_scene_can_be_counted_exactly(seed: int, per_direction: int) -> None:
    """With errors of up to 10 cm and lost frames the simplest of counters finds each passage, and no other."""
    scene = Scene.easy(seed, per_direction=per_direction, turning=per_direction // 10)
    sent, _ = played("ld2450", scene, seed=seed)
    tracked, _ = played("ti-people", scene, Mounting(2.5, 15), seed=seed)
    seen = [frame[0][0] if frame else None for frame in ld2450_frames(sent)]
    seen_too = [next(iter(targets.values()))[0] if targets else None for _, targets in ti_frames(tracked)]

    assert count(seen) == {0: per_direction, 1: per_direction}
    assert count(seen_too) == {0: per_direction, 1: per_direction}


def test_places_are_within_ten_centimetres_of_the_truth() -> None:
    """Turned back to the ground, what either sensor says of a person in the easy scene is never further off."""
    scene = Scene.easy(1, per_direction=4, turning=1)
    for make, mounting, weaknesses in (
        ("ld2450", Mounting(2.2), Weaknesses(replace(LD2450, drop=0))),
        ("ti-people", Mounting(2.2, 20), Weaknesses(replace(IWR6843, drop=0))),
    ):
        radar = Radar(make, scene.presence(), mounting, weaknesses=weaknesses)
        truth = scene.presence()
        looked = 0
        while (at := radar.due(0.0)) < scene.seconds:
            data, people = radar.advance(at), truth.at(at)
            if make == "ld2450":
                (frame,) = ld2450_frames(data)
                places = [(x, math.sqrt(max(0.0, y * y - 1.2 * 1.2))) for x, y in frame]
            else:
                ((_, targets),) = ti_frames(data)
                a = math.radians(20)
                places = [(x, y * math.cos(a) + z * math.sin(a)) for x, y, z in targets.values()]
            for (x, y), person in itertools.product(places, people):
                assert abs(person.at(at)[0] - x) <= 0.101
                assert abs(person.at(at)[1] - y) <= 0.101 or make == "ti-people"
                looked += 1
            assert len(places) <= 1
        assert looked > 200


@pytest.mark.parametrize("make", MAKES)
def test_frames_come_at_the_sensors_pace_however_one_looks(make: str) -> None:
    """About 11 and exactly 20 a second; looked at in steps of any size, the bytes are the same."""
    scene = Scene.crowd(1, 60, seconds=30)
    whole, radar = played(make, scene)
    stepwise = Radar(make, scene.presence())
    parts = b"".join(stepwise.advance(step * 0.0137) for step in range(round(30 / 0.0137) + 1))
    sent = {"ld2450": (320, 340), "ti-people": (580, 601)}[make]

    assert sent[0] <= radar.frames <= sent[1]
    both = min(len(whole), len(parts))
    assert whole[:both] == parts[:both]
    assert abs(len(whole) - len(parts)) < 2000


@pytest.mark.parametrize("make", MAKES)
def test_the_same_seed_gives_the_same_bytes(make: str) -> None:
    """Two runs are alike byte for byte; another seed is not."""
    scene = Scene.crowd(1, 60, seconds=28)

    assert played(make, scene, seed=5)[0] == played(make, scene, seed=5)[0]
    assert played(make, scene, seed=5)[0] != played(make, scene, seed=6)[0]


def test_numbers_of_frames_and_targets_are_those_of_the_bytes() -> None:
    """What a radar says that it sent is what a reader finds; a dropped frame is in neither, but its number is used."""
    scene = Scene.crowd(1, 60, seconds=35)
    sent, radar = played("ld2450", scene)
    tracked, tracking = played("ti-people", scene)
    read, read_too = list(ld2450_frames(sent)), list(ti_frames(tracked))

    assert (radar.frames, radar.targets) == (len(read), sum(map(len, read)))
    assert (tracking.frames, tracking.targets) == (len(read_too), sum(len(targets) for _, targets in read_too))
    numbers = [number for number, _ in read_too]
    assert numbers == sorted(set(numbers))
    assert 0 < numbers[-1] - len(numbers) < 30


def test_a_restart_begins_the_frame_numbers_again() -> None:
    """The sensor is silent for a second, then sends frame 1, with new tracks."""
    radar = Radar("ti-people", Scene.crowd(1, 60, seconds=60).presence(), weaknesses=PERFECT)
    before = list(ti_frames(radar.advance(30.01)))
    radar.restart(30.01)
    silent = radar.advance(30.01 + RESTART_S - 0.01)
    after = list(ti_frames(radar.advance(35.0)))

    assert (len(before), before[-1][0]) == (601, 601)
    assert silent == b""
    assert after[0][0] == 1
    assert radar.restarts == 1
    assert len(after) == 80


def test_a_tracker_uses_few_numbers_again_and_an_empty_place_is_heartbeats() -> None:
    """In the easy scene each person has one number, of five; between people frames are headers alone."""
    data, radar = played(
        "ti-people", Scene.easy(1, per_direction=4, turning=0), weaknesses=Weaknesses(tracking=Tracking(ids=5, most=5))
    )
    frames = list(ti_frames(data))
    tids = [tid for tid, _ in itertools.groupby(next(iter(targets), None) for _, targets in frames) if tid is not None]

    assert len(tids) == 8
    assert tids == [0, 1, 2, 3, 4, 0, 1, 2]
    assert sum(not targets for _, targets in frames) > 200
    assert bytes.fromhex("28000000 43680A00") in data
    assert radar.restarts == 0


def test_profiles_are_obeyed() -> None:
    """The bytes are of the firmware that is asked for."""
    scene = Scene.easy(1, per_direction=1, turning=0)
    padded, radar = played("ti-people", scene, profile=PROFILES["3d-people-tracking"])

    assert len(padded) % 32 == 0
    assert len(padded) >= 64 * radar.frames


def at_intervals(seconds: float, step: float, *, first: float = 0.0) -> PassagesInOrder:
    return PassagesInOrder((first + step * number, number % 2, number % 5) for number in range(round(seconds / step)))


@pytest.mark.parametrize("make", MAKES)
def test_a_device_tells_of_each_passage_when_it_happens(make: str) -> None:
    """Each passage after the first seconds, in order, with its class, not before its moment and at the next look."""
    device = RadarDevice(make, at_intervals(120, 2.3), Line(), Mounting(2.0), seed=1, weaknesses=PERFECT)
    told, most = [], 0
    for step in range(1, 600):
        device.advance(step / 4)
        fresh = device.crossed()
        told += fresh
        most = max(most, device.kept)
        assert all(step / 4 - 0.25 < crossing.at_s <= step / 4 for crossing in fresh)
    expected = [(at, way, class_) for at, way, class_ in at_intervals(120, 2.3).take(200) if at >= LOOKAHEAD_S]

    assert [(one.at_s, one.direction, one.class_) for one in told] == expected
    assert most < 25
    assert device.idle


def test_a_device_counts_exactly_the_passages_of_its_stream() -> None:
    """One at a time: what its bytes show is what it tells."""
    walkers = PassagesInOrder((12.0 + 12 * number, number % 3 % 2, 0) for number in range(30))
    device = RadarDevice("ld2450", walkers, seed=1)
    seen = [frame[0][0] if frame else None for frame in ld2450_frames(device.advance(400.0))]

    assert count(seen) == Counter(crossing.direction for crossing in device.crossed()) == {0: 20, 1: 10}


def test_a_fast_day_has_more_people_but_no_faster_ones() -> None:
    """At ten times the speed ten times as many come a minute, at moments translated, and walk as ever."""
    start, utc = 1000.0, 1_764_000_000.0
    device = RadarDevice(
        "ti-people",
        at_intervals(3600, 60, first=utc),
        people_s=lambda now: utc + (now - start) * 10,
        moment=lambda people: start + (people - utc) / 10,
        start_s=start,
        weaknesses=PERFECT,
    )
    data = device.advance(start + 100)
    told = device.crossed()
    speeds = [
        math.dist(a[tid], b[tid]) / 0.05
        for (_, a), (_, b) in itertools.pairwise(ti_frames(data))
        for tid in a.keys() & b.keys()
    ]

    assert [one.at_s for one in told] == pytest.approx([start + 6 * number for number in range(2, 17)])
    assert sum(speed < 5 for speed in speeds) > 0.99 * len(speeds)


def test_people_can_be_stopped_started_and_sent() -> None:
    """Stopped, those who are there walk on and nobody comes; started, people come again; sent ones cross in time."""
    device = RadarDevice("ld2450", at_intervals(300, 2.0), seed=1, manners=Manners(speeds=(0.9, 2.0)))
    device.advance(30.0)
    device.crossed()
    device.stop_walking()
    device.advance(60.0)
    last = device.crossed()
    device.send(1, 0, 4, 60.0)
    device.advance(60.0 + LEAD_S + 1)
    sent = device.crossed()
    device.advance(90.0)
    idle = device.idle
    device.start_walking(90.0)
    device.advance(120.0)
    again = device.crossed()

    assert all(30 < one.at_s < 36 for one in last)
    assert [(one.at_s, one.direction) for one in sent] == [(66.0, 1)] * 3 + [(67.0, 1)]
    assert idle
    assert device.walking
    assert [one.at_s for one in again] == [float(at) for at in range(100, 121, 2)]


def test_a_covered_device_goes_on_sending_and_the_truth_goes_on() -> None:
    """While the view is blind its frames have no targets; passages are told all the same."""
    device = RadarDevice("ld2450", at_intervals(100, 2.0), seed=1)
    device.view.blind = True
    frames = list(ld2450_frames(device.advance(60.0)))

    assert len(frames) > 600
    assert not any(frames)
    assert len(device.crossed()) == 26


def test_sensors_that_cannot_be_are_refused() -> None:
    """Another make, a tilted or four-eyed LD2450, a mounting in the clouds."""
    presence = Scene.easy(1, per_direction=1).presence()
    for wrong, sentence in (
        (lambda: Radar("xy-1", presence), "no sensor 'xy-1'; there are ld2450, ti-people"),
        (lambda: Radar("ld2450", presence, Mounting(2, 10)), "mounted level"),
        (lambda: Radar("ld2450", presence, weaknesses=Weaknesses(Eyes(most=4))), "3 targets at most, not 4"),
        (lambda: Mounting(100), "0 to 20 m high"),
    ):
        with pytest.raises(ValueError, match=sentence):
            wrong()
