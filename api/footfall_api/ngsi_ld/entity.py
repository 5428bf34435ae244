"""Write what a station counted in an interval as an NGSI-LD entity of the Smart Data Model ``CrowdFlowObserved``.

**One entity for each station and length of interval.** A context broker holds the present: an entity has one value of
each attribute, and who writes the next observation overwrites the one before. Its past the broker keeps by itself, in
its temporal store or through its subscriptions, by the `observedAt` of each attribute. So the id is that of the station
and the resolution and stays the same, ``dateObserved`` moves on, and each attribute that changes says of when it is. An
id for every interval would fill a broker with 35 000 entities a year that nobody asks for by name. Only who reads
several intervals in one document (`each`) gets ids that tell them apart: a document in which one node has several
counts would say that all of them are true at once.

**What the model means.** ``peopleCount`` is "the total number of people detected during this observation"; ours are
passages, and ``description`` says so. ``peopleCountTowards`` and ``peopleCountAway`` are those towards and away from a
direction that the model leaves open: here `in` and `out`, with the station's own words for them in ``towardsLabel`` and
``awayLabel``. ``direction`` is left out: it tells whether a way leads into the centre or out of it, for which neither
`in` nor `out` is a word. ``dateObserved`` is the interval as text, because brokers take no interval for a time; they
filter by ``dateObservedFrom`` and ``dateObservedTo``.

**No number is no attribute**, never a 0: NGSI-LD has no null. ``state`` and ``stateReason`` say why, ``coverage`` how
well the time was measured: terms of our own (`CONTEXT`), as the model has none. It is not called ``reason`` because
NGSI-LD keeps that word for itself.

Pure functions. All times are in UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from footfall_api.intervals import Resolution
from footfall_api.published import Published
from footfall_api.settings import ApiSettings
from footfall_api.word import word_of

TYPE: Final = "CrowdFlowObserved"

Entity = dict[str, Any]
"""An entity as JSON."""

MODEL_CONTEXT: Final = (
    "https://raw.githubusercontent.com/smart-data-models/dataModel.Transportation/master/context.jsonld"
)
"""The terms of the Smart Data Models."""

CORE_CONTEXT: Final = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"
"""The terms of NGSI-LD itself, which a broker adds by itself. Comes last, because nothing may redefine it."""

CONTEXT_PATH: Final = "/api/v1/ngsi-ld/context.jsonld"

_OURS: Final = "urn:footfall:ngsi-ld:"

CONTEXT: Final[Mapping[str, str]] = {
    "coverage": f"{_OURS}coverage",
    "state": f"{_OURS}state",
    "stateReason": f"{_OURS}stateReason",
    "towardsLabel": f"{_OURS}towardsLabel",
    "awayLabel": f"{_OURS}awayLabel",
    "licence": "http://purl.org/dc/terms/license",
}
"""Our own terms; their meaning never changes."""

DESCRIPTION: Final = (
    "Passages over a counting line, not persons: somebody who crosses it twice is counted twice. "
    "Without peopleCount there is no number, and state and stateReason say why; 0 means that nobody came."
)


@dataclass(frozen=True, slots=True)
class About:
    """What stands around every number."""

    city: str
    """Its name, for people."""
    provider: str
    """How the source is to be named."""
    licence: str
    """Where it is to be read, or its name."""
    base: str
    """Address under which the API is reached; empty: not known."""
    context: tuple[str, ...]
    """Addresses of what explains the terms."""


def about(settings: ApiSettings, base: str, context: Sequence[str] = ()) -> About:
    """What the settings say about every number; `base` is the address of the API, `context` replaces the usual one."""
    public = settings.public
    own = (f"{base}{CONTEXT_PATH}", MODEL_CONTEXT)
    return About(
        settings.city.name, settings.attribution, public.licence_url or public.licence, base, tuple(context) or own
    )


def entity_id(city: str, station: str, resolution: Resolution, start_s: int | None = None) -> str:
    """The URN of a station's entity for a length of interval; of one interval alone with its start (unix seconds)."""
    name = f"urn:ngsi-ld:{TYPE}:{word_of(city)}:{station}:{resolution}"
    return name if start_s is None else f"{name}:{datetime.fromtimestamp(start_s, UTC):%Y%m%dT%H%M%SZ}"


def entity(published: Published, about: About, *, each: bool = False) -> Entity:
    """The entity, normalised. `each`: its id is that of the interval, for several of one station in one document."""
    station, answer = published.station, published.answer
    start, end = _utc(published.start_s), _utc(published.end_s)
    labels = station.labels_at(published.start_s)
    source = f"{about.base}/api/v1/stations/{station.id}" if about.base else None
    changing = {
        "dateObserved": f"{start}/{end}",
        "dateObservedFrom": _time(start),
        "dateObservedTo": _time(end),
        "peopleCount": published.total,
        "peopleCountTowards": published.count("in"),
        "peopleCountAway": published.count("out"),
        "coverage": answer.coverage,
        "state": str(answer.state),
        "stateReason": None if answer.reason is None else str(answer.reason),
    }
    lasting = {
        "name": station.name,
        "description": DESCRIPTION,
        "address": {"addressLocality": about.city},
        "towardsLabel": labels.get("in"),
        "awayLabel": labels.get("out"),
        "dataProvider": about.provider,
        "source": source,
        "licence": about.licence or None,
    }
    point = {"type": "Point", "coordinates": [station.longitude, station.latitude]}
    return {
        "id": entity_id(about.city, station.id, published.resolution, published.start_s if each else None),
        "type": TYPE,
        **{
            name: {"type": "Property", "value": value, "observedAt": end}
            for name, value in changing.items()
            if value is not None
        },
        "location": {"type": "GeoProperty", "value": point},
        **{name: {"type": "Property", "value": value} for name, value in lasting.items() if value is not None},
        "@context": list(about.context),
    }


def attributes_of(entity: Entity) -> frozenset[str]:
    """The names of an entity's attributes."""
    return frozenset(entity) - {"id", "type", "@context"}


def key_values(entity: Entity) -> Entity:
    """The same entity in short: each attribute is its value, a time its text."""
    return {name: _plain(part) if isinstance(part, dict) else part for name, part in entity.items()}


def _plain(attribute: Mapping[str, Any]) -> Any:
    value = attribute["value"]
    return value["@value"] if isinstance(value, dict) and "@value" in value else value


def _time(text: str) -> dict[str, str]:
    return {"@type": "DateTime", "@value": text}


def _utc(instant_s: int) -> str:
    return f"{datetime.fromtimestamp(instant_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
