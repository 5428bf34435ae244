"""The command line of ``footfall-ingest``: run, migrate, load stations, list what is in quarantine."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

import footfall_contract
from footfall_ingest import process, quarantine, stations
from footfall_ingest.schema import MigrationError
from footfall_ingest.settings import IngestSettings
from footfall_role import logs
from footfall_role.settings import SettingsError, print_config
from footfall_role.stop import StopSignal


def run(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` asks for and return the exit status.

    0: done; 1: it could not be done, and a sentence on standard error says why. argparse leaves with 2 by itself.
    """
    options = _parser().parse_args(argv)
    try:
        settings = IngestSettings.load(options.config)
        if options.print_config:
            sys.stdout.write(print_config(settings))
            return 0
        logs.configure(settings.log_level)
        return _COMMANDS[options.command](settings, options)
    except (SettingsError, MigrationError, stations.StationsError, OSError) as error:
        return _refused(str(error))
    except psycopg.Error as error:
        return _refused(f"the database refused: {error}".strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall-ingest", description="Receive counts by MQTT, add them up by minute, store them."
    )
    parser.add_argument("--version", action="version", version=f"footfall-ingest {footfall_contract.__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="ingest.toml; FOOTFALL_* variables override it")
    parser.add_argument(
        "--print-config", action="store_true", help="show the settings in force, secrets masked, and leave"
    )
    parser.set_defaults(command="run")
    # The same option after the command; SUPPRESS keeps what stands before it.
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="ingest.toml")
    commands = parser.add_subparsers(title="instead of receiving", metavar="COMMAND")
    migration = commands.add_parser("migrate", parents=[config], help="create or update the database's schema")
    migration.set_defaults(command="migrate")
    for name, verb, help_text in (
        ("stations", "apply", "make the stations in the database those of a GeoJSON file"),
        ("quarantine", "list", "show what was received and could not be used"),
    ):
        verbs = commands.add_parser(name, help=help_text).add_subparsers(metavar=verb, required=True)
        command = verbs.add_parser(verb, parents=[config], help=help_text)
        command.set_defaults(command=name)
        if name == "stations":
            command.add_argument("file", type=Path, help="GeoJSON FeatureCollection")
    return parser


def _migrate(settings: IngestSettings, _options: argparse.Namespace) -> int:
    from footfall_ingest.migrate import migrate  # noqa: PLC0415  # half of the start-up time, and only needed here

    migrate(settings.database.dsn)
    sys.stdout.write("the schema is up to date\n")
    return 0


def _stations(settings: IngestSettings, options: argparse.Namespace) -> int:
    report = stations.apply(settings.database.dsn, options.file)
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 0


def _quarantine(settings: IngestSettings, _options: argparse.Namespace) -> int:
    with psycopg.connect(settings.database.dsn) as connection:
        sys.stdout.writelines(f"{line}\n" for line in quarantine.lines(connection))
    return 0


def _run(settings: IngestSettings, _options: argparse.Namespace) -> int:
    with StopSignal() as stop:
        process.run(settings, stop.event)
    return 0


_COMMANDS = {"run": _run, "migrate": _migrate, "stations": _stations, "quarantine": _quarantine}


def _refused(reason: str) -> int:
    sys.stderr.writelines(f"footfall-ingest: {line}\n" for line in reason.splitlines())
    return 1
