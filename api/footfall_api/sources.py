"""Decide where the counts of a time are read from: from the sums by the hour, or from the minutes they are made of.

The sums stand for their minutes only where the whole UTC hour is asked for and where they are up to date:

- A *dirty* hour has minutes that are not in its sums yet. Its minutes say what there is.
- A *cut* hour belongs in part to one interval or leg and in part to another, or to none. Again the minutes say.
- Of the time before `minutes_from_s` the minutes were removed after they were summed up. Those that are there all the
  same came later: a dirty hour there has its sums *and* its minutes. A cut hour there cannot be divided; it is
  *undivided*, and whoever cuts it does not get its number. That minutes of it may have come late changes nothing: of
  such a minute too a part may be in the sums.

Pure: no database, no clock. Which hours have anything at all the database knows; here all of them are taken to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from footfall_api.ranges import FAR_S, Range, common, merged, without

HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Sources:
    """For some stretch of time, which of it to read from which table. `hours` and `undivided` are whole UTC hours."""

    hours: list[Range]
    minutes: list[Range]
    undivided: list[Range]


def cut_hours(moments_s: Iterable[int]) -> list[Range]:
    """The hours that have one of the moments inside."""
    return hours_of({_hour(moment) for moment in moments_s if moment % HOUR_S})


def hours_of(starts_s: Iterable[int]) -> list[Range]:
    """The time of the hours that start at these moments."""
    return merged((start, start + HOUR_S) for start in starts_s)


def sources_of(stretch: Range, cut_by_edges: Sequence[Range], dirty: Sequence[Range], minutes_from_s: int) -> Sources:
    """Where to read a stretch of a sensor's time.

    `cut_by_edges` are the hours that have an edge of an interval inside, `dirty` those of the sensor.
    """
    cut = merged([*cut_by_edges, *cut_hours(stretch)])
    removed, kept = merged([(-FAR_S, minutes_from_s)]), [(minutes_from_s, FAR_S)]
    wanted, whole = [stretch], [(_hour(stretch[0]), _hour(stretch[1] + HOUR_S - 1))]
    from_minutes = merged([*common(merged([*cut, *dirty]), kept), *common(without(dirty, cut), removed)])
    return Sources(
        hours=without(wanted, merged([*cut, *common(dirty, kept)])),
        minutes=common(wanted, from_minutes),
        undivided=common(common(cut, removed), whole),
    )


def _hour(moment_s: int) -> int:
    return moment_s - moment_s % HOUR_S
