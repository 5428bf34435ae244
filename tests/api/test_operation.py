"""What operators meet: health, readiness, metrics, and errors that have one shape whatever their cause."""

import asyncio
import re
import socket
from contextlib import closing
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from footfall_api import database as api_database
from footfall_api import routes_places
from footfall_api.cli import _listen
from footfall_api.problems import CatchEverything
from footfall_api.settings import ApiSettings, DatabaseSettings, HttpSettings
from footfall_testing.city import Api, City

PROBLEM = {"type", "title", "status", "detail", "instance"}


@pytest.fixture
def no_database(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> ApiSettings:
    """Settings that name a database which is not there; nobody waits long for it."""
    monkeypatch.setattr(api_database, "WAIT_FOR_CONNECTION_S", 0.2)
    return ApiSettings(database=DatabaseSettings(dsn=f"postgresql://127.0.0.1:{unused_tcp_port}/nirgends"))


@pytest.fixture
def unused_tcp_port() -> int:
    """A port on which nobody listens."""
    from footfall_demo.ports import free_port

    return free_port()


def test_alive_and_ready(api: Api) -> None:
    """With a migrated database both say so, and nobody may keep the answer."""
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        response = api.get(path)
        assert (response.status_code, response.json()) == (200, {"status": status})
        assert response.headers["Cache-Control"] == "no-store"


def test_no_piece_of_an_answer_waits_for_the_client(unused_tcp_port: int) -> None:
    """Connections send at once what is written, also while the client has not confirmed what came before."""
    settings = HttpSettings(port=unused_tcp_port)
    with closing(_listen(settings)) as listener, closing(socket.create_connection(listener.getsockname())):
        connection, _ = listener.accept()
        with closing(connection):
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_without_a_database_alive_but_not_ready(no_database: ApiSettings) -> None:
    """The process starts and lives; what needs the database says that it cannot be reached and when to come back."""
    with Api(no_database) as api:
        assert api.get("/healthz").status_code == 200
        ready = api.get("/readyz")
        assert (ready.status_code, ready.json()["detail"]) == (503, "the database cannot be reached")
        for path in ("/api/v1/stations", "/api/v1/stations/markt", "/api/v1/stations/markt/counts", "/api/v1/live"):
            response = api.get(path)
            assert response.status_code == 503, path
            assert response.headers["Retry-After"] == "5"
            assert response.json()["type"] == "urn:footfall:problem:database-unavailable"
            assert "nirgends" not in response.text, "where the database is nobody needs to know"


def test_busy_is_ready(database: str) -> None:
    """All connections of the pool are taken; the database is there all the same."""
    with Api(ApiSettings(database=DatabaseSettings(dsn=database, pool_size=2))) as api:
        taken = [api.run(api.app.state.pool.getconn()) for _ in range(2)]
        assert api.get("/readyz").status_code == 200
        for connection in taken:
            api.run(api.app.state.pool.putconn(connection))


def test_without_tables_not_ready(blank_database: str) -> None:
    """The reason names what is missing and how it is made."""
    with Api(ApiSettings(database=DatabaseSettings(dsn=blank_database))) as api:
        ready = api.get("/readyz")
        stations = api.get("/api/v1/stations")

    assert (ready.status_code, ready.headers["Content-Type"]) == (503, "application/problem+json")
    assert "footfall-ingest migrate" in ready.json()["detail"]
    assert "count_minute" in ready.json()["detail"]
    assert (stations.status_code, stations.json()["title"]) == (503, "The counts cannot be read at the moment")
    assert "footfall-ingest migrate" in stations.json()["detail"]


def test_a_database_that_comes_later_is_found(database: str, city: City, no_database: ApiSettings) -> None:
    """Connections that broke are made again without a restart."""
    city.counter("markt")
    with Api(ApiSettings(database=DatabaseSettings(dsn=database))) as api:
        assert api.get("/api/v1/stations").status_code == 200
        city.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'footfall-api' AND datname = current_database()"
        )
        api.until(lambda: api.get("/api/v1/stations").status_code == 200, what="a new connection")


