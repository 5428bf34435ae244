"""A small town as it runs: a counter, an edge box, a broker, ingest, a database, the API, each a process of its own.

The counter hangs on a pseudo-terminal and counts whom it is told to. To the API this machine is no friend: it listens
without a proxy and limits its clients by their addresses, of which a test has all that begin with 127.
"""

import json
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest import stations
from footfall_sim.control import OrderError, request
from footfall_soak.programs import Program, environment
from footfall_testing.waiting import wait_until
from footfall_testing.web_city import feature

HOME: Final = "127.0.0.1"
"""From where the test itself asks."""
TOKEN: Final = "the-operators-own-token"
NODE, SENSOR, STATION = "jena-sued", "markt-1", "markt"

REQUESTS: Final = 100
"""Of a client in one go; hardly any come back, however slow the machine is that a test runs on."""

API, INGEST, EDGE, SIMULATOR = "api", "ingest", "edge", "sensors"
ROLES: Final = (API, INGEST, EDGE)

Table = Mapping[str, str | int | float | bool | list[str]]


class Town:
    """A context; everything of it lies in `folder`. More stations may be there than the one with the counter."""

    def __init__(self, folder: Path, dsn: str, more: Iterable[str] = ()) -> None:
        self.folder = folder
        self.dsn = dsn
        self.more = tuple(more)
        self.broker = Broker(folder / "broker")
        self.programs: dict[str, Program] = {}
        self.ports = {name: free_port() for name in ROLES}
        """Of the API; of the others that of their metrics."""
        self.passed = 0
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.callback(self._kill_all)
            opened.enter_context(self.broker)
            self._write_settings()
            self._add_stations()
            for name, module in ((SIMULATOR, "footfall_sim"), (INGEST, "footfall_ingest"), (EDGE, "footfall_edge")):
                self._start(name, module)
            self._run("footfall_api", "dump")
            self._start(API, "footfall_api")
            wait_until(self.is_well, timeout=60, what="the town to be up")
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://{HOME}:{self.ports[API]}"

    # What to do to it.

    def passes(self, number: int) -> None:
        """So many people cross the counter's line, inwards."""
        assert self.order(command="passage", direction=0, count=number), "the counter does not answer"
        self.passed += number

    def order(self, **order: Any) -> list[dict[str, Any]]:
        """Tell the counter something; how it is then, nothing if it does not answer."""
        try:
            answer = request(self.folder / "sim" / "control.sock", {"sensor": SENSOR, **order}, timeout_s=60)
        except (OSError, OrderError):
            return []
        assert answer.get("ok"), answer
        found: list[dict[str, Any]] = answer["sensors"]
        return found

    # How it is.

    def is_well(self) -> bool:
        """Whether every role does what it is for."""
        with suppress(httpx.TransportError, KeyError):
            return (
                httpx.get(f"{self.url}/readyz", headers=self.operator, timeout=10).status_code == 200
                and "footfall_ingest_subscribed 1.0" in self.figures(INGEST)
                and "footfall_edge_connected 1.0" in self.figures(EDGE)
            )
        return False

    def figures(self, name: str) -> str:
        """What a role's metrics port answers."""
        return httpx.get(f"http://{HOME}:{self.ports[name]}/metrics", timeout=10).text

    def ended(self) -> dict[str, int | None]:
        """Roles that are no longer the processes that they were."""
        return {name: program.status for name, program in self.programs.items() if not program.alive}

    def memory(self) -> dict[str, int]:
        """Bytes that each role has."""
        return {name: self.programs[name].memory() or 0 for name in ROLES}

    def log(self, name: str) -> str:
        """All that a role has said."""
        return self.programs[name].log.read_text("utf-8", errors="replace")

    def counted(self, station: str) -> int:
        """What the API says that a station has counted, ever: over whole years, in which every sum has a place."""
        after = datetime.now(UTC) + timedelta(days=2)
        asked = {"from": "2020-01-01", "to": f"{after:%Y-%m-%d}", "resolution": "1y"}
        answer = httpx.get(
            f"{self.url}/api/v1/stations/{station}/counts", params=asked, headers=self.operator, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return sum(value["count"] or 0 for value in answer.json()["values"])

    @property
    def operator(self) -> dict[str, str]:
        """The header that lifts the limits."""
        return {"Authorization": f"Bearer {TOKEN}"}

    # The beginning and the end.

    def _start(self, name: str, module: str) -> None:
        def command() -> list[str]:
            return [sys.executable, "-m", module, "--config", str(self._config(name))]

        program = self.programs[name] = Program(name, command, self.folder / f"{name}.log", {"env": environment()})
        program.start()

    def _run(self, module: str, *words: str) -> None:
        def command() -> list[str]:
            return [sys.executable, "-m", module, "--config", str(self._config(API)), *words]

        program = Program(words[0], command, self.folder / f"{words[0]}.log", {"env": environment()})
        program.start()
        assert program.wait(120) == 0, program.log.read_text("utf-8")

    def _kill_all(self) -> None:
        for program in self.programs.values():
            with suppress(OSError):
                program.kill()

    def _config(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def _add_stations(self) -> None:
        features = [feature(STATION, "Markt", 50.92818, 11.58782, labels=("Richtung Rathaus", "Richtung Kirche"))]
        for place, name in enumerate(self.more):
            features.append(feature(name, name.capitalize(), 50.93 + place / 100, 11.59))
            features[-1]["properties"]["sensors"][0]["id"] = name
        file = self.folder / "stations.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
        stations.apply(self.dsn, file)

    def _write_settings(self) -> None:
        line = str(self.folder / "lines" / SENSOR)
        mqtt: Table = {"host": self.broker.host, "port": self.broker.port, "keepalive_s": 5}
        self._write(
            SIMULATOR,
            {"state_dir": str(self.folder / "sim"), "pedestrians": False, "seed": 1},
            ("[[sensor]]", {"id": SENSOR, "link": line, "interval_s": 1}),
        )
        self._write(
            EDGE,
            {"node": NODE, "clock": "system", "stop_wait_s": 1},
            ("[mqtt]", mqtt),
            ("[outbox]", {"path": str(self.folder / "outbox.sqlite")}),
            ("[report]", {"slot_s": 1, "every_s": 1, "resend_s": 1}),
            ("[metrics]", {"port": self.ports[EDGE]}),
            ("[[sensor]]", {"id": SENSOR, "driver": "reference", "port": line}),
        )
        self._write(
            INGEST,
            {},
            ("[mqtt]", {**mqtt, "client_id": "ingest"}),
            ("[database]", {"dsn": self.dsn}),
            ("[metrics]", {"port": self.ports[INGEST]}),
        )
        self._write(
            API,
            {},
            (
                "[http]",
                {
                    "port": self.ports[API],
                    "public_url": "https://zaehlung.example",
                    "trusted_proxies": [],
                },
            ),
            ("[database]", {"dsn": self.dsn}),
            ("[public]", {"operator_token": TOKEN}),
            ("[files]", {"folder": str(self.folder / "files")}),
            ("[limits]", {"loopback": True, "requests": REQUESTS, "requests_per_minute": 6}),
        )

    def _write(self, name: str, top: Table, *sections: tuple[str, Table]) -> None:
        # A string or a list of JSON is one of TOML, too.
        lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
        for title, table in sections:
            lines += ["", title, *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        self._config(name).write_text("\n".join(lines) + "\n", "utf-8")


def connect(url: str, source: str = HOME, timeout_s: float = 20) -> socket.socket:
    """A connection from one of this machine's own addresses."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or HOME, parts.port or 80), timeout_s, (source, 0))


def hear(connection: socket.socket, *, most: int = 2_000_000, seconds: float = 20) -> bytes:
    """What comes until the other side ends, has said `most` bytes, or `seconds` are over."""
    found = bytearray()
    deadline = time.monotonic() + seconds
    while len(found) < most and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            piece = connection.recv(65536)
        except (TimeoutError, ConnectionError):
            break
        if not piece:
            break
        found += piece
    return bytes(found)
