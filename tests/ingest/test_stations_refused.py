"""A stations file that is refused changes nothing, whatever is wrong with it, and is refused in our words."""

import copy
import json
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from footfall_ingest.stations import Report, apply, stored
from footfall_ingest.stations_file import Station, StationsError, parse, read

JENA = Path(__file__).parents[2] / "deploy" / "jena" / "stations.geojson"
DOCUMENT: dict[str, Any] = json.loads(JENA.read_text(encoding="utf-8"))

TABLES = ("station", "direction_label", "installation", "sensor")


def versions(dsn: str) -> list[object]:
    """Every row of what a stations file writes, with the transaction that wrote it."""
    with psycopg.connect(dsn) as connection:
        return [connection.execute(f"SELECT xmin::text, t FROM {table} AS t ORDER BY t").fetchall() for table in TABLES]


def save(path: Path, document: object) -> Path:
    """Write a document."""
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timezone", "Europe/Jena"),
        ("sensors", [{"id": "wagnergasse-1", "from": "2020-01-01"}]),
        ("sensors", [{"id": "markt-1", "from": "2021-01-01", "to": "2020-01-01"}]),
        ("directions", [{"from": "2020-01-01", "in": "hin", "out": "hin"}]),
        ("line", [[0, 0], [1, 1]]),
    ],
    ids=["zone", "overlap", "interval", "labels", "line"],
)
def test_one_fault_keeps_the_whole_file_out(database: str, tmp_path: Path, key: str, value: object) -> None:
    """Where one station is wrong the changes of the right ones are not made either; an empty database stays so."""
    document = copy.deepcopy(DOCUMENT)
    document["features"][0]["properties"][key] = value
    document["features"][1]["properties"]["name"] = "Johannisgasse"
    path = save(tmp_path / "stations.geojson", document)
    empty = versions(database)

    with pytest.raises(StationsError):
        apply(database, path)
    assert versions(database) == empty

    apply(database, JENA)
    before = versions(database)
    with pytest.raises(StationsError):
        apply(database, path)
    assert versions(database) == before


def test_a_failure_of_the_database_in_the_middle_changes_nothing(database: str, tmp_path: Path) -> None:
    """The old installations are not gone if the new ones cannot be written; tried again it works."""
    apply(database, JENA)
    before = versions(database)
    document = copy.deepcopy(DOCUMENT)
    for feature in document["features"]:
        feature["properties"]["sensors"][0]["from"] = "2021-01-01"
    path = save(tmp_path / "stations.geojson", document)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE installation ADD CONSTRAINT no_more CHECK (valid_from < '2020-06-01')")

        with pytest.raises(psycopg.errors.CheckViolation):
            apply(database, path)

        assert versions(database) == before
        connection.execute("ALTER TABLE installation DROP CONSTRAINT no_more")
    assert set(apply(database, path).changed.values()) == {("sensors",)}


def test_two_may_apply_at_the_same_time(database: str) -> None:
    """One creates the stations, the others find them unchanged; nobody fails."""
    reports: list[Report] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        reports.append(apply(database, JENA))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(len(report.created) for report in reports) == [0, 0, 0, 6]
    assert sorted(len(report.unchanged) for report in reports) == [0, 6, 6, 6]


def test_what_is_stored_is_what_was_read(any_database: str) -> None:
    """The stations of Jena come back from the database as the file says them, in every property."""
    apply(any_database, JENA)

    with psycopg.connect(any_database) as connection:
        found = stored(connection)
    assert found == {station.id: station for station in read(JENA)}


def _places(part: object, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value in a document."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(part, dict):
        inner = list(part.items())
    elif isinstance(part, list):
        inner = list(enumerate(part))
    return [way, *(place for key, value in inner for place in _places(value, (*way, key)))]


TWO = {"type": "FeatureCollection", "features": DOCUMENT["features"][:2]}
anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.sampled_from(["2020-01-01", "9999-12-31", "0001-01-01", "24:00", "Europe", "", "../UTC", "markt", "\0"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(_places(TWO)), value=anything)
@example(place=("features", 0, "geometry", "coordinates", 0), value=10**400)
@example(place=("features", 0, "properties", "timezone"), value="Europe")
@example(place=("features", 0, "properties", "timezone"), value="a" * 300)
@example(place=("features", 0, "properties", "sensors", 0, "from"), value="0001-01-01")
@example(place=("features", 0, "properties", "sensors", 0, "from"), value="9999-12-31T23:59-01:00")
@example(place=("features", 0, "properties", "sensors", 0, "role"), value={})
def test_whatever_stands_in_a_file_is_read_or_refused(place: tuple[str | int, ...], value: object) -> None:
    """Any JSON at any place gives stations, or an error whose every sentence says something; never another error."""
    document: Any = copy.deepcopy(TWO)
    if place:
        target = document
        for step in place[:-1]:
            target = target[step]
        target[place[-1]] = value
    else:
        document = value

    faults: tuple[str, ...]
    try:
        found = parse(document)
    except StationsError as error:
        found, faults = (), error.faults
    else:
        faults = ("read: all of it",)
    assert faults
    assert all(": " in fault for fault in faults)
    assert all(isinstance(station, Station) for station in found)
