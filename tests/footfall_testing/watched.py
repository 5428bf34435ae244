"""Every role of footfall as the process it is, with its metrics port, its log at DEBUG, and a secret wherever one goes.

A reference counter on a pseudo-terminal is read by an edge; the broker, the database and a context broker are real.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import conninfo_to_dict

from edge.counter import Counter
from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest import stations
from footfall_testing.boxes import Boxes
from footfall_testing.context_broker import ContextBroker
from footfall_testing.waiting import wait_until
from footfall_testing.web_city import feature

NODE, SENSOR, STATION, HELD_BACK = "nord", "markt-1", "markt", "saal"

SECRETS = {
    "mqtt": "geheim-mqtt-8f3a", "database": "geheim-dsn-19c7", "token": "geheim-token-0b55d2",
    "push": "geheim-push-77e1", "publish": "geheim-publish-c3d9",
}  # fmt: skip
"""None of these may be in any log; where a real database is asked its password takes the place of ours."""

ROLES = ("edge", "ingest", "api", "push", "publish")
"""Those that answer Prometheus; the dump leaves a file."""

Samples = Mapping[str, list[tuple[Mapping[str, str], float]]]
"""By name the labels and values; a metric that has no sample at the moment has an empty list."""


def samples_of(text: str) -> Samples:
    """What a page for Prometheus says."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        if family.type == "gauge":
            found.setdefault(family.name, [])
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@dataclass
class Running:
    """A context with all roles at work. Logs lie in `folder`, one for each role."""

    dsn: str
    broker: Broker
    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: {role: free_port() for role in ROLES})
    web: int = field(default_factory=free_port)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._start(opened)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def secrets(self) -> Mapping[str, str]:
        """What may be in no log."""
        password = conninfo_to_dict(self.dsn)["password"]
        assert password
        return {**SECRETS, "database": str(password)}

    # What there is to ask.

    def text(self, role: str) -> str:
        """The page of a role for Prometheus; of "dump" its file, of "public" what the API tells everybody."""
        if role == "dump":
            return self.textfile.read_text("utf-8")
        port = self.web if role == "public" else self.ports[role]
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.text

    def value(self, role: str, name: str, **labels: str) -> float | None:
        """One sample; None: there is none."""
        for found, value in samples_of(self.text(role)).get(name, []):
            if labels.items() <= found.items():
                return value
        return None

    def log(self, name: str) -> str:
        """What a program has said so far."""
        return (self.folder / f"{name}.log").read_text("utf-8")

    @property
    def textfile(self) -> Path:
        """Where the dump says how it went."""
        return self.folder / "footfall-dump.prom"

    # How it begins.

    def _start(self, opened: ExitStack) -> None:
        self._fill()
        self.counter = opened.enter_context(Counter(self.folder / "lines" / "counter"))
        self.other = opened.enter_context(ContextBroker())
        self._write()
        opened.enter_context(self._program("ingest", "footfall_ingest", "--config", self._config("ingest")))
        opened.enter_context(self._program("edge", "footfall_edge", "--config", self._config("edge")))
        api = ("footfall_api", "--config", self._config("api"))
        opened.enter_context(self._program("api", *api))
        wait_until(
            lambda: self._stores() and self._shows(), timeout=150, what="a report to be stored and shown", every=0.2
        )
        push = ("push", "ngsi-ld", "--url", self.other.url, "--state", str(self.folder / "push.json"), "--every", "1")
        opened.enter_context(self._program("push", *api, *push, "--metrics-port", str(self.ports["push"])))
        publish = ("publish-mqtt", "--metrics-port", str(self.ports["publish"]))
        opened.enter_context(self._program("publish", *api, *publish))
        dump = ("dump", str(self.folder / "files"), "--textfile", str(self.textfile))
        with self._program("dump", *api, *dump) as dumping:
            assert dumping.wait(150) == 0, self.log("dump")
        wait_until(self._passes_on, timeout=150, what="push and publish to have succeeded", every=0.2)

    def _fill(self) -> None:
        """Two stations, one of them held back; a day of counts; a box that has left; a message that is no report."""
        file = self.folder / "stations.geojson"
        features = [feature(STATION, "Markt", 50.92818, 11.58782), feature(HELD_BACK, "Saal", 50.92704, 11.58587)]
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        stations.apply(self.dsn, file)
        now = datetime.now(UTC)
        boxes = Boxes(self.dsn)
        boxes.report("sued", f"{HELD_BACK}-1", (now - timedelta(hours=20)).replace(minute=0, second=0), 18 * 60)
        boxes.status("sued", "offline", at=now - timedelta(hours=2))
        boxes.health("sued", f"{HELD_BACK}-1", "silent", at=now - timedelta(hours=2))
        boxes.raw(NODE, SENSOR, b"hello")

    def _stores(self) -> bool:
        with psycopg.connect(self.dsn) as connection:
            return bool(
                connection.execute(
                    "SELECT 1 FROM stream s JOIN sensor ON key = s.sensor WHERE id = %s", [SENSOR]
                ).fetchone()
            )

    def _shows(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.web}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _passes_on(self) -> bool:
        return bool(
            self.value("push", "footfall_push_last_success_timestamp_seconds")
            and self.value("publish", "footfall_publish_last_success_timestamp_seconds")
        )

    def _config(self, name: str) -> str:
        return str(self.folder / f"{name}.toml")

    def _write(self) -> None:
        host = f'host = "{self.broker.host}"\nport = {self.broker.port}\n'
        for name, text in {
            "edge": f'node = "{NODE}"\nclock = "system"\nlog_level = "DEBUG"\nlog_format = "json"\n'
            f'[mqtt]\n{host}password = "{SECRETS["mqtt"]}"\n'
            f'[outbox]\npath = "{self.folder / "outbox.sqlite"}"\n[report]\nslot_s = 1\nevery_s = 1\n'
            f'[metrics]\nport = {self.ports["edge"]}\n'
            f'[[sensor]]\nid = "{SENSOR}"\ndriver = "reference"\nport = "{self.folder / "lines" / "counter"}"\n',
            "ingest": f'log_level = "DEBUG"\n[mqtt]\n{host}client_id = "ingest-{self.ports["ingest"]}"\n'
            f'password = "{SECRETS["mqtt"]}"\n[database]\ndsn = "{self.dsn}"\n[flush]\ninterval_s = 0.05\nwindow = 1\n'
            f'[metrics]\nport = {self.ports["ingest"]}\n',
            "api": f'log_level = "DEBUG"\n[http]\nport = {self.web}\npublic_url = "https://zaehlung.example"\n'
            f'[database]\ndsn = "{self.dsn}"\n[public]\noperator_token = "{SECRETS["token"]}"\n'
            f'[[publication.held_back]]\nstations = ["{HELD_BACK}"]\nreason = "Wird geprüft."\n'
            f'[publish_mqtt]\nenabled = true\nprefix = "public/{self.ports["publish"]}"\n{host}'
            f'password = "{SECRETS["publish"]}"\n[metrics]\nport = {self.ports["api"]}\n',
        }.items():  # fmt: skip
            (self.folder / f"{name}.toml").write_text(text, encoding="utf-8")

    def _program(self, name: str, module: str, *words: str) -> "Program":
        return Program([sys.executable, "-m", module, *words], self.folder / f"{name}.log")


class Program:
    """A context with a program, what it says in a file; asked to stop in the end, and killed if it does not."""

    def __init__(self, words: Iterable[str], log: Path) -> None:
        self._words = list(words)
        self._log = log

    def __enter__(self) -> "subprocess.Popen[bytes]":
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words, env={**clean, "FOOTFALL_PUSH_TOKEN": SECRETS["push"]}, stdout=log, stderr=log
            )
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()


def lines_of_json(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a log; of one that is being written to, without the line that has not ended."""
    for line in text[: text.rfind("\n") + 1].splitlines():
        yield json.loads(line)
