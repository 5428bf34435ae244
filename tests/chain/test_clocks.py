"""Clocks that are wrong, jump or drift, through the whole chain: every passage is stored once, and none makes a rush.

In each timeline below the upper line is the truth, the lower one what the wall clock of the box shows.
"""

from collections import Counter
from collections.abc import Callable

import pytest

from footfall_edge import outbox
from footfall_testing.clockwork import Box, Chain, passages
from footfall_testing.ingest_store import NOON, Store

HOUR: int = 3600
DAY: int = 86400
Y1970 = -NOON + 60
"""Seconds by which a clock is off that began in 1970, a minute before noon."""
MOST: int = 14
"""Passages in the fullest minute where twelve a minute come: one more slot of 10 s than it has."""


def somebody_passes(box: Box) -> Callable[[], None]:
    """A person at each step, now in, now out."""
    turns = iter(range(10**9))

    def step() -> None:
        box.device.passes(1, direction=next(turns) % 2)

    return step


def walk(chain: Chain, box: Box, seconds: float) -> None:
    """Time passes, and somebody every 5 s."""
    chain.run(seconds, step_s=5, each=somebody_passes(box))


def test_without_any_fault_every_minute_is_right(chain: Chain) -> None:
    """Twelve people a minute are twelve in every minute, and all of its seconds are measured."""
    box = chain.box()
    walk(chain, box, 600)

    found = chain.settle()
    minutes = [NOON + 60 * n for n in range(1, 10)]
    assert [sum(n for (_, m, _, _), n in found.counts.items() if m == minute) for minute in minutes] == [12] * 9
    assert [found.coverage["markt-1", minute] for minute in minutes] == [60] * 9
    assert span_counts(found) <= 2, "only the interval in which the device hears the time for the first time"


@pytest.mark.parametrize("trust", ["system", "ntp"])
def test_a_clock_that_begins_in_1970_is_waited_for(chain: Chain, trust: str) -> None:
    """Nothing is stamped before the clock can be right; then the intervals kept in the device get their true times.

    truth  12:00 ......... 12:10 ...............
    box    1970  ......... 12:10, and only later, with "ntp", synchronised
    """
    box = chain.box(started=lambda box: box.step(Y1970))
    box.synchronised = trust == "system"
    walk(chain, box, 600)
    assert chain.store().coverage == {}
    assert "waiting for the clock" in box.health()
    assert box.device.waiting >= 55
    assert passages(chain.store()) == {}

    box.step(-Y1970)
    if trust == "ntp":
        walk(chain, box, 120)
        assert chain.store().coverage == {}
        box.synchronised = True
    walk(chain, box, 120)

    found = chain.settle()
    chain.assert_no_false_rush(found)
    assert "waiting" not in box.health()
    inner = [minute for (_, minute) in found.coverage if NOON + 60 <= minute < NOON + 600]
    assert len(inner) == 9
    assert sum(found.coverage["markt-1", minute] for minute in inner) == 540


def test_kept_intervals_are_placed_by_the_monotonic_clock(chain: Chain) -> None:
    """Ten people in one short moment before the clock was set stand at that moment afterwards, not when it was set."""
    box = chain.box(started=lambda box: box.step(Y1970))
    chain.run(300)
    box.device.passes(10)
    chain.run(300)
    box.step(-Y1970)

    found = chain.settle()
    where = [(start, end) for (_, start, end, _, _) in found.spans] + [(m, m + 60) for (_, m, _, _) in found.counts]
    assert all(start - 60 <= NOON + 300 <= end + 60 for start, end in where), where
    assert sum(end - start for start, end in where) <= 60


def test_more_than_the_ring_holds_before_the_clock_is_set(chain: Chain) -> None:
    """What fell out of the ring comes as a sum over that time with nothing measured; what was kept, as it was.

    That holds from the first contact on, and over a restart of the edge.
    """
    box = chain.box(ring=12, started=lambda box: box.step(Y1970))
    walk(chain, box, 400)
    box.restart()
    walk(chain, box, 200)
    box.step(-Y1970)

    found = chain.settle()
    recovered = {key: n for key, n in found.spans.items() if found.span_coverage[key[:3]] == 0}
    assert sum(recovered.values()) == pytest.approx((600 - 120) / 5, abs=4)
    assert all(NOON - 20 <= start < end <= NOON + 500 for _, start, end, _, _ in recovered), recovered
    chain.assert_no_false_rush(found)


