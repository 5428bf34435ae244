"""The aggregation kernel against DuckDB, polars and the memory itself, on the same five columns."""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from bench.measure import interleaved, rates, times_as_fast
from bench.result import Result
from footfall_ingest.aggregate import sum_minutes

TITLE = "summing cells by sensor, minute, direction and class, against DuckDB and polars on the same arrays"

SENSORS, MINUTES = 60, 1440
SEED = 7
DUCKDB_THREADS = 2
LARGER_THAN_CACHE = 32_000_000
"""Numbers of 8 bytes: what reading and copying them shows is memory, not cache."""


@dataclass(frozen=True)
class Size:
    """How much is summed."""

    cells: int = 4_000_000
    rounds: int = 9


TINY = Size(cells=20_000, rounds=1)


def run(size: Size) -> Result:
    """Each round everybody sums the same columns once, and the memory is read and copied once."""
    rng = np.random.default_rng(SEED)
    cells = size.cells
    sensor = rng.integers(0, SENSORS, cells).astype(np.int32)
    second = 1_764_000_000 + np.sort(rng.integers(0, MINUTES * 60, cells)).astype(np.int64)
    direction = rng.integers(0, 2, cells).astype(np.uint8)
    class_ = np.zeros(cells, np.uint8)
    count = rng.integers(1, 9, cells).astype(np.int64)
    columns: dict[str, npt.NDArray[Any]] = {
        "sensor": sensor,
        "second": second,
        "direction": direction,
        "class": class_,
        "count": count,
    }
    frame = pl.DataFrame(columns)
    memory = np.arange(min(LARGER_THAN_CACHE, cells * 8))
    copy = np.empty_like(memory)

    def footfall() -> int:
        return len(sum_minutes(sensor, second, direction, class_, count).count)

    def with_polars() -> int:
        keys = ["sensor", pl.col("second") // 60, "direction", "class"]
        return frame.group_by(keys).agg(pl.col("count").sum()).height

    def in_duckdb(connection: duckdb.DuckDBPyConnection, table: str) -> int:
        query = (
            f'SELECT sensor, second // 60 AS minute, direction, "class", sum("count") FROM {table} '
            'GROUP BY sensor, minute, direction, "class"'
        )
        return int(connection.sql(query).to_arrow_table().num_rows)

    with duckdb.connect() as one, duckdb.connect() as two:
        for connection, threads in ((one, 1), (two, DUCKDB_THREADS)):
            connection.execute(f"SET threads = {threads}")
            connection.register("cells", frame.to_arrow())
            connection.execute("CREATE TABLE stored AS FROM cells")
        assert footfall() == with_polars() == in_duckdb(two, "cells") == in_duckdb(two, "stored")
        seconds = interleaved(
            {
                "ours": footfall,
                "duckdb": lambda: in_duckdb(two, "cells"),
                "duckdb, one": lambda: in_duckdb(one, "cells"),
                "duckdb, stored": lambda: in_duckdb(two, "stored"),
                "polars": with_polars,
                "read": memory.sum,
                "copy": lambda: np.copyto(copy, memory),
            },
            size.rounds,
        )
    bytes_a_cell = sum(column.itemsize for column in columns.values())
    read = [memory.nbytes / one for one in seconds["read"]]
    share = [bytes_a_cell * rate / most for rate, most in zip(rates(cells, seconds["ours"]), read, strict=True)]
    threads = pl.thread_pool_size()

    result = Result("aggregate", TITLE, vars(size))
    for what, name, cores in (
        ("footfall, one thread", "ours", 1),
        (f"DuckDB, {DUCKDB_THREADS} threads, same arrays", "duckdb", DUCKDB_THREADS),
        ("DuckDB, 1 thread, same arrays", "duckdb, one", 1),
        (f"DuckDB, {DUCKDB_THREADS} threads, from a table of its own", "duckdb, stored", DUCKDB_THREADS),
        (f"polars, {threads} threads", "polars", threads),
    ):
        millions = [rate / 1e6 for rate in rates(cells, seconds[name])]
        result.figure(what, "million cells/s", millions)
        if cores > 1:
            result.figure(f"{what}: per core", "million cells/s", [rate / cores for rate in millions])
    result.figure("memory, read by one core", "GB/s", [rate / 1e9 for rate in read])
    result.figure("memory, copied by one core", "GB/s", [memory.nbytes / one / 1e9 for one in seconds["copy"]])
    result.figure(
        f"share of the reading that footfall needs for its {bytes_a_cell} bytes a cell",
        "%",
        [100 * one for one in share],
    )
    ours = seconds["ours"]
    result.at_least(f"against DuckDB on {DUCKDB_THREADS} threads", times_as_fast(ours, seconds["duckdb"]), 1.5, aim=2)
    result.at_least("against polars", times_as_fast(ours, seconds["polars"]), 4)
    return result
