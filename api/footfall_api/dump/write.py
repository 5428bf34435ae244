"""Write one table of counts, as CSV and as Parquet at once, with the writers of the API: so the numbers are the same.

The counts are read a piece at a time and written as they come. The bytes depend on nothing but the counts: no date and
no name of a file goes into what is packed.
"""

import gzip
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from footfall_api.areas import Area
from footfall_api.asked import Places, Plan, plan, remark_json
from footfall_api.caching import tag, version_of
from footfall_api.counts import blocks
from footfall_api.database import Connection, Pool
from footfall_api.dump.folder import Draft
from footfall_api.dump.plan import Stretch, Table
from footfall_api.parquet import ParquetWriter
from footfall_api.publication import Publication
from footfall_api.question import Dimension, Format, Question
from footfall_api.remarks import Remark
from footfall_api.writing import HEADER, CsvWriter, Sheet

FORMAT: Final = 1
"""To be raised when the same counts are to be written otherwise: then all files are made again."""

_PACKED: Final = 6
"""How hard gzip tries: one more saves a hundredth and takes twice as long."""

_HEADER: Final = ",".join(HEADER) + "\n"

_ALL_INTERVALS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a table with all that its counts are made from."""

    plan: Plan
    now_s: int
    """As of when it is written (UTC unix seconds): a midnight, so that values become final only once a day."""


async def read_part(
    connection: Connection,
    table: Table,
    stretch: Stretch,
    areas: Sequence[Area],
    *,
    rules: Publication,
    horizon_s: int,
    now_s: int,
) -> Part:
    """What a stretch is made from; `areas` are all there are, `now_s` is the time (UTC unix seconds)."""
    names = tuple(station.id for station in stretch.stations)
    question = Question(
        names,
        stretch.from_s,
        stretch.to_s,
        table.resolution,
        frozenset({Dimension.DIRECTION}),
        stretch.zone,
        Format.CSV,
    )
    places = Places(stretch.stations, (), (), areas, names)
    return Part(await plan(connection, question, places, rules, now_s), horizon_s)


async def made_of(connection: Connection, parts: Sequence[Part], terms: object) -> str:
    """Stands for all that a table is made from: it changes whenever the table may."""
    versions = []
    for part in parts:
        # Of a sensor that was never there in this time the directions are seen nevertheless.
        directions = [group.directions for group in part.plan.groups]
        versions.append(await version_of(connection, part.plan, None, (terms, directions), part.now_s))
    return tag(FORMAT, [version.etag for version in versions])


async def write_table(
    pool: Pool, parts: Sequence[Part], terms: tuple[str, str], to_csv: Draft, to_parquet: Draft
) -> int:
    """Write the parts one after another; the number of rows. `terms` are licence and attribution."""
    rows = 0
    parquet = ParquetWriter(_sheet(parts, terms))
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_PACKED, fileobj=to_csv, mtime=0) as packed:
        for part in parts:
            csv = CsvWriter(Sheet(part.plan.question, part.plan.series, *terms))
            counted = blocks(
                pool,
                part.plan.groups,
                part.plan.question,
                part.now_s,
                _ALL_INTERVALS,
                hidden=part.plan.hidden,
            )
            async with aclosing(counted):
                async for block in counted:
                    for piece in csv.block(block):
                        packed.write((piece.removeprefix(_HEADER) if rows else piece).encode())
                    for row_group in parquet.block(block):
                        to_parquet.write(row_group)
                    rows += len(block.columns) * (len(block.edges_s) - 1)
    to_parquet.write(parquet.end())
    return rows


@dataclass(frozen=True, slots=True)
class _TableSheet(Sheet):
    """What stands around the values of a table, whose parts may lie in several zones."""

    zones: tuple[str, ...] = ()

    def head(self) -> dict[str, Any]:
        """As in answers; where there are several zones, their list."""
        zone = self.zones[0] if len(self.zones) == 1 else self.zones
        return {**Sheet.head(self), "timezone": zone}


def _sheet(parts: Sequence[Part], terms: tuple[str, str]) -> Sheet:
    question = parts[0].plan.question

    def written(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, question.zone).isoformat()

    remarks = [remark_json(remark, written) for remark in _remarks(parts)]
    zones = tuple(sorted({part.plan.question.zone.key for part in parts}))
    return _TableSheet(question, (), *terms, remarks, zones=zones)


def _remarks(parts: Sequence[Part]) -> list[Remark]:
    """The remarks on the time of the parts, each once, with the stations that it concerns in any of them."""
    found: dict[int, Remark] = {}
    for remark in (remark for part in parts for remark in part.plan.remarks):
        known = found.get(remark.id, remark)
        stations = tuple(sorted({*known.stations, *remark.stations}))
        found[remark.id] = replace(remark, stations=stations)
    return sorted(found.values(), key=lambda remark: (remark.from_s, remark.id))
