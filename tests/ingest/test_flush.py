"""One batch, one transaction, on a real PostgreSQL."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport, StreamState, encode_cbor, encode_json
from footfall_ingest.flush import Message, Outcome, write_batch, write_surviving
from footfall_ingest.judge import Rules
from footfall_testing.ingest_store import NOON, Store, message, report, stored, stream_of

NOW = datetime.fromtimestamp(NOON + 3600, UTC)


@pytest.fixture
def connection(any_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database with today's schema, on plain PostgreSQL and on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


def write(connection: psycopg.Connection[Any], *messages: Message | SlotReport, rules: Rules | None = None) -> Outcome:
    """Write a batch; a report comes from its node on its own topic."""
    batch = [message(found) if isinstance(found, SlotReport) else found for found in messages]
    return write_batch(connection, batch, now=NOW, rules=rules or Rules())


def test_slots_of_a_minute_add_up(connection: psycopg.Connection[Any]) -> None:
    """Reports of one minute become one row for each direction and class, and one for the measured seconds."""
    first = report(seq=0, start=NOON, cells=[(0, 0, 0, 2), (0, 1, 0, 1)])
    second = report(seq=1, start=NOON + 10, cells=[(0, 0, 0, 3), (0, 0, 255, 1)], observed=[4])

    write(connection, first)
    outcome = write(connection, second)

    found = stored(connection)
    assert found.counts == {
        ("markt-1", NOON, 0, 0): 5,
        ("markt-1", NOON, 1, 0): 1,
        ("markt-1", NOON, 0, 255): 1,
    }
    assert found.coverage == {("markt-1", NOON): 14}
    assert found.directions == {"markt-1": 0b11}
    assert (outcome.stored, outcome.duplicate, outcome.rows, outcome.newest_end) == (1, 0, 3, NOON + 20)


def test_a_report_over_several_minutes_is_cut_at_each(connection: psycopg.Connection[Any]) -> None:
    """What was counted before the minute's end belongs to it, what came after to the next.

    12:00:50  12:01:00  12:01:10
    |  1      |  2      |
    """
    write(connection, report(start=NOON + 50, observed=[10, 10], cells=[(0, 0, 0, 1), (1, 0, 0, 2)]))

    found = stored(connection)
    assert found.counts == {("markt-1", NOON, 0, 0): 1, ("markt-1", NOON + 60, 0, 0): 2}
    assert found.coverage == {("markt-1", NOON): 10, ("markt-1", NOON + 60): 10}


def test_nobody_and_nothing_measured_are_told_apart(connection: psycopg.Connection[Any]) -> None:
    """A measured slot without passages leaves its seconds and no count; a silent one leaves zero seconds."""
    write(connection, report(seq=0, cells=[]), report(seq=1, start=NOON + 60, observed=[0], cells=[]))

    found = stored(connection)
    assert found.counts == {}
    assert found.coverage == {("markt-1", NOON): 10, ("markt-1", NOON + 60): 0}


def test_a_span_is_kept_apart_from_minutes(connection: psycopg.Connection[Any]) -> None:
    """A span goes into the span tables as it is; what is recovered for the same span later is added."""
    hour = report(seq=0, slot=3600, observed=[0], cells=[(0, 1, 0, 70_000)])

    write(connection, hour)
    write(connection, replace(hour, seq=1), report(seq=2, start=NOON + 3, slot=7, cells=[]))

    found = stored(connection)
    assert (found.counts, found.coverage) == ({}, {})
    assert found.spans == {("markt-1", NOON, NOON + 3600, 1, 0): 140_000}
    assert found.span_coverage == {("markt-1", NOON, NOON + 3600): 0, ("markt-1", NOON + 3, NOON + 10): 7}
    assert found.directions == {"markt-1": 0b10}


def test_what_comes_again_is_stored_once(connection: psycopg.Connection[Any]) -> None:
    """A report in the same batch, in a later one, and in another encoding is a duplicate each time."""
    once = report()

    first = write(connection, once, once)
    before = stored(connection)
    again = write(connection, once, replace(message(once), payload=encode_json(once)))

    assert (first.stored, first.duplicate) == (1, 1)
    assert (again.stored, again.duplicate, again.rows) == (0, 2, 0)
    assert stored(connection) == before
    assert list(before.counts.values()) == [1]


def test_numbers_are_kept_as_ranges_and_told_to_the_node(connection: psycopg.Connection[Any]) -> None:
    """Reordered numbers join to ranges; the notice says what is still wanted and what lies beyond it."""
    reports = {seq: report(seq=seq, start=NOON + 10 * seq) for seq in range(10)}

    write(connection, *(reports[seq] for seq in (4, 5, 9)))
    outcome = write(connection, *(reports[seq] for seq in (1, 0, 5)))

    assert stored(connection).received == {("markt-1", stream_of("first")): "{[0,2),[4,6),[9,10)}"}
    (state,) = outcome.notices["jena-sued"].sensors["markt-1"]
    assert state == StreamState(stream_of("first"), 2, ((4, 6), (9, 10)))


def test_a_notice_has_all_of_the_nodes_sensors(connection: psycopg.Connection[Any]) -> None:
    """It names the newest stream of each of the node's sensors, and every stream that was touched, duplicates too."""
    for stream in ("first", "second"):
        for sensor in ("markt-1", "holzmarkt-1"):
            write(connection, report(sensor, stream=stream, seq=0, start=NOON + (60 if stream == "second" else 0)))

    outcome = write(connection, report(stream="first", seq=0))

    notice = outcome.notices["jena-sued"]
    named = {sensor: {state.stream for state in states} for sensor, states in notice.sensors.items()}
    assert named == {
        "markt-1": {stream_of("first"), stream_of("second")},
        "holzmarkt-1": {stream_of("second")},
    }
    assert notice.epoch == connection.execute("SELECT epoch FROM store").fetchone()[0]  # type: ignore[index]


