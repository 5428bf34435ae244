"""Whatever way reports come, the store ends up the same and every passage is accounted for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport, decode, encode_cbor
from footfall_ingest.flush import Message, Outcome, write_batch
from footfall_testing.ingest_store import NOON, Store, message, report, stored, stream_of

NOW = datetime.fromtimestamp(NOON + 86_400, UTC)

few_examples = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

Connection = psycopg.Connection[Any]


@contextmanager
def empty(dsn: str) -> Iterator[Connection]:
    """A connection to a store that is empty, and is empty again afterwards."""
    with psycopg.connect(dsn) as connection, connection.transaction(force_rollback=True):
        yield connection


def write(connection: Connection, *reports: SlotReport | Message) -> Outcome:
    """Write one batch; a report comes from jena-sued on its own topic."""
    messages = [message(one) if isinstance(one, SlotReport) else one for one in reports]
    return write_batch(connection, messages, now=NOW)


# A history of one sensor: no report claims another's seconds, but several may be within one minute.
_CELL = st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 4, 255]), st.sampled_from([1, 2, 3, 90]))


@st.composite
def histories(draw: st.DrawFn, sensor: str) -> list[SlotReport]:
    """Reports of one sensor in one or two streams that a working node could have sent."""
    reports = []
    numbers: Counter[str] = Counter()
    end = NOON
    for _ in range(draw(st.integers(1, 8))):
        stream = draw(st.sampled_from(["first", "second"]))
        slot = draw(st.sampled_from([10, 30, 60, 7, 600]))
        unit = slot if 60 % slot == 0 else 1
        start = -(-(end + draw(st.sampled_from([0, 0, 10, 600]))) // unit) * unit
        slots = draw(st.integers(1, 4)) if 60 % slot == 0 else 1
        end = start + slot * slots
        observed = draw(st.lists(st.integers(0, slot), min_size=slots, max_size=slots))
        cells = [
            (index, *cell)
            for index in range(slots)
            for cell in draw(st.lists(_CELL, max_size=2))
            if draw(st.booleans())
        ]
        reports.append(
            report(sensor, numbers[stream], stream=stream, start=start, slot=slot, observed=observed, cells=cells)
        )
        numbers[stream] += 1
    if draw(st.booleans()):
        # What was missed while nobody watched, over all of the time.
        whole = report(sensor, numbers["first"], slot=4799, observed=[0], cells=[(0, 0, 0, 12)])
        reports.append(whole)
    return reports


@st.composite
def cities(draw: st.DrawFn) -> list[SlotReport]:
    """The reports of three sensors."""
    return [one for sensor in ("a-1", "b-1", "c-1") for one in draw(histories(sensor))]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[SlotReport], list[list[SlotReport]]]:
    """Reports; and batches in which each of them comes at least once, in any order."""
    reports = draw(cities())
    again = draw(st.lists(st.sampled_from(reports), max_size=12))
    arrivals = draw(st.permutations(reports + again))
    edges = [0, *sorted(draw(st.lists(st.integers(0, len(arrivals)), max_size=5))), len(arrivals)]
    return reports, [arrivals[a:b] for a, b in pairwise(edges)]


@dataclass
class Expected:
    """What the store should have."""

    counts: Counter[tuple[str, int, int, int]]
    coverage: Counter[tuple[str, int]]
    spans: Counter[tuple[str, int, int, int, int]]
    span_coverage: Counter[tuple[str, int, int]]
    directions: dict[str, int]

    @classmethod
    def of(cls, reports: Sequence[SlotReport]) -> "Expected":
        """Each report once, cell by cell."""
        found = cls(Counter(), Counter(), Counter(), Counter(), {one.sensor: 0 for one in reports})
        for one in reports:
            for index, seconds in enumerate(one.observed):
                if one.is_span:
                    found.span_coverage[one.sensor, one.start, one.end] += seconds
                else:
                    found.coverage[one.sensor, (one.start + index * one.slot) // 60 * 60] += seconds
            for index, direction, class_, count in zip(one.index, one.direction, one.class_, one.count, strict=True):
                found.directions[one.sensor] |= 1 << direction
                if one.is_span:
                    found.spans[one.sensor, one.start, one.end, direction, class_] += count
                else:
                    minute = (one.start + index * one.slot) // 60 * 60
                    found.counts[one.sensor, minute, direction, class_] += count
        return found


def assert_holds(store: Store, reports: Sequence[SlotReport]) -> None:
    """The store has these reports, each once, and nothing else."""
    expected = Expected.of(reports)
    assert store.counts == dict(expected.counts)
    assert store.coverage == dict(expected.coverage)
    assert store.spans == dict(expected.spans)
    assert store.span_coverage == dict(expected.span_coverage)
    assert store.directions == expected.directions
    highest = Counter({(one.sensor, one.stream): 0 for one in reports})
    for one in reports:
        highest[one.sensor, one.stream] = max(highest[one.sensor, one.stream], one.seq + 1)
    assert store.received == {key: f"{{[0,{end})}}" for key, end in highest.items()}


@few_examples
@given(delivery=deliveries())
def test_reports_are_stored_once_in_whatever_way_they_come(
    any_database: str, delivery: tuple[list[SlotReport], list[list[SlotReport]]]
) -> None:
    """Any order, any number of repetitions and any batches give the rows of each report once, cell by cell."""
    reports, batches = delivery
    with empty(any_database) as connection:
        outcomes = [write(connection, *batch) for batch in batches]
        found = stored(connection)

    assert_holds(found, reports)
    assert found.quarantine == {}
    assert sum(outcome.stored for outcome in outcomes) == len(reports)
    assert sum(outcome.duplicate for outcome in outcomes) == sum(map(len, batches)) - len(reports)


@few_examples
@given(delivery=deliveries())
def test_all_rows_together_count_what_all_reports_counted(
    any_database: str, delivery: tuple[list[SlotReport], list[list[SlotReport]]]
) -> None:
    """No passage is lost or made: the sum over minutes and spans is the sum over the reports."""
    reports, batches = delivery
    with empty(any_database) as connection:
        for batch in batches:
            write(connection, *batch)
        found = stored(connection)

    assert sum(found.counts.values()) + sum(found.spans.values()) == sum(one.total for one in reports)


@few_examples
@given(delivery=deliveries())
def test_the_last_notice_wants_what_was_not_sent(
    any_database: str, delivery: tuple[list[SlotReport], list[list[SlotReport]]]
) -> None:
    """After each batch the notice covers of each stream it names exactly the numbers that came so far."""
    _, batches = delivery
    came: dict[tuple[str, object], set[int]] = {}
    with empty(any_database) as connection:
        for batch in batches:
            for one in batch:
                came.setdefault((one.sensor, one.stream), set()).add(one.seq)
            notices = write(connection, *batch).notices
            told = {
                (sensor, state.stream): {number for number in range(20) if state.covers(number)}
                for notice in notices.values()
                for sensor, states in notice.sensors.items()
                for state in states
            }
            assert told == {key: came[key] for key in told}
            assert told.keys() >= {(one.sensor, one.stream) for one in batch}


# Two boxes that both believe to be markt-1: their reports are within the same few minutes.
@st.composite
def quarrels(draw: st.DrawFn) -> list[SlotReport]:
    """Reports of one sensor in two streams, of which some claim the same seconds; numbers without gaps."""
    reports = []
    for stream in ("box", "clone"):
        for seq in range(draw(st.integers(1, 8))):
            slot = draw(st.sampled_from([10, 20, 60, 60, 90, 7]))
            start = NOON + draw(st.integers(0, 3)) * (slot if 60 % slot == 0 else 45)
            slots = draw(st.integers(1, 3)) if 60 % slot == 0 else 1
            observed = draw(st.lists(st.sampled_from([0, slot // 2, slot]), min_size=slots, max_size=slots))
            cells = [(0, draw(st.integers(0, 1)), 0, draw(st.integers(1, 9)))]
            reports.append(report(seq=seq, stream=stream, start=start, slot=slot, observed=observed, cells=cells))
    return reports


@few_examples
@given(data=st.data(), reports=quarrels())
def test_every_report_is_either_counted_or_in_quarantine(
    any_database: str, data: st.DataObject, reports: list[SlotReport]
) -> None:
    """Of two that claim the same seconds one is kept aside whole, and neither is asked for again.

    The rows are those of all others; no minute has more than 60 s, no span more than its length.
    """
    arrivals = data.draw(st.permutations(reports))
    cut = data.draw(st.integers(0, len(arrivals)))
    with empty(any_database) as connection:
        outcomes = [write(connection, *part) for part in (arrivals[:cut], arrivals[cut:])]
        found = stored(connection)
        again = write(connection, *arrivals)

        assert stored(connection) == found
    aside = [decode(payload) for _, _, payload in found.quarantine]
    assert_holds_without_ranges(found, [one for one in reports if one not in aside])
    assert {row[0] for row in found.quarantine.values()} <= {"second-writer"}
    assert all(seconds <= 60 for seconds in found.coverage.values())
    assert all(seconds <= end - start for (_, start, end), seconds in found.span_coverage.items())
    assert sum(outcome.stored for outcome in outcomes) + len(aside) == len(reports)
    assert (again.stored, again.duplicate) == (0, len(reports))


def assert_holds_without_ranges(store: Store, reports: Sequence[SlotReport]) -> None:
    """The sums of the reports, whatever else was received."""
    expected = Expected.of(reports)
    assert store.counts == dict(expected.counts)
    assert store.coverage == dict(expected.coverage)
    assert store.spans == dict(expected.spans)
    assert store.span_coverage == dict(expected.span_coverage)


@pytest.fixture
def connection(any_database: str) -> Iterator[Connection]:
    """A connection to a database with today's schema, on plain PostgreSQL and on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


