"""One batch, one transaction: decode, lock, drop what was received before, judge, add up, write, read the notices.

What is beyond the budget of its node (`footfall_ingest.budgets`) is left out before it is judged, or, where it would be
kept in quarantine, after.

Whatever happens to a message happens in the transaction of its batch, so a batch that was cut short can be written
again as if nothing had been, and one that was committed can be sent again without effect. Only when `write_batch` has
returned may its messages be acknowledged.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from footfall_contract.batch import ReportBatch, decode_batch
from footfall_contract.notice import CommitNotice
from footfall_ingest import budgets, judge, store
from footfall_ingest.aggregate import Deltas, aggregate
from footfall_ingest.budgets import Amounts, Need, What
from footfall_ingest.judge import Finding, Reason, Rules
from footfall_ingest.ledger import misfits
from footfall_ingest.store import Quarantined, Sensors, StreamKey
from footfall_ingest.streams import MAX_AHEAD, MAX_RANGES, Received, Verdict, admit, held
from footfall_ingest.suspects import ledgers
from footfall_role.logs import facts

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]
Int64s = npt.NDArray[np.int64]

DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Message:
    """One payload with the node and sensor of its topic; both None for an import, which speaks for no node.

    `topic_fault` says what is wrong with the topic if it is not one; the message is then kept as unreadable, and its
    node is None only if no node could be read of it.
    """

    topic_node: str | None
    topic_sensor: str | None
    payload: bytes
    topic_fault: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch, once it is committed."""

    notices: Mapping[str, CommitNotice]
    """What each node that sent something is to be told."""
    stored: int
    """Reports that were added."""
    duplicate: int
    """Reports that had been received before."""
    unusable: Sequence[Quarantined]
    """Messages that went to quarantine."""
    refused: Mapping[tuple[str, What], int]
    """Messages beyond the budgets, by node and budget: neither stored nor kept, and not marked received."""
    rows: int
    """Rows of counts and coverage that were written."""
    newest_end: int | None
    """When the latest of the stored reports ended, UTC unix seconds; None if none was stored."""

    @property
    def quarantined(self) -> Mapping[str, int]:
        """How many messages went to quarantine, by reason."""
        return Counter(message.reason for message in self.unusable)


def write_batch(
    connection: Connection,
    messages: Sequence[Message],
    *,
    now: datetime,
    rules: Rules = DEFAULT_RULES,
    condemned: str | None = None,
) -> Outcome:
    """Handle `messages` in the order of their arrival, in one transaction, and commit it.

    The result is what it would be if each message were a batch of its own; but if there was no room in quarantine for
    one, what came after it with the same number has to come again. Where `connection` is in a transaction already,
    whoever began that one has to commit it. With `condemned` every report that would be stored goes to quarantine
    instead, for the reason it gives: for messages of which the database has refused to store what they say.

    Raises:
        psycopg.Error: nothing was written; the same messages may be given again.
    """
    batch = decode_batch([b"" if message.topic_fault else message.payload for message in messages])
    arrivals = _Arrivals.of(batch, messages)
    second = int(now.timestamp())
    with connection.transaction():
        sensors, over = _lock(connection, arrivals, rules)
        if over:
            arrivals = _Arrivals.of(batch, messages, over)
        streams = arrivals.stream_keys(sensors)
        known = store.received(connection, streams)
        needs, spent, more = _spend(connection, batch, arrivals, streams, known, now=now, rules=rules)
        if more:
            over |= more
            arrivals = _Arrivals.of(batch, messages, over)
            streams = arrivals.stream_keys(sensors)
            known = store.received(connection, streams)
        verdicts, fresh = admit(arrivals.stream, arrivals.seq, known, len(streams))

        rows = arrivals.row[(verdicts == Verdict.FRESH) & (arrivals.row >= 0)]
        rows, findings, first = believable(connection, batch, rows, messages, sensors, now=second, rules=rules)
        if condemned is not None:
            findings += [Finding(row, Reason.UNWRITABLE, condemned) for row in rows.tolist()]
            rows = rows[:0]
        rows, doubled, deltas, stored = fitting(connection, batch, rows, sensors)
        kept = _unusable(batch, messages, arrivals, verdicts, findings + doubled, left_out=over)
        if kept and (full := budgets.refused_quarantine(connection, kept, rules)):
            # Without those numbers a stream may be in more pieces than with them: what it cannot take goes, too.
            stays = (verdicts == Verdict.FRESH) & ~np.isin(arrivals.message, list(full))
            again, fresh = admit(arrivals.stream[stays], arrivals.seq[stays], known, len(streams))
            if torn := arrivals.message[stays][again != Verdict.FRESH].tolist():
                full |= dict.fromkeys(torn, What.QUARANTINE)
                rows = rows[~np.isin(batch.position[rows], torn)]
                deltas, stored = aggregate(batch.take(rows)), None
            over |= full
            spent -= budgets.rows_of(needs, full, more)
            kept = {position: message for position, message in kept.items() if position not in full}

        store.claim(connection, first, sensors)
        store.add(connection, deltas, sensors, stored)
        store.mark(connection, streams, arrivals.stream_nodes, fresh)
        unusable = list(kept.values())
        store.quarantine(connection, unusable, now)
        refused = budgets.amounts(over, [message.topic_node for message in messages])
        budgets.note(connection, spent, refused, now)
        found = store.read_notices(connection, arrivals.nodes, arrivals.touched(streams))
        store.tell_readers(connection)
    # The locks are gone: what needs none is done here, so that other writers do not wait for it.
    if log.isEnabledFor(logging.DEBUG):
        _log_each(batch, messages, arrivals, verdicts, rows)
    return Outcome(
        notices=store.told(found),
        stored=len(rows),
        duplicate=int(np.count_nonzero((verdicts == Verdict.DUPLICATE) & (arrivals.row >= 0))),
        unusable=unusable,
        refused=refused,
        rows=deltas.rows,
        newest_end=int((batch.start + batch.slot * batch.slots)[rows].max()) if len(rows) else None,
    )


