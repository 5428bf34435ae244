"""The accessibility statement, in the form that Directive (EU) 2016/2102 and BITV 2.0 ask for, as a self-assessment."""

from datetime import date
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import Response

import footfall_contract
from footfall_api.pages.frame import Here, Page

ASSESSED: Final = date(2026, 11, 26)
"""When the pages of this version were assessed by those who made them. Each version is assessed anew."""


async def answer(here: Here) -> Response:
    """The page; whom to write to and who settles disputes is a setting."""
    host = urlsplit(here.settings.http.public_url or str(here.request.base_url)).netloc
    return here.page_of(
        "accessibility.html",
        host=host,
        assessed=here.t.date(ASSESSED),
        version=footfall_contract.__version__,
        office=here.settings.city.office or here.settings.city.name,
    )


PAGE: Final = Page("accessibility", answer, in_nav=False)
