"""Who really asks, where a proxy stands in between: the address and the scheme that it says, if it is one of ours.

Of all that proxies say two headers are believed, ``X-Forwarded-For`` and ``X-Forwarded-Proto``, and only from an
address in `trusted_proxies`. A client may send the first itself, and a proxy adds to it: so it is read from its end,
and the first address that is no proxy of ours is the client. ``Forwarded`` and ``X-Forwarded-Host`` are never read.
A proxy that does not know them passes on what the client wrote there, and nginx is one that by itself knows neither.
Where the API is to be found is said by `public_url`, or by ``Host``.

This machine itself is who asks it over loopback, by a name that only this machine's own programs reach, and through no
proxy. A page whose name leads to this machine brings that name along, and so does a proxy that passes names on; most of
those that do not speak HTTP/1.0.
"""

import logging
from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from footfall_api.addresses import Network, address_of, is_in, is_loopback, name_of
from footfall_api.telemetry import INNER_KEY
from footfall_role.logs import facts
from footfall_role.unsafe import is_this_machine

log = logging.getLogger(__name__)

LOCAL_KEY: Final = "footfall.local"
"""In the scope of a request: whether it comes from this machine and from no proxy on it."""

ANY_NAME: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask that watch over this one, by whatever name they know it."""

_MOST_PROXIES: Final = 10
"""One behind the other: a longer way is not followed."""

_SAYING: Final = frozenset({b"forwarded", b"via", b"x-real-ip"})
_SAYING_SO: Final = b"x-forwarded-"
"""Headers by which a request shows that it came through a proxy, and how others of them begin."""


def client_of(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """The address that asks.

    Args:
        peer: the address at the other end of the connection.
        forwarded: the values of ``X-Forwarded-For``, in their order.
        trusted: where our proxies are.
    """
    found = peer
    said = [part for value in forwarded for part in value.split(",")]
    for part in said[: -_MOST_PROXIES - 1 : -1]:
        address = address_of(part)
        if address is None or not is_in(found, trusted):
            break  # what is no address was written by nobody whom we trust
        found = str(address)
    return found


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for found, value in scope["headers"] if found == name]


def _is_proxied(scope: Scope, host: str) -> bool:
    """Whether a request shows that it is not from a program which asks by the name that this machine has for itself."""
    name = name_of(host)
    is_by_own_name = not host or (name is not None and is_this_machine(name))
    says_so = any(name in _SAYING or name.startswith(_SAYING_SO) for name, _ in scope["headers"])
    return says_so or not is_by_own_name or scope["http_version"] == "1.0"


class BehindProxies:
    """Note in each request who asks, and by which scheme."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted
        self._complained = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and INNER_KEY not in scope:
            self._note(scope)
        await self._app(scope, receive, send)

    def _note(self, scope: Scope) -> None:
        peer = scope["client"][0] if scope.get("client") else None
        host = next(iter(_values(scope, b"host")), "")
        is_proxied = _is_proxied(scope, host)
        # Only the connection itself makes a client one on this machine, never what is claimed.
        scope[LOCAL_KEY] = is_loopback(peer) and not is_proxied
        if not is_in(peer, self._trusted):
            return
        forwarded = _values(scope, b"x-forwarded-for")
        client = client_of(peer, forwarded, self._trusted)
        scope["client"] = None if client is None else (client, 0)
        scheme = [value.strip().lower() for value in _values(scope, b"x-forwarded-proto")]
        if scheme and scheme[-1] in {"http", "https"}:
            scope["scheme"] = scheme[-1]
        if is_proxied and not forwarded and not self._complained and scope["path"] not in ANY_NAME:
            self._complained = True
            log.warning(
                "a proxy does not say for whom it asks: let it send X-Forwarded-For, or all its clients count as one",
                extra=facts(proxy=peer, host=host),
            )
