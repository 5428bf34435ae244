"""The simulated people against the statistics they are calibrated on.

Seeds are fixed, so nothing here is left to chance; the bounds are wide enough for another seed and narrow enough that a
wrong process falls outside.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest

from footfall_sim import calibration, pedestrians
from footfall_sim.calibration import WEEK, Kind
from footfall_sim.pedestrians import CLASSES, Pedestrians, Place, Stream

pytestmark = pytest.mark.xdist_group("pedestrians")  # they share years of passages

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 364
Floats = npt.NDArray[np.float64]


def people(
    kind: Kind = Kind.GENERAL, *, seed: int = 3, place: str = "a", mean: float = 17_000, **how: object
) -> Pedestrians:
    zone = how.pop("zone", ZoneInfo("UTC"))
    return Pedestrians(Place(place, mean, kind), seed=seed, zone=zone, holidays=False, **how)  # type: ignore[arg-type]


@lru_cache
def hours(kind: Kind = Kind.GENERAL, seed: int = 3, place: str = "a") -> Floats:
    """Passages by week, day of the week and hour over 52 weeks."""
    counts = people(kind, seed=seed, place=place).minutes(MONDAY, MONDAY + timedelta(days=DAYS)).count
    return counts.sum((1, 2)).reshape(-1, 7, 24, 60).sum(3).astype(float)


def usual_week(walkers: Pedestrians) -> Floats:
    """Usual passages per second in each minute of a week."""
    first = int(MONDAY.timestamp()) // 86_400
    days = [walkers._usual(pedestrians._LocalDay(first + day, walkers._zone)) for day in range(7)]
    return np.concatenate(days)


@lru_cache
def expected_hours(seed: int = 3) -> Floats:
    """What is expected for each of those hours when the level of the day is known."""
    walkers = people(seed=seed)
    level = [walkers._day_factor(date(2024, 1, 1) + timedelta(days=day)) for day in range(DAYS)]
    week = usual_week(walkers).reshape(7, 24, 60).sum(2) * 60
    return week[None] * np.array(level).reshape(-1, 7, 1)


# Level and shape


@pytest.mark.parametrize("kind", list(Kind))
def test_mean_level(kind: Kind) -> None:
    """Over a year the mean day has the passages asked for, within 3 %."""
    assert hours(kind).sum() / DAYS == pytest.approx(17_000, rel=0.03)


@pytest.mark.parametrize("kind", list(Kind))
def test_weekly_shape(kind: Kind) -> None:
    """Each busy hour of the week has its share of the mean hour within 8 %, every hour within 0.08 of it."""
    shape = hours(kind).mean(0) / hours(kind).mean()
    expected = np.array(WEEK[kind]) / np.mean(WEEK[kind])
    busy = expected > 1

    assert np.abs(shape[busy] / expected[busy] - 1).max() < 0.08
    assert np.abs(shape - expected)[~busy].max() < 0.08


@pytest.mark.full
def test_shopping_streets_sleep_on_sunday_and_pubs_do_not() -> None:
    """Sunday against the mean day: about a quarter for shopping, twice that for gastronomy."""
    sunday = {kind: hours(kind)[:, 6].sum() / 52 / (hours(kind).sum() / DAYS) for kind in Kind}

    assert sunday[Kind.SHOPPING] == pytest.approx(0.245, abs=0.04)
    assert sunday[Kind.GASTRONOMY] == pytest.approx(0.465, abs=0.06)


def test_shape_is_smooth_and_never_negative() -> None:
    """From one minute to the next the usual rate changes by less than a fiftieth of the week's peak."""
    for kind in Kind:
        rate = usual_week(people(kind))

        assert rate.min() > 0
        assert np.abs(np.diff(np.append(rate, rate[0]))).max() < rate.max() / 50


# How counts stray


def test_hourly_dispersion_law() -> None:
    """Variance of an hour, the day's level known: 2.3 mean + 0.02 mean², in both parts."""
    expected, stray = expected_hours(), hours() - expected_hours()
    cells = expected.mean(0) > 100
    mean, square, variance = (x[:, cells].mean(0) for x in (expected, expected**2, stray**2))
    weights = 1 / variance
    a, b = np.linalg.lstsq(np.stack([mean, square], 1) * weights[:, None], variance * weights, rcond=None)[0]

    assert 1.4 < a < 3.2
    assert 0.013 < b < 0.028


def standardised() -> Floats:
    expected = expected_hours()
    deviation: Floats = (hours() - expected) / np.sqrt(2.3 * expected + 0.02 * expected**2)
    return deviation[:, :, 9:20]


