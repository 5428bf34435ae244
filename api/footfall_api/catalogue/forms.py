"""The forms in which the catalogue is written; apart from `graph`, which is not loaded before it is needed."""

from enum import StrEnum
from typing import Final


class Form(StrEnum):
    """How the one graph is written; the value ends its own address."""

    TURTLE = "ttl"
    JSON_LD = "jsonld"
    RDF_XML = "rdf"


MEDIA_TYPES: Final = {
    Form.TURTLE: "text/turtle",
    Form.JSON_LD: "application/ld+json",
    Form.RDF_XML: "application/rdf+xml",
}
