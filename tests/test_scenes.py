"""Every driver before the simulator's people: the bytes of its sensor, framer and session, in virtual time."""

import random

import pytest
from bench.scenes import DRIVERS, SLOT_S, Outcome, driver, noisy, play, sensor, truth

from footfall_sim.scene import IN, OUT, Scene

STEADY_MS = 5000
"""Of the time of a scene so much may not be measured: the beginning, and what is under way at the end."""

EARLY_S = 0.5
"""Somebody who crosses so soon after a slot has ended may be counted in it."""


def easy(name: str, seed: int, each_way: int, turning: int) -> tuple[Scene, Outcome]:
    """The easy scene before the sensor of a driver, and what that counted."""
    scene = Scene.easy(seed, per_direction=each_way, turning=turning)
    return scene, play(sensor(name, scene, seed=seed, weaknesses=noisy), driver(name), scene.seconds)


def is_exact(name: str, scene: Scene, outcome: Outcome) -> None:
    """Every crossing is there once, the right way, in its slot or the next one; and all the time is measured.

    In the slot before it only whoever crossed right after that ended: a place is up to 10 cm wrong, and a total that is
    read a moment after the slot stands for its end.
    """
    assert outcome.passages == truth(scene), name
    assert outcome.unplaced == 0
    late = 0
    for way in (IN, OUT):
        crossed = sorted(crossing.at_s for crossing in scene.crossings() if crossing.direction == way)
        counted = sorted(slot for slot, direction in outcome.by_slot.elements() if direction == way)
        for at_s, slot in zip(crossed, counted, strict=True):
            assert (at_s - EARLY_S) // SLOT_S <= slot <= at_s // SLOT_S + 1, f"{name}: crossed at {at_s:.2f} s"
            late += slot > at_s // SLOT_S
    assert late <= truth(scene).total() / 5
    assert abs(outcome.measured_ms - (scene.seconds + 30) * 1000) < 10_000 + STEADY_MS
    assert (outcome.bad_frames, outcome.skipped_bytes) == (0, 0)


@pytest.mark.parametrize("name", DRIVERS)
def test_in_an_easy_scene_every_driver_is_exact(name: str) -> None:
    """One at a time, 0.6 to 2 m/s, some turn back on the line; positions up to 10 cm wrong, 1 % of frames lost."""
    scene, outcome = easy(name, seed=11, each_way=25, turning=4)

    assert truth(scene) == {IN: 25, OUT: 25}
    is_exact(name, scene, outcome)


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", DRIVERS)
def test_in_a_long_easy_scene_every_driver_is_exact(name: str, seed: int) -> None:
    """200 crossings in each direction and 20 people who turn back."""
    scene, outcome = easy(name, seed, each_way=200, turning=20)

    assert truth(scene) == {IN: 200, OUT: 200}
    is_exact(name, scene, outcome)


@pytest.mark.parametrize("loss", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("name", DRIVERS)
def test_bytes_that_are_lost_make_up_nobody(name: str, loss: float) -> None:
    """What a driver counts on a bad line is never more than what crossed; of totals nothing is missing in the end."""
    dice = random.Random(f"{name} {loss}")

    def lossy(data: bytes) -> bytes:
        return bytes(byte for byte in data if dice.random() >= loss)

    scene = Scene.easy(5, per_direction=15, turning=2)
    outcome = play(sensor(name, scene, seed=5), driver(name), scene.seconds, disturb=lossy)

    assert outcome.passages <= truth(scene)
    if name in {"modbus", "line-json", "reference"}:
        assert outcome.passages == truth(scene)
