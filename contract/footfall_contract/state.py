"""What a node says about itself and its sensors: its status, which is also its last will, and each sensor's health.

Both are JSON and retained, so that whoever subscribes knows at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args
from uuid import UUID

from footfall_contract._json import read_object, write
from footfall_contract._wire import VERSION, document, stream_of, whole
from footfall_contract.errors import ContractError, describe
from footfall_contract.words import MAX_SEQ, MAX_START, check_id

__all__ = [
    "MAX_DETAIL",
    "MAX_STATE_BYTES",
    "HealthState",
    "NodeState",
    "NodeStatus",
    "SensorHealth",
    "decode_health",
    "decode_status",
    "encode_health",
    "encode_status",
]

NodeState = Literal["online", "offline"]
HealthState = Literal["ok", "silent", "fault"]

MAX_STATE_BYTES: Final = 8192
"""Length of one encoded status or health."""

MAX_DETAIL: Final = 300
"""Characters of `SensorHealth.detail`."""

_NODE_STATES: tuple[str, ...] = get_args(NodeState)
_HEALTH_STATES: tuple[str, ...] = get_args(HealthState)
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,63}", re.ASCII)
_STATUS_FIELDS: Final = ("v", "state", "version", "since")
_RUN: Final = "run"
_COUNTERS: Final = ("frames", "bad_frames", "skipped_bytes", "restarts", "waiting_slots")
_HEALTH_FIELDS: Final = ("v", "sensor", "state", "since", *_COUNTERS, "last_frame", "detail")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Whether a node is there. The one that says ``offline`` is left with the broker as the connection's last will."""

    state: NodeState
    version: str
    """Version of the software on the node."""
    since: int
    """UTC unix seconds at which this process started."""
    run: UUID | None = None
    """New at each start of the process: by it a node sees that another one has its name. None if it was not said."""

    def __post_init__(self) -> None:
        _one_of("state", self.state, _NODE_STATES)
        _check_version(self.version)
        whole("since", self.since, 0, MAX_START, " of UTC unix seconds")
        if self.run is not None and not isinstance(self.run, UUID):
            raise ContractError(_RUN, "a UUID, or None", describe(self.run))


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """How a sensor and its line are doing. Counters run since the edge process started.

    `detail` is for people; making one fits it: one line of printable characters, at most `MAX_DETAIL`.
    """

    sensor: str
    state: HealthState
    """``silent``: the line is open and nothing valid comes. ``fault``: it cannot be opened, or the device says so."""
    since: int
    """UTC unix seconds at which this state began."""
    frames: int
    """Valid frames."""
    bad_frames: int
    """Frames that were complete but wrong: checksum, length, content."""
    skipped_bytes: int
    """Bytes that belonged to no frame."""
    restarts: int
    """How often the line was opened again."""
    waiting_slots: int
    """Slots counted but not yet known to be stored."""
    last_frame: int | None
    """UTC unix seconds of the latest valid frame; None before the first."""
    detail: str = ""

    def __post_init__(self) -> None:
        check_id("sensor", self.sensor)
        _one_of("state", self.state, _HEALTH_STATES)
        whole("since", self.since, 0, MAX_START, " of UTC unix seconds")
        for name in _COUNTERS:
            whole(name, getattr(self, name), 0, MAX_SEQ)
        if self.last_frame is not None:
            whole("last_frame", self.last_frame, 0, MAX_START, " of UTC unix seconds, or null,")
        object.__setattr__(self, "detail", _one_line(self.detail))


def encode_status(status: NodeStatus) -> bytes:
    """Return the status as JSON."""
    said = {"v": VERSION, "state": status.state, "version": status.version, "since": status.since}
    return write(said if status.run is None else said | {_RUN: str(status.run)})


def decode_status(payload: bytes) -> NodeStatus:
    """Return the status that `payload` is. Raises `ContractError`, and nothing else, for all other bytes."""
    said = read_object(payload, MAX_STATE_BYTES)
    run_said = any(name == _RUN for name, _ in said.members)
    found = document(said, (*_STATUS_FIELDS, _RUN) if run_said else _STATUS_FIELDS)
    return NodeStatus(
        state=cast("NodeState", _one_of("state", found["state"], _NODE_STATES)),
        version=_check_version(found["version"]),
        since=whole("since", found["since"], 0, MAX_START, " of UTC unix seconds"),
        run=stream_of(_RUN, found[_RUN]) if run_said else None,
    )


def encode_health(health: SensorHealth) -> bytes:
    """Return the health as JSON."""
    return write({"v": VERSION} | {name: getattr(health, name) for name in _HEALTH_FIELDS[1:]})


def decode_health(payload: bytes) -> SensorHealth:
    """Return the health that `payload` is. Raises `ContractError`, and nothing else, for all other bytes."""
    found = document(read_object(payload, MAX_STATE_BYTES), _HEALTH_FIELDS)
    last = found["last_frame"]
    counters = {name: whole(name, found[name], 0, MAX_SEQ) for name in _COUNTERS}
    return SensorHealth(
        sensor=check_id("sensor", found["sensor"]),
        state=cast("HealthState", _one_of("state", found["state"], _HEALTH_STATES)),
        since=whole("since", found["since"], 0, MAX_START, " of UTC unix seconds"),
        last_frame=None if last is None else whole("last_frame", last, 0, MAX_START, " of UTC unix seconds, or null,"),
        detail=_check_detail(found["detail"]),
        **counters,
    )


def _one_of(what: str, value: object, known: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in known:
        return value
    raise ContractError(what, f"one of {', '.join(known)}", describe(value))


def _check_version(value: object) -> str:
    if isinstance(value, str) and _VERSION.fullmatch(value):
        return value
    raise ContractError("version", "a version of 1 to 64 letters, digits and .+!_-", describe(value))


def _check_detail(value: object) -> str:
    if isinstance(value, str) and value == _one_line(value):
        return value
    raise ContractError("detail", f"one line of at most {MAX_DETAIL} printable characters", describe(value))


def _one_line(text: str) -> str:
    """Return `text` fit for logs and databases: the message of an exception may hold line ends, NUL or surrogates."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable[:MAX_DETAIL]
