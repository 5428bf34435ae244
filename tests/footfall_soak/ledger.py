"""The ledger: what was true against what is stored, for each sensor, direction and class.

What is missing in one cell is never set off against what is too much in another.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from footfall_sim.truth import Passage, Truth, TruthFollower

Cell = tuple[str, int, int]
"""Sensor, direction, class."""
Cells = Mapping[Cell, int]

LATE_S: Final = 5
"""A device whose clock is not set is placed in time when it is heard of: so much later than it was, at most."""


@dataclass(frozen=True)
class Difference:
    """A cell that does not agree."""

    cell: Cell
    true: int
    """Passages that the device reported, or will."""
    stored: int


@dataclass(frozen=True)
class Balance:
    """What came out. All numbers are passages."""

    passages: int
    """That the devices counted."""
    never_reported: int
    """Of these: in a device's open interval when it lost its power."""
    stored: int
    cells: int
    """Cells that were compared."""
    differences: Sequence[Difference]

    @property
    def lost(self) -> int:
        """Reported, and not stored."""
        return sum(max(0, one.true - one.stored) for one in self.differences)

    @property
    def double(self) -> int:
        """Stored, and never reported or more than once."""
        return sum(max(0, one.stored - one.true) for one in self.differences)


def compare(true: Cells, stored: Cells, never_reported: Cells) -> Balance:
    """The balance of what devices reported (`true`, without `never_reported`) and what is stored."""
    cells = sorted(true.keys() | stored.keys())
    differences = [
        Difference(cell, true.get(cell, 0), stored.get(cell, 0))
        for cell in cells
        if true.get(cell, 0) != stored.get(cell, 0)
    ]
    gone = sum(never_reported.values())
    return Balance(sum(true.values()) + gone, gone, sum(stored.values()), len(cells), differences)


@dataclass
class _Followed:
    follower: TruthFollower
    settled: Counter[tuple[int, int]]
    """Cells of the passages about which nothing can change any more: closed, or lost."""
    until: int = 0
    """How many passages these are, lost ones included."""


@dataclass(frozen=True)
class Milestone:
    """What a sensor's device had seen by some moment."""

    sensor: str
    settled: Mapping[tuple[int, int], int]
    open: Sequence[Passage]
    """In no closed interval at that moment; a power failure may have taken them since."""

    def cells(self) -> Counter[Cell]:
        """What must be stored of it."""
        still = Counter((one.direction, one.class_) for one in self.open if not one.lost)
        return Counter({(self.sensor, *cell): number for cell, number in (still + Counter(self.settled)).items()})


class Truths:
    """The logs of the truth of several sensors, read as they grow."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._followed = {name: _Followed(TruthFollower(path), Counter()) for name, path in paths.items()}

    def read(self) -> dict[str, Truth]:
        """What the logs say by now, by sensor."""
        return {name: followed.follower.read() for name, followed in self._followed.items()}

    def passages(self) -> int:
        """How many passages there were by now."""
        return sum(len(truth.passages) for truth in self.read().values())

    def milestone(self, sensor: str) -> Milestone:
        """What the device of `sensor` has seen by now."""
        followed = self._followed[sensor]
        truth = followed.follower.read()
        closed = len(truth.passages) - truth.open
        followed.settled += Counter(
            (one.direction, one.class_) for one in truth.passages[followed.until : closed] if not one.lost
        )
        followed.until = closed
        return Milestone(sensor, dict(followed.settled), truth.passages[closed:])

    def reported(self) -> Counter[Cell]:
        """What the devices reported or will report."""
        return self._by_cell(lambda truth: truth.reported_cells)

    def never_reported(self) -> Counter[Cell]:
        """What power failures took."""
        return self._by_cell(lambda truth: truth.never_reported_cells)

    def _by_cell(self, cells: Callable[[Truth], Mapping[tuple[int, int], int]]) -> Counter[Cell]:
        found: Counter[Cell] = Counter()
        for sensor, truth in self.read().items():
            found.update({(sensor, *cell): number for cell, number in cells(truth).items()})
        return found


_STORED = """
    SELECT sensor.id, direction, class, sum(count)::bigint
    FROM (
        SELECT sensor, direction, class, count FROM count_minute WHERE minute <= minute_of(%(until)s)
        UNION ALL
        SELECT sensor, direction, class, count FROM count_span WHERE starts <= %(until)s
    ) AS counts JOIN sensor ON sensor.key = counts.sensor
    GROUP BY sensor.id, direction, class
"""


def stored(connection: psycopg.Connection[Any], until: datetime | None = None) -> Counter[Cell]:
    """What is stored, in minutes and spans together; with `until` only of minutes and spans that begin by then."""
    rows = connection.execute(_STORED, {"until": until or datetime.max.replace(tzinfo=UTC)}).fetchall()
    return Counter({(sensor, direction, class_): int(count) for sensor, direction, class_, count in rows})


def overfull(connection: psycopg.Connection[Any]) -> list[str]:
    """Minutes of which more than 60 seconds are said to be measured."""
    rows = connection.execute(
        "SELECT id, minute_start(minute), observed_s "
        "FROM coverage_minute JOIN sensor ON key = sensor WHERE observed_s > 60"
    )
    return [f"{sensor} {minute:%H:%M}: {seconds} s" for sensor, minute, seconds in rows.fetchall()]


def quarantined(connection: psycopg.Connection[Any]) -> list[str]:
    """What lies in quarantine."""
    rows = connection.execute(
        "SELECT reason, node, sensor, seq, times, detail FROM quarantine WHERE closed_at IS NULL ORDER BY id"
    )
    return [
        f"{reason}: {node}/{sensor} number {seq}, {times} times: {detail}"
        for reason, node, sensor, seq, times, detail in rows.fetchall()
    ]
