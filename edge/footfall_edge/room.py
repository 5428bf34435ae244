"""Room for the outbox: what goes, and in which order, when space is short.

Space is short when the outbox has outgrown its budget, when the disk is nearly full, or when something could not be
written. Then, the oldest first and never more than needed:

1. reports that are known to be stored go before their time;
2. the records of slots that were reported become coarser;
3. slots that wait become minutes;
4. and then quarter hours.

What then is left stays: no count is dropped for want of space. If it cannot be written any more, the devices are not
acknowledged and keep what they count, until there is room.

SQLite needs room even to delete: it first writes what changes into a journal. So a reserve lies beside the outbox, a
file that holds nothing but room. It is given up when nothing else is left, and made again when there is room.
"""

import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from footfall_edge import metrics
from footfall_edge.clock import Moment
from footfall_edge.coarsen import MINUTE_S, QUARTER_HOUR_S
from footfall_edge.outbox import SLOT_KEPT_S, Outbox, reserve_of
from footfall_role.logs import facts

log = logging.getLogger(__name__)

KIB: Final = 1024
LOOK_EVERY_S: Final = 5.0
"""How often the space is looked at."""
LOOK_WHEN_FULL_EVERY_S: Final = 1.0
"""How often while something could not be written."""
AGAIN_AFTER_S: Final = 60.0
"""When all slots are as coarse as they may be, this long until it is looked whether there are new ones."""
AT_ONCE: Final = 20
"""Transactions in one turn of the agent's loop, which has other things to do."""
SAY_EVERY_S: Final = 3600.0
"""What one step did is said at most this often."""

STORED: Final = "stored reports"
RECORDS: Final = "records"
MINUTES: Final = "minutes"
QUARTERS: Final = "quarter hours"

Done = tuple[str, int]
"""What one transaction did: which step it belongs to, and how many reports or slots went or became coarser."""

ClosedUntil = Callable[[str], int | None]
"""Sensor → UTC unix seconds before which its slots do not grow any more; None: nothing is known of that."""


