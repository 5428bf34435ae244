"""A host for reference counters, written from docs/reference-counter-protocol.md alone, without anything of footfall.

`Book` is sections 3, 4 and 6 without any line; `PortHost` reads a serial port with it.
"""

import struct
import termios
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import serial


def crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
            crc &= 0xFFFF
    return crc


def stuff(content: bytes) -> bytes:
    """COBS for at most 254 bytes, with delimiter."""
    out = bytearray()
    for part in (content + b"\0").split(b"\0")[:-1]:
        assert len(part) < 255
        out += bytes([min(len(part) + 1, 255)]) + part
    return bytes(out) + b"\0"


def unstuff(encoded: bytes) -> bytes | None:
    out, left = bytearray(), bytearray(encoded)
    while left:
        code = left.pop(0)
        if code == 0 or len(left) < code - 1:
            return None
        out += left[: code - 1]
        del left[: code - 1]
        if code != 255 and left:
            out.append(0)
    return bytes(out)


def message(kind: int, body: bytes = b"") -> bytes:
    content = bytes([1, kind]) + body
    return stuff(content + struct.pack("<H", crc16(content)))


def ack(device: int, boot: int, seq: int) -> bytes:
    return message(0x81, struct.pack("<III", device, boot, seq))


def time_is(utc_ms: int) -> bytes:
    return message(0x82, struct.pack("<Q", utc_ms))


HELLO_REQUEST = message(0x83)


def is_sound(content: bytes) -> bool:
    """Whether its check sum is right."""
    return len(content) >= 4 and struct.unpack("<H", content[-2:])[0] == crc16(content[:-2])


def parse(content: bytes) -> dict[str, Any] | None:
    """A device's message by the names of the byte tables; None if it must be dropped."""
    if not is_sound(content) or content[0] != 1:
        return None
    kind, body = content[1], content[2:-2]
    try:
        return {1: _count, 2: _hello, 3: _health}[kind](body)
    except (KeyError, struct.error, IndexError):
        return None


def _count(body: bytes) -> dict[str, Any] | None:
    names = ("device", "boot", "seq", "uptime_start_ms", "utc_start_ms", "length_ms", "oldest_boot", "oldest_seq", "n")
    fields = dict(zip(names, struct.unpack_from("<IIIQQIIIB", body), strict=True))
    at = 41
    counts = [struct.unpack_from("<BBH", body, at + 4 * row) for row in range(fields.pop("n"))]
    at += 4 * len(counts)
    totals = [struct.unpack_from("<BBI", body, at + 1 + 6 * row) for row in range(body[at])]
    if at + 1 + 6 * len(totals) != len(body):
        return None
    return {"type": "COUNT", **fields, "counts": [list(row) for row in counts], "totals": [list(row) for row in totals]}


def _hello(body: bytes) -> dict[str, Any] | None:
    names = ("device", "boot", "uptime_ms", "oldest_boot", "oldest_seq", "interval_ms", "n")
    fields = dict(zip(names, struct.unpack_from("<IIQIIIB", body), strict=True))
    if len(body) != 29 + fields.pop("n"):
        return None
    return {"type": "HELLO", **fields, "firmware": body[29:].decode("ascii")}


def _health(body: bytes) -> dict[str, Any]:
    names = ("device", "boot", "uptime_ms", "temperature", "supply_mv", "ring_used", "ring_size", "flags")
    return {"type": "HEALTH", **dict(zip(names, struct.unpack("<IIQhHHHH", body), strict=True))}


@dataclass
class Book:
    """What a host has stored of one device, and the rule by which it books."""

    last: dict[str, Any] | None = None
    booked: list[tuple[int, int]] = field(default_factory=list)
    """Numbers, in the order of booking."""
    frames: list[dict[str, Any]] = field(default_factory=list)
    sums: Counter[tuple[int, int]] = field(default_factory=Counter)
    recovered: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Of `sums`: what totals said that no interval did."""
    before: Counter[tuple[int, int]] = field(default_factory=Counter)
    """What the device had counted and dropped before the first contact; in none of the sums."""
    bad: int = 0
    hellos: list[dict[str, Any]] = field(default_factory=list)
    healths: list[dict[str, Any]] = field(default_factory=list)
    received: int = 0
    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> bytes:
        """Read bytes of the device; what to answer."""
        answer = b""
        *frames, rest = (bytes(self._buffer) + data).split(b"\0")
        self._buffer = bytearray(rest[-256:])
        for encoded in filter(None, frames):
            content = unstuff(encoded)
            told = parse(content) if content is not None else None
            if told is None:
                self.bad += 1
            elif told["type"] == "COUNT":
                self.received += 1
                answer += self.count(told)
            else:
                {"HELLO": self.hellos, "HEALTH": self.healths}[told["type"]].append(told)
        return answer

    def line_opened(self) -> None:
        """What was begun on the line before has no end."""
        self._buffer.clear()

    def count(self, told: dict[str, Any]) -> bytes:
        number = told["boot"], told["seq"]
        oldest = told["oldest_boot"], told["oldest_seq"]
        last = self.last
        before = (last["boot"], last["seq"]) if last else None
        follows = before is not None and number == (before[0], before[1] + 1)
        if (before is None or number > before) and (follows or number == oldest):
            self._book(told, number, jumped=not follows)
        if self.last is None:
            return b""
        return ack(told["device"], self.last["boot"], self.last["seq"])

    def _book(self, told: dict[str, Any], number: tuple[int, int], *, jumped: bool) -> None:
        counts = {(d, c): n for d, c, n in told["counts"]}
        if self.last is None:
            self.before = Counter({(d, c): n - counts.get((d, c), 0) for d, c, n in told["totals"]})
        if self.last is not None and jumped:
            known = {(d, c): n for d, c, n in self.last["totals"]}
            for d, c, total in told["totals"]:
                surplus = (total - counts.get((d, c), 0) - known.get((d, c), 0)) % 2**32
                assert surplus < 2**31, "a total went back"
                self.recovered[d, c] += surplus
                self.sums[d, c] += surplus
        self.sums.update(counts)
        self.booked.append(number)
        self.frames.append(told)
        self.last = told

    def total(self) -> int:
        return sum(self.sums.values())


class PortHost:
    """A host on a serial port that may vanish and come back; it answers while it waits for something."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.book = Book()
        self.raw = bytearray()
        self._port: serial.Serial | None = None

    def open(self) -> None:
        self._port = serial.Serial(str(self.link), 115200, timeout=0.02, exclusive=True)
        self._port.reset_input_buffer()
        self.book.line_opened()
        self.send(HELLO_REQUEST)

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    def send(self, data: bytes) -> None:
        assert self._port is not None
        self._port.write(b"\0" + data)

    def tell_time(self) -> None:
        self.send(time_is(time.time_ns() // 1_000_000))

    def turn(self) -> None:
        """Read a little and answer; open again what is not open."""
        try:
            if self._port is None:
                if not self.link.exists():
                    time.sleep(0.01)
                    return
                self.open()
            assert self._port is not None
            data = self._port.read(max(1, self._port.in_waiting))
            self.raw += data
            answer = self.book.feed(data)
            if answer:
                self.send(answer)
        except (OSError, serial.SerialException, termios.error):  # the last lets pyserial through
            self.close()
            time.sleep(0.01)

    def until(self, condition: Callable[[], object], *, what: str, timeout: float = 20) -> None:
        """Talk until `condition` holds. Fails, naming `what`, if it does not in time."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout} s in vain for {what}"
            self.turn()
