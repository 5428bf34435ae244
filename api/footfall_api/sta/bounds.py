"""What a filter says about where to look: bounds within which everything lies that passes it.

Always on the safe side: what passes lies within, what lies within need not pass. The path must lead to one value; of a
navigation to many it is enough for a filter that any fits.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Final

from footfall_api.sta.evaluate import Ends, Steps, compile_value, ends_of, is_constant
from footfall_api.sta.language import Binary, Call, Expression, In, Logical, Path
from footfall_api.sta.values import Value

FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
"""The ends of all time: no bound."""


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """Where an interval or a time starts and ends, with the bounds themselves; a time ends when it starts."""

    start_from: datetime = FIRST
    start_to: datetime = LAST
    end_from: datetime = FIRST
    end_to: datetime = LAST

    def both(self, other: "TimeBounds") -> "TimeBounds":
        """What lies within both."""
        return TimeBounds(
            max(self.start_from, other.start_from),
            min(self.start_to, other.start_to),
            max(self.end_from, other.end_from),
            min(self.end_to, other.end_to),
        )

    def either(self, other: "TimeBounds") -> "TimeBounds":
        """What holds all that lies within one of them."""
        return TimeBounds(
            min(self.start_from, other.start_from),
            max(self.start_to, other.start_to),
            min(self.end_from, other.end_from),
            max(self.end_to, other.end_to),
        )


def time_bounds(expression: Expression, now: datetime, path: Steps = ("phenomenonTime",)) -> TimeBounds:
    """Within which bounds the interval or time at `path` lies, in each entity that passes.

    Comparisons of the path, of its ``start`` and of its ``end`` with what no entity changes count, and the functions
    of intervals. Nothing passes where `start_from` is after `start_to` or `end_from` after `end_to`.

    Args:
        expression: the filter.
        now: what ``now()`` is, aware.
        path: of one time or interval in an entity.
    """
    match expression:
        case Logical(op, operands):
            bounds = (time_bounds(each, now, path) for each in operands)
            return reduce(TimeBounds.both if op == "and" else TimeBounds.either, bounds)
        case Binary(op, left, right) | Call(op, (left, right)):
            name = {"after": "gt", "before": "lt"}.get(op, op)
            if is_constant(right):
                return _bounds_of(left, name, _constant(right, now), path)
            if is_constant(left):
                return _bounds_of(right, _MIRRORED.get(name, name), _constant(left, now), path)
        case In(item, tuple(options)):
            found = [_bounds_of(item, "eq", option.value, path) for option in options]
            return reduce(TimeBounds.either, found)
    return TimeBounds()


_MIRRORED: Final = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "during": "contains"}
"""The relation the other way round; the others are their own."""

_RULES: Final[dict[str, Callable[[Ends], TimeBounds]]] = {
    "eq": lambda other: TimeBounds(other[0], other[0], other[1], other[1]),
    "gt": lambda other: TimeBounds(start_from=other[1]),
    "ge": lambda other: TimeBounds(start_from=other[0], end_from=other[1]),
    "lt": lambda other: TimeBounds(start_to=other[0], end_to=other[0]),
    "le": lambda other: TimeBounds(start_to=other[0], end_to=other[1]),
    "during": lambda other: TimeBounds(start_from=other[0], start_to=other[1], end_to=other[1]),
    "contains": lambda other: TimeBounds(start_to=other[0], end_from=other[1]),
    "meets": lambda other: TimeBounds(start_to=other[1], end_from=other[0]),
    "overlaps": lambda other: TimeBounds(start_to=other[1], end_from=other[0]),
    "starts": lambda other: TimeBounds(start_from=other[0], start_to=other[0]),
    "finishes": lambda other: TimeBounds(end_from=other[1], end_to=other[1]),
}
"""What follows for what stands on the left, from the ends of what stands on the right."""


def _bounds_of(expression: Expression, name: str, value: Value, path: Steps) -> TimeBounds:
    ends = ends_of(value)
    if ends is None or name not in _RULES or not isinstance(expression, Path):
        return TimeBounds()
    found = _RULES[name](ends)
    if expression.steps == path:
        # what starts late ends late, and what ends early starts early
        return found.both(TimeBounds(end_from=found.start_from, start_to=found.end_to))
    first, last = max(found.start_from, found.end_from), min(found.start_to, found.end_to)
    if expression.steps == (*path, "start"):
        return TimeBounds(start_from=first, start_to=last, end_from=first)
    if expression.steps == (*path, "end"):
        return TimeBounds(start_to=last, end_from=first, end_to=last)
    return TimeBounds()


def equal_to(expression: Expression, now: datetime, paths: Collection[Steps]) -> frozenset[Value] | None:
    """The values one of which is at any of `paths` in each entity that passes; None: it may be any.

    Numbers and text only, and ``null`` as None.

    Args:
        expression: the filter.
        now: what ``now()`` is, aware.
        paths: of the same one value, such as ``("Datastream", "id")`` and ``("Datastream", "@iot.id")``.
    """
    match expression:
        case Logical(op, operands):
            found = [equal_to(each, now, paths) for each in operands]
            known = [each for each in found if each is not None]
            if op == "and":
                return reduce(frozenset.intersection, known) if known else None
            return frozenset().union(*known) if len(known) == len(found) else None
        case Binary("eq", left, right):
            if isinstance(right, Path):
                left, right = right, left
            return _values_of(left, [_constant(right, now)], paths) if is_constant(right) else None
        case In(item, tuple(options)):
            return _values_of(item, [option.value for option in options], paths)
    return None


def _values_of(expression: Expression, values: list[Value], paths: Collection[Steps]) -> frozenset[Value] | None:
    if not isinstance(expression, Path) or expression.steps not in paths:
        return None
    return frozenset(values) if all(value is None or type(value) in {int, float, str} for value in values) else None


def _constant(expression: Expression, now: datetime) -> Value:
    return compile_value(expression, lambda _, __: None, now)(None)
