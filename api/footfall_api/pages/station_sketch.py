"""A small sketch of a counting line: north is up, an arrow for each direction, both where they really go."""

import math
from dataclasses import dataclass
from typing import Final

from footfall_api.board import StationBoard
from footfall_api.pages.line import east_north_m, length_m
from footfall_api.pages.now_view import heading

SIZE: Final = 200
"""Width and height of the drawing."""
_HALF_LINE: Final = 56.0
_ARROW: Final = 62.0
_APART: Final = 20.0
"""How far the arrows lie from the middle of the line, along it."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow: its path, and where its letter stands."""

    key: str
    letter: str
    path: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Sketch:
    """The line and its arrows in a square of `SIZE`; `metres` is how long the line is."""

    line: str
    arrows: tuple[Arrow, ...]
    metres: int


def sketch(station: StationBoard) -> Sketch | None:
    """The sketch of a station; None if nobody said where its line is."""
    if station.line is None:
        return None
    east, north = east_north_m(station.line)
    metres = math.hypot(east, north)
    if not metres:
        return None
    ux, uy = east / metres, -north / metres
    middle = SIZE / 2
    ends = [(middle + sign * ux * _HALF_LINE, middle + sign * uy * _HALF_LINE) for sign in (-1, 1)]
    keys = [key for key in station.directions if key in {"in", "out"}]
    arrows = []
    for key, side, letter in zip(keys, (-1, 1), "AB", strict=False):
        turn = math.radians(heading(station, key))
        dx, dy = math.sin(turn), -math.cos(turn)
        x, y = middle + side * ux * _APART, middle + side * uy * _APART
        arrows.append(_arrow(key, letter, (x, y), (dx, dy)))
    line = f"M{ends[0][0]:.1f} {ends[0][1]:.1f}L{ends[1][0]:.1f} {ends[1][1]:.1f}"
    return Sketch(line, tuple(arrows), length_m(station.line))


def _arrow(key: str, letter: str, middle: tuple[float, float], way: tuple[float, float]) -> Arrow:
    """An arrow through `middle` in the direction `way`, of length 1; its letter stands before its head."""
    (x, y), (dx, dy) = middle, way
    half = _ARROW / 2
    tail, head = (x - dx * half, y - dy * half), (x + dx * half, y + dy * half)
    wings = [(head[0] - 10 * dx + side * 7 * dy, head[1] - 10 * dy - side * 7 * dx) for side in (-1, 1)]
    path = (
        f"M{tail[0]:.1f} {tail[1]:.1f}L{head[0]:.1f} {head[1]:.1f}"
        f"M{wings[0][0]:.1f} {wings[0][1]:.1f}L{head[0]:.1f} {head[1]:.1f}L{wings[1][0]:.1f} {wings[1][1]:.1f}"
    )
    return Arrow(key, letter, path, round(head[0] + 17 * dx, 1), round(head[1] + 17 * dy + 6, 1))
