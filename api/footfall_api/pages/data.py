"""The data: downloads, a form that builds addresses of the API, examples to copy, what the words in answers mean."""

import asyncio
from datetime import datetime
from typing import Final

from starlette.responses import Response

from footfall_api.pages.data_build import PARAMETERS, Places, build, first_wish, wish_of
from footfall_api.pages.data_view import doors_of, file_shelves, form_of, limits_of, recipes, shelves, words_of
from footfall_api.pages.frame import Here, Page
from footfall_api.pages.places import names_of, today_of
from footfall_api.publication import LIFTED
from footfall_api.publication_words import sentences


async def answer(here: Here) -> Response:
    """The page; the query is what was chosen in the form."""
    stations = (await here.ask("stations"))["features"]
    areas = (await here.ask("areas"))["features"]
    now: datetime = here.request.app.state.clock()
    today = today_of(stations, now)
    places = Places(
        {str(found["id"]): str(found["properties"]["timezone"]) for found in stations},
        {str(found["id"]): found["properties"]["stations"] for found in areas},
    )
    rules = here.rules
    first = first_wish(list(places.zones), today)
    given = {name: here.queries(name) for name in PARAMETERS}
    wish = wish_of(given) if any(given.values()) else first
    built = build(wish, places, now, rules=rules)
    host = here.settings.http.public_url or str(here.request.base_url).rstrip("/")
    shown = (first, build(first, places, now, rules=LIFTED)) if built.fault else (wish, built)
    return here.page_of(
        "data.html",
        shelves=shelves(stations, today, here.t, here.data_url),
        form=form_of(wish, built, stations, areas, here.t),
        built=built,
        address=host + built.path,
        recipes=recipes(*shown, host, here.t),
        words=words_of(here.t),
        files=file_shelves(await asyncio.to_thread(here.request.app.state.files.names), f"{here.base}/files/", here.t),
        doors=doors_of(host, here.settings, here.t),
        limits=limits_of(here.t),
        published=sentences(rules, here.t, names_of(stations)),
        today=here.t.date(today),
        has_areas=bool(areas),
        boot=here.boot(),
    )


PAGE: Final = Page("data", answer, browser=("copy",))
