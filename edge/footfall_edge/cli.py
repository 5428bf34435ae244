"""The command line of ``footfall-edge``: run, probe a line, look into the outbox."""

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import footfall_contract
from footfall_edge import agent
from footfall_edge.clock import ClockError
from footfall_edge.drivers import UnknownDriverError, driver_names
from footfall_edge.machine import fingerprint
from footfall_edge.outbox import Outbox, OutboxError
from footfall_edge.overview import overview
from footfall_edge.probe import ProbeError, probe
from footfall_edge.settings import EdgeSettings
from footfall_role import logs, metrics
from footfall_role.settings import SettingsError, print_config
from footfall_role.stop import StopSignal


def run(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` asks for and return the exit status.

    0: done; 1: it could not be done, and a sentence on standard error says why. argparse leaves with 2 by itself.
    """
    options = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except sqlite3.Error as error:
        sys.stderr.write(f"footfall-edge: the outbox failed: {error}\n")
        return 1
    except (SettingsError, OutboxError, ClockError, UnknownDriverError, ProbeError, OSError) as error:
        sys.stderr.writelines(f"footfall-edge: {line}\n" for line in str(error).splitlines())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall-edge",
        description="Read counting sensors on serial lines, keep what they count, send it by MQTT until it is stored.",
    )
    parser.add_argument("--version", action="version", version=f"footfall-edge {footfall_contract.__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="edge.toml; FOOTFALL_* variables override it")
    parser.add_argument(
        "--print-config", action="store_true", help="show the settings in force, secrets masked, and leave"
    )
    parser.set_defaults(command=_count)
    commands = parser.add_subparsers(title="instead of counting", metavar="COMMAND")

    listen = commands.add_parser("probe", help="listen to a line and say what is on it; acknowledges nothing")
    listen.set_defaults(command=_probe)
    listen.add_argument("--port", required=True, help="serial port, or replay:FILE for a recording of its bytes")
    listen.add_argument("--driver", required=True, help=f"one of: {', '.join(driver_names())}")
    listen.add_argument("--baud", type=int, help="speed of the line (default: the driver's usual one)")
    listen.add_argument(
        "--for", dest="seconds", type=float, default=15, metavar="SECONDS", help="how long to listen (default: 15)"
    )
    listen.add_argument("--json", action="store_true", help="one JSON object instead of text")

    look = commands.add_parser("outbox", help="what waits in the outbox, since when, and how big it is")
    look.set_defaults(command=_outbox)
    look.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="edge.toml")
    look.add_argument("--json", action="store_true", help="one JSON object instead of text")
    decisions = look.add_subparsers(title="slots on hold, while no edge runs", metavar="DECISION")
    adopt = decisions.add_parser(
        "adopt", help="count the slots on hold: the computer this outbox was copied from is out of service"
    )
    adopt.set_defaults(command=_adopt)
    discard = decisions.add_parser(
        "discard-held", help="do not count them: that computer has sent them, or still will; they are kept for 90 days"
    )
    discard.set_defaults(command=_discard_held)
    discard.add_argument("--yes", action="store_true", help="really; without it nothing is done")
    for decision in (adopt, discard):
        decision.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="edge.toml")
    return parser


def _count(options: argparse.Namespace) -> None:
    settings = EdgeSettings.load(options.config)
    if options.print_config:
        sys.stdout.write(print_config(settings))
        return
    logs.configure(settings.log_level)
    metrics.serve(settings.metrics)
    with StopSignal() as stop:
        agent.run(settings, stop)


def _probe(options: argparse.Namespace) -> None:
    findings = probe(options.port, options.driver, options.baud, options.seconds)
    sys.stdout.write((findings.as_json() if options.json else findings.as_text()) + "\n")


def _outbox(options: argparse.Namespace) -> None:
    settings = EdgeSettings.load(options.config).outbox
    found = overview(settings.path, settings.max_mb)
    sys.stdout.write((found.as_json() if options.json else found.as_text(int(time.time()))) + "\n")


def _adopt(options: argparse.Namespace) -> None:
    with _decide_on(options) as outbox:
        moved = outbox.adopt()
    sys.stdout.write(
        f"{moved.slots} slots with {moved.passages} passages are not on hold any more: they will be sent\n"
    )


def _discard_held(options: argparse.Namespace) -> None:
    with _decide_on(options) as outbox:
        if not options.yes:
            held = sum(outbox.tally().held.values())
            raise OutboxError(f"{held} slots are on hold; nothing was done. discard-held --yes discards them")
        moved = outbox.discard_held(int(time.time()))
    sys.stdout.write(
        f"{moved.slots} slots with {moved.passages} passages were discarded: they will not be sent. "
        "They stay in the outbox file for 90 days\n"
    )


def _decide_on(options: argparse.Namespace) -> Outbox:
    path = EdgeSettings.load(options.config).outbox.path
    if not path.exists():
        raise OutboxError(f"there is no outbox at {path} yet; the edge makes it when it first runs")
    return Outbox.open(path, machine=fingerprint())
