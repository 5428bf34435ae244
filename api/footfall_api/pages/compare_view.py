"""Comparisons in words: several places in one period, and one place before and after a day.

Only rules of showing are here; the numbers are the API's. Places are compared by the days that were wholly measured at
all of them: a place that was silent on a Saturday would else seem quiet. A place where nothing at all was measured in
the period is set apart and said, so that it does not take the ground from the comparison of the others. The sum of an
area goes in only from days on which the same stations carried it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from footfall_api.messages import Catalogue
from footfall_api.pages.measured import (
    DASH,
    KINDS,
    MEASURED,
    RemarkView,
    added,
    changed,
    is_running,
    kind_name,
    last_day,
    left_out,
    numeral,
    remark_ranges,
    remark_views,
    rounded,
    share,
    span,
    state_text,
    tallied,
    why_not,
)
from footfall_api.pages.plot import Colour, Mark, Plot, Series, runs

MAX_PLACES: Final = 12
COLOURS: Final[tuple[Colour, ...]] = ("a", "b", "c", "quiet")
"""More lines than that are not told apart in one chart: the places with the most passages are drawn."""
MAX_DAYS: Final = 3700
"""Ten years."""
MAX_WEEKS: Final = 52
MAX_ROWS: Final = 800
"""Intervals in a chart and its table; a finer resolution than that gives way to a coarser one."""
DEFAULT_WEEKS: Final = 8
YEAR_BACK: Final = timedelta(days=364)
"""52 weeks: the same weekdays."""

STEPS: Final = {"1h": 1 / 24, "1d": 1.0, "1w": 7.0, "1mo": 30.0}
"""Resolutions, and about how many days each is long."""
STEP_KEYS: Final = {"1h": "compare.by_hour", "1d": "compare.by_day", "1w": "compare.by_week", "1mo": "compare.by_month"}
UNIT_KEYS: Final = {
    "1h": "compare.unit_hour",
    "1d": "compare.unit_day",
    "1w": "compare.unit_week",
    "1mo": "compare.unit_month",
}

Way = Literal["places", "change"]


@dataclass(frozen=True, slots=True)
class Place:
    """A station, or an area with the ids of its stations."""

    id: str
    name: str
    zone: str
    area: bool = False
    stations: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What names it in the address: an area has a prefix, as the two may have the same id."""
        return f"area:{self.id}" if self.area else self.id

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"{'areas' if self.area else 'stations'}/{self.id}"


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it is filled in, with what cannot be used said beside its field (`faults`, by field)."""

    way: Way
    places: tuple[Place, ...]
    first: date
    last: date
    by: str
    index: bool
    at: Place | None
    before: date | None
    after: date | None
    weeks: int
    typed: Mapping[str, str]
    faults: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """One place in the summary. Numbers are ready text; `bar`: its mean day as a share of the largest, 0 to 1."""

    name: str
    note: str
    compared: str
    mean: str
    ratio: str
    bar: float
    all: str
    coverage: str


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """One line of the table behind the chart."""

    start: str
    label: str
    counts: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class PlacesView:
    """Several places in one period."""

    finding: str
    scope: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[PlaceRow, ...]
    columns: tuple[str, ...]
    table: tuple[IntervalRow, ...]
    caption: str
    remarks: tuple[RemarkView, ...]
    plot: Plot
    not_drawn: str
    """The names of places that are in the table only."""


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind of day before and after."""

    name: str
    before: str
    before_note: str
    after: str
    after_note: str
    change: str


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One place before and after."""

    finding: str
    scope: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[KindRow, ...]
    week: KindRow
    caption: str
    method: str
    remarks: tuple[RemarkView, ...]
    plot: Plot


@dataclass(frozen=True, slots=True)
class About:
    """What is said beside the numbers: whose they are, in which zone (IANA name), and what places are called."""

    source: str
    zone: str
    names: Mapping[str, str]
    now: datetime


def places_of(stations: Mapping[str, Any], areas: Mapping[str, Any]) -> tuple[Place, ...]:
    """All places of the API's stations and areas, by name, areas last. An area has the zone of its first station."""
    found = [
        Place(feature["id"], feature["properties"]["name"], feature["properties"]["timezone"])
        for feature in stations["features"]
    ]
    zones = {place.id: place.zone for place in found}
    for feature in areas["features"]:
        members = tuple(feature["properties"]["stations"])
        if members:
            place = Place(feature["id"], feature["properties"]["name"], zones[members[0]], area=True, stations=members)
            found.append(place)
    return tuple(sorted(found, key=lambda place: (place.area, place.name)))


