"""Real servers for the tests: PostgreSQL from its wheel, mosquitto, amqtt, all on free ports of the loopback.

`FOOTFALL_TEST_TIMESCALE_DSN` names a server with TimescaleDB on which the tests may create and drop databases; without
it the tests that want it skip and say so.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import psycopg
import pytest
from psycopg import sql

from footfall_demo.broker import Broker, find_mosquitto
from footfall_demo.postgres import EmbeddedPostgres

TIMESCALE = "FOOTFALL_TEST_TIMESCALE_DSN"

# How long an example takes says nothing on a machine that does other things too.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


def pytest_report_header() -> list[str]:
    """The run says what it runs on."""
    timescale = "given" if TIMESCALE in os.environ else "none"
    return [f"mosquitto: {find_mosquitto() or 'not installed'}; TimescaleDB: {timescale}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The large counts run where they are asked for by name (`-m full`), their small versions always."""
    if "full" in config.getoption("-m", ""):
        return
    skip = pytest.mark.skip(reason="large count: make test-full runs it")
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A temporary folder that every account of the machine can enter (pytest's own are private to their user)."""
    folder = Path(tempfile.mkdtemp(prefix="footfall-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class DatabaseServer:
    """A server on which tests make databases of their own; `maintenance` is a DSN that may create them."""

    maintenance: str

    def dsn(self, database: str) -> str:
        """The DSN of another database on the same server."""
        parts = urlsplit(self.maintenance)
        return urlunsplit(parts._replace(path=f"/{database}"))

    def create(self, database: str, template: str | None = None) -> str:
        """Create `database`, as a copy of `template` if one is named; returns its DSN."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
        if template:
            # Copied as files, which takes half as long: nothing waits for the disk here.
            statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
        with psycopg.connect(self.maintenance, autocommit=True) as connection:
            connection.execute(statement)
        return self.dsn(database)

    def drop(self, database: str) -> None:
        """Drop `database`, ending whoever is connected to it."""
        with psycopg.connect(self.maintenance, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def migrated_template(self) -> str:
        """The name of a fresh database with today's schema, to copy from."""
        from footfall_ingest.migrate import migrate

        name = f"footfall_template_{secrets.token_hex(4)}"
        migrate(self.create(name))
        return name


@pytest.fixture(scope="session")
def postgres_server(open_folder: Path) -> Iterator[DatabaseServer]:
    """The embedded PostgreSQL; it need not survive a power cut, so it does not wait for the disk."""
    folder = open_folder / f"postgres-{secrets.token_hex(4)}"
    postgres = EmbeddedPostgres(folder, settings={"fsync": "off", "full_page_writes": "off", "max_connections": "100"})
    with postgres:
        yield DatabaseServer(postgres.dsn("postgres"))
    postgres.remove()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: DatabaseServer) -> str:
    """A migrated database on the embedded server that tests copy."""
    return postgres_server.migrated_template()


@pytest.fixture(scope="session")
def timescale_server() -> DatabaseServer:
    """A server with TimescaleDB, if the environment names one."""
    dsn = os.environ.get(TIMESCALE)
    if not dsn:
        pytest.skip(f"no TimescaleDB: set {TIMESCALE} to a server on which databases may be created")
    return DatabaseServer(dsn)


def _with_extension(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    return dsn


def _fresh(server: DatabaseServer, template: str | None) -> Iterator[str]:
    name = f"footfall_{secrets.token_hex(6)}"
    yield server.create(name, template)
    server.drop(name)


@pytest.fixture
def blank_database(postgres_server: DatabaseServer) -> Iterator[str]:
    """The DSN of an empty database on plain PostgreSQL."""
    yield from _fresh(postgres_server, None)


@pytest.fixture
def database(postgres_server: DatabaseServer, postgres_template: str) -> Iterator[str]:
    """The DSN of a database on plain PostgreSQL with today's schema and nothing in it."""
    yield from _fresh(postgres_server, postgres_template)


@pytest.fixture
def blank_timescale_database(timescale_server: DatabaseServer) -> Iterator[str]:
    """The DSN of a database with the TimescaleDB extension and nothing else."""
    for dsn in _fresh(timescale_server, None):
        yield _with_extension(dsn)


@pytest.fixture(params=["plain", "timescale"])
def any_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a database with today's schema: once on plain PostgreSQL, once on TimescaleDB."""
    if request.param == "plain":
        yield request.getfixturevalue("database")
    else:
        # Not copied from a template: TimescaleDB's own workers are connected to each of its databases.
        from footfall_ingest.migrate import migrate

        dsn = request.getfixturevalue("blank_timescale_database")
        migrate(dsn)
        yield dsn


@pytest.fixture(scope="session")
def mosquitto(open_folder: Path) -> Iterator[Broker]:
    """A mosquitto on a free port."""
    if not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    with Broker(open_folder / f"mosquitto-{secrets.token_hex(4)}", kind="mosquitto") as broker:
        yield broker


@pytest.fixture(scope="session")
def amqtt_broker(open_folder: Path) -> Iterator[Broker]:
    """An amqtt on a free port."""
    with Broker(open_folder / f"amqtt-{secrets.token_hex(4)}", kind="amqtt") as broker:
        yield broker


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """A broker: once mosquitto, once amqtt. Others use it too: take names from `unique`."""
    found: Broker = request.getfixturevalue("mosquitto" if request.param == "mosquitto" else "amqtt_broker")
    return found


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name for a node or sensor that no other test uses, made from the test's own name."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-").removeprefix("test-")
    return f"{name[:40].strip('-')}-{secrets.token_hex(4)}"
