"""What the operator's page says of ``/api/v1/operations``: what is wrong, why, what to do about it, and tables below.

Pure: the answer in, texts ready for the template out. A trouble names its cause and not its consequences: the sensors
of a node that is offline are named with the node and are no troubles of their own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from shlex import quote
from typing import Any, Final
from zoneinfo import ZoneInfo

from footfall_api.messages import Catalogue

Row = Mapping[str, Any]

QUIET_S: Final = 10 * 60
"""A node tells each sensor's health every minute: after so long it is not merely slow."""

UNREPORTED_S: Final = 3 * 3600
"""Some sensors report by the hour: after so long without a report one is missed, whatever its health says."""

WAITING_SLOTS: Final = 60
"""So many slots of 10 s are ten minutes; a few always wait for the next commit."""

AHEAD_S: Final = 120
"""A node that speaks of times so far ahead of when it said so has a wrong clock."""

BAD_SHARE: Final = 0.01
BAD_FRAMES: Final = 20
"""From this share on, and this number, bad frames are more than the beginning of a line in the middle of a frame."""

HOURS_TO_SUM_UP: Final = 100
"""Late reports make a few hours wait for a moment; an import, or a job that does not run, makes many."""

SHOWN: Final = 20
"""Troubles that are said one by one."""

NAMED: Final = 8
"""Ids in one sentence."""

URGENT, SOON, NOTE = "urgent", "soon", "note"

_RANK: Final = {URGENT: 0, SOON: 1, NOTE: 2}
_WORDS: Final = {URGENT: "ops.urgent", SOON: "ops.soon", NOTE: "ops.note"}

STATIONS_COMMAND: Final = "footfall-ingest stations apply stations.geojson"
OUTBOX_COMMAND: Final = "footfall-edge outbox --config edge.toml"

QUARANTINE_COMMANDS: Final = (
    "footfall-ingest quarantine list",
    "footfall-ingest quarantine show NR",
    "footfall-ingest quarantine retry",
    'footfall-ingest quarantine close NR --why "…"',
)

REASONS: Final = {
    "unreadable": "ops_reason.unreadable",
    "too-many-gaps": "ops_reason.too_many_gaps",
    "far-ahead": "ops_reason.far_ahead",
    "impossible": "ops_reason.impossible",
    "too-old": "ops_reason.too_old",
    "wrong-node": "ops_reason.wrong_node",
    "second-writer": "ops_reason.second_writer",
    "unwritable": "ops_reason.unwritable",
}

BUDGETS: Final = {
    "sensors": "ops_budget.sensors",
    "streams": "ops_budget.streams",
    "rows": "ops_budget.rows",
    "quarantine": "ops_budget.quarantine",
    "queue": "ops_budget.queue",
}

