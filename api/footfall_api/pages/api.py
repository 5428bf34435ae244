"""The API's own documentation, written from its OpenAPI document: no script, and no request to another host."""

from datetime import date
from typing import Final

from starlette.responses import Response

from footfall_api.pages.api_view import Sample, api_view
from footfall_api.pages.frame import Here, Page
from footfall_api.pages.places import first_id, today_of


async def answer(here: Here) -> Response:
    """The page; its examples ask about the first station and the first area there are."""
    stations = (await here.ask("stations"))["features"]
    areas = (await here.ask("areas"))["features"]
    today: date = today_of(stations, here.request.app.state.clock())
    sample = Sample(first_id(stations), first_id(areas), today)
    return here.page_of("api.html", view=api_view(here.request.app.openapi(), sample))


PAGE: Final = Page("api", answer)
