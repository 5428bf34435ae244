"""The conversation with a reference counter, case by case. The rule as a whole is in test_booking."""

import random
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device_model import Device, cobs, health, hello, messages, wire
from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor
from footfall_edge.drivers import Outcome, Step
from footfall_edge.framer import CobsFramer, Frame
from footfall_edge.reference import (
    DRIVER,
    TIME_EVERY_S,
    CountMessage,
    HealthMessage,
    HelloMessage,
    Kind,
    MessageError,
    ReferenceSession,
    encode_ack,
    encode_hello_request,
    encode_time,
    parse,
)
from footfall_sim import protocol

NOON_MS = 1_764_072_000_000
NOON = Moment(NOON_MS, 1000.0)


def later(seconds: float, *, clock: bool = True) -> Moment:
    """`NOON` and some seconds, on a machine whose clock is trusted or not."""
    return Moment(NOON_MS + round(seconds * 1000) if clock else None, NOON.monotonic_s + seconds)


def frame(data: bytes) -> Frame:
    """The one frame in `data`."""
    (found,) = CobsFramer(1).feed(data)
    return found


def session(*cursors: Cursor) -> ReferenceSession:
    """A session that has those devices booked."""
    return cast("ReferenceSession", DRIVER.session(cursors))


def hear(before: ReferenceSession, data: bytes, at: Moment = NOON) -> Step[ReferenceSession]:
    """The step that `data` causes."""
    return before.heard(frame(data), at)


u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
cells = st.lists(st.tuples(u8, u8, u16), max_size=14).map(tuple)
totals = st.lists(st.tuples(u8, u8, u32), max_size=14).map(tuple)
numbers = st.builds(protocol.Number, u32, u32)


@given(st.builds(protocol.Count, u32, st.builds(protocol.Interval, numbers, u64, u64, u32, cells, totals), numbers))
def test_count_of_the_simulated_firmware_is_read(sent: protocol.Count) -> None:
    """Every field of a COUNT arrives as the firmware wrote it."""
    i = sent.interval
    expected = CountMessage(
        sent.device,
        i.number.boot,
        i.number.seq,
        i.uptime_start_ms,
        i.utc_start_ms,
        i.length_ms,
        (sent.oldest.boot, sent.oldest.seq),
        i.counts,
        i.totals,
    )

    assert parse(frame(protocol.encode(sent))) == expected


@given(st.builds(protocol.Hello, u32, u32, u64, numbers, u32, st.text("abc XYZ-1.0", max_size=100)))
def test_hello_of_the_simulated_firmware_is_read(sent: protocol.Hello) -> None:
    """Every field of a HELLO arrives."""
    oldest = (sent.oldest.boot, sent.oldest.seq)
    expected = HelloMessage(sent.device, sent.boot, sent.uptime_ms, oldest, sent.interval_ms, sent.firmware)

    assert parse(frame(protocol.encode(sent))) == expected


@given(st.builds(protocol.Health, u32, u32, u64, st.integers(-(2**15), 2**15 - 1), u16, u16, u16, u16))
def test_health_of_the_simulated_firmware_is_read(sent: protocol.Health) -> None:
    """Every field of a HEALTH arrives, the temperature in degrees."""
    message = parse(frame(protocol.encode(sent)))

    assert isinstance(message, HealthMessage)
    assert message.temperature == sent.temperature / 10
    assert (message.supply_mv, message.ring_used, message.ring_size, message.flags) == (
        sent.supply_mv,
        sent.ring_used,
        sent.ring_size,
        sent.flags,
    )


@given(u32, u32, u32, u64)
def test_the_simulated_firmware_reads_what_the_edge_says(device: int, boot: int, seq: int, utc_ms: int) -> None:
    """ACK, TIME and HELLO-REQUEST arrive in the device as they were meant."""
    said = encode_ack(device, (boot, seq)) + encode_time(utc_ms) + encode_hello_request()

    heard = list(protocol.Receiver().feed(said))

    assert heard == [
        protocol.Ack(device, protocol.Number(boot, seq)),
        protocol.Time(utc_ms),
        protocol.HelloRequest(),
    ]


