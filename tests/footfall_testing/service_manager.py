"""Stands for systemd: a real datagram socket that hears what processes say, and processes that can be made to hang."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from footfall_role.children import die_with_parent
from footfall_testing.processes import with_tests
from footfall_testing.waiting import wait_until

HANGS = signal.SIGUSR1
"""What makes a process of `started` hang: its main thread stands still for ever, and all others go on."""


class Manager:
    """A context that hears on a socket at `folder`. Written without the code that it is to test."""

    def __init__(self, folder: Path, watchdog_s: float = 4.0) -> None:
        self.watchdog_s = watchdog_s
        self._path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._ends = threading.Event()

    def __enter__(self) -> Self:
        self._socket.bind(str(self._path))
        self._socket.settimeout(0.1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                self._lines.extend(self._socket.recv(4096).decode().splitlines())

    @property
    def environment(self) -> dict[str, str]:
        """What systemd puts into the environment of a service."""
        return {"NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": str(int(self.watchdog_s * 1e6))}

    @property
    def lines(self) -> list[str]:
        """All that was heard."""
        return list(self._lines)

    @property
    def status(self) -> str:
        """What the process is doing, in its own words; empty if it has not said so."""
        said = [line.removeprefix("STATUS=") for line in self.lines if line.startswith("STATUS=")]
        return said[-1] if said else ""

    @property
    def signs(self) -> int:
        """How many signs of life were heard."""
        return self.lines.count("WATCHDOG=1")

    def wait_for(self, line: str, *, timeout: float = 60) -> None:
        """Wait until `line` was said."""
        wait_until(lambda: line in self.lines, timeout=timeout, what=f"{line}; heard: {self.lines}")

    def wait_for_status(self, status: str, *, timeout: float = 60) -> None:
        """Wait until the process says that it is doing this."""
        wait_until(lambda: self.status == status, timeout=timeout, what=f"{status!r}; heard: {self.lines}")

    def lives(self, times: int = 3) -> None:
        """Wait for some more signs of life: over more time than the watchdog has patience."""
        wanted = self.signs + 4 * times
        patience_s = 60 + 4 * times * self.watchdog_s
        wait_until(lambda: self.signs >= wanted, timeout=patience_s, what=f"signs of life; heard: {self.lines}")

    def is_silent(self) -> bool:
        """Whether, from soon on, the watchdog would run out of patience. Takes a few times that long."""
        deadline = time.monotonic() + 10 * self.watchdog_s
        while time.monotonic() < deadline:
            before = self.signs
            time.sleep(2 * self.watchdog_s)
            if self.signs == before:
                return True
        return False


@contextmanager
def started(module: str, *words: str, log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m module words…`` as a process that hangs when it is told to (`HANGS`); gone at the end.

    `environment` is added to this process's own, without its settings of footfall. `log` gets its standard error.
    """
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("FOOTFALL_", "NOTIFY_", "WATCHDOG"))
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, __file__, module, *words],
            env=clean | {"PYTHONPATH": with_tests()["PYTHONPATH"]} | dict(environment),
            stderr=file,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stand_still(_number: int, _frame: object) -> None:
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    import runpy

    signal.signal(HANGS, _stand_still)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
