"""The form that builds addresses: what it sends becomes an address, and what the API refuses is said at the field."""

from datetime import UTC, date, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from footfall_api.pages.data_build import Places, Wish, build, first_wish, wish_of
from footfall_api.publication import LIFTED, publication_of
from footfall_api.settings import PublicationSettings

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
RULES = publication_of(PublicationSettings())
PLACES = Places(
    {"markt": "Europe/Berlin", "kirche": "Europe/Berlin", "hafen": "Europe/Lisbon"}, {"zentrum": ("markt", "kirche")}
)


def query(path: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(path).query, strict_parsing=True))


def test_nothing_chosen_is_this_month_of_the_first_station() -> None:
    """The form begins with an address that works: by the hour and direction, up to and with today."""
    built = build(first_wish(["markt"], date(2026, 11, 26)), PLACES, NOW, rules=RULES)

    assert built.fault is None
    assert urlsplit(built.path).path == "/api/v1/stations/markt/counts"
    assert query(built.path) == {
        "from": "2026-11-01",
        "to": "2026-11-27",
        "resolution": "1h",
        "split": "direction",
        "format": "csv",
    }


def test_a_query_becomes_the_same_address() -> None:
    """Values given several times are joined by commas; remarks are asked for where there is a column for them."""
    given = {
        "station": ["markt", "kirche"],
        "area": ["zentrum"],
        "from": ["2026-01-01"],
        "resolution": ["1d"],
        "split": ["direction", "class"],
        "format": ["csv-de"],
        "remarks": ["column"],
    }
    built = build(wish_of(given), PLACES, NOW, rules=RULES)

    assert urlsplit(built.path).path == "/api/v1/counts"
    assert query(built.path) == {
        "station": "markt,kirche",
        "area": "zentrum",
        "from": "2026-01-01",
        "resolution": "1d",
        "split": "direction,class",
        "format": "csv-de",
        "remarks": "column",
    }
    assert "remarks" not in build(wish_of({**given, "format": ["parquet"]}), PLACES, NOW, rules=RULES).path


def test_stations_in_several_zones_name_one() -> None:
    """The API would ask back which is meant; one zone needs no name."""
    assert "tz=" not in build(Wish(("markt", "kirche")), PLACES, NOW, rules=RULES).path
    assert query(build(Wish(("markt", "hafen")), PLACES, NOW, rules=RULES).path)["tz"] == "Europe/Berlin"
    assert query(build(Wish(), PLACES, NOW, rules=RULES).path)["tz"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("given", "parameter", "said"),
    [
        ({"station": ["mrakt"]}, "station", "did you mean 'markt'?"),
        ({"area": ["osten"]}, "area", "there is no area 'osten'"),
        ({"from": ["gestern"]}, "from", "gestern"),
        ({"from": ["2026-03-29T02:30"], "to": ["2026-04-01"]}, "from", "does not exist in Europe/Berlin"),
        ({"from": ["2026-03-02"], "to": ["2026-03-01"]}, "to", "is not after from"),
        ({"to": ["2030-01-01"]}, "to", "more than a year ahead"),
        ({"resolution": ["1s"]}, "resolution", "'1s' is none of 1min, 5min"),
        ({"split": ["colour"]}, "split", "'colour' is nothing to split by"),
        ({"format": ["xlsx"]}, "format", "'xlsx' is none of json, csv"),
        ({"from": ["2026-03-01"], "resolution": ["1min"]}, "resolution", "public for the last 24 hours only"),
        ({"from": ["2020-01-01"], "format": ["geojson"]}, "format", "more than 10,000 intervals"),
    ],
)
def test_what_the_api_refuses_is_no_address(given: dict[str, list[str]], parameter: str, said: str) -> None:
    """The field at fault is named, with what the API says."""
    built = build(wish_of({"station": ["markt"], **given}), PLACES, NOW, rules=RULES)

    assert built.path == ""
    assert built.fault is not None
    assert built.fault.parameter == parameter
    assert said in built.fault.said


def test_a_network_without_limits_may_ask_for_minutes() -> None:
    """As the API behind it does."""
    wish = wish_of({"station": ["markt"], "from": ["2026-03-01"], "to": ["2026-03-02"], "resolution": ["1min"]})

    assert build(wish, PLACES, NOW, rules=LIFTED).fault is None
    assert build(wish, PLACES, NOW, rules=RULES).fault is not None


def test_an_empty_city_has_an_address_too() -> None:
    """Nothing to choose from is no fault."""
    assert build(first_wish([], date(2026, 11, 26)), Places({}, {}), NOW, rules=RULES).fault is None
