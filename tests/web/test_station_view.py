"""The station page's rules: what an address asks for, and what is said of what the API answers."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from footfall_api.board import StationBoard
from footfall_api.messages import catalogue
from footfall_api.pages.station_calendar import calendar_days, calendar_view, grid, shape
from footfall_api.pages.station_choice import Choice, instead, moments, quick_periods, read_choice, suitable
from footfall_api.pages.station_sketch import sketch
from footfall_api.pages.station_view import (
    StationFacts,
    course_view,
    intervals_of,
    measured_share,
    station_facts,
    trouble_text,
    usual_view,
    week_view,
)

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = date(2026, 6, 10)
NOW = datetime(2026, 6, 10, 12, 0, 30, tzinfo=UTC)
DE, EN = catalogue("de"), catalogue("en")
MARKT = StationFacts(
    id="markt",
    name="Markt",
    timezone="Europe/Berlin",
    position={"latitude": "50,92818° Nord", "longitude": "11,58782° Ost"},
    labels={"in": "Richtung Rathaus", "out": "Richtung Kirche"},
    meanings=(),
    sensors=(),
    areas=(),
    since=None,
)


def hours(
    start: datetime, *told: int | str | None, directions: tuple[str, ...] = ("in", "out")
) -> list[dict[str, Any]]:
    """Values of the API by the hour from `start`: a count (of each direction), None for silence, or a reason."""
    values = []
    for index, one in enumerate(told):
        begin = start.astimezone(UTC) + timedelta(hours=index)
        missing = one is None or isinstance(one, str)
        reason = ("silent" if one is None else one) if missing else None
        values += [
            {
                "start": begin.astimezone(BERLIN).isoformat(),
                "end": (begin + timedelta(hours=1)).astimezone(BERLIN).isoformat(),
                "direction": direction,
                "count": None if missing else one,
                "coverage": None if reason in {"future", "not_installed"} else 0.0 if missing else 1.0,
                "state": "missing" if missing else "measured",
                "reason": reason,
            }
            for direction in directions
        ]
    return values


def answer(values: list[dict[str, Any]], *remarks: dict[str, Any]) -> dict[str, Any]:
    """An answer of the API around values."""
    return {"values": values, "remarks": list(remarks)}


# ------------------------------------------------------------------------------------------------ what is asked for


def test_without_anything_the_last_seven_days_are_shown() -> None:
    """Today is the last of them; the steps suit the period."""
    choice = read_choice({}, TODAY)

    assert (choice.first, choice.last, choice.resolution) == (date(2026, 6, 4), TODAY, "1h")
    assert (choice.directions, choice.form, choice.troubles) == ("split", "bars", ())


@pytest.mark.parametrize(
    ("days", "resolution"), [(1, "15min"), (7, "1h"), (31, "1d"), (366, "1d"), (731, "1w"), (3652, "1mo")]
)
def test_steps_suit_the_period(days: int, resolution: str) -> None:
    """A day by the quarter of an hour, ten years by the month: never more than fits on a screen."""
    assert suitable(days) == resolution


def test_an_empty_field_asks_for_nothing() -> None:
    """A form without scripts sends all its fields."""
    assert read_choice(dict.fromkeys(("from", "to", "resolution", "direction", "form", "week"), ""), TODAY) == (
        read_choice({}, TODAY)
    )


def test_the_last_day_belongs_to_the_period() -> None:
    """People say "from the first to the thirty-first"; for the API the period ends with the next midnight."""
    choice = read_choice({"from": "2026-03-01", "to": "2026-03-31"}, TODAY)
    asked = moments(choice, NOW, BERLIN)

    assert choice.days == 31
    assert (asked.from_, asked.to) == ("2026-03-01", "2026-04-01")


def test_a_period_that_is_not_over_ends_with_the_running_minute() -> None:
    """What is to come is no gap, and a download made from the address has exactly what is shown."""
    assert moments(read_choice({}, TODAY), NOW, BERLIN).to == "2026-06-10T14:01:00+02:00"


def test_the_future_is_cut_off() -> None:
    """A period that reaches beyond today ends today."""
    assert read_choice({"from": "2026-06-01", "to": "2027-01-01"}, TODAY).last == TODAY


@pytest.mark.parametrize(
    ("asked", "field", "key"),
    [
        ({"from": "gestern"}, "from", "station.trouble.no_date"),
        ({"to": "2026-02-30"}, "to", "station.trouble.no_date"),
        ({"from": "2026-06-11"}, "from", "station.trouble.future"),
        ({"from": "1999-12-31", "to": "2000-01-02"}, "from", "station.trouble.too_early"),
        ({"to": "0001-01-03"}, "from", "station.trouble.too_early"),
        ({"from": "9999-12-31"}, "from", "station.trouble.future"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "to", "station.trouble.order"),
        ({"resolution": "1fortnight"}, "resolution", "station.trouble.unknown"),
        ({"direction": "up"}, "direction", "station.trouble.unknown"),
        ({"form": "pie"}, "form", "station.trouble.unknown"),
        ({"from": "2025-06-10", "resolution": "15min"}, "resolution", "station.trouble.too_much"),
    ],
)
def test_what_cannot_be_shown_is_told_beside_its_field(asked: dict[str, str], field: str, key: str) -> None:
    """Each trouble names its field and can be said in both languages."""
    trouble = read_choice(asked, TODAY).troubles[0]

    assert (trouble.field, trouble.key) == (field, key)
    assert all("{" not in trouble_text(trouble, t) for t in (DE, EN))


def test_too_much_says_what_would_be_right() -> None:
    """A year by the quarter of an hour is refused with the steps in which it can be shown; by the hour it can."""
    trouble = read_choice({"from": "2025-06-11", "to": "2026-06-10", "resolution": "15min"}, TODAY).troubles[0]

    assert trouble.instead == ("1h", "1d", "1w", "1mo")
    assert instead(3652) == ("1d", "1w", "1mo")
    assert read_choice({"from": "2025-06-11", "to": "2026-06-10", "resolution": "1h"}, TODAY).troubles == ()


def test_the_address_repeats_only_what_was_chosen() -> None:
    """Defaults are left out, so that a sent link goes on to suit its period."""
    choice = read_choice({"from": "2026-03-01", "to": "2026-03-02", "direction": "sum"}, TODAY)

    assert {key: value for key, value in choice.query().items() if value} == {
        "from_": "2026-03-01",
        "to": "2026-03-02",
        "direction": "sum",
    }


@pytest.mark.parametrize("page", ["0", "-1", "x", "٣", "9999999", None])
def test_an_odd_page_is_a_page(page: str | None) -> None:
    """Whatever the address says, a page of the table is shown."""
    assert 1 <= read_choice({"page": page}, TODAY).page <= 10_000


def test_quick_periods_have_their_days() -> None:
    """Months and years are whole up to today; twelve months are a year to the day."""
    found = {one.key: (one.first.isoformat(), one.last.isoformat()) for one in quick_periods(date(2026, 3, 1))}

    assert found["last_month"] == ("2026-02-01", "2026-02-28")
    assert found["last_year"] == ("2025-01-01", "2025-12-31")
    assert found["twelve"] == ("2025-03-02", "2026-03-01")
    assert found["week"] == ("2026-02-23", "2026-03-01")


@pytest.mark.parametrize(
    "today",
    [date(2028, 2, 28), date(2028, 2, 29), date(2027, 2, 28), date(2026, 1, 1), date(2026, 12, 31), date(2028, 12, 31)],
)
def test_quick_periods_know_leap_years(today: date) -> None:
    """There is a year before every day."""
    twelve = quick_periods(today)[-1]

    assert 364 <= (twelve.last - twelve.first).days <= 366


# ---------------------------------------------------------------------------------------------------------- the course


def view(values: list[dict[str, Any]], *remarks: dict[str, Any], **chosen: Any) -> Any:
    """The course of the first of March 2026, by the hour."""
    choice = Choice(date(2026, 3, 1), date(2026, 3, 1), "1h", **chosen)
    return course_view(answer(values, *remarks), choice, MARKT, DE, "Quelle: Jena", now=NOW)


def test_the_summary_says_the_main_finding() -> None:
    """How many, in which direction, when most, and that all of it was measured."""
    course = view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 5, 700, 0))

    assert course.summary == (
        "So., 01.03.2026: 1.410 Passagen (705 Richtung Rathaus; 705 Richtung Kirche). "
        "Stärkste Stunde: So., 01.03.2026, 01:00–02:00 mit 1.400. Die ganze Zeit wurde gemessen."
    )


def test_a_lower_bound_is_not_said_to_be_whole() -> None:
    """Nearly all is not all, even where the share of the time rounds to the whole of it."""
    values = hours(datetime(2026, 3, 1, tzinfo=BERLIN), *[1] * 23)
    course = view([*values[:-2], *({**value, "state": "partial", "coverage": 0.98} for value in values[-2:])])

    assert "mindestens 46 Passagen" in course.summary
    assert "Gemessen: fast die ganze Zeit." in course.summary


def test_a_sum_with_gaps_is_a_lower_bound() -> None:
    """A missing hour makes the sum "at least", the gap is in the chart, and 0 is none."""
    course = view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 5, None, 0, None))

    assert "mindestens 10 Passagen" in course.summary
    assert "Gemessen: 50\xa0% der Zeit. 2 Werte fehlen." in course.summary
    assert course.plot.gaps == [(1, 2), (3, 4)]
    assert list(course.plot.series[0].values) == [5, None, 0, None]
    assert [row.counts for row in course.table.rows][1:3] == [("–", "–", "–"), ("0", "0", "0")]
    assert course.table.rows[1].state == "nicht gemessen: Sensor schweigt"


def test_nothing_measured_says_why() -> None:
    """One reason for all of it is named."""
    course = view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), "not_installed", "not_installed"))

    assert course.summary == "So., 01.03.2026: keine Zahlen (nicht gemessen: kein Sensor eingebaut)."


def test_nobody_is_not_nothing() -> None:
    """Measured zeros are said to be zeros."""
    assert "gemessen, aber niemand kam vorbei" in view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 0, 0)).summary


def test_time_to_come_is_not_shown() -> None:
    """Neither as a gap nor as a row."""
    course = view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1, "future", "future"))

    assert len(course.plot.x) == len(course.table.rows) == 1
    assert course.plot.gaps == []


def test_the_second_direction_hangs_below_the_axis_in_bars_only() -> None:
    """Lines of two directions are compared above the axis."""
    values = hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1)

    assert [series.mirror for series in view(values).plot.series] == [False, True]
    assert [series.mirror for series in view(values, form="lines").plot.series] == [False, False]


def test_a_direction_alone_is_not_turned_over() -> None:
    """A sensor that only sees `out` stands on the axis."""
    course = view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1, directions=("out",)))

    assert [series.mirror for series in course.plot.series] == [False]
    assert course.table.heads == ("Richtung Kirche",)


REMARK = {
    "from": "2026-03-01T01:30:00+01:00",
    "to": "2026-03-01T03:00:00+01:00",
    "kind": "works",
    "text": "Gerüst",
    "excludes": True,
}


def test_remarks_are_marked_where_they_touch() -> None:
    """From the first interval that a remark touches to the last; the same words stand in the legend of a picture."""
    course = view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1, 2, 3, 4), REMARK)

    assert [(mark.from_, mark.to) for mark in course.plot.remarks] == [(1, 3)]
    assert (
        course.plot.remarks[0].text
        == "Bauarbeiten, 01.03.2026, 01:30 bis 01.03.2026, 03:00: Gerüst (diese Zeit zählt nicht mit)"
    )
    assert course.remarks[0].excludes


def test_an_open_remark_reaches_to_the_end() -> None:
    """Until further notice."""
    course = view(
        hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1, 2), REMARK | {"to": None, "from": "2026-02-01T00:00:00+01:00"}
    )

    assert [(mark.from_, mark.to) for mark in course.plot.remarks] == [(0, 2)]
    assert course.remarks[0].when == "seit 01.02.2026"


def test_the_doubled_hour_is_told_apart() -> None:
    """In the night in October both hours from 2 to 3 are there, each with its zone; in March one hour is not."""
    october = view(hours(datetime(2026, 10, 25, 1, tzinfo=BERLIN), 1, 2, 3, 4))
    names = [row.name for row in october.table.rows]
    assert names[1] == "So., 25.10.2026, 02:00–03:00 MESZ"
    assert names[2] == "So., 25.10.2026, 02:00–03:00 MEZ"

    march = view(hours(datetime(2026, 3, 29, 1, tzinfo=BERLIN), 1, 2))
    assert [row.name for row in march.table.rows] == [
        "So., 29.03.2026, 01:00–02:00 MEZ",
        "So., 29.03.2026, 03:00–04:00 MESZ",
    ]


def test_a_long_table_has_pages() -> None:
    """200 rows on each; a page that is not there is the last one."""
    values = hours(datetime(2026, 3, 1, tzinfo=BERLIN), *range(450))
    table = view(values, page=9).table

    assert (table.first, table.last, table.count, table.page, table.pages) == (401, 450, 450, 3, 3)
    assert len(view(values).table.rows) == 200


def test_what_is_not_over_is_said_to_run() -> None:
    """At 14:00:30 the number of the hour from 14 on is no whole hour's, in the table and in the chart."""
    course = course_view(
        answer(hours(datetime(2026, 6, 10, 13, tzinfo=BERLIN), 7, 2)),
        Choice(TODAY, TODAY, "1h"),
        MARKT,
        DE,
        "Quelle",
        now=NOW,
    )

    assert [row.state for row in course.table.rows] == ["gemessen", "läuft noch"]
    assert list(course.plot.partial) == [1]


