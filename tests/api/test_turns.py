"""A client's turn: what is counted as work while it lasts, and how many connections all its work has."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from footfall_api.clients import Account, Clients
from footfall_api.database import snapshot
from footfall_api.settings import LimitsSettings
from footfall_api.shared import FAILED_S, Shared
from footfall_api.turns import Turn, turn

CLIENT = "203.0.113.7"


class Fake:
    """A pool with a connection less than one may want, and a clock that is set by hand."""

    def __init__(self, size: int = 1, at_once: int = 9) -> None:
        self.now = 1000.0
        self.free = asyncio.Semaphore(size)
        self.had = self.most = 0
        self.clients = Clients(LimitsSettings(work_s=1000, work_s_per_minute=1e-9), at_once)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One of them."""
        async with self.free:
            self.had += 1
            self.most = max(self.most, self.had)
            try:
                yield self
            finally:
                self.had -= 1

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """One that does nothing."""
        yield

    def account(self) -> Account:
        """The client's."""
        return self.clients.of(CLIENT)

    def used(self) -> float:
        """Seconds of work that have been counted."""
        return self.account().work.size - self.account().work._level

    async def in_turn(self, *parts: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do parts of one turn at a time."""
        mine = Turn(self.account(), lambda: self.now)
        await mine.wait()
        with mine.here():
            await asyncio.gather(*(part() for part in parts))
        mine.end()


def test_waiting_is_no_work() -> None:
    """Neither for a connection that others have nor for one of one's own; what is read, and what follows, is."""

    async def run() -> float:
        fake = Fake()

        async def part() -> None:
            fake.now += 1
            async with snapshot(fake) as _:  # type: ignore[arg-type]
                fake.now += 2
            fake.now += 4

        async with fake.connection():  # a stranger's
            asked = asyncio.create_task(fake.in_turn(part))
            await asyncio.sleep(0.01)
            fake.now += 100
        await asked
        return fake.used()

    assert asyncio.run(run()) == pytest.approx(7)


def test_a_turn_goes_on_while_one_of_its_parts_does() -> None:
    """While one part has a connection it is work, however many wait; two at a time are not counted twice."""

    async def run() -> tuple[float, int]:
        fake = Fake(at_once=1, size=5)

        async def part() -> None:
            async with snapshot(fake):  # type: ignore[arg-type]
                await asyncio.sleep(0.01)
                fake.now += 2

        await fake.in_turn(part, part, part)
        return fake.used(), fake.most

    used, most = asyncio.run(run())
    assert used == pytest.approx(6)
    assert most == 1


def test_what_is_read_for_all_waits_for_nobodys_share() -> None:
    """Else one busy client would hold up everybody who waits for it."""

    async def run() -> None:
        fake = Fake(at_once=1, size=5)
        async with asyncio.timeout(5), fake.account().connections:
            async with snapshot(fake, for_all=True):  # type: ignore[arg-type]
                pass

            async def part() -> None:
                async with snapshot(fake, for_all=True):  # type: ignore[arg-type]
                    pass

            await fake.in_turn(part)

    asyncio.run(run())


def test_outside_of_a_request_nothing_is_counted() -> None:
    """Nor after the turn; what went on in it is nobody's then."""

    async def run() -> float:
        fake = Fake()
        goes_on = asyncio.Event()

        async def later() -> None:
            await goes_on.wait()
            async with snapshot(fake):  # type: ignore[arg-type]
                fake.now += 50

        tasks: list[asyncio.Task[None]] = []

        async def part() -> None:
            tasks.append(asyncio.create_task(later()))

        await fake.in_turn(part)
        goes_on.set()
        await tasks[0]
        with turn().waiting():
            fake.now += 9
        return fake.used()

    assert asyncio.run(run()) == 0


def test_who_waited_for_a_reading_that_failed_waits_no_second_time() -> None:
    """The database is away: all who queue are told when the first one is, and later it is tried again."""
    tried = 0

    async def run() -> None:
        nonlocal tried
        fake, shared = Fake(), Shared()
        fails = True

        async def read() -> None:
            nonlocal tried
            async with shared.held():
                tried += 1
                await asyncio.sleep(0.05)
                fake.now += 5
                if fails:
                    raise psycopg.OperationalError("away")

        async def part() -> None:
            with pytest.raises(psycopg.OperationalError, match="away"):
                await read()

        await asyncio.gather(*(fake.in_turn(part) for _ in range(4)))
        assert tried == 1
        assert fake.used() == pytest.approx(5), "only who reads is counted for it"
        async with shared.held(anew=True):
            pass
        fails = False
        await read()
        assert tried == 2
        fails = True
        await part()
        await asyncio.sleep(FAILED_S)
        fails = False
        await read()
        assert tried == 4

    asyncio.run(run())
