"""Line JSON: one JSON object on each line, for the counter that somebody builds on a weekend.

``{"in": 1234, "out": 1180, "uptime_s": 86400}`` and a line feed, with or without a carriage return before it; UTF-8, at
most 512 bytes. ``in``, ``out`` and ``undirected`` are integers from 0 up: running totals, or what was counted since the
line before (`counts`). ``uptime_s`` is an integer from 0 up, ``firmware`` and ``trouble`` are text for a person. Other
names are passed over. A line without a number of passages tells the rest.

A line may end with ``*`` and two hexadecimal digits: the exclusive or of all bytes before the ``*``, as in sentences of
NMEA 0183 (which leave their first character out; here none is). Such a checksum is looked at wherever there is one, for
a JSON object ends with ``}``; with ``checksum = "xor"`` a line without it is bad. It finds every single lost or changed
byte, and misses two that cancel each other.

docs/sensors/line-json.md says what a micro-controller should print, and when.
"""

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, NoReturn

from pydantic import Field

from footfall_contract.words import Direction, PassageClass
from footfall_edge.clock import Moment
from footfall_edge.counts import Cursor, Passages
from footfall_edge.drivers import Booking, Device, Outcome, Session, Step, Survey
from footfall_edge.framer import BadFrameError, DelimitedFramer, Frame
from footfall_edge.sheet import Sheet
from footfall_edge.totals import ALLOWANCE_S, UPTIME_WRAP, Key, Meter, Reader, Rule, Shown, TotalsDriver, started_anew
from footfall_edge.tracker import SAVE_S, UnreadableError

MOST_LINE: Final = 512
"""Longest line in bytes, without its end."""
MOST_NUMBER: Final = 2**53
"""JSON's numbers are exact up to this in every language."""
MOST_TEXT: Final = 200
"""Characters of a text that are kept."""
LINE: Final = 0
"""Kind of a frame: the text of a line, without checksum and end."""

NAMES: Final[Mapping[str, Key]] = {
    "in": (int(Direction.IN), int(PassageClass.PEDESTRIAN)),
    "out": (int(Direction.OUT), int(PassageClass.PEDESTRIAN)),
    "undirected": (int(Direction.UNDIRECTED), int(PassageClass.PEDESTRIAN)),
}
"""Name on the line → (direction, class)."""

Checksum = Literal["none", "xor"]
_CHECKSUM = re.compile(rb"\*([0-9A-Fa-f]{2})\Z")


class LineFramer(DelimitedFramer):
    """Lines, each checked as far as it can be. It never holds more than `MOST_LINE` bytes and a line's end."""

    def __init__(self, checksum: Checksum = "none", most: int = MOST_NUMBER) -> None:
        """`most`: the highest number of passages that a line can have."""
        super().__init__(b"\n", MOST_LINE, spare=1)  # a carriage return
        self._checksum = checksum
        self._most = most

    def _read(self, content: bytes) -> Frame | None:
        text = content.removesuffix(b"\r")
        if not text:
            return None
        checked = self._checked(text)
        parse(checked, self._most)
        return Frame(LINE, checked)

    def _checked(self, text: bytes) -> bytes:
        if len(text) > MOST_LINE:
            raise BadFrameError(f"no end within {MOST_LINE} bytes")
        found = _CHECKSUM.search(text)
        if found is None:
            if self._checksum == "xor":
                raise BadFrameError(f"no checksum (* and two hexadecimal digits) at the end of {_quoted(text)}")
            return text
        content, sent = text[: found.start()], int(found.group(1), 16)
        computed = xor(content)
        if computed != sent:
            raise BadFrameError(f"checksum {sent:02X}, expected {computed:02X} over {_quoted(content)}")
        return content


def xor(data: bytes) -> int:
    """The exclusive or of all bytes."""
    found = 0
    for byte in data:
        found ^= byte
    return found


@dataclass(frozen=True, slots=True)
class Telling:
    """What a line tells."""

    numbers: Mapping[Key, int]
    """Passages by (direction, class)."""
    uptime_s: int | None = None
    """Modulo 2^32."""
    firmware: str | None = None
    trouble: str | None = None


