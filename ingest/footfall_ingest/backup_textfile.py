"""The last backup as a text file for Prometheus: the textfile collector of node_exporter reads it.

A command that runs once a night has no port that could be asked. What was achieved is read from the folder and not
remembered: if somebody removes the backups, the age of the newest one says so. Where the folder cannot be read there is
no such number at all, which is for the alert to notice.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from footfall_ingest.backup_manifest import Backup


@dataclass(frozen=True, slots=True)
class Run:
    """One run of ``footfall-ingest backup``."""

    ended_s: float
    """UTC unix seconds."""
    seconds: float
    """How long it took."""
    success: bool


def text(run: Run, good: list[Backup] | None) -> str:
    """The file's content; `good` are the backups that are there, the oldest first, None: the folder cannot be read."""
    lines: list[str] = []

    def gauge(name: str, help_text: str, value: float) -> None:
        full = f"footfall_backup_{name}"
        lines.extend([f"# HELP {full} {help_text}", f"# TYPE {full} gauge", f"{full} {value:.17g}"])

    gauge("last_run_timestamp_seconds", "When footfall-ingest backup last ended, however it ended.", run.ended_s)
    gauge("last_run_success", "1 if the last run made a backup, 0 if it failed.", run.success)
    gauge("last_run_duration_seconds", "How long the last run took.", run.seconds)
    if good is not None:
        gauge("kept", "Backups in the folder that are whole.", len(good))
    if good:
        newest = good[-1].manifest
        gauge("newest_timestamp_seconds", "The time that the newest of them is of.", newest.taken.timestamp())
        gauge("newest_size_bytes", "The size of its archive.", newest.size)
    return "\n".join(lines) + "\n"


def write(path: Path, content: str) -> None:
    """Put `content` in the place of the file, whole at any moment, for everybody to read.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")  # not .prom: the collector reads those
    try:
        draft.write_text(content, "ascii")
        draft.chmod(0o644)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
