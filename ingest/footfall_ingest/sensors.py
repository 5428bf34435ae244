"""Which node a sensor belongs to, by date: list, move from one node to another, forget a sensor that never was."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, isinf
from typing import Any

from footfall_contract import ContractError, check_id
from footfall_ingest import store
from footfall_ingest.commands import Connection, RefusedError, connected
from footfall_ingest.forget import forget, forget_strange, leavings, made_by, strange
from footfall_ingest.judge import Claim, Reason, owner, utc_text
from footfall_ingest.moments import moment
from footfall_ingest.settings import IngestSettings


@dataclass(frozen=True, slots=True)
class Move:
    """What it takes to make a sensor another node's from a time on: one row of `sensor_node`."""

    replaces: Claim | None
    """The claim that began at the same moment, which goes."""
    begins: bool
    """False: with that claim gone the sensor is the node's already, as it was before."""
    later: Claim | None
    """The next change, which stays: until then the new node has the sensor."""
    before: str | None
    """Whose the sensor was until then; None: nobody's."""


def plan(claims: Sequence[Claim], node: str, at: int) -> Move | None:
    """How to make the sensor with `claims`, ascending by time, `node`'s from `at` (UTC unix seconds) on.

    None if it is the node's at that time already.
    """
    if owner(claims, at) == node:
        return None
    before = owner(claims, at - 1)
    return Move(
        replaces=next((claim for claim in claims if claim.since == at), None),
        begins=before != node,
        later=next((claim for claim in claims if claim.since > at), None),
        before=before,
    )


def move(connection: Connection, sensor: str, node: str, at: datetime) -> Move:
    """Make `sensor` `node`'s from `at` (whole seconds) on, until a later change if there is one, and commit.

    Raises:
        RefusedError: there is no such sensor, or it is the node's already.
    """
    second = int(at.timestamp())
    with connection.transaction():
        if not connection.execute("SELECT key FROM sensor WHERE id = %s", [sensor]).fetchone():
            raise RefusedError(
                f"there is no sensor {sensor}: it never reported and no station has it (`footfall-ingest sensor list`)"
            )
        locked = store.lock_sensors(connection, [sensor])
        claims = store.claims(connection, locked).get(0, [])
        found = plan(claims, node, second)
        if found is None:
            since = next(claim.since for claim in reversed(claims) if claim.since <= second)
            raise RefusedError(f"sensor {sensor} belongs to node {node} {_from(since)} already; nothing was changed")
        key = int(locked.keys[0])
        if found.replaces:
            connection.execute("DELETE FROM sensor_node WHERE sensor = %s AND valid_from = %s", [key, at])
        if found.begins:
            connection.execute(
                "INSERT INTO sensor_node (sensor, node, valid_from) VALUES (%s, %s, %s)", [key, node, at]
            )
    return found


def waiting(connection: Connection, sensor: str, node: str) -> int:
    """How many reports of `sensor` by `node` are in quarantine because it was not the node's."""
    query = """
        SELECT count(*) FROM quarantine
        WHERE closed_at IS NULL AND reason = %s AND sensor = %s AND node = %s
    """
    found: int = connection.execute(query, [Reason.WRONG_NODE, sensor, node]).fetchall()[0][0]
    return found


def _from(since: float) -> str:
    return "from its first report on" if isinf(since) else f"from {utc_text(int(since))} on"


def _move(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    sensor, node, at = options.id, options.to, options.at
    found = move(connection, sensor, node, at)
    begin = utc_text(int(at.timestamp()))
    until = f" until {utc_text(int(found.later.since))}, when it is {found.later.node}'s" if found.later else ""
    said = [f"sensor {sensor} belongs to node {node} from {begin} on{until}"]
    said.append(f"before that it belongs to {f'node {found.before}' if found.before else 'no node'}")
    if found.replaces:
        said.append(f"the change to node {found.replaces.node} at the same time is taken back")
    if number := waiting(connection, sensor, node):
        said.append(
            f"{number} reports of it by {node} are in quarantine as {Reason.WRONG_NODE}; to count what is right now: "
            f"footfall-ingest quarantine retry --reason {Reason.WRONG_NODE} --sensor {sensor} --node {node}"
        )
    sys.stdout.writelines(f"{line}\n" for line in said)


def _list(connection: Connection, _settings: IngestSettings, _options: argparse.Namespace) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines(connection, datetime.now(UTC)))


