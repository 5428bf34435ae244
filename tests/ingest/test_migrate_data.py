"""Each step of the schema on databases in use: everything is kept, and what is new is filled in."""

from typing import Any

import psycopg
import pytest

from footfall_contract import encode_cbor
from footfall_ingest.flush import write_batch
from footfall_ingest.migrate import MigrationError, check, migrate
from footfall_ingest.rollup import roll_up
from footfall_testing.databases import migrated_to
from footfall_testing.ingest_store import NOON, message, report, stored, stream_of, wrong_hours

MARKED = "v: got 2, expected 1; its number is marked received, so that it is not sent again"
BEFORE = "v: got 2, expected 1; its number was received before"

KEPT = [
    # reason, detail, node, sensor, stream's name, seq, times; and: kind, topic_sensor, topic_fault, holds_number
    (("wrong-node", "…", "b", "markt-1", "a", 1, 1), ("counts", "markt-1", None, True)),
    (("second-writer", "…", "b", "markt-1", "a", 2, 3), ("counts", "markt-1", None, True)),
    (("too-old", "…", "b", "markt-1", "a", 3, 1), ("counts", "markt-1", None, True)),
    (("unwritable", "…", None, "markt-1", "a", 4, 1), ("counts", None, None, True)),
    (
        ("impossible", "it speaks of markt-1 on the topic of holz-1", "b", "markt-1", "a", 5, 1),
        ("counts", "holz-1", None, True),
    ),
    (("impossible", "9 passages in 0 s", "b", "markt-1", "a", 6, 1), ("counts", "markt-1", None, True)),
    (("far-ahead", "…", "b", "markt-1", "a", 7_000_000, 1), ("counts", "markt-1", None, False)),
    (("too-many-gaps", "…", "b", "markt-1", "a", 9_000, 1), ("counts", "markt-1", None, False)),
    (("unreadable", MARKED, "b", "markt-1", "a", 10, 1), ("counts", "markt-1", None, True)),
    # Repeated: its last arrival says so, its first was marked.
    (("unreadable", BEFORE, "b", "markt-1", "a", 11, 2), ("counts", "markt-1", None, True)),
    # Came once, and its number was another's.
    (("unreadable", BEFORE, "b", "markt-1", "a", 12, 1), ("counts", "markt-1", None, False)),
    # Repeated, but its number may be that of the next.
    (("unreadable", BEFORE, "b", "markt-1", "a", 13, 2), ("counts", "markt-1", None, False)),
    (("unreadable", MARKED, "b", "markt-1", "a", 13, 1), ("counts", "markt-1", None, True)),
    (("unreadable", "payload: got …", "b", "markt-1", None, None, 4), ("counts", "markt-1", None, False)),
    (("unreadable", "state: got …", "b", None, None, None, 1), ("status", None, None, False)),
    (("unreadable", "node: got 'B'", None, None, None, None, 1), ("counts", None, "node: got 'B'", False)),
]


FIRST = f"""
    INSERT INTO sensor (id, directions) VALUES ('markt-1', 1);
    INSERT INTO sensor_node SELECT key, 'jena-sued' FROM sensor;
    INSERT INTO stream SELECT key, '{stream_of("first")}', 'jena-sued', '{{[0,2)}}' FROM sensor;
    INSERT INTO count_minute SELECT key, to_timestamp({NOON}), 0, 0, 1 FROM sensor;
    INSERT INTO coverage_minute SELECT key, to_timestamp({NOON}), 10 FROM sensor;
    INSERT INTO count_span SELECT key, to_timestamp({NOON + 60}), to_timestamp({NOON + 3660}), 0, 0, 1 FROM sensor;
    INSERT INTO coverage_span SELECT key, to_timestamp({NOON + 60}), to_timestamp({NOON + 3660}), 0 FROM sensor;
    INSERT INTO station VALUES ('markt', 'Markt', 'Europe/Berlin', 11.58, 50.92, null);
    INSERT INTO direction_label VALUES ('markt', '-infinity', 'hin', 'her');
    INSERT INTO installation SELECT key, 'markt', '2026-01-01', null, 'part' FROM sensor;
    INSERT INTO node_state VALUES ('jena-sued', 'online', '0.0.1', now(), now());
    INSERT INTO sensor_state VALUES ('jena-sued', 'markt-1', '{{}}', now());
"""
"""What the first version wrote of two reports, a minute's and a span's, and what people told it."""


