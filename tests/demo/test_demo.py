"""The whole demo as a newcomer starts it: a process tree that counts, answers, and leaves nothing behind."""

import base64
import contextlib
import csv
import io
import json
import os
import queue
import re
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import psutil
import psycopg
import pytest

from footfall_demo.broker import find_mosquitto
from footfall_demo.ports import free_port
from footfall_testing.waiting import wait_until

BROKERS = ["mosquitto", "amqtt"]

pytestmark = pytest.mark.timeout(600)  # a demo that fails has waited for all it hoped for, and is then taken down

SHARED = pytest.mark.xdist_group("demo")
"""In one worker: the bounded runs that they share would run once in each, all at the same time."""


@dataclass
class RunningDemo:
    """`footfall-demo` as a process of its own; what it says is read as it comes."""

    data: Path
    words: list[str]
    port: int = field(default_factory=free_port)
    mqtt_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        words = ["--data", str(self.data), "--port", str(self.port), "--mqtt-port", str(self.mqtt_port), *self.words]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "footfall_demo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []
        self.saw: set[str] = set()
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def hear(self, part: str, timeout: float = 180) -> str:
        """Wait until it says a line with `part` in it."""
        deadline = time.monotonic() + timeout
        while True:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            assert line is not None, f"it ended without saying {part!r}:\n" + "\n".join(self.said)
            self.said.append(line)
            if part in line:
                return line

    def end(self, timeout: float = 60) -> int:
        """Wait until it has ended; gives its exit status."""
        status = self.process.wait(timeout)
        while (line := self._lines.get(timeout=10)) is not None:
            self.said.append(line)
        return status

    def command_lines(self) -> dict[psutil.Process, list[str]]:
        """All living processes that have the data folder on their command line, with that: they may end any time."""
        folders = {str(self.data), str((self.data / "postgres").resolve().parent)}
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if process.status() != psutil.STATUS_ZOMBIE and any(folder in " ".join(words) for folder in folders):
                    found[process] = words
        return found

    def processes(self) -> list[psutil.Process]:
        """All living processes that have the data folder on their command line."""
        return list(self.command_lines())

    def get(self, path: str) -> bytes:
        """The answer of the API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            body: bytes = answer.read()
            return body

    def json(self, path: str) -> Any:
        """The answer of the API, decoded."""
        return json.loads(self.get(path))

    def settings_files(self) -> set[str]:
        """The names of the settings files on the command lines of the processes."""
        return {Path(word).stem for words in self.command_lines().values() for word in words if word.endswith(".toml")}

    def kill(self) -> None:
        """End whatever is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.process.kill()
        self.process.wait()
        self._reader.join()  # the last child to hold the pipe is gone
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(open_folder: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., RunningDemo]]:
    """Start a demo on a data folder; on a new one where none is given."""
    if not request.node.get_closest_marker("full"):
        request.getfixturevalue("bounded_runs")  # they take their time: it passes while other tests run
    started: list[RunningDemo] = []

    def start(*words: str, data: Path | None = None) -> RunningDemo:
        started.append(RunningDemo(data or open_folder / f"demo-{secrets.token_hex(4)}", list(words)))
        return started[-1]

    yield start
    for demo in started:
        demo.kill()


@pytest.fixture(scope="module")
def bounded_runs(open_folder: Path) -> Iterator[dict[str, RunningDemo]]:
    """A bounded run on each broker, both at the same time."""
    kinds = [kind for kind in BROKERS if kind == "amqtt" or find_mosquitto()]
    words = ["--for", "15", "--history", "1", "--verbose", "--broker"]
    runs = {kind: RunningDemo(open_folder / f"demo-{kind}-{secrets.token_hex(4)}", [*words, kind]) for kind in kinds}
    for demo in runs.values():
        demo.hear("page:")
        demo.hear("stop:")
        demo.saw = demo.settings_files()
    yield runs
    for demo in runs.values():
        demo.kill()


def sums(demo: RunningDemo) -> tuple[int, int, int]:
    """Simulated, stored and difference, from the last line of the table of those that count by themselves."""
    line, *_ = [line for line in demo.said if re.match(r"│ all\b", line)]
    simulated, stored, difference = (int(word) for word in re.findall(r"-?\d+", line)[:3])
    return simulated, stored, difference


