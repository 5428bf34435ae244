"""When the machine's clock is believed."""

import ctypes
import time

import pytest

from footfall_edge.clock import Clock, ClockError, Moment, clock_named, kernel_is_synchronised


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
