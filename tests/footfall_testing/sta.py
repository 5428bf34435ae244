"""A city to ask SensorThings about, and the questions."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from footfall_testing.city import NOW, Api, City

BEGIN = datetime(2026, 6, 1, 6, tzinfo=UTC)
"""Eight in the morning in Jena, on a Monday."""


def populate(city: City) -> None:
    """Two stations in Jena, one in Lisbon that cannot tell directions, one that never counted.

    Nine days with a gap of some hours; one station was taken down on the way; of some time a remark says not to
    believe it. It is two in the afternoon of a Wednesday (`NOW`).
    """
    markt = city.counter("markt")
    city.labels("markt", BEGIN, "Richtung Markt", "Richtung Bahnhof")
    city.minutes(markt, BEGIN, 60 * 50, {0: 2, 1: 1})
    city.minutes(markt, BEGIN + timedelta(hours=57), 60 * 24 * 5, {0: 1, 1: 3})
    city.minutes(markt, NOW - timedelta(minutes=50), 40, {0: 7})
    city.exclude(BEGIN + timedelta(hours=60), BEGIN + timedelta(hours=62), station="markt")
    city.station("kirche")
    kirche = city.sensor("kirche-1")
    city.install(kirche, "kirche", until=BEGIN + timedelta(days=4, minutes=7))
    city.minutes(kirche, BEGIN + timedelta(minutes=20), 60 * 24 * 3, {1: 5}, observed_s=30)
    hafen = city.counter("hafen", timezone="Europe/Lisbon", directions=(2,))
    city.minutes(hafen, BEGIN + timedelta(days=1), 60 * 24, {2: 4})
    city.counter("nie")
    city.area("zentrum", "markt", "kirche")


def ask(api: Api, path: str, **options: Any) -> Any:
    """The JSON at a path below the service root; options without their ``$``, encoded as clients do."""
    response = get(api, path, **options)
    assert response.status_code == 200, (path, options, response.text)
    return response.json()


def get(api: Api, path: str, **options: Any) -> Any:
    """The response."""
    query = "&".join(f"${name}={quote(str(value), safe='')}" for name, value in options.items())
    return api.request("GET", f"/sta/v1.1{path}" + (f"?{query}" if query else ""))


def everything(api: Api, path: str, **options: Any) -> list[dict[str, Any]]:
    """All entities of a set, following the links."""
    body = ask(api, path, **options)
    found: list[dict[str, Any]] = body["value"]
    while "@iot.nextLink" in body:
        response = api.request("GET", body["@iot.nextLink"].removeprefix("http://footfall.test"))
        assert response.status_code == 200, response.text
        body = response.json()
        found += body["value"]
    return found


def ids(entities: list[dict[str, Any]]) -> list[int]:
    """Their ids."""
    return [entity["@iot.id"] for entity in entities]
