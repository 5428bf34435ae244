"""The API on years of minutes: the page's questions, exports against psql, the first byte, memory, growth.

The store is made once for each length of history and can be kept (`keep=1`): the next run finds it and only asks.
Everything is asked of the real process over HTTP, one question at a time.
"""

import contextlib
import csv
import http.client
import io
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlencode

import psutil
import psycopg

from bench import history, hours, machine, servers
from bench.history import size_of, spans
from bench.measure import quantile, timed, times_as_fast
from bench.result import Curve, Result
from bench.servers import Server

TITLE = "the API on years of minutes: questions, exports, memory, growth"

DAY_S, YEAR_DAYS = 86_400, 365
PART_DAYS = 28
TABLES = ("count_minute", "coverage_minute", "count_hour", "coverage_hour")
BYTES_A_ROW = 140
"""Of minutes that are not compressed: whether there is room is asked before years of them are made."""
SEED = 7
LOOK_S = 0.02
KEPT_S = 2.0
"""So long a connection may lie idle; the server ends it after 5 s."""


@dataclass(frozen=True)
class Size:
    """How many stations with two directions, for how many years, and how often each question is asked."""

    years: int = 10
    stations: int = 20
    questions: int = 100
    exports: int = 7
    memory_days: int = 1095
    """Length of the export by the minute during which memory is watched."""
    fast: int = 0
    """1: hours are summed up in one statement instead of by the job that does it in operation."""
    keep: int = 0
    """1: leave the databases there for the next run."""


TINY = Size(years=2, stations=1, questions=2, exports=1, memory_days=3, fast=1)
TINY_DAYS = 4
"""A year is so long where it only has to be seen that everything runs."""


@dataclass(frozen=True)
class Loaded:
    """A store with years of minutes."""

    dsn: str
    start: int
    end: int
    stations: int
    minutes: int
    """Rows of ``count_minute``."""
    coverage: int
    bytes_: int

    @property
    def last_year(self) -> tuple[int, int]:
        """The last 365 days, if there are so many."""
        return max(self.start, self.end - YEAR_DAYS * DAY_S), self.end


def run(size: Size) -> Result:
    """On TimescaleDB if there is one, else on plain PostgreSQL; with one year, then with all of them."""
    result = Result("api", TITLE, vars(size))
    with servers.workplace() as folder, contextlib.ExitStack() as opened:
        server = servers.timescale() or opened.enter_context(servers.plain(folder))
        if not server.timescale:
            result.notes.append(f"On plain PostgreSQL: {servers.NO_TIMESCALE}.")
        if reason := no_room(size):
            result.skipped = reason
            return result
        result.servers[server.kind] = machine.database(server.maintenance)
        year_days = TINY_DAYS if size == TINY else YEAR_DAYS
        medians: dict[int, dict[str, float]] = {}
        for years in sorted({1, size.years}):
            with (
                store(result, server, size, years, year_days) as loaded,
                servers.api(folder / str(years), loaded.dsn) as (port, process),
            ):
                medians[years] = _questions(result, size, loaded, port, years)
                if years == size.years:
                    _exports(result, size, loaded, port)
                    _memory(result, size, loaded, port, process)
        for what, before in medians[1].items():
            if size.years > 1 and what in medians[size.years]:
                growth = medians[size.years][what] / before
                result.figure(f"growth from 1 to {size.years} years: {what}", "×", growth)
    return result


def no_room(size: Size) -> str | None:
    """Why the store of that size cannot be made; None: it can."""
    needed = size.years * size.stations * YEAR_DAYS * 1440 * 2.4 * BYTES_A_ROW
    free = shutil.disk_usage("/").free
    # TimescaleDB compresses part by part, so what is needed at a time is far less.
    if servers.timescale() or needed < free * 0.8:
        return None
    return (
        f"it would take about {needed / 1e9:.0f} GB without compression and {free / 1e9:.0f} GB are free; set "
        f"{servers.TIMESCALE} or ask for fewer years or stations"
    )


