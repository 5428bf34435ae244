"""The API's own metrics, in the Prometheus format: requests, live watchers, the board, the pool of connections."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNMATCHED: Final = "unmatched"
"""The route of requests for an address that does not exist: one series, whatever scanners try."""

_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

INNER_KEY: Final = "footfall.inner"
"""In the scope of a question that is part of another request."""


def is_live(start: Message) -> bool:
    """Whether an answer that begins so is a live stream, which has no end."""
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in start["headers"])


class Telemetry:
    """All metrics of one API process; each has its own registry, so that tests can run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "footfall_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "footfall_http_request_seconds",
            "Time from a request to the end of its answer, live streams excepted.",
            ["route"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.refused = Counter(
            "footfall_http_refused",
            "Requests and connections that were refused or cut to keep the API there for others.",
            ["reason"],
            registry=self.registry,
        )
        self.live_clients = Gauge("footfall_live_clients", "Open live streams.", registry=self.registry)
        self.live_dropped = Counter(
            "footfall_live_dropped_clients",
            "Live streams ended because the client did not read.",
            registry=self.registry,
        )
        self.listen_reconnects = Counter(
            "footfall_listen_reconnects",
            "Times the connection that hears of commits was lost or could not be made.",
            registry=self.registry,
        )
        self.board_seconds = Histogram(
            "footfall_board_read_seconds",
            "Time to read the board.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.board_failures = Counter(
            "footfall_board_read_failures", "Times the board could not be read.", registry=self.registry
        )

    def watch_pool(self, figures: Callable[[], Mapping[str, int]]) -> None:
        """Show how the pool of database connections is doing."""
        self.registry.register(_PoolCollector(figures))


class _PoolCollector(Collector):
    def __init__(self, figures: Callable[[], Mapping[str, int]]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """The pool's figures at this moment."""
        figures = self._figures()
        for name, key, text in (
            ("footfall_database_connections", "pool_size", "Connections in the pool."),
            ("footfall_database_idle_connections", "pool_available", "Connections in the pool that are free."),
            ("footfall_database_waiting_requests", "requests_waiting", "Requests that wait for a connection."),
        ):
            yield GaugeMetricFamily(name, text, value=figures.get(key, 0))


class MeasureRequests:
    """Count and time every request, outside of everything else; what a page asks the API for is part of the page."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note what came of it."""
        if scope["type"] != "http" or INNER_KEY in scope:
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status, live = 500, False

        async def noting(message: Message) -> None:
            nonlocal status, live
            if message["type"] == "http.response.start":
                status = message["status"]
                live = is_live(message)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if scope["method"] in _KNOWN_METHODS else "other"
            self._telemetry.requests.labels(method, route, status).inc()
            if not live:
                self._telemetry.seconds.labels(route).observe(time.perf_counter() - begin)