@SHARED
@pytest.mark.parametrize("kind", BROKERS)
def test_a_bounded_run_ends_without_difference(bounded_runs: dict[str, RunningDemo], kind: str) -> None:
    """On each broker: every passage that a sensor counted is stored once, the run ends by itself and leaves nothing."""
    if kind not in bounded_runs:
        pytest.skip("mosquitto is not installed")
    demo = bounded_runs[kind]
    assert demo.saw == {"ingest", "api", "sim", "jena-nord", "jena-sued"}, "each is a process of its own"
    assert demo.end(200) == 0, "\n".join(demo.said)

    assert "No difference: every passage that a sensor counted is stored, and none twice." in demo.said
    simulated, stored, difference = sums(demo)
    assert simulated == stored > 0
    assert difference == 0
    seen = [
        line.split("│")[1].strip() for line in demo.said if line.startswith("│ ") and line.rstrip("│ ").endswith("%")
    ]
    assert {"Kirchplatz", "Löbderstraße"} >= set(seen) - {"all"}, "what radars are wrong by is in a table of its own"
    places = {line.split("│")[1].strip() for line in demo.said if line.startswith("│ ")} - {"all"}
    assert places == {"Markt", "Johannisstraße", "Kirchplatz", "Wagnergasse", "Holzmarkt", "Löbderstraße"}
    assert "The past is there: 1 days simulated." in demo.said
    assert any(line.startswith("ingest: ") for line in demo.said), "--verbose shows what the processes log"
    assert demo.processes() == []
    memory = json.loads((demo.data / "demo.json").read_text())
    assert memory["live_since"] % 60 == 0
    assert memory["past"] == "simulated"