@dataclass(frozen=True, slots=True)
class Space:
    """How much there is. All in bytes."""

    used: int
    """Of the outbox file: what holds something."""
    free: int
    """Of the outbox file: what it can write into without growing."""
    disk_free: int
    disk_size: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the outbox may use, and what it keeps for bad times."""

    max_bytes: int
    """The budget: bytes of the outbox file that hold something."""

    @property
    def reserve(self) -> int:
        """Bytes of the reserve file: enough to write down one step of making room, and little beside the budget."""
        return min(max(self.max_bytes // 4, 256 * KIB), 2048 * KIB)

    @property
    def journal(self) -> int:
        """Bytes that SQLite's journal has in the usual case: what is in it must find room in the file some time."""
        return self.reserve // 4

    def least_free(self, disk_size: int) -> int:
        """Bytes that the outbox wants to be able to write; below that the disk is nearly full."""
        return min(self.max_bytes // 8, 16 * 1024 * KIB, disk_size // 8)

    def missing(self, space: Space, *, full: bool) -> int:
        """How many bytes of the file have to become free; not more than 0 if there is space enough.

        On a disk that is `full`, where something could not be written, only the file's own free bytes count.
        """
        writable = space.free + (0 if full else space.disk_free)
        return max(space.used - self.max_bytes, self.least_free(space.disk_size) - writable)


class Reserve:
    """A file that takes up room, for making room when there is no other. Nothing else may use it up."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._trouble: str | None = None

    def make(self, disk_free: int, leave: int) -> None:
        """Take up room, all of it or as much as `leave` bytes of `disk_free` allow if that still is of use."""
        there = self._there()
        wanted = min(self._size, there + disk_free - leave)
        if there < wanted and (wanted == self._size or (not there and wanted >= self._size // 4)):
            self._take(wanted)
        metrics.OUTBOX_RESERVE.set(self._there())

    def give_up(self) -> int:
        """Free the room; returns how many bytes that were."""
        there = self._there()
        if there:
            try:
                self._path.unlink()
            except OSError as error:
                log.warning("the reserve cannot be given up", extra=facts(path=self._path, reason=error.strerror))
                return 0
            metrics.OUTBOX_RESERVE.set(0)
        return there

    def _take(self, size: int) -> None:
        try:
            with self._path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            self._trouble = None
        except OSError as error:
            if error.strerror != self._trouble:  # said once, not at each attempt
                log.warning("no reserve for a full disk", extra=facts(path=self._path, reason=error.strerror))
                self._trouble = error.strerror
            with suppress(OSError):
                self._path.unlink()

    def _there(self) -> int:
        """Its size in bytes; 0 if it is not there."""
        return self._path.stat().st_size if self._path.is_file() else 0


@dataclass(slots=True)
class _Said:
    """What the steps did that has not been said yet, and when each was said."""

    done: Counter[str] = field(default_factory=Counter)
    at_s: dict[str, float] = field(default_factory=dict)

    def due(self, step: str, now_s: float) -> bool:
        """Whether `step` may be said now; then it counts as said."""
        if step in self.at_s and now_s - self.at_s[step] < SAY_EVERY_S:
            return False
        self.at_s[step] = now_s
        return True


class Room:
    """Makes room in one outbox. Belongs to the agent's loop, as the outbox does."""

    def __init__(self, outbox: Outbox, path: Path, max_bytes: int) -> None:
        self._outbox = outbox
        self._folder = path.absolute().parent
        self._limits = Limits(max_bytes)
        self._reserve = Reserve(reserve_of(path), self._limits.reserve)
        self._coarsening: Iterator[Done] | None = None
        self._looked_s = self._coarse_s = float("-inf")
        self._stuck = False
        self._said = _Said()
        outbox.write_sparingly(self._limits.journal)
        outbox.last_resort = self._give_up_reserve
        self._shorten_journal()  # whoever was here before may have left a long one
        self._take_reserve()

    def make(self, closed_until: ClosedUntil, now: Moment) -> None:
        """See how much space there is, and make room if it is short: a bounded part of it in each call."""
        pause_s = LOOK_WHEN_FULL_EVERY_S if self._outbox.full and not self._stuck else LOOK_EVERY_S
        if self._coarsening is None and now.monotonic_s - self._looked_s < pause_s:
            return
        self._looked_s = now.monotonic_s
        if self._outbox.full:
            self._give_up_reserve()
        try:
            if not self._short():
                self._enough()
            else:
                self._go_on(closed_until, now)
        except sqlite3.Error:
            self._coarsening = None
            raise
        finally:
            if self._coarsening is None:
                self._say(now.monotonic_s)

    def _go_on(self, closed_until: ClosedUntil, now: Moment) -> None:
        # While the time is not known nothing is known to be over.
        if self._coarsening is None and now.utc_s is not None and now.monotonic_s - self._coarse_s >= AGAIN_AFTER_S:
            self._coarsening = coarsening(self._outbox, closed_until, now.utc_s)
        work = chain(forgetting(self._outbox), self._coarsening or ())
        for _ in range(AT_ONCE):
            step, number = next(work, (None, 0))
            if step is None:
                self._all_done(now.monotonic_s)
                return
            self._said.done[step] += number
            _count(step, number)
            if not self._short():
                self._enough()
                return

    def _enough(self) -> None:
        """There is space: what could not be written may be tried again."""
        self._coarsening = None
        self._stuck = False
        metrics.OUTBOX_OVER.set(0)
        if self._outbox.full:
            self._shorten_journal()
            self._outbox.full = False
        self._take_reserve()

    def _all_done(self, now_s: float) -> None:
        if self._coarsening is not None:
            self._coarsening = None
            self._coarse_s = now_s
        self._stuck = True
        metrics.OUTBOX_OVER.set(1)
        if self._outbox.full:
            # Counts can wait in the devices too. But without the reserve no room could be made any more.
            self._reserve.make(self._space().disk_free, leave=0)
            self._outbox.full = False
        if self._said.due("", now_s):
            space = self._space()
            log.warning(
                "space is short and nothing more may go; nothing is dropped, but the disk needs room",
                extra=facts(used=space.used, budget=self._limits.max_bytes, disk_free=space.disk_free),
            )

    def _take_reserve(self) -> None:
        # Half as much stays for the journal.
        self._reserve.make(self._space().disk_free, leave=self._limits.reserve // 2)

    def _give_up_reserve(self) -> None:
        given_up = self._reserve.give_up()
        self._shorten_journal()
        if given_up and self._said.due("reserve", self._looked_s):
            log.warning("the disk is full: the reserve is given up to make room", extra=facts(bytes=given_up))

    def _shorten_journal(self) -> None:
        # What it holds may need more room in the file than there is. Room is to be made all the more.
        with suppress(sqlite3.OperationalError):
            self._outbox.shorten_journal()

    def _short(self) -> bool:
        return self._limits.missing(self._space(), full=self._outbox.full) > 0

    def _space(self) -> Space:
        disk = os.statvfs(self._folder)
        return Space(
            used=self._outbox.bytes_used(),
            free=self._outbox.bytes_free(),
            disk_free=disk.f_bavail * disk.f_frsize,
            disk_size=disk.f_blocks * disk.f_frsize,
        )

    def _say(self, now_s: float) -> None:
        for step, number in list(self._said.done.items()):
            if number and self._said.due(step, now_s):
                del self._said.done[step]
                log.warning(
                    "space was short: stored reports went before their time"
                    if step == STORED
                    else "space was short: slots became coarser",
                    extra=facts(step=step, number=number, used=self._outbox.bytes_used()),
                )


def forgetting(outbox: Outbox) -> Iterator[Done]:
    """Forget stored reports before their time, oldest first."""
    while number := outbox.forget_committed():
        yield STORED, number


def coarsening(outbox: Outbox, closed_until: ClosedUntil, now_s: int) -> Iterator[Done]:
    """Make slots coarser, those that only are records first, minutes before quarter hours, and each oldest first."""
    since = now_s - SLOT_KEPT_S - QUARTER_HOUR_S  # no record is older for long
    for step_s in (MINUTE_S, QUARTER_HOUR_S):
        for number in outbox.coarsen(step_s, closed_until, waiting=False, since=since):
            yield RECORDS, number
    for step, step_s in ((MINUTES, MINUTE_S), (QUARTERS, QUARTER_HOUR_S)):
        for number in outbox.coarsen(step_s, closed_until, waiting=True):
            yield step, number


def _count(step: str, number: int) -> None:
    if step == STORED:
        metrics.FORGOTTEN_EARLY.inc(number)
    else:
        metrics.COARSENED.labels(step).inc(number)
