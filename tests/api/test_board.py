"""The board: today and the last hour of every station, and the feed that keeps it up to date."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from footfall_api import feed as feed_module
from footfall_api import live
from footfall_api.board import Board, StationBoard
from footfall_api.clients import Seats
from footfall_api.feed import LEAST_INTERVAL_S, BoardFeed, Subscription
from footfall_api.live import EventStream, events
from footfall_api.settings import ApiSettings
from footfall_testing.city import NOW, Api, City

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 6, 10, tzinfo=BERLIN)


def board_of(api: Api) -> Board:
    """The board as it is now."""
    feed: BoardFeed = api.app.state.feed
    feed._read_at -= 10  # what was read before this line is too old
    found: Board = api.run(feed.current())
    return found


def station_of(api: Api, name: str = "markt") -> StationBoard:
    """One station on the board."""
    return next(station for station in board_of(api).stations if station.id == name)


def test_the_board_has_today_and_the_last_hour(city: City, api: Api) -> None:
    """Since local midnight, and 60 minutes of which the last one is running, by direction and with state."""
    key = city.counter("markt")
    city.minutes(key, MIDNIGHT - timedelta(minutes=5), 5, {0: 100})  # yesterday's
    city.minutes(key, MIDNIGHT, 14 * 60 - 10, {0: 2, 1: 1})
    city.minutes(key, NOW - timedelta(minutes=10), 5)
    city.minutes(key, NOW - timedelta(minutes=5), 4, observed_s=0)
    api.now = NOW + timedelta(seconds=30)
    city.minutes(key, NOW, 1, {1: 3}, observed_s=30)

    station = station_of(api)

    assert (station.id, station.name, station.timezone) == ("markt", "Markt", "Europe/Berlin")
    assert station.directions == ("in", "out")
    assert dict(station.today.counts) == {"in": 2 * 830, "out": 830 + 3}
    assert station.today.count == 2 * 830 + 830 + 3
    assert (station.today.start, station.today.end) == (MIDNIGHT, MIDNIGHT + timedelta(days=1))
    assert (station.today.state, station.today.coverage, station.today.final) == ("measured", 0.994, False)
    assert station.minutes[0].start == NOW - timedelta(minutes=59)
    assert [m.end - m.start for m in station.minutes] == [timedelta(minutes=1)] * 60
    assert [(dict(m.counts), m.state, m.reason) for m in station.minutes[48:]] == [
        *[({"in": 2, "out": 1}, "measured", None)],
        *[({"in": 0, "out": 0}, "measured", None)] * 5,
        *[({"in": None, "out": None}, "missing", "silent")] * 4,
        ({"in": None, "out": None}, "missing", "not_reported"),
        ({"in": 0, "out": 3}, "measured", None),
    ]
    assert station.minutes[-1].coverage == 1.0
    assert station.updated == NOW + timedelta(seconds=30)
    assert station.last_day is None


def test_the_board_says_what_the_api_says(city: City, api: Api) -> None:
    """Today on the board is the day in the counts, and its minutes are the minutes there."""
    key = city.counter("markt")
    city.minutes(key, MIDNIGHT + timedelta(hours=3), 600, {0: 1}, observed_s=50)
    city.span(key, MIDNIGHT + timedelta(hours=1), MIDNIGHT + timedelta(hours=2), {1: 40})
    city.span(key, MIDNIGHT - timedelta(hours=1), MIDNIGHT + timedelta(hours=1), {1: 70})

    station = station_of(api)
    (day,) = api.counts("markt", resolution="1d")
    minutes = api.counts(
        "markt",
        resolution="1min",
        from_=(NOW - timedelta(minutes=59)).isoformat(),
        to=(NOW + timedelta(minutes=1)).isoformat(),
    )

    def plain(value: dict[str, Any]) -> list[Any]:
        return [value[name] for name in ("start", "end", "count", "coverage", "state", "reason", "final")]

    assert plain(station.today.as_json()) == plain(day)
    assert [plain(minute.as_json()) for minute in station.minutes] == [plain(value) for value in minutes]
    assert day["count"] == 640


@pytest.mark.parametrize(
    ("midnight", "hours"),
    [(datetime(2026, 3, 29, tzinfo=BERLIN), 23), (datetime(2025, 10, 26, tzinfo=BERLIN), 25)],
)
def test_today_is_whole_when_clocks_change(city: City, api: Api, midnight: datetime, hours: int) -> None:
    """From midnight to midnight, 23 or 25 hours; the last hour runs through the change without a hole."""
    begin = midnight.astimezone(UTC)
    key = city.counter("markt")
    city.minutes(key, begin, hours * 60, {0: 1})

    api.now = midnight.replace(tzinfo=UTC) + timedelta(hours=1, minutes=30, seconds=30)  # they change at 01:00 UTC
    through = station_of(api)
    api.now = begin + timedelta(hours=hours) - timedelta(seconds=1)
    evening = station_of(api)

    assert [minute.count for minute in through.minutes] == [1] * 60
    assert through.minutes[0].start.utcoffset() != through.minutes[-1].start.utcoffset()
    assert evening.today.count == hours * 60
    assert evening.today.end.astimezone(UTC) - evening.today.start.astimezone(UTC) == timedelta(hours=hours)


def test_today_is_each_stations_own_day(city: City, api: Api) -> None:
    """At two in the afternoon in Jena it is tomorrow in Auckland."""
    for name, zone in (("markt", "Europe/Berlin"), ("queen-street", "Pacific/Auckland")):
        key = city.counter(name, timezone=zone)
        city.minutes(key, datetime(2026, 6, 10, 11, 0, tzinfo=UTC), 60, {0: 1})
    api.now = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)

    assert station_of(api, "markt").today.count == 60
    assert station_of(api, "queen-street").today.count is None
    api.now = datetime(2026, 6, 10, 11, 59, tzinfo=UTC)
    assert station_of(api, "queen-street").today.count == 60


def test_an_imported_past_shows_its_last_day(city: City, api: Api) -> None:
    """A station that measured nothing today says when it did last, and how many that day."""
    key = city.counter("queen-street", timezone="Pacific/Auckland")
    last = datetime(2024, 12, 31, tzinfo=ZoneInfo("Pacific/Auckland"))
    for hour in range(24):
        start = last.astimezone(UTC) + timedelta(hours=hour)
        city.span(key, start, start + timedelta(hours=1), {0: 10, 1: 1}, observed_s=3600)
    city.span(key, last + timedelta(days=1), last + timedelta(days=1, hours=1))  # a hole, reported as such

    station = station_of(api, "queen-street")

    assert station.today.state == "missing"
    assert station.updated == last + timedelta(days=1)
    assert station.last_day is not None
    assert (station.last_day.start, station.last_day.count, station.last_day.state) == (last, 264, "measured")
    assert dict(station.last_day.counts) == {"in": 240, "out": 24}


def test_a_station_that_fell_silent_this_morning_has_its_today(city: City, api: Api) -> None:
    """Measured last hours ago, but today: the day's count stands, and the time of the last measurement."""
    key = city.counter("markt")
    city.minutes(key, MIDNIGHT + timedelta(hours=6), 60, {0: 1})

    station = station_of(api)

    assert (station.today.count, station.today.state) == (60, "partial")
    assert station.updated == MIDNIGHT + timedelta(hours=7)
    assert station.last_day is None


