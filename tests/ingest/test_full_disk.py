"""The disk under the database is full: a real file system of a few megabytes, with a real server on it."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from footfall_demo.broker import Broker
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest.migrate import migrate
from footfall_ingest.settings import IngestSettings
from footfall_testing.flood import Flood, passages
from footfall_testing.ingest_process import command, settings_for
from footfall_testing.waiting import wait_until

MB = 1024 * 1024
SIZE = 160 * MB


@pytest.fixture
def small_disk(open_folder: Path) -> Iterator[Path]:
    """A file system of its own, too small for what will be stored there."""
    folder = open_folder / f"disk-{secrets.token_hex(4)}"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("a file system of a few megabytes cannot be mounted here (that needs root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server(small_disk: Path) -> Iterator[EmbeddedPostgres]:
    """A server whose data lie on the small disk; its log and programs do not."""
    settings = {"fsync": "off", "max_wal_size": "48MB", "min_wal_size": "32MB", "autovacuum": "off"}
    with EmbeddedPostgres(small_disk, settings=settings) as postgres:
        yield postgres


def fill(disk: Path) -> Path:
    """A file that takes all that is left, to the last page."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    return ballast


def stored(dsn: str) -> tuple[int, int]:
    """Passages in and out."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = dict(connection.execute("SELECT direction, sum(count)::int FROM count_minute GROUP BY 1").fetchall())
        return found.get(0, 0), found.get(1, 0)


@contextmanager
def ingest_program(settings: IngestSettings, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The real program, and its log."""
    words, environment = command(settings, folder)
    log = folder / "ingest.log"
    with log.open("wb") as file:
        program = subprocess.Popen(words, env=environment, stderr=file)
    try:
        yield program, log
    finally:
        program.terminate()
        program.wait(30)


@pytest.mark.timeout(300)
def test_a_full_disk_under_the_database_loses_nothing(
    mosquitto: Broker, small_disk: Path, server: EmbeddedPostgres, unique: str, tmp_path: Path
) -> None:
    """While the database cannot write, ingest waits and acknowledges nothing; when there is room all is stored, once.

    A server that gives up for want of room for its log is started again by whoever runs it, here by the test.
    """
    sensors, reports = 60, 250
    server.create_database("full")
    dsn = server.dsn("full")
    migrate(dsn)
    with ingest_program(settings_for(mosquitto, dsn, unique), tmp_path) as (ingest, log):
        wait_until(lambda: "connected to the broker" in log.read_text(), timeout=60, what="ingest to be there")
        with Flood(mosquitto.host, mosquitto.port, unique, sensors, reports) as flood:
            wait_until(lambda: flood.stored > 0, timeout=60, what="the first reports to be stored")
            ballast = fill(small_disk)
            wait_until(lambda: "trying again" in log.read_text(), timeout=60, what="ingest to be refused")
            before = flood.stored
            ballast.unlink()

            def stored_all() -> bool:
                # It may give up a moment after ingest was refused.
                if server.process is not None and server.process.poll() is not None:
                    server.start()
                return flood.wait(1)

            wait_until(stored_all, timeout=200, what=f"all {flood.total} reports to be stored")
        assert ingest.poll() is None

    assert before < flood.total
    sums = [sum(passages(seq)[direction] for seq in range(reports)) for direction in (0, 1)]
    assert stored(dsn) == (sensors * sums[0], sensors * sums[1])