def test_the_measured_share_goes_by_time() -> None:
    """An hour without a sensor is not expected time."""
    intervals = intervals_of(answer(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1, None, "not_installed", 1)), BERLIN)

    assert measured_share(intervals) == pytest.approx(2 / 3)
    assert measured_share([]) is None


def test_a_station_tells_what_its_directions_mean_now() -> None:
    """The newest meaning that has begun; those before stay told with their dates."""
    feature = {
        "id": "markt",
        "geometry": {"type": "Point", "coordinates": [11.5, 50.9]},
        "properties": {
            "name": "Markt",
            "timezone": "Europe/Berlin",
            "directions": [
                {"from": "2020-01-01T00:00:00+01:00", "in": "alt", "out": "alt 2"},
                {"from": "2026-01-01T00:00:00+01:00", "in": "neu", "out": "neu 2"},
                {"from": "2027-01-01T00:00:00+01:00", "in": "später", "out": "später 2"},
            ],
            "sensors": [{"id": "s-1", "from": "2020-01-01T00:00:00+01:00", "to": None, "role": "reference"}],
            "areas": ["zentrum"],
        },
    }
    facts = station_facts(feature, {"zentrum": "Zentrum"}, NOW, DE)

    assert facts.labels == {"in": "neu", "out": "neu 2"}
    assert [meaning.since for meaning in facts.meanings] == ["01.01.2020", "01.01.2026", "01.01.2027"]
    assert facts.areas == ("Zentrum",)
    assert facts.sensors[0].role == "nur zum Vergleich, zählt nicht mit"
    assert facts.since is None


