"""Reports on their way, where it matters what the outbox has of them meanwhile."""

import itertools
from pathlib import Path
from typing import cast
from uuid import UUID

from footfall_contract.report import decode
from footfall_edge.clock import Moment
from footfall_edge.delivery import Delivery
from footfall_edge.events import Connected, Taken
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.publisher import Publisher
from footfall_edge.settings import ReportSettings
from footfall_edge.slots import Piece

NOON = 1_764_072_000


class Line:
    """What a publisher hands over is written down here; the client has it at once."""

    run = UUID(int=7)

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.ids = itertools.count(1)

    def announce(self) -> None:
        """Nobody to tell."""

    def publish(self, _topic: str, payload: bytes) -> int:
        self.sent.append(decode(payload).seq)
        return next(self.ids)


def test_a_report_that_was_set_aside_makes_room(tmp_path: Path) -> None:
    """Its bytes changed after it was sent: it is not sent again, and the one after it has its turn."""
    line = Line()
    with Outbox.open(tmp_path / "outbox.sqlite") as outbox:
        pieces = tuple(Piece(NOON + 20 * n, 10, 10_000, ((0, 0, 2),)) for n in range(3))
        outbox.book([Entry("markt-1", pieces, None)])
        outbox.number("markt-1", UUID(int=1), closed_until=2**33, every_s=10, most=9, now_s=NOON)
        delivery = Delivery("box-1", ["markt-1"], ReportSettings(), outbox, cast("Publisher", line))
        delivery.note([Connected()], Moment(NOON * 1000, 0.0))
        delivery.send(lambda _: None, Moment(NOON * 1000, 0.0))
        delivery.note([Taken(mid) for mid in (1, 2, 3)], Moment(NOON * 1000, 0.0))
        outbox._database.execute("UPDATE report SET payload = substr(payload, 1, 40) WHERE seq = 0")

        for _ in range(3):
            delivery.send(lambda _: None, Moment(NOON * 1000, 60.0))

    assert line.sent == [0, 1, 2, 1]
    assert delivery.under_way == 2
