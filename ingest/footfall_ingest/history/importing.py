"""One import: read, put together, find the sensors, hold against what is stored, write.

Everything is read and compared before the first row is written; a file with a fault, or with another value than is
stored, leaves nothing. What is written goes sensor by sensor, some thousand intervals in a transaction, each held
against the store once more under the sensor's lock. So an import that is cut short, however rudely, is simply run
again: what is there is known by its content and by its number.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from footfall_contract import ContractError, check_id
from footfall_ingest import store
from footfall_ingest.commands import Connection, RefusedError
from footfall_ingest.history import mapping as mappings
from footfall_ingest.history import stored, writing
from footfall_ingest.history.findings import Findings, Kind, number_of, shown
from footfall_ingest.history.intervals import (
    Bounds,
    Hole,
    Interval,
    Intervals,
    assemble,
    hours,
    note_holes,
    note_month_ends,
    note_zeros,
)
from footfall_ingest.history.names import id_of
from footfall_ingest.history.reading import Read, Readings, read
from footfall_ingest.history.stored import Conflict
from footfall_ingest.judge import Rules, utc_text

BATCH: Final = 4000
"""Intervals in one transaction: a second or two, so that a box that reports the same sensor does not wait long."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is; 0: unknown."""


@dataclass(frozen=True)
class Wanted:
    """What is to be imported, and how."""

    paths: Sequence[Path]
    mapping_name: str
    mapping: mappings.Mapping
    station: str | None = None
    sensor: str | None = None
    dry_run: bool = False
    skip_faulty: bool = False


@dataclass
class Part:
    """The intervals of one sensor, and what becomes of them."""

    sensor: str
    station: str | None
    intervals: Intervals
    known_sensor: bool
    new: int = 0
    known: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)

    @property
    def span_s(self) -> int:
        """Seconds from the first to the last."""
        return int(self.intervals.end[-1] - self.intervals.start[0]) if len(self.intervals) else 0

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        times = self.intervals
        there = bool(len(times))
        return {
            "sensor": self.sensor,
            "station": self.station,
            "sensor_known": self.known_sensor,
            "first": utc_text(int(times.start[0])) if there else None,
            "last": utc_text(int(times.end[-1])) if there else None,
            "intervals": len(times),
            "new": self.new,
            "known": self.known,
            "conflicting": len(self.conflicts),
            "total": int(times.total.sum()),
            "measured_s": times.measured_s,
            "coverage": round(times.measured_s / self.span_s, 4) if there else None,
            "holes": [
                {"from": utc_text(hole.start), "to": utc_text(hole.end), "s": hole.length_s} for hole in self.holes
            ],
        }


