"""Entity tags and dates: they change when something in the time asked about does, and at no other time.

Counts come here as they do in life, through the aggregator and the summing-up of its hours: neither must be seen.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from itertools import count
from typing import Any

import httpx
import pytest

from footfall_ingest.flush import write_batch
from footfall_ingest.rollup import roll_up
from footfall_testing.city import Api, City
from footfall_testing.ingest_store import message, report

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
PATH = "/api/v1/stations/markt/counts"
ASKED = {"from_": "2026-03-10T12:00Z", "to": "2026-03-10T18:00Z"}
QUARTERS = {**ASKED, "from_": "2026-03-10T12:15Z", "resolution": "15min"}

Report = Callable[..., None]


@pytest.fixture
def api(api: Api) -> Api:
    """The API half an hour from now, on the clock of the database: what was done before is old enough to be dated."""
    api.now = datetime.now(UTC) + timedelta(minutes=30)
    return api


@pytest.fixture
def markt(city: City) -> int:
    """A station without counts; the key of its sensor."""
    return city.counter("markt")


@pytest.fixture
def send(city: City, markt: int) -> Report:
    """Let the sensor report: so many whole minutes from a moment on, with one passage."""
    numbers = count()

    def send(start: datetime, minutes: int = 1, passages: int = 1) -> None:
        one = report(
            seq=next(numbers),
            start=int(start.timestamp()),
            slot=60,
            observed=[60] * minutes,
            cells=[(0, 0, 0, passages)] if passages else [],
        )
        outcome = write_batch(city.connection, [message(one)], now=datetime.now(UTC))
        assert outcome.stored == 1

    return send


def version(api: Api, **asked: Any) -> tuple[str, str | None]:
    """Tag and date of an answer."""
    response = api.get(PATH, **{**ASKED, **asked})
    assert response.status_code == 200, response.text
    return response.headers["ETag"], response.headers.get("Last-Modified")


def later(city: City) -> None:
    """What follows is more than a second later by the clocks of the tables: all that was done so far is moved back."""
    for table, column in (
        ("coverage_hour", "changed"), ("coverage_span", "changed"), ("stream", "touched"), ("remark", "changed"),
    ):  # fmt: skip
        city.connection.execute(f"UPDATE {table} SET {column} = {column} - interval '10 seconds'")
    with city.connection.transaction():
        city.connection.execute("SET LOCAL session_replication_role = replica")  # no trigger
        for table in ("station", "area", "sensor"):
            city.connection.execute(f"UPDATE {table} SET changed = changed - interval '10 seconds'")


def test_only_reports_of_the_time_asked_about_change_an_answer(city: City, api: Api, send: Report) -> None:
    """Late data inside changes tag and date, by an hour as by a quarter of one; outside it changes neither."""
    send(NOON + timedelta(minutes=20), 300)
    roll_up(city.connection, api.now)
    later(city)
    before, quarters = version(api), version(api, **QUARTERS)

    send(NOON - timedelta(hours=1), 60)
    send(NOON + timedelta(hours=6), 60)
    roll_up(city.connection, api.now)

    assert version(api) == before
    assert version(api, **QUARTERS) == quarters

    send(NOON)  # inside of the hours, before the quarters
    assert version(api)[0] != before[0]
    assert parsedate_to_datetime(version(api)[1] or "") > parsedate_to_datetime(before[1] or "")
    assert version(api, **QUARTERS)[0] == quarters[0]

    later(city)
    before = version(api)
    send(NOON + timedelta(minutes=330), passages=0)  # nobody, but measured
    assert version(api)[0] != before[0]
    assert version(api, **QUARTERS)[0] != quarters[0]


def test_what_a_hand_corrects_changes_an_answer(city: City, api: Api, send: Report) -> None:
    """Another number for the same measured time is another answer, in a short one as in one of several pieces."""
    send(NOON, 120)
    long = {"from_": "2026-03-09T00:00Z", "to": "2026-03-17T00:00Z", "resolution": "1min", "format": "csv"}
    before, several = version(api), version(api, **long)

    city.connection.execute("UPDATE count_minute SET count = 5")

    assert version(api)[0] != before[0]
    assert version(api, **long)[0] != several[0]


def test_summing_up_changes_nothing(city: City, api: Api, send: Report) -> None:
    """Neither the first time nor after late data: the numbers are the same."""
    send(NOON, 120)
    later(city)
    before = version(api), version(api, **QUARTERS)

    assert roll_up(city.connection, api.now).changed == 2
    assert (version(api), version(api, **QUARTERS)) == before

    send(NOON + timedelta(minutes=130), 10)
    later(city)
    before = version(api), version(api, **QUARTERS)
    assert roll_up(city.connection, api.now).changed == 1
    assert (version(api), version(api, **QUARTERS)) == before


def test_spans_change_the_answers_they_touch(city: City, markt: int, api: Api) -> None:
    """Inside, and across the end; one beyond changes nothing."""
    before = version(api)

    city.span(markt, NOON + timedelta(hours=7), NOON + timedelta(hours=8), {0: 3})
    assert version(api) == before
    city.span(markt, NOON + timedelta(hours=1), NOON + timedelta(hours=2), {0: 3})
    inside = version(api)
    assert inside[0] != before[0]
    city.span(markt, NOON + timedelta(hours=5), NOON + timedelta(hours=7), {0: 3})
    assert version(api)[0] not in {before[0], inside[0]}


def _move(city: City, key: int) -> None:
    city.connection.execute("UPDATE installation SET valid_to = %s WHERE sensor = %s", [NOON + timedelta(hours=1), key])


def _remark(city: City, _: int) -> None:
    city.remark(NOON - timedelta(days=1), None, "Gerüst", station="markt")


def _remark_on_the_area(city: City, _: int) -> None:
    city.remark(NOON, None, "Gerüst", area="zentrum", excludes=True)


def _labels(city: City, _: int) -> None:
    city.labels("markt", NOON - timedelta(days=1), "Nord", "Süd")


def _end_of_a_remark(city: City, _: int) -> None:
    city.connection.execute(
        "UPDATE remark SET ends = %s, changed = now() WHERE text = 'alt'", [NOON - timedelta(hours=1)]
    )


def _withdrawal(city: City, _: int) -> None:
    city.connection.execute("UPDATE remark SET withdrawn = now(), withdrawn_why = 'Irrtum', changed = now()")


def _place(city: City, _: int) -> None:
    city.connection.execute("UPDATE station SET longitude = 11.6 WHERE id = 'markt'")


@pytest.mark.parametrize(
    "change", [_move, _remark, _remark_on_the_area, _labels, _end_of_a_remark, _withdrawal, _place]
)
def test_what_is_known_of_the_place_changes_its_answers(
    city: City, markt: int, api: Api, change: Callable[[City, int], None]
) -> None:
    """Moves, labels and remarks, were they ended before the time: tag and date are others."""
    city.area("zentrum", "markt")
    city.remark(NOON - timedelta(days=2), None, "alt", station="markt")
    later(city)
    before = version(api)

    change(city, markt)

    after = version(api)
    assert after[0] != before[0]
    assert parsedate_to_datetime(after[1] or "") > parsedate_to_datetime(before[1] or "")


def test_what_is_known_of_another_time_or_place_is_not_seen(city: City, markt: int, api: Api) -> None:
    """A remark that begins afterwards, or is on another station, and another station's sensor."""
    other = city.counter("kirche")
    later(city)
    before = version(api)

    city.remark(NOON + timedelta(hours=6), None, "später", station="markt")
    city.remark(NOON, None, "anderswo", station="kirche")
    city.remark(NOON, None, "anderswo", sensor=other)
    city.labels("kirche", NOON, "Nord", "Süd")

    assert version(api) == before


