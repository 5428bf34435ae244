"""Series of counts for the summaries, made from a rule instead of a database."""

from collections.abc import Callable
from datetime import date, datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.answers import Answer, Reason, State
from footfall_api.intervals import Resolution, calendar_edges, day_start
from footfall_api.summary.series import Series

BERLIN: Final = ZoneInfo("Europe/Berlin")

MEASURED: Final = Answer(State.MEASURED, None, 1.0, counted=True, final=True)
SILENT: Final = Answer(State.MISSING, Reason.SILENT, 0.0, counted=False, final=True)
NOT_REPORTED: Final = Answer(State.MISSING, Reason.NOT_REPORTED, 0.0, counted=False, final=True)
EXCLUDED: Final = Answer(State.MISSING, Reason.EXCLUDED, 0.0, counted=False, final=True)
NOT_INSTALLED: Final = Answer(State.MISSING, Reason.NOT_INSTALLED, None, counted=False, final=True)
PARTIAL: Final = Answer(State.PARTIAL, Reason.SILENT, 0.5, counted=True, final=True)
RECOVERED: Final = Answer(State.RECOVERED, None, 0.0, counted=True, final=True)
COARSE: Final = Answer(State.COARSE, "1d", 0.0, counted=False, final=True)
BEGUN: Final = Answer(State.MEASURED, Reason.NOT_INSTALLED, 1.0, counted=True, final=True)
"""Wholly measured from the moment on at which a sensor was put up, in the middle of the interval."""

STATION: Final = frozenset({"markt"})


def at(*when: int) -> int:
    """An instant of Jena's clock: year, month, day, hour, … (the earlier one, where October has two)."""
    return int(datetime(*when, tzinfo=BERLIN).timestamp())  # type: ignore[misc,arg-type]


def midnight(day: date) -> int:
    """When a day begins in Jena."""
    return day_start(day, BERLIN)


def series(
    first: date,
    end: date,
    resolution: Resolution = Resolution.HOUR,
    *,
    count: Callable[[datetime], int] = lambda _: 100,
    answer: Callable[[datetime], Answer] = lambda _: MEASURED,
    carried: Callable[[datetime], frozenset[str] | None] = lambda _: STATION,
    direction: str = "all",
) -> Series:
    """What a station in Jena has in [first, end), by rules that are given the local beginning of each interval."""
    edges_s = calendar_edges(resolution, midnight(first), midnight(end), BERLIN)
    starts = [datetime.fromtimestamp(start_s, BERLIN) for start_s, _ in pairwise(edges_s)]
    answers = [answer(start) for start in starts]
    counts = [count(start) if found.counted else None for start, found in zip(starts, answers, strict=True)]
    return Series(direction, "all", "all", edges_s, answers, counts, [carried(start) for start in starts])
