"""Which stations lie in which areas: worked out anew, with GEOS, whenever either of them is applied."""

import psycopg


def place_stations(connection: psycopg.Connection) -> dict[str, tuple[str, ...]]:
    """Make `station_area` what the geometries say; every area's stations, by id. A point on the edge belongs.

    In the caller's transaction, which holds the lock on `station` that keeps others from changing either.
    """
    areas = connection.execute("SELECT id, geometry FROM area ORDER BY id").fetchall()
    if not areas:
        return {}
    import shapely  # noqa: PLC0415  # loads GEOS, which whoever has no areas never needs
    from shapely.geometry import shape  # noqa: PLC0415

    stations = connection.execute("SELECT id, longitude, latitude FROM station ORDER BY id").fetchall()
    points = shapely.points([(longitude, latitude) for _, longitude, latitude in stations] or [])
    inside = {
        area: tuple(
            name for (name, *_), holds in zip(stations, shapely.covers(shape(geometry), points), strict=True) if holds
        )
        for area, geometry in areas
    }
    pairs = {(station, area) for area, names in inside.items() for station in names}
    known = set(connection.execute("SELECT station, area FROM station_area").fetchall())
    cursor = connection.cursor()
    cursor.executemany("DELETE FROM station_area WHERE station = %s AND area = %s", sorted(known - pairs))
    cursor.executemany("INSERT INTO station_area (station, area) VALUES (%s, %s)", sorted(pairs - known))
    return inside
