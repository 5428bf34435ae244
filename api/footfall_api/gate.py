"""What stands before every answer: may this be asked, by whom, how much more, and for how long is it worked on.

In this order: an address that is too long, a body, a name that is not ours are refused before anything else looks at
them. A wrong operator's token counts against who sent it. Then a client must have requests and seconds of work left
(`clients`) and few enough answers under way, as many as it may have connections: behind a proxy nobody sees whose those
are. It waits for its turn while others of its requests are worked on: only so many at once have hands, threads and
connections of the database at work (`turns`). While an answer is being sent, nothing is worked on and the turn goes to
the next one. Nobody is worked for longer than `ANSWER_S` before the next piece goes out, and who does not take a piece
within `SEND_S` is let go.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from math import ceil
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from footfall_api.access import OPERATOR_KEY, bearer, note_wrong, refuse_guessing
from footfall_api.addresses import client_key, name_of
from footfall_api.clients import Account, Clients, FullError, Seats
from footfall_api.problems import Problem
from footfall_api.proxies import ANY_NAME, LOCAL_KEY
from footfall_api.settings import ApiSettings
from footfall_api.telemetry import INNER_KEY, Telemetry, is_live
from footfall_api.tokens import Tokens
from footfall_api.turns import Turn
from footfall_role.unsafe import is_this_machine

log = logging.getLogger(__name__)

MAX_ADDRESS: Final = 16 * 1024
"""Bytes of path and question: 500 stations by name fit."""

MAX_HEAD: Final = 32 * 1024
"""Bytes of all that stands before a body."""

ANSWER_S: Final = 60.0
"""How long an answer, or its next piece, is worked on: far longer than any takes on a server that is well."""

SEND_S: Final = 30.0
"""Who takes nothing for so long is let go."""

ABORT_KEY: Final = "footfall.abort"
"""In the state of a request: how its connection is cut. See `connections`."""

_ALIVE: Final = "/healthz"
"""Is answered at once, also to a monitor whose address has used up what there is for it."""

_STATIC: Final = "/static/"
"""Files of the pages: a page has many, and browsers keep them. They are ready, packed and cost next to nothing."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_CLOSE: Final = (b"connection", b"close")

_INSTEAD: Final = (
    "ask for more at once, such as several stations or a longer time in one question; send the ETag of the last answer "
    "to learn for little that nothing has changed; take whole months and years from /files/"
)


