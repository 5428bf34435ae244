"""The station page in words and charts: what the API answers about a station, as the page shows it.

Pure rules: dicts of the API go in, ready text and `Plot`s come out. A sum over time of which some was not measured is a
lower bound and is shown with ≥; an interval without a number is a dash with its reason. Times are the station's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo

from footfall_api.messages import Catalogue
from footfall_api.pages import measured
from footfall_api.pages.measured import COMPLETE, DASH, HOLIDAY, KINDS, changed, numeral, remark_word, rounded, span
from footfall_api.pages.places import direction_label, position_of, since_text
from footfall_api.pages.plot import Colour, Kind, Mark, Plot, Series, runs
from footfall_api.pages.station_choice import MOST_ROWS, Choice, Trouble

ALL: Final = "all"
COLOURS: Final[Mapping[str, Colour]] = {"in": "in", "out": "out", "undirected": "both", ALL: "both"}
_A_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of an answer with the counts of its directions; times are local."""

    start: datetime
    end: datetime
    counts: Mapping[str, int | None]
    coverage: float | None
    state: str
    reason: str | None
    running: bool = False
    """Whether it is not over yet."""

    @property
    def total(self) -> int | None:
        """All directions together; None: not measured."""
        known = [count for count in self.counts.values() if count is not None]
        return sum(known) if known else None

    @property
    def whole(self) -> bool:
        """Whether all of it was measured."""
        return self.state == "measured"

    @property
    def seconds(self) -> float:
        """How long it really lasts, over changes of the clock."""
        return (self.end.astimezone(UTC) - self.start.astimezone(UTC)).total_seconds()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the interval, its numbers, and how well it was measured."""

    start: str
    name: str
    counts: tuple[str, ...]
    state: str
    measured: bool


@dataclass(frozen=True, slots=True)
class RemarkView:
    """What people know about a time: its kind, when, and what."""

    kind: str
    when: str
    text: str
    excludes: bool


@dataclass(frozen=True, slots=True)
class TableView:
    """A page of the table behind a chart; `first` and `last` are numbers of its rows, from 1 on."""

    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    caption: str
    first: int
    last: int
    count: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class CourseView:
    """The counts of the chosen period."""

    plot: Plot
    summary: str
    table: TableView
    remarks: tuple[RemarkView, ...]
    hint: str | None


def local(text: str, zone: ZoneInfo) -> datetime:
    """A moment of the API in the station's zone."""
    return datetime.fromisoformat(text).astimezone(zone)


