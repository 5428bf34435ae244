"""A node with a valid account that does everything wrong, beside one that counts: only its own counts are harmed."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from footfall_contract.words import MAX_SLOTS
from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest.__main__ import main
from footfall_ingest.budgets import What
from footfall_ingest.judge import MAX_PASSAGES_PER_S
from footfall_testing.hostile_node import Hostile
from footfall_testing.ingest_process import command, settings_for
from footfall_testing.ingest_store import Store, stored
from footfall_testing.sender import Sender
from footfall_testing.waiting import wait_until

LIMITS = {
    "NODE_SENSORS": 20,
    "NODE_STREAMS_A_DAY": 300,
    "NODE_ROWS_A_DAY": 4000,
    "NODE_QUARANTINED": 200,
    "NODE_QUARANTINED_MB": 2,
}
"""Of `[rules]`: what a hostile node has used up within seconds, and the honest one never does."""

QUEUE = 1500

WAITING = "footfall_ingest_queue_messages"

HONEST: dict[str, Any] = {"sensors": 6, "number": 150, "every_s": 0.05, "seed": 3}


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker on which what is retained is this test's."""
    with Broker(tmp_path / "broker", kind="mosquitto") as broker:
        yield broker


def one(connection: psycopg.Connection[Any], query: str, *values: object) -> Any:
    """The only value that a query has."""
    return connection.execute(query, values).fetchall()[0][0]  # type: ignore[arg-type]


def of(node: str, rows: Mapping[Any, Any]) -> dict[Any, Any]:
    """Those whose sensor has the name of the node."""
    return {key: value for key, value in rows.items() if key[0].startswith(f"{node}-")}


