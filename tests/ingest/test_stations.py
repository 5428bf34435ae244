"""Stations from a file: what is right goes in whole, what is wrong is said with its place."""

import copy
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from footfall_ingest.geojson import distance_m
from footfall_ingest.stations import Report, apply, stored
from footfall_ingest.stations_file import Station, StationsError, parse, read

JENA = Path(__file__).parents[2] / "deploy" / "jena" / "stations.geojson"

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    """A file with two stations that have everything."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": "markt",
                "geometry": {"type": "Point", "coordinates": [11.58782, 50.92818]},
                "properties": {
                    "name": "Markt",
                    "timezone": "Europe/Berlin",
                    "line": [[11.58772, 50.92818], [11.58792, 50.92818]],
                    "directions": [
                        {"from": "2020-01-01", "in": "Richtung Rathaus", "out": "Richtung Kirche"},
                        {"from": "2024-07-01T12:00", "in": "Richtung Süden", "out": "Richtung Norden"},
                    ],
                    "sensors": [
                        {"id": "markt-1", "from": "2020-01-01", "to": "2024-03-31T03:30", "role": "part"},
                        {
                            "id": "markt-2",
                            "from": "2024-03-31T03:30",
                            "to": None,
                            "role": "reference",
                            "type": "Radar, 60 GHz",
                            "mounting": "Laterne vor dem Rathaus, 3,2 m hoch",
                            "field_of_view": "120° quer über den Weg, bis 8 m",
                        },
                    ],
                },
            },
            {
                "type": "Feature",
                "id": "holzmarkt",
                "geometry": {"type": "Point", "coordinates": [11.58587, 50.92704]},
                "properties": {"name": "Holzmarkt", "sensors": [{"id": "holzmarkt-1", "from": "2020-06-01T00:00Z"}]},
            },
        ],
    }


@pytest.fixture
def path(tmp_path: Path, document: Document) -> Path:
    """The document as a file."""
    return save(tmp_path / "stations.geojson", document)


def save(path: Path, document: object) -> Path:
    """Write a document."""
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def in_database(dsn: str) -> dict[str, Station]:
    """What is stored."""
    with psycopg.connect(dsn) as connection:
        return stored(connection)


def test_what_is_in_the_file_is_in_the_database(any_database: str, path: Path) -> None:
    """Every property, dates as local midnight, times in the station's zone, defaults where nothing is said."""
    report = apply(any_database, path)

    found = in_database(any_database)
    assert report == Report(created=("markt", "holzmarkt"), changed={}, unchanged=(), absent=())
    assert list(found.values()) == list(read(path))
    markt, holzmarkt = found["markt"], found["holzmarkt"]
    assert markt.directions[0].valid_from == datetime(2019, 12, 31, 23, tzinfo=UTC)
    assert markt.directions[1].valid_from == datetime(2024, 7, 1, 10, tzinfo=UTC)
    assert markt.sensors[0].valid_to == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    assert (markt.sensors[1].role, markt.sensors[1].valid_to) == ("reference", None)
    assert (markt.sensors[1].type, markt.sensors[1].mounting) == (
        "Radar, 60 GHz",
        "Laterne vor dem Rathaus, 3,2 m hoch",
    )
    assert markt.sensors[1].field_of_view == "120° quer über den Weg, bis 8 m"
    assert (markt.sensors[0].type, markt.sensors[0].mounting, markt.sensors[0].field_of_view) == (None, None, None)
    assert (holzmarkt.timezone, holzmarkt.line, holzmarkt.directions) == ("Europe/Berlin", None, ())
    assert holzmarkt.sensors[0].role == "part"


def test_applying_again_changes_nothing(database: str, path: Path) -> None:
    """The second time everything is unchanged, down to the row versions."""
    apply(database, path)
    before = versions(database)

    report = apply(database, path)

    assert report == Report(created=(), changed={}, unchanged=("markt", "holzmarkt"), absent=())
    assert versions(database) == before


def versions(dsn: str) -> list[object]:
    """Which transaction wrote each row."""
    tables = ("station", "direction_label", "installation", "sensor")
    with psycopg.connect(dsn) as connection:
        return [connection.execute(f"SELECT xmin::text, * FROM {table}").fetchall() for table in tables]


