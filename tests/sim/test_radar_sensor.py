"""Radars as sensors of a simulation: people are seen to walk up to the line, and cross it when the truth says so."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from footfall_sim.control import FaultOrder, OrderError
from footfall_sim.faults import Fault
from footfall_sim.runner import Runner
from footfall_sim.scene import LOOKAHEAD_S
from footfall_sim.settings import SimSettings
from sim.counter_bench import Bench

PERFECT = {"weaknesses": {"noise_m": 0, "drop": 0, "ghosts_per_h": 0}}
STEP_S = 0.05


def signed(value: int) -> float:
    """Sign and magnitude, as the LD2450 has it; millimetres to metres."""
    return (value & 0x7FFF) / 1000 * (1 if value & 0x8000 else -1)


def seen_by_ld2450(data: bytes) -> Iterator[tuple[float, float]]:
    """The first target of each frame that has one: x, y in metres."""
    assert len(data) % 30 == 0
    for at in range(0, len(data), 30):
        assert data[at : at + 4] == bytes.fromhex("AAFF0300")
        assert data[at + 28 : at + 30] == bytes.fromhex("55CC")
        for slot in range(at + 4, at + 28, 8):
            if any(data[slot : slot + 8]):
                yield tuple(map(signed, struct.unpack_from("<HH", data, slot)))  # type: ignore[misc]  # two of them


def seen_by_ti(data: bytes) -> Iterator[tuple[float, float]]:
    """The targets of all frames: x, y in metres."""
    while data:
        assert data[:8] == bytes.fromhex("0201040306050807")
        length, blocks = struct.unpack_from("<I", data, 12)[0], struct.unpack_from("<I", data, 32)[0]
        at = 40
        for _ in range(blocks):
            kind, size = struct.unpack_from("<II", data, at)
            if kind == 1010:
                yield from (struct.unpack_from("<ff", data, at + 8 + 112 * n + 4) for n in range(size // 112))
            at += 8 + size
        data = data[length:]


MAKES = {"ld2450": seen_by_ld2450, "ti-people": seen_by_ti}


def watch(bench: Bench, seconds: float) -> bytes:
    """All bytes of so much time, read as they come."""
    data = b""
    for _ in range(round(seconds / STEP_S)):
        bench.turn(STEP_S)
        data += bench.port.read(bench.port.in_waiting)
    bench.port.timeout = 0.2
    return data + bench.port.read(65_536)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize(("direction", "sign"), [(0, 1), (1, -1)])
def test_somebody_crosses_the_line_when_the_truth_says(tmp_path: Path, make: str, direction: int, sign: int) -> None:
    """Walks up for some seconds before, from the left to the right for `in`, and is in the truth at the crossing."""
    with Bench(tmp_path, protocol=make, **PERFECT) as bench:
        bench.cross(direction)
        assert bench.truth.totals == {}
        before = [x for x, _ in MAKES[make](watch(bench, LOOKAHEAD_S - 0.2))]
        assert bench.truth.totals == {}
        assert bench.sensor.waiting > 0
        after = [x for x, _ in MAKES[make](watch(bench, 1.2))]

        assert len(before) > 10
        assert before[0] * sign < -1
        assert before[-1] * sign < 0 < after[-1] * sign
        assert bench.truth.totals == {direction: 1}


@pytest.mark.parametrize("make", MAKES)
def test_a_crossing_is_reported_once_it_was_read(tmp_path: Path, make: str) -> None:
    """Nothing is open once the frames are with the host, and nothing waits once the people have left."""
    with Bench(tmp_path, protocol=make, **PERFECT) as bench:
        bench.cross(0, 1, 1)
        watch(bench, LOOKAHEAD_S + 8)
        bench.turn(STEP_S)
        watch(bench, STEP_S)

        assert bench.truth.totals == {0: 1, 1: 2}
        assert (bench.truth.open, bench.sensor.waiting) == (0, 0)
        assert bench.truth.never_reported == {}


def test_a_crossing_that_nobody_could_see_was_never_reported(tmp_path: Path) -> None:
    """A silent radar's crossing is lost with its power; its people walk on through the power failure."""
    with Bench(tmp_path, protocol="ld2450", **PERFECT) as bench:
        bench.sensor.suffer(Fault.SILENCE, bench.now, None)
        bench.cross(0)
        bench.turn(2)
        bench.cross(1)
        watch(bench, LOOKAHEAD_S - 1)
        bench.sensor.suffer(Fault.REBOOT, bench.now, None)
        bench.sensor.heal(bench.now)
        seen = list(seen_by_ld2450(watch(bench, 4)))

        assert bench.truth.totals == {0: 1, 1: 1}
        assert bench.truth.never_reported == {0: 1}
        assert bench.truth.boots == 2
        assert seen[-1][0] < 0


def test_a_stuck_radar_sees_nobody(tmp_path: Path) -> None:
    """Frames come, empty, and those who cross meanwhile are in the truth as missed."""
    with Bench(tmp_path, protocol="ld2450", **PERFECT) as bench:
        bench.cross(0)
        bench.sensor.suffer(Fault.STUCK, bench.now, None)
        data = watch(bench, LOOKAHEAD_S + 0.5)

        assert len(data) > 3_000
        assert list(seen_by_ld2450(data)) == []
        assert (bench.truth.totals, len(bench.truth.missed)) == ({}, 1)
        assert bench.sensor.status(bench.now)["closed_totals"] == {}


def test_the_line_and_the_mounting_are_those_of_the_settings(tmp_path: Path) -> None:
    """A line across the boresight is crossed straight ahead: `in` goes towards the sensor here."""
    line = {"from": [2, 3], "to": [-2, 3]}
    with Bench(tmp_path, protocol="ld2450", line=line, **PERFECT) as bench:
        bench.cross(0)
        ys = [y for _, y in seen_by_ld2450(watch(bench, LOOKAHEAD_S + 1))]

        assert min(ys) < 3 < max(ys)
        assert ys[0] < ys[-1]


def test_people_of_the_street_walk_before_a_radar(tmp_path: Path) -> None:
    """They cross at their moments, the first ones as soon as they could have walked up to the line."""
    with Bench(tmp_path, at_least_per_min=600, protocol="ld2450", daily_mean=0, **PERFECT) as bench:
        begin = bench.now
        coming = watch(bench, LOOKAHEAD_S - 0.5)
        assert bench.truth.passages == []
        watch(bench, 3.5)
        passages = bench.truth.passages

        assert len(list(seen_by_ld2450(coming))) > 3
        assert len(passages) > 3
        utc = bench.sensor._utc(begin)
        assert passages[0].utc_s >= utc + LOOKAHEAD_S - 0.01
        assert passages[-1].utc_s <= utc + LOOKAHEAD_S + 4


def test_a_radar_cannot_imagine_passages(tmp_path: Path) -> None:
    """The mode in which a counter counts nobody needs a counter."""
    options = {"state_dir": tmp_path, "pedestrians": False, "sensor": [{"id": "a", "protocol": "ld2450"}]}
    with Runner(SimSettings.from_options(options)) as runner:
        with pytest.raises(OrderError, match="a is a radar, which cannot count"):
            runner._obey(FaultOrder(fault="stuck", mode="repeat"))
        assert runner.run(lambda: True).lost == []