def _log_each(
    batch: ReportBatch,
    messages: Sequence[Message],
    arrivals: "_Arrivals",
    verdicts: npt.NDArray[np.int8],
    stored: Int64s,
) -> None:
    """A line for each report that was stored, and for each that had been received before."""
    for at in np.flatnonzero((arrivals.row >= 0) & (verdicts <= Verdict.DUPLICATE)).tolist():
        row = int(arrivals.row[at])
        is_duplicate = verdicts[at] == Verdict.DUPLICATE
        if not is_duplicate and row not in stored:
            continue  # it went to quarantine, and that is always said
        names = facts(
            node=messages[int(arrivals.message[at])].topic_node,
            sensor=batch.sensors[batch.sensor[row]],
            stream=batch.streams[batch.stream[row]],
            seq=int(batch.seq[row]),
        )
        log.debug("received before" if is_duplicate else "stored", extra=names)


def write_surviving(
    write: Callable[[Sequence[Message], str | None], Outcome], messages: Sequence[Message]
) -> list[Outcome]:
    """Write `messages` with `write` (messages, condemned); one that cannot be stored does not hold up the others.

    No rule lets such a message pass that we know of. But if the database refuses what a batch says, it will refuse it
    for ever; so the batch is halved until the culprit is alone, and that one is put into quarantine.
    """
    try:
        return [write(messages, None)]
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        if len(messages) == 1:
            return [write(messages, f"the database refuses it: {error.diag.message_primary or type(error).__name__}")]
    half = len(messages) // 2
    return write_surviving(write, messages[:half]) + write_surviving(write, messages[half:])


