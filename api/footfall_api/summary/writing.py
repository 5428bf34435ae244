"""Write summaries as JSON and CSV. Both have the same rows with the same names; what CSV cannot nest has a column each.

The names are a promise (docs/summaries.md). Means and quartiles have two decimals, ratios four.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from footfall_api.summary.before_after import Change, Side
from footfall_api.summary.compare import WEEKS, Before, Compared, Comparison, Sum, Usual, difference, ratio
from footfall_api.summary.days import DayKind
from footfall_api.summary.profile import Cell, Week
from footfall_api.summary.series import Series, Skipped
from footfall_api.summary.totals import KindMean, Total, Totals
from footfall_api.writing import CsvStyle

Row = Mapping[str, Any]

_USUAL: Final = tuple(f"usual_{weeks}_weeks" for weeks in WEEKS)
_LAST_YEAR: Final = "last_year"


def profile_rows(weeks: Iterable[Week]) -> Iterator[Row]:
    """The cells of typical weeks."""
    for week in weeks:
        for cell in week.cells:
            yield _cell(week.series, cell)


def _cell(series: Series, cell: Cell) -> Row:
    found = cell.spread
    return {
        "weekday": cell.kind,
        "time": cell.clock or None,
        **_dimensions(series),
        "median": None if found is None else round(found.median, 2),
        "lower_quartile": None if found is None else round(found.lower_quartile, 2),
        "upper_quartile": None if found is None else round(found.upper_quartile, 2),
        "values": cell.values,
        "enough": found is not None,
        "skipped": cell.skipped,
    }


def left_out(series: Sequence[Series], now_s: int) -> list[Row]:
    """How many intervals did not go in, by why and reason, for each sensor: directions and classes share them."""
    rows: list[Row] = []
    for sensor in dict.fromkeys(one.sensor for one in series):
        one = next(one for one in series if one.sensor == sensor)
        whys = [one.why_not(i, now_s) for i in range(len(one.answers))]
        found = Counter((w, str(a.reason or "")) for w, a in zip(whys, one.answers, strict=True) if w is not None)
        rows += [
            {"sensor": sensor, "why": why, "reason": reason or None, "intervals": intervals}
            for (why, reason), intervals in sorted(found.items())
        ]
    return rows


def compare_rows(comparisons: Iterable[Comparison], zone: ZoneInfo) -> Iterator[Row]:
    """The intervals of comparisons."""
    for comparison in comparisons:
        for value in comparison.values:
            yield _compared(comparison.series, value, zone)


def _compared(series: Series, value: Compared, zone: ZoneInfo) -> Row:
    count = value.count if value.why_not is None else None
    return {
        "start": moment(value.start_s, zone),
        "end": moment(value.end_s, zone),
        **_dimensions(series),
        "count": value.count,
        "coverage": value.answer.coverage,
        "state": value.answer.state,
        "reason": value.answer.reason,
        "final": value.answer.final,
        "compared": value.why_not is None,
        **{name: _usual(count, usual) for name, usual in zip(_USUAL, value.usual, strict=True)},
        _LAST_YEAR: _before(count, value.before),
    }


def _usual(count: int | None, usual: Usual) -> Row:
    return {
        "mean": _rounded(usual.mean),
        **_beside(count, usual.mean),
        "days": usual.days,
        "enough": usual.mean is not None,
        "skipped": usual.skipped,
    }


def _before(count: int | None, before: Before) -> Row:
    return {
        "date": None if before.day is None else before.day.isoformat(),
        "count": _rounded(before.count),
        **_beside(count, before.count),
        "skipped": before.skipped,
    }


def _beside(count: float | None, other: float | None) -> Row:
    return {"difference": _rounded(difference(count, other)), "ratio": _rounded(ratio(count, other), 4)}


def compare_sums(comparisons: Iterable[Comparison]) -> list[Row]:
    """The whole period of comparisons, as far as both sides are known."""
    return [
        {
            **_dimensions(comparison.series),
            "intervals": len(comparison.values),
            **{name: _sum(found) for name, found in zip(_USUAL, comparison.usual, strict=True)},
            _LAST_YEAR: _sum(comparison.before),
        }
        for comparison in comparisons
    ]


def _sum(found: Sum) -> Row:
    known = found.intervals > 0
    count, other = (found.count, found.other) if known else (None, None)
    return {"intervals": found.intervals, "count": count, "other": _rounded(other), **_beside(count, other)}


def before_after_rows(changes: Iterable[Change]) -> Iterator[Row]:
    """The kinds of day on both sides of a change."""
    for change in changes:
        for value in change.values:
            yield {
                "weekday": value.kind,
                "time": value.clock or None,
                **_dimensions(change.series),
                "before": _side(value.before),
                "after": _side(value.after),
                **_beside(value.after.mean, value.before.mean),
            }


def _side(side: Side) -> Row:
    return {
        "mean": _rounded(side.mean),
        "days": side.days,
        "enough": side.mean is not None,
        "skipped": side.skipped,
    }


def before_after_weeks(changes: Iterable[Change]) -> list[Row]:
    """A mean week before and after, where all of it is known."""
    rows: list[Row] = []
    for change in changes:
        before, after = change.weeks or (None, None)
        rows.append(
            {
                **_dimensions(change.series),
                "before": _rounded(before),
                "after": _rounded(after),
                **_beside(after, before),
            }
        )
    return rows


def totals_rows(found: Iterable[Totals], zone: ZoneInfo) -> Iterator[Row]:
    """The periods of totals."""
    for one in found:
        for total in one.values:
            yield _total(one.series, total, zone)


def _total(series: Series, total: Total, zone: ZoneInfo) -> Row:
    best, quietest, peak = total.best_day, total.quietest_day, total.peak_hour
    return {
        "start": moment(total.start_s, zone),
        "end": moment(total.end_s, zone),
        **_dimensions(series),
        "count": total.count,
        "coverage": total.answer.coverage,
        "state": total.answer.state,
        "reason": total.answer.reason,
        "final": total.answer.final,
        "gaps": total.gaps.count,
        "gap_hours": total.gaps.hours,
        "not_installed_hours": total.gaps.not_installed_hours,
        "measured_days": total.measured_days,
        "skipped_days": total.skipped_days,
        "best_day": None if best is None else {"date": best.day.isoformat(), "count": best.count},
        "quietest_day": None if quietest is None else {"date": quietest.day.isoformat(), "count": quietest.count},
        "peak_hour": None
        if peak is None
        else {"start": moment(peak.start_s, zone), "end": moment(peak.end_s, zone), "count": peak.count},
        "mean_day": {str(kind.kind): _kind(kind) for kind in total.kinds},
    }


def _kind(kind: KindMean) -> Row:
    return {
        "mean": _rounded(kind.mean),
        "days": kind.days,
        "enough": kind.mean is not None,
        "skipped": kind.skipped,
    }


def moment(instant_s: int, zone: ZoneInfo) -> str:
    """An instant as the API writes it: ISO 8601 with the offset of the zone."""
    return datetime.fromtimestamp(instant_s, zone).isoformat()


def _dimensions(series: Series) -> Row:
    return {"direction": series.direction, "class": series.class_, "sensor": series.sensor}


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


_SAME: Final = ("station", "area")
"""What every line begins with: one of the two is empty."""

_STATE: Final = ("count", "coverage", "state", "reason", "final")
_DIMENSIONS: Final = ("direction", "class", "sensor")

PROFILE_HEADER: Final = (
    *_SAME, "weekday", "time", *_DIMENSIONS,
    "median", "lower_quartile", "upper_quartile", "values", "enough", "skipped",
)  # fmt: skip

COMPARE_HEADER: Final = (
    *_SAME, "interval_start", "interval_end", *_DIMENSIONS, *_STATE, "compared",
    *(f"{name}_{field}" for name in _USUAL for field in ("mean", "difference", "ratio", "days", "enough", "skipped")),
    *(f"{_LAST_YEAR}_{field}" for field in ("date", "count", "difference", "ratio", "skipped")),
)  # fmt: skip

BEFORE_AFTER_HEADER: Final = (
    *_SAME, "weekday", "time", *_DIMENSIONS,
    *(f"{side}_{field}" for side in ("before", "after") for field in ("mean", "days", "enough", "skipped")),
    "difference", "ratio",
)  # fmt: skip

TOTALS_HEADER: Final = (
    *_SAME, "period_start", "period_end", *_DIMENSIONS, *_STATE, "gaps", "gap_hours", "not_installed_hours",
    "measured_days", "skipped_days", "best_day_date", "best_day_count", "quietest_day_date", "quietest_day_count",
    "peak_hour_start", "peak_hour_end", "peak_hour_count",
    *(f"mean_day_{kind}_{field}" for kind in DayKind for field in ("mean", "days", "enough", "skipped")),
)  # fmt: skip

_RENAMED: Final = {
    "interval_start": "start", "interval_end": "end", "period_start": "start", "period_end": "end",
}  # fmt: skip
"""Columns that are named otherwise than the field, as in the counts."""


def csv_text(header: Sequence[str], rows: Iterable[Row], station: str | None, area: str | None, style: CsvStyle) -> str:
    """All lines. `skipped` is written as ``missing=3 partial=1``."""
    lines = [style.delimiter.join(header)]
    fields = [_RENAMED.get(column, column) for column in header]
    for row in rows:
        flat = _flat({"station": station, "area": area, **row})
        lines.append(style.delimiter.join(_text(flat.get(field), style) for field in fields))
    return style.begin + "".join(line + style.line_end for line in lines)


def _flat(row: Row, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and name not in {"skipped", "skipped_days"}:
            found.update(_flat(value, f"{prefix}{name}_"))
        else:
            found[prefix + name] = value
    return found


def _text(value: object, style: CsvStyle) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value).replace(".", style.decimal)
    if isinstance(value, Mapping):
        return _skipped(value)
    text = str(value)
    if style.delimiter in text or any(character in '"\r\n' for character in text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _skipped(skipped: Skipped) -> str:
    return " ".join(f"{word}={count}" for word, count in skipped.items())
