"""What an expression of the query language says about an entity: compiled once to closures, applied to thousands.

`compile_filter` makes a test, `compile_value` a function to a value, `ordered` sorts by ``$orderby``. How a path leads
from an entity to a value is the caller's: `Resolve`. Nothing raises on what a value is; what cannot be said is null.

**Nulls.** ``eq`` and ``ne`` always answer: null equals null and nothing else, and values of different types are not
equal. ``gt ge lt le`` with a null or between types without a common order are null, as in SQL and FROST-Server (OData
would say false, which ``not`` would turn to true). Arithmetic and functions of null are null, ``not`` null is null,
``and`` and ``or`` are three-valued, and a filter keeps only what is true.

**Many.** A path through a navigation to many is a list. A comparison, ``in`` or a function that gives a condition is
true if it is for any member; other functions and arithmetic give the list of their results. Two lists go together
member by member if they are as long as each other (as the rows of one navigation do), and are null otherwise. An
empty list is null: ``Datastreams/id eq null`` finds what has none.

**Numbers.** Integers are exact, and compare exactly with floats. ``div`` drops the fraction if both sides are integers
by their type (an integer literal, an id, ``length``, ``year`` and so on); ``result`` and JSON are numbers of any kind,
so ``result div 2`` does not. ``mod`` has the sign of the dividend. By zero, beyond all bounds, or not a number: null.
``round`` takes halves away from zero. ``indexof`` and ``substring`` count from 0; ``indexof`` is -1 for no match.

**Times** are UTC, so ``totaloffsetminutes`` is 0; ``date``, ``hour`` and so on of an interval are those of its start.
``time ± duration``, ``time sub time``, ``duration mul number`` and so on reckon; an interval is moved as a whole, and
subtracted by its start.

**Intervals** compare as in FROST-Server, where a time is an interval that ends when it starts. With (s, e) on the left
and (S, E) on the right:

==========================  ==================================  =============================================
operator                    true if                             with a time T on the right
==========================  ==================================  =============================================
``eq``                      s = S and e = E                     s = T = e
``ne``                      not ``eq``                          (FROST-Server: neither s = S nor e = E)
``gt``, ``after``           s ≥ E and s > S                     s > T
``ge``                      s ≥ S and e ≥ E                     s ≥ T
``lt``, ``before``          e ≤ S and s < S                     e ≤ T and s < T
``le``                      s ≤ S and e ≤ E                     e ≤ T
``during``                  S ≤ s < E and e ≤ E                 null: nothing happens during an instant
``meets``                   s = E or e = S                      s = T or e = T
``overlaps``                s < E and S < e, or s = S           s ≤ T < e, or s = T
``starts``                  s = S                               s = T
``finishes``                e = E                               e = T
==========================  ==================================  =============================================

**Shapes** lie on a plane of degrees, as in FROST-Server: ``geo.distance`` and ``geo.length`` are in degrees (in Jena,
0.0001 is 7 m eastwards and 11 m northwards), and the length of a point or a polygon is 0. GeoJSON geometries and
features are shapes. Text compares by code point.
"""

import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeAlias, TypeVar

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from footfall_api.sta.language import (
    IDS,
    Binary,
    Call,
    Expression,
    In,
    Literal,
    Logical,
    Order,
    Path,
    Unary,
    children,
)
from footfall_api.sta.values import Interval, Value

Entity = TypeVar("Entity")

Steps: TypeAlias = tuple[str | int, ...]
"""The steps of a path."""

Resolve: TypeAlias = Callable[[Entity, Steps], Value]
"""The value that a path leads to from an entity; a list through a navigation to many, None for nothing."""


def compile_filter(expression: Expression, resolve: Resolve[Entity], now: datetime) -> Callable[[Entity], bool]:
    """The test whether an expression is true for an entity; it never raises unless `resolve` does.

    Args:
        expression: a condition, as `parse_filter` reads it.
        resolve: gives the values of paths.
        now: what ``now()`` is, aware.
    """
    condition = compile_value(expression, resolve, now)
    return lambda entity: _truth(condition(entity)) is True


def compile_value(expression: Expression, resolve: Resolve[Entity], now: datetime) -> Callable[[Entity], Value]:
    """The value of an expression for an entity; what depends on none is reckoned once."""
    compiled = _compile(expression, resolve, now)
    if isinstance(expression, Literal | Path) or not is_constant(expression):
        return compiled
    value = compiled(None)  # type: ignore[arg-type]  # nothing in it looks at the entity
    return lambda _: value


