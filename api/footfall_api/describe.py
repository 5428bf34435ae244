"""What the OpenAPI document says of the answers: their models, with examples that look like real answers.

The models describe; they are not used to write answers, which would take longer than everything else (see `writing`).
A test holds real answers against them.
"""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from footfall_api.answers import State
from footfall_api.intervals import Resolution
from footfall_api.problems import MEDIA_TYPE

Docs = dict[int | str, dict[str, Any]]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProblemDetails(_Closed):
    """An error (RFC 9457)."""

    type: str = Field(description="kind of problem; never changes", examples=["urn:footfall:problem:invalid-parameter"])
    title: str = Field(description="the kind in words")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="what is wrong here and what would be right")
    instance: str = Field(description="what was asked")
    parameter: str | None = Field(default=None, description="the parameter at fault, if one is")


class Value(_Closed):
    """What was counted in one interval."""

    station: str
    start: str = Field(description="ISO 8601 with offset; belongs to the interval")
    end: str = Field(description="ISO 8601 with offset; no longer belongs to it")
    direction: Literal["in", "out", "undirected", "all"]
    class_: str = Field(alias="class", description="pedestrian, child, cyclist, wheelchair, pram, unknown, or all")
    sensor: str = Field(description="sensor id, or all")
    count: int | None = Field(description="passages, not persons; 0: measured, nobody came; null: not measured")
    coverage: float | None = Field(
        ge=0, le=1, description="measured ÷ expected time; null where no sensor was installed or the time has not come"
    )
    state: State
    reason: str | None = Field(
        description="why it was not measured: silent, not_reported, not_installed, future; with the state coarse the "
        "finest resolution that has the number"
    )
    final: bool = Field(description="the value is not expected to change any more")


class Counts(_Closed):
    """The answer to a question for counts."""

    resolution: Resolution
    timezone: str = Field(description="IANA name of the zone in which days begin and times are written")
    unit: Literal["passages"]
    licence: str
    attribution: str
    values: list[Value]
    next: str | None = Field(description="address of the next page; null: this is the last")


class Geometry(_Closed):
    """Where a station is."""

    type: Literal["Point"]
    coordinates: tuple[float, float] = Field(description="longitude, latitude (WGS 84)")


class DirectionLabels(_Closed):
    """What the directions mean in words, from a moment on."""

    from_: str | None = Field(alias="from", description="null: since ever")
    in_: str | None = Field(default=None, alias="in")
    out: str | None = None


class InstalledSensor(_Closed):
    """A sensor at a station, from one moment to another."""

    id: str
    from_: str | None = Field(alias="from", description="null: since ever")
    to: str | None = Field(description="null: until further notice")
    role: Literal["part", "reference"] = Field(description="parts are added up, references never")


class StationProperties(_Closed):
    """What is known of a station."""

    name: str
    timezone: str
    line: tuple[tuple[float, float], tuple[float, float]] | None = Field(
        description="the counting line; 'in' crosses it from left to right as seen from its first to its second point"
    )
    directions: list[DirectionLabels]
    sensors: list[InstalledSensor]


class StationFeature(_Closed):
    """A station as GeoJSON."""

    type: Literal["Feature"]
    id: str
    geometry: Geometry
    properties: StationProperties
    licence: str | None = None
    attribution: str | None = None


class StationCollection(_Closed):
    """All stations as GeoJSON."""

    type: Literal["FeatureCollection"]
    features: list[StationFeature]
    licence: str
    attribution: str


COUNTS_EXAMPLE: Final = {
    "resolution": "1h",
    "timezone": "Europe/Berlin",
    "unit": "passages",
    "licence": "Datenlizenz Deutschland – Zero – Version 2.0",
    "attribution": "Jena",
    "values": [
        {
            "station": "markt", "start": "2026-03-28T12:00:00+01:00", "end": "2026-03-28T13:00:00+01:00",
            "direction": "in", "class": "all", "sensor": "all",
            "count": 812, "coverage": 1.0, "state": "measured", "reason": None, "final": True,
        },
        {
            "station": "markt", "start": "2026-03-28T13:00:00+01:00", "end": "2026-03-28T14:00:00+01:00",
            "direction": "in", "class": "all", "sensor": "all",
            "count": None, "coverage": 0.0, "state": "missing", "reason": "not_reported", "final": True,
        },
    ],
    "next": None,
}  # fmt: skip

CSV_EXAMPLE: Final = (
    "station,interval_start,interval_end,direction,class,sensor,count,coverage,state,reason,final\n"
    "markt,2026-03-28T12:00:00+01:00,2026-03-28T13:00:00+01:00,in,all,all,812,1.0,measured,,true\n"
    "markt,2026-03-28T13:00:00+01:00,2026-03-28T14:00:00+01:00,in,all,all,,0.0,missing,not_reported,true\n"
)

_PROBLEM_TEXTS: Final = {
    401: "a token that is not the operator's",
    403: "finer than what is public",
    404: "no such station",
    422: "a parameter that cannot be used; `parameter` names it",
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


COUNTS_RESPONSES: Final[Docs] = {
    200: {
        "model": Counts,
        "description": "the counts, a gap as a value with null",
        "content": {"application/json": {"example": COUNTS_EXAMPLE}, "text/csv": {"example": CSV_EXAMPLE}},
    },
    304: {"description": "nothing has changed since the answer with this ETag"},
    **problems_of(401, 403, 404, 422, 503),
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
    200: {"description": "the metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
