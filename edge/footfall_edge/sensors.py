"""The sensors of this box: what their lines say, turned into entries for the outbox.

`Sensors.read` changes nothing that matters: it works out what a batch of events comes to. Only `keep`, called when
that is stored, makes it so. When the outbox could not store it the reading is dropped, and the devices, which hear
nothing, say it all again. Those that never say anything twice are gone on with all the same (`owe`): what they showed
is added up here and goes with the next reading.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from footfall_contract.state import SensorHealth
from footfall_edge import metrics
from footfall_edge.clock import Moment
from footfall_edge.coarsen import STEPS_S
from footfall_edge.counts import Cursor
from footfall_edge.drivers import Booking, Session, Step
from footfall_edge.events import Closed, Event, Heard, Opened
from footfall_edge.health import LineHealth
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.slots import Piece, is_slot, place, silent_slots
from footfall_role.logs import facts

log = logging.getLogger(__name__)


GRACE_S: Final = 3
"""Seconds after a slot's end in which its counts usually come."""

AHEAD_S: Final = 1
"""Seconds by which a device's clock may be ahead of ours: by more it is set right at once."""

MOST_OWED: Final = 1000
"""Slots and spans of one sensor that are kept as they are while the outbox cannot be written. Of more, the slots become
minutes, and then quarter hours: they have to fit into the memory for days, and into one transaction after that."""

Message = tuple[str, bytes]
"""Bytes for the device on the line of a sensor."""


class SetUp(Protocol):
    """How a sensor is understood: as much of a driver as does not depend on how its frames come here."""

    remembers: ClassVar[bool]
    """As in `drivers.Driver`."""
    slotted: ClassVar[bool]
    """As in `drivers.Driver`."""

    def session(self, cursors: Iterable[Cursor], *, slot_s: int = 10) -> Session:
        """A session that goes on from what is booked."""


class Sensor(Protocol):
    """One sensor as it is set up."""

    @property
    def id(self) -> str:
        """Its name everywhere."""

    @property
    def silent_s(self) -> float:
        """Seconds without a frame after which it is called silent."""

    @property
    def set_up(self) -> SetUp:
        """How it is understood."""


@dataclass(slots=True)
class Reading:
    """What a batch of events comes to, before any of it is stored."""

    entries: list[Entry] = field(default_factory=list)
    """For the outbox, in one transaction."""
    acknowledgements: dict[str, bytes] = field(default_factory=dict)
    """For the devices once that is stored, by sensor. Each covers those before it, so the last is enough."""
    replies: list[Message] = field(default_factory=list)
    """For the devices at once."""
    sessions: dict[str, Session] = field(default_factory=dict)
    """The conversations as they are then."""
    booked_until: dict[str, int] = field(default_factory=dict)
    """UTC unix seconds up to which a sensor has been heard of."""
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    """(sensor, what became of a frame)."""


