"""A database that is a copy of what it was begins a new epoch, and one that merely went through something does not."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest import database as connections
from footfall_ingest.__main__ import main
from footfall_ingest.database import Database
from footfall_ingest.epochs import Watch, begin, moved, place, settle
from footfall_ingest.migrate import migrate
from footfall_testing.waiting import wait_until

PLACE = {"cluster": 7, "database": 16384, "table": 16400, "timeline": 1}


def settled(dsn: str) -> UUID:
    """The epoch that a process finds or begins."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return settle(connection).epoch


def history(dsn: str) -> list[tuple[UUID, str]]:
    """The epochs so far and why they began."""
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT epoch, why FROM epoch ORDER BY since").fetchall()


def test_the_first_start_notes_the_place_in_the_first_epoch(any_database: str) -> None:
    """Nothing was restored: the epoch stays, also at each start after that, and every part of the place is known."""
    before = history(any_database)

    epochs = {settled(any_database) for _ in range(3)}

    assert epochs == {before[0][0]}
    assert history(any_database) == before
    with psycopg.connect(any_database) as connection:
        (known,) = connection.execute("SELECT place FROM store").fetchall()[0]
        assert known.keys() == PLACE.keys()
        assert known == place(connection)


def test_a_copy_of_the_database_is_another_life(database: str, postgres_server: Any, unique: str) -> None:
    """CREATE DATABASE … TEMPLATE: the copy begins an epoch once, the original keeps its own."""
    first = settled(database)
    name = unique.replace("-", "_")
    try:
        copy = postgres_server.create(name, template=database.rsplit("/", 1)[1])
        epochs = {settled(copy) for _ in range(2)}
        said = history(copy)[-1][1]
    finally:
        postgres_server.drop(name)

    assert first not in epochs
    assert len(epochs) == 1
    assert "another database of its cluster" in said
    assert settled(database) == first