def fill(dsn: str) -> None:
    """Something in every table of the first schema."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(FIRST)
        for number, ((reason, detail, node, sensor, stream, seq, times), _) in enumerate(KEPT):
            connection.execute(
                """
                INSERT INTO quarantine
                    (reason, detail, node, sensor, stream, seq, times, payload, content, first_seen, last_seen)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, sha256(%s), now(), now())
                """,
                [reason, detail, node, sensor, stream and stream_of(stream), seq, times, *[f"{number}".encode()] * 2],
            )
        connection.execute("UPDATE quarantine SET closed_at = now() WHERE reason = 'too-old'")


def migration_time() -> Any:
    """A day after the reports."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(NOON + 86_400, UTC)


@pytest.fixture(params=["plain", "timescale"])
def first(request: pytest.FixtureRequest) -> str:
    """A database at the first schema with data in every table: once on plain PostgreSQL, once on TimescaleDB."""
    name = "blank_database" if request.param == "plain" else "blank_timescale_database"
    dsn: str = request.getfixturevalue(name)
    migrated_to(dsn, "0001")
    fill(dsn)
    return dsn


COLUMNS = {
    "quarantine": "id, reason, detail, node, sensor, stream, seq, payload, first_seen, last_seen, times, closed_at",
    "store": "id, epoch, created",
    "sensor": "key, id, directions, first_seen",
    "installation": "sensor, station, valid_from, valid_to, role",
    "station": "id, name, timezone, longitude, latitude, line",
    "coverage_span": "sensor, starts, ends, observed_s",
}


BY_NUMBER = {
    "count_minute": "sensor, minute_start(minute), direction, class, count",
    "coverage_minute": "sensor, minute_start(minute), observed_s",
}
"""The same of tables that have the number of the minute where the first schema had its moment."""


LATER = {"epoch", "count_hour", "coverage_hour", "dirty_hour", "area", "station_area", "remark", "node_day"}
"""Tables that later versions brought."""


