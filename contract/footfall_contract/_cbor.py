"""Reads the part of CBOR (RFC 8949) that the contract uses, and reads past the rest without interpreting it.

Reports are written by cbor2 but not read by it. A general reader turns tags into dates, regular expressions, mail
messages, shared and cyclic references; it takes indefinite lengths and doubled keys; and what it does with each
differs from version to version. A verdict that is to be the same on every machine cannot rest on that, and none of
it can be part of a report. What is left is small: one map, text keys, whole numbers, text, arrays of whole numbers,
and three of the typed arrays of RFC 8746. There is no recursion, and time and memory are linear in the number of
bytes, whatever they are.
"""

from __future__ import annotations

import struct
from typing import Final

from footfall_contract._wire import Foreign, Pairs
from footfall_contract.errors import ContractError

__all__ = ["TYPED_ARRAYS", "read_map"]

TYPED_ARRAYS: Final = {64: "B", 69: "H", 70: "I"}
"""Tag of RFC 8746 and the struct code of its numbers: unsigned 8, 16 and 32 bit, the latter two little-endian."""

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_KINDS = (
    "a whole number",
    "a negative number",
    "a byte string",
    "text",
    "an array",
    "a map",
    "a tag",
    "a float or the like",
)
# By major type: how many items an argument of 1 stands for.
_ITEMS_PER_COUNT = (0, 0, 0, 0, 1, 2, 0, 0)
_SIMPLE_VALUES = {20: False, 21: True, 22: None}
# An argument of 24 to 27 says that the real one follows in so many bytes, high byte first.
_FOLLOWING = {24: 1, 25: 2, 26: 4, 27: 8}
_INDEFINITE = 31


def read_map(payload: bytes) -> Pairs:
    """Return the members of the one map that `payload` is.

    Raises `ContractError` (field ``payload``) if it is anything else.
    """
    reader = _Reader(payload)
    major, length = reader.head()
    if major != _MAP:
        raise ContractError("payload", "a CBOR map, or { of a JSON object", f"one beginning with {payload[:1]!r}")
    members = []
    # A length is only believed as far as there are bytes: the reader stops at the end of the payload.
    for _ in range(length):
        name = reader.value()
        members.append((name, reader.value()))
    if reader.at != len(payload):
        raise ContractError("payload", "nothing after the CBOR map", f"{len(payload) - reader.at} more bytes")
    return Pairs(members)


class _Reader:
    """A position in the payload. Each method reads what is there and moves on."""

    __slots__ = ("at", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0

    def head(self) -> tuple[int, int]:
        """Read an item's major type and argument (its value, length, tag number or simple value)."""
        at = self.at
        if at >= len(self.payload):
            raise self._cut_short()
        first = self.payload[at]
        major, argument = first >> 5, first & 0x1F
        self.at = at + 1
        if argument < 24:
            return major, argument
        if argument not in _FOLLOWING:
            came = "an indefinite length" if argument == _INDEFINITE else f"the reserved byte 0x{first:02x}"
            raise ContractError("payload", "CBOR of definite lengths", f"{came} at byte {at}")
        return major, int.from_bytes(self.take(_FOLLOWING[argument]))

    def value(self) -> object:
        """Read an item: a field's name or value, or `Foreign` if no field could hold it."""
        major, argument = self.head()
        if major == _UINT:
            return argument
        if major == _TEXT:
            return self._text(argument)
        if major == _TAG:
            return self._tagged(argument)
        if major == _ARRAY:
            return tuple([self._number() for _ in range(argument)])
        if major == _NEGATIVE:
            return -1 - argument
        if major == _SIMPLE and argument in _SIMPLE_VALUES:
            return _SIMPLE_VALUES[argument]
        return self._foreign(major, argument)

    def take(self, length: int) -> bytes:
        """Read `length` bytes."""
        taken = self.payload[self.at : self.at + length]
        if len(taken) < length:
            raise self._cut_short()
        self.at += length
        return taken

    def _text(self, length: int) -> str:
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise ContractError("payload", "text in UTF-8", f"other bytes before byte {self.at}") from None

    def _number(self) -> object:
        major, argument = self.head()
        return argument if major == _UINT else self._foreign(major, argument)

    def _tagged(self, tag: int) -> object:
        major, argument = self.head()
        code = TYPED_ARRAYS.get(tag)
        if code is None or major != _BYTES:
            inside = self._foreign(major, argument)
            return Foreign(f"tag {tag} around {inside}")
        taken = self.take(argument)
        count, rest = divmod(argument, struct.calcsize(code))
        if rest:
            return Foreign(f"tag {tag} around {argument} bytes, which are no whole numbers of it")
        return struct.unpack(f"<{count}{code}", taken)

    def _foreign(self, major: int, argument: int) -> Foreign:
        """Move past an item whose head was read. Counting the items still to come does what recursion would."""
        kind = _KINDS[major]
        more = self._contents(major, argument)
        while more:
            more += self._contents(*self.head()) - 1
        return Foreign(kind)

    def _contents(self, major: int, argument: int) -> int:
        """Move past the bytes an item holds and return how many items it holds."""
        if major in {_BYTES, _TEXT}:
            self.take(argument)
        return 1 if major == _TAG else _ITEMS_PER_COUNT[major] * argument

    def _cut_short(self) -> ContractError:
        return ContractError("payload", "a complete CBOR item", f"only {len(self.payload)} bytes of one")
