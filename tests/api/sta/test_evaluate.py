"""What an expression says about an entity: every operator and function, nulls, many values, and the order of them."""

import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.sta.evaluate import RELATIONS, Steps, compile_filter, compile_value, ends_of, ordered, sort_key
from footfall_api.sta.language import Binary, Call, Expression, Literal, Path, parse_filter, parse_query
from footfall_api.sta.values import Interval, Value, descend, parse_interval, parse_time
from footfall_testing.sta_grammar import VALUES, conditions

NOW: Final = datetime(2026, 6, 10, 12, tzinfo=UTC)

Entity = Mapping[str, Any]

OBSERVATION: Final[Entity] = {
    "id": 7,
    "result": 5,
    "half": 2.5,
    "negative": -7,
    "large": 2**70,
    "name": "Markt, Zählstelle",
    "note": "  it's here ",
    "yes": True,
    "phenomenonTime": Interval(NOW, NOW + timedelta(hours=1)),
    "resultTime": NOW.replace(minute=5, second=6, microsecond=250000),
    "day": date(2026, 6, 10),
    "clock": time(12, 30),
    "location": {"type": "Point", "coordinates": [11.5, 50.5]},
    "feature": {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[0, 0], [3, 4]]}},
    "square": {"type": "Polygon", "coordinates": [[[11, 50], [12, 50], [12, 51], [11, 51], [11, 50]]]},
    "bow": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]},
    "properties": {"layer": "Tag", "tags": ["a", "b"], "n": 3, "deep": {"x": [1, {"y": "z"}]}, "none": None},
    "Datastreams": [
        {"id": 1, "name": "Anzahl", "unit": "Stunde", "at": {"type": "Point", "coordinates": [1, 1]}},
        {"id": 2, "name": "Tage", "unit": "Tag", "at": {"type": "Point", "coordinates": [2, 2]}},
    ],
    "Nothing": [],
    "odd": math.nan,
}


def resolve(entity: Entity, steps: Steps) -> Value:
    """Properties, JSON below them, and lists of entities as navigations to many."""
    first = entity.get(str(steps[0]))
    if isinstance(first, list):
        return [descend(each, steps[1:]) for each in first]
    return descend(first, steps[1:])


def said(text: str, entity: Entity = OBSERVATION) -> Value:
    """What a condition gives: True, False or None."""
    return compile_value(parse_filter(text), resolve, NOW)(entity)


