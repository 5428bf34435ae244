"""Any question has the answer that whoever reads all entities one by one would give.

The engine finds places by arithmetic and bisection, and judges parts of a condition without reading anything. Here all
Observations are made into a plain list, which is filtered, sorted and cut, as the entities of all other sets are.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_api.sta.engine import Session
from footfall_api.sta.evaluate import compile_filter, ordered
from footfall_api.sta.http import source_of
from footfall_api.sta.language import Query, parse_query
from footfall_api.sta.model import Entity
from footfall_testing.city import Api
from footfall_testing.sta import ask, ids


class Plain:
    """All Observations of a city in a list."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.session: Session = api.run(self._session())
        self.observations = [one for stream in sorted(self.session.observations) for one in self._of(stream)]

    async def _session(self) -> Session:
        source = source_of(self.api.app.state)
        session = Session(source, await source.city(), "", self.api.now, left_to_read=10**9)
        await session._read_all()
        return session

    def _of(self, stream: int) -> list[Entity]:
        return self.session.observations[stream]

    def page(self, found: list[Entity], query: Query) -> tuple[list[int], int]:
        """The ids on a page, and how many there are in all."""
        session = self.session
        if query.filter is not None:
            holds = compile_filter(query.filter, session.resolve, session.now)
            found = [one for one in found if holds(one)]
        found = ordered(sorted(found, key=lambda one: one.id), query.orderby, session.resolve, session.now)
        skip = query.skip or 0
        return [one.id for one in found[skip : skip + (100 if query.top is None else query.top)]], len(found)


@pytest.fixture(scope="module", autouse=True)
def _without_bounds() -> Iterator[None]:
    """Here everything may be read."""
    with pytest.MonkeyPatch.context() as patch:
        roomy = partial(Session, left_to_read=10**9)
        patch.setattr("footfall_api.sta.http.Session", roomy)
        yield


@pytest.fixture(scope="module")
def plain(still: Api) -> Plain:
    """The list beside the API."""
    return Plain(still)


TIMES = st.sampled_from([
    "2026-06-01T06:00:00Z", "2026-06-02T08:00:00%2B02:00", "2026-06-03T10:07:00Z", "2026-06-05T22:00:00Z",
    "2026-06-10T12:00:00Z", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "now()", "now() sub duration'PT3H'",
]).map(lambda text: text.replace("%2B", "+"))  # fmt: skip
COMPARISONS = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"])
STREAMS = st.sampled_from([16, 17, 18, 19, 22, 25, 32, 34, 35, 48, 64, 1])


def one_of(*texts: str) -> st.SearchStrategy[str]:
    """One of some texts."""
    return st.sampled_from(texts)


PARTS = st.one_of(
    st.builds("phenomenonTime {} {}".format, COMPARISONS, TIMES),
    st.builds("{} {} resultTime".format, TIMES, COMPARISONS),
    st.builds("phenomenonTime/{} {} {}".format, one_of("start", "end"), COMPARISONS, TIMES),
    st.builds("{}(phenomenonTime, 2026-06-02T08:00:00Z/2026-06-02T11:00:00Z)".format,
              one_of("during", "overlaps", "before", "after", "meets", "starts", "finishes")),
    st.builds("phenomenonTime {} 2026-06-02T08:00:00Z/2026-06-02T08:15:00Z".format, COMPARISONS),
    st.builds("Datastream/id {} {}".format, COMPARISONS, STREAMS),
    st.builds("Datastream/@iot.id in ({},{})".format, STREAMS, STREAMS),
    st.builds("Datastream/properties/resolution eq '{}'".format, one_of("15min", "1h", "1d", "1w")),
    st.builds("Datastream/Thing/name {} '{}'".format, COMPARISONS, one_of("Markt", "Kirche", "Nie")),
    st.builds("substringof('{}', Datastream/name)".format, one_of("Richtung", "Stunde", "xyz")),
    st.builds("st_within(FeatureOfInterest/feature, geography'POLYGON(({0} 50,12 50,12 51,{0} 51,{0} 50))')".format,
              one_of("11", "11.9")),
    st.builds("result {} {}".format, COMPARISONS, st.integers(-1, 500)),
    st.builds("result {} null".format, one_of("eq", "ne")),
    st.builds("result mod 2 eq {}".format, st.integers(0, 1)),
    st.builds("parameters/state eq '{}'".format, one_of("measured", "partial", "missing")),
    st.builds("parameters/coverage {} {}".format, COMPARISONS, one_of("1", "0.5", "0")),
    st.builds("hour(phenomenonTime) {} {}".format, COMPARISONS, st.integers(0, 23)),
    st.builds("id {} {}".format, COMPARISONS, one_of("1103413504", "1103413519", "2177155333", "5")),
    st.builds("id in ({},{})".format, one_of("1103413504", "7"), one_of("1103413519", "1170522384")),
)  # fmt: skip
FILTERS = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=4,
)
FILTERS |= st.lists(PARTS, min_size=2, max_size=4).map(" and ".join)
KEYS = st.one_of(
    one_of("phenomenonTime", "resultTime", "phenomenonTime/end", "phenomenonTime/start", "id", "@iot.id"),
    one_of(
        "result", "parameters/coverage", "Datastream/id", "Datastream/Thing/name", "result div 7", "hour(resultTime)"
    ),
)
ORDERS = st.lists(st.builds("{}{}".format, KEYS, one_of("", " asc", " desc", " DESC")), min_size=1, max_size=3)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """Options, each there or not."""
    found: dict[str, Any] = {}
    if draw(st.integers(0, 4)):
        found["filter"] = draw(FILTERS)
    if draw(st.booleans()):
        found["orderby"] = ",".join(draw(ORDERS))
    if draw(st.booleans()):
        found["top"] = draw(st.one_of(st.integers(0, 12), st.integers(90, 1200)))
    if draw(st.booleans()):
        found["skip"] = draw(st.one_of(st.integers(0, 5), st.integers(0, 5000)))
    if draw(st.booleans()):
        found["count"] = "true"
    return found


