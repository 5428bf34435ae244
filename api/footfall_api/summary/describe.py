"""What the OpenAPI document says of the summaries. The models describe; a test holds real answers against them."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from footfall_api.answers import State
from footfall_api.describe import Docs, Remark, problems_of
from footfall_api.summary.compare import LEAST_DAYS
from footfall_api.summary.days import DayKind
from footfall_api.summary.profile import LEAST_VALUES

_ENOUGH: Final = f"whether {LEAST_DAYS} days at least went in; if not, there is no mean"
_SKIPPED: Final = (
    "how many did not go in, by reason: a state (partial, missing, coarse, recovered), or open (not over yet), "
    "incomplete (no sensor for a part of it), holiday (of another kind of day), other_stations (another sum), "
    "no_such_hour and short (clocks changed)"
)


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Holiday(_Closed):
    """A public holiday of the time."""

    date: str = Field(description="local date")
    name: str


class Holidays(_Closed):
    """Which days were taken for public holidays."""

    calendar: str | None = Field(description="country and state (ISO 3166), e.g. DE-TH; null: none are told apart")
    days: list[Holiday]


class Carried(_Closed):
    """When a station had a sensor, within the time that was read."""

    station: str
    from_: str = Field(alias="from")
    to: str


class _Summary(_Closed):
    station: str | None = Field(description="id of the station; null for an area")
    area: str | None = Field(description="id of the area, whose stations are added up; null for a station")
    from_: str = Field(alias="from", description="ISO 8601 with offset; belongs to the period")
    to: str = Field(description="ISO 8601 with offset; no longer belongs to it")
    resolution: str
    timezone: str = Field(description="IANA name of the zone whose calendar and clock are meant")
    unit: Literal["passages"]
    method: str = Field(description="how the numbers were made, in a sentence that may be quoted")
    licence: str
    attribution: str
    holidays: Holidays
    carried_by: list[Carried] = Field(description="which stations had a sensor when; a sum is of these")
    remarks: list[Remark] = Field(description="what people know about the time that was read")


class _Dimensions(_Closed):
    direction: Literal["in", "out", "undirected", "all"]
    class_: str = Field(alias="class", description="pedestrian, child, cyclist, wheelchair, pram, unknown, or all")
    sensor: str = Field(description="sensor id, or all")


class _Measured(_Dimensions):
    start: str = Field(description="ISO 8601 with offset; belongs to it")
    end: str = Field(description="ISO 8601 with offset; no longer belongs to it")
    count: int | None = Field(description="passages that were measured; null: nothing was")
    coverage: float | None = Field(ge=0, le=1, description="measured ÷ expected time up to now")
    state: State
    reason: str | None = Field(description="why time is missing, as in the counts")
    final: bool = Field(description="the value is not expected to change any more")


class ProfileValue(_Dimensions):
    """One hour (day, quarter of an hour) of the typical week."""

    weekday: DayKind = Field(description="public holidays are apart from the weekday they fall on")
    time: str | None = Field(description="beginning on the local clock, HH:MM; null for whole days")
    median: float | None = Field(description=f"null if fewer than {LEAST_VALUES} values went in")
    lower_quartile: float | None
    upper_quartile: float | None
    values: int = Field(ge=0, description="how many went in")
    enough: bool = Field(description=f"whether {LEAST_VALUES} values at least went in")
    skipped: dict[str, int] = Field(description=_SKIPPED)


class LeftOut(_Closed):
    """Intervals of the period that did not go in."""

    sensor: str
    why: str = Field(description=_SKIPPED)
    reason: str | None = Field(description="why time is missing, as in the counts: silent, not_reported, excluded, …")
    intervals: int


class Profile(_Summary):
    """The typical week of a period."""

    least_values: int = Field(description="fewer values give no median")
    left_out: list[LeftOut]
    values: list[ProfileValue] = Field(description="Monday to Sunday, then holidays; none is left out")


class UsualValue(_Closed):
    """The mean of like days."""

    mean: float | None
    difference: float | None = Field(description="count − mean; null unless both sides were wholly measured")
    ratio: float | None = Field(description="count ÷ mean; null as well where the mean is 0")
    days: int = Field(description="how many like days went in")
    enough: bool = Field(description=_ENOUGH)
    skipped: dict[str, int] = Field(description=_SKIPPED)


class LastYearValue(_Closed):
    """The like day of the year before."""

    date: str | None = Field(description="null: there was no like day")
    count: float | None = Field(description="the mean of both hours where October has one twice")
    difference: float | None
    ratio: float | None
    skipped: dict[str, int] = Field(description=_SKIPPED)


class ComparedValue(_Measured):
    """What was counted in one interval, and what is usual."""

    compared: bool = Field(description="it is over and was wholly measured; if not, nothing is compared with it")
    usual_4_weeks: UsualValue
    usual_52_weeks: UsualValue
    last_year: LastYearValue


class ComparedSum(_Closed):
    """The intervals for which both sides are known, added up."""

    intervals: int
    count: int | None
    other: float | None = Field(description="what they are compared with")
    difference: float | None
    ratio: float | None


class ComparedSums(_Dimensions):
    """The whole period, as far as it can be compared."""

    intervals: int = Field(description="of the whole period")
    usual_4_weeks: ComparedSum
    usual_52_weeks: ComparedSum
    last_year: ComparedSum


class Comparison(_Summary):
    """Counts beside what is usual."""

    least_days: int = Field(description="fewer like days give no mean")
    summary: list[ComparedSums]
    values: list[ComparedValue]


class SideValue(_Closed):
    """The mean of one kind of day on one side."""

    mean: float | None
    days: int = Field(description="how many went in")
    enough: bool = Field(description=_ENOUGH)
    skipped: dict[str, int] = Field(description=_SKIPPED)


class BeforeAfterValue(_Dimensions):
    """One kind of day before and after."""

    weekday: DayKind = Field(description="public holidays are apart from the weekday they fall on")
    time: str | None = Field(description="beginning on the local clock, HH:MM; null for whole days")
    before: SideValue
    after: SideValue
    difference: float | None = Field(description="after − before; null unless both are known")
    ratio: float | None = Field(description="after ÷ before; null as well where before is 0")


class MeanWeek(_Dimensions):
    """A mean week without holidays, on both sides; null unless each part of it is known on both."""

    before: float | None
    after: float | None
    difference: float | None
    ratio: float | None


class Side(_Closed):
    """The time on one side."""

    from_: str = Field(alias="from")
    to: str


class BeforeAfter(_Summary):
    """A place before and after a change."""

    least_days: int = Field(description="fewer days give no mean")
    before: Side
    after: Side
    weeks: list[MeanWeek]
    values: list[BeforeAfterValue]


class DayCount(_Closed):
    """A day and its passages."""

    date: str
    count: int


class HourCount(_Closed):
    """An hour and its passages."""

    start: str
    end: str
    count: int


class KindMean(_Closed):
    """The mean of the days of one kind."""

    mean: float | None
    days: int = Field(description="how many went in")
    enough: bool = Field(description=_ENOUGH)
    skipped: dict[str, int] = Field(description=_SKIPPED)


class MeanDay(_Closed):
    """The mean day of each weekday, and of public holidays."""

    monday: KindMean
    tuesday: KindMean
    wednesday: KindMean
    thursday: KindMean
    friday: KindMean
    saturday: KindMean
    sunday: KindMean
    holiday: KindMean


class TotalValue(_Measured):
    """One period."""

    gaps: int = Field(description="stretches of hours in a row that were not wholly measured though a sensor was there")
    gap_hours: int = Field(description="hours in gaps")
    not_installed_hours: int = Field(description="hours for all or a part of which there was no sensor; in no gap")
    measured_days: int
    skipped_days: dict[str, int] = Field(description=_SKIPPED)
    best_day: DayCount | None = Field(description="of the wholly measured days")
    quietest_day: DayCount | None = Field(description="of the wholly measured days")
    peak_hour: HourCount | None = Field(description="of the wholly measured hours")
    mean_day: MeanDay


class Totals(_Summary):
    """Totals by period."""

    least_days: int = Field(description="fewer days give no mean")
    values: list[TotalValue]


def responses(model: type[BaseModel], description: str) -> Docs:
    """What an endpoint of a summary answers."""
    return {
        200: {"model": model, "description": description, "content": {"text/csv": {"schema": {"type": "string"}}}},
        304: {"description": "nothing has changed since the answer with this ETag"},
        **problems_of(401, 404, 422, 503),
    }
