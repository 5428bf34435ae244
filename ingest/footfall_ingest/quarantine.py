"""What lies in quarantine: which rows, what they mean, trying them again, closing them. Nothing is ever deleted."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from footfall_contract import ContractError, __version__, decode
from footfall_contract._cbor import read_map  # the one reader that does no more than read, whatever the bytes are
from footfall_contract.report import encode_json
from footfall_ingest.commands import Connection, RefusedError
from footfall_ingest.judge import Reason, Rules
from footfall_ingest.moments import utc
from footfall_ingest.retry import Became, Retried, retry

PAGE = 500

HINTS: Mapping[Reason, str] = {
    Reason.UNREADABLE: "no report this version can read; if a newer node sent it, upgrade the server and retry",
    Reason.TOO_MANY_GAPS: "its stream would be in too many pieces; retry once what is missing has come",
    Reason.FAR_AHEAD: "its number is far beyond its stream's; look at what numbers the reports, then retry or close",
    Reason.IMPOSSIBLE: "more people than can pass, or measured in the future: set the node's clock; close",
    Reason.TOO_OLD: "from before anyone counted: set the node's clock; close, or move [rules] oldest and retry",
    Reason.WRONG_NODE: "the sensor belongs to another node: `footfall-ingest sensor move`, then retry",
    Reason.SECOND_WRITER: "its time is measured already: find the second device or the cloned box; close",
    Reason.UNWRITABLE: "the database refused it: keep it, report the detail as a fault, retry after the mending",
}
"""What each reason means and what to do about it; docs/quarantine.md says more."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows; None does not restrict, an empty sequence matches nothing."""

    ids: Sequence[int] | None = None
    reason: Sequence[str] | None = None
    node: Sequence[str] | None = None
    sensor: Sequence[str] | None = None
    since: datetime | None = None
    """Last seen at or after."""
    closed: bool = False
    """Closed rows too."""
    other_than: str | None = None
    """Looked at last by another version of the program than this."""


SELECTED = """
    (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s)) AND (%(reason)s::text[] IS NULL OR reason = ANY(%(reason)s))
    AND (%(node)s::text[] IS NULL OR node = ANY(%(node)s))
    AND (%(sensor)s::text[] IS NULL OR sensor = ANY(%(sensor)s))
    AND (%(since)s::timestamptz IS NULL OR last_seen >= %(since)s) AND (%(closed)s OR closed_at IS NULL)
    AND (%(other_than)s::text IS NULL OR program IS DISTINCT FROM %(other_than)s)
"""


def selected(connection: Connection, chosen: Selection) -> Iterator[int]:
    """The ids of the chosen rows in the order in which their messages first came; those that come later are left out.

    Reads page by page, so rows may be changed on the way.
    """
    query = f"""
        SELECT first_seen, id FROM quarantine
        WHERE {SELECTED} AND id <= %(last)s AND (first_seen, id) > (%(after)s, %(after_id)s)
        ORDER BY first_seen, id LIMIT {PAGE}
    """  # noqa: S608  # constants of this module
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM quarantine").fetchall()[0]
    at: dict[str, object] = {**asdict(chosen), "last": last, "after": datetime.min.replace(tzinfo=UTC), "after_id": 0}
    while page := connection.execute(query, at).fetchall():
        yield from (row for _, row in page)
        at["after"], at["after_id"] = page[-1]


_COLUMNS = ("id", "last seen (UTC)", "times", "reason", "node", "sensor", "seq", "detail")


def lines(connection: Connection, chosen: Selection = Selection(), *, limit: int = 1000) -> Iterator[str]:
    """The chosen rows as a table, the latest first, at most `limit`; then how many there are and what to do."""
    query = f"""
        SELECT id::text, to_char(last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), times::text, reason,
            coalesce(node, '-'), coalesce(sensor, '-'), coalesce(seq::text, '-'),
            CASE WHEN closed_at IS NULL THEN '' ELSE '[closed: ' || coalesce(closed_how, '-') || '] ' END || detail
        FROM quarantine WHERE {SELECTED} ORDER BY last_seen DESC, id DESC LIMIT %(limit)s
    """  # noqa: S608  # a constant of this module
    rows = connection.execute(query, {**asdict(chosen), "limit": limit}).fetchall()
    found = counts(connection, chosen)
    if not found:
        yield "nothing is in quarantine" if chosen == Selection() else "nothing in quarantine is like that"
        return
    table = [_COLUMNS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS) - 1)]
    for row in table:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
    if sum(found.values()) > limit:
        yield f"... and more; these are the latest {limit}"
    yield ""
    for reason, number in found.items():
        yield f"{number:7}  {reason}: {HINTS[Reason(reason)] if reason in HINTS else 'a reason of another version'}"


def counts(connection: Connection, chosen: Selection) -> dict[str, int]:
    """How many rows are chosen, by reason."""
    query = f"SELECT reason, count(*) FROM quarantine WHERE {SELECTED} GROUP BY reason ORDER BY reason"  # noqa: S608  # constants
    return dict(connection.execute(query, asdict(chosen)).fetchall())


