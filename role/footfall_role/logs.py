"""Logs for people and journals: one event a line, on standard error, the facts as ``key=value``.

A line reads ``2026-03-01T12:00:00Z WARNING footfall_edge.reader port reopened sensor=markt-1 wait_s=2``. Facts are
given with ``log.info("port reopened", extra=facts(sensor="markt-1", wait_s=2))``; the time is UTC.
"""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

_FACTS = "footfall_facts"


def facts(**values: object) -> dict[str, Any]:
    """The ``extra=`` argument of a log call: what the line is about, e.g. sensor and sequence number."""
    return {_FACTS: values}


def _text(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "\"'=" for c in text) else text


class LineFormatter(logging.Formatter):
    """Renders a record as one line of ``key=value`` facts with a UTC time."""

    converter = staticmethod(time.gmtime)

    def __init__(self, **always: object) -> None:
        """`always`: facts of the process itself, at the end of each line."""
        super().__init__("%(asctime)sZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the facts after the message and a traceback, if any, below."""
        values: Mapping[str, object] = {**getattr(record, _FACTS, {}), **self._always}
        if values:
            record = logging.makeLogRecord(record.__dict__)
            record.msg = " ".join([record.getMessage(), *(f"{k}={_text(v)}" for k, v in values.items())])
            record.args = ()
        return super().format(record)


def configure(level: str = "INFO", **always: object) -> None:
    """Send every log of this process to standard error, as `level` (``DEBUG`` to ``ERROR``) and above.

    `always` are facts that each line carries: which of several processes this is.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(**always))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