class Sensors:
    """Every sensor of this box with its conversation, its health, and how far it has been heard of."""

    def __init__(self, settings: Sequence[Sensor], slot_s: int, outbox: Outbox, now: Moment) -> None:
        self._slot_s = slot_s
        self._outbox = outbox
        self._sessions: dict[str, Session] = {
            sensor.id: sensor.set_up.session(outbox.cursors(sensor.id), slot_s=slot_s) for sensor in settings
        }
        self._forgetful = frozenset(sensor.id for sensor in settings if not sensor.set_up.remembers)
        self._slotted = [sensor.id for sensor in settings if sensor.set_up.slotted]
        self._owed: list[Entry] = []
        self._health = {sensor.id: LineHealth(sensor.id, sensor.silent_s, now) for sensor in settings}
        self._open: set[str] = set()
        self._booked_until: dict[str, int] = {}
        self._silent_from: int | None = None
        self._clock_trusted = now.utc_ms is not None

    @property
    def names(self) -> Sequence[str]:
        """The ids of the sensors."""
        return list(self._sessions)

    def read(self, batch: Iterable[Event], now: Moment) -> Reading:
        """What `batch` and the passing of time come to."""
        reading = Reading(sessions=dict(self._sessions), entries=list(self._owed))
        for event in batch:
            if isinstance(event, Opened | Closed | Heard):
                self._listen(event, reading)
        clock_set = now.utc_ms is not None and not self._clock_trusted
        self._clock_trusted = now.utc_ms is not None
        for sensor in sorted(self._open):
            session = reading.sessions[sensor]
            # Frames that came while the clock was not trusted are still in the devices: ask them who they are, and on.
            _take(reading, sensor, session.opened(now) if clock_set else session.tick(now), self._slot_s)
        return reading

    def keep(self, reading: Reading) -> None:
        """`reading` is stored: go on from there."""
        self._sessions = reading.sessions
        self._owed = []
        self._booked_until |= reading.booked_until
        for sensor, outcome in reading.outcomes:
            metrics.OUTCOMES.labels(sensor, outcome).inc()
        for entry in reading.entries:
            for piece in entry.pieces:
                passages = sum(number for _, _, number in piece.passages)
                metrics.PASSAGES.labels(entry.sensor).inc(passages)
                if not piece.measured_ms:
                    metrics.RECOVERED_PASSAGES.labels(entry.sensor).inc(passages)

    def owe(self, reading: Reading) -> None:
        """`reading` could not be stored: keep what the devices will not say again, for the next one."""
        for sensor in self._forgetful:
            self._sessions[sensor] = reading.sessions[sensor]
        self._owed = list(_added_up(entry for entry in reading.entries if entry.sensor in self._forgetful))

    def note_silence(self, now: Moment) -> None:
        """Have slots reported as not observed for which nothing came in time, from when this process began."""
        if now.utc_s is None:
            return
        if self._silent_from is None or self._silent_from > now.utc_s + self._slot_s:
            # The beginning; or a clock that was ahead was set back. What it shows again has been noted, and stays so.
            self._silent_from = now.utc_s // self._slot_s * self._slot_s
        slots = silent_slots(self._silent_from, now.utc_s, self._slot_s, GRACE_S)
        if slots:
            noted = self._outbox.note_silence(
                [(sensor, start, self._slot_s) for sensor in self._slotted for start in slots]
            )
            for sensor, number in noted.items():
                metrics.SILENT_SLOTS.labels(sensor).inc(number)
            self._silent_from = slots.stop

    def closed_until(self, sensor: str, now: Moment) -> int | None:
        """UTC unix seconds before which nothing more is expected of `sensor`; None while the clock is not trusted."""
        if now.utc_s is None:
            return None
        # A device may be a little ahead. If it is far ahead its clock is wrong, or ours was set back: then what it has
        # stamped waits until that time is over, for it may have to be told from what comes then.
        heard = self._booked_until.get(sensor, 0)
        return max(now.utc_s - GRACE_S, heard if heard <= now.utc_s + AHEAD_S else 0)

    def health(
        self, now: Moment, waiting_slots: Mapping[str, int], held_slots: Mapping[str, int]
    ) -> list[tuple[SensorHealth, bool]]:
        """Each sensor's health, and whether its state changed since the last call."""
        found = []
        for sensor, health in self._health.items():
            device = self._sessions[sensor].device
            changed = health.judge(now, device)
            waiting, held = waiting_slots.get(sensor, 0), held_slots.get(sensor, 0)
            found.append((health.message(now, device, waiting, held), changed))
        return found

    def _listen(self, event: Opened | Closed | Heard, reading: Reading) -> None:
        sensor = event.sensor
        health = self._health[sensor]
        before, restarts = health.counts, health.restarts
        health.note(event)
        metrics.LINE_RESTARTS.labels(sensor).inc(health.restarts - restarts)
        if isinstance(event, Opened):
            log.info("line open", extra=facts(sensor=sensor, port=event.port))
            self._open.add(sensor)
            _take(reading, sensor, reading.sessions[sensor].opened(event.at), self._slot_s)
        elif isinstance(event, Closed):
            log.warning("line closed", extra=facts(sensor=sensor, reason=event.reason))
            self._open.discard(sensor)
            _take(reading, sensor, reading.sessions[sensor].closed(event.at), self._slot_s)
        else:
            metrics.FRAMES.labels(sensor).inc(event.counts.frames - before.frames)
            metrics.BAD_FRAMES.labels(sensor).inc(event.counts.bad_frames - before.bad_frames)
            metrics.SKIPPED_BYTES.labels(sensor).inc(event.counts.skipped_bytes - before.skipped_bytes)
            for frame in event.frames:
                _take(reading, sensor, reading.sessions[sensor].heard(frame, event.at), self._slot_s)


