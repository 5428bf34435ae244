"""Counts one after another, as the summaries take them, and the rule for which of them may go in.

An interval goes in only if it is over, was measured, and had a sensor from its beginning to its end. Half of an hour's
passages are no hour's passages: they would make a place look quiet that was not looked at.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.answers import Answer, State
from footfall_api.counts import Block, Group
from footfall_api.summary.carriers import carriers_of


class Skip(StrEnum):
    """Why an interval did not go in, where its state does not say it. Else the word is the state."""

    OPEN = "open"
    """It is not over yet."""
    INCOMPLETE = "incomplete"
    """For a part of it no sensor was installed, or not those of all stations: it is less than an interval."""
    OTHER_STATIONS = "other_stations"
    """Other stations of the area carried the sum then."""
    HOLIDAY = "holiday"
    """It lies on a public holiday, and is asked for beside a day that is none."""
    NO_SUCH_HOUR = "no_such_hour"
    """Clocks went forward over it."""
    SHORT = "short"
    """Clocks changed by less than an interval, which made it shorter than the others."""


Skipped = Mapping[str, int]
"""How many did not go in, by a word of `Skip` or of `State`."""


@dataclass(frozen=True, slots=True)
class Series:
    """What one direction, class and sensor (or all of them) has in consecutive intervals."""

    direction: str
    class_: str
    sensor: str
    edges_s: Sequence[int]
    """UTC unix seconds; one more than there are intervals."""
    answers: Sequence[Answer]
    """How well each interval was measured."""
    counts: Sequence[int | None]
    """Passages; None where nothing was measured."""
    carried: Sequence[frozenset[str] | None]
    """The stations that each count is a sum of; None where one of them came or went in the middle."""

    def why_not(self, i: int, now_s: int) -> str | None:
        """Why the `i`-th interval may not go into a summary; None if it may."""
        answer = self.answers[i]
        if self.edges_s[i + 1] > now_s:
            return Skip.OPEN
        if answer.state is not State.MEASURED:
            return str(answer.state)
        return Skip.INCOMPLETE if answer.reason is not None or self.carried[i] is None else None


def series_of(blocks: Sequence[Block], groups: Sequence[Group]) -> list[Series]:
    """The columns of an answer's blocks, each as one series; `groups` are those that were asked for."""
    edges_s = [blocks[0].edges_s[0], *(edge for block in blocks for edge in block.edges_s[1:])]
    carried = [carriers_of(group.members) for group in groups]
    return [
        Series(
            first.direction,
            first.class_,
            first.sensor,
            edges_s,
            [answer for block in blocks for answer in block.answers_of(block.columns[n])],
            [
                count if answer.counted else None
                for block in blocks
                for answer, count in zip(block.answers_of(block.columns[n]), block.columns[n].counts, strict=True)
            ],
            [carried[first.group].during(start_s, end_s) for start_s, end_s in pairwise(edges_s)],
        )
        for n, first in enumerate(blocks[0].columns)
    ]


def tallied(words: Sequence[str | None]) -> Skipped:
    """How often each word occurs, in alphabetical order; None (nothing was wrong) is not counted."""
    return dict(sorted(Counter(word for word in words if word is not None).items()))


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Where an interval lies on the local calendar and clock."""

    day: date
    clock: str
    """``HH:MM`` of its beginning, on the step's grid; empty for whole days."""
    short: bool = False
    """A change of clocks made it shorter than the step."""


_DAY_S: Final = 86_400


def local_times(edges_s: Sequence[int], zone: ZoneInfo, step_s: int) -> list[LocalTime]:
    """The place of each interval on the local calendar; `step_s` is its usual length.

    Days are never short: one of 23 hours is a day as people live it.
    """
    found = []
    for start_s, end_s in pairwise(edges_s):
        local = datetime.fromtimestamp(start_s, zone)
        if step_s >= _DAY_S:
            found.append(LocalTime(local.date(), ""))
            continue
        minutes = (local.hour * 60 + local.minute) // (step_s // 60) * (step_s // 60)
        clock = f"{minutes // 60:02}:{minutes % 60:02}"
        found.append(LocalTime(local.date(), clock, short=end_s - start_s < step_s))
    return found


def clocks(step_s: int) -> list[str]:
    """All beginnings of intervals on the face of a clock; one empty word for whole days."""
    if step_s >= _DAY_S:
        return [""]
    return [f"{n // 60:02}:{n % 60:02}" for n in range(0, 24 * 60, step_s // 60)]
