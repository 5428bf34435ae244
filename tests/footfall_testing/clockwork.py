"""The whole chain in virtual time: devices, boxes, a courier in place of the broker, ingest on a real PostgreSQL.

Nothing here has a thread, sleeps or opens a port: `Chain.run` moves the time on, and all that a test does happens
exactly then. Device, framer, session, outbox, delivery and `write_batch` are the real ones; only their clocks, the
line, the MQTT client and the broker are made here, and a test may disturb each of them. `Chain.settle` lets
everything run without faults until every passage that a device reported is stored, and checks that no other is.

    chain = Chain(connection, tmp_path)
    box = chain.box()
    box.device.passes(3)
    chain.run(60)
    box.step(-300)
    chain.settle()
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from heapq import heappop, heappush
from itertools import count as numbers
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar, cast
from uuid import uuid4

import psycopg

from footfall_contract import topics
from footfall_contract.notice import encode_notice
from footfall_edge.clock import Clock
from footfall_edge.delivery import Delivery
from footfall_edge.drivers import driver_named
from footfall_edge.events import Closed, Connected, Event, Heard, Noticed, Opened, Taken
from footfall_edge.framer import Framer
from footfall_edge.outbox import Outbox
from footfall_edge.publisher import Publisher
from footfall_edge.sensors import Sensors
from footfall_edge.settings import ReportSettings, SensorSettings
from footfall_ingest import store
from footfall_ingest.flush import Message, Outcome, write_batch
from footfall_sim.firmware import Design, Firmware
from footfall_sim.memory import RamStore
from footfall_testing.ingest_store import NOON, Store, stored

T = TypeVar("T")
Tally = Counter[tuple[str, int, int]]
"""Passages by sensor, direction and class."""

PRUNE_EVERY_S: Final = 600.0
AGAIN_S: Final = 5.0
"""Seconds after which a message that ingest did not acknowledge comes again."""

Fate = tuple[float, ...]
"""When a message arrives, in seconds after it was sent: () never, (0,) at once, (0, 60) and again a minute later."""

Death = Literal["heard", "booked", "sent"]
"""When in its turn an edge is killed: before the booking, between booking and acknowledgement, after sending."""


class Device:
    """A reference counter, and the truth about it."""

    def __init__(self, chain: "Chain", sensor: str, design: Design) -> None:
        self.sensor = sensor
        self.reported: Tally = Counter()
        """What the device has in closed intervals, or had: this is to be stored, exactly."""
        self.lost: Tally = Counter()
        """What was in the open interval when the power failed: never reported, and nobody's fault."""
        self.moments: Counter[int] = Counter()
        """Passages by the true second in which they came, UTC unix seconds."""
        self._chain = chain
        self._design = design
        self._store = RamStore()
        self._open: Tally = Counter()
        self._firmware = Firmware(self._store, chain.now_ms, design)

    @property
    def waiting(self) -> int:
        """Intervals that nobody has acknowledged."""
        return self._firmware.waiting

    def passes(self, number: int = 1, direction: int = 0, class_: int = 0) -> None:
        """People cross the line now."""
        for _ in range(number):
            self._firmware.passage(direction, class_, self._chain.now_ms)
        self._open[self.sensor, direction, class_] += number
        self.moments[int(self._chain.now_s)] += number
        self._take_note()

    def close(self) -> None:
        """End the open interval now, so that a power failure would lose nothing."""
        self._firmware.flush(self._chain.now_ms)
        self._take_note()

    def reboot(self) -> None:
        """The power fails and comes back."""
        self._firmware.tick(self._chain.now_ms)
        self._take_note()
        self.lost += self._open
        self._open.clear()
        self._firmware = Firmware(self._store, self._chain.now_ms, self._design)

    def hear(self, data: bytes) -> None:
        """Bytes from the box."""
        self._firmware.feed(data, self._chain.now_ms)
        self._take_note()

    def say(self) -> bytes:
        """Bytes for the box."""
        said = self._firmware.tick(self._chain.now_ms)
        self._take_note()
        return said

    def _take_note(self) -> None:
        for interval in self._firmware.take_closed():
            for direction, class_, number in interval.counts:
                self.reported[self.sensor, direction, class_] += number
                self._open[self.sensor, direction, class_] -= number


