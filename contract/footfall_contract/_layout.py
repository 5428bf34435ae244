"""Reads reports of the usual layout all together: one numpy operation for a whole batch, not one call per report.

The usual layout is what `report.encode_cbor` writes: the fields in their order, each column a typed array. Its
beginning, up to the end of the stream, is the same in all reports of a stream; it is checked once and then
recognised. Behind it stand numbers and columns whose places depend on a few bytes before each. So every report has
a reading position of its own, and all positions move on together.

A report is read here only if each of its bytes is what the layout says and every value is allowed. All others are
left to `report.decode`, with whatever is wrong in them: this module refuses nothing, it declines. What it must
never do is take what `decode` would refuse, or take it differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt

from footfall_contract._wire import VERSION, stream_of
from footfall_contract.columns import Flags, Int32s, Int64s, ReportBatch, UInt8s, coded, counted
from footfall_contract.words import (
    MAX_BYTES,
    MAX_SEQ,
    MAX_SLOTS,
    MAX_SPAN_S,
    MAX_START,
    SLOT_LENGTHS_S,
    Direction,
    PassageClass,
    check_id,
)

__all__ = ["read_usual"]

UInt64s: TypeAlias = npt.NDArray[np.uint64]

# Major types of CBOR, and the byte that says that the tag's number is in the next one.
_UINT, _BYTES, _TEXT = 0, 2, 3
_TAG: Final = b"\xd8"


def _text(text: str) -> bytes:
    """Return CBOR text of at most 23 bytes."""
    return bytes([_TEXT << 5 | len(text)]) + text.encode()


_OPENING: Final = b"\xac" + _text("v") + bytes([VERSION]) + _text("sensor")
_STREAM: Final = _text("stream") + b"\x78\x24"
_AFTER_ID: Final = len(_STREAM) + 36
# An id of up to 23 characters has its length in the byte after the opening, a longer one in the byte after that.
_LONG_ID: Final = 0x78
_SHORT_IDS: Final = range(0x61, 0x78)
# By the byte after the opening: how long the beginning is that a stream's reports share; 0 where that needs a look.
_BEGINNING: Final = [len(_OPENING) + 1 + head - 0x60 + _AFTER_ID if head in _SHORT_IDS else 0 for head in range(256)]

_PADDING: Final = bytes(32)
"""Positions may run past the last report by a name and a head before it is noticed."""


def _head_bytes(major: int) -> Int64s:
    """Return, by an item's first byte, how many bytes its head has; 0 for other types and for what is not allowed."""
    table = np.zeros(256, np.int64)
    first = major << 5
    table[first : first + 28] = [1] * 24 + [2, 3, 5, 9]
    return table


def _table(values: dict[int, int]) -> Int64s:
    table = np.zeros(256, np.int64)
    table[list(values)] = list(values.values())
    return table


_HEAD_BYTES: Final = {major: _head_bytes(major) for major in (_UINT, _BYTES)}
# By the length of a head: how far to shift the eight bytes behind its first one to be left with the argument.
_ARGUMENT_SHIFT: Final = np.array([0, 0, 56, 48, 0, 32, 0, 0, 0, 0], np.uint64)
_NUMBER_BYTES: Final = _table({64: 1, 69: 2, 70: 4})
_NUMBER_MASK: Final = np.array([0, 0xFF, 0xFFFF, 0, 0xFFFF_FFFF], np.uint64)
# By value; the last place stands for all values beyond.
_IS_SLOT_LENGTH: Final = np.isin(np.arange(62), SLOT_LENGTHS_S)
_IS_DIRECTION: Final = np.isin(np.arange(257), list(Direction))
_IS_CLASS: Final = np.isin(np.arange(257), list(PassageClass))


