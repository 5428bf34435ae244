"""An MQTT client for tests: publish and wait, or collect what comes."""

import threading
from collections.abc import Iterable
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from footfall_demo.broker import Broker
from footfall_role.mqtt import hang_up
from footfall_testing.waiting import wait_until


class TestClient:
    """A context with a connected client, logged in as `name`, that keeps the latest payload of each topic it hears.

    `options` are paho's own, such as ``clean_session``.
    """

    __test__ = False  # not a test, whatever pytest makes of the name

    def __init__(self, broker: Broker, name: str, topics: Iterable[str] = (), **options: Any) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, **options)
        self._client.username_pw_set(name)
        self._broker = broker
        self._topics = list(topics)
        self._ready = threading.Event()
        self._taken: set[int] = set()
        self.heard: dict[str, bytes] = {}
        self.history: list[tuple[str, bytes]] = []

    def __enter__(self) -> Self:
        self._client.on_message = self._message
        self._client.on_publish = lambda _client, _userdata, mid, *_: self._taken.add(mid)
        self._client.on_connect = lambda client, *_: (
            client.subscribe([(topic, 1) for topic in self._topics]) if self._topics else self._ready.set()
        )
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        if not self._ready.wait(20):
            hang_up(self._client)
            raise AssertionError("no connection to the broker")
        return self

    def __exit__(self, *_: object) -> None:
        hang_up(self._client)

    @property
    def connected(self) -> bool:
        """Whether the broker has let it in and has not ended the connection since."""
        return self._client.is_connected()

    def publish(self, messages: Iterable[tuple[str, bytes]], *, retain: bool = False, qos: int = 1) -> None:
        """Publish and wait until the broker has taken them all, over a second connection if the first one ends."""
        wanted = {self._client.publish(topic, payload, qos, retain).mid for topic, payload in messages}
        wait_until(lambda: wanted <= self._taken, timeout=30, what=f"{len(wanted)} messages to be taken")
        self._taken -= wanted

    def wait_for(self, topic: str) -> bytes:
        """The latest payload on `topic`, waiting for the first."""
        wait_until(lambda: topic in self.heard, what=topic)
        return self.heard[topic]

    def _message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.heard[message.topic] = bytes(message.payload)
        self.history.append((message.topic, bytes(message.payload)))
