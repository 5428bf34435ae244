"""Remarks and areas as the API reads them: what belongs to which station when, and which time is not to be believed."""

import itertools
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.areas import Area, read_areas
from footfall_api.database import snapshot
from footfall_api.remarks import FOREVER_S, REACH_S, Remark, exclusions_of, read_exclusions, read_remarks
from footfall_api.stations import Installation, Station, read_stations
from footfall_testing.city import Api, City

HOUR = 3600


def at(hour: int) -> datetime:
    """An hour of the first of June."""
    return datetime(2026, 6, 1, hour, tzinfo=UTC)


def s(hour: int) -> int:
    """The same in UTC unix seconds."""
    return int(at(hour).timestamp())


@pytest.fixture
def town(city: City) -> City:
    """Two stations of which a has a sensor of its own; `moved` hung at a until 12:00 and hangs at b since.

    The area both has both, only-b has b, empty none.
    """
    keys = {name: city.sensor(name) for name in ("own", "moved", "elsewhere")}
    for station in "ab":
        city.station(station)
    city.install(keys["own"], "a")
    city.install(keys["moved"], "a", until=at(12))
    city.install(keys["moved"], "b", since=at(12), role="reference")
    shape = '{"type": "Polygon", "coordinates": [[[11, 50], [12, 50], [12, 51], [11, 50]]]}'
    for area in ("both", "empty", "only-b"):
        city.connection.execute("INSERT INTO area VALUES (%s, %s, 'Quartier', %s)", [area, area.title(), shape])
    city.connection.execute("INSERT INTO station_area VALUES ('a', 'both'), ('b', 'both'), ('b', 'only-b')")
    return city


def remark(city: City, kind: str, name: str, starts: datetime, ends: datetime | None, *, excludes: bool = True) -> int:
    """Note a remark on a station, sensor or area; its number."""
    key = "(SELECT key FROM sensor WHERE id = %s)" if kind == "sensor" else "%s"
    row = city.connection.execute(
        f"INSERT INTO remark ({kind}, starts, ends, kind, text, excludes) "
        f"VALUES ({key}, %s, %s, 'works', 'Gerüst', %s) RETURNING id",
        [name, starts, ends, excludes],
    ).fetchone()
    assert row is not None
    return int(row[0])


def read(api: Api, names: str, start_s: int, end_s: int) -> tuple[list[Remark], list[Station]]:
    """The remarks at the stations with these letters, and the stations."""

    async def ask() -> tuple[list[Remark], list[Station]]:
        async with snapshot(api.app.state.pool) as connection:
            stations = [station for station in await read_stations(connection) if station.id in names]
            return await read_remarks(connection, stations, await read_areas(connection), start_s, end_s), stations

    found: tuple[list[Remark], list[Station]] = api.run(ask())
    return found


def numbers(api: Api, names: str, start: int = 0, end: int = 23) -> dict[int, str]:
    """By number of the remark the stations it concerns."""
    return {found.id: "".join(found.stations) for found in read(api, names, s(start), s(end))[0]}


def test_areas_are_read_with_their_stations(town: City, api: Api) -> None:
    """All by id or the one named, as GeoJSON too."""

    async def ask(*which: str) -> list[Area]:
        async with snapshot(api.app.state.pool) as connection:
            return await read_areas(connection, *which)

    found = api.run(ask())
    assert [(area.id, area.name, area.kind, area.stations) for area in found] == [
        ("both", "Both", "Quartier", ("a", "b")),
        ("empty", "Empty", "Quartier", ()),
        ("only-b", "Only-B", "Quartier", ("b",)),
    ]
    assert api.run(ask("only-b")) == found[2:]
    assert api.run(ask("nowhere")) == []
    feature = found[0].as_feature()
    assert feature["geometry"]["type"] == "Polygon"
    assert feature["properties"] == {"name": "Both", "kind": "Quartier", "stations": ["a", "b"]}


def test_a_remark_belongs_to_the_stations_it_concerns(town: City, api: Api) -> None:
    """Those of a station, of a sensor while it hangs there, of areas it lies in; no other one's.

    moved   at a   ───────12:00───────  at b
            [ 3: 10 to 12 ]
                   [ 4:  11 to 13 ]
                          [ 5: 12 to 14 ]
    """
    first = remark(town, "station", "a", at(10), at(14))
    second = remark(town, "sensor", "own", at(10), at(14))
    third = remark(town, "sensor", "moved", at(10), at(12))
    fourth = remark(town, "sensor", "moved", at(11), at(13))
    fifth = remark(town, "sensor", "moved", at(12), at(14))
    sixth = remark(town, "area", "both", at(9), at(14))
    seventh = remark(town, "area", "only-b", at(9), at(14))
    remark(town, "area", "empty", at(9), at(14))
    remark(town, "sensor", "elsewhere", at(9), at(14))

    assert numbers(api, "a") == {sixth: "a", first: "a", second: "a", third: "a", fourth: "a"}
    assert numbers(api, "b") == {sixth: "b", seventh: "b", fourth: "b", fifth: "b"}
    both = numbers(api, "ab")
    assert list(both) == [sixth, seventh, first, second, third, fourth, fifth]
    assert (both[sixth], both[fourth], both[fifth]) == ("ab", "ab", "b")
    # What is asked about counts too: at 12 the sensor had left a.
    assert numbers(api, "a", 12) == {sixth: "a", first: "a", second: "a"}
    assert numbers(api, "b", 0, 12) == {sixth: "b", seventh: "b"}
    assert numbers(api, "") == {}


