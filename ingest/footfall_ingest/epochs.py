"""The life of the database: when it turns out to be a copy of what it was, a new epoch begins.

A node forgets a report when a commit notice covers it, and within an epoch it believes the highest notice. So when a
database comes back from a backup, what was stored after the backup would be missing for ever, unless the nodes are told
that this is another life: in a new epoch they send again what the notices do not cover.

A database cannot know that it was restored, but it can write down where it lives (`Place`): which cluster, which
database in it, which table, on which timeline. A backup brings the note along to a place where it is wrong. What
cannot be seen in this way is a copy of the whole machine or volume; for that there is ``footfall-ingest epoch new``.
"""

import argparse
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from footfall_ingest import schema, store
from footfall_ingest.commands import Connection, RefusedError, connected
from footfall_ingest.moments import utc
from footfall_ingest.settings import IngestSettings
from footfall_role.logs import facts

log = logging.getLogger(__name__)

Place = Mapping[str, int]
"""Where a database lives, as far as it may be asked: `cluster`, `database`, `table`, `timeline`."""

_PARTS = {
    "cluster": "it is in another cluster of PostgreSQL",
    "database": "it is another database of its cluster",
    "table": "its tables were created anew",
    "timeline": "its cluster is on another timeline",
}
"""What it means that a part of the place is another one; each way a backup may come back changes at least one."""

_QUESTIONS = (
    # A cluster gets its number when it is made; a copy of its files keeps it.
    ("cluster", "SELECT system_identifier FROM pg_control_system()"),
    # A database gets another number when it is created, be it under the old name or from a template; and a table, also
    # where a backup is restored into the database that was there; so a migration must never make `store` anew.
    ("database", "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"),
    ("table", "SELECT 'store'::regclass::oid::bigint"),
    # A recovery to a point in time and the promotion of a standby begin a timeline, a restart or a crash does not. The
    # control file may still have the old one, for it is written at the next checkpoint; names of new WAL files do not.
    ("timeline", "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"),
)


@dataclass(frozen=True, slots=True)
class Epoch:
    """The epoch in force, and why it began just now; None if it was in force before."""

    epoch: UUID
    begun: str | None = None


def place(connection: Connection) -> Place:
    """Where the database lives. What this role may not ask, or this server does not tell, is left out and logged."""
    found = {}
    for part, question in _QUESTIONS:
        try:
            with connection.transaction():
                found[part] = int(connection.execute(question).fetchall()[0][0])
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction) as error:
            log.warning(
                "whether the database was restored can be seen less well",
                extra=facts(unknown=part, reason=error.diag.message_primary),
            )
    return found


def moved(known: Place, here: Place) -> str:
    """Why a database that knows that it lives at `known` is a copy if it is found `here`; empty if it is none.

    A part that one of the two does not have says nothing.
    """
    return ", ".join(
        f"{text} ({part} {known[part]} before, {here[part]} now)"
        for part, text in _PARTS.items()
        if part in known and part in here and known[part] != here[part]
    )


def settle(connection: Connection) -> Epoch:
    """Begin a new epoch if the database is a copy of what it was, and commit; the place is noted at the first time.

    Of several processes that ask at the same time one begins it and the others find it begun.

    Raises:
        psycopg.errors.ReadOnlySqlTransaction: the server is a standby; it may be promoted, so asking again helps.
        psycopg.Error: nothing was changed.
    """
    if connection.execute("SELECT pg_is_in_recovery()").fetchall()[0][0]:
        raise psycopg.errors.ReadOnlySqlTransaction("the server is a standby: it takes no counts until it is promoted")
    with connection.transaction():
        epoch, known = connection.execute("SELECT epoch, place FROM store FOR UPDATE").fetchall()[0]
        here = {**(known or {}), **place(connection)}
        if here == known:
            return Epoch(epoch)
        connection.execute("UPDATE store SET place = %s", [Jsonb(here)])
        why = moved(known or {}, here)
        if not why:
            return Epoch(epoch)
        epoch = _begin(connection, f"the database is a copy: {why}")
    log.warning(
        "the database was restored or copied: a new epoch begins, the nodes send again what it lacks",
        extra=facts(epoch=epoch, why=why),
    )
    return Epoch(epoch, why)


def begin(connection: Connection, why: str) -> UUID:
    """Begin a new epoch because a person says so, and commit."""
    with connection.transaction():
        connection.execute("SELECT FROM store FOR UPDATE")
        return _begin(connection, why)


def _begin(connection: Connection, why: str) -> UUID:
    (row,) = connection.execute("UPDATE store SET epoch = gen_random_uuid() RETURNING epoch").fetchall()
    connection.execute("INSERT INTO epoch (epoch, since, why) VALUES (%s, clock_timestamp(), %s)", [row[0], why])
    store.tell_readers(connection)
    found: UUID = row[0]
    return found


class Watch:
    """What the process knows of the epoch: it asks on each new connection, and reads it in each notice."""

    def __init__(self) -> None:
        self._epoch: UUID | None = None
        self._changed = False

    def connected(self, connection: Connection) -> None:
        """Make sure that the database on a new connection is this program's, and that its epoch is right.

        Raises:
            footfall_ingest.schema.MigrationError: its schema is another.
            psycopg.Error: see `settle`.
        """
        schema.check(connection)
        self.note(settle(connection).epoch)

    def note(self, epoch: UUID) -> None:
        """A notice has this epoch."""
        self._changed = self._changed or self._epoch not in {None, epoch}
        self._epoch = epoch

    def changed(self) -> bool:
        """Whether another epoch began since this was last asked: then every node has to be told."""
        was, self._changed = self._changed, False
        return was


# The command line


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``epoch`` and its verb to the parser's `commands`; each sets `run`."""
    help_text = "show which life of the database this is; `new` begins another, after a restore nobody can see"
    parser = commands.add_parser("epoch", parents=[config], help=help_text, description=help_text)
    parser.set_defaults(run=connected(_show))
    verbs = parser.add_subparsers(metavar="new")
    help_text = "begin a new epoch: every node sends again what the database lacks"
    new = verbs.add_parser("new", parents=[config], help=help_text, description=help_text)
    new.add_argument("--why", required=True, metavar="TEXT", help="for whoever asks later")
    new.set_defaults(run=connected(_new))


def _show(connection: Connection, _settings: IngestSettings, _options: argparse.Namespace) -> None:
    (current, known) = connection.execute("SELECT epoch, place FROM store").fetchall()[0]
    rows = connection.execute("SELECT epoch, since, why FROM epoch ORDER BY since, epoch").fetchall()
    for epoch, since, why in rows:
        sys.stdout.write(f"{'*' if epoch == current else ' '} {epoch}  since {utc(since)}  {why}\n")
    where = "  ".join(f"{part} {value}" for part, value in (known or {}).items())
    sys.stdout.write(f"lives at  {where or 'not noted yet: footfall-ingest notes it when it starts'}\n")
    if not connection.execute("SELECT pg_is_in_recovery()").fetchall()[0][0] and known:
        why = moved(known, place(connection))
        if why:
            sys.stdout.write(f"a new epoch begins when footfall-ingest starts: {why}\n")


def _new(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    if not options.why.strip():
        raise RefusedError("--why is empty: say what happened to the database, for whoever asks later")
    epoch = begin(connection, options.why.strip())
    sys.stdout.write(
        f"{epoch} begins; a running footfall-ingest tells all nodes with its next batch, otherwise at its start\n"
    )