def test_a_batch_of_several_nodes_tells_each_its_own(connection: psycopg.Connection[Any]) -> None:
    """Each node is told of its own sensors, and a node of which nothing could be used is told so too."""
    mine, yours = report("markt-1"), report("kirchplatz-1")

    outcome = write(
        connection, message(mine, "jena-sued"), message(yours, "jena-nord"), Message("jena-west", "x-1", b"nothing")
    )

    sensors = {node: set(notice.sensors) for node, notice in outcome.notices.items()}
    assert sensors == {"jena-sued": {"markt-1"}, "jena-nord": {"kirchplatz-1"}, "jena-west": set()}


def test_readers_are_woken_by_the_commit(connection: psycopg.Connection[Any]) -> None:
    """Whoever listens on footfall_commit hears of each batch."""
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as listener:
        listener.execute("LISTEN footfall_commit")

        write(connection, report())

        assert [notify.channel for notify in listener.notifies(timeout=10, stop_after=1)] == ["footfall_commit"]


def kept(connection: psycopg.Connection[Any]) -> list[tuple[str, str | None, int | None, int]]:
    """Reason, sensor, number and times of what is in quarantine, in the order of arrival."""
    return connection.execute("SELECT reason, sensor, seq, times FROM quarantine ORDER BY first_seen").fetchall()


def detail(connection: psycopg.Connection[Any]) -> str:
    """What the only row in quarantine says."""
    (row,) = connection.execute("SELECT detail FROM quarantine").fetchall()
    return str(row[0])


@pytest.mark.parametrize(
    ("unusable", "reason", "said"),
    [
        (message(report(start=NOON + 3600 + 660, slot=60)), "impossible", "2026-03-01T13:11:00Z is in the future"),
        (message(report(cells=[(0, 0, 0, 999), (0, 1, 0, 2)])), "impossible", "1001 passages in 10 s"),
        (message(report(), sensor="holzmarkt-1"), "impossible", "speaks of markt-1 on the topic of holzmarkt-1"),
        (message(report(start=1_420_070_340, slot=60)), "too-old", "2014-12-31T23:59:00Z is before 2015-01-01"),
    ],
    ids=["future", "too-many", "wrong-topic", "too-old"],
)
def test_a_report_that_cannot_be_is_quarantined_and_marked(
    connection: psycopg.Connection[Any], unusable: Message, reason: str, said: str
) -> None:
    """It counts nothing and claims nothing, is kept whole, and the node need not send it again."""
    outcome = write(connection, unusable)
    again = write(connection, unusable)

    found = stored(connection)
    assert (found.counts, found.coverage, found.claims) == ({}, {}, frozenset())
    assert found.received == {("markt-1", stream_of("first")): "{[0,1)}"}
    assert kept(connection) == [(reason, "markt-1", 0, 1)]
    assert said in detail(connection)
    assert next(iter(found.quarantine))[2] == unusable.payload
    assert outcome.quarantined == {reason: 1}
    assert outcome.notices["jena-sued"].sensors["markt-1"][0].next == 1
    assert (again.stored, again.duplicate, again.quarantined) == (0, 1, {})


