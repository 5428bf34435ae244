"""From rows to values: sums, gaps, spans, installations, splits, and the days on which clocks change."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from footfall_api.counts import Block, blocks, groups_of
from footfall_api.database import snapshot
from footfall_api.intervals import Resolution
from footfall_api.question import Dimension, Question
from footfall_api.settings import ApiSettings, DatabaseSettings
from footfall_api.stations import read_stations
from footfall_api.tally import NOTHING_HIDDEN, Hidden
from footfall_testing.city import NOW, Api, City

BERLIN = ZoneInfo("Europe/Berlin")


def local(text: str) -> datetime:
    """A local time in Jena."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def seen(values: Sequence[dict[str, Any]], *fields: str) -> list[tuple[Any, ...]]:
    """Some fields of each value; times as the clock shows them."""
    return [tuple(v[f][11:16] if f in {"start", "end"} else v[f] for f in fields) for v in values]


def block_of(
    api: Api, stations: Sequence[str], *split: Dimension, together: bool = False, hidden: Hidden = NOTHING_HIDDEN
) -> Block:
    """Two hours of some stations, on the first of June from ten o'clock on."""
    question = Question(
        "", _unix("2026-06-01T10:00"), _unix("2026-06-01T12:00"), Resolution.HOUR, frozenset(split), BERLIN
    )

    async def ask() -> Block:
        async with snapshot(api.app.state.pool) as connection:
            found = [station for station in await read_stations(connection) if station.id in stations]
        groups = groups_of(found, question.split, together=together)
        now_s = int(api.now.timestamp())
        return await anext(blocks(api.app.state.pool, groups, question, now_s, 2, hidden=hidden))

    found: Block = api.run(ask())
    return found


def _unix(text: str) -> int:
    return int(local(text).timestamp())


def test_a_gap_is_a_value_with_null(city: City, api: Api) -> None:
    """Measured with people, measured with nobody, silent, and never reported are four different answers."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 60, {0: 2, 1: 1})
    city.minutes(key, local("2026-06-01T11:00"), 60)
    city.minutes(key, local("2026-06-01T12:00"), 60, observed_s=0)

    values = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T14:00")

    assert seen(values, "start", "end", "count", "coverage", "state", "reason") == [
        ("10:00", "11:00", 180, 1.0, "measured", None),
        ("11:00", "12:00", 0, 1.0, "measured", None),
        ("12:00", "13:00", None, 0.0, "missing", "silent"),
        ("13:00", "14:00", None, 0.0, "missing", "not_reported"),
    ]
    assert seen(values, "station", "direction", "class", "sensor") == [("markt", "all", "all", "all")] * 4


def test_coverage_is_that_of_the_time_up_to_now(city: City, api: Api) -> None:
    """The running hour is measured if it was until now; an hour to come is future, and neither is final."""
    key = city.counter("markt")
    api.now = local("2026-06-10T14:30")
    city.minutes(key, local("2026-06-10T13:00"), 90, {0: 1})

    values = api.counts("markt", from_="2026-06-10T13:00", to="2026-06-10T16:00")

    assert seen(values, "start", "count", "coverage", "state", "reason", "final") == [
        ("13:00", 60, 1.0, "measured", None, True),
        ("14:00", 30, 1.0, "measured", None, False),
        ("15:00", None, None, "missing", "future", False),
    ]


def test_an_old_gap_is_final_and_a_young_one_is_not(city: City, api: Api) -> None:
    """A box keeps what it could not send for two weeks."""
    city.counter("markt")
    old = (NOW - timedelta(days=15)).isoformat()
    young = (NOW - timedelta(days=13)).isoformat()

    assert api.counts("markt", from_=old, to=old[:10] + "T15:00")[0]["final"] is True
    assert api.counts("markt", from_=young, to=young[:10] + "T15:00")[0]["final"] is False


def test_directions_are_those_the_sensors_count(city: City, api: Api) -> None:
    """In and out are told apart; a sensor that cannot gives undirected values, and no invented zeros."""
    city.minutes(city.counter("markt"), local("2026-06-01T10:00"), 60, {0: 2})
    city.minutes(city.counter("saal", directions=(2,)), local("2026-06-01T10:00"), 60, {2: 5})
    city.counter("neu", directions=())
    asked = {"from_": "2026-06-01T10:00", "to": "2026-06-01T11:00", "split": "direction"}

    assert seen(api.counts("markt", **asked), "direction", "count") == [("in", 120), ("out", 0)]
    assert seen(api.counts("saal", **asked), "direction", "count") == [("undirected", 300)]
    assert seen(api.counts("neu", **asked), "direction", "count") == [("in", None), ("out", None)]


def test_classes_are_those_that_were_counted(city: City, api: Api) -> None:
    """Each class that occurs in the time asked for has a value in each interval; others are not invented."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 60, {0: 2})
    city.minutes(key, local("2026-06-01T11:00"), 60, {0: 1}, class_=2)
    city.span(key, local("2026-06-01T12:00"), local("2026-06-01T13:00"), {1: 9}, observed_s=3600, class_=255)

    values = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T13:00", split="class")
    both = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T11:00", split="class,direction")

    assert seen(values, "start", "class", "count") == [
        ("10:00", "pedestrian", 120),
        ("10:00", "cyclist", 0),
        ("10:00", "unknown", 0),
        ("11:00", "pedestrian", 0),
        ("11:00", "cyclist", 60),
        ("11:00", "unknown", 0),
        ("12:00", "pedestrian", 0),
        ("12:00", "cyclist", 0),
        ("12:00", "unknown", 9),
    ]
    assert seen(both, "direction", "class", "count") == [("in", "pedestrian", 120), ("out", "pedestrian", 0)]


