"""Makes the slots of an outbox coarser and is killed with SIGKILL at each SQL statement in turn, as a program.

``python killed_room.py FOLDER`` leaves outboxes there as `killed_outbox` does. What is booked is in `booked`.
"""

import sys
from pathlib import Path
from uuid import UUID

from edge.killed_outbox import EPOCH, NOON, SENSOR, Killer, each_statement
from footfall_contract.notice import CommitNotice, StreamState
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.room import coarsening, forgetting
from footfall_edge.slots import Piece

STREAM = UUID(int=1)
LATER = NOON + 86400


REPORTED = 7
"""So many slots are reported, the last of them in the middle of a minute."""


def booked() -> list[Piece]:
    """Four minutes of slots around the end of a quarter hour, each with passages, and of unlike coverage."""
    return [Piece(NOON + 780 + 10 * n, 10, 1000 * (n % 11), ((0, 0, 1 + n % 3), (1, 0, 2))) for n in range(24)]


def work(path: Path) -> None:
    """Some slots are reported and that report is stored, then all that may go goes; a late piece comes last."""
    with Outbox.open(path) as outbox:
        outbox._database.execute("PRAGMA synchronous = OFF")  # the process is killed here, not the machine
        outbox.book([Entry(SENSOR, tuple(booked()), None)])
        until = NOON + 780 + 10 * REPORTED
        outbox.number(SENSOR, STREAM, closed_until=until, every_s=10, most=1, now_s=NOON)
        outbox.settle(CommitNotice(EPOCH, {SENSOR: (StreamState(STREAM, 1),)}), NOON)
        outbox._database.set_trace_callback(Killer(int(path.stem)))
        for work in (forgetting(outbox), coarsening(outbox, lambda _: LATER, LATER)):
            list(work)
        outbox.book([Entry(SENSOR, (Piece(NOON + 780, 10, 10_000, ((2, 255, 1),)),), None)])


if __name__ == "__main__":
    print(each_statement(Path(sys.argv[1]), work))  # the caller reads it
