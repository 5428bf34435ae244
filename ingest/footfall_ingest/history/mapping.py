"""What the columns of a file mean: a mapping, one TOML file, typed and closed.

A key that a mapping does not have is refused with the name that comes nearest, because a misspelt key that is silently
ignored is a wrong number that is found years later. The descriptions here are the reference in docs/import.md.
"""

import re
import tomllib
from collections.abc import Mapping as Table
from collections.abc import Sequence
from datetime import time
from difflib import get_close_matches
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from footfall_contract import ContractError, check_id
from footfall_contract.words import Direction, PassageClass
from footfall_ingest.commands import RefusedError
from footfall_ingest.history.labels import Pattern, PatternError, pattern_of
from footfall_role.settings import Section

DirectionWord = Literal["in", "out", "undirected", "all"]
ClassWord = Literal["pedestrian", "child", "cyclist", "wheelchair", "pram", "unknown", "all"]

DIRECTIONS: Final = {"in": Direction.IN, "out": Direction.OUT, "undirected": Direction.UNDIRECTED}
CLASSES: Final = {item.name.lower(): item for item in PassageClass}

_LENGTH: Final = re.compile(r"([1-9][0-9]{0,4})(s|min|h|d)")
_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_SHORTEST_S: Final = 60
_LONGEST_S: Final = 30 * 86_400
"""A local day may have an hour more than 24, and a span has at most 31 days."""
_FOLDER: Final = resources.files("footfall_ingest") / "mappings"


class FileFormat(Section):
    """How the text becomes rows."""

    encoding: Literal["auto", "utf-8", "utf-8-sig", "cp1252"] = Field(
        "auto", description="auto: UTF-8 with or without a byte order mark; what else it is must be said"
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="what stands between two columns")
    skip_lines: int = Field(0, ge=0, le=1000, description="lines before the header that are not part of the table")
    decimal: Literal[".", ","] = Field(".", description="decimal mark; only whole numbers are counts, 12,0 is 12")
    thousands: Literal["", ".", ",", " ", "'"] = Field("", description="mark between groups of three digits")
    missing: tuple[str, ...] = Field(("",), description="texts that say that nothing was measured, in any count column")
    columns: tuple[str, ...] = Field(
        (), description="names for the columns of a file that has no header line; empty: it has one"
    )

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands must be two different marks")
        return self


class Time(Section):
    """When an interval was: what the time columns hold."""

    columns: tuple[str, ...] = Field(
        min_length=1, description="columns of the time, in order; several are joined with a space"
    )
    format: str = Field(
        "iso",
        description="iso, or a pattern with named parts: {year} {month} {day} {hour} {minute} {second} {year2} "
        "{month_name} {ampm} {offset} {any}, and {end_hour} and so on for the end",
    )
    end_columns: tuple[str, ...] = Field((), description="columns of the interval's end, if it has some of its own")
    end_format: str = Field("", description="their pattern; empty: as format")
    end_included: bool = Field(
        False, description="the end is the last minute (or second) that still belongs to the interval: 6:00-6:59"
    )
    day_begins: str = Field(
        "00:00", description="when the day of the date column begins: with 06:00 the row for 2:00 is of the next day"
    )
    zone: str = Field("Europe/Berlin", description="time zone of times without an offset; UTC is one too")
    marks: Literal["start", "end"] = Field("start", description="which end of the interval a single time is")
    length: str = Field("", description="length of each interval where the file has no end: 15min, 1h, 1d (local days)")
    doubled_hour: Literal["both", "summed", "earlier", "later", "leave"] = Field(
        "both",
        description="the hour that October has twice: both rows are there, in order; or one row that is the sum of "
        "both hours (kept as one span of two hours), that of the earlier, that of the later; leave: not believed",
    )

    @field_validator("format", "end_format")
    @classmethod
    def _understood(cls, text: str) -> str:
        try:
            if text not in ("", "iso"):
                pattern_of(text)
        except PatternError as error:
            raise ValueError(str(error)) from error
        return text

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, LookupError) as error:
            raise ValueError("must be a time zone such as Europe/Berlin or UTC") from error
        return zone

    @field_validator("length")
    @classmethod
    def _in_bounds(cls, length: str) -> str:
        if length and not ((found := _LENGTH.fullmatch(length)) and _SHORTEST_S <= _seconds(found) <= _LONGEST_S):
            raise ValueError("must be a length from 1min to 30d, such as 15min, 1h or 1d")
        return length

    @field_validator("day_begins")
    @classmethod
    def _time_of_day(cls, text: str) -> str:
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
            raise ValueError("must be a time of day such as 06:00")
        return text

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        ends = [
            what
            for what, there in (
                ("length", self.length),
                ("end_columns", self.end_columns),
                ("an end in format", self.pattern is not None and self.pattern.has_end),
            )
            if there
        ]
        if len(ends) != 1:
            raise ValueError(f"one of length, end_columns and an end in format must be given; {ends or 'none'} is")
        if self.marks == "end" and not self.length:
            raise ValueError("marks = 'end' needs a length")
        return self

    @property
    def pattern(self) -> Pattern | None:
        """The pattern of the time; None: ISO 8601."""
        return None if self.format == "iso" else pattern_of(self.format)

    @property
    def end_pattern(self) -> Pattern | None:
        """The pattern of the end columns; None: ISO 8601."""
        text = self.end_format or self.format
        return None if text == "iso" else pattern_of(text)

    @property
    def night(self) -> time:
        """The time of day before which a label belongs to the day after its date."""
        return time.fromisoformat(self.day_begins)

    @property
    def days(self) -> int:
        """How many local days an interval has; 0 if its length is not given in days."""
        found = _LENGTH.fullmatch(self.length)
        return int(found[1]) if found and found[2] == "d" else 0

    @property
    def length_s(self) -> int:
        """Length in seconds, of days in days of 24 hours; 0: each interval has its own."""
        found = _LENGTH.fullmatch(self.length)
        return _seconds(found) if found else 0


