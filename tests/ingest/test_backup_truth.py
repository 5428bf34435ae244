"""What a database has counted, as sums: removal and roll-up change none, and what is less is found."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_ingest import invariants
from footfall_ingest.backup_truth import Truth, different, missing, outside, ranges, truth
from footfall_ingest.flush import write_batch
from footfall_ingest.retention import remove
from footfall_ingest.rollup import roll_up
from footfall_testing.databases import DatabaseServer
from footfall_testing.ingest_store import message, report

Connection = psycopg.Connection[Any]

DAY = 86_400
OLD = int(datetime(2020, 3, 5, 12, tzinfo=UTC).timestamp())
NOW = datetime.fromtimestamp(OLD + 90 * DAY, UTC)
"""Minutes are kept for 60 days: those of the first 30 go."""

numbers = st.sets(st.integers(0, 40))


def quiet(_what: str, _done: int, _of: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def connection(any_database: str) -> Iterator[Connection]:
    """A connection to a database with today's schema, on plain PostgreSQL and on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


def as_ranges(found: set[int]) -> list[tuple[int, int]]:
    """The ranges of some numbers, ascending and apart."""
    ends: list[tuple[int, int]] = []
    for number in sorted(found):
        low = ends.pop()[0] if ends and ends[-1][1] == number else number
        ends.append((low, number + 1))
    return ends


@given(wanted=numbers, here=numbers)
def test_numbers_that_are_in_no_range_are_counted(wanted: set[int], here: set[int]) -> None:
    """The same as with sets."""
    assert outside(as_ranges(wanted), as_ranges(here)) == len(wanted - here)


def test_ranges_are_read_as_postgresql_writes_them() -> None:
    """Also none, and large ones; what has no end is a fault that others report."""
    assert ranges("{}") == []
    assert ranges("{[0,12),[14,9223372036854775807)}") == [(0, 12), (14, 9223372036854775807)]
    assert ranges("{[0,12),[14,)}") == [(0, 12)]


sums = st.dictionaries(st.sampled_from(["0/0", "1/0"]), st.integers(1, 5), min_size=1)
by_month = st.dictionaries(st.sampled_from(["2026-01", "2026-02"]), sums, min_size=1)
truths = st.builds(
    Truth,
    passages=st.dictionaries(st.sampled_from("ab"), by_month),
    measured_s=st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.just("2026-01"), st.integers(0, 5))),
    received=st.dictionaries(
        st.sampled_from("ab"),
        st.dictionaries(
            st.sampled_from("xy"),
            numbers.map(lambda found: f"{{{','.join(f'[{low},{high})' for low, high in as_ranges(found))}}}"),
        ),
    ),
)


@given(wanted=truths, here=truths)
def test_what_is_less_is_said_and_nothing_else(wanted: Truth, here: Truth) -> None:
    """A sensor's sentence about passages names by how many they are less, over all sums that are."""
    said = missing(wanted, here)

    for sensor in "ab":
        less = sum(
            max(0, number - here.passages.get(sensor, {}).get(month, {}).get(cell, 0))
            for month, cells in wanted.passages.get(sensor, {}).items()
            for cell, number in cells.items()
        )
        mine = [line for line in said if line.startswith(f"{sensor}: ") and "passages" in line]
        assert mine == [line for line in mine if line.startswith(f"{sensor}: {less} passages")]
        assert bool(mine) == (less > 0)
    assert bool(missing(wanted, here) or missing(here, wanted)) == bool(different(wanted, here))
    assert different(here, here) == []


def test_a_stream_that_went_on_does_not_stand_in_for_what_is_lost() -> None:
    """As many reports as the backup has, but others: two are missing, and the sentence says of which stream."""
    then = Truth(passages={}, measured_s={}, received={"markt-1": {"x": "{[0,10)}"}})
    now = Truth(passages={}, measured_s={}, received={"markt-1": {"x": "{[0,8),[10,12)}"}})

    (said,) = missing(then, now)

    assert said.startswith("markt-1: 2 received reports that the backup has are missing, most of them in stream x: it ")
    assert said.endswith("has 10 and here are 8")


