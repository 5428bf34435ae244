"""``footfall-edge`` that can be told to die at a moment that a signal from outside would never hit.

The real wiring runs with an outbox that is the real one, but for this: after SIGUSR1 the process kills itself when the
next counts are committed and their device has not been told; after SIGUSR2 when the next reports have their numbers and
nobody has got them; after SIGRTMIN when the next counts are written and not yet committed.
"""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from footfall_edge import agent
from footfall_edge.counts import Cursor
from footfall_edge.outbox import Entry, Outbox, Report
from footfall_edge.settings import EdgeSettings
from footfall_role import logs
from footfall_role.stop import StopSignal

BEFORE_ACKNOWLEDGEMENT, BEFORE_PUBLISH, IN_TRANSACTION = signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN

armed: set[int] = set()
"""Signals that came."""


def die() -> None:
    """Now, without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


class MortalOutbox(Outbox):
    """The real outbox, in a process that may die."""

    _at_stake = False
    """There are passages among what is being booked."""

    def book(self, entries: Iterable[Entry]) -> None:
        """Store counts, and die when that is done if that was asked for and there were any."""
        given = list(entries)
        self._at_stake = any(piece.passages for entry in given for piece in entry.pieces)
        super().book(given)
        if BEFORE_ACKNOWLEDGEMENT in armed and self._at_stake:
            die()

    def _advance(self, sensor: str, cursor: Cursor) -> None:
        """The last step of an entry in the transaction: die after it."""
        super()._advance(sensor, cursor)
        if IN_TRANSACTION in armed and self._at_stake:
            die()

    def number(self, *args: Any, **options: Any) -> list[Report]:
        """Give reports their numbers, and die if that was asked for and there were any."""
        reports = super().number(*args, **options)
        if BEFORE_PUBLISH in armed and reports:
            die()
        return reports


def main(config: Path) -> None:
    """What ``footfall-edge --config FILE`` does."""
    for number in (BEFORE_ACKNOWLEDGEMENT, BEFORE_PUBLISH, IN_TRANSACTION):
        signal.signal(number, lambda came, _frame: armed.add(came))
    settings = EdgeSettings.load(config)
    logs.configure(settings.log_level)
    with StopSignal() as stop, patch.object(agent, "Outbox", MortalOutbox):
        agent.run(settings, stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
