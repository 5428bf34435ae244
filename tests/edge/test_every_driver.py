"""What every driver has to stand: a pulled plug, a power failure, a stopped edge, a bad line; on one edge, all at once.

The devices are those of the simulator, on pseudo-terminals. They differ in what they keep of the time in which nobody
listened: the reference counter each of its intervals, others a total, and some nothing.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from edge.ingest_model import Ingest
from edge.simulated import GAP_S, KINDS, OTHERS, Kind, Simulated
from edge.test_agent import value
from footfall_contract.report import SlotReport
from footfall_demo.broker import Broker
from footfall_edge import sheet, tracker
from footfall_edge.settings import EdgeSettings, ReportSettings
from footfall_testing.waiting import wait_until

Configure = Callable[..., EdgeSettings]
RunEdge = Callable[..., AbstractContextManager[None]]
Passed = dict[str, dict[int, int]]
"""By sensor and direction."""

every_kind = pytest.mark.parametrize(
    "kinds", [pytest.param(KINDS, id="usual"), pytest.param(OTHERS, id="others", marks=pytest.mark.full)]
)


class Street:
    """Sensors of several kinds, and what ingest has of them. Sensors are called as their kinds."""

    def __init__(self, sensors: Mapping[str, Simulated], ingest: Ingest) -> None:
        self.sensors = sensors
        self.ingest = ingest
        self.lost: dict[str, Counter[int]] = {name: Counter() for name in sensors}
        """Who passed and can never be known, by sensor and direction."""

    def keeping(self, *what: str) -> dict[str, Simulated]:
        """The sensors that keep this of what nobody heard."""
        return {name: sensor for name, sensor in self.sensors.items() if sensor.kind.keeps in what}

    def passes(self, into: int = 0, out: int = 0, *, heard: bool = True) -> None:
        """People pass in front of each, and each says so, if it can. Not `heard`: nobody listens."""
        for sensor in self.sensors.values():
            sensor.passes(into, out)
        if not heard:
            for name in self.keeping("nothing"):
                self.lost[name] += Counter({0: into, 1: out})
        wait_until(lambda: not any(sensor.coming for sensor in self.sensors.values()), what="the people to be gone")
        self.cut()

    def cut(self) -> None:
        """Each says what it has counted, if it can."""
        for sensor in self.sensors.values():
            sensor.cut()

    def heard(self, *kept: str) -> None:
        """Wait until the edge has read all that there is to read of the sensors that keep this, or of all."""
        waiting = (self.keeping(*kept) if kept else self.sensors).items()
        wait_until(lambda: not [name for name, sensor in waiting if sensor.waiting], what="the lines to be read")

    def believed(self) -> None:
        """Wait until the edge has read each so often that it believes where its totals begin."""
        before = {name: value("frames_total", sensor=name) for name in self.sensors}

        def doubted() -> list[str]:
            return [name for name, frames in before.items() if value("frames_total", sensor=name) < frames + 4]

        wait_until(lambda: not doubted(), what="each to be read four times")

    def reports(self, name: str) -> list[SlotReport]:
        """What ingest has of a sensor."""
        return [report for report in list(self.ingest.stored.values()) if report.sensor == name]

    def spans(self, name: str) -> list[SlotReport]:
        """Those that are a sum over more than a slot."""
        return [report for report in self.reports(name) if report.slot > 1]

    def stored(self) -> Passed:
        """Passages that ingest has."""
        found: dict[str, Counter[int]] = {name: Counter() for name in self.sensors}
        for report in list(self.ingest.stored.values()):
            for direction, class_, count in zip(report.direction, report.class_, report.count, strict=True):
                assert class_ == 0
                found[report.sensor][direction] += count
        return {name: dict(sorted(counts.items())) for name, counts in found.items()}

    def known(self) -> Passed:
        """Passages that ingest should have."""
        return {name: dict(sorted((sensor.passed - self.lost[name]).items())) for name, sensor in self.sensors.items()}

    def arrived(self, *names: str) -> None:
        """Wait until ingest has all who can be known, and nobody more, of these sensors, or of all."""

        def wrong() -> dict[str, str]:
            stored, known = self.stored(), self.known()
            return {
                name: f"{stored[name]}, expected {known[name]}"
                for name in names or known
                if stored[name] != known[name]
            }

        self.cut()
        try:
            wait_until(lambda: not wrong())
        except AssertionError:
            assert wrong() == {}

    def settled(self) -> None:
        """Ingest has all who can be known, and still nobody more after another second of each sensor."""
        self.arrived()
        self.measured()
        assert self.stored() == self.known()
        assert self.ingest.changed == []
        for name in self.sensors:
            assert set(self.seconds(name).values()) <= {0, 1}, name

    def measured(self) -> None:
        """Wait until ingest has a whole second of each sensor that begins from now on."""
        began = time.time()

        def missing() -> list[str]:
            return [name for name in self.sensors if not any(s >= began and o for s, o in self.seconds(name).items())]

        wait_until(lambda: not missing(), what="a measured second of each")

    def seconds(self, name: str) -> dict[int, int]:
        """How much was measured of each second that was reported on its own."""
        found: Counter[int] = Counter()
        for report in self.reports(name):
            if report.slot == 1:
                for n, measured in enumerate(report.observed):
                    found[report.start + n] += measured
        return dict(found)

    def states(self) -> dict[str, str]:
        """How each sensor is, as was told last."""
        return {health.sensor: health.state for health in list(self.ingest.healths)}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anybody to be lost in front of a radar."""
    monkeypatch.setattr(tracker, "MOST_GAP_S", GAP_S)


