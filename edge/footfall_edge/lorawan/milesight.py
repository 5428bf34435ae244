"""Milesight people counters: VS121 (camera), VS132, VS133, VS135 (time of flight), VS350, VS360 (infrared).

A payload is a chain of channel, type and value. No length is written, it follows from channel and type, so what comes
after a pair that is not known here cannot be found: it is left, and said. All numbers little endian, except a mask.

| device | totals | since the last report |
|---|---|---|
| VS132 | 03 D2 in, 04 D2 out, 32 bits | 05 CC in, out, 16 bits each |
| VS133, VS135 | the same for line 1; 06, 07 for line 2; 09, 0A for line 3; 0C, 0D for line 4 | 05, 08, 0B, 0E CC |
| VS350, VS360 | 04 CC in, out, 16 bits each; 84 CC the same and an alarm | 05 CC |
| VS121 | 0D CC in, out, 16 bits each | 05 CC, signed |

Which way is "in" is set by the arrow of the line in the device. What is left out on purpose:

- 85 CC, the alarm that too many passed since the last report: the next report has them again;
- the totals of children of the VS133 and VS135: whether a line's total includes them is not published, and it is taken
  to, so that nobody counts twice;
- history (20 CE), which a device sends again when it was asked or had no connection: its totals are of the past, and
  what it counted then is in the totals of today. Without totals it is lost, and the remark says so.

FPort 85 is usual and can be changed, so any will do.

Source: the payload tables and examples in Milesight-IoT/SensorDecoders, ``vs-series/{vs121,vs132,vs133,vs135,vs13x,
vs350,vs360}``; the lengths of answers to settings after the decoders there.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from footfall_contract.words import Direction, PassageClass
from footfall_edge.counts import Passages
from footfall_edge.lorawan.reading import PayloadError, Reading, both_ways, shown

_Pair: TypeAlias = tuple[int, int]
"""Channel and type."""
_Length: TypeAlias = int | Callable[[bytes], int | None]
"""Bytes of a value, or what tells them from the bytes that begin with it; None if that cannot be told."""
_Lengths: TypeAlias = Mapping[_Pair, _Length]

_ABOUT: Final[_Lengths] = {
    (0xFF, 0x01): 1,  # version of the protocol
    (0xFF, 0x09): 2,  # of the hardware
    (0xFF, 0x0A): 2,  # of the firmware
    (0xFF, 0x1F): 4,  # of the firmware
    (0xFF, 0xFF): 2,  # of the thing specification
    (0xFF, 0x16): 8,  # serial number
    (0xFF, 0x0F): 1,  # LoRaWAN class
    (0xFF, 0xFE): 1,  # reset
    (0xFF, 0x0B): 1,  # switched on
}
_HISTORY: Final[_Pair] = (0x20, 0xCE)
_LINE_CHILDREN: Final = range(0x11, 0x1D)
_ALARM_OFF, _ALARM_ON = 0, 1


def _answers(lengths: Mapping[int, int]) -> dict[_Pair, _Length]:
    """Settings that the device repeats when they were changed, by type."""
    return {(channel, kind): length for channel in (0xFE, 0xFF) for kind, length in lengths.items()}


def _history_tof(value: bytes) -> int | None:
    """Time, channel of the live value (dwell times have their own numbers), value."""
    kind = value[4] if len(value) > 4 else 0x03
    if 0x03 <= kind <= 0x0F or kind in _LINE_CHILDREN or kind == 0x1D:
        return 9
    return 8 if kind in (0x10, 0x20, 0x1E, 0x3C) else None


def _history_beam(value: bytes) -> int | None:
    """Time, kind, in and out of the period, and with kind 1 the totals."""
    return {0: 9, 1: 13}.get(value[4] if len(value) > 4 else 0)


def _history_camera(value: bytes) -> int | None:
    """Time, kind, value."""
    kind = value[4] if len(value) > 4 else 0x01
    return {0x03: 6, 0x11: 10}.get(kind, 9) if 0x01 <= kind <= 0x12 else None


def _serial_camera(value: bytes) -> int:
    """A serial number of the VS121 has 6 bytes or 8. No byte of one is FF, and the pair after it begins with FF."""
    return 8 if len(value) >= 8 and value[6] != 0xFF and value[8:9] in (b"", b"\xff") else 6


_TOF: Final[_Lengths] = {
    **_answers({
        0x03: 2, 0x04: 1, 0x10: 1, 0x11: 4, 0x27: 1, 0x40: 1, 0x42: 1, 0x43: 1, 0x44: 1, 0x51: 1, 0x68: 1, 0x69: 1,
        0x6A: 3, 0x6D: 1,
    }),
    **_ABOUT,
    **{(channel, 0xD2): 4 for line in range(4) for channel in (3 + 3 * line, 4 + 3 * line)},
    **{(5 + 3 * line, 0xCC): 4 for line in range(4)},
    **{(channel, 0xCC if channel % 3 == 1 else 0xD2): 4 for channel in _LINE_CHILDREN},
    (0x0F, 0xE3): 4,  # people in the regions
    (0x1D, 0xE3): 4,  # children in the regions
    (0x10, 0xE4): 5,  # dwell time
    (0x1E, 0xE4): 5,  # of children
    (0x50, 0xFC): 3,  # something covers a lens
    _HISTORY: _history_tof,
}  # fmt: skip
"""VS132, VS133, VS135."""

_BEAM: Final[_Lengths] = {
    **_answers({
        0x06: 9, 0x10: 1, 0x28: 1, 0x35: 8, 0x4A: 1, 0x68: 1, 0x69: 1, 0x6A: 3, 0x6B: 1, 0x6D: 1, 0x75: 6, 0x84: 1,
        0x8E: 3, 0x96: 8, 0xA6: 1, 0xA7: 2, 0xA8: 1, 0xA9: 1, 0xAA: 1, 0xAB: 3, 0xAC: 4, 0xAD: 1, 0xBD: 2, 0xED: 3,
        0xEF: 3, 0xFC: 1, 0xFD: 1,
    }),
    **_ABOUT,
    (0x01, 0x75): 1,  # battery in percent
    (0x02, 0x75): 1,  # that of the other half of the VS360
    (0x03, 0x67): 2,  # temperature in tenths of a degree
    (0x83, 0x67): 3,
    (0x03, 0xF4): 2,  # an event
    (0x04, 0xCC): 4,
    (0x84, 0xCC): 5,
    (0x05, 0xCC): 4,
    (0x85, 0xCC): 5,
    (0x0A, 0xEF): 4,  # the time of the report, for the device may have a clock
    (0x81, 0xEE): 1,  # sensitivity
    _HISTORY: _history_beam,
}  # fmt: skip
"""VS350, VS360."""

_CAMERA: Final[_Lengths] = {
    **_answers({
        0x03: 3, 0x04: 1, 0x05: 3, 0x10: 1, 0x11: 4, 0x35: 8, 0x40: 1, 0x41: 1, 0x42: 1, 0x43: 1, 0x44: 1, 0x45: 1,
        0x46: 3, 0x48: 1, 0x50: 1, 0x51: 1, 0x69: 1, 0x6A: 3, 0x84: 1,
    }),
    **_ABOUT,
    (0xFF, 0x08): _serial_camera,
    (0x04, 0xC9): 4,  # people, regions, mask of the regions with people
    (0x05, 0xCC): 4,
    (0x06, 0xCD): 1,  # most people at once
    (0x07, 0xD5): 8,  # people in regions 1 to 8
    (0x08, 0xD5): 8,  # 9 to 16
    **{(channel, 0xDA): 8 for channel in range(0x09, 0x0D)},  # flow from A, B, C, D
    (0x0D, 0xCC): 4,
    (0x0E, 0xE4): 5,  # dwell time
    (0x0F, 0x85): 4,  # time
    (0x10, 0xF7): 4,  # a line's in and out, of which it is not published how they go with 05 CC
    _HISTORY: _history_camera,
}  # fmt: skip
"""VS121."""

_EVENTS: Final = {0: "counting is not plausible", 1: "the other half does not answer", 2: "the halves are not aligned"}
"""Of the VS360."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One link of the chain."""

    pair: _Pair
    value: bytes


