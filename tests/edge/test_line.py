"""The thread on a serial line, over a real pseudo-terminal: plugged, unplugged, exchanged, taken, dumb."""

import errno
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import pytest
import serial

from edge.device_model import hello
from footfall_edge.clock import Clock
from footfall_edge.drivers import Parity
from footfall_edge.events import Closed, Event, Events, Heard, Opened
from footfall_edge.framer import Frame
from footfall_edge.line import Backoff, Line, Speed, open_port, why
from footfall_edge.reference import DRIVER
from footfall_sim.line import PtyLine
from footfall_testing.waiting import wait_until

E = TypeVar("E")


class Host:
    """A line under test and what it told."""

    def __init__(self, port: Path, silent_s: float = 60, clock: Clock | None = None) -> None:
        self.events: Events = SimpleQueue()
        self.told: list[Event] = []
        self.line = Line(
            "markt-1",
            str(port),
            Speed(115_200),
            DRIVER,
            events=self.events,
            clock=clock or Clock(),
            silent_s=silent_s,
            backoff=Backoff(first_s=0.05, longest_s=0.2),
        )

    def wait_for(self, kind: type[E], number: int = 1) -> E:
        """The `number`-th event of a kind, when it has come."""

        def found() -> E | None:
            while not self.events.empty():
                self.told.append(self.events.get())
            same = [event for event in self.told if isinstance(event, kind)]
            return same[number - 1] if len(same) >= number else None

        return wait_until(found, what=f"{kind.__name__} number {number}")  # type: ignore[return-value]

    def frames(self) -> list[Frame]:
        """Every frame heard so far."""
        try:
            while True:
                self.told.append(self.events.get_nowait())
        except Empty:
            return [frame for event in self.told if isinstance(event, Heard) for frame in event.frames]


@pytest.fixture
def pty(link: Path) -> Iterator[PtyLine]:
    """A plugged line without a device."""
    line = PtyLine(link, baud=10_000_000)
    line.plug(time.monotonic())
    yield line
    line.unplug()


@pytest.fixture
def host(link: Path) -> Iterator[Host]:
    """A reader of that line, started."""
    host = Host(link)
    host.line.start()
    yield host
    host.line.ask_to_stop()
    host.line.join()


def say(pty: PtyLine, data: bytes) -> None:
    """The device sends `data`, at once."""
    assert pty.fd is not None
    os.write(pty.fd, data)


def test_frames_are_heard_and_answered(pty: PtyLine, host: Host) -> None:
    """A frame, one byte at a time, becomes one event with it; what is written arrives at the device."""
    opened = host.wait_for(Opened)
    for byte in b"\0" + hello():
        say(pty, bytes([byte]))

    wait_until(lambda: len(host.frames()) == 1, what="the frame")
    assert opened.port == pty.device
    assert host.line.write(b"first\0")
    assert host.line.write(b"second\0")
    answer = b""

    def answered() -> bool:
        nonlocal answer
        answer += pty.receive()
        return answer.endswith(b"second\0")

    wait_until(answered, what="the answer")
    assert answer == b"\0first\0second\0", "the first word on a line begins with a delimiter"


def test_what_lay_in_the_port_before_is_thrown_away(pty: PtyLine, link: Path) -> None:
    """Bytes from before the port was opened are discarded: they are of unknown age."""
    say(pty, b"old news")
    wait_until(lambda: not pty.read(), what="the kernel to have passed it on")
    host = Host(link)
    host.line.start()
    host.wait_for(Opened)
    say(pty, hello())

    wait_until(host.frames, what="the frame")
    host.line.ask_to_stop()
    host.line.join()

    last = [event for event in host.told if isinstance(event, Heard)][-1]
    assert (last.counts.frames, last.counts.skipped_bytes) == (1, 0)


def test_an_unplugged_line_is_found_again_under_its_link(pty: PtyLine, host: Host) -> None:
    """After the cable was drawn the thread looks the link up again; the device behind it may have another name."""
    first = host.wait_for(Opened)
    pty.unplug()
    assert host.wait_for(Closed).reason == "the device went away"
    assert not host.line.write(b"nobody there")
    pty.plug(time.monotonic())

    second = host.wait_for(Opened, 2)
    say(pty, hello())

    assert (first.port, second.port) == (first.port, pty.device)
    assert first.port != second.port
    wait_until(host.frames, what="a frame on the new line")


def test_a_frame_cut_by_the_unplugging_spoils_no_other(pty: PtyLine, host: Host) -> None:
    """Half a frame before and a whole one after the replugging are half a frame skipped and one frame."""
    host.wait_for(Opened)
    say(pty, hello()[:9])
    host.wait_for(Heard)
    wait_until(pty.read, what="all of the half frame to be read")
    pty.unplug()
    host.wait_for(Closed)
    pty.plug(time.monotonic())
    host.wait_for(Opened, 2)
    say(pty, hello())

    wait_until(host.frames, what="the whole frame")
    last = [event for event in host.told if isinstance(event, Heard)][-1]
    assert (last.counts.frames, last.counts.bad_frames, last.counts.skipped_bytes) == (1, 0, 9)


