"""The typical week: which values each cell has, and what is made of them."""

from collections import Counter
from datetime import date, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_api.answers import Answer
from footfall_api.intervals import Resolution, calendar_edges
from footfall_api.summary.days import Calendar, DayKind
from footfall_api.summary.profile import LEAST_VALUES, Cell, Spread, spread, typical_weeks
from footfall_api.summary.series import Series
from footfall_testing.series import BERLIN, EXCLUDED, MEASURED, PARTIAL, SILENT, STATION, at, series

THURINGIA = Calendar("DE-TH")
LATER = at(2027, 6, 1)


def week(
    found: Series, resolution: Resolution = Resolution.HOUR, calendar: Calendar = THURINGIA, now_s: int = LATER
) -> dict[tuple[str, str], Cell]:
    (one,) = typical_weeks([found], resolution.longest_s, zone=BERLIN, calendar=calendar, now_s=now_s)
    return {(cell.kind, cell.clock): cell for cell in one.cells}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([7], None),
        ([7, 7, 7], None),
        ([1, 2, 3, 4], Spread(1.75, 2.5, 3.25)),
        ([4, 1, 3, 2, 5], Spread(2.0, 3.0, 4.0)),
        ([0, 0, 0, 1000], Spread(0.0, 0.0, 250.0)),
    ],
)
def test_quartiles_are_those_of_a_spreadsheet(values: list[int], expected: Spread | None) -> None:
    """QUARTILE.INC; of fewer than four values there are none."""
    assert spread(values) == expected


@given(values=st.lists(st.integers(0, 10_000), min_size=LEAST_VALUES, max_size=60))
def test_quartiles_lie_in_order_among_the_values(values: list[int]) -> None:
    """The middle one is the median, a quarter lies at or beyond each of the others; order does not matter."""
    found = spread(values)

    assert found is not None
    assert found.median == median(values)
    assert min(values) <= found.lower_quartile <= found.median <= found.upper_quartile <= max(values)
    assert sum(v <= found.lower_quartile for v in values) >= len(values) / 4
    assert sum(v >= found.upper_quartile for v in values) >= len(values) / 4
    assert spread(values[::-1]) == found


def test_each_hour_of_the_week_has_the_median_of_its_hours() -> None:
    """Eight weeks without holidays: eight values for each cell, and none for holidays."""
    cells = week(series(date(2026, 6, 29), date(2026, 8, 24), count=lambda start: start.weekday() * 100 + start.hour))

    assert len(cells) == 8 * 24
    assert cells["tuesday", "17:00"] == Cell(DayKind.TUESDAY, "17:00", Spread(117.0, 117.0, 117.0), 8, {})
    assert cells["sunday", "00:00"].spread == Spread(600.0, 600.0, 600.0)
    assert {cell.values for (kind, _), cell in cells.items() if kind != "holiday"} == {8}
    assert cells["holiday", "12:00"] == Cell(DayKind.HOLIDAY, "12:00", None, 0, {})


def test_cells_come_in_the_order_of_the_week() -> None:
    """Monday first, holidays last, midnight to midnight, none left out even where nothing was measured."""
    (one,) = typical_weeks(
        [series(date(2026, 6, 29), date(2026, 6, 30), answer=lambda _: SILENT)],
        3600, zone=BERLIN, calendar=THURINGIA, now_s=LATER,
    )  # fmt: skip

    assert [(cell.kind, cell.clock) for cell in one.cells] == [
        (kind, f"{hour:02}:00") for kind in DayKind for hour in range(24)
    ]


def test_public_holidays_are_days_of_their_own() -> None:
    """In May and June 2026 a Friday, a Thursday and a Monday; they are missing there, and do not spoil the rest."""
    found = series(date(2026, 4, 1), date(2026, 7, 1), count=lambda start: 10 if THURINGIA.names(start.date()) else 50)

    cells = week(found)
    without = week(found, calendar=Calendar(""))

    assert cells["holiday", "12:00"].values == 5  # Good Friday, Easter Monday, May Day, Ascension Day, Whit Monday
    assert cells["holiday", "12:00"].spread == Spread(10.0, 10.0, 10.0)
    assert cells["monday", "12:00"].values == 11
    assert without["monday", "12:00"].values == 13
    assert without["holiday", "12:00"].values == 0


@pytest.mark.parametrize(("day", "kind"), [(date(2026, 9, 20), DayKind.SUNDAY), (date(2026, 10, 31), DayKind.SATURDAY)])
def test_thuringias_own_holidays_are_apart_too(day: date, kind: DayKind) -> None:
    """Weltkindertag and Reformationstag, on a weekend as on a working day."""
    cells = week(series(day, day + timedelta(days=1)))

    assert cells["holiday", "12:00"].values == 1
    assert cells[kind, "12:00"].values == 0


def test_few_values_are_said_and_make_no_median() -> None:
    """Three Mondays are three values, no more."""
    cells = week(series(date(2026, 6, 29), date(2026, 7, 14)))

    assert cells["monday", "12:00"] == Cell(DayKind.MONDAY, "12:00", None, 3, {})


