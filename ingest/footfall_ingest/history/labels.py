"""Times as files write them: patterns with named parts, and local clock time as UTC seconds.

A pattern is the text of a label with its parts named: ``{day}.{month}.{year} {hour}:{minute}``, or
``{hour}:{minute}-{end_hour}:{end_minute}`` for a label that says its end too. It is not ``strptime``'s language,
because that one has no way to say an end and reads month names in the language of whoever started the program.

Local time is not a number line: the hour that March leaves out is no time at all, and one hour of October is two. That
is never guessed here: `instants` gives none, one or two UTC seconds, and the caller decides.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

_PARTS: Final = {
    "year": r"\d{4}",
    "year2": r"\d{2}",
    "month": r"\d{1,2}",
    "month_name": r"[^\W\d_]{3,9}\.?",
    "day": r"\d{1,2}",
    "hour": r"\d{1,2}",
    "minute": r"\d{2}",
    "second": r"\d{2}",
    "ampm": r"[ap]\.?m\.?",
    "offset": r"Z|[+-]\d{2}:?\d{2}",
}
_MONTHS: Final = {
    name[:length]: number
    for language in (
        "january february march april may june july august september october november december",
        "januar februar märz april mai juni juli august september oktober november dezember",
    )
    for number, name in enumerate(language.split(), 1)
    for length in {3, 4, len(name)}
}
_END: Final = "end_"
_NOON: Final = 12
_DAY_HOURS: Final = 24


class PatternError(ValueError):
    """A pattern that is none; the message says what is wrong with it."""


class LabelError(ValueError):
    """A label that is no time; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a label says: times without an offset are local clock time, `end` is None where it says none."""

    start: datetime
    end: datetime | None = None

    def later(self, *, days: int) -> "Label":
        """The same so many days later by the clock."""
        step = timedelta(days=days)
        return Label(self.start + step, None if self.end is None else self.end + step)


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern."""

    text: str
    matcher: re.Pattern[str]
    parts: frozenset[str]

    @property
    def has_end(self) -> bool:
        """Whether a label says when the interval ends."""
        return any(part.startswith(_END) for part in self.parts)

    def read(self, label: str, *, end_included: bool = False) -> Label:
        """What `label` says.

        An end that is not after the start is on the next day: 23:00-0:00. With `end_included` the last minute (or
        second, if the pattern has seconds) of the end still belongs to the interval.

        Raises:
            LabelError: the label does not have this form, or there is no such day or time.
        """
        found = self.matcher.fullmatch(label.strip())
        if not found:
            raise LabelError(f"{label!r} does not look like {self.text}")
        given = {name: text for name, text in found.groupdict().items() if text is not None}
        start = _time(given, label)
        if not self.has_end:
            return Label(start)
        ends = {name.removeprefix(_END): text for name, text in given.items() if name.startswith(_END)}
        day = any(part in ends for part in ("day", "month", "month_name", "year", "year2"))
        last = _time({**{name: text for name, text in given.items() if name in _DATE}, **ends}, label)
        if end_included:
            last += timedelta(seconds=1) if "end_second" in self.parts else timedelta(minutes=1)
        if last <= start and not day:
            last += timedelta(days=1)
        return Label(start, last)


_DATE: Final = ("year", "year2", "month", "month_name", "day", "offset")


@lru_cache
def pattern_of(text: str) -> Pattern:
    """Compile a pattern.

    Raises:
        PatternError: it names a part that there is not, or one twice, or no day.
    """
    parts: list[str] = []

    def part(name: str) -> str:
        if name == "any":
            return ".*?"
        if name.removeprefix(_END) not in _PARTS:
            known = ", ".join(f"{{{part}}}" for part in _PARTS)
            raise PatternError(f"{{{name}}} is no part of a time; there are {known}, the same with end_, and {{any}}")
        if name in parts:
            raise PatternError(f"{{{name}}} is there twice")
        parts.append(name)
        return f"(?P<{name}>{_PARTS[name.removeprefix(_END)]})"

    pieces = re.split(r"\{([a-z0-9_]*)\}", text)
    matcher = "".join(
        part(piece) if at % 2 else r"\s+".join(re.escape(word) for word in re.split(r"\s+", piece))
        for at, piece in enumerate(pieces)
    )
    names = frozenset(parts)
    if not names & {"year", "year2"} or not names & {"month", "month_name"} or "day" not in names:
        raise PatternError(f"{text!r} must have {{year}}, {{month}} and {{day}} (or {{year2}}, {{month_name}})")
    return Pattern(text, re.compile(matcher, re.IGNORECASE), names)


