"""Ten thousand damaged payloads, and the worst we could think of: nothing but the contract's own error comes out."""

import random
import struct
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import cbor2
import pytest

from footfall_contract import (
    CommitNotice,
    NodeStatus,
    SensorHealth,
    StreamState,
    decode_health,
    decode_notice,
    decode_status,
    encode_health,
    encode_notice,
    encode_status,
)
from footfall_contract.batch import decode_batch
from footfall_contract.errors import ContractError
from footfall_contract.report import decode, encode_cbor, encode_json
from footfall_contract.words import MAX_BYTES
from footfall_testing.reports import seeded_report

MUTATIONS = 10_000

# Heads of CBOR and pieces of JSON that change what the bytes around them mean.
TROUBLE = [
    *(bytes([first]) for first in (0x00, 0x18, 0x1B, 0x3B, 0x5B, 0x5F, 0x7B, 0x7F, 0x9F, 0xA0, 0xBB, 0xBF, 0xF6, 0xF7)),
    b"\xc0\x60",
    b"\xc2\x49" + b"\xff" * 9,
    b"\xd8\x1c",
    b"\xd8\x1d\x00",
    b"\xd8\x45",
    b"\xd9\x01\x02",
    b"\xf9\x7e\x00",
    b"\xfb" + struct.pack(">d", 1e300),
    b"\xff",
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"NaN",
        b"1e999",
        b"-0",
        b"1.0",
        b"\\u0000",
        b"\\ud800",
        b"true",
        b"null",
    ),
]


def mutated(rng: random.Random, payload: bytes, other: bytes) -> bytes:
    """Change a payload in one to three places as line noise, bad memory or a bad program might."""
    changed = bytearray(payload)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            changed[at:at] = rng.choice(TROUBLE)
        elif kind == 4:
            changed[at : at + 1] = rng.choice(TROUBLE)
        elif kind == 5:
            begin = rng.randrange(len(changed) + 1)
            changed[at:at] = changed[begin : begin + rng.randrange(1, 40)]
        else:
            changed[at:] = other[rng.randrange(len(other)) :]
    return bytes(changed)


def verdict(payload: bytes) -> Any:
    try:
        return decode(payload)
    except ContractError as error:
        return (error.args, error.identity)


@pytest.mark.parametrize("encode", [encode_cbor, encode_json])
def test_a_damaged_report_is_refused_or_still_a_report(encode: Callable[[Any], bytes]) -> None:
    """10 000 seeded mutations raise nothing but ContractError, in `decode` and in `decode_batch` alike."""
    rng = random.Random(20251124)
    sound = [encode(seeded_report(rng)) for _ in range(300)]
    damaged = [mutated(rng, rng.choice(sound), rng.choice(sound)) for _ in range(MUTATIONS // 2)]

    alone = [verdict(payload) for payload in damaged]
    batch = decode_batch(damaged)

    together = dict(zip(batch.position.tolist(), batch.reports(), strict=True))
    together |= {refusal.position: (refusal.error.args, refusal.error.identity) for refusal in batch.refused}
    assert alone == [together[position] for position in range(len(damaged))]
    # The mutations are worth something: most are refused, for many reasons, and some reports live through them.
    refused = [outcome[0][:2] for outcome in alone if isinstance(outcome, tuple)]
    assert MUTATIONS // 100 < len(damaged) - len(refused) < MUTATIONS // 8
    assert len(set(refused)) > 25


@pytest.mark.parametrize(
    ("sound", "read"),
    [
        (
            encode_notice(
                CommitNotice(
                    seeded_report(random.Random(1)).stream,
                    {"markt-1": (StreamState(seeded_report(random.Random(2)).stream, 4711, ((4713, 4720),)),)},
                )
            ),
            decode_notice,
        ),
        (encode_status(NodeStatus("online", "0.1.0", 1764000000)), decode_status),
        (encode_health(SensorHealth("markt-1", "ok", 1764000000, 1, 2, 3, 4, 5, None, "fine")), decode_health),
    ],
    ids=["notice", "status", "health"],
)
def test_the_other_payloads_are_refused_or_still_sound(sound: bytes, read: Callable[[bytes], object]) -> None:
    """Mutations of a notice, a status and a health raise nothing but ContractError."""
    rng = random.Random(20251124)
    outcomes = set()
    for _ in range(MUTATIONS // 5):
        try:
            outcomes.add(read(mutated(rng, sound, sound)) and "sound")
        except ContractError as error:
            outcomes.add(error.field)
    assert {"sound", "payload", "v"} < outcomes


def worst() -> dict[str, bytes]:
    """Payloads of the greatest length that want the reader to take long, run deep or use memory."""
    size = MAX_BYTES - 100
    report = seeded_report(random.Random(3))
    document = cbor2.loads(encode_json(report).replace(b"{", b"{") and encode_cbor(report))
    return {
        "numbers": b'{"count":[' + b"0," * (size // 2) + b"0]}",
        "floats": b'{"count":[' + b"1e9," * (size // 4) + b"0]}",
        "objects": b'{"count":[' + b"{}," * (size // 3) + b"0]}",
        "arrays": b'{"count":[' + b"[]," * (size // 3) + b"0]}",
        "doubled names": b"{" + b'"v":1,' * (size // 6) + b'"v":1}',
        "other names": b"{" + b",".join(b'"%d":1' % n for n in range(size // 9)) + b"}",
        "deep JSON": b'{"v":' + b"[" * size,
        "deep JSON objects": b'{"v":' * (size // 5),
        "digits": b'{"seq":' + b"9" * size + b"}",
        "digits of a float": b'{"seq":' + b"9" * size + b".5}",
        "a text": b'{"sensor":"' + b"a" * size + b'"}',
        "CBOR array": b"\xa1\x65count\x99" + size.to_bytes(2) + b"\x00" * size,
        "CBOR array of wide numbers": b"\xa1\x65count\x99"
        + (size // 9).to_bytes(2)
        + (b"\x1b" + b"\xff" * 8) * (size // 9),
        "CBOR array of maps": b"\xa1\x65count\x99" + size.to_bytes(2) + b"\xa0" * size,
        "deep CBOR": b"\xa1\x65count" + b"\x81" * size + b"\x00",
        "deep CBOR tags": b"\xa1\x65count" + b"\xc6" * size + b"\x00",
        "CBOR map": b"\xb9" + (size // 2).to_bytes(2) + b"\x60\x00" * (size // 2),
        "CBOR lengths": b"\xa1\x65count" + b"\x9b" + b"\xff" * 8,
        "too many cells": cbor2.dumps(document | {"index": [0] * 30_000}),
        "one byte too long": b" " * (MAX_BYTES + 1),
        "very long": b"{" * 50_000_000,
    }


@pytest.mark.parametrize("name", worst())
def test_the_worst_payloads_cost_little(name: str) -> None:
    """Memory stays below 100 bytes and work below 10 calls for each byte of a payload of the greatest length."""
    payload = worst()[name]
    calls = 0

    def count_call(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    tracemalloc.start()
    sys.setprofile(count_call)
    try:
        with pytest.raises(ContractError):
            decode(payload)
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 100 * MAX_BYTES
    assert calls < 10 * MAX_BYTES
    assert [refusal.position for refusal in decode_batch([payload]).refused] == [0]
