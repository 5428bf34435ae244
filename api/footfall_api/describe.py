"""What the OpenAPI document says of the answers: their models, with examples that look like real answers.

The models describe; they are not used to write answers, which would take longer than everything else (see `writing`).
A test holds real answers against them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from starlette.responses import JSONResponse

from footfall_api.answers import State
from footfall_api.intervals import Resolution
from footfall_api.problems import MEDIA_TYPE

Docs = dict[int | str, dict[str, Any]]


class GeoJson(JSONResponse):
    """GeoJSON goes by its own type, in the document too."""

    media_type: str = "application/geo+json"


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""ISO 8601 with offset."""


class Closed(BaseModel):
    """What has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class ProblemDetails(Closed):
    """An error (RFC 9457)."""

    type: str = Field(description="kind of problem; never changes", examples=["urn:footfall:problem:invalid-parameter"])
    title: str = Field(description="the kind in words")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="what is wrong here and what would be right")
    instance: str = Field(description="what was asked")
    parameter: str | None = Field(default=None, description="the parameter at fault, if one is")


class Value(Closed):
    """What was counted in one interval."""

    station: str = Field(description="station id; all for the sum over an area")
    start: Moment = Field(description="ISO 8601 with offset; belongs to the interval")
    end: Moment = Field(description="ISO 8601 with offset; no longer belongs to it")
    direction: Literal["in", "out", "undirected", "all"]
    class_: str = Field(alias="class", description="pedestrian, child, cyclist, wheelchair, pram, unknown, or all")
    sensor: str = Field(description="sensor id, or all")
    count: int | None = Field(description="passages, not persons; 0: measured, nobody came; null: not measured")
    coverage: float | None = Field(
        ge=0, le=1, description="measured ÷ expected time; null where no sensor was installed or the time has not come"
    )
    state: State
    reason: str | None = Field(
        description="why there is no number: silent, not_reported, not_installed, excluded, future, or withheld, which "
        "is not public; with the state coarse the finest resolution that has the number"
    )
    final: bool = Field(description="the value is not expected to change any more")
    area: str | None = Field(
        default=None, description="where areas are asked for: the area whose sum it is; null for a station's own"
    )
    carried_by: list[str] | None = Field(
        default=None, description="where areas are asked for: the stations whose numbers are in the sum"
    )


class Remark(Closed):
    """What people know about a time at a station, a sensor or an area: one of the three is given."""

    id: int
    station: str | None
    sensor: str | None
    area: str | None
    stations: list[str] = Field(description="of the stations asked about those that it concerns")
    from_: Moment = Field(alias="from", description="ISO 8601 with offset")
    to: Moment | None = Field(description="ISO 8601 with offset; null: until further notice")
    kind: Literal["works", "event", "fault", "note"]
    text: str
    excludes: bool = Field(description="the time is not to be believed: it is missing from the counts")


class Remarks(Closed):
    """Remarks on a time."""

    timezone: str = Field(description="IANA name of the zone in which times are written")
    licence: str
    attribution: str
    remarks: list[Remark]


class _Around(Closed):
    resolution: Resolution
    timezone: str = Field(description="IANA name of the zone in which days begin and times are written")
    unit: Literal["passages"]
    licence: str
    attribution: str
    remarks: list[Remark] = Field(description="on the time of the answer, at its stations")


class Counts(_Around):
    """The answer to a question for counts."""

    values: list[Value]
    next: str | None = Field(description="address of the next page; null: this is the last")


Coordinates = Annotated[list[float], Field(min_length=2, max_length=2)]
"""Longitude, latitude (WGS 84). A list and not a pair, which few generators of clients understand."""


class Geometry(Closed):
    """Where a station is."""

    type: Literal["Point"]
    coordinates: Coordinates = Field(description="longitude, latitude (WGS 84)")


class Shape(Closed):
    """Where an area is."""

    type: Literal["Polygon", "MultiPolygon"]
    coordinates: list[Any] = Field(description="rings of positions, or for a MultiPolygon lists of them (WGS 84)")


class ValueFeature(Closed):
    """What was counted in one interval, as GeoJSON: where its station or area is."""

    type: Literal["Feature"]
    geometry: Geometry | Shape
    properties: Value


class CountsCollection(_Around):
    """Counts as GeoJSON."""

    type: Literal["FeatureCollection"]
    features: list[ValueFeature]


class DirectionLabels(Closed):
    """What the directions mean in words, from a moment on."""

    from_: Moment | None = Field(alias="from", description="null: since ever")
    in_: str | None = Field(default=None, alias="in")
    out: str | None = None


class InstalledSensor(Closed):
    """A sensor at a station, from one moment to another."""

    id: str
    from_: Moment | None = Field(alias="from", description="null: since ever")
    to: Moment | None = Field(description="null: until further notice")
    role: Literal["part", "reference"] = Field(description="parts are added up, references never")
    type: str | None = Field(default=None, description="what kind of sensor it is, for people; null: not said")
    mounting: str | None = Field(default=None, description="where and how it hangs, for people; null: not said")
    field_of_view: str | None = Field(
        default=None, description="which part of the place it sees, for people; null: not said"
    )


class StationProperties(Closed):
    """What is known of a station."""

    name: str
    timezone: str
    line: Annotated[list[Coordinates], Field(min_length=2, max_length=2)] | None = Field(
        description="the counting line; 'in' crosses it from left to right as seen from its first to its second point"
    )
    directions: list[DirectionLabels]
    sensors: list[InstalledSensor]
    areas: list[str] = Field(description="ids of the areas that the station lies in")


class StationFeature(Closed):
    """A station as GeoJSON."""

    type: Literal["Feature"]
    id: str
    geometry: Geometry
    properties: StationProperties
    licence: str | None = None
    attribution: str | None = None


class StationCollection(Closed):
    """All stations as GeoJSON."""

    type: Literal["FeatureCollection"]
    features: list[StationFeature]
    licence: str
    attribution: str


class AreaProperties(Closed):
    """What is known of an area."""

    name: str
    kind: str = Field(description="the city's word for what it is: Quartier, Sozialraum, Ortsteil")
    stations: list[str] = Field(description="ids of the stations that lie in it")


class AreaFeature(Closed):
    """An area as GeoJSON."""

    type: Literal["Feature"]
    id: str
    geometry: Shape
    properties: AreaProperties
    licence: str | None = None
    attribution: str | None = None


class AreaCollection(Closed):
    """All areas as GeoJSON."""

    type: Literal["FeatureCollection"]
    features: list[AreaFeature]
    licence: str
    attribution: str


_SCHEMAS: Final = "#/components/schemas/"


SECURITY_SCHEMES: Final = {
    "operatorToken": {"type": "http", "scheme": "bearer", "description": "the operator's token"},
    "operatorPassword": {
        "type": "http",
        "scheme": "basic",
        "description": "for browsers: any user name, and the operator's token as the password",
    },
}
"""What `access` understands. Only what is not public requires one of them."""


def complete(document: dict[str, Any], examples: Mapping[str, Any]) -> None:
    """Add to the OpenAPI document what FastAPI cannot know: schemas that no model leads to, and nulls in examples.

    `examples` are those of answers in JSON, by the name of their schema, beside that of counts.
    """
    known = {Counts.__name__: COUNTS_EXAMPLE, **examples}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    models = (ProblemDetails, CountsCollection)
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_SCHEMAS + "{model}")
    schemas.update(found["$defs"])
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for item in document["paths"].values():
        item["get"]["responses"].update({str(status): problem for status, problem in problems_of(429).items()})
        content = item["get"]["responses"]["200"].get("content", {}).get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").removeprefix(_SCHEMAS)
        if name in known:
            content["example"] = known[name]


REMARK_EXAMPLE: Final = {
    "id": 7, "station": "markt", "sensor": None, "area": None, "stations": ["markt"],
    "from": "2026-03-28T13:00:00+01:00", "to": None, "kind": "works", "text": "Gerüst vor dem Zähler",
    "excludes": True,
}  # fmt: skip

COUNTS_EXAMPLE: Final = {
    "resolution": "1h",
    "timezone": "Europe/Berlin",
    "unit": "passages",
    "licence": "Datenlizenz Deutschland – Zero – Version 2.0",
    "attribution": "Jena",
    "remarks": [REMARK_EXAMPLE],
    "values": [
        {
            "station": "markt", "start": "2026-03-28T12:00:00+01:00", "end": "2026-03-28T13:00:00+01:00",
            "direction": "in", "class": "all", "sensor": "all",
            "count": 812, "coverage": 1.0, "state": "measured", "reason": None, "final": True,
        },
        {
            "station": "markt", "start": "2026-03-28T13:00:00+01:00", "end": "2026-03-28T14:00:00+01:00",
            "direction": "in", "class": "all", "sensor": "all",
            "count": None, "coverage": 0.0, "state": "missing", "reason": "excluded", "final": True,
        },
    ],
    "next": None,
}  # fmt: skip

CSV_EXAMPLE: Final = (
    "station,interval_start,interval_end,direction,class,sensor,count,coverage,state,reason,final\n"
    "markt,2026-03-28T12:00:00+01:00,2026-03-28T13:00:00+01:00,in,all,all,812,1.0,measured,,true\n"
    "markt,2026-03-28T13:00:00+01:00,2026-03-28T14:00:00+01:00,in,all,all,,0.0,missing,excluded,true\n"
)

_PROBLEM_TEXTS: Final = {
    401: "a token that is not the operator's",
    403: "finer than what is public, or for the operator only",
    404: "there is nothing of that name",
    422: "a parameter that cannot be used; `parameter` names it",
    429: "more than there is for one client; `Retry-After` says when there is again, `detail` what to do instead",
    503: "the database cannot answer at the moment",
}


def problems_of(*statuses: int) -> Docs:
    """The errors that an endpoint may answer with."""
    return {
        status: {
            "description": _PROBLEM_TEXTS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}

COUNTS_RESPONSES: Final[Docs] = {
    200: {
        "model": Counts,
        "description": "the counts, a gap as a value with null",
        "content": {
            "application/json": {"example": COUNTS_EXAMPLE},
            "text/csv": {"schema": {"type": "string"}, "example": CSV_EXAMPLE},
            "application/geo+json": {"schema": {"$ref": f"{_SCHEMAS}CountsCollection"}},
            "application/vnd.apache.parquet": _BINARY,
        },
    },
    304: {"description": "nothing has changed since the answer with this ETag, or since that moment"},
    **problems_of(401, 403, 422, 503),
}

REMARKS_RESPONSES: Final[Docs] = {
    200: {
        "model": Remarks,
        "description": "the remarks, by their beginning",
        "content": {"application/json": {}, "text/csv": {"schema": {"type": "string"}}},
    },
    304: {"description": "nothing has changed since the answer with this ETag"},
    **problems_of(422, 503),
}

_NGSI_LD_EXAMPLE: Final = [
    {
        "id": "urn:ngsi-ld:CrowdFlowObserved:jena:markt:15min", "type": "CrowdFlowObserved",
        "dateObserved": {
            "type": "Property", "value": "2026-06-10T11:45:00Z/2026-06-10T12:00:00Z",
            "observedAt": "2026-06-10T12:00:00Z",
        },
        "peopleCount": {"type": "Property", "value": 203, "observedAt": "2026-06-10T12:00:00Z"},
        "state": {"type": "Property", "value": "measured", "observedAt": "2026-06-10T12:00:00Z"},
        "@context": ["https://zaehlung.example/api/v1/ngsi-ld/context.jsonld"],
    }
]  # fmt: skip

_ENTITY: Final = {
    "type": "object",
    "description": "attributes as the Smart Data Model CrowdFlowObserved has them, and ours; docs/api.md lists them",
    "required": ["id", "type", "dateObserved", "@context"],
    "properties": {
        "id": {"type": "string", "format": "uri"},
        "type": {"type": "string", "enum": ["CrowdFlowObserved"]},
    },
}

NGSI_LD_RESPONSES: Final[Docs] = {
    200: {
        "description": "the entities; a gap is one without peopleCount",
        "content": {
            "application/ld+json": {"schema": {"type": "array", "items": _ENTITY}, "example": _NGSI_LD_EXAMPLE}
        },
    },
    304: {"description": "nothing has changed since the answer with this ETag"},
    **problems_of(403, 422, 503),
}

NGSI_LD_CONTEXT_RESPONSES: Final[Docs] = {
    200: {
        "description": "the terms",
        "content": {"application/ld+json": {"schema": {"type": "object", "required": ["@context"]}}},
    },
    304: {"description": "nothing has changed since the answer with this ETag"},
}

LIVE_RESPONSES: Final[Docs] = {
    200: {
        "description": "events `board` and `change`; docs/api.md describes their data",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": "event: board\nid: 1\n"
                'data: {"at":"2026-03-28T12:00:00+00:00","unit":"passages","stations":[]}\n\n',
            }
        },
    },
    **problems_of(422, 503),
}

METRICS_RESPONSES: Final[Docs] = {
    200: {"description": "the metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
    **problems_of(401, 403),
}
