"""The command line of ``footfall-demo``."""

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import footfall_contract
from footfall_demo.folder import default_folder

DEFAULT_DAYS = 60
DEFAULT_PORT = 8000
DEFAULT_MQTT_PORT = 1883
DEFAULT_SEED = 1


@dataclass(frozen=True)
class Options:
    """What was asked for. None stands for "not said"; who reads it knows what is usual then."""

    port: int
    host: str
    mqtt_port: int | None
    data: Path
    days: int | None
    history_from: Path | None
    seed: int | None
    sensors: bool
    for_s: float | None
    broker: Literal["auto", "mosquitto", "amqtt"]
    verbose: bool


def parse(argv: Sequence[str] | None = None) -> Options:
    """The options in `argv`. Leaves the process with exit status 2 and a sentence where they cannot be understood."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.history_from and given.history:
        parser.error("--history-from replaces the simulated past: give either it or --history")
    if given.no_sensors and given.for_s is not None:
        parser.error("--for compares what sensors simulated with what was stored: it needs them, without --no-sensors")
    return Options(
        port=given.port,
        host=given.host,
        mqtt_port=given.mqtt_port,
        data=given.data or default_folder(os.environ, os.geteuid()),
        days=given.history,
        history_from=given.history_from,
        seed=given.seed,
        sensors=not given.no_sensors,
        for_s=given.for_s,
        broker=given.broker,
        verbose=given.verbose,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall-demo",
        description="A city's pedestrian counting on this machine: six simulated sensors, two edge boxes, a broker, "
        "the aggregator, a database and the web page. Ctrl-C stops everything; the next start goes on with the same "
        "data.",
        epilog="Exit status: 0 done, 1 something differed or failed, 2 it could not start.",
    )
    add = parser.add_argument
    add(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        metavar="N",
        help="port of the page and the API (default: %(default)s)",
    )
    add(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address on which the page and the broker listen (default: %(default)s, this machine only; 0.0.0.0: "
        "everyone in the network, without a password)",
    )
    add(
        "--mqtt-port",
        type=_port,
        metavar="N",
        help=f"port of the broker (default: {DEFAULT_MQTT_PORT}, or the next free one)",
    )
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help=f"folder for everything that is kept (default: {default_folder(os.environ, os.geteuid())})",
    )
    add(
        "--history",
        type=_days,
        metavar="DAYS",
        help=f"days of simulated past (default: {DEFAULT_DAYS}; with --no-sensors none)",
    )
    add(
        "--history-from",
        type=Path,
        metavar="FILE",
        help="the past from real counts instead: a CSV file as the API gives it",
    )
    add(
        "--seed",
        type=_seed,
        metavar="N",
        help=f"seed of the simulated pedestrians (default: {DEFAULT_SEED}); kept with the data",
    )
    add("--no-sensors", action="store_true", help="no counters and no edge boxes: any MQTT client may send reports")
    add(
        "--for",
        dest="for_s",
        type=_seconds,
        metavar="SECONDS",
        help="count for so long, wait until everything is stored, show what was simulated and what is stored, and end",
    )
    add(
        "--broker",
        choices=("auto", "mosquitto", "amqtt"),
        default="auto",
        help="auto: mosquitto if it is installed, else amqtt, which is built in",
    )
    add("--verbose", action="store_true", help="also show what the processes log")
    add("--version", action="version", version=f"footfall-demo {footfall_contract.__version__}")
    return parser


def _port(text: str) -> int:
    return _whole(text, 1, 65535)


def _days(text: str) -> int:
    return _whole(text, 0, 36_500)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**32 - 1)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
