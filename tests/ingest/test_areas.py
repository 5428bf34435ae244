"""Areas from a file: what is right goes in with the stations that lie in it, what is wrong is said with its place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from footfall_ingest import areas, stations
from footfall_ingest.__main__ import main
from footfall_ingest.areas import Report
from footfall_ingest.areas_file import AreasError, parse
from footfall_ingest.stations_file import Station

JENA = Path(__file__).parents[2] / "deploy" / "jena"

Document = dict[str, Any]
Connection = psycopg.Connection[Any]

SQUARE = [[11.0, 50.0], [12.0, 50.0], [12.0, 51.0], [11.0, 51.0], [11.0, 50.0]]
HOLE = [[11.4, 50.4], [11.6, 50.4], [11.6, 50.6], [11.4, 50.6], [11.4, 50.4]]
EAST = [[13.0, 50.0], [14.0, 50.0], [14.0, 51.0], [13.0, 51.0], [13.0, 50.0]]


def area(name: str, *rings: Any, kind: str = "Quartier") -> Document:
    """A feature with one polygon."""
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": {"name": name.capitalize(), "kind": kind},
    }


def both(name: str, *polygons: Any) -> Document:
    """A feature with several polygons."""
    return {**area(name), "geometry": {"type": "MultiPolygon", "coordinates": list(polygons)}}


def collection(*features: Any) -> Document:
    """A document of features."""
    return {"type": "FeatureCollection", "features": list(features)}


def station(name: str, longitude: float, latitude: float) -> Station:
    """A station without anything but a position."""
    return Station(name, name, "Europe/Berlin", (longitude, latitude), None, (), ())


@pytest.fixture
def connection(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a database on which the commands work too, with stations inside, on the edge, and outside."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    with psycopg.connect(database, autocommit=True) as connection:
        where = {"inside": (11.2, 50.2), "edge": (11.5, 50.0), "corner": (12.0, 51.0), "hole": (11.5, 50.5)}
        where |= {"rim": (11.4, 50.5), "outside": (12.1, 50.5), "east": (13.5, 50.5)}
        stations.apply_stations(connection, [station(name, *position) for name, position in where.items()])
        yield connection


def members(connection: Connection) -> dict[str, list[str]]:
    """The stations stored for each area that has any."""
    query = "SELECT area, array_agg(station ORDER BY station) FROM station_area GROUP BY area"
    return dict(connection.execute(query).fetchall())


def test_stations_lie_in_the_areas_that_cover_them(connection: Connection) -> None:
    """The edge and a hole's rim belong, the hole does not; several areas may share a station, and parts make one."""
    wanted = parse(collection(area("ring", SQUARE, HOLE), area("square", SQUARE), both("two", [EAST], [SQUARE])))

    report = areas.apply_areas(connection, wanted)

    ring = ["corner", "edge", "inside", "rim"]
    square = sorted([*ring, "hole"])
    assert members(connection) == {"ring": ring, "square": square, "two": sorted([*square, "east"])}
    assert report.created == ("ring", "square", "two")
    assert {name: list(found) for name, found in report.stations.items()} == members(connection)
    assert areas.stored(connection) == {found.id: found for found in wanted}


def test_applying_again_changes_nothing_and_a_change_is_named(connection: Connection) -> None:
    """Down to the row versions; what differs is written and named, an area the file lacks is left and named."""
    areas.apply_areas(connection, parse(collection(area("a", SQUARE), area("b", EAST), area("c", EAST))))
    query = "SELECT xmin::text FROM area UNION ALL SELECT xmin::text FROM station_area"
    before = connection.execute(query).fetchall()

    again = areas.apply_areas(connection, parse(collection(area("a", SQUARE), area("b", EAST), area("c", EAST))))

    assert again.unchanged == ("a", "b", "c")
    assert connection.execute(query).fetchall() == before

    report = areas.apply_areas(connection, parse(collection(area("b", SQUARE, kind="Ortsteil"), area("c", EAST))))

    assert report == Report(
        created=(),
        changed={"b": ("kind", "geometry")},
        unchanged=("c",),
        absent=("a",),
        stations={name: tuple(found) for name, found in members(connection).items()},
    )
    assert members(connection)["b"] == members(connection)["a"]
    assert [line.split()[:2] for line in report.lines()][:3] == [["changed", "b:"], ["unchanged", "c"], ["left", "a:"]]
    assert report.lines()[-1] == "stations   c: east"


