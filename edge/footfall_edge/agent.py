"""The edge at work: `count` opens everything and joins it; the rules are elsewhere.

One loop owns the outbox and all decisions. Threads around it read the lines and speak MQTT; they only put events into
its queue. Each turn carries what has come in one step on: frames, counts, slots in the outbox, reports on their way,
reports known to be stored. `run` does it with serial lines; `lorawan.bridge` with what a network server tells.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, Protocol, TypeAlias

from footfall_contract import topics
from footfall_contract.state import encode_health
from footfall_edge import metrics
from footfall_edge.clock import Clock, Moment, clock_named
from footfall_edge.delivery import Delivery
from footfall_edge.events import Event, Events
from footfall_edge.line import Line
from footfall_edge.machine import fingerprint
from footfall_edge.outbox import Outbox, surviving
from footfall_edge.publisher import Publisher
from footfall_edge.room import Room
from footfall_edge.sensors import Message, Sensor, Sensors
from footfall_edge.settings import BoxSettings, EdgeSettings, SensorSettings
from footfall_role.logs import facts
from footfall_role.notify import ServiceManager

log = logging.getLogger(__name__)

TURN_S: Final = 0.25
"""The loop looks at the time this often when nothing comes in."""
HEALTH_EVERY_S: Final = 60.0
TALLY_EVERY_S: Final = 5.0
TALLY_PAUSE: Final = 20
"""The pause after a tally is at least so many times as long as the tally took."""
PRUNE_EVERY_S: Final = 600.0
BATCH: Final = 500
"""Events taken at once: what they come to is one commit."""


class Stop(Protocol):
    """Says when to end: a `threading.Event`, or `footfall_role.stop.StopSignal`."""

    def wait(self, timeout: float, /) -> bool:
        """True once a stop was asked for."""


class Sources(Protocol):
    """What puts `Opened`, `Heard` and `Closed` into the queue, and how the devices behind it are spoken to."""

    def write(self, messages: Iterable[Message]) -> None:
        """Say each message to the device of its sensor. Called in each turn of the loop, also with none."""


Opening: TypeAlias = Callable[[Events, Clock], AbstractContextManager[Sources]]
"""Opens the sources, which put events into a queue, for the length of a with block."""


def run(settings: EdgeSettings, stop: Stop, clock: Clock | None = None) -> None:
    """Count what the serial lines of this box say until `stop`: see `count`."""
    count(settings, settings.sensor, partial(lines_of, settings.sensor), stop, clock)


def count(
    settings: BoxSettings, of: Sequence[Sensor], opening: Opening, stop: Stop, clock: Clock | None = None
) -> None:
    """Count until `stop`; then send what is counted, wait a little for news of it, and leave.

    Raises:
        OutboxError: the outbox cannot be used.
        ClockError: clock = "ntp" where that cannot be known.
    """
    manager = ServiceManager()
    clock = clock or clock_named(settings.clock)
    events: Events = SimpleQueue()
    with (
        Outbox.open(settings.outbox.path, machine=fingerprint()) as outbox,
        connection(settings, events, clock) as publisher,
    ):
        sensors = Sensors(of, settings.report.slot_s, outbox, clock.now())
        delivery = Delivery(settings.node, sensors.names, settings.report, outbox, publisher)
        upkeep = Upkeep(settings, outbox, publisher)
        room = Room(outbox, settings.outbox.path, settings.outbox.max_mb * 10**6)
        with opening(events, clock) as sources:
            manager.ready()  # the outbox is open and the lines are served; the broker may come when it likes
            while not stop.wait(0):
                manager.alive()
                batch = next_batch(events)
                now = clock.now()
                metrics.CLOCK_TRUSTED.set(now.utc_ms is not None)
                # ┌─────────┐ frames ┌─────────┐ counts ┌────────┐ reports ┌─────────┐
                # │ sources │ ─────▶ │ sensors │ ─────▶ │ outbox │ ──────▶ │ ingest, │
                # └─────────┘ ◀───── └─────────┘        └────────┘ ◀────── │ by MQTT │
                #              acks                                notices └─────────┘
                reading = sensors.read(batch, now)
                sources.write(reading.replies)
                with surviving("booking", partial(sensors.owe, reading)):
                    outbox.book(reading.entries)
                    sensors.keep(reading)
                    sources.write(reading.acknowledgements.items())  # on disk: now, not before, the devices may forget
                delivery.note(batch, now)
                with surviving("making room"):
                    room.make(partial(sensors.closed_until, now=now), now)
                with surviving("sending"):
                    sensors.note_silence(now)
                    delivery.send(partial(sensors.closed_until, now=now), now)
                    upkeep.do(sensors, delivery, now)
                manager.status(upkeep.summary)
            manager.stopping()
        finish(outbox, sensors, delivery, events=events, clock=clock, wait_s=settings.stop_wait_s)


def finish(
    outbox: Outbox, sensors: Sensors, delivery: Delivery, *, events: Events, clock: Clock, wait_s: float
) -> None:
    """Book what the sources still said, send the slots as they are, and wait up to `wait_s` for news of it.

    What is not known to be stored by then stays in the outbox, and what was not acknowledged in the devices.
    """
    deadline_s = clock.now().monotonic_s + wait_s
    while True:
        batch = next_batch(events)
        now = clock.now()
        reading = sensors.read(batch, now)
        with surviving("booking", partial(sensors.owe, reading)):
            outbox.book(reading.entries)
            sensors.keep(reading)
        delivery.note(batch, now)
        with surviving("sending"):
            delivery.send_begun(now)
            if not batch and (not delivery.connected or not outbox.sensors()):
                return
        if now.monotonic_s >= deadline_s:
            log.info("not all is known to be stored; the outbox keeps it", extra=facts(reports=delivery.under_way))
            return


def next_batch(events: Events) -> list[Event]:
    """What has come in; waits `TURN_S` for the first, and for no other."""
    batch: list[Event] = []
    try:
        batch.append(events.get(timeout=TURN_S))
        while len(batch) < BATCH:
            batch.append(events.get_nowait())
    except Empty:
        pass
    return batch


@contextmanager
def connection(settings: BoxSettings, events: Events, clock: Clock) -> Iterator[Publisher]:
    """The MQTT client, connecting in the background; leaves with the offline status said."""
    publisher = Publisher(settings.mqtt, settings.node, events, clock)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()


class Lines:
    """The serial lines by sensor."""

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._lines = lines

    def write(self, messages: Iterable[Message]) -> None:
        """Send each message to the device of its sensor. One that does not get through is said again some time."""
        for sensor, data in messages:
            self._lines[sensor].write(data)


@contextmanager
def lines_of(settings: Iterable[SensorSettings], events: Events, clock: Clock) -> Iterator[Lines]:
    """Every sensor's line, read by a thread of its own; leaves when all ports are closed."""
    lines = {sensor.id: line_of(sensor, events, clock) for sensor in settings}
    for line in lines.values():
        line.start()
    try:
        yield Lines(lines)
    finally:
        for line in lines.values():
            line.ask_to_stop()
        for line in lines.values():
            line.join()


