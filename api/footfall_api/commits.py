"""Hear of what is committed: one connection listens for ``footfall_commit``, with which every write ends.

On a standby nobody can listen. There the position to which it has replayed is looked at once a second instead: it moves
with every commit, and with what is none, which costs no more than one look too many.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import AsyncConnection

log = logging.getLogger(__name__)

CHANNEL: Final = "footfall_commit"

_REPLAYED: Final = "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text"

_CHECK_S: Final = 30.0
"""A connection that hears nothing for so long is asked whether it still lives."""

_REPLAY_LOOKS_S: Final = 1.0
"""How often a standby is asked how far it is."""

_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 15.0


async def listen(dsn: str, heard: Callable[[], None], lost: Callable[[], object] = lambda: None) -> None:
    """Call `heard` at each commit until cancelled, and whenever some may have been missed; `lost` at each failure."""
    wait_s = _FIRST_WAIT_S

    def hear() -> None:
        nonlocal wait_s
        wait_s = _FIRST_WAIT_S
        heard()

    while True:
        try:
            async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
                await _watch_replay(connection, hear)
                await _listen(connection, hear)
        except (psycopg.Error, OSError) as error:
            lost()
            log.warning("not listening for commits, next try in %.1f s: %s", wait_s, str(error).strip())
        await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))  # noqa: S311  # spreads reconnects, keeps no secret
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


async def _listen(connection: AsyncConnection, heard: Callable[[], None]) -> None:
    await connection.execute(f"LISTEN {CHANNEL}")
    heard()  # some may have been missed
    while True:
        async for _ in connection.notifies(timeout=_CHECK_S):
            heard()
        await connection.execute("SELECT 1")


async def _watch_replay(connection: AsyncConnection, heard: Callable[[], None]) -> None:
    """Call `heard` whenever a standby has replayed more, for as long as it is one."""
    seen = None
    while True:
        row = await (await connection.execute(_REPLAYED)).fetchone()
        assert row is not None
        is_standby, position = row
        if not is_standby:
            return
        if position != seen:
            heard()
        seen = position
        await asyncio.sleep(_REPLAY_LOOKS_S)