def test_an_area_is_its_stations(city: City, markt: int, api: Api) -> None:
    """A station that comes to lie in it changes its answers; so does what the station counts."""
    kirche = city.counter("kirche")
    city.area("zentrum", "markt")
    later(city)

    def area() -> httpx.Response:
        return api.get("/api/v1/counts", **ASKED, area="zentrum")

    before = area()
    city.connection.execute("INSERT INTO station_area VALUES ('kirche', 'zentrum')")
    joined = area()
    city.span(kirche, NOON, NOON + timedelta(hours=1), {0: 1})
    counted = area()

    assert len({response.headers["ETag"] for response in (before, joined, counted)}) == 3
    assert joined.headers["Last-Modified"] != before.headers["Last-Modified"]


def test_the_same_goes_for_each_question(api: Api, markt: int) -> None:
    """Another format, zone, split or page of remarks has another tag."""
    asked: list[dict[str, str]] = [
        {}, {"format": "csv"}, {"format": "csv", "remarks": "column"}, {"tz": "UTC"}, {"split": "direction"},
        {"split": "direction,class"}, {"resolution": "30min"}, {"to": "2026-03-10T17:00Z"},
    ]  # fmt: skip
    tags = [version(api, **one)[0] for one in asked]

    assert len(set(tags)) == len(asked)
    assert [version(api, **one)[0] for one in asked] == tags


