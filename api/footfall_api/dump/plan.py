"""Which files of counts there are, and which intervals of which stations are in each.

An interval belongs to the month and the year in which it begins, by the clocks of its station: so a week that ends in
the next year is in the file of the old one. Files hold whole days that are over and public, and so change once a day;
the week that is still running is in none. The first file begins with the month in which anything was measured first.

A station has rows from the interval in which its first sensor was put up to the one in which its last was taken down: a
time without sensor between the two is a gap, and a gap is a row. Before and after there was nothing that could have had
a gap, and to write it down would have each new station change all files of the past.

Pure functions: no clock, no database. Instants are UTC unix seconds.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.intervals import Resolution, day_start, interval_of, local_date
from footfall_api.publication import STANDARD, Publication
from footfall_api.ranges import FAR_S
from footfall_api.stations import Station

MONTHLY: Final = (Resolution.QUARTER_HOUR, Resolution.HOUR)
"""What is also there by the month. A month of days would be a file of thirty lines for each station."""

SUFFIXES: Final = (".csv.gz", ".parquet")
"""Each table of counts is there in both formats."""

_FILE: Final = re.compile(rf"counts/({'|'.join(STANDARD)})/(\d{{4}})(?:-(\d\d))?(?:\.csv\.gz|\.parquet)")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A calendar month, or with month 0 a year."""

    year: int
    month: int = 0

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}" if self.month else f"{self.year:04}"

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.month or 1, 1)

    @property
    def end(self) -> date:
        """The first day after it."""
        if self.month in {0, 12}:
            return date(self.year + 1, 1, 1)
        return date(self.year, self.month + 1, 1)


@dataclass(frozen=True, slots=True)
class Table:
    """The counts of all stations by one resolution in one period."""

    resolution: Resolution
    period: Period

    @property
    def stem(self) -> str:
        """Its path in the folder, without the format."""
        return f"counts/{self.resolution}/{self.period}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Its paths in the folder."""
        return tuple(self.stem + suffix for suffix in SUFFIXES)


def table_of(path: str) -> Table | None:
    """The table whose counts are at a path in the folder; None if that is no path of counts."""
    found = _FILE.fullmatch(path)
    if found is None or not int(found[2]) or (found[3] is not None and not 1 <= int(found[3]) <= 12):
        return None
    return Table(Resolution(found[1]), Period(int(found[2]), int(found[3] or 0)))


