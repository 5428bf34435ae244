"""Messages of network servers to uplinks: what is an uplink, what is none, and what is refused with a reason."""

import base64
import copy
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from footfall_edge.lorawan.payloads import Make, decode
from footfall_edge.lorawan.uplink import (
    MAX_BYTES,
    PARSERS,
    SUBSCRIPTIONS,
    Network,
    Uplink,
    UplinkError,
    parse_chirpstack,
    parse_tts,
)

MESSAGES = Path(__file__).parent / "messages"
EUI = "0004a30b001c0530"
PCR2 = bytes.fromhex("be010400010002000300041c200ce40139")
TOPICS: dict[Network, str] = {
    "chirpstack": f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{EUI}/event/up",
    "tts": "v3/passanten@ttn/devices/johannisstrasse/up",
}
NETWORKS: list[Network] = ["chirpstack", "tts"]
WHOLE: dict[Network, dict[str, Any]] = {
    network: json.loads((MESSAGES / f"{network}.json").read_text()) for network in NETWORKS
}
RECEIVED_MS = 1767323045_000
"""2026-01-02T03:04:05Z."""
DELETE = object()

networks = pytest.mark.parametrize("network", NETWORKS)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)


def changed(network: Network, path: str, value: object) -> bytes:
    """The whole message with another value at `path`, or without it."""
    message = copy.deepcopy(WHOLE[network])
    *parents, key = path.split(".")
    inner = message
    for parent in parents:
        inner = inner[parent]
    if value is DELETE:
        del inner[key]
    else:
        inner[key] = value
    return json.dumps(message).encode()


def parse(network: Network, payload: bytes) -> Uplink:
    """The uplink in a message on the topic of the whole one."""
    uplink = PARSERS[network](TOPICS[network], payload)
    assert uplink is not None
    return uplink


def refusal(network: Network, payload: bytes) -> UplinkError:
    """Why the message is refused."""
    with pytest.raises(UplinkError) as caught:
        PARSERS[network](TOPICS[network], payload)
    return caught.value


def fields(network: Network) -> dict[str, str]:
    """Where the network has what an uplink is made of."""
    if network == "chirpstack":
        return {"eui": "deviceInfo.devEui", "time": "time", "port": "fPort", "counter": "fCnt", "data": "data"}
    inner = {"time": "received_at", "port": "f_port", "counter": "f_cnt", "data": "frm_payload"}
    return {"eui": "end_device_ids.dev_eui"} | {name: f"uplink_message.{key}" for name, key in inner.items()}


def test_whole_messages_are_read() -> None:
    """A message with everything that each network sends gives the device, the time, port, counter and bytes."""
    expected = Uplink(EUI, RECEIVED_MS + 678, 14, 4, PCR2, "chirpstack")
    assert parse_chirpstack(TOPICS["chirpstack"], (MESSAGES / "chirpstack.json").read_bytes()) == expected

    expected = Uplink(EUI, RECEIVED_MS + 898, 14, 42, PCR2, "tts")
    assert parse_tts(TOPICS["tts"], (MESSAGES / "tts.json").read_bytes()) == expected


@networks
def test_what_a_formatter_made_of_the_bytes_is_not_believed(network: Network) -> None:
    """The network server's decoded object has other numbers; those in the bytes count."""
    uplink = parse(network, json.dumps(WHOLE[network]).encode())

    assert decode(Make.PCR2, uplink.f_port, uplink.payload).totals == ((0, 0, 3), (1, 0, 4))


@networks
@pytest.mark.parametrize("missing", [DELETE, None])
def test_a_number_that_is_missing_is_0(network: Network, missing: object) -> None:
    """Both networks may leave out what is 0 or empty; null means the same."""
    names = fields(network)

    assert parse(network, changed(network, names["counter"], missing)).f_cnt == 0
    assert parse(network, changed(network, names["port"], missing)).f_port == 0
    assert parse(network, changed(network, names["data"], missing)).payload == b""


@networks
def test_unknown_fields_are_ignored(network: Network) -> None:
    """What a later version of the network server adds changes nothing, whatever it is."""
    plain = parse(network, json.dumps(WHOLE[network]).encode())

    for value in (None, 1, "x", [1], {"devEui": "f" * 16}):
        assert parse(network, changed(network, "somethingNew", value)) == plain


@networks
@pytest.mark.parametrize("eui", ["0004a30b001c0530", "0004A30B001C0530", "0004a30B001C0530"])
def test_the_eui_is_lower_case(network: Network, eui: str) -> None:
    """A device has one name, in whatever case the network writes it."""
    assert parse(network, changed(network, fields(network)["eui"], eui)).dev_eui == EUI