def test_a_change_is_reported_by_name(database: str, path: Path, document: Document) -> None:
    """What differs is written and named; a station that is only in the database is left and named."""
    apply(database, path)
    markt, _ = document["features"]
    markt["properties"]["name"] = "Marktplatz"
    del markt["properties"]["sensors"][1]
    document["features"] = [markt]

    report = apply(database, save(path, document))

    assert report == Report(created=(), changed={"markt": ("name", "sensors")}, unchanged=(), absent=("holzmarkt",))
    assert [line.split()[0] for line in report.lines()] == ["changed", "left"]
    found = in_database(database)
    assert found["markt"].name == "Marktplatz"
    assert [installation.sensor for installation in found["markt"].sensors] == ["markt-1"]
    assert found["holzmarkt"].name == "Holzmarkt"


def test_sensors_may_change_places(database: str, path: Path, document: Document) -> None:
    """Two stations of one file may swap their sensors, although each is in one place at a time."""
    apply(database, path)
    markt, holzmarkt = (feature["properties"] for feature in document["features"])
    markt["sensors"], holzmarkt["sensors"] = holzmarkt["sensors"], markt["sensors"]

    report = apply(database, save(path, document))

    assert set(report.changed) == {"markt", "holzmarkt"}
    assert [installation.sensor for installation in in_database(database)["holzmarkt"].sensors] == [
        "markt-1",
        "markt-2",
    ]


def test_a_sensor_that_hangs_elsewhere_is_refused(database: str, path: Path, document: Document) -> None:
    """What is installed at a station that only the database has is not overlapped; nothing is changed."""
    apply(database, path)
    before = versions(database)
    _, holzmarkt = document["features"]
    holzmarkt["properties"]["sensors"].append({"id": "markt-2", "from": "2025-01-01"})
    holzmarkt["properties"]["name"] = "changed"
    document["features"] = [holzmarkt]

    with pytest.raises(
        StationsError, match=r"station holzmarkt: properties.sensors markt-2: .* station markt"
    ) as caught:
        apply(database, save(path, document))

    assert len(caught.value.faults) == 1
    assert versions(database) == before


def test_one_after_the_other_is_no_overlap(database: str, path: Path, document: Document) -> None:
    """A sensor may be taken down and hung up elsewhere in the same minute."""
    markt, holzmarkt = (feature["properties"] for feature in document["features"])
    markt["sensors"] = [{"id": "markt-1", "from": "2020-01-01", "to": "2021-01-01"}]
    holzmarkt["sensors"] = [{"id": "markt-1", "from": "2021-01-01"}]

    assert apply(database, save(path, document)).created == ("markt", "holzmarkt")


def test_counts_wait_for_their_station(database: str, path: Path) -> None:
    """A sensor that was heard of before it was installed keeps its key."""
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO sensor (id) VALUES ('other'), ('markt-1')")

    apply(database, path)

    with psycopg.connect(database) as connection:
        keys = connection.execute("SELECT key FROM installation JOIN sensor ON key = sensor WHERE id = 'markt-1'")
        assert keys.fetchall() == [(2,)]


def change(document: Document, place: str, value: object) -> None:
    """Set what `place` names, like ``0.properties.name``, in the document's features."""
    *way, last = (int(step) if step.isdigit() else step for step in place.split("."))
    target: Any = document["features"]
    for step in way:
        target = target[step]
    target[last] = value


