"""What an edge does now and then, a little with each turn of its loop."""

from itertools import pairwise
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from edge.test_delivery import NOON, Line
from footfall_contract.notice import CommitNotice, StreamState
from footfall_edge.agent import Upkeep
from footfall_edge.clock import Moment
from footfall_edge.delivery import Delivery
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.publisher import Publisher
from footfall_edge.sensors import Sensors
from footfall_edge.settings import EdgeSettings
from footfall_edge.slots import Piece

STREAM = UUID(int=1)


def test_each_turn_forgets_a_little_until_all_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After days without a network there is much to forget; the loop has its turn in between, and all of it goes."""
    monkeypatch.setattr("footfall_edge.outbox.FORGOTTEN_AT_ONCE", 100)
    sensor = {"id": "markt-1", "driver": "reference", "port": "/dev/none"}
    settings = EdgeSettings(node="box-1", outbox={"path": tmp_path / "outbox.sqlite"}, sensor=[sensor])  # type: ignore[arg-type, list-item]
    publisher = cast("Publisher", Line())
    with Outbox.open(settings.outbox.path) as outbox:
        outbox.book([Entry("markt-1", tuple(Piece(NOON + 20 * n, 10, 10_000, ()) for n in range(350)), None)])
        outbox.number("markt-1", STREAM, closed_until=2**33, every_s=10, most=350, now_s=NOON)
        outbox.settle(CommitNotice(UUID(int=2), {"markt-1": (StreamState(STREAM, 350),)}), NOON)
        month_later = (NOON + 30 * 86_400) * 1000
        sensors = Sensors(settings.sensor, settings.report.slot_s, outbox, Moment(month_later, 0.0))
        delivery = Delivery("box-1", sensors.names, settings.report, outbox, publisher)
        upkeep = Upkeep(settings, outbox, publisher)

        def left() -> int:
            (slots,) = outbox._database.execute("SELECT count(*) FROM slot WHERE length > 0").fetchone()
            return int(slots) + outbox.tally().committed

        known = [left()]
        while known[-1]:
            upkeep.do(sensors, delivery, Moment(month_later, len(known) / 4))
            known.append(left())
            assert len(known) < 40, "it goes on"

    assert known[0] == 700
    assert max(before - after for before, after in pairwise(known)) == 100
