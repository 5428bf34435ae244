"""The booking rule against an independent device: whatever is lost or doubled, every passage is booked once."""

from collections import Counter
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.device_model import Device, Pair, messages
from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor
from footfall_edge.framer import CobsFramer
from footfall_edge.reference import DRIVER, Kind, ReferenceSession

START_MS = 1_764_000_000_000
WINDOW = 16

pairs = st.tuples(st.integers(0, 2), st.sampled_from([0, 2, 255]))
counts = st.dictionaries(pairs, st.integers(1, 40), max_size=3)


class Store:
    """An outbox of the simplest kind: what is in it survives, nothing else does."""

    def __init__(self) -> None:
        self.booked: list[Count] = []
        self.recovered: Counter[Pair] = Counter()
        self.positions: set[tuple[int, int]] = set()
        self.cursors: dict[int, Cursor] = {}


class Line(RuleBasedStateMachine):
    """A device, a lossy line, and an edge that is killed now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.device = Device(ring_size=5)
        self.device.totals[0, 0] = 2**32 - 20  # close to where it wraps
        self.now_ms = 0
        self.knows_time = False
        self.store = Store()
        self.framer = CobsFramer(1)
        self.session = self.fresh_session()
        self.before_us: Counter[Pair] = Counter()
        self.first = (0, 0)

    def fresh_session(self) -> ReferenceSession:
        session = DRIVER.session(self.store.cursors.values())
        assert isinstance(session, ReferenceSession)
        return session

    @property
    def moment(self) -> Moment:
        return Moment(START_MS + self.now_ms, self.now_ms / 1000)

    # What happens to the device.

    @rule(found=counts, length_ms=st.sampled_from([10_000, 10_000, 3_700, 1]))
    def interval_ends(self, found: dict[Pair, int], length_ms: int) -> None:
        utc = START_MS + self.now_ms if self.knows_time else 0
        self.now_ms += length_ms
        self.device.close(found, utc_ms=utc, length_ms=length_ms)

    @rule(hello_arrives=st.booleans())
    def reboots(self, hello_arrives: bool) -> None:
        self.knows_time = False
        hello = self.device.reboot()
        if hello_arrives:
            self.deliver(hello)

    # What happens on the line.

    @rule(arrives=st.lists(st.sampled_from([0, 1, 1, 1, 2]), min_size=WINDOW, max_size=WINDOW), ack_lost=st.booleans())
    def sends(self, arrives: list[int], ack_lost: bool) -> None:
        """Each frame of the window arrives never, once or twice."""
        window = zip(self.device.frames(), arrives, strict=False)
        self.deliver(b"".join(frame * times for frame, times in window), ack_lost=ack_lost)

    @rule()
    def greets(self) -> None:
        self.deliver(self.device.hello())

    @precondition(lambda self: not self.knows_time)
    @rule()
    def hears_the_time(self) -> None:
        self.knows_time = True

    # What happens to the edge.

    @rule()
    def edge_is_killed(self) -> None:
        self.session = self.fresh_session()

    @rule()
    def outbox_cannot_be_written(self) -> None:
        """All that comes is thrown away, and the session with it."""
        for frame in self.framer.feed(b"".join(self.device.frames()[:WINDOW])):
            self.session.heard(frame, self.moment)

    def deliver(self, data: bytes, *, ack_lost: bool = False) -> None:
        replies = b""
        for frame in self.framer.feed(data):
            step = self.session.heard(frame, self.moment)
            self.session = step.session
            replies += step.reply
            if step.booking is not None and step.booking.cursor is not None:
                self.note_first_contact(step.booking.cursor, step.booking.counts)
                self.store.booked += step.booking.counts
                self.store.recovered += total(step.booking.counts[:-1])
                self.store.positions.add(step.booking.cursor.position)
                self.store.cursors[step.booking.cursor.device] = step.booking.cursor
            if step.acknowledge:
                ((kind, _),) = messages(step.acknowledge)
                assert kind == Kind.ACK
                if not ack_lost:
                    self.device.acknowledge(step.acknowledge)
        if any(kind == Kind.HELLO_REQUEST for kind, _ in messages(replies)):
            self.deliver(self.device.hello())

    def note_first_contact(self, cursor: Cursor, booked: Iterable[Count]) -> None:
        """What had left the ring before the edge ever heard of the device is not the edge's to know."""
        if not self.store.cursors:
            own = Counter({(d, c): n for count in booked for d, c, n in count.passages})
            self.before_us = Counter({pair: (total - own[pair]) % 2**32 for pair, total in cursor.totals.items()})
            self.before_us[0, 0] = (self.before_us[0, 0] - (2**32 - 20)) % 2**32
            self.first = cursor.position

    @invariant()
    def nothing_is_forgotten_unbooked(self) -> None:
        """The device never forgets what is not stored, but for what its ring has no room for."""
        booked = next(iter(self.store.cursors.values()), None)
        if booked is not None and not self.device.ring:
            assert booked.position == last_of(self.device) or self.device.seq == 0

    @invariant()
    def nothing_is_booked_twice(self) -> None:
        assert total(self.store.booked) <= self.device.counted

    @invariant()
    def times_are_those_of_the_past(self) -> None:
        """What was measured lies between the beginning and now; what was recovered says that it was not measured."""
        for count in self.store.booked:
            assert count.start_ms <= count.end_ms <= START_MS + self.now_ms + 1
            assert count.measured_ms in (0, count.end_ms - count.start_ms)

    def teardown(self) -> None:
        """In the end the line is good for a while: then the books are complete."""
        self.device.close({(0, 0): 3}, utc_ms=START_MS + self.now_ms, length_ms=1)
        self.now_ms += 1
        for _ in range(20):
            self.now_ms += 6_000  # the edge asks who is there at most every 5 s
            self.deliver(b"".join(self.device.frames()[:WINDOW]))

        assert not self.device.ring
        assert total(self.store.booked) + self.before_us == self.device.counted
        # What the ring kept was booked as it was counted; only what it had no room for was recovered from the totals.
        unseen = [
            interval
            for interval in self.device.dropped
            if self.first < (interval.boot, interval.seq) not in self.store.positions
        ]
        assert self.store.recovered == sum((Counter({(d, c): n for d, c, n in i.counts}) for i in unseen), Counter())


def total(booked: Iterable[Count]) -> Counter[Pair]:
    """Passages by direction and class."""
    found: Counter[Pair] = Counter()
    for count in booked:
        for direction, class_, number in count.passages:
            found[direction, class_] += number
    return found


def last_of(device: Device) -> tuple[int, int]:
    """(boot, seq) of the interval closed last."""
    return device.boot, device.seq - 1


TestBooking = Line.TestCase
TestBooking.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
