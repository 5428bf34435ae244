"""Answer a question: which sensors belong to it, what they have in each interval, and what that allows to say.

The rows of an answer are the cells of a table: an interval for each line, and for each combination of the dimensions
that are split by a `Column`. Columns of one group of sensors share their state: how well a time was measured does not
depend on the direction in which somebody walked.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import not_
from typing import Any, Final
from zoneinfo import ZoneInfo

from footfall_api.answers import SETTLED_AFTER_S, Answer, Evidence, Phase, judge, phase_of, withheld
from footfall_api.database import Connection, Pool, snapshot
from footfall_api.intervals import Resolution, interval_of
from footfall_api.question import Dimension, Question
from footfall_api.ranges import common, merged, seconds_by_interval, without
from footfall_api.small import suppressed
from footfall_api.stations import DIRECTION_WORDS, PART, Installation, Station, directions_of
from footfall_api.tally import NOTHING_HIDDEN, Hidden, Leg, LegTally, classes_counted, tally
from footfall_contract.words import PassageClass

ALL: Final = "all"
"""Stands for a dimension that is not split by."""

PIECE_INTERVALS: Final = 10_000
"""Intervals worked out at a time: a year of hours. The statements for them end well before their timeout."""

FIRST_INTERVALS: Final = 1000
"""Intervals of the first piece of several, so that who asks for years does not wait for the first of them."""

PIECE_CELLS: Final = 100_000
"""Rows worked out at a time, at most: what an answer takes in memory does not grow with the city."""

PIECE_S: Final = 400 * 86_400
"""No piece looks at more time than this, however long its intervals are."""

CLASS_WORDS: Final[dict[int, str]] = {number: number.name.lower() for number in PassageClass}
"""The classes as the API writes them."""


@dataclass(frozen=True, slots=True)
class Column:
    """The counts of one station, direction, class and sensor (or `ALL` of them), one for each interval."""

    station: str
    direction: str
    class_: str
    sensor: str
    group: int
    counts: Sequence[int]
    withheld: frozenset[int] = frozenset()
    """The intervals whose count is too small to be public."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive intervals of an answer. `answers` has, for each group of sensors, one answer for each interval.

    A column's count holds only where its group's answer is `counted`.
    """

    edges_s: Sequence[int]
    answers: Sequence[Sequence[Answer]]
    columns: Sequence[Column]
    known: Sequence[Mapping[str, Sequence[int]]]
    """By group, and for a sum over stations by station: what it has in each interval; 0: nothing."""

    def answers_of(self, column: Column) -> Sequence[Answer]:
        """What is said of each count of a column."""
        answers = self.answers[column.group]
        if not column.withheld:
            return answers
        return [withheld(answer) if i in column.withheld else answer for i, answer in enumerate(answers)]

    def carried(self, group: int, i: int) -> tuple[str, ...]:
        """Which stations a group's sum over stations is made of in the `i`-th interval; empty for one station alone."""
        return tuple(station for station, known in self.known[group].items() if known[i])


@dataclass(frozen=True, slots=True)
class Member:
    """A sensor at a station for one stretch of time."""

    station: str
    installation: Installation

    def leg(self, start_s: int, end_s: int, hidden: Hidden = NOTHING_HIDDEN) -> Leg | None:
        """Its time within [start_s, end_s), with what of that is hidden; None if it was not installed then."""
        return Leg.of(self.station, self.installation, start_s, end_s, hidden)


@dataclass(frozen=True, slots=True)
class Group:
    """Sensors whose counts are added up: a station's parts, one sensor of it, or either over several stations.

    `station` and `sensor` are an id, or `ALL` for a sum.
    """

    station: str
    sensor: str
    members: tuple[Member, ...]

    @property
    def directions(self) -> tuple[int, ...]:
        """The directions that the group counts."""
        return directions_of([member.installation for member in self.members])


