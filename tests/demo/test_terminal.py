"""What the demo says, on a terminal and into a file, and that saying it never fails."""

import io
import os

import pytest

from footfall_demo import terminal as module
from footfall_demo.terminal import Terminal
from footfall_testing.waiting import wait_until


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_long_lines_stay_in_one_piece() -> None:
    """A path or a command to copy is not broken at the width of a window, and nothing in it is markup."""
    out = io.StringIO()
    Terminal(out).say("mosquitto_pub -m '[bold]" + "x" * 300 + "' :smile:")

    assert out.getvalue() == "mosquitto_pub -m '[bold]" + "x" * 300 + "' :smile:\n"


def test_progress_in_a_file_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there is no bar: a line with the percentage, not for every step."""
    out = io.StringIO()
    with Terminal(out).progress("Simulating the past") as step:
        for done in range(100):
            step(done, 100)
    assert out.getvalue() == ""

    monkeypatch.setattr(module, "_EVERY_S", 0.0)
    with Terminal(out).progress("Simulating the past") as step:
        step(1, 4)
        step(3, 4)
    assert out.getvalue() == "Simulating the past: 25 %\nSimulating the past: 75 %\n"


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks can show their bars at once, lines can be said meanwhile, and the bars go when all is done."""
    monkeypatch.setenv("TERM", "xterm")
    out = Screen()
    terminal = Terminal(out)
    with terminal.progress("Counting") as counting, terminal.progress("Simulating the past") as past:
        counting(1, 2)
        past(1, 4)
        wait_until(lambda: "50%" in out.getvalue() and "25%" in out.getvalue(), what="both bars to be drawn")
        terminal.say("ingest ended")
    terminal.say("Stopped.")

    text = out.getvalue()
    assert all(part in text for part in ("Counting", "Simulating the past", "ingest ended\n"))
    assert text.endswith("Stopped.\n")


def test_a_terminal_that_is_gone_does_no_harm() -> None:
    """After the terminal was closed the processes must still be stopped: saying so must not fail."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as gone:
        terminal = Terminal(gone)
        terminal.say("Stopping …")
        terminal.say("Stopped.")
        with terminal.progress("Counting") as step:
            step(1, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), gone.fileno())  # what is left in the buffer must go somewhere
