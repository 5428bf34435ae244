"""The database comes back from an older backup while counting goes on: in the end every passage is there once."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from footfall_contract import CommitNotice, encode_notice, topics
from footfall_demo.broker import Broker
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest import store
from footfall_ingest.epochs import settle
from footfall_ingest.judge import Rules
from footfall_ingest.moments import moment
from footfall_ingest.quarantine import Selection, retry_all
from footfall_ingest.sensors import move
from footfall_testing.edge_box import Box, Line, straight_into
from footfall_testing.ingest_process import ingest, settings_for
from footfall_testing.ingest_store import NOON, stored
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker on which what is retained is this test's."""
    with Broker(tmp_path / "broker", kind="mosquitto") as broker:
        yield broker


@pytest.fixture
def programs(open_folder: Path) -> Path:
    """The folder of pg_dump and pg_restore, which come with the embedded server."""
    postgres = EmbeddedPostgres(open_folder / "programs")
    found = postgres._program("pg_dump")
    if not found.exists():
        pytest.skip("the embedded PostgreSQL has no pg_dump")
    return found.parent


def epoch(dsn: str) -> UUID:
    """The epoch in force."""
    with psycopg.connect(dsn) as connection:
        found: UUID = connection.execute("SELECT epoch FROM store").fetchall()[0][0]
        return found


def passages(dsn: str) -> dict[str, int]:
    """Passages stored by sensor."""
    query = "SELECT id, sum(count)::int FROM count_minute JOIN sensor ON key = sensor GROUP BY id"
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute(query).fetchall())


def test_a_backup_restored_while_counting_goes_on_loses_and_doubles_nothing(  # noqa: PLR0917  # fixtures
    own_broker: Broker, database: str, postgres_server: Any, programs: Path, unique: str, tmp_path: Path
) -> None:
    """pg_dump, counting on, the database destroyed, pg_restore, ingest starts: a new epoch, and all is there once.

    - `on` counts all the time and has an older stream, which no notice names any more;
    - `off` is not connected from before the end of the database until everyone else is done;
    - `new` first reported after the backup, so that the restored database knows nothing of it, and counts no more.
    """
    name = database.rsplit("/", 1)[1]
    dump = tmp_path / "backup.dump"
    settings = settings_for(own_broker, database, unique)
    with ExitStack() as stack:
        on, off, new = boxes = [
            stack.enter_context(Box(tmp_path, f"{place}-{unique}")) for place in ("on", "off", "new")
        ]
        lines = {on: stack.enter_context(Line(own_broker, on))}
        with ingest(settings):
            with Line(own_broker, off) as line:
                on.count(30)
                off.count(10)
                on.deliver(lines[on])
                on.restart()
                on.count(10)
                on.deliver(lines[on])
                off.deliver(line)
                subprocess.run([programs / "pg_dump", "-Fc", "-f", dump, "--dbname", database], check=True)
                lines[new] = stack.enter_context(Line(own_broker, new))
                on.count(20)
                off.count(10)
                new.count(5)
                on.deliver(lines[on])
                off.deliver(line)
            new.deliver(lines[new])
            off.count(3)
        before = epoch(database)
        on.count(7)
        on.step(lines[on])

        postgres_server.drop(name)
        postgres_server.create(name)
        subprocess.run([programs / "pg_restore", "--exit-on-error", "--dbname", database, dump], check=True)
        assert passages(database) == {on.sensor: 40, off.sensor: 10}
        assert epoch(database) == before

        with ingest(settings):
            for box in (on, new):
                wait_until(lambda box=box: box.step(lines[box]) or passages(database).get(box.sensor) == box.counted)
                box.deliver(lines[box])
            with Line(own_broker, off) as line:
                wait_until(lambda: off.step(line) or passages(database).get(off.sensor) == off.counted)
                off.deliver(line)
            again = epoch(database)
        # A clean restart of the process changes nothing.
        with ingest(settings):
            on.count(1)
            on.deliver(lines[on])

    assert again != before
    assert epoch(database) == again
    assert passages(database) == {box.sensor: box.counted for box in boxes}
    with psycopg.connect(database) as connection:
        found = stored(connection)
    assert sum(found.coverage.values()) == 10 * sum(box.counted for box in boxes)
    assert found.quarantine == {}


