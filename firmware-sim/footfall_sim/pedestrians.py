"""The people who cross a counting line: when, which way, and as what.

Their number follows a rate that has the shape of a week in a German inner city and strays from it as real streets do:
some days are fuller, in the whole city at once; a full hour is followed by a full hour; an hour may be fuller at the
same time on the next days. Given the rate, people do not come one by one: they come in bunches (a tram, a green light)
of groups (couples, families) that walk the same way. That makes counts more uneven than a Poisson process at every
scale from seconds to hours, as real ones are. The figures are in `calibration`.

Everything is drawn by UTC days, each from (seed, place, day) alone. So any stretch of time can be asked for in any
order and is the same again, and the minutes of the past are exactly the passages that a live run would have shown.
"""

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache, partial
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from footfall_sim import calibration
from footfall_sim.calibration import VARIATION, WEEK, Kind

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DAY_S = 86_400
MINUTES = 1440
DIRECTIONS = (0, 1)
"""In and out: the order of the direction axis."""
CLASSES = (0, 1, 2, 3, 4)
"""Pedestrian, child, cyclist, wheelchair, pram: the order of the class axis."""

_EPOCH = date(1970, 1, 1).toordinal()
_CITY = 0

# The latent process that makes full hours follow full hours: its logarithm decays with this rate and is kept on a grid.
_DECAY_PER_H = 0.45
_GRID_S = 300
_GRID = DAY_S // _GRID_S
_MEMORY = 240  # grid points (20 h) after which a disturbance has decayed to 1e-4
_LOG_VARIANCE = VARIATION.proportional / 0.865  # 0.865: what is left of it in the mean of an hour
_LOG_VARIANCE_OF_DAYS = 0.0049  # and in the total of a day (found by simulation); the rest is the day factor's
# The part of it that comes again at the same hour of the next days, a little less each day.
_RECURRING = 0.17
_RECURRENCE = 0.9
_RECURRENCE_DAYS = 40

# Bunches of groups of persons. Together they make the hourly variance 2.3 times that of single arrivals.
_GROUP_SIZES = np.array([0.80, 0.16, 0.03, 0.01])
_MORE_GROUPS = 0.37
_BUNCH_SPREAD_S = 8.0
_BUNCH_LIMIT_S = 60.0
_GROUP_SPREAD_S = 0.5
_GROUP_LIMIT_S = 3.0
_MEAN_BUNCH = (1 + _MORE_GROUPS) * float(_GROUP_SIZES @ np.arange(1, 5))


@dataclass(frozen=True, slots=True)
class Place:
    """A counting line and how people use it. `daily_mean` is passages per day, all days of the week together."""

    id: str
    daily_mean: float = calibration.DAILY_MEAN
    kind: Kind = Kind.GENERAL
    in_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Passages:
    """Single passages in the order of their time: UTC seconds since 1970, direction, class."""

    utc_s: Floats
    direction: npt.NDArray[np.uint8]
    class_: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.utc_s)

    def between(self, start_s: float, stop_s: float) -> "Passages":
        """Those of the half-open stretch [start, stop)."""
        part = slice(*np.searchsorted(self.utc_s, (start_s, stop_s)))
        return Passages(self.utc_s[part], self.direction[part], self.class_[part])


@dataclass(frozen=True, slots=True)
class MinuteCounts:
    """Passages per minute from `start_s` (UTC seconds, a whole minute) on.

    `count` has the axes minute, direction (in the order of DIRECTIONS) and class (of CLASSES). `observed_s` are the
    seconds of each minute in which the sensor was at work: 60, or 0 in an outage, where the counts are 0 as well.
    """

    start_s: int
    count: npt.NDArray[np.int32]
    observed_s: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.observed_s)

    def cells(self) -> tuple[Integers, Integers, Integers, Integers]:
        """The cells that are not zero as columns: minute index, direction, class, count; ordered by minute."""
        minute, direction, class_ = np.nonzero(self.count)
        return (
            minute,
            np.array(DIRECTIONS)[direction],
            np.array(CLASSES)[class_],
            self.count[minute, direction, class_].astype(np.int64),
        )


