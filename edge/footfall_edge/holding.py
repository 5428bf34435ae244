"""Slots on hold: what is in the outbox unnumbered and may be reported by somebody else too.

So it is after an outbox was copied to a second box. What has a number is the same report on both, and the database
takes it once. What has none yet the other box may send as well, under a number of its own, and nobody could see that
it is the same. Such slots are set apart here until a person who knows what became of the other box decides: `adopt`
or `discard`. Counting goes on beside them: for the rest of the outbox a slot on hold is one that was reported, so that
what is counted in it from now on claims only the seconds that are left.

Every function is one part of a transaction that its caller has begun.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

DISCARDED_KEPT_S: Final = 90 * 86400
"""Seconds for which discarded slots stay in the file, for whoever wants to look."""

_UNTRUSTED: Final = "null"
"""A cursor's totals when they tell nothing about what was booked since."""

_UNDECIDED: Final = "hold IN (SELECT id FROM hold WHERE discarded_s IS NULL)"


Place = Callable[[str, int, int], tuple[int, int]]
"""Sensor, start and length of a slot → start and length of the one that has its seconds now."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a step of this module was about."""

    slots: int = 0
    """Slots and spans."""
    passages: int = 0


def hold(database: sqlite3.Connection, why: str, now_s: int) -> Moved:
    """Put everything unnumbered on hold, and take no running total for a baseline any more.

    What the devices' totals rose by since may be booked by the other box. How far they are booked stays, and so do
    the numbered reports; no stream is continued.
    """
    number = database.execute("INSERT INTO hold (held_s, why) VALUES (?, ?)", (now_s, why)).lastrowid
    # The seconds to claim, by the rule of `slots.observed_seconds`.
    database.execute(
        "INSERT INTO held_slot (hold, sensor, length, start, measured_ms, observed_s)"
        " SELECT ?, sensor, length, start, measured_ms, max(0, min((measured_ms + 50) / 1000, length) - reported_s)"
        " FROM slot WHERE waiting = 1",
        (number,),
    )
    database.execute(
        "INSERT INTO held_cell (hold, sensor, length, start, direction, class, count)"
        " SELECT ?, sensor, length, start, direction, class, count FROM slot_cell",
        (number,),
    )
    database.execute("DELETE FROM slot_cell")
    database.execute(
        "UPDATE slot SET waiting = 0, reported_s = max(reported_s, min((measured_ms + 50) / 1000, length))"
        " WHERE waiting = 1"
    )
    database.execute("UPDATE cursor SET totals = ?", (_UNTRUSTED,))
    database.execute("UPDATE stream SET ended = 1")
    moved = _moved(database, "hold = ?", (number,))
    if not moved.slots:
        database.execute("DELETE FROM hold WHERE id = ?", (number,))
    return moved


def adopt(database: sqlite3.Connection, place: Place) -> Moved:
    """Count what is on hold: it waits again, with what was counted in the same slots since."""
    moved = _moved(database, _UNDECIDED)
    # Coarser slots first: the finer ones of the same time go into them.
    rows = database.execute(
        "SELECT hold, sensor, length, start, observed_s FROM held_slot"  # noqa: S608  # our own words
        f" WHERE {_UNDECIDED} ORDER BY length DESC"
    )
    for *key, observed_s in rows:
        _, sensor, length, start = key
        here = (sensor, *place(sensor, start, length))
        database.execute(
            "INSERT INTO slot (sensor, start, length, measured_ms, waiting) VALUES (?, ?, ?, ?, 1)"
            # A slot that is still known counts these seconds as reported: that is taken back. Others are new to it.
            " ON CONFLICT DO UPDATE SET waiting = 1, reported_s = max(0, reported_s - excluded.measured_ms / 1000),"
            " measured_ms = measured_ms + max(0, excluded.measured_ms - reported_s * 1000)",
            (*here, 1000 * observed_s),
        )
        database.execute(
            "INSERT INTO slot_cell (sensor, start, length, direction, class, count)"
            " SELECT ?, ?, ?, direction, class, count FROM held_cell"
            " WHERE hold = ? AND sensor = ? AND length = ? AND start = ?"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (*here, *key),
        )
    for table in ("held_cell", "held_slot"):
        database.execute(f"DELETE FROM {table} WHERE {_UNDECIDED}")  # noqa: S608  # our own words
    database.execute("DELETE FROM hold WHERE discarded_s IS NULL")
    return moved


def discard(database: sqlite3.Connection, now_s: int) -> Moved:
    """Count nothing of what is on hold. It stays in the file for `DISCARDED_KEPT_S`, out of everybody's way."""
    moved = _moved(database, _UNDECIDED)
    database.execute("UPDATE hold SET discarded_s = ? WHERE discarded_s IS NULL", (now_s,))
    return moved


def forget(database: sqlite3.Connection, now_s: int) -> None:
    """Remove what was discarded long ago."""
    old = "hold IN (SELECT id FROM hold WHERE discarded_s < ?)"
    for table in ("held_cell", "held_slot"):
        database.execute(f"DELETE FROM {table} WHERE {old}", (now_s - DISCARDED_KEPT_S,))  # noqa: S608  # our own words
    database.execute("DELETE FROM hold WHERE discarded_s < ?", (now_s - DISCARDED_KEPT_S,))


def held(database: sqlite3.Connection) -> dict[str, int]:
    """How many slots and spans of each sensor are on hold."""
    rows = database.execute(
        f"SELECT sensor, count(*) FROM held_slot WHERE {_UNDECIDED} GROUP BY sensor"  # noqa: S608  # our own words
    )
    return dict(rows.fetchall())


def discarded(database: sqlite3.Connection) -> int:
    """How many slots and spans were discarded and are still there."""
    (slots,) = database.execute(
        "SELECT count(*) FROM held_slot WHERE hold IN (SELECT id FROM hold WHERE discarded_s IS NOT NULL)"
    ).fetchone()
    return int(slots)


def reasons(database: sqlite3.Connection) -> list[str]:
    """Why slots are on hold, the oldest reason first."""
    rows = database.execute("SELECT why FROM hold WHERE discarded_s IS NULL GROUP BY why ORDER BY min(id)")
    return [why for (why,) in rows]


def _moved(database: sqlite3.Connection, which: str, values: tuple[int | None, ...] = ()) -> Moved:
    (slots,) = database.execute(f"SELECT count(*) FROM held_slot WHERE {which}", values).fetchone()  # noqa: S608  # our own words
    (passages,) = database.execute(
        f"SELECT coalesce(sum(count), 0) FROM held_cell WHERE {which}",  # noqa: S608  # our own words
        values,
    ).fetchone()
    return Moved(slots, passages)
