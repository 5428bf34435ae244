"""Several stations and areas in one answer, and the remarks on its time: the same in every format.

local, 1 June   10:00      10:30      11:00      11:30      12:00
markt           |----- 3 a minute ----------------|
kirche          |----- 5 a minute -----|
remarks         works at the Markt ...................................
                           fault of kirche-1: excluded
                event in the centre -------------------------|
"""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footfall_api.settings import ApiSettings, DatabaseSettings, PublicSettings
from footfall_testing.city import Api, City

BERLIN = ZoneInfo("Europe/Berlin")
TEN = datetime(2026, 6, 1, 10, 0, tzinfo=BERLIN)
HOUR = {"from_": "2026-06-01T10:00", "to": "2026-06-01T12:00"}
COUNTS = "/api/v1/counts"


@pytest.fixture(scope="module")
def town(postgres_server: Any, postgres_template: str) -> Iterator[tuple[str, dict[str, int]]]:
    """DSN of the town drawn above, which no test changes, and the numbers of its remarks."""
    name = f"footfall_town_{uuid4().hex[:8]}"
    dsn = postgres_server.create(name, postgres_template)
    city = City(dsn)
    markt, kirche = city.counter("markt"), city.counter("kirche")
    city.station("lissabon", timezone="Europe/Lisbon")
    city.minutes(markt, TEN, 90, {0: 2, 1: 1})
    city.minutes(kirche, TEN, 60, {0: 5})
    city.area("zentrum", "markt", "kirche")
    city.area("leer")
    half = timedelta(minutes=30)
    numbers = {
        "works": city.remark(TEN, None, "Gerüst;\nneuer Weg", station="markt"),
        "fault": city.remark(TEN + half, TEN + 2 * half, "verdeckt", sensor=kirche, kind="fault", excludes=True),
        "event": city.remark(TEN, TEN + 3 * half, "=Markttag", area="zentrum", kind="event"),
    }
    city.connection.close()
    yield dsn, numbers
    postgres_server.drop(name)


@pytest.fixture(scope="module")
def ask(town: tuple[str, dict[str, int]]) -> Iterator[Api]:
    """The API on the town, without limits for the public."""
    with Api(ApiSettings(database=DatabaseSettings(dsn=town[0]), public=PublicSettings(local=True))) as api:
        yield api


def values(api: Api, **asked: Any) -> list[dict[str, Any]]:
    """The values of one page."""
    response = api.get(COUNTS, **{**HOUR, **asked})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["values"]
    return found


def test_each_station_is_a_series_of_its_own(ask: Api) -> None:
    """Comma-joined, repeated or both: each interval has each station once, as the station's own address has it."""
    joined = values(ask, station="markt,kirche")
    repeated = values(ask, station=["kirche,markt", "markt"])

    assert [(v["start"][11:13], v["station"], v["count"]) for v in joined] == [
        ("10", "markt", 180), ("10", "kirche", 150), ("11", "markt", 90), ("11", "kirche", None)
    ]  # fmt: skip
    assert sorted(joined, key=str) == sorted(repeated, key=str)
    assert [v for v in joined if v["station"] == "kirche"] == ask.counts("kirche", **HOUR)
    assert "area" not in joined[0]


def test_without_names_all_stations_are_meant(ask: Api) -> None:
    """Those without a sensor too: their gaps are values."""
    found = values(ask, tz="Europe/Berlin")

    assert [v["station"] for v in found[:3]] == ["kirche", "lissabon", "markt"]
    assert {v["reason"] for v in found if v["station"] == "lissabon"} == {"not_installed"}


def test_an_area_is_the_sum_over_its_stations(ask: Api) -> None:
    """One series; each value says which stations carried it, and is no better measured than they were together."""
    found = values(ask, area="zentrum", station="markt")
    own, area = [v for v in found if v["area"] is None], [v for v in found if v["area"]]

    assert [{k: v for k, v in value.items() if k not in {"area", "carried_by"}} for value in own] == ask.counts(
        "markt", **HOUR
    )
    assert {v["carried_by"] for v in own} == {None}
    assert [(v["station"], v["area"], v["count"], v["coverage"], v["state"], v["carried_by"]) for v in area] == [
        # Half an hour of the Kirche is excluded.
        ("all", "zentrum", 330, 0.75, "partial", ["kirche", "markt"]),
        ("all", "zentrum", 90, 0.25, "partial", ["markt"]),
    ]  # fmt: skip
    assert values(ask, area="zentrum", split="direction")[0]["count"] == 270


def test_an_area_without_stations_has_gaps(ask: Api) -> None:
    """It is a value with null, carried by nobody."""
    found = values(ask, area="leer", tz="Europe/Berlin")

    assert [(v["count"], v["reason"], v["carried_by"]) for v in found] == [(None, "not_installed", [])] * 2


