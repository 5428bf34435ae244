"""Two connections that want the same session: whatever broker the demo takes, the later one has it."""

from footfall_demo.broker import Broker
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until


def keeper(broker: Broker, name: str) -> TestClient:
    """A client with a session that outlives its connection; it does not come back when it is thrown out."""
    return TestClient(broker, name, [f"{name}/#"], clean_session=False, reconnect_on_failure=False)


def numbers(client: TestClient) -> list[bytes]:
    """What it heard on its topic ``x``; amqtt greets each client with what others retain."""
    return [payload for topic, payload in client.history if topic.endswith("/x")]


def test_who_takes_a_session_over_is_heard_by_the_broker(broker: Broker, unique: str) -> None:
    """The second connection of a name gets what is published, and again when the first one has gone for good."""
    with TestClient(broker, f"{unique}-sender") as sender, keeper(broker, unique) as first:
        sender.publish([(f"{unique}/x", b"1")])
        wait_until(lambda: numbers(first) == [b"1"], what="the first to hear")
        for _ in range(2):  # with the answers its acknowledgement has come, which it sends after it has heard
            first.publish([(f"{unique}-else/y", b"")])
        with keeper(broker, unique) as second:
            wait_until(lambda: not first.connected, what="the first to be thrown out")
            for number in (b"2", b"3"):
                sender.publish([(f"{unique}/x", number)])
                wait_until(lambda wanted=number: wanted in numbers(second), what="the second to hear")  # type: ignore[misc]

    assert numbers(first) == [b"1"]
    assert numbers(second) == [b"2", b"3"]


def test_a_session_without_connections_is_kept_for(broker: Broker, unique: str) -> None:
    """When all connections that had the session are gone it is at rest, and what comes meanwhile waits for the next."""
    with TestClient(broker, f"{unique}-sender") as sender:
        with keeper(broker, unique) as first, keeper(broker, unique):
            wait_until(lambda: not first.connected, what="the first to be thrown out")

        def is_kept() -> bool:
            sender.publish([(f"{unique}/x", b"kept")])
            with keeper(broker, unique) as third:
                return bool(numbers(third))  # what was kept comes before the answer to the subscription

        wait_until(is_kept, every=0.1, what="something that was kept")


def test_who_dies_amid_the_first_messages_leaves_no_deaf_session(broker: Broker, unique: str) -> None:
    """Retained messages of two filters are on the way to a client that acknowledges none and goes; the next one hears.

    amqtt does not notice then for some seconds: it waits for the dead one to acknowledge those of the second filter.
    """
    filters = [f"{unique}/health/#", f"{unique}/status/#"]
    states = [f"{unique}/health/retained", f"{unique}/status/retained"]
    with TestClient(broker, f"{unique}-sender") as sender:
        sender.publish([(topic, b"fine") for topic in states], retain=True)
        with TestClient(broker, unique, filters, clean_session=False, manual_ack=True) as dies:
            wait_until(lambda: states[0] in dies.heard, what="the first retained message")
        sender.publish([(topic, b"") for topic in states], retain=True)  # others use this broker too
        with TestClient(broker, unique, filters, clean_session=False) as lives:
            for number in (b"1", b"2", b"3"):
                sender.publish([(f"{unique}/health/x", number)])
                wait_until(lambda wanted=number: wanted in numbers(lives), what="what is new")  # type: ignore[misc]
