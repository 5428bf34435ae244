"""`decode_batch` and `decode` agree: they accept, refuse and yield the same."""

import struct
from typing import Any
from uuid import UUID

import cbor2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footfall_contract._layout import read_usual
from footfall_contract.batch import ReportBatch, decode_batch
from footfall_contract.errors import ContractError
from footfall_contract.report import REPORT_FIELDS, SlotReport, decode, encode_cbor, encode_json
from footfall_testing.reports import slot_reports

STREAM = UUID("11d61ee8-4d6b-4f0c-9f0e-3c1d6c5f3a52")


def verdict(payload: bytes) -> tuple[Any, ...]:
    """Say what `decode` makes of a payload, in a form that can be compared."""
    try:
        return ("accepted", decode(payload))
    except ContractError as error:
        return ("refused", error.field, error.expected, error.got, error.identity)


def verdicts(batch: ReportBatch) -> list[tuple[Any, ...]]:
    """Say what a batch made of its payloads, in their order."""
    found: dict[int, tuple[Any, ...]] = {}
    for position, report in zip(batch.position.tolist(), batch.reports(), strict=True):
        found[position] = ("accepted", report)
    for refusal in batch.refused:
        error = refusal.error
        found[refusal.position] = ("refused", error.field, error.expected, error.got, error.identity)
    return [found[position] for position in sorted(found)]


def head(major: int, argument: int, width: int = 0) -> bytes:
    """Write the head of a CBOR item with `width` bytes of argument, or with as many more as it needs."""
    while argument >= (24 if width == 0 else 1 << 8 * width):
        width = width * 2 or 1
    if width == 0:
        return bytes([major << 5 | argument])
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + argument.to_bytes(width)


def text(content: str | bytes, width: int = 0) -> bytes:
    """Write CBOR text, which may be none in truth."""
    content = content.encode() if isinstance(content, str) else content
    return head(3, len(content), width) + content


def typed_array(values: list[int], tag: int = 64) -> bytes:
    """Write a typed array; `tag` need not be one that the contract knows."""
    size = {65: 2, 69: 2, 70: 4, 71: 8}.get(tag, 1)
    content = b"".join(value.to_bytes(size, "little") for value in values)
    return head(6, tag) + head(2, len(content)) + content


# Two slots of 10 s with three cells, each field as it stands behind its name.
USUAL = {
    "v": head(0, 1),
    "sensor": text("markt-1"),
    "stream": text(str(STREAM)),
    "seq": head(0, 7),
    "start": head(0, 1_764_000_000),
    "slot": head(0, 10),
    "slots": head(0, 2),
    "observed": typed_array([10, 4]),
    "index": typed_array([0, 0, 1]),
    "direction": typed_array([0, 1, 2]),
    "class": typed_array([0, 255, 4]),
    "count": typed_array([1, 2, 3]),
}
ONE_SLOT = {"slots": head(0, 1), "observed": typed_array([10]), "index": typed_array([0, 0, 0])}


def written(fields: dict[str, bytes]) -> bytes:
    """Write a map of these fields in their order."""
    return head(5, len(fields)) + b"".join(text(name) + value for name, value in fields.items())


