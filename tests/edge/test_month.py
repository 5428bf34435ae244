"""A month without a network: it fits into the outbox as it is set, in full detail, and everything leaves afterwards."""

from pathlib import Path
from uuid import uuid4

import pytest

from footfall_contract.report import decode
from footfall_edge.clock import Moment
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.room import Room
from footfall_edge.settings import OutboxSettings
from footfall_edge.slots import Piece

NOON = 1_764_072_000
DAY = 86400
HOUR_SLOTS = 360
BYTES_A_DAY = 950_000
"""What docs/edge-box.md reckons with for a sensor with slots of 10 s, in 60 % of which people go in and out."""


def pieces_of(hour: int) -> tuple[Piece, ...]:
    """The slots of an hour after noon; in six of ten somebody goes in and somebody goes out."""
    start = NOON + 3600 * hour
    return tuple(
        Piece(start + 10 * n, 10, 10_000, ((0, 0, 1 + n % 3), (1, 0, 1 + n % 2)) if n % 10 < 6 else ())
        for n in range(HOUR_SLOTS)
    )


@pytest.mark.parametrize(("days", "sensors"), [(1, 2), pytest.param(31, 4, marks=pytest.mark.full)])
def test_days_without_a_network_wait_in_full_detail(tmp_path: Path, days: int, sensors: int) -> None:
    """They take no more than is reckoned with, nothing becomes coarser, each passage and second is sent in the end."""
    path = tmp_path / "outbox.sqlite"
    limit = OutboxSettings(path=path).max_mb * 10**6
    names = [f"markt-{place}" for place in range(sensors)]
    passed = 0
    with Outbox.open(path) as outbox:
        outbox._database.execute("PRAGMA synchronous = OFF")  # the test need not survive a power cut
        room = Room(outbox, path, limit)
        for hour in range(24 * days):
            pieces = pieces_of(hour)
            outbox.book([Entry(name, pieces, None) for name in names])
            passed += sensors * sum(count for piece in pieces for _, _, count in piece.passages)
            until = NOON + 3600 * (hour + 1)
            room.make(lambda _, until=until: until, Moment(1000 * until, 3600.0 * hour))  # type: ignore[misc]

        assert outbox.bytes_used() <= BYTES_A_DAY * days * sensors + 200_000
        assert outbox.bytes_used() <= limit
        kept = outbox._database.execute("SELECT DISTINCT length FROM slot WHERE waiting").fetchall()
        assert kept == [(10,)]

        sent = seconds = 0
        for name in names:
            reports = outbox.number(
                name, uuid4(), closed_until=NOON + 365 * DAY, every_s=10, most=100_000, now_s=NOON + days * DAY
            )
            for report in map(decode, (report.payload for report in reports)):
                sent += report.total
                seconds += sum(report.observed)

    assert sent == passed
    assert seconds == days * DAY * sensors


def test_what_is_reckoned_with_leaves_room_for_a_month() -> None:
    """For a dozen sensors on a box: they are as many as its sockets."""
    assert OutboxSettings(path=Path("x")).max_mb * 10**6 > 31 * 12 * BYTES_A_DAY
