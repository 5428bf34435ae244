"""Sums by the hour in place of minutes: the same answers, whatever is summed up, dirty, late or removed."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from footfall_api.counts import Block, blocks, groups_of
from footfall_api.database import Pool, new_pool, snapshot
from footfall_api.intervals import Resolution, interval_of
from footfall_api.question import Dimension, Question
from footfall_api.ranges import merged
from footfall_api.remarks import FOREVER_S, exclusions_of, read_remarks
from footfall_api.settings import DatabaseSettings
from footfall_api.stations import read_stations
from footfall_api.tally import Exclusions, Hidden
from footfall_testing.city import Api, City

BERLIN = ZoneInfo("Europe/Berlin")

MINUTES = 3 * 1440
"""Length of a history: three days, the middle one of which may be that of a clock change."""

_numbers = count()


@dataclass(frozen=True)
class Stay:
    """Minutes of one kind that a sensor (0 or 1) reported: from the history's start on, `start` and how many."""

    sensor: int
    start: int
    minutes: int
    observed_s: int
    counts: dict[int, int]
    class_: int
    late: bool


@dataclass(frozen=True)
class History:
    """Two sensors, one of which is moved from one station to the other at minute `moved`."""

    begin: datetime
    zone: str
    moved: int
    role: str
    stays: tuple[Stay, ...]
    spans: tuple[tuple[int, int, int, int, int], ...]
    """Sensor, first second, length in seconds, measured seconds, count."""
    excluded: tuple[tuple[int, int], ...]
    dirty: frozenset[int]
    """Hours that are said to be dirty again although nothing came."""


_DAYS = [datetime(2026, 3, 28, tzinfo=UTC), datetime(2025, 10, 25, tzinfo=UTC), datetime(2026, 5, 30, tzinfo=UTC)]


@st.composite
def stays(draw: st.DrawFn) -> tuple[Stay, ...]:
    """What two sensors reported, minute by minute, with gaps; some of it came late."""
    found = []
    for sensor in (0, 1):
        at = draw(st.integers(0, 600))
        while at < MINUTES and len(found) < 12:
            length = draw(st.sampled_from([1, 7, 60, 200, 1440]))
            counts = draw(st.dictionaries(st.sampled_from([0, 1]), st.integers(1, 9), max_size=2))
            observed_s = draw(st.sampled_from([0, 30, 60, 60]))
            found.append(
                Stay(
                    sensor,
                    at,
                    min(length, MINUTES - at),
                    observed_s,
                    counts if observed_s else {},
                    draw(st.sampled_from([0, 2])),
                    draw(st.booleans()),
                )
            )
            at += length + draw(st.sampled_from([0, 0, 13, 60, 400]))
    return tuple(found)


