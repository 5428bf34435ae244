"""The reference counter: its messages, and the rule by which they are booked exactly once.

The device keeps every interval in a ring until it is acknowledged, and a running total of each direction and class
besides. It names an interval by (boot, seq) and says in each one which is the `oldest` it still has. The edge books
intervals in that order:

- one that is not after the last booked: booked before, so it is acknowledged again;
- the next number of the same boot: booked;
- one that is its own oldest: everything before it was booked or has left the ring. It is booked, and what the totals
  rose by beyond its own counts was lost from the ring: a sum over the time since the last booked interval, in which
  nobody knows the hour;
- any other: something between is missing. The device hears again what is stored, and sends the rest.

The first interval ever seen of a device gives the totals to compare with later ones, also while the clock is not
trusted and nothing can be booked: what then falls out of the ring is not forgotten. Nothing here reads a port or a
clock.

docs/reference-counter-protocol.md describes every byte.
"""

import struct
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import ClassVar, Final, Self

from footfall_contract.words import MAX_START, Direction
from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor, Passages
from footfall_edge.drivers import Booking, Device, Driver, Outcome, Step
from footfall_edge.framer import CobsFramer, Frame, encode_frame

VERSION: Final = 1
"""First byte of every frame's content."""

TIME_EVERY_S: Final = 60
"""The device's clock is set this often, so that its drift stays within milliseconds."""
GREETING_EVERY_S: Final = 5
"""A device that has not said who it is is asked again after this time."""
_KNOWN: Final = 8
"""Boots and unbooked devices whose clocks are remembered on one line. Noise must not fill the memory."""
_MOST_SEEN: Final = 100_000
"""Intervals that a survey knows again; no device's ring holds so many."""
_WRAP: Final = 2**32
"""Totals count modulo this."""
_BACKWARDS: Final = 2**31
"""A rise of this much or more is a total that went back: another device, or one whose memory was cleared."""


class Kind(IntEnum):
    """Message types."""

    COUNT = 0x01
    HELLO = 0x02
    HEALTH = 0x03
    ACK = 0x81
    TIME = 0x82
    HELLO_REQUEST = 0x83


class MessageError(ValueError):
    """A frame whose checksum is right and whose body is not what the protocol says; the message names the bytes."""


@dataclass(frozen=True, slots=True)
class CountMessage:
    """COUNT: one interval."""

    device: int
    boot: int
    seq: int
    uptime_ms: int
    """The interval's start on the device's uptime clock."""
    utc_ms: int
    """The interval's start in UTC unix milliseconds; 0 while the device does not know the time."""
    length_ms: int
    oldest: tuple[int, int]
    """(boot, seq) of the oldest interval in the ring."""
    counts: Passages
    totals: Passages
    """Running totals modulo 2^32, this interval included."""

    @property
    def position(self) -> tuple[int, int]:
        """(boot, seq)."""
        return self.boot, self.seq


@dataclass(frozen=True, slots=True)
class HelloMessage:
    """HELLO: who the device is, at boot and on request."""

    device: int
    boot: int
    uptime_ms: int
    oldest: tuple[int, int]
    interval_ms: int
    firmware: str


@dataclass(frozen=True, slots=True)
class HealthMessage:
    """HEALTH: how the device is."""

    device: int
    boot: int
    uptime_ms: int
    temperature: float
    """Degrees Celsius."""
    supply_mv: int
    ring_used: int
    ring_size: int
    flags: int

    @property
    def trouble(self) -> str:
        """What the flags mean, for a person; empty if none is set."""
        known = {1: "lens dirty or sensor stuck suspected", 2: "clock was never set"}
        names = [text for bit, text in known.items() if self.flags & bit]
        rest = self.flags & ~sum(known)
        return ", ".join(names + ([f"flags 0x{rest:04x}"] if rest else []))


Message = CountMessage | HelloMessage | HealthMessage

_COUNT = struct.Struct("<IIIQQIIIB")
_COUNT_CELL = struct.Struct("<BBH")
_TOTAL_CELL = struct.Struct("<BBI")
_HELLO = struct.Struct("<IIQIIIB")
_HEALTH = struct.Struct("<IIQhHHHH")
_ACK = struct.Struct("<III")
_TIME = struct.Struct("<Q")


