"""Which report is sent when. Pure: told what happened and when, it answers which report is due.

A window of 64 reports per sensor is under way at a time: sent, and not known to be committed. That is the
back-pressure. Of these the oldest is sent again, after 30 s (a setting) without news of it, then after twice that, up
to 15 min. When a notice has taken the oldest away, the next one has its turn, and if it was sent longer ago than that
it goes at once: so after a broker lost everything the window is repaired at the speed of the round trip.

Where ingest speaks and does not take the oldest, sent again three times, the next one has its turn beside it: it may be
that ingest refuses the one, for want of a budget, and that the other was lost on its way. While ingest is silent
nothing but the oldest is sent again, so that the broker does not fill with doubles.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 64
"""Reports per sensor under way."""
FIRST_RESEND_S: Final = 30.0
LONGEST_RESEND_S: Final = 900.0
INGEST_SILENT_S: Final = 60.0
"""A notice after so long a silence means that ingest is back: there is no reason to go on waiting longer and longer."""
TRIES: Final = 3
"""So often the oldest is sent again before those behind it are, too."""
STALLED_S: Final = 120.0
"""A broker that is connected and has not acknowledged a message after this time will not do so any more."""


@dataclass(slots=True)
class _UnderWay:
    sent_s: float
    due_s: float
    times: int
    """How often it was sent again since ingest was last silent: what its patience grows with."""
    tries: int
    """How often it was sent again in all."""
    unanswered: int
    """How often it was sent since the last notice."""
    with_client: bool
    """The MQTT client still has it and sends it again by itself after a reconnect."""


class Window:
    """The reports of one sensor that are under way. Times are monotonic seconds; report ids grow with age falling."""

    def __init__(
        self,
        limit: int = WINDOW,
        jitter: Callable[[], float] = random.random,
        first_resend_s: float = FIRST_RESEND_S,
    ) -> None:
        """`jitter` returns 0 up to 1."""
        self._first_resend_s = first_resend_s
        self._limit = limit
        self._jitter = jitter
        self._under_way: dict[int, _UnderWay] = {}
        self._noticed_s: float | None = None

    @property
    def room(self) -> int:
        """How many more reports may be sent."""
        return max(0, self._limit - len(self._under_way))

    def __contains__(self, report_id: int) -> bool:
        return report_id in self._under_way

    def __len__(self) -> int:
        return len(self._under_way)

    def sent(self, report_id: int, now_s: float) -> None:
        """A report was handed to the MQTT client, for the first time or again."""
        before = self._under_way.get(report_id)
        times = 0 if before is None else before.times + 1
        tries = 0 if before is None else before.tries + 1
        unanswered = 1 if before is None else before.unanswered + 1
        wait = min(self._first_resend_s * 2.0**times, LONGEST_RESEND_S) * (0.9 + 0.2 * self._jitter())
        self._under_way[report_id] = _UnderWay(now_s, now_s + wait, min(times, 16), tries, unanswered, with_client=True)

    def taken(self, report_id: int) -> None:
        """The broker acknowledged it. That is no reason to believe that it is stored."""
        if report_id in self._under_way:
            self._under_way[report_id].with_client = False

    def committed(self, report_ids: Iterable[int]) -> None:
        """A notice covers these."""
        for report_id in report_ids:
            self._under_way.pop(report_id, None)

    def noticed(self, now_s: float) -> None:
        """A commit notice came, whatever it says."""
        was_silent = self._noticed_s is None or now_s - self._noticed_s > INGEST_SILENT_S
        for report in self._under_way.values():
            # What was answered each time it was sent goes on being patient: ingest is there, and does not take it.
            if was_silent and report.unanswered > 1:
                report.times = 0
                report.due_s = min(report.due_s, report.sent_s + self._first_resend_s)
            report.unanswered = 0
        self._noticed_s = now_s

    def due(self, now_s: float) -> int | None:
        """The report to send again now, if there is one: the oldest, or one behind it if ingest will not take that.

        Nothing is due while the MQTT client still has one of these.
        """
        for report_id, report in sorted(self._under_way.items()):
            if report.with_client:
                return None
            if now_s >= report.due_s:
                return report_id
            if report.tries < TRIES or report.unanswered:
                return None
        return None

    def stalled(self, connected_since_s: float, now_s: float) -> bool:
        """Whether the broker, connected since `connected_since_s`, has been owing an acknowledgement for too long."""
        return any(
            report.with_client and now_s - max(report.sent_s, connected_since_s) > STALLED_S
            for report in self._under_way.values()
        )