def names_of(places: Sequence[Place]) -> dict[str, str]:
    """Names by the keys of places."""
    return {place.key: place.name for place in places}


def default_period(today: date) -> tuple[date, date]:
    """The last four whole weeks, Monday to Sunday."""
    sunday = today - timedelta(days=today.weekday() + 1)
    return sunday - timedelta(days=27), sunday


def default_step(first: date, last: date) -> str:
    """The resolution of a period that nobody chose one for: hours for a few days, months for more than a year."""
    days = (last - first).days + 1
    return "1h" if days <= 3 else "1d" if days <= 400 else "1mo"


def fitting_step(by: str, first: date, last: date) -> str:
    """`by`, or the finest coarser resolution with no more than `MAX_ROWS` intervals."""
    days = (last - first).days + 1
    steps = list(STEPS)
    return next((step for step in steps[steps.index(by) :] if days / STEPS[step] <= MAX_ROWS), steps[-1])


def asked(words: Mapping[str, Sequence[str]], places: Sequence[Place], today: date, t: Catalogue) -> Asked:
    """The form of an address (`words`: all values of each parameter), with its defaults.

    A value that cannot be used is kept as it was typed, told in `faults`, and replaced by the default.
    """
    typed = {name: found[-1] for name, found in words.items() if found}
    faults: dict[str, str] = {}
    chosen = _chosen(words, places, t, faults)
    default_first, default_last = default_period(today)
    first = _date("from", typed, t, faults) or default_first
    last = _date("to", typed, t, faults) or (default_last if "from" not in typed else first + timedelta(days=27))
    if last < first and not faults.keys() & {"from", "to"}:
        faults["to"] = t("compare.fault_order")
        first, last = default_first, default_last
    if (last - first).days >= MAX_DAYS:
        faults["from"] = t("compare.fault_long")
        first, last = default_first, default_last
    if first > today and "from" not in faults:
        faults["from"] = t("compare.fault_future")
        first, last = default_first, default_last
    last = min(last, today)
    by = typed.get("by") or default_step(first, last)
    if by not in STEPS:
        faults["by"] = t("compare.fault_by")
        by = default_step(first, last)
    at = _place("at", typed, places, t, faults) or next((place for place in places), None)
    before, after, weeks = _change(typed, today, t, faults)
    return Asked(
        way="change" if typed.get("way") == "change" else "places",
        places=chosen,
        first=first,
        last=last,
        by=by,
        index=typed.get("show") == "index",
        at=at,
        before=before,
        after=after,
        weeks=weeks,
        typed=typed,
        faults=faults,
    )


def _chosen(
    words: Mapping[str, Sequence[str]], places: Sequence[Place], t: Catalogue, faults: dict[str, str]
) -> tuple[Place, ...]:
    wanted = [*words.get("station", ()), *(f"area:{name}" for name in words.get("area", ()))]
    known = {place.key: place for place in places}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        faults["station"] = t("compare.fault_place", name=unknown[0].removeprefix("area:"))
    found = [place for place in places if place.key in wanted]
    if len(found) > MAX_PLACES:
        faults["station"] = t("compare.fault_many", MAX_PLACES)
    if not found:
        found = [place for place in places if not place.area]
    return tuple(found[:MAX_PLACES])


def _change(
    typed: Mapping[str, str], today: date, t: Catalogue, faults: dict[str, str]
) -> tuple[date | None, date | None, int]:
    """The two days and the weeks of a comparison of before and after; `before` None: there is nothing to ask yet."""
    before, after = _date("before", typed, t, faults), _date("after", typed, t, faults)
    if before and after and after < before:
        faults["after"] = t("compare.fault_after")
    elif before and (after or before) >= today:
        faults["after" if after else "before"] = t("compare.fault_not_over")
    try:
        weeks = int(typed.get("weeks") or DEFAULT_WEEKS)
    except ValueError:
        weeks = 0
    if not 1 <= weeks <= MAX_WEEKS:
        faults["weeks"] = t("compare.fault_weeks", MAX_WEEKS)
        weeks = DEFAULT_WEEKS
    bad = faults.keys() & {"before", "after", "at"}
    return None if bad else before, None if bad else after, weeks


