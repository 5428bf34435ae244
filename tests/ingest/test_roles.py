"""Accounts that are members of a role can do what it is for and nothing else, on both kinds of server."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_contract import NodeStatus, encode_status
from footfall_contract.topics import Kind, Topic
from footfall_ingest import epochs, roles, schema, sensors, stations
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.migrate import migrate
from footfall_ingest.retention import remove
from footfall_ingest.retry import Became, retry
from footfall_ingest.rollup import Progress, roll_up
from footfall_ingest.states import StateMessage, write_states
from footfall_testing.city import NOW, Api, City
from footfall_testing.ingest_store import message, report, stored, wrong_hours
from footfall_testing.waiting import wait_until

Connection = psycopg.Connection[Any]

OLD = int(datetime(2020, 3, 5, 12, tzinfo=UTC).timestamp())
LATER = datetime.fromtimestamp(OLD + 100 * 86_400, UTC)
STATIONS = Path(__file__).parents[2] / "deploy" / "jena" / "stations.geojson"

LogIn = Callable[..., str]


@pytest.fixture
def accounts(request: pytest.FixtureRequest) -> Iterator[Callable[[str], LogIn]]:
    """For a DSN what makes accounts on its server, with the options of CREATE ROLE; they and theirs go at the end."""
    made: list[tuple[str, str]] = []

    def on(dsn: str) -> LogIn:
        def log_in(*options: str) -> str:
            name = f"footfall_test_{secrets.token_hex(6)}"
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' {' '.join(options)}")
            made.append((dsn, name))
            parts = urlsplit(dsn)
            return urlunsplit(parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}"))

        return log_in

    yield on
    for dsn, name in made:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER")
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


@pytest.fixture
def ingest(any_database: str, accounts: Callable[[str], LogIn]) -> Iterator[Connection]:
    """A connection as a member of footfall_ingest."""
    with psycopg.connect(accounts(any_database)("IN ROLE footfall_ingest"), autocommit=True) as connection:
        yield connection


def make_roles(connection: Connection) -> None:
    """Make sure that the cluster has the roles, as any migration of a superuser does."""
    for name in roles.ROLES:
        assert roles._create(connection, name)


def compress(dsn: str) -> None:
    """Compress every chunk, where there are chunks."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        if owner.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone():
            for table in ("count_minute", "coverage_minute", "count_hour", "coverage_hour"):
                owner.execute("SELECT compress_chunk(chunk) FROM show_chunks(%s::regclass) AS chunk", [table])


def test_a_member_of_ingest_does_all_that_ingest_does(any_database: str, ingest: Connection) -> None:
    """Counts, spans, quarantine and its retry, states, sums, late data into compressed chunks, stations, removal."""
    schema.check(ingest)
    epochs.settle(ingest)
    first = [
        message(report(seq=0, start=OLD)),
        message(report(seq=1, start=OLD + 7200, slot=3600, observed=[0])),
        message(report(seq=5, start=OLD + 20), "b"),
    ]
    outcome = write_batch(ingest, first, now=LATER)
    assert (outcome.stored, outcome.quarantined) == (2, {"wrong-node": 1})
    status = encode_status(NodeStatus("online", "1.0", OLD))
    assert write_states(ingest, [StateMessage(Topic(Kind.STATUS, "b"), status, False)], now=LATER).unusable == []
    assert roll_up(ingest, LATER) == Progress(rolled=1, changed=1)
    compress(any_database)

    sensors.move(ingest, "markt-1", "b", datetime.fromtimestamp(OLD + 15, UTC))
    row = ingest.execute("SELECT id FROM quarantine").fetchall()[0][0]
    assert retry(ingest, row).became is Became.COUNTED
    assert roll_up(ingest, LATER) == Progress(rolled=1, changed=1)
    assert sum(stored(ingest).counts.values()) == 2
    assert wrong_hours(ingest) == []
    assert len(stations.apply_stations(ingest, stations.read(STATIONS)).created) == 6
    assert remove(ingest, LATER, 60).moved
    assert stored(ingest).counts == {}
    assert ingest.execute("SELECT count FROM count_hour").fetchall() == [(2,)]
    epochs.begin(ingest, "a test")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "ALTER TABLE count_minute ADD COLUMN mine int",
        "DROP TABLE dirty_hour",
        "TRUNCATE count_minute",
        "UPDATE alembic_version SET version_num = '0001'",
        "DROP FUNCTION remove_minutes",
        "SELECT drop_chunks('count_minute', older_than => minute_now())",
    ],
)
def test_a_member_of_ingest_does_not_change_the_schema(ingest: Connection, statement: str) -> None:
    """Neither tables nor functions, nor which version it is at; nor does it drop what is stored in bulk."""
    refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction)  # the latter on plain PostgreSQL
    with pytest.raises(refused):
        ingest.execute(statement)