def minute(at: int, seq: int, count: int, sensor: str = "markt-1") -> Any:
    """A report of a whole minute, `at` seconds after `OLD`."""
    return message(report(sensor, seq, start=OLD + at, slot=60, observed=[60], cells=[(0, 0, 0, count)]))


def test_summing_up_and_removing_minutes_changes_no_sum_and_breaks_no_rule(connection: Connection) -> None:
    """Also where an hour was cut, and where a late report came for a time whose minutes are gone."""
    connection.execute("INSERT INTO station (id, name, timezone, longitude, latitude) VALUES ('m', 'm', 'UTC', 11, 50)")
    write_batch(connection, [minute(day * DAY, day, day + 1) for day in range(0, 60, 5)], now=NOW)
    write_batch(connection, [minute(60 * at, at, 2, "holz-1") for at in range(200) if at != 5], now=NOW)
    connection.execute(
        "INSERT INTO installation (sensor, station, valid_from, role) "
        "SELECT key, 'm', to_timestamp(%s), 'part' FROM sensor WHERE id = 'holz-1'",
        [OLD + 30 * 60],
    )
    seen = [truth(connection, quiet)]
    sound = [invariants.faults(connection, quiet)]

    def look() -> None:
        seen.append(truth(connection, quiet))
        sound.append(invariants.faults(connection, quiet))

    roll_up(connection, NOW)
    look()
    while remove(connection, NOW, 60).moved:
        look()
    (left,) = connection.execute("SELECT count(*) FROM coverage_minute").fetchall()[0]
    late = [minute(at, 1000 + at, 3, sensor) for at, sensor in ((7200, "holz-1"), (300, "holz-1"), (0, "markt-1"))]
    write_batch(connection, late, now=NOW)
    look()
    before_summing = truth(connection, quiet)
    roll_up(connection, NOW)
    look()

    assert left < 12 + 199
    assert sound == [[] for _ in sound]
    assert seen[:-2] == [seen[0]] * (len(seen) - 2)
    assert seen[0].total == sum(range(1, 60, 5)) + 398
    assert seen[-2:] == [before_summing, before_summing]
    assert before_summing.total == seen[0].total + 9
    assert missing(seen[0], before_summing) == []


def test_a_month_and_a_span_have_their_place(connection: Connection) -> None:
    """A span belongs to the month it begins in; months are UTC's; a direction and class is a sum of its own."""
    end = int(datetime(2020, 4, 1, tzinfo=UTC).timestamp())
    span = report("s", 0, start=end - 90, slot=3600, observed=[10], cells=[(0, 1, 2, 7)])
    first = report("s", 1, start=end - 10, cells=[(0, 0, 0, 1)])
    second = report("s", 2, start=end, cells=[(0, 0, 0, 2)])
    write_batch(connection, [message(one) for one in (span, first, second)], now=NOW)

    found = truth(connection, quiet)

    assert found.passages == {"s": {"2020-03": {"0/0": 1, "1/2": 7}, "2020-04": {"0/0": 2}}}
    assert found.measured_s == {"s": {"2020-03": 20, "2020-04": 10}}
    assert list(found.received["s"].values()) == ["{[0,3)}"]


