"""What lies in an outbox file, for a person and for a program: the answer of ``footfall-edge outbox``.

Reads only, also while an edge works with the file, and files of every version this program knows.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from footfall_edge import holding, mending
from footfall_edge.outbox import OutboxError
from footfall_edge.schema import SCHEMA_VERSION, add_functions, version_of

_DAY_S: Final = 86400


@dataclass(slots=True)
class SensorView:
    """One sensor's part of an outbox. Times are UTC unix seconds, None where there is nothing."""

    unnumbered: int = 0
    """Slots and spans that no report carries yet."""
    numbered: int = 0
    """Reports that are not known to be stored."""
    numbered_slots: int = 0
    """Slots and spans in them."""
    set_aside: int = 0
    """Reports whose bytes changed on the disk; not sent."""
    held: int = 0
    """Slots and spans that wait for a person's decision."""
    committed: int = 0
    """Reports that are stored, kept for a while."""
    streams: int = 0
    """Streams with a report in the outbox, or in use."""
    bytes: int = 0
    """Of the payloads of its reports."""
    oldest: int | None = None
    """Start of the oldest unnumbered slot, or when the oldest numbered report got its number: the earlier."""
    newest: int | None = None
    """The same of the newest."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What lies in an outbox."""

    path: str
    version: int
    """Of the file."""
    bytes_used: int
    """Of the file; space freed for reuse is not counted."""
    bytes_file: int
    """On the disk, with what has not been moved from its -wal into it."""
    bytes_budget: int
    """`max_mb` of edge.toml."""
    sensors: Mapping[str, SensorView]
    holds: Sequence[str]
    """Why slots are on hold."""
    discarded: int
    """Slots that were discarded and are still in the file."""
    mending: Mapping[str, Any] | None
    """The last mending: `at` in UTC unix seconds, and `mending.Summary`."""
    damaged_files: Sequence[str] = field(default_factory=list)
    """Damaged files that were put aside, beside the outbox."""

    def as_json(self) -> str:
        """One object with the names above."""
        return json.dumps(asdict(self), sort_keys=True)

    def as_text(self, now_s: int) -> str:
        """For a person, at `now_s` in UTC unix seconds."""
        return "\n".join(self._lines(now_s))

    def _lines(self, now_s: int) -> Iterator[str]:
        views = list(self.sensors.values())
        oldest = min((view.oldest for view in views if view.oldest is not None), default=None)
        yield (
            f"{self.path}: {self.bytes_used / 1e6:.1f} MB of {self.bytes_budget / 1e6:g} MB"
            f" ({self.bytes_file / 1e6:.1f} MB on the disk), version {self.version}"
        )
        yield (
            f"waiting: slots without a number {sum(view.unnumbered for view in views)},"
            f" reports not known to be stored {sum(view.numbered for view in views)}"
        )
        yield "oldest: " + ("nothing waits" if oldest is None else _when(oldest, now_s))
        for sensor, view in sorted(self.sensors.items()):
            yield f"  {sensor}: slots {view.unnumbered + view.numbered_slots}" + _rest(view, now_s)
        yield f"kept: {sum(view.committed for view in views)} reports that are stored"
        aside = sum(view.set_aside for view in views)
        if aside:
            yield f"set aside: {aside} reports whose bytes changed on the disk; they are not sent"
        held = sum(view.held for view in views)
        if held:
            yield f"on hold: {held} slots"
            yield from (f"  because {why}" for why in self.holds)
            yield "  the other computer is out of service: footfall-edge outbox adopt (they are counted)"
            yield "  it is alive, or has sent them: footfall-edge outbox discard-held --yes (they are not)"
        if self.discarded:
            yield f"discarded: {self.discarded} slots, kept in the file for 90 days"
        if self.mending is not None:
            yield from self._last_mending(self.mending, now_s)
        if len(self.damaged_files) > 1:
            yield f"damaged files beside it: {len(self.damaged_files)}; remove them when nobody needs them"

    def _last_mending(self, last: Mapping[str, Any], now_s: int) -> Iterator[str]:
        yield f"mended: {_when(last['at'], now_s)}; the damaged file is kept as {last['file']}"
        yield from (f"  found: {finding}" for finding in last["found"][:5])
        carried = ", ".join(f"{table} {rows}" for table, rows in last["carried"].items() if rows)
        yield f"  carried over: {carried or 'nothing'}"
        for table, rows in last["doubted"].items():
            yield f"  not believed, for it lay on a damaged page: {table} {rows}"
        yield from (f"  missing: {missing}" for missing in last["missing"])


