"""A network server's MQTT message → `Uplink`: which device said which bytes, and when they were received.

ChirpStack v4 publishes on ``application/{application}/device/{DevEUI}/event/{event}``, in JSON after the proto3 mapping
with names in camelCase; with ``json = false`` in Protobuf. Current versions write fields that are 0, older ones leave
them out. Sources: chirpstack/chirpstack ``api/proto/integration/integration.proto``, ``api/rust/build.rs``,
``chirpstack/src/config.rs``.

The Things Stack v3 publishes on ``v3/{application}@{tenant}/devices/{device}/{event}``, in JSON with names in
snake_case, without fields that are 0, empty or false: an uplink without ``f_cnt`` is the first of its session. Sources:
TheThingsNetwork/lorawan-stack ``pkg/applicationserver/io/mqtt/topics/v3.go``,
``pkg/applicationserver/io/formatters/json_test.go``, and "MQTT Server" and "Data Formats" in its documentation.

So a missing number is 0, and a field not named here is not looked at. Whatever else is not as it should be is an
`UplinkError`.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from footfall_contract.errors import describe

Network: TypeAlias = Literal["chirpstack", "tts"]
"""The network server: ChirpStack, or The Things Stack (also as The Things Network)."""

SUBSCRIPTIONS: Final[Mapping[Network, str]] = {
    "chirpstack": "application/+/device/+/event/up",
    # The server puts the application that the client logged in as in the place of the first +.
    "tts": "v3/+/devices/+/up",
}
"""The topic filter of each network that matches the uplinks of every device one may see, and no other event."""

MAX_BYTES: Final = 2**20
"""Length of a message. An uplink that a hundred gateways heard is a tenth of it."""
MAX_PORT: Final = 255
MAX_FRAME_COUNTER: Final = 2**32 - 1

_CHIRPSTACK_TOPIC = re.compile(r"(?:.*/)?application/[^/]+/device/([0-9a-fA-F]{16})/event/([^/]+)")
"""``event_topic`` in the configuration of ChirpStack is often given a prefix."""
_TTS_TOPIC = re.compile(r"v3/[^/]+/devices/[^/]+/(.+)")
_EUI = re.compile(r"[0-9a-fA-F]{16}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CHIRPSTACK_HINT = "ChirpStack sends Protobuf while json = false: set json = true in [integration.mqtt]"
_TTS_HINT = "the MQTT server of The Things Stack sends JSON, a Pub/Sub integration only in the format JSON"

_Object: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Uplink:
    """What a device sent once, as the network server tells it."""

    dev_eui: str
    """16 lower-case hexadecimal digits."""
    received_ms: int
    """UTC unix milliseconds, rounded down, at which the network server received it. Devices rarely know the time."""
    f_port: int
    """0 to 255; makers tell their kinds of payload apart by it. 0: nothing for an application."""
    f_cnt: int
    """The frame counter: +1 per uplink of a session, which begins with a join. A gap is uplinks that were lost."""
    payload: bytes
    """The device's bytes, decrypted; may be empty."""
    network: Network


class UplinkError(ValueError):
    """A message that is no uplink which may be counted.

    `where` names the field (``topic``, ``message`` for the whole), `expected` says what would be right, `got` what
    came, in short printable ASCII whatever it was.
    """

    def __init__(self, where: str, expected: str, got: str) -> None:
        super().__init__(where, expected, got)
        self.where = where
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        return f"{self.where}: got {self.got}, expected {self.expected}"


def parse_chirpstack(topic: str, payload: bytes) -> Uplink | None:
    """The uplink in a message of ChirpStack v4; None if the topic is that of another event.

    Raises:
        UplinkError: the topic is not that of a device's event, or the message not what an uplink is.
    """
    found = _CHIRPSTACK_TOPIC.fullmatch(topic)
    if found is None:
        raise UplinkError("topic", "application/{application}/device/{DevEUI}/event/{event}", describe(topic))
    if found[2] != "up":
        return None
    message = _read(payload, _CHIRPSTACK_HINT)
    dev_eui = _eui(_object(message, "deviceInfo"), "devEui", "deviceInfo.devEui")
    if dev_eui != found[1].lower():
        # Brokers grant rights by topic, so a message must not speak for another device.
        raise UplinkError("deviceInfo.devEui", f"{found[1].lower()} as in the topic", dev_eui)
    context = _object(message, "joinServerContext")
    if context.get("sessionKeyId") or context.get("appSKey"):
        raise UplinkError(
            "joinServerContext", "none: the bytes are still encrypted, ChirpStack must know the AppSKey", "one"
        )
    return Uplink(
        dev_eui,
        _time_ms(message, "time", "time"),
        _number(message, "fPort", "fPort", MAX_PORT),
        _number(message, "fCnt", "fCnt", MAX_FRAME_COUNTER),
        _bytes(message, "data", "data"),
        "chirpstack",
    )