def test_the_topic_of_chirpstack_may_have_the_eui_in_either_case_and_a_prefix() -> None:
    """The topic is set in ChirpStack's configuration; one with a prefix is still that of the device."""
    message = json.dumps(WHOLE["chirpstack"]).encode()

    for topic in (TOPICS["chirpstack"].replace(EUI, EUI.upper()), "stadt/jena/" + TOPICS["chirpstack"]):
        assert parse_chirpstack(topic, message) == parse("chirpstack", message)


def test_a_message_does_not_speak_for_another_device() -> None:
    """A broker lets a client write to its own topics; what is in the message must be of that device."""
    error = refusal("chirpstack", changed("chirpstack", "deviceInfo.devEui", "ffffffffffffffff"))

    assert str(error) == f"deviceInfo.devEui: got ffffffffffffffff, expected {EUI} as in the topic"


@networks
@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02t03:04:05z", 0),
        ("2026-01-02T03:04:05.1Z", 100),
        ("2026-01-02T03:04:05.999999999+00:00", 999),
        ("2026-01-02T03:04:05.000999999Z", 0),
        ("2026-01-02T04:04:05.25+01:00", 250),
        ("2026-01-01T21:34:05.678901234-05:30", 678),
        ("2026-01-02T03:04:05.12345678901234567890Z", 123),
    ],
)
def test_times_are_read_with_any_offset_and_fraction(network: Network, text: str, milliseconds: int) -> None:
    """Milliseconds are rounded down, so that a time is never in the next second."""
    uplink = parse(network, changed(network, fields(network)["time"], text))

    assert uplink.received_ms == RECEIVED_MS + milliseconds


@given(
    st.integers(2 * 86400, 253_402_214_400),
    st.integers(-24 * 60 + 1, 24 * 60 - 1),
    st.integers(0, 9),
    st.integers(0, 10**9 - 1),
)
def test_a_time_written_in_any_zone_is_the_same_instant(
    utc_s: int, offset_min: int, digits: int, nanoseconds: int
) -> None:
    """Whatever the zone and the number of digits, the milliseconds since 1970 are those of the instant."""
    local = datetime.fromtimestamp(0, UTC) + timedelta(seconds=utc_s, minutes=offset_min)
    fraction = f"{nanoseconds:09d}"[:digits]
    sign, minutes = ("-" if offset_min < 0 else "+"), abs(offset_min)
    text = f"{local:%Y-%m-%dT%H:%M:%S}{'.' * bool(fraction)}{fraction}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    expected = utc_s * 1000 + int((fraction + "000")[:3])

    assert parse("tts", changed("tts", "uplink_message.received_at", text)).received_ms == expected


@networks
@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T25:04:05Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+99:00",
        "2026-01-02T03:04:05Z\n",
        "٢٠٢٦-01-02T03:04:05Z",
        "2026-01-02T03:04:05.123٤Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        1767323045,
        ["2026-01-02T03:04:05Z"],
    ],
)
def test_what_is_no_time_is_refused(network: Network, text: object) -> None:
    """A time without offset, a day that does not exist, a time that nobody set: where it stood is said."""
    error = refusal(network, changed(network, fields(network)["time"], text))

    assert error.where == fields(network)["time"]
    assert "a time" in error.expected


def test_without_a_time_of_the_network_server_the_application_servers_counts() -> None:
    """The Things Stack tells two times: of the uplink's arrival at the Network Server, and a little later."""
    message = changed("tts", "uplink_message.received_at", DELETE)
    assert parse("tts", message).received_ms == RECEIVED_MS + 1_100

    message = json.loads(message)
    del message["received_at"]
    assert refusal("tts", json.dumps(message).encode()).where == "received_at"


def test_a_simulated_uplink_is_refused() -> None:
    """An uplink that somebody typed into the console of The Things Stack is no measurement."""
    error = refusal("tts", changed("tts", "simulated", True))

    assert error.where == "simulated"
    assert "nothing was measured" in str(error)
    assert parse("tts", changed("tts", "simulated", False)) == parse("tts", json.dumps(WHOLE["tts"]).encode())


