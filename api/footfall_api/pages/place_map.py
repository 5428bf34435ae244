"""Draw stations where they are: one map for each place, to scale, with labels that do not cover each other.

Stations may lie in cities far apart, so they are first grouped by nearness. Each group is drawn twice, wide and narrow,
because a drawing scaled down to a phone would have letters nobody can read; the style sheet shows the one that fits.

Streets, where their lines are known, are drawn below all else. Their names stand on them wherever they cover no label
and no station; a street whose name finds no such place goes without.

The labels are placed by search: each tries positions around its station, near ones first; a label that finds no room
goes to the head of the queue and all start again. What finds no room even then is drawn without its name, and the page
says so. Only names and positions matter here, not counts, so a drawing is made once and kept.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from textwrap import wrap
from typing import TypeAlias

from footfall_api.streets import Street

Point: TypeAlias = tuple[float, float]
EARTH_RADIUS_M = 6_371_008.8
NEAR_M = 5_000.0
"""Stations no farther apart than this, directly or over others in between, share a map."""
LEAST_WIDTH_M = 150.0
"""A map shows at least this much, so that a single station has surroundings."""


@dataclass(frozen=True, slots=True)
class Spot:
    """What the map needs to know of a station. Degrees, WGS 84; `line`: the two ends of its counting line."""

    id: str
    name: str
    longitude: float
    latitude: float
    line: tuple[Point, Point] | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """Size of a drawing and of its letters, in the drawing's own units (a CSS pixel at full width)."""

    name: str
    width: float
    height: float
    margin_x: float
    margin_y: float
    name_size: float
    total_size: float
    line_chars: int
    dot: float
    """Radius of a station's dot."""
    gap: float
    """Least distance between a label and its station; a ring of usual size fits in."""
    ring: float
    """Radius of the ring for 100 passages in five minutes; its area is proportional to the count."""
    ring_max: float
    street_size: float
    """Of the letters of streets' names."""


WIDE = Format("wide", 640, 470, 46, 80, 14, 20, 20, 4.5, 18, 13, 30, 11.5)
NARROW = Format("narrow", 344, 400, 26, 50, 12.5, 17, 15, 3.5, 12, 8.5, 18, 10.5)

TOTAL_CHARS = 6
"""Room kept for a total: 99.999. A longer one asks for its own room."""
# Average advance of a letter in the widest of the usual system fonts, as a share of the font size.
_NAME_ADVANCE = 0.61
_TOTAL_ADVANCE = 0.72
_STREET_ADVANCE = 0.56
_LEADING = 1.22
_STREET_STEP = 4.0
"""Along a street its name is tried every so many units, and so closely its room is looked at."""
_STREET_BEND = 3.5
"""So far at most a street may leave the straight line on which its name stands."""
_EXTRA_DISTANCES = (0, 5, 11, 19, 30, 42, 56, 72, 90)
_ANGLES = tuple(step * math.pi / 12 for step in range(24))
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that a label fills."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: "Box", gap: float = 4) -> bool:
        """Whether the two come nearer to each other than `gap`."""
        return (
            self.x < other.x + other.width + gap
            and other.x < self.x + self.width + gap
            and self.y < other.y + other.height + gap
            and other.y < self.y + self.height + gap
        )

    def is_crossed(self, start: Point, end: Point) -> bool:
        """Whether the segment from `start` to `end` goes through: then it crosses a diagonal or ends inside."""
        right, bottom = self.x + self.width, self.y + self.height
        return (
            _cross(start, end, (self.x, self.y), (right, bottom))
            or _cross(start, end, (self.x, bottom), (right, self.y))
            or self.nearest(start) == start
            or self.nearest(end) == end
        )

    def nearest(self, point: Point) -> Point:
        """The point of the rectangle that is nearest to `point`."""
        return (
            min(max(point[0], self.x), self.x + self.width),
            min(max(point[1], self.y), self.y + self.height),
        )