def _date(name: str, typed: Mapping[str, str], t: Catalogue, faults: dict[str, str]) -> date | None:
    text = typed.get(name)
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        faults[name] = t("compare.fault_date")
        return None
    if not 2001 <= found.year <= 2098:
        faults[name] = t("compare.fault_date")
        return None
    return found


def _place(
    name: str, typed: Mapping[str, str], places: Sequence[Place], t: Catalogue, faults: dict[str, str]
) -> Place | None:
    key = typed.get(name)
    found = next((place for place in places if place.key == key), None)
    if key and found is None:
        faults[name] = t("compare.fault_place", name=key.removeprefix("area:"))
    return found


# Several places


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a place has in a period: a reason for each day (None: it may be compared), and the days' counts."""

    place: Place
    days: Sequence[Mapping[str, Any]]
    whys: Sequence[str | None]

    @property
    def counted(self) -> bool:
        """Whether there is any day that may be compared."""
        return any(why is None for why in self.whys)


def split_values(values: Sequence[Mapping[str, Any]], places: Sequence[Place]) -> list[list[Mapping[str, Any]]]:
    """The API's values for each place, in order of time."""
    found: dict[str, list[Mapping[str, Any]]] = {place.key: [] for place in places}
    for value in values:
        area = value.get("area")
        found[f"area:{area}" if area else value["station"]].append(value)
    return [found[place.key] for place in places]


def _series(place: Place, days: Sequence[Mapping[str, Any]], now: datetime) -> _Measured:
    whys = [why_not(day, now) for day in days]
    if place.area:
        carried = [frozenset(day["carried_by"] or ()) for day in days]
        usual = Counter(c for c, why in zip(carried, whys, strict=True) if why is None).most_common(1)
        whys = [
            "other_stations" if why is None and c != usual[0][0] else why for c, why in zip(carried, whys, strict=True)
        ]
    return _Measured(place, days, whys)


def places_view(
    form: Asked, days: Mapping[str, Any], shown: Mapping[str, Any], t: Catalogue, about: About
) -> PlacesView:
    """Several places in one period: `days` are the API's counts by the day, `shown` those of the chart."""
    by_place = split_values(days["values"], form.places)
    series = [_series(place, found, about.now) for place, found in zip(form.places, by_place, strict=True)]
    taking_part = [one for one in series if one.counted]
    total_days = len(by_place[0]) if by_place else 0
    both = [i for i in range(total_days) if all(one.whys[i] is None for one in taking_part)] if taking_part else []
    sums = {one.place.key: sum(one.days[i]["count"] for i in both) for one in taking_part} if both else {}
    means = {key: total / len(both) for key, total in sums.items()}
    remarks = remark_views(days["remarks"], t, about.names)
    drawn = _drawn(series, means)
    split = split_values(shown["values"], form.places)
    values = [
        [_indexed(value, means.get(place.key), form.by) if form.index else value["count"] for value in found]
        for place, found in zip(form.places, split, strict=True)
    ]
    return PlacesView(
        finding=_finding(taking_part, means, t),
        scope=_scope(taking_part, len(both), total_days, t),
        left_out=tuple(_left_out(series, t)),
        notes=tuple(_notes(series, t, about.names)),
        rows=tuple(_place_row(one, sums, means, t) for one in _ranked(series, means)),
        columns=tuple(place.name for place in form.places),
        table=tuple(_interval_rows(split, values, form, t, about.now)),
        caption=_unit(form, t),
        remarks=remarks,
        plot=replace(
            _places_plot(
                replace(form, places=tuple(form.places[n] for n in drawn)),
                [split[n] for n in drawn],
                [values[n] for n in drawn],
                t,
                about,
            ),
            remarks=_marks(remarks, split),
        ),
        not_drawn=", ".join(place.name for n, place in enumerate(form.places) if n not in drawn),
    )


def _unit(form: Asked, t: Catalogue) -> str:
    return t("compare.unit_index") if form.index else t(UNIT_KEYS[form.by])


