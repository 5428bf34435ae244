"""The JSON Schemas say what the code does: both ways, as far as JSON Schema can say it."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from footfall_contract import decode_health, decode_notice, decode_status, schemas
from footfall_contract.errors import ContractError
from footfall_contract.report import REPORT_FIELDS, SlotReport, decode, encode_json
from footfall_contract.words import (
    ID_PATTERN,
    MAX_COUNT,
    MAX_SEQ,
    MAX_SLOTS,
    MAX_SPAN_S,
    MAX_START,
    SLOT_LENGTHS_S,
    Direction,
    PassageClass,
)
from footfall_testing.reports import slot_reports

VECTORS = Path(__file__).parent / "vectors"
DECODERS: dict[str, Callable[[bytes], object]] = {
    "report": decode,
    "commit-notice": decode_notice,
    "node-status": decode_status,
    "sensor-health": decode_health,
}

# Refused by the code alone. Each is named in the description of its schema: what JSON Schema cannot say.
BEYOND_SCHEMA = {
    "report": {
        # relations between fields
        "observed-too-short",
        "observed-too-long",
        "index-beyond",
        "columns-of-two-lengths",
        # how a number is written
        "version-1.0",
        "seq-4711.0",
        "start-in-exponents",
        # what stands before the first brace
        "space-before",
        # a name that comes twice
        "count-twice",
        "seq-twice",
    },
    "commit-notice": {
        "range-empty",
        "range-touching-next",
        "ranges-touching",
        "ranges-descending",
        "stream-twice",
        "sensor-twice",
    },
    "node-status": set(),
    "sensor-health": {"detail-two-lines", "restarts-float"},
}


def pattern(_validator: Any, wanted: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """Match as JSON Schema has it: in ECMA 262 `$` is the very end, in Python also the place before a last line end."""
    if isinstance(instance, str) and not re.search(wanted.replace("$", r"\Z"), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {wanted}")


Validator: Any = jsonschema.validators.extend(jsonschema.Draft7Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]


def fits(name: str, document: object) -> bool:
    return bool(Validator(schemas.load(name)).is_valid(document))


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_schema_is_one_and_its_examples_fit_it_and_the_code(name: str) -> None:
    """The schema is sound draft 7, and each of its examples is accepted by the schema and by the code."""
    schema = schemas.load(name)
    jsonschema.Draft7Validator.check_schema(schema)

    assert schema["examples"]
    for example in schema["examples"]:
        assert fits(name, example)
        DECODERS[name](json.dumps(example).encode())


@pytest.mark.parametrize("name", schemas.NAMES)
def test_every_object_of_a_schema_is_closed(name: str) -> None:
    """No object takes a field that is not named, and each named one is required, but for one that came later."""
    objects = [part for part in parts(schemas.load(name)) if part.get("type") == "object" and "properties" in part]

    assert objects
    for part in objects:
        assert part["additionalProperties"] is False
        later = ["run"] if name == "node-status" else []
        assert part["required"] + later == list(part["properties"])


@given(slot_reports())
def test_every_report_that_can_be_made_fits_the_schema(report: SlotReport) -> None:
    """Whatever the code writes, the schema accepts."""
    assert fits("report", json.loads(encode_json(report)))


def cases(verdict: str) -> list[Any]:
    files = sorted(VECTORS.glob(f"*/{verdict}/*/payload.json"))
    return [pytest.param(file, id=f"{file.parts[-4]}/{file.parts[-2]}") for file in files]


@pytest.mark.parametrize("file", cases("accepted"))
def test_what_the_code_accepts_the_schema_accepts(file: Path) -> None:
    """Each accepted vector fits its schema."""
    assert fits(file.parts[-4], json.loads(file.read_bytes()))


@pytest.mark.parametrize("file", cases("refused"))
def test_what_the_code_refuses_the_schema_refuses(file: Path) -> None:
    """Each refused vector that is JSON is refused by its schema too, but for the rules that a schema cannot say."""
    try:
        document = json.loads(file.read_bytes().decode(), parse_constant=int)
    except (ValueError, RecursionError):
        return
    kind, case = file.parts[-4], file.parts[-2]

    assert fits(kind, document) is (case in BEYOND_SCHEMA[kind])


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("seq", 0, MAX_SEQ),
        ("start", 0, MAX_START),
        ("slot", 1, MAX_SPAN_S),
        ("slots", 1, MAX_SLOTS),
    ],
)
def test_limits_of_numbers_are_those_of_the_code(field: str, low: int, high: int) -> None:
    """At both ends of each range schema and code change their mind at the same number."""
    for value in (low - 1, low, high, high + 1):
        document = span(field, value)
        assert (fits("report", document), accepted(document)) == (low <= value <= high,) * 2, value


@pytest.mark.parametrize("value", [0, 1, 2**8, 2**16, MAX_COUNT, MAX_COUNT + 1, -1])
def test_limits_of_counts_are_those_of_the_code(value: int) -> None:
    """A count is 1 to 2^32 - 1 in both."""
    document = span("count", [value])

    assert (fits("report", document), accepted(document)) == (1 <= value <= MAX_COUNT,) * 2


@pytest.mark.parametrize("slot", range(1, 70))
@pytest.mark.parametrize("shift", [0, 1, 30])
def test_steps_are_slots_in_both(slot: int, shift: int) -> None:
    """Two or more slots need a divisor of a minute and a start that is a multiple of it, in schema and code alike."""
    start = 1_764_000_000 + shift
    document = span("slot", slot) | {"start": start, "slots": 2, "observed": [0, 0]}

    expected = 60 % slot == 0 and start % slot == 0
    assert (fits("report", document), accepted(document)) == (expected, expected)


def test_words_are_those_of_the_code() -> None:
    """Fields, ids, directions, classes and slot lengths of the schema are the code's own, to the last one."""
    schema = schemas.load("report")
    properties = schema["properties"]

    assert tuple(properties) == REPORT_FIELDS
    assert properties["sensor"]["pattern"] == f"^{ID_PATTERN}$"
    assert properties["direction"]["items"]["enum"] == list(Direction)
    assert properties["class"]["items"]["enum"] == list(PassageClass)
    assert [branch["properties"]["slot"]["const"] for branch in schema["anyOf"][1:]] == list(SLOT_LENGTHS_S)


def test_a_schema_that_does_not_exist_is_said() -> None:
    """A wrong name is an error that names it."""
    with pytest.raises(FileNotFoundError, match="reports"):
        schemas.load("reports")


def span(field: str, value: Any) -> dict[str, Any]:
    """Return a span with one field changed, nothing observed so that any length fits."""
    document: dict[str, Any] = {
        "v": 1,
        "sensor": "markt-1",
        "stream": "11d61ee8-4d6b-4f0c-9f0e-3c1d6c5f3a52",
        "seq": 1,
        "start": 1764000000,
        "slot": 60,
        "slots": 1,
        "observed": [0],
        "index": [0],
        "direction": [0],
        "class": [0],
        "count": [1],
    }
    document[field] = value
    if field == "slots":
        document["observed"] = [0] * value
    return document


def accepted(document: dict[str, Any]) -> bool:
    try:
        decode(json.dumps(document).encode())
    except ContractError:
        return False
    return True


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a schema."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value)
