"""A past from a file: the API's own CSV, read into intervals, every doubt named with its line.

The file is what ``/api/v1/stations/{id}/counts?format=csv`` answers, for one station or several, and nothing keeps it
from being written by another program: rows may come in any order, directions and classes may be left out, intervals may
have any length of a minute or more. What is refused is what could be counted wrongly: a time without offset, two
values for the same time, intervals that overlap.

Reading is pure: no database, no clock (`now` is given). :mod:`footfall_demo.history_import` writes what comes out.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import ceil, isfinite
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from footfall_contract.words import MAX_COUNT, MAX_SPAN_S, Direction, PassageClass
from footfall_demo.refusals import RefusedError
from footfall_ingest.history.intervals import Cell, Interval
from footfall_ingest.history.names import id_of
from footfall_ingest.judge import MAX_PASSAGES_PER_S

REQUIRED: Final = ("station", "interval_start", "interval_end", "count")
OPTIONAL: Final = (
    "direction", "class", "sensor", "coverage", "state", "reason", "final", "name", "latitude", "longitude", "timezone",
)  # fmt: skip

_DIRECTIONS = {"in": Direction.IN, "out": Direction.OUT, "undirected": Direction.UNDIRECTED}
_CLASSES = {item.name.lower(): item for item in PassageClass}
_STATES = ("measured", "partial", "missing", "recovered", "coarse")
_NOTHING_THERE = ("not_installed", "future")
"""Reasons of rows that do not speak about a sensor at all."""
_SHORTEST_S = 60
_FAULTS_SHOWN = 20
_SAME_PLACE_DEGREES = 0.02
"""About 2 km: a station of the stations file that the CSV puts farther away is another place of the same name."""


class HistoryFileError(RefusedError):
    """The file cannot be used; `faults` name line, column, value and what would be right, one each."""

    def __init__(self, path: Path, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        more = [f"… and {len(faults) - _FAULTS_SHOWN} more"] if len(faults) > _FAULTS_SHOWN else []
        super().__init__("\n".join([f"{path} was not taken over:", *faults[:_FAULTS_SHOWN], *more]))


@dataclass(frozen=True, slots=True)
class KnownStation:
    """A station of the stations file: its position, its sensors that are summed, and since when they stand there."""

    longitude: float
    latitude: float
    sensors: tuple[str, ...]
    since: int
    """UTC seconds."""


@dataclass(frozen=True)
class NewStation:
    """A station to be created for the file: where it is, and in which time zone its days begin."""

    name: str
    longitude: float
    latitude: float
    timezone: str


@dataclass(frozen=True)
class StationHistory:
    """One station's past: its intervals in order, without overlap, holes filled with intervals of no observation."""

    station: str
    sensor: str
    created: NewStation | None
    intervals: tuple[Interval, ...]

    @property
    def start(self) -> int:
        """Beginning of the first interval, UTC seconds."""
        return self.intervals[0].start

    @property
    def end(self) -> int:
        """End of the last interval, UTC seconds."""
        return self.intervals[-1].end


