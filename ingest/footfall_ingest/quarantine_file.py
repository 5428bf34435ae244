"""Rows of the quarantine as newline-delimited JSON: out of one database, and back into it or into another."""

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Any

from psycopg.rows import dict_row

from footfall_ingest.commands import Connection, RefusedError
from footfall_ingest.quarantine import PAGE, SELECTED, Selection

_ALL = (
    "id",
    "kind",
    "reason",
    "detail",
    "node",
    "topic_sensor",
    "topic_fault",
    "sensor",
    "stream",
    "seq",
    "holds_number",
    "first_seen",
    "last_seen",
    "times",
    "program",
    "closed_at",
    "closed_how",
    "closed_why",
    "closed_by",
    "content",
    "payload",
)

_TIMES = ("first_seen", "last_seen", "closed_at")


def rows(connection: Connection, chosen: Selection, *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
    """The chosen rows with all their columns, as JSON can hold them; read as they are asked for."""
    order = "last_seen DESC, id DESC" if newest_first else "first_seen, id"
    query = f"SELECT {', '.join(_ALL)} FROM quarantine WHERE {SELECTED} ORDER BY {order}"  # noqa: S608  # constants
    with connection.transaction(), connection.cursor("rows", row_factory=dict_row) as cursor:
        cursor.itersize = 50  # a payload may have 64 KiB
        cursor.execute(query, asdict(chosen))
        for row in cursor:
            yield {name: _jsonable(value) for name, value in row.items()} | {"content": bytes(row["content"]).hex()}


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes | memoryview):
        return b64encode(value).decode()
    return value if value is None or isinstance(value, bool | int) else str(value)


@contextmanager
def written(path: Path) -> Iterator[IO[str]]:
    """A file to write that gets its name when it is complete; ``-`` is standard output."""
    if str(path) == "-":
        yield sys.stdout
        return
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        yield file
    part.replace(path)


def import_rows(connection: Connection, exported: Path) -> tuple[int, int]:
    """Put the exported rows in a file back and commit; how many were new, and how many were there. May be repeated.

    Rows that are there, with the same content from the same node and sensor, stay as they are. A row that comes in
    holds no number: whether its report was received is for this database to say, and a retry asks it.

    Raises:
        RefusedError: a line is no exported row; nothing was changed.
    """
    for _ in _read(exported):
        pass  # the whole file first, so that it is imported whole or not at all
    new = there = 0
    lines = _read(exported)
    while page := list(islice(lines, PAGE)):
        # In the order of all who write several rows, and no longer than for these: nobody waits in a circle.
        page.sort(key=lambda row: (row["content"], row["node"] or "", row["sensor"] or ""))
        with connection.transaction():
            fresh = sum(connection.execute(_IMPORT, row).rowcount for row in page)
        new += fresh
        there += len(page) - fresh
    return new, there


def _read(exported: Path) -> Iterator[dict[str, Any]]:
    with exported.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _imported(number, line)


_IMPORTED = tuple(name for name in _ALL if name not in {"id", "holds_number"})

_IMPORT = f"""
    INSERT INTO quarantine ({", ".join(_IMPORTED)}) VALUES ({", ".join(f"%({name})s" for name in _IMPORTED)})
    ON CONFLICT (content, node, sensor) DO NOTHING
"""  # noqa: S608  # a constant of this module


def _imported(number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        values = {name: row[name] for name in _IMPORTED}
        payload = b64decode(values["payload"], validate=True)
        times = {name: values[name] and datetime.fromisoformat(values[name]) for name in _TIMES}
    except (ValueError, TypeError, KeyError) as error:
        raise RefusedError(f"line {number} is no row of an export: {type(error).__name__}: {error}") from error
    return {**values, **times, "payload": payload, "content": sha256(payload).digest()}
