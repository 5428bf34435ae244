"""Reports on their way: out of the outbox, through the MQTT client, until a commit notice covers them."""

import logging
from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID, uuid4

from footfall_contract import topics
from footfall_contract.errors import ContractError
from footfall_contract.notice import CommitNotice, decode_notice
from footfall_contract.state import decode_status
from footfall_edge import metrics
from footfall_edge.clock import Moment
from footfall_edge.events import Connected, Disconnected, Event, Named, Noticed, Taken
from footfall_edge.namesake import Namesakes
from footfall_edge.outbox import Outbox, Report, surviving
from footfall_edge.publisher import Publisher
from footfall_edge.settings import ReportSettings
from footfall_edge.window import WINDOW, Window
from footfall_role.logs import facts

log = logging.getLogger(__name__)

PACK_S: Final = 1.0
"""A sensor's slots get numbers at most this often: what a device catches up on comes one by one, and is packed."""

_MINUTE_S: Final = 60
"""No slot is longer."""

ClosedUntil = Callable[[str], int | None]
"""Sensor → UTC unix seconds before which its slots may be reported; None: none may."""


class Delivery:
    """What is under way to ingest. Owned by the agent's loop."""

    def __init__(
        self, node: str, sensors: Iterable[str], report: ReportSettings, outbox: Outbox, publisher: Publisher
    ) -> None:
        self._node = node
        self._every_s = report.every_s
        self._resend_s = report.resend_s
        self._outbox = outbox
        self._publisher = publisher
        self._namesakes = Namesakes(publisher.run)
        # Sensors of an earlier edge.toml too: what they counted is still to be delivered.
        self._windows = {sensor: self._window() for sensor in sorted({*sensors, *outbox.sensors()})}
        self._streams: dict[str, UUID] = {}
        self._packed_s: dict[str, float] = {}
        self._messages: dict[int, Report] = {}
        self._connected_since_s: float | None = None
        self._trouble = ""

    def _window(self) -> Window:
        return Window(first_resend_s=self._resend_s)

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._connected_since_s is not None

    @property
    def connected_since_s(self) -> float | None:
        """Monotonic seconds of the connect; None while the broker is not there."""
        return self._connected_since_s

    @property
    def trouble(self) -> str:
        """What is wrong beyond this box, for a person; empty if nothing."""
        return f"another box calls itself {self._node}: give each its own name" if self._namesakes else ""

    @property
    def under_way(self) -> int:
        """Reports sent and not known to be stored."""
        return sum(len(window) for window in self._windows.values())

    def note(self, batch: Iterable[Event], now: Moment) -> None:
        """What the MQTT client told."""
        for event in batch:
            match event:
                case Connected():
                    log.info("broker connected")
                    self._connected_since_s = now.monotonic_s
                    self._trouble = ""
                    self._announce(now)
                case Disconnected(reason):
                    if self.connected or reason != self._trouble:  # said once, not at each attempt
                        log.warning("no broker", extra=facts(reason=reason))
                        self._trouble = reason
                    self._connected_since_s = None
                case Taken(mid):
                    report = self._messages.pop(mid, None)
                    if report is not None:
                        self._windows[report.sensor].taken(report.id)
                case Noticed(payload):
                    self._believe(payload, now)
                case Named(payload):
                    self._hear_of_us(payload, now)
                case _:
                    pass
        self._speak_of_others(now)
        metrics.CONNECTED.set(self.connected)

    def send(self, closed_until: ClosedUntil, now: Moment) -> None:
        """Hand to the MQTT client what is due, as far as the windows have room."""
        if self._connected_since_s is None:
            return
        for sensor, window in self._windows.items():
            due = window.due(now.monotonic_s)
            again = None if due is None else self._outbox.report(due)
            if again is not None:
                self._hand_over(again, now)
                metrics.RESENDS.labels(sensor).inc()
            elif due is not None:
                window.committed([due])  # set aside meanwhile: it makes room for the others
            for report in self._fresh(sensor, window, closed_until(sensor), now):
                self._hand_over(report, now)
                metrics.PUBLISHES.labels(sensor).inc()
        if any(window.stalled(self._connected_since_s, now.monotonic_s) for window in self._windows.values()):
            log.warning("the broker does not acknowledge: connecting anew")
            self._connected_since_s = None
            self._publisher.restart()

    def send_begun(self, now: Moment) -> None:
        """`send` also what is not over yet. What a wrong clock has stamped further ahead stays in the outbox."""
        self.send(lambda _: None if now.utc_s is None else now.utc_s + max(_MINUTE_S, self._every_s), now)

    def _fresh(self, sensor: str, window: Window, closed_until: int | None, now: Moment) -> list[Report]:
        """Reports this process has not sent yet: numbered ones first, then slots that are closed."""
        if not window.room:
            return []
        waiting = [report for report in self._outbox.uncommitted(sensor, WINDOW) if report.id not in window]
        waiting = waiting[: window.room]
        packed_s = self._packed_s.get(sensor, float("-inf"))
        if closed_until is None or now.utc_s is None or now.monotonic_s - packed_s < PACK_S:
            return waiting
        numbered = self._outbox.number(
            sensor,
            self._streams.setdefault(sensor, uuid4()),
            closed_until=closed_until,
            every_s=self._every_s,
            most=window.room - len(waiting),
            now_s=now.utc_s,
        )
        if numbered:
            self._packed_s[sensor] = now.monotonic_s
        return waiting + numbered

    def _hand_over(self, report: Report, now: Moment) -> None:
        mid = self._publisher.publish(topics.counts(self._node, report.sensor), report.payload)
        if mid is None:
            return
        self._messages[mid] = report
        window = self._windows[report.sensor]
        said = "sent again" if report.id in window else "sent"
        window.sent(report.id, now.monotonic_s)
        log.debug(said, extra=facts(sensor=report.sensor, stream=report.stream, seq=report.seq))

    def _announce(self, now: Moment) -> None:
        self._publisher.announce()
        self._namesakes.announced(now.monotonic_s)

    def _hear_of_us(self, payload: bytes, now: Moment) -> None:
        try:
            status = decode_status(payload)
        except ContractError as error:
            log.warning("somebody says something of this node that cannot be read", extra=facts(reason=error))
            return
        self._namesakes.heard(status, now.monotonic_s)

    def _speak_of_others(self, now: Moment) -> None:
        for run in self._namesakes.to_say(now.monotonic_s):
            log.warning(
                "another box calls itself like this one: give each its own name", extra=facts(node=self._node, run=run)
            )
        metrics.NAMESAKES.set(len(self._namesakes))
        if self.connected and self._namesakes.announce_due(now.monotonic_s):
            self._announce(now)

    def _believe(self, payload: bytes, now: Moment) -> None:
        try:
            notice = decode_notice(payload)
        except ContractError as error:
            metrics.NOTICES.labels("unreadable").inc()
            log.warning("commit notice cannot be read", extra=facts(reason=error))
            return
        metrics.NOTICES.labels("read").inc()
        with surviving("a commit notice"):
            self._settle(notice, now)

    def _settle(self, notice: CommitNotice, now: Moment) -> None:
        settled = self._outbox.settle(notice, now.utc_s)
        metrics.COMMITS.inc(len(settled.committed))
        metrics.REOPENED.inc(settled.reopened)
        if settled.reopened:
            log.warning(
                "the database was restored: sending again what it lacks",
                extra=facts(epoch=notice.epoch, reports=settled.reopened),
            )
            for sensor in self._outbox.sensors() - self._windows.keys():
                self._windows[sensor] = self._window()
        for window in self._windows.values():
            window.committed(settled.committed)
            window.noticed(now.monotonic_s)
