"""A report as it leaves an edge box, to be shown to whoever wants to know what is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from footfall_contract.report import SlotReport, encode_cbor, encode_json


@dataclass(frozen=True, slots=True)
class ExampleReport:
    """A report as the edge writes it: the JSON form in lines that fit a phone, and the bytes of its binary form."""

    text: str
    size: int


def example_report(station: str) -> ExampleReport:
    """A report made by the contract itself, so that what the page promises is what is sent."""
    report = SlotReport(
        sensor=f"{station}-1",
        stream=UUID("7f0c2a58-3f6e-4f0b-9f43-0d6c1f8a5e21"),
        seq=4711,
        start=1_764_000_000,
        slot=10,
        slots=6,
        observed=(10, 10, 10, 10, 10, 10),
        index=(0, 0, 3),
        direction=(0, 1, 0),
        class_=(0, 0, 0),
        count=(2, 1, 5),
    )
    fields: Mapping[str, Any] = json.loads(encode_json(report))
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items())
    return ExampleReport("{\n" + lines + "\n}", len(encode_cbor(report)))
