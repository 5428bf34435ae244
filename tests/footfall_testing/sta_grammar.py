"""Questions to SensorThings, made up by the grammar: conditions as trees, whole relative URLs, and broken URLs.

`urls` makes what the language allows, with the names of the data model and with types that fit; `broken_urls` damages
that. Both are printable ASCII, percent-encoded, so that any HTTP client can send them below the service root.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from urllib.parse import quote

import shapely
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from footfall_api.sta.language import (
    ENTITY_SETS,
    FUNCTIONS,
    NAVIGATIONS,
    PROPERTIES,
    Binary,
    Call,
    Expression,
    In,
    Literal,
    Logical,
    Path,
    Unary,
    render,
)
from footfall_api.sta.values import Interval

_INSIDE: Final[dict[str, tuple[tuple[str | int, ...], ...]]] = {
    "text": (
        *(("name",), ("description",), ("definition",), ("encodingType",), ("observationType",), ("metadata",)),
        *(("properties", "layerName"), ("unitOfMeasurement", "symbol"), ("location", "type"), ("parameters", "state")),
    ),
    "number": (("id",), ("@iot.id",), ("result",), ("location", "coordinates", 0), ("parameters", "coverage")),
    "time": (("phenomenonTime",), ("resultTime",), ("validTime",), ("time",), ("phenomenonTime", "start")),
    "shape": (("location",), ("feature",), ("observedArea",)),
}
"""What properties hold, by type."""


def _routes(entity_set: str, steps: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every way over no more than so many navigations, with where it leads to."""
    yield (), entity_set
    for name, target in NAVIGATIONS[entity_set].items() if steps else ():
        for route, last in _routes(target, steps - 1):
            yield (name, *route), last


@cache
def paths(entity_set: str, kind: str) -> SearchStrategy[Expression]:
    """Paths from an entity of that set to values of a type, over no more than two navigations."""
    found = [
        Path((*route, *steps))
        for route, last in _routes(entity_set, 2)
        for steps in _INSIDE.get(kind, ())
        if steps[0] in (*PROPERTIES[last], "id", "@iot.id")
    ]
    return st.sampled_from(found) if found else st.nothing()


_YEAR: Final = datetime(2026, 1, 1, tzinfo=UTC)
_TIMES: Final = st.one_of(
    st.datetimes(timezones=st.just(UTC)).map(lambda when: when.replace(fold=0)),
    st.integers(0, 8760).map(lambda n: _YEAR + timedelta(hours=n)),
)
_DEGREES: Final = st.integers(-90, 90).map(float) | st.integers(-90 * 10**9, 90 * 10**9).map(lambda n: n / 10**9)
_SHAPES: Final = (
    st.builds(shapely.Point, _DEGREES, _DEGREES)
    | st.tuples(_DEGREES, _DEGREES, _DEGREES, _DEGREES).map(lambda at: shapely.LineString([at[:2], at[2:]]))
    | st.tuples(_DEGREES, _DEGREES, st.integers(1, 9), st.integers(1, 9)).map(
        lambda at: shapely.box(at[0], at[1], at[0] + at[2], at[1] + at[3])
    )
).filter(shapely.is_valid)

VALUES: Final[dict[str, SearchStrategy[Any]]] = {
    "number": st.integers(-20, 20) | st.integers(-(10**38), 10**38) | st.floats(allow_nan=False, allow_infinity=False),
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    "time": _TIMES,
    "interval": st.tuples(_TIMES, _TIMES).map(lambda ends: Interval(*sorted(ends))),
    "duration": st.timedeltas(),
    "date": st.dates(),
    "time of day": st.times().map(lambda clock: clock.replace(fold=0)),
    "shape": _SHAPES,
    "condition": st.booleans(),
    "null": st.none(),
}
"""Literals by type."""