FAULTS = {
    "zone": (
        "0.properties.timezone",
        "Europe/Jena",
        "station markt: properties.timezone: .* is no time zone",
    ),
    "zone-path": ("0.properties.timezone", "../etc/passwd", "station markt: properties.timezone"),
    "swapped": ("0.geometry.coordinates", [50.92818, 11.58782], "station markt: geometry.coordinates: .* swapped"),
    "range": (
        "0.geometry.coordinates",
        [11.5, 150.0],
        "station markt: .* is out of range.*swapped",
    ),
    "far-range": ("0.geometry.coordinates", [211.5, 50.0], "out of range: longitude -180 to 180"),
    "not-numbers": (
        "0.geometry.coordinates",
        ["11.5", "50.9"],
        "markt: geometry.coordinates: .* is no position",
    ),
    "geometry": ("0.geometry.type", "Polygon", "station markt: geometry: must be"),
    "no-geometry": ("0.geometry", None, "station markt: geometry: must be"),
    "bad-id": ("0.id", "Märkt", r"features\[0\]: id: .* is no id"),
    "number-id": ("0.id", 7, r"features\[0\]: id: 7 is no id"),
    "double-id": ("1.id", "markt", "station markt: id: stands twice"),
    "name": ("0.properties.name", "", "station markt: properties.name: must be a text"),
    "unknown": ("0.properties.colour", "red", "station markt: properties.colour: unknown; known are name, timezone"),
    "feature-key": ("0.color", "red", "station markt: color: unknown"),
    "sensor-key": ("0.properties.sensors.0.until", "x", r"station markt: properties.sensors\[0\].until: unknown"),
    "sensor-id": ("0.properties.sensors.0.id", "-x", r"station markt: properties.sensors\[0\].id: '-x' is no id"),
    "role": (
        "0.properties.sensors.0.role",
        "spare",
        r"sensors\[0\].role: 'spare' is no role; right is part",
    ),
    "type": ("0.properties.sensors.0.type", 5, r"sensors\[0\].type: must be a text"),
    "mounting": ("0.properties.sensors.0.mounting", " ", r"sensors\[0\].mounting: must be a text"),
    "view": ("0.properties.sensors.0.field_of_view", "x" * 201, r"sensors\[0\].field_of_view: has 201 characters"),
    "order": (
        "0.properties.sensors.0.to",
        "2020-01-01",
        r"sensors\[0\].to: '2020-01-01' is not after from",
    ),
    "seconds": ("0.properties.sensors.0.from", "2020-01-01T10:00:30", r"sensors\[0\].from: .* is not a whole minute"),
    "no-date": ("0.properties.sensors.0.from", "1.1.2020", r"sensors\[0\].from: '1.1.2020' is no date or time"),
    "no-from": ("0.properties.sensors.0.from", None, r"sensors\[0\].from: 'None' is no date or time"),
    "march": (
        "0.properties.sensors.0.from",
        "2021-03-28T02:30",
        r"sensors\[0\].from: .* does not exist",
    ),
    "overlap": (
        "1.properties.sensors.0.id",
        "markt-2",
        "station markt: properties.sensors markt-2: .* overlaps its installation at station holzmarkt",
    ),
    "same-labels": ("0.properties.directions.0.out", "Richtung Rathaus", r"directions\[0\]: in and out are both"),
    "label": ("0.properties.directions.0.in", 5, r"directions\[0\].in: must be a text"),
    "two-labels": (
        "0.properties.directions.1.from",
        "2020-01-01",
        "directions: two entries from 2019-12-31",
    ),
    "line": ("0.properties.line", [[11.5, 50.9]], "properties.line: must be two positions"),
    "line-point": ("0.properties.line.1", [11.5], r"properties.line\[1\]: .* is no position"),
    "no-line": ("0.properties.line.1", [11.58772, 50.92818], "properties.line: its two points are the same"),
    "far-line": ("0.properties.line.1", [11.6, 50.92818], "properties.line: .* more than 500 m apart"),
    "sensors": ("0.properties.sensors", {}, "properties.sensors: must be an array"),
    "sensor": ("0.properties.sensors.0", "markt-1", r"properties.sensors\[0\]: must be an object"),
    "properties": ("0.properties", None, "station markt: properties: must be an object"),
    "feature": ("0", [], r"features\[0\]: must be an object"),
}


