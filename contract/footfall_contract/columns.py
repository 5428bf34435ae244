"""Reports as numpy columns: the shape in which `batch` hands them on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt

from footfall_contract.errors import ContractError
from footfall_contract.report import SlotReport

__all__ = [
    "Flags",
    "Int32s",
    "Int64s",
    "Refusal",
    "ReportBatch",
    "UInt8s",
    "coded",
    "counted",
    "from_reports",
    "merged",
]

Int64s: TypeAlias = npt.NDArray[np.int64]
Int32s: TypeAlias = npt.NDArray[np.int32]
T = TypeVar("T")
UInt8s: TypeAlias = npt.NDArray[np.uint8]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A payload that is not a report. `position` is its place among the payloads."""

    position: int
    error: ContractError


@dataclass(frozen=True, slots=True, eq=False)
class ReportBatch:
    """R reports as columns, in the order in which they came. Times are UTC unix seconds, lengths are seconds.

    The slots (O) and the cells (C) of all reports stand one after the other: those of one report together, in its
    order.
    """

    sensors: tuple[str, ...]
    """Distinct ids; the values of `sensor` are places in it."""
    streams: tuple[UUID, ...]
    """Distinct streams; the values of `stream` are places in it."""

    position: Int64s
    """(R,) place among the payloads"""
    sensor: Int32s
    """(R,)"""
    stream: Int32s
    """(R,)"""
    seq: Int64s
    """(R,)"""
    start: Int64s
    """(R,)"""
    slot: Int64s
    """(R,)"""
    slots: Int64s
    """(R,)"""
    is_span: Flags
    """(R,)"""

    observed: Int64s
    """(O,) seconds really measured"""
    observed_report: Int64s
    """(O,) row of the report, ascending"""
    observed_index: Int64s
    """(O,) which slot of the report"""

    cell_report: Int64s
    """(C,) row of the report, ascending"""
    cell_index: Int64s
    """(C,) which slot of the report"""
    cell_direction: UInt8s
    """(C,)"""
    cell_class: UInt8s
    """(C,)"""
    cell_count: Int64s
    """(C,)"""

    refused: tuple[Refusal, ...] = ()
    """The other payloads, by position."""

    def __len__(self) -> int:
        return len(self.position)

    def take(self, wanted: npt.ArrayLike) -> ReportBatch:
        """Return the batch of some of the reports; refusals are left out.

        `wanted` is a mask with a flag for each report, or the rows in the order wanted. Raises IndexError if it
        does not fit. `sensors` and `streams` stay as they are, so the codes mean the same.
        """
        rows = np.arange(len(self))[np.asarray(wanted)]
        slots, slot_rows = _of_rows(self.observed_report, rows, len(self))
        cells, cell_rows = _of_rows(self.cell_report, rows, len(self))
        return ReportBatch(
            sensors=self.sensors,
            streams=self.streams,
            position=self.position[rows],
            sensor=self.sensor[rows],
            stream=self.stream[rows],
            seq=self.seq[rows],
            start=self.start[rows],
            slot=self.slot[rows],
            slots=self.slots[rows],
            is_span=self.is_span[rows],
            observed=self.observed[slots],
            observed_report=slot_rows,
            observed_index=self.observed_index[slots],
            cell_report=cell_rows,
            cell_index=self.cell_index[cells],
            cell_direction=self.cell_direction[cells],
            cell_class=self.cell_class[cells],
            cell_count=self.cell_count[cells],
        )

    def reports(self) -> tuple[SlotReport, ...]:
        """Return the reports one by one: for people and tests, not for the flow."""
        edges = np.arange(len(self) + 1)
        slots = np.searchsorted(self.observed_report, edges)
        cells = np.searchsorted(self.cell_report, edges)
        return tuple(
            SlotReport(
                sensor=self.sensors[self.sensor[row]],
                stream=self.streams[self.stream[row]],
                seq=int(self.seq[row]),
                start=int(self.start[row]),
                slot=int(self.slot[row]),
                slots=int(self.slots[row]),
                observed=tuple(self.observed[slots[row] : slots[row + 1]].tolist()),
                index=tuple(self.cell_index[cells[row] : cells[row + 1]].tolist()),
                direction=tuple(self.cell_direction[cells[row] : cells[row + 1]].tolist()),
                class_=tuple(self.cell_class[cells[row] : cells[row + 1]].tolist()),
                count=tuple(self.cell_count[cells[row] : cells[row + 1]].tolist()),
            )
            for row in range(len(self))
        )


