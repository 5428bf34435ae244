"""Ids made of the names that people give places."""

import re
import unicodedata
from typing import Final

LONGEST: Final = 61
"""A station's id is at most this long, so that its sensor's (`-1` added) is one too."""

_GERMAN: Final = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss"}


def id_of(text: str) -> str:
    """An id made of `text`: lower case, accents gone, everything but letters and digits one hyphen; may be empty."""
    german = text.strip().lower().translate(_GERMAN)
    plain = unicodedata.normalize("NFKD", german).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].strip("-")
