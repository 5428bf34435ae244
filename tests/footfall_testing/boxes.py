"""What edge boxes say, through the real aggregator: status, health, reports, and bytes that are none of these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg

from footfall_contract import NodeStatus, SensorHealth, SlotReport, encode_cbor, encode_health, encode_status
from footfall_contract.topics import Kind, Topic
from footfall_ingest.flush import Message, Outcome, write_batch
from footfall_ingest.states import StateMessage, write_states


@dataclass
class Boxes:
    """Any number of boxes; times are aware, and now unless told otherwise."""

    dsn: str
    _streams: dict[tuple[str, str], UUID] = field(default_factory=dict)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def status(
        self, node: str, state: str = "online", *, since: datetime | None = None, at: datetime | None = None
    ) -> None:
        """A node says that it is there, or its last will says that it is gone."""
        at = at or datetime.now(UTC)
        said = NodeStatus(state, "1.2.3", int((since or at).timestamp()))  # type: ignore[arg-type]
        self._say(Topic(Kind.STATUS, node), encode_status(said), at)

    def health(
        self, node: str, sensor: str, state: str = "ok", *, at: datetime | None = None, **values: object
    ) -> None:
        """A node says how a sensor is doing."""
        at = at or datetime.now(UTC)
        now_s = int(at.timestamp())
        known: dict[str, object] = {
            "since": now_s - 3600, "frames": 8640, "bad_frames": 2, "skipped_bytes": 31, "restarts": 0,
            "waiting_slots": 1, "last_frame": now_s - 5, "detail": "",
        }  # fmt: skip
        said = SensorHealth(sensor=sensor, state=state, **known | values)  # type: ignore[arg-type]
        self._say(Topic(Kind.HEALTH, node, sensor), encode_health(said), at)

    def _say(self, topic: Topic, payload: bytes, at: datetime) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            assert write_states(connection, [StateMessage(topic, payload, retained=False)], now=at).unusable == []

    def report(
        self, node: str, sensor: str, start: datetime, minutes: int = 1, counts: Mapping[int, int] | None = None
    ) -> Outcome:
        """A node reports whole minutes from `start` on, each with `counts` by direction."""
        key = node, sensor
        number = self._numbers[key] = self._numbers.get(key, -1) + 1
        cells = [(i, direction, count) for i in range(minutes) for direction, count in (counts or {0: 1}).items()]
        said = SlotReport(
            sensor=sensor,
            stream=self._streams.setdefault(key, uuid4()),
            seq=number,
            start=int(start.timestamp()) // 60 * 60,
            slot=60,
            slots=minutes,
            observed=(60,) * minutes,
            index=tuple(i for i, _, _ in cells),
            direction=tuple(direction for _, direction, _ in cells),
            class_=(0,) * len(cells),
            count=tuple(count for _, _, count in cells),
        )
        return self.raw(node, sensor, encode_cbor(said))

    def raw(self, node: str, sensor: str, payload: bytes) -> Outcome:
        """Bytes arrive on the topic for a sensor's reports."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return write_batch(connection, [Message(node, sensor, payload)], now=datetime.now(UTC))
