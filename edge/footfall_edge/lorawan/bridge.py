"""The bridge at work: a network server's MQTT broker in the place of serial lines, and the edge's loop for the rest.

`Subscriber` hears the uplinks of every device it may see, gives those of known devices to the loop as frames of their
sensors, and acknowledges a message only when all its sensors have it in the outbox. The broker keeps the session, so
what came while the bridge was away comes when it is back (ChirpStack; The Things Stack publishes with QoS 0 and keeps
nothing, there the next totals heal).

A broker says a message again only after another connect. So what was not booked (the outbox could not be written, the
clock was not trusted) the subscriber puts into the queue again, in order. Each sensor's frames are numbered, and its
session takes them only in that order; what it has taken already it acknowledges again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from footfall_contract import topics
from footfall_edge import agent, metrics
from footfall_edge.clock import Clock, Moment
from footfall_edge.events import Closed, Events, Heard, Opened
from footfall_edge.framer import LineCounts
from footfall_edge.lorawan.session import UplinkFrame, receipted
from footfall_edge.lorawan.settings import BridgeSettings
from footfall_edge.lorawan.uplink import PARSERS, Uplink, UplinkError
from footfall_edge.sensors import Message
from footfall_role.logs import facts
from footfall_role.mqtt import hang_up, new_client

log = logging.getLogger(__name__)

AGAIN_S: Final = 2.0
"""What was not acknowledged for so long is put into the queue again."""
AT_ONCE: Final = 200
"""Frames of a sensor that are put there at once."""
MOST_HELD: Final = 20_000
"""Messages that wait to be booked. What comes beyond that is left with the broker, or to the next totals."""
SAID_AGAIN_S: Final = 3600.0
"""The same reason to refuse a message is logged once in this time."""
MOST_REASONS: Final = 1000


def run(settings: BridgeSettings, stop: agent.Stop, clock: Clock | None = None) -> None:
    """Count what the network server's devices send until `stop`: see `agent.count`."""
    agent.count(settings, settings.device, partial(subscribed, settings), stop, clock)


@contextmanager
def subscribed(settings: BridgeSettings, events: Events, clock: Clock) -> Iterator["Subscriber"]:
    """The network server's uplinks, heard by a thread of the MQTT client; leaves when it has ended."""
    subscriber = Subscriber(settings, events, clock)
    subscriber.start()
    try:
        yield subscriber
    finally:
        subscriber.stop()


@dataclass(slots=True)
class _Held:
    """A message that is not acknowledged."""

    mid: int
    """The broker's id for it; 0 if it wants no acknowledgement."""
    connection: int
    """Ids are good for one connection."""
    waiting: set[str] = field(default_factory=set)
    """The sensors that do not have it in the outbox yet."""


@dataclass(slots=True)
class _Sensor:
    """What one sensor has not booked yet, in order."""

    numbered: int = 0
    frames: deque[tuple[UplinkFrame, float, _Held]] = field(default_factory=deque)
    """Each with the monotonic time at which it came."""
    put_s: float = float("-inf")
    """Monotonic seconds at which the first of them was last put into the queue."""