@given(st.sampled_from([Kind.COUNT, Kind.HELLO, Kind.HEALTH]), st.binary(max_size=250))
def test_any_body_is_read_or_refused(kind: int, body: bytes) -> None:
    """Whatever has a right checksum is a message or a `MessageError`, never another error."""
    with suppress(MessageError):
        assert parse(Frame(kind, body)) is not None


def test_the_examples_of_the_protocol_are_read() -> None:
    """Every message in docs/reference-counter-protocol.md is a good frame with the content that stands above it."""
    page = (Path(__file__).parents[2] / "docs" / "reference-counter-protocol.md").read_text()
    examples = re.findall(r"```hex\ncontent (.*?)line (.*?)```", page, flags=re.DOTALL)

    assert len(examples) >= 6
    for content, line in examples:
        expected = bytes.fromhex(content)
        assert frame(bytes.fromhex(line)) == Frame(expected[1], expected[2:-2])


def test_a_message_with_more_than_it_should_have_is_refused() -> None:
    """Bytes after the end of a body are no message of this version."""
    good = frame(hello())

    step = session().heard(replace(good, body=good.body + b"x"), NOON)

    assert step.outcome is Outcome.UNREADABLE
    assert step.booking is None


def test_an_unknown_type_is_passed_over() -> None:
    """A type of a later firmware is counted and otherwise ignored."""
    assert hear(session(), wire(0x33, b"new")).outcome is Outcome.UNKNOWN


def test_an_opened_line_is_greeted_and_then_told_the_time() -> None:
    """HELLO-REQUEST at opening; TIME as soon as the HELLO is there, then every 60 s."""
    opened = session().opened(NOON)
    assert messages(opened.reply) == [(Kind.HELLO_REQUEST, b"")]
    assert opened.session.tick(later(1)).reply == b""

    greeted = hear(opened.session, hello(), later(1.5)).session
    told = greeted.tick(later(2))
    assert told.reply == encode_time(NOON_MS + 2000)
    assert told.session.tick(later(1 + TIME_EVERY_S)).reply == b""
    assert told.session.tick(later(2 + TIME_EVERY_S)).reply == encode_time(NOON_MS + 2000 + TIME_EVERY_S * 1000)


def test_a_device_that_does_not_answer_is_asked_again() -> None:
    """Without a HELLO the question is repeated every 5 s, not more often."""
    step = session().opened(NOON)
    asked = []
    for seconds in range(1, 21):
        step = step.session.tick(later(seconds))
        if step.reply:
            asked.append(seconds)

    assert asked == [5, 10, 15, 20]


def test_no_time_is_told_and_nothing_booked_before_the_clock_is_trusted() -> None:
    """Without a trusted clock a COUNT is neither booked nor acknowledged, and no TIME is sent: the device keeps it."""
    device = Device()
    device.close({(0, 0): 2}, utc_ms=NOON_MS)
    greeted = hear(session().opened(later(0, clock=False)).session, device.hello(), later(0, clock=False)).session

    step = hear(greeted, device.frames()[0], later(1, clock=False))

    assert greeted.tick(later(1, clock=False)).reply == b""
    assert (step.outcome, step.acknowledge) == (Outcome.UNTIMED, b"")
    assert step.booking is not None
    assert step.booking.counts == ()


def test_what_leaves_the_ring_before_the_clock_is_trusted_is_not_forgotten() -> None:
    """The totals before the first interval ever seen are kept at once, in a cursor, also for an edge that starts anew.

    So what the ring loses until the clock is set is a sum, over the time since the device began.
    """
    device = Device(ring_size=2)
    device.totals[0, 0] = 50  # before the edge knew it
    device.close({(0, 0): 2})
    greeted = hear(session(), device.hello(), later(0, clock=False)).session
    first = hear(greeted, device.frames()[0], later(0, clock=False)).booking
    assert first is not None
    assert first.cursor == Cursor(7, 1, -1, 0, {(0, 0): 50})
    for _ in range(5):
        device.close({(0, 0): 3})
    restarted = hear(session(first.cursor), device.hello(), later(60)).session

    assert hear(restarted, device.frames()[1], later(60)).acknowledge == b"", "nothing is booked yet"
    step = hear(restarted, device.frames()[0], later(60))

    assert step.booking is not None
    lost, own = step.booking.counts
    assert (lost.passages, own.passages) == (((0, 0, 2 + 3 * 3),), ((0, 0, 3),))
    assert (lost.start_ms, lost.end_ms, lost.measured_ms) == (NOON_MS, NOON_MS + 40_000, 0)


