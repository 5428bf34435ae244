"""The nights in which the clocks of Europe change: nothing happens in UTC, and the local day has 23 or 25 hours."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.city import Api, City
from footfall_testing.clockwork import chain_on


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time zone is Europe/Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_the_night_of_a_clock_change(database: str, tmp_path: Path, day: str, hours: int) -> None:
    """Twelve people an hour walk through the night: each hour of the local day has twelve, and the day the sum."""
    first = datetime.fromisoformat(f"{day}T00:00:00").astimezone().astimezone(UTC)
    end = first + timedelta(hours=hours)
    city = City(database)
    city.counter("markt")
    with chain_on(database, tmp_path, start=first - timedelta(minutes=10), keep=True) as chain:
        chain.ingest.every_s = 900
        box = chain.box(interval_s=60, slot_s=60)
        chain.run(600, step_s=60)
        while chain.now < end:
            chain.run(150, step_s=30)
            box.device.passes(1)
            chain.run(150, step_s=30)
        found = chain.settle(step_s=60)
        now = chain.now

    assert (
        len([minute for (_, minute) in found.coverage if first.timestamp() <= minute < end.timestamp()]) == hours * 60
    )
    assert sum(found.spans.values()) == 0
    settings = ApiSettings(database=DatabaseSettings(dsn=database), public=PublicSettings(local=True))
    with Api(settings) as api:
        api.now = now
        asked = {"from_": day, "to": (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()}
        by_hour = api.counts("markt", **asked, resolution="1h")
        (whole,) = api.counts("markt", **asked, resolution="1d")
    city.connection.close()
    assert [value["count"] for value in by_hour] == [12] * hours
    assert {value["state"] for value in by_hour} == {"measured"}
    assert (whole["count"], whole["state"]) == (12 * hours, "measured")
