"""The OpenAPI document as people read it: endpoints in groups, with parameters, answers and addresses to follow.

Everything comes from the document itself, so that what it says and what is shown cannot differ. Only the examples are
written here, because they ask about the stations there are. Pure: no clock, no database.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import quote

from footfall_api.problems import MEDIA_TYPE as PROBLEM

_SCHEMAS: Final = "#/components/schemas/"
_MARKED: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `kind` is empty, ``code`` or ``strong``."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """A part of the name of a type; `anchor` leads to where it is described."""

    text: str
    anchor: str | None = None


Pieces = tuple[Piece, ...]
Words = tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an endpoint, or one field of an answer."""

    name: str
    in_path: bool
    required: bool
    type: Words
    choices: tuple[str, ...]
    default: str | None
    limits: tuple[str, ...]
    examples: tuple[str, ...]
    text: Pieces


@dataclass(frozen=True, slots=True)
class Carrier:
    """One form that an answer may have."""

    media_type: str
    type: Words


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint may answer."""

    status: str
    text: Pieces
    carriers: tuple[Carrier, ...]
    is_problem: bool
    """An error in the one shape that all errors have."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of the API."""

    anchor: str
    method: str
    path: str
    summary: str
    paragraphs: tuple[Pieces, ...]
    parameters: tuple[Parameter, ...]
    replies: tuple[Reply, ...]
    examples: tuple[str, ...]
    """Addresses to follow, from the slash on. None where the city has no such place yet."""


