"""A sensor belongs to one node at a time, by date: the commands, and what they mean for reports."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_contract import encode_cbor
from footfall_contract.batch import decode_batch
from footfall_ingest.__main__ import main
from footfall_ingest.flush import write_batch
from footfall_ingest.judge import Claim, Finding, Rules, owner, wrong_node
from footfall_ingest.moments import moment
from footfall_ingest.sensors import lines, plan
from footfall_testing.ingest_store import NOON, message, report

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 86_400, UTC)
NOON_TEXT = "2026-03-01T13:00:00+01:00"


@pytest.fixture
def connection(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a database on which the commands work too."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def claims(connection: Connection) -> list[tuple[float, str]]:
    """The claims of the only sensor, ascending by time."""
    query = "SELECT extract(epoch FROM valid_from)::float8, node FROM sensor_node ORDER BY valid_from"
    return connection.execute(query).fetchall()


def test_a_move_says_what_it_means_and_what_can_be_retried(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the time on the sensor is the other node's; its reports that came too early are counted by that command."""
    write_batch(connection, [message(report(seq=0))], now=NOW)
    early = [message(report(stream="new", seq=seq, start=NOON + 60 * (seq - 1)), "jena-nord") for seq in range(3)]
    write_batch(connection, early, now=NOW)

    status = main(["sensor", "move", "markt-1", "--to", "jena-nord", "--at", NOON_TEXT])

    said = capsys.readouterr().out.splitlines()
    assert status == 0
    assert claims(connection) == [(-inf, "jena-sued"), (NOON, "jena-nord")]
    assert said[0] == "sensor markt-1 belongs to node jena-nord from 2026-03-01T12:00:00Z on"
    assert said[1] == "before that it belongs to node jena-sued"
    assert said[2].startswith("3 reports of it by jena-nord are in quarantine as wrong-node")
    command = said[2].rsplit("footfall-ingest ", 1)[1].split()
    assert main(command) == 0
    assert capsys.readouterr().out.split() == ["2", "counted", "1", "stay", "in", "quarantine", "1", "wrong-node"]


