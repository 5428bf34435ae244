"""What every process has: the extra it needs, logs, the stop signal."""

import logging
import os
import signal

import pytest

from footfall_role import extras, logs
from footfall_role.stop import StopSignal


def test_a_missing_extra_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Who starts a role without its packages reads which extra to install; the status is 2."""
    with pytest.raises(SystemExit) as caught:
        extras.require("edge", ["json", "no_such_module"])

    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "no_such_module" in said
    assert "pip install 'footfall[edge]'" in said


def test_what_is_installed_is_not_asked_for() -> None:
    """A role whose modules are all there starts."""
    extras.require("edge", ["json", "logging"])


def test_a_log_line_carries_its_facts() -> None:
    """A line has time, level, place and message, then key=value, quoted where needed."""
    record = logging.makeLogRecord(
        {"msg": "port %s", "args": ("open",), "name": "footfall", "levelname": "INFO", "created": 0.0}
        | logs.facts(sensor="markt-1", why="no route")
    )

    line = logs.LineFormatter().format(record)

    assert line == "1970-01-01T00:00:00Z INFO footfall port open sensor=markt-1 why='no route'"


def test_a_log_line_stays_one_whatever_is_in_it() -> None:
    """Part of it may be a stranger's: nothing in it begins another line or moves a terminal's cursor."""
    forged = "a\r\n1970-01-01T00:00:00Z INFO footfall all is well\x1b[2J\x85\u2028\x00"
    record = logging.makeLogRecord(
        {"msg": "no %s", "args": (forged,), "name": "footfall", "levelname": "INFO", "created": 0.0}
        | logs.facts(path=forged, name="Jänner")
    )

    line = logs.LineFormatter().format(record)

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert line.startswith("1970-01-01T00:00:00Z INFO footfall no a 1970-01-01T00:00:00Z INFO footfall all is well")
    assert line.endswith("name=Jänner")


def test_a_log_line_says_which_of_several_processes_it_is_of() -> None:
    """What is said of the process itself stands at the end of each of its lines."""
    record = logging.makeLogRecord({"msg": "open", "name": "footfall", "levelname": "INFO", "created": 0.0})

    assert logs.LineFormatter(worker=2).format(record) == "1970-01-01T00:00:00Z INFO footfall open worker=2"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_asked_for_by_signal(number: signal.Signals) -> None:
    """Both signals that people and service managers send are seen, and the handlers are put back."""
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop
        os.kill(os.getpid(), number)

        assert stop.wait(5)
        assert stop
    assert signal.getsignal(number) is before
