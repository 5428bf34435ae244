"""Which Observations a question wants, and in which order: by arithmetic as far as that goes.

A condition is a list of parts that all must hold. Those on the Datastream or the feature choose among the Datastreams.
Comparisons of the time hold from some position on or up to some position, which bisection finds by asking the
condition itself. What is left (`rest`) must be read to be judged, but only where its ids and times can be.

In order of time any place among millions is found without looking at those before it: how many Observations begin
before a moment is arithmetic too, so the moment that has so many before it is found by bisection.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor
from typing import Final

from footfall_api.sta.bounds import equal_to, time_bounds
from footfall_api.sta.evaluate import Resolve, compile_filter, is_constant
from footfall_api.sta.language import IDS, Binary, Call, Expression, In, Logical, Order, Path, children
from footfall_api.sta.model import MINUTE_BITS, Entity, Stream
from footfall_api.sta.source import Slice

_TIMES: Final = frozenset({
    ("phenomenonTime",), ("phenomenonTime", "start"), ("phenomenonTime", "end"), ("resultTime",),
})  # fmt: skip
_OWN_IDS: Final = tuple((name,) for name in IDS)
_STREAM_IDS: Final = tuple(("Datastream", name) for name in IDS)
_BY_END: Final = frozenset({("phenomenonTime", "end"), ("resultTime",)})
_RISING: Final = frozenset({"gt", "ge"})
_FALLING: Final = frozenset({"lt", "le"})
_MIRRORED: Final = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}


@dataclass(frozen=True, slots=True)
class Selection:
    """The Observations at some positions, in order of their Datastreams' ids; `rest` has still to hold."""

    slices: tuple[Slice, ...]
    rest: Expression | None = None

    @property
    def size(self) -> int:
        """How many there are, before `rest` is looked at."""
        return sum(last - first for _, first, last in self.slices)


def select(
    streams: Sequence[Stream], condition: Expression | None, resolve: Resolve[Entity], now: datetime
) -> Selection:
    """What of some Datastreams a condition leaves."""
    found = [(stream, stream.first, stream.last) for stream in sorted(streams, key=lambda stream: stream.id)]
    rest: list[Expression] = []
    for part in _parts(condition):
        if _is_about_stream(part):
            holds = compile_filter(part, resolve, now)
            found = [one for one in found if holds(_stub(one[0]))]
        elif (time := _time_part(part)) is not None:
            found = [_cut(one, compile_filter(part, resolve, now), rises=time) for one in found]
        else:
            rest.append(part)
    if not rest:
        return Selection(_not_empty(found))
    left = rest[0] if len(rest) == 1 else Logical("and", tuple(rest))
    return Selection(_not_empty(_narrowed(found, left, now)), left)


