"""A city in a real database, and the API on it."""

from collections.abc import Iterator

import pytest

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.city import Api, City


@pytest.fixture
def city(database: str) -> Iterator[City]:
    """An empty city."""
    found = City(database)
    yield found
    found.connection.close()


@pytest.fixture
def local_settings(database: str) -> ApiSettings:
    """Settings without limits for the public."""
    return ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(local=True))


@pytest.fixture
def api(local_settings: ApiSettings) -> Iterator[Api]:
    """The API on the city's database, without limits for the public; it is `NOW`."""
    with Api(local_settings) as found:
        yield found


@pytest.fixture
def public_api(database: str) -> Iterator[Api]:
    """The API as anybody sees it; its operator has a token."""
    settings = ApiSettings(
        database=DatabaseSettings(dsn=database), public=PublicSettings(operator_token="the-operators-own-token")
    )
    with Api(settings) as found:
        yield found
