"""Handle one quarantined message again, with today's rules and today's program, in the transaction that closes its row.

What makes it exact is `quarantine.holds_number`: the stream's number was marked received because of this very message,
and nothing was counted under it. So such a message is counted although its stream says that it was received, and in
the same transaction its row is closed and lets go of the number. Any other message has to pass its stream like one that
has just come. The sensor is locked first, as in `footfall_ingest.flush.write_batch`: the edge that sends it again, a
second operator and this one get their turn one after another, and who comes later finds the row closed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from footfall_contract import ContractError, __version__, decode_health, decode_status
from footfall_contract.batch import ReportBatch, decode_batch
from footfall_contract.errors import Identity
from footfall_contract.topics import Kind
from footfall_ingest import budgets, store
from footfall_ingest.flush import DEFAULT_RULES, MARKED, REFUSED, Message, believable, fitting
from footfall_ingest.judge import Finding, Reason, Rules
from footfall_ingest.streams import Verdict, admit
from footfall_role.logs import facts

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]


class Became(StrEnum):
    """What became of a message. All but the last two close its row."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    """Its number was received by another message, which counts."""
    OUTDATED = "outdated"
    """A state of a node or sensor that can be read now; a newer one has long taken its place."""
    KEPT = "kept"
    """It still cannot be used, for the reason it has now."""
    GONE = "gone"
    """Someone else closed the row meanwhile, or there is none."""


@dataclass(frozen=True, slots=True)
class Retried:
    """A message that was handled again; of one that is kept the reason and detail it has now."""

    id: int
    became: Became
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the quarantine, as far as it never changes while it is open."""

    id: int
    kind: str
    node: str | None
    topic_sensor: str | None
    topic_fault: str | None
    payload: bytes
    first_seen: datetime
    sensor: str | None
    stream: UUID | None
    seq: int | None


def retry(
    connection: Connection,
    row: int,
    *,
    rules: Rules = DEFAULT_RULES,
    as_of: datetime | None = None,
    dry_run: bool = False,
) -> Retried:
    """Handle the message of the open row with id `row` again, in one transaction, and commit it.

    Whether a report speaks of the future is judged by when it first came: that its time has come since does not make
    a wrong clock right. `as_of` judges by another time. A dry run says what would become of it and changes nothing.

    Raises:
        psycopg.Error: nothing was changed; it may be done again.
    """
    kept = _kept(connection, row)
    if kept is None:
        return Retried(row, Became.GONE)
    now = int((as_of or kept.first_seen).timestamp())
    try:
        with connection.transaction(force_rollback=dry_run):
            retried = _handle(connection, kept, now, rules)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        detail = f"the database refuses it: {error.diag.message_primary or type(error).__name__}"
        with connection.transaction(force_rollback=dry_run):
            if _lock(connection, row) is None:
                return Retried(row, Became.GONE)
            return _stays(connection, kept, Finding(0, Reason.UNWRITABLE, detail))
    if not dry_run:
        names = facts(node=kept.node, sensor=kept.sensor, stream=kept.stream, seq=kept.seq, row=row)
        log.debug("quarantine: %s", retried.became, extra=names)
    return retried


def _handle(connection: Connection, kept: Kept, now: int, rules: Rules) -> Retried:
    if kept.kind != Kind.COUNTS:
        return _handle_state(connection, kept)
    batch = decode_batch([b"" if kept.topic_fault else kept.payload])
    error = batch.refused[0].error if batch.refused else None
    identity = error.identity if error else (batch.sensors[0], batch.streams[0], int(batch.seq[0]))
    if identity is None or kept.topic_fault:
        if _lock(connection, kept.id) is None:
            return Retried(kept.id, Became.GONE)
        return _stays(connection, kept, Finding(0, Reason.UNREADABLE, kept.topic_fault or str(error)))
    return _handle_report(connection, kept, batch, identity, now=now, rules=rules)