_SENSOR_STATES: Final = {"ok": "ops_sensors.ok", "silent": "ops_sensors.silent", "fault": "ops_sensors.fault"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that needs attention."""

    key: str
    """Stays the same while the trouble lasts, whatever its numbers do."""
    weight: str
    """``urgent``: counts are being missed, or may be; ``soon``; ``note``."""
    word: str
    """The weight in words."""
    text: str
    """What is wrong, and why that is known."""
    remedy: str
    command: str
    doc: str
    """The file that says more."""
    says: str = ""
    """What the node says about it."""


@dataclass(frozen=True, slots=True)
class State:
    """A state in words, and whether it is a good one (``good``, ``bad``, ``quiet``)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class When:
    """A local time in words, and how long ago that is (empty where it is not known)."""

    time: str
    age: str = ""

    def __str__(self) -> str:
        return f"{self.time} ({self.age})" if self.age else self.time


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A line of the table of nodes."""

    node: str
    state: State
    seen: When
    started: When
    version: str
    sensors: str
    waiting: str


@dataclass(frozen=True, slots=True)
class SensorRow:
    """A line of the table of sensors."""

    sensor: str
    place: str
    node: str
    state: State
    since: When | None
    report: When
    frame: str
    """How long ago the last valid frame came; empty: nobody says."""
    day: str
    week: str
    waiting: str
    frames: str
    bad: str
    skipped: str
    restarts: str
    detail: str


@dataclass(frozen=True, slots=True)
class StationRow:
    """A line of the table of stations."""

    name: str
    sensors: str
    day: str
    week: str


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """Quarantined messages of one reason."""

    reason: str
    meaning: str
    messages: str
    last: When


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One quarantined message."""

    id: str
    reason: str
    node: str
    sensor: str
    detail: str
    last: When


@dataclass(frozen=True, slots=True)
class OperationsView:
    """The whole page."""

    state: str
    """``fine``, ``empty``, or the weight of the worst trouble."""
    headline: str
    as_of: str
    clock: str
    """Of the answer, for the script."""
    troubles: Sequence[Trouble]
    hidden: str
    """How many more there are; empty: none."""
    incomplete: bool
    nodes: Sequence[NodeRow]
    sensors: Sequence[SensorRow]
    stations: Sequence[StationRow]
    quarantine_closed: bool
    reasons: Sequence[ReasonRow]
    messages: Sequence[MessageRow]
    size: str
    sums: str


def operations_view(answer: Row, t: Catalogue) -> OperationsView:
    """The page for an answer of the API."""
    facts = Facts(answer, t)
    found = sorted(_troubles(facts), key=lambda trouble: _RANK[trouble.weight])
    is_empty = not (answer["stations"] or answer["nodes"] or answer["sensors"])
    shown = found[:SHOWN]
    quarantine = answer["quarantine"]
    return OperationsView(
        state=found[0].weight if found else "empty" if is_empty else "fine",
        headline=_headline(facts, len(found), is_empty=is_empty),
        as_of=t("ops.as_of", time=t.clock(facts.local_now, seconds=True), zone=t.zone(facts.local_now)),
        clock=t.clock(facts.local_now, seconds=True),
        troubles=shown,
        hidden=t("ops.hidden", len(found) - len(shown)) if len(found) > len(shown) else "",
        incomplete=not answer["complete"],
        nodes=[_node_row(node, facts) for node in answer["nodes"]],
        sensors=[_sensor_row(sensor, facts) for sensor in answer["sensors"]],
        stations=[_station_row(station, t) for station in answer["stations"]],
        quarantine_closed=quarantine is None,
        reasons=[] if quarantine is None else [_reason_row(row, facts) for row in quarantine["reasons"]],
        messages=[] if quarantine is None else [_message_row(row, facts) for row in quarantine["newest"]],
        size=t("ops_database.megabytes", number=t.number(answer["database"]["bytes"] / 1e6)),
        sums=_sums(answer["database"], facts),
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """An answer, and what several rules ask of it. Times in UTC unix seconds."""

    answer: Row
    t: Catalogue
    now: float = field(init=False)
    zone: ZoneInfo = field(init=False)
    names: Mapping[str, str] = field(init=False)
    """Of the stations, by id."""
    offline: frozenset[str] = field(init=False)
    """Nodes that are."""
    heard_of: Mapping[str, float] = field(init=False)
    """When each node last said anything of itself or its sensors."""

    def __post_init__(self) -> None:
        nodes, stations = self.answer["nodes"], self.answer["stations"]
        heard = {node["node"]: seconds(node["seen"]) or 0.0 for node in nodes}
        for sensor in self.answer["sensors"]:
            if sensor["node"] is not None:
                seen = max(seconds(sensor["last_report"]) or 0.0, health_seen(sensor) or 0.0)
                heard[sensor["node"]] = max(heard.get(sensor["node"], 0.0), seen)
        zones = Counter(station["timezone"] for station in stations)
        for name, value in {
            "now": seconds(self.answer["at"]),
            "zone": ZoneInfo(zones.most_common(1)[0][0] if zones else "UTC"),
            "names": {station["station"]: station["name"] for station in stations},
            "offline": frozenset(node["node"] for node in nodes if node["state"] == "offline"),
            "heard_of": heard,
        }.items():
            object.__setattr__(self, name, value)

    @property
    def local_now(self) -> datetime:
        """When the answer was given, in the zone of most stations."""
        return datetime.fromtimestamp(self.now, self.zone)

    def sensors_of(self, node: str) -> list[Row]:
        """The sensors of a node."""
        return [sensor for sensor in self.answer["sensors"] if sensor["node"] == node]

    def waiting_of(self, node: str) -> int | None:
        """The slots that wait on a node; None: it has said nothing."""
        said = [sensor["health"]["waiting_slots"] for sensor in self.sensors_of(node) if sensor["health"]]
        return sum(said) if said else None

    def when(self, moment: str | None) -> When:
        """A time and how long ago that is; or that it is not known."""
        instant = seconds(moment)
        if instant is None:
            return When(self.t("ops.unknown"))
        local = datetime.fromtimestamp(instant, self.zone)
        is_today = local.date() == self.local_now.date()
        return When(self.t.clock(local) if is_today else self.t.moment(local), age(self.now - instant, self.t))

    def is_quiet(self, node: str) -> bool:
        """Whether a node that says it is online says no more."""
        return node not in self.offline and self.now - self.heard_of.get(node, self.now) > QUIET_S

    def is_reporting(self, sensor: Row) -> bool:
        """Whether a sensor's counts arrive."""
        last = seconds(sensor["last_report"])
        return last is not None and self.now - last <= UNREPORTED_S


def seconds(moment: str | None) -> float | None:
    """A time of the API as UTC unix seconds."""
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def health_seen(sensor: Row) -> float | None:
    """When a node last spoke of a sensor."""
    return seconds(sensor["health"]["seen"]) if sensor["health"] else None


def age(age_s: float, t: Catalogue) -> str:
    """How long ago something was, in the unit in which it is between 2 and about 100."""
    if age_s < -60:
        return t("ops.age_future")
    if age_s < 60:
        return t("ops.age_now")
    if age_s < 2 * 3600:
        return t("ops.age_minutes", int(age_s // 60))
    if age_s < 48 * 3600:
        return t("ops.age_hours", int(age_s // 3600))
    return t("ops.age_days", int(age_s // 86_400))


def named(ids: Sequence[str], t: Catalogue) -> str:
    """Some ids in one line, the rest as a number."""
    if len(ids) <= NAMED:
        return ", ".join(ids)
    return t("ops.also", names=", ".join(ids[:NAMED]), count=t.number(len(ids) - NAMED))


def _headline(facts: Facts, troubles: int, *, is_empty: bool) -> str:
    t = facts.t
    if troubles:
        return t("ops.attention", troubles)
    if is_empty:
        return t("ops.empty")
    reporting = [sensor for sensor in facts.answer["sensors"] if facts.is_reporting(sensor)]
    nodes = {sensor["node"] for sensor in reporting}
    return t("ops.fine", len(reporting), nodes=t("ops.nodes_few", len(nodes)))


# -- what is wrong ----------------------------------------------------------------------------------------------------


def _troubles(facts: Facts) -> Iterator[Trouble]:
    """All troubles, those of one weight in the order of how much they explain."""
    if facts.heard_of and _nothing_arrives(facts):
        text = facts.t("ops_trouble.nothing_arrives", time=facts.when(_latest(facts)))
        remedy = facts.t("ops_remedy.nothing_arrives")
        yield _trouble(facts, URGENT, "nothing", text, remedy, doc="docs/guarantees.md")
    yield from _of_nodes(facts)
    yield from _of_sensors(facts)
    yield from _of_clocks(facts)
    yield from _of_stations(facts)
    yield from _of_quarantine(facts)
    yield from _of_budgets(facts)
    yield from _of_lines(facts)
    yield from _of_database(facts)


def _trouble(
    facts: Facts, weight: str, key: str, text: str, remedy: str, *, doc: str, command: str = "", says: str = ""
) -> Trouble:
    said = facts.t("ops_trouble.says", detail=says) if says else ""
    return Trouble(key, weight, facts.t(_WORDS[weight]), text, remedy, command, doc, said)


def _latest(facts: Facts) -> str:
    return datetime.fromtimestamp(max(facts.heard_of.values()), facts.zone).isoformat()


def _nothing_arrives(facts: Facts) -> bool:
    """Whether every node that is not gone has fallen silent: then it is rather the server that does not hear."""
    online = [node for node in facts.heard_of if node not in facts.offline]
    return bool(online) and all(facts.is_quiet(node) for node in online) and facts.now - _newest(facts) > QUIET_S


def _newest(facts: Facts) -> float:
    return max(facts.heard_of.values())


def _of_nodes(facts: Facts) -> Iterator[Trouble]:
    t = facts.t
    for node in facts.answer["nodes"]:
        name = node["node"]
        sensors = [sensor["sensor"] for sensor in facts.sensors_of(name)]
        if name in facts.offline:
            since = facts.when(node["seen"])
            text = (
                t("ops_trouble.node_offline", node=name, time=since, sensors=named(sensors, t))
                if sensors
                else t("ops_trouble.node_offline_alone", node=name, time=since)
            )
            remedy = t("ops_remedy.node_offline")
            yield _trouble(facts, URGENT, f"offline {name}", text, remedy, doc="docs/outbox.md", command=OUTBOX_COMMAND)
        elif sensors and facts.is_quiet(name) and not _nothing_arrives(facts):
            heard = datetime.fromtimestamp(facts.heard_of[name], facts.zone).isoformat()
            text = t("ops_trouble.node_quiet", node=name, time=facts.when(heard))
            remedy = t("ops_remedy.node_quiet")
            yield _trouble(facts, URGENT, f"quiet {name}", text, remedy, doc="docs/outbox.md", command=OUTBOX_COMMAND)
        waiting = facts.waiting_of(name) or 0
        if waiting > WAITING_SLOTS and name not in facts.offline:
            text = t("ops_trouble.backlog", waiting, node=name)
            remedy = t("ops_remedy.backlog")
            yield _trouble(facts, SOON, f"backlog {name}", text, remedy, doc="docs/outbox.md", command=OUTBOX_COMMAND)


def _of_sensors(facts: Facts) -> Iterator[Trouble]:
    t = facts.t
    never = []
    nothing_arrives = _nothing_arrives(facts)
    for sensor in facts.answer["sensors"]:
        name, node, health = sensor["sensor"], sensor["node"], sensor["health"]
        if node in facts.offline or nothing_arrives or (node is not None and facts.is_quiet(node)):
            continue  # said of the node
        if health and health["state"] in {"fault", "silent"}:
            yield _of_line(facts, sensor)
        elif sensor["last_report"] is None:
            if sensor["station"] is not None:
                never.append(name)
        elif not facts.is_reporting(sensor) and sensor["station"] is not None:
            text = t(
                "ops_trouble.sensor_unreported",
                sensor=_with_place(sensor, facts),
                time=facts.when(sensor["last_report"]),
            )
            remedy = t("ops_remedy.sensor_unreported")
            says = health["detail"] if health else ""
            yield _trouble(
                facts,
                URGENT,
                f"unreported {name}",
                text,
                remedy,
                doc="docs/outbox.md",
                command=OUTBOX_COMMAND,
                says=says,
            )
    if never:
        text = t("ops_trouble.never", len(never), names=named(never, t))
        remedy = t("ops_remedy.never")
        yield _trouble(
            facts, SOON, "never", text, remedy, doc="docs/sensors/README.md", command="footfall-ingest sensor list"
        )


def _of_line(facts: Facts, sensor: Row) -> Trouble:
    """A sensor whose line is broken or says nothing."""
    t, health, name = facts.t, sensor["health"], sensor["sensor"]
    place, since = _with_place(sensor, facts), facts.when(health["since"])
    node = sensor["node"] or t("ops.none")
    if health["state"] == "fault":
        text, remedy = t("ops_trouble.sensor_fault", sensor=place, time=since), t("ops_remedy.sensor_fault", node=node)
    else:
        text, remedy = (
            t("ops_trouble.sensor_silent", sensor=place, time=since),
            t("ops_remedy.sensor_silent", node=node),
        )
    # A sensor that no station names is missed by nobody.
    weight = URGENT if sensor["station"] is not None else NOTE
    key = f"{health['state']} {name}"
    return _trouble(
        facts, weight, key, text, remedy, doc="docs/sensors/README.md", command=_probe(name), says=health["detail"]
    )


def _probe(sensor: str) -> str:
    return f"footfall-edge probe --config edge.toml --sensor {quote(sensor)}"


def _with_place(sensor: Row, facts: Facts) -> str:
    station = sensor["station"]
    return sensor["sensor"] if station is None else f"{sensor['sensor']} ({facts.names.get(station, station)})"


def _of_clocks(facts: Facts) -> Iterator[Trouble]:
    t = facts.t
    remedy = t("ops_remedy.clock")
    clocks = {row["node"]: row for row in (facts.answer["quarantine"] or {"wrong_clocks": []})["wrong_clocks"]}
    ahead = {node["node"] for node in facts.answer["nodes"] if _ahead(node["started"], node["seen"])} | {
        sensor["node"]
        for sensor in facts.answer["sensors"]
        if sensor["health"]
        and any(_ahead(sensor["health"][name], sensor["health"]["seen"]) for name in ("since", "last_frame"))
    }
    for node in sorted({*clocks, *(name for name in ahead if name is not None)}):
        if node in ahead:
            text = t("ops_trouble.clock_node", node=node)
        else:
            row = clocks[node]
            text = t("ops_trouble.clock_reports", row["messages"], node=node, time=facts.when(row["last_seen"]))
        # The name comes with messages that were refused: what is copied into a shell must be a name there, too.
        command = f"footfall-ingest quarantine list --node {quote(node)}"
        yield _trouble(facts, SOON, f"clock {node}", text, remedy, doc="docs/quarantine.md", command=command)


def _ahead(spoken_of: str | None, said_at: str) -> bool:
    spoken, said = seconds(spoken_of), seconds(said_at)
    return spoken is not None and said is not None and spoken > said + AHEAD_S


def _of_stations(facts: Facts) -> Iterator[Trouble]:
    t, doc = facts.t, "docs/store.md"
    empty = [station["name"] for station in facts.answer["stations"] if not station["sensors"]]
    if empty:
        text = t("ops_trouble.no_sensor", len(empty), names=named(empty, t))
        yield _trouble(facts, SOON, "no-sensor", text, t("ops_remedy.no_sensor"), doc=doc, command=STATIONS_COMMAND)
    unknown = [
        sensor["sensor"]
        for sensor in facts.answer["sensors"]
        if sensor["station"] is None and sensor["last_report"] is not None
    ]
    if unknown:
        text = t("ops_trouble.unknown", len(unknown), names=named(unknown, t))
        yield _trouble(facts, SOON, "unknown", text, t("ops_remedy.unknown"), doc=doc, command=STATIONS_COMMAND)


def _of_quarantine(facts: Facts) -> Iterator[Trouble]:
    t, quarantine, doc = facts.t, facts.answer["quarantine"], "docs/quarantine.md"
    if quarantine is None:
        text, remedy = t("ops_trouble.quarantine_closed"), t("ops_remedy.quarantine_closed")
        yield _trouble(facts, NOTE, "quarantine-closed", text, remedy, doc=doc, command="footfall-ingest migrate")
    elif quarantine["open"]:
        parts = [
            t("ops_trouble.quarantine_part", count=t.number(row["messages"]), reason=row["reason"])
            for row in quarantine["reasons"]
        ]
        last = max((row["last_seen"] for row in quarantine["reasons"]), key=lambda moment: seconds(moment) or 0.0)
        text = t("ops_trouble.quarantine", quarantine["open"], time=facts.when(last), reasons=", ".join(parts))
        remedy = t("ops_remedy.quarantine")
        yield _trouble(facts, SOON, "quarantine", text, remedy, doc=doc, command=QUARANTINE_COMMANDS[0])


def _of_budgets(facts: Facts) -> Iterator[Trouble]:
    t, doc = facts.t, "docs/misbehaving-node.md"
    by_node: dict[str | None, list[Row]] = {}
    for row in facts.answer["refused"]:
        by_node.setdefault(row["node"], []).append(row)
    for node, rows in by_node.items():
        messages = sum(row["messages"] for row in rows)
        time = facts.when(max((row["last"] for row in rows), key=lambda moment: seconds(moment) or 0.0))
        why = ", ".join(t(BUDGETS[row["budget"]]) for row in rows)
        if node:
            text, remedy = t("ops_trouble.refused", messages, node=node, time=time, why=why), t("ops_remedy.refused")
            command = f"footfall-ingest quarantine list --node {quote(node)}"
        else:
            text = t("ops_trouble.refused_nameless", messages, time=time, why=why)
            remedy, command = t("ops_remedy.refused_nameless"), QUARANTINE_COMMANDS[0]
        yield _trouble(facts, SOON, f"refused {node or ''}", text, remedy, doc=doc, command=command)


def _of_lines(facts: Facts) -> Iterator[Trouble]:
    t = facts.t
    for sensor in facts.answer["sensors"]:
        health = sensor["health"]
        if not health or health["bad_frames"] < BAD_FRAMES:
            continue
        frames = health["frames"] + health["bad_frames"]
        share = health["bad_frames"] / frames
        if share < BAD_SHARE:
            continue
        text = t(
            "ops_trouble.bad_frames",
            sensor=_with_place(sensor, facts),
            share=t.percent(share),
            bad=t.number(health["bad_frames"]),
            all=t.number(frames),
        )
        remedy = t("ops_remedy.bad_frames", node=sensor["node"] or t("ops.none"))
        key = f"bad-frames {sensor['sensor']}"
        yield _trouble(facts, NOTE, key, text, remedy, doc="docs/sensors/README.md", command=_probe(sensor["sensor"]))


def _of_database(facts: Facts) -> Iterator[Trouble]:
    t, database = facts.t, facts.answer["database"]
    hours = database["hours_to_sum_up"]
    if hours >= HOURS_TO_SUM_UP:
        text = t("ops_trouble.sums", count=t.number(hours), time=facts.when(database["oldest_hour_to_sum_up"]))
        yield _trouble(facts, NOTE, "sums", text, t("ops_remedy.sums"), doc="docs/store.md")


# -- tables -----------------------------------------------------------------------------------------------------------


def _node_row(node: Row, facts: Facts) -> NodeRow:
    t, name = facts.t, node["node"]
    is_online = node["state"] == "online"
    waiting = facts.waiting_of(name)
    return NodeRow(
        name,
        State("good" if is_online else "bad", t("ops_nodes.online") if is_online else t("ops_nodes.offline")),
        facts.when(node["seen"]),
        facts.when(node["started"]),
        node["version"],
        named([sensor["sensor"] for sensor in facts.sensors_of(name)], t) or t("ops.none"),
        t("ops.none") if waiting is None else t.number(waiting),
    )


def _sensor_row(sensor: Row, facts: Facts) -> SensorRow:
    t, health, none = facts.t, sensor["health"], facts.t("ops.none")
    last = facts.when(sensor["last_report"]) if sensor["last_report"] else When(t("ops.never"))
    if health:
        state = State("good" if health["state"] == "ok" else "bad", t(_SENSOR_STATES[health["state"]]))
        since: When | None = facts.when(health["since"])
        frame = facts.when(health["last_frame"]).age if health["last_frame"] else t("ops.never")
        counters = [
            t.number(health[name]) for name in ("waiting_slots", "frames", "bad_frames", "skipped_bytes", "restarts")
        ]
    else:
        state, since, frame, counters = State("quiet", t("ops_sensors.quiet")), None, "", [none] * 5
    waiting, frames, bad, skipped, restarts = counters
    return SensorRow(
        sensor["sensor"],
        _place(sensor, facts),
        sensor["node"] or "",
        state,
        since,
        last,
        frame,
        _share(sensor["coverage_24h"], t),
        _share(sensor["coverage_7d"], t),
        waiting,
        frames,
        bad,
        skipped,
        restarts,
        health["detail"] if health else "",
    )


def _place(sensor: Row, facts: Facts) -> str:
    station = sensor["station"]
    if station is None:
        return facts.t("ops.station_none")
    name = facts.names.get(station, station)
    return facts.t("ops.station_role", station=name) if sensor["role"] == "reference" else name


def _share(coverage: float | None, t: Catalogue) -> str:
    return t("ops.none") if coverage is None else t.percent(coverage)


def _station_row(station: Row, t: Catalogue) -> StationRow:
    return StationRow(
        station["name"],
        ", ".join(station["sensors"]) or t("ops_stations.nothing"),
        _share(station["coverage_24h"], t),
        _share(station["coverage_7d"], t),
    )


def _reason_row(row: Row, facts: Facts) -> ReasonRow:
    t = facts.t
    meaning = t(REASONS[row["reason"]]) if row["reason"] in REASONS else t("ops_reason.other")
    return ReasonRow(row["reason"], meaning, t.number(row["messages"]), facts.when(row["last_seen"]))


def _message_row(row: Row, facts: Facts) -> MessageRow:
    none = facts.t("ops.none")
    return MessageRow(
        str(row["id"]),
        row["reason"],
        row["node"] or none,
        row["sensor"] or none,
        row["detail"],
        facts.when(row["last_seen"]),
    )


def _sums(database: Row, facts: Facts) -> str:
    t, hours = facts.t, database["hours_to_sum_up"]
    if not hours:
        return t("ops_database.sums_none")
    return t("ops_database.sums_some", number=t.number(hours), time=facts.when(database["oldest_hour_to_sum_up"]))
