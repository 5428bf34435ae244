"""A program of the city: started, killed with all its children, stopped and continued, and never left behind."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from footfall_role.children import die_with_parent


@dataclass
class Program:
    """One program. Start it from the main thread only: the kernel ends it with the thread that started it."""

    name: str
    command: Callable[[], list[str]]
    log: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = False
    """It should be running: if it is not, it ended by itself."""
    starts: int = 0

    @property
    def alive(self) -> bool:
        """Whether it runs, or is stopped."""
        return self.process is not None and self.process.poll() is None

    @property
    def status(self) -> int | None:
        """How it ended, as `subprocess` tells; None if it has not."""
        return None if self.process is None else self.process.poll()

    def start(self) -> None:
        """Start it, without waiting for anything."""
        if self.alive:
            return
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
            "preexec_fn": die_with_parent(signal.SIGKILL),
            **self.options,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, **options)
        self.wanted = True
        self.starts += 1

    def send(self, number: signal.Signals) -> bool:
        """Send it a signal; False if it does not run."""
        if self.process is None or not self.alive:
            return False
        self.process.send_signal(number)
        return True

    def kill(self) -> None:
        """End it and its children at once, as a crash of the machine would."""
        self.wanted = False
        if self.process is None:
            return
        # Stopped first, so that it does not start others while it is being looked at.
        self.send(signal.SIGSTOP)
        children = self.children()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.kill()
        self.process.wait(30)
        psutil.wait_procs(children, 30)  # until they are gone PostgreSQL's memory is in use, and it would not start

    def children(self) -> list[psutil.Process]:
        """Its child processes."""
        if self.process is None:
            return []
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def wait(self, timeout_s: float) -> int | None:
        """Wait for it to end; its exit status, None if it did not end in time and was killed."""
        if self.process is None:
            return 0
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def memory(self) -> int | None:
        """Bytes of memory in use with its children; what they share counts once. None if it is not there."""
        if self.process is None or not self.alive:
            return None
        own, shared = 0, 0
        with suppress(psutil.NoSuchProcess):
            for each in (psutil.Process(self.process.pid), *self.children()):
                with suppress(psutil.NoSuchProcess):
                    found = each.memory_info()
                    own += found.rss - found.shared
                    shared = max(shared, found.shared)
        return own + shared or None


def environment() -> dict[str, str]:
    """This process's environment without settings of footfall, with the path to this package."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
    here = str(Path(__file__).resolve().parent.parent)
    paths = [here, *(path for path in clean.get("PYTHONPATH", "").split(os.pathsep) if path and path != here)]
    return {**clean, "PYTHONPATH": os.pathsep.join(paths)}
