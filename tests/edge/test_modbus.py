"""Modbus RTU counters: messages by the specification, framing in noise, polling, refusals, and a foreign peer."""

import asyncio
import json
import os
import random
import re
import select
import struct
import threading
import tomllib
import tty
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from footfall_edge.__main__ import main
from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor
from footfall_edge.drivers import Outcome, driver_named
from footfall_edge.framer import Frame, LineCounts
from footfall_edge.modbus import (
    REQUEST_BYTES,
    Block,
    ModbusCounter,
    ModbusFramer,
    Place,
    Poller,
    blocks_of,
    crc16,
    sealed,
)
from footfall_edge.settings import SensorSettings
from footfall_edge.totals import Meter
from footfall_role.settings import SettingsError

NOON_MS = 1_764_072_000_000
IN, OUT = (0, 0), (1, 0)


def counter(**table: Any) -> ModbusCounter:
    """The driver with settings as in edge.toml: `in` is in registers 0 and 1, `out` in 2 and 3."""
    usual = {"slave": 3, "in": {"register": 0, "width_bits": 32}, "out": {"register": 2, "width_bits": 32}}
    return ModbusCounter.model_validate({**usual, **table})


class Slave:
    """A counter: it answers requests for its registers, if it feels like it."""

    def __init__(self, registers: Mapping[int, int], address: int = 3, function: int = 3) -> None:
        self.registers = dict(registers)
        self.address = address
        self.function = function
        self.asked: list[tuple[int, int]] = []
        self.silent = False

    def show(self, register: int, value: int) -> None:
        """A total of 32 bits, the higher half first."""
        self.registers[register], self.registers[register + 1] = value >> 16, value & 0xFFFF

    def answer(self, request: bytes) -> bytes:
        """What it says to a request."""
        address, function, first, number = struct.unpack(">BBHH", request[:-2])
        assert request == sealed(request[:-2])
        if self.silent or address != self.address:
            return b""
        self.asked.append((first, number))
        if function != self.function:
            return sealed(bytes([address, function | 0x80, 1]))
        wanted = range(first, first + number)
        if not all(register in self.registers for register in wanted):
            return sealed(bytes([address, function | 0x80, 2]))
        values = [self.registers[register] for register in wanted]
        return sealed(struct.pack(f">BBB{number}H", address, function, 2 * number, *values))


class Bench:
    """A session and a slave on a line, in simulated time: the edge's loop turns four times a second."""

    def __init__(self, driver: ModbusCounter, slave: Slave, cursors: tuple[Cursor, ...] = ()) -> None:
        self.session = driver.session(cursors)
        self.framer = driver.framer()
        self.slave = slave
        self.now = 0.0
        self.trusted = True
        self.delay = 0.02
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self.asked_at: list[float] = []
        self.counts: list[Count] = []
        self.outcomes: Counter[Outcome] = Counter()
        self._under_way: list[tuple[float, bytes]] = []
        self._step(self.session.opened(self._moment(self.now)))

    def _moment(self, seconds: float) -> Moment:
        return Moment(NOON_MS + round(seconds * 1000) if self.trusted else None, 1000.0 + seconds)

    def _step(self, step: Any) -> None:
        self.session = step.session
        if step.outcome is not None:
            self.outcomes[step.outcome] += 1
        if step.booking is not None:
            self.counts += step.booking.counts
        if step.reply:
            self.asked_at.append(self.now)
            self._under_way.append((self.now + self.delay, self.slave.answer(step.reply)))

    def run(self, seconds: float) -> None:
        """Time passes."""
        for _ in range(round(seconds * 20)):
            self.now = round(self.now + 0.05, 3)
            due = [data for at, data in self._under_way if at <= self.now]
            self._under_way = [(at, data) for at, data in self._under_way if at > self.now]
            for data in due:
                for frame in self.framer.feed(self.spoil(data)):
                    self._step(self.session.heard(frame, self._moment(self.now)))
            if due or round(self.now * 20) % 5 == 2:
                self._step(self.session.tick(self._moment(self.now)))

    @property
    def passages(self) -> Counter[tuple[int, int]]:
        """All that was booked."""
        total: Counter[tuple[int, int]] = Counter()
        for count in self.counts:
            for direction, class_, number in count.passages:
                total[direction, class_] += number
        return total