@pytest.mark.parametrize(("lag", "expected"), [(1, 0.64), (2, 0.43), (3, 0.27)])
def test_full_hours_follow_full_hours(lag: int, expected: float) -> None:
    """Correlation of the deviations of hours that are 1, 2 and 3 apart."""
    z = standardised()

    assert (z[:, :, lag:] * z[:, :, :-lag]).mean() / (z**2).mean() == pytest.approx(expected, abs=0.1)


def test_the_same_hour_of_the_next_days_is_alike() -> None:
    """Correlation of the same hour on the next day, and less in the next week."""
    z = standardised().reshape(-1, 11)
    day, week = ((z[lag:] * z[:-lag]).mean() / (z**2).mean() for lag in (1, 7))

    assert 0.05 < day < 0.23
    assert 0 < week < 0.15


@pytest.mark.full
def test_days_stray_and_a_city_strays_together() -> None:
    """Log standard deviation of days near 0.10; two places of one city correlate near 0.8; another seed does not."""
    logs = {}
    for key, (seed, place) in {"a": (3, "a"), "b": (3, "b"), "other": (4, "a")}.items():
        days = np.log(hours(seed=seed, place=place).sum(2))
        logs[key] = days - days.mean(0)
    weekdays = logs["a"][:, :6].ravel()

    assert 0.08 < weekdays.std() < 0.14
    assert 0.65 < np.corrcoef(weekdays, logs["b"][:, :6].ravel())[0, 1] < 0.92
    assert abs(np.corrcoef(weekdays, logs["other"][:, :6].ravel())[0, 1]) < 0.2


# Single passages


def afternoons(mean: float) -> list[pedestrians.Passages]:
    """Quarter hours of twenty-one afternoons, in which the rate hardly changes."""
    walkers = people(seed=5, mean=mean)
    begins = [MONDAY + timedelta(days=day, hours=14, minutes=15 * q) for day in range(21) for q in range(12)]
    return [walkers.passages(begin.timestamp(), begin.timestamp() + 900) for begin in begins]


