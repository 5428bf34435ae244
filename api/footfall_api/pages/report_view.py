"""The report in words: a month, a quarter or a year at each station, and all of them on the first page.

Only rules of showing are here; the numbers are the API's. A change against the year before is of the days that have a
like day there, both wholly measured; it stands only where that are at least half of the period's days, and
`LEAST_DAYS` of them: else it would say something about a few days and be read as if it were about the period.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from footfall_api.messages import Catalogue
from footfall_api.pages.drawing import Bars, bars
from footfall_api.pages.measured import (
    DASH,
    KINDS,
    MEASURED,
    RemarkView,
    added,
    is_running,
    kind_name,
    left_out,
    numeral,
    remark_ranges,
    remark_views,
    rounded,
    share,
    state_text,
    tallied,
    why_not,
)
from footfall_api.pages.plot import runs

LEAST_SHARE: Final = 0.5
LEAST_DAYS: Final = 7
OFFERED: Final = {"month": 24, "quarter": 8, "year": 5}
"""So many periods are offered; others can be written into the address."""
SIZES: Final = {"wide": (720.0, 180.0), "narrow": (340.0, 180.0)}

Length = Literal["month", "quarter", "year"]
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
_QUARTER: Final = re.compile(r"(\d{4})-[qQ]([1-4])", re.ASCII)
_YEAR: Final = re.compile(r"(\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """A month, a quarter or a year: the local days [first, end). `key` is what the address calls it."""

    length: Length
    key: str
    first: date
    end: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.end - self.first).days

    def name(self, t: Catalogue) -> str:
        """Oktober 2026, 3. Quartal 2026, 2026."""
        if self.length == "month":
            return t.month(self.first)
        if self.length == "quarter":
            return t("report.quarter", number=str((self.first.month + 2) // 3), year=str(self.first.year))
        return str(self.first.year)


@dataclass(frozen=True, slots=True)
class Row:
    """A named number or fact, ready to be read."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class DayRow:
    """One day in the table behind the drawing."""

    label: str
    count: str
    note: str


@dataclass(frozen=True, slots=True)
class Change:
    """The change against the year before: `text` is a dash if there is none, `note` says of which days, or why not."""

    text: str
    note: str
    known: bool


@dataclass(frozen=True, slots=True)
class StationReport:
    """The page of one station, and its line on the first page. `total_count` is None if nothing was measured."""

    id: str
    name: str
    total: str
    total_count: int | None
    change: Change
    mean_day: str
    best: str
    quietest: str
    peak: str
    coverage: str
    gaps: str
    gaps_short: str
    directions: tuple[Row, ...]
    kinds: tuple[Row, ...]
    finding: str
    drawings: Mapping[str, Bars]
    drawing_text: str
    days: tuple[DayRow, ...]
    remarks: tuple[RemarkView, ...]
    method: str
    anything: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """What the API answered about one station: its feature, and the period's totals, comparison, days, directions."""

    feature: Mapping[str, Any]
    totals: Mapping[str, Any]
    compare: Mapping[str, Any]
    days: Mapping[str, Any]
    directions: Mapping[str, Any]


def month_of(day: date) -> Period:
    """The month that a day is in."""
    first = day.replace(day=1)
    return Period("month", f"{first:%Y-%m}", first, _later(first, 1))


