"""A picture of what a sensor saw: tracks, counting lines and crossings on the ground, to scale, as SVG.

It is made to be looked at while a sensor is mounted: does the line lie where people walk, do the tracks reach both
sides of it? Standard library only, for it is made on the box; any browser shows it.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from footfall_contract.words import Direction
from footfall_edge.crossing import Crossing
from footfall_edge.geometry import CountingLine, Mounting, bounds
from footfall_edge.tracking import Track

MOST_POINTS: Final = 20_000
"""Points kept; the oldest tracks go first."""
MOST_CROSSINGS: Final = 2_000
STEP_M: Final = 0.05
"""A track gets a new point when it has gone so far."""
_PER_M: Final = 80.0
"""Pixels a metre."""
_MARGIN_M: Final = 0.7
_COLOURS: Final = {Direction.IN: "#0b6e4f", Direction.OUT: "#b3541e"}


class Trails:
    """The latest tracks and crossings, for a picture. Its memory is bounded."""

    def __init__(self, lines: Sequence[CountingLine], mounting: Mounting) -> None:
        self.dropped = 0
        """Tracks that were given up for newer ones."""
        self._lines = lines
        self._mounting = mounting
        self._trails: OrderedDict[int, list[tuple[float, float]]] = OrderedDict()
        self._of_track: dict[int, int] = {}
        self._points = 0
        self._next = 0
        self._crossings: list[Crossing] = []

    def note(self, tracks: Iterable[Track], crossings: Iterable[Crossing]) -> None:
        """Take note of a frame."""
        present = set()
        for track in tracks:
            present.add(track.id)
            if not track.seen:
                continue
            if track.age == 1 or track.id not in self._of_track:
                self._of_track[track.id] = self._next
                self._trails[self._next] = []
                self._next += 1
            self._extend(self._of_track[track.id], track.x, track.y)
        for gone in self._of_track.keys() - present:
            del self._of_track[gone]
        self._crossings = [*self._crossings, *crossings][-MOST_CROSSINGS:]
        while self._points > MOST_POINTS:
            _, oldest = self._trails.popitem(last=False)
            self._points -= len(oldest)
            self.dropped += 1

    def _extend(self, trail: int, x: float, y: float) -> None:
        points = self._trails.setdefault(trail, [])
        if not points or math.dist(points[-1], (x, y)) >= STEP_M:
            points.append((x, y))
            self._points += 1

    def draw(self, title: str) -> str:
        """The picture as SVG text."""
        return _Picture(self._lines, self._mounting, list(self._trails.values()), self._crossings, self.dropped).svg(
            title
        )


class _Picture:
    def __init__(
        self,
        lines: Sequence[CountingLine],
        mounting: Mounting,
        trails: Sequence[Sequence[tuple[float, float]]],
        crossings: Sequence[Crossing],
        dropped: int,
    ) -> None:
        self._lines, self._mounting, self._trails, self._crossings = lines, mounting, trails, crossings
        self._dropped = dropped
        ends = [end for line in lines for end in (line.first, line.last)]
        points = [point for trail in trails for point in trail]
        left, near, right, far = bounds([mounting.at, *ends, *points])
        self._left, self._far = math.floor(left - _MARGIN_M), math.ceil(far + _MARGIN_M)
        self._right, self._near = math.ceil(right + _MARGIN_M), math.floor(near - _MARGIN_M)

    def svg(self, title: str) -> str:
        width, height = (self._right - self._left) * _PER_M, (self._far - self._near) * _PER_M
        root = ET.Element(
            "svg",
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 -60 {width:g} {height + 110:g}",
            width=f"{width:g}",
            height=f"{height + 110:g}",
            role="img",
        )
        ET.SubElement(root, "title").text = title
        style = "text{font:14px sans-serif;fill:#222}.axis{fill:#555}.head{font-size:18px;font-weight:bold}"
        ET.SubElement(root, "style").text = style
        ET.SubElement(root, "rect", x="0", y="-60", width="100%", height="100%", fill="#fff")
        _text(root, 8, -34, title, "head")
        _text(root, 8, -12, self._caption(), "")
        self._grid(root, width, height)
        for trail in self._trails:
            self._trail(root, trail)
        for number, line in enumerate(self._lines):
            self._line(root, number, line)
        for crossing in self._crossings:
            self._crossing(root, crossing)
        self._sensor(root)
        _text(root, 8, height + 40, "metres on the ground; the sensor is the triangle", "axis")
        return ET.tostring(root, encoding="unicode") + "\n"

    def _caption(self) -> str:
        number = {way: sum(crossing.direction == way for crossing in self._crossings) for way in _COLOURS}
        gone = f" ({self._dropped} older ones not drawn)" if self._dropped else ""
        return (
            f"{len(self._trails)} tracks{gone}; {number[Direction.IN]} in (green), {number[Direction.OUT]} out (orange)"
        )

    def _grid(self, root: ET.Element, width: float, height: float) -> None:
        for metre in range(self._left, self._right + 1):
            x = self._x(metre)
            _stroke(root, "line", x1=x, y1=0, x2=x, y2=height, stroke="#ddd")
            _text(root, x + 3, height + 18, f"{metre}", "axis")
        for metre in range(self._near, self._far + 1):
            y = self._y(metre)
            _stroke(root, "line", x1=0, y1=y, x2=width, y2=y, stroke="#ddd")
            if y > 0:
                _text(root, 3, y - 3, f"{metre}", "axis")

    def _trail(self, root: ET.Element, trail: Sequence[tuple[float, float]]) -> None:
        points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in trail)
        ET.SubElement(root, "polyline", points=points, fill="none", stroke="#335c9e", opacity="0.6")
        x, y = trail[0]
        ET.SubElement(root, "circle", cx=f"{self._x(x):.1f}", cy=f"{self._y(y):.1f}", r="2.5", fill="#335c9e")

    def _line(self, root: ET.Element, number: int, line: CountingLine) -> None:
        (x1, y1), (x2, y2) = line.first, line.last
        _stroke(root, "line", x1=self._x(x1), y1=self._y(y1), x2=self._x(x2), y2=self._y(y2), stroke="#111", width=4)
        # From left to right of the line is in: the arrow points there, from its middle.
        right = (y2 - y1) / line.length, (x1 - x2) / line.length
        middle = (x1 + x2) / 2, (y1 + y2) / 2
        tip = middle[0] + 0.6 * right[0], middle[1] + 0.6 * right[1]
        colour = _COLOURS[Direction.IN]
        _stroke(
            root,
            "line",
            x1=self._x(middle[0]),
            y1=self._y(middle[1]),
            x2=self._x(tip[0]),
            y2=self._y(tip[1]),
            stroke=colour,
            width=3,
        )
        across = right[1] * 0.12, -right[0] * 0.12
        back = tip[0] - 0.18 * right[0], tip[1] - 0.18 * right[1]
        corners = [tip, (back[0] + across[0], back[1] + across[1]), (back[0] - across[0], back[1] - across[1])]
        points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in corners)
        ET.SubElement(root, "polygon", points=points, fill=colour)
        _text(root, self._x(tip[0]) + 6, self._y(tip[1]) - 6, "in", "")
        _text(root, self._x(x1) + 6, self._y(y1) - 6, f"line {number}: from", "")
        _text(root, self._x(x2) + 6, self._y(y2) - 6, "to", "")

    def _crossing(self, root: ET.Element, crossing: Crossing) -> None:
        ET.SubElement(
            root,
            "circle",
            cx=f"{self._x(crossing.x):.1f}",
            cy=f"{self._y(crossing.y):.1f}",
            r="5",
            fill=_COLOURS.get(crossing.direction, "#111"),
            stroke="#fff",
        )

    def _sensor(self, root: ET.Element) -> None:
        angle = math.radians(self._mounting.rotation_deg)
        x, y = self._mounting.at
        corners = []
        for turn, size in ((0.0, 0.35), (2.5, 0.25), (-2.5, 0.25)):
            corners.append((x - size * math.sin(angle + turn), y + size * math.cos(angle + turn)))
        points = " ".join(f"{self._x(px):.1f},{self._y(py):.1f}" for px, py in corners)
        ET.SubElement(root, "polygon", points=points, fill="#c8102e")

    def _x(self, metres: float) -> float:
        return (metres - self._left) * _PER_M

    def _y(self, metres: float) -> float:
        return (self._far - metres) * _PER_M


def _text(root: ET.Element, x: float, y: float, text: str, kind: str) -> None:
    element = ET.SubElement(root, "text", x=f"{x:.1f}", y=f"{y:.1f}")
    if kind:
        element.set("class", kind)
    element.text = text


def _stroke(root: ET.Element, shape: str, *, stroke: str, width: float = 1, **places: float) -> None:
    where = {name: f"{value:.1f}" for name, value in places.items()}
    ET.SubElement(root, shape, where, stroke=stroke, **{"stroke-width": f"{width:g}"})
