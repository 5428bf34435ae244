"""Reading a past from CSV. Each folder in ``history_cases`` is a file and what must come out of it."""

import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_contract.words import ID_PATTERN
from footfall_demo.history_csv import (
    Bounds,
    History,
    HistoryFileError,
    KnownStation,
    StationHistory,
    read_history,
)
from footfall_ingest.history.intervals import Interval
from footfall_ingest.history.names import id_of

CASES = Path(__file__).parent / "history_cases"


def utc(*parts: int) -> int:
    """A time of day in UTC as seconds."""
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]


STATIONS = {
    "markt": KnownStation(11.58782, 50.92818, ("markt-1",), utc(2020, 1, 1)),
    "holzmarkt": KnownStation(11.58587, 50.92704, ("holzmarkt-1", "holzmarkt-2"), utc(2020, 1, 1)),
}
BOUNDS = Bounds(oldest=utc(2015, 1, 1), now=utc(2026, 3, 1, 12), live_since=utc(2026, 3, 1, 10))


def described(history: History) -> str:
    """A history as text, for people to compare."""
    lines = []
    for station in history.stations:
        new = station.created
        made = f" created: {new.name}, {new.longitude} {new.latitude}, {new.timezone}" if new else ""
        lines.append(f"{station.station} {station.sensor}{made}")
        lines += [f"  {interval_text(interval)}" for interval in station.intervals]
    return "\n".join([*lines, *(f"note: {note}" for note in history.notes)]) + "\n"


def interval_text(interval: Interval) -> str:
    """One interval as text."""
    cells = " ".join(f"{d.name}/{c.name}={n}".lower() for (d, c), n in interval.counts.items()) or "-"
    start, end = (datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%S") for t in (interval.start, interval.end))
    where = f"line {interval.line}" if interval.line else "hole"
    return f"{start} {end} observed {interval.observed_s} of {interval.length_s}: {cells} ({where})"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_case(case: str) -> None:
    """The file of the case gives the intervals, or the faults, that stand in its expected.txt."""
    expected = (CASES / case / "expected.txt").read_text("utf-8")
    try:
        found = described(read_history(CASES / case / "past.csv", STATIONS, BOUNDS))
    except HistoryFileError as error:
        found = "refused\n" + "".join(f"{fault}\n" for fault in error.faults)

    assert found == expected


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text are sentences with the path in them."""
    (tmp_path / "bytes.csv").write_bytes(b"station,\xff\xfe\n")
    for path, reason in (
        (tmp_path / "absent.csv", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "bytes.csv", "not UTF-8 text"),
    ):
        with pytest.raises(HistoryFileError, match=reason) as caught:
            read_history(path, STATIONS, BOUNDS)
        assert str(path) in str(caught.value)


def test_many_faults_are_not_all_shown(tmp_path: Path) -> None:
    """A file with a hundred faults shows the first ones and says how many more there are."""
    path = tmp_path / "past.csv"
    path.write_text("station,interval_start,interval_end,count\n" + "markt,?,?,1\n" * 100)
    with pytest.raises(HistoryFileError) as caught:
        read_history(path, STATIONS, BOUNDS)

    assert len(caught.value.faults) == 100
    assert str(caught.value).endswith("and 80 more")


START = utc(2024, 3, 1)


def written(path: Path, rows: Sequence[tuple[int, int, int | None]]) -> StationHistory:
    """The history of a file with `rows` of start minute, length in minutes and count."""
    lines = ["station,interval_start,interval_end,count"]
    for start, length, count in rows:
        begin, end = (
            datetime.fromtimestamp(START + minute * 60, UTC).isoformat() for minute in (start, start + length)
        )
        lines.append(f"markt,{begin},{end},{'' if count is None else count}")
    path.write_text("\n".join(lines) + "\n")
    [station] = read_history(path, STATIONS, BOUNDS).stations
    return station


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 90), st.sampled_from([1, 15, 60, 7]), st.none() | st.integers(0, 500)), min_size=1
    ),
    seed=st.integers(0, 2**16),
)
def test_order_does_not_matter_and_no_time_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int | None]], seed: int
) -> None:
    """Whatever the order of the rows: the intervals follow one another without a hole, and nothing is added or lost."""
    rows, at = [], 0
    for hole, length, count in steps:
        at += hole
        rows.append((at, length, count))
        at += length
    path = tmp_path_factory.mktemp("history") / "past.csv"
    in_order = written(path, rows)
    random.Random(seed).shuffle(rows)
    station = written(path, rows)

    assert all(before.end == after.start for before, after in pairwise(station.intervals))
    assert [(i.start, i.end, i.counts) for i in station.intervals] == [
        (i.start, i.end, i.counts) for i in in_order.intervals
    ]
    assert sum(n for i in station.intervals for n in i.counts.values()) == sum(count or 0 for _, _, count in rows)
    assert sum(i.observed_s for i in station.intervals) == sum(60 * n for _, n, count in rows if count is not None)


@given(st.text())
def test_a_id_of_is_one(text: str) -> None:
    """Whatever the name, the id made of it is valid for a station and, with a number, for a sensor; or it is empty."""
    made = id_of(text)

    assert made == "" or re.fullmatch(ID_PATTERN, f"{made}-1")
    assert id_of(made) == made
