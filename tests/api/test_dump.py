"""The open-data files: the numbers of the API, readable by others, rewritten only where something has changed."""

import gc
import gzip
import json
import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frictionless import Package, Resource
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from footfall_api.dump.folder import DumpError
from footfall_api.dump.plan import Choice, Period
from footfall_api.intervals import Resolution, interval_of
from footfall_api.settings import (
    ApiSettings,
    CitySettings,
    DatabaseSettings,
    HeldBackSettings,
    HttpSettings,
    PublicationSettings,
    PublicSettings,
)
from footfall_api.writing import HEADER
from footfall_ingest.flush import write_batch
from footfall_testing.city import NOW, Api, City
from footfall_testing.databases import Pool
from footfall_testing.dumps import csv_rows, dump_into, parquet_rows, stamps, sums, visible
from footfall_testing.histories import History, _message, _sum_up, histories, put

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def public(database: str) -> ApiSettings:
    """The settings of a city that has set nothing but its name."""
    return ApiSettings(database=DatabaseSettings(dsn=database), city=CitySettings(name="Jena"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Where the files are to be; not there yet."""
    return tmp_path / "files"


@pytest.fixture
def town(city: City) -> City:
    """Two stations in Jena, of which the second is younger, from April to now; counts, gaps, remarks, an area."""
    markt = city.counter("markt")
    city.labels("markt", datetime(2020, 1, 1, tzinfo=UTC), "Richtung Rathaus", "Richtung Kirche")
    city.station("kirche", title='Kirche, "Turm"')
    kirche = city.sensor("kirche-1")
    city.install(kirche, "kirche", datetime(2026, 5, 20, 10, 20, tzinfo=UTC))
    city.minutes(markt, datetime(2026, 4, 20, 8, tzinfo=UTC), 3000, {0: 1, 1: 2})
    city.minutes(markt, datetime(2026, 5, 20, 8, tzinfo=UTC), 600, {0: 3})
    city.minutes(kirche, datetime(2026, 5, 20, 10, 20, tzinfo=UTC), 600, {1: 1})
    city.span(markt, datetime(2026, 5, 25, tzinfo=UTC), datetime(2026, 5, 25, 2, 30, tzinfo=UTC), {0: 70})
    city.area("zentrum", "markt", "kirche")
    city.remark(datetime(2026, 5, 1, tzinfo=UTC), None, 'Gerüst, "hoch"\nund breit', station="markt")
    city.exclude(datetime(2026, 4, 21, 8, tzinfo=UTC), datetime(2026, 4, 21, 9, tzinfo=UTC), station="markt")
    city.minutes(markt, NOW - timedelta(hours=3), 170, {0: 1})  # of today, which is not over
    return city


def with_rules(settings: ApiSettings, **rules: Any) -> ApiSettings:
    """The same settings with other rules of publication."""
    return settings.model_copy(update={"publication": PublicationSettings(**rules)})


def test_the_layout_is_the_promised_one(town: City, public: ApiSettings, files: Path) -> None:
    """Months and years of what is fine, years of the rest, places, remarks, descriptions; nothing else is visible."""
    done = dump_into(files, public)

    fine = [
        f"{period}{suffix}"
        for period in ("2026-04", "2026-05", "2026-06", "2026")
        for suffix in (".csv.gz", ".parquet")
    ]
    assert list(visible(files)) == sorted(
        [
            "SHA256SUMS",
            "areas.geojson",
            "datapackage.json",
            "remarks.csv",
            "stations.geojson",
            *(f"counts/{resolution}/{name}" for resolution in ("15min", "1h") for name in fine),
            *(f"counts/{resolution}/2026{suffix}" for resolution in ("1d", "1w") for suffix in (".csv.gz", ".parquet")),
        ]
    )
    assert (done.written, done.same, done.unchanged, done.removed) == (20, 0, 0, 0)


def test_the_checksums_are_those_that_sha256sum_checks(town: City, public: ApiSettings, files: Path) -> None:
    """All visible files but the list itself."""
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    dump_into(files, public)

    command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    done = subprocess.run(command, cwd=files, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [
        name for name in visible(files) if name != "SHA256SUMS"
    ]


def test_frictionless_finds_nothing_wrong(town: City, public: ApiSettings, files: Path) -> None:
    """Neither in the package nor in any table: types, constraints, keys, sizes, checksums."""
    dump_into(files, public)

    # As a program: in this process it would leave files open, for which a later test would be blamed.
    command = [sys.executable, "-m", "frictionless", "validate", "--json", "datapackage.json"]
    done = subprocess.run(command, cwd=files, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)

    assert report["valid"], done.stdout
    tasks = Counter(task["type"] for task in report["tasks"])
    assert tasks == {"table": 11, "file": 10, "json": 2}  # remarks and ten of counts; Parquet; stations and areas


def test_frictionless_would_find_it(town: City, public: ApiSettings, files: Path) -> None:
    """The schema is one that says something: a made-up state or a direction that is none would be noticed."""
    dump_into(files, public)
    package = json.loads((files / "datapackage.json").read_text("utf-8"))
    (schema,) = [found["schema"] for found in package["resources"] if found["name"] == "counts-1d-2026-csv"]
    header, *lines = gzip.decompress((files / "counts/1d/2026.csv.gz").read_bytes()).decode().splitlines()
    whole = {"path": "x.csv", "name": "x", "schema": schema}

    for old, new in [("missing", "lost"), (",in,", ",up,"), ("+02:00,", "x,"), ("true", "yes"), (",all,all", ",all,s")]:
        spoilt = "\n".join([header, *(line.replace(old, new, 1) for line in lines)]) + "\n"
        (files / "x.csv").write_text(spoilt, encoding="utf-8")
        assert not Resource(whole, basepath=str(files)).validate().valid, old
    (files / "x.csv").write_text("\n".join([header, lines[0], lines[0]]) + "\n", encoding="utf-8")
    assert not Resource(whole, basepath=str(files)).validate().valid, "the same row twice"


def test_the_package_says_what_people_need(town: City, public: ApiSettings, files: Path) -> None:
    """Title and description in both languages, licence, source, publisher, and what is public and why."""
    said = public.model_copy(
        update={
            "city": CitySettings(name="Schöna", office="Amt für Zahlen", contact="zahlen@schoena.example"),
            "http": HttpSettings(public_url="https://zaehlung.example"),
        }
    )
    dump_into(
        files, with_rules(said, delay_minutes=60, delay_reason="Die Zahlen werden geprüft.", delay_reason_en="Checks.")
    )

    package = json.loads((files / "datapackage.json").read_text("utf-8"))

    assert package["name"] == "footfall-schoena"
    assert package["title"] == "Passantenzählung Schöna / Footfall Schöna"
    for text in (
        "Passagen, nicht Personen",
        "Passages are counted, not people",
        "Die Zahlen werden geprüft.",
        "Checks.",
    ):
        assert text in package["description"]
    assert package["languages"]["en"]["title"] == "Footfall Schöna"
    assert package["licenses"] == [
        {"path": "https://www.govdata.de/dl-de/zero-2-0", "title": "Datenlizenz Deutschland – Zero – Version 2.0"}
    ]
    assert package["sources"] == [{"title": "Schöna"}]
    assert package["contributors"] == [
        {"title": "Amt für Zahlen", "role": "publisher", "email": "zahlen@schoena.example"}
    ]
    assert package["homepage"] == "https://zaehlung.example"
    assert package["created"] == "2026-06-09T22:00:00Z"
    assert package["version"].startswith("2026.6.9+")
    (field,) = [
        field
        for resource in package["resources"]
        if resource["name"] == "counts-1h-2026-csv"
        for field in resource["schema"]["fields"]
        if field["name"] == "count"
    ]
    assert field["description"] == (
        "Passages, not persons. 0: measured, and nobody came. Empty: not measured, or not public."
    )


def test_places_and_remarks_are_those_of_the_api(town: City, public: ApiSettings, files: Path) -> None:
    """Byte for byte, licence and attribution among them."""
    dump_into(files, public)

    with Api(public) as api:
        for name, address in [
            ("stations.geojson", "/api/v1/stations"),
            ("areas.geojson", "/api/v1/areas"),
            ("remarks.csv", "/api/v1/remarks?format=csv"),
        ]:
            assert (files / name).read_bytes() == api.get(address).content, name
    assert json.loads((files / "stations.geojson").read_bytes())["licence"] == public.public.licence


def test_a_file_is_an_answer_of_the_api(town: City, public: ApiSettings, files: Path) -> None:
    """Where all stations were there all the time: CSV to the last byte, Parquet with its types and metadata."""
    dump_into(files, public)
    asked = {"from_": "2026-04-01", "to": "2026-05-01", "resolution": "15min", "split": "direction", "station": "markt"}

    with Api(public) as api:
        api.now = datetime(2026, 6, 10, tzinfo=BERLIN)
        csv = api.get("/api/v1/counts", format="csv", **asked).content
        parquet = api.get("/api/v1/counts", format="parquet", **asked).content

    assert gzip.decompress((files / "counts/15min/2026-04.csv.gz").read_bytes()) == csv
    found, answered = pq.read_table(files / "counts/15min/2026-04.parquet"), pq.read_table(pa.BufferReader(parquet))
    assert found.schema.equals(answered.schema, check_metadata=True)
    assert found.to_pylist() == answered.to_pylist()
    assert len(csv.splitlines()) == 1 + 30 * 96 * 2


def test_others_read_everything_and_find_what_was_counted(town: City, public: ApiSettings, files: Path) -> None:
    """DuckDB and pyarrow, CSV and Parquet, months and years, each resolution: the same sums, those that went in."""
    dump_into(files, public)
    counted = Counter({"in": 3000 - 60 + 3 * 600 + 70, "out": 2 * (3000 - 60) + 600})
    db = duckdb.connect()

    for resolution in ("15min", "1h", "1d", "1w"):
        # The span of two and a half hours is in no interval that is shorter, and in none that it leaves.
        fits = resolution in ("1d", "1w")
        expected = counted if fits else counted - Counter({"in": 70})
        for suffix, reader in (("csv.gz", "read_csv"), ("parquet", "read_parquet")):
            for pattern in ("????", "????-??") if resolution in ("15min", "1h") else ("????",):
                place = f"{files}/counts/{resolution}/{pattern}.{suffix}"
                found = db.sql(f"SELECT direction, sum(count) FROM {reader}('{place}') GROUP BY 1").fetchall()
                assert Counter(dict(found)) == expected, place
                types = dict(
                    db.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM {reader}('{place}'))").fetchall()
                )
                assert list(types) == list(HEADER)
                assert types["count"] == "BIGINT"
                assert types["interval_start"] == "TIMESTAMP WITH TIME ZONE"
        year = pq.read_table(files / f"counts/{resolution}/2026.parquet")
        assert year.schema.metadata[b"unit"] == b"passages"
        both = zip(year.column("direction").to_pylist(), year.column("count").to_pylist(), strict=True)
        total: Counter[str] = Counter()
        for direction, count in both:
            total[direction] += count or 0
        assert total == expected


def test_gdal_reads_the_stations(town: City, public: ApiSettings, files: Path) -> None:
    """As QGIS does: points with their names."""
    from pyogrio import read_info
    from pyogrio.raw import read  # its other readers want pandas

    dump_into(files, public)

    info = read_info(files / "stations.geojson")
    _, _, geometry, columns = read(files / "stations.geojson")
    fields = dict(zip(info["fields"], columns, strict=True))
    assert (info["geometry_type"], info["features"], info["crs"]) == ("Point", 2, "EPSG:4326")
    assert list(fields["name"]) == ['Kirche, "Turm"', "Markt"]
    assert [len(point) for point in geometry] == [21, 21]
    assert read_info(files / "areas.geojson")["geometry_type"] == "Polygon"


def test_ogrinfo_reads_the_stations(town: City, public: ApiSettings, files: Path) -> None:
    """The program that comes with GDAL says the same."""
    if shutil.which("ogrinfo") is None:
        pytest.skip("ogrinfo is not installed")
    dump_into(files, public)

    done = subprocess.run(
        ["ogrinfo", "-ro", "-al", "-so", str(files / "stations.geojson")], capture_output=True, text=True, check=True
    )

    assert "Feature Count: 2" in done.stdout
    assert "Geometry: Point" in done.stdout


def test_a_station_is_in_files_from_its_first_sensor_on(town: City, public: ApiSettings, files: Path) -> None:
    """From the interval in which it was put up; what lay before is no gap. With one that comes no old file changes."""
    dump_into(files, public)

    first = {
        resolution: next(
            row for row in csv_rows(files / f"counts/{resolution}/2026.csv.gz") if row["station"] == "kirche"
        )
        for resolution in ("15min", "1h", "1d", "1w")
    }
    assert [row["interval_start"] for row in first.values()] == [
        "2026-05-20T12:15:00+02:00",
        "2026-05-20T12:00:00+02:00",
        "2026-05-20T00:00:00+02:00",
        "2026-05-18T00:00:00+02:00",
    ]
    assert first["1h"]["reason"] == "not_installed"
    assert first["1h"]["state"] == "measured"
    assert {row["station"] for row in csv_rows(files / "counts/1h/2026-04.csv.gz")} == {"markt"}
    before = stamps(files)

    town.station("neu")
    town.install(town.sensor("neu-1"), "neu", datetime(2026, 6, 2, tzinfo=UTC))
    dump_into(files, public)

    changed = {name for name, stamp in stamps(files).items() if before[name] != stamp and name.startswith("counts/")}
    assert {name.rpartition("/")[2].partition(".")[0] for name in changed} == {"2026-06", "2026"}


def test_a_direction_that_a_later_sensor_counts_is_in_all_files(
    town: City, public: ApiSettings, files: Path, tmp_path: Path
) -> None:
    """As in the API, where a station has the same directions at all times: so old files are made again."""
    dump_into(files, public)
    key = town.sensor("kirche-2", (2,))
    town.connection.execute("UPDATE installation SET valid_to = '2026-06-01' WHERE station = 'kirche'")
    town.install(key, "kirche", datetime(2026, 6, 1, tzinfo=UTC))

    dump_into(files, public)
    dump_into(tmp_path / "new", public)

    assert sums(files) == sums(tmp_path / "new")
    may = csv_rows(files / "counts/1h/2026-05.csv.gz")
    assert {row["direction"] for row in may if row["station"] == "kirche"} == {"in", "out", "undirected"}


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2025-10-25", 24), ("2025-10-26", 25)])
def test_days_on_which_clocks_change(city: City, public: ApiSettings, files: Path, day: str, hours: int) -> None:
    """They have an hour more or less, each interval is there once, and their counts are the hours'."""
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    key = city.counter("markt")
    city.minutes(key, start, hours * 60, {0: 1})

    dump_into(files, public, start + timedelta(days=3))

    for resolution, number in (("15min", 4 * hours), ("1h", hours), ("1d", 1)):
        rows = [
            row
            for row in csv_rows(files / f"counts/{resolution}/{day[:4]}.csv.gz")
            if row["interval_start"].startswith(day) and row["direction"] == "in"
        ]
        assert len({row["interval_start"] for row in rows}) == len(rows) == number
        assert sum(int(row["count"]) for row in rows) == hours * 60
        assert {row["state"] for row in rows} == {"measured"}
        ends = [datetime.fromisoformat(row["interval_end"]) for row in rows]
        starts = [datetime.fromisoformat(row["interval_start"]) for row in rows]
        assert ends[:-1] == starts[1:]


def test_each_station_has_its_own_days(city: City, public: ApiSettings, files: Path) -> None:
    """One after the other by zone in one file, one header; Parquet says which zones there are."""
    start = datetime(2026, 6, 5, tzinfo=UTC)
    for name, zone in (("markt", "Europe/Berlin"), ("lissabon", "Europe/Lisbon"), ("apia", "Pacific/Apia")):
        city.minutes(city.counter(name, timezone=zone), start, 1440, {0: 1})

    dump_into(files, public)

    rows = [row for row in csv_rows(files / "counts/1d/2026.csv.gz") if row["count"] not in ("", "0")]
    assert [(row["station"], row["interval_start"], row["count"]) for row in rows] == [
        ("markt", "2026-06-05T00:00:00+02:00", "1320"),
        ("markt", "2026-06-06T00:00:00+02:00", "120"),
        ("lissabon", "2026-06-05T00:00:00+01:00", "1380"),
        ("lissabon", "2026-06-06T00:00:00+01:00", "60"),
        ("apia", "2026-06-05T00:00:00+13:00", "660"),
        ("apia", "2026-06-06T00:00:00+13:00", "780"),
    ]
    text = gzip.decompress((files / "counts/1d/2026.csv.gz").read_bytes()).decode()
    assert text.count("interval_start") == 1
    lasts = {row["station"]: row["interval_end"] for row in csv_rows(files / "counts/1d/2026.csv.gz")}
    assert lasts == {
        "markt": "2026-06-10T00:00:00+02:00",
        "lissabon": "2026-06-10T00:00:00+01:00",
        "apia": "2026-06-11T00:00:00+13:00",  # there the tenth is over
    }
    metadata = pq.read_schema(files / "counts/1d/2026.parquet").metadata
    assert json.loads(metadata[b"timezone"]) == ["Europe/Berlin", "Europe/Lisbon", "Pacific/Apia"]
    assert (files / "remarks.csv").read_text("utf-8").startswith("id,station")


def test_a_second_run_touches_nothing(town: City, public: ApiSettings, files: Path) -> None:
    """At any hour of the same day: the same files, with their dates."""
    dump_into(files, public)
    before, said = stamps(files), sums(files)

    done = dump_into(files, public, NOW + timedelta(hours=9))

    assert stamps(files) == before
    assert sums(files) == said
    assert (done.written, done.same, done.unchanged) == (0, 0, 20)


def test_the_bytes_say_nothing_of_when_and_where(town: City, public: ApiSettings, files: Path, tmp_path: Path) -> None:
    """Written at another hour into another folder they are the same."""
    dump_into(files, public)
    dump_into(tmp_path / "elsewhere", public, NOW + timedelta(hours=9))

    assert sums(files) == sums(tmp_path / "elsewhere")


def test_a_late_report_changes_its_files_only(town: City, public: ApiSettings, files: Path) -> None:
    """Those of its month and its year; those of other months keep their dates."""
    dump_into(files, public)
    before = stamps(files)
    (key,) = town.connection.execute("SELECT key FROM sensor WHERE id = 'markt-1'").fetchone() or (0,)

    town.minutes(key, datetime(2026, 4, 2, 12, tzinfo=UTC), 5, {0: 1})
    done = dump_into(files, public)

    changed = {name for name, stamp in stamps(files).items() if before[name] != stamp}
    tables = {f"counts/{resolution}/{period}" for resolution in ("15min", "1h") for period in ("2026-04", "2026")}
    tables |= {"counts/1d/2026", "counts/1w/2026"}
    names = {f"{table}{suffix}" for table in tables for suffix in (".csv.gz", ".parquet")}
    assert changed == {"SHA256SUMS", "datapackage.json", *names}
    assert (done.written, done.unchanged) == (12, 8)


def test_a_new_day_changes_what_has_it(town: City, public: ApiSettings, files: Path) -> None:
    """The running month and year get a day more; what has been over for two weeks keeps its date."""
    dump_into(files, public, NOW + timedelta(days=8))
    before = stamps(files)

    dump_into(files, public, NOW + timedelta(days=9))

    changed = {name for name, stamp in stamps(files).items() if before[name] != stamp}
    periods = {name.rpartition("/")[2].partition(".")[0] for name in changed if name.startswith("counts/")}
    assert periods == {"2026-06", "2026"}
    assert csv_rows(files / "counts/1h/2026-06.csv.gz")[-1]["interval_end"] == "2026-06-19T00:00:00+02:00"
    rows = [row for row in csv_rows(files / "counts/1d/2026.csv.gz") if row["interval_start"].startswith("2026-06-10")]
    assert {row["count"] for row in rows if (row["station"], row["direction"]) == ("markt", "in")} == {"170"}


def test_gaps_become_final_two_weeks_later(town: City, public: ApiSettings, files: Path) -> None:
    """Once a day, at midnight: until then the file of a month that is over may change, with nothing else in it."""
    dump_into(files, public, NOW)
    first = csv_rows(files / "counts/1h/2026-05.csv.gz")
    dump_into(files, public, NOW + timedelta(days=5))
    last = csv_rows(files / "counts/1h/2026-05.csv.gz")

    open_s = [row["interval_end"] for row in first if row["final"] == "false"]
    assert open_s[0] == "2026-05-27T01:00:00+02:00"
    assert {row["final"] for row in last} == {"true"}
    assert [{**row, "final": ""} for row in first] == [{**row, "final": ""} for row in last]


def test_what_is_made_again_and_is_the_same_keeps_its_date(town: City, public: ApiSettings, files: Path) -> None:
    """As after hours were summed up anew, or when a backup was restored."""
    dump_into(files, public)
    before = stamps(files)

    town.connection.execute("UPDATE store SET epoch = gen_random_uuid()")
    done = dump_into(files, public)

    assert (done.written, done.same) == (0, 20)
    assert stamps(files) == before


def test_a_file_that_somebody_touched_is_made_again(town: City, public: ApiSettings, files: Path) -> None:
    """Whether it is gone, cut short or of another content; one that was copied only is left alone."""
    dump_into(files, public)
    said = sums(files)
    names = [name for name in visible(files) if name.startswith("counts/1")][:4]

    (files / names[0]).unlink()
    (files / names[1]).write_bytes(b"short")
    content = (files / names[2]).read_bytes()
    (files / names[2]).write_bytes(content[:-1] + b"x")
    shutil.copyfile(files / names[3], files / "copy")
    (files / "copy").replace(files / names[3])
    copied = (files / names[3]).stat().st_mtime_ns
    done = dump_into(files, public)

    assert done.written == 3
    assert sums(files) == said
    assert (files / names[3]).stat().st_mtime_ns == copied


def test_what_is_held_back_is_withheld_from_the_day_of_the_rule(town: City, public: ApiSettings, files: Path) -> None:
    """The next run leaves the number in no file; the rule's reason is in the description."""
    dump_into(files, public)
    rule = HeldBackSettings.model_validate(
        {
            "stations": ["markt"],
            "from": datetime(2026, 4, 20, tzinfo=UTC),
            "to": datetime(2026, 4, 22, tzinfo=UTC),
            "reason": "Geprüft.",
        }
    )

    dump_into(files, with_rules(public, held_back=[rule]))

    for resolution in ("15min", "1h"):
        for row in csv_rows(files / f"counts/{resolution}/2026.csv.gz"):
            held = row["station"] == "markt" and "2026-04-20T02" <= row["interval_start"] < "2026-04-22T02"
            assert (row["reason"] == "withheld") == held, row
            assert not held or row["count"] == row["coverage"] == ""
    assert "Geprüft." in json.loads((files / "datapackage.json").read_text("utf-8"))["description"]
    with Api(with_rules(public, held_back=[rule])) as api:
        api.now = datetime(2026, 6, 10, tzinfo=BERLIN)
        answer = api.get(
            "/api/v1/counts", from_="2026-04-01", to="2026-05-01", split="direction", station="markt", format="csv"
        )
    assert gzip.decompress((files / "counts/1h/2026-04.csv.gz").read_bytes()) == answer.content


def test_what_was_never_measured_can_be_held_back_too(town: City, public: ApiSettings, files: Path) -> None:
    """The reason changes, although there is no number that could."""
    dump_into(files, public)
    day = datetime(2026, 4, 5, tzinfo=BERLIN)
    rule = HeldBackSettings.model_validate(
        {"stations": ["markt"], "from": day, "to": day + timedelta(days=1), "reason": "Geprüft."}
    )

    dump_into(files, with_rules(public, held_back=[rule]))

    reasons = {row["interval_start"][:10]: row["reason"] for row in csv_rows(files / "counts/1d/2026.csv.gz")}
    assert (reasons["2026-04-04"], reasons["2026-04-05"]) == ("not_reported", "withheld")


def test_what_is_finer_than_public_is_removed(town: City, public: ApiSettings, files: Path) -> None:
    """Should the city decide for hours, no file by the quarter of an hour stays."""
    dump_into(files, public)
    (files / "counts/15min/notes.txt").write_text("not ours")

    done = dump_into(files, with_rules(public, finest="1h", recent_hours=0))

    assert done.removed == 8
    assert [name for name in visible(files) if "15min" in name] == ["counts/15min/notes.txt"]
    assert "15min" not in sums(files)
    assert "counts/15min" not in (files / "datapackage.json").read_text("utf-8")


def test_delayed_days_are_in_no_file(town: City, public: ApiSettings, files: Path) -> None:
    """With a delay of a day and a half the last day is that before yesterday's."""
    dump_into(files, with_rules(public, delay_minutes=36 * 60, delay_reason="Geprüft."))

    for resolution in ("15min", "1h", "1d"):
        assert max(row["interval_end"] for row in csv_rows(files / f"counts/{resolution}/2026.csv.gz")) == (
            "2026-06-09T00:00:00+02:00"
        )


def test_the_token_opens_no_file_but_local_does(town: City, database: str, files: Path) -> None:
    """The files are for everybody, whoever makes them; a network of one's own has no rules."""
    rule = HeldBackSettings.model_validate({"stations": ["markt"], "reason": "Geprüft."})
    rules = PublicationSettings(held_back=(rule,))
    token = PublicSettings(operator_token="the-operators-own-token")
    with_token = ApiSettings(database=DatabaseSettings(dsn=database), public=token, publication=rules)

    dump_into(files, with_token)
    assert {row["count"] for row in csv_rows(files / "counts/1d/2026.csv.gz") if row["station"] == "markt"} == {""}

    dump_into(files, with_token.model_copy(update={"public": PublicSettings(local=True)}))
    assert {row["reason"] for row in csv_rows(files / "counts/1d/2026.csv.gz")} & {"withheld"} == set()


def test_a_name_in_the_rules_that_is_no_station_is_said_aloud(
    town: City, public: ApiSettings, files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A slip there publishes what was to be held back."""
    rule = HeldBackSettings.model_validate({"stations": ["mark"], "reason": "Geprüft."})

    dump_into(files, with_rules(public, held_back=[rule]))

    assert "'mark', which is no station (did you mean 'markt'?)" in caplog.text


def test_a_part_of_the_files_can_be_written(town: City, public: ApiSettings, files: Path) -> None:
    """What is not chosen stays as it is, and stays listed; what was never written is not listed."""
    hours = Choice(frozenset({Resolution.HOUR}), Period(2026, 4), Period(2026, 4))
    dump_into(files, public, choice=hours)

    assert [name for name in visible(files) if name.startswith("counts/")] == [
        f"counts/1h/{period}{suffix}" for period in ("2026-04", "2026") for suffix in (".csv.gz", ".parquet")
    ]
    dump_into(files, public)
    before = stamps(files)
    done = dump_into(files, public, NOW + timedelta(days=1), hours)
    changed = {name for name, stamp in stamps(files).items() if before[name] != stamp and name.startswith("counts/")}
    assert changed == {"counts/1h/2026.csv.gz", "counts/1h/2026.parquet"}
    assert done.left == 16
    assert len(sums(files).splitlines()) == len(before) - 1


def test_what_is_not_chosen_and_was_made_under_other_rules_is_removed(
    town: City, public: ApiSettings, files: Path
) -> None:
    """A number that is withheld now survives in no file."""
    dump_into(files, public)
    rule = HeldBackSettings.model_validate({"stations": ["markt"], "reason": "Geprüft."})

    done = dump_into(files, with_rules(public, held_back=[rule]), choice=Choice(frozenset({Resolution.DAY})))

    assert [name for name in visible(files) if name.startswith("counts/")] == [
        "counts/1d/2026.csv.gz",
        "counts/1d/2026.parquet",
    ]
    assert done.removed == 18
    assert "1h" not in sums(files)


def test_what_is_not_public_cannot_be_chosen(town: City, public: ApiSettings, files: Path) -> None:
    """The answer says what can."""
    with pytest.raises(DumpError, match=r"^15min: not public; there are 1h, 1d, 1w$"):
        dump_into(
            files, with_rules(public, finest="1h", recent_hours=0), choice=Choice(frozenset({Resolution.QUARTER_HOUR}))
        )


def test_without_counts_there_are_places_only(city: City, public: ApiSettings, files: Path) -> None:
    """A city that begins, with a sensor that was silent so far: the package is valid, and names what there is."""
    key = city.counter("markt")
    city.minutes(key, datetime(2026, 5, 1, tzinfo=UTC), 90, observed_s=0)
    city.sum_up()
    city.minutes(key, datetime(2026, 5, 2, tzinfo=UTC), 90, observed_s=0)
    city.span(key, datetime(2026, 5, 3, tzinfo=UTC), datetime(2026, 5, 4, tzinfo=UTC))

    dump_into(files, public)

    assert list(visible(files)) == [
        "SHA256SUMS",
        "areas.geojson",
        "datapackage.json",
        "remarks.csv",
        "stations.geojson",
    ]
    assert Package(str(files / "datapackage.json")).validate().valid


@pytest.mark.parametrize("how", ["summed up", "by the minute", "a span", "a sum"])
def test_files_begin_with_the_first_month_in_which_anything_was_measured(
    city: City, public: ApiSettings, files: Path, how: str
) -> None:
    """In whatever way it is known; what a sensor counted before it hung there is not the station's."""
    city.station("markt")
    key = city.sensor("markt-1")
    city.install(key, "markt", datetime(2026, 2, 1, tzinfo=UTC))
    city.minutes(key, datetime(2026, 1, 5, tzinfo=UTC), 60, {0: 1})
    begin = datetime(2026, 3, 10, tzinfo=UTC)
    if how in {"summed up", "by the minute"}:
        city.minutes(key, begin, 60, {0: 1})
    if how == "summed up":
        city.sum_up()
    elif how == "a span":
        city.span(key, begin, begin + timedelta(hours=3), observed_s=3600)
    elif how == "a sum":
        city.span(key, begin, begin + timedelta(hours=3), {0: 7})

    dump_into(files, public, choice=Choice(frozenset({Resolution.DAY})))

    assert csv_rows(files / "counts/1d/2026.csv.gz")[0]["interval_start"] == "2026-03-01T00:00:00+01:00"


def test_files_are_not_removed_because_the_database_is_another(
    town: City, public: ApiSettings, files: Path, blank_database: str
) -> None:
    """One without any counts is hardly the right one."""
    from footfall_ingest.migrate import migrate

    dump_into(files, public)
    before = stamps(files)
    migrate(blank_database)

    with pytest.raises(DumpError, match="is it the right database"):
        dump_into(files, public.model_copy(update={"database": DatabaseSettings(dsn=blank_database)}))

    assert stamps(files) == before


def test_a_folder_with_something_else_is_refused(town: City, public: ApiSettings, tmp_path: Path) -> None:
    """Such as the one in which the city keeps its stations; nothing is written into it."""
    (tmp_path / "stations.geojson").write_text("the city's own")

    with pytest.raises(DumpError, match=r"has something else in it: stations\.geojson was not written by"):
        dump_into(tmp_path, public)

    assert [path.name for path in tmp_path.iterdir()] == ["stations.geojson"]
    with pytest.raises(DumpError, match=f"there is no folder {tmp_path / 'no'}$"):
        dump_into(tmp_path / "no/such", public)
    with pytest.raises(DumpError, match="there is no folder"):
        dump_into(tmp_path / "stations.geojson", public)


def test_one_process_at_a_time(town: City, public: ApiSettings, files: Path) -> None:
    """Who comes second is told who is first."""
    from footfall_api.dump.folder import Folder

    with Folder.take(files), pytest.raises(DumpError, match=r"another footfall-api dump \(process \d+\) is at work in"):
        dump_into(files, public)

    dump_into(files, public)


def test_what_a_killed_process_left_behind_is_removed(town: City, public: ApiSettings, files: Path) -> None:
    """Files that were begun, and those of counts that nobody knows of."""
    dump_into(files, public)
    before = stamps(files)
    for name in ("counts/1h/.2026.csv.gz.part", ".datapackage.json.part", "counts/1h/2019.csv.gz"):
        (files / name).write_bytes(b"begun")

    dump_into(files, public)

    assert stamps(files) == before
    assert not list(files.rglob(".*.part"))


def test_a_state_that_cannot_be_read_costs_work_only(town: City, public: ApiSettings, files: Path) -> None:
    """All files are made again, and are the same."""
    days = Choice(frozenset({Resolution.DAY}))
    dump_into(files, public, choice=days)
    said = sums(files)

    for state in ("", "{", "[]", '{"files": {"counts/1h/2026.csv.gz": {"size": 1}}}'):
        (files / ".state.json").write_text(state)
        assert dump_into(files, public, choice=days).same == 0
        assert sums(files) == said


def test_minutes_that_were_removed_are_removed_from_files_too(town: City, public: ApiSettings, files: Path) -> None:
    """The files say what the API says: of such time by the quarter of an hour that there are hours."""
    dump_into(files, public)

    town.remove_minutes(datetime(2026, 5, 1, tzinfo=UTC))
    dump_into(files, public)

    states = Counter(row["state"] for row in csv_rows(files / "counts/15min/2026-04.csv.gz"))
    assert states["coarse"] > 100
    assert states["measured"] == 0
    assert Counter(row["state"] for row in csv_rows(files / "counts/1h/2026-04.csv.gz"))["measured"] > 50


def test_memory_does_not_grow_with_a_file(
    city: City, public: ApiSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times the rows take as much at the peak, but for the index that Parquet ends with."""
    monkeypatch.setattr("footfall_api.counts.PIECE_INTERVALS", 300)
    monkeypatch.setattr("footfall_api.parquet.ROW_GROUP", 600)
    city.minutes(city.counter("markt"), datetime(2026, 1, 1, tzinfo=UTC), 5, {0: 1})
    only = Choice(frozenset({Resolution.QUARTER_HOUR}), Period(2026, 1), Period(2026, 1))

    def peak(folder: str, now: datetime) -> tuple[int, int]:
        gc.collect()
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        dump_into(tmp_path / folder, public, now, only)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        rows = pq.read_metadata(tmp_path / folder / "counts/15min/2026.parquet").num_rows
        return most + pa.total_allocated_bytes() - before, rows

    peak("warm", datetime(2026, 1, 20, tzinfo=UTC))  # caches fill
    small, few = peak("small", datetime(2026, 1, 12, tzinfo=UTC))
    large, many = peak("large", datetime(2026, 2, 25, tzinfo=UTC))

    assert many > 4.9 * few
    index = 3000 * (many // 600)
    assert large - index < 1.3 * small


class Told:
    """A history in a database of its own, told in two parts, with files of it."""

    def __init__(self, dsn: str, history: History, first: int) -> None:
        self.settings = ApiSettings(database=DatabaseSettings(dsn=dsn), public=PublicSettings(local=True))
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._history, self._first = history, first
        told = History(
            history.zones,
            history.stays,
            (),
            history.arrivals[:first],
            history.sums[:first],
            None,
            history.now,
            history.questions,
        )
        put(self._connection, told, "x")

    def tell_the_rest(self) -> None:
        """The reports that have not come yet, and the remarks."""
        history, now = self._history, datetime.fromtimestamp(self._history.now, UTC)
        rest = list(zip(history.arrivals, history.sums, strict=True))[self._first :]
        for batch, is_summed in rest:
            write_batch(self._connection, [_message(report, "x") for report in batch], now=now)
            if is_summed:
                _sum_up(self._connection, now)
        for remark in history.remarks:
            if remark.kind == "station":
                self._connection.execute(
                    "INSERT INTO remark (station, starts, ends, kind, text, excludes) "
                    "VALUES (%s, to_timestamp(%s), to_timestamp(%s), 'works', 'x', %s)",
                    [f"x-{remark.place}", remark.start, remark.end, remark.excludes],
                )

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FEW = settings(max_examples=5, suppress_health_check=SHARED)
"""Each is a town, a dump or two, and a dozen answers."""
MANY = settings(max_examples=150, suppress_health_check=SHARED)


class Compared:
    """The files of a history at some time, held against the answers of the API."""

    def __init__(self, folder: Path, told: Told, history: History, now: datetime) -> None:
        self._folder, self._history, self._now = folder, history, now
        dump_into(folder, told.settings, now)
        with Api(told.settings) as api:
            for resolution in ("15min", "1h", "1d", "1w"):
                for station in ("a", "b"):
                    self._check(api, resolution, station)

    def _check(self, api: Api, resolution: str, station: str) -> None:
        years = sorted(self._folder.glob(f"counts/{resolution}/????.csv.gz"))
        rows = [row for file in years for row in csv_rows(file) if row["station"] == f"x-{station}"]
        typed = [
            row
            for file in years
            for row in parquet_rows(file.with_name(file.name.replace(".csv.gz", ".parquet")))
            if row["station"] == f"x-{station}"
        ]
        assert bool(rows) == bool(typed)
        if not rows:
            return
        zone = ZoneInfo(self._history.zones[station])
        api.now = self._now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        address = f"/api/v1/stations/x-{station}/counts"
        asked = {
            "from_": rows[0]["interval_start"],
            "to": rows[-1]["interval_end"],
            "resolution": resolution,
            "split": "direction",
        }
        text = "".join(",".join(row) + "\n" for row in [HEADER, *(row.values() for row in rows)])
        assert text.encode() == api.get(address, **asked, format="csv").content
        answered = pa.BufferReader(api.get(address, **asked, format="parquet").content)
        assert typed == pq.read_table(answered).to_pylist()
        self._check_end(station, datetime.fromisoformat(rows[-1]["interval_end"]), resolution, api.now)

    def _check_end(self, station: str, end: datetime, resolution: str, midnight: datetime) -> None:
        """The last row is the last that is over, or that in which the last sensor was taken down."""
        stays = [stay for stay in self._history.stays if (stay.station, stay.role) == (station, "part")]
        edge_s = interval_of(Resolution(resolution), int(midnight.timestamp()), ZoneInfo(self._history.zones[station]))[
            0
        ]
        if any(stay.until is None for stay in stays):
            assert end.timestamp() == edge_s
        else:
            assert end.timestamp() >= min(edge_s, max(stay.until or 0 for stay in stays))


def agree(pool: Pool, folder: Path, history: History, days: int) -> None:
    """Write the files of a history some days after its end, and hold them against the API."""
    note(str(history))
    with pool.database() as dsn:
        told = Told(dsn, history, len(history.arrivals))
        try:
            told.tell_the_rest()
            Compared(folder / "files", told, history, datetime.fromtimestamp(history.now, UTC) + timedelta(days=days))
        finally:
            told.close()


@pytest.mark.timeout(600)
@FEW
@given(history=histories(), days=st.integers(0, 16))
def test_files_are_what_the_api_answers(
    plain_pool: Pool, tmp_path_factory: pytest.TempPathFactory, history: History, days: int
) -> None:
    """Whatever happened: each row of each file is the API's, and nothing that belongs into a file is missing."""
    agree(plain_pool, tmp_path_factory.mktemp("files"), history, days)


@pytest.mark.full
@pytest.mark.timeout(3600)
@MANY
@given(history=histories(), days=st.integers(0, 16))
def test_files_are_what_the_api_answers_in_many_histories(
    plain_pool: Pool, tmp_path_factory: pytest.TempPathFactory, history: History, days: int
) -> None:
    """The same, many times."""
    agree(plain_pool, tmp_path_factory.mktemp("files"), history, days)


def keep(pool: Pool, folder: Path, history: History, first: int, days: tuple[int, int]) -> None:
    """Write files after the `first` reports, tell the rest, write them again, and all of them elsewhere."""
    note(f"{first} {days} {history}")
    now = datetime.fromtimestamp(history.now, UTC) + timedelta(days=days[0])
    with pool.database() as dsn:
        told = Told(dsn, history, min(first, len(history.arrivals)))
        try:
            dump_into(folder / "kept", told.settings, now)
            told.tell_the_rest()
            for name in ("kept", "new"):
                dump_into(folder / name, told.settings, now + timedelta(days=days[1]))
        finally:
            told.close()
        assert sums(folder / "kept") == sums(folder / "new")


later = st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 1, 15]))


@pytest.mark.timeout(600)
@FEW
@given(history=histories(), first=st.integers(0, 12), days=later)
def test_what_is_kept_is_what_would_be_written(
    plain_pool: Pool, tmp_path_factory: pytest.TempPathFactory, history: History, first: int, days: tuple[int, int]
) -> None:
    """After whatever came in between, a run leaves the folder as one that begins from nothing."""
    keep(plain_pool, tmp_path_factory.mktemp("files"), history, first, days)


@pytest.mark.full
@pytest.mark.timeout(3600)
@MANY
@given(history=histories(), first=st.integers(0, 12), days=later)
def test_what_is_kept_is_what_would_be_written_in_many_histories(
    plain_pool: Pool, tmp_path_factory: pytest.TempPathFactory, history: History, first: int, days: tuple[int, int]
) -> None:
    """The same, many times."""
    keep(plain_pool, tmp_path_factory.mktemp("files"), history, first, days)
