"""Readings that are for all who wait for them: one does it, the others get what it found."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg

from footfall_api.turns import turn

FAILED_S: Final = 1.0
"""How long a reading that failed is not tried again: who waited for it is told, and does not wait as long once more."""


class Shared:
    """One such reading: to be held by who looks whether it has to be done, and does it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._failure: Exception | None = None
        self._failed_at = 0.0

    @asynccontextmanager
    async def held(self, *, anew: bool = False) -> AsyncIterator[None]:
        """Hold it; waiting for it is nobody's work. `anew`: also if it has just failed.

        Raises:
            psycopg.Error, OSError: it has just failed with it.
        """
        with turn().waiting():
            await self._lock.acquire()
        try:
            if self._failure is not None and time.monotonic() - self._failed_at < FAILED_S and not anew:
                raise self._failure.with_traceback(None)
            self._failure = None
            try:
                yield
            except (psycopg.Error, OSError) as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
        finally:
            self._lock.release()
