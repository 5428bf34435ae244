"""``footfall-sim record``: what it writes is the sensor's bytes, and what it says of them is true."""

import itertools
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from footfall_sim.__main__ import main
from footfall_sim.radar import MAKES


def recorded(folder: Path, *options: str) -> tuple[bytes, dict[str, Any]]:
    """Record with the given options."""
    out, truth = folder / "recording.bin", folder / "truth.json"
    assert main(["record", "--out", str(out), "--truth", str(truth), *options]) == 0
    return out.read_bytes(), json.loads(truth.read_text())


def test_the_truth_of_an_ld2450_recording_is_in_its_bytes(tmp_path: Path) -> None:
    """Frames of 30 bytes as many as said, targets as many as there are slots in use, passages as many as asked for."""
    options = ("--driver", "ld2450", "--per-direction", "3", "--turning", "1", "--seed", "4")
    data, truth = recorded(tmp_path, *options)
    frames = [data[at : at + 30] for at in range(0, len(data), 30)]

    assert all(frame[:4] == b"\xaa\xff\x03\x00" and frame[28:] == b"\x55\xcc" for frame in frames)
    assert truth["passages"] == {"in": 3, "out": 3}
    assert truth["frames"] == len(frames)
    assert truth["targets"] == sum(any(frame[at : at + 8]) for frame in frames for at in (4, 12, 20))
    assert (truth["driver"], truth["scene"], truth["bytes"], truth["restarts"]) == ("ld2450", "easy", len(data), 0)


def test_the_truth_of_a_ti_recording_is_in_its_bytes(tmp_path: Path) -> None:
    """The same by the lengths of frames and of the blocks 1010; restarts are where the frame number is 1 again."""
    options = ("--driver", "ti-people", "--scene", "crowd", "--per-min", "60", "--seconds", "70", "--seed", "4")
    data, truth = recorded(tmp_path, *options, "--restart-every-s", "23", "--height-m", "2.4", "--tilt-deg", "12")
    at, numbers, targets = 0, [], 0
    while at < len(data):
        length, _, number, _, _, blocks = struct.unpack_from("<6I", data, at + 12)
        numbers.append(number)
        block = at + 40
        for _ in range(blocks):
            kind, size = struct.unpack_from("<2I", data, block)
            targets += size // 112 if kind == 1010 else 0
            block += 8 + size
        assert block == at + length
        at += length

    assert (truth["frames"], truth["targets"]) == (len(numbers), targets)
    assert truth["restarts"] == 3
    assert sum(b < a for a, b in itertools.pairwise(numbers)) == 3
    assert truth["seconds"] == 70
    assert truth["per_min"] == 60
    assert 15 < sum(truth["passages"].values()) < 100


@pytest.mark.parametrize("make", MAKES)
def test_a_recording_can_be_had_again(make: str, tmp_path: Path) -> None:
    """The same options give the same bytes, faults included; another seed gives others."""
    options = ("--driver", make, "--seconds", "30", "--scene", "crowd", "--loss", "0.01", "--noise-per-s", "20")

    first = recorded(tmp_path, *options)
    assert first == recorded(tmp_path, *options)
    assert first[0] != recorded(tmp_path, *options, "--seed", "2")[0]


def test_the_wire_spoils_the_bytes_and_not_the_truth(tmp_path: Path) -> None:
    """Lost, turned and invented bytes are in the file; frames, targets and passages are what the sensor sent."""
    options = ("--driver", "ld2450", "--per-direction", "2", "--turning", "0")
    clean, truth = recorded(tmp_path, *options)
    lossy, same = recorded(tmp_path, *options, "--loss", "0.02")
    flipped, _ = recorded(tmp_path, *options, "--flip", "0.02")
    noisy, _ = recorded(tmp_path, *options, "--noise-per-s", "50")

    assert 0.97 * len(clean) < len(lossy) < 0.99 * len(clean)
    assert 0.01 < sum(a != b for a, b in zip(clean, flipped, strict=True)) / len(clean) < 0.03
    assert len(noisy) == pytest.approx(len(clean) + 50 * truth["seconds"], rel=0.05)
    assert {**truth, "bytes": 0} == {**same, "bytes": 0}


def test_the_length_can_be_cut(tmp_path: Path) -> None:
    """With --seconds an easy scene ends early, with the passages until then."""
    _, whole = recorded(tmp_path, "--driver", "ld2450", "--per-direction", "5", "--turning", "0")
    _, short = recorded(tmp_path, "--driver", "ld2450", "--per-direction", "5", "--turning", "0", "--seconds", "30")

    assert short["seconds"] == 30
    assert 300 < short["frames"] < 340 < whole["frames"]
    assert sum(short["passages"].values()) < 5 < sum(whole["passages"].values())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("--driver", "ld2450", "--tilt-deg", "10"), "mounted level"),
        (("--driver", "ld2450", "--line", "1", "1", "1", "1"), "two different points"),
        (("--driver", "ti-people", "--height-m", "-1"), "0 to 20 m high"),
    ],
)
def test_what_cannot_be_recorded_gets_a_sentence(
    wrong: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and no traceback."""
    assert main(["record", "--out", str(tmp_path / "x"), *wrong]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [("--loss", "2"), ("--per-min", "0"), ("--seconds", "nan"), ("--turning", "1.5"), ("--driver", "xy")]
)
def test_options_that_cannot_be_are_refused(
    wrong: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by every command: exit status 2 and the name of the option."""
    with pytest.raises(SystemExit) as exit_info:
        main(["record", "--driver", "ld2450", "--out", str(tmp_path / "x"), *wrong])

    assert exit_info.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file that could not be written stands in the sentence."""
    out = tmp_path / "nowhere" / "x.bin"

    assert main(["record", "--driver", "ld2450", "--out", str(out)]) == 2
    assert str(out) in capsys.readouterr().err
