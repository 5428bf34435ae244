"""One passage, all the way: the tutorial of the system.

Somebody crosses the line on the Markt on the first of June 2026 at 14:00:03 local time. Read on to see what becomes of
it: frame → count → slot report → minute bucket → row → answer. Broker and database are real; the clock is set to that
day, so that every number can be read off. docs/flow.md has the same steps as a table.
"""

import asyncio
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest

from footfall_api.app import create_app
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_contract import topics
from footfall_contract.batch import decode_batch
from footfall_contract.notice import encode_notice
from footfall_contract.report import decode
from footfall_contract.words import Direction, PassageClass
from footfall_demo.broker import Broker
from footfall_edge.clock import Moment
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.reference import DRIVER
from footfall_edge.slots import place
from footfall_ingest import stations
from footfall_ingest.aggregate import aggregate
from footfall_ingest.flush import Message, write_batch
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings
from footfall_sim.firmware import Design, Firmware
from footfall_sim.memory import RamStore

NOON = int(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp())
"""14:00:00 in Jena, in UTC unix seconds."""

STATION = {
    "type": "Feature",
    "id": "markt",
    "geometry": {"type": "Point", "coordinates": [11.58782, 50.92818]},
    "properties": {
        "name": "Markt",
        "timezone": "Europe/Berlin",
        "line": [[11.58775, 50.92818], [11.58789, 50.92818]],
        "directions": [{"from": "2020-01-01", "in": "Richtung Rathaus", "out": "Richtung Kirche"}],
        "sensors": [{"id": "markt-1", "from": "2020-01-01", "role": "part"}],
    },
}


def moment(seconds: float) -> Moment:
    """The instant `seconds` after noon, on both clocks."""
    return Moment(utc_ms=round((NOON + seconds) * 1000), monotonic_s=1000 + seconds)


