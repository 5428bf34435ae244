"""The memory of every process while ten million slots go through the system, as a curve.

An outbox is filled with the backlog of a hundred sensors, as if a box had had no network for eleven days. Then the real
programs carry it through a real broker into a real database, while somebody keeps asking the API. Every process's own
memory (what it shares with nobody) is read once a second. What is kept for each slot, report or request anywhere would
show as a slope.
"""

import json
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from bench import machine, servers
from bench.ingest import NO_MOSQUITTO
from bench.result import Curve, Result
from footfall_contract.words import Direction
from footfall_demo.broker import Broker, find_mosquitto
from footfall_demo.ports import free_port
from footfall_edge import schema
from footfall_edge.outbox import Outbox

TITLE = "memory of every process while a backlog goes through the system"

SENSORS = 100
SLOT_S = 10
NODE = "bench"
STALLED_S = 120.0
ROWS = 10
"""Lines of the printed curve."""


@dataclass(frozen=True)
class Size:
    """How many slots of ten seconds, of a hundred sensors together."""

    slots: int = 10_000_000


TINY = Size(slots=2000)


@dataclass(frozen=True)
class Look:
    """One look at all processes."""

    seconds: float
    """Since the beginning."""
    slots: int
    """Slots stored."""
    memory: Mapping[str, int]
    """Bytes of each process, by name."""


def run(size: Size) -> Result:
    """The slots through edge, broker, ingest and database; the API is asked meanwhile."""
    result = Result("memory", TITLE, vars(size))
    if not find_mosquitto():
        result.skipped = NO_MOSQUITTO
        return result
    each = size.slots // SENSORS
    begin = int(time.time()) // 3600 * 3600 - each * SLOT_S
    with (
        servers.workplace() as folder,
        servers.plain(folder) as server,
        server.fresh() as dsn,
        Broker(folder / "broker", kind="mosquitto") as broker,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        fill(folder / "outbox.sqlite", begin, each)
        result.servers = {"database": machine.database(dsn), "broker": machine.mosquitto()}
        with city(folder, broker, dsn) as processes:
            # PostgreSQL is its processes as they come and go, without the one that only looks.
            look = psutil.Process(connection.info.backend_pid)
            server_process = look.parent()
            assert server_process is not None
            processes["PostgreSQL"] = [server_process]
            looks = list(watch(processes, connection, each * SENSORS, api=folder / "api.port", begin=begin))
        passages = counted(connection)
    show(result, looks)
    # One passage was counted in each slot.
    result.at_most("difference of counted and stored", abs(passages - each * SENSORS), 0, unit="passages")
    return result


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
def city(folder: Path, broker: Broker, dsn: str) -> Iterator[dict[str, list[psutil.Process]]]:
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
    environment = {"FOOTFALL_DATABASE__DSN": dsn}
    words = ["stations", "apply", str(folder / "stations.geojson")]
    with servers.program(["footfall_ingest", "--config", str(folder / "ingest.toml"), *words], folder / "apply.log", environment) as done:  # fmt: skip  # noqa: E501
        assert done.wait(servers.PATIENCE_S) == 0, (folder / "apply.log").read_text()
    with ExitStack() as running:
        # Ingest is there first: the edge would wait half a minute before it repeats what nobody has subscribed to.
        found = {"ingest": running.enter_context(servers.ingest(folder / "ingest", dsn, broker.port))}
        for role in ("api", "edge"):
            config = ["--config", str(folder / f"{role}.toml")]
            log, given = folder / f"{role}.log", {} if role == "edge" else environment
            found[role] = [running.enter_context(servers.program([f"footfall_{role}", *config], log, given))]
        assert broker.process is not None
        found["mosquitto"] = [psutil.Process(broker.process.pid)]
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
        look = Look(
            time.monotonic() - started,
            stored(connection),
            {name: servers.own_memory(p) for name, p in processes.items()},
        )
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


def counted(connection: psycopg.Connection) -> int:
    """Passages stored."""
    row = connection.execute("SELECT coalesce(sum(count), 0) FROM count_minute").fetchone()
    return int(row[0]) if row else 0


def show(result: Result, looks: Sequence[Look]) -> None:
    """The curve, and how much each process grew from the second to the last quarter of the run."""
    slots, seconds = looks[-1].slots, looks[-1].seconds
    names = list(looks[0].memory)
    result.figure(f"slots stored, of {SENSORS} sensors", "slots/s", slots / seconds)
    second = [look for look in looks if slots / 4 <= look.slots < slots / 2] or looks
    last = [look for look in looks if look.slots >= slots * 3 / 4]
    for name in names:
        before, after = (max(look.memory[name] for look in part) / 1e6 for part in (second, last))
        result.figure(f"{name}: second quarter at most", "MB", before)
        result.figure(f"{name}: last quarter at most", "MB", after)
    rows = []
    for step in range(ROWS + 1):
        look = next(look for look in looks if look.slots >= slots * step // ROWS)
        rows.append([look.slots / 1e6, *(look.memory[name] / 1e6 for name in names)])
    result.curves.append(Curve("memory of its own, in MB", ["million slots", *names], rows))