@pytest.mark.parametrize(
    "text",
    [
        # comparison
        "result eq 5 and result eq 5.0 and not (result eq 5.5)",
        "result ne 6 and not (result ne 5)",
        "result gt 4.9 and result ge 5 and result lt 5.1 and result le 5",
        "name gt 'Kirchplatz' and name lt 'markt'",
        "large eq 1180591620717411303424 and large gt 1180591620717411303423 and large eq 1180591620717411303424.0",
        "9007199254740993 gt 9007199254740992.0 and 9007199254740993 ne 9007199254740992.0",
        "day eq 2026-06-10 and day lt 2026-06-11",
        "clock ge 12:30 and clock lt 12:30:00.5",
        "yes and yes eq true and yes gt false",
        "resultTime sub 2026-06-10T12:00:00Z eq duration'PT5M6.25S'",
        # arithmetic
        "result add 2 eq 7 and result sub 7 eq -2 and result mul 2.5 eq 12.5",
        "result div 2 eq 2.5 and 5 div 2 eq 2 and -5 div 2 eq -2 and 5.0 div 2 eq 2.5",
        "id div 2 eq 3 and id div 2.0 eq 3.5 and length(name) div 2 eq 8 and properties/n div 2 eq 1.5",
        "result mod 3 eq 2 and negative mod 3 eq -1 and negative mod -3 eq -1 and half mod 1 eq 0.5",
        "-result eq -5 and -(result add 1) eq -6 and - half eq -2.5",
        "1 add 2 mul 3 eq 7 and (1 add 2) mul 3 eq 9 and 10 sub 3 sub 2 eq 5 and 2 mul -3 add 7 eq 1",
        # in
        "result in (1,5.0) and not (result in (1,2)) and name in ('x','Markt, Zählstelle')",
        "resultTime in (2026-06-10T12:05:06.25Z) and phenomenonTime in (2026-06-10T12:00:00Z/2026-06-10T13:00:00Z)",
        "resultTime in (null,2026-06-10T12:05:06.25Z/2026-06-10T12:05:06.25Z)",
        "'a' in properties/tags and not ('c' in properties/tags) and 3 in properties/n",
        "nothing in (1,null) and not (nothing in (1,2)) and not (true in (1)) and not ('5' in (5))",
        # text
        "contains(name,'kt, Z') and not contains(name,'KT') and substringof('Zähl',name)",
        "startswith(name,'Markt') and endswith(name,'stelle') and not startswith(name,'arkt')",
        "length(name) eq 17 and length('') eq 0 and length('ä😀') eq 2",
        "indexof(name,'Markt') eq 0 and indexof(name,'a') eq 1 and indexof(name,'x') eq -1",
        "substring(name,7) eq 'Zählstelle' and substring(name,1,3) eq 'ark' and substring(name,99) eq ''",
        "substring(name,-2,5) eq 'Markt' and substring(name,0,-1) eq ''",
        "tolower(name) eq 'markt, zählstelle' and toupper(properties/layer) eq 'TAG'",
        "trim(note) eq 'it''s here' and concat(concat(properties/layer,'-'),'x') eq 'Tag-x'",
        # dates
        "year(resultTime) eq 2026 and month(resultTime) eq 6 and day(resultTime) eq 10",
        "hour(resultTime) eq 12 and minute(resultTime) eq 5 and second(resultTime) eq 6",
        "fractionalseconds(resultTime) eq 0.25 and totaloffsetminutes(resultTime) eq 0",
        "date(resultTime) eq day and time(resultTime) eq 12:05:06.25 and date(day) eq day and hour(clock) eq 12",
        "year(phenomenonTime) eq 2026 and date(phenomenonTime) eq 2026-06-10 and time(phenomenonTime) eq 12:00",
        "now() eq 2026-06-10T12:00:00Z and mindatetime() lt now() and maxdatetime() gt now()",
        "hour(2026-06-10T01:30:00+02:00) eq 23 and day(2026-06-10T01:30:00+02:00) eq 9",
        # reckoning with times
        "resultTime gt now() sub duration'PT24H' and now() add duration'PT1H' eq 2026-06-10T13:00:00Z",
        "duration'PT1H' add now() eq 2026-06-10T13:00:00Z and duration'PT1H' add duration'PT1H' eq duration'PT2H'",
        "duration'PT1H' mul 1.5 eq duration'PT90M' and 2 mul duration'PT1H' eq duration'PT2H'",
        "duration'PT1H' div 2 eq duration'PT30M' and -duration'PT1H' eq duration'-PT1H'",
        "duration'PT2H' sub duration'PT1H' eq duration'PT1H' and duration'PT2H' gt duration'PT119M'",
        "phenomenonTime add duration'PT1H' eq 2026-06-10T13:00:00Z/2026-06-10T14:00:00Z",
        "duration'PT1H' add phenomenonTime gt phenomenonTime and phenomenonTime sub duration'PT1H' lt phenomenonTime",
        "phenomenonTime sub 2026-06-10T11:00:00Z eq duration'PT1H'",
        "phenomenonTime sub phenomenonTime eq duration'P0D'",
        "day add duration'P1D' eq 2026-06-11 and day sub 2026-06-01 eq duration'P9D'",
        "phenomenonTime/start eq now() and phenomenonTime/end eq now() add duration'PT1H'",
        # maths
        "round(2.5) eq 3 and round(-2.5) eq -3 and round(2.4) eq 2 and round(3) eq 3",
        "round(0.49999999999999994) eq 0 and round(-0.4) eq 0",
        "floor(half) eq 2 and ceiling(half) eq 3 and floor(-2.5) eq -3 and ceiling(-2.5) eq -2 and floor(3) eq 3",
        # shapes
        "geo.distance(location,geography'POINT(11.5 50.6)') lt 0.11 and geo.distance(location,location) eq 0",
        "geo.length(feature) eq 5 and geo.length(location) eq 0 and geo.length(square) eq 0",
        "geo.intersects(location,square) and st_intersects(square,location) and not st_disjoint(location,square)",
        "st_within(location,square) and not st_within(square,location) and st_contains(square,location)",
        "st_within(location,geography'POLYGON((11 50,12 50,12 51,11 51,11 50))')",
        "st_equals(location,geography'SRID=4326;POINT(11.5 50.5)') and location eq geography'POINT(11.5 50.5)'",
        "st_touches(square,geography'POINT(11 50)') and not st_touches(square,location)",
        "st_crosses(geography'LINESTRING(10 50.5,13 50.5)',square)",
        "st_overlaps(square,geography'POLYGON((11.5 50.5,13 50.5,13 52,11.5 52,11.5 50.5))')",
        "st_relate(location,square,'T*F**F***') and not st_relate(location,square,'FF*FF****')",
        # JSON
        "properties/layer eq 'Tag' and properties/deep/x/1/y eq 'z' and location/coordinates/0 eq 11.5",
        "properties/none eq null and properties/missing eq null and properties/tags/9 eq null and name/x eq null",
        "properties/deep ne null and properties/deep eq properties/deep and properties/deep ne location",
        # logic
        "true and not false and (false or true) and not (true and false) and not (false or false)",
    ],
)
def test_what_is_true(text: str) -> None:
    """Each line is true of the observation above."""
    assert said(text) is True
    assert compile_filter(parse_filter(text), resolve, NOW)(OBSERVATION) is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing eq null", True),
        ("null eq null", True),
        ("result ne null", True),
        ("result eq null", False),
        ("nothing eq 5", False),
        ("nothing ne 5", True),
        ("nothing gt 5", None),
        ("null le null", None),
        ("not (nothing gt 5)", None),
        ("nothing add 1 eq null", True),
        ("-nothing eq null", True),
        ("length(nothing) eq null", True),
        ("contains(nothing,'a')", None),
        ("nothing gt 5 and true", None),
        ("nothing gt 5 and false", False),
        ("nothing gt 5 or true", True),
        ("nothing gt 5 or false", None),
        ("false or nothing gt 5", None),
        ("null", None),
        ("not null", None),
        ("name or false", None),
        ("not name", None),
        # what is of different types is unequal, and in no order
        ("result eq '5'", False),
        ("result ne '5'", True),
        ("result gt '4'", None),
        ("yes eq 1", False),
        ("yes gt 0", None),
        ("day eq now()", False),
        ("day lt now()", None),
        ("properties/deep gt properties/deep", None),
        ("location lt location", None),
        ("name add 1 eq null", True),
        ("yes add 1 eq null", True),
        ("now() add now() eq null", True),
        ("clock add duration'PT1H' eq null", True),
        ("length(result) eq null", True),
        ("substring(name,1.5) eq null", True),
        ("round(name) eq null", True),
        ("year(name) eq null", True),
        ("hour(day) eq null", True),
        ("year(clock) eq null", True),
        ("date(clock) eq null", True),
        ("time(day) eq null", True),
        ("before(name,now())", None),
        ("during(phenomenonTime,resultTime)", None),
        ("geo.length(name) eq null", True),
        ("geo.distance(location,properties) eq null", True),
        ("st_within(location,nothing)", None),
        ("st_relate(location,square,name)", None),
        ("st_relate(location,square,result)", None),
        # what cannot be reckoned
        ("result div 0 eq null", True),
        ("id div 0 eq null", True),
        ("result mod 0 eq null", True),
        ("half mod 0.0 eq null", True),
        ("1e308 mul 10 eq null", True),
        ("large mul large mul large add 0.5 eq null", False),
        ("large" + " mul large" * 20 + " mul 0.5 eq null", True),
        ("maxdatetime() add duration'P1D' eq null", True),
        ("mindatetime() sub duration'P1D' eq null", True),
        ("duration'P999999999D' mul 2 eq null", True),
        ("duration'P1D' div 0 eq null", True),
        ("odd eq odd", False),
        ("odd add 1 eq null", True),
        ("round(odd) eq null", True),
        ("st_overlaps(bow,square)", False),
        ("geo.distance(location,geography'POINT EMPTY') eq null", True),
        ("geo.distance(location,geography'POINT(1e308 0)') eq null", True),
        ("geo.length(geography'LINESTRING(0 0,1e308 1e308)') eq null", True),
    ],
)  # fmt: skip
def test_nulls_and_what_does_not_go_together(text: str, expected: bool | None) -> None:
    """Three-valued logic; nothing raises on what a value is, and a filter keeps only what is true."""
    assert said(text) is expected
    assert compile_filter(parse_filter(text), resolve, NOW)(OBSERVATION) is (expected is True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Datastreams/name eq 'Tage'", True),
        ("'Tage' eq Datastreams/name", True),
        ("Datastreams/id gt 2", False),
        ("Datastreams/name ne 'Tage'", True),
        ("not (Datastreams/name eq 'Tage')", False),
        ("Datastreams/id in (2,9)", True),
        ("2 in Datastreams/id", True),
        ("startswith(Datastreams/name,'T')", True),
        ("startswith(Datastreams/unit,Datastreams/name)", False),
        ("startswith(Datastreams/name,concat('Ta','g')) and contains(Datastreams/unit,'Stunde')", True),
        ("Datastreams/id mul 10 eq 20", True),
        ("length(Datastreams/name) eq 4", True),
        ("concat(Datastreams/name,Datastreams/unit) eq 'TageTag'", True),
        ("concat(Datastreams/name,Datastreams/unit) eq 'TageStunde'", False),
        ("st_within(Datastreams/at,geography'POLYGON((0 0,3 0,3 1.5,0 1.5,0 0))')", True),
        ("Datastreams/id eq properties/n", False),
        ("Datastreams/id eq null", False),
        ("Datastreams/missing eq null", True),
        # without members there is nothing, as for a path to one that is not there
        ("Nothing/id eq null", True),
        ("Nothing/id ne null", False),
        ("Nothing/id eq 5", False),
        ("Nothing/id gt 5", None),
        ("startswith(Nothing/name,'a')", None),
        ("5 in Nothing/id", False),
        ("Datastreams/id eq Nothing/id", None),
    ],
)
def test_many_values(text: str, expected: bool | None) -> None:
    """A condition holds if it holds for any member; rows of one navigation stay together."""
    assert said(text) is expected