@dataclass
class Line:
    """The serial line between a device and its box."""

    device: Device
    framer: Framer
    plugged: bool = True
    missing: deque[int] = field(default_factory=deque)
    """Which byte of each burst to come is lost, counted modulo the burst's length; a negative number loses none."""

    def burst(self) -> bytes:
        """What arrives at the box now."""
        said = self.device.say()
        if not self.plugged:
            return b""
        if said and self.missing and (at := self.missing.popleft()) >= 0:
            at %= len(said)
            said = said[:at] + said[at + 1 :]
        return said

    def write(self, data: bytes) -> None:
        """What the box sends."""
        if self.plugged:
            self.device.hear(data)


class KilledError(Exception):
    """The edge was killed in its turn."""


class Box:
    """A machine with clocks of its own, an outbox on its disk, and an edge on it that may be killed and started.

    `offset_s` is how far its wall clock is ahead of the truth; `synchronised` what its kernel says of that clock.
    """

    def __init__(
        self, chain: "Chain", name: str, devices: Sequence[Device], path: Path, *, slot_s: int, drift_ppm: float
    ) -> None:
        self.name = name
        self.devices = list(devices)
        self.path = path
        self.offset_s = 0.0
        self.synchronised = True
        self.alive = False
        self.dies: Death | None = None
        """When in its next turn the edge is killed."""
        self._chain = chain
        self._slot_s = slot_s
        self._drift = drift_ppm / 1e6
        self._since_s = chain.now_s
        self.lines: dict[str, Line] = {}
        self.start()

    @property
    def device(self) -> Device:
        """The only device of this box."""
        (device,) = self.devices
        return device

    # The clocks.

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self.offset_s += seconds

    @property
    def wall_s(self) -> float:
        """What the wall clock shows, UTC unix seconds."""
        return self._chain.now_s + self.offset_s + (self._chain.now_s - self._since_s) * self._drift

    def _monotonic_s(self) -> float:
        return 1000 + (self._chain.now_s - self._since_s) * (1 + self._drift)

    # The edge process.

    def start(self) -> None:
        """Start the edge, as a new process on the same disk."""
        self.clock = Clock(
            lambda: self.synchronised, wall_ms=lambda: round(self.wall_s * 1000), monotonic_s=self._monotonic_s
        )
        driver = driver_named("reference")()
        plugged = {sensor: line.plugged for sensor, line in self.lines.items()}
        self.lines = {
            device.sensor: Line(device, driver.framer(), plugged.get(device.sensor, True)) for device in self.devices
        }
        settings = [SensorSettings(id=sensor, driver="reference", port=f"/dev/{sensor}") for sensor in self.lines]
        self.outbox = Outbox.open(self.path)
        # This machine will not lose its power in virtual time, so nothing waits for its disk.
        self.outbox._database.execute("PRAGMA synchronous = OFF")
        self.sensors = Sensors(settings, self._slot_s, self.outbox, self.clock.now())
        self.client = Client(self.name, self._chain.courier)
        report = ReportSettings(slot_s=self._slot_s, every_s=self._slot_s)
        self.delivery = Delivery(self.name, self.sensors.names, report, self.outbox, cast("Publisher", self.client))
        self.alive = True
        self._pruned_s = float("-inf")
        self._events: list[Event] = [Connected()]
        for sensor, line in self.lines.items():
            if line.plugged:
                self._events.append(Opened(sensor, self.clock.now(), "/dev/x"))

    def kill(self) -> None:
        """End the edge as kill -9 does: nothing more is done, and what was committed to its disk is there."""
        if self.alive:
            self.outbox.close()
        self.alive, self.dies = False, None

    def restart(self) -> None:
        """Kill the edge and start it again."""
        self.kill()
        self.start()

    def unplug(self, sensor: str | None = None) -> None:
        """Draw the cable of a sensor, the only one if it is not named."""
        self._plug(sensor, plugged=False)

    def plug(self, sensor: str | None = None) -> None:
        """Put the cable back."""
        self._plug(sensor, plugged=True)

    def _plug(self, sensor: str | None, *, plugged: bool) -> None:
        name = sensor or self.device.sensor
        line = self.lines[name]
        if line.plugged != plugged:
            line.plugged = plugged
            line.framer.reset()
            now = self.clock.now()
            self._events.append(Opened(name, now, "/dev/x") if plugged else Closed(name, now, "the device went away"))

    def turn(self) -> None:
        """What the agent's loop does, once; the devices speak also when nobody listens."""
        bursts = {sensor: line.burst() for sensor, line in self.lines.items()}
        if not self.alive:
            return
        batch, self._events = [*self._events, *self.client.events], []
        self.client.events.clear()
        now = self.clock.now()
        for sensor, burst in bursts.items():
            if burst:
                framer = self.lines[sensor].framer
                frames = tuple(framer.feed(burst))
                batch.append(Heard(sensor, now, frames, framer.counts, framer.last_fault))
        try:
            self._step(batch)
        except KilledError:
            self.kill()

    def _step(self, batch: Sequence[Event]) -> None:
        now = self.clock.now()
        reading = self.sensors.read(batch, now)
        for sensor, data in reading.replies:
            self.lines[sensor].write(data)
        self._die("heard")
        self.outbox.book(reading.entries)
        self._die("booked")
        self.sensors.keep(reading)
        for sensor, data in reading.acknowledgements.items():
            self.lines[sensor].write(data)
        self.delivery.note(batch, now)
        self.sensors.note_silence(now)
        self.delivery.send(partial(self.sensors.closed_until, now=now), now)
        if now.utc_s is not None and now.monotonic_s - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = now.monotonic_s
            self.outbox.prune(now.utc_s, keep_committed_days=14, max_bytes=10**9)
        self._die("sent")

    def _die(self, moment: Death) -> None:
        if self.dies == moment:
            raise KilledError

    def health(self) -> str:
        """What the box says of its first sensor: state and detail."""
        health, _ = self.sensors.health(self.clock.now(), {}, {})[0]
        return f"{health.state}: {health.detail}"


