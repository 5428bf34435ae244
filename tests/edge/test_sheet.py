"""Measured time and passages on the monotonic clock become counts in slots of UTC, none lost and none twice."""

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from footfall_edge.clock import Moment
from footfall_edge.counts import Count
from footfall_edge.sheet import MOST_HELD, Sheet
from footfall_edge.slots import place

START_MS = 1_764_000_000_000
"""A whole minute; on the monotonic clock it is 1000 s."""


def at(seconds: float, *, trusted: bool = True) -> Moment:
    """So many seconds after the start."""
    return Moment(START_MS + round(seconds * 1000) if trusted else None, 1000 + seconds)


def passages_of(counts: list[Count]) -> int:
    """All passages in counts."""
    return sum(number for count in counts for _, _, number in count.passages)


def test_a_slot_is_booked_when_it_is_over() -> None:
    """Time without passages waits for the slot's end; each slot gets its own measured time."""
    sheet = Sheet().measured(1000.0, 1009.9)

    assert sheet.cut(at(9.9), 10) == (sheet, ())

    after, counts = sheet.measured(1009.9, 1010.1).cut(at(10.1), 10)

    assert [(c.start_ms - START_MS, c.end_ms - START_MS, c.measured_ms) for c in counts] == [
        (0, 10_000, 10_000),
        (10_000, 10_100, 100),
    ]
    assert after == Sheet(booked_ms=START_MS + 10_100)


def test_a_passage_waits_for_a_second_at_most() -> None:
    """It is booked then, also in the middle of a slot, so that a power failure takes little."""
    sheet = Sheet().measured(1000.0, 1003.0).saw(1003.0, [(0, 0, 1)])

    assert sheet.cut(at(3.9), 10)[1] == ()

    (count,) = sheet.cut(at(4.0), 10)[1]

    assert (count.measured_ms, count.passages) == (3000, ((0, 0, 1),))


def test_a_passage_at_a_slots_very_end_is_in_that_slot() -> None:
    """It is noticed at the end of the time that was looked at."""
    sheet = Sheet().measured(1008.0, 1010.0).saw(1010.0, [(1, 0, 1)])

    (count,) = sheet.cut(at(10.0), 10)[1]

    assert place(count, 10).start == START_MS // 1000
    assert count.passages == ((1, 0, 1),)


def test_time_without_frames_is_not_measured() -> None:
    """Two runs leave the gap between them out."""
    _, counts = Sheet().measured(1001.0, 1002.0).measured(1005.0, 1006.0).cut(at(11), 10)

    assert [count.measured_ms for count in counts] == [1000, 1000]


def test_a_passage_after_unmeasured_time_is_a_span_of_its_own() -> None:
    """Nothing is known of the time before it, so it does not get into a slot as if there were."""
    _, counts = Sheet().saw(1005.0, [(0, 0, 2)]).measured(1005.0, 1006.0).cut(at(11), 10)

    assert [(count.measured_ms, count.passages) for count in counts] == [(0, ((0, 0, 2),)), (1000, ())]


def test_what_waits_for_the_clock_is_placed_when_it_is_trusted() -> None:
    """Then each passage gets into the slot in which it was noticed, hours ago perhaps."""
    sheet = Sheet().measured(1000.0, 1012.0).saw(1003.0, [(0, 0, 1)]).saw(1012.0, [(1, 0, 1)])

    assert sheet.cut(at(12, trusted=False), 10) == (sheet, ())
    assert sheet.unplaced == {(0, 0): 1, (1, 0): 1}

    _, counts = sheet.cut(at(3600), 10)

    assert [(place(c, 10).start - START_MS // 1000, c.measured_ms, c.passages) for c in counts] == [
        (0, 10_000, ((0, 0, 1),)),
        (10, 2000, ((1, 0, 1),)),
    ]


def test_what_an_earlier_run_counted_without_a_clock_is_a_span() -> None:
    """It reaches from the last booked time to the first moment that is known, with nothing measured."""
    sheet = Sheet(booked_ms=START_MS - 60_000).carry(((0, 0, 7),))

    assert sheet.cut(at(5, trusted=False), 10)[1] == ()

    (count,) = sheet.cut(at(9), 10)[1]

    assert count == Count(START_MS - 60_000, START_MS + 9_000, 0, ((0, 0, 7),))


def test_a_recovered_sum_is_a_span_over_its_time() -> None:
    """It is booked at once; `measured` says that the device counted all the while."""
    _, plain = Sheet().recovered(1000.0, 1300.0, ((0, 0, 9),)).cut(at(301), 10)
    _, known = Sheet().recovered(1000.0, 1300.0, (), measured=True).cut(at(301), 10)

    assert plain == (Count(START_MS, START_MS + 300_000, 0, ((0, 0, 9),)),)
    assert known == (Count(START_MS, START_MS + 300_000, 300_000, ()),)
    assert Sheet().recovered(1000.0, 1300.0, ()) == Sheet()


def test_very_many_passages_without_a_clock_become_a_span() -> None:
    """The memory is bounded: the older half loses its time within the stretch, and nothing else."""
    sheet = Sheet()
    for second in range(MOST_HELD + 1):
        sheet = sheet.measured(1000.0 + second, 1001.0 + second).saw(1001.0 + second, [(0, 0, 1)])
    bounded, _ = sheet.cut(at(MOST_HELD + 2, trusted=False), 10)

    assert len(bounded.seen) <= MOST_HELD
    assert bounded.unplaced == sheet.unplaced

    _, counts = bounded.cut(at(MOST_HELD + 2), 10)

    assert passages_of(list(counts)) == MOST_HELD + 1
    assert sum(count.measured_ms for count in counts) == (MOST_HELD + 1) * 1000


@given(
    steps=st.lists(
        st.tuples(st.floats(0.01, 30, allow_nan=False), st.booleans(), st.integers(0, 3), st.booleans(), st.booleans()),
        max_size=60,
    ),
    slot_s=st.sampled_from([1, 5, 10, 60]),
)
@example(steps=[(10.0, True, 1, True, True), (10.0, True, 1, True, True)], slot_s=10)
def test_nothing_is_lost_or_doubled_in_whatever_way_it_comes(
    steps: list[tuple[float, bool, int, bool, bool]], slot_s: int
) -> None:
    """Sum of counts = passages; measured time = time in runs; each measured count lies within one slot."""
    sheet, counts = Sheet(), list[Count]()
    now = 0.0
    seen: Counter[int] = Counter()
    measured_s = 0.0
    for gap_s, alive, number, trusted, direction in steps:
        before, now = now, now + gap_s
        if alive:
            sheet = sheet.measured(1000 + before, 1000 + now)
            measured_s += gap_s
        sheet = sheet.saw(1000 + now, [(int(direction), 0, number)])
        seen[int(direction)] += number
        sheet, more = sheet.cut(at(now, trusted=trusted), slot_s)
        counts += more
    now += 120
    sheet, more = sheet.cut(at(now), slot_s)
    counts += more

    booked: Counter[int] = Counter()
    for count in counts:
        for way, _, passages in count.passages:
            booked[way] += passages
        if count.measured_ms:
            piece = place(count, slot_s)
            assert piece.length == slot_s
            assert 0 < count.measured_ms <= slot_s * 1000
    assert booked == +seen
    assert abs(sum(count.measured_ms for count in counts) - measured_s * 1000) <= len(counts) + len(steps)
