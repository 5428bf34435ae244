"""The commands about the quarantine: what they show, what they decide, what they refuse."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from footfall_contract import encode_cbor, encode_json
from footfall_ingest.__main__ import main
from footfall_ingest.flush import Message, write_batch
from footfall_ingest.judge import Reason
from footfall_ingest.quarantine import HINTS, Selection, payload_lines, selected
from footfall_testing.ingest_store import NOON, message, report, stored
from footfall_testing.newer_reports import newer

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 3600, UTC)


@pytest.fixture
def connection(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to a database on which the commands work too."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def kept(connection: Connection) -> list[int]:
    """Ids of what is in quarantine: another node's report, one of the future, and nonsense."""
    write_batch(connection, [message(report())], now=NOW)
    write_batch(
        connection,
        [
            message(report(stream="b", start=NOON + 60, cells=[(0, 0, 0, 5)]), "jena-nord"),
            message(report("b-1", start=NOON + 7200)),
            Message("jena-ost", "c-1", b"\x00\x01 nonsense"),
        ],
        now=NOW,
    )
    return list(selected(connection, Selection()))


def quarantine(*words: object) -> int:
    """Run the command; the exit status, argparse's too."""
    try:
        return main(["quarantine", *map(str, words)])
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else -1


def ids(capsys: pytest.CaptureFixture[str], *words: str) -> list[int]:
    """The ids that `list` has in JSON, with the filters `words`."""
    assert quarantine("list", "--json", *words) == 0
    return [row["id"] for row in json.loads(capsys.readouterr().out)["rows"]]


def test_every_reason_has_a_hint() -> None:
    """Whoever sees a reason sees what to do."""
    assert HINTS.keys() == set(Reason)


