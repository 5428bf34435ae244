"""Running totals become counts: whatever was lost on the way the next reading makes good, and nothing is invented."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor
from footfall_edge.drivers import Booking, Outcome, Step
from footfall_edge.framer import Frame
from footfall_edge.totals import (
    LONGEST_S,
    UPTIME_WRAP,
    WARN_S,
    Account,
    Meter,
    Reading,
    Rule,
    Shown,
    TotalsSession,
    TotalsSurvey,
    Turn,
    resumed,
    started_anew,
)
from footfall_edge.tracker import UnreadableError

NOON_MS = 1_764_072_000_000
IN, OUT = (0, 0), (1, 0)


def later(seconds: float, *, clock: bool = True) -> Moment:
    """Noon and some seconds, on a machine whose clock is trusted or not."""
    return Moment(NOON_MS + round(seconds * 1000) if clock else None, 1000.0 + seconds)


@dataclass(frozen=True)
class Words:
    """A reader whose frames are words: ``in out [uptime]``, or ``!`` and a complaint."""

    def opened(self) -> "Words":
        """Nothing was asked."""
        return self

    def ask(self, now: Moment) -> tuple["Words", bytes]:
        """Nothing to ask."""
        return self, b""

    def read(self, frame: Frame, at: Moment) -> tuple["Words", Shown]:
        """What the words say."""
        if frame.body.startswith(b"!"):
            return self, Shown(trouble=frame.body[1:].decode())
        try:
            first, second, *up = (int(word) for word in frame.body.split())
        except ValueError as error:
            raise UnreadableError(str(error)) from error
        return self, Shown({IN: first, OUT: second}, up[0] if up else None)


def rule(bits: int = 32, **changes: Any) -> Rule:
    """Two totals of so many bits; one saying is enough, unless it is asked for."""
    meters = {key: Meter(2**bits) for key in (IN, OUT)}
    return replace(Rule(meters, "words", confirm=0), **changes)


@dataclass
class Box:
    """An edge with one line, as far as booking goes: a process may end at any time, and the outbox keeps."""

    rule: Rule
    session: TotalsSession = field(init=False)
    counts: list[Count] = field(default_factory=list)
    cursors: dict[int, Cursor] = field(default_factory=dict)
    outcomes: list[Outcome | None] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The first process begins."""
        self.begin()

    def begin(self) -> None:
        """Another process begins; of the one before is left what it booked."""
        self.session = resumed(Words(), self.rule, self.cursors.values(), 10)

    def hear(self, words: str, seconds: float, *, clock: bool = True, stored: bool = True) -> None:
        """A reading comes; the outbox could store what comes of it or not."""
        at = later(seconds, clock=clock)
        self._keep(self.session.heard(Frame(0, words.encode()), at), stored=stored)
        if stored:
            self.tick(seconds, clock=clock)

    def tick(self, seconds: float, *, clock: bool = True) -> None:
        """Time passes."""
        self._keep(self.session.tick(later(seconds, clock=clock)))

    def close(self, seconds: float) -> None:
        """The line is closed."""
        self._keep(self.session.closed(later(seconds)))

    def _keep(self, step: Step[TotalsSession], *, stored: bool = True) -> None:
        if not stored:
            return
        self.session = step.session
        if step.outcome is not None:
            self.outcomes.append(step.outcome)
        if step.remark:
            self.remarks.append(step.remark)
        if step.booking is not None:
            self._store(step.booking)

    def _store(self, booking: Booking) -> None:
        self.counts += booking.counts
        assert booking.cursor is not None
        before = self.cursors.get(booking.cursor.device)
        assert before is None or booking.cursor.position > before.position, "the later of two cursors must be known"
        self.cursors[booking.cursor.device] = booking.cursor

    @property
    def passages(self) -> Mapping[tuple[int, int], int]:
        """All that was booked."""
        total: Counter[tuple[int, int]] = Counter()
        for count in self.counts:
            for direction, class_, number in count.passages:
                total[direction, class_] += number
        return total

    @property
    def spans(self) -> list[tuple[float, float, int]]:
        """(since, until, passages) of what was booked with nothing measured, in seconds from noon."""
        return [
            ((c.start_ms - NOON_MS) / 1000, (c.end_ms - NOON_MS) / 1000, sum(p[2] for p in c.passages))
            for c in self.counts
            if not c.measured_ms
        ]

    @property
    def measured_s(self) -> float:
        """Measured seconds booked."""
        return sum(count.measured_ms for count in self.counts) / 1000