def intervals_of(answer: Mapping[str, Any], zone: ZoneInfo, now: datetime | None = None) -> list[Interval]:
    """The intervals of an answer without those at its end that have not come yet; with `now` it is known which runs."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for value in answer["values"]:
        found.setdefault(value["start"], []).append(value)
    intervals = [
        Interval(
            start=local(start, zone),
            end=local(values[0]["end"], zone),
            counts={value["direction"]: value["count"] for value in values},
            coverage=values[0]["coverage"],
            state=values[0]["state"],
            reason=values[0]["reason"],
            running=now is not None and local(values[0]["end"], zone) > now,
        )
        for start, values in found.items()
    ]
    while intervals and intervals[-1].reason == "future":
        intervals.pop()
    return intervals


def state_text(interval: Interval, t: Catalogue) -> str:
    """How well an interval was measured; one without a number says why."""
    if interval.running and interval.whole:
        return t("state.running")
    if interval.reason == "future":
        return t("station.future")
    if interval.state == "coarse":
        return t("station.coarse", resolution=step_text(interval.reason or "", t))
    return measured.state_text(interval.state, interval.reason, interval.coverage, t)


def step_text(resolution: str, t: Catalogue) -> str:
    """A resolution as people say it; one that the page does not offer stays as the API writes it."""
    return t(f"station.step.{resolution}") if resolution in STEPS else resolution


STEPS: Final = ("1min", "5min", "15min", "30min", "1h", "1d", "1w", "1mo", "1y")


def label(direction: str, labels: Mapping[str, str], t: Catalogue) -> str:
    """What a direction is called now."""
    if direction == ALL:
        return t("station.together")
    return direction_label(direction, labels, t)


def interval_name(interval: Interval, resolution: str, t: Catalogue, *, zoned: bool = False) -> str:
    """An interval for people: a clock time with its day, a day, a week, a month."""
    start = interval.start
    if resolution == "1y":
        return str(start.year)
    if resolution == "1mo":
        return t.month(start)
    if resolution == "1w":
        return t("station.week_of", day=t.date(start))
    if resolution == "1d":
        return t.day(start)
    zone = f" {t.zone(start)}" if zoned else ""
    # By the clock that showed its beginning: in the night in October the first hour from 2 ends at 3, too.
    end = t.clock(interval.end.astimezone(timezone(start.utcoffset() or timedelta())))
    until = "24:00" if end == "00:00" else end
    return f"{t.day(start)}, {t.clock(start)}{DASH}{until}{zone}"


def period_text(first: date, last: date, t: Catalogue) -> str:
    """A period of days; one day is named with its weekday."""
    if first == last:
        return t.day(first)
    return span(t, first, last)


def trouble_text(trouble: Trouble, t: Catalogue) -> str:
    """Why something cannot be shown, its numbers as people write them."""
    values: dict[str, Any] = {
        name: t.number(value) if isinstance(value, int) else value for name, value in trouble.values.items()
    }
    return t(trouble.key, **values)


def course_view(
    answer: Mapping[str, Any],
    choice: Choice,
    station: "StationFacts",
    t: Catalogue,
    source: str,
    *,
    now: datetime,
) -> CourseView:
    """Chart, sentence and table of the chosen period."""
    zone = ZoneInfo(station.timezone)
    intervals = intervals_of(answer, zone, now)
    keys = list(dict.fromkeys(key for interval in intervals for key in interval.counts)) or [ALL]
    unit = t(f"station.unit.{choice.resolution}")
    title = chart_title(choice, station, t)
    remarks = remark_views(answer["remarks"], zone, t)
    plot = Plot(
        kind=_kind(choice.form),
        title=title,
        source=source,
        unit=unit,
        x=[interval.start.isoformat() for interval in intervals],
        series=[
            Series(
                label(key, station.labels, t),
                COLOURS.get(key, "c"),
                [interval.counts.get(key) for interval in intervals],
                mirror=key == "out" and "in" in keys and choice.form == "bars",
            )
            for key in keys
        ],
        words=chart_words(t),
        zone=station.timezone,
        resolution=choice.resolution,
        partial=[
            index
            for index, interval in enumerate(intervals)
            if interval.state == "partial" or (interval.running and interval.whole)
        ],
        gaps=runs(interval.total is None for interval in intervals),
        remarks=marks(answer["remarks"], remarks, intervals, t),
        file=f"footfall_{station.id}_{choice.first}_{choice.last}_{choice.resolution}",
    )
    return CourseView(
        plot=plot,
        summary=course_summary(intervals, keys, choice, station, t),
        table=table_view(intervals, keys, choice, station, t),
        remarks=remarks,
        hint=edge_hint(intervals, choice, t),
    )


def chart_title(choice: Choice, station: "StationFacts", t: Catalogue) -> str:
    """Where, what, when."""
    unit = t(f"station.unit.{choice.resolution}")
    return t("station.chart_title", name=station.name, unit=unit, period=period_text(choice.first, choice.last, t))


def _kind(form: str) -> Kind:
    return "lines" if form == "lines" else "bars"


def chart_words(t: Catalogue) -> dict[str, str]:
    """What a chart says itself."""
    return {
        "gap": t("station.words.gap"),
        "partial": t("station.words.partial"),
        "none": DASH,
        "week": t("station.words.week", date="{date}"),
        "failed": t("station.words.failed"),
        "png": t("station.words.png"),
        "svg": t("station.words.svg"),
    }


def edge_hint(intervals: Sequence[Interval], choice: Choice, t: Catalogue) -> str | None:
    """Said if the first interval begins before the chosen day: weeks, months and years are shown whole."""
    if intervals and intervals[0].start.date() < choice.first:
        return t("station.whole_intervals", day=t.date(intervals[0].start))
    return None


def course_summary(
    intervals: Sequence[Interval], keys: Sequence[str], choice: Choice, station: "StationFacts", t: Catalogue
) -> str:
    """The main finding: how many passages, when most, and how much of the time was measured."""
    measured = [interval for interval in intervals if interval.total is not None]
    period = period_text(choice.first, choice.last, t)
    if not measured:
        return t("station.summary.none", period=period, why=_why(intervals, t))
    total = sum(interval.total or 0 for interval in measured)
    told = _passages(total, intervals, keys, station, t)
    nobody = t("station.summary.nobody", period=period)
    parts = [t("station.summary.total", period=period, passages=told) if total else nobody]
    if total:
        best = max(measured, key=lambda interval: interval.total or 0)
        parts.append(
            t(
                f"station.best.{choice.resolution}",
                name=interval_name(best, choice.resolution, t),
                count=t.number(best.total or 0),
            )
        )
    parts.append(_coverage_sentence(intervals, t))
    return " ".join(parts)


def _passages(
    total: int, intervals: Sequence[Interval], keys: Sequence[str], station: "StationFacts", t: Catalogue
) -> str:
    """The sum with its share of each direction; a lower bound if not all of the time was measured."""
    told = t("station.summary.passages", total)
    if any(not interval.whole for interval in intervals):
        told = t("station.at_least", text=told)
    if len(keys) > 1:
        sums = [(sum(interval.counts.get(key) or 0 for interval in intervals), key) for key in keys]
        shares = "; ".join(f"{t.number(count)} {label(key, station.labels, t)}" for count, key in sums)
        told = f"{told} ({shares})"
    return told


def _why(intervals: Sequence[Interval], t: Catalogue) -> str:
    reasons = {interval.reason for interval in intervals}
    if len(intervals) and len(reasons) == 1:
        return state_text(intervals[0], t)
    return t("state.missing")


def measured_share(intervals: Iterable[Interval]) -> float | None:
    """Measured ÷ expected time; None where nothing could have been measured. Time to come is not expected."""
    expected = measured = 0.0
    for interval in intervals:
        if interval.coverage is not None:
            expected += interval.seconds
            measured += interval.seconds * interval.coverage
    return measured / expected if expected else None


def _coverage_sentence(intervals: Sequence[Interval], t: Catalogue) -> str:
    share = measured_share(intervals)
    holes = sum(interval.total is None for interval in intervals)
    missing = t("station.summary.holes", holes) if holes else ""
    if share is not None and share >= COMPLETE and not holes:
        # Nothing is said to be whole of which the sum is only a lower bound.
        return t("station.summary.whole" if all(one.whole for one in intervals) else "station.summary.nearly")
    told = t("station.summary.share", share=t.percent(share or 0))
    return f"{told} {missing}".strip()


def table_view(
    intervals: Sequence[Interval],
    keys: Sequence[str],
    choice: Choice,
    station: "StationFacts",
    t: Catalogue,
) -> TableView:
    """The page of the table that the address asks for; the last one if there are fewer."""
    pages = max(1, -(-len(intervals) // MOST_ROWS))
    page = min(choice.page, pages)
    begin = (page - 1) * MOST_ROWS
    chosen = intervals[begin : begin + MOST_ROWS]
    heads = [label(key, station.labels, t) for key in keys]
    if len(keys) > 1:
        heads.append(t("station.together"))
    zoned = len({interval.start.utcoffset() for interval in intervals}) > 1
    zone = t.zone(intervals[0].start) if intervals else ""
    return TableView(
        heads=tuple(heads),
        rows=tuple(row(interval, keys, choice.resolution, t, zoned=zoned) for interval in chosen),
        caption=t(
            "station.caption",
            title=chart_title(choice, station, t),
            zone=station.timezone if zoned else f"{station.timezone}, {zone}",
        ),
        first=begin + 1,
        last=begin + len(chosen),
        count=len(intervals),
        page=page,
        pages=pages,
    )


def row(interval: Interval, keys: Sequence[str], resolution: str, t: Catalogue, *, zoned: bool) -> Row:
    """A line of the table."""
    counts = [numeral(interval.counts.get(key), t) for key in keys]
    if len(keys) > 1:
        counts.append(numeral(interval.total, t))
    return Row(
        start=interval.start.isoformat(),
        name=interval_name(interval, resolution, t, zoned=zoned),
        counts=tuple(counts),
        state=state_text(interval, t),
        measured=interval.whole,
    )


# ------------------------------------------------------------------------------------------------------------- remarks


def remark_views(remarks: Sequence[Mapping[str, Any]], zone: ZoneInfo, t: Catalogue) -> tuple[RemarkView, ...]:
    """Remarks of a time, in the order of the API."""
    return tuple(
        RemarkView(
            kind=remark_word(remark["kind"], t),
            when=remark_time(local(remark["from"], zone), remark["to"] and local(remark["to"], zone), t),
            text=str(remark["text"]),
            excludes=bool(remark["excludes"]),
        )
        for remark in remarks
    )


def remark_time(start: datetime, end: datetime | None, t: Catalogue) -> str:
    """The time of a remark: whole days as days, else with the clock."""
    begins_day = (start.hour, start.minute) == (0, 0)
    if end is None:
        return t("station.remark_since", since=t.date(start) if begins_day else t.moment(start))
    if begins_day and (end.hour, end.minute) == (0, 0):
        last = (end - timedelta(days=1)).date()
        if start.date() == last:
            return t.date(start)
        return t("station.remark_time", since=t.date(start), until=t.date(last))
    return t("station.remark_time", since=t.moment(start), until=t.moment(end))


def remark_line(remark: RemarkView, t: Catalogue) -> str:
    """A remark in a line, for a picture."""
    line = f"{remark.kind}, {remark.when}: {remark.text}"
    return f"{line} ({t('station.excludes')})" if remark.excludes else line


def marks(
    remarks: Sequence[Mapping[str, Any]],
    views: Sequence[RemarkView],
    intervals: Sequence[Interval],
    t: Catalogue,
) -> tuple[Mark, ...]:
    """Where in a chart the remarks lie: on all intervals that they touch."""
    found = []
    for remark, view in zip(remarks, views, strict=True):
        start = datetime.fromisoformat(remark["from"])
        end = datetime.fromisoformat(remark["to"]) if remark["to"] else None
        touched = [
            index
            for index, interval in enumerate(intervals)
            if interval.end > start and (end is None or interval.start < end)
        ]
        if touched:
            found.append(Mark(touched[0], touched[-1] + 1, str(remark["kind"]), remark_line(view, t)))
    return tuple(found)


# ------------------------------------------------------------------------------------------------------------- station


@dataclass(frozen=True, slots=True)
class Stay:
    """A sensor at the station, or the meaning of the directions: since when, until when."""

    name: str
    since: str
    until: str | None
    role: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the directions meant from a day on."""

    since: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StationFacts:
    """What is known of the station itself; `labels` are what the directions mean now."""

    id: str
    name: str
    timezone: str
    position: Mapping[str, str]
    """Latitude and longitude in words."""
    labels: Mapping[str, str]
    meanings: tuple[Meaning, ...]
    sensors: tuple[Stay, ...]
    areas: tuple[str, ...]
    since: str | None
    """When its first sensor was installed; None: it never had one."""