@dataclass(frozen=True, slots=True)
class Label:
    """Where the name and the total of a station stand.

    `anchor`: ``start``, ``middle`` or ``end``, as in SVG, at `x`. `rows`: the lines of the name with their baselines.
    `leader`: a thin line to the station, if the label stands apart from it.
    """

    box: Box
    x: float
    anchor: str
    rows: tuple[tuple[str, float], ...]
    total_y: float
    leader: tuple[Point, Point] | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A station in a drawing; `label` is None where there was no room for one."""

    id: str
    name: str
    x: float
    y: float
    line: tuple[Point, Point] | None
    label: Label | None


@dataclass(frozen=True, slots=True)
class StreetName:
    """A name along its street: the middle of the letters, and by how many degrees they are turned clockwise."""

    text: str
    x: float
    y: float
    angle: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """One map in one format. `grid`: positions of the lines of a square grid as wide as the scale bar is long.

    `streets`: their lines as SVG path data.
    """

    format: Format
    marks: tuple[Mark, ...]
    scale_m: int
    scale_length: float
    grid_x: tuple[float, ...]
    grid_y: tuple[float, ...]
    streets: str = ""
    street_names: tuple[StreetName, ...] = ()

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """Names for which there was no room."""
        return tuple(mark.name for mark in self.marks if mark.label is None)


@dataclass(frozen=True, slots=True)
class Panel:
    """The map of one place: its stations, west to east, and the same map in both formats."""

    spots: tuple[Spot, ...]
    wide: Drawing
    narrow: Drawing


@lru_cache(maxsize=16)
def panels(
    spots: tuple[Spot, ...], total_chars: int = TOTAL_CHARS, streets: tuple[Street, ...] = ()
) -> tuple[Panel, ...]:
    """One panel for each place, the one with most stations first."""
    places = sorted(group_by_nearness(spots), key=lambda place: (-len(place), place[0].id))
    return tuple(
        Panel(place, *(draw(place, form, total_chars, streets) for form in (WIDE, NARROW))) for place in places
    )


def group_by_nearness(spots: Sequence[Spot], near_m: float = NEAR_M) -> list[tuple[Spot, ...]]:
    """Groups in which each station is within `near_m` of another one of its group, and of none outside it."""
    groups: list[list[Spot]] = []
    for spot in spots:
        touching = [group for group in groups if any(distance_m(spot, other) <= near_m for other in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([spot, *(other for group in touching for other in group)])
    return [tuple(sorted(group, key=lambda spot: (spot.longitude, spot.id))) for group in groups]


def distance_m(one: Spot, other: Spot) -> float:
    """Metres between two stations on the globe."""
    lat_one, lat_other = math.radians(one.latitude), math.radians(other.latitude)
    half_lat = math.sin((lat_other - lat_one) / 2)
    half_lon = math.sin(math.radians(other.longitude - one.longitude) / 2)
    chord = half_lat**2 + math.cos(lat_one) * math.cos(lat_other) * half_lon**2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))


class _Projection:
    """Degrees to the drawing's units: metres east and north of the middle, one scale for both, north up."""

    def __init__(self, spots: Sequence[Spot], form: Format) -> None:
        west, east = min(spot.longitude for spot in spots), max(spot.longitude for spot in spots)
        south, north = min(spot.latitude for spot in spots), max(spot.latitude for spot in spots)
        self._lon, self._lat = (west + east) / 2, (south + north) / 2
        self._per_lat = math.radians(EARTH_RADIUS_M)
        self._per_lon = self._per_lat * math.cos(math.radians(self._lat))
        self._middle = form.width / 2, form.height / 2
        span_x = max((east - west) * self._per_lon, LEAST_WIDTH_M)
        span_y = max((north - south) * self._per_lat, LEAST_WIDTH_M * form.height / form.width)
        room_x, room_y = form.width - 2 * form.margin_x, form.height - 2 * form.margin_y
        self.per_metre = min(room_x / span_x, room_y / span_y)

    def __call__(self, longitude: float, latitude: float) -> Point:
        x = self._middle[0] + (longitude - self._lon) * self._per_lon * self.per_metre
        y = self._middle[1] - (latitude - self._lat) * self._per_lat * self.per_metre
        return round(x, 2), round(y, 2)


