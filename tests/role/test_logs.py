"""Lines of the log, as text and as JSON, and the keys that are the same in all roles."""

import ast
import json
import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_role import logs
from footfall_role.settings import RoleSettings, SettingsError

ROOT = Path(__file__).parents[2]
FOLDERS = ("role", "edge", "ingest", "api", "firmware-sim", "deploy")
STREAM = UUID("11111111-2222-4333-8444-555555555555")

OTHER_NAMES = {"sensor_id", "node_id", "stream_id", "sequence", "seq_no", "number_of_report", "box"}
"""What somebody could call the four keys of the thread."""


def record(message: str, *args: object, **values: object) -> logging.LogRecord:
    """A warning of the first second of 1970 and a quarter."""
    made = {"msg": message, "args": args, "name": "footfall.x", "levelname": "WARNING", "created": 0.25, "msecs": 250.0}
    return logging.makeLogRecord(made | logs.facts(**values))


def test_a_line_of_json_has_the_facts_beside_what_it_says_of_itself() -> None:
    """Numbers stay numbers, everything else is text; what is said of the process is in each line."""
    line = logs.JsonFormatter(node="nord").format(
        record("port %s", "gone", sensor="markt-1", stream=STREAM, seq=7, wait_s=0.5, why=None, known=True)
    )

    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "WARNING",
        "logger": "footfall.x",
        "message": "port gone",
        "sensor": "markt-1",
        "stream": str(STREAM),
        "seq": 7,
        "wait_s": 0.5,
        "why": None,
        "known": True,
        "node": "nord",
    }
    assert "\n" not in line


def test_a_traceback_is_in_the_line() -> None:
    """What goes over several lines as text is one string of the object."""
    broken = record("broken")
    try:
        1 / 0  # noqa: B018  # it is to fail
    except ZeroDivisionError:
        broken.exc_info = sys.exc_info()

    line = logs.JsonFormatter().format(broken)

    assert "ZeroDivisionError: division by zero" in json.loads(line)["traceback"]
    assert "\n" not in line


def fail(words: str) -> NoReturn:
    """Go wrong, in these words."""
    raise ValueError(words)


def test_no_line_of_a_traceback_begins_as_a_line_of_the_log() -> None:
    """What went wrong may be told in a stranger's words."""
    broken = record("broken")
    try:
        fail("x\n2026-03-01T12:00:00Z INFO footfall all is well\x1b[2J")
    except ValueError:
        broken.exc_info = sys.exc_info()

    first, *rest = logs.LineFormatter().format(broken).split("\n")

    assert first == "1970-01-01T00:00:00Z WARNING footfall.x broken"
    assert [line for line in rest if not line.startswith("  ") or not line.isprintable()] == []
    assert rest[-1].startswith("  2026-03-01T12:00:00Z INFO footfall all is well\\x1b[2J")


@given(
    st.text() | st.sampled_from(["\x85", "\u2028", "\x9b", "\x7f"]),
    st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.booleans() | st.none() | st.floats()),
)
def test_whatever_is_said_stays_one_line_and_what_it_was(message: str, values: dict[str, object]) -> None:
    """No message and no fact, with whatever marks and line ends in it, makes two lines or another message."""
    line = logs.JsonFormatter().format(record("%s", message, **{f"x_{key}": value for key, value in values.items()}))

    said = json.loads(line, parse_constant=pytest.fail)
    assert len(line.splitlines()) == 1
    assert said["message"] == message
    expected = {key: str(v) if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}
    assert {key: said[f"x_{key}"] for key in values} == expected


def test_the_format_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text unless json is asked for; anything else is refused."""
    assert RoleSettings().log_format == "text"
    monkeypatch.setenv("FOOTFALL_LOG_FORMAT", "json")
    assert RoleSettings.load(None).log_format == "json"
    monkeypatch.setenv("FOOTFALL_LOG_FORMAT", "xml")
    with pytest.raises(SettingsError, match=r"FOOTFALL_LOG_FORMAT: log_format: .*'text' or 'json'"):
        RoleSettings.load(None)


def test_the_logs_of_a_process_have_the_format_that_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    """Also the lines of libraries."""
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.configure("INFO", "json", node="nord")
        logging.getLogger("some.library").warning("slow")
        logs.configure("INFO", node="nord")
        logging.getLogger("some.library").warning("slow")
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger().setLevel(before[1])

    as_json, as_text = capsys.readouterr().err.splitlines()
    assert (json.loads(as_json)["message"], json.loads(as_json)["node"]) == ("slow", "nord")
    assert as_text.endswith("WARNING some.library slow node=nord")


def facts_in(path: Path) -> Iterator[tuple[int, str]]:
    """Line and key of each fact that a module logs."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"facts", "_log", "_log_broker"}:
            yield from ((node.lineno, keyword.arg) for keyword in node.keywords if keyword.arg is not None)


def test_all_roles_call_the_same_thing_by_the_same_key() -> None:
    """Node, sensor, stream and number of a report have one name each; no fact is called as the line's own parts are."""
    found = {
        (str(path.relative_to(ROOT)), line, key)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for line, key in facts_in(path)
    }

    assert len(found) > 60
    assert [place for place in found if place[2] in OTHER_NAMES | set(logs.OWN_KEYS)] == []
    for role in ("edge", "ingest"):
        assert {"sensor", "stream", "seq"} <= {key for path, _, key in found if path.startswith(role)}
