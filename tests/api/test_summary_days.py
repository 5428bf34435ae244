"""What kind of day a date is, and what goes into a summary at all."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.answers import Answer
from footfall_api.counts import Block, Column, Group, Member
from footfall_api.intervals import Resolution, calendar_edges
from footfall_api.stations import Installation
from footfall_api.summary import days
from footfall_api.summary.carriers import Carried, carried, carriers_of
from footfall_api.summary.days import Calendar, DayKind, check_code, holidays_between
from footfall_api.summary.series import local_times, series_of
from footfall_testing.series import (
    BEGUN,
    BERLIN,
    COARSE,
    EXCLUDED,
    MEASURED,
    NOT_INSTALLED,
    PARTIAL,
    RECOVERED,
    SILENT,
    STATION,
    at,
    series,
)

THURINGIA = Calendar("DE-TH")
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2026, 1, 1), "Neujahr"),
        (date(2026, 4, 3), "Karfreitag"),
        (date(2026, 4, 6), "Ostermontag"),
        (date(2026, 5, 1), "Erster Mai"),
        (date(2026, 5, 14), "Christi Himmelfahrt"),
        (date(2026, 5, 25), "Pfingstmontag"),
        (date(2026, 9, 20), "Weltkindertag"),
        (date(2025, 10, 3), "Tag der Deutschen Einheit"),
        (date(2025, 10, 31), "Reformationstag"),
        (date(2025, 12, 25), "Erster Weihnachtstag"),
        (date(2025, 12, 26), "Zweiter Weihnachtstag"),
    ],
)
def test_thuringia_has_its_holidays(day: date, name: str) -> None:
    """All eleven, by name; among them the 20th of September and the 31st of October."""
    assert THURINGIA.names(day) == (name,)
    assert THURINGIA.kind(day) is DayKind.HOLIDAY


def test_a_year_in_thuringia_has_eleven_holidays_and_no_more() -> None:
    """Neither Easter Sunday nor Christmas Eve, Corpus Christi nor All Saints' Day."""
    assert len(THURINGIA.between(date(2025, 1, 1), date(2026, 1, 1))) == 11
    for day in (date(2025, 4, 20), date(2025, 12, 24), date(2025, 12, 31), date(2025, 6, 19), date(2025, 11, 1)):
        assert THURINGIA.kind(day) is not DayKind.HOLIDAY, day


def test_weltkindertag_is_younger_than_the_counting() -> None:
    """It has been a holiday since 2019: the library knows the years, not only the dates."""
    assert THURINGIA.kind(date(2018, 9, 20)) is DayKind.THURSDAY
    assert THURINGIA.kind(date(2019, 9, 20)) is DayKind.HOLIDAY


def test_states_differ() -> None:
    """Corpus Christi is one in Bavaria; with no calendar nothing is."""
    assert Calendar("DE-BY").kind(date(2026, 6, 4)) is DayKind.HOLIDAY
    assert THURINGIA.kind(date(2026, 6, 4)) is DayKind.THURSDAY
    assert Calendar("").kind(date(2026, 12, 25)) is DayKind.FRIDAY


@given(day=DAYS)
def test_every_other_day_is_its_weekday(day: date) -> None:
    """Monday to Sunday, in the order of the calendar."""
    kind = THURINGIA.kind(day)

    assert kind is DayKind.HOLIDAY or list(DayKind).index(kind) == day.weekday()


@given(day=DAYS.filter(lambda day: day.year > 2000))
def test_a_namesake_is_the_holiday_of_that_name_a_year_before(day: date) -> None:
    """Whatever date it fell on, and none for other days."""
    namesake = THURINGIA.namesake(day)

    if namesake is None:
        assert not THURINGIA.names(day) or day.year in {2017, 2019}  # the first of its name
    else:
        assert namesake.year == day.year - 1
        assert set(THURINGIA.names(namesake)) & set(THURINGIA.names(day))
        assert abs((day - namesake).days - 365) <= 36


