"""``footfall-ingest quarantine``: the command line."""

import argparse
import getpass
import json
import os
import sys
from base64 import b64decode
from dataclasses import fields
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from footfall_ingest.budgets import refusals
from footfall_ingest.commands import Act, Connection, RefusedError, connected
from footfall_ingest.judge import Reason
from footfall_ingest.moments import moment
from footfall_ingest.quarantine import (
    HINTS,
    Selection,
    check_open,
    close,
    counts,
    lines,
    payload_lines,
    reopen,
    retry_all,
    selected,
)
from footfall_ingest.quarantine_file import import_rows, rows, written
from footfall_ingest.retry import Became, Retried
from footfall_ingest.settings import IngestSettings


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``quarantine`` and its verbs to the parser's `commands`; each sets `run`."""
    parser = commands.add_parser("quarantine", help="what was received and could not be used")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, act: Act, help_text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = verbs.add_parser(name, parents=[config], help=help_text, description=help_text)
        added.set_defaults(run=connected(act))
        return added

    listing = verb("list", _list, "show what is there, how much of it, and what to do")
    _add_filters(listing)
    listing.add_argument("--limit", type=_positive, default=1000, metavar="N", help="at most N rows (default 1000)")
    listing.add_argument("--json", action="store_true", help="as JSON, without the payloads")

    showing = verb("show", _show, "show everything of one row, the payload too")
    showing.add_argument("id", type=int, metavar="ID")

    retrying = verb("retry", _retry, "handle messages again with today's rules; what can be used is counted, once")
    retrying.add_argument("ids", type=int, nargs="*", metavar="ID", help="these rows; without: all that are open")
    _add_filters(retrying, closed=False)
    retrying.add_argument("--dry-run", action="store_true", help="say what would become of each by itself")
    retrying.add_argument(
        "--server-clock-was-wrong",
        action="store_true",
        help="judge by today's clock, not by when a message came, whether it spoke of the future",
    )

    closing = verb("close", _close, "nothing more is to be done about these; they are kept")
    closing.add_argument(
        "ids", type=int, nargs="*", metavar="ID", help="these rows; without: those that the filters choose"
    )
    _add_filters(closing, closed=False)
    closing.add_argument("--why", required=True, metavar="TEXT", help="for whoever asks later")
    closing.add_argument("--by", metavar="NAME", help="who decided; without: the account this runs under")

    reopening = verb("reopen", _reopen, "take a `close` back")
    reopening.add_argument("ids", type=int, nargs="+", metavar="ID")

    exporting = verb("export", _export, "write rows with their payloads as newline-delimited JSON")
    exporting.add_argument("file", type=Path, metavar="FILE", help="- for standard output")
    _add_filters(exporting)

    importing = verb("import", _import, "put exported rows back; those that are there stay as they are")
    importing.add_argument("file", type=Path, metavar="FILE")


def _list(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    chosen = _selection(options)
    if not options.json:
        sys.stdout.writelines(f"{line}\n" for line in lines(connection, chosen, limit=options.limit))
        sys.stdout.writelines(f"{line}\n" for line in refusals(connection, datetime.now(UTC)))
        return
    found = islice(rows(connection, chosen, newest_first=True), options.limit)
    shown = [{name: value for name, value in row.items() if name != "payload"} for row in found]
    json.dump({"rows": shown, "counts": counts(connection, chosen)}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _show(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    found = list(rows(connection, Selection(ids=[options.id], closed=True)))
    if not found:
        raise RefusedError(f"there is no row {options.id} in quarantine")
    (row,) = found
    payload = b64decode(row.pop("payload"))
    width = max(map(len, row))
    sys.stdout.writelines(f"{name:{width}}  {'-' if value is None else value}\n" for name, value in row.items())
    reason = row["reason"]
    sys.stdout.write(f"{'what to do':{width}}  {HINTS[Reason(reason)] if reason in HINTS else '-'}\n")
    sys.stdout.writelines(f"{line}\n" for line in payload_lines(payload))


def _retry(connection: Connection, settings: IngestSettings, options: argparse.Namespace) -> None:
    check_open(connection, options.ids)
    as_of = datetime.now(UTC) if options.server_clock_was_wrong else None

    def tell(retried: Retried) -> None:
        if options.ids and retried.became is Became.KEPT:
            sys.stdout.write(f"{retried.id}: {retried.reason}: {retried.detail}\n")

    chosen = _selection(options)
    rules = settings.rules.as_rules()
    tally = retry_all(connection, chosen, rules=rules, as_of=as_of, dry_run=options.dry_run, on_each=tell)
    sys.stdout.writelines(f"{line}\n" for line in tally.lines(dry_run=options.dry_run))


def _close(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    if not options.why.strip():
        raise RefusedError("--why is empty: say why nothing more is to be done, for whoever asks later")
    chosen = _selection(options)
    if chosen == Selection():
        raise RefusedError("say which: ids of rows, or a filter like --node")
    check_open(connection, options.ids)
    ids = list(selected(connection, chosen))
    close(connection, ids, why=options.why.strip(), who=options.by or _whoever())
    sys.stdout.write(f"closed {len(ids)}\n")


def _reopen(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    reopen(connection, options.ids)
    sys.stdout.write(f"opened again {len(set(options.ids))}\n")


def _whoever() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        return f"uid {os.getuid()}"


def _export(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    chosen = _selection(options)
    number = 0
    with written(options.file) as file:
        for row in rows(connection, chosen):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            number += 1
    sys.stderr.write(f"exported {number}\n")


def _import(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    new, there = import_rows(connection, options.file)
    sys.stdout.write(f"imported {new}, there already {there}\n")


def _add_filters(parser: argparse.ArgumentParser, *, closed: bool = True) -> None:
    parser.add_argument("--reason", action="append", metavar="R", choices=list(map(str, Reason)), help="repeatable")
    parser.add_argument("--node", action="append", metavar="N", help="repeatable")
    parser.add_argument("--sensor", action="append", metavar="S", help="repeatable")
    parser.add_argument("--since", type=moment, metavar="TIME", help="last seen at or after, as 2026-03-01T12:00:00Z")
    if closed:
        parser.add_argument("--all", action="store_true", dest="closed", help="closed rows too")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _selection(options: argparse.Namespace) -> Selection:
    names = [field.name for field in fields(Selection)]
    given: dict[str, Any] = {name: value for name in names if (value := getattr(options, name, None))}
    return Selection(**given)
