"""The connection to the broker: receive without losing, acknowledge only what is committed.

The session is persistent and each message is acknowledged by hand, so the broker keeps what this process has not
committed. One thread does all of the network, with paho's calls for a loop of one's own; others hand it what is to be
sent. That has two reasons. When the inbox is full the thread stops reading and the broker has to wait, yet signs of
life and acknowledgements still go out, however long the database is away. And it reads on as long as there is
something, where paho's own loop asks the system before each message: a third more messages in the same time.

Message ids are good for one connection. After another connect the broker sends again what was not acknowledged; then
only the second copy is acknowledged, and the store knows that it is one. A broker that does not send again (amqtt)
leaves that to the nodes, which repeat what they see no commit notice for.

A member of a group (`[mqtt] share`) divides the counts with the others and differs in three things.

- It first proves that the broker delivers to shared subscriptions; `footfall_ingest.probe` says how.
- Its session is a clean one, and its name its own alone. A persistent session of a member that died goes on
  collecting its share: of 100 reports published while one of two was away, mosquitto 2.0.11 kept 50 for it, and the
  nodes' repetitions would have met the same fate, every other one. With a clean session those went to the member that
  lived. The price is what the dead one had not acknowledged: mosquitto forgets it (50 of 100) instead of giving it to
  another, and the nodes send it again after half a minute. So a member that is asked to stop leaves the group first and
  then finishes what is under way (`withdraw`).
- States it subscribes to alone, as every member does: of these the latest counts, and two members that each got one of
  two would write them in either order. Written by all, they end as the last one says. They are few.
"""

import contextlib
import logging
import os
import random
import secrets
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self, cast

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from footfall_contract import topics
from footfall_ingest.inbox import Delivery, Inbox
from footfall_ingest.probe import Probe
from footfall_ingest.settings import IngestMqttSettings
from footfall_role.logs import facts
from footfall_role.mqtt import new_client

log = logging.getLogger(__name__)

STATES = (topics.ALL_HEALTH, topics.ALL_STATUS)

_LOOK_UP_S = 1.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_STEADY_S = 5.0
"""A connection that lasts so long is one. Whoever loses it sooner, again and again, is being thrown out: by a broker
that is ill, or by another process with the same client id; two of those would throw each other out without pause."""
_GOODBYE_S = 2.0
_STILL_S = 600.0
"""A turn of the network thread may wait 30 s to connect, as long for TLS, and longer where no name server answers."""

_FORBIDDEN = f"do the broker's rules forbid us to write and read {topics.probe('+')}?"


class UnsharedError(Exception):
    """The broker does not do what a group of aggregators needs; the message says what to do instead."""


