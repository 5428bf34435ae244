"""The query language of SensorThings (OGC 18-088, after OData 4.0): text to a frozen tree, or an error that says where.

What there is to call:

- ``split_query(text) -> [(name, value)]`` decodes the query string of a URL;
  ``parse_query(pairs, entity_set=None, *, max_expands=8, formats=("dataArray",)) -> Query`` reads the options in it.
- ``parse_filter(text, entity_set=None) -> Expression`` reads the condition of one ``$filter``.
- ``parse_path(text) -> ResourcePath`` reads the (decoded) path below the service root.
- ``render(expression) -> text`` writes an expression, so that ``parse_filter(render(tree)) == tree``.

An expression is one of

====================================  ===================================================================
`Literal(value)`                      a value of `footfall_api.sta.values`; shapes and times are read already
`Path(steps)`                         ``("Datastream", "Thing", "name")``, ``("location", "coordinates", 0)``
`Unary(op, operand)`                  ``not``, ``neg``
`Binary(op, left, right)`             ``eq ne gt ge lt le``, ``add sub mul div mod``
`Logical(op, operands)`               ``and``, ``or``: two operands or more, in order
`In(item, options)`                   options are literals, or one path to a JSON list
`Call(name, arguments)`               one of `FUNCTIONS`, in lower case
====================================  ===================================================================

Precedence is OData's, but for ``not``, which takes the whole comparison after it (``not a eq b`` is ``not (a eq b)``),
as FROST-Server reads it. Operators, functions, literals and option names are read in any case, names exactly.

With `entity_set` every name is checked against `NAVIGATIONS` and `PROPERTIES` while it is read, also after an expand,
and the error suggests the nearest. A type that can only be a mistake is refused too (a time compared with text or with
a date, an id compared with text, a filter that is a number), because its answer would be silently empty.

Whatever the text, the only error is `LanguageError`: length, depth, the number of nodes and of digits are bounded, and
no tree is deeper than `MAX_DEPTH`, so that who walks it may recurse.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote

from shapely.geometry.base import BaseGeometry

from footfall_api.sta.values import (
    TIME,
    Interval,
    Value,
    parse_duration,
    parse_geometry,
    parse_interval,
    parse_time,
    write,
)

MAX_LENGTH: Final = 8192
"""Characters of a query string or a path."""

MAX_DEPTH: Final = 64
"""Levels of an expression."""

MAX_EXPANDS: Final = 8
"""Levels of ``$expand``."""

MAX_STEPS: Final = 16
"""Steps of a resource path."""

MAX_NODES: Final = 1000
"""Nodes of all trees of one question."""

MAX_DIGITS: Final = 40
"""Digits of a number."""

_NO_ID: Final = 10**20
"""Stands for an id that is longer than any."""

ENTITY_SETS: Final[tuple[str, ...]] = (
    "Things",
    "Locations",
    "HistoricalLocations",
    "Datastreams",
    "Sensors",
    "Observations",
    "ObservedProperties",
    "FeaturesOfInterest",
)

NAVIGATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Things": {"Locations": "Locations", "HistoricalLocations": "HistoricalLocations", "Datastreams": "Datastreams"},
    "Locations": {"Things": "Things", "HistoricalLocations": "HistoricalLocations"},
    "HistoricalLocations": {"Thing": "Things", "Locations": "Locations"},
    "Datastreams": {
        "Thing": "Things",
        "Sensor": "Sensors",
        "ObservedProperty": "ObservedProperties",
        "Observations": "Observations",
    },
    "Sensors": {"Datastreams": "Datastreams"},
    "ObservedProperties": {"Datastreams": "Datastreams"},
    "Observations": {"Datastream": "Datastreams", "FeatureOfInterest": "FeaturesOfInterest"},
    "FeaturesOfInterest": {"Observations": "Observations"},
}
"""What each entity set leads to, and the set of that; a name that is an entity set leads to many."""

PROPERTIES: Final[Mapping[str, tuple[str, ...]]] = {
    "Things": ("name", "description", "properties"),
    "Locations": ("name", "description", "encodingType", "location", "properties"),
    "HistoricalLocations": ("time",),
    "Datastreams": (
        *("name", "description", "unitOfMeasurement", "observationType"),
        *("observedArea", "phenomenonTime", "resultTime", "properties"),
    ),
    "Sensors": ("name", "description", "encodingType", "metadata", "properties"),
    "ObservedProperties": ("name", "definition", "description", "properties"),
    "Observations": ("phenomenonTime", "resultTime", "result", "resultQuality", "validTime", "parameters"),
    "FeaturesOfInterest": ("name", "description", "encodingType", "feature", "properties"),
}
"""The properties of each entity set, without the id and the links."""

IDS: Final = ("id", "@iot.id")
"""Both names of an id."""

_TIMES: Final = ("phenomenonTime", "resultTime", "validTime", "time")
_CLOSED: Final = ("name", "description", "encodingType", "observationType", "definition", *IDS)
"""Properties into which no path leads; the others hold JSON, or have a `start` and an `end`."""

OPTIONS: Final = ("$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$count", "$resultFormat")


class Function(NamedTuple):
    """How many arguments a function takes, at least and at most, and what it gives."""

    least: int
    most: int
    gives: str


def _functions(gives: str, least: int, names: str, most: int | None = None) -> dict[str, Function]:
    return {name: Function(least, most or least, gives) for name in names.split()}


FUNCTIONS: Final[Mapping[str, Function]] = {
    **_functions("condition", 2, "contains endswith startswith substringof"),
    **_functions("number", 1, "length"),
    **_functions("number", 2, "indexof"),
    **_functions("text", 2, "substring", 3),
    **_functions("text", 1, "tolower toupper trim"),
    **_functions("text", 2, "concat"),
    **_functions("number", 1, "year month day hour minute second fractionalseconds totaloffsetminutes"),
    **_functions("date", 1, "date"),
    **_functions("time of day", 1, "time"),
    **_functions("time", 0, "now mindatetime maxdatetime"),
    **_functions("number", 1, "round floor ceiling"),
    **_functions("number", 2, "geo.distance"),
    **_functions("number", 1, "geo.length"),
    **_functions("condition", 2, "geo.intersects st_equals st_disjoint st_touches st_within st_overlaps st_crosses"),
    **_functions("condition", 2, "st_intersects st_contains"),
    **_functions("condition", 3, "st_relate"),
    **_functions("condition", 2, "before after meets during overlaps starts finishes"),
}
"""Every function by name."""


class LanguageError(ValueError):
    """A question that cannot be read; the message says what was found where, and what would be right."""

    def __init__(self, option: str, position: int, message: str) -> None:
        super().__init__(f"{option}, character {position + 1}: {message}")
        self.option = option
        """Such as ``$filter``; ``path``, or ``query`` when it is none of them."""
        self.position = position
        """Where in the (decoded) text, counted from 0."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Path:
    """A property, through navigations before it and into JSON after it."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """``not``, or ``neg`` for the minus."""

    op: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison or a sum, a product and so on."""

    op: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Logical:
    """All of the operands (``and``) or any (``or``)."""

    op: str
    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class In:
    """Whether the item equals one of the literals, or is in the list that the path leads to."""

    item: "Expression"
    options: "tuple[Literal, ...] | Path"


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `FUNCTIONS`."""

    name: str
    arguments: tuple["Expression", ...]


Expression: TypeAlias = Literal | Path | Unary | Binary | Logical | In | Call


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ``$orderby``."""

    expression: Expression
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """The options of a question, or of one expand; None and empty: not given."""

    filter: Expression | None = None
    select: tuple[str, ...] = ()
    expand: tuple["Expand", ...] = ()
    orderby: tuple[Order, ...] = ()
    top: int | None = None
    skip: int | None = None
    count: bool | None = None
    result_format: str | None = None