@pytest.mark.parametrize(
    "usable",
    [
        report(start=NOON + 3600 + 600),
        report(start=1_420_070_400, slot=60),
        report(cells=[(0, 0, 0, 1000)]),
        report(start=NOON + 3600, slot=60, observed=[60] + [0] * 20, cells=[]),
    ],
    ids=["future", "oldest", "most", "padded"],
)
def test_a_report_at_the_edge_of_a_rule_is_stored(connection: psycopg.Connection[Any], usable: SlotReport) -> None:
    """Exactly as far ahead, as old and as many as allowed; and slots to come are no sin while they say nothing."""
    assert write(connection, usable).stored == 1


def test_a_sensor_belongs_to_the_node_that_reports_it_first(connection: psycopg.Connection[Any]) -> None:
    """Another node's report of it is quarantined, marked received and told to that other node."""
    write(connection, message(report(), "jena-sued"))

    outcome = write(connection, message(report(stream="clone", start=NOON + 60), "jena-nord"))

    assert stored(connection).claims == {("markt-1", "jena-sued")}
    assert kept(connection) == [("wrong-node", "markt-1", 0, 1)]
    assert "belongs to node jena-sued at 2026-03-01T12:01:00Z, not to jena-nord" in detail(connection)
    assert outcome.notices["jena-nord"].sensors["markt-1"] == (StreamState(stream_of("clone"), 1),)


def test_a_sensor_may_move_to_another_node_at_a_date(connection: psycopg.Connection[Any]) -> None:
    """Here jena-sued until 12:01, jena-nord from then on; the report's beginning decides, whenever it comes."""
    write(connection, message(report(seq=0), "jena-sued"))
    connection.execute(
        "INSERT INTO sensor_node (sensor, node, valid_from) SELECT key, 'jena-nord', to_timestamp(%s) FROM sensor",
        [NOON + 60],
    )

    outcome = write(
        connection,
        message(report(stream="new", seq=0, start=NOON + 60), "jena-nord"),
        message(report(stream="new", seq=1, start=NOON + 50), "jena-nord"),
        message(report(seq=1, start=NOON + 50), "jena-sued"),
        message(report(seq=2, start=NOON + 60), "jena-sued"),
    )

    assert outcome.stored == 2
    assert kept(connection) == [("wrong-node", "markt-1", 1, 1), ("wrong-node", "markt-1", 2, 1)]


def test_an_import_speaks_for_no_node(connection: psycopg.Connection[Any]) -> None:
    """It claims no sensor, may speak of another node's, leaves the stream without a node and tells nobody."""
    first = write(connection, message(report("holzmarkt-1"), None))
    write(connection, message(report("markt-1"), "jena-sued"))
    second = write(connection, message(report("markt-1", stream="archive", start=NOON - 3600), None))

    found = stored(connection)
    assert (first.stored, second.stored) == (1, 1)
    assert (dict(first.notices), dict(second.notices)) == ({}, {})
    assert found.claims == {("markt-1", "jena-sued")}
    assert found.nodes[("markt-1", stream_of("archive"))] is None


def test_a_minute_has_sixty_seconds(connection: psycopg.Connection[Any]) -> None:
    """The report that would measure a 61st is a second writer's; it adds nothing, not even its other minutes."""
    write(connection, report(seq=0, slot=60, observed=[55]))

    outcome = write(
        connection,
        report(seq=1, start=NOON, observed=[5]),
        report(seq=2, start=NOON + 50, observed=[1, 10], cells=[(1, 0, 0, 7)]),
        report(seq=3, start=NOON + 20, observed=[0], cells=[(0, 0, 0, 2)]),
    )

    found = stored(connection)
    assert outcome.stored == 2
    assert found.coverage == {("markt-1", NOON): 60}
    assert found.counts == {("markt-1", NOON, 0, 0): 4}
    assert kept(connection) == [("second-writer", "markt-1", 2, 1)]
    assert detail(connection) == "61 s would be measured in the minute 2026-03-01T12:00:00Z"
    assert found.received == {("markt-1", stream_of("first")): "{[0,4)}"}


