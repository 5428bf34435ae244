"""From a counter's uplinks to counts: uplink → reading → one span, from the uplink before to this one.

Whatever was lost on the air the next totals make good: what an uplink says is what the totals rose by since the last
one that is booked. The rule for that is `totals.Rule`, with the times at which the network server received the uplinks,
and with what only such a device tells:

- **The frame counter** goes up by one with each uplink of a session. Where it follows on the uplink before, the counts
  since then that many devices send beside their totals say what became of these: if the totals rose by them, it went
  on, also over a wrap of 16 bits; if they are the totals, these began at 0. Where the totals can be neither, somebody
  has set them, and the counts since the uplink before are what passed.
- **A sign of a new start** (the device says so, or the frame counter fell, which is a new join) with totals lower than
  before: they began at 0. With totals that are not lower nobody knows; it is taken to have gone on, which is the
  smaller number, and the time is not called measured.
- A device that says that its totals were set to 0 begins there.

Totals that went on: the device counted all the time since the uplink before, and that time is measured, also over
uplinks that were lost. After a new start only the sum since then is known, with nothing measured. The first uplink is
where counting begins. A device that never sends totals is counted by what it counted since its uplink before; where one
in between was lost, its counts are lost with it and the time is not called measured.

An uplink that is not later than the last one booked came twice, or late: its counts are in the totals already. If its
frame counter is higher all the same, some clock is wrong, and that is said. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import ClassVar, Final, Self, TypeAlias

from footfall_contract.words import MAX_SPAN_S, Direction
from footfall_edge import totals
from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor, Passages
from footfall_edge.drivers import Booking, Device, Outcome, Session, Step
from footfall_edge.framer import Frame
from footfall_edge.lorawan.payloads import Make, decode
from footfall_edge.lorawan.reading import PayloadError, Reading
from footfall_edge.lorawan.uplink import Uplink
from footfall_edge.totals import Meter, Rule, Turn

AHEAD_MS: Final = 300_000
"""Milliseconds by which the network server's clock may be ahead of ours. An uplink from farther in the future is not
counted: all that come until then would look late."""
REPEATED_MS: Final = 60_000
"""Within so many milliseconds a frame counter that comes again is the same uplink, heard late by another gateway."""
WITHOUT_TOTALS: Final = 3
"""Uplinks with counts and without totals, of a device that has sent totals, until that is called a trouble."""
LOW_BATTERY_PERCENT: Final = 10
UNREADABLE_LOGGED_MS: Final = 3_600_000
"""Uplinks of a device that cannot be read are logged once in this time."""

_Totals: TypeAlias = Mapping[tuple[int, int], int]
_RECEIPT_BYTES: Final = 8
_OTHER_WAY: Final = {int(Direction.IN): int(Direction.OUT), int(Direction.OUT): int(Direction.IN)}


@dataclass(frozen=True, slots=True)
class UplinkFrame(Frame):
    """An uplink for one sensor. Its kind is the FPort, its body the payload."""

    uplink: Uplink
    number: int
    """1, 2, 3, … of those that this process has for the sensor, in the order in which they are to be booked."""

    @classmethod
    def of(cls, uplink: Uplink, number: int) -> Self:
        """The frame of `uplink`."""
        return cls(uplink.f_port, uplink.payload, uplink, number)


def receipt(number: int) -> bytes:
    """What acknowledges the frames of a sensor up to `number`."""
    return number.to_bytes(_RECEIPT_BYTES, "big")


def receipted(data: bytes) -> int:
    """The number in a receipt."""
    return int.from_bytes(data, "big")


def device_number(dev_eui: str) -> int:
    """The DevEUI as the number of a cursor: 64 bits with a sign, which is what the outbox can keep."""
    return int.from_bytes(bytes.fromhex(dev_eui), "big", signed=True)


@dataclass(frozen=True, slots=True)
class LorawanDevice:
    """One line of a counter on LoRaWAN, which is a sensor: what `drivers.Driver` is for a serial line."""

    dev_eui: str
    """16 lower-case hexadecimal digits."""
    make: Make
    line: int = 1
    reversed: bool = False
    """It is mounted so that its first direction is our `out`."""
    most_per_s: float = 10.0

    remembers: ClassVar[bool] = True
    """In its totals; and the subscriber says again what was not booked."""
    slotted: ClassVar[bool] = False

    def session(self, cursors: Iterable[Cursor], *, slot_s: int = 10) -> Session:  # noqa: ARG002  # it has no slots
        """A session that goes on from what is booked."""
        known = list(cursors)
        booked_ms = max((cursor.end_ms for cursor in known), default=0)
        own = next((cursor for cursor in known if cursor.device == device_number(self.dev_eui)), None)
        # If another device, or this one's other line, was counted here since, or somebody else may have booked what
        # this one counted, its totals tell nothing.
        if own is None or own.totals is None or own.boot != self.line or own.end_ms < booked_ms:
            return UplinkSession(self, heard_ms=booked_ms)
        return UplinkSession(self, Known(own.end_ms, MappingProxyType(dict(own.totals))), booked_ms, own.seq)


@dataclass(frozen=True, slots=True)
class Known:
    """What is booked of a device."""

    received_ms: int
    """UTC unix milliseconds of the last uplink that is."""
    totals: _Totals
    """Its totals, as the device says them; empty for one that never sent any."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an uplink says after the one that is booked."""

    turn: Turn
    passages: Passages = ()
    """As the device says them."""
    measured: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class UplinkSession:
    """What is known of one line of a device. Immutable."""

    how: LorawanDevice
    last: Known | None = None
    heard_ms: int = 0
    """UTC unix milliseconds of the latest uplink that was looked at."""
    f_cnt: int | None = None
    """Its frame counter; None: nobody knows."""
    taken: int = 0
    """Number of the last frame that was taken."""
    renewed: bool = False
    """There was a sign of a new start since the last uplink that is booked."""
    without_totals: int = 0
    restarts: int = 0
    firmware: str | None = None
    troubles: Mapping[str, bool] = field(default_factory=dict)
    battery: str = ""
    warning: str = ""
    unreadable: str = ""
    unreadable_logged_ms: int | None = None
    said: tuple[str, ...] = ()
    """The remarks of the last reading."""

    @property
    def device(self) -> Device:
        """What is known of the device."""
        complaints = [what for what, so in self.troubles.items() if so]
        parts = (self.unreadable, self.warning, *complaints, self.battery)
        return Device(self.firmware, self.restarts, "; ".join(part for part in parts if part))

    def opened(self, now: Moment) -> "Step[UplinkSession]":  # noqa: ARG002
        """The network server is there; nobody is greeted."""
        return Step(self)

    def tick(self, now: Moment) -> "Step[UplinkSession]":  # noqa: ARG002
        """Only uplinks tell anything."""
        return Step(self)

    def closed(self, now: Moment) -> "Step[UplinkSession]":  # noqa: ARG002
        """Everything is booked as it comes."""
        return Step(self)

    def heard(self, frame: Frame, at: Moment) -> "Step[UplinkSession]":
        """Take an uplink, if it is its turn."""
        assert isinstance(frame, UplinkFrame)
        if frame.number <= self.taken:
            return Step(self, Outcome.DUPLICATE, acknowledge=receipt(self.taken))
        if frame.number > self.taken + 1:
            return Step(self, Outcome.OUT_OF_ORDER)
        if at.utc_ms is None:
            return Step(self, Outcome.UNTIMED)
        step = _taken(self, frame.uplink, at.utc_ms)
        return replace(step, session=replace(step.session, taken=frame.number), acknowledge=receipt(frame.number))


