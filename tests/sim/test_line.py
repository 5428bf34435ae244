"""The pseudo-terminal: raw from the first byte, paced, forgetful, behind one path whatever is plugged."""

import gc
import os
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from footfall_sim.line import SHOWN_MAX, STALE_S, LinkTakenError, PtyLine
from footfall_testing.waiting import wait_until

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[PtyLine]:
    """A plugged line at 115200 baud whose clock the test holds (it begins at 0)."""
    pty = PtyLine(tmp_path / "dev" / "counter", baud=115_200)
    pty.plug(0)
    yield pty
    pty.unplug()


def read(host: serial.Serial, count: int, timeout: float = 20) -> bytes:
    """Up to `count` bytes, waiting for them at most `timeout` seconds."""
    data, deadline = b"", time.monotonic() + timeout
    while len(data) < count and time.monotonic() < deadline:
        data += host.read(count - len(data))
    return data


def heard(line: PtyLine, count: int, timeout: float = 20) -> bytes:
    data, deadline = b"", time.monotonic() + timeout
    while len(data) < count and time.monotonic() < deadline:
        data += line.receive()
    return data


def settle(line: PtyLine) -> None:
    """Wait until the kernel has passed on what was written: the line's clock runs faster here than the kernel."""
    expected = line._expected
    wait_until(lambda: line._waiting() == expected, what=f"{expected} bytes to lie ready")


def test_bytes_written_before_the_host_opens_arrive_unchanged(line: PtyLine) -> None:
    """All 256 byte values, sent before anybody opened the line, are neither echoed nor rewritten."""
    line.send(EVERY_BYTE)
    line.pump(1)
    assert line.receive() == b""
    with line.link.open("r+b", buffering=0) as host:  # as it is: no library sets a mode or discards input here
        assert host.read(1000) == EVERY_BYTE
        host.write(EVERY_BYTE)

        assert heard(line, 256) == EVERY_BYTE


def test_bytes_take_their_time(line: PtyLine) -> None:
    """11 520 bytes per second at 115200 baud; an idle line saves no time up for later."""
    with serial.Serial(str(line.link), 115_200, timeout=0.05) as host:
        line.pump(100)  # a long idle time before
        line.send(b"x" * 4_000)
        line.pump(100.1)
        settle(line)
        first = read(host, 4_000, 0.3)
        line.pump(100.2)
        settle(line)
        second = read(host, 4_000, 0.3)

    assert len(first) == pytest.approx(1_152, abs=1)
    assert len(first + second) == pytest.approx(2_304, abs=1)


FRAME = b"\0" + bytes(range(1, 101)) + b"\0"


def test_a_frame_stops_in_its_middle_and_goes_on(line: PtyLine) -> None:
    """With a pause ordered, half of the next frame arrives; the rest, and what was said since, when it is over."""
    with serial.Serial(str(line.link), 115_200, timeout=0.05) as host:
        line.pump(100)
        line.pause(3)
        line.send(FRAME)
        line.pump(100.1)
        settle(line)
        first = read(host, 200, 0.3)
        line.send(b"more")
        line.pump(102.9)
        assert read(host, 200, 0.3) == b""
        assert line.due(102.9) == pytest.approx(103.1)
        line.pump(103.1)
        settle(line)
        line.pump(103.2)
        settle(line)
        rest = read(host, 200, 0.3)

    assert len(first) == 51
    assert first + rest == FRAME + b"more"


def test_a_pause_ends_with_the_plug_or_by_order(line: PtyLine) -> None:
    """A line that is plugged anew, or told to go on, stops at nothing."""
    line.pause(1000)
    line.unplug()
    line.plug(1)
    with serial.Serial(str(line.link), 115_200, timeout=0.05) as host:
        line.send(FRAME)
        line.pump(2)
        assert read(host, len(FRAME)) == FRAME
        line.pause(1000)
        line.go_on()
        line.send(FRAME)
        line.pump(3)
        assert read(host, len(FRAME)) == FRAME


def test_a_host_that_opens_and_closes_changes_nothing(line: PtyLine) -> None:
    """The line lives on when the host goes away, and takes the next host."""
    for text in (b"one", b"two"):
        with serial.Serial(str(line.link), 115_200, timeout=0.1, exclusive=True) as host:
            host.write(text)
            assert heard(line, 3) == text
            line.send(text)
            line.pump(line._pumped_at + 1)
            assert read(host, 3) == text
    assert line.receive() == b""


def test_what_a_host_throws_away_is_told_from_what_it_reads(line: PtyLine) -> None:
    """Both are gone from the line. A port that is opened is emptied by most programs, once or more often."""
    line.send(b"before")
    line.pump(1)
    assert not line.read()
    with serial.Serial(str(line.link)) as host:
        assert line.read()
        assert line.flushes == 1
        line.send(b"after")
        line.pump(3)
        assert not line.read()
        assert read(host, 5) == b"after"
        assert line.read()
        host.write(b"thanks")
        assert heard(line, 6) == b"thanks"
    assert line.flushes == 1


def test_what_was_just_written_does_not_look_as_if_it_had_been_read(line: PtyLine) -> None:
    """However long the kernel takes to pass it on."""
    for _ in range(500):
        line.send(b"news")
        line.pump(line._pumped_at + 1)
        assert not line.read()
        termios.tcflush(line._far, termios.TCIFLUSH)
        assert line.read()