def test_a_station_that_never_counted_says_so(city: City, api: Api) -> None:
    """No time, no day, no zeros."""
    city.counter("neu")
    city.station("leer")

    assert (station_of(api, "neu").updated, station_of(api, "neu").last_day) == (None, None)
    assert station_of(api, "leer").today.reason == "not_installed"
    assert dict(station_of(api, "leer").today.counts) == {"in": None, "out": None}


def test_reference_sensors_are_not_on_the_board(city: City, api: Api) -> None:
    """The board shows the sum of the parts."""
    key = city.counter("markt")
    city.minutes(key, MIDNIGHT, 10, {0: 1})
    check = city.sensor("markt-check")
    city.install(check, "markt", role="reference")
    city.minutes(check, MIDNIGHT, 60, {0: 50})

    assert station_of(api).today.count == 10
    assert station_of(api).updated == MIDNIGHT + timedelta(minutes=10)


def test_labels_are_those_of_now(city: City, api: Api) -> None:
    """Neither the ones of before nor those to come."""
    city.counter("markt")
    for when, text in (
        (NOW - timedelta(days=9), "old"),
        (NOW - timedelta(days=1), "now"),
        (NOW + timedelta(days=1), "new"),
    ):
        city.labels("markt", when, f"{text} in", f"{text} out")

    assert station_of(api).labels == {"in": "now in", "out": "now out"}


