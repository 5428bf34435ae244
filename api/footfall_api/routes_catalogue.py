"""The catalogue for portals of open data: one graph in three forms, and the addresses of what is in it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from footfall_api import caching
from footfall_api.accept import preferred
from footfall_api.catalogue.facts import read_facts
from footfall_api.catalogue.forms import MEDIA_TYPES, Form
from footfall_api.database import snapshot
from footfall_api.messages import LANGUAGES, catalogue
from footfall_api.problems import Problem
from footfall_api.publication import Publication
from footfall_api.question import nearest
from footfall_api.settings import ApiSettings

_KEPT_S: Final = 300
"""How long a client need not ask again: portals come once a day."""

_CHOICES: Final = dict[Form | None, str]([*MEDIA_TYPES.items(), (None, "text/html")])
"""What the Accept header chooses from; None is the page for people. Whoever does not mind gets Turtle."""

_VARY: Final = {"Vary": "Accept"}

router = APIRouter(include_in_schema=False)


@router.get("/catalog")
async def whole(request: Request) -> Response:
    """The form that the client likes best; browsers are sent to the page about the data."""
    form = preferred(request, tuple(_CHOICES), _CHOICES)
    if form is None:
        return _see_other(f"{_base(request)}/{catalogue(LANGUAGES[0])('path.data')}", _VARY)
    return await _answer(request, form, _VARY)


async def _in_form(form: Form, request: Request) -> Response:
    return await _answer(request, form)


def _always(form: Form) -> Callable[[Request], Awaitable[Response]]:
    return partial(_in_form, form)


for _form in Form:
    router.add_api_route(f"/catalog.{_form}", _always(_form), name=f"catalogue as {_form}", response_model=None)


@router.get("/catalog/{part}/{name}")
async def member(request: Request, part: str, name: str) -> Response:
    """Where to read of a dataset, a distribution or a service: in the catalogue, which is one document.

    Raises:
        Problem: 404, there is none of that name.
    """
    from footfall_api.catalogue.graph import PARTS  # noqa: PLC0415  # see there

    if name not in PARTS.get(part, ()):
        known = [f"{kind}/{found}" for kind, names in PARTS.items() for found in sorted(names)]
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"there is no '{part}/{name}' here{nearest(f'{part}/{name}', known)}; /catalog has all there is",
        )
    return _see_other(f"{_base(request)}/catalog", {})


def _see_other(address: str, headers: dict[str, str]) -> Response:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": f"public, max-age={_KEPT_S}", **headers})


async def _answer(request: Request, form: Form, more: dict[str, str] | None = None) -> Response:
    # Here, because it takes a quarter of a second and memory, and beside the loop, because it is work.
    from footfall_api.catalogue.graph import written  # noqa: PLC0415

    settings: ApiSettings = request.app.state.settings
    rules: Publication = request.app.state.rules
    base, now_s = _base(request), int(request.app.state.clock().timestamp())
    async with snapshot(request.app.state.pool) as connection:
        facts = await read_facts(connection, settings, rules, base, now_s)
    found = await asyncio.to_thread(written, facts, form)
    others = [
        f'<{base}/catalog.{other}>; rel="alternate"; type="{MEDIA_TYPES[other]}"' for other in Form if other != form
    ]
    headers = {
        "ETag": found.etag,
        "Cache-Control": f"public, max-age={_KEPT_S}",
        "Link": ", ".join(others),
        **(more or {}),
    }
    if caching.not_modified(request, found.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(found.content, headers=headers, media_type=MEDIA_TYPES[form])


def _base(request: Request) -> str:
    """The address of the API, as a part of which addresses in RDF are made: nothing in it that none may have."""
    settings: ApiSettings = request.app.state.settings
    return quote(settings.http.public_url or str(request.base_url).rstrip("/"), safe=":/?#[]@!$&'()*+,;=%~")