def _later(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _quarter(first: date) -> Period:
    return Period("quarter", f"{first.year}-Q{(first.month + 2) // 3}", first, _later(first, 3))


def _year(year: int) -> Period:
    return Period("year", f"{year:04}", date(year, 1, 1), date(year + 1, 1, 1))


def default_period(today: date) -> Period:
    """The last whole month."""
    return month_of(today.replace(day=1) - timedelta(days=1))


def period_of(text: str) -> Period | None:
    """The period that an address names: ``2026-10``, ``2026-Q3``, ``2026``; None if it names none."""
    month, quarter, year = _MONTH.fullmatch(text), _QUARTER.fullmatch(text), _YEAR.fullmatch(text)
    match = month or quarter or year
    if match is None or not 2001 <= int(match[1]) <= 2098:
        return None
    if year:
        return _year(int(year[1]))
    if quarter:
        return _quarter(date(int(quarter[1]), int(quarter[2]) * 3 - 2, 1))
    return month_of(date(int(match[1]), int(match[2]), 1))


def offered(today: date) -> dict[Length, list[Period]]:
    """Periods to choose from, the newest first; the first of each kind is still running."""
    month, quarter = today.replace(day=1), date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    return {
        "month": [month_of(_later(month, -n)) for n in range(OFFERED["month"])],
        "quarter": [_quarter(_later(quarter, -3 * n)) for n in range(OFFERED["quarter"])],
        "year": [_year(today.year - n) for n in range(OFFERED["year"])],
    }


def station_report(
    answers: Answers, period: Period, now: datetime, t: Catalogue, names: Mapping[str, str]
) -> StationReport:
    """Everything that the report says of one station."""
    total = answers.totals["values"][0]
    days = [value for value in answers.days["values"] if value["reason"] != "future"]
    whole = [value["count"] for value in days if why_not(value, now) is None]
    remarks = remark_views(answers.totals["remarks"], t, names)
    name = answers.feature["properties"]["name"]
    change = _change(answers.compare["summary"][0], answers.compare["values"], period, t)
    mean = sum(whole) / len(whole) if whole else None
    return StationReport(
        id=answers.feature["id"],
        name=name,
        total=_count(total, t),
        total_count=total["count"],
        change=change,
        mean_day=rounded(mean, t),
        best=_day(total["best_day"], t),
        quietest=_day(total["quietest_day"], t),
        peak=_peak(total["peak_hour"], t),
        coverage=share(total["coverage"], t),
        gaps=_gaps(total, days, now, t),
        gaps_short=_gaps_short(total, t),
        directions=tuple(_directions(answers.directions["values"], answers.feature, period, t)),
        kinds=tuple(_kind(kind, total["mean_day"][kind], t) for kind in KINDS),
        finding=_finding(name, total, change, mean, t),
        drawings=_drawings(days, period, remarks, t, now),
        drawing_text=t("report.drawing", name=name, best=_day(total["best_day"], t)),
        days=tuple(_day_row(value, t, now) for value in days),
        remarks=remarks,
        method=answers.totals["method"],
        anything=total["count"] is not None,
    )


def _count(value: Mapping[str, Any], t: Catalogue) -> str:
    return numeral(value["count"], t, at_least=not _is_whole(value))


def _is_whole(value: Mapping[str, Any]) -> bool:
    """Whether all of a time was measured, by sensors that hung there all the time."""
    return bool(value["state"] == MEASURED and value["reason"] is None)


def _day(day: Mapping[str, Any] | None, t: Catalogue) -> str:
    if day is None:
        return DASH
    return t("report.day", day=t.day(date.fromisoformat(day["date"])), count=t.number(day["count"]))


def _peak(hour: Mapping[str, Any] | None, t: Catalogue) -> str:
    if hour is None:
        return DASH
    start, end = datetime.fromisoformat(hour["start"]), datetime.fromisoformat(hour["end"])
    return t(
        "report.hour", day=t.day(start.date()), start=t.clock(start), end=t.clock(end), count=t.number(hour["count"])
    )


def _change(summary: Mapping[str, Any], values: Sequence[Mapping[str, Any]], period: Period, t: Catalogue) -> Change:
    found = summary["last_year"]
    compared, days = found["intervals"], t.number(period.days)
    if found["ratio"] is not None and compared >= max(LEAST_DAYS, LEAST_SHARE * period.days):
        return Change(t.change(found["ratio"]), t("report.change_of", compared, days=days), known=True)
    if compared:
        return Change(DASH, t("report.change_few", compared, days=days), known=False)
    if not any(value["compared"] for value in values):
        return Change(DASH, t("report.change_now"), known=False)
    return Change(DASH, t("report.change_none"), known=False)


def _gaps(total: Mapping[str, Any], days: Sequence[Mapping[str, Any]], now: datetime, t: Catalogue) -> str:
    """What was not measured, in words: stretches and hours, hours without a sensor, and the days left out of means."""
    found = []
    if total["gaps"]:
        found.append(t("report.gaps", total["gaps"], hours=t("report.hours", total["gap_hours"])))
    if total["not_installed_hours"]:
        found.append(t("report.not_installed", total["not_installed_hours"]))
    skipped = left_out(t, added([tallied(why_not(value, now) for value in days)]))
    if skipped:
        found.append(t("report.left_out", skipped=skipped))
    return " ".join(found) or t("report.no_gaps")


def _gaps_short(total: Mapping[str, Any], t: Catalogue) -> str:
    if total["not_installed_hours"] and not total["gap_hours"] and total["count"] is None:
        return t("report.no_sensor")
    hours = total["gap_hours"] + total["not_installed_hours"]
    return t("report.hours", hours) if hours else t("report.none")


def _directions(
    values: Sequence[Mapping[str, Any]], feature: Mapping[str, Any], period: Period, t: Catalogue
) -> list[Row]:
    """The sum of each direction by its label at the end of the period, and its share of both."""
    labels = [
        found
        for found in feature["properties"]["directions"]
        if found["from"] is None or datetime.fromisoformat(found["from"]).date() < period.end
    ]
    said = labels[-1] if labels else {}
    sums: dict[str, int] = {}
    lacks = False
    for value in values:
        if value["reason"] != "future":
            lacks = lacks or not _is_whole(value)
        if value["count"] is not None:
            sums[value["direction"]] = sums.get(value["direction"], 0) + value["count"]
    both = sum(sums.values())
    keys = {"in": "report.in", "out": "report.out", "undirected": "report.undirected"}
    return [
        Row(said.get(word) or t(keys[word]), numeral(sums[word], t, at_least=lacks), _share(sums[word], both, t))
        for word in keys
        if word in sums
    ]


def _share(part: int, whole: int, t: Catalogue) -> str:
    return t.nearest_percent(part / whole) if whole else ""


def _kind(kind: str, mean: Mapping[str, Any], t: Catalogue) -> Row:
    if not mean["days"]:
        return Row(kind_name(t, kind), DASH, t("compare.no_day"))
    if mean["mean"] is None:
        return Row(kind_name(t, kind), DASH, t("compare.too_few", mean["days"]))
    return Row(kind_name(t, kind), t.number(round(mean["mean"])), t("compare.from_days", mean["days"]))


def _finding(name: str, total: Mapping[str, Any], change: Change, mean: float | None, t: Catalogue) -> str:
    if total["count"] is None:
        key = "report.finding_no_sensor" if total["reason"] == "not_installed" else "report.finding_nothing"
        return t(key, name=name)
    found = [t("report.finding_total", total["count"], name=name, total=_count(total, t))]
    if mean is not None:
        found.append(t("report.finding_mean", mean=t.number(round(mean))))
    if change.known:
        found.append(t("report.finding_change", change=change.text))
    return " ".join(found)


def _drawings(
    days: Sequence[Mapping[str, Any]], period: Period, remarks: Sequence[RemarkView], t: Catalogue, now: datetime
) -> dict[str, Bars]:
    dates = [datetime.fromisoformat(value["start"]).date() for value in days]
    ranges = remark_ranges(remarks, [(day, day) for day in dates])
    return {
        name: bars(
            [value["count"] for value in days],
            labels=_labels(dates, period, t, narrow=name == "narrow"),
            unit=t("report.unit"),
            number=t.number,
            partial=[i for i, value in enumerate(days) if value["state"] != MEASURED or is_running(value, now)],
            gaps=runs(value["count"] is None for value in days),
            remarks=[(start, end) for start, end, _ in ranges],
            size=size,
        )
        for name, size in SIZES.items()
    }


def _labels(dates: Sequence[date], period: Period, t: Catalogue, *, narrow: bool) -> list[tuple[int, str]]:
    """Days of a month, first days of the months of a quarter or a year."""
    if period.length == "month":
        return [
            (i, f"{day.day}." if t.language == "de" else str(day.day))
            for i, day in enumerate(dates)
            if (day.day in {1, 8, 15, 22, 29} if narrow else day.day % 2)
        ]
    return [
        (i, t.month_short(day))
        for i, day in enumerate(dates)
        if day.day == 1 and (not narrow or period.length == "quarter" or day.month % 3 == 1)
    ]


def _day_row(value: Mapping[str, Any], t: Catalogue, now: datetime) -> DayRow:
    state, note = value["state"], ""
    if state != MEASURED:
        note = state_text(state, value["reason"], value["coverage"], t)
    elif is_running(value, now):
        note = t("state.running")
    return DayRow(
        label=t.day(datetime.fromisoformat(value["start"]).date()),
        count=numeral(value["count"], t, at_least=state == "partial"),
        note=note,
    )


def shares(reports: Sequence[StationReport]) -> list[float]:
    """The length of each station's bar on the first page: its total as a share of the largest, 0 to 1."""
    most = max((report.total_count or 0 for report in reports), default=0)
    return [(report.total_count or 0) / most if most else 0.0 for report in reports]


def finding(reports: Sequence[StationReport], period: Period, t: Catalogue) -> str:
    """The first page in a sentence."""
    known = [report for report in reports if report.total_count is not None]
    if not known:
        return t("report.first_nothing", period=period.name(t))
    top = max(known, key=lambda report: report.total_count or 0)
    return t("report.first", len(known), period=period.name(t), name=top.name, total=top.total)
