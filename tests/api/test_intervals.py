"""Time cut into intervals as the clock on the wall shows them, in zones that make it hard."""

from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footfall_api.intervals import Resolution, calendar_edges, day_start, interval_of, local_date, local_texts

ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",  # +05:45
    "Asia/Kolkata",  # +05:30
    "Australia/Lord_Howe",  # +10:30, in summer +11: clocks change by half an hour
    "Pacific/Chatham",  # +12:45, in summer +13:45
    "America/St_Johns",  # -03:30; until 2011 clocks changed at one past midnight
    "America/Santiago",  # clocks change at midnight
    "Asia/Beirut",  # midnight itself is skipped
    "Pacific/Apia",  # left out 30 December 2011
    "Africa/Casablanca",  # four changes a year around Ramadan
    "Asia/Pyongyang",  # moved by half an hour for good, twice
]
BELOW_A_DAY = [r for r in Resolution if r.longest_s < 86_400]

zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.integers(
    int(datetime(2003, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2035, 1, 1, tzinfo=UTC).timestamp())
)


def moments(zone: str, *texts: str) -> list[int]:
    """Local times, or times with an offset, as UTC unix seconds."""
    found = []
    for text in texts:
        written = datetime.fromisoformat(text)
        found.append(int((written if written.tzinfo else written.replace(tzinfo=ZoneInfo(zone))).timestamp()))
    return found


def shown(edges_s: list[int], zone: str) -> list[str]:
    """The edges as the clocks of a zone show them."""
    return [datetime.fromtimestamp(edge, ZoneInfo(zone)).strftime("%d. %H:%M%z") for edge in edges_s]


@given(st.sampled_from(Resolution), instants, st.integers(1, 40 * 86_400), zones)
def test_intervals_cover_what_is_asked_and_no_more(
    resolution: Resolution, from_s: int, length_s: int, zone: ZoneInfo
) -> None:
    """The first interval contains the begin, the last the last second; between them is neither gap nor overlap."""
    length_s = min(length_s, 300 * resolution.longest_s)
    to_s = from_s + length_s

    edges = calendar_edges(resolution, from_s, to_s, zone)

    assert edges[0] <= from_s < edges[1]
    assert edges[-2] < to_s <= edges[-1]
    assert all(0 < after - before <= resolution.longest_s for before, after in pairwise(edges))


@given(st.sampled_from(Resolution), instants, instants, zones)
def test_edges_do_not_depend_on_the_question(resolution: Resolution, one_s: int, other_s: int, zone: ZoneInfo) -> None:
    """An instant is in the same interval, wherever one begins to count: pages and pieces fit together."""
    edges = calendar_edges(resolution, one_s, one_s + 3 * resolution.longest_s, zone)
    inside = edges[0] + other_s % (edges[-1] - edges[0])

    start, end = interval_of(resolution, inside, zone)

    assert start <= inside < end
    assert start in edges
    assert end in edges


@given(st.sampled_from(BELOW_A_DAY), instants, zones)
def test_the_local_clock_shows_a_whole_step_or_has_just_changed(
    resolution: Resolution, from_s: int, zone: ZoneInfo
) -> None:
    """An interval below a day begins where the clock shows a multiple of it, or at a change of the clock."""
    step_s = resolution.longest_s

    for edge in calendar_edges(resolution, from_s, from_s + 86_400, zone)[:-1]:
        local = datetime.fromtimestamp(edge, zone)
        whole = (local.hour * 3600 + local.minute * 60 + local.second) % step_s == 0
        changed = local.utcoffset() != datetime.fromtimestamp(edge - 1, zone).utcoffset()
        assert whole or changed, local


@given(instants, zones)
def test_a_day_begins_with_its_first_instant(instant_s: int, zone: ZoneInfo) -> None:
    """Before the start of a local day the calendar shows an earlier date, and at it that date or a later one."""
    day = local_date(instant_s, zone)
    start = day_start(day, zone)

    assert local_date(start, zone) >= day
    assert local_date(start - 1, zone) < day


@given(st.sampled_from([Resolution.DAY, Resolution.WEEK, Resolution.MONTH, Resolution.YEAR]), instants, zones)
def test_longer_intervals_are_made_of_whole_days(resolution: Resolution, from_s: int, zone: ZoneInfo) -> None:
    """Weeks begin on Mondays, months on the first, years on 1 January, each with a local day."""
    start, end = interval_of(resolution, from_s, zone)
    days = calendar_edges(Resolution.DAY, start, end, zone)

    assert (days[0], days[-1]) == (start, end)
    first = local_date(start, zone)
    expected = {
        Resolution.DAY: first,
        Resolution.WEEK: first - timedelta(days=first.weekday()),
        Resolution.MONTH: first.replace(day=1),
        Resolution.YEAR: first.replace(month=1, day=1),
    }
    assert first == expected[resolution]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-10", 24)])
