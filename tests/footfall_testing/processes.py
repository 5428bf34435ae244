"""Parts as processes of their own, on free ports."""

import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from footfall_testing.waiting import wait_until

PATIENCE_S = 60
"""How long a process may take to come or go on a machine that does other things, too."""


def with_tests() -> dict[str, str]:
    """The environment for a Python program of the tests: it can import what they can."""
    tests = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])}


@dataclass
class ApiProcess:
    """``footfall-api`` on a free port."""

    config: Path
    log: list[str] = field(default_factory=list)

    def __enter__(self) -> "ApiProcess":  # noqa: PYI034
        command = [sys.executable, "-m", "footfall_api", "--config", str(self.config)]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            found = wait_until(
                lambda: re.search(r"url=(\S+)", "".join(self.log)), timeout=PATIENCE_S, what="the address in the log"
            )
            self.url = found[1]
            wait_until(self._ready, timeout=PATIENCE_S, what="the API to be ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(iter(self.process.stderr.readline, ""))

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=PATIENCE_S).status_code == 200
        except httpx.TransportError:
            return False
