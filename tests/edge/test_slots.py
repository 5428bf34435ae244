"""Counts to slots, slots to reports: nothing is spread, nothing overlaps, nothing claims more time than there is."""

from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_contract.report import decode, encode_cbor
from footfall_contract.words import MAX_SPAN_S, SLOT_LENGTHS_S
from footfall_edge.counts import Count
from footfall_edge.slots import (
    CORRECTION_MS,
    MAX_PACKED_SLOTS,
    MAX_SILENT_SLOTS,
    Piece,
    Stamped,
    Waiting,
    closed,
    fresh_ms,
    is_slot,
    observed_seconds,
    pack,
    place,
    report_of,
    run_end,
    silent_slots,
    span_over,
)

NOON = 1_764_072_000
STREAM = UUID(int=5)

slot_lengths = st.sampled_from(SLOT_LENGTHS_S)
cells = st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 255]), st.integers(1, 9))
passages = st.lists(cells, max_size=3).map(tuple)


def count(start_s: float, end_s: float, *, measured: bool = True) -> Count:
    """One passage in [start_s, end_s), in seconds after noon."""
    start, end = round((NOON + start_s) * 1000), round((NOON + end_s) * 1000)
    return Count(start, end, end - start if measured else 0, ((0, 0, 1),))


@pytest.mark.parametrize(
    ("start", "end", "expected_start", "expected_length"),
    [
        # 0         10         20
        # |----------|----------|
        (0, 10, 0, 10),  # [##########]          a slot
        (0, 3.7, 0, 10),  # [####      ]          the beginning of one
        (9.8, 10, 0, 10),  # its last moments: they round to nothing, and are still before 10
        (10, 10.2, 10, 10),  # the first moments of the next
        (0.03, 10.02, 0, 10),  # a clock set right by milliseconds in between
        (5, 15, 5, 10),  #      [##########]     unaligned: a span
        (0, 20, 0, 20),  # [####################] two slots long: a span of its own
        (7.3, 11.1, 7, 4),  #        [####]
        (4.5, 14.4, 5, 9),  # rounded to the nearest second at both ends
    ],
)
def test_where_a_count_is_placed(start: float, end: float, expected_start: int, expected_length: int) -> None:
    """A count inside a slot belongs to it, any other is a span with times of its own."""
    piece = place(count(start, end), 10)

    assert (piece.start - NOON, piece.length) == (expected_start, expected_length)


@given(slot_lengths, st.lists(st.integers(1, 30_000), min_size=1, max_size=20), st.integers(0, 100_000))
def test_intervals_that_follow_one_another_never_claim_a_second_twice(
    slot_s: int, lengths_ms: list[int], offset_ms: int
) -> None:
    """However a device cuts its time, the seconds claimed by slots and spans together do not exceed what passed."""
    starts = [NOON * 1000 + offset_ms + sum(lengths_ms[:n]) for n in range(len(lengths_ms))]
    pieces = [place(Count(a, a + ms, ms), slot_s) for a, ms in zip(starts, lengths_ms, strict=True)]
    measured: Counter[tuple[int, int]] = Counter()
    for piece in pieces:
        measured[piece.start, piece.length] += piece.measured_ms

    observed = sum(observed_seconds(ms, length) for (_, length), ms in measured.items())

    assert observed <= sum(lengths_ms) / 1000 + 0.05 * len(measured)
    assert all(observed_seconds(ms, length) <= length for (_, length), ms in measured.items())


@given(slot_lengths, st.integers(-(2**40), 2**43), st.integers(0, 2**40), st.integers(0, 2**40), passages)
def test_whatever_a_device_says_fits_the_contract(
    slot_s: int, start_ms: int, length_ms: int, measured_ms: int, found: tuple[tuple[int, int, int], ...]
) -> None:
    """Times before 1970, after 2106 or longer than a month are brought to what a report can carry; no count is lost."""
    piece = place(Count(start_ms, start_ms + length_ms, measured_ms, found), slot_s)
    observed = observed_seconds(piece.measured_ms, piece.length)
    waiting = Waiting(piece.start, piece.length, observed, piece.passages)

    report = decode(encode_cbor(report_of("markt-1", STREAM, 0, [waiting])))

    assert report.total == sum(number for _, _, number in found)


def test_of_a_long_outage_the_last_month_is_taken() -> None:
    """A recovered sum over 40 days is placed in the last 31 of them."""
    piece = place(count(-40 * 86400, 0, measured=False), 10)

    assert (piece.start, piece.length) == (NOON - MAX_SPAN_S, MAX_SPAN_S)


def test_unknown_words_become_the_contracts_word_for_unknown() -> None:
    """A direction or class the contract does not have is undirected, unknown; zero counts vanish."""
    piece = place(Count(NOON * 1000, NOON * 1000 + 10_000, 10_000, ((7, 99, 3), (0, 0, 0), (1, 4, 2))), 10)

    assert piece == Piece(NOON, 10, 10_000, ((2, 255, 3), (1, 4, 2)))


