"""What lies in quarantine, for people."""

from collections.abc import Iterator
from typing import Any

import psycopg

_COLUMNS = ("id", "last seen (UTC)", "times", "reason", "node", "sensor", "seq", "detail")


def lines(connection: psycopg.Connection[Any], *, limit: int = 1000) -> Iterator[str]:
    """The open rows as a table, the latest first, at most `limit`; a last line says if there are more."""
    query = """
        SELECT id::text, to_char(last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), times::text, reason,
            coalesce(node, '-'), coalesce(sensor, '-'), coalesce(seq::text, '-'), detail
        FROM quarantine WHERE closed_at IS NULL ORDER BY last_seen DESC, id DESC LIMIT %s
    """
    rows = connection.execute(query, [limit + 1]).fetchall()
    if not rows:
        yield "nothing is in quarantine"
        return
    table = [_COLUMNS, *rows[:limit]]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS) - 1)]
    for row in table:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
    if len(rows) > limit:
        yield f"... and more; these are the latest {limit}"
