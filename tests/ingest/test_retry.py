"""What was quarantined is handled again and counted exactly once, whoever tries, however often, whatever dies."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport, encode_json
from footfall_ingest.flush import Message, Outcome, write_batch
from footfall_ingest.forget import forget
from footfall_ingest.judge import Rules
from footfall_ingest.quarantine import Selection, retry_all, retry_unreadable, selected
from footfall_ingest.retry import Became, Retried, retry
from footfall_testing.ingest_store import NOON, message, report, stored, stream_of
from footfall_testing.newer_reports import learn, newer

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 3600, UTC)
RULES = Rules()


@pytest.fixture
def connection(any_database: str) -> Iterator[Connection]:
    """A connection to a database with today's schema, on plain PostgreSQL and on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


def write(connection: Connection, *messages: Message | SlotReport, rules: Rules = RULES) -> Outcome:
    """Write a batch; a report comes from jena-sued on its own topic."""
    batch = [message(one) if isinstance(one, SlotReport) else one for one in messages]
    return write_batch(connection, batch, now=NOW, rules=rules)


def belongs(connection: Connection, sensor: str, node: str, since: int) -> None:
    """From `since` on `sensor` is `node`'s."""
    connection.execute(
        "INSERT INTO sensor_node (sensor, node, valid_from) SELECT key, %s, to_timestamp(%s) FROM sensor WHERE id = %s",
        [node, since, sensor],
    )


def retry_only(connection: Connection, **options: Any) -> Retried:
    """Retry the only open row."""
    (row,) = selected(connection, Selection())
    return retry(connection, row, **options)


def closings(connection: Connection) -> list[tuple[Any, ...]]:
    """How each row was closed, whether it holds its number, and how often its message came."""
    query = "SELECT closed_at IS NOT NULL, closed_how, holds_number, times FROM quarantine ORDER BY first_seen"
    return connection.execute(query).fetchall()


def test_a_report_is_counted_although_its_number_was_received(connection: Connection) -> None:
    """The sensor had moved, and the store learnt it too late: after that its report counts, once.

    Sent again by the edge it is a duplicate: it does not come back to quarantine, and the row stays closed.
    """
    write(connection, report(seq=0))
    moved = message(report(stream="new", seq=0, start=NOON + 60, cells=[(0, 1, 0, 7)]), "jena-nord")
    outcome = write(connection, moved)
    assert outcome.quarantined == {"wrong-node": 1}
    assert retry_only(connection).became is Became.KEPT
    belongs(connection, "markt-1", "jena-nord", NOON + 60)
    before = stored(connection)
    assert before.received["markt-1", stream_of("new")] == "{[0,1)}"

    assert retry_only(connection).became is Became.COUNTED
    again = write(connection, moved)

    found = stored(connection)
    assert found.counts == {("markt-1", NOON, 0, 0): 1, ("markt-1", NOON + 60, 1, 0): 7}
    assert found.coverage == {("markt-1", NOON): 10, ("markt-1", NOON + 60): 10}
    assert found.directions == {"markt-1": 0b11}
    assert found.received == before.received
    assert (again.stored, again.duplicate, again.quarantined) == (0, 1, {})
    assert closings(connection) == [(True, "counted", False, 1)]
    assert list(selected(connection, Selection())) == []


def test_a_retry_shows_to_who_keeps_answers_and_wakes_who_listens(connection: Connection) -> None:
    """The stream is touched although nothing of it is newly received, and readers are told."""
    write(connection, message(report(seq=0), "jena-sued"), message(report(stream="b", start=NOON + 60), "jena-nord"))
    belongs(connection, "markt-1", "jena-nord", NOON + 60)
    touched = connection.execute("SELECT max(touched) FROM stream WHERE node = 'jena-nord'").fetchone()
    connection.execute("LISTEN footfall_commit")

    assert retry_only(connection).became is Became.COUNTED

    assert connection.execute("SELECT max(touched) FROM stream WHERE node = 'jena-nord'").fetchone() > touched
    assert [notify.channel for notify in connection.notifies(timeout=10, stop_after=1)] == ["footfall_commit"]


