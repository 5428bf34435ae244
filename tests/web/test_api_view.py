"""The view of the OpenAPI document: everything in it, with addresses that may be followed."""

from datetime import date
from typing import Any

import pytest

from footfall_api.app import create_app
from footfall_api.pages.api_view import ApiView, Piece, Sample, Word, api_view, paragraphs_of, pieces_of, type_of
from footfall_api.settings import ApiSettings

DAY = date(2026, 11, 26)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document of the real application."""
    return create_app(ApiSettings()).openapi()


@pytest.fixture(scope="module")
def view(document: dict[str, Any]) -> ApiView:
    """Its view, in a city with a station and an area."""
    return api_view(document, Sample("markt", "zentrum", DAY))


def test_every_endpoint_parameter_answer_and_schema_is_there(document: dict[str, Any], view: ApiView) -> None:
    """What the document has, the view has, by name."""
    shown = {
        (endpoint.path, endpoint.method.lower()): (
            [parameter.name for parameter in endpoint.parameters],
            {reply.status for reply in endpoint.replies},
        )
        for group in view.groups
        for endpoint in group.endpoints
    }

    assert shown == {
        (path, method): ([given["name"] for given in operation.get("parameters", ())], set(operation["responses"]))
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert {schema.name: [field.name for field in schema.fields] for schema in view.schemas} == {
        name: list(schema.get("properties", ())) for name, schema in document["components"]["schemas"].items()
    }


def test_anchors_are_unique_and_every_type_leads_to_one(view: ApiView) -> None:
    """No two things are at the same place of the page, and no type leads nowhere."""
    endpoints = [endpoint for group in view.groups for endpoint in group.endpoints]
    anchors = [*(endpoint.anchor for endpoint in endpoints), *(schema.anchor for schema in view.schemas)]
    parameters = [parameter for endpoint in endpoints for parameter in endpoint.parameters]
    fields = [field for schema in view.schemas for field in schema.fields]
    types = [
        *(found.type for found in (*parameters, *fields)),
        *(carrier.type for endpoint in endpoints for reply in endpoint.replies for carrier in reply.carriers),
    ]

    assert len(set(anchors)) == len(anchors)
    assert {word.anchor for words in types for word in words if word.anchor} <= set(anchors)


def test_defaults_choices_and_limits_are_told(view: ApiView) -> None:
    """As the document has them: what may be chosen, what is meant if nothing is said, what is too much."""
    endpoints = {endpoint.anchor: endpoint for group in view.groups for endpoint in group.endpoints}
    counts = {parameter.name: parameter for parameter in endpoints["station_counts"].parameters}
    weeks = {parameter.name: parameter for parameter in endpoints["station_before_after"].parameters}["weeks"]

    assert counts["resolution"].default == "1h"
    assert counts["resolution"].choices == ("1min", "5min", "15min", "30min", "1h", "1d", "1w", "1mo", "1y")
    assert counts["station"].in_path
    assert not counts["from"].required
    assert (weeks.default, weeks.limits) == ("8", ("at least 1", "at most 104"))


def test_examples_ask_about_places_that_there_are(document: dict[str, Any], view: ApiView) -> None:
    """Each endpoint has one to follow; where the city has no station or no area, those about it have none."""
    for group in view.groups:
        for endpoint in group.endpoints:
            assert endpoint.examples
            assert not any("{" in example for example in endpoint.examples)
    bare = api_view(document, Sample(None, None, DAY))
    without = {endpoint.path for group in bare.groups for endpoint in group.endpoints if not endpoint.examples}

    assert without == {path for path in document["paths"] if "{" in path}


def test_markup_of_texts_is_told_apart() -> None:
    """Code and emphasis are pieces of their own, lines are joined, empty lines part paragraphs."""
    assert pieces_of("a `b`\n**c**.") == (
        Piece("a "),
        Piece("b", "code"),
        Piece(" "),
        Piece("c", "strong"),
        Piece("."),
    )
    assert len(paragraphs_of("\none\ntwo\n\nthree\n")) == 2


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string", "format": "date-time"}, "string (date-time)"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"const": "passages"}, '"passages"'),
        ({"enum": ["in", "out"]}, '"in" or "out"'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object, each field integer"),
        ({}, "anything"),
    ],
)
def test_types_are_named_in_words(schema: dict[str, Any], text: str) -> None:
    """For people who have never seen a JSON schema."""
    assert "".join(word.text for word in type_of(schema)) == text


def test_a_list_of_something_leads_to_it() -> None:
    """The name is the link, the words around it are not."""
    assert type_of({"type": "array", "items": {"$ref": "#/components/schemas/Value"}}) == (
        Word("list of "),
        Word("Value", "schema-Value"),
    )
