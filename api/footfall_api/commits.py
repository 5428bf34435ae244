"""Hear of what is committed: one connection listens for ``footfall_commit``, with which every write ends."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import AsyncConnection

log = logging.getLogger(__name__)

CHANNEL: Final = "footfall_commit"

_CHECK_S: Final = 30.0
"""A connection that hears nothing for so long is asked whether it still lives."""

_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 15.0


async def listen(dsn: str, heard: Callable[[], None], lost: Callable[[], object] = lambda: None) -> None:
    """Call `heard` at each commit until cancelled, and whenever some may have been missed; `lost` at each failure."""
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                heard()  # some may have been missed
                wait_s = _FIRST_WAIT_S
                while True:
                    async for _ in connection.notifies(timeout=_CHECK_S):
                        heard()
                    await connection.execute("SELECT 1")
        except (psycopg.Error, OSError) as error:
            lost()
            log.warning("not listening for commits, next try in %.1f s: %s", wait_s, str(error).strip())
        await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))  # noqa: S311  # spreads reconnects, keeps no secret
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
