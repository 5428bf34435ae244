"""Measured seconds add up, or the report that breaks it is a second writer's."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport, encode_cbor
from footfall_contract.batch import decode_batch
from footfall_ingest.ledger import MAX_OVERLAPPING, Ledger, misfits, recovered_minutes
from footfall_testing.ingest_store import NOON, report

Item = tuple[int, int, int]


def can_be_laid_out(items: list[Item]) -> bool:
    """Whether the seconds of all (start, end, seconds) fit, none twice: each second serves who must be done first."""
    left = [[start, end, seconds] for start, end, seconds in items]
    for now in range(min(item[0] for item in items), max(item[1] for item in items)):
        waiting = [item for item in left if item[0] <= now < item[1] and item[2]]
        if waiting:
            min(waiting, key=lambda item: item[1])[2] -= 1
    return not any(item[2] for item in left)


spans = st.tuples(st.integers(0, 200), st.integers(1, 120)).flatmap(
    lambda span: st.tuples(st.just(span[0]), st.just(span[0] + span[1]), st.integers(1, span[1]))
)
slots = st.tuples(st.sampled_from([0, 60, 120, 180]), st.integers(1, 60))


@settings(deadline=None)
@given(st.lists(st.one_of(spans, slots), max_size=10))
def test_what_is_booked_can_be_laid_out_in_time(arrivals: list[tuple[int, ...]]) -> None:
    """A report is taken exactly if its seconds still fit beside what was taken before it."""
    ledger = Ledger()
    taken: list[Item] = []
    for arrival in arrivals:
        if len(arrival) == 3:
            start, end, seconds = arrival
            refusal = ledger.book_span((start, end, seconds))
        else:
            start, seconds = arrival
            end = start + 60
            refusal = ledger.book_minutes({start: seconds})

        assert (not refusal) == can_be_laid_out([*taken, (start, end, seconds)]), (refusal, taken, arrival)
        if not refusal:
            taken.append((start, end, seconds))


@settings(deadline=None)
@given(st.lists(st.one_of(spans, slots), min_size=1, max_size=8), st.randoms())
def test_what_fits_fits_in_any_order(arrivals: list[tuple[int, ...]], random: object) -> None:
    """If everything was taken in one order, it is in any other: only what does not add up depends on order."""
    verdicts = [_book_all(arrivals), _book_all(sorted(arrivals)), _book_all(sorted(arrivals, reverse=True))]

    assert len(set(verdicts)) == 1


def _book_all(arrivals: list[tuple[int, ...]]) -> bool:
    ledger = Ledger()
    return not any(
        ledger.book_span((a[0], a[1], a[2])) if len(a) == 3 else ledger.book_minutes({a[0]: a[1]}) for a in arrivals
    )


def test_spans_push_each_other_aside() -> None:
    """Three spans of 60 s fit only one way; a fourth that touches just the first has no room, three minutes on.

    0        60       120       180
    |aaaaaaaaaaaaaaaaaaa|
             |bbbbbbbbbbbbbbbbbbb|
                        |ccccccccc|
    |dddddddd|
    """
    ledger = Ledger({}, [(NOON, NOON + 120, 60), (NOON + 60, NOON + 180, 60), (NOON + 120, NOON + 180, 60)])

    assert ledger.book_span((NOON, NOON + 60, 60)).startswith("240 s would be measured in the 180 s")


def test_a_refused_report_leaves_no_trace() -> None:
    """What does not fit is taken back whole, and what fits after it is taken."""
    ledger = Ledger({NOON: 50}, [(NOON + 60, NOON + 180, 110)])

    refused = [
        ledger.book_minutes({NOON: 5, NOON + 60: 11}),
        ledger.book_span((NOON + 60, NOON + 120, 11)),
        ledger.book_minutes({NOON: 11}),
    ]

    assert all(refused)
    assert ledger.book_minutes({NOON: 10, NOON + 60: 10}) == ""
    assert ledger.minutes == {NOON: 60, NOON + 60: 10}
    assert ledger.spans == [(NOON + 60, NOON + 180, 110)]


def test_the_sentence_says_how_much_and_where() -> None:
    """Someone looking at the quarantine sees which stretch of time was claimed twice."""
    ledger = Ledger({NOON: 60}, [])

    assert ledger.book_minutes({NOON: 1}) == "61 s would be measured in the minute 2026-03-01T12:00:00Z"
    assert ledger.book_span((NOON, NOON + 90, 31)) == "91 s would be measured in the 90 s from 2026-03-01T12:00:00Z"


def test_no_device_sends_many_overlapping_spans() -> None:
    """Beyond a limit they are refused unseen, so that nobody can keep the process busy with them."""
    ledger = Ledger()
    booked = [ledger.book_span((NOON + n, NOON + 86_400, 1)) for n in range(MAX_OVERLAPPING + 1)]

    assert booked[:-1] == [""] * MAX_OVERLAPPING
    assert "measured spans overlap" in booked[-1]


def batch_of(*reports: SlotReport) -> tuple[object, np.ndarray]:
    """A batch and all of its rows."""
    return decode_batch([encode_cbor(found) for found in reports]), np.arange(len(reports))


@pytest.mark.parametrize("late", [0, 1], ids=["first", "second"])
def test_of_two_that_claim_the_same_seconds_the_later_is_wrong(late: int) -> None:
    """The order of arrival decides, not what the reports say."""
    claims = [report(seq=0, slot=60, observed=[31]), report(seq=1, slot=60, observed=[30])]
    batch, rows = batch_of(*(claims[::-1] if late else claims))

    (finding,) = misfits(batch, rows, {0: Ledger()})  # type: ignore[arg-type]

    assert (finding.row, finding.reason) == (1, "second-writer")


def test_a_sensor_without_a_ledger_is_not_looked_at() -> None:
    """Whoever called knows that its seconds add up."""
    batch, rows = batch_of(report("a", slot=60), report("b", slot=60), report("b", seq=1, slot=60))

    found = misfits(batch, rows, {0: Ledger()})  # type: ignore[arg-type]

    assert found == []


def test_a_recovered_sum_claims_no_seconds() -> None:
    """A span and a slot without measured seconds fit wherever they come."""
    full = Ledger({NOON: 60}, [(NOON, NOON + 120, 60)])
    batch, rows = batch_of(report(slot=7, observed=[0]), report(seq=1, slot=60, observed=[0]))

    assert misfits(batch, rows, {0: full}) == []  # type: ignore[arg-type]


def test_spans_that_follow_one_another_in_a_minute_are_no_overlap() -> None:
    """An uplink of a counter comes at any second, its span begins there: as many as there are in a year fit.

    12:00:05          12:15:05          12:30:05
    |aaaaaaaaaaaaaaaaa|bbbbbbbbbbbbbbbbb|ccc…
    """
    ledger = Ledger()

    assert {ledger.book_span((start, start + 900, 900)) for start in range(NOON + 5, NOON + 300 * 900, 900)} == {""}


def test_a_minute_of_slots_ties_the_spans_beside_it() -> None:
    """Seconds of the minute in which one span ends and the next begins lie in one of the two: then both are looked at.

    12:00:00           12:01:30           12:03:00
    |  80 s of 90      |  80 s of 90      |
              | 20 s of the minute |
    """
    ledger = Ledger({}, [(NOON, NOON + 90, 80), (NOON + 90, NOON + 180, 80)])

    assert ledger.book_minutes({NOON + 60: 20}) == ""
    assert ledger.book_minutes({NOON + 60: 1}).startswith("181 s would be measured in the 180 s")
    assert ledger.book_span((NOON + 180, NOON + 181, 1)) == ""


def test_spans_that_reach_too_far_together_are_not_gone_through() -> None:
    """To check one all that hangs together is read: a chain over years would be years of minutes for each report."""
    month = 31 * 86_400
    ledger = Ledger()

    booked = [ledger.book_span((NOON + n * (month - 60), NOON + n * (month - 60) + month, 1)) for n in range(3)]

    assert booked[:2] == ["", ""]
    assert "reach further than 62 days" in booked[2]


def test_a_month_full_of_minutes_is_checked_quickly() -> None:
    """What is looked at for each report are the edges of the spans, not the minutes between them: 2000 take no time."""
    month = 31 * 86_400
    ledger = Ledger({NOON + 60 * n: 30 for n in range(month // 60)}, [(NOON, NOON + month, 86_400)])

    assert {ledger.book_minutes({NOON + 60 * n: 30}) for n in range(2000)} == {""}
    assert ledger.book_span((NOON, NOON + month, month // 2 - 86_400 - 2000 * 30 + 1)).startswith("2678401 s would be")


def test_many_reports_around_spans_are_checked_quickly() -> None:
    """What came since the spans were first looked at is not added up anew for each report: 400 days take no time."""
    day = 86_400
    ledger = Ledger({}, [(NOON + n * 31 * day, NOON + (n + 1) * 31 * day, 1) for n in range(13)])
    reports = [dict.fromkeys(range(NOON + n * day, NOON + (n + 1) * day, 60), 1) for n in range(400)]

    started = time.process_time()
    assert {ledger.book_minutes(observed) for observed in reports} == {""}

    assert time.process_time() - started < 8
    assert ledger._before(np.array([NOON, NOON + day, NOON + 500 * day])).tolist() == [0, 1440, 576_000]
    assert ledger.book_span((NOON, NOON + 31 * day, 31 * day - 44_640)).startswith("2678401 s would be")


def found_afterwards(seq: int, count: int, start: int = NOON) -> SlotReport:
    """A report of a minute in which nothing was measured, and so many passages were found afterwards."""
    return report(seq=seq, start=start, slot=60, observed=[0], cells=[(0, 0, 0, count - 1), (0, 1, 4, 1)])


def test_no_more_passages_are_found_than_can_have_passed() -> None:
    """However many reports say so: what is stored of the minute counts, in all directions, and what came before."""
    batch, rows = batch_of(
        found_afterwards(0, 5000),
        report(seq=1, slot=60, observed=[60], cells=[(0, 0, 0, 400)]),
        found_afterwards(2, 501),
        found_afterwards(3, 500),
        found_afterwards(4, 2),
        found_afterwards(5, 6000, NOON + 60),
    )

    found = misfits(batch, rows, {0: Ledger({}, [], {NOON: 100, NOON + 60: 0})})  # type: ignore[arg-type]

    assert [(finding.row, finding.reason) for finding in found] == [(2, "impossible"), (4, "impossible")]
    assert found[0].detail.startswith("6001 passages in the minute 2026-03-01T12:00:00Z, with those that are stored")


def test_which_passages_were_found_afterwards() -> None:
    """Those in slots of which no second was measured; a span of nothing measured is a sum, and no minute's."""
    batch, _ = batch_of(
        report("a", slot=20, observed=[0, 20, 0, 0], cells=[(1, 0, 0, 9), (2, 1, 0, 1), (2, 0, 0, 3), (3, 0, 0, 1)]),
        report("b", slot=7, observed=[0]),
        report("c", slot=60, observed=[1]),
        report("d", slot=60, observed=[0]),
    )

    assert recovered_minutes(batch, np.arange(3)) == [(0, NOON), (0, NOON + 60)]  # type: ignore[arg-type]
