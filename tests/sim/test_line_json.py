"""The counter that prints lines of JSON, read by a host that knows their description alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from footfall_sim.faults import Fault
from footfall_sim.line_json import LineJsonCounter, LineJsonDesign, line_of
from footfall_sim.memory import RamStore
from footfall_sim.tally import Keeping, TallyDesign
from footfall_testing.waiting import wait_until
from sim.counter_bench import Bench


def counter(
    store: RamStore | None = None, *, keeping: Keeping = Keeping.RAM, sums: tuple[int, int] = (0, 0), **design: Any
) -> LineJsonCounter:
    tally = TallyDesign(7, keeping, sums, design.get("increments", False))
    return LineJsonCounter(store or RamStore(), 0.0, LineJsonDesign(**design), tally)


def parse(line: bytes) -> dict[str, int]:
    """A line by its description; the check sum must be right if there is one."""
    text, asterisk, check = line.removesuffix(b"\n").partition(b"*")
    rest = 0
    for byte in text:
        rest ^= byte
    assert not asterisk or check == f"{rest:02X}".encode()
    values: dict[str, int] = json.loads(text)
    return values


def test_a_line_is_what_its_description_says() -> None:
    """Totals and uptime once a second, from the first second on; bytes as in the example."""
    device = counter(sums=(12, 7))
    assert device.due() == 1.0
    assert device.tick(0.999) == b""

    assert device.tick(3600.0) == b'{"in":12,"out":7,"uptime_s":3600}\n'
    assert device.tick(3600.9) == b""
    assert device.due() == 3601.0
    device.passage(1, 2, 3600.95)
    assert device.tick(3601.0) == b'{"in":12,"out":8,"uptime_s":3601}\n'


def test_check_sum_as_in_nmea_0183() -> None:
    """The exclusive or of all bytes before the asterisk, as two upper-case digits."""
    # By hand: equal characters cancel out; { ^ } = 06, i ^ n = 07, o ^ u ^ t = 6E and the comma 2C make 43.
    assert line_of({"in": 0, "out": 0}, checksum=True) == b'{"in":0,"out":0}*43\n'
    device = counter(checksum=True, uptime=False, sums=(3, 12))

    line = device.tick(1.0)
    assert parse(line) == {"in": 3, "out": 12}
    assert line[-4:-3] == b"*"
    assert line[-3:-1] == line[-3:-1].upper()


def test_without_uptime() -> None:
    """Then the totals are all there is."""
    assert counter(uptime=False).tick(1.0) == b'{"in":0,"out":0}\n'


@pytest.mark.parametrize("every_s", [1.0, 0.1, 0.7])
def test_the_clock_s_lines_come_once_each(every_s: float) -> None:
    """At each beat one line, also where the beats are no round numbers; of missed beats one for all of them."""
    device = counter(every_s=every_s)
    now, lines = 0.0, 0
    for _ in range(1_000):
        now = device.due()
        lines += device.tick(now).count(b"\n")
        assert device.due() > now
    assert lines == 1_000
    assert now == pytest.approx(1_000 * every_s)
    assert device.tick(now + 50 * every_s).count(b"\n") == 1


def test_a_line_at_each_passage() -> None:
    """Each has the totals after its passage; without the clock's lines there are no others."""
    device = counter(every_s=None, at_passage=True, uptime=False)
    assert device.due() == float("inf")
    for direction in (0, 1, 0):
        device.passage(direction, 0, 5.0)
    assert device.due() < 5.0

    assert device.tick(5.0) == b'{"in":1,"out":0}\n{"in":1,"out":1}\n{"in":2,"out":1}\n'
    assert device.tick(100.0) == b""


def test_both_the_clock_and_the_passage() -> None:
    """A passage's line that comes with a beat is the beat's line, too."""
    device = counter(at_passage=True, uptime=False)
    device.passage(0, 0, 0.5)
    assert device.tick(0.5) == b'{"in":1,"out":0}\n'
    device.passage(0, 0, 1.0)

    assert device.tick(1.0) == b'{"in":2,"out":0}\n'
    assert device.tick(2.0) == b'{"in":2,"out":0}\n'


def test_increments() -> None:
    """Each line has the passages since the line before, by the clock and at each passage."""
    device = counter(increments=True, uptime=False, sums=(40, 0))
    device.passage(0, 0, 0.5)
    device.passage(1, 0, 0.5)
    assert device.tick(1.0) == b'{"in":1,"out":1}\n'
    assert device.tick(2.0) == b'{"in":0,"out":0}\n'
    one_by_one = counter(increments=True, uptime=False, at_passage=True, every_s=None)
    for direction in (0, 0, 1):
        one_by_one.passage(direction, 0, 0.5)

    assert one_by_one.tick(0.5) == b'{"in":1,"out":0}\n{"in":1,"out":0}\n{"in":0,"out":1}\n'


def test_totals_wrap_at_32_bits() -> None:
    """As an unsigned long does; the uptime as well."""
    device = counter(sums=(0xFFFF_FFFF, 0))
    device.passage(0, 0, 1.0)

    assert device.tick(2.0**32 + 5) == b'{"in":0,"out":0,"uptime_s":5}\n'


def test_a_restart_begins_at_zero_or_goes_on() -> None:
    """In RAM the totals are gone, in non-volatile memory they are not."""
    for keeping, expected in ((Keeping.RAM, 0), (Keeping.NON_VOLATILE, 2)):
        store = RamStore()
        first = counter(store, keeping=keeping)
        first.passage(0, 0, 0.1)
        first.passage(0, 0, 0.2)
        first.tick(0.3)

        assert parse(counter(store, keeping=keeping).tick(1.0))["in"] == expected


