"""Answers that many visitors share: each is asked for once, however many wait for it, and kept for a while.

Nobody waits longer than `PATIENCE_S`: whoever comes while an answer is being made gets the one before, if that may
still be used, else waits so long and goes without. The making goes on meanwhile, for those who come next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from footfall_api.turns import turn

log = logging.getLogger(__name__)

PATIENCE_S: Final = 1.5
"""How long a page waits for what it can be shown without."""

AT_ONCE: Final = 2
"""So many costly answers are made at the same time: the database's other connections are for everybody else."""

RETRY_AFTER: Final = timedelta(seconds=20)
"""An answer that could not be had is not asked for again sooner."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """An answer: nothing newer is asked for before `fresh_until`, and it is shown to nobody from `good_until` on."""

    value: T
    fresh_until: datetime
    good_until: datetime


class Kept:
    """The answers by their keys. Only for what anybody may see: it is shown to all."""

    def __init__(self, clock: Callable[[], datetime], *, patience_s: float = PATIENCE_S) -> None:
        self.now = clock
        self.few = asyncio.Semaphore(AT_ONCE)
        """To be held while an answer that costs much is made."""
        self._patience_s = patience_s
        self._made: dict[Hashable, Made[Any]] = {}
        self._making: dict[Hashable, asyncio.Task[None]] = {}
        self._not_before: dict[Hashable, datetime] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Made[T]]]) -> T | None:
        """The answer under `key`, made by `make` if there is none or it is no longer fresh; None: not to be had now."""
        now = self.now()
        made: Made[T] | None = self._good(key, now)
        if made is not None and now < made.fresh_until:
            return made.value
        making = self._making.get(key)
        if making is None and now >= self._not_before.get(key, now):
            # Nobody's work, and of nobody's connections: it is for all, and whoever asked first may be busy otherwise.
            making = self._making[key] = asyncio.create_task(self._make(key, make), context=Context())
        if made is None and making is not None:
            with turn().waiting():
                await asyncio.wait({making}, timeout=self._patience_s)
            made = self._good(key, self.now())
        return None if made is None else made.value

    def _good(self, key: Hashable, now: datetime) -> Made[Any] | None:
        made = self._made.get(key)
        return made if made is not None and now < made.good_until else None

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Made[Any]]]) -> None:
        try:
            self._made[key] = await make()
            self._not_before.pop(key, None)
        except Exception as error:  # noqa: BLE001  # the page is shown without it, whatever it was
            self._not_before[key] = self.now() + RETRY_AFTER
            log.warning("a page goes without %s: %s", key, str(error).strip() or repr(error))
        finally:
            del self._making[key]
            self._forget()

    def _forget(self) -> None:
        """Drop what nobody may see any more."""
        now = self.now()
        for key in [key for key, made in self._made.items() if now >= made.good_until]:
            del self._made[key]
        for key in [key for key, then in self._not_before.items() if now >= then]:
            del self._not_before[key]
