"""The bytes of the HLK-LD2450 against those of its documents, and the measurement it makes of a person."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_sim.ld2450 import Target, encode, target
from footfall_sim.view import Sight

EMPTY = "00" * 8


def slot(data: bytes) -> tuple[int, int, int, int]:
    """A slot read by the document: the top bit of x, y and speed says positive."""
    words = [int.from_bytes(data[at : at + 2], "little") for at in range(0, 8, 2)]
    x, y, speed = (word - 0x8000 if word & 0x8000 else -word for word in words[:3])
    return x, y, speed, words[3]


@pytest.mark.parametrize(
    ("expected", "targets"),
    [
        ("AAFF0300 0E03B18610004001" + EMPTY * 2 + "55CC", [Target(-782, 1713, -16, 320)]),
        ("AAFF0300 BE8A478E11006801" + EMPTY * 2 + "55CC", [Target(2750, 3655, -17, 360)]),
        ("AAFF0300 1001528300006801" + EMPTY * 2 + "55CC", [Target(-272, 850, 0)]),
        ("AAFF0300" + EMPTY * 3 + "55CC", []),
        ("AAFF0300" + EMPTY + "0E03B18610004001" + EMPTY + "55CC", [None, Target(-782, 1713, -16, 320)]),
        (
            "AAFF0300 1001528300006801 0E03B18610004001 BE8A478E11806801 55CC",
            [Target(-272, 850, 0), Target(-782, 1713, -16, 320), Target(2750, 3655, 17)],
        ),
    ],
)
def test_frames_are_those_of_the_documents(expected: str, targets: list[Target | None]) -> None:
    """The vendor's own example, two recorded ones, the frame of an empty room; any slot may be empty."""
    assert encode(targets) == bytes.fromhex(expected)


WORDS = st.integers(-32_767, 32_767)


@given(targets=st.lists(st.none() | st.builds(Target, WORDS, WORDS, WORDS, st.integers(1, 65_535)), max_size=3))
def test_every_frame_has_thirty_bytes_and_says_what_it_was_given(targets: list[Target | None]) -> None:
    """Header, footer and the length never change, and each slot reads as it was written."""
    frame = encode(targets)
    read = [slot(frame[at : at + 8]) for at in (4, 12, 20)]

    assert (len(frame), frame[:4].hex(), frame[-2:].hex()) == (30, "aaff0300", "55cc")
    assert read == [
        (0, 0, 0, 0) if one is None else (one.x_mm, one.y_mm, one.speed_cm_s, one.gate_mm)
        for one in [*targets, None, None, None][:3]
    ]


def test_what_does_not_fit_is_refused() -> None:
    """Four targets, or a number of more than 15 bits, are no frame."""
    with pytest.raises(ValueError, match="3 slots, not 4"):
        encode([None] * 4)
    for wrong in (Target(32_768, 1, 0), Target(0, -32_768, 0), Target(0, 1, 40_000)):
        with pytest.raises(ValueError, match="does not fit"):
            encode([wrong])


def test_a_radar_at_the_height_of_the_body_measures_on_the_ground() -> None:
    """Places in millimetres; 1.4 m/s straight away is +140 cm/s, towards it -140."""
    assert target(Sight(1, -0.5, 3.0, 0.0, 0.0, 1.7), 1.0) == Target(-500, 3000, 0)
    assert target(Sight(1, 0.0, 3.0, 0.0, 1.4, 1.7), 1.0) == Target(0, 3000, 140)
    assert target(Sight(1, 0.0, 3.0, 0.0, -1.4, 1.7), 1.0) == Target(0, 3000, -140)
    assert target(Sight(1, -2.0, 0.0, -1.0, 0.0, 1.7), 1.0) == Target(-2000, 0, 100)


def test_a_radar_that_hangs_higher_measures_the_slant() -> None:
    """From 4 m, 3 m above the middle of a body, 4 m on the ground are 5 m ahead; x stays; the speed is a part of it."""
    assert target(Sight(1, 0.7, 4.0, 0.0, 0.0, 1.7), 4.0) == Target(700, 5000, 0)
    assert target(Sight(1, 0.0, 4.0, 0.0, 1.0, 1.7), 4.0).speed_cm_s == 80
    assert target(Sight(1, 0.0, 0.0, 0.0, 0.0, 1.7), 2.5) == Target(0, 1500, 0)


@given(x=st.floats(-5, 5), y=st.floats(0, 6), vx=st.floats(-2, 2), vy=st.floats(-2, 2), height=st.floats(0.5, 4))
def test_the_speed_is_how_the_measured_distance_grows(x: float, y: float, vx: float, vy: float, height: float) -> None:
    """The distance of two measurements 10 ms apart has changed by the speed, up to what rounding makes of it."""
    now, then = (target(Sight(1, x + vx * t, y + vy * t, vx, vy, 1.7), height) for t in (0.0, 0.01))
    if math.hypot(now.x_mm, now.y_mm) > 500:
        grown = (math.hypot(then.x_mm, then.y_mm) - math.hypot(now.x_mm, now.y_mm)) / 10 / 0.01

        assert grown == pytest.approx(now.speed_cm_s, abs=23)  # cm/s: two roundings, and the curve of the way
