"""The second step of the schema on databases in use: everything is kept, and what is new is filled in."""

from typing import Any

import psycopg
import pytest
from alembic import command

from footfall_contract import encode_cbor
from footfall_ingest import migrate as migration
from footfall_ingest.flush import write_batch
from footfall_ingest.migrate import MigrationError, check, migrate
from footfall_testing.ingest_store import NOON, message, report, stored, stream_of

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


def at_first(dsn: str) -> None:
    """The schema as the first version made it."""
    with migration._transaction(dsn) as connection:
        config = migration._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


def fill(dsn: str) -> None:
    """Something in every table of the first schema."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        write_batch(
            connection,
            [message(report(seq=0)), message(report(seq=1, start=NOON + 60, slot=3600, observed=[0]))],
            now=migration_time(),
        )
        connection.execute(
            """
            INSERT INTO station VALUES ('markt', 'Markt', 'Europe/Berlin', 11.58, 50.92, null);
            INSERT INTO direction_label VALUES ('markt', '-infinity', 'hin', 'her');
            INSERT INTO installation SELECT key, 'markt', '2026-01-01', null, 'part' FROM sensor;
            INSERT INTO node_state VALUES ('jena-sued', 'online', '0.0.1', now(), now());
            INSERT INTO sensor_state VALUES ('jena-sued', 'markt-1', '{}', now());
            """
        )
        for at, ((reason, detail, node, sensor, stream, seq, times), _) in enumerate(KEPT):
            connection.execute(
                """
                INSERT INTO quarantine
                    (reason, detail, node, sensor, stream, seq, times, payload, content, first_seen, last_seen)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, sha256(%s), now(), now())
                """,
                [reason, detail, node, sensor, stream and stream_of(stream), seq, times, *[f"{at}".encode()] * 2],
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
    at_first(dsn)
    fill(dsn)
    return dsn


COLUMNS = {
    "quarantine": "id, reason, detail, node, sensor, stream, seq, payload, first_seen, last_seen, times, closed_at",
    "store": "id, epoch, created",
}


def everything(dsn: str) -> dict[str, list[Any]]:
    """Every row of every table as text, with the columns of the first schema."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        names = {table for (table,) in tables} - {"alembic_version", "epoch"}
        return {
            table: connection.execute(
                f"SELECT wanted::text FROM (SELECT {COLUMNS.get(table, '*')} FROM {table}) AS wanted ORDER BY 1"  # type: ignore[arg-type]
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
