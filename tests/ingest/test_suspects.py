"""Reports that have to be held against what is stored around them: spans that hang together, sums that were found."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport
from footfall_ingest import store, suspects
from footfall_ingest.flush import Outcome, write_batch
from footfall_testing.ingest_store import NOON, message, report, stored

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 40 * 86_400, UTC)


@pytest.fixture
def connection(any_database: str) -> Iterator[Connection]:
    """A connection to a database with today's schema, on plain PostgreSQL and on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


def write(connection: Connection, *reports: SlotReport) -> Outcome:
    """Write one batch of one node."""
    return write_batch(connection, [message(one) for one in reports], now=NOW)


def uplinks(number: int, first: int = 0, length: int = 900) -> list[SlotReport]:
    """Spans as a counter's uplinks make them: measured throughout, one after the other, from any second on."""
    return [
        report(seq=n, start=NOON + 5 + length * n, slot=length, observed=[length]) for n in range(first, first + number)
    ]


def test_a_counter_whose_uplinks_never_end(connection: Connection) -> None:
    """A week of spans that follow one another in the middle of a minute is stored, one by one and at once."""
    for one in uplinks(100):
        assert write(connection, one).stored == 1
    assert write(connection, *uplinks(572, first=100)).stored == 572
    again = write(connection, report(seq=672, start=NOON + 5 + 900 * 300, slot=899, observed=[1]))

    assert again.quarantined == {"second-writer": 1}


def test_slots_and_spans_of_earlier_batches_hang_together(connection: Connection) -> None:
    """A minute of slots ties a span to the one beside it, whichever of the three came last.

    12:00:00           12:01:30           12:03:00           12:04:30
    |  90 s of 90      |  80 s of 90      |  90 s of 90      |
              | 10 s of the minute |
    """
    parts = [
        report(seq=0, start=NOON, slot=90),
        report(seq=1, start=NOON + 90, slot=90, observed=[80]),
        report(seq=2, start=NOON + 180, slot=90),
        report(seq=3, start=NOON + 60, slot=10),
    ]
    for last in range(4):
        with connection.transaction(force_rollback=True):
            for one in parts:
                if one.seq != last:
                    assert write(connection, one).stored == 1
            assert write(connection, parts[last]).stored == 1
            over = write(connection, report(seq=4, start=NOON + 120, slot=1))
            assert over.quarantined == {"second-writer": 1}