def parse(text: bytes, most: int = MOST_NUMBER) -> Telling:
    """What the text of a line tells; no number of passages may be above `most`.

    Raises:
        BadFrameError: it is not what it should be; the message says where.
    """
    try:
        found = json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise BadFrameError(f"byte {error.start} of {_quoted(text)} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadFrameError(f"not JSON: {error} in {_quoted(text)}") from error
    if not isinstance(found, dict):
        raise BadFrameError(f"{_quoted(text)} is not a JSON object")
    uptime_s = _integer(found, "uptime_s", MOST_NUMBER)
    return Telling(
        {key: number for name, key in NAMES.items() if (number := _integer(found, name, most)) is not None},
        None if uptime_s is None else uptime_s % UPTIME_WRAP,
        _text(found, "firmware"),
        _text(found, "trouble"),
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Half a line and half of the next one can look like this.
        names = ", ".join(_whole(name) for name, _ in pairs)
        raise BadFrameError(f"a name is there twice among {names}"[:MOST_TEXT])
    return found


def _constant(name: str) -> NoReturn:
    raise BadFrameError(f"{name} is no JSON")


def _integer(found: Mapping[str, Any], name: str, most: int) -> int | None:
    if name not in found:
        return None
    value = found[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadFrameError(f"{name!r} is {_quoted(repr(value).encode())}, expected an integer")
    if not 0 <= value <= most:
        raise BadFrameError(f"{name!r} is {str(value)[:30]}, expected 0 to {most}")
    return value


def _text(found: Mapping[str, Any], name: str) -> str | None:
    if name not in found:
        return None
    value = found[name]
    if not isinstance(value, str):
        raise BadFrameError(f"{name!r} is {_quoted(repr(value).encode())}, expected text")
    return " ".join(_whole(value).split())[:MOST_TEXT]


def _whole(text: str) -> str:
    """`text` without the halves of characters that JSON can spell, and which nothing behind this could write down."""
    return text.encode(errors="replace").decode()


def _quoted(text: bytes) -> str:
    return repr(text[:60].decode(errors="replace")) + ("…" if len(text) > 60 else "")


@dataclass(frozen=True, slots=True)
class LineReader:
    """Reads lines. There is nothing to ask a device that speaks by itself."""

    def opened(self) -> "LineReader":
        """Nothing was asked."""
        return self

    def ask(self, now: Moment) -> tuple["LineReader", bytes]:  # noqa: ARG002  # it speaks unasked
        """There is nothing to say to it."""
        return self, b""

    def read(self, frame: Frame, at: Moment) -> tuple["LineReader", Shown]:  # noqa: ARG002  # what it says is of now
        """The totals on a line."""
        told = _told(frame)
        return self, Shown(told.numbers or None, told.uptime_s, told.firmware, told.trouble)


def _told(frame: Frame) -> Telling:
    try:
        return parse(frame.body)
    except BadFrameError as error:
        raise UnreadableError(str(error)) from error


INCREMENTS: Final = 2**32 + zlib.crc32(b"line-json, increments")
"""The number under which it is kept how far a device is booked that shows increments."""


@dataclass(frozen=True, slots=True)
class IncrementsSession:
    """The edge's side of a line on which each line says what was counted since the one before.

    Such a device forgets: what was on a line that did not come is gone. Passages are noticed when their line comes.
    """

    most_per_s: float
    most_gap_s: float
    slot_s: int
    device: Device = field(default_factory=Device)
    sheet: Sheet = field(default_factory=Sheet)
    last_s: float | None = None
    """Monotonic seconds of the latest line with numbers."""
    uptime_s: int | None = None
    seq: int = 0
    saved: Mapping[Key, int] = field(default_factory=dict)
    """What the outbox has of what waits for the clock."""
    saved_s: float = float("-inf")

    def opened(self, now: Moment) -> "Step[IncrementsSession]":
        """There is nothing to say to it."""
        return self.tick(now)

    def tick(self, now: Moment) -> "Step[IncrementsSession]":
        """Book what is due."""
        return _booked(self, now, None)

    def closed(self, now: Moment) -> "Step[IncrementsSession]":
        """Book everything; what cannot be placed in time yet goes into the outbox as a sum."""
        return _booked(self, now, None, all_of_it=True)

    def heard(self, frame: Frame, at: Moment) -> "Step[IncrementsSession]":
        """Take the passages of a line."""
        try:
            told = _told(frame)
        except UnreadableError as error:
            return Step(self, Outcome.UNREADABLE, remark=str(error))
        device = replace(
            self.device,
            firmware=self.device.firmware if told.firmware is None else told.firmware,
            trouble=self.device.trouble if told.trouble is None else told.trouble,
        )
        session = replace(self, device=device)
        if not told.numbers:
            return Step(session, Outcome.TOLD)
        elapsed_s = None if self.last_s is None else max(0.0, at.monotonic_s - self.last_s)
        if elapsed_s is not None and started_anew(self.uptime_s, told.uptime_s, elapsed_s):
            session = replace(session, device=replace(device, restarts=device.restarts + 1))
        sheet = self.sheet
        if self.last_s is not None and elapsed_s is not None and elapsed_s <= self.most_gap_s:
            sheet = sheet.measured(self.last_s, at.monotonic_s)
        most = self.most_per_s * ((self.most_gap_s if elapsed_s is None else elapsed_s) + ALLOWANCE_S)
        believed: Passages = tuple((*key, number) for key, number in told.numbers.items() if number <= most)
        session = replace(
            session,
            sheet=sheet.saw(at.monotonic_s, believed),
            last_s=at.monotonic_s,
            uptime_s=self.uptime_s if told.uptime_s is None else told.uptime_s,
        )
        if len(believed) == len(told.numbers):
            return _booked(session, at, Outcome.SEEN)
        remark = (
            f"{', '.join(str(number) for number in told.numbers.values() if number > most)} passages on one line, "
            f"expected {most:g} at most since the one before; left out. Are they running totals?"
        )
        return replace(_booked(session, at, Outcome.IMPLAUSIBLE), remark=remark)


def _booked(
    session: IncrementsSession, now: Moment, outcome: Outcome | None, *, all_of_it: bool = False
) -> Step[IncrementsSession]:
    """`session` with what is due at `now` booked, or all of it.

    While nothing can be, its sum goes to the outbox now and then.
    """
    sheet, counts = session.sheet.cut(now, session.slot_s, all_of_it=all_of_it)
    session = session if sheet is session.sheet else replace(session, sheet=sheet)
    waiting: Mapping[Key, int] = {}
    if not counts:
        if now.utc_ms is not None or (now.monotonic_s - session.saved_s < SAVE_S and not all_of_it):
            return Step(session, outcome)
        waiting = sheet.unplaced
        if waiting == session.saved:
            return Step(session, outcome)
        session = replace(session, saved_s=now.monotonic_s)
    session = replace(session, seq=session.seq + 1, saved=waiting)
    cursor = Cursor(INCREMENTS, 0, session.seq, sheet.booked_ms, MappingProxyType(dict(waiting)))
    return Step(session, outcome, Booking(counts, cursor))


class IncrementsSurvey:
    """What a probe learns of a device that shows increments."""

    targets = 0
    """It reports passages, no moving targets."""

    def __init__(self) -> None:
        self.restarts = 0
        self._passages = dict.fromkeys(NAMES, 0)
        self._uptime_s: int | None = None
        self._firmware = self._trouble = self._fault = ""

    @property
    def passages(self) -> Mapping[str, int]:
        """Passages by direction, ``in`` and ``out``."""
        return {name: self._passages[name] for name in ("in", "out")}

    def question(self, now_s: float) -> bytes:  # noqa: ARG002  # it speaks unasked
        """There is nothing to say to it."""
        return b""

    def see(self, frame: Frame) -> None:
        """Take note of a line."""
        try:
            told = _told(frame)
        except UnreadableError as error:
            self._fault = str(error)
            return
        for name, key in NAMES.items():
            self._passages[name] += told.numbers.get(key, 0)
        if told.uptime_s is not None:
            self.restarts += self._uptime_s is not None and told.uptime_s < self._uptime_s
            self._uptime_s = told.uptime_s
        self._firmware = told.firmware or self._firmware
        self._trouble = self._trouble if told.trouble is None else told.trouble

    def lines(self) -> list[str]:
        """What was learnt of the device, for a person, one thing a line."""
        found = []
        if self._uptime_s is not None:
            found.append(f"up {self._uptime_s} s")
        if self._firmware:
            found.append(f"firmware {self._firmware!r}")
        if self._trouble:
            found.append(f"trouble: {self._trouble}")
        if self._passages["undirected"]:
            found.append(f"passages without a direction: {self._passages['undirected']}")
        if self._fault:
            found.append(f"a line that could not be read: {self._fault}")
        return found


class LineJson(TotalsDriver):
    """The driver called ``line-json``."""

    usual_baud: ClassVar[int] = 115_200

    counts: Literal["totals", "increments"] = Field(
        "totals", description="running totals since the device was started, or what was counted since the line before"
    )
    width_bits: Literal[16, 32, 53] = Field(32, description="bits after which a running total begins again at 0")
    checksum: Checksum = Field("none", description='"xor": each line ends with * and two hexadecimal digits')

    def framer(self) -> LineFramer:
        """Lines of JSON."""
        return LineFramer(self.checksum, 2**self.width_bits - 1 if self.counts == "totals" else MOST_NUMBER)

    def reader(self, slot_s: int) -> Reader:  # noqa: ARG002  # the device says when
        """Nothing read yet."""
        return LineReader()

    def rule(self) -> Rule:
        """Three totals of the same width."""
        return Rule(
            {key: Meter(2**self.width_bits) for key in NAMES.values()},
            f"line-json, {self.width_bits} bits",
            most_per_s=self.most_per_s,
            most_gap_s=self.most_gap_s,
            after_restart=self.after_restart,
            # On a bad line without checksum it happens that the same digit is lost twice in a row.
            confirm=1 if self.checksum == "xor" else 2,
        )

    def session(self, cursors: Iterable[Cursor], *, slot_s: int = 10) -> Session:
        """A session that goes on from what is booked."""
        if self.counts == "totals":
            return super().session(cursors, slot_s=slot_s)
        known = list(cursors)
        own = next((cursor for cursor in known if cursor.device == INCREMENTS), None)
        waiting = {} if own is None or own.totals is None else dict(own.totals)
        sheet = Sheet(booked_ms=max((cursor.end_ms for cursor in known), default=0))
        return IncrementsSession(
            self.most_per_s,
            self.most_gap_s,
            slot_s,
            sheet=sheet.carry(tuple((*key, number) for key, number in waiting.items())),
            seq=0 if own is None else own.seq,
            saved=waiting,
        )

    def survey(self) -> Survey:
        """A survey for a probe."""
        return super().survey() if self.counts == "totals" else IncrementsSurvey()
