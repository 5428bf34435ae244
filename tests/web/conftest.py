"""Cities for the pages' tests, each a real API process on a real database of its own, and a browser to look at them."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from playwright.sync_api import Browser

from footfall_testing.databases import Pool
from footfall_testing.web_city import JENA, City, CityMaker
from footfall_testing.windows import Browse, Chromium, Windows

CHROMIUM = Chromium()


@pytest.fixture
def chromium() -> Browser:
    """The browser that all tests of a worker share."""
    return CHROMIUM.browser()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """After the last test that wants the browser it is closed: its event loop must be gone before the next one runs."""
    yield
    if not isinstance(nextitem, pytest.Function) or "chromium" not in nextitem.fixturenames:
        CHROMIUM.close()


def pytest_sessionfinish() -> None:
    """Nor does it outlive a run that was cut short."""
    CHROMIUM.close()


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Browse]:
    """Opens pages, each in a window of its own; at the end nothing odd has happened in any of them."""
    windows = Windows(chromium)
    yield windows.browse
    windows.end()


@contextmanager
def maker(pool: Pool) -> Iterator[CityMaker]:
    """Makes cities, which end with the block."""
    with ExitStack() as opened:

        def make(features: list[dict[str, Any]] | None = None, **settings: dict[str, str]) -> City:
            folder = opened.enter_context(TemporaryDirectory(prefix="footfall-web-", ignore_cleanup_errors=True))
            city = City(opened.enter_context(pool.database()), Path(folder), settings=settings)
            opened.callback(city.stop)
            if features is None or features:
                city.add_stations(JENA if features is None else features)
            city.start()
            return city

        yield make


@pytest.fixture
def make_city(plain_pool: Pool) -> Iterator[CityMaker]:
    """Makes cities: `make_city(stations, map={...})`; the six of Jena if none are named."""
    with maker(plain_pool) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_city(plain_pool: Pool) -> Iterator[CityMaker]:
    """The same for cities that the tests of a module share."""
    with maker(plain_pool) as make:
        yield make


@pytest.fixture(scope="session")
def empty_city(plain_pool: Pool) -> Iterator[City]:
    """No station at all; for tests that only look."""
    with maker(plain_pool) as make:
        yield make([])


@pytest.fixture
def city(make_city: CityMaker) -> City:
    """The six stations of Jena, nothing counted yet."""
    return make_city()