class Client:
    """Stands for the MQTT client: the broker takes every message, and what becomes of it is the courier's."""

    def __init__(self, node: str, courier: "Courier") -> None:
        self.events: list[Event] = []
        self.run = uuid4()
        self._node = node
        self._courier = courier
        self._numbers = numbers(1)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send a message; its number here."""
        assert not retain, "reports are not retained"
        sensor = topics.parse(topic).sensor
        self._courier.reports.send(Message(self._node, sensor, payload))
        mid = next(self._numbers)
        self.events.append(Taken(mid))
        return mid

    def announce(self) -> None:
        """The status is of no interest here."""

    def restart(self) -> None:
        """The connection is made anew."""
        self.events.append(Connected())


class Road(Generic[T]):
    """One direction of the courier. `fates` are those of the messages to come; after them all arrive at once."""

    def __init__(self, chain: "Chain") -> None:
        self.fates: deque[Fate] = deque()
        self.always: Fate = (0.0,)
        """The fate of a message that has none of its own."""
        self._chain = chain
        self._under_way: list[tuple[float, int, T]] = []
        self._numbers = numbers()

    def send(self, message: T) -> None:
        """Take a message along."""
        for delay_s in self.fates.popleft() if self.fates else self.always:
            self.bring(message, delay_s)

    def bring(self, message: T, delay_s: float) -> None:
        """Deliver `message` in `delay_s` seconds, whatever the fates say."""
        heappush(self._under_way, (self._chain.now_s + delay_s, next(self._numbers), message))

    def arrived(self) -> list[T]:
        """What has come by now."""
        found = []
        while self._under_way and self._under_way[0][0] <= self._chain.now_s:
            found.append(heappop(self._under_way)[2])
        return found

    def clear_up(self) -> None:
        """From now on everything arrives, also what was kept somewhere."""
        self.fates.clear()
        self.always = (0.0,)
        self._under_way = [(self._chain.now_s, number, message) for _, number, message in sorted(self._under_way)]


class Courier:
    """In place of the broker: brings reports to ingest, and notices (node, payload) back."""

    def __init__(self, chain: "Chain") -> None:
        self.reports: Road[Message] = Road(chain)
        self.notices: Road[tuple[str, bytes]] = Road(chain)


class Ingest:
    """`write_batch` with a connection, and the ways in which it may fail."""

    def __init__(self, chain: "Chain", connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.away = False
        """True: nobody takes the messages; they stay with the courier."""
        self.fault: Literal["rolled back", "died after commit"] | None = None
        """What becomes of the next batch."""
        self.outcomes: list[Outcome] = []
        self.every_s = 30.0
        """So long it collects for a batch."""
        self._chain = chain
        self._due_s = 0.0

    def turn(self) -> None:
        """Take what has come, as one batch, when it is time."""
        if self.away or self._chain.now_s < self._due_s:
            return
        messages = self._chain.courier.reports.arrived()
        if not messages:
            return
        self._due_s = self._chain.now_s + self.every_s
        fault, self.fault = self.fault, None
        with self.connection.transaction():
            outcome = write_batch(self.connection, messages, now=self._chain.now)
            if fault == "rolled back":
                raise psycopg.Rollback
        if fault:
            for message in messages:  # not acknowledged, so they come again
                self._chain.courier.reports.bring(message, AGAIN_S)
            return
        self.outcomes.append(outcome)
        for node, notice in outcome.notices.items():
            self._chain.courier.notices.send((node, encode_notice(notice)))

    def tell(self) -> None:
        """Send a notice to every node, as ingest does when it starts."""
        for node, notice in store.notices(self.connection, store.nodes(self.connection)).items():
            self._chain.courier.notices.send((node, encode_notice(notice)))


class Chain:
    """Everything, and the true time. Boxes of one name get each other's notices, as with a broker."""

    def __init__(self, connection: psycopg.Connection[Any], folder: Path, *, start: datetime | int = NOON) -> None:
        random.seed(97)  # the jitter of the resends
        self.now_s: float = start if isinstance(start, int) else start.timestamp()
        self.boxes: list[Box] = []
        self.courier = Courier(self)
        self.ingest = Ingest(self, connection)
        self._folder = folder
        self._devices = numbers(7)

    @property
    def now_ms(self) -> float:
        """The true time in milliseconds: what a device's crystal follows."""
        return self.now_s * 1000

    @property
    def now(self) -> datetime:
        """The true time, which ingest has too."""
        return datetime.fromtimestamp(self.now_s, UTC)

    @property
    def devices(self) -> list[Device]:
        """Every device of every box."""
        return [device for box in self.boxes for device in box.devices]

    def box(
        self,
        name: str = "jena-sued",
        sensors: Sequence[str] = ("markt-1",),
        *,
        interval_s: float = 10,
        ring: int = 8640,
        device_ppm: float = 0,
        box_ppm: float = 0,
        slot_s: int = 10,
        started: Callable[[Box], None] = lambda _: None,
    ) -> Box:
        """A new box with a device for each of `sensors`; `started` may set its clock before anything is heard."""
        devices = [
            Device(
                self,
                sensor,
                Design(
                    device=next(self._devices), interval_ms=round(interval_s * 1000), ring=ring, drift_ppm=device_ppm
                ),
            )
            for sensor in sensors
        ]
        path = self._folder / f"outbox-{len(self.boxes)}.sqlite"
        box = Box(self, name, devices, path, slot_s=slot_s, drift_ppm=box_ppm)
        started(box)
        self.boxes.append(box)
        return box

    def run(self, seconds: float, *, step_s: float = 1, each: Callable[[], None] = lambda: None) -> None:
        """Let so much time pass; `each` is called before every step of `step_s` seconds."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            each()
            self.now_s = min(self.now_s + step_s, end_s)
            self.turn()

    def turn(self) -> None:
        """Everybody does what is due at this moment."""
        for box in self.boxes:
            box.turn()
        self.ingest.turn()
        for node, payload in self.courier.notices.arrived():
            for box in self.boxes:
                if box.name == node and box.alive:
                    box.client.events.append(Noticed(payload))

    def close(self) -> None:
        """Close the files."""
        for box in self.boxes:
            box.kill()

    # The truth and the store.

    @property
    def reported(self) -> Tally:
        """What the devices reported."""
        return sum((device.reported for device in self.devices), Counter())

    def store(self) -> Store:
        """The whole store."""
        return stored(self.ingest.connection)

    def mend(self) -> None:
        """No more faults: cables are plugged, edges and ingest run, messages arrive. Clocks stay as they are."""
        self.courier.reports.clear_up()
        self.courier.notices.clear_up()
        self.ingest.away, self.ingest.fault = False, None
        for box in self.boxes:
            box.dies = None
            if not box.alive:
                box.start()
            for sensor, line in box.lines.items():
                line.missing.clear()
                box.plug(sensor)

    def settle(self, *, within_s: float = 4 * 3600, step_s: float = 5, aside: Collection[str] = ()) -> Store:
        """Let everything run without faults until all is stored, then look at the books; returns the store.

        `within_s`: so long it may take, for what a clock repeats is told when that time is over. `aside`: the
        reasons for which messages are expected in quarantine; their passages are not among the stored ones.
        """
        self.mend()
        for device in self.devices:
            device.close()
        end_s = self.now_s + within_s
        while self.now_s < end_s and not self._is_settled():
            self.run(step_s * 12, step_s=step_s)
        self.run(120, step_s=step_s)  # whatever still comes must change nothing
        self.ingest.tell()
        self.run(60, step_s=step_s)

        found = self.store()
        assert passages(found) + self.set_aside() == self.reported
        assert all(seconds <= 60 for seconds in found.coverage.values())
        assert all(seconds <= end - start for (_, start, end), seconds in found.span_coverage.items())
        assert {row[0] for row in found.quarantine.values()} == set(aside)
        return found

    def _is_settled(self) -> bool:
        return not any(device.waiting for device in self.devices) and (
            passages(self.store()) + self.set_aside() == self.reported
        )

    def set_aside(self) -> Tally:
        """Passages in quarantine."""
        from footfall_contract.report import decode

        found: Tally = Counter()
        for _, _, payload in self.store().quarantine:
            report = decode(payload)
            for direction, class_, number in zip(report.direction, report.class_, report.count, strict=True):
                found[report.sensor, direction, class_] += number
        return found

    def assert_no_false_rush(self, found: Store, *, wrong: Sequence[tuple[float, float]] = ()) -> None:
        """No minute shows more than really came in it, give or take a slot of 10 s.

        Minutes that touch a time in `wrong` (UTC unix seconds) were stamped by a wrong clock and are left out.
        """
        shown: Counter[tuple[str, int]] = Counter()
        for (sensor, minute, _, _), number in found.counts.items():
            shown[sensor, minute] += number
        for device in self.devices:
            for (sensor, minute), number in shown.items():
                if sensor == device.sensor and not any(a < minute + 60 and b > minute for a, b in wrong):
                    came = sum(device.moments[minute + second] for second in range(-10, 70))
                    assert number <= came, f"{sensor}: {number} in the minute {minute}, around which {came} came"


def passages(found: Store) -> Tally:
    """Passages in minutes and spans."""
    tally: Tally = Counter()
    for (sensor, _, direction, class_), number in found.counts.items():
        tally[sensor, direction, class_] += number
    for (sensor, _, _, direction, class_), number in found.spans.items():
        tally[sensor, direction, class_] += number
    return tally


@contextmanager
def chain_on(dsn: str, folder: Path, *, start: datetime | int = NOON, keep: bool = False) -> Iterator[Chain]:
    """A chain on the database `dsn`; what it wrote is undone at the end unless it is to be kept."""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.transaction(force_rollback=not keep):
        chain = Chain(connection, folder, start=start)
        try:
            yield chain
        finally:
            chain.close()
