"""Today beside what is usual: which numbers may be set beside each other, and how the day is drawn and told."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from footfall_api.board import Board, Reading, StationBoard
from footfall_api.messages import catalogue
from footfall_api.pages.kiosk_view import columns
from footfall_api.pages.now_view import remark_view
from footfall_api.pages.today import Day, Hour, Remark, day_of, remark_of
from footfall_api.pages.usual_view import (
    HEIGHT,
    Beside,
    added,
    change,
    course,
    half_up,
    hour_rows,
    lately,
    lately_text,
    so_far,
    so_far_text,
)

ZONE = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 11, 23, tzinfo=ZONE)
AT = MIDNIGHT + timedelta(hours=14, minutes=30)
HOUR = timedelta(hours=1)
GERMAN, ENGLISH = catalogue("de"), catalogue("en")


def day(
    different: Mapping[int, tuple[int | None, str]] | None = None,
    *,
    usual: float | None = 100.0,
    unusual: Mapping[int, float | None] | None = None,
    before: float | None = 40.0,
) -> Day:
    """A day with 110 passages in each hour, where 100 are usual; `different` and `unusual` by the hour of the clock."""
    hours = []
    for index in range(24):
        count, state = (different or {}).get(index, (110, "measured"))
        mean = (unusual or {}).get(index, usual)
        hours.append(Hour(MIDNIGHT + index * HOUR, MIDNIGHT + (index + 1) * HOUR, count, state, None, mean))
    return Day(tuple(hours), before, is_compared=True)


def today(count: int | None) -> Reading:
    """Today's total."""
    return Reading(MIDNIGHT, MIDNIGHT + 24 * HOUR, {"in": count}, count, 1.0, "measured", None, final=False)


def minutes(count: int | None) -> list[Reading]:
    """The hour up to 14:30, with so many passages in each minute."""
    starts = (AT - timedelta(minutes=ago) for ago in range(59, -1, -1))
    state = "missing" if count is None else "measured"
    return [
        Reading(start, start + timedelta(minutes=1), {"in": count}, count, 1.0, state, None, final=False)
        for start in starts
    ]


def test_today_up_to_now_is_compared_with_as_much_of_a_usual_day() -> None:
    """At half past two 14 hours and a half are usual, the running hour by its share."""
    found = so_far(day(), today(1595), is_whole=True, at=AT)

    assert found == Beside(1595, 1450.0)
    assert so_far_text(found, GERMAN) == "bis jetzt üblich 1.450 (+10\xa0%)"
    assert so_far_text(found, ENGLISH) == "usual by now 1,450 (+10%)"


def test_a_day_with_gaps_is_compared_by_its_whole_hours() -> None:
    """What was not measured is on neither side: only hours that were measured from end to end are."""
    gappy = day({3: (None, "missing"), 9: (70, "partial")})
    found = so_far(gappy, today(1400), is_whole=False, at=AT)

    assert found == Beside(12 * 110, 12 * 100.0, 12)
    assert so_far_text(found, GERMAN) == "in 12 ganz gemessenen Stunden 1.320, üblich 1.200 (+10\xa0%)"


def test_hours_without_a_usual_are_on_neither_side() -> None:
    """A day of which one hour has too few like days is compared in the others."""
    assert so_far(day(unusual={2: None}), today(1595), is_whole=True, at=AT) == Beside(13 * 110, 1300.0, 13)
    # The hour that runs has none: all hours that are over are compared.
    assert so_far(day(unusual={14: None}), today(1595), is_whole=True, at=AT) == Beside(14 * 110, 1400.0, 14)


def test_too_few_like_days_are_said() -> None:
    """No number stands where none is known; a server that did not answer is something else, and says nothing here."""
    found = so_far(day(usual=None), today(1595), is_whole=True, at=AT)

    assert so_far_text(found, GERMAN) == "noch zu wenige vergleichbare Tage"
    assert so_far_text(None, GERMAN) == ""
    assert lately_text(lately(day(usual=None), 80, is_whole=True, at=AT), GERMAN) == ""


def test_a_silent_sensor_shows_what_is_usual_and_no_change() -> None:
    """Nothing measured is not −100 %."""
    found = so_far(day(), today(None), is_whole=False, at=AT)

    assert so_far_text(found, GERMAN) == "bis jetzt üblich 1.450"


def test_nobody_at_a_usual_time_is_a_change() -> None:
    """Measured and nobody came is −100 %, once enough are usual."""
    assert so_far_text(so_far(day(), today(0), is_whole=True, at=AT), GERMAN) == "bis jetzt üblich 1.450 (−100\xa0%)"