def test_a_running_process_notices_that_another_database_took_the_name(
    own_broker: Broker, database: str, postgres_server: Any, unique: str, tmp_path: Path
) -> None:
    """A copy is put in the place of the database under ingest's hands: at its next connection a new epoch begins.

    Every node is told at once, also `quiet`, which has nothing to say. An old notice that the broker, or a message
    under way, brings up once more makes a box send too much, not too little: with the next notice it is in the epoch
    again.
    """
    name, copy = database.rsplit("/", 1)[1], unique.replace("-", "_")
    settings = settings_for(own_broker, database, unique)
    with (
        Box(tmp_path, unique) as box,
        Box(tmp_path, f"quiet-{unique}") as quiet,
        Line(own_broker, box) as line,
        Line(own_broker, quiet) as quiet_line,
        ingest(settings),
    ):
        for one, its_line in ((box, line), (quiet, quiet_line)):
            one.count(10)
            one.deliver(its_line)
        with psycopg.connect(postgres_server.maintenance, autocommit=True) as server:

            def close(closed: str) -> None:
                server.execute(f'ALTER DATABASE "{closed}" ALLOW_CONNECTIONS false')
                server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [closed])
                alive = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
                wait_until(lambda: server.execute(alive, [closed]).fetchone() == (0,), what="no connection")

            close(name)
            server.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            for one, its_line in ((box, line), (quiet, quiet_line)):
                one.count(10)
                one.deliver(its_line)
            stale = notice_for(database, unique)

            close(name)
            server.execute(f'DROP DATABASE "{name}"')
            server.execute(f'ALTER DATABASE "{copy}" RENAME TO "{name}"')
        box.count(1)
        wait_until(lambda: box.step(line) or passages(database).get(box.sensor) == 21, timeout=60, what="21 passages")
        box.deliver(line)
        assert epoch(database) != stale.epoch
        wait_until(lambda: quiet.step(quiet_line) or passages(database).get(quiet.sensor) == 20, what="the quiet one")

        with TestClient(own_broker, f"{unique}-past") as past:
            past.publish([(topics.committed(unique), encode_notice(stale))], retain=True)
        # One notice after another: a new one may come with the old one, and takes back what that did.
        wait_until(
            lambda: any(box.believe(notice) and box.waiting == 1 for notice in line([])),
            what="the old notice to be believed",
            every=0.01,
        )
        box.count(1)
        box.deliver(line)

    assert passages(database) == {box.sensor: 22, quiet.sensor: 20}
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM epoch").fetchone() == (2,)


def notice_for(dsn: str, node: str) -> CommitNotice:
    """What `node` is told now."""
    with psycopg.connect(dsn) as connection:
        return store.notices(connection, [node])[node]


def test_what_a_person_had_decided_after_the_backup_can_be_done_again(
    database: str, postgres_server: Any, unique: str, tmp_path: Path
) -> None:
    """The backup knows neither of the sensor's move nor of the retry after it, and has some of its reports aside.

    12:00 a counts  12:05 the sensor moves to b: reports 0 to 9 come  | backup |  10 to 19 come  move and retry
    """
    copy = unique.replace("-", "_")
    with Box(tmp_path, "a", "markt-1") as a, Box(tmp_path, "b", "markt-1", first_slot=30) as b:
        with psycopg.connect(database, autocommit=True) as connection:
            settle(connection)
            a.count(30)
            a.deliver(straight_into(connection, a))
            b.count(10)
            b.deliver(straight_into(connection, b))
        restored = postgres_server.create(copy, template=database.rsplit("/", 1)[1])
        try:
            with psycopg.connect(database, autocommit=True) as connection:
                b.count(10)
                b.deliver(straight_into(connection, b))
                repair(connection)
                assert passages(database) == {"markt-1": 50}

            with psycopg.connect(restored, autocommit=True) as connection:
                assert settle(connection).begun
                for box in (a, b):
                    # The notice names the streams of sensors that are, or were, a node's: none of b's.
                    assert box.believe(notice_for(restored, box.node)) == (0 if box is a else 20)
                    box.deliver(straight_into(connection, box))
                assert passages(restored) == {"markt-1": 30}
                assert repair(connection) == {"counted": 20}
                # Once more, for both boxes: there is nothing left to do.
                for box in (a, b):
                    box.believe(CommitNotice(UUID(int=1), {}))
                    box.deliver(straight_into(connection, box))
                assert repair(connection) == {}
                assert passages(restored) == {"markt-1": 50}
                assert sum(stored(connection).coverage.values()) == 500
        finally:
            postgres_server.drop(copy)


def repair(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """What the operator does: move the sensor, if it is not moved, and retry. What became of the reports."""
    if not connection.execute("SELECT sensor FROM sensor_node WHERE node = 'b'").fetchone():
        move(connection, "markt-1", "b", moment("2026-03-01T12:05:00Z"))
    return dict(retry_all(connection, Selection(), rules=Rules()).became)


def test_an_old_notice_never_takes_a_passage_away(
    database: str, postgres_server: Any, unique: str, tmp_path: Path
) -> None:
    """Whatever order notices of both epochs come in, and if the old one comes last: the next report heals it."""
    copy = unique.replace("-", "_")
    with Box(tmp_path, "a") as box:
        with psycopg.connect(database, autocommit=True) as whole:
            settle(whole)
            box.count(5)
            box.deliver(straight_into(whole, box))
        restored = postgres_server.create(copy, template=database.rsplit("/", 1)[1])
        try:
            with psycopg.connect(database, autocommit=True) as lost:
                box.count(5)
                box.deliver(straight_into(lost, box))
            old = notice_for(database, "a")
            with psycopg.connect(restored, autocommit=True) as connection:
                settle(connection)
                new = notice_for(restored, "a")
                for notice in (old, new, old, old, new, old):
                    box.believe(notice)
                assert box.waiting == 0  # for the moment it believes what is no longer true
                box.count(1)
                box.deliver(straight_into(connection, box))
                assert passages(restored) == {box.sensor: 11}
                assert NOON in {minute for _, minute, _, _ in stored(connection).counts}
        finally:
            postgres_server.drop(copy)
