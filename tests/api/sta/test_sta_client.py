"""A client of other people's making, `frost_sta_client`, reads the service over HTTP."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import frost_sta_client as frost
import pytest

from footfall_testing.city import City
from footfall_testing.processes import ApiProcess
from footfall_testing.sta import BEGIN, populate

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:furl", "ignore::DeprecationWarning:frost_sta_client"
)


@pytest.fixture
def service(city: City, database: str, tmp_path: Path) -> Iterator[Any]:
    """The client's view of the API, which runs in a process of its own."""
    populate(city)
    config = tmp_path / "api.toml"
    config.write_text(f'[http]\nport = 0\n[database]\ndsn = "{database}"\n')
    with ApiProcess(config) as process:
        yield frost.SensorThingsService(f"{process.url}/sta/v1.1")


def test_it_reads_every_entity_and_follows_the_pages(service: Any) -> None:
    """Times, geometries and results arrive as what they are; gaps as no result."""
    things = service.things().query().list()
    assert [thing.name for thing in things] == ["Markt", "Kirche", "Hafen", "Nie"]
    markt = service.things().find(1)
    assert markt.properties["assetID"] == "markt"
    (location,) = markt.get_locations().query().list()
    assert location.location["coordinates"] == [11.58782, 50.92818]
    (stream,) = (
        service.datastreams().query()
        .filter("properties/layerName eq 'Anzahl_Fussgaenger_Zaehlstelle_1-Stunde' and Thing/name eq 'Markt'")
        .expand("ObservedProperty,Sensor").list()
    )  # fmt: skip
    assert stream.unit_of_measurement.name == "Anzahl"
    assert stream.observed_property.name == "Anzahl Fußgänger"
    assert stream.sensor.name == "Zählsensorik Markt"
    observations = list(stream.get_observations().query().orderby("phenomenonTime", "ASC").top(100).list())
    assert len(observations) > 200, "more than a page"
    assert datetime.fromisoformat(str(observations[0].phenomenon_time).split("/")[0]) == BEGIN
    assert observations[0].result == 180
    assert observations[51].result is None
    assert observations[51].parameters["reason"] == "not_reported"


def test_expanded_entities_are_entities(service: Any) -> None:
    """Nothing in them is null that the client trips over."""
    for thing in service.things().query().expand("Datastreams($expand=Observations($top=2)),Locations").list():
        assert len(thing.datastreams.entities) in {4, 12}
        for stream in thing.datastreams.entities:
            assert len(stream.observations.entities) <= 2
    for name in ("historical_locations", "sensors", "observed_properties", "features_of_interest"):
        assert list(getattr(service, name)().query().list())
