"""From what a counter's running totals show to counts, for every device that keeps totals: frame → reading → counts.

A driver for such a device brings a framer and a `Reader`, which asks for a reading and reads it. Everything after that
is here, and the same for all of them. Running totals are the kindest thing a device can have: whatever was lost on the
way (a line, a poll, the cable for a week, this process) the next reading makes good. What a reading says is only ever
what it rose by since the last one that was believed, and the rule is to find out by how much:

- **First contact**: it is where counting begins. Nothing is counted.
- **It went on**: each total is where at most `most_per_s` passages a second have brought it, counted modulo its width,
  so that a total that wrapped is one of these. A total that was not there before begins where it is.
- **The device was started anew**, and what it shows now was counted since: if its uptime says so, or if a total is
  lower than before and no wrap explains that. What it counted between the last reading and its end nobody knows.
- **Neither**: another device, or somebody set it back by hand. Counting begins anew and nothing is counted. It is said
  in the log and in the health. (Most devices do not say who they are. One that was exchanged is noticed by this alone:
  if its totals happen to be a little above those of the one before, it is taken for that one.)

The totals may rise in jumps: a device that brings them up to date once a minute shows a minute's passages at once. So
the time for a rise is counted from when the totals last changed.

What without an uptime cannot be known: a device that was started anew and has since counted beyond its old totals looks
as if it went on; the old totals are missing then, and nothing is invented. One that is started anew within a few
passages of its wrap looks as if it wrapped. After a gap so long that half a width may have passed by (54 minutes for
16 bits and 10 a second) a lower total is taken for a new start, which is the smaller number. In a gap so long that more
than a whole width did, whole turns are missing.

Where a line has no good checksum a digit can be lost. So a reading that did not simply go on must be said again
(`Rule.confirm`): it counts only once the next ones go on from it. Totals lose nothing by that.

Two readings in a row within `most_gap_s` of one another: the device counted all the time between, that time is
measured, and the passages are noticed at the second one. After a longer gap, or a new start, it is a sum over the time
since the last reading with nothing measured. What is booked and how far the totals are is stored together, so that
another process goes on from there. Pure.
"""

import zlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal, Protocol, Self, TypeAlias

from pydantic import Field

from footfall_contract.words import MAX_SPAN_S, Direction
from footfall_edge.clock import Moment
from footfall_edge.counts import Cursor, Passages
from footfall_edge.drivers import Booking, Device, Driver, Outcome, Session, Step, Survey
from footfall_edge.framer import Frame
from footfall_edge.sheet import Sheet
from footfall_edge.tracker import UnreadableError

ALLOWANCE_S: Final = 2.0
"""Seconds by which a reading may be older than it looks: buffers, a device that brings its totals up to date."""
UPTIME_WRAP: Final = 2**32
"""Uptimes are seconds modulo this."""
UPTIME_SLACK_S: Final = 2.0
UPTIME_DRIFT: Final = 0.02
"""So much of the time that passed a device's clock may be wrong by: a ceramic resonator is good to a half per cent."""
LONGEST_S: Final = float(MAX_SPAN_S)
"""The time since a last reading of which only this is known: that there was one."""
WARN_S: Final = 600.0
"""Seconds for which the health says that counting had to begin anew."""

AfterRestart: TypeAlias = Literal["zero", "kept"]
Key: TypeAlias = tuple[int, int]
"""(direction, class)."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How one total counts."""

    modulus: int = 2**32
    """After one less than this comes 0."""
    scale: int = 1
    """Passages for each step of the total."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the totals were at one moment."""

    at_s: float | None
    """Monotonic seconds; None: in an earlier process."""
    values: Mapping[Key, int]
    uptime_s: int | None = None
    """Seconds for which the device has been running, modulo `UPTIME_WRAP`; None if it does not say."""