def test_at_first_contact_counting_begins_and_nothing_is_counted() -> None:
    """The first reading is stored as what there was before; later ones count from it."""
    box = Box(rule())

    box.hear("500 400", 0)

    assert box.counts == []
    (cursor,) = box.cursors.values()
    assert (cursor.boot, cursor.end_ms, dict(cursor.totals or {})) == (0, NOON_MS, {IN: 500, OUT: 400})


def test_before_the_clock_is_trusted_first_contact_is_stored_without_a_time() -> None:
    """The totals of the first reading go into the outbox with no end of booked time; what comes then is not lost."""
    box = Box(rule())
    box.hear("500 400", 0, clock=False)
    (cursor,) = box.cursors.values()
    box.begin()

    box.hear("503 400", 10)

    assert (cursor.end_ms, dict(cursor.totals or {})) == (0, {IN: 500, OUT: 400})
    assert box.passages == {IN: 3}
    assert box.measured_s == 0


def test_two_readings_in_a_row_measure_the_time_between() -> None:
    """Passages are noticed at the second one, and the seconds between are measured; each slot has its own."""
    box = Box(rule())
    for second, words in enumerate(["5 5", "6 5", "6 5", "6 7", "6 7"]):
        box.hear(words, 8 + second)
    box.tick(21)

    assert [(c.start_ms - NOON_MS, c.end_ms - NOON_MS, c.measured_ms, c.passages) for c in box.counts] == [
        (8_000, 10_000, 2_000, ((0, 0, 1),)),
        (10_000, 12_000, 2_000, ((1, 0, 2),)),
    ]


def test_after_a_longer_gap_it_is_a_span_over_the_gap() -> None:
    """With the cable out for a minute, what the totals rose by is a span over that minute, and no time is measured."""
    box = Box(rule())
    box.hear("5 5", 0)
    box.hear("25 9", 60)

    assert box.spans == [(0, 60, 24)]
    assert box.measured_s == 0


def test_the_longest_gap_that_counts_as_measured_is_a_setting() -> None:
    """Exactly `most_gap_s` apart: measured. A moment more: a span."""
    for seconds, measured in ((20, 20), (20.001, 0)):
        box = Box(rule(most_gap_s=20))
        box.hear("5 5", 0)
        box.hear("6 5", seconds)
        box.tick(60)

        assert box.measured_s == measured


def test_another_process_goes_on_from_what_is_booked() -> None:
    """What was counted while no edge ran is a span from the end of the booked time to the first reading."""
    box = Box(rule())
    box.hear("5 5", 0)
    box.hear("6 5", 4)
    box.tick(5)
    box.begin()
    box.hear("9 5", 100)
    box.hear("10 5", 101)
    box.tick(111)

    assert box.spans == [(4, 100, 3)]
    assert box.passages == {IN: 5}


def test_another_process_that_does_not_know_the_time_yet_counts_at_once() -> None:
    """Time is measured from its first reading; the rise before it is judged, and booked, when the clock is trusted."""
    box = Box(rule(16))
    box.hear("65530 5", 0)
    box.begin()
    box.hear("4 5", 100, clock=False)
    box.hear("5 5", 101, clock=False)
    assert box.counts == []

    box.tick(102)
    box.tick(111)

    assert box.spans == [(0, 100, 10)]
    assert box.measured_s == 1
    assert box.passages == {IN: 11}


def test_a_line_closed_just_when_the_time_is_known_takes_nothing_with_it() -> None:
    """The rise since the process before is compared then too, before the cursor says that it is booked."""
    box = Box(rule(16))
    box.hear("65530 5", 0)
    box.begin()
    box.hear("4 5", 100, clock=False)
    box.hear("5 5", 101, clock=False)
    box.close(102)
    box.begin()
    box.hear("6 5", 200)
    box.tick(211)

    assert box.spans == [(0, 100, 10), (101, 200, 1)]
    assert box.passages == {IN: 12}


