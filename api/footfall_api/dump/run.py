"""From the database to the folder: read what there is, make again what has changed, describe all of it at the end."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.areas import Area, read_areas
from footfall_api.asked import remark_json
from footfall_api.database import Pool, new_pool, snapshot
from footfall_api.dump import package
from footfall_api.dump.folder import DumpError, Folder
from footfall_api.dump.measured import first_measured
from footfall_api.dump.package import Sized
from footfall_api.dump.plan import Choice, Span, Table, horizon_s, rules_digest, span_of, stretches, tables, zones_of
from footfall_api.dump.write import made_of, read_part, write_table
from footfall_api.publication import Publication, rules_of_doors, unknown_stations
from footfall_api.question import Format, nearest
from footfall_api.remarks import FOREVER_S, Remark, read_remarks
from footfall_api.routes_places import areas_content, remarks_csv, stations_content
from footfall_api.settings import ApiSettings
from footfall_api.stations import Station, read_stations
from footfall_api.times import EARLIEST
from footfall_api.writing import CSV_STYLES, to_json

log = logging.getLogger(__name__)

Say = Callable[[str], None]
"""Takes a line on how far it is."""

_UTC: Final = ZoneInfo("UTC")


@dataclass
class Summary:
    """What became of the files of counts."""

    written: int = 0
    same: int = 0
    """Made again, and found to be the same."""
    unchanged: int = 0
    """What they are made from is as it was."""
    left: int = 0
    """Not chosen."""
    removed: int = 0


@dataclass(frozen=True, slots=True)
class _City:
    """What the database says beside counts, and the rules, all as of the beginning of the run."""

    stations: Sequence[Station]
    areas: Sequence[Area]
    remarks: Sequence[Remark]
    first_measured: Mapping[str, int]
    rules: Publication
    now_s: int

    @property
    def known_s(self) -> int:
        """Up to when counts are public."""
        return self.rules.known_s(self.now_s)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times that no single station has: that of all stations, if they share one; else UTC."""
        zones = zones_of(self.stations)
        return zones[0] if len(zones) == 1 else _UTC

    @property
    def as_of_s(self) -> int:
        """The last midnight anywhere up to which counts are public."""
        return max(horizon_s(self.known_s, zone) for zone in zones_of(self.stations) or [_UTC])


@dataclass(frozen=True, slots=True)
class _Run:
    settings: ApiSettings
    folder: Folder
    pool: Pool
    city: _City
    say: Say
    summary: Summary = field(default_factory=Summary)

    @property
    def digest(self) -> str:
        """Of the rules."""
        return rules_digest(self.city.rules)


async def dump(settings: ApiSettings, path: Path, choice: Choice, now: datetime, say: Say) -> Summary:
    """Bring the folder at `path` up to date with the database; `now` is aware.

    Whatever was made under other rules of publication is made again or, where it is not chosen, removed.

    Raises:
        DumpError: it cannot be done; the message says why.
        psycopg.Error: the database cannot be read.
        OSError: a file cannot be written.
    """
    rules = rules_of_doors(settings)
    if choice.only is not None and not choice.only <= set(rules.standard):
        finer = ", ".join(sorted(choice.only - set(rules.standard)))
        raise DumpError(f"{finer}: not public; there are {', '.join(rules.standard)}")
    with Folder.take(path) as folder:
        async with _pool(settings) as pool:
            city = await _read_city(pool, rules, int(now.timestamp()))
            known = [station.id for station in city.stations]
            for name in unknown_stations(rules, known):
                log.error("held_back in [publication] names '%s', which is no station%s", name, nearest(name, known))
            run = _Run(settings, folder, pool, city, say)
            span = span_of(city.first_measured, city.stations, city.known_s)
            if span is None and folder.counts:
                raise DumpError(
                    f"the database has no counts that could be published, and {path} has files with counts: is it the "
                    "right database? If so, remove the files first"
                )
            planned = tables(span, city.stations, rules.standard) if span else []
            _remove(run, planned, choice)
            for table in planned:
                if span is None or not choice.has(table):
                    run.summary.left += len(table.paths)
                else:
                    await _make(run, table, span)
            _describe(run)
            return run.summary


