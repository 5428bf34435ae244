"""From uplinks to counts: one span from uplink to uplink, whatever the air, the broker and the device do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.lorawan.counters import EUI, NOON_MS, elsys, pcr2, vs133
from footfall_contract.words import MAX_SPAN_S
from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor, Passages
from footfall_edge.drivers import Outcome, Step
from footfall_edge.lorawan.payloads import Make
from footfall_edge.lorawan.session import LorawanDevice, UplinkFrame, UplinkSession, device_number, receipt
from footfall_edge.lorawan.uplink import Uplink
from footfall_edge.slots import place

PCR2 = LorawanDevice(EUI, Make.PCR2)
VS132 = LorawanDevice(EUI, Make.VS132)
TEN_MINUTES_MS = 600_000


@dataclass
class Books:
    """A sensor's session, and an outbox of the simplest kind."""

    device: LorawanDevice = PCR2
    now_ms: int = NOON_MS
    booked: list[Count] = field(default_factory=list)
    cursors: dict[int, Cursor] = field(default_factory=dict)
    session: UplinkSession = field(init=False)
    steps: list["Step[UplinkSession]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The process ends and another begins."""
        session = self.device.session(self.cursors.values())
        assert isinstance(session, UplinkSession)
        self.session = session

    def hear(self, uplink: Uplink, number: int | None = None) -> "Step[UplinkSession]":
        """The session hears an uplink, and what it comes to is stored."""
        at = Moment(max(self.now_ms, uplink.received_ms), 0.0)
        step = self.session.heard(UplinkFrame.of(uplink, number or self.session.taken + 1), at)
        self.session = step.session
        self.steps.append(step)
        if step.booking is not None:
            self.booked += step.booking.counts
            assert step.booking.cursor is not None
            self.cursors[step.booking.cursor.device] = step.booking.cursor
        return step

    def said(self, payload: bytes, f_cnt: int, at_ms: int, f_port: int = 14) -> "Step[UplinkSession]":
        """`hear` an uplink that was received at `at_ms` after noon."""
        return self.hear(Uplink(EUI, NOON_MS + at_ms, f_port, f_cnt, payload, "chirpstack"))

    @property
    def passages(self) -> tuple[int, int]:
        """In and out."""
        found = total(self.booked)
        return found[0], found[1]

    @property
    def spans(self) -> list[tuple[int, int, int]]:
        """(start, length, measured) of each count, in seconds after noon."""
        return [
            ((count.start_ms - NOON_MS) // 1000, (count.end_ms - count.start_ms) // 1000, count.measured_ms // 1000)
            for count in self.booked
        ]


def total(counts: Iterable[Count]) -> Counter[int]:
    """Passages by direction."""
    found: Counter[int] = Counter()
    for count in counts:
        for direction, _, number in count.passages:
            found[direction] += number
    return found


def test_the_first_uplink_is_where_counting_begins() -> None:
    """What a device counted before it was known is not counted; the totals are kept."""
    books = Books()
    step = books.said(pcr2((4000, 5000), (3, 4)), 17, 0)

    assert books.booked == []
    assert step.outcome is Outcome.BOOKED
    assert books.cursors[device_number(EUI)].totals == {(0, 0): 4000, (1, 0): 5000}


def test_an_uplink_is_one_measured_span_from_the_one_before() -> None:
    """What the totals rose by, over the time since, all of it measured; whole seconds at both ends."""
    books = Books()
    books.said(pcr2((10, 20), (1, 1)), 1, 900)
    books.said(pcr2((13, 24), (3, 4)), 2, TEN_MINUTES_MS + 1_700)

    (count,) = books.booked
    assert (count.start_ms, count.end_ms) == (NOON_MS, NOON_MS + 601_000)
    assert count.measured_ms == 601_000
    assert count.passages == ((0, 0, 3), (1, 0, 4))


def test_nobody_passing_is_measured_too() -> None:
    """Totals that stay are a span with 0 passages: the device was there, and nobody came."""
    books = Books()
    books.said(pcr2((10, 20)), 1, 0)
    books.said(pcr2((10, 20)), 2, TEN_MINUTES_MS)

    assert books.spans == [(0, 600, 600)]
    assert books.passages == (0, 0)


def test_lost_uplinks_lose_nothing() -> None:
    """Three are missing: the next totals have their passages, and the device counted all the time."""
    books = Books()
    books.said(pcr2((10, 20)), 1, 0)
    books.said(pcr2((50, 70), (9, 9)), 5, 4 * TEN_MINUTES_MS)

    assert books.spans == [(0, 2400, 2400)]
    assert books.passages == (40, 50)


@pytest.mark.parametrize("at_ms", [TEN_MINUTES_MS, TEN_MINUTES_MS - 1, 0])
def test_what_comes_twice_or_late_counts_once(at_ms: int) -> None:
    """An uplink not later than the last one booked is acknowledged and not counted, in this process and the next."""
    books = Books()
    books.said(pcr2((10, 20)), 1, 0)
    books.said(pcr2((13, 24), (3, 4)), 2, TEN_MINUTES_MS)
    for f_cnt in (2, 1):
        step = books.said(pcr2((12, 22), (2, 2)), f_cnt, at_ms)
        assert step.outcome is Outcome.DUPLICATE
        assert step.acknowledge == receipt(books.session.taken)
        books.restart()

    assert books.passages == (3, 4)


def test_the_same_frame_counter_soon_after_is_the_same_uplink() -> None:
    """Another gateway handed it on late, and the network server took it for a new one: increments count once."""
    books = Books()
    books.said(elsys((1, 1)), 1, 0)
    books.said(elsys((3, 4)), 2, TEN_MINUTES_MS)
    step = books.said(elsys((3, 4)), 2, TEN_MINUTES_MS + 5_000)

    assert step.outcome is Outcome.DUPLICATE
    assert books.passages == (3, 4)


def test_a_total_of_16_bits_wraps() -> None:
    """From 65530 to 4 are 10, at the next uplink and over lost ones."""
    books = Books()
    books.said(pcr2((65530, 65530)), 1, 0)
    books.said(pcr2((4, 65535), (10, 5)), 2, TEN_MINUTES_MS)
    books.said(pcr2((5, 1), (0, 1)), 4, 3 * TEN_MINUTES_MS)

    assert books.passages == (11, 7)
    assert [measured for _, _, measured in books.spans] == [600, 1200]


def test_the_counts_since_the_last_uplink_tell_a_wrap_from_a_new_start_after_hours() -> None:
    """So long after the last uplink a lower total could be either. The device says which it was."""
    wrapped, anew = Books(), Books()
    for books in (wrapped, anew):
        books.said(pcr2((60_000, 100)), 1, 0)
    wrapped.said(pcr2((200, 100), (5736, 0)), 2, 6 * TEN_MINUTES_MS)
    anew.said(pcr2((200, 30), (200, 30)), 2, 6 * TEN_MINUTES_MS)

    assert wrapped.passages == (5736, 0)
    assert wrapped.spans == [(0, 3600, 3600)]
    assert anew.passages == (200, 30)
    assert anew.spans == [(0, 3600, 0)]


def test_the_counts_since_the_last_uplink_tell_that_totals_began_at_0() -> None:
    """Where the totals alone would say a wrap, or that it went on: one was set to 0, one was started anew."""
    like_a_wrap, overtaken = Books(), Books()
    like_a_wrap.said(pcr2((65_000, 0)), 1, 0)
    like_a_wrap.said(pcr2((20, 3), (20, 3)), 2, TEN_MINUTES_MS)
    overtaken.said(pcr2((3, 0)), 900, 0)
    overtaken.said(pcr2((5, 1), (5, 1)), 0, TEN_MINUTES_MS)

    assert like_a_wrap.passages == (20, 3)
    assert overtaken.passages == (5, 1)
    assert like_a_wrap.spans == overtaken.spans == [(0, 600, 0)]


def test_after_a_new_start_the_new_totals_are_a_sum() -> None:
    """The frame counter fell and the totals are lower: what they are now passed since, with nothing measured."""
    books = Books()
    books.said(pcr2((4000, 5000)), 900, 0)
    step = books.said(pcr2((6, 7), (2, 2)), 3, TEN_MINUTES_MS)
    books.said(pcr2((8, 8), (2, 1)), 4, 2 * TEN_MINUTES_MS)

    assert books.passages == (8, 8)
    assert books.spans == [(0, 600, 0), (600, 600, 600)]
    assert "started anew" in step.remark
    assert books.session.device.restarts == 1


def test_a_new_start_near_the_wrap_is_no_wrap() -> None:
    """A frame counter that fell says that lower totals began at 0, also where a wrap would be the smaller step."""
    books = Books(VS132)
    books.said(vs133((2**32 - 3, 9)), 900, 0, 85)
    books.said(vs133((5, 0)), 3, TEN_MINUTES_MS, 85)

    assert books.passages == (5, 0)


def test_a_new_join_with_totals_that_went_on_is_not_measured() -> None:
    """Whether the device was off for a while nobody knows; its totals still say what passed."""
    books = Books(VS132)
    books.said(vs133((4000, 5000)), 900, 0, 85)
    books.said(vs133((4003, 5001)), 0, TEN_MINUTES_MS, 85)

    assert books.passages == (3, 1)
    assert books.spans == [(0, 600, 0)]


def test_the_sign_of_a_new_start_is_remembered_until_totals_come() -> None:
    """After its join a PCR2 first tells its settings: the frame counter fell before the counts came."""
    books = Books()
    books.said(pcr2((65_500, 9)), 900, 0)
    settings = books.said(bytes(34), 0, TEN_MINUTES_MS, 190)
    books.said(pcr2((30, 9), (5, 0)), 901, 2 * TEN_MINUTES_MS)

    assert settings.outcome is Outcome.TOLD
    assert books.passages == (30, 9), "a wrap would be 66"
    assert books.spans == [(0, 1200, 0)]


def test_a_device_that_says_that_it_was_started() -> None:
    """It was switched on (ff 0b): the totals went on, but the time is not measured."""
    books = Books(VS132)
    books.said(vs133((40, 50)), 1, 0, 85)
    books.said(b"\xff\x0b\xff" + vs133((43, 51)), 2, TEN_MINUTES_MS, 85)

    assert books.passages == (3, 1)
    assert books.spans == [(0, 600, 0)]


@pytest.mark.parametrize("together", [True, False])
def test_totals_set_to_0_by_order_begin_there(together: bool) -> None:
    """The device confirms it, with the totals since or before them: what they are then passed since."""
    books = Books(VS132)
    confirmed = b"\xfe\x51\x01"
    books.said(vs133((4, 5)), 1, 0, 85)
    if together:
        books.said(confirmed + vs133((6, 7)), 2, TEN_MINUTES_MS, 85)
        assert books.spans == [(0, 600, 0)]
    else:
        books.said(confirmed, 2, TEN_MINUTES_MS, 85)
        books.said(vs133((6, 7)), 3, 2 * TEN_MINUTES_MS, 85)
        assert books.spans == [(600, 600, 600)]

    assert books.passages == (6, 7)


def test_totals_that_cannot_be_begin_anew() -> None:
    """Somebody set them, or it is another device: nothing is invented, it is said, and counting goes on from there."""
    books = Books(VS132)
    books.said(vs133((4, 5)), 1, 0, 85)
    step = books.said(vs133((900_000, 5)), 2, TEN_MINUTES_MS, 85)
    assert step.outcome is Outcome.IMPLAUSIBLE
    assert "cannot have become: in 4, out 5, then in 900000, out 5" in books.session.device.trouble
    books.said(vs133((900_002, 5)), 3, 2 * TEN_MINUTES_MS, 85)

    assert books.passages == (2, 0)
    assert books.session.device.trouble == ""


def test_totals_that_somebody_set_do_not_hide_what_passed() -> None:
    """The frame counter follows, so the counts since the last uplink are all that passed: up or down it was set."""
    for set_to in (50_000, 100):
        books = Books()
        books.said(pcr2((4000, 4000)), 1, 0)
        books.said(pcr2((set_to, 4002), (3, 2)), 2, TEN_MINUTES_MS)
        assert books.passages[0] == 3
        books.said(pcr2((set_to + 1, 4002), (1, 0)), 3, 2 * TEN_MINUTES_MS)
        assert books.passages[0] == 4


def test_a_rise_faster_than_people_walk_is_not_believed() -> None:
    """`most_per_s` draws the line: 6020 in ten minutes by default."""
    slow = replace(VS132, most_per_s=0.5)
    for device, rise, believed in ((VS132, 6020, 6020), (VS132, 6021, 0), (slow, 301, 301), (slow, 302, 0)):
        books = Books(device)
        books.said(vs133((0, 0)), 1, 0, 85)
        books.said(vs133((rise, 0)), 2, TEN_MINUTES_MS, 85)
        assert books.passages == (believed, 0)


def test_totals_that_an_uplink_leaves_out_are_carried_forward() -> None:
    """A heartbeat has none, and one total may come alone: the next ones are compared with the last of their kind."""
    books = Books(VS132)
    books.said(vs133((4, 5)), 1, 0, 85)
    assert books.said(b"\xff\x0a\x01\x02", 2, TEN_MINUTES_MS, 85).outcome is Outcome.TOLD
    books.said(vs133((6, 5))[:6], 3, 2 * TEN_MINUTES_MS, 85)
    books.said(vs133((6, 9)), 4, 3 * TEN_MINUTES_MS, 85)

    assert books.passages == (2, 4)
    assert books.spans == [(0, 1200, 1200), (1200, 600, 600)]


def test_increments_count_for_a_device_without_totals() -> None:
    """From uplink to uplink; where one is missing its passages are, and the time is not called measured."""
    books = Books()
    books.said(elsys((9, 9)), 1, 0)
    books.said(elsys((3, 4)), 2, TEN_MINUTES_MS)
    books.said(elsys((1, 0)), 4, 3 * TEN_MINUTES_MS)

    assert books.passages == (4, 4)
    assert books.spans == [(0, 600, 600), (600, 1200, 0)]


def test_increments_after_a_new_join_are_not_measured() -> None:
    """The frame counter fell: what it counted since its last uplink is counted, the time is not known."""
    at_once, settings_first = Books(), Books()
    for books in (at_once, settings_first):
        books.said(elsys((9, 9)), 7, 0)
    at_once.said(elsys((3, 4)), 0, TEN_MINUTES_MS)
    settings_first.said(bytes(34), 0, 1_000, 190)
    settings_first.said(elsys((3, 4)), 1, TEN_MINUTES_MS)

    for books in (at_once, settings_first):
        assert books.passages == (3, 4)
        assert books.spans == [(0, 600, 0)]


def test_increments_beyond_belief_are_left_out() -> None:
    """More than can have passed is not counted, and said."""
    books = Books()
    books.said(elsys((9, 9)), 1, 0)
    step = books.said(elsys((60_000, 4)), 2, TEN_MINUTES_MS)

    assert step.outcome is Outcome.IMPLAUSIBLE
    assert "more passages than 600 s can have" in step.remark
    assert books.passages == (0, 0)


def test_increments_beside_totals_are_not_counted_again() -> None:
    """Once a device has sent totals these alone count; when it stops sending them that is said at the third time."""
    books = Books()
    books.said(elsys((9, 9)), 1, 0)
    books.said(pcr2((100, 100), (3, 4)), 2, TEN_MINUTES_MS)
    assert books.passages == (3, 4), "the first totals cannot be compared; since the uplink before passed so many"
    for n in range(3):
        books.said(elsys((1, 1)), 3 + n, (2 + n) * TEN_MINUTES_MS)
        assert ("no totals any more" in books.session.device.trouble) == (n == 2)
    books.said(pcr2((103, 103)), 6, 5 * TEN_MINUTES_MS)

    assert books.passages == (6, 7)
    assert books.session.device.trouble == ""


def test_counts_since_an_uplink_without_totals_are_not_all() -> None:
    """After a new start the totals say what passed, also before that uplink; else not all the time is measured."""
    started, lifted = Books(), Books()
    for books in (started, lifted):
        books.said(pcr2((100, 100), (1, 1)), 1, 0)
        books.said(elsys((4, 4)), 2, TEN_MINUTES_MS)
    started.said(pcr2((6, 6), (2, 2)), 3, 2 * TEN_MINUTES_MS)
    lifted.said(pcr2((40_000, 40_000), (2, 2)), 3, 2 * TEN_MINUTES_MS)

    assert started.passages == (6, 6)
    assert lifted.passages == (2, 2)
    assert started.spans == lifted.spans == [(0, 1200, 0)]


def test_an_uplink_from_the_future_is_refused() -> None:
    """Five minutes are forgiven. One from farther would make all that come until then look late."""
    books = Books()
    books.said(pcr2((1, 1)), 1, 0)
    far = Uplink(EUI, NOON_MS + 301_000, 14, 2, pcr2((2, 2), (1, 1)), "chirpstack")
    step = books.session.heard(UplinkFrame.of(far, 2), Moment(NOON_MS, 0.0))
    near = books.session.heard(UplinkFrame.of(replace(far, received_ms=NOON_MS + 300_000), 2), Moment(NOON_MS, 0.0))

    assert step.outcome is Outcome.IMPLAUSIBLE
    assert step.booking is None
    assert step.acknowledge == receipt(2)
    assert "from the future" in step.remark
    assert near.outcome is Outcome.BOOKED


def test_a_clock_that_is_behind_is_noticed() -> None:
    """An uplink with a higher frame counter and an earlier time came neither twice nor late: it shows."""
    books = Books()
    books.said(pcr2((1, 1)), 1, TEN_MINUTES_MS)
    steps = [books.said(pcr2((2, 2), (1, 1)), n, -86_400_000 * n) for n in (2, 3)]
    assert [step.outcome for step in steps] == [Outcome.IMPLAUSIBLE] * 2
    assert [bool(step.remark) for step in steps] == [True, False]
    assert "clocks" in books.session.device.trouble
    books.said(pcr2((5, 5), (1, 1)), 4, 2 * TEN_MINUTES_MS)

    assert books.passages == (4, 4)
    assert books.session.device.trouble == ""


def test_an_old_uplink_is_fine() -> None:
    """The bridge was away for a month: what the broker kept is counted where it belongs."""
    books = Books(now_ms=NOON_MS + 30 * 86_400_000)
    books.said(pcr2((1, 1)), 1, 0)
    books.said(pcr2((2, 2), (1, 1)), 2, TEN_MINUTES_MS)

    assert books.spans == [(0, 600, 600)]


def test_a_span_is_measured_up_to_31_days() -> None:
    """No report can say more; of a longer time only the sum is told."""
    at_most, longer = Books(VS132), Books(VS132)
    for books, length_s in ((at_most, MAX_SPAN_S), (longer, MAX_SPAN_S + 1)):
        books.said(vs133((0, 0)), 1, 0, 85)
        books.said(vs133((7, 0)), 2, length_s * 1000, 85)

    assert at_most.spans == [(0, MAX_SPAN_S, MAX_SPAN_S)]
    assert longer.spans == [(0, MAX_SPAN_S + 1, 0)]
    assert place(longer.booked[0], 10).length == MAX_SPAN_S


def test_uplinks_wait_for_the_clock_in_their_order() -> None:
    """Without a trusted clock nothing is booked or acknowledged; nor is what comes after one that was not taken."""
    books = Books()
    uplink = Uplink(EUI, NOON_MS, 14, 1, pcr2((1, 1)), "chirpstack")
    untimed = books.session.heard(UplinkFrame.of(uplink, 1), Moment(None, 5.0))
    early = books.session.heard(UplinkFrame.of(uplink, 2), Moment(NOON_MS, 5.0))

    assert (untimed.outcome, untimed.acknowledge, untimed.booking) == (Outcome.UNTIMED, b"", None)
    assert (early.outcome, early.acknowledge, early.booking) == (Outcome.OUT_OF_ORDER, b"", None)
    assert untimed.session == early.session == books.session


def test_what_was_taken_is_acknowledged_again() -> None:
    """The subscriber repeats what it has no receipt for; what is booked already is not booked again."""
    books = Books()
    books.said(elsys((1, 1)), 1, 0)
    books.said(elsys((3, 4)), 2, TEN_MINUTES_MS)
    step = books.hear(Uplink(EUI, NOON_MS + TEN_MINUTES_MS, 14, 2, elsys((3, 4)), "chirpstack"), number=1)

    assert step.outcome is Outcome.DUPLICATE
    assert step.acknowledge == receipt(2)
    assert books.passages == (3, 4)


def test_bytes_of_another_make_are_refused_and_said_once_an_hour() -> None:
    """They are acknowledged, change no counts, and show in the health until one can be read again."""
    books = Books()
    books.said(pcr2((1, 1)), 1, 0)
    remarks = [books.said(vs133((7, 7)), 2 + n, (1 + n) * TEN_MINUTES_MS).remark for n in range(7)]

    assert [bool(remark) for remark in remarks] == [True, *[False] * 5, True]
    assert {step.outcome for step in books.steps[1:]} == {Outcome.UNREADABLE}
    assert all(step.acknowledge for step in books.steps)
    assert "cannot be read" in books.session.device.trouble
    books.said(pcr2((3, 1)), 9, 8 * TEN_MINUTES_MS)
    assert books.session.device.trouble == ""
    assert books.passages == (2, 0)


def test_an_unreadable_uplink_is_a_gap_for_increments() -> None:
    """What it counted is lost with it, so the time up to the next one is not called measured."""
    books = Books()
    books.said(elsys((1, 1)), 1, 0)
    books.said(b"\x99\x99", 2, TEN_MINUTES_MS)
    books.said(elsys((3, 4)), 3, 2 * TEN_MINUTES_MS)

    assert books.spans == [(0, 1200, 0)]


def test_troubles_and_remarks_are_said_when_they_change() -> None:
    """A covered lens is said once and shows in the health until it is free again; a low battery shows too."""
    books = Books(VS132)
    covered, free, odd = b"\x50\xfc\x01\x00\x01", b"\x50\xfc\x01\x00\x00", b"\x77\x77"
    said = [
        books.said(extra + vs133((1, 1)) + more, n, n * TEN_MINUTES_MS, 85).remark
        for n, (extra, more) in enumerate([(covered, b""), (covered, odd), (covered, odd), (free, odd), (free, b"")])
    ]

    assert said[0] == "the lens of the device is covered"
    assert "not decoded" in said[1]
    assert said[2] == ""
    assert said[3] == "no longer: the lens of the device is covered"
    assert said[4] == ""

    beam = Books(LorawanDevice(EUI, Make.VS350))
    beam.said(b"\x01\x75\x09\x04\xcc\x01\x00\x01\x00", 1, 0, 85)
    assert beam.session.device.trouble == "battery at 9 %"
    beam.said(b"\x01\x75\x0b\x04\xcc\x01\x00\x01\x00", 2, TEN_MINUTES_MS, 85)
    assert beam.session.device.trouble == ""


def test_a_device_mounted_the_other_way_round() -> None:
    """`reversed` swaps in and out of what is counted. The totals are kept as the device says them."""
    books = Books()
    books.said(pcr2((10, 20)), 1, 0)
    books.device = replace(PCR2, reversed=True)
    books.restart()
    books.said(pcr2((13, 24), (3, 4)), 2, TEN_MINUTES_MS)

    assert books.passages == (4, 3)


def test_another_line_or_device_begins_anew() -> None:
    """The totals of one tell nothing about the other, also when the first comes back; the time is not stamped twice."""
    lines = Books(LorawanDevice(EUI, Make.VS133, line=1))
    both = vs133((10, 10), 1) + vs133((500, 500), 2)
    lines.said(both, 1, 0, 85)
    lines.device = LorawanDevice(EUI, Make.VS133, line=2)
    lines.restart()
    assert lines.said(both, 1, 0, 85).outcome is Outcome.DUPLICATE
    lines.said(both, 2, TEN_MINUTES_MS, 85)
    assert lines.booked == []

    devices = Books()
    devices.said(pcr2((10, 10)), 1, 0)
    devices.device = LorawanDevice("ff" * 8, Make.PCR2)
    devices.restart()
    devices.said(pcr2((12, 12)), 1, TEN_MINUTES_MS)
    devices.device = PCR2
    devices.restart()
    devices.said(pcr2((15, 15)), 9, 2 * TEN_MINUTES_MS)
    assert devices.booked == []


def test_totals_that_another_box_may_have_booked_tell_nothing() -> None:
    """The outbox was copied: counting begins anew, and not before where it was."""
    books = Books()
    books.said(pcr2((10, 10)), 1, 0)
    books.cursors = {number: replace(cursor, totals=None) for number, cursor in books.cursors.items()}
    books.restart()

    assert books.said(pcr2((10, 10)), 1, 0).outcome is Outcome.DUPLICATE
    books.said(pcr2((99, 99)), 2, TEN_MINUTES_MS)
    assert books.booked == []


@pytest.mark.parametrize("dev_eui", ["0" * 16, "7" + "f" * 15, "8" + "0" * 15, "f" * 16])
def test_every_eui_fits_into_the_outbox(dev_eui: str) -> None:
    """SQLite's numbers have 64 bits with a sign; different devices stay different."""
    assert -(2**63) <= device_number(dev_eui) < 2**63
    assert device_number(dev_eui) % 2**64 == int(dev_eui, 16)


def test_two_uplinks_within_a_slot_stay_spans() -> None:
    """Eight seconds apart: the span keeps its own time and is not taken for the ten seconds around it."""
    books = Books()
    books.said(pcr2((10, 20)), 1, 1_000)
    books.said(pcr2((11, 20)), 2, 9_000)
    piece = place(books.booked[0], 10)

    assert (piece.start, piece.length, piece.measured_ms) == (NOON_MS // 1000 + 1, 8, 8_000)


def test_two_uplinks_in_one_second() -> None:
    """What passed between them is counted, with nothing measured; no second is measured twice."""
    books = Books()
    books.said(pcr2((10, 20)), 1, 1_000)
    books.said(pcr2((12, 20), (2, 0)), 2, 1_900)
    books.said(pcr2((13, 20), (1, 0)), 3, 61_000)

    assert books.passages == (3, 0)
    assert [measured for _, _, measured in books.spans] == [0, 60]
    assert place(books.booked[0], 10).measured_ms == 0


# Any history.


@dataclass
class Device:
    """A counter as it is made: totals of so many bits, counts since the last uplink that it sent."""

    bits: int
    totals: list[int]
    f_cnt: int = 1000
    since: list[int] = field(default_factory=lambda: [0, 0])

    def passes(self, passages: tuple[int, int]) -> None:
        """People walk by."""
        for way, number in enumerate(passages):
            self.totals[way] = (self.totals[way] + number) % 2**self.bits
            self.since[way] += number

    def uplink(self, at_ms: int) -> Uplink:
        """What it sends now."""
        if self.bits == 16:
            payload = pcr2((self.totals[0], self.totals[1]), (self.since[0], self.since[1]))
        else:
            payload = vs133((self.totals[0], self.totals[1]))
        self.since = [0, 0]
        self.f_cnt += 1
        return Uplink(EUI, at_ms, 14, self.f_cnt - 1, payload, "chirpstack")

    def restart(self) -> None:
        """The power fails and comes back."""
        self.totals, self.since, self.f_cnt = [0, 0], [0, 0], 0


FATES = ["arrives"] * 5 + ["lost"] * 3 + ["twice", "late", "unstored", "restart", "rejoin", "bridge"]
STEPS = st.tuples(
    st.sampled_from(FATES), st.tuples(st.integers(0, 40), st.integers(0, 40)), st.integers(1_000, 900_000)
)


@given(
    bits=st.sampled_from([16, 32]),
    below=st.tuples(st.integers(1, 1500), st.integers(1, 1500)),
    history=st.lists(STEPS, max_size=40),
)
def test_any_history_counts_every_passage_once(  # noqa: C901  # one branch for each thing that happens
    bits: int, below: tuple[int, int], history: list[tuple[str, tuple[int, int], int]]
) -> None:
    """Uplinks lost, doubled, late, not stored at first, devices and bridges started anew, totals wrapping.

    What is booked in the end is what passed between the first and the last uplink that arrived, but for what a new
    start took. Measured spans follow one another and never overlap.
    """
    device = Device(bits, [2**bits - number for number in below])
    books = Books(replace(PCR2 if bits == 16 else VS132, most_per_s=1.0))
    now_ms = NOON_MS
    true, unsent, known = Counter[int](), Counter[int](), False
    held: Uplink | None = None
    reached = [0, 0]

    def arrives(uplink: Uplink) -> None:
        nonlocal known, true, unsent
        books.hear(uplink)
        true, unsent, known = (true + unsent if known else true), Counter(), True
        reached[:] = device.totals

    for fate, passages, length_ms in history:
        # Within a minute of its numbers' beginning anew the same number would be the same message, said again.
        now_ms += max(length_ms, 1000 * max(passages)) + 60_000 * (fate in {"restart", "rejoin"})
        device.passes(passages)
        unsent += Counter(dict(enumerate(passages)))
        match fate:
            case "restart":
                # One with totals so low that new ones are soon beyond them cannot be told from one that went on.
                if min(device.totals) > 2000:
                    device.restart()
                    unsent.clear()
                continue
            case "rejoin":
                # With a wrap since the last uplink, or until the next, it looks like a new start.
                wrapped = any(total < before for total, before in zip(device.totals, reached, strict=True))
                if not wrapped and max(device.totals) < 2**bits - 4000:
                    device.f_cnt = 0
                continue
            case "bridge":
                books.restart()
                continue
        uplink = device.uplink(now_ms)
        if fate == "lost":
            continue
        if fate == "late":
            held = uplink
            continue
        if fate == "unstored":
            books.session.heard(UplinkFrame.of(uplink, books.session.taken + 1), Moment(now_ms, 0.0))
        arrives(uplink)
        if fate == "twice":
            books.hear(uplink)
        if held is not None:
            books.hear(held)
            held = None

    assert Counter(dict(enumerate(books.passages))) == true
    for one, other in pairwise(books.booked):
        assert one.end_ms <= other.start_ms
    for count in books.booked:
        piece = place(count, 10)
        assert count.measured_ms in (0, 1000 * piece.length)
        if count.measured_ms:
            assert (piece.start * 1000, piece.end * 1000) == (count.start_ms, count.end_ms)


def test_passages_are_pedestrians() -> None:
    """These devices do not tell who passes; the class is the one of the contract."""
    books = Books()
    books.said(pcr2((0, 0)), 1, 0)
    books.said(pcr2((1, 1), (1, 1)), 2, TEN_MINUTES_MS)
    expected: Passages = ((0, 0, 1), (1, 0, 1))

    assert books.booked[0].passages == expected