_CALLS: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "number": (
        *(("length", ("text",)), ("indexof", ("text", "text")), ("geo.length", ("shape",))),
        *((name, ("number",)) for name in ("round", "floor", "ceiling")),
        *((name, ("time",)) for name in ("year", "month", "day", "hour", "minute", "second")),
        *(("fractionalseconds", ("time",)), ("totaloffsetminutes", ("time",)), ("geo.distance", ("shape", "shape"))),
    ),
    "text": (
        *((name, ("text",)) for name in ("tolower", "toupper", "trim")),
        *(("concat", ("text", "text")), ("substring", ("text", "number")), ("substring", ("text", "number", "number"))),
    ),
    "time": (("now", ()), ("mindatetime", ()), ("maxdatetime", ())),
    "date": (("date", ("time",)),),
    "time of day": (("time", ("time",)),),
    "condition": (
        *((name, ("text", "text")) for name in ("contains", "startswith", "endswith", "substringof")),
        *((name, ("shape", "shape")) for name in FUNCTIONS if name.startswith("st_") and name != "st_relate"),
        ("geo.intersects", ("shape", "shape")),
        *((name, ("time", "interval")) for name in ("before", "after", "meets", "during", "overlaps")),
        *((name, ("time", "time")) for name in ("starts", "finishes", "before", "after")),
    ),
}
_SUMS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "number": tuple((op, "number", "number") for op in ("add", "sub", "mul", "div", "mod")),
    "time": (("add", "time", "duration"), ("sub", "time", "duration"), ("add", "duration", "time")),
    "duration": (("sub", "time", "time"), ("mul", "duration", "number"), ("div", "duration", "number")),
    "interval": (("add", "interval", "duration"),),
    "date": (("sub", "date", "duration"),),
}
_COMPARED: Final = (
    *(("number", "number"), ("text", "text"), ("time", "time"), ("time", "interval"), ("duration", "duration")),
    *(("date", "date"), ("time of day", "time of day"), ("condition", "condition"), ("text", "null"), ("time", "null")),
)


@cache
def values(entity_set: str, kind: str, depth: int) -> SearchStrategy[Expression]:
    """Expressions of a type, no deeper than that."""
    simple = VALUES[kind].map(Literal) | paths(entity_set, kind)
    if not depth:
        return simple

    def deeper(name: str) -> SearchStrategy[Expression]:
        return st.deferred(lambda: values(entity_set, name, depth - 1))

    calls = [
        st.builds(Call, st.just(name), st.tuples(*map(deeper, arguments))) for name, arguments in _CALLS.get(kind, ())
    ]
    sums = [st.builds(Binary, st.just(op), deeper(left), deeper(right)) for op, left, right in _SUMS.get(kind, ())]
    signs = [st.builds(Unary, st.just("neg"), deeper(kind))] if kind in {"number", "duration"} else []
    return st.one_of(simple, *calls, *sums, *signs, *(_conditions(entity_set, depth) if kind == "condition" else ()))


def _conditions(entity_set: str, depth: int) -> list[SearchStrategy[Expression]]:
    def deeper(name: str) -> SearchStrategy[Expression]:
        return st.deferred(lambda: values(entity_set, name, depth - 1))

    comparisons = [
        st.builds(Binary, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), deeper(left), deeper(right))
        for one, other in _COMPARED
        for left, right in ((one, other), (other, one))
    ]
    memberships = [
        st.builds(In, deeper(kind), st.lists(VALUES[kind].map(Literal), min_size=1, max_size=3).map(tuple))
        for kind in ("number", "text", "time")
    ]
    operands = st.lists(deeper("condition"), min_size=2, max_size=3).map(tuple)
    return [
        *comparisons,
        *memberships,
        st.builds(Unary, st.just("not"), deeper("condition")),
        st.builds(Logical, st.sampled_from(["and", "or"]), operands),
    ]


def conditions(entity_set: str = "Observations", depth: int = 3) -> SearchStrategy[Expression]:
    """What a ``$filter`` can be, with names and types that fit."""
    return values(entity_set, "condition", depth)


