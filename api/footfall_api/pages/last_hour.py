"""The last hour of one station, minute by minute, as the server writes it first; ``static/js/last_hour.js`` goes on.

What was measured comes from the board. The script follows the same rules for every new board, and a test holds the two
to the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.board import Reading, StationBoard
from footfall_api.messages import Catalogue
from footfall_api.pages.measured import DASH, numeral, state_text
from footfall_api.pages.places import direction_label
from footfall_api.pages.plot import Plot, Series, runs
from footfall_api.pages.station_view import COLOURS

LEAST_TOP: Final = 4
"""The axis reaches at least so far, so that one passage is no peak."""


@dataclass(frozen=True, slots=True)
class MinuteView:
    """One minute in the table."""

    start: datetime
    clock: str
    counts: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class LastHour:
    """Chart, sentence and table of the last hour, newest minute first."""

    plot: Plot
    summary: str
    heads: tuple[str, ...]
    minutes: tuple[MinuteView, ...]
    caption: str
    as_of: str


def last_hour(station: StationBoard, at: datetime, t: Catalogue, source: str) -> LastHour:
    """The last hour of `station` as it was `at`."""
    zone = ZoneInfo(station.timezone)
    local = at.astimezone(zone)
    heads = [direction_label(key, station.labels, t) for key in station.directions]
    if len(heads) > 1:
        heads.append(t("minutes.total"))
    newest = len(station.minutes) - 1
    title = t("minutes.caption", name=station.name, zone=t.zone(local))
    return LastHour(
        plot=Plot(
            kind="bars",
            title=title,
            source=source,
            unit=t("minutes.axis"),
            x=[minute.start.isoformat() for minute in station.minutes],
            series=[
                Series(
                    direction_label(key, station.labels, t),
                    COLOURS[key],
                    [minute.counts.get(key) for minute in station.minutes],
                    mirror=key == "out" and len(station.directions) > 1,
                )
                for key in station.directions
            ],
            words={
                "gap": t("minutes.gap"),
                "partial": t("minutes.partial"),
                "none": DASH,
                "failed": t("minutes.failed"),
            },
            zone=station.timezone,
            resolution="1min",
            partial=[
                index
                for index, minute in enumerate(station.minutes)
                if minute.count is not None and (index == newest or minute.state != "measured")
            ],
            gaps=runs(minute.count is None for minute in station.minutes),
            top=LEAST_TOP,
        ),
        summary=summary(station, t),
        heads=tuple(heads),
        minutes=tuple(
            minute_view(minute, station, t, index == newest) for index, minute in _newest_first(station.minutes)
        ),
        caption=title,
        as_of=t("minutes.as_of", time=t.clock(local, seconds=True), zone=t.zone(local)),
    )


def _newest_first(minutes: Sequence[Reading]) -> list[tuple[int, Reading]]:
    return list(enumerate(minutes))[::-1]


def minute_view(reading: Reading, station: StationBoard, t: Catalogue, running: bool) -> MinuteView:
    """One row of the table."""
    counts = [numeral(reading.counts.get(key), t) for key in station.directions]
    if len(counts) > 1:
        counts.append(numeral(reading.count, t))
    state = t("state.running") if running else state_of(reading, t)
    return MinuteView(reading.start, t.clock(reading.start), tuple(counts), state)


def state_of(reading: Reading, t: Catalogue) -> str:
    """The state of a minute in words."""
    return state_text(reading.state, reading.reason, reading.coverage, t)


def summary(station: StationBoard, t: Catalogue) -> str:
    """The hour in a sentence or two."""
    counts = [minute.count for minute in station.minutes if minute.count is not None]
    if not counts:
        return t("minutes.text_none")
    missing = len(station.minutes) - len(counts)
    gaps = f" {t('minutes.text_gaps', missing)}" if missing else ""
    total = sum(counts)
    if not total:
        return t("minutes.text_quiet") + gaps
    peak = max(station.minutes, key=lambda minute: minute.count or 0)
    parts = [
        t(
            "minutes.part",
            count=t.number(sum(minute.counts.get(key) or 0 for minute in station.minutes)),
            label=direction_label(key, station.labels, t),
        )
        for key in station.directions
    ]
    told = t("minutes.text_total", total)
    if len(parts) > 1:
        told = f"{told} ({'; '.join(parts)})"
    return t("minutes.text", parts=told, peak=t.number(peak.count or 0), time=t.clock(peak.start)) + gaps