@dataclass(frozen=True, slots=True)
class Expand:
    """A navigation to be written out, once for each name."""

    navigation: str
    query: Query = Query()


@dataclass(frozen=True, slots=True)
class Segment:
    """One step of a resource path: a set, or one entity of it (by its key, or by a navigation to one)."""

    name: str
    entity_set: str
    key: int | None = None
    """An id, which may be beyond 64 bits: then there is no such entity."""


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """What a URL names; no segments: the service root."""

    segments: tuple[Segment, ...] = ()
    inside: tuple[str | int, ...] = ()
    """A property of the one entity, and the way into its JSON."""
    suffix: str | None = None
    """``$count`` of a set, ``$ref`` of a set or an entity, ``$value`` of a property."""

    @property
    def many(self) -> bool:
        """Whether it is a set."""
        return bool(self.segments) and _is_many(self.segments[-1])


def _is_many(segment: Segment) -> bool:
    return segment.key is None and segment.name in ENTITY_SETS


def split_query(text: str) -> list[tuple[str, str]]:
    """The names and values of a query string as it stands in the URL; a ``+`` is a space.

    Raises:
        LanguageError: too long, or not percent-encoded UTF-8.
    """
    _check_length("query", text)
    pairs = []
    start = 0
    for part in text.split("&"):
        name, _, value = part.partition("=")
        if part:
            pairs.append((_decoded(name, start), _decoded(value, start + len(name) + 1)))
        start += len(part) + 1
    return pairs


