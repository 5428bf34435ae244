"""What Prometheus is told by the commands that send to others' servers, and by the one that writes files.

The first two run for ever and have a port (`--metrics-port`). The third ends, so it leaves its figures in a file for
node_exporter's textfile collector (`--textfile`).
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families

import footfall_contract
from footfall_role import metrics
from footfall_role.settings import MetricsSettings, MqttSettings

_LAST_SUCCESS: Final = "footfall_dump_last_success_timestamp_seconds"


def add_port(parser: argparse.ArgumentParser) -> None:
    """Add the option for the port; the one in [metrics] is that of the process that serves."""
    parser.add_argument(
        "--metrics-port", type=_port, metavar="PORT",
        help="answer Prometheus here, at /metrics, on the address in [metrics]; default: nowhere",
    )  # fmt: skip


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 65535")
    return int(text)


def serve(
    options: argparse.Namespace,
    settings: MetricsSettings,
    role: str,
    registry: CollectorRegistry,
    mqtt: MqttSettings | None = None,
) -> None:
    """Answer ``/metrics`` on the port in `options`, if one was given.

    Raises:
        OSError: the port is taken or may not be used.
    """
    port = MetricsSettings(host=settings.host, port=options.metrics_port)
    metrics.serve(port, role, footfall_contract.__version__, of=[registry], mqtt=mqtt)


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class PushMetrics:
    """Of ``push ngsi-ld``."""

    def __init__(self) -> None:
        self.registry = _registry()
        self._rounds = Counter(
            "footfall_push_rounds",
            "Rounds, by how they ended: done, or the broker unreachable, or all refused, or the database away.",
            ["outcome"],
            registry=self.registry,
        )
        self._entities = Counter(
            "footfall_push_entities", "Entities that the broker took or refused.", ["outcome"], registry=self.registry
        )
        self._success = Gauge(
            "footfall_push_last_success_timestamp_seconds",
            "When a round last came to its end, single entities refused or not; 0: never yet.",
            registry=self.registry,
        )
        for outcome in ("done", "unreachable", "refused", "database"):
            self._rounds.labels(outcome)
        for outcome in ("sent", "refused"):
            self._entities.labels(outcome)

    def round(self, outcome: str) -> None:
        """A round ended: "done", "unreachable", "refused" or "database"."""
        self._rounds.labels(outcome).inc()
        if outcome == "done":
            self._success.set(time.time())

    def sent(self, taken: int, refused: int) -> None:
        """A batch was answered."""
        self._entities.labels("sent").inc(taken)
        self._entities.labels("refused").inc(refused)


class PublishMetrics:
    """Of ``publish-mqtt``."""

    def __init__(self) -> None:
        self.registry = _registry()
        self._rounds = Counter(
            "footfall_publish_rounds",
            "Times the counts were read: done, or the broker unreachable, or the database away.",
            ["outcome"],
            registry=self.registry,
        )
        self._messages = Counter(
            "footfall_publish_messages", "Messages handed to the broker; removals are some.", registry=self.registry
        )
        self._refused = Counter(
            "footfall_publish_refused_connections", "Times the broker refused us.", registry=self.registry
        )
        self._connected = Gauge("footfall_publish_connected", "1 while the broker is there.", registry=self.registry)
        self._success = Gauge(
            "footfall_publish_last_success_timestamp_seconds",
            "When the broker was last there and had all that is to be retained handed to it; 0: never yet.",
            registry=self.registry,
        )
        for outcome in ("done", "unreachable", "database"):
            self._rounds.labels(outcome)

    def round(self, outcome: str) -> None:
        """The counts were read, or could not be: "done", "unreachable" or "database"."""
        self._rounds.labels(outcome).inc()

    def succeeded(self) -> None:
        """The broker has been handed all that it is to retain."""
        self._success.set(time.time())

    def sent(self, messages: int) -> None:
        """So many messages were handed over."""
        self._messages.inc(messages)

    def refused(self) -> None:
        """The broker did not let us in."""
        self._refused.inc()

    def connected(self, is_there: bool) -> None:
        """Whether the broker is there."""
        self._connected.set(is_there)


@contextmanager
def textfile(path: Path | None) -> Iterator[None]:
    """Leave in a file how a run of ``dump`` went: when it began, how long it took, whether it succeeded and when last.

    A run that fails keeps the time of the last success, which stands in the file. None: no file.

    Raises:
        OSError: the file cannot be written. Whatever the run raises is raised too.
    """
    if path is None:
        yield
        return
    began_s, last_success_s, is_success = time.time(), _last_success_s(path), 0
    try:
        yield
        last_success_s, is_success = time.time(), 1
    finally:
        registry = CollectorRegistry()
        for name, text, value in (
            ("footfall_dump_last_run_timestamp_seconds", "When the files were last to be written.", began_s),
            ("footfall_dump_last_run_success", "1: it succeeded.", is_success),
            ("footfall_dump_last_run_seconds", "How long it took.", time.time() - began_s),
            (_LAST_SUCCESS, "When it last succeeded; 0: never yet.", last_success_s),
        ):
            Gauge(name, text, registry=registry).set(value)
        metrics.write_textfile(path, registry)


def _last_success_s(path: Path) -> float:
    with suppress(FileNotFoundError, ValueError):  # ValueError: what stands there is not what we wrote
        for family in text_string_to_metric_families(path.read_text("utf-8")):
            if family.name == _LAST_SUCCESS:
                return float(family.samples[0].value)
    return 0
