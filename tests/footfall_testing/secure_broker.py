"""The broker as it is deployed: mosquitto with the configuration that is shipped, and accounts by the real commands.

Only addresses and paths are others; `SecureBroker.changes` is all of them.
"""

import contextlib
import io
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from footfall_demo.broker import find_mosquitto
from footfall_demo.ports import free_port
from footfall_ingest.__main__ import main
from footfall_role.children import die_with_parent
from footfall_role.mqtt import hang_up
from footfall_testing.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"

HOST = "localhost"
"""The name in the broker's certificate."""

WATCHER = "watcher"
"""A service for the tests alone that may read everything."""


def _account() -> str:
    """The account that the broker runs under; empty: ours."""
    if os.geteuid():
        return ""
    return next(name for name in ("mosquitto", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})


@dataclass
class SecureBroker:
    """A context with the broker; `folder` must be one that every account can enter."""

    folder: Path
    dsn: str = "postgresql://nobody@127.0.0.1:1/nothing"
    ports: dict[int, int] = field(default_factory=lambda: {port: free_port() for port in (8883, 8884, 1883)})
    """The shipped port of each listener, and the one it has here."""
    passwords: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _begins: int = 0
    """Where in the log the broker that runs now begins."""

    @property
    def files(self) -> Path:
        """What is /etc/mosquitto/footfall in deployment."""
        return self.folder / "footfall"

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"

    @property
    def config(self) -> Path:
        """The settings of footfall-ingest."""
        return self.folder / "ingest.toml"

    @property
    def changes(self) -> dict[str, str]:
        """What is replaced in the shipped configuration."""
        ports = {
            "listener 8883": f"listener {self.ports[8883]} 127.0.0.1",
            "listener 8884": f"listener {self.ports[8884]} 127.0.0.1",
            "listener 1883 127.0.0.1": f"listener {self.ports[1883]} 127.0.0.1",
        }
        return {"/etc/mosquitto/footfall/": f"{self.files}/"} | ports

    def set_up(self) -> Self:
        """What an administrator does once, as docs/broker.md has it; the broker is not started."""
        data = self.folder / "data"
        for folder in (self.files, self.folder / "conf.d", data, self.folder / "secrets"):
            folder.mkdir(parents=True)
        shipped = (DEPLOY / "footfall.conf").read_text("utf-8")
        for old, new in self.changes.items():
            assert f"\n{old}" in shipped or old.startswith("/"), old
            shipped = shipped.replace(old, new) if old.startswith("/") else shipped.replace(f"\n{old}\n", f"\n{new}\n")
        assert all(f"\nlistener {port} " in shipped for port in self.ports.values())
        (self.folder / "conf.d" / "footfall.conf").write_text(shipped)
        # As Debian's, but for the paths.
        (self.folder / "mosquitto.conf").write_text(
            f"persistence true\npersistence_location {data}/\nlog_dest stderr\ninclude_dir {self.folder}/conf.d\n"
        )
        rules = (DEPLOY / "services.acl").read_text("utf-8")
        (self.files / "services.acl").write_text(f"{rules}\nuser {WATCHER}\ntopic read #\ntopic read $SYS/#\n")
        if _account():
            shutil.chown(data, _account())
        self.config.write_text(
            f'[mqtt]\nport = {self.ports[1883]}\n[database]\ndsn = "{self.dsn}"\n'
            f'[nodes]\nfolder = "{self.files}"\nca_key = "{self.folder}/secrets/nodes-ca.key"\nhost = "{HOST}"\n'
            f'owner = "{_account()}"\nport = {self.ports[8883]}\ncertificate_port = {self.ports[8884]}\n'
            f'reload = ["sh", "-c", "kill -HUP $(cat {self.folder}/pid)"]\n'
        )
        offline = self.without_reload()
        self.node("ca", "init", config=offline)
        for service in ("footfall-ingest", "footfall-public", WATCHER):
            self.passwords[service] = self.node("service", service, config=offline).strip()
        return self

    def without_reload(self) -> Path:
        """The same settings, for before the broker runs, or to tell it later."""
        path = self.folder / "quiet.toml"
        lines = self.config.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("reload = ")))
        return path

    def node(self, *words: str, config: Path | None = None, status: int = 0) -> str:
        """Run ``footfall-ingest node …`` and return what it wrote to standard output."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            left = main(["--config", str(config or self.config), "node", *words])
        assert left == status, f"node {' '.join(words)}: status {left}: {err.getvalue()}"
        return out.getvalue() if not status else err.getvalue()

    def add(self, *words: str) -> "Box":
        """Make an account with ``node add`` or ``node rotate``, and the box that has it."""
        folder = self.folder / "boxes" / f"{time.monotonic_ns()}"
        self.node(*words, "--out", str(folder))
        (settings,) = folder.glob("*-edge.toml")
        return Box(settings.name.removesuffix("-edge.toml"), folder)

    def start(self) -> Self:
        """Start the broker and wait until it answers."""
        program = find_mosquitto()
        assert program is not None
        account = _account()
        found = pwd.getpwnam(account) if account else None
        options: dict[str, Any] = (
            {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": [found.pw_gid]} if found else {}
        )
        self._begins = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program, "-c", str(self.folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # one C function that was loaded before
                **options,
            )
        (self.folder / "pid").write_text(str(self.process.pid))
        wait_until(self._answers, what=f"the broker\n{self.log.read_text()}")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return any(line.endswith(" running") for line in self.log.read_text()[self._begins :].splitlines())

    def reload(self) -> None:
        """Tell the broker to read its files, and wait until it has."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        self.settle()

    def settle(self) -> None:
        """Wait until the broker has done what it was told: it looks for signals before it lets somebody in."""
        with self.service("settled"):
            pass

    def stop(self) -> None:
        """End the broker; what it keeps is on the disk."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def __enter__(self) -> Self:
        return self.set_up().start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def service(self, client_id: str, name: str = "footfall-ingest", **options: Any) -> "Connection":
        """A connection of one of footfall's own processes."""
        login = {"username": name, "password": self.passwords[name]}
        return Connection("127.0.0.1", self.ports[1883], client_id=client_id, **{**login, **options})

    def watcher(self, *filters: str) -> "Connection":
        """A connection that hears everything, or what `filters` say."""
        return self.service(f"watcher-{time.monotonic_ns()}", WATCHER, filters=filters or ("#",))

    def box(self, box: "Box", **options: Any) -> "Connection":
        """The connection of a box, as its edge makes it."""
        mqtt = box.mqtt
        tls = ssl.create_default_context(cafile=box.folder / f"{box.account}-ca.crt")
        if "cert_file" in mqtt:
            tls.load_cert_chain(box.folder / f"{box.account}-mqtt.crt", box.folder / f"{box.account}-mqtt-key")
        usual = {
            "username": mqtt.get("username", "footfall-edge"),
            "password": box.password,
            "client_id": f"footfall-edge-{box.node}-{time.monotonic_ns()}",
            "tls": tls,
        }
        return Connection(mqtt["host"], mqtt["port"], **{**usual, **options})


