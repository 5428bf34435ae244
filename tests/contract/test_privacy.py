"""The privacy promise: a report cannot carry a person.

There is no field for an identifier, a track, an image or a time finer than a slot, and no field that is there can be
used for one: two hold text, an id of a device and a UUID, all others whole numbers with a meaning and a limit. Whoever
changes this test changes what the city has promised.
"""

import json
from dataclasses import fields
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_contract import schemas
from footfall_contract.batch import ReportBatch, decode_batch
from footfall_contract.errors import ContractError
from footfall_contract.report import REPORT_FIELDS, SlotReport, decode, encode_cbor, encode_json

# The closed list: who counted, which report it is, when, and how many.
PROMISED = [
    "v",
    "sensor",
    "stream",
    "seq",
    "start",
    "slot",
    "slots",
    "observed",
    "index",
    "direction",
    "class",
    "count",
]

REPORT: dict[str, Any] = {
    "v": 1,
    "sensor": "markt-1",
    "stream": "11d61ee8-4d6b-4f0c-9f0e-3c1d6c5f3a52",
    "seq": 1,
    "start": 1764000000,
    "slot": 10,
    "slots": 1,
    "observed": [10],
    "index": [0],
    "direction": [0],
    "class": [0],
    "count": [1],
}

texts = st.text(min_size=1)
# What somebody might want to send along: a phone's address, a plate, a picture, a position, a track.
anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | texts | st.sampled_from(["4a:7d:11:02:9c:01", "J-AB 123"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def refused(document: dict[str, Any], **raw: bytes) -> bool:
    """Say whether all ways in refuse a document, in CBOR and JSON."""
    payloads = [cbor2.dumps(document), json.dumps(document).encode(), *raw.values()]
    for payload in payloads:
        with pytest.raises(ContractError):
            decode(payload)
    return len(decode_batch(payloads).refused) == len(payloads)


def test_the_fields_of_a_report_are_the_promised_ones() -> None:
    """On the wire, in the schema, in the type and in the columns: these fields, and not one more."""
    report = decode(json.dumps(REPORT).encode())

    assert list(REPORT_FIELDS) == PROMISED
    assert list(cbor2.loads(encode_cbor(report))) == PROMISED
    assert list(json.loads(encode_json(report))) == PROMISED
    assert list(schemas.load("report")["properties"]) == PROMISED
    assert [field.name.rstrip("_") for field in fields(SlotReport)] == PROMISED[1:]
    carried = {field.name.removeprefix("cell_") for field in fields(ReportBatch)}
    of_the_batch = {
        "sensors",
        "streams",
        "position",
        "is_span",
        "observed_report",
        "observed_index",
        "report",
        "refused",
    }
    assert carried - of_the_batch == set(PROMISED[1:])


@given(st.text().filter(lambda name: name not in PROMISED), anything | st.integers() | st.just([1]))
def test_a_field_more_is_refused_whatever_it_is_called(name: str, value: Any) -> None:
    """No field can be added, not even an empty one."""
    assert refused({**REPORT, name: value})


@pytest.mark.parametrize("field", [name for name in PROMISED if name not in {"sensor", "stream"}])
@given(value=anything)
def test_a_number_cannot_be_anything_else(field: str, value: Any) -> None:
    """Fields of numbers take no text, no fraction, no object, and columns none inside them."""
    assert refused({**REPORT, field: value if value != [] else None})
    assert refused({**REPORT, field: [value]})


@given(texts)
def test_text_is_an_id_or_a_uuid(text: str) -> None:
    """The two fields of text take an id of 1 to 63 letters, digits and hyphens, and a UUID: no sentence."""
    letters = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if not set(text) <= letters or text.startswith("-") or len(text) > 63:
        assert refused({**REPORT, "sensor": text})
    assert refused({**REPORT, "stream": text})


def test_no_time_is_finer_than_a_second() -> None:
    """A time is the whole second at which a slot begins; there is none for a single passage."""
    assert refused({**REPORT, "start": 1764000000.25})
    assert refused({**REPORT, "slot": 0.1})
    assert refused({**REPORT, "slot": 0})
