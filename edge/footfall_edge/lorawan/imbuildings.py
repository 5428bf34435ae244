"""IMBUILDINGS people counter: an infrared beam pair that counts both ways. All numbers big endian.

Payload type 02 in three variants, each with a header of type, variant and the device's id, or without it and told apart
by FPort and length:

- 06 (23 bytes; FPort 26, 13 bytes): status, battery, counts A and B since the last one, sensor status, totals A and B,
  number of the payload;
- 07 (15 bytes; FPort 27, 5 bytes): sensor status, totals A and B;
- 08 (14 bytes; FPort 28, 4 bytes): a heartbeat with status and battery, no counts.

A is `in`, B is `out`. Totals are 16 bits wide. What the bits of the sensor status mean is not published.

Sources: TheThingsNetwork/lorawan-devices ``vendor/imbuildings/imbuildings-decoder.js``, ``imbuildings.js`` and
``imbuildings-codec.yaml``.
"""

import struct
from typing import Final

from footfall_edge.lorawan.reading import PayloadError, Reading, both_ways, shown

_TYPE: Final = 2
_HEADER_BYTES: Final = 10
_VARIANT_OF_PORT: Final = {26: 6, 27: 7, 28: 8}

_BODY: Final = {6: struct.Struct(">BHHHBHHB"), 7: struct.Struct(">BHH"), 8: struct.Struct(">BHB")}
"""Variant → what follows the header. The battery is in hundredths of a volt."""


def decode_imbuildings(f_port: int, payload: bytes, _line: int) -> Reading:
    """What a people counter said.

    Raises:
        PayloadError: it is none of the variants above.
    """
    variant, body = _without_header(f_port, payload)
    if variant == 6:
        _status, battery, a, b, _sensor, total_a, total_b, _number = _BODY[6].unpack(body)
        return Reading(totals=both_ways(total_a, total_b), increments=both_ways(a, b), supply_mv=battery * 10)
    if variant == 7:
        _sensor, total_a, total_b = _BODY[7].unpack(body)
        return Reading(totals=both_ways(total_a, total_b))
    _status, battery, _sensor = _BODY[8].unpack(body)
    return Reading(supply_mv=battery * 10)


def _without_header(f_port: int, payload: bytes) -> tuple[int, bytes]:
    """The variant, and what follows the header if there is one."""
    if len(payload) >= 2 and payload[0] == _TYPE and payload[1] in _BODY:
        body = payload[_HEADER_BYTES:]
        if len(body) == _BODY[payload[1]].size:
            return payload[1], body
    variant = _VARIANT_OF_PORT.get(f_port)
    if variant is not None and len(payload) == _BODY[variant].size:
        return variant, payload
    lengths = ", ".join(f"{number} of {_HEADER_BYTES + body.size}" for number, body in _BODY.items())
    raise PayloadError(
        f"{shown(payload)} on FPort {f_port}; a people counter begins 02 and has variant {lengths} bytes, "
        f"or comes without its first {_HEADER_BYTES} bytes on FPort 26, 27 or 28"
    )