def payload_lines(payload: bytes) -> Iterator[str]:
    """A payload for people: as the report that it is, else as text if it is some, else in hexadecimal digits."""
    if report := _as_report(payload):
        yield f"payload, a report in {len(payload)} bytes:"
        yield report
        return
    text = payload.decode("utf-8", errors="replace")
    if text and all(character in "\n\t" or (character.isprintable() and character != "\ufffd") for character in text):
        yield f"payload, {len(payload)} bytes of text:"
        yield from text.splitlines()
        return
    yield f"payload, {len(payload)} bytes:"
    for at in range(0, len(payload), 16):
        part = payload[at : at + 16]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{at:06x}  {part.hex(' '):47}  {shown}"


def _as_report(payload: bytes) -> str:
    """A payload in JSON if it is a report, or at least CBOR of plain values; else nothing."""
    try:
        return encode_json(decode(payload)).decode()
    except ContractError:
        pass
    if payload[:1] == b"{":
        return ""
    try:
        members = read_map(payload).members
    except ContractError:
        return ""
    return json.dumps({str(name): value for name, value in members}, default=str)


@dataclass
class Tally:
    """What became of many messages."""

    became: Counter[str]
    reasons: Counter[str]

    def lines(self, *, dry_run: bool = False) -> list[str]:
        """A line for each thing that became of some."""
        would = "would be " if dry_run else ""
        said = [
            (Became.COUNTED, f"{would}counted"),
            (Became.DUPLICATE, f"{would}closed as duplicates: their numbers were received otherwise"),
            (Became.OUTDATED, f"{would}closed as outdated: states that can be read now"),
            (Became.KEPT, f"{'would stay' if dry_run else 'stay'} in quarantine"),
            (Became.GONE, "closed by someone else meanwhile"),
        ]
        found = [f"{self.became[became]:7}  {text}" for became, text in said if self.became[became]]
        found += [f"{number:15}  {reason}" for reason, number in sorted(self.reasons.items())]
        return found or ["there was nothing to retry"]


def retry_all(
    connection: Connection,
    chosen: Selection,
    *,
    rules: Rules,
    as_of: datetime | None = None,
    dry_run: bool = False,
    on_each: Callable[[Retried], object] = lambda _: None,
) -> Tally:
    """Retry the chosen open rows, each in a transaction of its own, in the order in which they came."""
    tally = Tally(Counter(), Counter())
    for row in selected(connection, replace(chosen, closed=False)):
        retried = retry(connection, row, rules=rules, as_of=as_of, dry_run=dry_run)
        tally.became[retried.became] += 1
        if retried.became is Became.KEPT:
            tally.reasons[retried.reason] += 1
        on_each(retried)
    return tally


def retry_unreadable(connection: Connection, rules: Rules) -> Tally:
    """Retry what another version of the program could not read; what this one cannot read either it looks at once."""
    return retry_all(connection, Selection(reason=[Reason.UNREADABLE], other_than=__version__), rules=rules)


_IN_ORDER = """
    SELECT id FROM quarantine WHERE id = ANY(%(ids)s)
    ORDER BY content, coalesce(node, '') COLLATE "C", coalesce(sensor, '') COLLATE "C" FOR NO KEY UPDATE
"""
"""Locks rows in the order in which everyone does who writes several (`footfall_ingest.store.quarantine`)."""


def close(connection: Connection, ids: Sequence[int], *, why: str, who: str) -> None:
    """Close open rows because a person decided so; all or none.

    Raises:
        RefusedError: one of them is not there or is closed.
    """
    with connection.transaction():
        connection.execute(_IN_ORDER, {"ids": list(ids)})
        check_open(connection, ids)
        connection.execute(
            "UPDATE quarantine SET closed_at = now(), closed_how = 'by-hand', closed_why = %s, closed_by = %s "
            "WHERE id = ANY(%s)",
            [why, who, list(ids)],
        )


def reopen(connection: Connection, ids: Sequence[int]) -> None:
    """Open again what a person closed; all or none.

    Raises:
        RefusedError: one of them is not there, is open, or was closed because it was counted or came otherwise.
    """
    with connection.transaction():
        connection.execute(_IN_ORDER, {"ids": list(ids)})
        found = _closings(connection, ids)
        faults = [
            f"row {row} was not closed by a person: {_said(found.get(row))}"
            for row in ids
            if found.get(row, (None, None))[1] != "by-hand"
        ]
        if faults:
            raise RefusedError("\n".join(faults))
        connection.execute(
            "UPDATE quarantine SET (closed_at, closed_how, closed_why, closed_by) = (NULL, NULL, NULL, NULL) "
            "WHERE id = ANY(%s)",
            [list(ids)],
        )


def check_open(connection: Connection, ids: Sequence[int]) -> None:
    """Make sure that all these rows are there and open.

    Raises:
        RefusedError: one is not; a line for each.
    """
    found = _closings(connection, ids)
    faults = [f"row {row} is not open: {_said(found.get(row))}" for row in ids if found.get(row, ("",))[0] is not None]
    if faults:
        raise RefusedError("\n".join(faults))


def _closings(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[datetime | None, str | None]]:
    query = "SELECT id, closed_at, closed_how FROM quarantine WHERE id = ANY(%s)"
    return {row: (at, how) for row, at, how in connection.execute(query, [list(ids)])}


def _said(closing: tuple[datetime | None, str | None] | None) -> str:
    if closing is None:
        return "there is none"
    at, how = closing
    return f"closed at {utc(at)} ({how or 'nobody said how'})" if at else "it is open"
