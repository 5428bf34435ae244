"""What a client would rather have, from its Accept header."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from fastapi import Request

T = TypeVar("T")


def preferred(request: Request, among: Sequence[T], media_types: Mapping[T, str]) -> T:
    """Of `among` what the client likes best, by its media type; the first where it is all the same."""
    wanted = _qualities(request.headers.get("Accept", ""))
    return max(among, key=lambda found: _quality(wanted, media_types[found].partition(";")[0]))


def _qualities(accept: str) -> dict[str, float]:
    """The media ranges of an Accept header with their quality; those that cannot be read are none."""
    found = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (word.strip() for word in part.split(";"))
        quality = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        if re.fullmatch(r"[01](\.\d{0,3})?", quality):
            found[media_range] = float(quality)
    return found


def _quality(wanted: Mapping[str, float], media_type: str) -> float:
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((wanted[media_range] for media_range in ranges if media_range in wanted), 0.0)