@pytest.mark.parametrize(("start", "end"), [(0, 10), (3, 4), (9, 10), (0, 60), (7, 7)])
def test_a_recovered_sum_is_never_a_slot(start: int, end: int) -> None:
    """However short the time is in which nobody knows the hour, its sum is told as a span around it."""
    piece = place(count(start, end, measured=False), 10)

    assert not is_slot(piece.start, piece.length)
    assert piece.start <= NOON + start
    assert piece.end == NOON + end


@pytest.mark.parametrize(("start", "end"), [(1, 9), (0, 10), (3, 603), (9, 11), (59, 60)])
def test_a_count_that_keeps_its_time_is_not_put_into_a_slot(start: int, end: int) -> None:
    """Its piece is as long as it is itself, though it lies in a slot; without length it is in one all the same."""
    piece = place(replace(count(start, end), whole=True), 10)

    assert (piece.start, piece.length, piece.measured_ms) == (NOON + start, end - start, 1000 * (end - start))
    assert place(replace(count(start, start), measured_ms=400, whole=True), 10).length == 10


def test_a_span_is_widened_until_it_has_no_slots_shape() -> None:
    """It begins a second earlier, or some; at the beginning of 1970, where there is none, it ends later."""
    assert span_over(NOON, NOON + 10) == (NOON - 1, 11)
    assert span_over(NOON + 1, NOON + 2) == (NOON - 1, 3), "two seconds from noon on are a slot again"
    assert span_over(NOON, NOON + 11) == (NOON, 11)
    assert span_over(0, 1)[0] == 0
    assert not is_slot(*span_over(0, 1))


def piece(start: int, length: int, measured_s: float) -> Piece:
    """A piece at `start` seconds after noon."""
    return Piece(NOON + start, length, round(measured_s * 1000), ())


def stamped(*rows: tuple[int, int, float]) -> list[Stamped]:
    """Start after noon, length and measured time, in seconds."""
    return [Stamped(NOON + start, length, round(measured_s * 1000)) for start, length, measured_s in rows]


@pytest.mark.parametrize(
    ("new", "before", "expected_s"),
    [
        (piece(0, 10, 10), [], 10),
        (piece(0, 10, 3), [(0, 10, 7)], 3),  # the rest of a slot
        (piece(0, 10, 4), [(0, 10, 7)], 4),  # a second too much: corrections
        (piece(0, 10, 4.1), [(0, 10, 7)], None),  # more than that: the clock shows a time again
        (piece(0, 10, 10), [(0, 10, 10)], None),
        (piece(0, 10, 10), [(0, 60, 60)], None),  # within a coarser row that is full
        (piece(0, 10, 10), [(0, 60, 50)], 10),  # there is room in it
        (piece(0, 10, 10), [(0, 60, 50), (10, 10, 10)], None),  # its room is in another slot, or nowhere
        (piece(8, 4, 4), [(0, 10, 7)], 4),  # a span over the edge of a slot: 0 to 7, and 8 to 12
        (piece(10, 10, 8), [(0, 10, 7), (8, 4, 4)], 8),
        (piece(10, 10, 9), [(0, 10, 8), (8, 4, 4)], 8),  # cut to what there is
        (piece(10, 10, 10), [(0, 10, 8), (8, 4, 4)], None),
        (piece(-300, 900, 900), [(0, 10, 10)], None),  # around a slot that is stamped
    ],
)
def test_what_is_measured_for_the_first_time(
    new: Piece, before: list[tuple[int, int, float]], expected_s: float | None
) -> None:
    """There must be a way to lay all measured seconds out in time, each in its slot or span, and none of them twice."""
    expected_ms = None if expected_s is None else round(expected_s * 1000)

    assert fresh_ms(new, stamped(*before)) == expected_ms


places = st.one_of(
    st.integers(0, 5).map(lambda n: (10 * n, 10)), st.tuples(st.integers(0, 50), st.integers(1, 30)), st.just((0, 60))
)


@given(st.lists(st.tuples(places, st.integers(0, 60_000)), max_size=12))
def test_no_second_is_stamped_twice(moves: list[tuple[tuple[int, int], int]]) -> None:
    """Whatever is booked in whatever order: no stretch of time holds more measured seconds than it has."""
    rows: dict[tuple[int, int], int] = {}
    for (start, length), ms in moves:
        fresh = fresh_ms(
            piece(start, length, min(ms / 1000, length)), stamped(*((*p, m / 1000) for p, m in rows.items()))
        )
        if fresh is not None:
            rows[start, length] = rows.get((start, length), 0) + fresh

    for first in range(60):
        for last in range(first + 1, 90):
            seconds = sum(
                observed_seconds(ms, length)
                for (start, length), ms in rows.items()
                if first <= start and start + length <= last
            )
            assert seconds <= last - first
    assert all(ms <= length * 1000 + CORRECTION_MS for (_, length), ms in rows.items())


