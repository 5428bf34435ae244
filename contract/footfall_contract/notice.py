"""The commit notice: ingest tells a node which of its reports the database has.

A report stays in the edge's outbox until a notice covers it, not merely until the broker took it. It is JSON:
``{"v":1,"epoch":"<uuid>","sensors":{"markt-1":[{"stream":"<uuid>","next":4711,"above":[[4713,4720]]}]}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from footfall_contract._json import read_object, sized, write
from footfall_contract._wire import VERSION, Pairs, array_of, closed, document, stream_of, whole
from footfall_contract.errors import ContractError, describe
from footfall_contract.words import MAX_SEQ, check_id

__all__ = ["MAX_NOTICE_BYTES", "MAX_RANGES", "CommitNotice", "StreamState", "decode_notice", "encode_notice"]

MAX_NOTICE_BYTES: Final = 4 * 1024 * 1024
"""Length of one encoded notice: a thousand streams fit in it even if each has all the ranges it may have."""

MAX_RANGES: Final = 64
"""Ranges beyond `next` in one stream; ingest refuses a report that would need one more."""

_MAX_END = MAX_SEQ + 1


@dataclass(frozen=True, slots=True)
class StreamState:
    """What is stored or quarantined of one stream: every number below `next`, and those in the ranges `above`."""

    stream: UUID
    next: int
    """The lowest number that is still wanted."""
    above: tuple[tuple[int, int], ...] = ()
    """Half-open ranges beyond `next`, ascending, with a hole before each: at most 64."""

    def __post_init__(self) -> None:
        if not isinstance(self.stream, UUID):
            raise ContractError("stream", "a UUID", describe(self.stream))
        whole("next", self.next, 0, _MAX_END)
        if len(self.above) > MAX_RANGES:
            raise ContractError("above", f"at most {MAX_RANGES} ranges", f"{len(self.above)} ranges")
        reached = self.next
        for first, end in self.above:
            if whole("above", first, 0, _MAX_END) <= reached:
                raise ContractError("above", f"a range beginning above {reached}", str(first))
            if whole("above", end, 0, _MAX_END) <= first:
                raise ContractError("above", f"a range ending above its beginning {first}", str(end))
            reached = end

    def covers(self, seq: int) -> bool:
        """Say whether report number `seq` of this stream is stored or quarantined."""
        return seq < self.next or any(first <= seq < end for first, end in self.above)


@dataclass(frozen=True, slots=True)
class CommitNotice:
    """What the database has of a node's sensors. A sensor may have several streams; the order means nothing."""

    epoch: UUID
    """Names the database's life: it changes when a backup is restored, and everything known before it is void."""
    sensors: Mapping[str, tuple[StreamState, ...]]

    def __post_init__(self) -> None:
        if not isinstance(self.epoch, UUID):
            raise ContractError("epoch", "a UUID", describe(self.epoch))
        for sensor, states in self.sensors.items():
            check_id("sensors", sensor)
            if len({state.stream for state in states}) != len(states):
                raise ContractError("stream", "each stream once", f"a stream of {sensor} twice")


def encode_notice(notice: CommitNotice) -> bytes:
    """Return the notice as JSON. Raises `ContractError` if that is more than 4 MiB."""
    sensors = {
        sensor: [{"stream": str(state.stream), "next": state.next, "above": state.above} for state in states]
        for sensor, states in notice.sensors.items()
    }
    return sized(write({"v": VERSION, "epoch": str(notice.epoch), "sensors": sensors}), MAX_NOTICE_BYTES)


def decode_notice(payload: bytes) -> CommitNotice:
    """Return the notice that `payload` is. Raises `ContractError`, and nothing else, for all other bytes."""
    found = document(read_object(payload, MAX_NOTICE_BYTES), ("v", "epoch", "sensors"))
    epoch = stream_of("epoch", found["epoch"])
    sensors = found["sensors"]
    if not isinstance(sensors, Pairs):
        raise ContractError("sensors", "an object with a member for each sensor", describe(sensors))
    states: dict[str, tuple[StreamState, ...]] = {}
    for sensor, value in sensors.members:
        if check_id("sensors", sensor) in states:
            raise ContractError("sensors", "each sensor once", f"{sensor} twice")
        states[sensor] = tuple([_state(item) for item in array_of("sensors", value, "streams for each sensor")])
    return CommitNotice(epoch, states)


def _state(value: object) -> StreamState:
    found = closed("sensors", value, ("stream", "next", "above"))
    ranges = array_of("above", found["above"], "ranges")
    return StreamState(stream_of("stream", found["stream"]), found["next"], tuple(map(_range, ranges)))


def _range(value: object) -> tuple[Any, Any]:
    ends = array_of("above", value, "two numbers for each range")
    if len(ends) != 2:
        raise ContractError("above", "two numbers for each range", f"{len(ends)} numbers")
    return ends[0], ends[1]
