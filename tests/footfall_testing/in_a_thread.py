"""A role of footfall in a thread of the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_a_thread(role: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs `role` for the length of a with block, which sets its event at the end; what it raises, the block raises."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def target() -> None:
        try:
            role(stop)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            raised.append(error)

    thread = threading.Thread(target=target, name="role", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "it does not stop"
    if raised:
        raise raised[0]
