"""Whose turn it is: while it lasts work is done for a client, and counted.

What is waited for meanwhile is no work: a connection of the database that others have, or a reading that is for all. A
page asks several questions at a time, which are parts of one turn: its clock stands still while some of them wait and
none has a connection. All that is done for a client, in whichever turn, has so many connections at a time
(`Account.connections`), so one page never has all of the database.

Whose work a piece of code is doing it finds in its context; outside of a request it is nobody's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from math import ceil
from typing import Final

from footfall_api.clients import Account
from footfall_api.problems import Problem

TURN_S: Final = 10.0
"""How long a request waits for its turn."""


class Turn:
    """A client's turn. Without an account it is always had, and nothing is counted."""

    def __init__(self, account: Account | None, clock: Callable[[], float]) -> None:
        self._account = account
        self._clock = clock
        self._is_had = False
        self._waiting = 0
        self._reading = 0
        self._since: float | None = None
        """Since when work is done that has not been counted yet; None: none is."""

    async def wait(self) -> None:
        """Wait for it.

        Raises:
            Problem: it has not come in `TURN_S`.
        """
        try:
            async with asyncio.timeout(TURN_S):
                await self.begin()
        except TimeoutError:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"so many of your requests are being worked on that this one waited {TURN_S:.0f} s for its turn; ask "
                "one after the other",
                kind="too-many-at-once",
                headers={"Retry-After": str(ceil(TURN_S))},
            ) from None

    async def begin(self) -> None:
        """Have it, however long that takes."""
        if self._account is not None:
            await self._account.turns.acquire()
            self._is_had = True
            self._count()

    def end(self) -> None:
        """Give it to the next one, if it is had."""
        if self._account is not None and self._is_had:
            self._is_had = False
            self._count()
            self._account.turns.release()

    @contextmanager
    def here(self) -> Iterator[None]:
        """Inside of it, and in tasks that begin there, what is done is done in this turn."""
        token = _TURN.set(self)
        try:
            yield
        finally:
            _TURN.reset(token)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside of it a part of the work waits for others."""
        self._waiting += 1
        self._count()
        try:
            yield
        finally:
            self._waiting -= 1
            self._count()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside of it a part of the work has a connection."""
        self._reading += 1
        self._count()
        try:
            yield
        finally:
            self._reading -= 1
            self._count()

    @asynccontextmanager
    async def share(self) -> AsyncIterator[None]:
        """Hold one of the connections that the client may have at a time."""
        if self._account is None:
            yield
            return
        async with self._account.connections:
            yield

    def _count(self) -> None:
        """Count what has been done until now, and go on if something is."""
        if self._account is None:
            return
        now = self._clock()
        if self._since is not None:
            self._account.work.take(now - self._since, now)
        is_done = self._is_had and (self._reading > 0 or not self._waiting)
        self._since = now if is_done else None


_NOBODYS: Final = Turn(None, lambda: 0.0)

_TURN: ContextVar[Turn] = ContextVar("turn")


def turn() -> Turn:
    """The turn in which this is done."""
    return _TURN.get(_NOBODYS)