def draw(
    spots: Sequence[Spot], form: Format, total_chars: int = TOTAL_CHARS, streets: Sequence[Street] = ()
) -> Drawing:
    """The map of `spots`, which lie near each other."""
    project = _Projection(spots, form)
    marks = [
        Mark(
            spot.id,
            spot.name,
            *project(spot.longitude, spot.latitude),
            line=(project(*spot.line[0]), project(*spot.line[1])) if spot.line else None,
            label=None,
        )
        for spot in spots
    ]
    scale_m, scale_length = _scale_bar(project.per_metre, form.width / 5)
    furniture = _furniture(form, scale_length)
    boxes = _place(marks, form, total_chars, furniture)
    labelled = [_labelled(mark, box, form) for mark, box in zip(marks, boxes, strict=True)]
    lines = _seen([(street.name, [project(*p) for p in line]) for street in streets for line in street.lines], form)
    return Drawing(
        form,
        tuple(labelled),
        scale_m,
        scale_length,
        _grid(form.width, scale_length),
        _grid(form.height, scale_length),
        "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in line) for _, line in lines),
        _street_names(lines, labelled, furniture, form),
    )


def _seen(lines: Sequence[tuple[str, list[Point]]], form: Format) -> list[tuple[str, list[Point]]]:
    """The lines of which something may be seen."""
    ground = Box(0, 0, form.width, form.height)
    return [(name, line) for name, line in lines if any(ground.is_crossed(one, other) for one, other in pairwise(line))]


def _street_names(
    lines: Sequence[tuple[str, list[Point]]], marks: Sequence[Mark], furniture: Sequence[Box], form: Format
) -> tuple[StreetName, ...]:
    """A name for each street, once, as near to the middle of its line as it may stand; the longest lines first."""
    boxes = [mark.label.box for mark in marks if mark.label] + list(furniture)
    obstacles = [(point, form.ring) for point in _obstacles(marks)]
    obstacles += [
        ((start[0] + (end[0] - start[0]) * i / 20, start[1] + (end[1] - start[1]) * i / 20), 1.0)
        for mark in marks
        if mark.label and (ends := mark.label.leader)
        for start, end in [ends]
        for i in range(21)
    ]
    found: dict[str, StreetName] = {}
    for name, line in sorted(lines, key=lambda street: -_length(street[1])):
        if name in found:
            continue
        place = next(
            (
                (title, spine)
                for title, spine in _street_candidates(name, line, form)
                if _is_free(spine, form, boxes, obstacles)
            ),
            None,
        )
        if place is not None:
            found[name], spine = place
            obstacles += [(point, form.street_size) for point in spine]
    return tuple(found.values())


def _length(line: Sequence[Point]) -> float:
    return sum(math.dist(one, other) for one, other in pairwise(line))


def _street_candidates(name: str, line: Sequence[Point], form: Format) -> Iterator[tuple[StreetName, list[Point]]]:
    """Where a name may stand on its line, from the line's middle outwards, with points along the letters' middle."""
    points = _points_along(line, _STREET_STEP)
    reach = math.ceil(len(name) * form.street_size * _STREET_ADVANCE / _STREET_STEP / 2) + 1
    for middle in sorted(range(reach, len(points) - reach), key=lambda index: abs(index - len(points) / 2)):
        spine = points[middle - reach : middle + reach + 1]
        start, end = spine[0], spine[-1]
        along = math.dist(start, end)
        if along == 0 or max(abs(_side(start, end, point)) / along for point in spine) > _STREET_BEND:
            continue
        if along < (2 * reach - 1) * _STREET_STEP:
            continue
        angle = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
        upright = angle - 180 if angle > 90 else angle + 180 if angle <= -90 else angle
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        yield StreetName(name, round(x, 1), round(y, 1), round(upright, 1)), spine


def _points_along(line: Sequence[Point], step: float) -> list[Point]:
    """Points on a line, `step` apart from its beginning on."""
    points, left = [line[0]], step
    for one, other in pairwise(line):
        length = math.dist(one, other)
        while left <= length:
            share = left / length
            points.append((one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share))
            left += step
        left -= length
    return points


