"""What one node may bring into the store, by the rules and on a real database: bounded, and nothing honest is lost."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_contract import SensorHealth, SlotReport, encode_cbor, encode_health, encode_json
from footfall_contract.batch import decode_batch
from footfall_contract.topics import Kind, Topic
from footfall_ingest.aggregate import aggregate
from footfall_ingest.budgets import (
    FRESH_S,
    Need,
    What,
    counted_rows,
    makers,
    refusals,
    spend,
    used_today,
    uses,
    without_room,
)
from footfall_ingest.flush import Message, Outcome, write_batch
from footfall_ingest.judge import Reason, Rules
from footfall_ingest.quarantine import Selection, close, retry_all, selected
from footfall_ingest.states import StateMessage, write_states
from footfall_ingest.store import Quarantined, notices
from footfall_ingest.streams import MAX_RANGES
from footfall_testing.ingest_store import NOON, Store, message, report, stored

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 3600, UTC)
TOMORROW = NOW + timedelta(days=1)

FEW = Rules(node_sensors=2, node_streams=3, node_rows=10, node_quarantined=2, node_quarantined_bytes=1000)
"""So little that a few messages use it up."""

Namings = list[tuple[str, str | None]]

_NODES = st.sampled_from(["a", "b", None])


# -- the rules --------------------------------------------------------------------------------------------------------


@given(
    namings=st.lists(st.tuples(st.sampled_from("stuvwxyz"), _NODES), max_size=30),
    has=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 5)),
    limit=st.integers(1, 4),
)
def test_nobody_makes_more_sensors_than_it_may(namings: Namings, has: dict[str, int], limit: int) -> None:
    """Each new sensor is the first's to name it that may; refused is who would make one more, and nobody else."""
    numbered = [(place, sensor, node) for place, (sensor, node) in enumerate(namings)]

    made, over = makers(numbered, has, Rules(node_sensors=limit))

    number = Counter(has)
    known: dict[str, str | None] = {}
    for place, (sensor, node) in enumerate(namings):
        may = sensor in known or node is None or number[node] < limit
        assert (place in over) == (not may)
        if may and sensor not in known:
            known[sensor] = node
            number[node or ""] += 1
    assert made == known
    assert set(over.values()) <= {What.SENSORS}


_NEEDS = st.lists(
    st.tuples(_NODES, st.sampled_from([None, None, 0, 1, 2, 3]), st.sampled_from([0, 0, 1, 3, 7])),
    max_size=30,
)


