"""``footfall-api dump`` as a process: it is killed in the middle, told what cannot be, asked whether all is well."""

import gzip
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pyarrow.parquet as pq
import pytest

from footfall_testing.city import City
from footfall_testing.dumps import csv_rows, stamps, sums, visible
from footfall_testing.waiting import wait_until

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def config(city: City, database: str, tmp_path: Path) -> Path:
    """The settings of a city that has counted for two months."""
    begin = (datetime.now(UTC) - timedelta(days=62)).replace(minute=0, second=0, microsecond=0)
    city.minutes(city.counter("markt"), begin, 3000, {0: 1, 1: 2})
    path = tmp_path / "api.toml"
    path.write_text(f'[database]\ndsn = "{database}"\n')
    return path


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "footfall_api", *map(str, words)]


def clean() -> dict[str, str]:
    """The environment without settings of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}


def footfall_api(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, check=False, timeout=100, env=clean())


@contextmanager
def begun(*words: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that writes files; it is killed if it still runs in the end.

    It hears an interrupt as from a terminal, also where the suite runs in the background of a shell, which ignores it.
    """
    with subprocess.Popen(
        command(*words),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # one call
    ) as one:
        try:
            yield one
        finally:
            one.kill()


def check_whole(folder: Path) -> None:
    """Each file that can be seen is whole."""
    for name in visible(folder):
        if name.endswith(".csv.gz"):
            assert gzip.decompress((folder / name).read_bytes()).endswith(b"\n")
        elif name.endswith(".parquet"):
            pq.read_table(folder / name)


@pytest.mark.timeout(300)  # each process takes seconds to begin
def test_killed_at_any_moment_it_ends_with_the_same_files(config: Path, tmp_path: Path) -> None:
    """Killed again and again, a little later each time; what can be seen is whole at all times."""
    chance = random.Random(20260610)
    files, undisturbed = tmp_path / "files", tmp_path / "undisturbed"
    for lines in (0, 1, 2, 2):
        with begun("--config", config, "dump", files) as process:
            assert process.stderr is not None
            for _ in range(lines):
                process.stderr.readline()
            try:
                process.wait(chance.random() * 0.3)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            assert process.wait(20) in (0, -signal.SIGKILL)
        check_whole(files)

    today = datetime.now(BERLIN).date()
    last = footfall_api("--config", config, "dump", files)
    assert last.returncode == 0, last.stderr
    other = footfall_api("--config", config, "dump", undisturbed)
    assert other.returncode == 0, other.stderr

    assert not list(files.rglob("*.part"))
    assert list(visible(files)) == list(visible(undisturbed))
    if datetime.now(BERLIN).date() == today:  # else a day more is in one of the two
        assert sums(files) == sums(undisturbed)


def test_a_run_that_was_killed_is_gone_on_with(config: Path, tmp_path: Path) -> None:
    """What it had written is not written again."""
    for number in range(20):  # until one was struck before it was done
        files = tmp_path / f"files-{number}"
        with begun("--config", config, "dump", files) as process:
            assert process.stderr is not None
            for _ in range(3):  # the third line comes after the first file was noted down
                process.stderr.readline()
            process.send_signal(signal.SIGKILL)
            if process.wait(60) == -signal.SIGKILL and "SHA256SUMS" not in list(visible(files)):
                break
    written = {name: stamp for name, stamp in stamps(files).items() if name.startswith("counts/15min/")}
    assert written
    assert "SHA256SUMS" not in list(visible(files))

    done = footfall_api("dump", files, "--config", config)

    assert done.returncode == 0, done.stderr
    again = stamps(files)
    # At most the table that was being noted down when the process ended is there anew.
    assert sum(again[name] != stamp for name, stamp in written.items()) <= 2


def test_an_interrupt_is_answered_with_a_sentence(config: Path, tmp_path: Path, database: str) -> None:
    """Ctrl-C is no fault: status 1, no traceback. It comes while the program waits for the database."""
    waits = """
        SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()
        WHERE NOT granted AND relation = 'coverage_minute'::regclass
    """
    with (
        psycopg.connect(database) as holder,
        psycopg.connect(database, autocommit=True) as watcher,
        begun("--config", config, "dump", tmp_path / "files") as process,
    ):
        holder.execute("LOCK TABLE coverage_minute IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: watcher.execute(waits).fetchone() != (0,), what="the program waits")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    assert said.endswith("footfall-api: stopped; what is written stays, and the next run goes on from there\n")
    assert "Traceback" not in said


def test_it_says_what_it_does(config: Path, tmp_path: Path) -> None:
    """A line for each table on standard error, the sum on standard output."""
    done = footfall_api("--config", config, "dump", tmp_path / "files", "--only", "1d", "--only", "1w")

    assert done.returncode == 0, done.stderr
    assert "counts/1d/" in done.stderr
    assert " rows" in done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'files'}: ")
    assert "written, " in done.stdout
    assert "not chosen" in done.stdout

    again = footfall_api("--config", config, "dump", tmp_path / "files", "--only", "1d")
    assert again.stderr == ""
    assert " unchanged, " in again.stdout


