"""Many sensors at once, sent as fast as the edge's own rule allows: at most a window of reports under way for each.

Stands for hundreds of boxes where starting them would measure the machine and not ingest. It keeps no outbox: what no
commit notice covers it makes again, byte for byte, from the sensor's name and the number. Run as a program of its own
it floods a broker until everything is stored: ``python -m footfall_testing.flood HOST PORT NODE SENSORS REPORTS``.
"""

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID, uuid5

from paho.mqtt.client import Client, MQTTMessage

from footfall_contract import SlotReport, decode_notice, encode_cbor, topics
from footfall_edge.window import FIRST_RESEND_S, WINDOW
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings

NAMESPACE = UUID("0c7a53c7-4e5b-4a52-9f5e-0f9b0b3a9f10")
BEGIN = 1_764_028_800
"""2025-11-25T00:00:00Z: when the first slot of each sensor begins."""
SLOT_S = 10


def passages(seq: int) -> tuple[int, int]:
    """Passages in and out in report number `seq` of every sensor."""
    return 1 + seq % 7, seq % 3


def report(sensor: str, seq: int) -> SlotReport:
    """Report number `seq` of a sensor: one slot."""
    cells = [(direction, count) for direction, count in enumerate(passages(seq)) if count]
    return SlotReport(
        sensor=sensor,
        stream=uuid5(NAMESPACE, sensor),
        seq=seq,
        start=BEGIN + SLOT_S * seq,
        slot=SLOT_S,
        slots=1,
        observed=(SLOT_S,),
        index=(0,) * len(cells),
        direction=tuple(direction for direction, _ in cells),
        class_=(0,) * len(cells),
        count=tuple(count for _, count in cells),
    )


@dataclass
class _Progress:
    """How far one sensor is."""

    topic: str
    sent: int = 0
    stored: int = 0
    """Every number below is known to be stored."""
    sent_s: dict[int, float] = field(default_factory=dict)
    """When each number under way was last sent, monotonic seconds."""


class Flood:
    """A context with a connected sender. `wait` returns when every report of every sensor is known to be stored."""

    def __init__(self, host: str, port: int, node: str, sensors: int, reports: int) -> None:
        self._settings = MqttSettings(host=host, port=port)
        self._node = node
        self._reports = reports
        self._sensors = {
            name: _Progress(topics.counts(node, name)) for name in (f"{node}-{place}" for place in range(sensors))
        }
        self._notices: deque[bytes] = deque()
        self._news = threading.Event()
        self._stop = threading.Event()
        self.under_way = 0
        """The most reports of one sensor that were under way at any time."""
        self.sent_again = 0

    @property
    def stored(self) -> int:
        """Reports known to be stored."""
        return sum(each.stored for each in self._sensors.values())

    @property
    def total(self) -> int:
        """Reports there are to send."""
        return len(self._sensors) * self._reports

    @property
    def names(self) -> list[str]:
        """The ids of the sensors."""
        return list(self._sensors)

    def __enter__(self) -> Self:
        self._client: Client = new_client(self._settings, f"flood-{self._node}")
        self._client.max_inflight_messages_set(0)
        self._client.max_queued_messages_set(0)
        self._client.on_connect = lambda client, *_: client.subscribe(topics.committed(self._node), 1)
        self._client.on_message = self._heard
        self._client.connect(self._settings.host, self._settings.port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run, name="flood", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._news.set()
        self._thread.join(30)
        hang_up(self._client)

    def wait(self, timeout_s: float) -> bool:
        """Whether everything was stored in time."""
        self._thread.join(timeout_s)
        return self.stored == self.total

    def _heard(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._notices.append(bytes(message.payload))
        self._news.set()

    def _run(self) -> None:
        while not self._stop.is_set() and self.stored < self.total:
            while self._notices:
                self._believe(self._notices.popleft())
            now_s = time.monotonic()
            for name, progress in self._sensors.items():
                self._send(name, progress, now_s)
            self._news.wait(0.5)
            self._news.clear()

    def _believe(self, payload: bytes) -> None:
        for name, streams in decode_notice(payload).sensors.items():
            progress = self._sensors.get(name)
            for state in streams:
                if progress is not None and state.stream == uuid5(NAMESPACE, name):
                    for seq in range(progress.stored, state.next):
                        progress.sent_s.pop(seq, None)
                    progress.stored = max(progress.stored, state.next)

    def _send(self, name: str, progress: _Progress, now_s: float) -> None:
        oldest = progress.stored
        if now_s - progress.sent_s.get(oldest, now_s) > FIRST_RESEND_S:
            self._publish(progress, report(name, oldest), now_s)
            self.sent_again += 1
        while progress.sent < min(self._reports, progress.stored + WINDOW):
            self._publish(progress, report(name, progress.sent), now_s)
            progress.sent += 1
        self.under_way = max(self.under_way, progress.sent - progress.stored)

    def _publish(self, progress: _Progress, found: SlotReport, now_s: float) -> None:
        self._client.publish(progress.topic, encode_cbor(found), qos=topics.QOS)
        progress.sent_s[found.seq] = now_s


def main(words: list[str]) -> int:
    """Flood until all is stored; 1 if nothing came of it for ten minutes."""
    host, port, node, sensors, reports = words
    with Flood(host, int(port), node, int(sensors), int(reports)) as flood:
        seen, moved_s = 0, time.monotonic()
        while not flood.wait(1.0):
            if flood.stored > seen:
                seen, moved_s = flood.stored, time.monotonic()
            if time.monotonic() - moved_s > 600:
                return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
