"""Areas of the city, and the stations that lie in them."""

from dataclasses import dataclass
from typing import Any, Final

from footfall_api.database import Connection


@dataclass(frozen=True, slots=True)
class Area:
    """A named area. `geometry` is a GeoJSON Polygon or MultiPolygon, `stations` are the ids of those in it, sorted."""

    id: str
    name: str
    kind: str
    """The city's word for what it is: Quartier, Sozialraum, Ortsteil."""
    geometry: dict[str, Any]
    stations: tuple[str, ...]

    def as_feature(self) -> dict[str, Any]:
        """The area as a GeoJSON Feature."""
        return {
            "type": "Feature",
            "id": self.id,
            "geometry": self.geometry,
            "properties": {"name": self.name, "kind": self.kind, "stations": list(self.stations)},
        }


_AREAS: Final = """
SELECT id, name, kind, CASE WHEN %(shapes)s THEN geometry ELSE '{}' END,
       ARRAY(SELECT station FROM station_area WHERE area = id ORDER BY station COLLATE "C")
FROM area WHERE %(id)s::text IS NULL OR id = %(id)s ORDER BY id COLLATE "C"
"""


async def read_areas(connection: Connection, area: str | None = None, *, shapes: bool = True) -> list[Area]:
    """All areas by id, or the one named (an empty list if there is none of that name).

    Without `shapes` their geometries are left out: who only asks which stations lie where need not read so much.
    """
    rows = await (await connection.execute(_AREAS, {"id": area, "shapes": shapes})).fetchall()
    return [Area(name, title, kind, geometry, tuple(stations)) for name, title, kind, geometry, stations in rows]
