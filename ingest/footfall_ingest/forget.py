"""Take sensors that never were out of the store, with all that was counted in their name.

For whoever cleans up after a node that did wrong, or a typing error: a name that no station ever had. What a sensor at
a station counted is never deleted; where it is not to be believed a remark excludes it, which can be taken back.

A node may also have spoken of sensors that are others'. Nothing was counted of that, but the numbers it used are marked
received, for the sake of boxes that would send without end; an import that numbers its reports in the same way would
find them taken. They are let go, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from footfall_ingest import store
from footfall_ingest.commands import Connection, RefusedError


@dataclass(frozen=True, slots=True)
class Leaving:
    """A sensor that may be forgotten, and what goes with it."""

    sensor: str
    node: str | None
    """Which node made it."""
    minutes: int
    """Minutes and spans of which something was reported."""
    passages: int


_LEAVINGS = """
    SELECT id, made_by,
        (SELECT count(*) FROM coverage_minute WHERE sensor = key)
            + (SELECT count(*) FROM coverage_span WHERE sensor = key),
        (SELECT coalesce(sum(count), 0) FROM count_minute WHERE sensor = key)
            + (SELECT coalesce(sum(count), 0) FROM count_span WHERE sensor = key)
    FROM sensor WHERE id = ANY(%s) ORDER BY id
"""
_HOLDS = """
    SELECT id, 'it hangs or hung at station ' || min(station) FROM installation JOIN sensor ON key = sensor
    WHERE id = ANY(%(ids)s) GROUP BY id
    UNION ALL
    SELECT sensor.id, 'remark ' || min(remark.id) || ' is about it' FROM remark JOIN sensor ON key = sensor
    WHERE sensor.id = ANY(%(ids)s) GROUP BY sensor.id
    UNION ALL
    SELECT id, 'it has imported history' FROM sensor
    WHERE id = ANY(%(ids)s) AND EXISTS (SELECT FROM stream WHERE stream.sensor = key AND node IS NULL)
    UNION ALL
    SELECT id, 'several nodes had it: ' || string_agg(DISTINCT node, ', ' ORDER BY node) FROM sensor_node
    JOIN sensor ON key = sensor WHERE id = ANY(%(ids)s) GROUP BY id HAVING count(DISTINCT node) > 1
    ORDER BY 1
"""


def made_by(connection: Connection, node: str) -> list[str]:
    """The sensors that are `node`'s alone: it named them, and no station, remark, import or other node has them."""
    query = """
        SELECT id FROM sensor
        WHERE made_by = %(node)s
          AND NOT EXISTS (SELECT FROM sensor_node WHERE sensor = key AND node <> %(node)s)
          AND NOT EXISTS (SELECT FROM stream WHERE sensor = key AND node IS NULL)
        ORDER BY id
    """
    ids = [sensor for (sensor,) in connection.execute(query, {"node": node}).fetchall()]
    held = {sensor for sensor, _ in connection.execute(_HOLDS, {"ids": ids}).fetchall()}
    return [sensor for sensor in ids if sensor not in held]


def leavings(connection: Connection, ids: Sequence[str]) -> list[Leaving]:
    """What there is of the sensors `ids`.

    Raises:
        RefusedError: one of them there is not, or it is not to be forgotten; a line for each.
    """
    there = {sensor for (sensor,) in connection.execute("SELECT id FROM sensor WHERE id = ANY(%s)", [list(ids)])}
    faults = [f"there is no sensor {sensor} (`footfall-ingest sensor list`)" for sensor in ids if sensor not in there]
    faults += [
        f"sensor {sensor} is not forgotten: {why}; where its counts are not to be believed: footfall-ingest remark add "
        f"--sensor {sensor} --from … --to … --kind fault --text … --exclude"
        for sensor, why in connection.execute(_HOLDS, {"ids": list(ids)}).fetchall()
    ]
    if faults:
        raise RefusedError("\n".join(faults))
    return [Leaving(*row) for row in connection.execute(_LEAVINGS, [list(ids)]).fetchall()]


