"""``footfall-ingest --workers N`` as a real program: what it starts, starts again, and that it leaves nothing."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest.__main__ import main
from footfall_ingest.settings import IngestSettings
from footfall_role.children import die_with_parent
from footfall_testing.ingest_process import command, settings_for
from footfall_testing.sender import Sender
from footfall_testing.waiting import wait_until


class Program:
    """The program with `--workers`, its log in a file."""

    def __init__(self, settings: IngestSettings, folder: Path, *words: str) -> None:
        line, environment = command(settings, folder)
        self._log = folder / "program.log"
        with self._log.open("wb") as log:
            # Not even a test that is ended without a word leaves it behind.
            last = die_with_parent(signal.SIGKILL)
            self.process = subprocess.Popen([*line, *words], env=environment, stderr=log, preexec_fn=last)  # noqa: PLW1509

    @property
    def log(self) -> str:
        return self._log.read_text()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return sorted(child.pid for child in psutil.Process(self.process.pid).children())


@contextmanager
def program(settings: IngestSettings, folder: Path, *words: str) -> Iterator[Program]:
    """The program, gone at the end."""
    found = Program(settings, folder, *words)
    try:
        yield found
    finally:
        found.process.terminate()
        try:
            found.process.wait(30)
        finally:
            found.process.kill()


def is_subscribed(port: int) -> bool:
    """Whether the worker with this metrics port receives reports."""
    try:
        return "footfall_ingest_subscribed 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    except httpx.TransportError:
        return False


@pytest.fixture
def ports() -> tuple[int, int]:
    """Two free ports in a row."""

    def pair() -> int:
        port = free_port()
        try:
            import socket

            with socket.socket() as next_one:
                next_one.bind(("127.0.0.1", port + 1))
        except OSError:
            return 0
        return port

    port = wait_until(pair, what="two free ports in a row")
    return port, port + 1


def test_workers_share_the_work_and_a_dead_one_comes_back(
    mosquitto: Broker, database: str, unique: str, tmp_path: Path, ports: tuple[int, int]
) -> None:
    """Each has a metrics port and its number in the log; one that dies is replaced; SIGTERM ends all with status 0."""
    settings = settings_for(mosquitto, database, unique, metrics={"port": ports[0]})
    with program(settings, tmp_path, "--workers", "2") as running:
        wait_until(lambda: all(map(is_subscribed, ports)), timeout=40, what="two workers")
        before = running.workers()
        psutil.Process(before[0]).kill()
        wait_until(lambda: len(running.workers()) == 2 and before[0] not in running.workers(), what="a new worker")
        wait_until(lambda: all(map(is_subscribed, ports)), timeout=40, what="two workers again")
        after = running.workers()
        with Sender(mosquitto, unique[-20:], sensors=3, number=50) as sender:
            wait_until(lambda: sender.settled, timeout=60, what="notices for everything")

        def counted() -> list[float]:
            return [_value(port, "footfall_ingest_reports_stored_total") for port in ports]

        # The notice of one worker may tell of what the other has stored and not counted yet.
        wait_until(lambda: sum(counted()) >= 150, what="everything in the metrics")
        stored = counted()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0

    assert len(before) == 2
    assert before[1] in after
    assert sum(stored) == 150
    assert all(stored)
    assert not any(psutil.pid_exists(pid) for pid in after)
    assert re.search(r"ERROR footfall_ingest.workers a worker ended number=\d status=SIGKILL wait_s=0.5", running.log)
    for number in (1, 2):
        assert re.search(rf"connected to the broker .* worker={number}$", running.log, re.MULTILINE)


def _value(port: int, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found
    return float(found[1])


def test_a_killed_parent_leaves_no_worker(mosquitto: Broker, database: str, unique: str, tmp_path: Path) -> None:
    """The number of workers may also be a setting; the kernel tells them that their parent is gone."""
    settings = settings_for(mosquitto, database, unique, workers=2)
    with program(settings, tmp_path) as running:
        wait_until(lambda: running.log.count("connected to the broker") >= 2, timeout=40, what="two workers")
        workers = running.workers()
        running.process.kill()
        running.process.wait()
        wait_until(lambda: not any(map(_runs, workers)), timeout=30, what="the end of the workers")

    assert len(workers) == 2


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("words", [(), ("--workers", "2")])
def test_a_broker_that_cannot_be_shared_ends_the_program(
    amqtt_broker: Broker, database: str, unique: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Status 1 and the sentence, from one member and from a parent of two; nothing is started again."""
    settings = settings_for(amqtt_broker, database, unique, mqtt={"share": unique})
    with program(settings, tmp_path, *words) as running:
        assert running.process.wait(60) == 1

    assert f"footfall-ingest: the broker 127.0.0.1:{amqtt_broker.port} grants shared subscriptions" in running.log
    assert "Traceback" not in running.log
    assert running.log.count("started a worker") == (2 if words else 0)


def test_a_schema_that_is_missing_is_said_once(
    mosquitto: Broker, blank_database: str, unique: str, tmp_path: Path
) -> None:
    """The parent looks before it starts anybody."""
    with program(settings_for(mosquitto, blank_database, unique), tmp_path, "--workers", "3") as running:
        assert running.process.wait(60) == 1

    assert running.log == "footfall-ingest: the database has no schema yet: run `footfall-ingest migrate`\n"


def test_a_worker_is_a_member_with_a_port_of_its_own() -> None:
    """The group is the one that is set, else it is named as the single aggregator's session is."""
    plain = IngestSettings(workers=3, metrics={"port": 9000}, mqtt={"client_id": "jena/ingest"})
    named = IngestSettings(workers=3, mqtt={"share": "jena"})

    assert [plain.of_worker(number).metrics.port for number in (1, 2, 3)] == [9000, 9001, 9002]
    assert plain.of_worker(1).mqtt.share == "jena-ingest"
    assert plain.of_worker(1).workers == 1
    assert named.of_worker(2).mqtt.share == "jena"
    assert named.of_worker(2).metrics.port is None
    assert plain.mqtt.share is None


@pytest.mark.parametrize("number", ["0", "65", "two"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is read or connected."""
    with pytest.raises(SystemExit) as left:
        main(["--workers", number])

    assert left.value.code == 2
    assert "--workers" in capsys.readouterr().err


def test_workers_need_as_many_ports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the number comes from the command line."""
    config = tmp_path / "ingest.toml"
    config.write_text("[metrics]\nport = 65535\n")
    shown: Callable[..., int] = lambda *words: main(["--config", str(config), *words, "--print-config"])  # noqa: E731

    assert shown("--workers", "1") == 0
    assert shown("--workers", "2") == 78
    assert "2 workers take as many ports from 65535 on" in capsys.readouterr().err