def is_constant(expression: Expression) -> bool:
    """Whether an expression is the same for every entity: there is no path in it."""
    if isinstance(expression, Path) or (isinstance(expression, In) and isinstance(expression.options, Path)):
        return False
    return all(map(is_constant, children(expression)))


def ordered(
    entities: Iterable[Entity], orders: Sequence[Order], resolve: Resolve[Entity], now: datetime
) -> list[Entity]:
    """The entities by ``$orderby``; those alike stay in the order in which they came."""
    found = list(entities)
    for order in reversed(orders):
        value = compile_value(order.expression, resolve, now)
        found.sort(key=lambda entity, value=value: sort_key(value(entity)), reverse=order.descending)  # type: ignore[misc]
    return found


def sort_key(value: Value) -> tuple[int, object]:
    """A key that puts any values in order: those of a type together, nulls last (descending: first), as PostgreSQL."""
    family = _FAMILIES.get(type(value))
    if family in _SIMPLE and value == value:  # noqa: PLR0124  # not a number is not itself
        return (_RANKS[family], value) if family != "time" else (_RANKS["interval"], (value, value))
    if family == "number":
        return (_RANKS["number"] + 1, 0)
    if family == "interval":
        return (_RANKS["interval"], (value.start, value.end))
    if value is None:
        return (100, 0)
    return (99, json.dumps(value, sort_keys=True, default=str))


_FAMILIES: Final[Mapping[type, str]] = {
    bool: "condition",
    int: "number",
    float: "number",
    str: "text",
    datetime: "time",
    Interval: "interval",
    date: "date",
    time: "clock",
    timedelta: "duration",
}
_SIMPLE: Final = frozenset(_FAMILIES.values()) - {"interval"}
"""Those that Python orders as they are."""
_RANKS: Final = {family: 2 * rank for rank, family in enumerate(dict.fromkeys(_FAMILIES.values()))}


def _truth(value: Value) -> bool | None:
    """True, False or null; a list is true if any member is."""
    if type(value) is list:
        return _any(map(_truth, value))
    return value if type(value) is bool else None


def _any(found: Iterable[bool | None]) -> bool | None:
    """``or`` of all, which is null if none is true and one is null, or if there are none."""
    seen = set(found)
    return True if True in seen else None if None in seen or not seen else False


Ends: TypeAlias = tuple[datetime, datetime]
"""The start and the end of an interval, or of a time, which ends when it starts."""

RELATIONS: Final[Mapping[str, Callable[[Ends, Ends], bool]]] = {
    "eq": lambda one, other: one == other,
    "ne": lambda one, other: one != other,
    "gt": lambda one, other: one[0] >= other[1] and one[0] > other[0],
    "ge": lambda one, other: one[0] >= other[0] and one[1] >= other[1],
    "lt": lambda one, other: one[1] <= other[0] and one[0] < other[0],
    "le": lambda one, other: one[0] <= other[0] and one[1] <= other[1],
    "during": lambda one, other: other[0] <= one[0] < other[1] and one[1] <= other[1],
    "meets": lambda one, other: one[0] == other[1] or one[1] == other[0],
    "overlaps": lambda one, other: (one[0] < other[1] and other[0] < one[1]) or one[0] == other[0],
    "starts": lambda one, other: one[0] == other[0],
    "finishes": lambda one, other: one[1] == other[1],
}
"""How two intervals can lie: the table above."""


def ends_of(value: Value) -> Ends | None:
    """The ends of a time or an interval; None for anything else."""
    if type(value) is datetime:
        return value, value
    return (value.start, value.end) if type(value) is Interval else None


def _relation(name: str) -> Callable[[Value, Value], bool | None]:
    related = RELATIONS[name]

    def relate(left: Value, right: Value) -> bool | None:
        one, other = ends_of(left), ends_of(right)
        return None if one is None or other is None else related(one, other)

    return relate


def _during(left: Value, right: Value) -> bool | None:
    return _DURING(left, right) if type(right) is Interval else None


_DURING: Final = _relation("during")