def test_the_checksum_is_that_of_the_specification() -> None:
    """Its check value; the example of MODBUS over Serial Line V1.02, 6.2.2: 02 07 has the CRC 0x1241."""
    assert crc16(b"123456789") == 0x4B37
    assert sealed(bytes.fromhex("0207")) == bytes.fromhex("02074112")


def test_requests_and_answers_of_the_specification() -> None:
    """Registers 108 to 110 (6.3) and input register 9 (6.4) of the application protocol, as they are on the line."""
    holding, inputs = Block(0x6B, 3), Block(8, 1)

    assert holding.request(0x11, 3) == bytes.fromhex("11 03 006b 0003 7687")
    assert ModbusFramer(0x11, 3, [holding]).feed(bytes.fromhex("11 03 06 022b 0000 0064 c8ba")) == [
        Frame(3, bytes.fromhex("022b 0000 0064"))
    ]
    assert inputs.request(0x11, 4) == bytes.fromhex("11 04 0008 0001 b298")
    assert ModbusFramer(0x11, 4, [inputs]).feed(bytes.fromhex("11 04 02 000a f8f4")) == [Frame(4, b"\0\x0a")]
    assert ModbusFramer(0x0A, 1, [inputs]).feed(bytes.fromhex("0a 81 02 b053")) == [Frame(0x81, b"\x02")]


def test_registers_that_follow_one_another_are_asked_for_together() -> None:
    """One request for neighbours, several where there is a hole, and none with more than 125 registers."""
    assert blocks_of([(2, 2), (0, 2)]) == (Block(0, 4),)
    assert blocks_of([(0, 2), (3, 1)]) == (Block(0, 2), Block(3, 1))
    assert blocks_of([(2 * n, 2) for n in range(70)]) == (Block(0, 124), Block(124, 16))


@pytest.mark.parametrize(
    ("place", "value"), [(Place(7, 1), 1), (Place(7, 2), 0x1FFFE), (Place(7, 2, True), 0xFFFE0001)]
)
def test_numbers_in_registers(place: Place, value: int) -> None:
    """One register, or two in either order."""
    assert place.value({7: 1, 8: 0xFFFE}) == value


BLOCKS = (Block(0, 4), Block(0x0800, 1))
ANSWERS = (sealed(bytes.fromhex("03 03 08 0000 0001 0000 0002")), sealed(bytes.fromhex("03 03 02 0007")))
NOISE_PARTS = (b"\x03", b"\x03\x03", b"\x03\x03\x08", b"\x03\x83\x02", b"\x03\x03\x02\x00", b"\0", ANSWERS[0][:9])