# What differs from USUAL in one thing only, and must not be read as a report for it.
WRONG: dict[str, dict[str, bytes]] = {
    "v of 2": {"v": head(0, 2)},
    "upper-case sensor": {"sensor": text("Markt-1")},
    "sensor of 64": {"sensor": text("m" * 64)},
    "empty sensor": {"sensor": text("")},
    "sensor not in UTF-8": {"sensor": text(b"mark\xff")},
    "sensor as bytes": {"sensor": head(2, 7) + b"markt-1"},
    "stream in braces": {"stream": text("{" + str(STREAM)[1:-1] + "}")},
    "stream of 37": {"stream": text(str(STREAM) + "0")},
    "seq of 2 to the 53": {"seq": head(0, 2**53)},
    "seq of 64 bit": {"seq": head(0, 2**64 - 1)},
    "negative seq": {"seq": head(1, 7)},
    "seq with a reserved length": {"seq": b"\x1c"},
    "seq of indefinite length": {"seq": b"\x1f"},
    "start of 33 bit": {"start": head(0, 2**32 + 60 - 2**32 % 60)},
    "start between slots": {"start": head(0, 1_764_000_005)},
    "slot of 0": {**ONE_SLOT, "slot": head(0, 0), "observed": typed_array([0])},
    "two slots of 7": {"slot": head(0, 7), "start": head(0, 1_764_000_007), "observed": typed_array([7, 4])},
    "two slots of 120": {"slot": head(0, 120)},
    "span of a second too long": {**ONE_SLOT, "slot": head(0, 31 * 86400 + 1)},
    "no slots": {"slots": head(0, 0), "observed": typed_array([]), **dict.fromkeys(REPORT_FIELDS[8:], typed_array([]))},
    "8641 slots": {"slots": head(0, 8641), "observed": typed_array([10] * 8641)},
    "a slot not observed": {"observed": typed_array([10])},
    "a slot too many": {"observed": typed_array([10, 10, 10])},
    "more observed than slot": {"observed": typed_array([10, 11])},
    "index beyond": {"index": typed_array([0, 0, 2])},
    "one index too few": {"index": typed_array([0, 0])},
    "one index too many": {"index": typed_array([0, 0, 0, 0])},
    "direction of 3": {"direction": typed_array([0, 1, 3])},
    "direction of 256": {"direction": typed_array([0, 1, 256], 69)},
    "direction of 255": {"direction": typed_array([0, 1, 255])},
    "one direction too few": {"direction": typed_array([0, 1])},
    "one direction too many": {"direction": typed_array([0, 1, 2, 0])},
    "class of 5": {"class": typed_array([0, 0, 5])},
    "class of 254": {"class": typed_array([0, 0, 254])},
    "class of 256": {"class": typed_array([0, 0, 256], 69)},
    "class of 2 to the 31": {"class": typed_array([0, 0, 2**31], 70)},
    "one class too many": {"class": typed_array([0, 0, 0, 0])},
    "count of 0": {"count": typed_array([1, 2, 0])},
    "one count too few": {"count": typed_array([1, 2])},
    "one count too many": {"count": typed_array([1, 2, 3, 4])},
    "columns high byte first": {"count": typed_array([1, 2, 3], 65)},
    "columns of 64 bit": {"count": typed_array([1, 2, 3], 71)},
    "half a number": {"count": head(6, 69) + head(2, 7) + bytes([1, 0, 2, 0, 3, 0, 0])},
    "half a number of 32 bit": {"count": head(6, 70) + head(2, 14) + bytes([1, 0, 0, 0] * 3 + [0, 0])},
    "column of indefinite length": {"count": head(6, 64) + b"\x5f\x43\1\2\3\xff"},
    "column with a reserved length": {"count": head(6, 64) + b"\x5d\1\2\3"},
    "column as text": {"count": head(6, 64) + text(b"\1\2\3")},
    "column as text that is a byte short": {"count": head(6, 64) + b"\x63\1\2"},
    "column longer than the payload": {"count": head(6, 64) + head(2, 4) + b"\1\2\3"},
    "column of 2 to the 63 bytes": {"count": head(6, 64) + head(2, 2**63) + b"\1\2\3"},
    "column of 2 to the 64 bytes less one": {"count": head(6, 64) + head(2, 2**64 - 1) + b"\1\2\3"},
    "more after the end": {"count": typed_array([1, 2, 3]) + b"\0"},
    "more bytes than allowed": {
        "slots": head(0, 8640),
        "observed": typed_array([10] * 8640),
        **{name: typed_array([1] * 14_300) for name in REPORT_FIELDS[8:]},
    },
}

# What is a report still, though not in the bytes that encode_cbor chooses.
ALLOWED: dict[str, dict[str, bytes]] = {
    "numbers longer than needed": {name: head(0, cbor2.loads(USUAL[name]), 8) for name in REPORT_FIELDS[3:7]},
    "numbers of 16 bit": {"seq": head(0, 7, 2), "slot": head(0, 10, 2), "slots": head(0, 2, 1)},
    "highest numbers": {
        **ONE_SLOT,
        "seq": head(0, 2**53 - 1),
        "start": head(0, 2**32 - 1),
        "slot": head(0, 31 * 86400),
    },
    "length of the id longer than needed": {"sensor": text("markt-1", 1)},
    "id of 23": {"sensor": text("m" * 23)},
    "id of 24": {"sensor": text("m" * 24)},
    "id of 63": {"sensor": text("m" * 63)},
    "upper-case stream": {"stream": text(str(STREAM).upper())},
    "wide columns": {
        "observed": typed_array([10, 4], 69),
        "index": typed_array([0, 0, 1], 70),
        "direction": typed_array([0, 1, 2], 70),
        "class": typed_array([0, 255, 4], 69),
        "count": typed_array([2**32 - 1, 65536, 1], 70),
    },
    "lengths longer than needed": {"count": head(6, 64) + head(2, 3, 8) + b"\1\2\3"},
    "no cells": dict.fromkeys(REPORT_FIELDS[8:], typed_array([])),
    "8640 slots": {"slots": head(0, 8640), "observed": typed_array([10] * 8640)},
}