# ------------------------------------------------------------------------------------------------ what is usual


def profile(median: dict[tuple[str, str], float]) -> dict[str, Any]:
    """A typical week with these medians; all other cells have too few values."""
    kinds = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "holiday")
    return {
        "from": "2025-06-09T00:00:00+02:00",
        "to": "2026-06-08T00:00:00+02:00",
        "least_values": 4,
        "values": [
            {"weekday": kind, "time": f"{hour:02}:00", "median": median.get((kind, f"{hour:02}:00")), "values": 50}
            for kind in kinds
            for hour in range(24)
        ],
    }


def test_the_typical_week_says_when_it_is_busiest() -> None:
    """Rows are days and the holidays, columns hours; a cell with too few values is empty in map and table."""
    week = week_view(profile({("saturday", "11:00"): 812.5, ("monday", "03:00"): 0}), MARKT, DE, "Quelle")

    assert week.summary == (
        "Am belebtesten ist es meist am Samstag von 11:00 bis 12:00 Uhr: 812 Passagen (Median aus 50 solchen Stunden)."
    )
    quiet = week_view(profile({("saturday", "11:00"): 1}), MARKT, DE, "Quelle")
    assert "bis 12:00 Uhr: 1 Passage (Median" in quiet.summary
    assert len(week.plot.x) == 24
    assert len(week.plot.y) == 8
    assert list(week.plot.series[0].values)[3] == 0
    assert list(week.plot.series[0].values)[4] is None
    assert week.rows[3][1][:2] == ("0", "–")


