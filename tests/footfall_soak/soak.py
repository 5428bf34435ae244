"""The run: start the city, let the schedule happen, heal everything, wait until all is stored, draw the balance."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg

from footfall_contract import decode
from footfall_soak import ledger
from footfall_soak.city import City
from footfall_soak.faults import Doom, Fault, Strike
from footfall_soak.layout import Layout
from footfall_soak.ledger import Balance, Cells, Truths
from footfall_soak.watch import Memory, Recoveries, Recovery, Usage
from footfall_testing.waiting import wait_until

TURN_S: Final = 0.05
LOOK_S: Final = 1.0
PROGRESS_S: Final = 5.0
BEGIN_WITHIN_S: Final = 60.0
"""A fault that cannot begin (what it strikes is still starting) is tried for so long."""
DOOM_WITHIN_S: Final = 60.0
"""A process that was told to die at a statement and has not come there is killed."""
QUIET_LOOKS: Final = 3
"""So many looks in a row must find nothing under way before the balance is final."""


@dataclass(frozen=True)
class Happened:
    """A fault that struck."""

    strike: Strike
    began_s: float
    """Seconds from the schedule's beginning."""
    ended_s: float


@dataclass(frozen=True)
class Options:
    """What a run is made of."""

    seed: int
    layout: Layout
    strikes: Sequence[Strike]
    faults: Mapping[str, Fault]
    seconds: float
    """Counts flow for so long, struck or not."""
    settle_s: float = 240.0
    """How long all may take to be stored when nothing is wrong any more."""


@dataclass
class Result:
    """What came out of a run."""

    options: Options
    balance: Balance
    happened: Sequence[Happened]
    missed: Sequence[Strike]
    """Faults that could not begin, or processes that did not come to the statement at which they were to die."""
    recoveries: Sequence[Recovery]
    memory: Mapping[str, Usage]
    settled_s: float | None
    """Seconds until all was stored after the healing; None if it never was."""
    faults: Sequence[str]
    """Sentences about everything else that must not be."""
    interrupted: bool = False

    @property
    def by_kind(self) -> Mapping[str, int]:
        """How often each kind struck."""
        return Counter(one.strike.fault for one in self.happened)

    @property
    def good(self) -> bool:
        """Nothing lost, nothing double, nothing else wrong."""
        return not (self.balance.differences or self.faults or self.settled_s is None or self.missed)


@dataclass
class _Active:
    strike: Strike
    fault: Fault
    began_s: float


Say = Callable[[str], None]


