"""Put a past from a file into the database: whole or not at all, once however often it is asked for.

What is stored already is read first and held against the file. The same again is a duplicate and left alone; another
value for the same time is a conflict, which is reported with the file's line and changes nothing. What is new goes the
way of live reports, and is read back and compared before it is committed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from footfall_contract.report import SlotReport
from footfall_demo.history_csv import History, StationHistory
from footfall_demo.history_write import write_reports
from footfall_demo.refusals import FailedError
from footfall_demo.terminal import Step
from footfall_ingest.history import stored as stored_history
from footfall_ingest.history.intervals import Interval
from footfall_ingest.history.stored import Stored, as_stored, shown
from footfall_ingest.history.writing import report_of
from footfall_ingest.stations import apply_stations, stored
from footfall_ingest.stations_file import Installation, Station

_BATCH = 4000
_CONFLICTS_SHOWN = 20


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
        new = {
            station.sensor: stored_history.new(station.intervals, found[station.sensor]) for station in history.stations
        }
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
    return report_of(sensor, f"csv/{interval.length_s}", interval)


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


def _read(connection: psycopg.Connection, history: StationHistory) -> dict[stored_history.Times, Stored]:
    return stored_history.read(connection, history.sensor, history.start, history.end)


def _conflicts(history: StationHistory, found: Mapping[stored_history.Times, Stored]) -> Iterator[str]:
    for conflict in stored_history.conflicts(history.intervals, found):
        yield f"line {conflict.interval.line}: station {history.station!r}, {conflict}"


def _check(connection: psycopg.Connection, history: StationHistory) -> None:
    found = _read(connection, history)
    for interval in history.intervals:
        times = (interval.start, interval.end)
        if interval.line and found.get(times) != as_stored(interval):
            raise FailedError(
                f"The file was not taken over: line {interval.line} of it says {as_stored(interval)} for "
                f"station {history.station!r}, {shown(times)}, and {found.get(times, 'nothing')} could be read back."
            )
