"""The ledger finds what is missing and what is too much, cell by cell."""

import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from footfall_sim.protocol import Interval, Number
from footfall_sim.truth import TruthLog
from footfall_soak.ledger import Truths, compare, overfull, quarantined, stored
from footfall_soak.soak import alarming
from footfall_testing.city import City

NOON = 1_772_366_400.0
AT_NOON = datetime.fromtimestamp(NOON, UTC)


def test_what_agrees_is_balanced() -> None:
    """Every passage is stored, or was never reported."""
    cells = {("a", 0, 0): 5, ("b", 1, 2): 7}
    balance = compare(cells, dict(cells), {("a", 0, 0): 2})

    assert (balance.passages, balance.stored, balance.never_reported) == (14, 12, 2)
    assert (balance.lost, balance.double, balance.differences) == (0, 0, [])


def test_a_loss_is_never_set_off_against_a_double() -> None:
    """One passage too few in one cell and one too many in another are two faults, though the sums agree."""
    balance = compare({("a", 0, 0): 5, ("a", 0, 1): 5}, {("a", 0, 0): 4, ("a", 0, 1): 6}, {})

    assert balance.stored == balance.passages
    assert (balance.lost, balance.double) == (1, 1)
    assert [one.cell for one in balance.differences] == [("a", 0, 0), ("a", 0, 1)]


@pytest.mark.parametrize(
    ("true", "found", "lost", "double"),
    [({("a", 0, 0): 3}, {}, 3, 0), ({}, {("a", 0, 0): 3}, 0, 3), ({("a", 0, 0): 3}, {("b", 0, 0): 3}, 3, 3)],
)
def test_a_cell_that_only_one_side_has(
    true: dict[tuple[str, int, int], int], found: dict[tuple[str, int, int], int], lost: int, double: int
) -> None:
    """It counts with all it has."""
    balance = compare(true, found, {})

    assert (balance.lost, balance.double) == (lost, double)


def test_the_store_is_read_with_minutes_and_spans(database: str) -> None:
    """Both count; a row that is taken out or added shows in its own cell."""
    city = City(database)
    with city.connection:
        city.counter("markt")
        key = city.connection.execute("SELECT key FROM sensor WHERE id = 'markt-1'").fetchone()
        assert key is not None
        city.minutes(key[0], AT_NOON, 2, {0: 5, 1: 1})
        city.span(key[0], AT_NOON, datetime.fromtimestamp(NOON + 90, UTC), {0: 4})
        true = {("markt-1", 0, 0): 14, ("markt-1", 1, 0): 2}
        assert compare(true, stored(city.connection), {}).differences == []

        city.connection.execute("UPDATE count_span SET count = 3")
        city.connection.execute(
            "UPDATE count_minute SET count = 3 WHERE direction = 1 AND minute = minute_of(%s)", [AT_NOON]
        )
        balance = compare(true, stored(city.connection), {})
        assert (balance.lost, balance.double) == (1, 2)
        assert stored(city.connection, datetime.fromtimestamp(NOON - 1, UTC)) == {}
        assert overfull(city.connection) == quarantined(city.connection) == []


def test_quarantine_is_shown(database: str) -> None:
    """With reason, sensor and number."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO quarantine (reason, detail, node, sensor, seq, payload, content, first_seen, last_seen)"
            " VALUES ('impossible', 'too many', 'n', 's', 4, '', '', now(), now())"
        )
        assert quarantined(connection) == ["impossible: n/s number 4, 1 times: too many"]


def test_a_milestone_is_what_had_been_seen_by_then(tmp_path: Path) -> None:
    """Later passages are not in it; what a power failure takes afterwards drops out of it."""
    log = TruthLog(tmp_path / "a")
    truths = Truths({"a": tmp_path / "a"})
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 0), (NOON + 2, 0, 1)])
    log.closed([Interval(Number(1, 0), 0, 0, 10_000, ((0, 0, 1), (0, 1, 1)))], NOON + 10)
    log.passages([(NOON + 11, 1, 0)])
    milestone = truths.milestone("a")
    log.passages([(NOON + 12, 1, 0), (NOON + 12, 0, 0)])
    assert milestone.cells() == {("a", 0, 0): 1, ("a", 0, 1): 1, ("a", 1, 0): 1}

    log.boot(7, 2, {(0, 0): 1, (0, 1): 1}, NOON + 14)
    log.close()
    assert truths.never_reported() == {("a", 1, 0): 2, ("a", 0, 0): 1}
    assert milestone.cells() == {("a", 0, 0): 1, ("a", 0, 1): 1}
    assert truths.milestone("a").cells() == {("a", 0, 0): 1, ("a", 0, 1): 1}
    assert truths.reported() == {("a", 0, 0): 1, ("a", 0, 1): 1}


def test_alarms_of_a_log() -> None:
    """A traceback is named by what was raised, a panic of the database by its line; the rest is nobody's business."""
    log = (
        "2026-01-01T00:00:00Z WARNING x the database does not answer\n"
        "Traceback (most recent call last):\n"
        '  File "x.py", line 1, in <module>\n'
        "    boom()\n"
        "ValueError: boom\n"
        "2026-01-01 00:00:00.000 UTC [1] PANIC:  could not write\n"
        f"{json.dumps({'harmless': True})}\n"
    )

    assert alarming(log) == ["traceback: ValueError: boom", "2026-01-01 00:00:00.000 UTC [1] PANIC:  could not write"]