def iso(label: str) -> Label:
    """An ISO 8601 date or time, with or without an offset.

    Raises:
        LabelError: it is none, or finer than a second.
    """
    try:
        found = datetime.fromisoformat(label.strip())
    except ValueError:
        raise LabelError(f"{label!r} is no time such as 2024-05-01T06:00:00+02:00 or 2024-05-01 06:00") from None
    if found.microsecond:
        raise LabelError(f"{label!r} is finer than a second")
    return Label(found)


def _time(given: Mapping[str, str], label: str) -> datetime:
    try:
        year = int(given["year"]) if "year" in given else 2000 + int(given["year2"])
        month = int(given["month"]) if "month" in given else _month(given["month_name"])
        minute, second = (int(given.get(part, "0")) for part in ("minute", "second"))
        hour = _hour(given, label)
        # 24:00 is how many write the end of a day.
        midnight = hour == _DAY_HOURS and not minute and not second
        found = datetime(year, month, int(given["day"]), 0 if midnight else hour, minute, second)  # noqa: DTZ001  # local
        if "offset" in given:
            found = found.replace(tzinfo=_offset(given["offset"]))
        return found + timedelta(days=1) if midnight else found
    except LabelError:
        raise
    except (ValueError, OverflowError, KeyError) as error:
        raise LabelError(f"{label!r} is no time that there is ({error})") from None


def _hour(given: Mapping[str, str], label: str) -> int:
    hour = int(given.get("hour", "0"))
    if "ampm" not in given:
        return hour
    if not 1 <= hour <= _NOON:
        raise LabelError(f"{label!r} has the hour {hour} beside am or pm")
    return hour % _NOON + (_NOON if given["ampm"][0] in "pP" else 0)


def _month(name: str) -> int:
    key = name.lower().rstrip(".")
    if key not in _MONTHS:
        raise LabelError(f"{name!r} is no month in English or German")
    return _MONTHS[key]


def _offset(text: str) -> timezone:
    if text in "Zz":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