def _indexed(value: Mapping[str, Any], mean: float | None, by: str) -> float | None:
    """A count in per cent of the place's own mean over the same time; None unless it was wholly measured."""
    if not mean or value["count"] is None or value["state"] != MEASURED or value["reason"] is not None:
        return None
    length = datetime.fromisoformat(value["end"]) - datetime.fromisoformat(value["start"])
    # Days have 23 hours in March and 25 in October, and are days all the same.
    length_days = 1 / 24 if by == "1h" else round(length / timedelta(days=1))
    return float(round(100 * value["count"] / (mean * length_days), 1))


def _finding(series: Sequence[_Measured], means: Mapping[str, float], t: Catalogue) -> str:
    ranked = _ranked(series, means)
    if not series:
        return t("compare.finding_nothing")
    if not means:
        return t("compare.finding_none", len(series))
    first = ranked[0].place
    most = t("compare.finding_one", round(means[first.key]), name=first.name)
    if len(ranked) == 1:
        return most
    second, last = ranked[1].place, ranked[-1].place
    found = [most, _beside(first, second, means, t)]
    if len(ranked) > 2:
        found.append(t("compare.finding_least", name=last.name, mean=t.number(round(means[last.key]))))
    return " ".join(found)


def _ranked(series: Sequence[_Measured], means: Mapping[str, float]) -> list[_Measured]:
    """The places with the most passages first, those that take no part last."""
    return sorted(series, key=lambda one: -means.get(one.place.key, -1))


def _beside(first: Place, second: Place, means: Mapping[str, float], t: Catalogue) -> str:
    mean = t.number(round(means[second.key]))
    if not means[second.key]:
        return t("compare.finding_second", name=second.name, mean=mean)
    percent = round((means[first.key] / means[second.key] - 1) * 100)
    if percent == 0:
        return t("compare.finding_same", name=second.name, mean=mean)
    return t("compare.finding_above", name=second.name, mean=mean, percent=t.nearest_percent(percent / 100))


def _scope(series: Sequence[_Measured], both: int, total: int, t: Catalogue) -> str:
    if not series:
        return ""
    if len(series) == 1:
        return t("compare.scope_one", total, days=t.number(both))
    return t("compare.scope", total, days=t.number(both), places=t.number(len(series)))


def _left_out(series: Sequence[_Measured], t: Catalogue) -> list[str]:
    """For each place in words which days it takes from the comparison, or why it takes no part."""
    found = []
    for one in series:
        words = left_out(t, tallied(one.whys))
        if not words:
            continue
        key = "compare.left_out" if one.counted else "compare.not_part"
        found.append(t(key, name=one.place.name, reasons=words))
    return found


def _notes(series: Sequence[_Measured], t: Catalogue, names: Mapping[str, str]) -> list[str]:
    notes = []
    for one in series:
        if not one.place.area:
            continue
        carried = sorted(
            {
                names.get(station, station)
                for day, why in zip(one.days, one.whys, strict=True)
                if why is None
                for station in day["carried_by"] or ()
            }
        )
        if carried:
            notes.append(t("compare.carried", len(carried), name=one.place.name, stations=", ".join(carried)))
        inside = [other.place.name for other in series if other.place.id in one.place.stations and not other.place.area]
        if inside:
            notes.append(t("compare.inside", len(inside), name=one.place.name, stations=", ".join(inside)))
    return notes


def _place_row(one: _Measured, sums: Mapping[str, int], means: Mapping[str, float], t: Catalogue) -> PlaceRow:
    counts = [day["count"] for day in one.days if day["count"] is not None]
    expected = [day["coverage"] for day in one.days if day["coverage"] is not None]
    whole = all(why is None or why == "other_stations" for why in one.whys)
    mean, most = means.get(one.place.key), max(means.values(), default=0)
    return PlaceRow(
        name=one.place.name,
        note=t("compare.area") if one.place.area else "",
        compared=numeral(sums.get(one.place.key), t),
        mean=rounded(mean, t),
        ratio=rounded(100 * mean / most if mean is not None and most else None, t),
        bar=mean / most if mean and most else 0.0,
        all=numeral(sum(counts) if counts else None, t, at_least=not whole),
        coverage=share(sum(expected) / len(one.days) if expected else None, t),
    )


def days_of(value: Mapping[str, Any]) -> tuple[date, date]:
    """The first and the last local day of a value."""
    return datetime.fromisoformat(value["start"]).date(), last_day(datetime.fromisoformat(value["end"]))


