"""The memory of every process while ten million slots go through the system, as a curve.

An outbox is filled with the backlog of a hundred sensors, as if a box had had no network for eleven days. Then the real
programs carry it through a real broker into a real database, while somebody keeps asking the API. Every process's own
memory (what it shares with nobody) is read once a second. What is kept for each slot, report or request anywhere would
show as a slope.

Another number of slots: ``FOOTFALL_BENCH_SLOTS=1000000 python -m bench memory``.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from footfall_contract.words import Direction
from footfall_demo.broker import Broker, find_mosquitto
from footfall_demo.ports import free_port
from footfall_demo.postgres import EmbeddedPostgres
from footfall_edge import schema
from footfall_edge.outbox import Outbox
from footfall_ingest.migrate import migrate

SLOTS = int(os.environ.get("FOOTFALL_BENCH_SLOTS", "10_000_000"))
SENSORS = 100
SLOT_S = 10
NODE = "bench"
STALLED_S = 120.0
ROWS = 10
"""Lines of the printed curve."""


@dataclass(frozen=True)
class Look:
    """One look at all processes."""

    seconds: float
    """Since the beginning."""
    slots: int
    """Slots stored."""
    memory: Mapping[str, int]
    """Bytes of each process, by name."""


def main() -> None:
    """Ten million slots through edge, broker, ingest and database; the API is asked meanwhile."""
    if not find_mosquitto():
        print("\nMemory: skipped, mosquitto is not installed")
        return
    each = SLOTS // SENSORS
    begin = int(time.time()) // 3600 * 3600 - each * SLOT_S
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        fill(folder / "outbox.sqlite", begin, each)
        with EmbeddedPostgres(folder / "database") as postgres, Broker(folder / "broker", kind="mosquitto") as broker:
            postgres.create_database("bench")
            dsn = postgres.dsn("bench")
            migrate(dsn)
            with city(folder, broker, postgres, dsn) as processes, psycopg.connect(dsn, autocommit=True) as connection:
                looks = list(watch(processes, connection, each * SENSORS, api=folder / "api.port", begin=begin))
            passages = counted(dsn)
    show(looks)
    expected = each * SENSORS  # one passage a slot
    print(f"  passages counted {expected}, stored {passages}, difference {passages - expected}")


def fill(path: Path, begin: int, each: int) -> None:
    """An outbox with `each` slots from `begin` on (UTC unix seconds) of every sensor, one passage in each slot."""
    Outbox.open(path).close()
    with sqlite3.connect(path) as outbox:
        schema.add_functions(outbox)
        for sensor in range(SENSORS):
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {each - 1})"
            values = {"sensor": f"sensor-{sensor}", "begin": begin, "slot": SLOT_S}
            outbox.execute(
                f"{numbers} INSERT INTO slot (sensor, start, length, measured_ms, waiting)"
                " SELECT :sensor, :begin + i * :slot, :slot, :slot * 1000, 1 FROM n",
                values,
            )
            outbox.execute(
                f"{numbers} INSERT INTO slot_cell (sensor, start, length, direction, class, count)"
                f" SELECT :sensor, :begin + i * :slot, :slot, i % {len(Direction) - 1}, 0, 1 FROM n",
                values,
            )
            outbox.commit()
    outbox.close()


@contextmanager
def city(
    folder: Path, broker: Broker, postgres: EmbeddedPostgres, dsn: str
) -> Iterator[dict[str, list[psutil.Process]]]:
    """The programs, running; their processes by name."""
    port = free_port()
    (folder / "api.port").write_text(str(port))
    mqtt = f"[mqtt]\nhost = '{broker.host}'\nport = {broker.port}\n"
    (folder / "edge.toml").write_text(
        f"node = '{NODE}'\nclock = 'system'\nlog_level = 'ERROR'\n{mqtt}"
        f"[outbox]\npath = '{folder / 'outbox.sqlite'}'\nmax_mb = 100000\n"
        "[[sensor]]\nid = 'sensor-0'\ndriver = 'reference'\nport = '/dev/does-not-exist'\n"
    )
    (folder / "ingest.toml").write_text(f"log_level = 'WARNING'\n{mqtt}")
    (folder / "api.toml").write_text(f"log_level = 'WARNING'\n[http]\nport = {port}\n[public]\nlocal = true\n")
    (folder / "stations.geojson").write_text(json.dumps(stations()))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
    environment["FOOTFALL_DATABASE__DSN"] = dsn
    config = ["--config", str(folder / "ingest.toml")]
    subprocess.run(
        [sys.executable, "-m", "footfall_ingest", *config, "stations", "apply", str(folder / "stations.geojson")],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with ExitStack() as running:
        found: dict[str, list[psutil.Process]] = {}
        for role in ("ingest", "api", "edge"):
            words = [sys.executable, "-m", f"footfall_{role}", "--config", str(folder / f"{role}.toml")]
            clean = environment if role != "edge" else {k: v for k, v in environment.items() if k[:8] != "FOOTFALL"}
            program = subprocess.Popen(words, env=clean)
            running.callback(_end, program)
            found[role] = [psutil.Process(program.pid)]
        assert broker.process is not None
        assert postgres.process is not None
        found["mosquitto"] = [psutil.Process(broker.process.pid)]
        found["PostgreSQL"] = [psutil.Process(postgres.process.pid)]
        yield found


def stations() -> dict[str, object]:
    """A station for the first sensor, so that there is something to ask for."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": "bench",
                "geometry": {"type": "Point", "coordinates": [11.587, 50.928]},
                "properties": {
                    "name": "Bench",
                    "timezone": "Europe/Berlin",
                    "line": [[11.5869, 50.928], [11.5871, 50.928]],
                    "directions": [],
                    "sensors": [{"id": "sensor-0", "from": "2020-01-01", "to": None, "role": "part"}],
                },
            }
        ],
    }


