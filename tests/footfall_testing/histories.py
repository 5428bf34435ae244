"""Histories that nobody thought of: sensors that come, move and go, what they report, how it arrives; and questions."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from hypothesis import strategies as st

from footfall_contract import SlotReport
from footfall_contract.words import PassageClass
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.rollup import roll_up
from footfall_testing.ingest_store import message, stream_of
from footfall_testing.reference import DAY_S, RESOLUTIONS, Range, Stay

HOUR_S = 3600

FOREVER = 4_102_444_800
"""2100-01-01 in UTC unix seconds."""
WINDOW_S = 60 * HOUR_S
"""In which the reports of a history lie: two nights and the days around them."""

BEGINNINGS = tuple(
    int(datetime(*day, 10, tzinfo=UTC).timestamp()) for day in [(2026, 3, 28), (2026, 10, 24), (2025, 12, 30)]
)
"""Ten o'clock UTC on the day before clocks go forward, before they go back, and before a year ends in mid-week."""

ZONES = ("Europe/Berlin", "Europe/Berlin", "Europe/Berlin", "UTC", "Asia/Kathmandu", "Australia/Lord_Howe")
"""Mostly ours; one ahead by a quarter of an hour, one whose clocks change by half an hour."""

STATIONS = ("a", "b")

AREAS = {"both": ("a", "b"), "only-b": ("b",), "empty": ()}
"""Areas with the stations in them."""


@dataclass(frozen=True)
class Question:
    """What is asked of a station or an area: [start, end) in UTC unix seconds, in the zone named or the station's."""

    place: str
    resolution: str
    start: int
    end: int
    split: tuple[str, ...]
    zone: str | None

    @property
    def stations(self) -> tuple[str, ...]:
        """The stations that are added up."""
        return AREAS.get(self.place, (self.place,))


@dataclass(frozen=True)
class Remark:
    """A remark on [start, end), UTC unix seconds (`end` None: until further notice), at a station, sensor or area."""

    kind: str
    place: str
    start: int
    end: int | None
    excludes: bool

    def concerns(self, stay: Stay) -> bool:
        """Whether it is about a sensor there."""
        return self.place in {"station": (stay.station,), "sensor": (stay.sensor,)}.get(
            self.kind, [area for area, stations in AREAS.items() if stay.station in stations]
        )


@dataclass(frozen=True, repr=False)
class History:
    """A town, what its sensors report, in which batches it arrives, and what is asked at `now` (UTC unix seconds)."""

    zones: dict[str, str]
    """Time zones by station."""
    stays: tuple[Stay, ...]
    remarks: tuple[Remark, ...]
    arrivals: tuple[tuple[SlotReport, ...], ...]
    """Batches in the order in which they come; some reports come twice."""
    sums: tuple[bool, ...]
    """After which batches hours are summed up."""
    removed: int | None
    """In the end the minutes before this full UTC hour are removed, and only their sums by the hour are kept."""
    now: int
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        """What happened, briefly: a day's minutes are not written out."""
        batches = [
            " ".join(map(_told, batch)) + ("; sums" if sums else "")
            for batch, sums in zip(self.arrivals, self.sums, strict=True)
        ]
        return "\n".join(
            [
                f"zones {self.zones}, now {self.now}, removed {self.removed}",
                *map(str, self.stays),
                *map(str, self.remarks),
                *batches,
            ]
        )

    @property
    def reports(self) -> list[SlotReport]:
        """All reports, those that come twice too."""
        return [report for batch in self.arrivals for report in batch]

    @property
    def excluded(self) -> dict[tuple[str, str], list[Range]]:
        """The time that is not to be believed, by station and sensor."""
        found = defaultdict(list)
        for stay in self.stays:
            found[stay.station, stay.sensor] += [
                (remark.start, FOREVER if remark.end is None else remark.end)
                for remark in self.remarks
                if remark.excludes and remark.concerns(stay)
            ]
        return found


def _told(report: SlotReport) -> str:
    runs = [f"{len(list(found))}x{seconds}" for seconds, found in groupby(report.observed)]
    cells = list(zip(report.index, report.direction, report.class_, report.count, strict=True))
    return f"[{report.sensor} #{report.seq} {report.start}+{report.slot}s: {' '.join(runs)} {cells}]"


_CELLS = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from([0, 0, 1, 1, 2]),
    st.sampled_from([0, 0, 0, *PassageClass]),
    st.integers(1, 9),
)