def everything(dsn: str) -> dict[str, list[Any]]:
    """Every row of every table as text, with the columns of the first schema."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        names = {table for (table,) in tables} - {"alembic_version", *LATER}
        numbered = connection.execute("SELECT table_name FROM information_schema.columns WHERE column_name = 'minute'")
        columns = COLUMNS | {table: BY_NUMBER[table] for (table,) in numbered if table in BY_NUMBER}
        return {
            table: connection.execute(
                f"SELECT wanted::text FROM (SELECT {columns.get(table, '*')} FROM {table}) AS wanted ORDER BY 1"  # type: ignore[arg-type]
            ).fetchall()
            for table in names
        }


def test_a_used_database_keeps_everything(first: str) -> None:
    """Every row of every table is what it was, also after migrating again; and the program works on it."""
    before = everything(first)
    assert all(before.values()), [table for table, rows in before.items() if not rows]

    migrate(first)
    after = everything(first)
    migrate(first)

    assert after == before
    assert everything(first) == before
    with psycopg.connect(first, autocommit=True) as connection:
        check(connection)
        outcome = write_batch(connection, [message(report(seq=0)), message(report(seq=2), "b")], now=migration_time())
        assert (outcome.duplicate, outcome.quarantined) == (1, {"wrong-node": 1})


def test_who_could_read_the_minutes_still_can(first: str) -> None:
    """Tables that are written anew keep what was granted by hand, to a role and to everybody."""
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute(
            "GRANT SELECT, DELETE ON count_minute TO pg_monitor; GRANT SELECT ON coverage_minute TO PUBLIC"
        )
    migrate(first)

    query = """
        SELECT relname, grantee::regrole::text, privilege_type FROM pg_class, aclexplode(relacl)
        WHERE relname IN ('count_minute', 'coverage_minute') AND (grantee = 0 OR grantee::regrole::text = 'pg_monitor')
        ORDER BY 1, 2, 3
    """
    with psycopg.connect(first) as connection:
        assert connection.execute(query).fetchall() == [
            ("count_minute", "pg_monitor", "DELETE"),
            ("count_minute", "pg_monitor", "SELECT"),
            ("coverage_minute", "-", "SELECT"),
        ]


def test_what_earlier_rows_do_not_say_is_filled_in(first: str) -> None:
    """The kind of message, its topic, and whether its number is marked received because of it."""
    migrate(first)

    with psycopg.connect(first) as connection:
        query = "SELECT kind, topic_sensor, topic_fault, holds_number FROM quarantine ORDER BY id"
        assert connection.execute(query).fetchall() == [filled for _, filled in KEPT]
        query = "SELECT DISTINCT program, closed_how, closed_why, closed_by FROM quarantine"
        assert connection.execute(query).fetchall() == [(None, None, None, None)]


def test_the_history_of_epochs_begins_with_the_one_in_force(first: str) -> None:
    """An upgrade is no restore: the epoch stays, and the place is still to be noted."""
    with psycopg.connect(first) as connection:
        before = connection.execute("SELECT epoch, created FROM store").fetchall()

    migrate(first)

    with psycopg.connect(first) as connection:
        assert connection.execute("SELECT epoch, since FROM epoch").fetchall() == before
        assert connection.execute("SELECT epoch, created FROM store WHERE place IS NULL").fetchall() == before


def test_a_program_on_the_schema_before_says_what_to_run(first: str) -> None:
    """It is refused with the sentence, and changes nothing."""
    before = everything(first)
    with (
        psycopg.connect(first) as connection,
        pytest.raises(MigrationError, match=r"is at 0001, .* run `footfall-ingest"),
    ):
        check(connection)

    assert everything(first) == before


def test_what_the_first_version_kept_can_be_retried(first: str) -> None:
    """A report that the first version kept as another node's is counted when the sensor is that node's."""
    from footfall_ingest.retry import Became, retry

    kept = report(seq=20, stream="b", start=NOON + 7200, cells=[(0, 0, 0, 4)])
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO stream (sensor, stream, node, received) SELECT key, %s, 'b', '{[20,21)}' FROM sensor",
            [kept.stream],
        )
        (row,) = connection.execute(
            """
            INSERT INTO quarantine (reason, detail, node, sensor, stream, seq, payload, content, first_seen, last_seen)
            VALUES ('wrong-node', '…', 'b', 'markt-1', %s, 20, %s, sha256(%s), %s, %s) RETURNING id
            """,
            [kept.stream, *[encode_cbor(kept)] * 2, *[migration_time()] * 2],
        ).fetchall()[0]
        migrate(first)
        connection.execute(
            "INSERT INTO sensor_node SELECT key, 'b', to_timestamp(%s) FROM sensor WHERE id = 'markt-1'", [NOON + 7200]
        )

        assert retry(connection, row).became is Became.COUNTED
        assert stored(connection).counts["markt-1", NOON + 7200, 0, 0] == 4


SECOND = f"""
    INSERT INTO sensor (id) VALUES ('holz-1');
    INSERT INTO installation SELECT key, 'markt', '2026-01-01', null, 'reference' FROM sensor WHERE id = 'holz-1';
    INSERT INTO coverage_minute
    SELECT key, to_timestamp({NOON}) + step * interval '40 minutes', 60 FROM sensor, generate_series(-3, 6) AS step
    WHERE step <> 0 OR id = 'holz-1';
    INSERT INTO count_minute
    SELECT sensor, bucket, direction, 0, 2 + direction FROM coverage_minute, generate_series(0, 1) AS direction
    WHERE observed_s = 60;
    UPDATE store SET place = '{{"cluster": 1}}';
"""
"""Minutes of two sensors in several hours, one of them not full, on the second schema."""


@pytest.fixture
def second(first: str) -> str:
    """A database at the second schema with more minutes: once on plain PostgreSQL, once on TimescaleDB."""
    migrated_to(first, "0002")
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute(SECOND)
    return first


def hours_of(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    """Sensor's id and hours after noon."""
    return connection.execute(
        f"SELECT id, ((extract(epoch FROM hour) - {NOON}) / 3600)::int FROM ({query}) AS found "  # type: ignore[arg-type]
        "JOIN sensor ON key = sensor ORDER BY 1, 2"
    ).fetchall()


