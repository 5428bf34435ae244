"""How far a long work is: a line on a terminal that is written over, or now and then a line in the log."""

import logging
import sys
import time
from typing import Final

from footfall_role.logs import facts

log = logging.getLogger(__name__)

_EVERY_S: Final = 0.2
_LOG_EVERY_S: Final = 60.0


class Bar:
    """Shows on a terminal what it is called with; elsewhere nothing, or, if told to log, a line a minute."""

    def __init__(self, *, logs: bool = False) -> None:
        self._shown = sys.stderr.isatty()
        self._logs = logs and not self._shown
        self._last = time.monotonic() if self._logs else 0.0
        self._width = 0

    def __call__(self, what: str, done: int, of: int) -> None:
        """So much of `of` is done; `of` 0: how much there is to do is not known."""
        now = time.monotonic()
        if self._logs and now - self._last >= _LOG_EVERY_S:
            self._last = now
            log.info("at work: %s", what, extra=facts(done=done, **({"of": of} if of else {})))
        if not self._shown or (now - self._last < _EVERY_S and done != of):
            return
        self._last = now
        text = f"{what}: {done:,}" + (f" of {of:,} ({done * 100 // of} %)" if of else "")
        sys.stderr.write(f"\r{text.ljust(self._width)}")
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        """Clear the line."""
        if self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            self._width = 0
