"""The kinds of trouble: whom each can strike, what it takes hold of, how it begins, when it is over, how it is healed.

A fault takes hold of one or more things (a process, a link, a serial line); two faults never hold the same thing at the
same time, any others may overlap. `concerns` names the sensors whose counts it can hold up.
"""

import random
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from footfall_soak import launch_edge, launch_ingest
from footfall_soak.city import City
from footfall_soak.layout import BROKER, DATABASE, SIMULATOR, Layout, to_broker, to_database, twin_of

Group = Literal["process", "network", "message", "line"]


@dataclass(frozen=True)
class Strike:
    """One fault of a schedule."""

    at_s: float
    """Seconds from the schedule's beginning."""
    fault: str
    target: str
    length_s: float
    dice: int
    """A seed for what the fault draws by lot."""


@dataclass(frozen=True)
class Fault(ABC):
    """One kind of trouble."""

    name: str
    length_s: tuple[float, float]
    """The shortest and the longest."""

    group: Group = field(default="process", init=False)

    @abstractmethod
    def targets(self, layout: Layout) -> Sequence[str]:
        """What it can strike."""

    def takes(self, layout: Layout, target: str) -> Collection[str]:
        """What it takes hold of."""
        return [target]

    def concerns(self, layout: Layout, target: str) -> Sequence[str]:
        """The sensors whose counts it can hold up."""
        return layout.on(target) if target in layout.edges else layout.sensors

    @abstractmethod
    def begin(self, city: City, strike: Strike) -> bool:
        """Let it happen; False if that is not possible at this moment."""

    def is_over(self, city: City, strike: Strike, lasted_s: float) -> bool:
        """Whether it is time to heal it."""
        return lasted_s >= strike.length_s

    def end(self, city: City, strike: Strike) -> None:  # noqa: B027  # some end by themselves
        """Heal it."""


Targets = Callable[[Layout], Sequence[str]]


def _edges(layout: Layout) -> Sequence[str]:
    return list(layout.edges)


def _aggregators(layout: Layout) -> Sequence[str]:
    return layout.aggregators


def _the(name: str) -> Targets:
    return lambda _: [name]


def _sensors(layout: Layout) -> Sequence[str]:
    return layout.sensors


@dataclass(frozen=True)
class Kill(Fault):
    """SIGKILL, for the process and its children; started again at the end."""

    whom: Targets

    def targets(self, layout: Layout) -> Sequence[str]:
        """The processes of one kind."""
        return self.whom(layout)

    def begin(self, city: City, strike: Strike) -> bool:
        """Kill it."""
        if not city.programs[strike.target].alive:
            return False
        city.kill(strike.target)
        return True

    def end(self, city: City, strike: Strike) -> None:
        """Start it again."""
        city.start(strike.target)


@dataclass(frozen=True)
class KillSensors(Kill):
    """Power failure of all sensors at once: SIGKILL of the simulator. It holds all lines."""

    def takes(self, layout: Layout, target: str) -> Collection[str]:
        """Every line."""
        return [target, *layout.sensors]


@dataclass(frozen=True)
class Away(Kill):
    """An edge is gone for longer than the small rings of its sensors hold."""

    def targets(self, layout: Layout) -> Sequence[str]:
        """Edges with such sensors."""
        return [edge for edge in layout.edges if layout.longest_small_ring_s(edge)]

    def is_over(self, city: City, strike: Strike, lasted_s: float) -> bool:
        """`length_s` after the slowest of those rings has run over."""
        return lasted_s >= strike.length_s + city.layout.longest_small_ring_s(strike.target)


@dataclass(frozen=True)
class Stop(Fault):
    """SIGSTOP: the process is there, its connections are open, and it does nothing."""

    whom: Targets

    def targets(self, layout: Layout) -> Sequence[str]:
        """The processes of one kind."""
        return self.whom(layout)

    def begin(self, city: City, strike: Strike) -> bool:
        """Stop it."""
        return city.programs[strike.target].send(signal.SIGSTOP)

    def end(self, city: City, strike: Strike) -> None:
        """Let it go on."""
        city.programs[strike.target].send(signal.SIGCONT)


