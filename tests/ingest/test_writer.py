"""What is written and told, without a broker: long notices, batches that take too long."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from footfall_contract import CommitNotice, StreamState, decode_notice, topics
from footfall_contract.notice import MAX_RANGES
from footfall_contract.words import MAX_SEQ
from footfall_ingest.process import encoded

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