def at(hour: int) -> datetime:
    """An hour of the tenth of June."""
    return datetime(2026, 6, 10, hour, tzinfo=UTC)


# The thirteen ways in which two intervals can lie, and what starts or ends at an instant. R is [4, 8).
#
#             0 1 2 3 4 5 6 7 8 9
#   R                 |-------|
#   before    |-----|
#   meets     |-------|
#   overlaps      |-------|
#   covers        |-------------|
#   starts            |---|
#   same              |-------|
#   started           |---------|
#   inside              |---|
#   finishes            |-----|
#   finished    |-------------|
#   overlapped          |-------|
#   met                       |-|
#   after                       |-|   (9, 10)
PLACES: Final = {
    "before": (0, 3), "meets": (0, 4), "overlaps": (2, 6), "covers": (2, 9), "starts": (4, 6), "same": (4, 8),
    "started": (4, 9), "inside": (5, 7), "finishes": (5, 8), "finished": (1, 8), "overlapped": (5, 9), "met": (8, 9),
    "after": (9, 10), "at start": (4, 4), "at end": (8, 8), "within": (5, 5), "early": (1, 1), "late": (9, 9),
}  # fmt: skip

TRUE_FOR: Final[dict[str, str]] = {
    "gt": "met, after, at end, late",
    "ge": "same, started, finishes, overlapped, met, after, at end, late",
    "lt": "before, meets, early",
    "le": "before, meets, overlaps, starts, same, finished, at start, early",
    "eq": "same",
    "during": "starts, same, inside, finishes, at start, within",
    "meets": "meets, met, at start, at end",
    "overlaps": "overlaps, covers, starts, same, started, inside, finishes, finished, overlapped, at start, within",
    "starts": "starts, same, started, at start",
    "finishes": "same, finishes, finished, at end",
}
"""Which of the places are so to [4, 8)."""

