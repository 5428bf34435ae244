"""The report, what leaves the edge and ingest reads: one sensor's counts for consecutive slots, or for one span.

The set of fields is closed. There is none for an identifier, a track, an image or a time finer than a slot, and
none will be added: the wire format cannot carry a person. Every report is either

- of **slots**: `slots` steps of `slot` seconds, `slot` a divisor of 60, `start` a multiple of `slot`; or
- a **span**: `slots` is 1 and `slot` any length up to 31 days, from any whole second, as archives and recovered
  sums are.

A single step that has the shape of a slot is a slot. On the wire a report is CBOR or JSON of the same shape;
`decode` takes both, and `batch.decode_batch` does the same for many reports at once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import cbor2

from footfall_contract._cbor import TYPED_ARRAYS, read_map
from footfall_contract._json import read_object, sized, write
from footfall_contract._wire import VERSION, Pairs, all_whole, array_of, document, stream_of, whole
from footfall_contract.errors import ContractError, Identity, describe
from footfall_contract.words import (
    MAX_BYTES,
    MAX_COUNT,
    MAX_SEQ,
    MAX_SLOTS,
    MAX_SPAN_S,
    MAX_START,
    SLOT_LENGTHS_S,
    Direction,
    PassageClass,
    check_id,
)

__all__ = ["REPORT_FIELDS", "SlotReport", "decode", "encode_cbor", "encode_json"]

REPORT_FIELDS: Final = (
    "v",
    "sensor",
    "stream",
    "seq",
    "start",
    "slot",
    "slots",
    "observed",
    "index",
    "direction",
    "class",
    "count",
)
"""Every field of a report, in the order in which they are written. Each is always there; nothing else ever is."""

_NUMBERS = "whole numbers, or a typed array with tag 64, 69 or 70"
_SLOT_LENGTHS = frozenset(SLOT_LENGTHS_S)
_DIRECTIONS = frozenset(map(int, Direction))
_CLASSES = frozenset(map(int, PassageClass))


@dataclass(frozen=True, slots=True)
class SlotReport:
    """One report. Raises `ContractError` when made of values that the contract does not allow.

    The five columns are tuples. A cell is one position in `index`, `direction`, `class_` and `count`; only cells that
    counted something are there, and cells of the same slot, direction and class add up.
    """

    sensor: str
    stream: UUID
    """The reports one run of an edge process makes for one sensor are one stream."""
    seq: int
    """Number within the stream: 0, 1, 2, …"""
    start: int
    """UTC unix seconds at which the first slot, or the span, begins."""
    slot: int
    """Length of a slot, or of the span, in seconds."""
    slots: int
    """Number of slots. The report covers [start, start + slot × slots)."""
    observed: tuple[int, ...]
    """Per slot: seconds really measured. 0 = the sensor was silent; a count there is a sum recovered afterwards."""
    index: tuple[int, ...]
    """Per cell: which slot, from 0."""
    direction: tuple[int, ...]
    """Per cell: a `Direction`."""
    class_: tuple[int, ...]
    """Per cell: a `PassageClass`. It is called ``class`` on the wire."""
    count: tuple[int, ...]
    """Per cell: passages, at least 1."""

    def __post_init__(self) -> None:
        check_id("sensor", self.sensor)
        if not isinstance(self.stream, UUID):
            raise ContractError("stream", "a UUID", describe(self.stream))
        self._set("seq", whole("seq", self.seq, 0, MAX_SEQ))
        self._set("start", whole("start", self.start, 0, MAX_START, " of UTC unix seconds"))
        self._set("slot", whole("slot", self.slot, 1, MAX_SPAN_S, " of seconds"))
        self._set("slots", whole("slots", self.slots, 1, MAX_SLOTS))
        self._check_steps()
        self._check_observed()
        self._check_cells()

    @property
    def is_span(self) -> bool:
        """Whether this is a span, which is kept as one interval and never divided into minutes."""
        return self.slots == 1 and not _is_slot(self.start, self.slot)

    @property
    def end(self) -> int:
        """UTC unix seconds: the first second that is no longer covered."""
        return self.start + self.slot * self.slots

    @property
    def total(self) -> int:
        """Passages in all cells."""
        return sum(self.count)

    def _check_steps(self) -> None:
        if self.slots == 1 or _is_slot(self.start, self.slot):
            return
        if self.slot not in _SLOT_LENGTHS:
            raise ContractError("slot", "a divisor of 60 where there is more than one slot", str(self.slot))
        raise ContractError("start", f"a multiple of slot = {self.slot}", str(self.start))

    def _check_observed(self) -> None:
        self._set("observed", _column("observed", self.observed, 0, self.slot, " of seconds"))
        if len(self.observed) != self.slots:
            raise ContractError("observed", f"a value for each slot: {self.slots}", f"{len(self.observed)} values")

    def _check_cells(self) -> None:
        self._set("index", _column("index", self.index, 0, self.slots - 1))
        self._set("direction", _words("direction", self.direction, _DIRECTIONS))
        self._set("class_", _words("class", self.class_, _CLASSES))
        self._set("count", _column("count", self.count, 1, MAX_COUNT))
        cells = len(self.index)
        for name, column in (("direction", self.direction), ("class", self.class_), ("count", self.count)):
            if len(column) != cells:
                raise ContractError(name, f"a value for each one in index: {cells}", f"{len(column)} values")

    def _set(self, name: str, value: object) -> None:
        # Direction.IN and the like become plain ints, so that equal reports have equal bytes.
        object.__setattr__(self, name, value)


def decode(payload: bytes) -> SlotReport:
    """Return the report that `payload` is: in JSON if its first byte is ``{``, else in CBOR.

    Raises `ContractError`, and nothing else, for all other bytes. Where the payload is well-formed and its sensor,
    stream and number are each there once and sound, the error carries them as its `identity`.
    """
    # "{" would begin a CBOR text of exabytes, never a map, so the first byte decides.
    pairs = read_object(payload, MAX_BYTES) if payload[:1] == b"{" else read_map(sized(payload, MAX_BYTES))
    try:
        return _report(document(pairs, REPORT_FIELDS))
    except ContractError as error:
        error.identity = _identity(pairs)
        raise


def encode_cbor(report: SlotReport) -> bytes:
    """Return the report as CBOR, each column as the narrowest typed array that holds it.

    Equal reports have equal bytes. Raises `ContractError` if they are more than 64 KiB.
    """
    columns = {name: _typed_array(column) for name, column in _columns(report).items()}
    return sized(cbor2.dumps(_scalars(report) | columns), MAX_BYTES)


def encode_json(report: SlotReport) -> bytes:
    """Return the report as JSON. Raises `ContractError` if that is more than 64 KiB."""
    return sized(write(_scalars(report) | _columns(report)), MAX_BYTES)


def _is_slot(start: int, slot: int) -> bool:
    return slot in _SLOT_LENGTHS and start % slot == 0


def _report(found: dict[str, Any]) -> SlotReport:
    """Return the report with these fields. They can hold anything still: `SlotReport` checks them."""
    return SlotReport(
        sensor=found["sensor"],
        stream=stream_of("stream", found["stream"]),
        seq=found["seq"],
        start=found["start"],
        slot=found["slot"],
        slots=found["slots"],
        observed=array_of("observed", found["observed"], _NUMBERS),
        index=array_of("index", found["index"], _NUMBERS),
        direction=array_of("direction", found["direction"], _NUMBERS),
        class_=array_of("class", found["class"], _NUMBERS),
        count=array_of("count", found["count"], _NUMBERS),
    )


def _identity(pairs: Pairs) -> Identity | None:
    """Return sensor, stream and number if each is there once and sound."""
    try:
        return (
            check_id("sensor", pairs.once("sensor")),
            stream_of("stream", pairs.once("stream")),
            whole("seq", pairs.once("seq"), 0, MAX_SEQ),
        )
    except ContractError:
        return None


def _column(name: str, values: tuple[int, ...], low: int, high: int, unit: str = "") -> tuple[int, ...]:
    """Return `values` as plain ints if all are whole numbers from `low` to `high`, both included."""
    if not isinstance(values, tuple):
        raise ContractError(name, "a tuple of whole numbers", type(values).__name__)
    if not all_whole(values) or (values and (min(values) < low or max(values) > high)):
        position, value = next(
            (position, value)
            for position, value in enumerate(values)
            if not (all_whole((value,)) and low <= value <= high)
        )
        expected = f"only whole numbers{unit} from {low} to {high}"
        raise ContractError(name, expected, f"{describe(value)} at position {position}")
    return tuple(map(int, values))


def _words(name: str, values: tuple[int, ...], known: frozenset[int]) -> tuple[int, ...]:
    """Return `values` as plain ints if each is one of the `known` words."""
    column = _column(name, values, min(known), max(known))
    if not known.issuperset(column):
        position, value = next((position, value) for position, value in enumerate(column) if value not in known)
        expected = f"only {', '.join(map(str, sorted(known)))}"
        raise ContractError(name, expected, f"{value} at position {position}")
    return column


def _scalars(report: SlotReport) -> dict[str, object]:
    return {
        "v": VERSION,
        "sensor": report.sensor,
        "stream": str(report.stream),
        "seq": report.seq,
        "start": report.start,
        "slot": report.slot,
        "slots": report.slots,
    }


def _columns(report: SlotReport) -> dict[str, tuple[int, ...]]:
    return {
        "observed": report.observed,
        "index": report.index,
        "direction": report.direction,
        "class": report.class_,
        "count": report.count,
    }


def _typed_array(values: tuple[int, ...]) -> cbor2.CBORTag:
    highest = max(values, default=0)
    tag = 64 if highest < 1 << 8 else 69 if highest < 1 << 16 else 70
    return cbor2.CBORTag(tag, struct.pack(f"<{len(values)}{TYPED_ARRAYS[tag]}", *values))
