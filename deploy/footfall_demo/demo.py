"""The wiring of the demo: what is started, in which order, what is waited for, and what happens at the end.

    database → schema, stations → broker, ingest, API, counters, boxes → the past, while all that runs
    stop: counters → boxes → ingest → API → broker → database

No rule of counting is here; the processes are the ones a deployment has, and this module only joins them.
"""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Literal

import psycopg

from footfall_demo.addresses import check_page_port, choose_mqtt_port
from footfall_demo.bounded import compare
from footfall_demo.broker import Broker, Kind, find_mosquitto
from footfall_demo.city import BOXES, COUNTERS, known_stations, read_areas, read_stations
from footfall_demo.configs import Wiring
from footfall_demo.folder import DataFolder, Memory
from footfall_demo.history_csv import Bounds, History, read_history
from footfall_demo.nodes import claim_sensors, example_report, free_sensors
from footfall_demo.options import DEFAULT_DAYS, DEFAULT_SEED, Options
from footfall_demo.past import ImportedPast, PastWriter, SimulatedPast, Source
from footfall_demo.ports import free_port
from footfall_demo.postgres import EmbeddedPostgres, PostgresError
from footfall_demo.refusals import FailedError, RefusedError
from footfall_demo.supervisor import Child, Supervisor
from footfall_demo.terminal import Terminal
from footfall_ingest import areas, roles
from footfall_ingest.judge import Rules
from footfall_ingest.migrate import MigrationError, migrate
from footfall_ingest.stations import StationsError, apply_stations, stored
from footfall_ingest.stations_file import Station

_DAY_S = 86_400
_START_S = 180.0
"""How long a process may take to answer for the first time."""
_HOPELESS = 3
"""A process that died so often before it answered is not going to."""


_SUBSCRIBED = "footfall_ingest_subscribed 1.0"
"""What ingest's metrics say once it receives."""


class Stage(IntEnum):
    """In this order they are stopped."""

    SENSORS = 0
    EDGES = 1
    INGEST = 2
    API = 3
    BROKER = 4
    DATABASE = 5


class StoppedError(Exception):
    """Somebody asked to stop while something was waited for."""


@dataclass(frozen=True)
class Plan:
    """What was decided before anything is started."""

    options: Options
    memory: Memory
    stations: tuple[Station, ...]
    mqtt_port: int
    history: History | None


def run(options: Options, terminal: Terminal) -> int:
    """The demo from its first word to its last; returns the exit status.

    Raises:
        RefusedError: it cannot start like this.
        FailedError: a part of it did not start.
    """
    with DataFolder(options.data) as folder:
        plan = make_plan(options, folder, terminal)
        follow = (lambda name, line: terminal.say(f"{name}: {line}")) if options.verbose else None
        passed_on = (folder.lock_descriptor,)
        with Supervisor(folder.logs, say=terminal.say, follow=follow, pass_fds=passed_on) as supervisor:
            try:
                status = Demo(plan, folder, supervisor, terminal).run()
            except (StoppedError, FailedError, psycopg.Error):
                if not supervisor.asked_to_stop:
                    raise
                # That something fails after Ctrl-C is no news. A comparison that was asked for was not made, though.
                status = 0 if options.for_s is None else 1
            terminal.say("Stopping … (Ctrl-C again: at once)")
        terminal.say("Stopped.")
        return status