def _comparison(name: str) -> Callable[[Value, Value], bool | None]:
    simply: Callable[[Value, Value], bool] = getattr(operator, name)
    related = _relation(name)

    def compare(left: Value, right: Value) -> bool | None:
        family = _FAMILIES.get(type(left))
        if family in _SIMPLE and family == _FAMILIES.get(type(right)):
            return simply(left, right)
        if type(left) is list or type(right) is list:
            return _any(compare(*row) for row in _rows((left, right)))
        if (found := related(left, right)) is not None:
            return found
        return _equal(left, right) is (name == "eq") if name in {"eq", "ne"} else None

    return compare


def _equal(left: Value, right: Value) -> bool:
    """Whether two values are equal that are not of one simple type: nulls, JSON objects, shapes."""
    if isinstance(left, BaseGeometry) or isinstance(right, BaseGeometry):
        return _FUNCTIONS["st_equals"](left, right) is True
    return type(left) is type(right) and bool(left == right)


def _rows(values: Sequence[Value]) -> list[tuple[Value, ...]]:
    """The members of the lists among the values side by side, each with the values that are no lists."""
    lengths = {len(value) for value in values if type(value) is list}
    if len(lengths) > 1:
        return []
    length = lengths.pop()
    columns = [(value or [None]) if type(value) is list else [value] * max(length, 1) for value in values]
    return list(zip(*columns, strict=True))


def _lifted(function: Callable[..., Value], *, condition: bool = False) -> Callable[..., Value]:
    """The function, applied to every member where a list is given, and null where it cannot reckon."""

    def apply(*values: Value) -> Value:
        if list in map(type, values):
            results = [apply(*row) for row in _rows(values)]
            return _any(results) if condition else results or None
        try:
            found = function(*values)
        except (ArithmeticError, ValueError, shapely.errors.GEOSException):
            return None
        return None if type(found) is float and not math.isfinite(found) else found

    return apply


def _div(left: Value, right: Value) -> Value:
    return left / right


def _whole_div(left: Value, right: Value) -> Value:
    if type(left) is not int or type(right) is not int:
        return left / right
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def _mod(left: Value, right: Value) -> Value:
    if type(left) is not int or type(right) is not int:
        return math.fmod(left, right)
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _moved(by: Callable[[Value, Value], Value]) -> Callable[[Value, Value], Value]:
    return lambda interval, length: Interval(by(interval.start, length), by(interval.end, length))


def _from_start(one: Value, other: Value) -> Value:
    return one.start - (other.start if type(other) is Interval else other)


_ARITHMETIC: Final[Mapping[tuple[str, str, str], Callable[[Value, Value], Value]]] = {
    ("add", "number", "number"): operator.add,
    ("sub", "number", "number"): operator.sub,
    ("mul", "number", "number"): operator.mul,
    ("div", "number", "number"): _div,
    ("whole div", "number", "number"): _whole_div,
    ("mod", "number", "number"): _mod,
    **{("add", family, "duration"): operator.add for family in ("time", "date", "duration")},
    **{("sub", family, "duration"): operator.sub for family in ("time", "date", "duration")},
    **{("add", "duration", family): operator.add for family in ("time", "date")},
    **{("sub", family, family): operator.sub for family in ("time", "date")},
    ("add", "interval", "duration"): _moved(operator.add),
    ("sub", "interval", "duration"): _moved(operator.sub),
    ("add", "duration", "interval"): lambda length, interval: _moved(operator.add)(interval, length),
    **{("sub", "interval", family): _from_start for family in ("interval", "time")},
    ("mul", "duration", "number"): operator.mul,
    ("mul", "number", "duration"): operator.mul,
    ("div", "duration", "number"): operator.truediv,
}
"""What can be reckoned: operator, type on the left, type on the right."""


def _arithmetic(name: str) -> Callable[..., Value]:
    def reckon(left: Value, right: Value) -> Value:
        families = (_FAMILIES.get(type(left), ""), _FAMILIES.get(type(right), ""))
        function = _ARITHMETIC.get((name, *families))
        return None if function is None else function(left, right)

    return _lifted(reckon)


def _negative(value: Value) -> Value:
    return -value if _FAMILIES.get(type(value)) in {"number", "duration"} else None


# functions


