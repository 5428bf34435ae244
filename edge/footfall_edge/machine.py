"""Which computer this is: a short fingerprint of its hardware, to notice that an outbox came from another one.

It stays in the outbox file. Only a hash is kept: no serial number and no address can be read from it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LENGTH: Final = 16
"""Hexadecimal digits."""

_NOTHING: Final = ("none", "not ", "default", "to be filled", "system ", "03000200-0400-0500-0006-000700080009")
"""How the words begin that makers leave where a number should be, and a number that is on many boards alike."""


def fingerprint(root: Path = Path("/")) -> str | None:
    """The fingerprint of the computer whose file system is at `root`.

    Of the Raspberry Pi's serial number; else of the board's UUID; else of the address of the first network interface
    that is a piece of hardware, by name. None where there is nothing of the kind, as in a container.
    """
    for kind, place in (
        ("serial", "proc/device-tree/serial-number"),
        ("uuid", "sys/class/dmi/id/product_uuid"),
    ):
        text = _read(root / place)
        if text.strip("0f-") and not text.startswith(_NOTHING):
            return _hash(kind, text)
    for address in _addresses(root / "sys/class/net"):
        return _hash("mac", address)
    return None


def _addresses(interfaces: Path) -> Iterator[str]:
    try:
        found = sorted(interfaces.iterdir())
    except OSError:
        return
    for interface in found:
        # A link to a device: no bridge, tunnel or virtual pair, whose addresses change with each start.
        address = _read(interface / "address") if (interface / "device").exists() else ""
        if address.strip("0:"):
            yield address


def _read(place: Path) -> str:
    try:
        # The device tree ends its strings with a zero byte. The UUID may be root's alone to read.
        return place.read_bytes().decode("ascii", "replace").strip(" \0\r\n\t").lower()
    except OSError:
        return ""


def _hash(kind: str, text: str) -> str:
    return hashlib.sha256(f"footfall {kind} {text}".encode()).hexdigest()[:_LENGTH]
