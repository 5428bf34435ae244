"""Which files of counts there are: each interval of each station in one of them, and in the right one."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.dump.plan import (
    MONTHLY,
    Choice,
    Period,
    Span,
    Table,
    horizon_s,
    rules_digest,
    span_of,
    stretches,
    table_of,
    tables,
)
from footfall_api.intervals import Resolution, calendar_edges, day_start, local_date
from footfall_api.publication import LIFTED, STANDARD, HeldBack, Publication, Words
from footfall_api.ranges import FAR_S
from footfall_api.stations import Installation, Station

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "Europe/Berlin",
    "Europe/Berlin",
    "UTC",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Santiago",  # clocks change at midnight
    "Asia/Beirut",  # midnight itself is skipped
    "Pacific/Apia",
    "Pacific/Kiritimati",  # 14 hours ahead
]
BEGIN = int(datetime(2023, 11, 20, tzinfo=UTC).timestamp())
YEARS_S = 3 * 366 * 86_400

moments = st.integers(BEGIN // 60, (BEGIN + YEARS_S) // 60).map(lambda minute: minute * 60)


def at(*when: int, zone: ZoneInfo = BERLIN) -> int:
    """What the clock shows, as UTC unix seconds."""
    return int(datetime(*when, tzinfo=zone).timestamp())  # type: ignore[misc,arg-type]


def station(name: str, *stays: tuple[int | None, int | None, str], zone: str = "Europe/Berlin") -> Station:
    """A station whose sensors hung there from when to when, in which role."""
    sensors = tuple(
        Installation(n, f"{name}-{n}", role, (), since, until) for n, (since, until, role) in enumerate(stays)
    )
    return Station(name, name, ZoneInfo(zone), 11.5, 50.9, None, (), sensors)


@st.composite
def stations(draw: st.DrawFn) -> Station:
    """A station in any zone, with sensors that came and went."""
    stays = []
    for _ in range(draw(st.integers(0, 3))):
        since, until = sorted([draw(moments), draw(moments)])
        stays.append(
            (
                draw(st.sampled_from([since, since, None])),
                draw(st.sampled_from([until + 60, None, None])),
                draw(st.sampled_from(["part", "part", "reference"])),
            )
        )
    return station("abcdefgh"[draw(st.integers(0, 7))], *stays, zone=draw(st.sampled_from(ZONES)))


towns = st.lists(stations(), min_size=1, max_size=4, unique_by=lambda found: found.id)


def rows_of(found: Sequence[Table], span: Span, town: Sequence[Station]) -> Counter[tuple[str, int, int]]:
    """Station, start and end of each row of some tables, with how often it is there."""
    rows: Counter[tuple[str, int, int]] = Counter()
    for table in found:
        for zone in {one.zone for one in town}:
            for stretch in stretches(table, span, town, zone):
                edges_s = calendar_edges(table.resolution, stretch.from_s, stretch.to_s, zone)
                assert (edges_s[0], edges_s[-1]) == (stretch.from_s, stretch.to_s)
                rows.update((one.id, *when) for one in stretch.stations for when in pairwise(edges_s))
    return rows


def expected(resolution: Resolution, span: Span, town: Sequence[Station]) -> Counter[tuple[str, int, int]]:
    """The same, worked out interval by interval."""
    rows: Counter[tuple[str, int, int]] = Counter()
    for one in town:
        parts = [sensor for sensor in one.installations if sensor.role == "part"]
        since = min([-FAR_S if part.from_s is None else part.from_s for part in parts], default=FAR_S)
        until = max([FAR_S if part.to_s is None else part.to_s for part in parts], default=-FAR_S)
        begin_s = day_start(span.begin, one.zone)
        last_s = day_start(local_date(span.known_s, one.zone), one.zone)
        for start, end in pairwise(calendar_edges(resolution, begin_s, max(last_s, begin_s + 1), one.zone)):
            if end <= last_s and start < until and end > since:
                rows[one.id, start, end] += 1
    return rows


@given(towns, st.data(), st.sampled_from([Resolution.HOUR, Resolution.DAY, Resolution.WEEK]))
def test_each_interval_is_in_one_file_of_its_year(
    town: list[Station], data: st.DataObject, resolution: Resolution
) -> None:
    """And where there are files by the month, in one of these; nothing else is in any."""
    first_s, known_s = sorted([data.draw(moments), data.draw(moments)])
    if resolution is Resolution.HOUR:  # of which there are many
        known_s = min(known_s, first_s + 100 * 86_400)
    span = Span(local_date(first_s, BERLIN).replace(day=1), known_s)

    found = tables(span, town, [resolution])

    years = [table for table in found if not table.period.month]
    months = [table for table in found if table.period.month]
    assert len(set(found)) == len(found)
    assert rows_of(years, span, town) == expected(resolution, span, town)
    assert rows_of(months, span, town) == (rows_of(years, span, town) if resolution in MONTHLY else Counter())
    for table in found:
        rows = rows_of([table], span, town)
        assert rows, "no file is without rows"
        zones = {one.id: one.zone for one in town}
        for name, start, _ in rows:
            assert table.period.first <= local_date(start, zones[name]) < table.period.end


def test_a_week_belongs_to_the_year_in_which_it_begins() -> None:
    """That of 29 December 2025 to 4 January 2026 is in the file of 2025, and only there."""
    span = Span(date(2025, 12, 1), at(2026, 1, 20))
    town = [station("markt", (None, None, "part"))]

    found = tables(span, town, [Resolution.WEEK])

    weeks = {
        str(table.period): [
            datetime.fromtimestamp(start, BERLIN).date().isoformat() for _, start, _ in rows_of([table], span, town)
        ]
        for table in found
    }
    assert weeks == {
        "2026": ["2026-01-05", "2026-01-12"],  # that of the 19th is not over
        "2025": ["2025-12-01", "2025-12-08", "2025-12-15", "2025-12-22", "2025-12-29"],
    }


def test_the_first_week_may_begin_in_the_year_before() -> None:
    """It holds the first of the month in which the counts begin."""
    span = Span(date(2026, 1, 1), at(2026, 1, 20))

    found = tables(span, [station("markt", (None, None, "part"))], [Resolution.WEEK])

    assert [str(table.period) for table in found] == ["2026", "2025"]


def test_only_whole_days_that_are_over_are_in_files() -> None:
    """Of the running month up to the last midnight; in the night of the first there is no file of the new month yet."""
    town = [station("markt", (None, None, "part"))]

    for known, newest in [((2026, 6, 10, 14), "2026-06"), ((2026, 7, 1, 0, 30), "2026-06"), ((2026, 7, 2), "2026-07")]:
        span = Span(date(2026, 5, 1), at(*known))
        found = tables(span, town, [Resolution.QUARTER_HOUR])
        assert str(found[0].period) == newest
        ends = [stretch.to_s for stretch in stretches(found[0], span, town, BERLIN)]
        assert ends == [at(*known[:3])]


@pytest.mark.parametrize(
    ("stays", "begin", "end"),
    [
        ([(at(2026, 3, 10, 12, 20), None, "part")], at(2026, 3, 10, 12), at(2026, 4, 1)),
        ([(None, at(2026, 3, 10, 12, 20), "part")], at(2026, 3, 1), at(2026, 3, 10, 13)),
        ([(at(2026, 3, 10, 12), at(2026, 3, 12, 12), "part")], at(2026, 3, 10, 12), at(2026, 3, 12, 12)),
        # A time between two sensors is a gap, and a gap has rows.
        ([(at(2026, 3, 5), at(2026, 3, 6), "part"), (at(2026, 3, 20), at(2026, 3, 21), "part")],
         at(2026, 3, 5), at(2026, 3, 21)),
        ([(at(2026, 3, 5), at(2026, 3, 6), "part"), (None, None, "reference")], at(2026, 3, 5), at(2026, 3, 6)),
    ],
)  # fmt: skip
def test_a_station_has_rows_from_its_first_sensor_to_its_last(
    stays: list[tuple[int | None, int | None, str]], begin: int, end: int
) -> None:
    """From the interval in which it was put up, to the one in which it was taken down; references do not matter."""
    span = Span(date(2026, 3, 1), at(2026, 6, 1))
    town = [station("markt", *stays)]

    found = stretches(Table(Resolution.HOUR, Period(2026, 3)), span, town, BERLIN)

    assert [(stretch.from_s, stretch.to_s) for stretch in found] == [(begin, end)]


def test_a_station_without_sensors_has_no_rows() -> None:
    """It never had anything that could have had a gap."""
    span = Span(date(2026, 3, 1), at(2026, 6, 1))

    assert tables(span, [station("leer"), station("probe", (None, None, "reference"))], STANDARD) == []


def test_files_begin_with_the_month_of_the_first_counts() -> None:
    """Of any station, by its own calendar; what was measured today is in no file yet."""
    town = [station("markt"), station("apia", zone="Pacific/Apia")]
    first = {"markt": at(2026, 3, 15), "apia": at(2026, 3, 31, 20)}  # there it is April already

    assert span_of(first, town, at(2026, 6, 1)) == Span(date(2026, 3, 1), at(2026, 6, 1))
    assert span_of({"apia": first["apia"]}, town, at(2026, 6, 1)) == Span(date(2026, 4, 1), at(2026, 6, 1))
    assert span_of(first, town, at(2026, 3, 15, 18)) is None
    assert span_of({}, town, at(2026, 6, 1)) is None


@given(moments, st.sampled_from(ZONES).map(ZoneInfo))
def test_the_horizon_is_the_last_midnight(known_s: int, zone: ZoneInfo) -> None:
    """A day begins there, and it is the day that runs."""
    found = horizon_s(known_s, zone)

    assert found <= known_s < day_start(local_date(known_s, zone) + timedelta(days=1), zone)
    assert found == day_start(local_date(found, zone), zone)


@pytest.mark.parametrize("resolution", STANDARD)
@pytest.mark.parametrize("period", [Period(2026), Period(2026, 1), Period(2026, 12)])
def test_a_path_says_which_table_it_is(resolution: Resolution, period: Period) -> None:
    """Both formats; what is no path of ours is none."""
    table = Table(resolution, period)

    assert [table_of(path) for path in table.paths] == [table, table]


@pytest.mark.parametrize(
    "path",
    [
        "datapackage.json",
        "counts/1h/2026.csv",
        "counts/1min/2026.csv.gz",
        "counts/1h/2026-13.csv.gz",
        "counts/1h/2026-00.csv.gz",
        "counts/1h/0000.csv.gz",
        "counts/1h/../1h/2026.csv.gz",
        "x/counts/1h/2026.csv.gz",
        "counts/1h/2026.csv.gz\n",
        "counts/1h/.2026.csv.gz.part",
    ],
)
def test_other_paths_are_no_tables(path: str) -> None:
    """Nothing but what a plan could have made is taken for ours."""
    assert table_of(path) is None


def test_a_choice_has_what_touches_its_time() -> None:
    """The year too whose month was chosen."""
    choice = Choice(frozenset({Resolution.HOUR}), Period(2025, 12), Period(2026, 1))

    chosen = [
        str(period)
        for period in (Period(2024), Period(2025), Period(2025, 11), Period(2025, 12), Period(2026, 1), Period(2026, 2))
        if choice.has(Table(Resolution.HOUR, period))
    ]

    assert chosen == ["2025", "2025-12", "2026-01"]
    assert not choice.has(Table(Resolution.DAY, Period(2025)))
    assert Choice().has(Table(Resolution.DAY, Period(2025)))


def test_the_digest_of_the_rules_changes_with_what_they_do_to_numbers() -> None:
    """Not with their words, nor with what has no bearing on files."""
    why = Words("Darum.", "Therefore.")
    base = Publication(Resolution.QUARTER_HOUR, held_back=(HeldBack(("markt",), 0, 60, why),))
    others = [
        LIFTED,
        Publication(Resolution.HOUR, held_back=base.held_back),
        Publication(Resolution.QUARTER_HOUR, delay_s=60, held_back=base.held_back),
        Publication(Resolution.QUARTER_HOUR, held_back=(HeldBack(("markt",), 0, 120, why),)),
        Publication(Resolution.QUARTER_HOUR, held_back=(HeldBack(("kirche",), 0, 60, why),)),
        Publication(Resolution.QUARTER_HOUR, held_back=(HeldBack(("markt", "kirche"), 0, 60, why),)),
    ]
    same = [
        Publication(Resolution.MINUTE, Resolution.MINUTE, 3600, held_back=base.held_back),
        Publication(Resolution.QUARTER_HOUR, small_below=5, held_back=(HeldBack(("markt",), 0, 60, Words("", "")),)),
        Publication(
            Resolution.QUARTER_HOUR,
            held_back=(HeldBack(("markt",), 30, 60, why), HeldBack(("markt",), 0, 40, why)),
            delay_reason=why,
        ),
    ]

    assert len({rules_digest(rules) for rules in [base, *others]}) == len(others) + 1
    assert {rules_digest(rules) for rules in same} == {rules_digest(base)}
