"""Recorded bytes of each kind of sensor, and what a probe must make of them: `recordings/DRIVER/NAME.hex` and `.json`.

A new driver brings a folder of its own. In a `.hex` file ``#`` begins a comment; the `.json` beside it has the settings
of the sensor, as for ``probe --set``, and the answer of ``probe --json``.
"""

import json
import re
from pathlib import Path

import pytest

from footfall_edge import probe
from footfall_edge.__main__ import main
from footfall_edge.drivers import BUILT_IN

FOLDER = Path(__file__).parent / "recordings"
RECORDINGS = sorted(FOLDER.glob("*/*.hex"))


def recorded(path: Path) -> bytes:
    """The bytes of a recording."""
    return bytes.fromhex(re.sub(r"#.*", "", path.read_text("utf-8")))


def test_every_driver_has_a_recording() -> None:
    """A driver without recorded bytes is one of which nobody can say what it reads."""
    assert {path.parent.name for path in RECORDINGS} == set(BUILT_IN)


@pytest.mark.parametrize("size", [1, 7, 29, 300, 4096])
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recording_is_read_as_expected(
    path: Path, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames, targets, skipped bytes, bad frames, restarts and passages, however the bytes come."""
    monkeypatch.setattr(probe, "_CHUNK", size)
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    (tmp_path / "bytes").write_bytes(recorded(path))
    options = [word for option in expected["set"] for word in ("--set", option)]

    argv = ["probe", "--json", "--driver", path.parent.name, "--port", f"replay:{tmp_path / 'bytes'}", *options]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out) == expected["probe"]
