"""The database's accounts: each does what its process does, and nothing else; their passwords get nowhere."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from footfall_api.settings import ApiSettings, DatabaseSettings
from footfall_demo.postgres import EmbeddedPostgres, _wheel
from footfall_ingest import epochs, schema, stations
from footfall_ingest.flush import write_batch
from footfall_ingest.migrate import migrate
from footfall_ingest.rollup import roll_up
from footfall_testing.accounts import ACCOUNTS, Accounts
from footfall_testing.city import Api
from footfall_testing.databases import DatabaseServer
from footfall_testing.ingest_store import message, report

pytestmark = [pytest.mark.xdist_group("accounts"), pytest.mark.timeout(600)]

Connection = psycopg.Connection[Any]
ROOT = Path(__file__).parents[2]
HBA = ROOT / "deploy" / "database" / "pg_hba.conf"
STATIONS = ROOT / "deploy" / "jena" / "stations.geojson"
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)


@pytest.fixture(scope="module")
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster of its own, because accounts belong to all of it; it logs each statement, as some administrators do."""
    folder = open_folder / f"accounts-{secrets.token_hex(4)}"
    settings = {"fsync": "off", "full_page_writes": "off", "log_statement": "all", "log_min_duration_statement": "0"}
    postgres = EmbeddedPostgres(folder, settings=settings)
    with postgres:
        yield postgres
    postgres.remove()


@pytest.fixture(scope="module", params=["plain", "timescale"])
def accounts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """The accounts, made by the script, in a database that footfall_owner has migrated; on both kinds of server."""
    folder = tmp_path_factory.mktemp("passwords")
    if request.param == "plain":
        postgres: EmbeddedPostgres = request.getfixturevalue("server")
        found = Accounts(postgres.dsn("postgres"), folder)
        yield made(found)
        return
    given: DatabaseServer = request.getfixturevalue("timescale_server")
    found = Accounts(given.maintenance, folder, f"footfall_{secrets.token_hex(6)}")
    try:
        yield made(found)
    finally:
        given.drop(found.database)
        with psycopg.connect(given.maintenance, autocommit=True) as connection:
            for name in ACCOUNTS:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def made(accounts: Accounts) -> Accounts:
    """Make them and migrate, as a new installation does."""
    accounts.make_passwords()
    done = accounts.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert accounts.database in done.stdout
    migrate(accounts.dsn("footfall_owner"))
    return accounts


def connected(accounts: Accounts, name: str) -> Connection:
    """A connection of an account."""
    return psycopg.connect(accounts.dsn(name), autocommit=True)


