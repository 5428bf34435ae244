"""The command line as people use it."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

import footfall_contract
from edge.counter import Counter
from edge.device_model import Device, hello
from footfall_edge import cli, reference
from footfall_edge.__main__ import main
from footfall_edge.counts import Cursor
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.slots import Piece
from footfall_testing.waiting import wait_until

NOON = 1_764_072_000
SHAPE = {"driver", "frames", "targets", "skipped_bytes", "bad_frames", "restarts", "passages"}


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command line sends logs where it likes; the next test finds them where they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An edge.toml whose broker is nowhere."""
    file = tmp_path / "edge.toml"
    file.write_text(
        f'node = "box-1"\nclock = "system"\n[mqtt]\nport = 1\n[outbox]\npath = "{tmp_path}/outbox.sqlite"\n'
        f'[[sensor]]\nid = "markt-1"\ndriver = "reference"\nport = "{tmp_path}/no-port"\n'
    )
    return file


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--version and --help answer and leave with 0."""
    for option in ("--version", "--help"):
        with pytest.raises(SystemExit) as left:
            main([option])
        assert left.value.code == 0
    assert f"footfall-edge {footfall_contract.__version__}" in capsys.readouterr().out


def test_without_its_extra_it_says_which() -> None:
    """Where paho-mqtt is not installed the script names the extra, and nothing else is imported first."""
    program = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('paho', 'serial'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import importlib.util; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name in ('paho', 'serial') else real(name)\n"
        "from footfall_edge.__main__ import main; main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)

    assert done.returncode == 2
    assert "pip install 'footfall[edge]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_print_config_shows_what_is_in_force(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--print-config prints the settings and opens nothing."""
    assert main(["--config", str(config), "--print-config"]) == 0
    assert 'node = "box-1"' in capsys.readouterr().out
    assert not (config.parent / "outbox.sqlite").exists()


def test_a_wrong_configuration_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, no settings: each is said on standard error without a traceback. The status says that it is for ever."""
    assert main(["--config", str(tmp_path / "none.toml")]) == 78
    assert "none.toml: cannot be read: No such file" in capsys.readouterr().err
    assert main([]) == 78
    assert "the environment: node is missing" in capsys.readouterr().err


def test_a_second_edge_on_the_same_outbox_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It hears who has the outbox, and leaves the first alone."""
    with Outbox.open(config.parent / "outbox.sqlite"):
        assert main(["--config", str(config)]) == 1

    assert f"in use by another footfall-edge (process {os.getpid()})" in capsys.readouterr().err


