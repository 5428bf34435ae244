"""``pg_dump`` of the whole database, and what must be in it, read in the same snapshot; then the old backups go.

The order in which a backup is made::

    lock the folder ──▶ lock the tables against being emptied ──▶ snapshot ──▶ pg_dump of it
                                                                     └──▶ sums of it, meanwhile
    archive and manifest to the disk ──▶ manifest named ──▶ archive named ──▶ old ones removed

The tables are locked before the snapshot is taken (only against what empties or drops them; everybody reads and writes
on). pg_dump by itself takes its snapshot first: what empties a table between the two, as TimescaleDB does with a chunk
when it compresses it, is then in neither.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from footfall_contract import __version__
from footfall_ingest import backup_manifest, backup_programs, schema
from footfall_ingest.backup_keep import Keep, kept
from footfall_ingest.backup_manifest import ARCHIVE, MANIFEST, PART, Backup, Manifest, Progress, Properties
from footfall_ingest.backup_programs import Program
from footfall_ingest.backup_truth import truth
from footfall_ingest.commands import RefusedError
from footfall_ingest.settings import BackupSettings

Connection = psycopg.Connection[Any]

_PATIENT: Final = """
    SELECT set_config(name, '0', false) FROM pg_settings
    WHERE name IN ('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout')
"""
_KEPT_ALIVE_S: Final = 60
"""While pg_dump works nothing is said on the connection that holds the snapshot; a firewall would forget it."""

# TimescaleDB's own and those of chunks are locked too. A table that inherits is locked with its parent.
_TABLES: Final = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace AS home ON home.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = pg_class.oid)
    ORDER BY 1, 2
"""
_COUNTED: Final = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace AS home ON home.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND relpersistence <> 't' AND NOT relispartition
      AND nspname !~ '^(pg_|_?timescaledb)' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    ORDER BY 1, 2
"""
_FACTS: Final = """
    SELECT now(), (SELECT version_num FROM alembic_version), (SELECT epoch FROM store),
        current_setting('server_version'), current_setting('server_version_num')::int,
        (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')
"""
_PROPERTIES: Final = """
    SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding),
        (SELECT array_agg(ARRAY[CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END, privilege_type,
            is_grantable::text] ORDER BY 1) FROM aclexplode(datacl)),
        datacl IS NULL,
        ARRAY(
            SELECT ARRAY[CASE setrole WHEN 0 THEN '' ELSE pg_get_userbyid(setrole) END, setting]
            FROM pg_db_role_setting, unnest(setconfig) AS setting WHERE setdatabase = pg_database.oid ORDER BY 1
        )
    FROM pg_database WHERE datname = %s
"""
_ROLES: Final = """
    SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND oid IN (
        SELECT refobjid FROM pg_shdepend, pg_database
        WHERE datname = current_database() AND refclassid = 'pg_authid'::regclass AND (
            dbid = pg_database.oid
            OR dbid = 0 AND classid = 'pg_database'::regclass AND objid = pg_database.oid
        )
        -- The first superuser's are not among these.
        UNION SELECT datdba FROM pg_database WHERE datname = current_database()
        UNION SELECT relowner FROM pg_class WHERE relkind IN ('r', 'p') AND oid = 'store'::regclass
    ) ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run did."""

    backup: Backup
    kept: int
    """Good backups that are there now, this one included."""
    removed: tuple[Path, ...]
    remarks: tuple[str, ...]
    """On files that look like a backup and are none that may be relied on; they are left alone."""


def take(dsn: str, folder: Path, settings: BackupSettings, progress: Progress) -> Taken:
    """Back the database up into `folder`, and remove the backups of it that need not be kept any longer.

    Raises:
        RefusedError: it cannot be done; what is in the folder is what was there before.
        psycopg.Error: the same.
        OSError: the same.
    """
    connection: Connection
    with psycopg.connect(dsn, autocommit=True, keepalives_idle=_KEPT_ALIVE_S) as connection:
        version = connection.info.server_version
        program = backup_programs.find(
            "pg_dump", version // 10_000, settings.programs, f"the server is {_written(version)}"
        )
        with backup_manifest.held(folder, connection.info.dbname):
            backup = _made(connection, program, folder, progress)
            return _thinned(folder, backup, Keep(settings.keep_days, settings.keep_weeks, settings.keep_months))


def _written(server_version: int) -> str:
    """As people write a server's version: 18.6 for 180006."""
    return f"{server_version // 10_000}.{server_version % 10_000}"


def _made(connection: Connection, program: Program, folder: Path, progress: Progress) -> Backup:
    database = connection.info.dbname
    variables = backup_programs.environment(connection)
    with ExitStack() as until_named:
        with _snapshot(connection) as snapshot:
            facts = _facts(connection)
            archive = _free(folder, database, facts.taken)
            part = until_named.enter_context(_part(archive))
            words = ["--format=custom", f"--snapshot={snapshot}", f"--file={part}"]
            with backup_programs.running(program, words, variables) as dump:

                def adding(what: str, done: int, of: int) -> None:
                    dump.check()  # if it has failed there is no reason to go on
                    progress(what, done, of)

                rows = table_rows(connection, adding)
                sums = truth(connection, adding) if facts.schema_version == schema.NEWEST else None
                for _ in dump.wait():
                    progress("pg_dump, MB written", part.stat().st_size >> 20, 0)
            about = properties(connection, database)
            roles = _roles(connection)
        # Nothing is locked any longer.
        backup_manifest.synced(part)
        manifest = Manifest(
            footfall=__version__,
            schema_version=facts.schema_version,
            epoch=facts.epoch,
            taken=facts.taken,
            file=archive.name,
            size=part.stat().st_size,
            sha256=backup_manifest.sha256(part, progress),
            postgresql=facts.postgresql,
            server_version=facts.server_version,
            timescaledb=facts.timescaledb,
            pg_dump=program.version,
            database=about,
            roles=roles,
            rows=rows,
            truth=sums,
        )
        _name(part, archive, manifest)
    return Backup(archive, manifest)


