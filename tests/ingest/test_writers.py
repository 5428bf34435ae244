"""Several writers at once on one database: the rows of one, and no deadlock."""

import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from footfall_contract import topics
from footfall_ingest.commands import RefusedError
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.judge import Rules
from footfall_ingest.quarantine import Selection, close, reopen, retry_all, selected
from footfall_ingest.states import StateMessage, write_states
from footfall_testing.ingest_store import NOON, Store, message, report, stored
from footfall_testing.newer_reports import newer

NOW = datetime.fromtimestamp(NOON + 86_400, UTC)
RULES = Rules()


def at_the_same_time(dsn: str, *works: Callable[[psycopg.Connection[Any]], object]) -> list[str]:
    """Do each of `works` in a thread with a connection of its own; the SQLSTATEs of those that failed."""
    begin = threading.Barrier(len(works))
    failed: list[str] = []

    def one(work: Callable[[psycopg.Connection[Any]], object]) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            begin.wait()
            try:
                work(connection)
            except psycopg.Error as error:
                failed.append(f"{error.sqlstate} {error}")

    threads = [threading.Thread(target=one, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def writing(batches: Sequence[Sequence[Message]]) -> Callable[[psycopg.Connection[Any]], object]:
    """The work of writing `batches` one after another."""
    return lambda connection: [write_batch(connection, batch, now=NOW) for batch in batches]


def all_messages(rng: random.Random) -> list[Message]:
    """Reports of many sensors, each with time of its own, spans, some too old, unreadable ones of all kinds."""
    messages = []
    for place in range(12):
        sensor = f"s-{place}"
        for seq in range(8):
            start = NOON + 600 * seq
            slot = rng.choice([10, 60, 600])
            cells = [(0, rng.randrange(3), 0, rng.randrange(1, 9))]
            messages.append(message(report(sensor, seq, start=start, slot=slot, cells=cells)))
        messages.append(message(report(sensor, 8, stream="old", start=600, cells=[(0, 0, 0, place + 1)])))
        messages.append(Message("jena-sued", sensor, newer(report(sensor, 9, stream="new"))))
    messages += [Message(f"node-{n % 5}", f"s-{n}", f"junk {n}".encode()) for n in range(60)]
    return messages


def without_arrival(store: Store) -> dict[str, Any]:
    """What does not depend on how often and in which order messages came."""
    kept = {key: row[:-1] for key, row in store.quarantine.items()}
    return {**{name: getattr(store, name) for name in store.__dataclass_fields__}, "quarantine": kept}


@pytest.mark.parametrize("seed", range(3))
def test_two_writers_with_the_same_messages_give_the_rows_of_one(any_database: str, seed: int) -> None:
    """Overlapping random batches on two connections: each passage once, each unusable message once, no deadlock."""
    rng = random.Random(seed)
    messages = all_messages(rng)

    def batches() -> list[list[Message]]:
        mine = rng.sample(messages, len(messages))
        return [mine[at : at + 40] for at in range(0, len(mine), 40)]

    with psycopg.connect(any_database) as one, one.transaction(force_rollback=True):
        write_batch(one, messages, now=NOW)
        expected = without_arrival(stored(one))

    failed = at_the_same_time(any_database, writing(batches()), writing(batches()))

    assert failed == []
    with psycopg.connect(any_database) as connection:
        found = stored(connection)
        assert without_arrival(found) == expected
        times = connection.execute("SELECT sum(times) FROM quarantine WHERE stream IS NULL").fetchone()
        assert times == (120,)


def test_the_unusable_in_opposite_orders_is_no_deadlock(database: str) -> None:
    """Two writers keep the same unreadable messages, one from the last to the first, again and again."""
    junk = [Message("jena-sued", "markt-1", f"junk {n}".encode()) for n in range(300)]

    failed = at_the_same_time(database, writing([junk] * 6), writing([junk[::-1]] * 6))

    assert failed == []
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*), min(times), max(times) FROM quarantine").fetchall() == [
            (300, 12, 12)
        ]


def test_states_in_opposite_orders_are_no_deadlock(database: str) -> None:
    """Statuses, healths and what is neither, of the same nodes, by two writers in opposite orders."""
    states = [
        StateMessage(topics.parse(topic), f"no state {n}".encode() if n % 3 else b"{}", retained=False)
        for n in range(100)
        for topic in (topics.status(f"node-{n}"), topics.health(f"node-{n}", f"s-{n}"))
    ]
    work = [
        lambda connection, mine=mine: [write_states(connection, mine, now=NOW) for _ in range(5)]
        for mine in (states, states[::-1])
    ]

    assert at_the_same_time(database, *work) == []


def test_operators_and_writers_do_not_wait_in_a_circle(database: str) -> None:
    """While the same messages come again, they are retried, closed and opened in all orders."""
    messages = all_messages(random.Random(9))
    with psycopg.connect(database, autocommit=True) as connection:
        write_batch(connection, messages, now=NOW)
        rows = [row for row in selected(connection, Selection(reason=["unreadable"])) if row % 3]

    def decide(connection: psycopg.Connection[Any]) -> None:
        for _ in range(8):
            close(connection, rows[::-1], why="a test", who="nobody")
            reopen(connection, rows)

    failed = at_the_same_time(
        database,
        writing([messages[::-1]] * 6),
        writing([messages] * 6),
        lambda connection: [retry_all(connection, Selection(reason=["too-old"]), rules=RULES) for _ in range(3)],
        lambda connection: [retry_all(connection, Selection(sensor=["s-1"]), rules=RULES) for _ in range(3)],
    )
    failed_deciding = at_the_same_time(
        database, writing([messages[:80]] * 3), writing([messages[80::-1]] * 3), _patient(decide)
    )

    assert failed == []
    assert [state for state in failed_deciding if state.startswith("40")] == []


def _patient(decide: Callable[[psycopg.Connection[Any]], object]) -> Callable[[psycopg.Connection[Any]], object]:
    """A junk message that comes again opens its row: then `decide` is refused, which is right, and all is well."""

    def work(connection: psycopg.Connection[Any]) -> None:
        try:
            decide(connection)
        except RefusedError:
            return

    return work
