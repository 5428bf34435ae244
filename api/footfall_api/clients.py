"""How much a client may ask for: buckets that fill with time, for as many clients as are remembered.

A client is an address, of IPv6 the network of 64 bits that one subscriber has (`addresses.client_key`). What a question
costs is known only when it has been answered, so a bucket may be overdrawn, and who has done so waits until it is paid
back. Times are seconds of a clock that only goes forward, and are given: nothing here looks at one.
"""

import asyncio
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from footfall_api.settings import LimitsSettings

ATTEMPTS_S: Final = 15 * 60
"""The time to which `attempts` in ``[limits]`` belongs."""


@dataclass(slots=True)
class Bucket:
    """Holds `size` at most and gets `per_s`, more than 0, each second; full at first. Of size 0 it has no bounds."""

    size: float
    per_s: float
    _level: float = field(init=False)
    _at_s: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        self._level = self.size

    def take(self, amount: float, now_s: float) -> None:
        """Take `amount`, also where there is less."""
        self._level = self._filled(now_s) - amount
        self._at_s = max(now_s, self._at_s)

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` may be taken; 0: now."""
        if not self.size:
            return 0.0
        return max(0.0, (amount - self._filled(now_s)) / self.per_s)

    def _filled(self, now_s: float) -> float:
        return min(self.size, self._level + max(0.0, now_s - self._at_s) * self.per_s)


@dataclass(slots=True)
class Account:
    """What one client has left."""

    requests: Bucket
    work: Bucket
    """Seconds."""
    attempts: Bucket
    """Wrong operator's tokens."""
    turns: asyncio.Semaphore
    """To be held while something is worked on for the client."""
    connections: asyncio.Semaphore
    """To be held while that has a connection of the database: a page asks several questions in one turn."""


class Clients:
    """The accounts of the clients that asked last; one that is forgotten begins anew."""

    def __init__(self, limits: LimitsSettings, at_once: int) -> None:
        self._limits = limits
        self._at_once = at_once
        self._accounts: OrderedDict[str, Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    def of(self, key: str) -> Account:
        """The account of the client `key` (`client_key`)."""
        account = self._accounts.get(key)
        if account is None:
            while len(self._accounts) >= self._limits.clients:
                self._accounts.popitem(last=False)
            account = self._accounts[key] = self._new()
        self._accounts.move_to_end(key)
        return account

    def _new(self) -> Account:
        limits = self._limits
        return Account(
            Bucket(limits.requests, limits.requests_per_minute / 60),
            Bucket(limits.work_s, limits.work_s_per_minute / 60),
            Bucket(limits.attempts, limits.attempts / ATTEMPTS_S),
            asyncio.Semaphore(self._at_once),
            asyncio.Semaphore(self._at_once),
        )


class FullError(Exception):
    """There is no place left; `alone`: of this client's own, while others would still get one."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__()
        self.alone = alone


class Seats:
    """Places of which each client may have some, and all together a number: live streams, connections.

    Whoever has the key None is nobody in particular and bound by the second number alone.
    """

    def __init__(self, each: int, together: int) -> None:
        self.each = each
        self.together = together
        self.taken = 0
        """How many are taken."""
        self._by_client: Counter[str] = Counter()

    def check(self, key: str | None) -> None:
        """Make sure that there is one.

        Raises:
            FullError: there is none left.
        """
        if self.taken >= self.together:
            raise FullError(alone=False)
        if key is not None and self._by_client[key] >= self.each:
            raise FullError(alone=True)

    def take(self, key: str | None) -> None:
        """Take one; give it back with `leave`.

        Raises:
            FullError: there is none left.
        """
        self.check(key)
        self.taken += 1
        if key is not None:
            self._by_client[key] += 1

    def leave(self, key: str | None) -> None:
        """Give one back."""
        self.taken -= 1
        if key is not None:
            self._by_client[key] -= 1
            if not self._by_client[key]:
                del self._by_client[key]  # nobody is remembered for what they had

    @contextmanager
    def taking(self, key: str | None) -> Iterator[None]:
        """Have one inside of the block.

        Raises:
            FullError: there is none left.
        """
        self.take(key)
        try:
            yield
        finally:
            self.leave(key)