@dataclass(frozen=True)
class StopBackend(Fault):
    """SIGSTOP of what the database server has for one aggregator, perhaps in the middle of a transaction."""

    def targets(self, layout: Layout) -> Sequence[str]:
        """The database."""
        return [DATABASE]

    def begin(self, city: City, strike: Strike) -> bool:
        """Stop one of them."""
        held = city.backends()
        if not held:
            return False
        pid = random.Random(strike.dice).choice(sorted(held))
        self._send(city, pid, signal.SIGSTOP)
        city.stopped_backend = pid
        return True

    def end(self, city: City, strike: Strike) -> None:
        """Let it go on."""
        self._send(city, city.stopped_backend, signal.SIGCONT)
        city.stopped_backend = None

    @staticmethod
    def _send(city: City, pid: int | None, number: signal.Signals) -> None:
        for child in city.programs[DATABASE].children():
            if child.pid == pid:  # its number may have become somebody else's
                child.send_signal(number)


@dataclass(frozen=True)
class Doom(Fault):
    """A process dies at a certain statement, the next time that it comes there; started again `length_s` later."""

    whom: Targets
    number: signal.Signals

    def targets(self, layout: Layout) -> Sequence[str]:
        """The processes of one kind."""
        return self.whom(layout)

    def begin(self, city: City, strike: Strike) -> bool:
        """Tell the process."""
        program = city.programs[strike.target]
        program.wanted = not program.send(self.number)
        return not program.wanted

    def is_over(self, city: City, strike: Strike, lasted_s: float) -> bool:
        """When it has died: it comes there only when counts flow."""
        return not city.programs[strike.target].alive

    def end(self, city: City, strike: Strike) -> None:
        """Start it again. If something else ended it, that is nobody's fault but its own."""
        program = city.programs[strike.target]
        program.wanted = program.status != -signal.SIGKILL
        city.look_after()
        city.start(strike.target)


@dataclass(frozen=True)
class SecondAggregator(Fault):
    """Another process with the same settings takes over the session at the broker, and loses it, and takes it over."""

    def targets(self, layout: Layout) -> Sequence[str]:
        """The aggregators."""
        return layout.aggregators

    def begin(self, city: City, strike: Strike) -> bool:
        """Start it."""
        city.start(twin_of(strike.target))
        return True

    def end(self, city: City, strike: Strike) -> None:
        """Kill it."""
        city.programs[twin_of(strike.target)].kill()


@dataclass(frozen=True)
class Network(Fault):
    """Something happens to a link."""

    links: Targets
    how: Literal["cut", "stall", "slow"]
    group: Group = field(default="network", init=False)

    def targets(self, layout: Layout) -> Sequence[str]:
        """The links of one kind."""
        return self.links(layout)

    def concerns(self, layout: Layout, target: str) -> Sequence[str]:
        """An edge's link: its sensors; another one: all."""
        return super().concerns(layout, target.partition(" - ")[0])

    def begin(self, city: City, strike: Strike) -> bool:
        """Cut it, stall it, or slow it down."""
        link = city.links[strike.target]
        dice = random.Random(strike.dice)
        match self.how:
            case "cut":
                link.cut()
            case "stall":
                link.stall()
            case "slow":
                link.slow(latency_s=dice.uniform(0.05, 0.5), bytes_per_s=dice.uniform(1500, 6000))
        return True

    def end(self, city: City, strike: Strike) -> None:
        """Let new connections pass."""
        city.links[strike.target].heal()


@dataclass(frozen=True)
class Again(Fault):
    """Reports come twice, out of order and much later."""

    group: Group = field(default="message", init=False)

    def targets(self, layout: Layout) -> Sequence[str]:
        """All messages."""
        return ["messages"]

    def begin(self, city: City, strike: Strike) -> bool:
        """Publish recorded ones."""
        return city.mischief.again(random.Random(strike.dice), 300)