def _taken(session: UplinkSession, uplink: Uplink, now_ms: int) -> Step[UplinkSession]:
    """The step that an uplink is."""
    since_ms = uplink.received_ms - session.heard_ms
    if uplink.received_ms > now_ms + AHEAD_MS:
        return _untimely(session, "from the future")
    if since_ms <= 0 and session.f_cnt is not None and uplink.f_cnt > session.f_cnt:
        return _untimely(session, "with times before those of earlier ones")
    if since_ms <= 0 or (uplink.f_cnt == session.f_cnt and since_ms < REPEATED_MS):
        return Step(session, Outcome.DUPLICATE)
    try:
        reading = decode(session.how.make, uplink.f_port, uplink.payload, line=session.how.line)
    except PayloadError as error:
        return _unreadable(session, uplink, str(error))
    session, remark = _noted(session, reading)
    fell = session.f_cnt is not None and uplink.f_cnt < session.f_cnt
    follows = session.f_cnt is not None and uplink.f_cnt == session.f_cnt + 1
    session = replace(
        session,
        heard_ms=uplink.received_ms,
        f_cnt=uplink.f_cnt,
        renewed=session.renewed or fell or reading.started,
    )
    step = _counted(session, uplink, reading, follows=follows)
    return replace(step, remark="; ".join(text for text in (remark, step.remark) if text))


