"""The reference counter's state machine: intervals, clocks, memory, sending. Times are simulated; nothing waits."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from footfall_sim.firmware import Design, Firmware
from footfall_sim.memory import RamStore, UnusableMemoryError
from footfall_sim.protocol import Ack, HelloRequest, Interval, Number, Time, encode
from sim.reference_host import parse, unstuff

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z, a multiple of every interval
DEVICE = 99


def device(store: RamStore | None = None, now: float = 0, **design: Any) -> Firmware:
    return Firmware(RamStore() if store is None else store, now, Design(device=DEVICE, **design))


def told(sent: bytes, kind: str | None = None) -> list[dict[str, Any]]:
    """What the device said, as a host reads it; of one type, if asked for."""
    contents = [unstuff(part) for part in sent.split(b"\0") if part]
    messages = [parse(content) for content in contents if content is not None]
    return [message for message in messages if message and kind in (None, message["type"])]


def numbers(sent: bytes) -> list[tuple[int, int]]:
    return [(count["boot"], count["seq"]) for count in told(sent, "COUNT")]


def ack(boot: int, seq: int, device: int = DEVICE) -> bytes:
    return encode(Ack(device, Number(boot, seq)))


def stretches(intervals: Iterable[Interval]) -> list[tuple[int, int]]:
    """UTC begin and length of intervals, in milliseconds after noon."""
    return [(one.utc_start_ms - NOON if one.utc_start_ms else -1, one.length_ms) for one in intervals]


# Boot


def test_a_new_device_says_hello_before_anything_else() -> None:
    """At boot: HELLO with the number that comes first as oldest, HEALTH."""
    sent = device().tick(0)

    assert [message["type"] for message in told(sent)] == ["HELLO", "HEALTH"]
    hello = told(sent, "HELLO")[0]
    assert (hello["device"], hello["boot"], hello["oldest_boot"], hello["oldest_seq"]) == (DEVICE, 1, 1, 0)
    assert hello["interval_ms"] == 10_000


def test_the_boot_number_is_saved_before_hello() -> None:
    """Power that fails right after HELLO still leads to a higher boot number."""
    store = RamStore()

    boots = [told(device(store).tick(0), "HELLO")[0]["boot"] for _ in range(3)]

    assert boots == [1, 2, 3]


def test_hello_on_request_once_for_many_requests() -> None:
    """HELLO-REQUEST is answered with the uptime of now and the oldest waiting number."""
    firmware = device()
    firmware.tick(0)
    firmware.tick(10_500)
    firmware.feed(encode(HelloRequest()) * 3, 12_345)

    hellos = told(firmware.tick(12_345), "HELLO")

    assert [(hello["uptime_ms"], hello["oldest_boot"], hello["oldest_seq"]) for hello in hellos] == [(12_345, 1, 0)]


def test_health_once_a_minute_with_what_is_known() -> None:
    """HEALTH tells ring, flags and conditions; the flag of the clock goes with the first TIME."""
    firmware = device(ring=100)
    firmware.tick(0)
    firmware.temperature, firmware.supply_mv, firmware.lens_suspected = -35, 4987, True

    first = told(firmware.tick(60_001), "HEALTH")
    firmware.feed(encode(Time(NOON)), 60_002)
    firmware.lens_suspected = False
    second = told(firmware.tick(119_000), "HEALTH") + told(firmware.tick(120_002), "HEALTH")

    assert [(one["temperature"], one["supply_mv"], one["flags"], one["ring_size"]) for one in first] == [
        (-35, 4987, 0b11, 100)
    ]
    assert first[0]["ring_used"] == 6
    assert [one["flags"] for one in second] == [0]


def test_a_memory_of_another_device_is_refused() -> None:
    """A memory is not silently taken over under another number; without a configured number it keeps its own."""
    store = RamStore()
    device(store)

    assert Firmware(store, 0, Design()).device == DEVICE
    with pytest.raises(UnusableMemoryError, match="belongs to device 99"):
        Firmware(store, 0, Design(device=5))


def test_a_new_memory_draws_a_number() -> None:
    """Two new devices without configured numbers are two devices."""
    assert Firmware(RamStore(), 0, Design()).device != Firmware(RamStore(), 0, Design()).device


def test_a_damaged_memory_is_not_believed() -> None:
    """A turned bit or a missing tail of the memory is found before anything is counted on it."""
    store = RamStore()
    device(store)
    assert store.image is not None
    for image in (store.image[:-1], bytes([store.image[0] ^ 1]) + store.image[1:], b""):
        store.image = image
        with pytest.raises(UnusableMemoryError):
            device(store)


def test_a_delimiter_ends_the_noise_of_a_silent_line() -> None:
    """Whatever the device says after a silence begins with 0x00; frames that follow directly do not."""
    firmware = device()
    first = firmware.tick(0)
    second = firmware.tick(10_000)
    firmware.feed(encode(HelloRequest()), 10_001)
    third = firmware.tick(10_001)

    assert first[0] == second[0] == 0
    assert first.count(0) == 3
    assert third[0] != 0


# Intervals and clocks
#
#   uptime    0         10 s       20 s
#   UTC   12:00:03.2   13.2  | TIME at 16.0 | 20.0      30.0
#             |---------|------------------|----------|


def test_without_time_intervals_are_cut_on_the_uptime_clock() -> None:
    """Each interval has the nominal length, UTC 0, and the counts of its own time; empty ones are sent too."""
    firmware = device()
    firmware.passage(0, 0, 9_999)
    firmware.passage(1, 2, 10_000)
    firmware.tick(30_000)

    closed = firmware.take_closed()

    assert [(one.uptime_start_ms, one.length_ms, one.utc_start_ms) for one in closed] == [
        (0, 10_000, 0),
        (10_000, 10_000, 0),
        (20_000, 10_000, 0),
    ]
    assert [one.counts for one in closed] == [((0, 0, 1),), ((1, 2, 1),), ()]
    assert closed[2].totals == ((0, 0, 1), (1, 2, 1))


def test_first_time_stamps_the_open_interval_and_cuts_at_the_next_slot() -> None:
    """TIME inside the slot in which the interval began: one shorter interval, then whole slots."""
    firmware = device()
    firmware.feed(encode(Time(NOON + 3_200)), 1_200)
    firmware.tick(20_000)

    assert stretches(firmware.take_closed()) == [(2_000, 8_000), (10_000, 10_000)]


def test_first_time_in_a_later_slot_closes_the_open_interval_at_once() -> None:
    """An interval that reaches back over a slot's edge ends with TIME: no interval after it crosses an edge."""
    firmware = device()
    firmware.feed(encode(Time(NOON + 11_000)), 4_000)
    firmware.tick(20_000)

    assert stretches(firmware.take_closed()) == [(7_000, 4_000), (11_000, 9_000)]