def interval_label(value: Mapping[str, Any], by: str, t: Catalogue) -> str:
    """An interval as people name it: an hour with its day and zone, a day, a week by its days, a month."""
    start = datetime.fromisoformat(value["start"])
    first, last = days_of(value)
    if by == "1h":
        return f"{t.day(first)}, {t.clock(start)}"
    return t.day(first) if by == "1d" else span(t, first, last) if by == "1w" else t.month(first)


def _interval_rows(
    split: Sequence[Sequence[Mapping[str, Any]]],
    values: Sequence[Sequence[float | None]],
    form: Asked,
    t: Catalogue,
    now: datetime,
) -> list[IntervalRow]:
    rows = []
    for i, first in enumerate(split[0] if split else ()):
        of_places = [found[i] for found in split]
        notes = [
            f"{place.name}: {words}"
            for place, value in zip(form.places, of_places, strict=True)
            if (words := _state(value, t, now))
        ]
        rows.append(
            IntervalRow(
                start=first["start"],
                label=interval_label(first, form.by, t),
                counts=tuple(
                    _shown(found[i], value, index=form.index, t=t)
                    for found, value in zip(values, of_places, strict=True)
                ),
                note="; ".join(notes),
            )
        )
    return rows


def _shown(number: float | None, value: Mapping[str, Any], *, index: bool, t: Catalogue) -> str:
    return rounded(number, t) if index else numeral(number, t, at_least=value["state"] == "partial")


def _state(value: Mapping[str, Any], t: Catalogue, now: datetime) -> str:
    """How well an interval was measured, in words; empty if it was, to its end."""
    state = value["state"]
    if state == MEASURED:
        return t("state.running") if is_running(value, now) else ""
    if value["reason"] == "future":
        return t("state.running")
    return state_text(state, value["reason"], value["coverage"], t)


def _drawn(series: Sequence[_Measured], means: Mapping[str, float]) -> list[int]:
    """Which places the chart draws: all, or of too many those with the most passages, by their numbers."""
    ranked = sorted(range(len(series)), key=lambda n: -means.get(series[n].place.key, -1))
    return sorted(ranked[: len(COLOURS)])


def _places_plot(
    form: Asked,
    split: Sequence[Sequence[Mapping[str, Any]]],
    values: Sequence[Sequence[float | None]],
    t: Catalogue,
    about: About,
) -> Plot:
    """The course of the places; `split` and `values` are of those that are drawn."""
    first = split[0] if split else []
    number = range(len(first))
    names = ", ".join(place.name for place in form.places)
    return Plot(
        kind="lines" if len(first) > 1 else "bars",
        title=t("compare.plot_title", names=names, span=span(t, form.first, form.last)),
        source=about.source,
        unit=_unit(form, t),
        zone=about.zone,
        x=[value["start"] for value in first],
        resolution=form.by,
        series=[Series(place.name, COLOURS[n], values[n]) for n, place in enumerate(form.places)],
        partial=[i for i in number if any(_in_part(found[i], about.now) for found in split)],
        gaps=runs(all(found[i] is None for found in values) for i in number),
        words=_plot_words(t),
        file="footfall_compare",
    )


def _in_part(value: Mapping[str, Any], now: datetime) -> bool:
    return value["state"] == "partial" or (value["state"] == MEASURED and is_running(value, now))


def _marks(remarks: Sequence[RemarkView], split: Sequence[Sequence[Mapping[str, Any]]]) -> list[Mark]:
    days = [days_of(value) for value in split[0]] if split else []
    return [Mark(start, end, remark.kind, remark.told) for start, end, remark in remark_ranges(remarks, days)]


def _plot_words(t: Catalogue) -> dict[str, str]:
    return {
        "gap": t("state.missing"),
        "partial": t("compare.partly"),
        "none": DASH,
        "failed": t("compare.plot_failed"),
        "png": t("compare.png"),
        "svg": t("compare.svg"),
    }


# One place before and after


