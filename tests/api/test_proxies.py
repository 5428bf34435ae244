"""Who asks, where proxies stand in between and where somebody pretends to be one."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.addresses import is_in, networks
from footfall_api.proxies import LOCAL_KEY, BehindProxies, client_of
from footfall_api.settings import ApiSettings
from footfall_testing.city import Api

OURS = networks(["127.0.0.0/8", "10.0.0.0/8", "::1"])
STRANGER = "198.51.100.9"
VISITOR = "203.0.113.7"

ADDRESSES = st.one_of(
    st.sampled_from(["127.0.0.1", "10.1.2.3", "::1", "unknown", "", "evil", VISITOR, STRANGER]),
    st.ip_addresses().map(str),
)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (STRANGER, [], STRANGER),
        (STRANGER, [VISITOR], STRANGER),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [VISITOR], VISITOR),
        ("127.0.0.1", [f"1.1.1.1, {VISITOR}"], VISITOR),
        ("127.0.0.1", [f"1.1.1.1,{VISITOR}, 10.0.0.8"], VISITOR),
        ("127.0.0.1", [f"1.1.1.1, {VISITOR}", "10.0.0.8"], VISITOR),
        ("127.0.0.1", [f"127.0.0.1, {VISITOR}"], VISITOR),
        ("127.0.0.1", ["10.0.0.8"], "10.0.0.8"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", [f"{VISITOR}, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["[2001:db8::7]:555"], "2001:db8::7"),
        ("::1", [f"{VISITOR}:80"], VISITOR),
        ("::ffff:127.0.0.1", [VISITOR], VISITOR),
        (None, [VISITOR], None),
        ("127.0.0.1", [",".join(["10.0.0.1"] * 5000)], "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_client(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    """A stranger's word is not heard at all; of a proxy's, what it added itself."""
    assert client_of(peer, forwarded, OURS) == client


@given(st.lists(ADDRESSES, max_size=6), st.lists(ADDRESSES, max_size=6))
def test_whatever_a_client_claims_it_is_what_our_proxy_saw(claimed: list[str], claimed_too: list[str]) -> None:
    """A proxy of ours adds the address at its other end; what stood there before changes nothing."""
    seen = f"{VISITOR}"
    honest = client_of("127.0.0.1", [seen], OURS)

    assert client_of("127.0.0.1", [", ".join([*claimed, *claimed_too, seen])], OURS) == honest == VISITOR
    assert client_of("127.0.0.1", [", ".join(claimed), ", ".join([*claimed_too, seen])], OURS) == VISITOR
    assert client_of(STRANGER, [", ".join(claimed)], OURS) == STRANGER


@given(st.lists(ADDRESSES, max_size=8))
def test_what_is_found_is_an_address(said: list[str]) -> None:
    """Never some text that a client made up: accounts go by it."""
    found = client_of("127.0.0.1", [",".join(said)], OURS)

    assert found is not None
    assert is_in(found, networks(["0.0.0.0/0", "::/0"]))


class Asked:
    """What an application sees behind `BehindProxies`."""

    def __init__(self) -> None:
        async def app(scope: object, *_: object) -> None:
            self.scope = scope

        self._app = BehindProxies(app, OURS)  # type: ignore[arg-type]

    def by(self, peer: str, *headers: tuple[str, str], path: str = "/", version: str = "1.1") -> dict[str, object]:
        """What is noted of a request."""
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        scope: dict[str, object] = {
            "type": "http", "http_version": version, "scheme": "http", "path": path,
            "headers": raw, "client": (peer, 5),
        }  # fmt: skip
        with pytest.raises(StopIteration):
            self._app(scope, None, None).send(None)  # type: ignore[arg-type]
        return scope


@pytest.mark.parametrize(
    ("peer", "headers", "scheme"),
    [
        ("127.0.0.1", [("X-Forwarded-Proto", "https")], "https"),
        ("127.0.0.1", [("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "HTTPS ")], "https"),
        ("127.0.0.1", [("X-Forwarded-Proto", "javascript")], "http"),
        ("127.0.0.1", [("Forwarded", "for=1.2.3.4;proto=https;host=evil.example")], "http"),
        (STRANGER, [("X-Forwarded-Proto", "https")], "http"),
    ],
)
def test_the_scheme_is_what_our_proxy_says(peer: str, headers: list[tuple[str, str]], scheme: str) -> None:
    """One of two words, from one of ours."""
    assert Asked().by(peer, *headers)["scheme"] == scheme


@pytest.mark.parametrize(
    ("peer", "headers", "here"),
    [
        ("127.0.0.1", [("Host", "127.0.0.1:8000")], True),
        ("::1", [("Host", "[::1]:8000")], True),
        ("127.0.0.1", [("Host", "LOCALHOST.:8000")], True),
        ("127.0.0.1", [("Host", "zaehlung.example")], False),
        ("127.0.0.1", [("Host", "zaehlung.example.")], False),
        ("127.0.0.1", [("Host", "evil.example:8000")], False),
        ("127.0.0.1", [("Host", "[2001:db8::1]:8000")], False),
        ("127.0.0.1", [("Host", "0.0.0.0:8000")], False),
        ("127.0.0.1", [("Host", "127.0.0.1/")], False),
        ("127.0.0.1", [("X-Forwarded-Host", "zaehlung.example")], False),
        (STRANGER, [("Host", "127.0.0.1:8000")], False),
        ("127.0.0.1", [("X-Forwarded-For", "127.0.0.1")], False),
        ("127.0.0.1", [("X-Forwarded-For", VISITOR)], False),
        ("127.0.0.1", [("Forwarded", "for=127.0.0.1")], False),
        ("127.0.0.1", [("Via", "1.1 proxy")], False),
        ("127.0.0.1", [("X-Real-IP", "127.0.0.1")], False),
        (STRANGER, [("X-Forwarded-For", "127.0.0.1")], False),
        ("10.0.0.8", [("X-Forwarded-For", "127.0.0.1")], False),
    ],
)
def test_this_machine_itself_comes_through_no_proxy(peer: str, headers: list[tuple[str, str]], here: bool) -> None:
    """Nothing that is claimed makes one local, and what came through a proxy never is."""
    own_name = [] if "Host" in dict(headers) else [("Host", "127.0.0.1")]
    assert Asked().by(peer, *headers, *own_name)[LOCAL_KEY] is here
    assert Asked().by(peer, *headers, *own_name, version="1.0")[LOCAL_KEY] is False, "so asks nginx by itself"


def test_a_proxy_that_does_not_say_for_whom_it_asks_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """All its clients would have one account; the log says what it has to send."""
    asked = Asked()
    with caplog.at_level(logging.WARNING):
        asked.by("127.0.0.1", ("Host", "127.0.0.1"))
        asked.by("127.0.0.1", ("Host", "zaehlung.example"), ("X-Forwarded-For", VISITOR))
        asked.by("127.0.0.1", ("Host", "api:8000"), path="/readyz")
        assert caplog.records == []
        for _ in range(3):
            asked.by("127.0.0.1", ("Host", "zaehlung.example"))

    assert [record.getMessage() for record in caplog.records if "X-Forwarded-For" in record.getMessage()] == [
        "a proxy does not say for whom it asks: let it send X-Forwarded-For, or all its clients count as one"
    ]


# -- in the whole application ------------------------------------------------------------------------------------------


@pytest.fixture
def named(database: str) -> Iterator[Api]:
    """An API that the world knows by a name, behind a proxy in a network of its own."""
    settings = ApiSettings.model_validate(
        {
            "http": {
                "public_url": "https://zaehlung.example",
                "hosts": ["10.9.8.7", "[2001:db8::1]"],
                "trusted_proxies": ["172.16.0.0/12"],
            },
            "database": {"dsn": database},
        }
    )
    with Api(settings) as api:
        yield api


@pytest.fixture
def unnamed(database: str) -> Iterator[Api]:
    """One that has not been told its name."""
    with Api(ApiSettings.model_validate({"database": {"dsn": database}})) as api:
        yield api


@pytest.mark.parametrize(
    "host",
    [
        "zaehlung.example",
        "ZAEHLUNG.example:8443",
        "10.9.8.7",
        "[2001:db8::1]:80",
        "localhost:8000",
        "127.0.0.1",
        "[::1]:1",
    ],
)  # fmt: skip
def test_it_answers_by_its_names(named: Api, host: str) -> None:
    """That of public_url, those in hosts, and those of the machine itself."""
    assert named.request("GET", "/sta/v1.1", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "zaehlung.example.evil.example", "evil.example:443", "10.9.8.8", "-"])
def test_by_another_name_it_is_not_asked(named: Api, host: str) -> None:
    """421 and the names that it has: no cache and no link learns one that somebody made up."""
    for path in ("/", "/api/v1/stations", "/catalog.ttl", "/files/", "/nirgends"):
        response = named.request("GET", path, headers={"Host": host, "Accept": "text/html"})

        assert (response.status_code, response.json()["type"]) == (421, "urn:footfall:problem:unknown-host"), path
        assert "zaehlung.example" in response.json()["detail"]
    assert named.request("GET", "/healthz", headers={"Host": host}).status_code == 200, "a monitor may know it so"


@pytest.mark.parametrize("host", ['evil"><script>', "a b", "evil@zaehlung.example", "zaehlung.example/x", "a:b:c", "ä"])
def test_what_is_no_name_of_a_server_is_never_one(named: Api, unnamed: Api, host: str) -> None:
    """Not even where any name would do: it would stand in links."""
    for api in (named, unnamed):
        response = api.request("GET", "/sta/v1.1", headers={b"Host": host.encode("latin-1")})

        assert (response.status_code, response.json()["type"]) == (400, "urn:footfall:problem:unknown-host")
        assert "script" not in response.text


_WITH_LINKS = ("/sta/v1.1", "/catalog.ttl", "/catalog", "/api/v1/counts?tz=UTC", "/daten", "/en", "/openapi.json")


def test_no_header_changes_where_links_lead(named: Api, unnamed: Api) -> None:
    """Neither from a stranger nor from a proxy, which may pass on what a client wrote."""
    lies = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Original-URL": "/evil",
        "X-Rewrite-URL": "/evil",
        "X-Forwarded-Port": "666",
        "Forwarded": "host=evil.example;proto=evil",
        "X-Host": "evil.example",
        "Origin": "https://evil.example",
        "Referer": "https://evil.example/",
    }
    for client in ("172.16.0.5", "127.0.0.1", STRANGER):
        for api, base in ((named, "https://zaehlung.example"), (unnamed, "http://footfall.test")):
            host = {"Host": "zaehlung.example" if api is named else "footfall.test"}
            for path in (
                "/sta/v1.1",
                "/catalog.ttl",
                "/catalog",
                "/api/v1/counts?tz=UTC",
                "/daten",
                "/en",
                "/openapi.json",
            ):
                response = api.request("GET", path, client=client, headers={**lies, **host, "Accept": "*/*"})

                assert response.status_code < 400, (path, response.text)
                assert "evil" not in response.text, path
                assert [value for name, value in response.headers.items() if "evil" in value] == [], path
            assert (
                api.request("GET", "/sta/v1.1", client=client, headers=host).json()["value"][0]["url"].startswith(base)
            )


def test_behind_our_proxy_links_have_the_visitors_scheme(unnamed: Api) -> None:
    """Without public_url they follow what the visitor asked, which the proxy says; nobody else can."""
    for client, scheme in (("127.0.0.1", "https"), (STRANGER, "http")):
        answer = unnamed.request("GET", "/sta/v1.1", client=client, headers={"X-Forwarded-Proto": "https"})

        assert answer.json()["value"][0]["url"].startswith(f"{scheme}://footfall.test/")
