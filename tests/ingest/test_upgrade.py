"""Upgrades under traffic: the edges before the server and the server before the edges; nothing is lost or doubled."""

import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from alembic import command as alembic

from footfall_contract import decode, encode_json, topics
from footfall_demo.broker import Broker
from footfall_ingest import migrate as migration
from footfall_ingest.__main__ import main
from footfall_ingest.epochs import settle
from footfall_ingest.migrate import migrate
from footfall_ingest.schema import NEWEST
from footfall_testing.edge_box import Box, Line, straight_into
from footfall_testing.ingest_process import command, ingest, settings_for
from footfall_testing.ingest_store import stored
from footfall_testing.newer_reports import learn, newer
from footfall_testing.waiting import wait_until


def at_first(dsn: str) -> None:
    """The schema as the first version made it."""
    with migration._transaction(dsn) as connection:
        config = migration._config()
        config.attributes["connection"] = connection
        alembic.upgrade(config, "0001")


TODAYS = """
    CREATE TEMPORARY TABLE dirty_hour (sensor integer, hour timestamptz UNIQUE);
    CREATE TEMPORARY TABLE coverage_minute (
        sensor integer, minute integer, observed_s smallint, PRIMARY KEY (sensor, minute)
    );
    CREATE TEMPORARY TABLE count_minute (
        sensor integer, minute integer, direction smallint, class smallint, count integer,
        PRIMARY KEY (sensor, minute, direction, class)
    );
    CREATE TEMPORARY TABLE node_day (
        node text, day date, what text, used bigint DEFAULT 0, refused bigint DEFAULT 0, refused_last timestamptz,
        UNIQUE (day, node, what), UNIQUE (node, day, what)
    );
    ALTER TABLE sensor ADD COLUMN made_by text;
"""
AS_THE_FIRST = """
    INSERT INTO public.coverage_minute SELECT sensor, to_timestamp(minute * 60), observed_s FROM coverage_minute;
    INSERT INTO public.count_minute
    SELECT sensor, to_timestamp(minute * 60), direction, class, count FROM count_minute;
    ALTER TABLE sensor DROP COLUMN made_by;
"""


class Traffic:
    """A context in which a box of its own counts and sends in a thread; at the end it delivers what is left."""

    def __init__(self, broker: Broker, folder: Path, node: str, first_slot: int) -> None:
        self._work = lambda: self._run(broker, folder, node, first_slot)
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self.counted = 0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self._failed == []

    def _run(self, broker: Broker, folder: Path, node: str, first_slot: int) -> None:
        try:
            with Box(folder, node, first_slot=first_slot) as box, Line(broker, box) as line:
                while not self._stop.wait(0.02):
                    if box.waiting < 40:
                        box.count()
                    box.step(line)
                box.deliver(line)
                self.counted = box.counted
        except BaseException as error:  # noqa: BLE001  # handed to the test
            self._failed.append(error)


def total(dsn: str) -> int:
    """Passages stored."""
    with psycopg.connect(dsn) as connection:
        found: int = connection.execute("SELECT coalesce(sum(count), 0)::bigint FROM count_minute").fetchall()[0][0]
        return found