def overview(path: Path, max_mb: int) -> Overview:
    """Look into the outbox at `path`, which may grow to `max_mb` megabytes.

    Raises:
        OutboxError: there is none, it is damaged, or it is of a version that this program does not know.
    """
    with _looking(path) as database:
        version = version_of(database)
        if not 0 < version <= SCHEMA_VERSION:
            raise OutboxError(f"the outbox {path} has version {version}, this footfall-edge knows {SCHEMA_VERSION}")
        database.execute("BEGIN")
        sensors = _sensors(database, version)
        past = [] if version < 2 else mending.mendings(database)
        pages, free, size = (
            int(database.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        wal = path.with_name(path.name + "-wal")
        return Overview(
            path=str(path),
            version=version,
            bytes_used=(pages - free) * size,
            bytes_file=path.stat().st_size + (wal.stat().st_size if wal.exists() else 0),
            bytes_budget=max_mb * 10**6,
            sensors=sensors,
            holds=[] if version < 2 else holding.reasons(database),
            discarded=0 if version < 2 else holding.discarded(database),
            mending={"at": past[0][0], **asdict(past[0][1])} if past else None,
            damaged_files=mending.damaged_files(path),
        )


@contextmanager
def _looking(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise OutboxError(f"there is no outbox at {path} yet; the edge makes it when it first runs")
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as database:
            add_functions(database)
            yield database
    except sqlite3.Error as error:
        help_ = "; if it is damaged, the edge mends it when it is started the next time" if path.is_file() else ""
        raise OutboxError(f"the outbox {path} cannot be read: {error}{help_}") from error


def _sensors(database: sqlite3.Connection, version: int) -> dict[str, SensorView]:
    found: dict[str, SensorView] = {}

    def view(sensor: str) -> SensorView:
        return found.setdefault(sensor, SensorView())

    for sensor, slots, oldest, newest in database.execute(
        "SELECT sensor, count(*), min(start), max(start) FROM slot WHERE waiting = 1 GROUP BY sensor"
    ):
        view(sensor).unnumbered = slots
        _widen(view(sensor), oldest, newest)
    for sensor, reports, slots, oldest, newest in database.execute(
        "SELECT sensor, count(*), sum(slots), min(numbered_s), max(numbered_s) FROM report WHERE committed_s IS NULL"
        " GROUP BY sensor"
    ):
        view(sensor).numbered, view(sensor).numbered_slots = reports, slots
        _widen(view(sensor), oldest, newest)
    for sensor, committed, size in database.execute(
        "SELECT sensor, count(committed_s), sum(length(payload)) FROM report GROUP BY sensor"
    ):
        view(sensor).committed, view(sensor).bytes = committed, size
    for sensor, streams in database.execute("SELECT sensor, count(*) FROM stream GROUP BY sensor"):
        view(sensor).streams = streams
    if version >= 2:
        for sensor, reports in database.execute("SELECT sensor, count(*) FROM set_aside GROUP BY sensor"):
            view(sensor).set_aside = reports
        for sensor, slots in holding.held(database).items():
            view(sensor).held = slots
    return found


def _widen(view: SensorView, oldest: int, newest: int) -> None:
    view.oldest = oldest if view.oldest is None else min(view.oldest, oldest)
    view.newest = newest if view.newest is None else max(view.newest, newest)


def _rest(view: SensorView, now_s: int) -> str:
    parts = [
        f"without a number {view.unnumbered}",
        f"reports under way {view.numbered}",
        f"on hold {view.held}" if view.held else "",
        f"set aside {view.set_aside}" if view.set_aside else "",
        f"stored {view.committed}",
        f"streams {view.streams}",
        f"{view.bytes / 1e6:.1f} MB of reports",
        f"oldest {_when(view.oldest, now_s)}" if view.oldest is not None else "",
        f"newest {_when(view.newest, now_s)}" if view.newest is not None else "",
    ]
    return " (" + "; ".join(part for part in parts if part) + ")"


def _when(moment: int, now_s: int) -> str:
    age_s = max(0, now_s - moment)
    if age_s < 2 * 3600:
        age = f"{age_s // 60} min"
    elif age_s < 2 * _DAY_S:
        age = f"{age_s / 3600:.1f} h"
    else:
        age = f"{age_s / _DAY_S:.1f} days"
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC ({age} ago)"
