"""What a question is about: which stations and areas, with their sensors in groups, and the remarks on that time.

Names become stations and areas here, and the zone and the time are read, because both depend on where the stations
are. All of it is one look at the database.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from footfall_api.areas import Area, read_areas
from footfall_api.counts import ALL, Group, groups_of
from footfall_api.database import Connection
from footfall_api.publication import LIFTED, Publication
from footfall_api.question import Format, Question, check_known
from footfall_api.remarks import Remark, read_exclusions, read_remarks
from footfall_api.stations import Station, read_stations
from footfall_api.tally import NOTHING_HIDDEN, Hidden
from footfall_api.writing import Note, Series

_LONGEST_WORD: Final = 1000
"""No id is so long; to compare one with all others would take its time."""


@dataclass(frozen=True, slots=True)
class Places:
    """The stations and areas that somebody named, or all stations."""

    stations: Sequence[Station]
    """Each a series of its own."""
    areas: Sequence[Area]
    """Each one series."""
    members: Sequence[Station]
    """The stations of the areas."""
    all_areas: Sequence[Area]
    """All there are, without their shapes."""
    named: tuple[str, ...] | None
    """The stations as they were named; None: nothing was, which means all."""

    @property
    def concerned(self) -> list[Station]:
        """All stations whose sensors count here, by id."""
        return sorted({found.id: found for found in (*self.stations, *self.members)}.values(), key=lambda s: s.id)


async def read_places(
    connection: Connection, stations: Sequence[str], areas: Sequence[str], *, shapes: bool = False
) -> Places:
    """The places of those names; without names all stations. Areas have their `shapes` on demand.

    Raises:
        QuestionError: there is no such station or area.
    """
    known = {station.id: station for station in await read_stations(connection)}
    all_areas = {area.id: area for area in await read_areas(connection, shapes=shapes and bool(areas))}
    check_known("station", stations, known)
    check_known("area", areas, all_areas)
    asked = [all_areas[name] for name in areas]
    inside = sorted({name for area in asked for name in area.stations})
    return Places(
        [known[name] for name in stations] if stations or areas else list(known.values()),
        asked,
        [known[name] for name in inside],
        list(all_areas.values()),
        tuple(stations) if stations or areas else None,
    )


async def read_place(connection: Connection, name: str) -> Places | None:
    """The one station of that name, if there is one."""
    if len(name) > _LONGEST_WORD or "\0" in name:  # which PostgreSQL does not take as text
        return None
    found = await read_stations(connection, name)
    return Places(found, [], [], await read_areas(connection, shapes=False), (name,)) if found else None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an answer is made from, but for the counts."""

    question: Question
    places: Places
    groups: Sequence[Group]
    series: Sequence[Series]
    """One for each group."""
    remarks: Sequence[Remark]
    hidden: Hidden = NOTHING_HIDDEN


async def plan(
    connection: Connection, question: Question, places: Places, rules: Publication = LIFTED, now_s: int = 0
) -> Plan:
    """The groups of sensors that are counted, the remarks on that time, and what of it is hidden by `rules` now."""
    concerned = places.concerned
    remarks = await read_remarks(connection, concerned, places.all_areas, question.from_s, question.to_s)
    groups: list[Group] = []
    series: list[Series] = []
    inside = {station.id: station for station in places.members}
    needs_shapes = question.format is Format.GEOJSON
    for station in places.stations:
        own = groups_of([station], question.split, together=False)
        point = {"type": "Point", "coordinates": [station.longitude, station.latitude]} if needs_shapes else None
        groups += own
        series += [Series(None, point, _notes(remarks, group, [station.id], None)) for group in own]
    for area in places.areas:
        own = groups_of([inside[name] for name in area.stations], question.split, together=True)
        groups += own
        series += [Series(area.id, area.geometry, _notes(remarks, group, area.stations, area.id)) for group in own]
    exclusions = await read_exclusions(connection, concerned, places.all_areas, question.from_s, question.to_s)
    return Plan(question, places, groups, series, remarks, rules.hidden(concerned, exclusions, now_s))


def _notes(remarks: Sequence[Remark], group: Group, stations: Sequence[str], area: str | None) -> tuple[Note, ...]:
    """What there is to say about a series."""
    return tuple(
        Note(f"{remark.kind}: {' '.join(remark.text.split())}", remark.from_s, remark.to_s)
        for remark in remarks
        if _is_about(remark, group, stations, area)
    )


def _is_about(remark: Remark, group: Group, stations: Sequence[str], area: str | None) -> bool:
    if remark.area is not None and remark.area == area:
        return True
    is_here = not set(remark.stations).isdisjoint(stations)
    return is_here and (remark.sensor is None or group.sensor in {ALL, remark.sensor})


def remark_json(remark: Remark, written: Callable[[int], str]) -> dict[str, Any]:
    """A remark as the API gives it; `written` writes times."""
    return {
        "id": remark.id,
        "station": remark.station,
        "sensor": remark.sensor,
        "area": remark.area,
        "stations": list(remark.stations),
        "from": written(remark.from_s),
        "to": None if remark.to_s is None else written(remark.to_s),
        "kind": remark.kind,
        "text": remark.text,
        "excludes": remark.excludes,
    }