def _handle_report(
    connection: Connection, kept: Kept, batch: ReportBatch, identity: Identity, *, now: int, rules: Rules
) -> Retried:
    sensor, stream, seq = identity
    if store.unknown_sensors(connection, [sensor]):
        if stays := _nothing_to_make_it_for(connection, kept, batch, sensor, now=now, rules=rules):
            return stays
        store.make_sensors(connection, {sensor: kept.node})
    sensors = store.lock_known_sensors(connection, [sensor])
    holds_number = _lock(connection, kept.id)
    if holds_number is None:
        return Retried(kept.id, Became.GONE)
    streams = [(int(sensors.keys[0]), stream)]
    verdicts, fresh = admit(np.zeros(1, np.int64), np.array([seq]), store.received(connection, streams), 1)
    verdict = Verdict(verdicts[0])
    mine = holds_number or verdict is Verdict.FRESH
    if batch.refused:
        if verdict is Verdict.FRESH:
            store.mark(connection, streams, [kept.node], fresh)
        said = MARKED[Verdict.FRESH if mine else verdict]
        finding = Finding(0, Reason.UNREADABLE, f"{batch.refused[0].error}; {said}")
        return _stays(connection, kept, finding, holds_number=mine)
    if not mine:
        if verdict is Verdict.DUPLICATE:
            return _closed(connection, kept, Became.DUPLICATE)
        return _stays(connection, kept, Finding(0, *REFUSED[verdict]))

    messages = [Message(kept.node, kept.topic_sensor, kept.payload)]
    rows, findings, first = believable(connection, batch, np.arange(1), messages, sensors, now=now, rules=rules)
    store.claim(connection, first, sensors)
    _, doubled, deltas, stored = fitting(connection, batch, rows, sensors)
    for finding in findings + doubled:
        if verdict is Verdict.FRESH:
            store.mark(connection, streams, [kept.node], fresh)
        return _stays(connection, kept, finding, holds_number=True)
    store.add(connection, deltas, sensors, stored)
    # Also where its number is marked already: who keeps answers has to see that the stream was touched.
    store.mark(connection, streams, [kept.node], fresh)
    store.tell_readers(connection)
    return _closed(connection, kept, Became.COUNTED)


def _nothing_to_make_it_for(
    connection: Connection, kept: Kept, batch: ReportBatch, sensor: str, *, now: int, rules: Rules
) -> Retried | None:
    """What becomes of a message of a sensor that there is not (any more), unless it is to be counted.

    Only then the sensor is made, in the name of its node and within the budget of that. A sensor that was forgotten
    does not come back by what cannot be used.
    """
    if batch.refused:
        finding = Finding(0, Reason.UNREADABLE, f"{batch.refused[0].error}; there is no such sensor")
    else:
        messages = [Message(kept.node, kept.topic_sensor, kept.payload)]
        nothing = store.Sensors(np.array([-1]), np.array([0]))
        _, found, _ = believable(connection, batch, np.arange(1), messages, nothing, now=now, rules=rules)
        if not found:
            has = budgets.sensors_made(connection, {kept.node})
            _, over = budgets.makers([(0, sensor, kept.node)], has, rules)
            return Retried(kept.id, Became.KEPT, over[0], budgets.SAID[over[0]]) if over else None
        finding = found[0]
    if _lock(connection, kept.id) is None:
        return Retried(kept.id, Became.GONE)
    return _stays(connection, kept, finding)


def _handle_state(connection: Connection, kept: Kept) -> Retried:
    decode: Callable[[bytes], object] = decode_status if kept.kind == Kind.STATUS else decode_health
    error: ContractError | None = None
    try:
        decode(kept.payload)
    except ContractError as refusal:
        error = refusal
    if _lock(connection, kept.id) is None:
        return Retried(kept.id, Became.GONE)
    if error is None:
        return _closed(connection, kept, Became.OUTDATED)
    return _stays(connection, kept, Finding(0, Reason.UNREADABLE, str(error)))


def _kept(connection: Connection, row: int) -> Kept | None:
    query = """
        SELECT id, kind, node, topic_sensor, topic_fault, payload, first_seen, sensor, stream, seq
        FROM quarantine WHERE id = %s AND closed_at IS NULL
    """
    found = connection.execute(query, [row]).fetchone()
    return found and Kept(*found)


def _lock(connection: Connection, row: int) -> bool | None:
    """Lock an open row until the end of the transaction; whether it holds its number, None if it is closed."""
    query = "SELECT holds_number FROM quarantine WHERE id = %s AND closed_at IS NULL FOR NO KEY UPDATE"
    found = connection.execute(query, [row]).fetchone()
    return found and found[0]


def _stays(connection: Connection, kept: Kept, finding: Finding, *, holds_number: bool = False) -> Retried:
    connection.execute(
        "UPDATE quarantine SET reason = %s, detail = %s, program = %s, holds_number = holds_number OR %s WHERE id = %s",
        [finding.reason, finding.detail, __version__, holds_number, kept.id],
    )
    return Retried(kept.id, Became.KEPT, finding.reason, finding.detail)


def _closed(connection: Connection, kept: Kept, how: Became) -> Retried:
    # What was counted holds its number no longer: should the row ever be opened again, it is a duplicate.
    connection.execute(
        "UPDATE quarantine SET closed_at = now(), closed_how = %s, program = %s, holds_number = false WHERE id = %s",
        [how, __version__, kept.id],
    )
    return Retried(kept.id, how)
