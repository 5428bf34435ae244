"""The MQTT client of the edge: one connection, a last will, and callbacks that only put events into the queue.

The session is a clean one. What must survive is in the outbox, and what the broker has not acknowledged when the
connection breaks the client itself sends again after the next connect, from its memory; the window of `delivery`
bounds that.

The client's id is new in each process: a broker ends a connection when another one of the same id comes, so two boxes
of one name would throw each other off for ever. By the `run` in the status they see each other instead.
"""

import logging
from typing import Final
from uuid import uuid4

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from footfall_contract import __version__, topics
from footfall_contract.state import NodeState, NodeStatus, encode_status
from footfall_edge.clock import Clock
from footfall_edge.events import Connected, Disconnected, Events, Named, Noticed, Taken
from footfall_role.logs import facts
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings

log = logging.getLogger(__name__)

GOODBYE_S: Final = 2.0
"""How long `stop` waits for the broker to take the offline status."""


class Publisher:
    """The connection of one node. Start it, publish from one thread, stop it."""

    def __init__(self, settings: MqttSettings, node: str, events: Events, clock: Clock) -> None:
        self._settings = settings
        self._node = node
        self._events = events
        self._clock = clock
        self._started_s = clock.now().monotonic_s
        self.run = uuid4()
        """Names this process in its status."""
        name = f"footfall-edge-{node}"
        client = new_client(settings, f"{name}-{self.run.hex[:8]}", name=name, clean_session=True)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost."""
        self._client.connect_async(self._settings.host, self._settings.port, self._settings.keepalive_s)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """Hand a message to the client, which sends it until the broker takes it.

        Returns the client's id for it; None if it was refused.
        """
        info = self._client.publish(topic, payload, qos=topics.QOS, retain=retain)
        # Not connected just now is no refusal: the client keeps the message and sends it after the next connect.
        accepted = info.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN)
        return info.mid if accepted else None

    def announce(self) -> None:
        """Say that this node is here, since it was started."""
        self.publish(topics.status(self._node), self._status("online"), retain=True)

    def restart(self) -> None:
        """Give up the connection and make a new one; what the client has not got rid of is sent there."""
        hang_up(self._client)
        self.start()

    def stop(self) -> None:
        """Say that this node is gone, if the broker is there, and leave."""
        if self._client.is_connected():
            info = self._client.publish(topics.status(self._node), self._status("offline"), qos=topics.QOS, retain=True)
            try:
                info.wait_for_publish(GOODBYE_S)
            except (RuntimeError, ValueError) as error:
                log.warning("the broker was not told that this node stops", extra=facts(reason=error))
        hang_up(self._client)

    def _status(self, state: NodeState) -> bytes:
        # Counted back on the monotonic clock: the clock may have been set right since the start. 0: it was not yet.
        started_ms = self._clock.now().utc_ms_of(self._started_s)
        return encode_status(NodeStatus(state, __version__, max(0, started_ms or 0) // 1000, self.run))

    def _on_pre_connect(self, client: Client, _userdata: object) -> None:
        client.will_set(topics.status(self._node), self._status("offline"), qos=topics.QOS, retain=True)

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._events.put(Disconnected(f"refused: {reason}"))
            return
        client.subscribe([(topic(self._node), topics.QOS) for topic in (topics.committed, topics.status)])
        self._events.put(Connected())

    def _on_connect_fail(self, _client: Client, _userdata: object) -> None:
        self._events.put(Disconnected(f"nothing answers at {self._settings.host}:{self._settings.port}"))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._events.put(Disconnected(str(reason)))

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._events.put(Taken(mid))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        # A broker may send what nobody here subscribed to: amqtt greets each client with everybody's retained messages.
        if message.topic == topics.committed(self._node):
            self._events.put(Noticed(bytes(message.payload)))
        elif message.topic == topics.status(self._node) and not message.retain:
            self._events.put(Named(bytes(message.payload)))