def test_csv_appends_columns_only_where_areas_are_asked_for(ask: Api) -> None:
    """The promised columns stay as they are; stations are joined by a blank, which no flavour of CSV takes apart."""
    plain = ask.get(COUNTS, **HOUR, station="markt,kirche", format="csv").text.splitlines()
    areas = ask.get(COUNTS, **HOUR, station="markt", area="zentrum", format="csv-de").text.splitlines()

    assert plain[0] == "station,interval_start,interval_end,direction,class,sensor,count,coverage,state,reason,final"
    assert areas[0].endswith(";count;coverage;state;reason;final;area;carried_by")
    by_area = {line.split(";")[-2]: line for line in areas[1:3]}
    assert by_area[""].startswith("markt;")
    assert by_area[""].endswith(";180;1,0;measured;;true;;")
    assert by_area["zentrum"].startswith("all;")
    assert sorted(by_area["zentrum"].split(";")[-1].split(" ")) == ["kirche", "markt"]


def test_the_pages_of_several_series_follow_one_another(ask: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has fewer intervals the more series there are; `next` is absolute and names what was asked for."""
    asked: dict[str, Any] = {"station": "markt,kirche", "area": "zentrum", "split": "direction", "resolution": "15min"}
    whole = values(ask, **asked)
    monkeypatch.setattr("footfall_api.routes.PAGE_INTERVALS", 9)

    found, response, sizes = [], ask.get(COUNTS, **HOUR, **asked), []
    while True:
        page = response.json()
        found += page["values"]
        sizes.append(len({value["start"] for value in page["values"]}))
        if page["next"] is None:
            break
        assert page["next"].startswith("http://footfall.test/api/v1/counts?")
        assert "station=markt%2Ckirche&area=zentrum" in page["next"]
        assert f'<{page["next"]}>; rel="next"' in response.headers["Link"]
        response = ask.get(page["next"])

    assert sizes == [3, 3, 2]
    assert found == whole


def test_remarks_come_with_the_answer(ask: Api, town: tuple[str, dict[str, int]]) -> None:
    """Those on its time: on the stations, on their sensors, on the areas they lie in; with a link to them."""
    response = ask.get("/api/v1/stations/markt/counts", **HOUR)
    numbers = town[1]

    assert response.json()["remarks"] == [
        {
            "id": numbers["works"], "station": "markt", "sensor": None, "area": None, "stations": ["markt"],
            "from": "2026-06-01T10:00:00+02:00", "to": None, "kind": "works", "text": "Gerüst;\nneuer Weg",
            "excludes": False,
        },
        {
            "id": numbers["event"], "station": None, "sensor": None, "area": "zentrum", "stations": ["markt"],
            "from": "2026-06-01T10:00:00+02:00", "to": "2026-06-01T11:30:00+02:00", "kind": "event",
            "text": "=Markttag", "excludes": False,
        },
    ]  # fmt: skip
    link = next(part for part in response.headers["Link"].split(", ") if 'rel="describedby"' in part)
    followed = ask.get(link.partition(">")[0][1:])
    assert followed.json()["remarks"] == response.json()["remarks"]
    assert ask.get("/api/v1/stations/markt/counts", from_="2026-05-01", to="2026-06-01").json()["remarks"] == []


def test_excluded_time_is_missing(ask: Api) -> None:
    """Where all of an interval is excluded there is no count, and the reason says so."""
    found = ask.counts("kirche", **HOUR, resolution="30min")

    assert [(v["count"], v["state"], v["reason"]) for v in found[:2]] == [
        (150, "measured", None),
        (None, "missing", "excluded"),
    ]


def test_remarks_in_a_column_for_those_who_see_no_headers(ask: Api) -> None:
    """`remarks=column` adds the last column; each interval has those that touch it, on one line."""
    asked = {**HOUR, "station": "markt,kirche", "area": "zentrum", "resolution": "30min", "remarks": "column"}
    text = ask.get(COUNTS, **asked, format="csv").text
    rows = list(csv.DictReader(io.StringIO(text)))

    assert text.splitlines()[0].endswith(",final,area,carried_by,remarks")
    found = {(row["interval_start"][11:16], row["station"]): row["remarks"] for row in rows}
    assert found["10:00", "markt"] == "works: Gerüst; neuer Weg | event: =Markttag"
    assert found["11:30", "markt"] == "works: Gerüst; neuer Weg"
    assert found["10:30", "kirche"] == "event: =Markttag | fault: verdeckt"
    assert found["11:30", "kirche"] == ""
    assert found["10:30", "all"] == "works: Gerüst; neuer Weg | event: =Markttag | fault: verdeckt"
    german = ask.get("/api/v1/stations/markt/counts", **HOUR, format="csv-de", remarks="column").text.splitlines()
    assert german[1].endswith(';180;1,0;measured;;true;"works: Gerüst; neuer Weg | event: =Markttag"')


def test_remarks_by_themselves(ask: Api, town: tuple[str, dict[str, int]]) -> None:
    """By place and time, as JSON and as CSV; German Excel is kept from taking a text for a formula."""
    numbers = town[1]

    def ids(**asked: str) -> list[int]:
        return [found["id"] for found in ask.get("/api/v1/remarks", **asked).json()["remarks"]]

    assert ids(tz="UTC") == [numbers["works"], numbers["event"], numbers["fault"]]
    assert ids(station="kirche") == [numbers["event"], numbers["fault"]]
    assert ids(area="zentrum", from_="2026-06-01T11:45") == [numbers["works"]]
    assert ids(station="markt", to="2026-06-01") == []
    rows = ask.get("/api/v1/remarks", station="kirche", format="csv").text.splitlines()
    assert rows == [
        "id,station,sensor,area,stations,from,to,kind,text,excludes",
        f"{numbers['event']},,,zentrum,kirche,2026-06-01T10:00:00+02:00,2026-06-01T11:30:00+02:00,event,=Markttag,false",
        f"{numbers['fault']},,kirche-1,,kirche,2026-06-01T10:30:00+02:00,2026-06-01T11:00:00+02:00,fault,verdeckt,true",
    ]
    german = ask.get("/api/v1/remarks", station="kirche", format="csv-de").text
    assert german.startswith("\ufeffid;")
    assert ";event;'=Markttag;false\r\n" in german
    tag = ask.get("/api/v1/remarks", station="kirche").headers["ETag"]
    assert ask.get("/api/v1/remarks", station="kirche", headers={"If-None-Match": tag}).status_code == 304


def test_areas_are_geojson(ask: Api) -> None:
    """With the stations in them; and stations say in which areas they lie."""
    collection = ask.get("/api/v1/areas")
    one = ask.get("/api/v1/areas/zentrum").json()

    assert collection.headers["Content-Type"] == "application/geo+json"
    assert [feature["id"] for feature in collection.json()["features"]] == ["leer", "zentrum"]
    assert one["properties"] == {"name": "Zentrum", "kind": "Quartier", "stations": ["kirche", "markt"]}
    assert one["geometry"]["type"] == "Polygon"
    features = ask.get("/api/v1/stations").json()["features"]
    assert {f["id"]: f["properties"]["areas"] for f in features} == {
        "kirche": ["zentrum"], "lissabon": [], "markt": ["zentrum"]
    }  # fmt: skip
    assert ask.get("/api/v1/stations/markt").json()["properties"]["areas"] == ["zentrum"]


def test_geojson_has_each_value_at_its_place(ask: Api) -> None:
    """A Feature for each value, its properties those of JSON; the point of a station, the shape of an area."""
    asked: dict[str, Any] = {"station": "markt", "area": "zentrum", "split": "direction"}
    response = ask.get(COUNTS, **HOUR, **asked, format="geojson")
    collection = response.json()

    assert response.headers["Content-Type"] == "application/geo+json"
    assert [feature["properties"] for feature in collection["features"]] == values(ask, **asked)
    for feature in collection["features"]:
        assert feature["geometry"]["type"] == ("Polygon" if feature["properties"]["area"] else "Point")
    assert collection["features"][0]["geometry"]["coordinates"] == [11.58782, 50.92818]
    assert (collection["type"], collection["unit"], len(collection["remarks"])) == ("FeatureCollection", "passages", 3)


def test_parquet_has_typed_columns(ask: Api, town: tuple[str, dict[str, int]]) -> None:
    """Row for row what JSON says; around them, in the metadata, what stands around the values there."""
    asked: dict[str, Any] = {"station": "markt,kirche", "area": "zentrum", "split": "direction,class,sensor"}
    response = ask.get(COUNTS, headers={"Accept-Encoding": "gzip"}, **HOUR, **asked, format="parquet")
    file = pq.ParquetFile(pa.BufferReader(response.content))
    table = file.read()

    assert response.headers["Content-Type"] == "application/vnd.apache.parquet"
    assert "Content-Encoding" not in response.headers
    assert response.headers["Content-Disposition"].endswith('_2026-06-01_2026-06-01.parquet"')
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert table.schema.field("interval_start").type == pa.timestamp("ms", tz="UTC")
    assert table.schema.field("count").type == pa.int64()
    assert table.schema.field("coverage").type == pa.float64()
    assert pa.types.is_dictionary(table.schema.field("state").type)
    rows = [
        {{"interval_start": "start", "interval_end": "end"}.get(k, k): _as_json(v) for k, v in row.items()}
        for row in table.to_pylist()
    ]
    assert rows == values(ask, **asked)
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert said["licence"] == "Datenlizenz Deutschland – Zero – Version 2.0"
    assert (said["attribution"], said["unit"], said["timezone"]) == ("Jena", "passages", "Europe/Berlin")
    assert {remark["id"] for remark in json.loads(said["remarks"])} == set(town[1].values())


def _as_json(value: Any) -> Any:
    return value.astimezone(BERLIN).isoformat() if isinstance(value, datetime) else value


@pytest.mark.parametrize(
    ("path", "asked", "parameter", "sentence"),
    [
        (COUNTS, {"station": "markd,kirche"}, "station", "there is no station 'markd' (did you mean 'markt'?)"),
        (COUNTS, {"station": "a0,a1,a2,a3,a4,a5,a5,a6"}, "station", "'a4'; nor are there 2 more of those named; /api"),
        (COUNTS, {"station": "xyz,zyx"}, "station", "'xyz'; there is no station 'zyx'; /api/v1/stations lists"),
        (COUNTS, {"area": "zentrums"}, "area", "there is no area 'zentrums' (did you mean 'zentrum'?)"),
        ("/api/v1/remarks", {"area": "x"}, "area", "there is no area 'x'; /api/v1/areas lists"),
        (COUNTS, {"areas": "zentrum"}, "areas", "did you mean 'area' or"),
        (COUNTS, {}, "tz", "in several time zones (Europe/Berlin, Europe/Lisbon); name the one"),
        ("/api/v1/remarks", {}, "tz", "in several time zones"),
        ("/api/v1/remarks", {"tz": "UTC", "from_": "2026-06-02", "to": "2026-06-01"}, "to", "is not after from"),
        ("/api/v1/remarks", {"tz": "UTC", "format": "parquet"}, "format", "'json', 'csv' or 'csv-de'"),
        (
            COUNTS,
            {"station": "markt,kirche", "from_": "2020-01-01", "resolution": "1min"},
            "resolution",
            "5,500,000 intervals, by 1min for each of 2 stations and areas; ask for less time, fewer stations or",
        ),
        (
            COUNTS,
            {"station": "markt,kirche", "from_": "2025-06-01", "format": "geojson"},
            "format",
            "10,000 intervals, by 1h for each of 2 stations and areas, which is the most that one geojson has",
        ),
        ("/api/v1/stations", {"format": "csv"}, "format", "there is none at all"),
        ("/api/v1/live", {"sation": "markt"}, "sation", "did you mean 'station'?"),
    ],
)
def test_what_cannot_be_answered_is_said_with_what_could_be(
    ask: Api, path: str, asked: dict[str, str], parameter: str, sentence: str
) -> None:
    """The parameter at fault, and what to ask for instead."""
    response = ask.get(path, **asked)

    assert response.status_code == 422, response.text
    problem = response.json()
    assert problem["parameter"] == parameter
    assert sentence in problem["detail"]


def test_there_is_a_most_of_series(ask: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """More stations than one answer has are refused, with the hint that an area is their sum."""
    monkeypatch.setattr("footfall_api.question.MAX_SERIES", 2)

    problem = ask.get(COUNTS, tz="UTC").json()

    assert problem["parameter"] == "station"
    assert "that is 3 stations and areas; one answer has 2 at most: name fewer, or ask for an area" in problem["detail"]


def test_what_is_not_there_is_named_with_what_is(ask: Api) -> None:
    """404 for an address, with the id that may have been meant."""
    for path, kind, meant in (
        ("/api/v1/stations/mart", "no-such-station", "'markt'"),
        ("/api/v1/stations/mart/counts", "no-such-station", "'markt'"),
        ("/api/v1/areas/centrum", "no-such-area", "'zentrum'"),
    ):
        response = ask.get(path)
        assert response.status_code == 404
        assert response.json()["type"] == f"urn:footfall:problem:{kind}"
        assert f"did you mean {meant}?" in response.json()["detail"]


def test_the_links_work_as_they_are(ask: Api) -> None:
    """What an answer links to is answered: no parameter of ours is unknown to us."""
    for path in ("/api/v1/stations/markt/counts", COUNTS):
        response = ask.get(path, **HOUR, tz="Europe/Berlin", format="csv")
        link = next(part for part in response.headers["Link"].split(", ") if "describedby" in part)
        assert ask.get(link.partition(">")[0][1:]).status_code == 200
