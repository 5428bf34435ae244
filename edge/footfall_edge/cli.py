"""The command line of ``footfall-edge``: run, probe a line, look into the outbox."""

import argparse
import sqlite3
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import footfall_contract
from footfall_edge import agent
from footfall_edge.clock import ClockError
from footfall_edge.drivers import UnknownDriverError, driver_named, driver_names
from footfall_edge.lorawan import bridge
from footfall_edge.lorawan.payloads import Make, decode, lines_of
from footfall_edge.lorawan.reading import PayloadError
from footfall_edge.lorawan.settings import BridgeSettings
from footfall_edge.machine import fingerprint
from footfall_edge.outbox import Outbox, OutboxError
from footfall_edge.overview import overview
from footfall_edge.probe import ProbeError, drawable, picture, probe
from footfall_edge.settings import BoxSettings, EdgeSettings, SensorSettings
from footfall_role import logs, metrics
from footfall_role.settings import WRONG_SETTINGS, SettingsError, print_config
from footfall_role.stop import StopSignal


def run(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` asks for and return the exit status.

    0: done; 1: it could not be done, and a sentence on standard error says why; `WRONG_SETTINGS`: a service cannot run
    with its settings, and need not be started again before they are mended. argparse leaves with 2 by itself.
    """
    options = _parser().parse_args(_tied(sys.argv[1:] if argv is None else argv))
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except sqlite3.Error as error:
        sys.stderr.write(f"footfall-edge: the outbox failed: {error}\n")
        return 1
    except (SettingsError, ClockError) as error:
        _refuse(error)
        return WRONG_SETTINGS if command in {_count, _bridge} else 1
    except (OutboxError, UnknownDriverError, ProbeError, PayloadError, OSError) as error:
        _refuse(error)
        return 1
    return 0


def _refuse(error: Exception) -> None:
    sys.stderr.writelines(f"footfall-edge: {line}\n" for line in str(error).splitlines())


def _tied(argv: Sequence[str]) -> list[str]:
    """`argv` with each ``--line -3,2,3,2`` as one word: argparse takes what begins with a minus for an option."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--line" and word[:1] == "-" and "," in word:
            words[-1] = f"--line={word}"
        else:
            words.append(word)
    return words


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
    listen.add_argument("--port", help="serial port, or replay:FILE for a recording of its bytes")
    listen.add_argument("--driver", help=f"one of: {', '.join(driver_names())}")
    listen.add_argument("--baud", type=int, help="speed of the line (default: the driver's usual one)")
    listen.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="take port, driver and everything else from edge.toml; --port and --baud still win",
    )
    listen.add_argument("--sensor", metavar="ID", help="which [[sensor]] of it (default: the only one)")
    listen.add_argument(
        "--set",
        dest="options",
        action="append",
        default=[],
        metavar="'KEY = VALUE'",
        help="a setting of the driver as it would stand in [[sensor]], in TOML; may be given several times",
    )
    listen.add_argument(
        "--line",
        dest="lines",
        action="append",
        default=[],
        metavar="X1,Y1,X2,Y2",
        help="a counting line in metres, for sensors that show people; may be given several times",
    )
    listen.add_argument(
        "--plot", type=Path, metavar="FILE.svg", help="draw tracks, lines and crossings, to scale, into this file"
    )
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
    _add_bridge(commands)
    return parser


def _add_bridge(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command ``bridge`` and what belongs to it."""
    across = commands.add_parser(
        "bridge", help="count what LoRaWAN counters send: from a network server's MQTT broker, in place of serial lines"
    )
    across.set_defaults(command=_bridge)
    across.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="bridge.toml")
    across.add_argument("--print-config", action="store_true", default=argparse.SUPPRESS, help="as for the edge")
    looks = across.add_subparsers(title="instead of counting", metavar="COMMAND")
    look = looks.add_parser("decode", help="say what a device's bytes mean; needs no settings and no connection")
    look.set_defaults(command=_decode)
    look.add_argument("--make", required=True, choices=[make.value for make in Make], help="what the device is")
    look.add_argument("--port", type=int, required=True, metavar="FPORT", help="the FPort of the uplink")
    look.add_argument("--line", type=int, default=1, help="which line of the device (default: 1)")
    look.add_argument("payload", metavar="HEX", nargs="+", help="the bytes in hexadecimal, with or without spaces")


def _count(options: argparse.Namespace) -> None:
    settings = EdgeSettings.load(options.config)
    _run(options, settings, "edge", lambda stop: agent.run(settings, stop))


def _bridge(options: argparse.Namespace) -> None:
    settings = BridgeSettings.load(options.config)
    _run(options, settings, "bridge", lambda stop: bridge.run(settings, stop))


def _run(options: argparse.Namespace, settings: BoxSettings, name: str, role: Callable[[StopSignal], None]) -> None:
    """Run `role`, which its metrics call `name`, until it is stopped, or show its settings."""
    if options.print_config:
        sys.stdout.write(print_config(settings))
        return
    logs.configure(settings.log_level, settings.log_format, node=settings.node)
    metrics.serve(settings.metrics, name, footfall_contract.__version__, mqtt=settings.mqtt)
    with StopSignal() as stop:
        role(stop)


def _decode(options: argparse.Namespace) -> None:
    make = Make(options.make)
    try:
        payload = bytes.fromhex("".join(options.payload))
    except ValueError as error:
        raise PayloadError(f"{' '.join(options.payload)!r} is not hexadecimal: {error}") from error
    if not 1 <= options.line <= lines_of(make):
        raise SettingsError(f"--line {options.line}; {make} has lines 1 to {lines_of(make)}")
    reading = decode(make, options.port, payload, line=options.line)
    sys.stdout.writelines(f"{line}\n" for line in reading.lines())


def _probe(options: argparse.Namespace) -> None:
    sensor = probed(options)
    if not options.seconds > 0:
        raise SettingsError(f"--for {options.seconds:g}: expected seconds above 0")
    if options.plot is not None:  # what cannot be drawn is said before somebody has listened for it
        drawable(sensor.driver, sensor.set_up.survey())
        if not options.plot.absolute().parent.is_dir():
            raise SettingsError(f"--plot {options.plot}: there is no folder {options.plot.parent}")
    findings = probe(sensor.driver, sensor.set_up, sensor.port, sensor.speed, options.seconds)
    if options.plot is not None:
        options.plot.write_text(picture(findings, sensor.port), encoding="utf-8")
    sys.stdout.write((findings.as_json() if options.json else findings.as_text()) + "\n")


def probed(options: argparse.Namespace) -> SensorSettings:
    """The sensor that a probe is to listen to: out of edge.toml, or put together from the options.

    Raises:
        SettingsError: it cannot be found, or not be set up so.
    """
    given: dict[str, Any] = {"id": "probe"}
    if options.config is not None:
        sensors = EdgeSettings.load(options.config).sensor
        chosen = [sensor for sensor in sensors if options.sensor in (None, sensor.id)]
        if len(chosen) != 1:
            names = ", ".join(sensor.id for sensor in sensors)
            raise SettingsError(f"--sensor says which of {options.config} is meant; there are: {names}")
        given = chosen[0].model_dump()
    elif options.sensor is not None:
        raise SettingsError(f"--sensor {options.sensor} needs --config, in which it stands")
    given |= {key: value for key in ("port", "driver", "baud") if (value := getattr(options, key)) is not None}
    if "port" not in given or "driver" not in given:
        raise SettingsError("probe needs --port and --driver, or --config with a [[sensor]]")
    driver_named(given["driver"])
    for option in options.options:
        try:
            given = _over(given, tomllib.loads(option))
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"--set {option!r} is not TOML such as 'slave = 3': {error}") from error
    if options.lines:
        given["line"] = [_line_of(text) for text in options.lines]
    return SensorSettings.given(given)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with `above` laid over it, table by table, so that several --set may fill one table."""
    both = {
        key: _over(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return {**below, **above, **both}


def _line_of(text: str) -> dict[str, list[float]]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(f"--line {text}: expected four numbers of metres, such as 0,0,0,6") from error
    return {"from": [x1, y1], "to": [x2, y2]}


def _outbox(options: argparse.Namespace) -> None:
    settings = _settings_of(options.config).outbox
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
    path = _settings_of(options.config).outbox.path
    if not path.exists():
        raise OutboxError(f"there is no outbox at {path} yet; the edge makes it when it first runs")
    return Outbox.open(path, machine=fingerprint())


def _settings_of(config: Path | None) -> BoxSettings:
    """The settings in `config`, which is an edge.toml or, having a [network], a bridge.toml."""
    try:
        bridges = config is not None and "network" in tomllib.loads(config.read_text("utf-8"))
    except (OSError, ValueError):
        bridges = False  # the sentence on it is said by whoever reads it as settings
    return BridgeSettings.load(config) if bridges else EdgeSettings.load(config)
