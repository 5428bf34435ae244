"""What time it is, and whether that may be believed.

Rules never ask for the time: they are handed a `Moment`, which has both the UTC time (or None while it cannot be
trusted) and the monotonic time, which never jumps. Only the wiring asks a `Clock`.
"""

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

ClockName = Literal["system", "ntp"]

EARLIEST_UTC_MS: Final = 1_704_067_200_000
"""2024-01-01 in UTC unix milliseconds. A wall clock before it is wrong for certain, for nobody ran this then: a box
without a battery begins in 1970, or at the day its system was built."""
STEP_MS: Final = 1000
"""A wall clock that moved by so much against the monotonic one was set anew, and not by the hand of a time daemon that
corrects it bit by bit."""

_TIME_ERROR: Final = 5
"""What adjtimex returns while the kernel's clock is not synchronised (<sys/timex.h>)."""
_TIMEX_BYTES: Final = 512
"""Room for `struct timex` (208 bytes on 64-bit Linux); all zero means: change nothing, tell the state."""


class ClockError(Exception):
    """The kernel cannot say whether its clock is synchronised."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks."""

    utc_ms: int | None
    """UTC unix milliseconds; None while the clock is not to be trusted, and then nothing is stamped."""
    monotonic_s: float

    @property
    def utc_s(self) -> int | None:
        """UTC unix seconds, rounded down, or None."""
        return None if self.utc_ms is None else self.utc_ms // 1000

    def utc_ms_of(self, monotonic_s: float) -> int | None:
        """When the monotonic clock showed `monotonic_s`, in UTC unix milliseconds as seen from this moment."""
        return None if self.utc_ms is None else self.utc_ms - round((self.monotonic_s - monotonic_s) * 1000)


class Clock:
    """The machine's clocks.

    `trusted` is asked until it has said yes: a box that loses NTP later drifts slowly. When the wall clock was set anew
    it is asked again, for the kernel does not call a clock synchronised that somebody has just set by hand. A time
    before `EARLIEST_UTC_MS` is never believed, whoever vouches for it.
    """

    def __init__(
        self,
        trusted: Callable[[], bool] = lambda: True,
        *,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall_ms` gives UTC unix milliseconds, right or wrong; `monotonic_s` seconds that never jump."""
        self._trusted = trusted
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self._believed_ms: int | None = None
        """Wall clock minus monotonic clock when it was last believed; None while it is not."""

    def now(self) -> Moment:
        """This instant."""
        utc_ms, monotonic_s = self._wall_ms(), self._monotonic_s()
        if utc_ms < EARLIEST_UTC_MS:
            self._believed_ms = None
            return Moment(None, monotonic_s)
        ahead_ms, believed_ms = utc_ms - round(monotonic_s * 1000), self._believed_ms
        # Threads ask too. Where one is held up between two readings that looks like a step, and costs a question.
        if (believed_ms is not None and abs(ahead_ms - believed_ms) < STEP_MS) or self._trusted():
            self._believed_ms = ahead_ms
            return Moment(utc_ms, monotonic_s)
        self._believed_ms = None
        return Moment(None, monotonic_s)


def clock_named(name: ClockName) -> Clock:
    """The clock of the setting `clock`: "system" is believed at once, "ntp" when the kernel says it is synchronised.

    Raises:
        ClockError: "ntp" where the kernel cannot be asked.
    """
    if name == "system":
        return Clock()
    kernel_is_synchronised()
    return Clock(kernel_is_synchronised)


def kernel_is_synchronised() -> bool:
    """Whether an NTP or PTP daemon has told the kernel that its clock is right.

    Raises:
        ClockError: there is no adjtimex to ask (it is Linux's), or it may not be asked.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "adjtimex"):
        raise ClockError("clock = 'ntp' needs Linux (adjtimex); set clock = 'system' if this machine's clock is right")
    state: int = library.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == -1:
        reason = os.strerror(ctypes.get_errno())
        raise ClockError(
            f"the kernel does not say whether its clock is synchronised: {reason}; is clock = 'system' meant?"
        )
    return state != _TIME_ERROR
