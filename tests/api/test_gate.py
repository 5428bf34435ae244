"""The gate by itself: what is counted as work, whose turn it is, and how long anybody is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api import gate, turns
from footfall_api.clients import Clients, Seats
from footfall_api.gate import ABORT_KEY, MAX_ADDRESS, MAX_HEAD, Gate
from footfall_api.proxies import LOCAL_KEY
from footfall_api.settings import ApiSettings
from footfall_api.telemetry import INNER_KEY, Telemetry
from footfall_api.tokens import Tokens

VISITOR = "203.0.113.7"
START = {"type": "http.response.start", "status": 200, "headers": []}

Application = Callable[[Any, Any, Any], Awaitable[None]]


def piece(*, last: bool = False) -> dict[str, Any]:
    """A piece of an answer."""
    return {"type": "http.response.body", "body": b"x", "more_body": not last}


class House:
    """A gate before an application, with a clock that is set by hand."""

    def __init__(self, app: Application, at_once: int = 2, **limits: Any) -> None:
        self.now = 1000.0
        settings = ApiSettings.model_validate({"limits": limits, "http": {"public_url": "https://a.example"}})
        self.telemetry = Telemetry()
        self.clients = Clients(settings.limits, at_once)
        self._gate = Gate(app, settings, Tokens(), self.clients, self.telemetry, clock=lambda: self.now)
        self.account = self.clients.of(VISITOR)

    async def ask(
        self,
        path: str = "/api/v1/stations",
        *,
        method: str = "GET",
        headers: tuple[tuple[bytes, bytes], ...] = ((b"host", b"a.example"),),
        send: Callable[[Any], Awaitable[None]] | None = None,
        **more: Any,
    ) -> list[Any]:
        """What is sent to the visitor."""
        sent: list[Any] = []

        async def take(message: Any) -> None:
            if send is not None:
                await send(message)
            sent.append(message)

        path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": list(headers), "client": (VISITOR, 1), **more,
        }  # fmt: skip
        await self._gate(scope, None, take)  # type: ignore[arg-type]
        return sent

    def refused(self, reason: str) -> float:
        """How many were refused for a reason."""
        return self.telemetry.registry.get_sample_value("footfall_http_refused_total", {"reason": reason}) or 0

    def used(self) -> float:
        """Seconds of work that the visitor has been counted for."""
        return self.account.work.size - self.account.work._level


async def done(_scope: Any, _receive: Any, send: Any) -> None:
    """An application that answers at once."""
    await send(START)
    await send(piece(last=True))


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=8))
def test_work_is_what_is_done_between_the_pieces_and_not_their_sending(times: list[tuple[float, float]]) -> None:
    """A slow line costs its client nothing; whoever lets us work for long is counted for all of it."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for place, (work_s, _) in enumerate(times):
            house.now += work_s
            await send(piece(last=place == len(times) - 1) if place else {**START})
        if len(times) == 1:
            await send(piece(last=True))

    waits = iter([*(send_s for _, send_s in times), 1.0])

    async def slowly(_message: Any) -> None:
        house.now += next(waits)

    house = House(app, work_s=1000, work_s_per_minute=1e-9)
    sent = asyncio.run(house.ask(send=slowly))

    assert sent[-1]["more_body"] is False
    assert house.used() == pytest.approx(sum(work_s for work_s, _ in times), abs=1e-6)
    assert not house.account.turns.locked()


def test_work_that_fails_is_counted_too() -> None:
    """And its turn is given back."""

    async def broken(*_: Any) -> None:
        house.now += 5
        raise ZeroDivisionError

    house = House(broken, at_once=1, work_s_per_minute=1e-9)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(house.ask())

    assert house.used() == pytest.approx(15)


