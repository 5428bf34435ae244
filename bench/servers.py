"""Servers and processes that benchmarks measure: PostgreSQL with fsync, TimescaleDB, the project's own programs."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from footfall_demo.ports import free_port
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest.migrate import migrate

TIMESCALE = "FOOTFALL_BENCH_TIMESCALE_DSN"
"""A server with TimescaleDB on which databases may be created and dropped."""

POSTGRES = "FOOTFALL_BENCH_POSTGRES_DSN"
"""A PostgreSQL to measure on instead of one that is set up for it."""

NO_TIMESCALE = f"no TimescaleDB: set {TIMESCALE} to a server on which databases may be created"

ROOT = Path(__file__).parents[1]

PATIENCE_S = 120


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder that the account of an embedded PostgreSQL can enter."""
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@dataclass(frozen=True)
class Server:
    """A database server; `maintenance` is a DSN that may create databases there."""

    maintenance: str
    timescale: bool

    @property
    def kind(self) -> str:
        """For people."""
        return "TimescaleDB" if self.timescale else "plain PostgreSQL"

    def dsn(self, database: str) -> str:
        """The DSN of one of its databases."""
        return urlunsplit(urlsplit(self.maintenance)._replace(path=f"/{database}"))

    def has(self, database: str) -> bool:
        """Whether there is such a database."""
        with psycopg.connect(self.maintenance) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
            return found is not None

    def create(self, database: str) -> str:
        """Create a database with today's schema; returns its DSN."""
        with psycopg.connect(self.maintenance, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        if self.timescale:
            with psycopg.connect(self.dsn(database), autocommit=True) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        migrate(self.dsn(database))
        return self.dsn(database)

    def drop(self, database: str) -> None:
        """Drop a database, ending whoever is connected to it."""
        with psycopg.connect(self.maintenance, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        """The DSN of a database that is there for a while."""
        name = f"footfall_bench_{secrets.token_hex(4)}"
        try:
            yield self.create(name)
        finally:
            self.drop(name)


@contextlib.contextmanager
def plain(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The PostgreSQL that the environment names, or one of its own, which waits for the disk as it does by default."""
    if given := os.environ.get(POSTGRES):
        yield Server(given, timescale=False)
        return
    with EmbeddedPostgres(folder / "database", settings=settings or {}) as postgres:
        try:
            yield Server(postgres.dsn("postgres"), timescale=False)
        finally:
            postgres.stop()
    postgres.remove()


def timescale() -> Server | None:
    """The server that the environment names."""
    dsn = os.environ.get(TIMESCALE)
    return Server(dsn, timescale=True) if dsn else None


@contextlib.contextmanager
def program(words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[psutil.Process]:
    """``python -m words``, running; what it says on standard error goes to `log`. It is ended when the context is."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            env={**clean, **(environment or {})},
            cwd=ROOT,
            stdout=file,
            stderr=file,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def ingest(folder: Path, dsn: str, mqtt_port: int, workers: int = 1) -> Iterator[list[psutil.Process]]:
    """``footfall-ingest``, subscribed: its worker processes. One is an aggregator alone, without a group."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(workers)
    config, log = folder / "ingest.toml", folder / "ingest.log"
    config.write_text(f"log_level = 'WARNING'\n[mqtt]\nport = {mqtt_port}\n[metrics]\nport = {port}\n")
    words = ["footfall_ingest", "--config", str(config), "--workers", str(workers)]
    with program(words, log, {"FOOTFALL_DATABASE__DSN": dsn}) as parent:
        urls = [f"http://127.0.0.1:{port + number}/metrics" for number in range(workers)]
        wait_for(lambda: all(_says(url, b"footfall_ingest_subscribed 1.0") for url in urls), log)
        yield (parent.children() or [parent]) if workers > 1 else [parent]


@contextlib.contextmanager
def api(folder: Path, dsn: str, environment: Mapping[str, str] | None = None) -> Iterator[tuple[int, psutil.Process]]:
    """``footfall-api`` without limits, ready: its port and its process."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config, log = folder / "api.toml", folder / "api.log"
    config.write_text(f"log_level = 'WARNING'\n[http]\nport = {port}\n[public]\nlocal = true\n")
    settings = {"FOOTFALL_DATABASE__DSN": dsn, **(environment or {})}
    with program(["footfall_api", "--config", str(config)], log, settings) as process:
        wait_for(lambda: _says(f"http://127.0.0.1:{port}/readyz", b"ready"), log)
        yield port, process


def wait_for(condition: Callable[[], bool], log: Path, patience_s: float = PATIENCE_S) -> None:
    """Wait until `condition` is true; if it does not come, the end of `log` says why."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.02)


def _says(url: str, words: bytes) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return words in answer.read()
    except OSError:
        return False


def free_ports(number: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = free_port()
        with contextlib.suppress(OSError), contextlib.ExitStack() as taken:
            for port in range(first, first + number):
                taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def psql() -> str | None:
    """The path of PostgreSQL's own client."""
    return shutil.which("psql")


def own_memory(processes: Sequence[psutil.Process]) -> int:
    """Bytes that belong to processes and their children alone (unique set size)."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += one.memory_full_info().uss
    return total


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds that those of `processes` have spent which are still there."""
    spent = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(process.cpu_times()[:2])
    return spent


def backends(connection: psycopg.Connection) -> list[psutil.Process]:
    """The other processes of the server on this machine that `connection` is with."""
    own = psutil.Process(connection.info.backend_pid)
    server = own.parent()
    assert server is not None
    return [process for process in server.children() if process.pid != own.pid]