@given(needs=_NEEDS, used=st.integers(0, 12))
def test_nothing_is_spent_beyond_a_budget(needs: list[tuple[str | None, int | None, int]], used: int) -> None:
    """One after another: what fits is spent, what does not costs nothing, a stream is paid for once, imports not."""
    before = {("a", What.ROWS): used, ("a", What.STREAMS): used // 4}

    spent, over = spend([Need(place, *need) for place, need in enumerate(needs)], before, FEW)

    total: Counter[tuple[str, What]] = Counter(before)
    begun: set[int] = set()
    for place, (node, stream, rows) in enumerate(needs):
        streams = int(stream is not None and stream not in begun)
        fits = (not streams or total[node, What.STREAMS] + streams <= FEW.node_streams) and (
            not rows or total[node, What.ROWS] + rows <= FEW.node_rows
        )
        assert (place in over) == (node is not None and not fits)
        if node is None or fits:
            total.update({(node, What.STREAMS): streams, (node, What.ROWS): rows} if node else {})
            begun |= {stream} if stream is not None else set()
    assert +(spent + Counter(before)) == +total


@given(needs=_NEEDS, cut=st.integers(0, 30))
def test_two_batches_spend_what_one_does(needs: list[tuple[str | None, int | None, int]], cut: int) -> None:
    """Wherever arrivals are cut into batches the same are refused; a stream that was begun is not new in the second."""
    numbered = [Need(place, *need) for place, need in enumerate(needs)]

    spent, over = spend(numbered, {}, FEW)
    first, over_first = spend(numbered[:cut], {}, FEW)
    begun = {need.stream for need in numbered[:cut] if need.place not in over_first}
    rest = [replace(need, stream=None) if need.stream in begun else need for need in numbered[cut:]]
    second, over_second = spend(rest, first, FEW)

    assert over == over_first | over_second
    assert spent == first + second


@st.composite
def _reports(draw: st.DrawFn) -> SlotReport:
    slot = draw(st.sampled_from([10, 20, 60, 7, 90, 3600]))
    slots = draw(st.integers(1, 9)) if 60 % slot == 0 else 1
    start = NOON - draw(st.sampled_from([0, 600, FRESH_S, FRESH_S + 60, 10 * FRESH_S]))
    cell = st.tuples(st.integers(0, slots - 1), st.integers(0, 2), st.sampled_from([0, 4]), st.integers(1, 9))
    return report(start=start, slot=slot, observed=[slot] * slots, cells=draw(st.lists(cell, max_size=8)))


@given(found=_reports())
def test_what_is_late_or_a_span_costs_the_rows_it_adds(found: SlotReport) -> None:
    """As many as the store gets of it: of minutes that began within two days none is counted."""
    batch = decode_batch([encode_cbor(found)])

    rows, cost = counted_rows(batch, np.arange(1), now=NOON)

    late = found.start < NOON - FRESH_S
    assert list(rows) == ([0] if late or found.is_span else [])
    assert list(cost) == ([aggregate(batch).rows] if late or found.is_span else [])


_KEPT = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["s", "t"]), st.binary(max_size=3)), max_size=20
)


@given(arrivals=_KEPT, there=_KEPT, rows=st.integers(0, 3), size=st.integers(0, 990))
def test_the_quarantine_of_a_node_is_never_more_than_its_room(
    arrivals: list[tuple[str | None, str, bytes]],
    there: list[tuple[str | None, str, bytes]],
    rows: int,
    size: int,
) -> None:
    """What comes again needs none; an import has no bounds; who has used up its rows or bytes takes nobody else's."""
    messages = {
        place: Quarantined("unreadable", "…", node, (sensor, None, None), payload * 100)
        for place, (node, sensor, payload) in enumerate(arrivals)
    }
    known = {(node, sensor, sha256(payload * 100).digest()) for node, sensor, payload in there}

    over = without_room(messages, {"a": (rows, size)}, known, FEW)

    kept = {place: one for place, one in messages.items() if place not in over}
    new = {(one.node, one.identity[0], one.content): one for one in kept.values()}
    new = {key: one for key, one in new.items() if key not in known}
    for node, (before, bytes_before) in {"a": (rows, size), "b": (0, 0)}.items():
        mine = [one for one in new.values() if one.node == node]
        assert not mine or before + len(mine) <= FEW.node_quarantined
        assert not mine or bytes_before + sum(len(one.payload) for one in mine) <= FEW.node_quarantined_bytes
    for place in over:
        one = messages[place]
        assert one.node is not None
        assert (one.node, one.identity[0], one.content) not in known | new.keys()


def test_who_names_no_node_shares_one_room() -> None:
    """Messages on topics of which no node can be read are no imports: they have bounds, too."""
    nobodys = {
        place: Quarantined("unreadable", "…", None, (None, None, None), bytes([place]), topic_fault="node: got 'X'")
        for place in range(5)
    }

    assert without_room(nobodys, {}, (), FEW) == dict.fromkeys([2, 3, 4], What.QUARANTINE)


# -- on a database ----------------------------------------------------------------------------------------------------


