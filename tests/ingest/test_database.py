"""A connection to the database that is gone without a word: found out, given up, and nobody's locks stay behind."""

import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from footfall_ingest.database import Connection, Database, TooLongError
from footfall_testing.proxy import Proxy


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    """A proxy before the database server."""
    with Proxy(urlsplit(database).port or 5432) as made:
        yield made


def through(proxy: Proxy, database: str, **settings: object) -> Database:
    """The database, through the proxy, with a second for an answer."""
    dsn = make_conninfo(database, host=proxy.host, port=proxy.port, **{"connect_timeout": 2, **settings})
    return Database(dsn, threading.Event(), answer_s=1)


def shown(connection: Connection, name: str) -> str:
    """A setting of the session."""
    row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_an_answer_that_never_comes_is_not_waited_for(proxy: Proxy, database: str) -> None:
    """Half-open between two transactions: the next one is tried again on a new connection, and succeeds."""
    asked = []

    def ask(connection: Connection) -> int:
        asked.append(connection)
        return int(connection.execute("SELECT 7").fetchone()[0])  # type: ignore[index]

    with through(proxy, database) as found:
        assert found.run(ask) == 7
        old = asked[-1]
        proxy.stall()
        proxy.heal()  # for new connections; the old one stays as it is
        assert found.run(ask) == 7

    assert asked.count(old) == 2
    assert asked[-1] is not old


def test_a_transaction_that_was_cut_off_keeps_no_locks(proxy: Proxy, database: str) -> None:
    """Half-open in the middle of one: the server, which hears no more of it, ends it; the next one gets its lock."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO sensor (id) VALUES ('markt-1')")
    attempts = []

    def lock(connection: Connection) -> str:
        with connection.transaction():
            connection.execute("SELECT key FROM sensor WHERE id = 'markt-1' FOR UPDATE")
            attempts.append(connection)
            if len(attempts) == 1:
                proxy.stall()
                threading.Timer(0.5, proxy.heal).start()
            connection.execute("SELECT 1")
        return "committed"

    with through(proxy, database) as found:
        assert found.run(lock) == "committed"

    assert len(attempts) >= 2


def test_a_slow_server_gets_done(database: str) -> None:
    """What takes longer than the wait for an answer is given twice as long the next time: it ends at last."""
    late = []

    with Database(database, threading.Event(), lambda: late.append(1), answer_s=1) as found:
        found.run(lambda connection: connection.execute("SELECT pg_sleep(1.5)"))

    assert 1 <= len(late) <= 3, "the second wait is long enough, except on a machine that has much else to do"


@pytest.mark.parametrize("idle_ms", [0, 300], ids=["we", "server"])
def test_what_takes_too_long_time_and_again_is_given_up_where_that_is_wanted(database: str, idle_ms: int) -> None:
    """Whoever lost patience: we, or the server, which hears nothing in a transaction. Each time it has more time."""
    dsn = make_conninfo(database, options=f"-c idle_in_transaction_session_timeout={idle_ms or 60_000}")
    late = []

    def dawdle(connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SELECT 1")
            time.sleep(1 if idle_ms else 5)
            connection.execute("SELECT 1")

    answer_s = 60 if idle_ms else 0.5
    with (
        Database(dsn, threading.Event(), lambda: late.append(1), answer_s=answer_s) as found,
        pytest.raises(TooLongError),
    ):
        found.run(dawdle, tries=2)

    assert len(late) == 2


def test_a_peer_that_is_gone_is_noticed_in_half_a_minute(database: str) -> None:
    """Both ends are told to; without it they would wait for hours."""
    with Database(database, threading.Event()) as found:
        ours = found.run(lambda connection: connection.info.get_parameters())
        theirs = [
            found.run(lambda connection, name=name: shown(connection, name))  # type: ignore[misc]
            for name in ("idle_in_transaction_session_timeout", "tcp_user_timeout")
        ]

    assert ours["tcp_user_timeout"] == "30000"
    assert (ours["keepalives_idle"], ours["keepalives_interval"], ours["keepalives_count"]) == ("15", "5", "3")
    assert theirs == ["1min", "30000"]


def test_the_dsn_wins(database: str) -> None:
    """Whoever knows better writes it into the DSN: libpq's parameters and the session's options."""
    dsn = make_conninfo(
        database, tcp_user_timeout=5000, keepalives_idle=60, options="-c idle_in_transaction_session_timeout=7000"
    )
    with Database(dsn, threading.Event()) as found:
        ours = found.run(lambda connection: connection.info.get_parameters())
        theirs = found.run(lambda connection: shown(connection, "idle_in_transaction_session_timeout"))

    assert (ours["tcp_user_timeout"], ours["keepalives_idle"], ours["keepalives_count"]) == ("5000", "60", "3")
    assert theirs == "7s"


def test_a_refusal_is_raised_at_once(database: str) -> None:
    """What another try would not help is not tried again, and is not taken for a missing answer."""
    with (
        Database(database, threading.Event(), answer_s=1) as found,
        pytest.raises(psycopg.errors.UndefinedTable),
    ):
        found.run(lambda connection: connection.execute("SELECT * FROM nothing_of_that_name"))
