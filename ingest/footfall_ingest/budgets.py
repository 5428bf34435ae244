"""What one node may bring into the store: more than an honest one ever does, and not enough to fill the disk.

Whoever has the account of a box can send whatever its program allows: sensors that there are not, a new stream with
each report, the minutes of ten years, spans without end, megabytes of nonsense. For each there is a budget, and what is
beyond it is *refused*: neither stored nor kept, and above all not marked received. So an honest node loses nothing
by it: its outbox keeps what no commit notice covers and sends it again. Only this is counted, by node and day.

Minutes of the last two days need no budget: there are no more of them than time goes by, times the sensors of the node.

=============  ========================================  =====================================  ====================
budget         what uses it up                           what is looked at                      when it is free again
=============  ========================================  =====================================  ====================
`SENSORS`      a name that no sensor has                 `sensor.made_by`, `sensor_state`       `sensor forget`
`STREAMS`      a stream that there is not                `node_day`                             the next UTC day
`ROWS`         rows of late minutes, and of spans        `node_day`                             the next UTC day
`QUARANTINE`   a message that is kept aside              open rows of `quarantine`, with bytes  retry, or close
`QUEUE`        messages that wait here to be written     `footfall_ingest.inbox`                they are written
=============  ========================================  =====================================  ====================

Each is asked only where something of its kind comes. Several aggregators look at the same rows; each may go beyond a
budget by what it has in hand, a batch.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psycopg

from footfall_contract.batch import ReportBatch
from footfall_contract.words import MAX_SLOTS
from footfall_ingest.judge import Rules
from footfall_ingest.store import Quarantined

Connection = psycopg.Connection[Any]
Int64s = npt.NDArray[np.int64]

MINUTE_S = 60

FRESH_S: Final = 2 * 86_400
"""Minutes that began within this time before now are no late ones."""

SHOWN_DAYS: Final = 7
"""For so many days it is told that something was refused."""

NOBODY: Final = ""
"""In `node_day`: messages of which no node could be read."""


class What(StrEnum):
    """What there is a budget of."""

    SENSORS = "sensors"
    STREAMS = "streams"
    ROWS = "rows"
    QUARANTINE = "quarantine"
    QUEUE = "queue"


Amounts = Counter[tuple[str, What]]
"""Something by node and budget."""


# -- the rules --------------------------------------------------------------------------------------------------------


def makers(
    namings: Iterable[tuple[int, str, str | None]], has: Mapping[str, int], rules: Rules
) -> tuple[dict[str, str | None], dict[int, What]]:
    """Which node makes which new sensor: the first to name it that may.

    `namings` are a message's place, the sensor that is not known, and the node (None: an import, which may), in the
    order of arrival; `has` is how many sensors each node has made so far. The second result has the messages that are
    refused, by their place.
    """
    made: dict[str, str | None] = {}
    over: dict[int, What] = {}
    number = Counter(has)
    for place, sensor, node in namings:
        if sensor in made:
            continue
        if node is not None and number[node] >= rules.node_sensors:
            over[place] = What.SENSORS
            continue
        made[sensor] = node
        if node is not None:
            number[node] += 1
    return made, over


@dataclass(frozen=True, slots=True)
class Need:
    """What a message would use up."""

    place: int
    node: str | None
    """None: an import, which uses up nothing."""
    stream: int | None
    """Code of a stream that there is not yet; None: it is there."""
    rows: int
    """Rows of late minutes or of a span."""
    number: tuple[int, int] | None = None
    """Code of the stream and number of the report: it is paid for once, however often it comes."""


def spend(needs: Iterable[Need], used: Mapping[tuple[str, What], int], rules: Rules) -> tuple[Amounts, dict[int, What]]:
    """What `needs`, in the order of arrival, use up beyond what was `used` today, and which are refused, by place.

    A message that is refused uses up nothing, so that it may be sent again.
    """
    spent: Amounts = Counter()
    over: dict[int, What] = {}
    begun: set[int] = set()
    had: set[tuple[int, int] | None] = set()
    total = Counter(used)
    for need in needs:
        if need.node is not None:
            streams = int(need.stream is not None and need.stream not in begun)
            rows = 0 if need.number in had else need.rows
            if streams and total[need.node, What.STREAMS] + streams > rules.node_streams:
                over[need.place] = What.STREAMS
                continue
            if rows and total[need.node, What.ROWS] + rows > rules.node_rows:
                over[need.place] = What.ROWS
                continue
            for what, amount in ((What.STREAMS, streams), (What.ROWS, rows)):
                if amount:
                    spent[need.node, what] += amount
                    total[need.node, what] += amount
        if need.stream is not None:
            begun.add(need.stream)
        if need.number is not None:
            had.add(need.number)
    return spent, over


def rows_of(needs: Iterable[Need], places: Collection[int], over: Collection[int]) -> Amounts:
    """What the messages at `places` had of their nodes' rows: it is free again if they were refused after all.

    Those in `over` were refused by `spend`.
    """
    rows: Amounts = Counter()
    had: set[tuple[int, int] | None] = set()
    for need in needs:
        if need.place in over:
            continue
        if need.node is not None and need.rows and need.place in places and need.number not in had:
            rows[need.node, What.ROWS] += need.rows
        if need.number is not None:
            had.add(need.number)
    return rows


def counted_rows(batch: ReportBatch, rows: Int64s, *, now: int) -> tuple[Int64s, Int64s]:
    """Those of `rows` that are late or spans, and how many rows of the store each may add. `now`: UTC unix seconds."""
    rows = rows[batch.is_span[rows] | (batch.start[rows] < now - FRESH_S)]
    if not len(rows):
        return rows, rows
    part = batch.take(rows)
    ends = part.start + part.slot * part.slots
    covered = np.where(part.is_span, 1, -(-ends // MINUTE_S) - part.start // MINUTE_S)
    report = part.cell_report
    minute = (part.start[report] + part.cell_index * part.slot[report]) // MINUTE_S
    # Report, minute, direction and class as one number: of these the distinct ones are found fast.
    within = np.where(part.is_span[report], 0, minute - part.start[report] // MINUTE_S)
    cells = (report * (MAX_SLOTS + 1) + within) << 16 | part.cell_direction.astype(np.int64) << 8 | part.cell_class
    return rows, covered + np.bincount((np.unique(cells) >> 16) // (MAX_SLOTS + 1), minlength=len(rows))


Held = Mapping[str, tuple[int, int]]
"""Messages and bytes of each node that lie open in quarantine."""

Key = tuple[str | None, str | None, bytes]
"""Node, sensor and content: messages that agree in these are one row of the quarantine."""


def without_room(
    messages: Mapping[int, Quarantined], held: Held, there: Collection[Key], rules: Rules
) -> dict[int, What]:
    """Which of `messages`, by place in the order of arrival, have no room in quarantine.

    `there` has the keys of open rows: what comes again needs no room. Imports have no budget.
    """
    over: dict[int, What] = {}
    rows = Counter({node: number for node, (number, _) in held.items()})
    size = Counter({node: number for node, (_, number) in held.items()})
    known = set(there)
    for place, message in messages.items():
        key = (message.node, message.identity[0], message.content)
        node = message.node or NOBODY
        if key in known or message.imported:
            continue
        length = len(message.payload)
        if rows[node] >= rules.node_quarantined or size[node] + length > rules.node_quarantined_bytes:
            over[place] = What.QUARANTINE
        else:
            known.add(key)
            rows[node] += 1
            size[node] += length
    return over


# -- what is stored ---------------------------------------------------------------------------------------------------


def sensors_made(connection: Connection, nodes: Collection[str | None]) -> dict[str, int]:
    """How many sensors each of `nodes` has made."""
    query = "SELECT made_by, count(*) FROM sensor WHERE made_by = ANY(%s) GROUP BY made_by"
    return dict(connection.execute(query, [_named(nodes)]).fetchall())


def sensors_told(connection: Connection, nodes: Collection[str]) -> dict[tuple[str, str], bool]:
    """Node and sensor of each health that `nodes` may go on to say: of their own sensors, and of those they spoke of.

    The value is whether it counts towards what a node may have: it does not where the sensor is, or was, its own.
    """
    if not nodes:
        return {}
    query = """
        SELECT node, sensor, true FROM sensor_state WHERE node = ANY(%(nodes)s)
        UNION ALL
        SELECT node, id, false FROM sensor_node JOIN sensor ON key = sensor WHERE node = ANY(%(nodes)s)
        ORDER BY 3 DESC
    """
    rows = connection.execute(query, {"nodes": _named(nodes)}).fetchall()
    return {(node, sensor): counts for node, sensor, counts in rows}


def used_today(connection: Connection, nodes: Collection[str], now: datetime) -> Amounts:
    """What `nodes` have used on the UTC day of `now`."""
    query = "SELECT node, what, used FROM node_day WHERE node = ANY(%s) AND day = %s"
    rows = connection.execute(query, [_named(nodes), _day(now)])
    return Counter({(node, What(what)): used for node, what, used in rows})


def refused_quarantine(connection: Connection, messages: Mapping[int, Quarantined], rules: Rules) -> dict[int, What]:
    """Which of `messages`, by place in the order of arrival, have no room in quarantine beside what lies there."""
    of_nodes = {message.node or NOBODY for message in messages.values() if not message.imported}
    if not of_nodes:
        return {}
    query = """
        SELECT coalesce(node, ''), count(*), sum(bytes)::bigint FROM quarantine
        WHERE closed_at IS NULL AND (node = ANY(%s) OR (%s AND node IS NULL AND topic_fault IS NOT NULL)) GROUP BY 1
    """
    rows = connection.execute(query, [_named(of_nodes), NOBODY in of_nodes])
    held = {node: (number, size) for node, number, size in rows}
    if not without_room(messages, held, (), rules):
        return {}
    query = "SELECT node, sensor, content FROM quarantine WHERE closed_at IS NULL AND content = ANY(%s)"
    there = connection.execute(query, [[message.content for message in messages.values()]]).fetchall()
    return without_room(messages, held, {(node, sensor, bytes(content)) for node, sensor, content in there}, rules)


def note(connection: Connection, spent: Amounts, refused: Amounts, now: datetime) -> None:
    """Write down what was used and how many messages were refused, in the transaction that is open."""
    keys = sorted(spent.keys() | refused.keys())
    if not keys:
        return
    # In order, so that two writers never wait for each other in a circle.
    connection.cursor().executemany(
        """
        INSERT INTO node_day AS told (node, day, what, used, refused, refused_last)
        VALUES (%(node)s, %(day)s, %(what)s, %(used)s, %(refused)s, %(last)s)
        ON CONFLICT (day, node, what) DO UPDATE SET used = told.used + excluded.used,
            refused = told.refused + excluded.refused,
            refused_last = coalesce(excluded.refused_last, told.refused_last)
        """,
        [
            {
                "node": node,
                "day": _day(now),
                "what": what,
                "used": spent[node, what],
                "refused": refused[node, what],
                "last": now if refused[node, what] else None,
            }
            for node, what in keys
        ],
    )


def note_refused(connection: Connection, refused: Amounts, now: datetime) -> None:
    """Write down how many messages were refused, in one transaction, and commit it."""
    with connection.transaction():
        note(connection, Counter(), refused, now)


def amounts(over: Mapping[int, What], nodes: Sequence[str | None]) -> Amounts:
    """How many messages were refused, by node and budget; `nodes` has the node of each place."""
    return Counter((nodes[place] or NOBODY, what) for place, what in over.items())


# -- for people -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use:
    """What a node has of its budgets."""

    sensors: int = 0
    """Sensors that it named first."""
    streams: int = 0
    """Streams begun today (UTC)."""
    rows: int = 0
    """Rows of late minutes and spans today."""
    quarantined: int = 0
    """Messages that lie open in quarantine."""
    quarantined_bytes: int = 0
    refused: Mapping[What, int] = field(default_factory=dict)
    """Messages that were refused in the last `SHOWN_DAYS` days, today included, by budget."""
    refused_last: datetime | None = None


def uses(connection: Connection, now: datetime) -> dict[str, Use]:
    """What each node has of its budgets; nodes that have nothing of any are left out. `""`: no node could be read."""
    query = """
        WITH made AS (
            SELECT made_by AS node, count(*) AS sensors FROM sensor WHERE made_by IS NOT NULL GROUP BY 1
        ), kept AS (
            SELECT coalesce(node, '') AS node, count(*) AS rows, sum(bytes) AS bytes
            FROM quarantine WHERE closed_at IS NULL AND (node IS NOT NULL OR topic_fault IS NOT NULL) GROUP BY 1
        ), told AS (
            SELECT node, sum(used) FILTER (WHERE day = %(day)s AND what = 'streams') AS streams,
                sum(used) FILTER (WHERE day = %(day)s AND what = 'rows') AS rows,
                max(refused_last) FILTER (WHERE day >= %(since)s) AS last
            FROM node_day WHERE day >= %(since)s GROUP BY 1
        )
        SELECT node, coalesce(sensors, 0), coalesce(streams, 0)::bigint, coalesce(told.rows, 0)::bigint,
            coalesce(kept.rows, 0), coalesce(bytes, 0)::bigint, last
        FROM made FULL JOIN kept USING (node) FULL JOIN told USING (node) ORDER BY node
    """
    at = {"day": _day(now), "since": _day(now) - timedelta(days=SHOWN_DAYS - 1)}
    by_node: dict[str, dict[What, int]] = {}
    refused = "SELECT node, what, sum(refused)::bigint FROM node_day WHERE day >= %(since)s GROUP BY 1, 2"
    for node, what, number in connection.execute(refused, at).fetchall():
        if number:
            by_node.setdefault(node, {})[What(what)] = number
    return {
        node: Use(sensors, streams, rows, kept, size, by_node.get(node, {}), last)
        for node, sensors, streams, rows, kept, size, last in connection.execute(query, at).fetchall()
    }


def refusals(connection: Connection, now: datetime) -> list[str]:
    """A sentence for each node and budget of which something was refused in the last days; none where all is well."""
    return [
        f"{number} messages of {f'node {node}' if node else 'no node'} were refused in the last {SHOWN_DAYS} days: "
        f"{SAID[what]}"
        for node, use in uses(connection, now).items()
        for what, number in sorted(use.refused.items())
    ]


SAID: Mapping[What, str] = {
    What.SENSORS: "it names more sensors than [rules] node_sensors allows",
    What.STREAMS: "it begins more streams a day than [rules] node_streams_a_day allows",
    What.ROWS: "it brings more late minutes and spans a day than [rules] node_rows_a_day allows",
    What.QUARANTINE: "as much of it as [rules] node_quarantined and node_quarantined_mb allow lies in quarantine",
    What.QUEUE: "it sends faster than can be stored, so that others would have to wait",
}
"""Why something was refused, for people; docs/misbehaving-node.md says what to do."""


def _named(nodes: Iterable[str | None]) -> list[str]:
    return sorted({node for node in nodes if node})


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()
