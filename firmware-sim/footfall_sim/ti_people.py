"""The bytes of TI's 3D people counting and tracking firmware on mmWave radars such as the IWR6843.

Source: TI's Radar Toolbox 1.00.00.26 as kept in the repository manavjeetsingh/mmWaveDataExtraction
(ti/radar_toolbox_1_00_00_26): the type numbers in source/ti/common/mmwdemo_tlv.h, what is sent when in
source/ti/examples/People_Counting/3D_People_Counting/src/6843/mss/mss_main.c (the task that writes to the UART),
heights in source/ti/dpu/trackerproc_overhead/src/height_detection.c, and TI's reader in
tools/visualizers/Industrial_Visualizer.

A frame, little endian and without a checksum, is a header (magic word, total length, frame number, ...) and blocks of
type, length and value: the points (1020), the targets (1010), their heights (1012), to which target each point *of the
frame before* belongs (1011), and whether somebody is present (1021, if that is configured). Without points there is no
1020, without targets there are no 1010, 1012 and 1011; a frame of an empty place is a header alone.

Positions are in the sensor's own frame: with the mounting height H and the downtilt a, the ground's are
y' = y cos a + z sin a and z' = -y sin a + z cos a + H. Heights are above the ground. Other firmware writes other
headers and other targets: see `Profile`.
"""

import math
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from footfall_sim.view import Track

MAGIC = bytes.fromhex("0201040306050807")
BAUD = 921_600
PERIOD_S = 0.05
SDK_VERSION = 0x03050004
"""Major, minor, bug fix, build: SDK 3.5.0.4."""
PLATFORM = 0xA6843
PADDING = 32
"""Some firmware makes every frame a multiple of so many bytes."""

WEAK, OUTSIDE, NOISE = 253, 254, 255
"""What 1011 says of points without a target: too weak, outside the boundary box, noise."""
HIGHEST_TID = 249

# Units of the compressed points: elevation and azimuth (rad), doppler (m/s), range (m), signal to noise ratio.
UNITS = (0.01, 0.01, 0.00028, 0.00025, 0.04)
_CENTRE = 0.57  # the middle of a body, as a part of its height
_BLOCK = struct.Struct("<2I")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a firmware writes.

    `header`: 40 bytes, 44 (xWRL6844, with a second number of objects) or 48 (older Capon and overhead demonstrations).
    `target`: bytes of a target, which give its layout (see `LAYOUTS`). `padded`: to a multiple of 32 bytes.
    `block_counts_itself`: a block's length includes its own 8 bytes. A type 0 is not sent.
    """

    header: int = 40
    target: int = 112
    padded: bool = False
    block_counts_itself: bool = False
    points_type: int = 1020
    targets_type: int = 1010
    heights_type: int = 1012
    index_type: int = 1011
    presence_type: int = 0
    platform: int = PLATFORM

    def __post_init__(self) -> None:
        if self.header not in (40, 44, 48):
            raise ValueError(f"there are headers of 40, 44 and 48 bytes, not of {self.header}")
        if self.target not in LAYOUTS:
            raise ValueError(f"there are targets of {', '.join(map(str, LAYOUTS))} bytes, not of {self.target}")


LAYOUTS = {
    112: "px py pz vx vy vz ax ay az ec16 g confidence",  # dpu/trackerproc_overhead: 3D people counting and tracking
    108: "px py vx vy ax ay pz vz az ec16 g",  # dpu/trackerproc and trackerproc_capon
    72: "px py vx vy ax ay ec9 g confidence",  # in the plane
    68: "px py vx vy ax ay ec9 g",
    40: "px py vx vy ax ay pz vz az",
    28: "px py vx vy ax ay",
}
"""The floats of a target after its number (u32), by the bytes of all of it. ecN are N of the error covariance."""

PROFILES = {
    "3d-people-counting": Profile(),
    "3d-people-tracking": Profile(padded=True, presence_type=1021),
    "iwrl6844": Profile(header=44, padded=True, platform=0xA6844),
    "capon-legacy": Profile(
        header=48,
        target=40,
        block_counts_itself=True,
        points_type=6,
        targets_type=7,
        index_type=8,
        heights_type=0,
    ),
    "trackerproc": Profile(target=108, heights_type=0),
    "plane": Profile(target=72, targets_type=1035, points_type=0, index_type=0, heights_type=0),
}
"""By the names that `footfall-sim record` knows."""


@dataclass(frozen=True, slots=True)
class Target:
    """A tracked person in the sensor's frame: metres, m/s, m/s²; heights above the ground."""

    tid: int
    position: tuple[float, float, float]
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    acceleration: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gain: float = 3.0
    confidence: float = 1.0
    top_m: float = 1.75
    bottom_m: float = 0.1


@dataclass(frozen=True, slots=True)
class Point:
    """A reflection in the sensor's frame: metres, radians (right and up positive), m/s (going away positive)."""

    range_m: float
    azimuth: float
    elevation: float
    doppler: float
    snr: float
    tid: int = NOISE
    """To whom it belongs, which the *next* frame says."""


def encode(
    number: int,
    points: Sequence[Point] = (),
    targets: Sequence[Target] = (),
    before: Sequence[int] = (),
    profile: Profile | None = None,
) -> bytes:
    """Frame `number`. `before`: to whom the points of the frame before belong."""
    profile = profile or Profile()
    blocks = []
    if points and profile.points_type:
        blocks.append((profile.points_type, _points(points)))
    if targets:
        blocks.append((profile.targets_type, b"".join(_target(one, profile.target) for one in targets)))
        if profile.heights_type:
            heights = b"".join(struct.pack("<I2f", one.tid, one.top_m, one.bottom_m) for one in targets)
            blocks.append((profile.heights_type, heights))
        if before and profile.index_type:
            blocks.append((profile.index_type, bytes(before)))
    if profile.presence_type:
        blocks.append((profile.presence_type, struct.pack("<I", bool(targets))))
    own = _BLOCK.size if profile.block_counts_itself else 0
    body = b"".join(_BLOCK.pack(kind, len(value) + own) + value for kind, value in blocks)
    length = profile.header + len(body)
    padding = -length % PADDING if profile.padded else 0
    return _header(profile, number, length + padding, len(points), len(blocks)) + body + bytes(padding)


