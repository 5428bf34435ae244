"""Bytes from a serial line → `Frame`. Pure and incremental: no port, no clock, any chunk size.

A serial line loses bytes, invents bytes and begins in the middle of a frame. A framer therefore believes only what
its checks confirm, finds the next frame by itself, and counts what it had to throw away: a line that is getting worse
shows in those numbers long before counts are missing. Every byte fed is in exactly one place: in a frame, skipped,
still pending, or an idle delimiter.
"""

import binascii
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Protocol

DELIMITER: Final = 0
"""Ends a COBS frame and occurs nowhere inside one."""
MAX_CONTENT: Final = 254
"""Longest decoded frame in bytes: COBS then costs one byte."""
MAX_ENCODED: Final = MAX_CONTENT + 2
"""Longest encoded frame without its delimiter. Some encoders end a full block with one more code byte."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a device that passed every check of its framing."""

    kind: int
    """The message type, as the device's protocol numbers it."""
    body: bytes
    """What follows the type, without checksum."""


@dataclass(frozen=True, slots=True)
class LineCounts:
    """What a framer has seen since it was made."""

    frames: int = 0
    """Frames that passed every check."""
    bad_frames: int = 0
    """Things that were delimited like a frame and failed a check."""
    skipped_bytes: int = 0
    """Bytes in no good frame: noise, the tail of a frame begun before we listened, bad frames."""


class Framer(Protocol):
    """What every make of sensor brings for its bytes."""

    @property
    def counts(self) -> LineCounts:
        """Frames, bad frames and skipped bytes so far."""

    @property
    def last_fault(self) -> str:
        """Why the latest bad frame was bad, for a person; empty if there was none."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; return the frames they complete."""

    def finish(self) -> list[Frame]:
        """No more bytes will come: return the frames that only waited for what follows them, and forget the rest."""

    def reset(self) -> None:
        """Forget the unfinished frame: the line was opened anew."""


class BadFrameError(ValueError):
    """Delimited bytes that are no frame; the message names what was expected and what came."""


class BufferedFramer(ABC):
    """What every framer keeps: the bytes it could not make sense of yet, and how it fared so far."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._frames = self._bad = self._skipped = 0
        self.last_fault = ""

    @property
    def counts(self) -> LineCounts:
        """Frames, bad frames and skipped bytes so far."""
        return LineCounts(self._frames, self._bad, self._skipped)

    @property
    def pending(self) -> int:
        """Bytes of the unfinished frame."""
        return len(self._pending)

    @abstractmethod
    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; return the frames they complete."""

    def finish(self) -> list[Frame]:
        """No more bytes will come. Where a frame is complete with its own last byte, none waits for what follows it."""
        self.reset()
        return []

    def reset(self) -> None:
        """Forget the unfinished frame: the line was opened anew."""
        self._skipped += len(self._pending)
        self._pending.clear()


class DelimitedFramer(BufferedFramer):
    """Frames that a byte ends which occurs nowhere inside one. It never holds more than the longest of them."""

    def __init__(self, delimiter: bytes, longest: int, *, spare: int = 0) -> None:
        """`longest`: bytes of a frame without its delimiter; `spare`: those that may stand between both."""
        super().__init__()
        self._delimiter = delimiter
        self._longest = longest
        self._spare = spare
        self._overrun = False
        # Until the first delimiter we are somewhere inside a frame: failing then is no fault of the line.
        self._in_step = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; return the frames they complete."""
        frames: list[Frame] = []
        *ended, rest = data.split(self._delimiter)
        for part in ended:
            self._take(part)
            frames += self._end()
        self._take(rest)
        return frames

    def reset(self) -> None:
        """Forget the unfinished frame: the line was opened anew."""
        super().reset()
        self._overrun = self._in_step = False

    @abstractmethod
    def _read(self, content: bytes) -> Frame | None:
        """The frame that delimited bytes are; None if they are an idle delimiter.

        Raises:
            BadFrameError: they are none.
        """

    def _whole(self, content: bytes, *, overrun: bool) -> Frame | None:
        if overrun:
            raise BadFrameError(f"no end within {self._longest} bytes")
        return self._read(content)

    def _take(self, part: bytes) -> None:
        if self._overrun or len(self._pending) + len(part) > self._longest + self._spare:
            # No frame is this long, so its delimiter was lost: skip to the next one.
            self._skipped += len(self._pending) + len(part)
            self._pending.clear()
            self._overrun = True
        else:
            self._pending += part

    def _end(self) -> list[Frame]:
        content, overrun = bytes(self._pending), self._overrun
        self._pending.clear()
        self._overrun = False
        in_step, self._in_step = self._in_step, True
        try:
            frame = self._whole(content, overrun=overrun)
        except BadFrameError as fault:
            self._skipped += len(content) + 1  # of one without end the most is skipped already
            if in_step:
                self._bad += 1
                self.last_fault = str(fault)
            return []
        if frame is None:
            return []
        self._frames += 1
        return [frame]


class CobsFramer(DelimitedFramer):
    """COBS frames of ``version | type | body | CRC-16/CCITT-FALSE``, each ended by 0x00."""

    def __init__(self, version: int) -> None:
        super().__init__(bytes([DELIMITER]), MAX_ENCODED)
        self._version = version

    def _read(self, content: bytes) -> Frame | None:
        return self._checked(cobs_decode(content)) if content else None

    def _checked(self, content: bytes) -> Frame:
        if len(content) < 4:
            raise BadFrameError(f"{len(content)} bytes; a frame has at least version, type and checksum")
        payload, sent = content[:-2], int.from_bytes(content[-2:], "little")
        computed = crc16(payload)
        if computed != sent:
            raise BadFrameError(f"checksum 0x{sent:04x}, expected 0x{computed:04x} over {len(payload)} bytes")
        if payload[0] != self._version:
            raise BadFrameError(
                f"protocol version {payload[0]}, expected {self._version}: is the driver the right one?"
            )
        return Frame(payload[1], payload[2:])


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF; 0x29B1 for ``123456789``."""
    return binascii.crc_hqx(data, 0xFFFF)


def encode_frame(version: int, kind: int, body: bytes = b"") -> bytes:
    """The bytes on the line for a frame of ``version | kind | body``, with checksum, COBS and delimiter."""
    content = bytes([version, kind]) + body
    return cobs_encode(content + crc16(content).to_bytes(2, "little")) + bytes([DELIMITER])


def cobs_encode(content: bytes) -> bytes:
    """`content` without any 0x00: each zero becomes the distance to the next one (COBS, Cheshire and Baker 1999)."""
    encoded = bytearray()
    for block in content.split(b"\0"):
        # A run of 254 bytes without a zero is a block of its own, marked 0xFF: no zero follows it.
        while len(block) >= MAX_CONTENT:
            encoded += b"\xff" + block[:MAX_CONTENT]
            block = block[MAX_CONTENT:]  # noqa: PLW2901  # the rest of the same block
        encoded += bytes([len(block) + 1]) + block
    return bytes(encoded)


def cobs_decode(encoded: bytes) -> bytes:
    """The content of a COBS frame without its delimiter.

    Raises:
        BadFrameError: a code byte points beyond the end.
    """
    content = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        block = encoded[at + 1 : at + code]
        if code == 0 or len(block) != code - 1:
            raise BadFrameError(f"COBS code 0x{code:02x} at byte {at} of {len(encoded)} points beyond the end")
        content += block
        at += code
        if code != 0xFF and at < len(encoded):
            content.append(0)
    return bytes(content)
