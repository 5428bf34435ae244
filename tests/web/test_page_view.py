"""What the page says of a board: how silence, gaps and quiet hours are told apart."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from footfall_api.answers import Reason
from footfall_api.board import Board, Reading, StationBoard
from footfall_api.messages import catalogue
from footfall_api.pages import last_hour
from footfall_api.pages.now_view import (
    PageView,
    StationView,
    heading,
    page_view,
    ring_radius,
    spark,
    status_of,
)
from footfall_api.pages.place_map import WIDE

ZONE = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 11, 23, 14, 32, 20, tzinfo=ZONE)
MINUTE = timedelta(minutes=1)


def reading(
    start: datetime,
    length: timedelta,
    counts: Mapping[str, int | None],
    coverage: float = 1.0,
    reason: str | None = None,
) -> Reading:
    """A reading with the state that the API would give it."""
    known = [count for count in counts.values() if count is not None]
    state = "missing" if not known else "measured" if coverage >= 0.98 else "partial"
    return Reading(start, start + length, counts, sum(known) if known else None, coverage, state, reason, False)


def station(
    *,
    minutes: Mapping[int, tuple[int | None, int | None]] | None = None,
    usual: tuple[int | None, int | None] = (1, 2),
    today: tuple[int | None, int | None] = (700, 534),
    coverage: float = 1.0,
    updated: datetime | None = AT - timedelta(seconds=10),
    last_day: Reading | None = None,
    line: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> StationBoard:
    """The Markt at 14:32:20; `minutes` by minutes ago (0 is the running one) differ from `usual`."""
    running = AT.replace(second=0)
    different = minutes or {}
    midnight = AT.replace(hour=0, minute=0, second=0)
    return StationBoard(
        "markt",
        "Markt",
        "Europe/Berlin",
        11.58782,
        50.92818,
        line,
        {"in": "Richtung Rathaus"},
        ("in", "out"),
        reading(midnight, timedelta(days=1), dict(zip(("in", "out"), today, strict=True)), coverage),
        tuple(
            reading(
                running - ago * MINUTE,
                MINUTE,
                dict(zip(("in", "out"), different.get(ago, usual), strict=True)),
                reason="silent" if different.get(ago, usual)[0] is None else None,
            )
            for ago in range(59, -1, -1)
        ),
        updated,
        last_day,
    )


def german(*stations: StationBoard) -> PageView:
    """The German page of a board."""
    view = page_view(Board(AT.astimezone(UTC), stations), catalogue("de"))
    assert view is not None
    return view


def shown(board: StationBoard) -> StationView:
    """What the German page says of one station."""
    return german(board).stations[0]


def test_a_usual_station() -> None:
    """Totals, directions with their labels, and the sums of the last minutes, the running one included."""
    view = shown(station())

    assert (view.status, view.status_text) == ("measured", "misst, Stand 14:32 Uhr")
    assert (view.today.text, view.today.at_least) == ("1.234", False)
    assert [(d.label, d.count.text) for d in view.directions] == [("Richtung Rathaus", "700"), ("Richtung 2", "534")]
    assert (view.five.text, view.sixty.text) == ("15", "180")
    assert german(station()).at == "Stand 14:32:20 Uhr (MEZ)"


def test_directions_have_the_gaps_of_their_sum() -> None:
    """A direction of a day of which a part is missing is a lower bound as well."""
    whole, gaps = shown(station()), shown(station(coverage=0.9))

    assert {direction.count.at_least for direction in whole.directions} == {False}
    assert gaps.today.at_least
    assert {direction.count.at_least for direction in gaps.directions} == {True}


@pytest.mark.parametrize("language", ["de", "en"])
def test_every_reason_has_words(language: str) -> None:
    """Why a time that has begun has no number is said in words, each reason in its own."""
    t = catalogue(language)
    missing = {reason: reading(AT, MINUTE, {"in": None}, reason=reason) for reason in Reason}
    words = {last_hour.state_of(missing[reason], t) for reason in Reason if reason is not Reason.FUTURE}

    assert len(words) == len(Reason) - 1


def test_a_quiet_night_is_not_a_silent_sensor() -> None:
    """Measured and nobody came is 0 and says so; not measured is a dash and says since when."""
    quiet = shown(station(usual=(0, 0), today=(0, 0)))
    silent = shown(
        station(usual=(None, None), today=(3, 4), coverage=0.9, updated=AT.replace(hour=13, minute=2, second=0))
    )

    assert (quiet.status, quiet.sixty.text, quiet.sixty.measured) == ("quiet", "0", True)
    assert quiet.status_text == "misst, Stand 14:32 Uhr; seit 60 Minuten kam niemand vorbei"
    assert (silent.status, silent.sixty.text, silent.sixty.measured) == ("silent", "–", False)
    assert silent.status_text == "keine Daten seit 13:02 Uhr"


def test_silence_since_another_day_names_the_day() -> None:
    """A clock time alone would be read as today's."""
    view = shown(station(usual=(None, None), today=(None, None), updated=AT - timedelta(days=2)))

    assert view.status_text == "keine Daten seit 21.11.2026, 14:32 Uhr"


def test_an_imported_past_shows_its_last_day() -> None:
    """A station that was measured long ago shows when that was and what it counted."""
    day = reading(datetime(2024, 12, 31, tzinfo=ZONE), timedelta(days=1), {"in": 18_000, "out": 734})
    view = shown(
        station(usual=(None, None), today=(None, None), updated=datetime(2025, 1, 1, tzinfo=ZONE), last_day=day)
    )

    assert (view.status, view.today.text) == ("last_day", "–")
    assert view.status_text == "zuletzt gemessen am 31.12.2024 bis 24:00 Uhr; Passagen an diesem Tag: 18.734"