class Subscriber:
    """The connection to the network server's broker. Start it, `write` to it from one thread, stop it."""

    def __init__(self, settings: BridgeSettings, events: Events, clock: Clock) -> None:
        self._settings = settings.network
        self._parse = PARSERS[settings.network.kind]
        self._events = events
        self._clock = clock
        self._sensors = {device.id: _Sensor() for device in settings.device}
        self._by_eui: dict[str, list[str]] = {}
        for device in settings.device:
            self._by_eui.setdefault(device.dev_eui, []).append(device.id)
        self._lock = threading.Lock()
        self._held: deque[_Held] = deque()
        self._connection = 0
        self._state: str | None = None
        """Why there is nothing to hear; empty if there is."""
        self._leaving = False
        self._said: dict[tuple[str, str], float] = {}
        client = new_client(settings.network, settings.client_id, clean_session=False, manual_ack=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost."""
        self._client.connect_async(self._settings.host, self._settings.port, self._settings.keepalive_s)
        self._client.loop_start()

    def stop(self) -> None:
        """Leave; what is not acknowledged the broker keeps."""
        self._leaving = True
        hang_up(self._client)
        self._tell("stopped")

    def write(self, messages: Iterable[Message]) -> None:
        """Take the sensors' receipts, acknowledge what all of its sensors have, and say again what some lack."""
        with self._lock:
            for name, data in messages:
                self._booked(name, receipted(data))
            self._acknowledge()
            now = self._clock.now()
            # While there is something in the queue it may be what would be said again.
            if now.utc_ms is not None and self._events.empty():
                for name, sensor in self._sensors.items():
                    if sensor.frames and now.monotonic_s - sensor.put_s >= AGAIN_S:
                        sensor.put_s = now.monotonic_s
                        self._put(name, list(islice(sensor.frames, AT_ONCE)), now)

    def _booked(self, name: str, number: int) -> None:
        frames = self._sensors[name].frames
        while frames and frames[0][0].number <= number:
            _, _, held = frames.popleft()
            held.waiting.discard(name)

    def _acknowledge(self) -> None:
        """In the order in which they came, as MQTT wants it; those of an earlier connection the broker says again."""
        while self._held and not self._held[0].waiting:
            held = self._held.popleft()
            if held.mid and held.connection == self._connection:
                self._client.ack(held.mid, topics.QOS)

    def _put(self, name: str, frames: Iterable[tuple[UplinkFrame, float, _Held]], now: Moment) -> None:
        counts = LineCounts(frames=self._sensors[name].numbered)
        for frame, came_s, _ in frames:
            at = Moment(now.utc_ms_of(came_s), came_s)
            self._events.put(Heard(name, at, (frame,), counts, ""))

    def _tell(self, state: str) -> None:
        """Open the sensors, or close them for a reason; said once, not at each attempt to connect."""
        if state == self._state:
            return
        self._state = state
        now = self._clock.now()
        where = f"{self._settings.host}:{self._settings.port} {self._settings.subscription}"
        for name in self._sensors:
            self._events.put(Closed(name, now, state) if state else Opened(name, now, where))

    # Everything below runs in the client's thread.

    def _on_connect(
        self, client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._tell(f"the network server's broker refused us: {reason}")
            return
        with self._lock:
            self._connection += 1
        client.subscribe(self._settings.subscription, topics.QOS)

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = any(reason.is_failure for reason in reasons)
        wanted = self._settings.subscription
        self._tell(f"the network server's broker refuses the subscription to {wanted}" if refused else "")

    def _on_connect_fail(self, _client: Client, _userdata: object) -> None:
        self._tell(f"no network server's broker answers at {self._settings.host}:{self._settings.port}")

    def _on_disconnect(
        self, _client: Client, _userdata: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        if not self._leaving:
            self._tell(f"the connection to the network server's broker broke: {reason}")

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        uplink = self._uplink(message)
        names = self._by_eui.get(uplink.dev_eui, []) if uplink is not None else []
        with self._lock:
            if len(self._held) >= MOST_HELD:
                self._refuse("no_room", "", f"{MOST_HELD} messages wait to be booked")
                return
            held = _Held(message.mid if message.qos else 0, self._connection, set(names))
            self._held.append(held)
            now = self._clock.now()
            for name in names:
                assert uplink is not None
                self._take(name, uplink, held, now)
            self._acknowledge()

    def _take(self, name: str, uplink: Uplink, held: _Held, now: Moment) -> None:
        sensor = self._sensors[name]
        sensor.numbered += 1
        new = (UplinkFrame.of(uplink, sensor.numbered), now.monotonic_s, held)
        if not sensor.frames:
            sensor.put_s = float("-inf") if now.utc_ms is None else now.monotonic_s
        sensor.frames.append(new)
        if now.utc_ms is not None:
            self._put(name, [new], now)

    def _uplink(self, message: MQTTMessage) -> Uplink | None:
        """The uplink of a known device in `message`; None if it is none."""
        try:
            uplink = self._parse(message.topic, bytes(message.payload))
        except UplinkError as error:
            self._refuse("unreadable", error.where, str(error))
            return None
        if uplink is not None and uplink.dev_eui not in self._by_eui:
            self._refuse("unknown_device", uplink.dev_eui, f"no [[device]] has dev_eui = {uplink.dev_eui}")
            return None
        return uplink

    def _refuse(self, kind: str, what: str, why: str) -> None:
        now_s = time.monotonic()
        if now_s - self._said.get((kind, what), float("-inf")) >= SAID_AGAIN_S:
            if len(self._said) >= MOST_REASONS:
                self._said.clear()
            self._said[kind, what] = now_s
            log.warning("a message of the network server is not counted", extra=facts(reason=why))
        metrics.REFUSED_UPLINKS.labels(kind).inc()
