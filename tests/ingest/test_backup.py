"""``footfall-ingest backup``, ``restore`` and ``verify``, with real servers and PostgreSQL's own programs."""

import json
import os
import re
import secrets
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from footfall_demo.broker import Broker
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest import backup, backup_manifest, backup_programs, backup_restore
from footfall_ingest.__main__ import main
from footfall_ingest.backup_manifest import Manifest
from footfall_ingest.commands import RefusedError
from footfall_ingest.epochs import settle
from footfall_ingest.flush import write_batch
from footfall_ingest.migrate import migrate
from footfall_ingest.rollup import roll_up
from footfall_testing.databases import DatabaseServer, migrated_to
from footfall_testing.edge_box import NOW, Box, Line
from footfall_testing.ingest_process import ingest, settings_for
from footfall_testing.ingest_store import NOON, message, report, stored
from footfall_testing.waiting import wait_until

Run = Callable[..., tuple[int, str, str]]
"""A command of footfall-ingest by its words: status, standard output, and what it says on standard error (no logs)."""


@pytest.fixture(scope="session")
def programs(open_folder: Path) -> Path:
    """The folder of pg_dump and pg_restore, which come with the embedded server."""
    found = EmbeddedPostgres(open_folder / "backup-programs")._program("pg_dump")
    if not found.exists():
        pytest.skip("the embedded PostgreSQL has no pg_dump")
    return found.parent


@dataclass(frozen=True)
class Place:
    """A database of footfall's on a server, and a name whose databases all go at the end."""

    server: DatabaseServer
    name: str
    dsn: str
    timescale: bool

    def names(self) -> list[str]:
        """The databases whose names begin with this one's."""
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
        return [name for (name,) in self.ask(query, [self.name], self.server.maintenance)]

    def ask(self, query: str, parameters: Any = None, dsn: str = "") -> list[tuple[Any, ...]]:
        """The rows of a query, or none, on a connection of its own."""
        with psycopg.connect(dsn or self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, parameters)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def count(self, first: int, number: int = 1, sensor: str = "markt-1") -> None:
        """Store reports of one passage each, in the slots from `first` on."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            reports = [report(sensor, seq, start=NOON + 10 * seq) for seq in range(first, first + number)]
            write_batch(connection, [message(one) for one in reports], now=NOW)

    def passages(self, dsn: str = "") -> dict[str, int]:
        """Passages stored by sensor."""
        query = "SELECT id, sum(count)::int FROM count_minute JOIN sensor ON key = sensor GROUP BY id"
        return dict(self.ask(query, dsn=dsn))

    def epoch(self, dsn: str = "") -> Any:
        """The epoch in force."""
        return self.ask("SELECT epoch FROM store", dsn=dsn)[0][0]


@contextmanager
def place_on(server: DatabaseServer, *, timescale: bool, template: str | None = None) -> Iterator[Place]:
    """A database with today's schema that knows where it lives."""
    name = f"footfall_{secrets.token_hex(6)}"
    found = Place(server, name, server.dsn(name), timescale)
    try:
        server.create(name, template)
        if timescale:
            found.ask("CREATE EXTENSION IF NOT EXISTS timescaledb")
        if not template:
            migrate(found.dsn)
        with psycopg.connect(found.dsn, autocommit=True) as connection:
            settle(connection)
        yield found
    finally:
        for each in found.names():
            server.drop(each)


@pytest.fixture
def plain(postgres_server: DatabaseServer, postgres_template: str) -> Iterator[Place]:
    """A place on plain PostgreSQL."""
    with place_on(postgres_server, timescale=False, template=postgres_template) as found:
        yield found


@pytest.fixture
def timescale(timescale_server: DatabaseServer) -> Iterator[Place]:
    """A place on TimescaleDB."""
    with place_on(timescale_server, timescale=True) as found:
        yield found