def test_the_board_in_json_has_the_minutes_in_columns(city: City, api: Api) -> None:
    """All columns are as long, begin with the first minute, and say the same as the readings."""
    key = city.counter("markt")
    city.minutes(key, NOW - timedelta(minutes=30), 30, {0: 2})
    board = board_of(api)

    content = json.loads(json.dumps(board.as_json()))
    minutes = content["stations"][0]["minutes"]

    assert content["at"] == "2026-06-10T12:00:00+00:00"
    assert minutes["start"] == "2026-06-10T13:01:00+02:00"
    assert minutes["step_s"] == 60
    assert minutes["counts"]["in"] == [m.counts["in"] for m in board.stations[0].minutes]
    assert minutes["state"] == [m.state for m in board.stations[0].minutes]
    assert {
        len(column)
        for column in [
            *minutes["counts"].values(),
            *(minutes[name] for name in ("count", "coverage", "state", "reason", "final")),
        ]
    } == {60}
    assert content["stations"][0]["today"]["counts"] == {"in": 60, "out": 0}


# -- the feed ---------------------------------------------------------------------------------------------------


@pytest.fixture
def listening(city: City, local_settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API, whose feed listens for commits. It looks for nothing else: what comes, comes of a commit."""
    monkeypatch.setattr(feed_module, "TICK_S", 1000.0)
    with Api(local_settings) as api:
        api.until(lambda: _listeners(city), what="somebody to listen for commits")
        yield api


def _listeners(city: City) -> list[int]:
    rows = city.connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'footfall-api' AND query LIKE 'LISTEN %' "
        "AND datname = current_database()"
    )
    return [row[0] for row in rows.fetchall()]


def test_a_commit_reaches_whoever_watches(city: City, listening: Api) -> None:
    """The station that changed is named, long before the next regular look; others are not."""
    key = city.counter("markt")
    city.counter("saal")
    feed: BoardFeed = listening.app.state.feed
    listening.run(feed.current())

    with feed.subscribe() as watcher:
        city.minutes(key, NOW - timedelta(minutes=2), 1, {0: 7})
        city.receive(key)

        assert listening.run(watcher.wait(30))
        assert watcher.take() == ({"markt"}, False)
        (station,) = feed.latest({"markt"})[1]
        assert station.today.count == 7


def test_a_commit_before_the_first_watcher_is_not_missed(city: City, listening: Api) -> None:
    """While nobody watches nothing is read; whoever comes gets what happened meanwhile."""
    key = city.counter("markt")
    feed: BoardFeed = listening.app.state.feed
    listening.run(feed.current())
    number = feed.number
    city.minutes(key, NOW - timedelta(minutes=2), 1, {0: 7})
    city.receive(key)
    listening.run(asyncio.sleep(0.2))
    assert feed.number == number, "nobody watches"

    with feed.subscribe() as watcher:
        assert listening.run(watcher.wait(30))
        assert watcher.take() == ({"markt"}, False)


def test_many_commits_are_few_readings(city: City, listening: Api) -> None:
    """The board is read once a second at most, and the last commit is in it."""
    key = city.counter("markt")
    feed: BoardFeed = listening.app.state.feed
    listening.run(feed.current())
    number, begun = feed.number, time.monotonic()

    with feed.subscribe() as watcher:
        for minute in range(2, 32):
            city.minutes(key, NOW - timedelta(minutes=minute), 1, {0: 1})
            city.receive(key)
            listening.run(asyncio.sleep(0))
        listening.until(lambda: feed.latest({"markt"})[1][0].today.count == 30, what="all 30")

    assert feed.number - number <= 2 + (time.monotonic() - begun) / LEAST_INTERVAL_S
    assert watcher.take() == ({"markt"}, False)


def test_listening_survives_the_loss_of_the_connection(city: City, listening: Api) -> None:
    """It is made again, counted, and what was committed meanwhile is seen."""
    key = city.counter("markt")
    feed: BoardFeed = listening.app.state.feed
    listening.run(feed.current())

    with feed.subscribe() as watcher:
        (before,) = _listeners(city)
        city.connection.execute("SELECT pg_terminate_backend(%s)", [before])
        city.minutes(key, NOW - timedelta(minutes=2), 1, {0: 7})
        city.receive(key)
        listening.until(lambda: _listeners(city) not in ([], [before]), what="a new connection")
        assert listening.run(watcher.wait(30))
        assert watcher.take() == ({"markt"}, False)

        city.minutes(key, NOW - timedelta(minutes=3), 1, {0: 1})
        city.receive(key)
        assert listening.run(watcher.wait(30))

    assert listening.telemetry.registry.get_sample_value("footfall_listen_reconnects_total") == 1


def test_a_board_that_cannot_be_read_is_read_when_it_can(city: City, listening: Api) -> None:
    """A failure is counted, and the next commit after it comes through."""
    key = city.counter("markt")
    feed: BoardFeed = listening.app.state.feed
    listening.run(feed.current())

    with feed.subscribe() as watcher:
        city.connection.execute("UPDATE station SET timezone = 'Europe/Jena'")
        city.receive(key)
        failures = "footfall_board_read_failures_total"
        listening.until(lambda: listening.telemetry.registry.get_sample_value(failures), what="a failure")
        city.connection.execute("UPDATE station SET timezone = 'Europe/Berlin', name = 'Marktplatz'")
        city.receive(key)
        assert listening.run(watcher.wait(30))
        assert watcher.take() == ({"markt"}, False)


def test_a_reader_who_leaves_in_the_middle_does_not_swallow_the_news(city: City, listening: Api) -> None:
    """A reading that was cut short has not happened."""
    key = city.counter("markt")
    feed: BoardFeed = listening.app.state.feed
    listening.run(feed.current())
    feed._read_at -= 10

    async def leave_at_once() -> None:
        reading = asyncio.ensure_future(feed.current())
        for _ in range(3):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    with feed.subscribe() as watcher:
        city.minutes(key, NOW - timedelta(minutes=2), 1, {0: 7})
        listening.run(leave_at_once())
        assert listening.run(watcher.wait(30))
        assert watcher.take() == ({"markt"}, False)


def test_a_station_that_comes_makes_the_board_new(city: City, listening: Api) -> None:
    """Whoever watches everything gets everything again."""
    city.counter("markt")
    feed: BoardFeed = listening.app.state.feed
    listening.run(feed.current())

    with feed.subscribe() as watcher:
        city.receive(city.counter("saal"))
        assert listening.run(watcher.wait(30))
        assert watcher.take() == ({"saal"}, True)


def test_a_slow_watcher_holds_a_set_not_a_queue() -> None:
    """However often stations change, what is pending is no more than their names; unwanted ones wake nobody."""

    async def scenario() -> None:
        watcher = Subscription(frozenset({"markt"}))
        watcher.changed({"saal"}, whole=False)
        assert not await watcher.wait(0.01)
        for _ in range(1000):
            watcher.changed({"markt", "saal"}, whole=False)
        assert await watcher.wait(1)
        assert watcher.take() == ({"markt"}, False)
        assert not await watcher.wait(0.01)

    asyncio.run(scenario())


# -- the stream, without a network ------------------------------------------------------------------------------


def test_a_heartbeat_comes_while_nothing_happens(city: City, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment, which clients pass over, keeps the line open."""
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    city.counter("markt")
    feed: BoardFeed = api.app.state.feed

    async def first_four() -> list[str]:
        with feed.subscribe() as watcher:
            stream = events(feed, watcher)
            return [await anext(stream) for _ in range(4)]

    retry, board, *beats = api.run(first_four())

    assert retry == "retry: 3000\n\n"
    assert board.startswith("event: board\nid: 1\ndata: {")
    assert beats == [": still here\n\n"] * 2


def test_the_first_board_is_not_said_twice(city: City, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed before somebody came is in the board, and is no change after it."""
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    key = city.counter("markt")
    feed: BoardFeed = api.app.state.feed
    api.run(feed.current())
    feed._read_at -= 10
    city.minutes(key, NOW - timedelta(minutes=2), 1, {0: 7})

    async def first_three() -> list[str]:
        with feed.subscribe() as watcher:
            stream = events(feed, watcher)
            return [await anext(stream) for _ in range(3)]

    _, board, after = api.run(first_three())

    assert '"in":7' in board
    assert after == ": still here\n\n"


def test_a_client_that_does_not_read_is_let_go(city: City, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its subscription goes with it, it is counted, and whoever has its connection hears that it is to be cut."""
    monkeypatch.setattr(live, "SEND_TIMEOUT_S", 0.05)
    city.counter("markt")
    feed: BoardFeed = api.app.state.feed

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    with pytest.raises(ConnectionAbortedError):
        api.run(asyncio.wait_for(EventStream(feed, None, api.telemetry, Seats(1, 1))({}, receive, send), 30))

    assert feed.watchers == 0
    assert api.telemetry.registry.get_sample_value("footfall_live_dropped_clients_total") == 1


def test_a_client_that_leaves_is_forgotten_at_once(city: City, api: Api) -> None:
    """Long before the next heartbeat."""
    city.counter("markt")
    feed: BoardFeed = api.app.state.feed
    sent: list[Any] = []

    board_is_there = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await board_is_there.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 3:  # the head, how to come back, the board
            board_is_there.set()

    async def leaves() -> bool:
        stream = asyncio.ensure_future(EventStream(feed, None, api.telemetry, Seats(1, 1))({}, receive, send))
        done, _ = await asyncio.wait({stream}, timeout=8)
        return bool(done)

    assert api.run(leaves())
    assert feed.watchers == 0
    assert api.telemetry.registry.get_sample_value("footfall_live_clients") == 0


def test_there_is_an_end_to_open_streams(city: City, api: Api) -> None:
    """When all places are taken the next one is told to come later."""
    api.app.state.seats.together = 0

    response = api.get("/api/v1/live")

    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    assert response.json()["type"] == "urn:footfall:problem:too-many-streams"


def test_an_unknown_station_cannot_be_followed(city: City, api: Api) -> None:
    """A typing error would otherwise be a stream that never says anything."""
    city.counter("markt")

    response = api.get("/api/v1/live", station="mrakt")

    assert (response.status_code, response.json()["parameter"]) == (422, "station")


def test_the_pool_only_reads(city: City, api: Api) -> None:
    """A connection of the API cannot write, not even by mistake."""

    async def write() -> None:
        async with api.app.state.pool.connection() as connection:
            await connection.execute("DELETE FROM station")

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        api.run(write())


def test_the_board_does_not_show_what_is_excluded(city: City, api: Api) -> None:
    """Behind a scaffold since midnight: the minutes say so, and the last measurement is that of before."""
    key = city.counter("markt")
    city.minutes(key, MIDNIGHT - timedelta(hours=20), 60, {0: 3})
    city.minutes(key, MIDNIGHT + timedelta(hours=1), 13 * 60)
    city.exclude(MIDNIGHT, station="markt")
    api.now = NOW + timedelta(seconds=30)

    station = station_of(api)

    assert {(m.count, m.state, m.reason) for m in station.minutes} == {(None, "missing", "excluded")}
    assert (station.today.count, station.today.reason) == (None, "excluded")
    assert station.updated == MIDNIGHT - timedelta(hours=19)
    assert station.last_day is not None
    assert station.last_day.count == 180


def test_the_last_measurement_outlives_its_minutes(city: City, api: Api) -> None:
    """Where only the sums by the hour are left the board knows the hour."""
    city.minutes(city.counter("markt"), MIDNIGHT - timedelta(days=3), 30, {0: 2})
    city.remove_minutes(MIDNIGHT)

    station = station_of(api)

    assert station.updated == MIDNIGHT - timedelta(days=3) + timedelta(hours=1)
    assert station.last_day is not None
    assert station.last_day.count == 60
