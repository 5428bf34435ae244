"""Hosts with a network of their own: network namespaces of Linux, joined by cables to one in their middle.

Nothing outside them reaches them, nor do they reach anything outside. `Host.inside` takes the calling thread to a host;
what it opens, starts or forks there is on that host for good.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_NAMED: Final = Path("/run/netns")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class NoHostsError(Exception):
    """This machine, or this account, may not make hosts; the message says why."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host. `address` is its own, `gateway` that of the one in the middle as it sees it."""

    name: str
    address: str
    gateway: str

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Within the block this thread is on the host, with all processes and threads that it starts."""
        with Path("/proc/thread-self/ns/net").open("rb") as before, (_NAMED / self.name).open("rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())


class Network:
    """A context with a host in the middle, `hub`, and the others, each on a cable of its own to it.

    Raises:
        NoHostsError: it cannot be made here.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._prefix = f"ff{secrets.token_hex(3)}"
        self.hub = Host(f"{self._prefix}-hub", "127.0.0.1", "127.0.0.1")
        self.hosts = {
            name: Host(f"{self._prefix}-{name}", f"10.213.{number}.2", f"10.213.{number}.1")
            for number, name in enumerate(names, 1)
        }

    def __enter__(self) -> "Network":  # noqa: PYI034
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def cut(self, name: str) -> None:
        """Pull the cable of a host: packets vanish, and neither end is told."""
        _ip("-n", self.hub.name, "link", "set", self._cable(name), "down")

    def _make(self) -> None:
        for host in (self.hub, *self.hosts.values()):
            _ip("netns", "add", host.name)
            _ip("-n", host.name, "link", "set", "lo", "up")
        for name, host in self.hosts.items():
            cable = self._cable(name)
            _ip("link", "add", cable, "netns", self.hub.name, "type", "veth", "peer", "eth0", "netns", host.name)
            for end, place, address in ((cable, self.hub, host.gateway), ("eth0", host, host.address)):
                _ip("-n", place.name, "address", "add", f"{address}/30", "dev", end)
                _ip("-n", place.name, "link", "set", end, "up")

    def _remove(self) -> None:
        for host in (*self.hosts.values(), self.hub):
            if (_NAMED / host.name).exists():
                _ip("netns", "delete", host.name)

    def _cable(self, name: str) -> str:
        return f"{list(self.hosts).index(name)}-{name}"[:15]


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*words: str) -> None:
    program = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise NoHostsError("the program ip is not installed; on Debian: apt install iproute2")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoHostsError(f"ip {' '.join(words)}: {done.stderr.strip()}")
