"""The bytes of an HLK-LD2450 radar, as its documents say.

Sources: the vendor's "HLK-LD2450 serial port communication protocol" V1.03 (a copy is in the repository
csRon/HLK-LD2450, docs/), and for what the document leaves open the ESPHome component ld2450 (esphome/esphome,
esphome/components/ld2450/ld2450.cpp).

A frame has 30 bytes, little endian, and no checksum: ``AA FF 03 00``, three slots of 8 bytes, ``55 CC``. A slot is x
and y in millimetres, speed in cm/s, and the size of a distance gate in millimetres, each in 16 bits; an empty slot is
all zeros. x, y and speed are sign and magnitude, and the set top bit means *positive*. With a positive speed the
distance grows. There is no number that would tell who is who.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from footfall_sim.view import Sight

HEADER = bytes.fromhex("AAFF0300")
FOOTER = bytes.fromhex("55CC")
SLOTS = 3
FRAME_BYTES = 30
GATE_MM = 360
"""The distance gate that current devices name; older ones name 320."""
BAUD = 256_000
PERIOD_S = 1 / 11.2
"""The document says 10 frames a second; devices send 11 to 12."""
BODY_CENTRE_M = 1.0
"""Height of the middle of a body, which the radar sees."""

_POSITIVE = 0x8000
_EMPTY = bytes(8)


@dataclass(frozen=True, slots=True)
class Target:
    """What a slot says: x to the right and y ahead in millimetres, speed in cm/s (positive: going away)."""

    x_mm: int
    y_mm: int
    speed_cm_s: int
    gate_mm: int = GATE_MM


def encode(targets: Sequence[Target | None]) -> bytes:
    """A frame. None, and what is missing of three slots, are empty slots."""
    if len(targets) > SLOTS:
        raise ValueError(f"a frame has {SLOTS} slots, not {len(targets)}")
    slots = b"".join(_EMPTY if target is None else _slot(target) for target in targets)
    return HEADER + slots.ljust(SLOTS * len(_EMPTY), b"\0") + FOOTER


def target(sight: Sight, height_m: float) -> Target:
    """What a level radar at `height_m` above the ground measures of somebody.

    It sees nothing of up and down: the way down to the middle of the body makes the distance ahead longer.
    """
    down = height_m - BODY_CENTRE_M
    ahead = math.hypot(sight.y, down)
    distance = math.hypot(sight.x, ahead)
    away = (sight.x * sight.vx + sight.y * sight.vy) / distance if distance else 0.0
    return Target(round(sight.x * 1000), round(ahead * 1000), round(away * 100))


def _slot(one: Target) -> bytes:
    return struct.pack(
        "<4H", _sign_magnitude(one.x_mm), _sign_magnitude(one.y_mm), _sign_magnitude(one.speed_cm_s), one.gate_mm
    )


def _sign_magnitude(value: int) -> int:
    """16 bits: the top bit set for a positive value, the magnitude below it. Zero is plain zero, as devices send it."""
    if abs(value) >= _POSITIVE:
        raise ValueError(f"{value} does not fit into 15 bits and a sign")
    return value | _POSITIVE if value > 0 else -value
