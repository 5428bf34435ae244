"""A node with the edge's rule: it keeps each report until a commit notice covers it, and sends the oldest again.

Which report goes when is decided by the edge's own `Window`. Its clock runs `HURRY` times as fast as ours, so that the
half minute before something is sent again becomes half a second.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, Self
from uuid import UUID

from paho.mqtt.client import Client, MQTTMessage

from footfall_contract import SlotReport, decode_notice, encode_cbor, topics
from footfall_contract.notice import CommitNotice
from footfall_demo.broker import Broker
from footfall_edge.window import Window
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings
from footfall_testing.ingest_store import NOON, report

HURRY: Final = 60.0
_TURN_S: Final = 0.01


class Sender:
    """A context in which a node sends `number` reports of each of its sensors, one every `every_s` seconds each.

    They begin with the first one and go on when the first notice has come: the others are made only then.
    So many of its messages as `doubled` says, from 0 to 1, go out twice at once, as MQTT may do it; of several
    aggregators two then have the same report at the same time.
    What the sensors counted is made from `seed`: `truth` has it.
    """

    def __init__(
        self,
        broker: Broker,
        node: str,
        *,
        sensors: int,
        number: int,
        every_s: float = 0.0,
        doubled: float = 0.0,
        seed: int = 0,
    ) -> None:
        rng = random.Random(seed)
        self.node = node
        self.reports: dict[str, list[SlotReport]] = {
            sensor: [_counted(rng, sensor, seq) for seq in range(number)]
            for sensor in (f"{node}-{place}" for place in range(sensors))
        }
        self.sent = 0
        """Reports handed to the broker, each time counted."""
        self.notices: list[CommitNotice] = []
        self._every_s = every_s
        self._doubled = doubled
        self._rng = rng
        self._known = dict.fromkeys(self.reports, 0)
        """So many of a sensor's reports exist by now."""
        self._windows = {sensor: Window() for sensor in self.reports}
        self._covered: dict[str, set[int]] = {sensor: set() for sensor in self.reports}
        self._messages: dict[int, tuple[str, int]] = {}
        self._heard: deque[int | CommitNotice] = deque()
        self._client = self._connection(broker)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def truth(self) -> int:
        """Passages that the sensors counted."""
        return sum(sum(one.count) for reports in self.reports.values() for one in reports)

    @property
    def emitted(self) -> bool:
        """Whether every report has been sent at least once, or is in a window that is full."""
        return all(self._known[sensor] == len(reports) for sensor, reports in self.reports.items())

    @property
    def settled(self) -> bool:
        """Whether notices cover everything."""
        return all(len(self._covered[sensor]) == len(reports) for sensor, reports in self.reports.items())

    def missing(self) -> dict[str, list[int]]:
        """What no notice covers, by sensor."""
        found = {sensor: sorted(set(range(len(r))) - self._covered[sensor]) for sensor, r in self.reports.items()}
        return {sensor: numbers for sensor, numbers in found.items() if numbers}

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        hang_up(self._client)

    def _connection(self, broker: Broker) -> Client:
        client = new_client(MqttSettings(host=broker.host, port=broker.port), f"node-{self.node}")
        client.on_connect = lambda c, *_: c.subscribe(topics.committed(self.node), 1)
        client.on_publish = lambda _c, _u, mid, *_: self._heard.append(mid)
        client.on_message = self._message
        client.connect_async(broker.host, broker.port)
        return client

    def _message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if message.topic == topics.committed(self.node):  # amqtt greets each client with everybody's retained messages
            self._heard.append(decode_notice(bytes(message.payload)))

    def _run(self) -> None:
        begun = listening = time.monotonic()
        while not self._stop.wait(_TURN_S):
            now_s = (time.monotonic() - begun) * HURRY
            if not self.notices:
                listening = time.monotonic()
            while self._heard:
                self._note(self._heard.popleft(), now_s)
            for sensor, reports in self.reports.items():
                exist = len(reports) if not self._every_s else int((time.monotonic() - listening) / self._every_s) + 1
                self._send(sensor, min(len(reports), exist), now_s)

    def _send(self, sensor: str, exist: int, now_s: float) -> None:
        window = self._windows[sensor]
        due = window.due(now_s)
        fresh = range(self._known[sensor], min(exist, self._known[sensor] + window.room))
        self._known[sensor] = max(self._known[sensor], fresh.stop)
        for seq in [*([] if due is None else [due]), *fresh]:
            payload = encode_cbor(self.reports[sensor][seq])
            topic = topics.counts(self.node, sensor)
            if self._rng.random() < self._doubled:
                self._client.publish(topic, payload, qos=topics.QOS)
            mid = self._client.publish(topic, payload, qos=topics.QOS).mid
            self._messages[mid] = (sensor, seq)
            window.sent(seq, now_s)
            self.sent += 1

    def _note(self, heard: int | CommitNotice, now_s: float) -> None:
        if isinstance(heard, int):
            if heard in self._messages:
                sensor, seq = self._messages.pop(heard)
                self._windows[sensor].taken(seq)
            return
        self.notices.append(heard)
        for sensor, states in heard.sensors.items():
            for state in states:
                assert state.stream == self._stream(sensor)
                new = {seq for seq in range(self._known[sensor]) if state.covers(seq)} - self._covered[sensor]
                self._covered[sensor] |= new  # what was said before holds, whatever an older notice lacks
                self._windows[sensor].committed(new)
        for window in self._windows.values():
            window.noticed(now_s)

    def _stream(self, sensor: str) -> UUID:
        return self.reports[sensor][0].stream


def _counted(rng: random.Random, sensor: str, seq: int) -> SlotReport:
    cells: Sequence[tuple[int, int, int, int]] = [(0, direction, 0, rng.randint(1, 9)) for direction in (0, 1)]
    return report(sensor, seq, stream=sensor, start=NOON + 10 * seq, cells=cells)
