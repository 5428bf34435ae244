"""From what a sensor shows to counts, for every sensor that shows where people are: frame → targets → tracks → counts.

A driver for such a sensor brings a framer and `Eyes`, which read a frame. Everything after that is here, and the same
for all of them: following people (`tracking`), counting at lines (`crossing`), the time in which the sensor worked
(`sheet`).

Such a sensor keeps nothing: what it shows while nobody listens is gone. Time counts as measured between two frames that
follow one another within `MOST_GAP_S`; after a longer gap nobody is taken for who they were before.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Protocol, Self

from pydantic import Field

from footfall_contract.words import Direction, PassageClass
from footfall_edge.clock import Moment
from footfall_edge.counts import Cursor
from footfall_edge.crossing import Crossing, Lines
from footfall_edge.drivers import Booking, Device, Driver, Outcome, Step
from footfall_edge.framer import Frame
from footfall_edge.geometry import DEFAULT_LINE, CountingLine, Mounting, Target
from footfall_edge.plot import Trails
from footfall_edge.sheet import Sheet
from footfall_edge.tracking import MOST_MISSES, Track, associate, follow

MOST_GAP_S: Final = 1.0
"""Seconds between two frames in which nobody can have passed unseen, as far as that can be said."""
SHOWN: Final = 2**33
"""The device number under which is kept how far such a sensor is booked; above all that devices have."""
SAVE_S: Final = 10.0
"""While the clock is not trusted the sum of what waits goes to the outbox this often."""


class UnreadableError(ValueError):
    """A frame that passed its framing and is not what its protocol says; the message names the bytes."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one frame shows."""

    targets: tuple[Target, ...]
    implausible: int = 0
    """Targets in the frame that cannot be."""
    restarted: bool = False
    """The sensor was started anew before this frame."""
    missed: int = 0
    """Frames that the sensor numbered, between the one before and this, and that did not come."""
    remark: str = ""


class Eyes(Protocol):
    """How to read the frames of one make. Immutable."""

    def look(self, frame: Frame) -> tuple[Self, Scan]:
        """What `frame` shows; and the eyes for the next one.

        Raises:
            UnreadableError: the frame is not what the protocol says.
        """


@dataclass(frozen=True, slots=True)
class Watch:
    """Everything that is known of the people in front of a sensor. Immutable."""

    eyes: Eyes
    lines: Lines
    numbered: bool
    """Whether the sensor follows people itself."""
    most_misses: int = MOST_MISSES
    tracks: tuple[Track, ...] = ()
    next_id: int = 0

    def after(self, frame: Frame) -> tuple["Watch", Scan, tuple[Crossing, ...]]:
        """What is known after a frame; what it showed; and who crossed a line with it.

        Raises:
            UnreadableError: the frame is not what the protocol says.
        """
        eyes, scan = self.eyes.look(frame)
        before = self.interrupted() if scan.restarted else self
        find = follow if self.numbered else associate
        tracks, next_id = find(before.tracks, scan.targets, before.next_id, self.most_misses)
        lines, crossings = before.lines.after(tracks)
        return replace(before, eyes=eyes, lines=lines, tracks=tracks, next_id=next_id), scan, crossings

    def interrupted(self) -> "Watch":
        """What is known after a time in which nothing was seen."""
        return replace(self, lines=self.lines.forgotten(), tracks=())


@dataclass(frozen=True, slots=True)
class TrackerSession:
    """The edge's side of a line on which a sensor shows people."""

    watch: Watch
    slot_s: int
    device: Device = field(default_factory=Device)
    sheet: Sheet = field(default_factory=Sheet)
    last_s: float | None = None
    """Monotonic seconds of the latest frame."""
    saved: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """What the outbox has of what waits for the clock."""
    saved_s: float = float("-inf")

    def opened(self, now: Moment) -> "Step[TrackerSession]":
        """There is nothing to say to it."""
        return _booked(self, now, None)

    def tick(self, now: Moment) -> "Step[TrackerSession]":
        """Book what is due."""
        return _booked(self, now, None)

    def closed(self, now: Moment) -> "Step[TrackerSession]":
        """Book everything; what cannot be placed in time yet goes into the outbox as a sum."""
        return _booked(self, now, None, all_of_it=True)

    def heard(self, frame: Frame, at: Moment) -> "Step[TrackerSession]":
        """Follow the people in a frame."""
        goes_on = self.last_s is not None and at.monotonic_s - self.last_s <= MOST_GAP_S
        watch = self.watch if goes_on else self.watch.interrupted()
        try:
            watch, scan, crossings = watch.after(frame)
        except UnreadableError as error:
            return Step(self, Outcome.UNREADABLE, remark=str(error))
        sheet = self.sheet
        if goes_on and self.last_s is not None:
            sheet = sheet.measured(self.last_s, at.monotonic_s)
        sheet = sheet.saw(at.monotonic_s, _passages(crossings))
        device = self.device
        if scan.restarted:
            device = replace(device, restarts=device.restarts + 1)
        session = replace(self, watch=watch, sheet=sheet, device=device, last_s=at.monotonic_s)
        step = _booked(session, at, Outcome.IMPLAUSIBLE if scan.implausible else Outcome.SEEN)
        return replace(step, remark=scan.remark) if scan.remark else step