def test_variance_over_mean_in_five_seconds() -> None:
    """Groups and bunches: 1.5 to 2.6 (1 would be people who come alone)."""
    low, high = calibration.VARIANCE_IN_5_S
    counts = [
        np.histogram(one.utc_s, np.arange(181) * 5 + round(one.utc_s[0]) // 5 * 5 + 5)[0] for one in afternoons(17_000)
    ]

    ratio = sum(count.var(ddof=1) for count in counts) / sum(count.mean() for count in counts)

    assert low < ratio < high


def test_short_gaps() -> None:
    """At half a person per second 42 to 53 % of the gaps are below one second (alone: 39 %)."""
    low, high = calibration.GAPS_BELOW_1_S
    gaps = np.concatenate([np.diff(one.utc_s) for one in afternoons(17_000)])

    assert gaps.mean() == pytest.approx(2, rel=0.1)
    assert low <= (gaps < 1).mean() <= high + 0.02


def test_direction_shares_stray_more_than_by_lot() -> None:
    """Groups walk the same way: the share of one direction strays 1.65 to 2.8 times as much as independent choices."""
    low, high = calibration.DIRECTION_DISPERSION
    pairs = np.array([(len(one), (one.direction == 0).sum()) for one in afternoons(17_000)])
    share = pairs[:, 1].sum() / pairs[:, 0].sum()
    dispersion = ((pairs[:, 1] - share * pairs[:, 0]) ** 2 / (pairs[:, 0] * share * (1 - share))).mean()

    assert low < dispersion < high


@pytest.mark.parametrize("share", [0.47, 0.5, 0.54])
def test_direction_share(share: float) -> None:
    """Over eight weeks the share of the direction inwards is the one asked for, within two points."""
    walkers = Pedestrians(Place("b", 17_000, in_share=share), seed=1, zone=BERLIN)
    count = walkers.minutes(MONDAY, MONDAY + timedelta(days=56)).count.sum((0, 2))

    assert count[0] / count.sum() == pytest.approx(share, abs=0.02)


def test_direction_drifts_over_the_day() -> None:
    """Some place sends more people one way in the morning and the other way at night, by up to ten points."""
    drifts = []
    for place in "abcdef":
        count = people(place=place).minutes(MONDAY, MONDAY + timedelta(days=60)).count.sum(2).reshape(60, 24, 60, 2)
        by_hour = count.sum((0, 2))
        share = by_hour[:, 0] / by_hour.sum(1)
        drifts.append(share[7] - share[22])

    assert max(map(abs, drifts)) > 0.06
    assert max(map(abs, drifts)) < 0.25


def test_class_shares() -> None:
    """4 % children, 2 to 4 % cyclists, few wheelchairs and prams, the rest pedestrians."""
    count = people().minutes(MONDAY, MONDAY + timedelta(days=28)).count.sum((0, 1))
    share = dict(zip(CLASSES, count / count.sum(), strict=True))

    assert share[0] == pytest.approx(0.915, abs=0.01)
    assert share[1] == pytest.approx(0.04, abs=0.004)
    assert 0.02 < share[2] < 0.04
    assert share[3] == pytest.approx(0.003, abs=0.001)
    assert share[4] == pytest.approx(0.012, abs=0.002)


def test_persons_in_groups() -> None:
    """22 to 46 % of the people walk in a group of two or more (from the sizes that are drawn)."""
    low, high = calibration.PERSONS_IN_GROUPS
    sizes = pedestrians._GROUP_SIZES * np.arange(1, 5)

    assert low < sizes[1:].sum() / sizes.sum() < high


# One process behind everything


def test_minutes_are_the_live_passages() -> None:
    """The history of a stretch is, minute by minute, what a live run would have shown, over midnight and days."""
    walkers, again = people(), people()
    start, stop = MONDAY + timedelta(hours=20), MONDAY + timedelta(days=2, hours=3)
    stream = Stream(again, start.timestamp())
    seen = np.zeros((3 * 24 * 60, 2, 5), int)
    moment = start.timestamp()
    while moment < stop.timestamp():
        moment = min(stop.timestamp(), moment + 1234.5)
        for utc_s, direction, class_ in stream.take(moment):
            seen[int(utc_s - start.timestamp()) // 60, direction, class_] += 1

    minutes = walkers.minutes(start, stop)

    assert np.array_equal(minutes.count, seen[: len(minutes)])
    assert minutes.count.sum() > 10_000


def test_stream_tells_when_the_next_one_comes() -> None:
    """Waking up at `next_s` finds exactly that passage, and times come in order."""
    stream = Stream(people(), MONDAY.timestamp() + 40_000)
    times = []
    for _ in range(500):
        at = stream.next_s()
        found = stream.take(np.nextafter(at, np.inf))
        assert [utc_s for utc_s, _, _ in found] == [at]
        times.append(at)

    assert times == sorted(times)


def test_the_order_of_asking_does_not_matter() -> None:
    """Any stretch is the same, whatever was asked before, and pieces add up to the whole."""
    walkers = people()
    whole = walkers.minutes(MONDAY, MONDAY + timedelta(days=6)).count
    backwards = people()
    pieces = [
        backwards.minutes(MONDAY + timedelta(days=day), MONDAY + timedelta(days=day + 1)).count
        for day in reversed(range(6))
    ]

    assert np.array_equal(whole, np.concatenate(pieces[::-1]))


def test_seeds_and_places_differ_and_the_same_is_the_same() -> None:
    """The seed and the place decide: same gives same, other gives other."""
    day = (MONDAY, MONDAY + timedelta(days=1))
    first = people(seed=1, place="a").minutes(*day).count

    assert np.array_equal(first, people(seed=1, place="a").minutes(*day).count)
    assert not np.array_equal(first, people(seed=2, place="a").minutes(*day).count)
    assert not np.array_equal(first, people(seed=1, place="b").minutes(*day).count)


def test_rate_is_what_the_counts_follow() -> None:
    """The rate at a moment, summed over a day, is the day's passages up to the chance of single arrivals."""
    walkers = people()
    expected = sum(walkers.rate(MONDAY + timedelta(minutes=minute)) * 60 for minute in range(1440))
    count = walkers.minutes(MONDAY, MONDAY + timedelta(days=1)).count.sum()

    assert abs(count - expected) < 5 * (2.3 * expected) ** 0.5


def test_cells_are_the_counts_as_columns() -> None:
    """The cells that are not zero, by minute, give the same sums as the array."""
    minutes = people().minutes(MONDAY, MONDAY + timedelta(days=1))
    index, direction, class_, count = minutes.cells()

    assert np.all(np.diff(index) >= 0)
    assert count.min() > 0
    for at, way, kind in ((600, 0, 0), (800, 1, 0), (900, 1, 1)):
        assert count[(index == at) & (direction == way) & (class_ == kind)].sum() == minutes.count[at, way, kind]
    assert count.sum() == minutes.count.sum()


def test_floor_keeps_a_night_alive() -> None:
    """With a least rate of one per second the quietest hour has some 3600 passages; without, a handful."""
    night = (MONDAY + timedelta(hours=3), MONDAY + timedelta(hours=4))

    assert people().minutes(*night).count.sum() < 60
    assert people(floor_per_s=1.0).minutes(*night).count.sum() == pytest.approx(3600, rel=0.1)


def test_nobody_where_the_mean_is_zero() -> None:
    """A place without people has none, and the stream waits for the end of each day."""
    assert people(mean=0).minutes(MONDAY, MONDAY + timedelta(days=1)).count.sum() == 0
    assert Stream(people(mean=0), MONDAY.timestamp()).next_s() == MONDAY.timestamp() + 86_400


# Local time


@pytest.mark.parametrize(
    ("day", "local_hours"),
    [(date(2025, 3, 30), 23), (date(2025, 10, 26), 25), (date(2025, 6, 15), 24)],
)
def test_days_of_the_clock_change(day: date, local_hours: int) -> None:
    """Sunday's shape follows the clock on the wall on days of 23 and 25 hours: noon's rate is at local noon."""
    walkers = Pedestrians(Place("a"), seed=1, zone=BERLIN)
    begin = datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=BERLIN).astimezone(UTC)
    ordinary = datetime(2025, 6, 15, tzinfo=BERLIN)

    assert (end - begin).total_seconds() / 3600 == local_hours
    for hour in (0, 1, 4, 12, 23):
        local = datetime(day.year, day.month, day.day, hour, 30, tzinfo=BERLIN)
        assert walkers.usual(local) == pytest.approx(walkers.usual(ordinary + timedelta(hours=hour, minutes=30)))


def test_the_doubled_hour_is_walked_twice() -> None:
    """In October both hours called 2 o'clock have the same usual rate, in March there is none."""
    walkers = Pedestrians(Place("a"), seed=1, zone=BERLIN)
    first, second = (datetime(2025, 10, 26, hour, 30, tzinfo=UTC) for hour in (0, 1))

    assert walkers.usual(first) == walkers.usual(second)
    assert walkers.usual(first) != walkers.usual(second + timedelta(hours=1))


def easter_by_counting(year: int) -> date:
    """Easter from a table of known Sundays, 2020 to 2030 (church calendars)."""
    known = ["04-12", "04-04", "04-17", "04-09", "03-31", "04-20", "04-05", "03-28", "04-16", "04-01", "04-21"]
    return date.fromisoformat(f"{year}-{known[year - 2020]}")


@pytest.mark.parametrize("year", range(2020, 2031))
def test_easter(year: int) -> None:
    """The Sunday from which most holidays are counted."""
    assert pedestrians._easter(year) == easter_by_counting(year)


def test_public_holidays_are_quiet() -> None:
    """A holiday has about 45 % of its weekday, if wanted; a Sunday stays a Sunday."""
    start = datetime(2025, 5, 1, tzinfo=BERLIN).astimezone(UTC)
    stop = start + timedelta(days=1)
    quiet = Pedestrians(Place("a"), seed=1, zone=BERLIN).minutes(start, stop).count.sum()
    usual = Pedestrians(Place("a"), seed=1, zone=BERLIN, holidays=False).minutes(start, stop).count.sum()

    assert quiet / usual == pytest.approx(0.45, abs=0.03)


# Outages


def test_outages_are_rare_and_leave_gaps() -> None:
    """About one outage in three years, half of them up to two days; its minutes are measured 0 s and count nothing."""
    start = int(MONDAY.timestamp())
    found = [
        outage
        for place in map(str, range(60))
        for outage in people(place=place).outages(start, start + 4 * 365 * 86_400)
    ]
    lengths = sorted((end - begin) / 86_400 for begin, end in found)

    assert 0.2 < len(found) / 240 < 0.45
    assert 1 < lengths[len(lengths) // 2] < 4
    assert lengths[-1] > 7


def test_minutes_of_an_outage() -> None:
    """Before and after an outage minutes are as without it, in it they are unobserved and empty."""
    start = int(MONDAY.timestamp())
    place, (begin, end) = next(
        (place, outage)
        for place in map(str, range(200))
        for outage in people(place=place).outages(start + 86_400, start + 5 * 86_400)
        if outage[0] > start + 86_400
    )
    stop = MONDAY + timedelta(days=9)
    gaps = people(place=place).minutes(MONDAY, stop, outages=True)
    whole = people(place=place).minutes(MONDAY, stop)
    inside = np.zeros(len(whole), bool)
    inside[(begin - start) // 60 : (end - start) // 60] = True

    assert np.array_equal(gaps.observed_s == 0, inside)
    assert gaps.count[inside].sum() == 0
    assert np.array_equal(gaps.count[~inside], whole.count[~inside])
    assert set(gaps.observed_s.tolist()) == {0, 60}
    assert whole.observed_s.min() == 60


def test_minutes_want_whole_minutes() -> None:
    """A stretch that begins within a minute is refused with a sentence."""
    begin, end = MONDAY + timedelta(seconds=1), MONDAY + timedelta(hours=1)

    with pytest.raises(ValueError, match="whole minutes"):
        people().minutes(begin, end)
