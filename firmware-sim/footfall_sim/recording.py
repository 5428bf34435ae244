"""Recordings: the bytes that a sensor in front of a scene would send, and the truth of what happened there.

``footfall-sim record --driver ld2450 --scene easy --out easy.bin --truth easy.json`` writes both. The file holds the
bytes alone, as a terminal program would have recorded them; a reader takes it for the sensor itself. It is written
second by second, so its length does not matter.
"""

import argparse
import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from footfall_sim.faults import Wire
from footfall_sim.radar import LD2450_NAME, MAKES, Mounting, Radar, Weaknesses
from footfall_sim.scene import IN, OUT, Line, Scene
from footfall_sim.ti_people import PROFILES
from footfall_sim.view import IWR6843, LD2450

_STEP_S = 1.0
_EASY, _CROWD = "easy", "crowd"


@dataclass(frozen=True, slots=True)
class Figures:
    """The truth of a recording. Frames, targets and restarts are what the sensor sent, before the wire spoiled it."""

    seconds: float
    frames: int
    targets: int
    """Sum over all frames."""
    restarts: int
    passages_in: int
    passages_out: int
    written_bytes: int


def record(
    radar: Radar,
    seconds: float,
    write: Callable[[bytes], object],
    wire: Wire | None = None,
    *,
    restart_every_s: float = math.inf,
) -> Figures:
    """Write what `radar` sends in `seconds` from the scene's beginning, as it leaves `wire`."""
    wire = wire or Wire(random.Random(0))  # noqa: S311  # a clean wire, which never throws its dice
    passages = {IN: 0, OUT: 0}
    written = 0
    now, restart_at = 0.0, restart_every_s
    while now < seconds:
        begun, now = now, min(now + _STEP_S, seconds)
        data = radar.advance(now)
        if now >= restart_at:
            radar.restart(now)
            restart_at += restart_every_s
        for crossing in radar.crossed():
            passages[crossing.direction] += 1
        data = wire.pass_on(data, now - begun)
        write(data)
        written += len(data)
    return Figures(seconds, radar.frames, radar.targets, radar.restarts, passages[IN], passages[OUT], written)


def run(argv: Sequence[str]) -> int:
    """``footfall-sim record``. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return _record(arguments)
    except ValueError as error:
        sys.stderr.write(f"footfall-sim record: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"footfall-sim record: {error.filename or 'output'}: {error.strerror or error}\n")
        return 2


def _record(given: argparse.Namespace) -> int:
    line = Line(*given.line)
    if given.scene == _EASY:
        scene = Scene.easy(given.seed, line, per_direction=given.per_direction, turning=given.turning)
        seconds = scene.seconds if given.seconds is None else min(given.seconds, scene.seconds)
    else:
        seconds = 3600.0 if given.seconds is None else given.seconds
        scene = Scene.crowd(given.seed, given.per_min, line, seconds=seconds)
    mounting = Mounting(given.height_m, given.tilt_deg)
    eyes = LD2450 if given.driver == LD2450_NAME else IWR6843
    ghosts = given.ghosts_per_min if given.ghosts_per_min is not None else float(given.scene == _CROWD)
    weaknesses = Weaknesses(replace(eyes, ghosts_per_min=ghosts, drop=given.drop))
    radar = Radar(
        given.driver,
        scene.presence(),
        mounting,
        seed=given.seed,
        weaknesses=weaknesses,
        profile=PROFILES[given.profile],
    )
    dice = random.Random(f"{given.seed} wire")  # noqa: S311  # reproducible on purpose
    wire = Wire(dice, noise_per_s=given.noise_per_s, flip=given.flip, loss=given.loss)
    with given.out.open("wb") as file:
        figures = record(radar, seconds, file.write, wire, restart_every_s=given.restart_every_s)
    if given.truth is not None:
        given.truth.write_text(json.dumps(_truth(given, figures), indent=2) + "\n", encoding="utf-8")
    return 0


def _truth(given: argparse.Namespace, figures: Figures) -> dict[str, Any]:
    scene: dict[str, Any] = {"scene": given.scene, "seed": given.seed, "line": given.line}
    if given.scene == _CROWD:
        scene["per_min"] = given.per_min
    return {
        "driver": given.driver,
        **scene,
        "height_m": given.height_m,
        "tilt_deg": given.tilt_deg,
        "seconds": round(figures.seconds, 3),
        "frames": figures.frames,
        "targets": figures.targets,
        "restarts": figures.restarts,
        "passages": {"in": figures.passages_in, "out": figures.passages_out},
        "bytes": figures.written_bytes,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall-sim record",
        description="Write the bytes that a sensor in front of walking people would send, and what really happened.",
    )
    add = parser.add_argument
    add("--driver", choices=MAKES, required=True, help="the sensor")
    add("--out", type=Path, required=True, metavar="FILE", help="the bytes")
    add("--truth", type=Path, metavar="FILE", help="JSON: frames, targets, restarts, true passages in and out")
    add("--seed", type=int, default=1, help="the same seed gives the same bytes (1)")
    people = parser.add_argument_group("the people")
    people.add_argument("--scene", choices=(_EASY, _CROWD), default=_EASY, help="one at a time, or many (easy)")
    people.add_argument(
        "--seconds", type=_positive, metavar="S", help="length (easy: until all have passed; crowd: 3600)"
    )
    people.add_argument("--per-min", type=_positive, default=30.0, metavar="N", help="crowd: persons per minute (30)")
    people.add_argument("--per-direction", type=_count, default=200, metavar="N", help="easy: passages each way (200)")
    people.add_argument("--turning", type=_count, default=20, metavar="N", help="easy: turn back on the line (20)")
    people.add_argument(
        "--line",
        type=float,
        nargs=4,
        default=[0.0, 0.0, 0.0, 6.0],
        metavar=("X1", "Y1", "X2", "Y2"),
        help="the counting line in metres, as the sensor sees the ground (0 0 0 6: straight ahead)",
    )
    sensor = parser.add_argument_group("the sensor")
    sensor.add_argument("--height-m", type=float, default=1.0, metavar="M", help="how high it hangs (1)")
    sensor.add_argument("--tilt-deg", type=float, default=0.0, metavar="DEG", help="how far it looks downwards (0)")
    sensor.add_argument(
        "--profile", choices=tuple(PROFILES), default="3d-people-counting", help="ti-people: its firmware"
    )
    sensor.add_argument("--ghosts-per-min", type=_rate, metavar="N", help="false targets (easy: 0, crowd: 1)")
    sensor.add_argument(
        "--drop", type=_probability, default=0.01, metavar="P", help="probability of a lost frame (0.01)"
    )
    sensor.add_argument(
        "--restart-every-s", type=_positive, default=math.inf, metavar="S", help="its power fails so often (never)"
    )
    wire = parser.add_argument_group("the wire")
    wire.add_argument("--loss", type=_probability, default=0.0, metavar="P", help="probability of a lost byte (0)")
    wire.add_argument("--flip", type=_probability, default=0.0, metavar="P", help="probability of a turned bit (0)")
    wire.add_argument("--noise-per-s", type=_rate, default=0.0, metavar="N", help="random bytes per second (0)")
    return parser


def _number(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _positive(text: str) -> float:
    return _number(text, 1e-6, 1e9, "a number above 0")


def _rate(text: str) -> float:
    return _number(text, 0, 1e6, "a number from 0 to 1000000")


def _probability(text: str) -> float:
    return _number(text, 0, 1, "a probability from 0 to 1")


def _count(text: str) -> int:
    value = _number(text, 0, 1e6, "a whole number from 0 to 1000000")
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(value)
