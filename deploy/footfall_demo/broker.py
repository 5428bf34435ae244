"""The MQTT broker of the demo: mosquitto where it is installed, else amqtt, as a child process on loopback."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from footfall_demo.ports import free_port
from footfall_role.children import die_with_parent

Kind = Literal["mosquitto", "amqtt"]


class BrokerError(Exception):
    """The broker could not be started; the message says why."""


def find_mosquitto() -> str | None:
    """The mosquitto server's path; Debian puts it where an ordinary user's PATH does not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


@dataclass
class Broker:
    """A broker on `host`:`port` whose files lie in `folder`. It takes any user name and no anonymous sessions' queues.

    `kind` None means: mosquitto if it can be found, else amqtt.
    """

    folder: Path
    port: int = 0
    host: str = "127.0.0.1"
    kind: Kind | None = None
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.kind = self.kind or ("mosquitto" if find_mosquitto() else "amqtt")

    @property
    def log(self) -> Path:
        """The broker's log."""
        return self.folder / "broker.log"

    def command(self) -> list[str]:
        """Write the broker's configuration and return its command line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.port:
            self.port = free_port()
        if self.kind == "amqtt":
            return [sys.executable, "-m", "footfall_demo.broker", self.host, str(self.port), str(self.folder)]
        program = find_mosquitto()
        if program is None:
            raise BrokerError("mosquitto is not installed; install it, or take the broker that is built in (amqtt)")
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} {self.host}\n"
            "allow_anonymous true\n"
            # The default of 1000 drops messages silently; the edges' outboxes would heal it, but need not.
            "max_queued_messages 0\n"
            "max_inflight_messages 0\n"
            "persistence false\n"
            "log_dest stderr\n"
            "log_type error\nlog_type warning\nlog_type notice\n" + ("user root\n" if os.geteuid() == 0 else "")
            # As root it would change its user, and with that Linux forgets that it shall end when we do.
        )
        return [program, "-c", str(config)]

    def start(self, timeout_s: float = 30) -> Self:
        """Start the broker and wait until it takes connections.

        Raises:
            BrokerError: it ended or did not answer in time; the message has the end of its log.
        """
        command = self.command()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # calls one C function that was loaded before
            )
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                end = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
                raise BrokerError(f"{self.kind} did not start on {self.host}:{self.port}:\n{end}")
            time.sleep(0.05)
        return self

    def answers(self) -> bool:
        """Whether something takes connections on the broker's port."""
        try:
            socket.create_connection((self.host, self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self, timeout_s: float = 10) -> None:
        """Ask the broker to end; make it end after `timeout_s` seconds."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the broker at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def _serve_amqtt(host: str, port: int) -> None:
    from amqtt.broker import Broker as Amqtt  # noqa: PLC0415  # slow to import, and only this process needs it

    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": 1000}},
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False},
            "footfall_demo.takeover.SharedSessions": {},
        },
    }
    broker = Amqtt(config)
    await broker.start()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    await broker.shutdown()


if __name__ == "__main__":
    # The last word, the data folder, is there so that a process list shows whose broker this is.
    asyncio.run(_serve_amqtt(sys.argv[1], int(sys.argv[2])))
