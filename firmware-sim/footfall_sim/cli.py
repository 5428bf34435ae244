"""``footfall-sim``: run simulated sensors from a file, or one sensor from options; ``record`` writes a recording."""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from footfall_role import logs
from footfall_role.settings import SettingsError, print_config
from footfall_role.stop import StopSignal
from footfall_sim import recording
from footfall_sim.calibration import DAILY_MEAN, Kind
from footfall_sim.control import OrderError, request
from footfall_sim.memory import UnusableMemoryError
from footfall_sim.runner import FolderInUseError, Runner
from footfall_sim.settings import SensorProtocol, SimSettings

# Options that stand for a key of the file's top level, or of its one [[sensor]].
_COMMON = ("seed", "state_dir", "zone", "speed", "at_least_per_min", "drain_s")
_SENSOR = (
    "id",
    "protocol",
    "link",
    "device",
    "daily_mean",
    "kind",
    "interval_s",
    "drift_ppm",
    "in_share",
    "ring",
    "baud",
)


def run(argv: Sequence[str] | None = None) -> int:
    """The program. Returns its exit status."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] == ["record"]:
        return recording.run(given[1:])
    arguments = _parser().parse_args(given)
    try:
        settings = _settings(arguments)
        if arguments.print_config:
            sys.stdout.write(print_config(settings))
            return 0
        logs.configure(settings.log_level, settings.log_format)
        if arguments.send is not None:
            return _send(settings, arguments.send)
        return _simulate(settings)
    except (SettingsError, FolderInUseError, UnusableMemoryError, OrderError) as error:
        sys.stderr.write(f"footfall-sim: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"footfall-sim: {error.filename or 'input/output'}: {error.strerror or error}\n")
        return 2


def _simulate(settings: SimSettings) -> int:
    with StopSignal() as stop, Runner(settings) as runner:
        held = runner.run(lambda: bool(stop))
    if held.kept:
        sys.stderr.write(
            "footfall-sim: not acknowledged, kept for the next start: "
            f"{', '.join(held.kept)} (in {settings.state_dir})\n"
        )
    if held.lost:
        sys.stderr.write(
            f"footfall-sim: not read by anybody, gone with the power: {', '.join(held.lost)} "
            "(their logs of the truth say how much)\n"
        )
    return 0


def _send(settings: SimSettings, line: str) -> int:
    try:
        order = json.loads(line)
    except ValueError as error:
        raise OrderError(f"--send needs one JSON object: {error}") from error
    try:
        answer = request(settings.control_path, order)
    except (ConnectionError, FileNotFoundError) as error:
        raise OrderError(f"no simulator listens on {settings.control_path}") from error
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0 if answer.get("ok") else 1


def _settings(arguments: argparse.Namespace) -> SimSettings:
    """From the file, else from options; options of the top level win over the file and the environment."""
    given: dict[str, Any] = vars(arguments)
    common = {name: given[name] for name in _COMMON if given[name] is not None}
    sensor = {name: given[name] for name in _SENSOR if given[name] is not None}
    if arguments.config is None:
        return SimSettings.from_options({**common, "sensor": [{"id": "sensor-1", **sensor}]})
    if sensor:
        raise SettingsError(f"--{next(iter(sensor)).replace('_', '-')} belongs into a [[sensor]] of the file")
    settings = SimSettings.load(arguments.config)
    return SimSettings.from_options({**settings.model_dump(), **common}) if common else settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall-sim",
        description="Simulated counting sensors on pseudo-terminals, with people to count and faults to survive.",
        epilog="Without --config the options above describe one sensor: footfall-sim --link /tmp/markt-1. "
        "'footfall-sim record --help' says how to write a recording of a sensor that sees people walk.",
    )
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="TOML file with any number of [[sensor]]")
    add("--print-config", action="store_true", help="show the settings in force and leave")
    add("--send", metavar="JSON", help='send an order to the running simulator, e.g. {"fault": "reboot"}, and leave')
    add("--version", action="version", version=f"footfall-sim {_version()}")
    whole = parser.add_argument_group("the simulation (also with --config)")
    whole.add_argument("--seed", type=int, help="the same seed gives the same people (1)")
    whole.add_argument("--state-dir", type=Path, metavar="DIR", help="memories, logs of the truth, control socket")
    whole.add_argument("--zone", help="time zone of the street (Europe/Berlin)")
    whole.add_argument("--speed", type=float, metavar="N", help="the people's day passes N times as fast (1)")
    whole.add_argument(
        "--at-least-per-min", type=float, metavar="N", help="least passages per minute, also at night (0)"
    )
    whole.add_argument("--drain-s", type=float, metavar="S", help="at the end, wait so long for acknowledgements (10)")
    one = parser.add_argument_group("the one sensor (without --config)")
    one.add_argument("--id", help="its name (sensor-1)")
    one.add_argument(
        "--protocol", choices=[protocol.value for protocol in SensorProtocol], help="what it speaks (reference)"
    )
    one.add_argument("--link", type=Path, metavar="PATH", help="stable path of its line")
    one.add_argument("--device", type=int, metavar="N", help="its device number (by lot)")
    one.add_argument("--daily-mean", type=float, metavar="N", help=f"passages per day ({DAILY_MEAN})")
    one.add_argument("--kind", choices=[kind.value for kind in Kind], help="kind of street (general)")
    one.add_argument("--interval-s", type=int, metavar="S", help="seconds between two cuts (10)")
    one.add_argument("--drift-ppm", type=float, metavar="PPM", help="how much too fast its clock runs (0)")
    one.add_argument("--in-share", type=float, metavar="P", help="share of the passages inwards (0.5)")
    one.add_argument("--ring", type=int, metavar="N", help="intervals it keeps until they are acknowledged (8640)")
    one.add_argument("--baud", type=int, metavar="N", help="speed of the line (what is usual for its protocol)")
    return parser


def _version() -> str:
    try:
        return version("footfall")
    except PackageNotFoundError:
        return "from a source tree"
