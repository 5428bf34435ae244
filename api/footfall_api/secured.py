"""What every answer tells browsers not to do with it. Pages have a policy of their own (`pages.frame`)."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OF_ALL: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Nothing that is opened as a page by itself, such as a drawing, may run or load anything, or stand in a frame.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}

_A_YEAR: Final = "max-age=31536000"
"""Browsers ask by https only for so long. Not for other names below ours: these are not all the API's."""


class SecureAnswers:
    """Add the headers that are not there yet."""

    def __init__(self, app: ASGIApp, public_url: str, static_policy: str) -> None:
        """`static_policy` is that of files of pages: a worker is bound by the policy of its own file."""
        self._app = app
        self._headers: Mapping[str, str] = _OF_ALL | (
            {"Strict-Transport-Security": _A_YEAR} if public_url.startswith("https://") else {}
        )
        self._static = {**self._headers, "Content-Security-Policy": static_policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = self._static if scope["path"].startswith("/static/") else self._headers

        async def securing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                for name, value in wanted.items():
                    headers.setdefault(name, value)
                message["headers"] = headers.raw
            await send(message)

        await self._app(scope, receive, securing)
