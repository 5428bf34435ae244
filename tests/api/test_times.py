"""Times as people write them: every rule of reading one, and a sentence for each that cannot be read."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.times import EARLIEST, LATEST, TimeRefusedError, parse_time, parse_zone

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-10", "2026-06-09T22:00+00:00"),
        ("2026-06-10T14:00", "2026-06-10T12:00+00:00"),
        ("2026-06-10 14:00", "2026-06-10T12:00+00:00"),
        ("2026-06-10T14:00:30", "2026-06-10T12:00:30+00:00"),
        ("2026-06-10T14:00:30.5", "2026-06-10T12:00:30.500000+00:00"),
        ("2026-06-10T14:00Z", "2026-06-10T14:00+00:00"),
        ("2026-06-10t14:00z", "2026-06-10T14:00+00:00"),
        ("2026-06-10T14:00:00+02:00", "2026-06-10T12:00+00:00"),
        ("2026-06-10T14:00-03:30", "2026-06-10T17:30+00:00"),
        ("2026-06-10T14:00+0200", "2026-06-10T12:00+00:00"),
        ("2026-06-10T14:00+02", "2026-06-10T12:00+00:00"),
        # a '+' that a URL turned into a space
        ("2026-06-10T14:00:00 02:00", "2026-06-10T12:00+00:00"),
        ("2026-06-10T14:00 02:00", "2026-06-10T12:00+00:00"),
        ("2026-06-10 14:00 02:00", "2026-06-10T12:00+00:00"),
        # the doubled hour of October: the earlier one, unless the offset says otherwise
        ("2026-10-25T02:30", "2026-10-25T00:30+00:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30+00:00"),
        # both sides of the hour that March leaves out
        ("2026-03-29T01:59", "2026-03-29T00:59+00:00"),
        ("2026-03-29T03:00", "2026-03-29T01:00+00:00"),
    ],
)
def test_a_time_is_read(text: str, expected: str) -> None:
    """Local to the zone without an offset; with one, as it says."""
    assert parse_time(text, BERLIN) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("text", ["2026-03-29T02:00", "2026-03-29T02:59:59", "2026-03-29 02:30"])
def test_the_hour_that_march_leaves_out_is_refused(text: str) -> None:
    """A local time that no clock shows is not guessed at."""
    with pytest.raises(TimeRefusedError, match="does not exist in Europe/Berlin"):
        parse_time(text, BERLIN)


def test_the_left_out_hour_exists_elsewhere() -> None:
    """The same text is a time in a zone whose clocks do not change then."""
    assert parse_time("2026-03-29T02:30", ZoneInfo("UTC")) == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026", "2026-06", "10.06.2026", "2026-6-1", "20260610", "2026-W24-3", "2026-06-10T14", "2026-06-31",
        "2026-06-10T25:00", "2026-06-10T24:00", "2026-06-10T14:60", "2026-06-10T14:00+25:00", "2026-06-10T14:00+02:00Z",
        "2026-06-10T14:00 Europe/Berlin", "1781092800", "2026-06-10T14:00:00+02:00[Europe/Berlin]", "٢٠٢٦-٠٦-١٠",
    ],
)  # fmt: skip
def test_what_is_not_a_time_is_refused_in_a_sentence(text: str) -> None:
    """The message repeats what was given."""
    with pytest.raises(TimeRefusedError, match="is not a time") as refused:
        parse_time(text, BERLIN)
    assert f"'{text}'" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "0001-01-01T00:00+14:00", "1999-12-31T23:59Z", "2100-01-02", "9999-12-31T23:59-12:00"]
)
def test_absurd_years_are_refused(text: str) -> None:
    """Nothing was counted before 2000 or will be after 2099."""
    with pytest.raises(TimeRefusedError, match=r"between the years|that a calendar"):
        parse_time(text, BERLIN)


@given(
    st.integers(int(EARLIEST.timestamp()), int(LATEST.timestamp())),
    st.sampled_from([BERLIN, ZoneInfo("Asia/Kathmandu"), ZoneInfo("UTC")]),
)
def test_what_the_api_writes_it_reads(instant_s: int, zone: ZoneInfo) -> None:
    """A time in an answer can be put into a question, as it is or with its '+' lost."""
    moment = datetime.fromtimestamp(instant_s, zone)
    text = moment.isoformat()

    assert parse_time(text, BERLIN) == moment
    assert parse_time(text.replace("+", " "), BERLIN) == moment


@pytest.mark.parametrize(
    "name", ["", "Berlin", "Europe/Jena", "../../etc/passwd", "/etc/localtime", "europe/berlin", "CET\n"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    """Only names of the IANA database are zones."""
    with pytest.raises(TimeRefusedError, match="is not a time zone"):
        parse_zone(name)
