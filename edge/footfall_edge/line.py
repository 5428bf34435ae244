"""One serial line: a thread that opens the port, reads it, frames the bytes and hands the frames on.

Whatever happens to the line (unplugged, exchanged, held by another program, gone dumb) ends in the same place: close,
wait a little longer than last time, look up the link again, open. The thread knows nothing of counts; it only puts
events into the agent's queue.
"""

import contextlib
import errno
import fcntl
import logging
import math
import os
import random
import re
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import serial

from footfall_edge.clock import Clock
from footfall_edge.drivers import Driver, Parity
from footfall_edge.events import Closed, Events, Heard, Opened
from footfall_role.logs import facts

log = logging.getLogger(__name__)

READ_TIMEOUT_S: Final = 0.2
"""How long a read waits for the first byte: the thread notices a stop within this time."""
WRITE_TIMEOUT_S: Final = 0.5
"""A device that takes nothing for so long is not told: what it missed is said again."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
ROUSE_S: Final = 3.0
"""A device that has said nothing valid for so long after its line was opened is told to speak, if it can be."""
_PSEUDO: Final = "/dev/pts/"
"""Where pseudo-terminals are."""
_MANY_EVENTS: Final = 2000
"""Events in the queue from which a reader lets the operating system's buffer fill instead."""

_SENTENCES: Final = {
    errno.ENOENT: "there is no such port; is the device plugged in?",
    errno.EACCES: "this user may not open it; add it to the group that owns the port (often dialout)",
    errno.EBUSY: "another process has it",
    errno.EAGAIN: "another process has it; is a footfall-edge running?",
    errno.ENOTTY: "it is no serial port",
    errno.EISDIR: "it is a folder, no serial port",
    errno.EIO: "the device went away",
    errno.ENODEV: "the device went away",
    errno.ENXIO: "the device went away",
}


@dataclass
class Backoff:
    """How long to wait before the next attempt: 1 s, doubling to 60 s, give or take a quarter."""

    first_s: float = FIRST_WAIT_S
    longest_s: float = LONGEST_WAIT_S
    jitter: Callable[[], float] = field(default=random.random)
    """Returns 0 up to 1. Boxes that lost power together must not come back in step."""
    failures: int = 0

    def next_s(self) -> float:
        """Seconds to wait now."""
        wait = min(self.first_s * 2.0**self.failures, self.longest_s)
        self.failures = min(self.failures + 1, 16)
        return wait * (0.75 + 0.5 * self.jitter())

    def reset(self) -> None:
        """It worked."""
        self.failures = 0


_PARITIES: Final[Mapping[Parity, str]] = {
    "none": serial.PARITY_NONE,
    "even": serial.PARITY_EVEN,
    "odd": serial.PARITY_ODD,
}


@dataclass(frozen=True, slots=True)
class Speed:
    """How the characters of a line are sent; they have eight data bits."""

    baud: int
    parity: Parity = "none"
    stop_bits: int = 1


def open_port(port: str, speed: Speed) -> serial.Serial:
    """Open a serial port for this process alone. What lay in it before is thrown away (pyserial does that).

    `port` is a path, best a link under /dev/serial/by-id, which is resolved now, or a pyserial URL such as
    ``socket://host:port``.

    Raises:
        OSError: it cannot be opened; `why` makes a sentence of it.
    """
    how: dict[str, Any] = {
        "baudrate": speed.baud,
        "parity": _PARITIES[speed.parity],
        "stopbits": speed.stop_bits,
        "timeout": READ_TIMEOUT_S,
        "write_timeout": WRITE_TIMEOUT_S,
    }
    if port.startswith("socket://") and not re.search(r":\d+$", port):
        raise OSError(errno.EINVAL, "expected socket://HOST:PORT, such as socket://192.0.2.7:4001")
    try:
        if "://" in port:
            return serial.serial_for_url(port, **how)
        path = os.path.realpath(port)
        if path.startswith(_PSEUDO):
            how["parity"] = serial.PARITY_NONE  # it has none, and the C library calls an attempt to set one a fault
        opened = serial.Serial(path, exclusive=True, **how)
    except (ValueError, termios.error) as error:
        raise OSError(errno.EINVAL, f"{port} cannot be opened at {speed.baud} baud: {error}") from error
    try:
        _take_possession(opened.fileno(), str(opened.name))
    except BaseException:
        opened.close()
        raise
    return opened


def _take_possession(descriptor: int, path: str) -> None:
    """Make the port ours as far as the kind of port allows; one that allows less is still read."""
    with contextlib.suppress(OSError, termios.error):
        settings = termios.tcgetattr(descriptor)
        # Without this the line DTR drops when the port is closed, and boards that are wired so restart.
        settings[2] &= ~termios.HUPCL
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
        # The lock that pyserial took binds only programs that ask for it. This one binds all, but on a pseudo-terminal
        # it would outlive us.
        if not path.startswith(_PSEUDO):
            fcntl.ioctl(descriptor, termios.TIOCEXCL)


