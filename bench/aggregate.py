"""The aggregation kernel against polars, DuckDB and the memory itself, on the same five columns."""

import duckdb
import numpy as np
import polars as pl

from bench.timing import Result, best_of, show
from footfall_ingest.aggregate import sum_minutes

CELLS = 4_000_000
SENSORS, MINUTES = 60, 1440
SEED = 7


def main() -> None:
    """Sum four million cells by sensor, minute, direction and class."""
    rng = np.random.default_rng(SEED)
    sensor = rng.integers(0, SENSORS, CELLS).astype(np.int32)
    second = 1_764_000_000 + np.sort(rng.integers(0, MINUTES * 60, CELLS)).astype(np.int64)
    direction = rng.integers(0, 2, CELLS).astype(np.uint8)
    class_ = np.zeros(CELLS, np.uint8)
    count = rng.integers(1, 9, CELLS).astype(np.int64)
    columns = {"sensor": sensor, "second": second, "direction": direction, "class": class_, "count": count}
    frame = pl.DataFrame(columns)
    arrow = frame.to_arrow()

    def footfall() -> int:
        return len(sum_minutes(sensor, second, direction, class_, count).count)

    def with_polars() -> int:
        keys = ["sensor", pl.col("second") // 60, "direction", "class"]
        return frame.group_by(keys).agg(pl.col("count").sum()).height

    def with_duckdb() -> int:
        query = (
            'SELECT sensor, second // 60 AS minute, direction, "class", sum("count") FROM cells '
            'GROUP BY sensor, minute, direction, "class"'
        )
        with duckdb.connect() as connection:
            connection.register("cells", arrow)
            return connection.sql(query).to_arrow_table().num_rows

    def reading() -> None:
        for column in columns.values():
            column.max()

    assert footfall() == with_polars() == with_duckdb()
    show(
        f"Aggregation: {CELLS / 1e6:.0f} million cells to {footfall()} rows (numpy: one thread; the peers: all cores)",
        "cells",
        [
            Result("footfall: one integer key, bincount", CELLS, best_of(footfall)),
            Result("polars group_by", CELLS, best_of(with_polars)),
            Result("DuckDB GROUP BY", CELLS, best_of(with_duckdb)),
            Result("limit: reading each column once", CELLS, best_of(reading)),
        ],
    )