def test_a_step_that_could_not_be_stored_is_made_good_by_the_next() -> None:
    """The outbox is full for three readings; the totals show it all afterwards."""
    box = Box(rule())
    box.hear("5 5", 0)
    for second in (1, 2, 3):
        box.hear(f"{5 + second} 5", second, stored=False)
    box.hear("9 5", 4)
    box.tick(11)

    assert box.passages == {IN: 4}


@pytest.mark.parametrize(("bits", "top"), [(16, 65535), (32, 2**32 - 1)])
def test_a_total_that_wraps_goes_on(bits: int, top: int) -> None:
    """From the highest number over 0 on: the difference counts, and the time is measured."""
    box = Box(rule(bits))
    box.hear(f"{top - 1} 7", 0)
    box.hear("3 8", 1)
    box.tick(11)

    assert box.passages == {IN: 5, OUT: 1}
    assert box.measured_s == 1
    assert box.session.restarts == 0


def test_a_device_that_was_started_anew_is_counted_from_zero() -> None:
    """A lower total that is no wrap: what it shows came since the last reading, in a span; a new start is noted."""
    box = Box(rule(16))
    box.hear("40000 300", 0)
    box.hear("4 2", 2)

    assert box.session.restarts == 1
    assert box.spans == [(0, 2, 6)]


def test_a_restart_is_a_matter_of_all_totals() -> None:
    """One total is lower, so the other, which happens to be a little higher, began anew as well."""
    box = Box(rule())
    box.hear("9000 3", 0)
    box.hear("2 4", 1)

    assert box.passages == {IN: 2, OUT: 4}


def test_uptime_tells_a_restart_that_the_totals_hide() -> None:
    """Totals higher than before, uptime lower: what they show was all counted since the start."""
    box = Box(rule())
    box.hear("3 3 5000", 0)
    box.hear("9 8 4", 60)

    assert box.passages == {IN: 9, OUT: 8}
    assert box.session.restarts == 1


def test_uptime_tells_a_wrap_that_a_gap_hides() -> None:
    """Two hours are long enough for half a width. If the device ran on through them, it was a wrap; else a start."""
    for uptime, passages in ((7200 + 5000, 45_546), (300, 10), (None, 10)):
        box = Box(rule(16))
        box.hear("20000 0 5000" if uptime else "20000 0", 0)
        box.hear(f"10 0 {uptime}" if uptime else "10 0", 7200)

        assert box.passages == {IN: passages}


def test_uptime_goes_over_its_own_width() -> None:
    """After 2^32 s the uptime begins again, and that is no start of the device."""
    assert started_anew(UPTIME_WRAP - 2, 3, 5.0) is None
    assert started_anew(UPTIME_WRAP - 500, 3, 5.0) is True


@pytest.mark.parametrize(
    ("before", "after", "elapsed", "expected"),
    [
        (None, None, 10, None),
        (100, None, 10, None),
        (100, 110, 10, False),
        (100, 9, 10, True),
        (None, 500, 10, False),  # it ran already at the last reading
        (None, 5, 1000, True),  # it was started since
        (None, 9, 10, None),  # about then
        (100, 95, 3600, True),
        (600, 2500, 2501, True),  # it should be up for 3101 s
        (50, 3640, 3600, None),  # it may have been started a moment after the last reading
        (100, 500, 10, None),  # more than can be
        (5000, 3000, 10, None),  # longer than the time since, and less than before: another device
    ],
)
def test_what_uptimes_tell(before: int | None, after: int | None, elapsed: float, expected: bool | None) -> None:
    """A device that is up for less than the time since the last reading was started in it."""
    assert started_anew(before, after, elapsed) is expected


def test_a_device_that_keeps_its_totals_goes_on_after_a_start() -> None:
    """With after_restart = "kept" an uptime that fell is a new start, and the rise a span: it was off for a while."""
    box = Box(rule(after_restart="kept"))
    box.hear("30 3 5000", 0)
    box.hear("34 3 2", 4)

    assert box.spans == [(0, 4, 4)]
    assert box.session.restarts == 1


def test_totals_that_cannot_have_begun_at_zero_were_kept() -> None:
    """Whatever the setting says: so many passages were not counted in the two seconds since the start."""
    for total in (30_000, 200):
        box = Box(rule())
        box.hear(f"{total - 60} 3 5000", 0)
        box.hear(f"{total} 3 2", 60)

        assert box.spans == [(0, 60, 60)]
        assert box.session.restarts == 1


