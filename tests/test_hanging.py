"""A test that hangs is ended, says where, and does not take the run with it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HANGING = """
import threading


def test_hangs():
    threading.Event().wait()


def test_after_it():
    pass
"""


def test_a_hanging_test_says_where_and_the_others_go_on(tmp_path: Path) -> None:
    """Among several workers, as the suite is run, and with the suite's own way to end it."""
    file = tmp_path / "test_hanging_here.py"
    file.write_text(HANGING, encoding="utf-8")
    words = [
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        "-o",
        "timeout=2",
        "-n",
        "1",
        "-q",
        str(file),
    ]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "1 failed, 1 passed" in told.stdout, told.stdout + told.stderr
    assert "threading.Event().wait()" in told.stdout
    assert "Timeout (>2.0s)" in told.stdout