def test_the_list_can_be_narrowed(connection: Connection, kept: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """By reason, node, sensor and time, also together and several of each; closed ones where they are asked for."""
    strange, future, nonsense = kept
    newest_first = [nonsense, future, strange]

    assert ids(capsys) == newest_first
    assert ids(capsys, "--limit", "1") == [nonsense]
    assert ids(capsys, "--reason", "wrong-node", "--reason", "impossible") == [future, strange]
    assert ids(capsys, "--node", "jena-nord", "--node", "jena-ost") == [nonsense, strange]
    assert ids(capsys, "--sensor", "b-1") == [future]
    assert ids(capsys, "--sensor", "b-1", "--reason", "wrong-node") == []
    assert ids(capsys, "--since", "2026-03-01T13:00:00Z") == newest_first
    assert ids(capsys, "--since", "2026-03-01T14:00:01+01:00") == []
    quarantine("close", future, "--why", "seen")
    capsys.readouterr()
    assert ids(capsys) == [nonsense, strange]
    assert ids(capsys, "--all") == newest_first


def test_the_list_counts_and_says_what_to_do(
    connection: Connection, kept: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the chosen rows are counted by reason, also those that the limit left out; JSON has the counts too."""
    quarantine("list", "--limit", "1")
    table, summary = capsys.readouterr().out.split("\n\n")
    quarantine("list", "--json", "--limit", "1")
    found = json.loads(capsys.readouterr().out)
    quarantine("list", "--node", "nobody")
    nothing = capsys.readouterr().out

    assert table.splitlines()[-1] == "... and more; these are the latest 1"
    assert summary.splitlines() == [f"      1  {reason}: {HINTS[Reason(reason)]}" for reason in sorted(found["counts"])]
    assert found["counts"] == {"impossible": 1, "unreadable": 1, "wrong-node": 1}
    assert "payload" not in found["rows"][0]
    assert nothing == "nothing in quarantine is like that\n"


def test_one_row_is_shown_with_everything(
    connection: Connection, kept: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each column but its size, what to do, and the payload: a report as JSON, other things as digits and letters."""
    quarantine("show", kept[0])
    strange = capsys.readouterr().out
    quarantine("show", kept[2])
    nonsense = capsys.readouterr().out
    columns = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'quarantine'"
    ).fetchall()

    assert {name for (name,) in columns} - {"payload", "bytes"} <= {line.split(" ")[0] for line in strange.splitlines()}
    assert '"count":[5]' in strange
    assert "holds_number  True" in strange
    assert HINTS[Reason.WRONG_NODE] in strange
    assert "000000  00 01 20 6e 6f 6e 73 65 6e 73 65                 .. nonsense" in nonsense
    assert quarantine("show", 9_999) == 1
    assert "there is no row 9999" in capsys.readouterr().err


def test_payloads_are_for_people() -> None:
    """A report in either encoding, a newer one as far as it can be told, text, and anything at all."""
    found = report()

    assert list(payload_lines(encode_cbor(found)))[1] == encode_json(found).decode()
    assert list(payload_lines(newer(found)))[1] == newer(found).decode()
    assert list(payload_lines(b"\xa2\x61v\x02\x67weather\x64rain"))[1] == '{"v": 2, "weather": "rain"}'
    assert list(payload_lines("Grüße\nan alle".encode())) == ["payload, 15 bytes of text:", "Grüße", "an alle"]
    assert list(payload_lines(b"\x1b[2Jcleared"))[1].endswith(".[2Jcleared")
    assert list(payload_lines(b"")) == ["payload, 0 bytes:"]


def test_retry_says_what_became_of_them(
    connection: Connection, kept: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """How many were counted and why the others were not; named ones each with its detail; dry runs say `would`."""
    main(["sensor", "move", "markt-1", "--to", "jena-nord", "--at", "2026-03-01T12:01:00Z"])
    capsys.readouterr()

    quarantine("retry", "--dry-run", "--sensor", "markt-1")
    dry = capsys.readouterr().out
    quarantine("retry", kept[2])
    named = capsys.readouterr().out
    quarantine("retry", "--reason", "wrong-node", "--node", "jena-nord")
    one = capsys.readouterr().out
    quarantine("retry")
    rest = capsys.readouterr().out.splitlines()
    quarantine("retry", "--sensor", "markt-1")
    nothing = capsys.readouterr().out

    assert dry == "      1  would be counted\n"
    assert named.startswith(f"{kept[2]}: unreadable: payload: got ")
    assert one == "      1  counted\n"
    assert rest == ["      2  stay in quarantine", "              1  impossible", "              1  unreadable"]
    assert nothing == "there was nothing to retry\n"
    assert quarantine("retry", "--server-clock-was-wrong", "--sensor", "b-1") == 0
    assert capsys.readouterr().out == "      1  counted\n"
    assert sorted(stored(connection).counts.values()) == [1, 1, 5]


def test_a_person_decides_and_may_change_her_mind(
    connection: Connection, kept: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Closing keeps who, when and why, and the number; opened again, a row can be retried as before."""
    assert quarantine("close", *kept[:2], "--why", "a test box", "--by", "Jana") == 0
    query = "SELECT closed_at IS NOT NULL, closed_how, closed_why, closed_by, holds_number FROM quarantine ORDER BY id"
    decided = connection.execute(query).fetchall()
    refused = [quarantine("close", *kept[1:], "--why", "again"), quarantine("retry", kept[0])]
    said = capsys.readouterr().err

    assert decided.count((True, "by-hand", "a test box", "Jana", True)) == 2
    assert decided.count((False, None, None, None, False)) == 1
    assert refused == [1, 1]
    assert f"row {kept[1]} is not open: closed at " in said
    assert "(by-hand)" in said
    assert connection.execute("SELECT count(*) FROM quarantine WHERE closed_at IS NULL").fetchone() == (1,)

    assert quarantine("reopen", kept[0]) == 0
    main(["sensor", "move", "markt-1", "--to", "jena-nord", "--at", "2026-03-01T12:01:00Z"])
    assert quarantine("retry", kept[0]) == 0
    assert quarantine("reopen", kept[0]) == 1
    assert f"row {kept[0]} was not closed by a person: closed at " in capsys.readouterr().err
    assert stored(connection).counts["markt-1", NOON + 60, 0, 0] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["close", "1"], "--why"),
        (["close", "1", "--why", "  "], "--why is empty"),
        (["close", "77", "--why", "x"], "row 77 is not open: there is none"),
        (["retry", "77"], "row 77 is not open: there is none"),
        (["list", "--reason", "because"], "invalid choice: 'because'"),
        (["list", "--since", "2026-03-01"], "does not say its offset"),
        (["list", "--limit", "0"], "not 1 or more"),
        (["export", "/nowhere/at/all"], "No such file or directory"),
        (["import", "/nowhere/at/all"], "No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    connection: Connection, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """On standard error, with a status that is not 0."""
    assert quarantine(*words) in {1, 2}
    assert said in capsys.readouterr().err


def test_commands_refuse_another_schema(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """As the process does."""
    connection.execute("UPDATE alembic_version SET version_num = '0001'")

    statuses = [quarantine("list"), main(["sensor", "list"]), main(["epoch"])]

    assert statuses == [1, 1, 1]
    assert capsys.readouterr().err.count("run `footfall-ingest migrate`") == 3


def test_an_export_has_everything_and_comes_back(
    connection: Connection,
    kept: list[int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    database: str,
) -> None:
    """One JSON object a line, payload in base64, filtered as the list; what is there already stays as it is."""
    quarantine("close", kept[1], "--why", "seen")
    some, everything = tmp_path / "some", tmp_path / "everything"
    assert quarantine("export", some, "--reason", "unreadable") == 0
    assert quarantine("export", everything, "--all") == 0
    capsys.readouterr()
    quarantine("export", "-")
    to_stdout = capsys.readouterr().out

    rows = [json.loads(line) for line in everything.read_text("utf-8").splitlines()]
    (nonsense,) = [json.loads(line) for line in some.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == kept
    assert base64.b64decode(nonsense["payload"]) == b"\x00\x01 nonsense"
    assert [json.loads(line)["id"] for line in to_stdout.splitlines()] == [kept[0], kept[2]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["everything", "some"]

    columns = (
        "kind, reason, detail, node, sensor, topic_sensor, stream, seq, payload, content, first_seen, last_seen, "
        "times, program, closed_at, closed_how, closed_why, closed_by"
    )
    all_rows = f"SELECT {columns} FROM quarantine ORDER BY first_seen"
    before = connection.execute(all_rows).fetchall()  # type: ignore[arg-type]
    connection.execute("DELETE FROM quarantine WHERE id <> %s", [kept[0]])
    assert quarantine("import", everything) == 0
    assert capsys.readouterr().out == "imported 2, there already 1\n"
    assert connection.execute(all_rows).fetchall() == before  # type: ignore[arg-type]


def test_what_is_imported_is_counted_only_if_its_number_is_free(
    connection: Connection, kept: list[int], tmp_path: Path
) -> None:
    """Its row holds no number here: received meanwhile it is a duplicate, else it is counted and marked."""
    exported = tmp_path / "rows"
    main(["sensor", "move", "markt-1", "--to", "jena-nord", "--at", "2026-03-01T12:01:00Z"])
    quarantine("export", exported, "--sensor", "markt-1")
    connection.execute("DELETE FROM quarantine")
    quarantine("import", exported)
    quarantine("retry")
    assert connection.execute("SELECT closed_how FROM quarantine").fetchall() == [("duplicate",)]

    connection.execute("DELETE FROM quarantine; DELETE FROM stream WHERE node = 'jena-nord'")
    quarantine("import", exported)
    quarantine("retry")

    assert connection.execute("SELECT closed_how FROM quarantine").fetchall() == [("counted",)]
    assert stored(connection).counts["markt-1", NOON + 60, 0, 0] == 5


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"payload": "§"}'])
def test_what_is_no_export_is_refused_whole(
    connection: Connection, kept: list[int], capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str
) -> None:
    """With the number of the line; the sound lines before it are not imported either."""
    exported = tmp_path / "rows"
    quarantine("export", exported, "--sensor", "markt-1")
    connection.execute("DELETE FROM quarantine")
    exported.write_text(exported.read_text("utf-8") + line + "\n", "utf-8")

    assert quarantine("import", exported) == 1

    assert "line 2 is no row of an export" in capsys.readouterr().err
    assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
