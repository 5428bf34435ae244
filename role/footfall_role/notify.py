"""What the service manager is told: this process is ready, it is alive, it stops (sd_notify(3), without its library).

systemd names a datagram socket in ``NOTIFY_SOCKET`` and, where its watchdog waits for signs of life, how long in
``WATCHDOG_USEC``. Where the variables are absent nothing happens at all. Nothing here fails: that nobody listens is no
reason not to count.
"""

import logging
import math
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

from footfall_role.logs import facts

log = logging.getLogger(__name__)

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHDOG_PID: Final = "WATCHDOG_PID"

_SIGNS: Final = 4
"""Signs of life in the time in which one is expected: three may come late."""
_PATIENCE_S: Final = 5.0
"""How long to wait where the service manager is behind with its reading."""


class ServiceManager:
    """Who started this process and wants to hear how it is doing. The methods may be called from any thread."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """`environment`: where its variables are; by default those of this process."""
        found = os.environ if environment is None else environment
        self._address = _address(found.get(SOCKET, ""))
        self.watchdog_s = _watchdog_s(found) if self._address else None
        """Seconds without a sign of life after which this process is ended; None: nobody waits for one."""
        self._next_sign_s = -math.inf
        self._is_ready = False
        self._status = ""

    def ready(self, status: str = "") -> None:
        """Start-up is over. Said once; `status` is a line for people, as in `status`."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")
        if status:
            self.status(status)

    def status(self, line: str) -> None:
        """What the process is doing, for people (``systemctl status`` shows it). Said when it changes."""
        if line != self._status:
            self._status = line
            self._send(f"STATUS={' '.join(line.split())}")

    def alive(self) -> None:
        """A sign of life. For each turn of the loop that does the work; sent no oftener than the watchdog needs it."""
        if self.watchdog_s is None:
            return
        now_s = time.monotonic()
        if now_s >= self._next_sign_s:
            self._next_sign_s = now_s + self.watchdog_s / _SIGNS
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The process has begun to leave."""
        self._send("STOPPING=1")

    def _send(self, what: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_PATIENCE_S)
                sender.sendto(what.encode("utf-8", "replace"), self._address)
        except OSError as error:
            log.warning("the service manager was not told", extra=facts(what=what, reason=error))


def for_child(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a child process, which does not speak for this one."""
    return {name: value for name, value in environment.items() if name not in {SOCKET, WATCHDOG, _WATCHDOG_PID}}


def _address(name: str) -> str | None:
    """The socket's address: a path, or a name in Linux's abstract namespace, which is written with an @."""
    if name.startswith("@") and len(name) > 1:
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    meant_for = environment.get(_WATCHDOG_PID, "")
    try:
        microseconds = int(environment.get(WATCHDOG, "0"))
        is_ours = not meant_for or int(meant_for) == os.getpid()
    except ValueError:
        return None
    return microseconds / 1e6 if is_ours and microseconds > 0 else None