BATCH = [
    message(report("markt-1", 0, cells=[(0, 0, 0, 3)])),
    message(report("markt-1", 1, start=NOON + 60, slot=3600, observed=[0], cells=[(0, 1, 0, 8)])),
    message(report("holzmarkt-1", 5, cells=[(0, 2, 255, 1)])),
    message(report("holzmarkt-1", 6, cells=[(0, 0, 0, 1)] * 3, observed=[10])),
    message(report("kirchplatz-1", 0), "jena-west"),
    Message("jena-sued", "markt-1", b"nonsense"),
]
"""Something for every table: minutes, a span, claims, streams, what belongs to another node, what cannot be read."""


@pytest.mark.parametrize(
    "table",
    [
        "sensor",
        "sensor_node",
        "stream",
        "count_minute",
        "coverage_minute",
        "count_span",
        "coverage_span",
        "quarantine",
    ],
)
def test_a_batch_that_fails_at_any_table_leaves_nothing(connection: Connection, table: str) -> None:
    """Whichever table the disk was full for, none has anything of the batch; written again it is all there, once."""
    write_batch(connection, [message(report("kirchplatz-1", 7, start=NOON - 60), "jena-nord")], now=NOW)
    before = stored(connection)
    connection.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'no space left on the disk' USING ERRCODE = 'disk_full'; END $$"
    )
    connection.execute(f"CREATE TRIGGER fails BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_disk()")

    with pytest.raises(psycopg.errors.DiskFull):
        write_batch(connection, BATCH, now=NOW)

    assert stored(connection) == before
    connection.execute("DROP FUNCTION full_disk CASCADE")
    outcome = write_batch(connection, BATCH, now=NOW)
    assert (outcome.stored, outcome.duplicate) == (4, 0)
    assert outcome.quarantined == {"unreadable": 1, "wrong-node": 1}
    found = stored(connection)
    assert found.counts[("markt-1", NOON, 0, 0)] == 3
    assert found.spans == {("markt-1", NOON + 60, NOON + 3660, 1, 0): 8}
    assert found.received[("kirchplatz-1", stream_of("first"))] == "{[0,1),[7,8)}"


