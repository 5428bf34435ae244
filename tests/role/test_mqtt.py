"""A paho client that is done with leaves nothing open."""

import re
from pathlib import Path

import pytest
from paho.mqtt.client import Client

from footfall_demo.broker import Broker
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings, SettingsError
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


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Not what ssl says of it, which has no file: whoever sets a box up sees which one is meant, and why not."""
    missing, other, folder = tmp_path / "ca.crt", tmp_path / "other.crt", tmp_path / "folder"
    other.write_text("no certificate\n")
    folder.mkdir()
    for settings, said in (
        (MqttSettings(tls=True, ca_file=missing), rf"^ca_file: {missing}: cannot be read: No such file or directory$"),
        (MqttSettings(tls=True, ca_file=other), rf"^ca_file: {other}: is no certificate or key that can be used"),
        (MqttSettings(tls=True, ca_file=folder), rf"^ca_file: {folder}: cannot be read: "),
        (MqttSettings(tls=True, cert_file=missing, key_file=other), rf"^cert_file, key_file: {missing} and {other}: "),
    ):
        with pytest.raises(SettingsError, match=said):
            new_client(settings, "nobody")


@pytest.mark.parametrize("folder", ["api", "bench", "deploy", "edge", "firmware-sim", "ingest", "tests"])
def test_nobody_ends_a_client_otherwise(folder: str) -> None:
    """A client whose thread is stopped with paho's own call alone leaves sockets for another test to stumble over."""
    own = re.compile(r"\.loop_stop[(]")
    found = [str(file) for file in (ROOT / folder).rglob("*.py") if own.search(file.read_text("utf-8"))]
    assert found == []