@SHARED
def test_the_page_is_there_and_moves(start: Callable[..., RunningDemo]) -> None:
    """Page and stations answer, each counter is heard, numbers move; kill -9 of the demo leaves no process."""
    demo = start("--history", "0")
    assert demo.hear("page:").split()[-1] == f"http://127.0.0.1:{demo.port}"
    words = demo.hear("IT:").rstrip(")").split()
    assert words[1] == f"http://127.0.0.1:{demo.port}/betrieb"
    operator = "Basic " + base64.b64encode(f"name:{words[-1]}".encode()).decode()
    assert demo.hear("MQTT:").split()[1] == f"127.0.0.1:{demo.mqtt_port}"
    assert b"Markt" in demo.get("/")
    stations = [station["id"] for station in demo.json("/api/v1/stations")["features"]]
    assert len(stations) == 6
    areas = demo.json("/api/v1/areas")["features"]
    assert all(area["properties"]["stations"] for area in areas), "each area of the example has stations in it"
    assert len(areas) == 3

    since = f"{datetime.now(UTC) - timedelta(minutes=2):%Y-%m-%dT%H:%MZ}"

    def passages(station: str) -> int | None:
        """Passages of the last minutes; None while nothing was measured."""
        query = f"from={since}&resolution=1min&split=direction"
        values = demo.json(f"/api/v1/stations/{station}/counts?{query}")["values"]
        counts = [value["count"] for value in values if value["count"] is not None]
        return sum(counts) if counts else None

    wait_until(lambda: None not in map(passages, stations), timeout=60, every=0.5, what="counts of each station")
    page = urllib.request.Request(f"http://127.0.0.1:{demo.port}/betrieb", headers={"Authorization": operator})

    def operated() -> str:
        """The page that the printed token opens."""
        with urllib.request.urlopen(page, timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    wait_until(lambda: "6 Sensoren an 2 Knoten berichten" in operated(), timeout=60, every=0.5, what="that all is well")
    before = sum(passages(station) or 0 for station in stations)
    wait_until(lambda: sum(passages(s) or 0 for s in stations) > before, timeout=60, every=0.5, what="more passages")
    settings = str(demo.data / "jena-sued.toml")
    [edge] = [process for process, words in demo.command_lines().items() if settings in words]
    edge.kill()
    demo.hear("jena-sued ended (signal SIGKILL); it is started again")
    wait_until(
        lambda: any(settings in words for words in demo.command_lines().values()),
        timeout=60,
        what="the box to be started again",
    )
    if sys.platform == "linux":
        demo.process.kill()
        wait_until(lambda: demo.processes() == [], timeout=60, what="all processes to end with the one that was killed")


@SHARED
def test_without_sensors_anybody_may_report(start: Callable[..., RunningDemo], tmp_path: Path) -> None:
    """The example that is shown works, a file is the past, Ctrl-C ends it all; the next start goes on from there."""
    past = tmp_path / "past.csv"
    header = "station,interval_start,interval_end,count,latitude,longitude,timezone"
    row = "Nordtor,2024-05-01T09:00:00+02:00,2024-05-01T10:00:00+02:00,{},53.5,10.0,Europe/Berlin"
    past.write_text(f"{header}\n{row.format(42)}\n")
    demo = start("--no-sensors", "--history-from", str(past))
    demo.hear("page:")
    words = shlex.split(demo.hear("mosquitto_pub"))
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert (options["-h"], int(options["-p"])) == ("127.0.0.1", demo.mqtt_port)
    paho.mqtt.publish.single(
        options["-t"], options["-m"], int(options["-q"]), hostname=options["-h"], port=int(options["-p"])
    )
    minute = datetime.fromtimestamp(json.loads(options["-m"])["start"], UTC)

    def at_markt() -> list[int | None]:
        end = minute + timedelta(minutes=1)
        query = f"from={minute:%Y-%m-%dT%H:%MZ}&to={end:%Y-%m-%dT%H:%MZ}&resolution=1min"
        return [value["count"] for value in demo.json(f"/api/v1/stations/markt/counts?{query}")["values"]]

    wait_until(lambda: at_markt() == [3], timeout=60, every=0.2, what="the example's three passages")
    demo.hear("The past is there: 1 intervals of 1 stations, read back and compared.")
    question = "/api/v1/stations/nordtor/counts?from=2024-05-01T09:00&to=2024-05-01T10:00&resolution=1h&format=csv"
    [answer] = csv.DictReader(io.StringIO(demo.get(question).decode()))
    assert (answer["count"], answer["state"]) == ("42", "measured")
    assert not any(".outbox" in " ".join(words) for words in demo.command_lines().values())
    os.killpg(demo.process.pid, signal.SIGINT)  # as a terminal does it
    assert demo.end() == 0, "\n".join(demo.said)
    assert demo.processes() == []

    past.write_text(f"{header}\n{row.format(43)}\n")
    again = start("--no-sensors", "--history-from", str(past), data=demo.data)
    again.hear("The file was not taken over: it contradicts what is stored.")
    assert "43 undirected/unknown in 3600 s measured in the file, 42 undirected/unknown in 3600 s" in again.hear(
        "line 2:"
    )
    [answer] = csv.DictReader(io.StringIO(again.get(question).decode()))
    assert answer["count"] == "42"
    again.process.send_signal(signal.SIGTERM)
    assert again.end() == 1
    assert again.processes() == []


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", BROKERS)
def test_a_minute_without_difference(start: Callable[..., RunningDemo], kind: str) -> None:
    """Sixty seconds from nothing, on each broker."""
    if kind == "mosquitto" and not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    demo = start("--for", "60", "--history", "0", "--broker", kind)

    assert demo.end(300) == 0, "\n".join(demo.said)
    assert sums(demo)[2] == 0
    assert demo.processes() == []


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_counter_that_is_stored_before_the_page_answers_is_heard(start: Callable[..., RunningDemo]) -> None:
    """A bounded run waits for the first counts of every counter, also if they came while the API was still starting."""
    demo = start("--for", "3", "--history", "0")
    settings = str(demo.data / "api.toml")

    def api() -> list[psutil.Process]:
        return [process for process, words in demo.command_lines().items() if settings in words]

    wait_until(lambda: bool(api()), timeout=60, what="the API to be started")
    [process] = api()
    process.suspend()
    try:
        dsn = tomllib.loads((demo.data / "ingest.toml").read_text("utf-8"))["database"]["dsn"]
        with psycopg.connect(dsn, autocommit=True) as connection:
            heard = "SELECT count(DISTINCT sensor) FROM stream WHERE node IS NOT NULL"
            wait_until(
                lambda: connection.execute(heard).fetchall() == [(6,)], timeout=50, every=0.2, what="counts of all"
            )
    finally:
        process.resume()

    assert demo.end(200) == 0, "\n".join(demo.said)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", BROKERS)
def test_no_difference_whatever_is_killed(start: Callable[..., RunningDemo], kind: str) -> None:
    """Each process is killed in turn while it counts, at last the demo itself; nothing is lost or doubled."""
    if kind == "mosquitto" and not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    demo = start("--history", "0", "--broker", kind)
    demo.hear("stop:")
    marks = ["ingest.toml", "jena-nord.toml", "broker", "sim.toml", "postgres", "jena-sued.toml", "api.toml"]
    for mark in marks:
        time.sleep(7)  # counts are to be under way when the blow falls, wherever in their 10 s interval
        victims = {process: words for process, words in demo.command_lines().items() if process.pid != demo.process.pid}
        name = mark if mark != "broker" else ("mosquitto.conf" if kind == "mosquitto" else "footfall_demo.broker")
        found = [process for process, words in victims.items() if name in " ".join(words[:6])]
        assert found, f"{mark} does not run"
        min(found, key=lambda process: process.create_time()).kill()
        demo.hear(" ended (signal SIGKILL)")
    demo.process.kill()
    wait_until(lambda: demo.processes() == [], timeout=60, what="everything to end")

    again = start("--for", "10", "--history", "0", "--broker", kind, data=demo.data)
    assert again.end(300) == 0, "\n".join(again.said)
    assert sums(again)[2] == 0
    assert again.processes() == []
