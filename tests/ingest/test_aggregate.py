"""Adding up reports, held against a dictionary that adds one cell at a time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport, encode_cbor
from footfall_contract.batch import decode_batch
from footfall_contract.words import MAX_COUNT, MAX_START
from footfall_ingest import aggregate as aggregation
from footfall_ingest.aggregate import Deltas, aggregate, sum_by_key, sum_minutes
from footfall_testing.ingest_store import NOON, report
from footfall_testing.reports import slot_reports

Sums = tuple[dict[tuple[object, ...], int], ...]
"""Of minutes, measured seconds of minutes, spans, measured seconds of spans: what each row's key has."""

MANY_EXAMPLES = settings(max_examples=60, deadline=None)


def in_python(reports: Iterable[SlotReport]) -> Sums:
    """What the reports add, said as plainly as can be."""
    minutes: Counter[tuple[object, ...]] = Counter()
    coverage: Counter[tuple[object, ...]] = Counter()
    spans: Counter[tuple[object, ...]] = Counter()
    span_coverage: Counter[tuple[object, ...]] = Counter()
    for one in reports:
        for index, seconds in enumerate(one.observed):
            if one.is_span:
                span_coverage[one.sensor, one.start, one.end] += seconds
            else:
                coverage[one.sensor, (one.start + index * one.slot) // 60 * 60] += seconds
        for index, direction, class_, count in zip(one.index, one.direction, one.class_, one.count, strict=True):
            if one.is_span:
                spans[one.sensor, one.start, one.end, direction, class_] += count
            else:
                minutes[one.sensor, (one.start + index * one.slot) // 60 * 60, direction, class_] += count
    return dict(minutes), dict(coverage), dict(spans), dict(span_coverage)


def by_name(deltas: Deltas, sensors: Sequence[str]) -> Sums:
    """The rows by key, with the sensors' names; no key may stand in two rows."""
    m, c, s, d = deltas.minutes, deltas.coverage, deltas.spans, deltas.span_coverage
    tables = (
        ((m.sensor, m.minute, m.direction, m.class_), m.count),
        ((c.sensor, c.minute), c.observed_s),
        ((s.sensor, s.start, s.end, s.direction, s.class_), s.count),
        ((d.sensor, d.start, d.end), d.observed_s),
    )
    found = []
    for (codes, *key), value in tables:
        columns = [column.tolist() for column in (*key, value)]
        rows = [(sensors[code], *rest) for code, *rest in zip(codes.tolist(), *columns, strict=True)]
        table: dict[tuple[object, ...], int] = {tuple(row[:-1]): row[-1] for row in rows}
        assert len(table) == len(rows), "a key stands in two rows"
        found.append(table)
    return tuple(found)


def summed(reports: Sequence[SlotReport]) -> Sums:
    """What the module under test makes of the reports, coming as bytes."""
    batch = decode_batch([encode_cbor(one) for one in reports])
    assert len(batch) == len(reports)
    return by_name(aggregate(batch), batch.sensors)


@st.composite
def crowded(draw: st.DrawFn) -> SlotReport:
    """A report of few sensors within a few minutes, so that many cells meet in one row."""
    one = draw(slot_reports())
    start = NOON + draw(st.integers(0, 8)) * (one.slot if not one.is_span else 1)
    if not one.is_span:
        start -= start % one.slot
    return replace(one, sensor=draw(st.sampled_from(["a", "b", "c"])), start=start, slot=draw(_span_length(one)))


def _span_length(one: SlotReport) -> st.SearchStrategy[int]:
    if not one.is_span:
        return st.just(one.slot)
    return st.sampled_from([length for length in (one.slot, 3600, 61) if length >= one.observed[0]])


batches = st.one_of(
    st.lists(crowded(), max_size=25),
    st.lists(slot_reports(), max_size=12),
    st.lists(st.one_of(crowded(), slot_reports()), max_size=20),
)


@MANY_EXAMPLES
@given(reports=batches)
def test_rows_are_what_adding_cell_by_cell_gives(reports: list[SlotReport]) -> None:
    """Each minute and each span has the sum of its cells and of its measured seconds, and there are no other rows."""
    assert summed(reports) == in_python(reports)


@MANY_EXAMPLES
@given(reports=batches)
def test_no_passage_is_lost_or_made(reports: list[SlotReport]) -> None:
    """All rows together count what all reports together count: those of slots in minutes, those of spans in spans."""
    minutes, coverage, spans, span_coverage = summed(reports)

    assert sum(minutes.values()) == sum(one.total for one in reports if not one.is_span)
    assert sum(spans.values()) == sum(one.total for one in reports if one.is_span)
    assert sum(coverage.values()) == sum(sum(one.observed) for one in reports if not one.is_span)
    assert sum(span_coverage.values()) == sum(sum(one.observed) for one in reports if one.is_span)


@MANY_EXAMPLES
@given(data=st.data(), reports=batches)
def test_the_order_of_the_reports_does_not_matter(data: st.DataObject, reports: list[SlotReport]) -> None:
    """Any permutation of a batch adds the same."""
    assert summed(data.draw(st.permutations(reports))) == summed(reports)


@MANY_EXAMPLES
@given(reports=batches, cut=st.integers(0, 25))
def test_two_batches_add_what_one_adds(reports: list[SlotReport], cut: int) -> None:
    """Cut anywhere, the rows of the two parts, added up, are the rows of the whole."""
    tables = zip(summed(reports[:cut]), summed(reports[cut:]), summed(reports), strict=True)

    for one, other, whole in tables:
        # Unlike "+" of counters, `update` keeps a row of 0 seconds.
        together = Counter(one)
        together.update(other)
        assert dict(together) == whole


@MANY_EXAMPLES
@given(reports=batches)
def test_rows_are_ascending(reports: list[SlotReport]) -> None:
    """Rows come by sensor, minute, direction and class, as the store's keys are ordered, and begin on the minute."""
    batch = decode_batch([encode_cbor(one) for one in reports])
    deltas = aggregate(batch)
    m, c = deltas.minutes, deltas.coverage

    rows = list(zip(*(column.tolist() for column in (m.sensor, m.minute, m.direction, m.class_)), strict=True))
    covered = list(zip(c.sensor.tolist(), c.minute.tolist(), strict=True))
    assert rows == sorted(set(rows))
    assert covered == sorted(set(covered))
    assert not (m.minute % 60).any()
    assert not (c.minute % 60).any()
    assert deltas.rows == sum(map(len, by_name(deltas, batch.sensors)))


def test_nothing_adds_nothing() -> None:
    """A batch without reports has no rows."""
    assert aggregate(decode_batch([])).rows == 0


def test_a_span_is_in_no_minute() -> None:
    """Not even one that lies within a minute; the slot of the same time beside it stays a minute's."""
    span = report(start=NOON + 3, slot=7, observed=[7], cells=[(0, 1, 0, 5)])
    slot = report(start=NOON, slot=10, observed=[3], cells=[(0, 1, 0, 2)])

    assert summed([span, slot]) == (
        {("markt-1", NOON, 1, 0): 2},
        {("markt-1", NOON): 3},
        {("markt-1", NOON + 3, NOON + 10, 1, 0): 5},
        {("markt-1", NOON + 3, NOON + 10): 7},
    )
    assert summed([span])[:2] == ({}, {})


def test_spans_that_share_a_beginning_or_an_end_are_different_spans() -> None:
    """Only the same sensor, beginning and end together are the same span."""
    spans = [
        report(start=NOON + begin, slot=length, observed=[0], cells=[(0, 0, 0, 1)])
        for begin, length in [(1, 100), (1, 200), (101, 100), (1, 100)]
    ]

    assert list(summed(spans)[2].values()) == [2, 1, 1]


def test_a_silent_slot_leaves_a_row_of_no_seconds() -> None:
    """Reported and silent is a row of 0 s in minutes and spans; a silent slot adds nothing to a measured one."""
    silent = report("silent", observed=[0], cells=[])
    half = report("half", slot=30, observed=[30, 0], cells=[])
    span = report("span", slot=3600, observed=[0], cells=[])

    minutes, coverage, spans, span_coverage = summed([silent, half, span])

    assert (minutes, spans) == ({}, {})
    assert coverage == {("silent", NOON): 0, ("half", NOON): 30}
    assert span_coverage == {("span", NOON, NOON + 3600): 0}


def test_all_directions_and_classes_stay_apart() -> None:
    """Unknown, 255, is a class like the others, in minutes and in spans; each pair comes back as it was."""
    pairs = [(direction, class_) for direction in (0, 1, 2) for class_ in (0, 1, 2, 3, 4, 255)]
    cells = [(0, direction, class_, 10 + n) for n, (direction, class_) in enumerate(pairs)]

    minutes, _, spans, _ = summed([report(cells=cells), report(slot=7, start=NOON + 1, cells=cells)])

    assert minutes == {("markt-1", NOON, *pair): 10 + n for n, pair in enumerate(pairs)}
    assert spans == {("markt-1", NOON + 1, NOON + 8, *pair): 10 + n for n, pair in enumerate(pairs)}


@pytest.mark.parametrize("class_", [1, 255])
def test_a_class_that_occurs_alone_is_not_taken_for_pedestrians(class_: int) -> None:
    """A batch with one class only, which is not the first one, keeps it."""
    assert summed([report(cells=[(0, 2, class_, 4)])])[0] == {("markt-1", NOON, 2, class_): 4}


def test_the_highest_counts_are_added_without_loss() -> None:
    """Cells of 2**32 - 1 in one minute, with a 1 among them, add up to the last passage."""
    reports = [report(cells=[(0, 0, 0, MAX_COUNT)] * 300), report(cells=[(0, 0, 0, 1)])]

    assert summed(reports)[0] == {("markt-1", NOON, 0, 0): 300 * MAX_COUNT + 1}


def test_the_whole_of_time_fits_into_one_batch() -> None:
    """The first and the last possible minute, and sensors far from one another, stay what they are."""
    first, last = 0, MAX_START - MAX_START % 60
    reports = [report(f"s-{n}", start=start, slot=60) for n in range(300) for start in (first, last)]

    assert summed(reports) == in_python(reports)


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_batch_of_several_blocks_is_one_batch(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """Where the columns are worked off in blocks, no block's end and no remainder goes missing."""
    reports = [report(f"s-{n % 7}", start=NOON + 60 * n, slot=60, cells=[(0, n % 3, 0, n + 1)]) for n in range(100)]
    monkeypatch.setattr(aggregation, "_BLOCK", 100 // blocks)

    assert summed(reports) == in_python(reports)


@MANY_EXAMPLES
@given(
    rows=st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 0, 1, 7, MAX_COUNT])), max_size=60),
    ceiling=st.sampled_from([31, 500, 2**50]),
)
def test_both_ways_to_add_by_key_give_the_same(rows: list[tuple[int, int]], ceiling: int) -> None:
    """Whether keys may be few (a table) or many (sorting), sums are the same, and a key of zeros alone is there."""
    expected: Counter[int] = Counter()
    for key, value in rows:
        expected[key] += value
    columns = np.array(rows, np.int64).reshape(-1, 2)

    keys, sums = sum_by_key(columns[:, 0], columns[:, 1], ceiling)

    assert keys.tolist() == sorted(expected)
    assert sums.tolist() == [expected[key] for key in sorted(expected)]