def decode_tof(_f_port: int, payload: bytes, line: int) -> Reading:
    """What a VS132, VS133 or VS135 said of its line `line`, from 1 to 4; a VS132 has line 1 alone.

    Raises:
        PayloadError: not even the first link of the chain is known.
    """
    items, reading = _chain(payload, _TOF)
    values = _last(items)
    shift = 3 * (line - 1)
    totals = tuple(
        (int(direction), int(PassageClass.PEDESTRIAN), int.from_bytes(values[channel + shift, 0xD2], "little"))
        for direction, channel in ((Direction.IN, 0x03), (Direction.OUT, 0x04))
        if (channel + shift, 0xD2) in values
    )
    others = [number + 1 for number in range(4) if any((3 * number + channel, 0xD2) in values for channel in (3, 4))]
    remarks = reading.remarks
    if others and not totals:
        remarks += (f"no totals of line {line}, but of line {', '.join(map(str, others))}: is it the right line?",)
    covered = tuple(
        (
            f"the lens of {'the device' if item.value[1] == 0 else f'node {item.value[1]}'} is covered",
            bool(item.value[2]),
        )
        for item in items
        if item.pair == (0x50, 0xFC) and item.value[2] in (_ALARM_OFF, _ALARM_ON)
    )
    return replace(
        reading,
        totals=totals,
        width_bits=32,
        increments=_two(values.get((0x05 + shift, 0xCC))),
        cleared=_answered(items, 0x51),
        troubles=covered,
        remarks=remarks,
    )