def _is_free(
    spine: Sequence[Point], form: Format, boxes: Sequence[Box], obstacles: Sequence[tuple[Point, float]]
) -> bool:
    """Whether letters along `spine` are inside the drawing, off every label and every station, and off other names."""
    half = form.street_size * 0.6
    return all(
        half <= point[0] <= form.width - half
        and half <= point[1] <= form.height - half
        and all(math.dist(box.nearest(point), point) > half + 3 for box in boxes)
        and all(math.dist(there, point) > half + apart for there, apart in obstacles)
        for point in spine
    )


def _scale_bar(per_metre: float, at_most: float) -> tuple[int, float]:
    """The longest of 1, 2, 5, 10, 20, 50 … metres that fits, and its length."""
    power = 10 ** math.floor(math.log10(max(at_most / per_metre, 1)))
    metres = next(step * power for step in (5, 2, 1) if step * power * per_metre <= at_most or step == 1)
    return int(metres), round(metres * per_metre, 2)


def _grid(length: float, step: float) -> tuple[float, ...]:
    """Grid lines on both sides of the middle."""
    first = (length / 2) % step
    return tuple(round(first + index * step, 2) for index in range(math.ceil((length - first) / step)))


def _furniture(form: Format, scale_length: float) -> tuple[Box, ...]:
    """Where the scale bar (bottom left) and the north arrow (top right) stand."""
    return (
        Box(0, form.height - 34, max(scale_length, 60) + 26, 34),
        Box(form.width - 34, 0, 34, 46),
    )


def _place(marks: Sequence[Mark], form: Format, total_chars: int, furniture: Sequence[Box]) -> list[Box | None]:
    """A box for each mark's label; None where none fits."""
    obstacles = list(_obstacles(marks))
    options = [
        sorted(_candidates(mark, form, total_chars, furniture, obstacles), key=lambda box: _apart(mark, box))
        for mark in marks
    ]
    # Those with the fewest places to go choose first; who is left over moves to the front in the next round.
    order = sorted(range(len(marks)), key=lambda index: (len(options[index]), marks[index].id))
    best: list[Box | None] = []
    for _ in range(min(_ROUNDS, 2 * len(marks))):
        chosen = _greedy(options, order)
        if not best or chosen.count(None) < best.count(None):
            best = chosen
        left_over = [index for index in order if chosen[index] is None and options[index]]
        if not left_over:
            break
        order = [*left_over, *(index for index in order if index not in left_over)]
    return _settled(marks, best, options)


def _greedy(options: Sequence[Sequence[Box]], order: Sequence[int]) -> list[Box | None]:
    chosen: list[Box | None] = [None] * len(options)
    for index in order:
        taken = [box for box in chosen if box is not None]
        chosen[index] = next((box for box in options[index] if not any(box.overlaps(other) for other in taken)), None)
    return chosen


def _settled(marks: Sequence[Mark], chosen: Sequence[Box | None], options: Sequence[Sequence[Box]]) -> list[Box | None]:
    """Each label moves to its best free place while the others stay, so that none is farther out than it must be."""
    boxes = list(chosen)
    for _ in range(3):
        for index, mark in enumerate(marks):
            others = [(marks[i], box) for i, box in enumerate(boxes) if box is not None and i != index]
            boxes[index] = _best(mark, options[index], others) or boxes[index]
    return boxes


def _best(mark: Mark, options: Iterable[Box], others: Sequence[tuple[Mark, Box]]) -> Box | None:
    """The free place that reads best. The options come the nearest first, so the search soon ends."""
    best, least = None, math.inf
    for box in options:
        apart = _apart(mark, box)
        if apart >= least:
            break
        if any(box.overlaps(other) for _, other in others):
            continue
        cost = apart + 50 * _confusions(mark, box, others)
        if cost < least:
            best, least = box, cost
    return best


def _apart(mark: Mark, box: Box) -> float:
    """How far a label is from where it reads best: beside its station, in the middle of its height."""
    distance = math.dist(box.nearest((mark.x, mark.y)), (mark.x, mark.y))
    if box.y <= mark.y <= box.y + box.height:
        return distance + abs(box.y + box.height / 2 - mark.y) / 4
    above_or_below = box.x <= mark.x <= box.x + box.width
    return distance + (5 if above_or_below else 10) + abs(box.x + box.width / 2 - mark.x) / 16