def line_of(sensor: SensorSettings, events: Events, clock: Clock) -> Line:
    """The line of one sensor, not started."""
    return Line(
        sensor.id, sensor.port, sensor.speed, sensor.set_up, events=events, clock=clock, silent_s=sensor.silent_s
    )


class Upkeep:
    """What is done now and then: telling how the sensors are, measuring the outbox, forgetting what is long stored."""

    def __init__(self, settings: BoxSettings, outbox: Outbox, publisher: Publisher) -> None:
        self._settings = settings
        self._outbox = outbox
        self._publisher = publisher
        self._waiting: Mapping[str, int] = {}
        self._held: Mapping[str, int] = {}
        self._told: dict[str, float] = {}
        self._told_connection: float | None = None
        self._told_trouble = ""
        self.summary = ""
        """How the box is, in a few words."""
        self._tally_due_s = self._pruned_s = float("-inf")
        self._pruning: Iterator[int] = iter(())

    def do(self, sensors: Sensors, delivery: Delivery, now: Moment) -> None:
        """Whatever is due."""
        if now.monotonic_s >= self._tally_due_s:
            began_s = time.monotonic()
            self._tally(now)
            # With millions of slots it takes a while; the work it counts comes first.
            self._tally_due_s = now.monotonic_s + max(TALLY_EVERY_S, TALLY_PAUSE * (time.monotonic() - began_s))
        if now.utc_s is not None and now.monotonic_s - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = now.monotonic_s
            keep = self._settings.outbox
            self._pruning = self._outbox.pruning(
                now.utc_s, keep_committed_days=keep.keep_committed_days, max_bytes=keep.max_mb * 10**6
            )
        next(self._pruning, None)  # a step at a time: the lines are not to wait
        self._tell_health(sensors, delivery, now)

    def _tally(self, now: Moment) -> None:
        tally = self._outbox.tally()
        self._waiting, self._held = tally.waiting_slots, tally.held
        for sensor, slots in tally.held.items():
            metrics.OUTBOX_HELD.labels(sensor).set(slots)
        for sensor, slots in tally.waiting_slots.items():
            metrics.OUTBOX_SLOTS.labels(sensor).set(slots)
        metrics.OUTBOX_REPORTS.labels("numbered").set(tally.numbered)
        metrics.OUTBOX_REPORTS.labels("committed").set(tally.committed)
        metrics.OUTBOX_REPORTS.labels("set_aside").set(tally.set_aside)
        metrics.OUTBOX_BYTES.set(tally.bytes_used)
        if now.utc_s is not None:
            metrics.OLDEST_WAITING.set(0 if tally.oldest_s is None else max(0, now.utc_s - tally.oldest_s))

    def _tell_health(self, sensors: Sensors, delivery: Delivery, now: Moment) -> None:
        """Publish each sensor's health when it changes, every minute, and to a broker just found."""
        anew = delivery.connected_since_s != self._told_connection or delivery.trouble != self._told_trouble
        ok = 0
        for state, changed in sensors.health(now, self._waiting, self._held):
            # First, for a long detail is cut at its end.
            detail = "; ".join(part for part in (delivery.trouble, state.detail) if part)
            health = replace(state, detail=detail)
            ok += health.state == "ok"
            due = now.monotonic_s - self._told.get(health.sensor, float("-inf")) >= HEALTH_EVERY_S
            if changed:
                log.info("sensor", extra=facts(sensor=health.sensor, state=health.state, detail=health.detail))
            if delivery.connected and (anew or changed or due):
                self._told[health.sensor] = now.monotonic_s
                topic = topics.health(self._settings.node, health.sensor)
                self._publisher.publish(topic, encode_health(health), retain=True)
        self._told_connection, self._told_trouble = delivery.connected_since_s, delivery.trouble
        broker = "connected to the broker" if delivery.connected else "waiting for the broker"
        self.summary = f"{ok} of {len(sensors.names)} sensors well, {broker}"