def decode_beam(_f_port: int, payload: bytes, _line: int) -> Reading:
    """What a VS350 or VS360 said.

    Raises:
        PayloadError: not even the first link of the chain is known.
    """
    items, reading = _chain(payload, _BEAM)
    values = _last(items)
    totals = [item.value for item in items if item.pair in ((0x04, 0xCC), (0x84, 0xCC))]
    batteries = [values[channel, 0x75][0] for channel in (0x01, 0x02) if (channel, 0x75) in values]
    degrees = [item.value for item in items if item.pair in ((0x03, 0x67), (0x83, 0x67))]
    events = [item.value for item in items if item.pair == (0x03, 0xF4)]
    return replace(
        reading,
        totals=_two(totals[-1] if totals else None),
        increments=_two(values.get((0x05, 0xCC))),
        battery_percent=min(batteries, default=None),
        temperature=int.from_bytes(degrees[-1][:2], "little", signed=True) / 10 if degrees else None,
        cleared=_answered(items, 0xA8),
        troubles=tuple((_EVENTS.get(what, f"event {what}"), state == _ALARM_ON) for what, state in events),
    )


def decode_camera(_f_port: int, payload: bytes, _line: int) -> Reading:
    """What a VS121 said.

    Raises:
        PayloadError: not even the first link of the chain is known.
    """
    items, reading = _chain(payload, _CAMERA)
    values = _last(items)
    increments, remarks = _two(values.get((0x05, 0xCC))), reading.remarks
    if any(number >= 2**15 for _, _, number in increments):
        increments, remarks = (), (*remarks, "a negative number since the last report (05 cc) was not counted")
    return replace(
        reading,
        totals=_two(values.get((0x0D, 0xCC))),
        increments=increments,
        cleared=_answered(items, 0x51),
        remarks=remarks,
    )


def _chain(payload: bytes, lengths: _Lengths) -> tuple[list[_Item], Reading]:
    """The links of the chain as far as they are known, and a reading with what all devices say of themselves.

    Raises:
        PayloadError: none is.
    """
    items, remark = _links(payload, lengths)
    if not items:
        raise PayloadError(f"{shown(payload)}: {remark}; is it the right make?")
    values = _last(items)
    history = sum(item.pair == _HISTORY for item in items)
    remarks = [remark] if remark else []
    if history:
        remarks.append(
            f"{history} records of earlier times (20 ce) were not counted: if the device sends totals, those have them"
        )
    return items, Reading(
        firmware=_version(values.get((0xFF, 0x0A)), values.get((0xFF, 0x1F))),
        started=(0xFF, 0x0B) in values or (0xFF, 0xFE) in values,
        history=history,
        remarks=tuple(remarks),
    )


def _links(payload: bytes, lengths: _Lengths) -> tuple[list[_Item], str]:
    """The links of the chain up to the first that cannot be read, and why that is; empty if all could."""
    items: list[_Item] = []
    at = 0
    while at < len(payload):
        left = payload[at:]
        pair = (left[0], left[1]) if len(left) >= 2 else None
        length = lengths.get(pair) if pair else None
        if callable(length):
            length = length(left[2:])
        if pair is None or length is None or len(left) < 2 + length:
            known = f"{length} bytes expected" if length is not None else "a channel and type not known"
            return items, f"not decoded from byte {at} on: {left[:2].hex(' ')} and {len(left[2:])} bytes, {known}"
        items.append(_Item(pair, left[2 : 2 + length]))
        at += 2 + length
    return items, ""


def _last(items: Iterable[_Item]) -> dict[_Pair, bytes]:
    """The value of each pair; the last one of those that come twice."""
    return {item.pair: item.value for item in items}


def _answered(items: Iterable[_Item], kind: int) -> bool:
    return any(item.pair in ((0xFE, kind), (0xFF, kind)) for item in items)


def _two(value: bytes | None) -> Passages:
    """In and out, 16 bits each."""
    return both_ways(*struct.unpack_from("<HH", value)) if value is not None else ()


def _version(two: bytes | None, four: bytes | None) -> str | None:
    if four is not None:
        return ".".join(map(str, four))
    return f"{two[0]:x}.{two[1]:x}" if two is not None else None
