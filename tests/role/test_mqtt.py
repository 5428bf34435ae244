"""A paho client that is done with leaves nothing open."""

import re
from pathlib import Path

import pytest
from paho.mqtt.client import Client

from footfall_demo.broker import Broker
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings
from footfall_testing.waiting import wait_until

ROOT = Path(__file__).parents[2]


def _client(broker: Broker, name: str, opened: list[object]) -> Client:
    client = new_client(MqttSettings(), name)
    client.on_socket_open = lambda _client, _userdata, sock: opened.append(sock)
    client.connect(broker.host, broker.port)
    client.loop_start()
    wait_until(client.is_connected, what="the connection")
    return client


def test_hanging_up_closes_all_sockets(mosquitto: Broker, unique: str) -> None:
    """The connection and the pair that wakes the thread are closed at once, without the garbage collector."""
    opened: list[object] = []
    client = _client(mosquitto, unique, opened)
    sockets = [*opened, client._sockpairR, client._sockpairW]
    assert all(isinstance(sock, type(client._sockpairR)) and sock.fileno() != -1 for sock in sockets)

    hang_up(client)

    assert [sock.fileno() for sock in sockets] == [-1, -1, -1]  # type: ignore[attr-defined]


def test_who_hung_up_may_connect_again(mosquitto: Broker, unique: str) -> None:
    """The same client, on new sockets, publishes as before."""
    client = _client(mosquitto, unique, [])
    hang_up(client)

    client.connect_async(mosquitto.host, mosquitto.port)
    client.loop_start()
    wait_until(client.is_connected, what="the second connection")
    client.publish(f"{unique}/x", b"again", qos=1).wait_for_publish(20)

    hang_up(client)


@pytest.mark.parametrize("folder", ["api", "bench", "deploy", "edge", "firmware-sim", "ingest", "tests"])
def test_nobody_ends_a_client_otherwise(folder: str) -> None:
    """A client whose thread is stopped with paho's own call alone leaves sockets for another test to stumble over."""
    own = re.compile(r"\.loop_stop[(]")
    found = [str(file) for file in (ROOT / folder).rglob("*.py") if own.search(file.read_text("utf-8"))]
    assert found == []
