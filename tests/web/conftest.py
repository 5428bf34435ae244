"""Cities for the page's tests: each a real API process on a real database of its own."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from footfall_testing.databases import Pool
from footfall_testing.web_city import JENA, City, CityMaker


@pytest.fixture
def make_city(plain_pool: Pool) -> Iterator[CityMaker]:
    """Makes cities: `make_city(stations, map={...})`; the six of Jena if none are named."""
    with ExitStack() as opened:

        def make(features: list[dict[str, Any]] | None = None, **settings: dict[str, str]) -> City:
            folder = opened.enter_context(TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True))
            city = City(opened.enter_context(plain_pool.database()), Path(folder), settings=settings)
            opened.callback(city.stop)
            if features is None or features:
                city.add_stations(JENA if features is None else features)
            city.start()
            return city

        yield make


@pytest.fixture
def city(make_city: CityMaker) -> City:
    """The six stations of Jena, nothing counted yet."""
    return make_city()
