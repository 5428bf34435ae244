"""The API against the reference: the same answers, whatever happened and in whatever order it was told."""

import secrets
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, note, settings

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_contract import SlotReport
from footfall_contract.words import PassageClass
from footfall_testing.city import Api
from footfall_testing.histories import AREAS, BEGINNINGS, History, Question, Remark, histories, put, zone_of
from footfall_testing.ingest_store import report
from footfall_testing.reference import DAY_S, Asked, Facts, Stay, Value, edges, value

DIRECTIONS = {"in": 0, "out": 1, "undirected": 2}
CLASSES = {found.name.lower(): int(found) for found in PassageClass}

_NUMBER = count()


class Town:
    """A database and the API on it; each history in it has names of its own."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.api = Api(ApiSettings(database=DatabaseSettings(dsn=dsn), public=PublicSettings(local=True)))

    def put(self, history: History, name: str) -> None:
        """Write a history, what is in it called after `name`. The API's clock stands where the history ends."""
        put(self.connection, history, name)
        self.api.now = datetime.fromtimestamp(history.now, UTC)

    def ask(self, name: str, question: Question, zone: ZoneInfo) -> list[dict[str, Any]]:
        """The values of an answer, without the history's name."""
        is_area = question.place in AREAS
        asked = {
            "area" if is_area else "station": f"{name}-{question.place}",
            "from": datetime.fromtimestamp(question.start, UTC).isoformat(),
            "to": datetime.fromtimestamp(question.end, UTC).isoformat(),
            "resolution": question.resolution,
        }
        if question.split:
            asked["split"] = ",".join(question.split)
        if question.zone or is_area:
            asked["tz"] = zone.key
        response = self.api.get("/api/v1/counts", **asked)
        assert response.status_code == 200, response.text
        document = response.json()
        assert document["next"] is None
        rows: list[dict[str, Any]] = document["values"]
        for row in rows:
            row |= {key: row[key].removeprefix(f"{name}-") for key in ("station", "sensor")}
            if is_area:
                row["area"] = row["area"].removeprefix(f"{name}-")
                row["carried_by"] = [station.removeprefix(f"{name}-") for station in row["carried_by"]]
        return rows


@pytest.fixture(scope="module")
def plain(postgres_server: Any, postgres_template: str) -> Iterator[Town]:
    """A town on plain PostgreSQL."""
    name = f"footfall_{secrets.token_hex(6)}"
    town = Town(postgres_server.create(name, postgres_template))
    with town.api:
        yield town
    town.connection.close()
    postgres_server.drop(name)


