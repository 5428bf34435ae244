"""What everybody may know of intervals that are over: for the doors that give or send out one interval at a time.

A context broker and the public topics of MQTT get the same numbers as the API gives for the same time, because they
are worked out by the same steps, under the public's rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.answers import Answer
from footfall_api.asked import Places, plan
from footfall_api.counts import block, tally_groups
from footfall_api.database import Connection
from footfall_api.intervals import Resolution, interval_of
from footfall_api.publication import Publication
from footfall_api.question import Dimension, Question, TooFineError
from footfall_api.ranges import Range
from footfall_api.stations import Station

GRACE_S: Final = 90
"""Seconds after its end in which the reports on an interval arrive. Until then it is sent out only if it is whole."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a station counted in [start_s, end_s), an interval that is over (UTC unix seconds)."""

    station: Station
    resolution: Resolution
    start_s: int
    end_s: int
    passages: Mapping[str, int]
    """By direction (``in``, ``out``, ``undirected``), those that the station counts. They hold if it is `counted`."""
    answer: Answer

    def count(self, direction: str) -> int | None:
        """The passages in a direction; None: there is no number, or the station does not count this direction."""
        return self.passages.get(direction) if self.answer.counted else None

    @property
    def total(self) -> int | None:
        """The passages in all directions; None: there is no number."""
        return sum(self.passages.values()) if self.answer.counted else None

    def is_due(self, now_s: int) -> bool:
        """Whether it need not wait for reports any longer."""
        return self.answer.final or now_s >= self.end_s + GRACE_S


def check_standard(rules: Publication, resolution: Resolution) -> None:
    """Refuse intervals that these doors do not have.

    Raises:
        TooFineError: it names those that they have.
    """
    if resolution not in rules.standard:
        raise TooFineError(
            "resolution", f"intervals of {resolution} are not public here; there are {', '.join(rules.standard)}"
        )


def last_ended(rules: Publication, resolution: Resolution, zone: ZoneInfo, now_s: int) -> Range:
    """The newest interval that is over and public at `now_s`, by the clocks of `zone` (UTC unix seconds)."""
    end_s = interval_of(resolution, rules.known_s(now_s), zone)[0]
    return interval_of(resolution, end_s - 1, zone)[0], end_s


def by_zone(places: Places) -> list[tuple[ZoneInfo, Places]]:
    """The stations of some places, in groups of one time zone each: only these share their intervals."""
    zones = dict.fromkeys(station.zone for station in places.stations)
    return [
        (zone, replace(places, stations=[station for station in places.stations if station.zone == zone]))
        for zone in zones
    ]


async def read_published(  # noqa: PLR0917  # as many as the thing has parts
    connection: Connection,
    places: Places,
    resolution: Resolution,
    edges_s: Sequence[int],
    rules: Publication,
    now_s: int,
) -> list[Published]:
    """What is public of the stations of one time zone, interval by interval and then in the order of the stations.

    `edges_s` are the edges of intervals that are over, in that zone (UTC unix seconds). In the connection's snapshot.
    """
    if not places.stations or len(edges_s) < 2:
        return []
    ids = tuple(station.id for station in places.stations)
    by_direction = frozenset({Dimension.DIRECTION})
    question = Question(ids, edges_s[0], edges_s[-1], resolution, by_direction, places.stations[0].zone)
    planned = await plan(connection, question, places, rules, now_s)
    tallies = await tally_groups(connection, planned.groups, edges_s, planned.hidden)
    found = block(
        planned.groups, tallies, edges_s, question=question, classes=(), now_s=rules.known_s(now_s),
        small_below=planned.hidden.small_below,
    )  # fmt: skip
    columns: list[list[tuple[str, Sequence[int]]]] = [[] for _ in planned.groups]
    for column in found.columns:
        columns[column.group].append((column.direction, column.counts))
    return [
        Published(
            station,
            resolution,
            edges_s[i],
            edges_s[i + 1],
            {direction: counts[i] for direction, counts in columns[n]},
            found.answers[n][i],
        )
        for i in range(len(edges_s) - 1)
        for n, station in enumerate(places.stations)
    ]
