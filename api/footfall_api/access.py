"""Who asks: anybody, or the operator, who holds a token and may see more.

Programs send it as ``Authorization: Bearer``. What only the operator may see can also be opened in a browser, which
asks for a name (any) and a password (the token) and sends both as ``Authorization: Basic``. A browser then sends them
with every request to this server, so elsewhere they change nothing: public pages stay what the public sees, and another
name and password may be meant for a proxy in front.

Who sends wrong tokens is not listened to any more after a few, with or without the right one: a guess is answered
either way.
"""

import base64
import binascii
import logging
import time
from enum import StrEnum
from http import HTTPStatus
from math import ceil
from typing import Any, Final

from fastapi import Request
from starlette.types import Scope

from footfall_api.addresses import client_key
from footfall_api.clients import Account, Clients
from footfall_api.problems import Problem
from footfall_api.proxies import LOCAL_KEY
from footfall_api.publication import LIFTED, Publication
from footfall_api.settings import ApiSettings
from footfall_api.tokens import Tokens
from footfall_role.logs import facts

log = logging.getLogger(__name__)

_BEARER: Final = "bearer"
_BASIC: Final = "basic"

CHALLENGE: Final = 'Basic realm="footfall", charset="UTF-8"'
"""What makes a browser ask for name and password."""

OPERATOR_KEY: Final = "footfall.operator"
"""In the scope of a request that brings a bearer's token: whether it is the operator's."""


NO_STORE: Final = {"Cache-Control": "no-store"}
"""Nobody keeps what only the operator may see."""

SECURITY: Final[dict[str, Any]] = {"security": [{"operatorToken": []}, {"operatorPassword": []}]}
"""How the document says of an endpoint that it is for the operator."""

_SHOWN: Final = 100
"""Characters of an address that the log shows."""


class Refusal(StrEnum):
    """Why somebody is not taken for the operator; the kind of the problem."""

    UNNAMED = "operator-only"
    """No token was sent."""
    WRONG = "wrong-token"
    GUESSING = "too-many-attempts"
    """Wrong ones were sent before."""
    UNSET = "no-operator-token"
    """None is configured."""


def is_unlimited(request: Request) -> bool:
    """Whether the limits for the public are lifted for this request.

    Raises:
        Problem: a token was sent that is not the operator's. To answer as if there were none would hide a typing error.
    """
    settings: ApiSettings = request.app.state.settings
    scheme, sent = _authorization(request.scope)
    if scheme != _BEARER:  # other schemes may be meant for a proxy in front
        return settings.public.local
    if not _tokens(request).is_right(sent):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "the token is not the operator's; leave the Authorization header out to see what is public",
            kind=Refusal.WRONG,
            headers={"WWW-Authenticate": "Bearer"},
        )
    return True


def rules_for(request: Request) -> Publication:
    """The publication rules as they hold for this request.

    Raises:
        Problem: a token was sent that is not the operator's.
    """
    rules: Publication = request.app.state.rules
    return LIFTED if is_unlimited(request) else rules


def check_operator(request: Request) -> None:
    """Make sure that the operator asks: what follows is nobody else's, also where `local` lifts the public's limits.

    Raises:
        Problem: 401 for want of the right token, as a bearer's or as the password of any name; 429 after too many wrong
            ones; 403 where no token is configured, so that there is none to send.
    """
    tokens = _tokens(request)
    if not tokens:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "this is for the operator, and no operator's token is configured: set operator_token in [public], or "
            "FOOTFALL_PUBLIC__OPERATOR_TOKEN",
            kind=Refusal.UNSET,
            title="No operator's token is configured",
        )
    scheme, sent = _authorization(request.scope)
    if scheme not in {_BEARER, _BASIC}:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "this is for the operator: send the token as 'Authorization: Bearer', or as the password of any user name",
            kind=Refusal.UNNAMED,
            title="For the operator",
            headers={"WWW-Authenticate": CHALLENGE},
        )
    if scheme == _BASIC:
        _check_password(request, tokens, _password(sent))
    elif not tokens.is_right(sent):  # the gate has counted it
        raise _wrong("Bearer")


def check_here_or_operator(request: Request) -> None:
    """Make sure that this machine asks, and no proxy on it, or the operator.

    Raises:
        Problem: as for the operator.
    """
    if not request.scope.get(LOCAL_KEY, False):
        check_operator(request)


def bearer(scope: Scope) -> str | None:
    """The bearer's token that a request brings; None: none."""
    scheme, sent = _authorization(scope)
    return sent if scheme == _BEARER else None


def refuse_guessing(account: Account, now_s: float) -> None:
    """Let nobody try tokens who has tried too many.

    Raises:
        Problem: when the next one may be tried.
    """
    if wait_s := account.attempts.wait_s(1, now_s):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many wrong tokens came from your address; wait, or leave the Authorization header out to see what is "
            "public",
            kind=Refusal.GUESSING,
            headers={"Retry-After": str(ceil(wait_s))},
        )


def note_wrong(account: Account, now_s: float, client: str | None, path: str) -> None:
    """Count a wrong token, and say in the log who sent it where: whoever guards the server wants to know."""
    account.attempts.take(1, now_s)
    log.warning("a token that is not the operator's", extra=facts(client=client, path=path[:_SHOWN]))


def _check_password(request: Request, tokens: Tokens, password: str) -> None:
    clients: Clients = request.app.state.clients
    client = request.client.host if request.client else None
    account, now_s = clients.of(client_key(client)), time.monotonic()
    refuse_guessing(account, now_s)
    if not tokens.is_right(password):
        note_wrong(account, now_s, client, request.url.path)
        raise _wrong(CHALLENGE)


def _wrong(challenge: str) -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "the token is not the operator's",
        kind=Refusal.WRONG,
        headers={"WWW-Authenticate": challenge},
    )


def _tokens(request: Request) -> Tokens:
    found: Tokens = request.app.state.tokens
    return found


def _authorization(scope: Scope) -> tuple[str, str]:
    sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, rest = sent.decode("latin-1").partition(" ")
    return scheme.lower(), rest.strip()


def _password(sent: str) -> str:
    """The password in what a browser sends; empty if that cannot be read."""
    try:
        return base64.b64decode(sent, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