@pytest.mark.parametrize("step_ms", [-999, -40, 40, 999])
def test_a_small_correction_never_makes_an_interval_cross_a_slot(step_ms: int) -> None:
    """TIME that differs by less than a second moves the cut, and the stamps stay whole slots without gap or overlap."""
    firmware = device()
    firmware.feed(encode(Time(NOON)), 0)
    firmware.passage(0, 0, 4_000)
    firmware.feed(encode(Time(NOON + 5_000 + step_ms)), 5_000)
    firmware.tick(9_999 - step_ms)
    before = firmware.take_closed()
    firmware.tick(10_000 - step_ms)
    firmware.tick(20_000 - step_ms)

    assert before == []
    assert stretches(firmware.take_closed()) == [(0, 10_000), (10_000, 10_000)]


def test_a_correction_back_over_a_cut_does_not_repeat_the_slot() -> None:
    """The clock goes back 0.5 s just after a cut: the next interval is still the next slot, just longer."""
    firmware = device()
    firmware.feed(encode(Time(NOON)), 0)
    firmware.feed(encode(Time(NOON + 9_600)), 10_100)
    firmware.tick(20_499)
    assert stretches(firmware.take_closed()) == [(0, 10_000)]
    firmware.tick(20_500)

    assert stretches(firmware.take_closed()) == [(10_000, 10_000)]


