"""What several pages say of stations."""

import pytest

from footfall_api.messages import catalogue
from footfall_api.pages.places import position_of


@pytest.mark.parametrize(
    ("language", "lon", "lat", "told"),
    [
        ("de", 11.58782, 50.92818, ["50,92818° Nord", "11,58782° Ost"]),
        ("de", -70.66, -33.44, ["33,44000° Süd", "70,66000° West"]),
        ("en", -70.66, -33.44, ["33.44000° south", "70.66000° west"]),
    ],
)
def test_a_place_is_on_its_half_of_the_earth(language: str, lon: float, lat: float, told: list[str]) -> None:
    """No minus sign for people, and south is not north."""
    found = position_of({"geometry": {"coordinates": [lon, lat]}}, catalogue(language))

    assert list(found.values()) == told
