"""Real counts of real cities are imported, and what is odd about them is said.

The files stand beside the checkout and are not part of it; where they are absent these tests skip and say so. What is
expected is counted here by other means: the files' own columns, added up with `csv` alone.
"""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest

from footfall_ingest.commands import Connection
from footfall_ingest.history import importing, mapping
from footfall_ingest.history.findings import Kind
from footfall_ingest.history.importing import Report, Wanted
from footfall_ingest.judge import Rules
from footfall_testing.history import NOW

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not SAMPLES.exists(), reason=f"no samples of real counts in {SAMPLES}")

ZUERICH = SAMPLES / "zuerich" / "zurich_StationDailyTimeSeries-Foot.csv"
AUCKLAND = [SAMPLES / "auckland" / f"auckland_ped_hourly_{year}_6sensors.csv" for year in (2023, 2024)]
MUENSTER = SAMPLES / "muenster"

NEUTOR = """
title = "Neutor with its directions"
[time]
columns = ["Datetime"]
format = "{year}-{month}-{day} {hour}:{minute}"
length = "15min"
doubled_hour = "summed"
[place]
id = "neutor"
[[value]]
column = "101035541 (Neutor stadteinwärts)"
direction = "in"
class = "cyclist"
[[value]]
column = "102035541 (Neutor stadtauswärts)"
direction = "out"
class = "cyclist"
[[value]]
column = "100035541 (Neutor)"
class = "cyclist"
fallback = true
"""


@pytest.fixture(scope="module")
def shared(postgres_server: Any, postgres_template: str) -> Iterator[Connection]:
    """A connection to one database for all samples."""
    name = "footfall_import_samples"
    with psycopg.connect(postgres_server.create(name, postgres_template), autocommit=True) as connection:
        yield connection
    postgres_server.drop(name)


@pytest.fixture
def connection(shared: Connection) -> Iterator[Connection]:
    """The shared connection; what the test does is taken back."""
    with shared.transaction(force_rollback=True):
        yield shared


def imported(connection: Connection, name: str, paths: list[Path], **options: Any) -> Report:
    """The report of importing files by a mapping."""
    return importing.run(connection, Wanted(paths, name, mapping.load(name)[1], **options), Rules(), now=NOW)


def texts(report: Report, kind: Kind) -> list[str]:
    """What was found of one kind."""
    return [str(item) for item in report.findings.of(kind)]


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_zuerich_days_are_local_days(connection: Connection) -> None:
    """Every daily value is one span of a day in Zürich, of 23 and 25 hours when clocks change."""
    rows = [row for row in read(ZUERICH) if row["count"]]

    report = imported(connection, "zuerich", [ZUERICH])

    assert report.outcome == "imported"
    total = "SELECT sum(count)::bigint, count(*) FROM count_span"
    assert connection.execute(total).fetchone() == (
        sum(int(row["count"]) for row in rows),
        sum(1 for row in rows if row["count"] != "0"),
    )
    hours = "SELECT DISTINCT extract(epoch FROM ends - starts)::int / 3600 FROM coverage_span ORDER BY 1"
    assert connection.execute(hours).fetchall() == [(23,), (24,), (25,)]
    assert len({part.sensor for part in report.parts}) == len({row["id"] for row in rows})


def test_muenster_s_months_lack_their_last_day(connection: Connection) -> None:
    """Of six months of files each is said to end too early, with the hours that are not there."""
    report = imported(connection, "muenster", sorted(MUENSTER.glob("*.csv")), dry_run=True)

    said = texts(report, Kind.MONTH_END)
    assert report.outcome == "would be imported"
    for sensor in ("muenster-100031297", "muenster-100035541"):
        for month, gap in (("2024-06", "24 h"), ("2025-03", "24 h"), ("2025-10", "")):
            assert any(f"{sensor}: {month} ends too early" in text and gap in text for text in said), (sensor, month)
    total = sum(
        int(value)
        for path in MUENSTER.glob("*.csv")
        for row in read(path)
        for name, value in row.items()
        if name.startswith("1000") and not name.endswith("status")
    )
    assert report.as_json()["total"] == total


def test_muenster_s_autumn_hour_is_one_span_of_two_hours(connection: Connection, tmp_path: Path) -> None:
    """The doubled hour holds two hours in one and is kept as such; directions add up to the total in every row."""
    path = tmp_path / "neutor.toml"
    path.write_text(NEUTOR)
    [october] = MUENSTER.glob("100035541_2025-10.csv")
    night = [row for row in read(october) if row["Datetime"].startswith("2025-10-26 02:")]

    report = imported(connection, str(path), [october])

    [said] = texts(report, Kind.DOUBLED_HOUR)
    assert "holds the sum of both" in said
    assert "one span of 2 hours" in said
    query = "SELECT starts, ends, sum(count)::int FROM count_span GROUP BY 1, 2 HAVING ends - starts > '15 min'"
    [(start, end, count)] = connection.execute(query).fetchall()
    assert (start, end) == (datetime(2025, 10, 26, 0, tzinfo=UTC), datetime(2025, 10, 26, 2, tzinfo=UTC))
    assert count == sum(int(row["100035541 (Neutor)"]) for row in night)
    assert not report.findings.of(Kind.TOTAL)
    assert report.outcome == "imported"


