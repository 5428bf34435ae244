"""Logs for people and journals: one event a line, on standard error, the facts as ``key=value`` or as JSON.

A line reads ``2026-03-01T12:00:00Z WARNING footfall_edge.reader port reopened sensor=markt-1 wait_s=2``. Facts are
given with ``log.info("port reopened", extra=facts(sensor="markt-1", wait_s=2))``; the time is UTC. With ``log_format =
"json"`` the same line is an object: ``{"time": …, "level": …, "logger": …, "message": …, "sensor": "markt-1", …}``.

Four keys are the thread through all roles, and mean the same in each: ``node``, ``sensor``, ``stream`` and ``seq`` name
a report from the box that numbered it to the transaction that stored it, or to its row in quarantine. With DEBUG every
step of every report is a line. Numbers that a device gives its own frames are called ``device_seq``.
"""

import json
import logging
import math
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

Format = Literal["text", "json"]

OWN_KEYS: Final = ("time", "level", "logger", "message", "traceback")
"""What a line of JSON says of itself; no fact is called so."""

_FACTS = "footfall_facts"
_CONTROL = re.compile("[\n\r\t]+|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LEFT_BY_JSON = re.compile("[\x7f-\x9f\u2028\u2029]")


def facts(**values: object) -> dict[str, Any]:
    """The ``extra=`` argument of a log call: what the line is about, e.g. sensor and sequence number."""
    return {_FACTS: values}


def _text(value: object) -> str:
    text = str(value)
    return repr(text) if not text or not text.isprintable() or any(c.isspace() or c in "\"'=" for c in text) else text


def _harmless(control: re.Match[str]) -> str:
    return " " if control[0].isspace() and control[0].isascii() else repr(control[0])[1:-1]


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


class LineFormatter(logging.Formatter):
    """Renders a record as one line of ``key=value`` facts with a UTC time."""

    converter = staticmethod(time.gmtime)

    def __init__(self, **always: object) -> None:
        """`always`: facts of the process itself, at the end of each line."""
        super().__init__("%(asctime)sZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the facts after the message and a traceback, if any, below and set in."""
        values: Mapping[str, object] = {**getattr(record, _FACTS, {}), **self._always}
        if values:
            record = logging.makeLogRecord(record.__dict__)
            record.msg = " ".join([record.getMessage(), *(f"{k}={_text(v)}" for k, v in values.items())])
            record.args = ()
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the library's name
        """The line itself, in which nothing ends it or moves a terminal's cursor: part of it may be a stranger's."""
        return _CONTROL.sub(_harmless, super().formatMessage(record).rstrip())

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the library's name
        """The traceback, whose last words may be a stranger's too: none of its lines begins as one of the log does."""
        return "\n".join(f"  {_CONTROL.sub(_harmless, line)}" for line in super().formatException(ei).split("\n"))


class JsonFormatter(logging.Formatter):
    """Renders a record as one JSON object on one line: `OWN_KEYS`, then the facts under their own names."""

    def __init__(self, **always: object) -> None:
        """`always`: facts of the process itself, in each line."""
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback, if any, is a string in it."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        values: Mapping[str, object] = {**getattr(record, _FACTS, {}), **self._always}
        line = json.dumps(said | {key: _plain(value) for key, value in values.items()}, ensure_ascii=False)
        return _LEFT_BY_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def configure(level: str = "INFO", form: Format = "text", **always: object) -> None:
    """Send every log of this process to standard error, as `level` (``DEBUG`` to ``ERROR``) and above.

    `always` are facts that each line carries: which node, or which of several processes this is.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(**always) if form == "json" else LineFormatter(**always))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
