"""Keep the board up to date and tell those who watch it what changed.

One connection listens for ``footfall_commit``, which every write of the aggregator ends with. The board is then read
again, at most once a second, and only while somebody watches or asks. Watchers are never sent a queue of old news: each
has a set of stations that changed since it last looked, so one that is slow skips states and costs no memory.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import psycopg

from footfall_api.board import Board, BoardReader, StationBoard
from footfall_api.commits import listen
from footfall_api.database import Pool, snapshot
from footfall_api.publication import LIFTED, Publication
from footfall_api.shared import Shared
from footfall_api.telemetry import Telemetry

log = logging.getLogger(__name__)

LEAST_INTERVAL_S: Final = 1.0
"""The board is not read more often than this."""

TICK_S: Final = 10.0
"""It is read this often although nothing was committed, because time passes: minutes begin, days end."""


class Subscription:
    """What one watcher has not seen yet."""

    def __init__(self, wanted: frozenset[str] | None) -> None:
        self._wanted = wanted
        self._pending: set[str] = set()
        self._whole = False
        self._event = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the watcher is to leave."""
        return self._closed

    def wants(self, station: str) -> bool:
        """Whether the watcher asked for this station."""
        return self._wanted is None or station in self._wanted

    def changed(self, stations: set[str], *, whole: bool) -> None:
        """Note stations that changed; `whole`: stations came or went, the whole board is new."""
        mine = {station for station in stations if self.wants(station)}
        self._pending |= mine
        self._whole |= whole
        if mine or whole:
            self._event.set()

    def close(self) -> None:
        """No more news: the watcher is to leave."""
        self._closed = True
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for news or the end; False when neither came within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> tuple[set[str], bool]:
        """The stations that changed since the last call, and whether the whole board is new."""
        taken = self._pending, self._whole
        self._pending, self._whole = set(), False
        if not self.closed:
            self._event.clear()
        return taken


class BoardFeed:
    """The current board, and its changes. `run` keeps it going; `close` lets all watchers go."""

    def __init__(
        self, pool: Pool, dsn: str, clock: Callable[[], datetime], telemetry: Telemetry, rules: Publication = LIFTED
    ) -> None:
        self._pool = pool
        self._dsn = dsn
        self._clock = clock
        self._telemetry = telemetry
        self._reader = BoardReader(rules)
        self._reading = Shared()
        self._wake = asyncio.Event()
        self._committed = False
        self._board: Board | None = None
        self._read_at = self._tried_at = -LEAST_INTERVAL_S
        self._subscriptions: set[Subscription] = set()
        self._closed = False
        self.number = 0
        """How often the board was read; the id of the live stream's events."""

    async def current(self) -> Board:
        """The board, at most a second old.

        Raises:
            psycopg.Error: the database cannot be asked (`psycopg_pool.PoolTimeout` among them).
        """
        async with self._reading.held():
            if self._board is None or time.monotonic() - self._read_at >= LEAST_INTERVAL_S:
                return await self._read()
            return self._board

    def latest(self, stations: set[str] | None) -> tuple[datetime, list[StationBoard]]:
        """Some stations of the board (None: all) as it was read last, and when that was."""
        assert self._board is not None
        wanted = [station for station in self._board.stations if stations is None or station.id in stations]
        return self._board.at, wanted

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self, stations: frozenset[str] | None = None) -> Iterator[Subscription]:
        """Watch some stations, or all."""
        subscription = Subscription(stations)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        self._telemetry.live_clients.set(len(self._subscriptions))
        self._wake.set()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._telemetry.live_clients.set(len(self._subscriptions))

    def close(self) -> None:
        """Let all watchers go: their streams end."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()

    async def run(self) -> None:
        """Listen and read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            lost = self._telemetry.listen_reconnects.inc
            tasks.create_task(listen(self._dsn, self._note_commit, lost), name="listen for commits")
            tasks.create_task(self._read_when_due(), name="read the board")

    async def _read(self) -> Board:
        """Read the board and tell the watchers. Only while the reading is held."""
        self._tried_at = time.monotonic()
        self._committed = False  # before the read: what is committed during it is not seen by it
        try:
            with self._telemetry.board_seconds.time():
                async with snapshot(self._pool, for_all=True) as connection:
                    board = await self._reader.read(connection, self._clock())
        except BaseException:  # the watcher that asked for it may have left in the middle
            self._note_commit()
            raise
        before, self._board = self._board, board
        self._read_at = time.monotonic()
        self.number += 1
        if before is not None:
            self._tell(before, board)
        return board

    def _tell(self, before: Board, after: Board) -> None:
        old = {station.id: station for station in before.stations}
        changed = {station.id for station in after.stations if old.get(station.id) != station}
        whole = old.keys() != {station.id for station in after.stations}
        for subscription in self._subscriptions:
            subscription.changed(changed, whole=whole)

    async def _read_when_due(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                self._committed = True
            self._wake.clear()
            if not (self._committed and self._subscriptions):
                continue  # whoever comes next will find the commit noted
            await asyncio.sleep(max(0.0, self._tried_at + LEAST_INTERVAL_S - time.monotonic()))
            try:
                async with self._reading.held(anew=True):
                    await self._read()
            except (psycopg.Error, OSError) as error:
                self._telemetry.board_failures.inc()
                log.warning("the board could not be read: %s", str(error).strip())
            except Exception:  # the edge of the loop: the next commit may be readable again
                self._telemetry.board_failures.inc()
                log.exception("the board could not be read")

    def _note_commit(self) -> None:
        self._committed = True
        self._wake.set()
