"""Reports as Python makes them: rules of the constructor, round trips, sizes, and what the error carries."""

import pickle
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import cbor2
import pytest
from hypothesis import given

from footfall_contract.errors import ContractError
from footfall_contract.report import REPORT_FIELDS, SlotReport, decode, encode_cbor, encode_json
from footfall_contract.words import MAX_BYTES, MAX_SLOTS, SLOT_LENGTHS_S, Direction, PassageClass
from footfall_testing.reports import slot_reports

STREAM = UUID("11d61ee8-4d6b-4f0c-9f0e-3c1d6c5f3a52")
SIX = SlotReport(
    "markt-1", STREAM, 7, 1764000000, 10, 6, (10, 10, 10, 4, 0, 10), (0, 0, 3), (0, 1, 0), (0, 0, 0), (2, 1, 5)
)


@given(slot_reports())
def test_what_is_written_is_read_again(report: SlotReport) -> None:
    """Every report survives CBOR and JSON unchanged."""
    assert decode(encode_cbor(report)) == report
    assert decode(encode_json(report)) == report


@given(slot_reports())
def test_cbor2_reads_what_we_write_and_we_read_what_cbor2_writes(report: SlotReport) -> None:
    """Our own reader and the library agree: typed arrays one way, plain arrays the other."""
    fields = cbor2.loads(encode_cbor(report))

    assert list(fields) == list(REPORT_FIELDS)
    assert (fields["sensor"], fields["seq"], fields["start"]) == (report.sensor, report.seq, report.start)
    assert {fields[name].tag for name in REPORT_FIELDS[7:]} <= {64, 69, 70}
    plain = fields | {
        "observed": report.observed,
        "index": list(report.index),
        "direction": list(report.direction),
        "class": list(report.class_),
        "count": list(report.count),
    }
    assert decode(cbor2.dumps(plain)) == report
    assert decode(cbor2.dumps(plain, canonical=True)) == report


def test_columns_are_as_narrow_as_they_can_be() -> None:
    """255 takes one byte, 256 two, 65 536 four: a report on a mobile line is small."""
    tags = [cbor2.loads(encode_cbor(replace(SIX, count=(1, 1, top))))["count"].tag for top in (255, 256, 65535, 65536)]

    assert tags == [64, 69, 69, 70]


def test_a_minute_of_slots_knows_its_end_and_total() -> None:
    """A report of slots covers slot × slots seconds; its total is that of its cells."""
    assert (SIX.end, SIX.total, SIX.is_span) == (1764000060, 8, False)


@pytest.mark.parametrize("slot", range(1, 121))
def test_one_step_is_a_slot_where_it_fits_into_the_minute(slot: int) -> None:
    """A single step is a slot if its length divides a minute and its start is a multiple of it, else a span."""
    aligned = SlotReport("a", STREAM, 0, 120 * slot, slot, 1, (slot,), (), (), (), ())

    assert aligned.is_span is (60 % slot != 0)
    assert replace(aligned, start=120 * slot + 1).is_span is (slot != 1)


def test_slot_lengths_are_the_divisors_of_a_minute() -> None:
    """A minute is always a whole number of slots."""
    assert tuple(length for length in range(1, 61) if 60 % length == 0) == SLOT_LENGTHS_S


def test_words_become_plain_numbers() -> None:
    """Direction.OUT and 1 are the same on the wire and in comparison."""
    worded = replace(SIX, direction=(Direction.IN, Direction.OUT, Direction.IN), class_=(PassageClass.PEDESTRIAN,) * 3)

    assert worded == SIX
    assert {type(value) for value in (*worded.direction, *worded.class_)} == {int}
    assert encode_cbor(worded) == encode_cbor(SIX)
    assert encode_json(worded) == encode_json(SIX)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sensor": "Markt"}, "sensor"),
        ({"sensor": None}, "sensor"),
        ({"stream": str(STREAM)}, "stream"),
        ({"seq": -1}, "seq"),
        ({"seq": True}, "seq"),
        ({"seq": 2**53}, "seq"),
        ({"start": 1764000000.0}, "start"),
        ({"start": datetime(2025, 11, 24, tzinfo=UTC)}, "start"),
        ({"start": 2**32}, "start"),
        ({"start": 1764000001}, "start"),
        ({"slot": 0}, "slot"),
        ({"slot": 7, "start": 1764000000}, "slot"),
        ({"slots": MAX_SLOTS + 1}, "slots"),
        ({"slots": 5}, "observed"),
        ({"observed": (11, 0, 0, 0, 0, 0)}, "observed"),
        ({"observed": [10, 10, 10, 4, 0, 10]}, "observed"),
        ({"index": (0, 0, 6)}, "index"),
        ({"index": (0, 0, -1)}, "index"),
        ({"direction": (0, 0, 3)}, "direction"),
        ({"class_": (0, 0, 5)}, "class"),
        ({"count": (1, 1, 0)}, "count"),
        ({"count": (1, 1, 2**32)}, "count"),
        ({"count": (1, 1, 1.0)}, "count"),
        ({"count": (1, 1, False)}, "count"),
        ({"count": (1, 1)}, "count"),
        ({"class_": (0, 0)}, "class"),
        ({"direction": (0, 0, 0, 0)}, "direction"),
    ],
)
def test_a_report_that_is_not_allowed_cannot_be_made(change: dict[str, Any], field: str) -> None:
    """The constructor keeps the rules, so whoever sends learns of a mistake before it is on the wire."""
    with pytest.raises(ContractError) as refusal:
        replace(SIX, **change)

    assert refusal.value.field == field


def test_a_report_of_more_than_64_kib_is_not_written() -> None:
    """A report may be sound and yet too long for one payload: that is said where it is encoded, not by the broker."""
    cells = 16_000
    large = replace(SIX, index=(0,) * cells, direction=(0,) * cells, class_=(0,) * cells, count=(1,) * cells)

    assert decode(encode_cbor(large)) == large
    assert len(encode_cbor(large)) <= MAX_BYTES
    with pytest.raises(ContractError, match=r"payload: got \d+ bytes, expected at most 65536 bytes"):
        encode_json(large)


def test_a_payload_of_64_kib_is_read_and_one_byte_more_is_not() -> None:
    """The limit is 65 536 bytes, that length included; spaces count."""
    payload = encode_json(SIX)

    assert decode(payload.ljust(MAX_BYTES)) == SIX
    with pytest.raises(ContractError, match="payload"):
        decode(payload.ljust(MAX_BYTES + 1))


def test_an_error_names_the_field_what_came_and_what_would_be_right() -> None:
    """The three parts are attributes, and one readable line together."""
    with pytest.raises(ContractError) as refusal:
        decode(encode_json(SIX).replace(b'"slot":10', b'"slot":"ten"'))

    error = refusal.value
    assert (error.field, error.got) == ("slot", "'ten'")
    assert error.identity == ("markt-1", STREAM, 7)
    assert str(error) == "slot: got 'ten', expected a whole number of seconds from 1 to 2678400"


def test_an_error_keeps_its_facts_between_processes() -> None:
    """An error that crosses a process boundary still says whose report it was."""
    with pytest.raises(ContractError) as refusal:
        decode(encode_json(SIX).replace(b'"slot":10', b'"slot":"ten"'))

    copy = pickle.loads(pickle.dumps(refusal.value))

    assert str(copy) == str(refusal.value)
    assert copy.identity == ("markt-1", STREAM, 7)
