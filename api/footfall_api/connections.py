"""The connections of the API's server: how many, how long they may say nothing, and what is said to nonsense.

The server's own ways are kept (uvicorn, with h11). It lets a client take all the time it likes to say what it wants,
and as many connections as it likes to say it on, so a handful of clients could take all that there are. Here a
connection whose head does not come in `HEAD_S` ends, and each client has a number of them. A limit of uvicorn's own,
``limit_concurrency``, would make it easier for them: it sends everybody away while there are too many connections.

What is no HTTP is answered as every error is, and not written to the log: whoever sends it could fill the disk with it.
The metrics count it.
"""

import asyncio
import logging
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, ClassVar, Final

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from footfall_api.addresses import Network, client_key, is_in, is_loopback
from footfall_api.clients import FullError, Seats
from footfall_api.gate import ABORT_KEY, MAX_HEAD
from footfall_api.problems import Problem
from footfall_api.settings import ApiSettings
from footfall_api.telemetry import Telemetry

HEAD_S: Final = 10.0
"""How long a client may take to say what it wants, from the connection or from the first byte of a later request."""

KEEP_ALIVE_S: Final = 5
"""How long a connection without a request stays."""

KEEP_ALIVE_PROXY_S: Final = 90
"""The same for a trusted proxy: longer than nginx keeps its own, so that it asks on none that is just ending."""

UNREAD_S: Final = 30
"""How long what was sent may stay unread before the kernel ends the connection, also after we have closed it."""

_MEANINGS: Final = {
    HTTPStatus.BAD_REQUEST: "this is no request in HTTP/1.1",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"the headers are too long; {MAX_HEAD:,} bytes are read",
    HTTPStatus.NOT_IMPLEMENTED: "a body in this encoding is not understood",
    HTTPStatus.SERVICE_UNAVAILABLE: "there are too many connections; try again later",
    HTTPStatus.TOO_MANY_REQUESTS: "there are too many connections of yours; use those that you have for more requests",
}
"""By status what is said."""

_LOG: Final = logging.getLogger(__name__)
_LOG.setLevel(logging.ERROR)  # what clients do wrong is uvicorn's warnings


def protocol_of(settings: ApiSettings, telemetry: Telemetry) -> type[H11Protocol]:
    """The protocol for `uvicorn.Config`; all its connections count together."""

    class Guarded(_Guarded):
        """With the limits of these settings."""

    Guarded.seats = Seats(settings.limits.connections_per_client, settings.limits.connections)
    Guarded.telemetry = telemetry
    Guarded.proxies = settings.http.proxies
    Guarded.limits_loopback = settings.limits.loopback
    return Guarded


class _Guarded(H11Protocol):
    """One connection."""

    seats: ClassVar[Seats]
    telemetry: ClassVar[Telemetry]
    proxies: ClassVar[Sequence[Network]]
    limits_loopback: ClassVar[bool]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, ABORT_KEY: self._abort}, _loop)
        self.logger = _LOG
        self._head_timer: asyncio.TimerHandle | None = None
        self._seat: str | None = None
        self._is_seated = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take a seat, or be sent away."""
        super().connection_made(transport)
        peer = self.client[0] if self.client else None
        if is_in(peer, self.proxies):
            self.timeout_keep_alive = KEEP_ALIVE_PROXY_S
        elif self.limits_loopback or not is_loopback(peer):
            self._seat = client_key(peer)
        try:
            self.seats.take(self._seat)
        except FullError as error:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS if error.alone else HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._is_seated = True
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the seat back."""
        self._forget_head()
        if self._is_seated:
            self._is_seated = False
            self.seats.leave(self._seat)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and see to it that the rest of it comes in time."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._forget_head()
        elif self._head_timer is None:
            self._wait_for_head()

    def on_response_complete(self) -> None:
        """Go on to the next request; after an answer that came before its request's body was read there is none."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._unset_keepalive_if_required()
            self.transport.close()

    def shutdown(self) -> None:
        """End with the server; nobody waits for clients who do not take what they were sent."""
        if self.transport.is_closing():
            self._abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # we have our own words
        """Say that this was no request."""
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST
        self._refuse(HTTPStatus(hint))

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self._head_is_late)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        self.telemetry.refused.labels("slow-head").inc()
        self._abort()

    def _abort(self) -> None:
        """End it in a way that nobody takes for the end of an answer, as HTTP/1.0 does where a connection is closed."""
        with suppress(OSError):  # the client has just gone
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer with a problem and close, if anything can still be answered."""
        self._forget_head()
        self.telemetry.refused.labels("connections" if status in _TOO_MANY else "no-http").inc()
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # whoever is working on an answer has nobody to send it to
            cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._say(status)
        self.transport.close()

    def _say(self, status: HTTPStatus) -> None:
        detail = _MEANINGS.get(status, status.description)
        headers = {"Connection": "close"} | ({"Retry-After": "30"} if status in _TOO_MANY else {})
        problem = Problem(status, detail, kind="no-http" if status not in _TOO_MANY else "too-many-connections")
        response = problem.response({"path": "", "query_string": b""})
        response.headers.update(headers)
        start = h11.Response(
            status_code=int(status),
            headers=[*self.server_state.default_headers, *response.raw_headers],
            reason=status.phrase.encode(),
        )
        for event in (start, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")


_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""Closing resets the connection; what has not been sent never is."""

_TOO_MANY: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