def test_tables_that_are_restored_into_the_same_database_are_another_life(database: str) -> None:
    """As `pg_restore --clean` does it: same cluster, same database, but the row is in a table made anew."""
    first = settled(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE store RENAME TO old")
        connection.execute("CREATE TABLE store (LIKE old INCLUDING ALL)")
        connection.execute("INSERT INTO store SELECT * FROM old")

    assert settled(database) != first
    assert "its tables were created anew" in history(database)[-1][1]


def test_processes_that_start_together_agree(database: str) -> None:
    """Of many that find a restored database at the same time one begins the epoch."""
    settled(database)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE store SET place = place || '{\"cluster\": 7}'")
    found: list[UUID] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.append(settled(database))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(history(database)) == 2


def test_a_role_that_may_not_ask_notes_what_it_may(
    database: str, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so; the parts that are known still tell a copy, and a part learnt later is no change."""
    role = unique.replace("-", "_")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        connection.execute(f"CREATE ROLE {role}")
        connection.execute(f"GRANT SELECT, UPDATE ON store TO {role}; GRANT INSERT ON epoch TO {role}")
        connection.execute(f"SET ROLE {role}")
        try:
            first = settle(connection)
            known = connection.execute("SELECT place FROM store").fetchall()[0][0]
            connection.execute("RESET ROLE")
            again = settle(connection)
            connection.execute("UPDATE store SET place = place || '{\"database\": 7}'")
            connection.execute(f"SET ROLE {role}")
            restored = settle(connection)
        finally:
            connection.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")

    assert known.keys() == PLACE.keys() - {"cluster"}
    assert first == again
    assert restored.begun
    assert "permission denied for function pg_control_system" in str(
        [getattr(record, "footfall_facts", "") for record in caplog.records]
    )


@given(st.dictionaries(st.sampled_from(sorted(PLACE)), st.integers(1, 3)), st.sets(st.sampled_from(sorted(PLACE))))
def test_only_what_both_know_can_tell_a_copy(changes: dict[str, int], unknown: set[str]) -> None:
    """Each part that is another one is named with both values; a part that one side does not have says nothing."""
    known = {part: value for part, value in PLACE.items() if part not in unknown}
    here = {**PLACE, **changes}
    different = {part for part in known if here[part] != known[part]}

    said = moved(known, here)

    assert said == moved(known, {part: here[part] for part in known})
    assert {part for part in PLACE if f"({part} " in said} == different
    assert bool(said) == bool(different)


@pytest.fixture
def cluster(open_folder: Path, unique: str) -> Iterator[EmbeddedPostgres]:
    """A server of its own that may be killed and promoted, with a database."""
    postgres = EmbeddedPostgres(open_folder / unique, settings={"fsync": "off", "max_connections": "20"})
    with postgres:
        postgres.create_database("footfall")
        migrate(postgres.dsn())
        yield postgres
    postgres.remove()


def test_a_crash_and_a_restart_are_the_same_life_and_a_promotion_is_another(
    cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 and after a clean stop the epoch stays; a standby is waited for, and begins one when promoted."""
    monkeypatch.setattr(connections, "_LONGEST_WAIT_S", 0.1)
    first = settled(cluster.dsn())

    assert cluster.process is not None
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        children = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity").fetchall()]
    cluster.process.kill()
    cluster.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), what="the server's processes to end")
    cluster.start()
    assert settled(cluster.dsn()) == first
    cluster.stop()
    cluster.start()
    assert settled(cluster.dsn()) == first

    cluster.stop()
    (cluster.data / "standby.signal").touch()
    (cluster.data / "standby.signal").chmod(0o644)
    cluster.start()
    waits: list[str] = []
    stop = threading.Event()
    watch = Watch()

    def promote_after_a_while() -> None:
        waits.append("in vain")
        if len(waits) == 2:
            with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
                connection.execute("SELECT pg_promote(true)")

    with Database(cluster.dsn(), stop, promote_after_a_while, watch.connected) as database:
        (second,) = database.run(lambda connection: connection.execute("SELECT epoch FROM store").fetchall()[0])

    assert len(waits) >= 2
    assert second != first
    assert [epoch for epoch, _ in history(cluster.dsn())] == [first, second]
    assert "another timeline (timeline 1 before, 2 now)" in history(cluster.dsn())[-1][1]


def test_a_person_may_begin_one_and_see_all(
    database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`epoch new` needs a reason and keeps it; `epoch` shows the history and which is in force."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    settled(database)

    statuses = [main(["epoch", "new", "--why", " "]), main(["epoch", "new", "--why", "the volume of Monday"])]
    began = capsys.readouterr()
    statuses.append(main(["epoch"]))
    shown = capsys.readouterr().out.splitlines()

    assert statuses == [1, 0, 0]
    assert "--why is empty" in began.err
    new = began.out.split()[0]
    assert [line[0] for line in shown[:2]] == [" ", "*"]
    assert shown[1].startswith(f"* {new}  since ")
    assert shown[1].endswith("the volume of Monday")
    assert shown[2].startswith("lives at  ")
    assert settled(database) == UUID(new)


def test_the_process_hears_of_an_epoch_by_connecting_or_by_a_notice(database: str) -> None:
    """It is told once for each that began; at its start it tells every node anyway."""
    watch = Watch()
    with psycopg.connect(database, autocommit=True) as connection:
        watch.connected(connection)
        assert not watch.changed()
        watch.connected(connection)
        assert not watch.changed()
        watch.note(begin(connection, "a test"))
        assert watch.changed()
        begin(connection, "another")
        watch.connected(connection)

    assert watch.changed()
    assert not watch.changed()


def test_a_new_epoch_is_logged_loudly(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log sees that the database was restored."""
    settled(database)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE store SET place = place || '{\"timeline\": 77}'")

    settled(database)

    assert [record.levelno for record in caplog.records if "a new epoch begins" in record.message] == [logging.WARNING]
