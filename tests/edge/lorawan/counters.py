"""LoRaWAN counters for the tests: their bytes after the makers' documents, and a network server's messages."""

import base64
import json
import struct
from datetime import UTC, datetime

from footfall_edge.lorawan.uplink import Network

EUI = "0004a30b001c0530"
NOON_MS = 1_764_072_000_000
"""2025-11-25T12:00:00Z."""


def pcr2(totals: tuple[int, int], since: tuple[int, int] = (0, 0)) -> bytes:
    """A PCR2's extended payload: counts since the last uplink, sums of 16 bits."""
    return b"\xbe\x01\x04" + struct.pack(">HHHHHHh", *since, *totals, 7200, 12, 215)


def elsys(since: tuple[int, int]) -> bytes:
    """A PCR2's payload without sums."""
    return struct.pack(">BHBH", 0x0A, since[0], 0x16, since[1])


def vs133(totals: tuple[int, int], line: int = 1) -> bytes:
    """The totals of one line of a VS133 (a VS132 has the first alone), 32 bits."""
    shift = 3 * (line - 1)
    return struct.pack("<BBIBBI", 3 + shift, 0xD2, totals[0], 4 + shift, 0xD2, totals[1])


def topic(network: Network, dev_eui: str = EUI, application: str = "17c82e96") -> str:
    """The topic on which a network server publishes the uplinks of a device."""
    if network == "chirpstack":
        return f"application/{application}/device/{dev_eui}/event/up"
    return f"v3/{application}@ttn/devices/eui-{dev_eui}/up"


def message(network: Network, payload: bytes, f_cnt: int, at_ms: int, *, dev_eui: str = EUI, f_port: int = 14) -> bytes:
    """A network server's message with an uplink that it received at `at_ms`, UTC unix milliseconds."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    data = base64.b64encode(payload).decode()
    if network == "chirpstack":
        said = {"time": at, "deviceInfo": {"devEui": dev_eui}, "fCnt": f_cnt, "fPort": f_port, "data": data}
        return json.dumps(said).encode()
    uplink = {"received_at": at, "f_cnt": f_cnt, "f_port": f_port, "frm_payload": data}
    ids = {"device_id": f"eui-{dev_eui}", "dev_eui": dev_eui.upper()}
    return json.dumps({"end_device_ids": ids, "received_at": at, "uplink_message": uplink}).encode()
