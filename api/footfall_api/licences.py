"""The licences that German cities publish data under: their names, where each is read, and their place in the list.

Answers name the licence and where it is read (`licence` and `licence_url` in ``[public]``), catalogues of open data
name its address in the list at http://dcat-ap.de/def/licenses/. All must mean the same one, or the same data would have
two licences.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

LIST: Final = "http://dcat-ap.de/def/licenses/"
"""What the addresses of all licences in the list begin with."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence in the list."""

    uri: str
    names: tuple[str, ...]
    page: str
    """Where it is read: host and path, which another language or form of it may follow."""


KNOWN: Final = (
    Licence(f"{LIST}dl-zero-de/2.0", ("Datenlizenz Deutschland – Zero – Version 2.0",), "govdata.de/dl-de/zero-2-0"),
    Licence(
        f"{LIST}dl-by-de/2.0", ("Datenlizenz Deutschland – Namensnennung – Version 2.0",), "govdata.de/dl-de/by-2-0"
    ),
    Licence(f"{LIST}cc-zero", ("CC0 1.0", "CC0"), "creativecommons.org/publicdomain/zero/1.0"),
    Licence(f"{LIST}cc-by/4.0", ("CC BY 4.0",), "creativecommons.org/licenses/by/4.0"),
    Licence(f"{LIST}cc-by-sa/4.0", ("CC BY-SA 4.0",), "creativecommons.org/licenses/by-sa/4.0"),
    Licence(f"{LIST}odbl", ("ODbL 1.0",), "opendatacommons.org/licenses/odbl"),
)
"""Those that are open and in use. Any other of the list may be chosen by its address."""

_FREE: Final = frozenset({"dl-zero-de/2.0", "cc-zero", "ccpdm/1.0", "odcpddl", "officialWork"})
"""The ends of the addresses of licences that do not want the source to be named."""


def one_licence(name: str, url: str, uri: str) -> str:
    """The address in the list of the licence of this `name`, which is read at `url`; `uri`: what is set, or empty.

    Raises:
        ValueError: they mean different licences, or none of them says which one of the list it is.
    """
    said = {
        f"licence in [public] ({name})": _uri_of(known for known in KNOWN if name in known.names),
        f"licence_url in [public] ({url})": _uri_of(known for known in KNOWN if _is_read_at(known, url)),
        f"licence_uri in [catalogue] ({uri})": uri or None,
    }
    meant = {where: found for where, found in said.items() if found is not None}
    if not meant:
        raise ValueError(
            f"licence_uri in [catalogue] is missing: which one of the list {LIST} is the licence {name!r} at {url!r} "
            f"cannot be told; for example {KNOWN[0].uri}"
        )
    if len(set(meant.values())) > 1:
        differing = ", ".join(f"{where} is {found}" for where, found in meant.items())
        raise ValueError(f"the data can have one licence only, but {differing}; set all of them to the same one")
    return next(iter(meant.values()))


def _uri_of(found: Iterable[Licence]) -> str | None:
    return next((licence.uri for licence in found), None)


def _is_read_at(licence: Licence, url: str) -> bool:
    parts = urlsplit(url.lower())
    return f"{parts.netloc.removeprefix('www.')}{parts.path.rstrip('/')}/".startswith(f"{licence.page}/")


def wants_attribution(uri: str) -> bool:
    """Whether whoever uses the data must name the source. Of a licence that is not known: yes, to be safe."""
    return uri.removeprefix(LIST) not in _FREE
