"""SensorThings on plain PostgreSQL and on TimescaleDB, where the counts are in compressed chunks."""

import pytest
from bench.history import compress

from footfall_api.settings import ApiSettings, DatabaseSettings
from footfall_testing.city import NOW, Api, City
from footfall_testing.sta import ask, everything, populate


@pytest.mark.parametrize("summed", [False, True], ids=["minutes", "hours"])
def test_the_answers_do_not_depend_on_the_server(any_database: str, *, summed: bool) -> None:
    """Where it begins and ends, how many there are, and the sum of them all."""
    city = City(any_database)
    populate(city)
    if summed:
        city.sum_up()
        compress(
            city.connection, int(NOW.timestamp()), "count_minute", "coverage_minute", "count_hour", "coverage_hour"
        )
    city.connection.close()
    with Api(ApiSettings(database=DatabaseSettings(dsn=any_database))) as api:
        streams = {one["@iot.id"]: one.get("phenomenonTime") for one in everything(api, "/Datastreams")}
        assert streams[16] == "2026-06-01T06:00:00Z/2026-06-10T12:00:00Z"
        assert streams[32] == "2026-06-01T06:15:00Z/2026-06-05T06:15:00Z"
        assert streams[48] == "2026-06-02T06:00:00Z/2026-06-10T12:00:00Z"
        assert streams[64] is None
        found = everything(api, "/Datastreams(16)/Observations", top=1000)
        assert ask(api, "/Datastreams(16)/Observations", top=0, count="true")["@iot.count"] == len(found) == 888
        # 50 hours of three a minute, five days of four without the two hours that are excluded, forty minutes of seven
        assert sum(one["result"] or 0 for one in found) == 50 * 60 * 3 + (24 * 5 - 2) * 60 * 4 + 40 * 7
