"""Times as files write them, and local clock time as UTC: both nights of the clock change, and labels of many kinds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_ingest.history.labels import Clock, Doubled, Label, LabelError, NoSuchTimeError, Span, iso, pattern_of

BERLIN = Clock("Europe/Berlin")
MELBOURNE = "{month_name} {day}, {year} {hour}:{minute}:{second} {ampm}"
HOURS = "{year}-{month}-{day} {hour}:{minute}-{end_hour}:{end_minute}"


def local(*parts: int) -> datetime:
    """A time by the clock."""
    return datetime(*parts)  # type: ignore[misc, arg-type]  # noqa: DTZ001


def utc(*parts: int) -> int:
    """A UTC second."""
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("pattern", "label", "start", "end"),
    [
        ("{year}-{month}-{day} {hour}:{minute}", "2024-05-01 6:00", (2024, 5, 1, 6), None),
        ("{day}.{month}.{year2} {hour} Uhr", "1.5.24   6 uhr", (2024, 5, 1, 6), None),
        (MELBOURNE, "November 01, 2019 12:00:05 AM", (2019, 11, 1, 0, 0, 5), None),
        (MELBOURNE, "Nov. 1, 2019 12:30:00 p.m.", (2019, 11, 1, 12, 30), None),
        ("{day}. {month_name} {year}", "3. März 2024", (2024, 3, 3), None),
        (HOURS, "2024-05-01 6:00-6:59", (2024, 5, 1, 6), (2024, 5, 1, 6, 59)),
        (HOURS, "2024-05-01 23:30-0:30", (2024, 5, 1, 23, 30), (2024, 5, 2, 0, 30)),
        ("{year}-{month}-{day} {hour}-{end_hour}", "2024-05-31 23-24", (2024, 5, 31, 23), (2024, 6, 1)),
        ("{any}: {day}/{month}/{year}", "Monday: 01/05/2024", (2024, 5, 1), None),
    ],
)  # fmt: skip
def test_a_label_is_read_by_its_pattern(
    pattern: str, label: str, start: tuple[int, ...], end: tuple[int, ...] | None
) -> None:
    """Named parts in any order, one or two digits, English and German; an end without a day may be tomorrow's."""
    assert pattern_of(pattern).read(label) == Label(local(*start), local(*end) if end else None)


def test_an_end_may_belong_to_the_interval() -> None:
    """6:00-6:59 with the end included is an hour, and 23:00-23:59 ends at midnight."""
    pattern = pattern_of("{year}-{month}-{day} {hour}:{minute}-{end_hour}:{end_minute}")

    assert pattern.read("2024-05-01 6:00-6:59", end_included=True).end == local(2024, 5, 1, 7)
    assert pattern.read("2024-05-01 23:00-23:59", end_included=True).end == local(2024, 5, 2)


def test_an_offset_is_kept() -> None:
    """A label with an offset says its UTC time by itself, in the doubled hour too."""
    found = pattern_of("{year}-{month}-{day}T{hour}:{minute}{offset}").read("2024-10-27T02:00+01:00")

    assert BERLIN.span(found, length_s=3600) == Span(utc(2024, 10, 27, 1), utc(2024, 10, 27, 2))
    assert BERLIN.span(iso("2024-10-27T02:00+02:00"), length_s=3600) == Span(utc(2024, 10, 27, 0), utc(2024, 10, 27, 1))


@pytest.mark.parametrize(
    "label",
    [
        "2024-02-30 06:00",
        "2024-13-01 06:00",
        "2024-05-01 24:30",
        "2024-05-01",
        "x2024-05-01 06:00",
        "2024-05-01 06:00 x",
    ],
)
def test_what_is_no_time_is_refused(label: str) -> None:
    """A day or an hour that there is not, and anything before or after the label."""
    with pytest.raises(LabelError):
        pattern_of("{year}-{month}-{day} {hour}:{minute}").read(label)


def test_days_have_23_24_and_25_hours() -> None:
    """A date is a local day, however long it is."""
    lengths = [
        span.end - span.start
        for day in (iso("2024-03-31"), iso("2024-05-01"), iso("2024-10-27"))
        if isinstance(span := BERLIN.span(day, days=1), Span)
    ]

    assert [length / 3600 for length in lengths] == [23, 24, 25]


def test_the_night_in_march() -> None:
    """The hour that is left out is no time; its first moment ends what went before."""
    with pytest.raises(NoSuchTimeError, match="2024-03-31 02:00 is in the hour that this night leaves out"):
        BERLIN.span(Label(local(2024, 3, 31, 2)), length_s=3600)
    with pytest.raises(NoSuchTimeError):
        BERLIN.span(Label(local(2024, 3, 31, 1), local(2024, 3, 31, 2, 30)))
    hour = Span(utc(2024, 3, 31, 0), utc(2024, 3, 31, 1))
    assert BERLIN.span(Label(local(2024, 3, 31, 1), local(2024, 3, 31, 2))) == hour
    assert BERLIN.span(Label(local(2024, 3, 31, 1), local(2024, 3, 31, 3))) == hour
    assert BERLIN.span(Label(local(2024, 3, 31, 3)), length_s=3600, marks_end=True) == hour


def test_the_night_in_october() -> None:
    """What begins in the doubled hour is undecided; what spans it has an hour more; quarters are one span together."""
    two = BERLIN.span(Label(local(2024, 10, 27, 2)), length_s=3600)
    assert two == Doubled(local(2024, 10, 27, 2), 3600)
    assert [BERLIN.of_two(two, which).start for which in (0, 1)] == [utc(2024, 10, 27, 0), utc(2024, 10, 27, 1)]
    assert BERLIN.span(Label(local(2024, 10, 27, 1), local(2024, 10, 27, 3))) == Span(
        utc(2024, 10, 26, 23), utc(2024, 10, 27, 2)
    )
    quarters = [Doubled(local(2024, 10, 27, 2, minute), 900) for minute in (0, 15, 30, 45)]
    assert BERLIN.of_both(quarters) == Span(utc(2024, 10, 27, 0), utc(2024, 10, 27, 2))
    assert BERLIN.of_both(quarters[:3]) is None
    assert BERLIN.of_both(quarters[1:]) is None
    assert BERLIN.of_both([quarters[0], *quarters[2:]]) is None


@given(
    st.integers(utc(2015, 1, 1) // 900, utc(2030, 1, 1) // 900),
    st.sampled_from(["Europe/Berlin", "Pacific/Auckland", "Australia/Lord_Howe", "America/St_Johns", "UTC"]),
)
def test_every_time_is_found_again_by_its_clock(quarter: int, zone: str) -> None:
    """What the clock shows at a moment means that moment, or it is one of two."""
    clock, instant = Clock(zone), quarter * 900
    found = clock.instants(clock.local(instant))

    assert instant in found
    assert len(found) <= 2
    assert list(found) == sorted(found)
