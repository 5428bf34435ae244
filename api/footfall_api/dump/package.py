"""The descriptions of the files: ``datapackage.json``, a Frictionless data package (v1), and ``SHA256SUMS``.

Both are the same whenever the files are: `created` is the midnight up to which the counts go, and `version` has a part
that stands for the content of all files.

Pure functions.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from footfall_api.answers import Reason, State
from footfall_api.counts import ALL
from footfall_api.dump.plan import rules_digest, table_of
from footfall_api.intervals import Resolution
from footfall_api.messages import LANGUAGES, catalogue
from footfall_api.publication import Publication
from footfall_api.publication_words import sentences
from footfall_api.settings import ApiSettings
from footfall_api.stations import DIRECTION_WORDS
from footfall_api.word import word_of

PACKAGE: Final = "datapackage.json"
SUMS: Final = "SHA256SUMS"
STATIONS: Final = "stations.geojson"
AREAS: Final = "areas.geojson"
REMARKS: Final = "remarks.csv"

_SUM: Final = re.compile(r"([0-9a-f]{64})  ((?:[A-Za-z0-9][\w.-]*/)*[A-Za-z0-9][\w.-]*)", re.ASCII)
"""A line of ``SHA256SUMS``; such a path leads nowhere out of the folder."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A file as the package describes it."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> "Sized":
        """A file with this content."""
        return cls(hashlib.sha256(content).hexdigest(), len(content))


def sums_text(files: Mapping[str, Sized]) -> str:
    """``SHA256SUMS``: what ``sha256sum -c`` reads."""
    return "".join(f"{sized.sha256}  {path}\n" for path, sized in sorted(files.items()))


def parse_sums(text: str) -> dict[str, str]:
    """The SHA-256 of files by their path, from ``SHA256SUMS``; lines that are none of ours are left out."""
    return {found[2]: found[1] for line in text.splitlines() if (found := _SUM.fullmatch(line))}


def package(
    files: Mapping[str, Sized],
    settings: ApiSettings,
    rules: Publication,
    names: Mapping[str, str],
    as_of_s: int,
) -> dict[str, Any]:
    """The data package of the files, by path; `names` of stations by id, `as_of_s` is up to when the counts go."""
    as_of = datetime.fromtimestamp(as_of_s, UTC)
    content = hashlib.sha256(sums_text(files).encode()).hexdigest()[:12]
    words = {language: _words(language, settings, rules, names) for language in LANGUAGES}
    described = [" ".join([found.description, *found.publication]) for found in words.values()]
    home = {"homepage": settings.http.public_url} if settings.http.public_url else {}
    return {
        "profile": "data-package",
        "name": f"footfall-{word_of(settings.city.name)}",
        "title": " / ".join(found.title for found in words.values()),
        "description": "\n\n".join(described),
        **home,
        "version": f"{as_of.year}.{as_of.month}.{as_of.day}+{content}",
        "created": as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "licenses": [_licence(settings)],
        "sources": [{"title": settings.attribution}],
        "contributors": [_publisher(settings)],
        "keywords": ["pedestrians", "footfall", "passages", "Passanten", "Fußverkehr", settings.city.name],
        "unit": "passages",
        "attribution": settings.attribution,
        "languages": {language: asdict(found) for language, found in words.items()},
        "rules": rules_digest(rules),
        "resources": [_resource(path, sized) for path, sized in sorted(files.items(), key=_in_order)],
    }


@dataclass(frozen=True, slots=True)
class _Words:
    """What the package says in one language."""

    title: str
    description: str
    publication: list[str]
    """What is public and what is not, and why."""


def _words(language: str, settings: ApiSettings, rules: Publication, names: Mapping[str, str]) -> _Words:
    t = catalogue(language)
    return _Words(t("files.title", city=settings.city.name), t("files.description"), sentences(rules, t, names))


def package_text(described: Mapping[str, Any]) -> str:
    """``datapackage.json``, for people too."""
    return json.dumps(described, ensure_ascii=False, indent=1) + "\n"


def _licence(settings: ApiSettings) -> dict[str, str]:
    title, url = settings.public.licence, settings.public.licence_url
    return {"path": url, "title": title} if url else {"name": word_of(title), "title": title}


def _publisher(settings: ApiSettings) -> dict[str, str]:
    city = settings.city
    found = {"title": city.office or city.name, "role": "publisher"}
    if city.contact.startswith(("http://", "https://")):
        found["path"] = city.contact
    elif "@" in city.contact:
        found["email"] = city.contact
    return found


def _in_order(item: tuple[str, Sized]) -> tuple[bool, str]:
    """Places and remarks before counts."""
    return table_of(item[0]) is not None, item[0]


_LENGTHS: Final = {
    Resolution.QUARTER_HOUR: "quarter of an hour",
    Resolution.HOUR: "hour",
    Resolution.DAY: "day",
    Resolution.WEEK: "week",
}


