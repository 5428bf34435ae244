"""What is written and told, without a broker: long notices, batches that take too long."""

import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from footfall_contract import CommitNotice, StreamState, decode_notice, encode_cbor, topics
from footfall_contract.notice import MAX_RANGES
from footfall_contract.words import MAX_SEQ
from footfall_ingest.database import Connection, Database
from footfall_ingest.epochs import Watch
from footfall_ingest.flush import Message, Outcome, write_batch
from footfall_ingest.inbox import Delivery
from footfall_ingest.judge import Rules
from footfall_ingest.metrics import Metrics
from footfall_ingest.process import Writer, encoded
from footfall_testing.ingest_store import NOON, report

MOST_BYTES = 131_072
"""What deploy/mosquitto has the broker take."""

SENSOR = "s" * 63


def in_pieces(ranges: int) -> StreamState:
    """A new stream in so many pieces, with the longest numbers there are."""
    last = MAX_SEQ + 1
    return StreamState(
        uuid4(), last - 4 * ranges - 2, tuple((last - 4 * n, last - 4 * n + 1) for n in range(ranges, 0, -1))
    )


def of(payloads: list[bytes]) -> dict[str, set[StreamState]]:
    """What all parts say together, by sensor."""
    found: dict[str, set[StreamState]] = {}
    for payload in payloads:
        for sensor, states in decode_notice(payload).sensors.items():
            assert not found.setdefault(sensor, set()) & set(states)
            found[sensor] |= set(states)
    return found


def test_a_notice_that_is_too_long_is_said_in_parts() -> None:
    """1900 streams in pieces are 4.3 MB: each part can be sent, together they say it all, and the others are told."""
    torn = tuple(in_pieces(MAX_RANGES) for _ in range(1900))
    epoch = uuid4()
    long, short = CommitNotice(epoch, {SENSOR: torn}), CommitNotice(epoch, {"a": (in_pieces(1),)})

    told = encoded({"bad": long, "good": short, "new": CommitNotice(epoch, {})})

    payloads = [payload for topic, payload in told if topic == topics.committed("bad")]
    assert len(payloads) > 1
    assert max(map(len, payloads)) < MOST_BYTES
    assert of(payloads) == {SENSOR: set(torn)}
    assert [topic for topic, _ in told[-2:]] == [topics.committed("good"), topics.committed("new")]
    assert [decode_notice(payload) for _, payload in told[-2:]] == [short, CommitNotice(epoch, {})]


@given(streams=st.lists(st.tuples(st.sampled_from([SENSOR, "a", "b"]), st.integers(0, MAX_RANGES)), max_size=90))
def test_parts_say_neither_more_nor_less(streams: list[tuple[str, int]]) -> None:
    """Whatever the streams are; and what is no longer than ever is one notice."""
    states: dict[str, tuple[StreamState, ...]] = {}
    for sensor, ranges in streams:
        states[sensor] = (*states.get(sensor, ()), in_pieces(ranges))
    payloads = [payload for _, payload in encoded({"n": CommitNotice(uuid4(), states)})]

    assert of(payloads) == {sensor: set(some) for sensor, some in states.items()}
    assert max(map(len, payloads)) < MOST_BYTES
    assert len(payloads) <= 1 + sum(map(len, payloads)) // (MOST_BYTES // 4)


def test_a_batch_that_takes_too_long_is_written_in_halves(database: str) -> None:
    """Until what is left can be written: all of it is stored, once, and its node is told the end of it."""
    sizes = []

    def slow(connection: Connection, messages: Sequence[Message], **options: Any) -> Outcome:
        sizes.append(len(messages))
        with connection.transaction():
            outcome = write_batch(connection, messages, **options)
            if len(messages) > 2:
                time.sleep(5)  # longer than it may take, also the second time
                connection.execute("SELECT 1")
            return outcome

    counts = [
        Delivery(topics.counts("n", "s"), encode_cbor(report("s", n, start=NOON + 60 * n)), n, 1, retained=False)
        for n in range(7)
    ]
    with Database(database, threading.Event(), answer_s=2) as found:
        writer = Writer(found, Rules(), Metrics(), slow, Watch())
        ((topic, payload),) = writer.write(counts)
        stored = found.run(lambda connection: connection.execute("SELECT sum(count)::int FROM count_minute").fetchone())

    assert sizes[:4] == [7, 7, 3, 3]
    assert set(sizes) == {7, 3, 1, 2, 4}
    assert stored == (7,)
    assert topic == topics.committed("n")
    (state,) = decode_notice(payload).sensors["s"]
    assert (state.next, state.above) == (7, ())
