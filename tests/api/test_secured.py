"""What every answer says to browsers, what other sites may do with it, and that no answer tells of our insides."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_api import app as application
from footfall_api import routes, routes_files, routes_places, routes_summary
from footfall_api.ngsi_ld import routes as ngsi_ld
from footfall_api.pages.frame import STATIC
from footfall_api.settings import ApiSettings
from footfall_testing.city import Api, City

PATHS = (
    "/", "/daten", "/en/operations", "/nirgends", "/robots.txt", "/en", "/favicon.ico", "/healthz", "/readyz",
    "/metrics", "/api/v1/stations", "/api/v1/counts?tz=UTC&format=csv", "/api/v1/counts?x", "/api/v1/operations",
    "/openapi.json", "/sta/v1.1/Things", "/sta/v1.1/Nothings", "/catalog.ttl", "/catalog", "/files/", "/files/x",
)  # fmt: skip


SECURED = ("content-security-policy", "x-content-type-options", "referrer-policy", "strict-transport-security")


@pytest.fixture
def at_home(database: str) -> Iterator[Api]:
    """The API under its name, behind TLS."""
    sections = {"http": {"public_url": "https://footfall.test"}, "database": {"dsn": database}}
    with Api(ApiSettings.model_validate(sections)) as api:
        yield api


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "BREW"])
def test_every_answer_keeps_browsers_from_guessing_framing_and_telling(at_home: Api, method: str) -> None:
    """Pages, data, files, errors: each header once. Nothing says what serves it."""
    for path in PATHS:
        response = at_home.request(method, path, headers={"Accept": "text/html"})
        names = [name.lower() for name, _ in response.headers.multi_items()]

        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert response.headers["X-Content-Type-Options"] == "nosniff", path
        assert response.headers["Referrer-Policy"] == "no-referrer", path
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000", path
        assert [name for name in SECURED if names.count(name) > 1] == [], path
        assert {"server", "x-powered-by", "set-cookie"}.isdisjoint(names), path
        if response.headers.get("Content-Type", "").startswith("text/html"):
            assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin", path


def test_files_of_pages_have_the_policy_of_pages(at_home: Api) -> None:
    """A worker is bound by the policy of its own file: it may load what the page may, and nothing else."""
    version = at_home.app.state.pages.version
    policies = {
        at_home.request("GET", f"/static/{version}/{path.relative_to(STATIC)}").headers["Content-Security-Policy"]
        for path in sorted(STATIC.rglob("*"))
        if path.is_file()
    }

    assert policies == {at_home.request("GET", "/").headers["Content-Security-Policy"]}


def test_only_what_is_asked_by_https_is_said_to_be_always(api: Api) -> None:
    """Without public_url nobody knows; over http browsers would not believe it."""
    assert "Strict-Transport-Security" not in api.get("/").headers


# -- other sites -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["https://page.example", "null", "http://localhost:3000"])
def test_any_page_may_read_what_is_public(api: Api, origin: str) -> None:
    """Never in the name of who is signed in: a star is for nobody's credentials."""
    for path in ("/api/v1/stations", "/sta/v1.1", "/catalog.ttl", "/openapi.json", "/api/v1/stations/nirgends"):
        headers = api.get(path, headers={"Origin": origin}).headers

        assert headers["Access-Control-Allow-Origin"] == "*", path
        assert "Access-Control-Allow-Credentials" not in headers, path


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 400), ("DELETE", 400), ("PUT", 400)]
)
def test_a_page_elsewhere_may_read_and_nothing_else(api: Api, method: str, status: int) -> None:
    """What a browser asks before a request that could change something."""
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "if-none-match, range,accept",
    }
    response = api.request("OPTIONS", "/api/v1/stations", headers=asked)

    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_page_elsewhere_tries_no_tokens(api: Api) -> None:
    """In the operator's browser it would try them from the operator's address, until none is listened to."""
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    response = api.request("OPTIONS", "/api/v1/stations", headers=asked)

    assert response.status_code == 400
    assert "authorization" not in response.headers["Access-Control-Allow-Headers"].lower()


