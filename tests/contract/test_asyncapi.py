"""docs/asyncapi.yaml says what the code does: topics, QoS, retained flags, schemas and examples."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT7

import footfall_contract
from footfall_contract import decode_health, decode_notice, decode_status, schemas, topics
from footfall_contract.report import decode, encode_cbor
from footfall_contract.topics import Kind
from footfall_contract.words import ID_PATTERN, MAX_BYTES

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"

SCHEMA_OF = {
    Kind.COUNTS: "report",
    Kind.HEALTH: "sensor-health",
    Kind.STATUS: "node-status",
    Kind.COMMITTED: "commit-notice",
}
DECODERS: dict[Kind, Callable[[bytes], object]] = {
    Kind.COUNTS: decode,
    Kind.HEALTH: decode_health,
    Kind.STATUS: decode_status,
    Kind.COMMITTED: decode_notice,
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text())
    return loaded


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the document."""
    if "$ref" not in value:
        return value
    resolver = Registry().with_resource("urn:document", DRAFT7.create_resource(document)).resolver("urn:document")
    found: dict[str, Any] = resolver.lookup(value["$ref"]).contents
    return found


def messages(document: dict[str, Any], kind: Kind) -> dict[str, dict[str, Any]]:
    channel = document["channels"][kind]
    return {name: resolved(document, message) for name, message in channel["messages"].items()}


def test_it_is_asyncapi_3_of_this_version(document: dict[str, Any]) -> None:
    """The document is AsyncAPI 3, and its version is the contract's."""
    assert document["asyncapi"].startswith("3.")
    assert document["info"]["version"] == footfall_contract.__version__
    assert set(document["channels"]) == set(Kind)


def test_topics_are_those_of_the_code(document: dict[str, Any]) -> None:
    """Each address, its parameters filled in, is the topic that the code builds, with the pattern of ids in words."""
    built = {
        Kind.COUNTS: topics.counts("a-node", "a-sensor"),
        Kind.HEALTH: topics.health("a-node", "a-sensor"),
        Kind.STATUS: topics.status("a-node"),
        Kind.COMMITTED: topics.committed("a-node"),
    }

    for kind, topic in built.items():
        channel = document["channels"][kind]
        ids = {name: f"a-{name}" for name in channel["parameters"]}
        assert channel["address"].format(**ids) == topic
        for parameter in channel["parameters"].values():
            described = resolved(document, parameter)
            assert ID_PATTERN in described["description"]
            assert all(topics.parse(topics.status(example)) for example in described["examples"])


def test_operations_are_those_of_a_node(document: dict[str, Any]) -> None:
    """A node sends counts, health and status and receives notices, with the code's QoS and retained flags."""
    found = {}
    for operation in document["operations"].values():
        kind = Kind(operation["channel"]["$ref"].removeprefix("#/channels/"))
        mqtt = operation["bindings"]["mqtt"]
        found[kind] = operation["action"]
        assert mqtt["qos"] == topics.QOS
        if operation["action"] == "send":
            assert mqtt["retain"] is (kind in topics.RETAINED)

    assert found == {Kind.COUNTS: "send", Kind.HEALTH: "send", Kind.STATUS: "send", Kind.COMMITTED: "receive"}


@pytest.mark.parametrize("kind", Kind)
def test_payloads_are_described_by_the_schemas_of_the_package(document: dict[str, Any], kind: Kind) -> None:
    """Each message refers to the schema file that is shipped, with the format that the file says it has."""
    for message in messages(document, kind).values():
        file = DOCUMENT.parent / message["payload"]["schema"]["$ref"]
        assert json.loads(file.read_text()) == schemas.load(SCHEMA_OF[kind])
        assert message["payload"]["schemaFormat"] == "application/schema+json;version=draft-07"


@pytest.mark.parametrize("kind", Kind)
def test_examples_are_accepted(document: dict[str, Any], kind: Kind) -> None:
    """Each example is a payload that the code reads."""
    for message in messages(document, kind).values():
        assert message["examples"]
        for example in message["examples"]:
            assert DECODERS[kind](json.dumps(example["payload"]).encode())


def test_a_report_comes_in_both_encodings(document: dict[str, Any]) -> None:
    """Counts are CBOR or JSON, within the limit that the code has; everything else is JSON."""
    content = {kind: sorted(m["contentType"] for m in messages(document, kind).values()) for kind in Kind}

    assert content[Kind.COUNTS] == ["application/cbor", "application/json"]
    assert {kind: types for kind, types in content.items() if kind is not Kind.COUNTS} == {
        kind: ["application/json"] for kind in (Kind.HEALTH, Kind.STATUS, Kind.COMMITTED)
    }
    assert all(f"{MAX_BYTES // 1024} KiB" in m["summary"] for m in messages(document, Kind.COUNTS).values())
    example = messages(document, Kind.COUNTS)["cbor"]["examples"][0]["payload"]
    assert decode(encode_cbor(decode(json.dumps(example).encode()))).total == sum(example["count"])


def test_the_last_will_is_a_status(document: dict[str, Any]) -> None:
    """The last will is a status that says offline, on the topic of the status."""
    will = document["servers"]["broker"]["bindings"]["mqtt"]["lastWill"]

    assert will["topic"] == document["channels"][Kind.STATUS]["address"]
    assert decode_status(will["message"].encode()).state == "offline"
    assert (will["qos"], will["retain"]) == (topics.QOS, Kind.STATUS in topics.RETAINED)
