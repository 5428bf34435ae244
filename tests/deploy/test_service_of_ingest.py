"""What a service manager hears of a real footfall-ingest, alone and with workers."""

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest import subscriber
from footfall_ingest.settings import IngestSettings
from footfall_testing.ingest_process import command, ingest, settings_for
from footfall_testing.proxy import Proxy
from footfall_testing.sender import Sender
from footfall_testing.service_manager import HANGS, Manager, started
from footfall_testing.waiting import wait_until

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Stands for systemd; its watchdog waits two seconds."""
    with Manager(tmp_path, 2.0) as found:
        yield found


def program(
    settings: IngestSettings, folder: Path, manager: Manager, *words: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The program with `settings`, its log in program.log."""
    (_, _, module, *options), environment = command(settings, folder)
    heard = {"FOOTFALL_DATABASE__DSN": environment["FOOTFALL_DATABASE__DSN"], **manager.environment}
    return started(module, *options, *words, log=folder / "program.log", environment=heard)


@pytest.fixture
def settings(mosquitto: Broker, database: str, unique: str) -> IngestSettings:
    """Settings of an aggregator that has all it needs."""
    return settings_for(mosquitto, database, unique)


@pytest.mark.parametrize("words", [(), ("--workers", "2")])
def test_who_waits_for_the_database_is_ready_and_alive(
    mosquitto: Broker, manager: Manager, tmp_path: Path, unique: str, words: tuple[str, ...]
) -> None:
    """To wait is its work: who starts it goes on, and it is not started again, however long the database is away."""
    with program(settings_for(mosquitto, NOWHERE, unique), tmp_path, manager, *words):
        manager.wait_for("READY=1")
        manager.lives(5)

    assert manager.status == "waiting for the database"


def test_who_waits_for_the_broker_is_alive(database: str, manager: Manager, tmp_path: Path, unique: str) -> None:
    """With the database reached it is ready; the broker may come when it likes."""
    settings = IngestSettings(mqtt={"port": free_port(), "client_id": unique}, database={"dsn": database})
    with program(settings, tmp_path, manager):
        manager.wait_for_status("waiting for the broker")
        manager.wait_for("READY=1")
        manager.lives()


def test_who_receives_is_alive_also_when_nothing_comes(
    mosquitto: Broker, database: str, manager: Manager, tmp_path: Path, unique: str
) -> None:
    """Nothing to do is no reason to be started again. It says when it leaves."""
    with program(settings_for(mosquitto, database, unique), tmp_path, manager) as process:
        manager.wait_for_status("receiving")
        manager.lives()
        process.terminate()
        manager.wait_for("STOPPING=1")

        assert process.wait(30) == 0


def test_a_database_that_swallows_everything_is_waited_for(
    mosquitto: Broker, database: str, manager: Manager, tmp_path: Path, unique: str
) -> None:
    """A transaction that waits for its answer is no loop that hangs: the wait has an end of its own."""
    found = conninfo_to_dict(database)
    with Proxy(int(found["port"] or 0), str(found["host"])) as proxy:
        dsn = make_conninfo(database, host=proxy.host, port=proxy.port)
        with program(settings_for(mosquitto, dsn, unique), tmp_path, manager):
            manager.wait_for_status("receiving")
            proxy.stall()
            with Sender(mosquitto, unique[-20:], sensors=1, number=1):
                manager.lives(8)


@pytest.mark.parametrize("number", [signal.SIGSTOP, HANGS])
def test_who_hangs_gives_no_sign_of_life(
    settings: IngestSettings, manager: Manager, tmp_path: Path, number: signal.Signals
) -> None:
    """Stopped as a whole; or only its loop stands still, while the thread of the broker goes on."""
    with program(settings, tmp_path, manager) as process:
        manager.wait_for_status("receiving")
        manager.lives(1)
        process.send_signal(number)

        assert manager.is_silent()


def test_without_its_network_thread_it_gives_no_sign_of_life(
    mosquitto: Broker, database: str, manager: Manager, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes round, and nothing would ever come in again."""
    for name, value in manager.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(subscriber, "_STILL_S", 1.0)
    stands_still, goes_on = threading.Event(), threading.Event()
    turn = subscriber.Subscriber._turn

    def stuck(self: subscriber.Subscriber, sock: object) -> None:
        if stands_still.is_set():
            goes_on.wait(120)
        turn(self, sock)  # type: ignore[arg-type]

    monkeypatch.setattr(subscriber.Subscriber, "_turn", stuck)
    # Its turns are a second long where nothing comes.
    monkeypatch.setattr(subscriber, "_LOOK_UP_S", 0.1)
    with ingest(settings_for(mosquitto, database, unique)):
        try:
            manager.wait_for_status("receiving")
            manager.lives(1)
            stands_still.set()
            assert manager.is_silent()
        finally:
            stands_still.clear()
            goes_on.set()
        manager.lives(1)


def test_a_schema_that_is_missing_is_not_ready(
    mosquitto: Broker, blank_database: str, manager: Manager, tmp_path: Path, unique: str
) -> None:
    """So whoever updates sees at once that `migrate` was forgotten; it may be tried again."""
    with program(settings_for(mosquitto, blank_database, unique), tmp_path, manager) as process:
        assert process.wait(60) == 1

    assert "READY=1" not in manager.lines


@pytest.mark.timeout(400)
def test_a_worker_that_hangs_is_started_again_by_its_parent(settings: IngestSettings, tmp_path: Path) -> None:
    """The parent speaks for all: ready when all are, alive while one hangs, silent when it hangs itself.

    It has time enough that the other worker is not missed while the one that starts takes the machine's cores.
    """
    log = tmp_path / "program.log"
    with Manager(tmp_path, 20.0) as manager, program(settings, tmp_path, manager, "--workers", "2") as process:
        manager.wait_for_status("2 of 2 workers run")
        manager.wait_for("READY=1")
        before = [child.pid for child in psutil.Process(process.pid).children()]
        psutil.Process(before[0]).suspend()
        wait_until(lambda: "a worker hangs, it is ended" in log.read_text(), timeout=60, what="the worker to be missed")
        wait_until(lambda: not psutil.pid_exists(before[0]), timeout=60, what="the worker to be gone")
        manager.wait_for_status("2 of 2 workers run")
        after = [child.pid for child in psutil.Process(process.pid).children()]
        manager.lives(1)
        process.send_signal(signal.SIGSTOP)
        silent = manager.is_silent()

    assert before[0] not in after
    assert before[1] in after
    assert silent
    assert len(re.findall("a worker hangs", log.read_text())) == 1
