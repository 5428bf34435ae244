"""A backup comes back: into a database of its own, and only when that one is whole and right does it take the name.

The order in which it is done::

    checksum ──▶ is everything here that it needs? ──▶ a new database beside the one of that name
      ──▶ pg_restore ──▶ the same rows and sums as in the manifest? ──▶ migrate ──▶ new epoch ──▶ faults?
      ──▶ the names are exchanged, in one transaction

So whatever dies, the name leads to the database that was there before or to the whole new one. What was cut short is a
database with a name and a mark of its own, in which nobody looks; the next restore drops it. The database that was
there stays, under another name, until a person drops it.

Roles belong to the server and are in no dump. Those that own something in the backup, or were granted something, are
made where they are missing, such that nobody can log in as them; accounts and passwords are for the administrator.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from footfall_ingest import backup, backup_programs, epochs, invariants, schema, upgrade
from footfall_ingest.backup_manifest import Backup, Manifest, Privilege, Progress, Properties
from footfall_ingest.backup_programs import Program
from footfall_ingest.backup_truth import different, truth
from footfall_ingest.commands import RefusedError
from footfall_ingest.moments import utc
from footfall_ingest.settings import IngestSettings

Connection = psycopg.Connection[Any]

Say = Callable[[str], None]
"""Told what was done, a sentence at a time."""

_MARK: Final = "footfall-ingest restore: not whole, may be dropped"
_LOCK: Final = 730_608_517
"""First number of the advisory lock of who restores, in the database that belongs to nobody; the second is the name's.
Any number, as long as nobody else takes it."""

_READERS: Final = "footfall-api"
"""Name of the application whose connections are ended when names are exchanged: it only reads, and comes back."""

_US: Final = "footfall-ingest restore"
"""Name of our own connections; a server takes its time to forget one that was closed."""
_PATIENCE_S: Final = 3.0
"""So long may somebody who is about to leave take for it."""
_LOOK_S: Final = 0.1

_NAME: Final = 63
"""Bytes of the longest name of a database."""
_TRIES: Final = 5

_SESSIONS: Final = """
    SELECT pid, coalesce(application_name, ''), usename, coalesce(client_addr::text, 'this machine')
    FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid() AND usename IS NOT NULL
      AND coalesce(backend_type, 'client backend') = 'client backend' AND coalesce(application_name, '') <> %s
    ORDER BY 2, 1
"""
_MINE: Final = "SELECT rolsuper, rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
_MARKED: Final = """
    SELECT shobj_description(oid, 'pg_database') IS NOT DISTINCT FROM %s FROM pg_database WHERE datname = %s
"""
_MISSING_ROLES: Final = """
    SELECT wanted FROM unnest(%s::text[]) AS wanted WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted)
    ORDER BY 1
"""
_VERSIONS: Final = "SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb' ORDER BY 1"
_PRIVILEGES: Final[Mapping[Privilege, sql.SQL]] = {
    "CONNECT": sql.SQL("CONNECT"),
    "CREATE": sql.SQL("CREATE"),
    "TEMPORARY": sql.SQL("TEMPORARY"),
}
_KEPT_BY_MIGRATE: Final = ("alembic_version", "store", "epoch")
"""Tables that have rows in a database in which nothing was ever counted or entered."""
_TABLES: Final = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace AS home ON home.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|_?timescaledb)' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it."""

    database: str
    aside: str | None
    """The name under which what was there before is kept; None: there was nothing."""
    faults: tuple[str, ...]
    """What is wrong in the database, as it was in the one that was backed up; it is restored all the same."""


def restore(
    settings: IngestSettings, found: Backup, dsn: str, progress: Progress, say: Say, *, replace: bool
) -> Restored:
    """Make the database that `dsn` names the one of the backup `found`; `say` is told what was done.

    Raises:
        RefusedError: it cannot be done; the database is what it was before.
        psycopg.Error: the same.
        footfall_ingest.schema.MigrationError: the same.
        OSError: the same.
    """
    manifest = found.manifest
    if manifest.schema_version > schema.NEWEST:
        raise RefusedError(
            f"the backup was made by footfall {manifest.footfall}, its schema is {manifest.schema_version}; this "
            f"version knows them up to {schema.NEWEST}: restore it with that version or a newer one"
        )
    name = conninfo_to_dict(dsn).get("dbname")
    if not name:
        raise RefusedError("the connection names no database: say into which one, as in --into dbname=footfall")
    with _server(dsn) as server:
        target = _Target(server, dsn, str(name))
        program = _checked(target, manifest, settings, replace=replace)
        found.check(progress)
        say(
            f"{found.archive} is what it was: the database {manifest.database.name} as of {utc(manifest.taken)}, "
            f"footfall {manifest.footfall}, PostgreSQL {manifest.postgresql}"
        )
        _make_roles(server, manifest, say)
        with target.incoming(manifest) as incoming:
            faults = _filled(settings, found, program, incoming, progress=progress, say=say)
            aside = target.exchange(say)
    return Restored(target.name, aside, tuple(faults))


