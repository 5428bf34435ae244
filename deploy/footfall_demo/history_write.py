"""Write reports of the past the way live ones are written: encoded, decoded, summed, stored in one transaction a batch.

A report of the past is numbered by the time it covers: its stream is made from the sensor and from what the past comes
from, and its number is ``start ÷ length``. So a report that is sent again is known as a duplicate, in this run or years
later.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg

from footfall_contract.report import SlotReport, encode_cbor
from footfall_demo.refusals import FailedError
from footfall_ingest.flush import Message, write_batch

_SENSORS: Final = uuid5(NAMESPACE_URL, "footfall:past")


@lru_cache
def past_stream(sensor: str, source: str) -> UUID:
    """The stream of the reports that `source` (a mapping, a seed) says `sensor` would have sent."""
    return uuid5(uuid5(_SENSORS, sensor), source)


def number(start: int, length_s: int) -> int:
    """The number of a report that covers `length_s` seconds from `start` (UTC seconds).

    No two reports of the same length that do not overlap share it; it is the same whenever they are sent.
    """
    return start // length_s


def write_reports(connection: psycopg.Connection, reports: Iterable[SlotReport], batch: int) -> Iterator[int]:
    """Write `reports` in batches of `batch`; yields after each how many it held.

    Raises:
        FailedError: the write path did not take a report as it is. What was written before stays, unless the caller
            has a transaction open and leaves it with this error.
    """
    source = iter(reports)
    while part := list(islice(source, batch)):
        _write(connection, part)
        yield len(part)


def _write(connection: psycopg.Connection, reports: Sequence[SlotReport]) -> None:
    messages = [Message(topic_node=None, topic_sensor=None, payload=encode_cbor(report)) for report in reports]
    outcome = write_batch(connection, messages, now=datetime.now(UTC))
    if outcome.quarantined:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(outcome.quarantined.items()))
        first, last = min(report.start for report in reports), max(report.end for report in reports)
        raise FailedError(
            f"Reports of the past from {_utc(first)} to {_utc(last)} were put into quarantine ({reasons}). "
            "`footfall-ingest quarantine list` shows them if they were kept."
        )


def _utc(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