@pytest.mark.timeout(900)
def test_a_hostile_node_harms_only_its_own_counts(
    own_broker: Broker,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It floods with all it can think of while an honest node counts. Then it is cleaned up after.

    The honest node's reports are all stored, once, and none is in quarantine. What the hostile one has brought is
    within its budgets, in every table; that something was refused is shown. Taken out again, with the commands of an
    operator, nothing is left of it but closed rows of the quarantine.
    """
    port = free_port()
    words, environment = command(settings_for(own_broker, database, "ingest"), tmp_path)
    environment |= {f"FOOTFALL_RULES__{name}": str(limit) for name, limit in LIMITS.items()}
    environment |= {"FOOTFALL_FLUSH__QUEUE": str(QUEUE), "FOOTFALL_METRICS__PORT": str(port)}
    environment |= {"FOOTFALL_FLUSH__MAX_REPORTS": "300"}
    with (tmp_path / "ingest.log").open("wb") as log:
        program = subprocess.Popen(words, env=environment, stderr=log)
    try:
        with Sender(own_broker, "good", **HONEST) as honest:
            # Its sensors are its own before anybody else names them.
            wait_until(
                lambda: honest.notices and honest.notices[-1].sensors.keys() == honest.reports.keys(),
                timeout=200,
                what="the honest node's sensors to be known",
            )
            with Hostile(own_broker, "bad", "good-0"), psycopg.connect(database) as holding:
                # For a while nobody can write, so that more comes than is taken.
                holding.execute("LOCK TABLE stream IN ACCESS EXCLUSIVE MODE")
                wait_until(
                    lambda: figures(port)["footfall_ingest_queue_messages"] >= QUEUE, timeout=200, what="a flood"
                )
                holding.rollback()
                wait_until(lambda: honest.settled, timeout=300, what="every honest report to be stored")
                wait_until(lambda: refused(database).keys() == set(What), timeout=300, what="all budgets to be used")
                told = figures(port)
    finally:
        program.terminate()
        program.wait(60)

    with psycopg.connect(database, autocommit=True) as connection:
        before = stored(connection)
        assert_honest(before, honest)
        assert_within_budgets(connection)
        assert told["footfall_ingest_messages_over_budget_total"] > 100
        lines = (tmp_path / "ingest.log").read_text().splitlines()
        assert len(lines) < 100
        assert any("refused, and not marked received" in line and "node=bad" in line for line in lines)

        monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
        assert main(["quarantine", "list", "--node", "bad"]) == 0
        said = capsys.readouterr().out
        for number in refused(database).values():
            assert f"{number} messages of node bad were refused in the last 7 days" in said
        assert main(["sensor", "forget", "--node", "bad", "--yes"]) == 0
        assert main(["quarantine", "close", "--node", "bad", "--why", "its account was stolen"]) == 0

        after = stored(connection)
        assert set(after.directions) == set(honest.reports)
        assert (after.counts, after.coverage) == (of("good", before.counts), of("good", before.coverage))
        assert (after.spans, after.span_coverage) == ({}, {})
        assert list(after.received.values()) == [f"{{[0,{HONEST['number']})}}"] * len(honest.reports)
        assert one(connection, "SELECT count(*) FROM sensor_state") == 0
        assert one(connection, "SELECT count(*) FROM quarantine WHERE closed_at IS NULL") == 0


def refused(dsn: str) -> dict[str, int]:
    """How many messages of `bad` were refused, by budget."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT what, sum(refused)::int FROM node_day WHERE node = 'bad' AND refused > 0 GROUP BY what"
        return dict(connection.execute(query).fetchall())


def assert_honest(store: Store, honest: Sender) -> None:
    """Everything of the honest node is stored, once, in the order of its numbers; nothing of it was kept or refused."""
    assert sum(of("good", store.counts).values()) == honest.truth
    whole = f"{{[0,{HONEST['number']})}}"
    for sensor, reports in honest.reports.items():
        assert store.received[sensor, reports[0].stream] == whole
        assert (sensor, "good") in store.claims
    assert {node for node, _, _ in store.quarantine} == {"bad"}


def assert_within_budgets(connection: psycopg.Connection[Any]) -> None:
    """In no table is there more of the hostile node than it may bring."""
    days = one(connection, "SELECT count(DISTINCT day) FROM node_day WHERE node = 'bad'")
    assert one(connection, "SELECT count(*) FROM sensor WHERE made_by = 'bad'") == LIMITS["NODE_SENSORS"]
    # Of its own, and of as many others.
    assert one(connection, "SELECT count(*) FROM sensor_state WHERE node = 'bad'") <= 2 * LIMITS["NODE_SENSORS"]
    assert one(connection, "SELECT count(*) FROM stream WHERE node = 'bad'") <= days * LIMITS["NODE_STREAMS_A_DAY"]
    assert one(connection, f"SELECT {' + '.join(map(late, LATE))}") <= days * LIMITS["NODE_ROWS_A_DAY"]
    # Two days back, and as far ahead as a report of silent minutes reaches.
    fresh = "SELECT count(*) FROM coverage_minute WHERE minute >= minute_of(now() - interval '2 days')"
    assert one(connection, fresh) <= LIMITS["NODE_SENSORS"] * (2 * 1440 + MAX_SLOTS + 60)
    assert one(connection, "SELECT count(*) FROM quarantine WHERE closed_at IS NULL") <= LIMITS["NODE_QUARANTINED"]
    size = one(connection, "SELECT sum(length(payload)) FROM quarantine WHERE closed_at IS NULL")
    assert size <= LIMITS["NODE_QUARANTINED_MB"] * 1024 * 1024
    most = "SELECT max(sum) FROM (SELECT sum(count) FROM count_minute GROUP BY sensor, minute) AS minute"
    assert one(connection, most) <= MAX_PASSAGES_PER_S * 60
    assert connection.execute("SELECT DISTINCT node FROM node_day WHERE refused > 0").fetchall() == [("bad",)]


LATE = {
    "count_minute": "minute < minute_of(now() - interval '2 days')",
    "coverage_minute": "minute < minute_of(now() - interval '2 days')",
    "count_span": "true",
    "coverage_span": "true",
}


def late(table: str) -> str:
    """The rows of a table that count as late, of sensors that `bad` made."""
    return f"(SELECT count(*) FROM {table} JOIN sensor ON key = sensor WHERE made_by = 'bad' AND {LATE[table]})"


def figures(port: int) -> dict[str, float]:
    """Every metric, labels added up."""
    found: dict[str, float] = {}
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found