@contextmanager
def _server(dsn: str) -> Iterator[Connection]:
    """A connection to the server of `dsn`, but to a database that is none of ours."""
    try:
        connection = _connect(make_conninfo(dsn, dbname="postgres"))
    except psycopg.OperationalError:
        connection = _connect(make_conninfo(dsn, dbname="template1"))
    with connection:
        yield connection


def _connect(dsn: str) -> Connection:
    return psycopg.connect(dsn, autocommit=True, application_name=_US)


def _derived(name: str, end: str) -> str:
    """`name`, as much as may be of it, and `end`."""
    kept = name.encode()[: _NAME - len(end)]
    return kept.decode(errors="ignore") + end


class _Target:
    """The database of a name, and the one that is to take its place."""

    def __init__(self, server: Connection, dsn: str, name: str) -> None:
        self.server = server
        self.dsn = dsn
        self.name = name
        self._incoming = _derived(name, "_incoming")
        self.superuser, self.may_create = server.execute(_MINE).fetchall()[0]
        rows = server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall()
        self.exists = bool(rows)
        self.empty = not self.exists or self._is_empty()

    def _is_empty(self) -> bool:
        """Whether nothing was ever counted or entered there."""
        with _connect(self.dsn) as connection:
            for table in connection.execute(_TABLES).fetchall():
                statement = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(*table))
                if table[1] not in _KEPT_BY_MIGRATE and connection.execute(statement).fetchall()[0][0]:
                    return False
        return True

    def others(self) -> list[tuple[int, str, str, str]]:
        """Who is connected to it: process, application, account, from where."""
        return self.server.execute(_SESSIONS, [self.name, _US]).fetchall()

    def check_alone(self) -> None:
        """Make sure that nobody works in it, except those who only read.

        Raises:
            RefusedError: somebody does; a line for each.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while writers := [other for other in self.others() if other[1] != _READERS]:
            if time.monotonic() < deadline:
                time.sleep(_LOOK_S)
                continue
            raise RefusedError(
                "\n".join(
                    f"{application or 'a program without a name'} (process {pid}, account {account}, from {address}) "
                    f"is connected to {self.name}: stop it first"
                    for pid, application, account, address in writers
                )
            )

    @contextmanager
    def incoming(self, manifest: Manifest) -> Iterator["_Incoming"]:
        """A new database, which is dropped at the end unless it has taken the name by then."""
        server, database = self.server, sql.Identifier(self._incoming)
        ((mine,),) = server.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, self.name]).fetchall()
        if not mine:
            raise RefusedError(f"{self.name} is being restored already")
        for (marked,) in server.execute(_MARKED, [_MARK, self._incoming]).fetchall():
            if not marked:
                raise RefusedError(f"there is a database {self._incoming}, which is none of ours: rename it first")
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
        about = backup.properties(server, self.name) if self.exists else manifest.database
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}")
        server.execute(statement.format(database, sql.Literal(manifest.database.encoding)))
        server.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(_MARK)))
        try:
            yield _Incoming(self, make_conninfo(self.dsn, dbname=self._incoming), self._incoming, about)
        finally:
            for (marked,) in server.execute(_MARKED, [_MARK, self._incoming]).fetchall():
                if marked:
                    server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
            # Said, because a server notices a little late that a connection was closed, and the next may be quicker.
            server.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK, self.name])

    def exchange(self, say: Say) -> str | None:
        """Give the new database the name, and the old one another; the name of the old one, None if there is none."""
        aside = self._free_name(f"_before_{datetime.now(UTC):%Y%m%dT%H%M%S}")
        for left in reversed(range(_TRIES)):
            self.check_alone()
            try:
                for pid, *_ in self.others():
                    self.server.execute("SELECT pg_terminate_backend(%s)", [pid])
                with self.server.transaction():
                    self._rename(aside)
                break
            except psycopg.errors.InsufficientPrivilege as error:
                raise RefusedError(
                    f"the names could not be exchanged: {error.diag.message_primary}; stop footfall-api and do it as "
                    "the database's owner or as a superuser"
                ) from error
            except psycopg.errors.ObjectInUse:  # somebody came back in that moment
                if not left:
                    raise
        if not self.exists:
            return None
        if self.empty:
            self.server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(aside)))
            return None
        say(
            f'what was there is kept as the database {aside}; when nobody needs it any longer: DROP DATABASE "{aside}";'
        )
        return aside

    def _free_name(self, end: str) -> str:
        """A name after `end` that no database has; two restores may end in one second."""
        taken = {name for (name,) in self.server.execute("SELECT datname FROM pg_database").fetchall()}
        ends = itertools.chain([end], (f"{end}_{number}" for number in itertools.count(2)))
        return next(name for name in (_derived(self.name, each) for each in ends) if name not in taken)

    def _rename(self, aside: str) -> None:
        """In a transaction, so that the name is never without a database."""
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        name, incoming = sql.Identifier(self.name), sql.Identifier(self._incoming)
        if self.exists:
            self.server.execute(rename.format(name, sql.Identifier(aside)))
        self.server.execute(rename.format(incoming, name))
        self.server.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(name))


@dataclass(frozen=True, slots=True)
class _Incoming:
    """The new database while it is filled."""

    target: _Target
    dsn: str
    name: str
    about: Properties
    """What it is to be like: as the one in whose place it comes, or else the one that was backed up."""


def _checked(target: _Target, manifest: Manifest, settings: IngestSettings, *, replace: bool) -> Program:
    """The ``pg_restore`` to use.

    Raises:
        RefusedError: the server, the account or the database will not do.
    """
    server = target.server
    version = server.info.server_version // 10_000
    if version < manifest.server_version // 10_000:
        raise RefusedError(
            f"the backup is of PostgreSQL {manifest.postgresql}, this server is {version}: a server of version "
            f"{manifest.server_version // 10_000} or newer is needed"
        )
    if not target.may_create:
        raise RefusedError(
            f"the account {server.info.user} may not create databases: restore as a superuser (sudo -u postgres …, "
            f"--into dbname={target.name}), or let one run: ALTER ROLE {server.info.user} CREATEDB;"
        )
    if manifest.timescaledb:
        _check_timescaledb(target, manifest.timescaledb)
    if not target.empty and not replace:
        raise RefusedError(
            f"the database {target.name} is not empty. With --replace the backup of {utc(manifest.taken)} takes its "
            "place, and it is kept under another name. Or restore into another database with --into"
        )
    target.check_alone()
    made_with = int(manifest.pg_dump.split(".")[0])
    why = f"the server is {version} and the backup was made by pg_dump {manifest.pg_dump}"
    return backup_programs.find("pg_restore", max(version, made_with), settings.backup.programs, why)


def _check_timescaledb(target: _Target, wanted: str) -> None:
    available = [found for (found,) in target.server.execute(_VERSIONS)]
    if wanted not in available:
        here = f"here is {', '.join(available)}" if available else "here is none"
        raise RefusedError(
            f"the backup needs TimescaleDB {wanted}, the very same version, and {here}: install it beside; after the "
            "restore ALTER EXTENSION timescaledb UPDATE brings the database to a newer one"
        )
    if not target.superuser:
        raise RefusedError(
            f"a database with TimescaleDB is restored by a superuser, which {target.server.info.user} is not: "
            f"sudo -u postgres …, --into dbname={target.name}"
        )


def _make_roles(server: Connection, manifest: Manifest, say: Say) -> None:
    missing = [name for (name,) in server.execute(_MISSING_ROLES, [list(manifest.roles)]).fetchall()]
    if not missing:
        return
    statements = " ".join(f'CREATE ROLE "{name}" NOLOGIN;' for name in missing)
    try:
        for name in missing:
            server.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(
            f"the backup has rights of roles that this server does not have: let an administrator run: {statements}"
        ) from error
    say(f"roles that the server did not have were made, nobody can log in as they are: {', '.join(missing)}")


def _filled(
    settings: IngestSettings, found: Backup, program: Program, incoming: _Incoming, *, progress: Progress, say: Say
) -> list[str]:
    """Bring the backup into the new database, and today's footfall to it; what is wrong with it then.

    Raises:
        RefusedError: it did not become what was backed up.
    """
    manifest = found.manifest
    began = time.monotonic()
    with _connect(incoming.dsn) as connection:
        if manifest.timescaledb:
            version = sql.Literal(manifest.timescaledb)
            connection.execute(sql.SQL("CREATE EXTENSION timescaledb VERSION {}").format(version))
            connection.execute("SELECT timescaledb_pre_restore()")
    with _connect(incoming.dsn) as connection:
        _pg_restore(found.archive, program, incoming, connection, progress)
        if manifest.timescaledb:
            connection.execute("SELECT timescaledb_post_restore()")
        connection.execute("ANALYZE")
        owner = _owned(incoming, connection)
        _same_rows(manifest, backup.table_rows(connection, progress))
    say(f"restored in {time.monotonic() - began:.0f} s")

    from footfall_ingest.migrate import migrate  # noqa: PLC0415  # half of the start-up time, and only needed here

    for line in migrate(_as_owner(incoming.dsn, owner), settings.store):
        say(line)
    with _connect(incoming.dsn) as connection:
        if manifest.truth is not None:
            sums = truth(connection, progress)
            _refuse(different(manifest.truth, sums))
            say(f"it has the {sums.total:,} passages of {sums.sensors} sensors that the backup had, month by month")
        _new_epoch(connection, settings, manifest, incoming, say)
        faults = invariants.faults(connection, progress)
    _like(incoming, say)
    return faults


def _pg_restore(
    archive: Path, program: Program, incoming: _Incoming, connection: Connection, progress: Progress
) -> None:
    entries = backup_programs.contents(program, archive)
    words = ["--exit-on-error", f"--dbname={incoming.name}"]
    if not incoming.target.superuser:
        # Who is none can give nothing to others: all is the account's own. Default rights are granted by `migrate`.
        words.append("--no-owner")
        entries = [entry for entry in entries if " DEFAULT ACL " not in entry]
    size = "SELECT pg_database_size(current_database()) >> 20"
    with tempfile.NamedTemporaryFile("w", suffix=".list", encoding="utf-8") as wanted:
        wanted.write("\n".join(entries) + "\n")
        wanted.flush()
        words += [f"--use-list={wanted.name}", str(archive)]
        with backup_programs.running(program, words, backup_programs.environment(connection)) as at_work:
            for _ in at_work.wait():
                progress("pg_restore, MB in the database", connection.execute(size).fetchall()[0][0], 0)


def _owned(incoming: _Incoming, connection: Connection) -> str:
    """The owner of the tables; the new database is given to whom it is to belong."""
    query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'store'::regclass"
    ((owner,),) = connection.execute(query).fetchall()
    if incoming.target.superuser:
        statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
        connection.execute(statement.format(sql.Identifier(incoming.name), sql.Identifier(incoming.about.owner)))
    return str(owner)


def _as_owner(dsn: str, owner: str) -> str:
    """The same connection with the rights of the tables' owner, so that what `migrate` makes is the owner's too."""
    quoted = owner.replace("\\", "\\\\").replace(" ", "\\ ")
    options = conninfo_to_dict(dsn).get("options") or os.environ.get("PGOPTIONS", "")
    return make_conninfo(dsn, options=f"{options} -c role={quoted}".strip())


def _same_rows(manifest: Manifest, here: dict[str, int]) -> None:
    _refuse(
        [
            f"the table {table} has {here.get(table, 0)} rows, in the backup it has {number}"
            for table, number in manifest.rows.items()
            if here.get(table, 0) != number
        ]
    )


def _refuse(differences: list[str]) -> None:
    if differences:
        raise RefusedError(
            "\n".join([*differences, "what was restored is not what was backed up; nothing took its place"])
        )


def _new_epoch(
    connection: Connection, settings: IngestSettings, manifest: Manifest, incoming: _Incoming, say: Say
) -> None:
    """Begin a new life of the database, unless it was seen by itself, and do what every `migrate` ends with."""
    database = settings.database.model_copy(update={"dsn": incoming.dsn})
    for line in upgrade.finish(settings.model_copy(update={"database": database})):
        say(line)
    ((epoch,),) = connection.execute("SELECT epoch FROM store").fetchall()
    if epoch == manifest.epoch:
        epochs.begin(connection, f"restored from {manifest.file}")
        say("a new epoch begins, the nodes will send again what is missing")


def _like(incoming: _Incoming, say: Say) -> None:
    """Give the new database what a dump does not have: who may connect, and its settings."""
    server, database, about = incoming.target.server, sql.Identifier(incoming.name), incoming.about
    if about.grants is not None:
        server.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        for role, privilege, grantable in about.grants:
            statement = sql.SQL("GRANT {} ON DATABASE {} TO {}{}")
            whom = sql.Identifier(role) if role else sql.SQL("PUBLIC")
            option = sql.SQL(" WITH GRANT OPTION" if grantable else "")
            server.execute(statement.format(_PRIVILEGES[privilege], database, whom, option))
    for role, name, value in about.settings:
        if name == "timescaledb.restoring":
            continue
        of = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database) if role else None
        whose = of or sql.SQL("DATABASE {}").format(database)
        parts = sql.SQL(".").join(map(sql.Identifier, name.split(".")))
        try:
            with server.transaction():
                # By way of the session, which understands lists and quotes as they were stored.
                server.execute("SELECT set_config(%s, %s, true)", [name, value])
                server.execute(sql.SQL("ALTER {} SET {} FROM CURRENT").format(whose, parts))
        except psycopg.Error as error:
            say(f"the database's setting {name} = {value} is left out: {str(error).strip()}")
