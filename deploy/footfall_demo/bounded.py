"""A run that ends by itself: count for a while, let everything arrive, compare with the truth."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from footfall_demo.city import COUNTERS
from footfall_demo.configs import Wiring
from footfall_demo.reckoning import Account, as_tables, names_of, reckon
from footfall_demo.refusals import FailedError
from footfall_demo.supervisor import Supervisor
from footfall_demo.terminal import Terminal
from footfall_sim.control import OrderError, request

_FIRST_COUNTS_S = 90.0
_SIMULATOR_S = 30.0
_STALLED_S = 90.0
"""Waiting ends when nothing has arrived for so long; a report that was lost on the way is sent again after 30 s."""
_LOOK_S = 0.5


def compare(
    supervisor: Supervisor,
    terminal: Terminal,
    wiring: Wiring,
    *,
    live_since: int,
    began: datetime,
    for_s: float,
    past_done: Callable[[], bool],
    stop_senders: Callable[[], object],
) -> bool | None:
    """Count for `for_s` seconds from the first stored count of every counter on, then compare, and show the table.

    `began` is a moment before anything of this run could be stored: what was stored later is this run's.
    `stop_senders` stops counters and boxes: the last comparison is made when nobody can send any more. Returns whether
    there is no difference; None if somebody asked to stop before that was known.

    Raises:
        FailedError: counters do not report, or the simulator does not obey.
    """
    run = BoundedRun(supervisor, terminal, wiring, live_since, began)
    steps = (run.await_first_counts, lambda: run.count_for(for_s), run.send_people_home, run.await_arrival)
    for step in steps:
        step()
        if supervisor.asked_to_stop:
            return None
    if not supervisor.wait_until(past_done, None):
        return None
    stop_senders()
    return run.conclude()


class BoundedRun:
    """The steps of a bounded run. Each returns early when somebody asks to stop."""

    def __init__(
        self, supervisor: Supervisor, terminal: Terminal, wiring: Wiring, live_since: int, began: datetime
    ) -> None:
        self._supervisor = supervisor
        self._terminal = terminal
        self._wiring = wiring
        self._live_since = live_since
        self._began = began

    def await_first_counts(self) -> None:
        """Wait until something of this run is stored from every counter."""
        silent: set[str] = set()

        def all_heard() -> bool:
            nonlocal silent
            silent = self._not_heard()
            return not silent

        with self._terminal.progress("Waiting for the first counts") as step:

            def look() -> bool:
                heard = all_heard()
                step(len(COUNTERS) - len(silent), len(COUNTERS))
                return heard

            if not self._supervisor.wait_until(look, _FIRST_COUNTS_S) and not self._supervisor.asked_to_stop:
                raise FailedError(f"No counts came from {', '.join(sorted(silent))}; the logs in {self._logs} say why.")

    def count_for(self, for_s: float) -> None:
        """Let the city live."""
        end = time.monotonic() + for_s
        with self._terminal.progress("Counting") as step:

            def look() -> bool:
                left = end - time.monotonic()
                step(for_s - max(0.0, left), for_s)
                return left <= 0

            self._supervisor.wait_until(look, None, every_s=min(0.5, for_s))

    def send_people_home(self) -> None:
        """Tell the simulator that nobody comes any more; what the counters have not reported yet, they report now."""
        if not self._supervisor.wait_until(self._nobody_walks, _SIMULATOR_S) and not self._supervisor.asked_to_stop:
            raise FailedError(f"The simulator does not obey; {self._logs / 'sim.log'} may say why.")

    def await_arrival(self) -> None:
        """Wait until all that was simulated is stored, or nothing more arrives."""
        best, moved = -1, time.monotonic()
        with self._terminal.progress("Waiting until everything is stored") as step:

            def look() -> bool:
                nonlocal best, moved
                # A simulator that died meanwhile came back with people.
                settled = self._nobody_walks() and self._counters_empty()
                # What a radar is wrong by never comes: it is counted until the boxes stop.
                accounts = [account for account in self._accounts() if not account.shown]
                there = sum(min(account.stored, account.simulated) for account in accounts)
                step(there, sum(account.simulated for account in accounts))
                if there > best:
                    best, moved = there, time.monotonic()
                equal = all(account.difference == 0 for account in accounts)
                return (settled and equal) or time.monotonic() - moved > _STALLED_S

            self._supervisor.wait_until(look, None)

    def conclude(self) -> bool:
        """Show the tables; whether nothing differs of what the sensors counted themselves."""
        with psycopg.connect(self._wiring.dsn) as connection:
            names = names_of(connection)
        accounts = self._accounts()
        for table in as_tables(accounts, names):
            self._terminal.show(table)
        wrong = [account for account in accounts if account.difference and not account.shown]
        lost = sum(account.never_reported for account in accounts)
        if lost:
            self._terminal.say(
                f"{lost} passages were lost in a counter when its power failed; nobody could report them."
            )
        if not wrong:
            self._terminal.say("No difference: every passage that a sensor counted is stored, and none twice.")
        else:
            self._terminal.say(f"There are differences; the logs in {self._logs} may say why.")
        return not wrong

    @property
    def _logs(self) -> Path:
        return self._wiring.folder / "logs"

    def _not_heard(self) -> set[str]:
        sensors = {counter.sensor for counter in COUNTERS}
        try:
            with psycopg.connect(self._wiring.dsn, connect_timeout=5) as connection:
                rows = connection.execute(
                    """
                    SELECT DISTINCT id FROM stream JOIN sensor ON key = stream.sensor
                    WHERE id = ANY(%s) AND node IS NOT NULL AND created >= %s
                    """,
                    [list(sensors), self._began],
                ).fetchall()
        except psycopg.OperationalError:
            return sensors  # the database is being restarted
        return sensors - {sensor for (sensor,) in rows}

    def _nobody_walks(self) -> bool:
        status = self._ask("status")
        if any(sensor["walking"] for sensor in status):
            status = self._ask("stop_pedestrians")
        return bool(status) and not any(sensor["walking"] for sensor in status)

    def _counters_empty(self) -> bool:
        status = self._ask("status")
        return bool(status) and not any(sensor["waiting"] for sensor in status)

    def _ask(self, command: str) -> list[dict[str, Any]]:
        """The simulator's answer, counter by counter; empty while it cannot answer."""
        try:
            answer = request(self._wiring.simulator / "control.sock", {"command": command})
        except (OSError, OrderError, ValueError):
            return []
        sensors: list[dict[str, Any]] = answer.get("sensors", [])
        return sensors

    def _accounts(self) -> list[Account]:
        with psycopg.connect(self._wiring.dsn, connect_timeout=10) as connection:
            return reckon(connection, self._wiring.simulator, self._live_since)
