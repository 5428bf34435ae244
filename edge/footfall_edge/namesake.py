"""Whether another box answers to this node's name. Pure: told what came on the node's own status topic, and when.

Each process draws a `run` of its own. An ``online`` of another run that comes live is another box, or a second edge on
this one; a retained one may be what an earlier run of ours left. Both boxes shall know: whoever hears of a run for the
first time says ``online`` again, and while it knows of another it does so every hour. So two boxes exchange two
messages at the start and two an hour, and what is not renewed is forgotten.

An ``offline`` while we are connected is the last will of our own connection that died with a power cut, or another
box's: the retained status is wrong then until we say ``online`` again.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from footfall_contract.state import NodeStatus

AGAIN_EVERY_S: Final = 3600.0
"""So often another box is spoken of, and this one says that it is there."""
FORGOTTEN_S: Final = 2.5 * AGAIN_EVERY_S
"""Another run that has said nothing for so long is gone."""
ANNOUNCE_EVERY_S: Final = 5.0
"""This node says that it is there at most so often, whatever others say."""
MAX_OTHERS: Final = 8
"""Runs that are remembered."""


@dataclass(slots=True)
class _Other:
    heard_s: float
    said_s: float | None = None


class Namesakes:
    """What is known of others with this node's name. Times are monotonic seconds."""

    def __init__(self, run: UUID) -> None:
        self._run = run
        self._others: dict[UUID | None, _Other] = {}
        self._owing = False
        self._announced_s = float("-inf")

    def __len__(self) -> int:
        return len(self._others)

    def heard(self, status: NodeStatus, now_s: float) -> None:
        """A status came on our own topic, live."""
        if status.state == "offline":
            self._others.pop(status.run, None)
            self._owing = True
        elif status.run != self._run:
            other = self._others.get(status.run)
            if other is not None:
                other.heard_s = now_s
                return
            while len(self._others) >= MAX_OTHERS:
                del self._others[min(self._others, key=lambda run: self._others[run].heard_s)]
            self._others[status.run] = _Other(now_s)

    def to_say(self, now_s: float) -> list[UUID | None]:
        """The runs that are to be spoken of now: each once, and again every hour while it is there.

        Then `announce_due` too: the other box shall hear of this one.
        """
        self._others = {run: other for run, other in self._others.items() if now_s - other.heard_s < FORGOTTEN_S}
        due = [
            run for run, other in self._others.items() if other.said_s is None or now_s - other.said_s >= AGAIN_EVERY_S
        ]
        for run in due:
            self._others[run].said_s = now_s
        self._owing = self._owing or bool(due)
        return due

    def announce_due(self, now_s: float) -> bool:
        """Whether to say ``online`` now; taken as done."""
        if not self._owing or now_s - self._announced_s < ANNOUNCE_EVERY_S:
            return False
        self.announced(now_s)
        return True

    def announced(self, now_s: float) -> None:
        """``online`` was said."""
        self._owing, self._announced_s = False, now_s