def station_facts(feature: Mapping[str, Any], areas: Mapping[str, str], now: datetime, t: Catalogue) -> StationFacts:
    """A station of the API; `areas`: their names by id."""
    known = feature["properties"]
    zone = ZoneInfo(known["timezone"])
    past = [one for one in known["directions"] if one["from"] is None or local(one["from"], zone) <= now]
    current = past[-1] if past else {}
    labels = {key: current[key] for key in ("in", "out") if current.get(key)}
    parts = [sensor for sensor in known["sensors"] if sensor["role"] == "part"]
    return StationFacts(
        id=str(feature["id"]),
        name=str(known["name"]),
        timezone=str(known["timezone"]),
        position=position_of(feature, t),
        labels=labels,
        meanings=tuple(
            Meaning(
                since_text(one["from"], t),
                tuple((key, str(one[key])) for key in ("in", "out") if one.get(key)),
            )
            for one in known["directions"]
        ),
        sensors=tuple(
            Stay(
                name=str(sensor["id"]),
                since=since_text(sensor["from"], t),
                until=sensor["to"] and t.date(local(sensor["to"], zone)),
                role=t("station.role.reference" if sensor["role"] == "reference" else "station.role.part"),
            )
            for sensor in known["sensors"]
        ),
        areas=tuple(areas.get(area, area) for area in known["areas"]),
        since=first_day(parts, t),
    )


