"""What the city is made of, by name: sensors on edges, aggregators, database, broker, and the links between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DATABASE, BROKER, SIMULATOR = "database", "broker", "sensors"


@dataclass(frozen=True)
class Counter:
    """A simulated sensor."""

    id: str
    interval_s: int
    ring: int
    """Intervals it keeps until they are acknowledged."""
    drift_ppm: float
    in_share: float = 0.5


@dataclass(frozen=True)
class Layout:
    """The names of everything that can be struck."""

    edges: Mapping[str, Sequence[Counter]]
    workers: int = 1

    @property
    def counters(self) -> list[Counter]:
        """Every sensor."""
        return [counter for counters in self.edges.values() for counter in counters]

    @property
    def sensors(self) -> list[str]:
        """The ids of all sensors."""
        return [counter.id for counter in self.counters]

    @property
    def aggregators(self) -> list[str]:
        """The names of the aggregator processes."""
        return [f"ingest-{number + 1}" for number in range(self.workers)]

    def on(self, edge: str) -> list[str]:
        """The ids of an edge's sensors."""
        return [counter.id for counter in self.edges[edge]]

    def longest_small_ring_s(self, edge: str) -> float:
        """Seconds after which the small rings of an edge's sensors have run over; 0 if it has none."""
        return max((one.ring * one.interval_s for one in self.edges[edge] if one.ring <= SMALL_RING), default=0)


SMALL_RING = 8


def to_broker(process: str) -> str:
    """The name of a process's link to the broker."""
    return f"{process} - broker"


def to_database(aggregator: str) -> str:
    """The name of an aggregator's link to the database."""
    return f"{aggregator} - database"


def twin_of(aggregator: str) -> str:
    """The name of the process that takes over an aggregator's session."""
    return f"{aggregator}-twin"


def jena(workers: int = 1) -> Layout:
    """Two boxes with four counters each: every interval, ring and clock is another."""
    return Layout(
        {
            "jena-nord": (
                Counter("johannisstrasse-1", 1, 8640, 120, 0.5),
                Counter("johannisstrasse-2", 1, 6, -80, 0.7),
                Counter("wagnergasse-1", 2, 600, 1500),
                Counter("kirchplatz-1", 1, 90, -2500, 0.4),
            ),
            "jena-sued": (
                Counter("markt-1", 1, 8640, 4, 0.5),
                Counter("markt-2", 1, 5, 300),
                Counter("holzmarkt-1", 2, 4, -40, 0.6),
                Counter("loebderstrasse-1", 1, 300, -700),
            ),
        },
        workers,
    )