@pytest.fixture(scope="module")
def timescale(timescale_server: Any) -> Iterator[Town]:
    """A town on TimescaleDB."""
    from footfall_ingest.migrate import migrate

    name = f"footfall_{secrets.token_hex(6)}"
    dsn = timescale_server.create(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    migrate(dsn)
    town = Town(dsn)
    with town.api:
        yield town
    town.connection.close()
    timescale_server.drop(name)


def check(history: History, question: Question, answer: list[dict[str, Any]]) -> None:
    """Hold an answer against the reference."""
    facts, zone = Facts(history.reports, history.removed or 0), zone_of(history, question)
    here = [stay for stay in history.stays if stay.station in question.stations]
    groups: dict[str, list[Stay]] = {"all": [stay for stay in here if stay.role == "part"]}
    if "sensor" in question.split and here:
        groups = {stay.sensor: [other for other in here if other.sensor == stay.sensor] for stay in here}
    cut = edges(question.resolution, question.start, question.end, zone)
    found: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in answer:
        found[row["sensor"], instant(row["start"])].append(row)
    assert set(found) == {(sensor, edge) for sensor in groups for edge in cut[:-1]}, (
        "intervals are missing, or too many"
    )
    assert [instant(row["start"]) for row in answer] == sorted(instant(row["start"]) for row in answer)
    for sensor, stays in groups.items():
        shapes = {tuple((row["direction"], row["class"]) for row in found[sensor, edge]) for edge in cut[:-1]}
        assert len(shapes) == 1, "each interval has the same rows"
        asked = Asked(stays, question.resolution, zone, history.now, history.excluded)
        for start, end in pairwise(cut):
            expected = value(facts, asked, start, end)
            note(f"expected {sensor} {expected}")
            compare(expected, found[sensor, expected.start], question, zone)


def compare(expected: Value, rows: list[dict[str, Any]], question: Question, zone: ZoneInfo) -> None:
    """Hold the rows of an interval and a group of sensors against the reference."""
    left = None if expected.counts is None else dict(expected.counts)
    for row in rows:
        note(f"row {row}")
        if question.place in AREAS:
            assert (row["station"], row["area"]) == ("all", question.place)
            assert sorted(row["carried_by"]) == list(expected.carried)
        else:
            assert row["station"] == question.place
        assert (row["direction"] != "all") == ("direction" in question.split)
        assert (row["class"] != "all") == ("class" in question.split)
        assert (row["start"], row["end"]) == (local(expected.start, zone), local(expected.end, zone))
        said = row["coverage"], row["state"], row["reason"], row["final"]
        assert said == (expected.coverage, expected.state, expected.reason, expected.final)
        assert (row["count"] is None) == (left is None)
        if left is not None:
            cells = [
                cell
                for cell in left
                if row["direction"] in ("all", *(word for word, number in DIRECTIONS.items() if number == cell[0]))
                and row["class"] in ("all", *(word for word, number in CLASSES.items() if number == cell[1]))
            ]
            assert row["count"] == sum(left.pop(cell) for cell in cells)
    assert not left, f"passages that no row has: {left}"


def instant(text: str) -> int:
    """A time in UTC unix seconds."""
    return int(datetime.fromisoformat(text).timestamp())


def local(second: int, zone: ZoneInfo) -> str:
    """A time as answers write it."""
    return datetime.fromtimestamp(second, zone).isoformat()


def known(report: SlotReport, question: Question, *remarks: Remark, since: int = 0) -> History:
    """A history of one sensor, s-0 at a from `since` on, and one report."""
    return History(
        zones={"a": "Europe/Berlin", "b": "Europe/Berlin"},
        stays=(Stay("s-0", "a", since, None, "part"),),
        remarks=remarks,
        arrivals=((report,),),
        sums=(True,),
        removed=None,
        now=MARCH + DAY_S,
        questions=(question,),
    )


MARCH = BEGINNINGS[0]

BESIDE_EXCLUDED = known(
    report("s-0", start=MARCH, slot=7200, observed=[0], cells=[(0, 0, 0, 70)]),
    Question("a", "1h", MARCH + 3600, MARCH + 7200, (), None),
    Remark("sensor", "s-0", MARCH, MARCH + 1800, excludes=True),
)
"""A span of two hours of which the first half hour is excluded; the second hour is asked about."""

COUNTED_ELSEWHERE = known(
    report("s-0", start=MARCH, slot=7200, observed=[0], cells=[(0, 0, 0, 70)]),
    Question("a", "15min", MARCH + 5400, MARCH + 6300, (), None),
    Remark("sensor", "s-0", MARCH + 3600, MARCH + 5400, excludes=True),
    since=MARCH + 3600,
)
"""A span that began before its sensor came, so it is not the station's, whatever of it is excluded."""

UNMEASURED = known(
    report("s-0", start=MARCH, slot=60, observed=[0], cells=[(0, 0, 0, 4)]),
    Question("both", "1h", MARCH, MARCH + 3600, (), None),
)
"""Passages in time that was not measured: they are in the sum over an area."""

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def agrees(town: Town, history: History) -> None:
    """Hold the answers of a town against the reference."""
    name = f"h{next(_NUMBER)}"
    town.put(history, name)
    note(str(history))
    for question in history.questions:
        note(str(question))
        check(history, question, town.ask(name, question, zone_of(history, question)))


@given(histories())
@example(BESIDE_EXCLUDED)
@example(COUNTED_ELSEWHERE)
@example(UNMEASURED)
@pytest.mark.timeout(600)  # should it fail, the smallest history that does is looked for
@settings(max_examples=8, suppress_health_check=SHARED)
def test_the_api_answers_as_the_reference(plain: Town, history: History) -> None:
    """Every value of every answer: gaps, moves, spans, exclusions, sums over areas, late and repeated reports."""
    agrees(plain, history)


@pytest.mark.full
@pytest.mark.timeout(1800)
@given(histories())
@settings(max_examples=400, suppress_health_check=SHARED)
def test_the_api_answers_as_the_reference_in_many_histories(plain: Town, history: History) -> None:
    """The same, many times."""
    agrees(plain, history)


def the_same(plain: Town, timescale: Town, history: History) -> None:
    """Hold the answers of two servers against each other, row for row."""
    name = f"h{next(_NUMBER)}"
    for town in (plain, timescale):
        town.put(history, name)
    for question in history.questions:
        note(str(question))
        zone = zone_of(history, question)
        assert plain.ask(name, question, zone) == timescale.ask(name, question, zone)


@given(histories())
@pytest.mark.timeout(600)
@settings(max_examples=4, suppress_health_check=SHARED)
def test_both_servers_give_the_same_answers(plain: Town, timescale: Town, history: History) -> None:
    """What is written into plain PostgreSQL and into TimescaleDB is read from both alike."""
    the_same(plain, timescale, history)


@pytest.mark.full
@pytest.mark.timeout(1800)
@given(histories())
@settings(max_examples=80, suppress_health_check=SHARED)
def test_both_servers_give_the_same_answers_in_many_histories(plain: Town, timescale: Town, history: History) -> None:
    """The same, many times."""
    the_same(plain, timescale, history)