def test_a_week_without_enough_values_is_said_to_be_empty() -> None:
    """No map without a single number."""
    week = week_view(profile({}), MARKT, EN, "Source")

    assert week.empty
    assert "Not enough has been measured" in week.summary


def compared(day: int, count: int | None, mean: float | None, *, whole: bool = True) -> dict[str, Any]:
    """A day of the comparison."""
    ratio = count / mean if count is not None and mean and whole else None
    return {
        "start": f"2026-06-{day:02}T00:00:00+02:00",
        "end": f"2026-06-{day + 1:02}T00:00:00+02:00",
        "direction": "all",
        "count": count,
        "coverage": 1.0 if count is not None else None,
        "state": "missing" if count is None else "measured",
        "reason": "future" if count is None else None,
        "compared": whole and count is not None,
        "usual_4_weeks": {"mean": mean, "ratio": ratio},
    }


def test_this_week_stands_beside_the_last_four() -> None:
    """Days to come have what is usual and no count; the day that runs is not compared."""
    found = {
        "from": "2026-06-08T00:00:00+02:00",
        "least_days": 3,
        "remarks": [],
        "values": [compared(8, 120, 100.0), compared(9, 60, 100.4, whole=False), compared(10, None, None)],
        "summary": [{"usual_4_weeks": {"intervals": 1, "count": 120, "other": 100.0, "ratio": 1.2}}],
    }
    usual = usual_view(found, Choice(TODAY, TODAY, "1h"), MARKT, DE, "Quelle")

    assert usual.summary == (
        "An einem vergleichbaren Tag dieser Woche: 120 Passagen, +20\xa0% gegenüber dem Mittel der letzten vier Wochen "
        "(100)."
    )
    assert [(row.count, row.usual, row.change) for row in usual.rows] == [
        ("120", "100", "+20\xa0%"),
        ("60", "100", "–"),
        ("–", "–", "–"),
    ]
    assert usual.rows[1].note == "läuft noch"
    begun = {**found, "values": [compared(9, 60, 100.4, whole=False) | {"reason": "not_installed"}]}
    assert usual_view(begun, Choice(TODAY, TODAY, "1h"), MARKT, DE, "Quelle").rows[0].note == "gemessen"
    assert usual.rows[2].note == "liegt noch in der Zukunft; zu wenige vergleichbare Tage"
    assert usual.plot.partial == [1]
    assert usual.plot.gaps == []