@contextlib.contextmanager
def store(result: Result, server: Server, size: Size, years: int, year_days: int) -> Iterator[Loaded]:
    """The store with so many years, made unless it is there."""
    name = f"footfall_bench_{years}y_{size.stations}s_{year_days}d"
    dsn = server.dsn(name)
    end = int(time.time()) // 3600 * 3600
    if not server.has(name):
        server.create(name)
        try:
            _load(result, dsn, size, (end - years * year_days * DAY_S, end), years)
        except BaseException:
            server.drop(name)
            raise
    try:
        with psycopg.connect(dsn) as connection:
            loaded = _loaded(result, connection, dsn, size, years)
        yield loaded
    finally:
        if not size.keep:
            server.drop(name)


def _load(result: Result, dsn: str, size: Size, period: tuple[int, int], years: int) -> None:
    start, end = period
    loading = rolling = compressing = 0.0
    rows = rolled = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        keys = history.sensors(connection, size.stations)
        for low, high in spans(start, end, PART_DAYS):
            begin = time.perf_counter()
            rows += sum(history.load(connection, keys, low, high))
            loaded = time.perf_counter()
            rolled += hours.roll_up(connection, fast=bool(size.fast))
            summed = time.perf_counter()
            history.compress(connection, high, "count_minute", "coverage_minute")
            loading, rolling = loading + loaded - begin, rolling + summed - loaded
            compressing += time.perf_counter() - summed
            print(f"\r  {years} years: {(high - start) / (end - start):.0%} made", end="", flush=True)
        print()
        history.compress(connection, end - 30 * DAY_S, *TABLES)
        connection.execute("VACUUM ANALYZE")
    result.figure(f"{years} years: loaded by COPY", "rows/s", rows / loading)
    how = "one statement" if size.fast else "the job"
    result.figure(f"{years} years: hours summed up by {how}", "hours/s", rolled / rolling)
    result.figure(
        f"{years} years: loaded, summed up and compressed in", "minutes", (loading + rolling + compressing) / 60
    )


def _loaded(result: Result, connection: psycopg.Connection[Any], dsn: str, size: Size, years: int) -> Loaded:
    def one(query: str) -> Any:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]

    minutes, coverage = one("SELECT count(*) FROM count_minute"), one("SELECT count(*) FROM coverage_minute")
    start, end = (int(one(f"SELECT 60::bigint * {which}(minute) FROM coverage_minute")) for which in ("min", "max"))
    assert not one("SELECT count(*) FROM dirty_hour"), "there are hours that were not summed up"
    loaded = Loaded(dsn, start, end + 60, size.stations, minutes, coverage, size_of(connection, *TABLES))
    result.figure(f"{years} years: rows of counts, {size.stations} stations", "million", minutes / 1e6)
    result.figure(f"{years} years: rows of coverage", "million", coverage / 1e6)
    result.figure(f"{years} years: on disk, minutes and hours", "GB", loaded.bytes_ / 1e9)
    station_years = size.stations * (loaded.end - loaded.start) / DAY_S / YEAR_DAYS
    result.figure(f"{years} years: on disk, a station-year", "MB", loaded.bytes_ / station_years / 1e6)
    return loaded


# Questions