def groups_of(stations: Sequence[Station], split: frozenset[Dimension], *, together: bool) -> list[Group]:
    """The groups that some stations' sensors are added up in.

    One for each station, or `together` one for all; with the sensors split one for each of these and each sensor,
    references among them. A station without sensors has one group without sensors: its gaps are values too.
    """
    sums = [(ALL, stations)] if together else [(station.id, [station]) for station in stations]
    return [group for name, summed in sums for group in _groups_of_sum(name, summed, split)]


def _groups_of_sum(name: str, stations: Sequence[Station], split: frozenset[Dimension]) -> list[Group]:
    members = [Member(station.id, found) for station in stations for found in station.installations]
    if Dimension.SENSOR not in split or not members:
        return [Group(name, ALL, tuple(member for member in members if member.installation.role == PART))]
    sensors = sorted({member.installation.sensor for member in members})
    return [
        Group(name, sensor, tuple(member for member in members if member.installation.sensor == sensor))
        for sensor in sensors
    ]


@dataclass(frozen=True, slots=True)
class Tallied:
    """All that is counted for an answer of one piece."""

    edges_s: Sequence[int]
    tallies: Sequence[Sequence[LegTally]]
    """By group."""
    classes: Sequence[int]
    """Those that are told apart."""


async def tally_whole(
    connection: Connection,
    groups: Sequence[Group],
    question: Question,
    limit: int,
    hidden: Hidden = NOTHING_HIDDEN,
) -> Tallied | None:
    """What an answer, or its last page, is made from if that is one piece of at most `limit` intervals; else None.

    In the connection's snapshot.
    """
    edges_s = next(question.pieces(min(_piece_size(groups, question), limit)))
    if edges_s[-1] < question.to_s:
        return None
    classes = await _classes(connection, groups, question, hidden)
    return Tallied(edges_s, await tally_groups(connection, groups, edges_s, hidden), classes)


