"""Who crossed a counting line: tracks → crossings. Pure.

A track is on one side of a line once it is farther from it than the hysteresis. When it gets so far on the other side,
and where it went through the line lies between the line's ends, that is one crossing. So standing on the line, or
swaying over it, counts nobody; going back counts again, the other way. A track that has not been seen often enough
waits with its crossing until it has; one that ends on the line never crossed it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from footfall_contract.words import Direction
from footfall_edge.geometry import CountingLine
from footfall_edge.tracking import Track

EDGE_M: Final = 0.1
"""Metres beyond a line's ends that still count as the line: positions are no more exact than that."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One passage."""

    line: int
    """Number of the line, from 0 in the order of the configuration."""
    direction: Direction
    track: int
    x: float
    """Metres on the ground: where the line was crossed."""
    y: float


@dataclass(frozen=True, slots=True)
class _Side:
    """Where one track is of one line."""

    left: bool | None
    """The side it was last clearly on; None: none yet."""
    off: float
    """Metres left of the line at its latest point."""
    along: float
    """Metres along the line at its latest point."""
    through: float | None = None
    """Metres along the line where it last went through it; whoever changes sides has done so since."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What is known of every track at every line. Immutable; `after` returns the next one."""

    lines: tuple[CountingLine, ...]
    sides: Mapping[tuple[int, int], _Side] = field(default_factory=dict)
    """By (track id, line number)."""

    def after(self, tracks: Sequence[Track]) -> tuple["Lines", tuple[Crossing, ...]]:
        """The state after a frame, and the crossings that it showed. A track that is not in `tracks` is forgotten."""
        sides: dict[tuple[int, int], _Side] = {}
        crossings: list[Crossing] = []
        for track in tracks:
            for number, line in enumerate(self.lines):
                key = track.id, number
                sides[key], through = _step(self.sides.get(key), line, track)
                if through is not None:
                    ux, uy = line.last[0] - line.first[0], line.last[1] - line.first[1]
                    share = through / line.length
                    direction = Direction.OUT if sides[key].left else Direction.IN
                    place = line.first[0] + ux * share, line.first[1] + uy * share
                    crossings.append(Crossing(number, direction, track.id, *place))
        return Lines(self.lines, sides), tuple(crossings)

    def forgotten(self) -> "Lines":
        """The state without any track: the sensor started anew."""
        return Lines(self.lines)


def _step(before: _Side | None, line: CountingLine, track: Track) -> tuple[_Side, float | None]:
    """Where the track is now; and where along the line it crossed, if this point settles that it did."""
    off, along = line.place(track.x, track.y)
    clear = None if abs(off) < line.hysteresis_m else off > 0
    if before is None:
        return _Side(clear, off, along), None
    through = before.through
    if (off > 0) != (before.off > 0):
        through = before.along + (along - before.along) * before.off / (before.off - off)
    if clear is None or before.left is None or clear == before.left:
        return _Side(before.left if clear is None else clear, off, along, through), None
    if track.age < line.min_age:
        return _Side(before.left, off, along, through), None
    crossed = through is not None and -EDGE_M <= through <= line.length + EDGE_M
    return _Side(clear, off, along), through if crossed else None