def _untimely(session: UplinkSession, what: str) -> Step[UplinkSession]:
    """An uplink whose time cannot be: the next one that is timed well will have its passages in its totals."""
    warning = f"uplinks {what} are not counted: are the clocks of the network server and the gateways right?"
    remark = "" if session.warning == warning else warning
    return Step(replace(session, warning=warning), Outcome.IMPLAUSIBLE, remark=remark)


def _unreadable(session: UplinkSession, uplink: Uplink, why: str) -> Step[UplinkSession]:
    """An uplink that cannot be read changes nothing: to the next one it is as if it had been lost."""
    logged_ms = session.unreadable_logged_ms
    due = logged_ms is None or uplink.received_ms - logged_ms >= UNREADABLE_LOGGED_MS
    remark = f"an uplink cannot be read: {why}"
    session = replace(session, unreadable=remark, unreadable_logged_ms=uplink.received_ms if due else logged_ms)
    return Step(session, Outcome.UNREADABLE, remark=remark if due else "")


def _noted(session: UplinkSession, reading: Reading) -> tuple[UplinkSession, str]:
    """`session` with what the device says of itself; and what of it is new."""
    remarks = [remark for remark in reading.remarks if remark not in session.said]
    now = {**session.troubles, **dict(reading.troubles)}
    for what, so in now.items():
        if so != session.troubles.get(what, False):
            remarks.append(what if so else f"no longer: {what}")
    battery = session.battery
    if reading.battery_percent is not None:
        low = reading.battery_percent <= LOW_BATTERY_PERCENT
        battery = f"battery at {reading.battery_percent} %" if low else ""
    noted = replace(
        session,
        firmware=reading.firmware or session.firmware,
        troubles=MappingProxyType(now),
        battery=battery,
        unreadable="",
        said=reading.remarks,
    )
    return noted, "; ".join(remarks)


def _counted(session: UplinkSession, uplink: Uplink, reading: Reading, *, follows: bool) -> Step[UplinkSession]:
    """The step that the counts of a reading are."""
    last = session.last
    shown = _as_totals(reading.totals)
    if last is not None and last.totals and not shown:
        if reading.cleared:
            return _booked(session, uplink, dict.fromkeys(last.totals, 0), ())
        return _without_totals(session, reading)
    if not reading.counts:
        return Step(session, Outcome.TOLD)
    before, session = session, replace(session, without_totals=0, warning="")
    if last is None:
        return _booked(session, uplink, shown, ())
    told = _told(before, last, uplink, reading, follows=follows)
    counts = _spans(session.how, last.received_ms, uplink.received_ms, told)
    if told.turn is Turn.WENT_ON:
        now = {**last.totals, **shown}  # a total that this uplink does not have is where it was
    elif told.turn is Turn.STARTED_ANEW:
        now = {**dict.fromkeys(last.totals, 0), **shown}
        session = replace(session, restarts=session.restarts + 1)
    else:
        now = shown
        session = replace(session, warning=told.remark)
    outcome = Outcome.IMPLAUSIBLE if told.turn is Turn.ANOTHER and not counts else Outcome.BOOKED
    return _booked(session, uplink, now, counts, outcome=outcome, remark=told.remark)


def _without_totals(session: UplinkSession, reading: Reading) -> Step[UplinkSession]:
    """The next totals will have what passed, unless there are none any more."""
    if not reading.counts:
        return Step(session, Outcome.TOLD)
    session = replace(session, without_totals=session.without_totals + 1)
    if session.without_totals != WITHOUT_TOTALS:
        return Step(session, Outcome.SEEN)
    remark = "its uplinks have no totals any more, and so are not counted: is it set to another payload?"
    return Step(replace(session, warning=remark), Outcome.SEEN, remark=remark)