def parse_tts(topic: str, payload: bytes) -> Uplink | None:
    """The uplink in a message of The Things Stack v3; None if the topic is that of another event.

    The time is when the Network Server received the uplink, which is before the Application Server did.

    Raises:
        UplinkError: the topic is not that of a device's event, or the message not what an uplink is, or the uplink was
            typed into the console and not measured by anything.
    """
    found = _TTS_TOPIC.fullmatch(topic)
    if found is None:
        raise UplinkError("topic", "v3/{application}@{tenant}/devices/{device}/{event}", describe(topic))
    if found[1] != "up":
        return None
    message = _read(payload, _TTS_HINT)
    if message.get("simulated"):
        raise UplinkError(
            "simulated", "a real uplink: this one was made up in the console, nothing was measured", "true"
        )
    uplink = _object(message, "uplink_message")
    if not uplink:
        raise UplinkError("uplink_message", "an object with the uplink", "nothing")
    if uplink.get("app_s_key"):
        raise UplinkError(
            "uplink_message.app_s_key",
            "none: the bytes are still encrypted, switch off skip_payload_crypto for the device",
            "one",
        )
    if uplink.get("received_at"):
        received_ms = _time_ms(uplink, "received_at", "uplink_message.received_at")
    else:
        received_ms = _time_ms(message, "received_at", "received_at")
    return Uplink(
        _eui(_object(message, "end_device_ids"), "dev_eui", "end_device_ids.dev_eui"),
        received_ms,
        _number(uplink, "f_port", "uplink_message.f_port", MAX_PORT),
        _number(uplink, "f_cnt", "uplink_message.f_cnt", MAX_FRAME_COUNTER),
        _bytes(uplink, "frm_payload", "uplink_message.frm_payload"),
        "tts",
    )


PARSERS: Final[Mapping[Network, Callable[[str, bytes], Uplink | None]]] = {
    "chirpstack": parse_chirpstack,
    "tts": parse_tts,
}


def _read(payload: bytes, hint: str) -> _Object:
    """The JSON object in `payload`."""
    if len(payload) > MAX_BYTES:
        raise UplinkError("message", f"at most {MAX_BYTES} bytes", f"{len(payload)} bytes")
    try:
        message = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        beginning = payload[:8].hex(" ") or "nothing"
        expected = "JSON" if payload.lstrip().startswith(b"{") else f"JSON ({hint})"
        raise UplinkError("message", expected, f"{len(payload)} bytes beginning {beginning}") from error
    if not isinstance(message, dict):
        raise UplinkError("message", "a JSON object", describe(message))
    return message


def _object(parent: _Object, key: str) -> _Object:
    """The object in a field; empty if it is missing."""
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UplinkError(key, "an object", describe(value))
    return value


def _number(parent: _Object, key: str, where: str, highest: int) -> int:
    """The whole number in a field; 0 if it is missing."""
    value = parent.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
        raise UplinkError(where, f"a whole number of 0 to {highest}", describe(value))
    return value


def _bytes(parent: _Object, key: str, where: str) -> bytes:
    """The bytes in a field; none if it is missing."""
    value = parent.get(key)
    if value is None:
        return b""
    try:
        if not isinstance(value, str):
            raise ValueError  # noqa: TRY004, TRY301  # the sentence is below
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise UplinkError(where, "the device's bytes in base64", describe(value)) from error


def _eui(parent: _Object, key: str, where: str) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not _EUI.fullmatch(value):
        raise UplinkError(where, "the DevEUI, 16 hexadecimal digits", describe(value))
    return value.lower()


def _time_ms(parent: _Object, key: str, where: str) -> int:
    """The time in a field, in UTC unix milliseconds, rounded down: RFC 3339 with any offset and any fraction."""
    value = parent.get(key)
    expected = "a time with an offset, as in 2026-01-02T03:04:05.678901234+00:00"
    parts = _TIME.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise UplinkError(where, expected, describe(value))
    seconds, fraction, offset = parts.groups()
    milliseconds = ((fraction or "") + "000")[:3]
    try:
        moment = datetime.fromisoformat(f"{seconds}.{milliseconds}{offset}".upper())
    except ValueError as error:
        raise UplinkError(where, expected, describe(value)) from error
    since = (moment - _EPOCH) // timedelta(milliseconds=1)
    if since < 0:
        # 0001-01-01 is how the servers' languages write a time that nobody set.
        raise UplinkError(where, "a time after 1970", describe(value))
    return since