@pytest.fixture
def street(kinds: Mapping[str, Kind], mosquitto: Broker, tmp_path: Path, unique: str) -> Iterator[Street]:
    """One sensor of each kind, all plugged in."""
    with ExitStack() as stack:
        sensors = {name: stack.enter_context(Simulated(name, kind, tmp_path / name)) for name, kind in kinds.items()}
        yield Street(sensors, stack.enter_context(Ingest(mosquitto, unique)))


@pytest.fixture
def settings(street: Street, mosquitto: Broker, configure: Configure) -> EdgeSettings:
    """An edge that reads all of them, and reports each second."""
    own = [{"id": name, "port": str(each.link), **each.kind.driver} for name, each in street.sensors.items()]
    return configure(mosquitto, sensor=own)


def faults(name: str) -> float:
    """What of a line could not be used, so far: frames and bytes."""
    return value("bad_frames_total", sensor=name) + value("skipped_bytes_total", sensor=name)


def whole_seconds(since: float, until: float) -> set[int]:
    """Those that begin and end between two moments, UTC seconds."""
    return set(range(math.ceil(since), math.floor(until)))


@every_kind
def test_a_cable_that_is_drawn_and_put_back(street: Street, settings: EdgeSettings, run_edge: RunEdge) -> None:
    """The link leads to another device afterwards. Who passed before and after is counted.

    Who passed meanwhile is, too, if the device knows: in its own seconds, or as a sum over the gap with nothing
    measured. Else nobody is made up.
    """
    with run_edge(settings):
        street.measured()
        street.passes(into=2)
        street.heard()
        names = {name: sensor.unplug() for name, sensor in street.sensors.items()}
        out_s = time.time()
        street.arrived()
        wait_until(lambda: set(street.states().values()) == {"fault"}, what="the faults to be told")
        street.passes(out=3, heard=False)
        wait_until(lambda: time.time() > out_s + GAP_S + 1, what="the gap to be one")
        in_s = time.time()
        replugged = {name: sensor.plug() for name, sensor in street.sensors.items()}
        street.measured()
        street.passes(into=1, out=1)
        street.settled()
        wait_until(lambda: set(street.states().values()) == {"ok"}, what="all to be well again")

    assert not [name for name, device in replugged.items() if device == names[name]]
    gap = whole_seconds(out_s, in_s)
    assert gap
    for name in street.keeping("intervals"):
        assert gap <= {second for second, measured in street.seconds(name).items() if measured}, name
        assert street.spans(name) == []
    for name in street.keeping("totals", "nothing"):
        assert not any(street.seconds(name).get(second) for second in gap), name
    for name in street.keeping("totals"):
        (span,) = [span for span in street.spans(name) if span.total]
        assert (span.direction, span.count, span.observed) == ((1,), (3,), (0,)), name
        assert span.start - 1 <= out_s
        assert span.end + 1 >= in_s
    for name in street.keeping("nothing"):
        assert not [span for span in street.spans(name) if span.total], name


