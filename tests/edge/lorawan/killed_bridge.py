"""A bridge that is killed with SIGKILL at its first booking with counts: ``python killed_bridge.py CONFIG WHEN``.

WHEN is ``before`` (the counts are not in the outbox yet) or ``after`` (they are, and nobody was told).
"""

import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

from footfall_edge import agent
from footfall_edge.lorawan import bridge
from footfall_edge.lorawan.settings import BridgeSettings
from footfall_edge.outbox import Entry, Outbox


class MortalOutbox(Outbox):
    """Dies with the process."""

    def book(self, entries: Iterable[Entry]) -> None:
        """Book, and die if there was something to book; or the other way round."""
        found = list(entries)
        counts = any(entry.pieces for entry in found)
        if counts and sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().book(found)
        if counts:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with patch.object(agent, "Outbox", MortalOutbox):
        bridge.run(BridgeSettings.load(Path(sys.argv[1])), threading.Event())
