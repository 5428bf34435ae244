"""Readers on a standby: it answers as the server that it follows does, live, and goes on when it is promoted."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from footfall_api import feed
from footfall_api.settings import ApiSettings
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest.migrate import migrate
from footfall_testing.city import NOW, Api, City
from footfall_testing.waiting import wait_until

MINUTE = timedelta(minutes=1)
QUIET = {"fsync": "off", "full_page_writes": "off"}


@pytest.fixture
def primary(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own that others may follow."""
    server = EmbeddedPostgres(open_folder / f"primary-{secrets.token_hex(4)}", settings=QUIET)
    with server:
        server.create_database("footfall")
        migrate(server.dsn())
        yield server
    server.remove()


@pytest.fixture
def standby(primary: EmbeddedPostgres, open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that replays what the first one writes."""
    server = EmbeddedPostgres(open_folder / f"standby-{secrets.token_hex(4)}", settings=QUIET)
    server.folder.mkdir()
    (server.folder / "postgres.password").write_text(primary.password)
    server.data.mkdir(mode=0o700)
    os.chown(server.data, server.account.uid, server.account.gid)
    program = str(primary._program("pg_basebackup"))
    subprocess.run(
        [program, "-d", primary.dsn("postgres"), "-D", str(server.data), "-R", "-X", "stream", "-c", "fast"],
        check=True,
        **primary._as_account(),
    )
    with server:
        yield server
    server.remove()


@pytest.mark.timeout(300)
def test_a_reader_on_a_standby_answers_and_hears(
    primary: EmbeddedPostgres,
    standby: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Counts and the board come as from the first server, commits are heard, and nothing fails; also when promoted."""
    monkeypatch.setattr(feed, "TICK_S", 1000.0)  # what comes, comes of a commit
    at = NOW - timedelta(minutes=2)
    city = City(primary.dsn())
    key = city.counter("markt")
    settings = ApiSettings(database={"dsn": standby.dsn()}, public={"local": True})
    with psycopg.connect(standby.dsn(), autocommit=True) as there, Api(settings) as api:
        known = "SELECT id FROM station WHERE pg_is_in_recovery()"
        wait_until(lambda: there.execute(known).fetchall() == [("markt",)], what="the station on the standby")
        api.run(api.app.state.feed.current())
        with api.app.state.feed.subscribe() as watcher:
            city.minutes(key, at, 1, {0: 7})
            city.receive(key)
            assert api.run(watcher.wait(30))
            (value,) = api.counts("markt", from_=at.isoformat(), to=(at + MINUTE).isoformat(), resolution="1min")
            assert (value["count"], value["state"]) == (7, "measured")

            city.connection.close()
            there.execute("SELECT pg_promote()")
            api.until(lambda: _listens(there), what="the reader to listen to the promoted server")
            watcher.take()
            new = City(standby.dsn())
            new.minutes(key, at + MINUTE, 1, {0: 4})
            new.receive(key, seq=1)
            assert api.run(watcher.wait(30))
            new.connection.close()
        assert api.telemetry.listen_reconnects._value.get() == 0
    assert "not listening" not in caplog.text


def _listens(connection: psycopg.Connection) -> bool:
    ((number,),) = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'footfall-api' AND query LIKE 'LISTEN %'"
    ).fetchall()
    return bool(number)
