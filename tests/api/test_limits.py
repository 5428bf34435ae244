"""The limits in the whole application: what strangers meet, whom they do not hold up, and what the token lifts."""

import asyncio
import base64
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from footfall_api.settings import ApiSettings, DatabaseSettings
from footfall_api.tokens import new_token
from footfall_testing.city import NOW, Api, City

HERE, VISITOR, OTHER = "127.0.0.1", "203.0.113.7", "2001:db8:0:1::1"
OWN_NAME = {"Host": "localhost:8000"}
"""How this machine's own programs ask."""
TOKEN, LINE = new_token()
SECOND = "another-token-that-somebody-chose"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def password(text: str) -> dict[str, str]:
    """What a browser sends."""
    return {"Authorization": "Basic " + base64.b64encode(f"it:{text}".encode()).decode()}


def settings(database: str, **limits: Any) -> ApiSettings:
    """With two tokens, of which one is known by its hash only."""
    public = {"operator_token": f"{LINE}  # since March\n{SECOND}"}
    return ApiSettings.model_validate({"database": {"dsn": database}, "public": public, "limits": limits})


@pytest.fixture
def strict(database: str) -> Iterator[Api]:
    """Three requests, two streams, two wrong tokens."""
    limits = {"requests": 3, "requests_per_minute": 0.01, "live": 3, "live_per_client": 2, "attempts": 2}
    with Api(settings(database, **limits)) as api:
        yield api


def statuses(api: Api, number: int, client: str, path: str = "/api/v1/stations", **headers: str) -> list[int]:
    """Of so many requests one after the other."""
    return [api.request("GET", path, client=client, headers=headers).status_code for _ in range(number)]


def test_everybody_has_requests_of_their_own(strict: Api) -> None:
    """Who has used up theirs is told when there are more and what to do instead; others go on asking."""
    assert statuses(strict, 4, VISITOR) == [200, 200, 200, 429]
    refused = strict.request(
        "GET", "/", client=VISITOR, headers={"Origin": "https://page.example", "Accept": "text/html"}
    )

    assert (refused.status_code, refused.json()["type"]) == (429, "urn:footfall:problem:too-many-requests")
    assert int(refused.headers["Retry-After"]) > 1000
    assert refused.headers["Access-Control-Allow-Origin"] == "*", "a script has to read when to come back"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    assert "/files/" in refused.json()["detail"]
    assert statuses(strict, 3, OTHER) == [200, 200, 200]
    assert statuses(strict, 1, "2001:db8:0:1:ffff::9") == [429], "the same subscriber"
    assert statuses(strict, 1, "2001:db8:0:2::1") == [200], "the next one"


def test_this_machine_asks_as_much_as_it_likes_unless_told_otherwise(strict: Api, database: str) -> None:
    """As in the demo. What comes through a proxy on it is not this machine."""
    assert statuses(strict, 9, HERE, **OWN_NAME) == [200] * 9
    proxied = {"X-Forwarded-For": VISITOR}
    assert statuses(strict, 4, HERE, **proxied) == [200, 200, 200, 429]
    assert statuses(strict, 4, HERE, **{"X-Forwarded-For": f"1.2.3.4, {HERE}, {OTHER}"}) == [200, 200, 200, 429]
    with Api(settings(database, requests=2, requests_per_minute=0.01, loopback=True)) as told:
        assert statuses(told, 3, HERE, **OWN_NAME) == [200, 200, 429]


def test_nobody_gets_more_by_claiming_to_be_somebody_else(strict: Api) -> None:
    """A stranger's headers are not heard, and of a proxy's only what it added itself."""
    claims = [f"198.51.100.{number}" for number in range(9)]
    direct = [statuses(strict, 1, VISITOR, **{"X-Forwarded-For": claim})[0] for claim in claims]
    through = [statuses(strict, 1, HERE, **{"X-Forwarded-For": f"{claim}, {OTHER}"})[0] for claim in claims]
    other = [statuses(strict, 1, "192.0.2.3", Forwarded=f"for={claim}", **{"X-Real-IP": claim})[0] for claim in claims]

    assert direct == through == other == [200] * 3 + [429] * 6