class Client:
    """One connection to the API that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.first_s = 0.0
        """Of the last answer: seconds until its first byte."""
        self.status = 0
        self.size = 0
        self._used_s = 0.0

    def ask(self, path: str, keep: io.BytesIO | None = None) -> float:
        """Read the whole answer; returns the seconds. It is put into `keep` if that is given."""
        self._connect()
        begin = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        self.status = answer.status
        piece = answer.read1(65536)
        self.first_s, self.size = time.perf_counter() - begin, 0
        while piece:
            self.size += len(piece)
            if keep is not None:
                keep.write(piece)
            piece = answer.read1(65536)
        answer.read()  # so that the connection can be used again
        self._used_s = time.perf_counter()
        return self._used_s - begin

    def first_event(self, path: str) -> float:
        """Seconds until the first event of a stream is there; then it is left."""
        self._connect()
        begin = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        while answer.readline().strip():
            pass
        seconds = time.perf_counter() - begin
        self.status = answer.status
        self._connection.close()
        return seconds

    def _connect(self) -> None:
        """Be connected, on a connection that the server has not given up in the meantime."""
        if time.perf_counter() - self._used_s > KEPT_S:
            self._connection.close()
        if self._connection.sock is None:
            self._connection.connect()


def counts(station: int, start: int, end: int, resolution: str, **more: str) -> str:
    """The path of a question for counts."""
    query = {"from": _iso(start), "to": _iso(end), "resolution": resolution, **more}
    return f"/api/v1/stations/station-{station}/counts?{urlencode(query)}"


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _questions(result: Result, size: Size, loaded: Loaded, port: int, years: int) -> dict[str, float]:
    """Ask each question often, of stations and times at random; returns the medians in seconds."""
    rng, client = random.Random(SEED), Client(port)
    year, end = loaded.last_year
    days = (end - year) // DAY_S - 1

    def day(resolution: str, length: int = 1) -> str:
        first = year // DAY_S * DAY_S + rng.randint(1, max(days - length, 1)) * DAY_S
        return counts(rng.randrange(size.stations), first, first + length * DAY_S, resolution)

    def whole(start: int, resolution: str, **more: str) -> str:
        return counts(rng.randrange(size.stations), start, end, resolution, **more)

    asked: dict[str, Callable[[], float]] = {
        "the page": lambda: client.ask("/"),
        "the live board": lambda: client.first_event("/api/v1/live"),
        "a day by the hour": lambda: client.ask(day("1h")),
        "a day by the quarter of an hour": lambda: client.ask(day("15min")),
        "a month by the day": lambda: client.ask(day("1d", 30)),
        "a year by the week": lambda: client.ask(whole(year, "1w")),
        "a station-year by the hour": lambda: client.ask(whole(year, "1h")),
        "a station-year by the hour, by direction, CSV": lambda: client.ask(
            whole(year, "1h", split="direction", format="csv")
        ),
    }
    if years > 1:
        asked |= {
            "all years by the month": lambda: client.ask(whole(loaded.start, "1mo")),
            "all years by the year": lambda: client.ask(whole(loaded.start, "1y")),
        }
    medians = {}
    for what, ask in asked.items():
        ask()
        seconds = [ask() for _ in range(size.questions)]
        if client.status != http.HTTPStatus.OK:
            result.notes.append(f"{what}: NOT ANSWERED, status {client.status}.")
            continue
        medians[what] = quantile(seconds, 0.5)
        result.figure(f"{years} years: {what}, median", "ms", 1000 * medians[what])
        result.figure(f"{years} years: {what}, 99th percentile", "ms", 1000 * quantile(seconds, 0.99))
    if years == size.years:
        for what in sorted(
            medians.keys() & {"a station-year by the hour", "a station-year by the hour, by direction, CSV"}
        ):
            result.at_most(f"{what}: median", 1000 * medians[what], 30, unit="ms")
    return medians


# Exports


def same_rows(key: int, station: int, start: int, end: int, unit: str) -> str:
    """SQL for the rows and columns of the API's CSV, by direction, from the minutes or from the hours."""
    seconds = {"minute": 60, "hour": 3600}[unit]
    within, time, begins = _of(unit, start, end)
    return f"""
        SELECT 'station-{station}' AS station, {begins} AS interval_start,
            {begins} + interval '{seconds} s' AS interval_end,
            d.name AS direction, 'all' AS class, 'all' AS sensor,
            CASE WHEN m.observed_s > 0 THEN coalesce(c.count, 0) END AS count,
            round(m.observed_s / {seconds}.0, 4) AS coverage,
            CASE WHEN m.observed_s >= {0.98 * seconds} THEN 'measured'
                WHEN m.observed_s > 0 THEN 'partial' ELSE 'missing' END AS state,
            CASE WHEN m.observed_s = 0 THEN 'silent' END AS reason, true AS final
        FROM (SELECT {time}, observed_s FROM coverage_{unit} WHERE sensor = {key} AND {within}) AS m
        CROSS JOIN (VALUES (0, 'in'), (1, 'out')) AS d (direction, name)
        LEFT JOIN (
            SELECT {time}, direction, sum(count) AS count FROM count_{unit}
            WHERE sensor = {key} AND {within} GROUP BY 1, 2
        ) AS c ON c.{time} = m.{time} AND c.direction = d.direction
        ORDER BY m.{time}, d.direction
    """