@dataclass
class Report:
    """What an import found and did."""

    wanted: Wanted
    rows: int = 0
    skipped: int = 0
    unmeasured: int = 0
    """Intervals that the files call not measured."""
    faulty: int = 0
    """Intervals with a fault."""
    parts: list[Part] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    outcome: str = "refused"
    """`imported`, `would be imported`, or `refused`: then nothing was written."""

    @property
    def conflicts(self) -> list[tuple[Part, Conflict]]:
        """All of them."""
        return [(part, conflict) for part in self.parts for conflict in part.conflicts]

    @property
    def refused(self) -> bool:
        """Whether nothing of the files may be written."""
        faults = self.findings.faults
        fatal = [item for item in faults if item.kind in _FATAL]
        return bool(self.conflicts or fatal or (faults and not self.wanted.skip_faulty))

    def as_json(self) -> dict[str, Any]:
        """The report as a document. Its keys and its words of kind are kept; new ones may be added."""
        totals = {
            key: sum(part.as_json()[key] for part in self.parts)
            for key in ("intervals", "new", "known", "conflicting", "total")
        }
        return {
            "mapping": self.wanted.mapping_name,
            "files": [str(path) for path in self.wanted.paths],
            "dry_run": self.wanted.dry_run,
            "outcome": self.outcome,
            "rows": self.rows,
            "rows_skipped": self.skipped,
            **totals,
            "unmeasured": self.unmeasured,
            "faulty": self.faulty,
            "sensors": [part.as_json() for part in self.parts],
            "conflicts": [
                {
                    "sensor": part.sensor,
                    "file": conflict.interval.file,
                    "line": conflict.interval.line,
                    "from": utc_text(conflict.interval.start),
                    "to": utc_text(conflict.interval.end),
                    "file_says": str(stored.as_stored(conflict.interval)),
                    "stored": str(conflict.stored) if conflict.stored else None,
                    "stored_from": utc_text(conflict.times[0]),
                    "stored_to": utc_text(conflict.times[1]),
                }
                for part, conflict in self.conflicts
            ],
            "findings": [item.as_json() for item in self.findings.items],
        }

    def lines(self) -> list[str]:
        """The report for people."""
        lines = shown(self.findings.items)
        lines += [
            f"conflict  {conflict.interval.file} line {conflict.interval.line}: {part.sensor}, {conflict}"
            for part, conflict in self.conflicts[:_CONFLICTS_SHOWN]
        ]
        if (more := len(self.conflicts) - _CONFLICTS_SHOWN) > 0:
            lines.append(f"…         {more} more conflicts")
        lines += [_sentence(part) for part in self.parts]
        all_ = self.as_json()
        lines.append(
            f"{number_of(self.rows, 'row')} ({self.skipped} passed over), "
            f"{number_of(all_['intervals'], 'interval')}: {all_['new']} new, "
            f"{all_['known']} known, {all_['conflicting']} conflicting; {all_['unmeasured']} not measured, "
            f"{all_['faulty']} with a fault"
        )
        lines.append(self._last_word())
        return lines

    def _last_word(self) -> str:
        if self.outcome == "refused":
            dry = "would be" if self.wanted.dry_run else "was"
            if self.conflicts:
                return f"nothing {dry} imported: the files contradict what is stored"
            hint = (
                ""
                if any(item.kind in _FATAL for item in self.findings.faults)
                else ("; with --skip-faulty the intervals with a fault are left out, as not measured")
            )
            return f"nothing {dry} imported: {number_of(len(self.findings.faults), 'fault')}{hint}"
        faults = number_of(len(self.findings.faults), "fault")
        return f"{self.outcome}{f'; {faults} left out, as not measured' if self.findings.faults else ''}"


_FATAL: Final = (Kind.FILE, Kind.COLUMNS)
"""Faults of a file as a whole: there are no rows that could be left out."""
_CONFLICTS_SHOWN: Final = 20


def _sentence(part: Part) -> str:
    times = part.intervals
    where = f"station {part.station}, sensor {part.sensor}" if part.station else f"sensor {part.sensor}"
    waits = "" if part.known_sensor else " (unknown so far: it waits for a station)"
    if not len(times):
        return f"{where}{waits}: nothing measured"
    holes = (
        f", {number_of(len(part.holes), 'hole')}, the largest of {hours(part.holes[0].length_s)}"
        if part.holes
        else ", no hole"
    )
    became = f"{part.new} new, {part.known} known, {len(part.conflicts)} conflicting"
    return (
        f"{where}{waits}: {utc_text(int(times.start[0]))} to {utc_text(int(times.end[-1]))}, {int(times.total.sum())} "
        f"passages in {number_of(len(times), 'interval')} ({became}), "
        f"coverage {times.measured_s / part.span_s:.4f}{holes}"
    )


def run(
    connection: Connection,
    wanted: Wanted,
    rules: Rules,
    *,
    now: datetime | None = None,
    progress: Progress = lambda _what, _done, _of: None,
) -> Report:
    """Import what is `wanted`; `connection` is in autocommit mode.

    Raises:
        RefusedError: a station or a sensor that was asked for does not exist, or cannot be told.
        writing.NotWrittenError: the write path did not take a report. What was written before stays.
    """
    at = int((now or datetime.now(UTC)).timestamp())
    report = Report(wanted)
    found = read(wanted.paths, wanted.mapping, report.findings, step=lambda rows: progress("reading rows", rows, 0))
    report.rows, report.skipped = found.rows, found.skipped
    report.parts = _parts(connection, found, report, Bounds(rules.oldest, at))
    for part in report.parts:
        part.holes = part.intervals.holes()
    _compare(connection, wanted.mapping_name, report.parts, progress)
    if not report.parts and not report.findings.faults:
        report.findings.fault(Kind.FILE, "the files have no row with a count", ", ".join(map(str, wanted.paths)))
    if report.refused:
        return report
    if wanted.dry_run:
        report.outcome = "would be imported"
        return report
    _write(connection, wanted.mapping_name, report.parts, rules, progress)
    report.outcome = "imported"
    return report