class Gate:
    """The gate. A request from within passes it as a part of the one that it belongs to."""

    def __init__(  # noqa: PLR0917  # by name, all of them
        self,
        app: ASGIApp,
        settings: ApiSettings,
        tokens: Tokens,
        clients: Clients,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` tells the seconds by which buckets are filled."""
        self._app = app
        self._names = settings.http.names
        self._loopback = settings.limits.loopback
        self._tokens = tokens
        self._clients = clients
        self._under_way = Seats(settings.limits.connections_per_client, settings.limits.connections)
        self._telemetry = telemetry
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http" or INNER_KEY in scope:
            await self._app(scope, receive, send)
            return
        with_body = _has_body(scope)
        if with_body:
            send = _closing(send)
        try:
            self._look(scope, with_body=with_body)
            account = self._account(scope)
            with self._seated(account, scope):
                await self._answer(account, scope, receive, send)
        except Problem as problem:
            self._telemetry.refused.labels(problem.type.rpartition(":")[2]).inc()
            await problem.response(scope)(scope, receive, send)

    def _look(self, scope: Scope, *, with_body: bool) -> None:
        """Refuse what can be refused without knowing who asks.

        Raises:
            Problem: it says what would be right.
        """
        address = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        if address > MAX_ADDRESS:
            raise Problem(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"the address has {address:,} bytes; {MAX_ADDRESS:,} are read. Name fewer stations, or an area",
                kind="address-too-long",
            )
        head = address + sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if head > MAX_HEAD:
            raise Problem(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the headers have {head:,} bytes; {MAX_HEAD:,} are read",
                kind="headers-too-long",
            )
        if with_body and scope["method"] in _READING:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "a question stands in the address; a body is not read: leave it out",
                kind="body-not-read",
            )
        self._check_host(scope)

    def _check_host(self, scope: Scope) -> None:
        sent = next((value for name, value in scope["headers"] if name == b"host"), None)
        if sent is None:  # only HTTP/1.0 has none
            return
        name = name_of(sent.decode("latin-1"))
        if name is None:
            raise Problem(
                HTTPStatus.BAD_REQUEST, "the header Host is no name and no address of a server", kind="unknown-host"
            )
        if not self._names or name in self._names or scope["path"] in ANY_NAME or is_this_machine(name):
            return
        raise Problem(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"'{name}' is not a name of this server: it is asked as {', '.join(sorted(self._names))}. Whoever runs it "
            "adds other names as hosts in [http]",
            kind="unknown-host",
        )

    def _account(self, scope: Scope) -> Account | None:
        """The account of who asks; None: of them nothing is counted.

        Raises:
            Problem: too many operator's tokens were tried.
        """
        client = _client(scope)
        account = self._clients.of(client_key(client))
        sent = bearer(scope)
        if sent is not None and self._tokens:
            refuse_guessing(account, self._clock())
            scope[OPERATOR_KEY] = self._tokens.is_right(sent)
            if scope[OPERATOR_KEY]:
                return None
            note_wrong(account, self._clock(), client, scope["path"])
        is_free = scope["path"] == _ALIVE or (scope.get(LOCAL_KEY, False) and not self._loopback)
        return None if is_free else account

    @contextmanager
    def _seated(self, account: Account | None, scope: Scope) -> Iterator[None]:
        """Hold one of the answers that may be under way, of nobody if there is no `account`.

        Raises:
            Problem: all are.
        """
        if account is None:
            yield
            return
        key = client_key(_client(scope))
        try:
            self._under_way.take(key)
        except FullError as error:
            raise _full(self._under_way, alone=error.alone) from error
        try:
            yield
        finally:
            self._under_way.leave(key)

    async def _answer(self, account: Account | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer within the time there is.

        Raises:
            Problem: there is none left, or it took too long.
        """
        if scope["path"].startswith(_STATIC):
            account = None
        turn = Turn(account, self._clock)
        sending = Sending(send, turn)
        if account is not None:
            now_s = self._clock()
            _check_left(account, now_s)
            account.requests.take(1, now_s)
            await turn.wait()
        limit = asyncio.timeout(ANSWER_S)
        try:
            async with limit:
                sending.limit = limit
                with turn.here():
                    await self._app(scope, receive, sending)
        except Exception as error:
            is_late = isinstance(error, TimeoutError) and limit.expired()
            if is_late and not sending.begun:
                raise Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "this took too long; ask for less time or a coarser resolution",
                    kind="took-too-long",
                    headers={"Retry-After": "60"},
                ) from None
            if is_late:
                self._telemetry.refused.labels("does-not-read" if sending.waits else "took-too-long").inc()
            if sending.begun and not sending.is_whole:
                await _cut(scope)
            # A live stream's client that does not read has been counted; all else is for the log.
            if not (is_late or isinstance(error, ConnectionAbortedError)):
                raise
        finally:
            turn.end()


class Sending:
    """Sends an answer on, in no turn and with a time of its own for each piece."""

    def __init__(self, send: Send, turn: Turn) -> None:
        self._send = send
        self._turn = turn
        self._live = False
        self.limit: asyncio.Timeout | None = None
        self.begun = False
        """Whether a problem cannot be said any more."""
        self.is_whole = False
        """Whether the last piece has gone out."""
        self.waits = False
        """For the client to take a piece."""

    async def __call__(self, message: Message) -> None:
        """Send a piece."""
        self._turn.end()
        if message["type"] == "http.response.start":
            self.begun = True
            self._live = is_live(message)
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        # A live stream waits for news most of the time, and looks after its client itself.
        self._allow(None if self._live else SEND_S)
        self.waits = True
        await self._send(message)
        self.waits = False
        self.is_whole = is_last
        self._allow(None)
        if not (is_last or self._live):
            await self._turn.begin()
            self._allow(ANSWER_S)

    def _allow(self, seconds: float | None) -> None:
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def _client(scope: Scope) -> str | None:
    return scope["client"][0] if scope.get("client") else None


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 \t"))
        for name, value in scope["headers"]
    )


def _closing(send: Send) -> Send:
    """Sends answers after which the connection ends: what is left of a body that nobody reads is no next request."""

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _CLOSE]}
        await send(message)

    return closing


def _check_left(account: Account, now_s: float) -> None:
    """Make sure that a client has a request and some work left.

    Raises:
        Problem: when there is again, and what to do instead.
    """
    if wait_s := account.requests.wait_s(1, now_s):
        raise _later("too-many-requests", "these are too many requests", wait_s)
    if wait_s := account.work.wait_s(0, now_s):
        raise _later("too-much-work", "your questions have taken more time than there is for one client", wait_s)


def _later(kind: str, what: str, wait_s: float) -> Problem:
    seconds = max(1, ceil(wait_s))
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"{what}; wait {seconds} s, or {_INSTEAD}",
        kind=kind,
        headers={"Retry-After": str(seconds)},
    )


def _full(seats: Seats, *, alone: bool) -> Problem:
    said = (
        f"{seats.each} answers to you are under way, which is as many as one client may have; ask one after the other"
        if alone
        else f"{seats.together} answers are under way, which is as many as there can be; try again later"
    )
    status = HTTPStatus.TOO_MANY_REQUESTS if alone else HTTPStatus.SERVICE_UNAVAILABLE
    return Problem(status, said, kind="too-many-connections", headers={"Retry-After": "30"})


async def _cut(scope: Scope) -> None:
    """End the connection: half an answer must not look like a whole one.

    Raises:
        ConnectionAbortedError: the server has not said how; it sees by this that the answer is not whole.
    """
    abort: Callable[[], None] | None = scope.get("state", {}).get(ABORT_KEY)
    if abort is None:
        raise ConnectionAbortedError("the answer is not whole")
    abort()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)  # until the server knows
