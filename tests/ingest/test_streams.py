"""Which numbers of a stream are fresh, held against a set of numbers that is asked one message at a time."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_contract.words import MAX_SEQ
from footfall_ingest import streams
from footfall_ingest.streams import MAX_AHEAD, MAX_RANGES, Received, Verdict, admit

FRESH, DUPLICATE, TOO_MANY_GAPS, FAR_AHEAD = Verdict

Arrival = tuple[int, int]
"""Code of the stream, and number."""

Range = tuple[int, int, int]
"""Code of the stream, and a half-open range of numbers."""


def ask(arrivals: Sequence[Arrival], known: Iterable[Range] = (), n_streams: int = 4) -> tuple[list[int], list[Range]]:
    """The verdicts on the arrivals, and the ranges of the fresh ones."""
    columns = np.array(arrivals, np.int64).reshape(-1, 2)
    verdicts, fresh = admit(columns[:, 0], columns[:, 1], Received.of(known), n_streams)
    return verdicts.tolist(), rows(fresh)


def rows(received: Received) -> list[Range]:
    """Its rows, in its order."""
    return list(zip(received.stream.tolist(), received.low.tolist(), received.high.tolist(), strict=True))


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """A set of numbers as half-open ranges, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found


def one_at_a_time(arrivals: Iterable[Arrival], known: dict[int, set[int]]) -> list[int]:
    """The verdicts by the rules as they are written; `known` is widened by what is fresh."""
    verdicts = []
    for stream, number in arrivals:
        had = known.setdefault(stream, set())
        if number in had:
            verdict = DUPLICATE
        elif had and number >= max(had) + streams.MAX_AHEAD:
            verdict = FAR_AHEAD
        elif len(ranges(had | {number})) > streams.MAX_RANGES:
            verdict = TOO_MANY_GAPS
        else:
            verdict = FRESH
            had.add(number)
        verdicts.append(int(verdict))
    return verdicts


def as_rows(known: dict[int, set[int]]) -> list[Range]:
    """Sets by stream as rows, ascending."""
    return [(stream, *part) for stream in sorted(known) for part in ranges(known[stream])]


arrivals_of_few = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 70)), max_size=60)
histories = st.dictionaries(st.integers(0, 3), st.sets(st.integers(0, 70), max_size=20), max_size=4)


@settings(max_examples=400, deadline=None)
@given(
    arrivals=arrivals_of_few,
    before=histories,
    limits=st.sampled_from([(MAX_RANGES, MAX_AHEAD), (1, 9), (3, 20), (6, 40)]),
)
def test_a_batch_is_judged_as_if_its_messages_came_one_by_one(
    arrivals: list[Arrival], before: dict[int, set[int]], limits: tuple[int, int]
) -> None:
    """Whatever came before, and however near the limits: same verdicts, and the fresh numbers as ranges."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "MAX_RANGES", limits[0])
        patch.setattr(streams, "MAX_AHEAD", limits[1])
        known: dict[int, set[int]] = {}
        # What is known was admitted once, so it keeps to the limits itself.
        one_at_a_time([(stream, number) for stream, numbers in before.items() for number in sorted(numbers)], known)
        earlier = {stream: set(numbers) for stream, numbers in known.items()}

        verdicts, fresh = ask(arrivals, as_rows(earlier))

        assert verdicts == one_at_a_time(arrivals, known)
    assert fresh == as_rows({stream: known[stream] - earlier.get(stream, set()) for stream in known})


@settings(max_examples=200, deadline=None)
@given(arrivals=arrivals_of_few, cut=st.integers(0, 60), limits=st.sampled_from([(MAX_RANGES, MAX_AHEAD), (3, 20)]))
def test_cutting_a_batch_changes_no_verdict(arrivals: list[Arrival], cut: int, limits: tuple[int, int]) -> None:
    """The second part, knowing what the first one brought, is judged as in one batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "MAX_RANGES", limits[0])
        patch.setattr(streams, "MAX_AHEAD", limits[1])
        whole, _ = ask(arrivals)
        first, _ = ask(arrivals[:cut])
        known: dict[int, set[int]] = {}
        one_at_a_time(arrivals[:cut], known)
        second, _ = ask(arrivals[cut:], as_rows(known))

    assert first + second == whole


@settings(max_examples=100, deadline=None)
@given(data=st.data(), numbers=st.sets(st.integers(0, 100), max_size=40))
def test_order_and_repetition_leave_the_same_ranges(data: st.DataObject, numbers: set[int]) -> None:
    """Away from the limits, whatever the order and however often, all numbers are fresh exactly once."""
    arrivals = [(2, number) for number in numbers]
    again = data.draw(st.lists(st.sampled_from(arrivals), max_size=20)) if arrivals else []

    verdicts, fresh = ask(data.draw(st.permutations(arrivals + again)))

    assert verdicts.count(FRESH) == len(numbers)
    assert verdicts.count(DUPLICATE) == len(again)
    assert fresh == [(2, *part) for part in ranges(numbers)]


