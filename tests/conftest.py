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
from pathlib import Path

import hypothesis
import psycopg
import pytest

from footfall_demo.broker import Broker, find_mosquitto
from footfall_demo.postgres import EmbeddedPostgres
from footfall_testing.databases import DatabaseServer, Pool

TIMESCALE = "FOOTFALL_TEST_TIMESCALE_DSN"

LARGE_COUNT_S = 1200
"""Seconds after which a large count is taken to hang that names no time of its own; machines do other things, too."""

# How long an example takes says nothing on a machine that does other things too.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


def pytest_report_header() -> list[str]:
    """The run says what it runs on."""
    timescale = "given" if TIMESCALE in os.environ else "none"
    return [f"mosquitto: {find_mosquitto() or 'not installed'}; TimescaleDB: {timescale}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The large counts run where they are asked for by name (`-m full`), and have time; their small versions always.

    They begin first: one of some minutes that began last would run alone while the other workers have nothing to do.
    """
    items.sort(key=lambda item: item.get_closest_marker("full") is None)
    large = [item for item in items if item.get_closest_marker("full")]
    asked = "full" in config.getoption("-m", "")
    for item in large:
        if not asked:
            item.add_marker(pytest.mark.skip(reason="large count: make test-full runs it"))
        elif not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LARGE_COUNT_S))


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A temporary folder that every account of the machine can enter (pytest's own are private to their user)."""
    folder = Path(tempfile.mkdtemp(prefix="footfall-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


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


@pytest.fixture(scope="session")
def plain_pool(postgres_server: DatabaseServer, postgres_template: str) -> Pool:
    """Databases on plain PostgreSQL; the server goes with all of them."""
    return Pool(postgres_server, postgres_template)


@pytest.fixture(scope="session")
def timescale_pool(timescale_server: DatabaseServer) -> Iterator[Pool]:
    """Databases with TimescaleDB."""
    pool = Pool(timescale_server)
    yield pool
    pool.close()


@pytest.fixture
def blank_database(postgres_server: DatabaseServer) -> Iterator[str]:
    """The DSN of an empty database on plain PostgreSQL."""
    with postgres_server.blank() as dsn:
        yield dsn


@pytest.fixture
def database(plain_pool: Pool) -> Iterator[str]:
    """The DSN of a database on plain PostgreSQL with today's schema and nothing in it."""
    with plain_pool.database() as dsn:
        yield dsn


@pytest.fixture
def blank_timescale_database(timescale_server: DatabaseServer) -> Iterator[str]:
    """The DSN of a database with the TimescaleDB extension and nothing else."""
    with timescale_server.blank() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        yield dsn


@pytest.fixture(params=["plain", "timescale"])
def any_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a database with today's schema: once on plain PostgreSQL, once on TimescaleDB."""
    pool: Pool = request.getfixturevalue(f"{request.param}_pool")
    with pool.database() as dsn:
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