def test_parts_are_added_up_and_references_never(city: City, api: Api) -> None:
    """A wide street has two sensors, and a third that checks them: it is seen by itself only."""
    city.station("markt")
    left, right, check = (city.sensor(f"markt-{n}") for n in (1, 2, 3))
    for key, role in ((left, "part"), (right, "part"), (check, "reference")):
        city.install(key, "markt", role=role)
        city.minutes(key, local("2026-06-01T10:00"), 60, {0: key})

    asked = {"from_": "2026-06-01T10:00", "to": "2026-06-01T11:00"}

    assert seen(api.counts("markt", **asked), "sensor", "count", "coverage") == [("all", 60 * (left + right), 1.0)]
    assert seen(api.counts("markt", **asked, split="sensor"), "sensor", "count") == [
        ("markt-1", 60 * left),
        ("markt-2", 60 * right),
        ("markt-3", 60 * check),
    ]


def test_one_silent_part_makes_the_sum_partial(city: City, api: Api) -> None:
    """The count is null only if all parts are silent; the coverage says how much of the whole it is."""
    city.station("markt")
    for name, minutes in (("markt-1", 60), ("markt-2", 0)):
        key = city.sensor(name)
        city.install(key, "markt")
        if minutes:
            city.minutes(key, local("2026-06-01T10:00"), minutes, {0: 1})

    values = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T12:00")

    assert seen(values, "count", "coverage", "state", "reason") == [
        (60, 0.5, "partial", "not_reported"),
        (None, 0.0, "missing", "not_reported"),
    ]


def test_only_what_was_counted_at_the_station_counts(city: City, api: Api) -> None:
    """A sensor that was moved takes its counts of before and after with it; the time without one is not installed."""
    # ──markt── 10:20 ──(stock room)── 11:00 ──saal──
    key = city.sensor("wandering")
    city.station("markt")
    city.station("saal")
    city.install(key, "markt", local("2026-06-01T09:00"), local("2026-06-01T10:20"))
    city.install(key, "saal", local("2026-06-01T11:00"))
    city.minutes(key, local("2026-06-01T08:00"), 240, {0: 1})

    asked = {"from_": "2026-06-01T08:00", "to": "2026-06-01T12:00"}

    assert seen(api.counts("markt", **asked), "start", "count", "coverage", "state", "reason") == [
        ("08:00", None, None, "missing", "not_installed"),
        ("09:00", 60, 1.0, "measured", None),
        ("10:00", 20, 1.0, "measured", "not_installed"),
        ("11:00", None, None, "missing", "not_installed"),
    ]
    assert seen(api.counts("saal", **asked), "count") == [(None,), (None,), (None,), (60,)]