def _forget(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    if bool(options.ids) == bool(options.node):
        raise RefusedError("say which: the ids of sensors, or --node NODE for all that are its alone")
    found = leavings(connection, options.ids or made_by(connection, options.node))
    mine = {each.sensor for each in found}
    strangers = strange(connection, options.node) if options.node else {}
    others = {sensor: number for sensor, number in strangers.items() if sensor not in mine}
    said = [
        f"sensor {each.sensor}, named by {f'node {each.node}' if each.node else 'no node'}: "
        f"{each.passages} passages in {each.minutes} minutes and spans"
        for each in found
    ]
    said += [
        f"sensor {sensor}, which never was {options.node}'s: {number} numbers of reports that lie in quarantine"
        for sensor, number in others.items()
    ]
    if not said:
        said = [f"there is nothing to forget of node {options.node}"]
    elif not options.yes:
        said.append("nothing was changed; --yes does it, and it does not come back")
    sys.stdout.writelines(f"{line}\n" for line in said)
    if options.yes:
        for each in found:
            forget(connection, each.sensor)
        if options.node:
            forget_strange(connection, options.node)
        sys.stdout.write(f"forgotten: {len(found)} sensors, {sum(others.values())} numbers of others' sensors\n")


def lines(connection: Connection, now: datetime) -> list[str]:
    """Each sensor with the node it belongs to at `now`, since when, what is to change, and when it last reported."""
    claims: dict[str, list[Claim]] = defaultdict(list)
    query = """
        SELECT id, extract(epoch FROM valid_from)::float8, node FROM sensor_node JOIN sensor ON key = sensor
        ORDER BY valid_from
    """
    for sensor, since, node in connection.execute(query):
        claims[sensor].append(Claim(since, node))
    # What another node says in its name is no sign of life.
    query = """
        SELECT id, (
            SELECT max(touched) FROM stream WHERE sensor = key AND (node IS NULL OR node IN (
                SELECT sensor_node.node FROM sensor_node WHERE sensor_node.sensor = key
            ))
        ), coalesce(number, 0)
        FROM sensor
        LEFT JOIN (
            SELECT sensor AS id, count(*) AS number FROM quarantine WHERE closed_at IS NULL GROUP BY sensor
        ) AS kept USING (id)
        ORDER BY id
    """
    table = [("sensor", "node", "since (UTC)", "then", "last received (UTC)", "in quarantine")]
    for sensor, touched, kept in connection.execute(query):
        received = utc_text(int(touched.timestamp())) if touched else "-"
        table.append((sensor, *_now(claims[sensor], now), received, str(kept)))
    if len(table) == 1:
        return ["there is no sensor yet: one is known when it first reports, or when a station has it"]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _now(claims: Sequence[Claim], now: datetime) -> tuple[str, str, str]:
    second = int(now.timestamp())
    since = max((claim.since for claim in claims if claim.since <= second), default=inf)
    begun = "-" if since == inf else "its first report" if isinf(since) else utc_text(int(since))
    later = [f"{claim.node} from {utc_text(int(claim.since))}" for claim in claims if claim.since > second]
    return owner(claims, second) or "-", begun, ", ".join(later) or "-"


def _id(text: str) -> str:
    try:
        return check_id("id", text)
    except ContractError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no id: {error.expected}") from None


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``sensor`` and its verbs to the parser's `commands`; each sets `run`."""
    verbs = commands.add_parser("sensor", help="which node a sensor belongs to").add_subparsers(
        metavar="VERB", required=True
    )
    help_text = "show all sensors and whose they are"
    listing = verbs.add_parser("list", parents=[config], help=help_text, description=help_text)
    listing.set_defaults(run=connected(_list))
    help_text = "let a sensor belong to another node from a time on; reports are judged by their beginning"
    moving = verbs.add_parser("move", parents=[config], help=help_text, description=help_text)
    moving.add_argument("id", type=_id, metavar="ID", help="the sensor")
    moving.add_argument("--to", type=_id, required=True, metavar="NODE", help="the node that reads it now")
    moving.add_argument(
        "--at", type=moment, required=True, metavar="TIME", help="since when: 2026-03-01T12:00:00+01:00, or now"
    )
    moving.set_defaults(run=connected(_move))
    help_text = "delete sensors that no station ever had, and what was counted in their name"
    forgetting = verbs.add_parser("forget", parents=[config], help=help_text, description=help_text)
    forgetting.add_argument("ids", type=_id, nargs="*", metavar="ID", help="these sensors")
    forgetting.add_argument("--node", type=_id, metavar="NODE", help="all that are this node's alone")
    forgetting.add_argument("--yes", action="store_true", help="do it; without: say what would go")
    forgetting.set_defaults(run=connected(_forget))