def _confusions(mark: Mark, box: Box, others: Sequence[tuple[Mark, Box]]) -> int:
    """How often a label could be taken for another station's: nearer to that one, or leaders in the way."""
    here, end = (mark.x, mark.y), box.nearest((mark.x, mark.y))
    own = math.dist(end, here)
    found = 0
    for other_mark, other in others:
        there = (other_mark.x, other_mark.y)
        other_end = other.nearest(there)
        found += _cross(here, end, there, other_end) + other.is_crossed(here, end) + box.is_crossed(there, other_end)
        found += 2 * (math.dist(box.nearest(there), there) < own)
    return found


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments ab and cd cross."""
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(p: Point, q: Point, r: Point) -> float:
    """Positive or negative as `r` lies on the one or the other side of the line pq."""
    return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])


def _obstacles(marks: Sequence[Mark]) -> Iterator[Point]:
    """Points no label may cover: every station, and its counting line every few units."""
    for mark in marks:
        yield mark.x, mark.y
        if mark.line:
            (x1, y1), (x2, y2) = mark.line
            steps = max(1, round(math.dist((x1, y1), (x2, y2)) / 5))
            yield from ((x1 + (x2 - x1) * i / steps, y1 + (y2 - y1) * i / steps) for i in range(steps + 1))


def _candidates(
    mark: Mark, form: Format, total_chars: int, furniture: Sequence[Box], obstacles: Sequence[Point]
) -> Iterator[Box]:
    """Places for the label of `mark`, near ones first, inside the drawing and off every station."""
    width, height = _label_size(mark.name, form, total_chars)
    for extra in _EXTRA_DISTANCES:
        distance = form.gap + extra
        for angle in sorted(_ANGLES, key=lambda angle: (abs(math.sin(angle)), angle)):
            x = mark.x + math.cos(angle) * (distance + width / 2) - width / 2
            y = mark.y + math.sin(angle) * (distance + height / 2) - height / 2
            box = Box(round(x, 2), round(y, 2), width, height)
            inside = 4 <= box.x <= form.width - width - 4 and 4 <= box.y <= form.height - height - 4
            if inside and not any(box.overlaps(thing) for thing in furniture) and _clear(box, obstacles, form.dot + 3):
                yield box


def _clear(box: Box, obstacles: Sequence[Point], gap: float) -> bool:
    return all(math.dist(box.nearest(point), point) >= gap for point in obstacles)


def _rows(name: str, form: Format) -> list[str]:
    """The name in lines that fit, none of them lost."""
    return wrap(name, form.line_chars, break_long_words=False) or [name]


def _label_size(name: str, form: Format, total_chars: int) -> tuple[float, float]:
    rows = _rows(name, form)
    name_width = max(len(row) for row in rows) * form.name_size * _NAME_ADVANCE
    total_width = total_chars * form.total_size * _TOTAL_ADVANCE
    height = len(rows) * form.name_size * _LEADING + form.total_size
    return round(max(name_width, total_width), 2), round(height, 2)


def _labelled(mark: Mark, box: Box | None, form: Format) -> Mark:
    """The mark with its label written into `box`: aligned to the side on which the station is."""
    if box is None:
        return mark
    end = box.nearest((mark.x, mark.y))
    across = (mark.x - box.x) / box.width
    if across < 1 / 3:
        anchor, x = "start", box.x
    elif across > 2 / 3:
        anchor, x = "end", box.x + box.width
    else:
        anchor, x = "middle", box.x + box.width / 2
    pitch = form.name_size * _LEADING
    lines = _rows(mark.name, form)
    first = box.y + form.name_size * 0.95
    rows = tuple((row, round(first + index * pitch, 2)) for index, row in enumerate(lines))
    total_y = round(box.y + len(rows) * pitch + form.total_size * 0.86, 2)
    apart = math.dist(end, (mark.x, mark.y)) > form.gap + 6
    leader = ((mark.x, mark.y), end) if apart else None
    return replace(mark, label=Label(box, round(x, 2), anchor, rows, total_y, leader))
