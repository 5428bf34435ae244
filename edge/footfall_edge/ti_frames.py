"""The bytes that TI's people-tracking firmwares send: what each profile of firmware writes, and the framer for them.

A frame is a header, then TLVs (u32 type, u32 length, payload), then perhaps padding to a multiple of 32 bytes; all of
it little endian, without a checksum. The header begins with the magic ``02 01 04 03 06 05 08 07``; u32 totalPacketLen
is at byte 12, u32 frameNumber at 20, the number of TLVs near its end. Which header, which TLV and which order of fields
depends on the firmware that was flashed, and the bytes do not say: so it is a setting, and never guessed.

Sources: Texas Instruments, Radar Toolbox: ``source/ti/common/mmwdemo_tlv.h``, the 3D People Counting source and its
user guide, and ``parseFrame.py`` and ``parseTLVs.py`` of the Industrial Visualizer; for the firmwares before 2021
``oob_parser.py`` of the Industrial Toolbox.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeAlias

from footfall_edge.framer import BadFrameError, BufferedFramer, Frame

MAGIC: Final = bytes.fromhex("0201040306050807")
PACKET: Final = 0
"""Kind of every frame; its body is the packet without the magic."""
MOST_BYTES: Final = 65_536
"""Longest packet that is believed; the largest that TI's firmwares send have some ten thousand bytes."""
MOST_PADDING: Final = 31
"""Bytes of padding: some firmwares round a packet up to a multiple of 32."""

MOST_NOISE: Final = 4096
"""Bytes after a frame within which the next one has to begin."""

_TOTAL_AT: Final = 12
_NUMBER_AT: Final = 20
_NUMBERS: Final = 1 << 32
_NEAR: Final = 1000
"""Frames ahead that a number belongs to a frame of the same run of the sensor, and not to noise that has a magic."""
_U32: Final = struct.Struct("<I")
_TLV: Final = struct.Struct("<II")
Seen: TypeAlias = tuple[int, float, float, float, float, float, float, float]
"""Track id; x, y, z in metres in the sensor's frame; velocity in each of them in m/s; confidence, 0 to 1."""

_SEEN: Final = ("id", "x", "y", "z", "vx", "vy", "vz", "confidence")


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the TLVs."""

    size: int
    tlvs_at: int
    """Offset of the number of TLVs, from the magic's first byte."""
    tlvs_as: struct.Struct = _U32


@dataclass(frozen=True, slots=True)
class Layout:
    """One target in a target list."""

    what: struct.Struct
    """The fields that are read; the others are padding to it."""
    names: tuple[str, ...]
    """What they are, in their order on the line. What is not there is taken for 0."""

    @property
    def has_confidence(self) -> bool:
        """Whether the tracker says how sure it is."""
        return "confidence" in self.names

    def read(self, payload: memoryview) -> Iterable[Seen]:
        """The targets in a whole number of them."""
        rows = self.what.iter_unpack(payload)
        if self.names == _SEEN:
            return rows
        absent = len(self.names)
        pick = itemgetter(*(self.names.index(name) if name in self.names else absent for name in _SEEN))
        return [pick((*row, 0.0)) for row in rows]


_PLAIN: Final = Header(40, 32)
_MINOR: Final = Header(44, 36)
"""With u32 numDetectedObjMinor after numDetectedObj."""
_LEGACY: Final = Header(48, 44, struct.Struct("<H"))
"""``Q9I2H``: chirp and frame margin, two times, then u16 numTLVs and a u16 checksum that nobody fills in reliably."""

_XYZ: Final = ("id", "x", "y", "z", "vx", "vy", "vz")
_PLANE_FIRST: Final = ("id", "x", "y", "vx", "vy", "z", "vz")
_PLANE: Final = ("id", "x", "y", "vx", "vy")


@dataclass(frozen=True, slots=True)
class Profile:
    """What one family of firmwares sends."""

    name: str
    header: Header
    target_tlv: int | None
    """Type of the TLV with the target list; None: the documents leave it open, so it has to be set."""
    target: Layout
    lengths_with_header: bool = False
    """Whether a TLV's length counts its own eight bytes of header."""


def _layout(form: str, names: tuple[str, ...]) -> Layout:
    return Layout(struct.Struct(form), names)