def test_the_folder_may_be_set(config: Path, tmp_path: Path) -> None:
    """Where the API serves them from they are written, unless another is named."""
    config.write_text(config.read_text() + f'[files]\nfolder = "{tmp_path / "set"}"\n')

    assert footfall_api("--config", config, "dump", "--only", "1d").returncode == 0
    assert footfall_api("--config", config, "dump", tmp_path / "named", "--only", "1d").returncode == 0

    assert sums(tmp_path / "set") == sums(tmp_path / "named")


def test_months_are_chosen(config: Path, tmp_path: Path) -> None:
    """From one to another, both included; the years that have them too."""
    month = f"{datetime.now(BERLIN) - timedelta(days=31):%Y-%m}"

    done = footfall_api("--config", config, "dump", tmp_path / "f", "--only", "1h", "--from", month, "--to", month)

    assert done.returncode == 0, done.stderr
    counts = [name for name in visible(tmp_path / "f") if name.startswith("counts/")]
    assert counts == [
        f"counts/1h/{period}{suffix}" for period in (month, month[:4]) for suffix in (".csv.gz", ".parquet")
    ]
    assert {row["interval_start"][:7] for row in csv_rows(tmp_path / "f" / counts[0])} == {month}


def test_the_files_can_be_checked(config: Path, tmp_path: Path) -> None:
    """Whether they are what the list says; one that is not, or is gone, is named."""
    files = tmp_path / "files"
    footfall_api("--config", config, "dump", files, "--only", "1d")
    well = footfall_api("dump", files, "--check")
    assert well.returncode == 0
    assert well.stdout == f"{files}: {len(sums(files).splitlines())} files are what SHA256SUMS says\n"

    name = next(name for name in visible(files) if name.endswith(".csv.gz"))
    (files / name).write_bytes(b"other")
    (files / "remarks.csv").unlink()
    ill = footfall_api("dump", files, "--check")

    assert ill.returncode == 1
    assert ill.stderr == (
        f"footfall-api: {name}: its content is not what SHA256SUMS says\n"
        "footfall-api: remarks.csv: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["dump"], 1, "footfall-api: name a folder: footfall-api dump FOLDER, or set folder in [files]\n"),
        (["dump", "no/such/folder"], 1, "footfall-api: there is no folder no/such\n"),
        (["dump", "no-such", "--check"], 1, "footfall-api: there is no folder no-such\n"),
        (
            ["dump", "x", "--from", "2026-03", "--to", "2026-02"],
            1,
            "footfall-api: --to 2026-02 is before --from 2026-03\n",
        ),
        (["dump", "x", "--from", "March"], 2, "'March' is neither a month such as 2026-03 nor a year such as 2026\n"),
        (["dump", "x", "--only", "5min"], 2, "'5min' is none of 15min, 1h, 1d, 1w\n"),
    ],
)
def test_what_cannot_be_is_said(words: list[str], status: int, said: str, tmp_path: Path) -> None:
    """In a sentence, with a status that is not 0."""
    done = subprocess.run(
        command(*words), capture_output=True, text=True, check=False, timeout=60, env=clean(), cwd=tmp_path
    )

    assert done.returncode == status
    assert done.stderr.endswith(said)
    assert "Traceback" not in done.stderr


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    """And nothing but what belongs to an empty folder of ours is left."""
    config = tmp_path / "api.toml"
    config.write_text('[database]\ndsn = "postgresql://nobody@127.0.0.1:1/nothing"\n')

    done = footfall_api("--config", config, "dump", tmp_path / "files")

    assert done.returncode == 1
    assert done.stderr.endswith("footfall-api: the database cannot be reached at the moment\n")
    assert list(visible(tmp_path / "files")) == []


def test_a_second_process_is_refused(config: Path, tmp_path: Path) -> None:
    """It says which process is at work; the first goes on."""
    for number in range(20):  # until one was stopped before it was done
        files = tmp_path / f"files-{number}"
        with begun("--config", config, "dump", files) as process:
            assert process.stderr is not None
            process.stderr.readline()
            process.send_signal(signal.SIGSTOP)
            at_work = "SHA256SUMS" not in list(visible(files))
            second = footfall_api("--config", config, "dump", files)
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=60)
        if at_work:
            break

    assert second.returncode == 1
    assert f"another footfall-api dump (process {process.pid}) is at work in" in second.stderr
    assert process.returncode == 0