def first_day(sensors: Sequence[Mapping[str, Any]], t: Catalogue) -> str | None:
    """When the first of some sensors came; None if there is none."""
    if not sensors:
        return None
    begins = [sensor["from"] for sensor in sensors]
    return since_text(None if None in begins else min(begins, key=datetime.fromisoformat), t)


# -------------------------------------------------------------------------------------------------------- typical week


@dataclass(frozen=True, slots=True)
class WeekView:
    """The typical week: a heat map, its main finding, and the table: rows of hours, columns of kinds of days."""

    plot: Plot
    summary: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    caption: str
    hint: str
    empty: bool
    """Not one cell has enough values."""


def day_name(kind: str, t: Catalogue, *, short: bool = False) -> str:
    """A kind of day of the API: a weekday, or a public holiday."""
    if kind != HOLIDAY:
        return t.weekday(KINDS.index(kind), short=short)
    return t("station.week.holiday_short" if short else "station.week.holiday")


def week_view(answer: Mapping[str, Any], station: StationFacts, t: Catalogue, source: str) -> WeekView:
    """The typical week, by the hour."""
    zone = ZoneInfo(station.timezone)
    kinds = list(dict.fromkeys(value["weekday"] for value in answer["values"]))
    times = list(dict.fromkeys(value["time"] for value in answer["values"]))
    cells = {(value["weekday"], value["time"]): value for value in answer["values"]}
    medians = {
        (kind, time): cells[kind, time]["median"] if (kind, time) in cells else None for kind in kinds for time in times
    }
    first, last = local(answer["from"], zone), local(answer["to"], zone) - timedelta(days=1)
    period = period_text(first.date(), last.date(), t)
    title = t("station.week.title", name=station.name, period=period)
    words = chart_words(t) | {
        "few": t("station.week.few"),
        "less": t("station.week.less"),
        "more": t("station.week.more"),
    }
    plot = Plot(
        kind="heat",
        title=title,
        source=source,
        unit=t("station.week.unit"),
        x=[hour_name(time) for time in times],
        y=[day_name(kind, t, short=True) for kind in kinds],
        xkind="label",
        series=[Series(t("station.week.median"), "in", [medians[kind, time] for kind in kinds for time in times])],
        words=words,
        zone=station.timezone,
        file=f"footfall_{station.id}_week",
        digits=0,
    )
    known = [(median, kind, time) for (kind, time), median in medians.items() if median is not None]
    return WeekView(
        plot=plot,
        summary=_week_summary(known, cells, t),
        heads=tuple(day_name(kind, t, short=True) for kind in kinds),
        rows=tuple((str(time), tuple(numeral(medians[kind, time], t) for kind in kinds)) for time in times),
        caption=title,
        hint=t("station.week.hint", least=t.number(answer["least_values"]), period=period),
        empty=not known,
    )


