"""``footfall-api dump``: its options, and what it says."""

import argparse
import asyncio
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg_pool import PoolTimeout

from footfall_api.dump.folder import DumpError, Folder, faults
from footfall_api.dump.plan import Choice, Period
from footfall_api.intervals import Resolution
from footfall_api.problems import database_problem
from footfall_api.publication import STANDARD
from footfall_api.sending import textfile
from footfall_api.settings import ApiSettings

_HELP = "write all public counts as files (CSV, Parquet), by month and year; what has not changed stays as it is"


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", config: argparse.ArgumentParser
) -> None:
    """Add the command to those of ``footfall-api``."""
    parser = commands.add_parser("dump", parents=[config], help=_HELP, description=_HELP)
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="folder of their own; default: folder in [files]"
    )
    parser.add_argument(
        "--only",
        action="append",
        type=_resolution,
        metavar="RESOLUTION",
        help=f"write only these: {', '.join(STANDARD)}; may be given several times",
    )
    parser.add_argument(
        "--from", dest="first", type=_period, metavar="MONTH", help="write only files from this month (or year) on"
    )
    parser.add_argument(
        "--to", dest="last", type=_period, metavar="MONTH", help="write only files up to this month (or year)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing: see whether the files are what SHA256SUMS says"
    )
    parser.add_argument(
        "--textfile",
        type=_textfile,
        metavar="FILE.prom",
        help="say there when this ran and how it went, for the textfile collector of Prometheus' node_exporter",
    )
    parser.set_defaults(run=run)


def _resolution(text: str) -> Resolution:
    if text not in STANDARD:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(STANDARD)}")
    return Resolution(text)


def _period(text: str) -> Period:
    found = re.fullmatch(r"(20\d\d)(?:-(0[1-9]|1[0-2]))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a month such as 2026-03 nor a year such as 2026")
    return Period(int(found[1]), int(found[2] or 0))


def _textfile(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".prom":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .prom: the textfile collector would pass it over")
    return path


def run(options: argparse.Namespace, settings: ApiSettings) -> int:
    """Write or check the files; the exit status.

    Raises:
        DumpError: it cannot be done, or the files are not what they should be.
    """
    folder: Path | None = options.folder or (Path(settings.files.folder) if settings.files.folder else None)
    if folder is None:
        raise DumpError("name a folder: footfall-api dump FOLDER, or set folder in [files]")
    if options.check:
        return _check(folder)
    if options.first and options.last and options.last.end <= options.first.first:
        raise DumpError(f"--to {options.last} is before --from {options.first}")
    choice = Choice(frozenset(options.only) if options.only else None, options.first, options.last)
    try:
        with textfile(options.textfile):
            return _dump(settings, folder, choice)
    except KeyboardInterrupt:
        raise DumpError("stopped; what is written stays, and the next run goes on from there") from None
    except psycopg.Error as error:
        why = database_problem(error).detail
        raise DumpError(why if isinstance(error, PoolTimeout) else f"{why}: {error}".strip()) from error
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise DumpError(f"{place}{error.strerror or error}") from error


def _dump(settings: ApiSettings, folder: Path, choice: Choice) -> int:
    from footfall_api.dump.run import dump  # noqa: PLC0415  # pyarrow takes more memory than the rest of the API

    done = asyncio.run(dump(settings, folder, choice, datetime.now(UTC), _say))
    counted = [
        (done.written, "written"),
        (done.same, "made again and the same as before"),
        (done.unchanged, "unchanged"),
        (done.left, "not chosen"),
        (done.removed, "removed"),
    ]
    said = ", ".join(f"{number} {what}" for number, what in counted if number) or "no counts to be published yet"
    sys.stdout.write(f"{folder}: {said}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _check(folder: Path) -> int:
    with Folder.take(folder, create=False):
        number, found = faults(folder)
    if found:
        raise DumpError("\n".join(found))
    sys.stdout.write(f"{folder}: {number} files are what SHA256SUMS says\n")
    return 0