def test_bytes_that_are_still_encrypted_are_refused() -> None:
    """A network server that does not know the key hands on what would be random counts."""
    for context in ({"sessionKeyId": "010203"}, {"sessionKeyId": "", "appSKey": {"aesKey": "AAAA"}}):
        error = refusal("chirpstack", changed("chirpstack", "joinServerContext", context))
        assert "still encrypted" in str(error)
    empty = {"sessionKeyId": "", "appSKey": None}
    assert parse("chirpstack", changed("chirpstack", "joinServerContext", empty)).payload == PCR2

    error = refusal("tts", changed("tts", "uplink_message.app_s_key", {"key": "AAAA"}))
    assert "still encrypted" in str(error)


@networks
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eui", DELETE),
        ("eui", "0004a30b001c053"),
        ("eui", "0004a30b001c05300"),
        ("eui", "0004a30b001c053g"),
        ("eui", 1234567812345678),
        ("port", -1),
        ("port", 256),
        ("port", True),
        ("port", 14.0),
        ("port", "14"),
        ("counter", 2**32),
        ("counter", float("nan")),
        ("data", "vgEE*"),
        ("data", "vgE"),
        ("data", "vgEE\n"),
        ("data", "ä"),
        ("data", "\ud800"),
        ("data", [190, 1]),
    ],
)
def test_a_field_that_is_wrong_is_named(network: Network, name: str, value: object) -> None:
    """The error says which field it was, what came and what would be right, in printable ASCII."""
    error = refusal(network, changed(network, fields(network)[name], value))

    assert error.where == fields(network)[name]
    assert str(error) == f"{error.where}: got {error.got}, expected {error.expected}"
    assert str(error).isascii()
    assert str(error).isprintable()
    assert len(str(error)) < 250


@networks
@pytest.mark.parametrize(("digits", "got"), [(100, "a whole number of 333 bits"), (5000, "bytes beginning")])
def test_a_number_without_end_is_refused(network: Network, digits: int, got: str) -> None:
    """Python does not read a number of thousands of digits: then the message is none."""
    payload = changed(network, fields(network)["counter"], 77).replace(b" 77,", b" " + b"9" * digits + b",")

    assert got in refusal(network, payload).got


@networks
def test_the_limits_of_numbers_are_theirs(network: Network) -> None:
    """FPort 255 and the last frame counter are read."""
    assert parse(network, changed(network, fields(network)["port"], 255)).f_port == 255
    assert parse(network, changed(network, fields(network)["counter"], 2**32 - 1)).f_cnt == 2**32 - 1


@pytest.mark.parametrize(
    ("network", "path"),
    [
        ("chirpstack", "deviceInfo"),
        ("chirpstack", "joinServerContext"),
        ("tts", "end_device_ids"),
        ("tts", "uplink_message"),
    ],
)
def test_an_object_that_is_none_is_named(network: Network, path: str) -> None:
    """Where an object belongs a list or a text is refused."""
    for value in ([], "x", 1, True):
        assert refusal(network, changed(network, path, value)).where == path


def test_another_message_on_the_topic_of_uplinks_is_refused() -> None:
    """A message of The Things Stack without an uplink in it is not one."""
    assert refusal("tts", changed("tts", "uplink_message", DELETE)).where == "uplink_message"


@networks
@pytest.mark.parametrize("payload", [b"", b"[]", b'"x"', b"null", b"{", b"\xff\xfe{\x00}\x00", b"[" * 100_000, b"\x00"])
def test_what_is_no_json_object_is_refused(network: Network, payload: bytes) -> None:
    """An empty message, cut ones, other texts, and nesting without end."""
    assert refusal(network, payload).where == "message"


def test_protobuf_is_told_how_to_become_json() -> None:
    """ChirpStack with json = false sends Protobuf: the error says where to change that."""
    # Field 1, a text of 36 bytes: the id; field 2, a message: the time.
    protobuf = b"\n\x243ac7e3c4-4401-4b8d-9386-a5c902f9202d\x12\x0c\x08\xe5\x85\xdd\xca\x06\x10\xf2\xeb\xdc\xc3\x02"
    error = refusal("chirpstack", protobuf)

    assert "set json = true in [integration.mqtt]" in error.expected
    assert error.got == f"{len(protobuf)} bytes beginning 0a 24 33 61 63 37 65 33"
    assert "format JSON" in refusal("tts", protobuf).expected
    assert refusal("chirpstack", b'{"time"').expected == "JSON"


@networks
def test_a_message_without_end_is_refused(network: Network) -> None:
    """The longest message is a megabyte; it is not even read beyond."""
    padded = json.dumps(WHOLE[network]).encode()
    padded += b" " * (MAX_BYTES - len(padded))
    assert parse(network, padded)

    assert refusal(network, padded + b" ").got == f"{MAX_BYTES + 1} bytes"


