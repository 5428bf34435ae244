"""The reference counter as its firmware runs it: a state machine fed bytes, passages and a clock, without any I/O.

Passages are added up in the open interval. At a cut the interval is closed: it gets the next number, the running totals
grow by it, and both go to non-volatile memory before anything is sent. It is then sent until the host acknowledges it.
So a passage is in exactly one of three places: the open interval (which a power failure loses), the ring, or the host's
store; and whatever the ring had to drop is still in the totals.

Time. `now_ms` is true time on any monotonic clock, the same for all calls. The device does not know it: it has an
uptime clock that drifts by `drift_ppm`, and from the first TIME on the difference between that clock and UTC.
"""

import secrets
from collections import deque
from dataclasses import dataclass

from footfall_sim.memory import Memory, Store, UnusableMemoryError
from footfall_sim.protocol import (
    FLAG_CLOCK_NEVER_SET,
    FLAG_LENS,
    MAX_PAIRS,
    U16_MAX,
    U32,
    Ack,
    Health,
    Hello,
    HelloRequest,
    Interval,
    Message,
    Receiver,
    Time,
    count_frame,
    encode,
    number_of,
    pack_interval,
)

WINDOW = 16
"""Frames under way without an acknowledgement."""
RESEND_MS = 2000
"""Without progress for so long, counted from the last byte of the oldest frame, all of the window is sent again."""
HEALTH_MS = 60_000
STEP_MS = 1000
"""A TIME that differs by less corrects the clock within the open interval; by more, it cuts the interval first."""
ACK_SAVE_MS = 1000
"""Acknowledged intervals leave the memory in batches: if they come back after a power failure they are duplicates."""
EARLIEST_UTC_MS = 946_684_800_000
"""2000-01-01; a TIME before that comes from a host whose own clock was never set."""
DIRECTIONS = (0, 1, 2)
UNKNOWN = 255
BITS_PER_CHAR = 10
"""8N1: start bit, eight data bits, stop bit."""


@dataclass(frozen=True, slots=True)
class Design:
    """What is soldered or configured into a device. `device` None: a new memory gets a number by lot."""

    device: int | None = None
    interval_ms: int = 10_000
    ring: int = 8640
    drift_ppm: float = 0.0
    baud: int = 115_200
    name: str = "footfall-reference 1.0"