@dataclass(frozen=True)
class History:
    """What the file holds, and `notes`: what was passed over or changed, in sentences."""

    stations: tuple[StationHistory, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which time may be imported, in UTC seconds: nothing before `oldest`, nothing that ends after `now`.

    At a station of the stations file nothing at or after `live_since`, where live counting took over; None: it has not.
    """

    oldest: int
    now: int
    live_since: int | None


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    station: str
    start: int
    end: int
    cell: Cell
    whole: tuple[bool, bool]
    """Whether the row is the sum over directions, over classes."""
    count: int | None
    observed_s: int


@dataclass
class _Place:
    """What the rows of one station say about it besides counts."""

    given_id: str
    line: int
    values: dict[str, tuple[str, int]] = field(default_factory=dict)


class _RowError(Exception):
    """A value in a row that cannot be used: column, value, what would be right."""


def read_history(path: Path, stations: Mapping[str, KnownStation], bounds: Bounds) -> History:
    """The past in the CSV file at `path`.

    Raises:
        HistoryFileError: the file cannot be read, or holds what cannot be used. All faults are named, not only the
            first one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _Reader(path, stations, bounds).read(file)
    except OSError as error:
        raise HistoryFileError(path, [f"it cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise HistoryFileError(path, [f"it is not UTF-8 text: {error.reason} at byte {error.start}"]) from error


class _Reader:
    def __init__(self, path: Path, stations: Mapping[str, KnownStation], bounds: Bounds) -> None:
        self._path = path
        self._known = stations
        self._bounds = bounds
        self._faults: list[tuple[int, str]] = []
        self._notes: list[str] = []
        self._places: dict[str, _Place] = {}
        self._coarse = 0
        self._nothing_there = 0
        self._repeated = 0

    def read(self, lines: Iterable[str]) -> History:
        reader = csv.reader(lines, strict=True)
        rows: dict[str, list[_Row]] = {}
        try:
            columns = self._columns(next(reader, []))
            for values in reader:
                if values:
                    self._take(columns, values, reader.line_num, rows)
        except csv.Error as error:
            self._fault(reader.line_num, f"not valid CSV: {error}")
        histories = [self._history(station, found) for station, found in sorted(rows.items())]
        if not self._faults and not histories:
            raise HistoryFileError(self._path, ["it has no row with a count or a gap"])
        if self._faults:
            raise HistoryFileError(self._path, [text for _, text in sorted(self._faults)])
        return History(tuple(item for item in histories if item), (*self._notes, *self._counted()))

    def _columns(self, header: Sequence[str]) -> dict[str, int]:
        columns = {name.strip(): place for place, name in enumerate(header)}
        if missing := [name for name in REQUIRED if name not in columns]:
            hint = ""
            if len(header) == 1 and ";" in header[0]:
                hint = " The columns are separated by semicolons: that is the flavour for Excel; ask for format=csv."
            raise HistoryFileError(
                self._path,
                [f"line 1: the header lacks {', '.join(missing)}; it must have {', '.join(REQUIRED)}.{hint}"],
            )
        if twice := sorted({name for name in columns if [item.strip() for item in header].count(name) > 1}):
            raise HistoryFileError(self._path, [f"line 1: the header names {', '.join(twice)} twice"])
        if unused := [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]:
            self._notes.append(f"columns not used: {', '.join(unused)}")
        return columns

    def _fault(self, line: int, text: str) -> None:
        self._faults.append((line, f"line {line}: {text}"))

    # -- one row ----------------------------------------------------------------------------------------------------

    def _take(self, columns: Mapping[str, int], values: Sequence[str], line: int, rows: dict[str, list[_Row]]) -> None:
        if len(values) != len(columns):
            self._fault(line, f"{len(values)} columns; the header has {len(columns)}")
            return
        text = {name: values[place].strip() for name, place in columns.items()}
        try:
            state = _word(text, "state", _STATES)
            if state == "coarse":
                self._coarse += 1
            elif text.get("reason") in _NOTHING_THERE:
                self._nothing_there += 1
            else:
                row = self._row(text, state, line)
                rows.setdefault(row.station, []).append(row)
        except _RowError as error:
            self._fault(line, str(error))

    def _row(self, text: Mapping[str, str], state: str, line: int) -> _Row:
        station = self._station(text, line)
        start, end = self._interval(text)
        count, length = _count(text["count"]), end - start
        if count is not None and count > MAX_PASSAGES_PER_S * length:
            raise _RowError(
                f"column count: {count} in {length} s; more than {MAX_PASSAGES_PER_S} a second are not believed"
            )
        observed = _observed(text.get("coverage", ""), count, state, length)
        direction = text.get("direction", "")
        class_ = text.get("class", "")
        cell = (
            _DIRECTIONS[_word(text, "direction", tuple(_DIRECTIONS))]
            if direction not in ("", "all")
            else Direction.UNDIRECTED,
            _CLASSES[_word(text, "class", tuple(_CLASSES))] if class_ not in ("", "all") else PassageClass.UNKNOWN,
        )
        return _Row(line, station, start, end, cell, (direction in ("", "all"), class_ in ("", "all")), count, observed)

    def _station(self, text: Mapping[str, str], line: int) -> str:
        given = text["station"]
        station = id_of(given)
        if not station:
            raise _RowError(f"column station: {given!r} has no letter or digit to make an id of")
        place = self._places.get(station)
        if place is None:
            place = self._places[station] = _Place(given, line)
            if station != given:
                self._notes.append(f"station {given!r} has the id {station!r} here: ids have a-z, 0-9 and '-' only")
        elif place.given_id != given:
            raise _RowError(
                f"column station: {given!r} would have the id {station!r}, which is that of {place.given_id!r} in line "
                f"{place.line}"
            )
        for column in ("name", "latitude", "longitude", "timezone", "sensor"):
            if (value := text.get(column, "")) and not (column == "sensor" and value == "all"):
                first, where = place.values.setdefault(column, (value, line))
                if first != value:
                    raise _RowError(f"column {column}: {value!r}; line {where} says {first!r} of the same station")
        return station

    def _interval(self, text: Mapping[str, str]) -> tuple[int, int]:
        start, end = _instant(text, "interval_start"), _instant(text, "interval_end")
        if end <= start:
            raise _RowError(f"column interval_end: {text['interval_end']} is not after interval_start")
        if not _SHORTEST_S <= end - start <= MAX_SPAN_S:
            raise _RowError(
                f"column interval_end: {text['interval_end']} is {end - start} s after interval_start; "
                "an interval has from one minute to 31 days"
            )
        if start < self._bounds.oldest:
            raise _RowError(f"column interval_start: {text['interval_start']} is before {_utc(self._bounds.oldest)}")
        if end > self._bounds.now:
            raise _RowError(f"column interval_end: {text['interval_end']} has not passed yet")
        return start, end

    # -- one station ------------------------------------------------------------------------------------------------

    def _history(self, station: str, rows: list[_Row]) -> StationHistory | None:
        place = self._places[station]
        known = self._known.get(station)
        before = len(self._faults)
        sensor, created = f"{station}-1", None
        if known is None:
            created = self._new_station(station, place)
        else:
            sensor = self._known_sensor(station, known, place)
            self._refuse_other_times(station, known, rows)
        intervals = self._fill(self._intervals(station, rows))
        return StationHistory(station, sensor, created, tuple(intervals)) if len(self._faults) == before else None

    def _known_sensor(self, station: str, known: KnownStation, place: _Place) -> str:
        for column, here in (("latitude", known.latitude), ("longitude", known.longitude)):
            value, line = place.values.get(column, ("", 0))
            number = self._number(column, value, line, 180) if value else None
            if number is not None and abs(number - here) > _SAME_PLACE_DEGREES:
                self._fault(
                    line,
                    f"column {column}: {value}; the station {station!r} of the stations file is at {here}: if this is "
                    "another place, give it another id",
                )
        if named := place.values.get("sensor"):
            value, line = named
            if value not in known.sensors:
                self._fault(line, f"column sensor: {value!r} does not stand at station {station!r}")
        if len(known.sensors) != 1:
            self._fault(
                place.line,
                f"station {station!r} has {len(known.sensors)} sensors that are summed; a past can be taken over where "
                "there is one",
            )
        return known.sensors[0] if known.sensors else ""

    def _refuse_other_times(self, station: str, known: KnownStation, rows: Sequence[_Row]) -> None:
        live = self._bounds.live_since
        for row in rows:
            if row.start < known.since:
                self._fault(
                    row.line,
                    f"column interval_start: {_utc(row.start)} is before {_utc(known.since)}, when the counter of "
                    f"station {station!r} was installed",
                )
            if live is not None and row.end > live:
                self._fault(
                    row.line,
                    f"column interval_end: {_utc(row.end)} is after {_utc(live)}, since when station {station!r} "
                    "counts live; its past must end there",
                )

    def _new_station(self, station: str, place: _Place) -> NewStation | None:
        if missing := [column for column in ("latitude", "longitude", "timezone") if column not in place.values]:
            self._fault(
                place.line,
                f"station {station!r} is not in the stations file; to create it the columns latitude, longitude and "
                f"timezone are needed, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not given",
            )
            return None
        latitude = self._number("latitude", *place.values["latitude"], 90)
        longitude = self._number("longitude", *place.values["longitude"], 180)
        timezone, line = place.values["timezone"]
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._fault(line, f"column timezone: {timezone!r} is not a time zone such as Europe/Berlin")
            return None
        if latitude is None or longitude is None:
            return None
        name, _ = place.values.get("name", (place.given_id, 0))
        return NewStation(name, longitude, latitude, timezone)

    def _number(self, column: str, value: str, line: int, limit: int) -> float | None:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if isfinite(number) and abs(number) <= limit:
            return number
        self._fault(line, f"column {column}: {value!r} is not a number from -{limit} to {limit}")
        return None

    def _intervals(self, station: str, rows: list[_Row]) -> list[Interval]:
        groups: dict[tuple[int, int], list[_Row]] = {}
        for row in sorted(rows, key=lambda row: (row.start, row.end, row.line)):
            groups.setdefault((row.start, row.end), []).append(row)
        intervals = [found for group in groups.values() if (found := self._one_interval(group)) is not None]
        last: Interval | None = None
        for interval in intervals:
            if last is not None and interval.start < last.end:
                self._fault(
                    interval.line,
                    f"column interval_start: {_utc(interval.start)} is inside the interval of line {last.line}, which "
                    f"ends at {_utc(last.end)} (station {station!r})",
                )
            if last is None or interval.end > last.end:
                last = interval
        return intervals

    def _one_interval(self, rows: Sequence[_Row]) -> Interval | None:
        """The rows for one interval, put together: one for each direction and class."""
        first, faults = rows[0], len(self._faults)
        cells: dict[Cell, _Row] = {}
        for row in rows:
            same = cells.setdefault(row.cell, row)
            if same is not row:
                self._again(same, row)
            elif row.whole != first.whole:
                self._fault(
                    row.line,
                    f"the sum of all directions or classes beside single ones in line {first.line}, for the same "
                    "interval: passages would be counted twice",
                )
            elif (row.observed_s, row.count is None) != (first.observed_s, first.count is None):
                self._fault(
                    row.line,
                    f"column {'coverage' if row.observed_s != first.observed_s else 'count'}: not as in line "
                    f"{first.line} for the same interval, though the same sensor measured both",
                )
        if len(self._faults) > faults:
            return None
        counts = {cell: row.count for cell, row in cells.items() if row.count is not None}
        return Interval(first.start, first.end, first.observed_s, counts, first.line)

    def _again(self, first: _Row, row: _Row) -> None:
        if (row.count, row.observed_s) == (first.count, first.observed_s):
            self._repeated += 1
            return
        column, here, there = ("count", _shown(row.count), _shown(first.count))
        if here == there:
            column, here, there = ("coverage", f"{row.observed_s} s measured", f"{first.observed_s} s")
        self._fault(
            row.line,
            f"column {column}: {here}, but line {first.line} says {there} for the same time ({_utc(row.start)} to "
            f"{_utc(row.end)}); only one of them can be true",
        )

    def _fill(self, intervals: Sequence[Interval]) -> list[Interval]:
        """`intervals` with the holes between them filled by intervals in which nothing was observed."""
        filled: list[Interval] = []
        for interval in intervals:
            if filled:
                # In steps as long as the neighbours, so that an hourly past stays one of hours.
                step = min(filled[-1].length_s, interval.length_s)
                filled += [
                    Interval(start, min(start + step, interval.start), 0, {}, 0)
                    for start in range(filled[-1].end, interval.start, step)
                    # Counts are kept by minutes: a hole within a minute cannot be told from the minute.
                    if min(start + step, interval.start) - start >= _SHORTEST_S
                ]
            filled.append(interval)
        return filled

    def _counted(self) -> list[str]:
        return [
            f"rows {what}: {number:,}"
            for number, what in (
                (self._repeated, "that say again what another one says, used once"),
                (self._coarse, "passed over because they are coarse and hold no value of their own"),
                (self._nothing_there, "passed over because they speak of a time without a sensor"),
            )
            if number
        ]


def _word(text: Mapping[str, str], column: str, words: Sequence[str]) -> str:
    value = text.get(column, "")
    if value and value not in words:
        raise _RowError(f"column {column}: {value!r} is none of {', '.join(words)}")
    return value


def _instant(text: Mapping[str, str], column: str) -> int:
    value = text[column]
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise _RowError(f"column {column}: {value!r} is not a time such as 2024-05-01T06:00:00+02:00") from None
    if instant.tzinfo is None:
        raise _RowError(f"column {column}: {value!r} has no offset; write for example {value}+02:00")
    if instant.microsecond:
        raise _RowError(f"column {column}: {value!r} is not a whole second")
    return int(instant.timestamp())


def _count(value: str) -> int | None:
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > MAX_COUNT:
        raise _RowError(
            f"column count: {value!r} is not a whole number of passages (0 to {MAX_COUNT}; empty: not measured)"
        )
    return int(value)


def _observed(value: str, count: int | None, state: str, length_s: int) -> int:
    """The seconds in which the sensor measured, from the columns coverage, count and state."""
    try:
        coverage = Decimal(value) if value else None
    except InvalidOperation:
        coverage = Decimal("NaN")
    if coverage is not None and not (coverage.is_finite() and 0 <= coverage <= 1):
        raise _RowError(f"column coverage: {value!r} is not a number from 0 to 1 (empty: all of the interval)")
    if count is None:
        if coverage:
            raise _RowError(f"column count: empty although coverage is {value}; a measured interval has a count, 0 too")
        return 0
    if state == "missing":
        raise _RowError(f"column state: 'missing' although count is {count}; a missing interval has an empty count")
    if state == "recovered":
        return 0
    # Up, because the API writes coverage rounded down: so what it wrote is what it writes again.
    return length_s if coverage is None else ceil(coverage * length_s)


def _shown(value: int | None) -> str:
    return "not measured" if value is None else str(value)


def _utc(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
