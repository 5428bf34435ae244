"""What is measured, in Leichte Sprache and in easy English, with drawings."""

from typing import Final

from starlette.responses import Response

from footfall_api.pages.frame import Here, Page


async def answer(here: Here) -> Response:
    """The page; it asks nothing."""
    return here.page_of("easy.html")


PAGE: Final = Page("easy", answer, in_nav=False)