def change_view(place: Place, answer: Mapping[str, Any], t: Catalogue, about: About) -> ChangeView:
    """One place before and after a day, from the API's answer to ``before-after``."""
    values = {value["weekday"]: value for value in answer["values"]}
    week = answer["weeks"][0]
    spans = {side: _side_span(answer[side], t) for side in ("before", "after")}
    remarks = remark_views(answer["remarks"], t, about.names)
    return ChangeView(
        finding=_change_finding(place, week, values, t),
        scope=t("compare.change_scope", before=spans["before"], after=spans["after"]),
        left_out=tuple(_change_left_out(values, t)),
        notes=tuple(_change_notes(place, answer, t, about.names)),
        rows=tuple(_kind_row(kind_name(t, kind), values[kind], t) for kind in KINDS),
        week=_week_row(week, t),
        caption=t("compare.change_caption", name=place.name),
        method=answer["method"],
        remarks=remarks,
        plot=_change_plot(place, values, spans, t, about),
    )


def _side_span(side: Mapping[str, str], t: Catalogue) -> str:
    return span(t, datetime.fromisoformat(side["from"]).date(), last_day(datetime.fromisoformat(side["to"])))


def _change_finding(place: Place, week: Mapping[str, Any], values: Mapping[str, Any], t: Catalogue) -> str:
    if week["before"] is None or week["after"] is None:
        unknown = [
            kind_name(t, kind)
            for kind in KINDS[:-1]
            if values[kind]["before"]["mean"] is None or values[kind]["after"]["mean"] is None
        ]
        if len(unknown) == len(KINDS) - 1:
            return t("compare.change_unknown", name=place.name)
        return t("compare.change_no_week", name=place.name, days=", ".join(unknown))
    before, after = t.number(round(week["before"])), t.number(round(week["after"]))
    if week["ratio"] is None:
        return t("compare.change_from_none", name=place.name, before=before, after=after)
    return t("compare.change_finding", name=place.name, change=t.change(week["ratio"]), before=before, after=after)


def _change_left_out(values: Mapping[str, Any], t: Catalogue) -> list[str]:
    found = []
    for side, key in (("before", "compare.left_out_before"), ("after", "compare.left_out_after")):
        words = left_out(t, added(value[side]["skipped"] for value in values.values()))
        if words:
            found.append(t(key, reasons=words))
    return found


def _change_notes(place: Place, answer: Mapping[str, Any], t: Catalogue, names: Mapping[str, str]) -> list[str]:
    if not place.area:
        return []
    stations = sorted({names.get(found["station"], found["station"]) for found in answer["carried_by"]})
    return [t("compare.carried", len(stations), name=place.name, stations=", ".join(stations))] if stations else []


def _kind_row(name: str, value: Mapping[str, Any], t: Catalogue) -> KindRow:
    before, after = value["before"], value["after"]
    return KindRow(
        name=name,
        before=rounded(before["mean"], t),
        before_note=_days(before, t),
        after=rounded(after["mean"], t),
        after_note=_days(after, t),
        change=changed(value["ratio"], t),
    )


def _week_row(week: Mapping[str, Any], t: Catalogue) -> KindRow:
    before, after = rounded(week["before"], t), rounded(week["after"], t)
    return KindRow(t("compare.week"), before, "", after, "", changed(week["ratio"], t))


def _days(side: Mapping[str, Any], t: Catalogue) -> str:
    if not side["days"]:
        return t("compare.no_day")
    return t("compare.from_days" if side["enough"] else "compare.too_few", side["days"])


def _change_plot(place: Place, values: Mapping[str, Any], spans: Mapping[str, str], t: Catalogue, about: About) -> Plot:
    sides: tuple[tuple[str, Colour, str], ...] = (
        ("before", "quiet", "compare.before_of"),
        ("after", "a", "compare.after_of"),
    )
    means = {side: [_rounded(values[kind][side]["mean"]) for kind in KINDS] for side, _, _ in sides}
    return Plot(
        kind="bars",
        title=t("compare.change_title", name=place.name),
        source=about.source,
        unit=t("compare.unit_mean"),
        zone=about.zone,
        x=[kind_name(t, kind, short=True) for kind in KINDS],
        xkind="label",
        resolution="1d",
        series=[Series(t(key, span=spans[side]), colour, means[side]) for side, colour, key in sides],
        gaps=runs(all(means[side][i] is None for side in means) for i in range(len(KINDS))),
        words=_plot_words(t) | {"gap": t("compare.too_few_days")},
        file="footfall_before_after",
    )


def _rounded(mean: float | None) -> int | None:
    return None if mean is None else round(mean)
