"""A little model of the reference counter, independent of the edge and of the simulator, for tests of the booking rule.

It knows no clock: the test says when an interval is closed. Its frames are built here byte by byte from
docs/reference-counter-protocol.md, with the slow and obvious forms of COBS and CRC, so that it shares no mistake.
"""

import struct
from collections import Counter
from dataclasses import dataclass, field

Pair = tuple[int, int]


def crc16_ccitt_false(data: bytes) -> int:
    """Bit by bit: polynomial 0x1021, start value 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def cobs(data: bytes) -> bytes:
    """Byte by byte: every zero is replaced by the distance to the next one."""
    out, code_at, code = bytearray([0]), 0, 1
    for byte in data:
        if byte:
            out.append(byte)
            code += 1
        if not byte or code == 0xFF:
            out[code_at] = code
            code_at, code = len(out), 1
            out.append(0)
    out[code_at] = code
    return bytes(out)


def wire(kind: int, body: bytes, version: int = 1) -> bytes:
    """A message as it is on the line."""
    content = bytes([version, kind]) + body
    return cobs(content + struct.pack("<H", crc16_ccitt_false(content))) + b"\0"


def hello(device: int = 7, boot: int = 1, uptime_ms: int = 0, oldest: tuple[int, int] = (1, 0)) -> bytes:
    """A HELLO with an interval of 10 s."""
    name = b"model 1"
    return wire(0x02, struct.pack("<IIQIIIB", device, boot, uptime_ms, *oldest, 10_000, len(name)) + name)


def health(device: int = 7, boot: int = 1, flags: int = 0) -> bytes:
    """A HEALTH."""
    return wire(0x03, struct.pack("<IIQhHHHH", device, boot, 5000, 215, 5000, 0, 8640, flags))


@dataclass(frozen=True)
class Interval:
    """A closed interval in the ring."""

    boot: int
    seq: int
    uptime_ms: int
    utc_ms: int
    length_ms: int
    counts: tuple[tuple[int, int, int], ...]
    totals: tuple[tuple[int, int, int], ...]

    def frame(self, device: int, oldest: tuple[int, int]) -> bytes:
        """The COUNT for it."""
        head = struct.pack(
            "<IIIQQIII", device, self.boot, self.seq, self.uptime_ms, self.utc_ms, self.length_ms, *oldest
        )
        counts = b"".join(struct.pack("<BBH", *cell) for cell in self.counts)
        totals = b"".join(struct.pack("<BBI", *cell) for cell in self.totals)
        return wire(0x01, head + bytes([len(self.counts)]) + counts + bytes([len(self.totals)]) + totals)


@dataclass
class Device:
    """What survives a reboot: boot id, totals, ring. And what a test wants to know: everything ever counted."""

    ring_size: int = 1000
    device: int = 7
    boot: int = 1
    seq: int = 0
    uptime_ms: int = 0
    totals: Counter[Pair] = field(default_factory=Counter)
    counted: Counter[Pair] = field(default_factory=Counter)
    ring: list[Interval] = field(default_factory=list)
    dropped: list[Interval] = field(default_factory=list)
    """What the ring had no room for."""

    @property
    def oldest(self) -> tuple[int, int]:
        """(boot, seq) of the oldest interval kept, else of the next one."""
        return (self.ring[0].boot, self.ring[0].seq) if self.ring else (self.boot, self.seq)

    def close(self, counts: dict[Pair, int] | None = None, *, utc_ms: int = 0, length_ms: int = 10_000) -> Interval:
        """An interval ends in which `counts` came."""
        found = {pair: number for pair, number in (counts or {}).items() if number}
        self.counted.update(found)
        for pair, number in found.items():
            self.totals[pair] = (self.totals[pair] + number) % 2**32
        interval = Interval(
            self.boot,
            self.seq,
            self.uptime_ms,
            utc_ms,
            length_ms,
            tuple((*pair, number) for pair, number in found.items()),
            tuple((*pair, total) for pair, total in self.totals.items()),
        )
        self.seq += 1
        self.uptime_ms += length_ms
        self.ring.append(interval)
        self.dropped += self.ring[: -self.ring_size]
        del self.ring[: -self.ring_size]
        return interval

    def reboot(self) -> bytes:
        """Power off and on; returns its HELLO."""
        self.boot += 1
        self.seq = self.uptime_ms = 0
        return self.hello()

    def hello(self) -> bytes:
        """A HELLO as of now."""
        return hello(self.device, self.boot, self.uptime_ms, self.oldest)

    def frames(self) -> list[bytes]:
        """A COUNT for each interval in the ring, in order, as of now."""
        return [interval.frame(self.device, self.oldest) for interval in self.ring]

    def acknowledge(self, reply: bytes) -> None:
        """Bytes from the host: forget what they acknowledge."""
        for encoded in reply.split(b"\0"):
            content = _uncobs(encoded)
            if len(content) == 16 and content[1] == 0x81:
                assert crc16_ccitt_false(content[:-2]) == struct.unpack("<H", content[-2:])[0]
                device, boot, seq = struct.unpack("<III", content[2:-2])
                assert device == self.device, "an acknowledgement for another device"
                assert (boot, seq) < (self.boot, self.seq), "an acknowledgement of what was never counted"
                self.ring = [interval for interval in self.ring if (interval.boot, interval.seq) > (boot, seq)]


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """(type, body) of each message the host sent."""
    contents = [_uncobs(encoded) for encoded in data.split(b"\0") if encoded]
    return [(content[1], content[2:-2]) for content in contents]


def _uncobs(encoded: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(encoded):
        code = encoded[at]
        out += encoded[at + 1 : at + code]
        at += code
        if code != 0xFF and at < len(encoded):
            out.append(0)
    return bytes(out)