def test_a_sensor_that_replaces_another_leaves_no_hole(city: City, api: Api) -> None:
    """An hour in which one part went and the next one came is wholly measured, and nothing says otherwise."""
    city.station("markt")
    swap = local("2026-06-01T10:30")
    for name, since, until in (("old", local("2026-01-01T00:00"), swap), ("new", swap, None)):
        key = city.sensor(name)
        city.install(key, "markt", since, until)
        city.minutes(key, local("2026-06-01T10:00"), 60, {0: 1})

    (value,) = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T11:00")

    assert (value["count"], value["coverage"], value["reason"]) == (60, 1.0, None)


def test_a_span_counts_where_it_lies_inside_and_nowhere_else(city: City, api: Api) -> None:
    """An hourly archive gives hours and days; a quarter of an hour in it is coarse and names the hour."""
    key = city.counter("markt")
    city.span(key, local("2026-06-01T10:00"), local("2026-06-01T11:00"), {0: 90, 1: 10}, observed_s=3600)
    city.span(key, local("2026-06-01T11:00"), local("2026-06-01T12:00"), observed_s=3600)

    asked = {"from_": "2026-06-01T10:00", "to": "2026-06-01T12:00"}

    assert seen(api.counts("markt", **asked, split="direction"), "start", "direction", "count", "state") == [
        ("10:00", "in", 90, "measured"),
        ("10:00", "out", 10, "measured"),
        ("11:00", "in", 0, "measured"),
        ("11:00", "out", 0, "measured"),
    ]
    assert (
        seen(api.counts("markt", **asked, resolution="15min"), "count", "state", "reason")
        == [(None, "coarse", "1h")] * 8
    )
    (day,) = api.counts("markt", from_="2026-06-01", to="2026-06-02", resolution="1d")
    assert (day["count"], day["coverage"], day["state"]) == (100, 0.0833, "partial")


def test_a_recovered_sum_is_no_rush_hour(city: City, api: Api) -> None:
    """What running totals reveal after an outage belongs to the time of the outage as a whole."""
    #   measured ──10:20═══ outage: 30 people ═══11:40── measured
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 20, {0: 1})
    city.minutes(key, local("2026-06-01T11:40"), 20, {0: 1})
    city.span(key, local("2026-06-01T10:20"), local("2026-06-01T11:40"), {0: 30})
    city.span(key, local("2026-06-01T13:10"), local("2026-06-01T13:50"), {0: 7})

    asked = {"from_": "2026-06-01T10:00", "to": "2026-06-01T14:00"}

    assert seen(api.counts("markt", **asked), "start", "count", "coverage", "state", "reason") == [
        ("10:00", 20, 0.3333, "partial", "not_reported"),
        ("11:00", 20, 0.3333, "partial", "not_reported"),
        ("12:00", None, 0.0, "missing", "not_reported"),
        ("13:00", 7, 0.0, "recovered", None),
    ]
    quarters = api.counts("markt", from_="2026-06-01T10:30", to="2026-06-01T10:45", resolution="15min")
    assert seen(quarters, "count", "state", "reason") == [(None, "coarse", "1d")]
    (day,) = api.counts("markt", from_="2026-06-01", to="2026-06-02", resolution="1d")
    assert day["count"] == 77