def test_how_the_machine_is_doing_is_not_for_pages_elsewhere(api: Api) -> None:
    """A page open in a browser on it, or at the operator's, reads neither."""
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "GET"}
    for path in ("/metrics", "/api/v1/operations"):
        for method in ("GET", "OPTIONS"):
            response = api.request(method, path, headers=asked)
            assert not [name for name in response.headers if name.lower().startswith("access-control")], path


# -- insides -----------------------------------------------------------------------------------------------------------

SECRETS = (
    "geheim-geheim-geheim",
    "geheim-geheim",
    "Traceback",
    'File "',
    "site-packages",
    "psycopg",
    "/work",
    "SELECT",
)
"""What would tell of our insides."""


class UnexpectedError(Exception):
    """Something that nobody expects, with something in it that nobody may read."""

    def __init__(self) -> None:
        super().__init__('SELECT password FROM geheim-geheim-geheim; File "/srv/x.py", psycopg')


class DatabaseFault(psycopg.DataError):
    """What a question says of itself that the database does not understand."""

    def __init__(self) -> None:
        super().__init__('syntax error at "geheim-geheim"; SELECT * FROM count_minute')


@pytest.mark.parametrize("fault", [UnexpectedError, RecursionError, MemoryError, DatabaseFault, TimeoutError])
@pytest.mark.parametrize(
    ("module", "name", "path"),
    [
        (routes_places, "read_stations", "/api/v1/stations"),
        (routes, "plan", "/api/v1/counts?tz=UTC"),
        (routes, "blocks", "/api/v1/counts?tz=UTC"),
        (routes_summary, "snapshot", "/api/v1/stations/markt/totals?from=2026-01-01&to=2026-02-01&resolution=1mo"),
        (ngsi_ld, "read_places", "/api/v1/ngsi-ld"),
        (routes_files, "preferred", "/files/"),
        (application, "snapshot", "/healthz"),
    ],
)
def test_a_fault_of_ours_tells_nothing(  # noqa: PLR0917
    city: City, api: Api, monkeypatch: pytest.MonkeyPatch, fault: Any, module: Any, name: str, path: str
) -> None:
    """Whatever breaks wherever: a problem of the one shape, and none of our words, paths or questions in it."""
    city.counter("markt")

    def broken(*_: Any, **__: Any) -> None:
        raise fault()

    monkeypatch.setattr(module, name, broken)
    response = api.get(path)

    if path not in {"/healthz", "/files/"}:  # the one does not use it, of the other there is nothing
        assert response.status_code in {500, 503}, response.text
        assert response.headers["Content-Type"] == "application/problem+json"
    assert [secret for secret in SECRETS if secret in response.text] == []


STRANGE = st.text(st.characters(codec="utf-8"), max_size=30)
PARTS = st.one_of(
    STRANGE,
    st.sampled_from(
        ["..", ".", "%00", "%2e%2e", "%2f", "%ff", "\x00", "'", '"', "$filter", "Things", "counts", "stations", "api",
         "v1", "sta", "v1.1", "files", "static", "catalog", "Observations(1)", "markt", "from", "-1", "9" * 30,
         "{{7*7}}", "<b>"]
    ),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(parts=st.lists(PARTS, max_size=6), query=st.lists(st.tuples(PARTS, PARTS), max_size=4), html=st.booleans())
def test_whatever_is_asked_is_answered_without_a_fault(
    api: Api, parts: list[str], query: list[tuple[str, str]], html: bool
) -> None:
    """No address makes an error of the server; errors have the one shape, or are pages."""
    accept = "text/html" if html else "*/*"
    path = "/" + "/".join(quote(part.encode("utf-8", "surrogatepass"), safe="%$()'") for part in parts)
    response = api.request("GET", f"http://footfall.test{path}", params=query, headers={"Accept": accept})

    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        kind = response.headers["Content-Type"]
        assert kind == "application/problem+json" or (html and kind.startswith("text/html")), response.text
    asked = unquote(str(response.request.url))  # a problem repeats it, and there may be such words in it
    assert [secret for secret in SECRETS[1:-1] if secret in response.text and secret not in asked] == []
    assert not re.search(r"\b0x[0-9a-f]{8}", response.text), "an address in memory"
