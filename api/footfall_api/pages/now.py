"""Today: a map of the stations, what they count now and have counted today, and the last hour of one of them."""

from typing import Any, Final

from starlette.responses import Response

from footfall_api.pages.example import example_report
from footfall_api.pages.frame import Here, Page
from footfall_api.pages.now_view import (
    COMPLETE,
    DIRECTION_KEYS,
    HISTORIC_AFTER,
    ON_THEIR_WAY_S,
    RECENT_MINUTES,
    SILENT_AFTER_S,
    SPARK_HALF,
    PageView,
    page_view,
    ring_radius,
)

LIVE: Final = "/api/v1/live"


async def answer(here: Here) -> Response:
    """The page; `station` is the one whose chart is shown."""
    wanted = here.query("station")
    board = await here.request.app.state.feed.current()
    view = page_view(board, here.t, wanted)
    if view is None:
        return here.page_of("empty.html")
    return here.page_of(
        "now.html",
        view=view,
        report=example_report(view.chosen.id),
        boot=here.boot(**boot(view, here)),
        spark_half=SPARK_HALF,
        ring_radius=ring_radius,
    )


PAGE: Final = Page("now", answer, browser=("live", "chart", "status", "state"))


def boot(view: PageView, here: Here) -> dict[str, Any]:
    """What the scripts need to know beside what every page's scripts need."""
    content: dict[str, Any] = {
        "live": here.base + LIVE,
        "station": view.chosen.id,
        "zones": {station.id: station.zone for station in view.stations},
        "directions": DIRECTION_KEYS,
        "rules": {
            "silentAfterS": SILENT_AFTER_S,
            "onTheirWayS": ON_THEIR_WAY_S,
            "complete": COMPLETE,
            "recentMinutes": RECENT_MINUTES,
            "historicAfterS": HISTORIC_AFTER.total_seconds(),
            "sparkHalf": SPARK_HALF,
        },
        "chart": f"{here.static}/vendor/chart.js",
        "tiles": None,
    }
    tiles = here.pages.tiles
    if tiles is not None:
        content["tiles"] = {
            "url": tiles.url,
            "library": f"{here.static}/vendor/maplibre/maplibre-gl.mjs",
            "style": f"{here.static}/vendor/maplibre/maplibre-gl.css",
            "places": [
                [[spot.id, spot.longitude, spot.latitude, spot.line] for spot in panel.spots] for panel in view.panels
            ],
        }
    return content
