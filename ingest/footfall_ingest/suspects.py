"""The sensors of a batch whose reports have to be gone through one by one, and what is stored around them.

Those are few: where more seconds would be measured than there are, where spans with measured seconds lie, and where
passages of a minute were found afterwards. What is read for them is no more than what may decide about a report: the
spans that hang together with it (`footfall_ingest.ledger.Ledger`), and the minutes of these.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from footfall_contract.batch import ReportBatch
from footfall_ingest import store
from footfall_ingest.aggregate import MINUTE_S, Deltas, MinuteCoverage
from footfall_ingest.ledger import Ledger, recovered_minutes
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
    passages: dict[int, dict[int, int]] = {code: {} for code in suspects}
    for (code, at), count in zip(recovered, store.passages(connection, recovered, sensors), strict=True):
        passages[code][at] = count
    return {
        code: Ledger(minutes[code], [span[1:] for span in spans if span[0] == code], passages[code])
        for code in suspects
    }


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
    """The times that the reports of each sensor cover, in whole minutes."""
    if not len(rows):
        return []
    rows = rows[np.lexsort((batch.start[rows], batch.sensor[rows]))]
    sensor = batch.sensor[rows].astype(np.int64)
    low = batch.start[rows] // MINUTE_S * MINUTE_S
    high = -(-(batch.start + batch.slot * batch.slots)[rows] // MINUTE_S) * MINUTE_S
    reach = np.maximum.accumulate((sensor << _TIME_BITS) + high) & ((1 << _TIME_BITS) - 1)
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (sensor[1:] != sensor[:-1]) | (low[1:] > reach[:-1] + _APART_S)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(rows)) - 1
    return list(zip(sensor[first].tolist(), low[first].tolist(), reach[last].tolist(), strict=True))


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
    for each in np.unique(code).tolist():
        mine = code == each
        yield each, minute[mine].tolist(), seconds[mine].tolist()
