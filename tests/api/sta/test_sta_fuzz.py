"""Whatever is asked of SensorThings, by the grammar or with the grammar broken: never a fault of ours."""

import json
from http import HTTPStatus

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from footfall_testing.city import Api
from footfall_testing.sta_grammar import broken_urls, urls

ANSWERED = {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}


def check(api: Api, url: str) -> None:
    """An answer, or a problem that says what is wrong; never one that is long beyond measure."""
    response = api.request("GET", f"/sta/v1.1/{url}")
    assert response.status_code in ANSWERED, (url, response.text)
    assert len(response.content) < 20_000_000
    if response.status_code >= 400:
        assert response.json()["detail"], url
    elif response.headers.get("Content-Type") == "application/json" and not url.partition("?")[0].endswith("$value"):
        body = json.loads(response.content)
        assert isinstance(body, dict), url


def fuzz(api: Api, strategy: st.SearchStrategy[str], examples: int) -> None:
    """So many questions."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(url=strategy)
    def ask(url: str) -> None:
        check(api, url)

    ask()


@pytest.mark.parametrize("strategy", [urls(), broken_urls()], ids=["sound", "broken"])
def test_no_question_is_a_fault(still: Api, strategy: st.SearchStrategy[str]) -> None:
    """Some hundreds."""
    fuzz(still, strategy, 250)


@pytest.mark.full
@pytest.mark.parametrize("strategy", [urls(), broken_urls()], ids=["sound", "broken"])
def test_none_of_20_000_questions_is_a_fault(still: Api, strategy: st.SearchStrategy[str]) -> None:
    """Half of them broken."""
    fuzz(still, strategy, 10_000)