def test_a_forgotten_sensor_does_not_come_back_by_what_cannot_be_used(connection: Connection) -> None:
    """Nor by what its node has no budget for: it is made for a report that counts, in the name of its node."""
    spoiled = json.dumps({**json.loads(encode_json(report("x-1", 3))), "track": 1}).encode()
    future, wrong = report("x-1", 1, start=NOON + 90_000), message(report("x-1", 2), "bad", sensor="x-2")
    sound = message(report("y-1", 0, start=NOON + 60), "bad")
    write(connection, message(future, "bad"), wrong, Message("bad", "x-1", spoiled))
    write(connection, sound, rules=replace(RULES, first_node_owns=False))
    for sensor in ("x-1", "y-1"):
        forget(connection, sensor)

    none = retry_all(connection, Selection(), rules=replace(RULES, node_sensors=0))
    left = connection.execute("SELECT id FROM sensor").fetchall()
    some = retry_all(connection, Selection(), rules=RULES)

    assert (none.became, left) == ({"kept": 4}, [])
    assert some.became == {"kept": 3, "counted": 1}
    assert connection.execute("SELECT id, made_by FROM sensor").fetchall() == [("y-1", "bad")]
    assert connection.execute("SELECT count(*) FROM quarantine WHERE holds_number").fetchall() == [(0,)]


def test_what_still_cannot_be_used_stays_with_its_new_reason(connection: Connection) -> None:
    """The node is right now, but meanwhile another has measured that minute: wrong-node becomes second-writer."""
    write(connection, report(seq=0, slot=60))
    write(connection, message(report(stream="b", start=NOON + 60, slot=60), "jena-nord"))
    write(connection, report(seq=1, start=NOON + 60, slot=60))
    belongs(connection, "markt-1", "jena-nord", NOON + 60)

    found = retry_only(connection)

    assert (found.became, found.reason) == (Became.KEPT, "second-writer")
    assert found.detail == "120 s would be measured in the minute 2026-03-01T12:01:00Z"
    assert closings(connection) == [(False, None, True, 1)]
    assert connection.execute("SELECT reason, detail FROM quarantine").fetchall() == [("second-writer", found.detail)]


def test_the_future_does_not_become_right_by_waiting(connection: Connection) -> None:
    """A clock that was wrong when its report came is wrong later too; unless it was the server's."""
    write(connection, report(start=NOON + 7200))

    first, second = retry_only(connection), retry_only(connection, as_of=datetime.now(UTC))

    assert (first.became, first.reason) == (Became.KEPT, "impossible")
    assert second.became is Became.COUNTED
    assert stored(connection).counts == {("markt-1", NOON + 7200, 0, 0): 1}


def test_todays_rules_count(connection: Connection) -> None:
    """What was too old under the rules of then is counted under those of today."""
    late = Rules(oldest=NOON + 60)
    write(connection, report(), rules=late)

    assert retry_only(connection, rules=late).reason == "too-old"
    assert retry_only(connection).became is Became.COUNTED


def test_a_report_on_anothers_topic_stays(connection: Connection) -> None:
    """What the topic said is kept with the message: a retry does not forget that it did not fit."""
    write(connection, message(report("markt-1"), sensor="holzmarkt-1"))

    found = retry_only(connection)

    assert (found.became, found.reason) == (Became.KEPT, "impossible")
    assert found.detail == "it speaks of markt-1 on the topic of holzmarkt-1"


def test_a_topic_that_is_none_stays(connection: Connection) -> None:
    """A good report on a bad topic is nobody's, today as then."""
    write(connection, Message(None, None, encode_json(report()), topic_fault="node: got 'X', expected …"))

    assert retry_only(connection).detail == "node: got 'X', expected …"
    assert stored(connection).counts == {}