def test_movable_holidays_find_each_other() -> None:
    """Easter Monday 2026 was on 6 April, 2025 on 21 April; 2008 Ascension Day was the first of May."""
    assert THURINGIA.namesake(date(2026, 4, 6)) == date(2025, 4, 21)
    assert THURINGIA.namesake(date(2008, 5, 1)) == date(2007, 5, 1)
    assert THURINGIA.namesake(date(2019, 9, 20)) is None


@pytest.mark.parametrize("language", ["de", "en_US"])
def test_names_are_in_the_language_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """Not in that of the process."""
    monkeypatch.setenv("LANGUAGE", language)
    days._holidays.cache_clear()
    asked = (THURINGIA, date(2026, 9, 1), date(2026, 10, 1))

    assert [found.name for found in holidays_between(*asked, "de")] == ["Weltkindertag"]
    assert [found.name for found in holidays_between(*asked, "en")] == ["World Children's Day"]


@pytest.mark.parametrize("code", ["", "DE", "DE-TH", "AT", "CH-ZH"])
def test_codes_of_countries_and_states_are_taken(code: str) -> None:
    """And none at all."""
    check_code(code)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("Thüringen", "'Thüringen' is no country whose holidays are known; write country and state as ISO 3166 does"),
        ("DE-TX", "'DE-TX' is no state whose holidays are known; in DE there are DE-BB"),
        ("DE-", "'DE-' is no state"),
        ("de-th", "is no country"),
        ("DE-TH ", "is no state"),
    ],
)
def test_other_codes_are_refused_in_a_sentence(code: str, message: str) -> None:
    """With those that would be right."""
    with pytest.raises(ValueError, match="DE-TH") as refused:
        check_code(code)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (MEASURED, None),
        (PARTIAL, "partial"),
        (SILENT, "missing"),
        (EXCLUDED, "missing"),
        (NOT_INSTALLED, "missing"),
        (RECOVERED, "recovered"),
        (COARSE, "coarse"),
        (BEGUN, "incomplete"),
    ],
)
def test_only_what_was_wholly_measured_goes_in(answer: Answer, why: str | None) -> None:
    """An hour that a sensor measured half, because it was put up in its middle, is half an hour."""
    found = series(date(2026, 6, 1), date(2026, 6, 2), answer=lambda _: answer)

    assert found.why_not(10, now_s=at(2026, 6, 10)) == why


def test_an_interval_goes_in_when_it_is_over() -> None:
    """Until then all of it so far may have been measured, and it is still not all of it."""
    found = series(date(2026, 6, 1), date(2026, 6, 2))

    assert found.why_not(10, now_s=at(2026, 6, 1, 10, 59)) == "open"
    assert found.why_not(10, now_s=at(2026, 6, 1, 11)) is None


def test_a_sum_whose_stations_changed_in_the_middle_does_not_go_in() -> None:
    """Half of it is the sum of others."""
    found = series(date(2026, 6, 1), date(2026, 6, 2), carried=lambda start: None if start.hour == 10 else STATION)

    assert found.why_not(10, now_s=at(2026, 6, 10)) == "incomplete"
    assert found.why_not(11, now_s=at(2026, 6, 10)) is None


def test_hours_lie_where_the_local_clock_shows_them() -> None:
    """March has no two o'clock, October has two."""
    march = local_times(series(date(2026, 3, 29), date(2026, 3, 30)).edges_s, BERLIN, 3600)
    october = local_times(series(date(2026, 10, 25), date(2026, 10, 26)).edges_s, BERLIN, 3600)

    assert [place.clock for place in march][:4] == ["00:00", "01:00", "03:00", "04:00"]
    assert [place.clock for place in october][:5] == ["00:00", "01:00", "02:00", "02:00", "03:00"]
    assert {place.day for place in [*march, *october]} == {date(2026, 3, 29), date(2026, 10, 25)}
    assert not any(place.short for place in [*march, *october])


