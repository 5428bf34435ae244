"""``footfall-ingest`` as a process: broker → inbox → one transaction → acknowledgement → commit notices.

One of several does the same; what is different about it is in `footfall_ingest.subscriber`, and the one that starts
them in `footfall_ingest.workers`.

Subscriber ──▶ Inbox ──▶ write_batch ──▶ PostgreSQL
    ▲                        │ committed
    └── acknowledgements ◀───┴──▶ commit notices

Beside it, in a thread of its own, `Upkeep` sums up by the hour what was written; nothing here waits for it.
"""

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import psycopg

from footfall_contract import ContractError, __version__, check_id, encode_notice, topics
from footfall_contract.notice import CommitNotice, StreamState
from footfall_contract.topics import Kind, Topic
from footfall_ingest import budgets, schema, store
from footfall_ingest.budgets import NOBODY, What
from footfall_ingest.database import Database, StoppedError, TooLongError
from footfall_ingest.epochs import Watch
from footfall_ingest.flush import Message, Outcome, write_batch, write_surviving
from footfall_ingest.inbox import Delivery, Inbox, Limits
from footfall_ingest.judge import Rules
from footfall_ingest.metrics import Metrics
from footfall_ingest.ration import Ration
from footfall_ingest.settings import IngestSettings
from footfall_ingest.states import StateMessage, write_states
from footfall_ingest.store import Quarantined
from footfall_ingest.subscriber import Subscriber
from footfall_ingest.upkeep import Upkeep
from footfall_role import metrics as metrics_port
from footfall_role.logs import facts
from footfall_role.notify import ServiceManager

log = logging.getLogger(__name__)

_LOGGED = 10
"""Lines an hour about quarantined messages of one node; the table has all of them."""

_FAREWELL_S = 10.0
"""So long may a member of a group that is asked to stop take to finish what the broker has sent it."""
_QUIET_S = 0.3
"""After so long with nothing more it has finished. What the broker held back comes as soon as it gets room."""
_LOOK_S = 0.02

_TRIES: Final = 2
"""A batch that took too long so often is written in halves. For the second try it has twice the time."""

_NOTICE_BYTES: Final = 120_000
"""Length of one notice at most: deploy/mosquitto has the broker take 131 072 bytes of one message."""
_BYTES_OF_A_STATE: Final = 128
_BYTES_OF_A_RANGE: Final = 40
"""At most: two numbers of 16 digits with what is between them."""

Write = Callable[..., Outcome]
"""`footfall_ingest.flush.write_batch`, or what a test puts in its place."""


def run(settings: IngestSettings, stop: threading.Event, *, write: Write = write_batch) -> None:
    """Receive and store until `stop` is set; then write what is at hand and leave.

    Raises:
        footfall_ingest.schema.MigrationError: the database's schema is not this program's.
        OSError: the metrics port cannot be used.
        footfall_ingest.subscriber.UnsharedError: the broker cannot be shared with other aggregators, as is wanted.
        psycopg.Error: the database refused for a reason that another try will not overcome.
    """
    metrics = Metrics()
    metrics_port.serve(settings.metrics, "ingest", __version__, of=[metrics.registry], mqtt=settings.mqtt)
    manager = ServiceManager()

    def database_failed() -> None:
        metrics.database_errors.inc()
        # To wait is what this process is there for: whoever starts it need not wait too, and shall not start it anew.
        manager.ready("waiting for the database")

    inbox = Inbox(Limits(**settings.flush.model_dump()))
    rules = settings.rules.as_rules()
    watch = Watch()
    with Database(
        settings.database.dsn,
        stop,
        database_failed,
        watch.connected,
        answer_s=settings.database.answer_s,
        on_wait=manager.alive,
    ) as database:
        try:
            database.run(schema.check)
        except StoppedError:
            return
        with Subscriber(settings.mqtt, inbox) as subscriber, Upkeep(settings, metrics):
            metrics.watch(
                queue=inbox.__len__,
                connected=lambda: subscriber.connected,
                subscribed=lambda: subscriber.subscribed,
            )
            writer = Writer(database, rules, metrics, write, watch)

            def alive() -> None:
                manager.status("receiving" if subscriber.subscribed else "waiting for the broker")
                if subscriber.turns:
                    manager.alive()

            def step() -> int:
                deliveries = inbox.batch(stop, alive)
                surplus = inbox.surplus()  # of a node that floods: let go, so that the others get their turn
                subscriber.look_for_room()
                notices = writer.write(deliveries, surplus)
                # ── committed: from here on the broker may forget them, and the nodes too ──
                subscriber.acknowledge(deliveries + surplus)
                subscriber.publish(notices)
                return len(deliveries)

            manager.ready()
            try:
                while not stop.is_set():
                    alive()
                    subscriber.check()
                    if subscriber.newly_connected() or watch.changed():
                        subscriber.publish(writer.all_notices())
                    step()
                manager.stopping()
                if settings.mqtt.share:
                    _finish(subscriber, step)
            except StoppedError:
                pass  # what is not acknowledged comes again, from the broker or from the nodes


