"""Wait for what shall become true, with a deadline, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout: float = 20, what: str = "", every: float = 0.02) -> T:
    """Call `condition` until it returns something true and return that.

    `timeout` and `every` are seconds. Raises AssertionError naming `what` and the last value.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what or condition}; last value: {value!r}")
        time.sleep(every)