# -- whose intervals they are -----------------------------------------------------------------------------------------


def _parts(connection: Connection, found: Read, report: Report, bounds: Bounds) -> list[Part]:
    wanted, findings = report.wanted, report.findings
    sensors = {id_ for (id_,) in connection.execute("SELECT id FROM sensor")}
    installed = _Installed(connection)
    groups = _groups(wanted, found, findings, installed)
    files = [str(path) for path in wanted.paths]
    zone = wanted.mapping.time.zone
    parts: list[Part] = []
    whole: dict[str, Intervals] = {}
    for (kind, id_), readings in sorted(groups.items()):
        intervals = assemble(id_, readings, files, bounds, findings)
        whole[id_] = intervals
        report.unmeasured += intervals.unmeasured
        report.faulty += intervals.faulty
        note_month_ends(id_, intervals, zone, bounds.now, findings)
        note_zeros(id_, intervals, zone, findings)
        if kind == "sensor":
            parts.append(Part(id_, installed.station_of(id_), intervals, id_ in sensors))
        else:
            mine = installed.divided(id_, intervals, findings)
            report.faulty += len(intervals) - sum(len(part.intervals) for part in mine)
            parts += mine
    note_holes(whole, zone, findings)
    _refuse_twice(parts, findings)
    return parts


def _groups(
    wanted: Wanted, found: Read, findings: Findings, installed: "_Installed"
) -> dict[tuple[str, str], Readings]:
    """What was read, by what the places are here: a station or a sensor, and its id."""
    if wanted.sensor or wanted.station:
        return _one_group(wanted, found, installed)
    place = wanted.mapping.place
    groups: dict[tuple[str, str], Readings] = {}
    skipped: list[str] = []
    for name in sorted(found.places):
        id_ = _id_here(name, place, installed)
        if not id_ and place.others == "skip":
            skipped.append(name)
        elif fault := _wrong_id(name, id_, place, installed):
            findings.fault(Kind.PLACE, fault, *found.first_seen[name])
        else:
            groups.setdefault((place.by, id_), Readings()).extend(found.places[name])
    if skipped:
        findings.note(Kind.PLACE, f"{number_of(len(skipped), 'place')} left out: {', '.join(map(repr, skipped))}")
    return groups


def _one_group(wanted: Wanted, found: Read, installed: "_Installed") -> dict[tuple[str, str], Readings]:
    if wanted.station:
        installed.check(wanted.station)
    names = sorted(found.places)
    if len(names) > 1:
        raise RefusedError(
            f"the files have {len(names)} places ({', '.join(map(repr, names[:5]))}): --station and --sensor are for "
            "files with one; with several name them in place.ids of a mapping"
        )
    target = ("sensor", wanted.sensor) if wanted.sensor else ("station", wanted.station or "")
    return {target: found.places[names[0]]} if names else {}


def _id_here(name: str, place: mappings.Place, installed: "_Installed") -> str:
    """The id of the place that the file calls `name`; empty: there is none."""
    id_ = place.ids.get(name) or ("" if name else place.id)
    if not id_ and place.by == "station":
        id_ = installed.named(name) or ""
    if not id_ and name and place.others == "id":
        id_ = id_of(f"{place.prefix}{name}")
    return id_


def _wrong_id(name: str, id_: str, place: mappings.Place, installed: "_Installed") -> str:
    """Why nothing can be counted for this place; empty if it can."""
    if not name and not id_:
        return "the file does not say where it was counted: give --station or --sensor, or place.id in the mapping"
    if not id_ and place.by == "station":
        return installed.no_station(name)
    if not id_:
        return f"{name!r} is not in place.ids of the mapping, which says what the file's places are here"
    if place.by == "station" and not installed.has(id_):
        return f"{name!r}: {installed.no_station(id_)}"
    if place.by == "sensor" and not _is_id(id_):
        return f"{name!r}: {id_!r} is no sensor's id"
    return ""


def _is_id(text: str) -> bool:
    try:
        check_id("id", text)
    except ContractError:
        return False
    return True