@every_kind
def test_what_was_seen_last_is_kept_when_the_cable_is_drawn(
    street: Street,
    settings: EdgeSettings,
    run_edge: RunEdge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In slots of a minute nothing would be booked yet. It is, because the line ends; and it leaves at the stop."""
    monkeypatch.setattr(sheet, "BOOK_S", 60.0)
    slow = settings.model_copy(update={"report": ReportSettings(slot_s=60, every_s=60)})
    with run_edge(slow):
        wait_until(lambda: street.states() == dict.fromkeys(street.sensors, "ok"), what="all to be heard")
        street.believed()
        street.passes(into=2, out=1)
        street.heard()
        for sensor in street.sensors.values():
            sensor.unplug()
        wait_until(lambda: street.states() == dict.fromkeys(street.sensors, "fault"), what="the faults to be told")
    street.arrived()


@every_kind
def test_a_device_that_is_switched_off_and_on(street: Street, settings: EdgeSettings, run_edge: RunEdge) -> None:
    """Totals in RAM begin at 0 again, and go beyond what they were: nobody is counted twice, and nobody is missing."""
    with run_edge(settings):
        street.measured()
        street.passes(into=1, out=2)
        street.arrived()
        for sensor in street.sensors.values():
            sensor.reboot()
        assert {name: sensor.totals for name, sensor in street.keeping("totals").items() if sensor.totals} == {}
        street.passes(into=3, out=1)
        street.arrived()
        street.passes(out=2)
        street.settled()


@every_kind
def test_an_edge_that_is_stopped_and_started_again(street: Street, settings: EdgeSettings, run_edge: RunEdge) -> None:
    """What was seen last before the stop is counted.

    Who passed meanwhile is counted by the next run if the device knows, a total's rise as one sum with nothing
    measured; and not again by the run after that.
    """
    with run_edge(settings):
        street.measured()
        street.passes(into=2)
        street.heard()
    off_s = time.time()
    street.passes(out=3, heard=False)
    wait_until(lambda: time.time() > off_s + 2, what="a whole second without an edge")
    on_s = time.time()
    with run_edge(settings):
        street.arrived()
        street.passes(into=1)
        street.arrived()
    with run_edge(settings):
        street.settled()

    for name in street.keeping("totals"):
        (span,) = [span for span in street.spans(name) if span.total]
        assert (span.direction, span.count, span.observed) == ((1,), (3,), (0,)), name
        assert span.start - 1 <= off_s
        assert span.end + 1 >= on_s
    for name in street.keeping("intervals"):
        assert not [span for span in street.spans(name) if span.total], name
    for name in street.keeping("totals", "nothing"):
        assert not any(street.seconds(name).get(second) for second in whole_seconds(off_s, on_s)), name


@every_kind
def test_a_line_that_loses_bytes(street: Street, settings: EdgeSettings, run_edge: RunEdge) -> None:
    """One byte in 500, in both directions: what is said again, or is in a total, is exact in the end.

    Of the others nobody is made up.
    """
    before = {name: faults(name) for name in street.sensors}
    with run_edge(settings):
        street.measured()
        for sensor in street.sensors.values():
            sensor.lose(1 / 500)
        exact = street.keeping("intervals", "totals")
        rounds = 0
        while rounds < 6 or any(faults(name) == before[name] for name in street.sensors):
            street.passes(into=1 + rounds % 2, out=1)
            street.heard("intervals", "totals")
            rounds += 1
        street.arrived(*exact)
        for sensor in street.sensors.values():
            sensor.lose(0)
        street.heard()
        street.measured()
        stored, known = street.stored(), street.known()

    assert {name: stored[name] for name in exact} == {name: known[name] for name in exact}
    assert street.ingest.changed == []
    for name, sensor in street.keeping("nothing").items():
        for direction, passed in known[name].items():
            # Who walks is in many frames; an increment is on one line.
            least = passed - 2 if sensor.kind.pace > 1 else 1
            assert least <= stored[name].get(direction, 0) <= passed, name
