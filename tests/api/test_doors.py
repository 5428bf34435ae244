"""Every door to the counts gives the same numbers, and what is not public is behind none."""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_api.settings import ApiSettings, DatabaseSettings, FilesSettings, PublicationSettings
from footfall_testing.city import NOW, Api, City
from footfall_testing.dumps import csv_rows, dump_into, parquet_rows
from footfall_testing.sta import BEGIN, everything, populate

ZONES = {"markt": ZoneInfo("Europe/Berlin"), "kirche": ZoneInfo("Europe/Berlin"), "hafen": ZoneInfo("Europe/Lisbon")}

Said = Mapping[tuple[datetime, str], tuple[int | None, str, str | None]]
"""By start (UTC) and direction: count, state, reason."""


@dataclass(frozen=True)
class Town:
    """A city with its API and its files."""

    api: Api
    files: Path


@pytest.fixture(scope="module")
def town(postgres_server: Any, postgres_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The city that SensorThings is asked about; of an hour at the market nothing is public."""
    dsn = postgres_server.create("footfall_doors", postgres_template)
    city = City(dsn)
    populate(city)
    city.connection.close()
    held = {
        "stations": ["markt"],
        "from": (BEGIN + timedelta(hours=30)).isoformat(),
        "to": (BEGIN + timedelta(hours=33)).isoformat(),
        "reason": "Der Sensor wird geprüft.",
    }
    files = tmp_path_factory.mktemp("doors") / "files"
    asked = ApiSettings(
        database=DatabaseSettings(dsn=dsn),
        publication=PublicationSettings.model_validate({"held_back": [held]}),
        files=FilesSettings(folder=str(files)),
    )
    dump_into(files, asked)
    with Api(asked) as api:
        yield Town(api, files)
    postgres_server.drop("footfall_doors")


def start_of(text: str) -> datetime:
    """A time as it is written, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def said_of(rows: list[dict[str, str]]) -> Said:
    """The rows of CSV."""
    return {
        (start_of(row["interval_start"]), row["direction"]): (
            int(row["count"]) if row["count"] else None,
            row["state"],
            row["reason"] or None,
        )
        for row in rows
    }


def by_json(town: Town, station: str, **asked: str) -> Said:
    """The API, in JSON."""
    return {
        (start_of(v["start"]), v["direction"]): (v["count"], v["state"], v["reason"])
        for split in ("", "direction")
        for v in town.api.counts(station, **asked, **({"split": split} if split else {}))
    }


def by_csv(town: Town, station: str, **asked: str) -> Said:
    """The API, in CSV."""
    return said_of(
        [
            row
            for split in ({}, {"split": "direction"})
            for row in csv.DictReader(
                io.StringIO(town.api.get(f"/api/v1/stations/{station}/counts", **asked, **split, format="csv").text)
            )
        ]
    )


def by_parquet(town: Town, station: str, **asked: str) -> Said:
    """The API, in Parquet."""
    found = {}
    for split in ({}, {"split": "direction"}):
        body = town.api.get(f"/api/v1/stations/{station}/counts", **asked, **split, format="parquet").content
        for row in pq.read_table(io.BytesIO(body)).to_pylist():
            found[row["interval_start"], row["direction"]] = (row["count"], row["state"], row["reason"])
    return found


def by_sensor_things(town: Town, station: str, **asked: str) -> Said:
    """SensorThings."""
    wanted = f"properties/station eq '{station}' and properties/resolution eq '{asked['resolution']}'"
    begin, end = asked["from_"], asked["to"]
    found = {}
    for stream in everything(town.api, "/Datastreams", filter=wanted):
        for one in everything(
            town.api,
            f"/Datastreams({stream['@iot.id']})/Observations",
            filter=f"phenomenonTime ge {begin} and phenomenonTime lt {end}",
        ):
            parameters = one["parameters"]
            key = start_of(one["phenomenonTime"].split("/")[0]), stream["properties"]["direction"]
            found[key] = one["result"], parameters["state"], parameters.get("reason")
    return found


def by_ngsi_ld(town: Town, station: str, **asked: str) -> Said:
    """NGSI-LD; of a direction it has the count only."""
    found: dict[tuple[datetime, str], tuple[int | None, str, str | None]] = {}
    response = town.api.get("/api/v1/ngsi-ld", station=station, options="keyValues", **asked)
    while True:
        assert response.status_code == 200, response.text
        for one in response.json():
            start = start_of(one["dateObservedFrom"])
            for direction, name in (("all", "peopleCount"), ("in", "peopleCountTowards"), ("out", "peopleCountAway")):
                if direction == "all" or name in one:
                    found[start, direction] = (one.get(name), one["state"], one.get("stateReason"))
        if 'rel="next"' not in response.headers.get("Link", ""):
            return found
        (link,) = (part for part in response.headers["Link"].split(", ") if 'rel="next"' in part)
        response = town.api.request(
            "GET", link.partition("<")[2].partition(">")[0].removeprefix("http://footfall.test")
        )


def by_files(town: Town, station: str, suffix: str, **asked: str) -> Said:
    """The files of the years and months, in one of the formats; of directions only."""
    found: dict[tuple[datetime, str], tuple[int | None, str, str | None]] = {}
    for file in sorted((town.files / "counts" / asked["resolution"]).glob(f"2026{suffix}")):
        served = town.api.get(f"/files/{file.relative_to(town.files).as_posix()}")
        assert served.content == file.read_bytes()
        if suffix.endswith(".parquet"):
            for row in parquet_rows(file):
                if row["station"] == station:
                    found[row["interval_start"], row["direction"]] = (row["count"], row["state"], row["reason"])
        else:
            found |= said_of([row for row in csv_rows(file) if row["station"] == station])
    begin, end = start_of(asked["from_"]), start_of(asked["to"])
    return {key: said for key, said in found.items() if begin <= key[0] < end}


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A station and a time of whole local days."""
    station = draw(st.sampled_from(sorted(ZONES)))
    first = draw(st.integers(0, 8))
    midnight = datetime(2026, 6, 1 + first, tzinfo=ZONES[station])
    end = midnight + timedelta(days=draw(st.integers(1, 9 - first)))
    resolution = draw(st.sampled_from(["15min", "1h", "1d", "1w"]))
    if resolution == "1w":
        midnight, end = (datetime(2026, 6, day, tzinfo=ZONES[station]) for day in (1, 8))
    return station, {"from_": midnight.isoformat(), "to": end.isoformat(), "resolution": resolution}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(question=questions())
def test_every_door_gives_the_same_numbers(town: Town, question: tuple[str, dict[str, str]]) -> None:
    """With their states and reasons: API in three formats, SensorThings, NGSI-LD, files in two."""
    station, asked = question
    expected = by_json(town, station, **asked)
    assert by_csv(town, station, **asked) == expected
    assert by_parquet(town, station, **asked) == expected

    things = by_sensor_things(town, station, **asked)
    # SensorThings begins with the first and ends with the last interval that has anything, and has no undirected.
    directions = {"all", "in", "out"}
    times = {start for start, _ in things}
    inside = {
        key: said
        for key, said in expected.items()
        if key[1] in directions and (not times or min(times) <= key[0] <= max(times))
    }
    if times:
        assert things == inside
    outside = {said for (start, _), said in expected.items() if start not in times}
    assert all(count is None for count, _, _ in outside)

    entities = by_ngsi_ld(town, station, **asked)
    sums = {key: said for key, said in expected.items() if key[1] == "all"}
    assert {key: said for key, said in entities.items() if key[1] == "all"} == sums
    for (start, direction), (count, _, _) in entities.items():
        assert count == expected[start, direction][0]

    split = {key: said for key, said in expected.items() if key[1] != "all"}
    for suffix in (".csv.gz", ".parquet"):
        rows = by_files(town, station, suffix, **asked)
        assert rows.items() <= split.items()
        assert {said[0] for key, said in split.items() if key not in rows} <= {None}


# -- what is not public ------------------------------------------------------------------------------------------------

MARK = 791_937
"""No number of a city that has nothing else; where it is found, it was given away."""
MARKED = re.compile(r"(?<![\w.])791[.,]?937(?!\w)")
"""It as a number of its own: clocks and sums have such digits somewhere."""


def walk(api: Api, files: Path) -> Iterator[tuple[str, str]]:
    """Every answer of every door, with its address: pages, API, SensorThings, catalogue, NGSI-LD, files."""
    when = {"from": "2026-06-01", "to": "2026-06-11"}
    paths: list[tuple[str, dict[str, str]]] = [
        *(("/", {}), ("/kiosk", {}), ("/zaehlstelle/markt", {}), ("/vergleich", {}), ("/bericht", {}), ("/daten", {})),
        *(("/messung", {}), ("/api/v1/stations", {}), ("/api/v1/privacy", {}), ("/api/v1/remarks", {})),
        *(("/catalog.ttl", {}), ("/catalog.jsonld", {}), ("/catalog.rdf", {}), ("/openapi.json", {})),
        *(
            ("/api/v1/counts", {**when, "resolution": resolution, "format": format_, **split, "tz": "Europe/Berlin"})
            for resolution in ("15min", "30min", "1h", "1d", "1w", "1mo", "1y")
            for format_ in ("json", "csv", "csv-de", "geojson")
            for split in ({}, {"split": "direction"}, {"split": "class"}, {"split": "sensor"})
        ),
        *(("/api/v1/counts", {"area": "zentrum", **when, "resolution": resolution}) for resolution in ("1h", "1d")),
        *((f"/api/v1/stations/markt/{name}", when) for name in ("compare", "totals", "profile")),
        ("/api/v1/stations/markt/before-after", {"before": "2026-06-09", "weeks": "1"}),
        *(("/api/v1/ngsi-ld", {"resolution": resolution, **when}) for resolution in ("15min", "1h", "1d", "1w")),
        ("/api/v1/ngsi-ld", {}),
        ("/sta/v1.1/Observations", {"$top": "10000"}),
        ("/sta/v1.1/Observations", {"$filter": f"result eq {MARK}", "$count": "true"}),
        ("/sta/v1.1/Datastreams", {"$expand": "Observations($filter=result ge 1;$top=1000)"}),
        ("/sta/v1.1/Things", {"$filter": f"Datastreams/Observations/result ge {MARK}", "$expand": "Datastreams"}),
    ]
    for path, query in paths:
        response = api.get(path, **query)
        assert response.status_code in {200, 307, 303, 404}, (path, query, response.text)
        yield f"{path} {query}", response.text
    board = api.run(api.app.state.feed.current())
    yield "/metrics", api.figures()
    yield "the board", json.dumps(board.as_json())
    for file in files.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            text = gzip.decompress(data).decode() if file.name.endswith(".gz") else ""
            if file.suffix == ".parquet":
                text = str(pq.read_table(io.BytesIO(data)).to_pylist())
            yield str(file), text or data.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ({}, True),
        ({"held_back": [{"stations": ["markt"], "reason": "Der Sensor wird geprüft."}]}, False),
        (
            {
                "held_back": [
                    {
                        "stations": ["markt"],
                        "reason": "Der Sensor wird geprüft.",
                        "from": "2026-06-09T10:00:00Z",
                        "to": "2026-06-09T10:01:00Z",
                    }
                ]
            },
            False,
        ),
        ({"delay_minutes": 2 * 24 * 60, "delay_reason": "Wir prüfen erst."}, False),
    ],
)
def test_what_is_not_public_is_behind_no_door(
    city: City, database: str, tmp_path: Path, rules: dict[str, Any], shown: bool
) -> None:
    """One minute has a number that is nowhere else; every answer of every door is searched for it."""
    key = city.counter("markt")
    city.area("zentrum", "markt")
    city.minutes(key, NOW - timedelta(days=4), 60 * 24 * 3)
    city.minutes(key, datetime(2026, 6, 9, 10, tzinfo=UTC), 1, {0: MARK})
    city.sum_up()
    asked = ApiSettings(
        database=DatabaseSettings(dsn=database),
        publication=PublicationSettings.model_validate(rules),
        files=FilesSettings(folder=str(tmp_path / "files")),
    )
    dump_into(tmp_path / "files", asked)
    with Api(asked) as api:
        found = [place for place, text in walk(api, tmp_path / "files") if MARKED.search(text)]
    if shown:
        assert {place.split()[0] for place in found} >= {"/api/v1/counts", "/sta/v1.1/Observations", "/api/v1/ngsi-ld"}
        assert any(".parquet" in place for place in found)
    else:
        assert found == []