def read_usual(payloads: Sequence[bytes]) -> ReportBatch:
    """Return the sound reports of the usual layout among `payloads`; which they are is in `position`."""
    known = _recognise(payloads)
    reader = _Reader(known.payloads, known.beginning)
    seq, start, slot, slots = [reader.number(name) for name in ("seq", "start", "slot", "slots")]
    observed, index, direction, class_, count = [
        reader.column(name) for name in ("observed", "index", "direction", "class", "count")
    ]
    is_slot = _IS_SLOT_LENGTH[np.minimum(slot, 61)] & (start % np.maximum(slot, 1) == 0)
    sound = reader.at_end() & (start <= MAX_START) & _within(slot, 1, MAX_SPAN_S) & _within(slots, 1, MAX_SLOTS)
    sound &= (is_slot | (slots == 1)) & (observed.length == slots)
    sound &= (direction.length == index.length) & (class_.length == index.length) & (count.length == index.length)

    rows = np.flatnonzero(sound)
    observed_report, observed_index = _spread(observed.length[rows])
    cell_report, cell_index = _spread(index.length[rows])
    cells = rows[cell_report], cell_index
    directions, classes = reader.values(direction, *cells), reader.values(class_, *cells)
    batch = ReportBatch(
        sensors=known.sensors,
        streams=known.streams,
        position=known.position[rows],
        sensor=known.sensor[rows],
        stream=known.stream[rows],
        seq=seq[rows],
        start=start[rows],
        slot=slot[rows],
        slots=slots[rows],
        is_span=~is_slot[rows],
        observed=reader.values(observed, rows[observed_report], observed_index),
        observed_report=observed_report,
        observed_index=observed_index,
        cell_report=cell_report,
        cell_index=reader.values(index, *cells),
        cell_direction=directions.astype(np.uint8),
        cell_class=classes.astype(np.uint8),
        cell_count=reader.values(count, *cells),
    )
    wrong_slots = batch.observed > batch.slot[observed_report]
    wrong_cells = (batch.cell_index >= batch.slots[cell_report]) | (batch.cell_count < 1)
    # Not the columns of the batch: cut to 8 bits, a word that is wrong could look like one that is right.
    wrong_cells |= ~_IS_DIRECTION[np.minimum(directions, 256)] | ~_IS_CLASS[np.minimum(classes, 256)]
    if wrong_slots.any() or wrong_cells.any():
        allowed = np.ones(len(batch), np.bool_)
        allowed[observed_report[wrong_slots]] = False
        allowed[cell_report[wrong_cells]] = False
        batch = batch.take(allowed)
    return batch


@dataclass(frozen=True, slots=True)
class _Recognised:
    """Payloads that begin like a report, with what the beginning says."""

    payloads: list[bytes]
    position: Int64s
    beginning: Int64s
    """Its length in bytes."""
    sensor: Int32s
    sensors: tuple[str, ...]
    stream: Int32s
    streams: tuple[UUID, ...]


def _recognise(payloads: Sequence[bytes]) -> _Recognised:
    """Find the payloads that begin as the usual layout does, whatever comes then."""
    positions, chosen, codes = [], [], []
    senders: list[tuple[str, UUID]] = []
    code_of: dict[bytes, int] = {}
    # The only loop over reports in Python.
    for position, payload in enumerate(payloads):
        if not len(_OPENING) + 1 < len(payload) <= MAX_BYTES:
            continue
        length = _BEGINNING[payload[len(_OPENING)]]
        beginning = payload[:length] if length else _long_beginning(payload)
        code = code_of.get(beginning)
        if code is None:
            sender = _sender(beginning)
            if sender is None:
                continue
            code = code_of[beginning] = len(senders)
            senders.append(sender)
        positions.append(position)
        chosen.append(payload)
        codes.append(code)
    each = np.array(codes, np.int64)
    sensor, sensors = coded(sensor for sensor, _ in senders)
    stream, streams = coded(stream for _, stream in senders)
    lengths = np.fromiter(map(len, code_of), np.int64)
    return _Recognised(
        payloads=chosen,
        position=np.array(positions, np.int64),
        beginning=lengths[each],
        sensor=sensor[each],
        sensors=sensors,
        stream=stream[each],
        streams=streams,
    )


def _long_beginning(payload: bytes) -> bytes:
    """Return the beginning of a payload whose sensor id has more than 23 characters."""
    at = len(_OPENING)
    return payload[: at + 2 + payload[at + 1] + _AFTER_ID] if payload[at] == _LONG_ID else b""