def test_days_of_clock_changes_have_23_and_25_hours(day: str, hours: int) -> None:
    """A day has as many hours as pass in it, and each of them is 3600 seconds long."""
    zone = ZoneInfo("Europe/Berlin")
    start = day_start(date.fromisoformat(day), zone)
    end = interval_of(Resolution.DAY, start, zone)[1]

    edges = calendar_edges(Resolution.HOUR, start, end, zone)

    assert end - start == hours * 3600
    assert [after - before for before, after in pairwise(edges)] == [3600] * hours


def test_half_an_hours_change_makes_one_short_hour() -> None:
    """Where clocks change by half an hour the change is an edge; the hours after it are whole on the clock again."""
    name = "Australia/Lord_Howe"
    spring = moments(name, "2026-10-04T01:00", "2026-10-04T04:00")
    autumn = moments(name, "2026-04-05T01:00", "2026-04-05T03:00")

    assert shown(calendar_edges(Resolution.HOUR, *spring, ZoneInfo(name)), name) == [
        "04. 01:00+1030",
        "04. 02:30+1100",
        "04. 03:00+1100",
        "04. 04:00+1100",
    ]
    assert shown(calendar_edges(Resolution.HOUR, *autumn, ZoneInfo(name)), name) == [
        "05. 01:00+1100",
        "05. 01:30+1030",
        "05. 02:00+1030",
        "05. 03:00+1030",
    ]
    (inside,) = moments(name, "2026-04-05T01:45+10:30")
    assert shown(list(interval_of(Resolution.HOUR, inside, ZoneInfo(name))), name) == [
        "05. 01:30+1030",
        "05. 02:00+1030",
    ]


def test_a_zone_45_minutes_off_has_its_own_hours() -> None:
    """Hours in Kathmandu begin at a quarter past the hours of UTC."""
    (noon,) = moments("Asia/Kathmandu", "2026-06-10T12:00")

    assert interval_of(Resolution.HOUR, noon, ZoneInfo("Asia/Kathmandu")) == (noon, noon + 3600)
    assert noon % 3600 == 900


def test_a_date_that_a_zone_left_out_is_no_day() -> None:
    """Samoa went from 29 to 31 December 2011: two days, none between them."""
    zone = "Pacific/Apia"

    edges = calendar_edges(Resolution.DAY, *moments(zone, "2011-12-29T12:00", "2011-12-31T12:00"), ZoneInfo(zone))

    assert shown(edges, zone) == ["29. 00:00-1000", "31. 00:00+1400", "01. 00:00+1400"]
    assert day_start(date(2011, 12, 30), ZoneInfo(zone)) == edges[1]


def test_a_day_whose_midnight_is_skipped_begins_when_the_clock_has_changed() -> None:
    """In Beirut 31 March 2024 began at one o'clock."""
    zone = "Asia/Beirut"

    assert shown([day_start(date(2024, 3, 31), ZoneInfo(zone))], zone) == ["31. 01:00+0300"]


def test_a_day_may_begin_within_the_hour_that_is_skipped() -> None:
    """In Toronto clocks once went from half past eleven to half past midnight: the new day began there."""
    zone = "America/Toronto"

    assert shown([day_start(date(1919, 3, 31), ZoneInfo(zone))], zone) == ["31. 00:30-0400"]


@given(
    zones, instants, st.lists(st.integers(0, 40 * 1440).map(lambda minutes: minutes * 60), max_size=20), st.booleans()
)
@example(ZoneInfo("Europe/Berlin"), 1774600020, [86_400] * 5, True)
@example(ZoneInfo("Europe/Berlin"), 1792700020, [3600] * 60, True)
def test_texts_are_what_datetime_says(zone: ZoneInfo, begin: int, more: list[int], whole: bool) -> None:
    """Every instant is written as the library writes it, whatever clocks do meanwhile."""
    instants = list(accumulate(more, initial=begin - begin % 60 if whole else begin))

    assert local_texts(instants, zone) == [datetime.fromtimestamp(each, zone).isoformat() for each in instants]
    assert local_texts([], zone) == []


def test_an_empty_time_has_no_intervals() -> None:
    """An end that is not after the begin is refused, not answered with nothing."""
    with pytest.raises(ValueError, match="empty"):
        calendar_edges(Resolution.DAY, 1_780_000_000, 1_780_000_000, ZoneInfo("UTC"))
