"""Several aggregators on this machine: a small parent that starts worker processes and keeps them running.

The parent connects to nothing but, once, to the database, to say in one sentence that its schema is not this program's.
All state is in the database, so the workers know nothing of each other and a dead one is simply started again; what it
had not acknowledged the nodes send again. Three things make the end a good one:

- Asked to stop, the parent asks all workers, waits until each has written what it has, and only then leaves.
- The kernel asks the workers to stop when the parent is gone, so that ``kill -9`` leaves none behind.
- A worker that says in a sentence why it cannot work (`REFUSED`) would say so again: the others are stopped too, and
  the parent leaves with status 1. Any other death is taken for an accident.

To its workers the parent is what the service manager is to it: they say when they are ready, and their loops give signs
of life. One that gives none is ended with SIGABRT, at which Python can say where it stood, and started again.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from footfall_ingest import schema
from footfall_ingest.database import Database, StoppedError
from footfall_ingest.settings import IngestSettings
from footfall_role.children import die_with_parent
from footfall_role.logs import facts
from footfall_role.notified import Mailbox
from footfall_role.notify import ServiceManager, for_child
from footfall_role.stop import StopSignal

log = logging.getLogger(__name__)

REFUSED: Final = 78
"""Exit status of a worker that has said why it cannot work (EX_CONFIG of sysexits.h)."""

_FIRST_RESTART_S, _LONGEST_RESTART_S = 0.5, 30.0
_PROVEN_S: Final = 20.0
"""A worker that ran this long can run: its next restart is a quick one again."""
_LOOK_S: Final = 0.1
_GRACE_S: Final = 20.0
"""So long may a worker take to stop. It needs a batch's time, and up to ten seconds for what the broker has sent it."""
_SILENT_S: Final = 180.0
"""A worker without a sign of life for so long hangs, where no service manager says how long it waits for ours."""
_START_S: Final = 120.0
"""A worker that is starting has at least so long."""
_ABORT_S: Final = 5.0
"""What is still there so long after SIGABRT is killed."""

Command = Callable[[int], Sequence[str]]
"""The command line of a worker by its number, from 1."""


def command_of(config: Path | None) -> Command:
    """How this program is started as a worker."""
    words = [sys.executable, "-m", "footfall_ingest", *(["--config", str(config)] if config else [])]
    return lambda number: [*words, "--worker", str(number)]


def run(settings: IngestSettings, stop: StopSignal, command: Command) -> int:
    """Keep `settings.workers` workers running until `stop`; return the exit status: 1 if a worker cannot work.

    Raises:
        footfall_ingest.schema.MigrationError: the database's schema is not this program's.
        psycopg.Error: the database refused for a reason that another try will not overcome.
    """
    manager = ServiceManager()
    waits = partial(manager.ready, "waiting for the database")
    with Database(settings.database.dsn, stop.event, waits, on_wait=manager.alive) as database:
        try:
            database.run(schema.check)
        except StoppedError:
            return 0
    silent_s = manager.watchdog_s or _SILENT_S
    workers = [_Worker(number, command(number), Mailbox(silent_s)) for number in range(1, settings.workers + 1)]
    refused = False
    try:
        while not (stop or refused):
            manager.alive()
            now_s = time.monotonic()
            refused = REFUSED in {worker.turn(now_s) for worker in workers}
            ready = sum(worker.is_ready for worker in workers)
            manager.status(f"{ready} of {len(workers)} workers run")
            if ready == len(workers):
                manager.ready()
            stop.wait(_LOOK_S)
    finally:
        manager.stopping()
        _stop(workers)
    return 1 if refused else 0


@dataclass
class _Worker:
    number: int
    command: Sequence[str]
    mailbox: Mailbox
    process: subprocess.Popen[bytes] | None = None
    is_ready: bool = False
    started_s: float = 0.0
    start_at_s: float = 0.0
    wait_s: float = _FIRST_RESTART_S
    heard_s: float = 0.0
    """When it last gave a sign of life, or was ended for want of one."""
    is_ended: bool = False

    def turn(self, now_s: float) -> int | None:
        """Start it if that is due, and notice its death, the exit status of which is returned, or that it hangs."""
        if self.process is None:
            if now_s >= self.start_at_s:
                self._start(now_s)
        elif (status := self.process.poll()) is not None:
            self.process, self.is_ready = None, False
            if now_s - self.started_s >= _PROVEN_S:
                self.wait_s = _FIRST_RESTART_S
            self.start_at_s = now_s + self.wait_s
            log.error("a worker ended", extra=facts(number=self.number, status=_how(status), wait_s=self.wait_s))
            self.wait_s = min(2 * self.wait_s, _LONGEST_RESTART_S)
            return status
        else:
            self._listen(self.process, now_s)
        return None

    def _listen(self, process: subprocess.Popen[bytes], now_s: float) -> None:
        """Take note of what it says; end it when it says nothing for too long."""
        said = self.mailbox.said(process.pid)
        self.is_ready |= "READY=1" in said
        if said and not self.is_ended:
            self.heard_s = now_s
        silent_s = now_s - self.heard_s
        if self.is_ended:
            if silent_s >= _ABORT_S:
                process.kill()
        elif self.mailbox.hears and silent_s >= self._patience_s():
            log.error("a worker hangs, it is ended", extra=facts(number=self.number, silent_s=round(silent_s)))
            self.is_ended, self.heard_s = True, now_s
            process.send_signal(signal.SIGABRT)
            process.send_signal(signal.SIGCONT)  # one that somebody has stopped could not say anything either

    def _patience_s(self) -> float:
        return self.mailbox.silent_s if self.is_ready else max(self.mailbox.silent_s, _START_S)

    def _start(self, now_s: float) -> None:
        # This process has one thread, so the call in the child is safe; and it lives as long as the parent does.
        self.process = subprocess.Popen(  # noqa: S603  # this very program
            self.command,
            stdin=subprocess.DEVNULL,
            env=for_child(os.environ) | self.mailbox.environment,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # calls one C function that was loaded before
        )
        self.started_s = self.heard_s = now_s
        self.is_ended = False
        log.info("started a worker", extra=facts(number=self.number, pid=self.process.pid))


def _how(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else str(status)


def _stop(workers: Sequence[_Worker]) -> None:
    """Ask all at once, so that they finish at the same time; what does not listen is ended."""
    running = [worker.process for worker in workers if worker.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("a worker does not stop, it is ended", extra=facts(pid=process.pid))
            process.kill()
            process.wait()
    for worker in workers:
        worker.mailbox.close()
