"""The connection to the broker: receive without losing, acknowledge only what is committed.

The session is persistent and each message is acknowledged by hand, so the broker keeps what this process has not
committed. One thread does all of the network, with paho's calls for a loop of one's own; others hand it what is to be
sent. That has two reasons. When the inbox is full the thread stops reading and the broker has to wait, yet signs of
life and acknowledgements still go out, however long the database is away. And it reads on as long as there is
something, where paho's own loop asks the system before each message: a third more messages in the same time.

Message ids are good for one connection. After another connect the broker sends again what was not acknowledged; then
only the second copy is acknowledged, and the store knows that it is one. A broker that does not send again (amqtt)
leaves that to the nodes, which repeat what they see no commit notice for.
"""

import contextlib
import logging
import random
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
from footfall_ingest.settings import IngestMqttSettings
from footfall_role.logs import facts
from footfall_role.mqtt import new_client

log = logging.getLogger(__name__)

FILTERS = (topics.ALL_COUNTS, topics.ALL_HEALTH, topics.ALL_STATUS)

_LOOK_UP_S = 1.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_STEADY_S = 5.0
"""A connection that lasts so long is one. Whoever loses it sooner, again and again, is being thrown out: by a broker
that is ill, or by another process with the same client id; two of those would throw each other out without pause."""
_GOODBYE_S = 2.0


class Subscriber:
    """A context in which messages go into `inbox`. The methods may be called from any thread."""

    def __init__(self, settings: IngestMqttSettings, inbox: Inbox, filters: Sequence[str] = FILTERS) -> None:
        self._settings = settings
        self._inbox = inbox
        self._filters = filters
        self._client = new_client(settings, settings.client_id, clean_session=False, manual_ack=True)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        self._connection = 0
        self._messages = 0
        self._is_connected = False
        self._connected_s = 0.0
        self._newly_connected = threading.Event()
        self._outgoing: deque[Callable[[], object]] = deque()
        self._leaving = threading.Event()
        self._wake_reader, self._waker = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

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
            sock = self._client.socket()
            if sock is None:
                self._leaving.wait(wait_s * random.uniform(0.5, 1))  # noqa: S311  # so that not all come back at once
                wait_s = min(max(2 * wait_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
                self._connect()
            else:
                self._turn(cast("socket.socket", sock))  # paho's type also covers its websockets
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

    def _connected(
        self, client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._log_broker(logging.ERROR, "the broker refused us", reason=reason)
            return
        self._connection += 1
        self._is_connected = True
        self._connected_s = time.monotonic()
        self._outgoing.clear()  # what was meant for the connection before
        self._newly_connected.set()
        client.subscribe([(topic, topics.QOS) for topic in self._filters])
        self._inbox.nudge()
        self._log_broker(logging.INFO, "connected to the broker")

    def _disconnected(
        self, _client: Client, _userdata: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        self._is_connected = False
        if not self._leaving.is_set():
            self._log_broker(logging.WARNING, "the connection to the broker broke", reason=reason)

    def _subscribed(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        for topic, reason in zip(self._filters, reasons, strict=False):
            if reason.is_failure:
                self._log_broker(logging.ERROR, "the broker refused a subscription", filter=topic, reason=reason)

    def _received(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._messages += 1
        # Only what is needed: paho's message is a heavy thing to keep in numbers.
        mid = message.mid if message.qos else 0
        self._inbox.put(Delivery(message.topic, bytes(message.payload), mid, self._connection, message.retain))

    def _log_broker(self, level: int, event: str, **values: object) -> None:
        log.log(level, event, extra=facts(host=self._settings.host, port=self._settings.port, **values))