def test_the_owner_migrates_and_nothing_is_left_to_say(accounts: Accounts) -> None:
    """Again and again, as at each start; and it is no superuser, nor may it make accounts or databases."""
    assert migrate(accounts.dsn("footfall_owner")) == []

    with connected(accounts, "footfall_owner") as connection:
        rights = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
        assert connection.execute(f"{rights} WHERE rolname = current_user").fetchone() == (False,) * 5
        for statement in ("CREATE ROLE mine", "CREATE DATABASE mine", "SELECT pg_read_file('PG_VERSION')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_on_timescaledb_the_store_is_made_of_hypertables(accounts: Accounts) -> None:
    """The script puts the extension into the database where the server has loaded it, and the owner may use it."""
    with psycopg.connect(accounts.maintenance) as superuser:
        ((loaded,),) = superuser.execute("SELECT current_setting('shared_preload_libraries')").fetchall()
    with connected(accounts, "footfall_owner") as connection:
        extensions = {name for (name,) in connection.execute("SELECT extname FROM pg_extension").fetchall()}
        assert ("timescaledb" in extensions) == ("timescaledb" in loaded)
        if "timescaledb" in extensions:
            found = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
            assert {name for (name,) in found} >= {"count_minute", "count_hour"}


def test_ingest_stores_and_changes_no_table(accounts: Accounts) -> None:
    """It does all that the process does, tells where the database lives, and can do nothing to the schema."""
    with connected(accounts, "footfall_ingest_login") as connection:
        schema.check(connection)
        assert epochs.settle(connection).begun is None
        assert set(epochs.place(connection)) == {"cluster", "database", "table", "timeline"}
        assert write_batch(connection, [message(report())], now=NOW).stored == 1
        assert stations.apply_stations(connection, stations.read(STATIONS)).created
        roll_up(connection, NOW)
        for statement in (
            "CREATE TABLE mine (a int)",
            "CREATE TEMPORARY TABLE mine (a int)",
            "ALTER TABLE count_minute ADD COLUMN mine int",
            "DROP TABLE dirty_hour",
            "TRUNCATE count_minute",
            "UPDATE alembic_version SET version_num = '0001'",
            "CREATE ROLE mine",
            "SET ROLE footfall_owner",
            "SET ROLE footfall_admin",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_api_answers_and_writes_nothing(accounts: Accounts) -> None:
    """It is ready, and says what is stored; whatever writes is refused, also where the session allows to."""
    settings = ApiSettings(database=DatabaseSettings(dsn=accounts.dsn("footfall_api_login")))
    with Api(settings) as api:
        assert api.get("/readyz").status_code == 200
        assert api.get("/api/v1/stations").status_code == 200
    for read_only in ("on", "off"):
        with connected(accounts, "footfall_api_login") as connection:
            connection.execute(f"SET default_transaction_read_only = {read_only}")
            assert_reads_only(connection)


def assert_reads_only(connection: Connection) -> None:
    """No row is inserted, changed or deleted, no table made, and what could not be read is not read."""
    for statement in (
        "INSERT INTO sensor (id) VALUES ('mine')",
        "UPDATE count_minute SET count = 0",
        "DELETE FROM coverage_minute",
        "TRUNCATE count_minute",
        "CREATE TABLE mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "SELECT payload FROM quarantine",
        "SELECT remove_minutes('2000-01-01 00:00Z')",
        "SET ROLE footfall_ingest",
        "SET ROLE footfall_owner",
    ):
        with pytest.raises(REFUSED):
            connection.execute(statement)


def test_grafana_reads_what_the_api_reads(accounts: Accounts) -> None:
    """And not for longer than half a minute at a time."""
    with connected(accounts, "footfall_grafana") as connection:
        connection.execute("SELECT count(*) FROM count_hour, station, sensor_state")
        assert connection.execute("SHOW statement_timeout").fetchone() == ("30s",)
        connection.execute("SET default_transaction_read_only = off")
        assert_reads_only(connection)


def test_the_backup_has_everything_and_changes_nothing(accounts: Accounts) -> None:
    """pg_dump logs in with its account and reads it all, what could not be read included."""
    done = subprocess.run(
        [str(_wheel() / "pginstall" / "bin" / "pg_dump"), "--format=plain", accounts.dsn("footfall_backup_login")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "COPY public.quarantine" in done.stdout
    with connected(accounts, "footfall_backup_login") as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("SELECT payload FROM quarantine")
        for statement in ("UPDATE count_minute SET count = 0", "DELETE FROM sensor", "CREATE TABLE mine (a int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_each_account_is_of_its_group_and_no_other(accounts: Accounts) -> None:
    """Nobody inherits what it has no use for."""
    query = """
        SELECT pg_get_userbyid(member), array_agg(pg_get_userbyid(roleid)::text) FROM pg_auth_members
        WHERE pg_get_userbyid(member) = ANY(%s) GROUP BY member
    """
    with psycopg.connect(accounts.maintenance) as connection:
        assert dict(connection.execute(query, [list(ACCOUNTS)]).fetchall()) == {
            "footfall_ingest_login": ["footfall_ingest"],
            "footfall_api_login": ["footfall_api"],
            "footfall_grafana": ["footfall_api"],
            "footfall_backup_login": ["pg_read_all_data"],
        }


def test_nobody_else_gets_into_the_database(accounts: Accounts) -> None:
    """Another account of the same server may log in to it, and not connect to this database."""
    name = f"stranger_{secrets.token_hex(4)}"
    stranger = Accounts(accounts.maintenance, accounts.folder, accounts.database)
    (accounts.folder / name).write_text("a-password-of-its-own")
    with psycopg.connect(accounts.maintenance, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'a-password-of-its-own'")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(stranger.dsn(name))
        finally:
            connection.execute(f"DROP ROLE {name}")


def test_no_password_gets_into_the_log(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Not even where the server writes down every statement."""
    accounts = Accounts(server.dsn("postgres"), tmp_path)
    accounts.make_passwords()
    assert accounts.run().returncode == 0

    log = server.log.read_text("utf-8", errors="replace")
    assert "GRANT footfall_api TO" not in log  # nothing is, from where the script begins
    for name in ACCOUNTS:
        assert (tmp_path / name).read_text() not in log
    connected(accounts, "footfall_ingest_login").close()


def test_running_it_again_changes_a_password_and_mends_what_was_changed(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """The new password is in force, the old one is not; rights that somebody added by hand are gone."""
    accounts = Accounts(server.dsn("postgres"), tmp_path)
    accounts.make_passwords()
    assert accounts.run().returncode == 0
    old = accounts.dsn("footfall_api_login")
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as superuser:
        superuser.execute("ALTER ROLE footfall_api_login SUPERUSER")
        superuser.execute("GRANT footfall_admin TO footfall_api_login")
        superuser.execute("GRANT CONNECT ON DATABASE footfall TO PUBLIC")
    (tmp_path / "footfall_api_login").write_text(secrets.token_hex(24))

    assert accounts.run().returncode == 0

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)
    with connected(accounts, "footfall_api_login") as connection:
        query = "SELECT rolsuper, pg_has_role('footfall_admin', 'MEMBER') FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(query).fetchone() == (False, False)
    with psycopg.connect(server.dsn("postgres")) as superuser:
        ((public,),) = superuser.execute("SELECT datacl::text LIKE '%{=%' FROM pg_database WHERE datname = 'footfall'")
        assert not public


def test_an_account_without_a_file_gets_no_password(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """It may log in only where the server knows it by itself, and one that had a password keeps it."""
    accounts = Accounts(server.dsn("postgres"), tmp_path)
    accounts.make_passwords()
    assert accounts.run().returncode == 0
    dsn = accounts.dsn("footfall_grafana")
    (tmp_path / "footfall_grafana").unlink()

    assert accounts.run().returncode == 0
    psycopg.connect(dsn).close()

    with psycopg.connect(server.dsn("postgres"), autocommit=True) as superuser:
        superuser.execute("ALTER ROLE footfall_grafana PASSWORD NULL")
    assert accounts.run().returncode == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


@pytest.mark.parametrize(
    ("password", "words"),
    [("short", "less than 20"), ("'; DROP ROLE footfall_grafana; --xxxxx", "letters, digits"), ("", "less")],
)
def test_a_password_that_cannot_be_used_changes_nothing(
    server: EmbeddedPostgres, tmp_path: Path, password: str, words: str
) -> None:
    """It is refused before psql is started, in a sentence that says how to make a better one and not what it is."""
    accounts = Accounts(server.dsn("postgres"), tmp_path, f"footfall_{secrets.token_hex(4)}")
    accounts.make_passwords()
    (tmp_path / "footfall_grafana").write_text(password)

    done = accounts.run()

    assert done.returncode == 1
    assert words in done.stderr
    assert "openssl rand -hex 24" in done.stderr
    assert not password or password not in done.stderr
    with psycopg.connect(server.dsn("postgres")) as superuser:
        assert not superuser.execute("SELECT 1 FROM pg_database WHERE datname = %s", [accounts.database]).fetchone()


def test_in_containers_accounts_reach_their_database_and_nothing_else(open_folder: Path, tmp_path: Path) -> None:
    """pg_hba.conf as it is, but for its first line: the superuser's socket is here a port of the loopback."""
    hba = open_folder / f"pg_hba-{secrets.token_hex(4)}.conf"
    shipped = HBA.read_text()
    assert shipped.count("\nlocal ") == 1
    own = shipped.replace("\nlocal   all             postgres                                        peer", "")
    hba.write_text("host all footfall 127.0.0.1/32 scram-sha-256\n" + own)
    hba.chmod(0o644)
    postgres = EmbeddedPostgres(open_folder / f"hba-{secrets.token_hex(4)}", settings={"hba_file": str(hba)})
    with postgres:
        accounts = Accounts(postgres.dsn("postgres"), tmp_path)
        made(accounts)
        with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as superuser:
            superuser.execute("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'whatever-it-may-be'")
        (tmp_path / "postgres").write_text("whatever-it-may-be")
        for name in ACCOUNTS:
            psycopg.connect(accounts.dsn(name)).close()
            for database in ("postgres", "template1"):
                with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
                    psycopg.connect(accounts.dsn(name, database))
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg.connect(accounts.dsn("postgres"))
    postgres.remove()


def test_the_script_says_what_it_wants(tmp_path: Path) -> None:
    """Without a folder, or with one that is not there."""
    script = ROOT / "deploy" / "database" / "accounts.sh"
    for words, said in (([], "say where the passwords are"), ([str(tmp_path / "none")], "there is no folder")):
        done = subprocess.run([str(script), *words], capture_output=True, text=True, check=False, env=dict(os.environ))
        assert done.returncode != 0
        assert said in done.stderr