def test_a_span_and_the_minutes_in_it_share_their_seconds(connection: psycopg.Connection[Any]) -> None:
    """What is measured by a span cannot be measured again by a slot in it or by a span beside it, in either order."""
    hour = report(seq=0, slot=3600, observed=[3590])
    write(connection, hour)

    outcome = write(
        connection,
        report(seq=1, start=NOON + 60, observed=[10]),
        report(seq=2, start=NOON + 120, observed=[1]),
        report(seq=3, start=NOON + 1800, slot=3600, observed=[1801], cells=[]),
        report(seq=4, start=NOON + 1800, slot=3600, observed=[1800], cells=[]),
        report(seq=5, start=NOON + 1800, slot=3600, observed=[0], cells=[(0, 0, 0, 9)]),
    )

    assert outcome.stored == 3
    assert kept(connection) == [("second-writer", "markt-1", 2, 1), ("second-writer", "markt-1", 3, 1)]


def test_the_unreadable_is_kept_once_with_a_counter(connection: psycopg.Connection[Any]) -> None:
    """What comes again with the same content from the same node is counted, not kept again, and is shown anew."""
    nonsense = Message("jena-sued", "markt-1", b"\x00 not a report")

    write(connection, nonsense, nonsense)
    connection.execute("UPDATE quarantine SET closed_at = now()")
    outcome = write(connection, nonsense, replace(nonsense, topic_node="jena-nord"))

    assert kept(connection) == [("unreadable", "markt-1", None, 3), ("unreadable", "markt-1", None, 1)]
    assert connection.execute("SELECT count(*) FROM quarantine WHERE closed_at IS NOT NULL").fetchone() == (0,)
    assert outcome.quarantined == {"unreadable": 2}
    assert stored(connection).received == {}


def test_an_unreadable_report_with_a_name_is_not_asked_for_again(connection: psycopg.Connection[Any]) -> None:
    """If sensor, stream and number can be read, the number is marked received, and the row says so."""
    fields = json.loads(encode_json(report(seq=0)))
    strange = Message("jena-sued", "markt-1", json.dumps({**fields, "track": 1}).encode())

    outcome = write(connection, strange, report(seq=1))

    assert kept(connection) == [("unreadable", "markt-1", 0, 1)]
    assert "marked received" in detail(connection)
    assert outcome.notices["jena-sued"].sensors["markt-1"][0].next == 2
    assert stored(connection).coverage == {("markt-1", NOON): 10}


def test_of_two_with_one_number_the_first_to_arrive_counts(connection: psycopg.Connection[Any]) -> None:
    """Also where one of the two cannot be read: a good report after it is a duplicate, one before it is stored."""
    good = [report(stream=stream) for stream in ("first", "second")]
    bad = [
        Message("jena-sued", "markt-1", json.dumps({**json.loads(encode_json(one)), "track": 1}).encode())
        for one in good
    ]

    outcome = write(connection, bad[0], good[0], good[1], bad[1])

    assert (outcome.stored, outcome.duplicate, outcome.quarantined) == (1, 1, {"unreadable": 2})
    assert (
        "received before" in connection.execute("SELECT detail FROM quarantine ORDER BY first_seen DESC").fetchone()[0]
    )  # type: ignore[index]


def test_a_topic_that_is_none_is_kept_with_its_payload(connection: psycopg.Connection[Any]) -> None:
    """A good report on a bad topic is neither an import nor anyone's; it is kept as unreadable."""
    fault = "node: got 'Jena Süd', expected …"

    outcome = write(connection, Message(None, None, encode_cbor(report()), topic_fault=fault))

    assert (outcome.stored, outcome.quarantined) == (0, {"unreadable": 1})
    assert detail(connection) == fault
    assert stored(connection).coverage == {}