def check(plain: Plain, path: str, found: list[Entity], asked: dict[str, Any]) -> None:
    """The API says of a set what the plain list says."""
    query = parse_query([(f"${name}", str(value)) for name, value in asked.items()], "Observations")
    expected, total = plain.page(found, query)
    body = ask(plain.api, path, **asked)
    assert ids(body["value"]) == expected
    assert body.get("@iot.count") == (total if query.count else None)
    end = (query.skip or 0) + len(expected)
    assert ("@iot.nextLink" in body) == (end < total and query.top != 0 and bool(expected))
    if "@iot.nextLink" in body:
        options = dict(parse_qsl(urlsplit(body["@iot.nextLink"]).query))
        assert options.pop("$skip") == str(end)
        given = {f"${name}": str(value) for name, value in asked.items() if name != "skip"}
        assert options == given


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("key", ["phenomenonTime", "phenomenonTime/start", "phenomenonTime/end", "resultTime", "id"])
def test_every_order_that_is_arithmetic(plain: Plain, key: str, direction: str) -> None:
    """Places at the beginning, in the middle among equal times, and at the end."""
    for skip in (0, 1, 7, 500, 2003, 3500, 10_000):
        asked = {"orderby": f"{key} {direction}", "skip": skip, "top": 9}
        check(plain, "/Observations", plain.observations, asked)


@pytest.mark.parametrize("function", ["during", "overlaps", "before", "after", "meets", "starts", "finishes"])
def test_every_function_of_intervals(plain: Plain, function: str) -> None:
    """Its bounds are where its intervals are."""
    for interval in ("2026-06-02T08:00:00Z/2026-06-02T08:15:00Z", "2026-06-02T08:00:00Z/2026-06-02T11:00:00Z"):
        asked = {"filter": f"{function}(phenomenonTime, {interval})", "count": "true", "top": 20}
        check(plain, "/Observations", plain.observations, asked)


@pytest.mark.parametrize("op", ["eq", "ne", "gt", "ge", "lt", "le"])
@pytest.mark.parametrize("path", ["phenomenonTime", "phenomenonTime/start", "phenomenonTime/end", "resultTime"])
def test_every_comparison_of_time(plain: Plain, path: str, op: str) -> None:
    """On an edge and beside it, of a time and of an interval, on either side."""
    for value in ("2026-06-02T08:00:00Z", "2026-06-02T08:07:00Z", "2026-06-02T08:00:00Z/2026-06-02T09:00:00Z"):
        for filter_ in (f"{path} {op} {value}", f"{value} {op} {path}"):
            asked = {"filter": filter_, "count": "true", "top": 5}
            check(plain, "/Datastreams(16)/Observations", plain.session.observations[16], asked)


@pytest.mark.parametrize("piece", [1, 37, 1000])
@pytest.mark.parametrize(
    "asked",
    [
        {"filter": "result ge 0", "top": 10},
        {"filter": "result ge 0", "top": 36, "skip": 1},
        {"filter": "result mod 2 eq 1", "orderby": "phenomenonTime desc", "top": 5},
        {"filter": "result mod 2 eq 1", "orderby": "resultTime", "top": 5, "skip": 31},
        {"filter": "result eq null", "orderby": "id desc", "top": 7},
    ],
)
def test_in_pieces_of_any_size(
    plain: Plain, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], piece: int
) -> None:
    """The page ends where it ends, however much is read at a time."""
    monkeypatch.setattr("footfall_api.sta.engine._PIECE", piece)
    monkeypatch.setattr("footfall_api.sta.engine._PLACE", 0)
    check(plain, "/Datastreams(19)/Observations", plain.session.observations[19], asked)
    check(plain, "/FeaturesOfInterest(1)/Observations", _of_feature(plain, 1), asked)


def _of_feature(plain: Plain, feature: int) -> list[Entity]:
    return [one for one in plain.observations if one.links["FeatureOfInterest"] == [feature]]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=questions())
def test_all_observations(plain: Plain, asked: dict[str, Any]) -> None:
    """Asked of the whole set."""
    check(plain, "/Observations", plain.observations, asked)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=questions(), stream=STREAMS.filter(lambda stream: stream != 1))
def test_those_of_a_datastream(plain: Plain, asked: dict[str, Any], stream: int) -> None:
    """Asked by the link."""
    check(plain, f"/Datastreams({stream})/Observations", plain.session.observations[stream], asked)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=questions(), feature=st.integers(1, 4))
def test_those_of_a_feature(plain: Plain, asked: dict[str, Any], feature: int) -> None:
    """Of a station, all its Datastreams together."""
    check(plain, f"/FeaturesOfInterest({feature})/Observations", _of_feature(plain, feature), asked)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=questions())
def test_those_that_are_expanded(plain: Plain, asked: dict[str, Any]) -> None:
    """In parentheses, of many Datastreams at once, each is what its own address says."""
    options = ";".join(f"${name}={value}" for name, value in asked.items())
    wanted = "id in (16,19,22,25,35,48,64)"
    for one in ask(plain.api, "/Datastreams", filter=wanted, expand=f"Observations({options})")["value"]:
        own = ask(plain.api, f"/Datastreams({one['@iot.id']})/Observations", **asked)
        assert one["Observations"] == own["value"]
        assert one.get("Observations@iot.count") == own.get("@iot.count")
        assert ("Observations@iot.nextLink" in one) == ("@iot.nextLink" in own)