def _for(*types: type) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Null unless each argument is of its type; `float` takes integers too."""

    def decorate(function: Callable[..., Value]) -> Callable[..., Value]:
        def checked(*values: Value) -> Value:
            for value, wanted in zip(values, types, strict=False):
                if type(value) is not wanted and not (wanted is float and type(value) is int):
                    return None
            return function(*values)

        return checked

    return decorate


def _substring(text: str, start: int, length: int | None = None) -> str:
    start = max(start, 0)
    return text[start : None if length is None else start + max(length, 0)]


def _rounded(number: float) -> int:
    if type(number) is int:
        return number
    whole, rest = divmod(abs(number), 1)
    return int(math.copysign(int(whole) + (rest >= 0.5), number))


def _part(of: str, *types: type) -> Callable[[Value], Value]:
    """An attribute of a time, of an interval's start, or of what else has it."""

    def part(value: Value) -> Value:
        value = value.start if type(value) is Interval else value
        return getattr(value, of) if type(value) in {datetime, *types} else None

    return part


def _date(value: Value) -> date | None:
    value = value.start if type(value) is Interval else value
    return value.date() if type(value) is datetime else value if type(value) is date else None


def _time(value: Value) -> time | None:
    value = value.start if type(value) is Interval else value
    return value.time() if type(value) is datetime else value if type(value) is time else None


def shape_of(value: Value) -> BaseGeometry | None:
    """The shape of a geometry, a GeoJSON geometry or a GeoJSON feature; None if it is none of them."""
    if isinstance(value, BaseGeometry):
        return value
    if type(value) is not dict:
        return None
    if value.get("type") == "Feature":
        return shape_of(value.get("geometry"))
    try:
        return shapely.from_geojson(json.dumps(value))
    except (shapely.errors.GEOSException, TypeError, ValueError):
        return None


def _shapely(function: Callable[..., Value]) -> Callable[..., Value]:
    """A function of two shapes (and of a pattern)."""

    def apply(left: Value, right: Value, *more: Value) -> Value:
        one, other = shape_of(left), shape_of(right)
        if one is None or other is None or any(type(each) is not str for each in more):
            return None
        with np.errstate(all="ignore"):  # coordinates beyond all bounds: what is not finite becomes null
            found = function(one, other, *more)
        return found.item() if hasattr(found, "item") else found

    return apply


def _length(value: Value) -> float | None:
    shape = shape_of(value)
    if shape is None:
        return None
    with np.errstate(all="ignore"):
        return float(shapely.length(shape)) if shape.geom_type in {"LineString", "MultiLineString"} else 0.0


_VALUED: Final[Mapping[str, Callable[..., Value]]] = {
    "length": _for(str)(len),
    "indexof": _for(str, str)(str.find),
    "substring": _for(str, int, int)(_substring),
    "tolower": _for(str)(str.lower),
    "toupper": _for(str)(str.upper),
    "trim": _for(str)(str.strip),
    "concat": _for(str, str)(operator.add),
    **{name: _part(name, date) for name in ("year", "month", "day")},
    **{name: _part(name, time) for name in ("hour", "minute", "second")},
    "fractionalseconds": lambda value: None if (part := _part("microsecond", time)(value)) is None else part / 1e6,
    "totaloffsetminutes": lambda value: None if ends_of(value) is None else 0,
    "date": _date,
    "time": _time,
    "round": _for(float)(_rounded),
    "floor": _for(float)(math.floor),
    "ceiling": _for(float)(math.ceil),
    "geo.distance": _shapely(shapely.distance),
    "geo.length": _length,
}
_CONDITIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "contains": _for(str, str)(operator.contains),
    "startswith": _for(str, str)(str.startswith),
    "endswith": _for(str, str)(str.endswith),
    "substringof": _for(str, str)(lambda part, text: part in text),
    "geo.intersects": _shapely(shapely.intersects),
    **{
        f"st_{name}": _shapely(getattr(shapely, name))
        for name in ("equals", "disjoint", "touches", "within", "overlaps", "crosses", "intersects", "contains")
    },
    "st_relate": _shapely(shapely.relate_pattern),
    **{name: _relation(name) for name in ("meets", "overlaps", "starts", "finishes")},
    "before": _relation("lt"),
    "after": _relation("gt"),
    "during": _during,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    **{name: _lifted(function) for name, function in _VALUED.items()},
    **{name: _lifted(function, condition=True) for name, function in _CONDITIONS.items()},
}
_COMPARISONS: Final = {name: _comparison(name) for name in ("eq", "ne", "gt", "ge", "lt", "le")}
_OPERATORS: Final = {name: _arithmetic(name) for name in ("add", "sub", "mul", "div", "whole div", "mod")}
_NEGATIVE: Final = _lifted(_negative)