def _decoded(text: str, start: int) -> str:
    wrong = re.search(r"%(?![0-9A-Fa-f]{2})", text)
    if wrong:
        raise LanguageError("query", start + wrong.start(), "a '%' that encodes nothing; write %25 for the sign itself")
    try:
        return unquote(text.replace("+", " "), errors="strict")
    except UnicodeDecodeError as error:
        raise LanguageError("query", start, "bytes that are not UTF-8; encode the text as UTF-8 first") from error


def parse_query(
    pairs: Iterable[tuple[str, str]],
    entity_set: str | None = None,
    *,
    max_expands: int = MAX_EXPANDS,
    formats: Sequence[str] = ("dataArray",),
) -> Query:
    """The options among names and (decoded) values; what does not begin with ``$`` is left to others.

    Args:
        pairs: names with their values, as from `split_query`.
        entity_set: whose names are checked; None: no names are.
        max_expands: how deep expands may nest.
        formats: what ``$resultFormat`` may be, in any case.

    Raises:
        LanguageError: an option that is unknown, given twice, or cannot be read.
    """
    given: dict[str, object] = {}
    nodes = 0
    for name, value in pairs:
        option = _OPTION_NAMES.get(name.lower())
        if option is None:
            if name.startswith("$"):
                raise LanguageError("query", 0, f"there is no option {_shown(name)}{_suggest(name, OPTIONS)}")
            if f"${name.lower()}" in _OPTION_NAMES:
                raise LanguageError("query", 0, f"the option {name} is written ${name}")
            continue
        if _field(option) in given:
            raise LanguageError(option, 0, "it is given twice; give it once")
        parser = _Parser(option, value, entity_set, max_expands=max_expands, formats=formats, nodes=nodes)
        given[_field(option)] = parser.whole(option)
        nodes = parser.nodes
    return Query(**given)  # type: ignore[arg-type]


def parse_filter(text: str, entity_set: str | None = None) -> Expression:
    """The condition of a ``$filter``.

    Raises:
        LanguageError: it cannot be read, or is no condition.
    """
    return _Parser("$filter", text, entity_set).whole("$filter")  # type: ignore[return-value]


def parse_path(text: str) -> ResourcePath:
    """What a (decoded) path below the service root names, such as ``Things(1)/Datastreams/$count``.

    Raises:
        LanguageError: no such set, navigation or property, or a key that is no integer.
    """
    _check_length("path", text)
    start = len(text) - len(text.removeprefix("/"))
    body = text[start:].removesuffix("/")
    segments: list[Segment] = []
    inside: list[str | int] = []
    suffix = None
    for part in body.split("/") if body else ():
        if len(segments) + len(inside) >= MAX_STEPS:
            raise LanguageError("path", start, f"a path of more than {MAX_STEPS} steps; write a shorter one")
        if suffix:
            raise LanguageError("path", start, f"found {_shown(part)} after {suffix}, which ends a path")
        if part.startswith("$"):
            suffix = part
            _check_suffix(part, segments, inside, start)
        elif inside:
            if inside[0] in _CLOSED:
                raise LanguageError("path", start, f"found {_shown(part)} after {inside[0]}, which has no parts")
            inside.append(_step(part))
        elif segments and not _is_many(segments[-1]) and part in _properties(segments[-1].entity_set):
            inside.append(part)
        else:
            segments.append(_segment(part, segments, start))
        start += len(part) + 1
    return ResourcePath(tuple(segments), tuple(inside), suffix)


def _check_suffix(suffix: str, segments: Sequence[Segment], inside: Sequence[object], start: int) -> None:
    many = bool(segments) and _is_many(segments[-1])
    right = {"$value": bool(inside), "$count": many and not inside, "$ref": bool(segments) and not inside}
    if suffix not in right:
        raise LanguageError("path", start, f"there is no {_shown(suffix)}{_suggest(suffix, right)}")
    if not right[suffix]:
        after = {"$value": "a property", "$count": "a set of entities", "$ref": "a set of entities or an entity"}
        raise LanguageError("path", start, f"found {suffix} where it says nothing; it follows {after[suffix]}")


