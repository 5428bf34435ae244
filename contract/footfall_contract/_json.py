"""Reads and writes the contract's JSON: UTF-8, no NaN, and no name that is overwritten unseen by a second one."""

from __future__ import annotations

import json
from typing import NoReturn

from footfall_contract._wire import Pairs
from footfall_contract.errors import ContractError, describe

__all__ = ["read_object", "sized", "write"]


def read_object(payload: bytes, max_bytes: int) -> Pairs:
    """Return the members of the one object that `payload` is.

    Raises `ContractError` (field ``payload``) if it is anything else or longer than `max_bytes`.
    """
    value = _read(sized(payload, max_bytes))
    if not isinstance(value, Pairs):
        raise ContractError("payload", "a JSON object", describe(value))
    return value


def write(value: object) -> bytes:
    """Return `value` as compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def sized(payload: bytes, max_bytes: int) -> bytes:
    """Return `payload` if it is not too long."""
    if len(payload) > max_bytes:
        raise ContractError("payload", f"at most {max_bytes} bytes", describe(payload))
    return payload


def _read(payload: bytes) -> object:
    try:
        # json.loads would guess UTF-16 and UTF-32 if it were given the bytes.
        return json.loads(payload.decode(), object_pairs_hook=Pairs, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise ContractError("payload", "JSON in UTF-8", f"other bytes at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ContractError("payload", "a JSON object", f"a mistake at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise ContractError("payload", "a JSON object", "brackets in brackets without end") from None
    except ContractError:
        raise
    except ValueError:
        # Python refuses integers of more than 4300 digits.
        raise ContractError("payload", "a JSON object", "a number of thousands of digits") from None


def _refuse(constant: str) -> NoReturn:
    raise ContractError("payload", "JSON, which has no such number", constant)
