"""A people counter with two running totals in Modbus registers: a slave (server) on a serial line, RTU framing.

From the "MODBUS Application Protocol Specification V1.1b3" (requests, answers, exceptions: sections 6.3, 6.4 and 7) and
the "MODBUS over Serial Line Specification and Implementation Guide V1.02" (addresses: 2.2; RTU frames and their silent
intervals: 2.5.1; check sum: appendix B). Nothing but these documents went into it.

- Function 3 (Read Holding Registers) and 4 (Read Input Registers) show the same registers: the totals of the two
  directions, 16 or 32 bits wide, and, if wanted, the seconds since power-on as 32 bits. All other addresses do not
  exist. A 32-bit value is two registers; which of them comes first is the maker's choice.
- Register addresses are those of the protocol, from 0: what a manual calls 40001 or 30001 is address 0.
- An address that does not exist is answered with exception 2, a quantity outside 1 to 125 with exception 3, any other
  function with exception 1. Requests to others, broadcasts and whatever has a wrong check sum are not answered at all.
- The specification ends a frame by a silence of 3.5 characters. What reads a pseudo-terminal cannot measure that: a
  request is complete when it is as long as its function says and its check sum is right, wherever in the noise it
  begins, and an unfinished one is forgotten after a tenth of a second of silence.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from footfall_sim.memory import Store
from footfall_sim.tally import IN, OUT, TallyDesign, TallyDevice

READ_HOLDING, READ_INPUT = 3, 4
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
MAX_QUANTITY = 125
"""Most registers in one answer."""
MAX_FRAME = 256
"""Longest frame in bytes, address and check sum included."""
SILENCE_S = 0.1
"""After so long an unfinished request is forgotten."""

# Length of a request in bytes by function, address and check sum included; with a second number: the place of the byte
# that says how many bytes more there are.
_LENGTHS: dict[int, tuple[int, int | None]] = {
    **dict.fromkeys((1, 2, READ_HOLDING, READ_INPUT, 5, 6, 8), (8, None)),
    **dict.fromkeys((7, 11, 12, 17), (4, None)),
    **dict.fromkeys((15, 16), (9, 6)),
    **dict.fromkeys((20, 21), (5, 2)),
    22: (10, None),
    23: (13, 10),
    24: (6, None),
    43: (7, None),
}


class WordOrder(StrEnum):
    """Which register of a 32-bit value comes first."""

    HIGH_FIRST = "high-first"
    LOW_FIRST = "low-first"


@dataclass(frozen=True, slots=True)
class ModbusDesign:
    """The register map and the manners of a counter. `width` is 16 or 32 bits; addresses are of the first register."""

    slave: int = 1
    in_address: int = 0
    out_address: int = 2
    width: int = 32
    word_order: WordOrder = WordOrder.HIGH_FIRST
    uptime_address: int | None = None
    turnaround_s: float = 0.005


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0x8005 reflected, from 0xFFFF. It is sent with its low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


def sealed(content: bytes) -> bytes:
    """A frame: its content and the check sum."""
    return content + crc16(content).to_bytes(2, "little")


class Receiver:
    """Finds requests, to whomever they are, among the bytes on the line.

    How long a request with an unknown function is nobody knows: one to `slave` is taken to be all that is there.
    """

    def __init__(self, slave: int) -> None:
        self._slave = slave
        self.bad_frames = 0
        """Stretches of bytes that were no request."""
        self._begun = b""
        self._fed_at = -math.inf

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """The contents (without check sum) of the requests that are complete with `data`."""
        if not data:
            return []
        if self._begun and now - self._fed_at > SILENCE_S:
            self.bad_frames += 1
            self._begun = b""
        self._fed_at = now
        self._begun += data
        found = []
        while (place := self._first()) is not None:
            begin, end = place
            self.bad_frames += begin > 0
            found.append(self._begun[begin : end - 2])
            self._begun = self._begun[end:]
        self._begun = self._begun[-(MAX_FRAME - 1) :]
        return found

    def _first(self) -> tuple[int, int] | None:
        """Where the first whole request begins and ends."""
        held = self._begun
        for begin in range(len(held) - 3):
            end = begin + self._length(held[begin:])
            if end <= len(held) and crc16(held[begin : end - 2]) == int.from_bytes(held[end - 2 : end], "little"):
                return begin, end
        return None

    def _length(self, begun: bytes) -> int:
        """How long the request that begins here is, by its first four bytes; more than there is if it is unknown."""
        unfinished = len(begun) + 1
        whole = len(begun) if begun[0] == self._slave else unfinished
        fixed, counter = _LENGTHS.get(begun[1], (whole, None))
        if counter is None:
            return fixed
        return fixed + begun[counter] if counter < len(begun) else unfinished


class ModbusCounter(TallyDevice):
    """One counter from power-on to power-off; making it is its boot.

    Raises UnusableMemoryError if the store's image is damaged or belongs to another device.
    """

    def __init__(
        self, store: Store, now: float, design: ModbusDesign, tally: TallyDesign, drift_ppm: float = 0
    ) -> None:
        self._design = design
        super().__init__(store, tally)
        self._booted_at = now
        self._pace = 1 + drift_ppm / 1e6
        self._receiver = Receiver(design.slave)
        # When each answer is due, and the request it is for.
        self._asked: deque[tuple[float, bytes]] = deque()

    @property
    def bad_frames(self) -> int:
        """Stretches of bytes from the host that were no request."""
        return self._receiver.bad_frames

    def passage(self, direction: int, class_: int, at: float) -> None:  # noqa: ARG002  # it sees no classes
        """Somebody crossed the line."""
        self._tally.passage(direction)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes came from the host."""
        for request in self._receiver.feed(data, now):
            if request[0] == self._design.slave:
                self._asked.append((now + self._design.turnaround_s, request))

    def tick(self, now: float) -> bytes:
        """The answers whose time has come, with the totals as they are now."""
        self._tally.settle()
        said = b""
        while self._asked and self._asked[0][0] <= now:
            said += self._answer(self._asked.popleft()[1], now)
        return said

    def due(self) -> float:
        """When the next answer is due."""
        return self._asked[0][0] if self._asked else math.inf

    def flush(self, now: float) -> None:
        """Nothing to do: the host asks, and the totals are always up to date."""

    def shutdown(self, now: float) -> None:  # noqa: ARG002  # it has no interval to end
        """Count no more; requests are still answered."""
        self._tally.stop()

    def _answer(self, request: bytes, now: float) -> bytes:
        slave, function = request[0], request[1]
        # In the order of the specification's state diagrams: function, quantity, addresses.
        if function not in (READ_HOLDING, READ_INPUT):
            return _refusal(slave, function, ILLEGAL_FUNCTION)
        first, quantity = int.from_bytes(request[2:4]), int.from_bytes(request[4:6])
        if not 1 <= quantity <= MAX_QUANTITY:
            return _refusal(slave, function, ILLEGAL_VALUE)
        registers = self._registers(now)
        asked = range(first, first + quantity)
        if any(address not in registers for address in asked):
            return _refusal(slave, function, ILLEGAL_ADDRESS)
        for direction, address in ((IN, self._design.in_address), (OUT, self._design.out_address)):
            if self._low_word(address) in asked:
                self._tally.say(direction)
        values = b"".join(registers[address].to_bytes(2) for address in asked)
        return sealed(bytes((slave, function, len(values))) + values)

    def _registers(self, now: float) -> dict[int, int]:
        design = self._design
        into, out = self._tally.sums
        registers: dict[int, int] = {}
        values = [(design.in_address, into, design.width), (design.out_address, out, design.width)]
        if design.uptime_address is not None:
            values.append((design.uptime_address, int((now - self._booted_at) * self._pace), 32))
        for address, value, width in values:
            words = [value & 0xFFFF] if width == 16 else [value >> 16 & 0xFFFF, value & 0xFFFF]
            if design.word_order is WordOrder.LOW_FIRST:
                words.reverse()
            registers |= enumerate(words, address)
        return registers

    def _low_word(self, address: int) -> int:
        """The register that changes with every passage: who reads it knows the total."""
        two_high_first = self._design.width == 32 and self._design.word_order is WordOrder.HIGH_FIRST
        return address + two_high_first


def _refusal(slave: int, function: int, code: int) -> bytes:
    return sealed(bytes((slave, function | 0x80, code)))
