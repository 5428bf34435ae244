"""Which backups are kept: the last of each day, week and month, going back from the newest, and all of 24 hours.

So one that a person makes in between, before something that may go wrong, does not cost the one before it.

Periods are counted by the backups that there are and not by the calendar: of seven days those seven count on which a
backup was made. A machine that was off for a month loses none of them, and nothing here asks a clock what time it is.

The time of a backup is the database's, and that clock can be wrong. What claims to be later than the backup that was
just made is not believed to be: it is kept and takes nobody's place. So a clock that goes back for a while removes
nothing, and one that went forward leaves backups that a person has to remove, but none that push out the right ones.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_RECENT: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Keep:
    """How many periods keep their last backup; those of the last 24 hours stay even if all are 0."""

    days: int
    weeks: int
    months: int


def _day(when: datetime) -> object:
    return when.date()


def _week(when: datetime) -> object:
    return when.isocalendar()[:2]


def _month(when: datetime) -> object:
    return when.year, when.month


def kept(times: Collection[datetime], made: datetime, keep: Keep) -> set[datetime]:
    """Those of `times` that stay, now that the backup of `made`, one of them, is there. All are aware.

    Days, weeks (from Monday) and months are UTC's, so that none has an hour twice.
    """
    past = sorted((when.astimezone(UTC) for when in times if when <= made), reverse=True)
    stay = {when for when in times if when > made - _RECENT} | {made}
    periods: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (keep.days, _day),
        (keep.weeks, _week),
        (keep.months, _month),
    )
    for number, period in periods:
        last: dict[object, datetime] = {}
        for when in past:
            last.setdefault(period(when), when)
        stay.update(list(last.values())[:number])
    return stay
