"""The intervals of all Datastreams of one resolution and zone, numbered without a gap.

What is at a position, which position a time has and how many there are between two times is arithmetic: no row is read
for it, however many years there are. That is why first page, last value, count and the millionth page cost the same.
"""

from array import array
from bisect import bisect_left, bisect_right
from itertools import takewhile
from threading import Lock
from zoneinfo import ZoneInfo

from footfall_api.intervals import Resolution, edges_from, interval_of


class Edges:
    """Ascending edges (UTC unix seconds) from the interval of `begin_s` on; the n-th interval ends with edge n + 1."""

    def __init__(self, resolution: Resolution, zone: ZoneInfo, begin_s: int) -> None:
        self.resolution = resolution
        self.zone = zone
        self.edges_s = array("q", [interval_of(resolution, begin_s, zone)[0]])
        self._lock = Lock()

    def extend(self, until_s: int) -> None:
        """Know all intervals that have ended at `until_s`."""
        with self._lock:
            last_s = self.edges_s[-1]
            if interval_of(self.resolution, last_s, self.zone)[1] > until_s:
                return
            new = edges_from(self.resolution, last_s, self.zone)
            next(new)
            self.edges_s.extend(takewhile(lambda edge: edge <= until_s, new))

    def first_from(self, moment_s: int) -> int:
        """The position of the first interval that begins at `moment_s` or later."""
        return bisect_left(self.edges_s, moment_s)

    def of(self, moment_s: int) -> int:
        """The position of the interval that a moment is in."""
        return max(0, bisect_right(self.edges_s, moment_s) - 1)

    def ended(self, moment_s: int) -> int:
        """How many intervals have ended at a moment, which is the position after the last of them."""
        return max(0, bisect_right(self.edges_s, moment_s) - 1)


class Calendar:
    """The edges of every resolution and zone, kept from question to question; grown as time passes."""

    def __init__(self) -> None:
        self._known: dict[tuple[Resolution, str], Edges] = {}

    def edges(self, resolution: Resolution, zone: ZoneInfo, begin_s: int, until_s: int) -> Edges:
        """Edges that cover [begin_s, until_s)."""
        found = self._known.get((resolution, zone.key))
        if found is None or found.edges_s[0] > begin_s:
            found = Edges(resolution, zone, begin_s)
            self._known[resolution, zone.key] = found
        found.extend(until_s)
        return found