# ---------------------------------------------------------------------------------------------------- calendar, sketch


def test_the_calendar_tells_states_apart_by_form() -> None:
    """No two states of the calendar are drawn alike, but for the one that is filled and the one that is empty."""
    drawn = [shape(state, 3) for state in ("measured", "partial", "coarse", "excluded", "not_installed")]

    assert len(set(drawn)) == 5
    assert shape("missing", 3) == shape("measured", 3)  # told apart by being hollow


def test_the_calendar_says_what_is_missing() -> None:
    """Hours measured of those expected, on how many days something is missing, and on which most."""
    told: list[int | str | None] = [1] * 24 + [1] * 20 + [None] * 4 + [None, "excluded", 1]
    calendar = calendar_view(answer(hours(datetime(2026, 3, 1, tzinfo=BERLIN), *told)), BERLIN, False, DE)

    assert calendar is not None
    assert calendar.summary == (
        "Ganz gemessen wurden 45 von 51 Stunden. An 2 Tagen fehlt etwas, am meisten am Mo., 02.03.2026."
    )
    assert [day.text for day in calendar.days] == [
        "24 Stunden gemessen",
        "20 Stunden gemessen, 4 Stunden nicht gemessen",
        "1 Stunde gemessen, 1 Stunde nicht gemessen, 1 Stunde durch eine Bemerkung ausgenommen",
    ]
    assert [state for state, _, _ in calendar.legend] == ["measured", "missing", "excluded"]


