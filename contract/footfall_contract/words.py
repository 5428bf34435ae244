"""The words every part of footfall shares: directions, classes, identifiers and the limits of one report.

Nothing here knows a wire format or a database. The numbers are part of the contract: they are on the wire and in
every stored row, so a value is never given a second meaning.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from footfall_contract.errors import ContractError, describe

__all__ = [
    "ID_PATTERN",
    "MAX_BYTES",
    "MAX_COUNT",
    "MAX_SEQ",
    "MAX_SLOTS",
    "MAX_SPAN_S",
    "MAX_START",
    "SLOT_LENGTHS_S",
    "Direction",
    "PassageClass",
    "check_id",
]


class Direction(IntEnum):
    """Which way somebody crossed the counting line."""

    IN = 0
    """From left to right as seen from the line's first to its second point."""
    OUT = 1
    UNDIRECTED = 2
    """The sensor cannot tell."""


class PassageClass(IntEnum):
    """What crossed the line, as far as the sensor can tell."""

    PEDESTRIAN = 0
    CHILD = 1
    CYCLIST = 2
    WHEELCHAIR = 3
    PRAM = 4
    UNKNOWN = 255


ID_PATTERN: Final = r"[a-z0-9][a-z0-9-]{0,62}"
"""Node and sensor ids: safe in a topic, a URL, a file name and a host name alike."""

SLOT_LENGTHS_S: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""Lengths of a slot in seconds: the divisors of 60, so that a minute is always a whole number of slots."""

MAX_SLOTS: Final = 8640
"""Slots in one report: one day of 10 s slots."""

MAX_BYTES: Final = 65536
"""Length of one encoded report."""

MAX_SPAN_S: Final = 31 * 86400
"""Length of a span in seconds: the longest month."""

MAX_SEQ: Final = 2**53 - 1
"""Highest report number: the largest whole number that every JSON reader keeps exactly."""

MAX_START: Final = 2**32 - 1
"""Latest start in UTC unix seconds (February 2106): an unsigned 32-bit number is enough on a microcontroller."""

MAX_COUNT: Final = 2**32 - 1
"""Highest count of one cell: the widest typed array holds unsigned 32-bit numbers."""

_ID = re.compile(ID_PATTERN)


def check_id(what: str, value: object) -> str:
    """Return `value` if it is a node or sensor id.

    `what` names the field in the error. Raises `ContractError` for anything else.
    """
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise ContractError(what, "1 to 63 of a-z, 0-9 and -, not beginning with -", describe(value))
