"""What can be used and what goes to quarantine: the rules, without I/O and without a clock.

The rules that look at one report come first, in a fixed order: `wrong_topic`, `impossible`, `too_old`, `wrong_node`.
What passes them is held against what was measured already, in the order of arrival (see `footfall_ingest.ledger`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from footfall_contract.batch import ReportBatch

Int64s = npt.NDArray[np.int64]

MAX_PASSAGES_PER_S = 100
"""More than this no line counts: where people walk shoulder to shoulder, about 2 a second pass each metre of it."""


class Reason(StrEnum):
    """Why something is in quarantine."""

    UNREADABLE = "unreadable"
    TOO_MANY_GAPS = "too-many-gaps"
    FAR_AHEAD = "far-ahead"
    IMPOSSIBLE = "impossible"
    TOO_OLD = "too-old"
    WRONG_NODE = "wrong-node"
    SECOND_WRITER = "second-writer"
    UNWRITABLE = "unwritable"


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits that are settings. Times are UTC unix seconds, lengths seconds."""

    oldest: int = 1_420_070_400
    """2015-01-01: no report begins before it."""
    future_s: int = 600
    """How far a node's clock may be ahead."""
    first_node_owns: bool = True
    """A sensor that is nobody's becomes the node's that reports it first."""
    node_sensors: int = 256
    """Sensors that a node may make; of this and the others `footfall_ingest.budgets` says more."""
    node_streams: int = 10_000
    """Streams that a node may begin on a UTC day."""
    node_rows: int = 5_000_000
    """Rows of late minutes and of spans that a node may bring on a UTC day."""
    node_quarantined: int = 20_000
    """Messages of a node that may lie open in quarantine."""
    node_quarantined_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """A report, by its row in the batch, that goes to quarantine."""

    row: int
    reason: Reason
    detail: str


def utc_text(second: int) -> str:
    """A UTC unix second for people."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wrong_topic(batch: ReportBatch, rows: Int64s, topics: Sequence[str | None]) -> list[Finding]:
    """Reports among `rows` that speak of another sensor than their topic. `topics` has each report's, None for none."""
    sensors = batch.sensor.tolist()
    return [
        Finding(row, Reason.IMPOSSIBLE, f"it speaks of {batch.sensors[sensors[row]]} on the topic of {topics[row]}")
        for row in rows.tolist()
        if topics[row] != batch.sensors[sensors[row]] and topics[row] is not None
    ]


def impossible(batch: ReportBatch, rows: Int64s, *, now: int, rules: Rules) -> list[Finding]:
    """Reports among `rows` that measured the future, or counted more than can pass. `now` is UTC unix seconds."""
    latest = now + rules.future_s
    details: dict[int, str] = {}
    for row in rows[_last_start(batch, rows) > latest].tolist():
        begins = max(int(batch.start[row]), _last_measured(batch, row))
        if begins > latest:
            details[row] = f"{utc_text(begins)} is in the future; the node's clock is wrong"
    total = np.bincount(batch.cell_report, weights=batch.cell_count, minlength=len(batch))
    for row in rows[total[rows] > MAX_PASSAGES_PER_S * batch.slot[rows]].tolist():
        most, slot = _most_in_a_slot(batch, row), int(batch.slot[row])
        if most > MAX_PASSAGES_PER_S * slot:
            details.setdefault(row, f"{most} passages in {slot} s are more than {MAX_PASSAGES_PER_S} a second")
    return [Finding(row, Reason.IMPOSSIBLE, detail) for row, detail in sorted(details.items())]


def too_old(batch: ReportBatch, rows: Int64s, *, rules: Rules) -> list[Finding]:
    """Reports among `rows` that begin before anyone counted: the work of a clock that was never set."""
    return [
        Finding(row, Reason.TOO_OLD, f"{utc_text(int(batch.start[row]))} is before {utc_text(rules.oldest)}")
        for row in rows[batch.start[rows] < rules.oldest].tolist()
    ]


@dataclass(frozen=True, slots=True)
class Claim:
    """From `since` on (UTC unix seconds, minus infinity for ever) reports of a sensor are `node`'s to make."""

    since: float
    node: str


def wrong_node(
    batch: ReportBatch,
    rows: Int64s,
    nodes: Sequence[str | None],
    claims: Mapping[int, Sequence[Claim]],
    *,
    rules: Rules,
) -> tuple[list[Finding], dict[int, str]]:
    """Reports among `rows` of sensors that were another node's when the report began; and who claims a sensor first.

    A span has to be its node's from beginning to end: what a box finds when its sensor comes back to it has in it what
    the sensor counted elsewhere. `nodes` has the node of each report, None for an imported one, which may speak of any
    sensor. `claims` has what is stored for each sensor by code, ascending by time. The second result has the node for
    each sensor without a claim; it has none where `rules` leave that to people.
    """
    first: dict[int, str] = {}
    findings = []
    for row, sensor, start in zip(rows.tolist(), batch.sensor[rows].tolist(), batch.start[rows].tolist(), strict=True):
        node = nodes[row]
        if node is None:
            continue
        owners = claims.get(sensor, ())
        if owners:
            whose_now = owner(owners, start)
        else:
            whose_now = first.setdefault(sensor, node) if rules.first_node_owns else None
        if whose_now != node:
            whose = f"belongs to node {whose_now}" if whose_now else "belonged to no node"
            detail = f"sensor {batch.sensors[sensor]} {whose} at {utc_text(start)}, not to {node}"
            findings.append(Finding(row, Reason.WRONG_NODE, detail))
        elif batch.is_span[row] and (other := _next_stranger(owners, start, start + int(batch.slot[row]), node)):
            detail = (
                f"sensor {batch.sensors[sensor]} belongs to node {other.node} from {utc_text(int(other.since))} on, "
                f"before this span of {node} ends at {utc_text(start + int(batch.slot[row]))}: what it counted there "
                "may be in it; if nothing is, put the change where the sensor really moved (footfall-ingest sensor "
                "move) and retry, else close it"
            )
            findings.append(Finding(row, Reason.WRONG_NODE, detail))
    return findings, first


def owner(claims: Sequence[Claim], at: int) -> str | None:
    """Whose a sensor with `claims`, ascending by time, is at `at` (UTC unix seconds); None: nobody's."""
    found = None
    for claim in claims:
        if claim.since > at:
            break
        found = claim.node
    return found


def _next_stranger(claims: Sequence[Claim], start: int, end: int, node: str) -> Claim | None:
    """The first claim of another node within a span of `node`, whose start is its own."""
    return next((claim for claim in claims if start < claim.since < end and claim.node != node), None)


def _last_start(batch: ReportBatch, rows: Int64s) -> Int64s:
    """When the last slot of each report begins."""
    return batch.start[rows] + batch.slot[rows] * (batch.slots[rows] - 1)


def _last_measured(batch: ReportBatch, row: int) -> int:
    """When the last slot begins that was measured or counted in; a report may be padded with slots still to come."""
    slots = slice(*np.searchsorted(batch.observed_report, (row, row + 1)))
    cells = slice(*np.searchsorted(batch.cell_report, (row, row + 1)))
    measured = batch.observed_index[slots][batch.observed[slots] > 0]
    last = max(int(measured.max(initial=0)), int(batch.cell_index[cells].max(initial=0)))
    return int(batch.start[row]) + last * int(batch.slot[row])


def _most_in_a_slot(batch: ReportBatch, row: int) -> int:
    cells = slice(*np.searchsorted(batch.cell_report, (row, row + 1)))
    return int(np.bincount(batch.cell_index[cells], weights=batch.cell_count[cells]).max())
