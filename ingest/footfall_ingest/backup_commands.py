"""``footfall-ingest backup``, ``restore`` and ``verify``: the command line."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import psycopg

from footfall_ingest import backup, backup_manifest, backup_programs, backup_textfile, invariants, schema
from footfall_ingest.backup_manifest import Backup, Progress
from footfall_ingest.backup_restore import restore
from footfall_ingest.backup_textfile import Run
from footfall_ingest.backup_truth import missing, truth
from footfall_ingest.commands import RefusedError
from footfall_ingest.moments import utc
from footfall_ingest.progress import Bar
from footfall_ingest.settings import IngestSettings

CANCELLED: Final = 130


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the three to the parser's `commands`."""
    help_text = "back the database up into a folder, with what is needed to check it, and remove old backups"
    parser = commands.add_parser("backup", parents=[config], help=help_text, description=help_text)
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="where to (default: [backup] folder of the settings)"
    )
    parser.set_defaults(run=_cancellable(_backup))

    help_text = "make a database of a backup, and let it take the place of the one that is there"
    parser = commands.add_parser(
        "restore",
        parents=[config],
        help=help_text,
        description="Restore a backup into a new database, check it, and only then let it take its name. What was "
        "there is kept under another name. footfall-ingest must not be running.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup, NAME.dump")
    parser.add_argument(
        "--into",
        metavar="DSN",
        help="into this database, as this account, like dbname=footfall host=/run/postgresql (default: [database] dsn)",
    )
    parser.add_argument("--replace", action="store_true", help="also in the place of a database that has something")
    parser.set_defaults(run=_cancellable(_restore))

    help_text = "check a backup, or the database: that it is sound, and that it has all that a backup has"
    parser = commands.add_parser("verify", parents=[config], help=help_text, description=help_text)
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="a backup, NAME.dump; without: the database itself"
    )
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="a backup or its manifest: look for what the database lacks of it"
    )
    parser.set_defaults(run=_cancellable(_verify))


def _cancellable(act: Any) -> Any:
    """Make a command of `act` that cleans up when it is asked to end, as by Ctrl-C so by systemd."""

    def asked(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def run(settings: IngestSettings, options: argparse.Namespace) -> int:
        before = signal.signal(signal.SIGTERM, asked)
        try:
            return int(act(settings, options))
        except KeyboardInterrupt:
            sys.stderr.write("footfall-ingest: cancelled; nothing half is left\n")
            return CANCELLED
        finally:
            signal.signal(signal.SIGTERM, before)

    return run


@contextmanager
def _bar() -> Iterator[Bar]:
    bar = Bar(logs=True)
    try:
        yield bar
    finally:
        bar.end()


def _backup(settings: IngestSettings, options: argparse.Namespace) -> int:
    folder: Path | None = options.folder or settings.backup.folder
    if folder is None:
        raise RefusedError("no folder is named: footfall-ingest backup FOLDER, or folder in [backup] of the settings")
    began = time.monotonic()
    success = False
    try:
        with _bar() as bar:
            taken = backup.take(settings.database.dsn, folder, settings.backup, bar)
        success = True
    finally:
        if settings.backup.textfile:
            run = Run(time.time(), time.monotonic() - began, success)
            backup_textfile.write(settings.backup.textfile, backup_textfile.text(run, _there(settings, folder)))
    manifest = taken.backup.manifest
    sys.stdout.write(f"{taken.backup.archive}\n")
    sys.stdout.write(
        f"{manifest.size:,} bytes, {_counted(manifest)}, as of {utc(manifest.taken)}, "
        f"in {time.monotonic() - began:.0f} s\n"
    )
    sys.stdout.writelines(f"removed {path}\n" for path in taken.removed)
    sys.stdout.write(f"{taken.kept} backups are in {folder}\n")
    sys.stdout.writelines(f"left alone: {remark}\n" for remark in taken.remarks)
    return 0


def _there(settings: IngestSettings, folder: Path) -> list[Backup] | None:
    """The good backups in `folder`; None if it cannot be read."""
    database = psycopg.conninfo.conninfo_to_dict(settings.database.dsn).get("dbname")
    if not folder.is_dir() or not database:
        return None
    try:
        return backup_manifest.found(folder, str(database))[0]
    except OSError:
        return None


def _counted(manifest: backup_manifest.Manifest) -> str:
    if manifest.truth is None:
        return f"schema {manifest.schema_version}, whose counts this version does not know how to add up"
    return f"{manifest.truth.total:,} passages of {manifest.truth.sensors} sensors"


def _restore(settings: IngestSettings, options: argparse.Namespace) -> int:
    found = backup_manifest.opened(options.file)
    with _bar() as bar:

        def say(sentence: str) -> None:
            bar.end()
            sys.stdout.write(f"{sentence}\n")
            sys.stdout.flush()

        done = restore(settings, found, options.into or settings.database.dsn, bar, say, replace=options.replace)
    if done.faults:
        sys.stdout.write(f"{done.database} is what was backed up, and that has faults:\n")
        return _faulty(list(done.faults))
    sys.stdout.write(f"{done.database} is restored and sound; start footfall-ingest\n")
    return 0


def _verify(settings: IngestSettings, options: argparse.Namespace) -> int:
    if options.file and options.against:
        raise RefusedError("--against compares the database with a backup; to check the backup itself name it alone")
    if options.file:
        with _bar() as bar:
            return _verify_file(settings, backup_manifest.opened(options.file), bar)
    wanted = _against(options.against) if options.against else None
    connection: psycopg.Connection[Any]
    with psycopg.connect(settings.database.dsn, autocommit=True) as connection, _bar() as bar:
        schema.check(connection)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            said = invariants.faults(connection, bar)
            remarks = invariants.remarks(connection)
            if wanted and wanted.truth:
                said += missing(wanted.truth, truth(connection, bar))
    sys.stdout.writelines(f"{remark}\n" for remark in remarks)
    if said:
        return _faulty(said)
    sys.stdout.write(f"the database is sound: each of {invariants.RULES} rules holds\n")
    if wanted and wanted.truth:
        sys.stdout.write(f"and it has all {wanted.truth.total:,} passages that {wanted.file} has\n")
    return 0


def _against(path: Path) -> backup_manifest.Manifest:
    """The manifest of a backup, of which the archive may be elsewhere."""
    manifest = backup_manifest.read(path.with_suffix(backup_manifest.MANIFEST))
    if manifest.truth is None:
        raise RefusedError(f"{path} was made by a version that did not know how to add up its counts")
    return manifest


def _verify_file(settings: IngestSettings, found: Backup, progress: Progress) -> int:
    manifest = found.manifest
    found.check(progress)
    least = int(manifest.pg_dump.split(".")[0])
    why = f"the backup was made by pg_dump {manifest.pg_dump}"
    program = backup_programs.find("pg_restore", least, settings.backup.programs, why)
    lacking = backup_programs.without_data(backup_programs.contents(program, found.archive), manifest.rows)
    if lacking:
        return _faulty(
            [f"{found.archive} has no rows of the table {table}, of which there were some" for table in lacking]
        )
    sys.stdout.write(
        f"{found.archive} is whole: {manifest.size:,} bytes, {_counted(manifest)}, as of {utc(manifest.taken)}\n"
    )
    return 0


def _faulty(said: list[str]) -> int:
    sys.stderr.writelines(f"footfall-ingest: {line}\n" for line in said)
    return 1