def test_a_correction_forward_over_a_cut_closes_the_slot() -> None:
    """The clock goes forward 0.5 s over a cut: the slot ends whole and the next begins at its edge."""
    firmware = device()
    firmware.feed(encode(Time(NOON)), 0)
    firmware.feed(encode(Time(NOON + 10_300)), 9_800)
    firmware.tick(19_500)

    assert stretches(firmware.take_closed()) == [(0, 10_000), (10_000, 10_000)]


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, 1_000])
def test_a_large_step_cuts_the_interval_before_it(jump_ms: int) -> None:
    """What was counted before a clock jump keeps the old stamps, what comes after gets the new ones."""
    firmware = device()
    firmware.feed(encode(Time(NOON)), 0)
    firmware.passage(0, 0, 2_000)
    firmware.feed(encode(Time(NOON + 4_000 + jump_ms)), 4_000)
    firmware.passage(1, 0, 5_000)
    firmware.tick(10_000)

    closed = firmware.take_closed()

    assert stretches(closed) == [(0, 4_000), (4_000 + jump_ms, 6_000 - jump_ms % 10_000)]
    assert [one.counts for one in closed] == [((0, 0, 1),), ((1, 0, 1),)]


def test_a_host_whose_clock_was_never_set_is_not_believed() -> None:
    """TIME before the year 2000 changes nothing."""
    firmware = device()
    firmware.feed(encode(Time(86_400_000)), 0)
    firmware.tick(10_000)

    assert stretches(firmware.take_closed()) == [(-1, 10_000)]


def test_the_uptime_clock_drifts_and_time_brings_it_back() -> None:
    """A clock 1000 ppm fast is 10 ms ahead after 10 s; slots are cut by it, and TIME corrects it."""
    firmware = device(drift_ppm=1000)
    firmware.feed(encode(Time(NOON)), 0)
    assert told(firmware.tick(9_989), "COUNT") == []
    firmware.tick(9_991)
    assert stretches(firmware.take_closed()) == [(0, 10_000)]
    firmware.feed(encode(Time(NOON + 15_000)), 15_000)
    firmware.tick(19_989)
    assert firmware.take_closed() == []
    firmware.tick(19_996)

    assert stretches(firmware.take_closed()) == [(10_000, 10_000)]


def test_a_late_program_closes_every_missed_interval() -> None:
    """After an hour without a tick there are 360 frames, not one long one."""
    firmware = device()
    firmware.feed(encode(Time(NOON)), 0)
    firmware.tick(3_600_000)

    assert stretches(firmware.take_closed()) == [(10_000 * slot, 10_000) for slot in range(360)]


def test_due_is_when_the_next_interval_ends() -> None:
    """A program that sleeps until `due_ms` finds the interval closed then, also with a clock that runs wrong."""
    for ppm in (-5_000, 0, 5_000):
        firmware = device(drift_ppm=ppm)
        firmware.tick(0)
        due = firmware.due_ms()

        assert abs(due - 10_000 / (1 + ppm / 1e6)) <= 2
        assert numbers(firmware.tick(due)) == [(1, 0)]


# Counting


def test_a_count_that_would_overflow_closes_the_interval() -> None:
    """The 65536th passage of a pair in an interval opens the next one; nobody is lost."""
    firmware = device()
    for _ in range(65_537):
        firmware.passage(0, 0, 5_000)
    firmware.tick(15_000)

    closed = firmware.take_closed()

    assert [one.counts for one in closed] == [((0, 0, 65_535),), ((0, 0, 2),)]
    assert [one.length_ms for one in closed] == [5_000, 10_000]


def test_more_pairs_than_a_frame_holds_are_counted_as_unknown() -> None:
    """Whatever directions and classes come in whatever order, every passage is in a total of its direction."""
    firmware = device()
    pairs = [(direction, class_) for class_ in (*range(9), 255) for direction in (0, 1, 2)]
    for now, (direction, class_) in enumerate(pairs):
        firmware.passage(direction, class_, now)
    firmware.tick(10_000)

    by_direction: Counter[int] = Counter()
    for (direction, _), total in firmware.totals.items():
        by_direction[direction] += total

    assert len(firmware.totals) == 14
    assert by_direction == {0: 10, 1: 10, 2: 10}
    assert {(0, 255), (1, 255), (2, 255)} <= firmware.totals.keys()