# Spans and slots of which few fit: lengths and times such that they cut minutes and touch each other.
_CLAIMS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 400), st.sampled_from([7, 45, 75, 90, 150])),
        st.tuples(st.sampled_from([0, 60, 120, 180, 240, 300]), st.just(60)),
    ),
    min_size=2,
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(claims=_CLAIMS, cuts=st.lists(st.integers(0, 14), max_size=3), share=st.integers(1, 4))
def test_batches_find_what_lies_around(
    database: str, claims: list[tuple[int, int]], cuts: list[int], share: int
) -> None:
    """Which reports fit does not depend on which of them came in one batch and which were stored before."""
    reports = [
        report(
            seq=seq, start=NOON + at, slot=length, observed=[length - length // (2 * share)], cells=[(0, 0, 0, 1 + seq)]
        )
        for seq, (at, length) in enumerate(claims)
    ]
    edges = [0, *sorted(cuts), len(reports)]
    ways = [[reports], [[one] for one in reports], [reports[a:b] for a, b in pairwise(edges)]]

    results = [_result(database, way) for way in ways]

    assert results[1] == results[0]
    assert results[2] == results[0]


def _result(dsn: str, batches: Sequence[Sequence[SlotReport]]) -> Any:
    """What the batches leave in an empty store, which is empty again afterwards."""
    with psycopg.connect(dsn) as connection, connection.transaction(force_rollback=True):
        for part in batches:
            if part:
                write(connection, *part)
        return stored(connection)


def found(seq: int, count: int, *, start: int = NOON, direction: int = 0) -> SlotReport:
    """Passages of a minute that were found afterwards: nothing was measured in it."""
    return report(seq=seq, start=start, slot=60, observed=[0], cells=[(0, direction, 0, count)])


def test_what_is_found_afterwards_without_end(connection: Connection) -> None:
    """A minute takes no more than can have passed, however many reports bring them; the rest is kept aside.

    So no sum ever grows too large for its column, and no batch fails for it.
    """
    first = write(connection, *(found(n, 2000, direction=n % 3) for n in range(5)))
    second = write(connection, found(5, 1), found(6, 1, start=NOON + 60), report(seq=7, slot=60, cells=[]))

    assert (first.stored, first.quarantined) == (3, {"impossible": 2})
    assert (second.stored, second.quarantined) == (2, {"impossible": 1})
    assert sum(count for key, count in stored(connection).counts.items() if key[1] == NOON) == 6000
    detail = connection.execute("SELECT detail FROM quarantine WHERE seq = 5").fetchall()
    assert detail == [
        ("6001 passages in the minute 2026-03-01T12:00:00Z, with those that are stored, are more than 100 a second",)
    ]


def versions(connection: Connection) -> list[tuple[Any, ...]]:
    """Which transaction wrote each minute, and the hours to be summed up."""
    query = """
        SELECT 'minute', minute::text, xmin::text FROM coverage_minute
        UNION ALL SELECT 'hour', hour::text, '' FROM dirty_hour ORDER BY 1, 2
    """
    return connection.execute(query).fetchall()


@pytest.mark.parametrize("minutes", [3, 2500])
def test_silence_that_is_known_is_not_written_again(connection: Connection, minutes: int) -> None:
    """To say without end that nothing was measured costs no row; what is new in the same batch is written."""
    silence = [report(seq=n, slot=60, observed=[0] * minutes, cells=[]) for n in range(3)]
    write(connection, silence[0])
    connection.execute("DELETE FROM dirty_hour")
    before = versions(connection)

    write(connection, silence[1])
    known = versions(connection)
    longer = report(seq=3, start=NOON + 60 * (minutes - 1), slot=60, observed=[0, 0], cells=[])
    counts = report(seq=4, start=NOON + 60, slot=60, observed=[20])
    outcome = write(connection, silence[2], longer, counts, report(seq=5, start=NOON + 60, slot=60))

    assert known == before
    assert outcome.quarantined == {"second-writer": 1}
    changed = set(versions(connection)) - set(before)
    minutes_of = {int(text) * 60 - NOON for kind, text, _ in changed if kind == "minute"}
    assert minutes_of == {60, 60 * minutes}
    assert stored(connection).coverage["markt-1", NOON + 60] == 20


def test_nothing_is_looked_for_around_silence(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a report is padded with silent slots: what is read lies around what was measured."""
    asked: list[suspects.Window] = []
    real = store.measured_spans

    def spy(connection: Connection, windows: Sequence[suspects.Window], sensors: store.Sensors) -> set[store.SpanRow]:
        asked.extend(windows)
        return real(connection, windows, sensors)

    monkeypatch.setattr(store, "measured_spans", spy)

    write(
        connection,
        report(seq=0, slot=60, observed=[0] * 500, cells=[]),
        report(seq=1, start=NOON + 60_000, slot=60, observed=[0, 0, 60, 0, 5] + [0] * 500, cells=[]),
        report(seq=2, start=NOON + 200_001, slot=90, observed=[0], cells=[]),
    )

    assert asked == [(0, NOON + 60_120, NOON + 60_300)]


def test_a_batch_of_many_sensors_is_sorted_quickly() -> None:
    """What is read for all is not gone through for each: 40 000 take no time."""
    code = np.random.default_rng(1).permutation(np.repeat(np.arange(40_000), 2))
    started = time.process_time()

    found = {one: (minute, seconds) for one, minute, seconds in suspects._by_sensor(code, code * 60, code % 60)}

    assert time.process_time() - started < 1.5
    assert found == {one: ([one * 60] * 2, [one % 60] * 2) for one in range(40_000)}
    assert list(suspects._by_sensor(code[:0], code[:0], code[:0])) == []
