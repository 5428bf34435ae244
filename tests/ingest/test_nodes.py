"""``footfall-ingest node`` on its files, without a broker: tests/deploy/test_broker.py has one."""

import base64
import logging
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from footfall_ingest import nodes_accounts, nodes_folder
from footfall_ingest.__main__ import main
from footfall_ingest.commands import RefusedError
from footfall_ingest.nodes_files import passwords, rules_in
from footfall_ingest.nodes_rules import Account, hashed, rules
from footfall_ingest.settings import IngestSettings
from footfall_testing.boxes import Boxes

Node = Callable[..., int]

SERVICES = "user footfall-ingest\ntopic read footfall/v1/#\nuser weather\ntopic weather/#\n"

needs_signing = pytest.mark.skipif(
    not nodes_accounts.can_sign(), reason="cryptography is not installed: pip install 'footfall[ingest]'"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The broker's folder."""
    path = tmp_path / "footfall"
    path.mkdir()
    (path / "services.acl").write_text(SERVICES)
    return path


@pytest.fixture
def node(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """The command, with settings of the test; keyword arguments are settings in [nodes]."""
    for name in [name for name in os.environ if name.startswith("FOOTFALL_")]:
        monkeypatch.delenv(name)

    def run(*words: str, **settings: str) -> int:
        given = {
            "folder": f'"{folder}"',
            "ca_key": f'"{tmp_path}/nodes-ca.key"',
            "host": '"broker.example"',
            "owner": '""',
            "public_certificate": "true",
            **settings,
        }
        config = tmp_path / "ingest.toml"
        lines = [f"{key} = {value}" for key, value in given.items()]
        config.write_text("\n".join(['[database]\ndsn = "postgresql://nobody@127.0.0.1:1/x"', "[nodes]", *lines]))
        return main(["--config", str(config), "node", *words])

    return run


def read(folder: Path, name: str) -> str:
    return (folder / name).read_text("utf-8")


def test_an_account_is_made_listed_changed_and_taken_away(
    node: Node, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its box needs is shown once; the list shows what there is."""
    assert node("add", "jena-nord") == 0
    shown = capsys.readouterr()
    assert node("rotate", "jena-nord") == 0
    assert node("list") == 0
    listed = capsys.readouterr().out.splitlines()
    assert node("revoke", "--account", "jena-nord") == 0
    assert passwords(read(folder, "nodes.passwd"), "f") == ["jena-nord.1"]
    assert list(rules_in(read(folder, "nodes.acl"), "f").users) == ["jena-nord.1"]
    assert node("rotate", "jena-nord") == 0
    assert node("revoke", "jena-nord") == 0

    head, password = shown.out.split("\n# /etc/footfall/secrets/mqtt-password, mode 0600 and root's:\n")
    assert tomllib.loads(head) == {
        "node": "jena-nord",
        "mqtt": {"host": "broker.example", "port": 8883, "tls": True, "username": "jena-nord"},
        "outbox": {"path": "/var/lib/footfall-edge/outbox.sqlite"},
    }
    assert len(password.strip()) == 32
    assert "systemctl reload mosquitto" in shown.err
    rows = [line.split() for line in listed if not line.startswith("#")]
    assert ["jena-nord", "jena-nord", "password", "-", "-", "-", "-"] in rows
    assert ["jena-nord", "jena-nord.1", "password", "-", "-", "-", "-"] in rows
    assert passwords(read(folder, "nodes.passwd"), "f") == []
    assert rules_in(read(folder, "nodes.acl"), "f").users == {}


def test_the_password_is_the_one_that_is_kept_as_a_hash(
    node: Node, folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It stands nowhere else: in no file of the broker, in no log."""
    with caplog.at_level(logging.DEBUG):
        node("add", "jena-nord")
    password = capsys.readouterr().out.split()[-1]

    salt = read(folder, "nodes.passwd").strip().split("$")[3]
    assert read(folder, "nodes.passwd").splitlines()[-1] == f"jena-nord:{hashed(password, base64.b64decode(salt))}"
    assert all(password not in path.read_text() for path in folder.iterdir())
    assert password not in caplog.text


def test_a_secret_may_go_into_files_of_its_own(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readable for their owner alone, and then it is not shown; nothing is overwritten."""
    out = tmp_path / "deep" / "box"
    assert node("add", "jena-nord", "--out", str(out)) == 0
    assert node("rotate", "jena-nord", "--out", str(out)) == 0
    said = capsys.readouterr().out

    secret = (out / "jena-nord-mqtt-password").read_text().strip()
    assert {path.name for path in out.iterdir()} == {
        "jena-nord-edge.toml",
        "jena-nord-mqtt-password",
        "jena-nord.1-edge.toml",
        "jena-nord.1-mqtt-password",
    }
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    assert out.stat().st_mode & 0o777 == 0o700
    assert secret not in said
    assert node("revoke", "jena-nord") == 0
    assert node("add", "jena-nord", "--out", str(out)) == 1
    assert "is there already" in capsys.readouterr().err
    assert node("list") == 0
    assert "jena-nord" not in capsys.readouterr().out


def test_lines_of_others_stay(node: Node, folder: Path) -> None:
    """And so do owner and mode of the files."""
    weather = f"# the weather\nweather:{hashed('x')}\n"
    theirs = "# the weather\nuser weather\ntopic readwrite weather/#\npattern read public/%u\n"
    (folder / "nodes.passwd").write_text(weather)
    (folder / "nodes.acl").write_text(theirs)
    (folder / "nodes.acl").chmod(0o604)
    owner = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(folder / "nodes.passwd", *owner)

    for words in (["add", "jena-nord"], ["rotate", "jena-nord"], ["revoke", "jena-nord"]):
        assert node(*words) == 0

    assert read(folder, "nodes.passwd") == weather
    assert read(folder, "nodes.acl") == theirs
    assert (folder / "nodes.acl").stat().st_mode & 0o777 == 0o604
    assert ((folder / "nodes.passwd").stat().st_uid, (folder / "nodes.passwd").stat().st_gid) == owner
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [".lock"], "nothing half-written"


@needs_signing
def test_at_no_moment_has_an_account_no_rules(node: Node, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each single file that is written: the broker may be told to reload at any time."""
    assert node("ca", "init", "--host", "localhost") == 0
    written = []
    replace = nodes_folder.replace

    def looking(path: Path, *rest: Any) -> None:
        replace(path, *rest)
        written.append(path.name)
        settings = IngestSettings.load(folder.parent / "ingest.toml")
        found = nodes_accounts.known(settings)
        able = {*found.with_password, *(one.account for one in found.issued)}
        assert {name: list(found.with_rules.get(name, ())) for name in able} == {
            name: rules(account)[1:] for name in able if (account := Account.named(name))
        }

    monkeypatch.setattr(nodes_folder, "replace", looking)
    for words in (
        ["add", "a"],
        ["add", "b", "--certificate"],
        ["rotate", "a", "--certificate"],
        ["rotate", "b", "--password"],
        ["revoke", "--account", "a"],
        ["revoke", "b"],
        ["revoke", "a"],
    ):
        assert node(*words) == 0

    assert {"nodes.acl", "nodes.passwd", "nodes.crl"} <= set(written)
    assert nodes_accounts.known(IngestSettings.load(folder.parent / "ingest.toml")).logins() == {}


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (["add", "Jena"], {}, "'Jena' is no id of a node: expected 1 to 63 of a-z"),
        (["add", "jena.1"], {}, "'jena.1' is no id of a node"),
        (["add", "footfall-ingest"], {}, "is what a process of footfall itself is called"),
        (["add", "weather"], {}, "is what a process of footfall itself is called"),
        (["add", "a"], {"host": '""'}, "[nodes] host is not set"),
        (["add", "a"], {"public_certificate": "false"}, "for the box to know the broker by"),
        (["add", "a"], {"folder": '"/nowhere"'}, "there is no folder /nowhere"),
        (["add", "a"], {"owner": '"no-such-account"'}, "there is no account no-such-account on this machine"),
        (
            ["add", "there"],
            {},
            "there has the account there already; `footfall-ingest node rotate there` makes one more",
        ),
        (["rotate", "a"], {}, "a has no account; `footfall-ingest node add a` makes one"),
        (["revoke", "a"], {}, "there is no account of a"),
        (["revoke", "--account", "there.1"], {}, "there is no account there.1"),
        (["service", "nobody"], {}, "nobody is not in "),
        (["ca", "init"], {"host": '""'}, "under which name do boxes reach the broker?"),
        (["ca", "server"], {}, "make the authority with `footfall-ingest node ca init`"),
        (["add", "a", "--certificate"], {}, "make the authority with `footfall-ingest node ca init`"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(
    node: Node,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    words: list[str],
    settings: dict[str, str],
    said: str,
) -> None:
    """With status 1, and no file is changed."""
    if "ca" in words[0] or "--certificate" in words:
        pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'footfall[ingest]'")
    assert node("add", "there") == 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()

    assert node(*words, **settings) == 1

    out, err = capsys.readouterr()
    assert said in err
    assert out == ""
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("nodes.passwd", b"hello\n"),
        ("nodes.acl", b"user there\ntopic reed x\n"),
        ("services.passwd", b"a:b\n"),
        ("services.acl", b"hello\n"),
        ("nodes.acl", b"# \xff\n"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    node: Node, folder: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes
) -> None:
    """By every command that would make the broker read it; none of them touches it."""
    assert node("add", "there") == 0
    (folder / file).write_bytes(content)
    capsys.readouterr()

    for words in (["add", "a"], ["rotate", "there"], ["revoke", "there"], ["list"], ["check"]):
        assert node(*words) == 1
        assert f"{folder / file} line " in capsys.readouterr().err

    assert (folder / file).read_bytes() == content


def test_certificates_need_a_package_and_say_which(
    node: Node, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passwords do not."""
    monkeypatch.setattr(nodes_accounts, "can_sign", lambda: False)
    (folder / "issued").mkdir()
    (folder / "issued" / "1.crt").write_text("not looked at")

    assert node("add", "jena-nord") == 0
    assert node("rotate", "jena-nord", "--certificate") == 1
    assert node("ca", "init", "--host", "localhost") == 1
    refused = capsys.readouterr().err
    assert node("revoke", "jena-nord") == 0

    assert refused.count("pip install 'footfall[ingest]'") == 2
    assert "certificates were not looked at" in capsys.readouterr().err


def test_a_reload_that_fails_is_said(node: Node, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files are written, and the broker does not know them; a revocation is finished all the same."""
    for command in ('["false"]', '["/no/such/program"]', '["sh", "-c", "echo no broker >&2; exit 3"]'):
        assert node("add", "jena-nord", reload=command) == 1
        assert "the files are written, but " in capsys.readouterr().err
        assert passwords(read(folder, "nodes.passwd"), "f") == ["jena-nord"]
        assert node("revoke", "jena-nord", reload=command) == 1
        assert "the broker works on with what it had read before" in capsys.readouterr().err
        assert passwords(read(folder, "nodes.passwd"), "f") == []
        assert rules_in(read(folder, "nodes.acl"), "f").users == {}


def test_a_broker_that_cannot_be_spoken_to_is_said(
    node: Node, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then a connection may go on that may do nothing any more; the visitor is gone from the file."""
    (folder / "services.passwd").write_text(f"footfall-ingest:{hashed('x')}\n")
    before = read(folder, "services.passwd")
    node("add", "jena-nord")

    assert node("revoke", "jena-nord", reload='["true"]') == 0

    assert "connections could not be ended: 127.0.0.1:1883" in capsys.readouterr().err
    assert read(folder, "services.passwd") == before


def test_commands_at_the_same_time_take_turns(folder: Path, tmp_path: Path, node: Node) -> None:
    """Six processes, six accounts."""
    node("list")
    names = [f"node-{n}" for n in range(6)]
    words = [sys.executable, "-m", "footfall_ingest", "--config", str(tmp_path / "ingest.toml"), "node", "add"]
    running = [subprocess.Popen([*words, name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in names]
    for process in running:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors

    assert sorted(passwords(read(folder, "nodes.passwd"), "f")) == names
    assert sorted(rules_in(read(folder, "nodes.acl"), "f").users) == names


@needs_signing
def test_the_list_shows_when_certificates_end_and_what_nodes_say(
    node: Node, database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node without an account is shown too; one whose certificate ends soon has a number of days."""
    since = datetime(2026, 3, 1, 12, tzinfo=UTC)
    Boxes(database).status("jena-nord", since=since, at=since)
    Boxes(database).status("jena-ost", "offline", since=since, at=since)
    node("ca", "init", "--host", "localhost")
    node("add", "jena-nord", "--certificate", certificate_days="20")
    node("add", "jena-sued", "--elsewhere")
    capsys.readouterr()
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)

    assert node("list") == 0

    first, *lines = capsys.readouterr().out.splitlines()
    columns = [first.index(word) for word in ("node", "account", "logs in", "until", "says", "since", "last")]
    cells = [[line[a:b].strip() for a, b in zip(columns, [*columns[1:], None], strict=True)] for line in lines]
    moment = "2026-03-01T12:00:00Z"
    assert [row[:3] + row[4:] for row in cells] == [
        ["jena-nord", "jena-nord", "certificate", "online", moment, moment],
        ["jena-sued", "jena-sued", "elsewhere", "-", "-", "-"],
        ["jena-ost", "-", "-", "offline", moment, moment],
    ]
    assert cells[0][3].endswith(("in 19 days", "in 20 days"))


@needs_signing
def test_a_certificate_is_revoked_although_the_key_of_the_authority_is_elsewhere(
    node: Node, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rules go, so it may do nothing; that it could connect is said, with status 1."""
    node("ca", "init", "--host", "localhost")
    node("add", "jena-nord", "--certificate")
    (tmp_path / "nodes-ca.key").unlink()
    capsys.readouterr()

    assert node("revoke", "jena-nord") == 1

    assert "is not on the list of revoked ones" in capsys.readouterr().err
    assert rules_in(read(folder, "nodes.acl"), "f").users == {}


@needs_signing
def test_an_authority_is_made_once(
    node: Node, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its key is for nobody else to read; a second one would make strangers of all boxes, so it is refused."""
    assert node("ca", "init", "--no-server") == 0
    assert not (folder / "server.crt").exists()
    assert (tmp_path / "nodes-ca.key").stat().st_mode & 0o777 == 0o600
    before = (folder / "ca.crt").read_bytes()

    assert node("ca", "init", "--host", "localhost") == 1

    assert "is there already" in capsys.readouterr().err
    assert (folder / "ca.crt").read_bytes() == before


@needs_signing
def test_a_name_too_long_for_a_certificate_is_refused(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """64 characters are what X.509 has room for; the id of a node has 63, and its second account more."""
    name = "a" * 63
    node("ca", "init", "--host", "localhost")
    assert node("add", name, "--certificate") == 0

    assert node("rotate", name) == 1
    assert "more than 64 characters" in capsys.readouterr().err
    assert node("rotate", name, "--password") == 0


def test_a_service_gets_a_new_password(node: Node, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the password and nothing else, so that it can become a file."""
    assert node("service", "footfall-ingest") == 0
    first = capsys.readouterr().out
    assert node("service", "footfall-ingest") == 0
    second = capsys.readouterr().out

    assert len(first) == len(second) == 33
    assert first != second
    assert passwords(read(folder, "services.passwd"), "f") == ["footfall-ingest"]


def test_a_file_that_cannot_be_written_is_unchanged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full leaves the old content, whole, and nothing beside it."""
    path = folder / "nodes.acl"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RefusedError, match="No space left"):
        nodes_folder.replace(path, "new", None, 0o640)

    assert path.read_text() == "old"
    assert [one.name for one in folder.iterdir() if one.name != "services.acl"] == ["nodes.acl"]


def test_the_list_without_a_database(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """It shows what the files say, and that the rest is missing."""
    assert node("list") == 0

    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "the database does not tell" in err