def test_where_stamped_time_ends() -> None:
    """Slots and spans that follow without a hole are one run; what overlaps does not break it, and a hole ends it."""
    assert run_end(NOON, stamped((0, 10, 3), (10, 10, 10), (20, 60, 60), (25, 7, 7), (90, 10, 10))) == NOON + 80
    assert run_end(NOON + 5, stamped((10, 10, 10))) == NOON + 5
    assert run_end(NOON, []) == NOON


@pytest.mark.parametrize(
    ("measured_ms", "expected"),
    [(0, 0), (949, 0), (950, 1), (9_949, 9), (9_950, 10), (10_000, 10), (10_400, 10), (999_999, 10)],
)
def test_observed_seconds(measured_ms: int, expected: int) -> None:
    """Whole seconds, 50 ms forgiven, never more than the slot."""
    assert observed_seconds(measured_ms, 10) == expected


def test_silent_slots_are_those_that_are_over() -> None:
    """At 12:00:33 with 3 s of grace the slots until 12:00:30 are over; asked again from there, none is."""
    assert list(silent_slots(NOON, NOON + 32, 10, 3)) == [NOON, NOON + 10]
    assert list(silent_slots(NOON, NOON + 33, 10, 3)) == [NOON, NOON + 10, NOON + 20]
    assert list(silent_slots(NOON + 30, NOON + 33, 10, 3)) == []


def test_a_clock_that_jumps_makes_no_flood() -> None:
    """From 1970 to today there is at most an hour of silent slots; backwards there is none."""
    assert len(silent_slots(0, NOON, 10, 3)) == MAX_SILENT_SLOTS
    assert silent_slots(0, NOON, 10, 3)[-1] == NOON - 10 - 10
    assert not silent_slots(NOON, NOON - 5000, 10, 3)


def test_when_a_slot_may_be_reported() -> None:
    """Reported in steps of a minute, a slot waits for the end of its minute; a span for its own end alone."""
    slot = Waiting(NOON + 20, 10, 10, ())

    assert not closed(slot, NOON + 29, 10)
    assert closed(slot, NOON + 30, 10)
    assert not closed(slot, NOON + 59, 60)
    assert closed(slot, NOON + 60, 60)
    assert not closed(Waiting(NOON + 5, 10, 10, ()), NOON + 14, 10)
    assert closed(Waiting(NOON + 5, 10, 10, ()), NOON + 15, 60)


waitings = st.lists(
    st.builds(
        lambda at, length: Waiting(NOON + at * (length if length == 10 else 1), length, 0, ()),
        st.integers(0, 500),
        st.sampled_from([10, 10, 10, 60, 7]),
    ),
    max_size=600,
    unique_by=lambda slot: (slot.length, slot.start),
).map(lambda found: sorted(found, key=lambda slot: (slot.length, slot.start)))


@given(waitings)
def test_packing_keeps_everything_in_its_place(slots: list[Waiting]) -> None:
    """Packed reports say of each slot and span exactly what was waiting, once."""
    runs = list(pack(slots))

    assert [slot for run in runs for slot in run] == slots
    for run in runs:
        assert len(run) <= MAX_PACKED_SLOTS
        assert len(run) == 1 or all(is_slot(slot.start, slot.length) for slot in run)
        report = report_of("markt-1", STREAM, 3, run)
        assert [report.start + n * report.slot for n in range(report.slots)] == [slot.start for slot in run]
        assert {slot.length for slot in run} == {report.slot}


def test_a_number_too_large_for_a_cell_is_divided() -> None:
    """Cells hold 32 bits and add up, so whatever was added up in a slot can be reported."""
    report = report_of("markt-1", STREAM, 0, [Waiting(NOON, 10, 0, ((0, 0, 2**33), (1, 0, 1)))])

    assert report.total == 2**33 + 1
    assert report.direction == (0, 0, 0, 1)


def test_a_backlog_of_a_day_is_packed_by_the_hour() -> None:
    """8640 slots of 10 s become 24 reports of an hour; a hole begins a new report."""
    day = [Waiting(NOON + 10 * n, 10, 10, ((0, 0, 1),)) for n in range(8640)]

    assert [len(run) for run in pack(day)] == [360] * 24
    assert [len(run) for run in pack(day[:5] + day[6:9])] == [5, 3]


def test_the_fullest_report_is_far_from_the_limit() -> None:
    """An hour in which each slot has all 14 pairs with large counts fits in 64 KiB."""
    everything = tuple((n % 3, n // 3, 2**31) for n in range(15) if n // 3 < 5)[:14]
    run = [Waiting(NOON + 10 * n, 10, 10, everything) for n in range(MAX_PACKED_SLOTS)]

    assert len(encode_cbor(report_of("markt-1", STREAM, 2**53 - 1, run))) < 50_000
