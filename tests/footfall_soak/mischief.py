"""A client that listens to all reports and says them again: twice, out of order, much later."""

import random
import threading
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from footfall_contract import topics
from footfall_role.mqtt import hang_up

KEPT = 20_000
"""Reports remembered; beyond that the oldest are forgotten."""


class Mischief:
    """A context with the client, which connects again whenever the broker is back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._heard: dict[bytes, str] = {}
        self._lock = threading.Lock()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="mischief")
        self._client.username_pw_set("mischief")
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = lambda client, *_: client.subscribe(topics.ALL_COUNTS, qos=1)
        self._client.on_message = self._hear
        self.said = 0

    def __enter__(self) -> Self:
        self._client.connect_async("127.0.0.1", self._port, keepalive=5)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        hang_up(self._client)

    def again(self, dice: random.Random, number: int) -> bool:
        """Publish up to `number` of the reports heard so far, in any order; False if there are none or no broker."""
        with self._lock:
            heard = list(self._heard.items())
        if not heard or not self._client.is_connected():
            return False
        chosen = dice.sample(heard, min(number, len(heard)))
        # Half of them twice, and not side by side.
        chosen += dice.sample(chosen, len(chosen) // 2)
        dice.shuffle(chosen)
        for payload, topic in chosen:
            self._client.publish(topic, payload, qos=1)
        self.said += len(chosen)
        return True

    def _hear(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        with self._lock:
            self._heard[bytes(message.payload)] = message.topic
            if len(self._heard) > KEPT:
                del self._heard[next(iter(self._heard))]
