"""When a batch is complete."""

import threading
import time

from footfall_ingest import inbox as module
from footfall_ingest.inbox import Delivery, Inbox, Limits
from footfall_testing.waiting import wait_until

LONG_S = 60.0


def delivery(number: int, payload: bytes = b"") -> Delivery:
    """A message that can be told from others."""
    return Delivery("topic", payload, number, 1, retained=False)


def numbers(deliveries: list[Delivery]) -> list[int]:
    """Their message ids."""
    return [one.mid for one in deliveries]


def test_messages_leave_in_the_order_in_which_they_came() -> None:
    """A full batch is taken at once, whatever the interval; the rest stays."""
    inbox = Inbox(Limits(interval_s=LONG_S, max_reports=3))
    for number in range(5):
        inbox.put(delivery(number))

    assert numbers(inbox.batch(threading.Event())) == [0, 1, 2]
    assert len(inbox) == 2


def test_a_few_messages_wait_for_the_interval() -> None:
    """Below the window nothing but the timer completes a batch."""
    inbox = Inbox(Limits(interval_s=0.1, window=20))
    started = time.monotonic()
    inbox.put(delivery(1))

    assert numbers(inbox.batch(threading.Event())) == [1]
    assert time.monotonic() - started >= 0.1


def test_a_full_window_is_not_left_waiting() -> None:
    """When as many came as a broker may have under way, and then none, the timer is not waited for."""
    inbox = Inbox(Limits(interval_s=LONG_S, window=20))
    for number in range(20):
        inbox.put(delivery(number))
    started = time.monotonic()

    assert len(inbox.batch(threading.Event())) == 20
    assert time.monotonic() - started < LONG_S / 2


def test_large_messages_fill_a_batch_and_the_room() -> None:
    """Bytes are limited as well as numbers."""
    inbox = Inbox(Limits(interval_s=LONG_S))
    large = bytes(module.MAX_BATCH_BYTES // 4)
    for number in range(6):
        inbox.put(delivery(number, large))

    assert numbers(inbox.batch(threading.Event())) == [0, 1, 2, 3]
    for number in range(module.MAX_QUEUE_BYTES // len(large)):
        inbox.put(delivery(number, large))
    assert not inbox.has_room()


def test_room_is_what_was_taken() -> None:
    """The limit of the queue holds, and taking makes room."""
    inbox = Inbox(Limits(interval_s=LONG_S, max_reports=2, queue=2))
    inbox.put(delivery(1))
    assert inbox.has_room()
    inbox.put(delivery(2))
    assert not inbox.has_room()

    inbox.batch(threading.Event())

    assert inbox.has_room()


def test_a_nudge_and_a_stop_end_the_waiting() -> None:
    """The writer looks up though there is no message; with a stop it gets what there is, at once."""
    inbox = Inbox(Limits(interval_s=LONG_S))
    stop = threading.Event()
    taken: list[list[Delivery]] = []
    writer = threading.Thread(target=lambda: taken.extend(inbox.batch(stop) for _ in range(2)))
    writer.start()

    inbox.nudge()
    wait_until(lambda: taken == [[]], what="the nudge")
    inbox.put(delivery(7))
    stop.set()
    writer.join(10)

    assert [numbers(batch) for batch in taken] == [[], [7]]
