"""The Modbus counter, read by a host written from the two Modbus specifications alone."""

import random
from pathlib import Path
from typing import Any

import pytest

from footfall_sim.faults import Fault
from footfall_sim.memory import RamStore, UnusableMemoryError
from footfall_sim.modbus import SILENCE_S, ModbusCounter, ModbusDesign, WordOrder, crc16
from footfall_sim.tally import Keeping, TallyDesign
from footfall_testing.waiting import wait_until
from sim.counter_bench import Bench

RAM = {"memory": "ram", "uptime_address": 4}


def check_sum(data: bytes) -> bytes:
    """CRC-16 as the guide's section 2.5.1.2 describes it: a division of the message by x^16 + x^15 + x^2 + 1.

    The division is done on one long number, bits in the order in which the line carries them.
    """
    bits = [byte >> place & 1 for byte in data for place in range(8)]
    bits = [bit ^ (place < 16) for place, bit in enumerate(bits + [0] * 16)]
    for place in range(len(data) * 8):
        if bits[place]:
            for power in (16, 15, 2, 0):
                bits[place + 16 - power] ^= 1
    rest = bits[-16:]
    return bytes(sum(bit << place for place, bit in enumerate(rest[at : at + 8])) for at in (0, 8))


def frame(text: str) -> bytes:
    content = bytes.fromhex(text)
    return content + check_sum(content)


def counter(store: RamStore | None = None, *, sums: tuple[int, int] = (0, 0), **design: Any) -> ModbusCounter:
    """A counter whose answers come at once."""
    tally = TallyDesign(7, design.pop("keeping", Keeping.NON_VOLATILE), sums)
    return ModbusCounter(store or RamStore(), 0.0, ModbusDesign(**{"turnaround_s": 0.0, **design}), tally)


def ask(device: ModbusCounter, request: bytes, now: float = 0.0) -> bytes:
    device.feed(request, now)
    return device.tick(now)


# -- bytes of the documents -------------------------------------------------------------------------------------------


def test_check_sum_of_the_documents() -> None:
    """The check value of CRC-16/MODBUS, and the guide's own example: 02 07 is followed by 41 12."""
    assert crc16(b"123456789") == 0x4B37
    assert crc16(b"\x02\x07") == 0x1241
    assert check_sum(b"123456789") == b"\x37\x4b"


def test_registers_of_the_specification() -> None:
    """Section 6.3: registers 108 to 110 (addresses 107 on) hold 555, 0 and 100; section 6.4: register 9 holds 10."""
    holding = counter(
        slave=0x11, in_address=107, out_address=109, word_order=WordOrder.LOW_FIRST, sums=(0x0000_022B, 100)
    )
    inputs = counter(slave=1, in_address=8, out_address=9, width=16, sums=(10, 0))

    assert ask(holding, bytes.fromhex("11 03 00 6B 00 03 76 87")) == bytes.fromhex("11 03 06 02 2B 00 00 00 64 C8 BA")
    assert ask(inputs, frame("01 04 00 08 00 01")) == frame("01 04 02 00 0A")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("01 06 00 00 00 01", "01 86 01 83 A0"),  # function 6, Write Single Register
        ("01 10 00 00 00 01 02 00 05", "01 90 01 8D C0"),  # function 16, Write Multiple Registers
        ("01 11", "01 91 01 8C 50"),  # function 17, four bytes long
        ("01 64 01 02 03", "01 E4 01 AA C0"),  # a function of somebody's own
        ("01 03 00 03 00 02", "01 83 02 C0 F1"),  # the second of the two does not exist
        ("01 04 FF FF 00 01", "01 84 02 C2 C1"),
        ("01 03 00 00 00 00", "01 83 03 01 31"),
        ("01 03 00 00 00 7E", "01 83 03 01 31"),  # 126 registers
        ("01 03 00 00 00 7D", "01 83 02 C0 F1"),  # 125 are allowed, and are not there
    ],
)
def test_exceptions(request_: str, answer: str) -> None:
    """Functions other than 3 and 4: exception 1; registers that do not exist: 2; not 1 to 125 of them: 3."""
    assert ask(counter(), frame(request_)).hex(" ").upper() == answer
    assert frame(answer[:-6]).hex(" ").upper() == answer


