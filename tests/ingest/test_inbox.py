"""When a batch is complete."""

import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

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


def of(node: str, number: int, payload: bytes = b"") -> Delivery:
    """A message of a node."""
    return Delivery(f"footfall/v1/{node}/s/counts", payload, number, 1, retained=False)


def by_node(deliveries: list[Delivery]) -> dict[str, list[int]]:
    """Their message ids, in order, by node."""
    found: dict[str, list[int]] = {}
    for one in deliveries:
        found.setdefault(one.topic.split("/")[2], []).append(one.mid)
    return found


_CROWDS = st.lists(st.tuples(st.sampled_from(["a", "a", "a", "b", "c"]), st.integers(1, 40)), max_size=8)


@settings(deadline=None)
@given(crowds=_CROWDS, most=st.integers(1, 30))
def test_nodes_take_turns_when_there_is_more_than_a_batch(crowds: list[tuple[str, int]], most: int) -> None:
    """A node with fewer messages than its part is in the batch with all of them; each node's leave in order."""
    inbox = Inbox(Limits(interval_s=0.001, max_reports=most))
    sent: dict[str, list[int]] = {}
    for node, number in crowds:
        for _ in range(number):
            mid = sum(map(len, sent.values())) + 1
            sent.setdefault(node, []).append(mid)
            inbox.put(of(node, mid))
    left: dict[str, list[int]] = {node: [] for node in sent}
    while len(inbox):
        waiting = {node: len(sent[node]) - len(left[node]) for node in sent}
        batch = inbox.batch(threading.Event())
        taken = {node: len(mids) for node, mids in by_node(batch).items()}

        assert len(batch) == min(most, sum(waiting.values()))
        assert [one.mid for one in batch] == sorted(one.mid for one in batch)
        for node, number in waiting.items():
            fair = max(taken.values()) - 1
            assert taken.get(node, 0) >= min(number, fair), (waiting, taken)
        for node, mids in by_node(batch).items():
            left[node] += mids
    assert left == sent
    assert inbox.surplus() == []


def test_of_a_node_that_fills_the_buffer_the_latest_are_let_go() -> None:
    """But for its share; the others' stay, and there is room again. What was let go is told once."""
    inbox = Inbox(Limits(interval_s=LONG_S, max_reports=100, queue=3000))
    for number in range(40):
        inbox.put(of("honest", number))
    for number in range(2960):
        inbox.put(of("flood", 100 + number))
    assert not inbox.has_room()

    taken = by_node(inbox.batch(threading.Event()))

    assert taken == {"honest": list(range(40)), "flood": list(range(100, 160))}
    assert by_node(inbox.surplus()) == {"flood": list(range(100 + 2250, 3060))}
    assert inbox.surplus() == []
    assert len(inbox) == 2250 - 60
    assert inbox.has_room()


def test_of_what_a_node_says_of_itself_the_latest_stays() -> None:
    """Nobody sends that again: a will behind a flood of counts is kept, and the latest of each of its sensors."""
    inbox = Inbox(Limits(interval_s=LONG_S, max_reports=3000, queue=3000))
    inbox.put(of("honest", 0))
    for number in range(1, 2990):
        inbox.put(of("flood", number))
    for number, word in enumerate(["status", "s/health", "t/health", "status", "s/health"], 2990):
        inbox.put(Delivery(f"footfall/v1/flood/{word}", b"", number, 1, retained=False))
    for number in range(2995, 3005):
        inbox.put(of("flood", number))

    taken = by_node(inbox.batch(threading.Event()))

    assert taken == {"honest": [0], "flood": [*range(1, 2248), 2992, 2993, 2994]}


def test_states_without_number_are_no_way_around_the_share() -> None:
    """However many topics a node makes up, more than its share does not stay, and counts have their half of it."""
    inbox = Inbox(Limits(interval_s=LONG_S, max_reports=3000, queue=3000))
    inbox.put(of("honest", 0))
    for number in range(1, 1500):
        inbox.put(of("flood", number))
    for number in range(1500, 3000):
        inbox.put(Delivery(f"footfall/v1/flood/s-{number}/health", b"", number, 1, retained=False))

    taken = by_node(inbox.batch(threading.Event()))["flood"]

    assert taken == [*range(1, 1126), *range(1875, 3000)]


def test_bytes_fill_the_buffer_too() -> None:
    """A node's share is counted in bytes as well; a single message that is larger than any share is none too many."""
    large = bytes(module.MAX_QUEUE_BYTES // 16)
    inbox = Inbox(Limits(interval_s=0.01))
    inbox.put(of("huge", 0, bytes(module.MAX_QUEUE_BYTES)))
    for number in range(1, 17):
        inbox.put(of("flood", number, large))
    inbox.put(of("honest", 99))

    taken: list[Delivery] = []
    while len(inbox):
        taken += inbox.batch(threading.Event())

    assert by_node(inbox.surplus()) == {"flood": list(range(7, 17))}
    assert by_node(taken) == {"huge": [0], "flood": [1, 2, 3, 4, 5, 6], "honest": [99]}


@given(room=st.integers(1, 10**6), nodes=st.integers(2, 200))
def test_a_share_is_more_than_a_part_and_leaves_room_for_one(room: int, nodes: int) -> None:
    """Nodes that have as much to send may fill the buffer together; all but one that flood cannot."""
    share = module._share(room, nodes)

    assert share * nodes >= room - nodes
    assert share * (nodes - 1) < room


def test_nobody_is_let_go_where_the_others_do_not_wait_for_it() -> None:
    """One node alone makes the broker wait, as ever; so do many of which each has no more than its share."""
    alone, many = (Inbox(Limits(interval_s=LONG_S, max_reports=10, queue=5000)) for _ in range(2))
    for number in range(5200):
        alone.put(of("only", number))
        many.put(of(f"node-{number % 10}", number))

    taken = [len(inbox.batch(threading.Event())) for inbox in (alone, many)]

    assert taken == [10, 10]
    assert [len(inbox) for inbox in (alone, many)] == [5190, 5190]
    assert [inbox.surplus() for inbox in (alone, many)] == [[], []]