@pytest.mark.parametrize("words", ["90000 5", "4000 5", "5 90000"])
def test_what_cannot_be_is_another_device(words: str) -> None:
    """Far higher or lower than before: nothing is counted, and it is said; another process begins there too."""
    box = Box(rule())
    box.hear("5000 5", 0)
    box.hear(words, 1)

    assert box.counts == []
    assert box.outcomes[-1] is Outcome.IMPLAUSIBLE
    assert "counting begins anew" in box.remarks[0]
    assert "counting begins anew" in box.session.device.trouble

    box.begin()
    first, second = (int(word) for word in words.split())
    box.hear(f"{first + 2} {second}", 50_000)
    assert box.spans == [(1, 50_000, 2)]


def test_a_device_that_ran_on_and_shows_less_was_set_back() -> None:
    """Its uptime says that it was not started anew, and no wrap explains it: nothing is counted."""
    box = Box(rule())
    box.hear("5000 5 900", 0)
    box.hear("2 0 901", 1)

    assert box.counts == []
    assert box.session.restarts == 0
    assert "set back by hand" in box.session.device.trouble


def test_the_health_complains_for_a_while() -> None:
    """That counting began anew is a fault for ten minutes, besides what the device complains of itself."""
    box = Box(rule())
    box.hear("5000 5", 0)
    box.hear("90000 5", 1)
    box.hear("!lens dirty", 2)
    both = box.session.device.trouble
    box.tick(1 + WARN_S)
    after = box.session.device.trouble
    box.hear("!", 2 + WARN_S)

    assert both.startswith("lens dirty; the totals (in 90000, out 5) are not")
    assert after == "lens dirty"
    assert box.session.device.trouble == ""


def test_how_much_is_plausible_is_a_setting() -> None:
    """`most_per_s` passages a second in each direction, and two seconds' worth more."""
    for rise, counted in ((20, 20), (21, 0)):
        box = Box(rule(most_per_s=5))
        box.hear("5000 5", 0)
        box.hear(f"{5000 + rise} 5", 2)
        box.tick(11)

        assert box.passages.get(IN, 0) == counted


def test_totals_that_rise_once_a_minute_are_plausible() -> None:
    """A device that brings its totals up to date every minute shows a hundred passages at once: they had a minute."""
    box = Box(rule(confirm=1))
    for second in range(121):
        box.hear(f"{7 + 100 * (second // 60)} 0", second)
    box.tick(131)

    assert box.passages == {IN: 200}
    assert box.measured_s == 120


def test_a_total_that_is_new_begins_where_it_is() -> None:
    """What was not there before is no rise; what is missing for once has not fallen."""
    both = {IN: 7, OUT: 5000}
    account, _ = Account(rule()).after(Reading(0.0, {IN: 5}))
    account, first = account.after(Reading(1.0, both))
    account, second = account.after(Reading(2.0, {IN: 8}))
    account, third = account.after(Reading(3.0, {IN: 8, OUT: 5002}))

    assert [change.judgement and change.judgement.passages for change in (first, second, third)] == [
        ((0, 0, 2),),
        ((0, 0, 1),),
        ((1, 0, 2),),
    ]


def test_a_step_of_a_total_may_be_several_passages() -> None:
    """With a scale of 10 a rise of 2 is 20 passages; what is stored is the total as the device shows it."""
    meters = {IN: Meter(2**16, 10), OUT: Meter(2**16, 1)}
    box = Box(rule(meters=meters))
    box.hear("65535 0", 0, clock=False)
    box.hear("1 1", 5, clock=False)
    box.hear("60000 1", 6, clock=False)  # set back by hand, while nothing can be placed in time
    (cursor,) = box.cursors.values()
    box.tick(11)

    assert box.passages == {IN: 20, OUT: 1}
    assert dict(cursor.totals or {}) == {IN: 59_998, OUT: 0}, "what waits will be shown again"