def test_totals_wrap_at_2_to_the_32() -> None:
    """A total goes from 4294967295 to 0 and stays listed."""
    store = RamStore()
    firmware = device(store)
    firmware._memory.totals[0, 0] = 2**32 - 1
    firmware.passage(0, 0, 1)
    firmware.tick(10_000)

    assert firmware.take_closed()[0].totals == ((0, 0, 0),)


def test_flush_and_shutdown_report_at_once() -> None:
    """A flush is a short interval inside its slot; after a shutdown nothing is counted, but acknowledgements count."""
    firmware = device()
    firmware.feed(encode(Time(NOON)), 0)
    firmware.passage(0, 0, 1_000)
    firmware.flush(3_000)
    firmware.flush(3_000)
    firmware.passage(0, 0, 3_000)
    firmware.flush(3_000)
    firmware.passage(0, 0, 5_000)
    firmware.shutdown(6_000)
    firmware.passage(0, 0, 7_000)
    sent = firmware.tick(60_000)
    firmware.feed(ack(1, 2), 60_001)

    closed = firmware.take_closed()

    # Somebody passed in the very millisecond of the flush: that interval is one millisecond long.
    assert stretches(closed) == [(0, 3_000), (3_000, 1), (3_001, 2_999)]
    assert [one.counts for one in closed] == [((0, 0, 1),)] * 3
    assert numbers(sent) == [(1, 0), (1, 1), (1, 2)]
    assert told(sent, "HEALTH") == told(sent, "HEALTH")[:1]
    assert firmware.waiting == 0


# Memory


def test_an_interval_is_in_the_memory_before_it_is_sent() -> None:
    """At every moment at which bytes leave the device, a reboot would still know what they say."""
    store = RamStore()
    firmware = device(store)
    for now in range(0, 40_000, 700):
        firmware.passage(0, 0, now)
        sent = numbers(firmware.tick(now))
        survivor = device(copy_of(store))
        remembered = set(numbers(survivor.tick(0)))
        assert set(sent) <= remembered
    assert sent == [] or remembered


def copy_of(store: RamStore) -> RamStore:
    copy = RamStore()
    copy.image = store.image
    return copy


def test_a_reboot_loses_the_open_interval_and_nothing_else() -> None:
    """Ring and totals come back, seq begins at 0, the open interval's passages are nowhere."""
    store = RamStore()
    firmware = device(store)
    firmware.passage(0, 0, 1_000)
    firmware.tick(10_000)
    firmware.passage(0, 0, 11_000)
    firmware.tick(11_000)

    again = device(store, now=12_000)
    sent = again.tick(12_000)
    again.passage(1, 0, 13_000)
    again.tick(22_000)

    assert numbers(sent) == [(1, 0)]
    assert told(sent, "HELLO")[0]["oldest_boot"] == 1
    closed = again.take_closed()
    assert [(one.number, one.uptime_start_ms, one.totals) for one in closed] == [
        (Number(2, 0), 0, ((0, 0, 1), (1, 0, 1)))
    ]


def test_acknowledged_intervals_leave_the_memory_in_batches() -> None:
    """Acknowledgements are saved at most a second later, not each by itself."""
    store = RamStore()
    firmware = device(store)
    firmware.tick(0)
    firmware.tick(100_000)
    saves = store.saves
    for seq in range(10):
        firmware.feed(ack(1, seq), 100_100 + seq)
        firmware.tick(100_100 + seq)
    assert store.saves == saves
    firmware.tick(firmware.due_ms())
    firmware.tick(101_100)

    assert store.saves == saves + 1
    assert device(store).waiting == 0


def test_a_full_ring_drops_its_oldest_and_keeps_the_totals() -> None:
    """With room for three intervals the last three are there; their totals know of all passages."""
    firmware = device(ring=3)
    for slot in range(5):
        firmware.passage(0, 0, slot * 10_000)

    sent = told(firmware.tick(50_000), "COUNT")

    assert [(count["seq"], count["oldest_seq"]) for count in sent] == [(2, 2), (3, 2), (4, 2)]
    assert sent[0]["totals"] == [[0, 0, 3]]


# Sending