@pytest.mark.parametrize(("place", "value", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_place(document: Document, place: str, value: object, said: str) -> None:
    """The sentence names the feature, the property and what would be right."""
    parse(copy.deepcopy(document))
    change(document, place, value)

    with pytest.raises(StationsError, match=said):
        parse(document)


def test_all_faults_are_reported_at_once(document: Document) -> None:
    """Whoever corrects the file by hand gets the whole list."""
    change(document, "0.properties.timezone", "Mars/Olympus")
    change(document, "0.properties.sensors.1.role", "spare")
    change(document, "1.geometry.coordinates", [])

    with pytest.raises(StationsError) as caught:
        parse(document)

    assert [fault.split(": ")[0] for fault in caught.value.faults] == ["station markt"] * 2 + ["station holzmarkt"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "FeatureCollection"),
        ('{"type": "FeatureCollection", "features": 5}', "features: must be an array"),
        ('{"type": "FeatureCollection", "features": [], "licence": "x"}', "licence: unknown"),
        ('{"type": "FeatureCollection", "features": [], "features": []}', "the key 'features' stands twice"),
        ('{"type": "FeatureCollection", "features": [NaN]}', "NaN is not a number"),
        ("[" * 100_000, "not JSON"),
        ("\udcff", "not JSON"),
    ],
)
def test_what_is_no_stations_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Whatever is in the file, it is one sentence and no traceback."""
    path = tmp_path / "file"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(StationsError, match=said):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The sentence has the path."""
    with pytest.raises(StationsError, match=r"nothing.geojson: cannot be read: No such file"):
        read(tmp_path / "nothing.geojson")


@pytest.mark.parametrize(
    ("zone", "longitude", "latitude"),
    [("Pacific/Auckland", 174.76, -36.85), ("America/Sao_Paulo", -46.6, -23.5), ("Europe/Madrid", -8.5, 43.4)],
)
def test_other_cities_are_not_taken_for_swapped(
    document: Document, zone: str, longitude: float, latitude: float
) -> None:
    """The guess that a position is swapped holds for the zone it is in, not for Germany."""
    change(document, "1.properties.timezone", zone)
    change(document, "1.geometry.coordinates", [longitude, latitude])

    assert parse(document)[1].position == (longitude, latitude)


PLACES = {
    "markt": (50.92818, 11.58782),
    "johannisstrasse": (50.92928, 11.58532),
    "kirchplatz": (50.92905, 11.58794),
    "wagnergasse": (50.93019, 11.58144),
    "holzmarkt": (50.92704, 11.58587),
    "loebderstrasse": (50.92754, 11.58654),
}
TOWARDS = {
    # Where the label of "in" says that people go: latitude, longitude.
    "markt": (50.9279, 11.5875),  # Rathaus
    "johannisstrasse": PLACES["markt"],
    "kirchplatz": PLACES["markt"],
    "wagnergasse": (50.92919, 11.58375),  # Johannisplatz
    "holzmarkt": PLACES["loebderstrasse"],
    "loebderstrasse": PLACES["markt"],
}


@pytest.mark.parametrize("station", read(JENA), ids=lambda station: station.id)
def test_the_stations_of_jena_are_where_they_are(station: Station) -> None:
    """Position within 20 m, a line of 8 to 15 m across it, "in" crossing it from left to right, counting since 2020."""
    latitude, longitude = PLACES[station.id]
    assert distance_m(station.position, (longitude, latitude)) <= 20

    assert station.line is not None
    first, second = station.line
    middle = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
    assert 8 <= round(distance_m(first, second)) <= 15
    assert distance_m(middle, station.position) < 1

    to_latitude, to_longitude = TOWARDS[station.id]
    shrink = math.cos(math.radians(latitude))
    along = (second[0] - first[0]) * shrink, second[1] - first[1]
    towards = (to_longitude - longitude) * shrink, to_latitude - latitude
    rightwards = along[1] * towards[0] - along[0] * towards[1]
    assert rightwards > 0, "who walks 'in' passes from the left of the line to its right"

    start = datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    (installation,) = station.sensors
    assert (installation.sensor, installation.valid_from, installation.valid_to, installation.role) == (
        f"{station.id}-1",
        start,
        None,
        "part",
    )
    assert [label.valid_from for label in station.directions] == [start]


def test_jena_has_its_six_stations(database: str) -> None:
    """The file goes in as it is."""
    assert set(apply(database, JENA).created) == set(PLACES)