# Across batches, because in quiet times each stream has one report in a batch.
@lru_cache(maxsize=8192)
def _sender(beginning: bytes) -> tuple[str, UUID] | None:
    """Return the sensor and the stream that a beginning names, or None if it is not one of the usual layout."""
    if not beginning.startswith(_OPENING):
        return None
    at = len(_OPENING)
    id_at = at + 2 if beginning[at] == _LONG_ID else at + 1
    id_end = id_at + (beginning[at + 1] if beginning[at] == _LONG_ID else beginning[at] - _SHORT_IDS[0] + 1)
    stream_at = id_end + len(_STREAM)
    if beginning[id_end:stream_at] != _STREAM:
        return None
    try:
        sensor, stream = beginning[id_at:id_end].decode(), beginning[stream_at:].decode()
        return check_id("sensor", sensor), stream_of("stream", stream)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a column stands in each payload, how many numbers it has and of how many bytes each."""

    start: Int64s
    length: Int64s
    number_bytes: Int64s


class _Reader:
    """A reading position in each of many payloads; each method reads what is there in all of them and moves on.

    Where a payload is not what it should be, `sound` becomes false for good. It is read on with the others, never
    beyond the padding, and what is read in it then means nothing.
    """

    def __init__(self, payloads: list[bytes], beginning: Int64s) -> None:
        data = b"".join([*payloads, _PADDING])
        lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
        self.sound: Flags = np.ones(len(payloads), np.bool_)
        self._end: Int64s = np.cumsum(lengths)
        self._at: Int64s = self._end - lengths + beginning
        self._bytes: UInt8s = np.frombuffer(data, np.uint8)
        # Eight bytes from each byte on as one number: low byte first like typed arrays, high byte first like heads.
        count = len(data) - 7
        self._low_first: UInt64s = np.ndarray(count, "<u8", data, strides=(1,))
        self._high_first: UInt64s = np.ndarray(count, ">u8", data, strides=(1,))

    def number(self, name: str) -> Int64s:
        """Read the field `name` with a number from 0 to `MAX_SEQ`."""
        self._literal(_text(name))
        return self._argument(_UINT)

    def column(self, name: str) -> _Column:
        """Read the field `name` with a typed array."""
        self._literal(_text(name) + _TAG)
        number_bytes = _NUMBER_BYTES[self._bytes[self._at]]
        self.sound &= number_bytes > 0
        self._at += 1
        length = self._argument(_BYTES)
        start = self._at
        self._move(length)
        self.sound &= length % np.maximum(number_bytes, 1) == 0
        return _Column(start, length // np.maximum(number_bytes, 1), number_bytes)

    def at_end(self) -> Flags:
        """Return where the payload was sound and ends here."""
        self.sound &= self._at == self._end
        return self.sound

    def values(self, column: _Column, row: Int64s, place: Int64s) -> Int64s:
        """Return, for each of many numbers, the one at `place` of the column in payload `row`."""
        if (column.number_bytes == 1).all():
            values: Int64s = self._bytes[column.start[row] + place].astype(np.int64)
        else:
            size = column.number_bytes[row]
            values = (self._low_first[column.start[row] + place * size] & _NUMBER_MASK[size]).astype(np.int64)
        return values

    def _literal(self, text: bytes) -> None:
        for first in range(0, len(text), 8):
            part = text[first : first + 8]
            mask = np.uint64((1 << 8 * len(part)) - 1)
            self.sound &= self._low_first[self._at + first] & mask == int.from_bytes(part, "little")
        self._at = self._at + len(text)

    def _argument(self, major: int) -> Int64s:
        """Read the head of an item of type `major`."""
        first = self._bytes[self._at]
        head_bytes = _HEAD_BYTES[major][first]
        argument = (first & 0x1F).astype(np.int64)
        short = head_bytes == 1
        if not short.all():
            following = self._high_first[self._at + 1] >> _ARGUMENT_SHIFT[head_bytes]
            argument = np.where(short, argument, np.minimum(following, MAX_SEQ + 1).astype(np.int64))
        self.sound &= (head_bytes > 0) & (argument <= MAX_SEQ)
        self._move(head_bytes)
        return argument

    def _move(self, step: Int64s) -> None:
        moved = self._at + step
        self.sound &= moved <= self._end
        self._at = np.minimum(moved, self._end)


def _spread(lengths: Int64s) -> tuple[Int64s, Int64s]:
    """Return, for the values of columns of these lengths, which column each is in and its place there."""
    return np.repeat(np.arange(len(lengths)), lengths), counted(lengths)


def _within(values: Int64s, low: int, high: int) -> Flags:
    return (values >= low) & (values <= high)