@dataclass(frozen=True, slots=True)
class Choice:
    """What of all tables to write; the others stay as they are. None: all."""

    only: frozenset[Resolution] | None = None
    first: Period | None = None
    last: Period | None = None

    def has(self, table: Table) -> bool:
        """Whether the table is chosen: some of its period lies in the time chosen."""
        return (
            (self.only is None or table.resolution in self.only)
            and (self.first is None or table.period.end > self.first.first)
            and (self.last is None or table.period.first < self.last.end)
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """Intervals from edge to edge in which the same stations of one zone have rows; by id."""

    stations: tuple[Station, ...]
    from_s: int
    to_s: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Span:
    """What can be in files at all: from the first day of a month up to where counts are public."""

    begin: date
    known_s: int

    def horizon_s(self, zone: ZoneInfo) -> int:
        """The last local midnight up to which everything is public."""
        return horizon_s(self.known_s, zone)

    def bounds(self, resolution: Resolution, zone: ZoneInfo) -> tuple[int, int]:
        """The first and the last edge that files can have; not a span of time if the second is not after the first."""
        begin_s = interval_of(resolution, day_start(self.begin, zone), zone)[0]
        return begin_s, interval_of(resolution, self.horizon_s(zone), zone)[0]


def horizon_s(known_s: int, zone: ZoneInfo) -> int:
    """The last local midnight at or before `known_s`."""
    return day_start(local_date(known_s, zone), zone)


def span_of(first_measured: Mapping[str, int], stations: Sequence[Station], known_s: int) -> Span | None:
    """What can be in files, from when each station measured first; None: none has before the last midnight."""
    zones = {station.id: station.zone for station in stations}
    begins = [
        local_date(first_s, zones[station]).replace(day=1)
        for station, first_s in first_measured.items()
        if station in zones and first_s < horizon_s(known_s, zones[station])
    ]
    return Span(min(begins), known_s) if begins else None


def tables(span: Span, stations: Sequence[Station], resolutions: Iterable[Resolution]) -> list[Table]:
    """All tables that have a row, by resolution, the newest first: nobody wants to wait for what hardly changes."""
    found = []
    zones = zones_of(stations)
    for resolution in resolutions:
        days = [
            (local_date(begin_s, zone), local_date(end_s - 1, zone))
            for zone in zones
            for begin_s, end_s in [span.bounds(resolution, zone)]
            if begin_s < end_s
        ]
        if days:
            periods = _periods(min(days)[0], max(last for _, last in days), monthly=resolution in MONTHLY)
            possible = [Table(resolution, period) for period in periods]
            found += [table for table in possible if any(stretches(table, span, stations, zone) for zone in zones)]
    return found


def _periods(first: date, last: date, *, monthly: bool) -> list[Period]:
    years = [Period(year) for year in range(last.year, first.year - 1, -1)]
    if not monthly:
        return years
    months = [Period(year.year, month) for year in years for month in range(12, 0, -1)]
    inside = [month for month in months if month.end > first and month.first <= last]
    return [*inside, *years]


def zones_of(stations: Sequence[Station]) -> list[ZoneInfo]:
    """The zones of some stations, by name: a table is made zone by zone."""
    return [ZoneInfo(key) for key in sorted({station.zone.key for station in stations})]


def stretches(table: Table, span: Span, stations: Sequence[Station], zone: ZoneInfo) -> list[Stretch]:
    """The intervals of a table at the stations of one zone, in order of time."""
    resolution = table.resolution
    begin_s, end_s = span.bounds(resolution, zone)
    from_s = max(begin_s, _edge_from(resolution, day_start(table.period.first, zone), zone))
    to_s = min(end_s, _edge_from(resolution, day_start(table.period.end, zone), zone))
    if to_s <= from_s:
        return []
    lives = [
        (station, *life)
        for station in stations
        if station.zone.key == zone.key and (life := _life(station, resolution, from_s, to_s)) is not None
    ]
    cuts = sorted({bound for _, *life in lives for bound in life})
    found = [
        Stretch(tuple(station for station, first, last in lives if first <= start and last >= end), start, end, zone)
        for start, end in pairwise(cuts)
    ]
    return [stretch for stretch in found if stretch.stations]


def _edge_from(resolution: Resolution, instant_s: int, zone: ZoneInfo) -> int:
    """The first edge at or after an instant."""
    start_s, end_s = interval_of(resolution, instant_s, zone)
    return start_s if start_s == instant_s else end_s


def _life(station: Station, resolution: Resolution, from_s: int, to_s: int) -> tuple[int, int] | None:
    """The edges in [from_s, to_s] between which a station has rows; None: it has none."""
    parts = station.parts()
    first_s = min((-FAR_S if part.from_s is None else part.from_s for part in parts), default=FAR_S)
    last_s = max((FAR_S if part.to_s is None else part.to_s for part in parts), default=-FAR_S)
    if first_s >= to_s or last_s <= from_s:
        return None
    zone = station.zone
    begin_s = from_s if first_s <= from_s else interval_of(resolution, first_s, zone)[0]
    end_s = to_s if last_s >= to_s else interval_of(resolution, last_s - 1, zone)[1]
    return begin_s, end_s


def rules_digest(rules: Publication) -> str:
    """Stands for all of the rules that has a bearing on numbers in files. Reasons have none."""
    held_back = sorted(
        {station: rules.ranges(station) for rule in rules.held_back for station in rule.stations}.items()
    )
    return hashlib.sha256(repr((list(map(str, rules.standard)), rules.delay_s, held_back)).encode()).hexdigest()[:16]
