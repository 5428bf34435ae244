"""The OpenAPI document: valid, whole, with examples that work and models that real answers fit."""

from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from footfall_api.describe import COUNTS_EXAMPLE, CSV_EXAMPLE
from footfall_api.routes_privacy import EXAMPLE as PRIVACY_EXAMPLE
from footfall_api.writing import HEADER
from footfall_testing.city import NOW, Api, City


@pytest.fixture
def demo(city: City, api: Api) -> Api:
    """A city in which every state occurs."""
    key = city.counter("markt")
    city.labels("markt", NOW - timedelta(days=900), "Richtung Rathaus", "Richtung Kirche")
    city.minutes(key, NOW - timedelta(days=80), 3 * 1440, {0: 1, 1: 2})
    city.minutes(key, NOW - timedelta(minutes=90), 70, {0: 1})
    city.span(key, NOW - timedelta(hours=5), NOW - timedelta(hours=3), {0: 10})
    city.area("zentrum", "markt")
    city.remark(NOW - timedelta(days=80), None, "Gerüst", station="markt")
    city.remark(NOW - timedelta(hours=8), NOW - timedelta(hours=6), "verdeckt", sensor=key, kind="fault", excludes=True)
    city.remark(NOW - timedelta(days=2), NOW, "Markttag", area="zentrum", kind="event")
    return api


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    """The document."""
    found: dict[str, Any] = api.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, item["get"]) for path, item in document["paths"].items()]


def test_every_endpoint_is_described(document: dict[str, Any]) -> None:
    """The addresses of the promise, with a summary, a description, and only reading."""
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/api/v1/stations",
        "/api/v1/stations/{station}",
        "/api/v1/stations/{station}/counts",
        "/api/v1/areas",
        "/api/v1/areas/{area}",
        "/api/v1/remarks",
        "/api/v1/counts",
        *(
            f"/api/v1/{place}/{summary}"
            for place in ("stations/{station}", "areas/{area}")
            for summary in ("profile", "compare", "before-after", "totals")
        ),
        "/api/v1/live",
        "/api/v1/ngsi-ld",
        "/api/v1/ngsi-ld/context.jsonld",
        "/api/v1/privacy",
        "/api/v1/operations",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert {method for item in document["paths"].values() for method in item} == {"get"}
    for path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (path, parameter["name"])


def test_only_what_is_not_public_wants_a_token(document: dict[str, Any]) -> None:
    """The endpoints for the operator name both ways of sending the token, and each is described."""
    locked = {path: operation["security"] for path, operation in operations(document) if "security" in operation}

    assert list(locked) == ["/api/v1/operations", "/metrics"]
    schemes = document["components"]["securitySchemes"]
    for ways in locked.values():
        assert {schemes[name]["scheme"] for way in ways for name in way} == {"bearer", "basic"}


def test_errors_are_problems_throughout(document: dict[str, Any]) -> None:
    """No endpoint is described with an error of another shape."""
    for path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """All `$ref` are in the document, and its schemas are schemas."""

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [r for key, value in node.items() for r in ([value] if key == "$ref" else references(value))]
        return [r for item in node for r in references(item)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in found:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_examples_of_all_parameters_work(demo: Api, document: dict[str, Any]) -> None:
    """Each example, by itself and beside the first ones of the others, is answered with 200."""
    tried = 0
    for path, operation in operations(document):
        if path in {"/api/v1/live", "/api/v1/operations"}:
            continue  # one never ends, its example is followed in another test; the other wants the operator's token
        given = {(p["in"], p["name"]): _examples(p) for p in operation.get("parameters", [])}
        fixed = {name: values[0] for (place, name), values in given.items() if place == "path"}
        queries = {name: values for (place, name), values in given.items() if place == "query" and values}
        first = {name: values[0] for name, values in queries.items()}
        needed = {
            p["name"]: first[p["name"]] for p in operation.get("parameters", []) if p["in"] == "query" and p["required"]
        }
        for query in [needed, first, *({**first, name: v} for name, values in queries.items() for v in values)]:
            response = demo.request("GET", path.format(**fixed), params=query, headers={"Host": "127.0.0.1"})
            assert response.status_code == 200, (path, query, response.text)
            tried += 1
    assert tried > 15


def _examples(parameter: dict[str, Any]) -> list[Any]:
    schema = parameter["schema"]
    return [*schema.get("examples", []), *schema.get("enum", []), *parameter.get("examples", [])]


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/api/v1/stations", "StationCollection"),
        ("/api/v1/stations/markt", "StationFeature"),
        ("/api/v1/stations/markt/counts?split=direction,class,sensor&resolution=30min", "Counts"),
        ("/api/v1/stations/markt/counts?from=2026-03-20&to=2027-01-01&resolution=1d", "Counts"),
        ("/api/v1/counts?station=markt&area=zentrum&split=direction", "Counts"),
        ("/api/v1/counts?station=markt&area=zentrum&format=geojson", "CountsCollection"),
        ("/api/v1/remarks", "Remarks"),
        ("/api/v1/privacy", "PrivacyNotice"),
        ("/api/v1/areas", "AreaCollection"),
        ("/api/v1/areas/zentrum", "AreaFeature"),
        ("/api/v1/stations/markt/counts?resolution=nix", "ProblemDetails"),
        ("/healthz", "Health"),
        ("/readyz", "Readiness"),
    ],
)
def test_answers_fit_their_models(demo: Api, document: dict[str, Any], path: str, schema: str) -> None:
    """What is written by hand for speed is what is described."""
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": document["components"]})

    assert [error.message for error in validator.iter_errors(demo.get(path).json())] == []


@pytest.mark.parametrize(
    ("path", "schema", "example"),
    [("/api/v1/counts", "Counts", COUNTS_EXAMPLE), ("/api/v1/privacy", "PrivacyNotice", PRIVACY_EXAMPLE)],
)
def test_the_examples_of_answers_fit_too(document: dict[str, Any], path: str, schema: str, example: Any) -> None:
    """The example of an answer is one that could be given, with its nulls."""
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": document["components"]})

    shown = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert shown == example
    assert [error.message for error in validator.iter_errors(shown)] == []
    assert CSV_EXAMPLE.splitlines()[0].split(",") == list(HEADER)


def test_the_document_asks_no_other_host(api: Api) -> None:
    """No page with scripts from elsewhere is served for it."""
    for path in ("/docs", "/redoc"):
        assert api.get(path).status_code == 404