class Subscriber:
    """A context in which messages go into `inbox`. The methods may be called from any thread.

    `counts` are shared if the settings name a group, `states` never.
    """

    def __init__(
        self,
        settings: IngestMqttSettings,
        inbox: Inbox,
        counts: Sequence[str] = (topics.ALL_COUNTS,),
        states: Sequence[str] = STATES,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._group = settings.group
        shared = [topics.shared(self._group, wanted) for wanted in counts] if self._group else counts
        self._filters = (*shared, *states)
        self._client = _client(settings)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_unsubscribe = self._unsubscribed
        self._client.on_message = self._received
        self._connection = 0
        self._connected_s = 0.0
        self._messages = 0
        self._is_connected = False
        self._is_subscribed = False
        self._asked: dict[int, Sequence[str]] = {}
        """Filters of the subscriptions that were not answered yet, by message id."""
        self._probe: Probe | None = None
        self._proven = False
        self._unshared: str | None = None
        self._goodbye: int | None = None
        self._withdrawing = False
        self._withdrawn = threading.Event()
        self._newly_connected = threading.Event()
        self._outgoing: deque[Callable[[], object]] = deque()
        self._leaving = threading.Event()
        self._wake_reader, self._waker = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._turned_s = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._wake()
        self._thread.join()
        self._wake_reader.close()
        self._waker.close()

    @property
    def connected(self) -> bool:
        """Whether the broker has let us in and has not gone away since."""
        return self._is_connected

    @property
    def subscribed(self) -> bool:
        """Whether reports come to us, as far as the broker says; of a shared subscription it has been shown."""
        return self._is_connected and self._is_subscribed

    @property
    def turns(self) -> bool:
        """Whether the network thread goes on. Without it nothing comes, and nothing would say so."""
        return self._thread.is_alive() and time.monotonic() - self._turned_s < _STILL_S

    def check(self) -> None:
        """Make sure that the broker can do what is wanted of it.

        Raises:
            UnsharedError: it cannot, and nothing will come.
        """
        if self._unshared is not None:
            raise UnsharedError(
                f"the broker {self._settings.host}:{self._settings.port} {self._unshared}. Nothing is lost: the nodes "
                "keep their reports. Run one aggregator, with workers = 1 and without [mqtt] share, or take a broker "
                "that shares, such as mosquitto 2"
            )

    def withdraw(self, timeout_s: float) -> None:
        """Leave the group, so that the broker gives what comes from now on to the others, and wait for its word."""
        self._withdrawing = True
        self._send(self._withdraw)
        self._withdrawn.wait(timeout_s)

    def newly_connected(self) -> bool:
        """Whether there was a connect since this was last asked: the broker may have forgotten what it had kept."""
        was = self._newly_connected.is_set()
        self._newly_connected.clear()
        return was

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Let the broker forget `deliveries`, in this order; those of an earlier connection are left out."""
        self._send(lambda: self._acknowledge(deliveries))

    def publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish (topic, payload), retained. While there is no connection they are dropped: see `newly_connected`."""
        self._send(lambda: self._publish(messages))

    def look_for_room(self) -> None:
        """Say that something was taken from the inbox."""
        self._wake()

    def _send(self, what: Callable[[], object]) -> None:
        self._outgoing.append(what)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is being woken already
            self._waker.send(b"!")

    # Everything below runs in the network thread.

    def _run(self) -> None:
        self._client.connect_async(self._settings.host, self._settings.port, self._settings.keepalive_s)
        wait_s = 0.0
        while not self._leaving.is_set():
            self._turned_s = time.monotonic()
            sock = self._client.socket()
            if sock is None:
                self._leaving.wait(wait_s * random.uniform(0.5, 1))  # noqa: S311  # so that not all come back at once
                wait_s = min(max(2 * wait_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
                self._connect()
            else:
                self._turn(cast("socket.socket", sock))  # paho's type also covers its websockets
                self._go_on_probing()
                wait_s = 0.0 if self._is_steady() else wait_s
        self._leave()

    def _is_steady(self) -> bool:
        return self._is_connected and time.monotonic() - self._connected_s >= _STEADY_S

    def _connect(self) -> None:
        try:
            self._client.reconnect()
        except (OSError, ValueError) as error:  # a host name that cannot be one is a ValueError
            self._log_broker(logging.WARNING, "no connection to the broker", error=error)

    def _turn(self, sock: socket.socket) -> None:
        """Wait until there is something to read or to send, and do it."""
        room = self._inbox.has_room()
        # TLS may hold decrypted bytes back, of which the system knows nothing.
        held = room and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        readers = [self._wake_reader, sock] if room else [self._wake_reader]
        writers = [sock] if self._client.want_write() else []
        readable, writable, _ = select.select(readers, writers, [], 0 if held else _LOOK_UP_S)
        if self._wake_reader in readable:
            self._wake_reader.recv(4096)
        self._send_outgoing()
        if writable:
            self._client.loop_write()
        if held or sock in readable:
            self._read()
        self._client.loop_misc()

    def _read(self) -> None:
        before = -1
        while self._messages != before and self._inbox.has_room():
            before = self._messages
            self._client.loop_read()

    def _send_outgoing(self) -> None:
        while self._outgoing:
            self._outgoing.popleft()()

    def _acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.mid and delivery.connection == self._connection and self._is_connected:
                self._client.ack(delivery.mid, topics.QOS)

    def _publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        if self._is_connected:
            for topic, payload in messages:
                self._client.publish(topic, payload, qos=topics.QOS, retain=True)

    def _leave(self) -> None:
        """Send what is to be sent and go; the broker keeps the session.

        It may not read the last acknowledgements if it has just something to say. Then they come again, as doubles.
        """
        self._send_outgoing()
        deadline = time.monotonic() + _GOODBYE_S
        while (sock := self._client.socket()) and self._client.want_write() and time.monotonic() < deadline:
            select.select([], [cast("socket.socket", sock)], [], _GOODBYE_S)
            self._client.loop_write()
        self._client.disconnect()

    def _subscribe(self, filters: Sequence[str]) -> None:
        _, mid = self._client.subscribe([(wanted, topics.QOS) for wanted in filters])
        if mid is not None:
            self._asked[mid] = filters

    def _go_on_probing(self) -> None:
        """Do what it is time for, until the broker has delivered to the probe or is known not to."""
        probe, now_s = self._probe, time.monotonic()
        if probe is None or not self._is_connected:
            return
        if probe.delivered:
            self._probe, self._proven = None, True
            self._client.unsubscribe(list(probe.filters))
            self._subscribe(self._filters)
            return
        if filters := probe.to_subscribe(now_s):
            self._subscribe(filters)
        for topic in probe.to_publish(now_s):
            self._client.publish(topic, b"does this come back?", qos=topics.QOS)
        if (silent_s := probe.silent(now_s)) is not None:
            event = f"the probe does not come back: is the broker slow, or: {_FORBIDDEN}"
            self._log_broker(logging.WARNING, event, waited_s=round(silent_s))
        if (reason := probe.verdict(now_s)) is not None:
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self._probe = None
        self._unshared = reason
        self._inbox.nudge()

    def _withdraw(self) -> None:
        self._probe = None
        self._is_subscribed = False
        _, self._goodbye = self._client.unsubscribe(list(self._filters)) if self._is_connected else (None, None)
        if self._goodbye is None:
            self._withdrawn.set()

    def _connected(
        self, _client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._log_broker(logging.ERROR, "the broker refused us", reason=reason)
            return
        self._connection += 1
        self._connected_s = time.monotonic()
        self._is_connected, self._is_subscribed = True, False
        self._outgoing.clear()  # what was meant for the connection before
        self._asked.clear()
        self._newly_connected.set()
        if not self._group:
            self._subscribe(self._filters)
        elif not self._withdrawing:
            self._probe = Probe(self._group, self._connected_s, proven_before=self._proven)
            self._subscribe(self._probe.filters)
        self._inbox.nudge()
        self._log_broker(logging.INFO, "connected to the broker")

    def _disconnected(
        self, _client: Client, _userdata: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        was_brief = self._is_connected and not self._is_steady()
        self._is_connected = False
        if self._withdrawing:
            self._withdrawn.set()  # a clean session ends with its connection
        if not self._leaving.is_set():
            self._log_broker(logging.WARNING, "the connection to the broker broke", reason=reason)
            if self._probe is not None:
                log.warning("it broke during the probe: %s", _FORBIDDEN)  # mosquitto 2.0 may do so instead of refusing
            elif was_brief and not self._group:
                hint = "it was a short one: does another process use the same client_id?"
                log.warning(hint, extra=facts(client_id=self._settings.client_id))

    def _subscribed(
        self, _client: Client, _userdata: object, mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        filters = self._asked.pop(mid, ())
        granted = [not reason.is_failure for reason in reasons]
        for topic, reason in zip(filters, reasons, strict=False):
            if reason.is_failure:
                self._log_broker(logging.ERROR, "the broker refused a subscription", filter=topic, reason=reason)
        if filters == self._filters:
            self._is_subscribed = all(granted) and not self._withdrawing
            if self._group and not all(granted):
                self._give_up("refuses the subscription to what this group shares; its log or its rules may say why")
        elif self._probe is not None and filters == self._probe.filters:
            self._probe.granted(granted, time.monotonic())

    def _unsubscribed(
        self, _client: Client, _userdata: object, mid: int, _reasons: list[ReasonCode], _properties: object
    ) -> None:
        if mid == self._goodbye:
            self._withdrawn.set()

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._messages += 1
        if topics.is_probe(message.topic):
            if self._probe is not None:
                self._probe.heard(message.topic, time.monotonic())
            self._client.ack(message.mid, message.qos)
            return
        # Only what is needed: paho's message is a heavy thing to keep in numbers.
        mid = message.mid if message.qos else 0
        self._inbox.put(Delivery(message.topic, bytes(message.payload), mid, self._connection, message.retain))

    def _log_broker(self, level: int, event: str, **values: object) -> None:
        log.log(level, event, extra=facts(host=self._settings.host, port=self._settings.port, **values))


def _client(settings: IngestMqttSettings) -> Client:
    """A persistent session under the name in the settings; for a member of a group a clean one under its own name.

    A member logs in as the group's others do, so that the broker's rules need to know one user only.
    """
    if settings.share is None:
        return new_client(settings, settings.client_id, clean_session=False, manual_ack=True)
    # Host and process say to people which one it is; containers may well agree in both.
    name = f"{settings.client_id}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    login = settings.model_copy(update={"username": settings.username or settings.client_id})
    return new_client(login, name, clean_session=True, manual_ack=True)
