"""What an edge made coarser, in the store: taken whole beside what was reported before, and the sums are exact."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from footfall_edge.coarsen import MINUTE_S, QUARTER_HOUR_S
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.slots import Piece
from footfall_ingest.flush import Message, write_batch
from footfall_testing.ingest_store import stored

NOON = 1_764_072_000
SENSOR = "markt-1"
HOUR = range(360)
"""Numbers of the slots of an hour."""


@pytest.mark.parametrize("seed", range(4))
def test_ingest_takes_the_rest_of_a_time_beside_what_was_reported(tmp_path: Path, database: str, seed: int) -> None:
    """Of an hour some slots are reported as they are, some of the rest as minutes, and the rest as quarter hours.

    Nothing is quarantined, in whatever order and batches the reports come; each passage and each measured second is
    stored once. The last pieces come late, for slots that are reported already or are no more.
    """
    rng = random.Random(seed)
    reports: list[bytes] = []
    passed: Counter[tuple[int, int]] = Counter()

    def book(outbox: Outbox, n: int, measured_ms: int) -> None:
        cells = tuple((direction, 0, rng.randint(1, 9)) for direction in (0, 1) if rng.random() < 0.5)
        for direction, class_, count in cells:
            passed[direction, class_] += count
        outbox.book([Entry(SENSOR, (Piece(NOON + 10 * n, 10, measured_ms, cells),), None)])

    def report(outbox: Outbox, most: int = 1000, until: int = NOON + 86400) -> None:
        found = outbox.number(SENSOR, uuid4(), closed_until=until, every_s=10, most=most, now_s=NOON)
        reports.extend(report.payload for report in found)

    with Outbox.open(tmp_path / "outbox.sqlite") as outbox:
        measured = dict.fromkeys(HOUR, 0)
        at_first = set(rng.sample(HOUR, 250))
        for n in sorted(at_first):
            measured[n] = rng.choice([10, 10, 10, 7, 0])
            book(outbox, n, 1000 * measured[n])
        report(outbox, most=40)
        list(outbox.coarsen(MINUTE_S, lambda _: NOON + 3600, waiting=True))
        report(outbox, until=NOON + 60 * rng.randint(20, 40))
        list(outbox.coarsen(QUARTER_HOUR_S, lambda _: NOON + 3600, waiting=True))
        report(outbox, most=1)
        for n in HOUR:  # what the device had kept, and pieces of slots that are fully measured
            if n not in at_first:
                measured[n] = 10
                book(outbox, n, 10_000)
            elif measured[n] == 10:
                book(outbox, n, 0)
        report(outbox)

    batches = [reports[at::5] for at in range(5)]
    rng.shuffle(batches)
    with psycopg.connect(database, autocommit=True) as connection:
        now = datetime.fromtimestamp(NOON + 86400, UTC)
        for batch in batches:
            outcome = write_batch(connection, [Message("node-1", SENSOR, payload) for payload in batch], now=now)
            assert not outcome.unusable
        found = stored(connection)

    assert found.quarantine == {}
    assert found.spans
    assert found.counts
    counted: Counter[tuple[int, int]] = Counter()
    for (*_, direction, class_), count in (found.counts | found.spans).items():
        counted[direction, class_] += count
    assert counted == passed
    assert sum(found.coverage.values()) + sum(found.span_coverage.values()) == sum(measured.values())
    assert max(found.coverage.values()) <= 60
