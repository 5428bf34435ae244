"""What every role tells Prometheus, and the ``/metrics`` port of a role that has no HTTP server of its own."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from footfall_role import certificates, metrics_port
from footfall_role.settings import MetricsSettings, MqttSettings

_READABLE: Final = 0o644
"""For the account of node_exporter, which is another one."""


def serve(
    settings: MetricsSettings,
    role: str,
    version: str,
    *,
    of: Iterable[CollectorRegistry] = (REGISTRY,),
    mqtt: MqttSettings | None = None,
) -> None:
    """Answer ``/metrics`` in a background thread, if a port is set: what is `exposed`.

    Raises:
        OSError: the port is taken or may not be used; the message names it.
    """
    if settings.port is None:
        return
    try:
        metrics_port.start(settings.host, settings.port, exposed(role, version, of=of, mqtt=mqtt))
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise OSError(
            error.errno, f"metrics cannot be served on {place}: {error.strerror}; set [metrics] port to a free one"
        ) from error


def exposed(
    role: str, version: str, *, of: Iterable[CollectorRegistry], mqtt: MqttSettings | None = None
) -> CollectorRegistry:
    """All that is in the registries `of`, and what every role says.

    ``footfall_build_info`` names the program of this process and its version. With `mqtt` it is said when the
    certificates end that the connection to the broker rests on.
    """
    registry = CollectorRegistry()
    info = Gauge(
        "footfall_build_info", "The program of this process, always 1.", ["role", "version"], registry=registry
    )
    info.labels(role, version).set(1)
    if mqtt is not None:
        _watch_certificates(mqtt, registry)
    for other in of:
        registry.register(_Also(other))
    return registry


class _Also(Collector):
    """What another registry has."""

    def __init__(self, other: CollectorRegistry) -> None:
        self._other = other

    def collect(self) -> Iterable[Metric]:
        """As it is at this moment."""
        return self._other.collect()


def _watch_certificates(settings: MqttSettings, registry: CollectorRegistry) -> None:
    """The files are read when they are asked about: a renewed one shows without a restart.

    One that cannot be read has the end NaN: that it is good for nothing shows where the connection is made.
    """
    files = {"authority": settings.ca_file, "client": settings.cert_file} if settings.tls else {}
    if not any(files.values()):
        return
    ends = Gauge(
        "footfall_mqtt_certificate_end_timestamp_seconds",
        "When a certificate for the connection to the broker ends; of several in a file the first.",
        ["certificate"],
        registry=registry,
    )
    for name, path in files.items():
        if path is not None:
            ends.labels(name).set_function(_end_of(path))


def _end_of(path: Path) -> Callable[[], float]:
    def end_s() -> float:
        with suppress(certificates.CertificateError):
            return float(certificates.first_end_s(path))
        return float("nan")

    return end_s


def write_textfile(path: Path, registry: CollectorRegistry) -> None:
    """Write what is in `registry` where node_exporter's textfile collector finds it; a reader sees old or new, whole.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")  # not *.prom, which would be read half-written
    try:
        draft.write_bytes(generate_latest(registry))
        draft.chmod(_READABLE)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
