"""What the encodings of a payload have in common once they are read, before anyone asks what the values mean.

A reader (`_cbor`, `_json`) yields an object as its members in the order they came, doubles included, so that this
module alone decides what a closed set of fields is. A value that no field of the contract could hold is `Foreign`:
it was read past, not interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from footfall_contract.errors import ContractError, describe

__all__ = ["VERSION", "Foreign", "Pairs", "all_whole", "array_of", "closed", "document", "stream_of", "whole"]

VERSION: Final = 1
"""The `v` of every payload."""

# The one text form of RFC 9562. Python's UUID would also take braces, "urn:uuid:" and hyphens anywhere.
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A well-formed value of a kind that no field has; `what` names the kind."""

    what: str

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class Pairs:
    """The members of one object or map as they came: (name, value)."""

    members: list[tuple[Any, Any]]

    def __str__(self) -> str:
        return f"an object with {len(self.members)} fields"

    def once(self, name: str) -> object:
        """Return the member called `name` if there is exactly one, else None."""
        values = [value for key, value in self.members if key == name]
        return values[0] if len(values) == 1 else None


def closed(what: str, value: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the members of an object that has each of `names` once and nothing else."""
    if not isinstance(value, Pairs):
        raise ContractError(what, "an object", describe(value))
    found: dict[str, Any] = {}
    for name, member in value.members:
        if not isinstance(name, str) or name not in names:
            unknown = describe(name).strip("'") or "''"
            raise ContractError(unknown, f"only {', '.join(names)}", "a field that is not known")
        if name in found:
            raise ContractError(name, "this field once", "it twice")
        found[name] = member
    for name in names:
        if name not in found:
            raise ContractError(name, "this field, even if its value is 0 or empty", "nothing")
    return found


def document(pairs: Pairs, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the members of a whole payload of version 1 that has each of `names` once and nothing else."""
    for name, value in pairs.members:
        # First of all, for what another version means by the other names is not known here. And by type: True and 1.0
        # equal 1 in Python, but on the wire they are something else.
        if name == "v" and (type(value) is not int or value != VERSION):
            raise ContractError("v", f"{VERSION}, the only version there is", describe(value))
    return closed("payload", pairs, names)


def whole(what: str, value: object, low: int, high: int, unit: str = "") -> int:
    """Return `value` as a plain int if it is a whole number from `low` to `high`, both included."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return int(value)
    raise ContractError(what, f"a whole number{unit} from {low} to {high}", describe(value))


def all_whole(values: Collection[object]) -> bool:
    """Say whether every value is a whole number; one pass in C where all are plain ints, as they nearly always are."""
    kinds = set(map(type, values))
    return kinds <= {int} or all(issubclass(kind, int) and kind is not bool for kind in kinds)


def array_of(what: str, value: object, items: str) -> tuple[Any, ...]:
    """Return the items of an array, whatever they are; `items` says in an error what they should be."""
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ContractError(what, f"an array of {items}", describe(value))


def stream_of(what: str, value: object) -> UUID:
    """Return the UUID that `value` is the text of."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    raise ContractError(what, "a UUID as text like 01234567-89ab-cdef-0123-456789abcdef", describe(value))
