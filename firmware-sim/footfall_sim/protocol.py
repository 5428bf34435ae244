"""The reference counter protocol, device's side: framing, check sum, and every message to and from bytes.

A message is one COBS frame ended by a zero byte; inside are version, type, body and a CRC-16, all little endian. The
byte tables are in ``docs/reference-counter-protocol.md``. The code is written for the simulated device alone, from that
document; what reads the other end of the line has its own, so that a mistake in one shows against the other.
"""

import binascii
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

VERSION = 1
MAX_CONTENT = 254
"""Longest content in bytes (version to check sum): COBS then adds exactly one byte."""
MAX_PAIRS = 14
"""Most (direction, class) pairs one COUNT carries; the largest COUNT has 186 bytes of content."""

U16_MAX = 0xFFFF
U32 = 1 << 32

COUNT, HELLO, HEALTH = 0x01, 0x02, 0x03
ACK, TIME, HELLO_REQUEST = 0x81, 0x82, 0x83

FLAG_LENS = 0x0001
"""HEALTH: the optics' self-test suspects a dirty lens or a stuck count."""
FLAG_CLOCK_NEVER_SET = 0x0002
"""HEALTH: no TIME since this boot."""

_COUNT_HEAD = struct.Struct("<IIIQQI")
_NUMBER = struct.Struct("<II")
_COUNT_CELL = struct.Struct("<BBH")
_TOTAL_CELL = struct.Struct("<BBI")
_HELLO = struct.Struct("<IIQIIIB")
_HEALTH = struct.Struct("<IIQhHHHH")
_ACK = struct.Struct("<III")
_TIME = struct.Struct("<Q")

Cell: TypeAlias = tuple[int, int, int]
"""(direction, class, number of passages)."""


class ProtocolError(ValueError):
    """Bytes that are no message of this protocol; says what was expected and what came."""


@dataclass(frozen=True, slots=True, order=True)
class Number:
    """The place of an interval in a device's life; ordered: first by boot, then by sequence number."""

    boot: int
    seq: int


@dataclass(frozen=True, slots=True)
class Interval:
    """What was counted between two cuts. Never changes once it is closed.

    `uptime_start_ms` is on the clock of its boot, `utc_start_ms` in milliseconds since 1970 (0: not known). `length_ms`
    is on the UTC clock if that is known, else on the uptime clock. `totals` include `counts`, modulo 2**32.
    """

    number: Number
    uptime_start_ms: int
    utc_start_ms: int
    length_ms: int
    counts: tuple[Cell, ...] = ()
    totals: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """Device to host: one interval, and the oldest number the device still keeps at the time of sending."""

    device: int
    interval: Interval
    oldest: Number


@dataclass(frozen=True, slots=True)
class Hello:
    """Device to host: who is there. `oldest` is the next number to be used if nothing waits."""

    device: int
    boot: int
    uptime_ms: int
    oldest: Number
    interval_ms: int
    firmware: str