def test_flush_and_shutdown_print_at_once() -> None:
    """What came since the last line is printed; after the shutdown nobody is counted, and it goes on printing."""
    device = counter(every_s=60.0)
    device.passage(0, 0, 1.0)
    device.flush(2.0)
    assert parse(device.tick(2.0))["in"] == 1
    device.passage(0, 0, 3.0)
    device.shutdown(4.0)
    assert parse(device.tick(4.0))["in"] == 2
    device.passage(0, 0, 5.0)

    assert parse(device.tick(60.0))["in"] == 2


# -- on a line, against the truth -------------------------------------------------------------------------------------


class Host:
    """Adds up what totals grew by, or increments; a shorter uptime is a restart from 0."""

    def __init__(self, *, increments: bool = False) -> None:
        self.sums = {"in": 0, "out": 0}
        self._increments = increments
        self._before = {"in": 0, "out": 0, "uptime_s": 0}

    def read(self, line: bytes) -> None:
        values = parse(line)
        restarted = values["uptime_s"] < self._before["uptime_s"]
        for name in self.sums:
            before = 0 if self._increments or restarted else self._before[name]
            self.sums[name] += values[name] - before
        self._before = values

    @property
    def counted(self) -> dict[int, int]:
        return {place: total for place, total in enumerate(self.sums.values()) if total}


@pytest.mark.parametrize("lines", [{}, {"checksum": True}, {"increments": True}, {"memory": "non-volatile"}])
def test_every_passage_is_printed(tmp_path: Path, lines: dict[str, Any]) -> None:
    """On a pseudo-terminal: what a host reads is the truth, and nothing waits once it has read it."""
    host = Host(increments="increments" in lines)
    with Bench(tmp_path, protocol="line-json", line_json=lines) as bench:
        for directions in ((0, 0, 1), (), (1, 1)):
            bench.cross(*directions)
            host.read(bench.line())

        assert host.counted == bench.truth.totals == {0: 2, 1: 3}
        assert (bench.sensor.waiting, bench.truth.open) == (0, 0)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("increments", [False, True])
def test_a_restart_loses_what_was_not_read(tmp_path: Path, killed: bool, increments: bool) -> None:
    """Passages after the last line that was read are in the truth as never reported; nothing else is missing."""
    host = Host(increments=increments)
    settings: dict[str, Any] = {"protocol": "line-json", "line_json": {"increments": increments}}
    bench = Bench(tmp_path, **settings)
    bench.cross(0, 0, 1)
    for _ in range(3):
        host.read(bench.line())
    bench.cross(0, 1, 1)
    bench.turn(0.05)
    if killed:
        bench.lose_power()
        bench = Bench(tmp_path, **settings)
    else:
        bench.sensor.suffer(Fault.REBOOT, bench.now, None)
    bench.cross(1)
    host.read(bench.line())

    assert bench.truth.totals == {0: 3, 1: 4}
    assert bench.truth.never_reported == {0: 1, 1: 2}
    assert host.counted == bench.truth.reported == {0: 2, 1: 2}
    bench.end()


@pytest.mark.parametrize("increments", [False, True])
def test_a_silence_costs_increments_and_no_totals(tmp_path: Path, increments: bool) -> None:
    """What was printed once and could not be heard is lost for good; totals say it again."""
    host = Host(increments=increments)
    lost = {0: 1, 1: 1} if increments else {}
    with Bench(tmp_path, protocol="line-json", line_json={"increments": increments}) as bench:
        bench.cross(0)
        host.read(bench.line())
        bench.sensor.suffer(Fault.SILENCE, bench.now, None)
        bench.cross(0, 1)
        bench.turn(2)
        bench.sensor.heal(bench.now)
        bench.cross(1)
        host.read(bench.line())

        assert bench.truth.totals == {0: 2, 1: 2}
        assert bench.truth.never_reported == lost
        assert host.counted == bench.truth.reported
        assert bench.truth.open == 0


def test_lines_that_nobody_reads_tell_nothing(tmp_path: Path) -> None:
    """Without a host passages stay open, also when unread bytes are thrown away; switched off, they are lost."""
    bench = Bench(tmp_path, protocol="line-json")
    bench.cross(0, 1)
    assert bench.line().startswith(b'{"in":1,')
    assert bench.truth.open == 0
    bench.port.close()
    bench.cross(0)
    line = bench.sensor.line
    for _ in range(10):
        bench.turn(1)
        wait_until(lambda: line._waiting() == line._expected > 0, what="bytes that nobody reads")
        bench.turn(0.05)
        assert bench.truth.open == 1
    assert line.overrun_bytes > 0
    assert bench.sensor.waiting == 1
    bench.sensor.close()

    assert bench.truth.never_reported == {0: 1}
    assert bench.truth.open == 0


def test_a_line_can_stop_in_its_middle(tmp_path: Path) -> None:
    """By order a line pauses before its end; the rest comes later, and what follows is whole."""
    with Bench(tmp_path, protocol="line-json") as bench:
        bench.sensor.pause_line(5)
        bench.port.timeout = 0.1
        begun = bench.line()
        assert begun.startswith(b"{")
        assert not begun.endswith(b"\n")
        bench.turn(5)
        bench.port.timeout = 20

        assert parse(begun + bench.line())["uptime_s"] == 1
        assert parse(bench.port.readline())["uptime_s"] > 1
