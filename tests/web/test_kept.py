"""Answers that visitors share: asked for once, kept for a while, and nobody waits for long."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from footfall_api.pages.kept import RETRY_AFTER, Kept, Made

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Maker:
    """Makes answers, counts them, and waits to be let go on where it is held."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.made = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Exception | None = None

    async def __call__(self) -> Made[int]:
        self.made += 1
        mine = self.made
        await self.open.wait()
        if self.fault:
            raise self.fault
        return Made(mine, self.clock.now + MINUTE, self.clock.now + 60 * MINUTE)


async def turns() -> None:
    """Let everything go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(test: Callable[[Clock, Maker], Awaitable[None]]) -> None:
    """Run `test` in a loop of its own."""

    async def inside() -> None:
        clock = Clock()
        await test(clock, Maker(clock))

    asyncio.run(inside())


def test_many_at_once_ask_once() -> None:
    """Ten visitors who come together share one answer, and so do those who come while it is fresh."""

    async def test(clock: Clock, maker: Maker) -> None:
        kept = Kept(clock)
        maker.open.clear()
        waiting = [asyncio.create_task(kept.get("key", maker)) for _ in range(10)]
        await asyncio.sleep(0)
        maker.open.set()

        assert await asyncio.gather(*waiting) == [1] * 10
        assert await kept.get("key", maker) == 1
        assert await kept.get("other", maker) == 2

    run(test)


def test_nobody_waits_for_a_newer_answer() -> None:
    """An answer that is no longer fresh is shown while a new one is made; who comes later gets that."""

    async def test(clock: Clock, maker: Maker) -> None:
        kept = Kept(clock)
        await kept.get("key", maker)
        clock.now += 2 * MINUTE
        maker.open.clear()

        assert await kept.get("key", maker) == 1
        assert await kept.get("key", maker) == 1
        await asyncio.sleep(0)
        assert maker.made == 2
        maker.open.set()
        await turns()
        assert await kept.get("key", maker) == 2

    run(test)


def test_patience_ends() -> None:
    """Who finds none and gets none in time goes without; the making goes on for the next."""

    async def test(clock: Clock, maker: Maker) -> None:
        kept = Kept(clock, patience_s=0.01)
        maker.open.clear()

        assert await kept.get("key", maker) is None
        assert await kept.get("key", maker) is None
        maker.open.set()
        await turns()
        assert await kept.get("key", maker) == 1

    run(test)


def test_what_could_not_be_had_is_not_asked_for_again_at_once() -> None:
    """A database in trouble is left alone for a while."""

    async def test(clock: Clock, maker: Maker) -> None:
        kept = Kept(clock)
        maker.fault = OSError("no database")

        assert await kept.get("key", maker) is None
        maker.fault = None
        assert await kept.get("key", maker) is None
        assert maker.made == 1
        clock.now += RETRY_AFTER
        assert await kept.get("key", maker) == 2

    run(test)


def test_an_answer_that_is_too_old_is_not_shown() -> None:
    """Yesterday's day is not today's: rather nothing than that."""

    async def test(clock: Clock, maker: Maker) -> None:
        kept = Kept(clock, patience_s=0.01)
        await kept.get("key", maker)
        clock.now += 60 * MINUTE
        maker.open.clear()

        assert await kept.get("key", maker) is None
        maker.open.set()
        await turns()
        assert await kept.get("key", maker) == 2

    run(test)