@dataclass(frozen=True, slots=True)
class Group:
    """The endpoints of one tag."""

    name: str
    text: Pieces
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """An object in an answer with its fields, or a set of words."""

    name: str
    anchor: str
    text: Pieces
    fields: tuple[Parameter, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiView:
    """All there is to say about the API."""

    version: str
    paragraphs: tuple[Pieces, ...]
    groups: tuple[Group, ...]
    schemas: tuple[Schema, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the examples ask about: ids of a station and of an area (None: there is none), and a day."""

    station: str | None
    area: str | None
    today: date


_EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "station_counts": ("split=direction", "from={week_ago}&to={today}&resolution=1d&format=csv"),
    "counts": ("resolution=1d&from={week_ago}&to={today}", "from={week_ago}&to={today}&format=csv-de&remarks=column"),
    "remarks": ("", "format=csv"),
    "station_compare": ("resolution=1d&from={week_ago}&to={today}",),
    "area_compare": ("resolution=1d&from={week_ago}&to={today}",),
    "station_before_after": ("before={two_months_ago}&weeks=4",),
    "area_before_after": ("before={two_months_ago}&weeks=4",),
    "station_totals": ("resolution=1mo&format=csv",),
}
"""What the examples of an endpoint ask for; of the others nothing but what must be given."""


def api_view(document: Mapping[str, Any], sample: Sample) -> ApiView:
    """The document in the order that its tags are in."""
    endpoints: dict[str, list[Endpoint]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for tag in operation.get("tags", ())[:1]:
                endpoints.setdefault(tag, []).append(_endpoint(path, method, operation, document, sample))
    texts = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    return ApiView(
        document["info"]["version"],
        paragraphs_of(document["info"].get("description", "")),
        tuple(Group(name, pieces_of(texts.get(name, "")), tuple(found)) for name, found in endpoints.items() if found),
        tuple(_schema(name, schema, document) for name, schema in sorted(document["components"]["schemas"].items())),
    )


def pieces_of(text: str) -> Pieces:
    """A line of text, in which `code` and **strong** are told apart."""
    return tuple(_pieces(" ".join(text.split())))


def _pieces(text: str) -> Iterator[Piece]:
    place = 0
    for found in _MARKED.finditer(text):
        if found.start() > place:
            yield Piece(text[place : found.start()])
        yield Piece(found[1], "code") if found[1] else Piece(found[2], "strong")
        place = found.end()
    if place < len(text):
        yield Piece(text[place:])


def paragraphs_of(text: str) -> tuple[Pieces, ...]:
    """A text cut at its empty lines."""
    return tuple(pieces_of(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip())


def anchor_of(schema: str) -> str:
    """Where a schema is described."""
    return f"schema-{schema}"


def type_of(schema: Mapping[str, Any]) -> Words:
    """What a schema allows, in words: ``list of Value``, ``integer or null``."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_SCHEMAS)
        return (Word(name, anchor_of(name)),)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _joined([type_of(part) for part in schema[several]])
    if "const" in schema:
        return (Word(f'"{schema["const"]}"'),)
    if "enum" in schema:
        return _joined([(Word(f'"{word}"'),) for word in schema["enum"]])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return (Word("list of "), *type_of(schema.get("items", {})))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return (Word("object, each field "), *type_of(schema["additionalProperties"]))
    return (Word(f"{kind} ({schema['format']})" if "format" in schema else kind),)


def _joined(types: Sequence[Words]) -> Words:
    found: list[Word] = []
    for number, words in enumerate(types):
        if number:
            found.append(Word(" or "))
        found += words
    return tuple(found)


_SAYS_NOTHING: Final = "Successful Response"
"""What FastAPI writes where nobody described an answer."""


_LIMITS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


def _limits(schema: Mapping[str, Any]) -> tuple[str, ...]:
    found = {name: schema[name] for name in _LIMITS if name in schema and (name, schema[name]) != ("minLength", 1)}
    return tuple(_LIMITS[name].format(limit) for name, limit in found.items())


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself, or the one it names; of several the first that is not null."""
    for part in schema.get("anyOf", ()):
        if part.get("type") != "null":
            return _resolved(part, document)
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_SCHEMAS)
        found: Mapping[str, Any] = document["components"]["schemas"][name]
        return found
    return schema


def _parameter(given: Mapping[str, Any], document: Mapping[str, Any]) -> Parameter:
    schema = given["schema"]
    choices = tuple(str(word) for word in _resolved(schema, document).get("enum", ()))
    without_null = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    shown: Words = () if choices else _joined([type_of(part) for part in without_null or [schema]])
    default = schema.get("default")
    return Parameter(
        given["name"],
        given["in"] == "path",
        bool(given.get("required")),
        shown,
        choices,
        None if default is None else str(default),
        _limits(schema),
        tuple(str(example) for example in schema.get("examples", ())),
        pieces_of(given.get("description", "")),
    )


def _field(name: str, schema: Mapping[str, Any], *, required: bool) -> Parameter:
    return Parameter(
        name,
        in_path=False,
        required=required,
        type=type_of(schema),
        choices=(),
        default=None,
        limits=_limits(schema),
        examples=(),
        text=pieces_of(schema.get("description", "")),
    )


def _schema(name: str, schema: Mapping[str, Any], document: Mapping[str, Any]) -> Schema:
    required = set(schema.get("required", ()))
    return Schema(
        name,
        anchor_of(name),
        pieces_of(schema.get("description", "")),
        tuple(
            _field(field, found, required=field in required) for field, found in schema.get("properties", {}).items()
        ),
        tuple(str(word) for word in _resolved(schema, document).get("enum", ())),
    )


def _reply(status: str, given: Mapping[str, Any]) -> Reply:
    content = given.get("content", {})
    text = given.get("description", "")
    return Reply(
        status,
        pieces_of("" if text == _SAYS_NOTHING else text),
        tuple(Carrier(media_type, type_of(carrier.get("schema", {}))) for media_type, carrier in content.items()),
        set(content) == {PROBLEM},
    )


def _endpoint(
    path: str, method: str, operation: Mapping[str, Any], document: Mapping[str, Any], sample: Sample
) -> Endpoint:
    anchor = str(operation["operationId"])
    return Endpoint(
        anchor,
        method.upper(),
        path,
        operation.get("summary", ""),
        paragraphs_of(operation.get("description", "")),
        tuple(_parameter(given, document) for given in operation.get("parameters", ())),
        tuple(_reply(status, given) for status, given in sorted(operation["responses"].items())),
        _examples(anchor, path, sample),
    )


def _examples(anchor: str, path: str, sample: Sample) -> tuple[str, ...]:
    for name, place in (("station", sample.station), ("area", sample.area)):
        if f"{{{name}}}" in path:
            if place is None:
                return ()
            path = path.replace(f"{{{name}}}", quote(place, safe=""))
    days = {
        "today": sample.today,
        "week_ago": sample.today - timedelta(days=7),
        "two_months_ago": sample.today - timedelta(weeks=8),
    }
    queries = [query.format(**days) for query in _EXAMPLES.get(anchor, ("",))]
    return tuple(path + (f"?{query}" if query else "") for query in queries)