def _told(session: UplinkSession, last: Known, uplink: Uplink, reading: Reading, *, follows: bool) -> Told:
    """What the counts of `reading` say after `last`."""
    elapsed_s = (uplink.received_ms - last.received_ms) / 1000
    meter = Meter(2**reading.width_bits)
    shown = _as_totals(reading.totals)
    rule = Rule(dict.fromkeys({*last.totals, *shown}, meter), "", most_per_s=session.how.most_per_s)
    possible = rule.plausible(elapsed_s)
    since = _as_totals(reading.increments)
    since_possible = all(number <= possible for number in since.values())
    if not last.totals:
        if not since_possible:
            return Told(Turn.ANOTHER, remark=f"more passages than {elapsed_s:.0f} s can have: {_said(since)}")
        return Told(Turn.WENT_ON, reading.increments, measured=bool(since) and follows and not session.renewed)

    turn = _turn(rule, last.totals, reading, elapsed_s, follows=follows, renewed=session.renewed)
    all_since = follows and not session.without_totals  # what came without totals counted a part of it
    if turn is Turn.WENT_ON:
        return Told(turn, _passages(_rises(last.totals, shown, meter)), measured=not session.renewed)
    if turn is Turn.STARTED_ANEW:
        # Totals that somebody set, and not to 0, look like these, too.
        passed = {key: min(total, since.get(key, total)) if all_since else total for key, total in shown.items()}
        return Told(turn, _passages(passed), remark=f"it was started anew, or its totals were: {_said(shown)}")
    remark = f"totals that the last ones cannot have become: {_said(last.totals)}, then {_said(shown)}"
    if follows and since and since_possible and not session.renewed:
        said = f"{remark}; what it counted since its last uplink was taken"
        return Told(turn, reading.increments, measured=all_since, remark=said)
    return Told(turn, remark=f"{remark}; counting begins anew")


def _turn(rule: Rule, before: _Totals, reading: Reading, elapsed_s: float, *, follows: bool, renewed: bool) -> Turn:
    """How the totals came from `before` to those of `reading`."""
    shown, since = _as_totals(reading.totals), _as_totals(reading.increments)
    possible = rule.plausible(elapsed_s)
    lower = any(total < before[key] for key, total in shown.items() if key in before)
    # It is these counts that say which it was, where they speak of the same time as the totals.
    alike = since.keys() == shown.keys() and all(number <= possible for number in since.values())
    rises = _rises(before, shown, Meter(2**reading.width_bits))
    if alike and follows and rises == since and not reading.cleared:
        return Turn.WENT_ON
    if reading.cleared or (renewed and lower) or (alike and (renewed or (follows and lower)) and shown == since):
        return Turn.STARTED_ANEW if all(total <= possible for total in shown.values()) else Turn.ANOTHER
    return rule.judge(totals.Reading(None, before), totals.Reading(None, shown), elapsed_s, 0.0).turn


def _rises(before: _Totals, after: _Totals, meter: Meter) -> dict[tuple[int, int], int]:
    """What the totals that are in both rose by."""
    return {key: (total - before[key]) % meter.modulus for key, total in after.items() if key in before}


def _spans(how: LorawanDevice, since_ms: int, until_ms: int, told: Told) -> tuple[Count, ...]:
    """The count from one uplink to the next; none if nothing was measured and nobody passed.

    Reports have whole seconds: both ends are rounded down, so that spans that follow one another still do.
    """
    start_ms, end_ms = since_ms // 1000 * 1000, until_ms // 1000 * 1000
    length_ms = end_ms - start_ms
    measured_ms = length_ms if told.measured and length_ms <= MAX_SPAN_S * 1000 else 0
    passages = tuple(
        (_OTHER_WAY.get(direction, direction) if how.reversed else direction, class_, number)
        for direction, class_, number in told.passages
        if number
    )
    if not measured_ms and not passages:
        return ()
    return (Count(start_ms, end_ms, measured_ms, passages, whole=True),)


def _booked(
    session: UplinkSession,
    uplink: Uplink,
    now: _Totals,
    counts: tuple[Count, ...],
    *,
    outcome: Outcome = Outcome.BOOKED,
    remark: str = "",
) -> Step[UplinkSession]:
    """`session` with `uplink` as the last one that is booked."""
    known = Known(uplink.received_ms, MappingProxyType(dict(now)))
    how = session.how
    # No device says how often it was started. So that the number tells which line the totals are of.
    cursor = Cursor(device_number(how.dev_eui), how.line, uplink.f_cnt, uplink.received_ms, known.totals)
    return Step(replace(session, last=known, renewed=False), outcome, Booking(counts, cursor), remark=remark)


def _as_totals(passages: Passages) -> dict[tuple[int, int], int]:
    return {(direction, class_): number for direction, class_, number in passages}


def _passages(numbers: _Totals) -> Passages:
    return tuple((*key, number) for key, number in sorted(numbers.items()))


def _said(numbers: _Totals) -> str:
    return ", ".join(
        f"{Direction(direction).name.lower()} {number}" for (direction, _), number in sorted(numbers.items())
    )
