"""What a context broker's answers mean, and what a push says when there is none."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from footfall_api.ngsi_ld.broker import HttpBroker, RefusedError, UnreachableError, outcome, retry_after
from footfall_testing.context_broker import ContextBroker, Fault

A, B, C = (f"urn:ngsi-ld:CrowdFlowObserved:jena:{name}:15min" for name in "abc")
ERROR = {"type": "https://uri.etsi.org/ngsi-ld/errors/BadRequestData", "title": "Bad", "detail": "no such type"}
OPEN = "it is not among those that were taken"
SECRET = "not-for-any-log"


def entity(name: str, **attributes: int) -> dict[str, Any]:
    return {
        "id": name,
        "type": "CrowdFlowObserved",
        "dateObserved": {"type": "Property", "value": "x"},
        **{key: {"type": "Property", "value": value} for key, value in attributes.items()},
        "@context": ["https://terms.example"],
    }


@pytest.fixture
def other() -> Iterator[ContextBroker]:
    """The other side."""
    with ContextBroker() as found:
        yield found


@pytest.mark.parametrize(
    ("status", "body", "taken", "refused"),
    [
        (204, b"", {A, B, C}, {}),
        (201, json.dumps([A]).encode(), {A, B, C}, {}),
        (200, b"", {A, B, C}, {}),
        (207, json.dumps({"success": [A, B, C], "errors": []}).encode(), {A, B, C}, {}),
        (207, json.dumps({"success": [A, C], "errors": [{"entityId": B, "error": ERROR}]}).encode(), {A, C},
         {B: "Bad: no such type"}),
        (207, json.dumps({"success": [A, B, C], "errors": [{"entityId": B, "error": ERROR}]}).encode(), {A, C},
         {B: "Bad: no such type"}),
        (207, json.dumps({"errors": [{"entityId": B, "error": {"status": 400}}]}).encode(), {A, C},
         {B: '{"status": 400}'}),
        (207, json.dumps({"success": [A], "errors": []}).encode(), {A},
         {B: OPEN, C: OPEN}),
        (207, json.dumps([{"id": A, "type": "Upsert", "success": [{"attributes": []}]},
                          {"id": B, "type": "Upsert", "failure": [ERROR]},
                          {"id": C, "type": "Upsert", "success": []}]).encode(), {A, C},
         {B: json.dumps([ERROR])}),
        (207, b"<html>", set(), dict.fromkeys((A, B, C), OPEN)),
        (207, b"[]", set(), dict.fromkeys((A, B, C), OPEN)),
    ],
)  # fmt: skip
def test_what_was_taken(status: int, body: bytes, taken: set[str], refused: dict[str, str]) -> None:
    """As the standard says it and as brokers do; what is left open is not taken."""
    found = outcome([A, B, C], status, {}, body)

    assert (set(found.taken), dict(found.refused)) == (taken, refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([A, B, "success", "errors", "entityId"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["success", "errors", "id", "failure"]), inner),
)


@hypothesis.given(st.integers(100, 599), JSON | st.just(ERROR), st.binary())
def test_no_answer_confuses(status: int, said: Any, noise: bytes) -> None:
    """Whatever comes, every entity is taken or refused, not both, or the batch as a whole is one of the two faults."""
    for body in (json.dumps(said).encode(), noise):
        if not 200 <= status < 300:
            with pytest.raises((UnreachableError, RefusedError), match=str(status)):
                outcome([A, B], status, {}, body)
            continue
        found = outcome([A, B], status, {}, body)
        assert found.taken | found.refused.keys() == {A, B}
        assert not found.taken & found.refused.keys()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_to_be_tried_again(status: int) -> None:
    """When the broker says."""
    with pytest.raises(UnreachableError, match=f"{status}: out of breath") as fault:
        outcome([A], status, {"Retry-After": "7"}, b"out of\nbreath")

    assert fault.value.after_s == 7


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 415, 422])
def test_what_does_not_pass_is_refused(status: int) -> None:
    """In the broker's words."""
    with pytest.raises(RefusedError, match=str(status)) as fault:
        outcome([A], status, {"Location": "https://elsewhere.example"}, json.dumps(ERROR).encode())

    assert ("elsewhere" if status == 301 else "Bad: no such type") in str(fault.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("0", 0), ("30", 30), ("999999", 3600), ("Wed, 10 Jun 2026 12:00:20 GMT", 20),
     ("Wed, 10 Jun 2026 11:00:00 GMT", 0), ("soon", None), ("-5", None)],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    """Both forms of HTTP, within an hour; anything else says nothing."""
    assert retry_after(value, datetime(2026, 6, 10, 12, tzinfo=UTC)) == seconds


def test_batches_arrive_as_the_standard_wants(other: ContextBroker) -> None:
    """JSON-LD, with the headers that were given, over one connection; updated or replaced as asked."""
    broker = HttpBroker(f"{other.url}/", {"NGSILD-Tenant": "jena", "Authorization": f"Bearer {SECRET}"}, [SECRET])
    broker.upsert([entity(A, x=1, y=1)], update=False)
    broker.upsert([entity(A, x=2)], update=True)
    updated = dict(other.tenants["jena"][A])
    broker.upsert([entity(A, x=3)], update=False)

    (update, headers, entities), *_ = other.requests
    assert (update, headers["content-type"], headers["ngsild-tenant"]) == (False, "application/ld+json", "jena")
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert entities[0]["@context"] == ["https://terms.example"]
    assert (updated["x"]["value"], updated["y"]["value"]) == (2, 1)
    assert "y" not in other.tenants["jena"][A]
    assert other.connections == 1


@pytest.mark.parametrize(
    "fault",
    [Fault(), Fault(in_the_middle=True), Fault(503), Fault(401, body=f"no such token: {SECRET}".encode())],
    ids=["cut", "cut-in-the-middle", "503", "401"],
)
def test_a_fault_is_said_without_what_is_secret(other: ContextBroker, fault: Fault) -> None:
    """The address and what went wrong; a token that the broker repeats is not repeated by us."""
    other.faults = [fault]
    with pytest.raises((UnreachableError, RefusedError)) as found:
        HttpBroker(other.url, {"X-Auth-Token": SECRET}, [SECRET]).upsert([entity(A)], update=True)

    assert isinstance(found.value, RefusedError if fault.status == 401 else UnreachableError)
    assert str(found.value).startswith(f"{other.url}/ngsi-ld/v1/entityOperations/upsert: ")
    assert SECRET not in str(found.value)
    assert "object at 0x" not in str(found.value)


def test_nobody_there_is_a_fault_that_passes(other: ContextBroker) -> None:
    """Refused and unknown alike, each in words; and afterwards the same object sends again."""
    broker = HttpBroker(other.url, {})
    broker.upsert([entity(A)], update=False)
    other.stop()
    with pytest.raises(UnreachableError, match=r"upsert: Connection refused$"):
        broker.upsert([entity(A)], update=False)
    other.start()
    assert broker.upsert([entity(A)], update=False).taken == {A}
    with pytest.raises(UnreachableError, match="nirgends"):
        HttpBroker("http://nirgends.invalid", {}).upsert([entity(A)], update=False)


def test_a_broker_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which no answer comes is given up."""
    import socket

    from footfall_api.ngsi_ld import broker

    monkeypatch.setattr(broker, "ANSWER_S", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf, pytest.raises(UnreachableError, match="timed out"):
        HttpBroker(f"http://127.0.0.1:{deaf.getsockname()[1]}", {}).upsert([entity(A)], update=False)