def test_a_move_before_a_later_one_holds_until_then(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """The later change stays, and it is said whose the sensor is from then on."""
    write_batch(connection, [message(report())], now=NOW)
    main(["sensor", "move", "markt-1", "--to", "jena-west", "--at", "2026-03-03T00:00:00Z"])
    capsys.readouterr()

    main(["sensor", "move", "markt-1", "--to", "jena-nord", "--at", "2026-03-02T00:00:00Z"])

    assert capsys.readouterr().out.splitlines()[0] == (
        "sensor markt-1 belongs to node jena-nord from 2026-03-02T00:00:00Z on until 2026-03-03T00:00:00Z, "
        "when it is jena-west's"
    )
    assert [node for _, node in claims(connection)] == ["jena-sued", "jena-nord", "jena-west"]


def test_a_mistaken_move_is_corrected_at_the_same_time(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the right node, or back to the one before, which leaves no trace."""
    write_batch(connection, [message(report())], now=NOW)
    words = ["sensor", "move", "markt-1", "--at", NOON_TEXT, "--to"]
    main([*words, "jena-west"])
    main([*words, "jena-nord"])
    assert claims(connection) == [(-inf, "jena-sued"), (NOON, "jena-nord")]
    assert "the change to node jena-west at the same time is taken back" in capsys.readouterr().out

    main([*words, "jena-sued"])

    assert claims(connection) == [(-inf, "jena-sued")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere-1", "--to", "jena-nord", "--at", NOON_TEXT], "there is no sensor nowhere-1"),
        (
            ["markt-1", "--to", "jena-sued", "--at", NOON_TEXT],
            "sensor markt-1 belongs to node jena-sued from its first report on already",
        ),
        (["markt-1", "--to", "Jena Nord", "--at", NOON_TEXT], "'Jena Nord' is no id"),
        (["Markt!", "--to", "jena-nord", "--at", NOON_TEXT], "'Markt!' is no id"),
        (["markt-1", "--to", "jena-nord", "--at", "2026-03-01T12:00:00"], "does not say its offset from UTC"),
        (["markt-1", "--to", "jena-nord", "--at", "gestern"], "is no time like"),
        (["markt-1", "--to", "jena-nord", "--at", "2026-03-01T12:00:00.5Z"], "is finer than a second"),
        (["markt-1", "--to", "jena-nord"], "--at"),
    ],
)
def test_what_is_no_move_is_refused_in_a_sentence(
    connection: Connection, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """With status 1 or 2, and nothing is changed: no sensor is made up, no claim is written."""
    write_batch(connection, [message(report())], now=NOW)

    try:
        status = main(["sensor", "move", *words])
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else -1

    assert status in {1, 2}
    assert said in capsys.readouterr().err
    assert claims(connection) == [(-inf, "jena-sued")]
    assert connection.execute("SELECT count(*) FROM sensor").fetchone() == (1,)


def test_the_list_says_whose_each_sensor_is(connection: Connection) -> None:
    """Now, since when, and what is to come; a sensor that only a station has is there too."""
    assert lines(connection, NOW)[0].startswith("there is no sensor yet")
    write_batch(connection, [message(report()), message(report("b-1"), "jena-ost")], now=NOW)
    write_batch(connection, [message(report(stream="x"), "jena-nord")], now=NOW)
    connection.execute("INSERT INTO sensor (id) VALUES ('c-1')")
    main(["sensor", "move", "markt-1", "--to", "jena-nord", "--at", NOON_TEXT])
    main(["sensor", "move", "markt-1", "--to", "jena-west", "--at", "2026-04-01T00:00:00Z"])

    table = [line.split("  ") for line in lines(connection, NOW)]
    found = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in table[1:]}

    assert found["b-1"][:3] == ["jena-ost", "its first report", "-"]
    assert found["markt-1"][:3] == ["jena-nord", "2026-03-01T12:00:00Z", "jena-west from 2026-04-01T00:00:00Z"]
    assert found["markt-1"][4] == "1"
    assert found["c-1"] == ["-", "-", "-", "-", "0"]
    assert list(found) == ["b-1", "c-1", "markt-1"]


def test_now_and_any_offset_are_times() -> None:
    """In UTC, in whole seconds."""
    assert moment("2026-03-29T03:00:00+02:00") == moment("2026-03-29T01:00:00Z") == moment("2026-03-29T02:00:00+01:00")
    assert moment("now").microsecond == 0
    assert abs(moment("now") - datetime.now(UTC)) < timedelta(seconds=60)
    with pytest.raises(argparse.ArgumentTypeError):
        moment("0001-01-01T00:00:00+14:00")


NODES = ("a", "b", "c")
_CLAIMS = st.dictionaries(st.integers(0, 12), st.sampled_from(NODES), max_size=4).map(
    lambda found: [Claim(since, node) for since, node in sorted(found.items())]
)


@given(st.one_of(st.just([]), st.just([Claim(-inf, "a")])), _CLAIMS, st.sampled_from(NODES), st.integers(0, 12))
def test_a_move_changes_the_owner_from_its_time_to_the_next_change(
    first: list[Claim], later: list[Claim], node: str, at: int
) -> None:
    """Second by second: the node's from then until the next claim, unchanged before and after; the plan says so."""
    before = first + later
    found = plan(before, node, at)
    if found is None:
        assert owner(before, at) == node
        return
    after = [claim for claim in before if claim != found.replaces] + ([Claim(at, node)] if found.begins else [])
    after.sort(key=lambda claim: claim.since)

    end = found.later.since if found.later else inf
    for second in range(-1, 14):
        assert owner(after, second) == (node if at <= second < end else owner(before, second))
    assert len({claim.since for claim in after}) == len(after)
    assert found.before == owner(before, at - 1)


def judged(found: Any, node: str, owners: Sequence[Claim]) -> list[Finding]:
    """What `wrong_node` finds in one report."""
    return wrong_node(decode_batch([encode_cbor(found)]), np.arange(1), [node], {0: owners}, rules=Rules())[0]


@given(_CLAIMS.filter(bool), st.sampled_from(NODES), st.integers(0, 12), st.integers(1, 12))
def test_a_span_is_its_nodes_from_beginning_to_end(owners: list[Claim], node: str, start: int, length: int) -> None:
    """It passes exactly if every second of it is its node's."""
    span = report(start=start + 1, slot=length + 60, observed=[0])  # never a slot: longer than any
    moved = [
        Claim(claim.since + 1 if claim.since <= start + length else claim.since + 60, claim.node) for claim in owners
    ]

    findings = judged(span, node, moved)

    whole = {owner(moved, second) for second in range(start + 1, start + 1 + length + 60)}
    assert (findings == []) == (whole == {node})


def test_a_span_over_a_time_at_another_box_says_what_to_do() -> None:
    """The sensor was at b and came back to a: a's running total has b's passages in it.

    12:00  12:10     12:50  13:00
    a      |  b      |  a   |
    [   the span of a       ]
    """
    owners = [Claim(-inf, "a"), Claim(NOON + 600, "b"), Claim(NOON + 3000, "a")]
    total = report(slot=3600, observed=[0], cells=[(0, 0, 0, 70)])

    (finding,) = judged(total, "a", owners)

    assert finding.reason == "wrong-node"
    assert "belongs to node b from 2026-03-01T12:10:00Z on" in finding.detail
    assert "ends at 2026-03-01T13:00:00Z" in finding.detail
    assert "footfall-ingest sensor move" in finding.detail


def test_slots_are_judged_by_their_beginning_alone() -> None:
    """A report of slots that reaches over the change counts: it measured what it says."""
    owners = [Claim(-inf, "a"), Claim(NOON + 30, "b")]

    assert judged(report(slot=10, observed=[10] * 6), "a", owners) == []
    assert judged(report(slot=60, observed=[60]), "a", owners) == []
    assert len(judged(report(start=NOON + 30, slot=10, observed=[10]), "a", owners)) == 1