_TABLES = (
    "count_minute",
    "coverage_minute",
    "count_hour",
    "coverage_hour",
    "count_span",
    "coverage_span",
    "dirty_hour",
    "sensor_node",
    "stream",
)
"""Where rows name their sensor by its key."""

# Rows are locked in the order of all who write several, so that nobody waits in a circle.
_LET_GO = """
    WITH mine AS (
        SELECT id FROM quarantine
        WHERE holds_number AND sensor = %(sensor)s AND (%(node)s::text IS NULL OR node = %(node)s)
        ORDER BY content, coalesce(node, '') COLLATE "C", coalesce(sensor, '') COLLATE "C" FOR NO KEY UPDATE
    )
    UPDATE quarantine SET holds_number = false FROM mine WHERE quarantine.id = mine.id
"""


def forget(connection: Connection, sensor: str) -> None:
    """Delete `sensor` and everything that was counted in its name, and commit. What is in quarantine stays there.

    A node that still sends makes it anew.

    Raises:
        RefusedError: there is no such sensor, or it is not to be forgotten.
    """
    with connection.transaction():
        found = connection.execute("SELECT key FROM sensor WHERE id = %s FOR UPDATE", [sensor]).fetchone()
        leavings(connection, [sensor])
        assert found is not None  # else it was refused
        connection.execute(_LET_GO, {"sensor": sensor, "node": None})
        for table in _TABLES:
            # Planned each time: of TimescaleDB's chunks a plan that is kept may know those that have gone meanwhile.
            statement = f"DELETE FROM {table} WHERE sensor = %s"  # noqa: S608  # one of these words
            connection.execute(statement, [found[0]], prepare=False)
        connection.execute("DELETE FROM sensor_state WHERE sensor = %s", [sensor])
        connection.execute("DELETE FROM sensor WHERE key = %s", [found[0]])
        store.tell_readers(connection)


_STRANGE = """
    SELECT key, sensor.id, count(*) FROM quarantine JOIN sensor ON sensor.id = quarantine.sensor
    WHERE holds_number AND node = %(node)s
      AND NOT EXISTS (SELECT FROM sensor_node WHERE sensor_node.sensor = key AND sensor_node.node = %(node)s)
    GROUP BY key, sensor.id ORDER BY key
"""

_UNMARK = """
    UPDATE stream SET received = received - numbers, touched = now()
    FROM (
        SELECT stream, range_agg(int8range(seq, seq + 1)) AS numbers FROM quarantine
        WHERE holds_number AND node = %(node)s AND sensor = %(sensor)s GROUP BY stream
    ) AS held
    WHERE stream.sensor = %(key)s AND stream.stream = held.stream
"""


def strange(connection: Connection, node: str) -> dict[str, int]:
    """How many numbers of sensors that never were `node`'s are marked received because of what it sent, by sensor."""
    return {sensor: number for _, sensor, number in connection.execute(_STRANGE, {"node": node}).fetchall()}


def forget_strange(connection: Connection, node: str) -> None:
    """Let go of those numbers, and of what `node` says of sensors that never were its own; commit.

    The quarantine keeps its rows.
    """
    with connection.transaction():
        rows = connection.execute(_STRANGE, {"node": node}).fetchall()
        connection.execute(
            "SELECT FROM sensor WHERE key = ANY(%s) ORDER BY key FOR NO KEY UPDATE", [[key for key, _, _ in rows]]
        )
        for key, sensor, _ in rows:
            connection.execute(_UNMARK, {"node": node, "sensor": sensor, "key": key})
            connection.execute(_LET_GO, {"node": node, "sensor": sensor})
            connection.execute("DELETE FROM stream WHERE sensor = %s AND node = %s AND received = '{}'", [key, node])
        connection.execute(
            """
            DELETE FROM sensor_state AS said
            WHERE said.node = %(node)s AND said.sensor NOT IN (
                SELECT id FROM sensor_node JOIN sensor ON key = sensor WHERE sensor_node.node = %(node)s
            )
            """,
            {"node": node},
        )
        store.tell_readers(connection)
