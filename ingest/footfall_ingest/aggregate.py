"""Add reports up by minute: a pure function over numpy columns, without I/O and without a clock.

The hot loop. Everything a sum is kept by (sensor, minute, direction, class) is packed into one integer key for each
cell; then equal keys are added. Where the keys of a batch lie close together, which is the usual case, ``bincount``
adds them in one pass without sorting; else they are sorted and reduced. Spans are kept apart from minutes: a span's
count belongs to no minute.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall_contract.batch import ReportBatch
from footfall_contract.words import PassageClass

Int64s = npt.NDArray[np.int64]
Codes = npt.NDArray[np.integer]

MINUTE_S = 60

_CLASSES = np.array(sorted(PassageClass), np.int64)
_CLASS_CODE = np.zeros(256, np.uint8)
_CLASS_CODE[_CLASSES] = np.arange(len(_CLASSES))

_SPARSE = 16
"""Up to how many places to a cell a table for ``bincount`` is cheaper than sorting the cells (measured)."""

_BLOCK = 1 << 16

_EXACT = 2**53
"""``bincount`` adds in double precision: exact as long as no sum can exceed this."""


@dataclass(frozen=True, slots=True, eq=False)
class MinuteDeltas:
    """What to add to minutes: one row for each sensor, minute, direction and class, ascending in that order."""

    sensor: Int64s
    """Code of the sensor as in the batch."""
    minute: Int64s
    """Beginning of the minute, UTC unix seconds."""
    direction: Int64s
    class_: Int64s
    count: Int64s
    """Passages; 1 or more."""


@dataclass(frozen=True, slots=True, eq=False)
class MinuteCoverage:
    """Measured seconds to add to minutes: one row for each sensor and minute that was reported, ascending."""

    sensor: Int64s
    minute: Int64s
    observed_s: Int64s
    """0: reported, and the sensor was silent."""


@dataclass(frozen=True, slots=True, eq=False)
class SpanDeltas:
    """What to add to spans: one row for each sensor, span, direction and class. Times are UTC unix seconds."""

    sensor: Int64s
    start: Int64s
    end: Int64s
    direction: Int64s
    class_: Int64s
    count: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class SpanCoverage:
    """Measured seconds to add to spans: one row for each sensor and span that was reported."""

    sensor: Int64s
    start: Int64s
    end: Int64s
    observed_s: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Deltas:
    """All that a batch adds to the store."""

    minutes: MinuteDeltas
    coverage: MinuteCoverage
    spans: SpanDeltas
    span_coverage: SpanCoverage

    @property
    def rows(self) -> int:
        """Rows of the store that are touched."""
        parts = (self.minutes, self.coverage, self.spans, self.span_coverage)
        return sum(len(part.sensor) for part in parts)


def aggregate(batch: ReportBatch) -> Deltas:
    """Sum the cells and the measured seconds of a batch's reports. The order of the reports does not matter."""
    if not batch.is_span.any():
        return Deltas(_minutes(batch), _coverage(batch), _NO_SPANS, _NO_SPAN_COVERAGE)
    slots, spans = batch.take(~batch.is_span), batch.take(batch.is_span)
    return Deltas(_minutes(slots), _coverage(slots), *_spans(spans))


def sum_minutes(
    sensor: Codes, second: Int64s, direction: npt.NDArray[np.uint8], class_: npt.NDArray[np.uint8], count: Codes
) -> MinuteDeltas:
    """Sum `count` by sensor, minute, direction and class: the kernel of `aggregate`, on five equally long columns.

    `second` is any UTC unix second within the minute; the other columns hold the contract's values.
    """
    first, minutes = _reach(second)
    kind, kinds = _kinds(direction, class_)
    key = np.empty(len(second), np.int64)
    for part in _blocks(len(key)):
        block = second[part] // MINUTE_S
        block -= first
        block += sensor[part] * np.int64(minutes)
        block *= len(kinds)
        block += kind[part]
        key[part] = block
    keys, sums = sum_by_key(key, count, _highest(sensor) * minutes * len(kinds))
    place, kind_of = _split(keys, len(kinds))
    sensor_of, minute_of = _split(place, minutes)
    direction_of, class_of = _split(kinds, len(_CLASSES))
    return MinuteDeltas(
        sensor=sensor_of,
        minute=(minute_of + first) * MINUTE_S,
        direction=direction_of[kind_of],
        class_=_CLASSES[class_of][kind_of],
        count=sums,
    )


