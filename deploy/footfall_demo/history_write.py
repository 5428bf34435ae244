"""Write the demo's reports of the past as imported ones are written; what is refused ends the task with a sentence."""

from collections.abc import Iterable, Iterator

import psycopg

from footfall_contract.report import SlotReport
from footfall_demo.refusals import FailedError
from footfall_ingest.history import writing


def write_reports(connection: psycopg.Connection, reports: Iterable[SlotReport], batch: int) -> Iterator[int]:
    """Write `reports` in batches of `batch`; yields after each how many it held.

    Raises:
        FailedError: the write path did not take a report as it is. What was written before stays, unless the caller
            has a transaction open and leaves it with this error.
    """
    try:
        yield from writing.write_reports(connection, reports, batch)
    except writing.NotWrittenError as error:
        raise FailedError(str(error)) from error
