"""Every start that cannot be is a sentence and exit status 2, and leaves nothing running and no traceback."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from footfall_demo import addresses
from footfall_demo.addresses import choose_mqtt_port
from footfall_demo.cli import run
from footfall_demo.folder import DataFolder
from footfall_demo.options import parse
from footfall_demo.ports import free_port, is_free
from footfall_demo.refusals import RefusedError


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "Refusal":
    """Start a demo that is refused; gives its sentence."""
    return Refusal(tmp_path / "data", capsys)


class Refusal:
    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capsys = capsys

    def __call__(self, *words: str) -> str:
        """What the demo says about these options; the data folder and free ports are given where they are not."""
        given = list(words)
        for option, value in (("--data", str(self.data)), ("--port", str(free_port()))):
            if option not in words:
                given += [option, value]
        try:
            status = run(given)
        except SystemExit as stop:  # argparse leaves by itself
            status = stop.code  # type: ignore[assignment]
        out, err = self._capsys.readouterr()
        assert status == 2
        assert out == ""
        assert "Traceback" not in err
        return err


def test_a_second_demo_on_the_folder(refusal: Refusal) -> None:
    """The folder of a demo that runs is not given to another one."""
    with DataFolder(refusal.data):
        sentence = refusal()

    assert sentence.startswith(f"footfall-demo: Another demo (process {os.getpid()}) is running on the data folder ")
    assert str(refusal.data) in sentence


def test_the_page_s_port_is_taken(refusal: Refusal, taken_port: int) -> None:
    """The sentence names the port and the option that helps."""
    assert refusal("--port", str(taken_port)) == (
        f"footfall-demo: Port {taken_port}, on which the page is to listen, is taken by another program. "
        "Choose another one with --port.\n"
    )


def test_the_broker_s_port_is_taken(refusal: Refusal, taken_port: int) -> None:
    """A broker's port that was asked for is not replaced by another one."""
    assert refusal("--mqtt-port", str(taken_port)) == (
        f"footfall-demo: Port {taken_port}, on which the broker is to listen, is taken by another program. "
        "Choose another one with --mqtt-port.\n"
    )


def test_the_usual_mqtt_port_is_taken(monkeypatch: pytest.MonkeyPatch, taken_port: int) -> None:
    """If nobody asked for a port and the usual one is taken, the next free one is used, and that is said."""
    monkeypatch.setattr(addresses, "DEFAULT_MQTT_PORT", taken_port)
    port, remark = choose_mqtt_port("127.0.0.1", None)

    assert taken_port < port <= taken_port + 100
    assert remark == f"Port {taken_port} is taken by another program; the broker listens on {port} instead."
    free = free_port()
    assert choose_mqtt_port("127.0.0.1", free) == (free, None)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine(refusal: Refusal, host: str) -> None:
    """One can listen on this machine's addresses only."""
    sentence = refusal("--host", host)

    assert f"cannot listen on {host}: " in sentence
    assert "--host" in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every port")
def test_a_port_for_root_only(refusal: Refusal) -> None:
    """A port below 1024 is refused before anything is started."""
    if is_free(1023):
        pytest.skip("here everybody may use every port")
    assert "from 1024 on with --port" in refusal("--port", "1023")


def test_no_room(refusal: Refusal, tmp_path: Path) -> None:
    """Before the database is made, there must be room for it."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system without room needs the right to mount one")
    try:
        sentence = refusal("--data", str(small / "data"))
    finally:
        subprocess.run(["umount", str(small)], check=True)

    assert "There is not enough room for the data folder" in sentence
    assert "17 MB are free and 500 MB are needed" in sentence


def test_a_folder_that_cannot_be_written(refusal: Refusal, tmp_path: Path) -> None:
    """The reason is the operating system's, the way out is --data."""
    (tmp_path / "file").touch()

    assert refusal("--data", str(tmp_path / "file" / "data")) == (
        f"footfall-demo: The data folder {tmp_path}/file/data cannot be used: it, or a part of its path, is a file. "
        "Choose another one with --data.\n"
    )