def test_a_half_hour_that_clocks_cut_off_is_short() -> None:
    """Lord Howe Island goes back by half an hour: what is left of the hour is less than others."""
    zone = ZoneInfo("Australia/Lord_Howe")
    edges = calendar_edges(Resolution.HOUR, at(2026, 4, 4, 12), at(2026, 4, 4, 20), zone)
    places = local_times(edges, zone, 3600)

    assert sum(place.short for place in places) == 1
    assert all(place.clock.endswith(":00") for place in places)


def installed(key: int, from_s: int | None, to_s: int | None) -> Installation:
    return Installation(key, f"sensor-{key}", "part", (0, 1), from_s, to_s)


def test_who_carries_a_sum_is_known_at_each_moment() -> None:
    """A station counts as there while any of its sensors is; an exchange without a pause is no change."""
    members = [
        Member("markt", installed(1, None, 1000)),
        Member("markt", installed(2, 1000, None)),
        Member("kirche", installed(3, 2000, 3000)),
    ]
    carriers = carriers_of(members)

    assert carriers.during(500, 1500) == {"markt"}
    assert carriers.during(1900, 2000) == {"markt"}
    assert carriers.during(1900, 2001) is None
    assert carriers.during(2000, 3000) == {"markt", "kirche"}
    assert carriers.during(2999, 3001) is None
    assert carriers.during(3000, 4000) == {"markt"}
    assert carriers_of([]).during(0, 10) == frozenset()
    assert carried(members, 500, 2500) == [Carried("kirche", 2000, 2500), Carried("markt", 500, 2500)]


@given(
    times=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=5),
    start=st.integers(0, 60),
    length=st.integers(1, 20),
)
def test_who_carries_a_sum_is_who_is_there_at_every_moment(
    times: list[tuple[int, int]], start: int, length: int
) -> None:
    """As counted moment by moment."""
    members = [Member(f"s{n % 3}", installed(n, begin, begin + long)) for n, (begin, long) in enumerate(times)]
    at_each = [
        {m.station for m in members if (m.installation.from_s or 0) <= moment < (m.installation.to_s or 0)}
        for moment in range(start, start + length)
    ]

    found = carriers_of(members).during(start, start + length)

    assert found == (at_each[0] if all(there == at_each[0] for there in at_each) else None)


def test_the_blocks_of_an_answer_become_one_series_for_each_column() -> None:
    """In their order, with the answers of their group; a count that may not be given is None."""
    groups = [Group("markt", "a", (Member("markt", installed(1, None, None)),)), Group("markt", "b", ())]
    blocks = [
        Block(
            edges,
            [[MEASURED] * (len(edges) - 1), [SILENT] * (len(edges) - 1)],
            [
                Column("markt", "in", "all", "a", 0, counts),
                Column("markt", "in", "all", "b", 1, [0] * (len(edges) - 1)),
            ],
            [{}, {}],
        )
        for edges, counts in (([0, 60, 120], [1, 2]), ([120, 180], [3]))
    ]

    a, b = series_of(blocks, groups)

    assert a.edges_s == [0, 60, 120, 180]
    assert a.counts == [1, 2, 3]
    assert a.carried == [STATION] * 3
    assert b.counts == [None] * 3
    assert b.answers == [SILENT] * 3
    assert b.carried == [frozenset()] * 3


def test_a_day_is_a_day_whatever_its_length() -> None:
    """By the day, 23 and 25 hours are no reason to leave one out."""
    found = series(date(2026, 3, 28), date(2026, 3, 31), Resolution.DAY)

    assert [place.day for place in local_times(found.edges_s, BERLIN, 86_400 + 3 * 3600)] == [
        date(2026, 3, 28) + timedelta(days=n) for n in range(3)
    ]
