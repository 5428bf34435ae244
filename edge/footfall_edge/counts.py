"""What a device's frames come to: `Count`, and the `Cursor` that says how far a device has been booked.

Both are stored together, in one transaction: a count without its cursor would be booked twice after a crash, a cursor
without its count never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from footfall_contract.words import Direction, PassageClass

Passages: TypeAlias = tuple[tuple[int, int, int], ...]
"""(direction, class, number) for each pair that was counted; see `Direction` and `PassageClass`."""

_DIRECTIONS = frozenset(Direction)
_CLASSES = frozenset(PassageClass)


@dataclass(frozen=True, slots=True)
class Count:
    """Passages that a device counted in one interval. Not yet cut into slots."""

    start_ms: int
    """UTC unix milliseconds."""
    end_ms: int
    """UTC unix milliseconds; the interval is [start_ms, end_ms)."""
    measured_ms: int
    """Milliseconds in which the device is known to have counted; 0 for a sum recovered from running totals."""
    passages: Passages = ()
    whole: bool = False
    """It keeps its own time, however short: it is not put into the slot that it lies in."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last interval that was booked of one device."""

    device: int
    """The number the device calls itself."""
    boot: int
    """Its boot id: +1 at each start of the device."""
    seq: int
    """The interval's number within that boot."""
    end_ms: int
    """UTC unix milliseconds: where the booked time ends."""
    totals: Mapping[tuple[int, int], int] | None = field(default_factory=dict)
    """The device's running totals after that interval, by (direction, class) as the device says them.

    None: they tell nothing, for somebody else may have booked what was counted since.
    """

    @property
    def position(self) -> tuple[int, int]:
        """(boot, seq): the order in which a device's intervals are booked."""
        return self.boot, self.seq


def in_our_words(passages: Passages) -> Passages:
    """`passages` with the words of the contract alone.

    An unknown direction becomes undirected, an unknown class "unknown": a firmware newer than this edge may count what
    has no name here. Its passages are still passages.
    """
    return tuple(
        (
            direction if direction in _DIRECTIONS else int(Direction.UNDIRECTED),
            class_ if class_ in _CLASSES else int(PassageClass.UNKNOWN),
            number,
        )
        for direction, class_, number in passages
        if number > 0
    )
