"""Answer a question: which sensors belong to it, what they have in each interval, and what that allows to say.

The rows of an answer are the cells of a table: an interval for each line, and for each combination of the dimensions
that are split by a `Column`. Columns of one group of sensors share their state: how well a time was measured does not
depend on the direction in which somebody walked.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.answers import Answer, Evidence, judge, phase_of
from footfall_api.database import Connection, Pool, snapshot
from footfall_api.intervals import Resolution, interval_of
from footfall_api.question import Dimension, Question
from footfall_api.stations import DIRECTION_WORDS, Installation, Station, directions_of
from footfall_api.tally import Leg, LegTally, tally
from footfall_contract.words import PassageClass

ALL: Final = "all"
"""Stands for a dimension that is not split by."""

PIECE_INTERVALS: Final = 10_000
"""Intervals worked out at a time: a year of hours. The statements for them end well before their timeout."""

PIECE_S: Final = 400 * 86_400
"""No piece looks at more time than this, however long its intervals are."""

CLASS_WORDS: Final[dict[int, str]] = {number: number.name.lower() for number in PassageClass}
"""The classes as the API writes them."""


@dataclass(frozen=True, slots=True)
class Column:
    """The counts of one direction, class and sensor (or `ALL` of them), one for each interval."""

    direction: str
    class_: str
    sensor: str
    group: int
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive intervals of an answer. `answers` has, for each group of sensors, one answer for each interval.

    A column's count holds only where its group's answer has a count.
    """

    edges_s: Sequence[int]
    answers: Sequence[Sequence[Answer]]
    columns: Sequence[Column]


@dataclass(frozen=True, slots=True)
class Group:
    """Sensors whose counts are added up: the parts of a station, or one sensor by itself."""

    sensor: str
    installations: tuple[Installation, ...]

    @property
    def directions(self) -> tuple[int, ...]:
        """The directions that the group counts."""
        return directions_of(self.installations)


def groups_of(station: Station, split: frozenset[Dimension]) -> list[Group]:
    """The groups of a station's sensors: one, or with the sensors split one for each, references among them.

    A station without sensors has one group without sensors: its gaps are values too.
    """
    if Dimension.SENSOR not in split or not station.installations:
        return [Group(ALL, tuple(station.parts()))]
    sensors = sorted({installation.sensor for installation in station.installations})
    return [
        Group(sensor, tuple(found for found in station.installations if found.sensor == sensor)) for sensor in sensors
    ]


