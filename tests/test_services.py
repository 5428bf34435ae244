"""The servers that the tests stand on answer and are what they say."""

import psycopg

from footfall_demo.broker import Broker


def test_postgres_is_real_and_recent(blank_database: str) -> None:
    """The embedded server is a PostgreSQL 16 or newer that works in UTC."""
    with psycopg.connect(blank_database) as connection:
        assert connection.info.server_version >= 160000
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


def test_broker_answers(broker: Broker) -> None:
    """Each broker takes connections."""
    assert broker.answers()