@pytest.mark.parametrize(
    ("network", "events"),
    [
        ("chirpstack", ["join", "ack", "txack", "log", "status", "location", "integration"]),
        ("tts", ["join", "down/queued", "down/sent", "down/ack", "location/solved", "service/data", "up/normalized"]),
    ],
)
def test_other_events_are_none(network: Network, events: list[str]) -> None:
    """They are no uplinks and no faults, whatever is in them, and nobody subscribes to them."""
    for event in events:
        topic = TOPICS[network].removesuffix("up") + event
        assert PARSERS[network](topic, b"\x00") is None
        assert not topic_matches_sub(SUBSCRIPTIONS[network], topic)


@networks
def test_the_subscription_matches_the_uplinks(network: Network) -> None:
    """What is subscribed to is what the parser reads."""
    assert topic_matches_sub(SUBSCRIPTIONS[network], TOPICS[network])


@pytest.mark.parametrize(
    ("read", "topic"),
    [
        (parse_chirpstack, "eu868/gateway/0016c001f153a14c/event/up"),
        (parse_chirpstack, "application/x/device/0004a30b001c053/event/up"),
        (parse_chirpstack, "myapplication/x/device/0004a30b001c0530/event/up"),
        (parse_chirpstack, f"application/x/device/{EUI}/command/down"),
        (parse_chirpstack, ""),
        (parse_tts, f"application/x/device/{EUI}/event/up"),
        (parse_tts, "v2/passanten@ttn/devices/a/up"),
        (parse_tts, "v3/passanten@ttn/devices/up"),
        (parse_tts, "x/v3/passanten@ttn/devices/a/up"),
    ],
)
def test_topics_that_are_none_of_the_network_are_refused(
    read: Callable[[str, bytes], Uplink | None], topic: str
) -> None:
    """A subscription that was set too wide brings what is of no device; it is said which topic that was."""
    with pytest.raises(UplinkError, match=r"^topic: got ") as caught:
        read(topic, b"{}")

    assert caught.value.got.startswith(ascii(topic)[:60])


@given(st.sampled_from(NETWORKS), st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=242))
def test_every_uplink_comes_through(network: Network, port: int, counter: int, data: bytes) -> None:
    """Whatever port, counter and bytes a device sends are those of the uplink."""
    names = fields(network)
    message = json.loads(changed(network, names["data"], base64.b64encode(data).decode()))
    inner = message if network == "chirpstack" else message["uplink_message"]
    inner[names["port"].split(".")[-1]], inner[names["counter"].split(".")[-1]] = port, counter
    uplink = parse(network, json.dumps(message).encode())

    assert (uplink.f_port, uplink.f_cnt, uplink.payload) == (port, counter, data)


def read_somehow(network: Network, topic: str, payload: bytes) -> Uplink | None:
    """What is read of a message; None also if it is refused. Any other exception comes through."""
    try:
        return PARSERS[network](topic, payload)
    except UplinkError:
        return None


@given(st.sampled_from(NETWORKS), st.text(max_size=80), st.binary(max_size=200))
def test_noise_is_refused_and_nothing_worse(network: Network, topic: str, payload: bytes) -> None:
    """Random topics and bytes are refused, and raise nothing else."""
    assert read_somehow(network, topic, payload) is None
    assert read_somehow(network, TOPICS[network], payload) is None


@given(st.sampled_from(NETWORKS), st.data())
def test_a_value_of_any_kind_in_any_place_is_read_or_refused(network: Network, data: st.DataObject) -> None:
    """Whatever stands in whichever field, there is an uplink or a refusal."""
    inner = [(parent, key) for parent, value in WHOLE[network].items() if isinstance(value, dict) for key in value]
    path = data.draw(st.sampled_from([*WHOLE[network], *(f"{parent}.{key}" for parent, key in inner)]))
    uplink = read_somehow(network, TOPICS[network], changed(network, path, data.draw(values)))

    assert uplink is None or uplink.dev_eui == EUI or network == "tts"


@networks
def test_messages_cut_anywhere_and_with_wrong_bytes_are_read_or_refused(network: Network) -> None:
    """A message cut short is refused at every length; one with wrong bytes raises nothing else."""
    dice = random.Random(network)
    whole = json.dumps(WHOLE[network]).encode()
    for length in range(len(whole)):
        assert read_somehow(network, TOPICS[network], whole[:length]) is None
    for _ in range(2000):
        wrong = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            wrong[dice.randrange(len(wrong))] = dice.randrange(256)
        read_somehow(network, TOPICS[network], bytes(wrong))
