"""When the machine's clock is believed."""

import ctypes
import time
from datetime import UTC, datetime

import pytest

from footfall_edge.clock import EARLIEST_UTC_MS, Clock, ClockError, Moment, clock_named, kernel_is_synchronised


def test_the_system_clock_is_believed_at_once() -> None:
    """With clock = "system" it gives the time of the machine in UTC milliseconds."""
    before = time.time()
    now = clock_named("system").now()

    assert now.utc_ms is not None
    assert before - 0.01 <= now.utc_ms / 1000 <= time.time() + 0.01
    assert now.utc_s == now.utc_ms // 1000


def test_the_clock_is_asked_until_it_is_right_and_not_after() -> None:
    """Nothing is stamped before the kernel says yes; a box that loses its time server later goes on."""
    answers = [False, False, True, False]
    patient = Clock(lambda: answers.pop(0))

    assert [patient.now().utc_ms is None for _ in range(5)] == [True, True, False, False, False]
    assert answers == [False]


class Hands:
    """Clocks that a test sets."""

    def __init__(self) -> None:
        self.wall_ms = 1_764_072_000_000
        self.monotonic_s = 500.0
        self.synchronised = True

    def clock(self) -> Clock:
        """A clock with these hands."""
        return Clock(lambda: self.synchronised, wall_ms=lambda: self.wall_ms, monotonic_s=lambda: self.monotonic_s)

    def go_on(self, seconds: float, set_ms: int = 0) -> None:
        """Time passes, and the wall clock is set by `set_ms` besides."""
        self.wall_ms += round(seconds * 1000) + set_ms
        self.monotonic_s += seconds


@pytest.mark.parametrize("synchronised", [True, False])
def test_a_time_before_2024_is_never_believed(synchronised: bool) -> None:
    """Whatever the kernel says: nobody ran this then. From the first moment of 2024 on the kernel decides."""
    hands = Hands()
    hands.synchronised = synchronised
    clock = hands.clock()
    hands.wall_ms = EARLIEST_UTC_MS - 1

    assert clock.now() == Moment(None, 500.0)
    hands.go_on(0.001)
    assert (clock.now().utc_ms == EARLIEST_UTC_MS) is synchronised
    assert datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000 == EARLIEST_UTC_MS


def test_a_clock_that_was_set_anew_is_asked_about_again() -> None:
    """A step of a second or more needs the kernel's word anew; to be moved bit by bit, without one, does not."""
    hands = Hands()
    clock = hands.clock()
    clock.now()
    hands.synchronised = False
    for _ in range(20):
        hands.go_on(1, set_ms=900)
        assert clock.now().utc_ms is not None
    for step_ms in (1000, -7_200_000):
        hands.go_on(1, set_ms=step_ms)
        assert clock.now().utc_ms is None
        hands.go_on(1)
        assert clock.now().utc_ms is None
        hands.synchronised = True
        assert clock.now().utc_ms == hands.wall_ms
        hands.synchronised = False


def test_the_kernel_is_asked() -> None:
    """The call adjtimex answers yes or no here, or says why it cannot be asked; "ntp" then follows it."""
    try:
        answer = kernel_is_synchronised()
    except ClockError as error:
        pytest.skip(f"this kernel cannot be asked: {error}")

    assert answer in (True, False)
    assert (clock_named("ntp").now().utc_ms is not None) == answer


@pytest.mark.parametrize(("state", "synchronised"), [(0, True), (1, True), (5, False)])
def test_only_an_error_state_means_unsynchronised(
    monkeypatch: pytest.MonkeyPatch, state: int, synchronised: bool
) -> None:
    """TIME_OK and the leap second states are right, TIME_ERROR (5) is not."""
    library = type("Library", (), {"adjtimex": staticmethod(lambda _: state)})
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)

    assert kernel_is_synchronised() is synchronised


def test_elsewhere_than_on_linux_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without adjtimex "ntp" is refused with a sentence that names the way out."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())

    with pytest.raises(ClockError, match="needs Linux"):
        clock_named("ntp")


def test_an_earlier_moment_is_placed_from_a_later_one() -> None:
    """What was seen on the monotonic clock has a UTC time as soon as the clock is trusted."""
    assert Moment(1_000_000, 50.0).utc_ms_of(47.5) == 997_500
    assert Moment(None, 50.0).utc_ms_of(47.5) is None
    assert Moment(None, 50.0).utc_s is None