def _booked(
    session: TrackerSession, now: Moment, outcome: Outcome | None, *, all_of_it: bool = False
) -> Step[TrackerSession]:
    """`session` with what is due at `now` booked; or all of it."""
    sheet, counts = session.sheet.cut(now, session.slot_s, all_of_it=all_of_it)
    after = session if sheet is session.sheet else replace(session, sheet=sheet)
    if counts:
        return Step(replace(after, saved={}), outcome, Booking(counts, _cursor(sheet.booked_ms, {})))
    if now.utc_ms is not None or (now.monotonic_s - session.saved_s < SAVE_S and not all_of_it):
        return Step(after, outcome)
    waiting = sheet.unplaced
    if waiting == session.saved:
        return Step(after, outcome)
    return Step(
        replace(after, saved=waiting, saved_s=now.monotonic_s),
        outcome,
        Booking((), _cursor(sheet.booked_ms, waiting)),
    )


def _cursor(booked_ms: int, waiting: Mapping[tuple[int, int], int]) -> Cursor:
    """How far a sensor without number or totals is booked, and what has been counted beyond that."""
    return Cursor(SHOWN, 0, 0, booked_ms, MappingProxyType(dict(waiting)))


def _passages(crossings: Iterable[Crossing]) -> list[tuple[int, int, int]]:
    return [(int(crossing.direction), int(PassageClass.PEDESTRIAN), 1) for crossing in crossings]


class TrackerSurvey:
    """What a probe learns of a sensor that shows people. Its memory does not grow with what it sees."""

    def __init__(self, watch: Watch, mounting: Mounting) -> None:
        self.targets = 0
        self.restarts = 0
        self._trails = Trails(watch.lines.lines, mounting)
        self._watch = watch
        self._passages = {"in": 0, "out": 0}
        self._by_line = [[0, 0] for _ in watch.lines.lines]
        self._implausible = self._missed = self._unreadable = 0
        self._fault = ""
        self._most_at_once = 0

    @property
    def passages(self) -> Mapping[str, int]:
        """Passages by direction, ``in`` and ``out``."""
        return self._passages

    def question(self, now_s: float) -> bytes:  # noqa: ARG002  # it speaks unasked
        """There is nothing to say to it."""
        return b""

    def see(self, frame: Frame) -> None:
        """Take note of a frame."""
        try:
            self._watch, scan, crossings = self._watch.after(frame)
        except UnreadableError as error:
            self._unreadable += 1
            self._fault = str(error)
            return
        self.targets += len(scan.targets)
        self.restarts += scan.restarted
        self._implausible += scan.implausible
        self._missed += scan.missed
        self._most_at_once = max(self._most_at_once, len(scan.targets))
        for crossing in crossings:
            self._passages["in" if crossing.direction == Direction.IN else "out"] += 1
            self._by_line[crossing.line][crossing.direction] += 1
        self._trails.note(self._watch.tracks, crossings)

    def lines(self) -> list[str]:
        """What was learnt of the sensor, for a person, one thing a line."""
        found = [
            f"line {number} from {line.first} to {line.last} m: {self._by_line[number][0]} in, "
            f"{self._by_line[number][1]} out"
            for number, line in enumerate(self._watch.lines.lines)
        ]
        found.append(f"most targets in one frame: {self._most_at_once}")
        if self._missed:
            found.append(f"frames that the sensor numbered and that did not come: {self._missed}")
        if self._implausible:
            found.append(f"targets that cannot be, left out: {self._implausible}")
        if self._unreadable:
            found.append(f"frames that could not be read: {self._unreadable}; the last: {self._fault}")
        return found

    def draw(self, title: str) -> str:
        """Tracks, lines and crossings as SVG text."""
        return self._trails.draw(title)


class TrackerDriver(Driver):
    """Base of the drivers for sensors that show people: how the sensor hangs, and the lines to count at."""

    mounting: Mounting = Field(Mounting(), description="how the sensor hangs")
    line: tuple[CountingLine, ...] = Field((DEFAULT_LINE,), min_length=1, description="where to count")

    @abstractmethod
    def watch(self) -> Watch:
        """Nothing seen yet."""

    def session(self, cursors: Iterable[Cursor], *, slot_s: int = 10) -> TrackerSession:
        """A session that begins to look; what an earlier one had to leave unplaced in time comes with it."""
        known = list(cursors)
        # What another kind of sensor left here are its running totals, and no passages that wait.
        waiting = next((dict(cursor.totals or {}) for cursor in known if cursor.device == SHOWN), {})
        sheet = Sheet(booked_ms=max((cursor.end_ms for cursor in known), default=0))
        carried = sheet.carry(tuple((*key, number) for key, number in waiting.items()))
        return TrackerSession(self.watch(), slot_s, sheet=carried, saved=waiting)

    def survey(self) -> TrackerSurvey:
        """A survey for a probe."""
        return TrackerSurvey(self.watch(), self.mounting)


def lines_of(lines: Sequence[CountingLine]) -> Lines:
    """Lines at which nobody was seen yet."""
    return Lines(tuple(lines))