def _piece_size(groups: Sequence[Group], question: Question) -> int:
    """How many intervals are worked out at a time."""
    directions = (len(group.directions) if Dimension.DIRECTION in question.split else 1 for group in groups)
    columns = sum(directions) * (len(CLASS_WORDS) if Dimension.CLASS in question.split else 1)
    cells = PIECE_CELLS // max(1, columns)
    return max(1, min(PIECE_INTERVALS, cells, PIECE_S // question.resolution.longest_s))


async def blocks(
    pool: Pool,
    groups: Sequence[Group],
    question: Question,
    now_s: int,
    limit: int,
    *,
    hidden: Hidden = NOTHING_HIDDEN,
    tallied: Tallied | None = None,
) -> AsyncGenerator[Block, None]:
    """The answer to a question about some groups of sensors, in pieces; at most `limit` intervals in all.

    Each piece is one state of the database. Between pieces no connection is held, so that a slow reader keeps nobody
    waiting. What is `tallied` already is not read again.
    """
    if tallied is not None:
        yield await asyncio.to_thread(
            block,
            groups,
            tallied.tallies,
            tallied.edges_s,
            question=question,
            classes=tallied.classes,
            now_s=now_s,
            small_below=hidden.small_below,
        )
        return
    async with snapshot(pool) as connection:
        classes = await _classes(connection, groups, question, hidden)
    size = min(_piece_size(groups, question), limit)
    for piece in question.pieces(size, min(size, FIRST_INTERVALS)):
        edges_s = piece[: limit + 1]
        async with snapshot(pool) as connection:
            tallies = await tally_groups(connection, groups, edges_s, hidden)
        yield await asyncio.to_thread(
            block,
            groups,
            tallies,
            edges_s,
            question=question,
            classes=classes,
            now_s=now_s,
            small_below=hidden.small_below,
        )
        limit -= len(edges_s) - 1
        if limit <= 0:
            return


async def tally_groups(
    connection: Connection,
    groups: Sequence[Group],
    edges_s: Sequence[int],
    hidden: Hidden = NOTHING_HIDDEN,
) -> list[list[LegTally]]:
    """For each group what its sensors have between the edges, without what is hidden."""
    legs = _legs(groups, edges_s, hidden)
    found = iter(await tally(connection, [leg for group in legs for leg in group], edges_s))
    return [[next(found) for _ in group] for group in legs]


def _legs(groups: Sequence[Group], edges_s: Sequence[int], hidden: Hidden) -> list[list[Leg]]:
    """For each group the legs between the first and the last edge."""
    return [
        [leg for member in group.members if (leg := member.leg(edges_s[0], edges_s[-1], hidden)) is not None]
        for group in groups
    ]


async def _classes(connection: Connection, groups: Sequence[Group], question: Question, hidden: Hidden) -> list[int]:
    """The classes that the sensors told apart in the time asked for; pedestrians if they counted nobody.

    None unless the question tells them apart.
    """
    if Dimension.CLASS not in question.split:
        return []
    legs = [leg for group in _legs(groups, (question.from_s, question.to_s), hidden) for leg in group]
    return sorted(await classes_counted(connection, legs, question.from_s, question.to_s)) or [PassageClass.PEDESTRIAN]


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
            group.station,
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
    return _added(
        [
            counts
            for found in tallies
            for (cell_direction, cell_class), counts in found.counts.items()
            if direction in (None, cell_direction) and class_ in (None, cell_class)
        ],
        size,
    )


def _added(lists: Sequence[list[int]], size: int) -> list[int]:
    """The sums of lists of `size` numbers, place by place."""
    if not lists:
        return [0] * size
    return lists[0] if len(lists) == 1 else [*map(sum, zip(*lists, strict=True))]


def group_answers(
    tallies: Sequence[LegTally], edges_s: Sequence[int], resolution: Resolution, zone: ZoneInfo, now_s: int
) -> list[Answer]:
    """The answer of a group of sensors for each interval."""
    size = len(edges_s) - 1
    past = [(edges_s[0], min(now_s, edges_s[-1]))]
    # What has happened and is not public yet: of whole intervals that is a reason, of the running one it is not.
    delayed = [(edges_s[min(bisect_left(edges_s, now_s), size)], edges_s[-1])]
    kept = [(found, found.withheld) for found in tallies]
    windows = [common([found.leg.window], past) for found in tallies]
    nowhere = without(past, merged(window for found in windows for window in found))
    # Lists by interval: a year has thousands of intervals, but they are of a few kinds.
    figures = (
        _added([seconds_by_interval(window, edges_s) for window in windows], size),
        _added([found.observed_s for found in tallies], size),
        _added([found.reported_s for found in tallies], size),
        _added([found.recovered_s for found in tallies], size),
        _added([seconds_by_interval(without(common(found.excluded, past), w), edges_s) for found, w in kept], size),
        _added([seconds_by_interval(common(w, [*past, *delayed]), edges_s) for _, w in kept], size),
        [*map(bool, _sum(tallies, size))],
        [*map(not_, seconds_by_interval(nowhere, edges_s))],
    )
    answers: list[Answer] = []
    for phase, intervals in _phases(edges_s, now_s):
        known = _Known(phase)
        kinds = zip(*(figure[intervals.start : intervals.stop] for figure in figures), strict=True)
        answers.extend(map(known.__getitem__, kinds))
    cuts = _Cuts(resolution, zone)
    for i in {i for found in tallies for i in (*found.cuts, *found.undivided)}:
        spans = [span for found in tallies for span in found.cuts.get(i, ())]
        coarse = cuts.finest(spans) if spans else Resolution.HOUR
        kind: tuple[Any, ...] = tuple(figure[i] for figure in figures)
        evidence = Evidence(phase_of(edges_s[i], edges_s[i + 1], now_s), *kind)
        answers[i] = judge(replace(evidence, cut=True, coarse=coarse))
    return answers


def _phases(edges_s: Sequence[int], now_s: int) -> list[tuple[Phase, range]]:
    """The numbers of the intervals in each phase, in order of time."""
    size = len(edges_s) - 1
    settled, ended, begun = (
        min(size, max(0, place))
        for place in (
            bisect_right(edges_s, now_s - SETTLED_AFTER_S) - 1,
            bisect_right(edges_s, now_s) - 1,
            bisect_left(edges_s, now_s),
        )
    )
    bounds = (0, settled, ended, begun, size)
    return [
        (phase, range(first, last))
        for phase, (first, last) in zip(
            (Phase.SETTLED, Phase.ENDED, Phase.OPEN, Phase.FUTURE), pairwise(bounds), strict=True
        )
    ]


class _Known(dict[tuple[Any, ...], Answer]):
    """The answers to what nothing cuts, in one phase, by the figures of the evidence; each is worked out once."""

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self._phase = phase

    def __missing__(self, figures: tuple[Any, ...]) -> Answer:
        answer = self[figures] = judge(Evidence(self._phase, *figures))
        return answer


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
    small_below: int = 0,
) -> Block:
    """The part of an answer between the edges, its columns in order of station, direction, class and sensor.

    Stations are in the order of the groups. Where classes are told apart, counts below `small_below` are withheld.
    """
    size = len(edges_s) - 1
    columns = [
        column
        for number, (group, found) in enumerate(zip(groups, tallies, strict=True))
        for column in columns_of(group, number, found, size, split=question.split, classes=classes)
    ]
    if small_below and Dimension.CLASS in question.split:
        columns = _without_small(columns, groups, tallies, classes, small_below=small_below)
    stations = {station: i for i, station in enumerate(dict.fromkeys(group.station for group in groups))}
    # Stable: within a direction and class the sensors keep the order of their ids.
    columns.sort(key=lambda column: (stations[column.station], _ORDER[column.direction], _ORDER[column.class_]))
    answers = [group_answers(found, edges_s, question.resolution, question.zone, now_s) for found in tallies]
    known = [_known(group, found, size) for group, found in zip(groups, tallies, strict=True)]
    return Block(edges_s, answers, columns, known)


def _without_small(
    columns: Sequence[Column],
    groups: Sequence[Group],
    tallies: Sequence[Sequence[LegTally]],
    classes: Sequence[int],
    *,
    small_below: int,
) -> list[Column]:
    """The columns with their small counts withheld, as `small.suppressed` decides for each group."""
    found: list[Column] = []
    size = len(columns[0].counts) if columns else 0
    for number, group in enumerate(groups):
        # Decided by class and direction, whether the question tells directions apart or not: so answers to both agree.
        cells = [[_sum(tallies[number], size, d, class_) for d in group.directions] for class_ in classes]
        hidden = suppressed(cells, size, small_below)
        places = {CLASS_WORDS[class_]: i for i, class_ in enumerate(classes)}
        found += [
            replace(
                column, withheld=hidden.whole[places[column.class_]] if column.direction == ALL
                else hidden.by_direction[places[column.class_]],
            )
            for column in columns
            if column.group == number
        ]  # fmt: skip
    return found


def _known(group: Group, tallies: Sequence[LegTally], size: int) -> dict[str, list[int]]:
    """By station, for a sum over stations: measured seconds and passages together, so 0 only where there is neither.

    A sensor may count in time that it says it did not measure.
    """
    if group.station != ALL:
        return {}
    return {
        station: _added(
            [
                part
                for found in tallies
                if found.leg.station == station
                for part in (found.observed_s, *found.counts.values())
            ],
            size,
        )
        for station in dict.fromkeys(found.leg.station for found in tallies)
    }


_ORDER: Final = {word: i for i, word in enumerate((ALL, *DIRECTION_WORDS.values(), *CLASS_WORDS.values()))}
"""Directions and classes in the order of their numbers."""


def word_order(word: str) -> int:
    """Where a direction or a class stands among its like."""
    return _ORDER[word]
