"""Whatever an address asks for, it is answered with a page: odd, empty, repeated, huge, and nothing like a value."""

from collections.abc import Iterator

import pytest
from starlette.requests import Request

from footfall_api.gate import MAX_ADDRESS
from footfall_api.pages import PAGES
from footfall_api.pages.frame import Pages, unknown
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.city import Api, City

VALUES = ("", "x", "-1", "9" * 1500, "0001-01-03", "9999-12-31", "%00", "%FF%D9%A3", "%3C/script%3E%3Cb%3E")
"""As they stand in an address."""

NAMES = (
    *("station", "stations", "area", "from", "to", "before", "after", "weeks", "period", "resolution"),
    *("split", "format", "remarks", "by", "way", "at", "show", "direction", "form", "week", "page", "tz"),
    # No page asks for these; a function behind one may have an argument of the name.
    *("key", "self", "language", "more", "path", "here"),
)


@pytest.fixture
def api(database: str) -> Iterator[Api]:
    """A city with stations in two zones, of which one knows no directions and one had its labels since ever."""
    settings = ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(local=True))
    city = City(database)
    city.counter("markt")
    city.counter("platz", timezone="Pacific/Auckland", directions=(2,))
    city.connection.execute("INSERT INTO direction_label VALUES ('markt', '-infinity', 'Süd', 'Nord')")
    city.connection.close()
    with Api(settings) as found:
        yield found


def test_every_address_is_answered_with_a_page(api: Api) -> None:
    """No parameter of any page makes more of it than a page, which says what is wrong."""
    station = Pages.path("station", "en")
    paths = [*(Pages.path(page.key, "en") for page in PAGES), f"{station}/markt", f"{station}/platz"]
    queries = ["&".join(f"{name}={value}" for name in NAMES) for value in VALUES]
    answers = {
        (path, query[:40]): api.get(f"{path}?{query}&{query[:200]}")
        for path in paths
        for query in ["", *(queries if "station" in path else queries[4:])]
    }
    broken = {
        asked: answer.status_code
        for asked, answer in answers.items()
        if answer.status_code >= 500
        or (answer.status_code >= 400 and "</html>" not in answer.text and len(str(answer.url)) < MAX_ADDRESS)
    }

    assert broken == {}


@pytest.mark.parametrize("word", ["key", "self", "language", "from_"])
def test_the_way_to_a_stations_page_keeps_what_else_was_asked(api: Api, word: str) -> None:
    """Whatever it is called, and as often as it was said."""
    answer = api.get(f"/en/station?station=markt&{word}=b%26c&{word}=d&empty=")

    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/en/station/markt?{word}=b%26c&{word}=d"


def test_labels_that_hold_since_ever_have_no_date(api: Api) -> None:
    """The page of the station says what they mean, and that they always did; the report does not mind."""
    assert "seit Beginn: A Süd, B Nord" in api.get("/station/markt").text
    assert api.get("/bericht").status_code == 200


def test_the_place_where_the_application_is_mounted_is_an_address_too(api: Api) -> None:
    """Without a slash behind it there is no page, which is said as a page."""
    scope = {"type": "http", "path": "/zaehler", "root_path": "/zaehler", "query_string": b"", "app": api.app}
    answer = api.run(unknown(Request({**scope, "path_params": {}, "headers": [(b"accept", b"text/html")]})))

    assert answer.status_code == 404
    assert 'lang="de"' in answer.body.decode()