def _finish(subscriber: Subscriber, step: Callable[[], int]) -> None:
    """Leave the group and write what the broker has still sent: nobody else gets it, and its nodes would wait."""
    deadline = time.monotonic() + _FAREWELL_S
    subscriber.withdraw(_FAREWELL_S)
    quiet_since = time.monotonic()
    while (now := time.monotonic()) < min(deadline, quiet_since + _QUIET_S):
        if step():
            quiet_since = now
        else:
            time.sleep(_LOOK_S)


class Writer:
    """Writes batches of deliveries: counts by `write_batch`, states beside them."""

    def __init__(self, database: Database, rules: Rules, metrics: Metrics, write: Write, watch: Watch) -> None:
        self._database = database
        self._watch = watch
        self._rules = rules
        self._metrics = metrics
        self._write = write
        self._quarantined = Ration(_LOGGED)
        self._refused = Ration(1)

    def write(self, deliveries: Sequence[Delivery], surplus: Sequence[Delivery] = ()) -> list[tuple[str, bytes]]:
        """Store `deliveries`: when this returns they are committed. Returns what to publish: (topic, payload).

        Of what was let go, `surplus`, only the number is stored.
        """
        messages, states = _sorted(deliveries)
        told: dict[str, CommitNotice] = {}
        if messages:
            with self._metrics.flush_seconds.time():
                outcomes = self._write_all(messages)
            for outcome in outcomes:
                self._report(outcome)
                told.update(outcome.notices)
        if states:
            told_of = self._database.run(
                lambda connection: write_states(connection, states, now=datetime.now(UTC), rules=self._rules)
            )
            self._metrics.quarantined(Counter(message.reason for message in told_of.unusable))
            self._log_unusable(told_of.unusable)
            self._say_refused(told_of.refused)
            # Who says that it is there, or has gone, is told what is here: after a restore it may be news to the
            # database that there is such a node, and the notice that the broker has kept for it is of another epoch.
            spoke = {state.topic.node for state in states if state.topic.kind is Kind.STATUS} - told.keys()
            if spoke:
                told.update(self._database.run(lambda connection: store.notices(connection, sorted(spoke))))
        if surplus:
            let_go = Counter((_sender(delivery.topic) or NOBODY, What.QUEUE) for delivery in surplus)
            self._database.run(lambda connection: budgets.note_refused(connection, let_go, datetime.now(UTC)))
            self._say_refused(let_go)
        for notice in told.values():
            self._watch.note(notice.epoch)
        return encoded(told)

    def all_notices(self) -> list[tuple[str, bytes]]:
        """What to publish to every node that is known: (topic, payload)."""
        return encoded(self._database.run(lambda connection: store.notices(connection, store.nodes(connection))))

    def _write_all(self, messages: Sequence[Message]) -> list[Outcome]:
        """Write `messages`, in one transaction if that can be.

        Where it takes too long, twice, each half is written by itself: one batch must not keep all others waiting. A
        single message is tried until it is written, for it is not known that it is to blame.
        """

        def write(connection: psycopg.Connection[Any]) -> list[Outcome]:
            return write_surviving(
                lambda part, condemned: self._write(
                    connection, part, now=datetime.now(UTC), rules=self._rules, condemned=condemned
                ),
                messages,
            )

        try:
            return self._database.run(write, tries=_TRIES if len(messages) > 1 else None)
        except TooLongError:
            log.warning("a batch takes too long, writing it in halves", extra=facts(messages=len(messages)))
        half = len(messages) // 2
        return self._write_all(messages[:half]) + self._write_all(messages[half:])

    def _report(self, outcome: Outcome) -> None:
        self._metrics.committed(outcome, datetime.now(UTC).timestamp())
        self._log_unusable(outcome.unusable)
        self._say_refused(outcome.refused)
        log.debug("committed", extra=facts(stored=outcome.stored, duplicate=outcome.duplicate, rows=outcome.rows))

    def _log_unusable(self, unusable: Sequence[Quarantined]) -> None:
        for message in unusable:
            left = self._quarantined.take(message.node, time.time())
            if left:
                sensor, stream, seq = message.identity
                names = facts(node=message.node, sensor=sensor, stream=stream, seq=seq, reason=message.reason)
                log.warning("quarantined: %s", message.detail, extra=names)
            if left == 1:
                log.warning("more of this node is not logged in this hour", extra=facts(node=message.node))

    def _say_refused(self, refused: Mapping[tuple[str, What], int]) -> None:
        for (node, what), number in refused.items():
            self._metrics.over_budget(what, number)
            if self._refused.take((node, what), time.time()):
                log.warning(
                    "refused, and not marked received: %s; said once an hour",
                    budgets.SAID[what],
                    extra=facts(node=node, what=what, messages=number),
                )


