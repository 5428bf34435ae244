"""A serial line that does not exist: a pseudo-terminal behind a stable path, as slow as a real line and as forgetful.

A pseudo-terminal differs from a UART in four ways that matter here. It starts in a mode for people, which echoes and
rewrites bytes: so it is made raw before anything else. It ends when nobody holds its far end: so that is kept open. It
takes any number of bytes at once: so they are paced to the baud rate. And it keeps what nobody reads, where a UART's
buffer runs over: so bytes that were not read for a while are thrown away.
"""

import array
import errno
import fcntl
import math
import os
import select
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BITS_PER_CHAR = 10
"""8N1: start bit, eight data bits, stop bit."""
STALE_S = 5.0
"""Nobody opened the line if bytes lie unread for so long; they are discarded, as by a port that is closed."""
SHOWN_MAX = 4095
"""Most unread bytes that Linux tells of; more may lie behind them."""
QUEUE_MAX = 16_384
"""Bytes that wait for their turn on the wire; what a device says beyond that is lost."""


class LinkTakenError(OSError):
    """The link's path is something else than a symbolic link; it is left alone."""


def _unchanged(data: bytes, _elapsed_s: float) -> bytes:
    return data


class PtyLine:
    """One line. All times are seconds on one monotonic clock.

    `disturb` gets the bytes that reach the far end and the seconds since it was last called; what it returns arrives.
    `delimiter` ends the device's frames, None if nothing does; a pause needs to know.
    """

    def __init__(
        self,
        link: Path,
        *,
        baud: int,
        disturb: Callable[[bytes, float], bytes] = _unchanged,
        delimiter: bytes | None = b"\0",
    ) -> None:
        self.link = link
        self._delimiter = delimiter
        self.overrun_bytes = 0
        self.spoiled_parts = 0
        """How often not all of what was sent arrived as it was sent."""
        self.flushes = 0
        """How often what was not read was thrown away: most programs do so when they open a port."""
        self._chars_per_s = baud / BITS_PER_CHAR
        self._disturb = disturb
        self._queue = bytearray()
        self._credit = 0.0
        self._pumped_at = 0.0
        self._consumed_at = 0.0
        self._expected = 0
        self._received = bytearray()
        self._master: int | None = None
        self._far = -1
        self._name = self._target = ""
        # Seconds for which the next frame is to stop in its middle; when a frame that stopped goes on.
        self._pause_s = 0.0
        self._stopped_until = -math.inf

    @property
    def fd(self) -> int | None:
        """What to watch for bytes from the host; None while unplugged."""
        return self._master

    @property
    def device(self) -> str:
        """The path behind the link, e.g. ``/dev/pts/7``; empty while unplugged."""
        return self._name if self._master is not None else ""

    def plug(self, now: float) -> None:
        """Appear under the link; never twice in a row under the same device name.

        Raises LinkTakenError if the link's path is a file, a directory or a real device.
        """
        if self._master is not None:
            return
        if self.link.exists() and not self.link.is_symlink():
            raise LinkTakenError(errno.EEXIST, "is not a symbolic link and is left alone", str(self.link))
        self._master, self._far, name = _open_raw()
        if name == self._name:
            # As long as the old number is taken the kernel gives another one.
            again = _open_raw()
            os.close(self._master)
            os.close(self._far)
            self._master, self._far, name = again
        self._name = name
        self._queue.clear()
        self._received.clear()
        self.go_on()
        self._pumped_at = self._consumed_at = now
        self._credit = 0.0
        self._expected = 0
        self._target = _by_way_of_us(self._far) or name
        _point(self.link, self._target)

    def unplug(self) -> None:
        """Disappear, link and all; a host that has the line open gets an error."""
        if self._master is None:
            return
        with suppress(OSError):
            if str(self.link.readlink()) == self._target:  # not that of another simulator
                self.link.unlink()
        os.close(self._far)
        os.close(self._master)
        self._master = None

    def read(self) -> bool:
        """Whether all that was sent is gone from the line: the host has read it, unless `flushes` has grown."""
        gone = self._master is not None and not self._queue and self._waiting() == 0
        self.look()  # after that: what was thrown away by then has been told by now
        return gone

    def receive(self) -> bytes:
        """What the host has written since; empty if nothing."""
        self.look()
        received = bytes(self._received)
        self._received.clear()
        return received

    def look(self) -> None:
        """Take in what the kernel has: packets of one byte that says what is told, and what the host has written."""
        while self._master is not None:
            try:
                packet = os.read(self._master, 65_536)
            except BlockingIOError:
                return
            except OSError as error:
                # EIO: the host closed the far end in the last moment. Nothing is wrong with our side.
                if error.errno == errno.EIO:
                    return
                raise
            if not packet:
                return
            if packet[0] == termios.TIOCPKT_DATA:
                self._received += packet[1:]
            elif packet[0] & termios.TIOCPKT_FLUSHREAD:
                self.flushes += 1

    def send(self, data: bytes) -> None:
        """Queue bytes for the wire. Nothing is kept for a line that is not plugged."""
        if self._master is None:
            return
        room = QUEUE_MAX - len(self._queue)
        self._queue += data[:room]
        self.overrun_bytes += max(0, len(data) - room)

    def discard(self) -> bool:
        """Forget what is queued: the device was reset, perhaps in the middle of its sentence. Whether it was."""
        cut_short = bool(self._queue)
        self._queue.clear()
        return cut_short

    def pause(self, seconds: float) -> None:
        """Let the frame that is sent next stop in its middle for so long; what comes after it waits, too."""
        self._pause_s = seconds

    def go_on(self) -> None:
        """End a pause, also one that has not begun."""
        self._pause_s = 0.0
        self._stopped_until = -math.inf

    def pump(self, now: float) -> None:
        """Let those bytes arrive for which there was time since the last call."""
        if self._master is None:
            return
        elapsed = now - self._pumped_at
        self._pumped_at = now
        if now >= self._stopped_until:
            self._credit += elapsed * self._chars_per_s
        count = min(int(self._credit), len(self._queue))
        middle = self._middle_of_frame() if self._pause_s else 0
        if 0 < middle <= count:
            count = middle
            self._stopped_until, self._pause_s = now + self._pause_s, 0.0
        part = bytes(self._queue[:count])
        del self._queue[:count]
        # An idle line saves nothing up.
        self._credit = self._credit - count if self._queue and now >= self._stopped_until else 0.0
        arriving = self._disturb(part, elapsed)
        self.spoiled_parts += bool(part) and arriving != part
        self._deliver(arriving, now)

    def due(self, now: float) -> float:
        """When to pump again: soon while bytes wait, else never."""
        return max(now + 0.005, self._stopped_until) if self._queue and self._master is not None else math.inf

    def _middle_of_frame(self) -> int:
        """How many bytes of the queue reach into the middle of its first frame; 0 if it holds no frame."""
        if self._delimiter is None:
            return len(self._queue) // 2
        begin = len(self._queue) - len(self._queue.lstrip(self._delimiter))
        end = self._queue.find(self._delimiter, begin)
        return (begin + end) // 2 if end - begin >= 2 else 0

    def _deliver(self, data: bytes, now: float) -> None:
        assert self._master is not None
        # What was written last time has arrived by now; right after writing the kernel may still be passing it on.
        unread = self._waiting()
        if unread < min(self._expected, SHOWN_MAX) or unread == 0:
            self._consumed_at = now
        elif now - self._consumed_at > STALE_S:
            termios.tcflush(self._far, termios.TCIFLUSH)
            self.overrun_bytes += unread
            self._consumed_at, unread = now, 0
        written = 0
        if data:
            with suppress(BlockingIOError):
                written = os.write(self._master, data)
        self.overrun_bytes += len(data) - written
        self._expected = unread + written

    def _waiting(self) -> int:
        """Bytes that the host has not read yet.

        The kernel passes on what was written when it comes to it, and until then it looks as if it had been read. Where
        nothing else lies ready, whoever looks whether something does makes Linux pass it on at once.
        """
        look = select.poll()
        look.register(self._far, select.POLLIN)
        look.poll(0)
        answer = array.array("i", [0])
        fcntl.ioctl(self._far, termios.FIONREAD, answer)
        return answer[0]


def _open_raw() -> tuple[int, int, str]:
    master, far = os.openpty()
    tty.setraw(far)
    fcntl.ioctl(master, termios.TIOCPKT, array.array("i", [1]))  # the kernel tells when the far end is flushed
    os.set_blocking(master, False)
    return master, far, os.ttyname(far)


def _by_way_of_us(descriptor: int) -> str | None:
    """A path to what is open here that is gone with this process, however it ends; None where there is none.

    The kernel gives the number of a pseudo-terminal whose holder was killed to the next one that is made. By its number
    a link that was left behind would lead a host to a line of somebody else.
    """
    path = f"/proc/{os.getpid()}/fd/{descriptor}"
    return path if Path(path).is_symlink() else None


def _point(link: Path, target: str) -> None:
    """Make `link` point to `target` in one step: whoever looks sees the old target or the new one."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