# u32 id, f32 position x y z, velocity x y z, acceleration x y z, covariance 4 × 4, gating gain, confidence.
_OVERHEAD: Final = _layout("<I6f80xf", _SEEN)

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        # 3D People Counting and 3D People Tracking on xWR6843 (dpu/trackerproc_overhead).
        Profile("people-3d", _PLAIN, 1010, _OVERHEAD),
        Profile("people-3d-xwrl6432", _PLAIN, 308, _OVERHEAD),
        Profile("people-3d-iwrl6844", _MINOR, 308, _OVERHEAD),
        # dpu/trackerproc and trackerproc_capon: id, x y, velocity x y, acceleration x y, then z, its velocity and
        # acceleration; the longer one with covariance and gating gain.
        Profile("trackerproc-3d-40", _PLAIN, None, _layout("<I4f8x2f4x", _PLANE_FIRST)),
        Profile("trackerproc-3d-108", _PLAIN, None, _layout("<I4f8x2f72x", _PLANE_FIRST)),
        Profile("trackerproc-2d-28", _PLAIN, None, _layout("<I4f8x", _PLANE)),
        Profile("trackerproc-2d-68", _PLAIN, None, _layout("<I4f48x", _PLANE)),
        Profile("trackerproc-2d-72", _PLAIN, 1035, _layout("<I4f48xf", (*_PLANE, "confidence"))),
        # People counting before 2021: Capon in the plane, and from overhead in space (id, position, velocity,
        # acceleration).
        Profile("legacy-2d", _LEGACY, 7, _layout("<I4f48x", _PLANE), lengths_with_header=True),
        Profile("legacy-3d", _LEGACY, 7, _layout("<I6f12x", _XYZ), lengths_with_header=True),
    )
}

TARGET_LISTS: Final = frozenset({308, 1010, 1035})
"""Types of TLV that are a target list in some profile, and nothing else in any."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame taken apart."""

    version: int
    platform: int
    number: int
    """+1 with each frame; begins again when the sensor is started."""
    tlvs: tuple[tuple[int, memoryview], ...]
    """Type and payload of each."""


def take_apart(body: bytes, profile: Profile) -> Packet:
    """The parts of a packet without its magic. Lengths are believed, counts of objects are not.

    Raises:
        BadFrameError: the TLVs do not fit the packet, or the target list is no whole number of targets.
    """
    header = profile.header
    view = memoryview(body)
    if len(body) < header.size - len(MAGIC):
        raise BadFrameError(f"{len(body) + len(MAGIC)} bytes; the header alone has {header.size}")
    number_of_tlvs: int = header.tlvs_as.unpack_from(body, header.tlvs_at - len(MAGIC))[0]
    at = header.size - len(MAGIC)
    tlvs = []
    for which in range(1, number_of_tlvs + 1):
        if at + _TLV.size > len(body):
            raise BadFrameError(f"it has no room for TLV {which} of {number_of_tlvs}{_advice(profile)}")
        kind, length = _TLV.unpack_from(body, at)
        at += _TLV.size
        if profile.lengths_with_header:
            length -= _TLV.size
        if not 0 <= length <= len(body) - at:
            raise BadFrameError(
                f"TLV {which} of {number_of_tlvs}, type {kind}, is {length} bytes long, and {len(body) - at} are left"
                + _advice(profile)
            )
        if kind == profile.target_tlv and length % profile.target.what.size:
            raise BadFrameError(
                f"a target list (TLV {kind}) of {length} bytes, no multiple of {profile.target.what.size}"
                + _advice(profile)
            )
        tlvs.append((kind, view[at : at + length]))
        at += length
    if len(body) - at > MOST_PADDING:
        raise BadFrameError(
            f"{len(body) - at} bytes are left after {number_of_tlvs} TLVs, at most {MOST_PADDING} can be padding"
            + _advice(profile)
        )
    version, _, platform, number = struct.unpack_from("<4I", body)
    return Packet(version, platform, number, tuple(tlvs))


def _advice(profile: Profile) -> str:
    return f"; is profile {profile.name!r} the right one?"


