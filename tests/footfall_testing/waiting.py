"""Wait for what shall become true, with a deadline, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FEWEST = 10


def wait_until(condition: Callable[[], T], *, timeout: float = 60, what: str = "", every: float = 0.02) -> T:
    """Call `condition` until it returns something true and return that.

    `timeout` and `every` are seconds. Raises AssertionError naming `what` and the last value. It looks `FEWEST` times
    at least: where the whole machine stood still, what is waited for had no time either.
    """
    deadline = time.monotonic() + timeout
    looks = 0
    while True:
        value = condition()
        looks += 1
        if value:
            return value
        if time.monotonic() > deadline and looks >= FEWEST:
            raise AssertionError(f"waited {timeout} s in vain for {what or condition}; last value: {value!r}")
        time.sleep(every)
