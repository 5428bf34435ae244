"""The command line of ``footfall-ingest``: run, migrate, load stations; other modules bring their own commands."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

import footfall_contract
from footfall_ingest import (
    areas,
    backup_commands,
    epochs,
    import_commands,
    nodes,
    process,
    quarantine_commands,
    remarks,
    rollup,
    sensors,
    stations,
    upgrade,
    workers,
)
from footfall_ingest.commands import RefusedError
from footfall_ingest.geojson import FaultsError
from footfall_ingest.schema import MigrationError
from footfall_ingest.settings import MAX_WORKERS, IngestSettings
from footfall_ingest.subscriber import UnsharedError
from footfall_role import logs, unsafe
from footfall_role.settings import WRONG_SETTINGS, SettingsError, print_config
from footfall_role.stop import StopSignal


def run(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` asks for and return the exit status.

    0: done; 1: it could not be done, and a sentence on standard error says why; `WRONG_SETTINGS`: it cannot run with
    its settings, and need not be started again before they are mended. argparse leaves with 2 by itself.
    """
    options = _parser().parse_args(argv)
    try:
        settings = _settings(options)
        if options.print_config:
            sys.stdout.write(print_config(settings))
            return 0
        worker = {"worker": options.worker} if options.worker else {}
        logs.configure(settings.log_level, settings.log_format, **worker)
        unsafe.refuse(settings.unsafe_things(), accepted=settings.unsafe)
        return int(options.run(settings, options))
    except SettingsError as error:
        status = _refused(str(error))
        return WRONG_SETTINGS if options.run is _run else status
    except (MigrationError, FaultsError, RefusedError, UnsharedError, OSError) as error:
        status = _refused(str(error))
        return workers.REFUSED if options.worker else status
    except psycopg.Error as error:
        return _refused(f"the database refused: {error}".strip())


def _settings(options: argparse.Namespace) -> IngestSettings:
    settings = IngestSettings.load(options.config)
    if options.workers is None and options.worker is None:
        return settings
    try:
        if options.worker is not None:
            return settings.of_worker(options.worker)
        settings.metrics_of(options.workers)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    return settings.model_copy(update={"workers": options.workers})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall-ingest", description="Receive counts by MQTT, add them up by minute, store them."
    )
    parser.add_argument("--version", action="version", version=f"footfall-ingest {footfall_contract.__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="ingest.toml; FOOTFALL_* variables override it")
    parser.add_argument(
        "--print-config", action="store_true", help="show the settings in force, secrets masked, and leave"
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help=f"receive with N processes, 1 to {MAX_WORKERS}, that share a subscription (default: as in the settings)",
    )
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # what --workers starts: its number
    parser.set_defaults(run=_run)
    # The same option after the command; SUPPRESS keeps what stands before it.
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="ingest.toml")
    commands = parser.add_subparsers(title="instead of receiving", metavar="COMMAND")
    help_text = "create or update the database's schema, and count what an older version could not read"
    commands.add_parser("migrate", parents=[config], help=help_text).set_defaults(run=_migrate)
    help_text = "make the stations in the database those of a GeoJSON file"
    verbs = commands.add_parser("stations", help=help_text).add_subparsers(metavar="apply", required=True)
    applying = verbs.add_parser("apply", parents=[config], help=help_text)
    applying.add_argument("file", type=Path, help="GeoJSON FeatureCollection")
    applying.set_defaults(run=_stations)
    modules = (areas, remarks, quarantine_commands, sensors, nodes, rollup, epochs, import_commands, backup_commands)
    for module in modules:
        module.add_parser(commands, config)
    return parser


def _workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"{number} is not a number from 1 to {MAX_WORKERS}")
    return number


def _migrate(settings: IngestSettings, _options: argparse.Namespace) -> int:
    from footfall_ingest.migrate import migrate  # noqa: PLC0415  # half of the start-up time, and only needed here

    done = migrate(settings.database.dsn, settings.store)
    sys.stdout.write("the schema is up to date\n")
    sys.stdout.writelines(f"{line}\n" for line in done)
    sys.stdout.writelines(f"{line}\n" for line in upgrade.finish(settings))
    return 0


def _stations(settings: IngestSettings, options: argparse.Namespace) -> int:
    report = stations.apply(settings.database.dsn, options.file)
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 0


def _run(settings: IngestSettings, options: argparse.Namespace) -> int:
    with StopSignal() as stop:
        if settings.workers > 1:
            return workers.run(settings, stop, workers.command_of(options.config))
        process.run(settings, stop.event)
    return 0


def _refused(reason: str) -> int:
    sys.stderr.writelines(f"footfall-ingest: {line}\n" for line in reason.splitlines())
    return 1