@pytest.mark.parametrize("steps", [("0003", "0004", "0005", "0006", "0007", "0008", "0009"), ("head",)])
def test_every_hour_with_minutes_is_to_be_summed_up(second: str, steps: tuple[str, ...]) -> None:
    """Step by step or all at once: what was stored is kept, its hours are dirty, and the sums are those of the minutes.

    What needs no summing up, spans and places, is there as before; nothing is removed.
    """
    before = everything(second)
    for step in steps:
        migrated_to(second, step)
        assert everything(second) == before, step
    migrate(second)

    with psycopg.connect(second, autocommit=True) as connection:
        wanted = [("holz-1", hour) for hour in range(-2, 5)] + [("markt-1", hour) for hour in range(-2, 5)]
        assert hours_of(connection, "SELECT sensor, hour FROM dirty_hour") == wanted
        assert connection.execute("SELECT count(*) FROM coverage_hour").fetchall() == [(0,)]
        assert connection.execute("SELECT minutes_from::text FROM store").fetchall() == [("-infinity",)]
        assert connection.execute("SELECT DISTINCT changed <= now() FROM coverage_span").fetchall() == [(True,)]

        roll_up(connection, migration_time())

        assert hours_of(connection, "SELECT sensor, bucket AS hour FROM coverage_hour") == wanted
        assert hours_of(connection, "SELECT sensor, hour FROM dirty_hour") == []
        assert wrong_hours(connection) == []
    assert everything(second) == before


def test_a_store_with_hours_is_taken_to_the_newest_schema(second: str) -> None:
    """From the third and fourth schema: sums, dirty hours, areas and remarks are what they were."""
    migrated_to(second, "0003")
    with psycopg.connect(second, autocommit=True) as connection:
        connection.execute(f"DELETE FROM dirty_hour WHERE hour < to_timestamp({NOON})")
        connection.execute(
            f"INSERT INTO coverage_hour SELECT key, to_timestamp({NOON - 3600}), 60, 60, '2026-03-02' FROM sensor"
        )
        connection.execute(f"INSERT INTO count_hour SELECT key, to_timestamp({NOON - 3600}), 0, 0, 2 FROM sensor")
    migrated_to(second, "0004")
    with psycopg.connect(second, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO area VALUES ('mitte', 'Mitte', 'Quartier', '{}');
            INSERT INTO station_area VALUES ('markt', 'mitte');
            INSERT INTO remark (area, starts, kind, text) VALUES ('mitte', '2026-03-01 12:00Z', 'works', 'Gerüst');
            """
        )
    kept = LATER - {"node_day"}  # that schema 0009 brings
    before = {table: rows_of(second, table) for table in kept}
    assert all(before.values())

    migrate(second)
    migrate(second)

    assert {table: rows_of(second, table) for table in kept} == before


def rows_of(dsn: str, table: str) -> list[tuple[Any, ...]]:
    """Every row of a table as text."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(f"SELECT {table}::text FROM {table} ORDER BY 1").fetchall()  # type: ignore[arg-type]


def test_which_node_made_a_sensor_is_told_by_its_first_stream(second: str) -> None:
    """Who named it in the transaction that made it; not who came later, nor where a file or an import made it."""
    migrated_to(second, "0008")
    with psycopg.connect(second, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO sensor (id, first_seen) VALUES ('made-1', '2026-01-01'), ('listed-1', '2026-01-01'),
                ('file-1', '2026-01-01');
            INSERT INTO stream (sensor, stream, node, created)
            SELECT key, gen_random_uuid(), node, created::timestamptz FROM sensor JOIN (VALUES
                ('made-1', 'bad', '2026-01-01'), ('made-1', 'good', '2026-01-02'), ('listed-1', 'good', '2026-01-02'),
                ('file-1', NULL, '2026-01-01')
            ) AS told (id, node, created) USING (id);
            INSERT INTO quarantine (reason, detail, node, payload, content, first_seen, last_seen)
            VALUES ('unreadable', '…', 'bad', 'seven b', sha256('x'), now(), now());
            """
        )

    migrate(second)

    with psycopg.connect(second) as connection:
        made = dict(connection.execute("SELECT id, made_by FROM sensor WHERE id LIKE '%-1'").fetchall())
        assert {sensor: made[sensor] for sensor in ("made-1", "listed-1", "file-1")} == {
            "made-1": "bad", "listed-1": None, "file-1": None,
        }  # fmt: skip
        assert connection.execute("SELECT bytes FROM quarantine WHERE node = 'bad'").fetchall() == [(7,)]