@asynccontextmanager
async def _pool(settings: ApiSettings) -> AsyncIterator[Pool]:
    pool = new_pool(settings.database)
    await pool.open(wait=False)
    try:
        yield pool
    finally:
        await pool.close()


async def _read_city(pool: Pool, rules: Publication, now_s: int) -> _City:
    async with snapshot(pool) as connection:
        stations, areas = await read_stations(connection), await read_areas(connection)
        remarks = await read_remarks(connection, stations, areas, int(EARLIEST.timestamp()), FOREVER_S)
        return _City(stations, areas, remarks, await first_measured(connection), rules, now_s)


def _remove(run: _Run, planned: Sequence[Table], choice: Choice) -> None:
    """Remove what is in no plan any more, and what is not made again although the rules have changed."""
    outdated = {path for path, entry in run.folder.counts.items() if entry.rules != run.digest}
    wanted = {path for table in planned for path in table.paths if choice.has(table) or path not in outdated}
    removed = run.folder.remove_all_but(wanted)
    run.summary.removed = len(removed)
    for path in removed:
        run.say(f"{path}: removed")


async def _make(run: _Run, table: Table, span: Span) -> None:
    """Write a table again, in both formats, if what it is made from has changed since it was written."""
    city, folder = run.city, run.folder
    terms = run.settings.public.licence, run.settings.attribution
    async with snapshot(run.pool) as connection:
        parts = [
            await read_part(
                connection,
                table,
                stretch,
                city.areas,
                rules=city.rules,
                horizon_s=span.horizon_s(zone),
                now_s=city.now_s,
            )
            for zone in zones_of(city.stations)
            for stretch in stretches(table, span, city.stations, zone)
        ]
        # Before the counts are read: what comes in between is in the file, and the file is made once more.
        state = await made_of(connection, parts, (*terms, run.digest))
    csv_path, parquet_path = table.paths
    if folder.has(csv_path, state) and folder.has(parquet_path, state):
        run.summary.unchanged += len(table.paths)
        return
    with folder.draft(csv_path) as csv, folder.draft(parquet_path) as parquet:
        rows = await write_table(run.pool, parts, terms, csv, parquet)
        is_new = [
            folder.keep(path, draft, state, run.digest) for path, draft in ((csv_path, csv), (parquet_path, parquet))
        ]
    folder.save()
    run.summary.written += sum(is_new)
    run.summary.same += len(is_new) - sum(is_new)
    run.say(f"{table.stem}: {rows:,} rows{'' if any(is_new) else ', the same as before'}")


def _describe(run: _Run) -> None:
    """Write what is not counts, then the descriptions of all: last, so that they never name what is not there."""
    city, folder = run.city, run.folder

    def written(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, city.zone).isoformat()

    rows = [remark_json(remark, written) for remark in city.remarks]
    small = {
        package.STATIONS: to_json(stations_content(city.stations, city.areas, run.settings)),
        package.AREAS: to_json(areas_content(city.areas, run.settings)),
        package.REMARKS: remarks_csv(rows, CSV_STYLES[Format.CSV], guards=False),
    }
    files = {path: Sized(entry.sha256, entry.size) for path, entry in folder.counts.items()}
    for path, text in small.items():
        folder.put(path, text.encode())
        files[path] = Sized.of(text.encode())
    names = {station.id: station.name for station in city.stations}
    described = package.package_text(package.package(files, run.settings, city.rules, names, city.as_of_s)).encode()
    folder.save()
    folder.put(package.PACKAGE, described)
    folder.put(package.SUMS, package.sums_text({**files, package.PACKAGE: Sized.of(described)}).encode())
