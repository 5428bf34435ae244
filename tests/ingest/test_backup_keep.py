"""Which backups stay: the last of each day, week and month there is one of, whatever clocks do, and all of 24 hours."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from footfall_ingest.backup_keep import Keep, kept

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

keeps = st.builds(Keep, days=st.integers(0, 9), weeks=st.integers(0, 5), months=st.integers(0, 4))
moments = st.integers(0, 24 * 400).map(lambda hours: BEGIN + hours * HOUR)


def last_of(times: Collection[datetime], form: str, number: int) -> set[datetime]:
    """The last of each of the `number` newest periods; `form` names a period for strftime."""
    newest = {when.strftime(form): when for when in sorted(times)}
    return {newest[period] for period in sorted(newest, reverse=True)[:number]}


def days(*numbers: int) -> list[datetime]:
    """Three o'clock in the night of each day, counted from the first of January."""
    return [BEGIN + timedelta(days=number, hours=3) for number in numbers]


def test_a_year_of_nights() -> None:
    """Two days, two Sundays and three ends of months: 31 December 2026 is a Thursday."""
    nights = days(*range(365))

    stay = kept(nights, nights[-1], Keep(days=2, weeks=2, months=3))

    assert sorted(f"{when:%m-%d}" for when in stay) == ["10-31", "11-30", "12-27", "12-30", "12-31"]


def test_one_that_was_made_in_between_costs_none() -> None:
    """Before and after something that may go wrong, on the same day; the night's one stays for a day."""
    night, before, after = (BEGIN + timedelta(hours=hours) for hours in (3, 10, 11))
    keep = Keep(days=1, weeks=1, months=1)

    assert kept([night, before, after], after, keep) == {night, before, after}
    later = BEGIN + timedelta(days=1, hours=10)
    assert kept([night, before, after, later], later, keep) == {after, later}


def test_the_machine_was_off_for_a_month() -> None:
    """Days without a backup take no place: what there is stays."""
    nights = days(0, 1, 2, 40)

    assert kept(nights, nights[-1], Keep(days=4, weeks=0, months=0)) == set(nights)


def test_a_clock_that_went_back_removes_nothing() -> None:
    """A backup of 1970 is the newest there is, and all others are of a time that it knows nothing of."""
    nights = days(*range(100))
    made = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)

    assert kept([*nights, made], made, Keep(days=1, weeks=0, months=0)) == {*nights, made}


def test_a_clock_that_went_forward_leaves_what_pushes_nothing_out() -> None:
    """Seven nights of 2030, then the clock is right again: they stay, and so does the last week."""
    wrong = [datetime(2030, 1, day, tzinfo=UTC) for day in range(1, 8)]
    nights = days(*range(30))

    stay = kept([*nights, *wrong], nights[-1], Keep(days=7, weeks=0, months=0))

    assert stay == {*wrong, *nights[-7:]}


@given(times=st.sets(moments, min_size=1), made=st.data(), keep=keeps)
def test_what_stays_is_the_last_of_each_period(times: set[datetime], made: st.DataObject, keep: Keep) -> None:
    """Said in another way: by sorting names of days, weeks and months."""
    newest = made.draw(st.sampled_from(sorted(times)))
    past = {when for when in times if when <= newest}

    stay = kept(times, newest, keep)

    wanted = last_of(past, "%Y-%m-%d", keep.days) | last_of(past, "%G-%V", keep.weeks)
    wanted |= last_of(past, "%Y-%m", keep.months) | {when for when in past if newest - when < 24 * HOUR}
    assert stay == wanted | (times - past)


@given(steps=st.lists(st.integers(1, 24 * 40), min_size=1, max_size=120), keep=keeps)
def test_removing_each_night_leaves_what_removing_once_would(steps: list[int], keep: Keep) -> None:
    """Nothing that will be wanted later is removed on the way, and there is never more than was asked for."""
    made, times = BEGIN, [BEGIN]
    there = {BEGIN}
    for step in steps:
        made += step * HOUR
        times.append(made)
        there = kept({*there, made}, made, keep)

        assert made in there
        recent = [when for when in there if made - when < 24 * HOUR]
        assert len(there) <= keep.days + keep.weeks + keep.months + len(recent)
    assert there == kept(times, made, keep)


@given(
    steps=st.lists(st.integers(-24 * 400, 24 * 400).filter(bool), min_size=1, max_size=60),
    keep=keeps,
)
def test_whatever_the_clock_does_the_one_just_made_stays(steps: list[int], keep: Keep) -> None:
    """And what is later than it by its own account: a wrong clock never removes a backup that it cannot place."""
    made, there = BEGIN, {BEGIN}
    for step in steps:
        before = there
        made += step * HOUR
        there = kept({*there, made}, made, keep)

        assert made in there
        assert {when for when in before if when > made} <= there