class Place(Section):
    """Where it was counted: how the file calls its places, and what they are here."""

    column: str = Field("", description="column with the place's name, in the long layout")
    by: Literal["station", "sensor"] = Field(
        "sensor", description="what the ids are: stations, whose sensor of that time is looked up, or sensors"
    )
    id: str = Field("", description="the one place of a file that does not name it; --station and --sensor override it")
    ids: dict[str, str] = Field(default_factory=dict, description="the file's name = id of the station or sensor here")
    others: Literal["refuse", "skip", "id"] = Field(
        "refuse", description="names that are not in ids: a fault; left out; or made an id (small letters, hyphens)"
    )
    prefix: str = Field("", description="put before an id that is made of a name, so that two cities do not meet")

    @model_validator(mode="after")
    def _ids(self) -> Self:
        if self.by == "sensor":
            for id_ in (*self.ids.values(), *([self.id] if self.id else [])):
                try:
                    check_id("id", id_)
                except ContractError as error:
                    raise ValueError(f"{id_!r} is no sensor's id: {error.expected}") from error
        return self


class DirectionColumn(Section):
    """A column that says in which direction a row counted."""

    column: str = Field(description="its name")
    words: dict[str, DirectionWord] = Field(
        description="the file's word = in, out, undirected, or all (the sum, where the file does not split)"
    )


class ClassColumn(Section):
    """A column that says which class a row counted."""

    column: str = Field(description="its name")
    words: dict[str, ClassWord] = Field(description="the file's word = one of the classes, or all")


class Value(Section):
    """A column with counts; several that fall on the same place, direction and class are added."""

    column: str = Field("", description="its name")
    header: str = Field(
        "", description="instead of column: a pattern for many, such as '{place} IN'; {place} is what stands there"
    )
    place: str = Field(
        "",
        description="the place it counts, where no column says it; with header '1000{place}' what the name is made of",
    )
    direction: Literal["in", "out", "undirected"] = Field(
        "undirected", description="direction, where no column says it"
    )
    class_: ClassWord = Field("unknown", alias="class", description="class, where no column says it")
    fallback: bool = Field(
        False,
        description="a total: used where all other columns of the place are missing, else held against their sum",
    )
    optional: bool = Field(False, description="the file may lack this column")

    @field_validator("class_")
    @classmethod
    def _a_class(cls, word: str) -> str:
        if word == "all":
            raise ValueError("must be a class; unknown is what cannot be told")
        return word

    @model_validator(mode="after")
    def _named(self) -> Self:
        if bool(self.column) == bool(self.header):
            raise ValueError("one of column and header must be given")
        if self.header and len(re.findall(r"\{place\}", self.header)) > 1:
            raise ValueError("header may have {place} once")
        return self

    @cached_property
    def matcher(self) -> re.Pattern[str]:
        """The header as a regular expression with a group `place`."""
        parts = re.split(r"(\{place\}|\{any\})", self.header)
        known = {"{place}": "(?P<place>.+?)", "{any}": ".*?"}
        return re.compile("".join(known.get(part) or re.escape(part) for part in parts))


class State(Section):
    """A column that says how good a row is."""

    column: str = Field(description="its name")
    missing: tuple[str, ...] = Field((), description="words that say that nothing was measured, whatever the count is")
    recovered: tuple[str, ...] = Field(
        (), description="words that say that all were counted but nobody watched: a sum with no measured seconds"
    )


class Coverage(Section):
    """A column that says which part of an interval was measured."""

    column: str = Field(description="a number from 0 to 1; empty: all of it")


class Skip(Section):
    """Rows that are passed over, and counted in the report."""

    column: str = Field(description="the column to look at")
    words: tuple[str, ...] = Field(min_length=1, description="a row is passed over if it has one of these there")


