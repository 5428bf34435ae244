"""The kiosk: a full screen for a showroom, readable from four metres, that looks after itself for months."""

from typing import Final

from starlette.responses import Response

from footfall_api.pages.frame import Here, Page
from footfall_api.pages.kiosk_view import kiosk_view
from footfall_api.pages.now import live_rules
from footfall_api.pages.today import read_today

RELOAD_S: Final = 60
"""How often the view is asked for anew where no stream reaches it."""


async def answer(here: Here) -> Response:
    """The view; `stations` names those to be shown, joined by commas or given several times."""
    board = await here.request.app.state.feed.current()
    today = await read_today(here.request, board)
    wanted = [name.strip() for given in here.queries("stations") for name in given.split(",") if name.strip()]
    view = kiosk_view(board, here.t, today, wanted)
    rules = live_rules([] if view is None else view.stations, today, here)
    return here.page_of(
        "kiosk.html",
        view=view,
        reload_s=RELOAD_S,
        boot=here.boot(**rules, reloadS=RELOAD_S),
    )


PAGE: Final = Page("kiosk", answer, browser=("live", "status", "usual", "kiosk"), in_nav=False)