def _take(reading: Reading, sensor: str, step: Step[Session], slot_s: int) -> None:
    """Add one step of a conversation to a reading."""
    reading.sessions[sensor] = step.session
    if step.outcome is not None:
        reading.outcomes.append((sensor, step.outcome.value))
    if step.reply:
        reading.replies.append((sensor, step.reply))
    if step.acknowledge:
        reading.acknowledgements[sensor] = step.acknowledge
    if step.remark:
        log.warning("device", extra=facts(sensor=sensor, remark=step.remark))
    if step.booking is not None:
        _enter(reading, sensor, step.booking, slot_s)


def _enter(reading: Reading, sensor: str, booking: Booking, slot_s: int) -> None:
    pieces = [place(count, slot_s) for count in booking.counts]
    # An interval of which nothing is known, not even when it was, says nothing if it counted nobody.
    telling = tuple(piece for piece in pieces if piece.measured_ms or piece.passages)
    reading.entries.append(Entry(sensor, telling, booking.cursor))
    if booking.counts:
        reading.booked_until[sensor] = max(count.end_ms for count in booking.counts) // 1000
    if booking.cursor is not None:
        log.debug("booked", extra=facts(sensor=sensor, boot=booking.cursor.boot, device_seq=booking.cursor.seq))


def _added_up(entries: Iterable[Entry]) -> Iterable[Entry]:
    """One entry for each sensor, in which each slot and span is once."""
    pieces: dict[str, dict[tuple[int, int], Piece]] = {}
    cursors: dict[str, Cursor | None] = {}
    for entry in entries:
        mine = pieces.setdefault(entry.sensor, {})
        for piece in entry.pieces:
            key = piece.start, piece.length
            mine[key] = _sum(mine[key], piece) if key in mine else piece
        cursors[entry.sensor] = entry.cursor or cursors.get(entry.sensor)
    return [Entry(sensor, _few(list(mine.values())), cursors[sensor]) for sensor, mine in pieces.items()]


def _few(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """`pieces`; if they are too many, with their slots made coarser as the outbox does when space is short."""
    for step_s in STEPS_S:
        if len(pieces) > MOST_OWED:
            pieces = _in_steps(pieces, step_s)
    return tuple(pieces)


def _in_steps(pieces: Sequence[Piece], step_s: int) -> list[Piece]:
    """`pieces` with the slots of each step that is over put together."""
    over = max(piece.end for piece in pieces) // step_s * step_s
    found: dict[tuple[int, int], Piece] = {}
    for piece in pieces:
        start = piece.start // step_s * step_s
        if start < over and piece.length < step_s and is_slot(piece.start, piece.length):
            # What a slot measured beyond its length no report could claim, and a step has no room for it.
            piece = Piece(start, step_s, min(piece.measured_ms, piece.length * 1000), piece.passages)  # noqa: PLW2901
        key = piece.start, piece.length
        found[key] = _sum(found[key], piece) if key in found else piece
    return list(found.values())


def _sum(one: Piece, other: Piece) -> Piece:
    total: Counter[tuple[int, int]] = Counter()
    for direction, class_, number in (*one.passages, *other.passages):
        total[direction, class_] += number
    passages = tuple((direction, class_, number) for (direction, class_), number in total.items())
    return Piece(one.start, one.length, one.measured_ms + other.measured_ms, passages)