@pytest.fixture(params=["plain", "timescale"])
def place(request: pytest.FixtureRequest) -> Place:
    """A place: once on plain PostgreSQL, once on TimescaleDB."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in list(os.environ):
        if name.startswith("FOOTFALL_") and not name.startswith("FOOTFALL_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where backups go."""
    found = tmp_path / "backups"
    found.mkdir()
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], programs: Path) -> Run:
    """Runs a command with a database and the embedded server's programs, or those of another folder."""

    def command(*words: object, dsn: str, tools: Path = programs, **variables: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for name, value in environment(dsn, tools, **variables).items():
                patch.setenv(name, value)
            capsys.readouterr()
            status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, "".join(line for line in err.splitlines(True) if line.startswith("footfall-ingest: "))

    return command


def environment(dsn: str, tools: Path, **variables: str) -> dict[str, str]:
    """Settings of a command as variables; the names in `variables` lack their beginning."""
    given = {"DATABASE__DSN": dsn, "BACKUP__PROGRAMS": str(tools), **variables}
    return {f"FOOTFALL_{name}": value for name, value in given.items()}


def started(*words: object, dsn: str, tools: Path, **variables: str) -> subprocess.Popen[str]:
    """A command as a process of its own, that can be killed."""
    command = [sys.executable, "-m", "footfall_ingest", *map(str, words)]
    variables = {**os.environ, **environment(dsn, tools, **variables)}
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def backed_up(run: Run, place: Place, folder: Path, **options: Any) -> Path:
    """Make a backup; its archive. There is at most one a second, and none is waited for here."""
    before = set(folder.glob("*.dump"))

    def made() -> bool:
        status, _, error = run("backup", folder, dsn=place.dsn, **options)
        assert not status or "there is a backup of" in error, error
        return not status

    wait_until(made, what="a second without a backup", every=0.1)
    (archive,) = set(folder.glob("*.dump")) - before
    return archive


def aged(archive: Path, by: timedelta) -> Path:
    """The same backup, as if it had been made so much earlier; its archive."""
    manifest = backup_manifest.opened(archive).manifest
    taken = manifest.taken - by
    moved = archive.with_name(backup_manifest.stem(manifest.database.name, taken) + ".dump")
    archive.rename(moved)
    archive.with_suffix(".json").unlink()
    written(moved, manifest.model_copy(update={"taken": taken, "file": moved.name}))
    return moved


def written(archive: Path, manifest: Manifest) -> None:
    """Write a manifest anew."""
    archive.with_suffix(".json").write_text(manifest.model_dump_json())


def wrapped(tmp_path: Path, programs: Path, *, before: str = "", after: str = "") -> Path:
    """A folder with PostgreSQL's programs, which do something of their own before and after their work."""
    found = tmp_path / f"programs-{secrets.token_hex(4)}"
    found.mkdir()
    for name in ("pg_dump", "pg_restore"):
        script = found / name
        script.write_text(
            f'#!/bin/sh\ncase "$*" in *--version*|*--list*) exec {programs}/{name} "$@";; esac\n'
            f'{before}\n{programs}/{name} "$@" || exit $?\n{after}\n'
        )
        script.chmod(0o755)
    return found


HOLD = 'echo $$ >"{0}"; while [ -e "{0}" ]; do sleep 0.02; done'
"""Makes a file with the number of its process, and waits until it is gone."""


def held(hold: Path) -> int:
    """Wait for a program that `HOLD` holds; its process."""
    wait_until(lambda: hold.exists() and hold.read_text(), timeout=60, what="the program to be there")
    return int(hold.read_text())


def is_at_work(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# The main thing


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker on which what is retained is this test's."""
    with Broker(tmp_path / "broker", kind="mosquitto") as broker:
        yield broker


def test_after_an_older_backup_came_back_every_passage_is_there_once(  # noqa: PLR0915, PLR0917  # a story; fixtures
    own_broker: Broker, place: Place, run: Run, folder: Path, unique: str, tmp_path: Path
) -> None:
    """Two backups while boxes count, then the database is gone. The older one is restored, and ingest starts.

    - `on` counts all the time, and was restarted between the backups;
    - `off` is not connected from the end of the database until everyone else is done;
    - `new` first reported after the older backup.

    What is missing is said by `verify --against` the newer backup, until the boxes have sent it again.
    """
    settings = settings_for(own_broker, place.dsn, unique)
    with ExitStack() as stack:
        on, off, new = boxes = [stack.enter_context(Box(tmp_path, f"{name}-{unique}")) for name in ("on", "off", "new")]
        lines = {on: stack.enter_context(Line(own_broker, on))}
        with ingest(settings):
            with Line(own_broker, off) as line:
                on.count(30)
                off.count(10)
                on.deliver(lines[on])
                off.deliver(line)
                older = backed_up(run, place, folder)
                on.restart()
                on.count(20)
                off.count(10)
                on.deliver(lines[on])
                off.deliver(line)
            lines[new] = stack.enter_context(Line(own_broker, new))
            new.count(5)
            new.deliver(lines[new])
            newer = backed_up(run, place, folder)
            on.count(4)
            on.deliver(lines[on])
            off.count(3)
        before = place.epoch()
        on.count(7)
        on.step(lines[on])

        place.server.drop(place.name)
        restored = run("restore", older, dsn=place.dsn)
        assert restored[0] == 0, restored
        assert "a new epoch begins" in restored[1]
        assert place.passages() == {on.sensor: 30, off.sensor: 10}
        assert place.epoch() != before
        assert run("verify", dsn=place.dsn)[0] == 0
        status, _, said = run("verify", "--against", newer, dsn=place.dsn)
        assert status == 1
        for box, number in ((on, 20), (off, 10), (new, 5)):
            for what in ("passages", "received reports"):
                assert f"{box.sensor}: {number} {what} that the backup has are missing" in said

        with ingest(settings):
            for box in (on, new):
                wait_until(
                    lambda box=box: box.step(lines[box]) or place.passages().get(box.sensor) == box.counted, timeout=60
                )
                box.deliver(lines[box])
            with Line(own_broker, off) as line:
                wait_until(lambda: off.step(line) or place.passages().get(off.sensor) == off.counted, timeout=60)
                off.deliver(line)

    assert place.passages() == {box.sensor: box.counted for box in boxes}
    with psycopg.connect(place.dsn) as connection:
        found = stored(connection)
    assert sum(found.coverage.values()) == 10 * sum(box.counted for box in boxes)
    assert found.quarantine == {}
    for archive in (older, newer):
        status, said, error = run("verify", "--against", archive, dsn=place.dsn)
        assert (status, error) == (0, "")
        assert "and it has all" in said
    assert place.ask("SELECT count(*) FROM epoch") == [(2,)]


# A backup


def test_a_backup_says_what_must_be_in_it(place: Place, run: Run, folder: Path) -> None:
    """The manifest, for the owner's eyes only like the archive; `verify` finds both right."""
    place.count(0, 5)
    place.count(5, 2, "holz-1")
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        roll_up(connection, datetime.now(UTC))
    place.ask("CREATE TABLE notes (text text); INSERT INTO notes VALUES ('ours')")

    archive = backed_up(run, place, folder)

    manifest = backup_manifest.read(archive.with_suffix(".json"))
    assert manifest.truth is not None
    assert (manifest.truth.total, manifest.truth.sensors) == (7, 2)
    assert manifest.rows["public.count_minute"] == 3
    assert manifest.rows["public.notes"] == 1
    assert not [table for table in manifest.rows if "timescale" in table]
    assert manifest.epoch == place.epoch()
    assert bool(manifest.timescaledb) == place.timescale
    assert manifest.size == archive.stat().st_size
    assert abs(manifest.taken - datetime.now(UTC)) < timedelta(minutes=5)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.dump")} == {0o600}
    assert sorted(path.suffix for path in folder.glob("footfall-*")) == [".dump", ".json"]
    status, said, error = run("verify", archive, dsn=place.dsn)
    assert (status, error) == (0, "")
    assert "7 passages of 2 sensors" in said


def test_what_is_counted_during_a_backup_is_in_neither_part_of_it(
    place: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """Passages stored when the snapshot is there and pg_dump has not begun: not in the sums, not in the archive."""
    place.count(0, 5)
    hold = tmp_path / "hold"
    process = started("backup", folder, dsn=place.dsn, tools=wrapped(tmp_path, programs, before=HOLD.format(hold)))
    wait_until(hold.exists, timeout=60, what="pg_dump to be started")
    place.count(5, 3)
    hold.unlink()
    assert process.wait(60) == 0, process.stderr and process.stderr.read()
    process.communicate()
    (archive,) = folder.glob("*.dump")

    into = f"{place.dsn}_drill"
    status, said, error = run("restore", archive, "--into", into, dsn=place.dsn)

    assert (status, error) == (0, "")
    assert "it has the 5 passages of 1 sensors that the backup had" in said
    assert place.passages(into) == {"markt-1": 5}
    assert place.passages() == {"markt-1": 8}


def test_no_chunk_is_compressed_between_the_snapshot_and_the_archive(timescale: Place, run: Run, folder: Path) -> None:
    """It would be emptied: neither its old table nor its new one has the rows, as the snapshot sees them."""
    timescale.count(0, 5)
    compress = "SELECT compress_chunk(chunk) FROM show_chunks('count_minute') AS chunk"
    with (
        psycopg.connect(timescale.dsn, autocommit=True) as backing,
        psycopg.connect(timescale.dsn, options="-c lock_timeout=300", autocommit=True) as other,
    ):
        with backup._snapshot(backing):  # nothing has read a table yet
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(compress)
            timescale.count(5, 1)
        other.execute(compress)
    archive = backed_up(run, timescale, folder)

    assert run("restore", archive, "--into", f"{timescale.dsn}_2", dsn=timescale.dsn)[0] == 0
    assert timescale.passages(f"{timescale.dsn}_2") == {"markt-1": 6}


def test_who_may_only_read_makes_backups(place: Place, run: Run, folder: Path) -> None:
    """A member of pg_read_all_data; one who is none is told what to grant."""
    place.count(0, 5)
    account = f"{place.name}_reader"
    place.ask(f"CREATE ROLE {account} LOGIN PASSWORD 'ge:heim\\x'")
    parts = urlsplit(place.dsn)
    dsn = urlunsplit(parts._replace(netloc=f"{account}:ge%3Aheim%5Cx@{parts.hostname}:{parts.port}"))
    try:
        refused = run("backup", folder, dsn=dsn)
        place.ask(f"GRANT pg_read_all_data TO {account}")

        archive = backed_up(run, Place(place.server, place.name, dsn, place.timescale), folder)
    finally:
        place.ask(f"DROP ROLE {account}")

    assert refused[0] == 1
    assert f"GRANT pg_read_all_data TO {account};" in refused[2]
    assert run("verify", archive, dsn=place.dsn)[0] == 0


def test_the_password_is_on_no_command_line(
    plain: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """Others on the machine see the words of a program; its variables they do not see, and it gets none of ours."""
    seen = tmp_path / "seen"
    tools = wrapped(tmp_path, programs, before=f'echo "$@" >> {seen}; env | sed "s/^/env /" >> {seen}')
    password = urlsplit(plain.dsn).password
    assert password

    archive = backed_up(run, plain, folder, tools=tools)
    assert run("restore", archive, "--into", f"{plain.dsn}_drill", dsn=plain.dsn, tools=tools)[0] == 0

    lines = seen.read_text().splitlines()
    words = [line for line in lines if not line.startswith("env ")]
    assert len([line for line in words if line.startswith("--no-password")]) == 2
    assert not [line for line in words if password in line or "postgresql:" in line]
    assert not [line for line in lines if "FOOTFALL_DATABASE" in line]
    assert f"env PGPASSWORD={password}" in lines


def test_programs_that_are_too_old_are_named(plain: Place, run: Run, folder: Path, tmp_path: Path) -> None:
    """Both versions and what to install; and if there are none at all."""
    script = tmp_path / "pg_dump"
    script.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.3 (Debian 15.3-1)'\n")
    script.chmod(0o755)
    empty = tmp_path / "empty"
    empty.mkdir()
    ((server,),) = plain.ask("SHOW server_version")

    status, _, said = run("backup", folder, dsn=plain.dsn, tools=tmp_path)
    assert status == 1
    assert f"the newest pg_dump here is 15.3 ({script}) in {tmp_path}" in said
    assert f"the server is {server.split()[0]}" in said
    assert f"install postgresql-client-{server.split('.')[0]}" in said

    status, _, said = run("backup", folder, dsn=plain.dsn, tools=empty)
    assert status == 1
    assert f"there is no pg_dump here in {empty}" in said
    assert list(folder.glob("footfall-*")) == []


def test_the_program_that_fits_the_server_best_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowest version that is not too low, wherever it is; of two the one that is no wrapper of Debian's."""
    for version, place in ((15, "15/bin"), (17, "17/bin"), (17, "wrapper"), (18, "newest"), (16, "other")):
        (tmp_path / place).mkdir(parents=True)
        script = tmp_path / place / "pg_dump"
        script.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.2'\n")
        script.chmod(0o755)
    monkeypatch.setattr(backup_programs, "_DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/wrapper:{tmp_path}/newest:{tmp_path}/other:{os.environ['PATH']}")

    def found(least: int) -> str:
        return str(backup_programs.find("pg_dump", least, None, "").path.parent.relative_to(tmp_path))

    assert [found(16), found(17), found(18)] == ["other", "17/bin", "newest"]
    with pytest.raises(RefusedError, match=r"the newest pg_dump here is 18\.2 .*, and it is so: .* 19 or newer"):
        backup_programs.find("pg_dump", 19, None, "it is so")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(  # noqa: PLR0917  # fixtures
    moment: str, plain: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """Before pg_dump has written anything, and when it has written everything; the next one cleans up."""
    good = aged(backed_up(run, plain, folder), timedelta(days=1))  # a second one in its second would be refused
    hold = tmp_path / "hold"
    tools = wrapped(tmp_path, programs, **{moment: HOLD.format(hold)})
    process = started("backup", folder, dsn=plain.dsn, tools=tools)
    at_work = held(hold)
    process.kill()
    process.communicate()
    left = {path.suffix for path in folder.glob("footfall-*")}

    wait_until(lambda: not is_at_work(at_work), what="pg_dump to end with it")
    assert set(folder.glob("*.dump")) == {good}
    assert left == {".dump", ".json", ".part"}
    assert run("verify", good, dsn=plain.dsn)[0] == 0
    backed_up(run, plain, folder)
    assert not list(folder.glob("*.part"))
    assert len(list(folder.glob("*.dump"))) == 2


@pytest.mark.parametrize(("failing", "left"), [(".json.part", []), (".dump.part", [".json"])])
def test_the_archive_gets_its_name_last(  # noqa: PLR0917  # fixtures
    failing: str, left: list[str], plain: Place, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive under its name has a manifest, whenever it ends: a manifest alone is no backup."""
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name.endswith(failing):
            raise OSError("no power")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    status, _, said = run("backup", folder, dsn=plain.dsn)

    assert (status, said) == (1, "footfall-ingest: no power\n")
    assert [path.suffix for path in folder.glob("footfall-*")] == left
    assert backup_manifest.found(folder, plain.name) == ([], [])


def test_a_backup_that_is_stopped_cleans_up_and_says_that_it_failed(
    plain: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """As systemd does it, with SIGTERM: status 130, nothing half, and Prometheus is told."""
    hold, textfile = tmp_path / "hold", tmp_path / "footfall.prom"
    tools = wrapped(tmp_path, programs, before=HOLD.format(hold))
    process = started("backup", folder, dsn=plain.dsn, tools=tools, BACKUP__TEXTFILE=str(textfile))
    wait_until(hold.exists, timeout=60, what="pg_dump to be there")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "cancelled" in said
    assert not list(folder.glob("footfall-*"))
    assert metrics(textfile)["footfall_backup_last_run_success"] == 0


def test_a_backup_that_fails_ends_what_it_has_started(  # noqa: PLR0917  # fixtures
    plain: Place, run: Run, folder: Path, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While pg_dump is still at work: it would go on reading the whole database for nothing."""
    hold = tmp_path / "hold"
    at_work = []

    def fail(*_: Any) -> None:
        at_work.append(held(hold))
        raise RefusedError("the sums cannot be read")

    monkeypatch.setattr(backup, "truth", fail)
    tools = wrapped(tmp_path, programs, before=HOLD.format(hold))
    status, _, said = run("backup", folder, dsn=plain.dsn, tools=tools)

    assert (status, said) == (1, "footfall-ingest: the sums cannot be read\n")
    assert not is_at_work(at_work[0])
    assert not list(folder.glob("footfall-*"))


def metrics(textfile: Path) -> dict[str, float]:
    """The values in a text file, by name; the parser refuses what Prometheus would."""
    families = text_string_to_metric_families(textfile.read_text())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_prometheus_is_told_how_it_went(plain: Place, run: Run, folder: Path, tmp_path: Path) -> None:
    """A good one, then one that fails: the newest that there is stays the good one; its absence would show."""
    textfile = tmp_path / "footfall.prom"
    archive = backed_up(run, plain, folder, BACKUP__TEXTFILE=str(textfile))
    good = metrics(textfile)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    assert run("backup", folder, dsn=plain.dsn, BACKUP__TEXTFILE=str(textfile))[0] == 1
    unmounted = metrics(textfile)
    elsewhere.rename(folder)
    status, _, said = run("backup", folder, dsn=plain.dsn + "x", BACKUP__TEXTFILE=str(textfile))

    manifest = backup_manifest.opened(archive).manifest
    assert good["footfall_backup_last_run_success"] == 1
    assert good["footfall_backup_newest_timestamp_seconds"] == manifest.taken.timestamp()
    assert good["footfall_backup_newest_size_bytes"] == manifest.size
    assert good["footfall_backup_kept"] == 1
    assert unmounted["footfall_backup_last_run_success"] == 0
    assert "footfall_backup_newest_timestamp_seconds" not in unmounted
    assert (status, metrics(textfile)["footfall_backup_last_run_success"]) == (1, 0)
    assert "does not exist" in said
    assert stat.S_IMODE(textfile.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == [textfile.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("a file system of a megabyte cannot be mounted here (that needs root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_costs_no_backup(plain: Place, run: Run, small_disk: Path, tmp_path: Path) -> None:
    """It is said, the half file goes, and what was there stays although only one is to be kept."""
    textfile = tmp_path / "footfall.prom"
    options = {"BACKUP__TEXTFILE": str(textfile), "BACKUP__KEEP_DAYS": "1"}
    good = backed_up(run, plain, small_disk, **options)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))

    def full() -> str:
        status, _, said = run("backup", small_disk, dsn=plain.dsn, **options)
        assert status == 1
        return said if "pg_dump" in said else ""

    said = wait_until(full, what="a second without a backup", every=0.1)

    assert "No space left on device" in said
    assert sorted(small_disk.glob("footfall-*")) == [good, good.with_suffix(".json")]
    assert run("verify", good, dsn=plain.dsn)[0] == 0
    assert metrics(textfile)["footfall_backup_last_run_success"] == 0


def test_a_backup_of_the_same_second_is_not_written_over(
    plain: Place, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock may have been set back to the very second of another backup: that one stays what it is."""
    archive = backed_up(run, plain, folder)
    taken = backup_manifest.opened(archive).manifest.taken
    facts = backup._facts
    monkeypatch.setattr(backup, "_facts", lambda connection: replace(facts(connection), taken=taken))
    there = {path: path.read_bytes() for path in folder.iterdir()}
    plain.count(0, 5)

    status, _, error = run("backup", folder, dsn=plain.dsn)
    assert status == 1
    assert f"there is a backup of {taken:%Y-%m-%d %H:%M:%S} UTC already ({archive})" in error
    archive.unlink()
    del there[archive]
    assert run("backup", folder, dsn=plain.dsn)[0] == 1  # nor over the manifest of one that was cut short
    assert {path: path.read_bytes() for path in folder.iterdir()} == there


def test_only_one_backup_is_made_in_a_folder_at_a_time(
    plain: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """The second one says so, and does not take the first one's half file for a leftover."""
    hold = tmp_path / "hold"
    process = started("backup", folder, dsn=plain.dsn, tools=wrapped(tmp_path, programs, before=HOLD.format(hold)))
    wait_until(hold.exists, timeout=60, what="pg_dump to be there")
    status, _, said = run("backup", folder, dsn=plain.dsn)
    hold.unlink()

    assert status == 1
    assert f"another backup is being made in {folder}" in said
    assert process.wait(60) == 0
    process.communicate()


def test_what_need_not_be_kept_goes_and_what_is_not_ours_stays(
    plain: Place, run: Run, folder: Path, tmp_path: Path
) -> None:
    """Of five good ones that of a day stays. Files of others are not touched, whatever their names, nor what is odd."""
    old = [aged(backed_up(run, plain, folder), timedelta(days=days)) for days in (3, 2, 1, 1000)]
    name = plain.name
    foreign = [
        "notes.txt",
        f"footfall-{name}-20260101T000000Z.dump.part.txt",
        f"footfall-{name}-2026.dump",
        f"footfall-{name}-20260101T000000Z.dump",
        f"footfall-{name}x-20260101T000000Z.dump.part",
        "footfall-other-20260101T000000Z.dump",
    ]
    for each in foreign:
        (folder / each).write_text("somebody's")
    link = aged(backed_up(run, plain, folder), timedelta(days=7))
    link.rename(tmp_path / "elsewhere")
    link.symlink_to(tmp_path / "elsewhere")
    other = aged(backed_up(run, plain, folder), timedelta(days=8))
    of_other = backup_manifest.read(other.with_suffix(".json"))
    database = of_other.database.model_copy(update={"name": name.replace("_", "-")})  # its files have the same names
    written(other, of_other.model_copy(update={"database": database}))
    odd = aged(backed_up(run, plain, folder), timedelta(days=9))
    of_odd = backup_manifest.read(odd.with_suffix(".json"))
    written(odd, of_odd.model_copy(update={"taken": of_odd.taken - timedelta(hours=1)}))
    damaged = aged(backed_up(run, plain, folder), timedelta(days=5))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    future = aged(backed_up(run, plain, folder), timedelta(days=-400))

    options = {"BACKUP__KEEP_DAYS": "1", "BACKUP__KEEP_WEEKS": "0", "BACKUP__KEEP_MONTHS": "0"}
    status, said, _ = run("backup", folder, dsn=plain.dsn, **options)

    assert status == 0
    assert not [path for path in old if path.exists() or path.with_suffix(".json").exists()]
    assert all((folder / each).read_text() == "somebody's" for each in foreign)
    assert link.is_symlink()
    assert link.exists()
    assert other.exists()
    assert odd.exists()
    assert damaged.exists()
    assert future.exists()
    assert f"left alone: {damaged} has" in said
    assert f"left alone: {future} says that it is of a later time" in said
    assert f"left alone: {folder}/footfall-{name}-20260101T000000Z.dump has no manifest beside it" in said
    assert f"left alone: {other} is not what its manifest speaks of" in said
    assert f"left alone: {odd} is not of the time in its name" in said
    assert said.count("left alone") == 5
    assert "2 backups are in" in said


def test_a_folder_that_is_not_there_is_not_made(plain: Place, run: Run, tmp_path: Path) -> None:
    """Where a disk should be mounted: the backup must not fill the one it is to outlive. None named: what to do."""
    status, _, said = run("backup", tmp_path / "mnt", dsn=plain.dsn)
    assert (status, (tmp_path / "mnt").exists()) == (1, False)
    assert "is no folder: make it, or mount what should be there" in said

    status, _, said = run("backup", dsn=plain.dsn)
    assert status == 1
    assert "no folder is named" in said


def test_a_database_that_is_not_ours_is_not_backed_up(run: Run, postgres_server: DatabaseServer, folder: Path) -> None:
    """A sentence, and nothing is left."""
    with postgres_server.blank() as dsn:
        status, _, said = run("backup", folder, dsn=dsn)

    assert status == 1
    assert "is none of footfall's" in said
    assert not list(folder.glob("footfall-*"))


# What is wrong with a backup


def test_a_backup_that_is_not_what_it_was_is_refused(plain: Place, run: Run, folder: Path) -> None:
    """One bit, a shorter file, no manifest, another's manifest, a manifest of anything: by verify and by restore."""
    plain.count(0, 3)
    archive = backed_up(run, plain, folder)
    manifest, content = archive.with_suffix(".json"), archive.read_bytes()
    text = manifest.read_text()
    into = f"{plain.dsn}_drill"

    def both() -> str:
        checked, restored = (
            run("verify", archive, dsn=plain.dsn),
            run("restore", archive, "--into", into, dsn=plain.dsn),
        )
        assert (checked[0], restored[0]) == (1, 1)
        assert plain.names() == [plain.name]
        assert restored[2].startswith(checked[2].splitlines()[0][:60])
        return checked[2]

    middle = len(content) // 2
    archive.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    assert "is damaged: its SHA-256 is" in both()
    archive.write_bytes(content[:-1])
    assert f"has {len(content) - 1} bytes, its manifest says {len(content)}" in both()
    archive.write_bytes(content)
    manifest.unlink()
    assert "has no manifest beside it" in both()
    manifest.write_text("{}")
    assert "is no manifest of a backup: footfall is missing" in both()
    manifest.write_text("not JSON")
    assert "is no manifest of a backup" in both()
    manifest.write_text(text)
    assert run("verify", archive, dsn=plain.dsn)[0] == 0
    archive.unlink()
    assert f"there is no {archive}" in both()


def test_an_archive_that_pg_restore_cannot_read_is_said(plain: Place, run: Run, folder: Path) -> None:
    """Although its checksum is right; and one without the rows of a table, as its list of contents says."""
    plain.count(0, 3)
    archive = backed_up(run, plain, folder)
    found = backup_manifest.opened(archive).manifest
    written(archive, found.model_copy(update={"rows": {**found.rows, "public.gone": 7}}))
    lacking = run("verify", archive, dsn=plain.dsn)
    archive.write_bytes(b"x" * found.size)
    sha256 = backup_manifest.sha256(archive, lambda *_: None)
    written(archive, found.model_copy(update={"sha256": sha256}))
    unreadable = run("verify", archive, dsn=plain.dsn)

    assert lacking[0] == unreadable[0] == 1
    assert "has no rows of the table public.gone, of which there were some" in lacking[2]
    assert "cannot be read by" in unreadable[2]


# A restore


def test_what_was_there_is_kept_under_another_name(place: Place, run: Run, folder: Path) -> None:
    """Only with --replace; readers are put out for the moment, and the database keeps who may connect and settings."""
    place.count(0, 5)
    place.ask(f"REVOKE CONNECT ON DATABASE {place.name} FROM PUBLIC")
    place.ask(f"GRANT CONNECT ON DATABASE {place.name} TO footfall_api")
    place.ask(f"ALTER DATABASE {place.name} SET search_path = 'public', \"a b\"")
    archive = backed_up(run, place, folder)
    place.count(5, 3)
    before = place.epoch()
    refused = run("restore", archive, dsn=place.dsn)
    with psycopg.connect(place.dsn, application_name="footfall-api", autocommit=True) as reader:
        status, said, error = run("restore", archive, "--replace", dsn=place.dsn)
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")

    assert refused[0] == 1
    assert f"the database {place.name} is not empty. With --replace" in refused[2]
    assert (status, error) == (0, "")
    aside, name = (place.names()[1], place.names()[0])
    assert name == place.name
    assert aside.startswith(f"{place.name}_before_")
    assert f'DROP DATABASE "{aside}"' in said
    assert place.passages() == {"markt-1": 5}
    assert place.passages(place.server.dsn(aside)) == {"markt-1": 8}
    assert place.epoch(place.server.dsn(aside)) == before != place.epoch()
    about = "SELECT datacl::text, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    acl, mark = place.ask(about, [place.name])[0]
    assert "footfall_api=c/" in acl
    assert "=T/" in acl
    assert mark is None
    assert place.ask("SHOW search_path") == [('public, "a b"',)]


def test_restores_that_end_in_the_same_second_take_different_names(
    place: Place, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small database is back in half a second; what each of them found is kept."""
    moment = datetime(2026, 7, 1, 10, 0, 0, tzinfo=UTC)
    monkeypatch.setattr(backup_restore, "datetime", type("Stopped", (), {"now": staticmethod(lambda _zone: moment)}))
    place.count(0, 5)
    archive = backed_up(run, place, folder)
    for number in range(3):
        place.count(5 + number)
        assert run("restore", archive, "--replace", dsn=place.dsn)[0] == 0
        assert place.passages() == {"markt-1": 5}

    aside = f"{place.name}_before_20260701T100000"
    assert place.names() == [place.name, aside, f"{aside}_2", f"{aside}_3"]
    assert {name: place.passages(place.server.dsn(name)) for name in place.names()[1:]} == {
        name: {"markt-1": 6} for name in place.names()[1:]
    }


def test_an_empty_database_need_not_be_replaced(place: Place, run: Run, folder: Path) -> None:
    """As an administrator makes it, and as `migrate` makes it: it gives way, and nothing is left of it."""
    place.count(0, 5)
    archive = backed_up(run, place, folder)
    for name in ("_blank", "_migrated"):
        dsn = place.server.create(place.name + name)
        if name == "_migrated":
            migrate(dsn)

        assert run("restore", archive, "--into", dsn, dsn=place.dsn)[0] == 0
        assert place.passages(dsn) == {"markt-1": 5}
    assert place.names() == [place.name, f"{place.name}_blank", f"{place.name}_migrated"]


def test_nothing_is_restored_under_a_running_ingest(
    mosquitto: Broker, plain: Place, run: Run, folder: Path, unique: str
) -> None:
    """It is named, and so is anybody else who is connected and is not the API."""
    archive = backed_up(run, plain, folder)
    with ingest(settings_for(mosquitto, plain.dsn, unique)):
        wait_until(
            lambda: plain.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'footfall-ingest'"),
            what="ingest to be connected",
        )
        running = run("restore", archive, "--replace", dsn=plain.dsn)
    with psycopg.connect(plain.dsn, application_name="psql"):
        somebody = run("restore", archive, "--replace", dsn=plain.dsn)

    assert running[0] == somebody[0] == 1
    assert "footfall-ingest (process " in running[2]
    assert f"is connected to {plain.name}: stop it first" in running[2]
    assert "psql (process " in somebody[2]
    assert plain.names() == [plain.name]


def test_somebody_who_comes_in_the_last_moment_is_in_time(
    plain: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """A person connects while pg_restore works: nothing is exchanged under them, and nothing is left."""
    plain.count(0, 5)
    archive = backed_up(run, plain, folder)
    hold = tmp_path / "hold"
    tools = wrapped(tmp_path, programs, before=HOLD.format(hold))
    process = started("restore", archive, "--replace", dsn=plain.dsn, tools=tools)
    wait_until(hold.exists, timeout=60, what="pg_restore to be started")
    with psycopg.connect(plain.dsn, application_name="psql"):
        hold.unlink()
        _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "psql (process " in said
    assert plain.names() == [plain.name]


def test_somebody_who_is_about_to_leave_is_waited_for(
    plain: Place, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server takes its time to forget a connection that was closed: that is no reason to refuse."""
    plain.count(0, 5)
    archive = backed_up(run, plain, folder)
    looks = []

    def pause(seconds: float) -> None:
        if not looks:
            looks.append(plain.passages())  # with one more connection, which goes as well
            somebody.close()
        time.sleep(seconds)

    monkeypatch.setattr(backup_restore, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    with psycopg.connect(plain.dsn, application_name="psql") as somebody:
        status, _, error = run("restore", archive, "--replace", dsn=plain.dsn)

    assert (status, error) == (0, "")
    assert looks


def test_the_name_is_never_without_a_database(
    plain: Place, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looks into the new database just when it is to get the name: neither name changes until they leave."""
    plain.count(0, 5)
    archive = backed_up(run, plain, folder)
    check, names = backup_restore._Target.check_alone, []

    with ExitStack() as somebody:

        def checked(target: Any) -> None:
            check(target)
            incoming = f"{plain.name}_incoming"
            if incoming in plain.names():  # not the look before all
                names.append(plain.names())
                somebody.close()
                if len(names) == 1:
                    somebody.enter_context(psycopg.connect(plain.server.dsn(incoming)))

        monkeypatch.setattr(backup_restore._Target, "check_alone", checked)
        status, _, error = run("restore", archive, "--replace", dsn=plain.dsn)

    assert (status, error) == (0, "")
    assert names == [[plain.name, f"{plain.name}_incoming"]] * 2
    assert plain.passages() == {"markt-1": 5}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_restore_that_is_killed_leaves_the_database_as_it_was(  # noqa: PLR0917  # fixtures
    moment: str, place: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """Before the first row and after the last one: it goes on with what it had; the next restore cleans up."""
    place.count(0, 5)
    archive = backed_up(run, place, folder)
    place.count(5, 3)
    before = place.epoch()
    hold = tmp_path / "hold"
    tools = wrapped(tmp_path, programs, **{moment: HOLD.format(hold)})
    process = started("restore", archive, "--replace", dsn=place.dsn, tools=tools)
    wait_until(hold.exists, timeout=60, what="pg_restore to be there")
    process.kill()
    process.communicate()
    holding = "SELECT FROM pg_stat_activity WHERE application_name = 'footfall-ingest restore' AND datname = %s"
    of_it = [urlsplit(place.server.maintenance).path.lstrip("/")]
    wait_until(lambda: not place.ask(holding, of_it), what="the server to see that it is gone, with its lock")

    assert place.passages() == {"markt-1": 8}
    assert place.epoch() == before
    assert place.names() == [place.name, f"{place.name}_incoming"]
    place.count(8, 1)
    assert run("restore", archive, "--replace", dsn=place.dsn)[0] == 0
    assert place.passages() == {"markt-1": 5}
    assert [name for name in place.names() if "incoming" in name] == []


def test_a_restore_that_fails_or_is_stopped_leaves_nothing(
    plain: Place, run: Run, folder: Path, programs: Path, tmp_path: Path
) -> None:
    """pg_restore says no; and SIGTERM. A database of that name which is somebody else's is not dropped."""
    plain.count(0, 5)
    archive = backed_up(run, plain, folder)
    failing = run(
        "restore", archive, "--replace", dsn=plain.dsn,
        tools=wrapped(tmp_path, programs, before="echo 'pg_restore: error: no' >&2; exit 3"),
    )  # fmt: skip
    assert failing[0] == 1
    assert "pg_restore failed (status 3)" in failing[2]
    assert "pg_restore said: pg_restore: error: no" in failing[2]
    assert plain.names() == [plain.name]

    hold = tmp_path / "hold"
    tools = wrapped(tmp_path, programs, before=HOLD.format(hold))
    process = started("restore", archive, "--replace", dsn=plain.dsn, tools=tools)
    wait_until(hold.exists, timeout=60, what="pg_restore to be there")
    second = run("restore", archive, "--replace", dsn=plain.dsn)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert plain.names() == [plain.name]
    assert second[0] == 1
    assert f"{plain.name} is being restored already" in second[2]

    plain.server.create(f"{plain.name}_incoming")
    status, _, said = run("restore", archive, "--replace", dsn=plain.dsn)
    assert status == 1
    assert "which is none of ours: rename it first" in said
    assert f"{plain.name}_incoming" in plain.names()


def test_what_is_not_what_was_backed_up_does_not_take_the_place(plain: Place, run: Run, folder: Path) -> None:
    """A row too few, a passage too many: each is said, and the database stays."""
    plain.count(0, 5)
    archive = backed_up(run, plain, folder)
    found = backup_manifest.opened(archive).manifest
    assert found.truth is not None
    month = {"markt-1": {"2026-03": {"0/0": 4}}}
    other = {
        "rows": {**found.rows, "public.sensor": 2},
        "truth": found.truth.model_copy(update={"passages": month}),
    }
    said = []
    for name, value in other.items():
        written(archive, found.model_copy(update={name: value}))
        status, _, error = run("restore", archive, "--replace", dsn=plain.dsn)
        assert status == 1
        assert "what was restored is not what was backed up; nothing took its place" in error
        said.append(error)

    assert "the table public.sensor has 1 rows, in the backup it has 2" in said[0]
    assert "markt-1: 1 passages are not in the backup, most of them in 2026-03, direction and class 0/0" in said[1]
    assert plain.names() == [plain.name]


def test_faults_that_were_backed_up_are_restored_and_said(plain: Place, run: Run, folder: Path) -> None:
    """A backup is better than none: the database is what it was, status 1, and what was wrong is named."""
    plain.count(0, 5)
    with psycopg.connect(plain.dsn, autocommit=True) as connection:
        roll_up(connection, datetime.now(UTC))
        connection.execute("UPDATE count_hour SET count = 6")
    archive = backed_up(run, plain, folder)

    status, said, error = run("restore", archive, "--replace", dsn=plain.dsn)

    assert status == 1
    assert "is what was backed up, and that has faults:" in said
    assert "markt-1: 1 hours have sums that are not those of their minutes, the first at 2026-03-01T12:00:00Z" in error
    assert plain.passages() == {"markt-1": 5}
    assert run("verify", dsn=plain.dsn)[0] == 1


def test_a_backup_of_another_version_is_refused_or_brought_up(plain: Place, run: Run, folder: Path) -> None:
    """A newer schema, a newer server: with what is needed. A manifest without sums: rows are compared all the same."""
    plain.count(0, 5)
    archive = backed_up(run, plain, folder)
    found = backup_manifest.opened(archive).manifest
    said = []
    for update in (
        {"schema_version": "9999", "footfall": "7.0"},
        {"server_version": 990_001, "postgresql": "99.1"},
        {"pg_dump": "99.1"},
        {"timescaledb": "1.2.3"},
    ):
        written(archive, found.model_copy(update=update))
        status, _, error = run("restore", archive, "--replace", dsn=plain.dsn)
        assert status == 1
        said.append(error)
    written(archive, found.model_copy(update={"truth": None}))
    assert run("restore", archive, "--replace", dsn=plain.dsn)[0] == 0
    status, _, error = run("verify", "--against", archive, dsn=plain.dsn)

    assert "made by footfall 7.0, its schema is 9999" in said[0]
    assert "the backup is of PostgreSQL 99.1, this server is" in said[1]
    assert "pg_restore must be of version 99 or newer" in said[2]
    assert "the backup needs TimescaleDB 1.2.3, the very same version, and here is none" in said[3]
    assert plain.passages() == {"markt-1": 5}
    assert status == 1
    assert "did not know how to add up its counts" in error


def test_another_version_of_timescaledb_is_named(timescale: Place, run: Run, folder: Path) -> None:
    """Which one is needed and which is there; and that a superuser has to do it."""
    archive = backed_up(run, timescale, folder)
    account = f"{timescale.name}_owner"
    timescale.ask(f"CREATE ROLE {account} LOGIN CREATEDB")
    parts = urlsplit(timescale.dsn)
    mine = urlunsplit(parts._replace(netloc=f"{account}@{parts.hostname}:{parts.port}", path=f"/{timescale.name}_2"))
    try:
        plain_account = run("restore", archive, "--into", mine, dsn=timescale.dsn)
    finally:
        timescale.ask(f"DROP ROLE {account}")
    found = backup_manifest.opened(archive).manifest
    written(archive, found.model_copy(update={"timescaledb": "2.0.0"}))
    status, _, said = run("restore", archive, "--into", f"{timescale.dsn}_2", dsn=timescale.dsn)

    assert plain_account[0] == status == 1
    assert f"is restored by a superuser, which {account} is not" in plain_account[2]
    assert f"the backup needs TimescaleDB 2.0.0, the very same version, and here is {found.timescaledb}" in said


def test_who_owns_the_database_is_among_the_roles(plain: Place, run: Run, folder: Path) -> None:
    """Also where it is the server's first superuser, of whom it does not write down what is theirs; and the tables'."""
    owner = f"{plain.name}_owner"
    first = str(urlsplit(plain.dsn).username)
    plain.ask(f"CREATE ROLE {owner}")
    try:
        for database, table in ((first, owner), (owner, first)):
            plain.ask(f"ALTER DATABASE {plain.name} OWNER TO {database}; ALTER TABLE store OWNER TO {table}")
            roles = backup_manifest.opened(backed_up(run, plain, folder)).manifest.roles
            assert {first, owner} <= set(roles)
    finally:
        plain.ask(f"ALTER DATABASE {plain.name} OWNER TO {first}; ALTER TABLE store OWNER TO {first}")
        plain.ask(f"DROP ROLE {owner}")


@pytest.mark.parametrize("revision", ["0008", "head"])
def test_rights_come_back_with_their_roles(revision: str, place: Place, run: Run, folder: Path) -> None:
    """A role that the server does not have is made such that nobody can log in; what is shut stays shut.

    Also in a backup of an older version, to which the restore adds.
    """
    planner, owner, name = f"{place.name}_planner", f"{place.name}_owner", f"{place.name}_2"
    parts = urlsplit(place.server.dsn(name))
    dsn, mine = urlunsplit(parts), urlunsplit(parts._replace(netloc=f"{owner}:x@{parts.hostname}:{parts.port}"))
    try:
        place.ask(f"CREATE ROLE {planner} LOGIN; CREATE ROLE {owner} LOGIN PASSWORD 'x'")
        place.server.create(name)
        place.ask(f"ALTER DATABASE {name} OWNER TO {owner}")
        if place.timescale:
            place.ask("CREATE EXTENSION IF NOT EXISTS timescaledb", dsn=dsn)
        migrated_to(mine, revision)
        if revision == "head":
            migrate(mine)  # with what comes after the schema
        place.ask(f"GRANT SELECT ON count_hour TO {planner}", dsn=dsn)
        archive = backed_up(run, Place(place.server, name, dsn, place.timescale), folder)
        place.server.drop(name)
        place.ask(f"DROP ROLE {planner}; DROP ROLE {owner}")

        status, said, error = run("restore", archive, dsn=dsn)

        assert (status, error) == (0, "")
        assert re.findall("nobody can log in as they are: (.*)", said) == [f"{owner}, {planner}"]
        query = "SELECT rolname, rolcanlogin FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY 1"
        assert place.ask(query, [place.name]) == [(owner, False), (planner, False)]
        may = "SELECT has_table_privilege(%s, 'count_hour', 'SELECT'), has_table_privilege(%s, 'count_hour', 'INSERT')"
        assert place.ask(may, [planner, planner], dsn) == [(True, False)]
        shut = "SELECT count(*) FROM aclexplode((SELECT proacl FROM pg_proc WHERE proname = 'remove_minutes'))"
        assert place.ask(f"{shut} WHERE grantee = 0", dsn=dsn) == [(0,)]
        # Those that the restore made for today's schema as well.
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        assert place.ask(owners, dsn=dsn) == [(owner,)]
        assert place.ask("SELECT count(*) FROM node_day", dsn=dsn) == [(0,)]
        whose = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
        assert place.ask(whose, [name]) == [(owner,)]
        # TimescaleDB works in the owner's name, who has to be allowed to log in for that; who migrates as ever.
        assert (f'the role "{owner}" may not log in (ALTER ROLE "{owner}" LOGIN' in said) == place.timescale
        place.ask(f"ALTER ROLE {owner} LOGIN PASSWORD 'x'")
        assert [line for line in migrate(mine) if "are compressed" not in line] == []
        assert migrate(mine) == []
    finally:
        place.server.drop(name)
        place.ask(f"DROP ROLE IF EXISTS {planner}; DROP ROLE IF EXISTS {owner}")


def test_an_account_that_may_make_databases_restores_what_is_its_own(plain: Place, run: Run, folder: Path) -> None:
    """Without being a superuser, on plain PostgreSQL; one that may make none is told what to do."""
    plain.count(0, 5)
    archive = backed_up(run, plain, folder)
    account = f"{plain.name}_owner"
    plain.ask(f"CREATE ROLE {account} LOGIN PASSWORD 'f7e1c0ffee'")
    parts = urlsplit(plain.dsn)
    place = f"{account}:f7e1c0ffee@{parts.hostname}:{parts.port}"
    dsn = urlunsplit(parts._replace(netloc=place, path=f"/{plain.name}_2"))
    try:
        refused = run("restore", archive, dsn=dsn)
        plain.ask(f"ALTER ROLE {account} CREATEDB")
        status, said, error = run("restore", archive, dsn=dsn)
        again = run("restore", archive, "--replace", dsn=dsn)

        assert refused[0] == 1
        assert f"ALTER ROLE {account} CREATEDB;" in refused[2]
        assert (status, error) == (0, "")
        assert "a new epoch begins" in said
        assert (again[0], again[2]) == (0, "")
        owners = plain.ask("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", dsn=dsn)
        may = "SELECT has_table_privilege('footfall_ingest', 'count_minute', 'INSERT')"
        assert owners == [(account,)]
        assert plain.ask(may, dsn=dsn) == [(True,)]
        assert plain.passages(dsn) == {"markt-1": 5}
    finally:
        for name in plain.names()[1:]:
            plain.server.drop(name)
        plain.ask(f"DROP OWNED BY {account}; DROP ROLE {account}")


# The database itself


def test_a_database_is_held_against_itself_and_a_backup(plain: Place, run: Run, folder: Path) -> None:
    """What somebody deleted is missing, whatever came since; and the two ways to ask are not mixed up."""
    plain.count(0, 12)
    archive = backed_up(run, plain, folder)
    plain.count(12, 12)
    sound = run("verify", "--against", archive.with_suffix(".json"), dsn=plain.dsn)
    minute = NOON // 60
    plain.ask(f"DELETE FROM count_minute WHERE minute <= {minute + 2}; DELETE FROM coverage_minute")
    status, _, said = run("verify", "--against", archive, dsn=plain.dsn)
    mixed = run("verify", archive, "--against", archive, dsn=plain.dsn)

    assert sound[0] == 0
    assert "and it has all 12 passages that" in sound[1]
    assert status == 1
    assert "footfall-ingest: markt-1: 1 minutes have passages and nothing says for how long they were measured" in said
    assert "markt-1: 6 passages that the backup has are missing" in said
    assert "markt-1: 120 measured seconds that the backup has are missing" in said
    assert "received reports" not in said
    assert mixed[0] == 1
    assert "to check the backup itself name it alone" in mixed[2]


def test_the_manifest_is_for_people_too(plain: Place, run: Run, folder: Path) -> None:
    """The checksum can be checked without footfall, on the machine that the backup was copied to."""
    archive = backed_up(run, plain, folder)
    manifest = json.loads(archive.with_suffix(".json").read_text())
    line = f"{manifest['sha256']}  {manifest['file']}\n"

    assert subprocess.run(["sha256sum", "-c"], input=line, text=True, cwd=folder, check=False).returncode == 0