@pytest.mark.parametrize(("usual", "told"), [(9.9, ""), (10.0, " (+20\xa0%)"), (12.0, " (±0\xa0%)")])
def test_a_change_of_very_few_is_not_told(usual: float, told: str) -> None:
    """One more of three is no news."""
    assert change(Beside(12, usual), GERMAN) == told


def test_the_last_hour_lies_in_two() -> None:
    """At half past two half of either hour is usual; just after midnight yesterday's last hour goes in."""
    uneven = day(unusual={13: 60.0, 14: 100.0})

    assert lately(uneven, 88, is_whole=True, at=AT) == Beside(88, 80.0)
    assert lately_text(lately(uneven, 88, is_whole=True, at=AT), GERMAN) == "üblich 80 (+10\xa0%)"
    assert lately(uneven, 88, is_whole=False, at=AT) == Beside(None, 80.0)
    assert lately(day(), 50, is_whole=True, at=MIDNIGHT + HOUR / 4) == Beside(50, 55.0)
    assert lately(day(before=None), 50, is_whole=True, at=MIDNIGHT + HOUR / 4) == Beside(None, None)


def test_a_day_that_is_over_is_compared_with_nothing() -> None:
    """Until the new day is known, yesterday's hours are not taken for today's."""
    assert lately(day(), 50, is_whole=True, at=AT + timedelta(days=1)) == Beside(None, None)


def test_all_stations_together_are_those_that_can_be_compared() -> None:
    """Sums of whole days up to now only; how many go in is known."""
    whole, gappy, few = Beside(100, 90.0), Beside(50, 40.0, 3), Beside(None, None)

    assert added([(whole, 100), (Beside(20, 30.0), 20), (gappy, 60), (few, 5)]) == (Beside(120, 120.0), 2)
    assert added([(few, 5), (None, 7)]) == (Beside(None, None), 0)
    assert added([(None, 7)]) == (None, 0)


@pytest.mark.parametrize(("value", "whole"), [(0.5, 1), (1.5, 2), (2.5, 3), (-0.5, 0), (2.49, 2)])
def test_a_half_goes_up(value: float, whole: int) -> None:
    """As in the browser: server and scripts never differ by one."""
    assert half_up(value) == whole


def test_the_picture_of_the_day_tells_gaps_partial_hours_and_zeros_apart() -> None:
    """A gap is a band, a partial hour stands apart, a zero is no bar, the running hour is what its minutes say."""
    drawn = course(day({3: (None, "missing"), 4: (0, "measured"), 9: (55, "partial")}), minutes(2), AT, GERMAN)

    assert drawn.gaps == f"M30 0h10v{HEIGHT}h-10z"
    assert drawn.partial.startswith(f"M91 {HEIGHT}v-")
    assert drawn.bars.count("M") == 14 - 3
    assert drawn.usual.count("M") == 24
    assert (drawn.running, drawn.running_height) == (14, round(62 * HEIGHT / 110, 1))
    assert drawn.labels == ((0, "0"), (60, "6"), (120, "12"), (180, "18"), (240, "24"))


def test_a_running_hour_that_was_not_measured_has_no_bar() -> None:
    """Nothing is drawn of nothing."""
    assert course(day(), minutes(None), AT, GERMAN).running_height == 0


def test_the_day_in_words() -> None:
    """The fullest hour beside its usual, then what was not measured and what only in part, each once."""
    told = course(
        day({2: (None, "missing"), 3: (None, "missing"), 9: (55, "partial"), 12: (300, "measured")}),
        minutes(2),
        AT,
        GERMAN,
    ).text

    assert told == (
        "Stärkste Stunde 12:00–13:00 Uhr: 300 (üblich 100). Nicht gemessen: 02:00–04:00 Uhr. "
        "Nur zum Teil gemessen: 09:00–10:00 Uhr."
    )


def test_a_day_of_which_nothing_can_be_told_says_why() -> None:
    """It has just begun, nothing was measured, nobody came: three things."""
    nothing = dict.fromkeys(range(24), (None, "missing"))
    nobody = dict.fromkeys(range(24), (0, "measured"))

    assert course(day(), minutes(2), MIDNIGHT + HOUR / 2, GERMAN).text == "Der Tag hat gerade begonnen."
    assert course(day(nothing), minutes(None), AT, GERMAN).text == "Heute wurde noch keine Stunde gemessen."
    assert course(day(nobody), minutes(0), AT, GERMAN).text == "Gemessen, aber niemand kam vorbei."


