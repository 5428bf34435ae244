"""Parametric PCR2, a radar that counts both ways. All numbers big endian.

FPort 14 carries counts in one of the formats that the device can be set to:

- extended, version 4 (firmware 3.6, 17 bytes) and version 3 (firmware 3.4, 16 bytes): counts since the last uplink and
  sums since power-up. The sums are 16 bits wide and can be set by a downlink;
- the one that Elsys devices use (the only one of version 2): tag and value, counts since the last uplink;
- Cayenne LPP: the same in 8 bits.

FPort 190 carries the device's configuration, after each join and in answer to a downlink: no counts.

Left to right (LTR) is `in`: it is what `in` means for a line that runs straight ahead from the sensor.

Sources: TheThingsNetwork/lorawan-devices ``vendor/parametric/pcr2-decoder.js`` and ``pcr2-codec.yaml``; "PCR2 LoRaWAN
Payload Description" V4 at docs.pmx.systems; "PCR2 Application Payload" V2 and V3 at www.parametric.ch/docs/pcr2.
"""

import struct
from typing import Final

from footfall_edge.lorawan.reading import PayloadError, Reading, both_ways, shown

COUNTS_PORT: Final = 14
CONFIGURATION_PORT: Final = 190

_EXTENDED: Final = b"\xbe\x01"
"""Vendor and family; the version of the payload follows."""
_VERSION_4: Final = struct.Struct(">HHHHHHh")
"""LTR, RTL, their sums, battery mV, solar power mW, temperature in tenths of a degree."""
_VERSION_3: Final = struct.Struct(">HHHHBHh")
"""The same with the battery in percent."""
_CAYENNE: Final = struct.Struct(">2sB2sB2sh")

_TEMPERATURE, _LTR, _RTL = 0x01, 0x0A, 0x16
"""Tags of the Elsys format, each followed by two bytes."""

_FIRMWARE_AT: Final = {14: 1, 20: 4, 31: 4, 34: 4, 35: 4}
"""Length of a configuration (versions 2 to 6) → where the three numbers of the firmware's version begin."""


def decode_pcr2(f_port: int, payload: bytes, _line: int) -> Reading:
    """What a PCR2 said.

    Raises:
        PayloadError: it is none of the formats above.
    """
    if f_port == CONFIGURATION_PORT:
        return _configuration(payload)
    if f_port != COUNTS_PORT:
        raise PayloadError(
            f"FPort {f_port}; a PCR2 counts on FPort {COUNTS_PORT} and tells its settings on {CONFIGURATION_PORT}"
        )
    if payload.startswith(_EXTENDED):
        return _extended(payload)
    if payload[0] == _LTR:
        return _elsys(payload)
    if payload.startswith(b"\x00\x66"):
        return _cayenne(payload)
    raise PayloadError(
        f"{shown(payload)}; a PCR2 begins be 01 (extended), 0a (Elsys) or 00 66 (Cayenne LPP): is it a PCR2?"
    )


def _extended(payload: bytes) -> Reading:
    version, rest = payload[2:3], payload[3:]
    layout = {b"\x03": _VERSION_3, b"\x04": _VERSION_4}.get(version)
    if layout is None:
        raise PayloadError(f"{shown(payload)}; versions 3 and 4 of the extended payload are known")
    if len(rest) != layout.size:
        raise PayloadError(f"{len(payload)} bytes; version {version[0]} has {3 + layout.size}")
    ltr, rtl, ltr_sum, rtl_sum, battery, _solar_mw, tenths = layout.unpack(rest)
    percent = layout is _VERSION_3
    return Reading(
        totals=both_ways(ltr_sum, rtl_sum),
        increments=both_ways(ltr, rtl),
        battery_percent=battery if percent else None,
        supply_mv=None if percent else battery,
        temperature=tenths / 10,
    )


def _elsys(payload: bytes) -> Reading:
    numbers: dict[int, int] = {}
    at = 0
    while at < len(payload) and payload[at] in (_TEMPERATURE, _LTR, _RTL) and at + 3 <= len(payload):
        signed = payload[at] == _TEMPERATURE
        numbers[payload[at]] = int.from_bytes(payload[at + 1 : at + 3], "big", signed=signed)
        at += 3
    left = payload[at:]
    if not numbers:
        raise PayloadError(f"{shown(payload)}; a tag of the Elsys format has two bytes after it")
    increments = tuple(
        cell
        for tag, cell in zip((_LTR, _RTL), both_ways(numbers.get(_LTR, 0), numbers.get(_RTL, 0)), strict=True)
        if tag in numbers
    )
    tenths = numbers.get(_TEMPERATURE)
    return Reading(
        increments=increments,
        temperature=None if tenths is None else tenths / 10,
        remarks=(f"not decoded from byte {at} on: {shown(left)}; tags 01, 0a and 16 are known",) if left else (),
    )


def _cayenne(payload: bytes) -> Reading:
    if len(payload) != _CAYENNE.size:
        raise PayloadError(f"{len(payload)} bytes; the Cayenne LPP payload of a PCR2 has {_CAYENNE.size}")
    first, ltr, second, rtl, third, tenths = _CAYENNE.unpack(payload)
    if (first, second, third) != (b"\x00\x66", b"\x01\x66", b"\x02\x67"):
        raise PayloadError(f"{payload.hex(' ')}; a PCR2 sends channels 00 66, 01 66 and 02 67 in Cayenne LPP")
    highest = 255
    full = highest in (ltr, rtl)
    return Reading(
        increments=both_ways(ltr, rtl),
        temperature=tenths / 10,
        remarks=("255 is the most that Cayenne LPP can say, there may have been more: set the extended payload",)
        if full
        else (),
    )


def _configuration(payload: bytes) -> Reading:
    at = _FIRMWARE_AT.get(len(payload))
    if at is None:
        known = ", ".join(map(str, _FIRMWARE_AT))
        return Reading(remarks=(f"configuration of {len(payload)} bytes not read; of {known} bytes it would be",))
    return Reading(firmware=".".join(map(str, payload[at : at + 3])))
