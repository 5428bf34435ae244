"""Where a sensor hangs, and where the lines are that people are to be counted at. All in metres and degrees.

Two frames of reference:

- the sensor's own: x to the right, y straight ahead along its boresight, z up, as the sensor itself reports;
- the ground's: the origin on the ground under the sensor, x to the right and y straight ahead for somebody who stands
  there and looks where the sensor looks; turned by `rotation_deg` and moved by `at` where several sensors share a plan.

`Mounting` leads from the first to the second. Lines are drawn on the ground.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final, Self, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from footfall_role.settings import Section

BODY_M: Final = 1.0
"""Height of the middle of a body, which is what a radar without elevation sees."""
SHORTEST_LINE_M: Final = 0.2


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("expected a number of metres")
    return value


Metres: TypeAlias = Annotated[float, Field(ge=-100, le=100), AfterValidator(_finite)]
Point: TypeAlias = tuple[Metres, Metres]
"""x, y."""


class Mounting(Section):
    """How the sensor hangs."""

    height_m: float | None = Field(
        None, gt=0, le=30, description="metres from the ground to the sensor; not set: distances are taken as they are"
    )
    tilt_deg: float = Field(0, ge=-90, le=90, description="degrees by which it looks down; 0: level")
    rotation_deg: float = Field(0, ge=-360, le=360, description="degrees by which it is turned to the left, from above")
    at: Point = Field((0.0, 0.0), description="x, y in metres: where on the plan it hangs")

    @cached_property
    def _turn(self) -> tuple[float, float]:
        angle = math.radians(self.rotation_deg)
        return math.cos(angle), math.sin(angle)

    @cached_property
    def _tilt(self) -> tuple[float, float]:
        angle = math.radians(self.tilt_deg)
        return math.cos(angle), math.sin(angle)

    def of_space(self, x: float, y: float, z: float) -> tuple[float, float]:
        """The point on the ground below (x, y, z) as a sensor reports it that sees in three dimensions.

        y' = y·cos θ + z·sin θ (TI, 3D People Tracking user guide).
        """
        cos, sin = self._tilt
        return self._on_plan(x, y * cos + z * sin)

    def of_plane(self, x: float, y: float) -> tuple[float, float]:
        """The point on the ground for (x, y) as a sensor reports it that measures distances in a plane of its own.

        It sees the middle of a body, `BODY_M` above the ground, from above: the way to it is longer than the one on the
        ground. With a tilt the boresight meets that height elsewhere, which changes nothing for a distance.
        """
        if self.height_m is None:
            return self._on_plan(x, y * self._tilt[0])
        drop = self.height_m - BODY_M
        return self._on_plan(x, math.sqrt(max(0.0, y * y - drop * drop)))

    def _on_plan(self, x: float, y: float) -> tuple[float, float]:
        cos, sin = self._turn
        return self.at[0] + x * cos - y * sin, self.at[1] + x * sin + y * cos


class CountingLine(Section):
    """A directed segment on the ground. Who crosses it from left to right, seen along it, goes in."""

    model_config = ConfigDict(populate_by_name=True)

    first: Point = Field(alias="from", description="x, y in metres: where it begins")
    last: Point = Field(alias="to", description="x, y in metres: where it ends")
    hysteresis_m: float = Field(
        0.25, gt=0, le=2, description="metres to get beyond the line on either side: standing on it counts nobody"
    )
    min_age: int = Field(4, ge=1, le=100, description="frames that a track must have been seen in to be counted")

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.length < SHORTEST_LINE_M:
            raise ValueError(f"the line is {self.length:.2f} m long; it needs at least {SHORTEST_LINE_M} m")
        return self

    @cached_property
    def length(self) -> float:
        """Metres."""
        return math.dist(self.first, self.last)

    @cached_property
    def _along(self) -> tuple[float, float]:
        return (self.last[0] - self.first[0]) / self.length, (self.last[1] - self.first[1]) / self.length

    def place(self, x: float, y: float) -> tuple[float, float]:
        """How far left of the line (x, y) is (negative: right), and how far along it, in metres."""
        ux, uy = self._along
        dx, dy = x - self.first[0], y - self.first[1]
        return ux * dy - uy * dx, ux * dx + uy * dy


DEFAULT_LINE: Final = CountingLine(first=(0.0, 0.0), last=(0.0, 6.0))
"""Straight ahead of the sensor: who passes it to the right goes in."""


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody as a sensor shows them in one frame."""

    x: float
    """Metres on the ground."""
    y: float
    """Metres on the ground."""
    id: int | None = None
    """The track that the sensor itself says it is; None: it does not follow anybody."""


def bounds(points: Iterable[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Least x, least y, greatest x, greatest y. At least one point."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