def encoded(notices: Mapping[str, CommitNotice]) -> list[tuple[str, bytes]]:
    """Notices as (topic, payload); one that a broker might not take for its length is said in parts, one by one."""
    return [(topics.committed(node), payload) for node, notice in notices.items() for payload in _payloads(notice)]


def _payloads(notice: CommitNotice) -> list[bytes]:
    """What `notice` says, of at most `_NOTICE_BYTES` each. Every part is a notice and true by itself."""
    states = [(sensor, state) for sensor, states in notice.sensors.items() for state in states]
    parts: list[dict[str, list[StreamState]]] = [defaultdict(list)]
    size = 0
    for sensor, state in states:
        length = _BYTES_OF_A_STATE + len(sensor) + _BYTES_OF_A_RANGE * len(state.above)
        if size and size + length > _NOTICE_BYTES:
            parts.append(defaultdict(list))
            size = 0
        parts[-1][sensor].append(state)
        size += length
    return [
        encode_notice(CommitNotice(notice.epoch, {sensor: tuple(some) for sensor, some in part.items()}))
        for part in parts
    ]


def _sorted(deliveries: Iterable[Delivery]) -> tuple[list[Message], list[StateMessage]]:
    """Counts and states apart, each in the order of arrival."""
    messages: list[Message] = []
    states: list[StateMessage] = []
    for delivery in deliveries:
        topic = _topic(delivery.topic)
        if isinstance(topic, str):
            messages.append(Message(_sender(delivery.topic), None, delivery.payload, topic_fault=topic))
        elif topic.kind is Kind.COUNTS:
            messages.append(Message(topic.node, topic.sensor, delivery.payload))
        elif delivery.payload:  # nothing: what the broker had kept on that topic was deleted
            states.append(StateMessage(topic, delivery.payload, delivery.retained))
    return messages, states


@lru_cache(maxsize=4096)
def _topic(text: str) -> Topic | str:
    """The topic, or what is wrong with it."""
    try:
        return topics.parse(text)
    except ContractError as error:
        return str(error)


@lru_cache(maxsize=4096)
def _sender(text: str) -> str | None:
    """The node of a topic, if that is sound; what follows need not be."""
    levels = text.split("/")
    try:
        return check_id("node", levels[2]) if len(levels) > 2 else None  # footfall/v1/NODE/…
    except ContractError:
        return None