def parse(frame: Frame) -> Message | None:
    """The message in `frame`; None for a type this driver does not know.

    Raises:
        MessageError: the body is not what its type promises.
    """
    try:
        match frame.kind:
            case Kind.COUNT:
                return _parse_count(frame.body)
            case Kind.HELLO:
                return _parse_hello(frame.body)
            case Kind.HEALTH:
                return _parse_health(frame.body)
            case _:
                return None
    except struct.error as error:
        raise MessageError(f"{Kind(frame.kind).name} of {len(frame.body)} bytes: {error}") from error


def _parse_count(body: bytes) -> CountMessage:
    device, boot, seq, uptime, utc, length, oldest_boot, oldest_seq, n = _COUNT.unpack_from(body)
    at = _COUNT.size
    counts = tuple(_COUNT_CELL.unpack_from(body, at + i * _COUNT_CELL.size) for i in range(n))
    at += n * _COUNT_CELL.size
    (n,) = struct.unpack_from("<B", body, at)
    totals = tuple(_TOTAL_CELL.unpack_from(body, at + 1 + i * _TOTAL_CELL.size) for i in range(n))
    _nothing_after(body, at + 1 + n * _TOTAL_CELL.size)
    return CountMessage(device, boot, seq, uptime, utc, length, (oldest_boot, oldest_seq), counts, totals)


def _parse_hello(body: bytes) -> HelloMessage:
    device, boot, uptime, oldest_boot, oldest_seq, interval, n = _HELLO.unpack_from(body)
    (name,) = struct.unpack_from(f"{n}s", body, _HELLO.size)
    _nothing_after(body, _HELLO.size + n)
    firmware = name.decode("ascii", errors="replace")
    return HelloMessage(device, boot, uptime, (oldest_boot, oldest_seq), interval, firmware)


def _parse_health(body: bytes) -> HealthMessage:
    device, boot, uptime, decidegrees, *rest = _HEALTH.unpack_from(body)
    _nothing_after(body, _HEALTH.size)
    return HealthMessage(device, boot, uptime, decidegrees / 10, *rest)


def _nothing_after(body: bytes, end: int) -> None:
    if len(body) != end:
        raise MessageError(f"body of {len(body)} bytes, expected {end}")


def encode_ack(device: int, position: tuple[int, int]) -> bytes:
    """ACK: every interval up to and including `position` (boot, seq) is stored."""
    return encode_frame(VERSION, Kind.ACK, _ACK.pack(device, *position))


def encode_time(utc_ms: int) -> bytes:
    """TIME: it is now `utc_ms`, UTC unix milliseconds."""
    return encode_frame(VERSION, Kind.TIME, _TIME.pack(utc_ms))


def encode_hello_request() -> bytes:
    """HELLO-REQUEST: say who you are."""
    return encode_frame(VERSION, Kind.HELLO_REQUEST)


class Verdict(Enum):
    """What the booking rule says of an interval."""

    DUPLICATE = 0
    NEXT = 1
    """Follows the last booked one; nothing is missing between them."""
    OLDEST = 2
    """Nothing before it will come any more."""
    OUT_OF_ORDER = 3


def judge(last: Cursor | None, count: CountMessage) -> Verdict:
    """The booking rule. `last` is what was booked last of the device, None at the first contact."""
    if last is not None and count.position <= last.position:
        return Verdict.DUPLICATE
    if last is not None and count.position == (last.boot, last.seq + 1):
        return Verdict.NEXT
    if count.position == count.oldest:
        return Verdict.OLDEST
    return Verdict.OUT_OF_ORDER


def surplus(last: Cursor, count: CountMessage) -> tuple[Passages, bool]:
    """What the totals rose by since `last`, beyond the counts of `count` itself; and whether a total went backwards.

    A total that went backwards tells nothing: it is left out, and is the new baseline. So it is where the totals at
    `last` are not known.
    """
    if last.totals is None:
        return (), False
    own = {(direction, class_): number for direction, class_, number in count.counts}
    rises = [
        (direction, class_, (total - own.get((direction, class_), 0) - last.totals.get((direction, class_), 0)) % _WRAP)
        for direction, class_, total in count.totals
    ]
    lost = tuple(rise for rise in rises if 0 < rise[2] < _BACKWARDS)
    return lost, any(rise[2] >= _BACKWARDS for rise in rises)