def test_a_dumb_line_is_opened_again(pty: PtyLine, link: Path) -> None:
    """Without a valid frame for `silent_s` the port is closed and opened; noise is no sign of life."""
    host = Host(link, silent_s=0.5)
    host.line.start()
    host.wait_for(Opened)
    noisy = threading.Event()

    def noise() -> None:
        while not noisy.wait(0.05):
            say(pty, b"\x55\xaa")

    thread = threading.Thread(target=noise)
    thread.start()
    closed = host.wait_for(Closed)
    host.wait_for(Opened, 2)
    noisy.set()
    thread.join()
    host.line.ask_to_stop()
    host.line.join()

    assert closed.silent
    assert closed.reason == "no valid frame for 0.5 s"


def test_a_line_that_talks_stays_open(pty: PtyLine, link: Path) -> None:
    """Frames within `silent_s` of one another keep the port open."""
    now_s = 500.0
    host = Host(link, silent_s=0.6, clock=Clock(monotonic_s=lambda: now_s))
    host.line.start()
    host.wait_for(Opened)
    for number in range(1, 9):
        say(pty, hello())
        wait_until(partial(heard_so_many, host, number), what=f"frame {number}")
        now_s += 0.5  # 4 s in all, each pause shorter than 0.6 s
    host.line.ask_to_stop()
    host.line.join()

    host.frames()
    assert [event.reason for event in host.told if isinstance(event, Closed)] == ["stopped"]


def heard_so_many(host: Host, number: int) -> bool:
    """Whether the host has heard that many frames."""
    return len(host.frames()) >= number


def test_a_port_that_another_process_has_is_waited_for(pty: PtyLine, link: Path) -> None:
    """While another footfall-edge has the port the thread says so and tries on; then it opens."""
    program = (
        "import sys; from footfall_edge.line import Speed, open_port\n"
        "port = open_port(sys.argv[1], Speed(9600)); print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(link)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"1\n"
        host = Host(link)
        host.line.start()
        closed = host.wait_for(Closed)
        other.stdin.close()
        other.wait()
    host.wait_for(Opened)
    host.line.ask_to_stop()
    host.line.join()

    assert closed.reason == "another process has it; is a footfall-edge running?"


def test_a_port_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    """No such file, no serial device, no permission for the speed: why, in words."""
    (tmp_path / "file").write_text("no device")
    with pytest.raises(OSError, match="nothing") as missing:
        open_port(str(tmp_path / "nothing"), Speed(115_200))
    with pytest.raises(OSError, match="Could not configure") as no_device:
        open_port(str(tmp_path / "file"), Speed(115_200))

    assert why(missing.value) == "there is no such port; is the device plugged in?"
    assert why(no_device.value) == "it is no serial port"
    assert why(serial.SerialException(errno.EACCES, "could not open")).startswith("this user may not open it")


def test_a_port_of_the_network_is_a_port() -> None:
    """The URLs of pyserial work: a line behind a serial device server is read like one of the box itself."""
    with open_port("loop://", Speed(115_200)) as port:
        port.write(b"there and back")

        assert port.read(14) == b"there and back"


@pytest.mark.parametrize("parity", ["none", "even", "odd"])
def test_a_pseudo_terminal_is_opened_with_any_parity(pty: PtyLine, link: Path, parity: Parity) -> None:
    """It has no parity: one that is asked for is no reason not to open it, the first time and every other."""
    for _ in range(3):
        with open_port(str(link), Speed(9600, parity)) as port:
            assert port.is_open


def test_waiting_grows_and_varies() -> None:
    """1, 2, 4, … 60 s, give or take a quarter; a success starts again at 1 s."""
    exact = Backoff(jitter=lambda: 0.5)
    waits = [exact.next_s() for _ in range(8)]
    exact.reset()

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert exact.next_s() == 1
    assert Backoff(jitter=lambda: 0.0).next_s() == 0.75
    assert Backoff(jitter=lambda: 1.0).next_s() == 1.25


def test_no_descriptor_is_left_open(pty: PtyLine, link: Path) -> None:
    """Ten times unplugged and found again, then stopped: as many open files as before."""
    gc.collect()  # what earlier tests left open goes now, and not in between
    before = len(list(Path("/proc/self/fd").iterdir()))
    host = Host(link)
    host.line.start()
    for number in range(1, 11):
        host.wait_for(Opened, number)
        pty.unplug()
        host.wait_for(Closed, number)
        pty.plug(time.monotonic())
    host.line.ask_to_stop()
    host.line.join()

    assert len(list(Path("/proc/self/fd").iterdir())) == before
