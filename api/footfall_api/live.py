"""``/api/v1/live``: the board as server-sent events, a new one within two seconds of each commit.

First comes an event ``board`` with all stations, then ``change`` with those that changed; should a station come or
go, the whole ``board`` again. A comment every 15 s keeps proxies from closing the line. A client that reads slowly
skips states; one that does not read at all is let go. When the server stops, the streams end and clients come back by
themselves.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from footfall_api.access import OPERATOR_KEY
from footfall_api.addresses import client_key
from footfall_api.board import StationBoard, board_json
from footfall_api.caching import is_head
from footfall_api.clients import FullError, Seats
from footfall_api.describe import LIVE_RESPONSES
from footfall_api.feed import BoardFeed, Subscription
from footfall_api.problems import Problem, bad_parameter
from footfall_api.proxies import LOCAL_KEY
from footfall_api.settings import ApiSettings
from footfall_api.telemetry import Telemetry

HEARTBEAT_S: Final = 15.0

RETRY_MS: Final = 3000
"""When a browser is to come back after the stream has ended."""

_FULL: Final = "too-many-streams"

_RETRY_S: Final = "30"
"""When to come back who found no seat."""

SEND_TIMEOUT_S: Final = 30.0
"""A client that takes nothing for so long is let go."""

router = APIRouter(tags=["live"])


@router.get("/api/v1/live", summary="Follow what is counted now", response_class=Response, responses=LIVE_RESPONSES)
async def live(
    request: Request,
    station: Annotated[
        list[str] | None, Query(description="only these stations; may be given several times", examples=["markt"])
    ] = None,
) -> Response:
    """Server-sent events: first `board` with all stations, then `change` with those that changed.

    A new value is there within two seconds of being stored. The stream has no memory: whoever comes back gets the
    whole board again.
    """
    feed: BoardFeed = request.app.state.feed
    telemetry: Telemetry = request.app.state.telemetry
    seats: Seats = request.app.state.seats
    client = _seat_of(request)
    with _telling(seats, telemetry):
        seats.check(client)
    known = {found.id for found in (await feed.current()).stations}
    for name in station or ():
        if name not in known:
            raise bad_parameter("station", f"there is no station '{name}'; /api/v1/stations lists those there are")
    if is_head(request):
        return Response(media_type=EventStream.media_type)
    return EventStream(feed, frozenset(station) if station else None, telemetry, seats, client)


def _seat_of(request: Request) -> str | None:
    """Whose seats a stream is one of; the operator's, and this machine's unless that is limited, are nobody's."""
    settings: ApiSettings = request.app.state.settings
    is_free = request.scope.get(OPERATOR_KEY, False) or (
        request.scope.get(LOCAL_KEY, False) and not settings.limits.loopback
    )
    return None if is_free else client_key(request.client.host if request.client else None)


@contextmanager
def _telling(seats: Seats, telemetry: Telemetry) -> Iterator[None]:
    """Tell the client where there is no seat left.

    Raises:
        Problem: it says whose are all taken.
    """
    try:
        yield
    except FullError as error:
        telemetry.refused.labels(_FULL).inc()
        if error.alone:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{seats.each} live streams of yours are open, which is all that one client may have; close one, or "
                "follow several stations in one",
                kind=_FULL,
                headers={"Retry-After": _RETRY_S},
            ) from error
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{seats.together} live streams are open, which is all there can be; try again later",
            kind=_FULL,
            headers={"Retry-After": _RETRY_S},
        ) from error


class EventStream(Response):
    """The stream itself; it ends when the client leaves, does not read, or the feed is closed."""

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: BoardFeed,
        stations: frozenset[str] | None,
        telemetry: Telemetry,
        seats: Seats,
        client: str | None = None,
    ) -> None:
        self._feed = feed
        self._stations = stations
        self._telemetry = telemetry
        self._seats = seats
        self._client = client
        self.status_code = 200
        self.background = None
        # Proxies such as nginx are told to pass each event on at once.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until somebody leaves.

        Raises:
            ConnectionAbortedError: the client does not read.
        """
        try:
            with _telling(self._seats, self._telemetry), self._seats.taking(self._client):
                await self._follow(receive, send)
        except Problem as problem:  # those who asked at the same time were a moment faster
            await problem.response(scope)(scope, receive, send)

    async def _follow(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send_events(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            [ended] = await asyncio.gather(sending, return_exceptions=True)
        # The gate cuts off who does not read; who went away in the middle of an event needs nothing more.
        if isinstance(ended, Exception) and not _is_gone(ended):
            raise ended

    async def _send_events(self, send: Send) -> None:
        with self._feed.subscribe(self._stations) as subscription:
            try:
                async for text in events(self._feed, subscription):
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            except TimeoutError:
                self._telemetry.live_dropped.inc()
                raise ConnectionAbortedError("the client does not read") from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_gone(error: Exception) -> bool:
    return isinstance(error, OSError) and not isinstance(error, ConnectionAbortedError)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def events(feed: BoardFeed, subscription: Subscription) -> AsyncIterator[str]:
    """The text of the stream, event by event."""
    yield f"retry: {RETRY_MS}\n\n"
    board = await feed.current()
    subscription.take()  # what changed up to this board is in it
    yield _event("board", feed.number, board.at, [s for s in board.stations if subscription.wants(s.id)])
    heartbeat_at = time.monotonic() + HEARTBEAT_S
    while True:
        if not await subscription.wait(max(0.0, heartbeat_at - time.monotonic())):
            heartbeat_at += HEARTBEAT_S
            yield ": still here\n\n"
            continue
        changed, whole = subscription.take()
        if subscription.closed:
            return
        at, stations = feed.latest(None if whole else changed)
        yield _event("board" if whole else "change", feed.number, at, [s for s in stations if subscription.wants(s.id)])


def _event(name: str, number: int, at: datetime, stations: Sequence[StationBoard]) -> str:
    data = json.dumps(board_json(at, stations), ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\nid: {number}\ndata: {data}\n\n"