def test_gaps_are_left_out_and_counted() -> None:
    """A sensor that was silent, or behind a scaffold, does not make the place look quiet."""

    def answer(start: datetime) -> Answer:
        return {5: PARTIAL, 12: SILENT, 19: EXCLUDED}.get(start.day, MEASURED)

    found = series(date(2026, 6, 29), date(2026, 8, 3), answer=answer, count=lambda start: 100 if start.day != 5 else 3)

    cell = week(found)["sunday", "12:00"]  # 5, 12, 19, 26 July, 2 August
    assert cell == Cell(DayKind.SUNDAY, "12:00", None, 2, {"missing": 2, "partial": 1})


def test_the_hour_that_is_left_out_has_no_value() -> None:
    """Not even a skipped one: of three Sundays around 29 March two have a two o'clock, and all a three o'clock."""
    cells = week(series(date(2026, 3, 9), date(2026, 4, 3)))

    assert cells["sunday", "02:00"] == Cell(DayKind.SUNDAY, "02:00", None, 2, {})
    assert cells["sunday", "03:00"].values == 3


def test_the_doubled_hour_is_two_values() -> None:
    """Each is an hour long: their sum would be no hour's passages."""
    found = series(
        date(2026, 10, 12), date(2026, 11, 2), count=lambda start: 10 + 2 * start.fold if start.hour == 2 else 0
    )

    cells = week(found)

    assert cells["sunday", "02:00"] == Cell(DayKind.SUNDAY, "02:00", Spread(10.0, 10.0, 10.5), 4, {})
    assert cells["sunday", "03:00"].values == 3


def test_both_changes_of_the_clocks_are_days_by_the_day() -> None:
    """One of 23 hours and one of 25 go in as they were."""
    found = series(date(2026, 1, 1), date(2027, 1, 1), Resolution.DAY, count=lambda start: start.toordinal() % 50)

    cells = week(found, Resolution.DAY)

    assert sorted(cells) == sorted((kind, "") for kind in DayKind)
    assert cells["sunday", ""].values == 51  # 52, without Weltkindertag
    assert cells["holiday", ""].values == 11


def test_what_is_not_over_does_not_go_in() -> None:
    """Today's noon at ten past twelve, and the rest of the week."""
    cells = week(series(date(2026, 6, 29), date(2026, 7, 6)), now_s=at(2026, 7, 1, 12, 10))

    assert cells["wednesday", "11:00"].values == 1
    assert cells["wednesday", "12:00"] == Cell(DayKind.WEDNESDAY, "12:00", None, 0, {"open": 1})
    assert cells["sunday", "12:00"].skipped == {"open": 1}


def test_quarters_of_an_hour_make_a_week_as_well() -> None:
    """96 for each kind of day."""
    cells = week(series(date(2026, 6, 29), date(2026, 7, 27), Resolution.QUARTER_HOUR), Resolution.QUARTER_HOUR)

    assert len(cells) == 8 * 96
    assert cells["friday", "23:45"].values == 4


def test_a_half_hour_is_no_hour() -> None:
    """Where clocks change by half an hour, what is left of an hour does not go in."""
    zone = ZoneInfo("Australia/Lord_Howe")
    edges_s = calendar_edges(Resolution.HOUR, at(2026, 4, 4, 12), at(2026, 4, 4, 20), zone)
    size = len(edges_s) - 1
    found = Series("all", "all", "all", edges_s, [MEASURED] * size, [7] * size, [STATION] * size)

    (one,) = typical_weeks([found], 3600, zone=zone, calendar=Calendar(""), now_s=LATER)

    assert sum(cell.values for cell in one.cells) == size - 1
    assert [dict(cell.skipped) for cell in one.cells if cell.skipped] == [{"short": 1}]


def test_each_direction_has_a_week_of_its_own() -> None:
    """Of the same days."""
    asked = (date(2026, 6, 29), date(2026, 8, 3))
    weeks = typical_weeks(
        [series(*asked, count=lambda _: 1, direction="in"), series(*asked, count=lambda _: 2, direction="out")],
        3600, zone=BERLIN, calendar=THURINGIA, now_s=LATER,
    )  # fmt: skip

    assert [(one.series.direction, one.cells[0].spread) for one in weeks] == [
        ("in", Spread(1.0, 1.0, 1.0)),
        ("out", Spread(2.0, 2.0, 2.0)),
    ]
    assert typical_weeks([], 3600, zone=BERLIN, calendar=THURINGIA, now_s=LATER) == []


@settings(max_examples=25, deadline=None)
@given(
    first=st.dates(date(2025, 1, 1), date(2026, 12, 1)),
    days=st.integers(1, 60),
    seed=st.integers(0, 1000),
)
def test_no_interval_is_lost_and_none_is_made_up(first: date, days: int, seed: int) -> None:
    """What went in and what was skipped are all the intervals there are; what went in is what was measured."""
    answers = [MEASURED, MEASURED, PARTIAL, SILENT]
    found = series(
        first,
        first + timedelta(days=days),
        answer=lambda start: answers[hash((seed, start.toordinal(), start.hour)) % len(answers)],
        count=lambda start: start.hour,
    )

    cells = week(found)

    whys = Counter(found.why_not(i, LATER) for i in range(len(found.answers)))
    assert sum(cell.values for cell in cells.values()) == whys.pop(None, 0)
    skipped: Counter[str] = Counter()
    for cell in cells.values():
        skipped.update(cell.skipped)
        assert (cell.spread is None) == (cell.values < LEAST_VALUES)
        if cell.spread is not None:
            assert cell.spread == Spread(*[float(int(cell.clock[:2]))] * 3)
    assert skipped == whys