TRUE_FOR_FIVE: Final[dict[str, str]] = {
    "gt": "met, after, at end, late",
    "ge": "inside, finishes, overlapped, met, after, at end, within, late",
    "lt": "before, meets, at start, early",
    "le": "before, meets, at start, within, early",
    "eq": "within",
    "meets": "inside, finishes, overlapped, within",
    "overlaps": "overlaps, covers, starts, same, started, inside, finishes, finished, overlapped, within",
    "starts": "inside, finishes, overlapped, within",
    "finishes": "within",
}
"""Which of the places are so to the instant 5."""


def placed(name: str) -> Value:
    """An interval, or a time where it starts and ends at once."""
    start, end = PLACES[name]
    return at(start) if start == end else Interval(at(start), at(end))


def names_where(expression: Expression) -> str:
    """The places for which an expression is true."""
    keep = compile_filter(expression, lambda entity, _: entity, NOW)
    return ", ".join(name for name in PLACES if keep(placed(name)))


def related(name: str, left: Expression, right: Expression) -> Expression:
    """A comparison or a function of intervals."""
    return (
        Call(name, (left, right))
        if name in {"during", "meets", "overlaps", "starts", "finishes"}
        else Binary(name, left, right)
    )


@pytest.mark.parametrize(
    ("other", "expected"), [(Interval(at(4), at(8)), TRUE_FOR), (at(5), TRUE_FOR_FIVE)], ids=["interval", "instant"]
)
def test_intervals_lie_as_the_table_says(other: Value, expected: Mapping[str, str]) -> None:
    """Every operator and function, for every way in which an interval and an instant can lie."""
    path = Path(("phenomenonTime",))
    for name, places in expected.items():
        assert names_where(related(name, path, Literal(other))) == places, name
    mirrored = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq", "meets": "meets", "overlaps": "overlaps"}
    for name, other_way in mirrored.items():
        assert names_where(related(other_way, Literal(other), path)) == expected[name], name
    assert names_where(Call("after", (path, Literal(other)))) == expected["gt"]
    assert names_where(Call("before", (path, Literal(other)))) == expected["lt"]
    others = [name for name in PLACES if name not in expected["eq"].split(", ")]
    assert names_where(Binary("ne", path, Literal(other))) == ", ".join(others)


