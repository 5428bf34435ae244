"""What is watched while the faults strike: how long recovery takes, how much memory each process uses."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from footfall_soak.faults import Strike
from footfall_soak.ledger import LATE_S, Cells, Milestone
from footfall_soak.programs import Program


@dataclass(frozen=True)
class Recovery:
    """A fault, and how many seconds after its end all that had been counted by its end was stored."""

    strike: Strike
    seconds: float


@dataclass
class _Pending:
    strike: Strike
    ended_s: float
    until: datetime
    milestones: Sequence[Milestone]


@dataclass
class Recoveries:
    """Waits for what had happened by the end of each fault to be stored.

    Seen in the store: each cell of each sensor concerned holds as many passages, up to the minute in which the fault
    ended, as there had been. (People who come later in that minute, in the same direction and class, can stand in for
    some that are still missing: the figure is right to within that. The ledger at the end is exact.)
    """

    found: list[Recovery] = field(default_factory=list)
    _pending: list[_Pending] = field(default_factory=list)

    def begin(self, strike: Strike, milestones: Sequence[Milestone]) -> None:
        """A fault ended now."""
        until = datetime.fromtimestamp(time.time() + LATE_S, UTC)
        self._pending.append(_Pending(strike, time.monotonic(), until, milestones))

    def look(self, stored: Callable[[datetime], Cells]) -> None:
        """Find those that are over; `stored` says what is stored up to a moment."""
        for pending in list(self._pending):
            wanted = {cell: n for milestone in pending.milestones for cell, n in milestone.cells().items()}
            here = stored(pending.until)
            if all(here.get(cell, 0) >= number for cell, number in wanted.items()):
                self._done(pending)

    def settle(self) -> None:
        """All that ever happened is stored."""
        for pending in list(self._pending):
            self._done(pending)

    @property
    def waiting(self) -> list[Strike]:
        """The faults that are not recovered from."""
        return [pending.strike for pending in self._pending]

    @property
    def longest(self) -> Recovery | None:
        """The longest of those found."""
        return max(self.found, key=lambda recovery: recovery.seconds, default=None)

    def _done(self, pending: _Pending) -> None:
        self._pending.remove(pending)
        self.found.append(Recovery(pending.strike, time.monotonic() - pending.ended_s))


@dataclass(frozen=True)
class Usage:
    """Memory of one process over the run, in bytes."""

    peak: int
    first_third: float
    last_third: float
    """Means over the first and the last third of the run."""

    @property
    def growth(self) -> float:
        """How much more it is in the last third, as a share of the first."""
        return self.last_third / self.first_third - 1 if self.first_third else 0.0


class Memory:
    """Memory of each process, looked at again and again. A process that was started anew goes on in the same curve."""

    def __init__(self) -> None:
        self._samples: dict[str, list[int]] = {}

    def sample(self, programs: Iterable[Program]) -> None:
        """Look now."""
        for program in programs:
            used = program.memory()
            if used is not None:
                self._samples.setdefault(program.name, []).append(used)

    def usage(self, names: Collection[str]) -> Mapping[str, Usage]:
        """The figures of those of `names` that were ever seen."""
        return {name: _usage(self._samples[name]) for name in names if self._samples.get(name)}


def _usage(samples: Sequence[int]) -> Usage:
    third = max(1, len(samples) // 3)
    first, last = samples[:third], samples[-third:]
    return Usage(max(samples), sum(first) / len(first), sum(last) / len(last))