def noise(rng: random.Random, most: int = 120) -> bytes:
    """Some noise as it is found on lines: any bytes, or beginnings of answers."""
    if rng.random() < 0.5:
        return rng.randbytes(rng.randrange(most))
    return b"".join(rng.choice(NOISE_PARTS) for _ in range(rng.randrange(most // 4)))


@pytest.mark.parametrize("size", [1, 7, 29, 300])
def test_answers_are_found_in_noise_and_chunks(size: int) -> None:
    """Whatever is between them, beginnings of answers too, each answer is found and each byte accounted for."""
    rng = random.Random(size)
    framer = ModbusFramer(3, 3, BLOCKS)
    data = b"".join(noise(rng, 40) + ANSWERS[n % 2] for n in range(200)) + bytes(20)

    found = [frame for at in range(0, len(data), size) for frame in framer.feed(data[at : at + size])]

    assert [frame.body for frame in found] == [ANSWERS[n % 2][3:-2] for n in range(200)]
    good = sum(len(frame.body) + 5 for frame in found)
    assert good + framer.counts.skipped_bytes + framer.pending == len(data)
    assert framer.counts.bad_frames > 0
    framer.finish()
    assert framer.pending == 0


@given(st.binary(max_size=400), st.sampled_from([1, 7, 29, 300]))
def test_every_byte_is_in_one_place(data: bytes, size: int) -> None:
    """Any bytes, with echoes and answers in them: a frame, an echo, skipped or pending."""
    data = data[:50] + BLOCKS[1].request(3, 3) + data[50:] + ANSWERS[1]
    framer = ModbusFramer(3, 3, BLOCKS)
    most = 0

    found = []
    for at in range(0, len(data), size):
        found += framer.feed(data[at : at + size])
        most = max(most, framer.pending)

    good = sum(len(frame.body) + (4 if frame.kind & 0x80 else 5) for frame in found)
    assert good + 8 * framer.echoes + framer.counts.skipped_bytes + framer.pending == len(data)
    assert framer.counts.frames == len(found)
    assert most < 13


def test_a_bad_answer_is_said_in_words() -> None:
    """The checksum that came and the one expected; a number of bytes that nobody asked for."""
    framer = ModbusFramer(3, 3, BLOCKS)
    framer.feed(ANSWERS[1][:-1] + b"\x99" + bytes(5))
    assert framer.last_fault == "CRC 0x9980, expected 0x4680 over 5 bytes"
    framer.feed(sealed(bytes.fromhex("03 03 04 0000 0001")))

    assert framer.last_fault == "an answer with 4 bytes of registers, expected 2 or 8"
    assert framer.counts == LineCounts(0, 2, 7 + 5 + 9)


def test_what_comes_back_of_ours_is_passed_over() -> None:
    """An adapter with two wires echoes each request. That is no answer, and no noise either."""
    framer = ModbusFramer(3, 3, BLOCKS)

    for byte in BLOCKS[0].request(3, 3):
        assert framer.feed(bytes([byte])) == []
    found = framer.feed(ANSWERS[0] + BLOCKS[1].request(3, 3) + ANSWERS[1])

    assert len(found) == 2
    assert framer.echoes == 2
    assert framer.counts == LineCounts(frames=2)


def test_a_line_opened_anew_begins_anew() -> None:
    """Half an answer from before is skipped."""
    framer = ModbusFramer(3, 3, BLOCKS)
    framer.feed(ANSWERS[0][:6])
    framer.reset()

    assert framer.feed(ANSWERS[0][6:] + ANSWERS[1]) == [Frame(3, b"\0\x07")]
    assert framer.counts.skipped_bytes == len(ANSWERS[0])


def test_totals_are_polled_on_the_beginnings_of_slots() -> None:
    """With a poll a second they are on the seconds, as near as the loop turns, and a slot's passages are in it."""
    slave = Slave(dict.fromkeys(range(4), 0))
    bench = Bench(counter(), slave)
    bench.run(9.5)
    slave.show(0, 5)  # seen by the poll of 10 s, which the loop sends a moment later
    bench.run(1)
    slave.show(2, 1)
    bench.run(9.7)

    assert all(0 < at % 1 < 0.25 for at in bench.asked_at[1:])
    assert len(bench.asked_at) == 21
    by_slot: Counter[tuple[int, int]] = Counter()
    for count in bench.counts:
        assert count.start_ms // 10_000 == (count.end_ms - 1) // 10_000
        for direction, _, number in count.passages:
            by_slot[count.start_ms // 10_000 * 10_000 - NOON_MS, direction] += number
    assert by_slot == {(0, 0): 5, (10_000, 1): 1}
    assert sum(count.measured_ms for count in bench.counts) == pytest.approx(19_000, abs=1001)


@pytest.mark.parametrize(
    ("poll_s", "trusted", "expected"),
    [
        (7, True, [0, 7, 10, 17, 20]),
        (5, True, [0, 5, 10, 15, 20]),
        (15, True, [0, 15]),
        (10, False, [0, 10, 20]),
    ],
)
def test_how_often_is_asked(poll_s: float, trusted: bool, expected: list[float]) -> None:
    """At the beginning of each slot and every `poll_s` after that; without a clock just every `poll_s`."""
    bench = Bench(counter(poll_s=poll_s), Slave(dict.fromkeys(range(4), 0)))
    bench.trusted = trusted
    bench.run(21)

    assert [round(at) for at in bench.asked_at] == expected


@pytest.mark.parametrize("poll_s", [1, 10, 60])
def test_gaps_as_long_as_between_two_polls_are_measured(poll_s: float) -> None:
    """Whatever fractions of a millisecond the two clocks are apart, all of the time is."""
    session = counter(poll_s=poll_s, most_gap_s=poll_s).session(())
    counts: list[Count] = []
    for turn in range(round(poll_s * 100)):
        at_s = 0.1371 + turn * 0.2503
        at = Moment(NOON_MS + int(at_s * 1000), at_s)
        step = session.tick(at)
        counts += step.booking.counts if step.booking is not None else ()
        session = step.session
        if step.reply:
            step = session.heard(Frame(3, bytes(8)), at)
            counts += step.booking.counts if step.booking is not None else ()
            session = step.session

    assert all(count.measured_ms for count in counts)
    # 25 polls and a bit; the last slot may not be over yet.
    assert sum(count.measured_ms for count in counts) == pytest.approx(
        24_000 * poll_s, abs=max(10, 1.5 * poll_s) * 1000
    )


def test_registers_apart_are_asked_for_one_after_the_other() -> None:
    """Three requests, each after the answer to the one before; totals, their order of words, and the uptime arrive."""
    driver = counter(
        **{
            "function": 4,
            "in": {"register": 9, "width_bits": 16, "scale": 2},
            "out": {"register": 20, "width_bits": 32, "words": "low-first"},
            "uptime": {"register": 100},
            "most_per_s": 20,
        }
    )
    slave = Slave({9: 1, 20: 0xFFFF, 21: 0, 100: 1, 101: 2}, function=4)
    bench = Bench(driver, slave)
    bench.run(2)
    slave.registers |= {9: 4, 20: 1, 21: 1, 101: 4}
    bench.run(3)

    assert slave.asked[:4] == [(9, 1), (20, 2), (100, 2), (9, 1)]
    assert bench.passages == {IN: 6, OUT: 2}
    last = bench.session.account.last  # type: ignore[attr-defined]
    assert (dict(last.values), last.uptime_s) == ({IN: 4, OUT: 0x10001}, 65_540)
    assert driver.rule().meters == {IN: Meter(2**16, 2), OUT: Meter(2**32)}


@pytest.mark.parametrize(("bits", "top"), [(16, 0xFFFE), (32, 0xFFFFFFFE)])
def test_a_wrap_and_a_restart_of_the_device(bits: int, top: int) -> None:
    """Over the top of its width it went on; from the middle back to a few it was started anew."""
    driver = counter(**{"in": {"register": 0, "width_bits": bits}, "out": None, "most_per_s": 500})
    slave = Slave({0: top >> 16, 1: top & 0xFFFF} if bits == 32 else {0: top})
    bench = Bench(driver, slave)

    def show(value: int) -> None:
        slave.registers |= {0: value >> 16, 1: value & 0xFFFF} if bits == 32 else {0: value}

    bench.run(3)
    show(3)
    bench.run(3)
    wrapped = bench.passages, bench.session.device.restarts
    for value in range(1_000, 40_000, 1_000):
        show(value)
        bench.run(1)
    show(2)
    bench.run(5)

    assert wrapped == ({IN: 5}, 0)
    assert bench.session.device.restarts == 1
    assert bench.passages == {IN: 5 + 39_000 - 3 + 2}


def test_a_device_that_does_not_answer_is_asked_again() -> None:
    """Nothing is known meanwhile; when it answers again what the totals rose by is a span if it took too long."""
    slave = Slave(dict.fromkeys(range(4), 0))
    bench = Bench(counter(most_gap_s=5), slave)
    bench.run(3)
    slave.silent = True
    bench.run(20)
    slave.silent = False
    slave.show(0, 8)
    bench.run(3)

    spans = [count for count in bench.counts if not count.measured_ms]
    assert bench.passages == {IN: 8}
    assert [(round((s.end_ms - s.start_ms) / 1000), s.passages) for s in spans] == [(21, ((0, 0, 8),))]
    assert 15 < len(bench.asked_at) < 30


def at(seconds: float) -> Moment:
    """A moment on a machine whose clock is not trusted."""
    return Moment(None, 1000.0 + seconds)


def apart() -> Poller:
    """A poller that asks for register 0 and for register 50, four times a second."""
    poller = counter(**{"in": {"register": 0}, "out": {"register": 50}, "poll_s": 0.25, "answer_s": 0.2}).reader(10)
    assert isinstance(poller, Poller)
    return poller


FIRST, SECOND = Block(0, 1).request(3, 3), Block(50, 1).request(3, 3)
SEVEN, REFUSAL = Frame(3, b"\0\x07"), Frame(0x83, b"\x06")


def test_after_a_late_answer_the_line_is_left_alone() -> None:
    """No answer in time: nothing is asked for as long again, and what comes then belongs to nothing."""
    poller, request = apart().ask(at(0))
    assert request == FIRST
    poller, request = poller.ask(at(0.21))
    assert request == b""
    late, shown = poller.read(SEVEN, at(0.3))
    assert (late, shown.values) == (poller, None)
    poller, request = poller.ask(at(0.39))
    assert request == b""

    assert poller.ask(at(0.41))[1] == FIRST


def test_only_what_was_asked_in_time_is_an_answer() -> None:
    """One that was read too late, before the next turn of the loop even; one that nobody asked for."""
    poller, _ = apart().ask(at(0))
    late, _ = poller.read(SEVEN, at(0.25))
    first, _ = poller.read(SEVEN, at(0.1))
    again, shown = first.read(SEVEN, at(0.11))

    assert late == poller
    assert first.answers == (SEVEN.body,)
    assert (again, shown.values) == (first, None)
    assert first.ask(at(0.12))[1] == SECOND


def test_a_refusal_ends_the_poll() -> None:
    """The next one begins with the first request, when it is due."""
    poller, _ = apart().ask(at(0))
    poller, _ = poller.read(SEVEN, at(0.05))
    poller, request = poller.ask(at(0.06))
    assert request == SECOND
    poller, shown = poller.read(REFUSAL, at(0.1))

    assert shown.trouble == "slave 3 refuses register 50 by function 3: it is busy"
    assert poller.ask(at(0.15))[1] == b""
    assert poller.ask(at(0.25))[1] == FIRST


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    """Answers for two registers apart look the same. One that comes too late is passed over, and never mixed up."""
    driver = counter(**{"in": {"register": 0}, "out": {"register": 50}, "answer_s": 0.2})
    slave = Slave({0: 1000, 50: 2000})
    bench = Bench(driver, slave)
    bench.run(3)
    bench.delay = 0.3
    bench.run(10)
    late = bench.session.account.last  # type: ignore[attr-defined]
    bench.delay = 0.02
    slave.registers |= {0: 1001}
    bench.run(3)

    assert bench.outcomes[Outcome.IMPLAUSIBLE] == 0
    assert dict(late.values) == {IN: 1000, OUT: 2000}
    assert bench.passages == {IN: 1}


@pytest.mark.parametrize(
    ("slave", "complaint"),
    [
        (
            Slave({0: 0, 1: 0}),
            "slave 3 refuses registers 0 to 3 by function 3: illegal data address: is the register right?",
        ),
        (
            Slave(dict.fromkeys(range(4), 0), function=4),
            "slave 3 refuses registers 0 to 3 by function 3: illegal function: try the other one of 3 and 4",
        ),
    ],
)
def test_a_refusal_is_said_in_words(slave: Slave, complaint: str) -> None:
    """It is in the health until the device answers."""
    bench = Bench(counter(), slave)
    bench.run(2)
    refused = bench.session.device.trouble
    slave.registers, slave.function = dict.fromkeys(range(4), 0), 3
    bench.run(3)

    assert refused.startswith(complaint)
    assert bench.session.device.trouble == ""


def test_a_step_that_was_dropped_is_asked_again() -> None:
    """A session knows nothing of a question whose step was thrown away."""
    session = counter().session([])
    moment = Moment(NOON_MS, 1000.0)

    assert session.tick(moment).reply == session.tick(moment).reply != b""


def test_a_line_opened_anew_is_asked_at_once() -> None:
    """The answer to what was asked before the cable was drawn does not come any more."""
    session = counter().session([])
    asked = session.opened(Moment(NOON_MS, 1000.0)).session

    assert asked.tick(Moment(NOON_MS + 100, 1000.1)).reply == b""
    assert asked.opened(Moment(NOON_MS + 100, 1000.1)).reply != b""


@pytest.mark.parametrize("loss", [1e-4, 1e-3, 1e-2])
def test_lost_bytes_cost_nothing(loss: float) -> None:
    """An answer that lost a byte is none; the next one shows all."""
    rng = random.Random(5)
    slave = Slave(dict.fromkeys(range(4), 0))
    bench = Bench(counter(), slave)
    bench.run(3)
    bench.spoil = lambda data: bytes(byte for byte in data if rng.random() >= loss)
    passed = 0
    for _ in range(150):
        passed += rng.randrange(3)
        slave.show(0, passed)
        bench.run(2)
    bench.spoil = lambda data: data
    bench.run(3)

    assert bench.passages == {IN: passed}
    assert bench.framer.counts.bad_frames > 0 or loss < 1e-2


def survives(seeds: range) -> None:
    """No noise makes an exception, and no noise a passage."""
    framer = counter().framer()
    session = counter().session([])
    booked = 0
    for seed in seeds:
        moment = Moment(NOON_MS + 1000 * seed, 1000.0 + seed)
        session = session.tick(moment).session
        for frame in framer.feed(noise(random.Random(seed))):
            step = session.heard(frame, moment)
            session = step.session
            booked += sum(len(count.passages) for count in step.booking.counts) if step.booking else 0
    assert booked == 0


def test_noise_is_no_passage() -> None:
    """2 000 seeded buffers."""
    survives(range(2_000))


@pytest.mark.full
def test_much_noise_is_no_passage() -> None:
    """100 000 seeded buffers."""
    survives(range(100_000))


def test_only_two_functions_are_ever_sent() -> None:
    """Whatever the settings, a request reads: nothing in a device is changed."""
    for function in (3, 4):
        poller = counter(function=function).reader(10)
        _, request = poller.ask(Moment(NOON_MS, 1000.0))
        assert isinstance(poller, Poller)
        assert request[1] == function
    with pytest.raises(SettingsError, match="function: Input should be 3 or 4"):
        SensorSettings.given({**TABLE, "function": 6})


TABLE: dict[str, Any] = {
    "id": "markt-1",
    "driver": "modbus",
    "port": "/dev/null",
    "slave": 3,
    "in": {"register": 0, "width_bits": 32},
}


def test_settings_of_a_table() -> None:
    """[sensor.in] and [sensor.out] are tables of their own; what is in force can be written down again."""
    sensor = SensorSettings.given({**TABLE, "out": {"register": 2, "width_bits": 32, "words": "low-first"}})

    assert driver_named("modbus") is ModbusCounter
    assert (sensor.speed.baud, sensor.speed.parity) == (9600, "even")
    assert not sensor.set_up.remembers
    assert sensor.model_dump()["in"] == {"register": 0, "width_bits": 32, "words": "high-first", "scale": 1}
    assert SensorSettings.given(sensor.model_dump()).set_up == sensor.set_up


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"slave": 0}, "slave: Input should be greater than or equal to 1"),
        ({"in": None}, r"there is neither \[sensor.in\] nor \[sensor.out\]"),
        ({"in": {"register": 65535, "width_bits": 32}}, "in: register 65535 is the last one"),
        ({"out": {"register": 1}}, "register 1 is part of in and of out"),
        ({"uptime": {"register": 1}}, "register 1 is part of in and of uptime"),
        ({"in": {"register": 40001, "width_bits": 24}}, r"in\.width_bits: Input should be 16 or 32"),
        ({"poll_s": 60}, "most_gap_s = 30 is less than poll_s = 60: no time would be measured"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], fault: str) -> None:
    """The sentence names the setting and what it may be."""
    with pytest.raises(SettingsError, match=f"driver modbus: {fault}"):
        SensorSettings.given({**TABLE, **changes})


def test_a_line_that_polling_leaves_quiet_is_not_to_be_called_silent() -> None:
    """`silent_s` must leave room for a poll and its answer, or the line would be opened anew for each."""
    slow = {**TABLE, "poll_s": 60, "most_gap_s": 90, "answer_s": 1}
    with pytest.raises(SettingsError, match="silent_s = 35 is not more than the 61 s"):
        SensorSettings.given(slow)
    with pytest.raises(SettingsError, match="silent_s = 61 is not more than the 61 s"):
        SensorSettings.given({**slow, "silent_s": 61})

    assert SensorSettings.given({**slow, "silent_s": 62}).silent_s == 62


def test_another_register_is_another_total() -> None:
    """What is booked of one register says nothing of another: the number it is kept under differs."""
    numbers = {
        counter().rule().device,
        counter(slave=4).rule().device,
        counter(function=4).rule().device,
        counter(**{"in": {"register": 8, "width_bits": 32}}).rule().device,
        counter(**{"in": {"register": 0, "width_bits": 32, "words": "low-first"}}).rule().device,
    }

    assert len(numbers) == 5
    assert counter(poll_s=5, answer_s=1).rule().device in numbers


def test_probe_reads_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers as they were recorded, with requests between them and registers apart."""
    file = tmp_path / "answers.bin"
    blocks = (Block(0, 1), Block(50, 1))
    data = b"\xff"
    for values in ((7, 7), (7, 7), (9, 8), (12, 8)):
        for block, value in zip(blocks, values, strict=True):
            data += block.request(3, 3) + sealed(struct.pack(">BBBH", 3, 3, 2, value))
    file.write_bytes(data)
    options = ["--set", "slave = 3", "--set", "in = {register = 0}", "--set", "out = {register = 50}"]

    assert main(["probe", "--json", "--driver", "modbus", "--port", f"replay:{file}", *options]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "driver": "modbus",
        "frames": 8,
        "targets": 0,
        "skipped_bytes": 1,
        "bad_frames": 0,
        "restarts": 0,
        "passages": {"in": 5, "out": 1},
    }


def test_the_page_about_it_is_right() -> None:
    """Its table is a [[sensor]], and every setting is on it."""
    page = (Path(__file__).parents[2] / "docs" / "sensors" / "modbus.md").read_text("utf-8")
    (table,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)

    (sensor,) = tomllib.loads(table)["sensor"]

    driver = SensorSettings.given(sensor).set_up
    assert isinstance(driver, ModbusCounter)
    assert driver.rule().meters == {IN: Meter(2**32), OUT: Meter(2**32)}
    names = {field.alias or name for name, field in ModbusCounter.model_fields.items()}
    assert names <= set(sensor)
    assert all(f"`{name}`" in page or f"[sensor.{name}]" in page for name in names)
    assert all(f"… `{name}` |" in page for name in sensor["in"])


# A peer that is not ours.


MOST_ASKED = 6
"""So many requests reach the slave: nothing is on the wire any more when a probe ends, and no answer is cut."""


class Peer:
    """A slave of pymodbus that counts one more who goes in for each reading, and the wire to it.

    There are two pseudo-terminals; the wire between them may echo, as an adapter with two wires does.
    """

    def __init__(self, *, echo: bool) -> None:
        (self._near, near_far), (self._device, device_far) = os.openpty(), os.openpty()
        self._far = near_far, device_far
        for end in self._far:
            tty.setraw(end)
        self.port = os.ttyname(near_far)
        self._echo = echo
        self._left = MOST_ASKED * REQUEST_BYTES
        self._total = 0xFFFF
        self._serving, self._stop = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=asyncio.run, args=(self._serve(),)),
            threading.Thread(target=self._wire),
        ]

    def __enter__(self) -> str:
        """Begin to serve; returns the port."""
        for thread in self._threads:
            thread.start()
        assert self._serving.wait(20)
        return self.port

    def __exit__(self, *error: object) -> None:
        """End it all."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        for end in (self._near, self._device, *self._far):
            os.close(end)

    async def _serve(self) -> None:
        async def count(function: int, start: int, *rest: Any) -> None:
            address, _, registers, values = rest
            assert (function, values) == (3, None)
            if address == 16:
                self._total += 1
                registers[16 - start : 20 - start] = [self._total >> 16, self._total & 0xFFFF, 0, 7]

        slave = SimDevice(3, [SimData(16, values=[0] * 4, datatype=DataType.REGISTERS)], action=count)
        # A pseudo-terminal has no parity, and pymodbus takes offence at that.
        server = ModbusSerialServer(slave, port=os.ttyname(self._far[1]), baudrate=9600)
        await server.serve_forever(background=True)
        self._serving.set()
        await asyncio.to_thread(self._stop.wait)
        await server.shutdown()  # type: ignore[no-untyped-call]

    def _wire(self) -> None:
        while not self._stop.is_set():
            for end in select.select([self._near, self._device], [], [], 0.02)[0]:
                data = os.read(end, 4096)
                if end == self._near:
                    data = data[: self._left]
                    self._left -= len(data)
                    if self._echo:
                        os.write(end, data)
                os.write(self._device if end == self._near else self._near, data)


@pytest.mark.parametrize("echo", [False, True])
def test_a_slave_of_pymodbus_is_probed(capsys: pytest.CaptureFixture[str], echo: bool) -> None:
    """Every reading is one more than the one before, over the carry from the lower word to the higher one."""
    tables = ["in = {register = 16, width_bits = 32}", "out = {register = 18, width_bits = 32}"]
    options = ["slave = 3", "poll_s = 0.2", "answer_s = 10", *tables]

    with Peer(echo=echo) as port:
        argv = ["probe", "--json", "--driver", "modbus", "--port", port, "--for", "10"]
        assert main([*argv, *(word for option in options for word in ("--set", option))]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["frames"] >= 4
    assert found["passages"] == {"in": found["frames"] - 1, "out": 0}, "the first reading is where counting begins"
    assert (found["skipped_bytes"], found["bad_frames"], found["restarts"]) == (0, 0, 0)


def test_a_refusal_of_pymodbus_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    """A register that the slave does not have."""
    with Peer(echo=False) as port:
        argv = ["probe", "--driver", "modbus", "--port", port, "--for", "10", "--set", "slave = 3"]
        assert main([*argv, "--set", "answer_s = 10", "--set", "in = {register = 17000}"]) == 0

    assert "slave 3 refuses register 17000 by function 3: illegal data address" in capsys.readouterr().out
