"""SensorThings on ten million Observations, beside a table that holds them all.

Asked over HTTP of the real process. The peer is what servers with a database do: one row for each Observation in the
same PostgreSQL, indexed by Datastream and time, asked by the SQL that the same question becomes there (``count(*)``,
``OFFSET``), without HTTP and without writing JSON.
"""

import contextlib
import http.client
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import psycopg

from bench import api, machine, servers
from bench.api import DAY_S, YEAR_DAYS, Client
from bench.measure import quantile, timed
from bench.result import Result

TITLE = "SensorThings on ten million Observations, beside a table of them"

SEED = 11
STREAMS = """
SELECT number, direction, seconds
FROM station, generate_series(0, 2) direction, unnest(ARRAY[900, 3600, 86400, 604800]) seconds
"""


@dataclass(frozen=True)
class Size:
    """How many stations with two directions, for how many years, and how often each question is asked."""

    years: int = 5
    stations: int = 16
    questions: int = 30
    keep: int = 0
    """1: leave the database there for the next run."""


TINY = Size(years=1, stations=1, questions=2)


def run(size: Size) -> Result:
    """On TimescaleDB if there is one, else on plain PostgreSQL."""
    result = Result("things", TITLE, vars(size))
    made = api.Size(years=size.years, stations=size.stations, fast=1, keep=size.keep)
    with servers.workplace() as folder, contextlib.ExitStack() as opened:
        server = servers.timescale() or opened.enter_context(servers.plain(folder))
        if not server.timescale:
            result.notes.append(f"On plain PostgreSQL: {servers.NO_TIMESCALE}.")
        if reason := api.no_room(made):
            result.skipped = reason
            return result
        result.servers[server.kind] = machine.database(server.maintenance)
        with (
            api.store(result, server, made, size.years, api.TINY_DAYS if size == TINY else YEAR_DAYS) as loaded,
            servers.api(folder / "things", loaded.dsn) as (port, _),
            psycopg.connect(loaded.dsn, autocommit=True) as connection,
        ):
            rows = _peer(connection, loaded.start, loaded.end)
            _ask(result, size, port, connection, rows=rows, end=loaded.end)
            connection.execute("DROP TABLE observation")
    return result


def _peer(connection: psycopg.Connection[Any], start: int, end: int) -> int:
    """The table of the peer: a row for each interval of each Datastream. How many that are."""
    connection.execute("DROP TABLE IF EXISTS observation")
    connection.execute(
        f"""
        CREATE TABLE observation AS
        SELECT row_number() OVER () AS id, number * 12 + direction * 4 + seconds %% 7 AS stream,
               to_timestamp(starts) AS starts, to_timestamp(starts + seconds) AS ends, (random() * 400)::int AS result,
               '{{"state": "measured", "coverage": 1.0, "final": true}}'::jsonb AS parameters
        FROM ({STREAMS}) stream, generate_series(%s::bigint, %s::bigint - seconds, seconds) starts
        """,  # of constants
        [start, end],
    )
    connection.execute("ALTER TABLE observation ADD PRIMARY KEY (id)")
    connection.execute("CREATE INDEX ON observation (stream, starts)")
    connection.execute("VACUUM ANALYZE observation")
    (rows,) = connection.execute("SELECT count(*) FROM observation").fetchone() or (0,)
    return int(rows)