def sum_by_key(key: Int64s, value: Codes, keys: int) -> tuple[Int64s, Int64s]:
    """The distinct keys, ascending, and the sum of each one's values.

    Every key is from 0 to `keys` - 1, no value is negative. A key whose values are all 0 is a key like any other.
    """
    if not len(key):
        return _NONE, _NONE
    if keys <= _SPARSE * len(key) and int(value.max()) * len(value) < _EXACT:
        sums = np.bincount(key, weights=value)
        found = np.flatnonzero(sums if value.all() else np.bincount(key))
        return found, sums[found].astype(np.int64)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    return key[starts], np.add.reduceat(value[order].astype(np.int64), starts)


def _blocks(length: int) -> Iterator[slice]:
    """Parts small enough that what is computed on the way stays in the processor's cache."""
    return (slice(start, start + _BLOCK) for start in range(0, length, _BLOCK))


def _reach(second: Int64s) -> tuple[int, int]:
    """The number of the first minute, and how many minutes there are from it to the last; (0, 1) for no seconds."""
    if not len(second):
        return 0, 1
    first = int(second.min()) // MINUTE_S
    return first, int(second.max()) // MINUTE_S - first + 1


def _highest(codes: Codes) -> int:
    return int(codes.max(initial=-1)) + 1


def _split(keys: Int64s, radix: int) -> tuple[Int64s, Int64s]:
    """Quotient and remainder; several times as fast as ``divmod``."""
    quotient = keys // radix
    return quotient, keys - quotient * radix


def _kinds(direction: npt.NDArray[np.uint8], class_: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], Int64s]:
    """A number for each cell's pair of direction and class, counted through the pairs that occur, and those pairs.

    Most sensors tell no classes, and few pairs make a small table.
    """
    if not class_.any():
        kinds = np.arange(int(direction.max(initial=0)) + 1, dtype=np.int64) * len(_CLASSES)
        return direction, kinds
    pair = direction * np.uint8(len(_CLASSES))
    pair += _CLASS_CODE[class_]
    occurs = np.zeros(256, np.bool_)
    occurs[pair] = True
    number = np.cumsum(occurs, dtype=np.uint8) - np.uint8(1)
    return number[pair], np.flatnonzero(occurs)


def _minutes(batch: ReportBatch) -> MinuteDeltas:
    report = batch.cell_report
    second = batch.start[report] + batch.cell_index * batch.slot[report]
    return sum_minutes(batch.sensor[report], second, batch.cell_direction, batch.cell_class, batch.cell_count)


def _coverage(batch: ReportBatch) -> MinuteCoverage:
    report = batch.observed_report
    second = batch.start[report] + batch.observed_index * batch.slot[report]
    first, minutes = _reach(second)
    key = batch.sensor[report] * np.int64(minutes) + (second // MINUTE_S - first)
    keys, sums = sum_by_key(key, batch.observed, len(batch.sensors) * minutes)
    sensor, minute = _split(keys, minutes)
    return MinuteCoverage(sensor, (minute + first) * MINUTE_S, sums)


def _spans(batch: ReportBatch) -> tuple[SpanDeltas, SpanCoverage]:
    ends = batch.start + batch.slot
    place = np.stack([batch.sensor.astype(np.int64), batch.start, ends])
    # Spans have no grid; each distinct one gets a number instead.
    places, number = np.unique(place, axis=1, return_inverse=True)
    sensor, start, end = places
    keys, observed = sum_by_key(number, batch.observed, len(sensor))
    coverage = SpanCoverage(sensor[keys], start[keys], end[keys], observed)
    kind, kinds = _kinds(batch.cell_direction, batch.cell_class)
    key = number[batch.cell_report] * len(kinds) + kind
    keys, count = sum_by_key(key, batch.cell_count, len(sensor) * len(kinds))
    place, kind_of = _split(keys, len(kinds))
    direction, class_ = _split(kinds[kind_of], len(_CLASSES))
    return SpanDeltas(sensor[place], start[place], end[place], direction, _CLASSES[class_], count), coverage


_NONE = np.zeros(0, np.int64)
_NO_SPANS = SpanDeltas(_NONE, _NONE, _NONE, _NONE, _NONE, _NONE)
_NO_SPAN_COVERAGE = SpanCoverage(_NONE, _NONE, _NONE, _NONE)