def _resource(path: str, sized: Sized) -> dict[str, Any]:
    table = table_of(path)
    size = {"bytes": sized.size, "hash": f"sha256:{sized.sha256}"}
    if table is None:
        return {**_PLACES[path], "path": path, **size}
    title = f"Passages by the {_LENGTHS[table.resolution]}, {table.period}"
    name = f"counts-{table.resolution}-{table.period}"
    if path.endswith(".parquet"):
        kind = {
            "profile": "data-resource",
            "type": "file",  # its columns say themselves what they are; a validator need not open it as a table
            "format": "parquet",
            "mediatype": "application/vnd.apache.parquet",
        }
        return {"name": f"{name}-parquet", "path": path, "title": f"{title} (Parquet)", **kind, **size}
    kind = {
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "compression": "gz",
        "encoding": "utf-8",
    }
    return {"name": f"{name}-csv", "path": path, "title": f"{title} (CSV)", **kind, **size, "schema": COUNTS_SCHEMA}


def _field(name: str, kind: str, description: str, **constraints: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "type": kind, "description": description}
    if kind == "boolean":
        found |= {"trueValues": ["true"], "falseValues": ["false"]}
    return {**found, "constraints": constraints} if constraints else found


_COARSER: Final = Resolution.QUARTER_HOUR.coarser

COUNTS_SCHEMA: Final[dict[str, Any]] = {
    "fields": [
        _field("station", "string", "Id of the station; stations.geojson says where it is.", required=True),
        _field(
            "interval_start",
            "datetime",
            "Begin of the interval, which belongs to it: ISO 8601, the station's clock with its offset from UTC.",
            required=True,
        ),
        _field("interval_end", "datetime", "End of the interval, which does not belong to it.", required=True),
        _field(
            "direction",
            "string",
            "Direction of the passages. in crosses the station's line from left to right as seen from its first to its "
            "second point; stations.geojson has what that means in words. undirected: the sensor cannot tell.",
            required=True,
            enum=list(DIRECTION_WORDS.values()),
        ),
        _field("class", "string", "Kind of passages: all of them together.", required=True, enum=[ALL]),
        _field("sensor", "string", "Sensor of the station: all of them together.", required=True, enum=[ALL]),
        _field(
            "count",
            "integer",
            "Passages, not persons. 0: measured, and nobody came. Empty: not measured, or not public.",
            minimum=0,
        ),
        _field(
            "coverage",
            "number",
            "Measured time ÷ time that should have been measured. Empty: no sensor was there, or not public.",
            minimum=0,
            maximum=1,
        ),
        _field("state", "string", "How good the count is.", required=True, enum=list(map(str, State))),
        _field(
            "reason",
            "string",
            "Why something is missing; with the state coarse the finest resolution that has the number.",
            enum=[*map(str, Reason), *map(str, _COARSER)],
        ),
        _field(
            "final", "boolean", "Whether the value is not expected to change any more.", required=True
        ),
    ],
    "missingValues": [""],
    "primaryKey": ["station", "interval_start", "direction"],
}  # fmt: skip
"""The columns of counts (Table Schema)."""

REMARKS_SCHEMA: Final[dict[str, Any]] = {
    "fields": [
        _field("id", "integer", "Number of the remark.", required=True),
        _field("station", "string", "Id of the station that it is about; empty: it is about a sensor or an area."),
        _field("sensor", "string", "Id of the sensor that it is about."),
        _field("area", "string", "Id of the area that it is about."),
        _field("stations", "string", "Ids of the stations that it concerns, joined by blanks."),
        _field("from", "datetime", "Begin of its time: ISO 8601 with an offset from UTC.", required=True),
        _field("to", "datetime", "End of its time; empty: until further notice."),
        _field("kind", "string", "What it is.", required=True, enum=["works", "event", "fault", "note"]),
        _field("text", "string", "What there is to know."),
        _field(
            "excludes",
            "boolean",
            "true: the time is not to be believed and is missing from the counts.",
            required=True,
        ),
    ],
    "missingValues": [""],
    "primaryKey": ["id"],
}
"""The columns of remarks (Table Schema)."""

_GEOJSON: Final = {"profile": "data-resource", "format": "geojson", "mediatype": "application/geo+json"}

_PLACES: Final[Mapping[str, dict[str, Any]]] = {
    STATIONS: {
        "name": "stations",
        "title": "Stations",
        "description": "Where the stations are, what their directions mean, which sensors they had from when to when.",
        **_GEOJSON,
        "encoding": "utf-8",
    },
    AREAS: {
        "name": "areas",
        "title": "Areas",
        "description": "Areas of the city, and the stations that lie in each.",
        **_GEOJSON,
        "encoding": "utf-8",
    },
    REMARKS: {
        "name": "remarks",
        "title": "Remarks",
        "description": "What people know about a time at a place: works, events, faults, notes.",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": REMARKS_SCHEMA,
    },
}
