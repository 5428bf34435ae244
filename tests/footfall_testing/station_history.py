"""A long past for a station of the page's tests, written through the aggregator as an archive of hourly sums is."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from footfall_contract.report import SlotReport, encode_json
from footfall_ingest.flush import Message, write_batch

HOUR_S = 3600

Hourly = Callable[[datetime], Mapping[int, int] | None]
"""What was counted by direction in the hour (or other length) that begins then (UTC); None: nothing was measured."""


def write_spans(
    dsn: str, sensor: str, starts: Iterable[datetime], counted: Hourly, *, length_s: int = HOUR_S, observed: float = 1
) -> None:
    """Commit a sum for each start; `observed`: which share of each was measured."""
    stream = uuid4()
    messages: list[Message] = []
    for start in starts:
        counts = counted(start.astimezone(UTC))
        if counts is None:
            continue
        cells = [(direction, count) for direction, count in counts.items() if count]
        report = SlotReport(
            sensor=sensor,
            stream=stream,
            seq=len(messages),
            start=int(start.timestamp()),
            slot=length_s,
            slots=1,
            observed=(int(length_s * observed),),
            index=(0,) * len(cells),
            direction=tuple(direction for direction, _ in cells),
            class_=(0,) * len(cells),
            count=tuple(count for _, count in cells),
        )
        messages.append(Message(None, None, encode_json(report)))
    with psycopg.connect(dsn, autocommit=True) as connection:
        outcome = write_batch(connection, messages, now=datetime.now(UTC))
    assert outcome.stored == len(messages), outcome
