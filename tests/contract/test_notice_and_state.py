"""Commit notices, node status and sensor health as Python makes them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_contract.errors import ContractError
from footfall_contract.notice import CommitNotice, StreamState, decode_notice, encode_notice
from footfall_contract.state import (
    MAX_DETAIL,
    MAX_STATE_BYTES,
    NodeStatus,
    SensorHealth,
    decode_health,
    decode_status,
    encode_health,
    encode_status,
)
from footfall_contract.words import MAX_SEQ, MAX_START
from footfall_testing.reports import ids

STREAM = UUID("11d61ee8-4d6b-4f0c-9f0e-3c1d6c5f3a52")


@st.composite
def stream_states(draw: st.DrawFn) -> StreamState:
    """Draw a state with ranges that ascend with holes between them."""
    numbers = draw(st.lists(st.integers(0, MAX_SEQ + 1), min_size=1, max_size=9, unique=True).map(sorted))
    ends = iter(numbers[1 : len(numbers) // 2 * 2 + 1])
    return StreamState(draw(st.uuids()), numbers[0], tuple(zip(ends, ends, strict=False)))


notices = st.builds(
    CommitNotice,
    st.uuids(),
    st.dictionaries(ids, st.lists(stream_states(), max_size=3, unique_by=lambda s: s.stream).map(tuple), max_size=3),
)
moments = st.integers(0, MAX_START)
counters = st.integers(0, MAX_SEQ)
healths = st.builds(
    SensorHealth,
    ids,
    st.sampled_from(["ok", "silent", "fault"]),
    moments,
    counters,
    counters,
    counters,
    counters,
    counters,
    st.none() | moments,
    st.text(),
)
statuses = st.builds(
    NodeStatus,
    st.sampled_from(["online", "offline"]),
    st.from_regex(r"[0-9]\.[0-9a-z+]{1,9}", fullmatch=True),
    moments,
    st.none() | st.uuids(),
)


@given(notices)
def test_a_notice_is_read_as_it_was_written(notice: CommitNotice) -> None:
    """Every notice survives its JSON unchanged."""
    assert decode_notice(encode_notice(notice)) == notice


@given(healths)
def test_health_is_read_as_it_was_written(health: SensorHealth) -> None:
    """Every health survives its JSON, whatever text its detail was made from, and stays within the limit of bytes."""
    assert decode_health(encode_health(health)) == health
    assert len(encode_health(health)) <= MAX_STATE_BYTES


@given(statuses)
def test_a_status_is_read_as_it_was_written(status: NodeStatus) -> None:
    """Every status survives its JSON unchanged."""
    assert decode_status(encode_status(status)) == status


def test_a_notice_says_which_reports_it_covers() -> None:
    """Below next, or in a half-open range beyond it."""
    state = StreamState(STREAM, 3, ((5, 7), (9, 10)))

    assert [seq for seq in range(12) if state.covers(seq)] == [0, 1, 2, 5, 6, 9]


def test_detail_is_made_fit_for_logs_and_databases() -> None:
    """The text of an exception becomes one line of printable characters, cut to its limit, and keeps its umlauts."""
    detail = "Gerät\n\x00\ud800\u202eweg " + "x" * 1000

    health = SensorHealth("markt-1", "fault", 0, 0, 0, 0, 0, 0, None, detail)

    assert health.detail.startswith("Gerät    weg x")
    assert len(health.detail) == MAX_DETAIL


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: StreamState("x", 0), "stream"),  # type: ignore[arg-type]
        (lambda: StreamState(STREAM, -1), "next"),
        (lambda: StreamState(STREAM, MAX_SEQ + 2), "next"),
        (lambda: StreamState(STREAM, 5, ((5, 6),)), "above"),
        (lambda: StreamState(STREAM, 5, ((6, 6),)), "above"),
        (
            lambda: StreamState(
                STREAM,
                5,
                ((6, 7), (7, 8)),
            ),
            "above",
        ),
        (lambda: StreamState(STREAM, 0, tuple((n, n + 1) for n in range(1, 131, 2))), "above"),
        (lambda: CommitNotice("x", {}), "epoch"),  # type: ignore[arg-type]
        (lambda: CommitNotice(STREAM, {"Markt": ()}), "sensors"),
        (lambda: CommitNotice(STREAM, {"markt": (StreamState(STREAM, 1), StreamState(STREAM, 2))}), "stream"),
        (lambda: NodeStatus("gone", "1", 0), "state"),  # type: ignore[arg-type]
        (lambda: NodeStatus("online", "my version", 0), "version"),
        (lambda: NodeStatus("online", "1", -1), "since"),
        (lambda: NodeStatus("online", "1", 0, "x"), "run"),  # type: ignore[arg-type]
        (lambda: SensorHealth("Markt", "ok", 0, 0, 0, 0, 0, 0, None), "sensor"),
        (lambda: SensorHealth("markt", "ok", 0, 0, 0, 0, 0, 1.5, None), "waiting_slots"),  # type: ignore[arg-type]
        (lambda: SensorHealth("markt", "ok", 0, -1, 0, 0, 0, 0, None), "frames"),
        (lambda: SensorHealth("markt", "ok", 0, 0, 0, 0, 0, 0, 2**32), "last_frame"),
    ],
)
def test_what_is_not_allowed_cannot_be_made(make: Callable[[], Any], field: str) -> None:
    """The constructors keep the rules of the contract; the error names the field."""
    with pytest.raises(ContractError) as refusal:
        make()

    assert refusal.value.field == field