def test_nothing_came() -> None:
    """No arrivals, no verdicts, no ranges; also when there is no stream at all."""
    assert ask([]) == ([], [])
    assert ask([], [(0, 0, 5)]) == ([], [])
    assert ask([], n_streams=0) == ([], [])


def test_the_first_of_equals_is_the_fresh_one() -> None:
    """A double within the batch is the later message, not the earlier one; one from before makes both doubles."""
    assert ask([(0, 7), (1, 7), (0, 7), (1, 7)]) == ([FRESH, FRESH, DUPLICATE, DUPLICATE], [(0, 7, 8), (1, 7, 8)])
    assert ask([(0, 7), (0, 7)], [(0, 7, 8)]) == ([DUPLICATE, DUPLICATE], [])


@pytest.mark.parametrize(
    ("number", "verdict"),
    [(0, DUPLICATE), (4, DUPLICATE), (5, FRESH), (9, FRESH), (10, DUPLICATE), (14, DUPLICATE), (15, FRESH)],
)
def test_ranges_are_half_open(number: int, verdict: Verdict) -> None:
    """Of [0, 5) and [10, 15) the ends 5 and 15 were not received, in a stream between other streams."""
    known = [(0, 0, 100), (1, 0, 5), (1, 10, 15), (2, 0, 100)]

    assert ask([(1, number)], known)[0] == [verdict]
    assert ask([(3, number)], known)[0] == [FRESH]


def test_a_sixty_fifth_range_is_refused_until_a_gap_is_filled() -> None:
    """0 2 4 … 126 are 64 ranges; 128 would be one more, 127 only widens one, and 1 joins two, which makes room."""
    pieces = [(0, 2 * n) for n in range(MAX_RANGES)]

    verdicts, fresh = ask([*pieces, (0, 128), (0, 127), (0, 130), (0, 1), (0, 130)])

    assert verdicts == [FRESH] * 64 + [TOO_MANY_GAPS, FRESH, TOO_MANY_GAPS, FRESH, FRESH]
    assert (0, 0, 3) in fresh
    assert (0, 126, 128) in fresh
    assert (0, 130, 131) in fresh
    assert (0, 128, 129) not in fresh


def test_what_is_known_counts_among_the_ranges() -> None:
    """A stream with 64 ranges takes no new one, takes what lies beside one, and other streams are as free as before."""
    known = [(0, 10 * n, 10 * n + 5) for n in range(MAX_RANGES)]

    arrivals = [(0, 7), (0, 5), (0, 9), (0, 3), (1, 7), (0, 640)]
    verdicts, fresh = ask(arrivals, known)

    assert verdicts == [TOO_MANY_GAPS, FRESH, FRESH, DUPLICATE, FRESH, TOO_MANY_GAPS]
    assert fresh == [(0, 5, 6), (0, 9, 10), (1, 7, 8)]


def test_one_stream_at_its_limit_holds_up_no_other() -> None:
    """A thousand numbers without a gap, in another stream of the same batch, are all fresh and one range."""
    arrivals = [(stream, number) for n in range(1000) for stream, number in ((0, 2 * n), (1, n))]

    verdicts, fresh = ask(arrivals)

    assert verdicts[1::2] == [FRESH] * 1000
    assert verdicts[0::2] == [FRESH] * 64 + [TOO_MANY_GAPS] * 936
    assert fresh[-1] == (1, 0, 1000)


def test_a_number_a_million_above_the_highest_is_refused() -> None:
    """The highest of those received is what counts, not the highest that was sent."""
    known = [(0, 0, 11)]

    arrivals = [(0, 10 + MAX_AHEAD), (0, 9 + MAX_AHEAD), (0, 10 + MAX_AHEAD), (0, MAX_SEQ)]
    verdicts, fresh = ask(arrivals, known)

    assert verdicts == [FAR_AHEAD, FRESH, FRESH, FAR_AHEAD]
    assert fresh == [(0, 9 + MAX_AHEAD, 11 + MAX_AHEAD)]


def test_a_new_stream_begins_anywhere() -> None:
    """History is numbered by its time: the first number is not ahead of anything, and a lower one is not either."""
    assert ask([(0, MAX_SEQ), (0, 0)])[0] == [FRESH, FRESH]
    assert ask([(0, 0), (0, MAX_SEQ)])[0] == [FRESH, FAR_AHEAD]
    assert ask([(0, 0), (1, MAX_AHEAD)], [(1, 1, 2)])[0] == [FRESH, FRESH]


def test_received_puts_its_rows_in_order() -> None:
    """Rows may come in any order; they are kept by stream, then by number. None at all is an empty one."""
    assert rows(Received.of([(1, 5, 6), (0, 9, 12), (1, 0, 3)])) == [(0, 9, 12), (1, 0, 3), (1, 5, 6)]
    assert rows(Received.of([])) == []