_minute = st.one_of(st.integers(0, MINUTES), st.integers(0, MINUTES // 60).map(lambda hour: hour * 60))

histories = st.builds(
    History,
    begin=st.sampled_from(_DAYS),
    zone=st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    moved=_minute,
    role=st.sampled_from(["part", "reference"]),
    stays=stays(),
    spans=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, MINUTES).map(lambda minute: minute * 60),
            st.sampled_from([600, 3600, 7200, 90_000]),
            st.sampled_from([0, 600]),
            st.integers(0, 50),
        ),
        max_size=3,
        unique_by=lambda span: span[:3],
    ).map(tuple),
    excluded=st.lists(st.tuples(_minute, _minute), max_size=2).map(tuple),
    dirty=st.frozensets(st.integers(0, MINUTES // 60), max_size=20),
)

whole_hours = st.integers(0, MINUTES // 60).map(lambda hour: hour * 60)


class Store:
    """A database, and the answers from it."""

    def __init__(self, dsn: str) -> None:
        self.city = City(dsn)
        self.runner = asyncio.Runner()
        self.pool: Pool = new_pool(DatabaseSettings(dsn=dsn))
        self.runner.run(self.pool.open())

    def close(self) -> None:
        """Let go of everything."""
        self.runner.run(self.pool.close())
        self.runner.close()
        self.city.connection.close()

    def tell(self, history: History) -> tuple[list[int], list[str]]:
        """The sensors and stations of a history, and its spans, but no minutes; keys and ids."""
        n = next(_numbers)
        stations = [f"a-{n}", f"b-{n}"]
        for station in stations:
            self.city.station(station, timezone=history.zone)
        keys = [self.city.sensor(f"s-{n}-{i}") for i in range(2)]
        moved = history.begin + timedelta(minutes=history.moved)
        self.city.install(keys[0], stations[0], datetime(2020, 1, 1, tzinfo=UTC), moved)
        self.city.install(keys[0], stations[1], moved)
        self.city.install(keys[1], stations[0], role=history.role)
        for sensor, second, length, observed_s, number in history.spans:
            start = history.begin + timedelta(seconds=second)
            counts = {0: number} if number else None
            self.city.span(keys[sensor], start, start + timedelta(seconds=length), counts, observed_s=observed_s)
        return keys, stations

    def report(self, history: History, keys: Sequence[int], *, late: bool) -> None:
        """Store the minutes that came late, or the others."""
        for stay in history.stays:
            if stay.late is late:
                start = history.begin + timedelta(minutes=stay.start)
                self.city.minutes(
                    keys[stay.sensor],
                    start,
                    stay.minutes,
                    stay.counts,
                    observed_s=stay.observed_s,
                    class_=stay.class_,
                )

    def ask(
        self,
        history: History,
        keys: Sequence[int],
        stations: Sequence[str],
        resolution: Resolution,
        split: frozenset[Dimension],
        *,
        together: bool,
    ) -> list[Any]:
        """Everything that can be said of the time of a history."""
        zone = ZoneInfo(history.zone)
        begin_s = int(history.begin.timestamp())
        question = Question(
            "",
            interval_of(resolution, begin_s, zone)[0],
            interval_of(resolution, begin_s + MINUTES * 60 - 1, zone)[1],
            resolution,
            split,
            zone,
        )
        excluded = merged((begin_s + min(pair) * 60, begin_s + max(pair) * 60) for pair in history.excluded)
        exclusions: Exclusions = {(stations[0], keys[0]): excluded, (stations[0], keys[1]): excluded[:1]}

        async def answer() -> list[Any]:
            async with snapshot(self.pool) as connection:
                found = [one for station in stations for one in await read_stations(connection, station)]
            groups = groups_of(found, split, together=together)
            now_s = begin_s + MINUTES * 60 - 5000
            parts = blocks(self.pool, groups, question, now_s, 10**6, hidden=Hidden(exclusions))
            return [_plain(block) async for block in parts]

        return self.runner.run(answer())


def _plain(block: Block) -> Any:
    size = range(len(block.edges_s) - 1)
    return (
        list(block.edges_s),
        [list(answers) for answers in block.answers],
        [(c.station, c.direction, c.class_, c.sensor, list(c.counts)) for c in block.columns],
        [[block.carried(group, i) for i in size] for group in range(len(block.answers))],
    )


@pytest.fixture
def store(any_database: str) -> Iterator[Store]:
    """A database of each kind."""
    found = Store(any_database)
    yield found
    found.close()


splits = st.frozensets(st.sampled_from(Dimension))
quick = settings(
    max_examples=25,
    # A failure is shown as it was found: to make it smaller would take longer than a test may.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quick
@given(
    history=histories,
    resolution=st.sampled_from([Resolution.QUARTER_HOUR, *[Resolution.HOUR, Resolution.DAY] * 2, Resolution.WEEK]),
    split=splits,
    together=st.booleans(),
)
def test_sums_by_the_hour_say_what_their_minutes_say(
    store: Store, history: History, resolution: Resolution, split: frozenset[Dimension], *, together: bool
) -> None:
    """Whatever is summed up, dirty or late: moved in mid-hour, excluded, in any zone, over both changes of clocks."""
    keys, stations = store.tell(history)
    store.report(history, keys, late=False)
    store.city.sum_up()
    store.report(history, keys, late=True)
    store.city.connection.execute(
        "INSERT INTO dirty_hour SELECT k, %s + h * interval '1 hour' FROM unnest(%s::int[]) k, unnest(%s::int[]) h "
        "ON CONFLICT DO NOTHING",
        [history.begin, keys, sorted(history.dirty)],
    )
    mixed = store.ask(history, keys, stations, resolution, split, together=together)
    store.city.sum_up()
    hours = store.ask(history, keys, stations, resolution, split, together=together)

    for table in ("count_hour", "coverage_hour"):
        store.city.connection.execute(f"DELETE FROM {table} WHERE sensor = ANY(%s)", [keys])
    store.city.connection.execute(
        "INSERT INTO dirty_hour SELECT DISTINCT sensor, minute_start(minute / 60 * 60) FROM coverage_minute "
        "WHERE sensor = ANY(%s) ON CONFLICT DO NOTHING",
        [keys],
    )
    minutes = store.ask(history, keys, stations, resolution, split, together=together)

    assert mixed == minutes
    assert hours == minutes


@quick
@given(
    history=st.builds(
        History,
        begin=st.sampled_from(_DAYS),
        zone=st.sampled_from(["Europe/Berlin", "UTC"]),
        moved=whole_hours,
        role=st.just("part"),
        stays=stays(),
        spans=st.just(()),
        excluded=st.lists(st.tuples(whole_hours, whole_hours), max_size=2).map(tuple),
        dirty=st.just(frozenset()),
    ),
    resolution=st.sampled_from([Resolution.HOUR, Resolution.DAY]),
    split=splits,
    until=whole_hours,
)
def test_what_retention_removes_is_still_counted_by_the_hour(
    store: Store, history: History, resolution: Resolution, split: frozenset[Dimension], until: int
) -> None:
    """Minutes that are gone, and those that come for their hours afterwards, before and after they are added."""
    keys, stations = store.tell(history)
    store.report(history, keys, late=False)
    store.report(history, keys, late=True)
    expected = store.ask(history, keys, stations, resolution, split, together=False)

    for table in ("count_minute", "coverage_minute", "dirty_hour"):
        store.city.connection.execute(f"DELETE FROM {table} WHERE sensor = ANY(%s)", [keys])
    store.report(history, keys, late=False)
    store.city.sum_up()
    store.city.remove_minutes(history.begin + timedelta(minutes=until))
    try:
        store.report(history, keys, late=True)
        waiting = store.ask(history, keys, stations, resolution, split, together=False)
        store.city.sum_up()
        added = store.ask(history, keys, stations, resolution, split, together=False)
    finally:
        store.city.connection.execute("UPDATE store SET minutes_from = '-infinity'")

    assert waiting == expected
    assert added == expected


def local(text: str) -> datetime:
    """A local time in Jena."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def test_late_minutes_show_before_they_are_summed_up(city: City, api: Api) -> None:
    """Who asks at once gets them, in the hour and in the day; the hours beside are not read twice."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 120, {0: 1})
    city.sum_up()
    city.minutes(key, local("2026-06-01T12:00"), 30, {0: 2, 1: 1}, class_=2)

    hours = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T13:00")
    (day,) = api.counts("markt", from_="2026-06-01", to="2026-06-02", resolution="1d")
    classes = api.counts("markt", from_="2026-06-01", to="2026-06-02", resolution="1d", split="class")

    assert [(v["count"], v["coverage"]) for v in hours] == [(60, 1.0), (60, 1.0), (90, 0.5)]
    assert (day["count"], day["coverage"]) == (210, 0.1041)
    assert [(v["class"], v["count"]) for v in classes] == [("pedestrian", 120), ("cyclist", 90)]


def test_hours_are_read_and_not_their_minutes(city: City, api: Api) -> None:
    """What is summed up is not added up again: answers by the hour and coarser stand without the minutes."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 120, {0: 1})
    city.sum_up()
    city.connection.execute("TRUNCATE count_minute, coverage_minute")

    for resolution in ("1h", "1d", "1w", "1mo", "1y"):
        values = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T12:00", resolution=resolution)
        assert sum(v["count"] for v in values) == 120


def test_where_the_minutes_are_gone_finer_questions_are_coarse(city: City, api: Api) -> None:
    """The hour is there and says so; a gap and silence stay what they are, and so do the minutes that are left."""
    #  measured ──09:00── silent ──10:00── nothing ──11:00── measured (minutes kept since 11:00)
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T08:00"), 60, {0: 1})
    city.minutes(key, local("2026-06-01T09:00"), 60, observed_s=0)
    city.minutes(key, local("2026-06-01T11:00"), 60, {0: 1})
    city.remove_minutes(local("2026-06-01T11:00"))
    asked = {"from_": "2026-06-01T08:00", "to": "2026-06-01T12:00"}

    halves = api.counts("markt", **asked, resolution="30min")
    (minute,) = api.counts("markt", from_="2026-06-01T08:20", to="2026-06-01T08:21", resolution="1min")
    hours = api.counts("markt", **asked)

    assert [(v["count"], v["state"], v["reason"]) for v in halves] == [
        *[(None, "coarse", "1h")] * 2,
        *[(None, "missing", "silent")] * 2,
        *[(None, "missing", "not_reported")] * 2,
        *[(30, "measured", None)] * 2,
    ]
    assert (minute["state"], minute["reason"]) == ("coarse", "1h")
    assert [v["count"] for v in hours] == [60, None, None, 60]


def test_minutes_that_come_after_their_removal_are_in_the_hour_only(city: City, api: Api) -> None:
    """Of such a minute a part may be in the sum: by the minute nothing is said, by the hour everything."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T08:00"), 30, {0: 1})
    city.remove_minutes(local("2026-06-02T00:00"))
    city.minutes(key, local("2026-06-01T08:30"), 30, {0: 2})
    city.minutes(key, local("2026-06-01T09:00"), 60, {0: 3})

    hours = api.counts("markt", from_="2026-06-01T08:00", to="2026-06-01T10:00")
    quarters = api.counts("markt", from_="2026-06-01T08:00", to="2026-06-01T10:00", resolution="15min")

    assert [(v["count"], v["coverage"]) for v in hours] == [(90, 1.0), (180, 1.0)]
    assert [(v["count"], v["state"], v["reason"]) for v in quarters] == [(None, "coarse", "1h")] * 8


def test_an_hour_without_minutes_is_not_divided(city: City, api: Api) -> None:
    """Where a sensor was moved in mid-hour, or the day begins in one, nobody gets its sum, and the rest stays whole."""
    key = city.sensor("s-1")
    city.station("markt")
    city.station("saal")
    city.install(key, "markt", until=local("2026-06-01T10:20"))
    city.install(key, "saal", local("2026-06-01T10:20"))
    city.minutes(key, local("2026-06-01T09:00"), 180, {0: 1})
    city.remove_minutes(local("2026-06-02T00:00"))
    asked = {"from_": "2026-06-01T09:00", "to": "2026-06-01T12:00"}

    def told(station: str, **more: str) -> list[tuple[Any, ...]]:
        return [(v["count"], v["state"], v["reason"]) for v in api.counts(station, **{**asked, **more})]

    assert told("markt") == [(60, "measured", None), (None, "coarse", "1h"), (None, "missing", "not_installed")]
    assert told("saal") == [(None, "missing", "not_installed"), (None, "coarse", "1h"), (60, "measured", None)]
    assert told("markt", resolution="1d") == [(60, "partial", "not_reported")]
    # In Kathmandu hours and days begin at a quarter past an hour of UTC: each of them is cut there.
    at_three = {"from_": "2026-06-01T15:00", "to": "2026-06-01T16:00", "tz": "Asia/Kathmandu"}
    assert told("saal", **at_three) == [(None, "coarse", "1d")]
    assert told("saal", **at_three, resolution="1d") == [(60, "partial", "not_reported")]


def excluding(api: Api, resolution: Resolution, *, hours: int = 4) -> list[tuple[Any, ...]]:
    """Count, coverage, state and reason at the station `markt` from ten o'clock on, without what remarks exclude."""
    from_s = int(local("2026-06-01T10:00").timestamp())
    question = Question("", from_s, from_s + hours * 3600, resolution, frozenset(), BERLIN)

    async def ask() -> Block:
        async with snapshot(api.app.state.pool) as connection:
            stations = await read_stations(connection, "markt")
            remarks = await read_remarks(connection, stations, [], 0, FOREVER_S)
        groups = groups_of(stations, frozenset(), together=False)
        exclusions = exclusions_of(remarks, stations)
        now_s = int(api.now.timestamp())
        return await anext(blocks(api.app.state.pool, groups, question, now_s, 10**6, hidden=Hidden(exclusions)))

    found: Block = api.run(ask())
    (column,), (answers,) = found.columns, found.answers
    return [
        (counted if answer.counted else None, answer.coverage, answer.state, answer.reason)
        for counted, answer in zip(column.counts, answers, strict=True)
    ]


def test_excluded_time_is_expected_and_not_measured(city: City, api: Api) -> None:
    """Its counts are left out, to the minute; an interval says excluded where that is why, and the rest counts."""
    #  10:00 all ── 11:00 excluded 12:00 ── 12:20 excluded 12:30 ── 13:00 a minute excluded
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 240, {0: 1})
    for start, end in (("11:00", "12:00"), ("12:20", "12:30"), ("13:00", "13:01")):
        city.exclude(local(f"2026-06-01T{start}"), local(f"2026-06-01T{end}"), station="markt")
    expected = [
        (60, 1.0, "measured", None),
        (None, 0.0, "missing", "excluded"),
        (50, 0.8333, "partial", "excluded"),
        (59, 0.9833, "measured", None),
    ]

    dirty = excluding(api, Resolution.HOUR)
    city.sum_up()

    assert dirty == expected
    assert excluding(api, Resolution.HOUR) == expected
    assert excluding(api, Resolution.HALF_HOUR)[4] == (20, 0.6666, "partial", "excluded")