@pytest.mark.parametrize("change", WRONG)
def test_the_layout_declines_what_is_wrong_in_one_thing(change: str) -> None:
    """A payload of the usual layout with one fault, among sound ones, is refused by both with the same error."""
    wrong, sound = written(USUAL | WRONG[change]), written(USUAL)

    assert read_usual([sound, wrong, sound]).position.tolist() == [0, 2]
    assert verdict(wrong)[0] == "refused"
    assert verdicts(decode_batch([sound, wrong, sound])) == [verdict(sound), verdict(wrong), verdict(sound)]


@pytest.mark.parametrize("change", ALLOWED)
def test_the_layout_takes_what_is_allowed(change: str) -> None:
    """Heads and columns wider than needed are read together with the usual ones, to the same values."""
    allowed, sound = written(USUAL | ALLOWED[change]), written(USUAL)

    assert read_usual([allowed, sound, allowed]).reports() == (decode(allowed), decode(sound), decode(allowed))


@pytest.mark.parametrize("length", range(len(written(USUAL))))
def test_the_layout_declines_what_ends_early(length: int) -> None:
    """A payload cut anywhere is refused, also as the last one of a batch, and does not borrow from its neighbour."""
    cut, sound = written(USUAL)[:length], written(USUAL)

    assert read_usual([cut, sound, cut]).position.tolist() == [1]
    assert verdicts(decode_batch([cut, sound, cut])) == [verdict(cut), verdict(sound), verdict(cut)]


@st.composite
def nearly_usual(draw: st.DrawFn) -> bytes:
    """Draw bytes of the layout that is read in batches with up to three changes, and in one or two a byte of noise."""
    changes = st.sampled_from([*WRONG.values(), *ALLOWED.values()])
    fields = dict(USUAL)
    for change in draw(st.lists(changes, max_size=3)):
        fields |= change
    payload = bytearray(written(fields))
    for place in draw(st.lists(st.integers(0, min(len(payload), 300) - 1), max_size=2)):
        payload[place] = draw(st.integers(0, 255))
    return bytes(payload)


@st.composite
def otherwise_written(draw: st.DrawFn) -> bytes:
    """Draw a report whose fields are in any order, missing, renamed or of other kinds, in CBOR or JSON."""
    document: dict[Any, Any] = cbor2.loads(encode_cbor(draw(slot_reports())), tag_hook=lambda tag, _: _numbers(tag))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(-3, 2**65), st.floats(), st.text(max_size=5), st.just([1, [2]])
    )
    for name in draw(st.lists(st.sampled_from(REPORT_FIELDS), max_size=2)):
        document[name] = draw(junk)
    for name in draw(st.lists(st.sampled_from(REPORT_FIELDS), max_size=1)):
        document.pop(name)
    if draw(st.booleans()):
        document[draw(st.text(max_size=5))] = draw(junk)
    shuffled = dict(draw(st.permutations(list(document.items()))))
    return cbor2.dumps(shuffled)