def test_a_recovered_sum_covers_the_lost_intervals_though_a_clock_was_set_back() -> None:
    """The interval after the gap is stamped before the one booked last: the sum still has the time that was counted."""
    device = Device(ring_size=1)
    device.close({(0, 0): 1}, utc_ms=NOON_MS)
    before = hear(session(), device.frames()[0]).session
    for _ in range(31):
        device.close({(0, 0): 9})
    device.close({(0, 0): 1}, utc_ms=NOON_MS - 3_600_000)

    step = hear(before, device.frames()[0])

    assert step.booking is not None
    lost = step.booking.counts[0]
    assert (lost.start_ms, lost.end_ms) == (NOON_MS - 3_600_000 - 310_000, NOON_MS - 3_600_000)


def test_an_interval_stamped_by_the_device_is_where_the_device_says() -> None:
    """UTC in the frame places the interval, without any HELLO."""
    device = Device()
    device.close({(0, 0): 2, (1, 0): 1}, utc_ms=NOON_MS - 10_000)

    step = hear(session(), device.frames()[0])

    assert step.outcome is Outcome.BOOKED
    assert step.booking is not None
    assert step.booking.counts == (Count(NOON_MS - 10_000, NOON_MS, 10_000, ((0, 0, 2), (1, 0, 1))),)
    assert step.booking.cursor == Cursor(7, 1, 0, NOON_MS, {(0, 0): 2, (1, 0): 1})
    assert step.acknowledge == encode_ack(7, (1, 0))


def test_an_interval_without_utc_is_placed_by_uptime() -> None:
    """The HELLO of its boot says when its uptime was zero: uptime 60 s at 12:00:00, so uptime 20 s is 11:59:20."""
    device = Device(uptime_ms=20_000)
    device.close({(0, 0): 1})
    device.uptime_ms = 60_000
    greeted = hear(session(), device.hello()).session

    step = hear(greeted, device.frames()[0], later(3))

    assert step.booking is not None
    assert step.booking.counts[0].start_ms == NOON_MS - 40_000
    assert step.booking.counts[0].measured_ms == 10_000


def test_uptime_is_placed_on_the_clock_that_was_set_right_since() -> None:
    """A HELLO from before the clock was trusted places intervals afterwards: the monotonic clock bridges the time."""
    device = Device()
    device.close({(0, 0): 1})
    greeted = hear(session(), device.hello(), later(0, clock=False)).session

    step = hear(greeted, device.frames()[0], later(100))

    assert step.booking is not None
    assert step.booking.counts[0].start_ms == NOON_MS - 10_000


def test_an_interval_that_nobody_can_place_yet_waits_for_a_greeting() -> None:
    """Without UTC and without HELLO nothing is booked; the device is asked who it is."""
    device = Device()
    device.close({(0, 0): 1})

    step = hear(session(), device.frames()[0])

    assert (step.outcome, step.booking, step.acknowledge) == (Outcome.UNTIMED, None, b"")
    assert step.reply == encode_hello_request()


