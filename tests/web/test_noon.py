"""The tests' own city where it is noon: there is such a place at every hour."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from footfall_ingest.stations_file import _looks_swapped
from footfall_testing.web_city import noon_zone


@pytest.mark.parametrize("hour", range(24))
def test_there_is_a_zone_for_every_hour(hour: int) -> None:
    """It is past twelve there, and not yet evening, and Jena's stations could lie in it."""
    now = datetime(2026, 11, 27, hour, 59, tzinfo=UTC)
    zone = ZoneInfo(noon_zone(now))

    assert 12 <= now.astimezone(zone).hour < 16
    assert now.astimezone(zone).date() == now.date()
    assert not _looks_swapped((11.58, 50.93), zone)