def test_a_stream_in_too_many_pieces_is_refused_and_not_marked(connection: psycopg.Connection[Any]) -> None:
    """The number that would make a 65th range is refused; once a gap is filled it is taken."""
    pieces = [report(seq=2 * n, start=NOON + 60 * n) for n in range(65)]

    outcome = write(connection, *pieces)
    write(connection, report(seq=1, start=NOON - 60))
    again = write(connection, pieces[64])

    assert (outcome.stored, outcome.quarantined) == (64, {"too-many-gaps": 1})
    assert (again.stored, again.duplicate) == (1, 0)
    assert kept(connection) == [("too-many-gaps", "markt-1", 128, 1)]


def test_a_number_far_ahead_is_refused_and_not_marked(connection: psycopg.Connection[Any]) -> None:
    """A million above the highest of its stream is refused each time it comes; a new stream may begin anywhere."""
    write(connection, report(seq=5_000_000))

    outcome = write(connection, report(seq=6_000_000, start=NOON + 60), report(seq=6_000_000, start=NOON + 60))
    next_best = write(connection, report(seq=5_999_999 + 1 - 1, start=NOON + 120))

    assert (outcome.stored, outcome.quarantined) == (0, {"far-ahead": 2})
    assert kept(connection) == [("far-ahead", "markt-1", 6_000_000, 2)]
    assert next_best.stored == 1


def test_what_the_database_refuses_does_not_hold_up_the_rest(connection: psycopg.Connection[Any]) -> None:
    """A message that cannot be stored is found by halving, quarantined with the database's words, and marked."""
    full = report("markt-1", seq=0, slot=60, observed=[30], cells=[(0, 0, 0, 6000)])
    write(connection, full)
    connection.execute("UPDATE count_minute SET count = 2147480000")
    culprit = report("markt-1", seq=1, start=NOON, slot=60, observed=[30], cells=[(0, 0, 0, 6000)])
    batch = [message(report("holzmarkt-1", seq=n, start=NOON + 10 * n)) for n in range(5)]
    batch.insert(2, message(culprit))

    outcomes = write_surviving(
        lambda part, condemned: write_batch(connection, part, now=NOW, condemned=condemned), batch
    )

    assert sum(outcome.stored for outcome in outcomes) == 5
    assert kept(connection) == [("unwritable", "markt-1", 1, 1)]
    assert detail(connection) == "the database refuses it: integer out of range"
    assert stored(connection).received[("markt-1", stream_of("first"))] == "{[0,2)}"


def test_nothing_stays_of_a_batch_that_was_cut_short(connection: psycopg.Connection[Any]) -> None:
    """If the connection dies before the commit, the store is as before, and the same batch can be written again."""
    batch = [message(report("holzmarkt-1")), message(report("markt-1", cells=[(0, 2, 0, 3)]))]
    write(connection, report("kirchplatz-1"))
    before = stored(connection)

    with pytest.raises(psycopg.OperationalError):
        _write_and_die(connection, batch)

    assert stored(connection) == before
    assert write_batch(connection, batch, now=NOW).stored == 2


def _write_and_die(connection: psycopg.Connection[Any], batch: Sequence[Message]) -> None:
    """Write a batch on a connection of its own that breaks just before the commit."""
    with another(connection) as doomed, doomed.transaction():
        write_batch(doomed, batch, now=NOW)
        connection.execute("SELECT pg_terminate_backend(%s)", [doomed.info.backend_pid])