def _end(program: "subprocess.Popen[bytes]") -> None:
    program.terminate()
    try:
        program.wait(30)
    except subprocess.TimeoutExpired:
        program.kill()


def watch(
    processes: Mapping[str, Sequence[psutil.Process]],
    connection: psycopg.Connection,
    slots: int,
    *,
    api: Path,
    begin: int,
) -> Iterator[Look]:
    """A look a second until `slots` are stored, or nothing has come for a while."""
    started = moved_s = time.monotonic()
    seen = -1
    while seen < slots and time.monotonic() - moved_s < STALLED_S:
        time.sleep(1)
        ask(int(api.read_text()), begin)
        look = Look(time.monotonic() - started, stored(connection), {name: own(p) for name, p in processes.items()})
        if look.slots > seen:
            seen, moved_s = look.slots, time.monotonic()
        if sys.stderr.isatty():
            print(f"\r  {seen / 1e6:.2f} of {slots / 1e6:g} million slots", end="", file=sys.stderr, flush=True)
        yield look


def ask(port: int, begin: int) -> None:
    """A question that a page asks; an API that is not up yet is asked again in a second."""
    day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin))
    next_day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin + 86400))
    query = f"from={day}&to={next_day}&resolution=1h"
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/stations/bench/counts?{query}", timeout=30
        ) as found:
            found.read()
    except OSError:
        return


def stored(connection: psycopg.Connection) -> int:
    """Slots stored."""
    row = connection.execute("SELECT coalesce(sum(observed_s), 0) / %s FROM coverage_minute", [SLOT_S]).fetchone()
    return int(row[0]) if row else 0


def counted(dsn: str) -> int:
    """Passages stored."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT coalesce(sum(count), 0) FROM count_minute").fetchone()
        return int(row[0]) if row else 0


def own(processes: Sequence[psutil.Process]) -> int:
    """Bytes that belong to processes and their children alone (unique set size)."""
    total = 0
    for process in processes:
        for one in [process, *process.children(recursive=True)]:
            try:
                total += one.memory_full_info().uss
            except psutil.NoSuchProcess:
                continue
    return total


def show(looks: Sequence[Look]) -> None:
    """The curve as a table, and how much each process grew from the second to the last quarter of the run."""
    slots = looks[-1].slots
    names = list(looks[0].memory)
    print(f"\nMemory: {slots / 1e6:.2f} million slots of {SENSORS} sensors in {looks[-1].seconds:.0f} s, MB of its own")
    print("  " + f"{'million slots':>14}" + "".join(f"{name:>12}" for name in names))
    for step in range(ROWS + 1):
        look = next(look for look in looks if look.slots >= slots * step // ROWS)
        print(f"  {look.slots / 1e6:14.2f}" + "".join(f"{look.memory[name] / 1e6:12.1f}" for name in names))
    second = [look for look in looks if slots / 4 <= look.slots < slots / 2]
    last = [look for look in looks if look.slots >= slots * 3 / 4]
    for name in names:
        before, after = (max(look.memory[name] for look in part) / 1e6 for part in (second, last))
        print(f"  {name}: second quarter at most {before:.1f} MB, last quarter {after:.1f} MB ({after - before:+.1f})")