def make_plan(options: Options, folder: DataFolder, terminal: Terminal) -> Plan:
    """Everything that can be found out, and refused, before a process is started."""
    stations = read_stations()
    if options.broker == "mosquitto" and not find_mosquitto():
        raise RefusedError("--broker mosquitto: it is not installed. Install it, or leave the option out.")
    check_page_port(options.host, options.port)
    mqtt_port, remark = choose_mqtt_port(options.host, options.mqtt_port)
    if remark:
        terminal.say(remark)
    memory = folder.recall(options.seed, DEFAULT_SEED)
    now = int(time.time())
    folder.check_clock(memory, now)
    _check_days(options, stations, memory.live_since or now)
    history = None
    if options.history_from:
        live_since = memory.live_since or (now // 60 * 60 if options.sensors else None)
        bounds = Bounds(oldest=Rules().oldest, now=now, live_since=live_since)
        history = read_history(options.history_from, known_stations(stations), bounds)
    return Plan(options, memory, stations, mqtt_port, history)


def _check_days(options: Options, stations: tuple[Station, ...], live_since: int) -> None:
    installed = max(known.since for known in known_stations(stations).values())
    most = (live_since - installed) // _DAY_S
    if options.days is not None and options.days > most:
        raise RefusedError(
            f"--history {options.days}: the counters were installed {most} days before live counting began; "
            f"a longer past than that cannot be simulated."
        )


class Demo:
    """A running demo; `run` is its life."""

    def __init__(self, plan: Plan, folder: DataFolder, supervisor: Supervisor, terminal: Terminal) -> None:
        self._plan = plan
        self._folder = folder
        self._supervisor = supervisor
        self._terminal = terminal
        self._memory = plan.memory
        self._postgres = EmbeddedPostgres(folder.path, settings={"max_wal_size": "256MB"})
        self._dsns: dict[str, str] = {}
        """How each process logs in, by the role whose member its account is."""

    def run(self) -> int:
        """Start everything, stay until asked to stop or until the bounded run is over; returns the exit status."""
        options = self._plan.options
        self._terminal.say(f"Starting; everything is kept in {self._folder.path}")
        self._start_database()
        past = self._past()
        wiring = self._wiring()
        wiring.write()
        began = datetime.now(UTC)
        self._start_processes(wiring)
        self._await_page(wiring)
        self._greet(wiring)
        writer = PastWriter(wiring.dsn, past, self._terminal) if past else None
        if writer:
            writer.start()
        try:
            if options.for_s is None:
                self._supervisor.wait_until(lambda: False, None)
                return 1 if writer and writer.failed else 0
            equal = compare(
                self._supervisor,
                self._terminal,
                wiring,
                live_since=self._live_since,
                began=began,
                for_s=options.for_s,
                past_done=lambda: writer is None or writer.done,
                stop_senders=self._stop_senders,
            )
            if equal is None:
                raise StoppedError
            return 0 if equal and not (writer and writer.failed) else 1
        finally:
            if writer:
                writer.cancel()

    def _stop_senders(self) -> None:
        self._supervisor.stop_stage(Stage.SENSORS)
        self._supervisor.stop_stage(Stage.EDGES)

    # -- the database -----------------------------------------------------------------------------------------------

    def _start_database(self) -> None:
        try:
            self._postgres.prepare()
            command = self._postgres.command()
        except (PostgresError, OSError) as error:
            raise FailedError(f"The database cannot be set up: {error}") from error
        self._supervisor.start(
            Child(
                "postgres",
                command,
                stage=Stage.DATABASE,
                stop_signal=signal.SIGINT,  # its fast shutdown; SIGTERM would wait for every connection to leave
                hurry_signal=signal.SIGQUIT,  # its immediate one, from which it recovers at the next start
                grace_s=30,
                popen=self._postgres.popen_options(),
            )
        )
        self._await("postgres", self._database_answers)
        try:
            self._postgres.create_database("footfall")
            migrate(self._postgres.dsn())
            for name, group in (("demo-ingest", roles.INGEST), ("demo-api", roles.API)):
                self._dsns[group] = self._postgres.log_in_as(name, group)
            with psycopg.connect(self._postgres.dsn()) as connection:
                self._load_stations(connection)
        except (MigrationError, StationsError, psycopg.Error) as error:
            raise FailedError(f"The database cannot be used: {error}") from error

    def _database_answers(self) -> bool:
        try:
            psycopg.connect(self._postgres.dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _load_stations(self, connection: psycopg.Connection) -> None:
        with connection.transaction():
            known = stored(connection)
            # What is there is left alone: its description may have been improved since.
            apply_stations(connection, [station for station in self._plan.stations if station.id not in known])
            known_areas = areas.stored(connection)
            areas.apply_areas(connection, [area for area in read_areas() if area.id not in known_areas])
            if self._plan.options.sensors:
                claim_sensors(connection, BOXES, int(time.time()))
            else:
                free_sensors(connection, BOXES)

    # -- the past ---------------------------------------------------------------------------------------------------

    @property
    def _live_since(self) -> int:
        assert self._memory.live_since is not None, "asked for before live counting began"
        return self._memory.live_since

    def _past(self) -> Source | None:
        """The past that is to be written; from here on the folder knows when live counting began."""
        options, history = self._plan.options, self._plan.history
        days = options.days
        if days is None:
            days = DEFAULT_DAYS if options.sensors else 0
        if options.sensors or days:
            self._memory = self._folder.begin_live(self._memory, time.time())
        if history:
            for note in history.notes:
                self._terminal.say(f"{options.history_from}: {note}")
            if self._memory.past == "none":
                self._remember_past("file")
            return ImportedPast(history)
        if not days:
            return None
        if self._memory.past == "file":
            self._terminal.say("The past in this folder is from a file; none is simulated.")
            return None
        self._remember_past("simulated")
        return SimulatedPast(COUNTERS, self._memory, days)

    def _remember_past(self, past: Literal["simulated", "file"]) -> None:
        if self._memory.past != past:
            self._memory = replace(self._memory, past=past)
            self._folder.remember(self._memory)

    # -- the processes ----------------------------------------------------------------------------------------------

    def _wiring(self) -> Wiring:
        plan = self._plan
        return Wiring(
            folder=self._folder.path,
            dsn=self._postgres.dsn(),
            ingest_dsn=self._dsns[roles.INGEST],
            api_dsn=self._dsns[roles.API],
            mqtt_host=reachable(plan.options.host),
            mqtt_port=plan.mqtt_port,
            host=plan.options.host,
            port=plan.options.port,
            seed=self._memory.seed,
            operator_token=self._folder.operator_token(),
            metrics={name: free_port() for name in ("ingest", *(box.node for box in BOXES))},
            attribution="footfall-demo: simulated passages"
            + (f"; past from {plan.options.history_from.name}" if plan.options.history_from else ""),
        )

    def _start_processes(self, wiring: Wiring) -> None:
        start = self._supervisor.start
        broker = self._broker()
        start(Child("broker", broker.command(), stage=Stage.BROKER))
        self._await("broker", broker.answers)
        start(self._role("ingest", "ingest", Stage.INGEST, wiring))
        start(self._role("api", "api", Stage.API, wiring))
        if self._plan.options.sensors:
            start(self._role("sim", "sim", Stage.SENSORS, wiring))
        # A report that is sent before anybody listens is lost in the broker, and sent again only half a minute later.
        metrics = f"http://127.0.0.1:{wiring.metrics['ingest']}/metrics"
        self._await("ingest", lambda: _SUBSCRIBED in (_answer(metrics) or ""))
        if self._plan.options.sensors:
            # A box that finds its lines missing would say so, and look again only after a while.
            self._await("sim", lambda: all(wiring.line(counter.sensor).exists() for counter in COUNTERS))
            for box in BOXES:
                start(self._role("edge", box.node, Stage.EDGES, wiring))

    def _broker(self) -> Broker:
        options = self._plan.options
        kind: Kind | None = None if options.broker == "auto" else options.broker
        return Broker(self._folder.path, self._plan.mqtt_port, options.host, kind)

    def _role(self, role: str, name: str, stage: Stage, wiring: Wiring) -> Child:
        """A process of footfall's own, with its settings file on its command line."""
        # What the caller's shell says about another installation is not about this one.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
        return Child(
            name,
            [*program(role), "--config", str(wiring.config(name))],
            stage=stage,
            popen={"cwd": self._folder.path, "env": environment},
        )

    # -- waiting ----------------------------------------------------------------------------------------------------

    def _await(self, name: str, condition: Callable[[], bool]) -> None:
        """Wait until a process answers.

        Raises:
            StoppedError: somebody asked to stop.
            FailedError: it does not, or keeps dying; the message has the end of its log.
        """

        def answered_or_hopeless() -> bool:
            return condition() or self._supervisor.deaths(name) >= _HOPELESS

        answered = self._supervisor.wait_until(answered_or_hopeless, _START_S, every_s=0.1)
        if self._supervisor.asked_to_stop:
            raise StoppedError
        if not answered or self._supervisor.deaths(name) >= _HOPELESS:
            raise FailedError(
                f"{name} does not start. The end of its log, {self._supervisor.log_path(name)}:\n"
                f"{self._supervisor.log_end(name)}"
            )

    def _await_page(self, wiring: Wiring) -> None:
        page = f"http://{_in_url(reachable(wiring.host))}:{wiring.port}/readyz"
        self._await("api", lambda: _answer(page) is not None)

    # -- words ------------------------------------------------------------------------------------------------------

    def _greet(self, wiring: Wiring) -> None:
        host, say = reachable(wiring.host), self._terminal.say
        say()
        page = f"http://{_in_url(host)}:{wiring.port}"
        say(f"  page:  {page}")
        say(f"  IT:    {page}/betrieb  (any user name, password {wiring.operator_token})")
        say(f"  MQTT:  {_in_url(host)}:{wiring.mqtt_port} ({self._broker().kind})")
        say(f"  data:  {self._folder.path}  (logs in {self._folder.logs})")
        say("  stop:  Ctrl-C")
        say()
        if not self._plan.options.sensors:
            say("No sensors here: any MQTT client may send reports. For example:")
            say()
            say(f"  {example_report(host, wiring.mqtt_port, int(time.time()))}")
            say()


def program(role: str) -> list[str]:
    """The command of a role: the script of the same installation as this process, or its module."""
    script = Path(sys.executable).with_name(f"footfall-{role}")
    return [str(script)] if script.exists() else [sys.executable, "-m", f"footfall_{role}"]


def reachable(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _answer(address: str) -> str | None:
    """What is answered there; None if nobody does, or with an error."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310  # always http
            body: bytes = answer.read()
    except OSError:
        return None
    return body.decode()
