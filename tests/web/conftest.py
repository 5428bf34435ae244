"""Cities for the page's tests: each a real API process on a real database of its own."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from footfall_testing.web_city import JENA, City, CityMaker


@pytest.fixture
def make_city(postgres_server: Any, postgres_template: str) -> Iterator[CityMaker]:
    """Makes cities: `make_city(stations, map={...})`; the six of Jena if none are named."""
    opened: list[City] = []
    databases: list[str] = []

    def make(features: list[dict[str, Any]] | None = None, **settings: dict[str, str]) -> City:
        database = f"footfall_web_{secrets.token_hex(5)}"
        folder = Path(tempfile.mkdtemp(prefix="footfall-web-"))
        city = City(postgres_server.create(database, postgres_template), folder, settings=settings)
        databases.append(database)
        opened.append(city)
        if features is None or features:
            city.add_stations(JENA if features is None else features)
        city.start()
        return city

    yield make
    for city in opened:
        city.stop()
        shutil.rmtree(city.folder, ignore_errors=True)
    for database in databases:
        postgres_server.drop(database)


@pytest.fixture
def city(make_city: CityMaker) -> City:
    """The six stations of Jena, nothing counted yet."""
    return make_city()