def test_the_larger_part_of_what_is_missing_gives_the_reason(city: City, api: Api) -> None:
    """Excluded, silent or not reported: what is not excluded keeps its own reason."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 20, observed_s=0)
    city.minutes(key, local("2026-06-01T11:00"), 40, {0: 1})
    city.minutes(key, local("2026-06-01T12:00"), 30, {0: 1})
    for start, end in (("10:20", "11:00"), ("11:50", "12:00"), ("12:50", "13:00"), ("13:00", "13:20")):
        city.exclude(local(f"2026-06-01T{start}"), local(f"2026-06-01T{end}"), sensor=key)

    assert [answer[2:] for answer in excluding(api, Resolution.HOUR)] == [
        ("missing", "excluded"),
        ("partial", "excluded"),
        ("partial", "not_reported"),
        ("missing", "not_reported"),
    ]


def test_one_excluded_part_takes_nothing_from_the_other(city: City, api: Api) -> None:
    """The sum of a station is that of the sensors that are believed, and says how much of the whole it is."""
    keys = [city.counter("markt"), city.sensor("markt-2")]
    city.install(keys[1], "markt")
    for key in keys:
        city.minutes(key, local("2026-06-01T10:00"), 60, {0: key})
    city.exclude(local("2026-06-01T09:30"), local("2026-06-01T11:00"), sensor=keys[0])

    assert excluding(api, Resolution.HOUR, hours=1) == [(60 * keys[1], 0.5, "partial", "excluded")]


def test_a_span_that_is_partly_excluded_counts_nowhere(city: City, api: Api) -> None:
    """Its people cannot be told apart: its time is excluded, and no resolution is named that would have it."""
    #  10:00 ═ span ═ 11:00 ══ span ══ 12:00 ═ span ═ 13:00 ── minutes ── 14:00
    #          10:10-10:20 excluded        12:00 ... excluded until 13:00
    key = city.counter("markt")
    for hour, number in ((10, 5), (11, 7), (12, 9)):
        start = local(f"2026-06-01T{hour}:00")
        city.span(key, start, start + timedelta(hours=1), {0: number}, observed_s=3600)
    city.minutes(key, local("2026-06-01T13:00"), 60, {0: 1})
    city.exclude(local("2026-06-01T10:10"), local("2026-06-01T10:20"), station="markt")
    city.exclude(local("2026-06-01T12:00"), local("2026-06-01T13:00"), station="markt")

    assert excluding(api, Resolution.HOUR) == [
        (None, 0.0, "missing", "excluded"),
        (7, 1.0, "measured", None),
        (None, 0.0, "missing", "excluded"),
        (60, 1.0, "measured", None),
    ]
    halves = excluding(api, Resolution.HALF_HOUR)
    assert [answer[2:] for answer in halves[:4]] == [*[("missing", "excluded")] * 2, *[("coarse", "1h")] * 2]


def test_an_hour_without_minutes_that_is_partly_excluded_counts_nowhere(city: City, api: Api) -> None:
    """As a span: its time is excluded as a whole, because nothing of it can be told."""
    key = city.counter("markt")
    city.minutes(key, local("2026-06-01T10:00"), 240, {0: 1})
    city.exclude(local("2026-06-01T11:10"), local("2026-06-01T11:20"), station="markt")
    city.remove_minutes(local("2026-06-01T13:00"))

    assert excluding(api, Resolution.HOUR) == [
        (60, 1.0, "measured", None),
        (None, 0.0, "missing", "excluded"),
        (60, 1.0, "measured", None),
        (60, 1.0, "measured", None),
    ]
    halves = [answer[2:] for answer in excluding(api, Resolution.HALF_HOUR)]
    assert halves[1:5] == [("coarse", "1h"), ("missing", "excluded"), ("missing", "excluded"), ("coarse", "1h")]
