"""About the measurement: what is counted and what is not, why nobody is recognised, and what hangs where."""

from typing import Final

from starlette.responses import Response

from footfall_api.pages.about_view import stations_view
from footfall_api.pages.example import example_report
from footfall_api.pages.frame import Here, Page
from footfall_api.pages.places import first_id, names_of
from footfall_api.publication_words import sentences


async def answer(here: Here) -> Response:
    """The page; the example of a report is of the first station."""
    stations = (await here.ask("stations"))["features"]
    return here.page_of(
        "about.html",
        stations=stations_view(stations, here.t),
        report=example_report(first_id(stations) or "markt"),
        published=sentences(here.rules, here.t, names_of(stations)),
    )


PAGE: Final = Page("about", answer)