_SEGMENT: Final = re.compile(r"([^()]*)(?:\(([^()]*)\))?")


def _segment(part: str, before: Sequence[Segment], start: int) -> Segment:
    found = _SEGMENT.fullmatch(part)
    if found is None:
        raise LanguageError("path", start, f"{_shown(part)} is not a step of a path; write it as Things(1)")
    name, key = found.groups()
    if not before:
        target, known = {each: each for each in ENTITY_SETS}, ENTITY_SETS
    elif _is_many(before[-1]):
        raise LanguageError(
            "path", start, f"found {_shown(part)} after a set of entities; name one: {before[-1].name}(1)"
        )
    else:
        target = dict(NAVIGATIONS[before[-1].entity_set])
        known = (*target, *_properties(before[-1].entity_set))
    if name not in target:
        where = f" of {before[-1].entity_set}" if before else ""
        raise LanguageError("path", start, f"there is no {_shown(name)}{where}{_suggest(name, known)}")
    if key is None:
        return Segment(name, target[name])
    if name not in ENTITY_SETS:
        raise LanguageError("path", start, f"{name} is one entity already; leave its id out")
    if not re.fullmatch(r"-?[0-9]+", key):
        raise LanguageError("path", start + len(name) + 1, f"found {_shown(key)} as an id; ids are integers: {name}(1)")
    digits = key.lstrip("-0") or "0"
    number = int(digits) if len(digits) < 20 else _NO_ID
    return Segment(name, target[name], -number if key.startswith("-") else number)


def _step(name: str) -> str | int:
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else name


def _properties(entity_set: str) -> tuple[str, ...]:
    return (*PROPERTIES[entity_set], *IDS)


