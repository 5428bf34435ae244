"""The entities of SensorThings: what the stations of a city are in its words.

One Thing, Location, HistoricalLocation, Sensor and FeatureOfInterest for each station, all with the station's number as
their id; one ObservedProperty, passages; and a Datastream for each direction set (all, in, out) and each standard
interval that is public. `properties` of Things and Datastreams follow Hamburg's conventions, which scripts of other
cities read: ``topic``, ``assetID``, ``richtung``; ``serviceName``, ``layerName``, ``resultNature``.

An Observation is one interval of a Datastream that has ended. It is not stored anywhere: its id says which it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from footfall_api.counts import ALL
from footfall_api.intervals import Resolution
from footfall_api.sta.edges import Edges
from footfall_api.sta.values import Interval
from footfall_api.stations import DIRECTION_WORDS, Station, directions_of
from footfall_contract.words import Direction

STREAMS_BITS: Final = 4
"""A Datastream's id is its station's number, shifted by so many bits, and which of the station's it is."""

MINUTE_BITS: Final = 26
"""An Observation's id is its Datastream's, shifted by so many bits, and the minute since 1970 in which it begins.

Up to the year 2097. With fewer than 2²³ stations every id is exact in a double, which is all that JavaScript has.
"""

MAX_ID: Final = 2**63 - 1

DIRECTION_SETS: Final = (ALL, DIRECTION_WORDS[Direction.IN], DIRECTION_WORDS[Direction.OUT])

RESOLUTIONS: Final[Mapping[Resolution, tuple[str, str]]] = {
    Resolution.QUARTER_HOUR: ("15-Min", "PT15M"),
    Resolution.HOUR: ("1-Stunde", "PT1H"),
    Resolution.DAY: ("1-Tag", "P1D"),
    Resolution.WEEK: ("1-Woche", "P1W"),
}
"""What the intervals are called in ``layerName``, and their length in ISO 8601."""

_KINDS: Final = [(resolution, direction) for resolution in RESOLUTIONS for direction in DIRECTION_SETS]
_POINT_TYPE: Final = "application/geo+json"
_COUNT: Final = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_CountObservation"
_UNIT: Final = {"name": "Anzahl", "symbol": "", "definition": "http://qudt.org/vocab/unit/NUM"}
_PASSAGES: Final = "Gezählt werden Passagen, nicht Personen. Passages are counted, not persons."


@dataclass(frozen=True, slots=True)
class Stream:
    """A Datastream: the intervals at the positions [first, last) of `edges`, counted in one direction, or all."""

    id: int
    station: Station
    direction: str
    edges: Edges
    first: int
    last: int

    def observation_id(self, position: int) -> int:
        """The id of the Observation at a position."""
        return (self.id << MINUTE_BITS) + self.edges.edges_s[position] // 60

    def position_of(self, id_: int) -> int | None:
        """The position of an Observation of this Datastream; None if there is none of that id."""
        start_s = (id_ - (self.id << MINUTE_BITS)) * 60
        position = self.edges.first_from(start_s)
        is_there = self.first <= position < self.last and self.edges.edges_s[position] == start_s
        return position if is_there else None

    def interval(self, position: int) -> Interval:
        """The time at a position."""
        start_s, end_s = self.edges.edges_s[position : position + 2]
        return Interval(datetime.fromtimestamp(start_s, UTC), datetime.fromtimestamp(end_s, UTC))


@dataclass(slots=True)
class Entity:
    """One entity: its set, its id, its properties without those that are null, and the ids that its links lead to."""

    set: str
    id: int
    properties: Mapping[str, Any]
    links: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """By navigation; Observations are not among them, because there are too many."""


@dataclass(frozen=True, slots=True)
class Names:
    """What stands in the entities beside the stations."""

    city: str
    page: str
    """Address of the page that says what is measured."""
    licence: str
    attribution: str
    published: Sequence[str] = ()
    """The rules of publication, in sentences."""


def stream_id(station: Station, resolution: Resolution, direction: str) -> int:
    """The id of a Datastream."""
    return (station.number << STREAMS_BITS) + _KINDS.index((resolution, direction))


def direction_sets(station: Station) -> tuple[str, ...]:
    """The direction sets that a station counts: where directions cannot be told apart, all of them only."""
    counted = {DIRECTION_WORDS[direction] for direction in directions_of(station.parts())}
    return tuple(direction for direction in DIRECTION_SETS if direction == ALL or direction in counted)


