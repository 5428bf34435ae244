"""The bytes of TI's people tracking against frames put together by hand, and the geometry of a tilted sensor."""

import math
import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_sim.ti_people import (
    NOISE,
    PROFILES,
    UNITS,
    Point,
    Profile,
    Target,
    Tilt,
    cloud,
    encode,
    target,
)
from footfall_sim.view import Track

# Little-endian floats, by hand: 0x3F800000 is 1.0, 0x40000000 is 2.0, and so on.
F = {0.0: "00000000", 0.25: "0000803E", 0.5: "0000003F", 1.0: "0000803F", 2.0: "00000040", 3.0: "00004040"}
F |= {-1.5: "0000C0BF", 4.0: "00008040", -1.0: "000080BF", 1.75: "0000E03F", -0.25: "000080BE"}
MAGIC = "0201040306050807"
WALKER = Target(
    7, (1.0, 2.0, -0.25), (0.5, -1.5, 0.0), (0.25, 3.0, 4.0), gain=3.0, confidence=0.5, top_m=1.75, bottom_m=0.25
)
EC16 = "".join(F[1.0] if row == column else F[0.0] for row in range(4) for column in range(4))
EC9 = "".join(F[1.0] if row == column else F[0.0] for row in range(3) for column in range(3))
PLANE = "07000000" + "".join(F[value] for value in (1.0, 2.0, 0.5, -1.5, 0.25, 3.0))
UP = "".join(F[value] for value in (-0.25, 0.0, 4.0))
TARGETS = {
    112: "07000000" + "".join(F[v] for v in (1.0, 2.0, -0.25, 0.5, -1.5, 0.0, 0.25, 3.0, 4.0)) + EC16 + F[3.0] + F[0.5],
    108: PLANE + UP + EC16 + F[3.0],
    72: PLANE + EC9 + F[3.0] + F[0.5],
    68: PLANE + EC9 + F[3.0],
    40: PLANE + UP,
    28: PLANE,
}


def blocks(frame: bytes, header: int = 40) -> list[tuple[int, bytes]]:
    """Types and values of a frame; the number of blocks and the lengths must lead to its end."""
    (count,) = struct.unpack_from("<H" if header == 48 else "<I", frame, 44 if header == 48 else header - 8)
    at, found = header, []
    for _ in range(count):
        kind, length = struct.unpack_from("<2I", frame, at)
        found.append((kind, frame[at + 8 : at + 8 + length]))
        at += 8 + length
    assert len(frame) == struct.unpack_from("<I", frame, 12)[0]
    assert set(frame[at:]) <= {0}
    assert len(frame) - at < 32
    return found


def test_the_frame_of_an_empty_place_is_a_header_alone() -> None:
    """40 bytes: magic, version 3.5.0.4, length 40, platform, frame number, no objects, no blocks, subframe 0."""
    expected = MAGIC + "04000503" + "28000000" + "43680A00" + "05000000" + "00000000" * 4

    assert encode(5).hex() == expected.lower()


def test_a_whole_frame_byte_by_byte() -> None:
    """Points, targets, heights, to whom the points before belonged, and presence: in the order of the firmware."""
    point = Point(2.5, -0.5, 0.25, -0.7, 20.0, tid=7)
    units = "0AD7233C" * 2 + "F7CC9239" + "6F128339" + "0AD7233D"
    expected = (
        (MAGIC + "04000503" + "F0000000" + "43680A00" + "2A000000" + "00000000" + "01000000" + "05000000" + "00000000")
        # elevation 25 and azimuth -50 hundredths, doppler -2500 units of 0.28 mm/s, 10000 of 0.25 mm, snr 500 of 0.04
        + ("FC030000" + "1C000000" + units + "19" + "CE" + "3CF6" + "1027" + "F401")
        + ("F2030000" + "70000000" + TARGETS[112])
        + ("F4030000" + "0C000000" + "07000000" + F[1.75] + F[0.25])
        + ("F3030000" + "04000000" + "0707FFFD")
        + ("FD030000" + "04000000" + "01000000")
    )

    frame = encode(42, [point], [WALKER], [7, 7, 255, 253], Profile(presence_type=1021))

    assert len(frame) == 240
    assert frame.hex() == expected.lower()


