"""``footfall-ingest import``: history from CSV files, by a mapping."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import psycopg

from footfall_contract import ContractError, check_id
from footfall_ingest import schema
from footfall_ingest.commands import RefusedError
from footfall_ingest.history import importing, mapping
from footfall_ingest.history.writing import NotWrittenError
from footfall_ingest.progress import Bar
from footfall_ingest.settings import IngestSettings

CANCELLED: Final = 130


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``import`` to the parser's `commands`."""
    help_text = "import history from CSV files, by a mapping that says what their columns mean"
    parser = commands.add_parser(
        "import",
        parents=[config],
        help=help_text,
        description="Import history from CSV files, by a mapping that says what their columns mean. Importing again "
        "adds nothing; another value for a time that is stored is reported, and nothing of the files is written.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="CSV, also packed with gzip")
    parser.add_argument("--mapping", metavar="NAME|FILE", help="a ready mapping (--list), or a TOML file")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--station", metavar="ID", help="count for this station: by the sensor that is installed there at the time"
    )
    where.add_argument("--sensor", type=_id, metavar="ID", help="count for this sensor, installed or not")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and write nothing")
    parser.add_argument(
        "--skip-faulty", action="store_true", help="leave out what has a fault, as not measured, and import the rest"
    )
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write all that was found to this file")
    parser.add_argument("--list", action="store_true", help="name the ready mappings, and leave")
    parser.add_argument("--show", action="store_true", help="print the mapping, and leave")
    parser.set_defaults(run=_run)


def _id(text: str) -> str:
    try:
        return check_id("id", text)
    except ContractError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no id: {error.expected}") from None


def _run(settings: IngestSettings, options: argparse.Namespace) -> int:
    if options.list:
        for name in mapping.names():
            sys.stdout.write(f"{name:<12} {mapping.load(name)[1].title}\n")
        return 0
    if not options.mapping:
        raise RefusedError(f"--mapping is missing: one of {', '.join(mapping.names())}, or a TOML file")
    if options.show:
        sys.stdout.write(mapping.text_of(options.mapping)[1])
        return 0
    if not options.files:
        raise RefusedError("no file is named")
    name, found = mapping.load(options.mapping)
    wanted = importing.Wanted(
        options.files, name, found, options.station, options.sensor, options.dry_run, options.skip_faulty
    )
    rules = settings.rules.as_rules()
    bar = Bar()
    try:
        with psycopg.connect(settings.database.dsn, autocommit=True) as connection:
            schema.check(connection)
            report = importing.run(connection, wanted, rules, progress=bar)
    except NotWrittenError as error:
        raise RefusedError(str(error)) from error
    except KeyboardInterrupt:
        bar.end()
        sys.stderr.write("footfall-ingest: cancelled; what was imported stays, run it again to go on\n")
        return CANCELLED
    bar.end()
    if options.report:
        options.report.write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return int(report.outcome == "refused")
