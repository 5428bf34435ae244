"""The publication rules, as the API keeps them: fineness, delay, held back, small counts of classes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from footfall_api.messages import LANGUAGES, catalogue
from footfall_api.publication import publication_of
from footfall_api.publication_words import sentences
from footfall_api.settings import ApiSettings, DatabaseSettings, PublicationSettings, PublicSettings
from footfall_role.settings import SettingsError
from footfall_testing.city import NOW, Api, City

TOKEN = "the-operators-own-token"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def api_with(database: str, **rules: Any) -> Iterator[Api]:
    """The API as anybody sees it with these rules."""
    settings = ApiSettings(
        database=DatabaseSettings(dsn=database),
        public=PublicSettings(operator_token=TOKEN),
        publication=PublicationSettings.model_validate(rules),
    )
    with Api(settings) as found:
        yield found


def said(value: dict[str, Any]) -> tuple[Any, ...]:
    """What a value says but for its time."""
    return value["count"], value["coverage"], value["state"], value["reason"], value["final"]


WITHHELD = (None, None, "missing", "withheld", False)


# -- fineness ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "fine", "coarse"),
    [
        ({}, "5min", "15min"),
        ({"finest": "1h"}, "30min", "1h"),
        ({"finest": "30min", "recent": "15min"}, "15min", "30min"),
    ],
)
def test_what_is_finer_than_public_is_refused_with_the_limit(
    city: City, database: str, rules: dict[str, Any], fine: str, coarse: str
) -> None:
    """Of the day before yesterday; the operator sees it."""
    city.counter("markt")
    when = {"from_": "2026-06-08T10:00", "to": "2026-06-08T12:00"}
    with api_with(database, **rules) as api:
        refused = api.get("/api/v1/stations/markt/counts", resolution=fine, **_named(when))
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:footfall:problem:too-fine"
        assert f"ask for {coarse} or coarser" in refused.json()["detail"]
        assert api.get("/api/v1/stations/markt/counts", resolution=coarse, **_named(when)).status_code == 200
        allowed = api.get("/api/v1/stations/markt/counts", headers=OPERATOR, resolution=fine, **_named(when))
        assert allowed.status_code == 200


def _named(when: dict[str, str]) -> dict[str, str]:
    return {name.rstrip("_"): value for name, value in when.items()}


def test_where_nothing_recent_is_finer_even_the_last_hour_is_not(city: City, database: str) -> None:
    """And neither does the running interval grow, nor the board have minutes: both would tell minutes."""
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(minutes=60), 60, {0: 1})
    with api_with(database, recent_hours=0) as api:
        api.now = NOW + timedelta(minutes=7)
        city.minutes(key, NOW, 7, {0: 1})
        refused = api.get("/api/v1/stations/markt/counts", resolution="1min")
        assert refused.status_code == 403
        assert "ask for 15min or coarser" in refused.json()["detail"]
        *_, running = api.counts("markt", resolution="1h")
        assert said(running) == WITHHELD, "the hour has begun, and the public's has not"
        (station,) = api.run(api.app.state.feed.current()).stations
        assert station.today.count == 60
        assert {(m.count, m.reason) for m in station.minutes} == {(None, "withheld")}


def test_a_summary_is_no_way_around_the_limit(city: City, database: str) -> None:
    """A typical week of one week would be that week by the quarter of an hour."""
    city.counter("markt")
    with api_with(database, finest="1h") as api:
        refused = api.get("/api/v1/stations/markt/profile", resolution="15min")
        assert (refused.status_code, refused.json()["parameter"]) == (403, "resolution")
        assert api.get("/api/v1/stations/markt/profile", resolution="1h").status_code == 200


def test_the_clock_of_another_zone_is_no_way_around_the_limit(city: City, database: str) -> None:
    """Hours of Jena and hours of Kolkata together would tell half hours."""
    city.counter("markt")
    with api_with(database, finest="1h") as api:
        refused = api.get("/api/v1/stations/markt/counts", tz="Asia/Kolkata")
        assert (refused.status_code, refused.json()["parameter"]) == (403, "tz")
        assert "Europe/Berlin" in refused.json()["detail"]
        assert api.get("/api/v1/stations/markt/counts", tz="Europe/Berlin").status_code == 200
    with api_with(database) as api:
        assert api.get("/api/v1/stations/markt/counts", tz="Asia/Kolkata").status_code == 200


# -- delay -------------------------------------------------------------------------------------------------------------


def test_counts_come_as_much_later_as_the_delay(city: City, database: str) -> None:
    """What is younger is withheld, to the operator it is not; a day that runs has what is old enough."""
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(hours=4), 240, {0: 1})
    with api_with(database, delay_minutes=120, delay_reason="Wir prüfen erst.") as api:
        values = api.counts("markt", from_="2026-06-10T10:00", to="2026-06-10T16:00", resolution="1h")
        assert [said(value) for value in values] == [
            (60, 1.0, "measured", None, True),
            (60, 1.0, "measured", None, True),
            WITHHELD,
            WITHHELD,
            (None, None, "missing", "future", False),
            (None, None, "missing", "future", False),
        ]
        (day,) = api.counts("markt", from_="2026-06-10", to="2026-06-11", resolution="1d")
        assert day["count"] == 120
        (whole,) = api.get(
            "/api/v1/stations/markt/counts", headers=OPERATOR, **{"from": "2026-06-10", "resolution": "1d"}
        ).json()["values"]
        assert whole["count"] == 240
        board = api.run(api.app.state.feed.current())
        assert board.at == NOW - timedelta(hours=2)
        assert board.stations[0].today.count == 120


def test_an_answer_has_another_tag_when_the_delay_is_over(city: City, database: str) -> None:
    """Else a client would keep what was withheld for ever."""
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(hours=2), 60, {0: 1})
    asked = {"from": "2026-06-10T12:00", "to": "2026-06-10T13:00", "resolution": "1h"}
    with api_with(database, delay_minutes=60, delay_reason="Wir prüfen erst.") as api:
        api.now = NOW - timedelta(minutes=60)
        early = api.get("/api/v1/stations/markt/counts", **asked)
        api.now = NOW
        later = api.get("/api/v1/stations/markt/counts", **asked)
    assert said(early.json()["values"][0]) == WITHHELD
    assert later.json()["values"][0]["count"] == 60
    assert early.headers["ETag"] != later.headers["ETag"]


# -- held back ---------------------------------------------------------------------------------------------------------

HELD = {"stations": ["markt"], "reason": "Der Sensor wird geprüft.", "reason_en": "The sensor is being checked."}


def test_held_back_time_is_withheld_and_not_counted_anywhere(city: City, database: str) -> None:
    """An hour of the day is missing from the day; another station has it all; the operator, too."""
    for name in ("markt", "kirche"):
        city.minutes(city.counter(name), datetime(2026, 6, 1, 8, tzinfo=UTC), 240, {0: 1})
    city.area("zentrum", "markt", "kirche")
    held = {**HELD, "from": "2026-06-01T09:00:00Z", "to": "2026-06-01T10:00:00Z"}
    asked = {"from": "2026-06-01T10:00", "to": "2026-06-01T14:00"}
    with api_with(database, held_back=[held]) as api:
        hours = api.counts("markt", from_=asked["from"], to=asked["to"], resolution="1h")
        assert [value["count"] for value in hours] == [60, None, 60, 60]
        assert said(hours[1]) == WITHHELD
        (day,) = api.counts("markt", from_="2026-06-01", to="2026-06-02", resolution="1d")
        assert (day["count"], day["state"]) == (180, "partial")
        assert [v["count"] for v in api.counts("kirche", from_=asked["from"], to=asked["to"])] == [60] * 4
        area = api.get("/api/v1/counts", area="zentrum", **asked).json()["values"]
        assert [value["count"] for value in area] == [120, 60, 120, 120]
        assert area[1]["carried_by"] == ["kirche"]
        own = api.get("/api/v1/stations/markt/counts", headers=OPERATOR, **asked).json()["values"]
        assert [value["count"] for value in own] == [60] * 4
        totals = api.get("/api/v1/stations/markt/totals", resolution="1d", **{"from": "2026-06-01", "to": "2026-06-02"})
        assert totals.json()["values"][0]["count"] == 180


def test_a_station_held_back_until_further_notice_has_no_number_on_the_board(city: City, database: str) -> None:
    """It stays on the map: that a sensor hangs there is no secret."""
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(minutes=30), 30, {0: 1})
    with api_with(database, held_back=[HELD]) as api:
        (station,) = api.run(api.app.state.feed.current()).stations
        assert (station.today.count, station.today.reason, station.updated) == (None, "withheld", None)
        assert {minute.count for minute in station.minutes} == {None}
        assert [found["id"] for found in api.get("/api/v1/stations").json()["features"]] == ["markt"]


def test_a_span_that_is_held_back_in_part_has_no_number_anywhere(city: City, database: str) -> None:
    """Else the number of the part would follow; and the reason is not a remark that nobody made."""
    key = city.counter("markt")
    city.span(
        key, datetime(2026, 6, 1, 8, tzinfo=UTC), datetime(2026, 6, 1, 12, tzinfo=UTC), {0: 40}, observed_s=14_400
    )
    held = {**HELD, "from": "2026-06-01T11:00:00Z", "to": "2026-06-01T13:00:00Z"}
    with api_with(database, held_back=[held]) as api:
        values = api.counts("markt", from_="2026-06-01T10:00", to="2026-06-01T15:00", resolution="1h")
        assert [(v["count"], v["reason"]) for v in values] == [(None, "withheld")] * 5


def test_a_name_that_is_no_stations_is_said_aloud(city: City, database: str, caplog: pytest.LogCaptureFixture) -> None:
    """A slip there publishes what was to be held back."""
    city.counter("markt")
    with caplog.at_level(logging.ERROR), api_with(database, held_back=[{**HELD, "stations": ["mark", "markt"]}]) as api:
        api.until(lambda: "names 'mark', which is no station (did you mean 'markt'?)" in caplog.text)
    assert "'markt', which" not in caplog.text


# -- small counts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def classes(city: City) -> City:
    """An hour with 60 pedestrians in and out each, 3 wheelchairs in, and 12 cyclists in."""
    key, begin = city.counter("markt"), datetime(2026, 6, 1, 8, tzinfo=UTC)
    city.minutes(key, begin, 60, {0: 1, 1: 1})
    city.minutes(key, begin, 3, {0: 1}, class_=3)
    city.minutes(key, begin, 12, {0: 1}, class_=2)
    return city


def _by(api: Api, split: str, **headers: str) -> dict[tuple[str, str], Any]:
    asked = {"from": "2026-06-01T10:00", "to": "2026-06-01T11:00", "split": split}
    values = api.get("/api/v1/stations/markt/counts", headers=headers, **asked).json()["values"]
    return {(value["class"], value["direction"]): value for value in values}


def test_small_counts_of_classes_are_withheld_with_the_next_smallest(classes: City, database: str) -> None:
    """The total is given, so one class alone would follow from the others. The operator sees all."""
    with api_with(database, small_below=5, small_reason="Niemand soll erkannt werden.") as api:
        found = _by(api, "class")
        assert found["pedestrian", "all"]["count"] == 120
        assert said(found["wheelchair", "all"]) == said(found["cyclist", "all"]) == WITHHELD
        own = _by(api, "class", **OPERATOR)
        assert (own["wheelchair", "all"]["count"], own["cyclist", "all"]["count"]) == (3, 12)
        both = _by(api, "class,direction")
        assert {key[0] for key, value in both.items() if value["count"] is None} == {"wheelchair", "cyclist"}
        assert _by(api, "direction")["all", "in"]["count"] == 75


@pytest.mark.parametrize("format_", ["csv", "csv-de", "parquet", "geojson"])
def test_no_format_has_small_counts(classes: City, database: str, format_: str) -> None:
    """Each is written by another writer."""
    asked = {"from": "2026-06-01T10:00", "to": "2026-06-01T11:00", "split": "class", "format": format_}
    with api_with(database, small_below=5, small_reason="Niemand soll erkannt werden.") as api:
        body = api.get("/api/v1/stations/markt/counts", **asked)
    if format_ == "parquet":
        import io

        import pyarrow.parquet as pq

        found = {row["class"]: row["count"] for row in pq.read_table(io.BytesIO(body.content)).to_pylist()}
    elif format_ == "geojson":
        found = {f["properties"]["class"]: f["properties"]["count"] for f in body.json()["features"]}
    else:
        rows = [line.replace(";", ",").split(",") for line in body.text.splitlines()[1:]]
        found = {row[4]: int(row[6]) if row[6] else None for row in rows}
    assert found == {"pedestrian": 120, "cyclist": None, "wheelchair": None}


def test_class_and_sensor_together_are_refused_while_small_counts_are_withheld(classes: City, database: str) -> None:
    """From the sum of the station and one sensor the other would follow."""
    with api_with(database, small_below=5, small_reason="Niemand soll erkannt werden.") as api:
        refused = api.get("/api/v1/stations/markt/counts", split="class,sensor")
        assert (refused.status_code, refused.json()["parameter"]) == (403, "split")
    with api_with(database) as api:
        assert api.get("/api/v1/stations/markt/counts", split="class,sensor").status_code == 200


# -- settings and words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('finest = "1d"', "publication.finest: must be one of 1min, 5min, 15min, 30min, 1h (it is '1d')"),
        ('finest = "15min"\nrecent = "1h"', "publication: recent (1h) must not be coarser than finest (15min)"),
        ("delay_minutes = 5", "publication: delay_reason is missing: what is not public is published with its reason"),
        ("small_below = 5", "publication: small_reason is missing: what is not public is published with its reason"),
        ('held_back = [{stations = ["markt"]}]', "publication.held_back.0.reason is missing"),
        (
            'held_back = [{stations = ["a"], reason = "r", from = 2026-01-01T00:00:30Z}]',
            "publication.held_back.0: from must be a whole minute",
        ),
        (
            'held_back = [{stations = ["a"], reason = "r", from = 2026-01-02T00:00:00Z, to = 2026-01-01T00:00:00Z}]',
            "is not after from",
        ),
        ('held_back = [{stations = ["a"], reason = "r", from = 2026-01-02T00:00:00}]', "timezone"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    """With the place and what would be right."""
    file = tmp_path / "api.toml"
    file.write_text(f"[publication]\n{text}\n")
    with pytest.raises(SettingsError) as refused:
        ApiSettings.load(file)
    assert fault in str(refused.value)


RULES = publication_of(
    PublicationSettings.model_validate(
        {
            "delay_minutes": 30,
            "delay_reason": "Wir prüfen erst.",
            "small_below": 5,
            "small_reason": "Niemand soll erkannt werden.",
            "small_reason_en": "Nobody is to be recognised.",
            "held_back": [{**HELD, "from": "2026-06-01T09:00:00+02:00"}],
        }
    )
)


def test_every_rule_is_said_with_its_reason() -> None:
    """In both languages; what has no English reason has the German one."""
    german, english = (sentences(RULES, catalogue(language), {"markt": "Markt"}) for language in LANGUAGES)
    assert german == [
        (
            "Werte je Minute gibt es für die letzten 24 Stunden. Werte je Viertelstunde und in längeren Schritten gibt "
            "es für die ganze Zeit."
        ),
        "Zählwerte werden 30 Minuten später veröffentlicht. Wir prüfen erst.",
        (
            "Wo Arten unterschieden werden (Fußgänger, Rollstuhl, …), wird keine Zahl von 1 bis 4 veröffentlicht und "
            "keine, aus der sie folgen würde. Niemand soll erkannt werden."
        ),
        "Markt: Zählwerte seit 01.06.2026, 07:00 UTC werden nicht veröffentlicht. Der Sensor wird geprüft.",
    ]
    assert [sentence.rpartition(". ")[2] or sentence for sentence in english][1:] == [
        "Wir prüfen erst.",
        "Nobody is to be recognised.",
        "The sensor is being checked.",
    ]


def test_pages_say_the_rules(city: City, database: str) -> None:
    """The page about the measurement and the one with the data."""
    city.counter("markt")
    with api_with(database, held_back=[HELD]) as api:
        for path in ("/messung", "/daten"):
            page = api.get(path)
            assert page.status_code == 200
            assert "Markt: Zählwerte aller Zeit werden nicht veröffentlicht. Der Sensor wird geprüft." in page.text


def test_summaries_have_no_small_counts_either(classes: City, database: str) -> None:
    """A total by class over an hour's day is the hour's number."""
    asked = {"from": "2026-06-01", "to": "2026-06-02", "resolution": "1d", "split": "class"}
    with api_with(database, small_below=5, small_reason="Niemand soll erkannt werden.") as api:
        found = {v["class"]: v["count"] for v in api.get("/api/v1/stations/markt/totals", **asked).json()["values"]}
    assert found == {"pedestrian": 120, "cyclist": None, "wheelchair": None}