def test_a_client_has_so_many_turns_and_others_have_their_own() -> None:
    """While two are worked on a third waits; a visitor from elsewhere does not."""
    at_work = 0
    most: dict[str, int] = {}

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        nonlocal at_work
        at_work += 1
        most[scope["client"][0]] = max(at_work, most.get(scope["client"][0], 0))
        await asyncio.sleep(0.01)
        at_work -= 1
        await done(scope, None, send)

    house = House(app)

    async def all_of_one(client: str) -> list[list[Any]]:
        return await asyncio.gather(*(house.ask(client=(client, 1)) for _ in range(8)))

    for client in (VISITOR, "2001:db8::1"):
        answers = asyncio.run(all_of_one(client))
        assert [answer[0]["status"] for answer in answers] == [200] * 8, "they wait, and are answered"
        assert most[client] == 2


def test_who_is_sent_to_holds_up_nobody_else_of_the_same_house() -> None:
    """A download over a slow line takes no turn while it is being sent."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(3):
            await send(piece())
        await send(piece(last=True))

    house = House(app, at_once=1)

    async def together() -> tuple[list[Any], list[Any]]:
        goes_on = asyncio.Event()
        download = asyncio.create_task(house.ask(send=lambda _: goes_on.wait()))
        await asyncio.sleep(0)
        quick = await house.ask()
        assert not download.done()
        goes_on.set()
        return quick, await download

    quick, slow = asyncio.run(together())
    assert (len(quick), len(slow)) == (5, 5)


def test_only_so_many_answers_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each client as many as connections, also where a proxy's connections are nobody's; and so for all."""

    class Few(Seats):
        """Six for all; the settings allow ten and more."""

        def __init__(self, each: int, _together: int) -> None:
            super().__init__(each, 6)

    monkeypatch.setattr(gate, "Seats", Few)
    house = House(done, connections_per_client=4)

    async def follow() -> None:
        goes_on = asyncio.Event()

        def hold(client: str, number: int) -> list[asyncio.Task[list[Any]]]:
            slow = lambda _: goes_on.wait()  # noqa: E731  # a line that nothing gets through
            return [asyncio.create_task(house.ask(client=(client, 1), send=slow)) for _ in range(number)]

        held = hold(VISITOR, 4)
        await asyncio.sleep(0.01)
        start, body = await house.ask()
        assert (start["status"], dict(start["headers"])[b"retry-after"]) == (429, b"30")
        assert b"urn:footfall:problem:too-many-connections" in body["body"]
        held += hold("203.0.113.8", 2)
        await asyncio.sleep(0.01)
        start, _ = await house.ask(client=("203.0.113.9", 1))
        assert start["status"] == 503
        assert (await house.ask(client=("127.0.0.1", 1), **{LOCAL_KEY: True}))[0]["status"] == 200
        goes_on.set()
        assert [sent[0]["status"] for sent in await asyncio.gather(*held)] == [200] * 6
        assert (await house.ask())[0]["status"] == 200, "whoever is done makes room"

    asyncio.run(follow())
    assert house.refused("too-many-connections") == 2


def test_who_never_gets_a_turn_is_told_to_ask_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """429, after a while; nothing was worked on."""
    monkeypatch.setattr(turns, "TURN_S", 0.1)

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await goes_on.wait()
        await done(scope, None, send)

    house = House(app, at_once=1)
    goes_on = asyncio.Event()

    async def two() -> tuple[list[Any], list[Any]]:
        first = asyncio.create_task(house.ask())
        await asyncio.sleep(0)
        second = await house.ask()
        goes_on.set()
        return await first, second

    first, second = asyncio.run(two())
    assert (first[0]["status"], second[0]["status"]) == (200, 429)
    assert b"too-many-at-once" in second[1]["body"]
    assert house.refused("too-many-at-once") == 1