class Mapping(Section):
    """What a file's columns mean."""

    title: str = Field(min_length=1, description="what it is for, in one line")
    source: str = Field("", description="where the format is documented, and what of it could not be verified")
    file: FileFormat = Field(default_factory=FileFormat)
    time: Time
    place: Place = Field(default_factory=Place)
    direction: DirectionColumn | None = Field(None)
    class_: ClassColumn | None = Field(None, alias="class")
    value: tuple[Value, ...] = Field(min_length=1, description="the columns with counts")
    state: State | None = Field(None)
    coverage: Coverage | None = Field(None)
    skip: tuple[Skip, ...] = Field((), description="rows to pass over")

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        if self.direction and any("direction" in value.model_fields_set for value in self.value):
            raise ValueError("a direction is said by the table direction or by value.direction, not by both")
        if self.class_ and any("class_" in value.model_fields_set for value in self.value):
            raise ValueError("a class is said by the table class or by value.class, not by both")
        if self.place.column and any(value.place or "{place}" in value.header for value in self.value):
            raise ValueError("a place is said by place.column or by the value's column, not by both")
        return self


def _seconds(found: re.Match[str]) -> int:
    return int(found[1]) * _UNITS[found[2]]


class MappingError(RefusedError):
    """A mapping that cannot be used; one line for each fault."""


def names() -> list[str]:
    """The names of the mappings that come with the program."""
    return sorted(item.name.removesuffix(".toml") for item in _FOLDER.iterdir() if item.name.endswith(".toml"))


def text_of(name_or_file: str) -> tuple[str, str]:
    """The mapping's name and its TOML text: one of the ready ones, or a file.

    Raises:
        MappingError: there is none of that name.
    """
    if name_or_file in names():
        return name_or_file, (_FOLDER / f"{name_or_file}.toml").read_text(encoding="utf-8")
    path = Path(name_or_file)
    if path.suffix != ".toml" and not path.exists():
        near = get_close_matches(name_or_file, names(), 1)
        hint = f"; do you mean {near[0]}?" if near else ""
        raise MappingError(f"there is no mapping {name_or_file}: there are {', '.join(names())}{hint}")
    try:
        return path.stem, path.read_text(encoding="utf-8")
    except OSError as error:
        raise MappingError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MappingError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def load(name_or_file: str) -> tuple[str, Mapping]:
    """The mapping's name and the mapping.

    Raises:
        MappingError: there is none, or it cannot be used. All faults are named.
    """
    name, text = text_of(name_or_file)
    try:
        return name, Mapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{name_or_file}: not valid TOML: {error}") from error
    except ValidationError as error:
        raise MappingError("\n".join(_sentences(error, name_or_file))) from error


def _sentences(error: ValidationError, where: str) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False):
        place = ".".join(str(part) for part in fault["loc"]) or "the mapping"
        if fault["type"] == "extra_forbidden":
            near = get_close_matches(str(fault["loc"][-1]), _keys_beside(fault["loc"]), 1)
            hint = f"; do you mean {near[0]}?" if near else f"; there are {', '.join(_keys_beside(fault['loc']))}"
            lines.append(f"{where}: {place} is no key of a mapping{hint}")
        elif fault["type"] == "missing":
            lines.append(f"{where}: {place} is missing")
        else:
            given = fault.get("input")
            value = "" if isinstance(given, dict | list | BaseModel) else f" (it is {given!r})"
            lines.append(f"{where}: {place}: {fault['msg'].removeprefix('Value error, ')}{value}")
    return lines


def _keys_beside(location: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Mapping
    for part in location[:-1]:
        if isinstance(part, str):
            model = TABLES.get(part, model)
    return keys(model)


def keys(model: type[BaseModel]) -> list[str]:
    """The keys of a table as they are written in TOML."""
    return [field.alias or name for name, field in model.model_fields.items()]


TABLES: Final[Table[str, type[BaseModel]]] = {
    "file": FileFormat,
    "time": Time,
    "place": Place,
    "direction": DirectionColumn,
    "class": ClassColumn,
    "value": Value,
    "state": State,
    "coverage": Coverage,
    "skip": Skip,
}
"""The tables of a mapping by their name."""


def reference() -> list[str]:
    """The reference of all keys as Markdown tables, for docs/import.md, which a test holds against this."""
    lines = []
    tables: list[tuple[str, type[BaseModel]]] = [("", Mapping), *TABLES.items()]
    for name, model in tables:
        head = f"`[{name}]`" if name not in ("value", "skip") else f"`[[{name}]]`"
        about = (model.__doc__ or "").strip().splitlines()[0]
        lines += [f"**{head if name else 'At the top'}** {about}", "", "| key | default | meaning |", "|---|---|---|"]
        for key, field in zip(keys(model), model.model_fields.values(), strict=True):
            if not name and key in TABLES and not field.description:
                continue
            lines.append(f"| `{key}` | {_default(field)} | {field.description} |")
        lines.append("")
    return lines


def _default(field: Any) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value in ("", (), {}, None):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"
