"""Topics: the only place that knows their text.

| topic                              | who writes | retained | payload               |
|------------------------------------|------------|----------|-----------------------|
| footfall/v1/{node}/{sensor}/counts | edge       | no       | `report.SlotReport`   |
| footfall/v1/{node}/{sensor}/health | edge       | yes      | `state.SensorHealth`  |
| footfall/v1/{node}/status          | edge       | yes      | `state.NodeStatus`    |
| footfall/v1/{node}/committed       | ingest     | yes      | `notice.CommitNotice` |

Apart from these, aggregators that share a subscription write to ``footfall/v1/_probe/{name}``, and read it, to see
whether the broker delivers. No node can have that topic: ``_probe`` is no id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from footfall_contract.errors import ContractError, describe
from footfall_contract.words import check_id

__all__ = [
    "ALL_COUNTS",
    "ALL_HEALTH",
    "ALL_STATUS",
    "QOS",
    "RETAINED",
    "Kind",
    "Topic",
    "committed",
    "counts",
    "health",
    "is_probe",
    "parse",
    "probe",
    "shared",
    "status",
]


class Kind(StrEnum):
    """What is published on a topic: the topic's last level."""

    COUNTS = "counts"
    HEALTH = "health"
    STATUS = "status"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart. `sensor` is None for what concerns a whole node."""

    kind: Kind
    node: str
    sensor: str | None = None


QOS: Final = 1
"""Quality of service of every topic: at least once. Doubles are recognised by stream and number."""

RETAINED: Final = frozenset({Kind.HEALTH, Kind.STATUS, Kind.COMMITTED})
"""What the broker keeps for newcomers: the latest state. Counts are events, so they are not kept."""

_ROOT = "footfall/v1"
_PROBES = f"{_ROOT}/_probe"
_LEVELS = {Kind.COUNTS: 5, Kind.HEALTH: 5, Kind.STATUS: 4, Kind.COMMITTED: 4}

ALL_COUNTS: Final = f"{_ROOT}/+/+/{Kind.COUNTS}"
ALL_HEALTH: Final = f"{_ROOT}/+/+/{Kind.HEALTH}"
ALL_STATUS: Final = f"{_ROOT}/+/{Kind.STATUS}"


def counts(node: str, sensor: str) -> str:
    """Topic of a sensor's reports. Raises `ContractError` if an id is not one."""
    return _topic(Kind.COUNTS, node, sensor)


def health(node: str, sensor: str) -> str:
    """Topic of a sensor's health. Raises `ContractError` if an id is not one."""
    return _topic(Kind.HEALTH, node, sensor)


def status(node: str) -> str:
    """Topic on which a node says that it is there, and the broker that it has gone.

    Raises `ContractError` if the id is not one.
    """
    return _topic(Kind.STATUS, node)


def committed(node: str) -> str:
    """Topic on which a node learns what is stored. Raises `ContractError` if the id is not one."""
    return _topic(Kind.COMMITTED, node)


def shared(group: str, topic_filter: str) -> str:
    """The filter by which the members of `group` divide among them what `topic_filter` matches."""
    return f"$share/{group}/{topic_filter}"


def probe(name: str) -> str:
    """Topic on which an aggregator talks to itself. `name` is one level."""
    return f"{_PROBES}/{name}"


def is_probe(topic: str) -> bool:
    """Say whether a topic is one that `probe` makes."""
    return topic.startswith(f"{_PROBES}/")


def parse(topic: str) -> Topic:
    """Take a topic apart.

    Raises `ContractError` (field ``topic``, ``node`` or ``sensor``) for every topic that is not footfall's.
    """
    levels = topic.split("/")
    kind = next((kind for kind in Kind if kind == levels[-1]), None)
    if kind is None or "/".join(levels[:2]) != _ROOT or len(levels) != _LEVELS[kind]:
        expected = f"{_ROOT}/NODE/SENSOR/ with counts or health, or {_ROOT}/NODE/ with status or committed"
        raise ContractError("topic", expected, describe(topic))
    node, *sensor = levels[2:-1]
    return Topic(kind, check_id("node", node), *[check_id("sensor", level) for level in sensor])


def _topic(kind: Kind, node: str, *sensor: str) -> str:
    return "/".join([_ROOT, check_id("node", node), *[check_id("sensor", level) for level in sensor], kind])
