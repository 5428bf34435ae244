"""What Prometheus is told about ingest."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from footfall_ingest.budgets import What
from footfall_ingest.flush import Outcome
from footfall_ingest.judge import Reason


class Metrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._stored = self._counter("reports_stored", "Reports whose counts were added to the store.")
        self._duplicate = self._counter("reports_duplicate", "Reports that had been received before.")
        self._quarantined = self._counter("messages_quarantined", "Messages put into quarantine.", "reason")
        self._over_budget = self._counter(
            "messages_over_budget", "Messages refused because their node had used up a budget.", "what"
        )
        for counter, kinds in ((self._quarantined, Reason), (self._over_budget, What)):
            for kind in kinds:
                counter.labels(kind)  # there from the start, at 0, so that the first one is a rise
        self._rows = self._counter("rows_written", "Rows of counts and coverage inserted or updated.")
        self.database_errors = self._counter("database_errors", "Transactions that failed for a passing reason.")
        self.flush_seconds = Histogram(
            "footfall_ingest_flush_seconds", "Time to write one batch, in seconds.", registry=self.registry
        )
        self._lag = self._gauge("lag_seconds", "Time from the end of the newest slot to its commit.")
        self._committed = self._gauge("last_commit_timestamp_seconds", "When a batch was last committed.")
        self._queue = self._gauge("queue_messages", "Messages received and not yet written.")
        self._connected = self._gauge("broker_connected", "1 while the broker has let us in.")
        self._subscribed = self._gauge(
            "subscribed", "1 while the broker passes reports on to us; if they are shared, a probe has come back."
        )
        self._hours = self._counter("hourly_sums", "Hours of sensors summed up by this process.")
        self._hours_waiting = self._gauge("hourly_sums_waiting", "Hours of sensors that are over and not summed up.")
        self._upkeep = self._gauge("last_rollup_timestamp_seconds", "When nothing was last left to be summed up.")
        self.upkeep_errors = self._counter("rollup_errors", "Attempts to sum up hours that failed.")

    def watch(
        self, *, queue: Callable[[], float], connected: Callable[[], float], subscribed: Callable[[], float]
    ) -> None:
        """Where to look up what is asked for when it is asked for."""
        self._queue.set_function(queue)
        self._connected.set_function(connected)
        self._subscribed.set_function(subscribed)

    def committed(self, outcome: Outcome, now_s: float) -> None:
        """Count a batch that was committed at `now_s`, UTC unix seconds."""
        self._stored.inc(outcome.stored)
        self._duplicate.inc(outcome.duplicate)
        self._rows.inc(outcome.rows)
        self.quarantined(outcome.quarantined)
        self._committed.set(now_s)
        if outcome.newest_end is not None:
            self._lag.set(now_s - outcome.newest_end)

    def quarantined(self, reasons: Mapping[str, int]) -> None:
        """Count messages put into quarantine, by reason."""
        for reason, times in reasons.items():
            self._quarantined.labels(reason).inc(times)

    def over_budget(self, what: What, messages: int) -> None:
        """Count messages that were refused because their node had used up its budget of `what`."""
        self._over_budget.labels(what).inc(messages)

    def summed(self, hours: int) -> None:
        """Count hours that were summed up."""
        self._hours.inc(hours)

    def upkept(self, waiting: int, now_s: float) -> None:
        """At `now_s`, UTC unix seconds, a look at what is to be summed up ended; so many hours are still waiting."""
        self._hours_waiting.set(waiting)
        self._upkeep.set(now_s)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"footfall_ingest_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"footfall_ingest_{name}", help_text, registry=self.registry)