async def blocks(
    pool: Pool, station: Station, question: Question, now_s: int, limit: int
) -> AsyncGenerator[Block, None]:
    """The answer to a question, in pieces; at most `limit` intervals in all.

    Each piece is one state of the database. Between pieces no connection is held, so that a slow reader keeps nobody
    waiting.
    """
    groups = groups_of(station, question.split)
    classes: Sequence[int] = ()
    if Dimension.CLASS in question.split:
        async with snapshot(pool) as connection:
            classes = await _classes(connection, groups, question)
    size = max(1, min(PIECE_INTERVALS, PIECE_S // question.resolution.longest_s))
    for piece in question.pieces(min(size, limit)):
        edges_s = piece[: limit + 1]
        async with snapshot(pool) as connection:
            tallies = await tally_groups(connection, groups, edges_s)
        yield await asyncio.to_thread(block, groups, tallies, edges_s, question=question, classes=classes, now_s=now_s)
        limit -= len(edges_s) - 1
        if limit <= 0:
            return


async def tally_groups(connection: Connection, groups: Sequence[Group], edges_s: Sequence[int]) -> list[list[LegTally]]:
    """For each group what its sensors have between the edges."""
    legs = [
        [leg for i in group.installations if (leg := Leg.of(i, edges_s[0], edges_s[-1])) is not None]
        for group in groups
    ]
    found = iter(await tally(connection, [leg for group in legs for leg in group], edges_s))
    return [[next(found) for _ in group] for group in legs]


_CLASSES: Final = """
SELECT DISTINCT class FROM count_minute
WHERE sensor = ANY(%(sensors)s) AND bucket >= to_timestamp(%(from)s) AND bucket < to_timestamp(%(to)s)
UNION
SELECT DISTINCT class FROM count_span
WHERE sensor = ANY(%(sensors)s) AND starts >= to_timestamp(%(from)s) AND starts < to_timestamp(%(to)s)
"""


async def _classes(connection: Connection, groups: Sequence[Group], question: Question) -> list[int]:
    """The classes that the sensors told apart in the time asked for; pedestrians if they counted nobody."""
    keys = [i.sensor_key for group in groups for i in group.installations]
    asked = {"sensors": keys, "from": question.from_s, "to": question.to_s}
    cursor = await connection.execute(_CLASSES, asked)
    return sorted(row[0] for row in await cursor.fetchall()) or [PassageClass.PEDESTRIAN]


def columns_of(
    group: Group,
    number: int,
    tallies: Sequence[LegTally],
    size: int,
    *,
    split: frozenset[Dimension],
    classes: Sequence[int] = (),
) -> list[Column]:
    """The columns of one group, the `number`-th of the answer, for `size` intervals."""
    directions: Sequence[int | None] = group.directions if Dimension.DIRECTION in split else (None,)
    return [
        Column(
            ALL if direction is None else DIRECTION_WORDS[direction],
            ALL if class_ is None else CLASS_WORDS[class_],
            group.sensor,
            number,
            _sum(tallies, size, direction, class_),
        )
        for direction in directions
        for class_ in (classes if Dimension.CLASS in split else (None,))
    ]


def _sum(tallies: Sequence[LegTally], size: int, direction: int | None = None, class_: int | None = None) -> list[int]:
    """The counts of all cells with this direction and class (None: any)."""
    found = [
        counts
        for tally_ in tallies
        for (cell_direction, cell_class), counts in tally_.counts.items()
        if direction in (None, cell_direction) and class_ in (None, cell_class)
    ]
    if len(found) == 1:
        return found[0]
    return [sum(counts) for counts in zip(*found, strict=True)] if found else [0] * size


def group_answers(
    tallies: Sequence[LegTally], edges_s: Sequence[int], resolution: Resolution, zone: ZoneInfo, now_s: int
) -> list[Answer]:
    """The answer of a group of sensors for each interval."""
    passages = _sum(tallies, len(edges_s) - 1)
    cuts = _Cuts(resolution, zone)
    answers = []
    for i, (start_s, end_s) in enumerate(pairwise(edges_s)):
        elapsed_s = max(0, min(end_s, now_s) - start_s)
        installed = [_overlap_s(found.leg, start_s, start_s + elapsed_s) for found in tallies]
        spans = [span for found in tallies if i in found.cuts for span in found.cuts[i]]
        evidence = Evidence(
            phase_of(start_s, end_s, now_s),
            expected_s=sum(installed),
            observed_s=sum([found.observed_s[i] for found in tallies]),
            reported_s=sum([found.reported_s[i] for found in tallies]),
            recovered_s=sum([found.recovered_s[i] for found in tallies]),
            passages=passages[i],
            cut=bool(spans),
            coarse=cuts.finest(spans) if spans else None,
            always_installed=elapsed_s in installed or _covered([t.leg for t in tallies], start_s, start_s + elapsed_s),
        )
        answers.append(judge(evidence))
    return answers


def _overlap_s(leg: Leg, start_s: int, end_s: int) -> int:
    return max(0, min(end_s, leg.window_to_s) - max(start_s, leg.window_from_s))


def _covered(legs: Sequence[Leg], start_s: int, end_s: int) -> bool:
    """Whether at each moment of [start_s, end_s) one of the legs at least was installed."""
    for leg in sorted(legs, key=lambda leg: leg.window_from_s):
        if leg.window_from_s <= start_s:
            start_s = max(start_s, leg.window_to_s)
    return start_s >= end_s


class _Cuts:
    """Finds the resolution that has the number of spans too long for the one asked for."""

    def __init__(self, resolution: Resolution, zone: ZoneInfo) -> None:
        self._coarser = resolution.coarser
        self._zone = zone
        self._known: dict[tuple[int, int], int] = {}

    def finest(self, spans: Sequence[tuple[int, int]]) -> str | None:
        """The finest resolution each of whose intervals holds one of the spans whole; None if even a year does not."""
        place = max(self._place(span) for span in spans)
        return self._coarser[place] if place < len(self._coarser) else None

    def _place(self, span: tuple[int, int]) -> int:
        if span not in self._known:
            holds = (interval_of(r, span[0], self._zone)[1] >= span[1] for r in self._coarser)
            self._known[span] = next((i for i, whole in enumerate(holds) if whole), len(self._coarser))
        return self._known[span]


def block(
    groups: Sequence[Group],
    tallies: Sequence[Sequence[LegTally]],
    edges_s: Sequence[int],
    *,
    question: Question,
    classes: Sequence[int],
    now_s: int,
) -> Block:
    """The part of an answer between the edges, its columns in order of direction, class and sensor."""
    size = len(edges_s) - 1
    columns = [
        column
        for number, (group, found) in enumerate(zip(groups, tallies, strict=True))
        for column in columns_of(group, number, found, size, split=question.split, classes=classes)
    ]
    # Stable: within a direction and class the sensors keep the order of their ids.
    columns.sort(key=lambda column: (_ORDER[column.direction], _ORDER[column.class_]))
    answers = [group_answers(found, edges_s, question.resolution, question.zone, now_s) for found in tallies]
    return Block(edges_s, answers, columns)


_ORDER: Final = {word: i for i, word in enumerate((ALL, *DIRECTION_WORDS.values(), *CLASS_WORDS.values()))}
"""Directions and classes in the order of their numbers."""