def from_reports(reports: Sequence[SlotReport], positions: Sequence[int]) -> ReportBatch:
    """Return reports as columns."""
    sensor, sensors = coded(report.sensor for report in reports)
    stream, streams = coded(report.stream for report in reports)
    slots = _int64s(report.slots for report in reports)
    cells = _int64s(len(report.index) for report in reports)
    rows = np.arange(len(reports))
    return ReportBatch(
        sensors=sensors,
        streams=streams,
        position=_int64s(positions),
        sensor=sensor,
        stream=stream,
        seq=_int64s(report.seq for report in reports),
        start=_int64s(report.start for report in reports),
        slot=_int64s(report.slot for report in reports),
        slots=slots,
        is_span=np.fromiter((report.is_span for report in reports), np.bool_),
        observed=_int64s(seconds for report in reports for seconds in report.observed),
        observed_report=np.repeat(rows, slots),
        observed_index=counted(slots),
        cell_report=np.repeat(rows, cells),
        cell_index=_int64s(index for report in reports for index in report.index),
        cell_direction=_int64s(word for report in reports for word in report.direction).astype(np.uint8),
        cell_class=_int64s(word for report in reports for word in report.class_).astype(np.uint8),
        cell_count=_int64s(count for report in reports for count in report.count),
    )


def merged(one: ReportBatch, other: ReportBatch) -> ReportBatch:
    """Return the reports of two batches as one, by position; refusals, and names that no report has, are left out."""
    sensor, sensors = coded([*_names(one.sensors, one.sensor), *_names(other.sensors, other.sensor)])
    stream, streams = coded([*_names(one.streams, one.stream), *_names(other.streams, other.stream)])
    both = ReportBatch(
        sensors=sensors,
        streams=streams,
        position=np.concatenate([one.position, other.position]),
        sensor=sensor,
        stream=stream,
        seq=np.concatenate([one.seq, other.seq]),
        start=np.concatenate([one.start, other.start]),
        slot=np.concatenate([one.slot, other.slot]),
        slots=np.concatenate([one.slots, other.slots]),
        is_span=np.concatenate([one.is_span, other.is_span]),
        observed=np.concatenate([one.observed, other.observed]),
        observed_report=np.concatenate([one.observed_report, other.observed_report + len(one)]),
        observed_index=np.concatenate([one.observed_index, other.observed_index]),
        cell_report=np.concatenate([one.cell_report, other.cell_report + len(one)]),
        cell_index=np.concatenate([one.cell_index, other.cell_index]),
        cell_direction=np.concatenate([one.cell_direction, other.cell_direction]),
        cell_class=np.concatenate([one.cell_class, other.cell_class]),
        cell_count=np.concatenate([one.cell_count, other.cell_count]),
    )
    return both.take(np.argsort(both.position))


def counted(lengths: Int64s) -> Int64s:
    """Return 0, 1, 2, … up to each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def _of_rows(row_of: Int64s, rows: Int64s, n_rows: int) -> tuple[Int64s, Int64s]:
    """Return where the values of `rows` stand in a column, and the new row of each."""
    lengths = np.bincount(row_of, minlength=n_rows)
    starts = np.cumsum(lengths) - lengths
    chosen = lengths[rows]
    return np.repeat(starts[rows], chosen) + counted(chosen), np.repeat(np.arange(len(rows)), chosen)


def _names(names: tuple[T, ...], codes: Int32s) -> list[T]:
    return [names[code] for code in codes.tolist()]


def _int64s(values: Iterable[int]) -> Int64s:
    return np.fromiter(values, np.int64)


def coded(values: Iterable[T]) -> tuple[Int32s, tuple[T, ...]]:
    """Return a code for each value, and the distinct values that the codes are places in."""
    codes: dict[T, int] = {}
    coded = np.fromiter((codes.setdefault(value, len(codes)) for value in values), np.int32)
    return coded, tuple(codes)