_WHOLE: Final = frozenset(
    {"length", "indexof", "year", "month", "day", "hour", "minute", "second", "round", "floor", "ceiling"}
)
"""Functions that give integers."""


# closures


def _compile(expression: Expression, resolve: Resolve[Entity], now: datetime) -> Callable[[Entity], Value]:
    match expression:
        case Literal(value):
            return lambda _: value
        case Path(steps):
            return lambda entity: resolve(entity, steps)
        case Unary(op, operand):
            return _compile_unary(op, compile_value(operand, resolve, now))
        case Logical(op, operands):
            return _compile_logical(op, [compile_value(each, resolve, now) for each in operands])
        case In(item, options):
            return _compile_in(compile_value(item, resolve, now), options, resolve)
        case Call(name, arguments):
            return _compile_call(name, [compile_value(each, resolve, now) for each in arguments], now)
        case Binary(op, left, right):
            return _compile_binary(op, left, right, resolve, now)


def _compile_unary(op: str, operand: Callable[[Entity], Value]) -> Callable[[Entity], Value]:
    if op == "neg":
        return lambda entity: _NEGATIVE(operand(entity))

    def negated(entity: Entity) -> bool | None:
        found = _truth(operand(entity))
        return None if found is None else not found

    return negated


def _compile_logical(op: str, operands: Sequence[Callable[[Entity], Value]]) -> Callable[[Entity], Value]:
    decisive = op == "or"

    def joined(entity: Entity) -> bool | None:
        result: bool | None = not decisive
        for operand in operands:
            found = _truth(operand(entity))
            if found is decisive:
                return decisive
            if found is None:
                result = None
        return result

    return joined


def _compile_in(
    item: Callable[[Entity], Value], options: tuple[Literal, ...] | Path, resolve: Resolve[Entity]
) -> Callable[[Entity], Value]:
    equal = _COMPARISONS["eq"]
    if isinstance(options, Path):
        steps = options.steps

        def listed(entity: Entity) -> bool | None:
            found = resolve(entity, steps)
            members = found if type(found) is list else [found]
            return _any(equal(item(entity), member) for member in members) if members else False

        return listed
    values = [option.value for option in options]
    simple = frozenset((family, value) for value in values if (family := _FAMILIES.get(type(value))) in _SIMPLE)

    def among(entity: Entity) -> bool | None:
        value = item(entity)
        family = _FAMILIES.get(type(value))
        if family in _SIMPLE:
            return (family, value) in simple or (family == "time" and any(equal(value, each) for each in values))
        return _any(equal(value, each) for each in values)

    return among


def _compile_call(
    name: str, arguments: Sequence[Callable[[Entity], Value]], now: datetime
) -> Callable[[Entity], Value]:
    constants = {
        "now": now,
        "mindatetime": datetime.min.replace(tzinfo=UTC),
        "maxdatetime": datetime.max.replace(tzinfo=UTC),
    }
    if name in constants:
        value = constants[name]
        return lambda _: value
    function = _FUNCTIONS[name]
    if len(arguments) == 2:
        first, second = arguments
        return lambda entity: function(first(entity), second(entity))
    return lambda entity: function(*[argument(entity) for argument in arguments])


def _compile_binary(
    op: str, left: Expression, right: Expression, resolve: Resolve[Entity], now: datetime
) -> Callable[[Entity], Value]:
    if op == "div" and _is_whole(left) and _is_whole(right):
        op = "whole div"
    function = _COMPARISONS.get(op) or _OPERATORS[op]
    one, other = compile_value(left, resolve, now), compile_value(right, resolve, now)
    if is_constant(right):
        value = other(None)  # type: ignore[arg-type]  # nothing in it looks at the entity
        return lambda entity: function(one(entity), value)
    return lambda entity: function(one(entity), other(entity))


def _is_whole(expression: Expression) -> bool:
    """Whether an expression is an integer by its type."""
    match expression:
        case Literal(value):
            return type(value) is int
        case Path(steps):
            return steps[-1] in IDS
        case Call(name):
            return name in _WHOLE
        case Unary("neg", operand):
            return _is_whole(operand)
        case Binary(op, left, right):
            return op in {"add", "sub", "mul", "div", "mod"} and _is_whole(left) and _is_whole(right)
        case _:
            return False