@dataclass(frozen=True, slots=True)
class Peer:
    """What a session knows of one device on its line."""

    cursor: Cursor | None = None
    boots: Mapping[int, float] = field(default_factory=dict)
    """Boot id → monotonic seconds at which that boot's uptime was 0, from its greetings."""

    @property
    def newest_boot(self) -> int | None:
        """The boot of its latest greeting, which is the one under way."""
        return max(self.boots, default=None)

    def uptime_zero_ms(self, boot: int, at: Moment) -> int | None:
        """When `boot` began, in UTC unix milliseconds as seen from `at`; None if it did not greet."""
        return at.utc_ms_of(self.boots[boot]) if boot in self.boots else None

    def greeted(self, hello: HelloMessage, at: Moment) -> "Peer":
        """The peer after a greeting that came at `at`."""
        boots = {boot: zero for boot, zero in self.boots.items() if boot < hello.boot}
        kept = sorted(boots)[-(_KNOWN - 1) :]
        return replace(
            self,
            # A boot id never falls. If it did, the device's memory was cleared or it is another device of the same
            # number: what was booked says nothing about its intervals.
            cursor=None if self.cursor is not None and hello.boot < self.cursor.boot else self.cursor,
            boots={boot: boots[boot] for boot in kept} | {hello.boot: at.monotonic_s - hello.uptime_ms / 1000},
        )


