"""The past, written in the background of the running city: which one, and what became of it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import psycopg

from footfall_demo.city import Counter
from footfall_demo.folder import Memory
from footfall_demo.history_csv import History
from footfall_demo.history_import import CancelledError, import_history
from footfall_demo.history_simulated import simulate_history
from footfall_demo.refusals import FailedError
from footfall_demo.terminal import Step, Terminal

_AGAIN_AFTER_S = 1.0
"""The database may be on its way back: the supervisor restarts it."""


class Source(Protocol):
    """Where a past comes from."""

    @property
    def title(self) -> str:
        """What the progress bar says."""

    def write(self, connection: psycopg.Connection, step: Step, cancelled: Callable[[], bool]) -> str:
        """Write what is missing of it; returns a sentence about what was done."""


@dataclass(frozen=True)
class SimulatedPast:
    """The days before live counting began, as the counters would have seen them."""

    counters: Sequence[Counter]
    memory: Memory
    days: int
    title = "Simulating the past"

    def write(self, connection: psycopg.Connection, step: Step, cancelled: Callable[[], bool]) -> str:
        """See `Source.write`."""
        assert self.memory.live_since is not None
        written = simulate_history(
            connection,
            {counter.sensor: counter.people(self.memory.seed) for counter in self.counters},
            seed=self.memory.seed,
            live_since=self.memory.live_since,
            days=self.days,
            step=step,
            cancelled=cancelled,
        )
        known = self.days * len(self.counters) - written
        return f"The past is there: {self.days} days simulated{_already(known, written)}."


@dataclass(frozen=True)
class ImportedPast:
    """What a file says."""

    history: History
    title = "Taking over the past"

    def write(self, connection: psycopg.Connection, step: Step, cancelled: Callable[[], bool]) -> str:
        """See `Source.write`."""
        done = import_history(connection, self.history, step=step, cancelled=cancelled)
        counted = sum(1 for station in self.history.stations for interval in station.intervals if interval.line)
        return (
            f"The past is there: {counted:,} intervals of {len(self.history.stations)} stations, read back and compared"
            f"{_already(done.known, done.written)}."
        )


def _already(known: int, written: int) -> str:
    if not known:
        return ""
    return " (all of it was there already)" if not written else " (a part of it was there already)"


class PastWriter:
    """Writes a past in a thread of its own, once `start` is called."""

    def __init__(self, dsn: str, source: Source, terminal: Terminal) -> None:
        self._dsn = dsn
        self._source = source
        self._terminal = terminal
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="past", daemon=True)
        self._there = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    @property
    def failed(self) -> bool:
        """Whether it ended, by itself, without the past being there."""
        return self.done and not self._there and not self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop soon; what is missing is written after the next start."""
        self._cancelled.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._terminal.progress(self._source.title) as step:
                sentence = self._write(step)
            self._there = True
        except CancelledError:
            return
        except (FailedError, psycopg.Error) as error:
            sentence = str(error)
        self._terminal.say(sentence)

    def _write(self, step: Step) -> str:
        while True:
            try:
                with psycopg.connect(self._dsn, connect_timeout=10, autocommit=True) as connection:
                    return self._source.write(connection, step, self._cancelled.is_set)
            except psycopg.OperationalError:
                if self._cancelled.wait(_AGAIN_AFTER_S):
                    raise CancelledError from None