@dataclass(frozen=True, slots=True)
class Health:
    """Device to host: how the device fares. Temperature in tenths of a degree Celsius, supply in millivolts."""

    device: int
    boot: int
    uptime_ms: int
    temperature: int
    supply_mv: int
    ring_used: int
    ring_size: int
    flags: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Host to device: every interval up to and including `upto` is stored."""

    device: int
    upto: Number


@dataclass(frozen=True, slots=True)
class Time:
    """Host to device: it is `utc_ms` milliseconds since 1970, UTC."""

    utc_ms: int


@dataclass(frozen=True, slots=True)
class HelloRequest:
    """Host to device: say HELLO."""


Message: TypeAlias = Count | Hello | Health | Ack | Time | HelloRequest


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF); of ``123456789`` it is 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)


def cobs_encode(data: bytes) -> bytes:
    """`data` without any zero byte: each block is led by the distance to the next zero (Cheshire and Baker)."""
    out = bytearray()
    start = 0
    while True:
        stretch = data[start : start + 254]
        zero = stretch.find(0)
        if zero >= 0:
            out.append(zero + 1)
            out += stretch[:zero]
            start += zero + 1
        elif len(stretch) == 254:
            out.append(0xFF)
            out += stretch
            start += 254
            if start == len(data):
                return bytes(out)
        else:
            out.append(len(stretch) + 1)
            return bytes(out + stretch)


def cobs_decode(data: bytes) -> bytes:
    """The inverse of `cobs_encode`. Raises ProtocolError if a block says it is longer than what is there."""
    out = bytearray()
    place = 0
    while place < len(data):
        code = data[place]
        end = place + code
        if code == 0 or end > len(data):
            raise ProtocolError(f"COBS: block of {code} at byte {place} of {len(data)}")
        out += data[place + 1 : end]
        place = end
        if code < 0xFF and place < len(data):
            out.append(0)
    return bytes(out)


def frame(kind: int, body: bytes) -> bytes:
    """The bytes on the wire of a message of type `kind`, delimiter included."""
    content = bytes((VERSION, kind)) + body
    content += crc16(content).to_bytes(2, "little")
    if len(content) > MAX_CONTENT:
        raise ProtocolError(f"content of {len(content)} bytes, at most {MAX_CONTENT} fit")
    return cobs_encode(content) + b"\0"


def encode(message: Message) -> bytes:
    """The bytes on the wire, delimiter included."""
    match message:
        case Count():
            return count_frame(pack_interval(message.device, message.interval), message.oldest)
        case Hello(device, boot, uptime_ms, oldest, interval_ms, firmware):
            name = firmware.encode("ascii")[:200]
            body = _HELLO.pack(device, boot, uptime_ms, oldest.boot, oldest.seq, interval_ms, len(name))
            return frame(HELLO, body + name)
        case Health(device, boot, uptime_ms, temperature, supply, used, size, flags):
            body = _HEALTH.pack(device, boot, uptime_ms, temperature, supply, used, size, flags)
            return frame(HEALTH, body)
        case Ack(device, upto):
            return frame(ACK, _ACK.pack(device, upto.boot, upto.seq))
        case Time(utc_ms):
            return frame(TIME, _TIME.pack(utc_ms))
        case HelloRequest():
            return frame(HELLO_REQUEST, b"")


def pack_interval(device: int, interval: Interval) -> bytes:
    """The body of a COUNT with its `oldest` still empty: what a device keeps, and finishes each time it sends it."""
    if max(len(interval.counts), len(interval.totals)) > MAX_PAIRS:
        raise ProtocolError(f"{len(interval.totals)} pairs of direction and class, at most {MAX_PAIRS} fit")
    number = interval.number
    return b"".join(
        (
            _COUNT_HEAD.pack(
                device, number.boot, number.seq, interval.uptime_start_ms, interval.utc_start_ms, interval.length_ms
            ),
            bytes(_NUMBER.size),
            bytes([len(interval.counts)]),
            *(_COUNT_CELL.pack(*cell) for cell in interval.counts),
            bytes([len(interval.totals)]),
            *(_TOTAL_CELL.pack(*cell) for cell in interval.totals),
        )
    )


def count_frame(packed: bytes, oldest: Number) -> bytes:
    """The bytes on the wire of a COUNT whose interval was packed before, with `oldest` as it is now."""
    place = _COUNT_HEAD.size
    return frame(COUNT, packed[:place] + _NUMBER.pack(oldest.boot, oldest.seq) + packed[place + _NUMBER.size :])


def number_of(packed: bytes) -> Number:
    """The number of a packed interval."""
    return Number(*_NUMBER.unpack_from(packed, 4))


def decode(content: bytes) -> Message:
    """The message in the content of one frame (COBS removed).

    Raises:
        ProtocolError: wrong version, type, length or check sum.
    """
    if not 4 <= len(content) <= MAX_CONTENT:
        raise ProtocolError(f"content of {len(content)} bytes, expected 4 to {MAX_CONTENT}")
    expected = crc16(content[:-2])
    got = int.from_bytes(content[-2:], "little")
    if got != expected:
        raise ProtocolError(f"check sum {got:#06x}, expected {expected:#06x}")
    if content[0] != VERSION:
        raise ProtocolError(f"version {content[0]}, expected {VERSION}")
    kind, body = content[1], content[2:-2]
    read = _READERS.get(kind)
    if read is None:
        raise ProtocolError(f"unknown type {kind:#04x}")
    try:
        return read(body)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ProtocolError(f"body of {len(body)} bytes does not fit type {kind:#04x}: {error}") from error


def _read_count(body: bytes) -> Count:
    device, boot, seq, uptime, utc, length = _COUNT_HEAD.unpack_from(body)
    place = _COUNT_HEAD.size
    oldest = Number(*_NUMBER.unpack_from(body, place))
    counts, place = _read_cells(body, place + _NUMBER.size, _COUNT_CELL)
    totals, place = _read_cells(body, place, _TOTAL_CELL)
    if place != len(body):
        raise ProtocolError(f"COUNT of {len(body)} bytes, its tables end at {place}")
    return Count(device, Interval(Number(boot, seq), uptime, utc, length, counts, totals), oldest)


def _read_cells(body: bytes, place: int, cell: struct.Struct) -> tuple[tuple[Cell, ...], int]:
    end = place + 1 + body[place] * cell.size
    cells = tuple((d, c, n) for d, c, n in cell.iter_unpack(body[place + 1 : end]))
    if end > len(body):
        raise ProtocolError(f"a table of {body[place]} rows ends at byte {end} of {len(body)}")
    return cells, end


def _read_hello(body: bytes) -> Hello:
    device, boot, uptime, oldest_boot, oldest_seq, interval, length = _HELLO.unpack_from(body)
    name = body[_HELLO.size :]
    if len(name) != length:
        raise ProtocolError(f"firmware name of {len(name)} bytes, {length} were announced")
    return Hello(device, boot, uptime, Number(oldest_boot, oldest_seq), interval, name.decode("ascii"))


def _read_ack(body: bytes) -> Ack:
    device, boot, seq = _ACK.unpack(body)
    return Ack(device, Number(boot, seq))


def _read_hello_request(body: bytes) -> HelloRequest:
    if body:
        raise ProtocolError(f"HELLO-REQUEST with a body of {len(body)} bytes, expected none")
    return HelloRequest()


_READERS: dict[int, Callable[[bytes], Message]] = {
    COUNT: _read_count,
    HELLO: _read_hello,
    HEALTH: lambda body: Health(*_HEALTH.unpack(body)),
    ACK: _read_ack,
    TIME: lambda body: Time(*_TIME.unpack(body)),
    HELLO_REQUEST: _read_hello_request,
}


@dataclass(slots=True)
class Receiver:
    """Cuts a stream of bytes into messages; what is damaged is counted and skipped up to the next delimiter."""

    bad_frames: int = 0
    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages completed by `data`, in order. An empty frame (two delimiters in a row) is nothing."""
        for byte in data:
            if byte:
                # One byte more than fits is enough to know that it is too long; the rest need not be kept.
                if len(self._buffer) <= MAX_CONTENT + 1:
                    self._buffer.append(byte)
                continue
            raw = bytes(self._buffer)
            self._buffer.clear()
            if not raw:
                continue
            try:
                yield decode(cobs_decode(raw))
            except ProtocolError:
                self.bad_frames += 1