def why(error: OSError) -> str:
    """A sentence on why a port could not be opened or read."""
    # pyserial's errors often carry the number only in their text, or in what they were raised from.
    cause = error.__context__
    number = error.errno or (cause.args[0] if isinstance(cause, OSError | termios.error) and cause.args else None)
    if number is None and "returned no data" in str(error):
        number = errno.EIO  # how pyserial calls an adapter that was pulled out while it was read
    said = error.strerror or str(error)
    return _SENTENCES.get(number, said) if number is not None else said


class SilentError(Exception):
    """The line is open and nothing valid comes; closing and opening it helps some adapters."""


class Line:
    """The line of one sensor. `start` it once, `write` to it from any one thread, `stop` it at the end."""

    def __init__(
        self,
        sensor: str,
        port: str,
        speed: Speed,
        driver: Driver,
        *,
        events: Events,
        clock: Clock,
        silent_s: float,
        backoff: Backoff | None = None,
    ) -> None:
        """`silent_s` seconds without a valid frame make the thread close the port and open it again."""
        self.sensor = sensor
        self._port_name = port
        self._speed = speed
        self._driver = driver
        self._framer = driver.framer()
        self._events = events
        self._clock = clock
        self._silent_s = silent_s
        self._backoff = backoff or Backoff()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"line {sensor}", daemon=True)
        self._port: serial.Serial | None = None
        self._port_lock = threading.Lock()
        self._cut_short = True

    def start(self) -> None:
        """Begin to open and read."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the thread end soon."""
        self._stop.set()

    def join(self) -> None:
        """Wait until the port is closed."""
        self._thread.join()

    def write(self, data: bytes) -> bool:
        """Send `data` to the device. False if the line is not open or does not take it; nothing is kept for later."""
        with self._port_lock:
            if self._port is None:
                return False
            try:
                # What was cut short the last time ends here, so that it does not spoil this.
                self._port.write(self._driver.preamble + data if self._cut_short else data)
            except OSError:
                # The reader sees for itself if the device is gone.
                self._cut_short = True
                return False
            self._cut_short = False
            return True

    def _run(self) -> None:
        while not self._stop.is_set():
            silent = False
            try:
                self._open_and_read()
                reason = "stopped"
            except SilentError as error:
                reason, silent = str(error), True
            except OSError as error:
                reason = why(error)
            except termios.error as error:
                reason = str(error)
            except Exception as error:
                # The loop's edge: a thread that ends would lose the sensor until somebody looks. The line is tried
                # again.
                log.exception("line failed in an unexpected way", extra=facts(sensor=self.sensor))
                reason = f"{type(error).__name__}: {error}"
            self._events.put(Closed(self.sensor, self._clock.now(), reason, silent))
            self._stop.wait(self._backoff.next_s())

    def _open_and_read(self) -> None:
        port = open_port(self._port_name, self._speed)
        try:
            self._framer.reset()
            with self._port_lock:
                self._port, self._cut_short = port, True
            self._events.put(Opened(self.sensor, self._clock.now(), str(port.name)))
            self._read(port)
        finally:
            with self._port_lock:
                self._port = None
            with contextlib.suppress(OSError):  # it may be gone
                port.close()

    def _read(self, port: serial.Serial) -> None:
        heard_s = self._clock.now().monotonic_s
        rouse_s = heard_s + ROUSE_S
        for data in _chunks(port, self._stop):
            now = self._clock.now()
            if data:
                frames = tuple(self._framer.feed(data))
                self._events.put(Heard(self.sensor, now, frames, self._framer.counts, self._framer.last_fault))
                if frames:
                    heard_s, rouse_s = now.monotonic_s, math.inf
                    self._backoff.reset()
            if now.monotonic_s >= rouse_s:
                rouse_s = math.inf
                self._rouse()
            if now.monotonic_s - heard_s > self._silent_s:
                raise SilentError(f"no valid frame for {self._silent_s:g} s")
            while self._events.qsize() > _MANY_EVENTS and not self._stop.wait(READ_TIMEOUT_S):
                pass

    def _rouse(self) -> None:
        done = self._driver.rouse()
        if done:
            log.info("device was told to speak", extra=facts(sensor=self.sensor, done=done))


def _chunks(port: serial.Serial, stop: threading.Event) -> Iterator[bytes]:
    """What the port has, as soon as it has something; nothing after each `READ_TIMEOUT_S` of quiet."""
    while not stop.is_set():
        yield port.read(max(1, port.in_waiting))
