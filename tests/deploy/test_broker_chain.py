"""A real edge and a real footfall-ingest through the broker as it is deployed, while its account is changed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from footfall_demo.broker import find_mosquitto
from footfall_ingest import nodes_accounts
from footfall_ingest.settings import IngestSettings
from footfall_role.children import die_with_parent
from footfall_testing.ingest_process import ingest
from footfall_testing.ingest_store import stored
from footfall_testing.secure_broker import Box, SecureBroker
from footfall_testing.waiting import wait_until


class Counter:
    """A context with a device on a serial server that counts somebody every tenth of a second while `counting`.

    It begins with the first line that somebody took: what was before is not the edge's to know. It keeps its totals,
    so what passes while nobody listens is told later.
    """

    def __init__(self) -> None:
        self.total = 0
        self.counting = False
        self._has_begun = False
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self._begun_s = time.monotonic()
        self._threads = [threading.Thread(target=self._count), threading.Thread(target=self._serve)]

    @property
    def port(self) -> str:
        """As a sensor's `port` in edge.toml."""
        return f"socket://127.0.0.1:{self._server.getsockname()[1]}"

    def _count(self) -> None:
        while not self._stop.wait(0.1):
            self.total += self.counting

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                line, _ = self._server.accept()
            except TimeoutError:
                continue
            with line:
                self._speak(line)

    def _speak(self, line: socket.socket) -> None:
        while not self._stop.wait(0.2):
            said = {"in": self.total, "uptime_s": int(time.monotonic() - self._begun_s)}
            try:
                line.sendall(json.dumps(said).encode() + b"\n")
            except OSError:
                return
            if not self._has_begun:
                self._has_begun = self.counting = True

    def __enter__(self) -> "Counter":  # noqa: PYI034
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        self._server.close()


class Edge:
    """``footfall-edge`` on `box`, as a process; its outbox is `outbox`."""

    def __init__(self, box: Box, outbox: Path, counter: Counter) -> None:
        head = (box.folder / f"{box.account}-edge.toml").read_text("utf-8")
        # What systemd and the administrator do on a real box: the files lie where the head says.
        for name, path in {
            "ca.crt": "/etc/footfall/ca.crt",
            "mqtt.crt": "/etc/footfall/mqtt.crt",
            "mqtt-key": "/run/credentials/footfall-edge.service/mqtt-key",
        }.items():
            head = head.replace(path, str(box.folder / f"{box.account}-{name}"))
        head = head.replace("/var/lib/footfall-edge/outbox.sqlite", str(outbox))
        node, mqtt = head.split("\n\n", 1)
        self.config = box.folder / "edge.toml"
        self.config.write_text(
            f'{node}\nclock = "system"\n\n{mqtt}\n'
            "[report]\nslot_s = 1\nevery_s = 1\nresend_s = 2\n"
            f'[[sensor]]\nid = "{box.node}-1"\ndriver = "line-json"\nport = "{counter.port}"\n'
            'after_restart = "kept"\nmost_per_s = 100\n'
        )
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
        password = box.folder / f"{box.account}-mqtt-password"
        if password.exists():
            self._environment["FOOTFALL_MQTT__PASSWORD_FILE"] = str(password)
        self.log = box.folder / "edge.log"

    def __enter__(self) -> "Edge":  # noqa: PYI034
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "footfall_edge", "--config", str(self.config)],
                env=self._environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509  # one C function that was loaded before
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        assert "Traceback" not in self.log.read_text()


@pytest.fixture
def secure(open_folder: Path, unique: str, database: str) -> Iterator[SecureBroker]:
    """The broker, and a database of its own."""
    if not find_mosquitto():
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    if not nodes_accounts.can_sign():
        pytest.skip("the package cryptography is not installed: pip install 'footfall[ingest]'")
    with SecureBroker(open_folder / unique, dsn=database) as broker:
        yield broker


def total(dsn: str) -> int:
    """Passages stored, in minutes and in spans."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = stored(connection)
    assert found.quarantine == {}
    return sum(found.counts.values()) + sum(found.spans.values())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("other", ["--password", "--certificate"])
def test_an_account_is_changed_and_no_passage_is_lost(
    secure: SecureBroker, database: str, unique: str, tmp_path: Path, other: str
) -> None:
    """From the counter to the database, with the old account, then with the new one, then without the old one."""
    settings = IngestSettings.load(secure.config)
    login = {"username": "footfall-ingest", "password": SecretStr(secure.passwords["footfall-ingest"])}
    settings = settings.model_copy(update={"mqtt": settings.mqtt.model_copy(update=login)})
    old = secure.add("add", unique)
    with Counter() as counter, ingest(settings):
        with Edge(old, tmp_path / "outbox.sqlite", counter):
            wait_until(lambda: total(database) >= 10, timeout=60, what="the first passages")
            new = secure.add("rotate", unique, other)
        passed = total(database)
        with Edge(new, tmp_path / "outbox.sqlite", counter):
            wait_until(lambda: total(database) >= passed + 10, timeout=60, what="passages with the new account")
            secure.node("revoke", "--account", old.account)
            passed = total(database)
            wait_until(lambda: total(database) >= passed + 10, timeout=60, what="passages after the old one is gone")
            counter.counting = False
            wait_until(lambda: total(database) == counter.total, timeout=60, what="every passage")
        # The box's goodbye is a message like any other: it is stored when the aggregator comes to it.
        wait_until(lambda: "offline" in secure.node("list"), timeout=60, what="the box's goodbye")
        listed = secure.node("list").splitlines()

        assert total(database) == counter.total
    assert [line.split()[:2] for line in listed[1:]] == [[unique, new.account]]