def test_a_station_that_never_measured() -> None:
    """It says so and shows no number."""
    view = shown(station(usual=(None, None), today=(None, None), updated=None))

    assert (view.status, view.today.text, view.five.text) == ("never", "–", "–")


@pytest.mark.parametrize(("seconds", "status"), [(150, "measured"), (151, "silent")])
def test_silence_begins_after_two_and_a_half_minutes(seconds: int, status: str) -> None:
    """Reports that are on their way are not silence; two missed minutes are."""
    assert status_of(station(updated=AT - timedelta(seconds=seconds)), AT) == status


def test_gaps_make_lower_bounds() -> None:
    """A sum over a gap is shown as at least so many; a gap in the running minute is none yet."""
    gap = shown(station(minutes={10: (None, None)}, coverage=0.73))
    running = shown(station(minutes={0: (None, None)}))

    assert (gap.sixty.text, gap.sixty.at_least) == ("177", True)
    assert (gap.five.at_least, gap.today.at_least) == (False, True)
    assert (gap.status, gap.status_text) == ("partial", "misst, Stand 14:32 Uhr; heute 73\xa0% der Zeit gemessen")
    assert (running.sixty.at_least, running.status) == (False, "measured")


def test_reports_on_their_way_are_no_gap_of_the_day() -> None:
    """One minute after midnight, ten seconds that are not stored yet do not make the day incomplete."""
    at = datetime(2026, 11, 23, 0, 1, tzinfo=ZONE)
    today = reading(at.replace(minute=0), timedelta(days=1), {"in": 1, "out": 0}, coverage=50 / 60)
    board = station(updated=at - timedelta(seconds=10))
    early = StationBoard(**{name: getattr(board, name) for name in StationBoard.__slots__} | {"today": today})

    assert status_of(early, at) == "measured"


def test_the_chart_in_words() -> None:
    """Total, directions, the highest minute and the gaps are told."""
    assert last_hour.summary(station(minutes={30: (7, 5), 40: (None, None)}), catalogue("de")) == (
        "186 Passagen (65 Richtung Rathaus; 121 Richtung 2). Stärkste Minute: 14:02 Uhr (12). "
        "Eine Minute wurde nicht gemessen."
    )


def test_the_map_in_words() -> None:
    """How much is going on, and where most; nothing measured and nobody came are different sentences."""
    assert german(station()).summary == (
        "In den letzten 5 Minuten 15 Passagen an allen Zählstellen zusammen, die meisten an der Zählstelle Markt: 15."
    )
    assert "niemand kam vorbei" in german(station(usual=(0, 0))).summary
    assert "keine Zählstelle gemessen" in german(station(usual=(None, None))).summary


def test_the_table_says_why_a_minute_is_missing() -> None:
    """The running minute runs, a silent sensor is named, a measured minute is measured."""
    hour = last_hour.last_hour(station(minutes={1: (None, None)}), AT, catalogue("de"), "")
    assert json.loads(hour.plot.json)["top"] == last_hour.LEAST_TOP
    minutes = hour.minutes

    assert [minute.state for minute in minutes[:3]] == [
        "läuft noch",
        "nicht gemessen: Sensor schweigt",
        "gemessen",
    ]
    assert [minute.clock for minute in minutes[:3]] == ["14:32", "14:31", "14:30"]
    assert minutes[1].counts == ("–", "–", "–")


@pytest.mark.parametrize(
    ("line", "degrees"),
    [
        (((11.0, 50.0), (11.0, 50.1)), 90.0),  # the line runs north: left to right is eastwards
        (((11.0, 50.1), (11.0, 50.0)), 270.0),
        (((11.0, 50.0), (11.1, 50.0)), 180.0),  # eastwards: left to right is southwards
        (None, 90.0),
    ],
)
def test_arrows_point_where_people_go(
    line: tuple[tuple[float, float], tuple[float, float]] | None, degrees: float
) -> None:
    """`in` crosses the line from left to right as seen from its first to its second point; `out` the other way."""
    board = station(line=line)

    assert heading(board, "in") == pytest.approx(degrees)
    assert heading(board, "out") == pytest.approx((degrees + 180) % 360)


def test_the_ring_grows_with_its_area() -> None:
    """Twice the passages are twice the area around the dot; nothing measured is no ring beyond the dot."""

    def area(count: int) -> float:
        return ring_radius(count, WIDE) ** 2 - WIDE.dot**2

    assert area(200) == pytest.approx(2 * area(100), rel=0.02)
    assert ring_radius(None, WIDE) == ring_radius(0, WIDE) == WIDE.dot
    assert ring_radius(100_000, WIDE) == WIDE.ring_max


def test_the_small_course_shows_gaps_and_zeros_differently() -> None:
    """A minute that was not measured has a mark of its own; a measured one without passages has none."""
    drawn = spark(station(usual=(0, 0), minutes={59: (None, None), 0: (4, 2)}).minutes)

    assert drawn.gaps == "M1 20V12"
    assert drawn.up == "M119 16V1"
    assert drawn.down == "M119 16V23.5"


def test_no_station_is_no_page() -> None:
    """Without any station there is nothing to show."""
    assert page_view(Board(AT, ()), catalogue("de")) is None
