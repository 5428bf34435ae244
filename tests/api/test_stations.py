"""Stations as GeoJSON, the way the stations file has them."""

from datetime import UTC, datetime

from footfall_testing.city import Api, City


def test_stations_are_geojson(city: City, api: Api) -> None:
    """Feature by feature as in the file: position, line, labels with dates, sensors with dates and roles."""
    city.station("markt")
    city.labels("markt", datetime(2020, 1, 1, tzinfo=UTC), "Rathaus", "Kirche")
    city.labels("markt", datetime(2024, 7, 1, tzinfo=UTC), "Richtung Rathaus", "Richtung Kirche")
    city.install(city.sensor("markt-1"), "markt", datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    city.install(city.sensor("markt-2"), "markt", datetime(2025, 1, 1, tzinfo=UTC), role="reference")
    city.station("apia", timezone="Pacific/Apia")

    response = api.get("/api/v1/stations")

    assert response.headers["Content-Type"] == "application/geo+json"
    assert response.json() == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": "apia",
                "geometry": {"type": "Point", "coordinates": [11.58782, 50.92818]},
                "properties": {
                    "name": "Apia",
                    "timezone": "Pacific/Apia",
                    "line": [[11.5877, 50.9282], [11.5879, 50.9282]],
                    "directions": [],
                    "sensors": [],
                    "areas": [],
                },
            },
            {
                "type": "Feature",
                "id": "markt",
                "geometry": {"type": "Point", "coordinates": [11.58782, 50.92818]},
                "properties": {
                    "name": "Markt",
                    "timezone": "Europe/Berlin",
                    "line": [[11.5877, 50.9282], [11.5879, 50.9282]],
                    "directions": [
                        {"from": "2020-01-01T01:00:00+01:00", "in": "Rathaus", "out": "Kirche"},
                        {"from": "2024-07-01T02:00:00+02:00", "in": "Richtung Rathaus", "out": "Richtung Kirche"},
                    ],
                    "sensors": [
                        {
                            "id": "markt-1",
                            "from": "2020-01-01T01:00:00+01:00",
                            "to": "2025-01-01T01:00:00+01:00",
                            "role": "part",
                            "type": None,
                            "mounting": None,
                            "field_of_view": None,
                        },
                        {
                            "id": "markt-2",
                            "from": "2025-01-01T01:00:00+01:00",
                            "to": None,
                            "role": "reference",
                            "type": None,
                            "mounting": None,
                            "field_of_view": None,
                        },
                    ],
                    "areas": [],
                },
            },
        ],
        "licence": "Datenlizenz Deutschland – Zero – Version 2.0",
        "attribution": "Jena",
    }


def test_one_station_is_the_same_feature(city: City, api: Api) -> None:
    """By itself it carries the licence too."""
    city.counter("markt")
    city.counter("saal")
    together = {feature["id"]: feature for feature in api.get("/api/v1/stations").json()["features"]}

    alone = api.get("/api/v1/stations/saal").json()

    assert alone.pop("licence")
    assert alone.pop("attribution") == "Jena"
    assert alone == together["saal"]


def test_endless_validity_is_null(city: City, api: Api) -> None:
    """Labels that hold since ever have no date that JSON could write."""
    city.station("markt")
    city.connection.execute("INSERT INTO direction_label VALUES ('markt', '-infinity', 'hin', 'her')")

    properties = api.get("/api/v1/stations/markt").json()["properties"]

    assert properties["directions"] == [{"from": None, "in": "hin", "out": "her"}]


def test_who_has_the_stations_need_not_load_them(city: City, api: Api) -> None:
    """They may be kept a minute, and after that 304 says that nothing changed."""
    city.counter("markt")
    first = api.get("/api/v1/stations")

    assert first.headers["Cache-Control"] == "public, max-age=60"
    known = {"If-None-Match": first.headers["ETag"]}
    assert api.get("/api/v1/stations", headers=known).status_code == 304
    city.counter("saal")
    assert api.get("/api/v1/stations", headers=known).status_code == 200
