"""Who asks: anybody, or the operator, who holds the token and may see more."""

import secrets
from http import HTTPStatus
from typing import Final

from fastapi import Request

from footfall_api.problems import Problem
from footfall_api.settings import ApiSettings

_SCHEME: Final = "bearer"


def is_unlimited(request: Request) -> bool:
    """Whether the limits for the public are lifted for this request.

    Raises:
        Problem: a token was sent that is not the operator's. To answer as if there were none would hide a typing error.
    """
    settings: ApiSettings = request.app.state.settings
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != _SCHEME:  # other schemes may be meant for a proxy in front
        return settings.public.local
    expected = settings.public.operator_token.get_secret_value()
    if not expected or not secrets.compare_digest(token.strip().encode(), expected.encode()):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "the token is not the operator's; leave the Authorization header out to see what is public",
            kind="wrong-token",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return True
