"""The server behind a ``/metrics`` port, which is for a closed network.

Should anybody else reach it, they do not keep the process busy: a connection that says nothing ends, or says it a byte
at a time, and there are only so many. The server that comes with prometheus-client starts a thread for each and lets it
wait for ever.
"""

import socket
import threading
import time
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

PATIENCE_S: Final = 10.0
"""How long a connection may say or take nothing."""

LONGEST_S: Final = 2 * PATIENCE_S
"""How long a connection may take in all, however it goes about it."""

MOST_AT_ONCE: Final = 16
"""Connections at the same time; whoever comes then is hung up on, and Prometheus comes again."""


def start(host: str, port: int, registry: CollectorRegistry) -> None:
    """Answer ``/metrics`` with what is in `registry`, in background threads.

    Raises:
        OSError: the port is taken or may not be used.
    """

    class Server(_Server):
        address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]

    server = make_server(host, port, make_wsgi_app(registry), Server, _Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._ends: dict[Any, float] = {}
        """When each connection ends at the latest, in seconds of the monotonic clock."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if there is a place left."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._ends[request] = time.monotonic() + LONGEST_S
        try:
            super().process_request(request, client_address)
        except BaseException:  # there is no thread that would do so
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def service_actions(self) -> None:
        """Hang up on who takes too long; the server does this about twice in a second."""
        now = time.monotonic()
        for request in [request for request, end in self._ends.copy().items() if now >= end]:
            with suppress(OSError):  # it has just ended by itself
                request.shutdown(socket.SHUT_RDWR)

    def _leave(self, request: Any) -> None:
        del self._ends[request]
        self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever hangs up or talks nonsense would fill the log."""


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Say nothing."""
