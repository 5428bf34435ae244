"""A radar as one of the simulated devices: it is told of passages before they happen, shows people walk, counts nobody.

It keeps no totals, so a passage is reported once its crossing was in the frames that the host has read. What the host
makes of them is the host's affair: two people side by side may be one to it. The truth stays the true crossings.
"""

import heapq
from dataclasses import dataclass

from footfall_sim.memory import Store
from footfall_sim.radar import Mounting, RadarDevice, Weaknesses
from footfall_sim.scene import IN, LOOKAHEAD_S, OUT, Line
from footfall_sim.tally import TallyDesign, TallyDevice
from footfall_sim.ti_people import Profile

_WALKING_CLASSES = 5
"""Somebody of a class that nobody knows walks as a pedestrian."""


@dataclass(frozen=True, slots=True)
class RadarDesign:
    """Which radar it is, how it hangs, and what it is bad at. `seed` decides how people walk."""

    make: str
    line: Line
    mounting: Mounting
    weaknesses: Weaknesses
    profile: Profile
    seed: str


class RadarSensor(TallyDevice):
    """One radar from power-on to power-off. Its people outlive it: `before` is the device before a power failure.

    Raises UnusableMemoryError if the store's image is damaged or belongs to another device.
    """

    foresight_s = LOOKAHEAD_S
    forgetful = True

    def __init__(
        self, store: Store, now: float, design: RadarDesign, tally: TallyDesign, before: "RadarSensor | None" = None
    ) -> None:
        super().__init__(store, tally)
        self.people: _Expected
        self.radar: RadarDevice
        self._dark = False
        if before is not None:
            self.people, self.radar = before.people, before.radar
            self.radar.restart(now)
            return
        self.people = _Expected()
        self.radar = RadarDevice(
            design.make,
            self.people,
            design.line,
            design.mounting,
            seed=design.seed,
            weaknesses=design.weaknesses,
            profile=design.profile,
            start_s=now,
        )

    @property
    def waiting(self) -> int:
        """Crossings that are in no frame the host has read, and people who are still to be seen."""
        return self._tally.waiting + (0 if self._dark else self.radar.kept)

    @property
    def totals(self) -> dict[tuple[int, int], int]:
        """Crossings since the boot; the device itself does not know of them."""
        return self._tally.totals

    def passage(self, direction: int, class_: int, at: float) -> None:
        """Somebody will cross the line."""
        self.people.put(at, direction, class_ if class_ < _WALKING_CLASSES else 0)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes came from the host; it does not listen."""

    def tick(self, now: float) -> bytes:
        """The frames that are due."""
        if self._dark:
            return b""
        frames = self.radar.advance(now)
        for crossing in self.radar.crossed():
            # One that a blind sensor missed is not reported; the log of the truth has it as missed.
            if not self.radar.view.blind:
                self._tally.passage(crossing.direction)
        if frames:
            self._tally.say(IN)
            self._tally.say(OUT)
        return frames

    def due(self) -> float:
        """When the next frame is due."""
        return float("inf") if self._dark else self.radar.due(float("-inf"))

    def flush(self, now: float) -> None:
        """Nothing to do: every frame shows what there is."""

    def shutdown(self, now: float) -> None:  # noqa: ARG002  # it has no interval to end
        """Power is going down: it is dark at once, since who crosses from now on would be in no log."""
        self._dark = True
        self._tally.stop()

    def surroundings(self, *, lens_suspected: bool, temperature: int, supply_mv: int) -> None:  # noqa: ARG002
        """A stuck radar sees nobody."""
        self.radar.view.blind = lens_suspected


class _Expected:
    """Passages that are known in advance, whatever the order in which they were told."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, int]] = []

    def put(self, at: float, direction: int, class_: int) -> None:
        heapq.heappush(self._waiting, (at, direction, class_))

    def take(self, until_s: float) -> list[tuple[float, int, int]]:
        """See footfall_sim.scene.PassageSource."""
        taken = []
        while self._waiting and self._waiting[0][0] < until_s:
            taken.append(heapq.heappop(self._waiting))
        return taken