@pytest.mark.parametrize("function", [3, 4])
@pytest.mark.parametrize(
    ("design", "registers"),
    [
        ({}, "01 23 45 67 89 AB CD EF"),
        ({"word_order": WordOrder.LOW_FIRST}, "45 67 01 23 CD EF 89 AB"),
        ({"in_address": 2, "out_address": 0}, "89 AB CD EF 01 23 45 67"),
    ],
)
def test_totals_of_32_bits(function: int, design: dict[str, Any], registers: str) -> None:
    """Both functions show both totals, in the order of words and at the addresses of the design."""
    device = counter(sums=(0x01234567, 0x89ABCDEF), **design)

    assert ask(device, frame(f"01 {function:02X} 00 00 00 04")) == frame(f"01 {function:02X} 08 {registers}")


@pytest.mark.parametrize(("width", "full"), [(16, 0xFFFF), (32, 0xFFFF_FFFF)])
def test_totals_wrap_at_their_width(width: int, full: int) -> None:
    """One passage after the highest number the total is 0, and the other direction has its own."""
    device = counter(width=width, sums=(full, 5))
    read = frame(f"01 03 00 00 00 {width // 16:02X}")
    assert ask(device, read) == frame(f"01 03 {width // 8:02X} " + "FF" * (width // 8))
    device.passage(0, 0, 1.0)
    device.passage(1, 4, 1.0)

    assert ask(device, read) == frame(f"01 03 {width // 8:02X} " + "00" * (width // 8))
    assert device.totals == {(0, 255): full + 1, (1, 255): 6}


def test_uptime_is_where_it_is_wanted() -> None:
    """Seconds since power-on, 32 bits in the same order of words, by a clock that drifts; else there is no register."""
    device = ModbusCounter(
        RamStore(), 100.0, ModbusDesign(uptime_address=0x0100, turnaround_s=0), TallyDesign(7), drift_ppm=10_000
    )
    read = frame("01 04 01 00 00 02")

    assert ask(device, read, 100.0) == frame("01 04 04 00 00 00 00")
    assert ask(device, read, 100.0 + 70_000.0) == frame("01 04 04 00 01 14 2C")  # 70 700
    assert ask(counter(), read) == frame("01 84 02")


# -- whom it answers, and when ----------------------------------------------------------------------------------------


def test_it_answers_nobody_else() -> None:
    """Requests to other addresses, to all (0), and with a wrong check sum get no answer; then it still answers."""
    device = counter(slave=9)
    for request in (frame("08 03 00 00 00 02"), frame("00 03 00 00 00 02"), frame("09 03 00 00 00 02")[:-1] + b"\0"):
        assert ask(device, request) == b""

    assert ask(device, frame("09 03 00 00 00 02")) == frame("09 03 04 00 00 00 00")


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_requests_in_pieces_and_among_noise(chunk: int) -> None:
    """However the bytes come, and whatever random bytes are before them, each request has its one answer."""
    dice = random.Random(chunk)
    device = counter(sums=(258, 0))
    stream = b"".join(dice.randbytes(dice.randrange(12)) + frame("01 03 00 00 00 02") for _ in range(40))
    said = b"".join(ask(device, stream[at : at + chunk]) for at in range(0, len(stream), chunk))

    assert said == frame("01 03 04 00 00 01 02") * 40
    assert device.bad_frames > 20


def test_noise_alone_is_never_answered() -> None:
    """Thirty thousand random bytes with its own address among them."""
    dice = random.Random(5)
    device = counter()

    assert b"".join(ask(device, dice.randbytes(50), turn * 0.01) for turn in range(600)) == b""


def test_an_unfinished_request_is_forgotten() -> None:
    """After a silence its rest is no request, and the next one is answered."""
    device = counter()
    request = frame("01 03 00 00 00 02")
    assert ask(device, request[:5], 0.0) == b""
    assert ask(device, request[5:], SILENCE_S + 0.01) == b""
    assert device.bad_frames == 1

    assert ask(device, request, 1.0) == frame("01 03 04 00 00 00 00")


def test_the_answer_takes_its_time() -> None:
    """It comes after the turnaround, with the totals of that moment."""
    device = counter(turnaround_s=0.02)
    device.feed(frame("01 03 00 00 00 02"), 5.0)
    assert device.due() == 5.02
    assert device.tick(5.01) == b""
    device.passage(0, 0, 5.015)

    assert device.tick(5.02) == frame("01 03 04 00 00 00 01")
    assert device.due() == float("inf")


# -- what it remembers ------------------------------------------------------------------------------------------------


def test_a_restart_begins_at_zero_or_goes_on() -> None:
    """In RAM the totals are gone, in non-volatile memory they are not; number and boots go on in both."""
    expected = {Keeping.RAM: "00 00 00 00", Keeping.NON_VOLATILE: "00 00 01 02"}
    for keeping, value in expected.items():
        store = RamStore()
        first = counter(store, keeping=keeping, sums=(256, 0))
        for _ in range(2):
            first.passage(0, 0, 1.0)
        first.tick(1.0)
        second = counter(store, keeping=keeping, sums=(256, 0))

        assert ask(second, frame("01 03 00 00 00 02")) == frame(f"01 03 04 {value}")
        assert (second.device, second.boot) == (7, 2)


def test_what_is_told_is_safe_first() -> None:
    """A total in non-volatile memory is written before an answer shows it."""
    store = RamStore()
    device = counter(store)
    device.passage(0, 0, 1.0)

    assert ask(device, frame("01 03 00 00 00 02")) == frame("01 03 04 00 00 00 01")
    assert counter(store).totals == {(0, 255): 1}


def test_a_memory_of_another_device() -> None:
    """Another number, another kind of device, a damaged image: refused with the reason."""
    store = RamStore()
    counter(store)
    with pytest.raises(UnusableMemoryError, match="belongs to device 7, the settings say 8"):
        ModbusCounter(store, 0.0, ModbusDesign(), TallyDesign(8))
    assert store.image is not None
    store.image = store.image[:-1] + b"\0"
    with pytest.raises(UnusableMemoryError, match="wrong check sum"):
        counter(store)
    store.image = b"FFM1" + bytes(40)
    with pytest.raises(UnusableMemoryError, match="another kind of device"):
        counter(store)


def test_it_knows_two_directions() -> None:
    """An undirected passage is an error of whoever orders one; after the shutdown nothing is counted."""
    device = counter()
    with pytest.raises(ValueError, match=r"in \(0\) and out \(1\)"):
        device.passage(2, 0, 1.0)
    device.shutdown(2.0)
    device.passage(0, 0, 3.0)

    assert device.totals == {}


# -- on a line, against the truth -------------------------------------------------------------------------------------


class Host:
    """Polls totals and uptime, and adds up what they grew by; a shorter uptime is a restart from 0 (RAM)."""

    def __init__(self) -> None:
        self.sums = [0, 0]
        self._before = (0, 0, 0)

    def poll(self, bench: Bench) -> None:
        answer = bench.ask(frame("01 03 00 00 00 06"), 17)
        assert answer == frame(answer[:-2].hex())
        into, out, uptime = (int.from_bytes(answer[at : at + 4]) for at in (3, 7, 11))
        before = self._before if uptime >= self._before[2] else (0, 0, 0)
        self.sums[0] += into - before[0]
        self.sums[1] += out - before[1]
        self._before = into, out, uptime

    @property
    def counted(self) -> dict[int, int]:
        return {direction: total for direction, total in enumerate(self.sums) if total}


def test_every_passage_is_in_the_totals(tmp_path: Path) -> None:
    """On a pseudo-terminal: what the polls add up to is the truth, all of it read by the host."""
    host = Host()
    with Bench(tmp_path, protocol="modbus", modbus={"uptime_address": 4}) as bench:
        bench.cross(0, 0, 1)
        assert bench.sensor.waiting == 3
        host.poll(bench)
        bench.cross(1, 1, 0)
        host.poll(bench)

        assert host.counted == bench.truth.totals == {0: 3, 1: 3}
        assert (bench.sensor.waiting, bench.truth.open) == (0, 0)


@pytest.mark.parametrize("killed", [False, True])
def test_totals_in_ram_lose_what_was_not_polled(tmp_path: Path, killed: bool) -> None:
    """A restart takes those since the last poll, and the truth lists just these as never reported."""
    host = Host()
    bench = Bench(tmp_path, protocol="modbus", modbus=RAM)
    bench.cross(0, 0, 1)
    bench.turn(60)
    host.poll(bench)
    bench.cross(0, 1, 1)
    bench.turn()
    if killed:
        bench.lose_power()
        bench = Bench(tmp_path, protocol="modbus", modbus=RAM)
    else:
        bench.sensor.suffer(Fault.REBOOT, bench.now, None)
    bench.cross(1)
    host.poll(bench)

    assert bench.truth.totals == {0: 3, 1: 4}
    assert bench.truth.never_reported == {0: 1, 1: 2}
    assert host.counted == bench.truth.reported == {0: 2, 1: 2}
    bench.end()


@pytest.mark.parametrize("killed", [False, True])
def test_totals_in_non_volatile_memory_lose_nothing(tmp_path: Path, killed: bool) -> None:
    """However it restarts, the next poll brings what nobody had read."""
    host = Host()
    bench = Bench(tmp_path, protocol="modbus", modbus={**RAM, "memory": "non-volatile"})
    bench.cross(0, 0, 1)
    host.poll(bench)
    bench.cross(0, 1, 1)
    bench.turn()
    if killed:
        bench.lose_power()
        bench = Bench(tmp_path, protocol="modbus", modbus={**RAM, "memory": "non-volatile"})
    else:
        bench.sensor.suffer(Fault.REBOOT, bench.now, None)
    assert bench.sensor.waiting == 3
    bench.cross(1)
    host._before = (*host._before[:2], 0)  # its totals go on, so a restart is nothing to this host
    host.poll(bench)

    assert bench.truth.never_reported == {}
    assert host.counted == bench.truth.totals == {0: 3, 1: 4}
    assert bench.sensor.waiting == 0
    bench.end()


def test_reading_one_direction_settles_one_direction(tmp_path: Path) -> None:
    """A host that has asked for the way in alone knows nothing of the way out when the power fails."""
    with Bench(tmp_path, protocol="modbus", modbus=RAM) as bench:
        bench.cross(1, 0, 1, 0)
        assert bench.ask(frame("01 03 00 00 00 02"), 9) == frame("01 03 04 00 00 00 02")
        assert bench.truth.open == 2
        # The high word alone says nothing.
        assert bench.ask(frame("01 03 00 02 00 01"), 7) == frame("01 03 02 00 00")
        assert bench.truth.open == 2
        bench.sensor.suffer(Fault.REBOOT, bench.now, None)

        assert bench.truth.never_reported == {1: 2}


@pytest.mark.parametrize("fault", ["silence", "loss", "unplug"])
def test_answers_that_did_not_arrive_tell_nothing(tmp_path: Path, fault: str) -> None:
    """What a silent, spoilt or pulled line kept from the host is lost with the power, whatever was asked meanwhile."""
    request = frame("01 03 00 00 00 04")
    with Bench(tmp_path, protocol="modbus", modbus=RAM) as bench:
        bench.cross(0)
        bench.ask(request, 13)
        bench.cross(0)
        bench.port.write(request * 5)
        wait_until(bench.heard, what="the requests to arrive")
        match fault:
            case "silence":
                bench.sensor.suffer(Fault.SILENCE, bench.now, None)
            case "loss":
                bench.sensor._wire.loss = 0.5
            case "unplug":
                bench.sensor.suffer(Fault.UNPLUG, bench.now, None)
        for _ in range(5):
            bench.turn()
        assert bench.sensor.device.due() == float("inf")
        bench.sensor.suffer(Fault.REBOOT, bench.now, None)

        assert bench.truth.reported == bench.truth.never_reported == {0: 1}


@pytest.mark.parametrize(("cut_short", "lost"), [(False, {}), (True, {0: 1})])
def test_a_restart_while_an_answer_is_on_its_way(tmp_path: Path, cut_short: bool, lost: dict[int, int]) -> None:
    """An answer that has left the counter can still be read, half an answer tells nothing."""
    with Bench(tmp_path, protocol="modbus", modbus=RAM) as bench:
        bench.cross(0)
        bench.turn()
        if cut_short:
            bench.sensor.pause_line(30)
        bench.port.write(frame("01 03 00 00 00 04"))
        wait_until(bench.heard, what="the request to arrive")
        bench.turn()
        wait_until(lambda: bench.port.in_waiting, what="bytes of the answer")
        bench.sensor.suffer(Fault.REBOOT, bench.now, None)

        assert bench.truth.never_reported == lost


def test_an_answer_can_stop_in_its_middle(tmp_path: Path) -> None:
    """By order it pauses, though no byte of it is a delimiter; then the rest comes."""
    with Bench(tmp_path, protocol="modbus") as bench:
        bench.sensor.pause_line(30)
        bench.port.timeout = 0.1
        begun = bench.ask(frame("01 03 00 00 00 04"), 13)
        assert 0 < len(begun) < 13
        bench.turn(30)
        bench.turn()
        bench.port.timeout = 20

        assert begun + bench.port.read(13 - len(begun)) == frame("01 03 08" + " 00" * 8)


def test_a_stuck_counter_sees_nobody(tmp_path: Path) -> None:
    """Its total stands still, and the truth has the passages as missed."""
    with Bench(tmp_path, protocol="modbus") as bench:
        bench.sensor.suffer(Fault.STUCK, bench.now, None)
        bench.cross(0, 1)
        assert bench.ask(frame("01 03 00 00 00 04"), 13) == frame("01 03 08" + " 00" * 8)

        assert len(bench.truth.missed) == 2
        assert bench.truth.totals == {}
