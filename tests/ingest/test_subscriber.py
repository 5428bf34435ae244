"""The connection to a real broker: nothing is forgotten that was not acknowledged."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from footfall_demo.broker import Broker
from footfall_ingest.inbox import Delivery, Inbox, Limits
from footfall_ingest.settings import IngestMqttSettings
from footfall_ingest.subscriber import Subscriber
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until

LIMITS = Limits(interval_s=0.02, window=1)


def subscriber(broker: Broker, name: str, inbox: Inbox) -> Subscriber:
    """A subscriber to the topics of the node `name`, whose session has that name too."""
    settings = IngestMqttSettings(host=broker.host, port=broker.port, client_id=name, keepalive_s=5)
    return Subscriber(settings, inbox, [f"footfall/v1/{name}/+/counts"], [])


def taken(inbox: Inbox, number: int) -> list[Delivery]:
    """The next `number` messages."""
    stop = threading.Event()
    deliveries: list[Delivery] = []
    wait_until(lambda: len(deliveries) >= number or deliveries.extend(_some(inbox, stop)), what=f"{number} messages")
    return deliveries


def _some(inbox: Inbox, stop: threading.Event) -> list[Delivery]:
    return inbox.batch(stop) if len(inbox) else []


def payloads(deliveries: list[Delivery]) -> list[bytes]:
    """What they say."""
    return [delivery.payload for delivery in deliveries]


@pytest.fixture
def sender(broker: Broker, unique: str) -> Iterator[TestClient]:
    """A client that publishes."""
    with TestClient(broker, f"{unique}-sender") as client:
        yield client


def numbered(node: str, first: int, last: int) -> list[tuple[str, bytes]]:
    """Messages with the numbers from `first` to `last`."""
    return [(f"footfall/v1/{node}/s/counts", str(n).encode()) for n in range(first, last + 1)]


def test_messages_come_in_order(broker: Broker, unique: str, sender: TestClient) -> None:
    """What one client publishes arrives in the order in which it was published, with what is needed to acknowledge."""
    inbox = Inbox(LIMITS)
    with subscriber(broker, unique, inbox) as only:
        _subscribed(broker, unique, inbox, sender, only)
        sender.publish(numbered(unique, 1, 30))
        deliveries = taken(inbox, 30)
        only.acknowledge(deliveries)

    assert payloads(deliveries) == [str(n).encode() for n in range(1, 31)]
    assert {delivery.topic for delivery in deliveries} == {f"footfall/v1/{unique}/s/counts"}
    assert all(delivery.mid and not delivery.retained for delivery in deliveries)


def test_the_broker_keeps_what_comes_while_nobody_is_there(mosquitto: Broker, unique: str) -> None:
    """The session outlives the process: acknowledged messages are not seen again, those sent meanwhile are."""
    with TestClient(mosquitto, f"{unique}-sender") as sender:
        inbox = Inbox(LIMITS)
        with subscriber(mosquitto, unique, inbox) as first:
            _subscribed(mosquitto, unique, inbox, sender, first)
            sender.publish(numbered(unique, 1, 30))
            first.acknowledge(taken(inbox, 30))
            _heard(mosquitto, unique, first)
        sender.publish(numbered(unique, 31, 40))

    inbox = Inbox(LIMITS)
    with subscriber(mosquitto, unique, inbox):
        later = taken(inbox, 10)

    assert payloads(later) == [str(n).encode() for n in range(31, 41)]


def _heard(broker: Broker, node: str, speaker: Subscriber) -> None:
    """Wait until the broker has read all that the subscriber sent: what it says last comes to others after that."""
    topic = f"footfall/v1/{node}/committed"
    with TestClient(broker, f"{node}-listener", [topic]) as listener:
        speaker.publish([(topic, b"last")])
        listener.wait_for(topic)


def _subscribed(broker: Broker, node: str, inbox: Inbox, sender: TestClient, first: Subscriber) -> None:
    """Wait until the broker passes messages on: it may say connected before it knows what is wanted."""
    seen: list[Delivery] = []

    def arrives() -> bool:
        # Some brokers greet with what is retained on any topic: that says nothing of our subscription.
        sender.publish([(f"footfall/v1/{node}/probe/counts", b"probe")])
        seen.extend(_some(inbox, threading.Event()))
        return b"probe" in payloads(seen)

    wait_until(arrives, what="the subscription", every=0.1)
    # A probe that is still under way must not be taken for what the test sends: two markers behind them all.
    sender.publish([(f"footfall/v1/{node}/probe/counts", b"end")])
    wait_until(lambda: b"end" in payloads(seen) or seen.extend(_some(inbox, threading.Event())), what="the marker")
    first.acknowledge(seen)


def test_what_was_not_acknowledged_comes_again(mosquitto: Broker, unique: str) -> None:
    """An acknowledgement counts only on the connection that brought the message.

    After the connection broke the copy has to be acknowledged; a late acknowledgement of the first delivery must not
    make the broker forget the second.
    """
    with TestClient(mosquitto, f"{unique}-sender") as sender:
        inbox = Inbox(LIMITS)
        with subscriber(mosquitto, unique, inbox) as first:
            _subscribed(mosquitto, unique, inbox, sender, first)
            sender.publish(numbered(unique, 1, 5))
            original = taken(inbox, 5)
            first.newly_connected()
            first._client.socket().shutdown(2)  # type: ignore[union-attr]
            copies = taken(inbox, 5)
            assert first.newly_connected()
            first.acknowledge(original)
            _heard(mosquitto, unique, first)
        inbox = Inbox(LIMITS)
        with subscriber(mosquitto, unique, inbox) as second:
            again = taken(inbox, 5)
            second.acknowledge(again)
            _heard(mosquitto, unique, second)
        inbox = Inbox(LIMITS)
        with subscriber(mosquitto, unique, inbox) as third:
            sender.publish(numbered(unique, 6, 6))
            last = taken(inbox, 1)
            third.acknowledge(last)

    assert payloads(copies) == payloads(again) == payloads(original) == [b"1", b"2", b"3", b"4", b"5"]
    assert {delivery.connection for delivery in copies} != {delivery.connection for delivery in original}
    assert payloads(last) == [b"6"]


def test_a_full_inbox_lets_the_broker_wait(broker: Broker, unique: str, sender: TestClient) -> None:
    """No more is received than there is room for; taking from the inbox lets the rest come, in order."""
    inbox = Inbox(Limits(interval_s=0.02, max_reports=10, queue=10, window=1))
    with subscriber(broker, unique, inbox) as slow:
        _subscribed(broker, unique, inbox, sender, slow)
        sender.publish(numbered(unique, 1, 100))
        wait_until(lambda: not inbox.has_room(), what="a full inbox")
        most = 0
        deliveries: list[Delivery] = []
        while len(deliveries) < 100:
            most = max(most, len(inbox))
            deliveries += taken(inbox, 1)
            slow.look_for_room()
        slow.acknowledge(deliveries)

    assert payloads(deliveries) == [str(n).encode() for n in range(1, 101)]
    assert most <= 10


def test_what_wants_no_acknowledgement_gets_none(mosquitto: Broker, unique: str) -> None:
    """A message of QoS 0 has no id; acknowledging its delivery is no offence against the protocol."""
    with TestClient(mosquitto, f"{unique}-sender") as sender:
        inbox = Inbox(LIMITS)
        with subscriber(mosquitto, unique, inbox) as only:
            _subscribed(mosquitto, unique, inbox, sender, only)
            sender.publish(numbered(unique, 1, 1), qos=0)
            deliveries = taken(inbox, 1)
            only.acknowledge(deliveries)
            sender.publish(numbered(unique, 2, 2))
            deliveries += taken(inbox, 1)

            assert payloads(deliveries) == [b"1", b"2"]
            assert {delivery.connection for delivery in deliveries} == {1}


def test_published_messages_are_retained(broker: Broker, unique: str) -> None:
    """Who subscribes later still hears what was published."""
    with subscriber(broker, unique, Inbox(LIMITS)) as speaker:
        wait_until(speaker.newly_connected, what="a connection")
        speaker.publish([(f"footfall/v1/{unique}/committed", b"notice")])
        with TestClient(broker, f"{unique}-listener", [f"footfall/v1/{unique}/committed"]) as listener:
            assert listener.wait_for(f"footfall/v1/{unique}/committed") == b"notice"


def test_a_broker_that_comes_back_is_found_again(unique: str, tmp_path: Path) -> None:
    """A broker that crashed is connected to again as soon as it runs, and the subscriber says that it is a new one."""
    broker = Broker(tmp_path, kind="mosquitto").start()
    inbox = Inbox(LIMITS)
    try:
        with subscriber(broker, unique, inbox) as patient:
            wait_until(patient.newly_connected, what="the first connection")
            broker.kill()
            wait_until(lambda: not patient.connected, what="the loss of the connection")
            broker.start()
            wait_until(patient.newly_connected, what="the second connection", timeout=60)
            with TestClient(broker, f"{unique}-sender") as sender:
                _subscribed(broker, unique, inbox, sender, patient)
    finally:
        broker.stop()


def test_no_broker_is_no_error(unique: str, tmp_path: Path) -> None:
    """A subscriber may start before its broker; it can be stopped while it waits."""
    broker = Broker(tmp_path, kind="mosquitto")
    broker.command()  # chooses a port
    with subscriber(broker, unique, Inbox(LIMITS)) as early:
        with broker:
            wait_until(lambda: early.connected, what="the connection", timeout=60)
        wait_until(lambda: not early.connected, what="the loss of the connection")


def test_two_with_one_name_do_not_throw_each_other_out_without_pause(mosquitto: Broker, unique: str) -> None:
    """Each connect of one ends the connection of the other: whoever is thrown out at once waits longer each time."""
    with subscriber(mosquitto, unique, Inbox(LIMITS)) as one, subscriber(mosquitto, unique, Inbox(LIMITS)) as other:
        wait_until(lambda: min(one._connection, other._connection) >= 2, what="both to have come back")
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 3, what="some time in which they could do it again")
        connects = one._connection + other._connection

    assert connects <= 20, "a pause of half a second, one, two; without it there are hundreds"


def test_the_one_that_stays_comes_back(mosquitto: Broker, unique: str) -> None:
    """When the other with the same name has gone, the first has the session again and hears what is published."""
    inbox = Inbox(LIMITS)
    with TestClient(mosquitto, f"{unique}-sender") as sender, subscriber(mosquitto, unique, inbox) as stays:
        _subscribed(mosquitto, unique, inbox, sender, stays)
        with subscriber(mosquitto, unique, Inbox(LIMITS)) as leaves:
            wait_until(lambda: leaves._connection, what="the other to take over")
        wait_until(lambda: stays.connected, what="the first to come back")
        sender.publish(numbered(unique, 1, 3))
        heard: list[bytes] = []
        wait_until(
            lambda: b"3" in heard or heard.extend(payloads(_some(inbox, threading.Event()))), what="the messages"
        )

    assert heard[-3:] == [b"1", b"2", b"3"]