class Turn(Enum):
    """How the device came from one reading to the next."""

    WENT_ON = "it went on"
    STARTED_ANEW = "it was started anew, and its totals with it"
    ANOTHER = "it is another, or was set back by hand"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one reading says after another."""

    turn: Turn
    passages: Passages = ()
    restarted: bool = False
    """The device was started anew, whatever became of its totals."""

    @property
    def sure(self) -> bool:
        """Whether it needs no second reading to be believed."""
        return self.turn is Turn.WENT_ON and not self.restarted


@dataclass(frozen=True, slots=True)
class Rule:
    """How a device counts, and what is believed of it."""

    meters: Mapping[Key, Meter]
    identity: str
    """Which totals these are: the device's settings that give them their meaning, in any words."""
    most_per_s: float = 10.0
    most_gap_s: float = 30.0
    after_restart: AfterRestart = "zero"
    confirm: int = 1
    """How many readings must go on from one that did not go on from those before, until it is believed."""

    @property
    def device(self) -> int:
        """The number under which the totals are kept. Above those that devices call themselves by."""
        return 2**32 + zlib.crc32(self.identity.encode())

    def plausible(self, seconds: float) -> float:
        """Passages in one direction that `seconds` can have brought."""
        return self.most_per_s * (max(0.0, seconds) + ALLOWANCE_S)

    def judge(self, before: Reading, after: Reading, elapsed_s: float, quiet_s: float) -> Judgement:
        """What `after` says, `elapsed_s` after `before`, which had not changed for `quiet_s` by then."""
        restarted = started_anew(before.uptime_s, after.uptime_s, elapsed_s)
        both = [key for key in after.values if key in before.values]
        rises = {key: (after.values[key] - before.values[key]) % self.meters[key].modulus for key in both}
        went_on = all(
            self._may_rise(key, rise, elapsed_s, quiet_s, wrapped=after.values[key] < before.values[key], up=restarted)
            for key, rise in rises.items()
        )
        up_s = elapsed_s if after.uptime_s is None else min(elapsed_s, after.uptime_s)
        anew = self.after_restart == "zero" and all(
            value * self.meters[key].scale <= self.plausible(up_s) for key, value in after.values.items()
        )
        if restarted and anew:
            return Judgement(Turn.STARTED_ANEW, self._passages(after.values), restarted=True)
        if went_on:
            return Judgement(Turn.WENT_ON, self._passages(rises), restarted=bool(restarted))
        if restarted is None and anew:
            return Judgement(Turn.STARTED_ANEW, self._passages(after.values), restarted=True)
        return Judgement(Turn.ANOTHER, restarted=bool(restarted))

    def _may_rise(
        self, key: Key, rise: int, elapsed_s: float, quiet_s: float, *, wrapped: bool, up: bool | None
    ) -> bool:
        meter = self.meters[key]
        most = self.plausible(max(elapsed_s, quiet_s))
        if wrapped and up is None and self.after_restart == "zero":
            # A wrap explains a lower total only where it would be a coincidence.
            half = meter.modulus * meter.scale / 2
            most = next((limit for limit in (most, self.plausible(elapsed_s)) if limit < half), -1)
        return rise * meter.scale <= most

    def _passages(self, steps: Mapping[Key, int]) -> Passages:
        return tuple((*key, number * self.meters[key].scale) for key, number in sorted(steps.items()) if number)


def started_anew(before_s: int | None, after_s: int | None, elapsed_s: float) -> bool | None:
    """Whether a device was started between two readings `elapsed_s` apart, by its uptimes; None if they do not tell."""
    if after_s is None:
        return None
    slack_s = UPTIME_SLACK_S + UPTIME_DRIFT * elapsed_s
    if before_s is None:
        # All there is to go by is whether it ran already at the last reading.
        if after_s + slack_s < elapsed_s:
            return True
        return False if after_s > elapsed_s + slack_s else None
    if before_s + elapsed_s + slack_s >= UPTIME_WRAP:
        return None
    ahead_s = after_s - (before_s + elapsed_s)
    if ahead_s < -slack_s or after_s < before_s:
        # Less than it would be, and yet longer than the time since: not the device that it was.
        return True if after_s <= elapsed_s + slack_s else None
    return False if ahead_s <= slack_s < before_s else None


@dataclass(frozen=True, slots=True)
class Change:
    """What a reading came to."""

    before: Reading | None
    """The reading that was believed before it; None if there was none."""
    judgement: Judgement | None
    """None at first contact."""
    doubted: bool = False
    """It is not believed yet, and may never be."""
    begun: Reading | None = None
    """At first contact, the reading with which counting begins: the first that was confirmed, perhaps this one."""


