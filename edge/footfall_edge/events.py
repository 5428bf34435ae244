"""What the threads of the edge tell its one loop: the readers of the lines and the MQTT client only ever do this.

All go through one queue, so that there is one order of things and one owner of everything else.
"""

from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

from footfall_edge.clock import Moment
from footfall_edge.framer import Frame, LineCounts


@dataclass(frozen=True, slots=True)
class Opened:
    """The line of `sensor` is open."""

    sensor: str
    at: Moment
    port: str
    """Where its link led this time."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The line of `sensor` is not open, for `reason`; it will be tried again."""

    sensor: str
    at: Moment
    reason: str
    silent: bool = False
    """It was open, and closed only because nothing valid came."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes came on the line of `sensor`; `frames` may be empty."""

    sensor: str
    at: Moment
    frames: tuple[Frame, ...]
    counts: LineCounts
    """Of the line so far."""
    last_fault: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took us."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The broker is not there, or did not take us, for `reason`; the client tries again by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The broker acknowledged the message that the client calls `mid`."""

    mid: int


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something came on the topic of commit notices."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Named:
    """Something came on the status topic of this node, live: our own word, or that of another with our name."""

    payload: bytes


Event: TypeAlias = Opened | Closed | Heard | Connected | Disconnected | Taken | Noticed | Named
Events: TypeAlias = SimpleQueue[Event]