FAULTS = [
    ("UPDATE count_hour SET count = count + 1", "markt-1: 1 hours have sums that are not those of their minutes"),
    ("DELETE FROM coverage_hour", "markt-1: 1 hours have sums that are not those of their minutes"),
    ("DELETE FROM coverage_hour", "markt-1: 1 hours have passages and nothing says for how long"),
    ("UPDATE count_minute SET count = 3", "markt-1: 1 hours have sums that are not those of their minutes"),
    ("UPDATE coverage_minute SET observed_s = 61", "markt-1: 1 minutes have more than 60 measured seconds"),
    ("DELETE FROM coverage_minute", "markt-1: 1 minutes have passages and nothing says for how long"),
    ("UPDATE count_minute SET count = 0", "markt-1: 1 minutes, hours or spans count less than one passage"),
    ("UPDATE store SET minutes_from = '2021-01-01 00:00Z'", "markt-1: 1 minutes are there although those of that"),
    ("UPDATE coverage_hour SET observed_s = 70", "markt-1: 1 hours do not begin with an hour, or have seconds that"),
    ("UPDATE coverage_hour SET bucket = bucket + interval '1 s'", "markt-1: 1 hours do not begin with an hour"),
    ("DELETE FROM coverage_span", "markt-1: 1 spans have passages and nothing says for how long"),
    ("UPDATE coverage_span SET observed_s = 3601", "markt-1: 1 spans are longer than 31 days, or more of their"),
    ("UPDATE coverage_span SET ends = ends + interval '32 days'", "markt-1: 1 spans are longer than 31 days"),
    ("UPDATE count_span SET sensor = 99", "sensor number 99: 1 minutes, hours or spans are of a sensor that is not"),
    ("UPDATE coverage_minute SET sensor = 99", "sensor number 99: 1 minutes, hours or spans are of a sensor that is"),
    ("UPDATE sensor SET directions = 2", "markt-1: 3 minutes, hours or spans have passages in a direction"),
    ("UPDATE stream SET received = '{[-1,2)}'", "markt-1: what was received of the stream"),
    ("UPDATE stream SET received = '{[0,)}'", "markt-1: what was received of the stream"),
    (
        "UPDATE stream SET received = (SELECT range_agg(int8range(2 * n, 2 * n + 1)) FROM generate_series(0, 64) AS n)",
        "markt-1: what was received of the stream",
    ),
    (
        """INSERT INTO quarantine
               (reason, detail, sensor, stream, seq, payload, content, first_seen, last_seen, holds_number)
           SELECT 'too-old', '', 'markt-1', stream, 7, '', '', now(), now(), true FROM stream""",
        "markt-1: the report 7 of the stream",
    ),
    ("UPDATE store SET epoch = gen_random_uuid()", "the epoch in force"),
    ("DELETE FROM store", "the table store has 0 rows instead of one"),
    ("UPDATE store SET minutes_from = '2020-01-01 00:30Z'", "minutes were removed before 2020-01-01 00:30:00+00"),
    ("INSERT INTO dirty_hour VALUES (99, '2020-01-01 00:00Z')", "1 hours are to be summed up that do not begin with"),
]


@pytest.fixture(scope="module")
def unguarded(postgres_server: DatabaseServer, postgres_template: str) -> Iterator[Connection]:
    """A store with a minute and a span, summed up, in which nothing keeps anybody from writing nonsense."""
    name = f"footfall_{secrets.token_hex(6)}"
    try:
        dsn = postgres_server.create(name, postgres_template)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                """
                DO $$ DECLARE part record; BEGIN
                    FOR part IN SELECT conrelid::regclass AS tab, conname FROM pg_constraint WHERE contype = 'c'
                        AND connamespace = 'public'::regnamespace
                    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', part.tab, part.conname); END LOOP;
                END $$
                """
            )
            span = report("markt-1", 1, start=OLD + 7201, slot=3600, observed=[10], cells=[(0, 0, 0, 7)])
            write_batch(connection, [minute(0, 0, 2), message(span)], now=NOW)
            roll_up(connection, NOW)
            yield connection
    finally:
        postgres_server.drop(name)


@pytest.mark.parametrize(("broken", "said"), FAULTS)
def test_what_is_broken_is_said(unguarded: Connection, broken: str, said: str) -> None:
    """A sentence for it; before, there was none."""
    with unguarded.transaction(force_rollback=True):
        before = invariants.faults(unguarded, quiet)
        unguarded.execute(broken)  # type: ignore[call-overload]
        found = invariants.faults(unguarded, quiet)

    assert before == []
    assert [line for line in found if line.startswith(said)], found


def test_hours_that_wait_are_a_remark_and_no_fault(database: str) -> None:
    """Nobody summed up what came: the answers are right all the same."""
    with psycopg.connect(database, autocommit=True) as connection:
        write_batch(connection, [minute(0, 0, 2)], now=NOW)

        assert invariants.faults(connection, quiet) == []
        assert invariants.remarks(connection)[0].startswith("1 hours of sensors wait to be summed up for more than")
        roll_up(connection, NOW)
        assert invariants.remarks(connection) == []
