"""The data folder: who may use it, and what it remembers."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from footfall_demo.folder import DataFolder, Memory, default_folder
from footfall_demo.refusals import RefusedError

T0 = int(datetime(2026, 3, 1, 12, 30, tzinfo=UTC).timestamp())


def test_where_data_are_kept_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's data lie below /var/lib, everybody else's where the desktop standard says."""
    monkeypatch.setenv("HOME", "/home/someone")

    assert default_folder({}, 0) == Path("/var/lib/footfall-demo")
    assert default_folder({"XDG_DATA_HOME": "/data"}, 1000) == Path("/data/footfall/demo")
    assert default_folder({"XDG_DATA_HOME": ""}, 1000) == Path("/home/someone/.local/share/footfall/demo")


def test_a_second_demo_is_refused(tmp_path: Path) -> None:
    """While one demo has the folder, another one is told so, with the process that has it; afterwards it may start."""
    expected = rf"Another demo \(process {os.getpid()}\).*--data"
    with DataFolder(tmp_path / "data"), pytest.raises(RefusedError, match=expected):
        DataFolder(tmp_path / "data").__enter__()

    with DataFolder(tmp_path / "data"):
        pass


def test_a_killed_demo_s_children_are_waited_for(tmp_path: Path) -> None:
    """If the demo that had the folder is gone and its children still hold the lock, the next one waits for them."""
    (tmp_path / "logs").mkdir()
    program = (
        "import fcntl, os, subprocess, sys\n"
        "lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "os.write(lock, str(os.getpid()).encode())\n"
        "subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], pass_fds=[lock])\n"
    )
    reader, writer = os.pipe()
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "demo.lock")], stdin=reader, check=True)
    os.close(reader)
    with (tmp_path / "demo.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    threading.Timer(0.5, os.close, [writer]).start()  # the child ends

    with DataFolder(tmp_path):
        assert (tmp_path / "demo.lock").read_text() == f"{os.getpid()}\n"


def test_the_operators_token_stays(tmp_path: Path) -> None:
    """It is long, another one in each folder, kept over starts, and only its owner may read it."""
    tokens = []
    for name in ("one", "two"):
        with DataFolder(tmp_path / name) as folder:
            tokens.append(folder.operator_token())
        with DataFolder(tmp_path / name) as folder:
            assert folder.operator_token() == tokens[-1]
        assert stat.S_IMODE((tmp_path / name / "operator-token").stat().st_mode) == 0o600

    assert len(set(tokens)) == 2
    assert min(map(len, tokens)) >= 24


def test_a_token_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A sentence with the path, and what to do."""
    (tmp_path / "operator-token").mkdir()
    with DataFolder(tmp_path) as folder, pytest.raises(RefusedError, match=r"operator-token cannot be used: .*Remove"):
        folder.operator_token()


def test_no_room(tmp_path: Path) -> None:
    """Where there is less room than a city needs, the sentence says how much there is; the folder is not locked."""
    with pytest.raises(RefusedError, match=r"not enough room.*MB are free and 1,000,000,000,000 MB are needed.*--data"):
        DataFolder(tmp_path, room_bytes=10**18).__enter__()

    with DataFolder(tmp_path, room_bytes=1):
        pass


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/footfall"])
def test_a_folder_that_cannot_be(tmp_path: Path, place: str) -> None:
    """A file, a path below a file and a folder that nobody can write are refused with the path and the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match=r"cannot be used: .*--data"):
        DataFolder(tmp_path / place).__enter__()


def test_it_remembers(tmp_path: Path) -> None:
    """Seed and beginning of live counting are kept; the minute is that of the first live start, not of a later one."""
    with DataFolder(tmp_path) as folder:
        memory = folder.recall(None, 7)
        assert memory == Memory(7)
        assert folder.begin_live(memory, T0 + 59.9) == Memory(7, T0)
    with DataFolder(tmp_path) as folder:
        memory = folder.recall(7, 1)

        assert memory == Memory(7, T0)
        assert folder.begin_live(memory, T0 + 3600) == Memory(7, T0)


def test_another_seed_is_refused(tmp_path: Path) -> None:
    """Data that were begun with one seed are not continued with another one."""
    with DataFolder(tmp_path) as folder:
        folder.recall(3, 1)

        with pytest.raises(RefusedError, match=r"begun with --seed 3; --seed 4 would mix two cities"):
            folder.recall(4, 1)
        assert folder.recall(None, 1).seed == 3


def test_a_clock_that_is_behind_is_refused(tmp_path: Path) -> None:
    """Live counts must not fall into the time of the history."""
    with DataFolder(tmp_path) as folder:
        memory = folder.begin_live(folder.recall(None, 1), T0)

        with pytest.raises(RefusedError, match=r"clock is behind.*2026-03-01 12:30 UTC"):
            folder.check_clock(memory, T0 - 1)
        folder.check_clock(memory, T0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v": 1}', json.dumps({"v": 1, "seed": 1, "colour": 2})])
def test_a_damaged_memory_is_refused(tmp_path: Path, text: str) -> None:
    """What cannot be understood is not guessed at: the data beside it depend on it."""
    (tmp_path / "demo.json").write_text(text)
    with DataFolder(tmp_path) as folder, pytest.raises(RefusedError, match=r"demo\.json cannot be read"):
        folder.recall(None, 1)
