"""The API's server over real connections: who says nothing or nonsense, who does not read, who comes too often."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from uvicorn import Config, Server

from footfall_api import connections
from footfall_api.app import ShareAnswers
from footfall_api.clients import Clients
from footfall_api.connections import protocol_of
from footfall_api.gate import Gate
from footfall_api.settings import ApiSettings
from footfall_api.telemetry import Telemetry
from footfall_api.tokens import Tokens
from footfall_testing.city import City
from footfall_testing.processes import ApiProcess
from footfall_testing.waiting import wait_until

EACH = 6


@pytest.fixture
def served(city: City, database: str, tmp_path: Path) -> Iterator[ApiProcess]:
    """An API without a proxy, to which this machine is one like any other."""
    city.counter("markt")
    path = tmp_path / "api.toml"
    path.write_text(
        f'[http]\nport = 0\ntrusted_proxies = []\n[database]\ndsn = "{database}"\n'
        f"[limits]\nloopback = true\nconnections_per_client = {EACH}\nconnections = 10\n"
    )
    with ApiProcess(path) as process:
        yield process


def connect(served: ApiProcess) -> socket.socket:
    """A connection to it."""
    host, port = served.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def said(served: ApiProcess, *pieces: bytes) -> bytes:
    """All that is answered to some bytes until the server ends the connection."""
    with closing(connect(served)) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """What comes until the end."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def refused(served: ApiProcess) -> dict[str, float]:
    """How many were refused, by reason; asked as often as it takes to get a connection."""

    def ask() -> str:
        try:
            return httpx.get(f"{served.url}/metrics", timeout=10).text
        except httpx.TransportError:
            return ""

    figures = wait_until(lambda: (text := ask()) and "footfall_http" in text and text, what="the figures")
    found = re.findall(r'^footfall_http_refused_total\{reason="([^"]+)"\} (\S+)$', str(figures), re.MULTILINE)
    return {reason: float(number) for reason, number in found}


GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # somebody speaks TLS
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 300_000 + b"\r\n\r\n", 431),
        (b"G" * 300_000, 431),
    ],
)
def test_what_is_no_request_is_answered_as_every_error_is(served: ApiProcess, sent: bytes, status: int) -> None:
    """A problem, the end of the connection, and nothing in the log."""
    head, _, body = said(served, sent).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"content-type: application/problem+json" in head
    assert b"server:" not in head.lower()
    problem = json.loads(body)
    assert (problem["status"], problem["instance"]) == (status, "")
    assert refused(served)["no-http"] == 1
    assert said(served, GET).startswith(b"HTTP/1.1 200 ")
    assert [line for line in served.log if " INFO " not in line and "superuser" not in line] == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_nothing_is_taken_for_a_second_request_that_was_the_first_ones_body(served: ApiProcess, sent: bytes) -> None:
    """A proxy may see one request where we would see two: what follows a body is never answered."""
    answer = said(served, sent + b"GET /api/v1/stations HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.partition(b"\r\n\r\n")[0]
    assert b"markt" not in answer


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to an application of the test's own, over our protocol."""
    settings = ApiSettings.model_validate({"http": {"trusted_proxies": []}})
    config = Config(app, http=protocol_of(settings, Telemetry()), log_config=None, lifespan="off", timeout_keep_alive=1)
    server = Server(config)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await task


def test_who_still_sends_a_body_after_the_answer_is_hung_up_on() -> None:
    """The answer to a browser's question needs no body to be read: its connection would wait for the rest for ever."""

    async def never(*_: Any) -> None:
        raise AssertionError

    app = ShareAnswers(never, allow_origins=["*"])
    asked = b"OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://e\r\nAccess-Control-Request-Method: GET\r\n"

    async def ask() -> None:
        async with serving(app) as (reader, writer):
            writer.write(asked + b"Content-Length: 1000000000\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.write(b"x")
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 10)
        async with serving(app) as (reader, writer):
            writer.write(asked + b"Content-Length: 1\r\n\r\nx" + asked + b"\r\n")
            found = await asyncio.wait_for(reader.read(), 10)
            assert found.count(b"HTTP/1.1 200 ") == 2, "a body that came with its head is no hindrance"

    asyncio.run(ask())


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_half_an_answer_is_none_in_any_version(version: bytes) -> None:
    """What broke in the middle ends with a reset: to HTTP/1.0 a connection that is closed is the end of the answer."""

    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    settings = ApiSettings()
    app = Gate(broken, settings, Tokens(), Clients(settings.limits, 1), Telemetry())

    async def ask() -> None:
        async with serving(app) as (reader, writer):
            writer.write(b"GET / HTTP/%s\r\nHost: a\r\n\r\n" % version)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 10)

    asyncio.run(ask())


