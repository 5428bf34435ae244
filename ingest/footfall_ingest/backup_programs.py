"""``pg_dump`` and ``pg_restore``: which ones, and how they are started without telling anybody a password."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import IO, Any, Final

import psycopg

from footfall_ingest.commands import RefusedError
from footfall_role.children import die_with_parent

Connection = psycopg.Connection[Any]

_DEBIAN: Final = Path("/usr/lib/postgresql")
"""Where Debian puts the programs of each version."""

_LOOK_S: Final = 0.25
_GRACE_S: Final = 5.0
_LINES: Final = 5

_SECRETS: Final = ("sslpassword", "oauth_client_secret")
"""What libpq takes from a connection string only, which others on the machine could read."""


@dataclass(frozen=True, slots=True)
class Program:
    """One of PostgreSQL's programs."""

    path: Path
    version: str
    """As it says it, ``18.6``."""

    @property
    def major(self) -> int:
        """The part of the version that must fit."""
        return int(self.version.split(".")[0])


def find(name: str, least: int, folder: Path | None, why: str) -> Program:
    """The program `name` of the lowest major version that is at least `least`, in `folder` or where it usually is.

    The lowest, because an archive of a newer one may not be read by the programs that fit the server.

    Raises:
        RefusedError: there is none; `why` says who needs it, as ``the server is 18.6``.
    """
    known = [program for path in _places(name, folder) if (program := _asked(path))]
    fitting = [program for program in known if program.major >= least]
    if fitting:
        return min(fitting, key=lambda program: program.major)
    newest = max(known, key=lambda program: program.major, default=None)
    here = f"the newest {name} here is {newest.version} ({newest.path})" if newest else f"there is no {name} here"
    where = f" in {folder}, which [backup] programs names" if folder else ""
    raise RefusedError(
        f"{here}{where}, and {why}: {name} must be of version {least} or newer; install "
        f"postgresql-client-{least}, or name the folder of its programs in [backup] programs"
    )


def _places(name: str, folder: Path | None) -> Iterator[Path]:
    """Where a program may be. Debian's folders come before its wrapper in the PATH, which chooses by itself."""
    if folder:
        yield folder / name
        return
    yield from sorted(_DEBIAN.glob(f"*/bin/{name}"))
    for part in os.get_exec_path():
        yield Path(part) / name


def _asked(path: Path) -> Program | None:
    """The program at `path`, if there is one that says its version."""
    if not shutil.which(path):
        return None
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # no shell
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\) (\d+[.\w]*)", done.stdout)
    return Program(path, found[1]) if found and not done.returncode else None


def environment(connection: Connection) -> dict[str, str]:
    """The variables by which a program connects as `connection` did, to the same server, with its password.

    Nothing of that stands on its command line. Only who may read the memory of the program can read the variables.

    Raises:
        RefusedError: something secret cannot be handed over in this way.
    """
    info = connection.info
    known = info.get_parameters()
    if secret := next((name for name in _SECRETS if name in known), None):
        raise RefusedError(
            f"the connection has {secret}, which a program of PostgreSQL can only be told on its command line, where "
            "others can read it: use a key file that needs none and that nobody else may read"
        )
    # Of several hosts the one that answered, or the snapshot would not be there.
    known |= {"host": info.host, "hostaddr": info.hostaddr, "port": str(info.port), "dbname": info.dbname}
    known |= {"user": info.user, "password": info.password}
    # What the service file said is among the parameters; named again it would win over them.
    for name in ("service", "application_name", "client_encoding", "connect_timeout"):
        known.pop(name, None)
    variables = {
        option.keyword.decode(): option.envvar.decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar is not None
    }
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FOOTFALL_") and name not in variables.values()
    }
    given = {variables[name]: value for name, value in known.items() if name in variables and value}
    return {**inherited, **given, "LC_ALL": "C.UTF-8"}


class Running:
    """A program at work; `check` and `wait` say what went wrong, with the end of what it said."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self._process = process
        self._said = said

    def check(self) -> bool:
        """Whether it is done.

        Raises:
            RefusedError: it ended with an error.
        """
        status = self._process.poll()
        if status:
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").strip().splitlines()
            name = Path(os.fsdecode(str(self._process.args[0]))).name  # type: ignore[index]  # a list, see `running`
            raise RefusedError(
                "\n".join([f"{name} failed (status {status})", *(f"{name} said: {line}" for line in lines[-_LINES:])])
            )
        return status is not None

    def wait(self) -> Iterator[None]:
        """Yield now and then until it is done.

        Raises:
            RefusedError: it ended with an error.
        """
        while not self.check():
            try:
                self._process.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                yield


@contextmanager
def running(program: Program, words: Sequence[str], variables: dict[str, str]) -> Iterator[Running]:
    """A context in which `program` is at work; left early, or if this process dies, it is ended."""
    with tempfile.TemporaryFile() as said:
        command = [str(program.path), "--no-password", *words]
        process = subprocess.Popen(  # noqa: S603  # a list of words, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=variables,
            preexec_fn=die_with_parent(SIGTERM),  # noqa: PLW1509  # no thread of ours is running
        )
        try:
            yield Running(process, said)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def contents(program: Program, archive: Path) -> list[str]:
    """What ``pg_restore --list`` says is in `archive`, an entry a line.

    Raises:
        RefusedError: it cannot read it.
    """
    command = [str(program.path), "--list", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603  # no shell
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["it did not say why"]
        raise RefusedError(f"{archive} cannot be read by {program.path} {program.version}: {reason[0]}")
    return [line for line in done.stdout.splitlines() if line and not line.startswith(";")]


def without_data(entries: Iterable[str], rows: dict[str, int]) -> list[str]:
    """The tables of `rows` that have some, and of which no entry of an archive has data."""
    there = set()
    for entry in entries:
        # "4567; 0 16999 TABLE DATA public count_minute footfall_owner"
        found = re.match(r"\d+; \d+ \d+ TABLE DATA (\S+) (.+) \S+$", entry)
        if found:
            there.add(f"{found[1]}.{found[2]}")
    return sorted(table for table, number in rows.items() if number and table not in there)