def another(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A second connection to the same database."""
    return psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True)


def test_writers_at_the_same_time_do_not_disturb_each_other(connection: psycopg.Connection[Any]) -> None:
    """Four writers with the same sensors in different orders, each batch sent twice: no deadlock, nothing double."""
    sensors = [f"s-{n}" for n in range(20)]
    batches = [
        [
            message(report(sensor, stream=f"writer {writer}", seq=seq, start=NOON + 60 * seq + 10 * writer))
            for sensor in (sensors if (writer + seq) % 2 else reversed(sensors))
        ]
        for writer in range(4)
        for seq in range(10)
    ]
    failures: list[BaseException] = []

    def work(mine: Sequence[Sequence[Message]]) -> None:
        try:
            with another(connection) as own:
                for batch in mine:
                    write_batch(own, batch, now=NOW)
        except psycopg.Error as error:
            failures.append(error)

    # Each batch is the work of two writers.
    threads = [threading.Thread(target=work, args=[batches[n::4] + batches[(n + 1) % 4 :: 4]]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = stored(connection)
    assert failures == []
    assert found.counts == {(sensor, NOON + 60 * seq, 0, 0): 4 for sensor in sensors for seq in range(10)}
    assert set(found.coverage.values()) == {40}
    assert found.quarantine == {}


# A world so small that reports collide: few sensors, nodes and streams, a quarter of an hour, some of it impossible.
_SENSORS = st.sampled_from(["a", "b", "c"])
_NODES = st.sampled_from(["north", "north", "south", None])
_CELLS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 2), st.sampled_from([0, 2, 255]), st.sampled_from([1, 2, 700])),
    max_size=3,
)


@st.composite
def _reports(draw: st.DrawFn) -> SlotReport:
    slot = draw(st.sampled_from([10, 30, 60, 60, 7, 90, 600]))
    divides = 60 % slot == 0
    start = NOON + draw(st.integers(0, 15)) * (slot if divides else 45)
    start = draw(st.sampled_from([start] * 20 + [start - 400_000_020, start + 36_000]))
    slots = draw(st.sampled_from([1, 1, 2, 5])) if divides else 1
    return report(
        draw(_SENSORS),
        seq=draw(st.one_of(st.integers(0, 12), st.sampled_from([2_000_000, 2_000_001]))),
        stream=draw(st.sampled_from(["x", "y"])),
        start=start,
        slot=slot,
        observed=draw(st.lists(st.sampled_from([0, slot // 2, slot]), min_size=slots, max_size=slots)),
        cells=[cell for cell in draw(_CELLS) if cell[0] < slots],
    )


@st.composite
def _messages(draw: st.DrawFn) -> Message:
    found = draw(_reports())
    node = draw(_NODES)
    sensor = draw(st.sampled_from([found.sensor] * 9 + ["c"])) if node else None
    payload = encode_cbor(found)
    spoiled = json.dumps({**json.loads(encode_json(found)), "track": 1}).encode()
    return Message(node, sensor, draw(st.sampled_from([payload] * 12 + [spoiled, payload[:-2]])))


@st.composite
def _crowds(draw: st.DrawFn) -> list[Message]:
    """Distinct reports of one sensor, all of them claiming some of the same three minutes."""
    times = st.one_of(
        st.tuples(st.sampled_from([NOON + 10 * n for n in range(18)]), st.just(10)),
        st.tuples(st.sampled_from([NOON, NOON + 60, NOON + 120]), st.just(60)),
        st.tuples(st.integers(NOON, NOON + 120), st.sampled_from([7, 45, 75, 90])),
    )
    return [
        message(
            report(seq=seq, start=start, slot=slot, observed=[draw(st.integers(0, slot))], cells=[(0, 0, 0, 1 + seq)])
        )
        for seq, (start, slot) in enumerate(draw(st.lists(times, min_size=2, max_size=20)))
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=st.one_of(_crowds(), st.lists(_messages(), max_size=40)), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_one_batch_is_the_same_as_many(database: str, batch: list[Message], cuts: list[int]) -> None:
    """However arrivals are cut into batches, down to one message each, the store ends up the same in every row."""
    edges = [0, *sorted(cuts), len(batch)]
    ways = [[batch], [[one] for one in batch], [batch[a:b] for a, b in pairwise(edges)]]

    results = [_result(database, way) for way in ways]

    assert results[1] == results[0]
    assert results[2] == results[0]


def _result(database: str, batches: Sequence[Sequence[Message]]) -> tuple[Store, int, int, Counter[str]]:
    """What the batches leave in an empty store, and what became of them in all; the store is empty again afterwards."""
    with psycopg.connect(database) as connection, connection.transaction(force_rollback=True):
        outcomes = [write_batch(connection, part, now=NOW) for part in batches if part]
        found = stored(connection)
    reasons: Counter[str] = Counter()
    for outcome in outcomes:
        reasons.update(outcome.quarantined)
    return found, sum(o.stored for o in outcomes), sum(o.duplicate for o in outcomes), reasons