def test_outbox_says_what_waits(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How much, since when, how big; also while an edge has it."""
    assert main(["outbox", "--config", str(config)]) == 1
    assert "there is no outbox at" in capsys.readouterr().err

    with Outbox.open(config.parent / "outbox.sqlite") as outbox:
        outbox.book([Entry("markt-1", (Piece(NOON, 10, 10_000, ((0, 0, 2),)),), Cursor(7, 1, 0, NOON * 1000, {}))])
        assert main(["--config", str(config), "outbox"]) == 0

    said = capsys.readouterr().out
    assert "slots without a number 1, reports not known to be stored 0" in said
    assert "oldest: 2025-11-25 12:00:00 UTC" in said
    assert "markt-1: slots 1" in said


OUTBOX_KEYS = {
    "path", "version", "bytes_used", "bytes_file", "bytes_budget", "sensors", "holds", "discarded", "mending",
    "damaged_files",
}  # fmt: skip
SENSOR_KEYS = {
    "unnumbered", "numbered", "numbered_slots", "set_aside", "held", "committed", "streams", "bytes", "oldest",
    "newest",
}  # fmt: skip


def test_outbox_answers_programs_too(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json: one object with the documented keys, numbers where people get words."""
    with Outbox.open(config.parent / "outbox.sqlite") as outbox:
        pieces = tuple(Piece(NOON + 10 * n, 10, 10_000, ((0, 0, 2),)) for n in range(4))
        outbox.book([Entry("markt-1", pieces, None)])
        outbox.number("markt-1", UUID(int=1), closed_until=NOON + 20, every_s=10, most=9, now_s=NOON + 60)
        assert main(["outbox", "--json", "--config", str(config)]) == 0

    found = json.loads(capsys.readouterr().out)
    documented = (Path(__file__).parents[2] / "docs" / "outbox-damage.md").read_text("utf-8")
    assert set(found) == OUTBOX_KEYS
    assert set(found["sensors"]["markt-1"]) == SENSOR_KEYS
    assert {key for key in OUTBOX_KEYS | SENSOR_KEYS if f"`{key}`" not in documented} == set()
    assert found["bytes_budget"] == 512 * 10**6
    assert found["sensors"]["markt-1"] | {"bytes": 0} == {
        "unnumbered": 2, "numbered": 1, "numbered_slots": 2, "set_aside": 0, "held": 0, "committed": 0, "streams": 1,
        "bytes": 0, "oldest": NOON + 20, "newest": NOON + 60,
    }  # fmt: skip


def test_outbox_of_a_copied_card(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is on hold, why, and what to do; each decision says what it did, and waits for the edge to stop."""
    path = config.parent / "outbox.sqlite"
    monkeypatch.setattr(cli, "fingerprint", lambda: "second")
    options = ["--config", str(config)]
    with Outbox.open(path, machine="first") as outbox:
        outbox.book([Entry("markt-1", (Piece(NOON, 10, 10_000, ((0, 0, 2),)),), None)])
        assert main(["outbox", "adopt", *options]) == 1
        assert "in use by another footfall-edge" in capsys.readouterr().err

    assert main(["outbox", "discard-held", *options]) == 1
    assert "1 slots are on hold; nothing was done. discard-held --yes discards them" in capsys.readouterr().err
    assert main(["outbox", *options]) == 0
    said = capsys.readouterr().out
    assert "on hold: 1 slots" in said
    assert "because the outbox was brought here from another computer" in said
    assert "footfall-edge outbox adopt" in said

    assert main(["outbox", "adopt", *options]) == 0
    assert "1 slots with 2 passages are not on hold any more: they will be sent" in capsys.readouterr().out
    monkeypatch.setattr(cli, "fingerprint", lambda: "third")
    assert main(["outbox", "discard-held", "--yes", *options]) == 0
    assert "1 slots with 2 passages were discarded: they will not be sent" in capsys.readouterr().out
    assert main(["outbox", *options]) == 0
    assert "discarded: 1 slots" in capsys.readouterr().out


def test_outbox_of_a_damaged_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the edge mends it: a sentence. Afterwards: what was found, what was carried over, where the file is."""
    path = config.parent / "outbox.sqlite"
    options = ["--config", str(config)]
    with Outbox.open(path) as outbox:
        outbox.book([Entry("markt-1", (Piece(NOON, 10, 10_000, ((0, 0, 2),)),), None)])
    data = bytearray(path.read_bytes())
    data[:4096] = b"\x55" * 4096
    path.write_bytes(data)

    assert main(["outbox", *options]) == 1
    assert "cannot be read: file is not a database; if it is damaged, the edge mends it" in capsys.readouterr().err
    assert main(["outbox", "adopt", *options]) == 0
    capsys.readouterr()
    assert main(["outbox", *options]) == 0
    said = capsys.readouterr().out
    assert "the damaged file is kept as outbox.sqlite.damaged-" in said
    assert "found: file is not a database" in said
    assert "carried over: slot 1, slot_cell 1" in said
    assert "markt-1: slots 1" in said


def recording(path: Path) -> Path:
    """Twelve intervals with two in and one out each, one of them sent twice, one spoiled, noise, a reboot, a tail."""
    device = Device()
    data = b"\xfftail of a frame\0" + hello()
    frame = b""
    for number in range(12):
        frame = device.close({(0, 0): 2, (1, 0): 1}, utc_ms=(NOON + 10 * number) * 1000).frame(7, device.oldest)
        if number == 3:
            data += frame
        if number == 5:
            frame = frame[:20] + bytes([frame[20] ^ 0x40]) + frame[21:]
        if number == 8:
            data += device.reboot()
        data += frame
    path.write_bytes(data + frame[:30])
    return path


def test_probe_reads_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """replay:FILE gives the pinned JSON: frames, faults, restarts, and each interval's passages once."""
    file = recording(tmp_path / "line.bin")

    assert main(["probe", "--port", f"replay:{file}", "--driver", "reference", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    spoiled = len(Device().close({(0, 0): 2, (1, 0): 1}).frame(7, (1, 0)))
    assert set(found) == SHAPE
    assert found == {
        "driver": "reference",
        "frames": 14,
        "targets": 0,
        "skipped_bytes": found["skipped_bytes"],
        "bad_frames": 1,
        "restarts": 1,
        "passages": {"in": 22, "out": 11},
    }
    assert abs(found["skipped_bytes"] - (17 + 30 + spoiled)) <= 2


def test_a_long_recording_takes_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept to know an interval again is bounded, and reaches far enough."""
    monkeypatch.setattr(reference, "_MOST_SEEN", 5)
    survey = reference.DRIVER.survey()
    frames = reference.DRIVER.framer().feed(recording(tmp_path / "line.bin").read_bytes())
    for frame in frames:
        survey.see(frame)

    assert survey.passages == {"in": 22, "out": 11}
    assert len(survey._seen) == 5


def test_probe_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json it is for people: who is there, what passed, what was bad."""
    assert main(["probe", "--port", f"replay:{recording(tmp_path / 'line.bin')}", "--driver", "reference"]) == 0

    said = capsys.readouterr().out
    assert "driver reference: 14 frames, 1 bad" in said
    assert "device 7: firmware 'model 1', boot 2" in said
    assert "passages: 22 in, 11 out; restarts of the device: 1" in said
    assert "last bad frame: COBS code" in said


def test_probe_of_noise_gives_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line of another make has no frames, a dead one no bytes: the probe says what to look at."""
    (tmp_path / "noise").write_bytes(bytes(range(1, 256)) * 40)
    (tmp_path / "dead").write_bytes(b"")

    assert main(["probe", "--port", f"replay:{tmp_path / 'noise'}", "--driver", "reference"]) == 0
    assert "nothing valid was heard in 10200 bytes: is it the right driver" in capsys.readouterr().out
    assert main(["probe", "--port", f"replay:{tmp_path / 'dead'}", "--driver", "reference"]) == 0
    assert "not a single byte: is it the right port, has the device power" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--driver", "ld2450", "--port", "replay:/no/such/file"], "replay:/no/such/file: there is no such file"),
        (["--driver", "ld2450", "--port", "/tmp"], "/tmp: it is a folder, no serial port"),
        (["--driver", "ld2450", "--port", "socket://127.0.0.1"], "127.0.0.1: expected socket://HOST:PORT"),
        (["--driver", "ld2450", "--port", "x", "--for", "0"], "--for 0: expected seconds above 0"),
        (["--driver", "ld2450", "--port", "x", "--sensor", "markt-1"], "--sensor markt-1 needs --config"),
        (["--driver", "ld2450", "--port", "x", "--plot", "/no/such/x.svg"], "there is no folder /no/such"),
        (["--driver", "reference", "--port", "x", "--plot", "x.svg"], "there is nothing to draw"),
        (["--driver", "ld2450", "--port", "x", "--set", "line = {}"], "write [[sensor.line]], with two brackets"),
        (["--driver", "ld2450", "--port", "x", "--line", "-1,2,-1,2"], "the line is 0.00 m long"),
        (
            ["--driver", "modbus", "--port", "x", "--set", "slave = 1", "--set", "in = 0"],
            "expected one table, [sensor.in]",
        ),
    ],
)
def test_a_probe_says_what_is_wrong_before_it_listens(
    asked: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake is one sentence on standard error, without a traceback and without numbers of the system."""
    assert main(["probe", *asked]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert "Errno" not in said
    assert "Tuple" not in said
    assert len(said.splitlines()) == 1


def test_settings_of_one_table_may_come_in_several_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each --set adds to what those before it said of a table, and a line may begin at a negative number."""
    (tmp_path / "empty").write_bytes(b"")
    port = ["--port", f"replay:{tmp_path / 'empty'}"]
    words = ["--set", "slave = 1", "--set", "in.register = 0", "--set", "in.width_bits = 32"]

    assert main(["probe", "--driver", "modbus", *port, *words]) == 0
    assert main(["probe", "--driver", "ld2450", *port, "--line", "-3,2,3,2"]) == 0
    assert "line 0 from (-3.0, 2.0) to (3.0, 2.0) m" in capsys.readouterr().out


def test_probe_of_a_live_line_takes_nothing_from_it(link: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It hears the device and acknowledges nothing: whatever waited in the device still waits."""
    with Counter(link) as counter:
        counter.passes(3)
        counter.cut()
        wait_until(lambda: counter.waiting, what="an interval in the device")
        before = counter.waiting

        assert main(["probe", "--port", str(link), "--driver", "reference", "--for", "8", "--json"]) == 0
        assert counter.waiting >= before

    found = json.loads(capsys.readouterr().out)
    assert found["passages"] == {"in": 3, "out": 0}
    assert found["frames"] >= 2
    assert found["bad_frames"] == 0


def test_probe_says_why_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is not there, a driver that is not there, a recording that is not there: a sentence and status 1."""
    assert main(["probe", "--port", str(tmp_path / "tty"), "--driver", "reference"]) == 1
    assert "tty: there is no such port" in capsys.readouterr().err
    assert main(["probe", "--port", "replay:x", "--driver", "sonar"]) == 1
    assert "no driver 'sonar'; there are: ld2450" in capsys.readouterr().err
    assert main(["probe", "--port", f"replay:{tmp_path / 'none'}", "--driver", "reference"]) == 1
    assert "none: there is no such" in capsys.readouterr().err
