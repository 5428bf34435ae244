"""The faults themselves: as often as asked for, from seeded dice, and over when they are over."""

import math
import random

import pytest

from footfall_sim.faults import Ailment, Fault, Schedule, Wire

DATA = bytes(range(256)) * 400


def test_a_clean_wire_changes_nothing() -> None:
    """Without faults bytes pass as they are, however long it takes."""
    assert Wire(random.Random(1)).pass_on(DATA, 1000.0) == DATA


@pytest.mark.parametrize("loss", [0.001, 0.02, 1.0])
def test_bytes_are_lost_as_often_as_asked(loss: float) -> None:
    """The number of lost bytes is within four standard deviations; the others keep their order."""
    rest = Wire(random.Random(1), loss=loss).pass_on(DATA, 1.0)
    lost = len(DATA) - len(rest)

    assert abs(lost - loss * len(DATA)) <= 4 * math.sqrt(loss * (1 - loss) * len(DATA))
    left = iter(DATA)
    assert all(byte in left for byte in rest)


def test_bits_are_turned_as_often_as_asked() -> None:
    """A hit byte differs in exactly one bit, and one in fifty is hit."""
    rest = Wire(random.Random(1), flip=0.02).pass_on(DATA, 1.0)
    hits = [before ^ after for before, after in zip(DATA, rest, strict=True) if before != after]

    assert abs(len(hits) - 0.02 * len(DATA)) < 4 * math.sqrt(0.02 * len(DATA))
    assert {hit.bit_count() for hit in hits} == {1}
    assert len(set(hits)) == 8


def test_noise_comes_also_when_nobody_speaks() -> None:
    """Random bytes per second of time, on an idle line too; said bytes stay among them in their order."""
    wire = Wire(random.Random(1), noise_per_s=50.0)
    idle = wire.pass_on(b"", 100.0)
    among = wire.pass_on(b"ABC", 1.0)
    left = iter(among)

    assert abs(len(idle) - 5_000) < 300
    assert len(set(idle)) > 200
    assert all(byte in left for byte in b"ABC")
    assert sum(len(wire.pass_on(b"", 0.01)) for _ in range(10_000)) == pytest.approx(5_000, rel=0.1)


def test_the_same_dice_give_the_same_faults() -> None:
    """A run with its seed can be had again byte for byte."""
    runs = [Wire(random.Random(7), noise_per_s=9, flip=0.01, loss=0.01).pass_on(DATA, 2.0) for _ in range(2)]

    assert runs[0] == runs[1]
    assert runs[0] != Wire(random.Random(8), noise_per_s=9, flip=0.01, loss=0.01).pass_on(DATA, 2.0)


def test_an_ailment_lasts_as_long_as_it_lasts() -> None:
    """For its seconds, or until it is cleared."""
    ailment = Ailment()
    assert not ailment.on(0)
    ailment.start(10, 5)
    assert (ailment.on(14.9), ailment.on(15)) == (True, False)
    ailment.start(20, None)
    assert ailment.on(1e9)
    ailment.clear()
    assert not ailment.on(20)


def test_troubles_come_by_chance_as_often_as_asked() -> None:
    """60 an hour over 10 hours are 600, give or take; what was not asked for never comes."""
    schedule = Schedule(random.Random(1), {Fault.REBOOT: 60.0, Fault.STUCK: 0.0}, now=100.0)
    come = [fault for second in range(36_000) for fault in schedule.due(100.0 + second)]

    assert set(come) == {Fault.REBOOT}
    assert abs(len(come) - 600) < 100
