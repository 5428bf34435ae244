"""Works with an outbox and is killed with SIGKILL at each SQL statement in turn, as a program of its own.

``python killed_outbox.py FOLDER`` leaves ``1.sqlite``, ``2.sqlite``, … there, each as the kill at that statement left
it, and prints how many there are. The last one was not killed.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from footfall_contract.notice import CommitNotice, StreamState
from footfall_edge.counts import Cursor
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.slots import Piece

NOON = 1_764_072_000
SENSOR = "markt-1"
STREAM = UUID(int=1)
EPOCH = UUID(int=2)


def entry(number: int) -> Entry:
    """Interval `number` of a device: two passages in slot `number`, one in the slot before (which may be reported)."""
    pieces = (
        Piece(NOON + 10 * number, 10, 9_000, ((0, 0, 2),)),
        Piece(NOON + 10 * number - 10, 10, 1_000, ((1, 0, 1),)),
    )
    return Entry(SENSOR, pieces, Cursor(7, 1, number, (NOON + 10 * number) * 1000, {(0, 0): 2 * number}))


def work(path: Path) -> None:
    """What an edge does with its outbox, from the first start on."""
    with Outbox.open(path) as outbox:
        outbox._database.set_trace_callback(Killer(int(path.stem)))
        for number in range(1, 4):
            outbox.book([entry(number)])
            outbox.note_silence([(SENSOR, NOON + 10 * number + 10, 10)])
            outbox.number(SENSOR, STREAM, closed_until=NOON + 10 * number, every_s=10, most=9, now_s=NOON)
            outbox.settle(CommitNotice(EPOCH, {SENSOR: (StreamState(STREAM, number - 1),)}), NOON)
        outbox.prune(NOON + 86400 * 30, keep_committed_days=14, max_bytes=10**9)


class Killer:
    """Ends the process at the n-th statement, before it is carried out."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, _statement: str) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def each_statement(folder: Path, work: Callable[[Path], None]) -> int:
    """Let one child after the other live a statement longer at `work`; returns how many there were."""
    number = 0
    while True:
        number += 1
        child = os.fork()
        if not child:
            work(folder / f"{number}.sqlite")
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            return number


if __name__ == "__main__":
    print(each_statement(Path(sys.argv[1]), work))  # the caller reads it
