"""The command line of ``footfall-edge``: run, probe a line, look into the outbox."""

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import footfall_contract
from footfall_edge import agent
from footfall_edge.clock import ClockError
from footfall_edge.drivers import UnknownDriverError, driver_names
from footfall_edge.outbox import Outbox, OutboxError
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


_DAY_S: Final = 86400


def _outbox(options: argparse.Namespace) -> None:
    settings = EdgeSettings.load(options.config)
    with Outbox.look(settings.outbox.path) as outbox:
        tally = outbox.tally()
    oldest = "nothing waits"
    if tally.oldest_s is not None:
        age = max(0, int(time.time()) - tally.oldest_s)
        oldest = f"{datetime.fromtimestamp(tally.oldest_s, UTC):%Y-%m-%d %H:%M:%S} UTC ({age / _DAY_S:.1f} days)"
    sys.stdout.write(
        f"{settings.outbox.path}: {tally.bytes_used / 1e6:.1f} MB of {settings.outbox.max_mb} MB\n"
        f"waiting: slots without a number {tally.unnumbered}, reports not known to be stored {tally.numbered}\n"
        f"oldest: {oldest}\n"
    )
    for sensor, slots in sorted(tally.waiting_slots.items()):
        sys.stdout.write(f"  {sensor}: slots {slots}\n")
    sys.stdout.write(f"kept: {tally.committed} reports that are stored\n")