class _Installed:
    """Which sensor counts for a station at a time."""

    def __init__(self, connection: Connection) -> None:
        self._names: dict[str, str] = dict(connection.execute("SELECT id, name FROM station").fetchall())
        query = """
            SELECT station, id, extract(epoch FROM valid_from)::bigint,
                extract(epoch FROM coalesce(valid_to, 'infinity'))::float8
            FROM installation JOIN sensor ON key = sensor WHERE role = 'part' ORDER BY valid_from
        """
        self._rows: list[tuple[str, str, int, float]] = connection.execute(query).fetchall()

    def has(self, station: str) -> bool:
        return station in self._names

    def named(self, name: str) -> str | None:
        """The station of this id, or of this name if only one has it."""
        if name in self._names:
            return name
        found = [id_ for id_, called in self._names.items() if called == name]
        return found[0] if len(found) == 1 else None

    def no_station(self, station: str) -> str:
        known = ", ".join(sorted(self._names)) or "none"
        return (
            f"there is no station {station} (there are: {known}). Put it into the stations file, with a sensor and "
            "since when, and run footfall-ingest stations apply FILE"
        )

    def check(self, station: str) -> None:
        """Refuse a station that there is not."""
        if not self.has(station):
            raise RefusedError(self.no_station(station))

    def station_of(self, sensor: str) -> str | None:
        """Where a sensor hangs or hung last."""
        return next((station for station, id_, _, _ in reversed(self._rows) if id_ == sensor), None)

    def divided(self, station: str, intervals: Intervals, findings: Findings) -> list[Part]:
        """The intervals of a station as those of the sensors that count for it."""
        rows = [row for row in self._rows if row[0] == station]
        holds = np.zeros(len(intervals), np.int64)
        parts = []
        for sensor in sorted({row[1] for row in rows}):
            mine = np.zeros(len(intervals), np.bool_)
            for _, id_, since, until in rows:
                if id_ == sensor:
                    mine |= (intervals.start >= since) & (intervals.end <= until)
            holds += mine
            if mine.any():
                parts.append((sensor, mine))
        for wrong, text in (
            (holds == 0, "no sensor was installed there"),
            (holds > 1, "several sensors are installed there that are summed: name one with --sensor"),
        ):
            at = np.flatnonzero(wrong)
            if len(at):
                times = f"from {utc_text(int(intervals.start[at[0]]))} to {utc_text(int(intervals.end[at[-1]]))}"
                hint = (
                    ""
                    if "several" in text
                    else '. Give it one in the stations file, {"id": "' + station + '-hand", '
                    f'"from": "{utc_text(int(intervals.start[at[0]]))}", "to": "{utc_text(int(intervals.end[at[-1]]))}"'
                    "}, and run footfall-ingest stations apply FILE"
                )
                findings.fault(
                    Kind.NOT_INSTALLED,
                    f"station {station}: {number_of(len(at), 'interval')} {times}, and {text}{hint}",
                    *intervals.where(int(at[0])),
                )
        once = holds == 1
        left = [(sensor, mine & once) for sensor, mine in parts]
        return [Part(sensor, station, intervals.only(mine), True) for sensor, mine in left if mine.any()]


def _refuse_twice(parts: Sequence[Part], findings: Findings) -> None:
    """Fault parts of one sensor that speak of the same time, as two places of a file may."""
    by_sensor: dict[str, list[Part]] = {}
    for part in parts:
        by_sensor.setdefault(part.sensor, []).append(part)
    for sensor, mine in by_sensor.items():
        for one, other in pairwise(mine):
            at = np.searchsorted(one.intervals.start, other.intervals.end)
            before = np.searchsorted(one.intervals.end, other.intervals.start, "right")
            if (clash := np.flatnonzero(at > before)).size:
                text = f"sensor {sensor}: two places of the files are the same sensor at the same time"
                findings.fault(Kind.OVERLAP, text, *other.intervals.where(int(clash[0])))


# -- what is stored, what is written ----------------------------------------------------------------------------------


def _batches(part: Part) -> Iterator[tuple[int, int]]:
    for low in range(0, len(part.intervals), BATCH):
        yield low, min(low + BATCH, len(part.intervals))


def _compare(connection: Connection, mapping_name: str, parts: Sequence[Part], progress: Progress) -> None:
    total, done = sum(len(part.intervals) for part in parts), 0
    for part in parts:
        for low, high in _batches(part):
            new, conflicting = _against(connection, mapping_name, part, low, high)
            part.conflicts += conflicting
            part.new += len(new)
            done += high - low
            progress("comparing intervals", done, total)
        clashing = len({(item.interval.start, item.interval.end) for item in part.conflicts})
        part.known = len(part.intervals) - part.new - clashing