class Pedestrians:
    """The people at one place.

    `zone` is the place's time zone. `floor_per_s` is a least rate in passages per second at any time of the day (a
    demonstration at night should show something). `holidays` makes public holidays of the whole of Germany quieter.
    """

    def __init__(
        self,
        place: Place,
        *,
        seed: int,
        zone: ZoneInfo,
        floor_per_s: float = 0.0,
        holidays: bool = True,
    ) -> None:
        self.place = place
        self._id = zlib.crc32(place.id.encode())
        self._seed = seed
        self._zone = zone
        self._floor = floor_per_s
        self._holidays = holidays
        self._disturbances = lru_cache(_RECURRENCE_DAYS + 8)(partial(self._latent, "recurring"))
        self._days = lru_cache(4)(self._draw_day)

    def rate(self, at: datetime) -> float:
        """Passages per second expected at the moment `at` (aware), everything known about that day included."""
        day, second = divmod(at.timestamp(), DAY_S)
        return float(self._rates(int(day))[int(second // 60)])

    def usual(self, at: datetime) -> float:
        """Passages per second that are usual at the moment `at` (aware): the week's shape alone."""
        day, second = divmod(at.timestamp(), DAY_S)
        return float(self._usual(_LocalDay(int(day), self._zone))[int(second // 60)])

    def passages(self, start_s: float, stop_s: float) -> Passages:
        """Every passage in the stretch [start, stop), UTC seconds."""
        first, last = int(start_s // DAY_S) - 1, int(np.ceil(stop_s / DAY_S))
        # The last bunches of a day may still be crossing the line on the next one.
        parts = [self._days(day).between(start_s, stop_s) for day in range(first, last)]
        return _in_order(
            np.concatenate([part.utc_s for part in parts]),
            np.concatenate([part.direction for part in parts]),
            np.concatenate([part.class_ for part in parts]),
        )

    def minutes(self, start: datetime, stop: datetime, *, outages: bool = False) -> MinuteCounts:
        """Passages per minute from `start` to `stop` (aware; whole minutes).

        With `outages` the sensor is at times out of order for hours or days, about once in three years.
        """
        start_s, stop_s = int(start.timestamp()), int(stop.timestamp())
        if start_s % 60 or stop_s % 60 or stop_s < start_s:
            raise ValueError(f"not a stretch of whole minutes: {start} to {stop}")
        length = (stop_s - start_s) // 60
        cells = len(DIRECTIONS) * len(CLASSES)
        flat = np.zeros(length * cells, np.int32)
        for day in range(start_s // DAY_S - 1, -(-stop_s // DAY_S)):
            part = self._days(day).between(start_s, stop_s)
            minute = (part.utc_s - start_s).astype(np.int64) // 60
            cell = minute * cells + part.direction * np.int64(len(CLASSES)) + part.class_
            flat += np.bincount(cell, minlength=len(flat)).astype(np.int32) if len(cell) else 0
        count = flat.reshape(length, len(DIRECTIONS), len(CLASSES))
        observed = np.full(length, 60, np.int16)
        for begin, end in self.outages(start_s, stop_s) if outages else ():
            first, last = max(0, (begin - start_s) // 60), max(0, (end - start_s) // 60)
            observed[first:last] = 0
            count[first:last] = 0
        return MinuteCounts(start_s, count, observed)

    def outages(self, start_s: int, stop_s: int) -> list[tuple[int, int]]:
        """When the sensor is out of order: stretches of UTC seconds, in whole minutes, that touch [start, stop)."""
        shares, days = np.array(calibration.OUTAGE_DAYS).T
        found = []
        for day in range(start_s // DAY_S - int(days[-1]) - 1, -(-stop_s // DAY_S)):
            draw = _random(self._seed, "outage", self._id, day)
            if draw.random() >= calibration.OUTAGES_PER_YEAR / 365.25:
                continue
            begin = day * DAY_S + 60 * int(draw.integers(MINUTES))
            length = float(np.exp(np.interp(draw.random(), shares, np.log(days))))
            end = begin + 60 * round(length * MINUTES)
            if begin < stop_s and end > start_s:
                found.append((begin, end))
        return found

    # The rate.

    @cached_property
    def _swing(self) -> float:
        """How strongly, and which way, the share of the directions drifts over the day at this place."""
        return float(_random(self._seed, "swing", self._id).uniform(-1, 1))

    def _rates(self, day: int) -> Floats:
        """Passages per second in each minute of a UTC day."""
        local = _LocalDay(day, self._zone)
        rates = self._usual(local) * self._unevenness(day)
        for ordinal in np.unique(local.ordinal):
            rates[local.ordinal == ordinal] *= self._day_factor(date.fromordinal(int(ordinal)))
        return np.maximum(rates, self._floor)

    def _usual(self, local: "_LocalDay") -> Floats:
        return self.place.daily_mean / DAY_S * _week_shape(self.place.kind).at(local.hour_of_week)

    def _day_factor(self, day: date) -> float:
        sunday = day.isoweekday() == 7
        total = VARIATION.sunday_log_sd if sunday else VARIATION.day_log_sd
        spread = np.sqrt(total**2 - _LOG_VARIANCE_OF_DAYS)
        city = _slow_normal(self._seed, "city day", _CITY, day.toordinal())
        own = _slow_normal(self._seed, "day", self._id, day.toordinal())
        shared = VARIATION.within_city
        level = np.sqrt(shared) * city + np.sqrt(1 - shared) * own
        quiet = calibration.HOLIDAY_FACTOR if self._holidays and not sunday and day in _holidays(day.year) else 1.0
        return float(quiet * np.exp(spread * level - spread**2 / 2))

    def _unevenness(self, day: int) -> Floats:
        """A factor of mean 1 for each minute of a UTC day, alike in neighbouring hours and at the same hour of days."""
        recurring = np.zeros(_GRID + 1)
        for back in range(_RECURRENCE_DAYS):
            recurring += _RECURRENCE**back * self._disturbances(day - back)
        recurring *= np.sqrt(1 - _RECURRENCE**2)
        once = self._latent("unevenness", day)
        log = np.sqrt(_LOG_VARIANCE) * (np.sqrt(1 - _RECURRING) * once + np.sqrt(_RECURRING) * recurring)
        minutes = (np.arange(MINUTES) + 0.5) * 60 / _GRID_S
        factor: Floats = np.exp(np.interp(minutes, np.arange(_GRID + 1), log) - _LOG_VARIANCE / 2)
        return factor

    def _latent(self, purpose: str, day: int) -> Floats:
        """Standard normal values on the grid of a UTC day; places of one city have most of them in common."""
        city = _decaying(self._seed, f"city {purpose}", _CITY, day)
        own = _decaying(self._seed, purpose, self._id, day)
        latent: Floats = np.sqrt(VARIATION.within_city) * city + np.sqrt(1 - VARIATION.within_city) * own
        return latent

    # The passages, given the rate.

    def _draw_day(self, day: int) -> Passages:
        """The passages of all bunches that begin on a UTC day."""
        local = _LocalDay(day, self._zone)
        draw = _random(self._seed, "passages", self._id, day)
        per_minute = draw.poisson(self._rates(day) * 60 / _MEAN_BUNCH)
        minute = np.repeat(np.arange(MINUTES), per_minute)
        begins = day * DAY_S + (minute + draw.random(len(minute))) * 60
        way_in = draw.random(len(minute)) < self._in_share(local.hour)[minute]

        groups = 1 + draw.poisson(_MORE_GROUPS, len(minute))
        bunch = np.repeat(np.arange(len(minute)), groups)
        spread = draw.exponential(_BUNCH_SPREAD_S, len(bunch)).clip(max=_BUNCH_LIMIT_S)
        leads = np.diff(bunch, prepend=-1) != 0
        arrives = begins[bunch] + np.where(leads, 0.0, spread)

        sizes = 1 + np.searchsorted(np.cumsum(_GROUP_SIZES)[:-1], draw.random(len(bunch)))
        group = np.repeat(np.arange(len(bunch)), sizes)
        behind = draw.exponential(_GROUP_SPREAD_S, len(group)).clip(max=_GROUP_LIMIT_S)
        first = np.diff(group, prepend=-1) != 0
        crosses = arrives[group] + np.where(first, 0.0, behind)

        direction = np.where(way_in[bunch[group]], DIRECTIONS[0], DIRECTIONS[1]).astype(np.uint8)
        class_ = np.searchsorted(_class_bounds(), draw.random(len(group)), side="right").astype(np.uint8)
        return _in_order(crosses, direction, class_)

    def _in_share(self, hour: Floats) -> Floats:
        morning, night = calibration.DIRECTION_DRIFT
        drift = np.interp(hour, (-1, 6, 23, 30), (night, morning, night, morning))
        return np.clip(self.place.in_share + self._swing * drift, 0, 1)


class Stream:
    """The passages of a place one after the other, as time goes on."""

    def __init__(self, pedestrians: Pedestrians, from_s: float) -> None:
        self._pedestrians = pedestrians
        self._until = from_s
        self._next = 0
        self._load()

    def _load(self) -> None:
        begin, self._until = self._until, (self._until // DAY_S + 1) * DAY_S
        self._passages = self._pedestrians.passages(begin, self._until)
        self._next = 0

    def next_s(self) -> float:
        """When the next passage will be, UTC seconds; the end of the day if there is none before."""
        times = self._passages.utc_s
        return float(times[self._next]) if self._next < len(times) else self._until

    def take(self, until_s: float) -> list[tuple[float, int, int]]:
        """The passages before `until_s` that were not taken yet: (UTC seconds, direction, class)."""
        taken: list[tuple[float, int, int]] = []
        while True:
            found = self._passages
            end = int(np.searchsorted(found.utc_s, until_s))
            part = slice(self._next, max(end, self._next))
            columns = found.utc_s[part].tolist(), found.direction[part].tolist(), found.class_[part].tolist()
            taken += zip(*columns, strict=True)
            self._next = part.stop
            if until_s < self._until:
                return taken
            self._load()


class _LocalDay:
    """The minutes of a UTC day on the clocks of a zone, also on days on which they are changed."""

    def __init__(self, day: int, zone: ZoneInfo) -> None:
        midnight = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
        quarters = (midnight + timedelta(minutes=15 * quarter) for quarter in range(96))
        offsets = [_offset_s(moment.astimezone(zone)) for moment in quarters]
        middle_s = day * DAY_S + np.arange(MINUTES) * 60.0 + 30 + np.repeat(offsets, 15)
        days = middle_s // DAY_S
        self.hour: Floats = middle_s % DAY_S / 3600
        """Hours since local midnight by the clock on the wall, at the middle of each minute."""
        self.ordinal: Integers = days.astype(np.int64) + _EPOCH
        # 1970-01-01 was a Thursday.
        self.hour_of_week: Floats = (days + 3) % 7 * 24 + self.hour


def _offset_s(local: datetime) -> int:
    offset = local.utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


class _WeekShape:
    """A smooth curve through the week whose mean in each hour is exactly the hour's figure, and never negative.

    Within an hour it is a parabola. At a full hour it has the harmonic mean of the two hours, which is at most twice
    the lesser one; a parabola from there keeps above zero.
    """

    def __init__(self, hours: Floats) -> None:
        self._hours = hours / hours.mean()
        before = np.roll(self._hours, 1)
        self._knots = 2 * before * self._hours / (before + self._hours)

    def at(self, hour_of_week: Floats) -> Floats:
        """Multiples of the week's mean at hours since Monday, 0 h."""
        hour = hour_of_week.astype(np.int64)
        part = hour_of_week - hour
        begin, end = self._knots[hour], self._knots[(hour + 1) % len(self._knots)]
        curve: Floats = begin * (1 - 4 * part + 3 * part**2) + end * (3 * part**2 - 2 * part)
        curve += self._hours[hour] * 6 * part * (1 - part)
        return curve


@lru_cache(maxsize=8)
def _week_shape(kind: Kind) -> _WeekShape:
    return _WeekShape(np.array(WEEK[kind]).ravel())


@lru_cache(maxsize=1)
def _class_bounds() -> Floats:
    rare = (
        calibration.CHILD_SHARE,
        calibration.CYCLIST_SHARE,
        calibration.WHEELCHAIR_SHARE,
        calibration.PRAM_SHARE,
    )
    return np.cumsum((1 - sum(rare), *rare))[:-1]


def _random(seed: int, purpose: str, key: int, day: int = 0) -> np.random.Generator:
    """The dice of one purpose (`key`: of one place, or the city's) on one day."""
    words = (seed, zlib.crc32(purpose.encode()), key, day)
    return np.random.default_rng([word % (1 << 32) for word in words])


@lru_cache(maxsize=128)
def _decaying(seed: int, purpose: str, key: int, day: int) -> Floats:
    """Standard normal values on the grid of a UTC day, both midnights included; neighbours are alike."""
    keep = np.exp(-_DECAY_PER_H * _GRID_S / 3600)
    kernel = np.sqrt(1 - keep**2) * keep ** np.arange(_MEMORY)
    noise = [_random(seed, purpose, key, day + shift).standard_normal(_GRID) for shift in (-1, 0, 1)]
    return np.convolve(np.concatenate((noise[0][-(_MEMORY - 1) :], noise[1], noise[2][:1])), kernel, "valid")


@lru_cache(maxsize=4096)
def _normal(seed: int, purpose: str, key: int, ordinal: int) -> float:
    return float(_random(seed, purpose, key, ordinal).standard_normal())


def _slow_normal(seed: int, purpose: str, key: int, ordinal: int) -> float:
    """A standard normal value for a day, correlated with the days before as day factors are."""
    keep = VARIATION.day_correlation
    total = sum(keep**back * _normal(seed, purpose, key, ordinal - back) for back in range(8))
    return float(np.sqrt(1 - keep**2) * total)


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    """Public holidays of the whole of Germany."""
    easter = _easter(year)
    moving = (easter + timedelta(days=days) for days in (-2, 1, 39, 50))
    fixed = (date(year, month, day) for month, day in ((1, 1), (5, 1), (10, 3), (12, 25), (12, 26)))
    return frozenset((*moving, *fixed))


def _easter(year: int) -> date:
    """Easter Sunday: the first after the full moon of the church calendar on or after 21 March."""
    golden = year % 19
    century = year // 100
    # How far skipped leap days and the drift of the lunar cycle have moved the full moons of the calendar (Gauss).
    shift = 15 - (13 + 8 * century) // 25 + century - century // 4
    # Days from 21 March to the full moon; the two exceptions keep it within one lunar month.
    wait = (19 * golden + shift) % 30
    if wait == 29 or (wait == 28 and golden > 10):
        wait -= 1
    full_moon = date(year, 3, 21) + timedelta(days=wait)
    return full_moon + timedelta(days=7 - full_moon.isoweekday() % 7)


def _in_order(utc_s: Floats, direction: npt.NDArray[np.uint8], class_: npt.NDArray[np.uint8]) -> Passages:
    order = np.argsort(utc_s, kind="stable")
    return Passages(utc_s[order], direction[order], class_[order])
