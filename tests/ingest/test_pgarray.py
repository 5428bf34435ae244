"""numpy columns arrive in PostgreSQL as they are."""

from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import psycopg
import pytest

from footfall_ingest.pgarray import PgArray, int2s, int4s, int8s, timestamps, uuids

FIRST, LAST = UUID(int=1), UUID(int=2**128 - 1)


@pytest.mark.parametrize(
    ("array", "type_name", "values"),
    [
        (int2s(np.array([-32768, 0, 32767])), "smallint[]", [-32768, 0, 32767]),
        (int4s(np.array([-(2**31), 7, 2**31 - 1])), "integer[]", [-(2**31), 7, 2**31 - 1]),
        (int8s(np.array([-(2**63), 2**63 - 1])), "bigint[]", [-(2**63), 2**63 - 1]),
        (uuids([FIRST, LAST]), "uuid[]", [FIRST, LAST]),
        (int4s(np.zeros(0, np.int64)), "integer[]", []),
        (uuids([]), "uuid[]", []),
    ],
)
def test_values_survive(postgres_server: object, database: str, array: PgArray, type_name: str, values: object) -> None:
    """The lowest, the highest, and none at all, under the right type."""
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT a, pg_typeof(a)::text FROM (SELECT %b AS a) AS x", [array]).fetchone()

    assert row == (values, type_name)


def test_times_are_utc_seconds(database: str) -> None:
    """Unix seconds from the first to the last that a report may name."""
    seconds = [0, 946_684_800, 1_772_366_400, 2**32 - 1]

    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT %b", [timestamps(np.array(seconds))]).fetchone()

    assert row is not None
    assert [moment.astimezone(UTC) for moment in row[0]] == [datetime.fromtimestamp(s, UTC) for s in seconds]