def test_what_nobody_reads_is_lost(line: PtyLine) -> None:
    """After some seconds unread bytes are thrown away: a host that comes later hears only what is new."""
    for second in range(30):
        line.send(b"old news ")
        line.pump(second + 1)
        settle(line)
    line.pump(30 + STALE_S + 2)
    assert line.overrun_bytes == 9 * 30
    line.send(b"now")
    line.pump(60)
    with line.link.open("rb", buffering=0) as host:  # no library discards input here
        assert host.read(1000) == b"now"


def test_more_than_the_kernel_tells_of_is_thrown_away_too(line: PtyLine) -> None:
    """A device that resends for a minute to nobody leaves nothing behind, however much it said."""
    for second in range(60):
        line.send(b"old news " * 150)
        line.pump(second + 1)
        wait_until(lambda: line._waiting() == min(line._expected, SHOWN_MAX), what="the kernel to pass the bytes on")
    line.pump(60 + STALE_S + 2)
    line.send(b"now")
    line.pump(80)

    with line.link.open("rb", buffering=0) as host:
        assert host.read(100_000) == b"now"


def test_a_host_that_reads_slowly_loses_nothing(line: PtyLine) -> None:
    """As long as bytes are taken now and then, they are all kept."""
    sent = b""
    with serial.Serial(str(line.link), 115_200, timeout=0.1) as host:
        received = b""
        for second in range(60):
            text = b"%08d" % second
            line.send(text)
            line.pump(second)
            sent += text
            settle(line)
            if second % 4 == 3:
                received += read(host, 1)
        line.pump(61)
        received += read(host, len(sent) - len(received))

    assert received == sent
    assert line.overrun_bytes == 0


def test_a_full_buffer_drops_instead_of_blocking(line: PtyLine) -> None:
    """More than the kernel holds is lost and counted; the simulator goes on."""
    for moment in range(40):
        line.send(b"x" * 10_000)
        line.pump(moment * 0.1)

    assert line.overrun_bytes > 0


def test_unplug_is_an_error_for_the_host_and_removes_the_link(line: PtyLine) -> None:
    """A reading host gets an OSError or SerialException (which is one); link and device are gone."""
    device = line.device
    with serial.Serial(str(line.link), 115_200, timeout=1) as host:
        line.unplug()
        with pytest.raises(OSError):  # noqa: PT011  # the message is the driver's
            host.read(1)
        assert not Path(device).exists()  # once the host has closed it somebody else may get its number

    assert not os.path.lexists(line.link)
    assert line.fd is None
    line.send(b"into the air")
    line.pump(1)
    assert line.receive() == b""


def test_replug_comes_back_under_another_number(line: PtyLine) -> None:
    """The link is the same, the device behind it another one, every time; nothing old comes out of it."""
    for turn in range(4):
        before = line.device
        line.send(b"never said")
        line.unplug()
        line.plug(turn)
        assert line.device != before
        assert str(line.link.resolve()) == line.device
        with serial.Serial(str(line.link), 115_200, timeout=0.1) as host:
            line.send(b"here")
            line.pump(turn + 0.5)
            settle(line)
            assert read(host, 100, 0.3) == b"here"


def test_a_link_left_by_a_killed_simulator_is_replaced(tmp_path: Path) -> None:
    """A dangling link is no obstacle."""
    link = tmp_path / "counter"
    link.symlink_to("/dev/pts/no-such-terminal")
    line = PtyLine(link, baud=9600)
    line.plug(0)

    assert str(link.resolve()) == line.device
    line.unplug()


HELD = """
import sys, time
from pathlib import Path
from footfall_sim.line import PtyLine
PtyLine(Path(sys.argv[1]), baud=9600).plug(0)
print("there", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no other path to a terminal than its number")
def test_the_link_of_a_killed_simulator_leads_to_nobody_elses_line(tmp_path: Path) -> None:
    """Its number is given to the next terminal that is made, which may be another simulator's."""
    link = tmp_path / "counter"
    with subprocess.Popen([sys.executable, "-c", HELD, str(link)], stdout=subprocess.PIPE) as simulator:
        assert simulator.stdout is not None
        assert simulator.stdout.readline() == b"there\n"
        device = link.resolve()
        assert device.exists()
        simulator.kill()
    others = []
    try:
        # Another process may be given the number instead; then there is nothing that the link could lead to here.
        while not device.exists() and len(others) < 200:
            others += os.openpty()
        assert link.is_symlink()
        assert not link.exists()
    finally:
        for other in others:
            os.close(other)


def test_a_file_or_device_in_the_place_of_the_link_is_left_alone(tmp_path: Path) -> None:
    """What is not a symbolic link is never removed."""
    place = tmp_path / "counter"
    place.write_text("somebody's data")
    line = PtyLine(place, baud=9600)

    with pytest.raises(LinkTakenError, match="left alone"):
        line.plug(0)
    assert place.read_text() == "somebody's data"


def test_unplugging_leaves_the_link_of_another_simulator(tmp_path: Path) -> None:
    """Two lines on one path: the one that lost it does not take it away from the other."""
    link = tmp_path / "counter"
    first, second = PtyLine(link, baud=9600), PtyLine(link, baud=9600)
    first.plug(0)
    second.plug(0)
    first.unplug()

    assert str(link.resolve()) == second.device
    second.unplug()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Plugging and unplugging a hundred times leaves as many files open as before."""
    line = PtyLine(tmp_path / "counter", baud=9600)
    gc.collect()  # what earlier tests have left open and nobody holds any more is not to go meanwhile
    before = open_files()
    for _ in range(100):
        line.plug(0)
        line.unplug()

    assert open_files() == before


def open_files() -> int:
    """Descriptors of this process; where the system does not list them there is nothing to compare."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0