def test_one_passage_from_the_sensor_to_the_answer(  # noqa: PLR0915  # one story, told in one piece
    broker: Broker, database: str, tmp_path: Path, unique: str
) -> None:
    """A passage that a sensor counts at 14:00:03 is 1 in the JSON and in the CSV of that minute, and in no other."""
    node = unique

    # The station is known: a sensor hangs at the Markt since 2020.
    (tmp_path / "stations.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [STATION]}))
    assert stations.apply(database, tmp_path / "stations.geojson").created == ("markt",)

    # 1. The sensor. It was switched on five seconds before noon and greets the edge, which tells it the time.
    sensor = Firmware(RamStore(), moment(-5).utc_ms, Design(device=7, interval_ms=10_000))
    framer = DRIVER.framer()
    conversation = DRIVER.session([])
    for frame in framer.feed(sensor.tick(moment(-5).utc_ms)):
        conversation = conversation.heard(frame, moment(-5)).session
    told = conversation.tick(moment(-5))
    conversation = told.session
    sensor.feed(told.reply, moment(-5).utc_ms)
    sensor.tick(moment(0).utc_ms)  # it cuts its first interval at the full ten seconds of UTC

    # Somebody crosses the line, from its left to its right. At 14:00:10 the interval closes and is sent: bytes.
    sensor.passage(Direction.IN, PassageClass.PEDESTRIAN, moment(3).utc_ms)
    serial_bytes = sensor.tick(moment(10).utc_ms)
    assert serial_bytes[-1] == 0, "a frame ends with the delimiter"

    # 2. bytes → frames → counts. The edge understands them; it has not acknowledged anything yet.
    entries, acknowledgement = [], b""
    for frame in framer.feed(serial_bytes):
        step = conversation.heard(frame, moment(10))
        conversation = step.session
        if step.booking:
            entries.append(Entry("markt-1", tuple(place(c, 10) for c in step.booking.counts), step.booking.cursor))
            acknowledgement = step.acknowledge
    (piece,) = entries[-1].pieces
    assert (piece.start, piece.length, piece.measured_ms) == (NOON, 10, 10_000)
    assert piece.passages == ((Direction.IN, PassageClass.PEDESTRIAN, 1),)

    # 3. counts → outbox. Only when they are on disk does the sensor hear that it may forget.
    with Outbox.open(tmp_path / "outbox.sqlite") as outbox:
        assert sensor.waiting == 2, "the interval before noon and the one with the passage"
        outbox.book(entries)
        sensor.feed(acknowledgement, moment(11).utc_ms)
        assert sensor.waiting == 0

        # 4. slots → a report with a number, whose bytes never change any more.
        stream = UUID("11111111-2222-4333-8444-555555555555")
        (sent,) = outbox.number("markt-1", stream, closed_until=NOON + 10, every_s=10, most=64, now_s=NOON + 11)
        report = decode(sent.payload)
        assert (report.sensor, report.stream, report.seq) == ("markt-1", stream, 0)
        assert (report.start, report.slot, report.slots) == (NOON - 10, 10, 2)
        assert report.observed == (5, 10), "five seconds before noon, ten after it"
        assert (report.index, report.count) == ((1,), (1,)), "one passage, in the second slot"

        # 5. over the broker.
        arrived = through(broker, topics.counts(node, "markt-1"), sent.payload)
        topic = topics.parse(arrived.topic)
        assert (topic.node, topic.sensor) == (node, "markt-1")

        # 6. report → columns → minute buckets: a pure function.
        deltas = aggregate(decode_batch([arrived.payload]))
        assert deltas.minutes.minute.tolist() == [NOON]
        assert deltas.minutes.count.tolist() == [1]
        assert deltas.coverage.observed_s.tolist() == [5, 10], "the minute before noon, and the one after"

        # 7. buckets → rows, in one transaction. It comes twice, as from a nervous network; it is stored once.
        with psycopg.connect(database, autocommit=True) as connection:
            message = Message(topic.node, topic.sensor, arrived.payload)
            now = datetime.fromtimestamp(NOON + 11, UTC)
            outcome = write_batch(connection, [message, message], now=now)
            assert (outcome.stored, outcome.duplicate) == (1, 1)
            rows = connection.execute(
                "SELECT minute_start(minute), direction, class, count FROM count_minute"
            ).fetchall()
            assert rows == [(datetime(2026, 6, 1, 12, tzinfo=UTC), Direction.IN, PassageClass.PEDESTRIAN, 1)]

        # Then ingest says to the node what is stored, and the report leaves the outbox's concern.
        assert outbox.tally().numbered == 1
        outbox.settle(outcome.notices[node], now_s=NOON + 12)
        assert outbox.tally().numbered == 0
        assert str(stream).encode() in encode_notice(outcome.notices[node])

    # 8. rows → answer.
    asked = {"from": "2026-06-01T13:59", "to": "2026-06-01T14:02", "resolution": "1min", "split": "direction"}
    values = json.loads(answer(database, {**asked, "format": "json"}))["values"]
    assert [(v["start"], v["direction"], v["count"], v["state"]) for v in values] == [
        ("2026-06-01T13:59:00+02:00", "in", 0, "partial"),
        ("2026-06-01T13:59:00+02:00", "out", 0, "partial"),
        ("2026-06-01T14:00:00+02:00", "in", 1, "partial"),
        ("2026-06-01T14:00:00+02:00", "out", 0, "partial"),
        ("2026-06-01T14:01:00+02:00", "in", None, "missing"),
        ("2026-06-01T14:01:00+02:00", "out", None, "missing"),
    ]
    noon_in = "markt,2026-06-01T14:00:00+02:00,2026-06-01T14:01:00+02:00,in,all,all,1,"
    lines = answer(database, {**asked, "format": "csv"}).splitlines()
    assert len(lines) == 1 + 6
    assert [line for line in lines if line.startswith(noon_in)], lines


class Arrived:
    """A message as the broker delivered it."""

    def __init__(self, topic: str, payload: bytes) -> None:
        self.topic = topic
        self.payload = payload


def through(broker: Broker, topic: str, payload: bytes) -> Arrived:
    """Publish to `topic` and receive it from another client."""
    received: list[Arrived] = []
    subscribed, done = threading.Event(), threading.Event()
    settings = MqttSettings(host=broker.host, port=broker.port)
    listener, speaker = new_client(settings, f"{topic}-listener"), new_client(settings, f"{topic}-speaker")
    listener.on_connect = lambda client, *_: client.subscribe(topic, 1)
    listener.on_subscribe = lambda *_: subscribed.set()

    def on_message(_client: object, _userdata: object, message: object) -> None:
        found = Arrived(message.topic, message.payload)  # type: ignore[attr-defined]
        if found.topic == topic:  # amqtt also passes on retained messages of others
            received.append(found)
            done.set()

    listener.on_message = on_message
    for client in (listener, speaker):
        client.connect(broker.host, broker.port)
        client.loop_start()
    try:
        assert subscribed.wait(30)
        speaker.publish(topic, payload, qos=1).wait_for_publish(30)
        assert done.wait(30)
    finally:
        for client in (speaker, listener):
            hang_up(client)
    return received[0]


def answer(database: str, query: dict[str, str]) -> str:
    """What the API says, two minutes after noon."""

    async def ask() -> str:
        settings = ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(local=True))
        app = create_app(settings, clock=lambda: datetime(2026, 6, 1, 12, 2, tzinfo=UTC))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://footfall") as client,
        ):
            response = await client.get("/api/v1/stations/markt/counts", params=query)
            assert response.status_code == 200, response.text
            return response.text

    return asyncio.run(ask())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-v"]))
