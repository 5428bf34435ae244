"""The endpoint for who wants to know what counts them: `privacy` says it, here it is asked for and described."""

from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from footfall_api import caching
from footfall_api.database import Connection, snapshot
from footfall_api.describe import Closed, Docs, Moment, problems_of
from footfall_api.intervals import Resolution
from footfall_api.privacy import notice
from footfall_api.publication import Publication
from footfall_api.settings import ApiSettings
from footfall_api.stations import read_stations

_KEPT_S: Final = 60
"""How long a client need not ask again, as for stations."""

router = APIRouter()


class Texts(Closed):
    """The same in German and English."""

    de: str
    en: str


class Place(Closed):
    """Where a sensor hung, from one moment to another, and what it is."""

    station: str = Field(description="station id")
    station_name: str
    from_: Moment | None = Field(alias="from", description="null: since ever")
    to: Moment | None = Field(description="null: until further notice")
    role: Literal["part", "reference"] = Field(description="parts are added up, references never")
    type: str | None = Field(description="what kind of sensor it is, in the city's words; null: not said")
    mounting: str | None = Field(description="where and how it hangs, in the city's words; null: not said")
    field_of_view: str | None = Field(
        description="which part of the place it sees, in the city's words; null: not said"
    )
    senses: Texts | None = Field(description="what sensors of this type perceive; null: the type does not tell")


class CountingSensor(Closed):
    """A sensor and all places where it hung."""

    id: str
    installations: list[Place] = Field(description="oldest first")


class MessageField(Closed):
    """A field of a message."""

    name: str
    text: Texts = Field(description="what it says, for people")
    description: str | None = Field(description="what the schema says of it; null: nothing")


class SentMessage(Closed):
    """What leaves a box on site: these fields and no others."""

    name: Literal["report", "sensor-health", "node-status"]
    schema_: str = Field(alias="schema", description="id of its JSON Schema, which is closed")
    about: Texts
    fields: list[MessageField]


class Keeping(Closed):
    """How long something stays."""

    what: Literal["outbox", "minutes", "hours", "unusable", "states"]
    text: Texts
    days: int | None = Field(description="the default, where there is a period; null: none, or it is not known here")
    since: Moment | None = Field(description="what is older was deleted; null: nothing was")


class Recent(Closed):
    """Finer intervals of the last hours."""

    resolution: Resolution
    hours: int


class HeldBackCounts(Closed):
    """Counts that are not published."""

    stations: list[str]
    from_: Moment | None = Field(alias="from", description="null: since ever")
    to: Moment | None = Field(description="null: until further notice")
    reason: Texts | None


class Sentences(Closed):
    """The rules as sentences, each with its reason."""

    de: list[str]
    en: list[str]


class Published(Closed):
    """Which counts are for everybody."""

    finest: Resolution = Field(description="finest intervals for all time")
    finest_reason: Texts | None
    recent: Recent | None = Field(description="null: nothing is finer than that")
    delay_minutes: int = Field(description="counts are public so much later; 0: at once")
    delay_reason: Texts | None
    small_below: int = Field(description="where classes are told apart no count from 1 to below this; 0: all")
    small_reason: Texts | None
    held_back: list[HeldBackCounts]
    sentences: Sentences


class Responsible(Closed):
    """Who is responsible, as far as it was configured."""

    name: str
    city: str
    contact: str | None = Field(description="e-mail or web address; null: not said")
    privacy: str | None = Field(description="e-mail of the data protection officer, or web address of the notice")
    imprint: str | None = Field(description="web address")


class PrivacyNotice(Closed):
    """What is sensed, sent, kept and published, and by whom."""

    unit: Literal["passages"]
    statement: Texts = Field(description="passages, not persons")
    identifiers: Texts = Field(description="that there are none")
    sensors: list[CountingSensor]
    messages: list[SentMessage] = Field(description="all that leaves a box on site")
    steps: list[Texts] = Field(description="where it goes, step by step")
    kept: list[Keeping]
    published: Published
    responsible: Responsible
    licence: str
    attribution: str