def test_requests_may_follow_each_other_on_a_connection(served: ApiProcess) -> None:
    """Each is answered, in their order; nonsense after them ends it."""
    one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = said(served, one * 3, b"nonsense\r\n\r\n")

    assert [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", answer)] == [200, 200, 200, 400]


def test_an_upgrade_is_not_made(served: ApiProcess) -> None:
    """Neither to WebSocket nor to HTTP/2: the request is answered as it is."""
    for header in (
        (
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        ),
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    ):
        with closing(connect(served)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_who_never_says_what_they_want_is_hung_up_on(served: ApiProcess) -> None:
    """Neither nothing, nor a head that comes a byte at a time, nor a second one keeps a connection for long."""
    slow = threading.Event()

    def drip(connection: socket.socket) -> None:
        try:
            for _ in range(1000):
                connection.sendall(b"a")
                if slow.wait(0.5):
                    return
        except OSError:
            return

    with ExitStack() as opened:
        opened.callback(slow.set)
        silent = opened.enter_context(closing(connect(served)))
        dripping = opened.enter_context(closing(connect(served)))
        dripping.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        second = opened.enter_context(closing(connect(served)))
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):  # head and body may come one after the other
            answer += second.recv(65536)
        second.sendall(b"GET / HTTP/1.1\r\nX: ")
        for connection in (dripping, second):
            threading.Thread(target=drip, args=(connection,), daemon=True).start()
        for connection in (silent, dripping, second):
            assert rest(connection) == b""

    assert refused(served)["slow-head"] == 3


def test_a_client_has_so_many_connections(served: ApiProcess) -> None:
    """One more is told so, and gets one when another ends."""
    with ExitStack() as opened:
        mine = [opened.enter_context(closing(connect(served))) for _ in range(EACH)]
        for connection in mine:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        answer = said(served)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 30" in head
        assert json.loads(body)["type"] == "urn:footfall:problem:too-many-connections"
        mine[0].close()
        wait_until(lambda: said(served, GET).startswith(b"HTTP/1.1 200 "), what="a place")

    assert refused(served)["connections"] >= 1


def test_who_does_not_read_keeps_nothing(served: ApiProcess, city: City) -> None:
    """A client that asks for much and takes none of it is cut off, and its place is free again."""
    api = psutil.Process(served.process.pid)
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 200
    with ExitStack() as opened:
        deaf = socket.socket()
        opened.enter_context(closing(deaf))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = served.url.removeprefix("http://").split(":")
        deaf.connect((host, int(port)))
        deaf.settimeout(1)
        with suppress(TimeoutError):  # nor does the server take any more of what it says
            deaf.sendall(asked)
        me = deaf.getsockname()[1]

        def held() -> bool:
            return any(found.raddr and found.raddr.port == me for found in api.net_connections("tcp"))

        wait_until(held, what="the connection to be there")
        wait_until(lambda: not held(), timeout=4 * connections.UNREAD_S, every=0.5, what="the connection to be cut")
    assert said(served, GET).startswith(b"HTTP/1.1 200 ")
