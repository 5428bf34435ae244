"""Open-data files, written in this process, and read again with plain tools."""

import asyncio
import csv
import gzip
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from footfall_api.dump.plan import Choice
from footfall_api.dump.run import Summary, dump
from footfall_api.settings import ApiSettings
from footfall_testing.city import NOW

EVERYTHING = Choice()


def dump_into(
    folder: Path,
    settings: ApiSettings,
    now: datetime = NOW,
    choice: Choice = EVERYTHING,
    lines: list[str] | None = None,
) -> Summary:
    """Bring a folder up to date; what is said meanwhile is added to `lines`."""
    return asyncio.run(dump(settings, folder, choice, now, (lines if lines is not None else []).append))


def csv_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a file of counts in CSV."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def parquet_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of counts in Parquet."""
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def sums(folder: Path) -> str:
    """``SHA256SUMS``."""
    return (folder / "SHA256SUMS").read_text("utf-8")


def visible(folder: Path) -> Iterator[str]:
    """The paths of all files that a web server would show."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix()


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Of each file which it is and when it was last written."""
    found = {name: (folder / name).stat() for name in visible(folder)}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}
