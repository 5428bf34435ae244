"""Coarser slots: the same sums over a longer time, nothing claimed twice, nothing merged that keeps its own time."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from footfall_contract.words import SLOT_LENGTHS_S
from footfall_edge.coarsen import MINUTE_S, QUARTER_HOUR_S, STEPS_S, Booked, coarser, merges

NOON = 1_764_072_000
LATER = NOON + 86400

passages = st.dictionaries(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 2, 255])), st.integers(1, 2**33), max_size=3
).map(lambda cells: tuple((*cell, number) for cell, number in sorted(cells.items())))


@st.composite
def slots(draw: st.DrawFn) -> list[Booked]:
    """Slots of one length, some reported in part or in full, and spans of any shape."""
    length = draw(st.sampled_from([length for length in SLOT_LENGTHS_S if length >= 5]))
    found = {}
    for at in draw(st.lists(st.integers(0, 2700 // length), unique=True, max_size=60)):
        measured_ms = draw(st.integers(0, length * 1200))
        slot = Booked(NOON + at * length, length, measured_ms, 0, waiting=True, passages=draw(passages))
        reported = draw(st.one_of(st.just(0), st.just(slot.measured_s), st.integers(0, slot.measured_s)))
        found[slot.start, length] = replace(slot, reported_s=reported, waiting=reported < slot.measured_s)
    for start, span in draw(st.lists(st.tuples(st.integers(1, 2700), st.integers(1, 2000)), max_size=4)):
        if span not in (*SLOT_LENGTHS_S, QUARTER_HOUR_S):
            recovered = Booked(NOON + start, span, 0, 0, waiting=True, passages=draw(passages))
            found[recovered.start, span] = recovered
    return list(found.values())


def coarsened(booked: Iterable[Booked], step_s: int, closed_until: int = LATER) -> list[Booked]:
    """What is there after all that may become steps of `step_s` seconds did."""
    rows = {(slot.start, slot.length): slot for slot in booked}
    for waiting in (False, True):
        for merge in merges(list(rows.values()), step_s, closed_until, waiting=waiting):
            for slot in merge.gone:
                assert rows.pop((slot.start, slot.length)) == slot
            rows[merge.into.start, merge.into.length] = merge.into
    return list(rows.values())


def sums(booked: Iterable[Booked]) -> tuple[Counter[tuple[int, int, int]], Counter[int], Counter[int]]:
    """Passages by quarter hour, direction and class; unclaimed, and claimed, seconds by quarter hour."""
    counted: Counter[tuple[int, int, int]] = Counter()
    observed: Counter[int] = Counter()
    reported: Counter[int] = Counter()
    for slot in booked:
        quarter = slot.start // QUARTER_HOUR_S
        observed[quarter] += slot.observed_s
        reported[quarter] += slot.reported_s
        for direction, class_, number in slot.passages:
            counted[quarter, direction, class_] += number
    return counted, observed, reported


@given(slots())
def test_the_sums_stay_the_same(booked: list[Booked]) -> None:
    """Passages by direction and class, and seconds claimed and not, are the same over each quarter hour, exactly."""
    minutes = coarsened(booked, MINUTE_S)

    assert sums(minutes) == sums(booked)
    assert sums(coarsened(minutes, QUARTER_HOUR_S)) == sums(booked)
    assert sums(coarsened(booked, QUARTER_HOUR_S)) == sums(booked)


@given(slots(), st.sampled_from(STEPS_S))
def test_doing_it_again_changes_nothing(booked: list[Booked], step_s: int) -> None:
    """What was coarsened is as coarse as it becomes: there is nothing left to merge."""
    once = coarsened(booked, step_s)

    assert not merges(once, step_s, LATER, waiting=True)
    assert not merges(once, step_s, LATER, waiting=False)
    assert len({(slot.start, slot.length) for slot in once}) == len(once)


@given(slots())
def test_no_step_claims_more_than_there_is(booked: list[Booked]) -> None:
    """What was reported before and what is left of a coarser slot are never more seconds than it has."""
    for step_s in STEPS_S:
        booked = coarsened(booked, step_s)
        assert all(slot.reported_s + slot.observed_s <= slot.length for slot in booked if slot.length == step_s)


@given(slots(), st.integers(NOON - 100, NOON + 3000), st.sampled_from(STEPS_S))
@example([Booked(NOON + at, 10, 10_000, 0, waiting=True, passages=()) for at in range(0, 900, 10)], NOON + 59, 60)
@example([Booked(NOON + at, 10, 10_000, 0, waiting=True, passages=()) for at in range(0, 900, 10)], NOON + 899, 900)
def test_what_may_still_grow_and_spans_stay_as_they_are(booked: list[Booked], until: int, step_s: int) -> None:
    """Only steps that are over are merged; a span of any other shape is never part of one."""
    after = {(slot.start, slot.length): slot for slot in coarsened(booked, step_s, until)}

    for slot in booked:
        span = slot.length not in SLOT_LENGTHS_S or slot.start % slot.length
        if span or slot.start // step_s * step_s + step_s > until:
            assert after[slot.start, slot.length] == slot


def test_a_minute_takes_the_place_of_its_slots() -> None:
    """Reported slots, half reported ones and silent ones become one minute that knows what is left to claim."""
    reported = Booked(NOON, 10, 10_000, 10, waiting=False, passages=())
    half = Booked(NOON + 10, 10, 9_990, 4, waiting=True, passages=((0, 0, 2), (1, 0, 1)))
    silent = Booked(NOON + 20, 10, 0, 0, waiting=True, passages=())
    whole = Booked(NOON + 50, 10, 10_700, 0, waiting=True, passages=((0, 0, 5),))
    next_minute = Booked(NOON + 60, 10, 10_000, 0, waiting=True, passages=((0, 0, 9),))

    (merge,) = merges([whole, next_minute, silent, reported, half], MINUTE_S, LATER, waiting=True)

    assert merge.into == Booked(NOON, 60, 30_000, 14, waiting=True, passages=((0, 0, 7), (1, 0, 1)))
    assert merge.into.observed_s == 16
    assert merge.gone == (reported, half, silent, whole)


def test_records_are_merged_apart() -> None:
    """Steps that are records of reports alone, and steps in which something waits, are never asked for together."""
    record = [Booked(NOON + at, 10, 10_000, 10, waiting=False, passages=()) for at in (0, 10)]
    waits = [Booked(NOON + at, 10, 10_000, 0, waiting=True, passages=()) for at in (60, 70)]

    assert [merge.into.start for merge in merges(record + waits, MINUTE_S, LATER, waiting=False)] == [NOON]
    assert [merge.into.start for merge in merges(record + waits, MINUTE_S, LATER, waiting=True)] == [NOON + 60]


def test_what_is_alone_stays_as_fine_as_it_is() -> None:
    """A single slot in its step would only lose its time."""
    assert merges([Booked(NOON, 10, 10_000, 0, waiting=True, passages=())], QUARTER_HOUR_S, LATER, waiting=True) == []


def test_a_slot_knows_its_coarser_ones() -> None:
    """A slot lies in a minute and a quarter hour, a minute in a quarter hour, a span in neither."""
    assert coarser(NOON + 70, 10) == [(NOON + 60, 60), (NOON, 900)]
    assert coarser(NOON + 960, 60) == [(NOON + 900, 900)]
    assert coarser(NOON + 3, 10) == coarser(NOON, 900) == []
