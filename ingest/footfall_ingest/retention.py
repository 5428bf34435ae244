"""Minutes that are old enough are removed, if the city wants that; their hours stay for ever.

The rules are in the database's function ``remove_minutes``, which alone has the right: whole hours (whole chunks where
TimescaleDB is), nothing that is not summed up yet, never less than 60 days ago, the boundary never back. It does a part
of the work at a time, so that what is received waits for a second and not for an hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

Connection = psycopg.Connection[Any]

SHORTEST_DAYS: Final = 60
"""Minutes are kept for so many days at least; an edge may send what is 14 days old, and people look at last month."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one call did."""

    minutes_from: datetime | None
    """Where the minutes begin now, UTC; None: nothing was ever removed."""
    moved: bool
    """Whether that is later than before: there may be more to do."""
    dirty: int = 0
    """So many hours of sensors have to be summed up first."""
    busy: bool = False
    """Others were at work for too long; it may be tried again."""


_BEGIN = "SELECT CASE WHEN isfinite(minutes_from) THEN minutes_from END FROM store"
_REMOVE = "SELECT CASE WHEN isfinite(boundary) THEN boundary END, dirty FROM remove_minutes(%s)"


def remove(connection: Connection, now: datetime, keep_days: int) -> Removed:
    """Remove some of the minutes that ended `keep_days` before `now`, the oldest ones, and commit.

    Raises:
        psycopg.Error: nothing was changed.
    """
    wanted = (now - timedelta(days=keep_days)).replace(minute=0, second=0, microsecond=0)
    (before,) = connection.execute(_BEGIN).fetchall()[0]
    try:
        with connection.transaction():
            after, dirty = connection.execute(_REMOVE, [wanted]).fetchall()[0]
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        return Removed(before, moved=False, busy=True)
    return Removed(after, moved=after != before, dirty=dirty)