def hour_name(time: str) -> str:
    """08:00 as 8, as it stands below a narrow column."""
    hour, _, minute = time.partition(":")
    return str(int(hour)) if minute == "00" else time


def _week_summary(
    known: Sequence[tuple[float, str, str]], cells: Mapping[tuple[str, str], Mapping[str, Any]], t: Catalogue
) -> str:
    if not known:
        return t("station.week.none")
    most, kind, time = max(known)
    hours = cells[kind, time]["values"]
    if not most:
        return t("station.week.nobody")
    return t(
        "station.week.summary",
        hours,
        day=day_name(kind, t),
        time=time,
        until=f"{int(time[:2]) + 1:02}:00",
        median=t("station.summary.passages", round(most)),
    )


# ----------------------------------------------------------------------------- this week against the last four


@dataclass(frozen=True, slots=True)
class UsualRow:
    """A day or hour of this week beside what is usual."""

    start: str
    name: str
    count: str
    usual: str
    change: str
    note: str


@dataclass(frozen=True, slots=True)
class UsualView:
    """This week beside the mean of the last four."""

    plot: Plot
    summary: str
    rows: tuple[UsualRow, ...]
    caption: str
    hint: str


def usual_view(
    answer: Mapping[str, Any], choice: Choice, station: StationFacts, t: Catalogue, source: str
) -> UsualView:
    """Each day (or hour) of this week beside the mean of the like ones of the four weeks before."""
    zone = ZoneInfo(station.timezone)
    by_day = choice.week_by == "1d"
    values = answer["values"]
    intervals = [_interval(value, zone) for value in values]
    title = t("station.usual.title", name=station.name, day=t.date(local(answer["from"], zone)))
    plot = Plot(
        kind="bars" if by_day else "lines",
        title=title,
        source=source,
        unit=t(f"station.unit.{choice.week_by}"),
        x=[interval.start.isoformat() for interval in intervals],
        series=[
            Series(t("station.usual.this"), "a", [value["count"] for value in values]),
            Series(t("station.usual.four"), "quiet", [value["usual_4_weeks"]["mean"] for value in values]),
        ],
        words=chart_words(t),
        zone=station.timezone,
        resolution=choice.week_by,
        partial=[index for index, value in enumerate(values) if value["count"] is not None and not value["compared"]],
        gaps=runs(value["state"] == "missing" and value["reason"] != "future" for value in values),
        remarks=marks(answer["remarks"], remark_views(answer["remarks"], zone, t), intervals, t),
        file=f"footfall_{station.id}_this-week",
    )
    return UsualView(
        plot=plot,
        summary=_usual_summary(answer["summary"][0] if answer["summary"] else None, by_day, t),
        rows=tuple(
            _usual_row(value, interval, choice.week_by, t)
            for value, interval in zip(values, intervals, strict=True)
            if interval.reason != "future" or by_day
        ),
        caption=title,
        hint=t("station.usual.hint", least=t.number(answer["least_days"])),
    )


