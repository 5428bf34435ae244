"""The sensors of a batch whose reports have to be gone through one by one, and what is stored around them.

Those are few: where more seconds would be measured than there are, where spans with measured seconds lie, and where
passages of a minute were found afterwards. What is read for them is no more than what may decide about a report: the
spans that hang together with it (`footfall_ingest.ledger.Ledger`), and the minutes of these.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from footfall_contract.batch import ReportBatch
from footfall_ingest import store
from footfall_ingest.aggregate import MINUTE_S, Deltas, MinuteCoverage
from footfall_ingest.ledger import Ledger, Span, recovered_minutes
from footfall_ingest.store import Connection, Sensors, SpanRow

Int64s = npt.NDArray[np.int64]

Window = tuple[int, int, int]
"""Code of a sensor, start and end in UTC unix seconds."""

_APART_S = 3600
"""Times of a sensor that are nearer than this are asked for as one."""

_TIME_BITS = 34
"""A time in unix seconds, and what a span adds to it, fits."""


def ledgers(
    connection: Connection, batch: ReportBatch, rows: Int64s, deltas: Deltas, sensors: Sensors, *, stored: Int64s
) -> dict[int, Ledger]:
    """What is measured of those sensors, by code. `stored`: of the minutes of `deltas.coverage` (`store.measured`)."""
    coverage, new = deltas.coverage, deltas.span_coverage
    stored = np.maximum(stored, 0)
    spans = _spans_around(connection, batch, rows, coverage, sensors)
    windows = [span[:3] for span in spans]
    # A span without measured seconds, a recovered sum, claims none.
    claims = new.observed_s > 0
    windows += zip(*(column[claims].tolist() for column in (new.sensor, new.start, new.end)), strict=True)
    recovered = recovered_minutes(batch, rows)
    suspects = {
        *coverage.sensor[stored + coverage.observed_s > MINUTE_S].tolist(),
        *(code for code, _, _ in windows),
        *(code for code, _ in recovered),
    }
    if not suspects:
        return {}
    minutes: dict[int, dict[int, int]] = {code: {} for code in suspects}
    for code, minute, seconds in _by_sensor(*store.measured_within(connection, _merged(windows), sensors)):
        minutes[code] = dict(zip(minute, seconds, strict=True))
    mine = np.isin(coverage.sensor, list(suspects))
    for code, minute, seconds in _by_sensor(coverage.sensor[mine], coverage.minute[mine], stored[mine]):
        minutes[code].update(zip(minute, seconds, strict=True))
    spans_of: dict[int, list[Span]] = defaultdict(list)
    for code, *span in spans:
        spans_of[code].append((span[0], span[1], span[2]))
    passages: dict[int, dict[int, int]] = {code: {} for code in suspects}
    for (code, at), count in zip(recovered, store.passages(connection, recovered, sensors), strict=True):
        passages[code][at] = count
    return {code: Ledger(minutes[code], spans_of[code], passages[code]) for code in suspects}


def _spans_around(
    connection: Connection, batch: ReportBatch, rows: Int64s, coverage: MinuteCoverage, sensors: Sensors
) -> set[SpanRow]:
    """The stored spans with measured seconds that hang together with a report, or with one that does, and so on."""
    found: set[SpanRow] = set()
    known: dict[int, list[tuple[int, int]]] = defaultdict(list)
    asked = _windows(batch, rows)
    while asked:
        for code, start, end in asked:
            known[code].append((start, end))
        new = store.measured_spans(connection, asked, sensors) - found
        found |= new
        further = [
            (code, start, end)
            for code, start, end, _ in new
            if not any(low <= start and end <= high for low, high in known[code])
        ]
        asked = _with_their_minutes(connection, further, coverage, sensors) if further else []
    return found


def _windows(batch: ReportBatch, rows: Int64s) -> list[Window]:
    """The times in which the reports of each sensor measured, from the first slot to the last, in whole minutes.

    What is silent claims nothing. So it does not matter what lies around it, however long it is.
    """
    report, first, last = _measured(batch)
    wanted = np.isin(report, rows)
    if not wanted.any():
        return []
    report, first, last = report[wanted], first[wanted], last[wanted]
    begin = batch.start[report] + batch.slot[report] * first
    order = np.lexsort((begin, batch.sensor[report]))
    report, begin, last = report[order], begin[order], last[order]
    sensor = batch.sensor[report].astype(np.int64)
    low = begin // MINUTE_S * MINUTE_S
    high = -(-(batch.start[report] + batch.slot[report] * (last + 1)) // MINUTE_S) * MINUTE_S
    reach = np.maximum.accumulate((sensor << _TIME_BITS) + high) & ((1 << _TIME_BITS) - 1)
    begins = np.ones(len(report), np.bool_)
    begins[1:] = (sensor[1:] != sensor[:-1]) | (low[1:] > reach[:-1] + _APART_S)
    at = np.flatnonzero(begins)
    to = np.append(at[1:], len(report)) - 1
    return list(zip(sensor[at].tolist(), low[at].tolist(), reach[to].tolist(), strict=True))


def _measured(batch: ReportBatch) -> tuple[Int64s, Int64s, Int64s]:
    """The reports that measured at all, by row, and in each the first and the last slot in which they did."""
    slots = np.flatnonzero(batch.observed)
    of = batch.observed_report[slots]
    report, first = np.unique(of, return_index=True)
    last = np.searchsorted(of, report, "right") - 1
    return report, batch.observed_index[slots[first]], batch.observed_index[slots[last]]


def _with_their_minutes(
    connection: Connection, spans: Sequence[Window], coverage: MinuteCoverage, sensors: Sensors
) -> list[Window]:
    """`spans`, and of the minutes that they cut those in which slots were, or are to be, measured."""
    cut = {(code, edge // MINUTE_S * MINUTE_S) for code, *edges in spans for edge in edges if edge % MINUTE_S}
    stored = store.measured_within(connection, [(code, minute, minute + MINUTE_S) for code, minute in cut], sensors)
    slots = set(zip(*(column.tolist() for column in stored[:2]), strict=True))
    told = coverage.observed_s > 0
    slots |= cut & set(zip(coverage.sensor[told].tolist(), coverage.minute[told].tolist(), strict=True))
    whole = []
    for code, start, end in spans:
        low, high = start // MINUTE_S * MINUTE_S, -(-end // MINUTE_S) * MINUTE_S
        whole.append((code, low if (code, low) in slots else start, high if (code, high - MINUTE_S) in slots else end))
    return whole


def _merged(windows: Iterable[Window]) -> list[Window]:
    """The minutes that the windows touch, as windows that do not overlap."""
    merged: list[Window] = []
    for code, start, end in sorted(windows):
        start, end = start // MINUTE_S * MINUTE_S, -(-end // MINUTE_S) * MINUTE_S  # noqa: PLW2901
        if merged and merged[-1][0] == code and start <= merged[-1][2]:
            merged[-1] = (code, merged[-1][1], max(end, merged[-1][2]))
        else:
            merged.append((code, start, end))
    return merged


def _by_sensor(code: Int64s, minute: Int64s, seconds: Int64s) -> Iterable[tuple[int, list[int], list[int]]]:
    """Columns, in any order, as lists for each code."""
    order = np.argsort(code, kind="stable")
    code, minute, seconds = code[order], minute[order], seconds[order]
    each, first = np.unique(code, return_index=True)
    for one, (at, to) in zip(each.tolist(), pairwise([*first.tolist(), len(code)]), strict=True):
        yield one, minute[at:to].tolist(), seconds[at:to].tolist()