def _against(
    connection: Connection, mapping_name: str, part: Part, low: int, high: int
) -> tuple[list[Interval], list[Conflict]]:
    """What of the intervals from `low` to `high` is new, and what conflicts with what is stored."""
    sensor, start, end = part.sensor, int(part.intervals.start[low]), int(part.intervals.end[high - 1])
    found = stored.read(connection, sensor, start, end)
    removed = stored.removed_hours(connection, sensor, start, end)
    batch = list(part.intervals.items(low, high))
    if not found and not removed:
        return batch, []
    conflicting = list(stored.conflicts(batch, found, silence_counts=False))
    refused = {(item.interval.start, item.interval.end) for item in conflicting}
    new = [item for item in stored.new(batch, found, silence_counts=False) if (item.start, item.end) not in refused]
    if removed and new:
        # Their hours are summed up and their minutes gone: what came from this history is known by its number.
        gone = [item for item in new if _hours(item) & removed]
        new = [item for item in new if not _hours(item) & removed]
        for item, known in zip(gone, _received(connection, mapping_name, sensor, gone), strict=True):
            if not known:
                hour = min(_hours(item) & removed)
                conflicting.append(Conflict(item, None, (hour, hour + _HOUR_S)))
    return new, conflicting


_HOUR_S: Final = 3600


def _hours(interval: Interval) -> set[int]:
    return set(range(interval.start // _HOUR_S * _HOUR_S, interval.end, _HOUR_S))


def _received(connection: Connection, mapping_name: str, sensor: str, intervals: Sequence[Interval]) -> list[bool]:
    """Whether each of `intervals` was received from this mapping before, by its number."""
    streams = [writing.past_stream(sensor, writing.chapter(mapping_name, item)) for item in intervals]
    query = """
        SELECT stream, ARRAY(SELECT ARRAY[lower(part), upper(part)] FROM unnest(received) AS part)
        FROM stream JOIN sensor ON key = stream.sensor WHERE sensor.id = %s AND stream = ANY(%s)
    """
    known = dict(connection.execute(query, [sensor, list(set(streams))]).fetchall())
    return [
        any(low <= writing.number(item.start, item.length_s) < high for low, high in known.get(stream, ()))
        for item, stream in zip(intervals, streams, strict=True)
    ]


def _write(connection: Connection, mapping_name: str, parts: Sequence[Part], rules: Rules, progress: Progress) -> None:
    total, done = sum(part.new for part in parts), 0
    for part in parts:
        for low, high in _batches(part):
            with connection.transaction():
                # Under the lock nobody else writes this sensor: what is compared now is what is added to.
                store.lock_sensors(connection, [part.sensor])
                new, conflicting = _against(connection, mapping_name, part, low, high)
                if conflicting:
                    first = conflicting[0]
                    raise writing.NotWrittenError(
                        f"while this was being imported something else was stored for {part.sensor}: {first}. What was "
                        "imported before stays; run it again to see all"
                    )
                if new:
                    reports = [
                        writing.report_of(part.sensor, writing.chapter(mapping_name, item), item) for item in new
                    ]
                    outcome = writing.write(connection, reports, rules)
                    if outcome.stored < len(reports):
                        raise writing.NotWrittenError(_taken(connection, part.sensor, len(reports) - outcome.stored))
            done += len(new)
            progress("writing intervals", done, total)


def _taken(connection: Connection, sensor: str, number: int) -> str:
    """Why intervals of which nothing is stored are known by their number: somebody has used it."""
    query = """
        SELECT DISTINCT node FROM quarantine JOIN sensor ON sensor.id = quarantine.sensor
        WHERE sensor.id = %s AND holds_number AND node IS NOT NULL AND NOT EXISTS (
            SELECT FROM sensor_node WHERE sensor_node.sensor = key AND sensor_node.node = quarantine.node
        )
        ORDER BY node
    """
    nodes = [node for (node,) in connection.execute(query, [sensor]).fetchall()]
    hint = f" `footfall-ingest sensor forget --node {nodes[0]}` takes away what it named." if nodes else ""
    return (
        f"{number_of(number, 'interval')} of sensor {sensor} would be taken for received already, though nothing of "
        f"them is stored: their numbers were used{' by node ' if nodes else ''}{', '.join(nodes)}.{hint} What was "
        "imported before stays; then run it again"
    )