def test_what_does_not_go_on_must_be_said_twice() -> None:
    """With `confirm` a lost digit is passed over, and the rise meanwhile is counted by the next good reading."""
    box = Box(rule(confirm=1))
    for second, words in enumerate(["12 5", "12 5", "1 5", "13 5", "3 5", "14 5"]):
        box.hear(words, second)
    box.tick(11)

    assert box.passages == {IN: 2}
    assert box.outcomes.count(Outcome.IMPLAUSIBLE) == 2
    assert (box.session.restarts, box.session.device.trouble, box.measured_s) == (0, "", 5)


def test_a_restart_that_is_said_twice_is_believed() -> None:
    """The second reading after it goes on from the first: all that it shows counts. Nothing is lost by waiting."""
    box = Box(rule(confirm=1))
    for second, words in enumerate(["5000 50", "5000 50", "2 0", "3 1", "4 1"]):
        box.hear(words, second)
    box.tick(11)

    assert box.passages == {IN: 4, OUT: 1}
    assert box.spans == [(1, 3, 4)]
    assert box.session.restarts == 1


def test_the_first_reading_must_be_said_twice_too() -> None:
    """A first reading that lost a digit is no beginning: the next one would rise by what never passed.

    Counting begins with the first that is confirmed, so what rose while it was is counted.
    """
    box = Box(rule(confirm=1))
    for second, words in enumerate(["5 5", "5000 5", "5001 5"]):
        box.hear(words, second)
    box.hear("5003 5", 3)
    box.tick(11)

    assert box.passages == {IN: 3}


def test_it_may_have_to_be_said_more_often() -> None:
    """With `confirm` = 2 the same digit lost in two lines in a row is passed over too; a third is believed."""
    box = Box(rule(confirm=2))
    for second, words in enumerate(["5287 5", "5287 5", "5287 5", "587 5", "588 5", "5290 5"]):
        box.hear(words, second)
    box.tick(11)
    assert box.passages == {IN: 3}

    for second, words in enumerate(["7 0", "8 0", "9 0"]):
        box.hear(words, 12 + second)
    assert box.passages == {IN: 12}


def test_totals_of_other_settings_are_not_compared() -> None:
    """Other registers or another width give the totals another meaning: counting begins anew."""
    box = Box(rule())
    box.hear("500 400", 0)
    box.rule = rule(16, identity="other words")
    box.begin()
    box.hear("600 400", 60)

    assert box.counts == []


def test_totals_from_before_another_driver_counted_are_not_compared() -> None:
    """If somebody else booked for this sensor since, what the totals rose by may be booked already."""
    box = Box(rule())
    box.hear("500 400", 0)
    box.cursors[7] = Cursor(7, 3, 3, NOON_MS + 50_000, {})
    box.begin()
    box.hear("600 400", 60)
    box.hear("601 400", 61)
    box.tick(71)

    assert box.passages == {IN: 1}


def test_totals_that_tell_nothing_are_a_first_contact() -> None:
    """An outbox that was copied says so: the other box may have booked what was counted since."""
    box = Box(rule())
    box.hear("500 400", 0)
    (device,) = box.cursors
    box.cursors[device] = replace(box.cursors[device], totals=None)
    box.begin()
    box.hear("600 400", 60)

    assert box.counts == []


def test_an_unreadable_frame_changes_nothing() -> None:
    """It is counted as such, and said."""
    box = Box(rule())
    before = box.session
    box.hear("many few", 0)

    assert box.outcomes == [Outcome.UNREADABLE]
    assert box.session == before
    assert box.counts == []


def test_a_probe_counts_by_the_same_rule() -> None:
    """Passages, new starts and what was not believed, from frames without times."""
    survey = TotalsSurvey(Words(), rule())
    for words in ("5000 50 100", "5003 50 101", "5103 50 111", "1 0 2", "2 2 3", "700000 2 4", "oh", "!cold"):
        survey.see(Frame(0, words.encode()))

    assert (survey.passages, survey.restarts, survey.targets) == ({"in": 105, "out": 2}, 1, 0)
    told = "\n".join(survey.lines())
    assert "running totals: in 700000, out 2; up 4 s" in told
    assert "trouble: cold" in told
    assert "times that counting had to begin anew: 1" in told
    assert "could not be read: 1" in told


# Any history.

RATE = 10