class TiFramer(BufferedFramer):
    """Magic, length, a chain of TLVs that fits, and the next frame where this one ends.

    Nothing else protects a frame, so a complete one waits for what follows. If that is a magic, it is a frame. If a
    magic begins earlier it lost bytes, and is bad. If one comes later, after noise, the number there decides: with the
    very next one nothing but noise was in between; otherwise a frame was spoilt, which may have begun inside this one,
    and this one is bad too. After a bad one the search goes on right behind its magic, so that a length which is too
    long costs no other frame. It never holds more than `MOST_BYTES`, `MOST_NOISE` and what is fed at once.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        super().__init__()
        # Bytes of the frame at the beginning of what is pending in which no other magic begins.
        self._searched = len(MAGIC)

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; return the frames they complete."""
        self._pending += data
        return self._complete(last=False)

    def finish(self) -> list[Frame]:
        """No more bytes will come: return the last frame if it is whole, and forget the rest."""
        frames = self._complete(last=True)
        self.reset()
        return frames

    def reset(self) -> None:
        """Forget the unfinished frame: the line was opened anew."""
        super().reset()
        self._searched = len(MAGIC)

    def _complete(self, *, last: bool) -> list[Frame]:
        frames: list[Frame] = []
        at = 0
        while True:
            at = self._hunt(at)
            try:
                end = self._end(at, last=last)
                if end is None:
                    break
                body = bytes(self._pending[at + len(MAGIC) : end])
                take_apart(body, self._profile)
            except BadFrameError as fault:
                self._bad += 1
                self.last_fault = str(fault)
                self._skipped += len(MAGIC)
                at += len(MAGIC)
            else:
                frames.append(Frame(PACKET, body))
                self._frames += 1
                at = end
            self._searched = len(MAGIC)
        del self._pending[:at]
        return frames

    def _hunt(self, at: int) -> int:
        """Where the next magic begins, or could; what is before it is skipped."""
        found = self._pending.find(MAGIC, at)
        if found < 0:
            found = len(self._pending)
            for length in range(min(len(MAGIC) - 1, found - at), 0, -1):
                if self._pending.endswith(MAGIC[:length]):
                    found -= length
                    break
        self._skipped += found - at
        return found

    def _end(self, at: int, *, last: bool) -> int | None:
        """Where the frame at `at` ends; None if that cannot be said yet.

        Raises:
            BadFrameError: it is none, or lost bytes.
        """
        pending = self._pending
        have = len(pending) - at
        if have < _TOTAL_AT + _U32.size:
            return None
        total: int = _U32.unpack_from(pending, at + _TOTAL_AT)[0]
        if not self._profile.header.size <= total <= MOST_BYTES:
            raise BadFrameError(
                f"a length of {total} bytes, expected {self._profile.header.size} (the header) to {MOST_BYTES}"
            )
        end = at + total
        # Bytes are looked at once, however small the pieces are in which they come.
        following = pending.find(MAGIC, at + self._searched, end + len(MAGIC))
        if following == end:
            return end
        if following >= 0:
            if self._is_bare(at, following):
                return following
            raise BadFrameError(f"the next frame begins after {following - at} of its {total} bytes: some were lost")
        if have < total + (0 if last else len(MAGIC)):
            self._searched = max(len(MAGIC), min(total, have - len(MAGIC) + 1))
            return None
        if last and MAGIC.startswith(pending[end:]):
            return end  # nothing follows, or the next magic was cut short
        return self._end_before_noise(at, end, last=last)

    def _end_before_noise(self, at: int, end: int, *, last: bool) -> int | None:
        """`end` if the next frame in number begins some time after it; None if that cannot be said yet.

        Raises:
            BadFrameError: it does not.
        """
        pending = self._pending
        number = _U32.unpack_from(pending, at + _NUMBER_AT)[0]
        place = end
        while (place := pending.find(MAGIC, place + 1, end + MOST_NOISE)) >= 0:
            if len(pending) < place + _NUMBER_AT + _U32.size:
                if last:
                    break
                return None
            ahead = (_U32.unpack_from(pending, place + _NUMBER_AT)[0] - number) % _NUMBERS
            if ahead == 1:
                return end
            if ahead < _NEAR:
                raise BadFrameError(f"what follows its {end - at} bytes is no frame, and the next one is {ahead} on")
        if not last and len(pending) < end + MOST_NOISE:
            return None
        raise BadFrameError(f"after its {end - at} bytes no frame follows that would show that they are all of it")

    def _is_bare(self, at: int, following: int) -> bool:
        """Whether it is a header alone: some firmwares count padding for it that they do not send."""
        header = self._profile.header
        return following == at + header.size and not header.tlvs_as.unpack_from(self._pending, at + header.tlvs_at)[0]