@dataclass(frozen=True, slots=True)
class ReferenceSession:
    """The edge's half of the conversation with a reference counter."""

    peers: Mapping[int, Peer] = field(default_factory=dict)
    """By device number. A line has one device; it may have been exchanged for another."""
    device: Device = field(default_factory=Device)
    greeted: bool = False
    """Whether a device has said who it is since the line was opened."""
    asked_s: float | None = None
    """Monotonic seconds of the last HELLO-REQUEST."""
    told_time_s: float | None = None
    """Monotonic seconds of the last TIME; None before the first since the line was opened."""

    def opened(self, now: Moment) -> Step[Self]:
        """Ask the device who it is. Its answer also says when it was started, and makes the edge tell the time."""
        session = replace(self, greeted=False, asked_s=now.monotonic_s, told_time_s=None)
        return Step(session, reply=encode_hello_request())

    def tick(self, now: Moment) -> Step[Self]:
        """Tell the time when it is due; ask again a device that has not answered."""
        if not self.greeted:
            return self._ask(now)
        if now.utc_ms is None or (self.told_time_s is not None and now.monotonic_s - self.told_time_s < TIME_EVERY_S):
            return Step(self)
        return Step(replace(self, told_time_s=now.monotonic_s), reply=encode_time(now.utc_ms))

    def closed(self, now: Moment) -> Step[Self]:  # noqa: ARG002  # every interval was booked when it came
        """Nothing waits here: what was not booked is in the device."""
        return Step(self)

    def heard(self, frame: Frame, at: Moment) -> Step[Self]:
        """Book, refuse or take note of a frame."""
        try:
            message = parse(frame)
        except MessageError as error:
            return Step(self, Outcome.UNREADABLE, remark=str(error))
        if isinstance(message, CountMessage):
            return self._on_count(message, at)
        if isinstance(message, HelloMessage):
            return self._on_hello(message, at)
        if isinstance(message, HealthMessage):
            return Step(replace(self, device=replace(self.device, trouble=message.trouble)), Outcome.TOLD)
        return Step(self, Outcome.UNKNOWN)

    def _on_hello(self, hello: HelloMessage, at: Moment) -> Step[Self]:
        before = self.peers.get(hello.device, Peer())
        peer = before.greeted(hello, at)
        restarted = before.newest_boot is not None and before.newest_boot != hello.boot
        remark = ""
        if before.cursor is not None and peer.cursor is None:
            remark = (
                f"device {hello.device} starts again at boot {hello.boot} after {before.cursor.boot}: treated as new"
            )
        session = replace(
            self._with_peer(hello.device, peer),
            greeted=True,
            device=replace(self.device, firmware=hello.firmware, restarts=self.device.restarts + restarted),
            told_time_s=None,  # the next tick tells it, as fresh as can be
        )
        return Step(session, Outcome.TOLD, remark=remark)

    def _on_count(self, count: CountMessage, at: Moment) -> Step[Self]:
        peer = self.peers.get(count.device, Peer())
        last = peer.cursor
        verdict = judge(last, count)
        if last is not None and verdict in (Verdict.DUPLICATE, Verdict.OUT_OF_ORDER):
            if count.boot < last.boot and (peer.newest_boot is None or peer.newest_boot < last.boot):
                # Its boot ids may have begun again, and then this acknowledgement would erase what was never booked.
                return replace(self._ask(at), outcome=Outcome.UNTIMED)
            outcome = Outcome.DUPLICATE if verdict is Verdict.DUPLICATE else Outcome.OUT_OF_ORDER
            # Before the first number there is nothing to acknowledge.
            return Step(self, outcome, acknowledge=b"" if last.seq < 0 else encode_ack(count.device, last.position))
        if verdict is Verdict.OUT_OF_ORDER:
            return Step(self, Outcome.OUT_OF_ORDER)
        when = self._when(count, peer, at)
        if when is not None:
            return self._book(count, peer, when, at, lost_before=verdict is Verdict.OLDEST)
        step = replace(self._ask(at), outcome=Outcome.UNTIMED)
        if last is not None or at.utc_ms is not None:
            return step
        first = _before(count)
        peers = self._with_peer(count.device, replace(peer, cursor=first)).peers
        return replace(step, session=replace(step.session, peers=peers), booking=Booking((), first))

    def _book(self, count: CountMessage, peer: Peer, when: "_When", at: Moment, *, lost_before: bool) -> Step[Self]:
        last = peer.cursor
        lost, backwards = surplus(last, count) if last is not None and lost_before else ((), False)
        counts = [Count(when.start_ms, when.end_ms, when.measured_ms, count.counts)]
        if last is not None and lost:
            counts.insert(0, _recovered(last, count, when, peer.uptime_zero_ms(last.boot, at), lost))
        # An interval that could not be placed leaves the booked time where it is, so that the next one may be placed
        # after it.
        end_ms = when.end_ms if when.known else (last.end_ms if last is not None else when.start_ms)
        totals = {(direction, class_): total for direction, class_, total in count.totals}
        cursor = Cursor(count.device, count.boot, count.seq, end_ms, MappingProxyType(totals))
        return Step(
            self._with_peer(count.device, replace(peer, cursor=cursor)),
            Outcome.BOOKED,
            Booking(tuple(counts), cursor),
            acknowledge=encode_ack(count.device, cursor.position),
            remark=f"a running total of device {count.device} went backwards: taken as new" if backwards else "",
        )

    def _when(self, count: CountMessage, peer: Peer, at: Moment) -> "_When | None":
        """When the interval was, as far as is known; None if it is worth waiting, for a greeting or the clock."""
        if at.utc_ms is None:
            return None
        if 0 < count.utc_ms <= MAX_START * 1000:
            return _When(count.utc_ms, count.utc_ms + count.length_ms)
        zero = peer.boots.get(count.boot)
        if zero is not None:
            start_ms = at.utc_ms - _milliseconds(at.monotonic_s - zero) + count.uptime_ms
            return _When(start_ms, start_ms + count.length_ms)
        later = min((boot for boot in peer.boots if boot > count.boot), default=None)
        if later is None:
            return None
        # An earlier boot whose clock nobody read: it was over when the next one began, and that is all that is known.
        end_ms = at.utc_ms - _milliseconds(at.monotonic_s - peer.boots[later])
        placed = peer.cursor is not None and peer.cursor.end_ms > 0
        since_ms = peer.cursor.end_ms if peer.cursor and placed else end_ms - count.uptime_ms - count.length_ms
        return _When(min(since_ms, end_ms - count.length_ms), end_ms, known=False)

    def _ask(self, now: Moment) -> Step[Self]:
        if self.asked_s is not None and now.monotonic_s - self.asked_s < GREETING_EVERY_S:
            return Step(self)
        return Step(replace(self, asked_s=now.monotonic_s), reply=encode_hello_request())

    def _with_peer(self, device: int, peer: Peer) -> Self:
        others = {number: known for number, known in self.peers.items() if number != device}
        for number in [number for number, known in others.items() if known.cursor is None][: -(_KNOWN - 1)]:
            del others[number]
        return replace(self, peers={**others, device: peer})


@dataclass(frozen=True, slots=True)
class _When:
    """Where an interval is in time, in UTC unix milliseconds."""

    start_ms: int
    end_ms: int
    known: bool = True
    """False: it lies somewhere in there."""

    @property
    def measured_ms(self) -> int:
        return self.end_ms - self.start_ms if self.known else 0