@dataclass(frozen=True, slots=True)
class Account:
    """The last reading that was believed, and the one that is doubted. Immutable."""

    rule: Rule
    last: Reading | None = None
    doubt: Reading | None = None
    origin: Reading | None = None
    """The first that is doubted, from which those after it went on."""
    confirmed: int = 0
    """How many did."""
    changed_s: float | None = None
    """Monotonic seconds at which the totals last changed."""

    def after(self, reading: Reading, elapsed_s: float | None = None) -> tuple["Account", Change]:
        """The account after `reading`, `elapsed_s` after the last if that was in an earlier process."""
        judgement = None
        if self.last is not None:
            elapsed_s = _between(self.last.at_s, reading.at_s) if elapsed_s is None else elapsed_s
            judgement = self.rule.judge(self.last, reading, elapsed_s, _between(self.changed_s, reading.at_s, 0.0))
        change = Change(self.last, judgement)
        confirmed, origin = (self.confirmed + 1, self.origin) if self._confirms(reading) else (0, reading)
        if (judgement is None or not judgement.sure) and confirmed < self.rule.confirm:
            doubting = replace(self, doubt=reading, origin=origin, confirmed=confirmed)
            return doubting, replace(change, doubted=True)
        if self.last is None:
            change = self._beginning(reading, origin)
        values, changed_s = reading.values, reading.at_s
        if self.last is not None and judgement is not None and judgement.turn is Turn.WENT_ON:
            # A total that this reading does not have is where it was.
            values = {**self.last.values, **reading.values}
            if values == self.last.values and self.changed_s is not None:
                changed_s = self.changed_s
        believed = replace(reading, values=MappingProxyType(dict(values)))
        return replace(self, last=believed, doubt=None, origin=None, confirmed=0, changed_s=changed_s), change

    def _beginning(self, reading: Reading, origin: Reading | None) -> Change:
        """What the first reading that is believed comes to: counting begins where those that it confirms began."""
        if origin is None or origin is reading:
            return Change(None, None, begun=reading)
        elapsed_s = _between(origin.at_s, reading.at_s)
        since = self.rule.judge(origin, reading, elapsed_s, elapsed_s)
        return Change(origin, since, begun=origin) if since.sure else Change(None, None, begun=reading)

    def _confirms(self, reading: Reading) -> bool:
        """Whether `reading` goes on from the one that is doubted."""
        if self.doubt is None:
            return False
        elapsed_s = _between(self.doubt.at_s, reading.at_s)
        return self.rule.judge(self.doubt, reading, elapsed_s, elapsed_s).sure


def _between(since_s: float | None, until_s: float | None, unknown_s: float = LONGEST_S) -> float:
    return unknown_s if since_s is None or until_s is None else max(0.0, until_s - since_s)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one frame shows."""

    values: Mapping[Key, int] | None = None
    """The totals; None if it has none, or not all of them yet."""
    uptime_s: int | None = None
    firmware: str | None = None
    trouble: str | None = None
    """What the device, or the asking for it, complains of; empty: of nothing; None: it does not say."""
    at_s: float | None = None
    """Monotonic seconds of the moment that it tells of; None: that at which it came."""
    remark: str = ""


class Reader(Protocol):
    """How to read the frames of one make, and to ask for them. Immutable."""

    def opened(self) -> Self:
        """The line was opened anew: nothing that was asked will be answered."""

    def ask(self, now: Moment) -> tuple[Self, bytes]:
        """What to send at `now`, mostly nothing; and the reader after that."""

    def read(self, frame: Frame, at: Moment) -> tuple[Self, Shown]:
        """What `frame`, which came in at `at`, shows; and the reader for the next one.

        Raises:
            UnreadableError: the frame is not what the protocol says.
        """


@dataclass(frozen=True, slots=True)
class TotalsSession:
    """The edge's side of a line on which a device shows running totals."""

    reader: Reader
    account: Account
    slot_s: int
    sheet: Sheet = field(default_factory=Sheet)
    booked: Reading | None = None
    """What is booked, while it cannot be compared: it is unknown how long ago that was."""
    first: Reading | None = None
    """The first reading that was believed since, to be compared with `booked` when the clock is trusted."""
    seq: int = 0
    """Number of the latest booking."""
    firmware: str | None = None
    said: str = ""
    """What the device complains of."""
    warning: str = ""
    warned_s: float = 0.0
    restarts: int = 0

    @property
    def device(self) -> Device:
        """What is known of the device."""
        return Device(self.firmware, self.restarts, "; ".join(text for text in (self.said, self.warning) if text))

    def opened(self, now: Moment) -> "Step[TotalsSession]":
        """Ask at once."""
        return replace(self, reader=self.reader.opened()).tick(now)

    def tick(self, now: Moment) -> "Step[TotalsSession]":
        """Ask for a reading when it is time, and book what is due."""
        session, remark, anew = _compared(self, now)
        if session.warning and now.monotonic_s - session.warned_s >= WARN_S:
            session = replace(session, warning="")
        reader, question = session.reader.ask(now)
        if reader is not session.reader:
            session = replace(session, reader=reader)
        return replace(_booked(session, now, None, anew=anew), reply=question, remark=remark)

    def closed(self, now: Moment) -> "Step[TotalsSession]":
        """Book everything that can be placed in time."""
        # The clock may be trusted since a moment ago; with the cursor what was not compared by then would be gone.
        session, remark, anew = _compared(self, now)
        return replace(_booked(session, now, None, anew=anew, all_of_it=True), remark=remark)

    def heard(self, frame: Frame, at: Moment) -> "Step[TotalsSession]":
        """Take what a frame shows."""
        try:
            reader, shown = self.reader.read(frame, at)
        except UnreadableError as error:
            return Step(self, Outcome.UNREADABLE, remark=str(error))
        session = replace(
            self,
            reader=reader,
            firmware=self.firmware if shown.firmware is None else shown.firmware,
            said=self.said if shown.trouble is None else shown.trouble,
        )
        if shown.values is None:
            return Step(session, Outcome.TOLD, remark=shown.remark)
        at_s = at.monotonic_s if shown.at_s is None else shown.at_s
        step = _taken(session, Reading(at_s, shown.values, shown.uptime_s), at)
        return replace(step, remark="; ".join(text for text in (shown.remark, step.remark) if text))