def _check_length(option: str, text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise LanguageError(option, MAX_LENGTH, f"more than {MAX_LENGTH} characters; ask for less at once")
    if "\0" in text:
        raise LanguageError(
            option, text.index("\0"), "found the character 0, which no text here can have; leave it out"
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _suggest(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names; all, when none is near."""
    names = {each.lower(): each for each in known}
    near = get_close_matches(name[:64].lower(), names, 1)
    return f"; did you mean {names[near[0]]}?" if near else f"; there are {', '.join(names.values())}"


_OPTION_NAMES: Final = {option.lower(): option for option in OPTIONS}


def _field(option: str) -> str:
    return "result_format" if option == "$resultFormat" else option[1:]


class _Token(NamedTuple):
    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """The text of a name in lower case; empty for anything else."""
        return self.text.lower() if self.kind == "name" else ""


_TOKEN: Final = re.compile(
    rf"""(?P<space>\s+)
        |(?P<quoted>[A-Za-z]*'(?:[^']|'')*')
        |(?P<interval>{TIME}/{TIME})
        |(?P<time>{TIME})
        |(?P<date>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?![\w:])
        |(?P<clock>[0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]+)?)?)(?![\w:])
        |(?P<number>[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)(?![\w.:])
        |(?P<option>\$\w*)
        |(?P<name>@?[^\W\d][\w.@-]*(?:/[\w.@-]+)*)
        |(?P<mark>[(),;:=-])""",
    re.VERBOSE | re.IGNORECASE,
)


def _tokens(option: str, text: str) -> list[_Token]:
    _check_length(option, text)
    tokens = []
    start = 0
    while start < len(text):
        found = _TOKEN.match(text, start)
        if found is None:
            if re.match(r"[A-Za-z]*'", text[start:]):
                raise LanguageError(option, start, "a text begins here and does not end; close it with a '")
            raise LanguageError(option, start, f"{_shown(text[start:].split(maxsplit=1)[0])} cannot be read")
        if found.lastgroup != "space":
            assert found.lastgroup is not None
            tokens.append(_Token(found.lastgroup, found.group(), start))
        start = found.end()
    return [*tokens, _Token("end", "", len(text))]


_LEVELS: Final = ("or", "and", "not", "eq ne in", "gt ge lt le", "add sub", "mul div mod", "neg")
_PRECEDENCE: Final = {operator: level for level, words in enumerate(_LEVELS, 1) for operator in words.split()}
"""Which operators bind more."""

_PREFIXES: Final = {"-": "neg", "not": "not"}
_COMPARISONS: Final = ("eq", "ne", "gt", "ge", "lt", "le")
_RESERVED: Final = frozenset({*_PRECEDENCE, "asc", "desc"} - {"neg"})
"""Words that no property can begin with."""

_WORDS: Final = {"true": True, "false": False, "null": None}


class _Operand(NamedTuple):
    expression: Expression
    start: int
    grows: bool = False
    """Whether it is an ``and`` or ``or`` without parentheses, to which one more may be added."""


class _Parser:
    """Reads the value of one option; nested options are read by the same."""

    def __init__(
        self,
        option: str,
        text: str,
        entity_set: str | None,
        *,
        max_expands: int = MAX_EXPANDS,
        formats: Sequence[str] = (),
        nodes: int = 0,
    ) -> None:
        self.nodes = nodes
        self._option = option
        self._tokens = _tokens(option, text)
        self._next = 0
        self._depth = 0
        self._level = 0
        self._set = entity_set
        self._max_expands = max_expands
        self._formats = {each.lower(): each for each in formats}
        self._readers: Mapping[str, Callable[[], object]] = {
            "$filter": self._filter,
            "$select": self._select,
            "$expand": self._expand,
            "$orderby": self._orderby,
            "$top": self._number,
            "$skip": self._number,
            "$count": self._count,
            "$resultFormat": self._format,
        }

    def whole(self, option: str) -> object:
        """The value of the option, which is all of the text."""
        value = self._readers[option]()
        if self._token.kind != "end":
            raise self._unexpected("an operator or the end")
        return value

    # what the options hold

    def _filter(self) -> Expression:
        start = self._token.start
        found = self._tree()
        self._check_condition(_Operand(found, start))
        return found

    def _orderby(self) -> tuple[Order, ...]:
        orders = []
        while True:
            found = self._tree()
            word = self._token.word
            if word in {"asc", "desc"}:
                self._next += 1
            orders.append(Order(found, word == "desc"))
            if not self._take(","):
                return tuple(orders)

    def _select(self) -> tuple[str, ...]:
        names: dict[str, None] = {}
        while True:
            token = self._name("the name of a property")
            if self._set is not None:
                known = (*_properties(self._set), "@iot.selfLink", *NAVIGATIONS[self._set])
                self._check_name(token.text, self._set, known, token.start)
            names[token.text] = None
            if not self._take(","):
                return tuple(names)

    def _expand(self) -> tuple[Expand, ...]:
        found: tuple[Expand, ...] = ()
        while True:
            token = self._name("a navigation such as Datastreams")
            names = token.text.split("/")
            if self._level + len(names) > self._max_expands:
                raise LanguageError(self._option, token.start, f"expands more than {self._max_expands} levels deep")
            outside = self._set
            start = token.start
            for name in names:
                self._count_node(start)
                if self._set is not None:
                    self._check_name(name, self._set, NAVIGATIONS[self._set], start)
                    self._set = NAVIGATIONS[self._set][name]
                start += len(name) + 1
            self._level += len(names)
            query = self._nested() if self._take("(") else Query()
            self._level -= len(names)
            self._set = outside
            for name in reversed(names[1:]):
                query = Query(expand=(Expand(name, query),))
            found = _with_expand(found, Expand(names[0], query))
            if not self._take(","):
                return found

    def _nested(self) -> Query:
        given: dict[str, object] = {}
        while not self._take(")"):
            token = self._token
            option = _OPTION_NAMES.get(token.text.lower())
            if token.kind != "option" or option in {None, "$resultFormat"}:
                raise self._unexpected("an option such as $filter, or ')'")
            assert option is not None
            if _field(option) in given:
                raise self._unexpected(f"another option: {option} is given twice")
            self._next += 1
            self._expect("=")
            given[_field(option)] = self._readers[option]()
            if self._take(")"):
                break
            self._expect(";", "';' with another option, or ')'")
        return Query(**given)  # type: ignore[arg-type]

    def _number(self) -> int:
        token = self._token
        if token.kind != "number" or not token.text.isdigit() or len(token.text) > MAX_DIGITS:
            raise self._unexpected("a whole number from 0 on")
        self._next += 1
        return int(token.text)

    def _count(self) -> bool:
        word = self._token.word
        if word not in {"true", "false"}:
            raise self._unexpected("true or false")
        self._next += 1
        return word == "true"

    def _format(self) -> str:
        word = self._token.word
        if word not in self._formats:
            raise self._unexpected(" or ".join(self._formats.values()))
        self._next += 1
        return self._formats[word]

    # expressions

    def _tree(self) -> Expression:
        start = self._token.start
        tree = self._expression()
        level = [tree]
        for _ in range(MAX_DEPTH):
            level = [child for node in level for child in children(node)]
            if not level:
                return tree
        raise LanguageError(self._option, start, f"an expression of more than {MAX_DEPTH} levels; write it flatter")

    def _expression(self) -> Expression:
        """What follows, up to what cannot belong to it; operators wait until one comes that binds less."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._unexpected(f"less: no more than {MAX_DEPTH} levels of parentheses")
        operands: list[_Operand] = []
        waiting: list[str] = []
        while True:
            while prefix := _PREFIXES.get(self._token.text.lower()):
                waiting.append(prefix)
                self._next += 1
            operands.append(self._operand())
            while (operator := self._operator()) is not None:
                self._reduce(operands, waiting, _PRECEDENCE[operator])
                if operator != "in":
                    waiting.append(operator)
                    break
                operands.append(self._membership(operands.pop()))
            else:
                self._reduce(operands, waiting, 0)
                self._depth -= 1
                return operands[0].expression

    def _operator(self) -> str | None:
        word = self._token.word
        if word not in _PRECEDENCE or word in _PREFIXES.values():
            return None
        self._next += 1
        return word

    def _reduce(self, operands: list[_Operand], waiting: list[str], least: int) -> None:
        """Apply the operators that bind as much as `least` or more."""
        while waiting and _PRECEDENCE[waiting[-1]] >= least:
            operator = waiting.pop()
            right = operands.pop()
            self._count_node(right.start)
            if operator in _PREFIXES.values():
                if operator == "not":
                    self._check_condition(right)
                operands.append(_Operand(Unary(operator, right.expression), right.start))
            else:
                operands.append(self._joined(operator, operands.pop(), right))

    def _joined(self, operator: str, left: _Operand, right: _Operand) -> _Operand:
        if operator not in {"and", "or"}:
            if operator in _COMPARISONS:
                self._check_types(left, right)
            return _Operand(Binary(operator, left.expression, right.expression), left.start)
        self._check_condition(left)
        self._check_condition(right)
        first = left.expression
        before = first.operands if left.grows and isinstance(first, Logical) and first.op == operator else (first,)
        return _Operand(Logical(operator, (*before, right.expression)), left.start, grows=True)

    def _membership(self, item: _Operand) -> _Operand:
        self._count_node(item.start)
        if not self._take("("):
            return _Operand(
                In(item.expression, self._path(self._name("a list such as (1,2), or a property"))), item.start
            )
        options = []
        while True:
            start = self._token.start
            option = self._literal()
            if option is None:
                raise self._unexpected("a value such as 5 or 'text'")
            self._check_types(item, _Operand(option, start))
            options.append(option)
            if not self._take(","):
                self._expect(")", "',' or ')'")
                return _Operand(In(item.expression, tuple(options)), item.start)

    def _operand(self) -> _Operand:
        token = self._token
        if self._take("("):
            found = self._expression()
            self._expect(")", "an operator or ')'")
            return _Operand(found, token.start)
        literal = self._literal()
        if literal is not None:
            return _Operand(literal, token.start)
        self._name("a value or the name of a property")
        if self._take("("):
            return _Operand(self._call(token), token.start)
        return _Operand(self._path(token), token.start)

    def _literal(self) -> Literal | None:
        """The value that comes next, if it is one."""
        token = self._token
        if token.word in _WORDS:
            value = _WORDS[token.word]
        elif token.kind in _VALUES:
            try:
                value = _VALUES[token.kind](token.text)
            except ValueError as error:
                raise LanguageError(self._option, token.start, str(error)) from error
        else:
            return None
        self._next += 1
        self._count_node(token.start)
        return Literal(value)

    def _call(self, name: _Token) -> Call:
        function = FUNCTIONS.get(name.word)
        if function is None and name.word.endswith(("/any", "/all")):
            collection = name.text[:-4]
            message = f"there is no any and all: {collection}/id eq 1 is true if it is for any of {collection}"
            raise LanguageError(self._option, name.start, message)
        if function is None:
            message = f"there is no function {_shown(name.text)}{_suggest(name.text, FUNCTIONS)}"
            raise LanguageError(self._option, name.start, message)
        self._count_node(name.start)
        arguments: list[_Operand] = []
        while not self._take(")"):
            arguments.append(_Operand(start=self._token.start, expression=self._expression()))
            if not self._take(","):
                self._expect(")", "an operator, ',' or ')'")
                break
        if not function.least <= len(arguments) <= function.most:
            takes = f"{function.least}" if function.least == function.most else f"{function.least} or {function.most}"
            message = f"{name.word} takes {takes} arguments, found {len(arguments)}"
            raise LanguageError(self._option, name.start, message)
        self._check_last(name.word, arguments)
        return Call(name.word, tuple(argument.expression for argument in arguments))

    def _path(self, token: _Token) -> Path:
        self._count_node(token.start)
        first, *others = token.text.split("/")
        if self._set is not None:
            self._check_path([first, *others], self._set, token.start)
        return Path((first, *map(_step, others)))

    # what is known without the data

    def _check_path(self, names: Sequence[str], entity_set: str, start: int) -> None:
        at = start
        for name, after in zip(names, [*names[1:], None], strict=True):
            navigations = NAVIGATIONS[entity_set]
            if name not in navigations:
                self._check_name(name, entity_set, (*_properties(entity_set), *navigations), at)
                if name in _CLOSED and after is not None:
                    message = f"found {_shown(after)} after {name}, which has no parts"
                    raise LanguageError(self._option, at + len(name) + 1, message)
                return
            entity_set = navigations[name]
            at += len(name) + 1
        path = "/".join(names)
        raise LanguageError(self._option, start, f"{path} is an entity; name a property of it, such as {path}/id")

    def _check_name(self, name: str, entity_set: str, known: Iterable[str], start: int) -> None:
        if name not in known:
            message = f"there is no {_shown(name)} of {entity_set}{_suggest(name, known)}"
            raise LanguageError(self._option, start, message)

    def _check_condition(self, operand: _Operand) -> None:
        kind = _kind(operand.expression)
        if kind not in {"condition", "?"}:
            message = f"found a {kind} where a condition should be; write a comparison such as result gt 5"
            raise LanguageError(self._option, operand.start, message)

    def _check_types(self, *sides: _Operand) -> None:
        for one, other in (sides, sides[::-1]):
            path, kind = one.expression, _kind(other.expression)
            if kind in {"?", "calculation"} or not isinstance(path, Path) or not _is_plain(path):
                continue
            name = path.steps[-1]
            if name in _TIMES and kind not in {"time", "interval"}:
                hint = f"compare date({name}), or " if kind == "date" else ""
                message = f"{name} is compared with a {kind}; {hint}write a time such as 2026-03-01T00:00:00Z"
                raise LanguageError(self._option, other.start, message)
            if name in IDS and kind != "number":
                raise LanguageError(
                    self._option, other.start, f"{name} is compared with a {kind}; ids are integers: {name} eq 1"
                )

    def _check_last(self, function: str, arguments: Sequence[_Operand]) -> None:
        if function == "during" and _kind(arguments[1].expression) not in {"?", "calculation", "interval"}:
            message = "nothing happens during this; write an interval: 2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"
            raise LanguageError(self._option, arguments[1].start, message)
        if function == "st_relate" and isinstance(arguments[2].expression, Literal):
            pattern = arguments[2].expression.value
            if not isinstance(pattern, str) or not re.fullmatch("[TFtf*012]{9}", pattern):
                message = f"{_shown(write(pattern))} is not a pattern; write nine of T, F, *, 0, 1 and 2: 'T*F**F***'"
                raise LanguageError(self._option, arguments[2].start, message)

    # tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, mark: str) -> bool:
        found = self._token.kind == "mark" and self._token.text == mark
        self._next += found
        return found

    def _expect(self, mark: str, wanted: str = "") -> None:
        if not self._take(mark):
            raise self._unexpected(wanted or f"'{mark}'")

    def _name(self, wanted: str) -> _Token:
        token = self._token
        if token.kind != "name" or token.word in _RESERVED:
            raise self._unexpected(wanted)
        self._next += 1
        return token

    def _unexpected(self, wanted: str) -> LanguageError:
        found = _shown(self._token.text) if self._token.text else "the end"
        return LanguageError(self._option, self._token.start, f"found {found} where there should be {wanted}")

    def _count_node(self, start: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise LanguageError(self._option, start, f"more than {MAX_NODES} values, names and operators; ask for less")


def _quoted(text: str) -> Value:
    prefix, _, inside = text[:-1].partition("'")
    inside = inside.replace("''", "'")
    if not prefix:
        return inside
    if prefix.lower() == "duration":
        return parse_duration(inside)
    if prefix.lower() == "geography":
        return parse_geometry(inside)
    raise ValueError(f"{prefix}'...' is no value{_suggest(prefix, ('duration', 'geography'))}")


def _number(text: str) -> int | float:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS} digits; write fewer")
    if text.lstrip("-+").isdigit():
        return int(text)
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is beyond what can be reckoned with")
    return number


_VALUES: Final[Mapping[str, Callable[[str], Value]]] = {
    "quoted": _quoted,
    "interval": parse_interval,
    "time": parse_time,
    "date": date.fromisoformat,
    "clock": time.fromisoformat,
    "number": _number,
}
"""How the tokens that are values are read; each raises ValueError."""

_LITERAL_KINDS: Final = (
    (bool, "condition"),
    (int | float, "number"),
    (str, "text"),
    (datetime, "time"),
    (date, "date"),
    (time, "time of day"),
    (timedelta, "duration"),
    (Interval, "interval"),
    (BaseGeometry, "shape"),
)


def _kind(expression: Expression) -> str:
    """What an expression gives, as far as it is known without data; ``?``: not at all."""
    if isinstance(expression, Literal):
        return next((kind for types, kind in _LITERAL_KINDS if isinstance(expression.value, types)), "?")
    if isinstance(expression, Call):
        return FUNCTIONS[expression.name].gives
    if isinstance(expression, Path):
        return "?"
    if isinstance(expression, Unary | Binary) and expression.op not in {"not", *_COMPARISONS}:
        return "calculation"
    return "condition"


def _is_plain(path: Path) -> bool:
    """Whether it leads to a property of an entity and not into JSON."""
    return all(isinstance(step, str) and step[0].isupper() for step in path.steps[:-1])


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions that one is made of; not the options of an ``in``."""
    match expression:
        case Unary():
            return (expression.operand,)
        case Binary():
            return (expression.left, expression.right)
        case Logical():
            return expression.operands
        case Call():
            return expression.arguments
        case In():
            return (expression.item,)
        case _:
            return ()


def _with_expand(expands: tuple[Expand, ...], one: Expand) -> tuple[Expand, ...]:
    """The expands with one more, merged into its namesake."""
    if all(each.navigation != one.navigation for each in expands):
        return (*expands, one)
    return tuple(
        Expand(each.navigation, _merged(each.query, one.query)) if each.navigation == one.navigation else each
        for each in expands
    )


def _merged(earlier: Query, later: Query) -> Query:
    unset = Query()
    given = {
        each.name: getattr(later, each.name)
        for each in fields(Query)
        if getattr(later, each.name) != getattr(unset, each.name)
    }
    expands = earlier.expand
    for each in later.expand:
        expands = _with_expand(expands, each)
    return replace(earlier, **{**given, "expand": expands})


def render(expression: Expression) -> str:
    """The expression as text, with the parentheses that it needs."""
    return _rendered(expression)[0]


def _rendered(expression: Expression) -> tuple[str, int]:
    """The text, and how much what is outermost in it binds."""
    match expression:
        case Literal():
            return write(expression.value), 9
        case Path():
            return "/".join(map(str, expression.steps)), 9
        case Call():
            return f"{expression.name}({','.join(map(render, expression.arguments))})", 9
        case In(options=options):
            listed = render(options) if isinstance(options, Path) else f"({','.join(map(render, options))})"
            return f"{_inside(expression.item, 4)} in {listed}", 4
    binds = _PRECEDENCE[expression.op]
    match expression:
        case Unary(op="neg"):
            return f"-{_inside(expression.operand, 0 if isinstance(expression.operand, Path | Call) else 10)}", binds
        case Unary():
            return f"not {_inside(expression.operand, binds)}", binds
        case Logical(op=op):
            return f" {op} ".join(_inside(each, binds + 1) for each in expression.operands), binds
        case Binary(op=op):
            return f"{_inside(expression.left, binds)} {op} {_inside(expression.right, binds + 1)}", binds


def _inside(expression: Expression, least: int) -> str:
    text, binds = _rendered(expression)
    return text if binds >= least else f"({text})"
