"""HLK-LD2450 (and Ai-Thinker Rd-03D): a 24 GHz radar that shows up to three people, 10 to 12 times a second.

30 bytes, little endian, without a checksum: ``AA FF 03 00``, three targets of 8 bytes, ``55 CC``. A target is x, y
(mm), speed (cm/s) and the size of a distance gate (mm); a set top bit means plus. All zero: nobody. Sources: Hi-Link,
serial communication protocol of the HLK-LD2450, V1.03; the same bytes as in ESPHome's component ``ld2450``.

It does not say who is who: a person may change the place in the frame at any time. docs/sensors/ld2450.md has wiring,
mounting and limits.
"""

import struct
from typing import ClassVar, Final

from footfall_edge.framer import BufferedFramer, Frame
from footfall_edge.geometry import Mounting, Target
from footfall_edge.tracker import Scan, TrackerDriver, UnreadableError, Watch, lines_of

HEADER: Final = bytes.fromhex("aaff0300")
FOOTER: Final = bytes.fromhex("55cc")
SIZE: Final = 30
COMMAND_HEADER: Final = bytes.fromhex("fdfcfbfa")
COMMAND_FOOTER: Final = bytes.fromhex("04030201")
MOST_COMMAND: Final = 64
"""Longest answer to a command in bytes, header and footer included."""
FARTHEST_M: Final = 10.0
"""It sees 6 m; what is farther away than this was spoilt on the line."""
_TARGET: Final = struct.Struct("<HHHH")

TARGETS: Final = 0
"""Kind of a frame that shows targets."""
ANSWER: Final = 1
"""Kind of a frame that answers a command, of whoever sent it."""


class Ld2450Framer(BufferedFramer):
    """Header, fixed length, footer. Where one of them is wrong, one byte is dropped and the search begins again."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; return the frames they complete."""
        self._pending += data
        frames: list[Frame] = []
        at = 0
        while True:
            at = self._hunt(at)
            found = self._frame(at)
            if found is None:
                break
            kind, end = found
            if end:
                frames.append(Frame(kind, bytes(self._pending[at + 4 : end - (2 if kind == TARGETS else 4)])))
                self._frames += 1
                at = end
            else:
                self._bad += 1
                self._skipped += 1
                at += 1
        del self._pending[:at]
        return frames

    def _hunt(self, at: int) -> int:
        """Where the next header begins, or could; what is before it is skipped."""
        found = len(self._pending)
        for header in (HEADER, COMMAND_HEADER):
            place = self._pending.find(header, at)
            if place < 0:
                place = _begun(self._pending, header, at)
            found = min(found, place)
        self._skipped += found - at
        return found

    def _frame(self, at: int) -> tuple[int, int] | None:
        """Kind and end of the frame at `at`; end 0 if it is none; None if that cannot be said yet."""
        pending = self._pending
        if len(pending) - at < 6:
            return None
        if pending.startswith(HEADER, at):
            if len(pending) - at < SIZE:
                return None
            if pending.startswith(FOOTER, at + SIZE - 2):
                return TARGETS, at + SIZE
            self.last_fault = f"{pending[at + SIZE - 2 : at + SIZE].hex(' ')} where 55 cc should end the frame"
            return TARGETS, 0
        size = int.from_bytes(pending[at + 4 : at + 6], "little") + 10
        if size > MOST_COMMAND:
            self.last_fault = f"an answer of {size} bytes; none has more than {MOST_COMMAND}"
            return ANSWER, 0
        if len(pending) - at < size:
            return None
        if pending.startswith(COMMAND_FOOTER, at + size - 4):
            return ANSWER, at + size
        self.last_fault = f"{pending[at + size - 4 : at + size].hex(' ')} where 04 03 02 01 should end the answer"
        return ANSWER, 0


def _begun(data: bytearray, header: bytes, at: int) -> int:
    """Where `data` ends with the beginning of `header`; its end if it does not."""
    for length in range(len(header) - 1, 0, -1):
        if len(data) - length >= at and data.endswith(header[:length]):
            return len(data) - length
    return len(data)


def signed(value: int) -> int:
    """The number that 16 bits of the protocol stand for: the top bit set means plus."""
    magnitude = value & 0x7FFF
    return magnitude if value & 0x8000 else -magnitude


class Ld2450Eyes:
    """Reads the targets of a frame. It keeps nothing from one to the next."""

    def __init__(self, mounting: Mounting) -> None:
        self._mounting = mounting

    def look(self, frame: Frame) -> tuple["Ld2450Eyes", Scan]:
        """The people in `frame`, on the ground."""
        if frame.kind != TARGETS:
            return self, Scan(())
        if len(frame.body) != 3 * _TARGET.size:
            raise UnreadableError(f"{len(frame.body)} bytes of targets, expected {3 * _TARGET.size}")
        targets: list[Target] = []
        implausible = 0
        for raw_x, raw_y, raw_speed, gate in _TARGET.iter_unpack(frame.body):
            if not (raw_x or raw_y or raw_speed or gate):
                continue
            x, y = signed(raw_x) / 1000, signed(raw_y) / 1000
            if abs(x) <= FARTHEST_M and 0 <= y <= FARTHEST_M:
                targets.append(Target(*self._mounting.of_plane(x, y)))
            else:
                implausible += 1
        return self, Scan(tuple(targets), implausible)


class Ld2450(TrackerDriver):
    """The driver called ``ld2450``."""

    usual_baud: ClassVar[int] = 256_000

    def framer(self) -> Ld2450Framer:
        """Frames of 30 bytes, and answers to commands."""
        return Ld2450Framer()

    def watch(self) -> Watch:
        """Nothing seen yet."""
        return Watch(Ld2450Eyes(self.mounting), lines_of(self.line), numbered=False)