@pytest.mark.parametrize("token", [TOKEN, SECOND], ids=["hashed", "plain"])
def test_each_token_lifts_the_limits(strict: Api, token: str) -> None:
    """So that one may be changed while the other is still in use."""
    bearer = {"Authorization": f"Bearer {token}"}

    assert statuses(strict, 9, VISITOR, **bearer) == [200] * 9
    assert strict.request("GET", "/api/v1/operations", client=VISITOR, headers=bearer).status_code == 200
    assert strict.request("GET", "/betrieb", client=VISITOR, headers=password(token)).status_code == 200
    assert strict.request("GET", "/metrics", client=VISITOR, headers=bearer).status_code == 200


def test_a_password_lifts_nothing_that_a_guess_could_be_seen_by(strict: Api) -> None:
    """A browser sends it everywhere; where it is not looked at, the right one looks like any other."""
    for client, sent in ((VISITOR, password(TOKEN)), (OTHER, password("wrong"))):
        assert statuses(strict, 4, client, **sent) == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("/api/v1/operations", password("guess"), password(TOKEN)),
        ("/betrieb", password("guess"), password(TOKEN)),
        ("/metrics", password("guess"), password(TOKEN)),
        ("/api/v1/operations", {"Authorization": "Bearer guess"}, BEARER),
        ("/api/v1/stations", {"Authorization": "Bearer guess"}, BEARER),
    ],
)
def test_who_guesses_is_not_listened_to_any_more(
    strict: Api, path: str, wrong: dict[str, str], right: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """After two wrong tokens not even the right one tells whether it is: and the log says who guessed, not what."""
    strict.app.state.clients._limits = strict.app.state.clients._limits.model_copy(update={"requests": 0})
    with caplog.at_level(logging.WARNING):
        first = statuses(strict, 2, VISITOR, path, **wrong)
        refused = strict.request("GET", path, client=VISITOR, headers=right)

    assert first == ([200] * 2 if path == "/api/v1/stations" else [401] * 2)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 300
    assert statuses(strict, 1, VISITOR) == [200], "without a token everybody goes on"
    assert strict.request("GET", path, client=OTHER, headers=right).status_code == 200
    noted = [record for record in caplog.records if "operator's" in record.getMessage()]
    assert [record.__dict__["footfall_facts"] for record in noted] == [{"client": VISITOR, "path": path}] * 2
    assert "guess" not in caplog.text


def test_figures_are_for_the_machine_itself_and_the_operator(strict: Api) -> None:
    """A stranger is not told how it is doing, nor a page that is open in a browser on it."""
    for client, headers in (
        (VISITOR, {}),
        (VISITOR, OWN_NAME),
        (HERE, {"Host": "evil.example"}),
        (HERE, OWN_NAME | {"X-Forwarded-For": VISITOR}),
        (HERE, OWN_NAME | {"X-Forwarded-For": HERE}),
    ):
        refused = strict.request("GET", "/metrics", client=client, headers=headers)
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:footfall:problem:operator-only")
        assert "footfall_" not in refused.text
    told = strict.request("GET", "/metrics", client=HERE, headers=OWN_NAME | {"Origin": "https://page.example"})

    assert told.status_code == 200
    assert "Access-Control-Allow-Origin" not in told.headers
    assert told.headers["Cache-Control"] == "no-store"


def test_live_streams_are_counted_for_each_and_for_all(city: City, strict: Api) -> None:
    """The third of a client is refused, and the fourth of all; each that ends makes room."""
    city.counter("markt")
    strict.app.state.clients._limits = strict.app.state.clients._limits.model_copy(update={"requests": 0})

    class Stream:
        """A stream of `client` that lasts until it is left."""

        def __init__(self, client: str) -> None:
            self.left = asyncio.Event()
            self.begun = asyncio.get_running_loop().create_future()
            self.headers = [(b"host", b"footfall.test")]
            self.task = asyncio.ensure_future(self._ask(client))

        async def _ask(self, client: str) -> None:
            scope = {
                "type": "http", "http_version": "1.1", "method": "GET", "path": "/api/v1/live",
                "raw_path": b"/api/v1/live", "query_string": b"", "root_path": "", "scheme": "http",
                "headers": self.headers, "server": ("footfall.test", 80),
                "client": (client, 5), "asgi": {"version": "3.0"},
            }  # fmt: skip
            await strict.app(scope, self._receive, self._send)

        async def _receive(self) -> Any:
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def _send(self, message: Any) -> None:
            if message["type"] == "http.response.start":
                self.begun.set_result(message["status"])

        async def status(self) -> int:
            found: int = await self.begun
            return found

        async def leave(self) -> None:
            self.left.set()
            await self.task

    async def follow() -> None:
        mine = [Stream(VISITOR) for _ in range(3)]  # at the same time: the places are taken one by one all the same
        found = sorted([await stream.status() for stream in mine])
        assert found == [200, 200, 429]
        others = [Stream(OTHER), Stream("192.0.2.9")]
        assert sorted([await stream.status() for stream in others]) == [200, 503]
        for stream in mine:
            await stream.leave()
        again = Stream(VISITOR)
        assert await again.status() == 200
        for stream in (*others, again):
            await stream.leave()
        assert strict.app.state.seats.taken == 0
        assert strict.app.state.feed.watchers == 0

    strict.run(follow())
    refused = [
        strict.telemetry.registry.get_sample_value("footfall_http_refused_total", {"reason": "too-many-streams"})
    ]
    assert refused == [2]


def test_one_client_never_has_all_of_the_database(database: str) -> None:
    """Unless told otherwise it has one connection less than there are."""
    of = ApiSettings.model_validate

    assert of({"database": {"pool_size": 4}}).at_once == 3
    assert of({"database": {"pool_size": 2}}).at_once == 1
    assert of({"limits": {"at_once": 7}}).at_once == 7
    with Api(settings(database)) as api:
        assert api.app.state.clients.of(VISITOR).turns._value == 3


def test_a_page_never_has_all_of_the_database(city: City, database: str) -> None:
    """It asks five things at a time, which get as many connections as the client may have."""
    city.counter("markt")
    config = settings(database).model_copy(update={"database": DatabaseSettings(dsn=database, pool_size=3)})
    had = most = 0
    with Api(config) as api:
        pool = api.app.state.pool
        for one in [api.run(pool.getconn()) for _ in range(2)]:  # they are there: no question waits for the second
            api.run(pool.putconn(one))
        connection = pool.connection

        @asynccontextmanager
        async def counted(*words: Any, **more: Any) -> AsyncIterator[Any]:
            nonlocal had, most
            async with connection(*words, **more) as one:
                had += 1
                most = max(most, had)
                await asyncio.sleep(0.05)
                try:
                    yield one
                finally:
                    had -= 1

        pool.connection = counted
        answer = api.request("GET", "/station/markt", client=VISITOR, headers={"Accept": "text/html"})

    assert (answer.status_code, most) == (200, 2)


def test_one_connection_is_enough_for_every_answer(city: City, database: str) -> None:
    """No question asks for a second one while it has the first: it would wait for itself."""
    for name in ("markt", "saal"):
        city.minutes(city.counter(name), NOW - timedelta(hours=3), 120, {0: 2})
    time = "from=2026-06-01&to=2026-06-11"
    with Api(settings(database, at_once=1)) as api:
        for path in (
            "/", "/station/markt", f"/vergleich?station=markt&station=saal&{time}", "/bericht", "/daten", "/messung",
            "/kiosk", "/betrieb", "/en/operations", "/catalog.ttl", "/api/v1/stations", "/api/v1/areas",
            f"/api/v1/counts?{time}&resolution=1h&format=csv", f"/api/v1/stations/markt/counts?{time}&resolution=1d",
            f"/api/v1/stations/markt/compare?{time}", f"/api/v1/stations/markt/totals?{time}",
            "/api/v1/stations/markt/profile", "/api/v1/stations/markt/before-after?before=2026-06-09&weeks=1",
            "/api/v1/remarks", "/api/v1/privacy", f"/api/v1/ngsi-ld?resolution=1h&{time}", "/api/v1/operations",
            "/sta/v1.1/Things?$expand=Datastreams", "/sta/v1.1/Observations?$top=100", "/readyz",
        ):  # fmt: skip
            headers = {"Accept": "text/html,*/*"} | (
                password(TOKEN) if "operations" in path or path == "/betrieb" else {}
            )
            answer = api.run(asyncio.wait_for(api.asking("GET", path, client=VISITOR, headers=headers), 30))
            assert answer.status_code == 200, (path, answer.text)


def test_refusals_are_counted_by_their_reason_and_by_nothing_that_clients_choose(strict: Api) -> None:
    """Whatever scanners try, there are few series."""
    for path in ("/a", "/b", "/.env", "/c", "/d"):
        strict.request("GET", path, client=VISITOR)
    strict.request("GET", "/e", client=OTHER, headers={"Host": "a/b"})
    figures = strict.figures()
    found = dict(re.findall(r'^footfall_http_refused_total\{reason="([^"]+)"\} (\S+)$', figures, re.MULTILINE))

    assert found == {"too-many-requests": "2.0", "unknown-host": "1.0"}
