"""Where the page and the broker listen: asked for, free, or refused with a sentence."""

import errno
import socket

from footfall_demo.options import DEFAULT_MQTT_PORT
from footfall_demo.refusals import RefusedError

_TRIED = 100
"""How many ports after the usual one are tried."""


def check_page_port(host: str, port: int) -> None:
    """Make sure that the API can listen on `host`:`port`.

    Raises:
        RefusedError: it cannot; the message says what to do.
    """
    fault = _fault(host, port)
    if fault is not None:
        raise RefusedError(_sentence(fault, host, port, "the page", "--port"))


def choose_mqtt_port(host: str, asked: int | None) -> tuple[int, str | None]:
    """The broker's port, and a sentence if it is not the usual one although none was asked for.

    Raises:
        RefusedError: the port that was asked for, or every other one, cannot be used.
    """
    port = DEFAULT_MQTT_PORT if asked is None else asked
    fault = _fault(host, port)
    if fault is None:
        return port, None
    if asked is None and fault.errno == errno.EADDRINUSE:
        for other in range(port + 1, port + 1 + _TRIED):
            if _fault(host, other) is None:
                return other, f"Port {port} is taken by another program; the broker listens on {other} instead."
    raise RefusedError(_sentence(fault, host, port, "the broker", "--mqtt-port"))


def _fault(host: str, port: int) -> OSError | None:
    """What keeps a server from listening there."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _sentence(fault: OSError, host: str, port: int, who: str, option: str) -> str:
    if fault.errno == errno.EADDRINUSE:
        return (
            f"Port {port}, on which {who} is to listen, is taken by another program. Choose another one with {option}."
        )
    if fault.errno in (errno.EACCES, errno.EPERM):
        return (
            f"Port {port}, on which {who} is to listen, is not for this account. Choose one from 1024 on with {option}."
        )
    reason = fault.strerror or fault
    return f"{who.capitalize()} cannot listen on {host}: {reason}. Choose an address of this machine with --host."
