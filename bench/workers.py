"""Reports stored a second by two and three workers, against one, and where the time of the cores went.

The workers subscribe and are stopped (SIGSTOP); then the broker is given all reports, and the workers go on. So what
is measured is how fast they take what is there. Each sensor has as many reports as an edge has under way at most; they
come in order, sensors mixed at random. So each worker gets some of every sensor's: they contend for all of them.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from bench.decoding import usual_reports
from bench.ingest import publish, received
from footfall_contract import topics
from footfall_demo.broker import Broker, find_mosquitto
from footfall_demo.ports import free_port
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest.migrate import migrate
from footfall_role.settings import MqttSettings

NODES, SENSORS, EACH = 60, 600, 64
WORKERS = (1, 2, 3)
ROUNDS = 3
SEED = 7
PATIENCE_S = 120


@dataclass(frozen=True)
class Run:
    """One measurement."""

    seconds: float
    busy: Mapping[str, float]
    """CPU seconds by part."""


def main() -> None:
    """Thirty-eight thousand reports from sixty nodes with ten sensors each."""
    if not find_mosquitto():
        print("\nWorkers: skipped, mosquitto is not installed")
        return
    payloads = usual_reports(SENSORS * EACH, SENSORS)
    of_sensor = [iter(payloads[sensor::SENSORS]) for sensor in range(SENSORS)]
    order = [sensor for sensor in range(SENSORS) for _ in range(EACH)]
    random.Random(SEED).shuffle(order)
    reports = [
        (topics.counts(f"node-{sensor % NODES}", f"sensor-{sensor}"), next(of_sensor[sensor])) for sensor in order
    ]
    best: dict[int, Run] = {}
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "database") as postgres:
            for round_ in range(ROUNDS):
                for number in WORKERS:
                    database = f"bench_{round_}_{number}"
                    postgres.create_database(database)
                    migrate(postgres.dsn(database))
                    run = measure(number, reports, folder / database, postgres.dsn(database))
                    best[number] = min(run, best.get(number, run), key=lambda found: found.seconds)
    print(
        f"\nWorkers: {len(reports)} reports of {len(payloads[0])} bytes, {SENSORS} sensors, mosquitto, PostgreSQL with "
        f"fsync, {os.cpu_count()} cores for all of it, best of {ROUNDS}"
    )
    for number, run in best.items():
        ratio = best[1].seconds / run.seconds
        parts = ", ".join(f"{part} {seconds / run.seconds:.2f}" for part, seconds in run.busy.items())
        rate = len(reports) / run.seconds
        print(f"  {number} worker(s) {rate:10.0f} reports/s   {ratio:.2f} × one worker   cores busy: {parts}")


def measure(number: int, reports: list[tuple[str, bytes]], folder: Path, dsn: str) -> Run:
    """From the moment that the workers may begin until every report is committed."""
    with Broker(folder, kind="mosquitto") as broker, workers(number, broker, folder, dsn) as processes:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        publish(MqttSettings(port=broker.port), reports)
        assert broker.process is not None
        parts = {"workers": processes, "mosquitto": [psutil.Process(broker.process.pid)]}
        with psycopg.connect(dsn, autocommit=True) as connection:
            own = psutil.Process(connection.info.backend_pid)
            begin, busy, postgres = time.perf_counter(), _busy(parts), _busy_backends(own)
            for process in processes:
                process.send_signal(signal.SIGCONT)
            while received(connection) < len(reports):
                assert time.perf_counter() - begin < PATIENCE_S, f"{received(connection)} of {len(reports)}"
                time.sleep(0.02)
            seconds = time.perf_counter() - begin
            spent = {part: value - busy[part] for part, value in _busy(parts).items()}
            return Run(seconds, {**spent, "PostgreSQL": _busy_backends(own) - postgres})


@contextlib.contextmanager
def workers(number: int, broker: Broker, folder: Path, dsn: str) -> Iterator[list[psutil.Process]]:
    """The worker processes, subscribed. One is an aggregator alone, without a group."""
    port = _free_ports(number)
    config = folder / "ingest.toml"
    config.write_text(f"[mqtt]\nport = {broker.port}\n[metrics]\nport = {port}\n")
    environment = {**os.environ, "FOOTFALL_DATABASE__DSN": dsn}
    words = [sys.executable, "-m", "footfall_ingest", "--config", str(config), "--workers", str(number)]
    with (folder / "ingest.log").open("wb") as log, subprocess.Popen(words, env=environment, stderr=log) as parent:
        deadline = time.monotonic() + PATIENCE_S
        while not all(_is_subscribed(port + n) for n in range(number)):
            assert time.monotonic() < deadline, (folder / "ingest.log").read_text()
            time.sleep(0.05)
        children = psutil.Process(parent.pid).children()
        yield children or [psutil.Process(parent.pid)]
        parent.terminate()


def _free_ports(number: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = free_port()
        with contextlib.suppress(OSError), contextlib.ExitStack() as taken:
            for port in range(first, first + number):
                taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def _is_subscribed(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return b"footfall_ingest_subscribed 1.0" in answer.read()
    except OSError:
        return False


def _busy(parts: Mapping[str, list[psutil.Process]]) -> dict[str, float]:
    return {part: sum(_cpu_s(process) for process in processes) for part, processes in parts.items()}


def _busy_backends(own: psutil.Process) -> float:
    """CPU seconds of PostgreSQL without the connection `own`, with which we look."""
    server = own.parent()
    assert server is not None
    return sum(_cpu_s(process) for process in server.children() if process.pid != own.pid)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