def tables(connection: Connection) -> list[tuple[str, str]]:
    """Every table, with a column that may be written."""
    query = """
        SELECT relname, (
            SELECT attname FROM pg_attribute
            WHERE attrelid = pg_class.oid AND attnum > 0 AND attidentity = '' ORDER BY attnum LIMIT 1
        ) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1
    """
    return connection.execute(query).fetchall()


_CHANGES = ("INSERT INTO {} DEFAULT VALUES", "UPDATE {0} SET {1} = {1}", "DELETE FROM {}", "TRUNCATE {}")


def test_a_member_of_api_cannot_change_anything(any_database: str, accounts: Callable[[str], LogIn]) -> None:
    """No row of any table is inserted, changed or deleted, no table emptied or made, also none of those to come."""
    with psycopg.connect(any_database, autocommit=True) as owner:
        owner.execute("CREATE TABLE later (a int)")
        owner.execute("INSERT INTO later VALUES (1)")
    with psycopg.connect(accounts(any_database)("IN ROLE footfall_api"), autocommit=True) as connection:
        assert connection.execute("SELECT a FROM later").fetchall() == [(1,)]
        found = tables(connection)
        assert len(found) > 20
        for table, column in found:
            names = sql.Identifier(table), sql.Identifier(column)
            for statement in (
                "INSERT INTO {} DEFAULT VALUES",
                "UPDATE {0} SET {1} = {1}",
                "DELETE FROM {}",
                "TRUNCATE {}",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(statement).format(*names))
        for statement in (
            "CREATE TABLE mine (a int)",
            "SELECT payload FROM quarantine",
            "SELECT content FROM quarantine",
            "SELECT * FROM quarantine",
            "SELECT remove_minutes('2000-01-01 00:00Z')",
            "SELECT nextval(pg_get_serial_sequence('sensor', 'key'))",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_api_answers_as_a_member_of_its_role(any_database: str, accounts: Callable[[str], LogIn]) -> None:
    """Stations, counts and whether it is ready: all that it reads it may read."""
    city = City(any_database)
    key = city.counter("markt")
    city.minutes(key, NOW.replace(hour=10), 60, {0: 2})
    city.receive(key)
    write_batch(city.connection, [Message("b", "markt-1", b"no report")], now=NOW)
    city.connection.close()
    dsn = accounts(any_database)("IN ROLE footfall_api")

    token = "the-operators-own-token"
    public = PublicSettings(local=True, operator_token=token)
    settings = ApiSettings(database=DatabaseSettings(dsn=dsn), public=public)
    with Api(settings) as api:
        assert api.get("/readyz").status_code == 200
        assert [f["id"] for f in api.get("/api/v1/stations").json()["features"]] == ["markt"]
        assert api.get("/").status_code == 200
        (value,) = api.counts("markt", from_="2026-06-10T10:00Z", to="2026-06-10T11:00Z", resolution="1h")
        assert value["count"] == 120
        told = api.get("/api/v1/operations", headers={"Authorization": f"Bearer {token}"}).json()
        assert told["quarantine"]["open"] == 1
        assert told["database"]["bytes"] > 0


def test_what_an_earlier_version_kept_from_the_api_is_granted_by_the_next_migration(
    any_database: str, accounts: Callable[[str], LogIn]
) -> None:
    """Until then the operator is told the rest, and that this is missing; the schema itself need not change for it."""
    token = "the-operators-own-token"
    dsn = accounts(any_database)("IN ROLE footfall_api")
    settings = ApiSettings(database=DatabaseSettings(dsn=dsn), public=PublicSettings(operator_token=token))
    with psycopg.connect(any_database, autocommit=True) as owner, Api(settings) as api:
        owner.execute("REVOKE ALL ON quarantine FROM footfall_api")

        def told() -> dict[str, Any]:
            response = api.get("/api/v1/operations", headers={"Authorization": f"Bearer {token}"})
            assert response.status_code == 200
            found: dict[str, Any] = response.json()
            return found

        assert told()["quarantine"] is None
        assert migrate(any_database) == []
        assert told()["quarantine"]["open"] == 0


def test_the_account_that_migrates_needs_no_more_than_the_schema(
    blank_database: str, accounts: Callable[[str], LogIn]
) -> None:
    """One that is no superuser and owns the database migrates, again too; its members' rights are all granted."""
    dsn = accounts(blank_database)()
    with psycopg.connect(blank_database, autocommit=True) as owner:
        make_roles(owner)
        owner.execute(f"ALTER DATABASE {urlsplit(dsn).path[1:]} OWNER TO {urlsplit(dsn).username}")

    assert migrate(dsn) == []
    assert migrate(dsn) == []
    with psycopg.connect(accounts(blank_database)("IN ROLE footfall_ingest"), autocommit=True) as connection:
        assert write_batch(connection, [message(report(start=OLD))], now=LATER).stored == 1


def test_an_account_that_does_not_own_the_database_is_told_what_the_owner_has_to_run(
    blank_timescale_database: str, accounts: Callable[[str], LogIn]
) -> None:
    """On TimescaleDB one setting is the database's; a member of footfall_admin with the schema does all the rest."""
    with psycopg.connect(blank_timescale_database, autocommit=True) as owner:
        make_roles(owner)
        owner.execute("GRANT CREATE ON SCHEMA public TO footfall_admin")
        dsn = accounts(blank_timescale_database)("IN ROLE footfall_admin")
        said = migrate(dsn)
        statement = said[-1].partition(": ")[2]
        assert statement.startswith("ALTER DATABASE")
        owner.execute(statement)

    assert migrate(dsn) == []
    with psycopg.connect(accounts(blank_timescale_database)("IN ROLE footfall_ingest"), autocommit=True) as connection:
        assert write_batch(connection, [message(report(start=OLD))], now=LATER).stored == 1


def test_a_schema_that_the_roles_cannot_enter_is_named(blank_database: str, accounts: Callable[[str], LogIn]) -> None:
    """Where its owner has shut it, and the account that migrates may not open it, the owner is told what to run."""
    dsn = accounts(blank_database)()
    with psycopg.connect(blank_database, autocommit=True) as owner:
        make_roles(owner)
        owner.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        owner.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {urlsplit(dsn).username}")
        (said,) = migrate(dsn)
        owner.execute(said.partition("run: ")[2])

    assert migrate(dsn) == []


def test_a_member_of_admin_may_write_and_read_everything(database: str, accounts: Callable[[str], LogIn]) -> None:
    """Every table, for what has to be put right by hand."""
    with psycopg.connect(accounts(database)("IN ROLE footfall_admin"), autocommit=True) as connection:
        for table, column in tables(connection):
            connection.execute(
                sql.SQL("UPDATE {0} SET {1} = {1}").format(sql.Identifier(table), sql.Identifier(column))
            )
            connection.execute(sql.SQL("DELETE FROM {} WHERE false").format(sql.Identifier(table)))
        connection.execute("CREATE TABLE note (a int)")


@pytest.fixture
def new_roles(postgres_server: Any, unique: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str, str]]:
    """Other names for the three, because those of the cluster are there already; they go at the end."""
    tail = secrets.token_hex(4)
    names = (f"test_admin_{tail}", f"test_ingest_{tail}", f"test_api_{tail}")
    admin, ingest, api = names
    monkeypatch.setattr(roles, "ROLES", dict(zip(names, roles.ROLES.values(), strict=True)))
    monkeypatch.setattr(roles, "_KEPT_FROM", {api: ("quarantine",), ingest: ("alembic_version",)})
    monkeypatch.setattr(roles, "ADMIN", admin)
    monkeypatch.setattr(roles, "INGEST", ingest)
    yield names
    with psycopg.connect(postgres_server.maintenance, autocommit=True) as connection:
        for (database,) in connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall():
            with psycopg.connect(postgres_server.dsn(database), autocommit=True) as inside:
                for name in names:
                    if inside.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                        inside.execute(f"DROP OWNED BY {name}")
        for name in names:
            connection.execute(f"DROP ROLE IF EXISTS {name}")


