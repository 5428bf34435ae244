"""The command line and the settings: what they do, what they refuse, and an example that is up to date."""

import os
import re
from pathlib import Path

import psycopg
import pytest

from footfall_contract import __version__
from footfall_ingest import quarantine
from footfall_ingest.__main__ import main
from footfall_ingest.database import is_transient
from footfall_ingest.settings import IngestSettings
from footfall_role.settings import SettingsError

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = DEPLOY / "ingest.toml.example"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in [name for name in os.environ if name.startswith("FOOTFALL_")]:
        monkeypatch.delenv(name)


def config(folder: Path, dsn: str) -> str:
    """The path of a settings file with a database."""
    path = folder / "ingest.toml"
    path.write_text(f'[database]\ndsn = "{dsn}"\n')
    return str(path)


def test_a_database_is_set_up_by_two_commands(
    blank_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`migrate`, then `stations apply`; both may be repeated and say what they did."""
    words = ["--config", config(tmp_path, blank_database)]
    stations = str(DEPLOY / "jena" / "stations.geojson")

    statuses = [main([*words, "migrate"]), main(["migrate", *words])]
    migrated = capsys.readouterr().out
    statuses += [main(["stations", "apply", *words, stations]), main([*words, "stations", "apply", stations])]
    applied = capsys.readouterr().out.splitlines()

    assert statuses == [0, 0, 0, 0]
    assert migrated == "the schema is up to date\n" * 2
    assert [line.split()[0] for line in applied] == ["created"] * 6 + ["unchanged"] * 6


def test_quarantine_is_listed(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with the latest first; closed rows are left out; nothing is a sentence."""
    words = ["--config", config(tmp_path, database), "quarantine", "list"]
    main(words)
    nothing = capsys.readouterr().out
    with psycopg.connect(database) as connection:
        connection.execute(
            """
            INSERT INTO quarantine
                (reason, detail, node, sensor, seq, payload, content, first_seen, last_seen, closed_at)
            SELECT reason, reason || ' it is', node, 'markt-1', 7, '', sha256(reason::bytea), seen, seen, closed
            FROM (VALUES
                ('too-old', 'jena-nord', timestamptz '2026-03-01 12:00Z', null),
                ('impossible', null, '2026-03-01 13:00+01', null),
                ('unreadable', 'x', '2026-03-01 13:00Z', null),
                ('wrong-node', 'x', '2026-03-01 14:00Z', now())
            ) AS row (reason, node, seen, closed)
            """
        )
        connection.commit()
        limited = list(quarantine.lines(connection, limit=2))

    assert main(words) == 0
    lines, summary = (part.splitlines() for part in capsys.readouterr().out.split("\n\n"))
    assert nothing == "nothing is in quarantine\n"
    assert re.split(r"  +", lines[0]) == ["id", "last seen (UTC)", "times", "reason", "node", "sensor", "seq", "detail"]
    assert [re.split(r"  +", line)[3] for line in lines[1:]] == ["unreadable", "impossible", "too-old"]
    assert re.split(r"  +", lines[2])[1:] == [
        "2026-03-01 12:00:00",
        "1",
        "impossible",
        "-",
        "markt-1",
        "7",
        "impossible it is",
    ]
    assert [line.split(":")[0].split() for line in summary] == [
        ["1", "impossible"],
        ["1", "too-old"],
        ["1", "unreadable"],
    ]
    assert len(limited[: limited.index("")]) == 4
    assert limited[limited.index("") - 1] == "... and more; these are the latest 2"


def test_a_refusal_is_a_sentence_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A database that is not there, a file that is no stations file, a bad setting: a sentence and no traceback.

    The status tells what may be better the next time from what will not be.
    """
    nowhere = config(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing")
    bad = tmp_path / "bad.toml"
    bad.write_text("[flush]\ninterval_s = -1\n")

    statuses = [
        main(["--config", nowhere, "migrate"]),
        main(["--config", nowhere, "quarantine", "list"]),
        main(["--config", nowhere, "stations", "apply", nowhere]),
        main(["--config", str(bad)]),
        main(["--config", str(tmp_path / "none.toml")]),
    ]

    out, err = capsys.readouterr()
    assert statuses == [1, 1, 1, 78, 78]
    assert out == ""
    assert all(line.startswith("footfall-ingest: ") for line in err.splitlines())
    for said in ("could not be migrated", "Connection refused", "not JSON", "flush.interval_s", "none.toml: cannot be"):
        assert said in err


def test_the_settings_in_force_are_shown_without_the_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database is may be seen, how one gets in may not."""
    path = config(tmp_path, "postgresql://ingest:geheim@db.example/footfall")
    monkeypatch.setenv("FOOTFALL_MQTT__PASSWORD", "geheim")

    assert main(["--config", path, "--print-config"]) == 0

    shown = capsys.readouterr().out
    assert "db.example" in shown
    assert "geheim" not in shown
    assert shown.count("********") == 2


def test_the_connection_url_may_stand_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any secret may: a password is part of it."""
    (tmp_path / "dsn").write_text("postgresql://ingest@db.example/footfall\n")
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN_FILE", str(tmp_path / "dsn"))

    assert IngestSettings.load(None).database.dsn == "postgresql://ingest@db.example/footfall"


def test_a_password_that_everybody_tries_is_refused_before_anything_is_connected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the database and that of the broker, for each command; the settings can be shown all the same."""
    path = config(tmp_path, "postgresql://ingest:footfall@127.0.0.1:1/footfall")
    monkeypatch.setenv("FOOTFALL_MQTT__PASSWORD", "footfall-ingest-1")

    for words in (["migrate"], ["stations", "apply", "none.geojson"], []):
        assert main(["--config", path, *words]) != 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3
        assert "dsn in [database]" in lines[0]
        assert "password in [mqtt]" in lines[1]
        assert "unsafe = true" in lines[2]
    assert main(["--config", path, "--print-config"]) == 0


def test_who_means_it_is_warned_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With unsafe = true the next thing that fails is the database that is not there."""
    path = Path(config(tmp_path, "postgresql://ingest:footfall@127.0.0.1:1/footfall"))
    path.write_text("unsafe = true\n" + path.read_text())

    assert main(["--config", str(path), "migrate"]) == 1

    said = capsys.readouterr().err
    assert "WARNING footfall_role.unsafe unsafe: the password in dsn in [database]" in said
    assert "could not be migrated" in said


def test_the_version_and_the_help_need_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """And leave with status 0."""
    for words in (["--version"], ["--help"], ["stations", "apply", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0

    assert f"footfall-ingest {__version__}" in capsys.readouterr().out


def test_the_example_has_the_defaults() -> None:
    """Whoever copies it has changed nothing yet."""
    assert IngestSettings.load(EXAMPLE) == IngestSettings()


def test_the_example_names_every_setting() -> None:
    """None is to be found in the code only."""
    text = EXAMPLE.read_text("utf-8")
    for section, field in IngestSettings.model_fields.items():
        names = getattr(field.annotation, "model_fields", None)
        place = text.split(f"\n[{section}]")[1].split("\n[")[0] if names else text
        for name in names or [section]:
            assert re.search(rf"^#? ?{name} = ", place, re.MULTILINE), f"[{section}] {name}"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[database]\ndsn = "hurz"', "database.dsn: must be like postgresql://user@host/database"),
        ("[flush]\nmax_reports = 0", "flush.max_reports"),
        ("[flush]\nevery = 1", "flush.every is not a setting"),
        ('[rules]\noldest = "gestern"', "rules.oldest"),
        ('[mqtt]\nclient_id = ""', "mqtt.client_id"),
        ('[mqtt]\nshare = "a/b"', "mqtt.share: must be a name without / + #"),
        ('[mqtt]\nshare = "a+"', "mqtt.share: must be a name without / + #"),
        ('[mqtt]\nshare = "#"', "mqtt.share: must be a name without / + #"),
        ('[mqtt]\nshare = ""', "mqtt.share"),
        ("workers = 0", "workers"),
        ("workers = 3\n[metrics]\nport = 65534", "metrics.port: 3 workers take as many ports from 65534 on"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, toml: str, said: str) -> None:
    """With the setting's name, before anything is connected."""
    path = tmp_path / "ingest.toml"
    path.write_text(toml)

    with pytest.raises(SettingsError, match=re.escape(said)):
        IngestSettings.load(path)


def test_the_oldest_day_begins_in_utc() -> None:
    """2015-01-01T00:00Z."""
    assert IngestSettings().rules.oldest_utc == 1_420_070_400


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (psycopg.OperationalError("connection refused"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.CannotConnectNow(), True),
        (psycopg.errors.DeadlockDetected(), True),
        (psycopg.errors.SerializationFailure(), True),
        (psycopg.errors.DiskFull(), True),
        (psycopg.errors.TooManyConnections(), True),
        (psycopg.errors.LockNotAvailable(), True),
        (psycopg.errors.ReadOnlySqlTransaction(), True),
        (psycopg.errors.UndefinedTable(), False),
        (psycopg.errors.InsufficientPrivilege(), False),
        (psycopg.errors.NumericValueOutOfRange(), False),
        (psycopg.errors.CheckViolation(), False),
        (psycopg.ProgrammingError("a mistake of ours"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_place_says_what_will_pass(error: psycopg.Error, transient: bool) -> None:
    """The server, the network and locks may be better next time; what was asked for will not be."""
    assert is_transient(error) is transient
