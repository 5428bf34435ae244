"""What a filter says about where to look never leaves out what passes it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footfall_api.sta.bounds import FIRST, LAST, TimeBounds, equal_to, time_bounds
from footfall_api.sta.evaluate import Steps, compile_filter, ends_of
from footfall_api.sta.language import Binary, Call, Expression, In, Literal, Logical, Path, Unary, parse_filter
from footfall_api.sta.values import Interval, Value, descend

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


def at(hour: int) -> datetime:
    """An hour of that day."""
    return NOW.replace(hour=hour)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P ge T04 and P lt T08", TimeBounds(at(4), at(8), at(4), at(8))),
        ("P gt T04", TimeBounds(start_from=at(4), end_from=at(4))),
        ("T08 gt P", TimeBounds(start_to=at(8), end_to=at(8))),
        ("P le T08", TimeBounds(start_to=at(8), end_to=at(8))),
        ("P eq T04/T08", TimeBounds(at(4), at(4), at(8), at(8))),
        ("P ge T04/T08", TimeBounds(start_from=at(4), end_from=at(8))),
        ("P le T04/T08", TimeBounds(start_to=at(4), end_to=at(8))),
        ("P in (T04,T02,T08)", TimeBounds(at(2), at(8), at(2), at(8))),
        ("during(P,T04/T08)", TimeBounds(at(4), at(8), at(4), at(8))),
        ("during(T04/T08,P)", TimeBounds(start_to=at(4), end_from=at(8))),
        ("overlaps(P,T04/T08)", TimeBounds(start_to=at(8), end_from=at(4))),
        ("after(P,T04/T08)", TimeBounds(start_from=at(8), end_from=at(8))),
        ("before(T08,P)", TimeBounds(start_from=at(8), end_from=at(8))),
        ("starts(P,T04)", TimeBounds(at(4), at(4), at(4), LAST)),
        ("finishes(P,T08)", TimeBounds(FIRST, at(8), at(8), at(8))),
        ("P/start ge T04 and P/end le T08", TimeBounds(at(4), at(8), at(4), at(8))),
        ("P ge now() sub duration'PT8H' and P lt now()", TimeBounds(at(4), at(12), at(4), at(12))),
        ("P ge T04 and (result gt 5 or id eq 1)", TimeBounds(start_from=at(4), end_from=at(4))),
        ("(P ge T04 and P lt T06) or (P ge T07 and P lt T08)", TimeBounds(at(4), at(8), at(4), at(8))),
        ("P ge T04 or result gt 5", TimeBounds()),
        ("not (P ge T04)", TimeBounds()),
        ("P ne T04", TimeBounds()),
        ("P gt null", TimeBounds()),
        ("resultTime gt T04", TimeBounds()),
        ("P add duration'PT1H' gt T04", TimeBounds()),
        ("result gt 5", TimeBounds()),
    ],
)
def test_bounds_in_time(text: str, expected: TimeBounds) -> None:
    """Comparisons on either side, functions of intervals, `in`, and what is reckoned without an entity."""
    written = re.sub(r"T(\d\d)", r"2026-06-10T\1:00:00Z", re.sub(r"\bP\b", "phenomenonTime", text))

    assert time_bounds(parse_filter(written), NOW) == expected


STREAM = [("Datastream", "id"), ("Datastream", "@iot.id")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Datastream/id eq 1", {1}),
        ("1 eq Datastream/@iot.id", {1}),
        ("Datastream/id in (1,2,3)", {1, 2, 3}),
        ("Datastream/id in (1,2,3) and Datastream/@iot.id in (2,3,4) and result gt 5", {2, 3}),
        ("Datastream/id eq 1 and Datastream/id eq 2", set()),
        ("Datastream/id eq 1 or Datastream/id in (5,6)", {1, 5, 6}),
        ("Datastream/id eq 1 add 1", {2}),
        ("Datastream/id eq null", {None}),
        ("Datastream/id eq 1 or result gt 5", None),
        ("not (Datastream/id eq 1)", None),
        ("Datastream/id ne 1", None),
        ("Datastream/id gt 1", None),
        ("Datastream/id eq id", None),
        ("id eq 1", None),
        ("result gt 5", None),
    ],
)
def test_what_a_path_must_equal(text: str, expected: set[Value] | None) -> None:
    """`eq` and `in` under `and` and `or`; None where it may be anything."""
    assert equal_to(parse_filter(text), NOW, STREAM) == expected


P = Path(("phenomenonTime",))
_HOURS = st.integers(0, 6).map(at)
_INTERVALS = st.tuples(_HOURS, _HOURS).map(lambda ends: Interval(min(ends), max(ends)))
_CONSTANTS: st.SearchStrategy[Expression] = st.one_of(
    (_HOURS | _INTERVALS | st.none()).map(Literal),
    st.integers(-12, -6).map(lambda n: Binary("add", Call("now", ()), Literal(timedelta(hours=n)))),
)
_TIMED = st.sampled_from([P, Path(("phenomenonTime", "start")), Path(("phenomenonTime", "end"))])
_COMPARED = ["eq", "ne", "gt", "ge", "lt", "le"]
_FUNCTIONS = ["before", "after", "meets", "during", "overlaps", "starts", "finishes"]
_IDS = st.integers(0, 3)
_ABOUT_TIME = st.one_of(
    st.builds(Binary, st.sampled_from(_COMPARED), _TIMED, _CONSTANTS),
    st.builds(Binary, st.sampled_from(_COMPARED), _CONSTANTS, _TIMED),
    st.builds(Call, st.sampled_from(_FUNCTIONS), st.tuples(_TIMED, _CONSTANTS)),
    st.builds(Call, st.sampled_from(_FUNCTIONS), st.tuples(_CONSTANTS, _TIMED)),
    st.builds(In, _TIMED, st.lists((_HOURS | _INTERVALS).map(Literal), min_size=1, max_size=3).map(tuple)),
)
_ABOUT_IDS = st.one_of(
    st.builds(Binary, st.sampled_from(["eq", "ne", "gt"]), st.just(Path(("id",))), _IDS.map(Literal)),
    st.builds(
        In, st.just(Path(("id",))), st.lists((_IDS | st.just(1.0) | st.none()).map(Literal), min_size=1).map(tuple)
    ),
)
_FILTERS = st.recursive(
    _ABOUT_TIME | _ABOUT_IDS,
    lambda inner: st.one_of(
        st.builds(Logical, st.sampled_from(["and", "and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
        inner.map(lambda each: Unary("not", each)),
    ),
    max_leaves=5,
)


def resolve(entity: dict[str, Any], steps: Steps) -> Value:
    """Properties, and the ends of intervals."""
    return descend(entity[str(steps[0])], steps[1:])


@given(_FILTERS, st.lists(st.tuples(_HOURS | _INTERVALS | st.none(), _IDS | st.none()), min_size=1, max_size=30))
@example(Call("during", (P, Literal(Interval(at(1), at(1))))), [(at(1), 1)])
def test_what_passes_lies_within(tree: Expression, held: list[tuple[Value, Value]]) -> None:
    """Every entity that passes a filter is where the bounds say to look."""
    keep = compile_filter(tree, resolve, NOW)
    bounds, ids = time_bounds(tree, NOW), equal_to(tree, NOW, [("id",)])

    for when, number in held:
        if keep({"phenomenonTime": when, "id": number}):
            assert ids is None or number in ids
            ends = ends_of(when)
            if ends is not None:
                assert bounds.start_from <= ends[0] <= bounds.start_to
                assert bounds.end_from <= ends[1] <= bounds.end_to


@given(_ABOUT_TIME)
def test_bounds_are_of_use(tree: Expression) -> None:
    """A comparison with a time that says something bounds something."""
    constant_sides = (
        [tree.left, tree.right] if isinstance(tree, Binary) else list(tree.arguments) if isinstance(tree, Call) else []
    )
    says_nothing = Literal(None) in constant_sides or (isinstance(tree, Binary) and tree.op == "ne")

    assert says_nothing or time_bounds(tree, NOW) != TimeBounds()
