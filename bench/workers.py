"""Reports stored a second by two and three workers, against one, and where the time of the cores went.

The workers subscribe and are stopped (SIGSTOP); then the broker is given all reports, and the workers go on. So what
is measured is how fast they take what is there. Each sensor has as many reports as an edge has under way at most; they
come in order, sensors mixed at random. So each worker gets some of every sensor's: they contend for all of them.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from bench import machine, servers
from bench.decoding import usual_reports
from bench.ingest import NO_MOSQUITTO, Reports, held, received, wait
from bench.result import Result
from footfall_contract import topics
from footfall_demo.broker import Broker, find_mosquitto

TITLE = "several workers that share a subscription, against one"

NODES = 60
WORKERS = (1, 2, 3)
SEED = 7


@dataclass(frozen=True)
class Size:
    """How many sensors, and how many reports of each."""

    sensors: int = 600
    reports_each: int = 64
    rounds: int = 3


TINY = Size(sensors=60, reports_each=4, rounds=1)


@dataclass(frozen=True)
class Run:
    """One measurement."""

    seconds: float
    busy: Mapping[str, float]
    """CPU seconds by part."""


def run(size: Size) -> Result:
    """Reports from sixty nodes; one, two and three workers take turns, each time with a fresh database."""
    result = Result("workers", TITLE, vars(size))
    if not find_mosquitto():
        result.skipped = NO_MOSQUITTO
        return result
    reports = _mixed(size)
    runs: dict[int, list[Run]] = {number: [] for number in WORKERS}
    with servers.workplace() as folder, servers.plain(folder) as server:
        result.servers = {"database": machine.database(server.maintenance), "broker": machine.mosquitto()}
        for round_ in range(size.rounds):
            for number, found in runs.items():
                with server.fresh() as dsn:
                    found.append(measure(number, reports, folder / f"{round_}-{number}", dsn))
    for number, found in runs.items():
        who = f"{number} worker{'s' if number > 1 else ''}"
        result.figure(who, "reports/s", [len(reports) / one.seconds for one in found])
        if number > 1:
            ratios = [one.seconds / more.seconds for one, more in zip(runs[1], found, strict=True)]
            result.figure(f"{who} against one", "×", ratios)
        for part in found[0].busy:
            result.figure(f"{who}: cores busy with {part}", "cores", [one.busy[part] / one.seconds for one in found])
    return result


def _mixed(size: Size) -> Reports:
    payloads = usual_reports(size.sensors * size.reports_each, size.sensors)
    of_sensor = [iter(payloads[sensor :: size.sensors]) for sensor in range(size.sensors)]
    order = [sensor for sensor in range(size.sensors) for _ in range(size.reports_each)]
    random.Random(SEED).shuffle(order)
    return [(topics.counts(f"node-{sensor % NODES}", f"sensor-{sensor}"), next(of_sensor[sensor])) for sensor in order]


def measure(number: int, reports: Reports, folder: Path, dsn: str) -> Run:
    """From the moment that the workers may begin until every report is committed."""
    with (
        Broker(folder, kind="mosquitto") as broker,
        servers.ingest(folder, dsn, broker.port, workers=number) as processes,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        assert broker.process is not None
        parts = {
            "the workers": processes,
            "mosquitto": [psutil.Process(broker.process.pid)],
            "PostgreSQL": servers.backends(connection),
        }
        with held(processes, broker, reports):
            begin = time.perf_counter()
            before = {part: servers.cpu_s(found) for part, found in parts.items()}
        wait(begin, lambda: received(connection) >= len(reports), folder / "ingest.log")
        seconds = time.perf_counter() - begin
        return Run(seconds, {part: servers.cpu_s(found) - before[part] for part, found in parts.items()})