@contextmanager
def _snapshot(connection: Connection) -> Iterator[str]:
    """A transaction that sees one moment, and the name by which pg_dump sees the same."""
    connection.execute(_PATIENT)
    try:
        tables = connection.execute(_TABLES).fetchall()
        if not connection.execute("SELECT to_regclass('store')").fetchall()[0][0]:
            raise RefusedError(f"the database {connection.info.dbname} is none of footfall's")
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            names = sql.SQL(", ").join(sql.Identifier(*table) for table in tables)
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
            ((name,),) = connection.execute("SELECT pg_export_snapshot()").fetchall()
            yield name
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(
            f"the account {connection.info.user} may not read all that is to be backed up "
            f"({error.diag.message_primary}): let the database's administrator run: "
            f"GRANT pg_read_all_data TO {connection.info.user};"
        ) from error


@dataclass(frozen=True, slots=True)
class _Facts:
    taken: datetime
    schema_version: str
    epoch: Any
    postgresql: str
    server_version: int
    timescaledb: str | None


def _facts(connection: Connection) -> _Facts:
    taken, version, epoch, postgresql, number, timescaledb = connection.execute(_FACTS).fetchall()[0]
    whole = taken.astimezone(UTC).replace(microsecond=0)
    return _Facts(whole, version, epoch, postgresql.split()[0], number, timescaledb)


def _free(folder: Path, database: str, taken: datetime) -> Path:
    """The archive's path, which is not there yet: the clock may have been set back to the very second of another."""
    path = folder / (backup_manifest.stem(database, taken) + ARCHIVE)
    if path.exists() or path.with_suffix(MANIFEST).exists():
        raise RefusedError(
            f"there is a backup of {taken:%Y-%m-%d %H:%M:%S} UTC already ({path}): the clock was set back, or the last "
            "one was made in this second; try again"
        )
    return path


@contextmanager
def _part(archive: Path) -> Iterator[Path]:
    """The file that becomes `archive`, for its owner's eyes only, for it has everything.

    At the end it and the draft of its manifest are gone, unless they have their names by then.
    """
    part = archive.with_name(archive.name + PART)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)
        archive.with_suffix(MANIFEST + PART).unlink(missing_ok=True)


def _name(part: Path, archive: Path, manifest: Manifest) -> None:
    """Give both files their names, the archive last: it is there only when all is."""
    draft = archive.with_suffix(MANIFEST + PART)
    with draft.open("x", encoding="utf-8") as file:
        file.write(manifest.model_dump_json(indent=1) + "\n")
    backup_manifest.synced(draft)
    draft.rename(archive.with_suffix(MANIFEST))
    part.rename(archive)
    backup_manifest.synced(archive.parent)


def _thinned(folder: Path, made: Backup, keep: Keep) -> Taken:
    """Remove what is not to be kept; only what is whole takes a place, and only what is ours goes."""
    good, remarks = backup_manifest.found(folder, made.manifest.database.name)
    stay = kept([backup.manifest.taken for backup in good], made.manifest.taken, keep)
    removed = [backup for backup in good if backup.manifest.taken not in stay]
    for backup in removed:
        backup.archive.unlink()  # first: an archive has a manifest, or is not ours
        backup.manifest_path.unlink()
    later = [backup for backup in good if backup.manifest.taken > made.manifest.taken]
    remarks += [
        f"{backup.archive} says that it is of a later time than this one: a clock was wrong; it is never removed"
        for backup in later
    ]
    return Taken(made, len(good) - len(removed), tuple(backup.archive for backup in removed), tuple(remarks))


def table_rows(connection: Connection, progress: Progress) -> dict[str, int]:
    """Rows of each table, footfall's and those that others have put beside them, by ``schema.table``."""
    tables = connection.execute(_COUNTED).fetchall()
    found = {}
    for number, table in enumerate(tables):
        progress("counting rows, tables", number, len(tables))
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table))
        found[".".join(table)] = int(connection.execute(statement).fetchall()[0][0])
    return found


def properties(connection: Connection, database: str) -> Properties:
    """What the server knows of `database` that no dump of it has.

    Raises:
        RefusedError: there is no such database.
    """
    rows = connection.execute(_PROPERTIES, [database]).fetchall()
    if not rows:
        raise RefusedError(f"there is no database {database}")
    name, owner, encoding, grants, by_default, settings = rows[0]
    return Properties(
        name=name,
        owner=owner,
        encoding=encoding,
        grants=None
        if by_default
        else tuple((role, privilege, grantable == "true") for role, privilege, grantable in grants or ()),
        settings=tuple((role, *setting.split("=", 1)) for role, setting in settings),
    )


def _roles(connection: Connection) -> tuple[str, ...]:
    return tuple(name for (name,) in connection.execute(_ROLES).fetchall())
