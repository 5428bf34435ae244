"""Addresses of the internet, as people write them and as clients have them."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

_SUBSCRIBER_BITS: Final = 64

_HOST: Final = re.compile(r"(?P<name>[\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{0,5})?", re.ASCII)

UNKNOWN: Final = "unknown"
"""All clients whose address nobody can tell are one."""


def address_of(text: str | None) -> IPv4Address | IPv6Address | None:
    """The address in `text`, with a port or without; an IPv4 address within IPv6 is that IPv4 address.

    None: there is none in it.
    """
    host = (text or "").strip()
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
        if port and not port.startswith(":"):
            return None
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def name_of(text: str) -> str | None:
    """The name or the address that a server is asked as, in a ``Host``: small, without port, brackets and last dot.

    None: there is none in it.
    """
    found = _HOST.fullmatch(text)
    return found["name"].strip("[]").rstrip(".").lower() if found else None


def client_key(text: str | None) -> str:
    """The client that an address stands for."""
    found = address_of(text)
    if found is None:
        return UNKNOWN
    if isinstance(found, IPv4Address):
        return str(found)
    return str(ip_network((found, _SUBSCRIBER_BITS), strict=False))


def is_loopback(text: str | None) -> bool:
    """Whether the address is one of this machine itself."""
    found = address_of(text)
    return found is not None and found.is_loopback


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks that are written as addresses or networks.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(_network(text) for text in texts)


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise ValueError(
            f"each must be an address or a network, such as 192.0.2.7 or 172.16.0.0/12; {text!r} is not"
        ) from error


def is_in(text: str | None, trusted: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks."""
    found = address_of(text)
    return found is not None and any(found in network for network in trusted)