@dataclass
class Soak:
    """One run in a city that is up."""

    city: City
    options: Options
    say: Say
    truths: Truths = field(init=False)
    recoveries: Recoveries = field(default_factory=Recoveries)
    memory: Memory = field(default_factory=Memory)
    happened: list[Happened] = field(default_factory=list)
    missed: list[Strike] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.truths = Truths({sensor: self.city.truth(sensor) for sensor in self.options.layout.sensors})
        self._look: psycopg.Connection[Any] | None = None
        self._begun_s = time.monotonic()
        self._looked_s = self._told_s = 0.0
        self._overfull = False

    def run(self) -> Result:
        """Everything, from the first count to the balance."""
        interrupted = False
        try:
            wait_until(self._all_are_stored_once, timeout=60, what="the first counts of every sensor", every=0.2)
            self._strike()
        except KeyboardInterrupt:
            self.say("stopping: no more faults; once more Ctrl-C leaves without the rest")
            interrupted = True
        try:
            settled_s = self._settle()
        except AssertionError as error:  # it was waited for in vain
            self.faults.append(str(error))
            settled_s = None
        balance = self._balance()
        self._examine(balance)
        return Result(
            options=self.options,
            balance=balance,
            happened=self.happened,
            missed=self.missed,
            recoveries=self.recoveries.found,
            memory=self.memory.usage(list(self.city.programs)),
            settled_s=settled_s,
            faults=self.faults,
            interrupted=interrupted,
        )

    def _all_are_stored_once(self) -> bool:
        """Whether every sensor is known: from its first interval on a device's totals have something to rise from."""
        found = self._stored()
        return found is not None and {sensor for sensor, _, _ in found} == set(self.options.layout.sensors)

    # The schedule.

    def _strike(self) -> None:
        self._begun_s = time.monotonic()
        planned = list(self.options.strikes)
        active: list[_Active] = []
        while planned or active or self._now() < self.options.seconds:
            for one in active:
                self._end_if_over(one, active)
            for strike in [strike for strike in planned if strike.at_s <= self._now()]:
                self._begin_if_free(strike, planned, active)
            self._watch(len(active))
            time.sleep(TURN_S)

    def _begin_if_free(self, strike: Strike, planned: list[Strike], active: list[_Active]) -> None:
        fault = self.options.faults[strike.fault]
        takes = fault.takes(self.options.layout, strike.target)
        if any(set(takes) & set(one.fault.takes(self.options.layout, one.strike.target)) for one in active):
            return  # what it strikes is held for longer than planned
        if fault.begin(self.city, strike):
            planned.remove(strike)
            active.append(_Active(strike, fault, self._now()))
        elif self._now() - strike.at_s > BEGIN_WITHIN_S:
            planned.remove(strike)
            self.missed.append(strike)

    def _end_if_over(self, one: _Active, active: list[_Active]) -> None:
        lasted = self._now() - one.began_s
        late = isinstance(one.fault, Doom) and lasted > DOOM_WITHIN_S
        if late:
            self.city.programs[one.strike.target].kill()
        if not (late or one.fault.is_over(self.city, one.strike, lasted)):
            return
        one.fault.end(self.city, one.strike)
        active.remove(one)
        if late:
            self.missed.append(one.strike)
            return
        self.happened.append(Happened(one.strike, one.began_s, self._now()))
        concerned = one.fault.concerns(self.options.layout, one.strike.target)
        self.recoveries.begin(one.strike, [self.truths.milestone(sensor) for sensor in concerned])

    # Watching.

    def _now(self) -> float:
        return time.monotonic() - self._begun_s

    def _watch(self, active: int) -> None:
        for incident in self.city.look_after():
            self.faults.append(f"{incident.name} ended by itself, status {incident.status}, at {self._now():.0f} s")
        now = time.monotonic()
        if now - self._looked_s >= LOOK_S:
            self._looked_s = now
            self.memory.sample(self.city.programs.values())
            self._look_at_store()
        if now - self._told_s >= PROGRESS_S:
            self._told_s = now
            self.say(
                f"{self._now():4.0f} s of {self.options.seconds:.0f}: {len(self.happened)} faults, {active} at work,"
                f" {self.truths.passages()} passages, {_sum(self._stored())} stored"
            )

    def _look_at_store(self) -> None:
        """Find what has recovered; and what is stored although it never happened, which nothing could put right."""
        self.recoveries.look(lambda until: self._stored(until) or {})
        found = self._stored()
        if found is None or self._overfull:
            return
        # The truth is read after the store: it can only be ahead.
        true = self.truths.reported()
        too_much = [f"{cell}: {number - true[cell]}" for cell, number in found.items() if number > true[cell]]
        if too_much:
            self._overfull = True
            self.faults.append(f"more was stored than had happened at {self._now():.0f} s: {', '.join(too_much[:5])}")

    def _stored(self, until: datetime | None = None) -> Cells | None:
        """What is stored; None while the database does not answer."""
        try:
            if self._look is None:
                self._look = self.city.look()
            return ledger.stored(self._look, until)
        except psycopg.Error:
            if self._look is not None:
                self._look.close()
            self._look = None
            return None

    # The end.

    def _settle(self) -> float | None:
        self.city.heal()
        wait_until(lambda: self.city.order(command="stop_pedestrians"), timeout=30, what="the sensors")
        begun, quiet = time.monotonic(), 0
        while time.monotonic() - begun < self.options.settle_s:
            self._watch(0)
            under_way = self._under_way()
            quiet = 0 if under_way else quiet + 1
            if quiet >= QUIET_LOOKS and not self._balance().lost:
                self.recoveries.settle()
                return time.monotonic() - begun
            if time.monotonic() - self._told_s >= PROGRESS_S - LOOK_S:
                self._told_s = time.monotonic()
                balance = self._balance()
                self.say(f"settling: {balance.lost} passages to come; {'; '.join(under_way) or 'nothing under way'}")
            time.sleep(0.5)
        self.faults.append(
            f"not all was stored {self.options.settle_s:.0f} s after the last fault: "
            f"{'; '.join(self._under_way()) or 'nothing was under way any more'}"
        )
        return None

    def _under_way(self) -> list[str]:
        """Where counts still are on their way."""
        sensors = self.city.order(command="status")
        found = [f"{one['sensor']} holds {one['waiting']} intervals" for one in sensors if int(one["waiting"]) > 2]
        for edge in self.options.layout.edges:
            slots, reports = carried(self.city.outbox(edge))
            if slots or reports:
                found.append(f"{edge} holds {slots} slots and {reports} reports with counts")
        return found if sensors else ["the sensors do not answer"]

    def _balance(self) -> Balance:
        found = self._stored()
        if found is None:
            with self.city.look() as connection:
                found = ledger.stored(connection)
        return ledger.compare(self.truths.reported(), found, self.truths.never_reported())

    def _examine(self, balance: Balance) -> None:
        """Everything that must not be, beside the balance."""
        with self.city.look() as connection:
            self.faults += [f"more than a minute is measured: {line}" for line in ledger.overfull(connection)]
            self.faults += [f"in quarantine: {line}" for line in ledger.quarantined(connection)]
        open_ = {name: truth.open for name, truth in self.truths.read().items() if truth.open}
        if open_:
            self.faults.append(f"devices closed no interval over the last passages: {open_}")
        if self._look is not None:
            self._look.close()
        for name, status in self.city.stop().items():
            if status != 0:
                self.faults.append(f"{name} ended with status {status} when it was asked to stop")
        for name, log in self.city.logs().items():
            self.faults += [f"in the log of {name}: {line}" for line in alarming(log.read_text(errors="replace"))]
        if not balance.passages:
            self.faults.append("nobody passed at all: there was nothing to count")


def _sum(found: Cells | None) -> str:
    """How many passages, or that nobody knows."""
    return "nobody knows how many" if found is None else str(sum(found.values()))


def alarming(log: str) -> list[str]:
    """Lines of a log that no fault excuses: a traceback's first and last, a panic of the database."""
    found: list[str] = []
    inside = False
    for line in log.splitlines():
        if line.startswith("Traceback (most recent call last)"):
            inside = True
        elif "PANIC:" in line or (inside and line and not line[0].isspace()):
            found.append(line if "PANIC:" in line else f"traceback: {line}")
            inside = False
    return found


def carried(outbox: Any) -> tuple[int, int]:
    """Slots and reports in an outbox that carry counts and are not known to be stored."""
    with closing(sqlite3.connect(f"{outbox.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
        (slots,) = database.execute("SELECT count(DISTINCT sensor || length || start) FROM slot_cell").fetchone()
        payloads = database.execute("SELECT payload FROM report WHERE committed_s IS NULL").fetchall()
    return int(slots), sum(bool(decode(payload).count) for (payload,) in payloads)
