"""Put a past from a file into the database: whole or not at all, once however often it is asked for.

What is stored already is read first and held against the file. The same again is a duplicate and left alone; another
value for the same time is a conflict, which is reported with the file's line and changes nothing. What is new goes the
way of live reports, and is read back and compared before it is committed.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from footfall_contract.report import SlotReport
from footfall_contract.words import Direction, PassageClass
from footfall_demo.history_csv import Cell, History, Interval, StationHistory
from footfall_demo.history_write import number, past_stream, write_reports
from footfall_demo.refusals import FailedError
from footfall_demo.terminal import Step
from footfall_ingest.stations import apply_stations, stored
from footfall_ingest.stations_file import Installation, Station

_BATCH = 4000
_CONFLICTS_SHOWN = 20

Span = tuple[int, int]
"""Start and end of an interval, UTC seconds."""


class ConflictError(FailedError):
    """The file says something else than what is stored about the same time; nothing of it was taken over."""

    def __init__(self, conflicts: Sequence[str]) -> None:
        self.conflicts = tuple(conflicts)
        more = len(conflicts) - _CONFLICTS_SHOWN
        super().__init__(
            "\n".join(
                [
                    "The file was not taken over: it contradicts what is stored.",
                    *conflicts[:_CONFLICTS_SHOWN],
                    *([f"… and {more} more"] if more > 0 else []),
                ]
            )
        )


class CancelledError(Exception):
    """Somebody asked to stop; nothing was taken over."""


@dataclass(frozen=True)
class Imported:
    """What became of a file: intervals that were written, and intervals that were stored already."""

    written: int
    known: int


@dataclass(frozen=True, slots=True)
class _Stored:
    observed_s: int
    counts: Mapping[Cell, int]


def import_history(
    connection: psycopg.Connection,
    history: History,
    *,
    step: Step = lambda _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Imported:
    """Store `history`, its new stations included, in one transaction on `connection`, which must not be in one.

    Raises:
        ConflictError: something else is stored about the same time.
        CancelledError: `cancelled` became true.
        FailedError: what was read back is not what the file says.
    """
    with connection.transaction():
        _create_stations(connection, history.stations)
        found = {station.sensor: _read(connection, station) for station in history.stations}
        if conflicts := [text for station in history.stations for text in _conflicts(station, found[station.sensor])]:
            raise ConflictError(conflicts)
        new = {station.sensor: _new(station, found[station.sensor]) for station in history.stations}
        total = sum(map(len, new.values()))
        done = 0
        for station in history.stations:
            reports = (_report(station.sensor, interval) for interval in new[station.sensor])
            for written in write_reports(connection, reports, _BATCH):
                done += written
                step(done, total)
                if cancelled():
                    raise CancelledError
            _check(connection, station)
    return Imported(total, sum(len(station.intervals) for station in history.stations) - total)


def _report(sensor: str, interval: Interval) -> SlotReport:
    """One report for one interval: of one slot if it is a whole minute, else a span."""
    length = interval.length_s
    cells = [(direction, class_, count) for (direction, class_), count in interval.counts.items() if count]
    return SlotReport(
        sensor=sensor,
        # Intervals of each length are a stream of their own, so that their numbers are those of their times.
        stream=past_stream(sensor, f"csv/{length}"),
        seq=number(interval.start, length),
        start=interval.start,
        slot=length,
        slots=1,
        observed=(interval.observed_s,),
        index=(0,) * len(cells),
        direction=tuple(direction for direction, _, _ in cells),
        class_=tuple(class_ for _, class_, _ in cells),
        count=tuple(count for _, _, count in cells),
    )


# -- stations ---------------------------------------------------------------------------------------------------------


def _create_stations(connection: psycopg.Connection, histories: Sequence[StationHistory]) -> None:
    before = stored(connection)
    apply_stations(connection, [_station(history, before) for history in histories if history.created])


def _station(history: StationHistory, before: Mapping[str, Station]) -> Station:
    """The station of a file, installed for the time of its counts, those of earlier files included."""
    new = history.created
    assert new is not None
    starts, ends = [_minute(history.start)], [_minute(history.end + 59)]
    if (known := before.get(history.station)) is not None:
        starts += [installation.valid_from for installation in known.sensors]
        ends += [installation.valid_to for installation in known.sensors if installation.valid_to]
    return Station(
        id=history.station,
        name=new.name,
        timezone=new.timezone,
        position=(new.longitude, new.latitude),
        line=None,
        directions=(),
        sensors=(Installation(history.sensor, min(starts), max(ends), "part"),),
    )


def _minute(instant: int) -> datetime:
    return datetime.fromtimestamp(instant // 60 * 60, UTC)


# -- what is stored ---------------------------------------------------------------------------------------------------

_COVERAGE = """
    SELECT extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint, observed_s::bigint
    FROM coverage_span WHERE sensor = %(sensor)s AND starts < %(end)s AND ends > %(start)s
    UNION ALL
    SELECT extract(epoch FROM bucket)::bigint, extract(epoch FROM bucket)::bigint + 60, observed_s
    FROM coverage_minute WHERE sensor = %(sensor)s AND bucket < %(end)s AND bucket > %(start)s - interval '1 minute'