def stored_rows(key: int, start: int, end: int, unit: str) -> str:
    """SQL for the rows as they are stored, with nothing worked out."""
    within, time, _ = _of(unit, start, end)
    return f"""
        SELECT {time}, direction, count FROM count_{unit} WHERE sensor = {key} AND {within} ORDER BY {time}, direction
    """


def _of(unit: str, start: int, end: int) -> tuple[str, str, str]:
    """SQL for the rows between two times, for the column of the time, and for when a row of `m` begins."""
    if unit == "minute":
        return f"minute >= {start // 60} AND minute < {end // 60}", "minute", "minute_start(m.minute)"
    return f"bucket >= '{_iso(start)}' AND bucket < '{_iso(end)}'", "bucket", "m.bucket"


class Psql:
    """A psql that is connected; each `copy` is one of its own copies into a file."""

    def __init__(self, program: str, dsn: str, path: str) -> None:
        self._words = [program, "-X", "-q", "-A", "-t", dsn]
        self._path = path
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.copy("SELECT 1")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate()

    def copy(self, query: str) -> None:
        """Run the query and write its rows into the file."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{self._line(query)}\n\\echo done\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    def copy_alone(self, query: str) -> None:
        """The same by a psql that is started for it."""
        subprocess.run([*self._words, "-c", self._line(query)], check=True)

    def _line(self, query: str) -> str:
        return f"\\copy ({' '.join(query.split())}) TO '{self._path}' WITH (FORMAT csv, HEADER)"


class Psycopg:
    """What stands in for psql where there is none: COPY with psycopg into a file."""

    def __init__(self, dsn: str, path: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def copy(self, query: str) -> None:
        """Run the query and write its rows into the file."""
        with (
            open(self._path, "wb") as file,  # noqa: PTH123
            self._connection.cursor().copy(f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)") as rows,
        ):
            file.writelines(rows)


def _exports(result: Result, size: Size, loaded: Loaded, port: int) -> None:
    start, end = loaded.last_year
    program = servers.psql()
    with servers.workplace() as folder:
        path = str(folder / "rows.csv")
        peer: Psql | Psycopg = Psql(program, loaded.dsn, path) if program else Psycopg(loaded.dsn, path)
        name = "psql \\copy" if program else "COPY with psycopg (there is no psql)"
        with peer:
            for export in (
                Export("hour", "1h", start, end, 0.7, None),
                Export("minute", "1min", start, end, 0.4, 0.7),
            ):
                _export(result, size, loaded, (Client(port), peer, name), export)


@dataclass(frozen=True)
class Export:
    """What is exported, and how fast it should be against psql."""

    unit: str
    resolution: str
    start: int
    end: int
    limit: float
    aim: float | None


def _export(
    result: Result,
    size: Size,
    loaded: Loaded,
    contestants: tuple[Client, Psql | Psycopg, str],
    wanted: Export,
) -> None:
    client, peer, name = contestants
    start, end, unit, resolution = wanted.start, wanted.end, wanted.unit, wanted.resolution
    keys = _keys(loaded.dsn)

    def path(station: int) -> str:
        return counts(station, start, end, resolution, split="direction", format="csv")

    rows = _agree(client, peer, path(0), same_rows(keys[0], 0, start, end, unit))
    seconds: dict[str, list[float]] = {"ours": [], "same": [], "alone": [], "stored": [], "first": []}
    for round_ in range(size.exports):
        station = round_ % size.stations
        query = same_rows(keys[station], station, start, end, unit)
        seconds["ours"].append(client.ask(path(station)))
        seconds["first"].append(client.first_s)
        seconds["same"].append(timed(lambda: peer.copy(query)))  # noqa: B023
        seconds["stored"].append(timed(lambda: peer.copy(stored_rows(keys[station], start, end, unit))))  # noqa: B023
        if isinstance(peer, Psql):
            seconds["alone"].append(timed(lambda: peer.copy_alone(query)))  # noqa: B023
    export = f"CSV of a station-year by the {unit}"
    result.figure(f"{export}: rows", "rows", rows)
    for key, who in (
        ("ours", "the API over HTTP"),
        ("same", f"{name} of the same rows, connected before"),
        ("alone", f"{name} of the same rows, with its start"),
        ("stored", f"{name} of the rows as they are stored"),
        ("first", "the API's first byte"),
    ):
        if seconds[key]:
            result.figure(f"{export}: {who}", "ms", [1000 * one for one in seconds[key]])
    stored = times_as_fast(seconds["ours"], seconds["stored"])
    result.figure(f"{export}: the API against {name} of the rows as they are stored", "×", stored)
    ratios = times_as_fast(seconds["ours"], seconds["same"])
    result.at_least(f"{export}, against {name}", ratios, wanted.limit, aim=wanted.aim)
    result.at_most(f"{export}: first byte", [1000 * one for one in seconds["first"]], 50, unit="ms")


def _agree(client: Client, peer: Psql | Psycopg, path: str, query: str) -> int:
    """Both must say the same; returns the rows."""
    answer = io.BytesIO()
    client.ask(path, answer)
    assert client.status == http.HTTPStatus.OK, answer.getvalue()[:500]
    peer.copy(query)
    found = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    with open(peer._path, newline="") as file:  # noqa: PTH123, SLF001
        theirs = list(csv.DictReader(file))
    ours = [(row["direction"], row["count"], row["state"]) for row in found]
    assert ours == [(row["direction"], row["count"], row["state"]) for row in theirs], "the API and psql differ"
    return len(found)


def _keys(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT id, key FROM sensor").fetchall()
    key: dict[str, int] = dict(rows)
    return [key[f"sensor-{place}"] for place in range(len(key))]


# Memory


def _memory(result: Result, size: Size, loaded: Loaded, port: int, process: psutil.Process) -> None:
    """Watch the API's memory during an export by the minute of a month, and during one of years."""
    client = Client(port)
    month = max(loaded.start, loaded.end - 30 * DAY_S)
    long = max(loaded.start, loaded.end - size.memory_days * DAY_S)
    short_curve = _watched(process, lambda: client.ask(counts(0, month, loaded.end, "1min", format="csv")))
    long_curve = _watched(process, lambda: client.ask(counts(0, long, loaded.end, "1min", format="csv")))
    before, after = (max(memory for _, memory in curve) / 1e6 for curve in (short_curve, long_curve))
    days = (loaded.end - long) // DAY_S
    result.figure("the API's memory during an export of 30 days by the minute, at most", "MB", before)
    result.figure(f"the API's memory during an export of {days} days by the minute, at most", "MB", after)
    result.figure(f"bytes of the export of {days} days", "MB", client.size / 1e6)
    result.at_most("growth of the API's memory with the longer export", after - before, 16, unit="MB")
    step = max(len(long_curve) // 10, 1)
    rows = [[seconds, memory / 1e6] for seconds, memory in long_curve[::step]]
    result.curves.append(Curve("the API's memory during the longer export", ["seconds", "MB"], rows))


def _watched(process: psutil.Process, work: Callable[[], object]) -> list[tuple[float, int]]:
    looks: list[tuple[float, int]] = []
    ended = threading.Event()
    begin = time.perf_counter()

    def look() -> None:
        while True:
            looks.append((time.perf_counter() - begin, process.memory_info().rss))
            if ended.wait(LOOK_S):
                return

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        work()
    finally:
        ended.set()
        watcher.join()
    return looks