@dataclass(frozen=True, slots=True, eq=False)
class _Arrivals:
    """Columns of the messages whose sensor, stream and number are known, in the order in which they came."""

    message: Int64s
    """Place among the messages."""
    row: Int64s
    """Row in the batch; -1 if sensor, stream and number are all that could be read."""
    stream: Int64s
    """Code of the stream, which is a position in `streams` and `stream_nodes`."""
    seq: Int64s

    sensors: list[str]
    """Distinct sensors; the batch's come first, under their codes there."""
    streams: list[tuple[int, UUID]]
    """Distinct streams: the sensor's code and the stream's id."""
    stream_nodes: list[str | None]
    """The node that was first to report each stream."""
    nodes: list[str]
    """Every node that sent a message, readable or not."""
    senders: list[str | None]
    """The node of each arrival."""

    @classmethod
    def of(cls, batch: ReportBatch, messages: Sequence[Message], left_out: Collection[int] = ()) -> "_Arrivals":
        """The arrivals of a batch and of the unreadable messages whose identity could be read.

        Those in `left_out`, by their place, are in none of the columns; `sensors` has theirs all the same.
        """
        sensors = {sensor: code for code, sensor in enumerate(batch.sensors)}
        streams = {stream: code for code, stream in enumerate(batch.streams)}
        known = [(refusal.position, *refusal.error.identity) for refusal in batch.refused if refusal.error.identity]
        extra = np.array(
            [
                (position, -1, sensors.setdefault(sensor, len(sensors)), streams.setdefault(stream, len(streams)), seq)
                for position, sensor, stream, seq in known
            ],
            np.int64,
        ).reshape(-1, 5)
        columns = np.stack([batch.position, np.arange(len(batch)), batch.sensor, batch.stream, batch.seq], axis=1)
        columns = np.concatenate([columns, extra])
        if left_out:
            columns = columns[~np.isin(columns[:, 0], list(left_out))]
        message, row, sensor, stream, seq = columns[np.argsort(columns[:, 0], kind="stable")].T
        pairs, first, pair = np.unique(sensor * len(streams) + stream, return_index=True, return_inverse=True)
        ids = list(streams)
        senders = [messages[position].topic_node for position in message.tolist()]
        return cls(
            message=message,
            row=row,
            stream=pair,
            seq=seq,
            sensors=list(sensors),
            streams=[(value // len(streams), ids[value % len(streams)]) for value in pairs.tolist()],
            stream_nodes=[senders[at] for at in first.tolist()],
            nodes=sorted({message.topic_node for message in messages if message.topic_node is not None}),
            senders=senders,
        )

    @property
    def sensor(self) -> Int64s:
        """Code of the sensor of each arrival."""
        return np.array([code for code, _ in self.streams], np.int64)[self.stream]

    def stream_keys(self, sensors: Sensors) -> list[StreamKey]:
        """The streams as the store knows them."""
        return [(int(sensors.keys[code]), stream) for code, stream in self.streams]

    def touched(self, streams: Sequence[StreamKey]) -> list[tuple[str, StreamKey]]:
        """Which node touched which stream, imports left out."""
        pairs = set(zip(self.senders, self.stream.tolist(), strict=True))
        return [(node, streams[code]) for node, code in pairs if node is not None]


def _lock(connection: Connection, arrivals: _Arrivals, rules: Rules) -> tuple[Sensors, dict[int, What]]:
    """Lock the sensors, and create those that are new; the messages that name more of them than their node may."""
    unknown = store.unknown_sensors(connection, arrivals.sensors)
    if not unknown:
        return store.lock_known_sensors(connection, arrivals.sensors), {}
    ids = [arrivals.sensors[code] for code in arrivals.sensor.tolist()]
    namings = [
        naming for naming in zip(arrivals.message.tolist(), ids, arrivals.senders, strict=True) if naming[1] in unknown
    ]
    has = budgets.sensors_made(connection, {node for _, _, node in namings})
    made, over = budgets.makers(namings, has, rules)
    store.make_sensors(connection, made)
    return store.lock_known_sensors(connection, arrivals.sensors, but=unknown - made.keys()), over


def _spend(
    connection: Connection,
    batch: ReportBatch,
    arrivals: _Arrivals,
    streams: Sequence[StreamKey],
    known: Received,
    *,
    now: datetime,
    rules: Rules,
) -> tuple[list[Need], Amounts, dict[int, What]]:
    """What new streams, late minutes and spans need of the budgets of their nodes, what they use up, who is beyond."""
    unheard = np.setdiff1d(np.arange(len(streams)), known.stream).tolist()
    new = {unheard[at] for at in store.unknown_streams(connection, [streams[code] for code in unheard])}
    # What was received before adds nothing. To be told so is what its node sends it again for.
    counts = (arrivals.row >= 0) & ~held(arrivals.stream, arrivals.seq, known, len(streams))
    rows, added = budgets.counted_rows(batch, arrivals.row[counts], now=int(now.timestamp()))
    if not (new or len(rows)):
        return [], Counter(), {}
    adds = dict(zip(rows.tolist(), added.tolist(), strict=True))
    needs = [
        Need(place, node, stream if stream in new else None, adds.get(row, 0), (stream, seq))
        for place, node, stream, row, seq in zip(
            arrivals.message.tolist(),
            arrivals.senders,
            arrivals.stream.tolist(),
            arrivals.row.tolist(),
            arrivals.seq.tolist(),
            strict=True,
        )
        if stream in new or row in adds
    ]
    nodes = {need.node for need in needs if need.node is not None}
    return needs, *budgets.spend(needs, budgets.used_today(connection, nodes, now), rules)


def believable(
    connection: Connection,
    batch: ReportBatch,
    rows: Int64s,
    messages: Sequence[Message],
    sensors: Sensors,
    *,
    now: int,
    rules: Rules,
) -> tuple[Int64s, list[Finding], dict[int, str]]:
    """The rules that look at one report: the rows that pass, the findings on the others, and who claims what first."""
    senders = [messages[position] for position in batch.position.tolist()]
    found = judge.wrong_topic(batch, rows, [message.topic_sensor for message in senders])
    found += judge.impossible(batch, _without(rows, found), now=now, rules=rules)
    found += judge.too_old(batch, _without(rows, found), rules=rules)
    rows = _without(rows, found)
    nodes = [message.topic_node for message in senders]
    strangers, first = judge.wrong_node(batch, rows, nodes, store.claims(connection, sensors), rules=rules)
    return _without(rows, strangers), found + strangers, first


def _without(rows: Int64s, findings: Sequence[Finding]) -> Int64s:
    return rows[~np.isin(rows, [finding.row for finding in findings])] if findings else rows


def fitting(
    connection: Connection, batch: ReportBatch, rows: Int64s, sensors: Sensors
) -> tuple[Int64s, list[Finding], Deltas, Int64s | None]:
    """Leave out the reports that do not fit beside what is stored already, and sum up the others.

    The last is what is stored of the minutes they cover (`store.measured`); None if that has to be asked anew.
    """
    deltas = aggregate(batch.take(rows))
    stored = store.measured(connection, deltas.coverage, sensors)
    found = misfits(batch, rows, ledgers(connection, batch, rows, deltas, sensors, stored=stored))
    if not found:
        return rows, found, deltas, stored
    rows = _without(rows, found)
    return rows, found, aggregate(batch.take(rows)), None


def _unusable(
    batch: ReportBatch,
    messages: Sequence[Message],
    arrivals: _Arrivals,
    verdicts: npt.NDArray[np.int8],
    findings: Iterable[Finding],
    *,
    left_out: Collection[int],
) -> dict[int, Quarantined]:
    """What goes to quarantine, by place, in the order of arrival; nothing of what was `left_out`."""
    found: dict[int, Quarantined] = {}

    def keep(
        position: int,
        reason: Reason,
        detail: str,
        identity: tuple[str | None, UUID | None, int | None],
        verdict: Verdict | None = None,
    ) -> None:
        message = messages[position]
        found[position] = Quarantined(
            reason,
            detail,
            message.topic_node,
            identity,
            message.payload,
            topic_sensor=message.topic_sensor,
            topic_fault=message.topic_fault,
            holds_number=verdict is Verdict.FRESH,
            repeated=verdict is Verdict.DUPLICATE,
        )

    refusals = {refusal.position: refusal for refusal in batch.refused if refusal.position not in left_out}
    for at in np.flatnonzero((arrivals.row < 0) | (verdicts > Verdict.DUPLICATE)).tolist():
        position, verdict = int(arrivals.message[at]), Verdict(verdicts[at])
        sensor, stream = arrivals.streams[arrivals.stream[at]]
        identity = (arrivals.sensors[sensor], stream, int(arrivals.seq[at]))
        if arrivals.row[at] < 0:
            keep(position, Reason.UNREADABLE, f"{refusals.pop(position).error}; {MARKED[verdict]}", identity, verdict)
        else:
            keep(position, *REFUSED[verdict], identity, verdict)
    for position, refusal in refusals.items():
        message = messages[position]
        detail = message.topic_fault or str(refusal.error)
        keep(position, Reason.UNREADABLE, detail, (message.topic_sensor, None, None))
    for finding in findings:
        row = finding.row
        sensor, stream = batch.sensors[batch.sensor[row]], batch.streams[batch.stream[row]]
        identity = (sensor, stream, int(batch.seq[row]))
        keep(int(batch.position[row]), finding.reason, finding.detail, identity, Verdict.FRESH)
    return {position: found[position] for position in sorted(found)}


REFUSED = {
    Verdict.TOO_MANY_GAPS: (
        Reason.TOO_MANY_GAPS,
        f"its stream would be in more than {MAX_RANGES} pieces; not marked received",
    ),
    Verdict.FAR_AHEAD: (
        Reason.FAR_AHEAD,
        f"its number is {MAX_AHEAD} or more above its stream's highest; not marked received",
    ),
}
"""Reason and detail of a number that is not taken."""

MARKED = {
    Verdict.FRESH: "its number is marked received, so that it is not sent again",
    Verdict.DUPLICATE: "its number was received before",
    Verdict.TOO_MANY_GAPS: REFUSED[Verdict.TOO_MANY_GAPS][1],
    Verdict.FAR_AHEAD: REFUSED[Verdict.FAR_AHEAD][1],
}
"""What an unreadable message's detail says of its number."""
