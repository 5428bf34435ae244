"""The port for Prometheus: it answers, and who keeps connections open keeps nobody else from it for long."""

import socket
import socketserver
import threading
from contextlib import ExitStack, closing, suppress
from http.client import HTTPException
from urllib.request import urlopen

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from footfall_demo.ports import free_port
from footfall_role import metrics_port
from footfall_testing.waiting import wait_until


@pytest.fixture
def port() -> int:
    """Where a counter that stands at 3 is answered."""
    registry = CollectorRegistry()
    Counter("passages", "People.", registry=registry).inc(3)
    found = free_port()
    metrics_port.start("127.0.0.1", found, registry)
    return found


def answers(port: int) -> bool:
    """Whether the counter is told. Asked without a library that writes a log: what the server says is listened to."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return b"passages_total 3.0" in answer.read()
    except (OSError, HTTPException):
        return False


def test_the_figures_are_told(port: int) -> None:
    """Over IPv4, and over IPv6 where there is one."""
    assert answers(port)
    if socket.has_ipv6:
        six = free_port()
        try:
            metrics_port.start("::1", six, CollectorRegistry())
        except OSError:
            pytest.skip("this machine has no IPv6")
        assert httpx.get(f"http://[::1]:{six}/metrics", timeout=5).status_code == 200


def test_a_taken_port_is_an_error(port: int) -> None:
    """Of the system's own kind: `metrics.serve` says which setting to change."""
    with pytest.raises(OSError, match="in use"):
        metrics_port.start("127.0.0.1", port, CollectorRegistry())


def test_who_says_nothing_takes_a_place_for_a_while_only(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All places are taken by silent ones; no more threads are there than places; then Prometheus is answered again."""
    monkeypatch.setattr(metrics_port._Handler, "timeout", 0.5)
    before = threading.active_count()
    with ExitStack() as opened:
        silent = [
            opened.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            for _ in range(3 * metrics_port.MOST_AT_ONCE)
        ]
        silent[-1].settimeout(20)
        assert silent[-1].recv(1) == b"", "one too many is hung up on"
        # A thread gives its place back a moment before it ends, so for that moment there may be some more.
        assert threading.active_count() < before + 2 * metrics_port.MOST_AT_ONCE

        wait_until(lambda: answers(port), what="an answer")


def test_who_says_it_a_byte_at_a_time_is_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never silent for long, and never done."""
    monkeypatch.setattr(metrics_port, "LONGEST_S", 0.5)
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:

        def drip() -> bool:
            try:
                connection.sendall(b"a")
            except OSError:
                return True
            return False

        connection.sendall(b"GET /metrics HTTP/1.0\r\nX: ")
        wait_until(drip, every=0.1, what="the end of the connection")
    assert answers(port)


def test_a_thread_that_cannot_be_started_takes_no_place(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may have none left for a moment."""

    class Never(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(socketserver.threading, "Thread", Never)  # type: ignore[attr-defined]
        for _ in range(metrics_port.MOST_AT_ONCE):
            with closing(socket.create_connection(("127.0.0.1", port))) as connection:
                connection.settimeout(20)
                assert connection.recv(1) == b""
    assert answers(port)


@pytest.mark.parametrize(
    "sent", [b"\x00\xff\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n", b"G" * 100_000, b"GET /../../etc/passwd HTTP/1.0\r\n\r\n"]
)
def test_nonsense_is_no_end(port: int, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor is it said anywhere: it could fill the log."""
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        with suppress(OSError):  # it may have answered and hung up before it had read all
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(20)
        try:
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        except ConnectionResetError:
            answer = b""

    assert b"root:" not in answer
    assert answers(port)
    assert capfd.readouterr().err == ""