def _taken(session: TotalsSession, reading: Reading, now: Moment) -> Step[TotalsSession]:
    """The step that a reading is."""
    session, remark, anew = _compared(session, now)
    last, elapsed_s = session.account.last, None
    if last is not None and last.at_s is None:
        elapsed_s = _since_booked_s(session, reading, now)
        if elapsed_s is None:
            # Compared when the clock is trusted. Until then counting goes on from this reading.
            session = replace(session, booked=last, account=replace(session.account, last=None))
    account, change = session.account.after(reading, elapsed_s)
    session = replace(session, account=account)
    judgement = change.judgement
    if change.doubted:
        return replace(
            _booked(session, now, Outcome.IMPLAUSIBLE if judgement else Outcome.SEEN, anew=anew), remark=remark
        )
    outcome, told = Outcome.SEEN, ""
    if change.begun is not None:
        session, begun = _begun(session, change.begun, now)
        session, told, other = _compared(session, now)
        anew = anew or begun or other
    if judgement is not None:
        since_s = None if change.before is None else change.before.at_s
        session, noted = _noted(session, judgement, since_s, reading, now)
        told = told or noted
        anew = anew or judgement.turn is not Turn.WENT_ON
        outcome = Outcome.IMPLAUSIBLE if judgement.turn is Turn.ANOTHER else outcome
    return replace(_booked(session, now, outcome, anew=anew), remark=remark or told)


def _since_booked_s(session: TotalsSession, reading: Reading, now: Moment) -> float | None:
    """Seconds from the end of the booked time to `reading`; None while that cannot be said."""
    if session.sheet.booked_ms <= 0:
        return LONGEST_S
    utc_ms = _utc_ms(reading, now)
    return None if utc_ms is None else max(0.0, (utc_ms - session.sheet.booked_ms) / 1000)


def _begun(session: TotalsSession, reading: Reading, now: Moment) -> tuple[TotalsSession, bool]:
    """`session` when counting begins with `reading`; and whether nothing is booked of the device yet."""
    if session.booked is not None:
        return replace(session, first=reading), False
    return _from_here(session, reading, now), True


def _from_here(session: TotalsSession, reading: Reading, now: Moment) -> TotalsSession:
    """`session` with the booked time up to `reading`, of which nothing is counted."""
    booked_ms = max(session.sheet.booked_ms, _utc_ms(reading, now) or 0)
    return replace(session, sheet=replace(session.sheet, booked_ms=booked_ms))


