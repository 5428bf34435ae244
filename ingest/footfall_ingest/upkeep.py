"""What the store needs from time to time, in a thread beside the one that receives: sums by the hour, and retention.

It has a connection of its own and never holds up what is received. Whatever goes wrong is logged, counted and tried
again with the next turn. Every worker on every machine has such a thread; one of them works at a time, the others find
that it does and leave it to it.
"""

import logging
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from footfall_ingest import retention, rollup, schema
from footfall_ingest.database import Database, StoppedError
from footfall_ingest.metrics import Metrics
from footfall_ingest.rollup import Progress
from footfall_ingest.settings import IngestSettings
from footfall_role.logs import facts

log = logging.getLogger(__name__)

_PAGE: Final = 500
"""Hours between two looks at whether to stop."""
_GRACE_S: Final = 10.0
"""So long is the end waited for. What is cut short is undone by the database, and done by the next process."""


_DAY_S: Final = 86_400.0


class Upkeep:
    """A context in which the hours of the store are summed up every ``store.rollup_every_s`` seconds.

    Once a day the minutes that are older than ``store.keep_minutes_days`` are removed, if that is wanted.
    """

    def __init__(self, settings: IngestSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._stop = threading.Event()
        self._remove_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_GRACE_S)

    def _run(self) -> None:
        settings = self._settings.database
        on_error = self._metrics.upkeep_errors.inc
        with Database(settings.dsn, self._stop, on_error, schema.check, answer_s=settings.answer_s) as database:
            while not self._stop.is_set():
                try:
                    self._roll_up(database)
                    self._remove(database)
                except StoppedError:
                    return
                # The loop's edge: whatever this is, what is received must go on, and the next turn may succeed.
                except Exception:
                    self._metrics.upkeep_errors.inc()
                    log.exception("the upkeep of the store failed, trying again")
                self._stop.wait(self._settings.store.rollup_every_s)

    def _roll_up(self, database: Database) -> None:
        now = datetime.now(UTC)
        done = Progress(next=rollup.START)
        while done.next is not None and not self._stop.is_set():
            after, before = done.next, done.rolled
            done += database.run(lambda connection: rollup.roll_up(connection, now, limit=_PAGE, after=after))  # noqa: B023
            self._metrics.summed(done.rolled - before)
        if done.rolled:
            log.debug("summed up hours", extra=facts(hours=done.rolled, changed=done.changed))
        if not self._stop.is_set():
            waiting = database.run(lambda connection: rollup.waiting(connection, now))
            self._metrics.upkept(waiting, datetime.now(UTC).timestamp())

    def _remove(self, database: Database) -> None:
        """Remove minutes if it is time; what cannot be done now is tried again with the next turn."""
        keep_days = self._settings.store.keep_minutes_days
        if not keep_days or time.monotonic() < self._remove_at_s:
            return
        now = datetime.now(UTC)
        removed = None
        while (removed is None or removed.moved) and not self._stop.is_set():
            removed = database.run(lambda connection: retention.remove(connection, now, keep_days))
            if removed.moved:
                log.info("removed old minutes, their hours stay", extra=facts(minutes_from=removed.minutes_from))
        if removed and (removed.dirty or removed.busy):
            log.info("old minutes stay for now", extra=facts(dirty_hours=removed.dirty, busy=removed.busy))
        else:
            self._remove_at_s = time.monotonic() + _DAY_S