def entities_of(
    stations: Sequence[Station], areas: Mapping[str, Sequence[str]], streams: Sequence[Stream], names: Names
) -> dict[str, dict[int, Entity]]:
    """All entities but the Observations, by set and id; `areas` are those that each station lies in."""
    found: dict[str, dict[int, Entity]] = {
        name: {}
        for name in (
            "Things", "Locations", "HistoricalLocations", "Datastreams", "Sensors", "ObservedProperties",
            "FeaturesOfInterest",
        )
    }  # fmt: skip
    of_station: dict[int, list[int]] = {}
    for stream in streams:
        of_station.setdefault(stream.station.number, []).append(stream.id)
        found["Datastreams"][stream.id] = _datastream(stream, names)
    all_streams = sorted(found["Datastreams"])
    found["ObservedProperties"][1] = Entity(
        "ObservedProperties",
        1,
        {
            "name": "Anzahl Fußgänger",
            "definition": names.page,
            "description": f"Passagen an einer Zählstelle je Zeitabschnitt. {_PASSAGES}",
        },
        {"Datastreams": all_streams},
    )
    for station in stations:
        n, mine = station.number, of_station.get(station.number, [])
        point = {"type": "Point", "coordinates": [station.longitude, station.latitude]}
        place = {
            "name": station.name,
            "description": f"Lage der Zählstelle {station.name}",
            "encodingType": _POINT_TYPE,
        }
        begin_s = min((s.edges.edges_s[s.first] for s in streams if s.station.number == n), default=0)
        for entity in (
            Entity(
                "Things",
                n,
                _thing(station, areas.get(station.id, ()), names),
                {"Locations": [n], "HistoricalLocations": [n], "Datastreams": mine},
            ),
            Entity("Locations", n, {**place, "location": point}, {"Things": [n], "HistoricalLocations": [n]}),
            Entity(
                "HistoricalLocations",
                n,
                {"time": datetime.fromtimestamp(begin_s, UTC)},
                {"Thing": [n], "Locations": [n]},
            ),
            Entity("Sensors", n, _sensor(station, names), {"Datastreams": mine}),
            Entity("FeaturesOfInterest", n, {**place, "feature": point}),
        ):
            found[entity.set][n] = entity
    return found


def _thing(station: Station, areas: Sequence[str], names: Names) -> dict[str, Any]:
    labels = station.labels[-1].words if station.labels else {}
    ways = " / ".join(labels[word] for word in ("in", "out") if word in labels)
    return {
        "name": station.name,
        "description": f"Zählstelle für Fußverkehr in {names.city}: {station.name}. {_PASSAGES}",
        "properties": {
            "topic": "Transport und Verkehr",
            "assetID": station.id,
            "keywords": ["Fußverkehr", "Verkehr", "Zählstelle", "Passagen"],
            "language": "de",
            "richtung": ways or "Querschnitt",
            "ownerThing": names.attribution,
            "station": station.id,
            "timezone": station.zone.key,
            "areas": list(areas),
            "licence": names.licence,
            "attribution": names.attribution,
        },
    }


def _sensor(station: Station, names: Names) -> dict[str, Any]:
    feature = station.as_feature()["properties"]
    sensors = [{name: word for name, word in one.items() if word is not None} for one in feature["sensors"]]
    return {
        "name": f"Zählsensorik {station.name}",
        "description": f"Alle Sensoren der Zählstelle {station.name}; gezählt wird die Summe ihrer Teile (part).",
        "encodingType": "text/html",
        "metadata": names.page,
        "properties": {"sensors": sensors},
    }


def _datastream(stream: Stream, names: Names) -> Entity:
    station, edges = stream.station, stream.edges
    word, length = RESOLUTIONS[edges.resolution]
    labels = station.labels[-1].words if station.labels else {}
    way = "" if stream.direction == ALL else f", {labels.get(stream.direction, stream.direction)}"
    suffix = "" if stream.direction == ALL else f"_{stream.direction}"
    described: dict[str, Any] = {
        "serviceName": f"{names.city}_STA_Fussverkehr",
        "layerName": f"Anzahl_Fussgaenger_Zaehlstelle_{word}{suffix}",
        "resultNature": "processed",
        "station": station.id,
        "direction": stream.direction,
        "resolution": str(edges.resolution),
        "aggregateDuration": length,
        "timezone": station.zone.key,
        "licence": names.licence,
        "attribution": names.attribution,
        "published": list(names.published),
    }
    if stream.direction in labels:
        described["directionLabel"] = labels[stream.direction]
    properties: dict[str, Any] = {
        "name": f"Anzahl Fußgänger an der Zählstelle {station.name} im {word}-Intervall{way}",
        "description": f"Passagen an der Zählstelle {station.name} je Zeitabschnitt ({word}){way}. {_PASSAGES} "
        "Ein Ergebnis fehlt, wo nicht gemessen wurde; parameters sagt, wie gut gemessen wurde.",
        "observationType": _COUNT,
        "unitOfMeasurement": _UNIT,
        "observedArea": {"type": "Point", "coordinates": [station.longitude, station.latitude]},
        "properties": described,
    }
    if stream.first < stream.last:
        first, last = stream.interval(stream.first), stream.interval(stream.last - 1)
        properties["phenomenonTime"] = Interval(first.start, last.end)
        properties["resultTime"] = Interval(first.end, last.end)
    return Entity(
        "Datastreams",
        stream.id,
        properties,
        {"Thing": [station.number], "Sensor": [station.number], "ObservedProperty": [1]},
    )