def _compared(session: TotalsSession, now: Moment) -> tuple[TotalsSession, str, bool]:
    """`session` with what waited for the clock compared, if it can be; a remark; and whether the totals began anew."""
    if session.booked is None or now.utc_ms is None:
        return session, "", False
    booked, first = session.booked, session.first
    session = replace(session, booked=None, first=None)
    if first is None:
        return replace(session, account=replace(session.account, last=booked)), "", False
    elapsed_s = _since_booked_s(session, first, now)
    assert elapsed_s is not None
    judgement = session.account.rule.judge(booked, first, elapsed_s, 0.0)
    session, remark = _noted(session, judgement, None, first, now)
    return session, remark, judgement.turn is not Turn.WENT_ON


def _noted(
    session: TotalsSession, judgement: Judgement, since_s: float | None, reading: Reading, now: Moment
) -> tuple[TotalsSession, str]:
    """`session` with what `reading` came to on the sheet; and what an operator should know."""
    assert reading.at_s is not None
    session = replace(session, restarts=session.restarts + judgement.restarted)
    if judgement.turn is Turn.ANOTHER:
        remark = (
            f"the totals ({_said(reading.values)}) are not what the last ones can have become, nor those of a device "
            "just started: another device, or set back by hand; counting begins anew"
        )
        return replace(_from_here(session, reading, now), warning=remark, warned_s=now.monotonic_s), remark
    if since_s is None or judgement.restarted or reading.at_s - since_s > session.account.rule.most_gap_s:
        return replace(session, sheet=session.sheet.recovered(since_s, reading.at_s, judgement.passages)), ""
    sheet = session.sheet.measured(since_s, reading.at_s).saw(reading.at_s, judgement.passages)
    return replace(session, sheet=sheet), ""


def _booked(
    session: TotalsSession, now: Moment, outcome: Outcome | None, *, anew: bool, all_of_it: bool = False
) -> Step[TotalsSession]:
    """`session` with what is due at `now` booked, or all of it; where the totals began `anew`, how far they are."""
    sheet, counts = session.sheet.cut(now, session.slot_s, all_of_it=all_of_it)
    session = session if sheet is session.sheet else replace(session, sheet=sheet)
    if not counts and not (anew and session.booked is None):
        return Step(session, outcome)
    session = replace(session, seq=session.seq + 1)
    return Step(session, outcome, Booking(counts, _cursor(session)))