@pytest.mark.parametrize("size", TARGETS)
def test_each_firmware_has_its_own_order_of_fields(size: int) -> None:
    """The target of each size, field by field."""
    ((kind, value),) = blocks(encode(1, targets=[WALKER], profile=Profile(target=size, heights_type=0)))

    assert kind == 1010
    assert len(value) == size
    assert value.hex() == TARGETS[size].lower()


def test_blocks_are_left_out_as_the_firmware_leaves_them_out() -> None:
    """No points: no 1020. No targets: no 1010, 1012 and 1011. No points before: no 1011. Presence, if set, always."""
    point = Point(3, 0, 0, 0, 10)

    def kinds(*arguments: object, presence: int = 0) -> list[int]:
        frame = encode(1, *arguments, profile=Profile(presence_type=presence))  # type: ignore[arg-type]
        return [kind for kind, _ in blocks(frame)]

    assert kinds([point], [WALKER], [7]) == [1020, 1010, 1012, 1011]
    assert kinds([point], [WALKER], []) == [1020, 1010, 1012]
    assert kinds([], [WALKER], [7]) == [1010, 1012, 1011]
    assert kinds([point], [], [7]) == [1020]
    assert kinds([], [], [7]) == []
    assert kinds([], [], [], presence=1021) == [1021]


def test_some_firmware_pads_to_32_bytes() -> None:
    """A padded header alone has 64 bytes, a longer frame a multiple of 32, and the length says so."""
    padded = Profile(padded=True)

    assert len(encode(1, profile=padded)) == 64
    assert encode(1, profile=padded)[40:] == bytes(24)
    assert len(encode(1, targets=[WALKER], profile=padded)) == 192
    assert [kind for kind, _ in blocks(encode(1, targets=[WALKER], profile=padded))] == [1010, 1012]
    exact = replace(padded, target=40, heights_type=0)  # 40 + 8 + 2 * 40 bytes are 4 * 32
    assert len(encode(1, targets=[WALKER, WALKER], profile=exact)) == 128


def test_the_header_of_the_6844_has_one_number_more() -> None:
    """44 bytes: after the number of objects a second one, then blocks and subframe."""
    frame = encode(9, [Point(3, 0, 0, 0, 10)] * 2, profile=Profile(header=44, platform=0xA6844))
    expected = MAGIC + "04000503" + "58000000" + "44680A00" + "09000000" + "00000000" + "02000000"

    assert len(frame) == 88
    assert frame[:44].hex() == (expected + "00000000" + "01000000" + "00000000").lower()
    assert [kind for kind, _ in blocks(frame, 44)] == [1020]


def test_the_older_header_and_its_lengths() -> None:
    """48 bytes, frame number at 20, u16 blocks, a checksum over all; blocks 6, 7, 8 that count their own 8 bytes."""
    frame = encode(3, [Point(3, 0, 0, 0, 10)], [WALKER], [7, 255], PROFILES["capon-legacy"])
    words = struct.unpack("<24H", frame[:48])
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)

    assert struct.unpack_from("<4I", frame, 8) == (0x03050004, 48 + 36 + 48 + 10, 0xA6843, 3)
    assert len(frame) == 142
    assert struct.unpack_from("<H", frame, 44) == (3,)
    assert total == 0xFFFF
    assert struct.unpack_from("<2I", frame, 48) == (6, 36)
    assert frame[84:132].hex() == ("07000000" + "30000000" + TARGETS[40]).lower()
    assert frame[132:].hex() == "080000000a00000007ff"


def test_numbers_of_targets_and_profiles_that_do_not_exist_are_refused() -> None:
    """A target has a number up to 249; headers and sizes are those that firmware writes."""
    with pytest.raises(ValueError, match="0 to 249, not 250"):
        encode(1, targets=[replace(WALKER, tid=250)])
    with pytest.raises(ValueError, match="not of 41"):
        Profile(header=41)
    with pytest.raises(ValueError, match="not of 111"):
        Profile(target=111)