@dataclass(frozen=True, slots=True)
class Span:
    """A time in UTC unix seconds; its end does not belong to it."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Doubled:
    """An interval that begins in the hour that its night has twice: which of the two must be decided from others.

    `local` is its beginning by the clock, `length_s` how long it is by the clock.
    """

    local: datetime
    length_s: int


class NoSuchTimeError(LabelError):
    """A time in the hour that the night of the clock change leaves out."""


class Clock:
    """Local time of one zone as UTC seconds."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self._known: dict[datetime, tuple[int, ...]] = {}

    def instants(self, local: datetime) -> tuple[int, ...]:
        """The UTC seconds at which the clock shows `local`: none, one, or two, ascending."""
        found = self._known.get(local)
        if found is None:
            candidates = {int(local.replace(tzinfo=self.zone, fold=fold).timestamp()) for fold in (0, 1)}
            found = tuple(sorted(instant for instant in candidates if self.local(instant) == local))
            if len(self._known) >= 1 << 16:
                self._known.clear()
            self._known[local] = found
        return found

    def local(self, instant: int) -> datetime:
        """What the clock shows at a UTC second."""
        return datetime.fromtimestamp(instant, self.zone).replace(tzinfo=None)

    def boundary(self, local: datetime) -> int:
        """The UTC second at which an interval ends that ends at `local` by the clock.

        Of two the earlier one. The first time that the clock leaves out is the moment at which it leaps.

        Raises:
            NoSuchTimeError: the clock leaves this time out.
        """
        found = self.instants(local)
        if found:
            return found[0]
        leap = int(local.replace(tzinfo=self.zone, fold=0).timestamp())
        before = datetime.fromtimestamp(leap - 1, self.zone).replace(tzinfo=None)
        if before + timedelta(seconds=1) == local:
            return leap
        raise NoSuchTimeError(_no_such_time(local))

    def midnight(self, day: date) -> int:
        """The UTC second at which a local day begins."""
        local = datetime(day.year, day.month, day.day)  # noqa: DTZ001  # by the clock of the zone
        found = self.instants(local)
        return found[0] if found else int(local.replace(tzinfo=self.zone).timestamp())

    def span(
        self, label: Label, *, length_s: int = 0, days: int = 0, marks_end: bool = False, by_clock: bool = False
    ) -> Span | Doubled:
        """The time that a label means. `length_s` or `days` is its length where the label has no end.

        A label that `marks_end` is what the clock showed at the end; or, `by_clock`, the end that belongs to the hour
        in whose row it was summed, which differs in the two nights of the clock change only.

        Raises:
            NoSuchTimeError: it begins or ends in the hour that its night leaves out.
            LabelError: its end is not after its start.
        """
        if days:
            return self._days(label.start, days, marks_end=marks_end)
        if marks_end and not by_clock:
            return self._until(label.start, length_s)
        if marks_end:
            label = Label(label.start - timedelta(seconds=length_s))
        if label.start.tzinfo is not None:
            return self._with_offset(label, length_s)
        length = int((label.end - label.start).total_seconds()) if label.end is not None else length_s
        if length <= 0:
            raise LabelError(f"the end {label.end} is not after the start {label.start}")
        found = self.instants(label.start)
        if not found:
            raise NoSuchTimeError(_no_such_time(label.start))
        if len(found) > 1:
            return Doubled(label.start, length)
        # An end by the clock may be an hour more or less away than it looks; a given length may not.
        end = self.boundary(label.end) if label.end is not None else found[0] + length
        return Span(found[0], end)

    def _days(self, start: datetime, days: int, *, marks_end: bool) -> Span:
        day = (start.astimezone(self.zone) if start.tzinfo else start).date()
        first = day - timedelta(days=days) if marks_end else day
        return Span(self.midnight(first), self.midnight(first + timedelta(days=days)))

    def _until(self, end: datetime, length_s: int) -> Span | Doubled:
        if end.tzinfo is not None:
            at = int(end.timestamp())
            return Span(at - length_s, at)
        found = self.instants(end)
        if len(found) > 1:
            # Told apart like a beginning; which interval each one ends follows from that.
            return Doubled(end, -length_s)
        at = self.boundary(end)
        return Span(at - length_s, at)

    def _with_offset(self, label: Label, length_s: int) -> Span:
        start = int(label.start.timestamp())
        if label.end is None:
            return Span(start, start + length_s)
        end = int((label.end if label.end.tzinfo else label.end.replace(tzinfo=label.start.tzinfo)).timestamp())
        if end <= start:
            raise LabelError(f"the end {label.end} is not after the start {label.start}")
        return Span(start, end)

    def of_two(self, doubled: Doubled, which: int) -> Span:
        """The span of a doubled label in the earlier (0) or the later (1) of its two hours."""
        at = self.instants(doubled.local)[which]
        return Span(at, at + doubled.length_s) if doubled.length_s > 0 else Span(at + doubled.length_s, at)

    def of_both(self, labels: Sequence[Doubled]) -> Span | None:
        """The one span that all `labels` of a night are together, if by the clock they lie end to end; else None.

        Each of them is the sum of what was counted in both of its times; so all that can be told is the whole.
        """
        steps = sorted(
            {(self._begin(label), self._begin(label) + timedelta(seconds=abs(label.length_s))) for label in labels}
        )
        if any(before[1] != after[0] for before, after in pairwise(steps)):
            return None
        first, last = steps[0][0], steps[-1][1]
        begins, ends = self.instants(first), self.instants(last)
        window = self.instants(first - timedelta(seconds=1))
        if len(begins) != 2 or len(ends) != 1 or len(window) != 1:  # the two hours, from end to end
            return None
        return Span(begins[0], ends[0])

    @staticmethod
    def _begin(label: Doubled) -> datetime:
        return label.local if label.length_s > 0 else label.local + timedelta(seconds=label.length_s)


def _no_such_time(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M} is in the hour that this night leaves out"


def joined(start: Label, end: Label) -> Label:
    """One label of a start and of an end that stand in columns of their own; an end without a day has the start's."""
    return replace(start, end=end.start)