"""
_COUNTS = """
    SELECT extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint, direction, class, count
    FROM count_span WHERE sensor = %(sensor)s AND starts < %(end)s AND ends > %(start)s
    UNION ALL
    SELECT extract(epoch FROM bucket)::bigint, extract(epoch FROM bucket)::bigint + 60, direction, class, count
    FROM count_minute WHERE sensor = %(sensor)s AND bucket < %(end)s AND bucket > %(start)s - interval '1 minute'
"""


def _read(connection: psycopg.Connection, history: StationHistory) -> dict[Span, _Stored]:
    """All that is stored about the sensor in the time of its history, minutes and spans alike."""
    key = connection.execute("SELECT key FROM sensor WHERE id = %s", [history.sensor]).fetchone()
    if key is None:
        return {}
    what = {
        "sensor": key[0],
        "start": datetime.fromtimestamp(history.start, UTC),
        "end": datetime.fromtimestamp(history.end, UTC),
    }
    counts: dict[Span, dict[Cell, int]] = {}
    for start, end, direction, class_, count in connection.execute(_COUNTS, what):
        counts.setdefault((start, end), {})[Direction(direction), PassageClass(class_)] = count
    return {
        (start, end): _Stored(observed, counts.get((start, end), {}))
        for start, end, observed in connection.execute(_COVERAGE, what)
    }


def _conflicts(history: StationHistory, found: Mapping[Span, _Stored]) -> Iterator[str]:
    said = {(interval.start, interval.end): interval for interval in history.intervals if interval.line}
    for span, stored_ in sorted(found.items()):
        if (interval := said.get(span)) is not None:
            if _as_stored(interval) != stored_:
                yield (
                    f"line {interval.line}: station {history.station!r}, {_shown(span)}: "
                    f"{_value(_as_stored(interval))} in the file, {_value(stored_)} stored"
                )
        else:
            for interval in _touching(history.intervals, span):
                if interval.line:
                    yield (
                        f"line {interval.line}: station {history.station!r}, "
                        f"{_shown((interval.start, interval.end))}: stored is another part of this time, {_shown(span)}"
                    )


def _new(history: StationHistory, found: Mapping[Span, _Stored]) -> list[Interval]:
    taken = sorted(found)
    return [
        interval
        for interval in history.intervals
        # A hole of this file may be where another file brought counts: then there is nothing to fill.
        if (interval.start, interval.end) not in found and (interval.line or not _overlaps(taken, interval))
    ]


def _overlaps(taken: Sequence[Span], interval: Interval) -> bool:
    place = bisect_right(taken, (interval.end - 1, interval.end))
    # Stored intervals of one sensor do not overlap, so the last one that starts before the end is the one that counts.
    return place > 0 and taken[place - 1][1] > interval.start


def _touching(intervals: Sequence[Interval], span: Span) -> Iterator[Interval]:
    place = max(0, bisect_right(intervals, span[0], key=lambda interval: interval.start) - 1)
    while place < len(intervals) and intervals[place].start < span[1]:
        if intervals[place].end > span[0]:
            yield intervals[place]
        place += 1


def _check(connection: psycopg.Connection, history: StationHistory) -> None:
    found = _read(connection, history)
    for interval in history.intervals:
        stored_ = found.get((interval.start, interval.end))
        if interval.line and stored_ != _as_stored(interval):
            raise FailedError(
                f"The file was not taken over: line {interval.line} of it says {_value(_as_stored(interval))} for "
                f"station {history.station!r}, {_shown((interval.start, interval.end))}, and "
                f"{_value(stored_) if stored_ else 'nothing'} could be read back."
            )


def _as_stored(interval: Interval) -> _Stored:
    return _Stored(interval.observed_s, {cell: count for cell, count in interval.counts.items() if count})


def _value(found: _Stored) -> str:
    parts = [f"{count} {d.name.lower()}/{c.name.lower()}" for (d, c), count in sorted(found.counts.items())]
    if not parts and not found.observed_s:
        return "not measured"
    return f"{' + '.join(parts) or '0 passages'} in {found.observed_s} s measured"


def _shown(span: Span) -> str:
    start, end = (datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for instant in span)
    return f"{start} to {end}"