def test_a_new_interval_is_sent_at_once_and_again_after_two_seconds_of_silence() -> None:
    """One copy when it is closed, another 2 s after its last byte left, and so on until the acknowledgement."""
    firmware = device()
    firmware.tick(0)
    times = []
    for now in range(10_000, 17_000, 10):
        times += [now for _ in numbers(firmware.tick(now))]
        if now == 15_500:
            firmware.feed(ack(1, 0), now)

    gaps = [late - early for early, late in pairwise(times)]
    assert times[0] == 10_000
    assert len(times) == 3
    assert all(2_000 <= gap <= 2_050 for gap in gaps)


def test_at_most_sixteen_are_under_way() -> None:
    """A long queue goes out by windows; each acknowledgement lets as many follow as it took away."""
    firmware = device()
    firmware.tick(0)
    first = numbers(firmware.tick(400_000))
    firmware.feed(ack(1, 4), 400_100)
    then = numbers(firmware.tick(400_100))

    assert first == [(1, seq) for seq in range(16)]
    assert then == [(1, seq) for seq in range(16, 21)]


def test_without_progress_all_of_the_window_is_sent_again_from_the_oldest() -> None:
    """Go-back-N: duplicates of an old acknowledgement are no progress; each copy names the oldest of now."""
    firmware = device()
    firmware.tick(0)
    firmware.tick(30_000)
    firmware.feed(ack(1, 0), 30_100)
    firmware.tick(30_100)
    for now in range(30_200, 32_100, 100):
        firmware.feed(ack(1, 0), now)
        assert numbers(firmware.tick(now)) == []
    again = told(firmware.tick(32_200), "COUNT")

    assert [(count["seq"], count["oldest_seq"]) for count in again] == [(1, 1), (2, 1)]


def test_a_slow_line_is_given_time_before_anything_is_sent_again() -> None:
    """At 1200 baud sixteen frames take 6 s: nothing is sent twice before the last byte of the first time has left."""
    firmware = device(baud=1200)
    firmware.tick(0)
    sent = firmware.tick(160_000)
    takes = len(sent) * 10 / 1200 * 1000

    assert takes > 6_000
    assert numbers(firmware.tick(160_000 + takes - 100)) == []
    assert len(numbers(firmware.tick(160_000 + takes + 100))) == 16


def test_new_intervals_do_not_put_off_sending_again() -> None:
    """With an interval every second the oldest is still sent again two seconds after it was sent first."""
    firmware = device(interval_ms=1_000)
    times = []
    for now in range(0, 9_000, 10):
        times += [now for number in numbers(firmware.tick(now)) if number == (1, 0)]

    assert times[0] == 1_000
    assert all(2_000 <= late - early <= 2_050 for early, late in pairwise(times))
    assert len(times) == 4


def test_the_window_ends_where_a_boot_ends() -> None:
    """Intervals of a new boot wait until those of the old one are acknowledged: only then are they their own oldest."""
    store = RamStore()
    device(store).tick(20_000)
    firmware = device(store, now=20_000)
    first = numbers(firmware.tick(40_000))
    firmware.feed(ack(1, 1), 40_010)
    then = told(firmware.tick(40_010), "COUNT")

    assert first == [(1, 0), (1, 1)]
    assert [(one["boot"], one["seq"], one["oldest_boot"], one["oldest_seq"]) for one in then] == [
        (2, 0, 2, 0),
        (2, 1, 2, 0),
    ]


@pytest.mark.parametrize(
    "stranger", [ack(1, 1, device=DEVICE + 1), ack(1, 2), ack(9, 0), encode(Time(NOON))[:-3] + b"\0", b"\x05\x05\0"]
)
def test_acknowledgements_of_others_or_of_what_never_was_are_ignored(stranger: bytes) -> None:
    """Another device's number, a number not yet used, a later boot, and rubbish take nothing out of the ring."""
    firmware = device()
    firmware.tick(20_000)
    firmware.feed(stranger, 20_001)

    assert firmware.waiting == 2


def test_the_device_ignores_its_own_messages() -> None:
    """On a line that echoes, the device's own COUNT, HELLO and HEALTH change nothing."""
    firmware = device()
    sent = firmware.tick(20_000)
    firmware.feed(sent, 20_001)

    assert firmware.waiting == 2
    assert firmware.bad_frames == 0
    assert told(firmware.tick(20_002)) == []