def test_an_interval_of_a_boot_nobody_heard_becomes_a_span() -> None:
    """It lies somewhere between what was booked before and the start of the next boot; none of it counts as measured.

    booked until 11:00:00        boot 2 (never heard)          boot 3 starts 11:59:30         12:00:00
    """
    hour_ago = Cursor(7, 1, 5, NOON_MS - 3_600_000, {(0, 0): 10})
    device = Device(boot=2, totals=hour_ago.totals.copy())  # type: ignore[attr-defined]
    device.close({(0, 0): 4})
    device.close({(0, 0): 0})
    device.reboot()
    device.uptime_ms = 30_000
    greeted = hear(session(hour_ago), device.hello()).session

    first = hear(greeted, device.frames()[0])
    second = hear(first.session, device.frames()[1])

    assert first.booking is not None
    assert second.booking is not None
    between = (NOON_MS - 3_600_000, NOON_MS - 30_000)
    assert first.booking.counts == (Count(*between, 0, ((0, 0, 4),)),)
    assert second.booking.counts == (Count(*between, 0, ()),)


def test_what_fell_out_of_the_ring_becomes_a_span() -> None:
    """The totals rose by 12, the frame has 2 of that: 10 passed between the last booked interval and this one."""
    booked = Cursor(7, 1, 5, NOON_MS - 600_000, {(0, 0): 100})
    device = Device(seq=9)
    device.totals[0, 0] = 110
    device.close({(0, 0): 2}, utc_ms=NOON_MS - 10_000)

    step = hear(session(booked), device.frames()[0])

    assert step.booking is not None
    recovered, own = step.booking.counts
    assert recovered == Count(NOON_MS - 600_000, NOON_MS - 10_000, 0, ((0, 0, 10),))
    assert own == Count(NOON_MS - 10_000, NOON_MS, 10_000, ((0, 0, 2),))


def test_a_total_that_wraps_is_no_loss() -> None:
    """2^32 - 1 + 3 is 2: three passages."""
    booked = Cursor(7, 1, 5, NOON_MS - 600_000, {(0, 0): 2**32 - 1})
    device = Device(seq=9)
    device.totals[0, 0] = 2**32 - 1
    device.close({(0, 0): 2})  # lost
    device.ring.clear()
    device.close({(0, 0): 1}, utc_ms=NOON_MS)

    step = hear(session(booked), device.frames()[0])

    assert step.booking is not None
    assert [count.passages for count in step.booking.counts] == [((0, 0, 2),), ((0, 0, 1),)]


def test_a_total_that_went_backwards_is_no_count() -> None:
    """A device whose totals are below what was booked was exchanged or erased: nothing is invented, and it is said."""
    booked = Cursor(7, 1, 5, NOON_MS - 600_000, {(0, 0): 1000, (1, 0): 5})
    device = Device(boot=2)
    device.totals.update({(0, 0): 3, (1, 0): 9})
    device.close({(0, 0): 2}, utc_ms=NOON_MS)

    step = hear(session(booked), device.frames()[0])

    assert step.booking is not None
    assert [count.passages for count in step.booking.counts] == [((1, 0, 4),), ((0, 0, 2),)]
    assert "backwards" in step.remark


def test_a_gap_is_not_booked() -> None:
    """Number 2 after number 0 is not booked while the device still has number 1; it hears what is stored."""
    device = Device()
    for _ in range(3):
        device.close({(0, 0): 1}, utc_ms=NOON_MS)
    first = hear(session(), device.frames()[0])

    step = hear(first.session, device.frames()[2])

    assert (step.outcome, step.booking) == (Outcome.OUT_OF_ORDER, None)
    assert step.acknowledge == encode_ack(7, (1, 0))


def test_a_device_whose_memory_was_cleared_is_a_new_one() -> None:
    """Boot 1 after boot 9: what was never booked is not acknowledged, and from the HELLO on it is booked as new."""
    booked = Cursor(7, 9, 500, NOON_MS - 600_000, {(0, 0): 1000})
    device = Device(boot=1)
    device.close({(0, 0): 2}, utc_ms=NOON_MS)

    unsure = hear(session(booked), device.frames()[0])
    greeted = hear(unsure.session, device.hello())
    step = hear(greeted.session, device.frames()[0])

    assert (unsure.booking, unsure.acknowledge) == (None, b"")
    assert "boot 1 after 9" in greeted.remark
    assert step.booking is not None
    assert [count.passages for count in step.booking.counts] == [((0, 0, 2),)]