def _ask(result: Result, size: Size, port: int, connection: psycopg.Connection[Any], *, rows: int, end: int) -> None:
    """Each question often, of both; Datastreams and days at random, the same for both."""
    rng, client = random.Random(SEED), Client(port)
    root = f"http://127.0.0.1:{port}/sta/v1.1"
    with urlopen(f"{root}/Observations?$count=true&$top=0") as answer:
        ours = json.loads(answer.read())["@iot.count"]
    result.figure("Observations of the service", "million", ours / 1e6)
    result.figure("rows of the peer's table", "million", rows / 1e6)
    deep = int(ours * 0.9)
    (first,) = connection.execute("SELECT min(stream) FROM observation").fetchone() or (0,)

    def day() -> str:
        begin = end // DAY_S * DAY_S - rng.randint(2, 300) * DAY_S
        moments = (
            datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (begin, begin + DAY_S)
        )
        return "phenomenonTime ge {} and phenomenonTime lt {}".format(*moments)

    def ask(path: str, **options: Any) -> Callable[[], float]:
        query = "&".join(f"${name}={quote(str(value), safe='')}" for name, value in options.items())
        return lambda: client.ask(f"/sta/v1.1/{path}" + (f"?{query}" if query else ""))

    def sql(text: str) -> Callable[[], float]:
        return lambda: timed(lambda: connection.execute(text).fetchall())

    def a_day() -> float:
        return ask("Datastreams(16)/Observations", filter=day())()

    one = f"FROM observation WHERE stream = {first}"
    questions: dict[str, tuple[Callable[[], float], Callable[[], float] | None]] = {
        "first page of all": (ask("Observations"), sql("SELECT * FROM observation ORDER BY id LIMIT 101")),
        "latest value of a Datastream": (
            ask("Datastreams(16)/Observations", orderby="phenomenonTime desc", top=1),
            sql(f"SELECT * {one} ORDER BY starts DESC LIMIT 1"),
        ),
        "latest values of all stations": (
            ask("Datastreams", filter="properties/layerName eq 'Anzahl_Fussgaenger_Zaehlstelle_1-Stunde'",
                expand="Observations($orderby=phenomenonTime desc;$top=1)"),
            None,
        ),
        "a day of a Datastream": (
            a_day,
            sql(f"SELECT * {one} AND starts >= to_timestamp({end}) - interval '100 days' "
                f"AND ends <= to_timestamp({end}) - interval '99 days' ORDER BY id LIMIT 101"),
        ),
        "$count of all": (ask("Observations/$count"), sql("SELECT count(*) FROM observation")),
        "$count of a year of all": (
            ask("Observations/$count", filter="phenomenonTime ge now() sub duration'P365D'"),
            sql(f"SELECT count(*) FROM observation WHERE starts >= to_timestamp({end}) - interval '365 days'"),
        ),
        "a page at nine tenths of all": (
            ask("Observations", skip=deep),
            sql(f"SELECT * FROM observation ORDER BY id OFFSET {int(rows * 0.9)} LIMIT 101"),
        ),
        "the same, by time": (
            ask("Observations", skip=deep, orderby="phenomenonTime desc"),
            sql(f"SELECT * FROM observation ORDER BY starts DESC OFFSET {int(rows * 0.9)} LIMIT 101"),
        ),
        "results over a limit, first page": (
            ask("Datastreams(16)/Observations", filter="result gt 300"),
            sql(f"SELECT * {one} AND result > 300 ORDER BY id LIMIT 101"),
        ),
    }  # fmt: skip
    for what, (mine, peers) in questions.items():
        mine()
        seconds = [mine() for _ in range(size.questions)]
        if client.status != http.client.OK:
            result.notes.append(f"{what}: NOT ANSWERED, status {client.status}.")
            continue
        result.figure(f"{what}, median", "ms", 1000 * quantile(seconds, 0.5))
        result.figure(f"{what}, slowest", "ms", 1000 * max(seconds))
        if peers is None:
            continue
        theirs = [peers() for _ in range(min(size.questions, 5))]
        result.figure(f"{what}, the peer", "ms", [1000 * one for one in theirs])
        if what in LIMITS:
            ratio = quantile(theirs, 0.5) / quantile(seconds, 0.5)
            result.at_least(f"{what}: times as fast as the peer", ratio, LIMITS[what])
    for what, limit in (("$count of all", 150), ("a page at nine tenths of all", 150)):
        for figure in result.figures:
            if figure.what == f"{what}, median":
                result.at_most(f"{what}: median", figure.spread.median, limit, unit="ms")


LIMITS = {"$count of all": 10, "a page at nine tenths of all": 10, "the same, by time": 10}