def existing(dsn: str, names: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Those of the roles that are there, and whether they may log in."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname = ANY(%s) ORDER BY rolname"
        return connection.execute(query, [list(names)]).fetchall()


def test_roles_that_may_not_be_made_are_named_with_their_statements(
    blank_database: str, accounts: Callable[[str], LogIn], new_roles: tuple[str, ...]
) -> None:
    """The schema is migrated all the same; once the administrator has run the statements, they are granted."""
    dsn = accounts(blank_database)()
    with psycopg.connect(blank_database, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {urlsplit(dsn).path[1:]} OWNER TO {urlsplit(dsn).username}")
        (said,) = migrate(dsn)
        schema.check(owner)
        assert existing(dsn, new_roles) == []
        assert said.startswith("this account may not create roles")
        owner.execute(said.partition("run: ")[2].removesuffix(" and migrate again"))

    assert migrate(dsn) == []
    assert existing(dsn, new_roles) == sorted((name, False) for name in new_roles)
    with psycopg.connect(dsn) as connection:
        query = "SELECT has_table_privilege(%s, 'count_minute', 'INSERT'), has_table_privilege(%s, 'store', 'UPDATE')"
        assert connection.execute(query, new_roles[1:]).fetchall() == [(True, False)]


def test_several_databases_of_a_cluster_are_migrated_at_once(postgres_server: Any, new_roles: tuple[str, ...]) -> None:
    """None fails because another makes the same roles at the same moment; each has granted them what they may."""
    databases = [f"footfall_{secrets.token_hex(6)}" for _ in range(2)]
    try:
        dsns = [postgres_server.create(name) for name in databases]
        with psycopg.connect(dsns[0]) as slow, ThreadPoolExecutor(1) as pool:
            # Made in one database and not committed: the other comes to the same roles and has to wait.
            slow.execute("SELECT 1")
            roles._create(slow, new_roles[0])
            running = pool.submit(migrate, dsns[1])
            with psycopg.connect(dsns[0], autocommit=True) as watcher:
                waits = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
                wait_until(
                    lambda: watcher.execute(waits, [databases[1]]).fetchone() or running.done(), what="the other"
                )
            slow.commit()
            assert running.result(60) == []
        assert migrate(dsns[0]) == []
        assert len(existing(dsns[0], new_roles)) == 3
        for dsn in dsns:
            with psycopg.connect(dsn) as connection:
                query = "SELECT has_table_privilege(%s, 'count_hour', 'SELECT')"
                assert connection.execute(query, [new_roles[2]]).fetchall() == [(True,)]
    finally:
        for name in databases:
            postgres_server.drop(name)
