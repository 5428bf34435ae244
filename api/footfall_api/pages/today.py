"""What the page of today and the kiosk ask the API for: today by the hour, what is usual then, and today's remarks.

All of it is public and the same for everybody, so it is asked for once and shared (`footfall_api.pages.kept`). What is
usual is worked out anew at most once an hour for each station, today's hours at most once a minute for all of them.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request

from footfall_api.board import Board, StationBoard
from footfall_api.pages.inner import ask
from footfall_api.pages.kept import Kept, Made

_HOURS_FRESH: Final = timedelta(minutes=1)
_HOURS_GOOD: Final = timedelta(minutes=3)
_AN_HOUR: Final = timedelta(hours=1)
_NAMED: Final = 100
"""Stations in one question, so that its address does not get too long."""


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of today on the local clock. `usual`: the mean of the like days; None: too few of them were measured.

    `count`, `state` and `reason` are as in the API's answers; those of the running hour are of some moment of it.
    """

    start: datetime
    end: datetime
    count: int | None
    state: str
    reason: str | None
    usual: float | None

    @property
    def is_measured(self) -> bool:
        """Whether all of it was measured."""
        return self.state == "measured" and self.count is not None


@dataclass(frozen=True, slots=True)
class Day:
    """Today at one station.

    `hours`: all of the local day, those to come among them. `before`: what is usual in the last hour of yesterday.
    `is_compared`: the API has said what is usual; else no hour has it.
    """

    hours: tuple[Hour, ...]
    before: float | None
    is_compared: bool


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on some time of today: where, what about, and until when (None: until further notice)."""

    id: int
    kind: str
    text: str
    stations: tuple[str, ...]
    start: datetime
    end: datetime | None
    excludes: bool


@dataclass(frozen=True, slots=True)
class Today:
    """What could be had. `days` by station; a station is absent where the API did not answer in time."""

    days: Mapping[str, Day]
    remarks: tuple[Remark, ...]


async def read_today(request: Request, board: Board) -> Today:
    """What the API says of today at the stations of `board`; without what cannot be had soon."""
    kept: Kept = request.app.state.kept
    asker = _Asker(_as_anybody(request))
    zones: dict[tuple[datetime, datetime, str], list[StationBoard]] = {}
    for station in board.stations:
        today = station.today
        zones.setdefault((today.start, today.end, station.timezone), []).append(station)
    counted, usual = await asyncio.gather(
        asyncio.gather(*(_counted(kept, asker, day, stations) for day, stations in zones.items())),
        asyncio.gather(*(_usual(kept, asker, station) for station in board.stations)),
    )
    means = dict(zip((station.id for station in board.stations), usual, strict=True))
    hours: dict[str, list[Mapping[str, Any]]] = {}
    remarks: dict[int, Remark] = {}
    for found in counted:
        if found is not None:
            hours.update(found[0])
            remarks.update((remark.id, remark) for remark in found[1])
    return Today(
        {
            station.id: day_of(hours[station.id], means[station.id], station.today.start)
            for station in board.stations
            if station.id in hours
        },
        tuple(sorted(remarks.values(), key=lambda remark: (remark.start, remark.id))),
    )


def day_of(values: Iterable[Mapping[str, Any]], means: Mapping[datetime, float | None] | None, start: datetime) -> Day:
    """The hours of today as the API counts them, joined with what is usual; `means` None: nobody knows."""
    known = means or {}
    hours = []
    for value in values:
        begin = datetime.fromisoformat(value["start"])
        hours.append(
            Hour(
                begin,
                datetime.fromisoformat(value["end"]),
                value["count"],
                value["state"],
                value["reason"],
                known.get(begin),
            )
        )
    return Day(tuple(hours), known.get(start - _AN_HOUR), means is not None)


def remark_of(found: Mapping[str, Any]) -> Remark:
    """A remark from the API's answer."""
    return Remark(
        found["id"],
        found["kind"],
        found["text"],
        tuple(found["stations"]),
        datetime.fromisoformat(found["from"]),
        None if found["to"] is None else datetime.fromisoformat(found["to"]),
        found["excludes"],
    )


class _Asker:
    """Asks the API as anybody could, without what this visitor has brought along: all will see the answer."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __call__(self, path: str, **query: object) -> Any:
        words = {name.rstrip("_"): value for name, value in query.items()}
        return await ask(self._request, f"/api/v1/{path}", urlencode(words, doseq=True))


def _as_anybody(request: Request) -> Request:
    headers = [(name, value) for name, value in request.scope["headers"] if name == b"host"]
    return Request({**request.scope, "headers": headers})


async def _counted(
    kept: Kept, ask_for: _Asker, day: tuple[datetime, datetime, str], stations: Sequence[StationBoard]
) -> tuple[Mapping[str, list[Mapping[str, Any]]], tuple[Remark, ...]] | None:
    """The hours of a local day (its start, its end and the name of its zone) by station, and the remarks on it."""
    start, end, zone = day
    names = sorted(station.id for station in stations)

    async def make() -> Made[tuple[Mapping[str, list[Mapping[str, Any]]], tuple[Remark, ...]]]:
        hours: dict[str, list[Mapping[str, Any]]] = {name: [] for name in names}
        remarks: dict[int, Remark] = {}
        for first in range(0, len(names), _NAMED):
            some = ",".join(names[first : first + _NAMED])
            answer = await ask_for(
                "counts", station=some, from_=start.isoformat(), to=end.isoformat(), resolution="1h", tz=zone
            )
            for value in answer["values"]:
                hours[value["station"]].append(value)
            remarks.update((found["id"], remark_of(found)) for found in answer["remarks"])
        now = kept.now()
        return Made((hours, tuple(remarks.values())), now + _HOURS_FRESH, min(now + _HOURS_GOOD, end))

    return await kept.get(("the hours of today", start, zone, tuple(names)), make)


async def _usual(kept: Kept, ask_for: _Asker, station: StationBoard) -> Mapping[datetime, float | None] | None:
    """What is usual in each hour of a station's day and in the one before it; kept until the local hour is over."""
    start, end = station.today.start, station.today.end

    async def make() -> Made[Mapping[datetime, float | None]]:
        async with kept.few:
            answer = await ask_for(
                f"stations/{station.id}/compare",
                from_=(start - _AN_HOUR).isoformat(),
                to=end.isoformat(),
                resolution="1h",
            )
        means = {datetime.fromisoformat(value["start"]): value["usual_4_weeks"]["mean"] for value in answer["values"]}
        fresh_until = min(kept.now() + _AN_HOUR, end)
        return Made(means, fresh_until, end)

    return await kept.get(("what is usual", station.id, start), make)