def test_a_remark_is_read_if_its_time_meets_the_time_asked_for(town: City, api: Api) -> None:
    """Half-open on both sides; an open one from its beginning on; one that was withdrawn never."""
    found = remark(town, "station", "a", at(10), at(12))
    still = remark(town, "station", "a", at(14), None, excludes=False)
    gone = remark(town, "station", "a", at(0), None)
    town.connection.execute("UPDATE remark SET withdrawn = now(), withdrawn_why = 'x' WHERE id = %s", [gone])

    assert list(numbers(api, "a", 11, 12)) == [found]
    assert list(numbers(api, "a", 12, 14)) == list(numbers(api, "a", 9, 10)) == []
    assert list(numbers(api, "a", 13, 15)) == list(numbers(api, "a", 20, 21)) == [still]
    (one,), _ = read(api, "a", s(13), s(15))
    assert one == Remark(still, "a", None, None, s(14), None, "works", "Gerüst", excludes=False, stations=("a",))


def test_excluded_time_is_that_of_each_sensor_at_its_station(town: City, api: Api) -> None:
    """Merged where it touches, cut to the installation, references too; what does not exclude leaves nothing out."""
    key = {name: key for key, name in town.connection.execute("SELECT key, id FROM sensor").fetchall()}
    remark(town, "station", "a", at(10), at(11))
    remark(town, "sensor", "own", at(11), at(12))
    remark(town, "area", "both", at(11), at(14))
    remark(town, "sensor", "own", at(20), None)
    remark(town, "station", "b", at(17), at(18))
    remark(town, "station", "b", at(19), at(20), excludes=False)

    found = exclusions_of(*read(api, "ab", s(0), s(23)))

    assert found == {
        ("a", key["own"]): [(s(10), s(14)), (s(20), FOREVER_S)],
        ("a", key["moved"]): [(s(10), s(12))],
        ("b", key["moved"]): [(s(12), s(14)), (s(17), s(18))],
    }
    assert exclusions_of(*read(api, "b", s(0), s(23))) == {("b", key["moved"]): [(s(12), s(14)), (s(17), s(18))]}
    assert datetime.fromtimestamp(FOREVER_S, UTC) == datetime(2100, 1, 1, tzinfo=UTC)


def test_excluded_time_around_a_question_matters_too(town: City, api: Api) -> None:
    """A span reaches 31 days at most into what is asked for, from before and from after; farther away nothing does."""
    own = town.connection.execute("SELECT key FROM sensor WHERE id = 'own'").fetchall()[0][0]
    remark(town, "sensor", "own", at(10), at(11))

    async def ask(start_s: int, end_s: int) -> Any:
        async with snapshot(api.app.state.pool) as connection:
            stations = [station for station in await read_stations(connection) if station.id == "a"]
            return await read_exclusions(connection, stations, await read_areas(connection), start_s, end_s)

    known = {("a", own): [(s(10), s(11))]}
    for first in (s(11) + REACH_S - 60, s(10) - REACH_S - HOUR + 60):
        assert api.run(ask(first, first + HOUR)) == known
    for first in (s(11) + REACH_S, s(10) - REACH_S - HOUR):
        assert api.run(ask(first, first + HOUR)) == {}


_STRETCHES = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 5) | st.none(), st.booleans(), st.sampled_from(["s", "x", None])),
    max_size=5,
)


@given(_STRETCHES, st.tuples(st.integers(0, 8), st.integers(1, 5)), st.integers(0, 3))
def test_a_minute_is_excluded_exactly_if_a_remark_says_so(
    stretches: list[tuple[int, int | None, bool, str | None]], first: tuple[int, int], pause: int
) -> None:
    """Minute by minute, for a sensor that hangs at a station twice; the stretches neither touch nor overlap."""
    begin, length = first
    stays = [(begin, begin + length), (begin + length + pause, None)]
    installations = tuple(Installation(1, "s", "part", (0,), since * 60, u and u * 60) for since, u in stays)
    station = Station("a", "A", ZoneInfo("UTC"), 0, 0, None, (), installations)
    remarks = [
        Remark(n, place, sensor, None, since * 60, length and (since + length) * 60, "note", "x", excludes, ("a",))
        for n, (since, length, excludes, sensor) in enumerate(stretches)
        for place in [None if sensor else "a"]
    ]

    found: Any = exclusions_of(remarks, [station]).get(("a", 1), [])

    for minute in range(25):
        said = any(
            excludes and sensor != "x" and since <= minute and (length_ is None or minute < since + length_)
            for since, length_, excludes, sensor in stretches
        )
        there = any(since <= minute and (until is None or minute < until) for since, until in stays)
        assert any(a <= minute * 60 < b for a, b in found) == (said and there), minute
    assert all(a < b for a, b in found)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(found))
