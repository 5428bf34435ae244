"""The device's non-volatile memory: boot counter, running totals and the ring of intervals nobody has acknowledged.

What is in it decides what a reboot loses: everything else of the firmware's state is gone, the intervals and totals are
not. So the firmware saves here before a closed interval is sent for the first time; a host never knows of an interval
that its device could forget.
"""

import os
import struct
import zlib
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from footfall_sim.protocol import Number, number_of

_MAGIC = b"FFM1"
_HEAD = struct.Struct("<4sIIIHI")
_TOTAL = struct.Struct("<BBI")
_CHECK = struct.Struct("<I")


class UnusableMemoryError(ValueError):
    """A memory image that is damaged, or belongs to another device."""


class Store(Protocol):
    """Where a memory image is kept. `save` is all or nothing, also if the power fails in the middle of it."""

    def load(self) -> bytes | None:
        """The image saved last, None from a new device."""

    def save(self, image: bytes) -> None:
        """Keep `image` instead of the one before."""


class RamStore:
    """A store for tests and trials; it survives a `Firmware` object as a chip survives a reset."""

    def __init__(self) -> None:
        self.image: bytes | None = None
        self.saves = 0

    def load(self) -> bytes | None:
        """The image saved last."""
        return self.image

    def save(self, image: bytes) -> None:
        """Keep `image`."""
        self.image = image
        self.saves += 1


class FileStore:
    """A store in one file, replaced in one step: a reader finds the old image or the new one, never a mixture."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> bytes | None:
        """The file's content, None if there is no file yet."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def save(self, image: bytes) -> None:
        """Write beside the file, reach the disk, then take its name."""
        fresh = self.path.with_name(self.path.name + ".new")
        with fresh.open("wb") as file:
            file.write(image)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


@dataclass(slots=True)
class Memory:
    """What survives a reboot. `ring` holds packed intervals, oldest first; `totals` are modulo 2**32."""

    device: int
    boot: int = 0
    next_seq: int = 0
    totals: dict[tuple[int, int], int] = field(default_factory=dict)
    ring: deque[bytes] = field(default_factory=deque)

    @property
    def next_number(self) -> Number:
        """The number the interval closed next will have."""
        return Number(self.boot, self.next_seq)

    @property
    def oldest(self) -> Number:
        """The lowest number in the ring; the next number to be used if the ring is empty."""
        return number_of(self.ring[0]) if self.ring else self.next_number

    def image(self) -> bytes:
        """The memory as bytes, with a check sum at the end."""
        parts = [_HEAD.pack(_MAGIC, self.device, self.boot, self.next_seq, len(self.totals), len(self.ring))]
        parts += [_TOTAL.pack(*pair, total) for pair, total in self.totals.items()]
        for packed in self.ring:
            parts += (bytes([len(packed)]), packed)
        content = b"".join(parts)
        return content + _CHECK.pack(zlib.crc32(content))

    @classmethod
    def from_image(cls, image: bytes) -> "Memory":
        """The inverse of `image`. Raises UnusableMemoryError."""
        content, check = image[: -_CHECK.size], image[-_CHECK.size :]
        if len(image) < _HEAD.size + _CHECK.size or check != _CHECK.pack(zlib.crc32(content)):
            raise UnusableMemoryError(f"memory image of {len(image)} bytes has a wrong check sum")
        magic, device, boot, next_seq, pairs, waiting = _HEAD.unpack_from(content)
        if magic != _MAGIC:
            raise UnusableMemoryError(f"memory image begins with {magic!r}, expected {_MAGIC!r}")
        place = _HEAD.size
        totals = {}
        for _ in range(pairs):
            direction, class_, total = _TOTAL.unpack_from(content, place)
            totals[direction, class_] = total
            place += _TOTAL.size
        ring: deque[bytes] = deque()
        for _ in range(waiting):
            end = place + 1 + content[place]
            ring.append(content[place + 1 : end])
            place = end
        return cls(device, boot, next_seq, totals, ring)
