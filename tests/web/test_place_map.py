"""The map: stations where they are, to scale, and labels that do not cover each other."""

import itertools
import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_api.pages.place_map import (
    NARROW,
    NEAR_M,
    WIDE,
    Drawing,
    Format,
    Spot,
    distance_m,
    draw,
    group_by_nearness,
    panels,
)

JENA = (
    Spot("markt", "Markt", 11.58782, 50.92818, ((11.58772, 50.92818), (11.58792, 50.92818))),
    Spot("johannisstrasse", "Johannisstraße", 11.58532, 50.92928),
    Spot("kirchplatz", "Kirchplatz", 11.58794, 50.92905),
    Spot("wagnergasse", "Wagnergasse", 11.58144, 50.93019),
    Spot("holzmarkt", "Holzmarkt", 11.58587, 50.92704),
    Spot("loebderstrasse", "Löbderstraße", 11.58654, 50.92754),
)
# Two of them at the very same place, long names, the other side of the earth.
AUCKLAND = (
    Spot("quay-107", "107 Quay Street", 174.766494, -36.843015),
    Spot("quay-188-ew", "188 Quay Street Lower Albert (EW)", 174.76573, -36.84306),
    Spot("quay-188-ns", "188 Quay Street Lower Albert (NS)", 174.76573, -36.84306),
    Spot("te-ara", "Te Ara Tahuhu Walkway", 174.769645, -36.84465),
    Spot("commerce", "Commerce Street West", 174.768065, -36.844912),
    Spot("custom-7", "7 Custom Street East", 174.767057, -36.844722),
)
FORMATS = pytest.mark.parametrize("form", [WIDE, NARROW], ids=lambda form: form.name)


def assert_tidy(drawing: Drawing) -> None:
    """No label over another, over a station, or beyond the edge."""
    labels = [mark.label for mark in drawing.marks if mark.label]
    for one, other in itertools.combinations(labels, 2):
        assert not one.box.overlaps(other.box, gap=0)
    for label, mark in itertools.product(labels, drawing.marks):
        assert math.dist(label.box.nearest((mark.x, mark.y)), (mark.x, mark.y)) > drawing.format.dot
    for label in labels:
        assert 0 <= label.box.x <= drawing.format.width - label.box.width
        assert 0 <= label.box.y <= drawing.format.height - label.box.height


@FORMATS
@pytest.mark.parametrize("spots", [JENA, AUCKLAND], ids=["jena", "auckland"])
def test_every_station_of_a_usual_city_has_its_label(spots: tuple[Spot, ...], form: Format) -> None:
    """Six stations in an inner city all find room for name and total, on a phone too."""
    drawing = draw(spots, form)

    assert drawing.unlabelled == ()
    assert_tidy(drawing)


coordinates = st.tuples(st.floats(11.57, 11.60), st.floats(50.92, 50.94))


def spots_of(places: Iterable[tuple[str, tuple[float, float]]]) -> tuple[Spot, ...]:
    """Stations with numbered ids."""
    return tuple(Spot(f"s{i}", name, lon, lat) for i, (name, (lon, lat)) in enumerate(places))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["Markt", "Am Anger", "Straße des 17. Juni Ecke Lutherplatz"]), coordinates),
             min_size=1, max_size=12),
    st.sampled_from([WIDE, NARROW]),
)  # fmt: skip
def test_labels_never_cover_anything(places: list[tuple[str, tuple[float, float]]], form: Format) -> None:
    """However stations lie, what is drawn is legible, and what found no room is named."""
    spots = spots_of(places)
    drawing = draw(spots, form)

    assert_tidy(drawing)
    assert len(drawing.marks) == len(spots)
    assert len(drawing.unlabelled) == sum(mark.label is None for mark in drawing.marks)
    for mark in drawing.marks:
        assert 0 < mark.x < drawing.format.width
        assert 0 < mark.y < drawing.format.height


@FORMATS
def test_the_map_is_to_scale_and_north_is_up(form: Format) -> None:
    """Distances on the drawing are distances on the ground by the scale bar, to half a per cent."""
    drawing = draw(JENA, form)
    per_metre = drawing.scale_length / drawing.scale_m
    marks = {mark.id: mark for mark in drawing.marks}

    for one, other in itertools.combinations(JENA, 2):
        drawn = math.dist((marks[one.id].x, marks[one.id].y), (marks[other.id].x, marks[other.id].y))
        assert drawn / per_metre == pytest.approx(distance_m(one, other), rel=0.005)
    assert marks["wagnergasse"].y < marks["holzmarkt"].y
    assert marks["wagnergasse"].x < marks["markt"].x


def test_a_counting_line_is_drawn_as_long_as_it_is() -> None:
    """The line at the Markt, 14 m from west to east, has the length of 14 m by the scale bar."""
    drawing = draw(JENA, WIDE)
    (line,) = (mark.line for mark in drawing.marks if mark.line)
    metres = 0.0002 * math.cos(math.radians(50.92818)) * 111_195

    assert math.dist(*line) * drawing.scale_m / drawing.scale_length == pytest.approx(metres, rel=0.01)


def test_places_far_apart_have_maps_of_their_own() -> None:
    """Stations in Jena and in Auckland are not on one map; those of one city are."""
    found = panels((*AUCKLAND, *JENA))

    assert sorted(len(panel.spots) for panel in found) == [6, 6]
    assert {frozenset(spot.id for spot in panel.spots) for panel in found} == {
        frozenset(spot.id for spot in JENA),
        frozenset(spot.id for spot in AUCKLAND),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.just("x"), st.tuples(st.floats(11.0, 12.0), st.floats(50.5, 51.5))), max_size=12))
def test_groups_are_chains_of_near_stations(places: list[tuple[str, tuple[float, float]]]) -> None:
    """Two stations near each other are always in one group, two groups are never near each other, none is lost."""
    spots = spots_of(places)
    groups = group_by_nearness(spots)

    assert sorted(spot.id for group in groups for spot in group) == sorted(spot.id for spot in spots)
    for one, other in itertools.combinations(groups, 2):
        assert all(distance_m(a, b) > NEAR_M for a in one for b in other)
    for group in groups:
        reached = {group[0]}
        while more := {s for s in group if s not in reached and any(distance_m(s, r) <= NEAR_M for r in reached)}:
            reached |= more
        assert reached == set(group)


def test_a_single_station_has_surroundings() -> None:
    """One station alone is in the middle of a map that is not a magnified dot."""
    drawing = draw(JENA[:1], WIDE)

    assert (drawing.marks[0].x, drawing.marks[0].y) == (WIDE.width / 2, WIDE.height / 2)
    assert WIDE.width * drawing.scale_m / drawing.scale_length >= 150


def test_a_large_total_asks_for_its_own_room() -> None:
    """The label of a total of nine characters is wider than that of six."""
    usual, large = draw(JENA, WIDE), draw(JENA, WIDE, total_chars=9)

    assert usual.marks[0].label is not None
    assert large.marks[0].label is not None
    assert large.marks[0].label.box.width > usual.marks[0].label.box.width