@given(
    st.lists(st.integers(0, 20), min_size=3, max_size=12, unique=True).map(sorted),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_from_and_before_give_the_buckets_inside(edges: list[int], a: int, b: int) -> None:
    """`ge a and lt b` is exactly the half-open buckets that lie in [a, b)."""
    buckets = [Interval(at(start), at(end)) for start, end in pairwise(edges)]
    text = f"phenomenonTime ge {at(a):%Y-%m-%dT%H:%M:%SZ} and phenomenonTime lt {at(b):%Y-%m-%dT%H:%M:%SZ}"

    keep = compile_filter(parse_filter(text), lambda entity, _: entity, NOW)

    inside = [bucket for bucket in buckets if at(a) <= bucket.start and bucket.end <= at(b)]
    assert list(filter(keep, buckets)) == inside


_INTERVALS = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda ends: (at(min(ends)), at(max(ends))))


@given(_INTERVALS, _INTERVALS)
def test_relations_agree_with_the_hours_that_intervals_hold(
    one: tuple[datetime, datetime], other: tuple[datetime, datetime]
) -> None:
    """Told by the sets of hours, not by the ends."""

    def hours(ends: tuple[datetime, datetime]) -> set[int]:
        return set(range(ends[0].hour, ends[1].hour))

    if hours(one) and hours(other):
        assert RELATIONS["overlaps"](one, other) == bool(hours(one) & hours(other))
        assert RELATIONS["during"](one, other) == (hours(one) <= hours(other))
        assert RELATIONS["lt"](one, other) == (max(hours(one)) < min(hours(other)))
        assert RELATIONS["gt"](one, other) == (min(hours(one)) > max(hours(other)))
        assert RELATIONS["ge"](one, other) == (
            min(hours(one)) >= min(hours(other)) and max(hours(one)) >= max(hours(other))
        )
    assert RELATIONS["ne"](one, other) != RELATIONS["eq"](one, other)
    assert RELATIONS["le"](one, other) == RELATIONS["ge"](other, one)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "coordinates", "x"]), inner),
    max_leaves=6,
)
_ANY = st.one_of(
    *VALUES.values(),
    st.floats(),
    st.integers(),
    _JSON,
    st.builds(
        lambda kind, at: {"type": kind, "coordinates": at}, st.sampled_from(["Point", "Polygon", "Feature"]), _JSON
    ),
    st.lists(st.one_of(*VALUES.values()), max_size=3),
)


