"""The ``/metrics`` port of a role that has no HTTP server of its own."""

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from footfall_role.settings import MetricsSettings


def serve(settings: MetricsSettings, registry: CollectorRegistry = REGISTRY) -> None:
    """Answer ``/metrics`` in a background thread, if a port is set.

    Raises:
        OSError: the port is taken or may not be used; the message names it.
    """
    if settings.port is None:
        return
    try:
        start_http_server(settings.port, addr=settings.host, registry=registry)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise OSError(
            error.errno, f"metrics cannot be served on {place}: {error.strerror}; set [metrics] port to a free one"
        ) from error
