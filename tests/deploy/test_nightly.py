"""deploy/compose/nightly.sh: once a day, again after a failure, and a health check that says how it went."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from footfall_testing.compose import COMPOSE
from footfall_testing.waiting import wait_until

SCRIPT = str(COMPOSE / "nightly.sh")
PATIENCE_S = 60


@contextmanager
def nightly(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The script at work, with its notes in `folder`, in a zone where it is noon; it has ended afterwards."""
    zone = f"NOON{datetime.now(UTC).hour - 12:+d}"  # so many hours are taken from UTC
    process = subprocess.Popen(
        [SCRIPT, *words],
        env={**os.environ, "NIGHTLY_STATE": str(folder), "TZ": zone},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # also a command that was left behind: it holds the pipe
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_well(folder: Path) -> bool:
    """What the health check says."""
    environment = {**os.environ, "NIGHTLY_STATE": str(folder)}
    return subprocess.run([SCRIPT, "--healthy"], env=environment, check=False).returncode == 0


def test_what_was_missed_today_is_made_up_for_at_once_and_once(tmp_path: Path) -> None:
    """It is past midnight; what was to be done then is done now."""
    ran = tmp_path / "ran"
    with nightly(tmp_path, "00:00", "sh", "-c", f"echo once >> {ran}") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("nightly.sh: done for ")
        assert ran.read_text() == "once\n"
        assert is_well(tmp_path)


def test_what_is_not_due_is_waited_for(tmp_path: Path) -> None:
    """Nothing has run, and nothing is wrong."""
    with nightly(tmp_path, "23:00", "touch", str(tmp_path / "ran")) as process:
        wait_until(lambda: is_well(tmp_path), what="the note", timeout=PATIENCE_S)
        assert process.poll() is None
    assert not (tmp_path / "ran").exists()


def test_a_failure_is_said_and_seen(tmp_path: Path) -> None:
    """With the status of the command; it is tried again later, not at once."""
    with nightly(tmp_path, "00:00", "sh", "-c", f"echo tried >> {tmp_path / 'tries'}; exit 7") as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        wait_until(lambda: not is_well(tmp_path), what="the note", timeout=PATIENCE_S)
        assert "failed with status 7; the next try is in 15 minutes" in said
        assert (tmp_path / "tries").read_text() == "tried\n"


def test_a_run_that_was_well_long_ago_is_not_well(tmp_path: Path) -> None:
    """After a day and two hours; and where it never began."""
    assert not is_well(tmp_path)
    (tmp_path / "nightly-well").touch()
    assert is_well(tmp_path)
    old = (datetime.now().astimezone() - timedelta(hours=27)).timestamp()
    os.utime(tmp_path / "nightly-well", (old, old))
    assert not is_well(tmp_path)


@pytest.mark.parametrize("at", ["00:00", "23:00"])
def test_it_stops_when_asked_and_so_does_its_command(tmp_path: Path, at: str) -> None:
    """Whether it works or waits."""
    heard = f"kill $!; echo stopped > {tmp_path / 'stopped'}; exit"
    command = f"sleep 300 & trap '{heard}' TERM; touch {tmp_path / 'begun'}; wait"
    with nightly(tmp_path, at, "sh", "-c", command) as process:
        sign = "begun" if at == "00:00" else "nightly-well"
        wait_until((tmp_path / sign).exists, what=sign, timeout=PATIENCE_S)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert (tmp_path / "stopped").exists() == (at == "00:00")


@pytest.mark.parametrize(
    "words", [[], ["24:00", "true"], ["2:30", "true"], ["02:60", "true"], ["02:30"], ["noon", "true"]]
)
def test_what_cannot_be_understood_is_refused(words: list[str]) -> None:
    """With what would be right."""
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "nightly.sh: " in done.stderr
    assert "02:30" in done.stderr