def test_a_batch_that_fails_wakes_no_reader(connection: Connection) -> None:
    """Who listens for news hears of none that was rolled back, and of the one that was committed after it."""
    connection.execute("ALTER TABLE quarantine ADD CONSTRAINT never CHECK (false)")
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as listener:
        listener.execute("LISTEN footfall_commit")
        with pytest.raises(psycopg.errors.CheckViolation):
            write_batch(connection, BATCH, now=NOW)
        connection.execute("NOTIFY footfall_commit, 'the test'")

        assert [notify.payload for notify in listener.notifies(timeout=10, stop_after=1)] == ["the test"]


def test_what_is_in_quarantine_is_in_no_row(connection: Connection) -> None:
    """Of a batch in which every report but one is refused, the counts, seconds and directions are that one's alone."""
    write(connection, report(seq=0, slot=60, cells=[(0, 0, 0, 1)]))

    outcome = write(
        connection,
        message(report(seq=1, start=NOON, slot=60, cells=[(0, 1, 0, 50)])),  # the minute is full
        message(report(stream="other", start=NOON + 120, cells=[(0, 1, 0, 50)]), "jena-nord"),
        message(report(seq=2, start=NOON + 10 * 86_400, slot=60, cells=[(0, 1, 0, 50)])),
        message(report(seq=3, start=600, slot=60, cells=[(0, 1, 0, 50)])),
        Message("jena-sued", "markt-1", encode_cbor(report(seq=4))[:-1]),
    )

    found = stored(connection)
    assert outcome.quarantined == {"second-writer": 1, "wrong-node": 1, "impossible": 1, "too-old": 1, "unreadable": 1}
    assert (outcome.stored, outcome.rows, outcome.newest_end) == (0, 0, None)
    assert found.counts == {("markt-1", NOON, 0, 0): 1}
    assert found.coverage == {("markt-1", NOON): 60}
    assert found.directions == {"markt-1": 0b001}
    assert found.received[("markt-1", stream_of("first"))] == "{[0,4)}"
    assert found.received[("markt-1", stream_of("other"))] == "{[0,1)}"


