"""A node with a valid account whose program is not ours: everything it can send that no working node does.

`messages` never ends and never repeats itself; each thing it does in turn is one that would make some table grow, or
keep the writer busy, without an end.
"""

import random
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from paho.mqtt.client import Client

from footfall_contract import NodeStatus, SensorHealth, SlotReport, encode_cbor, encode_health, encode_status, topics
from footfall_contract.words import MAX_COUNT, MAX_SEQ, MAX_SLOTS, MAX_SPAN_S
from footfall_demo.broker import Broker
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings

_YEAR_S: Final = 365 * 86_400

Cells = tuple[tuple[int, int, int, int], ...]


def messages(node: str, victim: str, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(topic, payload), without end. `victim` is a sensor that belongs to another node."""
    rng = random.Random(seed)
    mine = f"{node}-1"
    steady, archive = _stream(rng), _stream(rng)
    for turn in range(MAX_SEQ):
        now = int(time.time()) // 60 * 60
        past = now - rng.randrange(_YEAR_S, 10 * _YEAR_S) // 60 * 60
        month = now - rng.randrange(MAX_SPAN_S, 2 * _YEAR_S)
        for sensor, on, report in (
            # another's sensor, on the topic of which it may write its own name, and on another topic
            (victim, victim, _report(rng, victim, now)),
            (victim, mine, _report(rng, victim, now)),
            # sensors that there are not, and a stream for each report
            (f"{node}-{turn}", f"{node}-{turn}", _report(rng, f"{node}-{turn}", now)),
            (mine, mine, _report(rng, mine, now - 60 * (turn % 2000))),
            # numbers: more than can pass, and found afterwards, again and again, in the same minute
            (mine, mine, _report(rng, mine, now, cells=((0, 0, 0, MAX_COUNT),))),
            (mine, mine, _report(rng, mine, now - 3600, observed=0, cells=((0, 0, 0, 6000),))),
            # minutes of ten years; spans that overlap, with seconds and without
            (mine, mine, _minutes(mine, archive, turn, past, 60, seconds=60)),
            (mine, mine, _report(rng, mine, month, slot=MAX_SPAN_S, observed=0)),
            (mine, mine, _report(rng, mine, month + 1, slot=MAX_SPAN_S, observed=1)),
            # the future, and nothing at all for a week of minutes, again and again
            (mine, mine, _report(rng, mine, now + rng.randrange(1, 10**6) * 60)),
            (mine, mine, _minutes(mine, _stream(rng), 0, now, MAX_SLOTS, seconds=0)),
        ):
            assert sensor == report.sensor
            yield topics.counts(node, on), encode_cbor(report)
        # numbers far apart in one stream
        jump = _report(rng, mine, now, stream=steady, seq=rng.randrange(MAX_SEQ))
        yield topics.counts(node, mine), encode_cbor(jump)
        # what can be read and is none, what cannot be read, and topics that are none
        yield topics.counts(node, mine), rng.randbytes(rng.choice([10, 500, 60_000]))
        yield f"footfall/v1/{node}/NOBODY-{turn}/counts", rng.randbytes(50)
        yield topics.status(node), encode_status(NodeStatus("online", f"9.{turn}", now))
        yield topics.status(node), b"%d" % turn
        for sensor in (victim, f"{node}-{turn}"):
            said = SensorHealth(sensor, "fault", now, turn, 0, 0, 0, 0, now, "x" * (turn % 300))
            yield topics.health(node, sensor), encode_health(said)


def _stream(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def _report(
    rng: random.Random,
    sensor: str,
    start: int,
    *,
    slot: int = 60,
    observed: int | None = None,
    cells: Cells = ((0, 0, 0, 1), (0, 1, 4, 2)),
    stream: UUID | None = None,
    seq: int = 0,
) -> SlotReport:
    index, direction, class_, count = zip(*cells, strict=True)
    return SlotReport(
        sensor=sensor,
        stream=stream or _stream(rng),
        seq=seq,
        start=start,
        slot=slot,
        slots=1,
        observed=(slot if observed is None else observed,),
        index=index,
        direction=direction,
        class_=class_,
        count=count,
    )


def _minutes(sensor: str, stream: UUID, seq: int, start: int, number: int, *, seconds: int) -> SlotReport:
    """So many minutes in which nobody came, each measured for `seconds`."""
    return SlotReport(sensor, stream, seq, start, 60, number, (seconds,) * number, (), (), (), ())


class Hostile:
    """A context in which such a node publishes as fast as the broker takes it; some of it retained, on counts, too."""

    def __init__(self, broker: Broker, node: str, victim: str, seed: int = 0) -> None:
        self.node = node
        self.sent = 0
        self._messages = messages(node, victim, seed)
        self._client: Client = new_client(MqttSettings(host=broker.host, port=broker.port), f"node-{node}")
        self._client.max_inflight_messages_set(0)
        self._client.max_queued_messages_set(0)
        self._client.connect(broker.host, broker.port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        hang_up(self._client)

    def _run(self) -> None:
        for topic, payload in self._messages:
            if self._stop.is_set():
                return
            # Not more than the broker takes: what is still in this process harms nobody.
            published = self._client.publish(topic, payload, qos=topics.QOS, retain=self.sent % 50 == 0)
            self.sent += 1
            if self.sent % 500 == 0:
                while not (published.is_published() or self._stop.wait(0.01)):
                    pass