def test_what_is_out_of_a_points_range_stays_at_its_end() -> None:
    """Sixteen metres and a bit is the farthest a point can be said to be; angles end at 1.28 rad."""
    ((_, value),) = blocks(encode(1, [Point(99, 3.0, -3.0, 99, 1e6)]))

    assert struct.unpack("<2bh2H", value[20:]) == (-128, 127, 32_767, 65_535, 65_535)
    assert struct.unpack("<5f", value[:20]) == pytest.approx(UNITS)


COORDINATE = st.floats(-10, 10)


@given(x=COORDINATE, y=COORDINATE, z=COORDINATE, height=st.floats(0, 6), tilt=st.floats(-90, 90))
def test_the_documented_turn_leads_back_to_the_ground(x: float, y: float, z: float, height: float, tilt: float) -> None:
    """The vendor's reader, y' = y cos + z sin and z' = -y sin + z cos + H, undoes what the sensor measures."""
    a = math.radians(tilt)
    sx, sy, sz = Tilt(height, tilt).point(x, y, z)

    assert sx == x
    assert sy * math.cos(a) + sz * math.sin(a) == pytest.approx(y, abs=1e-9)
    assert -sy * math.sin(a) + sz * math.cos(a) + height == pytest.approx(z, abs=1e-9)


def test_a_sensor_that_looks_down_sees_the_floor_straight_ahead() -> None:
    """From 3 m, tilted by 45 degrees, the ground 3 m ahead lies on the boresight, 4.24 m away."""
    assert Tilt(3, 45).point(0.5, 3, 0) == pytest.approx((0.5, 3 * math.sqrt(2), 0), abs=1e-9)
    assert Tilt(3, 45).vector(0, 1, 0) == pytest.approx((0, math.sqrt(0.5), math.sqrt(0.5)))


def test_a_track_is_told_from_the_middle_of_the_body() -> None:
    """Its height above the floor stays that of the person; a track whose person is hidden is trusted less."""
    track = Track(3, 1, 1.0, 4.0, 0.5, -1.0, 2.0, ax=0.1, ay=0.2)
    told = target(track, Tilt(2.5))
    hidden = target(replace(track, missed=10), Tilt(2.5))

    assert told.position == pytest.approx((1.0, 4.0, -1.36))
    assert (told.tid, told.velocity, told.acceleration) == (3, (0.5, -1.0, 0.0), (0.1, 0.2, 0.0))
    assert (told.top_m, told.confidence, hidden.confidence) == (2.0, 1.0, 0.5)


def test_reflections_come_from_the_bodies() -> None:
    """Turned back, a track's points lie within its body; a hidden person reflects nothing; some belong to nobody."""
    tilt, dice = Tilt(2.0, 20), random.Random(1)
    seen, hidden = Track(3, 1, 1.0, 4.0, 0.0, -1.0, 1.8), Track(4, 2, -1.0, 5.0, 0.0, 0.0, 1.8, missed=2)
    points = [point for _ in range(50) for point in cloud([seen, hidden], tilt, dice)]
    own = [point for point in points if point.tid == 3]
    a = math.radians(20)

    assert {point.tid for point in points} >= {3, NOISE}
    assert 4 not in {point.tid for point in points}
    assert 4 * 50 <= len(own) <= 10 * 50
    for point in own:
        flat, up = point.range_m * math.cos(point.elevation), point.range_m * math.sin(point.elevation)
        x, ahead = flat * math.sin(point.azimuth), flat * math.cos(point.azimuth)
        assert abs(x - 1.0) <= 0.2
        assert abs(ahead * math.cos(a) + up * math.sin(a) - 4.0) <= 0.2
        assert 0.1 <= -ahead * math.sin(a) + up * math.cos(a) + 2.0 <= 1.8
        assert point.doppler < 0
