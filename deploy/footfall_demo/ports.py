"""Which TCP ports are free on this machine."""

import os
import socket
from collections.abc import Iterator
from functools import cache
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Final

_LOWEST: Final = 10_240
_APART: Final = (5**0.5 - 1) / 2
"""Processes whose numbers follow each other begin so much of all ports apart. By the golden section any few of them lie
far from each other, so that none gets where another is just choosing."""
_KERNELS_OWN: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUALLY_THE_KERNELS: Final = 32_768
_TRIED: Final = 2000


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at this moment; ask for it soon before it is used.

    It is none of those that the kernel gives to outgoing connections and to whoever asks it for any port, and this
    process was not given it before as long as there are others. Other processes look elsewhere first. So hardly
    anybody takes it before it is used, or between two uses of it.
    """
    for port in islice(_row(os.getpid()), _TRIED):
        if _binds(port, host):
            return port
    with socket.socket() as probe:  # a machine that leaves all ports to its kernel
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now."""
    return _binds(port, host, reuse=True)


def _binds(port: int, host: str, *, reuse: bool = False) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


@cache
def _row(process: int) -> Iterator[int]:
    """The ports below the kernel's own again and again, from a place on that is the process's own."""
    end = _kernels_first()
    if end <= _LOWEST:
        return iter(())
    first = _LOWEST + int(process * _APART % 1 * (end - _LOWEST))
    return cycle(chain(range(first, end), range(_LOWEST, first)))


def _kernels_first() -> int:
    try:
        return int(_KERNELS_OWN.read_text().split()[0])
    except (OSError, ValueError, IndexError):  # not Linux; macOS begins at 49152
        return _USUALLY_THE_KERNELS
