"""Ask the API from within, as the visitor of a page could from without.

The question goes through the very application that answers it over HTTP, without a socket: parameters are checked,
limits for the public hold, and what a page shows is what its download says.
"""

import asyncio
import json
from typing import Any, Final

from starlette.requests import Request
from starlette.types import Message, Scope

from footfall_api.telemetry import INNER_KEY

_KEPT: Final = frozenset({"type", "asgi", "http_version", "scheme", "server", "client", "root_path", "state"})


class RefusedError(Exception):
    """The API refuses a question: its status, and what it says about it."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail


async def ask(request: Request, path: str, query: str) -> Any:
    """The JSON with which the API answers a GET of `path` (which begins with /api/), with the visitor's own rights.

    Raises:
        RefusedError: it answers with a status of 400 or more.
    """
    root = str(request.scope.get("root_path", "")).rstrip("/")
    kept = [(name, value) for name, value in request.scope["headers"] if name in {b"authorization", b"host"}]
    scope: Scope = {name: value for name, value in request.scope.items() if name in _KEPT} | {
        "method": "GET",
        "path": root + path,
        "raw_path": (root + path).encode(),
        "query_string": query.encode(),
        "headers": [*kept, (b"accept", b"application/json")],
        INNER_KEY: True,
    }
    status, asked = 500, False
    pieces: list[bytes] = []

    async def receive() -> Message:
        nonlocal asked
        if asked:  # an answer that is sent in pieces waits here for its reader to leave, who does not
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.append(message.get("body", b""))

    await request.app(scope, receive, send)
    body = b"".join(pieces)
    if status >= 400:
        raise _refused(status, body)
    return json.loads(body)


def _refused(status: int, body: bytes) -> RefusedError:
    try:
        problem = json.loads(body)
        return RefusedError(status, str(problem["title"]), str(problem.get("detail", "")))
    except (ValueError, KeyError, TypeError):
        return RefusedError(status, "error", body[:300].decode("utf-8", "replace"))
