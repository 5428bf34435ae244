"""What pages say of time, measured or not: in which state it is, which days may be compared, who knew why.

The rule for a day is that of the API's summaries: it is over, it was measured as a whole, and a sensor hung there from
its beginning to its end.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from footfall_api.answers import MEASURED_PERCENT
from footfall_api.messages import Catalogue

MEASURED: Final = "measured"
COMPLETE: Final = MEASURED_PERCENT / 100
"""Coverage from which the API calls a value measured."""
REASONS: Final = frozenset({"silent", "not_reported", "not_installed", "excluded", "withheld"})
"""Why there is no number, as far as there is a sentence for it."""
DASH: Final = "–"
"""Stands where there is no number; 0 is one."""

SKIP_KEYS: Final = {
    "partial": "skip.partial",
    "missing": "skip.missing",
    "coarse": "skip.coarse",
    "recovered": "skip.recovered",
    "open": "skip.open",
    "incomplete": "skip.incomplete",
    "holiday": "skip.holiday",
    "other_stations": "skip.other_stations",
    "silent": "skip.silent",
    "not_reported": "skip.not_reported",
    "not_installed": "skip.not_installed",
    "excluded": "skip.excluded",
    "withheld": "skip.withheld",
    "future": "skip.open",
}
"""Words of the API for what did not go in, and the sentences for people. Another word is said as ``skip.other``."""

REMARK_KEYS: Final = {
    "works": "remark_kind.works",
    "event": "remark_kind.event",
    "fault": "remark_kind.fault",
    "note": "remark_kind.note",
}

KINDS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "holiday")
"""The kinds of day as the API names them, in the order in which they are shown."""
HOLIDAY: Final = KINDS[-1]


@dataclass(frozen=True, slots=True)
class RemarkView:
    """A remark in words. `first` and `last` are the local days that it touches; `last` None: until further notice."""

    kind: str
    word: str
    text: str
    span: str
    about: str
    excludes: bool
    first: date
    last: date | None

    @property
    def told(self) -> str:
        """All of it in a line."""
        return f"{self.word}, {self.span}: {self.text}"


def numeral(count: float | None, t: Catalogue, digits: int = 0, *, at_least: bool = False) -> str:
    """A number, or a dash; one of which a part is missing is a lower bound."""
    if count is None:
        return DASH
    return ("≥ " if at_least else "") + t.number(count, digits)


def rounded(number: float | None, t: Catalogue) -> str:
    """A mean as a whole number, or a dash."""
    return numeral(None if number is None else round(number), t)


def share(coverage: float | None, t: Catalogue) -> str:
    """Measured time in whole per cent, or a dash."""
    return DASH if coverage is None else t.percent(coverage)


def changed(ratio: float | None, t: Catalogue) -> str:
    """A change in whole per cent, or a dash."""
    return DASH if ratio is None else t.change(ratio)


def state_text(state: str, reason: str | None, coverage: float | None, t: Catalogue) -> str:
    """How well a time was measured; one without a number says why."""
    if state == "missing":
        return t(f"state.{reason}" if reason in REASONS else "state.missing")
    if state == "partial":
        return t("state.partial", coverage=t.percent(coverage or 0))
    return t(f"state.{state}" if state in {"coarse", "recovered"} else "state.measured")


def remark_word(kind: str, t: Catalogue) -> str:
    """What a kind of remark is called."""
    return t(REMARK_KEYS.get(kind, "remark_kind.note"))


def why_not(value: Mapping[str, Any], now: datetime) -> str | None:
    """Why a value of the counts may not be compared, in a word of `SKIP_KEYS`; None if it may."""
    reason = value["reason"]
    if is_running(value, now):
        return "open"
    if value["state"] == "missing":
        return str(reason or "missing")
    if value["state"] != MEASURED:
        return str(value["state"])
    return None if reason is None else "incomplete"


def is_running(value: Mapping[str, Any], now: datetime) -> bool:
    """Whether a value's time is not over: a number that there is goes on growing."""
    return datetime.fromisoformat(value["end"]) > now


def tallied(words: Iterable[str | None]) -> dict[str, int]:
    """How often each word occurs, the most frequent first; None is not counted."""
    return dict(Counter(word for word in words if word is not None).most_common())


def left_out(t: Catalogue, skipped: Mapping[str, int]) -> str:
    """What did not go in, in words: "3 Tage nicht gemessen, 1 Tag läuft noch"; empty if nothing was left out."""
    return ", ".join(
        t(SKIP_KEYS.get(word, "skip.other"), count)
        for word, count in sorted(skipped.items(), key=lambda found: -found[1])
        if count
    )


def added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Several tallies as one."""
    found: Counter[str] = Counter()
    for part in parts:
        found.update(part)
    return dict(found)


def kind_name(t: Catalogue, kind: str, *, short: bool = False) -> str:
    """The name of a kind of day: a weekday, or public holidays."""
    if kind == HOLIDAY:
        return t("day_kind.holiday_short" if short else "day_kind.holiday")
    return t.weekday(KINDS.index(kind), short=short)


def span(t: Catalogue, first: date, last: date) -> str:
    """From the first day to the last one, both part of it: "01.10.2026 bis 31.10.2026"."""
    return t.date(first) if first == last else t("day_kind.span", first=t.date(first), last=t.date(last))


def last_day(end: datetime) -> date:
    """The last local day of a time that ends at `end`, which is not part of it."""
    return (end - timedelta(microseconds=1)).date()


def remark_views(
    remarks: Iterable[Mapping[str, Any]], t: Catalogue, names: Mapping[str, str]
) -> tuple[RemarkView, ...]:
    """Remarks of the API in words, in order of their time. `names`: of stations by id, and of areas by ``area:id``."""
    return tuple(
        _remark(remark, t, names) for remark in sorted(remarks, key=lambda found: (found["from"], found["id"]))
    )


def _remark(remark: Mapping[str, Any], t: Catalogue, names: Mapping[str, str]) -> RemarkView:
    begin = datetime.fromisoformat(remark["from"])
    end = None if remark["to"] is None else datetime.fromisoformat(remark["to"])
    last = None if end is None else last_day(end)
    if remark["area"] is not None:
        about = names.get(f"area:{remark['area']}", remark["area"])
    else:
        about = ", ".join(names.get(station, station) for station in remark["stations"])
    return RemarkView(
        kind=remark["kind"],
        word=remark_word(remark["kind"], t),
        text=remark["text"],
        span=t("day_kind.since", first=t.date(begin)) if last is None else span(t, begin.date(), last),
        about=about,
        excludes=remark["excludes"],
        first=begin.date(),
        last=last,
    )


def remark_ranges(
    remarks: Sequence[RemarkView], days: Sequence[tuple[date, date]]
) -> list[tuple[int, int, RemarkView]]:
    """Where remarks lie among intervals, as ranges of indexes [from, to); `days`: first and last day of each."""
    found = []
    for remark in remarks:
        touched = [
            i
            for i, (first, last) in enumerate(days)
            if remark.first <= last and (remark.last is None or remark.last >= first)
        ]
        if touched:
            found.append((touched[0], touched[-1] + 1, remark))
    return found