@pytest.fixture(scope="module")
def auckland(shared: Connection) -> Report:
    """What is found in two years of Auckland."""
    return imported(shared, "auckland", AUCKLAND, dry_run=True)


def test_auckland_is_refused_with_its_faults(auckland: Report) -> None:
    """The hour that does not exist and the label that is there twice are faults, with their lines."""
    assert auckland.outcome == "refused"
    [no_such_hour] = texts(auckland, Kind.NO_SUCH_HOUR)
    assert "2023_6sensors.csv line 6382: 2023-09-24 02:00 is in the hour" in no_such_hour
    twice = auckland.findings.of(Kind.CONTRADICTION)
    assert {(item.line, item.fault) for item in twice} == {(6529, True)}
    assert len(twice) == 5  # the sixth place has 0 both times
    assert len(texts(auckland, Kind.REPEATED)) == 1
    assert {item.kind for item in auckland.findings.faults} == {Kind.NO_SUCH_HOUR, Kind.CONTRADICTION}


def test_auckland_s_holes_and_silence_are_said(auckland: Report) -> None:
    """The largest hole comes first; a sensor that is off at night, and says 0, is asked about."""
    holes = texts(auckland, Kind.HOLE)
    assert holes[0].startswith("auckland-150-k-road: nothing measured for 138 h, from 2023-10-26 12:00")
    [month] = texts(auckland, Kind.MONTH_END)
    assert month.startswith("auckland-150-k-road: 2023-10 ends too early, at 2023-10-26 12:00 +1300: 132 h")
    assert any(
        "auckland-205-queen-street: 124 times a stretch of zeros" in text for text in texts(auckland, Kind.ZEROS)
    )
    doubled = texts(auckland, Kind.DOUBLED_HOUR)
    assert len(doubled) == 2
    assert all("6 places" in text and "left out" in text for text in doubled)


def test_auckland_by_the_calendar_day_is_shuffled(connection: Connection) -> None:
    """Read as if its days began at midnight, the rows after midnight are out of order: said, with their number."""
    found = mapping.load("auckland")[1]
    plain = found.model_copy(update={"time": found.time.model_copy(update={"day_begins": "00:00"})})

    report = importing.run(connection, Wanted(AUCKLAND[:1], "plain", plain, dry_run=True), Rules(), now=NOW)

    [said] = texts(report, Kind.SHUFFLED)
    assert "6 places" in said
    # Six hours a day; but the doubled hour of April is settled otherwise, and that of September is a fault.
    assert f"{365 * 6 - 2} rows after later ones" in said
    assert texts(report, Kind.HOLE)[0].startswith("auckland-150-k-road: nothing measured for 132 h")


def test_auckland_s_first_weeks_come_out_as_they_went_in(connection: Connection, tmp_path: Path) -> None:
    """Hours of six places are stored with their counts; importing again is all known."""
    part = tmp_path / "part.csv"
    with AUCKLAND[1].open(encoding="utf-8") as file:
        part.write_text("".join(islice(file, 500)))
    rows = read(part)

    first = imported(connection, "auckland", [part])
    second = imported(connection, "auckland", [part])

    assert (first.as_json()["new"], second.as_json()["new"], second.as_json()["known"]) == (2994, 0, 2994)
    total = sum(int(value) for row in rows for name, value in row.items() if name not in ("date", "hour"))
    assert connection.execute("SELECT sum(count)::bigint FROM count_span").fetchone() == (total,)
    assert connection.execute("SELECT min(starts) FROM coverage_span").fetchone() == (
        datetime(2023, 12, 31, 17, tzinfo=UTC),
    )


@pytest.mark.full
def test_all_samples_are_imported_twice(connection: Connection) -> None:
    """Two years of Auckland and all of Münster: what is not faulty is stored, and the second time all is known."""
    for name, paths in (("auckland", AUCKLAND), ("muenster", sorted(MUENSTER.glob("*.csv")))):
        first = imported(connection, name, paths, skip_faulty=True).as_json()
        second = imported(connection, name, paths, skip_faulty=True).as_json()

        assert first["outcome"] == "imported"
        assert (second["new"], second["known"]) == (0, first["new"])