def _header(profile: Profile, number: int, length: int, points: int, blocks: int) -> bytes:
    number &= 0xFFFFFFFF
    if profile.header == 48:
        # Version, length, platform, frame, subframe, margins of chirp and frame, times of sending and tracking (µs).
        fields = (SDK_VERSION, length, profile.platform, number, 0, 0, 0, 0, 0)
        unsummed = MAGIC + struct.pack("<9I2H", *fields, blocks, 0)
        return unsummed[:-2] + struct.pack("<H", _ones_complement(unsummed))
    objects = (points, 0) if profile.header == 44 else (points,)
    fields = (SDK_VERSION, length, profile.platform, number, 0, *objects, blocks, 0)
    return MAGIC + struct.pack(f"<{len(fields)}I", *fields)


def _ones_complement(header: bytes) -> int:
    """The older header's checksum: all 16-bit words of the header, it included, then sum up to 0xFFFF."""
    total: int = sum(struct.unpack(f"<{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _target(one: Target, size: int) -> bytes:
    if not 0 <= one.tid <= HIGHEST_TID:
        raise ValueError(f"a target has a number from 0 to {HIGHEST_TID}, not {one.tid}")
    (px, py, pz), (vx, vy, vz), (ax, ay, az) = one.position, one.velocity, one.acceleration
    plane = (px, py, vx, vy, ax, ay)
    floats: tuple[float, ...]
    match size:
        case 112:
            floats = (px, py, pz, vx, vy, vz, ax, ay, az, *_unit(4), one.gain, one.confidence)
        case 108:
            floats = (*plane, pz, vz, az, *_unit(4), one.gain)
        case 72:
            floats = (*plane, *_unit(3), one.gain, one.confidence)
        case 68:
            floats = (*plane, *_unit(3), one.gain)
        case 40:
            floats = (*plane, pz, vz, az)
        case _:
            floats = plane
    return struct.pack(f"<I{len(floats)}f", one.tid, *floats)


def _unit(size: int) -> tuple[float, ...]:
    """A plausible error covariance: a unit matrix, row by row."""
    return tuple(float(row == column) for row in range(size) for column in range(size))


def _points(points: Sequence[Point]) -> bytes:
    elevation, azimuth, doppler, far, snr = UNITS
    packed = b"".join(
        struct.pack(
            "<2bh2H",
            _within(one.elevation / elevation, -128, 127),
            _within(one.azimuth / azimuth, -128, 127),
            _within(one.doppler / doppler, -32_768, 32_767),
            _within(one.range_m / far, 0, 65_535),
            _within(one.snr / snr, 0, 65_535),
        )
        for one in points
    )
    return struct.pack("<5f", *UNITS) + packed


def _within(value: float, low: int, high: int) -> int:
    return min(max(round(value), low), high)


class Tilt:
    """From the ground's frame to that of a sensor at `height_m`, which looks `tilt_deg` downwards."""

    def __init__(self, height_m: float, tilt_deg: float = 0.0) -> None:
        self.height_m = height_m
        self._cos, self._sin = math.cos(math.radians(tilt_deg)), math.sin(math.radians(tilt_deg))

    def point(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """A place, metres."""
        return self.vector(x, y, z - self.height_m)

    def vector(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """A velocity or an acceleration."""
        return x, y * self._cos - z * self._sin, y * self._sin + z * self._cos


def target(track: Track, tilt: Tilt) -> Target:
    """How a track on the ground is told by the sensor. The longer its person was not seen, the less it is trusted."""
    return Target(
        track.tid,
        tilt.point(track.x, track.y, _CENTRE * track.height_m),
        tilt.vector(track.vx, track.vy, 0.0),
        tilt.vector(track.ax, track.ay, 0.0),
        confidence=1.0 / (1 + 0.1 * track.missed),
        top_m=track.height_m,
        bottom_m=0.1,
    )


def cloud(tracks: Sequence[Track], tilt: Tilt, dice: random.Random, *, stray: float = 0.3) -> list[Point]:
    """Reflections of the tracked people who are seen, and `stray` others on average."""
    points = []
    for track in tracks:
        velocity = tilt.vector(track.vx, track.vy, 0.0)
        for _ in range(0 if track.missed else dice.randint(4, 10)):
            x, y = track.x + dice.uniform(-0.2, 0.2), track.y + dice.uniform(-0.2, 0.2)
            z = track.height_m * dice.uniform(0.1, 1.0)
            points.append(_reflection(tilt.point(x, y, z), velocity, track.tid, dice))
    if dice.random() < stray:
        place = (dice.uniform(-3, 3), dice.uniform(0.5, 6), dice.uniform(-1, 1))
        points.append(_reflection(place, (0.0, 0.0, 0.0), dice.choice((WEAK, OUTSIDE, NOISE)), dice))
    return points


def _reflection(
    place: tuple[float, float, float], velocity: tuple[float, float, float], tid: int, dice: random.Random
) -> Point:
    x, y, z = place
    far = math.hypot(x, y, z)
    doppler = (x * velocity[0] + y * velocity[1] + z * velocity[2]) / far if far else 0.0
    return Point(far, math.atan2(x, y), math.asin(z / far) if far else 0.0, doppler, dice.uniform(8, 60), tid)