EXAMPLE: Final = {
    "unit": "passages",
    "statement": {"de": "Gezählt werden Passagen, nicht Personen.", "en": "What is counted are passages, not persons."},
    "identifiers": {"de": "Keine Meldung hat ein Feld dafür.", "en": "No message has a field for one."},
    "sensors": [
        {
            "id": "markt-1",
            "installations": [
                {
                    "station": "markt", "station_name": "Markt", "from": "2026-03-01T00:00:00+01:00", "to": None,
                    "role": "part", "type": "Radar, 60 GHz", "mounting": "Laterne vor dem Rathaus, 3,2 m hoch",
                    "field_of_view": "120° quer über den Weg, bis 8 m",
                    "senses": {"de": "Funkwellen. Kein Bild.", "en": "Radio waves. No picture."},
                }
            ],
        }
    ],
    "messages": [
        {
            "name": "report",
            "schema": "urn:footfall:v1:report",
            "about": {"de": "Wie viele Passagen es waren.", "en": "How many passages there were."},
            "fields": [
                {
                    "name": "sensor",
                    "text": {"de": "welches Zählgerät", "en": "which counter"},
                    "description": "The device that counted.",
                }
            ],
        }
    ],
    "steps": [{"de": "Der Sensor bemerkt …", "en": "The sensor notices …"}],
    "kept": [
        {"what": "outbox", "text": {"de": "noch 14 Tage", "en": "for another 14 days"}, "days": 14, "since": None},
    ],
    "published": {
        "finest": "15min", "finest_reason": None, "recent": {"resolution": "1min", "hours": 24},
        "delay_minutes": 0, "delay_reason": None, "small_below": 0, "small_reason": None,
        "held_back": [
            {
                "stations": ["markt"], "from": None, "to": "2026-03-01T00:00:00+00:00",
                "reason": {"de": "Probebetrieb.", "en": "Trial operation."},
            }
        ],
        "sentences": {"de": ["Werte je Minute …"], "en": ["Values per minute …"]},
    },
    "responsible": {
        "name": "Stadt Jena", "city": "Jena", "contact": "zaehlung@jena.example", "privacy": None, "imprint": None,
    },
    "licence": "Datenlizenz Deutschland – Zero – Version 2.0",
    "attribution": "Jena",
}  # fmt: skip

_RESPONSES: Final[Docs] = {
    200: {"description": "the notice", "content": {"application/json": {"example": EXAMPLE}}},
    304: {"description": "nothing has changed since the answer with this ETag"},
    **problems_of(422, 503),
}


@router.get(
    "/api/v1/privacy",
    summary="What is sensed, sent, kept and published",
    tags=["privacy"],
    response_model=PrivacyNotice,
    responses=_RESPONSES,
)
async def privacy(request: Request) -> Response:
    """Each sensor and what it perceives, all that leaves it, where that goes, how long it stays, who is responsible.

    The fields of the messages are those of the schemas by which they are read: what has another one is not counted.
    """
    settings: ApiSettings = request.app.state.settings
    rules: Publication = request.app.state.shown
    async with snapshot(request.app.state.pool) as connection:
        stations = await read_stations(connection)
        minutes_from_s = await _minutes_from_s(connection)
    content: dict[str, Any] = {
        **notice(settings.city, stations, rules, minutes_from_s),
        "licence": settings.public.licence,
        "attribution": settings.attribution,
    }
    return caching.small_json(request, content, "application/json", _KEPT_S)


_MINUTES_FROM: Final = (
    "SELECT CASE WHEN isfinite(minutes_from) THEN extract(epoch FROM minutes_from)::bigint END FROM store"
)


async def _minutes_from_s(connection: Connection) -> int | None:
    row = await (await connection.execute(_MINUTES_FROM)).fetchone()
    return None if row is None else row[0]