@pytest.fixture
def connection(any_database: str) -> Iterator[Connection]:
    """A connection to a database with today's schema, on plain PostgreSQL and on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


def write(
    connection: Connection, *reports: SlotReport | Message, rules: Rules = FEW, now: datetime = NOW, node: str = "bad"
) -> Outcome:
    """Write a batch; a report comes from `node` on its own topic."""
    batch = [message(found, node) if isinstance(found, SlotReport) else found for found in reports]
    return write_batch(connection, batch, now=now, rules=rules)


def count(connection: Connection, table: str) -> int:
    """Rows of a table."""
    found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]  # type: ignore[arg-type]
    return found


def numbered(outcome: Outcome, node: str, sensor: str) -> list[int]:
    """What the node is asked for next, of each stream of a sensor that it is told of."""
    return [state.next for state in outcome.notices[node].sensors.get(sensor, ())]


def test_sensors_that_there_are_not(connection: Connection) -> None:
    """Beyond its number no name of the node's gets a row, in whatever way it is said; others' and known ones go on.

    Not marked, so that an honest node sends it again; when there is room again it is taken.
    """
    write(connection, report("honest-1"), node="good")
    named = [report(f"made-up-{n}", start=NOON + 60) for n in range(5)]
    unreadable = Message("bad", "x", json.dumps({**json.loads(encode_json(report("made-up-9"))), "x": 1}).encode())
    strange = message(report("made-up-8"), "bad", sensor="another")

    outcome = write(
        connection, *named, unreadable, strange, message(report("honest-1", 1, start=NOON + 10), "good"), named[0]
    )

    assert outcome.refused == {("bad", What.SENSORS): 5}
    assert (outcome.stored, outcome.duplicate) == (3, 1)
    assert set(stored(connection).directions) == {"honest-1", "made-up-0", "made-up-1"}
    assert "made-up-2" not in outcome.notices["bad"].sensors
    assert write(connection, message(named[2], "good")).stored == 1, "it is nobody's name"

    again = write(connection, named[3], rules=replace(FEW, node_sensors=3))

    assert again.stored == 1
    assert numbered(again, "bad", "made-up-3") == [1]


def test_a_stream_for_each_report(connection: Connection) -> None:
    """So many new ones a day; reports of those that are there go on, and tomorrow there may be new ones."""
    write(connection, *(report(stream=f"s-{n}", start=NOON + 60 * n) for n in range(2)))

    outcome = write(
        connection,
        report(stream="s-0", seq=1, start=NOON + 10),
        *(report(stream=f"s-{n}", start=NOON + 60 * n) for n in range(2, 6)),
        message(report("honest-1"), "good"),
    )

    assert outcome.refused == {("bad", What.STREAMS): 3}
    assert outcome.stored == 3
    assert count(connection, "stream") == 4
    assert write(connection, report(stream="s-3", start=NOON + 180), now=TOMORROW).stored == 1
    assert used_today(connection, ["bad"], TOMORROW) == {("bad", What.STREAMS): 1}


def test_minutes_of_ten_years_and_spans_without_end(connection: Connection) -> None:
    """What is late or a span adds so many rows a day; what is of today needs no budget, however much there is."""
    late = [report(seq=n, start=NOON - FRESH_S - 600 * n - 7200, slot=60) for n in range(6)]
    spans = [report(seq=6 + n, start=NOON + n, slot=2_678_400, observed=[0]) for n in range(6)]
    today = [report(seq=12 + n, start=NOON + 60 * n, slot=60) for n in range(20)]

    outcome = write(connection, *late, *spans, *today)

    assert outcome.refused == {("bad", What.ROWS): 7}
    assert outcome.stored == 5 + 20
    found = stored(connection)
    assert len(found.counts) + len(found.coverage) == 10 + 40
    assert (found.spans, found.span_coverage) == ({}, {})
    assert used_today(connection, ["bad"], NOW) == {("bad", What.ROWS): 10, ("bad", What.STREAMS): 1}
    assert write(connection, late[5], *spans, now=TOMORROW).stored == 5


def test_what_is_here_already_costs_nothing(connection: Connection) -> None:
    """A node whose day is used up, and that sends all again after a restore, is told what is here and goes on."""
    late = [report(seq=n, start=NOON - FRESH_S - 600 * n - 7200, slot=60) for n in range(6)]
    write(connection, *late[:4])

    again = write(connection, *late, late[4], late[0])
    third = write(connection, *late[:5])

    assert (again.stored, again.duplicate, again.refused) == (1, 6, {("bad", What.ROWS): 1})
    assert (third.duplicate, third.refused) == (5, {})
    assert numbered(third, "bad", "markt-1") == [5]
    assert used_today(connection, ["bad"], NOW)["bad", What.ROWS] == 10


def test_what_has_no_room_in_quarantine_costs_nothing(connection: Connection) -> None:
    """It is refused each time it comes, and does not use up what its node has for rows; its stream is there."""
    write(connection, Message("bad", "x", b"one"), Message("bad", "x", b"two"))
    future = [report(seq=n, start=NOON + 90_000 + n, slot=7) for n in range(3)]

    for _ in range(4):
        assert write(connection, *future).refused == {("bad", What.QUARANTINE): 3}

    assert +used_today(connection, ["bad"], NOW) == {("bad", What.STREAMS): 1}


def test_nonsense_that_never_repeats(connection: Connection) -> None:
    """So many messages, and so many bytes, lie open; the rest is counted, and of others there is room."""
    nonsense = [Message("bad", "x", b"%d" % n) for n in range(5)]

    outcome = write(connection, *nonsense, nonsense[0], Message("good", "y", b"a slip"))
    large = write(connection, Message("ugly", "z", bytes(1001)), Message("ugly", "z", bytes(999)))

    assert outcome.refused == {("bad", What.QUARANTINE): 3}
    assert outcome.quarantined == {Reason.UNREADABLE: 4}
    assert large.refused == {("ugly", What.QUARANTINE): 1}
    query = "SELECT node, times, length(payload) FROM quarantine ORDER BY node, first_seen"
    kept = connection.execute(query).fetchall()
    assert kept == [("bad", 2, 1), ("bad", 1, 1), ("good", 1, 6), ("ugly", 1, 999)]


@pytest.mark.parametrize(
    "unusable",
    [
        [report(seq=n, start=NOON + 90_000 + 60 * n) for n in range(9)],
        [report(seq=n, start=600, slot=60, cells=[(0, 0, 0, 1 + n)]) for n in range(9)],
        [message(report("honest-1", n, stream="mine", start=NOON + 60), "bad") for n in range(9)],
        [message(report(seq=n), "bad", sensor="another") for n in range(9)],
    ],
    ids=["future", "past", "other-node", "other-topic"],
)
def test_what_has_no_room_in_quarantine_is_not_marked(
    connection: Connection, unusable: Sequence[SlotReport | Message]
) -> None:
    """The node is told so and keeps it; once there is room it is kept aside after all, and marked then."""
    rules = replace(FEW, node_rows=100)
    write(connection, report("honest-1"), node="good")

    outcome = write(connection, *unusable, rules=rules)

    assert outcome.refused == {("bad", What.QUARANTINE): 7}
    (state,) = next(iter(outcome.notices["bad"].sensors.values()))
    assert (state.next, state.above) == (2, ())
    close(connection, list(selected(connection, Selection())), why="seen", who="me")
    again = write(connection, *unusable[2:], rules=rules)
    assert again.refused == {("bad", What.QUARANTINE): 5}
    (state,) = next(iter(again.notices["bad"].sensors.values()))
    assert (state.next, state.above) == (4, ())


def test_without_room_in_quarantine_no_stream_falls_to_pieces(connection: Connection) -> None:
    """Every other number of a stream has no room: what the stream then cannot take is refused, too, and can be told.

    With room again all of it is taken.
    """
    write(connection, Message("bad", "x", b"one"), Message("bad", "x", b"two"))
    sent = [report(seq=n, start=NOON - 60 * n + (n % 2) * 90_000) for n in range(200)]

    outcome = write(connection, *sent)
    again = write(connection, *sent)

    assert outcome.refused == {("bad", What.QUARANTINE): 200 - MAX_RANGES}
    assert (outcome.stored, sum(stored(connection).counts.values())) == (MAX_RANGES, MAX_RANGES)
    assert (again.stored, again.duplicate) == (0, MAX_RANGES)
    (state,) = notices(connection, ["bad"])["bad"].sensors["markt-1"]
    assert (state.next, len(state.above)) == (1, MAX_RANGES - 1)
    assert (
        write(connection, *sent, rules=replace(FEW, node_quarantined=200, node_quarantined_bytes=10**6)).refused == {}
    )
    assert numbered(write(connection, sent[0]), "bad", "markt-1") == [200]
    assert sum(stored(connection).counts.values()) == 100


def test_of_a_stream_in_too_many_pieces_the_first_are_told(connection: Connection) -> None:
    """However it came to be so, its node is told something that is true, and all others are told at all."""
    write(connection, report(), message(report("honest-1"), "good"))
    pieces = ", ".join(f"[{n},{n + 1})" for n in range(0, 400, 2))
    connection.execute("UPDATE stream SET received = %s::int8multirange WHERE node = 'bad'", [f"{{{pieces}}}"])

    told = notices(connection, ["bad", "good"])

    assert told["bad"].sensors["markt-1"][0].above == tuple((n, n + 1) for n in range(2, 130, 2))
    assert told["good"].sensors["honest-1"][0].next == 1


def test_a_box_whose_sensor_moved_unnoticed_loses_nothing(connection: Connection) -> None:
    """Its reports fill the quarantine, then wait at the box; when somebody says where the sensor is, all count once."""
    write(connection, report(seq=0), node="before")
    sent = [report(stream="new", seq=n, start=NOON + 60 * (n + 1)) for n in range(6)]
    write(connection, *sent, node="after")
    connection.execute("INSERT INTO sensor_node SELECT key, 'after', to_timestamp(%s) FROM sensor", [NOON + 60])

    counted = retry_all(connection, Selection(), rules=FEW)
    outcome = write(connection, *sent, node="after")

    assert counted.became == {"counted": 2}
    assert (outcome.stored, outcome.duplicate, outcome.refused) == (4, 2, {})
    assert sum(stored(connection).counts.values()) == 7


def test_an_import_has_no_budget(connection: Connection) -> None:
    """Whoever imports years of many sensors is at the keyboard and knows what it is doing."""
    history = [message(report(f"old-{n}", start=NOON - 10 * FRESH_S, slot=60, stream=f"{n}"), None) for n in range(20)]

    outcome = write(connection, *history, *(Message(None, None, b"%d" % n) for n in range(5)))

    assert (outcome.stored, outcome.quarantined, outcome.refused) == (20, {"unreadable": 5}, {})
    assert uses(connection, NOW) == {}


def test_a_month_comes_at_once_by_default(connection: Connection) -> None:
    """A box with a dozen sensors that was away for a month, people in every minute: 1.6 million rows pass."""
    hour = [(slot, direction, 0, 1) for slot in range(60) for direction in (0, 1)]
    packed = report(start=NOON - 40 * 86_400, slot=60, observed=[60] * 60, cells=hour)
    batch = decode_batch([encode_cbor(packed)])

    rows, cost = counted_rows(batch, np.arange(1), now=NOON)

    assert (list(rows), list(cost)) == ([0], [180])
    assert 12 * 31 * 24 * cost[0] < Rules().node_rows / 3
    assert 256 * 64 < 20_000, "what a full node may have under way at most fits into the queue"


def test_a_sensor_may_have_to_be_given_to_a_node(connection: Connection) -> None:
    """With `first_node_owns = false` nobody gets a sensor by speaking of it; its reports wait until somebody has it."""
    strict = replace(FEW, first_node_owns=False)

    outcome = write(connection, report(), rules=strict)

    assert outcome.quarantined == {Reason.WRONG_NODE: 1}
    assert stored(connection).claims == frozenset()
    connection.execute("INSERT INTO sensor_node SELECT key, 'bad', '-infinity' FROM sensor")
    assert retry_all(connection, Selection(), rules=strict).became == {"counted": 1}
    assert write(connection, report(seq=1, start=NOON + 60), rules=strict).stored == 1


def health(sensor: str, detail: str = "") -> bytes:
    """What a node says of a sensor."""
    return encode_health(SensorHealth(sensor, "ok", NOON, 7, 0, 0, 1, 0, NOON + 5, detail))


def test_healths_of_sensors_without_number(connection: Connection) -> None:
    """A node may speak of as many as it may make; of those it goes on to speak, whatever else it says."""
    said = [
        StateMessage(Topic(Kind.HEALTH, "bad", f"s-{n}"), health(f"s-{n}", f"{turn}"), retained=False)
        for turn in range(2)
        for n in range(5)
    ]

    outcome = write_states(connection, said, now=NOW, rules=FEW)
    again = write_states(connection, said[::-1], now=NOW, rules=FEW)

    assert outcome.refused == {("bad", What.SENSORS): 6} == again.refused
    query = "SELECT sensor, payload->>'detail' FROM sensor_state ORDER BY sensor"
    assert connection.execute(query).fetchall() == [("s-0", "0"), ("s-1", "0")]


def test_healths_of_its_own_sensors_have_no_bounds(connection: Connection) -> None:
    """A bridge with more counters than a node may make, all in the stations file, speaks of each; and of a few more."""
    connection.execute("INSERT INTO sensor (id) SELECT 's-' || n FROM generate_series(0, 9) AS n")
    write(connection, *(report(f"s-{n}") for n in range(8)), rules=replace(FEW, node_streams=9))
    said = [
        StateMessage(Topic(Kind.HEALTH, "bad", f"s-{n}"), health(f"s-{n}", f"{turn}"), retained=False)
        for turn in range(2)
        for n in (8, 9, *range(8), 10)
    ]

    outcome = write_states(connection, said, now=NOW, rules=FEW)
    again = write_states(connection, said, now=NOW, rules=FEW)

    assert outcome.refused == {("bad", What.SENSORS): 2} == again.refused
    query = "SELECT count(*), min(payload->>'detail') FROM sensor_state"
    assert connection.execute(query).fetchall() == [(10, "1")]


def test_states_that_cannot_be_read_share_the_room(connection: Connection) -> None:
    """A node has one room in quarantine, for reports and states."""
    write(connection, Message("bad", "x", b"nonsense"))
    states = [StateMessage(Topic(Kind.STATUS, "bad"), b"%d" % n, retained=False) for n in range(4)]

    outcome = write_states(connection, states, now=NOW, rules=FEW)

    assert len(outcome.unusable) == 1
    assert outcome.refused == {("bad", What.QUARANTINE): 3}
    assert count(connection, "quarantine") == 2


def test_what_is_shown(connection: Connection) -> None:
    """Of each node what it has of its budgets, and in sentences what was refused; of those that do well nothing."""
    write(connection, message(report("honest-1"), "good"))
    write(connection, *(report(f"s-{n}", start=NOON - FRESH_S - 3600, slot=60) for n in range(4)))
    write(connection, *(Message("bad", "x", b"%d" % n) for n in range(3)), now=TOMORROW)

    bad = uses(connection, TOMORROW)["bad"]

    assert (bad.sensors, bad.streams, bad.rows, bad.quarantined, bad.quarantined_bytes) == (2, 0, 0, 2, 2)
    assert (dict(bad.refused), bad.refused_last) == ({What.SENSORS: 2, What.QUARANTINE: 1}, TOMORROW)
    assert (uses(connection, NOW)["bad"].rows, uses(connection, NOW)["bad"].streams) == (4, 2)
    assert uses(connection, TOMORROW)["good"].refused == {}
    assert [line.split(":")[0] for line in refusals(connection, TOMORROW)] == [
        "1 messages of node bad were refused in the last 7 days",
        "2 messages of node bad were refused in the last 7 days",
    ]
    assert refusals(connection, TOMORROW + timedelta(days=7)) == []


def test_what_is_shown_is_found_by_the_day(connection: Connection) -> None:
    """The rows stay for as long as the database lives: to ask for the last days does not go through years."""
    connection.execute(
        "INSERT INTO node_day (day, node, what) "
        "SELECT %s::date - day, 'node-' || node, 'rows' "
        "FROM generate_series(0, 400) AS day, generate_series(1, 50) AS node ORDER BY 1, 2",
        [NOW],
    )
    connection.execute("ANALYZE node_day")

    for query in ("day >= date '2026-02-25'", "day = date '2026-03-01' AND node = ANY('{node-1,node-2}')"):
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT used FROM node_day WHERE {query}"
        (((found,),),) = connection.execute(explain).fetchall()  # type: ignore[arg-type]
        plan = found["Plan"]
        assert plan["Actual Rows"] > 0
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 40, "of some 300"


# A world in which everything is used up soon.
@st.composite
def _arrivals(draw: st.DrawFn) -> Message:
    slot = draw(st.sampled_from([60, 60, 90]))
    start = NOON + 60 * draw(st.integers(-3, 3)) - draw(st.sampled_from([0, 0, FRESH_S + 7200]))
    found = report(
        draw(st.sampled_from(["a", "b", "c", "d"])),
        draw(st.integers(0, 3)),
        stream=draw(st.sampled_from(["u", "v", "w", "x"])),
        start=start,
        slot=slot,
        observed=[draw(st.sampled_from([0, 20]))],
    )
    return message(found, draw(st.sampled_from(["north", "south", None])))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=st.lists(_arrivals(), max_size=16), cut=st.integers(0, 16))
def test_budgets_do_not_ask_how_arrivals_are_cut(database: str, batch: list[Message], cut: int) -> None:
    """One batch, two, or one each: the same are stored, kept and refused. And no budget is ever exceeded."""
    rules = replace(FEW, node_quarantined=100, node_quarantined_bytes=10**6)
    ways = [[batch], [batch[:cut], batch[cut:]], [[one] for one in batch]]

    results = [_result(database, way, rules) for way in ways]

    assert results[1] == results[0]
    assert results[2] == results[0]
    for (node, what), used in results[0][2].items():
        assert used <= {What.STREAMS: rules.node_streams, What.ROWS: rules.node_rows}.get(what, 0), node


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=st.lists(_arrivals(), max_size=16), tries=st.integers(1, 3))
def test_what_was_refused_is_taken_when_it_comes_again(database: str, batch: list[Message], tries: int) -> None:
    """Whatever was refused for want of a budget, with enough of it the rest is what it would have been at once."""
    with psycopg.connect(database) as connection, connection.transaction(force_rollback=True):
        for _ in range(tries):
            write_batch(connection, batch, now=NOW, rules=FEW)
        write_batch(connection, batch, now=NOW)
        late = stored(connection)
    with psycopg.connect(database) as connection, connection.transaction(force_rollback=True):
        write_batch(connection, batch, now=NOW)
        at_once = stored(connection)

    assert late.received.keys() == at_once.received.keys()
    assert late.received == at_once.received
    if not at_once.quarantine:
        assert (late.counts, late.spans) == (at_once.counts, at_once.spans)


def _result(dsn: str, batches: Sequence[Sequence[Message]], rules: Rules) -> tuple[Store, Counter[Any], Counter[Any]]:
    """What the batches leave in an empty store, what was refused, what was used; the store is empty afterwards."""
    refused: Counter[Any] = Counter()
    with psycopg.connect(dsn) as connection, connection.transaction(force_rollback=True):
        for part in batches:
            if part:
                refused.update(write_batch(connection, part, now=NOW, rules=rules).refused)
        return stored(connection), refused, +used_today(connection, ["north", "south"], NOW)