@pytest.mark.parametrize("back_s", [3, 300, 2 * HOUR])
def test_a_clock_is_set_back(chain: Chain, back_s: int) -> None:
    """What is counted while it repeats itself is a span over that time with nothing measured, told when it is over.

    truth  12:00 ............... 14:10 ....................... 16:10 ....
    box    12:00 ............... 14:10 = 12:10 ............... 14:10 ....
                                       [ a span, observed 0  ]
    """
    box = chain.box()
    walk(chain, box, back_s + 600)
    before = passages(chain.store()).total()
    reports = sum(outcome.stored for outcome in chain.ingest.outcomes)
    box.step(-back_s)
    walk(chain, box, back_s // 2)
    assert passages(chain.store()).total() - before <= 30, "it is told at the end, not bit by bit"
    assert sum(outcome.stored for outcome in chain.ingest.outcomes) - reports <= 14, "what was under way at the step"
    walk(chain, box, back_s // 2 + 600)

    found = chain.settle()
    unmeasured = {key: n for key, n in found.spans.items() if found.span_coverage[key[:3]] == 0}
    assert len({key[:3] for key in unmeasured}) == 1
    assert sum(unmeasured.values()) == pytest.approx(back_s / 5, abs=14 + back_s / 50)
    assert max(by_minute(found).values()) <= MOST


def test_a_clock_is_set_back_twice_in_a_row(chain: Chain) -> None:
    """What is repeated for the second time joins the spans too; nothing is stamped twice or three times."""
    box = chain.box()
    walk(chain, box, 1200)
    box.step(-300)
    walk(chain, box, 120)
    box.step(-300)
    walk(chain, box, 900)

    found = chain.settle()
    assert span_counts(found) == pytest.approx(600 / 5, abs=30)
    assert max(by_minute(found).values()) <= MOST


def test_unaligned_intervals_are_repeated_by_slots(chain: Chain) -> None:
    """Intervals from before the device knew the time are spans. A clock set back shows their time again, in slots.

    No slot is full there, and still its seconds are measured: ingest would refuse them as a second writer's.
    """
    chain.run(3.4)
    box = chain.box(started=lambda box: box.step(Y1970))
    walk(chain, box, 300)
    box.step(-Y1970)
    walk(chain, box, 60)
    box.step(-240)
    walk(chain, box, 600)

    found = chain.settle()
    assert sum(n for (_, start, end), n in found.span_coverage.items() if end - start <= 10) >= 250
    assert max(by_minute(found).values()) <= MOST


def test_what_is_stamped_ahead_of_the_clock_waits(chain: Chain) -> None:
    """Until the device hears that the clock was set back it stamps what is to come: that is not over, so it waits."""
    box = chain.box()
    walk(chain, box, 655)
    told = box.sensors.closed_until("markt-1", box.clock.now())
    box.step(-120)
    walk(chain, box, 10)
    now = box.clock.now()
    assert told is not None
    assert box.outbox.cursors("markt-1")[0].end_ms >= told * 1000, "the device goes on by the time it was told before"

    assert now.utc_s is not None
    closed_until = box.sensors.closed_until("markt-1", now)
    assert closed_until is not None
    assert closed_until <= now.utc_s
    assert box.outbox.tally().unnumbered >= 1
    chain.settle()


def test_a_clock_is_set_back_by_more_than_the_record_of_slots(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set back to where no row says any more what was stamped (here an hour, else two days): it is known that it was.

    All the time from there on is a repetition then, which is told when it is over.
    """
    monkeypatch.setattr(outbox, "SLOT_KEPT_S", HOUR)
    box = chain.box(interval_s=60, slot_s=60)
    chain.run(4 * HOUR, step_s=20, each=somebody_passes(box))
    box.step(-3 * HOUR)
    chain.run(HOUR, step_s=20, each=somebody_passes(box))
    assert chain.store().quarantine == {}
    box.step(3 * HOUR)

    found = chain.settle(step_s=20)
    assert span_counts(found) == pytest.approx(HOUR / 20, abs=10)
    assert max(by_minute(found).values()) <= 6


@pytest.mark.parametrize("ahead_s", [3, 300, 2 * HOUR, 3 * DAY])
def test_a_clock_that_was_late_is_set_forward(chain: Chain, ahead_s: int) -> None:
    """The time that is left out is a gap, as if nothing had been measured; nobody is missing.

    truth  12:00 ......... 12:10 ..............
    box    10:00 ......... 10:10 = 12:10 ......
    """
    box = chain.box(started=lambda box: box.step(-ahead_s))
    walk(chain, box, 600)
    box.step(ahead_s)
    walk(chain, box, 600)

    found = chain.settle()
    chain.assert_no_false_rush(found, wrong=[(NOON - ahead_s, NOON + 720)])
    assert max(by_minute(found).values()) <= MOST
    assert sum(found.coverage.values()) == pytest.approx(chain.now_s - NOON, abs=80)


def test_a_jump_into_the_near_future_is_taken_back(chain: Chain) -> None:
    """Slots of five minutes to come are stamped, then the real time arrives there: those become a span.

    truth  12:00 ....... 12:10 ............ 12:15 .................
    box    12:00 ....... 12:10 = 12:15 .... 12:20 = 12:15 .........
    """
    box = chain.box()
    walk(chain, box, 600)
    box.step(300)
    walk(chain, box, 300)
    box.step(-300)
    walk(chain, box, 900)

    found = chain.settle()
    assert span_counts(found) == pytest.approx(300 / 5, abs=30)
    assert max(by_minute(found).values()) <= MOST
    assert sum(by_minute(found).values()) == pytest.approx(1500 / 5, abs=30)


def test_a_jump_by_hand_stamps_nothing_where_the_kernel_is_asked(chain: Chain) -> None:
    """Set two hours ahead by hand, a clock is not synchronised for the kernel: with "ntp" the edge waits.

    The device keeps its intervals, with their right times, until the time service has set the clock right.
    """
    box = chain.box()
    walk(chain, box, 600)
    box.step(2 * HOUR)
    box.synchronised = False
    walk(chain, box, 600)
    assert "waiting for the clock" in box.health()
    box.step(-2 * HOUR)
    box.synchronised = True
    walk(chain, box, 600)

    found = chain.settle()
    chain.assert_no_false_rush(found)
    assert span_counts(found) == 0
    assert {found.coverage["markt-1", NOON + 60 * n] for n in range(1, 29)} == {60}


def test_a_jump_into_the_far_future_is_set_aside(chain: Chain) -> None:
    """With "system" nobody knows better than the wall clock: what is told more than ten minutes ahead is quarantined.

    What was stamped there and not yet told when the clock is set back waits in the outbox until that time has come.
    """
    box = chain.box()
    walk(chain, box, 600)
    box.step(2 * HOUR)
    walk(chain, box, 300)
    box.step(-2 * HOUR)
    walk(chain, box, 300)

    found = chain.settle(aside={"impossible"})
    assert 0 < chain.set_aside().total() <= 300 / 5 + 1
    chain.assert_no_false_rush(found, wrong=[(NOON + 590, NOON + 960), (NOON + 2 * HOUR, NOON + 3 * HOUR)])


@pytest.mark.parametrize(("device_ppm", "box_ppm"), [(200, 0), (-200, 0), (0, 200), (0, -200), (200, -200)])
def test_crystals_that_drift_cost_nothing(chain: Chain, device_ppm: float, box_ppm: float) -> None:
    """200 ppm are 17 s a day. The device is set right every minute within its interval: every second stays measured."""
    box = chain.box(device_ppm=device_ppm, box_ppm=box_ppm)
    chain.ingest.every_s = 300
    walk(chain, box, HOUR)

    found = chain.settle()
    chain.assert_no_false_rush(found)
    assert span_counts(found) <= 2
    assert {found.coverage["markt-1", NOON + 60 * n] for n in range(2, 58)} == {60}


def span_counts(found: Store) -> int:
    """Passages in spans."""
    return sum(found.spans.values())


def by_minute(found: Store) -> Counter[int]:
    """Passages by minute."""
    tally: Counter[int] = Counter()
    for (_, minute, _, _), number in found.counts.items():
        tally[minute] += number
    return tally