def test_what_takes_too_long_ends_with_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 and what to ask instead; what was begun for it is ended too."""
    monkeypatch.setattr(gate, "ANSWER_S", 0.1)
    ended = []

    async def app(*_: Any) -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    house = House(app)
    (start, body) = asyncio.run(house.ask())

    assert (start["status"], ended) == (503, [True])
    assert b"took-too-long" in body["body"]


@pytest.mark.parametrize("where", ["sending", "working"])
def test_half_an_answer_that_does_not_go_on_ends_with_its_connection(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Whoever does not read is cut off, and so is an answer whose next piece does not come: it is not whole."""
    monkeypatch.setattr(gate, "SEND_S" if where == "sending" else "ANSWER_S", 0.1)

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(START)
        await send(piece())
        if where == "working":
            await asyncio.sleep(600)
        await send(piece(last=True))

    async def stuck(message: Any) -> None:
        if where == "sending" and message["type"] == "http.response.body":
            await asyncio.sleep(600)

    cut: list[bool] = []
    house = House(app)
    sent = asyncio.run(house.ask(send=stuck, state={ABORT_KEY: lambda: cut.append(True)}))

    assert cut == [True]
    assert all(message.get("more_body", True) for message in sent), "nothing says that this was all"
    assert house.refused("does-not-read" if where == "sending" else "took-too-long") == 1
    with pytest.raises(ConnectionAbortedError):  # where the server has not said how to cut
        asyncio.run(House(app).ask(send=stuck))


@pytest.mark.parametrize("pieces", [0, 2, 3])
def test_an_answer_that_breaks_in_the_middle_ends_with_its_connection(pieces: int) -> None:
    """To HTTP/1.0 a connection that ends is the end of the answer. A whole one is not cut, whatever comes after it."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for place in range(pieces):
            await send(piece(last=place == 2) if place else START)
        raise ZeroDivisionError

    cut: list[bool] = []
    with pytest.raises(ZeroDivisionError):  # the server writes it to the log
        asyncio.run(House(app).ask(state={ABORT_KEY: lambda: cut.append(True)}))

    assert cut == [True] * (pieces == 2)


def test_a_live_stream_lasts_and_takes_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for news most of the time; that is no work, and no time is too long."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]})
        monkeypatch.setattr(gate, "ANSWER_S", 0.05)
        for _ in range(3):
            await asyncio.sleep(2 * gate.ANSWER_S)
            house.now += 100
            await send(piece())
        await send(piece(last=True))

    house = House(app, at_once=1)

    async def both() -> list[Any]:
        stream = asyncio.create_task(house.ask())
        await asyncio.sleep(0)
        await house.account.turns.acquire()
        house.account.turns.release()
        return await stream

    assert len(asyncio.run(both())) == 5
    assert house.used() == 0


@pytest.mark.parametrize(
    ("limits", "kind"), [({"requests": 3}, "too-many-requests"), ({"work_s": 30}, "too-much-work")]
)
def test_who_has_used_up_theirs_waits_as_long_as_told(limits: dict[str, float], kind: str) -> None:
    """429 with the seconds after which it works again, and what to do instead; then it works."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        house.now += 10.5
        await done(scope, None, send)

    house = House(app, requests_per_minute=1, work_s_per_minute=1, **limits)
    for _ in range(3):
        assert asyncio.run(house.ask())[0]["status"] == 200

    start, body = asyncio.run(house.ask())
    headers = dict(start["headers"])
    wait_s = int(headers[b"retry-after"])

    assert (start["status"], headers[b"content-type"]) == (429, b"application/problem+json")
    assert f"urn:footfall:problem:{kind}".encode() in body["body"]
    assert f"wait {wait_s} s".encode() in body["body"]
    assert b"/files/" in body["body"]
    assert house.refused(kind) == 1
    assert asyncio.run(house.ask(client=("203.0.113.8", 1)))[0]["status"] == 200, "nobody else pays for it"
    house.now += wait_s - 11 - 1
    if wait_s > 12:
        assert asyncio.run(house.ask())[0]["status"] == 429
    house.now += 1 + 11
    assert asyncio.run(house.ask())[0]["status"] == 200