def test_another_seed(refusal: Refusal) -> None:
    """Data that were begun with one seed are not continued with another one."""
    with DataFolder(refusal.data) as folder:
        folder.recall(3, 1)

    assert "--seed 3; --seed 4 would mix two cities" in refusal("--seed", "4")


def test_a_clock_that_went_back(refusal: Refusal, tmp_path: Path) -> None:
    """Live counts of a machine whose clock is behind would fall into the past that is stored already."""
    with DataFolder(refusal.data) as folder:
        folder.begin_live(folder.recall(None, 1), time.time() + 7200)

    assert "This machine's clock is behind" in refusal()


def test_more_past_than_there_can_be(refusal: Refusal) -> None:
    """The counters were installed on a day; a past before that would be invisible."""
    assert "--history 9000: the counters were installed " in refusal("--history", "9000")


def test_a_file_that_cannot_be_taken_over(refusal: Refusal, tmp_path: Path) -> None:
    """The faults of a file are told before anything is started, each with its line."""
    path = tmp_path / "past.csv"
    path.write_text("station,interval_start,interval_end,count\nmarkt,2024-05-01T00:00:00,2024-05-01T01:00:00Z,1\n")

    first, fault = refusal("--history-from", str(path)).splitlines()
    assert first == f"footfall-demo: {path} was not taken over:"
    assert fault.startswith("line 2: column interval_start: '2024-05-01T00:00:00' has no offset")
    assert "No such file" in refusal("--history-from", str(tmp_path / "absent.csv"))
    assert not (refusal.data / "postgres").exists()


def test_damaged_memory(refusal: Refusal) -> None:
    """What the folder remembers is needed to keep past and present apart; it is not guessed."""
    refusal.data.mkdir()
    (refusal.data / "demo.json").write_text(json.dumps({"v": 1}))

    assert "demo.json cannot be read" in refusal()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--port", "0"], "'0' is not a whole number from 1 to 65535"),
        (["--history", "-1"], "'-1' is not a whole number from 0 to"),
        (["--seed", "x"], "'x' is not a whole number from 0 to"),
        (["--for", "0"], "'0' is not a number of seconds above 0"),
        (["--for", "inf"], "'inf' is not a number of seconds above 0"),
        (["--for", "5", "--no-sensors"], "without --no-sensors"),
        (["--history", "5", "--history-from", "x.csv"], "--history-from replaces the simulated past"),
        (["--broker", "kafka"], "invalid choice"),
        (["--colour"], "unrecognized arguments"),
    ],
)
def test_options_that_mean_nothing(refusal: Refusal, words: list[str], complaint: str) -> None:
    """Options that cannot be understood, or contradict each other, are refused with the option's name."""
    sentence = refusal(*words)

    assert complaint in sentence
    assert words[0] in sentence


def test_history_from_a_file_replaces_the_simulated_one() -> None:
    """`--history 0` beside a file says the same twice and is no contradiction."""
    options = parse(["--history", "0", "--history-from", "x.csv"])

    assert (options.days, options.history_from) == (0, Path("x.csv"))


def test_the_program_s_exit_status(tmp_path: Path, taken_port: int) -> None:
    """The same as a process: `python -m footfall_demo` ends with status 2 and the sentence on standard error."""
    words = ["--port", str(taken_port), "--data", str(tmp_path / "data")]
    done = subprocess.run([sys.executable, "-m", "footfall_demo", *words], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"footfall-demo: Port {taken_port},")


def test_refused_error_is_the_base_of_file_faults() -> None:
    """A file with faults is one more way in which a demo is refused, with the same exit status."""
    from footfall_demo.history_csv import HistoryFileError

    assert issubclass(HistoryFileError, RefusedError)
