"""A simulated past: the minutes that the simulated counters would have reported before live counting began.

It is drawn by the same process as the live passages and cut into reports of one day, from the first live minute
backwards; so it ends exactly where live counting begins, asking for more days makes it longer at its far end, and
asking again finds every report written already.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from footfall_contract.report import SlotReport
from footfall_demo.history_import import CancelledError
from footfall_demo.history_write import write_reports
from footfall_demo.terminal import Step
from footfall_ingest.history.writing import number, past_stream
from footfall_sim.pedestrians import Pedestrians

_DAY_S = 86_400
_MINUTE_S = 60


def simulate_history(
    connection: psycopg.Connection,
    counters: Mapping[str, Pedestrians],
    *,
    seed: int,
    live_since: int,
    days: int,
    step: Step = lambda _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Store the past of `counters`, which are by sensor the people who pass it, newest day first.

    It covers `days` days before `live_since` (UTC seconds, a whole minute). Each day is a transaction of its own: when
    it is cut short the next start goes on where it ended. `connection` is in autocommit mode. Returns the number of
    reports written.

    Raises:
        CancelledError: `cancelled` became true.
        FailedError: the write path did not take a report.
    """
    missing = {sensor: _missing(connection, sensor, seed, live_since, days) for sensor in counters}
    total, written = sum(map(len, missing.values())), 0
    for back in range(1, days + 1):
        start = live_since - back * _DAY_S
        today = (
            day_report(sensor, people, seed, start) for sensor, people in counters.items() if start in missing[sensor]
        )
        for count in write_reports(connection, today, len(counters)):
            written += count
            step(written, total)
        if cancelled():
            raise CancelledError
    return written


def day_report(sensor: str, people: Pedestrians, seed: int, start: int) -> SlotReport:
    """What the counter would have reported about the 24 hours from `start` (UTC seconds, a whole minute), by minute."""
    begin, end = (datetime.fromtimestamp(instant, UTC) for instant in (start, start + _DAY_S))
    minutes = people.minutes(begin, end, outages=True)
    index, direction, class_, count = minutes.cells()
    return SlotReport(
        sensor=sensor,
        stream=_stream(sensor, seed),
        seq=number(start, _DAY_S),
        start=start,
        slot=_MINUTE_S,
        slots=_DAY_S // _MINUTE_S,
        observed=tuple(minutes.observed_s.tolist()),
        index=tuple(index.tolist()),
        direction=tuple(direction.tolist()),
        class_=tuple(class_.tolist()),
        count=tuple(count.tolist()),
    )


def _stream(sensor: str, seed: int) -> UUID:
    return past_stream(sensor, f"simulated/{seed}")


def _missing(connection: psycopg.Connection, sensor: str, seed: int, live_since: int, days: int) -> set[int]:
    """The starts of the days that were not written yet."""
    row = connection.execute(
        "SELECT received FROM stream JOIN sensor ON sensor.key = stream.sensor WHERE id = %s AND stream = %s",
        [sensor, _stream(sensor, seed)],
    ).fetchone()
    written = row[0] if row else ()
    starts = (live_since - back * _DAY_S for back in range(1, days + 1))
    return {start for start in starts if not any(number(start, _DAY_S) in numbers for numbers in written)}
