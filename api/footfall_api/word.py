"""A name for people as a word for machines, as ids and names of packages want it. Pure."""

import unicodedata
from typing import Final

_GERMAN: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def word_of(name: str) -> str:
    """A name as a word of small letters a to z, digits and hyphens: ``Jena`` is ``jena``; ``city`` if none is left."""
    plain = name.lower().translate(_GERMAN)
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split()) or "city"