def test_a_number_that_was_not_taken_passes_its_stream_again(connection: Connection) -> None:
    """Too far ahead, it was not marked received: once its stream has come near it is counted and marked."""
    write(connection, report(seq=0))
    write(connection, report(seq=1_000_001, start=NOON + 60))
    assert retry_only(connection).reason == "far-ahead"
    write(connection, report(seq=5, start=NOON + 120))

    assert retry_only(connection).became is Became.COUNTED

    assert stored(connection).received["markt-1", stream_of("first")] == "{[0,1),[5,6),[1000001,1000002)}"
    assert stored(connection).counts["markt-1", NOON + 60, 0, 0] == 1


def test_a_number_that_came_otherwise_meanwhile_is_a_duplicate(connection: Connection) -> None:
    """The edge sent it again and it was counted: the row is closed and nothing is added."""
    write(connection, report(seq=0))
    far = report(seq=1_000_001, start=NOON + 60)
    write(connection, far)
    write(connection, report(seq=5, start=NOON + 120), far)
    before = stored(connection).counts

    assert retry_only(connection).became is Became.DUPLICATE
    assert stored(connection).counts == before
    assert closings(connection) == [(True, "duplicate", False, 1)]


def test_what_the_database_refuses_holds_up_nobody(connection: Connection) -> None:
    """A report that breaks a rule of the schema stays, the next one is counted; after the mending it is counted too."""
    batch = [message(report(seq=seq, start=NOON + 60 * seq, cells=[(0, 0, 0, 1 + seq)])) for seq in range(2)]
    write_batch(connection, batch, now=NOW, condemned="the database refuses it")
    connection.execute("ALTER TABLE count_minute ADD CONSTRAINT odd CHECK (count <> 1)")

    first = retry_all(connection, Selection(), rules=RULES)
    connection.execute("ALTER TABLE count_minute DROP CONSTRAINT odd")
    second = retry_all(connection, Selection(), rules=RULES)

    assert (first.became, first.reasons) == ({"counted": 1, "kept": 1}, {"unwritable": 1})
    assert second.became == {"counted": 1}
    assert sorted(stored(connection).counts.values()) == [1, 2]