class Firmware:
    """One device from power-on to power-off. Making the object is the boot; a reboot is a new one on the same store.

    Raises UnusableMemoryError if the store's image is damaged or belongs to another device.
    """

    def __init__(self, store: Store, now_ms: float, design: Design) -> None:
        self._store = store
        self._design = design
        self._memory = self._recall()
        self._booted_at = now_ms
        self._memory.boot += 1
        self._memory.next_seq = 0
        self.save()

        self.temperature = 215
        """Tenths of a degree Celsius, as HEALTH shows it."""
        self.supply_mv = 5000
        self.lens_suspected = False

        self._open_uptime = 0
        self._open_utc = 0
        self._utc_minus_uptime: int | None = None
        self._counts: dict[tuple[int, int], int] = {}
        self._closed: list[Interval] = []
        self._unsaved = False
        self._stopped = False

        self._receiver = Receiver()
        self._hello_due = True
        self._health_at = 0
        # When the last byte of each frame under way leaves the device; as many as frames are under way.
        self._leaving: deque[float] = deque()
        self._progress_at = now_ms
        self._busy_until = now_ms
        self._acked_at: float | None = None

    def _recall(self) -> Memory:
        image = self._store.load()
        configured = self._design.device
        if image is None:
            return Memory(secrets.randbelow(U32 - 1) + 1 if configured is None else configured)
        memory = Memory.from_image(image)
        if configured not in (None, memory.device):
            raise UnusableMemoryError(f"the memory belongs to device {memory.device}, the settings say {configured}")
        return memory

    # What the device is asked from outside.

    @property
    def device(self) -> int:
        """The device's number."""
        return self._memory.device

    @property
    def boot(self) -> int:
        """The number of this boot."""
        return self._memory.boot

    @property
    def waiting(self) -> int:
        """Closed intervals that nobody has acknowledged."""
        return len(self._memory.ring)

    @property
    def totals(self) -> dict[tuple[int, int], int]:
        """Running totals by (direction, class) over all closed intervals, modulo 2**32."""
        return dict(self._memory.totals)

    @property
    def bad_frames(self) -> int:
        """Frames from the host that could not be read."""
        return self._receiver.bad_frames

    def take_closed(self) -> list[Interval]:
        """The intervals closed since the last call."""
        closed, self._closed = self._closed, []
        return closed

    # What happens to the device.

    def passage(self, direction: int, class_: int, now_ms: float) -> None:
        """Somebody crossed the line. After `shutdown` nothing is counted any more."""
        if direction not in DIRECTIONS or not 0 <= class_ <= UNKNOWN:
            raise ValueError(f"no such direction or class: {direction}, {class_}")
        if self._stopped:
            return
        self._advance(now_ms)
        pair = self._place_for(direction, class_)
        if self._counts.get(pair, 0) == U16_MAX:
            self.flush(now_ms)
        self._counts[pair] = self._counts.get(pair, 0) + 1

    def feed(self, data: bytes, now_ms: float) -> None:
        """Bytes came from the host."""
        for message in self._receiver.feed(data):
            self._handle(message, now_ms)

    def tick(self, now_ms: float) -> bytes:
        """Let the time pass; the bytes to send now. Call it after `feed`, and when `due_ms` has come."""
        self._advance(now_ms)
        if self._acked_at is not None and now_ms >= self._acked_at + ACK_SAVE_MS:
            self._unsaved = True
        if self._unsaved:
            self.save()
        # Noise that gathered on the silent line must not swallow the first frame: a delimiter ends it.
        lead = b"\0" if now_ms >= self._busy_until else b""
        said = self._announcements(now_ms) + self._frames(now_ms)
        return lead + said if said else b""

    def due_ms(self) -> float:
        """The next moment at which `tick` has something to do, on the clock of `now_ms`."""
        dues = [self._resend_at()] if self._leaving else []
        if self._acked_at is not None:
            dues.append(self._acked_at + ACK_SAVE_MS)
        if not self._stopped:
            dues += (self._true_time(self._cut_due()), self._true_time(self._health_at))
        return min(dues, default=float("inf"))

    def flush(self, now_ms: float) -> None:
        """Close the open interval now; the next one reaches to the next cut."""
        self._advance(now_ms)
        if not self._stopped:
            self._close(self._uptime(now_ms))

    def shutdown(self, now_ms: float) -> None:
        """Power is going down in good order: close the open interval early, as the last one, and count no more.

        The device goes on sending and listening, so that the host can acknowledge what waits.
        """
        self.flush(now_ms)
        self._stopped = True

    def save(self) -> None:
        """Write the memory."""
        self._store.save(self._memory.image())
        self._unsaved = False
        self._acked_at = None

    # Clocks and intervals.

    def _uptime(self, now_ms: float) -> int:
        return int((now_ms - self._booted_at) * (1 + self._design.drift_ppm / 1e6))

    def _true_time(self, uptime_ms: float) -> float:
        # One millisecond on top: the uptime clock counts whole ones, rounded down.
        return self._booted_at + (uptime_ms + 1) / (1 + self._design.drift_ppm / 1e6)

    def _advance(self, now_ms: float) -> None:
        """Close what should have been closed by now, one frame for each interval also if nobody looked for a while."""
        uptime = self._uptime(now_ms)
        while not self._stopped and uptime >= (cut := self._cut_due()):
            self._close(cut)

    def _cut_due(self) -> int:
        """Where the open interval ends, on the uptime clock."""
        length = self._design.interval_ms
        if self._utc_minus_uptime is None:
            return self._open_uptime + length
        return (self._open_utc // length + 1) * length - self._utc_minus_uptime

    def _close(self, uptime: int) -> None:
        if self._utc_minus_uptime is None:
            length = uptime - self._open_uptime
        else:
            length = uptime + self._utc_minus_uptime - self._open_utc
        if length <= 0 and not self._counts:
            return
        # Passages counted in no time at all (a flush right at a cut): the interval is one millisecond long.
        length = max(length, 1)
        totals = self._memory.totals
        for pair, count in self._counts.items():
            totals[pair] = (totals.get(pair, 0) + count) % U32
        interval = Interval(
            number=self._memory.next_number,
            uptime_start_ms=self._open_uptime,
            utc_start_ms=self._open_utc,
            length_ms=length,
            counts=tuple((*pair, count) for pair, count in sorted(self._counts.items())),
            totals=tuple((*pair, total) for pair, total in sorted(totals.items())),
        )
        self._keep(interval)
        self._counts = {}
        if self._utc_minus_uptime is None:
            self._open_uptime += length
        else:
            self._open_uptime = max(uptime, self._open_uptime)
            self._open_utc += length

    def _keep(self, interval: Interval) -> None:
        ring = self._memory.ring
        if len(ring) >= self._design.ring:
            self._drop_oldest()
        ring.append(pack_interval(self._memory.device, interval))
        self._memory.next_seq += 1
        self._closed.append(interval)
        self._unsaved = True

    def _drop_oldest(self) -> None:
        self._memory.ring.popleft()
        if self._leaving:
            self._leaving.popleft()

    def _place_for(self, direction: int, class_: int) -> tuple[int, int]:
        """The pair under which a passage is counted: its own while there is room for it, else (direction, unknown).

        A frame has room for MAX_PAIRS pairs, and each direction's unknown always keeps its place among them.
        """
        pair = (direction, class_)
        known = self._memory.totals.keys() | self._counts.keys()
        if pair in known or class_ == UNKNOWN:
            return pair
        reserved = sum((other, UNKNOWN) not in known for other in DIRECTIONS)
        return pair if len(known) + reserved < MAX_PAIRS else (direction, UNKNOWN)

    # Talking to the host.

    def _handle(self, message: Message, now_ms: float) -> None:
        match message:
            case Ack():
                self._on_ack(message, now_ms)
            case Time(utc_ms):
                self._on_time(utc_ms, now_ms)
            case HelloRequest():
                self._hello_due = True
            case _:
                pass  # another device's message, echoed by the line

    def _on_ack(self, ack: Ack, now_ms: float) -> None:
        memory = self._memory
        # An acknowledgement of what was never counted here is for somebody else; believing it would lose counts.
        if ack.device != memory.device or ack.upto >= memory.next_number:
            return
        before = len(memory.ring)
        while memory.ring and number_of(memory.ring[0]) <= ack.upto:
            self._drop_oldest()
        if len(memory.ring) < before:
            self._progress_at = now_ms
            self._acked_at = now_ms if self._acked_at is None else self._acked_at

    def _on_time(self, utc_ms: int, now_ms: float) -> None:
        if utc_ms < EARLIEST_UTC_MS or self._stopped:
            return
        self._advance(now_ms)
        uptime = self._uptime(now_ms)
        difference, before = utc_ms - uptime, self._utc_minus_uptime
        if before is None:
            self._utc_minus_uptime = difference
            self._open_utc = self._open_uptime + difference
            interval = self._design.interval_ms
            if self._open_utc // interval != utc_ms // interval:
                self._close(uptime)
        elif abs(difference - before) < STEP_MS:
            self._utc_minus_uptime = difference
        else:
            self._close(uptime)
            self._utc_minus_uptime = difference
            self._open_uptime, self._open_utc = uptime, utc_ms

    def _announcements(self, now_ms: float) -> bytes:
        uptime = self._uptime(now_ms)
        memory = self._memory
        out = b""
        if self._hello_due:
            self._hello_due = False
            hello = Hello(
                memory.device, memory.boot, uptime, memory.oldest, self._design.interval_ms, self._design.name
            )
            out += encode(hello)
        if uptime >= self._health_at and not self._stopped:
            self._health_at = uptime + HEALTH_MS
            flags = FLAG_LENS * self.lens_suspected | FLAG_CLOCK_NEVER_SET * (self._utc_minus_uptime is None)
            out += encode(
                Health(
                    memory.device,
                    memory.boot,
                    uptime,
                    self.temperature,
                    self.supply_mv,
                    min(len(memory.ring), U16_MAX),
                    min(self._design.ring, U16_MAX),
                    flags,
                )
            )
        self._says(out, now_ms)
        return out

    def _resend_at(self) -> float:
        """When to send all again; not while the line is still busy with the last time."""
        return max(max(self._progress_at, self._leaving[0]) + RESEND_MS, self._busy_until)

    def _frames(self, now_ms: float) -> bytes:
        """New frames up to the window; all of the window again if the host was silent for too long."""
        ring = self._memory.ring
        if self._leaving and now_ms >= self._resend_at():
            self._leaving.clear()
        if not self._leaving:
            self._progress_at = now_ms
        out = b""
        while len(self._leaving) < min(WINDOW, len(ring)):
            packed = ring[len(self._leaving)]
            # The host books the first frame of a boot only when it is the oldest: the window ends at a boot's end.
            if number_of(packed).boot != self._memory.oldest.boot:
                break
            sentence = count_frame(packed, self._memory.oldest)
            self._leaving.append(self._says(sentence, now_ms))
            out += sentence
        return out

    def _says(self, sentence: bytes, now_ms: float) -> float:
        """When the last byte of something that is said now leaves the device."""
        takes_ms = len(sentence) * BITS_PER_CHAR * 1000 / self._design.baud
        self._busy_until = max(self._busy_until, now_ms) + takes_ms
        return self._busy_until