def _not_empty(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    return tuple(one for one in slices if one[1] < one[2])


def _narrowed(slices: Sequence[Slice], condition: Expression, now: datetime) -> list[Slice]:
    """The slices without what a condition cannot hold for, because of its ids, its Datastream or its time."""
    streams = equal_to(condition, now, _STREAM_IDS)
    found = [one for one in slices if streams is None or one[0].id in streams]
    ids = equal_to(condition, now, _OWN_IDS)
    if ids is not None:
        found = _with_ids(found, {id_ for id_ in ids if isinstance(id_, int)})
    bounds = time_bounds(condition, now)
    begin_s, end_s = ceil(bounds.start_from.timestamp()), floor(bounds.start_to.timestamp())
    return [
        (stream, max(first, stream.edges.first_from(begin_s)), min(last, stream.edges.first_from(end_s + 1)))
        for stream, first, last in found
    ]


def _parts(condition: Expression | None) -> Iterator[Expression]:
    """What must hold altogether."""
    if isinstance(condition, Logical) and condition.op == "and":
        for part in condition.operands:
            yield from _parts(part)
    elif condition is not None:
        yield condition


def _with_ids(slices: Sequence[Slice], ids: set[int]) -> list[Slice]:
    by_stream: dict[int, list[int]] = {}
    for id_ in ids:
        by_stream.setdefault(id_ >> MINUTE_BITS, []).append(id_)
    found = []
    for stream, first, last in slices:
        for id_ in sorted(by_stream.get(stream.id, ())):
            position = stream.position_of(id_)
            if position is not None and first <= position < last:
                found.append((stream, position, position + 1))
    return found


def _is_about_stream(part: Expression) -> bool:
    """Whether a part asks about nothing but the Datastream and the feature, and not for other Observations."""
    paths = list(paths_of(part))
    return all(path[0] in {"Datastream", "FeatureOfInterest"} and "Observations" not in path for path in paths)


def paths_of(expression: Expression) -> Iterator[tuple[str | int, ...]]:
    """All paths in an expression."""
    if isinstance(expression, Path):
        yield expression.steps
    if isinstance(expression, In) and isinstance(expression.options, Path):
        yield expression.options.steps
    for child in children(expression):
        yield from paths_of(child)


def weight_of(expressions: Iterable[Expression]) -> int:
    """How much longer it takes to look at an entity with these than with a plain comparison, about."""
    nodes = [node for expression in expressions for node in _nodes(expression)]
    shapes = sum(isinstance(node, Call) and node.name.startswith(("geo.", "st_")) for node in nodes)
    return 1 + len(nodes) // 8 + 4 * shapes


def _nodes(expression: Expression) -> Iterator[Expression]:
    yield expression
    for child in children(expression):
        yield from _nodes(child)


def _stub(stream: Stream) -> Entity:
    """An Observation of a Datastream, as far as its links go."""
    return Entity("Observations", 0, {}, {"Datastream": [stream.id], "FeatureOfInterest": [stream.station.number]})


def _time_part(part: Expression) -> bool | None:
    """Whether a comparison of the time holds from some position on (True) or up to some; None: it is another part."""
    match part:
        case Binary(op, Path(steps), right) if steps in _TIMES and is_constant(right):
            pass
        case Binary(op, left, Path(steps)) if steps in _TIMES and is_constant(left):
            op = _MIRRORED.get(op, op)
        case _:
            return None
    return True if op in _RISING else False if op in _FALLING else None


def _cut(one: Slice, holds: Callable[[Entity], bool], *, rises: bool) -> Slice:
    """The positions at which a condition holds that holds from some position on, or up to some."""
    stream, first, last = one

    def value(position: int) -> bool:
        when = stream.interval(position)
        return holds(Entity("Observations", 0, {"phenomenonTime": when, "resultTime": when.end}))

    # What bisection looks for is the first position at which the answer is no longer that of the beginning.
    middle = bisect_left(range(first, last), True, key=lambda position: value(position) is rises) + first
    return (stream, middle, last) if rises else (stream, first, middle)


@dataclass(frozen=True, slots=True)
class Window:
    """Neighbours in an order: all Observations of `slices`, of which `before` others come first."""

    slices: tuple[Slice, ...]
    before: int


class InOrder:
    """The Observations of a selection, found by their place in the order in which they are wanted.

    That is by id, or by time and whatever follows; `windows` yields them in pieces whose order among each other is
    settled, so that only what is in a piece has to be sorted.
    """

    def __init__(self, selection: Selection, orders: Sequence[Order]) -> None:
        self.selection = selection
        first = orders[0] if orders else None
        path = first.expression.steps if first is not None and isinstance(first.expression, Path) else ("id",)
        self.descending = first is not None and first.descending
        self.by_id = first is None or path in {("id",), ("@iot.id",)}
        self._by_end = path in _BY_END
        self.is_settled = first is None or (isinstance(first.expression, Path) and (self.by_id or path in _TIMES))
        """Whether the order is one of these; else all must be read to be sorted."""

    def windows(self, skip: int, size: int) -> Iterator[Window]:
        """Pieces of about `size`, the first of which has the place `skip` in it."""
        return self._windows_by_id(skip, size) if self.by_id else self._windows_by_time(skip, size)

    def _windows_by_id(self, skip: int, size: int) -> Iterator[Window]:
        before = 0
        for stream, first, last in reversed(self.selection.slices) if self.descending else self.selection.slices:
            length = last - first
            start = max(0, skip - before)
            for begin in range(start, length, size):
                end = min(begin + size, length)
                slice_ = (last - end, last - begin) if self.descending else (first + begin, first + end)
                yield Window(((stream, *slice_),), before + begin)
            before += length

    def _windows_by_time(self, skip: int, size: int) -> Iterator[Window]:
        total = self.selection.size
        done = min(skip, total)
        while done < total:
            if self.descending:
                upper_s = self._moment(total - done, least=True)
                lower_s = self._moment(max(0, total - done - size), least=False)
                before = total - self._before(upper_s)
            else:
                lower_s = self._moment(done, least=False)
                upper_s = self._moment(min(total, done + size), least=True)
                before = self._before(lower_s)
            slices = tuple(
                (stream, begin, end)
                for stream, first, last in self.selection.slices
                if (begin := self._place(stream, first, last, lower_s))
                < (end := self._place(stream, first, last, upper_s))
            )
            yield Window(slices, before)
            done = before + sum(end - begin for _, begin, end in slices)

    def _place(self, stream: Stream, first: int, last: int, moment_s: int) -> int:
        """The first position whose time is not before a moment."""
        place = stream.edges.first_from(moment_s) - self._by_end
        return min(max(place, first), last)

    def _before(self, moment_s: int) -> int:
        """How many Observations have a time before a moment."""
        return sum(self._place(stream, first, last, moment_s) - first for stream, first, last in self.selection.slices)

    def _moment(self, place: int, *, least: bool) -> int:
        """The earliest moment that has at least so many before it, or the latest that has at most so many."""
        edges = [
            (stream.edges.edges_s[first], stream.edges.edges_s[last]) for stream, first, last in self.selection.slices
        ]
        low, high = min(begin for begin, _ in edges), max(end for _, end in edges) + 1
        moments = range(low, high + 1)
        if least:
            return moments[bisect_left(moments, place, key=self._before)]
        return moments[max(0, bisect_left(moments, place + 1, key=self._before) - 1)]
