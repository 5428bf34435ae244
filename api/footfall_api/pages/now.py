"""Today: a map of the stations, what they count now and have counted today, and what is usual at this hour."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import RedirectResponse, Response

from footfall_api.pages.frame import Here, Page
from footfall_api.pages.measured import COMPLETE
from footfall_api.pages.now_view import (
    HISTORIC_AFTER,
    ON_THEIR_WAY_S,
    RECENT_MINUTES,
    SILENT_AFTER_S,
    SPARK_HALF,
    PageView,
    StationView,
    page_view,
    ring_radius,
)
from footfall_api.pages.today import Day, Today, read_today
from footfall_api.pages.usual_view import HEIGHT, HOUR_WIDTH, LEAST

LIVE: Final = "/api/v1/live"


async def answer(here: Here) -> Response:
    """The page. Its addresses of old that name a `station` lead to that station's own page."""
    station = here.query("station")
    if station is not None:
        return RedirectResponse(here.url("station", station), status_code=308)
    board = await here.request.app.state.feed.current()
    today = await read_today(here.request, board)
    view = page_view(board, here.t, today, here.pages.streets)
    if view is None:
        return here.page_of("empty.html")
    return here.page_of(
        "now.html",
        view=view,
        boot=here.boot(**boot(view, today, here)),
        spark_half=SPARK_HALF,
        course_height=HEIGHT,
        hour_width=HOUR_WIDTH,
        ring_radius=ring_radius,
    )


PAGE: Final = Page("now", answer, browser=("live", "status", "usual"))


def live_rules(stations: Sequence[StationView], today: Today, here: Here) -> dict[str, Any]:
    """What scripts need that follow the stream: its address, the rules, and what is known of today."""
    return {
        "live": here.base + LIVE,
        "zones": {station.id: station.zone for station in stations},
        "rules": {
            "silentAfterS": SILENT_AFTER_S,
            "onTheirWayS": ON_THEIR_WAY_S,
            "complete": COMPLETE,
            "recentMinutes": RECENT_MINUTES,
            "historicAfterS": HISTORIC_AFTER.total_seconds(),
            "sparkHalf": SPARK_HALF,
            "leastUsual": LEAST,
            "courseHeight": HEIGHT,
            "hourWidth": HOUR_WIDTH,
        },
        "days": {name: day_json(day) for name, day in today.days.items() if day.is_compared},
    }


def day_json(day: Day) -> dict[str, Any]:
    """A day as scripts want it: of each hour its start and end (ms), its count if all of it was measured, the usual."""
    return {
        "before": day.before,
        "hours": [
            [
                int(hour.start.timestamp() * 1000),
                int(hour.end.timestamp() * 1000),
                hour.count if hour.is_measured else None,
                hour.usual,
            ]
            for hour in day.hours
        ],
    }


def boot(view: PageView, today: Today, here: Here) -> dict[str, Any]:
    """What the scripts need to know beside what every page's scripts need."""
    content = live_rules(view.stations, today, here) | {"first": view.stations[0].id, "tiles": None}
    tiles = here.pages.tiles
    if tiles is not None:
        content["tiles"] = {
            "url": tiles.url,
            "isStyle": tiles.is_style,
            "library": f"{here.static}/vendor/maplibre/maplibre-gl.mjs",
            "style": f"{here.static}/vendor/maplibre/maplibre-gl.css",
            "places": [
                [[spot.id, spot.longitude, spot.latitude, spot.line] for spot in panel.spots] for panel in view.panels
            ],
        }
    return content
