"""Large answers: sent as they are worked out, in large pieces, with memory that does not grow."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from footfall_api import counts, routes
from footfall_testing.city import Api, City

TEXTS = ("csv", "csv-de", "json", "geojson")


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Intervals are worked out 500 at a time, nothing is too large, and the sizes of what was worked out are noted."""
    monkeypatch.setattr("footfall_api.counts.PIECE_INTERVALS", 500)
    for name in ("footfall_api.question.MAX_FEATURES", "footfall_api.routes.PAGE_INTERVALS"):
        monkeypatch.setattr(name, 10**9)
    sizes: list[int] = []

    async def noting(*arguments: Any, **words: Any) -> AsyncGenerator[counts.Block, None]:
        async for block in counts.blocks(*arguments, **words):
            sizes.append(len(block.edges_s) - 1)
            yield block

    monkeypatch.setattr(routes, "blocks", noting)
    return sizes


def stream(api: Api, query: str, each: Callable[[bytes], None]) -> None:
    """Ask for counts and hand on each piece as the server sends it."""

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif message["body"]:
            each(message["body"])

    path = "/api/v1/stations/markt/counts"
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "scheme": "http",
             "method": "GET", "path": path, "query_string": query.encode(), "headers": []}  # fmt: skip
    api.run(api.app(scope, receive, send))


@pytest.mark.parametrize("format_", [*TEXTS, "parquet"])
def test_the_first_bytes_leave_before_the_rest_is_worked_out(
    city: City, api: Api, worked_out: list[int], format_: str
) -> None:
    """After the first part of the intervals something is on its way."""
    city.counter("markt")
    before: list[int] = []

    stream(
        api,
        f"from=2026-06-01&to=2026-06-03&resolution=1min&split=direction&format={format_}",
        lambda _: before.append(len(worked_out)),
    )

    assert before[0] == 1
    assert before[-1] == len(worked_out) == 6


def test_the_first_of_several_pieces_is_short(
    city: City, api: Api, worked_out: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for much does not wait for much; what fits into one piece is one."""
    monkeypatch.setattr("footfall_api.counts.FIRST_INTERVALS", 100)
    city.counter("markt")

    stream(api, "from=2026-05-20&to=2026-05-21&resolution=1min&format=csv", len)
    assert worked_out == [100, 500, 500, 340]

    worked_out.clear()
    stream(api, "from=2026-05-20&to=2026-05-25&resolution=15min&format=csv", len)
    assert worked_out == [480]


def test_a_short_answer_is_read_once(city: City, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tag is made from the counts that it has itself, read in the same state of the database."""
    city.minutes(city.counter("markt"), datetime(2026, 5, 20, 12, tzinfo=UTC), 60, {0: 1})
    read: list[Any] = []
    tally = counts.tally

    async def noting(connection: Any, *arguments: Any) -> Any:
        read.append(connection)
        return await tally(connection, *arguments)

    monkeypatch.setattr(counts, "tally", noting)
    values = api.counts("markt", from_="2026-05-20T12:00Z", to="2026-05-20T13:00Z")

    assert [value["count"] for value in values] == [60]
    assert len(read) == 1


def test_the_rows_of_a_piece_are_limited(
    city: City, api: Api, worked_out: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The more columns an answer has, the fewer intervals are worked out at a time."""
    monkeypatch.setattr("footfall_api.counts.PIECE_CELLS", 200)
    city.counter("markt")

    stream(api, "from=2026-05-20&to=2026-05-21&resolution=1min&format=csv", len)
    assert max(worked_out) == 200

    worked_out.clear()
    stream(api, "from=2026-05-20&to=2026-05-21&resolution=1min&format=csv&split=direction", len)
    assert max(worked_out) == 100


def test_pieces_are_large(city: City, api: Api, worked_out: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """64 kB at least, the last one of each part excepted."""
    monkeypatch.setattr("footfall_api.counts.PIECE_INTERVALS", 5000)
    city.counter("markt")
    for format_ in TEXTS:
        pieces: list[bytes] = []

        stream(api, f"from=2026-06-01&to=2026-06-08&resolution=1min&format={format_}", pieces.append)

        small = [piece for piece in pieces if len(piece) < 65_536]
        assert len(small) <= 4, format_  # three parts and the end
        assert len(b"".join(pieces)) > 7 * 1440 * 80


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_memory_does_not_grow_with_the_answer(
    city: City, api: Api, worked_out: list[int], monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    """Ten times the answer takes as much at its peak, but for the index that Parquet ends with."""
    import footfall_api.parquet  # noqa: F401  # what an import takes is no part of an answer

    monkeypatch.setattr("footfall_api.counts.PIECE_INTERVALS", 300)
    monkeypatch.setattr("footfall_api.parquet.ROW_GROUP", 300)
    key = city.counter("markt")
    city.remark(api.now, None, "Gerüst", sensor=key)

    def peak(to: str) -> tuple[int, int]:
        sent: list[int] = []
        arrow: list[int] = []

        def each(piece: bytes) -> None:
            sent.append(len(piece))
            arrow.append(pa.total_allocated_bytes())  # which Python does not see

        gc.collect()
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        stream(api, f"from=2026-05-20&to={to}&resolution=1min&format={format_}", each)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most + max(arrow) - before, sum(sent)

    peak("2026-05-20T05:00")  # caches fill
    small, some = peak("2026-05-20T12:00")
    large, much = peak("2026-05-25")

    assert much > (1 if format_ == "parquet" else 9) * some
    index = 3000 * (5 * 1440 // 300) if format_ == "parquet" else 0  # for each row group
    assert large - index < 1.3 * small


def test_parquet_gathers_blocks_to_row_groups(
    city: City, api: Api, worked_out: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first part by itself, so that it leaves early; then as many rows as make reading worthwhile."""
    monkeypatch.setattr("footfall_api.parquet.ROW_GROUP", 1500)
    city.counter("markt")
    pieces: list[bytes] = []

    stream(api, "from=2026-06-01&to=2026-06-04&resolution=1min&format=parquet", pieces.append)

    file = pq.ParquetFile(pa.BufferReader(b"".join(pieces)))
    rows = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    assert rows == [500, 1500, 1500, 820]
    assert len(pieces) == 4  # the footer comes with the last
    starts = file.read(["interval_start"]).column(0).to_pylist()
    assert starts == sorted(set(starts))
    assert len(starts) == 4320