def _cursor(session: TotalsSession) -> Cursor:
    """How far the device is booked. What is not booked yet its totals will show again."""
    rule, last, unplaced = session.account.rule, session.account.last, session.sheet.unplaced
    totals = {
        key: (value - unplaced.get(key, 0) // rule.meters[key].scale) % rule.meters[key].modulus
        for key, value in ({} if last is None else last.values).items()
    }
    return Cursor(rule.device, 0, session.seq, session.sheet.booked_ms, MappingProxyType(totals))


def _utc_ms(reading: Reading, now: Moment) -> int | None:
    return None if reading.at_s is None else now.utc_ms_of(reading.at_s)


def _said(values: Mapping[Key, int]) -> str:
    return ", ".join(f"{_direction(direction)} {value}" for (direction, _), value in sorted(values.items()))


def _direction(direction: int) -> str:
    return Direction(direction).name.lower()


def resumed(reader: Reader, rule: Rule, cursors: Iterable[Cursor], slot_s: int) -> TotalsSession:
    """A session that goes on from what is booked."""
    known = list(cursors)
    booked_ms = max((cursor.end_ms for cursor in known), default=0)
    own = next((cursor for cursor in known if cursor.device == rule.device), None)
    last = None
    # If another driver, or this one with other registers, counted here since, these totals would count it again.
    if own is not None and own.totals and own.end_ms >= booked_ms:
        totals = {key: value for key, value in own.totals.items() if key in rule.meters}
        last = Reading(None, MappingProxyType(totals))
    return TotalsSession(
        reader, Account(rule, last), slot_s, Sheet(booked_ms=booked_ms), seq=0 if own is None else own.seq
    )


class TotalsSurvey:
    """What a probe learns of a device that shows running totals. Its memory does not grow with what it sees.

    A recording has no times. Its readings are taken to be as far apart as their uptimes say, else `most_gap_s`.
    """

    targets = 0
    """It reports passages, no moving targets."""

    def __init__(self, reader: Reader, rule: Rule) -> None:
        self.restarts = 0
        self._passages = {"in": 0, "out": 0}
        self._undirected = self._doubted = self._others = self._unreadable = 0
        self._account = Account(rule)
        self._reader = reader
        self._now_s: float | None = None
        self._recorded_s = 0.0
        self._uptime_s: int | None = None
        self._firmware: str | None = None
        self._said = self._fault = ""

    @property
    def passages(self) -> Mapping[str, int]:
        """Passages by direction, ``in`` and ``out``."""
        return self._passages

    def question(self, now_s: float) -> bytes:
        """Ask as a session would; nothing that is asked changes anything in the device."""
        self._now_s = now_s
        self._reader, question = self._reader.ask(Moment(None, now_s))
        return question

    def see(self, frame: Frame) -> None:
        """Take note of a frame."""
        at_s = self._recorded_s if self._now_s is None else self._now_s
        try:
            self._reader, shown = self._reader.read(frame, Moment(None, at_s))
        except UnreadableError as error:
            self._unreadable += 1
            self._fault = str(error)
            return
        self._firmware = shown.firmware or self._firmware
        self._said = self._said if shown.trouble is None else shown.trouble
        if shown.values is not None:
            self._take(shown.values, shown.uptime_s)

    def _take(self, values: Mapping[Key, int], uptime_s: int | None) -> None:
        if self._now_s is None:
            told = uptime_s is not None and self._uptime_s is not None and uptime_s >= self._uptime_s
            self._recorded_s += (
                float((uptime_s or 0) - (self._uptime_s or 0)) if told else self._account.rule.most_gap_s
            )
        self._uptime_s = uptime_s
        at_s = self._recorded_s if self._now_s is None else self._now_s
        self._account, change = self._account.after(Reading(at_s, values, uptime_s))
        if change.judgement is None:
            return
        if change.doubted:
            self._doubted += 1
            return
        self.restarts += change.judgement.restarted
        self._others += change.judgement.turn is Turn.ANOTHER
        for direction, _, number in change.judgement.passages:
            if direction == Direction.UNDIRECTED:
                self._undirected += number
            else:
                self._passages["in" if direction == Direction.IN else "out"] += number

    def lines(self) -> list[str]:
        """What was learnt of the device, for a person, one thing a line."""
        found = []
        last = self._account.last or self._account.doubt
        if last is not None:
            up = "" if last.uptime_s is None else f"; up {last.uptime_s} s"
            found.append(f"running totals: {_said(last.values)}{up}")
        if self._firmware:
            found.append(f"firmware {self._firmware!r}")
        if self._said:
            found.append(f"trouble: {self._said}")
        if self._undirected:
            found.append(f"passages without a direction: {self._undirected}")
        if self._doubted:
            found.append(f"readings that did not go on from the one before: {self._doubted}")
        if self._others:
            found.append(f"times that counting had to begin anew: {self._others}")
        if self._unreadable:
            found.append(f"frames that could not be read: {self._unreadable}; the last: {self._fault}")
        return found


class TotalsDriver(Driver):
    """Base of the drivers for devices that keep running totals.

    While the outbox cannot be written their steps are kept all the same: compared with totals of hours ago, those of 16
    bits could not tell a wrap from a new start, and none of that time would be measured. If the process ends then, the
    totals show again what was kept.
    """

    most_per_s: float = Field(
        10.0, gt=0, le=1000, description="passages a second in one direction; totals that rise faster are not believed"
    )
    most_gap_s: float = Field(
        30.0, ge=0.5, le=86400, description="seconds between two readings up to which the time between is measured"
    )
    after_restart: AfterRestart = Field(
        "zero", description="where the totals begin when the device is started anew: at zero, or where they were (kept)"
    )

    @abstractmethod
    def reader(self, slot_s: int) -> Reader:
        """Nothing read yet; `slot_s` are the seconds of a slot."""

    @abstractmethod
    def rule(self) -> Rule:
        """How the device counts."""

    def session(self, cursors: Iterable[Cursor], *, slot_s: int = 10) -> Session:
        """A session that goes on from what is booked."""
        return resumed(self.reader(slot_s), self.rule(), cursors, slot_s)

    def survey(self) -> Survey:
        """A survey for a probe."""
        return TotalsSurvey(self.reader(1), self.rule())