@dataclass(frozen=True)
class Box:
    """What a box was given: the account, and the folder with its files."""

    account: str
    folder: Path

    @property
    def node(self) -> str:
        return str(self.settings["node"])

    @property
    def settings(self) -> dict[str, Any]:
        """The head of its edge.toml."""
        return tomllib.loads((self.folder / f"{self.account}-edge.toml").read_text("utf-8"))

    @property
    def mqtt(self) -> dict[str, Any]:
        found: dict[str, Any] = self.settings["mqtt"]
        return found

    @property
    def password(self) -> str | None:
        path = self.folder / f"{self.account}-mqtt-password"
        return path.read_text("utf-8").strip() if path.exists() else None


def _remembering(seen: list[ssl.SSLSocket]) -> type[ssl.SSLSocket]:
    """The kind of socket that is added to `seen` when it shakes hands."""

    class Remembered(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:  # as in the library
            seen.append(self)
            super().do_handshake(block)

    return Remembered


class Connection:
    """A context with a client that connects once and does not come back by itself.

    `refused` says why it was not let in, or empty.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        will: tuple[str, bytes] | None = None,
        filters: Sequence[str] = (),
        version: int = MQTTv311,
        clean: bool = True,
    ) -> None:
        self._handshakes: list[ssl.SSLSocket] = []
        options: dict[str, Any] = {} if version == MQTTv5 else {"clean_session": clean}
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False, **options
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        if tls is not None:
            tls.sslsocket_class = _remembering(self._handshakes)
            self._client.tls_set_context(tls)
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)
        self._where = host, port
        self._filters = filters
        self._answered = threading.Event()
        self._gone = threading.Event()
        self._granted: dict[int, list[str]] = {}
        self._taken: dict[int, str] = {}
        self.refused = ""
        self.heard: list[tuple[str, bytes]] = []
        """What came live, as (topic, payload)."""
        self.kept: list[tuple[str, bytes]] = []
        """What the broker had retained."""

    def __enter__(self) -> Self:
        client = self._client
        client.on_connect = self._connected
        client.on_disconnect = lambda *_: (self._gone.set(), self._answered.set())
        client.on_message = self._message
        client.on_subscribe = lambda _client, _data, mid, reasons, _: self._granted.update({mid: [*map(str, reasons)]})
        client.on_publish = lambda _client, _data, mid, reason, _: self._taken.update({mid: str(reason)})
        try:
            client.connect(*self._where)
        except OSError as error:  # TLS did not come about; paho leaves its socket open
            self.refused = str(error)
            for sock in self._handshakes:
                sock.close()
            return self
        client.loop_start()
        assert self._answered.wait(20), "the broker said neither yes nor no"
        if self._gone.is_set() and not self.refused:
            self.refused = "the connection was closed"
        if not self.refused and self._filters:
            self.subscribe(*self._filters)
        return self

    def __exit__(self, *_: object) -> None:
        hang_up(self._client)

    def _connected(self, _client: Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        if reason.is_failure:
            self.refused = str(reason)
        self._answered.set()

    def _message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        (self.kept if message.retain else self.heard).append((message.topic, bytes(message.payload)))

    @property
    def alive(self) -> bool:
        """Whether the connection is up."""
        return not self.refused and not self._gone.is_set()

    def wait_gone(self) -> None:
        """Wait until the broker has ended the connection."""
        assert self._gone.wait(20), "the connection is still there"

    def subscribe(self, *filters: str) -> list[str]:
        """Subscribe; what the broker said to each."""
        _, mid = self._client.subscribe([(one, 1) for one in filters])
        assert mid is not None
        return wait_until(lambda: self._granted.get(mid), what="SUBACK") or []

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False, qos: int = 1) -> str:
        """Publish and wait until the broker has taken it; what it said."""
        mid = self._client.publish(topic, payload, qos, retain).mid
        return wait_until(lambda: self._taken.get(mid), what=f"PUBACK for {topic}")

    def cut(self) -> None:
        """Lose the connection without a goodbye, so that the last will is due."""
        sock = self._client.socket()
        assert sock is not None
        sock.close()
        hang_up(self._client)


@contextlib.contextmanager
def nothing_but(listener: Connection, speaker: Connection, topic: str) -> Iterator[list[tuple[str, bytes]]]:
    """A context whose list has, at its end, what `listener` heard in it; `speaker` may write `topic`, and ends it."""
    heard: list[tuple[str, bytes]] = []
    before = len(listener.heard)
    yield heard
    end = f"end-{time.monotonic_ns()}".encode()
    speaker.publish(topic, end)
    wait_until(lambda: (topic, end) in listener.heard, what="the end of what is to be heard")
    heard += [one for one in listener.heard[before:] if one != (topic, end)]