@given(conditions(), st.lists(_ANY, min_size=1, max_size=5))
def test_no_value_breaks_a_filter(tree: Expression, held: list[Value]) -> None:
    """Whatever the paths lead to, a filter says yes or no, and the same each time."""

    def anything(entity: int, steps: Steps) -> Value:
        return held[(entity + len(str(steps))) % len(held)]

    keep = compile_filter(tree, anything, NOW)
    answers = [keep(n) for n in range(len(held))]

    assert {type(each) for each in answers} == {bool}
    assert answers == [keep(n) for n in range(len(held))]


@given(st.lists(_ANY, max_size=8), st.randoms(use_true_random=False))
def test_any_values_have_one_order(held: list[Value], chance: random.Random) -> None:
    """However values come, they are sorted alike, and nulls are last."""
    shuffled = chance.sample(held, len(held))

    keys = sorted(map(sort_key, held))
    assert keys == sorted(map(sort_key, shuffled))
    assert all(key > sort_key(value) for key in (sort_key(None),) for value in held if value is not None)


def test_values_are_ordered_as_they_compare() -> None:
    """Numbers exactly across types, times with intervals, text by code point."""
    ascending = [
        *(False, True),
        *(-math.inf, -1, 0.5, 2**53, 2.0**53 + 2, 2**70, math.inf),
        *("", "A", "a", "ä"),
        *(at(1), Interval(at(1), at(2)), at(2)),
        *(date(2026, 1, 1), time(1), timedelta(1)),
    ]

    assert all(below < above for below, above in pairwise(map(sort_key, ascending)))


def test_entities_are_ordered_by_several_keys() -> None:
    """The first key counts most; nulls are last upwards and first downwards; what is alike stays in order."""
    entities: list[Entity] = [
        {"n": 1, "Thing": {"name": "b"}},
        {"n": None, "Thing": {"name": "a"}},
        {"n": 2, "Thing": {"name": "B"}},
        {"n": 3, "Thing": {"name": "a"}},
    ]

    def numbers(orderby: str) -> list[int | None]:
        orders = parse_query([("$orderby", orderby)]).orderby
        return [entity["n"] for entity in ordered(entities, orders, resolve, NOW)]

    assert numbers("n") == [1, 2, 3, None]
    assert numbers("n desc") == [None, 3, 2, 1]
    assert numbers("Thing/name") == [2, None, 3, 1]
    assert numbers("tolower(Thing/name) desc,n") == [1, 2, 3, None]
    assert numbers("tolower(Thing/name) Desc,n DESC") == [2, 1, None, 3]
    assert numbers("n mod 2") == [2, 1, 3, None]


def test_what_depends_on_no_entity_is_reckoned_once() -> None:
    """A path is asked for each entity; now and its sums are not paths, and need none."""
    asked: list[Steps] = []

    def noting(_: object, steps: Steps) -> Value:
        asked.append(steps)
        return NOW

    keep: Callable[[object], bool] = compile_filter(
        parse_filter("resultTime gt now() sub duration'PT1H' and now() gt 2026-01-01T00:00:00Z"), noting, NOW
    )

    assert asked == []
    assert keep(None)
    assert asked == [("resultTime",)]


def test_the_ends_of_times() -> None:
    """A time is an interval that ends when it starts; nothing else has ends."""
    assert ends_of(NOW) == (NOW, NOW)
    assert ends_of(parse_interval("2026-06-10T12:00:00Z/2026-06-10T13:00:00Z")) == (
        NOW,
        parse_time("2026-06-10T13:00Z"),
    )
    assert [ends_of(value) for value in (None, NOW.date(), "2026-06-10T12:00:00Z", 5, shapely.Point(1, 2))] == [
        None
    ] * 5