def test_sums_beyond_double_precision_are_exact() -> None:
    """Numbers that a double cannot tell apart are added as whole numbers, however few the keys are."""
    value = np.array([2**53, 1, 1, 1, 5], np.int64)

    keys, sums = sum_by_key(np.array([0, 0, 0, 0, 1], np.int64), value, 2)

    assert (keys.tolist(), sums.tolist()) == ([0, 1], [2**53 + 3, 5])


def test_the_columns_given_are_left_as_they_were() -> None:
    """The function is pure: what it reads it does not write."""
    batch = decode_batch([encode_cbor(report(cells=[(0, 1, 255, 3), (0, 0, 0, 2)])), encode_cbor(report("b"))])
    names = ("sensor", "start", "slot", "observed", "cell_index", "cell_direction", "cell_class", "cell_count")
    for name in names:
        getattr(batch, name).setflags(write=False)

    assert aggregate(batch).rows == 5


def test_the_kernel_takes_narrow_columns() -> None:
    """Columns as narrow as the contract allows give sums that are wider than they are."""
    sums = sum_minutes(
        np.array([0, 0, 1], np.int32),
        np.array([NOON, NOON + 59, NOON + 60], np.int64),
        np.array([2, 2, 0], np.uint8),
        np.array([255, 255, 0], np.uint8),
        np.array([MAX_COUNT, MAX_COUNT, 1], np.uint32),
    )

    assert sums.minute.tolist() == [NOON, NOON + 60]
    assert sums.count.tolist() == [2 * MAX_COUNT, 1]
    assert (sums.direction.tolist(), sums.class_.tolist()) == ([2, 0], [255, 0])
