"""What the kiosk shows: some stations, the sum of them, and how its tiles are laid out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.board import Board
from footfall_api.messages import Catalogue
from footfall_api.pages.now_view import (
    LIVE_STATUSES,
    RemarkView,
    StationView,
    TotalView,
    remark_view,
    station_view,
    total_view,
)
from footfall_api.pages.today import Today

MOST: Final = 12
"""Stations on one screen; of more, nobody could read any from four metres."""


@dataclass(frozen=True, slots=True)
class KioskView:
    """The screen. `across`, `upright`: columns of tiles on a screen that lies, and on one that stands.

    `unknown`: names that were asked for and are no station's; `left_out`: how many found no room.
    """

    clock: str
    date: str
    at: str
    total: TotalView
    stations: tuple[StationView, ...]
    remarks: tuple[RemarkView, ...]
    across: int
    upright: int
    unknown: tuple[str, ...]
    left_out: int


def kiosk_view(board: Board, t: Catalogue, today: Today, wanted: Sequence[str]) -> KioskView | None:
    """The screen for the stations `wanted`, in that order, or for all if none of them is known; None: there is none."""
    if not board.stations:
        return None
    views = {station.id: station_view(station, board.at, t, today.days.get(station.id)) for station in board.stations}
    named = [views[name] for name in dict.fromkeys(wanted) if name in views]
    usual_order = sorted(views.values(), key=lambda view: (view.status not in LIVE_STATUSES, view.name.casefold()))
    chosen = (named or usual_order)[:MOST]
    local = board.at.astimezone(ZoneInfo(chosen[0].timezone))
    names = {view.id for view in chosen}
    return KioskView(
        clock=t.clock(local),
        date=day_text(local, t),
        at=t("live.as_of", time=t.clock(local, seconds=True), zone=chosen[0].zone),
        total=total_view(chosen, t),
        stations=tuple(chosen),
        remarks=tuple(remark_view(remark, board, t) for remark in today.remarks if names.intersection(remark.stations)),
        across=columns(len(chosen), 1.6),
        upright=columns(len(chosen), 0.5),
        unknown=tuple(name for name in dict.fromkeys(wanted) if name not in views),
        left_out=len(named or usual_order) - len(chosen),
    )


def day_text(moment: datetime, t: Catalogue) -> str:
    """The day as a clock on a wall shows it."""
    return f"{t.weekday(moment.weekday())}, {t.date(moment)}"


def columns(count: int, wide: float) -> int:
    """How many columns `count` tiles of usual shape need, on a screen `wide` times as wide as high."""
    ideal = math.sqrt(count * wide)
    # Rather a full last row than the very best shape.
    best = max(1, round(ideal))
    return min((n for n in (best, best + 1, best - 1) if n > 0), key=lambda n: (-count % n, abs(n - ideal)))
