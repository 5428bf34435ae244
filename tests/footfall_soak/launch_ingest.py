"""``footfall-ingest`` that can be told to die at a moment that a signal from outside would never hit.

The real wiring runs with the real write function in a wrapper: after SIGUSR1 the process kills itself in the next
transaction that stores something, when all is written and nothing is committed; after SIGUSR2 when that is committed
and nobody has been told.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footfall_ingest import process
from footfall_ingest.flush import Message, Outcome, write_batch
from footfall_ingest.settings import IngestSettings
from footfall_role import logs
from footfall_role.stop import StopSignal

IN_TRANSACTION, AFTER_COMMIT = signal.SIGUSR1, signal.SIGUSR2

armed: set[int] = set()
"""Signals that came."""


def die() -> None:
    """Now, without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def write(connection: Any, messages: Sequence[Message], **options: Any) -> Outcome:
    """`write_batch`, and death where it was asked for."""
    if IN_TRANSACTION in armed:
        with connection.transaction():
            outcome = write_batch(connection, messages, **options)
            if outcome.stored:
                die()
    else:
        outcome = write_batch(connection, messages, **options)
    if AFTER_COMMIT in armed and outcome.stored:
        die()
    return outcome


def main(config: Path) -> None:
    """What ``footfall-ingest --config FILE`` does."""
    for number in (IN_TRANSACTION, AFTER_COMMIT):
        signal.signal(number, lambda came, _frame: armed.add(came))
    settings = IngestSettings.load(config)
    logs.configure(settings.log_level)
    with StopSignal() as stop:
        process.run(settings, stop.event, write=write)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