def test_files_of_pages_and_what_is_asked_from_within_are_not_counted() -> None:
    """A page has many files, and what it asks the API is a part of itself."""
    house = House(done, requests=1, requests_per_minute=0.001)
    for _ in range(5):
        assert asyncio.run(house.ask("/static/0123/js/now.js"))[0]["status"] == 200
        assert asyncio.run(house.ask(**{INNER_KEY: True}))[0]["status"] == 200

    assert [asyncio.run(house.ask())[0]["status"] for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("path", ["/static/0123/js/now.js", "/healthz"])
def test_files_of_pages_and_the_sign_of_life_wait_for_nothing(path: str) -> None:
    """Neither for a turn behind questions that take long, nor for work to come back."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] != path:
            await goes_on.wait()
        house.now += 100
        await send(START)
        await send(piece())
        await send(piece(last=True))

    house = House(app, at_once=1, work_s=1, work_s_per_minute=1)
    goes_on = asyncio.Event()

    async def both() -> list[Any]:
        asking = asyncio.create_task(house.ask())
        await asyncio.sleep(0)
        answers = [await house.ask(path) for _ in range(2)]
        goes_on.set()
        return [*answers, await asking, await house.ask(path), await house.ask()]

    found = [sent[0]["status"] for sent in asyncio.run(asyncio.wait_for(both(), 5))]
    assert found == [200, 200, 200, 200, 429]


@pytest.mark.parametrize(
    ("words", "status", "kind"),
    [
        ({"path": "/" + "a" * MAX_ADDRESS}, 414, "address-too-long"),
        ({"path": "/?" + "a=&" * MAX_ADDRESS}, 414, "address-too-long"),
        ({"headers": ((b"host", b"a.example"), (b"x", b"y" * MAX_HEAD))}, 431, "headers-too-long"),
        ({"headers": ((b"host", b"a.example"), *[(b"x", b"")] * MAX_HEAD)}, 431, "headers-too-long"),
        ({"headers": ((b"host", b"a.example"), (b"content-length", b"1"))}, 413, "body-not-read"),
        ({"headers": ((b"host", b"a.example"), (b"transfer-encoding", b"chunked"))}, 413, "body-not-read"),
        ({"method": "OPTIONS", "headers": ((b"host", b"a.example"), (b"content-length", b"9"))}, 413, "body-not-read"),
        ({"headers": ((b"host", b"b.example"),)}, 421, "unknown-host"),
    ],
)
def test_what_is_too_much_is_refused_before_anything_looks_at_it(words: dict[str, Any], status: int, kind: str) -> None:
    """With a problem that says what is right; the application never sees it."""

    async def never(*_: Any) -> None:
        raise AssertionError

    start, body = asyncio.run(House(never).ask(**words))

    assert start["status"] == status
    assert f"urn:footfall:problem:{kind}".encode() in body["body"]
    assert len(body["body"]) < 4000, "it is not said back"


@pytest.mark.parametrize("sent", [(b"content-length", b"0"), (b"content-length", b"00"), (b"expect", b"100-continue")])
def test_a_body_of_nothing_is_none(sent: tuple[bytes, bytes]) -> None:
    """Some programs send its length with every request."""
    (start, _) = asyncio.run(House(done).ask(headers=((b"host", b"a.example"), sent)))

    assert (start["status"], dict(start["headers"])) == (200, {})


def test_after_a_body_that_nobody_reads_the_connection_ends() -> None:
    """What is left of it is no next request."""
    headers = ((b"host", b"a.example"), (b"content-length", b"9"))
    for method in ("GET", "POST"):
        start = asyncio.run(House(done).ask(method=method, headers=headers))[0]

        assert dict(start["headers"])[b"connection"] == b"close", method


@given(st.binary(max_size=40))
def test_whatever_stands_in_host_is_answered(host: bytes) -> None:
    """With a refusal, unless it is the name."""
    start = asyncio.run(House(done).ask(headers=((b"host", host),)))[0]

    assert start["status"] in {400, 421} or host.lower().startswith((b"a.example", b"localhost", b"127.", b"[::1]"))