def test_who_has_the_answer_is_told_so(city: City, api: Api, send: Report) -> None:
    """By tag or by date; where both are sent the tag decides. What cannot be read as a date is no date."""
    send(NOON, 60)
    tag, date = version(api)
    assert date is not None
    earlier = format_datetime(parsedate_to_datetime(date) - timedelta(seconds=1), usegmt=True)

    def status(**headers: str) -> int:
        return api.get(PATH, headers={k.replace("_", "-"): v for k, v in headers.items()}, **ASKED).status_code

    assert status(If_None_Match=f'"other", {tag}') == 304
    assert status(If_None_Match="*") == 304
    assert status(If_Modified_Since=date) == 304
    assert status(If_Modified_Since=earlier) == 200
    assert status(If_None_Match='"other"', If_Modified_Since=date) == 200
    assert status(If_Modified_Since="gestern") == 200
    unchanged = api.get(PATH, headers={"If-None-Match": tag}, **ASKED)
    assert (unchanged.content, unchanged.headers["ETag"], unchanged.headers["Last-Modified"]) == (b"", tag, date)
    assert unchanged.headers["Cache-Control"] == "public, no-cache"


def test_a_date_is_told_once_it_is_sure(city: City, api: Api, send: Report) -> None:
    """Not within a minute of a change: others of the same second may still be under way. Never before the change."""
    began = datetime.now(UTC)
    send(NOON, 60)
    api.now = datetime.now(UTC) + timedelta(seconds=30)
    assert version(api)[1] is None

    api.now += timedelta(seconds=60)
    date = parsedate_to_datetime(version(api)[1] or "")
    assert date >= began
    assert date.microsecond == 0


def test_time_passes_only_where_it_matters(city: City, api: Api, send: Report) -> None:
    """Gaps become final hour by hour, fourteen days after; what was measured as a whole was final at once."""
    send(NOON, 6 * 60)
    whole = {**ASKED}
    gaps = {"from_": "2026-03-10T18:00Z", "to": "2026-03-11T00:00Z"}
    tags: list[tuple[str, str]] = []
    for after in (timedelta(hours=13), timedelta(days=10), timedelta(days=14, hours=8), timedelta(days=15)):
        api.now = NOON + after
        tags.append((version(api, **whole)[0], version(api, **gaps)[0]))

    assert len({tag for tag, _ in tags}) == 1
    assert [tag for _, tag in tags].index(tags[1][1]) == 0  # nothing was final yet
    assert len({tag for _, tag in tags}) == 3


def test_a_restored_store_has_other_tags(city: City, api: Api, send: Report) -> None:
    """Another life of the database may have come to the same sums in another way."""
    send(NOON)
    before = version(api)

    city.connection.execute("UPDATE store SET epoch = gen_random_uuid()")

    assert version(api)[0] != before[0]


def test_minutes_that_were_removed_are_seen_by_those_who_ask_for_them(city: City, api: Api, send: Report) -> None:
    """Hours stay as they are; finer answers change, and have no date."""
    send(NOON, 120)
    roll_up(city.connection, api.now)
    hours, quarters = version(api), version(api, **QUARTERS)

    city.remove_minutes(NOON + timedelta(hours=2))

    assert version(api) == hours
    assert version(api, **QUARTERS)[0] != quarters[0]
    assert version(api, **QUARTERS)[1] is None


def test_a_direction_that_is_counted_for_the_first_time_is_seen_in_answers_by_direction(
    city: City, markt: int, api: Api, send: Report
) -> None:
    """The station has it from then on, and its earlier answers too; sums are what they were."""
    send(NOON, 5)
    split, whole = version(api, **ASKED, split="direction"), version(api, **ASKED)
    later = city.sensor("markt-2", (2,))
    city.install(later, "markt", since=NOON + timedelta(days=30))
    assert version(api, **ASKED, split="direction")[0] != split[0]
    assert version(api, **ASKED)[0] == whole[0]
