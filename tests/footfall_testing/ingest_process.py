"""``footfall-ingest`` for tests: in a thread, where a test may look inside, or as a process that can be killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from footfall_demo.broker import Broker
from footfall_ingest.process import run
from footfall_ingest.settings import IngestSettings
from footfall_role.stop import StopSignal


def settings_for(broker: Broker, dsn: str, client_id: str, **sections: Any) -> IngestSettings:
    """Settings with short waits; the session at the broker has the name `client_id`."""
    mqtt = {"host": broker.host, "port": broker.port, "client_id": client_id, "keepalive_s": 5}
    return IngestSettings(
        mqtt={**mqtt, **sections.pop("mqtt", {})},
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
    mqtt, flush = settings.mqtt, settings.flush
    config = folder / "ingest.toml"
    config.write_text(
        f"workers = {settings.workers}\n"
        f"[mqtt]\nhost = '{mqtt.host}'\nport = {mqtt.port}\nclient_id = '{mqtt.client_id}'\n"
        f"keepalive_s = {mqtt.keepalive_s}\n" + (f"share = '{mqtt.share}'\n" if mqtt.share else "") + "[flush]\n"
        f"interval_s = {flush.interval_s}\nwindow = {flush.window}\nmax_reports = {flush.max_reports}\n"
        + (f"[metrics]\nport = {settings.metrics.port}\n" if settings.metrics.port else "")
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
    environment = {**clean, "FOOTFALL_DATABASE__DSN": settings.database.dsn}
    return [sys.executable, "-m", "footfall_ingest", "--config", str(config)], environment


Moment = Literal["before", "after"]
"""The two moments around a commit at which nothing has been acknowledged: before it, and after it."""

_SIGNALS: dict[Moment, signal.Signals] = {"before": signal.SIGUSR1, "after": signal.SIGUSR2}


def start_mortal(settings: IngestSettings, folder: Path, *, doom: Moment | None = None) -> subprocess.Popen[bytes]:
    """The program, dying without a word, with status 9, at the moment that `die_at` names, or at its first `doom`."""
    (_, _, *words), environment = command(settings, folder)
    with (folder / "mortal.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, __file__, words[-1], *([doom] if doom else [])], env=environment, stderr=log
        )


def start_killed_at(moment: Moment, settings: IngestSettings, folder: Path) -> subprocess.Popen[bytes]:
    """The program, dying without a word at its first batch: ``before`` or ``after`` the commit."""
    return start_mortal(settings, folder, doom=moment)


def die_at(moment: Moment, process: subprocess.Popen[bytes]) -> None:
    """Tell a running process of `start_mortal` to die with its next batch."""
    process.send_signal(_SIGNALS[moment])


def _run_mortal(config: Path, doom: str | None) -> None:
    from footfall_ingest.flush import Outcome, write_batch

    def told(number: int, _frame: object) -> None:
        nonlocal doom
        doom = {signal.SIGUSR1: "before", signal.SIGUSR2: "after"}[signal.Signals(number)]

    for each in _SIGNALS.values():
        signal.signal(each, told)

    def write(connection: Any, messages: Any, **options: Any) -> Outcome:
        with connection.transaction():
            outcome = write_batch(connection, messages, **options)
            if doom == "before":
                os._exit(9)
        if doom == "after":
            os._exit(9)
        return outcome

    with StopSignal() as stop:
        run(IngestSettings.load(config), stop.event, write=write)


if __name__ == "__main__":
    _run_mortal(Path(sys.argv[1]), sys.argv[2] if sys.argv[2:] else None)
