"""Modbus RTU counters: a device whose registers hold running totals, asked by this box.

A request is 8 bytes: slave, function 3 (holding registers) or 4 (input registers), first register, number of registers,
CRC. The answer is slave, function, number of bytes, the registers, CRC; a refusal is slave, function + 0x80, a reason,
CRC. Registers are big endian, the CRC is little endian. Sources: MODBUS Application Protocol Specification V1.1b3, 6.3,
6.4 and 7; MODBUS over Serial Line V1.02, 2.5.1 and 6.2.2. Only those two functions exist here: nothing is ever written
to a device.

RTU marks the beginning and end of a message by silence, which a serial port does not show. So the framer knows what
answers it may get, looks for their first bytes, and believes what has the right CRC. An answer does not say what was
asked; there is one question at a time, and after one that was not answered in time the line is left alone for a while.

Why not pymodbus: it is good at what it is, a client and a server with their own input and output. Its framing is not
made to stand alone (classes and modules were exchanged in 3.7, those of the messages in 3.8), and where the CRC of an
answer is wrong it throws away all that has come, while here every byte is accounted for and an answer behind noise is
found. What is left of it, two messages and a CRC, is shorter than an adapter for it. It is the other side in the tests.

docs/sensors/modbus.md has wiring, settings and limits.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Self, TypeVar

from pydantic import Field, model_validator

from footfall_contract.words import Direction, PassageClass
from footfall_edge.clock import Moment
from footfall_edge.drivers import Parity
from footfall_edge.framer import BufferedFramer, Frame
from footfall_edge.totals import Key, Meter, Reader, Rule, Shown, TotalsDriver
from footfall_role.settings import Section

REFUSED: Final = 0x80
"""Added to the function in a refusal."""
MOST_REGISTERS: Final = 125
"""In one request."""
REQUEST_BYTES: Final = 8
LATE_S: Final = 0.5
"""A poll that is later than this after the moment it was due is of its own moment."""
JITTER_S: Final = 0.05
"""Two moments nearer to one another than this are the same one, seen after a clock was corrected."""

_REASONS: Final = {
    1: "illegal function: try the other one of 3 and 4",
    2: "illegal data address: is the register right? Documents often number from 1, or as 40001 and 30001",
    3: "illegal data value: it may not give so many registers at once",
    4: "the device failed",
    5: "it needs longer",
    6: "it is busy",
    8: "its memory is damaged",
    10: "the gateway has no path to it",
    11: "the gateway gets no answer from it",
}
"""MODBUS Application Protocol Specification V1.1b3, 7."""

_IN: Final[Key] = (int(Direction.IN), int(PassageClass.PEDESTRIAN))
_OUT: Final[Key] = (int(Direction.OUT), int(PassageClass.PEDESTRIAN))


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0x8005 reflected, initial value 0xFFFF; 0x4B37 for ``123456789``."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value


def sealed(message: bytes) -> bytes:
    """`message` with its CRC, as it is on the line."""
    return message + crc16(message).to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that are asked for in one request."""

    first: int
    """Address as in the protocol: 0 is the first register."""
    number: int

    @property
    def end(self) -> int:
        """The address after its last register."""
        return self.first + self.number

    def request(self, slave: int, function: int) -> bytes:
        """The request for it, as it is on the line."""
        return sealed(struct.pack(">BBHH", slave, function, self.first, self.number))


def blocks_of(registers: Iterable[tuple[int, int]]) -> tuple[Block, ...]:
    """The fewest requests for (first, number) of registers.

    Only registers that follow one another go together: some devices refuse a request that touches one they do not have.
    """
    found: list[Block] = []
    for first, number in sorted(registers):
        last = found[-1] if found else None
        if last is not None and first == last.end and last.number + number <= MOST_REGISTERS:
            found[-1] = Block(last.first, last.number + number)
        else:
            found.append(Block(first, number))
    return tuple(found)