def test_an_outage_that_was_recovered_is_whole_again(city: City, api: Api) -> None:
    """Measured time and the time of a recovered sum fill the hour: the count is complete, the coverage says how."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 30, {0: 1})
    city.span(key, local("2026-06-01T10:30"), local("2026-06-01T11:00"), {0: 12, 1: 3})

    (value,) = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T11:00")

    assert (value["count"], value["coverage"], value["state"]) == (45, 0.5, "recovered")


def test_a_silent_span_is_silence_and_no_zero(city: City, api: Api) -> None:
    """A span that observed nothing and counted nobody fills a hole in the numbers of a stream, not in the counts."""
    key = city.counter("markt")
    city.span(key, local("2026-06-01T10:00"), local("2026-06-01T12:00"))
    city.span(key, local("2026-06-01T12:00"), local("2026-06-01T13:00"))

    values = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T13:00")

    assert seen(values, "count", "state", "reason") == [
        (None, "missing", "not_reported"),
        (None, "missing", "not_reported"),
        (None, "missing", "silent"),
    ]


@pytest.mark.parametrize(
    ("times", "finest"),
    [
        (("2026-06-01T10:03", "2026-06-01T10:08"), "15min"),
        (("2026-06-01T10:10", "2026-06-01T10:20"), "30min"),
        (("2026-06-01T10:10", "2026-06-01T10:50"), "1h"),
        (("2026-06-01T10:10", "2026-06-01T11:10"), "1d"),
        (("2026-06-01T10:10", "2026-06-02T10:10"), "1w"),
        (("2026-06-07T10:10", "2026-06-08T10:10"), "1mo"),
        (("2026-05-31T10:10", "2026-06-01T10:10"), "1y"),
        (("2025-12-31T10:10", "2026-01-01T10:10"), "1w"),
        (("2025-01-01T00:00", "2025-02-01T00:00"), "1mo"),
        (("2023-12-31T10:10", "2024-01-01T10:10"), None),
    ],
)
def test_coarse_names_the_finest_resolution_that_has_the_number(
    city: City, api: Api, times: tuple[str, str], finest: str | None
) -> None:
    """Whoever asks again with it gets the count; a span over the end of a year and a week is in no interval."""
    start, end = times
    key = city.counter("markt")
    city.span(key, local(start), local(end), {0: 5})

    (minute,) = api.counts(
        "markt", from_=start, to=local(start).replace(tzinfo=None) + timedelta(minutes=1), resolution="1min"
    )

    assert (minute["state"], minute["reason"], minute["count"]) == ("coarse", finest, None)
    if finest:
        (value,) = api.counts("markt", from_=start, to=end, resolution=finest)
        assert (value["count"], value["state"]) == (5, "recovered")


def test_of_several_longer_counts_the_longest_decides(city: City, api: Api) -> None:
    """An interval that two spans cut has its whole number only where both lie inside."""
    key = city.counter("markt")
    city.span(key, local("2026-06-01T10:10"), local("2026-06-01T10:20"), {0: 1})
    city.span(key, local("2026-06-01T10:25"), local("2026-06-01T12:00"), {0: 2})

    values = api.counts("markt", from_="2026-06-01T10:15", to="2026-06-01T10:45", resolution="15min")

    assert seen(values, "state", "reason") == [("coarse", "1d"), ("coarse", "1d")]


def test_a_span_that_leaves_the_installation_counts_nowhere(city: City, api: Api) -> None:
    """Nobody knows which of its people passed while the sensor hung there."""
    key = city.sensor("s-1")
    city.station("markt")
    city.install(key, "markt", local("2026-06-01T10:30"))
    city.span(key, local("2026-06-01T10:00"), local("2026-06-01T11:00"), {0: 50}, observed_s=3600)
    (value,) = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T11:00")
    assert (value["count"], value["state"], value["reason"]) == (None, "missing", "not_reported")

    city.span(key, local("2026-06-01T10:30"), local("2026-06-01T11:00"), {0: 4}, observed_s=1800)
    (value,) = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T11:00")
    assert (value["count"], value["coverage"]) == (4, 1.0)


@pytest.mark.parametrize(
    ("day", "hours", "begins"),
    [
        ("2026-03-29", 23, ["00:00:00+01:00", "01:00:00+01:00", "03:00:00+02:00", "04:00:00+02:00"]),
        ("2025-10-26", 25, ["00:00:00+02:00", "01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00"]),
    ],
)
def test_days_of_clock_changes(city: City, api: Api, day: str, hours: int, begins: list[str]) -> None:
    """A March day has 23 hours and an October day 25, each with its own people; the day is their sum, and whole."""
    after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    key = city.counter("markt")
    city.minutes(key, local(f"{day}T00:00"), hours * 60, {0: 1})

    by_hour = api.counts("markt", from_=day, to=after)
    (whole,) = api.counts("markt", from_=day, to=after, resolution="1d")

    assert [v["start"][11:] for v in by_hour[:4]] == begins
    assert [(v["count"], v["state"]) for v in by_hour] == [(60, "measured")] * hours
    assert (whole["count"], whole["coverage"], whole["state"]) == (hours * 60, 1.0, "measured")
    assert (whole["start"], whole["end"]) == (by_hour[0]["start"], by_hour[-1]["end"])


def test_the_doubled_hour_can_be_asked_for_by_its_offset(city: City, api: Api) -> None:
    """Without an offset it is the earlier of the two; the intervals are told apart by theirs."""
    key = city.counter("markt")
    first = datetime(2025, 10, 26, 0, 0, tzinfo=UTC)  # 02:00 summer time
    city.minutes(key, first, 60, {0: 1})
    city.minutes(key, first + timedelta(hours=1), 60, {0: 2})

    def at(text: str) -> tuple[str, int]:
        value = api.counts("markt", from_=text, to="2025-10-26T03:00")[0]
        return value["start"], value["count"]

    assert at("2025-10-26T02:00") == ("2025-10-26T02:00:00+02:00", 60)
    assert at("2025-10-26T02:00+02:00") == ("2025-10-26T02:00:00+02:00", 60)
    assert at("2025-10-26T02:00+01:00") == ("2025-10-26T02:00:00+01:00", 120)


def test_another_zone_cuts_other_days(city: City, api: Api) -> None:
    """`tz` moves the edges of days, reads times without offset, and writes all times in its own offset."""
    key = city.counter("markt")
    city.minutes(key, datetime(2026, 6, 1, 23, 0, tzinfo=UTC), 120, {0: 1})

    def by_day(tz: str) -> list[tuple[str, int | None]]:
        return [
            (v["start"], v["count"])
            for v in api.counts("markt", from_="2026-06-01", to="2026-06-03", resolution="1d", tz=tz)
        ]

    assert by_day("UTC") == [("2026-06-01T00:00:00+00:00", 60), ("2026-06-02T00:00:00+00:00", 60)]
    assert by_day("Europe/Berlin") == [("2026-06-01T00:00:00+02:00", None), ("2026-06-02T00:00:00+02:00", 120)]
    assert by_day("Asia/Kathmandu") == [("2026-06-01T00:00:00+05:45", None), ("2026-06-02T00:00:00+05:45", 120)]


def test_a_time_inside_an_interval_asks_for_all_of_it(city: City, api: Api) -> None:
    """From and to are widened to the edges of the intervals they are in; an edge itself is not widened."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T09:00"), 240, {0: 1})

    values = api.counts("markt", from_="2026-06-01T10:59:59", to="2026-06-01T12:00:01")

    assert seen(values, "start", "count") == [("10:00", 60), ("11:00", 60), ("12:00", 60)]