def test_a_station_that_moves_changes_areas(connection: Connection) -> None:
    """Applying stations works out anew where they lie, also for areas that were there before."""
    areas.apply_areas(connection, parse(collection(area("square", SQUARE), area("east", EAST))))

    stations.apply_stations(connection, [station("inside", 13.1, 50.1), station("new", 11.1, 50.1)])

    assert members(connection) == {"square": ["corner", "edge", "hole", "new", "rim"], "east": ["east", "inside"]}


def test_the_example_of_jena_goes_in(
    database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command; each of the six stations lies in the inner city and in one of the two quarters."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    statuses = [main([what, "apply", str(JENA / f"{what}.geojson")]) for what in ("stations", "areas")]

    said = capsys.readouterr().out.splitlines()
    with psycopg.connect(database) as connection:
        found = members(connection)
        kinds = dict(connection.execute("SELECT id, kind FROM area").fetchall())
        number = connection.execute("SELECT count(*) FROM station").fetchone()

    assert statuses == [0, 0]
    assert number == (len(found["innenstadt"]),) == (6,)
    assert sorted(found["um-den-markt"] + found["johannisviertel"]) == found["innenstadt"]
    assert kinds == {"innenstadt": "Sozialraum", "um-den-markt": "Quartier", "johannisviertel": "Quartier"}
    assert "created    innenstadt" in said
    assert "stations   johannisviertel: johannisstrasse, wagnergasse" in said
    assert "not official" in json.loads((JENA / "areas.geojson").read_text("utf-8"))["name"]


BOW = [[11.0, 50.0], [12.0, 51.0], [12.0, 50.0], [11.0, 51.0], [11.0, 50.0]]
TOUCHING = [[11.0, 50.0], [12.0, 50.0], [12.0, 51.0], [11.5, 50.0], [11.0, 51.0], [11.0, 50.0]]
LINE = [[11.0, 50.0], [12.0, 50.0], [11.0, 50.0], [11.0, 50.0]]
SWAPPED = [[latitude, longitude] for longitude, latitude in SQUARE]

FAULTS = {
    "bow": (area("a", BOW), r"area a: geometry.coordinates: its edges cross or lie on each other, at \[11.5, 50.5\]"),
    "touching": (area("a", TOUCHING), r"area a: geometry.coordinates: a ring touches itself.*, at \[11.5, 50\]"),
    "hole-outside": (area("a", SQUARE, EAST), "area a: .*a hole lies outside of what it is a hole in, at"),
    "hole-in-hole": (
        area("a", [[10.0, 49.0], [15.0, 49.0], [15.0, 52.0], [10.0, 52.0], [10.0, 49.0]], SQUARE, HOLE),
        "area a: .*a hole lies in another hole",
    ),
    "nested": (both("a", [SQUARE], [HOLE]), "area a: .*a part lies inside another one"),
    "flat": (area("a", LINE), "area a: .*a ring has fewer than three different positions"),
    "open": (area("a", SQUARE[:-1]), r"area a: geometry.coordinates\[0\]: is not closed: .*\[11.0, 50.0\] and ends"),
    "short": (area("a", SQUARE[:3]), r"area a: geometry.coordinates\[0\]: must be an array of four positions or more"),
    "no-position": (
        area("a", [[11.0], *SQUARE]),
        r"area a: geometry.coordinates\[0\]\[0\]: \[11.0\] is no position; right is \[longitude, latitude\]",
    ),
    "part": (
        both("a", [SQUARE], [EAST[:-1]]),
        r"area a: geometry.coordinates\[1\]\[0\]: is not closed",
    ),
    "no-rings": (area("a"), "area a: geometry.coordinates: must be an array of rings"),
    "no-parts": (both("a"), "area a: geometry.coordinates: must be an array of polygons"),
    "range": (area("a", [[11.0, 99.0], *SQUARE]), r"coordinates\[0\]\[0\]: .* is out of range.*swapped"),
    "swapped": (area("a", SWAPPED), r"area a: geometry.coordinates: \[50.0, 11.0\] looks swapped: longitude comes"),
    "point": (
        {**area("a"), "geometry": {"type": "Point", "coordinates": [11.0, 50.0]}},
        'area a: geometry: must be {"type": "Polygon" or "MultiPolygon"',
    ),
    "no-geometry": ({**area("a"), "geometry": None}, "area a: geometry: must be"),
    "name": ({**area("a", SQUARE), "properties": {"kind": "x"}}, "area a: properties.name: must be a text"),
    "kind": ({**area("a", SQUARE), "properties": {"name": "x"}}, r"area a: properties.kind .*Quartier.* must be a"),
    "more": (
        {**area("a", SQUARE), "properties": {"name": "x", "kind": "y", "fid": 3}},
        "area a: properties.fid: unknown; known are name, kind",
    ),
    "properties": ({**area("a", SQUARE), "properties": None}, "area a: properties: must be an object with name and"),
    "id": (area("Süd", SQUARE), r"features\[0\]: id: .* is no id"),
    "feature": ([], r"features\[0\]: must be an object"),
}


@pytest.mark.parametrize(("feature", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_place(feature: Any, said: str) -> None:
    """The sentence names the feature, the property and what would be right; there is one for each fault."""
    with pytest.raises(AreasError, match=said) as caught:
        parse(collection(feature, area("good", SQUARE)), near=[(11.5, 50.9)])

    assert len(caught.value.faults) == 1


def test_all_faults_are_reported_at_once_and_nothing_is_changed(connection: Connection, tmp_path: Path) -> None:
    """Of all features, the one that stands twice too; swapped is judged by where the stored stations are."""
    path = tmp_path / "areas.geojson"
    path.write_text(json.dumps(collection(area("a", BOW), area("b", SWAPPED), area("a", SQUARE))), encoding="utf-8")

    with pytest.raises(AreasError) as caught:
        areas.apply(connection, path)

    assert [fault.split(": ")[:2] for fault in caught.value.faults] == [
        ["area a", "geometry.coordinates"],
        ["area b", "geometry.coordinates"],
        ["area a", "id"],
    ]
    assert connection.execute("SELECT count(*) FROM area").fetchone() == (0,)


def test_other_cities_are_not_taken_for_swapped() -> None:
    """What is near the stations is right, wherever on Earth that is; so is what is near none, either way."""
    somewhere = [[-8.6, 43.3], [-8.5, 43.3], [-8.5, 43.4], [-8.6, 43.3]]

    for near in [(-8.5, 43.4)], [(11.5, 50.9)], []:
        assert parse(collection(area("a", somewhere)), near)[0].id == "a"
    both_ways = [[48.0, 52.0], [49.0, 52.0], [49.0, 53.0], [48.0, 52.0]]
    assert parse(collection(area("a", both_ways)), [(50.0, 50.0)])[0].id == "a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "areas.geojson: not JSON"),
        ("[]", "not areas: the file must be a GeoJSON object"),
        ('{"type": "FeatureCollection", "features": 5}', "features: must be an array"),
        ('{"type": "FeatureCollection", "features": [], "licence": "x"}', "licence: unknown"),
    ],
)
def test_what_is_no_areas_file_is_refused_by_the_command(
    connection: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """With status 1 and one sentence."""
    path = tmp_path / "areas.geojson"
    path.write_text(text, encoding="utf-8")

    assert main(["areas", "apply", str(path)]) == 1
    assert said in capsys.readouterr().err


def test_a_missing_file_is_named(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence has the path."""
    assert main(["areas", "apply", "/nowhere/areas.geojson"]) == 1
    assert "/nowhere/areas.geojson: cannot be read: No such file" in capsys.readouterr().err