def _numbers(tag: cbor2.CBORTag) -> list[int]:
    code = {64: "B", 69: "H", 70: "I"}[tag.tag]
    return list(struct.unpack(f"<{len(tag.value) // struct.calcsize(code)}{code}", tag.value))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a sound payload in which a few bytes are other ones, or which ends early."""
    payload = bytearray(draw(slot_reports().map(draw(st.sampled_from([encode_cbor, encode_cbor, encode_json])))))
    for place in draw(st.lists(st.integers(0, len(payload) - 1), max_size=3)):
        payload[place] = draw(st.integers(0, 255))
    return bytes(payload[: draw(st.sampled_from([len(payload)] * 3 + [len(payload) - 1, len(payload) // 2]))])


payloads = st.one_of(
    slot_reports().map(encode_cbor),
    slot_reports().map(encode_json),
    nearly_usual(),
    otherwise_written(),
    damaged(),
    st.binary(max_size=80),
)


@given(st.lists(payloads, max_size=8))
@example([])
def test_one_and_many_give_the_same_verdicts(batch: list[bytes]) -> None:
    """Whatever a batch is mixed of, each payload is judged as it is alone, with the same identity in the error."""
    assert verdicts(decode_batch(batch)) == [verdict(payload) for payload in batch]


@given(st.lists(nearly_usual(), min_size=1, max_size=8))
def test_one_and_many_agree_on_what_is_nearly_usual(batch: list[bytes]) -> None:
    """Where a payload has the layout that is read in batches but for a few things, `decode` would judge the same."""
    assert verdicts(decode_batch(batch)) == [verdict(payload) for payload in batch]


@given(st.lists(slot_reports(), max_size=8))
def test_what_the_edge_sends_is_read_together(reports: list[SlotReport]) -> None:
    """Every report that encode_cbor writes is read by the batch layout, none by itself: that is the hot path."""
    usual = read_usual([encode_cbor(report) for report in reports])

    assert usual.reports() == tuple(reports)
    assert usual.position.tolist() == list(range(len(reports)))
    assert usual.is_span.tolist() == [report.is_span for report in reports]


@given(st.lists(st.one_of(slot_reports().map(encode_cbor), slot_reports().map(encode_json)), max_size=8), st.data())
def test_a_part_of_a_batch_is_the_batch_of_the_part(batch: list[bytes], data: st.DataObject) -> None:
    """`take` yields what decoding only those payloads yields, but for the places among them."""
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))), np.bool_)
    rows = np.flatnonzero(wanted)

    taken = decode_batch(batch).take(wanted)

    assert taken.reports() == decode_batch([batch[row] for row in rows]).reports()
    assert taken.position.tolist() == rows.tolist()
    assert decode_batch(batch).take(rows).reports() == taken.reports()


def test_columns_are_as_described() -> None:
    """The columns of two reports, one of slots and one span, value by value."""
    slots = SlotReport("b", STREAM, 7, 60, 10, 3, (10, 4, 0), (2, 0), (1, 0), (0, 255), (300, 2))
    span = SlotReport("a", STREAM, 8, 61, 3600, 1, (0,), (0,), (2,), (2,), (9,))

    batch = decode_batch([encode_cbor(slots), b"", encode_json(span)])

    assert (batch.sensors, batch.streams) == (("b", "a"), (STREAM,))
    assert columns(batch) == {
        "position": [0, 2],
        "sensor": [0, 1],
        "stream": [0, 0],
        "seq": [7, 8],
        "start": [60, 61],
        "slot": [10, 3600],
        "slots": [3, 1],
        "is_span": [False, True],
        "observed": [10, 4, 0, 0],
        "observed_report": [0, 0, 0, 1],
        "observed_index": [0, 1, 2, 0],
        "cell_report": [0, 0, 1],
        "cell_index": [2, 0, 0],
        "cell_direction": [1, 0, 2],
        "cell_class": [0, 255, 2],
        "cell_count": [300, 2, 9],
    }
    assert [refusal.position for refusal in batch.refused] == [1]


@pytest.mark.parametrize("encode", [encode_cbor, encode_json])
def test_columns_have_the_same_types_however_they_were_read(encode: Any) -> None:
    """Whether reports came in the usual layout, another one or not at all, the columns have the types described."""
    report = SlotReport("b", STREAM, 7, 60, 10, 1, (10,), (0,), (1,), (0,), (300,))
    types = {"sensor": "int32", "stream": "int32", "is_span": "bool", "cell_direction": "uint8", "cell_class": "uint8"}

    for payloads in ([], [b""], [encode(report)], [encode(report), encode_cbor(report), encode_json(report)]):
        batch = decode_batch(payloads)
        for part in (batch, batch.take(np.zeros(len(batch), np.bool_))):
            for name in columns(part):
                assert getattr(part, name).dtype == types.get(name, "int64"), name


def test_a_sensor_of_which_nothing_was_accepted_is_not_named() -> None:
    """`sensors` and `streams` are those of accepted reports: a refused payload must not make a sensor known."""
    good = SlotReport("good", STREAM, 7, 60, 10, 1, (10,), (0,), (1,), (0,), (1,))
    wrong = encode_cbor(SlotReport("wrong", UUID(int=1), 7, 60, 10, 1, (10,), (0,), (1,), (0,), (1,)))[:-1] + b"\0"

    batch = decode_batch([wrong, encode_cbor(good)])

    assert (batch.sensors, batch.streams) == (("good",), (STREAM,))


def test_a_mask_that_does_not_fit_is_an_error() -> None:
    """`take` does not guess what a mask of another length means."""
    batch = decode_batch([encode_cbor(SlotReport("b", STREAM, 7, 60, 10, 1, (10,), (), (), (), ()))])

    with pytest.raises(IndexError):
        batch.take(np.array([True, False]))


def columns(batch: ReportBatch) -> dict[str, list[Any]]:
    names = [name for name in ReportBatch.__dataclass_fields__ if name not in {"sensors", "streams", "refused"}]
    return {name: getattr(batch, name).tolist() for name in names}