@dataclass
class Counter2:
    """A device that counts, is started anew, and forgets then."""

    bits: int
    uptime: bool
    now: float = 0.0
    booted: float = -5000.0
    values: list[int] = field(default_factory=lambda: [0, 0])
    passed: int = 0
    missed: int = 0
    """Passages that no reading ever showed, for the device was started anew."""

    def wait(self, seconds: float, share: float) -> None:
        """Time passes, with up to `RATE` passages a second in each direction."""
        self.now += seconds
        for direction in (0, 1):
            number = int(seconds * RATE * share)
            self.values[direction] = (self.values[direction] + number) % 2**self.bits
            self.passed += number

    def restart(self, unread: int) -> None:
        """`unread` more passages, and then all is forgotten."""
        self.passed += unread
        self.missed += unread
        self.values, self.booted = [0, 0], self.now

    def __str__(self) -> str:
        """What a reading shows."""
        up = f" {int(self.now - self.booted)}" if self.uptime else ""
        return f"{self.values[0]} {self.values[1]}{up}"


shares = st.sampled_from([0.0, 0.05, 0.5, 1.0])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from([0.2, 1.0, 7.0, 29.0]), shares),
        st.tuples(st.just("gap"), st.sampled_from([31.0, 600.0, 3000.0]), shares),
        st.tuples(st.just("drop"), st.sampled_from([1.0, 40.0]), shares),
        st.tuples(st.just("edge"), st.sampled_from([0.0, 5.0, 2000.0]), shares),
        st.tuples(st.just("blind edge"), st.sampled_from([1.0, 900.0]), shares),
        st.tuples(st.just("clock"), st.sampled_from([0.0, 1.0]), shares),
        st.tuples(st.just("restart"), st.sampled_from([0.5, 4.0, 2500.0]), shares),
    ),
    max_size=25,
)


def live(device: Counter2, box: Box, history: list[tuple[str, float, float]]) -> None:
    """Let it all happen, and then have two good readings."""
    clock = True

    def read(*, stored: bool = True) -> None:
        box.hear(str(device), device.now, clock=clock, stored=stored)

    read()
    device.now += 1
    read()
    for kind, seconds, share in history:
        if kind in ("edge", "blind edge"):
            clock = True
            read()
            device.wait(1, share)
            read()
            box.begin()
            clock = kind == "edge"
        if kind == "clock":
            clock = not clock
        if kind == "restart":
            device.wait(600, 0.1)
            read()
            device.wait(1, 0.1)
            read()
            device.restart(unread=3)
        device.wait(seconds, share)
        if kind != "gap" or share > 0.3:
            read(stored=kind != "drop")
        if kind == "restart":
            device.wait(1, share)
            read()
    clock = True
    for _ in range(3):
        device.wait(1, 0.1)
        read()
    box.tick(device.now + 20)


@given(steps, st.sampled_from([16, 32]), st.sampled_from([0, 1]), st.sampled_from([0, 65_000]))
@settings(deadline=None)
def test_every_passage_is_booked_once(
    history: list[tuple[str, float, float]], bits: int, confirm: int, start: int
) -> None:
    """Whatever happens (gaps, wraps, new starts of the device and of the edge, a full disk, a clock that is not set).

    With an uptime all is booked but what the device counted after the last reading before it was started anew.
    """
    device = Counter2(bits, uptime=True, values=[start, 7])
    box = Box(rule(bits, confirm=confirm))

    live(device, box, history)

    assert sum(box.passages.values()) == device.passed - device.missed
    assert all(count.start_ms < count.end_ms or not count.passages for count in box.counts)


@given(steps, st.sampled_from([0, 1]))
@settings(deadline=None)
def test_nothing_is_invented_without_an_uptime(history: list[tuple[str, float, float]], confirm: int) -> None:
    """A new start may be hidden, and then passages are missing; there are never more than there were."""
    device = Counter2(32, uptime=False)
    box = Box(rule(confirm=confirm))

    live(device, box, history)

    booked = sum(box.passages.values())
    assert booked <= device.passed - device.missed
    if not any(kind == "restart" for kind, _, _ in history):
        assert booked == device.passed


def test_the_time_since_an_unknown_moment_is_a_month() -> None:
    """A reading without time can only be compared generously."""
    judged = rule().judge(Reading(None, {IN: 5}), Reading(0.0, {IN: 20_000_000}), LONGEST_S, 0.0)

    assert judged.turn is Turn.WENT_ON
