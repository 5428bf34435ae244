"""Reports of the past, written the way live ones are: encoded, decoded, summed, stored in one transaction a batch.

A report of the past is numbered by the time it covers: its stream is made from the sensor and from what the past comes
from, and its number is ``start ÷ length``. So a report that is sent again is known as a duplicate, in this run or years
later.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg

from footfall_contract.report import SlotReport, encode_cbor
from footfall_ingest.flush import DEFAULT_RULES, Message, Outcome, write_batch
from footfall_ingest.history.intervals import Interval
from footfall_ingest.judge import Rules, utc_text
from footfall_ingest.streams import MAX_RANGES

_SENSORS: Final = uuid5(NAMESPACE_URL, "footfall:past")

CHAPTER: Final = 2 * MAX_RANGES
"""Numbers in one stream of an imported history: so few that it is never in more pieces than a stream may be, whatever
holes it has and in whatever order files bring it. With them filled instead, what one file left out could not be brought
by another one."""


class NotWrittenError(Exception):
    """The write path did not take a report as it is; the message says why."""


@lru_cache(maxsize=1 << 14)
def past_stream(sensor: str, source: str) -> UUID:
    """The stream of the reports that `source` (a mapping, a seed) says `sensor` would have sent."""
    return uuid5(uuid5(_SENSORS, sensor), source)


def number(start: int, length_s: int) -> int:
    """The number of a report that covers `length_s` seconds from `start` (UTC seconds).

    No two reports of the same length that do not overlap share it; it is the same whenever they are sent.
    """
    return start // length_s


def chapter(source: str, interval: Interval) -> str:
    """The source of an imported interval's stream: its mapping, its length, and which chapter of it."""
    length = interval.length_s
    return f"{source}/{length}/{number(interval.start, length) // CHAPTER}"


def report_of(sensor: str, source: str, interval: Interval) -> SlotReport:
    """One report for one interval: of one slot if it is a whole minute, else a span."""
    length = interval.length_s
    cells = [(direction, class_, count) for (direction, class_), count in interval.counts.items() if count]
    return SlotReport(
        sensor=sensor,
        # Intervals of each length are streams of their own, so that their numbers are those of their times.
        stream=past_stream(sensor, source),
        seq=number(interval.start, length),
        start=interval.start,
        slot=length,
        slots=1,
        observed=(interval.observed_s,),
        index=(0,) * len(cells),
        direction=tuple(direction for direction, _, _ in cells),
        class_=tuple(class_ for _, class_, _ in cells),
        count=tuple(count for _, _, count in cells),
    )


def write_reports(
    connection: psycopg.Connection[Any], reports: Iterable[SlotReport], batch: int, rules: Rules = DEFAULT_RULES
) -> Iterator[int]:
    """Write `reports` in batches of `batch`; yields after each how many it held.

    Raises:
        NotWrittenError: the write path did not take a report as it is. What was written before stays, unless the caller
            has a transaction open and leaves it with this error.
    """
    source = iter(reports)
    while part := list(islice(source, batch)):
        write(connection, part, rules)
        yield len(part)


def write(connection: psycopg.Connection[Any], reports: Sequence[SlotReport], rules: Rules = DEFAULT_RULES) -> Outcome:
    """Write `reports` in one transaction.

    Raises:
        NotWrittenError: the write path did not take one of them as it is.
    """
    messages = [Message(topic_node=None, topic_sensor=None, payload=encode_cbor(report)) for report in reports]
    outcome = write_batch(connection, messages, now=datetime.now(UTC), rules=rules)
    if outcome.quarantined:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(outcome.quarantined.items()))
        first, last = min(report.start for report in reports), max(report.end for report in reports)
        raise NotWrittenError(
            f"Reports of the past from {utc_text(first)} to {utc_text(last)} were put into quarantine ({reasons}). "
            "`footfall-ingest quarantine list` shows them if they were kept."
        )
    return outcome
