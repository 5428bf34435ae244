"""The proxy of the fault tests does to connections what it says."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from footfall_testing.proxy import Proxy
from footfall_testing.waiting import wait_until


class Echo:
    """A server that says back what it hears."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.closed = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[caller], daemon=True).start()

    def _answer(self, caller: socket.socket) -> None:
        with caller:
            try:
                while data := caller.recv(4096):
                    caller.sendall(data)
            except OSError:
                pass
        self.closed += 1


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as made:
        yield made


def call(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 30)


def ask(caller: socket.socket, what: bytes = b"hello") -> bytes:
    caller.sendall(what)
    return caller.recv(4096)


def is_reset(proxy: Proxy) -> bool:
    """Whether a connection ends with an error, while it is made or later, rather than with an answer or silence."""
    try:
        with call(proxy) as caller:
            ask(caller)
            ask(caller)
    except ConnectionError:
        return True
    return False


def test_it_passes_on_both_ways_and_both_ends(proxy: Proxy, echo: Echo) -> None:
    """Bytes go through, and so does the end of a connection."""
    with call(proxy) as caller:
        assert ask(caller) == b"hello"
    wait_until(lambda: echo.closed == 1, what="the server to see the end")
    wait_until(lambda: proxy.connections == 0, what="the proxy to forget it")


def test_a_cut_resets_what_is_there_and_what_comes(proxy: Proxy) -> None:
    """A connection that is cut is reset, a new one is too; after healing the next one is served."""
    with call(proxy) as caller:
        assert ask(caller) == b"hello"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            caller.recv(1)
    assert is_reset(proxy)
    proxy.heal()
    with call(proxy) as caller:
        assert ask(caller) == b"hello"


def test_a_stall_takes_bytes_that_go_nowhere(proxy: Proxy, echo: Echo) -> None:
    """Half-open: no answer, no error, no end for the server; for ever, also after healing, while new ones pass."""
    with call(proxy) as before:
        assert ask(before) == b"hello"
        proxy.stall()
        with call(proxy) as during:
            wait_until(lambda: proxy.connections == 2, what="the proxy to take it, before it heals")
            for caller in (before, during):
                caller.settimeout(0.3)
                caller.sendall(b"x" * 1000)
                with pytest.raises(TimeoutError):
                    caller.recv(1)
            proxy.heal()
            for caller in (before, during):
                caller.sendall(b"still there?")
                with pytest.raises(TimeoutError):
                    caller.recv(1)
    with call(proxy) as after:
        assert ask(after) == b"hello"
    wait_until(lambda: proxy.connections == 1, what="the proxy to forget the last one, and it alone")
    wait_until(lambda: echo.closed, what="the server to note the end of the last one")
    assert echo.closed == 1, "the server's side of the first one is still open"


def test_slow_is_late(proxy: Proxy) -> None:
    """What is sent waits for its turn."""
    with call(proxy) as caller:
        assert ask(caller) == b"hello"
        proxy.slow(latency_s=0.1, bytes_per_s=1000)
        begun = time.monotonic()
        assert ask(caller, b"x" * 100)[:1] == b"x"
        assert time.monotonic() - begun >= 0.4
        proxy.heal()
        assert ask(caller) != b""


def test_a_server_that_does_not_listen_is_told_at_once() -> None:
    """The client is reset rather than left waiting."""
    with socket.socket() as taken:  # it does not listen, and keeps the port from everybody else
        taken.bind(("127.0.0.1", 0))
        with Proxy(taken.getsockname()[1]) as proxy:
            assert is_reset(proxy)
