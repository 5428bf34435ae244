"""The one error of the contract: something on the wire, or about to go there, is not what the contract says."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

__all__ = ["ContractError", "Identity", "describe"]

Identity: TypeAlias = tuple[str, UUID, int]
"""Sensor, stream and number of a report."""

_SHOWN_CHARACTERS = 60
_SHOWN_BITS = 64


class ContractError(ValueError):
    """A payload, topic or value that the contract does not allow.

    `field` names the field (``payload`` when the bytes as a whole cannot be read, ``topic`` for a topic),
    `expected` says what would be right, `got` what came. All three are short printable ASCII whatever came in, so
    they can be logged and stored as they are.

    `identity` is the report's sensor, stream and number when those three could be read although something else is
    wrong, so that whoever refuses the report can say which one it was; else None.
    """

    def __init__(self, field: str, expected: str, got: str, identity: Identity | None = None) -> None:
        # All four go to the base class so that the error survives the way between two processes.
        super().__init__(field, expected, got, identity)
        self.field = field
        self.expected = expected
        self.got = got
        self.identity = identity

    def __str__(self) -> str:
        return f"{self.field}: got {self.got}, expected {self.expected}"


def describe(value: object) -> str:
    """Say in a few printable ASCII characters what `value` is, however large or odd it is."""
    if isinstance(value, str):
        return _clip(ascii(value[: _SHOWN_CHARACTERS + 1]))
    if isinstance(value, list | tuple):
        return f"an array of {len(value)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    # Python refuses to print integers of thousands of digits; the wire may bring one.
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"a whole number of {value.bit_length()} bits"
    return _clip(ascii(str(value))[1:-1])


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