@st.composite
def _reports(draw: st.DrawFn, sensor: str, begin: int) -> list[SlotReport]:
    """What one sensor reports, one stretch of time after the other, with spans that may lie over anything."""
    found: list[SlotReport] = []
    place = begin + draw(st.integers(0, 20)) * HOUR_S // 2
    while place < begin + WINDOW_S and len(found) < 12:
        kind = draw(st.sampled_from(["run", "run", "run", "slots", "slots", "silent", "span", "gap"]))
        if kind == "gap":
            place += draw(st.sampled_from([10, 60, 600, HOUR_S, 7 * HOUR_S]))
        elif kind == "span":
            # Lengths and beginnings on and off every grid; a measured span keeps clear of what else is measured.
            length = draw(st.sampled_from([61, 600, 900, HOUR_S, 2 * HOUR_S, 5000, DAY_S, 9 * DAY_S]))
            start = place - draw(st.sampled_from([0, 0, 1, 1800, 12 * HOUR_S]))
            measured = 0
            if start == place and length <= 2 * HOUR_S:
                measured = draw(st.sampled_from([0, length // 2, length]))
                start = -(-place // 60) * 60 + 60
                place = -(-(start + length) // 60) * 60 + 60
            found.append(_report(draw, sensor, len(found), start, length, [measured]))
        else:
            slot = draw(st.sampled_from([10, 15, 60])) if kind == "slots" else 60
            start = -(-place // slot) * slot
            number = draw(st.integers(1, 12) if kind == "slots" else st.sampled_from([1, 30, 60, 200, 1440]))
            number = min(number, max(1, (begin + WINDOW_S - start) // slot))
            if kind == "slots":
                observed = draw(st.lists(st.integers(0, slot), min_size=number, max_size=number))
            else:
                observed = [0 if kind == "silent" else slot] * number
            found.append(_report(draw, sensor, len(found), start, slot, observed))
            place = start + slot * number
    return found


def _report(  # noqa: PLR0917
    draw: st.DrawFn, sensor: str, seq: int, start: int, slot: int, observed: Sequence[int]
) -> SlotReport:
    cells = draw(st.lists(_CELLS, max_size=4, unique_by=lambda cell: (cell[0] % len(observed), cell[1], cell[2])))
    cells = sorted((index % len(observed), direction, class_, count) for index, direction, class_, count in cells)
    index, direction, class_, count = (tuple(column) for column in zip(*cells, strict=True)) if cells else ((),) * 4
    return SlotReport(
        sensor=sensor,
        stream=stream_of(sensor),
        seq=seq,
        start=start,
        slot=slot,
        slots=len(observed),
        observed=tuple(observed),
        index=index,
        direction=direction,
        class_=class_,
        count=count,
    )


@st.composite
def _stays(draw: st.DrawFn, sensor: str, begin: int) -> list[Stay]:
    """Where one sensor hangs: nowhere, at one station, or at both one after the other, from and to any minute."""
    cuts = draw(st.lists(st.integers(0, WINDOW_S // 60), max_size=draw(st.sampled_from([0, 0, 1, 3])), unique=True))
    moments: list[int | None] = [begin - 30 * DAY_S, *(begin + 60 * cut for cut in sorted(cuts)), None]
    found = []
    for since, until in pairwise(moments):
        station = draw(st.sampled_from([STATIONS[0], STATIONS[0], STATIONS[0], STATIONS[1], None]))
        if station and since is not None:
            found.append(Stay(sensor, station, since, until, draw(st.sampled_from(["part", "part", "reference"]))))
    return found


@st.composite
def _remarks(draw: st.DrawFn, moments: Sequence[int], sensors: Sequence[str]) -> Remark:
    kind, place = draw(
        st.sampled_from(
            [*(("station", name) for name in STATIONS), *(("sensor", name) for name in sensors), ("area", "both")]
        )
    )
    start = draw(st.sampled_from(moments)) + 60 * draw(st.integers(-60, 60))
    length = draw(st.sampled_from([1, 7, 30, 60, 300, 3000, None]))
    return Remark(kind, place, start, None if length is None else start + 60 * length, draw(st.integers(0, 3)) > 0)


@st.composite
def _questions(draw: st.DrawFn, moments: Sequence[int]) -> Question:
    resolution = draw(st.sampled_from(RESOLUTIONS))
    longest = {"1min": 3 * HOUR_S, "5min": 12 * HOUR_S, "15min": 24 * HOUR_S}.get(resolution, WINDOW_S + DAY_S)
    start = draw(st.sampled_from(moments)) + 60 * draw(st.integers(-120, 240))
    return Question(
        place=draw(st.sampled_from(["a", "a", "a", "a", "b", "both", "both", "only-b", "empty"])),
        resolution=resolution,
        start=start,
        end=start + 60 * draw(st.integers(1, longest // 60)),
        split=tuple(draw(st.sets(st.sampled_from(["direction", "class", "sensor"])))),
        zone=draw(st.sampled_from([None, None, None, *ZONES])),
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A history and six questions about it."""
    begin = draw(st.sampled_from(BEGINNINGS))
    sensors = [f"s-{number}" for number in range(draw(st.integers(1, 3)))]
    stays = [stay for sensor in sensors for stay in draw(_stays(sensor, begin))]
    reports = draw(st.permutations([report for sensor in sensors for report in draw(_reports(sensor, begin))]))
    again = draw(st.lists(st.sampled_from(reports), max_size=3)) if reports else []
    batches: list[list[SlotReport]] = [[]]
    for report in [*reports, *again]:
        batches[-1].append(report)
        if draw(st.booleans()):
            batches.append([])
    moments = [begin, *(report.start // 60 * 60 for report in reports)]
    newest = max((report.start + report.slot * report.slots for report in reports), default=begin)
    return History(
        zones={station: draw(st.sampled_from(ZONES)) for station in STATIONS},
        stays=tuple(stays),
        remarks=tuple(draw(st.lists(_remarks(moments, sensors), max_size=draw(st.sampled_from([0, 2, 4]))))),
        arrivals=tuple(map(tuple, batches)),
        sums=tuple(draw(st.lists(st.booleans(), min_size=len(batches), max_size=len(batches)))),
        removed=draw(st.none() | st.integers(1, 62).map(lambda hours: begin + hours * HOUR_S)),
        now=newest + draw(st.sampled_from([0, 37, 600, 5 * HOUR_S, 15 * DAY_S])),
        questions=tuple(draw(st.lists(_questions(moments), min_size=6, max_size=6))),
    )


def put(connection: psycopg.Connection[Any], history: History, name: str) -> None:
    """Write a history into a database, its stations and sensors called after `name`; commits batch by batch."""
    for station, zone in history.zones.items():
        connection.execute(
            "INSERT INTO station (id, name, timezone, longitude, latitude) VALUES (%s, %s, %s, 11.5, 50.9)",
            [f"{name}-{station}", station, zone],
        )
    for stay in history.stays:
        sensor = f"{name}-{stay.sensor}"
        connection.execute("INSERT INTO sensor (id) VALUES (%s) ON CONFLICT DO NOTHING", [sensor])
        connection.execute(
            "INSERT INTO installation SELECT key, %s, to_timestamp(%s), to_timestamp(%s), %s FROM sensor WHERE id = %s",
            [f"{name}-{stay.station}", stay.since, stay.until, stay.role, sensor],
        )
    for area, stations in AREAS.items():
        connection.execute("INSERT INTO area VALUES (%s, %s, 'Quartier', '{}')", [f"{name}-{area}", area])
        for station in stations:
            connection.execute("INSERT INTO station_area VALUES (%s, %s)", [f"{name}-{station}", f"{name}-{area}"])
    connection.execute("UPDATE store SET minutes_from = '-infinity'")
    now = datetime.fromtimestamp(history.now, UTC)
    for batch, sums in zip(history.arrivals, history.sums, strict=True):
        outcome = write_batch(connection, [_message(report, name) for report in batch], now=now)
        assert not outcome.unusable, outcome.unusable
        if sums:
            _sum_up(connection, now)
    if history.removed is not None:
        _remove(connection, history, name)
    for remark in history.remarks:
        place = "(SELECT key FROM sensor WHERE id = %s)" if remark.kind == "sensor" else "%s"
        statement = f"""
            INSERT INTO remark ({remark.kind}, starts, ends, kind, text, excludes)
            SELECT place, to_timestamp(%s), to_timestamp(%s), 'works', 'x', %s FROM (SELECT {place} AS place) AS found
            WHERE place IS NOT NULL
        """  # a sensor that was never heard of has no remarks
        values = [remark.start, remark.end, remark.excludes, f"{name}-{remark.place}"]
        connection.execute(statement, values)


def _sum_up(connection: psycopg.Connection[Any], now: datetime) -> None:
    done = roll_up(connection, now)
    while done.next:
        done = roll_up(connection, now, after=done.next)


def _remove(connection: psycopg.Connection[Any], history: History, name: str) -> None:
    """Leave of the minutes before `history.removed` their sums by the hour, as retention does."""
    assert history.removed is not None
    before = datetime.fromtimestamp(history.removed, UTC)
    _sum_up(connection, max(before + timedelta(hours=1), datetime.fromtimestamp(history.now, UTC)))
    for table in ("count_minute", "coverage_minute"):
        connection.execute(
            f"DELETE FROM {table} USING sensor WHERE key = sensor AND starts_with(id, %s) AND minute < minute_of(%s)",
            [f"{name}-", before],
        )
    connection.execute("UPDATE store SET minutes_from = %s", [before])


def _message(report: SlotReport, name: str) -> Message:
    sensor = f"{name}-{report.sensor}"
    return message(replace(report, sensor=sensor, stream=stream_of(sensor)), "node")


def zone_of(history: History, question: Question) -> ZoneInfo:
    """The zone in which a question is to be answered: an area's stations may have several, so it is ours there."""
    return ZoneInfo(question.zone or history.zones.get(question.place, ZONES[0]))
