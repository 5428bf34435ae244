"""What the catalogue is made from: who publishes, under which licence and rules, where, and what was measured when.

What was measured is what the public is given of it: time that is held back, not public yet or not to be believed is no
part of it. So the catalogue tells nothing that the data do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from footfall_api.areas import read_areas
from footfall_api.database import Connection
from footfall_api.licences import wants_attribution
from footfall_api.publication import Publication
from footfall_api.ranges import without
from footfall_api.remarks import FOREVER_S, read_exclusions
from footfall_api.settings import ApiSettings, CatalogueSettings, reach
from footfall_api.stations import Station, read_stations
from footfall_api.tally import Exclusions
from footfall_api.times import EARLIEST

EARLIEST_S: Final = int(EARLIEST.timestamp())

Stretch = tuple[int, int, int]
"""A sensor by its key, and a time of it from one moment to another (UTC unix seconds, half-open)."""


@dataclass(frozen=True, slots=True)
class Box:
    """The smallest box around points, in degrees (WGS 84)."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the catalogue says. Times in UTC unix seconds."""

    base: str
    """The address under which the world reaches the API, without a slash at its end."""
    city: str
    settings: CatalogueSettings
    publisher: str
    contact: str | None
    """``mailto:…`` or ``https://…``."""
    licence: str
    """Its address in the list."""
    attribution: str | None
    """How the source is to be named, where the licence wants it named."""
    spatial: tuple[str, ...]
    """Addresses that stand for the place."""
    rules: Publication
    stations: tuple[tuple[str, str], ...]
    """Ids and names."""
    box: Box | None
    """Around the stations; None: there is none yet."""
    measured_s: tuple[int, int] | None
    """From the first measured moment to the end of the last, of what is public; None: nothing was measured."""
    counts_changed_s: int | None
    """When anything in the counts last changed; None: there are none."""
    stations_changed_s: int | None
    has_files: bool = True
    """Whether the counts are there as files, too."""


async def read_facts(connection: Connection, settings: ApiSettings, rules: Publication, base: str, now_s: int) -> Facts:
    """The facts as they are at `now_s` (UTC unix seconds), in the connection's snapshot."""
    stations = await read_stations(connection)
    excluded = await read_exclusions(connection, stations, await read_areas(connection), EARLIEST_S, FOREVER_S)
    stretches = stretches_of(stations, rules.hidden(stations, excluded, now_s).unread, now_s)
    measured_s = await _measured(connection, stretches)
    stations_changed_s, counts_changed_s = await _changed(connection, stretches)
    licence = settings.licence_uri
    return Facts(
        base,
        settings.city.name,
        settings.catalogue,
        settings.catalogue.publisher_name or settings.city.office or settings.city.name,
        reach(settings.catalogue.contact or settings.city.contact),
        licence,
        settings.attribution if wants_attribution(licence) else None,
        settings.spatial,
        rules,
        tuple((station.id, station.name) for station in stations),
        box_of(stations),
        measured_s,
        # What was measured up to a moment came later, however it came.
        None if measured_s is None else min(now_s, max(measured_s[1], counts_changed_s or 0, stations_changed_s or 0)),
        None if stations_changed_s is None else min(now_s, stations_changed_s),
        bool(settings.files.folder),
    )


def stretches_of(stations: Sequence[Station], unread: Exclusions, now_s: int) -> list[Stretch]:
    """When which sensors counted for their stations, up to `now_s` and without the time of which nothing is read."""
    found = []
    for station in stations:
        for part in station.parts():
            begin_s, end_s = part.overlap(EARLIEST_S, now_s)
            if begin_s < end_s:
                hidden = unread.get((station.id, part.sensor_key), ())
                found += [(part.sensor_key, *stretch) for stretch in without([(begin_s, end_s)], hidden)]
    return found


def box_of(stations: Sequence[Station]) -> Box | None:
    """The box around the stations."""
    if not stations:
        return None
    longitudes, latitudes = [station.longitude for station in stations], [station.latitude for station in stations]
    return Box(min(longitudes), min(latitudes), max(longitudes), max(latitudes))


# Of each stretch the first and the last row, each by the key of its table. Hours are asked where the minutes they were
# made from were removed; an hour that is cut has a span for either side.
_MEASURED: Final = """
WITH asked AS (
    SELECT * FROM unnest(%(sensors)s::int[], %(froms)s::timestamptz[], %(tos)s::timestamptz[]) AS a (sensor, low, high)
)
SELECT extract(epoch FROM min(found.begins))::bigint, extract(epoch FROM max(found.ends))::bigint
FROM asked CROSS JOIN LATERAL (
    (SELECT minute_start(minute), minute_start(minute + 1) FROM coverage_minute m
     WHERE m.sensor = asked.sensor AND minute >= minute_of(low) AND minute < minute_of(high) AND observed_s > 0
     ORDER BY minute LIMIT 1)
    UNION ALL
    (SELECT minute_start(minute), minute_start(minute + 1) FROM coverage_minute m
     WHERE m.sensor = asked.sensor AND minute >= minute_of(low) AND minute < minute_of(high) AND observed_s > 0
     ORDER BY minute DESC LIMIT 1)
    UNION ALL
    (SELECT bucket, bucket + interval '1 hour' FROM coverage_hour h
     WHERE h.sensor = asked.sensor AND bucket >= low AND bucket <= high - interval '1 hour' AND observed_s > 0
       AND bucket < (SELECT minutes_from FROM store)
     ORDER BY bucket LIMIT 1)
    UNION ALL
    (SELECT bucket, bucket + interval '1 hour' FROM coverage_hour h
     WHERE h.sensor = asked.sensor AND bucket >= low AND bucket <= high - interval '1 hour' AND observed_s > 0
       AND bucket < (SELECT minutes_from FROM store)
     ORDER BY bucket DESC LIMIT 1)
    UNION ALL
    (SELECT min(starts), max(ends) FROM coverage_span s
     WHERE s.sensor = asked.sensor AND starts >= low AND starts < high AND ends <= high AND (
         observed_s > 0 OR EXISTS (
             SELECT FROM count_span c WHERE c.sensor = s.sensor AND c.starts = s.starts AND c.ends = s.ends
         )
     ))
) AS found (begins, ends)
"""


async def _measured(connection: Connection, stretches: Sequence[Stretch]) -> tuple[int, int] | None:
    asked = {
        "sensors": [sensor for sensor, _, _ in stretches],
        "froms": [datetime.fromtimestamp(low_s, UTC) for _, low_s, _ in stretches],
        "tos": [datetime.fromtimestamp(high_s, UTC) for _, _, high_s in stretches],
    }
    row = await (await connection.execute(_MEASURED, asked)).fetchone()
    assert row is not None
    begin_s, end_s = row
    return None if begin_s is None else (begin_s, end_s)


_CHANGED: Final = """
SELECT (SELECT extract(epoch FROM max(changed))::bigint FROM station),
       extract(epoch FROM greatest(
           (SELECT max(touched) FROM stream WHERE sensor = ANY(%(sensors)s)),
           (SELECT max(changed) FROM remark)
       ))::bigint
"""


async def _changed(connection: Connection, stretches: Sequence[Stretch]) -> tuple[int | None, int | None]:
    """When the stations, and when the counts of these stretches or what people know of them, last changed."""
    asked = {"sensors": list({sensor for sensor, _, _ in stretches})}
    row = await (await connection.execute(_CHANGED, asked)).fetchone()
    assert row is not None
    stations_s, counts_s = row
    return stations_s, counts_s