def test_the_table_has_hours_that_are_over_and_what_is_usual_in_all() -> None:
    """A gap is a dash, a part at least so many, the running hour runs, and those to come have no count."""
    rows = hour_rows([day({3: (None, "missing"), 9: (55, "partial")}), day(usual=None)], AT, GERMAN)

    assert [row.time for row in rows] == [f"{hour:02}:00" for hour in range(24)]
    assert rows[3].cells == (("–", "100"), ("110", "–"))
    assert rows[9].cells[0] == ("≥ 55", "100")
    assert rows[14].cells[0] == ("läuft", "100")
    assert rows[15].cells[0] == ("", "100")


def long_day() -> Day:
    """The day in October on which clocks go back, 25 hours long, as the API tells it."""
    midnight = datetime(2026, 10, 25, tzinfo=ZONE).astimezone(UTC)
    starts = [(midnight + index * HOUR).astimezone(ZONE) for index in range(25)]
    values = [
        {
            "start": start.isoformat(),
            "end": (start.astimezone(UTC) + HOUR).astimezone(ZONE).isoformat(),
            "count": 5,
            "state": "measured",
            "reason": None,
        }
        for start in starts
    ]
    means = {datetime.fromisoformat(value["start"]): 4.0 for value in values}
    return day_of(values, means, starts[0])


def test_a_day_of_25_hours_has_25() -> None:
    """Two o'clock comes twice in the table, and the times below the picture stand where they belong."""
    found = long_day()
    at = datetime(2026, 10, 25, 20, 30, tzinfo=ZONE)

    assert all(hour.usual == 4.0 for hour in found.hours)
    assert [row.time for row in hour_rows([found], at, GERMAN)][1:5] == ["01:00", "02:00", "02:00", "03:00"]
    assert course(found, [], at, GERMAN).labels == ((0, "0"), (70, "6"), (130, "12"), (190, "18"), (250, "24"))


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2026-11-20T00:00:00+01:00", None, "bis auf Weiteres"),
        ("2026-11-20T00:00:00+01:00", "2026-12-01T00:00:00+01:00", "bis 30.11.2026"),
        ("2026-11-23T10:00:00+01:00", "2026-11-23T16:30:00+01:00", "heute 10:00–16:30 Uhr"),
        ("2026-11-22T10:00:00+01:00", "2026-11-24T00:00:00+01:00", "heute 00:00–24:00 Uhr"),
    ],
)
def test_when_a_remark_holds_is_said_as_people_say_it(start: str, end: str | None, told: str) -> None:
    """An end at midnight is the day before; what ends today says when."""
    found = {"id": 1, "kind": "works", "text": "x", "stations": ["a"], "from": start, "to": end, "excludes": False}
    view = remark_view(remark_of(found), Board(AT.astimezone(UTC), ()), GERMAN)

    assert (view.kind_text, view.when) == ("Bauarbeiten", told)


def test_a_remark_since_another_time_of_the_year_ends_on_its_own_day() -> None:
    """Half an hour into the day in summer is the day before by the clock of winter, when the remark began."""
    at = datetime(2026, 7, 9, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    found = {"id": 1, "kind": "works", "text": "x", "stations": ["markt"], "excludes": False}
    remark = remark_of(found | {"from": "2026-03-01T00:00:00+01:00", "to": "2026-07-10T00:00:00+02:00"})

    day = Reading(at, at, {}, None, None, "missing", None, False)
    markt = StationBoard("markt", "Markt", "Europe/Berlin", 11.5, 50.9, None, {}, ("in", "out"), day, (), None, None)
    board = Board(at.astimezone(UTC), (markt,))
    assert remark_view(remark, board, GERMAN).when == "heute 00:00–24:00 Uhr"


def test_a_remark_says_that_its_time_is_not_counted() -> None:
    """What is excluded is not counted, and that explains the gap."""
    remark = Remark(1, "fault", "verdeckt", (), MIDNIGHT, None, excludes=True)

    assert (
        remark_view(remark, Board(AT.astimezone(UTC), ()), GERMAN).when
        == "bis auf Weiteres; diese Zeit zählt nicht mit"
    )


@pytest.mark.parametrize(
    ("count", "lying", "standing"),
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 1), (6, 3, 2), (8, 4, 2), (9, 3, 3), (12, 4, 2)],
)
def test_tiles_fill_the_screen(count: int, lying: int, standing: int) -> None:
    """As many columns as suit the screen, and no hole in the last row if it can be helped."""
    assert (columns(count, 1.6), columns(count, 0.5)) == (lying, standing)