def test_by_default_it_is_today_by_the_hour_up_to_now(city: City, api: Api) -> None:
    """From local midnight to the end of the running hour."""
    city.counter("markt")
    api.now = local("2026-06-10T02:20")

    assert seen(api.counts("markt"), "start", "end") == [("00:00", "01:00"), ("01:00", "02:00"), ("02:00", "03:00")]
    assert seen(api.counts("markt", to="2026-06-02T01:30"), "start") == [("00:00",), ("01:00",)]
    assert seen(api.counts("markt", to="2026-06-02"), "end")[-2:] == [("23:00",), ("00:00",)]
    assert len(api.counts("markt", to="2026-06-02")) == 24
    assert len(api.counts("markt", from_="2026-06-09")) == 27


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_nobody_is_lost_or_doubled_at_any_resolution(city: City, api: Api, zone: str) -> None:
    """Over the same days the intervals of each resolution add up to the same sum, also across clock changes."""
    seed = 20260329
    chance = random.Random(seed)
    key = city.counter("markt", timezone=zone)
    start = datetime(2026, 3, 27, tzinfo=ZoneInfo(zone))
    total = 0
    seen_at: set[datetime] = set()
    for _ in range(150):
        at = (start + timedelta(minutes=chance.randrange(0, 11 * 1440))).astimezone(UTC)
        count = chance.randrange(1, 9)
        if at not in seen_at:
            seen_at.add(at)
            city.minutes(key, at, 1, {0: count})
            total += count

    for resolution in (r for r in Resolution if r not in {Resolution.MONTH, Resolution.YEAR}):
        asked = {"from_": "2026-03-27", "to": "2026-04-07", "resolution": resolution}
        values = api.counts("markt", **asked)
        assert sum(v["count"] or 0 for v in values) == total, (resolution, seed)
        halves = api.counts("markt", **asked, split="direction,class,sensor")
        assert sum(v["count"] or 0 for v in halves) == total, (resolution, seed)