def test_an_undirected_sensor_has_its_own_bit(connection: Connection) -> None:
    """Each direction that was ever counted, in slots or spans, sets its bit; none is ever taken back."""
    bits = []
    for seq, (direction, slot) in enumerate([(2, 10), (2, 10), (0, 7), (1, 10)]):
        write(connection, report(seq=seq, start=NOON + 600 * seq, slot=slot, cells=[(0, direction, 0, 1)]))
        bits.append(stored(connection).directions["markt-1"])
    write(connection, report(seq=9, start=NOON + 6000, cells=[]))

    assert bits == [0b100, 0b100, 0b101, 0b111]
    assert stored(connection).directions["markt-1"] == 0b111


def test_a_duplicate_of_what_is_in_quarantine_is_a_duplicate(connection: Connection) -> None:
    """A number that was refused once and marked is not judged, kept or counted again, whoever sends it."""
    refused = report(start=600, slot=60)
    write(connection, refused)
    before = stored(connection)

    outcome = write(connection, refused, message(report(start=NOON), None))

    assert (outcome.stored, outcome.duplicate, outcome.quarantined) == (0, 2, {})
    assert stored(connection) == before


def test_the_same_number_with_other_counts_is_a_duplicate(connection: Connection) -> None:
    """A report's bytes never change, so the number decides: what came first stays."""
    write(connection, report(cells=[(0, 0, 0, 3)]))
    write(connection, report(cells=[(0, 0, 0, 4)], start=NOON + 600))

    assert stored(connection).counts == {("markt-1", NOON, 0, 0): 3}


def test_two_sensors_may_use_the_same_stream_and_number(connection: Connection) -> None:
    """A stream belongs to a sensor: another one's of the same name is another stream."""
    assert write(connection, report("markt-1"), report("holzmarkt-1")).stored == 2
    assert write(connection, report("kirchplatz-1")).stored == 1


def test_no_messages_are_no_trouble(connection: Connection) -> None:
    """An empty batch writes nothing and tells nobody."""
    outcome = write(connection)

    assert (outcome.stored, outcome.duplicate, outcome.rows, dict(outcome.notices)) == (0, 0, 0, {})
    assert stored(connection) == Store()


def test_a_recovered_sum_beside_another_sensors_span_is_stored(connection: Connection) -> None:
    """A sum over minutes that were measured claims none of them, whatever another sensor of the batch has measured."""
    write(connection, report("markt-1", 0))

    outcome = write(
        connection,
        report("markt-1", 1, slot=3600, observed=[0], cells=[(0, 0, 0, 12)]),
        report("holzmarkt-1", 0, slot=3600, observed=[3600], cells=[]),
    )

    found = stored(connection)
    assert (outcome.stored, outcome.quarantined) == (2, {})
    assert found.spans == {("markt-1", NOON, NOON + 3600, 0, 0): 12}
    assert found.span_coverage == {("markt-1", NOON, NOON + 3600): 0, ("holzmarkt-1", NOON, NOON + 3600): 3600}
