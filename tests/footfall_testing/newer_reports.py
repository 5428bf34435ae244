"""Reports of a version that does not exist yet, and a program that has learnt to read them."""

import json
from collections.abc import Sequence

import pytest

from footfall_contract import SlotReport, encode_json
from footfall_contract.batch import ReportBatch, decode_batch
from footfall_ingest import flush, retry


def newer(report: SlotReport) -> bytes:
    """A report as an edge of version 2 sends it: one more field."""
    return json.dumps({**json.loads(encode_json(report)), "v": 2, "weather": "rain"}).encode()


def learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this process reads version 2 as well, as after an upgrade."""
    for module in (flush, retry):
        monkeypatch.setattr(module, "decode_batch", _decode_both)


def _decode_both(payloads: Sequence[bytes]) -> ReportBatch:
    return decode_batch([_as_known(payload) for payload in payloads])


def _as_known(payload: bytes) -> bytes:
    try:
        fields = json.loads(payload)
    except ValueError:
        return payload
    if not isinstance(fields, dict) or fields.pop("v", None) != 2:
        return payload
    fields.pop("weather")
    return json.dumps({"v": 1, **fields}).encode()
