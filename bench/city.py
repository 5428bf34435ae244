"""Ten thousand sensors that report every ten seconds: how long from publish to committed, and does memory stay flat?

One process plays all edges over a few connections. It notes when it published each report, and hears in the commit
notices, as edges do, when the report was committed: so what is measured ends with the notice's way back through the
broker. Broker, ingest, database and this process share the machine's cores.

A second, shorter run sends all reports within the first second after each slot's end, which is what edges whose clocks
agree do.
"""

import json
import random
import threading
import time
from array import array
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from paho.mqtt.client import Client, MQTTMessage

from bench import machine, servers
from bench.decoding import SEED, usual_report
from bench.ingest import NO_MOSQUITTO
from bench.measure import quantile
from bench.result import Curve, Result
from footfall_contract import topics
from footfall_contract.report import encode_cbor
from footfall_demo.broker import Broker, find_mosquitto
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings

TITLE = "sensors that report every ten seconds: from publish to committed, and memory"

EVERY_S = 10
OF_NODE = 10
"""Sensors of one edge."""
CONNECTIONS = 4
ALL_NOTICES = topics.committed("any").replace("/any/", "/+/")
LATEST_S = 60
"""So long after the last report its notice is waited for."""
ROWS = 12
"""Lines of the curve."""
NOISE_MB = 2.0
"""What a process may take and give back within a minute."""


@dataclass(frozen=True)
class Size:
    """How many, for how long."""

    sensors: int = 10_000
    seconds: int = 600
    burst_seconds: int = 60


TINY = Size(sensors=60, seconds=2, burst_seconds=1)


@dataclass
class Run:
    """What came of one run."""

    latencies: "array[float]"
    """Seconds from publish to the notice, in the order of committing."""
    committed_s: "array[float]"
    """When, in seconds since the beginning."""
    sent: int
    looks: list[tuple[float, dict[str, int], dict[str, float]]]
    """Seconds since the beginning, bytes of each process's own memory, CPU seconds of each."""
    late_s: float
    """How far the publisher fell behind its timetable at most."""


def run(size: Size) -> Result:
    """Evenly spread over the ten seconds, then in bursts."""
    result = Result("city", TITLE, vars(size))
    if not find_mosquitto():
        result.skipped = NO_MOSQUITTO
        return result
    with servers.workplace() as folder, servers.plain(folder) as server:
        result.servers = {"database": machine.database(server.maintenance), "broker": machine.mosquitto()}
        with server.fresh() as dsn:
            even = play(folder / "even", dsn, size.sensors, size.seconds, spread_s=EVERY_S)
        with server.fresh() as dsn:
            burst = play(folder / "burst", dsn, size.sensors, size.burst_seconds, spread_s=1)
    _figures(result, "evenly spread", even)
    _figures(result, "all within a second", burst)
    result.curves.append(_curve(even))
    p99 = quantile(even.latencies, 0.99)
    end = [latency for latency, at in zip(even.latencies, even.committed_s, strict=True) if at > size.seconds * 3 / 4]
    result.at_most("99th percentile, publish to committed", p99, 1, unit="s")
    result.at_most("the same in the last quarter: it is sustained", quantile(end or even.latencies, 0.99), 1, unit="s")
    result.at_least("committed of those sent", 100 * len(even.latencies) / even.sent, 100, unit="%")
    for name in even.looks[0][1]:
        second, last = _quarters(even, name)
        result.figure(f"{name}: memory at most, second quarter", "MB", second)
        result.figure(f"{name}: memory at most, last quarter", "MB", last)
        if name != "PostgreSQL":
            most = max(NOISE_MB, 0.05 * second)
            result.at_most(f"{name}: memory, from the second to the last quarter", last - second, most, unit="MB")
    result.notes.append(
        "Of PostgreSQL only what its processes share with nobody is counted; its shared buffers have a fixed size."
    )
    return result


def _figures(result: Result, how: str, played: Run) -> None:
    seconds = played.looks[-1][0]
    result.figure(f"{how}: reports committed", "reports/s", len(played.latencies) / seconds)
    for share, name in ((0.5, "median"), (0.99, "99th percentile"), (0.999, "99.9th percentile")):
        result.figure(f"{how}: publish to committed, {name}", "ms", 1000 * quantile(played.latencies, share))
    result.figure(f"{how}: publish to committed, longest", "ms", 1000 * max(played.latencies))
    result.figure(f"{how}: publisher behind its timetable, at most", "ms", 1000 * played.late_s)
    first, last = played.looks[0][2], played.looks[-1][2]
    for name, spent in last.items():
        result.figure(f"{how}: cores busy with {name}", "cores", (spent - first[name]) / seconds)