@dataclass(frozen=True)
class Line(Fault):
    """Something happens to a sensor or its line."""

    order: Mapping[str, Any]
    """For the simulator."""
    undo: Mapping[str, Any] | None = None
    lasts: bool = False
    """The order is told for how many seconds, and ends by itself."""
    group: Group = field(default="line", init=False)

    def targets(self, layout: Layout) -> Sequence[str]:
        """The sensors."""
        return layout.sensors

    def concerns(self, layout: Layout, target: str) -> Sequence[str]:
        """That sensor."""
        return [target]

    def begin(self, city: City, strike: Strike) -> bool:
        """Order it."""
        seconds = {"seconds": round(strike.length_s, 3)} if self.lasts else {}
        return bool(city.order(sensor=strike.target, **self.order, **seconds))

    def end(self, city: City, strike: Strike) -> None:
        """Order the opposite, if it does not end by itself."""
        if self.undo is not None:
            city.order(sensor=strike.target, **self.undo)


def _edge_links(layout: Layout) -> Sequence[str]:
    return [to_broker(edge) for edge in layout.edges]


def _aggregator_links(layout: Layout) -> Sequence[str]:
    return [to_broker(name) for name in layout.aggregators]


def _database_links(layout: Layout) -> Sequence[str]:
    return [to_database(name) for name in layout.aggregators]


def _on_links(name: str, links: Targets) -> list[Fault]:
    return [
        Network(f"{name} cut", (1, 4), links, "cut"),
        Network(f"{name} stalled half-open", (2, 6), links, "stall"),
        Network(f"{name} slow", (3, 8), links, "slow"),
    ]


ALL: Final[tuple[Fault, ...]] = (
    Kill("edge killed", (0.5, 3), _edges),
    Kill("aggregator killed", (0.5, 3), _aggregators),
    Kill("database killed", (0.5, 3), _the(DATABASE)),
    Kill("broker killed", (0.5, 3), _the(BROKER)),
    KillSensors("power of all sensors cut", (0.5, 2), _the(SIMULATOR)),
    Away("edge away for longer than a ring holds", (2, 4), _edges),
    Stop("edge stopped", (2, 6), _edges),
    Stop("aggregator stopped", (2, 6), _aggregators),
    Stop("broker stopped", (2, 6), _the(BROKER)),
    StopBackend("database backend stopped", (2, 6)),
    Doom("aggregator died in its transaction", (1, 2), _aggregators, launch_ingest.IN_TRANSACTION),
    Doom("aggregator died after its commit", (1, 2), _aggregators, launch_ingest.AFTER_COMMIT),
    Doom("edge died before its acknowledgement", (1, 2), _edges, launch_edge.BEFORE_ACKNOWLEDGEMENT),
    Doom("edge died in its transaction", (1, 2), _edges, launch_edge.IN_TRANSACTION),
    Doom("edge died before its publish", (1, 2), _edges, launch_edge.BEFORE_PUBLISH),
    SecondAggregator("second aggregator on the same session", (3, 7)),
    *_on_links("edge to broker", _edge_links),
    *_on_links("aggregator to broker", _aggregator_links),
    *_on_links("aggregator to database", _database_links),
    Again("messages twice, out of order, late", (0.5, 1)),
    Line("noise", (2, 6), {"fault": "noise", "value": 150}, {"fault": "noise", "value": 0}),
    Line("flipped bits", (2, 6), {"fault": "flip", "value": 0.01}, {"fault": "flip", "value": 0}),
    Line("lost bytes", (2, 6), {"fault": "loss", "value": 0.01}, {"fault": "loss", "value": 0}),
    Line("frame cut by a pause", (0.5, 3), {"fault": "pause"}, lasts=True),
    Line("unplugged, replugged as another device", (0.5, 4), {"fault": "unplug"}, lasts=True),
    Line("sensor silent", (1, 6), {"fault": "silence"}, lasts=True),
    Line("sensor rebooted", (0.5, 1), {"fault": "reboot"}),
)
"""Every kind, in the order in which they are reported."""


def by_name() -> dict[str, Fault]:
    """Every kind by its name."""
    return {fault.name: fault for fault in ALL}
