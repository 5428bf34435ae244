"""numpy columns as PostgreSQL array parameters, in binary, without a Python object for each value.

A batch is written with ``INSERT … SELECT … FROM unnest(…)``: one statement and one parameter a column however many rows
there are. Made as Python lists, those parameters would cost more than the rest of the writing in this process.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper, PyFormat
from psycopg.pq import Format

Column = npt.NDArray[Any]

_INT2, _INT4, _INT8, _TIMESTAMPTZ, _UUID = 21, 23, 20, 1184, 2950
_ARRAY_OF = {_INT2: 1005, _INT4: 1007, _INT8: 1016, _TIMESTAMPTZ: 1185, _UUID: 2951}

_EPOCH_S = 946_684_800
"""PostgreSQL counts microseconds from 2000-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class PgArray:
    """A one-dimensional array without nulls, ready to be sent; give it to a ``%b`` placeholder."""

    oid: int
    data: bytes


def int2s(values: Column) -> PgArray:
    """``smallint[]``; the values must fit."""
    return _array(_INT2, values, ">i2")


def int4s(values: Column) -> PgArray:
    """``integer[]``; the values must fit."""
    return _array(_INT4, values, ">i4")


def int8s(values: Column) -> PgArray:
    """``bigint[]``."""
    return _array(_INT8, values, ">i8")


def timestamps(seconds: Column) -> PgArray:
    """``timestamptz[]`` from UTC unix seconds."""
    return _array(_TIMESTAMPTZ, (seconds - _EPOCH_S) * 1_000_000, ">i8")


def uuids(values: Iterable[UUID]) -> PgArray:
    """``uuid[]``."""
    raw = np.frombuffer(b"".join(value.bytes for value in values), "V16")
    return _array(_UUID, raw, "V16")


def _array(element: int, values: Column, kind: str) -> PgArray:
    # Each element is its length, then its value, both big endian.
    elements = np.empty(len(values), [("length", ">i4"), ("value", kind)])
    elements["length"] = np.dtype(kind).itemsize
    elements["value"] = values
    dimensions = [len(values), 1] if len(values) else []  # of an empty array there is nothing to say
    header = np.array([len(dimensions) // 2, 0, element, *dimensions], ">i4")
    return PgArray(_ARRAY_OF[element], header.tobytes() + elements.tobytes())


class _PgArrayDumper(Dumper):
    """Hands the bytes over as they are; there is one dumper for each element type."""

    format = Format.BINARY

    def get_key(self, obj: PgArray, format: PyFormat) -> Any:  # noqa: A002, ARG002  # psycopg's signature
        return (self.cls, obj.oid)

    def upgrade(self, obj: PgArray, format: PyFormat) -> Dumper:  # noqa: A002, ARG002
        dumper = type(self)(self.cls)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: PgArray) -> bytes:
        return obj.data


psycopg.adapters.register_dumper(PgArray, _PgArrayDumper)