def test_the_schema_is_updated_under_traffic(
    mosquitto: Broker, blank_database: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This version's process on the first schema refuses with a sentence; after `migrate` it counts all, once.

    Meanwhile a box goes on counting and sending: what it sends waits at the broker and in its outbox.
    """
    at_first(blank_database)
    settings = settings_for(mosquitto, blank_database, unique)
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", blank_database)
    with Box(tmp_path, unique) as box, psycopg.connect(blank_database, autocommit=True) as connection:
        # The first version wrote the same, but minutes by their moment, no dirty hours, and nothing of budgets.
        connection.execute(TODAYS)
        box.count(50)
        box.deliver(straight_into(connection, box))
        connection.execute(AS_THE_FIRST)

    with ExitStack() as stack:
        traffic = stack.enter_context(Traffic(mosquitto, tmp_path, unique, first_slot=50))
        words, environment = command(settings, tmp_path)
        refused = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        before = total(blank_database)
        assert main(["migrate"]) == 0
        with ingest(settings):
            wait_until(lambda: total(blank_database) > before + 20, what="the traffic to arrive")
            stack.close()

    assert refused.returncode == 1
    assert f"the database's schema is at 0001, this version of footfall needs {NEWEST}" in refused.stderr
    assert "run `footfall-ingest migrate`" in refused.stderr
    assert before == 50
    assert traffic.counted > 20
    assert total(blank_database) == 50 + traffic.counted
    with psycopg.connect(blank_database) as connection:
        assert stored(connection).quarantine == {}


def test_newer_edges_go_on_and_are_counted_after_the_upgrade(  # noqa: PLR0917  # fixtures
    mosquitto: Broker,
    database: str,
    unique: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Reports of version 2 are kept and marked, so the outbox empties; the newer `migrate` counts them, once.

    Nobody had to remember them, and running it again finds nothing.
    """
    settings = settings_for(mosquitto, database, unique)
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    with Box(tmp_path, unique) as box, Line(mosquitto, box) as line:

        def as_version_2(sent: Any) -> Any:
            return line([(topic, newer(decode(payload))) for topic, payload in sent])

        with ingest(settings):
            box.count(3)
            box.deliver(line)
            box.count(30)
            box.deliver(as_version_2)
        assert total(database) == 3
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE quarantine SET program = '0.0.9'")
        times = kept(database)

        with monkeypatch.context() as upgraded:
            learn(upgraded)
            capsys.readouterr()
            statuses = [main(["migrate"]), main(["migrate"])]
            said = capsys.readouterr().out
            assert total(database) == 33
            with ingest(settings):
                box.count(4)
                as_version_2([(topics.counts(unique, box.sensor), report) for report in everything(box)])
                box.deliver(as_version_2)

    assert statuses == [0, 0]
    assert said.count("the schema is up to date") == 2
    assert said.count("handled again what another version of footfall could not read") == 1
    assert "     30  counted" in said.splitlines()
    assert total(database) == box.counted == 37
    assert kept(database) == [("counted", *row[1:]) for row in times]


def kept(dsn: str) -> list[tuple[Any, ...]]:
    """How each row of the quarantine was closed, and how often its message came."""
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT closed_how, id, times FROM quarantine ORDER BY id").fetchall()


def everything(box: Box) -> list[bytes]:
    """The payloads of all reports in the outbox, committed or not."""
    rows = box._outbox._database.execute("SELECT payload FROM report ORDER BY id").fetchall()
    return [payload for (payload,) in rows]


def test_older_edges_are_understood(database: str, tmp_path: Path) -> None:
    """A report as the first version wrote it, in CBOR and in JSON, counts; here is one of each, byte by byte."""
    with Box(tmp_path, "a") as box, psycopg.connect(database, autocommit=True) as connection:
        box.count(2)
        cbor, json = everything(box)
        assert cbor[:10] == b"\xacav\x01fsenso"
        json = encode_json(decode(json))
        assert json.startswith(b'{"v":1,"sensor":"a-1"')
        list(straight_into(connection, box)([("", cbor), ("", json)]))

        assert sum(stored(connection).counts.values()) == 2


def test_migrate_settles_the_epoch(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A restored database gets its new epoch also there; one that may have been restored unseen is asked about."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO sensor (id) VALUES ('a')")
        connection.execute("INSERT INTO stream (sensor, stream) SELECT key, gen_random_uuid() FROM sensor")
        main(["migrate"])
        asked = capsys.readouterr().out
        first = settle(connection)
        connection.execute("UPDATE store SET place = place || '{\"cluster\": 7}'")
        main(["migrate"])
        said = capsys.readouterr().out
        main(["migrate"])
        second = settle(connection)

    assert "if it was just restored from a backup, run `footfall-ingest epoch new --why …`" in asked
    assert "a new epoch begins" in said
    assert capsys.readouterr().out == "the schema is up to date\n"
    assert second.epoch != first.epoch


def test_migrating_is_done_once_and_by_the_library_alone_changes_no_epoch(blank_database: str) -> None:
    """What makes a template database does not note a place: each copy notes its own when it starts."""
    migrate(blank_database)

    with psycopg.connect(blank_database) as connection:
        assert connection.execute("SELECT place FROM store").fetchone() == (None,)