def test_a_newer_report_is_counted_once_the_program_can_read_it(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept and marked received by the older program, so that the edge goes on; counted by the newer one, once.

    However often it came before, and though another message with the same number lies there too.
    """
    mine = Message("jena-sued", "markt-1", newer(report(seq=3, cells=[(0, 0, 0, 5)])))
    other = Message("jena-sued", "markt-1", newer(report(seq=3, cells=[(0, 0, 0, 6)])))
    junk = Message("jena-sued", "markt-1", b"nonsense")
    notices = write(connection, mine, other, junk).notices
    write(connection, mine)
    assert notices["jena-sued"].sensors["markt-1"][0].above == ((3, 4),)
    assert closings(connection) == [(False, None, True, 2), (False, None, False, 1), (False, None, False, 1)]
    unchanged = retry_all(connection, Selection(), rules=RULES)
    assert (unchanged.became, unchanged.reasons) == ({"kept": 3}, {"unreadable": 3})

    learn(monkeypatch)
    first = retry_all(connection, Selection(), rules=RULES)
    write(connection, mine, other)
    second = retry_all(connection, Selection(), rules=RULES)

    assert first.became == {"counted": 1, "duplicate": 1, "kept": 1}
    assert second.became == {"kept": 1}
    assert stored(connection).counts == {("markt-1", NOON, 0, 0): 5}


def test_a_program_that_goes_back_a_version_makes_no_double(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer one counted it, the older one is started again and keeps it anew: the next retry knows."""
    mine = Message("jena-sued", "markt-1", newer(report()))
    write(connection, mine)
    with monkeypatch.context() as upgraded:
        learn(upgraded)
        assert retry_only(connection).became is Became.COUNTED
    # As version 1 of the schema did it: every arrival opens the row.
    connection.execute("UPDATE quarantine SET closed_at = NULL, times = times + 1")

    learn(monkeypatch)

    assert retry_only(connection).became is Became.DUPLICATE
    assert stored(connection).counts == {("markt-1", NOON, 0, 0): 1}


def test_what_is_merely_repeated_changes_no_decision(connection: Connection) -> None:
    """A person closed it; the edge, which had no notice, sends it again: it is counted as another time, no more."""
    strange = Message("jena-sued", "markt-1", newer(report()))
    write(connection, strange)
    before = connection.execute("SELECT detail FROM quarantine").fetchall()
    connection.execute("UPDATE quarantine SET closed_at = now(), closed_how = 'by-hand'")

    write(connection, strange)

    assert closings(connection) == [(True, "by-hand", True, 2)]
    assert connection.execute("SELECT detail FROM quarantine").fetchall() == before


def test_the_unreadable_of_another_version_is_retried_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade each is looked at; what this version cannot read either is left alone the next time."""
    write(connection, Message("jena-sued", "markt-1", newer(report())), Message("jena-sued", "markt-1", b"nonsense"))
    write(connection, report(stream="a", start=NOON + 60))
    write(connection, message(report(stream="b", start=NOON + 60), "jena-nord"))
    assert not retry_unreadable(connection, RULES).became
    connection.execute("UPDATE quarantine SET program = '0.0.9'")
    learn(monkeypatch)

    first, second = (retry_unreadable(connection, RULES) for _ in range(2))

    assert first.became == {"counted": 1, "kept": 1}
    assert not second.became
    assert connection.execute("SELECT reason FROM quarantine WHERE program = '0.0.9'").fetchall() == [("wrong-node",)]


def test_states_are_never_counted(connection: Connection) -> None:
    """A health message that could not be read is no report; when it can be read it is long out of date."""
    from footfall_contract import SensorHealth, encode_health
    from footfall_contract.topics import Kind, Topic
    from footfall_ingest.states import StateMessage, write_states

    health = SensorHealth("markt-1", "ok", NOON, 7, 0, 0, 1, 0, NOON + 5, "fine")
    payloads = [encode_json(report()), encode_health(health)]
    topic = Topic(Kind.HEALTH, "jena-sued", "holzmarkt-1")
    write_states(connection, [StateMessage(topic, payload, retained=False) for payload in payloads], now=NOW)

    tally = retry_all(connection, Selection(), rules=RULES)

    assert tally.became == {"kept": 1, "outdated": 1}
    assert stored(connection).counts == {}


def test_a_dry_run_changes_nothing(connection: Connection) -> None:
    """It says what would become of each, and leaves rows, counts and streams as they are."""
    write(connection, report(seq=0), message(report("b-1", 1_000_001), "jena-sued"))
    write(connection, message(report(stream="b", start=NOON + 60), "jena-nord"), report(start=NOON + 7200, seq=1))
    belongs(connection, "markt-1", "jena-nord", NOON + 60)
    everything = lambda: (  # noqa: E731
        stored(connection),
        connection.execute("SELECT * FROM quarantine ORDER BY id").fetchall(),
        connection.execute("SELECT * FROM stream ORDER BY stream").fetchall(),
    )
    before = everything()

    tally = retry_all(connection, Selection(), rules=RULES, dry_run=True)

    assert tally.became == {"counted": 1, "kept": 1}
    assert everything() == before


class Dying(psycopg.Connection[Any]):
    """A connection that breaks at a statement."""

    statements_left = 0

    def execute(self, *args: Any, **options: Any) -> Any:
        """Execute; the last statement is never sent."""
        self.statements_left -= 1
        if self.statements_left < 0:
            self.close()
            raise psycopg.OperationalError("the process was killed")
        return super().execute(*args, **options)


def test_a_kill_at_any_statement_loses_and_doubles_nothing(connection: Connection) -> None:
    """Before each statement of a retry in turn the process dies; nothing is changed, until one comes through."""
    write(connection, report(seq=0))
    moved = report(stream="b", start=NOON + 60, cells=[(0, 1, 0, 7)], observed=[10, 5])
    write(connection, message(moved, "jena-nord"))
    belongs(connection, "markt-1", "jena-nord", NOON + 60)
    (row,) = selected(connection, Selection())
    before = stored(connection), closings(connection)
    deaths = 0
    while True:
        with Dying.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as doomed:
            doomed.statements_left = deaths
            try:
                found = retry(doomed, row)
                break
            except psycopg.OperationalError:
                deaths += 1
                assert (stored(connection), closings(connection)) == before

    assert found.became is Became.COUNTED
    assert deaths >= 10
    assert stored(connection).counts == {("markt-1", NOON, 0, 0): 1, ("markt-1", NOON + 60, 1, 0): 7}
    assert retry(connection, row).became is Became.GONE


def test_two_operators_and_the_edge_at_the_same_time_count_it_once(database: str) -> None:
    """Three retry everything while two edges send it all again: each passage is there once, and nobody fails."""
    sensors = [f"s-{n}" for n in range(6)]
    sent = [
        message(report(sensor, seq, stream="b", start=NOON + 60 + 10 * seq), "jena-nord")
        for seq in range(12)
        for sensor in sensors
    ]
    failures: list[BaseException] = []
    tallies: list[Any] = []
    with psycopg.connect(database, autocommit=True) as connection:
        write(connection, *(report(sensor) for sensor in sensors))
        write(connection, *sent)
        for sensor in sensors:
            belongs(connection, sensor, "jena-nord", NOON + 60)
    begin = threading.Barrier(5)

    def work(resend: bool) -> None:
        try:
            with psycopg.connect(database, autocommit=True) as own:
                begin.wait()
                if resend:
                    for at in range(0, len(sent), 7):
                        write(own, *reversed(sent[at : at + 7]))
                else:
                    tallies.append(retry_all(own, Selection(), rules=RULES).became)
        except BaseException as error:  # noqa: BLE001  # a thread's error would be lost
            failures.append(error)

    threads = [threading.Thread(target=work, args=[n >= 3]) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with psycopg.connect(database) as connection:
        found = stored(connection)
        assert failures == []
        assert sum(tally["counted"] for tally in tallies) == len(sent)
        assert sum(found.counts.values()) == len(sent) + len(sensors)
        assert {row[:3] for row in closings(connection)} == {(True, "counted", False)}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_order_things_happen_in_each_report_counts_once(any_database: str, data: st.DataObject) -> None:
    """Reports of two nodes arrive, come again, and are retried in any order while the sensor moves in between.

    In the end, after a last retry, every report whose node has the sensor at its time is counted once, and no other.
    """
    reports = [
        message(report(seq=seq, stream=node, start=NOON + 60 * minute, cells=[(0, 0, 0, 1 + minute)]), node)
        for node, minutes in (("jena-sued", (0, 1, 2)), ("jena-nord", (3, 4, 5)))
        for seq, minute in enumerate(minutes)
    ]
    steps: Sequence[Any] = data.draw(
        st.permutations(
            [*reports, *data.draw(st.lists(st.sampled_from(reports), max_size=4)), "retry", "retry", "move"]
        )
    )
    with psycopg.connect(any_database) as connection, connection.transaction(force_rollback=True):
        write(connection, message(report(seq=9, stream="jena-sued", start=NOON - 60, cells=[]), "jena-sued"))
        for step in steps:
            if step == "retry":
                retry_all(connection, Selection(), rules=RULES)
            elif step == "move":
                belongs(connection, "markt-1", "jena-nord", NOON + 180)
            else:
                write(connection, step)
        retry_all(connection, Selection(), rules=RULES)
        found = stored(connection)
        left = list(selected(connection, Selection()))

    assert found.counts == {("markt-1", NOON + 60 * minute, 0, 0): 1 + minute for minute in range(6)}
    assert left == []