class ModbusFramer(BufferedFramer):
    """Answers of one slave to one function, found by their first bytes and believed by their CRC.

    Where a candidate is none, one byte is dropped and the search begins again. Requests of ours that an adapter with
    two wires echoes are passed over. It never holds more than an answer and a request.
    """

    def __init__(self, slave: int, function: int, blocks: Sequence[Block]) -> None:
        self._slave = slave
        self._function = function
        self._sizes = frozenset(2 * block.number for block in blocks)
        self._requests = tuple(block.request(slave, function) for block in blocks)
        super().__init__()
        self.echoes = 0
        """Requests of ours that came back."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; return the frames they complete."""
        self._pending += data
        frames: list[Frame] = []
        at = 0
        while (size := self._size(at)) is not None:
            if size:
                found = bytes(self._pending[at : at + size])
                if found in self._requests:
                    self.echoes += 1
                else:
                    self._frames += 1
                    start = 2 if found[1] & REFUSED else 3
                    frames.append(Frame(found[1], found[start:-2]))
            else:
                self._skipped += 1
            at += size or 1
        del self._pending[:at]
        return frames

    def _size(self, at: int) -> int | None:
        """Size of the message at `at`; 0 if it is none; None if that cannot be said yet."""
        begun = bytes(self._pending[at : at + REQUEST_BYTES])
        if not begun:
            return None
        echo = any(request.startswith(begun) for request in self._requests)
        if echo and len(begun) == REQUEST_BYTES:
            return REQUEST_BYTES
        answer = self._answer(at, begun)
        return None if echo and not answer else answer

    def _answer(self, at: int, begun: bytes) -> int | None:
        if begun[0] != self._slave:
            return 0
        if len(begun) < 2:
            return None
        if begun[1] == self._function | REFUSED:
            return self._checked(at, 5)
        if begun[1] != self._function:
            return 0
        if len(begun) < 3:
            return None
        if begun[2] not in self._sizes:
            expected = " or ".join(str(size) for size in sorted(self._sizes))
            return self._fail(f"an answer with {begun[2]} bytes of registers, expected {expected}", begun)
        return self._checked(at, begun[2] + 5)

    def _checked(self, at: int, size: int) -> int | None:
        found = bytes(self._pending[at : at + size])
        if len(found) < size:
            return None
        computed, sent = crc16(found[:-2]), int.from_bytes(found[-2:], "little")
        if computed != sent:
            return self._fail(f"CRC 0x{sent:04x}, expected 0x{computed:04x} over {size - 2} bytes", found)
        return size

    def _fail(self, fault: str, found: bytes) -> int:
        # What may still become an echo is looked at again with more bytes, and is no fault until then.
        if not any(request.startswith(found[:REQUEST_BYTES]) for request in self._requests):
            self._bad += 1
            self.last_fault = fault
        return 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the registers a number is."""

    first: int
    number: int
    """Registers it takes: 1 or 2."""
    low_first: bool = False
    """The register with the lower half comes first."""

    def value(self, registers: Mapping[int, int]) -> int:
        """The number, out of registers by address."""
        words = [registers[self.first + index] for index in range(self.number)]
        high_first = reversed(words) if self.low_first else words
        value = 0
        for word in high_first:
            value = value << 16 | word
        return value


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked, of whom, and how often."""

    slave: int
    function: int
    totals: Mapping[Key, Place]
    uptime: Place | None
    poll_s: float
    answer_s: float
    slot_s: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What one poll asks for, one request after the other."""
        places = [*self.totals.values(), *([] if self.uptime is None else [self.uptime])]
        return blocks_of((place.first, place.number) for place in places)

    def due_s(self, now: Moment) -> float:
        """Monotonic seconds of the latest moment at or before `now` at which a poll was due.

        With a trusted clock those are at the beginning of each slot and every `poll_s` after that, so that what a poll
        shows fell into the slots before it; with a longer `poll_s` every multiple of it. Else any steps will do.
        """
        if now.utc_ms is None:
            return now.monotonic_s // self.poll_s * self.poll_s
        slot_ms, poll_ms = self.slot_s * 1000, max(1, round(self.poll_s * 1000))
        within_ms = now.utc_ms % slot_ms if poll_ms < slot_ms else now.utc_ms
        return now.monotonic_s - within_ms % poll_ms / 1000


@dataclass(frozen=True, slots=True)
class Poller:
    """The conversation: one question at a time, its answer, the next one. Immutable."""

    questions: Questions
    polled_s: float | None = None
    """Monotonic seconds of the moment that the latest poll is of; None: none yet since the line was opened."""
    asked_s: float | None = None
    """Monotonic seconds of the latest request; None: none yet since the line was opened."""
    waiting: bool = False
    """An answer may still come."""
    quiet_until_s: float = float("-inf")
    """Nothing is asked before this, monotonic seconds: a late answer would be taken for the next one."""
    answers: tuple[bytes, ...] = field(default=())
    """What the blocks of this poll have said so far."""

    def opened(self) -> "Poller":
        """Ask from the start."""
        return Poller(self.questions)

    def ask(self, now: Moment) -> tuple["Poller", bytes]:
        """The next request, if it is time for one."""
        poller = self
        if self.waiting and self.asked_s is not None:
            over_s = self.asked_s + self.questions.answer_s
            if now.monotonic_s <= over_s:
                return self, b""
            # A late answer has as long again to come and be passed over.
            poller = self._given_up(over_s + self.questions.answer_s)
        if now.monotonic_s < poller.quiet_until_s:
            return poller, b""
        if poller.answers:
            return _asking(poller, now)
        due_s = self.questions.due_s(now)
        if poller.polled_s is not None and due_s - poller.polled_s < JITTER_S:
            return poller, b""
        of_s = due_s if now.monotonic_s - due_s <= LATE_S else now.monotonic_s
        return _asking(replace(poller, polled_s=of_s), now)

    def _given_up(self, quiet_until_s: float = float("-inf")) -> "Poller":
        return replace(self, waiting=False, answers=(), quiet_until_s=quiet_until_s)

    def read(self, frame: Frame, at: Moment) -> tuple["Poller", Shown]:
        """Take an answer. Where nothing was ever asked, as in a recording, answers are taken to come in order."""
        recorded = self.asked_s is None
        if not recorded:
            assert self.asked_s is not None
            if not self.waiting or at.monotonic_s - self.asked_s > self.questions.answer_s:
                return self, Shown()
        if frame.kind & REFUSED:
            return self._given_up(), Shown(trouble=self._refusal(frame.body[0]))
        blocks = self.questions.blocks
        if len(frame.body) != 2 * blocks[len(self.answers)].number:
            return (self._given_up() if recorded else self), Shown()
        answers = (*self.answers, frame.body)
        if len(answers) < len(blocks):
            return replace(self, waiting=False, answers=answers), Shown()
        registers: dict[int, int] = {}
        for block, answer in zip(blocks, answers, strict=True):
            registers |= dict(enumerate(struct.unpack(f">{block.number}H", answer), block.first))
        values = {key: place.value(registers) for key, place in self.questions.totals.items()}
        uptime = self.questions.uptime
        shown = Shown(
            MappingProxyType(values),
            None if uptime is None else uptime.value(registers),
            trouble="",
            at_s=self.polled_s,
        )
        return self._given_up(), shown

    def _refusal(self, reason: int) -> str:
        block = self.questions.blocks[len(self.answers)]
        registers = f"register {block.first}" if block.number == 1 else f"registers {block.first} to {block.end - 1}"
        return (
            f"slave {self.questions.slave} refuses {registers} by function {self.questions.function}: "
            f"{_REASONS.get(reason, f'reason {reason}')}"
        )


def _asking(poller: Poller, now: Moment) -> tuple[Poller, bytes]:
    """`poller` when it asks for the next block, and the request."""
    block = poller.questions.blocks[len(poller.answers)]
    request = block.request(poller.questions.slave, poller.questions.function)
    return replace(poller, asked_s=now.monotonic_s, waiting=True), request


Words = Literal["high-first", "low-first"]
S = TypeVar("S", bound=Section)


class TotalRegister(Section):
    """Where a running total is."""

    register_: int = Field(alias="register", ge=0, le=65535, description="address in the protocol, from 0")
    width_bits: Literal[16, 32] = Field(16, description="one register or two")
    words: Words = Field("high-first", description="which of two registers comes first")
    scale: int = Field(1, ge=1, le=10_000, description="passages for each step of the total")

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.register_, self.width_bits // 16, self.words == "low-first")

    @property
    def meter(self) -> Meter:
        """How it counts."""
        return Meter(2**self.width_bits, self.scale)

    @model_validator(mode="after")
    def _within(self) -> Self:
        return _within(self, self.place)


class UptimeRegister(Section):
    """Where the seconds are for which the device has been running: two registers."""

    register_: int = Field(alias="register", ge=0, le=65535, description="address in the protocol, from 0")
    words: Words = Field("high-first", description="which of two registers comes first")

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.register_, 2, self.words == "low-first")

    @model_validator(mode="after")
    def _within(self) -> Self:
        return _within(self, self.place)


def _within(section: S, place: Place) -> S:
    if place.first + place.number > 65536:
        raise ValueError(f"register {place.first} is the last one; a number of 32 bits needs another")
    return section


class ModbusCounter(TotalsDriver):
    """The driver called ``modbus``."""

    usual_baud: ClassVar[int] = 9600
    usual_parity: ClassVar[Parity] = "even"

    slave: int = Field(ge=1, le=247, description="the device's address on the line")
    function: Literal[3, 4] = Field(3, description="3: holding registers, 4: input registers")
    in_: TotalRegister | None = Field(None, alias="in", description="the total of those who go in")
    out: TotalRegister | None = Field(None, description="the total of those who go out")
    uptime: UptimeRegister | None = Field(None, description="seconds since the device was started, if it says so")
    poll_s: float = Field(1.0, ge=0.2, le=60, description="seconds between two readings")
    answer_s: float = Field(0.5, ge=0.05, le=10, description="seconds in which the device answers")

    @model_validator(mode="after")
    def _some_totals(self) -> Self:
        if self.in_ is None and self.out is None:
            raise ValueError("there is neither [sensor.in] nor [sensor.out]; one of both says where a total is")
        if self.most_gap_s < self.poll_s:
            raise ValueError(
                f"most_gap_s = {self.most_gap_s:g} is less than poll_s = {self.poll_s:g}: no time would be measured"
            )
        taken: dict[int, str] = {}
        for name, place in self._places().items():
            for register in range(place.first, place.first + place.number):
                if register in taken:
                    raise ValueError(f"register {register} is part of {taken[register]} and of {name}")
                taken[register] = name
        return self

    def _places(self) -> Mapping[str, Place]:
        sections = {"in": self.in_, "out": self.out, "uptime": self.uptime}
        return {name: section.place for name, section in sections.items() if section is not None}

    def _totals(self) -> Mapping[Key, TotalRegister]:
        return {key: total for key, total in ((_IN, self.in_), (_OUT, self.out)) if total is not None}

    def _questions(self, slot_s: int) -> Questions:
        return Questions(
            self.slave,
            self.function,
            {key: total.place for key, total in self._totals().items()},
            None if self.uptime is None else self.uptime.place,
            self.poll_s,
            self.answer_s,
            slot_s,
        )

    @property
    def quiet_s(self) -> float:
        """From one answer to the next, which may be as late as it may be."""
        return self.poll_s + self.answer_s

    def framer(self) -> ModbusFramer:
        """Answers of the one slave."""
        return ModbusFramer(self.slave, self.function, self._questions(1).blocks)

    def reader(self, slot_s: int) -> Reader:
        """Nothing asked yet."""
        return Poller(self._questions(slot_s))

    def rule(self) -> Rule:
        """One or two totals, each of its own width."""
        totals = self._totals()
        return Rule(
            {key: total.meter for key, total in totals.items()},
            f"modbus, slave {self.slave}, function {self.function}, {totals}",
            most_per_s=self.most_per_s,
            # Where it is as long as poll_s, a millisecond more or less between two polls is to change nothing.
            most_gap_s=self.most_gap_s + JITTER_S,
            after_restart=self.after_restart,
            # The CRC is good; but a device that is just starting may show anything for a moment.
            confirm=1,
        )