def test_metrics_are_readable_and_few(city: City, api: Api) -> None:
    """Requests by route and status; an address that does not exist makes no series of its own."""
    city.counter("markt")
    city.counter("saal")
    for path in (
        "/api/v1/stations/markt/counts", "/api/v1/stations/saal/counts", "/api/v1/stations/nix/counts",
        "/wp-login.php", "/.env", "/healthz",
    ):  # fmt: skip
        api.get(path)
    api.request("BREW", "/api/v1/stations")

    families = list(text_string_to_metric_families(api.figures()))
    requests = {
        (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
        for family in families
        for s in family.samples
        if s.name == "footfall_http_requests_total"
    }

    assert requests == {
        ("GET", "/api/v1/stations/{station}/counts", "200"): 2,
        ("GET", "/api/v1/stations/{station}/counts", "404"): 1,
        ("GET", "unmatched", "404"): 2,
        ("GET", "/healthz", "200"): 1,
        ("other", "/api/v1/stations", "405"): 1,
    }
    names = {family.name for family in families}
    assert {"footfall_http_request_seconds", "footfall_live_clients", "footfall_database_connections"} <= names
    assert [name for name in names if not re.fullmatch(r"footfall_[a-z_]+", name)] == []
    assert [family.name for family in families if not family.documentation.endswith(".")] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nirgends", 404),
        ("GET", "/api/v1/stations/%00", 404),
        ("GET", "/api/v1/stations/%ff%fe/counts", 404),
        ("GET", "/api/v2/stations", 404),
        ("GET", "/docs", 404),
        ("POST", "/api/v1/stations", 405),
        ("DELETE", "/api/v1/stations/markt", 405),
        ("GET", "/api/v1/stations/markt/counts?resolution=x", 422),
        ("GET", "/api/v1/stations/nirgends", 404),
    ],
)
def test_errors_have_one_shape(api: Api, method: str, path: str, status: int) -> None:
    """RFC 9457, whoever found the error; readable from other hosts, kept by nobody."""
    response = api.request(method, path, headers={"Origin": "https://elsewhere.example"})

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cache-Control"] == "no-store"
    problem = response.json()
    assert set(problem) - {"parameter"} == PROBLEM
    assert problem["status"] == status
    assert problem["instance"] == path
    assert problem["detail"]
    if status == 405:
        assert response.headers["Allow"] == "GET"


def test_a_fault_of_ours_has_the_shape_too(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client hears that it was us, the log has the reason, and the metrics count it."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(routes_places, "read_stations", broken)

    response = api.get("/api/v1/stations", headers={"Origin": "https://elsewhere.example"})

    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert set(response.json()) == PROBLEM
    assert "secret" not in response.text
    assert "a secret of the house" in caplog.text
    labels = {"method": "GET", "route": "/api/v1/stations", "status": "500"}
    assert api.telemetry.registry.get_sample_value("footfall_http_requests_total", labels) == 1


def test_an_answer_that_breaks_in_the_middle_is_not_ended() -> None:
    """Nothing can be said any more; the server sees the fault and cuts the connection."""
    sent: list[Any] = []

    async def half(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"station,", "more_body": True})
        raise ZeroDivisionError

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(CatchEverything(half)({"type": "http", "method": "GET", "path": "/"}, None, send))  # type: ignore[arg-type]
    assert [message.get("more_body") for message in sent] == [None, True]


def test_an_unsuitable_question_to_the_database_does_not_shut_it_out(city: City, api: Api) -> None:
    """What takes too long is ended by the database and said in a sentence; the next question is answered."""
    city.counter("markt")
    city.connection.execute("CREATE FUNCTION slow() RETURNS text LANGUAGE sql AS 'SELECT pg_sleep(60)::text'")

    async def ask() -> None:
        # Within a transaction: the next question gets the same connection, and has its own time.
        async with api.app.state.pool.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = '50ms'")
            await connection.execute("SELECT slow()")

    async def broken(*_: object) -> None:
        await ask()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes_places, "read_stations", broken)
        response = api.get("/api/v1/stations")

    assert (response.status_code, "took too long" in response.json()["detail"]) == (503, True)
    assert api.get("/api/v1/stations").status_code == 200
