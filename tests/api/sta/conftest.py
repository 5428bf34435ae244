"""A city to ask SensorThings about, which no test changes."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from footfall_api.settings import ApiSettings, DatabaseSettings
from footfall_testing.city import Api, City
from footfall_testing.sta import populate


@pytest.fixture(scope="module")
def still_city(postgres_server: Any, postgres_template: str) -> Iterator[str]:
    """The DSN of the city in `footfall_testing.sta`."""
    name = f"footfall_sta_{uuid4().hex[:8]}"
    dsn = postgres_server.create(name, postgres_template)
    city = City(dsn)
    populate(city)
    city.connection.close()
    yield dsn
    postgres_server.drop(name)


@pytest.fixture(scope="module")
def still(still_city: str) -> Iterator[Api]:
    """The API on it, as anybody sees it."""
    with Api(ApiSettings(database=DatabaseSettings(dsn=still_city))) as api:
        yield api