def _interval(value: Mapping[str, Any], zone: ZoneInfo) -> Interval:
    return Interval(
        start=local(value["start"], zone),
        end=local(value["end"], zone),
        counts={value["direction"]: value["count"]},
        coverage=value["coverage"],
        state=value["state"],
        reason=value["reason"],
    )


def _usual_row(value: Mapping[str, Any], interval: Interval, by: str, t: Catalogue) -> UsualRow:
    usual = value["usual_4_weeks"]
    ratio = usual["ratio"]
    # One in which a sensor came or went is over, and is not compared either.
    running = not value["compared"] and value["count"] is not None and interval.whole and interval.reason is None
    note = t("state.running") if running else state_text(interval, t)
    if usual["mean"] is None:
        note = f"{note}; {t('station.usual.few')}"
    return UsualRow(
        start=interval.start.isoformat(),
        name=interval_name(interval, by, t),
        count=numeral(value["count"], t),
        usual=rounded(usual["mean"], t),
        change=changed(ratio, t),
        note=note,
    )


def _usual_summary(summary: Mapping[str, Any] | None, by_day: bool, t: Catalogue) -> str:
    four = summary and summary["usual_4_weeks"]
    if not four or not four["intervals"] or four["other"] is None:
        return t("station.usual.none_day" if by_day else "station.usual.none_hour")
    values = {
        "passages": t("station.summary.passages", four["count"]),
        "other": t.number(round(four["other"])),
        "change": changed(four["ratio"], t),
    }
    return t("station.usual.days" if by_day else "station.usual.hours", four["intervals"], **values)