def test_the_hour_that_runs_lacks_nothing_yet() -> None:
    """It is in the picture as it is measured so far, and in no sentence."""
    values = hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1, 1, 1)
    told = answer([*values[:-2], *({**value, "state": "partial", "coverage": 0.9} for value in values[-2:])])
    during = calendar_view(told, BERLIN, False, DE, datetime(2026, 3, 1, 2, 30, tzinfo=BERLIN))
    after = calendar_view(told, BERLIN, False, DE, datetime(2026, 3, 1, 3, 30, tzinfo=BERLIN))

    assert during is not None
    assert after is not None
    assert during.summary == "Ganz gemessen wurden 2 von 2 Stunden."
    assert after.summary == "Ganz gemessen wurden 2 von 3 Stunden. An einem Tag fehlt etwas: So., 01.03.2026."
    assert during.days == after.days


def test_clock_changes_are_no_gaps() -> None:
    """The hour that March leaves out is skipped; October's doubled hour is as good as the worse of both."""
    march = grid(intervals_of(answer(hours(datetime(2026, 3, 29, tzinfo=BERLIN), *[1] * 23)), BERLIN))
    assert march[date(2026, 3, 29)][1:4] == ["measured", "skipped", "measured"]

    october = grid(intervals_of(answer(hours(datetime(2026, 10, 25, tzinfo=BERLIN), 1, 1, 1, None, 1)), BERLIN))
    assert october[date(2026, 10, 25)][1:5] == ["measured", "missing", "measured", "future"]


def test_the_calendar_has_five_weeks_at_most() -> None:
    """Of a longer period its last ones."""
    assert calendar_days(date(2026, 1, 1), date(2026, 12, 31)) == (date(2026, 11, 27), date(2026, 12, 31))
    assert calendar_days(date(2026, 1, 1), date(2026, 1, 2)) == (date(2026, 1, 1), date(2026, 1, 2))


def board(line: Any) -> StationBoard:
    """A station with this line."""
    return StationBoard(
        "markt",
        "Markt",
        "Europe/Berlin",
        11.5,
        50.9,
        line,
        {},
        ("in", "out"),
        None,
        (),
        None,
        None,  # type: ignore[arg-type]
    )


def test_arrows_of_the_sketch_point_where_people_go() -> None:
    """`in` crosses a line that runs east to the south, `out` to the north: up is north."""
    drawn = sketch(board(((11.5, 50.9), (11.501, 50.9))))

    assert drawn is not None
    assert drawn.metres == 70
    heads = {arrow.key: arrow.y for arrow in drawn.arrows}
    assert heads["in"] > 130
    assert heads["out"] < 70
    assert [arrow.letter for arrow in drawn.arrows] == ["A", "B"]


@pytest.mark.parametrize("line", [None, ((11.5, 50.9), (11.5, 50.9))])
def test_without_a_line_there_is_no_sketch(line: Any) -> None:
    """Nothing is drawn that nobody knows."""
    assert sketch(board(line)) is None


def test_a_chart_is_json() -> None:
    """What the page carries can be read by the script."""
    course = view(hours(datetime(2026, 3, 1, tzinfo=BERLIN), 1, None), REMARK)

    assert json.loads(course.plot.json)["file"] == "footfall_markt_2026-03-01_2026-03-01_1h"
