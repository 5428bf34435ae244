"""``footfall-ingest`` for tests: in a thread, where a test may look inside, or as a process that can be killed."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from footfall_demo.broker import Broker
from footfall_ingest.process import run
from footfall_ingest.settings import IngestSettings


def settings_for(broker: Broker, dsn: str, client_id: str, **sections: dict[str, Any]) -> IngestSettings:
    """Settings with short waits; the session at the broker has the name `client_id`."""
    return IngestSettings(
        mqtt={"host": broker.host, "port": broker.port, "client_id": client_id, "keepalive_s": 5},
        database={"dsn": dsn},
        flush={"interval_s": 0.05, "window": 1, **sections.pop("flush", {})},
        **sections,
    )


@contextmanager
def ingest(settings: IngestSettings, **options: Any) -> Iterator[threading.Thread]:
    """The process's wiring in a thread, stopped at the end. What it raises is raised there."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run(settings, stop, **options)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(30)
    if raised:
        raise raised[0]


def command(settings: IngestSettings, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of the real program with `settings`."""
    config = folder / "ingest.toml"
    config.write_text(
        f"[mqtt]\nhost = '{settings.mqtt.host}'\nport = {settings.mqtt.port}\nclient_id = '{settings.mqtt.client_id}'\n"
        f"[flush]\ninterval_s = {settings.flush.interval_s}\nwindow = {settings.flush.window}\n"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
    environment = {**clean, "FOOTFALL_DATABASE__DSN": settings.database.dsn}
    return [sys.executable, "-m", "footfall_ingest", "--config", str(config)], environment


def start_killed_at(moment: str, settings: IngestSettings, folder: Path) -> subprocess.Popen[bytes]:
    """The program, dying without a word at its first batch: ``before`` or ``after`` the commit."""
    (_, _, *words), environment = command(settings, folder)
    return subprocess.Popen([sys.executable, __file__, moment, words[-1]], env=environment)


def _run_until_killed(moment: str, config: Path) -> None:
    from footfall_ingest.flush import Outcome, write_batch

    def write(connection: Any, messages: Any, **options: Any) -> Outcome:
        if moment == "after":
            write_batch(connection, messages, **options)
            os._exit(9)
        with connection.transaction():
            write_batch(connection, messages, **options)
            os._exit(9)

    run(IngestSettings.load(config), threading.Event(), write=write)


if __name__ == "__main__":
    _run_until_killed(sys.argv[1], Path(sys.argv[2]))
