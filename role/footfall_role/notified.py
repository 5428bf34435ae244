"""The other end of `notify`: what a child process tells the parent that started it.

A parent that keeps children running learns by it that one is ready, and that one hangs: it still runs, and its loop
gives no sign of life. Linux only; elsewhere nothing is heard, and nobody is taken to hang.
"""

import os
import secrets
import socket
import struct
import sys
from typing import Final

from footfall_role import notify

_CREDENTIALS: Final = struct.Struct("iII")
"""Linux's `struct ucred`: process, user and group of who sent a message, filled in by the kernel."""
_LONGEST: Final = 4096


class Mailbox:
    """A socket for what one child after another says. For one thread; `close` it at the end."""

    def __init__(self, silent_s: float) -> None:
        """`silent_s`: how long a child may go without a sign of life, in seconds."""
        self.silent_s = silent_s
        self._socket: socket.socket | None = None
        if sys.platform == "linux":
            self._name = f"footfall-{os.getpid()}-{secrets.token_hex(8)}"
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.setblocking(False)
            self._socket.bind(f"\0{self._name}")

    def close(self) -> None:
        """Hear nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def hears(self) -> bool:
        """Whether anything can be heard here."""
        return self._socket is not None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the child finds this."""
        if self._socket is None:
            return {}
        return {notify.SOCKET: f"@{self._name}", notify.WATCHDOG: str(round(self.silent_s * 1e6))}

    def said(self, pid: int) -> set[str]:
        """The lines that process `pid` has said since this was last asked. What others say is dropped."""
        lines: set[str] = set()
        while self._socket is not None:
            try:
                data, beside, _, _ = self._socket.recvmsg(_LONGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                break
            senders = [_CREDENTIALS.unpack(found)[0] for *_, found in beside if len(found) == _CREDENTIALS.size]
            if senders == [pid]:
                lines.update(data.decode("utf-8", "replace").splitlines())
        return lines