def _before(count: CountMessage) -> Cursor:
    """Where a device was before `count`, the first interval ever seen of it. Nothing of it has been placed in time."""
    own = {(direction, class_): number for direction, class_, number in count.counts}
    totals = {
        (direction, class_): (total - own.get((direction, class_), 0)) % _WRAP
        for direction, class_, total in count.totals
    }
    return Cursor(count.device, count.boot, count.seq - 1, 0, MappingProxyType(totals))


def _recovered(last: Cursor, count: CountMessage, when: _When, boot_ms: int | None, lost: Passages) -> Count:
    """What fell out of the ring between `last` and `count`, which was at `when`: a sum over that time, none measured.

    `boot_ms`: when the boot of `last` began, if that is known.
    """
    if not when.known:
        return Count(when.start_ms, when.end_ms, 0, lost)
    since_ms = last.end_ms
    if since_ms == 0:
        # Nothing was ever placed. At the earliest the time begins with that boot.
        since_ms = when.start_ms if boot_ms is None else boot_ms
    # The device has been counting at least so long, even if a clock was set back in between.
    missing = count.seq - last.seq - 1 if count.boot == last.boot else count.seq
    return Count(min(since_ms, when.start_ms - max(1000, missing * count.length_ms)), when.start_ms, 0, lost)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


class ReferenceSurvey:
    """What a probe learns of a reference counter. An interval that is sent again counts once."""

    targets = 0
    """It reports passages, no moving targets."""

    def __init__(self) -> None:
        self._passages = {"in": 0, "out": 0}
        self._asked = False
        self._seen: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._boots: set[tuple[int, int]] = set()
        self._devices: dict[int, str] = {}

    @property
    def passages(self) -> Mapping[str, int]:
        """Passages by direction, ``in`` and ``out``."""
        return self._passages

    @property
    def restarts(self) -> int:
        """How often a device was seen to start anew."""
        return len(self._boots) - len({device for device, _ in self._boots})

    def question(self, now_s: float) -> bytes:  # noqa: ARG002  # once is enough
        """A HELLO-REQUEST, once. Nothing is ever acknowledged here: the intervals stay in the device."""
        if self._asked:
            return b""
        self._asked = True
        return encode_hello_request()

    def see(self, frame: Frame) -> None:
        """Take note of a frame."""
        try:
            message = parse(frame)
        except MessageError as error:
            self._devices[-1] = f"unreadable: {error}"
            return
        if isinstance(message, CountMessage):
            self._see_count(message)
        elif isinstance(message, HelloMessage):
            self._boots.add((message.device, message.boot))
            self._devices[message.device] = (
                f"device {message.device}: firmware {message.firmware!r}, boot {message.boot}, "
                f"up {message.uptime_ms // 1000} s, an interval every {message.interval_ms / 1000:g} s, "
                f"oldest unacknowledged (boot, number) {message.oldest}"
            )

    def _see_count(self, count: CountMessage) -> None:
        identity = (count.device, *count.position)
        if identity in self._seen:
            return
        self._seen[identity] = None
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        self._devices.setdefault(count.device, f"device {count.device}")
        for direction, _, number in count.counts:
            if direction in (Direction.IN, Direction.OUT):
                self._passages["in" if direction == Direction.IN else "out"] += number

    def lines(self) -> list[str]:
        """What was learnt of the device, for a person, one thing a line."""
        return [self._devices[device] for device in sorted(self._devices)]


class ReferenceCounter(Driver):
    """The driver called ``reference``. It needs no settings of its own."""

    usual_baud: ClassVar[int] = 115200
    preamble: ClassVar[bytes] = b"\0"
    remembers: ClassVar[bool] = True

    def framer(self) -> CobsFramer:
        """COBS frames of protocol version 1."""
        return CobsFramer(VERSION)

    def session(self, cursors: Iterable[Cursor], *, slot_s: int = 10) -> ReferenceSession:  # noqa: ARG002  # it cuts by itself
        """A session that goes on from what is booked."""
        return ReferenceSession(peers={cursor.device: Peer(cursor) for cursor in cursors})

    def survey(self) -> ReferenceSurvey:
        """A survey for a probe."""
        return ReferenceSurvey()


DRIVER: Final = ReferenceCounter()