def test_a_question_over_several_pieces_is_one_answer(city: City, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Working in pieces is invisible: the same values come out however small the pieces are."""
    key = city.counter("markt")
    city.minutes(key, local("2026-03-28T00:00"), 3 * 1440, {0: 1})
    city.span(key, local("2026-03-29T10:00"), local("2026-03-29T14:30"), {0: 500})
    asked = {"from_": "2026-03-28", "to": "2026-03-31", "resolution": "15min", "split": "direction"}
    whole = api.counts("markt", **asked)

    monkeypatch.setattr("footfall_api.counts.PIECE_INTERVALS", 7)

    assert api.counts("markt", **asked) == whole
    assert len(whole) == 2 * 4 * 71


def test_the_answers_are_the_same_on_every_server(any_database: str) -> None:
    """With and without TimescaleDB: minutes, silence, a span and a gap, by the hour and by the day."""
    city = City(any_database)
    key = city.counter("markt")
    city.minutes(key, local("2026-03-28T00:00"), 2 * 1440 - 60, {0: 1, 1: 2})
    city.minutes(key, local("2026-03-30T00:00"), 60, observed_s=0)
    city.span(key, local("2026-03-30T01:00"), local("2026-03-30T03:00"), {0: 33})
    city.connection.close()

    with Api(ApiSettings(database=DatabaseSettings(dsn=any_database))) as api:
        days = api.counts("markt", from_="2026-03-28", to="2026-03-31", resolution="1d", split="direction")
        hours = api.counts("markt", from_="2026-03-30", to="2026-03-30T04:00")
        page = api.app.state.feed.current()
        assert [station.id for station in api.run(page).stations] == ["markt"]

    assert seen(days, "direction", "count", "coverage", "state") == [
        ("in", 1440, 1.0, "measured"),
        ("out", 2880, 1.0, "measured"),
        ("in", 1380, 1.0, "measured"),
        ("out", 2760, 1.0, "measured"),
        ("in", 33, 0.0, "recovered"),
        ("out", 0, 0.0, "recovered"),
    ]
    assert seen(hours, "start", "state", "reason") == [
        ("00:00", "missing", "silent"),
        ("01:00", "coarse", "1d"),
        ("02:00", "coarse", "1d"),
        ("03:00", "missing", "not_reported"),
    ]


def test_stations_are_answered_one_by_one_or_as_a_sum_that_says_who_carried_it(city: City, api: Api) -> None:
    """Apart, each has its columns, in order; together they are one, and each interval names who has numbers in it."""
    for name, minutes in (("markt", 60), ("saal", 120)):
        key = city.counter(name)
        city.minutes(key, local("2026-06-01T10:00"), minutes, {0: 1, 1: 2})
    reference = city.sensor("markt-check")
    city.install(reference, "markt", role="reference")
    city.minutes(reference, local("2026-06-01T10:00"), 60, {0: 7})

    apart = block_of(api, ["markt", "saal"], Dimension.DIRECTION)
    together = block_of(api, ["markt", "saal"], together=True)
    sensors = block_of(api, ["markt", "saal"], Dimension.SENSOR, together=True)

    assert [(c.station, c.direction, list(c.counts)) for c in apart.columns] == [
        ("markt", "in", [60, 0]),
        ("markt", "out", [120, 0]),
        ("saal", "in", [60, 60]),
        ("saal", "out", [120, 120]),
    ]
    assert [(c.station, c.sensor, list(c.counts)) for c in together.columns] == [("all", "all", [360, 180])]
    assert [(a.state, a.coverage) for a in together.answers[0]] == [("measured", 1.0), ("partial", 0.5)]
    assert [together.carried(0, i) for i in range(2)] == [("markt", "saal"), ("saal",)]
    assert apart.carried(0, 0) == ()
    assert [(c.station, c.sensor, c.counts[0]) for c in sensors.columns] == [
        ("all", "markt-1", 180),
        ("all", "markt-check", 420),
        ("all", "saal-1", 180),
    ]


def test_who_counted_without_measuring_carried_the_sum_too(city: City, api: Api) -> None:
    """A passage in the sum has its station named, also where the sensor says that it did not measure the time."""
    for name, observed_s in (("markt", 0), ("saal", 60)):
        city.minutes(city.counter(name), local("2026-06-01T10:00"), 60, {0: 1}, observed_s=observed_s)

    together = block_of(api, ["markt", "saal"], together=True)

    assert [(list(c.counts), together.carried(0, 0)) for c in together.columns] == [([120, 0], ("markt", "saal"))]
    assert together.carried(0, 1) == ()