@st.composite
def options(draw: DrawFn, entity_set: str, depth: int = 2) -> dict[str, str]:
    """The options of a question about entities of a set, by name, not yet encoded."""
    names = ["$filter", "$select", "$orderby", "$top", "$skip", "$count", *(["$expand"] if depth else [])]
    given = {}
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=4)):
        if name == "$filter":
            given[name] = render(draw(conditions(entity_set, 2)))
        elif name == "$select":
            known = st.sampled_from([*PROPERTIES[entity_set], "id", "@iot.id", *NAVIGATIONS[entity_set]])
            given[name] = ",".join(draw(st.lists(known, min_size=1, max_size=3)))
        elif name == "$orderby":
            keys = st.sampled_from(["number", "text", "time"]).flatmap(lambda kind: values(entity_set, kind, 1))
            words = st.sampled_from(["", " asc", " DESC"])
            given[name] = ",".join(
                render(key) + word for key, word in draw(st.lists(st.tuples(keys, words), min_size=1, max_size=2))
            )
        elif name == "$expand":
            given[name] = ",".join(draw(st.lists(expands(entity_set, depth), min_size=1, max_size=2)))
        elif name == "$count":
            given[name] = draw(st.sampled_from(["true", "false", "TRUE"]))
        else:
            given[name] = str(draw(st.integers(0, 9) | st.integers(0, 10**20)))
    return given


@st.composite
def expands(draw: DrawFn, entity_set: str, depth: int) -> str:
    """One navigation, or a path of them, with options."""
    route, last = draw(st.sampled_from([found for found in _routes(entity_set, depth) if found[0]]))
    inner = draw(options(last, depth - len(route)))
    written = ";".join(f"{name}={value}" for name, value in inner.items())
    return "/".join(route) + (f"({written})" if written else "")


@st.composite
def resource_paths(draw: DrawFn) -> tuple[str, str]:
    """The path of a set, an entity, a property and so on, with the entity set that it is about."""
    entity_set = draw(st.sampled_from(ENTITY_SETS))
    parts = [entity_set]
    for _ in range(draw(st.integers(0, 3))):
        if parts[-1] in ENTITY_SETS:
            parts[-1] += f"({draw(st.integers(0, 5) | st.integers(-(2**70), 2**70))})"
        name, entity_set = draw(st.sampled_from(sorted(NAVIGATIONS[entity_set].items())))
        parts.append(name)
    if parts[-1] in ENTITY_SETS:
        ending = draw(st.sampled_from(["", "", "", "/$count", "/$ref", "(1)", "/"]))
    else:
        ending = draw(
            st.sampled_from(["", "", f"/{draw(st.sampled_from(PROPERTIES[entity_set]))}", "/id/$value", "/$ref"])
        )
    return "/".join(parts) + ending, entity_set


@st.composite
def urls(draw: DrawFn) -> str:
    """A question below the service root, as it stands in a request."""
    path, entity_set = draw(resource_paths())
    given = draw(options(entity_set))
    if draw(st.booleans()):
        given["$resultFormat"] = "dataArray"
    plus = draw(st.booleans())
    written = [f"{name}={_encoded(value, plus=plus)}" for name, value in given.items()]
    return quote(path, safe="/()$'") + ("?" + "&".join(written) if written else "")


def _encoded(text: str, *, plus: bool) -> str:
    encoded = quote(text, safe="$(),;=/':@")
    return encoded.replace("%20", "+") if plus else encoded


_GARBAGE: Final[Sequence[str]] = (
    *"'()/,;=&?$-+.%",
    *("%2", "%FF", "%00", "%27", "%F0%9F%98%80", "%C3%A4", "$filter=", "$expand=", "$top=-1", "$count=maybe", "&&"),
    *(
        "((((",
        "(" * 70,
        ")))",
        "not+" * 70,
        "'" * 3,
        "9" * 50,
        "1e999",
        "-",
        "and",
        "+or+",
        "null",
        "@iot.id",
        "$value",
    ),
    *(
        "duration'P1Y'",
        "geography'POINT(1)'",
        "2026-02-30T00:00:00Z",
        "2026-01-01T00:00:00",
        "now(",
        "any(d:d/id+eq+1)",
    ),
)


@st.composite
def broken_urls(draw: DrawFn) -> str:
    """A question with pieces lost, doubled or put in."""
    url = draw(urls())
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted((draw(st.integers(0, len(url))), draw(st.integers(0, len(url)))))
        kind = draw(st.sampled_from(["lost", "doubled", "put in", "put in", "put in"]))
        if kind == "put in":
            url = url[:start] + draw(st.sampled_from(_GARBAGE)) + url[start:]
        else:
            url = url[:start] + (url[start:end] * 2 if kind == "doubled" else "") + url[end:]
    return url
