"""Golden vectors: payloads as files, with what is to be made of them. A case is a folder.

`vectors/KIND/accepted/CASE/` holds one or more payloads that mean the same, and the values in `expected.json`;
`vectors/KIND/refused/CASE/` holds payloads with the field that must be named and the identity that must be found. They
were not written by the code they test, and a payload found in the wild becomes the next folder.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from footfall_contract import decode_health, decode_notice, decode_status, encode_health, encode_notice, encode_status
from footfall_contract.batch import decode_batch
from footfall_contract.errors import ContractError
from footfall_contract.report import SlotReport, decode, encode_cbor, encode_json

VECTORS = Path(__file__).parent / "vectors"

DECODERS: dict[str, Callable[[bytes], object]] = {
    "report": decode,
    "commit-notice": decode_notice,
    "node-status": decode_status,
    "sensor-health": decode_health,
}
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "commit-notice": encode_notice,
    "node-status": encode_status,
    "sensor-health": encode_health,
}
# Sound reports in CBOR that are not in the bytes that encode_cbor chooses.
OTHER_LAYOUTS = {
    "plain-arrays",
    "fields-in-another-order",
    "columns-wider-than-needed",
    "numbers-longer-than-needed",
    "upper-case-uuid",
}


def payloads(kinds: str, verdict: str) -> list[Any]:
    files = sorted(VECTORS.glob(f"{kinds}/{verdict}/*/payload.*"))
    assert files
    return [pytest.param(file, id="/".join((*file.parts[-4:-3], file.parts[-2], file.suffix[1:]))) for file in files]


def expected(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((file.parent / "expected.json").read_text())
    return values


def shown(report: SlotReport) -> dict[str, Any]:
    names = ("sensor", "seq", "start", "slot", "slots", "is_span", "end", "total")
    columns = {"observed": "observed", "index": "index", "direction": "direction", "class": "class_", "count": "count"}
    return (
        {"stream": str(report.stream)}
        | {name: getattr(report, name) for name in names}
        | {name: list(getattr(report, attribute)) for name, attribute in columns.items()}
    )


@pytest.mark.parametrize("file", payloads("report", "accepted"))
def test_a_sound_report_means_what_it_says(file: Path) -> None:
    """Each payload of a case, CBOR or JSON, yields exactly the expected values."""
    assert shown(decode(file.read_bytes())) == expected(file)


@pytest.mark.parametrize("file", payloads("report", "accepted"))
def test_a_sound_report_means_the_same_in_a_batch(file: Path) -> None:
    """The batch yields the expected values too, beside a sound report and a payload that is none."""
    neighbour = (VECTORS / "report/accepted/one-slot/payload.cbor").read_bytes()

    batch = decode_batch([neighbour, b"people", file.read_bytes()])

    assert [shown(report) for report in batch.reports()] == [shown(decode(neighbour)), expected(file)]
    assert batch.position.tolist() == [0, 2]
    assert batch.is_span.tolist()[1] == expected(file)["is_span"]


@pytest.mark.parametrize("file", payloads("report", "accepted"))
def test_a_report_is_written_in_the_bytes_that_the_vectors_have(file: Path) -> None:
    """The encoders choose the same bytes for ever: a report that is sent again must be the one that was numbered."""
    encode = encode_cbor if file.suffix == ".cbor" else encode_json
    other = file.parent.name in OTHER_LAYOUTS | {"spaces-and-line-ends", "escaped-letters"}

    assert (encode(decode(file.read_bytes())) == file.read_bytes()) is not other


@pytest.mark.parametrize("file", payloads("report", "refused"))
def test_a_wrong_report_is_refused_for_its_reason(file: Path) -> None:
    """The error names the field that is wrong, and whose report it is where that can be read."""
    with pytest.raises(ContractError) as refusal:
        decode(file.read_bytes())

    identity = refusal.value.identity
    shown_identity = [identity[0], str(identity[1]), identity[2]] if identity else None
    assert {"field": refusal.value.field, "identity": shown_identity} == expected(file)


@pytest.mark.parametrize("file", payloads("report", "refused"))
def test_a_wrong_report_is_refused_for_the_same_reason_in_a_batch(file: Path) -> None:
    """The batch refuses with the same error, and what stands beside it is not touched."""
    neighbour = (VECTORS / "report/accepted/six-slots/payload.cbor").read_bytes()
    with pytest.raises(ContractError) as alone:
        decode(file.read_bytes())

    batch = decode_batch([neighbour, file.read_bytes(), neighbour])

    assert [(refusal.position, refusal.error.args) for refusal in batch.refused] == [(1, alone.value.args)]
    assert [refusal.error.identity for refusal in batch.refused] == [alone.value.identity]
    assert batch.reports() == (decode(neighbour),) * 2


@pytest.mark.parametrize("file", [case for kind in ENCODERS for case in payloads(kind, "accepted")])
def test_the_other_payloads_are_read_and_written(file: Path) -> None:
    """A notice, status or health is read, and written again as the same JSON."""
    kind = file.parts[-4]

    assert json.loads(ENCODERS[kind](DECODERS[kind](file.read_bytes()))) == expected(file)


@pytest.mark.parametrize("file", [case for kind in ENCODERS for case in payloads(kind, "refused")])
def test_the_other_payloads_are_refused_for_their_reason(file: Path) -> None:
    """A wrong notice, status or health is refused, and the error names the field."""
    with pytest.raises(ContractError) as refusal:
        DECODERS[file.parts[-4]](file.read_bytes())

    assert refusal.value.field == expected(file)["field"]


@pytest.mark.parametrize("file", [case for kind in DECODERS for case in payloads(kind, "refused")])
def test_what_an_error_says_is_short_printable_ascii(file: Path) -> None:
    """Whatever came, the message can be logged and stored as it is."""
    with pytest.raises(ContractError) as refusal:
        DECODERS[file.parts[-4]](file.read_bytes())

    message = str(refusal.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 300
    assert refusal.value.got
    assert refusal.value.expected
