"""Whatever is asked: no fault of ours, answers as the OpenAPI document has them, and every refusal is a problem.

Questions come from schemathesis, which reads the document: such as it allows, and such as it does not. Because words
made up by chance seldom get past the first check, half of the parameters are then given values that mean something.
"""

from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from footfall_testing.city import NOW, Api, City

SEED = 20260610
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

MEANT = {
    "station": st.sampled_from(["markt", "kirche", "markt,kirche", "leer", "nirgends", "mar\0kt"]),
    "area": st.sampled_from(["zentrum", "leer", "zentrum,leer", "nirgends"]),
    "from": st.sampled_from(
        ["2026-06-09", "2026-03-29T02:30", "2026-06-10T13:59:30 02:00", "2026-05-01", "2000-01-01"]
    ),
    "to": st.sampled_from(["2026-06-10", "2026-06-10T18:00:00Z", "2026-06-09T00:07", "2027-06-01", "2026-03-30"]),
    "resolution": st.sampled_from(["1min", "15min", "1h", "1d", "1w", "1mo", "1y"]),
    "split": st.sampled_from(["direction", "class,sensor", "direction,class,sensor", "sensor", "colour"]),
    "tz": st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Mars/Base"]),
    "format": st.sampled_from(["json", "csv", "csv-de", "parquet", "geojson"]),
    "remarks": st.sampled_from(["link", "column"]),
}


@pytest.fixture
def town(city: City, api: Api) -> Api:
    """Every state and reason, remarks, areas, a station without a sensor."""
    markt, kirche = city.counter("markt"), city.counter("kirche", directions=(0, 1, 2))
    city.station("leer")
    city.minutes(markt, NOW - timedelta(days=2), 1500, {0: 1, 1: 2})
    city.minutes(kirche, NOW - timedelta(hours=3), 170, {2: 1}, observed_s=40, class_=2)
    city.span(markt, NOW - timedelta(hours=5), NOW - timedelta(hours=3), {0: 10})
    city.area("zentrum", "markt", "kirche")
    city.area("leer")
    city.labels("markt", NOW - timedelta(days=900), "Nord", "Süd")
    city.remark(NOW - timedelta(days=1), None, 'Gerüst; "neu"', station="markt")
    city.remark(NOW - timedelta(hours=2), NOW - timedelta(hours=1), "verdeckt", sensor=kirche, excludes=True)
    city.remark(NOW - timedelta(days=9), NOW, "Markttag", area="zentrum", kind="event")
    return api


def put(api: Api, case: Case) -> httpx.Response:
    """The answer to a question of schemathesis."""
    asked = case.as_transport_kwargs(base_url="http://footfall.test")
    sent = requests.Request(asked["method"], asked["url"], asked.get("headers"), params=asked.get("params")).prepare()
    assert sent.url is not None
    return api.request("GET", sent.url, headers={name: value for name, value in sent.headers.items() if value})


def check(case: Case, response: httpx.Response) -> None:
    """What holds for every answer."""
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == "application/problem+json"
        problem = response.json()
        assert problem["status"] == response.status_code
        assert urlsplit(problem["instance"]).path
        assert problem["detail"]
        assert response.status_code != 422 or "parameter" in problem


def question(api: Api, operation: APIOperation, mode: GenerationMode, examples: int) -> set[int]:
    """Put so many questions of a mode to an endpoint; the statuses that came."""
    names = {parameter.name for parameter in operation.query}
    statuses: set[int] = set()

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(mode), st.data())
    def ask(case: Case, data: st.DataObject) -> None:
        for name, meant in MEANT.items():
            if name in case.path_parameters and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(meant)
            elif name in names and data.draw(st.booleans()):
                case.query[name] = data.draw(meant)
        response = put(api, case)
        statuses.add(response.status_code)
        check(case, response)

    ask()
    return statuses


def question_all(api: Api, mode: GenerationMode, examples: int) -> set[int]:
    """The same for all endpoints: but for a stream without end, and those that have nothing that could be wrong."""
    schema = schemathesis.openapi.from_dict(api.get("/openapi.json").json())
    operations = [result.ok() for result in schema.get_all_operations()]
    return {
        status
        for operation in operations
        if operation.path != "/api/v1/live" and (mode is GenerationMode.POSITIVE or list(operation.query))
        for status in question(api, operation, mode, examples)
    }


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_question_finds_a_fault(town: Api, mode: GenerationMode) -> None:
    """A few questions of each kind to each endpoint."""
    statuses = question_all(town, mode, 12)

    assert {404, 422} <= statuses
    assert mode is GenerationMode.NEGATIVE or 200 in statuses


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_question_of_many_finds_a_fault(town: Api, mode: GenerationMode) -> None:
    """Very many of them."""
    assert {404, 422} <= question_all(town, mode, 300)
