"""What a year of minutes takes on disk, compressed and not."""

import time
from dataclasses import dataclass
from typing import Any

import psycopg

from bench import history, hours, machine, servers
from bench.history import size_of, spans
from bench.result import Result
from bench.servers import Server

TITLE = "bytes on disk for each non-zero minute row, and for each station-year"

MINUTES = ("count_minute", "coverage_minute")
HOURS = ("count_hour", "coverage_hour")
DAY_S = 86_400
BUSIER = 10.0


@dataclass(frozen=True)
class Size:
    """How many stations with two directions, for how long."""

    stations: int = 20
    days: int = 364


TINY = Size(stations=2, days=8)


def run(size: Size) -> Result:
    """The same minutes in plain PostgreSQL and in TimescaleDB."""
    result = Result("disk", TITLE, vars(size))
    with servers.workplace() as folder, servers.plain(folder) as server:
        _measure(result, server, size)
    if timescale := servers.timescale():
        _measure(result, timescale, size)
    else:
        result.notes.append(f"Compressed: SKIPPED, {servers.NO_TIMESCALE}.")
    return result


def _measure(result: Result, server: Server, size: Size) -> None:
    end = int(time.time()) // DAY_S * DAY_S
    start = end - size.days * DAY_S
    kind, years = server.kind, size.stations * size.days / 365
    with server.fresh() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        result.servers[kind] = machine.database(dsn)
        keys = history.sensors(connection, size.stations)
        empty = size_of(connection, *MINUTES)
        rows, begin = 0, time.perf_counter()
        for part in spans(start, end, 28):
            rows += history.load(connection, keys, *part)[0]
        loading = time.perf_counter() - begin
        minutes = size_of(connection, *MINUTES) - empty
        coverage = size_of(connection, "coverage_minute")
        covered = size.stations * size.days * 1440
        result.figure(f"{kind}: loaded by COPY, rows of counts and coverage", "rows/s", (rows + covered) / loading)
        result.figure(f"{kind}: not compressed, for each non-zero minute row", "bytes", minutes / rows)
        result.figure(f"{kind}: not compressed, of that coverage", "bytes", coverage / rows)
        result.figure(f"{kind}: not compressed, a station-year of minutes", "MB", minutes / years / 1e6)
        hours.roll_up(connection, fast=False)
        result.figure(f"{kind}: a station-year of hours", "MB", size_of(connection, *HOURS) / years / 1e6)
        if server.timescale:
            _compressed(result, connection, size, end)
    if server.timescale:
        _busier(result, server, size, start, end)


def _compressed(result: Result, connection: psycopg.Connection[Any], size: Size, end: int) -> None:
    row = connection.execute("SELECT count(*) FROM count_minute").fetchone()
    assert row is not None
    rows, covered, years = row[0], size.stations * size.days * 1440, size.stations * size.days / 365
    begin = time.perf_counter()
    if not _compress(connection, end):
        result.notes.append("The schema wants no compression: nothing was compressed.")
        return
    seconds = time.perf_counter() - begin
    minutes, coverage = size_of(connection, *MINUTES), size_of(connection, "coverage_minute")
    result.figure("minutes and directions with passages, of all", "%", 100 * rows / (2 * covered))
    result.figure("compressed, of that coverage", "bytes", coverage / rows)
    result.figure("compressed, a station-year of minutes", "MB", minutes / years / 1e6)
    result.figure("compressed, a station-year of hours", "MB", size_of(connection, *HOURS) / years / 1e6)
    result.figure("compressing, rows of counts and coverage", "rows/s", (rows + covered) / seconds)
    result.at_most(
        "compressed, for each non-zero minute row, coverage included", minutes / rows, 3, aim=1.5, unit="bytes"
    )


def _busier(result: Result, server: Server, size: Size, start: int, end: int) -> None:
    """The same where hardly a minute of the day is without passages: moments then take next to nothing."""
    with server.fresh() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        keys = history.sensors(connection, size.stations)
        rows = sum(history.load(connection, keys, *part, BUSIER)[0] for part in spans(start, end, 28))
        share = rows / (2 * size.stations * size.days * 1440)
        if _compress(connection, end):
            what = f"compressed, for each non-zero minute row, where {share:.0%} of the minutes have passages"
            result.figure(what, "bytes", size_of(connection, *MINUTES) / rows)


def _compress(connection: psycopg.Connection[Any], end: int) -> int:
    # Beyond the end: the last chunk too, as if a few weeks had gone by.
    return history.compress(connection, end + 1000 * DAY_S, *MINUTES, *HOURS)