def _curve(played: Run) -> Curve:
    names = list(played.looks[0][1])
    step = max(len(played.looks) // ROWS, 1)
    rows = [[round(at), *(memory[name] / 1e6 for name in names)] for at, memory, _ in played.looks[::step]]
    return Curve("memory of its own, evenly spread, in MB", ["seconds", *names], rows)


def _quarters(played: Run, name: str) -> tuple[float, float]:
    end = played.looks[-1][0]
    second = [look[1][name] for look in played.looks if end / 4 <= look[0] < end / 2]
    last = [look[1][name] for look in played.looks if look[0] >= end * 3 / 4]
    return max(second or last) / 1e6, max(last) / 1e6


class Edges:
    """All nodes in one: publishes their reports and hears their notices."""

    def __init__(self, port: int, sensors: int, seconds: float, spread_s: float) -> None:
        self._rng = random.Random(SEED)
        self._sensors, self._seconds = sensors, seconds
        self._spread_s = min(spread_s, seconds)
        self._rounds = max(int(seconds / EVERY_S), 1)
        self._start = int(time.time()) // EVERY_S * EVERY_S - EVERY_S  # the slot that has just ended
        self._open: dict[str, deque[float]] = defaultdict(deque)
        """By sensor, when each report that is not committed was published."""
        self._next: dict[str, int] = defaultdict(int)
        self._begin = time.perf_counter()
        self.played = Run(array("d"), array("d"), 0, [], 0.0)
        self._clients = [self._client(port, number) for number in range(CONNECTIONS)]
        self._listener = self._client(port, CONNECTIONS)
        self._listener.on_message = self._told
        self._listener.subscribe(ALL_NOTICES, 1)

    def _client(self, port: int, number: int) -> Client:
        client = new_client(MqttSettings(port=port), f"edges-{number}")
        client.max_inflight_messages_set(10_000)
        client.max_queued_messages_set(0)
        client.connect("127.0.0.1", port)
        client.loop_start()
        return client

    def play(self) -> None:
        """Publish everything when it is time."""
        self._begin = time.perf_counter()
        for round_ in range(self._rounds):
            for sensor in range(self._sensors):
                due = round_ * EVERY_S + self._spread_s * sensor / self._sensors
                while (ahead := due - self.now()) > 0:
                    time.sleep(ahead)
                self.played.late_s = max(self.played.late_s, -ahead)
                self._publish(sensor, round_)
        time.sleep(max(self._seconds - self.now(), 0))

    def _publish(self, sensor: int, seq: int) -> None:
        payload = encode_cbor(usual_report(self._rng, sensor, seq, start=self._start))
        topic = topics.counts(f"node-{sensor // OF_NODE}", f"sensor-{sensor}")
        self._open[f"sensor-{sensor}"].append(self.now())
        self._clients[sensor % CONNECTIONS].publish(topic, payload, qos=1)
        self.played.sent += 1

    def _told(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        now = self.now()
        for sensor, streams in json.loads(message.payload)["sensors"].items():
            upto = streams[0]["next"]
            for _ in range(upto - self._next[sensor]):
                self.played.latencies.append(now - self._open[sensor].popleft())
                self.played.committed_s.append(now)
            self._next[sensor] = max(self._next[sensor], upto)

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    def wait(self) -> float:
        """Wait for the last notices; returns the seconds since the beginning."""
        deadline = time.monotonic() + LATEST_S
        while len(self.played.latencies) < self.played.sent and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.now()

    def leave(self) -> None:
        """Hang up."""
        for client in (*self._clients, self._listener):
            hang_up(client)


def play(folder: Path, dsn: str, sensors: int, seconds: int, *, spread_s: float) -> Run:
    """One run. Each round's reports are spread over the first `spread_s` seconds of its ten."""
    with (
        Broker(folder / "broker", kind="mosquitto") as broker,
        servers.ingest(folder, dsn, broker.port) as ingest,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        assert broker.process is not None
        parts = {
            "ingest": ingest,
            "mosquitto": [psutil.Process(broker.process.pid)],
            "PostgreSQL": servers.backends(connection),
        }
        edges = Edges(broker.port, sensors, seconds, spread_s)
        played, ended = edges.played, threading.Event()

        def look() -> None:
            memory = {name: servers.own_memory(processes) for name, processes in parts.items()}
            spent = {name: servers.cpu_s(processes) for name, processes in parts.items()}
            played.looks.append((edges.now(), memory, {**spent, "the edges": time.process_time()}))

        def keep_looking() -> None:
            while not ended.wait(max(seconds / (ROWS * 10), 0.5)):
                look()

        looker = threading.Thread(target=keep_looking)  # a look takes long enough to hold up the publishing
        look()
        looker.start()
        edges.play()
        edges.wait()
        ended.set()
        looker.join()
        look()
        edges.leave()
        row = connection.execute("SELECT coalesce(sum(observed_s), 0) / %s FROM coverage_minute", [EVERY_S]).fetchone()
        assert row is not None
        assert row[0] == played.sent, f"{row[0]} of {played.sent} reports stored"
        return played
