"""How much faster than real time a sensor's bytes become counts, on one core: framing, reading, following, counting.

The peer is the sensor itself: a line that is read as fast as it speaks is read at 1 ×. A box reads several of them, and
has other things to do.
"""

from dataclasses import dataclass

from bench.decoding import one_core
from bench.measure import interleaved
from bench.result import Result
from bench.scenes import DRIVERS, SLOT_S, START_MS, STEP_S, Source, driver, sensor
from footfall_edge.clock import Moment
from footfall_edge.drivers import Driver
from footfall_sim.scene import Scene

TITLE = "bytes of a sensor to counts, on one core, against the sensor's own pace"

LEAST = 50
"""Times as fast as the sensor speaks: one process reads four of the fastest on a Raspberry Pi."""


@dataclass(frozen=True)
class Size:
    """How much."""

    seconds: int = 300
    per_min: int = 60
    """People who cross a line of 6 m in a minute."""
    rounds: int = 5


TINY = Size(seconds=20, rounds=1)


def run(size: Size) -> Result:
    """Each driver with a crowd before its sensor."""
    result = Result("sensors", TITLE, vars(size))
    scene = Scene.crowd(1, size.per_min, seconds=size.seconds)
    said = {name: _said(sensor(name, scene, seed=1), size.seconds) for name in DRIVERS if name != "modbus"}
    with one_core():
        seconds = interleaved(
            {name: lambda name=name: _count(driver(name), said[name]) for name in said},  # type: ignore[misc]
            size.rounds,
        )
    for name, parts in said.items():
        pace = [size.seconds / each for each in seconds[name]]
        sent = sum(len(data) for _, data in parts) / size.seconds
        result.figure(f"{name}: bytes a second", "B/s", sent)
        result.at_least(f"{name}: times as fast as its sensor", pace, LEAST)
    result.notes.append("Modbus answers what it is asked, twice a second at most; it is not among them.")
    return result


def _said(source: Source, seconds: int) -> list[tuple[float, bytes]]:
    """What a sensor says, as a port hands it out: some bytes every 50 ms."""
    return [(step * STEP_S, source.advance(step * STEP_S, b"")) for step in range(int(seconds / STEP_S) + 1)]


def _count(make: Driver, said: list[tuple[float, bytes]]) -> None:
    framer, session = make.framer(), make.session([], slot_s=SLOT_S)
    for now_s, data in said:
        moment = Moment(START_MS + round(now_s * 1000), now_s)
        for frame in framer.feed(data):
            session = session.heard(frame, moment).session
        session = session.tick(moment).session
