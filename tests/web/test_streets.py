"""Streets on the drawn map: what a file must be, and where their names stand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from footfall_api.pages.place_map import NARROW, WIDE, Drawing, Format, Spot, draw
from footfall_api.streets import Street, StreetsError, read_streets

JENA_FILE = Path(__file__).resolve().parents[2] / "deploy/jena/streets.geojson"
JENA = (
    Spot("markt", "Markt", 11.58782, 50.92818),
    Spot("johannisstrasse", "Johannisstraße", 11.58532, 50.92928),
    Spot("kirchplatz", "Kirchplatz", 11.58794, 50.92905),
    Spot("wagnergasse", "Wagnergasse", 11.58144, 50.93019),
    Spot("holzmarkt", "Holzmarkt", 11.58587, 50.92704),
    Spot("loebderstrasse", "Löbderstraße", 11.58654, 50.92754),
)
FORMATS = pytest.mark.parametrize("form", [WIDE, NARROW], ids=lambda form: form.name)


def feature(name: Any = "Markt", kind: str = "LineString", coordinates: Any = None) -> dict[str, Any]:
    """A street of the file."""
    line = [[11.58, 50.92], [11.59, 50.93]] if coordinates is None else coordinates
    return {"type": "Feature", "properties": {"name": name}, "geometry": {"type": kind, "coordinates": line}}


def file_of(folder: Path, *features: Any) -> Path:
    """A file with these features."""
    path = folder / "streets.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def test_the_streets_of_the_demo_can_be_read() -> None:
    """They are around its stations, and the file says that it was drawn by hand."""
    names = {street.name for street in read_streets(JENA_FILE)}

    assert {"Johannisstraße", "Wagnergasse", "Löbderstraße", "Holzmarkt", "Markt", "Kirchplatz"} <= names
    assert "Drawn by hand" in json.loads(JENA_FILE.read_text("utf-8"))["description"]


def test_lines_of_one_name_are_one_street(tmp_path: Path) -> None:
    """Map services cut streets into pieces; heights and other properties are of no account."""
    pieces = [[[11.58, 50.92, 143.5], [11.59, 50.93, 144]], [[11.6, 50.92], [11.61, 50.93]]]
    found = read_streets(file_of(tmp_path, feature(), feature(kind="MultiLineString", coordinates=pieces)))

    assert len(found) == 1
    assert len(found[0].lines) == 3
    assert found[0].lines[1][0] == (11.58, 50.92)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (feature(name=""), "feature 1: the property 'name' is missing"),
        (feature(kind="Point"), "'Markt' must be a LineString or MultiLineString, not Point"),
        (feature(coordinates=[[11.58, 50.92]]), "'Markt' must have at least two points"),
        (feature(coordinates=[[11.58, 50.92], [50.92, 211]]), "no longitude and latitude: [50.92, 211]"),
        (feature(coordinates=7), "'Markt' must have at least two points"),
        ("nonsense", "feature 1: the property 'name' is missing"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, fault: Any, told: str) -> None:
    """With the number of the feature and what would be right."""
    with pytest.raises(StreetsError, match="feature 1: ") as refused:
        read_streets(file_of(tmp_path, fault))

    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "is not JSON"), ("[]", "must be a GeoJSON FeatureCollection"), (None, "cannot be read")],
)
def test_what_is_no_such_file_is_said(tmp_path: Path, text: str | None, told: str) -> None:
    """Neither a missing file nor another one is a traceback."""
    path = tmp_path / "x"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StreetsError, match=told):
        read_streets(path)


def letters(drawing: Drawing, text: str, x: float, y: float, angle: float) -> list[tuple[float, float]]:
    """Points along the middle of a name's letters."""
    half = len(text) * drawing.format.street_size * 0.5 / 2
    turn = math.radians(angle)
    return [(x + math.cos(turn) * half * at / 10, y + math.sin(turn) * half * at / 10) for at in range(-10, 11)]


@FORMATS
def test_names_of_streets_cover_no_label_and_no_station(form: Format) -> None:
    """They stand where there is room, inside the drawing, readable from left to right, at most once each."""
    drawing = draw(JENA, form, streets=read_streets(JENA_FILE))
    half = form.street_size / 2

    assert len(drawing.street_names) >= 3
    assert len({name.text for name in drawing.street_names}) == len(drawing.street_names)
    for name in drawing.street_names:
        assert -90 < name.angle <= 90
        for point in letters(drawing, name.text, name.x, name.y, name.angle):
            assert half <= point[0] <= form.width - half
            assert half <= point[1] <= form.height - half
            for mark in drawing.marks:
                assert math.dist(point, (mark.x, mark.y)) > form.dot + half
                assert mark.label is None or math.dist(mark.label.box.nearest(point), point) > half


@FORMATS
def test_streets_move_no_station_and_no_label(form: Format) -> None:
    """They are a ground: the map is that of the stations with or without them."""
    assert draw(JENA, form, streets=read_streets(JENA_FILE)).marks == draw(JENA, form).marks


def test_a_name_runs_along_its_street() -> None:
    """A street uphill to the north-east has letters that climb; one far away is not drawn at all."""
    uphill = Street("Steigung", (((11.582, 50.9272), (11.585, 50.9286)),))
    far = Street("Anderswo", (((11.9, 50.9), (11.91, 50.9)),))
    drawing = draw(JENA, WIDE, streets=(uphill, far))

    (name,) = drawing.street_names
    assert name.text == "Steigung"
    assert name.angle == pytest.approx(-math.degrees(math.atan2(0.0014, 0.003 * math.cos(math.radians(50.928)))), abs=1)
    assert drawing.streets.count("M") == 1
