"""The city as it runs: every process of the real system, joined through proxies, and a hand on each of them."""

import json
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

from footfall_demo.broker import Broker
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest.migrate import migrate
from footfall_sim.control import OrderError, request
from footfall_soak.layout import BROKER, DATABASE, SIMULATOR, Layout, to_broker, to_database, twin_of
from footfall_soak.mischief import Mischief
from footfall_soak.programs import Program, environment
from footfall_testing.proxy import Proxy
from footfall_testing.waiting import wait_until

PASSAGES_PER_MIN: Final = 400
"""At least, for each sensor."""
KEEPALIVE_S: Final = 5
ANSWER_S: Final = 8
RESEND_S: Final = 2
SLOT_S: Final = 2

Table = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Incident:
    """A process that ended though nobody struck it."""

    name: str
    status: int | None
    at_s: float
    """Monotonic seconds."""


class City:
    """A context: all of it runs inside, nothing of it outside. Everything lies in `folder`."""

    def __init__(self, layout: Layout, folder: Path, seed: int) -> None:
        self.layout = layout
        self.folder = folder
        self._seed = seed
        self._open = ExitStack()
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.broker = Broker(folder / "broker", kind="mosquitto")
        self.programs: dict[str, Program] = {}
        self.links: dict[str, Proxy] = {}
        self.incidents: list[Incident] = []
        self.stopped_backend: int | None = None
        """The process of the database server that a fault has stopped."""

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.callback(self._kill_all)
            self._start(opened)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def remove(self) -> None:
        """Delete all that it left on the disk. Call it after the context."""
        self.postgres.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    # What to do to it.

    def start(self, name: str) -> None:
        """Start a program."""
        self.programs[name].start()

    def kill(self, name: str) -> None:
        """Kill a program and its children."""
        if name == SIMULATOR:
            # A device file does not outlive its adapter. A link that did would lead to a terminal whose number the
            # kernel gives to the next program that asks, perhaps to another simulator.
            for left in (*self._lines.glob("*"), self.control):
                left.unlink(missing_ok=True)
        self.programs[name].kill()

    def order(self, **order: Any) -> list[dict[str, Any]]:
        """Tell the simulator something; how the sensors meant are then. Empty if it does not answer."""
        try:
            answer = request(self.control, order, timeout_s=5)
        except (OSError, OrderError):
            return []
        if not answer.get("ok"):
            raise AssertionError(f"the simulator refuses {order}: {answer.get('error')}")
        sensors: list[dict[str, Any]] = answer["sensors"]
        return sensors

    def backends(self) -> list[int]:
        """The processes that the database server has for the aggregators; none if it does not answer."""
        try:
            with self.look(timeout_s=2) as connection:
                rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'ingest-%'")
                return [int(pid) for (pid,) in rows.fetchall()]
        except psycopg.Error:
            return []

    def look(self, timeout_s: float = 5) -> psycopg.Connection[Any]:
        """A connection to the database that no fault touches."""
        options = f"-c statement_timeout={round(timeout_s * 1000)}"
        dsn = make_conninfo(
            self.postgres.dsn(), connect_timeout=max(2, round(timeout_s)), application_name="soak", options=options
        )
        return psycopg.connect(dsn, autocommit=True)

    def look_after(self) -> list[Incident]:
        """Find programs that ended by themselves, note that, and start them again."""
        found = [
            Incident(program.name, program.status, time.monotonic())
            for program in self.programs.values()
            if program.wanted and not program.alive
        ]
        for incident in found:
            self.start(incident.name)
        self.incidents += found
        return found

    def heal(self) -> None:
        """End every trouble: all that should run runs, all lines and links are clean."""
        for link in self.links.values():
            link.heal()
        for name, program in self.programs.items():
            if name in self._twins:
                program.kill()
                continue
            if not program.wanted:
                self.kill(name)  # it is dead already, or has been told to die some time
            program.send(signal.SIGCONT)
            self.start(name)
        wait_until(lambda: self.order(fault="clear"), timeout=30, what="the sensors")

    def logs(self) -> dict[str, Path]:
        """The log of each program that was ever started."""
        return {name: program.log for name, program in self.programs.items() if program.log.exists()}

    def stop(self, timeout_s: float = 60) -> dict[str, int | None]:
        """Ask edges, aggregators and sensors to end in good order; how each of them ended."""
        names = [*self.layout.edges, *self.layout.aggregators, SIMULATOR]
        for name in names:
            self.programs[name].wanted = False
            self.programs[name].send(signal.SIGTERM)
        return {name: self.programs[name].wait(timeout_s) for name in names}

    # Where things are.

    @property
    def control(self) -> Path:
        """The simulator's socket for commands."""
        return self.folder / "sim" / "control.sock"

    def truth(self, sensor: str) -> Path:
        """The log of what really happened in front of a sensor."""
        return self.folder / "sim" / f"{sensor}.truth.jsonl"

    def outbox(self, edge: str) -> Path:
        """An edge's outbox."""
        return self.folder / f"{edge}.outbox"

    @property
    def _lines(self) -> Path:
        return self.folder / "lines"

    @property
    def _twins(self) -> list[str]:
        return [twin_of(name) for name in self.layout.aggregators]

    # The beginning and the end.

    def _start(self, opened: ExitStack) -> None:
        self.folder.chmod(0o755)  # the database's account must get in
        self.postgres.prepare()
        self._add(DATABASE, self.postgres.command, self.postgres.popen_options(), self.postgres.log)
        self._add(BROKER, self.broker.command)
        self.start(DATABASE)
        self.start(BROKER)
        self.postgres.wait_ready()
        self.postgres.create_database("footfall")
        migrate(self.postgres.dsn())
        wait_until(self.broker.answers, what="the broker")
        for name in (*self.layout.edges, *self.layout.aggregators):
            self.links[to_broker(name)] = opened.enter_context(Proxy(self.broker.port))
        for name in self.layout.aggregators:
            self.links[to_database(name)] = opened.enter_context(Proxy(self.postgres.port))
        self.mischief = opened.enter_context(Mischief(self.broker.port))
        self._write_settings()
        self._add(SIMULATOR, lambda: [*_PYTHON, "footfall_sim", "--config", str(self._config(SIMULATOR))])
        for name in self.layout.edges:
            self._add(name, self._launch("footfall_soak.launch_edge", name))
        for name in self.layout.aggregators:
            self._add(name, self._launch("footfall_soak.launch_ingest", name))
            self._add(twin_of(name), self._launch("footfall_soak.launch_ingest", name))
        for name in (SIMULATOR, *self.layout.aggregators, *self.layout.edges):
            self.start(name)
        # A device's totals tell what its ring lost from its first booked interval on: nobody comes before that.
        wait_until(self._all_are_known, timeout=60, what="the first interval of every sensor", every=0.1)
        self._write_simulator(pedestrians=True)
        wait_until(lambda: self.order(command="start_pedestrians"), timeout=30, what="the sensors")

    def _all_are_known(self) -> bool:
        return all(known(self.outbox(edge)) >= set(self.layout.on(edge)) for edge in self.layout.edges)

    def _launch(self, module: str, name: str) -> Any:
        return lambda: [*_PYTHON, module, str(self._config(name))]

    def _add(self, name: str, command: Any, options: Mapping[str, Any] | None = None, log: Path | None = None) -> None:
        self.programs[name] = Program(
            name, command, log or self.folder / f"{name}.log", {"env": environment(), **(options or {})}
        )

    def _kill_all(self) -> None:
        for name in self.programs:
            with suppress(OSError):
                self.kill(name)

    def _config(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def _write_simulator(self, *, pedestrians: bool) -> None:
        sensors: list[tuple[str, Table]] = [
            (
                "[[sensor]]",
                {
                    "id": counter.id,
                    "link": str(self._lines / counter.id),
                    "interval_s": counter.interval_s,
                    "ring": counter.ring,
                    "drift_ppm": counter.drift_ppm,
                    "in_share": counter.in_share,
                },
            )
            for counter in self.layout.counters
        ]
        common: Table = {
            "seed": self._seed,
            "state_dir": str(self.folder / "sim"),
            "at_least_per_min": PASSAGES_PER_MIN,
            "drain_s": 5,
            "pedestrians": pedestrians,
        }
        _write(self._config(SIMULATOR), common, sensors)

    def _write_settings(self) -> None:
        self._write_simulator(pedestrians=False)
        for edge, counters in self.layout.edges.items():
            lines: list[tuple[str, Table]] = [
                (
                    "[[sensor]]",
                    {
                        "id": counter.id,
                        "driver": "reference",
                        "port": str(self._lines / counter.id),
                        "silent_s": 4,
                    },
                )
                for counter in counters
            ]
            _write(
                self._config(edge),
                {"node": edge, "clock": "system", "stop_wait_s": 2},
                [
                    ("[mqtt]", self._mqtt(edge)),
                    ("[outbox]", {"path": str(self.outbox(edge))}),
                    ("[report]", {"slot_s": SLOT_S, "every_s": SLOT_S, "resend_s": RESEND_S}),
                    *lines,
                ],
            )
        share: Table = {"share": "soak"} if self.layout.workers > 1 else {}
        for name in self.layout.aggregators:
            dsn = make_conninfo(
                self.postgres.dsn(), port=self.links[to_database(name)].port, connect_timeout=5, application_name=name
            )
            _write(
                self._config(name),
                {},
                [
                    ("[mqtt]", {**self._mqtt(name), "client_id": name, **share}),
                    ("[database]", {"dsn": dsn, "answer_s": ANSWER_S}),
                ],
            )

    def _mqtt(self, name: str) -> Table:
        return {"host": "127.0.0.1", "port": self.links[to_broker(name)].port, "keepalive_s": KEEPALIVE_S}


def known(outbox: Path) -> set[str]:
    """The sensors of which an outbox has booked something."""
    if not outbox.exists():
        return set()
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"{outbox.as_uri()}?mode=ro", uri=True)) as database,
    ):
        return {sensor for (sensor,) in database.execute("SELECT sensor FROM cursor")}
    return set()  # it is being made


_PYTHON = (sys.executable, "-m")


def _write(path: Path, top: Table, sections: Iterable[tuple[str, Table]]) -> None:
    lines = _pairs(top)
    for title, table in sections:
        lines += ["", title, *_pairs(table)]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _pairs(table: Table) -> list[str]:
    # A string of JSON is one of TOML, too.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