def test_another_device_on_the_line_has_books_of_its_own() -> None:
    """A device of another number that is plugged into the same line is booked from its own beginning."""
    booked = Cursor(7, 9, 500, NOON_MS, {(0, 0): 1000})
    other = Device(device=8)
    other.close({(0, 0): 2}, utc_ms=NOON_MS)

    step = hear(session(booked), other.frames()[0])

    assert step.booking is not None
    assert step.booking.cursor == Cursor(8, 1, 0, NOON_MS + 10_000, {(0, 0): 2})


def test_words_the_contract_lacks_are_still_passages() -> None:
    """The running totals keep the device's own words, so that they can be compared with its next frame."""
    device = Device()
    device.close({(9, 77): 2}, utc_ms=NOON_MS)

    step = hear(session(), device.frames()[0])

    assert step.booking is not None
    assert step.booking.cursor is not None
    assert step.booking.cursor.totals == {(9, 77): 2}


def test_restarts_and_troubles_of_the_device_are_noted() -> None:
    """A HELLO of another boot is a restart; HEALTH flags are words, and go away with the flags."""
    known = hear(hear(session(), hello(boot=1)).session, hello(boot=2)).session
    complaining = hear(known, health(flags=1 | 2 | 0x8000)).session

    assert known.device.restarts == 1
    assert known.device.firmware == "model 1"
    assert complaining.device.trouble == "lens dirty or sensor stuck suspected, clock was never set, flags 0x8000"
    assert hear(complaining, health()).session.device.trouble == ""


def test_noise_does_not_fill_the_memory() -> None:
    """Thousands of devices and boots that are not there leave a handful in memory; the booked device stays."""
    booked = Cursor(7, 1, 5, NOON_MS, {(0, 0): 10})
    now = session(booked)
    for number in range(5000):
        now = hear(now, hello(device=1000 + number)).session
        now = hear(now, hello(device=7, boot=1 + number)).session

    assert len(now.peers) <= 9
    assert now.peers[7].cursor == booked
    assert len(now.peers[7].boots) <= 8


def counted(number: int) -> bytes:
    """The first COUNT of a device that `number` have passed."""
    device = Device()
    device.close({(0, 0): number}, utc_ms=NOON_MS)
    (count,) = device.frames()
    return count


MESSAGES = (hello(), health(), hello(8, 2**32 - 1, 2**64 - 1), *(counted(number) for number in range(1, 5)))


def noise(dice: random.Random) -> bytes:
    """Random bytes, parts of messages, messages with a few bytes too many or one too few, delimiters, greetings."""
    data = b""
    for _ in range(dice.randrange(1, 6)):
        whole, odd = dice.choice(MESSAGES), dice.randbytes(dice.randrange(200))
        cut = dice.randrange(1, len(whole) - 2)
        data += dice.choice(
            (
                odd,
                whole[:cut],
                whole[:cut] + whole[cut + 1 :],
                whole[:cut] + odd[:3] + whole[cut:] if odd else whole[cut:],
                cobs(bytes([1, dice.randrange(4)]) + odd),
                dice.choice(MESSAGES[:3]),
            )
        )
        data += dice.choice((b"\0", b"\0\0", b""))
    return data


def survives(buffers: int) -> None:
    """Noise makes no exception and no passage, whatever it looks like, and nothing in the device is forgotten."""
    for seed in range(buffers):
        dice = random.Random(seed)
        data, size = noise(dice), dice.choice((1, 7, 29, 300))
        framer, now = CobsFramer(1), session(Cursor(7, 0, 0, NOON_MS - 10_000, {}))
        now = now.opened(NOON).session
        for at in range(0, len(data), size):
            for found in framer.feed(data[at : at + size]):
                step = now.heard(found, later(at / 1000))
                now = step.session.tick(later(at / 1000)).session
                assert step.booking is None, seed
                assert not step.acknowledge, seed
        assert now.closed(later(1)).booking is None, seed


def test_noise_is_no_passage() -> None:
    """2 000 seeded buffers."""
    survives(2_000)


@pytest.mark.full
def test_much_noise_is_no_passage() -> None:
    """100 000 seeded buffers."""
    survives(100_000)
