"""Who asks: anybody, or the operator, who holds the token and may see more.

Programs send it as ``Authorization: Bearer``. What only the operator may see can also be opened in a browser, which
asks for a name (any) and a password (the token) and sends both as ``Authorization: Basic``. A browser then sends them
with every request to this server, so elsewhere they change nothing: public pages stay what the public sees, and another
name and password may be meant for a proxy in front.
"""

import base64
import binascii
import secrets
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from fastapi import Request

from footfall_api.problems import Problem
from footfall_api.publication import LIFTED, Publication
from footfall_api.settings import ApiSettings

_BEARER: Final = "bearer"
_BASIC: Final = "basic"

CHALLENGE: Final = 'Basic realm="footfall", charset="UTF-8"'
"""What makes a browser ask for name and password."""


class Refusal(StrEnum):
    """Why somebody is not taken for the operator; the kind of the problem."""

    UNNAMED = "operator-only"
    """No token was sent."""
    WRONG = "wrong-token"
    UNSET = "no-operator-token"
    """None is configured."""


def is_unlimited(request: Request) -> bool:
    """Whether the limits for the public are lifted for this request.

    Raises:
        Problem: a token was sent that is not the operator's. To answer as if there were none would hide a typing error.
    """
    settings: ApiSettings = request.app.state.settings
    scheme, sent = _authorization(request)
    if scheme != _BEARER:  # other schemes may be meant for a proxy in front
        return settings.public.local
    if not _is_right(sent, settings):
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
        Problem: 401 for want of the right token, as a bearer's or as the password of any name; 403 where no token is
            configured, so that there is none to send.
    """
    settings: ApiSettings = request.app.state.settings
    if not settings.public.operator_token.get_secret_value():
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "this is for the operator, and no operator's token is configured: set operator_token in [public], or "
            "FOOTFALL_PUBLIC__OPERATOR_TOKEN",
            kind=Refusal.UNSET,
            title="No operator's token is configured",
        )
    scheme, sent = _authorization(request)
    if scheme not in {_BEARER, _BASIC}:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "this is for the operator: send the token as 'Authorization: Bearer', or as the password of any user name",
            kind=Refusal.UNNAMED,
            title="For the operator",
            headers={"WWW-Authenticate": CHALLENGE},
        )
    if not _is_right(_password(sent) if scheme == _BASIC else sent, settings):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "the token is not the operator's",
            kind=Refusal.WRONG,
            headers={"WWW-Authenticate": CHALLENGE if scheme == _BASIC else "Bearer"},
        )


def _authorization(request: Request) -> tuple[str, str]:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower(), sent.strip()


def _password(sent: str) -> str:
    """The password in what a browser sends; empty if that cannot be read."""
    try:
        return base64.b64decode(sent, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _is_right(token: str, settings: ApiSettings) -> bool:
    """In a time that does not tell how much of it is right."""
    expected = settings.public.operator_token.get_secret_value()
    return bool(expected) and secrets.compare_digest(token.encode(), expected.encode())
